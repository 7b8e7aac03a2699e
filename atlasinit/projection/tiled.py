"""Products of sparse maps as small dense products, one a tile of neighbouring locations.

Maps of brain regions are local: the 64 locations of a compact tile touch a few
parcels, so each tile is one small dense block. Where the blocks lie is worked out
once on the host (`TilePlan`); the weights stay one trainable vector.

The three products of blocks W, data x and parcel values y

    A(W, x) = W x,      B(W, y) = W' y,      C(y, x) = y x' at the blocks

are each other's derivatives, which makes reverse-mode derivatives of any order
without storing the data tile by tile. Forward mode is not available.
"""

from typing import TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int32

from atlasinit._typing import AnyArray
from atlasinit.maps import SparseMaps
from atlasinit.tiling import tiles

Blocks: TypeAlias = tuple[Float[Array, "_ _ _ size"], ...]

_SIZE = 64
_BUCKETS = 4


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
    each: int,
    start: int = 0,
    total: int | None = None,
) -> TilePlan:
    """Return the plan of `maps`, whose `indices` should be concrete.

    Without `coordinates`, tiles are runs of consecutive locations: as exact, but
    slower where neighbours are far apart in the order. `each` tiles are one step. The
    maps' locations are those from `start` on of `total` in the data: reading them where
    they lie costs less than cutting them out.
    """
    if coordinates is None:
        line = np.arange(maps.n_locations, dtype=np.float64)
        coordinates = np.stack([line, 0 * line, 0 * line], axis=1)
    groups = tiles(coordinates, size=_SIZE)
    n_parcels, n_locations = maps.n_parcels, total or maps.n_locations
    columns = np.empty(groups.size, np.int64)
    columns[groups.reshape(-1)] = np.arange(groups.size)
    tile, column = np.divmod(columns[np.asarray(maps.indices)], _SIZE)
    parcel = maps.rows()
    touched = np.zeros((len(groups), n_parcels), bool)
    touched[tile, parcel] = True
    rank = np.cumsum(touched, axis=1, dtype=np.int32) - 1
    local = rank[tile, parcel]
    widths = touched.sum(axis=1)

    order = np.argsort(widths, kind="stable")
    order = order[widths[order] > 0]
    buckets, begin = [], 0
    positions = np.empty(len(parcel), np.int64)
    for members in (m for m in np.array_split(order, _BUCKETS) if m.size):
        width = int(widths[members].max())
        steps = -(-members.size // each)
        shape = (steps * each, width, _SIZE)
        place = np.full(len(groups), -1)
        place[members] = np.arange(members.size)
        mine = np.flatnonzero(place[tile] >= 0)
        flat = (place[tile[mine]] * width + local[mine]) * _SIZE + column[mine]
        positions[mine] = begin + flat
        begin += steps * each * width * _SIZE
        slots = np.full(shape, len(parcel), np.int32)
        slots.reshape(-1)[flat] = mine
        locations = np.full((steps * each, _SIZE), n_locations, np.int32)
        locations[: members.size] = np.where(
            groups[members] < 0, n_locations, groups[members] + start
        )
        parcels = np.full((steps * each, width), n_parcels, np.int32)
        at, row = np.nonzero(touched[members])
        parcels[at, rank[members][at, row]] = row
        arrays = (locations, parcels, slots)
        buckets.append(Bucket(*(jnp.asarray(a.reshape(steps, each, *a.shape[1:])) for a in arrays)))
    if begin > np.iinfo(np.int32).max:
        raise ValueError('The maps are too large for tiles; use `kernel="dense"`.')
    return TilePlan(tuple(buckets), jnp.asarray(positions.astype(np.int32)), n_parcels, n_locations)


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

    def careful() -> Float[Array, "parcels time"]:
        bad = ~jnp.isfinite(data)
        present = tuple((b != 0).astype(b.dtype) for b in blocks)
        hit = _product(plan, present, bad.astype(data.dtype)) > 0
        return jnp.where(hit, jnp.nan, _product(plan, blocks, jnp.where(bad, 0, data)))

    # A block's zeros turn a NaN of one location into NaN for all parcels of its tile.
    out = _product(plan, blocks, data)
    return jax.lax.cond(jnp.isfinite(out).all(), lambda: out, careful)


@jax.custom_vjp
def transposed(
    plan: TilePlan, blocks: Blocks, values: Float[Array, "parcels time"]
) -> Float[Array, "locations time"]:
    """Return B(W, y)."""
    out = jnp.zeros((plan.n_locations, values.shape[1]), values.dtype)
    for bucket, block in zip(plan.buckets, blocks, strict=True):
        out = _scatter_steps(
            out, values, block, bucket.parcels, bucket.locations, contract=1, unique=True
        )
    return out


@jax.custom_vjp
def outer(
    plan: TilePlan, values: Float[Array, "parcels time"], data: Float[Array, "locations time"]
) -> Blocks:
    """Return C(y, x)."""

    def step(_: None, bucket: Bucket) -> tuple[None, Float[Array, "each rows size"]]:
        y = values.at[bucket.parcels].get(mode="fill", fill_value=0)
        x = data.at[bucket.locations].get(mode="fill", fill_value=0)
        return None, _batched(y, x, (2, 2))

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
    plan: TilePlan, blocks: Blocks, data: Float[Array, "locations time"]
) -> Float[Array, "parcels time"]:
    out = jnp.zeros((plan.n_parcels, data.shape[1]), data.dtype)
    for bucket, block in zip(plan.buckets, blocks, strict=True):
        out = _scatter_steps(
            out, data, block, bucket.locations, bucket.parcels, contract=2, unique=False
        )
    return out


def _scatter_steps(
    out: Float[Array, "rows time"],
    source: Float[Array, "columns time"],
    blocks: Float[Array, "steps each parcels size"],
    from_: Int32[AnyArray, "steps each n"],
    to: Int32[AnyArray, "steps each m"],
    *,
    contract: int,
    unique: bool,
) -> Float[Array, "rows time"]:
    """Add to the rows `to` of `out` the blocks times the rows `from_` of `source`, step by step."""

    def step(
        out: Float[Array, "rows time"], parts: tuple[AnyArray, AnyArray, AnyArray]
    ) -> tuple[Float[Array, "rows time"], None]:
        block, here, there = parts
        rows = _batched(block, source.at[here].get(mode="fill", fill_value=0), (contract, 1))
        where = out.at[there.reshape(-1)]
        rows = rows.reshape(there.size, out.shape[1])
        # Each location lies in one tile only, so its row is written once.
        return (where.set if unique else where.add)(rows, mode="drop"), None

    return jax.lax.scan(step, out, (blocks, from_, to))[0]


def _batched(a: AnyArray, b: AnyArray, contract: tuple[int, int]) -> Array:
    """Return the products of the matrices of two stacks, over the axes `contract`."""
    numbers = (((contract[0],), (contract[1],)), ((0,), (0,)))
    return jax.lax.dot_general(a, b, numbers, precision=jax.lax.Precision.HIGHEST)
