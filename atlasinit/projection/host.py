"""Products with known data on the CPU: SciPy's sparse and NumPy's dense one, on all cores.

XLA gathers and scatters on one core, and copies NumPy's arrays first. A sparse matrix
stored by columns reads every location once.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import numpy as np
from jax.core import Tracer
from jaxtyping import Float

from atlasinit._host import WORKERS, empty_for_jax, in_threads, is_host
from atlasinit._typing import AnyArray
from atlasinit.maps import DenseMaps, HardMaps, Maps

if TYPE_CHECKING:
    from scipy.sparse import csc_array

_BLOCK = 4096  # locations that are summed without losing digits
_ROWS = 1024  # of partial sums


class Part(NamedTuple):
    """The weights of some locations of a compartment, and where they stand in the atlas."""

    rows: slice
    locations: slice
    weights: "csc_array | np.ndarray"
    hard: bool


def can_multiply(maps: Sequence[Maps], data: AnyArray, *, missing: str) -> bool:
    """Return whether maps and data are known, on one CPU, and of kinds that are computed here."""
    arrays = (data, *jax.tree.leaves(maps))
    if any(isinstance(array, Tracer) for array in arrays) or not all(map(is_host, arrays)):
        return False
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
        if isinstance(one, DenseMaps):
            parts.append(Part(rows, slice(start, start + n), np.asarray(one.values), hard=False))
        else:
            # Few parcels are summed in parts, as one long float32 sum would lose digits;
            # the sums of many parts, in turn, would take as long as the data.
            width = max(one.n_parcels, 1)
            count = max(min(n // _BLOCK, _ROWS // width), min(2 * WORKERS, n // (8 * width)), 1)
            ends = [n * i // count for i in range(count + 1)]
            columns, hard = one.to_scipy().tocsc(), isinstance(one, HardMaps)
            # NaN is to reach the parcels that weigh it, and a weight of 0 is none.
            columns.eliminate_zeros()
            parts += [
                Part(rows, slice(start + a, start + b), columns[:, a:b], hard)
                for a, b in zip(ends[:-1], ends[1:], strict=True)
            ]
        row, start = rows.stop, start + n
    return tuple(parts)


def multiply(
    parts: Sequence[Part],
    data: Float[np.ndarray, "batch locations time"],
    dtype: np.dtype,
    *,
    omit: bool,
) -> tuple[Float[np.ndarray, "batch parcels time"], Float[np.ndarray, "batch parcels time"] | None]:
    """Return W x in `dtype`; with `omit`, over what is not NaN, and the sums of its weights.

    An infinite value counts as NaN for soft maps.
    """
    n_parcels = max(part.rows.stop for part in parts)
    shape = (len(data), n_parcels, data.shape[2])
    sums, weights = np.zeros(shape, dtype), np.zeros(shape, dtype) if omit else None
    for i, x in enumerate(data):

        def product(part: Part, x: np.ndarray = x) -> tuple:
            return _product(part, np.asarray(x[part.locations], dtype), omit=omit)

        for part, (own, observed) in _each(parts, product):
            sums[i, part.rows] += own
            if weights is not None:
                weights[i, part.rows] += observed
    return sums, weights


def transposed(
    parts: Sequence[Part], values: Float[np.ndarray, "batch parcels time"], dtype: np.dtype
) -> Float[np.ndarray, "batch locations time"]:
    """Return W' y in `dtype`. An infinite value counts as NaN for dense maps."""
    n_locations = max(part.locations.stop for part in parts)
    out = empty_for_jax((len(values), n_locations, values.shape[2]), dtype)
    for y, painted in zip(values.astype(dtype, copy=False), out, strict=True):

        def paint(part: Part, y: np.ndarray = y, painted: np.ndarray = painted) -> None:
            weights, own = part.weights.T, y[part.rows]
            with np.errstate(invalid="ignore"):
                painted[part.locations] = weights @ own
            if isinstance(weights, np.ndarray) and not np.isfinite(own).all():
                painted[part.locations] = _careful(weights, own, painted[part.locations])

        _each(parts, paint)
    return out


def _each(parts: Sequence[Part], function: Callable[[Part], Any]) -> list[tuple[Part, Any]]:
    """Return each part with what a function makes of it."""
    dense = [part for part in parts if isinstance(part.weights, np.ndarray)]
    sparse = [part for part in parts if not isinstance(part.weights, np.ndarray)]
    # NumPy's product is in threads by itself.
    found = in_threads(function, [(part,) for part in sparse]) + [function(p) for p in dense]
    return list(zip([*sparse, *dense], found, strict=True))


def _product(part: Part, x: np.ndarray, *, omit: bool) -> tuple:
    observed = None
    if omit:
        bad = np.isnan(x)
        if bad.any():
            x = np.where(bad, 0, x)
            observed = part.weights @ (~bad).astype(x.dtype)
        else:
            observed = np.asarray(part.weights.sum(axis=1), x.dtype)[:, None]
    with np.errstate(invalid="ignore"):
        sums = part.weights @ x
    if not part.hard and not np.isfinite(sums).all():
        sums = _careful(part.weights, x, sums)
    return sums, observed


def _careful(weights: Any, x: np.ndarray, sums: np.ndarray) -> np.ndarray:
    """Return W x, NaN for the parcels that weigh what is not finite, and for them alone."""
    bad = ~np.isfinite(x)
    reached = bad.any(axis=1)
    if not reached.any():
        return sums
    present = (weights[:, reached] != 0).astype(x.dtype)
    hit = present @ bad[reached].astype(x.dtype) > 0
    return np.where(hit, np.nan, weights @ np.where(bad, 0, x))
