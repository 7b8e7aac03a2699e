"""The pytree node that holds free values and stands for a point of a domain."""

import abc
from collections.abc import Callable
from typing import Any, NoReturn

import equinox as eqx
import jax
import jax.numpy as jnp
import paramax

from atlasinit.core.maps import (
    DenseMaps,
    HardMaps,
    SparseMaps,
    densify,
)
from atlasinit.domains.base import Domain, check_domain
from atlasinit.errors import ArgumentTypeError
from atlasinit.support.typing import AnyArray

_UNWRAP = (
    "call `model = atlasinit.domains.unwrap(model)` first, within the function that is "
    "differentiated"
)


class AbstractStandIn(paramax.AbstractUnwrappable):
    """A node that stands for an array or maps, and is neither until it is unwrapped."""

    @abc.abstractmethod
    def unwrap(self) -> Any:
        """Return the array or the maps."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise AttributeError(f"there is no `{name}` of {self._describe()}; {_UNWRAP}.")

    def _describe(self) -> str:
        return f"a {type(self).__name__} node, which stands for an array or maps"


def _refuse(self: AbstractStandIn, *_: Any, **__: Any) -> NoReturn:
    raise ArgumentTypeError("values", f"are asked of {self._describe()}", _UNWRAP)


# Python looks these up in the class alone.
for _name in (
    *("__jax_array__", "__array__", "__getitem__", "__iter__", "__float__", "__abs__", "__neg__"),
    *(
        f"__{side}{name}__"
        for side in ("", "r")
        for name in ("add", "sub", "mul", "truediv", "pow", "matmul")
    ),
):
    setattr(AbstractStandIn, _name, _refuse)


class Constrained(AbstractStandIn):
    """Free values in the place of an array or of maps that lie in a domain.

    Made by `constrained` or `constrain`; resolved by `unwrap`. Its leaves are the free
    values and what the domain holds beside them, so optimisers,
    `equinox.tree_serialise_leaves` and `jax.vmap` treat it as they treat the array in
    whose place it stands.

    Parameters
    ----------
    free
        An array, or `DenseMaps` or `SparseMaps` whose values are free.
    domain
        The domain.
    held
        What the domain keeps as it was (`Domain.hold`), such as the totals of a `Simplex`;
        no gradient reaches it. None for nothing. Give optimisers that move values without a
        gradient too (Optax's ``noisy_sgd`` and ``yogi``) the free values alone.
    """

    free: AnyArray | DenseMaps | SparseMaps
    domain: Domain = eqx.field(static=True)
    held: AnyArray | None = None

    def unwrap(self) -> Any:
        """Return the array or the maps in the domain."""
        return self._restore(image(self.domain, self.free))

    def slope(self) -> jax.Array | None:
        """Return the derivative of each entry by its own free value; None if it has none."""
        free = self.free
        if isinstance(free, SparseMaps):
            found = self.domain.slope_of_sparse(free)
            return None if found is None else self._restore(_with_values(free, found)).values
        found = self.domain.slope(free.values if isinstance(free, DenseMaps) else free)
        return None if found is None else self._restore(found)

    def _restore(self, found: Any) -> Any:
        if self.held is None:
            return found
        held = jax.lax.stop_gradient(jnp.asarray(self.held))
        return _map_values(
            found,
            lambda values: self.domain.restore(jnp.asarray(values), held, None),
            lambda maps: self.domain.restore(jnp.asarray(maps.values), held, maps),
        )


def constrained(values: Any, domain: Domain) -> Constrained:
    """Return a node that stands for `values`, an array or maps, in a domain.

    `HardMaps` become dense, since every weight is then free. Values outside the
    domain are treated as the domain says.
    """
    check_domain(domain)
    if isinstance(values, HardMaps):
        values = densify(values)
    array = values.values if isinstance(values, DenseMaps) else values
    # Sparse maps have the axes of the matrix that they store.
    domain = domain.for_axes(2 if isinstance(array, SparseMaps) else jnp.ndim(array))
    return Constrained(preimage(domain, values), domain, domain.hold(values))


def unwrap(model: Any) -> Any:
    """Return `model` with every constrained node replaced by the array or maps it stands for.

    The function to call first in a loss or a forward pass. It resolves all nodes of
    `paramax`, of which it is `paramax.unwrap`; a model without any comes back as it is.
    """
    return paramax.unwrap(model)


def image(domain: Domain, free: Any) -> Any:
    """Return the point of `domain` that an array or maps of free values stand for."""
    check_domain(domain)
    return _map_values(free, domain.image, domain.image_of_sparse)


def preimage(domain: Domain, values: Any) -> Any:
    """Return an array or maps of free values whose image under `domain` is `values`."""
    check_domain(domain)
    # In a domain every weight is free, those that are 0 in hard labels too.
    given = densify(values) if isinstance(values, HardMaps) else values
    return _map_values(given, domain.preimage, domain.preimage_of_sparse)


def _map_values(
    given: Any,
    function: Callable[[AnyArray], jax.Array],
    of_sparse: Callable[[SparseMaps], jax.Array],
) -> Any:
    """Return an array or maps with the values that one of the functions makes of them."""
    if isinstance(given, SparseMaps):
        return _with_values(given, of_sparse(given))
    if isinstance(given, DenseMaps):
        return DenseMaps(function(given.values))
    return function(given)


def _with_values(maps: SparseMaps, values: jax.Array) -> SparseMaps:
    # A domain changes weights, never where they are: positions stay fixed while weights train.
    return SparseMaps(values, maps.indices, maps.indptr, maps.n_locations)
