"""Sparse matrices on the host: what SciPy does fastest where nothing is traced."""

import functools
import itertools
import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from atlasinit.maps import DenseMaps, Maps, SparseMaps

if TYPE_CHECKING:
    from scipy.sparse import csr_array

Spread: TypeAlias = "Callable[[csr_array], csr_array]"
"""Multiplies a matrix (parcels, locations) from the right; columns ascend in the result."""

_WORKERS = os.cpu_count() or 1
_PART_BYTES = 2**22  # of a product; each part is made by one thread, and stays in the cache
_PART_TERMS = 2**22  # multiplications that are worth the start of threads
_ALIGNED = 64  # bytes at which JAX takes an array of NumPy's as it is


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

    return lambda matrix: csr_array((operator @ csr_array(matrix.T).astype(np.float64)).T)


def between(spread: Spread, left: np.ndarray, right: np.ndarray) -> Spread:
    """Return ``spread`` with weights multiplied by `right` before and by `left` after it."""
    from scipy.sparse import csr_array

    def scaled(matrix: "csr_array") -> "csr_array":
        values = matrix.data * right.astype(matrix.dtype)[matrix.indices]
        out = spread(csr_array((values, matrix.indices, matrix.indptr), shape=matrix.shape))
        out.data *= left.astype(out.dtype)[out.indices]
        return out

    return scaled


def spread_maps(maps: Maps, spread: Spread, *, threshold: float) -> SparseMaps | DenseMaps:
    """Return the maps multiplied by `spread`, sparse, or dense where that is smaller."""
    if not threshold >= 0:
        raise ValueError(f"`threshold` should be 0 or more, got {threshold}.")
    out = spread(maps.to_scipy())
    if threshold:
        out.data[np.abs(out.data) <= threshold] = 0
        out.eliminate_zeros()
    if out.nnz > np.iinfo(np.int32).max:
        raise ValueError(
            f"The smoothed maps have {out.nnz} non-zeros, more than 2**31; give a smaller width, "
            "`truncate`, or a `threshold`."
        )
    parts = (out.data, out.indices, out.indptr)
    values, indices, indptr = (
        np.asarray(part, dtype)
        for part, dtype in zip(parts, (np.float32, np.int32, np.int32), strict=True)
    )
    sparse = SparseMaps(values, indices, indptr, maps.n_locations)
    if sparse.nbytes > 4 * maps.n_parcels * maps.n_locations:
        return DenseMaps(sparse.to_dense())
    return sparse


def is_host(array: Any) -> bool:
    """Return whether an array is known and lies, or would lie, on one CPU device."""
    if isinstance(array, Tracer):
        return False
    if isinstance(array, jax.Array):
        return [device.platform for device in array.devices()] == ["cpu"]
    return jax.default_backend() == "cpu"


def multiply(operator: "csr_array", data: np.ndarray) -> jax.Array:
    """Return ``operator @ data`` of (locations, k) data in float32."""
    from scipy.sparse import csr_array

    dense = np.ascontiguousarray(data)
    n, k = dense.shape
    n_parts = dense.nbytes // _PART_BYTES
    if operator.nnz * k >= _PART_TERMS:
        n_parts = max(n_parts, _WORKERS)
    if n_parts < 2:
        return jnp.asarray(operator @ dense)
    raw = np.empty(dense.nbytes + _ALIGNED, np.uint8)
    start = -raw.ctypes.data % _ALIGNED
    out = raw[start : start + dense.nbytes].view(np.float32).reshape(n, k)

    def rows(first: int, last: int) -> None:
        ends = operator.indptr[first : last + 1]
        own = slice(ends[0], ends[-1])
        part = csr_array((last - first, n), dtype=np.float32)
        # Given to the constructor, views of less than half an array would be copied.
        part.data, part.indices = operator.data[own], operator.indices[own]
        part.indptr = ends - ends[0]
        out[first:last] = part @ dense

    # Parts of as many weights each, as rows may have very different numbers of them.
    cuts = np.searchsorted(operator.indptr, np.linspace(0, operator.nnz, n_parts + 1)[1:-1])
    in_threads(rows, itertools.pairwise([0, *cuts.tolist(), n]))
    return jax.device_put(out)


def in_threads(function: Callable[..., Any], arguments: Iterable[tuple]) -> list:
    """Return ``[function(*a) for a in arguments]``; NumPy's and SciPy's work runs in parallel."""
    some = list(arguments)
    if min(len(some), _WORKERS) < 2:
        return [function(*a) for a in some]
    # Few groups of calls: starting each by itself costs more than a small call.
    ends = np.linspace(0, len(some), min(len(some), 8 * _WORKERS) + 1).astype(int).tolist()
    groups = _pool().map(
        lambda start, stop: [function(*a) for a in some[start:stop]], ends[:-1], ends[1:]
    )
    return list(itertools.chain.from_iterable(groups))


@functools.cache
def _pool() -> ThreadPoolExecutor:
    """Return the threads, started once: that takes as long as the product of a column."""
    return ThreadPoolExecutor(_WORKERS)


if hasattr(os, "register_at_fork"):
    # A forked process has none of its parent's threads.
    os.register_at_fork(after_in_child=_pool.cache_clear)
