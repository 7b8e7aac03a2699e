"""The label table of an atlas that several files of labels make."""

import dataclasses
from collections import Counter
from collections.abc import Mapping

from atlasinit.core.labels import hemisphere_of
from atlasinit.io.bids.names import stem
from atlasinit.io.contents import LabelRow, Origin
from atlasinit.io.tables.columns import Rows


def follow_origins(table: Rows, origins: Mapping[int, Origin]) -> Rows:
    """Return a table of the files' keys with an entry for each key that these got, file by file."""
    if not origins:
        return table
    got: dict[str, dict[int, list[int]]] = {}
    for key, origin in origins.items():
        got.setdefault(origin.file, {}).setdefault(origin.key, []).append(key)
    held = {origin.key for origin in origins.values()}
    moved = (
        dataclasses.replace(row, key=key)
        for own in got.values()
        for row in table
        for key in own.get(row.key, ())
    )
    return (*moved, *(row for row in table if row.key not in held))


def trace_rows(rows: Rows, origins: Mapping[int, Origin]) -> Rows:
    """Return rows that say which file they are from, and their key there where it is another.

    A side that only the file's name states is theirs. Of rows of one name and side the file
    goes in front.
    """
    if not origins:
        return rows
    moved = any(key != origin.key for key, origin in origins.items())
    traced = [_trace(row, origins.get(row.key), moved=moved) for row in rows]
    repeated = Counter((row.name, row.hemisphere) for row in traced)
    return tuple(
        dataclasses.replace(row, name=f"{_prefix(origins[row.key].file)}_{row.name}")
        if repeated[row.name, row.hemisphere] > 1 and row.key in origins
        else row
        for row in traced
    )


def _prefix(file: str) -> str:
    """Return a file's name without its extension, its folder in front where it is part of it."""
    folder, _, name = file.rpartition("/")
    return f"{folder}_{stem(name)}" if folder else stem(name)


def _trace(row: LabelRow, origin: Origin | None, *, moved: bool) -> LabelRow:
    if origin is None:
        return dataclasses.replace(row, extra={**row.extra, "file": None})
    extra = {**row.extra, "file": origin.file} | ({"key_in_file": origin.key} if moved else {})
    unnamed = row.name == f"label-{row.key}"
    return dataclasses.replace(
        row,
        name=f"label-{origin.key}" if unnamed else row.name,
        hemisphere=row.hemisphere or hemisphere_of(row.name) or origin.side,
        extra=extra,
    )
