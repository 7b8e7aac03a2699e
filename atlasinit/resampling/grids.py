"""Resampling between grids: positions in mm, looked up among the voxels of the source."""

from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, Int

from atlasinit.core.geometry import VolumeGrid
from atlasinit.resampling.matrices import pick, weigh

if TYPE_CHECKING:
    from scipy.sparse import csr_array

_ROUNDING = 1e-4
"""Share of a voxel by which the affines of images, stored in float32, miss their numbers."""


def nearest_voxels(source: VolumeGrid, positions: Float[np.ndarray, "targets 3"]) -> "csr_array":
    """Return the matrix (targets, sources) of the voxel that each position in mm lies in."""
    # Not rint, which at a half goes to the even voxel: here always to the upper one.
    voxels = np.floor(_voxel_positions(source, positions) + 0.5)
    return pick(_find_locations(source, voxels.astype(np.int64)), source.n_locations)


def trilinear(source: VolumeGrid, positions: Float[np.ndarray, "targets 3"]) -> "csr_array":
    """Return the matrix (targets, sources) of the eight voxels around each position in mm."""
    voxels = _voxel_positions(source, positions)
    # The eight voxels around a position, each by the product of its three shares.
    low = np.floor(voxels).astype(np.int64)
    part = voxels - low
    columns, weights = [], []
    for corner in np.ndindex(2, 2, 2):
        columns.append(_find_locations(source, low + corner))
        weights.append(np.where(corner, part, 1 - part).prod(axis=1))
    return weigh(np.stack(columns, 1), np.stack(weights, 1), source.n_locations)


def _voxel_positions(
    source: VolumeGrid, positions: Float[np.ndarray, "targets 3"]
) -> Float[np.ndarray, "targets 3"]:
    """Return voxel coordinates; those at or halfway between centres, but for rounding, exactly."""
    # World to voxel: positions are rows, hence the transposed matrix from the right.
    inverse = np.linalg.inv(source.affine)
    voxels = positions @ inverse[:3, :3].T + inverse[:3, 3]
    halves = np.rint(2 * voxels) / 2
    # At a half which of two voxels is the nearest must not hang on the last bit of an affine.
    return np.where(np.abs(voxels - halves) < _ROUNDING, halves, voxels)


def _find_locations(
    source: VolumeGrid, ijk: Int[np.ndarray, "targets 3"]
) -> Int[np.ndarray, " targets"]:
    """Return the source location of each voxel, -1 outside the grid or where not kept."""
    inside = np.all((ijk >= 0) & (ijk < np.array(source.shape)), axis=1)
    # Voxel 0 in place of those outside, only so that they can be looked up; they are -1 after.
    x, y, z = np.where(inside[:, None], ijk, 0).T
    return np.where(inside, source.locations[x, y, z], -1)
