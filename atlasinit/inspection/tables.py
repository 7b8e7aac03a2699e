"""Label tables: of files of their own, and beside the keys of the data."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from atlasinit.core.atlas import Atlas
from atlasinit.core.labels import hemisphere_of
from atlasinit.errors import format_list
from atlasinit.inspection.findings import Notes
from atlasinit.io.assembly.fitting import find_zero
from atlasinit.io.background import means_background
from atlasinit.io.contents import LabelRow, Part

_SHOWN = 5


def note_rows(parts: Sequence[Part], atlas: Atlas, notes: Notes, *, has_table: bool) -> None:
    """Note what is odd about the names and keys of an atlas whose parts were read.

    `has_table` says that the user gave a table in place of the files' own.
    """
    labelled = [part for part in parts if part.keys is not None]
    bare = labelled and not has_table and all(part.rows is None for part in labelled)
    # A mask needs no name.
    if bare and atlas.n_parcels > 1:
        names = format_list(atlas.table["name"], 2)
        told = f"no label table, in the file or beside it: parcels are called {names}"
        notes.add("warning", "names", told)
    if labelled and not has_table:
        # Parts of one file share a table.
        tables = {id(part.rows): part.rows for part in labelled if part.rows}
        for rows in tables.values():
            note_table(rows, notes)
    zero = [n for k, n in zip(atlas.table["key"], atlas.table["name"], strict=True) if k == 0]
    if zero and labelled:
        notes.add("note", "names", f"key 0 is a region by its name: {format_list(zero)}")
    if labelled:
        note_gaps(atlas.table["key"], notes)


def note_table(rows: Sequence[LabelRow], notes: Notes) -> None:
    """Note what is odd about the entries of a label table."""
    regions = [r for r in rows if not means_background(r.name, is_surface=False, key=r.key)]
    repeated = _find_repeated([(row.name, row.hemisphere) for row in regions])
    if repeated:
        names = format_list((repr(name) for name, _ in repeated), _SHOWN)
        notes.add("warning", "names", f"several keys have one name: {names}")
    keys = _find_repeated([row.key for row in rows])
    if keys:
        notes.add("warning", "keys", f"several entries have one key: {format_list(keys, _SHOWN)}")
    empty = [row.key for row in rows if not row.name.strip() and row.key]
    if empty:
        told = f"entries without a name: keys {format_list(empty, _SHOWN)}"
        notes.add("warning", "names", told)
    bare = [row for row in regions if not row.color]
    if bare and len(bare) < len(regions):
        names = format_list((repr(row.name) for row in bare), _SHOWN)
        notes.add("note", "colours", f"{len(bare)} entries have no colour: {names}")
    elif bare:
        notes.add("note", "colours", "no entry has a colour: pictures choose their own")
    sides = [row.hemisphere or hemisphere_of(row.name) for row in regions]
    crossed = [
        row.name for row in regions if row.hemisphere and _contradicts(row.name, row.hemisphere)
    ]
    if crossed:
        names = format_list(map(repr, crossed), _SHOWN)
        notes.add("warning", "sides", f"entries state another hemisphere than their name: {names}")
    if any(sides) and not all(sides):
        count = sum(not side for side in sides)
        told = f"{count} of {len(sides)} entries state no hemisphere, while the others do"
        notes.add("note", "sides", told)


def note_gaps(keys: Sequence[int], notes: Notes) -> None:
    """Note keys between the first and the last that no parcel has."""
    own = {key for key in keys if key > 0}
    missing = max(own, default=0) - len(own)
    if missing > 0:
        known = f"{len(own)} keys from {min(own)} to {max(own)}"
        notes.add("note", "keys", f"keys have gaps: {known}, so that key and row differ")


def describe_rows(rows: Sequence[LabelRow]) -> dict[str, Any]:
    """Return what a table holds."""
    keys = [row.key for row in rows]
    background = [r.name for r in rows if means_background(r.name, is_surface=False, key=r.key)]
    extra = dict.fromkeys(title for row in rows for title in row.extra)
    sides = Counter(row.hemisphere or hemisphere_of(row.name) or "neither" for row in rows)
    return {
        "entries": len(rows),
        "keys": f"{min(keys)} to {max(keys)}",
        "names": [row.name for row in rows],
        "background": background or "none by name",
        "colours": sum(bool(row.color) for row in rows),
        "hemispheres": dict(sides),
        **({"columns besides": list(extra)} if extra else {}),
    }


def note_zero(rows: Sequence[LabelRow], notes: Notes) -> None:
    """Note an entry of key 0 that is a region's, of a table alone."""
    zero = find_zero(rows)
    if zero is not None:
        told = f"key 0 is named {zero.name!r}, which is a region's name; does it count from 0?"
        notes.add("warning", "names", told)


def _contradicts(name: str, side: str) -> bool:
    return hemisphere_of(name) not in ("", side)


def _find_repeated(items: Sequence[Any]) -> list[Any]:
    return [
        item for item, count in Counter(items).items() if count > 1 and item not in ("", ("", ""))
    ]
