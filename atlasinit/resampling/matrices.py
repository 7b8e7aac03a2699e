"""The matrix of a resampling: for each target location the weights of source locations."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, Float32, Int

from atlasinit.support.threads import run_in_threads

if TYPE_CHECKING:
    from scipy.sparse import csr_array

_MAPS = 8  # multiplied by one thread at a time


def weigh(
    columns: Int[np.ndarray, "targets corners"],
    weights: Float[np.ndarray, "targets corners"],
    n_sources: int,
) -> "csr_array":
    """Return the matrix (targets, sources) of some source locations, -1 for none, a target.

    What is not kept has no entry, and the others are not scaled up for it: a soft map fades
    towards the edge of what its atlas keeps. In each row the sources ascend, each once.
    """
    from scipy.sparse import csr_array

    rows = np.broadcast_to(np.arange(len(columns))[:, None], columns.shape)
    used = (columns >= 0) & (weights > 0)
    entries = (weights[used], (rows[used], columns[used]))
    matrix = csr_array(entries, shape=(len(columns), n_sources))
    matrix.sum_duplicates()
    return matrix


def pick(sources: Int[np.ndarray, " targets"], n_sources: int) -> "csr_array":
    """Return the matrix (targets, sources) of one source location, -1 for none, a target."""
    return weigh(sources[:, None], np.ones((len(sources), 1)), n_sources)


def take_columns(matrix: Any, places: Int[np.ndarray, " columns"], n_sources: int) -> "csr_array":
    """Return a matrix with its columns at other places, without those of place -1."""
    from scipy.sparse import csr_array

    entries = matrix.tocoo()
    columns = places[entries.col]
    kept = columns >= 0
    parts = (entries.data[kept], (entries.row[kept], columns[kept]))
    moved = csr_array(parts, shape=(matrix.shape[0], n_sources))
    moved.sum_duplicates()
    return moved


def scale_rows(matrix: Any, factors: Float[np.ndarray, " targets"]) -> "csr_array":
    """Return a matrix with its rows multiplied."""
    from scipy.sparse import csr_array

    values = matrix.data * np.repeat(factors, np.diff(matrix.indptr))
    return csr_array((values, matrix.indices, matrix.indptr), shape=matrix.shape)


def average_rows(matrix: Any) -> "csr_array":
    """Return a matrix whose rows have the sum 1, but for those without weights."""
    totals = np.asarray(matrix.sum(axis=1)).reshape(-1)
    return scale_rows(matrix, 1 / np.where(totals > 0, totals, 1))


def multiply_maps(
    values: Float32[np.ndarray, "parcels sources"], parts: Iterable[Any]
) -> Float32[np.ndarray, "parcels targets"]:
    """Return dense maps at the targets of matrices (some targets, sources), side by side."""
    weights = [part.astype(np.float32) for part in parts]
    ends = np.cumsum([0, *(len(part.indptr) - 1 for part in weights)]).tolist()
    out = np.empty((len(values), ends[-1]), np.float32)

    # A map at a time: maps together, side by side for each location, would have to be turned twice.
    def multiply(some: range) -> None:
        for i in some:
            for part, start, end in zip(weights, ends[:-1], ends[1:], strict=True):
                out[i, start:end] = part @ values[i]

    starts = range(0, len(values), _MAPS)
    run_in_threads(multiply, [(range(i, min(i + _MAPS, len(values))),) for i in starts])
    return out
