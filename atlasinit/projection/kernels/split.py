"""Products of data whose locations are split over devices: each adds up its own, then all do."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from atlasinit.projection.kernels.base import AbstractMatrix, Data, Values
from atlasinit.projection.kernels.dense import DenseKernel
from atlasinit.projection.kernels.scatter import ScatterKernel


class SplitMatrix(AbstractMatrix):
    """Labels or dense weights in pieces of as many locations each.

    A product is the sum of those of all pieces. Where pieces lie on devices of their own, XLA
    makes one sum over devices of it, of parcel values: data stay where they are.

    Parameters
    ----------
    pieces
        One kernel, whose arrays have the pieces as a first axis.
    """

    pieces: ScatterKernel | DenseKernel

    @property
    def exact(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Whether all weights are 1."""
        return self.pieces.exact

    def product(self, data: Data) -> Values:
        """Return W x."""
        batch, locations, time = data.shape
        count = jax.tree.leaves(self.pieces)[0].shape[0]
        split = data.reshape(batch, count, locations // count, time)
        multiply = jax.vmap(lambda kernel, x: kernel.product(x), in_axes=(0, 1))
        return multiply(self.pieces, split).sum(axis=0)

    def transposed(self, values: Values) -> Data:
        """Return W' y."""
        spread = jax.vmap(lambda kernel: kernel.transposed(values), out_axes=1)
        out = spread(self.pieces)
        return out.reshape(out.shape[0], -1, out.shape[-1])

    def absolute(self) -> "SplitMatrix":
        """Return that of |W|."""
        return SplitMatrix(jax.vmap(lambda kernel: kernel.absolute())(self.pieces))

    def totals(self, dtype: Any) -> Float[Array, " parcels"]:
        """Return W 1, added up in `dtype`."""
        return jax.vmap(lambda kernel: kernel.totals(dtype))(self.pieces).sum(axis=0)

    def dense(self) -> Float[Array, "parcels locations"]:
        """Return W."""
        out = jax.vmap(lambda kernel: kernel.dense(), out_axes=1)(self.pieces)
        return out.reshape(out.shape[0], -1)


def split_labels(kernel: ScatterKernel, count: int) -> SplitMatrix:
    """Return labels in `count` pieces."""
    labels = jnp.asarray(kernel.labels).reshape(count, -1)
    return SplitMatrix(jax.vmap(lambda own: ScatterKernel(own, kernel.n_parcels))(labels))


def split_weights(weights: Float[Array, "parcels locations"], count: int) -> SplitMatrix:
    """Return weights in `count` pieces of their columns."""
    pieces = jnp.moveaxis(weights.reshape(weights.shape[0], count, -1), 1, 0)
    return SplitMatrix(jax.vmap(DenseKernel)(pieces))
