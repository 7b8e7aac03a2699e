"""Parcels from data alone: many of Ward's, fitted and merged until few enough are left."""

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Int, Int32

from atlasinit.refinement.estimate import estimate
from atlasinit.refinement.fitting import Bounds, Effort, Fitter
from atlasinit.refinement.neighbours import find_neighbours
from atlasinit.refinement.series import Prepared, between_squares
from atlasinit.refinement.starts import merge_parcels, ward_labels

_LEVELS = (4, 2, 1)
"""Times as many parcels as are wanted: fitted and merged from the most to the fewest."""


@dataclasses.dataclass(frozen=True)
class Search:
    """How parcels are looked for.

    Parameters
    ----------
    effort
        Of the last level.
    restarts
        How often all levels are gone through, with draws of their own.
    seed
        Of the draws.
    """

    effort: Effort
    restarts: int
    seed: Sequence[int]


def find_parcels(
    series: Prepared,
    pairs: Int[np.ndarray, "2 pairs"],
    n_parcels: int,
    search: Search,
    *,
    tell: Callable[[int, int], None] | None = None,
) -> Int32[np.ndarray, " locations"]:
    r"""Return connected parcels of locations of which `pairs` touch.

    Of the restarts that which keeps most of the variance of the series: the sum of
    :math:`\| S_k \|^2 / n_k`, in the series that the fits settle on. `tell` gets the number of
    levels that are done, and of all.
    """
    values = series.own.values
    most = min(_LEVELS[0] * n_parcels, len(values))
    fitter = Fitter(series, find_neighbours(pairs, len(values)), most=most)
    fine = ward_labels(series.shared.values, pairs, most)
    best, kept = fine, -np.inf
    for restart in range(search.restarts):
        labels = fine
        for level, factor in enumerate(_LEVELS):
            if labels.max() + 1 > factor * n_parcels:
                labels = merge_parcels(labels, series.shared.values, pairs, factor * n_parcels)
            # A start of the next level cools for ten sweeps from temperature 1, at which labels are
            # drawn in proportion to their evidence. The last begins hotter than a fit of named
            # parcels, as what has been merged is worth less.
            effort = dataclasses.replace(search.effort, temperature=4.0)
            if factor > 1:
                effort = dataclasses.replace(effort, temperature=1.0, hot=10)
            labels = _fit(fitter, series, labels, effort, seed=(*search.seed, restart, level))
            if tell is not None:
                tell(restart * len(_LEVELS) + level + 1, search.restarts * len(_LEVELS))
        found = float(between_squares(series.own, labels, n_parcels).sum())
        if found > kept:
            best, kept = labels, found
    return best


def _fit(
    fitter: Fitter,
    series: Prepared,
    labels: Int32[np.ndarray, " locations"],
    effort: Effort,
    *,
    seed: Sequence[int],
) -> Int32[np.ndarray, " locations"]:
    n = int(labels.max()) + 1
    estimates = estimate(series.own, labels, n)
    if not estimates.has_signal:
        return labels
    bounds = Bounds(np.ones(labels.size, bool), np.ones(n, bool))
    return fitter.fit(labels, bounds, estimates, effort, seed=seed).labels
