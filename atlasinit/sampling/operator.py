"""The linear operator from the kept voxels of a grid to the kept vertices of a mesh."""

from typing import TYPE_CHECKING

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from atlasinit.core.geometry import SurfaceMesh, VolumeGrid
from atlasinit.core.maps import Maps, SparseMaps
from atlasinit.errors import ArgumentError, ArgumentTypeError
from atlasinit.support.arrays import make_read_only
from atlasinit.support.averaging import SparseMeans
from atlasinit.support.threads import to_native_order
from atlasinit.support.typing import AnyArray

if TYPE_CHECKING:
    from scipy.sparse import csr_array


class SamplingOperator(eqx.Module):
    r"""Values of voxels at the vertices of a mesh: each a weighted mean, :math:`y = W x`.

    Made by `sampling_operator`. The rows of :math:`W` sum to 1; one of a vertex without any
    kept voxel is empty, and its value is NaN. The operator is a pytree whose leaves are the
    arrays: it may be an argument of a jitted function or a part of a layer.

    Parameters
    ----------
    means
        The weights, (vertices, voxels).
    coverage
        (vertices,) which share of what was asked for lies in kept voxels: of the ribbon's
        volume, or of the samples; 0 of a vertex whose value is NaN.
    grid, mesh
        Where data come from and go to.
    method
        As of `sampling_operator`.
    """

    means: SparseMeans
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
        shares = make_read_only(coverage.astype(np.float32))
        return cls(SparseMeans.from_scipy(matrix), shares, grid, mesh, method)

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
        return self.means.average(_check(data, self.shape[1], "voxels"), missing=missing)

    def transpose(self, data: AnyArray) -> Array:
        """Return the adjoint operator's result, (..., vertices, k) to (..., voxels, k).

        ``sum(y * W(x)) == sum(W.transpose(y) * x)`` over the vertices that have voxels; values
        at the others are not read.
        """
        return self.means.transpose(_check(data, self.shape[0], "vertices"))

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
        return self.means.to_scipy()

    def __repr__(self) -> str:
        return f"SamplingOperator({self.method}, {self.grid!r} to {self.mesh!r})"


def _check(data: AnyArray, n: int, what: str) -> AnyArray:
    data = to_native_order(data)
    if data.ndim < 2 or data.shape[-2] != n:
        raise ArgumentError(
            "data", f"should be (..., {what}, k) with {n} {what}, got shape {data.shape}"
        )
    if jnp.issubdtype(data.dtype, jnp.complexfloating):
        raise ArgumentTypeError("data", f"should be real, got {data.dtype}")
    return data
