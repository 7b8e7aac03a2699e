"""The titles and first rows of a table in text, by which kinds of tables are told apart."""

import csv
import dataclasses
import io
import itertools
from typing import Any

from atlasinit.io.files import extension
from atlasinit.io.input import Input
from atlasinit.io.tables.cells import is_number
from atlasinit.io.tables.titles import key_rank, name_rank, normalise_title

_SEPARATORS = {".tsv": "\t", ".csv": ","}
_MISSING = ("", "n/a", "nan")
_LOOK = 20
"""Rows that are looked at."""


@dataclasses.dataclass(frozen=True)
class Titles:
    """The beginning of a table.

    Parameters
    ----------
    titles
        The cells of its first line.
    rows
        The cells of a few lines behind it.
    """

    titles: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    @classmethod
    def of(cls, source: Input) -> "Titles | None":
        """Return the beginning of a file, None where it is no such text."""
        separator = _SEPARATORS.get(extension(source.name))
        # Null bytes are of UTF-16, or of no text.
        if separator is None or source.is_packed or b"\0" in source.head:
            return None
        stream: Any = source.stream()
        text = io.TextIOWrapper(stream, "utf-8-sig", errors="replace", newline="")
        lines = csv.reader(text, delimiter=separator)
        try:
            first, *rows = itertools.islice(lines, 1 + _LOOK)
        except (ValueError, csv.Error):  # no line, or a cell without an end
            return None
        finally:
            # The file stays open for its reader.
            text.detach()
        strip = lambda row: tuple(cell.strip() for cell in row)  # noqa: E731
        found = strip(first)
        return cls(found, tuple(map(strip, filter(any, rows)))) if any(found) else None

    @property
    def on_both_sides(self) -> bool:
        """Whether rows are called as columns are."""
        named = [row[0] for row in self.rows[:2]]
        # Of series the first cell of a row is a number, as a title may be.
        own = normalise_title(self.titles[0]) in ("", "name")
        return bool(named) and {*named} <= {*self.titles[1:]} and (own or not _are_numbers(named))

    @property
    def is_titled(self) -> bool:
        """Whether each cell of the first line has text."""
        return not any(map(is_number, self.titles)) and "" not in self.titles

    @property
    def is_numeric(self) -> bool:
        """Whether the rows behind it hold numbers alone, each one a title."""
        cells = itertools.chain.from_iterable(self.rows)
        whole = all(len(row) == len(self.titles) for row in self.rows)
        return bool(self.rows) and whole and _are_numbers(cells)

    @property
    def plain(self) -> tuple[str, ...]:
        """The titles as `normalise_title` has them."""
        return tuple(map(normalise_title, self.titles))

    @property
    def has_keys(self) -> bool:
        """Whether the first column is one of keys or of names, by its title."""
        return key_rank(self.plain[0]) is not None or name_rank(self.plain[0]) is not None


def _are_numbers(cells: "itertools.chain[str] | list[str]") -> bool:
    return all(cell.lower() in _MISSING or is_number(cell) for cell in cells)


def count_rows(source: Input) -> int:
    """Return the lines of a text behind the first that hold anything."""
    return sum(bool(line.strip()) for line in source.stream()) - 1
