"""Single entries of a parameter that stay as they are, while the others are trained."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Int

from atlasinit.core.maps import DenseMaps, HardMaps, SparseMaps
from atlasinit.domains.base import Domain
from atlasinit.domains.entrywise import Identity
from atlasinit.domains.parameters import AbstractStandIn, Constrained, unwrap
from atlasinit.support.typing import AnyArray


class Pinned(AbstractStandIn):
    """Maps, or a node that stands for them, with entries that training does not move.

    Made by `pin`; resolved by `unwrap`. Neither gradients nor weight decay nor a cast of the
    model change what is pinned: it is kept as whole numbers of the same bits.

    Parameters
    ----------
    node
        The maps, or a `Constrained` node of them.
    places
        (pinned,) entries of the values, row by row.
    bits
        (pinned,) the bits of their values.
    dtype
        The dtype of these.
    """

    node: Any
    places: Int[AnyArray, " pinned"]
    bits: Int[AnyArray, " pinned"]
    domain: Domain = eqx.field(static=True)
    dtype: str = eqx.field(static=True)

    def unwrap(self) -> DenseMaps | SparseMaps:
        """Return the maps with the pinned values in their places."""
        maps = self.node  # unwrapped by now
        values = jnp.asarray(maps.values)
        kept = jax.lax.bitcast_convert_type(jnp.asarray(self.bits), jnp.dtype(self.dtype))
        flat = jnp.zeros(values.size, values.dtype).at[self.places].set(kept.astype(values.dtype))
        mask = jnp.zeros(values.size, bool).at[self.places].set(True)  # noqa: FBT003
        sparse = maps if isinstance(maps, SparseMaps) else None
        shape = values.shape
        found = self.domain.pin(values, flat.reshape(shape), mask.reshape(shape), sparse)
        return eqx.tree_at(lambda m: m.values, maps, found)


def pin(
    node: Any,
    start: Any,
    *,
    parcels: Bool[np.ndarray, " parcels"],
    locations: Bool[np.ndarray, " locations"],
) -> Any:
    """Return a node of maps whose weights of some parcels and locations stay those of `start`.

    Labels have no weights to train, and come back as they are, as what nothing is pinned of.

    Raises
    ------
    TypeError
        A domain that cannot keep single entries.
    """
    maps = unwrap(start)
    if isinstance(maps, HardMaps):
        return node
    if isinstance(maps, SparseMaps):
        mask = parcels[maps.rows()] | locations[np.asarray(maps.indices)]
    else:
        mask = parcels[:, None] | locations[None, :]
    places = np.flatnonzero(mask).astype(np.int32)
    if not places.size:
        return node
    values = jnp.asarray(maps.values).reshape(-1)[places]
    whole = jnp.dtype(f"int{8 * values.dtype.itemsize}")
    domain = node.domain if isinstance(node, Constrained) else Identity()
    bits = jax.lax.bitcast_convert_type(values, whole)
    pinned = Pinned(node, jnp.asarray(places), bits, domain, str(values.dtype))
    unwrap(pinned)  # which raises now, and not in the first step
    return pinned
