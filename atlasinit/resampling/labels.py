"""Hard labels of new locations: the label with the largest sum of the neighbours' weights."""

from typing import Any

import numpy as np
from jaxtyping import Int

_TIE = 1e-6
"""Sums of weights that differ by less are equal: coordinates are stored in float32."""


def elect(matrix: Any, labels: Int[np.ndarray, " sources"]) -> Int[np.ndarray, " targets"]:
    """Return for each target the label with the largest sum of weights.

    Parameters
    ----------
    matrix
        (targets, sources) CSR weights, of which a row's sum is at most 1. What a row lacks to 1
        votes for none: it lies outside, or at locations that are not kept.
    labels
        (sources,) labels, -1 for none, which is a label as the others.

    Returns
    -------
    (targets,) labels. Of equal sums the one that is complete first wins, where the sources are
    gone through in their order, as in ``wb_command -label-resample``; none wins no tie
    by what a row lacks.
    """
    counts = np.diff(matrix.indptr)
    out = np.full(len(counts), -1, np.int32)
    some = np.flatnonzero(counts)
    if not some.size:
        return out
    votes, starts = labels[matrix.indices], matrix.indptr[some]
    low, high = (f.reduceat(votes, starts) for f in (np.minimum, np.maximum))
    sums = np.add.reduceat(matrix.data, starts)
    # Where all weights are of one label it wins, unless a part of them is missing.
    out[some] = high
    disputed = some[(low != high) | ((sums < 1 - _TIE) & (high >= 0))]
    if disputed.size:
        out[disputed] = _elect_among(matrix[disputed], labels)
    return out


def _elect_among(matrix: Any, labels: np.ndarray) -> np.ndarray:
    """Return what `elect` does, of rows with weights."""
    entries, rest = matrix.tocoo(), 1 - np.asarray(matrix.sum(axis=1)).reshape(-1)
    lacking = np.flatnonzero(rest > _TIE)
    # What is missing is one more vote of its row, behind all others.
    rows = np.concatenate([entries.row, lacking])
    votes = np.concatenate([labels[entries.col], np.full(lacking.size, -1)])
    weights = np.concatenate([entries.data, rest[lacking]])
    # By row, then by label: each run is one label of one row.
    order = np.lexsort((votes, rows))
    rows, votes = rows[order], votes[order]
    runs = np.flatnonzero(np.diff(rows, prepend=-1) | np.diff(votes, prepend=-2))
    sums = np.add.reduceat(weights[order], runs)
    # The place of the last vote of a run, as the sources of a row ascend.
    last = np.maximum.reduceat(order, runs)
    rows, votes = rows[runs], votes[runs]
    # (runs,) the first run of each row, then the largest sum of that row.
    first = np.flatnonzero(np.diff(rows, prepend=-1))
    largest = np.maximum.reduceat(sums, first)[rows]
    last = np.where(sums > largest - _TIE, last, len(order))
    winners = np.lexsort((last, rows))[first]
    return votes[winners]
