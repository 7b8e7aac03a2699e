"""What parcels of two atlases share at the same locations."""

from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float64

if TYPE_CHECKING:
    from scipy.sparse import csr_array

_PAIRS = 2**22
"""Pairs of weights that are compared at once: about 100 MiB."""


def intersect(
    one: Any, other: Any, sizes: Float64[np.ndarray, " locations"] | None = None
) -> "csr_array":
    r"""Return :math:`\sum_j a_j \min(m_{kj}, m'_{lj})` for each pair of maps, sparse.

    Parameters
    ----------
    one, other
        (parcels, locations) memberships without negative ones.
    sizes
        (locations,) what each counts, by default 1.
    """
    from scipy.sparse import csr_array, diags_array

    factors = np.ones(one.shape[1]) if sizes is None else sizes
    if (one.data == 1).all() and (other.data == 1).all():
        found = csr_array(one @ diags_array(factors) @ other.T)
        found.eliminate_zeros()
        return found
    shape = (one.shape[0], other.shape[0])
    total = csr_array(shape)
    a, b = one.tocsc(), other.tocsc()
    # How many pairs of weights there are at each location, and up to it.
    pairs = np.diff(a.indptr).astype(np.int64) * np.diff(b.indptr)
    ends = np.concatenate([[0], np.cumsum(pairs)])
    start = 0
    while start < a.shape[1]:
        stop = max(int(np.searchsorted(ends, ends[start] + _PAIRS, side="right")) - 1, start + 1)
        total = total + _intersect_part(a, b, factors, slice(start, stop), shape)
        start = stop
    return csr_array(total)


def _intersect_part(
    a: Any, b: Any, factors: np.ndarray, at: slice, shape: tuple[int, int]
) -> "csr_array":
    from scipy.sparse import csr_array

    span = slice(a.indptr[at.start], a.indptr[at.stop])
    location = np.repeat(np.arange(at.start, at.stop), np.diff(a.indptr[at.start : at.stop + 1]))
    # Each weight of `a` meets all weights of `b` at its location: where these begin, less where
    # they will begin, plus a running count (as in `SparseMaps.take_parcels`).
    begins, counts = b.indptr[:-1][location], np.diff(b.indptr)[location]
    partner = np.repeat(begins - np.cumsum(counts) + counts, counts)
    partner = partner + np.arange(partner.size, dtype=partner.dtype)
    values = np.minimum(np.repeat(a.data[span], counts), b.data[partner])
    values = values * np.repeat(factors[location], counts)
    rows = np.repeat(a.indices[span], counts)
    return csr_array((values, (rows, b.indices[partner])), shape=shape)


def count_shared(one: Any, other: Any) -> "csr_array":
    r"""Return how many locations each pair of parcels is expected to share, sparse.

    Of weights :math:`w` a location belongs to parcel k with the probability
    :math:`p_{kj} = w_{kj} / \sum_k w_{kj}`; the table is :math:`\sum_j p_{kj} q_{lj}` over the
    locations that have weight in both. Of labels these are counts.
    """
    from scipy.sparse import csr_array, diags_array

    shares = []
    for weights in (one, other):
        totals = np.asarray(weights.sum(axis=0), np.float64)
        shares.append(weights @ diags_array(1 / np.where(totals > 0, totals, 1)))
    found = csr_array(shares[0] @ shares[1].T)
    found.eliminate_zeros()
    return found
