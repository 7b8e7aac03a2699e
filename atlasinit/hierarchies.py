"""Levels of hierarchical atlases: which parcel of a level each parcel belongs to."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from atlasinit.core.labels import LabelTable
from atlasinit.errors import Argument, ArgumentError, format_list
from atlasinit.support.numbers import check_whole_number

PATHS = ("structure_id_path",)
"""Columns of the keys from the root: ``/997/8/567/`` (Allen), a list, or its text (brainglobe)."""

PARENTS = ("parent_structure_id", "parent_id")
"""Columns of the key of the parcel that a parcel is a part of."""


def find_level(table: LabelTable, level: Any) -> tuple[list[int], set[int]]:
    """Return the row that each row belongs to at a level of the hierarchy, 0 being the root.

    A row that lies nearer to the root belongs to itself; those of these that hold others are
    returned, too.

    Raises
    ------
    ValueError
        A table without a hierarchy, a parcel that is a part of itself, one whose ancestor at the
        level is no row.
    TypeError
        A level that is no whole number.
    """
    level = check_whole_number(level, "level", least=0)
    rows = {identity: row for row, identity in enumerate(_identities(table))}
    found: list[int] = []
    above: set[int] = set()
    lacking: dict[int, str] = {}
    for row, path in enumerate(_find_paths(table)):
        home = table["compartment"][row]
        key = path[min(level, len(path) - 1)]
        if (home, key) not in rows:
            lacking.setdefault(key, table["name"][row])
        found.append(rows.get((home, key), row))
        above.update(rows[home, k] for k in path[:-1][:level] if (home, k) in rows)
    if lacking:
        raise _unlisted(lacking)
    return found, above


def _unlisted(lacking: Mapping[int, Any]) -> ArgumentError:
    """Return the error of keys that are no rows, and of what each is a whole."""
    key, part = next(iter(lacking.items()))
    return ArgumentError(
        "level",
        f": the labels do not list {format_list(lacking, 5)} (of which {part!r} is a part of "
        f"{key})",
        "load the atlas with the whole table: " + Argument("labels"),
    )


def _identities(table: LabelTable) -> Sequence[tuple[str, int]]:
    return list(zip(table["compartment"], table["key"], strict=True))


def _find_paths(table: LabelTable) -> list[list[int]]:
    """Return the keys from the root to each row, its own the last."""
    for title in PATHS:
        if title in table:
            cells = zip(table[title], table["key"], strict=True)
            return [_read_path(cell, key) for cell, key in cells]
    for title in PARENTS:
        if title in table:
            return _climb(table, table[title])
    raise ArgumentError(
        "level",
        "is of a hierarchy, of which the labels tell nothing",
        f"load the atlas with a table of the column {' or '.join(map(repr, (*PATHS, *PARENTS)))}, "
        "as those of Allen and brainglobe",
    )


def _read_path(cell: Any, key: int) -> list[int]:
    """Return the keys of a path, which may lack its own end or be no path."""
    # A list that went through a table of text is ``[997, 8]`` or ``(997, 8)``.
    parts = re.split("[/,]", cell.strip("/[]() ")) if isinstance(cell, str) else cell or ()
    try:
        path = [int(part) for part in parts if str(part).strip()]
    except (TypeError, ValueError) as error:
        raise ArgumentError(
            "level", f": the path of {key} should be keys from the root, got {cell!r}"
        ) from error
    return path if path and path[-1] == key else [*path, key]


def _climb(table: LabelTable, parents: Sequence[Any]) -> list[list[int]]:
    """Return the paths that lead from parent to parent."""
    above = {
        identity: None if parent is None or parent != parent else int(parent)
        for identity, parent in zip(_identities(table), parents, strict=True)
    }
    paths = []
    for home, key in above:
        path, own = [key], above[home, key]
        while own is not None:
            if own in path:
                raise ArgumentError("level", f": {own} is a part of itself, by {path[::-1]}")
            if (home, own) not in above:
                # Some tables give the root a number that is none, as -1.
                if own <= 0:
                    break
                raise _unlisted({own: key})
            path.append(own)
            own = above[home, own]
        paths.append(path[::-1])
    return paths
