"""One scale for the weights of an atlas: 0 to 1, whatever their files and types."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from atlasinit.errors import Argument, AtlasFileError, Passing, format_list
from atlasinit.io.contents import Part
from atlasinit.io.options import Scale

LARGEST = 255
"""Of the whole numbers that weights are stored as."""

_WHOLE = 1e-3  # percent written as floats are as near to whole numbers
_SOME = 4096  # values that tell fractions, as a rule
_MASK_SIZE = 8  # locations of 1 percent throughout, and of nothing else, that no map has


@dataclasses.dataclass(frozen=True, eq=False)
class _Map:
    """The weights of one map of a part, other than 0 and finite."""

    values: np.ndarray
    name: str

    @property
    def only(self) -> float | None:
        """The one value that all have, None where there are several."""
        return float(self.values[0]) if (self.values == self.values[0]).all() else None


def scale_of(maps: Sequence[np.ndarray], path: object) -> float:
    """Return the factor by which numbers become weights of 0 to 1, judging by what they are.

    =============================================  ========
    none negative, the largest is                  factor
    =============================================  ========
    up to 1                                        1
    up to 100 (fractions: above 50)                1 / 100
    up to 255 (fractions: above 127.5)             1 / 255
    anything else of fractions                     1
    anything else of whole numbers                 refused
    =============================================  ========

    Numbers of which some are negative are no probabilities, and stay. So do fractions of which
    the largest lies in the lower half of a scale, as those of statistics and of thickness do.

    Parameters
    ----------
    maps
        The finite weights of each map.
    path
        The file or files that they are from, for the message.

    Raises
    ------
    AtlasFileError
        Whole numbers beyond 255.
    """
    low = min((float(one.min(initial=0)) for one in maps), default=0.0)
    high = max((float(one.max(initial=0)) for one in maps), default=0.0)
    if low < 0 or high <= 1 + _WHOLE:
        return 1.0
    whole = all(map(_are_whole, maps))
    for top in (100, LARGEST):
        # Half a unit more is allowed, as by rounding or resampling.
        if high <= top + 0.5 and (whole or high > top / 2):
            return 1 / top
    if not whole:
        return 1.0
    raise AtlasFileError(
        path,
        f"its maps hold whole numbers up to {high:.0f}, which are neither percent nor parts of 255",
        "If they are labels, pass "
        + Passing(kind="hard")
        + ", and "
        + Argument("map")
        + " for one of several maps; if they are weights, their "
        + Argument("scale")
        + ", as 1",
    )


def scale_parts(parts: Sequence[Part], scale: Scale, path: object) -> list[Part]:
    """Return parts whose weights have the scale of 0 to 1; labels stay.

    All maps of an atlas have one scale. A map of 0 and one other value is a mask, of 1, where
    no map has several values or where its value is beyond the scale of those that have.

    Parameters
    ----------
    parts
        Of an atlas.
    scale
        The factor, or ``"auto"`` for `scale_of`.
    path
        The files that they are from, for messages.

    Raises
    ------
    AtlasFileError
        Whole numbers that are neither percent nor parts of 255; a mask beside percent.
    """
    soft = [i for i, part in enumerate(parts) if part.maps is not None]
    if scale != "auto":
        factors = {i: np.full(len(parts[i].map_keys), float(scale)) for i in soft}
        return _scaled(parts, factors, ())
    highest = max((float(np.nanmax(_stored(parts[i]), initial=0)) for i in soft), default=0.0)
    # The usual case, for which no map has to be looked at on its own.
    if highest <= 1 + _WHOLE:
        return list(parts)
    # Maps go by two numbers: that of their part, and that of their row in it.
    maps = {key: one for i in soft for key, one in _maps(i, parts[i]).items()}
    only = {key: value for key, one in maps.items() if (value := one.only) is not None}
    several = [one.values for key, one in maps.items() if key not in only]
    factor = scale_of(several, path)
    # The top of the scale of maps with several values; without such maps any value is beyond it.
    beyond = 1 / factor if several else 0
    # A map of a single fraction, as 0.5 throughout, is no mask.
    masks = {key: value for key, value in only.items() if value > beyond and value >= 1}
    if several and factor < 1:
        _check_masks([maps[key] for key, value in only.items() if value == 1], factor, path)
    factors = {i: np.full(len(parts[i].map_keys), factor) for i in soft}
    for (i, row), value in masks.items():
        factors[i][row] = 1 / value
    told = [f"scale({factor:.6g})"] if factor != 1 else []
    if distinct := sorted({value for value in masks.values() if value != 1}):
        told.append(f"binarize({format_list(f'{value:g}' for value in distinct)})")
    return _scaled(parts, factors, tuple(told)) if told else list(parts)


def _are_whole(values: np.ndarray) -> bool:
    if values.dtype.kind in "biu":
        return True
    first, rest = values[:_SOME], values[_SOME:]
    return all(bool((np.abs(v - np.rint(v)) <= _WHOLE).all()) for v in (first, rest))


def _check_masks(maps: Sequence[_Map], factor: float, path: object) -> None:
    """Refuse masks of 1 beside percent, of which 1 is next to nothing."""
    names = [one.name for one in maps if one.values.size >= _MASK_SIZE]
    if names:
        raise AtlasFileError(
            path,
            f"holds masks of 0 and 1 ({format_list(names)}) beside maps whose scale seems to be "
            f"{factor:.6g}",
            "Bring all to one scale, and pass it as " + Argument("scale"),
        )


def _scaled(
    parts: Sequence[Part], factors: Mapping[int, np.ndarray], told: tuple[str, ...]
) -> list[Part]:
    """Return parts with each row of their maps times its factor."""
    out = list(parts)
    for i, own in factors.items():
        maps: Any = parts[i].maps
        # Weights are float32, which factors in float64 would widen.
        own = own.astype(np.float32)
        if isinstance(maps, np.ndarray):
            maps = maps * own[:, None]
        else:
            maps = maps.copy()
            # The differences of `indptr` are the numbers of entries of the rows.
            maps.data = maps.data * np.repeat(own, np.diff(maps.indptr))
        operations = (*parts[i].operations, *told)
        out[i] = dataclasses.replace(parts[i], maps=maps, operations=operations)
    return out


def _stored(part: Part) -> np.ndarray:
    maps: Any = part.maps
    return maps if isinstance(maps, np.ndarray) else maps.data


def _maps(number: int, part: Part) -> dict[tuple[int, int], _Map]:
    """Return the maps of a part that have a weight, by its number and that of the row."""
    names = {row.key: row.name for row in part.rows or ()}
    found = {}
    for row, key in enumerate(part.map_keys):
        maps: Any = part.maps
        if not isinstance(maps, np.ndarray):
            values = maps.data[maps.indptr[row] : maps.indptr[row + 1]]
        else:
            values = maps[row]
        values = values[(values != 0) & np.isfinite(values)]
        if values.size:
            found[number, row] = _Map(values, names.get(key) or f"map {key}")
    return found
