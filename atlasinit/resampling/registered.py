"""Spheres of the catalogue, for meshes that are known by their space and number of vertices."""

import dataclasses
import functools

from atlasinit.catalogue import spaces
from atlasinit.catalogue.sources import references
from atlasinit.core.geometry import SurfaceMesh
from atlasinit.io.mesh_identity import same_triangles
from atlasinit.io.overlay.surfaces import Surface, read_surface
from atlasinit.support.arrays import make_read_only


def add_sphere(mesh: SurfaceMesh, space: str) -> SurfaceMesh:
    """Return a mesh with the sphere of its space's standard mesh, where it has none itself.

    It stays as it is where the catalogue has no such mesh, or its file is not on this machine, or
    where its own triangles are others.

    Parameters
    ----------
    mesh
        Of one hemisphere, which tells its side.
    space
        That its values are in; ``""`` where nothing states it.
    """
    if mesh.sphere is not None or not mesh.hemisphere:
        return mesh
    found = spaces.find_mesh(mesh.n_vertices, space)
    path = found and references.find(spaces.spheres(found)[f"cortex_{mesh.hemisphere}"])
    if not path:
        return mesh
    surface = _read(str(path))
    if len(surface.coordinates) != mesh.n_vertices or (
        mesh.faces is not None and not same_triangles(mesh.faces, surface.faces)
    ):
        return mesh
    return dataclasses.replace(mesh, sphere=surface.coordinates, faces=surface.faces)


# Both hemispheres of a source and a target.
@functools.lru_cache(maxsize=4)
def _read(path: str) -> Surface:
    surface = read_surface(path)
    return surface._replace(
        coordinates=make_read_only(surface.coordinates), faces=make_read_only(surface.faces)
    )
