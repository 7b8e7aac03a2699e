"""Products of dense weights: one matrix product."""

from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int32

from atlasinit.core.maps import DenseMaps, HardMaps, Maps, SparseMaps, dense_values
from atlasinit.projection.kernels.base import (
    AbstractKernel,
    Data,
    Values,
    absolute_of,
    all_finite,
    map_batch,
)
from atlasinit.support.typing import AnyArray

# Locations: the float32 weights of 100 parcels there take 1.6 MB, about a core's own cache.
_BLOCK = 4096


class DenseKernel(AbstractKernel):
    """Every weight stored.

    Parameters
    ----------
    values
        (parcels, locations) the weights.
    """

    name: ClassVar[str] = "dense"
    computes: ClassVar[tuple[type, ...]] = (HardMaps, SparseMaps, DenseMaps)

    values: Float[AnyArray, "parcels locations"]

    @classmethod
    def build(cls, maps: Maps, plan: Any) -> "DenseKernel":
        """Return the kernel of any maps, which needs no plan."""
        del plan
        return cls(dense_values(maps))

    def product(self, data: Data) -> Values:
        """Return W x."""
        weights = jnp.asarray(self.values, data.dtype)
        return map_batch(lambda x: _multiply_guarded(weights, x), data)

    def transposed(self, values: Values) -> Data:
        """Return W' y."""
        return map_batch(
            lambda y: _multiply_guarded(jnp.asarray(self.values, values.dtype).T, y), values
        )

    def absolute(self) -> "DenseKernel":
        """Return the kernel of |W|."""
        return DenseKernel(absolute_of(self.values))

    def totals(self, dtype: Any) -> Float[Array, " parcels"]:
        """Return W 1, added up in `dtype`."""
        return jnp.asarray(self.values).sum(axis=1, dtype=dtype)

    def dense(self) -> Float[Array, "parcels locations"]:
        """Return W."""
        return jnp.asarray(self.values)


@jax.custom_jvp
def _multiply_guarded(
    weights: Float[Array, "m n"], data: Float[Array, "n time"]
) -> Float[Array, "m time"]:
    """Return W x, where what is not finite makes NaN only for the rows that weigh it."""

    def careful() -> Float[Array, "m time"]:
        bad = ~jnp.isfinite(data)
        # How many of a row's weights other than 0 meet what is not finite.
        hit = _matmul((weights != 0).astype(data.dtype), bad.astype(data.dtype)) > 0
        return jnp.where(hit, jnp.nan, _matmul(weights, jnp.where(bad, 0, data)))

    out = jax.lax.platform_dependent(weights, data, cpu=_multiply_in_blocks, default=_matmul)
    # In a product, what is not finite spoils the whole column of the result, by 0 times NaN too: so
    # the result tells of it as the data do, and the smaller of both is read.
    smaller = min(out, data, key=lambda array: array.size)
    return jax.lax.cond(all_finite(smaller), lambda: out, careful)


@_multiply_guarded.defjvp
def _multiply_guarded_jvp(primals, tangents):
    (weights, data), (dweights, ddata) = primals, tangents
    return _multiply_guarded(weights, data), _matmul(dweights, data) + _matmul(weights, ddata)


def _multiply_in_blocks(
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

    # The columns behind the last whole block.
    out = _matmul(weights[:, whole:], data[whole:])
    return jax.lax.fori_loop(0, whole // _BLOCK, add, out)


def _matmul(a: Array, b: Array) -> Array:
    return jnp.matmul(a, b, precision=jax.lax.Precision.HIGHEST)
