"""Label tables of AFNI, in files of their own and in the headers of images."""

import html
import re

from atlasinit.errors import ContentError
from atlasinit.io.contents import LabelRow
from atlasinit.io.tables.cells import is_whole_number, parse_key
from atlasinit.io.tables.columns import Rows

CODE = 4
"""Of its extension among NIfTI's: https://nifti.nimh.nih.gov/pub/dist/src/niftilib/nifti1_io.h"""

# AFNI's NIML, which looks like XML and is none: <VALUE_LABEL_DTABLE ...> "1" "V1" "2" "V2"
# </VALUE_LABEL_DTABLE>, or <ATLAS_POINT STRUCT="V1" VAL="1" .../> in a list.
_TABLE = re.compile(r"<VALUE_LABEL_DTABLE\b[^>]*>(.*?)</VALUE_LABEL_DTABLE>", re.DOTALL)
_STRING = re.compile(r'"((?:[^"\\]|\\.)*)"')
_POINT = re.compile(r"<ATLAS_POINT\b([^>]*)>")
_FIELD = re.compile(r'(\w+)\s*=\s*"([^"]*)"')


def is_niml(text: str) -> bool:
    """Whether a text holds a label table of AFNI."""
    return "<VALUE_LABEL_DTABLE" in text or "<ATLAS_POINT" in text


def rows_of_niml(text: str) -> Rows:
    """Return the entries of a ``VALUE_LABEL_DTABLE`` or of an ``ATLAS_POINT_LIST``.

    Raises
    ------
    ContentError
        A table that is not closed, or whose strings do not come in pairs of a key and a name.
    """
    points = [dict(_FIELD.findall(fields)) for fields in _POINT.findall(text)]
    if points:
        return tuple(
            LabelRow(_key(point.get("VAL", ""), i), html.unescape(point.get("STRUCT", "")).strip())
            for i, point in enumerate(points)
        )
    table = _TABLE.search(text)
    if table is None:
        raise ContentError("its VALUE_LABEL_DTABLE is not closed")
    # A backslash keeps a quote within a string; other characters are entities, as &amp;.
    strings = [re.sub(r"\\(.)", r"\1", found) for found in _STRING.findall(table[1])]
    if len(strings) % 2:
        raise ContentError(f"its VALUE_LABEL_DTABLE holds {len(strings)} strings, not pairs")
    pairs = zip(strings[::2], strings[1::2], strict=True)
    return tuple(
        LabelRow(_key(key, i), html.unescape(name).strip()) for i, (key, name) in enumerate(pairs)
    )


def rows_of_header(content: bytes) -> Rows | None:
    """Return the table among the attributes that AFNI keeps in a NIfTI extension, or None."""
    text = content.decode("utf-8", errors="replace")
    # An attribute holds its table as a string, whose own quotes are written as entities.
    text = html.unescape(text).replace('\\"', '"')
    return rows_of_niml(text) if is_niml(text) else None


def _key(text: str, entry: int) -> int:
    if not is_whole_number(text):
        raise ContentError(f"is a label without a value: {text!r}", row=entry + 1)
    return parse_key(text, row=entry + 1)
