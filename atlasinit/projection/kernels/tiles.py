"""Products of sparse maps as small dense products, one a tile of neighbouring locations.

Maps of brain regions are local: the locations of a compact tile touch a few parcels,
so each tile is one small dense block. Where the blocks lie is worked out once on the
host (`TilePlan`); the weights stay one trainable vector.

The three products of blocks W, data x and parcel values y

    A(W, x) = W x,      B(W, y) = W' y,      C(y, x) = y x' at the blocks

are each other's derivatives, which makes reverse-mode derivatives of any order
without storing the data tile by tile. Forward mode is refused. The entries of
all blocks, one after the other, are one vector.
"""

import math
from collections.abc import Callable
from typing import TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Int32

from atlasinit.core.maps import SparseMaps
from atlasinit.errors import ArgumentError
from atlasinit.projection.derivatives import link, link_pair
from atlasinit.projection.kernels.base import all_finite
from atlasinit.support.sharding import varying_zeros
from atlasinit.support.tiling import tiles
from atlasinit.support.typing import AnyArray

# Blocks are padded to the parcels of the widest tile of their bucket. More buckets hold fewer
# zeros, but each is a loop that XLA compiles by itself.
_BUCKETS = 4

Multiply: TypeAlias = Callable[[Array, Array, tuple[int, int]], Array]


class Bucket(eqx.Module):
    """Tiles that touch about the same number of parcels, in steps of several tiles."""

    locations: Int32[AnyArray, "steps each size"]
    parcels: Int32[AnyArray, "steps each rows"]
    start: int = eqx.field(static=True)


class Layout(eqx.Module):
    """The locations and parcels of each block.

    Parameters
    ----------
    buckets
        Tiles by their number of parcels; padding has location `n_locations` and parcel
        `n_parcels`. `start` is the place of the first entry of the first block.
    n_entries
        Number of entries of all blocks.
    n_parcels, n_locations
        Number of the maps' parcels, and of locations in the data.
    """

    buckets: tuple[Bucket, ...]
    n_entries: int = eqx.field(static=True)
    n_parcels: int = eqx.field(static=True)
    n_locations: int = eqx.field(static=True)


class TilePlan(eqx.Module):
    """Where the weights of sparse maps lie in the blocks of tiles.

    Parameters
    ----------
    layout
        Where the blocks lie.
    slots
        (entries,) weight at each entry of the blocks; the one behind the last for a zero.
    positions
        (nonzeros,) entry of each weight.
    """

    layout: Layout
    slots: Int32[AnyArray, " entries"]
    positions: Int32[AnyArray, " nonzeros"]


def plan_tiles(
    maps: SparseMaps,
    coordinates: Float[np.ndarray, "locations 3"] | None,
    *,
    size: int,
    each: int,
    start: int = 0,
    total: int | None = None,
) -> TilePlan:
    """Return the plan of `maps`, whose `indices` should be concrete.

    Without `coordinates`, tiles are runs of consecutive locations: as exact, but
    slower where neighbours are far apart in the order. At most `each` tiles of `size`
    locations are one step. The maps' locations are those from `start` on of `total` in
    the data: reading them where they lie costs less than cutting them out.
    """
    if coordinates is None:
        line = np.arange(maps.n_locations, dtype=np.float64)
        coordinates = np.stack([line, 0 * line, 0 * line], axis=1)
    groups = tiles(coordinates, size=size)
    # Where each location stands in the tiles, one after the other. Padding, of -1, writes to the
    # last element: where there is padding, that is beyond the last location.
    columns = np.empty(groups.size, np.int32)
    columns[groups.reshape(-1)] = np.arange(groups.size, dtype=np.int32)
    tile, column = np.divmod(columns[np.asarray(maps.indices)], np.int32(size))
    parcel = maps.rows()
    # (tiles, parcels). A parcel's row in the block of a tile is its rank among those touched.
    touched = np.zeros((len(groups), maps.n_parcels), bool)
    touched[tile, parcel] = True
    rank = np.cumsum(touched, axis=1, dtype=np.int32) - 1
    widths = touched.sum(axis=1)

    n_tiles = max(int((widths > 0).sum()), 1)
    # As many steps as are needed, with the tiles spread evenly, so that the last is not mostly
    # padding.
    each = -(-n_tiles // -(-n_tiles // each))
    members = _by_width(widths, each)
    # Of each bucket: its tiles, padded to whole steps, and the parcels of its widest tile.
    lengths = [-(-m.size // each) * each for m in members]
    breadths = [int(widths[m].max(initial=0)) for m in members]
    ends = np.cumsum([n * w * size for n, w in zip(lengths, breadths, strict=True)]).tolist()
    if ends[-1] > np.iinfo(np.int32).max:
        raise ArgumentError("kernel", ": the maps are too large for tiles", 'use "dense"')

    # Where the first entry of each tile lies among the entries of all blocks.
    first = np.zeros(len(groups), np.int32)
    for m, w, begin in zip(members, breadths, [0, *ends], strict=False):
        first[m] = begin + np.arange(m.size) * (w * size)
    # A block is (parcels of the bucket's widest tile, `size` locations), row by row.
    positions = first[tile] + rank[tile, parcel] * np.int32(size) + column
    slots = np.full(ends[-1], parcel.size, np.int32)
    slots[positions] = np.arange(parcel.size, dtype=np.int32)

    n_locations = maps.n_locations if total is None else total
    # Padding lies behind the last location, where reading gives 0 and writing is dropped.
    places = np.where(groups < 0, n_locations, groups + start)
    buckets = []
    for m, n, w, begin in zip(members, lengths, breadths, [0, *ends[:-1]], strict=True):
        locations = np.full((n, size), n_locations, np.int32)
        locations[: m.size] = places[m]
        parcels = np.full((n, w), maps.n_parcels, np.int32)
        which, rows = np.nonzero(touched[m])
        parcels[which, rank[m][which, rows]] = rows
        arrays = (a.reshape(n // each, each, a.shape[1]) for a in (locations, parcels))
        buckets.append(Bucket(*arrays, start=begin))
    layout = Layout(tuple(buckets), ends[-1], maps.n_parcels, n_locations)
    return jax.tree.map(jnp.asarray, TilePlan(layout, slots, positions))


def _by_width(widths: Int[np.ndarray, " tiles"], each: int) -> list[np.ndarray]:
    """Return the tiles that touch parcels in groups of alike width, about 8 steps each or more."""
    order = np.argsort(widths, kind="stable")
    order = order[widths[order] > 0]
    # Each group is compiled, so that a few steps are not worth one of their own.
    count = np.clip(order.size // (8 * each), 1, _BUCKETS)
    low, high = (widths[order[0]] - 1, widths[order[-1]]) if order.size else (0, 0)
    # Equal ranges of widths, and not equal numbers of tiles: so the padding of a block is bounded.
    edges = np.searchsorted(widths[order], np.linspace(low, high, count + 1)[1:-1], side="right")
    groups = np.split(order, edges)
    # Maps without weights have one bucket, without tiles.
    return [g for g in groups if g.size] or groups[:1]


def _spread(plan: TilePlan, values: Float[AnyArray, " nonzeros"]) -> Float[Array, " entries"]:
    """Return the entries of the blocks that hold `values`, zero elsewhere."""
    values = jnp.append(values, jnp.zeros(1, values.dtype))
    return values.at[plan.slots].get(mode="promise_in_bounds")


def _collect(plan: TilePlan, entries: Float[Array, " entries"]) -> Float[Array, " nonzeros"]:
    """Return the entries at the positions of the weights."""
    return entries.at[plan.positions].get(mode="promise_in_bounds", unique_indices=True)


# As each weight has one entry, either is the transpose of the other, and both are gathers. The
# derivatives that JAX finds would be scatters, which a GPU adds up in any order.
spread, collect = link_pair(_spread, _collect)


def blocks(
    layout: Layout, entries: Float[Array, " entries"]
) -> list[Float[Array, "steps each rows size"]]:
    """Return the blocks of each bucket."""
    shapes = [
        (*b.locations.shape[:2], b.parcels.shape[2], b.locations.shape[2]) for b in layout.buckets
    ]
    parts = zip(layout.buckets, shapes, strict=True)
    return [entries[b.start : b.start + math.prod(s)].reshape(s) for b, s in parts]


def _product(
    layout: Layout, entries: Float[Array, " entries"], data: Float[Array, "locations time"]
) -> Float[Array, "parcels time"]:
    """Return A(W, x). Locations that are not finite make NaN where their weight is not 0."""
    # A block's zeros turn a NaN of one location into NaN for all parcels of its tile.
    # So the result tells whether the data that are read are finite, and it is the smaller array.
    out = _multiply(layout, entries, data, _batched)
    return jax.lax.cond(
        all_finite(out), lambda: out, lambda: _multiply(layout, entries, data, _careful)
    )


def _transposed(
    layout: Layout, entries: Float[Array, " entries"], values: Float[Array, "parcels time"]
) -> Float[Array, "locations time"]:
    """Return B(W, y). Values that are not finite make NaN where their weight is not 0."""
    return jax.lax.cond(
        all_finite(values),
        lambda: _multiply_transposed(layout, entries, values, _batched),
        lambda: _multiply_transposed(layout, entries, values, _careful),
    )


def _outer(
    layout: Layout, values: Float[Array, "parcels time"], data: Float[Array, "locations time"]
) -> Float[Array, " entries"]:
    """Return C(y, x)."""

    def put(entries: Array, bucket: Bucket, start: Array) -> Array:
        # (each, rows, time) and (each, size, time), summed over time: (each, rows, size). The
        # zeros of a block have a derivative too, which `collect` leaves out.
        taken = _taken(values, bucket.parcels), _taken(data, bucket.locations)
        block = _batched(*taken, (2, 2)).reshape(-1)
        return jax.lax.dynamic_update_slice_in_dim(entries, block, start, 0)

    return _over_steps(layout, put, varying_zeros((layout.n_entries,), values))


product, transposed, outer = link(_product, _transposed, _outer)


def _multiply(
    layout: Layout,
    entries: Float[Array, " entries"],
    data: Float[Array, "locations time"],
    multiply: Multiply,
) -> Float[Array, "parcels time"]:
    def add(out: Array, bucket: Bucket, start: Array) -> Array:
        taken = _taken(data, bucket.locations)
        # (each, rows, size) by (each, size, time), over locations.
        rows = multiply(_block(entries, bucket, start), taken, (2, 1))
        # A parcel may have rows in several tiles of a step, all of which are added.
        return out.at[bucket.parcels].add(rows, mode="drop")

    return _over_steps(layout, add, varying_zeros((layout.n_parcels, data.shape[1]), data))


def _multiply_transposed(
    layout: Layout,
    entries: Float[Array, " entries"],
    values: Float[Array, "parcels time"],
    multiply: Multiply,
) -> Float[Array, "locations time"]:
    def put(out: Array, bucket: Bucket, start: Array) -> Array:
        taken = _taken(values, bucket.parcels)
        # (each, rows, size) by (each, rows, time), over parcels.
        rows = multiply(_block(entries, bucket, start), taken, (1, 1))
        # Each location lies in one tile only, so its row is written once.
        return out.at[bucket.locations].set(rows, mode="drop")

    return _over_steps(layout, put, varying_zeros((layout.n_locations, values.shape[1]), values))


def _over_steps(
    layout: Layout, change: Callable[[Array, Bucket, Array], Array], out: Array
) -> Array:
    """Return `out` changed by each step of each bucket, given the place of its first entry."""
    # A loop over steps copies the data of one step at a time, and compiles one step a bucket.
    for bucket in layout.buckets:
        steps, each, size = bucket.locations.shape
        length = each * bucket.parcels.shape[2] * size
        starts = bucket.start + length * jnp.arange(steps, dtype=jnp.int32)
        out = jax.lax.scan(lambda out, part: (change(out, *part), None), out, (bucket, starts))[0]
    return out


def _block(
    entries: Float[Array, " entries"], bucket: Bucket, start: Int32[Array, ""]
) -> Float[Array, "each rows size"]:
    """Return the blocks of one step of a bucket."""
    (each, size), rows = bucket.locations.shape, bucket.parcels.shape[1]
    block = jax.lax.dynamic_slice_in_dim(entries, start, each * rows * size)
    return block.reshape(each, rows, size)


def _careful(block: Array, data: Array, contract: tuple[int, int]) -> Array:
    """Return products that are NaN where a weight other than 0 meets what is not finite."""
    bad = ~jnp.isfinite(data)
    present = (block != 0).astype(data.dtype)
    # How many of the values that are not finite have a weight other than 0.
    hit = _batched(present, bad.astype(data.dtype), contract) > 0
    return jnp.where(hit, jnp.nan, _batched(block, jnp.where(bad, 0, data), contract))


def _taken(values: Array, rows: Int32[AnyArray, "each n"]) -> Float[Array, "each n time"]:
    return values.at[rows].get(mode="fill", fill_value=0)


def _batched(a: Array, b: Array, contract: tuple[int, int]) -> Array:
    """Return the products of the matrices of two stacks, over the axes `contract`."""
    # By default JAX multiplies float32 in TF32 on newer GPUs and in bfloat16 on TPUs, which keeps 2
    # or 3 digits.
    numbers = (((contract[0],), (contract[1],)), ((0,), (0,)))
    return jax.lax.dot_general(a, b, numbers, precision=jax.lax.Precision.HIGHEST)
