"""Whether a label table belongs to the numbers of the data, and what to say where it does not."""

import dataclasses
from collections.abc import Collection, Iterable, Mapping, Sequence

from atlasinit.errors import ArgumentError, Passing, Words, format_list
from atlasinit.io.background import means_background
from atlasinit.io.contents import LabelRow
from atlasinit.io.tables.columns import Rows, keys_beside


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


_SHIFTED = "The table counts from 0 and the data from 1: add 1 to its keys."


def fit_keys(
    table: Rows | None, data: Sequence[Present], *, background: Iterable[int | str] | None
) -> tuple[Rows | None, str]:
    """Return a table keyed by the one of its columns that has an entry for each key of the data.

    Some tables number their rows beside the values: ``index,name,value``. Another column than
    the usual is taken only where that one fails the data, and no third one fits.

    Parameters
    ----------
    table
        The entries, None where there is no table.
    data
        The compartments that it serves.
    background
        Keys and names that mean no parcel, None for the usual rules.

    Returns
    -------
    tuple
        The table, and the title of the column taken, ``""`` for the usual one.
    """
    # What means no parcel needs no entry: 0, and what the user or the file says.
    ignored = {0, *(key for key in background or () if not isinstance(key, str))}
    stated = {key for present in data for key in present.background or ()}
    wanted = {key for present in data for key in present.keys} - ignored - stated
    if table is None or not wanted:
        return table, ""
    keys = [row.key for row in table]
    # A table whose usual keys have an entry for each key of the data is taken as it is, unless it
    # names 0 like a region: then it may count its rows from 0, and another column have the keys.
    if _covers(keys, wanted) and (find_zero(table) is None or background is not None):
        return table, ""
    beside = {title: found for title, found in keys_beside(table).items() if 0 not in found}
    fit = [title for title, found in beside.items() if _covers(found, wanted)]
    # Of several that fit none is better than another; what is wrong is then told by the usual one.
    if len(fit) != 1:
        return table, ""
    (title,) = fit
    return tuple(
        dataclasses.replace(
            row,
            key=key,
            extra={**{t: v for t, v in row.extra.items() if t != title}, "index": row.key},
        )
        for row, key in zip(table, beside[title], strict=True)
    ), title


def find_zero(table: Iterable[LabelRow]) -> LabelRow | None:
    """Return the entry of key 0 where its name is that of a region, not of the background."""
    # The rules of a volume, where 0 is usually nothing: of a surface more names would be taken for
    # the background.
    rows = [row for row in table if row.key == 0]
    named = [means_background(row.name, is_surface=False, key=0) for row in rows]
    return rows[0] if rows and not any(named) else None


def tell_zero(row: LabelRow, *, has_maps: bool) -> ArgumentError:
    """Return the error of an entry of key 0 where the data cannot have a parcel 0."""
    where = "the image's maps are numbered from 1" if has_maps else "0 is no parcel in an image"
    none: Words = ", or " + Passing(background=()) + " if the voxels of 0 are that region"
    return ArgumentError(
        "labels",
        f": the table names key 0 {row.name!r}, but {where}",
        "If it counts from 0 and the data from 1, all its names belong to the next key: add 1 to "
        "its keys. If key 0 is no parcel, pass "
        + Passing(background=[0])
        + ("" if has_maps else none),
    )


def tell_disagreement(
    wanted: Mapping[str, Sequence[int]], listed: Mapping[str, Collection[int]]
) -> ArgumentError:
    """Return the error of keys without an entry.

    Parameters
    ----------
    wanted, listed
        Compartment to the keys of the data that mean parcels, and to those of the table.
    """
    unlisted = {c: [key for key in keys if key not in listed[c]] for c, keys in wanted.items()}
    count, total = (sum(map(len, keys.values())) for keys in (unlisted, wanted))
    where = "; ".join(f"{c}: {format_list(keys)}" for c, keys in unlisted.items() if keys)
    hint = ""
    # Only a guess: a table that lacks one entry in the middle would not fit when shifted.
    if all(key - 1 in listed[c] for c, keys in wanted.items() for key in keys if key):
        hint = _SHIFTED
    elif 2 * count > total:
        hint = "Most keys do not fit: the table seems to belong to another atlas"
    return ArgumentError(
        "labels",
        f": {count} of {total} keys of the data have no entry ({where})",
        hint,
        "Pass another table, or " + Passing(unlisted="name") + " to name them label-<key>",
    )


def _covers(keys: Collection[int], wanted: Collection[int]) -> bool:
    return set(keys).issuperset(wanted) and len(set(keys)) == len(keys)
