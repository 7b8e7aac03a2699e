"""The matrix of a resampling: for each target location the weights of source locations."""

from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, Int

if TYPE_CHECKING:
    from scipy.sparse import csr_array


def weigh(
    columns: Int[np.ndarray, "targets corners"],
    weights: Float[np.ndarray, "targets corners"],
    n_sources: int,
) -> "csr_array":
    """Return the matrix (targets, sources) of some source locations, -1 for none, a target.

    What is not kept has no entry, and the others are not scaled up for it: a soft map fades
    towards the edge of what its atlas keeps.
    """
    from scipy.sparse import csr_array

    rows = np.broadcast_to(np.arange(len(columns))[:, None], columns.shape)
    used = (columns >= 0) & (weights > 0)
    entries = (weights[used], (rows[used], columns[used]))
    return csr_array(entries, shape=(len(columns), n_sources))


def pick(sources: Int[np.ndarray, " targets"], n_sources: int) -> "csr_array":
    """Return the matrix (targets, sources) of one source location, -1 for none, a target."""
    return weigh(sources[:, None], np.ones((len(sources), 1)), n_sources)


def gather(matrix: Any, values: np.ndarray, *, empty: Any) -> np.ndarray:
    """Return the value of the only entry in each row, and `empty` where there is none."""
    filled = np.diff(matrix.indptr) > 0
    out = np.full(len(filled), empty, values.dtype)
    out[filled] = values[matrix.indices[matrix.indptr[:-1][filled]]]
    return out
