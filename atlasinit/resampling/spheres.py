"""Resampling between meshes: directions, looked up on the sphere of the source."""

from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, Int

from atlasinit.core.geometry import SurfaceMesh
from atlasinit.errors import ArgumentError, Call
from atlasinit.resampling.matrices import pick, weigh
from atlasinit.smoothing.checks import check_radii

if TYPE_CHECKING:
    from scipy.sparse import csr_array

_CANDIDATES = 16
"""Triangles tried for a point, nearest centre first."""


def same_vertices(source: SurfaceMesh, target: SurfaceMesh) -> "csr_array":
    """Return the matrix (targets, sources) of vertices with the same numbers."""
    return pick(source.locations[target.vertices], source.n_locations)


def nearest_vertices(source: SurfaceMesh, target: SurfaceMesh) -> "csr_array":
    """Return the matrix (targets, sources) of the nearest vertex of the source."""
    from scipy.spatial import KDTree

    # Of directions the nearest in a straight line is the nearest in angle, too. All vertices of the
    # source take part: one that it does not keep, as of the medial wall, gives -1.
    wanted = _directions(target, "target")[target.vertices]
    nearest = KDTree(_directions(source, "source")).query(wanted)[1]
    return pick(source.locations[nearest], source.n_locations)


def barycentric(source: SurfaceMesh, target: SurfaceMesh) -> "csr_array":
    """Return the matrix (targets, sources) of the corners of the triangle around each vertex."""
    from scipy.spatial import KDTree

    points = _directions(target, "target")[target.vertices]
    faces, corners = _triangles(source)
    centres = corners.mean(axis=1)
    # (targets, candidates), or (targets,) where there is one triangle alone.
    _, tried = KDTree(centres).query(points, k=min(_CANDIDATES, len(faces)))
    tried = tried.reshape(len(points), -1)
    best = np.full(len(points), -np.inf)
    weights = np.zeros((len(points), 3))
    chosen = np.zeros(len(points), np.int64)
    for face in tried.T:
        # p = [a b c] w: w is positive where the ray to p meets the triangle a, b, c.
        w = np.linalg.solve(np.moveaxis(corners[face], 1, 2), points[:, :, None])[..., 0]
        # Scaled to 1, it no longer depends on how far along the ray the triangle lies.
        w /= w.sum(axis=1, keepdims=True)
        better = w.min(axis=1) > best
        best = np.where(better, w.min(axis=1), best)
        weights[better], chosen[better] = w[better], face[better]
    # A point in a gap of rounding between triangles goes to the nearest border.
    weights = weights.clip(0)
    weights /= weights.sum(axis=1, keepdims=True)
    return weigh(source.locations[faces[chosen]], weights, source.n_locations)


def _directions(mesh: SurfaceMesh, which: str) -> Float[np.ndarray, "vertices 3"]:
    if mesh.sphere is None:
        raise ArgumentError(
            "target" if which == "target" else "atlas",
            f": resampling needs the `sphere` of the {which} mesh, which {mesh!r} lacks",
            "add it with " + Call("mesh.replace", sphere=...),
        )
    # An inflated or off-centre surface has directions too, but of other places.
    radii = check_radii(mesh.sphere, f"sphere of the {which} mesh")
    return mesh.sphere.astype(np.float64) / radii[:, None]


def _triangles(
    source: SurfaceMesh,
) -> tuple[Int[np.ndarray, "faces 3"], Float[np.ndarray, "faces 3 3"]]:
    """Return the triangles that have an area on the sphere, and the directions of their corners."""
    if source.faces is None:
        raise ArgumentError(
            "atlas", f": resampling soft maps needs the `faces` of the source mesh {source!r}"
        )
    corners = _directions(source, "source")[source.faces]
    # Six times the volume between the centre of the sphere and the triangle: 0 where its corners
    # lie on one great circle, so that no direction can be told by them.
    volumes = np.abs(np.linalg.det(corners))
    solid = volumes > 1e-12 * volumes.max(initial=0)
    if not solid.any():
        raise ArgumentError(
            "atlas", f": no triangle in `faces` of the source mesh {source!r} has an area"
        )
    return source.faces[solid], corners[solid]
