"""Tables beside runs: confounds of fMRIPrep, motion as XCP-D and the HCP write it."""

import dataclasses
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from atlasinit.errors import AtlasFileError, ContentError
from atlasinit.io.files import reading

if TYPE_CHECKING:
    import pandas as pd

DISPLACEMENT = "framewise_displacement"

XCPD = "_motion.tsv"
"""How XCP-D calls its tables of six parameters and framewise displacement."""

HCP = "Movement_Regressors.txt"
"""How the HCP calls its tables: translations (mm), rotations (degrees), differences of these."""

_PARAMETERS = tuple(f"{kind}_{axis}" for kind in ("trans", "rot") for axis in "xyz")

_RADIUS = 50.0
"""Millimetres from the centre of a head to its cortex (Power et al. 2012), as in fMRIPrep."""


@dataclasses.dataclass(frozen=True, eq=False)
class RunTable:
    """What a table says of the volumes of an image.

    Parameters
    ----------
    frame
        A row for each volume of the image.
    displacement
        Mean framewise displacement (mm) over the run as it was scanned, NaN if nothing states it.
    origin
        Where that is from, in words; "" if it is from nowhere.
    censored
        How many volumes were left out of the image before.
    """

    frame: "pd.DataFrame"
    displacement: float
    origin: str
    censored: int = 0


def is_motion(path: Path) -> bool:
    """Whether a table is of motion alone, by its name: strategies need all of fMRIPrep's."""
    return path.name == HCP or path.name.endswith(XCPD)


def list_tables(path: Path) -> list[Path]:
    """Return a table and what tells which of its rows are in the image."""
    outliers = _outliers_of(path)
    return [path] if outliers is None else [path, outliers]


def list_columns(path: Path) -> list[str]:
    """Return the columns of a table, of one with titles without its rows."""
    if path.name == HCP:
        return list(map(str, _read_hcp(path).columns))
    with reading(path, "a table of confounds") as found:
        import pandas as pd

        return list(map(str, pd.read_csv(found, sep="\t", nrows=0).columns))


def read_table(path: Path, image: str, n_time: int) -> RunTable:
    """Return the table of an image.

    XCP-D leaves volumes of large displacement out of its images, and not out of its tables: the
    column of ``_outliers.tsv`` beside them tells which. The HCP states no framewise displacement,
    which is computed of its parameters: the sum of absolute differences, rotations as arcs at 50 mm
    (Power et al. 2012, as fMRIPrep does).

    Parameters
    ----------
    path
        Of the table.
    image
        Name of the image, for messages.
    n_time
        Volumes of the image.

    Raises
    ------
    AtlasFileError
        A table that cannot be read, or is of another length.
    """
    frame: Any = _read_hcp(path) if path.name == HCP else _read_titled(path)
    displacement = mean_of(frame, DISPLACEMENT)
    origin = "" if math.isnan(displacement) else _name_origin(path)
    if len(frame) == n_time:
        return RunTable(frame, displacement, origin)
    outliers = _outliers_of(path)
    kept = None if outliers is None else _read_kept(outliers)
    if kept is None or len(kept) != len(frame) or kept.sum() != n_time:
        raise AtlasFileError(
            path,
            f"has {len(frame)} rows for the {n_time} volumes of {image}"
            + (f", and {outliers.name} keeps other volumes" if outliers is not None else ""),
            "pass the table of that run",
        )
    own = frame[kept].reset_index(drop=True)
    return RunTable(own, displacement, origin, len(frame) - n_time)


def _outliers_of(path: Path) -> Path | None:
    if not path.name.endswith(XCPD):
        return None
    # Before 0.10 tables of filtered parameters were called so, and outliers were not.
    stem = path.name.removesuffix(XCPD).removesuffix("_desc-filtered")
    outliers = path.with_name(f"{stem}_outliers.tsv")
    return outliers if outliers.is_file() else None


def _read_titled(path: Path) -> "pd.DataFrame":
    with reading(path, "a table of confounds") as found:
        import pandas as pd

        return pd.read_csv(found, sep="\t", na_values=["n/a"])


def _read_hcp(path: Path) -> "pd.DataFrame":
    with reading(path, "a table of movement") as found:
        import pandas as pd

        frame: Any = pd.read_csv(found, sep=r"\s+", header=None)
        titles = [*_PARAMETERS, *(f"{name}_derivative1" for name in _PARAMETERS)]
        if frame.shape[1] not in (6, 12) or not all(kind.kind in "fi" for kind in frame.dtypes):
            raise ContentError(
                f"6 or 12 columns of numbers were expected, got {frame.shape[1]} columns"
            )
        lost = np.flatnonzero(~np.isfinite(frame).all(axis=1))
        if lost.size:
            raise ContentError(f"row {lost[0] + 1} lacks a number")
    frame = frame.astype(float).set_axis(titles[: frame.shape[1]], axis=1)
    turns = [name for name in frame.columns if name.startswith("rot")]
    frame[turns] = np.deg2rad(frame[turns])
    steps = frame[list(_PARAMETERS)].diff().abs()
    steps[list(_PARAMETERS[3:])] *= _RADIUS
    # The first volume has none.
    frame[DISPLACEMENT] = steps.sum(axis=1, skipna=False)
    return frame


def _read_kept(path: Path) -> np.ndarray:
    with reading(path, "a table of outliers") as found:
        import pandas as pd

        frame: Any = pd.read_csv(found, sep="\t")
        if DISPLACEMENT not in frame.columns or not set(frame[DISPLACEMENT]) <= {0, 1}:
            raise ContentError(f"a column {DISPLACEMENT!r} of 0 and 1 was expected")
    return frame[DISPLACEMENT].to_numpy() == 0


def mean_of(frame: Any, title: str) -> float:
    """Return the mean of a column of numbers, NaN where there is none."""
    numbers = frame[title] if title in frame.columns else None
    if numbers is None or numbers.dtype.kind not in "fi":
        return math.nan
    return float(numbers.mean())


def _name_origin(path: Path) -> str:
    if path.name == HCP:
        return f"computed from {HCP}, rotations as arcs at {_RADIUS:g} mm"
    if path.name.endswith(XCPD):
        return f"{DISPLACEMENT} of XCP-D's motion.tsv"
    return f"{DISPLACEMENT} of the confounds"
