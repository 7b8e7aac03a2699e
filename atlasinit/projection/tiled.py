"""Products of sparse maps as small dense products, one a tile of neighbouring locations.

Maps of brain regions are local: the 64 locations of a compact tile touch a few
parcels, so each tile is one small dense block. Where the blocks lie is worked out
once on the host (`TilePlan`); the weights stay one trainable vector.

The three products of blocks W, data x and parcel values y

    A(W, x) = W x,      B(W, y) = W' y,      C(y, x) = y x' at the blocks

are each other's derivatives, which makes reverse-mode derivatives of any order
without storing the data tile by tile. Forward mode is not available.
"""

from collections.abc import Callable
from typing import TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Int32

from atlasinit._typing import AnyArray
from atlasinit.maps import SparseMaps
from atlasinit.tiling import tiles

Blocks: TypeAlias = tuple[Float[Array, "_ _ _ size"], ...]

_BUCKETS = 6


class Bucket(eqx.Module):
    """Tiles that touch about the same number of parcels, in steps of several tiles."""

    locations: Int32[AnyArray, "steps each size"]
    parcels: Int32[AnyArray, "steps each rows"]
    slots: Int32[AnyArray, "steps each rows size"]


class TilePlan(eqx.Module):
    """Where the weights of sparse maps lie in the blocks of tiles.

    Parameters
    ----------
    buckets
        Tiles by their number of parcels; padding has location `n_locations`, parcel
        `n_parcels` and the slot behind the last weight.
    positions
        (nonzeros,) place of each weight among the entries of all blocks.
    n_parcels, n_locations
        Number of the maps' parcels, and of locations in the data.
    """

    buckets: tuple[Bucket, ...]
    positions: Int32[AnyArray, " nonzeros"]
    n_parcels: int = eqx.field(static=True)
    n_locations: int = eqx.field(static=True)


def plan_tiles(
    maps: SparseMaps,
    coordinates: Float[np.ndarray, "locations 3"] | None,
    *,
    size: int = 64,
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
    columns = np.empty(groups.size, np.int32)
    columns[groups.reshape(-1)] = np.arange(groups.size, dtype=np.int32)
    tile, column = np.divmod(columns[np.asarray(maps.indices)], np.int32(size))
    parcel = maps.rows()
    touched = np.zeros((len(groups), maps.n_parcels), bool)
    touched[tile, parcel] = True
    rank = np.cumsum(touched, axis=1, dtype=np.int32) - 1
    widths = touched.sum(axis=1)

    n_tiles = max(int((widths > 0).sum()), 1)
    each = -(-n_tiles // -(-n_tiles // each))
    members = _by_width(widths, each)
    lengths = [-(-m.size // each) * each for m in members]
    breadths = [int(widths[m].max(initial=0)) for m in members]
    ends = np.cumsum([n * w * size for n, w in zip(lengths, breadths, strict=True)]).tolist()
    if ends[-1] > np.iinfo(np.int32).max:
        raise ValueError('The maps are too large for tiles; use `kernel="dense"`.')

    # Where the first entry of each tile lies among the entries of all blocks.
    first = np.zeros(len(groups), np.int32)
    for m, w, begin in zip(members, breadths, [0, *ends], strict=False):
        first[m] = begin + np.arange(m.size) * (w * size)
    positions = first[tile] + rank[tile, parcel] * np.int32(size) + column
    slots = np.full(ends[-1], parcel.size, np.int32)
    slots[positions] = np.arange(parcel.size, dtype=np.int32)

    n_locations = maps.n_locations if total is None else total
    places = np.where(groups < 0, n_locations, groups + start)
    buckets = []
    for m, n, w, part in zip(members, lengths, breadths, np.split(slots, ends[:-1]), strict=True):
        locations = np.full((n, size), n_locations, np.int32)
        locations[: m.size] = places[m]
        parcels = np.full((n, w), maps.n_parcels, np.int32)
        which, rows = np.nonzero(touched[m])
        parcels[which, rank[m][which, rows]] = rows
        arrays = (locations, parcels, part.reshape(n, w, size))
        buckets.append(Bucket(*(a.reshape(n // each, each, *a.shape[1:]) for a in arrays)))
    plan = TilePlan(tuple(buckets), positions, maps.n_parcels, n_locations)
    return jax.tree.map(jnp.asarray, plan)


def _by_width(widths: Int[np.ndarray, " tiles"], each: int) -> list[np.ndarray]:
    """Return the tiles that touch parcels in groups of alike width, about 8 steps each or more."""
    order = np.argsort(widths, kind="stable")
    order = order[widths[order] > 0]
    # Each group is compiled, so that a few steps are not worth one of their own.
    count = np.clip(order.size // (8 * each), 1, _BUCKETS)
    low, high = (widths[order[0]] - 1, widths[order[-1]]) if order.size else (0, 0)
    edges = np.searchsorted(widths[order], np.linspace(low, high, count + 1)[1:-1], side="right")
    groups = np.split(order, edges)
    return [g for g in groups if g.size] or groups[:1]


@jax.custom_vjp
def spread(plan: TilePlan, values: Float[AnyArray, " nonzeros"]) -> Blocks:
    """Return the blocks that hold `values`, zero elsewhere."""
    values = jnp.asarray(values)
    return tuple(values.at[b.slots].get(mode="fill", fill_value=0) for b in plan.buckets)


@jax.custom_vjp
def collect(plan: TilePlan, blocks: Blocks) -> Float[Array, " nonzeros"]:
    """Return the values that `blocks` hold at the positions of the weights."""
    return jnp.concatenate([b.reshape(-1) for b in blocks])[plan.positions]


spread.defvjp(lambda p, v: (spread(p, v), p), lambda p, g: (None, collect(p, g)))
collect.defvjp(lambda p, b: (collect(p, b), p), lambda p, g: (None, spread(p, g)))


@jax.custom_vjp
def product(
    plan: TilePlan, blocks: Blocks, data: Float[Array, "locations time"]
) -> Float[Array, "parcels time"]:
    """Return A(W, x). Locations that are not finite make NaN where their weight is not 0."""
    # A block's zeros turn a NaN of one location into NaN for all parcels of its tile.
    out = _product(plan, blocks, data, _batched)
    return jax.lax.cond(
        jnp.isfinite(out).all(), lambda: out, lambda: _product(plan, blocks, data, _careful)
    )


@jax.custom_vjp
def transposed(
    plan: TilePlan, blocks: Blocks, values: Float[Array, "parcels time"]
) -> Float[Array, "locations time"]:
    """Return B(W, y)."""
    out = jnp.zeros((plan.n_locations, values.shape[1]), values.dtype)
    for bucket, block in zip(plan.buckets, blocks, strict=True):

        def step(out: Array, parts: tuple[Array, Bucket]) -> tuple[Array, None]:
            block, bucket = parts
            rows = _batched(block, _taken(values, bucket.parcels), (1, 1))
            # Each location lies in one tile only, so its row is written once.
            return out.at[bucket.locations].set(rows, mode="drop"), None

        out = jax.lax.scan(step, out, (block, bucket))[0]
    return out


@jax.custom_vjp
def outer(
    plan: TilePlan, values: Float[Array, "parcels time"], data: Float[Array, "locations time"]
) -> Blocks:
    """Return C(y, x)."""

    def step(_: None, bucket: Bucket) -> tuple[None, Float[Array, "each rows size"]]:
        return None, _batched(
            _taken(values, bucket.parcels), _taken(data, bucket.locations), (2, 2)
        )

    return tuple(jax.lax.scan(step, None, bucket)[1] for bucket in plan.buckets)


product.defvjp(
    lambda p, w, x: (product(p, w, x), (p, w, x)),
    lambda r, g: (None, outer(r[0], g, r[2]), transposed(r[0], r[1], g)),
)
transposed.defvjp(
    lambda p, w, y: (transposed(p, w, y), (p, w, y)),
    lambda r, g: (None, outer(r[0], r[2], g), product(r[0], r[1], g)),
)
outer.defvjp(
    lambda p, y, x: (outer(p, y, x), (p, y, x)),
    lambda r, g: (None, product(r[0], g, r[2]), transposed(r[0], g, r[1])),
)


def _product(
    plan: TilePlan,
    blocks: Blocks,
    data: Float[Array, "locations time"],
    multiply: Callable[[Array, Array, tuple[int, int]], Array],
) -> Float[Array, "parcels time"]:
    out = jnp.zeros((plan.n_parcels, data.shape[1]), data.dtype)
    for bucket, block in zip(plan.buckets, blocks, strict=True):

        def step(out: Array, parts: tuple[Array, Bucket]) -> tuple[Array, None]:
            block, bucket = parts
            rows = multiply(block, _taken(data, bucket.locations), (2, 1))
            return out.at[bucket.parcels].add(rows, mode="drop"), None

        out = jax.lax.scan(step, out, (block, bucket))[0]
    return out


def _careful(block: Array, data: Array, contract: tuple[int, int]) -> Array:
    """Return products that are NaN where a weight other than 0 meets what is not finite."""
    bad = ~jnp.isfinite(data)
    present = (block != 0).astype(data.dtype)
    hit = _batched(present, bad.astype(data.dtype), contract) > 0
    return jnp.where(hit, jnp.nan, _batched(block, jnp.where(bad, 0, data), contract))


def _taken(values: Array, rows: Int32[AnyArray, "each n"]) -> Float[Array, "each n time"]:
    return values.at[rows].get(mode="fill", fill_value=0)


def _batched(a: Array, b: Array, contract: tuple[int, int]) -> Array:
    """Return the products of the matrices of two stacks, over the axes `contract`."""
    numbers = (((contract[0],), (contract[1],)), ((0,), (0,)))
    return jax.lax.dot_general(a, b, numbers, precision=jax.lax.Precision.HIGHEST)
