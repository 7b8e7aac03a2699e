"""Label tables as text: which of the many forms a file has, and what its lines say."""

import codecs
import csv
import re
from collections.abc import Mapping, Sequence

from atlasinit.errors import ContentError
from atlasinit.io.tables.afni import is_niml, rows_of_niml
from atlasinit.io.tables.blanks import rows_between_blanks
from atlasinit.io.tables.cells import is_number, is_whole_number
from atlasinit.io.tables.columns import Rows, rows_of_columns
from atlasinit.io.tables.headless import rows_of_cells
from atlasinit.io.tables.objects import NAMES_ONLY, NUMBER_THEM
from atlasinit.io.tables.titles import names_columns

# A comment begins with a number sign, as does a colour, which is none.
_COMMENT = re.compile(r"\s*(#(?![0-9a-fA-F]{6}\b)|%|//)")
# As of "1: name", "1 = name", "1) name" and "1 - name".
_KEY_MARK_NAME = re.compile(r"\s*(-?\d+)\s*(?:[:=|)]|-\s)\s*(\S(?:.*\S)?)\s*")
_NUMBERS = r"\s+(\d+)\s+(\d+)\s+(\d+)"
_KEY_AND_RGBA = re.compile(rf"\s*(-?\d+){_NUMBERS}\s+\d+\s*")
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
    if is_niml(text):
        return rows_of_niml(text)
    lines = _lines(text)
    if not lines:
        return ()
    # ITK-SNAP: key, colour, opacity, two switches and the name: 1 255 0 51 1 1 0 "Left nucleus".
    if all(_ITK_SNAP.fullmatch(line) for line in lines):
        found = [m for line in lines if (m := _ITK_SNAP.fullmatch(line))]
        return _rows_with_rgb([(m[1], m[5], m[2], m[3], m[4]) for m in found])
    # Workbench: a line with the name, then one with key and colour: 1 255 0 51 255.
    below = [_KEY_AND_RGBA.fullmatch(line) for line in lines[1::2]]
    if len(lines) % 2 == 0 and all(below) and not _KEY_AND_RGBA.fullmatch(lines[0]):
        pairs = zip(lines[::2], below, strict=True)
        return _rows_with_rgb([(m[1], name, m[2], m[3], m[4]) for name, m in pairs if m])
    marked = [_KEY_MARK_NAME.fullmatch(line) for line in lines]
    if all(marked):
        return rows_of_columns(["index", "name"], [(m[1], m[2]) for m in marked if m])
    # A mark may separate cells, as in "1,V1,255", or belong to a text, as in "1 V1, left": what is
    # no table by its marks is tried as a list between blanks first.
    records = _split_lines(lines)
    if records is None or not _is_table(records):
        rows = rows_between_blanks(lines)
        if rows is not None:
            return rows
    if records is None:
        problem = "its first line has neither columns nor a key and a name"
        if len(lines) > 1:
            raise ContentError(f"{problem}; it {NAMES_ONLY}", NUMBER_THEM)
        raise ContentError(problem)
    return rows_of_records(records, formats)


def rows_of_records(records: list[list[str]], formats: Mapping[str, str]) -> Rows:
    """Return the rows of delimited cells, of which the first may be the columns' titles."""
    # No titles: a first cell that is a number, or a number among words that are no titles; a title
    # may be one, as 2018.
    first = _strip_cells(records[0])
    if is_whole_number(first[0]) or (any(map(is_whole_number, first)) and not names_columns(first)):
        return rows_of_cells(_even_out([_strip_cells(_join_commas(r)) for r in records]))
    # Of "index,name" and "1,Inferior frontal gyrus, pars opercularis"; lines that fit stay.
    too_long = [len(record) > len(first) for record in records]
    fitted = [_join_commas(r) if long else r for r, long in zip(records, too_long, strict=True)]
    return rows_of_columns(first, [_strip_cells(record) for record in fitted[1:]], formats)


def _strip_cells(record: Sequence[str]) -> list[str]:
    return [cell.strip() for cell in record]


def _lines(text: str) -> list[str]:
    """Return the lines that are no comments; a comment above them may name their columns."""
    # Unlike str.splitlines, which would split at letters that old encodings have, too.
    # Files of DOS may end with its mark of an end.
    lines = re.split(r"\r\n|\r|\n", text.rstrip("\x1a"))
    lines = [line for line in lines if line.strip()]
    start = next((i for i, line in enumerate(lines) if not _COMMENT.match(line)), len(lines))
    # Of "# index,name" above "1,V1" the comment is the titles.
    header = lines[start - 1].lstrip("# ") if start else ""
    kept = [line for line in lines[start:] if not _COMMENT.match(line)]
    if names_columns(re.split("[\t;,]", header)):
        return [header, *kept]
    # A title above the names of the columns: "Atlas of X", "index,name", "1,V1".
    titled = len(kept) > 2 and not re.search("[\t;,]", kept[0]) and re.search("[\t;,]", kept[1])
    return kept[1:] if titled and names_columns(re.split("[\t;,]", kept[1])) else kept


def _split_lines(lines: Sequence[str]) -> list[list[str]] | None:
    """Return the cells of lines, by tabs or else by what cuts every line into the same number.

    Cells are as they stand, with the blanks around them.
    """
    # A tab is never part of a text. Of ";" and "," the one that makes as many cells of every line:
    # "1;V1, left;255" has 3 by ";", but by "," as many as there are commas in its name.
    found = [_cells(lines, mark) for mark in "\t;," if mark in lines[0]]
    if not found or "\t" in lines[0]:
        return found[0] if found else None
    return max(found, key=lambda records: (len({len(r) for r in records}) == 1, len(records[0])))


def _cells(lines: Sequence[str], mark: str) -> list[list[str]]:
    ended = [f"{line}\n" for line in lines]
    # Where a blank follows every mark it is style; after some it is part of the text.
    styled = mark == "," and all(", " in line and not re.search(r",\S", line) for line in lines)
    # Strict, as a lone quote in front of a name would else swallow all lines up to the next.
    try:
        read = csv.reader(ended, delimiter=mark, strict=True, skipinitialspace=styled)
        records = list(read)
    except csv.Error:
        # Quotes that do not come in pairs are part of the names.
        records = [line.split(mark) for line in lines]
    return _strip_quotes([[cell.removesuffix("\n") for cell in record] for record in records])


def _join_commas(cells: Sequence[str]) -> list[str]:
    """Return cells joined where a comma with a blank behind it is one of a text, not of the list.

    Of ``1,Inferior frontal gyrus, pars opercularis`` the second comma is the name's.
    """
    joined: list[str] = []
    for cell in cells:
        inside = joined and cell[:1] == " " and not is_number(cell) and not is_number(joined[-1])
        if inside and cell.strip() and joined[-1].strip():
            joined[-1] = f"{joined[-1]},{cell}"
        else:
            joined.append(cell)
    return joined


def _strip_quotes(records: list[list[str]]) -> list[list[str]]:
    """Return cells without the single quotes in which some programs put every text."""
    texts = [c for record in records for c in record if c and not is_number(c)]
    if not texts or not all(len(c) > 1 and c[0] == c[-1] == "'" for c in texts):
        return records
    return [[c if is_number(c) or not c else c[1:-1] for c in record] for record in records]


def _is_table(records: Sequence[Sequence[str]]) -> bool:
    """Whether cells between marks are a table, rather than lines with a mark here and there."""
    first = records[0]
    if is_whole_number(first[0]):
        return True
    # One word before the first mark, as of "V1,1", is a cell; "Area 1, left" is more likely a text.
    titled = names_columns(first) or " " not in first[0].strip()
    # A trailing empty cell is often left out; a line of several words has other marks.
    return titled and all(len(r) > 1 or len(r[0].split()) < 2 for r in records[1:])


def _even_out(records: list[list[str]]) -> list[list[str]]:
    """Return records of which the longer have commas in their names, behind the key."""
    records = [record[:-1] if record[-1:] == [""] else record for record in records]
    # "1,A,255,0,0" and "2,B, left,0,0,0": behind the name all have three numbers; what is between
    # them and the key is the name.
    lengths = {len(record) for record in records}
    if len(lengths) == 1 or not all(is_whole_number(record[0]) for record in records):
        return records
    # Numbers behind the name are cells of their own, as of a colour.
    behind = min(_numbers_behind(record) for record in records)
    if any(len(record) < 2 + behind for record in records):
        return records
    ends = [len(record) - behind for record in records]
    return [
        [record[0], ", ".join(record[1:end]), *record[end:]]
        for record, end in zip(records, ends, strict=True)
    ]


def _numbers_behind(record: Sequence[str]) -> int:
    words = [i for i, cell in enumerate(record) if i and not is_number(cell)]
    return len(record) - 1 - words[-1] if words else 0


def _rows_with_rgb(records: Sequence[Sequence[str]]) -> Rows:
    return rows_of_columns(["index", "name", "red", "green", "blue"], records)
