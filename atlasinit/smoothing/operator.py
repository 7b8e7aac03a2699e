"""The linear operator that smooths data or maps: a kernel between two diagonal matrices."""

import functools
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float

from atlasinit.core.maps import (
    DenseMaps,
    Maps,
    SparseMaps,
)
from atlasinit.errors import ArgumentError, ArgumentTypeError
from atlasinit.smoothing.blocks import BlockKernel
from atlasinit.smoothing.checks import check_positive, check_threshold
from atlasinit.smoothing.grid import GridKernel
from atlasinit.smoothing.sparse import (
    scale_between,
    spread_by,
    spread_maps,
)
from atlasinit.smoothing.types import Stored
from atlasinit.support.sparse import multiply
from atlasinit.support.threads import is_host, to_native_order
from atlasinit.support.typing import AnyArray

_PARCELS = 128  # maps smoothed at once where their values are traced


class SmoothingOperator(eqx.Module):
    r"""Smoothing of data or maps on the locations of one geometry.

    Made by `smoothing_operator`. With the kernel :math:`K_{ij} = k(d_{ij}; \sigma)`, zero
    beyond the truncation, and the locations' areas :math:`a`,

    .. math:: S = \mathrm{diag}(l)\,K\,\mathrm{diag}(r), \qquad
              S^T = \mathrm{diag}(r)\,K\,\mathrm{diag}(l)

    where `conserve` says what :math:`l` and :math:`r` are. The operator is a pytree: it
    may be an argument of a jitted function or a part of a layer.

    Parameters
    ----------
    kernel
        The kernel's entries.
    areas
        Areas in mm2, or ones.
    left, right
        The two diagonals at the operator's own width.
    stored
        The kernel's weights at the operator's own width, where they are small enough.
    matrix
        The operator at its own width as a CSR matrix (values, indices, ends of rows), for
        products with data that are not traced, on the CPU; None elsewhere, for grids and
        where it is large.
    sigma
        The operator's own width in mm.
    conserve
        ``"constant"``, ``"mass"`` or ``"balanced"``.
    """

    kernel: GridKernel | BlockKernel
    areas: Float[AnyArray, " locations"]
    left: Float[AnyArray, " locations"]
    right: Float[AnyArray, " locations"]
    stored: Stored | None
    matrix: Stored | None
    sigma: float = eqx.field(static=True)
    conserve: str = eqx.field(static=True)

    @property
    def n_locations(self) -> int:
        """Number of locations."""
        return self.areas.shape[0]

    def __call__(self, data: AnyArray, *, sigma: Any = None) -> Array:
        """Return the smoothed data.

        Parameters
        ----------
        data
            (..., locations, k) values, real. A NaN makes NaN of every location in its
            reach, and may of others near them.
        sigma
            Another width in mm, in the same neighbourhood; it may be traced, and the
            result is differentiable in it.

        Returns
        -------
        jax.Array
            (..., locations, k), in the dtype of `data` if it is floating, else float32. Sums
            are in float32 or wider.

        Raises
        ------
        ValueError
            Another number of locations.
        """
        return _product(self, data, sigma, transpose=False)

    def transpose(self, data: AnyArray, *, sigma: Any = None) -> Array:
        """Return the adjoint operator's result: ``sum(y * S(x)) == sum(S.transpose(y) * x)``."""
        return _product(self, data, sigma, transpose=True)

    def smooth_maps(self, maps: Maps, *, sigma: Any = None, threshold: float = 0.0) -> Maps:
        """Return the smoothed maps, sparse, or dense where that is smaller.

        Differentiable in `sigma` and in the values of sparse and dense maps. The positions
        of the result are those in reach at the operator's own width.

        Parameters
        ----------
        maps
            Maps on the operator's locations.
        sigma
            Another width in mm, in the same neighbourhood; it may be traced.
        threshold
            Weights of at most this size are left out: not stored, or, with `sigma` or
            traced maps, set to 0. What is left out is conserved by nothing.

        Raises
        ------
        ValueError
            Maps of another number of locations, or a negative threshold.
        """
        if maps.n_locations != self.n_locations:
            raise ArgumentError(
                "maps",
                f"should have the operator's {self.n_locations} locations, got {maps.n_locations}",
            )
        check_threshold(threshold)
        traced = any(isinstance(x, Tracer) for x in (sigma, *jax.tree.leaves(maps)))
        if isinstance(maps, DenseMaps) and traced:
            smoothed = self(jnp.asarray(maps.values).T, sigma=sigma).T
            return DenseMaps(_cut_at(threshold, smoothed))
        if not traced and sigma is None:
            return self._smooth_on_host(maps, threshold)
        # Positions cannot depend on traced values: those that ones would reach.
        found = self._smooth_on_host(_fill_with_ones(maps), 0.0)
        if not isinstance(found, SparseMaps):
            dense = _dense_rows(maps, slice(0, maps.n_parcels))
            return DenseMaps(_cut_at(threshold, self(dense.T, sigma=sigma).T))
        return self._smooth_values(maps, found, sigma, threshold)

    def _smooth_on_host(self, maps: Maps, threshold: float) -> SparseMaps | DenseMaps:
        if self.matrix is not None:
            spread = spread_by(_csr(self.matrix))
        else:
            left, right = np.asarray(self.left), np.asarray(self.right)
            spread = scale_between(
                lambda matrix: self.kernel.spread(matrix, self.sigma, self.stored), left, right
            )
        return spread_maps(maps, spread, threshold=threshold)

    def _smooth_values(
        self, maps: Maps, found: SparseMaps, sigma: Any, threshold: float
    ) -> SparseMaps:
        """Return the values at the positions of `found`, smoothed densely some rows at a time."""
        rows, parts = found.rows(), []
        for start in range(0, maps.n_parcels, _PARCELS):
            stop = min(start + _PARCELS, maps.n_parcels)
            dense = self(_dense_rows(maps, slice(start, stop)).T, sigma=sigma)
            own = slice(found.indptr[start], found.indptr[stop])
            # `dense` is (locations, rows of this part).
            parts.append(dense[found.indices[own], rows[own] - start])
        values = jnp.concatenate(parts) if parts else jnp.zeros(0)
        values = _cut_at(threshold, values)
        return SparseMaps(values, found.indices, found.indptr, found.n_locations)


def _cut_at(threshold: float, values: Array) -> Array:
    """Return values with 0 in place of those of at most the threshold in size; NaN stays."""
    return jnp.where(jnp.abs(values) <= threshold, 0, values) if threshold else values


def _csr(matrix: Stored) -> Any:
    from scipy.sparse import csr_array

    values, indices, ends = (np.asarray(part) for part in matrix)
    return csr_array((values, indices, ends), shape=(ends.size - 1, ends.size - 1))


# Functions, as each use of a module's method costs as much as the product of a column.
def _product(operator: SmoothingOperator, data: AnyArray, sigma: Any, *, transpose: bool) -> Array:
    """Choose how to multiply: SciPy's product where it can be had, else the kernel's own."""
    data = to_native_order(data)
    _check_data(data, operator.n_locations)
    width, matrix = _width(sigma), operator.matrix
    if (
        sigma is None
        and matrix is not None
        and data.dtype == np.float32
        and all(is_host(array) for array in (data, *matrix))
    ):
        values, indices, ends = (np.asarray(part) for part in matrix)
        # The transpose in CSR once more, whose rows can be shared out among threads.
        if transpose:
            turned = _csr(matrix).T.tocsr()
            values, indices, ends = turned.data, turned.indices, turned.indptr
        # Locations first, and all other axes as columns of one matrix.
        columns = np.moveaxis(np.asarray(data), -2, 0)
        out = multiply(values, indices, ends, columns.reshape(len(columns), -1))
        return out if data.ndim == 2 else jnp.moveaxis(out.reshape(columns.shape), 0, -2)
    return _apply(operator, jnp.asarray(data), width, transpose=transpose)


def diagonals(conserve: str, areas: Any, times: Callable[[Any], Any]) -> tuple[Any, Any]:
    """Return the left and right diagonal; `times` multiplies by the kernel."""
    # "constant": l = 1 / K a, r = a. "mass": r = a / K a, l = 1. "balanced": l = 1 / K r as well.
    if conserve == "constant":
        return 1 / times(areas), areas
    right = areas / times(areas)
    # Ones as a quotient, in the array type and dtype of the areas, traced or not.
    return (areas / areas if conserve == "mass" else 1 / times(right)), right


@functools.partial(jax.jit, static_argnames="transpose")
def _apply(
    operator: SmoothingOperator, data: Array, sigma: Array | None, *, transpose: bool
) -> Array:
    """Return the product with batch axes and the last one taken together."""
    dtype = jnp.float64 if data.dtype == jnp.float64 else jnp.float32
    columns = jnp.moveaxis(data, -2, 0).astype(dtype)
    flat = columns.reshape(columns.shape[0], -1)
    kernel = operator.kernel
    if sigma is None:
        left, right, stored = operator.left, operator.right, operator.stored
        width = jnp.asarray(operator.sigma, dtype)
    else:
        width, stored = jnp.asarray(sigma, dtype), None
        left, right = diagonals(
            operator.conserve,
            jnp.asarray(operator.areas, dtype),
            lambda vector: kernel.apply(vector[:, None], width, None)[:, 0],
        )
    # S x = l * K (r * x), and S^T y = r * K (l * y), as K is symmetric.
    first, last = (left, right) if transpose else (right, left)
    out = kernel.apply(flat * jnp.asarray(first, dtype)[:, None], width, stored)
    out = out * jnp.asarray(last, dtype)[:, None]
    result = data.dtype if jnp.issubdtype(data.dtype, jnp.floating) else dtype
    return jnp.moveaxis(out.reshape(columns.shape), 0, -2).astype(result)


def _check_data(data: AnyArray, n_locations: int) -> None:
    if data.ndim < 2 or data.shape[-2] != n_locations:
        raise ArgumentError(
            "data",
            f"should be (..., locations, k) with {n_locations} locations, got shape {data.shape}",
        )
    if jnp.issubdtype(data.dtype, jnp.complexfloating):
        raise ArgumentTypeError("data", f"should be real, got {data.dtype}")


def _width(sigma: Any) -> Array | None:
    if sigma is None:
        return None
    if not isinstance(sigma, Tracer):
        check_positive(sigma, "sigma")
    elif sigma.shape != ():
        raise ArgumentError("sigma", f"should be a scalar, got shape {sigma.shape}")
    return jnp.asarray(sigma)


def _fill_with_ones(maps: Maps) -> Maps:
    """Return maps with ones in place of traced values, to find where they are."""
    if isinstance(maps, SparseMaps):
        return SparseMaps(
            np.ones(maps.values.shape, np.float32), maps.indices, maps.indptr, maps.n_locations
        )
    return maps


def _dense_rows(maps: Maps, rows: slice) -> Array:
    """Return some rows of maps as a dense array that follows traced values."""
    if isinstance(maps, DenseMaps):
        return jnp.asarray(maps.values)[rows]
    if not isinstance(maps, SparseMaps):
        return jnp.asarray(maps.take_parcels(np.arange(rows.start, rows.stop)).to_dense())
    own = slice(int(maps.indptr[rows.start]), int(maps.indptr[rows.stop]))
    values = jnp.asarray(maps.values)[own]
    zeros = jnp.zeros((rows.stop - rows.start, maps.n_locations), values.dtype)
    return zeros.at[maps.rows()[own] - rows.start, maps.indices[own]].set(values)
