"""Names of spaces, and the meshes that belong to them."""

import functools
import re
from collections.abc import Mapping
from typing import Any

from atlasinit.catalogue.entries import Variant, data_folder, load_toml, normalise_name
from atlasinit.errors import ArgumentError, format_list, nearest

_MODIFIERS = {"den": "density", "cohort": "cohort", "res": "resolution"}


def parse(space: str) -> tuple[str, dict[str, str]]:
    """Return the template and the axes that a space's name states.

    Takes a template's name in any case, an alias such as ``"fsaverage5"``,
    ``"conte69"`` or ``"fsLR32k"``, and modifiers as in ``"UNCInfant:cohort-1"`` and
    ``"MNI152NLin6Asym:res-2"``.
    """
    head, *modifiers = space.split(":")
    stated: dict[str, str] = {}
    alias = _aliases().get(normalise_name(head))
    if alias is not None:
        head, *own = alias.split(":")
        # What is written behind the alias comes later, and so goes before what the alias means.
        modifiers = [*own, *modifiers]
    for modifier in modifiers:
        found = re.fullmatch(r"(den|cohort|res)-(\w+)", modifier)
        if not found:
            raise ArgumentError(
                "space",
                f": {modifier!r} in {space!r} is not understood",
                "write den-..., cohort-... or res-... behind a colon",
            )
        stated[_MODIFIERS[found[1]]] = found[2]
    return head, stated


def label(variant: Variant) -> str:
    """Return the name of a variant's space, as ``"fsaverage5"`` or ``"UNCInfant:cohort-1"``."""
    name = variant.space
    if "density" in variant.values:
        name = f"{name}:den-{variant.values['density']}"
        # "fsaverage:den-10k" is better known as "fsaverage5"; a mesh without an alias stays.
        name = _labels().get(name, name)
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
    template, stated = parse(space)
    name = f"{template}:den-{stated.get('density')}"
    name = _labels().get(name, name)
    found = spheres_by_space()
    if name not in found:
        raise ArgumentError(
            "target",
            f": {space!r} is neither a file nor a space with spheres",
            nearest(space, found),
            f"Such spaces are {format_list(found, 30)}",
        )
    return found[name]


@functools.cache
def spheres_by_space() -> Mapping[str, Mapping[str, str]]:
    """Return the name of each space of surfaces to what `spheres` returns for it."""
    out = {}
    for table in _data()["surface"]:
        name = f"{table['space']}:den-{table['density']}"
        references = {c: surfaces["sphere"] for c, surfaces in table["mesh"].items()}
        # A reference with "{cohort}" is a sphere only once a variant states the cohort.
        if not any("{" in reference for reference in references.values()):
            out[_labels().get(name, name)] = references
    return out


def masks(variant: Variant) -> Mapping[str, tuple[str, str]]:
    """Return compartment to the vertices that are not medial wall: a reference and an array."""
    return {c: (ref, array) for c, (ref, array) in _surface_table(variant).get("mask", {}).items()}


def subcortex(variant: Variant) -> str:
    """Return the reference of the volume of the grayordinates' subcortical structures."""
    return _surface_table(variant).get("subcortex", "")


def n_vertices(variant: Variant) -> int:
    """Return the number of vertices of a hemisphere's mesh."""
    return _surface_table(variant)["vertices"]


def grid(variant: Variant) -> Mapping[str, Any]:
    """Return the grid that an atlas of coordinates is laid on by default."""
    return _data()["grid"][variant.space]


def _surface_table(variant: Variant) -> Mapping[str, Any]:
    """Return what is stated of a variant's mesh, as its ``vertices``; nothing of other spaces."""
    density = variant.values.get("density")
    return _tables().get((variant.space, density), {})


@functools.cache
def _tables() -> dict[tuple[str, Any], Mapping[str, Any]]:
    return {(t["space"], t["density"]): t for t in _data()["surface"]}


@functools.cache
def _aliases() -> dict[str, str]:
    out: dict[str, str] = {}
    for name, aliases in _data()["alias"].items():
        out |= {normalise_name(alias): name for alias in aliases}
    return out


@functools.cache
def _labels() -> dict[str, str]:
    """Template and density to the first alias, which is the space's usual name."""
    return {name: aliases[0] for name, aliases in _data()["alias"].items() if ":" in name}


@functools.cache
def _data() -> dict[str, Any]:
    return load_toml(data_folder() / "spaces.toml")
