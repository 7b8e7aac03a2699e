"""Series of parcels as tables, written without pandas, which takes longer to import than they."""

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
        rows = csv.writer(file, delimiter=separator, lineterminator=os.linesep)
        rows.writerow(names)
        for row, missing in zip(series.astype(str), np.isnan(series), strict=True):
            rows.writerow(np.where(missing, "n/a", row).tolist())
    return expand(path)
