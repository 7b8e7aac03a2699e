"""What the command line prints.

Standard output holds what was asked for: a table for people, JSON for programs, or the
files written, one per line. All that is said about it goes to standard error.
"""

import contextlib
import json
import math
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from atlasinit.errors import format_count

if TYPE_CHECKING:
    from atlasinit.core.atlas import Atlas

_LEAST = 16
"""Characters that the last column is cut to before it is left out."""


def say(message: object) -> None:
    """Print one line for people, on standard error."""
    # On one line whatever the message, so that a program can tell one from the next.
    print(f"atlasinit: {' '.join(str(message).split())}", file=sys.stderr)


def say_terms(name: str, licence: str, citation: str) -> None:
    """Tell an atlas's licence and citation, and whether the terms need a look."""
    from atlasinit.catalogue.licences import terms

    marks = {
        "non-commercial": "NON-COMMERCIAL. ",
        "unknown": "TERMS UNKNOWN, read them at the source. ",
    }
    mark = marks.get(terms(licence), "")
    cite = f" Cite {citation}." if citation else ""
    say(f"{name}: {mark}Licence: {licence or 'not stated'}.{cite}")


def description(atlas: "Atlas") -> dict[str, Any]:
    """Return what an atlas is, without its labels, as plain data."""
    from atlasinit.catalogue.licences import terms

    return {
        "name": atlas.name,
        "space": atlas.space,
        "parcels": atlas.n_parcels,
        "locations": atlas.n_locations,
        "compartments": {
            c: {
                "parcels": maps.n_parcels,
                "locations": maps.n_locations,
                "maps": type(maps).__name__,
                "geometry": repr(atlas.geometry[c]),
            }
            for c, maps in atlas.maps.items()
        },
        "terms": terms(atlas.provenance.licence),
        "provenance": atlas.provenance.to_dict(),
    }


def list_parcels(atlas: "Atlas") -> tuple[tuple[str, ...], list[dict[str, Any]]]:
    """Return the columns and rows of `Atlas.labels` as plain data, without pandas.

    That would take longer to import than all else.
    """
    from atlasinit.core.labels import DERIVED, REQUIRED

    table = atlas.table
    counts = atlas.header.add_rows(maps.counts() for maps in atlas.maps.values()).tolist()
    derived = zip(DERIVED, (counts, [count == 0 for count in counts]), strict=True)
    cells: dict[str, Sequence[Any]] = {c: table[c] for c in REQUIRED}
    cells |= {**dict(derived), **{c: table[c] for c in table.columns if c not in REQUIRED}}
    rows = zip(*cells.values(), strict=True)
    return tuple(cells), [dict(zip(cells, map(_to_plain, row), strict=True)) for row in rows]


def _to_plain(value: object) -> object:
    # JSON has no infinity; NaN is None in every table.
    return None if isinstance(value, float) and not math.isfinite(value) else value


def print_json(value: object) -> None:
    """Print plain data for programs."""
    print(json.dumps(value))


def print_written(files: Iterable[Path], *, as_json: bool, **facts: object) -> None:
    """Print the files that a command writes, and as JSON the `facts` beside them."""
    if as_json:
        print_json({"files": [str(path) for path in files], **facts})
        return
    for path in files:
        print(path, flush=True)  # those who watch see how far it is


def print_saved(atlas: "Atlas", files: Iterable[Path], *, as_json: bool) -> None:
    """Print the files that an atlas was saved in, and tell what it is and its terms."""
    print_written(files, as_json=as_json, **({"atlas": description(atlas)} if as_json else {}))
    if not as_json:
        parcels = format_count(atlas.n_parcels, "parcel")
        locations = format_count(atlas.n_locations, "location")
        say(f"{atlas.name}: {parcels}, {locations}, space {atlas.space}")
        say_terms(atlas.name, atlas.provenance.licence, atlas.provenance.citation)


def print_table(
    rows: Sequence[Mapping[str, object]], columns: Sequence[str], *, most: int | None = None
) -> None:
    """Print columns of rows under their titles: fitted to a terminal, whole in a pipe.

    Columns without any content are left out. In a terminal so are those that it has
    no room for, the last ones first, and rows after the first `most`; a line says so.
    """
    filled = [c for c in columns if any(_text(row[c]) for row in rows)]
    cells = {c: [c, *(_text(row[c]) for row in rows)] for c in filled}
    left_out: list[str] = []
    if sys.stdout.isatty():
        left_out = _fit(cells, shutil.get_terminal_size().columns)
        if most is not None and most < len(rows):
            cells = {column: texts[: most + 1] for column, texts in cells.items()}
            left_out.append(f"{len(rows) - most} rows (see --all)")
    # Numbers stand under each other's last digit, text under each other's first letter.
    widths = [max(map(len, texts)) for texts in cells.values()]
    right = [all(isinstance(row[c], int) for row in rows) for c in cells]
    for number, line in enumerate(zip(*cells.values(), strict=True)):
        texts = [
            text.rjust(width) if is_number else text.ljust(width)
            for text, width, is_number in zip(line, widths, right, strict=True)
        ]
        shown = "  ".join(texts).rstrip()
        print(_bold(shown) if number == 0 else shown)
    if left_out:
        say(f"Not shown: {', '.join(left_out)}; a pipe or --json shows all.")


def _fit(cells: dict[str, list[str]], width: int) -> list[str]:
    """Cut or leave out the last columns until all fit `width`; return those left out."""
    left_out: list[str] = []
    while cells:
        # The last column has what the others leave, each with two blanks behind it.
        *others, last = cells
        room = width - sum(max(map(len, cells[column])) + 2 for column in others)
        # The first column is shown in any case, cut to the width.
        if room >= min(_LEAST, max(map(len, cells[last]))) or not others:
            cells[last] = [t if len(t) <= room else f"{t[: room - 1]}…" for t in cells[last]]
            break
        del cells[last]
        left_out.insert(0, last)
    return left_out


def _text(value: object) -> str:
    return "yes" if value is True else "" if value is False or value is None else str(value)


def print_heading(title: str, *, first: bool = False) -> None:
    """Print the title of a section, below an empty line unless it is the first."""
    print(("" if first else "\n") + _bold(title))


def _bold(text: str) -> str:
    """Return `text` in bold in a terminal, unless its user objects (https://no-color.org)."""
    wanted = not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    return f"\033[1m{text}\033[0m" if wanted and sys.stdout.isatty() else text


@contextlib.contextmanager
def progress(total: int) -> Iterator[Callable[[str, int, int], None]]:
    """Yield a function that moves a bar on to a compartment; no bar where nobody watches."""
    from tqdm import tqdm

    with tqdm(total=total, unit="compartment", leave=False, disable=None) as bar:
        # `smooth` tells which compartment begins, from 0: as many are done.
        def step(compartment: str, number: int, _: int) -> None:
            bar.set_description(f"smoothing {compartment}")
            bar.update(number - bar.n)

        yield step


@contextlib.contextmanager
def count_sweeps() -> Iterator[Callable[[str, int, int], None]]:
    """Yield a function that moves a bar on to a number of sweeps; no bar where nobody watches."""
    from tqdm import tqdm

    with tqdm(unit="sweep", leave=False, disable=None) as bar:
        # Compartments follow each other, and fits to halves the fit to all: each from 0.
        def step(compartment: str, number: int, most: int) -> None:
            bar.set_description(f"refining {compartment}")
            bar.total, bar.n = most, number
            bar.refresh()

        yield step
