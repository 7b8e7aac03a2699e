"""Arrays of NumPy that nobody can write to, copied only where somebody could."""

from collections.abc import Iterator
from typing import Any

import numpy as np


def as_read_only(array: Any, dtype: Any) -> np.ndarray:
    """Return a read-only C-ordered array, copied only if the caller could still write to it."""
    out = np.ascontiguousarray(array, dtype=dtype)
    # A read-only view changes with what it is a view of: all of them have to be read-only. What
    # the conversion has made anew nobody else has, and so it needs no copy.
    if any(one.flags.writeable for one in _bases(out)):
        out = out.copy() if out is array or out.base is not None else out
        out.flags.writeable = False
    return out


def make_read_only(array: np.ndarray) -> np.ndarray:
    """Return an array that only this package has, read-only, so that maps need not copy it."""
    # What it is a view of too, or `as_read_only` would copy it.
    for one in _bases(array):
        one.flags.writeable = False
    return array


def _bases(array: np.ndarray) -> Iterator[np.ndarray]:
    """Yield an array, and those that it is a view of."""
    base: Any = array
    while isinstance(base, np.ndarray):
        yield base
        base = base.base


def to_single(values: np.ndarray) -> np.ndarray:
    """Return numbers in single precision, infinity for those beyond it, without a warning."""
    with np.errstate(over="ignore"):
        return values.astype(np.float32, copy=False)
