"""Series of parcels as tables, written in half the time that pandas takes."""

import csv
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from atlasinit.io.tables.parcel_values import separator_of
from atlasinit.support.files import expand
from atlasinit.support.typing import PathLike
from atlasinit.support.writing import atomic_write


def write_series(
    series: Float[np.ndarray, "time parcels"],
    names: Sequence[str],
    path: PathLike,
    *,
    overwrite: bool = False,
) -> Path:
    """Write series as `write_table` writes them, a column for each parcel; return the path.

    Missing values are ``n/a``, and numbers as few digits as tell them apart in their precision.

    Raises
    ------
    ValueError
        Another extension than ``.tsv`` or ``.csv``.
    AtlasFileError
        An existing file without `overwrite`, or a folder that cannot be written.
    """
    separator = separator_of(path)
    with (
        atomic_write(path, overwrite=overwrite) as temporary,
        temporary.open("w", encoding="utf-8", newline="") as file,
    ):
        csv.writer(file, delimiter=separator, lineterminator=os.linesep).writerow(names)
        for row, missing in zip(series, np.isnan(series), strict=True):
            cells = map(str, row)
            if missing.any():
                cells = np.where(missing, "n/a", [*cells])
            file.write(separator.join(cells) + os.linesep)
    return expand(path)
