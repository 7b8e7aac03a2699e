"""Geodesic kernels on the anatomical surface."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, Int

from atlasinit.core.geometry import SurfaceMesh
from atlasinit.core.mesh import advise_surface
from atlasinit.errors import ArgumentError
from atlasinit.smoothing.blocks import TILE, BlockKernel, block_kernel
from atlasinit.smoothing.checks import check_triangles, warn_if_alone
from atlasinit.support.tiling import spheres, tiles

if TYPE_CHECKING:
    from scipy.sparse import csr_array

_PATCH = 16  # tiles whose shortest paths are found together


def surface_kernel(mesh: SurfaceMesh, *, reach: float) -> BlockKernel:
    """Return the kernel of geodesic distances on the mesh's anatomical surface."""
    if mesh.anatomical is None:
        raise ArgumentError(
            "geometry",
            ": smoothing on the anatomical surface needs the mesh's `anatomical` surface (the "
            "midthickness), and this mesh has none",
            advise_surface("anatomical") + ", or smooth on the sphere",
        )
    from scipy.spatial import KDTree

    coordinates = mesh.anatomical.astype(np.float64)
    faces = check_triangles(mesh, coordinates, "anatomical")
    warn_if_alone(KDTree(coordinates[mesh.vertices]), reach)
    graph = geodesic_graph(coordinates, faces)
    reach = min(reach, float(graph.sum()))  # no path is longer
    groups = list(_distances(mesh, graph, reach))
    return block_kernel(groups, n_locations=mesh.n_locations, reach=reach)


def geodesic_graph(
    coordinates: Float[np.ndarray, "vertices 3"], faces: Int[np.ndarray, "faces 3"]
) -> "csr_array":
    """Return the lengths of all edges and of the diagonals across them, as a sparse matrix.

    A diagonal joins the two vertices opposite an edge by the straight line in the plane
    into which its two triangles unfold; one that would leave them is left out.
    """
    from scipy.sparse import csr_array

    n = len(coordinates)
    # Each face three times: an edge a-b and the vertex opposite it.
    a, b, opposite = faces[:, [0, 1, 2, 1, 2, 0, 2, 0, 1]].reshape(-1, 3).T
    low, high = np.minimum(a, b), np.maximum(a, b)
    order = np.lexsort((high, low))
    low, high, opposite = low[order], high[order], opposite[order]
    # Sorted, the two faces of an edge follow one another; an edge at the border has one.
    again = np.r_[False, (low[1:] == low[:-1]) & (high[1:] == high[:-1])]
    second = np.flatnonzero(again)
    p, q = opposite[second - 1], opposite[second]
    length, inside = _unfold(coordinates, low[second], high[second], (p, q))
    edges = np.linalg.norm(coordinates[low[~again]] - coordinates[high[~again]], axis=1)
    start = np.concatenate([low[~again], np.minimum(p, q)[inside]])
    end = np.concatenate([high[~again], np.maximum(p, q)[inside]])
    lengths = np.concatenate([edges, length[inside]])
    # Two diagonals, or a diagonal and an edge, may join the same vertices: the shortest stays.
    order = np.lexsort((lengths, end, start))
    start, end, lengths = start[order], end[order], lengths[order]
    first = np.r_[True, (np.diff(start) != 0) | (np.diff(end) != 0)]
    start, end, lengths = start[first], end[first], lengths[first]
    both = (np.concatenate([start, end]), np.concatenate([end, start]))
    return csr_array((np.concatenate([lengths, lengths]), both), shape=(n, n))


def _unfold(
    coordinates: np.ndarray, a: np.ndarray, b: np.ndarray, opposite: tuple[np.ndarray, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Return the lengths of the diagonals across the edges a-b, and whether they cross them."""
    edge = coordinates[b] - coordinates[a]
    length = np.linalg.norm(edge, axis=1)
    # Each opposite vertex in the frame of the edge: how far along it, and how far away from it.
    along, away = [], []
    for vertex in opposite:
        arm = coordinates[vertex] - coordinates[a]
        along.append(np.einsum("ei,ei->e", arm, edge) / length)
        away.append(np.sqrt(np.maximum(np.einsum("ei,ei->e", arm, arm) - along[-1] ** 2, 0)))
    # Where the straight line between the two opposite vertices meets the edge, from its start.
    crossing = (along[0] * away[1] + along[1] * away[0]) / (away[0] + away[1])
    # Unfolded, the two lie on opposite sides of the edge: their distances from it add up.
    return np.hypot(along[0] - along[1], away[0] + away[1]), (crossing > 0) & (crossing < length)


def _distances(
    mesh: SurfaceMesh, graph: "csr_array", reach: float
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Yield tiles, the locations in their reach, and the squared distances (rows, columns).

    Shortest paths are searched in the part of the graph that lies, in straight lines, within
    the reach of a patch of tiles: a path cannot leave it. They may cross vertices that are
    not kept.
    """
    from scipy.sparse.csgraph import dijkstra
    from scipy.spatial import KDTree

    assert mesh.anatomical is not None
    points = mesh.anatomical.astype(np.float64)
    location = mesh.locations
    tree = KDTree(points)
    groups = tiles(points[mesh.vertices], size=TILE)
    centres, radii = spheres(points[mesh.vertices], groups)
    for start in range(0, len(groups), _PATCH):
        some = slice(start, start + _PATCH)
        patch = groups[some]
        sources = mesh.vertices[patch[patch >= 0]]
        found = tree.query_ball_point(centres[some], radii[some] + reach, workers=-1)
        near = np.unique(np.concatenate([np.asarray(f, np.int64) for f in found]))
        # `near` ascends, so that the vertices' numbers within it are found by bisection.
        local = np.searchsorted(near, sources)
        paths = dijkstra(graph[near][:, near], indices=local, limit=reach)
        kept = location[near] >= 0
        paths, columns = paths[:, kept], location[near[kept]]
        for i in range(len(patch)):
            # `paths` has a row for each location of the patch, TILE after TILE but for the last.
            rows = patch[i][patch[i] >= 0]
            own = paths[i * TILE : i * TILE + len(rows)]
            inside = np.isfinite(own).any(axis=0)
            yield rows, columns[inside], own[:, inside].astype(np.float32) ** 2
