"""The kept vertices of a surface mesh."""

import dataclasses

import jax
import numpy as np
from jaxtyping import Bool, Float, Float32, Float64, Int, Int32, Shaped
from numpy.typing import ArrayLike

from atlasinit.core.locations import (
    ByContent,
    Hemisphere,
    check_kept,
    check_locations,
    check_whole,
    set_fields,
)
from atlasinit.errors import Argument, ArgumentError, Call, Phrase
from atlasinit.support.arrays import as_read_only


@jax.tree_util.register_static
@dataclasses.dataclass(frozen=True, eq=False, repr=False, init=False)
class SurfaceMesh(ByContent):
    """The kept vertices of a cortical mesh.

    Parameters
    ----------
    n_vertices
        Number of vertices of the whole mesh, the medial wall included.
    vertices
        (locations,) the kept vertices in the order of the data's locations. By
        default every vertex.
    hemisphere
        ``"L"``, ``"R"`` or ``""``.
    faces
        (faces, 3) vertex numbers of the triangles of the whole mesh.
    sphere
        (vertices, 3) coordinates on the registration sphere, in mm.
    anatomical
        (vertices, 3) coordinates on an anatomical surface (best the midthickness), in mm.
    areas
        (vertices,) vertex areas in mm2. By default computed from `anatomical`, when asked for.

    Raises
    ------
    ValueError
        Arrays whose sizes do not fit `n_vertices`, vertices out of range or kept
        twice, coordinates that are not finite, areas that are negative.
    """

    n_vertices: int
    vertices: Int32[np.ndarray, " locations"]
    hemisphere: Hemisphere
    faces: Int32[np.ndarray, "faces 3"] | None
    sphere: Float32[np.ndarray, "vertices 3"] | None
    anatomical: Float32[np.ndarray, "vertices 3"] | None
    areas: Float32[np.ndarray, " vertices"] | None

    def __init__(
        self,
        n_vertices: int,
        vertices: ArrayLike | None = None,
        *,
        hemisphere: str = "",
        faces: ArrayLike | None = None,
        sphere: ArrayLike | None = None,
        anatomical: ArrayLike | None = None,
        areas: ArrayLike | None = None,
    ) -> None:
        n = int(n_vertices)
        if n < 1:
            raise ArgumentError("n_vertices", f"should be positive, got {n_vertices}")
        if hemisphere not in ("L", "R", ""):
            raise ArgumentError("hemisphere", f'should be "L", "R" or "", got {hemisphere!r}')
        triangles = None if faces is None else check_whole(faces, "faces")
        if triangles is not None:
            if triangles.ndim != 2 or triangles.shape[1] != 3:
                raise ArgumentError("faces", f"should be (faces, 3), got shape {triangles.shape}")
            if triangles.size and (triangles.min() < 0 or triangles.max() >= n):
                low, high = triangles.min(), triangles.max()
                raise ArgumentError("faces", f"should lie in [0, {n}), got {low} to {high}")
            triangles = as_read_only(triangles, np.int32)
        weights = _per_vertex(areas, (n,), "areas")
        if weights is not None and (weights < 0).any():
            raise ArgumentError("areas", f"should not be negative, got {weights.min()}")
        set_fields(
            self,
            n_vertices=n,
            vertices=check_kept(vertices, n, "vertices", f"a mesh of {n} vertices"),
            hemisphere=hemisphere,
            faces=triangles,
            sphere=_per_vertex(sphere, (n, 3), "sphere"),
            anatomical=_per_vertex(anatomical, (n, 3), "anatomical"),
            areas=weights,
        )

    @property
    def n_locations(self) -> int:
        """Number of kept vertices."""
        return self.vertices.size

    @property
    def mask(self) -> Bool[np.ndarray, " vertices"]:
        """Boolean array over all vertices, true where kept."""
        return self.put(np.ones(self.n_locations, dtype=bool))

    @property
    def locations(self) -> Int32[np.ndarray, " vertices"]:
        """The location of each vertex, -1 where it is not kept."""
        return self.put(np.arange(self.n_locations, dtype=np.int32), fill=-1.0)

    @property
    def radius(self) -> float:
        """Mean distance of the sphere's vertices from the origin, in mm."""
        if self.sphere is None:
            raise ArgumentError("radius", "needs the mesh's `sphere`", "this mesh has none")
        return float(np.linalg.norm(self.sphere.astype(np.float64), axis=1).mean())

    @property
    def has_vertex_areas(self) -> bool:
        """Whether `vertex_areas` can be told: of `areas`, or of triangles in mm."""
        return self.areas is not None or (self.anatomical is not None and self.faces is not None)

    @property
    def vertex_areas(self) -> Float[np.ndarray, " vertices"]:
        """Vertex areas in mm2: `areas` if given, else a third of each adjoining triangle."""
        if self.areas is not None:
            return self.areas.astype(np.float64)
        # Spelled out, as a type checker does not look into `has_vertex_areas`.
        if self.anatomical is None or self.faces is None:
            raise ArgumentError(
                "vertex_areas",
                "needs `areas`, or `anatomical` and `faces`",
                "this mesh has neither",
            )
        return triangle_vertex_areas(self.anatomical, self.faces)

    def take(self, values: np.ndarray) -> np.ndarray:
        """Return the values of the whole mesh ``(vertices, ...)`` at the locations."""
        if values.shape[0] != self.n_vertices:
            raise ArgumentError(
                "values",
                f"should start with the mesh's {self.n_vertices} vertices, got shape "
                f"{values.shape}",
            )
        return values[self.vertices]

    def put(self, values: np.ndarray, *, fill: float = 0) -> np.ndarray:
        """Return values of the whole mesh with `values` at the locations, else `fill`."""
        check_locations(values, self.n_locations)
        full = np.full((self.n_vertices, *values.shape[1:]), fill, values.dtype)
        full[self.vertices] = values
        return full

    def restrict(self, keep: Shaped[np.ndarray, " n"]) -> "SurfaceMesh":
        """Return the mesh with the locations chosen by a boolean mask or an index array."""
        return dataclasses.replace(self, vertices=self.vertices[np.asarray(keep)])

    def replace(
        self,
        *,
        faces: ArrayLike | None = None,
        sphere: ArrayLike | None = None,
        anatomical: ArrayLike | None = None,
        areas: ArrayLike | None = None,
    ) -> "SurfaceMesh":
        """Return the mesh with the given surfaces in place of its own."""
        given = {"faces": faces, "sphere": sphere, "anatomical": anatomical, "areas": areas}
        changes = {name: value for name, value in given.items() if value is not None}
        return dataclasses.replace(self, **changes)

    def __repr__(self) -> str:
        has = [n for n in ("sphere", "anatomical", "areas") if getattr(self, n) is not None]
        side = f"{self.hemisphere}, " if self.hemisphere else ""
        return (
            f"SurfaceMesh({side}{self.n_locations} of {self.n_vertices} vertices"
            f"{', ' + ' + '.join(has) if has else ''})"
        )


def triangle_vertex_areas(
    coordinates: Float[np.ndarray, "vertices 3"], faces: Int[np.ndarray, "faces 3"]
) -> Float[np.ndarray, " vertices"]:
    """Return each vertex's area: a third of the area of every triangle that it belongs to."""
    # Half a normal's length is the triangle's area, of which each corner has a third.
    weights = np.repeat(np.linalg.norm(triangle_normals(coordinates, faces), axis=0) / 6, 3)
    return np.bincount(faces.reshape(-1), weights=weights, minlength=len(coordinates))


def triangle_normals(
    coordinates: Float[np.ndarray, "vertices 3"], faces: Int[np.ndarray, "faces 3"]
) -> Float64[np.ndarray, "3 faces"]:
    """Return a normal of each triangle, twice as long as its area, an axis a row."""
    # An axis a row, so that corners are gathered along memory.
    points = coordinates.T.astype(np.float64, order="C")
    a, b, c = (points.take(corner, axis=1) for corner in faces.T)
    # (b - a) x (c - a), with the origin moved to a.
    b -= a
    c -= a
    return np.stack(
        [b[1] * c[2] - b[2] * c[1], b[2] * c[0] - b[0] * c[2], b[0] * c[1] - b[1] * c[0]]
    )


def _per_vertex(values: ArrayLike | None, shape: tuple[int, ...], name: str) -> np.ndarray | None:
    if values is None:
        return None
    array = as_read_only(values, np.float32)
    if array.shape != shape:
        raise ArgumentError(name, f"should have shape {shape}, got {array.shape}")
    if not np.isfinite(array).all():
        raise ArgumentError(name, "should be finite", "it holds NaN or infinity")
    return array


def advise_surface(role: str) -> Phrase:
    """Return how a mesh gets its ``sphere`` or ``anatomical`` surface, for errors of what needs it.

    Nothing that needs one looks for it: the catalogue is above all of them, and what is added is
    in the provenance.
    """
    return (
        "add the surfaces of a standard mesh by "
        + Call("ai.add_surfaces", "atlas")
        + ", others by "
        + Call("mesh.replace", **{role: ...})
        + " or "
        + Argument("meshes")
        + " of `ai.load_atlas`"
    )
