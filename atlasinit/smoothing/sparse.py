"""Sparse matrices on the host: what SciPy does fastest where nothing is traced."""

import itertools
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

import jax
import numpy as np

from atlasinit.core.maps import (
    DenseMaps,
    Maps,
    SparseMaps,
    densify,
)
from atlasinit.errors import ArgumentError
from atlasinit.smoothing.checks import check_threshold
from atlasinit.support.arrays import make_read_only
from atlasinit.support.threads import (
    WORKERS,
    empty_for_jax,
    run_in_threads,
)

if TYPE_CHECKING:
    from scipy.sparse import csr_array

Spread: TypeAlias = "Callable[[csr_array], csr_array]"
"""Multiplies a matrix (parcels, locations) from the right; columns ascend in the result."""

_PART_BYTES = 2**22  # of a product; each part is made by one thread, and stays in the cache
_PART_TERMS = 2**20  # multiplications that are worth the start of threads


def csr_of(
    values: np.ndarray, places: tuple[np.ndarray, np.ndarray], n_locations: int
) -> "csr_array":
    """Return a square matrix from values at places that all differ."""
    from scipy.sparse import coo_array

    matrix = coo_array((values, places), shape=(n_locations, n_locations))
    # Nothing is there twice; what is said here need not be found out by sorting.
    matrix.has_canonical_format = True
    return matrix.tocsr()


def spread_by(operator: "csr_array") -> Spread:
    """Return the product with the transpose of `operator`, in float64."""
    from scipy.sparse import csr_array

    # M S^T = (S M^T)^T.
    return lambda matrix: csr_array((operator @ csr_array(matrix.T).astype(np.float64)).T)


def scale_between(spread: Spread, left: np.ndarray, right: np.ndarray) -> Spread:
    """Return ``spread`` with weights multiplied by `right` before and by `left` after it."""

    def scale(matrix: "csr_array") -> "csr_array":
        out = spread(_scale_columns(matrix, right.astype(matrix.dtype)))
        out.data *= left.astype(out.dtype)[out.indices]
        return out

    return scale


def _scale_columns(matrix: "csr_array", weights: np.ndarray) -> "csr_array":
    """Return a matrix with its columns multiplied."""
    from scipy.sparse import csr_array

    values = matrix.data * weights[matrix.indices]
    return csr_array((values, matrix.indices, matrix.indptr), shape=matrix.shape)


def average_by(spread: Spread, areas: np.ndarray) -> Spread:
    """Return means by the kernel, in which a location counts by its area.

    The areas are spread with the maps, so that the kernel is evaluated once.
    """
    from scipy.sparse import csr_array, vstack

    def average(matrix: "csr_array") -> "csr_array":
        weights = areas.astype(matrix.dtype)
        # Row p becomes sum_j w_pj a_j K_ji / sum_j a_j K_ji at location i; the areas are row 0.
        rows = [csr_array(weights[None]), _scale_columns(matrix, weights)]
        both = spread(csr_array(vstack(rows)))
        # The first n weights are those of row 0: the denominators.
        n = both.indptr[1]
        totals = np.zeros(areas.size, both.dtype)
        totals[both.indices[:n]] = both.data[:n]
        both.data[n:] /= totals[both.indices[n:]]
        parts = (both.data[n:], both.indices[n:], both.indptr[1:] - n)
        return csr_array(parts, shape=matrix.shape)

    return average


def spread_maps(maps: Maps, spread: Spread, *, threshold: float) -> SparseMaps | DenseMaps:
    """Return the maps multiplied by `spread`, sparse, or dense where that is smaller."""
    check_threshold(threshold)
    out = spread(maps.to_scipy())
    if threshold:
        out.data[np.abs(out.data) <= threshold] = 0
        out.eliminate_zeros()
    if out.nnz > np.iinfo(np.int32).max:
        raise ArgumentError(
            "maps",
            f": the smoothed maps have {out.nnz} non-zeros, more than 2**31",
            "give a smaller width, `truncate`, or a `threshold`",
        )
    parts = (out.data, out.indices, out.indptr)
    values, indices, indptr = (
        make_read_only(np.asarray(part, dtype))
        for part, dtype in zip(parts, (np.float32, np.int32, np.int32), strict=True)
    )
    sparse = SparseMaps(values, indices, indptr, maps.n_locations)
    # 4 bytes of float32 for each weight of a dense matrix.
    if sparse.nbytes > 4 * maps.n_parcels * maps.n_locations:
        return densify(sparse)
    return sparse


def multiply(
    values: np.ndarray,
    indices: np.ndarray,
    ends: np.ndarray,
    data: np.ndarray,
    *,
    part_bytes: int = _PART_BYTES,
) -> jax.Array:
    """Return the product of a square CSR matrix with (locations, k) data, in float32.

    It is made in parts of about `part_bytes` of the result.
    """
    from scipy.sparse import csr_array

    dense = np.ascontiguousarray(data)
    n, k = dense.shape
    n_parts = max(dense.nbytes // part_bytes, 1)
    if values.size * k >= _PART_TERMS:
        n_parts = max(n_parts, WORKERS)
    out = empty_for_jax((n, k), np.float32)

    def rows(first: int, last: int) -> tuple["csr_array", np.ndarray]:
        own = slice(ends[first], ends[last])
        part = csr_array((last - first, n), dtype=np.float32)
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
