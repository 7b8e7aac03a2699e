"""What a layer starts from: which of its weights are trained, their maps and how they compute."""

import contextlib
import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import PRNGKeyArray

from atlasinit.core.atlas import Atlas
from atlasinit.core.maps import DenseMaps, HardMaps, Maps, SparseMaps, densify
from atlasinit.domains import Constrained
from atlasinit.errors import ArgumentError, format_list, nearest
from atlasinit.projection.blocks import Block, merge_blocks, plan_blocks
from atlasinit.projection.remembered import blocks_of, plan_kernels, planned_maps
from atlasinit.projection.stack import Plan
from atlasinit.support.tracing import is_traced


def choose_trained(atlas: Atlas, *, trainable: bool | Iterable[str]) -> tuple[str, ...]:
    """Return the compartments whose weights gradients reach."""
    if isinstance(trainable, bool):
        return atlas.compartments if trainable else ()
    # One name is not to be taken for an iterable of letters.
    names = (trainable,) if isinstance(trainable, str) else trainable
    wanted = dict(names) if isinstance(names, Mapping) else dict.fromkeys(names, True)
    unknown = [c for c in wanted if c not in atlas.compartments]
    if unknown:
        raise ArgumentError(
            "trainable", f": compartments are {list(atlas.compartments)}, got {unknown}"
        )
    return tuple(c for c, reached in wanted.items() if reached)


def choose_frozen(
    atlas: Atlas, parcels: Iterable[str], locations: Any
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return compartment to which of its parcels, and of its locations, stay as they are."""
    chosen = [parcels] if isinstance(parcels, str) else list(parcels)
    names = np.asarray(atlas.table["name"], dtype=object)
    unknown = [name for name in chosen if name not in names]
    if unknown:
        raise ArgumentError(
            "frozen_parcels",
            f"{format_list(unknown)} are no parcels of {atlas.name!r}",
            nearest(str(unknown[0]), [str(name) for name in names]),
        )
    if locations is None or isinstance(locations, Mapping):
        given = dict(locations or {})
        unknown = [c for c in given if c not in atlas.compartments]
        if unknown:
            raise ArgumentError(
                "frozen_locations",
                f": compartments are {list(atlas.compartments)}, got {sorted(unknown)}",
            )
        none = {c: np.zeros(g.n_locations, bool) for c, g in atlas.geometry.items()}
        locations = none | given
    masks = atlas.header.split_mask(locations, argument="frozen_locations")
    rows = atlas.header.parcel_slices()
    return {c: (np.isin(names[rows[c]], chosen), mask) for c, mask in masks.items()}


def choose_maps(atlas: Atlas, *, dense: bool, hard: bool) -> tuple[Maps, ...]:
    """Return the maps, all `dense`, or as they are; `hard` ones, unless allowed, are dense."""
    return tuple(
        densify(m) if dense or (isinstance(m, HardMaps) and not hard) else m
        for m in atlas.maps.values()
    )


def check_noisy(atlas: Atlas, trained: tuple[str, ...], *, dense: bool, hard: bool) -> None:
    """Raise where noise would be lost: on what is not trained, or on labels."""
    if not trained:
        raise ArgumentError("noise", "is for weights that are trained, and none is")
    labels = [c for c in trained if isinstance(atlas.maps[c], HardMaps)]
    if labels and hard and not dense:
        raise ArgumentError(
            "noise",
            f"has no weights to be added to in the hard labels of {format_list(labels)}",
            "pass `dense=True` or a `domain`, or leave them out of `trainable`",
        )


def plan_maps(
    atlas: Atlas, maps: tuple[Maps, ...], *, kernel: str
) -> tuple[tuple[Maps, ...], tuple[Block, ...], tuple[Plan, ...]]:
    """Return maps, the blocks that they make, and the plans of their kernels."""
    if all(one is own for one, own in zip(maps, atlas.maps.values(), strict=True)):
        # The plans of an atlas whose maps stay as they are were perhaps made already.
        return maps, blocks_of(atlas), planned_maps(atlas, kernel=kernel)[1]
    blocks = plan_blocks(atlas.header, maps)
    merged = merge_blocks(blocks, maps)
    geometries = tuple(atlas.geometry.values())
    return maps, blocks, plan_kernels(blocks, merged, geometries, kernel=kernel)


def copy_arrays(arrays: Any) -> Any:
    """Return copies: a training step that donates its layer takes them from nobody else."""
    # Maps and plans are kept with the atlas, for all its layers and projections.
    return jax.tree.map(jnp.array, arrays)


def compute_now(atlas: Atlas) -> contextlib.AbstractContextManager[Any]:
    """Return the context in which what is made of concrete maps is concrete, whatever is traced.

    A layer that is made within ``nnx.jit`` or ``nnx.eval_shape`` then holds no tracer, which
    would outlive its trace in what Flax takes for constants.
    """
    return contextlib.nullcontext() if is_traced(atlas) else jax.ensure_compile_time_eval()


def add_noise(node: Any, noise: float, key: PRNGKeyArray) -> Any:
    """Return the maps of a layer with Gaussian noise on their values."""
    # On the free values, so that what they stand for stays in its domain; labels have none.
    free = node.free if isinstance(node, Constrained) else node
    if isinstance(free, DenseMaps | SparseMaps):
        values = jnp.asarray(free.values)
        values = values + noise * jr.normal(key, values.shape, values.dtype)
        free = eqx.tree_at(lambda m: m.values, free, values)
    return dataclasses.replace(node, free=free) if isinstance(node, Constrained) else free
