"""What numbers mean that no file states: labels, weights or a mask, by their content alone.

One rule for every format and type of number, in memory and on disk:

- a map of 0 and one other value is a mask;
- one map of whole numbers holds labels, one of fractions holds weights;
- several maps of whole numbers are labels at several levels, unless they look like weights:
  weights have many values and slope from place to place, labels are alike in most neighbours.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
from jaxtyping import Int, Real

from atlasinit.io.keys import is_whole

_ALIKE = 0.6
"""Share of neighbours with one value above which maps hold labels.

Labels of real atlases have 0.80 (400 parcels of 3 mm) to 0.99, percent of Harvard-Oxford and
Juelich 0.22 to 0.24, at most 0.45 in one map.
"""

_FEW = 16
"""Number of values that weights exceed: fewer may be numbers of anything, unless each is held
by less than two locations."""


@dataclasses.dataclass(frozen=True, eq=False)
class Numbers:
    """What the numbers of one map are like.

    Parameters
    ----------
    low, high
        The smallest and largest that are finite, 0 being one of them.
    whole
        Whether all that are finite are whole, and not all of them 0 when rounded.
    only
        The one value other than 0, None where there are several or none.
    values
        The distinct whole numbers other than 0, none unless `whole`.
    size
        How many are whole and other than 0.
    pairs, alike
        How many neighbours in the order of the file are both other than 0, and how many of
        these have the same value. Pairs with the largest value do not count, as weights have
        it wherever they are certain.
    """

    low: float
    high: float
    whole: bool
    only: float | None
    values: Int[np.ndarray, " distinct"]
    size: int = 0
    pairs: int = 0
    alike: int = 0

    @property
    def is_zero(self) -> bool:
        """Whether all that are finite are 0."""
        return not (self.low or self.high)

    @property
    def is_mask(self) -> bool:
        """Whether they are 0 and one other value, which is no fraction of 1."""
        return self.only is not None and self.only >= 1


def describe_numbers(values: Real[np.ndarray, " locations"]) -> Numbers:
    """Return what the numbers of a map, in the order of its file, are like."""
    # NaN and infinity differ from 0 too, and are taken out next.
    at = np.flatnonzero(values != 0)
    held = values[at]
    if held.dtype.kind == "f" and not (finite := np.isfinite(held)).all():
        at, held = at[finite], held[finite]
    low, high = float(held.min(initial=0)), float(held.max(initial=0))
    only = float(held[0]) if held.size and (held == held[0]).all() else None
    none = np.zeros(0, np.int64)
    # Numbers that all round to 0 are small fractions; those beyond int64 number nothing.
    largest = max(high, -low)
    if not held.size or not 0.5 <= largest < 2.0**63 or not is_whole(held):
        return Numbers(low, high, whole=False, only=only, values=none)
    held = np.rint(held).astype(np.int64) if held.dtype.kind == "f" else held
    top = held.max()
    # Whether each number and the next are neighbours in the file, unless both are the largest.
    pairs = (np.diff(at) == 1) & ((held[1:] != top) | (held[:-1] != top))
    return Numbers(
        low,
        high,
        whole=True,
        only=only,
        values=_distinct(held),
        size=held.size,
        pairs=int(np.count_nonzero(pairs)),
        alike=int(np.count_nonzero(pairs & (held[1:] == held[:-1]))),
    )


def are_levels(maps: Sequence[Numbers]) -> bool:
    """Whether several maps hold labels: whole numbers, of several values, not like weights."""
    held = [one for one in maps if not one.is_zero]
    return (
        bool(held)
        and all(one.whole for one in held)
        and any(one.only is None for one in held)
        and not look_like_weights(held)
    )


def look_like_weights(maps: Sequence[Numbers]) -> bool:
    """Whether whole numbers slope from place to place, as percent do, and have many values."""
    # A map of one value is a mask, which is alike everywhere and tells nothing of the others.
    several = [one for one in maps if one.only is None]
    if not several:
        return False
    distinct = np.unique(np.concatenate([one.values for one in several])).size
    # Less than two locations a value on average, as where each weight is a number of its own.
    single = sum(one.size for one in several) < 2 * sum(one.values.size for one in several)
    alike = sum(one.alike for one in several)
    return (distinct > _FEW or single) and alike < _ALIKE * sum(one.pairs for one in several)


def say_levels(maps: Sequence[Numbers]) -> str:
    """Return why maps of `are_levels` are not taken for weights."""
    values = [one.values for one in maps if not one.is_zero]
    distinct = np.unique(np.concatenate(values)).size
    if distinct > _FEW:
        return "which look like labels at several levels, as most neighbours are alike"
    return (
        f"which look like labels at several levels, as they have {distinct} distinct values, where "
        f"those of weights are more than {_FEW}"
    )


def _distinct(values: np.ndarray) -> Int[np.ndarray, " distinct"]:
    if values.dtype == bool:
        values = values.view(np.uint8)
    # Counting is faster than the sorting of `np.unique`; up to 2 ** 16 the counts take 0.5 MB.
    if values.min() >= 0 and values.max() < 2**16:
        return np.flatnonzero(np.bincount(values.astype(np.int64)))
    return np.unique(values).astype(np.int64)
