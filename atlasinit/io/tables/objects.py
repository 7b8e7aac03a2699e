"""Label tables as objects: JSON, and the dicts and lists of Python."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from atlasinit.errors import ContentError
from atlasinit.io.background import means_background
from atlasinit.io.contents import LabelRow
from atlasinit.io.tables.cells import (
    colors_of_channels,
    colors_of_texts,
    is_missing,
    is_number,
    is_whole_number,
    parse_key,
)
from atlasinit.io.tables.columns import Rows, rows_of_columns
from atlasinit.io.tables.titles import key_rank, normalise_title

# Entries of a JSON object that hold the table, beside others that describe it.
_WRAPPERS = ("labelmap", "labels", "regions", "rois", "parcels", "structures", "msg")
NAMES_ONLY = "holds a list of names, which has no keys"
"""What is wrong with a plain list of names, whose positions do not say which values they are of."""
NUMBER_THEM = (
    "if they are those of the values 1, 2, ... in this order, pass "
    "labels=dict(enumerate(names, start=1)), or write the values in front of them"
)
"""What to do about it."""


def rows_of_json(text: str) -> Rows:
    """Return the rows of JSON: an object of names or of objects, or a list of objects.

    A ``LabelMap`` of BIDS may be a list, which names the volumes of a probseg in order; so
    may any list that begins with null or the background, which counts from 0.
    """
    found = json.loads(text, object_pairs_hook=_refuse_repeats)
    names = found
    if isinstance(found, Mapping):
        # {"Name": "X", "LabelMap": {...}}: the table is one of the fields, under a usual name.
        inner = [key for key in found if normalise_title(key).replace("_", "") in _WRAPPERS]
        inner = [key for key in inner if isinstance(found[key], Mapping | list)]
        names = found[inner[0]] if inner else found
    if isinstance(names, list) and names and all(isinstance(n, str | None) for n in names):
        first = names[0]
        from_zero = not first or means_background(first, is_surface=False, key=0)
        if not from_zero and names is found:
            raise ContentError(f"it {NAMES_ONLY}", NUMBER_THEM)
        # ["Background", "V1"] counts from 0; {"LabelMap": ["V1"]} names volumes, which do from 1.
        start = 0 if from_zero and names is found else 1
        return tuple(LabelRow(i, name or "") for i, name in enumerate(names, start=start))
    rows = rows_of_mapping(names) if isinstance(names, Mapping) else None
    rows = rows_of_list(names) if isinstance(names, list) else rows
    if rows is None and isinstance(names, Mapping):
        rows = _rows_of_columns(names)
    if rows is None:
        raise ContentError(
            "it should be {key: name}, a list of objects with key and name, or a LabelMap"
        )
    return rows


def _rows_of_columns(found: Mapping[str, Any]) -> Rows | None:
    """Return the rows of a table by its columns, as pandas writes one; None of other objects.

    That is ``{"index": [1, 2], "name": [...]}``, ``{"index": {"0": 1, "1": 2}, "name": {...}}`` or
    ``{"columns": ["index", "name"], "data": [[1, "V1"], ...]}``.
    """
    titles, cells = found.get("columns"), found.get("data")
    if isinstance(titles, list) and isinstance(cells, list):
        table = [row if isinstance(row, list) else [row] for row in cells]
        if all(len(row) == len(titles) for row in table):
            return rows_of_columns([str(title) for title in titles], table)
    by_row = [value for value in found.values() if isinstance(value, Mapping)]
    columns = [list(v.values()) if isinstance(v, Mapping) else v for v in found.values()]
    alike = all(list(value) == list(by_row[0]) for value in by_row)
    lists = all(isinstance(own, list) and len(own) == len(columns[0]) for own in columns)
    keyed = any(key_rank(normalise_title(title)) is not None for title in found)
    if not (alike and lists and keyed and len(by_row) in (0, len(columns))):
        return None
    return rows_of_columns(list(found), [list(row) for row in zip(*columns, strict=True)])


def rows_of_mapping(found: Mapping[Any, Any]) -> Rows | None:
    """Return the rows of ``{key: name}`` or ``{name: key}``; None of other mappings.

    A name may come with its colour, ``{key: (name, colour)}``, as nibabel has it, or be an
    object with further fields, ``{key: {"name": ..., "color": ...}}``.
    """
    if not found:
        return None
    if all(is_whole_number(key) for key in found):
        return _rows_by_key(found)
    # {"V1": 1}, then {"V1": {"index": 1, "color": ...}}.
    words = all(isinstance(key, str) and not is_number(key) for key in found)
    if words and all(_is_number(value) for value in found.values()):
        keys = [parse_key(value, row=i + 1) for i, value in enumerate(found.values())]
        if len(set(keys)) < len(keys):
            raise ContentError("several names have one key")
        return tuple(LabelRow(key, name.strip()) for key, name in zip(keys, found, strict=True))
    if words and all(_is_record(value) for value in found.values()):
        return _of_records({"name": name, **value} for name, value in found.items())
    return None


def rows_of_list(found: Sequence[Any]) -> Rows | None:
    """Return the rows of a list of objects or of ``(key, name)`` pairs; None of other lists."""
    if not found:
        return None
    if all(isinstance(item, Mapping) for item in found):
        return _of_records(_flatten(found))
    pairs = all(isinstance(item, list | tuple) and len(item) > 1 for item in found)
    if pairs and all(is_whole_number(item[0]) for item in found):
        return _rows((item[0], item[1] if len(item) == 2 else list(item[1:])) for item in found)
    return None


def _rows_by_key(found: Mapping[Any, Any]) -> Rows:
    if any(isinstance(value, Mapping) for value in found.values()):
        bad = next((k for k, v in found.items() if not isinstance(v, Mapping | None)), None)
        if bad is not None:
            raise ContentError(f"key {bad} should have an object as others do, got {found[bad]!r}")
        return _of_records({"index": key, **(value or {})} for key, value in found.items())
    return _rows(found.items())


def _rows(entries: Iterable[tuple[Any, Any]]) -> Rows:
    """Return rows of pairs of a key and a name, or of a name with its colour."""
    entries = list(entries)
    split = [_name_and_color(key, value) for key, value in entries]
    colors = _colors([color for _, color in split])
    return tuple(
        LabelRow(parse_key(key, row=i + 1), name, color)
        for i, ((key, _), (name, _), color) in enumerate(zip(entries, split, colors, strict=True))
    )


def _name_and_color(key: Any, value: Any) -> tuple[str, Any]:
    # "V1", ("V1", "#ff0033"), ("V1", (255, 0, 51)) or ("V1", 255, 0, 51).
    name, color = value, None
    if isinstance(value, list | tuple) and value:
        name, color = value[0], value[1] if len(value) == 2 else list(value[1:]) or None
    if is_missing(name):
        return "", color
    if not isinstance(name, str):
        raise ContentError(f"key {key} should have a name, or a name and a colour, got {value!r}")
    return name.strip(), color


def _colors(given: Sequence[Any]) -> Sequence[str]:
    """Return colours given as texts or as channels, ``""`` where there is none."""
    found = _read_colors(given)
    if found is None:
        stated = [color for color in given if color is not None]
        # Each may be one alone, where they are not of one form.
        wrong = next((color for color in stated if _read_colors([color]) is None), stated[0])
        raise ContentError(
            'colours should be "#rrggbb" or (red, green, blue) from 0 to 1 or to 255, got '
            f"{wrong!r}"
        )
    return found


def _read_colors(given: Sequence[Any]) -> list[str] | None:
    """Return colours given as texts and as channels, which may be mixed; None where one is not."""
    texts = [color if isinstance(color, str) else None for color in given]
    # An empty list is a colour that is not there, as None is. The fourth channel, the opacity,
    # says nothing of a parcel.
    triples = [
        [] if color is None or isinstance(color, str) else _listed(color)[:3] for color in given
    ]
    if not all(len(triple) in (0, 3) for triple in triples):
        return None
    of_texts, of_channels = colors_of_texts(texts), colors_of_channels(triples)
    if of_texts is None or of_channels is None:
        return None
    return [text or channels for text, channels in zip(of_texts, of_channels, strict=True)]


def _listed(value: Any) -> list[Any]:
    """Return a collection as a list, anything else as a list of it alone."""
    return list(value) if isinstance(value, Iterable) else [value]


def _of_records(found: Iterable[Mapping[str, Any]]) -> Rows:
    records = [{key: _freeze(value) for key, value in record.items()} for record in found]
    titles = list(dict.fromkeys(key for record in records for key in record))
    return rows_of_columns(titles, [[record.get(title) for title in titles] for record in records])


def _flatten(found: Iterable[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """Yield the entries of a tree, each before its children, as of the Allen atlases."""
    for record in found:
        children = record.get("children")
        yield {key: value for key, value in record.items() if key != "children"}
        if isinstance(children, list) and all(isinstance(child, Mapping) for child in children):
            yield from _flatten(children)


def _freeze(value: Any) -> Any:
    """Return a value that a table can hold: tuples in place of lists."""
    return tuple(_freeze(item) for item in value) if isinstance(value, list) else value


def _is_record(value: Any) -> bool:
    """Whether a value is the fields of one entry, rather than a table."""
    return isinstance(value, Mapping) and any(
        isinstance(title, str)
        and (key_rank(normalise_title(title)) is not None)
        and _is_number(value[title])
        for title in value
    )


def _is_number(value: Any) -> bool:
    return not isinstance(value, str | bool) and is_whole_number(value)


def _refuse_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return the object of pairs, of which JSON's readers would keep the last of each key."""
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))
        raise ContentError(f"it has several entries for {twice!r}")
    return found
