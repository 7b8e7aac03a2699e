"""What was done to series in words, and which time points are left."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int

from atlasinit.errors import format_count, format_list
from atlasinit.io.timing import read_repetition_time

UNSTATED = {"Made by": "not stated; the series were given as they are"}
"""Of series that came without a word of how they were made."""


def describe_data(data: Any, reduction: str) -> dict[str, str]:
    """Return what is known of series that are projected here, of data as they come."""
    parts = [
        Path(part).name
        if isinstance(part, str | os.PathLike)
        else f"{type(part).__name__}, in memory"
        for part in _parts_of(data)
    ]
    return {
        "Data": format_list(dict.fromkeys(parts)),
        "Reduction": reduction,
        "Missing data": "propagate",
        "Confounds, filters, standardising": "none here",
        "Sample mask": "none; all time points kept",
    }


def find_step(data: Any) -> float | None:
    """Return the seconds between volumes that data state, None where they state none."""
    return read_repetition_time(_parts_of(data)[0])


def describe_step(given: float | None, stated: float | None) -> dict[str, str]:
    """Return the time between two time points in words, and who states it."""
    if given is not None:
        return {"Time step": f"{given:g} s, as given"}
    if stated is not None:
        return {"Time step": f"{stated:g} s, as the file states"}
    return {"Time step": "not stated; time points are counted"}


def _parts_of(data: Any) -> list[Any]:
    if isinstance(data, Mapping):
        return list(data.values())
    return list(data) if isinstance(data, list | tuple) else [data]


def describe_confounds(confounds: Any) -> str:
    """Return how many confounds were regressed out, and their names where they have some.

    Takes what ``nilearn.signal.clean`` does: an array, a table, a path, or a list of them.
    """
    if confounds is None:
        return "none"
    if isinstance(confounds, str | os.PathLike):
        return f"those of {Path(confounds).name}"
    if isinstance(confounds, list):
        return "; ".join(describe_confounds(one) for one in confounds) or "none"
    # (time, confounds), or (time,) of a single one.
    shape = np.shape(confounds)
    text = f"{format_count(shape[1] if len(shape) > 1 else 1, 'confound')} regressed out"
    names = getattr(confounds, "columns", None)
    return text if names is None else f"{text}: {format_list(names)}"


def describe_frequencies(high_pass: float | None, low_pass: float | None) -> str:
    """Return which frequencies filters keep, in Hz."""
    ends = {"above": high_pass, "below": low_pass}
    return " and ".join(f"{side} {end:g} Hz" for side, end in ends.items() if end) or "all"


def read_sample_mask(sample_mask: Any) -> tuple[Int[np.ndarray, " kept"] | None, str]:
    """Return the numbers of the time points that stay, None for all, and how many in words."""
    # A list of numbers is a mask by itself, one of arrays has a mask for each run.
    if isinstance(sample_mask, list | tuple) and len(sample_mask) == 1 and np.ndim(sample_mask[0]):
        sample_mask = sample_mask[0]
    if sample_mask is None:
        return None, "none; all time points kept"
    given = np.asarray(sample_mask)
    # Truths say of every time point whether it stays, numbers which do.
    if given.dtype == bool:
        return np.flatnonzero(given), f"{given.sum()} of {given.size} time points kept"
    return given, f"{format_count(given.size, 'time point')} kept"
