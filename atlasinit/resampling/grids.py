"""Resampling between grids: positions in mm, looked up among the voxels of the source."""

import dataclasses
import itertools
import math
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, Int

from atlasinit.core.geometry import VolumeGrid
from atlasinit.resampling.matrices import pick, weigh
from atlasinit.resampling.targets import Place

if TYPE_CHECKING:
    from scipy.sparse import csr_array

_ROUNDING = 1e-4
"""Share of a voxel by which the affines of images, stored in float32, miss their numbers."""

_COARSER = 1.01
"""Volume of a target's voxel in voxels of the source, from which on it is the larger one."""

_AT_ONCE = 2**20  # weights that are looked up at once


@dataclasses.dataclass(frozen=True, eq=False)
class Lookup:
    """Where the voxels of a grid lie, and which are kept: worked out once for all positions."""

    grid: VolumeGrid
    inverse: np.ndarray
    locations: np.ndarray

    @classmethod
    def build(cls, grid: VolumeGrid) -> "Lookup":
        """Return the lookup of a grid."""
        return cls(grid, np.linalg.inv(grid.affine), grid.locations.reshape(-1))

    def find_voxels(self, positions: Float[np.ndarray, "points 3"]) -> np.ndarray:
        """Return voxel coordinates; those at or halfway between centres exactly."""
        # World to voxel: positions are rows, hence the transposed matrix from the right.
        return _snap(positions @ self.inverse[:3, :3].T + self.inverse[:3, 3])

    def find_locations(self, ijk: Int[np.ndarray, "... 3"]) -> Int[np.ndarray, "..."]:
        """Return the location of each voxel, -1 outside the grid or where not kept."""
        shape = np.array(self.grid.shape)
        inside = np.all((ijk >= 0) & (ijk < shape), axis=-1)
        # C order; voxel 0 in place of those outside, which are -1 after.
        flat = (ijk[..., 0] * shape[1] + ijk[..., 1]) * shape[2] + ijk[..., 2]
        return np.where(inside, self.locations[np.where(inside, flat, 0)], -1)


def nearest_voxels(source: Lookup, positions: Float[np.ndarray, "targets 3"]) -> "csr_array":
    """Return the matrix (targets, sources) of the voxel that each position in mm lies in."""
    # Not rint, which at a half goes to the even voxel: here always to the upper one.
    voxels = np.floor(source.find_voxels(positions) + 0.5).astype(np.int64)
    return pick(source.find_locations(voxels), source.grid.n_locations)


def trilinear(source: Lookup, positions: Float[np.ndarray, "targets 3"]) -> "csr_array":
    """Return the matrix (targets, sources) of the eight voxels around each position in mm."""
    voxels = source.find_voxels(positions)
    # The eight voxels around a position, each by the product of its three shares.
    low = np.floor(voxels).astype(np.int64)
    part = voxels - low
    starts = [(low[:, axis], np.stack([1 - part[:, axis], part[:, axis]], 1)) for axis in range(3)]
    return _multiply_axes(source, starts)


def same_voxels(source: VolumeGrid, target: VolumeGrid) -> "csr_array | None":
    """Return the matrix (targets, sources) of equal voxels, however stored; None for others."""
    voxels = target.voxels_in(source)
    if voxels is None:
        return None
    return pick(source.locations.reshape(-1)[voxels], source.n_locations)


def is_coarser(source: VolumeGrid, target: VolumeGrid) -> bool:
    """Whether a voxel of the target is larger than one of the source, by more than rounding."""
    volumes = [abs(np.linalg.det(grid.affine[:3, :3])) for grid in (source, target)]
    return bool(volumes[1] > _COARSER * volumes[0])


def find_grid_weights(source: VolumeGrid, place: Place, method: str) -> "Iterator[csr_array]":
    """Yield the matrices (some targets, sources), one after the other in the targets' order."""
    target, lookup = place.geometry, Lookup.build(source)
    assert isinstance(target, VolumeGrid)
    size, weigh_some = _choose(lookup, target, place, method)
    for start in range(0, max(target.n_locations, 1), size):
        some = target.voxels[start : start + size]
        yield weigh_some(np.stack(np.unravel_index(some, target.shape), axis=-1))


def _choose(
    source: Lookup, target: VolumeGrid, place: Place, method: str
) -> tuple[int, "Callable[[np.ndarray], csr_array]"]:
    """Return of how many target voxels the weights are found at once, and what finds them."""

    def find_sources(ijk: np.ndarray) -> np.ndarray:
        return place.find_sources(ijk @ target.affine[:3, :3].T + target.affine[:3, 3])

    if method == "nearest":
        return _AT_ONCE, lambda ijk: nearest_voxels(source, find_sources(ijk))
    if method == "linear":
        return _AT_ONCE // 8, lambda ijk: trilinear(source, find_sources(ijk))
    overlaps = None if place.warp is not None else _find_overlaps(source, target)
    if overlaps is not None:
        size = math.prod(share.shape[1] for _, _, share in overlaps)

        def overlap(ijk: np.ndarray) -> "csr_array":
            return _multiply_axes(source, [(s[ijk[:, a]], w[ijk[:, a]]) for a, s, w in overlaps])

        return max(_AT_ONCE // size, 1), overlap
    # Points that divide each target voxel evenly, two a source voxel and axis at least.
    moved = np.abs((source.inverse @ target.affine)[:3, :3]).max(axis=0)
    counts = 2 * np.ceil(moved).astype(np.int64)
    points = [(np.arange(n) + 0.5) / n - 0.5 for n in counts]
    offsets = np.array(list(itertools.product(*points)))

    def sample(ijk: np.ndarray) -> "csr_array":
        inner = (ijk[:, None] + offsets).reshape(-1, 3)
        voxels = np.floor(source.find_voxels(find_sources(inner)) + 0.5).astype(np.int64)
        columns = source.find_locations(voxels).reshape(len(ijk), -1)
        weights = np.broadcast_to(1 / len(offsets), columns.shape)
        return weigh(columns, weights, source.grid.n_locations)

    return max(_AT_ONCE // len(offsets), 1), sample


def _find_overlaps(
    source: Lookup, target: VolumeGrid
) -> list[tuple[int, np.ndarray, np.ndarray]] | None:
    """Return for each axis of the source how voxels overlap along it; None for oblique grids.

    The axis of the target that runs along it; and for each index on that axis the first source
    index, and the shares (indices, n) of the target voxel's edge in that and the next ones.
    """
    moved = source.inverse @ target.affine
    along = np.abs(moved[:3, :3]).argmax(axis=1)
    rest = np.where(np.arange(3) == along[:, None], 0, moved[:3, :3])
    # An axis is parallel where it leaves its row of source voxels nowhere by more than rounding.
    if len(set(along)) < 3 or (np.abs(rest) * target.shape > _ROUNDING * 10).any():
        return None
    found = []
    for axis, other in enumerate(along):
        width = abs(moved[axis, other])
        centres = moved[axis, other] * np.arange(target.shape[other]) + moved[axis, 3]
        # Edges of the target's voxels in source indices, where source voxel j is [j, j + 1].
        low, high = _snap(centres - width / 2 + 0.5), _snap(centres + width / 2 + 0.5)
        start = np.floor(low).astype(np.int64)
        j = start[:, None] + np.arange(math.ceil(width + 1 - _ROUNDING) + 1)
        shares = np.minimum(high[:, None], j + 1) - np.maximum(low[:, None], j)
        shares = shares.clip(0) / (high - low)[:, None]
        found.append((int(other), start, shares[:, shares.any(axis=0)]))
    return found


def _multiply_axes(source: Lookup, starts: list[tuple[np.ndarray, np.ndarray]]) -> "csr_array":
    """Return the matrix of weights that are products of one a source axis.

    `starts` has for each axis the first index (targets,), and the weights (targets, n) there
    and at the indices behind.
    """
    columns, weights = [], []
    for steps in np.ndindex(*(share.shape[1] for _, share in starts)):
        ijk = [first + step for (first, _), step in zip(starts, steps, strict=True)]
        shares = [share[:, step] for (_, share), step in zip(starts, steps, strict=True)]
        columns.append(source.find_locations(np.stack(ijk, axis=-1)))
        weights.append(shares[0] * shares[1] * shares[2])
    return weigh(np.stack(columns, 1), np.stack(weights, 1), source.grid.n_locations)


def _snap(numbers: np.ndarray) -> np.ndarray:
    """Return numbers with those near whole and half ones exactly there."""
    halves = np.rint(2 * numbers) / 2
    # At a half which of two voxels is the nearest must not hang on the last bit of an affine.
    return np.where(np.abs(numbers - halves) < _ROUNDING, halves, numbers)
