"""Products of maps with data, one kernel a representation.

A kernel holds the weights of one part of an atlas in the layout that it computes
with. All kernels take and give arrays with a batch axis in front, float32 or
float64: data (batch, locations, time) and parcel values (batch, parcels, time).
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int32

from atlasinit.projection.kernels import tiles as tiled
from atlasinit.support.typing import AnyArray

_BLOCK = 4096
_FEWER = 64  # partial sums than locations, which stay in the cache


class ScatterKernel(eqx.Module):
    """Hard labels: one pass over the data, each location added to its parcel."""

    labels: Int32[AnyArray, " locations"]
    n_parcels: int = eqx.field(static=True)

    def product(
        self, data: Float[Array, "batch locations time"]
    ) -> Float[Array, "batch parcels time"]:
        """Return W x."""
        batch, locations, time = data.shape
        if self.n_parcels == 0:
            return jnp.zeros((batch, 0, time), data.dtype)
        # Made in parts, as one long float32 sum would lose digits, of few rows beside the data's.
        parts = max(1, min(locations // _BLOCK, locations // (_FEWER * self.n_parcels)))
        part = np.arange(locations, dtype=np.int32) // max(1, -(-locations // parts))
        # One scatter for the whole batch; what belongs to no parcel is out of range: dropped.
        starts = jnp.arange(batch, dtype=jnp.int32)[:, None] * parts + part[None]
        n_rows, labels = batch * parts * self.n_parcels, self.labels[None]
        rows = jnp.where(labels < 0, n_rows, labels + starts * self.n_parcels)
        out = jnp.zeros((n_rows, time), data.dtype)
        out = out.at[rows.reshape(-1)].add(data.reshape(batch * locations, time), mode="drop")
        return out.reshape(batch, parts, self.n_parcels, time).sum(axis=1)

    def transposed(
        self, values: Float[Array, "batch parcels time"]
    ) -> Float[Array, "batch locations time"]:
        """Return W' y."""
        if self.n_parcels == 0:  # of which a gather cannot take rows
            shape = (values.shape[0], self.labels.shape[0], values.shape[2])
            return jnp.zeros(shape, values.dtype)
        rows = jnp.where(self.labels < 0, self.n_parcels, self.labels)
        return values.at[:, rows].get(mode="fill", fill_value=0)

    def absolute(self) -> "ScatterKernel":
        """Return the kernel of |W|."""
        return self

    def totals(self, dtype: Any) -> Float[Array, " parcels"]:
        """Return W 1, added up in `dtype`."""
        rows = jnp.where(self.labels < 0, self.n_parcels, self.labels)
        ones = jnp.ones(rows.shape, dtype)
        return jnp.zeros(self.n_parcels, dtype).at[rows].add(ones, mode="drop")

    def dense(self) -> Float[Array, "parcels locations"]:
        """Return W."""
        parcels = jnp.arange(self.n_parcels, dtype=jnp.int32)
        return (parcels[:, None] == self.labels[None]).astype(jnp.float32)


class TiledKernel(eqx.Module):
    """Sparse weights as the entries of blocks: one small product a tile of neighbours."""

    entries: Float[AnyArray, " entries"]
    layout: tiled.Layout

    def product(
        self, data: Float[Array, "batch locations time"]
    ) -> Float[Array, "batch parcels time"]:
        """Return W x."""
        entries = jnp.asarray(self.entries, data.dtype)
        return each(lambda x: tiled.product(self.layout, entries, x), data)

    def transposed(
        self, values: Float[Array, "batch parcels time"]
    ) -> Float[Array, "batch locations time"]:
        """Return W' y."""
        entries = jnp.asarray(self.entries, values.dtype)
        return each(lambda y: tiled.transposed(self.layout, entries, y), values)

    def absolute(self) -> "TiledKernel":
        """Return the kernel of |W|."""
        return TiledKernel(absolute_of(self.entries), self.layout)

    def totals(self, dtype: Any) -> Float[Array, " parcels"]:
        """Return W 1, added up in `dtype`."""
        out = jnp.zeros(self.layout.n_parcels, dtype)
        blocks = tiled.blocks(self.layout, jnp.asarray(self.entries))
        for bucket, block in zip(self.layout.buckets, blocks, strict=True):
            out = out.at[bucket.parcels].add(block.sum(axis=-1, dtype=dtype), mode="drop")
        return out

    def dense(self) -> Float[Array, "parcels locations"]:
        """Return W."""
        out = jnp.zeros((self.layout.n_parcels, self.layout.n_locations), self.entries.dtype)
        blocks = tiled.blocks(self.layout, jnp.asarray(self.entries))
        for bucket, block in zip(self.layout.buckets, blocks, strict=True):
            rows, columns = bucket.parcels[..., :, None], bucket.locations[..., None, :]
            rows, columns = jnp.broadcast_arrays(rows, columns)
            out = out.at[rows, columns].set(block, mode="drop")
        return out


class DenseKernel(eqx.Module):
    """Every weight stored: one matrix product."""

    values: Float[AnyArray, "parcels locations"]

    def product(
        self, data: Float[Array, "batch locations time"]
    ) -> Float[Array, "batch parcels time"]:
        """Return W x."""
        return each(lambda x: _guarded(jnp.asarray(self.values, data.dtype), x), data)

    def transposed(
        self, values: Float[Array, "batch parcels time"]
    ) -> Float[Array, "batch locations time"]:
        """Return W' y."""
        return each(lambda y: _guarded(jnp.asarray(self.values, values.dtype).T, y), values)

    def absolute(self) -> "DenseKernel":
        """Return the kernel of |W|."""
        return DenseKernel(absolute_of(self.values))

    def totals(self, dtype: Any) -> Float[Array, " parcels"]:
        """Return W 1, added up in `dtype`."""
        return jnp.asarray(self.values).sum(axis=1, dtype=dtype)

    def dense(self) -> Float[Array, "parcels locations"]:
        """Return W."""
        return jnp.asarray(self.values)


def each(function, stack: Float[Array, "batch n time"]) -> Float[Array, "batch m time"]:
    """Return `function` of each member of a batch, one after the other."""
    if stack.shape[0] == 1:
        return function(stack[0])[None]
    return jax.lax.map(function, stack)


@jax.custom_jvp
def _guarded(weights: Float[Array, "m n"], data: Float[Array, "n time"]) -> Float[Array, "m time"]:
    """Return W x, where what is not finite makes NaN only for the rows that weigh it."""

    def careful() -> Float[Array, "m time"]:
        bad = ~jnp.isfinite(data)
        hit = _matmul((weights != 0).astype(data.dtype), bad.astype(data.dtype)) > 0
        return jnp.where(hit, jnp.nan, _matmul(weights, jnp.where(bad, 0, data)))

    out = jax.lax.platform_dependent(weights, data, cpu=_in_blocks, default=_matmul)
    smaller = min(out, data, key=lambda array: array.size)
    return jax.lax.cond(jnp.isfinite(smaller).all(), lambda: out, careful)


@_guarded.defjvp
def _guarded_jvp(primals, tangents):
    (weights, data), (dweights, ddata) = primals, tangents
    return _guarded(weights, data), _matmul(dweights, data) + _matmul(weights, ddata)


def _in_blocks(
    weights: Float[Array, "m n"], data: Float[Array, "n time"]
) -> Float[Array, "m time"]:
    """Return W x as the sum over blocks of columns that stay in a core's cache."""
    whole = data.shape[0] // _BLOCK * _BLOCK
    if whole <= _BLOCK:
        return _matmul(weights, data)

    def add(i: Int32[Array, ""], out: Float[Array, "m time"]) -> Float[Array, "m time"]:
        w, x = (
            jax.lax.dynamic_slice_in_dim(array, i * _BLOCK, _BLOCK, axis)
            for array, axis in ((weights, 1), (data, 0))
        )
        return out + _matmul(w, x)

    out = _matmul(weights[:, whole:], data[whole:])
    return jax.lax.fori_loop(0, whole // _BLOCK, add, out)


def absolute_of(values: AnyArray) -> Array:
    """Return |w|, with derivative 0 at 0, where that of `jax.numpy.abs` is 1."""
    values = jnp.asarray(values)
    return values * jnp.sign(values)


def _matmul(a: Array, b: Array) -> Array:
    return jnp.matmul(a, b, precision=jax.lax.Precision.HIGHEST)
