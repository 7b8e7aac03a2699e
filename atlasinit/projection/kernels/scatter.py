"""Products of hard labels: one pass over the data, each location added to its parcel."""

from collections.abc import Sequence
from typing import Any, ClassVar

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int32

from atlasinit.core.maps import HardMaps
from atlasinit.projection.kernels.base import AbstractKernel, Data, Values
from atlasinit.support.typing import AnyArray

_BLOCK = 4096
_FEWER = 64  # partial sums than locations, which stay in the cache


class ScatterKernel(AbstractKernel):
    """Hard labels.

    Parameters
    ----------
    labels
        (locations,) parcel of each location, -1 for none.
    n_parcels
        Number of parcels.
    """

    name: ClassVar[str] = "scatter"
    computes: ClassVar[tuple[type, ...]] = (HardMaps,)
    exact: ClassVar[bool] = True
    merges: ClassVar[bool] = True

    labels: Int32[AnyArray, " locations"]
    n_parcels: int = eqx.field(static=True)

    @classmethod
    def build(cls, maps: HardMaps, plan: Any) -> "ScatterKernel":
        """Return the kernel of labels, which needs no plan."""
        del plan
        return cls(jnp.asarray(maps.labels), maps.n_parcels)

    @classmethod
    def merge(cls, kernels: Sequence[Any]) -> "ScatterKernel":
        """Return the kernel of all locations, with the parcels numbered on."""
        labels, n_parcels = [], 0
        for kernel in kernels:
            own = kernel.labels
            labels.append(jnp.where(own < 0, -1, own + n_parcels))
            n_parcels += kernel.n_parcels
        return cls(jnp.concatenate(labels), n_parcels)

    def product(self, data: Data) -> Values:
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

    def transposed(self, values: Values) -> Data:
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
