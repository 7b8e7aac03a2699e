"""Kernels between scattered locations, as small dense blocks: one tile and all in its reach."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float32, Int32

from atlasinit.smoothing.profile import Sphere, arc_squared, profile_of, sphere_weights
from atlasinit.smoothing.sparse import csr_of
from atlasinit.smoothing.types import Stored, Width
from atlasinit.support.threads import run_in_threads
from atlasinit.support.typing import AnyArray

if TYPE_CHECKING:
    from scipy.sparse import csr_array

TILE = 32
"""Locations per tile: smaller tiles leave fewer empty entries, larger ones make larger products."""

STORED_BYTES = 2**29
"""Weights that take more are evaluated anew each time they are used."""

_CHUNK = 2**19  # entries evaluated at once on the host, so that they stay in the cache
_GATHERED = {"cpu": 2**21, "gpu": 2**27}  # values gathered at once for all tiles together
_BATCH = {"cpu": 16, "gpu": 512}  # tiles evaluated at once


class Blocks(eqx.Module):
    """Tiles with about as many locations in reach.

    Parameters
    ----------
    rows
        The locations of each tile; padded with the number of locations.
    columns
        The locations that may be in reach of the tile; padded likewise.
    squared
        Squared distances in mm2, finite where out of reach too, so that derivatives are;
        None where they follow from the coordinates.
    """

    rows: Int32[AnyArray, "tiles size"]
    columns: Int32[AnyArray, "tiles width"]
    squared: Float32[AnyArray, "tiles size width"] | None


class BlockKernel(eqx.Module):
    """A kernel of great-circle or of stored distances.

    Parameters
    ----------
    blocks
        The tiles, in groups of equal width, and the locations in their reach.
    position
        Where each location lies among the concatenated rows of the blocks.
    reach
        Distance in mm beyond which the kernel is zero.
    sphere
        Coordinates, for blocks without stored distances.
    """

    blocks: tuple[Blocks, ...]
    position: Int32[AnyArray, " locations"]
    sphere: Sphere | None
    reach: float = eqx.field(static=True)

    @property
    def n_locations(self) -> int:
        """Number of locations."""
        return self.position.shape[0]

    def store(self, sigma: float) -> Stored | None:
        """Return the weights of each group of tiles, unless they are large."""
        shapes = [(*b.rows.shape, b.columns.shape[1]) for b in self.blocks]
        if sum(4 * int(np.prod(shape)) for shape in shapes) > STORED_BYTES:
            return None
        out = tuple(np.empty(shape, np.float32) for shape in shapes)
        kernel = jax.tree.map(np.asarray, self)

        def evaluate(i: int, part: slice) -> None:
            out[i][part] = _host_weights(kernel, i, part, sigma)

        run_in_threads(evaluate, self._parts())
        return out

    def apply(
        self, data: Float[Array, "locations k"], sigma: Width, stored: Stored | None
    ) -> Float[Array, "locations k"]:
        """Return ``K @ data``."""
        padded = jnp.concatenate([data, jnp.zeros((1, data.shape[1]), data.dtype)])
        kernel, stored = _cast((self, stored), data.dtype)
        parts = []
        for i, block in enumerate(kernel.blocks):
            if stored is not None:
                rows = _product(stored[i], block.columns, padded)
            else:
                rows = kernel._multiply_anew(block, jnp.asarray(sigma, data.dtype), padded)
            parts.append(rows.reshape(block.rows.size, data.shape[1]))
        return jnp.concatenate(parts)[self.position]

    def spread(self, matrix: "csr_array", sigma: float, stored: Stored | None) -> "csr_array":
        """Return ``matrix @ K`` on the host, in the matrix's dtype."""
        from scipy.sparse import csr_array

        n_parcels = len(matrix.indptr) - 1
        # One row more, without a weight, for the padding.
        by_location = csr_array(matrix.T)
        by_location.resize((self.n_locations + 1, n_parcels))
        # Each slice of a JAX array would be compiled.
        host, stored = jax.tree.map(np.asarray, (self, stored))

        def block_entries(i: int, part: slice) -> tuple[AnyArray, ...]:
            block = host.blocks[i]
            weights = stored[i][part] if stored else _host_weights(host, i, part, sigma)
            return _spread_block(weights, block.rows[part], block.columns[part], by_location)

        entries = run_in_threads(block_entries, self._parts())
        values, parcels, locations = (np.concatenate(part) for part in zip(*entries, strict=True))
        return csr_array((values, (parcels, locations)), shape=(n_parcels, self.n_locations))

    def matrix(self, stored: Stored) -> "csr_array":
        """Return the stored weights as a sparse matrix on the host."""
        values, rows, columns = [], [], []
        for block, weights in zip(self.blocks, stored, strict=True):
            # Rows and columns are padded with what is no location, and columns have weights there.
            n = self.n_locations
            exists = (block.rows[:, :, None] < n) & (block.columns[:, None, :] < n)
            tile, row, column = np.nonzero(np.where(exists, weights, 0))
            values.append(weights[tile, row, column])
            rows.append(block.rows[tile, row])
            columns.append(block.columns[tile, column])
        places = (np.concatenate(rows), np.concatenate(columns))
        return csr_of(np.concatenate(values), places, self.n_locations)

    def _parts(self) -> Iterator[tuple[int, slice]]:
        for i, block in enumerate(self.blocks):
            tiles, width = block.columns.shape
            step = max(1, _CHUNK // (width * block.rows.shape[1]))
            for start in range(0, tiles, step):
                yield i, slice(start, start + step)

    def _weights(self, block: Blocks, sigma: Array) -> Array:
        """Return the weights (size, width) of one tile."""
        squared = block.squared
        if self.sphere is not None:
            points = jnp.asarray(self.sphere.points)
            columns, rows = points[block.columns], points[block.rows]
            chord = ((rows[:, None] - columns[None]) ** 2).sum(axis=-1)
            squared = arc_squared(chord, self.sphere)
        assert squared is not None
        # Both branches are differentiated: `squared` is finite, and so is the profile of it, beyond
        # the reach as well.
        inside = squared <= self.reach**2
        return jnp.where(inside, profile_of(squared, sigma, self.sphere, jnp), 0)

    def _multiply_anew(self, block: Blocks, sigma: Array, padded: Array) -> Array:
        # Weights are evaluated again for the gradient: kept, they would take what `stored` would.
        @jax.checkpoint
        def tile(one: Blocks) -> Array:
            return _multiply(self._weights(one, sigma), padded[one.columns])

        return jax.lax.map(tile, block, batch_size=_of_backend(_BATCH))


def block_kernel(
    groups: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray | None]],
    *,
    n_locations: int,
    reach: float,
    sphere: Sphere | None = None,
) -> BlockKernel:
    """Return the kernel of tiles ``(rows, columns, squared distances)``.

    Tiles of about the same number of columns are kept together, so that little is padded;
    a few tiles stay in one group, as each is compiled by itself.
    """
    # By width; one group more for each 64 tiles, four at the most.
    order = np.argsort([len(columns) for _, columns, _ in groups], kind="stable")
    parts = np.array_split(order, min(4, 1 + len(groups) // 64))
    blocks = tuple(
        _pad([groups[i] for i in part], n_locations, 2 * reach**2) for part in parts if len(part)
    )
    rows = np.concatenate([block.rows.reshape(-1) for block in blocks])
    # One entry more takes what padding (the number of locations) writes; it is left out.
    position = np.empty(n_locations + 1, np.int32)
    position[rows] = np.arange(rows.size, dtype=np.int32)
    return BlockKernel(blocks, position[:-1], sphere, reach)


def _pad(groups: list, fill: int, far: float) -> Blocks:
    size = max(len(rows) for rows, _, _ in groups)
    # A few different widths mean few compilations.
    width = -(-max(len(columns) for _, columns, _ in groups) // 16) * 16
    out_rows = np.full((len(groups), size), fill, np.int32)
    out_columns = np.full((len(groups), width), fill, np.int32)
    stored = groups[0][2] is not None
    squared = np.full((len(groups), size, width), far, np.float32) if stored else None
    # What is padded lies at the distance `far`, beyond the reach.
    for i, (rows, columns, distances) in enumerate(groups):
        out_rows[i, : len(rows)] = rows
        out_columns[i, : len(columns)] = columns
        if squared is not None and distances is not None:
            squared[i, : len(rows), : len(columns)] = np.minimum(distances, far)
    return Blocks(out_rows, out_columns, squared)


# A function, as a module's methods cost as much as the weights of some tiles.
def _host_weights(kernel: BlockKernel, i: int, part: slice, sigma: float) -> np.ndarray:
    """Return the weights (tiles, size, width) of some tiles on the host."""
    block, sphere, reach = kernel.blocks[i], kernel.sphere, kernel.reach
    if sphere is not None:
        rows, columns = block.rows[part], block.columns[part]
        return sphere_weights(rows, columns, sigma=sigma, sphere=sphere, reach=reach)
    assert block.squared is not None
    squared = block.squared[part]
    return np.where(squared <= reach**2, profile_of(squared, sigma, None, np), 0)


def _cast(tree: Any, dtype: Any) -> Any:
    """Return JAX arrays, the floating ones in `dtype`."""
    return jax.tree.map(
        lambda x: jnp.asarray(x, dtype if jnp.issubdtype(x.dtype, jnp.floating) else None), tree
    )


def _multiply(weights: AnyArray, gathered: Array) -> Array:
    return jnp.matmul(weights, gathered, precision=jax.lax.Precision.HIGHEST)


def _product(weights: AnyArray, columns: AnyArray, padded: Array) -> Array:
    tiles, width = columns.shape
    each = _of_backend(_GATHERED) // max(width * padded.shape[1], 1)
    if tiles <= each:
        return _multiply(weights, padded[columns])
    # A core wants the data of one tile in its cache; a GPU, many tiles a launch.
    batch = max(each, 1) if jax.default_backend() == "gpu" else None
    return jax.lax.map(
        lambda tile: _multiply(tile[0], padded[tile[1]]), (weights, columns), batch_size=batch
    )


def _of_backend(sizes: dict[str, int]) -> int:
    return sizes.get(jax.default_backend(), sizes["cpu"])


def _spread_block(
    weights: Any, rows: AnyArray, columns: AnyArray, by_location: Any
) -> tuple[AnyArray, AnyArray, AnyArray]:
    """Return values, parcels and locations of ``matrix @ K`` at the rows of some tiles."""
    tiles, width = columns.shape
    # The parcels' weights at every location that a tile reaches: `slot` numbers (tile, column),
    # a row of `near` each.
    near = by_location[columns.reshape(-1)]
    slot = np.repeat(np.arange(tiles * width), np.diff(near.indptr))
    tile = slot // width
    # Only the parcels that a tile can reach, numbered from 0 within the tile.
    present = np.zeros((tiles, by_location.shape[1]), bool)
    present[tile, near.indices] = True
    number = present.cumsum(axis=1, dtype=np.int32) - 1
    count = int(number[:, -1].max(initial=-1)) + 1 if number.size else 0
    dense = np.zeros((tiles * width, count), near.dtype)
    dense[slot, number[tile, near.indices]] = near.data
    spread = np.matmul(weights.astype(near.dtype, copy=False), dense.reshape(tiles, width, count))
    parcels = np.zeros((tiles, count), np.int32)
    of_tile, parcel = np.nonzero(present)
    parcels[of_tile, number[of_tile, parcel]] = parcel
    # The rows of padding, whose number is that of locations.
    spread[rows == by_location.shape[0] - 1] = 0
    # The parcels' numbers within the tile become those of the matrix again.
    t, r, p = np.nonzero(spread)
    return spread[t, r, p], parcels[t, p], rows[t, r]
