"""The kernel of sparse maps as blocks: one small product a tile of neighbouring locations."""

from typing import Any, ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Float

from atlasinit.core.maps import HardMaps, SparseMaps
from atlasinit.projection.kernels import tiles
from atlasinit.projection.kernels.base import (
    AbstractKernel,
    Data,
    Site,
    Values,
    absolute_of,
    map_batch,
    weights_of,
)
from atlasinit.support.typing import AnyArray

# A GPU wants many products a launch. On a CPU, one after the other is multiplied: small ones
# hold fewer zeros, but XLA leaves those below some 1.6 million multiplications to one core.
_SIZES = {"cpu": (384, 2)}
_LAUNCHED = (256, 1024)


class TiledKernel(AbstractKernel):
    """Sparse weights as the entries of blocks.

    Parameters
    ----------
    entries
        (entries,) the weights and zeros of all blocks, one after the other.
    layout
        Where the blocks lie.
    """

    name: ClassVar[str] = "tiles"
    computes: ClassVar[tuple[type, ...]] = (HardMaps, SparseMaps)
    whole: ClassVar[bool] = True
    needs_positions: ClassVar[bool] = True
    merges: ClassVar[bool] = True

    entries: Float[AnyArray, " entries"]
    layout: tiles.Layout

    @classmethod
    def plan(cls, maps: HardMaps | SparseMaps, site: Site) -> tiles.TilePlan:
        """Return where the weights lie in the blocks."""
        size, each = _SIZES.get(site.backend, _LAUNCHED)
        return tiles.plan_tiles(
            SparseMaps.from_scipy(maps.to_scipy()) if isinstance(maps, HardMaps) else maps,
            site.coordinates(),
            size=size,
            each=each,
            start=site.start,
            total=site.total,
        )

    @classmethod
    def build(cls, maps: HardMaps | SparseMaps, plan: tiles.TilePlan) -> "TiledKernel":
        """Return the kernel of weights laid out in blocks."""
        # The plan of hard labels counts their ones; the labels may be traced.
        return cls(tiles.spread(plan, weights_of(maps, plan.positions.shape[0])), plan.layout)

    def product(self, data: Data) -> Values:
        """Return W x."""
        entries = jnp.asarray(self.entries, data.dtype)
        return map_batch(lambda x: tiles.product(self.layout, entries, x), data)

    def transposed(self, values: Values) -> Data:
        """Return W' y."""
        entries = jnp.asarray(self.entries, values.dtype)
        return map_batch(lambda y: tiles.transposed(self.layout, entries, y), values)

    def absolute(self) -> "TiledKernel":
        """Return the kernel of |W|."""
        return TiledKernel(absolute_of(self.entries), self.layout)

    def totals(self, dtype: Any) -> Float[Array, " parcels"]:
        """Return W 1, added up in `dtype`."""
        return tiles.add_rows(self.layout, self._rows().sum(axis=1, dtype=dtype))

    def dense(self) -> Float[Array, "parcels locations"]:
        """Return W."""
        rows, shape = self._rows(), (self.layout.n_parcels, self.layout.n_locations)
        # (rows, size) the locations of each row, those of its block.
        places = [
            jnp.repeat(jnp.asarray(b.locations).reshape(-1, rows.shape[1]), b.rows, axis=0)
            for b in self.layout.buckets
        ]
        parcels = jnp.asarray(self.layout.parcels)[:, None]
        out = jnp.zeros(shape, rows.dtype)
        return out.at[parcels, jnp.concatenate(places)].set(rows, mode="drop")

    def _rows(self) -> Float[Array, "rows size"]:
        """Return the rows of all blocks."""
        size = self.layout.buckets[0].locations.shape[-1]
        return jnp.asarray(self.entries).reshape(self.layout.parcels.shape[0], size)
