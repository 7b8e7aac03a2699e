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

VIEWPOINTS = {
    side: np.array(axes, dtype=np.float64)
    for side, axes in {
        "left": [[0, -1, 0], [0, 0, 1], [-1, 0, 0]],
        "right": [[0, 1, 0], [0, 0, 1], [1, 0, 0]],
        "dorsal": [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
        "ventral": [[-1, 0, 0], [0, 1, 0], [0, 0, -1]],
        "anterior": [[-1, 0, 0], [0, 0, 1], [0, 1, 0]],
        "posterior": [[1, 0, 0], [0, 0, 1], [0, -1, 0]],
    }.items()
}
"""Where the viewer is, to the directions in mm that run to the right, up and towards the viewer."""

# A little from the front or the right and from above: the relief is seen.
_LIGHT = np.array([0.25, 0.45, 0.85]) / np.linalg.norm([0.25, 0.45, 0.85])

_THIN = 1e-9
"""Pixels of area, below which a triangle is none."""

_NEAR = 1e-7
"""Of a pixel, by which rounding may miss its centre."""

_AMBIENT = 0.58
_SULCI = 0.1
"""By how much sulci are darker and gyri brighter."""

_OPENED = 250.0
"""mm2 that the smoothing of a surface for display spreads: sulci open, gyri can be told."""


def surface_pixels(
    mesh: SurfaceMesh, surface: Surface | None, *, sides: Sequence[str], width: int = WIDTH
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Yield, for each side, the location that each pixel shows, the shade, and what is drawn.

    Nothing is yielded for a mesh without a surface. A pixel shows the vertex that is
    nearest in the triangle it falls into. Sides are of `VIEWPOINTS`.
    """
    found = find_surface(mesh) if surface is None else surface
    if found is None:
        return
    coordinates, faces = found[0].astype(np.float64), found[1]
    folds = np.zeros(mesh.n_vertices)
    if surface is None and mesh.anatomical is not None:
        folded, coordinates = coordinates, open_sulci(coordinates, faces)
        folds = _folds(folded, coordinates, _normals(coordinates, faces))
    normals = _normals(coordinates, faces)
    location = mesh.locations
    for side in sides:
        axes = VIEWPOINTS[side]
        face, weights = rasterise(coordinates, faces, axes=axes, width=width)
        drawn = face >= 0
        corners = faces[face[drawn]]
        lit = np.einsum("pc,pc->p", (normals @ (_LIGHT @ axes))[corners], weights)
        fold = np.einsum("pc,pc->p", folds[corners], weights)
        shade = np.ones(face.shape)
        shade[drawn] = (_AMBIENT + (1 - _AMBIENT) * lit.clip(0, 1)) * (1 + _SULCI * fold)
        shown = np.full(face.shape, -1, np.int32)
        nearest = corners[np.arange(len(corners)), weights.argmax(axis=1)]
        shown[drawn] = location[nearest]
        yield shown, shade, drawn.astype(np.float64)


def find_surface(mesh: SurfaceMesh) -> Surface | None:
    """Return what a mesh is drawn on: its anatomical surface, else its sphere; None without."""
    points = mesh.sphere if mesh.anatomical is None else mesh.anatomical
    return None if mesh.faces is None or points is None else (points, mesh.faces)


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
    axes: Float[np.ndarray, "3 3"],
    width: int = WIDTH,
) -> tuple[Int[np.ndarray, "rows columns"], Float[np.ndarray, "pixels 3"]]:
    """Return the face that each pixel shows, -1 for none, and where in it the pixel lies.

    An orthographic projection with a depth buffer.

    Parameters
    ----------
    axes
        What runs to the right, up and towards the viewer, as `VIEWPOINTS` has them.
    width
        Pixels along the longer side of what is seen.

    Returns
    -------
    face
        (rows, columns), the upper row first.
    weights
        (pixels, 3) barycentric coordinates of the pixels that show a face, in their order.
    """
    # Rows run down.
    seen = coordinates @ (axes * [[1], [-1], [1]]).T
    low = seen[:, :2].min(axis=0)
    sizes = seen[:, :2].max(axis=0) - low
    # Half a pixel of margin on each side, in the units of the plane.
    scale = (width - 1) / max(sizes.max(), 1e-9)
    points = np.column_stack([(seen[:, :2] - low) * scale + 0.5, seen[:, 2]])
    # Two at the least, as four are painted as one: of what is seen from its edge, too.
    columns, rows = (max(int(end) + 1, 2) for end in points[:, :2].max(axis=0))
    triangles = points[faces]
    a, b, c = np.moveaxis(triangles[..., :2], 1, 0)
    # Corners run anticlockwise for who sees a triangle from outside: clockwise where rows run down,
    # so with a negative area. The others are seen from behind, and hidden on a closed surface.
    facing = np.flatnonzero(_cross(b - a, c - a) < -_THIN)
    # Far ones first, as what is written last into a pixel stays.
    facing = facing[np.argsort(triangles[facing, :, 2].sum(axis=1), kind="stable")]
    triangles = triangles[facing]
    of, row, column = _cover_pixels(triangles[..., :2])
    pixel = row * columns + column
    planes = _planes(triangles[..., :2])
    # Of a face that is seen from its edge the planes are steep: never beyond its corners.
    low, high = triangles[..., 2].min(axis=1), triangles[..., 2].max(axis=1)
    start, along, down = (np.einsum("fk,fk->f", p, triangles[..., 2]) for p in planes)
    depth = np.clip(start[of] + along[of] * column + down[of] * row, low[of], high[of])
    shown = np.full(rows * columns, -1)
    depths = np.full(shown.size, -np.inf)
    # The order of whole faces is nearly that of the depths within a pixel: a few rounds do.
    while pixel.size:
        shown[pixel], depths[pixel] = of, depth
        nearer = depth > depths[pixel]
        of, pixel, depth = of[nearer], pixel[nearer], depth[nearer]
    drawn = np.flatnonzero(shown >= 0)
    row, column = np.divmod(drawn, columns)
    start, along, down = (p.take(shown[drawn], axis=0) for p in planes)
    weights = np.clip(start + along * column[:, None] + down * row[:, None], 0, 1)
    weights /= (weights[:, 0] + weights[:, 1] + weights[:, 2])[:, None]
    return np.append(facing, -1)[shown].reshape(rows, columns), weights


def _cover_pixels(
    triangles: Float[np.ndarray, "faces 3 2"],
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return (face, row, column) of the pixels whose centre a face covers, in the faces' order."""
    of, row = _enumerate(triangles[..., 1].min(axis=1), triangles[..., 1].max(axis=1))
    # Where a row through the pixels' centres enters and leaves: among the crossings of the edges.
    height = row + 0.5
    left, right = np.full(of.size, np.inf), np.full(of.size, -np.inf)
    for first, second in ((0, 1), (1, 2), (2, 0)):
        # From the lower end, so that two triangles find the same crossing of their common edge.
        swap = triangles[:, first, 1] > triangles[:, second, 1]
        p = np.where(swap[:, None], triangles[:, second], triangles[:, first])
        step = np.where(swap[:, None], triangles[:, first], triangles[:, second]) - p
        # An edge along a row ends where the two others do.
        slope = step[:, 0] / np.where(step[:, 1] > _NEAR, step[:, 1], np.inf)
        above = height - p[of, 1]
        at = p[of, 0] + above * slope[of]
        crosses = (above >= -_NEAR) & (above <= step[of, 1] + _NEAR) & (step[of, 1] > _NEAR)
        left = np.where(crosses, np.minimum(left, at), left)
        right = np.where(crosses, np.maximum(right, at), right)
    span, column = _enumerate(left, right)
    return of[span], row[span], column


def _enumerate(
    low: Float[np.ndarray, " n"], high: Float[np.ndarray, " n"]
) -> tuple[Int[np.ndarray, " pixels"], Int[np.ndarray, " pixels"]]:
    """Return the pixels whose centres lie between two ends, and of which ends each is.

    A centre on an end belongs to both sides, so that rounding leaves no hole.
    """
    empty = low > high
    first = np.ceil(np.where(empty, 0, low) - 0.5 - _NEAR).astype(np.int64)
    last = np.floor(np.where(empty, -1, high) - 0.5 + _NEAR).astype(np.int64)
    counts = np.maximum(last - first + 1, 0)
    of = np.repeat(np.arange(counts.size), counts)
    # Counted from 0 within each.
    number = np.arange(of.size) - np.repeat(np.cumsum(counts) - counts, counts)
    return of, first[of] + number


def _planes(
    triangles: Float[np.ndarray, "faces 3 2"],
) -> tuple[
    Float[np.ndarray, "faces 3"], Float[np.ndarray, "faces 3"], Float[np.ndarray, "faces 3"]
]:
    """Return the three barycentric coordinates as planes over the pixels.

    At the centre of the pixel in column 0 and row 0, and by how much they change from one
    column and from one row to the next.
    """
    a, b, c = np.moveaxis(triangles - 0.5, 1, 0)
    area = _cross(b - a, c - a)[:, None]
    # The area of the triangle of a point and the edge opposite a corner, over the whole area.
    start = np.stack([_cross(b, c), _cross(c, a), _cross(a, b)], axis=1) / area
    along = np.stack([b[:, 1] - c[:, 1], c[:, 1] - a[:, 1], a[:, 1] - b[:, 1]], axis=1) / area
    down = np.stack([c[:, 0] - b[:, 0], a[:, 0] - c[:, 0], b[:, 0] - a[:, 0]], axis=1) / area
    return start, along, down


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
