"""The surfaces between which, or at which, voxels are sampled."""

from typing import Any

import numpy as np
from jaxtyping import Float, Int

from atlasinit.core.geometry import SurfaceMesh
from atlasinit.core.mesh import triangle_normals
from atlasinit.errors import Argument, ArgumentError, ArgumentTypeError, Passing
from atlasinit.io.input import is_input
from atlasinit.io.mesh_identity import same_triangles
from atlasinit.io.overlay.surfaces import Surface, read_surface

_CROSSED = 0.1
"""Share of vertices at which the pial surface may lie within the white one: on real pairs a few
in a hundred do, by rounding and by where the surfaces touch."""


def surface_of(
    given: Any, mesh: SurfaceMesh, name: str
) -> tuple[Float[np.ndarray, "vertices 3"], Int[np.ndarray, "faces 3"] | None]:
    """Return the coordinates of a surface of `mesh` in mm, and its triangles where it has some.

    Raises
    ------
    ValueError
        Another number of vertices, another side or other triangles than the mesh's; coordinates
        that are not finite (vertices, 3).
    TypeError
        What is no surface.
    AtlasFileError
        A file that cannot be read.
    """
    coordinates, faces, side = _read(given, name)
    points = np.asarray(coordinates)
    if points.ndim != 2 or points.shape[1] != 3 or not np.isfinite(points).all():
        raise ArgumentError(
            name, f"should be finite coordinates (vertices, 3) in mm, got shape {points.shape}"
        )
    if len(points) != mesh.n_vertices:
        raise ArgumentError(
            name, f"is of another mesh: it has {len(points)} vertices, `mesh` {mesh.n_vertices}"
        )
    if side and mesh.hemisphere and side != mesh.hemisphere:
        raise ArgumentError(name, f"is of hemisphere {side}, `mesh` of {mesh.hemisphere}")
    known = mesh.faces
    if faces is not None and known is not None and not same_triangles(known, faces):
        raise ArgumentError(
            name,
            f"has other triangles than `mesh`: {len(faces)} and {len(known)}",
            "both should be of one mesh",
        )
    return points, faces


def _read(given: Any, name: str) -> tuple[Any, Any, str]:
    """Return coordinates, triangles or None, and the side or "" of whatever is given."""
    if isinstance(given, SurfaceMesh):
        if given.anatomical is None:
            raise ArgumentError(
                name, f": {given!r} has no anatomical surface", "pass one that has, or a file"
            )
        return given.anatomical, given.faces, given.hemisphere
    if isinstance(given, np.ndarray):
        return given, None, ""
    if isinstance(given, Surface) or is_input(given):
        return given if isinstance(given, Surface) else read_surface(given)
    raise ArgumentTypeError(
        name,
        "should be a surface file, coordinates (vertices, 3) in mm or a SurfaceMesh with an "
        f"anatomical surface, got {type(given).__name__}",
    )


def check_nested(
    white: Float[np.ndarray, "vertices 3"],
    pial: Float[np.ndarray, "vertices 3"],
    faces: Int[np.ndarray, "faces 3"],
) -> None:
    """Refuse surfaces that are exchanged, or cross at more than a tenth of their vertices.

    Of triangles that face several ways only the sizes of the surfaces are compared.

    Raises
    ------
    ValueError
        Such surfaces.
    """
    sizes = [float(np.linalg.norm(np.ptp(points, axis=0))) for points in (white, pial)]
    if sizes[1] < sizes[0]:
        raise ArgumentError(
            "pial",
            "is smaller than "
            + Argument("white")
            + f": {sizes[1]:.1f} mm across, and {sizes[0]:.1f}",
            "exchange them: " + Passing(white=..., pial=...),
        )
    if not is_oriented(faces):
        return
    # A vertex's normal, by area, which need not point outwards.
    sums = np.zeros((len(white), 3))
    normals = triangle_normals(white, faces).T
    for corner in faces.T:
        np.add.at(sums, corner, normals)
    steps = np.asarray(pial, np.float64) - white
    along = (steps * sums).sum(axis=1)
    # Where the surfaces touch, as at the medial wall, nothing is crossed.
    apart = np.linalg.norm(steps, axis=1) > 0.01
    outwards, inwards = (along[apart] > 0).sum(), (along[apart] < 0).sum()
    if min(outwards, inwards) > _CROSSED * max(apart.sum(), 1):
        raise ArgumentError(
            "pial",
            "crosses "
            + Argument("white")
            + f": it lies without it at {max(outwards, inwards)} vertices and within it at "
            f"{min(outwards, inwards)}",
            "are both surfaces of one person, one side and in the same mm?",
        )


def is_oriented(faces: Int[np.ndarray, "faces 3"]) -> bool:
    """Whether all triangles of a surface face one way, be it outwards or inwards."""
    # Then no two of them run along an edge in the same direction.
    edges = faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2).astype(np.int64)
    return np.unique(edges @ [int(faces.max(initial=0)) + 1, 1]).size == len(edges)
