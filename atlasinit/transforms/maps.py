"""Maps of positions in mm (RAS+): matrices, fields of displacements, FSL's warps."""

import dataclasses
import functools
from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from jaxtyping import Bool, Float, Float64

from atlasinit.core.geometry import VolumeGrid

NOWHERE = 1e9
"""In mm: where a position is put that a warp says nothing of, far from every grid."""


PointMap: TypeAlias = Callable[[Float[np.ndarray, "points 3"]], Float[np.ndarray, "points 3"]]
"""From positions in the space that is moved to, to where they lie in the other, both in mm."""


@dataclasses.dataclass(frozen=True, eq=False)
class LinearMap:
    """A matrix (4, 4) of homogeneous positions."""

    matrix: Float64[np.ndarray, "4 4"]

    def __call__(self, points: Float[np.ndarray, "points 3"]) -> Float64[np.ndarray, "points 3"]:
        """Return positions in mm for positions in mm."""
        return _apply(self.matrix, points)


@dataclasses.dataclass(frozen=True, eq=False)
class FieldMap:
    """Displacements in mm on a grid, linear between its voxels.

    Positions outside of the field stay where they are, as ITK leaves them.
    """

    grid: VolumeGrid
    field: Float[np.ndarray, "x y z 3"]

    def __call__(self, points: Float[np.ndarray, "points 3"]) -> Float64[np.ndarray, "points 3"]:
        """Return positions in mm for positions in mm."""
        found, inside = _interpolate(self.field, _apply(np.linalg.inv(self.grid.affine), points))
        return np.where(inside[:, None], points + found, points)


@dataclasses.dataclass(frozen=True, eq=False)
class FslMap:
    """A warp of FSL, whose numbers are scaled voxels of the image that it moves.

    Parameters
    ----------
    grid
        Of the field, which is that of the image moved to.
    field
        Displacements, or positions where `absolute`.
    moving
        The grid of the image that was registered.
    """

    grid: VolumeGrid
    field: Float[np.ndarray, "x y z 3"]
    moving: VolumeGrid
    absolute: bool

    def __call__(self, points: Float[np.ndarray, "points 3"]) -> Float64[np.ndarray, "points 3"]:
        """Return positions in mm for positions in mm."""
        voxels = _apply(np.linalg.inv(self.grid.affine), points)
        found, inside = _interpolate(self.field, voxels)
        if not self.absolute:
            found = found + _apply(fsl_scaling(self.grid), voxels)
        out = _apply(self.moving.affine @ np.linalg.inv(fsl_scaling(self.moving)), found)
        return np.where(inside[:, None], out, NOWHERE)

    @classmethod
    def build(
        cls, grid: VolumeGrid, field: Float[np.ndarray, "x y z 3"], moving: VolumeGrid
    ) -> "FslMap":
        """Return the map of a field, which holds positions where it varies less about them."""
        # As FSL's tools tell: positions vary as the voxels do, displacements much less.
        places = _apply(fsl_scaling(grid), VolumeGrid(grid.shape, grid.affine).ijk)
        rest = field.reshape(-1, 3) - places
        absolute = bool(rest.var(axis=0).sum() < field.reshape(-1, 3).var(axis=0).sum())
        return cls(grid, field, moving, absolute)


@dataclasses.dataclass(frozen=True, eq=False)
class ChainedMap:
    """Several maps, the first of which is applied first."""

    parts: tuple[PointMap, ...]

    def __call__(self, points: Float[np.ndarray, "points 3"]) -> Float64[np.ndarray, "points 3"]:
        """Return positions in mm for positions in mm."""
        out = np.asarray(points, np.float64)
        for part in self.parts:
            out = part(out)
        return out


def find_matrix(points: PointMap) -> Float64[np.ndarray, "4 4"] | None:
    """Return the matrix of a map that is one, or several after each other; None for other maps."""
    parts = points.parts if isinstance(points, ChainedMap) else (points,)
    # What is applied last stands first.
    matrices = [part.matrix for part in reversed(parts) if isinstance(part, LinearMap)]
    return functools.reduce(np.matmul, matrices) if len(matrices) == len(parts) else None


def fsl_scaling(grid: VolumeGrid) -> Float64[np.ndarray, "4 4"]:
    """Return the matrix from voxels to FSL's coordinates.

    These are voxels times their edges, from the other end of the first axis where the affine has
    a positive determinant:
    https://fsl.fmrib.ox.ac.uk/fsl/docs/#/registration/flirt/faq
    """
    out = np.diag([*grid.voxel_sizes, 1.0])
    if np.linalg.det(grid.affine) > 0:
        out[0, 3] = (grid.shape[0] - 1) * grid.voxel_sizes[0]
        out[0, 0] *= -1
    return out


def _apply(
    matrix: Float64[np.ndarray, "4 4"], points: np.ndarray
) -> Float64[np.ndarray, "points 3"]:
    return points @ matrix[:3, :3].T + matrix[:3, 3]


def _interpolate(
    field: Float[np.ndarray, "x y z 3"], voxels: Float64[np.ndarray, "points 3"]
) -> tuple[Float64[np.ndarray, "points 3"], Bool[np.ndarray, " points"]]:
    """Return a field's values at voxel coordinates, and which of these lie in one of its voxels."""
    from scipy.ndimage import map_coordinates

    inside = ((voxels >= -0.5) & (voxels <= np.array(field.shape[:3]) - 0.5)).all(axis=1)
    # In the outer half of the outer voxels, the value at their centre.
    parts = [
        map_coordinates(field[..., a], voxels.T, output=np.float64, order=1, mode="nearest")
        for a in range(3)
    ]
    return np.stack(parts, axis=1), np.asarray(inside)
