"""Which vertex each pixel of a drawn surface shows, and how much light falls there."""

from collections.abc import Iterator, Sequence
from typing import TypeAlias

import numpy as np
from jaxtyping import Float, Int

from atlasinit.core.geometry import SurfaceMesh, triangle_normals

Surface: TypeAlias = tuple[np.ndarray, np.ndarray]
"""Coordinates (vertices, 3) in mm and faces (faces, 3)."""

WIDTH = 1160
"""Pixels from side to side of a surface, of which each four are painted as one."""

_PIXELS = 2**20
"""Pixels that are looked at together."""

_AMBIENT = 0.58
_SULCI = 0.1
"""By how much sulci are darker and gyri brighter."""

_OPENED = 250.0
"""mm2 that the smoothing of a surface for display spreads: sulci open, gyri can be told."""


def surface_pixels(
    mesh: SurfaceMesh, surface: Surface | None, *, from_left: Sequence[bool], width: int = WIDTH
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Yield, for each side, the location that each pixel shows, the shade, and what is drawn.

    Nothing is yielded for a mesh without a surface. A pixel shows the vertex that is
    nearest in the triangle it falls into.
    """
    folds = np.zeros(mesh.n_vertices)
    if surface is not None:
        coordinates, faces = surface[0].astype(np.float64), surface[1]
    elif mesh.faces is None or (mesh.anatomical is None and mesh.sphere is None):
        return
    elif mesh.anatomical is None:
        assert mesh.sphere is not None
        coordinates, faces = mesh.sphere.astype(np.float64), mesh.faces
    else:
        folded, faces = mesh.anatomical.astype(np.float64), mesh.faces
        coordinates = open_sulci(folded, faces)
        folds = _folds(folded, coordinates, _normals(coordinates, faces))
    normals = _normals(coordinates, faces)
    location = mesh.locations
    for left in from_left:
        towards = -1.0 if left else 1.0
        face, weights = rasterise(coordinates, faces, from_left=left, width=width)
        drawn = face >= 0
        corners = faces[face[drawn]]
        # From the viewer, a little from the front and from above: the relief is seen.
        light = np.array([0.85 * towards, 0.25 * towards, 0.45])
        lit = np.einsum("pcx,pc,x->p", normals[corners], weights, light / np.linalg.norm(light))
        fold = np.einsum("pc,pc->p", folds[corners], weights)
        shade = np.ones(face.shape)
        shade[drawn] = (_AMBIENT + (1 - _AMBIENT) * lit.clip(0, 1)) * (1 + _SULCI * fold)
        shown = np.full(face.shape, -1, np.int32)
        nearest = corners[np.arange(len(corners)), weights.argmax(axis=1)]
        shown[drawn] = location[nearest]
        yield shown, shade, drawn.astype(np.float64)


def open_sulci(
    coordinates: Float[np.ndarray, "vertices 3"], faces: Int[np.ndarray, "faces 3"]
) -> Float[np.ndarray, "vertices 3"]:
    """Return a folded surface with its sulci opened, for display.

    Each vertex moves half-way to the mean of its neighbours, until that has spread as far
    on a fine mesh as on a coarse one; then the surface is scaled to the box it filled.
    """
    from scipy.sparse import csr_array

    a, b = faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2).T
    n = len(coordinates)
    ends = (np.concatenate([a, b]), np.concatenate([b, a]))
    # An edge of two triangles is entered twice and counts once.
    joined = csr_array((np.ones(2 * a.size), ends), shape=(n, n))
    joined.data[:] = 1
    mean = joined.multiply(1 / np.maximum(joined.sum(axis=1), 1)[:, None]).tocsr()
    # n averages over neighbours spread by about sqrt(n) edges: n = area / edge^2.
    edge = np.linalg.norm(coordinates[a] - coordinates[b], axis=1).mean()
    out = coordinates
    for _ in range(int(np.clip(_OPENED / edge**2, 5, 200))):
        out = 0.5 * (out + mean @ out)
    out = out - out.mean(axis=0)
    sizes = np.ptp(out, axis=0)
    return out * (np.ptp(coordinates, axis=0) / np.where(sizes == 0, 1, sizes))


def rasterise(
    coordinates: Float[np.ndarray, "vertices 3"],
    faces: Int[np.ndarray, "faces 3"],
    *,
    from_left: bool,
    width: int = WIDTH,
) -> tuple[Int[np.ndarray, "rows columns"], Float[np.ndarray, "pixels 3"]]:
    """Return the face that each pixel shows, -1 for none, and where in it the pixel lies.

    An orthographic projection along x with a depth buffer.

    Returns
    -------
    face
        (rows, columns), the upper row first.
    weights
        (pixels, 3) barycentric coordinates of the pixels that show a face, in their order.
    """
    towards = -1.0 if from_left else 1.0
    # Columns run along y, to the right for who looks from the right, and rows down along z.
    plane = coordinates[:, 1:] * [towards, -1]
    low, high = plane.min(axis=0), plane.max(axis=0)
    # Half a pixel of margin on each side, in the units of the plane.
    scale = (width - 1) / max(high[0] - low[0], 1e-9)
    points = np.column_stack([(plane - low) * scale + 0.5, towards * coordinates[:, 0]])
    shape = (int(points[:, 1].max()) + 2, width)
    shown = np.full(shape[0] * shape[1], -1)
    depths = np.full(shown.shape, -np.inf)
    weights = np.zeros((shown.size, 3))
    triangles = points[faces]
    a, b, c = np.moveaxis(triangles[..., :2], 1, 0)
    # Corners run anticlockwise for who sees a triangle from outside: clockwise where rows run down,
    # so with a negative area. The others are seen from behind, and hidden on a closed surface.
    facing = np.flatnonzero(_cross(b - a, c - a) < 0)
    for some in _portions(triangles, facing):
        face, pixel, inner, depth = _cover_pixels(triangles, some, shape[1])
        # By pixel, and by depth within it: the last entry of each pixel is the nearest face.
        order = np.lexsort((depth, pixel))
        last = order[np.append(np.diff(pixel[order]) > 0, True)[: order.size]]
        last = last[depth[last] > depths[pixel[last]]]
        depths[pixel[last]] = depth[last]
        shown[pixel[last]] = face[last]
        weights[pixel[last]] = inner[last]
    return shown.reshape(shape), weights[shown >= 0]


def _portions(
    triangles: Float[np.ndarray, "faces 3 3"], facing: Int[np.ndarray, " some"]
) -> Iterator[Int[np.ndarray, " few"]]:
    """Yield faces whose bounding boxes hold a bounded number of pixels together."""
    sizes = np.ptp(triangles[facing, :, :2], axis=1).prod(axis=1)
    yield from np.split(facing, np.flatnonzero(np.diff(np.cumsum(sizes) // _PIXELS)) + 1)


def _cover_pixels(
    triangles: Float[np.ndarray, "faces 3 3"], some: Int[np.ndarray, " some"], width: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return (face, pixel, barycentric weights, depth) of pixels whose centre a face covers."""
    flat = triangles[some, :, :2]
    first = np.floor(flat.min(axis=1)).astype(np.int64)
    spans = np.floor(flat.max(axis=1)).astype(np.int64) - first + 1
    counts = spans.prod(axis=1)
    # Every pixel of every face's bounding box: `number` counts from 0 within each box.
    of = np.repeat(np.arange(some.size), counts)
    number = np.arange(of.size) - np.repeat(np.cumsum(counts) - counts, counts)
    column = first[of, 0] + number % spans[of, 0]
    row = first[of, 1] + number // spans[of, 0]
    # Corners as seen from the pixel's centre: the area of the triangle of the centre and the edge
    # opposite a corner, over the whole area, is that corner's barycentric weight.
    a, b, c = np.moveaxis(flat[of] - np.stack([column, row], axis=1)[:, None] - 0.5, 1, 0)
    areas = np.stack([_cross(b, c), _cross(c, a), _cross(a, b)], axis=1)
    total = areas.sum(axis=1)
    # A pixel on an edge belongs to both triangles, so that rounding leaves no hole.
    inside = (areas * np.sign(total)[:, None] >= -1e-9 * np.abs(total)[:, None]).all(axis=1)
    inside &= total != 0
    inner = areas[inside] / total[inside, None]
    face = some[of[inside]]
    depth = np.einsum("pc,pc->p", inner, triangles[face, :, 2])
    return face, row[inside] * width + column[inside], inner, depth


def _cross(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]


def _normals(coordinates: np.ndarray, faces: np.ndarray) -> np.ndarray:
    # Normals of the faces at each vertex, which count by the faces' areas, as long as these.
    of_faces = np.repeat(triangle_normals(coordinates, faces), 3, axis=1)
    corners = faces.reshape(-1)
    n = len(coordinates)
    normals = np.stack([np.bincount(corners, w, minlength=n) for w in of_faces], axis=1)
    lengths = np.linalg.norm(normals, axis=1, keepdims=True)
    return normals / np.where(lengths == 0, 1, lengths)


def _folds(folded: np.ndarray, smooth: np.ndarray, normals: np.ndarray) -> np.ndarray:
    """Return from -1 in sulci to 1 on gyri: how far the folds stand out of the opened surface."""
    height = np.einsum("vx,vx->v", folded - folded.mean(axis=0) - smooth, normals)
    # In units of its own spread, so that few folds are at the ends of the scale.
    return np.tanh(1.5 * height / (height.std() or 1))
