"""Sparse matrices on the host: what SciPy does fastest where nothing is traced."""

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

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

if TYPE_CHECKING:
    from scipy.sparse import csr_array

Spread: TypeAlias = "Callable[[csr_array], csr_array]"
"""Multiplies a matrix (parcels, locations) from the right; columns ascend in the result."""


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
