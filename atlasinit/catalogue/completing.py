"""Own atlases on standard meshes, with what the catalogue has of these meshes."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Bool

from atlasinit.catalogue import spaces
from atlasinit.catalogue.finishing import average_surfaces, mask_medial_wall
from atlasinit.catalogue.layouts.grayordinates import cortex_vertices
from atlasinit.catalogue.sources import references
from atlasinit.core.atlas import Atlas
from atlasinit.core.checking import check_atlas
from atlasinit.core.mesh import SurfaceMesh
from atlasinit.errors import ArgumentError, AtlasUnavailableError, format_list
from atlasinit.io.overlay.parts import lay_over_atlas


def add_surfaces(atlas: Atlas, *, medial_wall: str = "drop", download: bool = True) -> Atlas:
    """Return an atlas of own files with the surfaces of the standard mesh that it is on.

    The catalogue has the sphere and the midthickness (the mean of the white and the pial
    surface) of the fsaverage meshes and of fsLR 32k, and the medial wall of fsLR 32k; fsaverage5
    and fsLR 32k come with the packages that ``atlasinit[atlases]`` installs. A mesh keeps
    the surfaces that it has. Labels of the vertices of fsLR 32k that are not medial wall
    (29,696 on the left, 29,716 on the right, as hypercoil writes them) are put in their places.

    Parameters
    ----------
    atlas
        An atlas whose space is that of a standard mesh, such as ``load_atlas("lh.annot",
        space="fsaverage5")`` returns it.
    medial_wall
        ``"drop"`` leaves out its vertices where the catalogue has them, or ``"keep"``. Parcels that
        lie there altogether stay as empty rows, with a warning.
    download
        Whether surfaces may be fetched that are not on this machine.

    Returns
    -------
    Atlas

    Raises
    ------
    ValueError
        An atlas without a surface; a mesh whose number of vertices is none of its space (with
        those that there are).
    AtlasUnavailableError
        A surface that is not on this machine and was not fetched.

    Examples
    --------
    >>> import numpy as np, atlasinit as ai
    >>> labels = (np.arange(10242) % 3).astype(np.int32)
    >>> own = ai.load_atlas({"cortex_L": labels}, space="fsaverage5")
    >>> ai.add_surfaces(own).geometry["cortex_L"]
    SurfaceMesh(L, 10242 of 10242 vertices, sphere + anatomical)
    """
    check_atlas(atlas)
    if medial_wall not in ("drop", "keep"):
        raise ArgumentError("medial_wall", f'should be "drop" or "keep", got {medial_wall!r}')
    meshes = {c: g for c, g in atlas.geometry.items() if isinstance(g, SurfaceMesh)}
    if not meshes:
        raise ArgumentError("atlas", f"{atlas.name!r} has no surface, and needs none")
    kept = {c: _find_kept(c, mesh, atlas.space, download) for c, mesh in meshes.items()}
    placed = {c: _place(c, mesh, atlas.space, kept[c]) for c, mesh in meshes.items()}
    tables = {c: _find_table(c, mesh, atlas.space) for c, mesh in placed.items()}
    surfaces = {c: _find_surfaces(c, placed[c], tables[c], download) for c in placed}
    masks = {
        c: mask_medial_wall(one, name=atlas.name, space=atlas.space)
        for c, one in kept.items()
        if one is not None and medial_wall == "drop"
    }
    done = lay_over_atlas(atlas.replace(geometry=placed), mask=masks or None, meshes=surfaces)
    return done.replace(operation="add_surfaces")


def _find_table(compartment: str, mesh: SurfaceMesh, space: str) -> Mapping[str, Any]:
    found = spaces.find_surfaces(mesh.n_vertices, space)
    if found is None or compartment not in found["mesh"]:
        sizes = sorted(spaces.mesh_sizes(space).items(), key=lambda pair: pair[1])
        raise ArgumentError(
            "atlas",
            f": {compartment} has {mesh.n_vertices} vertices, of which the catalogue has no mesh "
            f"in the space {space!r}",
            "Meshes are " + format_list(f"{name} ({n})" for name, n in sizes)
            if sizes
            else "Pass your own files as `meshes=` of `load_atlas`",
        )
    return found


def _find_kept(
    compartment: str,
    mesh: SurfaceMesh,
    space: str,
    download: bool,  # noqa: FBT001
) -> Bool[np.ndarray, " vertices"] | None:
    """Return which vertices of the whole mesh are not medial wall; None where that is not known."""
    for table in spaces.surfaces_of(space):
        masks = table.get("mask", {})
        if compartment not in masks:
            continue
        reference, array = masks[compartment]
        located = {reference: references.obtain(reference, allow_download=download)}
        (vertices,) = cortex_vertices({compartment: (reference, array)}, located).values()
        if mesh.n_vertices in (table["vertices"], len(vertices)):
            kept = np.zeros(table["vertices"], bool)
            kept[vertices] = True
            return kept
    return None


def _place(compartment: str, mesh: SurfaceMesh, space: str, kept: np.ndarray | None) -> SurfaceMesh:
    """Return the whole mesh of values of kept vertices alone; any other mesh as it is."""
    if kept is None or mesh.n_vertices != kept.sum():
        return mesh
    if spaces.find_surfaces(mesh.n_vertices, space) is not None:
        return mesh
    # The values were of all vertices that are kept, in ascending order.
    vertices = np.flatnonzero(kept)[mesh.vertices]
    return SurfaceMesh(len(kept), vertices=vertices, hemisphere=mesh.hemisphere or compartment[-1])


def _find_surfaces(
    compartment: str,
    mesh: SurfaceMesh,
    table: Mapping[str, Any],
    download: bool,  # noqa: FBT001
) -> dict[str, Any]:
    out = {}
    for role, given in table["mesh"][compartment].items():
        if getattr(mesh, role) is not None:
            continue
        named = [given] if isinstance(given, str) else given
        try:
            paths = [references.obtain(one, allow_download=download) for one in named]
        except AtlasUnavailableError as error:
            raise AtlasUnavailableError(
                compartment,
                f"has no {role} surface on this machine",
                error.phrase,
                "Call this on a machine with a network, then copy its cache, or pass your own "
                f"files as `meshes={{{compartment!r}: {{{role!r}: path}}}}` of `load_atlas`",
            ) from error
        out[role] = average_surfaces(paths)
    return out
