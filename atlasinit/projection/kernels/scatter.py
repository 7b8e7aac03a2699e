"""Products of hard labels: one pass over the data, each location added to its parcel."""

from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int32

from atlasinit.core.maps import HardMaps
from atlasinit.projection.kernels.base import AbstractKernel, Data, Values
from atlasinit.support.typing import AnyArray

# Members of a partial sum in single precision, on the average. Where parcels have many partial
# sums each, their errors cancel, and fewer of them are sooner added up; small data can have many.
_MEMBERS, _MEMBERS_OF_LARGE, _MEMBERS_OF_SMALL = 16, 64, 4
_LARGE = 2**14  # locations a parcel
_SMALL = 2**21  # values


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

    def product(self, data: Data) -> Values:
        """Return W x."""
        high, low = self.product_in_two(data)
        # What is not finite has an error that is NaN.
        return jnp.where(jnp.isfinite(high), high + low, high)

    def product_in_two(self, data: Data) -> tuple[Values, Values]:
        """Return W x and, as far as single precision cannot hold it, what it lacks."""
        batch, locations, time = data.shape
        if self.n_parcels == 0:
            nothing = jnp.zeros((batch, 0, time), data.dtype)
            return nothing, nothing
        # Made in parts, as one long float32 sum would lose digits.
        members = _MEMBERS_OF_LARGE if locations >= _LARGE * self.n_parcels else _MEMBERS
        members = _MEMBERS_OF_SMALL if data.size < _SMALL else members
        parts = max(1, locations // (members * self.n_parcels))
        # (locations,) which part each is of. Parts are runs of locations; each has a partial sum of
        # every parcel, so that `out` is (batch x parts x parcels, time).
        part = np.arange(locations, dtype=np.int32) // max(1, -(-locations // parts))
        # One scatter for the whole batch; what belongs to no parcel is out of range: dropped.
        starts = jnp.arange(batch, dtype=jnp.int32)[:, None] * parts + part[None]
        n_rows, labels = batch * parts * self.n_parcels, self.labels[None]
        rows = jnp.where(labels < 0, n_rows, labels + starts * self.n_parcels)
        out = jnp.zeros((n_rows, time), data.dtype)
        out = out.at[rows.reshape(-1)].add(data.reshape(batch * locations, time), mode="drop")
        return add_exactly(out.reshape(batch, parts, self.n_parcels, time))

    def transposed(self, values: Values) -> Data:
        """Return W' y."""
        if self.n_parcels == 0:  # of which a gather cannot take rows
            shape = (values.shape[0], self.labels.shape[0], values.shape[2])
            return jnp.zeros(shape, values.dtype)
        return values.at[:, self.rows()].get(mode="fill", fill_value=0)

    def absolute(self) -> "ScatterKernel":
        """Return the kernel of |W|."""
        return self

    def totals(self, dtype: Any) -> Float[Array, " parcels"]:
        """Return W 1, added up in `dtype`."""
        rows = self.rows()
        ones = jnp.ones(rows.shape, dtype)
        return jnp.zeros(self.n_parcels, dtype).at[rows].add(ones, mode="drop")

    def dense(self) -> Float[Array, "parcels locations"]:
        """Return W."""
        parcels = jnp.arange(self.n_parcels, dtype=jnp.int32)
        return (parcels[:, None] == self.labels[None]).astype(jnp.float32)

    def labelled(self) -> "ScatterKernel":
        """Return itself."""
        return self

    def rows(self) -> Int32[Array, " locations"]:
        """Return the parcel of each location, one beyond the last for none."""
        return jnp.where(self.labels < 0, self.n_parcels, self.labels)


@jax.custom_jvp
def add_exactly(parts: Float[Array, "batch parts parcels time"]) -> tuple[Values, Values]:
    """Return the sum over parts and its error, as exact as in twice the precision.

    Pairs are added up, and with them what rounding takes from each sum (Knuth's two-sum).
    """
    high, low = parts, jnp.zeros((1, 1, 1, 1), parts.dtype)
    while (n := high.shape[1]) > 1:
        half = n // 2
        total, error = _add_in_two(high[:, :half], high[:, half : 2 * half])
        if low.shape[1] == n:
            error = error + (low[:, :half] + low[:, half : 2 * half])
        # An odd one waits for the next round.
        rest = high[:, 2 * half :]
        left = low[:, 2 * half :] if low.shape[1] == n else jnp.zeros_like(rest)
        high = jnp.concatenate([total, rest], axis=1) if n % 2 else total
        low = jnp.concatenate([error, left], axis=1) if n % 2 else error
    low = jnp.broadcast_to(low, high.shape)
    return high[:, 0], low[:, 0]


@add_exactly.defjvp
def _add_exactly_jvp(
    primals: tuple[Array], tangents: tuple[Array]
) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    # The error is of rounding, and its derivative 0: that of both results together is the sum's.
    (parts,), (change,) = primals, tangents
    total = change.sum(axis=1)
    return add_exactly(parts), (total, jnp.zeros_like(total))


def _add_in_two(a: Array, b: Array) -> tuple[Array, Array]:
    total = a + b
    # `other` is what the sum has of b. What it lacks of a, and of b, is exact in the same dtype.
    other = total - a
    return total, (a - (total - other)) + (b - other)
