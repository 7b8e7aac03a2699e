"""Values of cortical meshes as nilearn's surface images."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from atlasinit.core.geometry import Geometry, SurfaceMesh
from atlasinit.errors import ArgumentError, Call

if TYPE_CHECKING:
    from nilearn.surface import SurfaceImage

_SIDES = {"L": "left", "R": "right"}


def image_of_meshes(
    geometry: Mapping[str, Geometry], values: Mapping[str, Float[np.ndarray, "locations *time"]]
) -> "SurfaceImage":
    """Return values of kept vertices as a ``nilearn.surface.SurfaceImage``, 0 at all others.

    The mesh is the anatomical surface, else the sphere.

    Raises
    ------
    ValueError
        A compartment that is no mesh of one hemisphere with faces and coordinates, or two of
        one hemisphere.
    """
    from nilearn.surface import InMemoryMesh, PolyMesh, SurfaceImage

    # By the names that nilearn gives to the sides, of which one may be missing:
    # https://nilearn.github.io/stable/modules/generated/nilearn.surface.PolyMesh.html
    meshes, parts = {}, {}
    for compartment, place in geometry.items():
        side = _SIDES.get(place.hemisphere)
        if not isinstance(place, SurfaceMesh) or side is None or side in parts:
            raise ArgumentError(
                "atlas",
                f": a `SurfaceImage` holds one mesh of each hemisphere, but compartment "
                f"{compartment!r} is {place!r}",
                "select the cortex by " + Call("atlas.select", compartments=...),
            )
        points = place.sphere if place.anatomical is None else place.anatomical
        if points is None or place.faces is None:
            raise ArgumentError(
                "atlas",
                f": a `SurfaceImage` needs the mesh of {compartment!r}, but {place!r} has no faces "
                "or no coordinates",
                "add them by " + Call("mesh.replace", faces=..., anatomical=...),
            )
        meshes[side] = InMemoryMesh(points, place.faces)
        # (vertices,) or (vertices, time) of the whole mesh, which nilearn asks for.
        parts[side] = place.put(values[compartment])
    return SurfaceImage(PolyMesh(**meshes), parts)
