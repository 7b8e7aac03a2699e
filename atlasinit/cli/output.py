"""What the command line prints: tables for people, JSON for programs, lines, progress."""

import contextlib
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence

from atlasinit.errors import AtlasWarning


def say(message: object) -> None:
    """Print one line for people, on standard error."""
    print(f"atlasinit: {' '.join(str(message).split())}", file=sys.stderr)


def show_warning(message: object, category: type[Warning], *_: object) -> None:
    """Print a warning as one line; takes the place of `warnings.showwarning`."""
    say(f"{'' if category is AtlasWarning else category.__name__ + ': '}{message}")


def print_json(value: object) -> None:
    """Print plain data for programs."""
    print(json.dumps(value))


def print_table(rows: Sequence[Mapping[str, object]], columns: Sequence[str]) -> None:
    """Print columns of rows under their titles: fitted to a terminal, whole in a pipe."""
    cells = [[_text(row[column]) for column in columns] for row in rows]
    if sys.stdout.isatty():
        _print_fitted(cells, columns)
        return
    widths = [max(map(len, column)) for column in zip(columns, *cells, strict=True)]
    for line in [columns, *cells]:
        print("  ".join(text.ljust(w) for text, w in zip(line, widths, strict=True)).rstrip())


def _print_fitted(cells: Sequence[Sequence[str]], columns: Sequence[str]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, no_wrap=column != "parcels", overflow="ellipsis")
    for line in cells:
        table.add_row(*(Text(text) for text in line))
    Console(highlight=False).print(table)


def _text(value: object) -> str:
    return "yes" if value is True else "" if value is False or value is None else str(value)


@contextlib.contextmanager
def progress(total: int) -> Iterator[Callable[[str, int, int], None]]:
    """Yield a function that moves a bar on to a compartment; no bar where nobody watches."""
    from tqdm import tqdm

    with tqdm(total=total, unit="compartment", leave=False, disable=None) as bar:

        def step(compartment: str, number: int, _: int) -> None:
            bar.set_description(f"smoothing {compartment}")
            bar.update(number - bar.n)

        yield step
