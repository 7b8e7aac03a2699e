"""What several formats share: a JSON header, and runs of kept locations."""

import contextlib
import dataclasses
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int, Int32

from atlasinit.core.atlas import Atlas
from atlasinit.core.labels import LabelTable
from atlasinit.core.maps import HardMaps
from atlasinit.core.provenance import Provenance
from atlasinit.errors import (
    ArgumentError,
    AtlasFileError,
    AtlasFileWarning,
    ContentError,
    format_list,
    warn,
)
from atlasinit.io.contents import Header, LabelRow, Part
from atlasinit.support.typing import PathLike

KEY = "atlasinit"
"""Name of the metadata entry that holds the header, in every format that has such entries."""

_VERSION = 1
"""Raised when a header can no longer be read by a package that knows only those before."""


def pack_metadata(
    atlas: Atlas,
    *,
    compartments: Sequence[str] | None = None,
    file_keys: Sequence[int] | None = None,
) -> str:
    """Return the header of a file that holds `compartments` (by default all) as JSON."""
    kept = atlas.compartments if compartments is None else tuple(compartments)
    rows = dict.fromkeys(i for c in kept for i in atlas.table.rows_of(c))
    labels = atlas.table.take(rows)
    fields = {
        KEY: _VERSION,
        "name": atlas.name,
        "space": atlas.space,
        "provenance": atlas.provenance.to_dict(),
        "compartments": list(kept),
        "order": list(atlas.compartments),
        "labels": {name: list(labels[name]) for name in labels.columns},
        # One per row of `labels`, where the file's table cannot hold the keys themselves.
        "file_keys": list(labels["key"] if file_keys is None else file_keys),
    }
    return json.dumps(fields, ensure_ascii=False)


def unpack_metadata(text: str, path: object) -> Header:
    """Return the header that `pack_metadata` wrote into the file `path`."""
    with parsing_header(path):
        fields = json.loads(text)
        version = fields[KEY]
        if version > _VERSION:
            raise AtlasFileError(
                path,
                f"written by a newer atlasinit (header {version}, this one reads up to {_VERSION})",
                "update atlasinit",
            )
        header = Header(
            name=_check_type(fields["name"], str),
            space=_check_type(fields["space"], str),
            provenance=Provenance.from_dict(fields["provenance"]),
            labels=LabelTable({c: as_tuples(v) for c, v in fields["labels"].items()}),
            compartments=_check_types(fields["compartments"], str),
            # Without it the header tells of no compartment in another file.
            order=_check_types(fields.get("order", fields["compartments"]), str),
            file_keys=_check_types(fields["file_keys"], int),
        )
        # Compartments may share rows.
        rows = {row for c in header.compartments for row in header.labels.rows_of(c)}
        counts = {len(header.labels), len(header.file_keys), len(rows)}
        if not header.compartments or len(counts) > 1:
            raise ContentError(
                f"it has {len(header.file_keys)} keys for {len(header.labels)} rows of "
                f"{header.compartments}"
            )
        return header


@contextlib.contextmanager
def parsing_header(path: object) -> Iterator[None]:
    """Turn whatever a header that is not as it should be leads to into an error of the file."""
    try:
        yield
    except AtlasFileError:
        raise
    except (ContentError, ArgumentError) as error:
        raise AtlasFileError(path, f"its atlasinit header is damaged: {error}") from error
    # JSON may lie as deep as one likes.
    except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError) as error:
        raise AtlasFileError(path, f"its atlasinit header is damaged: {error!r}") from error
    except RecursionError as error:
        raise AtlasFileError(path, "its atlasinit header is damaged: it is too deep") from error


def _check_type(value: Any, kind: type) -> Any:
    if type(value) is not kind:
        raise ContentError(f"{value!r} should be {kind.__name__}")
    return value


def _check_types(values: Any, kind: type) -> tuple[Any, ...]:
    return tuple(_check_type(value, kind) for value in _check_type(values, list))


def stated_space(text: str) -> str:
    """Return the space that a header of our own states, ``""`` for what is none."""
    try:
        fields = json.loads(text)
        return str(fields["space"]) if KEY in fields else ""
    except (ValueError, TypeError, KeyError):
        return ""


def as_tuples(values: Any) -> Any:
    """Return JSON's lists as the tuples that a label table holds."""
    return tuple(map(as_tuples, values)) if isinstance(values, list) else values


def format_runs(indices: Int[np.ndarray, " n"]) -> str:
    """Return indices as runs ``start:count``: ``[0, 1, 5, 6, 2]`` is ``"0:2 5:2 2:1"``."""
    # A run ends where the next index is not one more; `edges` has where each begins, and the end.
    breaks = (np.flatnonzero(np.diff(indices) != 1) + 1).tolist()
    edges = [0, *breaks, len(indices)]
    spans = zip(edges[:-1], edges[1:], strict=True)
    # Of no indices there is one run from 0 to 0, which is left out.
    return " ".join(f"{indices[start]}:{stop - start}" for start, stop in spans if stop > start)


def parse_runs(text: str, path: object, *, below: int) -> Int32[np.ndarray, " n"]:
    """Return the indices that `format_runs` described in the file `path`, of which each is `below`.

    Raises
    ------
    AtlasFileError
        Text of another form, other indices, or more of them than there are.
    """
    try:
        spans = [[int(number) for number in run.split(":")] for run in text.split()]
        outside = [span for span in spans if span[0] < 0 or sum(span) > below or min(span) < 0]
        if outside or sum(count for _, count in spans) > below:
            raise ContentError(
                f"there are {below} of them, where it names {format_list(outside, 3)}"
            )
        indices = [np.arange(start, start + count, dtype=np.int32) for start, count in spans]
        return np.concatenate([np.empty(0, np.int32), *indices])
    except ValueError as error:
        raise AtlasFileError(path, f"its list of kept locations is damaged: {error}") from error


def check_texts(texts: Iterable[str], path: PathLike, *, instead: str = "") -> None:
    """Refuse names that text and XML cannot hold; `instead` is a format that can."""
    # U+FFFE, U+FFFF and halves of surrogates are no characters of XML.
    lost = [
        n
        for n in texts
        if re.search(r"[\x00-\x1f\x7f-\x9f\ufffe\uffff\ud800-\udfff]", n) or n != n.strip()
    ]
    if lost:
        raise ArgumentError(
            "path",
            f": {Path(path).name} cannot hold names with line breaks, tabs or other control "
            f"characters, or with blanks around them, got {format_list(map(repr, lost))}",
            _rename("them", instead),
        )


def check_names(
    atlas: Atlas, path: PathLike, *, background: str | None = None, instead: str = ".npz"
) -> None:
    """Refuse names that text and XML, or a table whose background has a name, cannot hold."""
    names = [atlas.name, *atlas.table["name"]]
    check_texts(names, path, instead=instead)
    if background in names[1:]:
        raise ArgumentError(
            "path",
            f": {background!r} means no label in {Path(path).name}, but a parcel has that name",
            _rename("it", instead),
        )


def _rename(what: str, instead: str) -> str:
    return f"rename {what}" + (f", or save as {instead}" if instead else "")


def check_finite(atlas: Atlas, path: PathLike) -> None:
    """Refuse weights that the reader of the file would refuse."""
    soft = {c: m.values for c, m in atlas.maps.items() if not isinstance(m, HardMaps)}
    bad = [c for c, values in soft.items() if not np.isfinite(np.asarray(values)).all()]
    if bad:
        raise ArgumentError(
            "path",
            f": weights in {Path(path).name} should be finite, but those of {format_list(bad)} of "
            f"{atlas.name!r} hold NaN or infinity",
            "set them, or save as .npz",
        )


def file_keys(labels: LabelTable, path: PathLike | None = None) -> list[int]:
    """Return the keys for a table that all compartments of a file share.

    They are the atlas's own, or 1, 2, ... in the order of the rows (with a warning that
    begins with `path`, where given) where several compartments use one key, or a parcel has
    the background's key 0.
    """
    keys = list(labels["key"])
    if 0 not in keys and len(set(keys)) == len(keys):
        return keys
    if path is not None:
        told = AtlasFileWarning(
            path,
            "one label table cannot hold the atlas's keys, as compartments share some or a parcel "
            f"has key 0; they are numbered 1 to {len(keys)} in the file. atlasinit reads the keys "
            "back; for other programs the names tell the parcels",
        )
        warn(told)
    return list(range(1, len(keys) + 1))


def restore(part: Part, header: Header) -> Part:
    """Return what a file says of a compartment with the keys, order and columns of its header.

    Names and colours that another program changed in the file's own table, and
    entries that it added, stay as the file has them. So does a compartment that the
    header does not name.
    """
    if part.compartment not in header.compartments:
        return part
    stated = header.rows_of(part.compartment)
    entries = {row.key: row for row in part.rows or ()}
    rows = [_apply_edits(row, entries[key]) for key, row in stated.items() if key in entries]
    values, where = np.unique(
        part.map_keys if part.keys is None else part.keys, return_inverse=True
    )
    # Keys of the data with an entry that no compartment of the header has: another program drew a
    # parcel of its own.
    added = [k for k in values.tolist() if k in entries and k != 0 and k not in header.file_keys]
    rows += [entries[key] for key in added]
    # The file's 0 is no parcel. Where the atlas has a parcel of key 0, no parcel becomes -1.
    none = -1 if 0 in {row.key for row in stated.values()} else 0
    moved = {0: none} | {key: row.key for key, row in stated.items()}
    keys = np.array([moved.get(key, key) for key in values.tolist()], np.int32)[where]
    if part.keys is not None:
        return dataclasses.replace(part, keys=keys, rows=tuple(rows), background=(none,))
    return dataclasses.replace(part, map_keys=tuple(keys.tolist()), rows=tuple(rows), background=())


def _apply_edits(row: LabelRow, entry: LabelRow) -> LabelRow:
    # A parcel without a colour has one in the file all the same, if the format asks for it.
    same = not row.color or entry.color in ("", row.color.lower())
    color = row.color if same else entry.color
    return dataclasses.replace(row, name=entry.name, color=color)
