"""Which rows of a label table are meant by names, keys, patterns, sides and networks."""

import re
from collections.abc import Iterable
from typing import TypeAlias

import numpy as np

from atlasinit.core.labels import SIDES, LabelTable, is_home
from atlasinit.errors import ArgumentError, ArgumentTypeError, format_list, nearest

Parcel: TypeAlias = str | int | np.integer | tuple[str, int] | re.Pattern[str]
"""A parcel's name, key, (compartment, key), or a pattern searched in the names."""


def select_rows(
    table: LabelTable,
    compartments: tuple[str, ...],
    *,
    atlas: str,
    parcels: Parcel | Iterable[Parcel] | None,
    hemisphere: str | None,
    network: str | Iterable[str] | None,
) -> set[int]:
    """Return the rows of `compartments` that satisfy every condition given.

    The conditions and errors are those of `Atlas.select`; `atlas` is its name.
    """
    # Each condition takes rows away, so that all have to be satisfied.
    rows = {i for c in compartments for i in table.rows_of(c)}
    if hemisphere is not None:
        side = SIDES.get(hemisphere.lower(), hemisphere)
        if side not in ("L", "R", ""):
            raise ArgumentError("hemisphere", f'should be "L", "R" or "", got {hemisphere!r}')
        rows &= {i for i, h in enumerate(table["hemisphere"]) if h == side}
    if network is not None:
        if "network" not in table:
            raise ArgumentError("network", f": the labels of {atlas!r} name no networks")
        named = dict.fromkeys(n for n in table["network"] if n)
        networks = check_names(network, named, "network")
        rows &= {i for i, n in enumerate(table["network"]) if n in networks}
    if parcels is not None:
        wanted = _as_list(parcels)
        rows &= {r for parcel in wanted for r in find_rows(parcel, table, compartments, atlas)}
    return rows


def check_names(wanted: str | Iterable[str], names: Iterable[str], argument: str) -> list[str]:
    """Return `wanted` as a list, each checked to be among `names`."""
    names, found = list(names), _as_list(wanted)
    for name in found:
        if name not in names:
            hint = nearest(str(name), names)
            raise ArgumentError(
                argument,
                f": there is no {argument.removesuffix('s')} {name!r}",
                hint,
                f"Known: {format_list(names)}",
            )
    return found


def find_rows(
    parcel: Parcel, table: LabelTable, compartments: tuple[str, ...], atlas: str
) -> list[int]:
    """Return the rows that one of `Atlas.select`'s `parcels` means; errors are of that argument."""
    if isinstance(parcel, re.Pattern):
        rows = [i for i, name in enumerate(table["name"]) if parcel.search(name)]
        if not rows:
            raise ArgumentError("parcels", f": no name matches the pattern {parcel.pattern!r}")
        return rows
    if isinstance(parcel, str):
        if parcel not in table["name"]:
            hint = nearest(parcel, table["name"])
            raise ArgumentError("parcels", f": there is no parcel {parcel!r} in {atlas!r}", hint)
        return [table["name"].index(parcel)]
    if isinstance(parcel, bool | np.bool_):  # which would be the keys 0 and 1
        raise ArgumentTypeError(
            "parcels",
            "should be names, keys, (compartment, key) pairs or patterns, got booleans",
            'of a mask give the names, `atlas.labels["name"][mask]`',
        )
    pairs = list(zip(table["compartment"], table["key"], strict=True))
    if isinstance(parcel, tuple):
        home, wanted = parcel if len(parcel) == 2 else ("", None)
        rows = [i for i, (c, key) in enumerate(pairs) if key == wanted and is_home(c, home)]
        if not rows:
            raise ArgumentError(
                "parcels", f": there is no (compartment, key) {parcel!r} in {atlas!r}"
            )
        return rows
    able = {i for c in compartments for i in table.rows_of(c)}
    rows = [i for i, (_, key) in enumerate(pairs) if key == parcel and i in able]
    if not rows:
        raise ArgumentError("parcels", f": there is no key {parcel!r} in {atlas!r}")
    if len(rows) > 1:
        choices = format_list(f"{pairs[i]} {table['name'][i]!r}" for i in rows)
        raise ArgumentError(
            "parcels", f": key {parcel!r} is ambiguous in {atlas!r}", f"choose one of {choices}"
        )
    return rows


def _as_list(value: object) -> list:
    # A tuple is one parcel, (compartment, key); several parcels come in any other iterable.
    single = isinstance(value, str | int | np.integer | tuple | re.Pattern)
    return [value] if single else list(value)  # pyright: ignore[reportArgumentType]
