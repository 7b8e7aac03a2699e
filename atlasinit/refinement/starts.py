"""Parcels from data alone: Ward's on the graph of neighbours, and merges of parcels."""

import heapq

import numpy as np
from jaxtyping import Float, Int, Int32

from atlasinit.refinement.series import sum_parcels


def ward_labels(
    values: Float[np.ndarray, "locations components"],
    pairs: Int[np.ndarray, "2 pairs"],
    n_parcels: int,
) -> Int32[np.ndarray, " locations"]:
    """Return connected parcels that lose least variance at each merge (Ward 1963).

    scikit-learn's ``AgglomerativeClustering`` with a connectivity. Each connected part of the
    graph has parcels in proportion to its size, at least one.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components
    from sklearn.cluster import AgglomerativeClustering

    n = len(values)
    ones = np.ones(2 * pairs.shape[1])
    both = np.concatenate([pairs, pairs[::-1]], axis=1)
    graph = coo_array((ones, tuple(both)), shape=(n, n)).tocsr()
    count, part = connected_components(graph, directed=False)
    out = np.full(n, -1, np.int32)
    begun = 0
    # You would expect one call, but scikit-learn adds edges of its own between the parts of a graph
    # that is not connected.
    for which, wanted in enumerate(_shares(np.bincount(part, minlength=count), n_parcels)):
        rows = np.flatnonzero(part == which)
        found = np.zeros(rows.size, np.int64)
        if 1 < wanted:
            ward = AgglomerativeClustering(
                int(wanted), connectivity=graph[rows][:, rows], linkage="ward"
            )
            found = ward.fit_predict(values[rows])
        out[rows] = begun + found
        begun += wanted
    return out


def _shares(sizes: Int[np.ndarray, " parts"], n_parcels: int) -> Int[np.ndarray, " parts"]:
    """Return parcels of each part: one, and the others where a part has most for each of its."""
    out = np.ones(sizes.size, np.int64)
    # With one to begin with, this is Adams' method of apportionment.
    for _ in range(n_parcels - sizes.size):
        room = np.where(out < sizes, sizes / out, 0)
        out[room.argmax()] += 1
    return out


def merge_parcels(
    labels: Int[np.ndarray, " locations"],
    values: Float[np.ndarray, "locations components"],
    pairs: Int[np.ndarray, "2 pairs"],
    n_parcels: int,
) -> Int32[np.ndarray, " locations"]:
    r"""Return labels after merges of parcels that touch, those first that lose least variance.

    Merging parcels of means :math:`\mu` and numbers :math:`n` loses
    :math:`n_k n_l / (n_k + n_l) \| \mu_k - \mu_l \|^2`.
    """
    first = int(labels.max()) + 1
    counts = np.bincount(labels, minlength=first).astype(float)
    # A fit leaves each parcel one location at least, and merges number parcels anew.
    sums = sum_parcels(values, labels, first)
    near: list[set[int]] = [set() for _ in range(first)]
    touching = labels[pairs]
    for one, other in np.unique(touching[:, touching[0] != touching[1]], axis=1).T.tolist():
        near[one].add(other)
        near[other].add(one)
    # What lies in the heap counts as long as both parcels are as they were.
    version = [0] * first
    into = list(range(first))

    def entry(one: int, other: int) -> tuple[float, int, int, int, int]:
        one, other = min(one, other), max(one, other)
        apart = sums[one] / counts[one] - sums[other] / counts[other]
        loss = counts[one] * counts[other] / (counts[one] + counts[other]) * (apart @ apart)
        return float(loss), one, other, version[one], version[other]

    heap = [entry(one, other) for one in range(first) for other in near[one] if one < other]
    heapq.heapify(heap)
    left = first
    while left > n_parcels and heap:
        _, one, other, *seen = heapq.heappop(heap)
        if [version[one], version[other]] != seen:
            continue
        sums[one] += sums[other]
        counts[one] += counts[other]
        into[other] = one
        version[one] += 1
        version[other] = -1
        near[one] = (near[one] | near[other]) - {one, other}
        for next_ in near[other] - {one}:
            near[next_] = (near[next_] - {other}) | {one}
        near[other] = set()
        left -= 1
        # A pair's loss depends on both means and numbers, which have changed for all of these.
        for next_ in near[one]:
            heapq.heappush(heap, entry(one, next_))
    for parcel in range(first):
        # Parcels go into lower ones, so that one step finds the last.
        into[parcel] = into[into[parcel]]
    return np.unique(np.array(into)[labels], return_inverse=True)[1].astype(np.int32)
