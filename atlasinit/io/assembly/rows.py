"""Which entries of the label tables become the rows of which compartment."""

import bisect
import dataclasses
import re
from collections.abc import Iterable, Mapping, Sequence

from atlasinit.core.labels import hemisphere_of
from atlasinit.errors import listing, nearest
from atlasinit.io.contents import COMPARTMENTS, LabelRow
from atlasinit.io.tables.reading import Rows

# Casefolded, without a prefix that states the side, as in ctx-lh-unknown or L_???.
_BACKGROUND = (
    *("unknown", "???", "background", "medial wall", "medial_wall", "clear label"),
    *("background+freesurfer_defined_medial_wall", "freesurfer_defined_medial_wall"),
)
_SURFACE_BACKGROUND = "corpuscallosum"
_SIDE_PREFIX = re.compile(r"^(ctx[-_])?(lh|rh|l|r)[-_.]")


@dataclasses.dataclass(frozen=True)
class Present:
    """What the data of a compartment hold.

    Parameters
    ----------
    compartment
        Its name.
    keys
        The keys in the data, ascending: values of labels, or keys of maps.
    is_surface, is_maps
        Whether its geometry is a mesh, and whether its data are maps.
    background
        The keys that mean no parcel, where the file or the user states them.
    """

    compartment: str
    keys: tuple[int, ...]
    is_surface: bool = False
    is_maps: bool = False
    background: tuple[int, ...] | None = None


def background_keys(
    present: Present, rows: Rows, background: Iterable[int | str] | None
) -> frozenset[int]:
    """Return the keys of a compartment that mean no parcel.

    Parameters
    ----------
    present
        The data.
    rows
        Its label table.
    background
        Keys and names (of any case), or None for the usual rules: what the file
        states; else key 0 of labels, and the entries named as background usually is.
    """
    if background is not None:
        wanted = list(background)
        named = {str(item).casefold() for item in wanted if isinstance(item, str)}
        return frozenset(
            {int(item) for item in wanted if not isinstance(item, str)}
            | {row.key for row in rows if row.name.casefold() in named}
        )
    if present.background is not None:
        return frozenset(present.background)
    named = {row.key for row in rows if means_background(row.name, is_surface=present.is_surface)}
    return frozenset(named if present.is_maps else {0, *named})


def check_background(background: Iterable[int | str], rows: Iterable[LabelRow]) -> None:
    """Refuse names in `background` that no table has."""
    known = {row.name.casefold(): row.name for row in rows}
    for item in background:
        if isinstance(item, str) and item.casefold() not in known:
            hint = nearest(item, known.values())
            raise ValueError(f"`background`: no table has an entry {item!r}.{hint}")


def join(
    table: Rows | None,
    data: Sequence[Present],
    *,
    background: Iterable[int | str] | None,
    unlisted: str,
) -> dict[str, Rows]:
    """Return the rows of each of the compartments that one table serves.

    Rows follow the order of the table; keys without an entry come after, ascending.
    An entry that the data of some compartment hold belongs to each that does. One
    that is nowhere belongs to the compartment that it states, else to the cortex of
    its hemisphere, else to where the located entry with the nearest lower key lies.

    Parameters
    ----------
    table
        The entries, None where there is no table.
    data
        The compartments.
    background
        See `background_keys`.
    unlisted
        ``"error"`` or ``"name"``: what happens to keys without an entry.

    Raises
    ------
    ValueError
        Keys without an entry, entries of one key with different names, negative keys.
    """
    apart = {p.compartment: p for p in data}
    applying = {c: _applying(table or (), p) for c, p in apart.items()}
    ignored = {c: background_keys(p, applying[c], background) for c, p in apart.items()}
    known = {c: ignored[c] | _keys(applying[c]) for c in apart}
    unknown = {c: [key for key in p.keys if key not in known[c]] for c, p in apart.items()}
    _check_negative(unknown)
    if table is not None and unlisted == "error" and any(unknown.values()):
        raise ValueError(_disagreement(apart, applying, ignored, unknown))
    homes = _Homes(apart)
    out: dict[str, dict[int, LabelRow]] = {c: {} for c in apart}
    for row in table or ():
        able = [c for c in apart if _applies(row, c) and row.key not in ignored[c]]
        for c in homes.of(row, able):
            first = out[c].setdefault(row.key, row)
            if first.name != row.name:
                raise ValueError(
                    f"`labels`: the table has several entries for key {row.key} in {c}: "
                    f"{first.name!r} and {row.name!r}."
                )
    for c, keys in unknown.items():
        out[c].update({key: LabelRow(key, f"label-{key}") for key in keys})
    return {c: tuple(rows.values()) for c, rows in out.items()}


class _Homes:
    """Which of the compartments an entry belongs to."""

    def __init__(self, data: Mapping[str, Present]) -> None:
        self._keys = {c: frozenset(p.keys) for c, p in data.items()}
        located = {key: c for c, p in reversed(list(data.items())) for key in p.keys}
        self._located = sorted(located.items())

    def of(self, row: LabelRow, able: Sequence[str]) -> Sequence[str]:
        """Return the compartments among the `able` ones, to which the entry applies."""
        found = [c for c in able if row.key in self._keys[c]]
        if found or len(able) <= 1:
            return found or able
        side = row.hemisphere or hemisphere_of(row.name)
        if COMPARTMENTS.get(side) in able:
            return [COMPARTMENTS[side]]
        i = bisect.bisect_left(self._located, (row.key, ""))
        below = [c for _, c in self._located[:i] if c in able]
        return below[-1:] or able[:1]


def _applies(row: LabelRow, compartment: str) -> bool:
    """Whether the compartment and the hemisphere that an entry states allow it here."""
    stated = row.extra.get("compartment")
    if stated is not None:
        return stated == compartment
    sides = {c: side for side, c in COMPARTMENTS.items()}
    return not row.hemisphere or sides.get(compartment, row.hemisphere) == row.hemisphere


def _applying(table: Rows, present: Present) -> Rows:
    return tuple(row for row in table if _applies(row, present.compartment))


def _keys(rows: Rows) -> frozenset[int]:
    return frozenset(row.key for row in rows)


def means_background(name: str, *, is_surface: bool) -> bool:
    """Whether an entry is named as the background, or a surface's medial wall, usually is."""
    plain = _SIDE_PREFIX.sub("", name.strip().casefold())
    return plain in _BACKGROUND or (is_surface and plain == _SURFACE_BACKGROUND)


def _check_negative(unknown: Mapping[str, Sequence[int]]) -> None:
    for c, keys in unknown.items():
        negative = [key for key in keys if key < 0]
        if negative:
            raise ValueError(
                f"Labels of {c!r} should not be negative, got the keys {listing(negative)}; "
                "if they mean no parcel, pass them as `background` (with 0)."
            )


def _disagreement(
    data: Mapping[str, Present],
    applying: Mapping[str, Rows],
    ignored: Mapping[str, frozenset[int]],
    unknown: Mapping[str, Sequence[int]],
) -> str:
    keys = [(c, key) for c, p in data.items() for key in p.keys if key not in ignored[c]]
    count = sum(len(keys) for keys in unknown.values())
    where = "; ".join(f"{c}: {listing(keys)}" for c, keys in unknown.items() if keys)
    message = f"`labels`: {count} of {len(keys)} keys of the data have no entry ({where})."
    if all(key - 1 in _keys(applying[c]) for c, key in keys):
        message += " The table counts from 0 and the data from 1: add 1 to its keys."
    elif 2 * count > len(keys):
        message += " Most keys do not fit: the table seems to belong to another atlas."
    return message + ' Pass another table, or unlisted="name" to name them label-<key>.'
