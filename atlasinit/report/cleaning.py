"""Confounds and sample masks in words, and which time points are left."""

import os
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int

from atlasinit.errors import format_count, format_list


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
