"""Whole-number labels from whatever type a file stores them in."""

import numpy as np
from jaxtyping import Int32

from atlasinit.errors import AtlasFileError, Passing, format_list

TOLERANCE = 0.05
"""Largest distance from a whole number that still counts as one.

Real label files that were rescaled or cast hold 0.988, 1.976 or 246.0000005;
resampled ones (interpolated, hence wrong) hold values of every fraction.
"""

_INT32 = np.iinfo(np.int32)


def as_keys(
    values: np.ndarray, path: object, *, tolerance: float = TOLERANCE
) -> Int32[np.ndarray, "..."]:
    """Return labels as int32, floats rounded to the nearest whole number.

    Parameters
    ----------
    values
        Labels of any integer, boolean or float type and any shape.
    path
        The file or source that they come from, for the messages.
    tolerance
        Largest distance of a float from the nearest whole number.

    Raises
    ------
    AtlasFileError
        NaN, values further than `tolerance` from a whole number, values that do
        not fit int32, or values that are not numbers.
    """
    values = np.asarray(values)
    if values.dtype == np.int32:
        return values
    if values.dtype.kind not in "biuf":
        raise AtlasFileError(path, f"labels should be numbers, got {values.dtype}")
    whole = np.rint(values) if values.dtype.kind == "f" else values
    if values.dtype.kind == "f":
        _check_whole(values, whole, path, tolerance)
    low, high = (whole.min().item(), whole.max().item()) if whole.size else (0, 0)
    if low < _INT32.min or high > _INT32.max:
        raise AtlasFileError(path, f"labels should fit int32, got values from {low} to {high}")
    return whole.astype(np.int32)


def is_whole(values: np.ndarray, *, tolerance: float = TOLERANCE) -> bool:
    """Whether `as_keys` would take `values`: finite and all within `tolerance` of whole numbers."""
    values = np.asarray(values)
    if values.dtype.kind != "f":
        return values.dtype.kind in "biu"
    return bool(np.isfinite(values).all() and (np.abs(values - np.rint(values)) <= tolerance).all())


def _check_whole(values: np.ndarray, whole: np.ndarray, path: object, tolerance: float) -> None:
    finite = np.isfinite(values)
    if not finite.all():
        raise AtlasFileError(
            path,
            "labels should be whole numbers, got NaN or infinity at "
            f"{np.count_nonzero(~finite)} of {values.size} locations",
            "set them to the background, or read the file as weights with " + Passing(kind="maps"),
        )
    off = np.abs(values - whole) > tolerance
    if off.any():
        raise AtlasFileError(
            path,
            f"labels should be whole numbers (to {tolerance}), got "
            f"{format_list(np.unique(values[off]).tolist(), 3)} at {np.count_nonzero(off)} of "
            f"{values.size} locations",
            "resample labels with nearest neighbours, or read the file as weights with "
            + Passing(kind="maps"),
        )
