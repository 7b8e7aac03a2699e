"""Label tables in every form that atlases come with."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from atlasinit.core.labels import LabelTable
from atlasinit.errors import AtlasFileError, listing
from atlasinit.io.contents import LabelRow
from atlasinit.io.files import extension, reading
from atlasinit.io.tables.columns import (
    Rows,
    is_missing,
    is_whole_number,
    rows_of_columns,
    whole_number,
)
from atlasinit.io.tables.text import (
    decode,
    rows_of_json,
    rows_of_text,
    rows_of_xml,
)
from atlasinit.support.typing import PathLike
from atlasinit.support.writing import atomic_write

if TYPE_CHECKING:
    import pandas as pd


def read_table(path: PathLike, *, formats: Mapping[str, str] | None = None) -> Rows:
    """Read the label table of an atlas.

    Understands BIDS ``dseg.tsv`` and the tables of TemplateFlow, delimited tables
    (tab, comma or semicolon) with or without a header, ``key name`` lines,
    FreeSurfer colour tables, ITK-SNAP's label descriptions, Connectome Workbench's
    pairs of lines, FSL's atlas xml, and JSON (``{key: name}``, or with BIDS's
    ``LabelMap``). UTF-8 with or without a mark, UTF-16 with one, else Latin-1.

    Columns are found by name. A key column is taken as it is, except in FSL's xml of
    other atlases than labels, where index i is volume i (counted from 0) of the image of
    probabilities and value i + 1 of that of labels, so that its key is i + 1. A row with a
    left and a right key becomes one entry a side. Columns of no known meaning are kept in
    ``extra``; their missing values (empty, ``n/a``, or NA among numbers) are None.

    Parameters
    ----------
    path
        The file.
    formats
        Name of a column to ``"string"`` or ``"boolean"``, where its values are not to
        be taken as numbers although all of them look like numbers.

    Returns
    -------
    tuple of LabelRow
        In the order of the file.

    Raises
    ------
    AtlasFileError
        A file that is missing, or is not a label table.
    """
    with reading(path, "a label table") as found:
        data = found.read_bytes()
        kind = extension(found)
        if kind == ".xml":
            rows = rows_of_xml(data)
        elif kind == ".json":
            rows = rows_of_json(decode(data))
        else:
            rows = rows_of_text(decode(data), formats or {})
    if not rows:
        raise AtlasFileError(f"{path}: the label table has no entries.")
    return rows


def rows_from_table(labels: object) -> Rows | dict[str, Rows]:
    """Return the rows of what a user passes as ``labels``.

    Parameters
    ----------
    labels
        A path, a ``pandas.DataFrame`` (whose index, if it has a name, is a column too), a
        mapping from key to name, a sequence of `LabelRow`; or a mapping from compartment
        to any of these.

    Returns
    -------
    tuple of LabelRow, or dict from compartment to such tuples

    Raises
    ------
    TypeError
        Anything else.
    ValueError
        A table without a column of keys or of names, or keys that are not whole numbers.
    """
    if isinstance(labels, str | Path) or hasattr(labels, "__fspath__"):
        return read_table(labels)  # pyright: ignore[reportArgumentType]
    if hasattr(labels, "columns") and hasattr(labels, "itertuples"):
        return _frame(labels)
    if isinstance(labels, Mapping):
        if all(is_whole_number(key) for key in labels):
            return tuple(LabelRow(whole_number(key), str(name)) for key, name in labels.items())
        numbers = [key for key in labels if not isinstance(key, str)]
        if numbers:
            raise ValueError(f"`labels`: keys should be whole numbers, got {listing(numbers, 3)}.")
        parts = {str(c): rows_from_table(part) for c, part in labels.items()}
        nested = [c for c, part in parts.items() if isinstance(part, dict)]
        if nested:
            raise TypeError(f"`labels` should hold one table for each compartment; see {nested}.")
        return parts  # pyright: ignore[reportReturnType]
    if isinstance(labels, Sequence) and all(isinstance(row, LabelRow) for row in labels):
        return tuple(labels)
    raise TypeError(
        "`labels` should be a path, a pandas.DataFrame, a dict {key: name}, LabelRows, or a dict "
        f"{{compartment: one of these}}, got {type(labels).__name__}. A plain list of names has "
        "no keys: pass dict(enumerate(names, start=1))."
    )


def write_labels(labels: LabelTable, path: PathLike, *, index: Sequence[int]) -> None:
    """Write a BIDS ``dseg.tsv``: index, name, color, hemisphere and the further columns.

    Missing values and empty colours are ``n/a``.

    Parameters
    ----------
    labels
        One row a parcel.
    path
        The file.
    index
        What the file that the table belongs to uses for each parcel.

    Raises
    ------
    ValueError
        Names that would be read as none, or with a blank less.
    """
    lost = [repr(name) for name in labels["name"] if is_missing(name) or name != name.strip()]
    if lost:
        raise ValueError(
            "`path`: a table cannot hold names that mean a missing value or have blanks around "
            f"them, got {listing(lost)}; rename them, or save as .npz."
        )
    further = [c for c in labels.columns if c not in ("compartment", "key")]
    _check_columns(labels, further)
    with Path(path).open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, delimiter="\t", lineterminator="\n")
        writer.writerow(["index", *further])
        for i, key in enumerate(index):
            cells = (labels[column][i] for column in further)
            empty = ("color", "hemisphere")
            texts = [
                "n/a" if cell is None or (cell == "" and column in empty) else cell
                for column, cell in zip(further, cells, strict=True)
            ]
            writer.writerow([key, *texts])


def _check_columns(labels: LabelTable, columns: Sequence[str]) -> None:
    """Refuse columns whose names `read_table` takes for something else."""
    records = [[1, *cells] for cells in zip(*(labels[c] for c in columns), strict=True)]
    read = rows_of_columns(["index", *columns], records)
    kept = {"name", "color", "hemisphere", *(read[0].extra if read else columns)}
    lost = [c for c in columns if c not in kept]
    if lost:
        raise ValueError(
            f"`path`: a table cannot hold the columns {listing(map(repr, lost))}, whose names mean "
            "keys, colours or networks to those who read it; rename them, or save as .npz."
        )


def write_table(frame: "pd.DataFrame", path: PathLike, *, overwrite: bool = False) -> Path:
    """Write a ``.tsv`` or ``.csv`` table, missing values as ``n/a``, and return its path.

    The file appears once it is whole.

    Raises
    ------
    ValueError
        Another extension.
    AtlasFileError
        An existing file without `overwrite`, or a folder that does not exist or cannot
        be written.
    """
    separator = separator_of(path)
    with atomic_write(path, overwrite=overwrite) as temporary:
        frame.to_csv(temporary, sep=separator, index=False, na_rep="n/a")
    return Path(path).expanduser()


def separator_of(path: PathLike) -> str:
    """Return what lies between two cells of a table in the file `path`.

    Raises
    ------
    ValueError
        Another extension than those of `write_table`.
    """
    separator = {".tsv": "\t", ".csv": ","}.get(extension(path))
    if separator is None:
        raise ValueError(f"`path` should end in .tsv or .csv, got {path}.")
    return separator


def _frame(frame: Any) -> Rows:
    columns = [str(name) for name in frame.columns]
    if frame.index.name is not None and str(frame.index.name) not in columns:
        frame = frame.reset_index()
        columns = [str(name) for name in frame.columns]
    # None in place of every kind of missing value that pandas knows.
    plain = frame.astype(object).where(frame.notna(), None)
    return rows_of_columns(columns, [list(row) for row in plain.itertuples(index=False, name=None)])
