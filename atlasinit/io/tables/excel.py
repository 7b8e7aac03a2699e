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
    except zipfile.BadZipFile as error:
        raise ContentError("it is a damaged workbook or zip archive", _INSTEAD) from error
    if "xl/workbook.xml" not in members:
        raise ContentError("it is a zip archive, no .xlsx workbook", f"unpack it, or {_INSTEAD}")
    try:
        import openpyxl  # noqa: F401  # pyright: ignore[reportMissingModuleSource]
    except ImportError as error:
        raise ContentError(
            "it is an Excel workbook, which needs the package openpyxl",
            f"install it, or {_INSTEAD}",
        ) from error
    import pandas as pd

    sheets: dict[Any, pd.DataFrame] = pd.read_excel(
        io.BytesIO(data), sheet_name=None, header=None, dtype=object, engine="openpyxl"
    )
    found, problems = {}, []
    for name, sheet in sheets.items():
        cells = sheet.astype(object).where(sheet.notna(), None).to_numpy().tolist()
        try:
            rows = rows_of_records([row for row in cells if any(c is not None for c in row)])
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


def rows_of_records(records: list[list[Any]]) -> Rows:
    """Return the rows of a sheet, below the row that names its columns, where there is one."""
    for i, record in enumerate(records):
        if any(is_number(cell) for cell in record):
            break
        titles = ["" if cell is None else str(cell) for cell in record]
        if names_columns(titles):
            return rows_of_columns(titles, records[i + 1 :])
    return rows_of_cells(records) if records else ()
