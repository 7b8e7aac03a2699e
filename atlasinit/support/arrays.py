"""Arrays of NumPy: such that nobody can write to, in another precision, and numbered anew."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped


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


def narrow(
    values: Shaped[np.ndarray, "..."], dtype: np.dtype
) -> tuple[Float[np.ndarray, "..."], Bool[np.ndarray, "..."]]:
    """Return values in another precision, and which of them became 0 or infinite in it."""
    # NumPy would warn of what is returned.
    with np.errstate(over="ignore", under="ignore"):
        out = values.astype(dtype)
    return out, (np.isfinite(values) & ~np.isfinite(out)) | ((values != 0) & (out == 0))


def number_by_first(labels: Int[np.ndarray, " n"]) -> Int[np.ndarray, " n"]:
    """Return labels numbered anew from 0, in the order in which they first occur."""
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    # argsort of argsort gives ranks.
    return np.argsort(np.argsort(first))[inverse]
