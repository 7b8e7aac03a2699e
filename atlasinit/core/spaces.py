"""Names of spaces: what they state, and whether two of them may be one space."""

import functools
import re
from collections.abc import Mapping
from typing import Any

from atlasinit.errors import ArgumentError
from atlasinit.support.resources import data_folder, load_toml, normalise_name

UNKNOWN = "unknown"
"""The space of what lies in none that anybody could name."""

_MODIFIERS = {"den": "density", "cohort": "cohort", "res": "resolution"}


def parse_space(space: str) -> tuple[str, dict[str, str]]:
    """Return the template and the axes that a space's name states.

    Takes a template's name in any case, an alias such as ``"fsaverage5"``,
    ``"conte69"`` or ``"fsLR32k"``, and modifiers as in ``"UNCInfant:cohort-1"`` and
    ``"MNI152NLin6Asym:res-2"``.

    Raises
    ------
    ValueError
        Something else behind a colon.
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


def usual_name(template_and_density: str) -> str:
    """Return the usual name of a mesh's space: ``"fsaverage5"`` of ``"fsaverage:den-10k"``."""
    aliases = space_data()["alias"].get(template_and_density)
    return aliases[0] if aliases else template_and_density


def may_be_one(space: str, other: str) -> bool:
    """Whether two names may be of one space, as neither contradicts the other.

    Unknown spaces contradict none. Densities and resolutions are not compared, as the numbers
    of vertices and the grids tell more; templates and cohorts are. Some names are vaguer than
    others (``MNI152`` for ``MNI152NLin6Asym``), and the volume of a space of surfaces has a
    name of its own (``fsLR``, ``MNI152NLin6Asym``): the catalogue's ``spaces.toml`` lists both.
    """
    if {normalise_name(space), normalise_name(other)} & {"", UNKNOWN}:
        return True
    (one, cohort), (two, other_cohort) = _settle(space), _settle(other)
    if cohort and other_cohort and cohort != other_cohort:
        return False
    vague = {normalise_name(name) for name in space_data()["vague"]}
    return (
        one == two
        or (one in vague and two.startswith(one))
        or (two in vague and one.startswith(two))
    )


def _settle(space: str) -> tuple[str, str]:
    """Return the normal form of a space's template, that of its volume, and the cohort."""
    try:
        template, stated = parse_space(space)
    except ArgumentError:  # a name of the user's own
        template, stated = space, {}
    name = normalise_name(template)
    return _volumes().get(name, name), stated.get("cohort", "")


@functools.cache
def _volumes() -> Mapping[str, str]:
    return {
        normalise_name(mesh): normalise_name(volume)
        for mesh, volume in space_data()["volume"].items()
    }


@functools.cache
def _aliases() -> Mapping[str, str]:
    out: dict[str, str] = {}
    for name, aliases in space_data()["alias"].items():
        out |= {normalise_name(alias): name for alias in aliases}
    return out


@functools.cache
def space_data() -> dict[str, Any]:
    """Return what the catalogue's data say of spaces."""
    return load_toml(data_folder() / "spaces.toml")
