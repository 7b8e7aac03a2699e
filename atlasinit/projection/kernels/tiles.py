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

import functools
import math
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Int32

from atlasinit.core.maps import SparseMaps
from atlasinit.errors import ArgumentError
from atlasinit.projection.derivatives import link, link_pair
from atlasinit.projection.kernels.base import all_finite
from atlasinit.support.sharding import vary_alike, varying_zeros
from atlasinit.support.tiling import tiles
from atlasinit.support.typing import AnyArray

# Blocks of one bucket have equally many rows. More buckets hold fewer zeros, but each is a loop
# that XLA compiles by itself, some 0.1 s.
_BUCKETS = 2
# What reading the locations of a block takes, in rows that it is multiplied by: about that.
_READING = 6
# Numbers of rows that are tried, at most.
_TRIED = 32

# What a stage multiplies: everything, what is finite alone, or how much is not.
_WHOLE, _FINITE, _COUNT = 0, 1, 2


class Bucket(eqx.Module):
    """Blocks of equally many rows, in steps of several.

    Parameters
    ----------
    locations
        (steps, each, size) those of each block.
    rows
        Number of rows of a block, one a parcel.
    row, entry
        Where its first row lies among those of all blocks, and its first entry.
    """

    locations: Int32[AnyArray, "steps each size"]
    rows: int = eqx.field(static=True)
    row: int = eqx.field(static=True)
    entry: int = eqx.field(static=True)

    @property
    def shape(self) -> tuple[int, int, int]:
        """The blocks of a step: (each, rows, size)."""
        _, each, size = self.locations.shape
        return each, self.rows, size


class Layout(eqx.Module):
    """The locations and parcels of each block.

    Parameters
    ----------
    buckets
        The blocks by their number of rows; padding has location `n_locations`.
    parcels
        (rows,) parcel of each row of all blocks; `n_parcels` for padding.
    n_entries
        Number of entries of all blocks.
    n_parcels, n_locations
        Number of the maps' parcels, and of locations in the data.
    """

    buckets: tuple[Bucket, ...]
    parcels: Int32[AnyArray, " rows"]
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

    # A tile that touches more parcels than the largest block has rows is several blocks.
    breadths = _choose_rows(widths, each)
    parts = -(-widths // breadths[-1])
    first = np.cumsum(parts) - parts
    of = np.repeat(np.arange(len(groups)), parts)
    # Of each block: which of its tile's it is, and how many rows of the tile's each of them has.
    part = np.arange(of.size) - first[of]
    share = -(-widths // np.maximum(parts, 1))
    sizes = np.minimum(share[of], widths[of] - part * share[of])

    n_blocks = max(of.size, 1)
    # As many steps as are needed, with the blocks spread evenly, so that the last is not mostly
    # padding.
    each = -(-n_blocks // -(-n_blocks // each))
    members = [np.flatnonzero(own) for own in np.searchsorted(breadths, sizes) == _column(breadths)]
    # Of each bucket the number of blocks, padded to whole steps; of rows and entries before it.
    lengths = [-(-m.size // each) * each for m in members]
    counts = [n * w for n, w in zip(lengths, breadths, strict=True)]
    ends = np.cumsum([0, *counts]).tolist()
    if ends[-1] * size > np.iinfo(np.int32).max:
        raise ArgumentError("kernel", ": the maps are too large for tiles", 'use "dense"')

    # Where the first row of each block lies among the rows of all blocks.
    begins = np.zeros(of.size, np.int32)
    for m, w, begin in zip(members, breadths, ends[:-1], strict=True):
        begins[m] = begin + np.arange(m.size) * w
    # The row of each weight, and its entry: rows lie one after the other.
    ranks = rank[tile, parcel]
    divisor = np.maximum(share, 1)[tile]
    rows = begins[first[tile] + ranks // divisor] + ranks % divisor
    positions = (rows * size + column).astype(np.int32)
    slots = np.full(ends[-1] * size, parcel.size, np.int32)
    slots[positions] = np.arange(parcel.size, dtype=np.int32)
    parcels = np.full(ends[-1], maps.n_parcels, np.int32)
    parcels[rows] = parcel

    n_locations = maps.n_locations if total is None else total
    # Padding lies behind the last location, where reading gives 0 and writing is dropped.
    places = np.where(groups < 0, n_locations, groups + start).astype(np.int32)
    buckets = []
    for m, n, w, begin in zip(members, lengths, breadths, ends[:-1], strict=True):
        locations = np.full((n, size), n_locations, np.int32)
        locations[: m.size] = places[of[m]]
        buckets.append(Bucket(locations.reshape(n // each, each, size), w, begin, begin * size))
    layout = Layout(tuple(buckets), parcels, slots.size, maps.n_parcels, n_locations)
    return jax.tree.map(jnp.asarray, TilePlan(layout, slots, positions))


def _choose_rows(widths: Int[np.ndarray, " tiles"], each: int) -> list[int]:
    """Return the numbers of rows of blocks, ascending, that take the least for tiles so wide."""
    widths = widths[widths > 0]
    if not widths.size:
        # Maps without weights have one bucket, without blocks.
        return [1]
    # Few steps are not worth a loop of their own.
    if widths.size < 16 * each:
        return [int(widths.max())]
    tried = np.unique(np.quantile(widths, np.linspace(0, 1, _TRIED), method="higher"))
    pairs = [(int(a), int(b)) for b in tried for a in tried[tried <= b]]
    costs = [_cost(widths, *pair) for pair in pairs]
    return sorted(set(pairs[int(np.argmin(costs))]))


def _cost(widths: Int[np.ndarray, " tiles"], small: int, large: int) -> float:
    """Return what blocks of `small` and of `large` rows take, in rows."""
    parts = -(-widths // large)
    rows = np.where(-(-widths // parts) <= small, small, large)
    return float((parts * (rows + _READING)).sum())


def _column(values: list[int]) -> Int[np.ndarray, "n 1"]:
    """Return indices of values as a column."""
    return np.arange(len(values))[:, None]


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


def add_rows(layout: Layout, rows: Float[Array, "rows *time"]) -> Float[Array, "parcels *time"]:
    """Return sums over the rows of each parcel."""
    out = varying_zeros((layout.n_parcels, *rows.shape[1:]), rows)
    return out.at[layout.parcels].add(rows, mode="drop", wrap_negative_indices=False)


def _product(
    layout: Layout, entries: Float[Array, " entries"], data: Float[Array, "locations time"]
) -> Float[Array, "parcels time"]:
    """Return A(W, x). Locations that are not finite make NaN where their weight is not 0."""

    def multiply(stage: Array) -> Array:
        def put(rows: Array, bucket: Bucket, step: Array) -> Array:
            def read() -> tuple[Array, Array]:
                return _block(entries, bucket, step), _take(data, _locations(bucket, step))

            def choose() -> tuple[Array, Array]:
                block, taken = read()
                return _choose_weights(block, stage), _choose_values(taken, stage)

            # (each, rows, size) by (each, size, time), over locations.
            block, taken = jax.lax.cond(stage == _WHOLE, read, choose)
            out = _batched(block, taken, (2, 1))
            count = out.shape[0] * out.shape[1]
            out, start = out.reshape(count, data.shape[1]), bucket.row + step * count
            return jax.lax.dynamic_update_slice_in_dim(rows, out, start, 0)

        shape = (layout.parcels.shape[0], data.shape[1])
        rows = _over_steps(layout, put, varying_zeros(shape, data))
        return add_rows(layout, _spoil(rows, stage))

    def change(state: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        stage, end, out = state
        out = jnp.where(stage == _COUNT, out, 0) + multiply(stage)
        end = jnp.where((stage == _WHOLE) & ~all_finite(out), _COUNT + 1, end)
        return stage + 1, end, out

    # A block's zeros turn a NaN of one location into NaN for all parcels of its tile.
    # So the result tells whether the data that are read are finite, and it is the smaller array.
    zeros = varying_zeros((layout.n_parcels, data.shape[1]), data)
    return _in_stages(change, _WHOLE, _WHOLE + 1, zeros)


def _transposed(
    layout: Layout, entries: Float[Array, " entries"], values: Float[Array, "parcels time"]
) -> Float[Array, "locations time"]:
    """Return B(W, y). Values that are not finite make NaN where their weight is not 0."""
    rows = _take(values, layout.parcels)

    def change(state: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        stage, end, out = state
        chosen = _choose_values(rows, stage)

        def add(out: Array, bucket: Bucket, step: Array) -> Array:
            # (each, rows, size) by (each, rows, time), over parcels.
            block = _choose_weights(_block(entries, bucket, step), stage)
            spread = _batched(block, _rows(chosen, bucket, step), (1, 1))
            # A location whose tile is several blocks is added to by each of them.
            spoilt = _spoil(spread, stage)
            places = _locations(bucket, step)
            return out.at[places].add(spoilt, mode="drop", wrap_negative_indices=False)

        return stage + 1, end, _over_steps(layout, add, out)

    finite = all_finite(values)
    start, end = jnp.where(finite, _WHOLE, _FINITE), jnp.where(finite, _WHOLE, _COUNT) + 1
    zeros = varying_zeros((layout.n_locations, values.shape[1]), values)
    return _in_stages(change, start, end, zeros)


def _outer(
    layout: Layout, values: Float[Array, "parcels time"], data: Float[Array, "locations time"]
) -> Float[Array, " entries"]:
    """Return C(y, x)."""
    rows = _take(values, layout.parcels)

    def put(entries: Array, bucket: Bucket, step: Array) -> Array:
        # (each, rows, time) and (each, size, time), summed over time: (each, rows, size). The
        # zeros of a block have a derivative too, which `collect` leaves out.
        taken = _rows(rows, bucket, step), _take(data, _locations(bucket, step))
        block = _batched(*taken, (2, 2)).reshape(-1)
        start = bucket.entry + step * block.size
        return jax.lax.dynamic_update_slice_in_dim(entries, block, start, 0)

    return _over_steps(layout, put, varying_zeros((layout.n_entries,), values))


product, transposed, outer = link(_product, _transposed, _outer)


def _in_stages(
    change: Callable[[tuple[Array, Array, Array]], tuple[Array, Array, Array]],
    start: Any,
    end: Any,
    zeros: Array,
) -> Array:
    """Return what the stages from `start` to `end` add to zeros; each changes stage, end, sum.

    One loop is compiled for all: most data are finite, and need the first alone.
    """
    numbers = jnp.asarray(start, jnp.int32), jnp.asarray(end, jnp.int32)
    first: Any = vary_alike(*numbers, zeros)
    return jax.lax.while_loop(lambda state: state[0] < state[1], change, first)[2]


def _choose_values(values: Array, stage: Array) -> Array:
    """Return the values that a stage multiplies."""
    finite = jnp.isfinite(values)
    counted = ((stage == _COUNT) & ~finite).astype(values.dtype)
    return jnp.where(finite & (stage != _COUNT) | (stage == _WHOLE), values, counted)


def _choose_weights(block: Array, stage: Array) -> Array:
    """Return the weights that a stage multiplies by."""
    return jnp.where(stage == _COUNT, (block != 0).astype(block.dtype), block)


def _spoil(products: Array, stage: Array) -> Array:
    """Return what a stage adds: NaN for each product that counts what is not finite."""
    spoilt = jnp.where(products > 0, jnp.nan, 0).astype(products.dtype)
    return jnp.where(stage == _COUNT, spoilt, products)


def _over_steps(
    layout: Layout, change: Callable[[Array, Bucket, Array], Array], out: Array
) -> Array:
    """Return `out` changed by each step of each bucket, given the step's number."""
    # A loop over steps copies the data of one step at a time, and compiles one step a bucket.
    for bucket in layout.buckets:
        # Maps without weights have no step, of which none can be compiled.
        if n_steps := bucket.locations.shape[0]:
            step = functools.partial(_change_in_turn, change, bucket)
            out = jax.lax.fori_loop(jnp.int32(0), jnp.int32(n_steps), step, out)
    return out


def _change_in_turn(
    change: Callable[[Array, Bucket, Array], Array], bucket: Bucket, step: Array, out: Array
) -> Array:
    return change(out, bucket, step)


def _locations(bucket: Bucket, step: Int32[Array, ""]) -> Int32[Array, "each size"]:
    """Return the locations of one step of a bucket."""
    return jax.lax.dynamic_index_in_dim(jnp.asarray(bucket.locations), step, keepdims=False)


def _block(
    entries: Float[Array, " entries"], bucket: Bucket, step: Int32[Array, ""]
) -> Float[Array, "each rows size"]:
    """Return the blocks of one step of a bucket."""
    length = math.prod(bucket.shape)
    start = bucket.entry + step * length
    return jax.lax.dynamic_slice_in_dim(entries, start, length).reshape(bucket.shape)


def _rows(
    values: Float[Array, "all time"], bucket: Bucket, step: Int32[Array, ""]
) -> Float[Array, "each rows time"]:
    """Return the values of the rows of one step of a bucket."""
    each, rows, _ = bucket.shape
    start = bucket.row + step * (each * rows)
    taken = jax.lax.dynamic_slice_in_dim(values, start, each * rows)
    return taken.reshape(each, rows, values.shape[1])


def _take(values: Float[Array, "n *time"], rows: Int32[AnyArray, "..."]) -> Array:
    return values.at[rows].get(mode="fill", fill_value=0, wrap_negative_indices=False)


def _batched(a: Array, b: Array, contract: tuple[int, int]) -> Array:
    """Return the products of the matrices of two stacks, over the axes `contract`."""
    # By default JAX multiplies float32 in TF32 on newer GPUs and in bfloat16 on TPUs, which keeps 2
    # or 3 digits.
    numbers = (((contract[0],), (contract[1],)), ((0,), (0,)))
    return jax.lax.dot_general(a, b, numbers, precision=jax.lax.Precision.HIGHEST)
