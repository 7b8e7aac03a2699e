"""From keys or weights at locations to maps, in the cheapest form that is exact."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, Int32

from atlasinit.core.maps import (
    DenseMaps,
    HardMaps,
    Maps,
    SparseMaps,
)
from atlasinit.errors import ArgumentError, Passing, format_list
from atlasinit.support.arrays import make_read_only, to_single

if TYPE_CHECKING:
    from scipy.sparse import csr_array

_BLOCK = 2**16
"""Locations that are looked up at once: 512 KiB of 64-bit indices."""


def find_keys(keys: Int32[np.ndarray, " locations"]) -> tuple[int, ...]:
    """Return the keys that occur, ascending."""
    if _is_dense_range(keys):
        seen = np.zeros(int(keys.max(initial=0)) + 1, dtype=bool)
        for block in _blocks(keys.size):
            seen[keys[block]] = True
        return tuple(np.flatnonzero(seen).tolist())
    return tuple(np.unique(keys).tolist())


def row_labels(
    keys: Int32[np.ndarray, " locations"], rows: Sequence[int]
) -> Int32[np.ndarray, " locations"]:
    """Return the row of each location: where its key stands in `rows`, -1 where it does not."""
    index = np.arange(len(rows), dtype=np.int32)
    if _is_dense_range(keys):
        size = int(keys.max(initial=0)) + 1
        lookup = np.full(size, -1, np.int32)
        # Entries beyond the largest key of the data are of parcels without a location.
        listed = np.asarray(rows, np.int64)
        inside = (listed >= 0) & (listed < size)
        lookup[listed[inside]] = index[inside]
        labels = np.empty(keys.shape, np.int32)
        for block in _blocks(keys.size):
            labels[block] = lookup[keys[block]]
        return labels
    if not len(rows):
        return np.full(keys.shape, -1, np.int32)
    # The place of a key among the ascending ones is where it stands, if it is there at all; a key
    # beyond the last would be placed behind the end.
    order = np.argsort(rows)
    ascending = np.asarray(rows)[order]
    at = np.minimum(np.searchsorted(ascending, keys), len(rows) - 1)
    return np.where(ascending[at] == keys, index[order][at], np.int32(-1))


def weight_maps(
    maps: "Float[np.ndarray, 'maps locations'] | csr_array",
    keys: Sequence[int],
    rows: Mapping[int, str],
    n_locations: int,
    *,
    nan: str,
) -> Maps:
    """Return the maps of `rows` (key to name), in their order, from weights keyed by `keys`.

    A row without a map has no weight; maps that are not among the rows are left out.
    """
    from scipy.sparse import csr_array

    number = {key: i for i, key in enumerate(keys)}
    has_map = np.array([key in number for key in rows], dtype=bool)
    source = [number[key] for key in rows if key in number]
    shape = (len(rows), n_locations)
    if isinstance(maps, np.ndarray):
        dense = np.zeros(shape, np.float32)
        dense[has_map] = to_single(maps[source])
        # A weight takes 8 bytes in a sparse matrix (value and column), 4 in a dense one. Maps of
        # ones may still be labels, which are smaller than either.
        if 8 * np.count_nonzero(dense) > 4 * dense.size and not _is_zero_one(dense):
            n_nan = np.isnan(dense).sum(axis=1)
            return DenseMaps(make_read_only(_zero_nan(dense, n_nan, rows, nan)))
        sparse = csr_array(dense)
    else:
        taken = csr_array((to_single(maps.data), maps.indices, maps.indptr), maps.shape)[source]
        # The rows of `taken` with empty ones between them: of the three arrays of a CSR matrix only
        # the ends of the rows change.
        counts = np.zeros(len(rows), np.int64)
        counts[has_map] = np.diff(taken.indptr)
        ends = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
        sparse = csr_array((taken.data, taken.indices, ends), shape=shape)
    row_of = np.repeat(np.arange(len(rows)), np.diff(sparse.indptr))
    counts = np.bincount(row_of[np.isnan(sparse.data)], minlength=len(rows))
    # NaN that became 0, and zeros that the file stored, are no weights.
    sparse.data[:] = _zero_nan(sparse.data, counts, rows, nan)
    sparse.eliminate_zeros()
    return _choose_maps(sparse, *shape)


def hard_maps(matrix: Any) -> HardMaps:
    """Return the labels that a matrix (parcels, locations) of ones states, one a column at most."""
    n_rows, n_locations = matrix.shape
    labels = np.full(n_locations, -1, np.int32)
    # Entry e lies at location indices[e], in the row that holds it.
    labels[matrix.indices] = np.repeat(np.arange(n_rows, dtype=np.int32), np.diff(matrix.indptr))
    return HardMaps(labels, n_rows)


def _choose_maps(sparse: "csr_array", n_rows: int, n_locations: int) -> Maps:
    # Ones of which no location has two are labels.
    if (sparse.data == 1).all() and (np.bincount(sparse.indices, minlength=1) <= 1).all():
        return hard_maps(sparse)
    if 8 * sparse.nnz > 4 * n_rows * n_locations:
        return DenseMaps(make_read_only(sparse.toarray()))
    return SparseMaps.from_scipy(sparse)


def _is_zero_one(values: np.ndarray) -> bool:
    return bool(((values == 0) | (values == 1)).all())


def _zero_nan(
    values: np.ndarray, counts: np.ndarray, rows: Mapping[int, str], nan: str
) -> np.ndarray:
    """Return weights with NaN (so many in each row) as 0 where that was asked for."""
    if np.isinf(values).any():
        raise ArgumentError(
            "files",
            ": weights should be finite in single precision, and the maps hold infinity or more "
            f"than {np.finfo(np.float32).max:.3g}",
        )
    if not counts.any():
        return values
    if nan != "zero":
        where = format_list(f"{n!r}: {c}" for n, c in zip(rows.values(), counts, strict=True) if c)
        raise ArgumentError(
            "files",
            f": weights should be finite, and the maps hold NaN ({where})",
            "Pass " + Passing(nan="zero") + " to take NaN for 0",
        )
    return np.where(np.isnan(values), np.float32(0), values)


def _blocks(size: int) -> Iterator[slice]:
    """Yield slices of an array; NumPy makes each index array 64-bit, which a block keeps small."""
    return (slice(start, start + _BLOCK) for start in range(0, size, _BLOCK))


def _is_dense_range(keys: np.ndarray) -> bool:
    """Whether a table with an entry for each value up to the largest is small beside `keys`."""
    # At most 4 entries per location, and 65,536 whatever the size, as 16-bit labels need.
    return not keys.size or bool(keys.min() >= 0 and keys.max() < 4 * keys.size + 65536)
