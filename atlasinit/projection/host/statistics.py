"""Medians, extremes and spreads of each parcel's locations in known data, on all cores."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from atlasinit.core.maps import HardMaps
from atlasinit.support.threads import in_threads

_AT_ONCE = 2**18  # values that stay in the cache
# The first gives NaN where there is one, the second passes over it.
_EXTREMES = {"min": (np.minimum, np.fmin), "max": (np.maximum, np.fmax)}


class Members(NamedTuple):
    """The locations of each parcel: those of parcel i lie from ``ends[i]`` to ``ends[i + 1]``."""

    locations: np.ndarray
    ends: np.ndarray


def members_of(maps: Sequence[HardMaps]) -> Members:
    """Return the locations of the parcels of all compartments."""
    locations, sizes, start = [], [np.zeros(1, np.int64)], 0
    for one in maps:
        matrix = one.to_scipy()
        locations.append(matrix.indices.astype(np.int64) + start)
        sizes.append(np.diff(matrix.indptr))
        start += one.n_locations
    return Members(np.concatenate(locations), np.cumsum(np.concatenate(sizes)))


def by_label(
    members: Members,
    data: Float[np.ndarray, "batch locations time"],
    dtype: np.dtype,
    reduction: str,
    *,
    omit: bool,
) -> tuple[Float[np.ndarray, "batch parcels time"], Float[np.ndarray, "batch parcels time"]]:
    """Return a reduction and the number of values that it is of; 0 where there are none."""
    batch, _, time = data.shape
    n_parcels = len(members.ends) - 1
    values, counts = np.zeros((2, batch, n_parcels, time), dtype)

    def one(sample: int, parcel: int, times: slice) -> None:
        own = members.locations[members.ends[parcel] : members.ends[parcel + 1]]
        x = data[sample, :, times][own].astype(dtype, copy=False)
        with np.errstate(all="ignore"):
            found = _reduced(x, reduction, omit=omit)
        values[sample, parcel, times], counts[sample, parcel, times] = found

    sizes = np.diff(members.ends).tolist()
    tasks = [
        (sample, parcel, slice(start, start + max(1, _AT_ONCE // size)))
        for sample in range(batch)
        for parcel, size in enumerate(sizes)
        if size
        for start in range(0, time, max(1, _AT_ONCE // size))
    ]
    in_threads(one, tasks)
    return values, counts


def _reduced(
    x: Float[np.ndarray, "members time"], reduction: str, *, omit: bool
) -> tuple[Float[np.ndarray, " time"], np.ndarray | int]:
    """Return the values of one parcel, and of how many they are."""
    bad = np.isnan(x) if omit or reduction == "median" else None
    counts = len(x) if bad is None else len(x) - np.count_nonzero(bad, axis=0)
    if reduction in _EXTREMES:
        out = _EXTREMES[reduction][omit].reduce(x, axis=0)
    elif reduction == "median":
        # NaN is sorted last.
        ordered = np.sort(np.ascontiguousarray(x.T), axis=1)
        last = np.maximum(counts, 1)[:, None]
        low, high = (
            np.take_along_axis(ordered, i, axis=1)[:, 0] for i in ((last - 1) // 2, last // 2)
        )
        out = (low + high) / 2
        if not omit:
            out[counts < len(x)] = np.nan
            counts = len(x)
    else:
        kept = x if bad is None else np.where(bad, 0, x)
        divisor = np.maximum(counts, 1)
        change = x - kept.sum(axis=0, dtype=np.float64) / divisor
        if bad is not None:
            change[bad] = 0
        out = (change**2).sum(axis=0) / divisor
        if reduction == "std":
            out = np.sqrt(out)
    return np.where(counts == 0, 0, out), counts
