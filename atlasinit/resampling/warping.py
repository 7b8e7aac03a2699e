"""Targets in another space, which an atlas is moved to through spatial transforms."""

import dataclasses
from typing import Any

from atlasinit.core.atlas import Atlas
from atlasinit.core.geometry import VolumeGrid
from atlasinit.errors import ArgumentError, Call
from atlasinit.io.targets import is_target, read_target
from atlasinit.resampling.targets import Origin, Place, find_places
from atlasinit.transforms import Chain, read_chain
from atlasinit.transforms.chains import name_result


def find_warped_places(
    atlas: Atlas, target: Any, transform: Any, space: str | None
) -> tuple[dict[str, Place], Chain, str]:
    """Return where each compartment is moved to, the transforms, and the space of the result.

    Raises
    ------
    ValueError
        An atlas or a target with surfaces, transforms of other spaces than those of the atlas and
        the target, a space of the result that nothing states.
    """
    goal = _stated_space(target)
    chain = read_chain(transform, name=atlas.name, space=atlas.space, goal=goal, stated=space)
    found = name_result(chain, goal=goal, stated=space)
    # The name of the result tells that the target may state another space than the atlas.
    stated = target.space if isinstance(target, Atlas) else found
    places = find_places(Origin.of_atlas(atlas), target, stated)
    for c, place in places.items():
        if not isinstance(place.geometry, VolumeGrid) or not isinstance(
            atlas.geometry[c], VolumeGrid
        ):
            raise ArgumentError(
                "transform",
                f"moves grids, but {c!r} of {atlas.name!r} is moved from {atlas.geometry[c]!r} to "
                f"{place.geometry!r}",
                "Move surfaces by spheres in register, without a transform, and the grid alone: "
                + Call("atlas.select", compartments=...),
            )
    warped = {c: dataclasses.replace(place, warp=chain.points) for c, place in places.items()}
    return warped, chain, found


def check_overlap(moved: Atlas, chain: Chain) -> None:
    """Refuse an atlas of which nothing is left behind its transforms.

    Raises
    ------
    ValueError
        No parcel has a location.
    """
    if moved.n_parcels and not sum(moved.labels["n_locations"]):
        names = ", ".join(step.name for step in chain.steps)
        raise ArgumentError(
            "transform",
            f": no parcel of {moved.name!r} lies in the target after {names}",
            "are these of this atlas and this target, in this order and direction, and of FSL with "
            "the images that were registered?",
        )


def _stated_space(target: Any) -> str:
    """Return the space that a target states, ``""`` where it states none."""
    if isinstance(target, Atlas):
        return target.space
    return read_target(target).space if is_target(target) else ""
