"""Whole-number labels from whatever type a file stores them in."""

import dataclasses
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int32

from atlasinit.errors import (
    AtlasFileError,
    AtlasFileWarning,
    Passing,
    Words,
    format_list,
    warn,
)
from atlasinit.io.options import Scale

TOLERANCE = 0.05
"""Largest distance from a whole number that still counts as one.

Real label files that were rescaled or cast hold 0.988, 1.976 or 246.0000005;
resampled ones (interpolated, hence wrong) hold values of every fraction.
"""

_INT32 = np.iinfo(np.int32)
UNLABELLED = int(_INT32.min)
"""The key of locations without any label, which no file uses for one."""

# For labels that are numbered by halves (1, 1.5, 2), quarters, fifths, tenths and so on; the first
# factor that fits is offered.
_FACTORS = (2, 4, 5, 10, 20, 100)


@dataclasses.dataclass(frozen=True, eq=False)
class Keys:
    """Labels as int32.

    Parameters
    ----------
    keys
        The labels.
    unlabelled
        The key that stands for NaN; None where there is none.
    operations
        What was done to read them so, for the provenance.
    """

    keys: Int32[np.ndarray, "..."]
    unlabelled: int | None = None
    operations: tuple[str, ...] = ()


def read_keys(
    values: np.ndarray,
    path: object,
    *,
    nan: str = "error",
    scale: Scale = "auto",
    step: float | None = None,
) -> Keys:
    """Return labels as int32.

    Floats are rounded to the nearest whole number if they are within `TOLERANCE` of it, or
    if storage alone can have moved them: if there are few distinct values, which round to
    different whole numbers, each nearer than half of the step in which they are stored. A
    scaled label L is stored as s * round(L / s), at most s / 2 from L.

    Parameters
    ----------
    values
        Labels of any integer, boolean or float type and any shape.
    path
        The file or source that they come from, for the messages.
    nan
        ``"error"``, or ``"zero"`` for NaN to be no label.
    scale
        Factor for numbers of labels that are none yet, as 2 for 1, 1.5, 2.
    step
        In which the file stores its numbers, as its ``scl_slope`` says; by default the
        smallest gap between values.

    Raises
    ------
    AtlasFileError
        NaN or infinity, values between whole numbers, values that do not fit int32, or values
        that are not numbers.

    Warns
    -----
    AtlasFileWarning
        Labels that storage moved, and whole numbers so large that their type cannot have told
        all of them apart.
    """
    values = np.asarray(values)
    # NumPy's letters for boolean, signed and unsigned whole numbers, and floats.
    if values.dtype.kind not in "biuf":
        raise AtlasFileError(path, f"labels should be numbers, got {values.dtype}")
    stored = values.dtype
    if scale != "auto":
        values = values * float(scale)
    if values.dtype == np.int32:
        return Keys(values)
    whole, missing, unlabelled, operations = values, None, None, ()
    if values.dtype.kind == "f":
        missing = _missing(values, path, nan)
        if missing is not None:
            unlabelled = UNLABELLED
            # NaN counts as 0 while the other values are judged, and gets its own key at the end.
            values = np.where(missing, values.dtype.type(0), values)
        whole = np.rint(values)
        # A factor that is meant for weights would make labels vanish.
        lost = scale != "auto" and bool(((whole == 0) & (values != 0)).any())
        if lost or is_off(values, whole).any():
            operations = _mend(values, whole, path, step)
    low, high = (whole.min().item(), whole.max().item()) if whole.size else (0, 0)
    # You would expect < at the lower end, but the least number of int32 is `UNLABELLED`.
    if low <= _INT32.min or high > _INT32.max:
        raise AtlasFileError(path, f"labels should fit int32, got values from {low} to {high}")
    _check_exact(float(max(high, -low)), stored, path)
    if unlabelled is not None:
        whole[missing] = unlabelled
    return Keys(whole.astype(np.int32), unlabelled, operations)


def as_keys(values: np.ndarray, path: object) -> Int32[np.ndarray, "..."]:
    """Return labels as `read_keys` does by default."""
    return read_keys(values, path).keys


def is_off(values: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Whether each value is further from its nearest whole number than labels are."""
    return np.abs(values - whole) > TOLERANCE


def is_whole(values: np.ndarray) -> bool:
    """Whether all `values` are within `TOLERANCE` of whole numbers, NaN and infinity not."""
    values = np.asarray(values)
    if values.dtype.kind != "f":
        return values.dtype.kind in "biu"
    return bool(np.isfinite(values).all() and not is_off(values, np.rint(values)).any())


def are_moved_labels(values: np.ndarray, step: float | None = None) -> bool:
    """Whether storage alone can have moved labels to `values`: see `read_keys`."""
    distinct = np.unique(values[values != 0])
    # Each is held by several locations: what is interpolated takes ever new values.
    if not distinct.size or 3 * distinct.size > np.count_nonzero(values):
        return False
    # 0 is a stored value as well: the gap between it and the next may be the smallest.
    distinct = np.unique([0.0, *distinct.tolist()])
    whole = np.rint(distinct)
    # Two values of one whole number would become one label.
    if np.unique(whole).size < distinct.size:
        return False
    off = np.abs(distinct - whole).max()
    reach = (step if step else np.diff(distinct).min()) / 2
    # Stored as float32, a value is itself rounded.
    return bool(off < 0.5 and off <= reach * (1 + 1e-5))


def _missing(
    values: Float[np.ndarray, "..."], path: object, nan: str
) -> Bool[np.ndarray, "..."] | None:
    """Return where NaN stands for no label, None where nothing does."""
    finite = np.isfinite(values)
    if finite.all():
        return None
    if nan != "zero" or np.isinf(values).any():
        raise AtlasFileError(
            path,
            "labels should be whole numbers, got NaN or infinity at "
            f"{np.count_nonzero(~finite)} of {values.size} locations",
            "Infinity is no label"
            if np.isinf(values).any()
            else "If they are the background, pass " + Passing(nan="zero"),
        )
    return ~finite


def _mend(values: Any, whole: Any, path: object, step: float | None) -> tuple[str, ...]:
    """Return what was done to labels that storage moved, after saying so; refuse others."""
    # A label that would vanish in 0 counts as well, however near to 0 it is.
    off = is_off(values, whole) | ((whole == 0) & (values != 0))
    if not are_moved_labels(values, step):
        raise AtlasFileError(
            path,
            f"labels should be whole numbers (to {TOLERANCE}), got "
            f"{format_list(np.unique(values[off]).tolist(), 3)} at {np.count_nonzero(off)} of "
            f"{values.size} locations",
            "resample labels with nearest neighbours, or read the file as weights with "
            + Passing(kind="maps"),
            say_renumbering(np.unique(values)),
        )
    furthest = np.abs(values - whole).max()
    warn(
        AtlasFileWarning(
            path,
            f"its labels lie up to {furthest:.2g} beside whole numbers, as its storage moved them",
            "They are rounded",
        )
    )
    return (f"round(labels up to {furthest:.2g} beside whole numbers)",)


def say_renumbering(distinct: np.ndarray) -> Words:
    """Return how to read labels that are numbered 1, 1.5, 2."""
    # In double precision no factor takes what may be a key out of range.
    labels = np.asarray(distinct[distinct != 0], np.float64)
    if np.abs(labels).max(initial=0) > np.iinfo(np.int32).max:
        return ""
    factor = next((k for k in _FACTORS if _are_keys(labels * k)), 0)
    # So many distinct values are rather weights than labels with an unusual numbering.
    if not factor or distinct.size > 256:
        return ""
    return (
        "If the labels are numbered so, pass "
        + Passing(kind="hard", scale=factor)
        + (f", by which {distinct[-1]:g} becomes {distinct[-1] * factor:g}")
    )


def _are_keys(values: np.ndarray) -> bool:
    whole = np.rint(values)
    return not (is_off(values, whole) | (whole == 0)).any()


def _check_exact(highest: float, stored: np.dtype, path: object) -> None:
    """Warn of whole numbers beyond those that a type of floats has without gaps."""
    # `nmant` is the number of bits of the fraction: 23 of float32, which has every whole number up
    # to 2 ** 24.
    if stored.kind == "f" and highest > 2 ** (np.finfo(stored).nmant + 1):
        gap = float(np.spacing(stored.type(highest)))
        warn(
            AtlasFileWarning(
                path,
                f"its labels up to {highest:.0f} are stored as {stored.name}, which has whole "
                f"numbers in steps of {gap:.0f} there: labels that lay nearer have become one",
                "Take the file as it was with integers",
            )
        )
