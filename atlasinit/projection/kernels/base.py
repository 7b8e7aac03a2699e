"""What every kernel is: the weights of one part of an atlas, laid out to be multiplied.

A new kernel is a module here with a class that is an `AbstractKernel`, and its place in
`atlasinit.projection.choosing.KERNELS`.
"""

import abc
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from atlasinit.core.maps import HardMaps, SparseMaps
from atlasinit.support.typing import AnyArray

Data: TypeAlias = Float[Array, "batch locations time"]
Values: TypeAlias = Float[Array, "batch parcels time"]


@dataclass(frozen=True)
class Site:
    """Where the locations of some maps lie, which a plan may make use of.

    Parameters
    ----------
    start, total
        The maps' locations are those from `start` on, of `total` in the data.
    backend
        Of JAX: ``"cpu"``, ``"gpu"`` or ``"tpu"``.
    coordinates
        Returns the coordinates (locations, 3) of the maps' locations, None where there are
        none. A function, as most kernels do not ask.
    """

    start: int
    total: int
    backend: str
    coordinates: Callable[[], Float[np.ndarray, "locations 3"] | None] = lambda: None


class AbstractMatrix(eqx.Module):
    """Products of a matrix W (parcels, locations) with data.

    Arrays have a batch axis in front and are float32 or float64: data (batch, locations,
    time) and parcel values (batch, parcels, time).
    """

    whole: ClassVar[bool] = False
    """Whether it numbers the locations of the whole data: cutting out its own would copy them."""
    exact: ClassVar[bool] = False
    """Whether all weights are 1, so that sums of them are exact."""

    @abc.abstractmethod
    def product(self, data: Data) -> Values:
        """Return W x."""

    def product_in_two(self, data: Data) -> tuple[Values, Values | None]:
        """Return W x and what its dtype cannot hold of it, None where that is not known."""
        return self.product(data), None

    @abc.abstractmethod
    def transposed(self, values: Values) -> Data:
        """Return W' y."""

    @abc.abstractmethod
    def absolute(self) -> "AbstractMatrix":
        """Return that of |W|."""

    @abc.abstractmethod
    def totals(self, dtype: Any) -> Float[Array, " parcels"]:
        """Return W 1, added up in `dtype`."""

    @abc.abstractmethod
    def dense(self) -> Float[Array, "parcels locations"]:
        """Return W."""

    def labelled(self) -> "AbstractKernel | None":
        """Return the kernel of the hard labels that it is of, None where it has weights."""
        return None


class AbstractKernel(AbstractMatrix):
    """A matrix that is laid out from maps."""

    name: ClassVar[str]
    """What users call it."""
    computes: ClassVar[tuple[type, ...]]
    """Which maps it is of."""
    needs_positions: ClassVar[bool] = False
    """Whether its plan is worked out from positions, which then cannot be traced."""
    merges: ClassVar[bool] = False
    """Whether it is of all maps of one kind in neighbouring compartments at once, as one matrix."""

    @classmethod
    def plan(cls, maps: Any, site: Site) -> Any:
        """Return what is worked out once on the host: a pytree of arrays, or None."""
        del maps, site

    @classmethod
    @abc.abstractmethod
    def build(cls, maps: Any, plan: Any) -> "AbstractKernel":
        """Return the kernel of maps that may be traced, by what `plan` returned."""


def map_batch(function: Callable[[Array], Array], stack: Float[Array, "batch n time"]) -> Array:
    """Return `function` of each member of a batch, one after the other."""
    if stack.shape[0] == 1:
        return function(stack[0])[None]
    return jax.lax.map(function, stack)


def all_finite(values: Array) -> Array:
    """Return whether all values are finite; under `jax.vmap`, one answer for the whole batch.

    A `lax.cond` of one answer takes one branch, of an answer a member both.
    """
    # Its derivatives are none; JAX would look for them.
    return _all_finite(jax.lax.stop_gradient(values))


@jax.custom_batching.custom_vmap
def _all_finite(values: Array) -> Array:
    return jnp.isfinite(values).all()


@_all_finite.def_vmap
def _all_finite_of_batch(
    axis_size: int, in_batched: list[bool], values: Array
) -> tuple[Array, bool]:
    del axis_size, in_batched
    return _all_finite(values), False


def absolute_of(values: AnyArray) -> Array:
    """Return |w|, with derivative 0 at 0, where that of `jax.numpy.abs` is 1."""
    values = jnp.asarray(values)
    return values * jnp.sign(values)


def weights_of(maps: HardMaps | SparseMaps, count: int) -> AnyArray:
    """Return the stored weights: for hard maps `count` ones."""
    return maps.values if isinstance(maps, SparseMaps) else jnp.ones(count, jnp.float32)
