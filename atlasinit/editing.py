"""Parcels of an atlas merged, renamed, renumbered, reordered, and small ones left out."""

import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from jaxtyping import Int

from atlasinit.core.atlas import Atlas
from atlasinit.core.checking import check_atlas
from atlasinit.core.labels import LabelTable, unique_names
from atlasinit.core.maps import DenseMaps, HardMaps, Maps, SparseMaps
from atlasinit.core.selection import Parcel, find_rows
from atlasinit.core.uniting import agree_row, place_parcels
from atlasinit.errors import (
    Argument,
    ArgumentError,
    ArgumentTypeError,
    Call,
    Passing,
    format_count,
    format_list,
    nearest,
)
from atlasinit.hierarchies import find_level
from atlasinit.measures.maps import parcel_sizes
from atlasinit.support.arrays import make_read_only
from atlasinit.support.numbers import check_number, check_whole_number

if TYPE_CHECKING:
    import pandas as pd

Told: TypeAlias = "Mapping[Parcel, Any] | pd.Series"
"""What is told of parcels, each by its name, key or (compartment, key)."""


def merge_parcels(
    atlas: Atlas, by: "str | Told | None" = None, *, level: int | None = None
) -> Atlas:
    """Return the atlas with parcels that belong together as one: networks, lobes, your own groups.

    Labels are united and weights add up, w_g = sum_{k in g} w_k, in double precision, also of
    masks that overlap. A parcel stays within its compartment: networks of both hemispheres are
    two parcels each, which `Atlas.unite` makes one by ``by="name"``.

    Parameters
    ----------
    atlas
        The atlas.
    by
        A column of ``atlas.labels``, as ``"network"``: parcels of one value are one of that name.
        Or each parcel's new name, ``{"V1": "visual", "V2": "visual"}`` or a Series; or names to
        lists of parcels, ``{"visual": ["V1", "V2"]}``. Parcels are names, keys, (compartment, key)
        pairs, or compiled regular expressions that are searched in the names. A parcel without a
        value, or that is not named, keeps its name, and so stays what it is unless another one
        gets that name too.
    level
        In place of `by`, of an atlas whose table tells a hierarchy, by ``structure_id_path`` or
        ``parent_structure_id`` (Allen, brainglobe): parcels are those that many steps below the
        root, which is level 0. One that lies nearer to the root stays what it is; those of these
        that hold others, and no location of their own, are left out.

    Returns
    -------
    Atlas
        A merged parcel has the key and the place of the one whose name it has, else of the first;
        its colour is that of the first that has one, and of other columns it keeps what
        all its parcels agree on. Names that occur in several compartments get the side in front,
        as ``L_visual``. Geometries stay, so that data still fits.

    Raises
    ------
    ValueError
        A column or a parcel that the atlas does not have (with the nearest), a column without
        values, a parcel in two groups, an empty name; a level of a table that tells no hierarchy,
        or does not list its parcels.
    TypeError
        What is neither a column nor a mapping; both `by` and `level`, or neither.

    Examples
    --------
    >>> import atlasinit as ai
    >>> atlas = ai.load_atlas("schaefer2018", space="fsLR", parcels=100, networks=7)
    >>> networks = ai.merge_parcels(atlas, "network")
    >>> networks.n_parcels, networks.labels["name"][0]
    (14, 'L_Vis')
    """
    check_atlas(atlas)
    if (by is None) == (level is None):
        got = Passing(by=by) + " and " + Passing(level=level)
        raise ArgumentTypeError("by", "or " + Argument("level") + " should be given, got " + got)
    before = len(atlas.table)
    if level is not None:
        atlas, names = _of_level(atlas, level)
    elif isinstance(by, str):
        names = _of_column(atlas.table, by)
    else:
        names = _of_groups(atlas, by)
    table = atlas.table
    groups: dict[tuple[str, str], list[int]] = {}
    for row, identity in enumerate(zip(table["compartment"], names, strict=True)):
        groups.setdefault(identity, []).append(row)
    merged = []
    for (_, name), rows in groups.items():
        # The one that has had the name says what the key and the colour are.
        first = sorted(rows, key=lambda row: table["name"][row] != name)
        if level is not None:
            # It is a parcel of the table itself, with all that is told of it.
            merged.append({title: table[title][first[0]] for title in table.columns})
        else:
            merged.append({**agree_row(table, first), "name": name})
    columns = {title: [row[title] for row in merged] for title in table.columns}
    columns["name"] = unique_names(columns["name"], columns["compartment"], columns["key"])
    new = {row: number for number, rows in enumerate(groups.values()) for row in rows}
    labels = LabelTable(columns)
    maps = {}
    for c, own in atlas.maps.items():
        # Numbers of rows of the table, less that of the compartment's first.
        places = [new[row] - labels.rows_of(c).start for row in table.rows_of(c)]
        maps[c] = _add(own, np.array(places, np.int64), len(labels.rows_of(c)))
    if level is not None:
        told = f"level={level}"
    else:
        told = f"by={by!r}" if isinstance(by, str) else _list_groups(table, groups)
    counts = f"{format_count(before, 'parcel')} to {len(labels)}"
    return atlas.replace(maps=maps, labels=labels, operation=f"merge_parcels({told}; {counts})")


def rename_parcels(atlas: Atlas, names: "Told | Callable[[str], str]") -> Atlas:
    """Return the atlas with other names of parcels.

    Parameters
    ----------
    atlas
        The atlas.
    names
        Parcel (its name, key, or (compartment, key)) to new name, as a mapping or a Series; or
        a function from every name to the new one, as ``str.lower``. Two may change names with
        each other.

    Raises
    ------
    ValueError
        A parcel that the atlas does not have (with the nearest); a name twice.
    TypeError
        New names that are no text.
    """
    check_atlas(atlas)
    old = atlas.table["name"]
    found = dict(enumerate(map(names, old))) if callable(names) else _find(atlas, names, "names")
    new = [found.get(row, name) for row, name in enumerate(old)]
    for name in found.values():
        if not isinstance(name, str):
            raise ArgumentTypeError("names", f"should be text, got {name!r}")
    twice = [name for name, count in Counter(new).items() if count > 1]
    if twice:
        raise ArgumentError(
            "names",
            f"should differ, but several parcels would be {format_list(map(repr, twice), 5)}",
            "parcels become one by " + Call("ai.merge_parcels", "atlas", by=...),
        )
    changed = [f"{a!r} to {b!r}" for a, b in zip(old, new, strict=True) if a != b]
    operation = f"rename_parcels({format_list(changed, 5)})"
    return atlas.replace(labels=atlas.table.replace(name=new), operation=operation)


def renumber_parcels(atlas: Atlas, keys: "Told | None" = None) -> Atlas:
    """Return the atlas with other keys of parcels: the numbers that label files have for them.

    Parameters
    ----------
    atlas
        The atlas.
    keys
        Parcel (its name, key, or (compartment, key)) to new key, as a mapping or a Series. By
        default 1, 2, ... in the order of the rows, through all compartments, so that one label
        table can hold them.

    Raises
    ------
    ValueError
        A parcel that the atlas does not have (with the nearest); a key that is no whole number
        of 32 bits, or that two parcels of a compartment would have.
    """
    check_atlas(atlas)
    table = atlas.table
    found = _find(atlas, keys, "keys") if keys is not None else {}
    start = range(1, len(table) + 1) if keys is None else table["key"]
    new = [found.get(row, key) for row, key in enumerate(start)]
    ids = list(zip(table["compartment"], new, strict=True))
    twice = [own for own, count in Counter(ids).items() if count > 1]
    if twice:
        shown = format_list((f"{key} in {home}" for home, key in twice), 5)
        raise ArgumentError("keys", f"should differ, but several parcels would have {shown}")
    changed = [f"{a} to {b}" for a, b in zip(table["key"], new, strict=True) if a != b]
    operation = f"renumber_parcels({format_list(changed, 5)})"
    return atlas.replace(labels=table.replace(key=new), operation=operation)


def reorder_parcels(atlas: Atlas, by: str | Iterable[Parcel]) -> Atlas:
    """Return the atlas with its rows in another order, within each compartment.

    Compartments keep their order, as that of the locations. Names, keys and all columns go along.

    Parameters
    ----------
    atlas
        The atlas.
    by
        A column of ``atlas.labels``, as ``"name"``, ``"key"`` or ``"network"``, whose values are
        sorted (rows of equal values stay in their order, those without a value come last); or
        parcels in the order wanted: names, keys, (compartment, key) pairs, or patterns that are
        searched in the names. Parcels that are not named come after those, in their order.

    Raises
    ------
    ValueError
        A column or a parcel that the atlas does not have (with the nearest), a parcel twice, a
        column of numbers and text.
    """
    check_atlas(atlas)
    table = atlas.table
    if isinstance(by, str):
        if by not in table:
            raise _no_column(table, by)
        try:
            order = sorted(range(len(table)), key=lambda row: _sort_key(table[by][row]))
        except TypeError as error:
            problem = f": the column {by!r} holds values that have no order, as numbers and text"
            raise ArgumentError("by", problem) from error
        told = repr(by)
    elif not isinstance(by, Iterable):
        raise ArgumentTypeError("by", f"should be a column or parcels, got {type(by).__name__}")
    else:
        named = [row for parcel in by for row in _rows(atlas, parcel, "by")]
        twice = [table["name"][row] for row, count in Counter(named).items() if count > 1]
        if twice:
            raise ArgumentError("by", f"has parcels twice: {format_list(map(repr, twice), 5)}")
        order = list(dict.fromkeys([*named, *range(len(table))]))
        told = format_list((repr(table["name"][row]) for row in named), 5)
    ranks = {row: rank for rank, row in enumerate(order)}
    return _keep_rows(atlas, ranks).replace(operation=f"reorder_parcels({told})")


def drop_small_parcels(
    atlas: Atlas, *, locations: int | None = None, size: float | int | None = None
) -> Atlas:
    """Return the atlas without its small parcels; their locations belong to none.

    Geometries stay, so that data still fits.

    Parameters
    ----------
    atlas
        The atlas.
    locations
        The least number of locations that a parcel keeps its row with: 1 drops empty ones.
    size
        The least size, in mm2 on meshes and mm3 on grids, as of `measures.parcel_sizes`.

    Raises
    ------
    ValueError
        Neither of the two, one that is negative, no parcel that is left, a mesh without areas.
    """
    check_atlas(atlas)
    if locations is None and size is None:
        raise ArgumentError("locations", "should be the least number, or `size` the least size")
    least = 0 if locations is None else check_whole_number(locations, "locations", least=0)
    most = 0.0 if size is None else check_number(size, "size", least=0)
    small = atlas.header.add_rows(m.counts() for m in atlas.maps.values()) < least
    if size is not None:
        parts = (parcel_sizes(m, atlas.geometry[c]) for c, m in atlas.maps.items())
        small |= atlas.header.add_rows(map(np.asarray, parts)) < most
    kept = np.flatnonzero(~small).tolist()
    if not kept and len(atlas.table):
        raise ArgumentError("size" if locations is None else "locations", ": no parcel is left")
    gone = [repr(atlas.table["name"][row]) for row in np.flatnonzero(small)]
    asked = [f"locations={least}"] if locations is not None else []
    asked += [f"size={most:g}"] if size is not None else []
    told = f"{', '.join(asked)}; {format_list(gone, 5) if gone else 'none'}"
    ranks = {row: rank for rank, row in enumerate(kept)}
    return _keep_rows(atlas, ranks).replace(operation=f"drop_small_parcels({told})")


def _keep_rows(atlas: Atlas, ranks: Mapping[int, int]) -> Atlas:
    """Return the atlas with the rows that have a rank, in its order within each compartment."""
    homes = {home: i for i, home in enumerate(dict.fromkeys(atlas.table["compartment"]))}
    rows = sorted(ranks, key=lambda row: (homes[atlas.table["compartment"][row]], ranks[row]))
    maps = {}
    for c, own in atlas.maps.items():
        mine = atlas.table.rows_of(c)
        taken = [row - mine.start for row in rows if row in mine]
        maps[c] = own.take_parcels(np.array(taken, np.int64))
    return atlas.replace(maps=maps, labels=atlas.table.take(rows))


def _sort_key(value: Any) -> tuple[bool, Any]:
    # Of missing values none is less than another.
    return (True, 0) if value in (None, "") else (False, value)


def _no_column(table: LabelTable, title: str) -> ArgumentError:
    return ArgumentError(
        "by",
        f": the labels have no column {title!r}",
        nearest(title, table.columns) or f"they have {format_list(table.columns)}",
        "Another table comes by " + Call("atlas.replace", labels=...),
    )


def _of_level(atlas: Atlas, level: Any) -> tuple[Atlas, list[str]]:
    """Return the parcels that are at a level or below, or hold locations, and their new names."""
    owners, above = find_level(atlas.table, level)
    left_out = above.intersection(np.flatnonzero(atlas.labels["empty"]).tolist())
    kept = [row for row in range(len(owners)) if row not in left_out]
    names = [atlas.table["name"][owners[row]] for row in kept]
    return _keep_rows(atlas, {row: rank for rank, row in enumerate(kept)}), names


def _of_column(table: LabelTable, title: str) -> list[str]:
    """Return the new name of each row: its value in a column, else the name that it has."""
    if title not in table:
        raise _no_column(table, title)
    values = table[title]
    if all(value in (None, "") for value in values):
        raise ArgumentError("by", f": no parcel has a value in the column {title!r}")
    pairs = zip(values, table["name"], strict=True)
    return [name if value in (None, "") else _as_name(value) for value, name in pairs]


def _as_name(value: Any) -> str:
    # Beside missing values pandas holds whole numbers as floats.
    whole = isinstance(value, float) and value.is_integer()
    return str(int(value) if whole else value)


def _of_groups(atlas: Atlas, by: Any) -> list[str]:
    """Return the new name of each row, as a mapping says it of parcels or of groups."""
    given = _as_mapping(by)
    if not given:
        kind = "none" if given is not None else type(by).__name__
        raise ArgumentTypeError("by", f"should be a column or the groups of parcels, got {kind}")
    names = list(atlas.table["name"])
    # Also arrays and indexes, as pandas' `groupby` has them.
    grouped = [isinstance(v, Iterable) and not isinstance(v, str) for v in given.values()]
    if any(grouped) and not all(grouped):
        raise ArgumentTypeError("by", "should hold a name for each parcel, or lists of parcels")
    if all(grouped):
        pairs = [(parcel, name) for name, parcels in given.items() for parcel in parcels]
    else:
        # NaN of a Series is no name.
        pairs = [(parcel, name) for parcel, name in given.items() if name == name]
    seen: dict[int, Any] = {}
    for parcel, name in pairs:
        if not isinstance(name, str) or not name:
            raise ArgumentTypeError("by", f"should name parcels by text, got {name!r}")
        for row in _rows(atlas, parcel, "by"):
            if seen.setdefault(row, name) != name:
                both = f"{seen[row]!r} and {name!r}"
                raise ArgumentError("by", f"has {atlas.table['name'][row]!r} in {both}")
            names[row] = name
    return names


def _find(atlas: Atlas, told: Any, argument: str) -> dict[int, Any]:
    """Return row to what is told of its parcel."""
    given = _as_mapping(told)
    if given is None:
        raise ArgumentTypeError(
            argument, f"should be a mapping from parcels, got {type(told).__name__}"
        )
    pairs = [(row, new) for parcel, new in given.items() for row in _rows(atlas, parcel, argument)]
    found = dict(pairs)
    if len(found) < len(pairs):
        rows = Counter(row for row, _ in pairs)
        twice = [atlas.table["name"][row] for row, count in rows.items() if count > 1]
        raise ArgumentError(argument, f"has parcels twice: {format_list(map(repr, twice), 5)}")
    return found


def _as_mapping(told: Any) -> Mapping[Any, Any] | None:
    """Return a mapping or a Series as a mapping, None for anything else."""
    given = told.to_dict() if getattr(told, "ndim", 0) == 1 and hasattr(told, "to_dict") else told
    return given if isinstance(given, Mapping) else None


def _rows(atlas: Atlas, parcel: Any, argument: str) -> list[int]:
    try:
        return find_rows(parcel, atlas.table, atlas.compartments, atlas.name)
    except (ArgumentError, ArgumentTypeError) as error:
        raise error.of(argument) from error


def _list_groups(table: LabelTable, groups: Mapping[tuple[str, str], Sequence[int]]) -> str:
    several = [(name, rows) for (_, name), rows in groups.items() if len(rows) > 1]
    texts = (
        f"{name!r} = {format_list((repr(table['name'][row]) for row in rows), 5)}"
        for name, rows in several
    )
    return "; ".join(itertools.islice(texts, 5)) + (" ..." if len(several) > 5 else "")


def _add(maps: Maps, rows: Int[np.ndarray, " parcels"], n_parcels: int) -> Maps:
    """Return maps of `n_parcels` rows, each the sum of those that go to it."""
    if isinstance(maps, HardMaps):
        return place_parcels(maps, rows, n_parcels)
    from scipy.sparse import csr_array

    # Row g of this matrix (new, old) has a 1 for each parcel of group g.
    shape = (n_parcels, maps.n_parcels)
    groups = csr_array((np.ones(len(rows)), (rows, np.arange(len(rows)))), shape=shape)
    if isinstance(maps, DenseMaps):
        values = np.asarray(maps.values)
        # Beside NaN or infinity a product with a stored 0 would be NaN; none is stored here.
        return DenseMaps(make_read_only((groups @ values.astype(np.float64)).astype(values.dtype)))
    values = np.asarray(maps.values)
    parts = (values.astype(np.float64), np.asarray(maps.indices), np.asarray(maps.indptr))
    summed = groups @ csr_array(parts, shape=(maps.n_parcels, maps.n_locations))
    return SparseMaps.from_scipy(summed.astype(values.dtype))
