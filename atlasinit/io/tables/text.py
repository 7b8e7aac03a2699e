"""Label tables as text: which of the many forms a file has, and what its lines say."""

import codecs
import csv
import json
import re
from collections.abc import Mapping, Sequence
from xml.etree import ElementTree

from atlasinit.io.contents import LabelRow
from atlasinit.io.tables.columns import (
    Rows,
    hex_color,
    is_whole_number,
    names_columns,
    rows_of_columns,
    whole_number,
)

# A comment begins with a number sign, as does a colour, which is none.
_COMMENT = re.compile(r"#(?![0-9a-fA-F]{6}\b)")
_NUMBERS = r"\s+(\d+)\s+(\d+)\s+(\d+)"
_RGBA = re.compile(rf"\s*(-?\d+)\s+(\S.*?){_NUMBERS}\s+\d+\s*(\s#.*)?")
_RGB = re.compile(rf"\s*(-?\d+)\s+(\S.*?){_NUMBERS}\s*")
_KEY_AND_RGBA = re.compile(rf"\s*(-?\d+){_NUMBERS}\s+\d+\s*")
_KEY_AND_NAME = re.compile(r"\s*(-?\d+)\s+(\S.*?)\s*")
_ITK_SNAP = re.compile(rf'\s*(\d+){_NUMBERS}\s+[\d.]+\s+[01]\s+[01]\s+"(.*)"\s*')


def decode(data: bytes) -> str:
    """Return text in UTF-16 with a mark, in UTF-8 with or without one, else of Windows' Latin-1."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16")
    for encoding in ("utf-8-sig", "cp1252"):
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    return data.decode("latin-1")


def rows_of_text(text: str, formats: Mapping[str, str]) -> Rows:
    """Return the rows of a table in lines, whatever their form."""
    lines = _lines(text)
    if not lines:
        return ()
    if all(_ITK_SNAP.fullmatch(line) for line in lines):
        found = [m for line in lines if (m := _ITK_SNAP.fullmatch(line))]
        return tuple(_row(m[1], m[5], (m[2], m[3], m[4])) for m in found)
    below = [_KEY_AND_RGBA.fullmatch(line) for line in lines[1::2]]
    if len(lines) % 2 == 0 and all(below) and not _KEY_AND_RGBA.fullmatch(lines[0]):
        pairs = zip(lines[::2], below, strict=True)
        return tuple(_row(m[1], name, (m[2], m[3], m[4])) for name, m in pairs if m)
    records = _delimited(lines)
    in_words = _rows_in_words(lines)
    if in_words and (records is None or not is_whole_number(records[0][0])):
        return in_words
    if records is None:
        raise ValueError("its first line has neither columns nor a key and a name")
    if not names_columns(records[0]) and any(map(is_whole_number, records[0])):
        return _headless(records)
    return rows_of_columns(records[0], records[1:], formats)


def rows_of_xml(data: bytes) -> Rows:
    """Return the labels of an atlas of FSL.

    The index of a label is its value in the image for an atlas of type ``Label``. For
    any other it is the number of its volume, and its value in the image of labels one more.
    """
    try:
        root = ElementTree.fromstring(data)
    except ElementTree.ParseError as error:
        raise ValueError(f"its XML is damaged: {error}") from error
    first = 0 if root.findtext("header/type", "").strip().casefold() == "label" else 1
    rows = []
    for label in root.iter("label"):
        name = "".join(label.itertext()).strip()
        if not is_whole_number(label.get("index")):
            raise ValueError(f"a label without an index: {name!r}")
        xyz = [label.attrib[axis] for axis in "xyz" if axis in label.attrib]
        extra = {"xyz": ", ".join(xyz)} if len(xyz) == 3 else {}
        rows.append(LabelRow(whole_number(label.get("index")) + first, name, extra=extra))
    return tuple(rows)


def rows_of_json(text: str) -> Rows:
    """Return the rows of ``{key: name}``, or of BIDS's ``LabelMap``, which may be a list."""
    found = json.loads(text)
    found = found.get("LabelMap", found) if isinstance(found, dict) else found
    if isinstance(found, list) and all(isinstance(name, str) for name in found):
        # The list of a BIDS sidecar names the volumes of a probseg in order.
        return tuple(LabelRow(i, name) for i, name in enumerate(found, start=1))
    if isinstance(found, dict) and found and all(is_whole_number(key) for key in found):
        return tuple(LabelRow(whole_number(key), str(name)) for key, name in found.items())
    raise ValueError("expected {key: name} or a LabelMap")


def _lines(text: str) -> list[str]:
    """Return the lines that are no comments; a comment above them may name their columns."""
    # Unlike str.splitlines, which would split at letters that old encodings have, too.
    lines = [line for line in re.split(r"\r\n|\r|\n", text) if line.strip()]
    start = next((i for i, line in enumerate(lines) if not _COMMENT.match(line)), len(lines))
    header = lines[start - 1].lstrip("# ") if start else ""
    kept = [line for line in lines[start:] if not _COMMENT.match(line)]
    return [header, *kept] if names_columns(re.split("[\t;,]", header)) else kept


def _delimited(lines: Sequence[str]) -> list[list[str]] | None:
    """Return the cells of lines, by tabs or else by what cuts every line into the same number."""
    found = [_cells(lines, mark) for mark in "\t;," if mark in lines[0]]
    if not found or "\t" in lines[0]:
        return found[0] if found else None
    return max(found, key=lambda records: (len({len(r) for r in records}) == 1, len(records[0])))


def _cells(lines: Sequence[str], mark: str) -> list[list[str]]:
    ended = [f"{line}\n" for line in lines]
    try:
        records = list(csv.reader(ended, delimiter=mark, strict=True))
    except csv.Error:
        # Quotes that do not come in pairs are part of the names.
        records = list(csv.reader(lines, delimiter=mark, quoting=csv.QUOTE_NONE))
    return [[cell.strip() for cell in record] for record in records]


def _rows_in_words(lines: Sequence[str]) -> Rows | None:
    """Return rows of a key, a name and perhaps a colour between blanks; None of other lines."""
    plain = [_KEY_AND_NAME.fullmatch(line) for line in lines]
    if not all(plain):
        return None
    form = _RGB if all(_RGB.fullmatch(line) for line in lines) else _RGBA
    form = _RGBA if all(_RGBA.fullmatch(line) for line in lines) else form
    return tuple(
        _row(colored[1], colored[2], (colored[3], colored[4], colored[5]))
        if (colored := form.fullmatch(line))
        else LabelRow(int(m[1]), m[2])
        for line, m in zip(lines, plain, strict=True)
        if m
    )


def _row(key: str, name: str, rgb: tuple[str, str, str]) -> LabelRow:
    return LabelRow(int(key), name.strip(), hex_color(*(int(channel) for channel in rgb)))


def _headless(records: list[list[str]]) -> Rows:
    """Return rows of delimited cells: the key first, then the name, then perhaps a colour."""
    columns = ["index", "name", "red", "green", "blue"] if len(records[0]) >= 5 else []
    columns = columns or ["index", "name"]
    columns += [f"column_{i}" for i in range(len(columns), len(records[0]))]
    if not is_whole_number(records[0][0]):
        columns[:2] = ["name", "index"]
    return rows_of_columns(columns, records)
