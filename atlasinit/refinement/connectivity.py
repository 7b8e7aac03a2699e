"""Pieces of parcels, strays and reach: connectivity, which is found on the host by SciPy."""

from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool, Float, Int, Int32

from atlasinit.core.adjacency import find_touching
from atlasinit.core.geometry import Geometry, VolumeGrid
from atlasinit.errors import Argument, ArgumentError

if TYPE_CHECKING:
    from scipy.sparse import csr_array


def find_pieces(
    labels: Int[np.ndarray, " locations"], pairs: Int[np.ndarray, "2 pairs"]
) -> Int32[np.ndarray, " locations"]:
    """Return the number of the connected piece of its parcel that each location lies in.

    -1 for locations of no parcel.
    """
    from scipy.sparse.csgraph import connected_components

    one, other = labels[pairs]
    within = pairs[:, (one == other) & (one >= 0)]
    # Edges within parcels alone: the connected parts of this graph are the pieces of parcels.
    _, found = connected_components(_graph(within, labels.size), directed=False)
    kept = labels >= 0
    out = np.full(labels.size, -1, np.int32)
    # Locations of no parcel are parts of one each; without these the pieces count from 0.
    out[kept] = np.unique(found[kept], return_inverse=True)[1]
    return out


def count_pieces(
    labels: Int[np.ndarray, " locations"], pairs: Int[np.ndarray, "2 pairs"], n_parcels: int
) -> Int[np.ndarray, " parcels"]:
    """Return the number of connected pieces of each parcel."""
    pieces = find_pieces(labels, pairs)
    kept = labels >= 0
    # Any location of a piece tells its parcel.
    _, first = np.unique(pieces[kept], return_index=True)
    return np.bincount(labels[kept][first], minlength=n_parcels)


def join_strays(
    labels: Int[np.ndarray, " locations"],
    pairs: Int[np.ndarray, "2 pairs"],
    *,
    share: float | int,
    kept: Bool[np.ndarray, " locations"],
) -> Int32[np.ndarray, " locations"]:
    """Return labels whose small pieces belong to the parcels that they touch.

    Small are pieces, other than the largest of a parcel, of at most `share` of its locations;
    those that touch no other parcel stay, and so does what is `kept`.
    """
    pieces = find_pieces(labels, pairs)
    there = labels >= 0
    if not there.any():
        return labels.astype(np.int32)
    # sizes and parcel are (pieces,), totals is (parcels,).
    sizes = np.bincount(pieces[there])
    parcel = np.zeros(sizes.size, np.int64)
    parcel[pieces[there]] = labels[there]
    totals = np.bincount(labels[there])
    # Of several largest pieces the first one stays.
    order = np.lexsort((np.arange(sizes.size), -sizes, parcel))
    main = np.zeros(sizes.size, bool)
    main[order[np.flatnonzero(np.diff(parcel[order], prepend=-1))]] = True
    small = ~main & (sizes <= share * totals[parcel])
    loose = np.append(small, False)[pieces] & ~kept
    open_ = np.where(loose, -1, labels)
    filled = grow_into(open_, pairs, loose)
    return np.where(filled < 0, labels, filled).astype(np.int32)


def grow_into(
    labels: Int[np.ndarray, " locations"],
    pairs: Int[np.ndarray, "2 pairs"],
    where: Bool[np.ndarray, " locations"],
) -> Int32[np.ndarray, " locations"]:
    """Return labels that have grown, a ring of neighbours at a time, into locations `where`.

    A location joins the parcel of most of its neighbours. What no parcel reaches stays.
    """
    # In both directions, so that each location of a pair is `at` once.
    both = np.concatenate([pairs, pairs[::-1]], axis=1)
    out = labels.astype(np.int64)
    n_parcels = out.max(initial=-1) + 1
    while n_parcels:
        at, near = both
        growing = where[at] & (out[at] < 0) & (out[near] >= 0)
        if not growing.any():
            break
        # A location and a parcel as one int64 number, to count votes for both at once.
        votes, counts = np.unique(at[growing] * n_parcels + out[near[growing]], return_counts=True)
        location, parcel = np.divmod(votes, n_parcels)
        # For each location the parcel of most votes first; of as many votes the lowest.
        order = np.lexsort((parcel, -counts, location))
        first = order[np.flatnonzero(np.diff(location[order], prepend=-1))]
        out[location[first]] = parcel[first]
    return out.astype(np.int32)


def within_hops(
    labels: Int[np.ndarray, " locations"],
    pairs: Int[np.ndarray, "2 pairs"],
    n_parcels: int,
    hops: int,
) -> Bool[np.ndarray, "locations parcels"]:
    """Return which parcels lie within a number of steps between neighbours of each location."""
    from scipy.sparse import csr_array, eye_array

    n = labels.size
    kept = np.flatnonzero(labels >= 0)
    shape = (n, n_parcels)
    # Row i holds the parcels that location i has been reached from.
    reached = csr_array((np.ones(kept.size, np.int8), (kept, labels[kept])), shape=shape)
    step = (_graph(pairs, n) + _graph(pairs[::-1], n) + eye_array(n)).tocsr().astype(np.int8)
    for _ in range(hops):
        reached = step @ reached
        # What counts paths becomes 1 again: int8 overflows after a few steps.
        reached.data[:] = 1
    return reached.toarray().astype(bool)


def within_mm(
    labels: Int[np.ndarray, " locations"],
    geometry: Geometry,
    n_parcels: int,
    distance: float | int,
) -> Bool[np.ndarray, "locations parcels"]:
    """Return which parcels lie within a distance, along edges between neighbours, in mm."""
    from scipy.sparse.csgraph import dijkstra

    pairs = find_touching(geometry)
    points = _points(geometry)
    # Along edges, as a parcel grows: on a grid a diagonal is longer than the straight line.
    lengths = np.linalg.norm(points[pairs[0]] - points[pairs[1]], axis=1)
    graph = _graph(pairs, labels.size, lengths)
    out = np.zeros((labels.size, n_parcels), bool)
    for parcel in np.unique(labels[labels >= 0]):
        members = np.flatnonzero(labels == parcel)
        # From all members at once: the distance to the nearest of them, infinite beyond the limit.
        found = dijkstra(graph, directed=False, indices=members, min_only=True, limit=distance)
        out[:, parcel] = np.isfinite(found)
    return out


def _points(geometry: Geometry) -> Float[np.ndarray, "locations 3"]:
    if isinstance(geometry, VolumeGrid):
        return geometry.coordinates
    # Distances on a sphere are stretched where folds were pulled flat: the folded surface first.
    surface = geometry.anatomical if geometry.anatomical is not None else geometry.sphere
    if surface is None:
        raise ArgumentError(
            "max_mm",
            f"needs coordinates, which {geometry!r} lacks",
            "pass " + Argument("max_hops") + ", or load the atlas with " + Argument("meshes"),
        )
    return surface[geometry.vertices].astype(np.float64)


def _graph(
    pairs: Int[np.ndarray, "2 pairs"],
    n: int,
    lengths: Float[np.ndarray, " pairs"] | None = None,
) -> "csr_array":
    from scipy.sparse import csr_array

    values = np.ones(pairs.shape[1]) if lengths is None else lengths
    return csr_array((values, (pairs[0], pairs[1])), shape=(n, n))
