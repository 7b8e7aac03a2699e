"""Products with concrete data on the CPU: SciPy's sparse and NumPy's dense one, on all cores.

XLA gathers and scatters on one core, and copies NumPy's arrays first. A sparse matrix
stored by columns reads every location once.
"""

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import numpy as np
from jax.core import Tracer
from jaxtyping import Float, Float64, Int

from atlasinit.core.maps import (
    DenseMaps,
    HardMaps,
    Maps,
)
from atlasinit.support.threads import (
    WORKERS,
    empty_for_jax,
    is_host,
    run_in_threads,
)
from atlasinit.support.typing import AnyArray

if TYPE_CHECKING:
    from scipy.sparse import csc_array, csr_array

# Products that are added up in single precision; their sums are in double. Fewer cost more memory
# traffic, most of all beside products of weights, which are rounded themselves.
_LABELS = 8
_WEIGHTS = 32
_AT_A_TIME = 512  # sums of pieces that are converted to double precision, in the cache
# As float64 they are 64 MiB, which a copy of data with many time points would exceed.
_WIDE = 2**23  # values that are computed in double precision at once
_AT_ONCE = 2**16  # values that are added up by one core


class Part(NamedTuple):
    """The weights of some locations of a compartment, and where they stand in the atlas.

    Their rows are parcels. `pieces` are the same weights with rows that are pieces of parcels,
    and what adds up these; None where no parcel has to be cut. `totals` are the sums of each
    parcel's weights.
    """

    rows: slice
    locations: slice
    weights: "csc_array | np.ndarray"
    totals: Float64[np.ndarray, " parcels"]
    hard: bool
    pieces: "tuple[csc_array, tuple[Join, ...]] | None" = None


class Join(NamedTuple):
    """The matrix of ones that adds up some rows of a product, and the parcels that these are of."""

    matrix: "csr_array"
    pieces: slice
    parcels: slice


def can_multiply(maps: Sequence[Maps], data: AnyArray, *, missing: str) -> bool:
    """Return whether maps and data are concrete, on one CPU and of kinds computed here."""
    arrays = (data, *jax.tree.leaves(maps))
    if any(isinstance(array, Tracer) for array in arrays) or not all(map(is_host, arrays)):
        return False
    # (nonzeros,) or (parcels, locations) of each. Hard maps, whose weights are 1, suit every case.
    soft = [np.asarray(m.values) for m in maps if not isinstance(m, HardMaps)]
    # One product then gives the weights that are observed, signed and absolute.
    positive = missing != "omit" or all((values >= 0).all() for values in soft)
    return positive and all(values.dtype == np.float32 for values in soft)


def split(maps: Sequence[Maps]) -> tuple[Part, ...]:
    """Return the weights of all compartments in parts for the cores."""
    parts, row, start = [], 0, 0
    for one in maps:
        rows = slice(row, row + one.n_parcels)
        n = one.n_locations
        # Dense weights are one part, as BLAS divides its work among cores by itself; others are one
        # or more of neighbouring locations, with the same rows.
        if isinstance(one, DenseMaps):
            values = np.asarray(one.values)
            totals = values.sum(axis=1, dtype=np.float64)
            parts.append(Part(rows, slice(start, start + n), values, totals, hard=False))
        else:
            columns, hard = one.to_scipy().tocsc(), isinstance(one, HardMaps)
            # NaN is to reach the parcels that weigh it, and a weight of 0 is none.
            columns.eliminate_zeros()
            ends, size = _ends(columns, one.n_parcels), _LABELS if hard else _WEIGHTS
            for a, b in zip(ends[:-1], ends[1:], strict=True):
                own = columns[:, a:b]
                weights, pieces = _cut_rows(own, size)
                totals = own @ np.ones(b - a)
                parts.append(Part(rows, slice(start + a, start + b), weights, totals, hard, pieces))
        row, start = rows.stop, start + n
    return tuple(parts)


def multiply(
    parts: Sequence[Part],
    data: Float[np.ndarray, "batch locations time"],
    dtype: np.dtype,
    *,
    omit: bool,
    divisors: Float64[np.ndarray, " parcels"] | None = None,
) -> tuple[Float[np.ndarray, "batch parcels time"], Float[np.ndarray, "batch parcels time"] | None]:
    """Return W x in `dtype`; with `omit`, over what is not NaN, and the sums of its weights.

    If `divisors` are given, they or the sums of weights divide W x before it is rounded.
    An infinite value counts as NaN for soft maps.
    """
    n_parcels = max(part.rows.stop for part in parts)
    shape = (len(data), n_parcels, data.shape[2])
    sums = empty_for_jax(shape, dtype)
    weights = empty_for_jax(shape, dtype) if omit else None
    for i, x in enumerate(data):

        def product(part: Part, x: np.ndarray = x) -> tuple:
            return _product(part, np.asarray(x[part.locations], dtype), omit=omit)

        found = _each(parts, product)
        # Parts with the same rows, (parcels, time) each, are of one compartment and are added up.
        by_rows: dict[tuple[int, int], list[tuple]] = {}
        for part, pair in found:
            by_rows.setdefault((part.rows.start, part.rows.stop), []).append(pair)
        seen = None if weights is None else weights[i]
        _add(by_rows, sums[i], seen, divisors)
    return sums, weights


def solve(
    parts: Sequence[Part],
    data: Float[np.ndarray, "batch locations time"],
    dtype: np.dtype,
    inverse: Float64[np.ndarray, "parcels parcels"],
    *,
    double: bool,
) -> Float[np.ndarray, "batch parcels time"]:
    """Return the product of `inverse` and W x in `dtype`, computed in double precision.

    W x itself is in double precision where `double` asks for it.
    """
    batch, n_locations, time = data.shape
    out = empty_for_jax((batch, len(inverse), time), dtype)
    width = max(_WIDE // max(n_locations, 1), 1) if double else max(time, 1)
    summed = np.dtype(np.float64) if double else dtype
    for i, start in itertools.product(range(batch), range(0, time, width)):
        times = slice(start, start + width)
        sums = multiply(parts, data[i : i + 1, :, times], summed, omit=False)[0][0]
        sums = sums.astype(np.float64, copy=False)
        with np.errstate(invalid="ignore"):
            solved = inverse @ sums
        out[i, :, times] = solved if np.isfinite(solved).all() else _careful(inverse, sums, solved)
    return out


def transposed(
    parts: Sequence[Part], values: Float[np.ndarray, "batch parcels time"], dtype: np.dtype
) -> Float[np.ndarray, "batch locations time"]:
    """Return W' y in `dtype`. An infinite value counts as NaN for dense maps."""
    n_locations = max(part.locations.stop for part in parts)
    out = empty_for_jax((len(values), n_locations, values.shape[2]), dtype)
    # Every location is in one part alone, so that threads write to different rows of `painted`.
    for y, painted in zip(values.astype(dtype, copy=False), out, strict=True):

        def paint(part: Part, y: np.ndarray = y, painted: np.ndarray = painted) -> None:
            weights, own = part.weights.T, y[part.rows]
            # In double precision where the product is.
            own = own if part.pieces is None else own.astype(np.float64, copy=False)
            with np.errstate(invalid="ignore"):
                painted[part.locations] = weights @ own
            # A dense product multiplies NaN by weights of 0 too, which sparse maps do not store.
            if isinstance(weights, np.ndarray) and not np.isfinite(own).all():
                painted[part.locations] = _careful(weights, own, painted[part.locations])

        _each(parts, paint)
    return out


def _ends(columns: "csc_array", n_parcels: int) -> list[int]:
    """Return where to cut locations in parts, of as many weights each.

    The rows of each part's product are added up in the end, which takes time for many parts.
    """
    n = len(columns.indptr) - 1
    parcels = max(n_parcels, 1)
    # Of few parcels, smaller parts have partial sums that stay in the cache.
    # One part a core where each then has 8 locations a parcel, up to 8 a core where it has 64.
    count = max(min(WORKERS, n // (8 * parcels)), min(8 * WORKERS, n // (64 * parcels)), 1)
    # `indptr` counts the weights up to each location: cut where the count passes each share.
    weights = [columns.nnz * i // count for i in range(1, count)]
    return [0, *np.searchsorted(columns.indptr, weights).tolist(), n]


def _cut_rows(
    columns: "csc_array", size: int
) -> tuple["csc_array", "tuple[csc_array, tuple[Join, ...]] | None"]:
    """Return weights, and their pieces: at most `size` a row, and what adds up the rows.

    One long float32 sum would lose digits. What adds up is in double precision.
    """
    from scipy.sparse import csc_array, csr_array

    by_row = columns.tocsr()
    counts = np.diff(by_row.indptr)
    if counts.max(initial=0) <= size:
        return columns, None
    # A piece is a run of weights of one row, which CSR stores one after the other: only the places
    # where rows begin differ. A row without weights is one piece, of none.
    n_pieces = np.maximum(-(-counts // size), 1)
    ends = np.append(0, np.cumsum(n_pieces))
    owner = np.repeat(np.arange(len(counts)), n_pieces)
    starts = by_row.indptr[owner] + (np.arange(len(owner)) - ends[owner]) * size
    parts = by_row.data, by_row.indices, np.append(starts, by_row.nnz)
    pieces = csr_array(parts, shape=(len(owner), len(columns.indptr) - 1)).tocsc()
    # The weights of the pieces, not a copy of them, in rows that are parcels.
    rows = owner[pieces.indices].astype(pieces.indices.dtype, copy=False)
    return csc_array((pieces.data, rows, pieces.indptr), columns.shape), (pieces, _joins(ends))


def _joins(ends: Int[np.ndarray, " parcels_and_1"]) -> "tuple[Join, ...]":
    """Return what adds up pieces, given where those of each parcel begin and the last end."""
    from scipy.sparse import csr_array

    # Parcels with about as many pieces each time, and one parcel at least.
    cuts = np.searchsorted(ends, np.arange(0, ends[-1], _AT_A_TIME))
    cuts = np.unique(np.append(cuts, len(ends) - 1))
    found = []
    for a, b in zip(cuts[:-1], cuts[1:], strict=True):
        own = ends[a : b + 1] - ends[a]
        matrix = csr_array((np.ones(own[-1]), np.arange(own[-1]), own), (b - a, own[-1]))
        found.append(Join(matrix, slice(ends[a], ends[b]), slice(a, b)))
    return tuple(found)


def _add(
    products: Mapping[tuple[int, int], Sequence[tuple]],
    out: Float[np.ndarray, "parcels time"],
    weights: Float[np.ndarray, "parcels time"] | None,
    divisors: Float64[np.ndarray, " parcels"] | None,
) -> None:
    """Fill rows with the sums of their products, divided in double precision."""

    def total(pieces: Sequence[np.ndarray], some: slice) -> np.ndarray:
        first = pieces[0][some]
        return sum((other[some] for other in pieces[1:]), first) if pieces[1:] else first

    def fill(start: int, pairs: Sequence[tuple], some: slice) -> None:
        own = slice(start + some.start, start + some.stop)
        sums = total([one for one, _ in pairs], some)
        by = None if divisors is None else divisors[own, None]
        if weights is not None:
            seen = total([one for _, one in pairs], some)
            weights[own] = seen
            by = None if divisors is None else seen
        # Sums of pieces are float64, and rounded to the dtype of `out` here.
        if by is None:
            out[own] = sums
        else:
            with np.errstate(invalid="ignore"):
                np.divide(sums, np.where(by == 0, 1, by), out=out[own], casting="same_kind")

    step = max(_AT_ONCE // max(out.shape[1], 1), 1)
    tasks = [
        (start, pairs, slice(a, min(a + step, stop - start)))
        for (start, stop), pairs in products.items()
        for a in range(0, stop - start, step)
    ]
    run_in_threads(fill, tasks)


def _each(parts: Sequence[Part], function: Callable[[Part], Any]) -> list[tuple[Part, Any]]:
    """Return each part with what a function makes of it."""
    dense = [part for part in parts if isinstance(part.weights, np.ndarray)]
    sparse = [part for part in parts if not isinstance(part.weights, np.ndarray)]
    # NumPy's product is in threads by itself.
    found = run_in_threads(function, [(part,) for part in sparse]) + [function(p) for p in dense]
    return list(zip([*sparse, *dense], found, strict=True))


def _product(part: Part, x: np.ndarray, *, omit: bool) -> tuple:
    weights, joins = part.weights, ()
    # Sums in double precision lose no digits that pieces would keep.
    if part.pieces is not None and x.dtype != np.float64:
        weights, joins = part.pieces
    observed = None
    if omit:
        # The product with 1 where data are there, 0 where not, is the weight that is observed.
        bad = np.isnan(x)
        if bad.any():
            x = np.where(bad, 0, x)
            observed = _join(joins, weights @ (~bad).astype(x.dtype))
        else:
            observed = np.broadcast_to(part.totals[:, None], (len(part.totals), x.shape[1]))
    with np.errstate(invalid="ignore"):
        sums = weights @ x
    # Labels may give infinity as it is: their weights are 1. Times others it counts as NaN.
    if not part.hard and not np.isfinite(sums).all():
        sums = _careful(weights, x, sums)
    return _join(joins, sums), observed


def _join(joins: Sequence[Join], sums: np.ndarray) -> np.ndarray:
    """Return sums of parcels of those of their pieces, and as they are where there are none."""
    if not joins:
        return sums
    out = np.empty((joins[-1].parcels.stop, sums.shape[1]))
    for join in joins:
        out[join.parcels] = join.matrix @ sums[join.pieces]
    return out


def _careful(weights: Any, x: np.ndarray, sums: np.ndarray) -> np.ndarray:
    """Return W x, NaN for the parcels that weigh what is not finite, and for them alone."""
    bad = ~np.isfinite(x)
    reached = bad.any(axis=1)
    if not reached.any():
        return sums
    # Only of the locations where some value is not finite, as few are in most data.
    present = (weights[:, reached] != 0).astype(x.dtype)
    hit = present @ bad[reached].astype(x.dtype) > 0
    return np.where(hit, np.nan, weights @ np.where(bad, 0, x))
