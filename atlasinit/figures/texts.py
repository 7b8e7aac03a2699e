"""Texts that fit the room a figure has for them."""

import unicodedata

_SMALL, _CAPITAL, _WIDE = 0.62, 0.74, 1.0
"""Widths of letters as a share of the font's size, of Matplotlib's font."""

_DOTS = "\N{HORIZONTAL ELLIPSIS}"


def measure_text(text: str, size: float) -> float:
    """Return about how many inches of width a line of text of a size in points takes."""
    return sum(map(_measure_letter, text)) * size / 72


def shorten_text(text: str, size: float, *, room: float) -> str:
    """Return a text without its middle where it takes more than `room`, in inches.

    What names of parcels differ by, as a side or a number, stands at their ends.
    """
    if measure_text(text, size) <= room:
        return text
    # A letter at a time off the start or the end, whichever is longer.
    start, end = text[: len(text) // 2], text[len(text) // 2 :]
    while len(start) + len(end) > 2 and measure_text(start + _DOTS + end, size) > room:
        start, end = (start[:-1], end) if len(start) > len(end) else (start, end[1:])
    return start + _DOTS + end


def _measure_letter(letter: str) -> float:
    # Of Chinese, Japanese and Korean a letter is as wide as it is high.
    if letter in "MWmw@%" or unicodedata.east_asian_width(letter) in "WF":
        return _WIDE
    return _CAPITAL if letter.isupper() else _SMALL
