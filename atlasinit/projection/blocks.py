"""Compartments that share parcels, multiplied as one matrix.

The maps of compartments with parcels of their own are blocks on a diagonal. Those of compartments
that share parcels lie side by side in the same rows.
"""

import itertools
from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float, Int32

from atlasinit.core.header import AtlasHeader
from atlasinit.core.maps import DenseMaps, HardMaps, Maps, SparseMaps, dense_values
from atlasinit.projection.kernels.base import weights_of
from atlasinit.support.arrays import make_read_only
from atlasinit.support.typing import AnyArray


class Positions(eqx.Module):
    """Where the weights of several sparse maps lie in those that they make together.

    Parameters
    ----------
    order
        (nonzeros,) which of the weights, one maps' after the other's, comes where.
    indices, indptr
        As of `SparseMaps`.
    """

    order: Int32[AnyArray, " nonzeros"]
    indices: Int32[AnyArray, " nonzeros"]
    indptr: Int32[AnyArray, " ends"]


class Block(eqx.Module):
    """Neighbouring compartments whose maps are one matrix.

    Parameters
    ----------
    members
        Their numbers; one alone has maps that stay as they are.
    starts
        The first of each one's rows, in the matrix.
    shape
        Number of its (parcels, locations).
    counts
        Number of stored weights of each, of sparse maps.
    positions
        None unless the maps stay sparse.
    """

    members: tuple[int, ...] = eqx.field(static=True)
    starts: tuple[int, ...] = eqx.field(static=True)
    shape: tuple[int, int] = eqx.field(static=True)
    counts: tuple[int, ...] = eqx.field(static=True, default=())
    positions: Positions | None = None

    def merge(self, maps: Sequence[Maps]) -> Maps:
        """Return the maps of the members as one; of traced maps too."""
        own = [maps[i] for i in self.members]
        if len(own) == 1:
            return own[0]
        parts = list(zip(own, self.starts, strict=True))
        if all(isinstance(m, HardMaps) for m in own):
            xp = _namespace(own)
            labels = [xp.where(m.labels < 0, -1, m.labels + s) for m, s in parts]  # pyright: ignore
            return HardMaps(xp.concatenate(labels).astype(np.int32), self.shape[0])
        if self.positions is not None:
            values = [weights_of(m, n) for m, n in zip(own, self.counts, strict=True)]  # pyright: ignore
            # Weights of the members one after the other, put in the order of the block's parcels.
            xp = _namespace([own, self.positions])
            placed = xp.concatenate(values)[self.positions.order]
            where = (self.positions.indices, self.positions.indptr)
            return SparseMaps(placed, *where, self.shape[1])
        return DenseMaps(jnp.concatenate([self._pad(m, start) for m, start in parts], axis=1))

    def _pad(self, maps: Maps, start: int) -> Float[Array, "parcels locations"]:
        after = self.shape[0] - start - maps.n_parcels
        return jnp.pad(dense_values(maps), ((start, after), (0, 0)))


def plan_blocks(header: AtlasHeader, maps: Sequence[Maps]) -> tuple[Block, ...]:
    """Return the blocks of an atlas's maps, which may be other ones than the atlas has.

    If compartments that share parcels are no neighbours, all are one block.
    """
    # The rows of each compartment in the table. Neighbours whose rows begin at the same one share
    # parcels, and are one run.
    rows = list(header.parcel_slices().values())
    runs = [
        list(group) for _, group in itertools.groupby(range(len(rows)), lambda i: _key(rows, i))
    ]
    apart = [i for run in runs for i in run[:1] if rows[i].stop > rows[i].start]
    # Then two runs have the same rows: they share parcels, but are no neighbours.
    if len({rows[i].start for i in apart}) < len(apart):
        runs = [list(range(len(rows)))]
    return tuple(_plan_block([(i, maps[i], rows[i]) for i in run]) for run in runs)


def merge_blocks(blocks: Sequence[Block], maps: Sequence[Maps]) -> tuple[Maps, ...]:
    """Return the maps of each block."""
    return tuple(block.merge(maps) for block in blocks)


def lay_diagonally(maps: Sequence[Maps]) -> Maps:
    """Return labels, or sparse maps, as blocks on the diagonal of one matrix."""
    if len(maps) == 1:
        return maps[0]
    parcels = np.cumsum([0, *(m.n_parcels for m in maps)]).tolist()
    xp, hard = _namespace(maps), [m for m in maps if isinstance(m, HardMaps)]
    if hard:
        pairs = zip(hard, parcels, strict=False)
        labels = [xp.where(m.labels < 0, -1, m.labels + n) for m, n in pairs]
        return HardMaps(xp.concatenate(labels).astype(np.int32), parcels[-1])
    own = [m for m in maps if isinstance(m, SparseMaps)]
    locations = np.cumsum([0, *(m.n_locations for m in own)]).tolist()
    weights = np.cumsum([0, *(m.indices.shape[0] for m in own)]).tolist()
    indices = [m.indices + np.int32(n) for m, n in zip(own, locations, strict=False)]
    ends = [m.indptr[1:] + np.int32(n) for m, n in zip(own, weights, strict=False)]
    return SparseMaps(
        xp.concatenate([m.values for m in own]),
        xp.concatenate(indices),
        xp.concatenate([own[0].indptr[:1], *ends]),
        locations[-1],
    )


def _key(rows: Sequence[slice], i: int) -> tuple[int, int]:
    """Return what compartments that share parcels have in common, and others do not."""
    return (rows[i].start, -1) if rows[i].stop > rows[i].start else (-1, i)


def _plan_block(members: Sequence[tuple[int, Maps, slice]]) -> Block:
    numbers, own, rows = (tuple(part) for part in zip(*members, strict=True))
    filled = [r for r in rows if r.stop > r.start]
    first = min((r.start for r in filled), default=0)
    n_parcels = max((r.stop for r in filled), default=0) - first
    starts = tuple(r.start - first if r.stop > r.start else 0 for r in rows)
    # Members lie side by side in columns; their rows are counted from the first of the block.
    shape = (n_parcels, sum(m.n_locations for m in own))
    # Without positions, `merge` makes labels of hard maps alone and a dense matrix of all others.
    if len(own) == 1 or any(isinstance(m, DenseMaps) for m in own) or _are_traced(own):
        return Block(numbers, starts, shape)
    sparse = [m if isinstance(m, SparseMaps) else SparseMaps.from_scipy(m.to_scipy()) for m in own]
    # The first column of each member in the block.
    ends = np.cumsum([0, *(m.n_locations for m in own)])[:-1]
    parcels = np.concatenate([m.rows() + s for m, s in zip(sparse, starts, strict=True)])
    places = [np.asarray(m.indices) + end for m, end in zip(sparse, ends, strict=True)]
    # The sort is stable and the members come in the order of their columns, so that the locations
    # of a parcel stay ascending, as those of `SparseMaps` are.
    order = np.argsort(parcels, kind="stable").astype(np.int32)
    indptr = np.concatenate([[0], np.cumsum(np.bincount(parcels, minlength=n_parcels))])
    arrays = (order, np.concatenate(places)[order].astype(np.int32), indptr.astype(np.int32))
    counts = tuple(m.indices.shape[0] for m in sparse)
    return Block(numbers, starts, shape, counts, Positions(*map(make_read_only, arrays)))


def _are_traced(maps: Sequence[Maps]) -> bool:
    """Return whether positions of sparse maps, or labels beside them, are traced."""
    places = [m.labels if isinstance(m, HardMaps) else m.indices for m in maps]  # pyright: ignore
    return any(isinstance(place, Tracer) for place in places)


def _namespace(arrays: object):
    """Return NumPy for its arrays alone, else JAX's."""
    # Maps of NumPy's arrays stay concrete, also where a function is being traced.
    return np if all(isinstance(x, np.ndarray) for x in jax.tree.leaves(arrays)) else jnp
