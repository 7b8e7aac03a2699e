"""What a projection runs on, worked out once for an atlas and kept while the atlas lives."""

import functools
import itertools
import threading
import weakref
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from atlasinit.core.atlas import Atlas
from atlasinit.core.checking import tell_no_atlas
from atlasinit.core.geometry import Geometry, VolumeGrid
from atlasinit.core.maps import Maps
from atlasinit.errors import ArgumentError
from atlasinit.projection.blocks import Block, lay_diagonally, merge_blocks, plan_blocks
from atlasinit.projection.choosing import choose_kernel
from atlasinit.projection.host import products as host
from atlasinit.projection.host import statistics as host_statistics
from atlasinit.projection.host import streams
from atlasinit.projection.kernels.base import Site
from atlasinit.projection.lstsq import Solver, add_basis, make_solver
from atlasinit.projection.stack import Plan, Stack, build_stack
from atlasinit.support.tracing import is_traced


def stack_for(atlas: Any, *, kernel: str) -> Stack:
    """Return the kernels of an atlas, made once."""

    def make() -> Stack:
        return build_stack(*planned_maps(atlas, kernel=kernel))

    if is_traced(atlas):
        return make()
    return _memory.recall(atlas, ("stack", kernel, jax.default_backend()), make)


def planned_maps(atlas: Any, *, kernel: str) -> tuple[tuple[Maps, ...], tuple[Plan, ...]]:
    """Return maps on the device and the plans of their kernels, made once if concrete."""

    def make() -> tuple[tuple[Maps, ...], tuple[Plan, ...]]:
        geometries = tuple(atlas.geometry.values()) if isinstance(atlas, Atlas) else (None,)
        maps, blocks = maps_of(atlas), blocks_of(atlas)
        plans = plan_kernels(blocks, maps, geometries, kernel=kernel)
        return jax.tree.map(jnp.asarray, (maps, plans))

    if is_traced(atlas):
        return make()
    return _memory.recall(atlas, ("plans", kernel, jax.default_backend()), make)


def plan_kernels(
    blocks: Sequence[Block],
    maps: Sequence[Maps],
    geometries: Sequence[Geometry | None],
    *,
    kernel: str,
) -> tuple[Plan, ...]:
    """Return which kernel computes the maps of which blocks, and what it needs for it."""
    backend = jax.default_backend()
    total = sum(m.n_locations for m in maps)
    chosen = [choose_kernel(one, backend=backend, kernel=kernel)[0] for one in maps]

    def alike(i: int) -> Any:
        return (chosen[i], type(maps[i])) if chosen[i].merges else i

    plans, start = [], 0
    for _, group in itertools.groupby(range(len(maps)), key=alike):
        own = list(group)
        one = lay_diagonally([maps[i] for i in own])
        places = [geometries[member] for i in own for member in blocks[i].members]
        site = Site(start, total, backend, functools.partial(coordinates, places))
        plans.append(Plan(chosen[own[0]], chosen[own[0]].plan(one, site), len(own)))
        start += one.n_locations
    return tuple(plans)


def solver_for(atlas: Any, *, ridge: float) -> Solver | None:
    """Return the least-squares solver of an atlas, float64, made once; None for traced maps."""
    if is_traced(atlas):
        return None
    if isinstance(atlas, Atlas):
        names = atlas.table["name"]
    else:
        names = [f"row {i}" for i in range(atlas.n_parcels)]
    return _memory.recall(
        atlas, ("solver", ridge), lambda: make_solver(maps_of(atlas), names, ridge=ridge)
    )


def device_solver_for(atlas: Any, *, ridge: float) -> Solver | None:
    """Return what `solver_for` does on the device, in its default precision."""
    solver = solver_for(atlas, ridge=ridge)
    if solver is None:
        return None
    return _memory.recall(
        atlas,
        ("device solver", ridge),
        lambda: jax.tree.map(jnp.asarray, add_basis(solver, maps_of(atlas))),
    )


def inverse_of(solver: Solver) -> np.ndarray:
    """Return (G + ridge diag G)^-1 of a solver in float64, made once."""
    # R' R, in double precision as R is.
    return _memory.recall(
        solver, "inverse", lambda: np.asarray(solver.root).T @ np.asarray(solver.root)
    )


def parts_for(atlas: Any) -> tuple[host.Part, ...]:
    """Return the maps of an atlas in parts for the cores of the host, made once."""
    return _memory.recall(atlas, "host", lambda: host.split(maps_of(atlas)))


def shares_for(atlas: Any) -> tuple[streams.Share, ...]:
    """Return what each core adds up of an atlas of hard maps, made once."""
    return _memory.recall(atlas, "shares", lambda: streams.plan_shares(maps_of(atlas)))


def members_for(atlas: Any) -> host_statistics.Members:
    """Return the locations of each parcel of an atlas of hard maps, made once."""
    return _memory.recall(atlas, "members", lambda: host_statistics.members_of(maps_of(atlas)))


def totals_for(atlas: Any, *, absolute: bool) -> np.ndarray:
    """Return the sums of each parcel's weights, made once."""

    def totals() -> np.ndarray:
        return np.concatenate([m.totals(absolute=absolute) for m in maps_of(atlas)])

    return _memory.recall(atlas, ("totals", absolute), totals)


def maps_of(atlas: Any) -> tuple[Any, ...]:
    """Return the maps of all blocks of an atlas, or the only maps."""
    maps = _compartment_maps(atlas)
    blocks = blocks_of(atlas)
    if len(blocks) == len(maps):
        return maps

    def merge() -> tuple[Maps, ...]:
        return merge_blocks(blocks, maps)

    return merge() if is_traced(atlas) else _memory.recall(atlas, "maps", merge)


def blocks_of(atlas: Any) -> tuple[Block, ...]:
    """Return the compartments of an atlas, those that share parcels together."""
    maps = _compartment_maps(atlas)
    if not isinstance(atlas, Atlas):
        return (Block((0,), (0,), (atlas.n_parcels, atlas.n_locations)),)
    if is_traced(atlas):
        return plan_blocks(atlas.header, maps)
    return _memory.recall(atlas, "blocks", lambda: plan_blocks(atlas.header, maps))


def _compartment_maps(atlas: Any) -> tuple[Any, ...]:
    maps = tuple(atlas.maps.values()) if isinstance(atlas, Atlas) else (atlas,)
    if not maps or not all(isinstance(m, Maps) for m in maps):
        raise tell_no_atlas(atlas, "atlas", "an Atlas or maps")
    if sum(m.n_locations for m in maps) == 0:
        raise ArgumentError("atlas", "has no locations")
    return maps


def sizes_of(atlas: Any) -> dict[str, int]:
    """Return compartment to its number of locations."""
    names = atlas.compartments if isinstance(atlas, Atlas) else ("maps",)
    return {c: m.n_locations for c, m in zip(names, _compartment_maps(atlas), strict=True)}


def coordinates(geometries: Sequence[Geometry | None]) -> np.ndarray | None:
    """Return the coordinates of the locations, on the sphere for a mesh that has one.

    Several geometries lie side by side: two hemispheres have spheres in one place. Of one without
    coordinates the locations are on a line; None where no geometry has any.
    """
    if all(_points(geometry) is None for geometry in geometries):
        return None
    found, edge = [], 0.0
    for geometry in geometries:
        assert geometry is not None, "maps without a geometry are alone"
        points = _points(geometry)
        if points is None:
            points = np.arange(geometry.n_locations)[:, None] * np.eye(3)[0]
        if len(geometries) > 1 and len(points):
            # Along x, to behind the one before, with a gap as wide as that is: they do not touch.
            points = points + (edge - points[:, 0].min()) * np.eye(3)[0]
            edge = 2 * points[:, 0].max() - points[:, 0].min()
        found.append(points)
    return found[0] if len(found) == 1 else np.concatenate(found)


def _points(geometry: Geometry | None) -> np.ndarray | None:
    """Return the coordinates of the locations of one geometry, None where it has none."""
    if geometry is None:
        return None
    if isinstance(geometry, VolumeGrid):
        return geometry.coordinates
    points = geometry.anatomical if geometry.sphere is None else geometry.sphere
    return None if points is None else points[geometry.vertices].astype(np.float64)


class Memory:
    """What was made of immutable owners, kept while they live; threads may ask at once."""

    def __init__(self) -> None:
        self._made: dict[int, tuple[threading.RLock, dict[Any, Any]]] = {}
        self._lock = threading.RLock()

    def __contains__(self, owner: Any) -> bool:
        """Return whether anything is kept of an owner."""
        return id(owner) in self._made

    def __len__(self) -> int:
        """Return of how many owners something is kept."""
        return len(self._made)

    def recall(self, owner: Any, key: Any, make: Callable[[], Any]) -> Any:
        """Return what `make` does, made once while `owner` lives."""
        # Arrays of JAX are float64 or float32 by that setting, which may change.
        identity, key = id(owner), (key, jax.config.jax_enable_x64)  # pyright: ignore
        with self._lock:
            if identity not in self._made:
                self._made[identity] = threading.RLock(), {}
                # Without the lock, which the thread may hold where garbage is collected.
                weakref.finalize(owner, self._made.pop, identity, None)
            lock, found = self._made[identity]
        # One lock an owner: what takes long of one atlas holds up nobody who asks for another.
        with lock:
            if key not in found:
                # Within a function that is being traced, new arrays would be of its trace alone.
                with jax.ensure_compile_time_eval():
                    found[key] = make()
            return found[key]


_memory = Memory()
