"""The one place that chooses which kernel computes what maps on what backend."""

from collections.abc import Sequence
from typing import TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from atlasinit.core.maps import (
    DenseMaps,
    HardMaps,
    Maps,
    SparseMaps,
)
from atlasinit.projection import reductions
from atlasinit.projection.host import products as host
from atlasinit.projection.kernels import tiles as tiled
from atlasinit.projection.kernels.grouped import (
    GroupedKernel,
    WeightedGroupedKernel,
    WeightPlan,
    group_labels,
    plan_weights,
)
from atlasinit.projection.kernels.products import (
    DenseKernel,
    ScatterKernel,
    TiledKernel,
)
from atlasinit.projection.stack import Kernel, Stack
from atlasinit.support.typing import AnyArray

KERNELS = ("auto", "scatter", "groups", "tiles", "dense")
_LARGE = 2**21  # values that NumPy multiplies sooner in threads than XLA
_SOON = 2**14  # values of sparse maps, whose tiles XLA takes seconds to compile
_BUSY = 4000  # products a location from which on tiles are sooner than scipy's columns in threads
_FEW = 3.5  # weights a location that a GPU multiplies sooner one by one than in tiles

Plan: TypeAlias = tiled.TilePlan | GroupedKernel | WeightPlan


def on_host(
    maps: Sequence[Maps], data: AnyArray, *, missing: str = "propagate", kernel: str = "auto"
) -> bool:
    """Return whether NumPy and SciPy compute: known, large data, or parcel values, on the CPU.

    Not of sparse maps with many weights a location, whose tiles XLA multiplies sooner.
    """
    if kernel not in ("host", *KERNELS):
        raise ValueError(f"`kernel` should be one of host, {', '.join(KERNELS)}, got {kernel!r}.")
    if kernel not in ("host", "auto"):
        return False
    able = host.can_multiply(maps, data, missing=missing)
    if kernel == "host" and not able:
        raise ValueError(
            '`kernel="host"` computes known data on the CPU, of maps in single precision that, '
            'with `missing="omit"`, have no negative weights; use "auto".'
        )
    if kernel == "host" or not able:
        return able
    times = data.shape[-1] if data.ndim > 1 else 1
    n_locations = sum(m.n_locations for m in maps)
    sparse = [m.values.size for m in maps if isinstance(m, SparseMaps)]
    # XLA would copy NumPy's data, and a mask of what is observed takes a product of its own.
    busy = (
        isinstance(data, jax.Array)
        and missing != "omit"
        and (times * sum(sparse) >= _BUSY * n_locations)
    )
    return times * n_locations >= (_SOON if sparse else _LARGE) and not busy


def kernel_of(reduction: str, kernel: str) -> str:
    """Return the kernel of a reduction: `kernel`, but order statistics are of labels alone."""
    return "scatter" if reduction in reductions.HARD_ONLY else kernel


def choose_kernel(maps: Maps, *, backend: str, kernel: str = "auto") -> str:
    """Return the name of the kernel that computes `maps` in a jitted function.

    Hard labels are scattered on a CPU. On a GPU that makes atomic additions, which are
    slower than sums of groups and differ in the last digits from run to run. Sparse maps are
    tiles, on a GPU where they have many weights a location: a tile's product reads its data
    once for all of its parcels, a group's sum once a weight, but without copying it.
    """
    if kernel not in KERNELS:
        raise ValueError(f"`kernel` should be one of {', '.join(KERNELS)}, got {kernel!r}.")
    if kernel == "scatter" and not isinstance(maps, HardMaps):
        raise ValueError('`kernel="scatter"` computes hard maps only; use "auto".')
    if kernel in ("groups", "tiles") and isinstance(maps, DenseMaps):
        raise ValueError(f'`kernel="{kernel}"` computes hard and sparse maps only; use "dense".')
    if kernel != "auto":
        return kernel
    if isinstance(maps, HardMaps):
        return "scatter" if backend == "cpu" else "groups"
    if isinstance(maps, DenseMaps):
        return "dense"
    few = maps.values.shape[0] <= _FEW * maps.n_locations
    return "groups" if few and backend != "cpu" else "tiles"


def prepare(
    maps: Maps,
    coordinates: np.ndarray | None,
    *,
    kernel: str,
    start: int,
    total: int,
    backend: str,
) -> Plan | None:
    """Return what a kernel needs of maps whose positions are concrete, worked out on the host."""
    if kernel == "groups" and isinstance(maps, HardMaps):
        return group_labels(maps, start=start, total=total)
    if kernel == "groups" and isinstance(maps, SparseMaps):
        return plan_weights(maps, start=start, total=total)
    if kernel != "tiles":
        return None
    # A GPU wants many products a launch. On a CPU, one after the other is multiplied: small
    # ones hold fewer zeros, but XLA leaves those below some 1.6 million multiplications to
    # one core.
    size, each = (384, 2) if backend == "cpu" else (256, 1024)
    sparse = maps if isinstance(maps, SparseMaps) else SparseMaps.from_scipy(maps.to_scipy())
    return tiled.plan_tiles(sparse, coordinates, size=size, each=each, start=start, total=total)


def assemble(
    maps: Sequence[Maps], plans: Sequence[Plan | None], *, kernel: str, backend: str
) -> Stack:
    """Return the kernels of all compartments, neighbouring hard ones as one."""
    kernels: list[Kernel] = []
    shapes: list[tuple[int, int]] = []
    for one, plan in zip(maps, plans, strict=True):
        name = choose_kernel(one, backend=backend, kernel=kernel)
        shape = (one.n_parcels, one.n_locations)
        new: Kernel
        if isinstance(one, HardMaps) and (name == "scatter" or (name == "groups" and not plan)):
            new = ScatterKernel(jnp.asarray(one.labels), one.n_parcels)
            if kernels and isinstance(kernels[-1], ScatterKernel):
                new = _merged(kernels.pop(), new)
                shape = (new.n_parcels, shapes.pop()[1] + one.n_locations)
        elif isinstance(plan, GroupedKernel):
            new = plan
        elif isinstance(plan, WeightPlan) and isinstance(one, SparseMaps):
            new = WeightedGroupedKernel(one.values, plan)
        elif isinstance(plan, tiled.TilePlan):
            # The plan of hard labels counts their ones; the labels may be traced.
            ones = jnp.ones(plan.positions.shape[0], jnp.float32)
            values = one.values if isinstance(one, SparseMaps) else ones
            new = TiledKernel(tiled.spread(plan, values), plan.layout)
        else:
            new = DenseKernel(dense_values(one))
        kernels.append(new)
        shapes.append(shape)
    return Stack(tuple(kernels), tuple(shapes))


def dense_values(maps: Maps) -> Float[Array, "parcels locations"]:
    """Return the matrix of any maps, also of traced ones."""
    if isinstance(maps, DenseMaps):
        return jnp.asarray(maps.values)
    if isinstance(maps, HardMaps):
        return ScatterKernel(jnp.asarray(maps.labels), maps.n_parcels).dense()
    values, indptr = jnp.asarray(maps.values), jnp.asarray(maps.indptr)
    nonzeros = jnp.arange(values.shape[0], dtype=indptr.dtype)
    rows = jnp.searchsorted(indptr, nonzeros, side="right") - 1
    out = jnp.zeros((maps.n_parcels, maps.n_locations), values.dtype)
    return out.at[rows, jnp.asarray(maps.indices)].add(values)


def _merged(first: Kernel, second: ScatterKernel) -> ScatterKernel:
    assert isinstance(first, ScatterKernel)
    shifted = jnp.where(second.labels < 0, -1, second.labels + first.n_parcels)
    labels = jnp.concatenate([first.labels, shifted])
    return ScatterKernel(labels, first.n_parcels + second.n_parcels)
