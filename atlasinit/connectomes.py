"""Connectomes: how alike the series of parcels are, by nilearn, with names on both sides."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from jaxtyping import Bool, Float, Float64

from atlasinit.core.atlas import Atlas
from atlasinit.core.checking import tell_no_atlas
from atlasinit.core.labels import LabelTable, numbered_labels
from atlasinit.core.named_values import align_values
from atlasinit.errors import (
    ArgumentError,
    ArgumentTypeError,
    Passing,
    format_count,
    format_list,
)

if TYPE_CHECKING:
    import pandas as pd

KINDS = ("correlation", "partial correlation", "covariance", "precision", "tangent")
ESTIMATORS = ("empirical", "ledoit-wolf")
Series: TypeAlias = Float64[np.ndarray, "time parcels"]

_INVERTED = ("partial correlation", "precision", "tangent")
"""Kinds that need the inverse of the covariance."""


def connectome(
    series: Any,
    atlas: Atlas | Sequence[str] | None = None,
    *,
    kind: str = "correlation",
    estimator: str = "empirical",
) -> "pd.DataFrame | list[pd.DataFrame]":
    """Return how the series of parcels go together: a matrix with names on both sides.

    nilearn's ``ConnectivityMeasure`` computes it, in double precision. `save_matrix` writes it.

    Parameters
    ----------
    series
        (time, parcels), as `AtlasMasker.transform` returns it and as ``project(...).T`` is; or a
        DataFrame whose columns name the parcels. Of several runs or subjects a list of these, of
        any lengths.
    atlas
        Whose parcels they are, or their names: an array has its columns in this order, and a
        DataFrame is put in it by name. By default the columns of the (first) DataFrame; arrays
        alone give a matrix that is numbered from 0.
    kind
        ``"correlation"`` (Pearson's), ``"partial correlation"`` given all other parcels,
        ``"covariance"``, ``"precision"`` (the inverse of the covariance), or ``"tangent"``, which
        takes a list: how each covariance C_i departs from their geometric mean M,
        log(M^(-1/2) C_i M^(-1/2)) (Varoquaux et al. 2010).
    estimator
        Of the covariance: ``"empirical"``, whose divisor is the number of time points, so that
        correlations are those of ``numpy.corrcoef``; or ``"ledoit-wolf"``, nilearn's default, which
        shrinks it and can be inverted also where there are few time points.

    Returns
    -------
    pandas.DataFrame
        (parcels, parcels), float64; of a list a list of them. A parcel whose series holds a NaN or
        an infinity, or is constant, has NaN in its row and column; the other entries are as
        without it. For ``"tangent"`` that is so in all, if it is in one.

    Raises
    ------
    ValueError
        Another shape, `kind` or `estimator`; names that are not the atlas's (with the nearest), or
        twice; fewer than two time points; for partial correlation, precision and tangent, as
        many time points as parcels or fewer, or parcels that are sums of others, which have no
        inverse (``estimator="ledoit-wolf"`` has one); ``"tangent"`` of one run alone.
    TypeError
        What are no real numbers, nor a list of such series.

    Examples
    --------
    >>> import numpy as np, pandas as pd, atlasinit as ai
    >>> series = pd.DataFrame({"V1": [1.0, 2, 3, 5], "V2": [2.0, 4, 5, 9], "off": 0.0})
    >>> ai.connectome(series).round(3)
            V1     V2  off
    V1   1.000  0.994  NaN
    V2   0.994  1.000  NaN
    off    NaN    NaN  NaN
    """
    _check_choice("kind", kind, KINDS)
    _check_choice("estimator", estimator, ESTIMATORS)
    runs = _list_runs(series)
    if kind == "tangent" and (runs is None or len(runs) < 2):
        raise ArgumentError(
            "series",
            'should be a list of two or more for "tangent", which compares them with their mean',
        )
    own = {"series": series} if runs is None else {f"series[{i}]": r for i, r in enumerate(runs)}
    if kind == "tangent":
        return measure_tangents(own, atlas, estimator=estimator).matrices
    table, names = _name_parcels(own, atlas)
    found = []
    for title, run in own.items():
        array = _read_series(run, table, title)
        kept = _find_changing(array)
        if estimator == "empirical" and kind in _INVERTED:
            _check_invertible(array[:, kept], kind, title)
        measure, cut = _measure(kind, estimator), np.ascontiguousarray(array[:, kept])
        matrix = measure.fit_transform([cut])[0] if kept.any() else np.empty((0, 0))
        found.append(_frame(matrix, kept, names))
    return found[0] if runs is None else found


@dataclasses.dataclass(frozen=True, eq=False)
class Tangents:
    """Connectomes of several runs as they depart from their mean.

    Parameters
    ----------
    matrices
        (parcels, parcels), one a run.
    mean
        (parcels, parcels), the geometric mean of the covariances.
    lacking
        Parcels that are NaN in all, to the runs that lack them.
    """

    matrices: "list[pd.DataFrame]"
    mean: "pd.DataFrame"
    lacking: Mapping[Any, list[str]]


def measure_tangents(
    runs: Mapping[str, Any], atlas: Atlas | Sequence[str] | None = None, *, estimator: str
) -> Tangents:
    """Return the tangents of runs at their geometric mean, as `connectome` does, with the mean.

    Parameters
    ----------
    runs
        Series, by what errors call them.
    atlas, estimator
        As for `connectome`.
    """
    table, names = _name_parcels(runs, atlas)
    arrays = {title: _read_series(run, table, title) for title, run in runs.items()}
    each = {title: _find_changing(run) for title, run in arrays.items()}
    # One mean needs the same parcels in all.
    kept = np.all(list(each.values()), axis=0)
    lacking = {
        names[i]: [title for title, own in each.items() if not own[i]]
        for i in np.flatnonzero(~kept)
    }
    if estimator == "empirical":
        for title, run in arrays.items():
            _check_invertible(run[:, kept], "tangent", title)
    found, mean = np.empty((len(runs), 0, 0)), np.empty((0, 0))
    if kept.any():
        measure = _measure("tangent", estimator)
        found = measure.fit_transform([np.ascontiguousarray(a[:, kept]) for a in arrays.values()])
        mean = measure.mean_
    return Tangents([_frame(m, kept, names) for m in found], _frame(mean, kept, names), lacking)


def _check_choice(argument: str, given: str, choices: Sequence[str]) -> None:
    if given not in choices:
        shown = format_list(f'"{choice}"' for choice in choices)
        raise ArgumentError(argument, f"should be one of {shown}, got {given!r}")


def _list_runs(series: Any) -> list[Any] | None:
    """Return the runs of a list, or None where there is one run that is no list."""
    if isinstance(series, Mapping | str):
        raise ArgumentTypeError(
            "series",
            f"should be (time, parcels) or a list of such, got {type(series).__name__}",
        )
    if not isinstance(series, list | tuple):
        return None
    if not len(series):
        raise ArgumentError("series", "should hold at least one run, got an empty list")
    # Rows of numbers are one run, written as nested lists.
    return None if all(np.ndim(run) == 1 for run in series) else list(series)


def _name_parcels(runs: Mapping[str, Any], atlas: Any) -> tuple[LabelTable, Any]:
    """Return a table by whose names series are aligned, and the labels of the result."""
    import pandas as pd

    if isinstance(atlas, Atlas):
        return atlas.table, list(atlas.table["name"])
    if atlas is not None:
        listed = hasattr(atlas, "__iter__") and not isinstance(atlas, str)
        if not listed or not all(isinstance(name, str) for name in atlas):
            raise tell_no_atlas(atlas, "atlas", "an atlas or a list of names")
        return _table_of(list(atlas), "atlas"), list(atlas)
    for title, run in runs.items():
        columns = getattr(run.to_pandas() if hasattr(run, "to_pandas") else run, "columns", None)
        if columns is not None and not isinstance(columns, pd.RangeIndex):
            return _table_of(list(map(str, columns)), title), list(columns)
    count = np.shape(next(iter(runs.values())))[-1:]
    # What is no series is refused by the next step.
    n = count[0] if count else 0
    return numbered_labels({"parcels": n}), pd.RangeIndex(n)


def _table_of(names: list[str], argument: str) -> LabelTable:
    try:
        return numbered_labels({"parcels": len(names)}).replace(name=names)
    except ArgumentError as error:
        raise error.of(argument) from error


def _read_series(series: Any, table: LabelTable, argument: str) -> Series:
    if np.ndim(series) != 2:
        raise ArgumentError(argument, f"should be (time, parcels), got shape {np.shape(series)}")
    if not hasattr(series, "columns"):
        # As nested lists, too; a masked array stays one, to be refused.
        series = series if isinstance(series, np.ndarray) else np.asarray(series)
    else:
        series = _by_text(series)
    aligned = align_values(series, table, argument=argument, parcels_last=True).array
    found = np.ascontiguousarray(aligned.T, np.float64)
    if len(found) < 2:
        got = format_count(len(found), "time point")
        raise ArgumentError(argument, f"should have two time points or more, got {got}")
    return found


def _by_text(frame: Any) -> Any:
    """Return a frame whose columns are texts, as names are, unless it has none."""
    import pandas as pd

    frame = frame.to_pandas() if hasattr(frame, "to_pandas") else frame
    if isinstance(frame.columns, pd.RangeIndex):
        return frame
    return frame.set_axis(list(map(str, frame.columns)), axis="columns")


def _find_changing(series: Series) -> Bool[np.ndarray, " parcels"]:
    """Return which parcels are finite and not constant."""
    finite = np.isfinite(series).all(axis=0)
    # Two values of float64 that differ by rounding alone are one.
    own = np.where(finite, series, 0)
    return finite & (np.ptp(own, axis=0) > 2 * np.finfo(np.float64).eps * np.abs(own).max(axis=0))


def _check_invertible(series: Series, kind: str, argument: str) -> None:
    """Refuse series whose covariance has no inverse: of one that is a sum of others, or few."""
    n_time, n_parcels = series.shape
    if not n_parcels:
        return
    remedy = "for an estimate that has an inverse pass " + Passing(estimator="ledoit-wolf")
    if n_time <= n_parcels:
        problem = (
            f'should have more time points than parcels that change for "{kind}", got '
            f"{n_time} of {n_parcels}"
        )
        raise ArgumentError(argument, problem, remedy)
    spread = series.std(axis=0)
    sizes = np.linalg.svd((series - series.mean(axis=0)) / spread, compute_uv=False)
    # Series far from 0 have lost digits when their mean is taken away.
    lost = np.finfo(np.float64).eps * max(1.0, (np.abs(series).max(axis=0) / spread).max())
    if sizes[-1] > sizes[0] * n_time * lost:
        return
    raise ArgumentError(
        argument,
        f': the covariance has no inverse, which "{kind}" needs, as some parcels are sums of '
        "others, or filters left too little",
        remedy,
    )


def _measure(kind: str, estimator: str) -> Any:
    from nilearn.connectome import ConnectivityMeasure
    from sklearn.covariance import EmpiricalCovariance, LedoitWolf

    fit = EmpiricalCovariance if estimator == "empirical" else LedoitWolf
    return ConnectivityMeasure(fit(store_precision=False), kind=kind)


def _frame(
    matrix: Float[np.ndarray, "changing changing"],
    changing: Bool[np.ndarray, " parcels"],
    names: Any,
) -> "pd.DataFrame":
    """Return the matrix of all parcels, NaN for those that do not change."""
    import pandas as pd

    whole = np.full((changing.size, changing.size), np.nan)
    whole[np.ix_(changing, changing)] = matrix
    return pd.DataFrame(whole, index=names, columns=names)
