"""The one place that chooses where a projection is computed, and by which kernel.

It knows sizes and backends, and of the kernels what they say of themselves; nothing after
it chooses again.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import jax
from jax.core import Tracer

from atlasinit.core.maps import DenseMaps, HardMaps, Maps, SparseMaps
from atlasinit.errors import ArgumentError, Passing
from atlasinit.projection.host.products import can_multiply
from atlasinit.projection.kernels.base import AbstractKernel
from atlasinit.projection.kernels.dense import DenseKernel
from atlasinit.projection.kernels.grouped import GroupedKernel, WeightedGroupedKernel
from atlasinit.projection.kernels.scatter import ScatterKernel
from atlasinit.projection.kernels.tiled import TiledKernel
from atlasinit.support.threads import check_process
from atlasinit.support.typing import AnyArray

KERNELS: list[type[AbstractKernel]] = [
    ScatterKernel,
    GroupedKernel,
    WeightedGroupedKernel,
    TiledKernel,
    DenseKernel,
]
"""All kernels. Several may have one name, of different maps."""


@dataclass(frozen=True)
class Policy:
    """Sizes from which on another way is faster, measured by ``benchmarks/bench_projection.py``.

    Parameters
    ----------
    large
        Values of data that NumPy reduces sooner in threads than XLA.
    large_sparse
        The same where some maps are sparse, whose tiles XLA takes seconds to compile.
    busy
        Products a location (weights there times time points) from which on XLA's tiles are
        sooner than SciPy's columns in threads.
    few
        Weights a location up to which a GPU multiplies sooner one by one than in tiles.
    """

    large: int = 2**21
    large_sparse: int = 2**14
    busy: int = 4000
    few: float = 3.5


POLICY = Policy()


def kernel_names() -> list[str]:
    """Return what `kernel` may be: "auto", "host" and the names of all kernels."""
    return ["auto", "host", *dict.fromkeys(kernel.name for kernel in KERNELS)]


def choose_place(
    maps: Sequence[Maps],
    data: AnyArray,
    *,
    missing: str = "propagate",
    kernel: str = "auto",
    double: bool = False,
    policy: Policy = POLICY,
) -> tuple[str, str]:
    """Return "host" where NumPy and SciPy compute, or "xla", and why.

    The host computes what is concrete and large, on the CPU; not sparse maps with many
    weights a location, whose tiles XLA multiplies sooner. What should be computed in double
    precision is computed there whatever its size, as JAX computes in single by default.
    """
    check_process()
    if kernel not in (names := kernel_names()):
        raise ArgumentError("kernel", f"should be one of {', '.join(names)}, got {kernel!r}")
    if kernel not in ("host", "auto"):
        return "xla", f'`kernel="{kernel}"` asks for it'
    able = can_multiply(maps, data, missing=missing)
    if kernel == "host":
        if not able:
            raise ArgumentError(
                "kernel",
                '"host" computes concrete data on the CPU, of maps in single precision that, '
                "with " + Passing(missing="omit") + ", have no negative weights",
                'use "auto"',
            )
        return "host", '`kernel="host"` asks for it'
    if not able:
        return "xla", "the data or the maps are traced, lie on a device, or are of other kinds"
    if double:
        return "host", "the host computes in double precision"
    times = data.shape[-1] if data.ndim > 1 else 1
    n_locations = sum(m.n_locations for m in maps)
    sparse = [m.values.size for m in maps if isinstance(m, SparseMaps)]
    if times * n_locations < (policy.large_sparse if sparse else policy.large):
        return "xla", "the data are small"
    # XLA would copy NumPy's data, and a mask of what is observed takes a product of its own.
    if (
        isinstance(data, jax.Array)
        and missing != "omit"
        and times * sum(sparse) >= policy.busy * n_locations
    ):
        return "xla", "the maps have many weights a location, which tiles multiply sooner"
    return "host", "the data are concrete and large, and on the CPU"


def choose_kernel(
    maps: Maps, *, backend: str, kernel: str = "auto", policy: Policy = POLICY
) -> tuple[type[AbstractKernel], str]:
    """Return the kernel that computes `maps` in a jitted function, and why.

    Hard labels are scattered on a CPU. On a GPU that makes atomic additions, which are
    slower than sums of groups and differ in the last digits from run to run. Sparse maps are
    tiles, on a GPU where they have many weights a location: a tile's product reads its data
    once for all of its parcels, a group's sum once a weight, but without copying it.
    """
    name, reason = _prefer(maps, backend=backend, policy=policy)
    if kernel not in ("auto", "host"):
        name, reason = kernel, f'`kernel="{kernel}"` asks for it'
    found = [k for k in KERNELS if k.name == name and isinstance(maps, k.computes)]
    if not found:
        kinds = {one.__name__ for k in KERNELS if k.name == name for one in k.computes}
        able = [k.name for k in KERNELS if isinstance(maps, k.computes)]
        raise ArgumentError(
            "kernel",
            f'''"{name}" computes {", ".join(sorted(kinds))} only, got {type(maps).__name__}''',
            f"use auto, {' or '.join(able)}",
        )
    if found[0].needs_positions and not _has_positions(maps):
        by_labels = isinstance(maps, HardMaps)
        return ScatterKernel if by_labels else DenseKernel, "the maps' positions are traced"
    return found[0], reason


def _prefer(maps: Maps, *, backend: str, policy: Policy) -> tuple[str, str]:
    """Return the name of the kernel that is fastest, and why."""
    if isinstance(maps, DenseMaps):
        return "dense", "the maps are dense"
    if isinstance(maps, HardMaps):
        if backend == "cpu":
            return "scatter", "hard labels on a CPU"
        return "groups", f"hard labels on a {backend.upper()}, the same digits in every run"
    if maps.values.shape[0] <= policy.few * maps.n_locations and backend != "cpu":
        return "groups", f"few weights a location on a {backend.upper()}"
    return "tiles", "sparse maps"


def _has_positions(maps: Maps) -> bool:
    """Return whether it is known here where the weights of maps are."""
    if isinstance(maps, HardMaps):
        return not isinstance(maps.labels, Tracer)
    return isinstance(maps, DenseMaps) or not isinstance(maps.indices, Tracer)
