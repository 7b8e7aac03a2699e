"""Label tables in every form that atlases come with."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from atlasinit.core.labels import LabelTable
from atlasinit.errors import (
    ArgumentError,
    ArgumentTypeError,
    AtlasFileError,
    ContentError,
    format_list,
)
from atlasinit.io.contents import LabelRow
from atlasinit.io.files import reading
from atlasinit.io.tables.afni import is_niml
from atlasinit.io.tables.cells import is_missing
from atlasinit.io.tables.columns import Rows, rows_of_columns
from atlasinit.io.tables.excel import is_zip, rows_of_workbook
from atlasinit.io.tables.objects import (
    NAMES_ONLY,
    NUMBER_THEM,
    rows_of_json,
    rows_of_list,
    rows_of_mapping,
)
from atlasinit.io.tables.text import decode, rows_of_text
from atlasinit.io.tables.xml import rows_of_xml
from atlasinit.support.typing import PathLike


def read_table(path: PathLike, *, formats: Mapping[str, str] | None = None) -> Rows:
    """Read the label table of an atlas.

    Understands BIDS ``dseg.tsv`` and the tables of TemplateFlow, tables delimited by
    tab, comma or semicolon and lists between blanks, with or without a first line
    that names the columns; the colour tables of FreeSurfer, FSLeyes and MRtrix, ITK-SNAP's label
    descriptions, Connectome Workbench's pairs of lines, AFNI's label tables; the xml of FSL,
    SPM, CAT12 and the Juelich atlas; JSON (``{key: name}``, objects, or BIDS's ``LabelMap``);
    and ``.xlsx`` workbooks where openpyxl is installed. UTF-8 with or without a mark, UTF-16
    with one, else Latin-1.

    Columns are found by name. A key column is taken as it is, except in FSL's xml of
    other atlases than labels, where index i is volume i (counted from 0) of the image of
    probabilities and value i + 1 of that of labels, so that its key is i + 1. A row with a
    left and a right key becomes one entry per side. Columns of no meaning of their own are kept in
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
        rows = rows_of_bytes(found.read_bytes(), formats or {})
    if not rows:
        raise AtlasFileError(path, "the label table has no entries")
    return rows


def rows_of_bytes(data: bytes, formats: Mapping[str, str]) -> Rows:
    """Return the rows of a file's content, whose first bytes say what it is, as `read_table`.

    Raises
    ------
    ContentError
        What is no label table.
    """
    if is_zip(data):
        return rows_of_workbook(data)
    text = decode(data)
    # Decoded text has no zero bytes; 1f 8b begins a gzip file.
    if "\0" in text or data.startswith(b"\x1f\x8b"):
        if data.startswith(b"\x1f\x8b"):
            raise ContentError("it is compressed", "unpack it")
        raise ContentError("it is binary, not text")
    start = text.lstrip()
    if start.startswith("<") and not is_niml(text):
        return rows_of_xml(data)
    if start.startswith(("{", "[")):
        return rows_of_json(text)
    return rows_of_text(text, formats)


def rows_from_table(labels: object, *, argument: str = "labels") -> Rows | dict[str, Rows]:
    """Return the rows of what a user passes as ``labels``.

    Parameters
    ----------
    labels
        A path, a ``pandas.DataFrame`` (whose index, if it has a name, is a column too), a
        mapping from key to name, to ``(name, colour)`` or to an object of fields, or from name
        to key; a sequence of `LabelRow`, of objects or of ``(key, name)`` pairs; or a mapping
        from compartment to any of these.
    argument
        What it is called, for the errors.

    Returns
    -------
    tuple of LabelRow, or dict from compartment to such tuples

    Raises
    ------
    ArgumentTypeError
        Anything else.
    ArgumentError
        A table without a column of keys or of names, or keys that are not whole numbers.
    """
    if isinstance(labels, str | Path) or hasattr(labels, "__fspath__"):
        return read_table(labels)  # pyright: ignore[reportArgumentType]
    rows = None
    try:
        if hasattr(labels, "columns") and hasattr(labels, "itertuples"):
            rows = _rows_of_frame(labels)
        elif isinstance(labels, Mapping):
            rows = rows_of_mapping(labels)
        elif isinstance(labels, Sequence) and all(isinstance(row, LabelRow) for row in labels):
            rows = tuple(labels)
        elif isinstance(labels, list | tuple):
            rows = rows_of_list(labels)
    except ContentError as error:
        raise error.of_argument(argument) from error
    if rows is not None:
        return rows
    if isinstance(labels, Mapping):
        return _rows_by_compartment(labels, argument)
    names = isinstance(labels, Sequence) and all(isinstance(name, str) for name in labels)
    raise ArgumentTypeError(
        argument,
        "should be a path, a pandas.DataFrame, a dict {key: name}, LabelRows, or a dict "
        f"{{compartment: one of these}}, got {type(labels).__name__}"
        + (f", which {NAMES_ONLY}" if names else ""),
        NUMBER_THEM if names else "",
    )


def rows_of_compartment(found: Rows | dict[str, Rows] | None, compartment: str) -> Rows | None:
    """Return the rows for one compartment of what `rows_from_table` found, None for none."""
    # A mapping has a table for each compartment; any other table is for all.
    return found if isinstance(found, tuple) else (found or {}).get(compartment)


def _rows_by_compartment(labels: Mapping[Any, Any], argument: str) -> dict[str, Rows]:
    numbers = [key for key in labels if not isinstance(key, str)]
    if numbers:
        raise ArgumentError(
            argument, f": keys should be whole numbers, got {format_list(numbers, 3)}"
        )
    parts = {
        str(c): rows_from_table(part, argument=f"{argument}[{c!r}]") for c, part in labels.items()
    }
    nested = [c for c, part in parts.items() if isinstance(part, dict)]
    if nested:
        raise ArgumentTypeError(
            argument, "should hold one table for each compartment", f"see {nested}"
        )
    return parts  # pyright: ignore[reportReturnType]


def write_labels(labels: LabelTable, path: PathLike, *, index: Sequence[int]) -> None:
    """Write a BIDS ``dseg.tsv``: index, name, color, hemisphere and the further columns.

    Missing values and empty colours are ``n/a``; without any colour there is no such column.

    Parameters
    ----------
    labels
        One row per parcel.
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
        raise ArgumentError(
            "path",
            ": a table cannot hold names that mean a missing value or have blanks around them, "
            f"got {format_list(lost)}",
            "rename them, or save as .npz",
        )
    # BIDS has colours or leaves them out; a column without any stops programs that read them.
    colors = any(labels["color"])
    further = [
        c for c in labels.columns if c not in ("compartment", "key", "" if colors else "color")
    ]
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
    # Read again: a column that is taken for keys, colours or networks is none of the further then.
    records = [[1, *cells] for cells in zip(*(labels[c] for c in columns), strict=True)]
    try:
        read = rows_of_columns(["index", *columns], records)
    except ContentError as error:
        raise error.of_argument("path") from error
    kept = {"name", "color", "hemisphere", *(read[0].extra if read else columns)}
    lost = [c for c in columns if c not in kept]
    if lost:
        raise ArgumentError(
            "path",
            f": a table cannot hold the columns {format_list(map(repr, lost))}, whose names mean "
            "keys, colours or networks to those who read it",
            "rename them, or save as .npz",
        )


def _rows_of_frame(frame: Any) -> Rows:
    columns = [str(name) for name in frame.columns]
    if frame.index.name is not None and str(frame.index.name) not in columns:
        frame = frame.reset_index()
        columns = [str(name) for name in frame.columns]
    # None in place of every kind of missing value that pandas knows.
    plain = frame.astype(object).where(frame.notna(), None)
    return rows_of_columns(columns, [list(row) for row in plain.itertuples(index=False, name=None)])
