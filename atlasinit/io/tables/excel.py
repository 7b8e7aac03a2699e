"""Label tables in workbooks of Excel."""

import io
import zipfile
from typing import Any

from atlasinit.errors import ContentError
from atlasinit.io.tables.cells import is_number
from atlasinit.io.tables.columns import Rows, rows_of_columns
from atlasinit.io.tables.headless import rows_of_cells
from atlasinit.io.tables.titles import names_columns

_INSTEAD = "save the sheet as .tsv or .csv"
_LARGEST = 2**28
"""Bytes that a workbook may unpack to: a label table of 100,000 rows has a tenth."""
_CELLS = 10**7


def is_zip(data: bytes) -> bool:
    """Whether bytes are a zip archive, as workbooks are."""
    return data.startswith(b"PK\x03\x04")


def rows_of_workbook(data: bytes) -> Rows:
    """Return the rows of the one sheet of an ``.xlsx`` workbook that is a label table.

    Raises
    ------
    ContentError
        A zip archive that is no workbook, a workbook of which no or several sheets are label
        tables, or no package openpyxl to read it with.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = archive.namelist()
            unpacked = sum(member.file_size for member in archive.infolist())
    except zipfile.BadZipFile as error:
        raise ContentError("it is a damaged workbook or zip archive", _INSTEAD) from error
    if "xl/workbook.xml" not in members:
        raise ContentError("it is a zip archive, no .xlsx workbook", f"unpack it, or {_INSTEAD}")
    if unpacked > _LARGEST:
        raise ContentError(f"it unpacks to {unpacked >> 20} MiB, more than a label table", _INSTEAD)
    try:
        import openpyxl  # noqa: F401  # pyright: ignore[reportMissingModuleSource]
    except ImportError as error:
        raise ContentError(
            "it is an Excel workbook, which needs the package openpyxl",
            f"install it, or {_INSTEAD}",
        ) from error
    found, problems = {}, []
    for name, cells in _read_sheets(data).items():
        try:
            rows = rows_of_records(cells)
        except ContentError as error:
            problems.append(error.of_part(f"sheet {name!r}").told)
            continue
        if rows:
            found[name] = rows
    if len(found) > 1:
        raise ContentError(
            f"several sheets are label tables: {', '.join(map(repr, found))}", _INSTEAD
        )
    if not found:
        raise ContentError("; ".join(map(str, problems)) or "its sheets are empty")
    return next(iter(found.values()))


def _read_sheets(data: bytes) -> dict[str, list[list[Any]]]:
    """Return the rows of each sheet that have a cell, all as wide as the widest of them."""
    import openpyxl  # pyright: ignore[reportMissingModuleSource]

    book = openpyxl.load_workbook(io.BytesIO(data), read_only=True, data_only=True)
    found = {}
    for sheet in book.worksheets:
        # What the sheet says of its size may be wrong.
        sheet.reset_dimensions()
        rows = [[_value(cell) for cell in row] for row in sheet.iter_rows()]
        rows = [row for row in rows if any(value is not None for value in row)]
        width = max(map(len, rows), default=0)
        # A single cell at the far end of a sheet would make each row that long.
        if width * len(rows) > _CELLS:
            raise ContentError(f"its sheet {sheet.title!r} has {len(rows)} rows of {width} cells")
        found[sheet.title] = [row + [None] * (width - len(row)) for row in rows]
    book.close()
    return found


def _value(cell: Any) -> Any:
    """Return what a cell holds, None for nothing or an error; whole numbers are no floats."""
    value = None if cell.data_type == "e" or cell.value == "" else cell.value
    return int(value) if isinstance(value, float) and value.is_integer() else value


def rows_of_records(records: list[list[Any]]) -> Rows:
    """Return the rows of a sheet, below the row that names its columns, where there is one."""
    for i, record in enumerate(records):
        if any(is_number(cell) for cell in record):
            break
        titles = ["" if cell is None else str(cell) for cell in record]
        if names_columns(titles):
            return rows_of_columns(titles, records[i + 1 :])
    return rows_of_cells(records) if records else ()
