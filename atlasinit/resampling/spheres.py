"""Resampling between meshes: directions, looked up on the sphere of the source."""

import dataclasses
import functools
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, Int

from atlasinit.core.geometry import SurfaceMesh, triangle_vertex_areas
from atlasinit.errors import ArgumentError, Call, Passing, Value
from atlasinit.resampling.closest import find_closest
from atlasinit.resampling.matrices import average_rows, pick, scale_rows, take_columns, weigh
from atlasinit.smoothing.checks import check_radii
from atlasinit.support.threads import WORKERS

if TYPE_CHECKING:
    from scipy.sparse import csr_array

_SAME = 1e-5
"""Of the radius, by which one vertex of two files may differ: float32, or numbers in text."""

_NOTHING = 1e-6
"""A weight that float32 coordinates give to a corner that a point does not depend on."""


@dataclasses.dataclass(frozen=True, eq=False)
class Sphere:
    """A mesh with its sphere, checked when it is asked for.

    Parameters
    ----------
    mesh
        With or without `sphere` and `faces`.
    argument
        The argument that it came by: ``"target"``, or another for a source.
    """

    mesh: SurfaceMesh
    argument: str

    @property
    def role(self) -> str:
        """What messages call it."""
        return "target" if self.argument == "target" else "source"

    @functools.cached_property
    def directions(self) -> Float[np.ndarray, "vertices 3"]:
        """The vertices about the origin, at radius 1."""
        if self.mesh.sphere is None:
            raise self._lacks("sphere")
        # An inflated or off-centre surface has directions too, but of other places.
        radii = check_radii(self.mesh.sphere, f"sphere of the {self.role} mesh")
        return self.mesh.sphere.astype(np.float64) / radii[:, None]

    @property
    def faces(self) -> Int[np.ndarray, "faces 3"]:
        """All triangles."""
        if self.mesh.faces is None:
            raise self._lacks("faces")
        return self.mesh.faces

    @functools.cached_property
    def triangles(self) -> tuple[Int[np.ndarray, "faces 3"], Float[np.ndarray, "faces 3 3"]]:
        """The triangles that have an area on the sphere, and the directions of their corners."""
        corners = self.directions[self.faces]
        # Six times the volume between the centre of the sphere and the triangle: 0 where its
        # corners lie on one great circle, so that it covers nothing of the sphere.
        volumes = np.abs(np.linalg.det(corners))
        solid = volumes > 1e-12 * volumes.max(initial=0)
        if not solid.any():
            raise ArgumentError(
                self.argument,
                f": no triangle in `faces` of the {self.role} mesh {self.mesh!r} has an area",
            )
        return self.faces[solid], corners[solid]

    def find_areas(self, *, anatomical: bool) -> Float[np.ndarray, " vertices"]:
        """Return vertex areas of the anatomical surface, or of the sphere of radius 1."""
        if anatomical:
            return self.mesh.vertex_areas
        return triangle_vertex_areas(self.directions, self.faces)

    def _lacks(self, what: str) -> ArgumentError:
        call = Call("mesh.replace", **{what: ...})
        less = "" if what == "sphere" else ", or pass " + Passing(method="nearest")
        return ArgumentError(
            self.argument,
            f": resampling needs the `{what}` of the {self.role} mesh, which {self.mesh!r} lacks",
            "add it with "
            + call
            + less
            + "; of a file give meshes in its place, as "
            + Value({"cortex_L": ...})
            + " of `ai.SurfaceMesh`",
        )


def is_same_mesh(source: Sphere, target: Sphere) -> bool:
    """Whether vertices of one number are one vertex: equal triangles, and spheres if both have one.

    Triangles alone tell it where a mesh has no sphere. Two spheres of the same triangles may be in
    register with different spaces, as those of a person are.
    """
    one, other = source.mesh, target.mesh
    if one.n_vertices != other.n_vertices:
        return False
    triangles = one.faces is not None and other.faces is not None
    if triangles and not np.array_equal(source.faces, target.faces):
        return False
    if one.sphere is None or other.sphere is None:
        return triangles
    return bool((np.abs(source.directions - target.directions) <= _SAME).all())


def same_vertices(source: SurfaceMesh, target: SurfaceMesh) -> "csr_array":
    """Return the matrix (targets, sources) of vertices with the same numbers."""
    return pick(source.locations[target.vertices], source.n_locations)


def nearest_vertices(source: Sphere, target: Sphere) -> "csr_array":
    """Return the matrix (targets, sources) of the nearest vertex of the source."""
    from scipy.spatial import KDTree

    # Of directions the nearest in a straight line is the nearest in angle, too. All vertices of the
    # source take part: one that it does not keep, as of the medial wall, gives -1.
    wanted = target.directions[target.mesh.vertices]
    nearest = KDTree(source.directions).query(wanted, workers=WORKERS)[1]
    return pick(source.mesh.locations[nearest], source.mesh.n_locations)


def barycentric(source: Sphere, target: Sphere) -> "csr_array":
    """Return the matrix (targets, sources) of the corners of the triangle closest to each vertex.

    As ``BARYCENTRIC`` of ``wb_command -metric-resample``.
    """
    weights = _interpolate(source, target.directions[target.mesh.vertices])
    return take_columns(weights, source.mesh.locations, source.mesh.n_locations)


def adaptive_area(
    source: Sphere,
    target: Sphere,
    areas: tuple[Float[np.ndarray, " sources"], Float[np.ndarray, " targets"]],
) -> "csr_array":
    r"""Return the matrix (targets, sources) of means over vertex areas.

    As ``ADAP_BARY_AREA`` of ``wb_command -metric-resample``: each target vertex takes the
    barycentric weights :math:`w_{ij}` of the source vertices around it, or, where the source is
    the finer, those that the source vertices give it by their own place in the target's
    triangles. With the areas :math:`a_j` of the source's vertices and :math:`b_i` of the
    target's,

    .. math:: W_{ij} \propto a_j \frac{w_{ij} b_i}{\sum_k w_{kj} b_k},
              \qquad \sum_j W_{ij} = 1,

    so that every source vertex counts by its area, whatever the number of targets around it.
    Vertices that are not kept take part, and their columns are left out in the end.
    """
    own, new = areas
    forward = _interpolate(source, target.directions)
    backward = _interpolate(target, source.directions).T.tocsr()
    # Where all that is given is also taken, the target is the finer.
    shared = (backward != 0).multiply(forward != 0)
    finer = np.asarray(shared.sum(axis=1)).reshape(-1) == np.diff(backward.indptr)
    weights: Any = scale_rows(forward, finer * new) + scale_rows(backward, ~finer * new)
    received = np.asarray(weights.sum(axis=0)).reshape(-1)
    weights.data *= (own / np.where(received > 0, received, 1))[weights.indices]
    # Vertices without an area, as of a surface that was cut, take what is around them.
    empty = np.asarray(weights.sum(axis=1)).reshape(-1) <= 0
    weights = average_rows(weights + scale_rows(forward, empty.astype(np.float64)))
    kept = weights[target.mesh.vertices]
    return take_columns(kept, source.mesh.locations, source.mesh.n_locations)


def _interpolate(sphere: Sphere, points: Float[np.ndarray, "points 3"]) -> "csr_array":
    """Return the weights (points, vertices) of the corners of the closest triangles of a sphere."""
    faces, corners = sphere.triangles
    chosen, weights = find_closest(points, corners)
    weights[weights < _NOTHING] = 0
    return weigh(faces[chosen].astype(np.int64), weights, sphere.mesh.n_vertices)
