"""Arrays split over devices: what JAX tells of it where a function is traced."""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.core import Tracer
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from atlasinit.support.typing import AnyArray


def count_shards(array: AnyArray) -> tuple[tuple[int, ...], bool]:
    """Return into how many pieces each axis is split over devices, and whether that is known.

    Where a traced array does not tell, as many as could be: what the axis and the devices have
    as a common divisor.
    """
    if not isinstance(array, jax.Array):
        return (1,) * array.ndim, True
    if not isinstance(array, Tracer):
        pieces = zip(array.shape, array.sharding.shard_shape(array.shape), strict=True)
        return tuple(n // own if own else 1 for n, own in pieces), True
    if (mesh := _explicit_mesh(array)) is not None:
        spec = [*jax.typeof(array).sharding.spec, *(None,) * array.ndim][: array.ndim]
        return tuple(math.prod(mesh.shape[name] for name in _names(part)) for part in spec), True
    if _varying_axes(array):
        # Within `jax.shard_map` each device sees what it has itself.
        return (1,) * array.ndim, True
    # Axes of a mesh may be of type Auto: their arrays are known to the compiler alone.
    devices = jax.device_count()
    return tuple(math.gcd(n, devices) for n in array.shape), False


def keep_sharding(
    function: Callable[..., jax.Array], data: AnyArray, *others: Any
) -> Callable[..., jax.Array]:
    """Return a function of traced arrays whose result is split as `data`, but not along rows.

    Rows are the last axis but one, or the only one. Of arrays on a mesh with explicit axes, each
    operation would have to state how its result is split; within the function the compiler
    decides that, as it does on other meshes.
    """
    meshes = (_explicit_mesh(leaf) for leaf in jax.tree.leaves((data, others)))
    mesh = next((mesh for mesh in meshes if mesh is not None), None)
    if mesh is None:
        return function
    own = jax.typeof(data).sharding
    spec = list(own.spec if _explicit_mesh(data) is not None else (None,) * data.ndim)
    spec[-2 if data.ndim > 1 else -1] = None
    out_sharding = NamedSharding(mesh, PartitionSpec(*spec))
    split: Any = jax.sharding.auto_axes(function, out_sharding=out_sharding)
    return split


def vary_alike(*arrays: jax.Array) -> tuple[jax.Array, ...]:
    """Return arrays that vary over the same axes of a mesh, within `jax.shard_map`."""
    # `shard_map` takes an array that is the same on all devices for another type than one that is
    # not. Loops and custom derivatives need one type; the transpose of the change adds up.
    varying = [_varying_axes(array) for array in arrays]
    every = frozenset().union(*varying)
    return tuple(
        jax.lax.pcast(array, tuple(sorted(every - own)), to="varying") if every - own else array
        for array, own in zip(arrays, varying, strict=True)
    )


def varying_zeros(shape: tuple[int, ...], like: jax.Array) -> jax.Array:
    """Return zeros of the dtype of `like` that vary over the same axes of a mesh."""
    return vary_alike(jnp.zeros(shape, like.dtype), like)[0]


def _varying_axes(array: jax.Array) -> frozenset[str]:
    kind: Any = jax.typeof(array)
    # JAX 0.10.2 renamed it.
    return kind.mat.varying if hasattr(kind, "mat") else kind.vma


def _explicit_mesh(array: Any) -> Any:
    """Return the mesh of an array, None if it has no explicit axes."""
    mesh = getattr(jax.typeof(array).sharding, "mesh", None)
    return mesh if mesh is not None and AxisType.Explicit in mesh.axis_types else None


def _names(part: Any) -> tuple[str, ...]:
    """Return the axes of the mesh that split one axis of an array."""
    return () if part is None else part if isinstance(part, tuple) else (part,)
