"""Weights below a threshold taken out of an atlas."""

import numbers
from collections.abc import Mapping

import numpy as np

from atlasinit.core.header import AtlasHeader
from atlasinit.core.maps import Maps
from atlasinit.errors import ArgumentError, Call, format_list, warn


def drop_weights(
    header: AtlasHeader, maps: Mapping[str, Maps], at: float | int, argument: str
) -> dict[str, Maps]:
    """Return compartment to maps without the weights below `at`, which errors call `argument`.

    Raises
    ------
    ValueError
        What is no positive number, or above every weight.
    """
    if not (isinstance(at, numbers.Real) and np.isfinite(at) and at > 0):
        raise ArgumentError(argument, f"should be a positive weight, as 0.25, got {at!r}")
    kept = {c: m.threshold(at) for c, m in maps.items()}
    before, after = (header.add_rows(m.counts() for m in own.values()) for own in (maps, kept))
    lost = np.flatnonzero((before > 0) & (after == 0)).tolist()
    if lost and not after.any():
        highest = max(m.to_scipy().max() for m in maps.values() if m.n_parcels and m.n_locations)
        raise ArgumentError(
            argument, f"should be at most {highest:g}, the largest weight, got {at:g}"
        )
    if lost:
        names = format_list((repr(header.table["name"][row]) for row in lost), 5)
        told = (
            f"parcels with no weight of {at:g} or more stay as empty rows: {names}; drop them by "
        )
        warn(told + Call("atlas.drop_empty"))
    return kept
