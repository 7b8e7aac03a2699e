"""What headers say of how numbers are stored, and what is odd about that."""

from pathlib import Path
from typing import Any

from atlasinit.core.spaces import may_be_one
from atlasinit.errors import format_list
from atlasinit.inspection.findings import Notes
from atlasinit.io.bids.names import entities_of, space_of
from atlasinit.io.facts import Facts

_OBLIQUE = 0.5
"""Degrees by which axes are turned, beyond rounding."""

_APART = 0.1
"""Voxels by which the two places of a corner differ, beyond what a qform can hold."""


def describe_storage(facts: Facts) -> dict[str, Any]:
    """Return how numbers are stored, as sections of a report have it."""
    out: dict[str, Any] = {"shape": list(facts.shape), "type": facts.dtype}
    if facts.intent:
        out["intent"] = facts.intent
    if facts.is_grid:
        out["unit"] = facts.unit or "not stated (taken for mm)"
        out["axes"] = facts.axes or "none"
    if (facts.slope, facts.intercept) != (1, 0):
        out["scale"] = f"x {facts.slope:.6g} + {facts.intercept:.6g}"
    if facts.labels is not None:
        out["entries of its label table"] = facts.labels
    if facts.maps:
        out["maps"] = list(facts.maps)
    if facts.structures:
        out["structures"] = dict(facts.structures)
    return out


def note_header(facts: Facts, path: Path, notes: Notes) -> None:
    """Note what is odd about a header, or contradicts the file's name."""
    named = space_of(entities_of(path.name))
    if not may_be_one(facts.space, named):
        notes.add(
            "warning",
            "space",
            f"its name states the space {named!r}, its header {facts.space!r}; the name is taken",
        )
    repeated = [name for name in dict.fromkeys(facts.maps) if facts.maps.count(name) > 1]
    if repeated:
        names = format_list(map(repr, repeated), 5)
        notes.add("warning", "names", f"several maps have one name: {names}")
    if not facts.is_grid:
        return
    if facts.oblique > _OBLIQUE:
        told = f"oblique: axes of voxels are turned by {facts.oblique:.1f} degrees"
        notes.add("note", "orientation", told + "; the affine says so, and is followed")
    if facts.is_left_handed:
        told = f"stored as {facts.axes}, a mirror image of RAS"
        notes.add("note", "orientation", told + "; the affine says so, and is followed")
    if facts.apart > _APART:
        told = f"sform and qform disagree: their corners lie {facts.apart:.3g} voxels apart"
        if facts.apart == float("inf"):
            told = "its qform is no rotation"
        notes.add("warning", "orientation", told)
    if not facts.unit:
        notes.add("note", "units", "no unit of length is stated; it is taken for mm")
