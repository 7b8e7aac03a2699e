"""Products with known data on the CPU: SciPy's sparse and NumPy's dense one, on all cores.

XLA gathers and scatters on one core, and copies NumPy's arrays first. A sparse matrix
stored by columns reads every location once.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import jax
import numpy as np
from jax.core import Tracer
from jaxtyping import Float

from atlasinit._host import WORKERS, in_threads, is_host
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


def can_multiply(maps: Sequence[Maps], data: AnyArray) -> bool:
    """Return whether maps and data are known, on one CPU, and single precision maps."""
    arrays = (data, *jax.tree.leaves(maps))
    if any(isinstance(array, Tracer) for array in arrays) or not all(map(is_host, arrays)):
        return False
    return all(isinstance(m, HardMaps) or m.values.dtype == np.float32 for m in maps)


def split(maps: Sequence[Maps]) -> tuple[Part, ...]:
    """Return the weights of all compartments in parts for the cores."""
    parts, row, start = [], 0, 0
    for one in maps:
        rows = slice(row, row + one.n_parcels)
        n = one.n_locations
        if isinstance(one, DenseMaps):
            parts.append(Part(rows, slice(start, start + n), one.to_dense()))
        else:
            # Few parcels are summed in parts, as one long float32 sum would lose digits;
            # the sums of many parts, in turn, would take as long as the data.
            width = max(one.n_parcels, 1)
            count = max(min(n // _BLOCK, _ROWS // width), min(WORKERS, n // (4 * width)), 1)
            ends = [n * i // count for i in range(count + 1)]
            columns = one.to_scipy().tocsc()
            parts += [
                Part(rows, slice(start + a, start + b), columns[:, a:b])
                for a, b in zip(ends[:-1], ends[1:], strict=True)
            ]
        row, start = rows.stop, start + n
    return tuple(parts)


def multiply(
    parts: Sequence[Part], data: Float[np.ndarray, "batch locations time"], dtype: np.dtype
) -> Float[np.ndarray, "batch parcels time"]:
    """Return W x in `dtype`."""
    n_parcels = max(part.rows.stop for part in parts)
    out = np.zeros((len(data), n_parcels, data.shape[2]), dtype)
    sparse = [part for part in parts if not isinstance(part.weights, np.ndarray)]
    for x, y in zip(data, out, strict=True):

        def product(part: Part, x: np.ndarray = x) -> np.ndarray:
            return part.weights @ np.asarray(x[part.locations], dtype)

        for part, sums in zip(sparse, in_threads(product, [(p,) for p in sparse]), strict=True):
            y[part.rows] += sums
        for part in parts:
            # NumPy's product is in threads by itself.
            if isinstance(part.weights, np.ndarray):
                with np.errstate(invalid="ignore"):
                    y[part.rows] = product(part)
    return out
