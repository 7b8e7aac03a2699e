"""Tables whose columns have no titles: what each column holds follows from its cells."""

import re
from collections.abc import Callable, Sequence
from typing import Any

from atlasinit.errors import ContentError
from atlasinit.io.tables.cells import (
    colors_of_channels,
    colors_of_texts,
    is_missing,
    is_number,
    is_whole_number,
)
from atlasinit.io.tables.columns import Rows, rows_of_columns

_NAME_OF_HEX = re.compile(r"[0-9a-fA-F]+")
_SIDES = frozenset({"l", "r", "lh", "rh", "left", "right"})
_DROPPED = "opacity"
_CODE = 4  # letters of an abbreviation, as the FAG of AAL's Precentral_L


def rows_of_cells(records: Sequence[Sequence[Any]]) -> Rows:
    """Return the rows of records of one length: key, name and perhaps colour, in any order.

    The keys are the first column of whole numbers, no two alike where there is one. The name is
    the first column of words, no two alike where there is one, except for one of short
    codes before one of longer names. Three columns of numbers side by side, all of
    them from 0 to 255 or from 0 to 1, are a colour, and a fourth its opacity. Other columns are
    kept as ``column_<number>``.

    Raises
    ------
    ContentError
        No column of whole numbers or of words, or a record of another length.
    """
    records = [record for record in records if any(cell not in ("", None) for cell in record)]
    width = max((len(record) for record in records), default=0)
    for i, record in enumerate(records):
        if len(record) < width:
            raise ContentError(
                f"has {len(record)} cells where others have {width}, and no first row names the "
                "columns",
                row=i + 1,
            )
    columns = [list(column) for column in zip(*records, strict=True)]
    titles = [f"column_{i}" for i in range(width)]
    key = _find_first(columns, is_whole_number, "whole-number keys")
    titles[key] = "index"
    # The first three columns side by side that can be one, apart from the keys.
    rgb = next((i for i in range(width - 2) if _is_color(columns, i, key)), None)
    if rgb is not None:
        titles[rgb : rgb + 3] = ["red", "green", "blue"]
        # The fourth is the opacity, which says nothing of a parcel.
        opaque = rgb + 3 < width and rgb + 3 != key and _are_channels(columns[rgb + 3])
        titles[rgb + 3 : rgb + 3 + opaque] = [_DROPPED] * opaque
    for i, column in enumerate(columns):
        if i != key and "color" not in titles and rgb is None and _are_color_texts(column):
            titles[i] = "color"
    worded = [
        i
        for i, column in enumerate(columns)
        if titles[i].startswith("column_") and not all(is_number(c) for c in column)
    ]
    if not worded:
        raise ContentError("no column of names: its cells are numbers alone")
    # "1,V1,L": a column of sides is no name, unless it is the only one of words.
    sides = [i for i in worded if all(str(cell).casefold() in _SIDES for cell in columns[i])]
    if sides and len(worded) > len(sides):
        titles[sides[0]] = "hemisphere"
        worded = [i for i in worded if i not in sides]
    titles[_choose_name(columns, worded)] = "name"
    kept = [i for i, title in enumerate(titles) if title != _DROPPED]
    return rows_of_columns(
        [titles[i] for i in kept], [[record[i] for i in kept] for record in records]
    )


def is_code(column: Sequence[Any]) -> bool:
    """Whether whole numbers are another code of the entries: each greater than the one before."""
    if not all(is_whole_number(cell) for cell in column):
        return False
    numbers = [float(cell) for cell in column]
    return len(numbers) > 1 and all(a < b for a, b in zip(numbers, numbers[1:], strict=False))


def _find_first(columns: Sequence[Sequence[Any]], fits: Callable[[Any], bool], what: str) -> int:
    found = [i for i, column in enumerate(columns) if all(map(fits, column))]
    if not found:
        raise _find_odd_cell(columns, fits, what) or ContentError(f"no column of {what}")
    unlike = [i for i in found if len({str(cell) for cell in columns[i]}) == len(columns[i])]
    return (unlike or found)[0]


def _find_odd_cell(
    columns: Sequence[Sequence[Any]], fits: Callable[[Any], bool], what: str
) -> ContentError | None:
    """Return what is wrong with the cell that keeps a column from being what it mostly is."""
    for number, column in enumerate(columns, start=1):
        bad = [i for i, cell in enumerate(column) if not fits(cell)]
        # Most of the column fits: the first cell that does not is the mistake.
        if 2 * len(bad) < len(column):
            problem = f"holds {column[bad[0]]!r}, so that there is no column of {what}"
            return ContentError(problem, row=bad[0] + 1, column=number)
    return None


def _is_color(columns: Sequence[Sequence[Any]], first: int, key: int) -> bool:
    triple = range(first, first + 3)
    if key in triple or not all(is_number(cell) for i in triple for cell in columns[i]):
        return False
    return colors_of_channels(list(zip(*(columns[i] for i in triple), strict=True))) is not None


def _are_channels(column: Sequence[Any]) -> bool:
    return all(is_number(cell) and 0 <= float(cell) <= 255 for cell in column)


def _are_color_texts(column: Sequence[Any]) -> bool:
    """Whether cells are colours in words, as #ff0000 or 255 0 0; bare letters may be a name."""
    texts = [str(cell) for cell in column]
    if any(isinstance(cell, int | float) for cell in column):
        return False
    if any(_NAME_OF_HEX.fullmatch(text) for text in texts):
        # "fed" or "facade" may be a name: all need six characters, and some a digit.
        digits = any(char.isdigit() for text in texts for char in text)
        return digits and all(len(text) == 6 and _NAME_OF_HEX.fullmatch(text) for text in texts)
    return all(not is_missing(cell) for cell in column) and colors_of_texts(column) is not None


def _choose_name(columns: Sequence[Sequence[Any]], worded: Sequence[int]) -> int:
    # "FAG Precentral_L 2001": the code in front is no name where a longer one follows.
    lengths = {i: [len(str(c)) for c in columns[i] if not is_missing(c)] for i in worded}
    unlike = [i for i in worded if len({str(cell) for cell in columns[i]}) == len(columns[i])]
    first, *others = unlike or worded
    longer = [i for i in others if max(lengths[i], default=0) > _CODE]
    return longer[0] if longer and max(lengths[first], default=0) <= _CODE else first
