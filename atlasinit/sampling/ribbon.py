"""How much of each voxel lies in the cortical ribbon around a vertex."""

from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, Float64, Int

from atlasinit.core.geometry import VolumeGrid
from atlasinit.sampling.surfaces import is_oriented
from atlasinit.support.threads import run_in_threads

if TYPE_CHECKING:
    from scipy.sparse import csr_array

_PAIRS = 2**21
"""Triangles times columns of points that are looked at together."""

# A prism of a triangle a b c between two surfaces has the corners a b c of the inner (0, 1, 2) and
# of the outer one (3, 4, 5). Its triangles face outwards. A side has four corners that do not lie
# in one plane: either diagonal cuts it, and each cut counts half.
_CAPS = [(0, 2, 1), (3, 4, 5)]
_SIDES = [
    triangle
    for a, b in ((0, 1), (1, 2), (2, 0))
    for triangle in (
        (a, b, b + 3),
        (a, b + 3, a + 3),
        (a, b, a + 3),
        (b, b + 3, a + 3),
    )
]
_TRIANGLES = np.array(_CAPS + _SIDES)
_WEIGHTS = np.array([1.0] * len(_CAPS) + [0.5] * len(_SIDES))


def ribbon_volumes(
    grid: VolumeGrid,
    faces: Int[np.ndarray, "faces 3"],
    white: Float[np.ndarray, "vertices 3"],
    pial: Float[np.ndarray, "vertices 3"],
    *,
    subdivisions: int,
    thin: bool = False,
) -> "csr_array":
    """Return the number of points of each voxel in the ribbon around each vertex.

    The ribbon around a vertex is what lies between the two surfaces in the triangles that it is
    a corner of; `thin`, in the third of each of them that is next to it, between the middles of
    edges and of triangles, so that the ribbons of two vertices have nothing in common. Each voxel
    has `subdivisions` ** 3 points, the centres of its parts.

    Returns
    -------
    (vertices, voxels), of all vertices and all voxels of the grid, in C order.
    """
    from scipy.sparse import csr_array

    n, oriented = len(white), is_oriented(faces)
    # (pieces, vertices) of ones: whose ribbon each triangle is a part of.
    owners = np.repeat(np.arange(len(faces)), 3), faces.reshape(-1)
    if thin:
        pieces = _thirds(faces, n)
        white, pial = (_refine(points, faces) for points in (white, pial))
        faces, owners = pieces, (np.arange(len(pieces)), pieces[:, 0])
    volumes = _prism_volumes(grid, faces, (white, pial), subdivisions)
    # What lies in a prism that is turned inside out, and in another one, lies in neither. Of
    # triangles that face several ways only the size of each prism is left.
    volumes = volumes if oriented else abs(volumes)
    of = csr_array((np.ones(owners[0].size), owners[::-1]), shape=(n, len(faces)))
    around = abs(csr_array(of @ volumes))
    around.eliminate_zeros()
    return around


def _thirds(faces: Int[np.ndarray, "faces 3"], n_vertices: int) -> Int[np.ndarray, "pieces 3"]:
    """Return the triangles of a mesh with its edges and triangles cut at their middles.

    Six of each, two next to each corner, which comes first; their other corners are the points
    that `_refine` adds.
    """
    edges = n_vertices + np.arange(len(faces))[:, None] + len(faces) * np.arange(3)
    centres = n_vertices + 3 * len(faces) + np.arange(len(faces))
    found = []
    for corner in range(3):
        ahead, behind = edges[:, corner], edges[:, corner - 1]
        found += [(faces[:, corner], ahead, centres), (faces[:, corner], centres, behind)]
    return np.concatenate([np.stack(triangle, axis=1) for triangle in found])


def _refine(
    points: Float[np.ndarray, "vertices 3"], faces: Int[np.ndarray, "faces 3"]
) -> Float64[np.ndarray, "more 3"]:
    """Return a surface's vertices, the middle of each triangle's edges, and that of triangles."""
    corners = points[faces].astype(np.float64)
    # Edge e of a triangle is that from its corner e to the next.
    middles = [(corners[:, e] + corners[:, (e + 1) % 3]) / 2 for e in range(3)]
    return np.concatenate([points, *middles, corners.mean(axis=1)])


def _prism_volumes(
    grid: VolumeGrid,
    faces: Int[np.ndarray, "faces 3"],
    surfaces: tuple[Float[np.ndarray, "vertices 3"], Float[np.ndarray, "vertices 3"]],
    subdivisions: int,
) -> "csr_array":
    """Return the number of points of each voxel in the prism of each triangle, or less than 0."""
    from scipy.sparse import csr_array

    inverse = np.linalg.inv(grid.affine)
    inner, outer = (
        # Scaled so that the points of the voxels are the whole numbers: voxel v has those from
        # v s to v s + s - 1, around its centre.
        (points.astype(np.float64) @ inverse[:3, :3].T + inverse[:3, 3] + 0.5) * subdivisions - 0.5
        for points in surfaces
    )
    corners = np.concatenate([inner[faces], outer[faces]], axis=1)  # (faces, 6, 3)
    sizes = np.array(grid.shape) * subdivisions
    low, high = corners.min(axis=1), corners.max(axis=1)
    near = np.flatnonzero(((high >= 0) & (low <= sizes - 1)).all(axis=1))
    # Parts of about as many columns of points as fit together.
    columns = np.prod(high[near, :2] - low[near, :2] + 1, axis=1) * len(_TRIANGLES)
    ends = np.searchsorted(np.cumsum(columns), np.arange(_PAIRS, columns.sum(), _PAIRS))
    parts = [part for part in np.split(near, ends) if part.size]
    found = run_in_threads(_count, [(corners[p], p, grid.shape, subdivisions) for p in parts])
    entries = [np.concatenate(part) for part in zip(*found, strict=True)] or [np.zeros(0)] * 3
    counts, owners, voxels = entries[0], *(part.astype(np.int64) for part in entries[1:])
    shape = (len(faces), int(np.prod(grid.shape)))
    # Above and below a prism the counts of its triangles cancel. Where surfaces cross, or triangles
    # face the other way, a prism is turned inside out, and its counts are negative.
    return csr_array((counts, (owners, voxels)), shape=shape)


def _count(
    corners: Float64[np.ndarray, "prisms 6 3"],
    owners: Int[np.ndarray, " prisms"],
    shape: tuple[int, int, int],
    subdivisions: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return counts of points, the prism of each and its voxel; counts of one voxel are added."""
    prism, column, weights, heights = _cross(corners, np.array(shape[:2]) * subdivisions)
    # A crossing at the height z counts for all points of its column up to z, which is what lies
    # below a triangle that faces up, and is taken off again below one that faces down. Only voxels
    # from the prism's lowest on can have anything left.
    top = np.floor(heights).astype(np.int64)
    lowest = np.floor(corners[:, :, 2].min(axis=1)).astype(np.int64)
    first = np.clip(lowest // subdivisions, 0, shape[2])[prism]
    last = np.minimum(top // subdivisions, shape[2] - 1)
    each = np.maximum(last - first + 1, 0)
    k = _steps(each) + np.repeat(first, each)
    points = np.clip(np.repeat(top, each) - k * subdivisions + 1, 0, subdivisions)
    ij = np.repeat(column // subdivisions, each, axis=0)
    voxels = (ij[:, 0] * shape[1] + ij[:, 1]) * shape[2] + k
    # Added up here, as there are many columns of points to a voxel. The weights are halves, and
    # so add up without rounding.
    place = np.repeat(prism, each) * np.prod(shape) + voxels
    unique, index = np.unique(place, return_inverse=True)
    counts = np.bincount(index, weights=np.repeat(weights, each) * points, minlength=unique.size)
    left = counts != 0
    own, voxel = np.divmod(unique[left], np.prod(shape))
    return counts[left], owners[own], voxel


def _cross(
    corners: Float64[np.ndarray, "prisms 6 3"], sizes: Int[np.ndarray, "2"]
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return where columns of points, along the last axis, cross the triangles of prisms.

    Returns
    -------
    Of each crossing its prism, its column (two indices), its weight (positive where the triangle
    faces up) and its height.
    """
    triangles = corners[:, _TRIANGLES].reshape(-1, 3, 3)
    low = np.maximum(np.ceil(triangles[:, :, :2].min(axis=1)), 0).astype(np.int64)
    high = np.minimum(np.floor(triangles[:, :, :2].max(axis=1)), sizes - 1).astype(np.int64)
    wide = np.maximum(high - low + 1, 0)
    each = wide.prod(axis=1)
    triangle = np.repeat(np.arange(len(triangles)), each)
    i, j = np.divmod(_steps(each), np.maximum(wide[triangle, 1], 1))
    column = low[triangle] + np.stack([i, j], axis=1)
    turns = np.zeros(len(triangle), np.int8)
    for a, b in ((0, 1), (1, 2), (2, 0)):
        turns += _turn(triangles[:, a, :2], triangles[:, b, :2], triangle, column)
    hit = turns != 0
    triangle, column, turns = triangle[hit], column[hit], turns[hit]
    weights = turns * _WEIGHTS[triangle % len(_TRIANGLES)]
    return triangle // len(_TRIANGLES), column, weights, _heights(triangles[triangle], column)


def _turn(
    a: Float64[np.ndarray, "triangles 2"],
    b: Float64[np.ndarray, "triangles 2"],
    triangle: Int[np.ndarray, " pairs"],
    column: Int[np.ndarray, "pairs 2"],
) -> Int[np.ndarray, " pairs"]:
    """Return whether an edge passes to the right of a point: 1 upwards, -1 downwards, 0 if not.

    The sum over the edges of a triangle is how often it turns around the point.
    """
    # From the lower end to the upper one, whichever way the edge runs: the two triangles that have
    # it in common find the same, to the last bit, so that no point is lost or found twice.
    swap = (b[:, 1] < a[:, 1]) | ((b[:, 1] == a[:, 1]) & (b[:, 0] < a[:, 0]))
    lower, upper = np.where(swap[:, None], b, a), np.where(swap[:, None], a, b)
    rise = upper[:, 1] - lower[:, 1]
    slope = (upper[:, 0] - lower[:, 0]) / np.where(rise == 0, 1, rise)
    x, y = column.T
    # A point at an end belongs to one of the two edges that meet there.
    passes = (lower[triangle, 1] <= y) & (y < upper[triangle, 1])
    right = lower[triangle, 0] + (y - lower[triangle, 1]) * slope[triangle] > x
    return np.where(passes & right, np.where(swap, -1, 1)[triangle], 0).astype(np.int8)


def _heights(
    triangles: Float64[np.ndarray, "pairs 3 3"], column: Int[np.ndarray, "pairs 2"]
) -> Float64[np.ndarray, " pairs"]:
    """Return where a column of points meets the plane of a triangle that it passes through."""
    a, b, c = (triangles[:, corner] for corner in range(3))
    u, v, w = b - a, c - a, column - a[:, :2]
    area = u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0]
    area = np.where(area == 0, 1, area)
    s = (w[:, 0] * v[:, 1] - w[:, 1] * v[:, 0]) / area
    t = (u[:, 0] * w[:, 1] - u[:, 1] * w[:, 0]) / area
    z = triangles[:, :, 2]
    # Within the triangle, also where it is so steep that rounding would lead out of it.
    return np.clip(a[:, 2] + s * u[:, 2] + t * v[:, 2], z.min(axis=1), z.max(axis=1))


def _steps(counts: Int[np.ndarray, " n"]) -> Int[np.ndarray, " total"]:
    """Return 0, 1, ... for each count, one after another: [2, 3] gives [0, 1, 0, 1, 2]."""
    ends = np.cumsum(counts)
    return np.arange(ends[-1] if ends.size else 0) - np.repeat(ends - counts, counts)
