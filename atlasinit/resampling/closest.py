"""The point of a mesh of triangles that lies closest to each of some points."""

import numpy as np
from jaxtyping import Float, Int

from atlasinit.support.threads import run_in_threads

_AT_ONCE = 2**14  # points that one thread looks up at a time
_TRIED = 8  # times more triangles, those of the next centres, are tried where one is not enough


def find_closest(
    points: Float[np.ndarray, "points 3"], corners: Float[np.ndarray, "faces 3 3"]
) -> tuple[Int[np.ndarray, " points"], Float[np.ndarray, "points 3"]]:
    """Return the closest triangle to each point, and the barycentric weights of its point.

    Parameters
    ----------
    points
        Positions.
    corners
        (faces, 3, 3) the positions of each triangle's corners; all have an area.

    Returns
    -------
    chosen
        (points,) the triangle, the exact one whatever the shapes of the others.
    weights
        (points, 3) of its corners: 0 or more, with the sum 1.
    """
    centres = corners.mean(axis=1)
    radii = np.sqrt(((corners - centres[:, None]) ** 2).sum(axis=2).max(axis=1))
    classes = _sort_by_size(radii, centres)
    chosen = np.zeros(len(points), np.int64)
    weights = np.zeros((len(points), 3))

    def look_up(some: slice) -> None:
        chosen[some], weights[some] = _look_up(points[some], corners, classes)

    starts = range(0, len(points), _AT_ONCE)
    run_in_threads(look_up, [(slice(start, start + _AT_ONCE),) for start in starts])
    return chosen, weights


def _sort_by_size(radii: np.ndarray, centres: np.ndarray) -> list[tuple]:
    """Return triangles in classes of size: their numbers, radii, and a tree of their centres.

    A few large triangles would make every search as wide as they are.
    """
    from scipy.spatial import KDTree

    # Up to twice the median in the first class, then up to four times, and so on.
    sizes = np.ceil(np.log2(radii / np.median(radii))).clip(1).astype(np.int64)
    members = [np.flatnonzero(sizes == size) for size in np.unique(sizes)]
    return [(own, radii[own], KDTree(centres[own])) for own in members]


def _look_up(
    points: np.ndarray, corners: np.ndarray, classes: list[tuple]
) -> tuple[np.ndarray, np.ndarray]:
    """Return what `find_closest` does."""
    chosen = np.zeros(len(points), np.int64)
    weights = np.zeros((len(points), 3))
    nearest = np.full(len(points), np.inf)

    def look_at(some: np.ndarray, faces: np.ndarray) -> None:
        """Take triangles that are closer to some points than what has been found."""
        found, distance = _closest_in_triangles(points[some], corners[faces])
        # By point, then by distance, then by number: the first of each point is the closest.
        order = np.lexsort((faces, distance, some))
        at, first = np.unique(some[order], return_index=True)
        best = order[first]
        closer = distance[best] < nearest[at]
        at, best = at[closer], best[closer]
        nearest[at], chosen[at], weights[at] = distance[best], faces[best], found[best]

    for own, radii, tree in classes:
        todo, k, seen = np.arange(len(points)), 1, 0
        while todo.size:
            away, tried = tree.query(points[todo], k=range(seen + 1, k + 1))
            # No point of a triangle is nearer than its centre less its radius.
            rows, columns = np.nonzero(away - radii[tried] < nearest[todo, None])
            look_at(todo[rows], own[tried[rows, columns]])
            if k == len(own):
                break
            # Others of the class may lie nearer only where its farthest that was tried may.
            todo = todo[away[:, -1] - radii.max() < nearest[todo]]
            seen, k = k, min(_TRIED * k, len(own))
    return chosen, weights


def _closest_in_triangles(
    points: Float[np.ndarray, "pairs 3"], corners: Float[np.ndarray, "pairs 3 3"]
) -> tuple[Float[np.ndarray, "pairs 3"], Float[np.ndarray, " pairs"]]:
    """Return the weights of the closest point of each triangle, and its distance."""
    # p - a = v (b - a) + w (c - a) + a normal: two equations for v and w, of scalar products.
    a, b, c = (corners[:, i] for i in range(3))
    first, second, to = b - a, c - a, points - a
    d11, d12, d22 = _dot(first, first), _dot(first, second), _dot(second, second)
    r1, r2 = _dot(to, first), _dot(to, second)
    # Not 0: the triangle has an area.
    determinant = d11 * d22 - d12**2
    v = (d22 * r1 - d12 * r2) / determinant
    w = (d11 * r2 - d12 * r1) / determinant
    weights = np.stack([1 - v - w, v, w], axis=1)
    # The plane's closest point lies outside of the triangle: then it is one of an edge.
    out = np.flatnonzero(weights.min(axis=1) < 0)
    if out.size:
        weights[out] = _closest_on_edges(points[out], corners[out])
    between = np.einsum("ij,ijk->ik", weights, corners) - points
    return weights, np.sqrt(_dot(between, between))


def _closest_on_edges(points: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """Return the weights of the closest point on the three edges of each triangle."""
    weights, distances = np.zeros((3, len(points), 3)), np.zeros((3, len(points)))
    for i in range(3):
        j = (i + 1) % 3
        edge = corners[:, j] - corners[:, i]
        share = (_dot(points - corners[:, i], edge) / _dot(edge, edge)).clip(0, 1)
        weights[i, :, i], weights[i, :, j] = 1 - share, share
        between = corners[:, i] + share[:, None] * edge - points
        distances[i] = _dot(between, between)
    return weights[distances.argmin(axis=0), np.arange(len(points))]


def _dot(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.einsum("ij,ij->i", a, b)
