"""Values of parcels in tables: read with their names, and written with them."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from atlasinit.errors import (
    ArgumentError,
    ArgumentTypeError,
    ContentError,
    Passing,
    format_list,
    nearest,
)
from atlasinit.io.files import extension, reading
from atlasinit.io.tables.titles import is_vague, key_rank, normalise_title
from atlasinit.support.files import expand
from atlasinit.support.typing import PathLike
from atlasinit.support.writing import atomic_write

if TYPE_CHECKING:
    import pandas as pd

_TELLING = ("name", "key", "index", "compartment")
_LABELS = (*_TELLING, "color", "hemisphere")
_NUMBERING = ("value", "number", "no", "intensity", "component")
"""Titles of keys, in tables of labels, that are as likely those of values of parcels."""
_MISSING = ("", "n/a", "N/A", "NA", "NaN", "nan", "NAN", "<NA>")


def read_values(path: PathLike, *, column: Sequence[str] = ()) -> "pd.DataFrame":
    """Return a table of values of parcels, as `atlasinit.save_values` takes it.

    Parcels are told by a column ``name``, ``key`` (or ``index``); by the first, if it holds
    text, whole numbers under a title of keys (as ``label`` or ``ROI``), or has no title, as the
    index that pandas and R write (of which numbers from 0 tell nothing); or the columns are
    parcels, as ``atlasinit project`` writes them. Empty cells, ``n/a`` and NaN are missing values.

    Parameters
    ----------
    path
        ``.tsv`` or ``.csv``.
    column
        The columns of values to take; all that there are unless stated.

    Raises
    ------
    ValueError
        Another extension, a `column` that is not there, columns of text.
    AtlasFileError
        A file that is missing or no table.
    """
    import pandas as pd

    separator = separator_of(path)
    with reading(path, "a table of values") as found:
        # As text: "NA" may be the name of a parcel, and is a missing value elsewhere.
        frame: Any = pd.read_csv(found, sep=separator, dtype=str, keep_default_na=False)
    frame = frame.map(str.strip).rename(columns=lambda title: str(title).strip())
    # Name and Index, where no column is called name or index.
    capitals = {t: t.lower() for t in frame.columns if t.lower() in {*_LABELS} - {*frame.columns}}
    frame = _by_first(frame.rename(columns=capitals))
    telling = [title for title in frame.columns if title in _TELLING]
    if column:
        # A str is a sequence too, whose letters would become the columns.
        asked = [column] if isinstance(column, str) else dict.fromkeys(column)
        column = [title for title in asked if title not in telling]
        unknown = [title for title in column if title not in frame.columns]
        if unknown:
            raise ArgumentError(
                "column",
                f": {Path(path).name} has no column {unknown[0]!r}",
                nearest(unknown[0], frame.columns) or f"it has {format_list(frame.columns)}",
            )
        frame = frame[[*telling, *column]]
    text = []
    for title in frame.columns:
        numbers = _numbers(frame[title]) if title not in ("name", "compartment") else None
        if numbers is not None:
            frame[title] = numbers
        elif title not in _LABELS:
            text.append(title)
    if text:
        raise ArgumentError(
            "values",
            f": {Path(path).name} has columns of text: {format_list(map(repr, text), 5)}",
            "choose those of numbers by " + Passing(column=...),
        )
    return frame


def _by_first(frame: Any) -> Any:
    """Return a table by the names or keys in its first column, where that holds such."""
    import pandas as pd

    # Programs that end each line in a mark write a last column of nothing.
    further = [c for c in frame.columns[1:] if c.startswith("Unnamed: ")]
    frame = frame.drop(columns=[c for c in further if (frame[c] == "").all()])
    # R writes the names of rows without a title, one cell more than there are titles.
    written = not isinstance(frame.index, pd.RangeIndex)
    title = "" if written else frame.columns[0]
    # pandas' `to_csv` writes an index without a title, which `read_csv` calls this.
    nameless = written or title == "Unnamed: 0"
    first = frame.index.to_series() if written else frame.iloc[:, 0]
    if not nameless and (len(frame.columns) < 2 or any(t in _TELLING for t in frame.columns)):
        return frame
    numbers = _numbers(first)
    if not (nameless or numbers is None or _are_keys(title, numbers)):
        return frame
    rest = frame.reset_index(drop=True) if written else frame.iloc[:, 1:]
    if any(other in _TELLING for other in rest.columns):
        return rest
    # Numbers from 0 are those that pandas gives rows, which tell no parcels.
    index = pd.Index(first if numbers is None else numbers)
    return rest.set_axis(index.rename(None if nameless else title))


def _are_keys(title: str, numbers: Any) -> bool:
    """Whether a column of numbers is one of keys: by its title, and as no two are the same."""
    plain = normalise_title(title)
    rank = key_rank(plain)
    named = rank is not None and not is_vague(rank) and plain not in _NUMBERING
    return named and numbers.is_unique and bool((numbers % 1 == 0).all())


def read_square(path: Path) -> "pd.DataFrame":
    """Return a table of numbers whose first row and first column are names.

    Raises
    ------
    ContentError
        Rows of other lengths than the first, cells that are no numbers.
    """
    import pandas as pd

    if (quick := _read_numbers(path)) is not None:
        return quick
    # Without a header, as pandas would number names that occur twice.
    cells: Any = pd.read_csv(
        path, sep=separator_of(path), header=None, dtype=str, keep_default_na=False
    ).map(str.strip)
    names, columns = cells.iloc[1:, 0].tolist(), cells.iloc[0, 1:].tolist()
    found = [_numbers(cells.iloc[1:, i + 1]) for i in range(len(columns))]
    text = [repr(name) for name, own in zip(columns, found, strict=True) if own is None]
    if text:
        raise ContentError(f"its columns {format_list(text, 5)} hold text")
    matrix = np.array(found, np.float64).reshape(len(columns), len(names)).T
    return pd.DataFrame(matrix, names, columns)


def _numbers(cells: Any) -> Any:
    """Return a column as numbers, None where it holds anything else."""
    import pandas as pd

    try:
        found: Any = pd.to_numeric(cells.where(~cells.isin(_MISSING), None))
        # Whole numbers beyond 64 bits, which pandas keeps as Python's.
        return found.astype(np.float64) if found.dtype.kind == "O" else found
    except (ValueError, TypeError):
        return None


def _read_numbers(path: Path) -> "pd.DataFrame | None":
    """Return a square table of plain numbers, a tenth of the time that cells of text take.

    None where that fails, of which the slower way tells the reason.
    """
    import pandas as pd

    separator = separator_of(path)
    with path.open(encoding="utf-8-sig", newline="") as file:
        names = [name.strip() for name in next(csv.reader(file, delimiter=separator), [])][1:]
    columns = range(1, len(names) + 1)
    try:
        found: Any = pd.read_csv(
            path,
            sep=separator,
            header=None,
            skiprows=1,
            # "NA" may be the name of a row.
            dtype={0: str, **dict.fromkeys(columns, np.float64)},
            na_values=dict.fromkeys(columns, _MISSING),
            keep_default_na=False,
        )
    except (ValueError, pd.errors.ParserError):
        return None
    if found.shape[1] != len(names) + 1:
        return None
    rows = found.iloc[:, 0].str.strip().tolist()
    return pd.DataFrame(found.iloc[:, 1:].to_numpy(np.float64), rows, names)


_COMPARTMENTS = ("cortex_L", "cortex_R", "subcortex", "volume")


def write_table(
    frame: "pd.DataFrame | pd.Series", path: PathLike, *, overwrite: bool = False
) -> Path:
    """Write a ``.tsv`` or ``.csv`` table, missing values as ``n/a``, and return its path.

    An index other than the numbers from 0 is the first column, or several, under its own name,
    else under ``name`` if it is text, ``index`` if not. The file appears once it is whole.

    Parameters
    ----------
    frame
        A DataFrame, or a Series, whose column is called by its name or ``value``.
    path
        The file.
    overwrite
        Whether an existing file is replaced.

    Raises
    ------
    ValueError
        Another extension, or an index called as a column is.
    TypeError
        What is no table of pandas.
    AtlasFileError
        An existing file without `overwrite`, or a folder that does not exist or cannot
        be written.
    """
    import pandas as pd

    separator = separator_of(path)
    if isinstance(frame, pd.Series):
        frame = frame.to_frame("value" if frame.name is None else frame.name)
    if not isinstance(frame, pd.DataFrame):
        raise ArgumentTypeError(
            "frame", f"should be a pandas DataFrame or Series, got {type(frame).__name__}"
        )
    titles = _index_titles(frame.index)
    twice = [title for title in titles if title in frame.columns]
    if twice:
        raise ArgumentError(
            "frame",
            f": its index and a column are both called {twice[0]!r}",
            'rename one, as by `frame.rename_axis("parcel")`',
        )
    with atomic_write(path, overwrite=overwrite) as temporary:
        frame.to_csv(
            temporary,
            sep=separator,
            index=bool(titles),
            index_label=titles or None,
            na_rep="n/a",
        )
    return expand(path)


def _index_titles(index: "pd.Index") -> list[str]:
    """Return what the columns of an index are called, none for the numbers from 0."""
    import pandas as pd

    if index.nlevels == 2 and not any(index.names) and _are_parcels(index):
        return ["compartment", "key"]
    if index.nlevels > 1:
        return [f"level-{i}" if name is None else str(name) for i, name in enumerate(index.names)]
    if index.name is not None:
        return [str(index.name)]
    if index.dtype.kind in "iu" and index.equals(pd.RangeIndex(len(index))):
        return []
    return ["name" if all(isinstance(label, str) for label in index) else "index"]


def _are_parcels(index: "pd.Index") -> bool:
    """Whether pairs are (compartment, key), which tell parcels without names."""
    return index.get_level_values(1).dtype.kind in "iu" and all(
        isinstance(home, str) and set(home.split("+")) <= set(_COMPARTMENTS)
        for home in index.get_level_values(0)
    )


def separator_of(path: PathLike) -> str:
    """Return what lies between two cells of a table in the file `path`.

    Raises
    ------
    ValueError
        Another extension than those of `write_table`.
    """
    separator = {".tsv": "\t", ".csv": ","}.get(extension(path))
    if separator is None:
        raise ArgumentError("path", f"should end in .tsv or .csv, got {Path(path).name}")
    return separator
