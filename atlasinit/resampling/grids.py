"""Resampling between grids: positions in mm, looked up among the voxels of the source."""

import itertools
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from atlasinit.core.geometry import VolumeGrid
from atlasinit.errors import ArgumentError
from atlasinit.resampling.axes import Axes, find_axes
from atlasinit.resampling.lookup import Lookup
from atlasinit.resampling.matrices import pick, weigh
from atlasinit.resampling.oblique import Oblique
from atlasinit.resampling.targets import Place
from atlasinit.transforms.maps import find_matrix

if TYPE_CHECKING:
    from scipy.sparse import csr_array

_COARSER = 1.01
"""Volume of a target's voxel in voxels of the source, from which on it is the larger one."""

_COARSER_BY_WARP = 2.0
"""The same through a warp, where the voxels that a target's covers are counted point by point,
for many minutes of a head, and of fewer than two none is a majority."""

_AT_ONCE = 2**20  # weights that are looked up at once

_STRETCHED = 0.1
"""Voxels of the source by which a warp may stretch those of a target without further points."""

_MEASURED = 1000
"""Voxels of a target of which a warp's stretching is measured."""


def nearest_voxels(source: Lookup, positions: Float[np.ndarray, "targets 3"]) -> "csr_array":
    """Return the matrix (targets, sources) of the voxel that each position in mm lies in."""
    # Not rint, which at a half goes to the even voxel: here always to the upper one.
    voxels = np.floor(source.find_voxels(positions) + 0.5).astype(np.int64)
    return pick(source.find_locations(voxels), source.grid.n_locations)


def trilinear(source: Lookup, positions: Float[np.ndarray, "targets 3"]) -> "csr_array":
    """Return the matrix (targets, sources) of the eight voxels around each position in mm."""
    voxels = source.find_voxels(positions)
    low = np.floor(voxels).astype(np.int64)
    part = voxels - low
    # Each of the eight by the product of its three shares.
    columns, weights = [], []
    for corner in np.ndindex(2, 2, 2):
        columns.append(source.find_locations(low + corner))
        weights.append(np.where(corner, part, 1 - part).prod(axis=1))
    return weigh(np.stack(columns, 1), np.stack(weights, 1), source.grid.n_locations)


def same_voxels(source: VolumeGrid, target: VolumeGrid) -> "csr_array | None":
    """Return the matrix (targets, sources) of equal voxels, however stored; None for others."""
    voxels = target.voxels_in(source)
    if voxels is None:
        return None
    return pick(source.locations.reshape(-1)[voxels], source.n_locations)


def is_coarser(source: VolumeGrid, place: Place) -> bool:
    """Whether a voxel of the target is larger than one of the source, by more than rounding.

    Both as they lie in the source: a transform may enlarge or shrink. Of a warp the median counts,
    from two voxels on.
    """
    warped = place.warp is not None and find_matrix(place.warp) is None
    volumes = np.abs(np.linalg.det(_measure_edges(source, place)))
    return bool(volumes.size and np.median(volumes) > (_COARSER_BY_WARP if warped else _COARSER))


def find_grid_weights(source: VolumeGrid, place: Place, method: str) -> "Iterator[csr_array]":
    """Yield the matrices (some targets, sources), one after the other in the targets' order."""
    target = place.geometry
    assert isinstance(target, VolumeGrid)
    if place.warp is None:
        _check_overlap(source, target)
    laid = _lay_out(source, target, place, method)
    if laid is not None:
        size, find_some = max(_AT_ONCE // laid.n_weights, 1), laid.find_weights
    else:
        size, find_some = _look_up(Lookup.build(source), target, place, method)
    for start in range(0, max(target.n_locations, 1), size):
        some = target.voxels[start : start + size]
        yield find_some(np.stack(np.unravel_index(some, target.shape), axis=-1))


def _lay_out(
    source: VolumeGrid, target: VolumeGrid, place: Place, method: str
) -> Axes | Oblique | None:
    """Return what has weights for offsets or axes once for all voxels; None to look each up."""
    if place.warp is not None:
        moved = find_matrix(place.warp)
        if moved is None:
            return None
        target = VolumeGrid(target.shape, moved @ target.affine)
    axes = find_axes(source, target, method)
    if axes is not None or method != "area":
        return axes
    lookup = Lookup.build(source)
    return Oblique(lookup, lookup.inverse @ target.affine)


def _check_overlap(source: VolumeGrid, target: VolumeGrid) -> None:
    """Refuse grids whose boxes lie side by side, whatever voxels they keep."""

    def find_corners(grid: VolumeGrid) -> np.ndarray:
        ends = np.stack([np.full(3, -0.5), np.array(grid.shape) - 0.5])
        corners = np.array([ends[c, range(3)] for c in np.ndindex(2, 2, 2)])
        return corners @ grid.affine[:3, :3].T + grid.affine[:3, 3]

    boxes = [(c.min(axis=0), c.max(axis=0)) for c in map(find_corners, (source, target))]
    (low, high), (other_low, other_high) = boxes
    if (other_low >= high).any() or (other_high <= low).any():
        spans = [
            ", ".join(f"{a:.4g} to {b:.4g}" for a, b in zip(*box, strict=True)) for box in boxes
        ]
        raise ArgumentError(
            "target",
            f": its grid lies beside that of the source: x, y and z are {spans[1]} mm, where the "
            f"source has {spans[0]}",
            "Are both in one space, in mm? From one space to another leads a transform",
        )


def _measure_edges(source: VolumeGrid, place: Place) -> Float[np.ndarray, "some axes 3"]:
    """Return the edges of voxels of the target, some of them, in voxels of the source."""
    target, lookup = place.geometry, Lookup.build(source)
    assert isinstance(target, VolumeGrid)
    some = target.voxels[:: max(target.n_locations // _MEASURED, 1)]
    ijk = np.stack(np.unravel_index(some, target.shape), axis=-1)
    # (ends, axes, some, 3): half a voxel down and up each axis, looked up in the source.
    ends = ijk + np.array([-0.5, 0.5])[:, None, None, None] * np.eye(3)[:, None]
    points = (ends @ target.affine[:3, :3].T + target.affine[:3, 3]).reshape(-1, 3)
    found = lookup.find_voxels(place.find_sources(points)).reshape(ends.shape)
    # What a warp says nothing of lies nowhere, and so far away.
    near = (np.abs(found) < 2 * sum(source.shape)).all(axis=(0, 1, 3))
    return (found[1] - found[0]).transpose(1, 0, 2)[near]


def _look_up(
    source: Lookup, target: VolumeGrid, place: Place, method: str
) -> tuple[int, "Callable[[np.ndarray], csr_array]"]:
    """Return of how many target voxels the weights are found at once, and what finds them."""

    def find_sources(ijk: np.ndarray) -> np.ndarray:
        return place.find_sources(ijk @ target.affine[:3, :3].T + target.affine[:3, 3])

    if method == "nearest":
        return _AT_ONCE, lambda ijk: nearest_voxels(source, find_sources(ijk))
    if method == "linear":
        return _AT_ONCE // 8, lambda ijk: trilinear(source, find_sources(ijk))
    # Points that divide each target voxel evenly, two a source voxel and axis at least.
    moved = np.abs((source.inverse @ target.affine)[:3, :3]).max(axis=0)
    edges = np.abs(_measure_edges(source.grid, place)).max(axis=2)
    if len(edges):
        moved = np.maximum(moved, np.median(edges, axis=0) - _STRETCHED)
    points = [(np.arange(n) + 0.5) / n - 0.5 for n in np.ceil(2 * moved).astype(np.int64)]
    offsets = np.array(list(itertools.product(*points)))

    def sample(ijk: np.ndarray) -> "csr_array":
        inner = (ijk[:, None] + offsets).reshape(-1, 3)
        voxels = np.floor(source.find_voxels(find_sources(inner)) + 0.5).astype(np.int64)
        columns = source.find_locations(voxels).reshape(len(ijk), len(offsets))
        weights = np.broadcast_to(1 / len(offsets), columns.shape)
        return weigh(columns, weights, source.grid.n_locations)

    return max(_AT_ONCE // len(offsets), 1), sample
