"""Single numbers and switches that users pass, checked."""

import math
from typing import Any

import numpy as np

from atlasinit.errors import ArgumentError, ArgumentTypeError


def check_number(
    value: Any, name: str, *, least: float | int, most: float | int = math.inf
) -> float:
    """Return `value` as a float, checked to be one finite number from `least` to `most`.

    Raises
    ------
    TypeError
        What is no single real number, as text, None, a truth value or an array of several.
    ValueError
        NaN, infinity, and numbers beyond the limits.
    """
    range_ = f"{least:g} or more" if most == math.inf else f"a number from {least:g} to {most:g}"
    number = take_number(value, name, range_)
    # NaN compares as false and is refused, too.
    if not (math.isfinite(number) and least <= number <= most):
        raise ArgumentError(name, f"should be {range_}, got {number:g}")
    return number


def check_whole_number(value: Any, name: str, *, least: int, most: float | int = math.inf) -> int:
    """Return `value` as an int, checked to be one whole number from `least` to `most`.

    34.0 is one.

    Raises
    ------
    TypeError
        What is no single real number.
    ValueError
        Fractions, NaN, infinity, and numbers beyond the limits.
    """
    wanted = f"a whole number from {least}" + ("" if most == math.inf else f" to {most}")
    number = take_number(value, name, wanted)
    if not (number.is_integer() and least <= number <= most):
        raise ArgumentError(name, f"should be {wanted}, got {number:g}")
    return int(value)


def check_switch(value: Any, name: str) -> bool:
    """Return `value` as a bool, checked to be one.

    Raises
    ------
    TypeError
        Anything else, as text, whose truth is not what it says.
    """
    if not isinstance(value, bool | np.bool_):
        raise ArgumentTypeError(name, f"should be True or False, got {value!r}")
    return bool(value)


def take_number(value: Any, name: str, wanted: str) -> float:
    """Return a single real number, which may be NaN or infinite, as a float; else a TypeError."""
    # bool is an int in Python, and float() takes text.
    one = isinstance(value, int | float | np.number | np.ndarray) and not isinstance(value, bool)
    if not one or np.ndim(value) or np.iscomplexobj(value) or np.asarray(value).dtype == bool:
        raise ArgumentTypeError(name, f"should be {wanted}, got {value!r}")
    return float(value)
