"""The linear operator from the kept voxels of a grid to the kept vertices of a mesh."""

import functools
from typing import TYPE_CHECKING

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int32

from atlasinit.core.geometry import SurfaceMesh, VolumeGrid
from atlasinit.core.maps import Maps, SparseMaps
from atlasinit.errors import ArgumentError, ArgumentTypeError
from atlasinit.support.arrays import make_read_only
from atlasinit.support.sparse import multiply
from atlasinit.support.threads import is_host, to_native_order
from atlasinit.support.typing import AnyArray

if TYPE_CHECKING:
    from scipy.sparse import csr_array

_GATHERED = 2**24
"""Values gathered at once where a product is compiled: 64 MiB in float32."""

_MISSING = ("propagate", "omit")


class SamplingOperator(eqx.Module):
    r"""Values of voxels at the vertices of a mesh: each a weighted mean, :math:`y = W x`.

    Made by `sampling_operator`. The rows of :math:`W` sum to 1; one of a vertex without any
    kept voxel is empty, and its value is NaN. The operator is a pytree whose leaves are the
    arrays: it may be an argument of a jitted function or a part of a layer.

    Parameters
    ----------
    values
        (nonzeros,) the weights, row by row.
    indices
        (nonzeros,) the location of the grid that each belongs to.
    rows
        (nonzeros,) the location of the mesh that each belongs to.
    indptr
        (vertices + 1,) where each row begins, and the number of weights.
    coverage
        (vertices,) which share of what was asked for lies in kept voxels: of the ribbon's
        volume, or of the samples; 0 of a vertex whose value is NaN.
    grid, mesh
        Where data come from and go to.
    method
        As of `sampling_operator`.
    """

    values: Float[AnyArray, " nonzeros"]
    indices: Int32[AnyArray, " nonzeros"]
    rows: Int32[AnyArray, " nonzeros"]
    indptr: Int32[AnyArray, " ends"]
    coverage: Float[AnyArray, " vertices"]
    grid: VolumeGrid = eqx.field(static=True)
    mesh: SurfaceMesh = eqx.field(static=True)
    method: str = eqx.field(static=True)

    @classmethod
    def from_scipy(
        cls,
        matrix: "csr_array",
        coverage: Float[np.ndarray, " vertices"],
        grid: VolumeGrid,
        mesh: SurfaceMesh,
        *,
        method: str,
    ) -> "SamplingOperator":
        """Return the operator of a matrix (vertices, voxels), whose rows are scaled to sum to 1."""
        counts = np.diff(matrix.indptr)
        rows = np.repeat(np.arange(len(counts)), counts)
        totals = np.bincount(rows, weights=matrix.data, minlength=len(counts))
        # A row of zeros would be 0 / 0; there is none, as weights are positive.
        parts = (
            (matrix.data / totals[rows]).astype(np.float32),
            matrix.indices.astype(np.int32),
            rows.astype(np.int32),
            matrix.indptr.astype(np.int32),
            coverage.astype(np.float32),
        )
        values, indices, places, indptr, shares = (make_read_only(part) for part in parts)
        return cls(values, indices, places, indptr, shares, grid, mesh, method)

    @property
    def shape(self) -> tuple[int, int]:
        """(vertices, voxels): the kept ones of the mesh and of the grid."""
        return self.mesh.n_locations, self.grid.n_locations

    @property
    def is_empty(self) -> Bool[np.ndarray, " vertices"]:
        """Whether a vertex has no kept voxel, so that its value is NaN."""
        return np.asarray(self.coverage) == 0

    def __call__(self, data: AnyArray, *, missing: str = "propagate") -> Array:
        """Return data of voxels at the vertices.

        Parameters
        ----------
        data
            (..., voxels, k) values of the grid's kept voxels, real: as for
            `atlasinit.project`.
        missing
            ``"propagate"``: a NaN makes NaN of every vertex that its voxel has weight at.
            ``"omit"``: it is left out, and the weights of the other voxels are scaled up; a
            vertex whose voxels are all NaN is NaN.

        Returns
        -------
        jax.Array
            (..., vertices, k), in the dtype of `data` if it is floating, else float32; sums are
            in float32 or wider. NaN at the vertices without a kept voxel.

        Raises
        ------
        ValueError
            Another number of voxels, or another word for `missing`.
        TypeError
            Complex data.
        """
        if missing not in _MISSING:
            raise ArgumentError("missing", f"should be one of {list(_MISSING)}, got {missing!r}")
        array = _check(data, self.shape[1], "voxels")
        if missing == "propagate":
            return _blank(_product(self, array), self.coverage)
        lost = jnp.isnan(array)
        out = _product(self, jnp.where(lost, jnp.zeros((), array.dtype), array))
        # The weights of what was seen; 0 where nothing was, which is blanked.
        seen = _product(self, (~lost).astype(out.dtype))
        nothing = jnp.full((), jnp.nan, out.dtype)
        return jnp.where(seen > 0, out / jnp.where(seen > 0, seen, jnp.ones_like(seen)), nothing)

    def transpose(self, data: AnyArray) -> Array:
        """Return the adjoint operator's result, (..., vertices, k) to (..., voxels, k).

        ``sum(y * W(x)) == sum(W.transpose(y) * x)`` over the vertices that have voxels; values
        at the others are not read.
        """
        array = _check(data, self.shape[0], "vertices")
        return _compiled(self, array, transpose=True)

    def sample_maps(self, maps: Maps) -> SparseMaps:
        """Return the weights of parcels at the vertices, of maps on the grid's voxels.

        A weight is the mean of the voxels' weights; a label's is the share of what the vertex
        samples. A vertex without a kept voxel has none.
        """
        if maps.n_locations != self.shape[1]:
            raise ArgumentError(
                "maps",
                f"should have the operator's {self.shape[1]} voxels, got {maps.n_locations}",
            )
        # (parcels, voxels) @ (voxels, vertices), added up in float64.
        product = maps.to_scipy().astype(np.float64) @ self.to_scipy().T.tocsr()
        product.sort_indices()
        return SparseMaps.from_scipy(product.astype(np.float32))

    def to_scipy(self) -> "csr_array":
        """Return the matrix as ``scipy.sparse.csr_array``, float32, (vertices, voxels)."""
        from scipy.sparse import csr_array

        parts = (np.asarray(self.values), np.asarray(self.indices), np.asarray(self.indptr))
        return csr_array(parts, shape=self.shape).copy()

    def __repr__(self) -> str:
        return f"SamplingOperator({self.method}, {self.grid!r} to {self.mesh!r})"


# Functions, as each use of a module's method costs as much as the product of a column.
def _product(operator: SamplingOperator, data: AnyArray) -> Array:
    """Multiply by SciPy where nothing is traced and data are on the CPU, else as compiled."""
    parts = (operator.values, operator.indices, operator.indptr)
    if data.dtype != np.float32 or not all(is_host(array) for array in (data, *parts)):
        return _compiled(operator, jnp.asarray(data), transpose=False)
    # Voxels first, and all other axes as columns of one matrix.
    columns = np.moveaxis(np.asarray(data), -2, 0)
    flat = columns.reshape(len(columns), -1)
    values, indices, ends = (np.asarray(part) for part in parts)
    out = multiply(values, indices, ends, flat)
    return jnp.moveaxis(out.reshape(len(out), *columns.shape[1:]), 0, -2)


@functools.partial(jax.jit, static_argnames="transpose")
def _compiled(operator: SamplingOperator, data: Array, *, transpose: bool) -> Array:
    """Return the product, or the adjoint's, with batch axes and the last one taken together."""
    dtype = jnp.float64 if data.dtype == jnp.float64 else jnp.float32
    columns = jnp.moveaxis(data, -2, 0).astype(dtype)
    flat = columns.reshape(columns.shape[0], -1)
    values = jnp.asarray(operator.values, dtype)
    rows, indices = jnp.asarray(operator.rows), jnp.asarray(operator.indices)
    into, out_of = (indices, rows) if transpose else (rows, indices)
    n_out = operator.shape[1 if transpose else 0]

    def one(column: Array) -> Array:
        # Rows ascend, which makes sums of segments that lie in a row.
        sums = jnp.zeros(n_out, dtype)
        return sums.at[into].add(values * column[out_of], indices_are_sorted=not transpose)

    batch = max(1, _GATHERED // max(values.shape[0], 1))
    out = jax.lax.map(one, flat.T, batch_size=min(batch, max(1, flat.shape[1]))).T
    result = data.dtype if jnp.issubdtype(data.dtype, jnp.floating) else dtype
    return jnp.moveaxis(out.reshape(n_out, *columns.shape[1:]), 0, -2).astype(result)


def _blank(values: Array, coverage: AnyArray) -> Array:
    """Return values (..., vertices, k) with NaN at vertices without a voxel."""
    empty = jnp.broadcast_to((jnp.asarray(coverage) == 0)[:, None], values.shape)
    return jnp.where(empty, jnp.full((), jnp.nan, values.dtype), values)


def _check(data: AnyArray, n: int, what: str) -> AnyArray:
    data = to_native_order(data)
    if data.ndim < 2 or data.shape[-2] != n:
        raise ArgumentError(
            "data", f"should be (..., {what}, k) with {n} {what}, got shape {data.shape}"
        )
    if jnp.issubdtype(data.dtype, jnp.complexfloating):
        raise ArgumentTypeError("data", f"should be real, got {data.dtype}")
    return data
