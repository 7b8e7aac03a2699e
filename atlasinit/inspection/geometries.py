"""Grids and meshes in a few words."""

from atlasinit.core.geometry import Geometry, VolumeGrid
from atlasinit.io.contents import is_line
from atlasinit.io.meshes import STANDARD


def describe_geometry(geometry: Geometry) -> str:
    """Return the locations of a geometry, and which standard mesh has so many vertices."""
    if not isinstance(geometry, VolumeGrid):
        return _of(geometry.n_locations, geometry.n_vertices, "vertices") + _usual(
            geometry.n_vertices
        )
    # An image of one line of voxels holds values of vertices.
    if is_line(geometry.shape):
        return f"{geometry.n_locations} vertices{_usual(geometry.n_locations)}"
    shape = " x ".join(map(str, geometry.shape))
    return f"{geometry.n_locations} voxels of {describe_sizes(geometry)} mm, in a grid of {shape}"


def describe_sizes(grid: VolumeGrid) -> str:
    """Return the edges of a voxel, as ``"2 x 2 x 2"``."""
    return " x ".join(f"{size:.4g}" for size in grid.voxel_sizes)


def _of(part: int, whole: int, what: str) -> str:
    return f"{whole} {what}" if part == whole else f"{part} of {whole} {what}"


def _usual(n_vertices: int) -> str:
    usual = STANDARD.get(n_vertices)
    return f" (as {usual} has)" if usual else ""
