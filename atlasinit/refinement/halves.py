"""What halves of the data say: how well fits hold in data that they have not seen."""

import dataclasses
import itertools
import warnings
from collections.abc import Iterable, Sequence
from typing import Any

import jax
import numpy as np

from atlasinit.core.atlas import Atlas
from atlasinit.core.checking import check_labels
from atlasinit.core.selection import Parcel
from atlasinit.errors import AtlasWarning
from atlasinit.refinement.compartments import refine_compartments
from atlasinit.refinement.fitting import Effort
from atlasinit.refinement.quality import (
    Agreement,
    labels_of,
    measure_agreement,
    share_kept,
)
from atlasinit.refinement.runs import Runs, describe, halve, read_runs
from atlasinit.refinement.settings import Progress, Settings, make_settings

_CHOICES = tuple(itertools.product((0.5, 1.0, 2.0), (0.0, 0.3, 2.0)))
"""Weights of the priors that halves of the data choose among."""


@dataclasses.dataclass(frozen=True)
class Halves:
    """What fits to one half of the data say of the other half, in both directions.

    Parameters
    ----------
    before, after
        Share of the variance of the half not fitted to that parcels' means keep, of the start
        and of the fit; means of the two directions.
    agreement
        Of the two fits.
    moved
        Share of the locations that the fits moved, on average.
    """

    before: float
    after: float
    agreement: Agreement
    moved: float


def assess_halves(
    atlas: Atlas,
    data: Any,
    *,
    key: jax.Array | None = None,
    neighbours: float | int | None = None,
    tether: float | int | None = None,
    halves: bool = False,
    sample_mask: Any = None,
    standardize: bool = True,
    denoise: bool = True,
    frozen: Parcel | Iterable[Parcel] | None = None,
    max_hops: int | None = None,
    max_mm: float | int | None = None,
    fill: bool = False,
    strays: float | int = 0.05,
    min_size: int = 1,
    min_coverage: float | int = 0.0,
    min_volumes: int = 60,
    data_space: str | None = None,
    sweeps: int = 200,
    progress: Progress | None = None,
) -> Halves:
    """Return how well fits to halves of the data do in the other halves, and how alike they are.

    Parameters
    ----------
    atlas, data
        As of `atlasinit.refine`, of which each run is cut in two.
    key, neighbours, tether, halves, sample_mask, standardize, denoise
        As of `atlasinit.refine`.
    frozen, max_hops, max_mm, fill, strays, min_size, min_coverage, data_space, sweeps, progress
        As of `atlasinit.refine`.
    min_volumes
        As of `atlasinit.refine`; it is of both halves together.

    Raises
    ------
    ValueError, TypeError
        As `atlasinit.refine`.
    """
    check_labels(atlas)
    settings = make_settings(
        atlas,
        key=key,
        neighbours=neighbours,
        tether=tether,
        halves=halves,
        standardize=standardize,
        denoise=denoise,
        frozen=frozen,
        max_hops=max_hops,
        max_mm=max_mm,
        fill=fill,
        strays=strays,
        min_size=min_size,
        min_coverage=min_coverage,
        sweeps=sweeps,
        progress=progress,
    )
    runs = read_runs(
        data, atlas, sample_mask=sample_mask, min_volumes=min_volumes, data_space=data_space
    )
    parts = halve(runs)
    fits = [fit_runs(atlas, part, settings) for part in parts]
    return _judge(atlas, fits, parts, standardize=standardize)


def _judge(
    atlas: Atlas,
    fits: Sequence[Atlas],
    parts: Sequence[Sequence[np.ndarray]],
    *,
    standardize: bool,
) -> Halves:
    # fits[0] is of the first half, and judged by the second; the reverse for fits[1].
    others = parts[::-1]
    before = [share_kept(atlas, part, standardize=standardize) for part in others]
    after = [
        share_kept(fit, part, standardize=standardize)
        for fit, part in zip(fits, others, strict=True)
    ]
    start = labels_of(atlas)
    moved = [np.mean(labels_of(fit) != start) for fit in fits]
    return Halves(
        float(np.mean(before)),
        float(np.mean(after)),
        measure_agreement(*fits),
        float(np.mean(moved)),
    )


def fit_runs(atlas: Atlas, runs: Runs, settings: Settings) -> Atlas:
    """Return the atlas fitted to runs, whose halves choose the weights where that is asked for."""
    if settings.halves:
        best = _choose(atlas, runs, settings)
        if best is None:
            return atlas.replace(operation=f"refine({describe(runs)}, halves: start kept)")
        settings = dataclasses.replace(settings, effort=best)
    return refine_compartments(atlas, runs, settings)


def _choose(atlas: Atlas, runs: Runs, settings: Settings) -> Effort | None:
    """Return the effort that does best in halves not fitted to; None where the start does."""
    parts = halve(runs)
    best, found = None, -np.inf
    # Variances can be compared, as all choices have the same number of parcels.
    for neighbours, tether in _CHOICES:
        effort = dataclasses.replace(settings.effort, neighbours=neighbours, tether=tether)
        one = dataclasses.replace(settings, effort=effort, memberships=False, progress=None)
        with warnings.catch_warnings():
            # The fit to all of the data says these things once more.
            warnings.simplefilter("ignore", AtlasWarning)
            fits = [refine_compartments(atlas, part, one) for part in parts]
        judged = _judge(atlas, fits, parts, standardize=settings.standardize)
        if judged.after > max(found, judged.before):
            best, found = effort, judged.after
    return best
