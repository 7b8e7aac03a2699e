"""Maps of several atlases at the same locations: which of them wins one, and all as one."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Int

from atlasinit.core.maps import DenseMaps, HardMaps, Maps, SparseMaps
from atlasinit.support.arrays import make_read_only


def find_larger(maps: Sequence[Maps]) -> Int[np.ndarray, " locations"]:
    """Return the number of the maps with most weight at each location, then the largest parcel."""
    weights, sizes = [], []
    for m in maps:
        # 0 for NaN, which is no weight that could win.
        matrix: Any = abs(m.to_scipy())
        matrix.data = np.nan_to_num(matrix.data)
        weights.append(matrix.T @ np.ones(m.n_parcels))
        labels = np.asarray(m.harden().labels)
        # The entry behind the last is of the label -1.
        sizes.append(np.append(m.counts(), 0)[labels])
    weight, size = np.stack(weights), np.stack(sizes)
    best = weight == weight.max(axis=0)
    return np.where(best, size, -1).argmax(axis=0)


def mask_locations(maps: Maps, kept: Bool[np.ndarray, " locations"]) -> Maps:
    """Return maps without weight where `kept` is false."""
    if isinstance(maps, HardMaps):
        return HardMaps(np.where(kept, np.asarray(maps.labels), -1), maps.n_parcels)
    if isinstance(maps, DenseMaps):
        values = np.asarray(maps.values)
        return DenseMaps(make_read_only(np.where(kept[None], values, values.dtype.type(0))))
    inside = kept[np.asarray(maps.indices)]
    ends = np.concatenate([[0], np.cumsum(inside)])[np.asarray(maps.indptr)].astype(np.int32)
    values, indices = np.asarray(maps.values)[inside], np.asarray(maps.indices)[inside]
    return SparseMaps(values, indices, ends, maps.n_locations)


def stack_parcels(maps: Sequence[Maps]) -> Maps:
    """Return maps of the same locations as one, parcels of the first before those of the next."""
    if len(maps) == 1:
        return maps[0]
    starts = np.cumsum([0, *(m.n_parcels for m in maps)]).tolist()
    hard = [m for m in maps if isinstance(m, HardMaps)]
    if len(hard) == len(maps):
        out = np.full(maps[0].n_locations, -1, np.int32)
        for m, start in zip(hard, starts[:-1], strict=True):
            labels = np.asarray(m.labels)
            out = np.where(labels >= 0, labels + np.int32(start), out)
        return HardMaps(out, starts[-1])
    dense = [np.asarray(m.values) for m in maps if isinstance(m, DenseMaps)]
    if len(dense) == len(maps):
        return DenseMaps(make_read_only(np.concatenate(dense)))
    from scipy.sparse import csr_array, vstack

    matrices = []
    for m in maps:
        # Weights keep their precision, which `to_scipy` would make single.
        if isinstance(m, SparseMaps):
            parts = (np.asarray(m.values), np.asarray(m.indices), np.asarray(m.indptr))
            matrices.append(csr_array(parts, shape=(m.n_parcels, m.n_locations)))
        elif isinstance(m, DenseMaps):
            matrices.append(csr_array(np.asarray(m.values)))
        else:
            matrices.append(m.to_scipy())
    return SparseMaps.from_scipy(vstack(matrices, format="csr"))
