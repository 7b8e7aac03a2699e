"""Whether a mesh that comes with values is that of an atlas, and what it adds to one."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float, Int

from atlasinit.core.geometry import Geometry, SurfaceMesh, triangle_normals
from atlasinit.errors import ArgumentError, Words
from atlasinit.io.contents import CarriedMesh

_TURNED = 30.0
"""Median angle in degrees between directions of one vertex on two spheres, above which they are
of two meshes: registrations move vertices by less, the turns of a regular mesh onto itself by 60
and more, any other order by 90."""

_ROUND = 0.01
"""Share by which the radii of a sphere vary at most."""

_ASIDE = 20.0
"""Mean x in mm beyond which a surface lies in a hemisphere; both of them lie near 33."""

_FOLDED = 1.2
"""Area of a surface as a multiple of its convex hull's, from which it has the folds of a cortex:
the mean surfaces of fsaverage and fsLR have 1.37 to 1.65, inflated ones 1.00 to 1.07."""

_SHOWS_FOLDS = 2000
"""Vertices from which a mesh is fine enough to show folds."""


def check_meshes(
    meshes: Mapping[str, CarriedMesh],
    geometry: Mapping[str, Geometry],
    *,
    argument: str,
    name: Words,
) -> None:
    """Refuse values whose own meshes are not those that they are to lie on.

    What is known of both is compared: triangles, directions on a sphere, and on which side of
    the head an anatomical surface lies.

    Parameters
    ----------
    meshes
        Compartment to the mesh that comes with its values.
    geometry
        Where they are to lie: of an atlas, or what is known of the mesh of its files.
    argument, name
        What the values were given as, and what messages call the geometry.

    Raises
    ------
    ValueError
        Vertices in another order or of another mesh, or swapped sides.
    """
    for c, mesh in meshes.items():
        own = geometry.get(c)
        if not np.isfinite(mesh.coordinates).all():
            raise ArgumentError(
                argument,
                f"of {c!r} comes with a mesh some of whose coordinates are not finite",
                "Give it without NaN and infinity, or the values alone",
            )
        # Another number of vertices is told with that of the values.
        if isinstance(own, SurfaceMesh) and len(mesh.coordinates) == own.n_vertices:
            problem = find_difference(mesh.coordinates, mesh.faces, own)
            if problem:
                raise ArgumentError(
                    argument,
                    f"of {c!r} comes with a mesh that is not that of " + name + f": {problem}",
                    "Give the values in the order of that mesh's vertices, or if the mesh that "
                    "comes with them is wrong, the values alone",
                )
    centres = {c: _mean_x(mesh) for c, mesh in meshes.items()}
    left, right = centres.get("cortex_L", 0.0), centres.get("cortex_R", 0.0)
    # x grows to the right. Two meshes near the middle are swapped where the left lies far right of
    # the right one.
    if left > _ASIDE or right < -_ASIDE or left - right > _ASIDE:
        raise ArgumentError(
            argument,
            "comes with the mesh of the other hemisphere: the mean x of its meshes is "
            + ", ".join(f"{x:.0f} mm for {c}" for c, x in centres.items()),
            "Left is negative; swap the two, or if their meshes alone are wrong, pass the values "
            "alone",
        )


def complete_mesh(own: SurfaceMesh, mesh: CarriedMesh) -> SurfaceMesh:
    """Return a mesh with what it lacks and the one that comes with its values shows.

    Triangles, and the coordinates of a sphere or of an anatomical surface. Those of an inflated
    surface are neither, and a flat map is cut along its triangles, too.
    """
    points, faces = mesh.coordinates, mesh.faces
    if _is_flat(mesh):
        return own
    lacks = {role for role in ("faces", "sphere", "anatomical") if getattr(own, role) is None}
    shown = {"faces": faces}
    if _is_sphere(points):
        shown["sphere"] = points
    elif _is_anatomical(mesh):
        shown["anatomical"] = points
    return own.replace(**{role: shown[role] for role in lacks.intersection(shown)})


def same_triangles(one: Int[np.ndarray, "faces 3"], other: Int[np.ndarray, "_ 3"]) -> bool:
    """Whether two lists hold the same triangles, whatever their order and orientation."""
    return len(one) == len(other) and share_triangles(one, other)


def share_triangles(one: Int[np.ndarray, "faces 3"], other: Int[np.ndarray, "_ 3"]) -> bool:
    """Whether one of two lists holds all triangles of the other, whatever order and orientation.

    Flat maps lack the triangles along their cuts, and those of the medial wall.
    """
    if np.array_equal(one, other):
        return True
    few, many = sorted((one, other), key=len)
    if not len(few):
        return True
    # Corners of a triangle by number, then as one number each: below 2^63 up to 2 million vertices.
    count = int(max(few.max(), many.max())) + 1
    fewer, more = (
        np.sort(each, axis=1).astype(np.int64) @ [count**2, count, 1] for each in (few, many)
    )
    return bool(np.isin(fewer, more).all())


def find_difference(
    points: Float[np.ndarray, "vertices 3"] | None,
    faces: Int[np.ndarray, "faces 3"] | None,
    own: SurfaceMesh,
) -> str:
    """Return how a mesh differs from that of an atlas, ``""`` where nothing shows that it does."""
    if faces is not None and own.faces is not None and not share_triangles(faces, own.faces):
        return "its triangles differ, so its vertices are others or in another order"
    if points is None or own.sphere is None or not _is_sphere(points):
        return ""
    one, other = _directions(points), _directions(own.sphere)
    # By rounding the cosine of equal directions may exceed 1, of which `arccos` is NaN.
    angle = np.degrees(np.arccos(np.clip((one * other).sum(axis=1), -1, 1)))
    if np.median(angle) > _TURNED:
        return (
            f"on the sphere its vertices lie elsewhere, {np.median(angle):.0f} degrees away in the "
            "median, so they are of another mesh, hemisphere or order"
        )
    return ""


def _is_sphere(points: np.ndarray) -> bool:
    radii = np.linalg.norm(points.astype(np.float64), axis=1)
    return bool(radii.size and radii.max() - radii.min() <= _ROUND * radii.max())


def _directions(points: np.ndarray) -> np.ndarray:
    wide = points.astype(np.float64)
    return wide / np.linalg.norm(wide, axis=1, keepdims=True)


def _is_flat(mesh: CarriedMesh) -> bool:
    # Vertices that a flat map has cut away lie anywhere.
    shown = mesh.coordinates[np.unique(mesh.faces)] if mesh.faces.size else mesh.coordinates
    return bool((np.ptp(shown, axis=0) == 0).any()) if len(shown) else True


def _is_anatomical(mesh: CarriedMesh) -> bool:
    """Whether a surface that is no sphere is a cortex in its own shape."""
    if mesh.shape:
        return mesh.shape == "Anatomical"
    points = mesh.coordinates.astype(np.float64)
    if len(points) < _SHOWS_FOLDS:
        return True
    from scipy.spatial import ConvexHull

    # In three dimensions `area` is that of the surface.
    area = np.linalg.norm(triangle_normals(points, mesh.faces), axis=0).sum() / 2
    return bool(area > _FOLDED * ConvexHull(points).area)


def _mean_x(mesh: CarriedMesh) -> float:
    """Return the mean x of a surface, 0 of a sphere or a flat map, which tell no side."""
    points = mesh.coordinates
    whole = _is_flat(mesh) or _is_sphere(points)
    return 0.0 if whole else float(points[:, 0].mean(dtype=np.float64))
