"""Statistics of each parcel's locations in concrete data, on all cores.

Each takes the values (members, time) and weights (members,) of one parcel and which values
are seen, None for all, and returns (time,); what it returns where nothing is seen is not used.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
from jaxtyping import Bool, Float, Float32, Float64, Int64

from atlasinit.core.maps import Maps
from atlasinit.support.threads import run_in_threads

_AT_ONCE = 2**18  # values that stay in the cache

Seen: TypeAlias = Bool[np.ndarray, "members time"] | None
Statistic: TypeAlias = Callable[
    [Float[np.ndarray, "members time"], Float[np.ndarray, " members"], Seen],
    Float[np.ndarray, " time"],
]


class Members(NamedTuple):
    """The locations of each parcel, and their weights.

    Those of parcel i lie from ``ends[i]`` to ``ends[i + 1]``; `totals` are the sums of each
    parcel's absolute weights.
    """

    locations: Int64[np.ndarray, " members"]
    weights: Float32[np.ndarray, " members"]
    ends: Int64[np.ndarray, " ends"]
    totals: Float64[np.ndarray, " parcels"]


def members_of(maps: Sequence[Maps]) -> Members:
    """Return the locations of the parcels of all compartments."""
    locations, weights, sizes, start = [], [], [np.zeros(1, np.int64)], 0
    for one in maps:
        matrix = one.to_scipy()
        matrix.eliminate_zeros()
        # CSR holds the locations of a parcel one after the other, counted here in the whole data.
        locations.append(matrix.indices.astype(np.int64) + start)
        weights.append(matrix.data)
        sizes.append(np.diff(matrix.indptr))
        start += one.n_locations
    totals = np.concatenate([m.totals(absolute=True) for m in maps])
    ends = np.cumsum(np.concatenate(sizes))
    return Members(np.concatenate(locations), np.concatenate(weights), ends, totals)


def reduce_parcels(
    members: Members,
    data: Float[np.ndarray, "batch locations time"],
    dtype: np.dtype,
    statistic: Statistic,
    *,
    omit: bool,
) -> tuple[Float[np.ndarray, "batch parcels time"], Float[np.ndarray, "batch parcels time"]]:
    """Return a statistic and the absolute weight that it is of; 0 where that is 0."""
    batch, _, time = data.shape
    n_parcels = len(members.ends) - 1
    values, observed = np.zeros((2, batch, n_parcels, time), dtype)

    def one(sample: int, parcel: int, times: slice) -> None:
        own = slice(members.ends[parcel], members.ends[parcel + 1])
        # (members, time), a copy in the order of the parcel's weights.
        x = data[sample, :, times][members.locations[own]].astype(dtype, copy=False)
        weights, seen, total = members.weights[own].astype(dtype), None, members.totals[parcel]
        if omit:
            seen = ~np.isnan(x)
            # (time,) weight that is observed at each time point.
            total = np.abs(weights) @ seen
        with np.errstate(all="ignore"):
            found = statistic(x, weights, seen)
        values[sample, parcel, times] = np.where(total == 0, 0, found)
        observed[sample, parcel, times] = total

    sizes = np.diff(members.ends).tolist()
    tasks = [
        (sample, parcel, slice(start, start + max(1, _AT_ONCE // size)))
        for sample in range(batch)
        for parcel, size in enumerate(sizes)
        if size
        for start in range(0, time, max(1, _AT_ONCE // size))
    ]
    run_in_threads(one, tasks)
    return values, observed


def smallest(x: np.ndarray, weights: np.ndarray, seen: Seen) -> np.ndarray:
    """Return the smallest value."""
    del weights
    # `minimum` is NaN where a value is; `fmin` passes over NaN, which is what is not seen.
    return (np.minimum if seen is None else np.fmin).reduce(x, axis=0)


def largest(x: np.ndarray, weights: np.ndarray, seen: Seen) -> np.ndarray:
    """Return the largest value."""
    del weights
    return (np.maximum if seen is None else np.fmax).reduce(x, axis=0)


def median(x: np.ndarray, weights: np.ndarray, seen: Seen) -> np.ndarray:
    """Return the median."""
    ordered, last = _sort(x, seen)
    # Half of the last place, rounded down and up: the one or two places in the middle.
    at = np.maximum(last, 0)[:, None]
    low, high = (np.take_along_axis(ordered, i, axis=1)[:, 0] for i in (at // 2, (at + 1) // 2))
    return _keep_nan((low + high) / 2, ordered, seen)


def mode(x: np.ndarray, weights: np.ndarray, seen: Seen) -> np.ndarray:
    """Return the most frequent value, of several the smallest."""
    ordered, last = _sort(x, seen)
    place = np.arange(len(x))
    # (time, members): where a run of equal values begins. NaN equals nothing, itself included.
    new = np.ones(ordered.shape, bool)
    new[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    # Of each value, how many equal ones come before it: the first to reach the most wins.
    length = place - np.maximum.accumulate(np.where(new, place, 0), axis=1)
    length[place > last[:, None]] = -1
    return _keep_nan(
        np.take_along_axis(ordered, length.argmax(axis=1)[:, None], axis=1)[:, 0], ordered, seen
    )


def variance(x: np.ndarray, weights: np.ndarray, seen: Seen) -> np.ndarray:
    """Return the variance, divided by the number of values."""
    del weights
    kept = x if seen is None else np.where(seen, x, 0)
    count = len(x) if seen is None else np.maximum(np.count_nonzero(seen, axis=0), 1)
    # In two passes: squares less the squared mean would lose the digits of a mean far from 0.
    change = x - kept.sum(axis=0, dtype=np.float64) / count
    if seen is not None:
        change[~seen] = 0
    return (change**2).sum(axis=0) / count


def deviation(x: np.ndarray, weights: np.ndarray, seen: Seen) -> np.ndarray:
    """Return the standard deviation."""
    return np.sqrt(variance(x, weights, seen))


def _sort(x: np.ndarray, seen: Seen) -> tuple[np.ndarray, np.ndarray]:
    """Return values (time, members) in order, and which is the last; NaN lies behind it."""
    # Along memory.
    ordered = np.sort(np.ascontiguousarray(x.T), axis=1)
    n_time, n_members = ordered.shape
    if seen is None:
        return ordered, np.full(n_time, n_members - 1)
    return ordered, np.count_nonzero(seen, axis=0) - 1


def _keep_nan(found: np.ndarray, ordered: np.ndarray, seen: Seen) -> np.ndarray:
    """Return what was found, NaN where values were NaN that count."""
    return np.where(np.isnan(ordered[:, -1]), np.nan, found) if seen is None else found
