"""What is done to the series of parcels: confounds, filters, scrubbing, by nilearn."""

import dataclasses
import math
import warnings
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, Int

from atlasinit import image_series
from atlasinit.errors import ArgumentError, AtlasFileError, format_list, nearest
from atlasinit.extraction.motion import (
    DISPLACEMENT,
    RunTable,
    is_motion,
    list_columns,
    mean_of,
    read_table,
)
from atlasinit.support.numbers import take_number

if TYPE_CHECKING:
    import pandas as pd

STRATEGIES = ("simple", "scrubbing", "compcor", "ica_aroma")
"""Of ``nilearn.interfaces.fmriprep.load_confounds_strategy``."""

COMPONENTS = (
    *("motion", "high_pass", "wm_csf", "global_signal", "compcor", "ica_aroma", "scrub"),
    "non_steady_state",
)
"""Noise components of ``nilearn.interfaces.fmriprep.load_confounds``."""

COLUMN = "global_signal"
"""A component that is a column of fMRIPrep's tables, too."""


@dataclasses.dataclass(frozen=True)
class Cleaning:
    """How the series of a run are cleaned, as `atlasinit.extract` says."""

    confounds: tuple[str, ...] = ()
    fd_threshold: float | None = None
    detrend: bool = False
    standardize: str | bool | None = None
    low_pass: float | None = None
    high_pass: float | None = None
    t_r: float | None = None

    @property
    def is_strategy(self) -> bool:
        """Whether confounds are named as nilearn names them, and not by their columns."""
        return bool(self.confounds) and set(self.confounds) <= {*STRATEGIES, *COMPONENTS}

    @property
    def filters(self) -> bool:
        """Whether frequencies are taken out, for which the time between volumes is needed."""
        return bool(self.low_pass or self.high_pass)

    @property
    def needs_table(self) -> bool:
        """Whether a run needs a table of confounds."""
        return bool(self.confounds) or self.fd_threshold is not None

    def check(self) -> None:
        """Refuse what does not go together, before any run is read."""
        twice = [name for name, count in Counter(self.confounds).items() if count > 1]
        if twice:
            raise ArgumentError("confounds", f"names {format_list(twice)} more than once")
        kinds = (None, False, True, "zscore_sample", "zscore", "psc")
        if not any(self.standardize is one or self.standardize == one for one in kinds):
            raise ArgumentError(
                "standardize",
                f'should be "zscore_sample" or "psc", got {self.standardize!r}',
            )
        named = [one for one in self.confounds if one in (*STRATEGIES, *COMPONENTS)]
        if set(named) == {COLUMN} and len(self.confounds) > 1:
            named = []
        if named and len(named) < len(self.confounds):
            others = [one for one in self.confounds if one not in named]
            close = next(filter(None, (nearest(o, (*STRATEGIES, *COMPONENTS)) for o in others)), "")
            raise ArgumentError(
                "confounds",
                "should be a strategy of nilearn, its noise components, or columns, got "
                f"{format_list(named)} beside {format_list(others)}",
                close
                or f"strategies are {', '.join(STRATEGIES)}; components, as motion, are "
                "combined with components alone",
            )
        if len(named) > 1 and any(one in STRATEGIES[:2] for one in named):
            raise ArgumentError(
                "confounds",
                f": {format_list(named)} are a strategy and more",
                "pass one strategy, or noise components, as motion and wm_csf",
            )
        for argument in ("fd_threshold", "low_pass", "high_pass", "t_r"):
            value = getattr(self, argument)
            if value is None:
                continue
            if not 0 < take_number(value, argument, "a positive number") < math.inf:
                raise ArgumentError(argument, f"should be a positive number, got {value}")
        if self.low_pass and self.high_pass and self.low_pass <= self.high_pass:
            raise ArgumentError(
                "low_pass",
                f"should lie above `high_pass`, got {self.low_pass} and {self.high_pass} Hz",
            )


@dataclasses.dataclass(frozen=True, eq=False)
class Confounds:
    """The confounds of one run, and which of its volumes stay.

    Parameters
    ----------
    table
        (volumes, confounds) with the names as columns, None where nothing is regressed out.
    kept
        Numbers of the volumes that stay, from 0.
    displacement, dvars
        Means over the run of the framewise displacement (mm) and of the standardised DVARS, NaN
        where no table states them.
    origin
        Where the displacement is from, in words.
    censored
        How many volumes were left out of the image before.
    """

    table: "pd.DataFrame | None"
    kept: Int[np.ndarray, " kept"]
    displacement: float = math.nan
    dvars: float = math.nan
    origin: str = ""
    censored: int = 0

    @property
    def names(self) -> list[str]:
        """What is regressed out."""
        return [] if self.table is None else list(map(str, self.table.columns))


def read_confounds(
    path: Path | None, image: Sequence[Path], cleaning: Cleaning, n_time: int
) -> Confounds:
    """Return the confounds of a run that `cleaning` asks for.

    Parameters
    ----------
    path
        The table of the run, None where it has none.
    image
        Files of the run, which nilearn finds the table by.
    cleaning
        What is wanted.
    n_time
        Volumes of the run.

    Raises
    ------
    ValueError
        A run without a table, or with one of another length; columns that there are not, with the
        nearest; columns with NaN behind their first row; a threshold that leaves no two volumes.
    AtlasFileError
        A table that cannot be read.
    """
    everything = np.arange(n_time)
    if path is None:
        if cleaning.needs_table:
            raise AtlasFileError(
                image[0],
                "has no table of confounds beside it",
                "expected ..._desc-confounds_timeseries.tsv, or ..._motion.tsv of XCP-D; name it "
                "in a table of runs, or leave out the confounds",
            )
        return Confounds(None, everything)
    try:
        own = read_table(path, image[0].name, n_time)
    except AtlasFileError as error:
        # Motion that lies beside an image by itself, and of which nothing is asked for.
        if cleaning.needs_table or not is_motion(path):
            raise
        warnings.warn(f"framewise displacement was not read: {error}", stacklevel=2)
        return Confounds(None, everything)
    _check_use(own, path, cleaning)
    frame: Any = own.frame
    table, kept = None, everything
    if cleaning.is_strategy:
        table, kept = _by_nilearn(image, cleaning, n_time)
    elif cleaning.confounds:
        table = _columns(frame, cleaning.confounds, path)
    if cleaning.fd_threshold is not None and "scrub" not in cleaning.confounds:
        if DISPLACEMENT not in frame.columns:
            raise AtlasFileError(path, f"has no column {DISPLACEMENT!r}, which volumes are kept by")
        # The first volume has no displacement, and stays.
        moved = _numbers(frame, DISPLACEMENT, path)
        kept = kept[~(moved[kept] > cleaning.fd_threshold)]
    if len(kept) < 2:
        raise AtlasFileError(
            path, f"leaves {len(kept)} of {n_time} volumes", "two are needed at least"
        )
    dvars = mean_of(frame, "std_dvars")
    return Confounds(table, kept, own.displacement, dvars, own.origin, own.censored)


def _check_use(own: RunTable, path: Path, cleaning: Cleaning) -> None:
    """Refuse what a table, or the image that it is of, cannot give."""
    if cleaning.is_strategy and is_motion(path):
        raise AtlasFileError(path, *_tell_motion(cleaning))
    if own.censored and cleaning.filters:
        raise ArgumentError(
            "low_pass" if cleaning.low_pass else "high_pass",
            f": {own.censored} volumes that moved were left out of the image before, by "
            f"{path.name}, and those of the rest are not evenly spaced",
            "leave the filter out, or filter where volumes are censored",
        )


def _tell_motion(cleaning: Cleaning) -> tuple[str, str]:
    named = format_list(cleaning.confounds)
    return (
        f"is a table of motion alone, and {named} of nilearn needs fMRIPrep's confounds",
        "name columns of it, as trans_x",
    )


def check_columns(path: Path, cleaning: Cleaning) -> None:
    """Refuse columns that the first table of a dataset lacks, before any run is begun.

    Raises
    ------
    ValueError
        With the nearest column, or name of a strategy.
    AtlasFileError
        A table that cannot be read.
    """
    if cleaning.is_strategy and is_motion(path):
        problem, remedy = _tell_motion(cleaning)
        raise ArgumentError("confounds", f": {path.name} {problem}", remedy)
    if not cleaning.confounds or cleaning.is_strategy:
        return
    titles = list_columns(path)
    for name in cleaning.confounds:
        if name not in titles:
            raise ArgumentError(
                "confounds",
                f": {name!r} is no strategy of nilearn, no component, and no column of {path.name}",
                nearest(name, (*titles, *STRATEGIES, *COMPONENTS)),
            )


def _numbers(frame: Any, title: str, path: Path) -> "Float[np.ndarray, ' volumes']":
    try:
        return frame[title].to_numpy(float)
    except (ValueError, TypeError) as error:
        raise AtlasFileError(
            path, f"holds text in the column {title!r}", "numbers and n/a are expected there"
        ) from error


def _by_nilearn(
    image: Sequence[Path], cleaning: Cleaning, n_time: int
) -> "tuple[pd.DataFrame | None, Int[np.ndarray, ' kept']]":
    from nilearn.interfaces import fmriprep

    # Of two hemispheres nilearn takes the pair as one run.
    files: Any = str(image[0]) if len(image) == 1 else [str(path) for path in image]
    named: Any = cleaning.confounds
    further: dict[str, Any] = (
        {} if cleaning.fd_threshold is None else {"fd_threshold": cleaning.fd_threshold}
    )
    try:
        if len(named) == 1 and named[0] in STRATEGIES:
            # Of the strategies scrubbing alone takes a threshold; of the others it is laid on
            # afterwards.
            own = further if named[0] == "scrubbing" else {}
            table, kept = fmriprep.load_confounds_strategy(files, named[0], **own)
        else:
            own = further if "scrub" in named else {}
            table, kept = fmriprep.load_confounds(files, strategy=named, **own)
    except (ValueError, KeyError) as error:
        # nilearn's own words, the only sign of what it missed.
        raise AtlasFileError(
            image[0],
            f"its confounds could not be loaded by nilearn: {' '.join(str(error).split())}",
        ) from error
    numbers = np.arange(n_time) if kept is None else np.asarray(kept)
    return (None if table is None or not table.shape[1] else table), numbers


def _columns(frame: Any, names: Sequence[str], path: Path) -> "pd.DataFrame":
    for name in names:
        if name not in frame.columns:
            close = nearest(name, (*map(str, frame.columns), *STRATEGIES, *COMPONENTS))
            raise AtlasFileError(path, f"has no column {name!r}", close)
    table = frame[list(names)]
    text = [name for name in names if table[name].dtype.kind not in "fib"]
    if text:
        raise AtlasFileError(path, f"its column {text[0]!r} holds what are no numbers")
    # Differences have none in their first row, where the second row's is taken, as nilearn does.
    table = table.astype(float)
    table.iloc[0] = table.iloc[0].fillna(table.iloc[min(1, len(table) - 1)])
    lost = [name for name in names if not np.isfinite(table[name]).all()]
    if lost:
        raise AtlasFileError(
            path, f"its column {lost[0]!r} lacks values behind its first row", "leave it out"
        )
    return table


def clean_series(
    series: Float[np.ndarray, "time parcels"],
    confounds: Confounds,
    cleaning: Cleaning,
    t_r: float | None,
) -> Float[np.ndarray, "kept parcels"]:
    """Return series cleaned by ``nilearn.signal.clean``; a parcel with a NaN stays NaN in all.

    In double precision, as little may be left of what lies far from 0.
    """
    kept = confounds.kept
    alive = np.asarray(np.isfinite(series).all(axis=0))
    plain = not (cleaning.detrend or cleaning.standardize or cleaning.filters)
    if plain and confounds.table is None:
        return series[kept]
    out = np.full((len(kept), series.shape[1]), np.nan)
    if not alive.any():
        return out
    try:
        out[:, alive] = image_series.clean_series(
            np.ascontiguousarray(series[:, alive], np.float64),
            confounds.table,
            None if len(kept) == len(series) else kept,
            detrend=cleaning.detrend,
            standardize=cleaning.standardize,
            low_pass=cleaning.low_pass,
            high_pass=cleaning.high_pass,
            t_r=t_r,
        )
    except ValueError as error:
        # SciPy's own words, the only sign of what it refused.
        if "padlen" not in str(error):
            raise
        name = "low_pass" if cleaning.low_pass else "high_pass"
        problem = f": {len(series)} volumes are too few for a filter, which takes 19 or more"
        raise ArgumentError(name, problem, "leave it out") from error
    return out
