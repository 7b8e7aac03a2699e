"""Atlases as modules of Flax, both linen and nnx; importing this imports Flax.

For the weights alone, ``atlasinit.initializers.AtlasWeights(atlas, layout="locations_parcels")``
is a ``kernel_init`` for Flax's own dense layers, whose kernels are (in, out): here
(locations, parcels), so they take data (..., time, locations).
"""

import functools
import hashlib
from collections.abc import Mapping
from typing import Any

import equinox as eqx
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from atlasinit.core.maps import DenseMaps, SparseMaps
from atlasinit.domains import Constrained
from atlasinit.domains.pinned import Pinned
from atlasinit.nn import AtlasLinear
from atlasinit.support.typing import AnyArray

__all__ = [
    "LinenAtlas",
    "NnxAtlas",
    "linen_module",
    "trained_values",
    "with_values",
]


def __dir__() -> list[str]:
    return __all__


class _Held:
    """A layer, whole or without its trained values, that Flax takes for a constant.

    Two of equal content are equal, so that what is compiled for the one serves the other.
    """

    def __init__(self, layer: AtlasLinear) -> None:
        self.layer = layer

    def __repr__(self) -> str:
        return f"<{self.layer.name}: {self.layer.n_parcels} parcels>"

    def __getstate__(self) -> dict[str, Any]:
        return {"layer": self.layer}

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        return isinstance(other, _Held) and self._content == other._content

    def __hash__(self) -> int:
        return hash(self._content)

    @functools.cached_property
    def _content(self) -> tuple[Any, str]:
        # jit asks for it at each call, and a layer may hold hundreds of MiB.
        leaves, structure = jax.tree.flatten(self.layer)
        digest = hashlib.sha256()
        for leaf in jax.device_get(leaves):
            array = np.ascontiguousarray(leaf)
            digest.update(f"{array.dtype} {array.shape} ".encode())
            digest.update(array.view(np.uint8).data)
        return structure, digest.hexdigest()


class LinenAtlas(nn.Module):
    """A linen module that computes what a layer computes; made by `linen_module`."""

    held: _Held

    @nn.compact
    def __call__(self, data: Any) -> Float[Array, "..."] | dict[str, Float[Array, "..."]]:
        """Return parcel values of data (..., locations, time)."""
        layer = self.held.layer
        values = {
            c: self.param(c, lambda _, value=value: jnp.array(value))  # the module keeps its own
            for c, value in trained_values(layer).items()
        }
        return with_values(layer, values)(data)


class NnxAtlas(nnx.Module):
    """An nnx module that computes what a layer computes.

    Its parameters are an ``nnx.Param`` for each compartment that is trained, in `weights`.

    Parameters
    ----------
    layer
        The layer to start from.

    Examples
    --------
    >>> import jax, numpy as np, atlasinit as ai
    >>> grid = ai.VolumeGrid((3, 1, 1), np.eye(4))
    >>> key = jax.random.key(0)
    >>> atlas = ai.dirichlet_atlas({"volume": grid}, n_parcels=2, key=key)
    >>> module = NnxAtlas(AtlasLinear.from_atlas(atlas))
    >>> module(jnp.ones((3, 5))).shape, module.weights["volume"].shape
    ((2, 5), (2, 3))
    """

    def __init__(self, layer: AtlasLinear) -> None:
        start = trained_values(layer)
        self.held = _Held(with_values(layer, dict.fromkeys(start)))
        # A dictionary, since a compartment may have the name of an attribute or method.
        self.weights = nnx.Dict({c: nnx.Param(jnp.array(v)) for c, v in start.items()})

    def __call__(self, data: Any) -> Float[Array, "..."] | dict[str, Float[Array, "..."]]:
        """Return parcel values of data (..., locations, time)."""
        return self.layer()(data)

    def layer(self) -> AtlasLinear:
        """Return the layer with the parameters of this module."""
        return with_values(self.held.layer, {c: value[...] for c, value in self.weights.items()})


def linen_module(layer: AtlasLinear) -> LinenAtlas:
    """Return a linen module that starts from a layer.

    Its ``params`` are one array per compartment that is trained: the free values of its
    domain, or the weights; (parcels, locations) dense, (nonzeros,) sparse.
    ``with_values(layer, params)`` is the layer that they make.

    Examples
    --------
    >>> import jax, numpy as np, atlasinit as ai
    >>> grid = ai.VolumeGrid((3, 1, 1), np.eye(4))
    >>> key = jax.random.key(0)
    >>> atlas = ai.dirichlet_atlas({"volume": grid}, n_parcels=2, key=key)
    >>> module = linen_module(AtlasLinear.from_atlas(atlas))
    >>> variables = module.init(key, jnp.ones((3, 5)))
    >>> variables["params"]["volume"].shape
    (2, 3)
    """
    return LinenAtlas(_Held(layer))


def trained_values(layer: AtlasLinear) -> dict[str, AnyArray]:
    """Return compartment to the free values that gradients reach."""
    free = zip(layer.compartments, map(_free_maps, layer.maps), strict=True)
    return {c: maps.values for c, maps in free if maps is not None}


def with_values(layer: AtlasLinear, values: Mapping[str, Any]) -> AtlasLinear:
    """Return the layer with other free values, as `trained_values` names them."""

    def where(layer: AtlasLinear) -> list[Any]:
        nodes = dict(zip(layer.compartments, layer.maps, strict=True))
        free = [_free_maps(nodes[c]) for c in values]
        return [maps.values for maps in free if maps is not None]

    # What an `NnxAtlas` holds has None in their place.
    return eqx.tree_at(where, layer, list(values.values()), is_leaf=lambda node: node is None)


def _free_maps(node: Any) -> DenseMaps | SparseMaps | None:
    """Return the maps of free values of a node of a layer, None if gradients reach none."""
    node = node.node if isinstance(node, Pinned) else node
    # What is frozen is a `paramax.NonTrainable`, and so neither of the two.
    free = node.free if isinstance(node, Constrained) else node
    return free if isinstance(free, DenseMaps | SparseMaps) else None
