"""The meshes of a view: rows of parcels at vertices, and the surfaces they are shown on."""

import dataclasses
from collections.abc import Mapping

import numpy as np
from jaxtyping import Float32, Int32, UInt16

from atlasinit.core.atlas import Atlas
from atlasinit.core.geometry import SurfaceMesh
from atlasinit.errors import ArgumentError
from atlasinit.figures.surfaces import Surface, find_surface, open_sulci
from atlasinit.viewer.rows import place_rows

_GAP = 4.0
"""Between hemispheres that lay over each other, in mm."""

_OVER = 0.25
"""Share of the narrower hemisphere's width from which two lie over each other."""

Coordinates = Float32[np.ndarray, "vertices 3"]


@dataclasses.dataclass(frozen=True, eq=False)
class MeshView:
    """A mesh with the parcels of a compartment.

    Parameters
    ----------
    compartment
        Whose parcels.
    hemisphere
        ``"L"``, ``"R"`` or ``""``.
    rows
        (vertices,) the row of each vertex's parcel in the table from 1, 0 for none.
    faces
        (faces, 3) vertex numbers.
    shapes
        What it can be shown on, by name; the first by default.
    anatomical
        (vertices, 3) where vertices lie in mm, if that is told.
    """

    compartment: str
    hemisphere: str
    rows: UInt16[np.ndarray, " vertices"]
    faces: Int32[np.ndarray, "faces 3"]
    shapes: Mapping[str, Coordinates]
    anatomical: Coordinates | None


def view_meshes(
    atlas: Atlas, surfaces: Mapping[str, Surface] | None, *, folded: bool
) -> list[MeshView]:
    """Return the mesh of each compartment that lies on one.

    Parameters
    ----------
    surfaces
        Compartment to (coordinates, faces) to show it on; by default the mesh's anatomical
        surface, as it is and with its sulci opened, else its sphere.
    folded
        Whether the anatomical surface comes first.

    Raises
    ------
    ValueError
        A mesh without a surface, surfaces of no mesh of the atlas or of other sizes.
    """
    _check_surfaces(atlas, surfaces or {})
    found = []
    for compartment, mesh in atlas.geometry.items():
        if not isinstance(mesh, SurfaceMesh):
            continue
        shapes, faces = _shapes(compartment, mesh, (surfaces or {}).get(compartment), folded=folded)
        found.append(
            MeshView(
                compartment,
                mesh.hemisphere,
                place_rows(atlas, compartment),
                faces,
                shapes,
                mesh.anatomical,
            )
        )
    return _place_apart(found)


def _check_surfaces(atlas: Atlas, surfaces: Mapping[str, Surface]) -> None:
    for compartment, (coordinates, faces) in surfaces.items():
        mesh = atlas.geometry.get(compartment)
        if not isinstance(mesh, SurfaceMesh):
            raise ArgumentError(
                "surfaces", f": {compartment!r} is no mesh of the atlas", "it has no other use"
            )
        shape = np.shape(coordinates)
        if shape != (mesh.n_vertices, 3) or np.ndim(faces) != 2 or np.shape(faces)[1] != 3:
            raise ArgumentError(
                "surfaces",
                f" of {compartment!r} should be ({mesh.n_vertices}, 3) coordinates and (faces, 3) "
                f"faces, got shapes {shape} and {np.shape(faces)}",
            )


def _shapes(
    compartment: str, mesh: SurfaceMesh, surface: Surface | None, *, folded: bool
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Return the surfaces by name, and their faces."""
    if surface is not None:
        return {"given": np.asarray(surface[0], np.float32)}, np.asarray(surface[1], np.int32)
    found = find_surface(mesh)
    if found is None:
        raise ArgumentError(
            "surfaces",
            f": the mesh of {compartment!r} has no surface to show",
            "pass (coordinates, faces)",
        )
    points, faces = found
    if mesh.anatomical is None:
        return {"sphere": points}, faces
    own = points.astype(np.float64)
    # Opened sulci are centred on the origin, and go back to where the surface lies.
    opened = open_sulci(own, faces) + own.mean(axis=0)
    shapes = {"sulci opened": opened.astype(np.float32), "as it lies": points}
    return dict(reversed(shapes.items())) if folded else shapes, faces


def _place_apart(meshes: list[MeshView]) -> list[MeshView]:
    """Return hemispheres side by side where they lie over each other, as spheres do."""
    sides = {mesh.hemisphere: mesh for mesh in meshes}
    if len(meshes) != 2 or not sides.keys() >= {"L", "R"}:
        return meshes
    left, right = dict(sides["L"].shapes), dict(sides["R"].shapes)
    for name in left.keys() & right.keys():
        a, b = left[name][:, 0], right[name][:, 0]
        if a.max() - b.min() > _OVER * min(np.ptp(a), np.ptp(b)):
            left[name] = left[name] - np.array([a.max() + _GAP / 2, 0, 0], np.float32)
            right[name] = right[name] - np.array([b.min() - _GAP / 2, 0, 0], np.float32)
    shifted = {"L": left, "R": right}
    return [dataclasses.replace(mesh, shapes=shifted[mesh.hemisphere]) for mesh in meshes]
