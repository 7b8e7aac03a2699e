"""Which entries of the label tables become the rows of which compartment."""

import bisect
from collections.abc import Iterable, Mapping, Sequence

from atlasinit.core.labels import hemisphere_of
from atlasinit.errors import Argument, ArgumentError, format_list, nearest, warn
from atlasinit.io.assembly.fitting import Present, find_zero, tell_disagreement, tell_zero
from atlasinit.io.background import means_background
from atlasinit.io.contents import COMPARTMENTS, LabelRow
from atlasinit.io.tables.reading import Rows


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
        states; else the entries named as background usually is, and key 0 of labels
        unless the table gives it another name.
    """
    if background is not None:
        wanted = list(background)
        named = {str(item).casefold() for item in wanted if isinstance(item, str)}
        return frozenset(
            {int(item) for item in wanted if not isinstance(item, str)}
            | {row.key for row in rows if row.name.casefold() in named}
        )
    # A file of our own states it; every other name and key then means a parcel.
    if present.background is not None:
        return frozenset(present.background)
    named = {row.key for row in rows if _is_background(row, present)}
    regions = {row.key for row in rows} - named
    return frozenset(named if present.is_maps or 0 in regions else {0, *named})


def check_background(background: Iterable[int | str], rows: Iterable[LabelRow]) -> None:
    """Refuse names in `background` that no table has."""
    named = {row.name.casefold(): row.name for row in rows}
    for item in background:
        if isinstance(item, str) and item.casefold() not in named:
            hint = nearest(item, named.values())
            raise ArgumentError("background", f": no table has an entry {item!r}", hint)


def assign_rows(
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
    its hemisphere, else to where the located entry with the nearest lower key lies. One
    whose name states the other hemisphere than a lone cortex is left out, with a warning:
    the table of both serves a half of them.

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
        Keys without an entry, entries of one key with different names, negative keys, a
        region's name for key 0 where the data can have no parcel of that key.
    """
    apart = {p.compartment: p for p in data}
    applying = {c: _keep_applying(table or (), p) for c, p in apart.items()}
    ignored = {c: background_keys(p, applying[c], background) for c, p in apart.items()}
    _check_zero(table or (), data, ignored, background=background)
    listed = {c: ignored[c] | _keys_of(applying[c]) for c in apart}
    nameless = {c: [key for key in p.keys if key not in listed[c]] for c, p in apart.items()}
    _check_negative(nameless)
    if table is not None and unlisted == "error" and any(nameless.values()):
        wanted = {c: [key for key in p.keys if key not in ignored[c]] for c, p in apart.items()}
        listed = {c: _keys_of(rows) for c, rows in applying.items()}
        raise tell_disagreement(wanted, listed)
    # Key to row, which keeps the order of the table and meets the second of two entries.
    homes = _Homes(apart)
    out: dict[str, dict[int, LabelRow]] = {c: {} for c in apart}
    foreign = []
    for row in table or ():
        able = [c for c in apart if _applies(row, c) and row.key not in ignored[c]]
        if able and homes.is_foreign(row, able):
            foreign.append(row.name)
            continue
        for c in homes.of(row, able):
            first = out[c].setdefault(row.key, row)
            if first.name != row.name:
                raise ArgumentError(
                    "labels",
                    f": the table has several entries for key {row.key} in {c}: "
                    f"{first.name!r} and {row.name!r}",
                )
    if foreign:
        warn(
            f"the label table has entries of the other hemisphere than {format_list(apart)}; "
            f"those without a location ({len(foreign)}) are left out: "
            f"{format_list(map(repr, foreign), 5)}"
        )
    for c, keys in nameless.items():
        out[c].update({key: LabelRow(key, f"label-{key}") for key in keys})
    return {c: tuple(rows.values()) for c, rows in out.items()}


class _Homes:
    """Which of the compartments an entry belongs to."""

    def __init__(self, data: Mapping[str, Present]) -> None:
        self._keys = {c: frozenset(p.keys) for c, p in data.items()}
        # Key to the first compartment that holds it: reversed, so that earlier ones replace later.
        first = {key: c for c, p in reversed(list(data.items())) for key in p.keys}
        self._located: dict[str, list[int]] = {c: [] for c in data}
        for key in sorted(first):
            self._located[first[key]].append(key)

    def of(self, row: LabelRow, able: Sequence[str]) -> Sequence[str]:
        """Return the compartments among the `able` ones, to which the entry applies."""
        found = [c for c in able if row.key in self._keys[c]]
        if found or len(able) <= 1:
            return found or able
        side = row.hemisphere or hemisphere_of(row.name)
        if COMPARTMENTS.get(side) in able:
            return [COMPARTMENTS[side]]
        # Tables are sorted by structure: an entry that lies nowhere is of the kind before it.
        below = {c: self._below(row.key, c) for c in able}
        near = {key: c for c, key in below.items() if key is not None}
        return [near[max(near)]] if near else able[:1]

    def is_foreign(self, row: LabelRow, able: Sequence[str]) -> bool:
        """Whether an entry that lies nowhere is of another hemisphere than all of the `able`."""
        side = row.hemisphere or hemisphere_of(row.name)
        sides = {own: side for side, own in COMPARTMENTS.items()}
        others = all(sides.get(c, side) != side for c in able)
        return bool(side) and others and not any(row.key in self._keys[c] for c in able)

    def _below(self, key: int, compartment: str) -> int | None:
        """Return the largest lower key that is located there, None where there is none."""
        keys = self._located[compartment]
        i = bisect.bisect_left(keys, key)
        return keys[i - 1] if i else None


def _applies(row: LabelRow, compartment: str) -> bool:
    """Whether the compartment and the hemisphere that an entry states allow it here."""
    stated = row.extra.get("compartment")
    if stated is not None:
        return stated == compartment
    # A volume has both sides, and so takes an entry of either.
    sides = {c: side for side, c in COMPARTMENTS.items()}
    return not row.hemisphere or sides.get(compartment, row.hemisphere) == row.hemisphere


def _keep_applying(table: Rows, present: Present) -> Rows:
    return tuple(row for row in table if _applies(row, present.compartment))


def _keys_of(rows: Rows) -> frozenset[int]:
    return frozenset(row.key for row in rows)


def _is_background(row: LabelRow, present: Present) -> bool:
    return means_background(row.name, is_surface=present.is_surface, key=row.key)


def _check_zero(
    table: Rows,
    data: Sequence[Present],
    ignored: Mapping[str, frozenset[int]],
    *,
    background: Iterable[int | str] | None,
) -> None:
    """Refuse or name what a table or a choice of the background makes of key 0 by accident."""
    region = find_zero(table)
    labels = [p for p in data if not p.is_maps]
    if background is None:
        # Of a surface, and of the voxels in one file with it, 0 is a key like others; so is it
        # of maps that are counted from 0.
        usual = [p for p in data if p.background is None and not (p.is_maps and 0 in p.keys)]
        if region is not None and usual and not any(p.is_surface for p in labels):
            raise tell_zero(region, has_maps=usual[0].is_maps)
        return
    kept = [p for p in labels if 0 in p.keys and 0 not in ignored[p.compartment]]
    if background and region is None and kept:
        warn(
            "`background` replaces key 0, which usually means no parcel: its locations in "
            f"{format_list(p.compartment for p in kept)} are the parcel 'label-0' now. If they are "
            f"none, pass background={[0, *background]}."
        )


def _check_negative(nameless: Mapping[str, Sequence[int]]) -> None:
    for c, keys in nameless.items():
        negative = [key for key in keys if key < 0]
        if negative:
            raise ArgumentError(
                "files",
                f": labels of {c!r} should not be negative, got the keys {format_list(negative)}",
                "if they mean no parcel, pass them as " + Argument("background") + " (with 0)",
            )
