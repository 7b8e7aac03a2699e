"""What the command line prints: tables for people, JSON for programs, lines, progress."""

import contextlib
import json
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from atlasinit.errors import AtlasWarning

if TYPE_CHECKING:
    import pandas as pd


def say(message: object) -> None:
    """Print one line for people, on standard error."""
    print(f"atlasinit: {' '.join(str(message).split())}", file=sys.stderr)


def show_warning(message: object, category: type[Warning], *_: object) -> None:
    """Print a warning as one line; takes the place of `warnings.showwarning`."""
    say(f"{'' if category is AtlasWarning else category.__name__ + ': '}{message}")


def print_json(value: object) -> None:
    """Print plain data for programs."""
    print(json.dumps(value))


def print_table(frame: "pd.DataFrame", *, as_json: bool) -> None:
    """Print rows, for people or as a list of objects."""
    if as_json:
        print(frame.to_json(orient="records"))
    elif frame.empty:
        print("Nothing found.")
    else:
        cells = frame.astype(str).map(lambda text: f"{text[:46]}…" if len(text) > 47 else text)
        widths = {c: max(len(c), cells[c].str.len().max()) for c in cells}
        for line in [list(cells.columns), *cells.values.tolist()]:
            columns = (text.ljust(width) for text, width in zip(line, widths.values(), strict=True))
            print("  ".join(columns).rstrip())


@contextlib.contextmanager
def progress(total: int) -> Iterator[Callable[[str, int, int], None]]:
    """Yield a function that moves a bar on to a compartment; no bar where nobody watches."""
    from tqdm import tqdm

    with tqdm(total=total, unit="compartment", leave=False, disable=None) as bar:

        def step(compartment: str, number: int, _: int) -> None:
            bar.set_description(f"smoothing {compartment}")
            bar.update(number - bar.n)

        yield step
