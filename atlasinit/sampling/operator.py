"""The linear operator from the kept voxels of a grid to the kept vertices of a mesh."""

from typing import TYPE_CHECKING, Any

import equinox as eqx
import numpy as np
from jaxtyping import Array, Bool, Float

from atlasinit.core.geometry import SurfaceMesh, VolumeGrid
from atlasinit.core.maps import Maps, SparseMaps
from atlasinit.errors import ArgumentError
from atlasinit.projection.checks import check_size
from atlasinit.support.arrays import make_read_only
from atlasinit.support.averaging import SparseMeans
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

    def __call__(self, data: Any, *, missing: str = "propagate") -> Array:
        """Return data of voxels at the vertices.

        Parameters
        ----------
        data
            (..., voxels, time) or (voxels,) values of the grid's kept voxels, floating: as for
            `atlasinit.project`.
        missing
            ``"propagate"``: a NaN makes NaN of every vertex that its voxel has weight at.
            ``"omit"``: it is left out, and the weights of the other voxels are scaled up; a
            vertex whose voxels are all NaN is NaN.

        Returns
        -------
        jax.Array
            (..., vertices, time) or (vertices,), in the dtype of `data`; sums are in float32 or
            wider. NaN at the vertices without a kept voxel.

        Raises
        ------
        ValueError
            Another number of voxels, or another word for `missing`.
        TypeError
            Data that is not floating: means of labels are none.
        """
        values = check_size(data, self.shape[1], "data", "voxels")
        return self.means.average(values, missing=missing)

    def transpose(self, data: Any) -> Array:
        """Return the adjoint operator's result, (..., vertices, time) to (..., voxels, time).

        ``sum(y * W(x)) == sum(W.transpose(y) * x)`` over the vertices that have voxels; values
        at the others are not read.
        """
        return self.means.transpose(check_size(data, self.shape[0], "data", "vertices"))

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
