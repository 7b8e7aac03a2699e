"""Values of parcels in tables, as of `atlasinit.project`, `measure` and `compare`."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from atlasinit.errors import format_list
from atlasinit.inspection.findings import Notes, Sections
from atlasinit.inspection.titles import Titles
from atlasinit.io.files import reading
from atlasinit.io.input import Input
from atlasinit.io.tables.parcel_values import read_values, separator_of
from atlasinit.io.tables.titles import normalise_title

KIND = "values of parcels"
_SHOWN = 5
_NAMING = ("name", "parcel", "region", "label", "roi", "compartment", "unnamed_0")
"""Plain titles of a first column that says whose the values are."""


def is_table(source: Input) -> bool:
    """Whether a table has names, and numbers beside them."""
    titles = Titles.of(source)
    return titles is not None and len(titles.titles) > 1 and bool(titles.rows)


def holds_fractions(source: Input) -> bool:
    """Whether a table is one of names and of numbers written with decimals, as no keys are."""
    titles = Titles.of(source)
    if titles is None or len(titles.titles) != 2 or titles.plain[0] not in _NAMING:
        return False
    return any("." in row[1] for row in titles.rows if len(row) > 1)


def check_values(path: Path, notes: Notes) -> Sections | None:
    """Return what a table of values holds, after noting what is odd; None of another table."""
    import pandas as pd

    with reading(path, "a table of values") as found:
        cells: Any = pd.read_csv(found, sep=separator_of(path), dtype=str, keep_default_na=False)
    plain = [normalise_title(title) for title in cells.columns]
    if plain[0] not in _NAMING:
        return None
    is_text = [_is_text(cells[title]) for title in cells.columns]
    numeric = [t for t, text in zip(cells.columns[1:], is_text[1:], strict=True) if not text]
    # Names in the first column, or beside the compartments.
    if not is_text[0] or not numeric:
        return None
    frame: Any = read_values(path, column=numeric)
    numbers = frame[[t for t in numeric if t in frame.columns]].to_numpy(np.float64)
    names = cells["name" if "name" in cells.columns else cells.columns[0]].tolist()
    note_names(names, notes)
    infinite = int(np.isinf(numbers).sum())
    if infinite:
        notes.add("warning", "values", f"infinity at {infinite} values")
    missing = int(np.isnan(numbers).sum())
    if missing:
        notes.add("note", "values", f"{missing} of {numbers.size} values are missing")
    read = {
        "as": KIND,
        "parcels": len(names),
        "names": names,
        "columns": numeric,
        **describe_range(numbers),
    }
    return {}, read


def describe_maps(
    names: Sequence[str], values: Float[np.ndarray, "maps parcels"], notes: Notes
) -> Sections:
    """Return what values of parcels without a table hold, after noting what is odd."""
    note_names(names, notes)
    lost = np.isnan(values).all(axis=0)
    if lost.any():
        told = format_list((names[i] for i in np.flatnonzero(lost).tolist()), _SHOWN)
        notes.add("note", "values", f"parcels without values, NaN throughout: {told}")
    infinite = int(np.isinf(values).sum())
    if infinite:
        notes.add("warning", "values", f"infinity at {infinite} values")
    read = {"as": KIND, "maps": len(values), "parcels": len(names), "names": list(names)}
    return {}, {**read, **describe_range(values)}


def note_names(names: Sequence[str], notes: Notes) -> None:
    """Note names that several parcels have."""
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        told = format_list(map(repr, twice), _SHOWN)
        notes.add("warning", "names", f"several parcels have one name: {told}")


def _is_text(column: Any) -> bool:
    cells = [c.strip() for c in column]
    try:
        [float(c) for c in cells if c not in ("", "n/a", "NA")]
    except ValueError:
        return True
    return False


def describe_range(values: np.ndarray) -> dict[str, Any]:
    """Return the least and the largest of values, for those that are read."""
    finite = values[np.isfinite(values)]
    return {"range": [float(finite.min()), float(finite.max())]} if finite.size else {}
