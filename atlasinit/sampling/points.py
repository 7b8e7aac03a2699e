"""Sampling at points in mm: the voxel that holds each, or the voxels around it."""

from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, Float64, Int

from atlasinit.core.geometry import VolumeGrid
from atlasinit.core.mesh import triangle_normals

if TYPE_CHECKING:
    from scipy.sparse import csr_array

_ROUNDING = 1e-6
"""Share of a voxel within which a point lies halfway between two."""


def sample_points(
    grid: VolumeGrid, points: Float[np.ndarray, "vertices samples 3"], *, interpolation: str
) -> "tuple[csr_array, np.ndarray]":
    """Return the mean of samples as a matrix (vertices, voxels), and the share that counted.

    A sample counts where the voxel that holds it is kept; with ``"linear"`` the voxels around
    it have their trilinear weights, those that are not kept none, and the others are scaled up
    to 1.
    """
    from scipy.sparse import csr_array

    vertices, samples = points.shape[:2]
    positions = to_voxels(grid, points.reshape(-1, 3).astype(np.float64))
    # Halfway between two voxels always the upper one, whatever the last bit of an affine.
    held = find_locations(grid, np.floor(positions + 0.5 + _ROUNDING).astype(np.int64))
    columns, weights = held[:, None], np.ones((len(held), 1))
    if interpolation == "linear":
        columns, weights = _around(grid, positions)
        # Of what lies around a sample that counts one voxel at least, the nearest, is kept.
        weights = np.where(columns >= 0, weights, 0)
        weights = weights / np.maximum(weights.sum(axis=1, keepdims=True), 1e-300)
    used = (held >= 0)[:, None] & (columns >= 0) & (weights > 0)
    counted = (held >= 0).reshape(vertices, samples).sum(axis=1)
    rows = np.broadcast_to((np.arange(len(held)) // samples)[:, None], columns.shape)
    # Voxels that several samples of a vertex have in common are added up.
    entries = (weights[used], (rows[used], columns[used]))
    matrix = csr_array(entries, shape=(vertices, grid.n_locations))
    return matrix, counted / samples


def to_voxels(
    grid: VolumeGrid, points: Float64[np.ndarray, "points 3"]
) -> Float64[np.ndarray, "points 3"]:
    """Return the voxel coordinates of points in mm."""
    inverse = np.linalg.inv(grid.affine)
    return points @ inverse[:3, :3].T + inverse[:3, 3]


def find_locations(
    grid: VolumeGrid, ijk: Int[np.ndarray, "points 3"]
) -> Int[np.ndarray, " points"]:
    """Return the location of each voxel, -1 outside the grid or where not kept."""
    inside = np.all((ijk >= 0) & (ijk < np.array(grid.shape)), axis=1)
    # Voxel 0 in place of those outside, only so that they can be looked up.
    x, y, z = np.where(inside[:, None], ijk, 0).T
    return np.where(inside, grid.locations[x, y, z], -1)


def _around(
    grid: VolumeGrid, positions: Float64[np.ndarray, "points 3"]
) -> tuple[Int[np.ndarray, "points 8"], Float64[np.ndarray, "points 8"]]:
    """Return the eight voxels around each position, -1 for none, and their trilinear weights."""
    low = np.floor(positions).astype(np.int64)
    part = positions - low
    corners = list(np.ndindex(2, 2, 2))
    columns = [find_locations(grid, low + corner) for corner in corners]
    weights = [np.where(corner, part, 1 - part).prod(axis=1) for corner in corners]
    return np.stack(columns, axis=1), np.stack(weights, axis=1)


def points_between(
    white: Float[np.ndarray, "vertices 3"], pial: Float[np.ndarray, "vertices 3"], n_points: int
) -> Float64[np.ndarray, "vertices samples 3"]:
    """Return points from the one surface to the other, at equal steps, both ends included."""
    steps = np.linspace(0, 1, n_points)[:, None]
    inner, outer = white.astype(np.float64)[:, None], pial.astype(np.float64)[:, None]
    return inner + steps * (outer - inner)


def points_along_normals(
    points: Float[np.ndarray, "vertices 3"],
    faces: Int[np.ndarray, "faces 3"],
    *,
    radius: float,
    n_points: int,
) -> Float64[np.ndarray, "vertices samples 3"]:
    """Return points on the normal of each vertex, from `radius` mm within to as far without.

    A vertex's normal is the mean of its triangles' unit normals.
    """
    normals = triangle_normals(points, faces).T
    lengths = np.linalg.norm(normals, axis=1, keepdims=True)
    units = normals / np.where(lengths == 0, 1, lengths)
    sums = np.zeros((len(points), 3))
    for corner in faces.T:
        np.add.at(sums, corner, units)
    lengths = np.linalg.norm(sums, axis=1, keepdims=True)
    # A vertex of no triangle has no normal: all its samples are the vertex.
    sums /= np.where(lengths == 0, 1, lengths)
    offsets = np.linspace(-radius, radius, n_points)[:, None]
    return points.astype(np.float64)[:, None] + offsets * sums[:, None]
