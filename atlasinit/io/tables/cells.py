"""Cells of tables: what is missing, what is a number, a key or a colour."""

import math
import re
from collections.abc import Sequence
from typing import Any

from atlasinit.errors import ContentError

# 3, +3, 3., 3.0 and 3e2, as programs write whole numbers; "1_0" and digits of other scripts, which
# `int` takes too, are none.
_WHOLE = re.compile(r"\s*[+-]?\d+(\.0*)?([eE][+-]?\d+)?\s*", re.ASCII)
_NUMBER = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*", re.ASCII)
# With an opacity or without: ff0000, #ff0000, #ff0000ff.
_HEX = re.compile(r"#?[0-9a-f]{6}([0-9a-f]{2})?")
_SHORT_HEX = re.compile(r"#([0-9a-f])([0-9a-f])([0-9a-f])")
_CHANNEL = re.compile(r"\d+\.?\d*|\.\d+", re.ASCII)
# Three or four numbers, as (255, 0, 0) or rgb(255 0 0 255).
_CHANNELS = re.compile(r"(rgba?)?[\s(\[]*\d[\d.]*([\s,;]+\d[\d.]*){2,3}[\s)\]]*", re.ASCII)
_INT32 = 2**31


def is_missing(cell: object) -> bool:
    """Whether a cell of a table is empty, ``n/a`` or NaN."""
    if isinstance(cell, str):
        return cell.strip().casefold() in ("", "n/a", "nan")
    return cell is None or bool(cell != cell)


def is_number(cell: object) -> bool:
    """Whether a cell holds a finite number, written as tables write one."""
    if isinstance(cell, str):
        return bool(_NUMBER.fullmatch(cell))
    try:
        return math.isfinite(cell)  # pyright: ignore[reportArgumentType]
    except (TypeError, OverflowError):
        return isinstance(cell, int)


def is_whole_number(cell: object) -> bool:
    """Whether a cell holds a whole number, as 3, ``"3"`` or ``"3.0"``."""
    # Digits alone need no float, which would round long ones; 15e-1 fits the pattern, but is none.
    if isinstance(cell, str):
        return bool(_WHOLE.fullmatch(cell)) and (cell.strip().isdecimal() or _is_integral(cell))
    return isinstance(cell, int) or (is_number(cell) and _is_integral(cell))


def parse_key(cell: Any, *, row: int, column: str | None = None) -> int:
    """Return the key that a cell holds; `row` and `column` are where, for the error.

    Raises
    ------
    ContentError
        What is no whole number, or does not fit int32, as labels have to.
    """
    if not is_whole_number(cell):
        raise ContentError(
            f"holds {cell!r}, and keys should be whole numbers", row=row, column=column
        )
    # Python converts no more than 4300 digits; 20 are too many already.
    exact = not isinstance(cell, str) or (len(cell) < 20 and re.fullmatch(r"\s*[+-]?\d+\s*", cell))
    number = int(cell) if exact else float(cell)
    if not -_INT32 <= number < _INT32:
        raise ContentError(
            f"holds {_shorten(cell)}, and keys should fit int32", row=row, column=column
        )
    return int(number)


def hex_color(red: float | int, green: float | int, blue: float | int) -> str:
    """Return ``"#rrggbb"`` for channels from 0 to 255."""
    return "#{:02x}{:02x}{:02x}".format(*(round(c) for c in (red, green, blue)))


def colors_of_channels(triples: Sequence[Sequence[Any]]) -> list[str] | None:
    """Return the colours that red, green and blue make, ``""`` where one is missing.

    All of a table are from 0 to 1, or all from 0 to 255; None where any is neither.
    """
    complete = [
        not any(is_missing(c) for c in triple[:3]) and len(triple) > 0 for triple in triples
    ]
    given = [t[:3] for t, full in zip(triples, complete, strict=True) if full]
    if not all(is_number(c) for triple in given for c in triple):
        return None
    values = [[float(c) for c in triple] for triple in given]
    low = min((min(v) for v in values), default=0.0)
    high = max((max(v) for v in values), default=0.0)
    if low < 0 or high > 255:
        return None
    # Together, as (1, 0, 0) alone may be red or nearly black.
    unit = 255.0 if high <= 1 else 1.0
    colors = iter(hex_color(*(c * unit for c in v)) for v in values)
    return [next(colors) if full else "" for full in complete]


def colors_of_texts(cells: Sequence[Any]) -> list[str] | None:
    """Return the colours of cells as ``#f00``, ``ff0000`` or ``(255, 0, 0)``; None of others."""
    texts = ["" if is_missing(c) else str(c).strip().casefold() for c in cells]
    # As CSS: #f03 is #ff0033.
    texts = [_SHORT_HEX.sub(r"#\1\1\2\2\3\3", t) if len(t) == 4 else t for t in texts]
    if all(not text or _HEX.fullmatch(text) for text in texts):
        return [f"#{text.lstrip('#')[:6]}" if text else "" for text in texts]
    triples = [_CHANNEL.findall(text)[:3] for text in texts]
    numbers = all(not text or _CHANNELS.fullmatch(text) for text in texts)
    return colors_of_channels(triples) if numbers else None


def _is_integral(cell: Any) -> bool:
    try:
        return float(cell).is_integer()
    except OverflowError:
        return True


def _shorten(cell: object) -> str:
    text = str(cell)
    return text if len(text) <= 30 else f"{text[:20]}... ({len(text)} digits)"
