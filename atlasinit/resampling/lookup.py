"""Where the voxels of a grid lie, looked up for positions in mm or for voxel indices."""

import dataclasses

import numpy as np
from jaxtyping import Float, Int

from atlasinit.core.geometry import VolumeGrid
from atlasinit.resampling.axes import snap


@dataclasses.dataclass(frozen=True, eq=False)
class Lookup:
    """Where the voxels of a grid lie, and which are kept: worked out once for all positions."""

    grid: VolumeGrid
    inverse: np.ndarray
    locations: np.ndarray

    @classmethod
    def build(cls, grid: VolumeGrid) -> "Lookup":
        """Return the lookup of a grid."""
        return cls(grid, np.linalg.inv(grid.affine), grid.locations.reshape(-1))

    def find_voxels(self, positions: Float[np.ndarray, "points 3"]) -> np.ndarray:
        """Return voxel coordinates; those at or halfway between centres exactly."""
        # World to voxel: positions are rows, hence the transposed matrix from the right.
        return snap(positions @ self.inverse[:3, :3].T + self.inverse[:3, 3])

    def find_locations(self, ijk: Int[np.ndarray, "... 3"]) -> Int[np.ndarray, "..."]:
        """Return the location of each voxel, -1 outside the grid or where not kept."""
        shape = np.array(self.grid.shape)
        inside = np.all((ijk >= 0) & (ijk < shape), axis=-1)
        # C order; voxel 0 in place of those outside, which are -1 after.
        flat = (ijk[..., 0] * shape[1] + ijk[..., 1]) * shape[2] + ijk[..., 2]
        return np.where(inside, self.locations[np.where(inside, flat, 0)], -1)
