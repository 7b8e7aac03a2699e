"""Where parcels are: their members, of any kind of maps, and connected pieces of these."""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Int

from atlasinit.core.adjacency import find_touching
from atlasinit.core.atlas import Atlas
from atlasinit.core.geometry import Geometry
from atlasinit.core.maps import DenseMaps, HardMaps
from atlasinit.support.arrays import number_by_first


def find_members(atlas: Atlas) -> dict[str, Int[np.ndarray, "2 members"]]:
    """Return the row and the location of each weight that is not 0, by row and then by location."""
    found = {}
    for c, maps in atlas.maps.items():
        if isinstance(maps, HardMaps):
            labels = np.asarray(maps.labels)
            locations = np.argsort(labels, kind="stable")[np.count_nonzero(labels < 0) :]
            rows = labels[locations]
        elif isinstance(maps, DenseMaps):
            rows, locations = np.nonzero(np.asarray(maps.values))
        else:
            # What is stored as 0 is no member.
            kept = np.flatnonzero(np.asarray(maps.values))
            rows, locations = maps.rows()[kept], np.asarray(maps.indices)[kept]
        start = atlas.table.rows_of(c).start
        found[c] = np.stack([rows + start, locations]).astype(np.int64)
    return found


def find_pieces(
    members: Int[np.ndarray, "2 members"], geometry: Geometry
) -> Int[np.ndarray, " members"]:
    """Return the connected piece of each member, numbered in the order of their first members."""
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import connected_components

    n = geometry.n_locations
    one, other = find_touching(geometry)
    touching = csr_array((np.ones(one.size, bool), (one, other)), shape=(n, n))
    starts, neighbours = touching.indptr, touching.indices
    pieces, count = np.empty(members.shape[1], np.int64), 0
    # Where a location stands among those of the parcel at hand, else -1.
    place = np.full(n, -1, np.int64)
    for begin, end in _runs(members[0]):
        own = members[1, begin:end]
        place[own] = np.arange(own.size)
        degrees = starts[own + 1] - starts[own]
        # Positions in `neighbours` of all that touch the parcel's locations, one after the other.
        shifts = np.repeat(starts[own] - np.cumsum(degrees) + degrees, degrees)
        near = place[neighbours[shifts + np.arange(shifts.size)]]
        edges = np.stack([np.repeat(np.arange(own.size), degrees), near])[:, near >= 0]
        graph = csr_array((np.ones(edges.shape[1], bool), tuple(edges)), shape=(own.size,) * 2)
        _, labels = connected_components(graph, directed=False)
        pieces[begin:end] = count + number_by_first(labels)
        count = pieces[begin:end].max() + 1
        place[own] = -1
    return pieces


def _runs(rows: Int[np.ndarray, " members"]) -> Iterator[tuple[int, int]]:
    """Yield where each run of equal rows begins and ends."""
    edges = np.flatnonzero(np.diff(rows, prepend=-1, append=-1)).tolist() if rows.size else []
    yield from zip(edges[:-1], edges[1:], strict=True)
