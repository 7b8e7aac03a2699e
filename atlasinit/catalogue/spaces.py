"""Names of spaces, and the meshes that belong to them."""

import functools
from collections.abc import Mapping
from typing import Any

from atlasinit.catalogue.entries import Variant
from atlasinit.core.spaces import may_be_one, parse_space, space_data, usual_name
from atlasinit.errors import ArgumentError, format_list, nearest


def label(variant: Variant) -> str:
    """Return the name of a variant's space, as ``"fsaverage5"`` or ``"UNCInfant:cohort-1"``."""
    name = variant.space
    if "density" in variant.values:
        name = f"{name}:den-{variant.values['density']}"
        # "fsaverage:den-10k" is better known as "fsaverage5"; a mesh without an alias stays.
        name = usual_name(name)
    if "cohort" in variant.values:
        name = f"{name}:cohort-{variant.values['cohort']}"
    return name


def meshes(variant: Variant) -> Mapping[str, dict[str, list[str]]]:
    """Return compartment to the file references of its ``sphere`` and ``anatomical`` surface.

    Several references for one surface stand for their mean.
    """
    found = _surface_table(variant).get("mesh", {})
    out: dict[str, dict[str, list[str]]] = {}
    for compartment, surfaces in found.items():
        out[compartment] = {
            role: [variant.fill(r) for r in ([refs] if isinstance(refs, str) else refs)]
            for role, refs in surfaces.items()
        }
    return out


def spheres(space: str) -> Mapping[str, str]:
    """Return compartment to the file reference of its sphere, for a named space of surfaces.

    Raises
    ------
    ValueError
        A space without spheres (with those that have them).
    """
    template, stated = parse_space(space)
    name = f"{template}:den-{stated.get('density')}"
    name = usual_name(name)
    found = spheres_by_space()
    if name not in found:
        raise ArgumentError(
            "target",
            f": {space!r} is neither a file nor a space with spheres",
            nearest(space, found),
            f"Such spaces are {format_list(found, 30)}",
        )
    return found[name]


def find_mesh(n_vertices: int, space: str) -> str:
    """Return the name of the standard mesh with a number of vertices a hemisphere, ``""`` for none.

    Of `space`, whatever density that states; where it is ``""``, of the only space that has one.
    """
    found = find_surfaces(n_vertices, space)
    return "" if found is None else _name(found)


def find_surfaces(n_vertices: int, space: str) -> Mapping[str, Any] | None:
    """Return what is stated of the mesh that `find_mesh` names, as its ``mesh`` and ``mask``."""
    found = [
        table
        for table in surfaces_of(space)
        if table.get("vertices") == n_vertices and _name(table) in spheres_by_space()
    ]
    return found[0] if len(found) == 1 else None


def mesh_sizes(space: str) -> dict[str, int]:
    """Return the name of each standard mesh of a space to its number of vertices."""
    tables = [t for t in surfaces_of(space) if _name(t) in spheres_by_space()]
    return {_name(t): t["vertices"] for t in tables if "vertices" in t}


def surfaces_of(space: str) -> list[Mapping[str, Any]]:
    """Return what is stated of each mesh that `space` may mean."""
    return [table for table in space_data()["surface"] if may_be_one(table["space"], space)]


def _name(table: Mapping[str, Any]) -> str:
    return usual_name(f"{table['space']}:den-{table['density']}")


@functools.cache
def spheres_by_space() -> Mapping[str, Mapping[str, str]]:
    """Return the name of each space of surfaces to what `spheres` returns for it."""
    out = {}
    for table in space_data()["surface"]:
        name = f"{table['space']}:den-{table['density']}"
        references = {c: surfaces["sphere"] for c, surfaces in table["mesh"].items()}
        # A reference with "{cohort}" is a sphere only once a variant states the cohort.
        if not any("{" in reference for reference in references.values()):
            out[usual_name(name)] = references
    return out


def masks(variant: Variant) -> Mapping[str, tuple[str, str]]:
    """Return compartment to the vertices that are not medial wall: a reference and an array."""
    return {c: (ref, array) for c, (ref, array) in _surface_table(variant).get("mask", {}).items()}


def subcortex(variant: Variant) -> str:
    """Return the reference of the volume of the grayordinates' subcortical structures."""
    return _surface_table(variant).get("subcortex", "")


def standard_subcortex() -> str:
    """Return the reference of the volume of the subcortical structures of fsLR's grayordinates."""
    return next(t["subcortex"] for t in space_data()["surface"] if "subcortex" in t)


def n_vertices(variant: Variant) -> int:
    """Return the number of vertices of a hemisphere's mesh."""
    return _surface_table(variant)["vertices"]


def grid(variant: Variant) -> Mapping[str, Any]:
    """Return the grid that an atlas of coordinates is laid on by default."""
    return space_data()["grid"][variant.space]


def _surface_table(variant: Variant) -> Mapping[str, Any]:
    """Return what is stated of a variant's mesh, as its ``vertices``; nothing of other spaces."""
    density = variant.values.get("density")
    return _tables().get((variant.space, density), {})


@functools.cache
def _tables() -> dict[tuple[str, Any], Mapping[str, Any]]:
    return {(t["space"], t["density"]): t for t in space_data()["surface"]}
