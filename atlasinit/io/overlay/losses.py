"""What masks leave out of an atlas: counted for the provenance, and told where nobody asked."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Int

from atlasinit.core.geometry import SurfaceMesh, VolumeGrid
from atlasinit.errors import format_list, warn

# Filled in by `str.replace`: `str.format` would stumble over braces in the name of a file.
_LOST = "{lost}"
_NOTE = "{note}"


@dataclasses.dataclass(frozen=True, eq=False)
class Mask:
    """A mask, and what is told of it.

    Parameters
    ----------
    kept
        What `read_mask` takes of volumes, or `locations_in` of surfaces.
    operation
        For the provenance, with ``{lost}`` for the number of labelled locations outside, and
        perhaps ``{note}`` for what reading it tells.
    warning
        What is said of parcels that lie outside altogether, before their names; ``""``
        to say nothing, of a mask that the user states.
    """

    kept: Any
    operation: str
    warning: str = ""

    def note(self, note: str) -> "Mask":
        """Return the mask with what reading it told, as the images of a condition."""
        told = self.operation.replace(_NOTE, f"; {note}" if note else "")
        return dataclasses.replace(self, operation=told)


class Masked(NamedTuple):
    """What a compartment held before masks were laid on.

    Parameters
    ----------
    masks
        Those that were.
    counts
        Each key of the data to the number of its locations.
    """

    masks: tuple[Mask, ...]
    counts: Mapping[int, int]


class Loss(NamedTuple):
    """The locations of the parcels of a compartment, without masks and with them."""

    masks: tuple[Mask, ...]
    names: Sequence[str]
    before: Int[np.ndarray, " parcels"]
    after: Int[np.ndarray, " parcels"]

    @property
    def gone(self) -> Bool[np.ndarray, " parcels"]:
        """The parcels that the masks leave no location."""
        return (self.before > 0) & (self.after == 0)


def as_mask(kept: object) -> Mask:
    """Return what a user states as a mask as a `Mask`."""
    if isinstance(kept, Mask):
        return kept
    return Mask(kept, f"mask({describe_mask(kept)}{_NOTE}: {_LOST} labelled locations lost)")


def tell_losses(losses: Sequence[Loss]) -> tuple[str, ...]:
    """Return an operation for each mask, and warn of parcels that a mask took whole."""
    masks = dict.fromkeys(mask for loss in losses for mask in loss.masks)
    # Masks that are told alike count as one, as those of both hemispheres.
    lost = dict.fromkeys((mask.operation for mask in masks), 0)
    gone: dict[str, list[str]] = {mask.warning: [] for mask in masks if mask.warning}
    for loss in losses:
        # Locations are counted before and after all masks of a compartment together, so that each
        # of them is told the whole loss.
        for operation in dict.fromkeys(mask.operation for mask in loss.masks):
            lost[operation] += int((loss.before - loss.after).sum())
        for warning in dict.fromkeys(mask.warning for mask in loss.masks if mask.warning):
            gone[warning] += [n for n, gone in zip(loss.names, loss.gone, strict=True) if gone]
    for warning, names in gone.items():
        if names:
            warn(f"{warning}: {format_list(names)}.")
    return tuple(operation.replace(_LOST, str(count)) for operation, count in lost.items())


def describe_mask(kept: object) -> str:
    """Return a few words that tell one mask from another."""
    # Of a pair of images and a condition on them, the condition.
    if isinstance(kept, tuple) and len(kept) == 2:
        return str(kept[1])
    if isinstance(kept, VolumeGrid | SurfaceMesh):
        return "kept locations of a geometry"
    if isinstance(kept, str) or hasattr(kept, "__fspath__"):
        return str(kept).replace("\\", "/").rpartition("/")[2]
    return "in memory"
