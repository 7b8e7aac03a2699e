"""The label table that another program keeps in the header of a volume."""

from typing import Any

from atlasinit.io.tables import afni, workbench
from atlasinit.io.tables.columns import Rows


def label_rows(image: Any, number: int) -> Rows | None:
    """Return the table of a volume of a NIfTI image, None where no program left one.

    Parameters
    ----------
    image
        A nibabel image, of whatever format.
    number
        Number of the volume, from 0. AFNI keeps one table for all volumes.
    """
    for extension in getattr(image.header, "extensions", ()):
        # Extensions are padded to a multiple of 16 bytes.
        content = bytes(extension.content).strip(b"\0 ")
        rows = None
        if extension.get_code() == workbench.CODE:
            rows = workbench.rows_of_header(content, number)
        elif extension.get_code() == afni.CODE:
            rows = afni.rows_of_header(content)
        if rows is not None:
            return rows
    return None


def map_names(image: Any, count: int) -> list[str]:
    """Return the names of the volumes of a NIfTI image, ``""`` where none is stated."""
    for extension in getattr(image.header, "extensions", ()):
        if extension.get_code() == workbench.CODE:
            return workbench.names_of_header(bytes(extension.content).strip(b"\0 "), count)
    return [""] * count
