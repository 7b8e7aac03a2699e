"""Masks that state the locations of several compartments: CIFTI, and nilearn's surface images."""

from typing import Any

import numpy as np

from atlasinit.core.geometry import Geometry
from atlasinit.errors import ArgumentError, format_list
from atlasinit.io.agreement import check_mask_space
from atlasinit.io.formats import cifti
from atlasinit.io.formats.registry import state_by_name
from atlasinit.io.input import Input, SurfaceImage, is_input, sides_of
from atlasinit.io.overlay.masks import are_binary


def split_mask(mask: object, *, space: str = "") -> dict[str, Any] | None:
    """Return compartment to the mask that one object holds for it.

    Parameters
    ----------
    mask
        A nilearn ``SurfaceImage``; or a CIFTI-2 file or image: of one map, 0 where false and
        one other value where true; of several, as data over time are, the locations that it
        has.
    space
        That the atlas is in; ``""`` where that is not known.

    Returns
    -------
    dict or None
        What `read_mask` and `locations_in` take; None where `mask` is none of these.

    Raises
    ------
    ValueError
        One map of other values; another space that the file states.
    AtlasFileError
        A file that is missing or damaged.
    """
    if isinstance(mask, SurfaceImage):
        return dict(sides_of(mask))
    if not is_input(mask) or isinstance(mask, np.ndarray):
        return None
    with Input(mask) as source:  # pyright: ignore[reportArgumentType]
        return _structures(source, space) if cifti.claims(source) else None


def _structures(source: Input, space: str) -> dict[str, Geometry]:
    found = cifti.values(source)
    check_mask_space(state_by_name(found.stated, source).space, space, source)
    blocks = found.blocks
    # Compartment to its data (locations, maps).
    read = {b.compartment: b.select(np.arange(b.geometry.n_locations)) for b in blocks}
    if any(data.n_time > 1 for data in read.values()):
        return {b.compartment: b.geometry for b in blocks}
    values = {c: data.all()[:, 0] for c, data in read.items()}
    # All structures are judged together, as a mask may have the whole of one, or nothing of it.
    distinct = np.unique(np.concatenate(list(values.values())))
    if not are_binary(distinct):
        raise ArgumentError(
            "mask",
            f": the one map of {source} should hold 0 and one other value, got "
            f"{format_list(distinct.tolist(), 3)}",
            "for the locations that a file has, pass the geometry of an atlas of it",
        )
    return {b.compartment: b.geometry.restrict(values[b.compartment] != 0) for b in blocks}
