"""The runs of data in memory: read, cut in halves, and scaled side by side."""

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from jaxtyping import Float, Float32

from atlasinit.core.atlas import Atlas
from atlasinit.errors import Argument, ArgumentError, format_count
from atlasinit.io import open_data
from atlasinit.support.numbers import check_whole_number

# In double precision so many series of 1200 volumes take 79 MB.
CHUNK = 8192
"""Locations that are taken to double precision at once."""

Runs: TypeAlias = Sequence[Float[np.ndarray, "locations _"]]
"""Series of each run in memory; they may differ in length."""


def read_runs(
    data: Any, atlas: Atlas, *, sample_mask: Any, min_volumes: Any, data_space: Any
) -> list[Float[np.ndarray, "locations _"]]:
    """Return the runs of data, in memory: a list is of runs, anything else is one."""
    least = check_whole_number(min_volumes, "min_volumes", least=2)
    given = data if isinstance(data, list) else [data]
    if not given:
        raise ArgumentError("data", "is an empty list", "pass at least one run")
    masks = sample_mask if isinstance(sample_mask, list) else [sample_mask] * len(given)
    # With one run a list holds the numbers of its volumes and is not one of masks.
    if isinstance(sample_mask, list) and not isinstance(data, list):
        masks = [np.asarray(sample_mask)]
    if len(masks) != len(given):
        raise ArgumentError(
            "sample_mask",
            f"should be one for each run, of which there are {len(given)}, got {len(masks)}",
        )
    runs = [
        _masked(open_data(one, atlas, data_space=data_space).all(), mask)
        for one, mask in zip(given, masks, strict=True)
    ]
    volumes = sum(run.shape[1] for run in runs)
    if volumes < least:
        raise ArgumentError(
            "data",
            f"should have at least {least} volumes, as fewer say more of noise than of "
            f"borders, got {volumes}",
            "pass more runs, or a smaller " + Argument("min_volumes"),
        )
    return runs


def _masked(run: Float[np.ndarray, "locations time"], mask: Any) -> np.ndarray:
    if mask is None:
        return run
    kept = np.asarray(mask)
    if kept.ndim != 1 or (kept.dtype == bool and kept.size != run.shape[1]):
        raise ArgumentError(
            "sample_mask",
            f"should be the numbers of the volumes to keep, or {run.shape[1]} booleans, "
            f"got shape {kept.shape}",
        )
    if kept.dtype.kind not in "biu" or (
        kept.dtype != bool and kept.size and not (0 <= kept.min() <= kept.max() < run.shape[1])
    ):
        raise ArgumentError(
            "sample_mask", f"should be numbers from 0 to {run.shape[1] - 1}, got {kept.tolist()}"
        )
    return run[:, kept]


def halve(
    runs: Runs,
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Return the first and the second half of the volumes of each run."""
    # You would expect even and odd volumes, but those next to each other in time share their noise,
    # so that one half would know of the other's.
    middle = [run.shape[1] // 2 for run in runs]
    first = [run[:, :m] for run, m in zip(runs, middle, strict=True)]
    return first, [run[:, m:] for run, m in zip(runs, middle, strict=True)]


def scale_runs(
    runs: Runs, *, standardize: bool
) -> tuple[Float32[np.ndarray, "locations time"], Float32[np.ndarray, " locations"]]:
    """Return the centred series of all runs side by side, and the share that was observed.

    A location that is NaN anywhere in a run, or never changes in it, has zeros there: the run
    says nothing about it. Standardised, each run has squared norm of its share of the volumes;
    otherwise the mean over what was observed of the squared norm of all runs is 1.
    """
    total = sum(run.shape[1] for run in runs)
    n = runs[0].shape[0]
    out = np.zeros((n, total), np.float32)
    observed = np.zeros(n, np.float32)
    start = 0
    for run in runs:
        length = run.shape[1]
        for low in range(0, n, CHUNK):
            rows = slice(low, low + CHUNK)
            part = run[rows].astype(np.float64)
            finite = np.isfinite(part).all(axis=1)
            part[~finite] = 0
            scale = np.abs(part).max(axis=1, initial=0)
            part -= part.mean(axis=1, keepdims=True) if length else 0
            norm = np.linalg.norm(part, axis=1)
            # Of constant series the mean leaves rounding.
            # Their standard deviation, norm / sqrt(length), is below 1e-7 of the largest value,
            # which is about the precision of float32.
            seen = finite & (norm > 1e-7 * scale * np.sqrt(max(length, 1)))
            part[~seen] = 0
            if standardize:
                # Runs have the squared norm length / total each, which adds up to 1 over all.
                part *= np.where(seen, np.sqrt(length / total) / np.where(seen, norm, 1), 0)[
                    :, None
                ]
            out[rows, start : start + length] = part
            observed[rows] += np.where(seen, length / total, 0).astype(np.float32)
        start += length
    # One factor for all locations: those that vary more keep their greater weight.
    if not standardize and observed.any():
        power = float(np.einsum("ij,ij->", out, out, dtype=np.float64)) / float(observed.sum())
        out /= np.float32(np.sqrt(power))
    return out, observed


def describe(runs: Runs) -> str:
    """Return how much data there is, for the provenance."""
    return f"{format_count(len(runs), 'run')} of {sum(r.shape[1] for r in runs)} volumes"
