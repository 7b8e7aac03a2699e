"""Weights between grids whose axes are parallel: products of one weight an axis."""

import dataclasses
import math
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, Int

from atlasinit.core.geometry import VolumeGrid
from atlasinit.resampling.matrices import weigh

if TYPE_CHECKING:
    from scipy.sparse import csr_array

ROUNDING = 1e-4
"""Share of a voxel by which the affines of images, stored in float32, miss their numbers."""

_OFF = 1e-3
"""Voxels of the source that a parallel axis of the target may leave its row of voxels by."""


@dataclasses.dataclass(frozen=True, eq=False)
class Axis:
    """The weights along one axis of the source.

    Parameters
    ----------
    target
        The axis of the target that runs along it.
    size
        Number of source voxels along it.
    start
        (indices,) for each index on the target's axis the first source index, which may lie
        outside.
    shares
        (indices, n) the weights there and at the next indices.
    """

    target: int
    size: int
    start: Int[np.ndarray, " indices"]
    shares: Float[np.ndarray, "indices n"]


@dataclasses.dataclass(frozen=True, eq=False)
class Axes:
    """The weights from the voxels of one grid to those of another with parallel axes.

    Parameters
    ----------
    source, target
        The grids.
    along
        The three axes of the source.
    locations
        (voxels,) the location of each voxel of the source, -1 where it is not kept.
    """

    source: VolumeGrid
    target: VolumeGrid
    along: tuple[Axis, Axis, Axis]
    locations: Int[np.ndarray, " voxels"]

    @property
    def n_weights(self) -> int:
        """Number of weights of a target voxel."""
        return math.prod(axis.shares.shape[1] for axis in self.along)

    def find_weights(self, ijk: Int[np.ndarray, "targets 3"]) -> "csr_array":
        """Return the matrix (targets, sources) of some voxels of the target."""
        strides = (self.source.shape[1] * self.source.shape[2], self.source.shape[2], 1)
        places, inside, shares = [], [], []
        for axis, stride in zip(self.along, strides, strict=True):
            own = ijk[:, axis.target]
            # (targets, n) source indices along this axis.
            at = (axis.start[:, None] + np.arange(axis.shares.shape[1]))[own]
            inside.append((at >= 0) & (at < axis.size))
            places.append(at * stride)
            shares.append(axis.shares[own])

        def combine(parts: list[np.ndarray], by: np.ufunc) -> np.ndarray:
            x, y, z = parts
            both = by(x[:, :, None, None], by(y[:, None, :, None], z[:, None, None, :]))
            return both.reshape(len(ijk), self.n_weights)

        found = combine(inside, np.logical_and)
        # Voxel 0 in place of those outside, only so that they can be looked up; they are -1 after.
        flat = np.where(found, combine(places, np.add), 0)
        columns = np.where(found, self.locations[flat], -1)
        return weigh(columns, combine(shares, np.multiply), self.source.n_locations)


def find_axes(source: VolumeGrid, target: VolumeGrid, method: str) -> Axes | None:
    """Return the weights of a method along each axis; None for grids that are oblique.

    ``"nearest"`` takes the voxel that a centre lies in, ``"linear"`` the two around it, and
    ``"area"`` the shares of the target's voxel that each covers.
    """
    moved = np.linalg.inv(source.affine) @ target.affine
    nearest = np.abs(moved[:3, :3]).argmax(axis=1)
    rest = np.where(np.arange(3) == nearest[:, None], 0, moved[:3, :3])
    # An axis is parallel where it leaves its row of source voxels nowhere by more than rounding.
    if len(set(nearest)) < 3 or (np.abs(rest) * target.shape > _OFF).any():
        return None
    found = []
    for axis, other in enumerate(nearest.tolist()):
        step = moved[axis, other]
        centres = snap(step * np.arange(target.shape[other]) + moved[axis, 3])
        start, shares = _WEIGHTS[method](centres, abs(step))
        found.append(Axis(other, source.shape[axis], start, shares))
    return Axes(source, target, (found[0], found[1], found[2]), source.locations.reshape(-1))


def snap(numbers: np.ndarray) -> np.ndarray:
    """Return numbers with those near whole and half ones exactly there."""
    halves = np.rint(2 * numbers) / 2
    # At a half which of two voxels is the nearest must not hang on the last bit of an affine.
    return np.where(np.abs(numbers - halves) < ROUNDING, halves, numbers)


def _nearest(centres: np.ndarray, width: float) -> tuple[np.ndarray, np.ndarray]:
    del width
    # Not rint, which at a half goes to the even voxel: here always to the upper one.
    return np.floor(centres + 0.5).astype(np.int64), np.ones((len(centres), 1))


def _linear(centres: np.ndarray, width: float) -> tuple[np.ndarray, np.ndarray]:
    del width
    start = np.floor(centres).astype(np.int64)
    part = centres - start
    return start, np.stack([1 - part, part], axis=1)


def _overlap(centres: np.ndarray, width: float) -> tuple[np.ndarray, np.ndarray]:
    # Edges of the target's voxels in source indices, where source voxel j is [j, j + 1].
    edges = np.stack([centres - width / 2 + 0.5, centres + width / 2 + 0.5])
    # Of voxels as small as rounding both edges would be one.
    low, high = snap(edges) if width > 4 * ROUNDING else edges
    start = np.floor(low).astype(np.int64)
    j = start[:, None] + np.arange(math.ceil(width) + 2)
    shares = np.minimum(high[:, None], j + 1) - np.maximum(low[:, None], j)
    shares = shares.clip(0) / (high - low)[:, None]
    return start, shares[:, shares.any(axis=0)]


_WEIGHTS = {"nearest": _nearest, "linear": _linear, "area": _overlap}
