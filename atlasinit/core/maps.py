"""The parcels x locations matrix of a compartment, in the cheapest form that is exact.

Hard labels stay labels (`HardMaps`), soft maps stay sparse (`SparseMaps`) until
something trains them densely (`DenseMaps`). The three answer to the same
methods. Arrays may be NumPy's or JAX's; the methods other than the properties
work on the host. Nobody else can write to the arrays of NumPy: they are read-only,
and copied where the caller could.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Bool, Float, Float32, Float64, Int, Int32, Int64
from numpy.typing import ArrayLike

from atlasinit.errors import ArgumentError, ArgumentTypeError
from atlasinit.support.arrays import as_read_only, make_read_only
from atlasinit.support.tracing import is_traced
from atlasinit.support.typing import AnyArray

if TYPE_CHECKING:
    from scipy.sparse import csr_array


class HardMaps(eqx.Module):
    """At most one parcel per location, with weight 1.

    Parameters
    ----------
    labels
        (locations,) row of the parcel that each location belongs to, -1 for none.
    n_parcels
        Number of rows.

    Raises
    ------
    ValueError
        Labels that are not (locations,) whole numbers from -1 to `n_parcels` - 1 (traced
        ones may be any).
    """

    labels: Int32[AnyArray, " locations"] = eqx.field(converter=lambda x: _to_labels(x))
    n_parcels: int = eqx.field(static=True)

    def __check_init__(self) -> None:
        if self.labels.ndim != 1:
            raise ArgumentError("labels", f"should be (locations,), got shape {self.labels.shape}")
        if isinstance(self.labels, Tracer) or not self.labels.size:
            return
        low, high = self.labels.min(), self.labels.max()
        if low < -1 or high >= self.n_parcels:
            raise ArgumentError(
                "labels",
                f"should be -1, or rows from 0 to {self.n_parcels - 1}, got values from "
                f"{low} to {high}",
                "Keys of parcels belong into the label table",
            )

    @property
    def n_locations(self) -> int:
        """Number of columns."""
        return self.labels.shape[0]

    @property
    def nbytes(self) -> int:
        """Bytes that the arrays take."""
        return self.labels.nbytes

    def to_scipy(self) -> "csr_array":
        """Return the matrix as ``scipy.sparse.csr_array``, float32, (parcels, locations)."""
        from scipy.sparse import csr_array

        labels = np.asarray(self.labels)
        # A stable sort of the labels is the CSR order: parcel by parcel, locations ascending.
        # NumPy sorts 16-bit numbers by radix, several times faster.
        short = labels.astype(np.int16) if self.n_parcels < 2**15 else labels
        order = np.argsort(short, kind="stable")
        # Locations of no parcel, -1, come first and are cut off.
        indices = order[np.searchsorted(labels[order], 0) :]
        indptr = np.concatenate([[0], np.cumsum(self.counts())])
        values = np.ones(indices.size, np.float32)
        shape = (self.n_parcels, self.n_locations)
        return csr_array((values, indices.astype(np.int32), indptr.astype(np.int32)), shape=shape)

    def to_dense(self) -> Float[Any, "parcels locations"]:
        """Return the matrix as a dense float32 array; of traced labels, one of JAX."""
        if is_traced(self):
            return dense_values(self)
        labels = np.asarray(self.labels)
        dense = np.zeros((self.n_parcels, self.n_locations), np.float32)
        kept = np.flatnonzero(labels >= 0)
        dense[labels[kept], kept] = 1
        return dense

    def counts(self) -> Int64[np.ndarray, " parcels"]:
        """Return the number of locations of each parcel."""
        labels = np.asarray(self.labels)
        # Shifted by one so that -1, no parcel, has a bin of its own.
        return np.bincount(labels + 1, minlength=self.n_parcels + 1)[1:].astype(np.int64)

    def totals(self, *, absolute: bool = False) -> Float64[np.ndarray, " parcels"]:
        """Return the sum of the weights per parcel: its number of locations."""
        del absolute
        return self.counts().astype(np.float64)

    def take_parcels(self, rows: Int[np.ndarray, " rows"]) -> "HardMaps":
        """Return the maps with the chosen rows; locations of the others belong to none."""
        # Old row to new one; the label -1 takes the last entry, which is -1.
        new = np.full(self.n_parcels + 1, -1, np.int32)
        new[rows] = np.arange(len(rows), dtype=np.int32)
        return HardMaps(new[np.asarray(self.labels)], len(rows))

    def take_locations(self, columns: Int[np.ndarray, " columns"]) -> "HardMaps":
        """Return the maps with the chosen columns, in the order of `columns`."""
        return HardMaps(np.asarray(self.labels)[columns], self.n_parcels)

    def harden(self) -> "HardMaps":
        """Return the maps themselves."""
        return self

    def threshold(self, at: float | int) -> "HardMaps":
        """Return the maps themselves, as each weight is 1; above 1 no location has a parcel."""
        return self if at <= 1 else HardMaps(np.full_like(self.labels, -1), self.n_parcels)


class SparseMaps(eqx.Module):
    """Weights at fixed positions, in the order of a CSR matrix (parcels, locations).

    Parameters
    ----------
    values
        (nonzeros,) the weights, parcel by parcel.
    indices
        (nonzeros,) the location of each weight, ascending within a parcel.
    indptr
        (parcels + 1,) where each parcel's weights begin and end.
    n_locations
        Number of columns.

    Raises
    ------
    ValueError
        NumPy arrays that are no such matrix: of other shapes or kinds, ends that go down or
        beyond the weights, locations outside of 0 to `n_locations` - 1. (What is traced or lies
        on a device is not looked at.)
    """

    values: Float[AnyArray, " nonzeros"] = eqx.field(converter=lambda x: _hold(x))
    indices: Int32[AnyArray, " nonzeros"] = eqx.field(converter=lambda x: _hold(x))
    indptr: Int32[AnyArray, " ends"] = eqx.field(converter=lambda x: _hold(x))
    n_locations: int = eqx.field(static=True)

    def __check_init__(self) -> None:
        values, indices, indptr = self.values, self.indices, self.indptr
        if (
            isinstance(values, np.ndarray)
            and isinstance(indices, np.ndarray)
            and isinstance(indptr, np.ndarray)
        ):
            _check_sparse(values, indices, indptr, self.n_locations)

    @classmethod
    def from_scipy(cls, matrix: Any) -> "SparseMaps":
        """Return the maps of a ``scipy.sparse`` matrix (parcels, locations), zeros dropped."""
        from scipy.sparse import csr_array

        if getattr(matrix, "ndim", 0) != 2:
            told = f"should be a matrix (parcels, locations), got {type(matrix).__name__}"
            raise ArgumentTypeError("matrix", told)
        # A copy, as what follows works in place: the caller keeps what is stored as 0.
        csr = csr_array(matrix, copy=True)
        csr.sum_duplicates()
        csr.eliminate_zeros()
        if csr.nnz > np.iinfo(np.int32).max:
            raise ArgumentError(
                "matrix",
                f"should have fewer than 2**31 non-zeros, got {csr.nnz}",
                "truncate or threshold the maps",
            )
        values = csr.data if csr.data.dtype.kind == "f" else csr.data.astype(np.float32)
        indices, indptr = csr.indices.astype(np.int32), csr.indptr.astype(np.int32)
        parts = (make_read_only(part) for part in (values, indices, indptr))
        return cls(*parts, n_locations=matrix.shape[1])

    @property
    def n_parcels(self) -> int:
        """Number of rows."""
        return self.indptr.shape[0] - 1

    @property
    def nbytes(self) -> int:
        """Bytes that the arrays take."""
        return self.values.nbytes + self.indices.nbytes + self.indptr.nbytes

    def rows(self) -> Int32[np.ndarray, " nonzeros"]:
        """Return the parcel of each weight."""
        return np.repeat(
            np.arange(self.n_parcels, dtype=np.int32), np.diff(np.asarray(self.indptr))
        )

    def to_scipy(self) -> "csr_array":
        """Return the matrix as ``scipy.sparse.csr_array``, float32, (parcels, locations)."""
        return self._csr().copy()

    def to_dense(self) -> Float[Any, "parcels locations"]:
        """Return the matrix as a dense float32 array; of traced maps, in JAX and their dtype."""
        return dense_values(self) if is_traced(self) else self._csr().toarray()

    def counts(self) -> Int64[np.ndarray, " parcels"]:
        """Return the number of locations with a non-zero weight per parcel."""
        present = self.rows()[np.asarray(self.values) != 0]
        return np.bincount(present, minlength=self.n_parcels).astype(np.int64)

    def totals(self, *, absolute: bool = False) -> Float64[np.ndarray, " parcels"]:
        """Return the sum of the weights (or of their absolute values) per parcel."""
        values = np.asarray(self.values, dtype=np.float64)
        values = np.abs(values) if absolute else values
        return np.bincount(self.rows(), weights=values, minlength=self.n_parcels)

    def take_parcels(self, rows: Int[np.ndarray, " rows"]) -> "SparseMaps":
        """Return the maps with the chosen rows, in the order of `rows`."""
        indptr = np.asarray(self.indptr)
        sizes = np.diff(indptr)[rows]
        # Where each row's weights begin, less where they will begin, plus a running count: the
        # positions of the weights of all chosen rows, row by row. For indptr [0, 2, 5, 6] and rows
        # [2, 1]: [5, 1, 1, 1] + [0, 1, 2, 3] = [5, 2, 3, 4].
        picked = np.repeat(indptr[:-1][rows] - np.cumsum(sizes) + sizes, sizes)
        picked = picked + np.arange(sizes.sum(), dtype=picked.dtype)
        new_indptr = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int32)
        return SparseMaps(
            np.asarray(self.values)[picked],
            np.asarray(self.indices)[picked],
            new_indptr,
            self.n_locations,
        )

    def take_locations(self, columns: Int[np.ndarray, " columns"]) -> "SparseMaps":
        """Return the maps with the chosen columns, in the order of `columns`."""
        from scipy.sparse import csr_array

        # Not `_csr`, which is float32: the weights keep their dtype.
        parts = (np.asarray(self.values), np.asarray(self.indices), np.asarray(self.indptr))
        return SparseMaps.from_scipy(
            csr_array(parts, shape=(self.n_parcels, self.n_locations))[:, columns]
        )

    def harden(self) -> HardMaps:
        """Return the parcel with the largest positive weight at each location."""
        values, indices, rows = np.asarray(self.values), np.asarray(self.indices), self.rows()
        positive = values > 0
        values, indices, rows = values[positive], indices[positive], rows[positive]
        # By location, then by falling weight, then by row: the first of each location wins.
        order = np.lexsort((rows, -values, indices))
        where, first = np.unique(indices[order], return_index=True)
        labels = np.full(self.n_locations, -1, np.int32)
        labels[where] = rows[order][first]
        return HardMaps(labels, self.n_parcels)

    def threshold(self, at: float | int) -> "SparseMaps":
        """Return the maps without the weights below `at`."""
        values = np.asarray(self.values)
        # NaN is not below anything, and stays.
        kept = ~(values < at)
        ends = np.concatenate([[0], np.cumsum(kept)])[np.asarray(self.indptr)].astype(np.int32)
        return SparseMaps(values[kept], np.asarray(self.indices)[kept], ends, self.n_locations)

    def _csr(self) -> "csr_array":
        """Return the float32 matrix of the arrays themselves."""
        from scipy.sparse import csr_array

        values = np.asarray(self.values, dtype=np.float32)
        parts = (values, np.asarray(self.indices), np.asarray(self.indptr))
        return csr_array(parts, shape=(self.n_parcels, self.n_locations))


def _check_sparse(
    values: np.ndarray, indices: np.ndarray, indptr: np.ndarray, n_locations: int
) -> None:
    """Refuse what is no CSR matrix, which compiled code would read and write outside of arrays."""
    shapes = (values.shape, indices.shape, indptr.shape)
    if any(len(shape) != 1 for shape in shapes) or shapes[0] != shapes[1] or not indptr.size:
        raise ArgumentError(
            "indices",
            f"should be (nonzeros,) as `values`, and `indptr` (parcels + 1,), got shapes {shapes}",
        )
    if indices.dtype.kind not in "iu" or indptr.dtype.kind not in "iu":
        kinds = f"{indices.dtype} and {indptr.dtype}"
        raise ArgumentError("indices", f"and `indptr` should be whole numbers, got {kinds}")
    if indptr[0] != 0 or indptr[-1] != indices.size or (indptr[1:] < indptr[:-1]).any():
        raise ArgumentError(
            "indptr",
            f"should go up from 0 to {indices.size}, the number of weights, got values from "
            f"{indptr.min()} to {indptr.max()}",
        )
    low, high = (indices.min(), indices.max()) if indices.size else (0, -1)
    if low < 0 or high >= n_locations:
        raise ArgumentError(
            "indices",
            f"should be locations from 0 to {n_locations - 1}, got values from {low} to {high}",
        )


class DenseMaps(eqx.Module):
    """Every weight stored.

    Parameters
    ----------
    values
        (parcels, locations) the weights.
    """

    values: Float[AnyArray, "parcels locations"] = eqx.field(converter=lambda x: _hold(x))

    @property
    def n_parcels(self) -> int:
        """Number of rows."""
        return self.values.shape[0]

    @property
    def n_locations(self) -> int:
        """Number of columns."""
        return self.values.shape[1]

    @property
    def nbytes(self) -> int:
        """Bytes that the arrays take."""
        return self.values.nbytes

    def to_scipy(self) -> "csr_array":
        """Return the matrix as ``scipy.sparse.csr_array``, float32, (parcels, locations)."""
        from scipy.sparse import csr_array

        return csr_array(np.asarray(self.values, dtype=np.float32))

    def to_dense(self) -> Float[Any, "parcels locations"]:
        """Return the matrix as a dense float32 array; of traced maps, in JAX and their dtype."""
        return dense_values(self) if is_traced(self) else np.array(self.values, dtype=np.float32)

    def counts(self) -> Int64[np.ndarray, " parcels"]:
        """Return the number of locations with a non-zero weight per parcel."""
        # A row at a time: with an axis NumPy makes booleans of all of them first.
        rows = np.asarray(self.values)
        return np.array([np.count_nonzero(row) for row in rows], np.int64)

    def totals(self, *, absolute: bool = False) -> Float64[np.ndarray, " parcels"]:
        """Return the sum of the weights (or of their absolute values) per parcel."""
        values = np.asarray(self.values)
        values = np.abs(values) if absolute else values
        return values.sum(axis=1, dtype=np.float64)

    def take_parcels(self, rows: Int[np.ndarray, " rows"]) -> "DenseMaps":
        """Return the maps with the chosen rows, in the order of `rows`."""
        return DenseMaps(make_read_only(np.asarray(self.values)[rows]))

    def take_locations(self, columns: Int[np.ndarray, " columns"]) -> "DenseMaps":
        """Return the maps with the chosen columns, in the order of `columns`."""
        return DenseMaps(make_read_only(np.asarray(self.values)[:, columns]))

    def harden(self) -> HardMaps:
        """Return the parcel with the largest positive weight at each location."""
        if self.n_parcels == 0:
            return HardMaps(np.full(self.n_locations, -1, np.int32), 0)
        # `argmax` would take NaN for the largest.
        values = np.where(np.isnan(self.values), -np.inf, np.asarray(self.values))
        labels = values.argmax(axis=0).astype(np.int32)
        # -inf where all weights are NaN: such a location belongs to none either.
        labels[~(values.max(axis=0) > 0)] = -1
        return HardMaps(labels, self.n_parcels)

    def threshold(self, at: float | int) -> "DenseMaps":
        """Return the maps with 0 for the weights below `at`."""
        values = np.asarray(self.values)
        return DenseMaps(make_read_only(np.where(values < at, values.dtype.type(0), values)))


Maps: TypeAlias = HardMaps | SparseMaps | DenseMaps
"""Any representation of the matrix of a compartment."""


def dense_values(maps: Maps) -> Float[Array, "parcels locations"]:
    """Return the matrix of any maps, also of traced ones."""
    if isinstance(maps, DenseMaps):
        return jnp.asarray(maps.values)
    if isinstance(maps, HardMaps):
        parcels = jnp.arange(maps.n_parcels, dtype=jnp.int32)
        return (parcels[:, None] == jnp.asarray(maps.labels)[None]).astype(jnp.float32)
    values, indptr = jnp.asarray(maps.values), jnp.asarray(maps.indptr)
    nonzeros = jnp.arange(values.shape[0], dtype=indptr.dtype)
    # The parcel of a weight is the last whose weights begin at or before it.
    rows = jnp.searchsorted(indptr, nonzeros, side="right") - 1
    out = jnp.zeros((maps.n_parcels, maps.n_locations), values.dtype)
    return out.at[rows, jnp.asarray(maps.indices)].add(values)


def densify(maps: Maps) -> DenseMaps:
    """Return maps with every weight stored; dense ones as they are."""
    if isinstance(maps, DenseMaps):
        return maps
    dense = maps.to_dense()
    return DenseMaps(dense if is_traced(dense) else make_read_only(dense))


def _hold(array: Any) -> Any:
    """Return NumPy's arrays read-only and in the machine's byte order, others as they are.

    JAX refuses another byte order, or misreads it.
    """
    if not isinstance(array, np.ndarray):
        return array
    return as_read_only(array, array.dtype.newbyteorder("="))


def _to_labels(labels: ArrayLike) -> AnyArray:
    """Return labels as int32, those of JAX as they are if they are whole numbers of as many bits.

    Narrower ones may hold each label, but not the number of parcels.
    """
    if isinstance(labels, jax.Array):
        if not jnp.issubdtype(labels.dtype, jnp.integer):
            raise ArgumentError("labels", f"should be whole numbers, got {labels.dtype}")
        return labels if labels.dtype.itemsize >= 4 else labels.astype(jnp.int32)
    # An empty list is float64. Numbers beyond int32 wrap around, and differ from what was given.
    given = np.asarray(labels)
    whole = given.dtype.kind in "iu" or not given.size
    out = as_read_only(given, np.int32) if whole else given
    if not whole or (out != given).any():
        raise ArgumentError("labels", f"should be whole numbers that fit int32, got {given.dtype}")
    return out


def scale(
    maps: Maps,
    *,
    parcels: Float[np.ndarray, " parcels"] | None = None,
    locations: Float[np.ndarray, " locations"] | None = None,
) -> Maps:
    """Return `maps` with rows multiplied by `parcels` and columns by `locations`.

    Dense maps stay dense; hard and sparse maps become sparse.
    """
    # The factors are float64, so that each weight is rounded once, at the end.
    rows = np.ones(maps.n_parcels) if parcels is None else parcels
    columns = np.ones(maps.n_locations) if locations is None else locations
    if isinstance(maps, DenseMaps):
        values = np.asarray(maps.values)
        return DenseMaps(make_read_only((values * rows[:, None] * columns).astype(values.dtype)))
    sparse = SparseMaps.from_scipy(maps.to_scipy())
    values = sparse.values * rows[sparse.rows()] * columns[sparse.indices]
    return eqx.tree_at(lambda m: m.values, sparse, values.astype(sparse.values.dtype))


def to_matrix(maps: Iterable[Maps], rows: Iterable[slice]) -> "csr_array":
    """Return one float32 matrix of several compartments, side by side, each at its rows."""
    from scipy.sparse import csr_array

    own, places = list(maps), list(rows)
    parts = [m.to_scipy().tocoo() for m in own]
    ends = np.cumsum([0, *(m.n_locations for m in own)])
    parcels = [part.row + at.start for part, at in zip(parts, places, strict=True)]
    columns = [part.col + end for part, end in zip(parts, ends[:-1], strict=True)]
    # Compartments that share parcels have the same rows: the last end tells how many there are.
    shape = (max(at.stop for at in places), int(ends[-1]))
    values = np.concatenate([part.data for part in parts])
    return csr_array((values, (np.concatenate(parcels), np.concatenate(columns))), shape=shape)


def to_dense_matrix(
    maps: Iterable[Maps], rows: Iterable[slice]
) -> Float32[np.ndarray, "parcels locations"]:
    """Return what `to_matrix` does, with every weight stored."""
    parts, places = list(maps), list(rows)
    shape = (max(own.stop for own in places), sum(m.n_locations for m in parts))
    out, column = np.zeros(shape, np.float32), 0
    for m, own in zip(parts, places, strict=True):
        out[own, column : column + m.n_locations] = m.to_dense()
        column += m.n_locations
    return out


def location_totals(maps: Maps) -> Float64[np.ndarray, " locations"]:
    """Return the sum of the weights at each location."""
    # Ones of float64 make SciPy add float32 weights in float64.
    return maps.to_scipy().T @ np.ones(maps.n_parcels)


def has_weight(maps: Maps) -> Bool[np.ndarray, " locations"]:
    """Return where any parcel has a weight that is not 0."""
    if isinstance(maps, HardMaps):
        return np.asarray(maps.labels) >= 0
    matrix = maps.to_scipy()
    used = np.zeros(maps.n_locations, bool)
    used[matrix.indices[matrix.data != 0]] = True
    return used


def covered_totals(
    maps: Maps, mask: Bool[np.ndarray, " locations"]
) -> Float64[np.ndarray, " parcels"]:
    """Return the sum of the absolute weights at the locations where `mask` is true."""
    if isinstance(maps, HardMaps):
        labels = np.where(mask, np.asarray(maps.labels), -1).astype(np.int32)
        return HardMaps(labels, maps.n_parcels).totals()
    return abs(maps.to_scipy()) @ mask.astype(np.float64)
