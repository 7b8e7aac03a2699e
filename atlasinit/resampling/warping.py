"""Targets in another space, which an atlas is moved to through spatial transforms."""

import dataclasses
from typing import Any

from atlasinit.core.atlas import Atlas
from atlasinit.core.geometry import VolumeGrid
from atlasinit.errors import ArgumentError, Call
from atlasinit.io.targets import holds_surface, is_target, read_target
from atlasinit.resampling.targets import Origin, Place, find_places
from atlasinit.transforms import Chain, read_chain


def find_warped_places(
    origin: Origin, target: Any, transform: Any, space: str | None, *, whole: bool = False
) -> tuple[dict[str, Place], Chain, str]:
    """Return where each compartment is moved to, the transforms, and the space of the result.

    That space is ``""`` where nothing states it. With `whole` the target may have no compartments
    that the origin lacks.

    Raises
    ------
    ValueError
        An origin or a target with surfaces, transforms of other spaces than those of both.
    """
    goal = _stated_space(target)
    chain = read_chain(transform, name=origin.name, space=origin.space, goal=goal, stated=space)
    found = space or chain.steps[-1].goal or goal
    # The name of the result tells that the target may state another space than the atlas.
    stated = target.space if isinstance(target, Atlas) else found
    places = find_places(origin, target, stated or None, whole=whole)
    for c, place in places.items():
        own = origin.geometry[c]
        if not isinstance(place.geometry, VolumeGrid) or not isinstance(own, VolumeGrid):
            raise ArgumentError(
                "transform",
                f"moves grids, but {c!r} of {origin.name} is moved from {own!r} to "
                f"{place.geometry!r}",
                "Move surfaces by spheres in register, without a transform, and the grid alone: "
                + Call("atlas.select", compartments=...),
            )
    warped = {c: dataclasses.replace(place, warp=chain.points) for c, place in places.items()}
    return warped, chain, found


def check_overlap(n_left: int, what: str, chain: Chain) -> None:
    """Refuse transforms after which none of something, by its number and name, is left.

    Raises
    ------
    ValueError
        Nothing is left.
    """
    if not n_left:
        names = ", ".join(step.name for step in chain.steps)
        raise ArgumentError(
            "transform",
            f": no {what} lies in the target after {names}",
            "are these of this source and this target, in this order and direction, and of FSL "
            "with the images that were registered?",
        )


def _stated_space(target: Any) -> str:
    """Return the space that a target states, ``""`` where it states none."""
    if isinstance(target, Atlas):
        return target.space
    # Surfaces are refused later, by what is wrong with them here.
    return read_target(target).space if is_target(target) and not holds_surface(target) else ""
