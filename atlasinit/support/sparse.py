"""Products of sparse matrices on the host, in threads."""

import itertools
from typing import TYPE_CHECKING

import jax
import numpy as np

from atlasinit.support.threads import WORKERS, empty_for_jax, run_in_threads

if TYPE_CHECKING:
    from scipy.sparse import csr_array

_PART_BYTES = 2**22  # of a product; each part is made by one thread, and stays in the cache
_PART_TERMS = 2**20  # multiplications that are worth the start of threads


def multiply(
    values: np.ndarray,
    indices: np.ndarray,
    ends: np.ndarray,
    data: np.ndarray,
    *,
    part_bytes: int = _PART_BYTES,
) -> jax.Array:
    """Return the product of a CSR matrix with data (columns, k), in float32.

    It is made in parts of about `part_bytes` of the result.
    """
    from scipy.sparse import csr_array

    dense = np.ascontiguousarray(data)
    n, columns, k = ends.size - 1, *dense.shape
    n_parts = max(4 * n * k // part_bytes, 1)
    if values.size * k >= _PART_TERMS:
        n_parts = max(n_parts, WORKERS)
    out = empty_for_jax((n, k), np.float32)

    def rows(first: int, last: int) -> tuple["csr_array", np.ndarray]:
        own = slice(ends[first], ends[last])
        part = csr_array((last - first, columns), dtype=np.float32)
        # Given to the constructor, views of less than half an array would be copied.
        part.data, part.indices = values[own], indices[own]
        part.indptr = ends[first : last + 1] - ends[first]
        return part, out[first:last]

    def product(part: "csr_array", target: np.ndarray) -> None:
        target[:] = part @ dense

    # Parts of as many weights each, as rows may have very different numbers of them. All are
    # made first: threads that wait for each other's Python wake up slowly.
    cuts = np.searchsorted(ends, [values.size * i // n_parts for i in range(1, n_parts)])
    run_in_threads(product, [rows(*pair) for pair in itertools.pairwise([0, *cuts.tolist(), n])])
    return jax.device_put(out)
