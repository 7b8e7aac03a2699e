"""Transforms one after the other, from the space of an atlas to that of its target."""

import dataclasses
import itertools
from typing import Any

from atlasinit.core.spaces import may_be_one
from atlasinit.errors import ArgumentError, Call, Passing
from atlasinit.transforms.files import Step, read_transform
from atlasinit.transforms.maps import ChainedMap, PointMap


@dataclasses.dataclass(frozen=True, eq=False)
class Chain:
    """One or several transforms.

    Parameters
    ----------
    steps
        In the order in which an atlas goes through them.
    """

    steps: tuple[Step, ...]

    @property
    def points(self) -> PointMap:
        """From positions in the space of the target to positions in that of the atlas."""
        # A position goes back through them: the last one first.
        return ChainedMap(tuple(step.points for step in reversed(self.steps)))

    def describe(self) -> str:
        """Return what provenance keeps: each file's name and the sha256 of its content."""
        told = [
            f"{'inverse of ' if step.inverse else ''}{step.name} sha256:{step.sha256}"
            for step in self.steps
        ]
        return f"transform={told}"


def read_chain(given: Any, *, name: str, space: str, goal: str, stated: str | None) -> Chain:
    """Return the transforms of an atlas, whose names have to fit its space and the target's.

    Parameters
    ----------
    given
        A path or `Transform`, or a list of these, in the order in which the atlas goes through
        them.
    name, space
        What messages call the source, and its space.
    goal
        The space that the target states; ``""`` where it states none.
    stated
        The space of the result that the user states, or None.

    Raises
    ------
    ValueError
        An empty list; names of which one does not begin where the last one ended, at the
        atlas's space or at the target's; and what `read_transform` raises.
    """
    each = list(given) if isinstance(given, list | tuple) else [given]
    if not each:
        raise ArgumentError("transform", "is an empty list", "pass a file, or None")
    chain = Chain(tuple(read_transform(one) for one in each))
    first, last = chain.steps[0], chain.steps[-1]
    if not may_be_one(first.origin, space):
        raise ArgumentError(
            "transform",
            f": {first.name} moves images from {first.origin!r} to {first.goal!r}, but {name} is "
            f"in {space!r}",
            *_other_way(first, space),
        )
    for one, other in itertools.pairwise(chain.steps):
        if not may_be_one(one.goal, other.origin):
            raise ArgumentError(
                "transform",
                f": {one.name} ends in {one.goal!r}, but the next, {other.name}, begins in "
                f"{other.origin!r}",
                "pass them in the order in which an image of the atlas would go through them",
            )
    for what, other in (("the target states", goal), ("the space asked for is", stated or "")):
        if not may_be_one(last.goal, other):
            raise ArgumentError(
                "transform",
                f": {last.name} moves images to {last.goal!r}, but {what} {other!r}",
                "pass one that ends there, or a target of " + repr(last.goal),
            )
    return chain


def _other_way(step: Step, space: str) -> list[Any]:
    """Return what to pass in place of a transform that does not begin in a space."""
    if not may_be_one(step.goal, space):
        return [f"pass one whose name begins from-{space}"]
    return [
        f"It goes the other way: pass from-{step.goal}_to-{step.origin}_mode-image_xfm, which the "
        "registration wrote too; or, of a matrix, "
        + Call("ai.Transform", repr(step.path), inverse=not step.inverse)
    ]


def check_result(goal: str, chain: Chain) -> None:
    """Refuse transforms of which nothing states the space that an atlas is in after them.

    Raises
    ------
    ValueError
        It is stated neither by the user nor by the names of the files or the target.
    """
    if not goal:
        raise ArgumentError(
            "space",
            f"is needed: neither {chain.steps[-1].name} (by to- in its name) nor the target states "
            "which space the result is in",
            "pass " + Passing(space="T1w") + " for one person's image, or the name of a template",
        )
