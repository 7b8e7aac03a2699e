"""Which sides of surfaces and which planes of volumes are shown."""

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any

from atlasinit.core.atlas import Atlas
from atlasinit.core.geometry import SurfaceMesh
from atlasinit.core.labels import SIDES as WORDS
from atlasinit.errors import ArgumentError, ArgumentTypeError, format_list, nearest
from atlasinit.figures.slices import PLANES

SIDES = ("lateral", "medial", "dorsal", "ventral", "anterior", "posterior")
ENDS = {
    "left": ("A", "P"),
    "right": ("P", "A"),
    "dorsal": ("L", "R"),
    "ventral": ("R", "L"),
    "anterior": ("R", "L"),
    "posterior": ("L", "R"),
}
"""What lies at the left and the right of a picture, by where its viewer is."""

_LETTERS = {"left": "L", "right": "R"}
"""What a hemisphere is called first; `WORDS` has all that stand for it."""

_USUAL = ("lateral", "medial")


@dataclasses.dataclass(frozen=True)
class Sides:
    """What is shown of an atlas.

    Parameters
    ----------
    hemispheres
        Those of the meshes that are, ``"L"``, ``"R"`` or ``""``.
    surfaces
        Of each mesh, in this order.
    planes
        Of each grid.
    """

    hemispheres: tuple[str, ...]
    surfaces: tuple[str, ...]
    planes: tuple[str, ...]


def choose_sides(
    atlas: Atlas,
    *,
    hemispheres: str | Sequence[str] | None = None,
    views: str | Sequence[str] | None = None,
) -> Sides:
    """Return what is asked for, and else both hemispheres, two sides of each, and all planes.

    Raises
    ------
    ValueError
        Another name, and hemispheres or views of which the atlas has nothing to show.
    """
    meshes = [place for place in atlas.geometry.values() if isinstance(place, SurfaceMesh)]
    has = tuple(dict.fromkeys(mesh.hemisphere for mesh in meshes))
    named = _check_names(hemispheres, "hemispheres", tuple(_LETTERS), also=WORDS)
    letters = tuple(dict.fromkeys(WORDS[name] for name in named)) if named else has
    if named and not set(letters) & set(has):
        held = [name for name, letter in _LETTERS.items() if letter in has]
        raise ArgumentError(
            "hemispheres",
            f"are of surfaces, of which {atlas.name!r} has "
            + (f"the {format_list(held, 2)} one alone" if held else "none with a side"),
            "leave it out",
        )
    asked = _check_names(views, "views", (*SIDES, *PLANES))
    surfaces = tuple(view for view in asked if view in SIDES)
    planes = tuple(view for view in asked if view in PLANES)
    grids = len(meshes) < len(atlas.geometry)
    if asked and not (surfaces and meshes or planes and grids):
        kind, those = ("surfaces", SIDES) if meshes else ("volumes", PLANES)
        raise ArgumentError(
            "views",
            f"should be of {kind}, as {atlas.name!r} has nothing else, got "
            + format_list(map(repr, asked), 3),
            f"choose among {format_list(those, len(those))}",
        )
    return Sides(letters, surfaces or _USUAL, planes or PLANES)


def find_viewpoint(side: str, hemisphere: str) -> str:
    """Return from where a side is seen; without a hemisphere from the left, and from the right."""
    if side not in _USUAL:
        return side
    return "right" if (side == "lateral") == (hemisphere == "R") else "left"


def _check_names(
    names: Any, argument: str, known: tuple[str, ...], *, also: Iterable[str] = ()
) -> tuple[str, ...]:
    """Return names of `known`, or `also` allowed, in lower case and once each."""
    if names is not None and not isinstance(names, Iterable):
        told = f"should be names among {format_list(known, len(known))}, got {names!r}"
        raise ArgumentTypeError(argument, told)
    given = () if names is None else (names,) if isinstance(names, str) else tuple(names)
    found = tuple(str(name).lower() for name in given)
    for name, lower in zip(given, found, strict=True):
        if lower not in (*known, *also):
            raise ArgumentError(
                argument,
                f"should be among {format_list(known, len(known))}, got {name!r}",
                nearest(lower, list(known)),
            )
    if names is not None and not found:
        raise ArgumentError(argument, "names nothing to show", "leave it out for all")
    return tuple(dict.fromkeys(found))
