"""Parcels that lie in several compartments, as one row each."""

import itertools
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from jaxtyping import Int

from atlasinit.core.labels import (
    TOGETHER,
    LabelTable,
    hemisphere_of,
    is_home,
    members_of,
    unique_names,
)
from atlasinit.core.maps import DenseMaps, HardMaps, Maps, SparseMaps
from atlasinit.errors import ArgumentError, Passing, format_list
from atlasinit.support.arrays import make_read_only


def check_homes(labels: LabelTable, compartments: Sequence[str]) -> None:
    """Refuse a table whose rows are not of `compartments`, or not in their order."""
    # `homes` are the texts of the column, each once, as "cortex_L+cortex_R"; `of` says which of
    # them each compartment has rows in: one at most, as its rows are one slice. It may have none.
    homes = list(dict.fromkeys(labels["compartment"]))
    of = {c: [home for home in homes if is_home(home, c)] for c in compartments}
    named = [c for home in homes for c in members_of(home, of)]
    order = dict.fromkeys(home for own in of.values() for home in own)
    if list(order) != homes or not set(named) <= set(of) or max(map(len, of.values())) > 1:
        raise ArgumentError(
            "labels",
            f"should list the compartments of `maps` in the same order {list(compartments)}, got "
            f"{homes}",
        )


def unite_rows(
    table: LabelTable, compartments: Sequence[str], wanted: Sequence[str], *, by: str
) -> tuple[LabelTable, dict[str, Int[np.ndarray, " rows"]]]:
    """Return the table in which `wanted` compartments share rows, and where each one's rows go.

    Parameters
    ----------
    table, compartments
        Of an atlas.
    wanted
        Two or more of its compartments.
    by
        ``"key"`` or ``"name"``, as for `Atlas.unite`.

    Raises
    ------
    ValueError
        Parcels of one key with different names.
    """
    # Who shares rows with one that is wanted is united along with it.
    homes = [h for h in dict.fromkeys(table["compartment"]) if any(is_home(h, c) for c in wanted)]
    members = [c for c in compartments if c in wanted or any(is_home(h, c) for h in homes)]
    rows = [i for i, home in enumerate(table["compartment"]) if home in homes]
    groups: dict[Any, list[int]] = {}
    for i in rows:
        identity = table["key"][i] if by == "key" else plain_name(table, i)
        groups.setdefault(identity, []).append(i)
    if by == "key":
        _check_names(table, groups.values())
    ordered = list(groups.values())
    # What is numbered in each compartment is so in all; else rows keep the first's order.
    keys = [[table["key"][i] for i in rows if table["compartment"][i] == home] for home in homes]
    if by == "key" and all(own == sorted(own) for own in keys):
        ordered.sort(key=lambda group: table["key"][group[0]])
    merged = [agree_row(table, group) for group in ordered]
    # By name, two parcels may have brought one key.
    if len({row["key"] for row in merged}) < len(merged):
        merged = [{**row, "key": number} for number, row in enumerate(merged, start=1)]
    home = TOGETHER.join(members)
    # All of them go where the first of the homes was; the table keeps its runs of one compartment.
    listed: list[dict[str, Any]] = []
    for own, group in itertools.groupby(range(len(table)), key=lambda i: table["compartment"][i]):
        if own not in homes:
            listed += [{title: table[title][i] for title in table.columns} for i in group]
        elif own == homes[0]:
            listed += [{**row, "compartment": home} for row in merged]
    columns = {title: [row[title] for row in listed] for title in table.columns}
    columns["name"] = unique_names(columns["name"], columns["compartment"], columns["key"])
    new = {i: number for number, group in enumerate(ordered) for i in group}
    # Within the united rows, from 0, as maps count theirs.
    places = {c: np.array([new[i] for i in table.rows_of(c)], np.int64) for c in members}
    return LabelTable(columns), places


def place_parcels(maps: Maps, rows: Int[np.ndarray, " parcels"], n_parcels: int) -> Maps:
    """Return maps of `n_parcels` rows, those given at `rows` and the others empty."""
    if isinstance(maps, HardMaps):
        # Old row to new; the label -1 takes the last entry.
        new = np.append(rows, -1).astype(np.int32)
        return HardMaps(new[np.asarray(maps.labels)], n_parcels)
    if isinstance(maps, DenseMaps):
        values = np.asarray(maps.values)
        out = np.zeros((n_parcels, maps.n_locations), values.dtype)
        out[rows] = values
        return DenseMaps(make_read_only(out))
    # A CSR matrix has its rows in order: those that are given are sorted, and the empty ones
    # between them begin where they end.
    ordered = maps.take_parcels(np.argsort(rows))
    counts = np.zeros(n_parcels, np.int64)
    counts[np.sort(rows)] = np.diff(np.asarray(ordered.indptr))
    indptr = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
    return SparseMaps(ordered.values, ordered.indices, indptr, maps.n_locations)


def place_locations(maps: Maps, places: Int[np.ndarray, " locations"], n_locations: int) -> Maps:
    """Return maps of `n_locations` columns, those given at `places` and the others without weight.

    `take_locations` with the same `places` undoes it.
    """
    if np.array_equal(places, np.arange(n_locations)):
        return maps
    if isinstance(maps, HardMaps):
        labels = np.full(n_locations, -1, np.int32)
        labels[places] = np.asarray(maps.labels)
        return HardMaps(labels, maps.n_parcels)
    if isinstance(maps, DenseMaps):
        values = np.asarray(maps.values)
        out = np.zeros((maps.n_parcels, n_locations), values.dtype)
        out[:, places] = values
        return DenseMaps(make_read_only(out))
    indices = np.asarray(places, np.int32)[np.asarray(maps.indices)]
    # Ascending within each parcel again.
    order = np.lexsort((indices, maps.rows()))
    return SparseMaps(np.asarray(maps.values)[order], indices[order], maps.indptr, n_locations)


def take_places(maps: Maps, places: Int[np.ndarray, " places"]) -> Maps:
    """Return maps at the locations `places`, of which -1 stands for one of no parcel."""
    n = maps.n_locations
    # Each kind of maps gets one location more, number n, which has no parcel.
    match maps:
        case HardMaps():
            wider = HardMaps(np.append(np.asarray(maps.labels), np.int32(-1)), maps.n_parcels)
        case SparseMaps():
            wider = SparseMaps(maps.values, maps.indices, maps.indptr, n + 1)
        case DenseMaps():
            values = np.asarray(maps.values)
            wider = DenseMaps(np.pad(values, ((0, 0), (0, 1))))
    return wider.take_locations(np.where(places < 0, n, places))


def choose_compartments(
    given: str | Iterable[str] | None, compartments: Sequence[str]
) -> tuple[str, ...]:
    """Return the compartments whose parcels are united: by default all, two at least."""
    wanted = (
        list(compartments) if given is None else [given] if isinstance(given, str) else [*given]
    )
    unknown = [c for c in wanted if c not in compartments]
    if unknown:
        raise ArgumentError(
            "compartments", f": compartments are {list(compartments)}, got {unknown}"
        )
    if len(set(wanted)) < 2:
        raise ArgumentError(
            "compartments", f"should be two or more that may share parcels, got {wanted}"
        )
    return tuple(c for c in compartments if c in wanted)


def plain_name(table: LabelTable, row: int) -> str:
    """Return a name without the compartment or its side in front, as `unique_names` puts them."""
    name, home = table["name"][row], table["compartment"][row]
    side = hemisphere_of("", home)
    for prefix in filter(None, (home, side)):
        if name.startswith(f"{prefix}_"):
            return name[len(prefix) + 1 :]
    return name


def _check_names(table: LabelTable, groups: Iterable[Sequence[int]]) -> None:
    for group in groups:
        names = dict.fromkeys(plain_name(table, i) for i in group)
        if len(names) > 1:
            places = format_list(
                f"{table['name'][i]!r} in {table['compartment'][i]}" for i in group
            )
            raise ArgumentError(
                "by",
                f": parcels of one key should be one parcel, but key {table['key'][group[0]]} is "
                f"{places}",
                "compare names by " + Passing(by="name"),
            )


def agree_row(table: LabelTable, group: Sequence[int]) -> dict[str, Any]:
    """Return the row of a parcel that has been several: what these agree on."""
    row = {}
    for title in table.columns:
        values = dict.fromkeys(table[title][i] for i in group)
        row[title] = next(iter(values)) if len(values) == 1 else None
    if len(group) > 1:
        row["name"] = plain_name(table, group[0])
        row["key"] = table["key"][group[0]]
        row["hemisphere"] = row["hemisphere"] or ""
        row["color"] = next((table["color"][i] for i in group if table["color"][i]), "")
    return row
