"""Which locations touch, and so which parcels do."""

from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool, Int, Int32

from atlasinit.core.geometry import Geometry, VolumeGrid
from atlasinit.core.maps import HardMaps

if TYPE_CHECKING:
    from scipy.sparse import csr_array


def find_touching(geometry: Geometry) -> Int32[np.ndarray, "2 pairs"]:
    """Return each pair of locations that touch, once.

    Two vertices touch where an edge of the mesh joins them, two voxels where they share a
    face. A mesh without faces has no pairs.
    """
    if isinstance(geometry, VolumeGrid):
        index = geometry.locations
        found = []
        # The volume against itself, shifted by one voxel along each axis.
        for axis in range(3):
            moved = np.moveaxis(index, axis, 0)
            found.append(np.stack([moved[:-1].reshape(-1), moved[1:].reshape(-1)]))
        pairs = np.concatenate(found, axis=1)
        return pairs[:, (pairs >= 0).all(axis=0)]
    if geometry.faces is None:
        return np.empty((2, 0), np.int32)
    # The three edges of each face, one after the other, as pairs of vertices, then of locations.
    ends = geometry.locations[geometry.faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2)]
    low, high = np.sort(ends[(ends >= 0).all(axis=1)], axis=1).T.astype(np.int64)
    # An edge belongs to two triangles; as one number, low * n + high, it is found once. That is
    # beyond int32 from n = 46341 on.
    pairs = np.divmod(np.unique(low * geometry.n_locations + high), max(geometry.n_locations, 1))
    return np.stack(pairs).astype(np.int32)


def count_borders(maps: HardMaps, pairs: Int[np.ndarray, "2 pairs"]) -> "csr_array":
    """Return how many pairs of touching locations lie in two different parcels.

    A symmetric ``scipy.sparse.csr_array`` (parcels, parcels) of integers, zero on the
    diagonal.
    """
    from scipy.sparse import csr_array

    one, other = np.asarray(maps.labels)[pairs]
    kept = (one >= 0) & (other >= 0) & (one != other)
    # Each pair in both orders; SciPy adds up the ones that fall on the same two parcels.
    rows = np.concatenate([one[kept], other[kept]])
    columns = np.concatenate([other[kept], one[kept]])
    shape = (maps.n_parcels, maps.n_parcels)
    return csr_array((np.ones(rows.size, np.int64), (rows, columns)), shape=shape)


def find_borders(
    labels: Int[np.ndarray, " locations"], geometry: Geometry
) -> Bool[np.ndarray, " locations"]:
    """Return which locations of parcels touch another parcel, or none.

    Voxels touch by their faces, and beyond the grid is none; vertices by edges. Of a mesh without
    triangles none is known.
    """
    # 0 for none, and for what is not kept.
    whole = geometry.put(labels + 1)
    touches = np.zeros(whole.shape, bool)
    if isinstance(geometry, VolumeGrid):
        padded = np.pad(whole, 1)
        inner = tuple(slice(1, -1) for _ in range(3))
        for axis in range(3):
            for step in (-1, 1):
                touches |= np.roll(padded, step, axis=axis)[inner] != whole
    elif geometry.faces is not None:
        ends = geometry.faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2)
        differ = ends[whole[ends[:, 0]] != whole[ends[:, 1]]]
        touches[differ.reshape(-1)] = True
    return geometry.take(touches) & (labels >= 0)
