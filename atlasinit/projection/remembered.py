"""What a projection runs on, worked out once for an atlas and kept while the atlas lives."""

import weakref
from collections.abc import Callable, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from atlasinit.core.atlas import Atlas
from atlasinit.core.geometry import Geometry, VolumeGrid
from atlasinit.core.maps import (
    HardMaps,
    Maps,
    SparseMaps,
)
from atlasinit.projection.choosing import Plan, assemble, choose_kernel, prepare
from atlasinit.projection.host import products as host
from atlasinit.projection.host import statistics as host_statistics
from atlasinit.projection.lstsq import solver
from atlasinit.projection.stack import Stack
from atlasinit.support.typing import AnyArray


class Prepared(eqx.Module):
    """Maps of all compartments with the plans of their kernels: what training starts from."""

    maps: tuple[Any, ...]
    plans: tuple[Plan | None, ...]
    kernel: str = eqx.field(static=True)
    backend: str = eqx.field(static=True)


@jax.jit
def stacked(prepared: Prepared) -> Stack:
    """Return the kernels of maps, their weights laid out as they compute."""
    return assemble(prepared.maps, prepared.plans, kernel=prepared.kernel, backend=prepared.backend)


def stack_for(atlas: Any, *, kernel: str) -> Stack:
    """Return the kernels of an atlas, made once."""

    def make() -> Stack:
        return stacked(prepared_for(atlas, kernel=kernel))

    if traced(atlas):
        return make()
    return _remembered(atlas, ("stack", kernel, jax.default_backend()), make)


def prepared_for(atlas: Any, *, kernel: str) -> Prepared:
    """Return maps on the device with their plans, made once for an atlas of concrete maps."""

    def make() -> Prepared:
        geometries = tuple(atlas.geometry.values()) if isinstance(atlas, Atlas) else (None,)
        made = make_prepared(maps_of(atlas), geometries, kernel=kernel)
        return jax.tree.map(jnp.asarray, made)

    if traced(atlas):
        return make()
    return _remembered(atlas, ("prepared", kernel, jax.default_backend()), make)


def make_prepared(
    maps: Sequence[Maps], geometries: Sequence[Geometry | None], *, kernel: str
) -> Prepared:
    """Return maps with the plans of their kernels; those of traced positions become dense."""
    backend = jax.default_backend()
    total = sum(m.n_locations for m in maps)
    plans, start = [], 0
    for one, geometry in zip(maps, geometries, strict=True):
        name = choose_kernel(one, backend=backend, kernel=kernel)
        plan = None
        if _concrete(one):
            points = coordinates(geometry) if geometry and name == "tiles" else None
            plan = prepare(one, points, kernel=name, start=start, total=total, backend=backend)
        plans.append(plan)
        start += one.n_locations
    return Prepared(tuple(maps), tuple(plans), kernel, backend)


def solver_for(atlas: Any, *, ridge: float) -> AnyArray | None:
    """Return the least-squares solver of an atlas, made once; None for traced maps."""
    if traced(atlas):
        return None
    if isinstance(atlas, Atlas):
        names = atlas.table["name"]
    else:
        names = [f"row {i}" for i in range(atlas.n_parcels)]
    return _remembered(
        atlas, ("lstsq", ridge), lambda: jnp.asarray(solver(maps_of(atlas), names, ridge=ridge))
    )


def parts_for(atlas: Any) -> tuple[host.Part, ...]:
    """Return the maps of an atlas in parts for the cores of the host, made once."""
    return _remembered(atlas, "host", lambda: host.split(maps_of(atlas)))


def members_for(atlas: Any) -> host_statistics.Members:
    """Return the locations of each parcel of an atlas of hard maps, made once."""
    return _remembered(atlas, "members", lambda: host_statistics.members_of(maps_of(atlas)))


def totals_for(atlas: Any, *, absolute: bool) -> np.ndarray:
    """Return the sums of each parcel's weights, made once."""

    def totals() -> np.ndarray:
        return np.concatenate([m.totals(absolute=absolute) for m in maps_of(atlas)])

    return _remembered(atlas, ("totals", absolute), totals)


def maps_of(atlas: Any) -> tuple[Any, ...]:
    """Return the maps of all compartments of an atlas, or the only maps."""
    maps = tuple(atlas.maps.values()) if isinstance(atlas, Atlas) else (atlas,)
    if not maps or not all(isinstance(m, Maps) for m in maps):
        raise TypeError(f"`atlas` should be an Atlas or maps, got {type(atlas).__name__}.")
    if sum(m.n_locations for m in maps) == 0:
        raise ValueError("`atlas` has no locations.")
    return maps


def sizes_of(atlas: Any) -> dict[str, int]:
    """Return compartment to its number of locations."""
    names = atlas.compartments if isinstance(atlas, Atlas) else ("maps",)
    return {c: m.n_locations for c, m in zip(names, maps_of(atlas), strict=True)}


def coordinates(geometry: Geometry) -> np.ndarray | None:
    """Return the coordinates of the locations, on the sphere for a mesh that has one."""
    if isinstance(geometry, VolumeGrid):
        return geometry.coordinates
    points = geometry.anatomical if geometry.sphere is None else geometry.sphere
    return None if points is None else points[geometry.vertices].astype(np.float64)


def traced(atlas: Any) -> bool:
    """Whether an atlas or maps are arguments of a function that is being traced."""
    known = id(atlas) in _memory
    return not known and any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves(atlas))


def _concrete(maps: Maps) -> bool:
    positions = maps.labels if isinstance(maps, HardMaps) else None
    positions = maps.indices if isinstance(maps, SparseMaps) else positions
    return not isinstance(positions, Tracer)


_memory: dict[int, dict[Any, Any]] = {}


def _remembered(owner: Any, key: Any, make: Callable[[], Any]) -> Any:
    """Return what `make` does, made once while `owner`, which is immutable, lives."""
    identity, key = id(owner), (key, jax.config.jax_enable_x64)  # pyright: ignore
    if identity not in _memory:
        _memory[identity] = {}
        weakref.finalize(owner, _memory.pop, identity, None)
    found = _memory[identity]
    if key not in found:
        # Within a function that is being traced, new arrays would be of its trace alone.
        with jax.ensure_compile_time_eval():
            found[key] = make()
    return found[key]
