"""Weights between grids at any angle: the share of a voxel that each voxel of another grid covers.

All voxels of a target are one parallelepiped, put at different places among the voxels of the
source. What a voxel of the source covers of it depends on their offset alone, so that the shares
are worked out once, for offsets on a fine lattice, and interpolated between these.
"""

import dataclasses
import functools
import itertools
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, Float32, Float64, Int

from atlasinit.resampling.lookup import Lookup
from atlasinit.resampling.matrices import weigh

if TYPE_CHECKING:
    from scipy.sparse import csr_array

_CELLS = 110
"""Cells of the lattice an axis, over the voxel of the target and a voxel of the source."""

_STEPS = (4, 32)
"""Steps of the lattice in a voxel of the source, at least and at most."""

_LINES = (4, 64)
"""Lines through a cell, an axis, at least and at most: what is covered along each is exact."""

_ACROSS = 8
"""Lines through the thinnest side of the target's voxel, an axis, unless `_LINES` are too few."""


@dataclasses.dataclass(frozen=True, eq=False)
class Oblique:
    """The shares that the voxels of one grid have in those of another, at any angle.

    They differ from those of the exact volumes by some 1e-4 (1e-3 of thin voxels), and sum to 1 in
    each voxel. Voxels that are smaller than the source's cross a border of it within few steps of
    the lattice: of edges half as long they differ by 3e-3, of a tenth by 4e-2.

    Parameters
    ----------
    source
        The voxels of the source.
    matrix
        From voxel coordinates of the target to those of the source.
    """

    source: Lookup
    matrix: Float64[np.ndarray, "4 4"]

    @functools.cached_property
    def steps(self) -> int:
        """Number of steps of the lattice in a voxel of the source."""
        extent = np.abs(self.matrix[:3, :3]).sum(axis=1).max()
        return int(np.clip(_CELLS / (extent + 1), *_STEPS))

    @functools.cached_property
    def reach(self) -> Float64[np.ndarray, "3"]:
        """How far the target's voxel reaches from its centre along each axis, in whole steps."""
        half = np.abs(self.matrix[:3, :3]).sum(axis=1) / 2
        return np.ceil(half * self.steps) / self.steps

    @functools.cached_property
    def counts(self) -> tuple[int, int, int]:
        """Number of voxels of the source, an axis, that may have a share in a voxel."""
        x, y, z = np.ceil(2 * self.reach + 1).astype(int).tolist()
        return x, y, z

    @property
    def n_weights(self) -> int:
        """Number of weights of a target voxel."""
        return int(np.prod(self.counts))

    @functools.cached_property
    def shares(self) -> Float32[np.ndarray, "offsets corners"]:
        """The shares of the voxels around a centre, for all offsets of the lattice."""
        cells = _cover(self.matrix[:3, :3], self.reach, self.steps)
        for axis, count in enumerate(self.counts):
            cells = _sum_windows(cells, axis, self.steps, self.steps * count + 1)
        # Offset i along an axis, in steps, and the voxel k from the first: at i + k * steps.
        at = [
            (np.arange(self.steps + 1)[:, None] + self.steps * np.arange(n)).reshape(-1)
            for n in self.counts
        ]
        # (offset, voxel) of each axis become the offsets of all three, and then the voxels.
        sizes = [size for n in self.counts for size in (self.steps + 1, n)]
        split = cells[np.ix_(*at)].reshape(sizes).transpose(0, 2, 4, 1, 3, 5)
        return split.reshape((self.steps + 1) ** 3, -1).astype(np.float32)

    def find_weights(self, ijk: Int[np.ndarray, "targets 3"]) -> "csr_array":
        """Return the matrix (targets, sources) of some voxels of the target."""
        centres = ijk @ self.matrix[:3, :3].T + self.matrix[:3, 3]
        first = np.ceil(centres - self.reach - 0.5)
        offsets = (first + 0.5 - centres + self.reach) * self.steps
        low = np.clip(np.floor(offsets), 0, self.steps - 1).astype(np.int64)
        part = (offsets - low).clip(0, 1)
        weights = np.zeros((len(ijk), self.n_weights), np.float32)
        for corner in itertools.product((0, 1), repeat=3):
            row = np.ravel_multi_index(tuple((low + corner).T), (self.steps + 1,) * 3)
            share = np.where(corner, part, 1 - part).prod(axis=1).astype(np.float32)
            weights += share[:, None] * self.shares[row]
        around = np.array(list(np.ndindex(self.counts)))
        columns = self.source.find_locations(first.astype(np.int64)[:, None] + around)
        return weigh(columns, weights.astype(np.float64), self.source.grid.n_locations)


def _cover(
    edges: Float[np.ndarray, "3 3"], reach: Float[np.ndarray, "3"], steps: int
) -> Float64[np.ndarray, "x y z"]:
    """Return the share of a parallelepiped about the origin that lies in each cell of a lattice.

    Parameters
    ----------
    edges
        Its edges as columns, in voxels of the source.
    reach
        The lattice goes from ``-reach`` to ``reach``.
    steps
        Cells in a voxel of the source, an axis.
    """
    n = np.rint(2 * reach * steps).astype(int)
    x, y, z = ((np.arange(k) + 0.5) / steps - r for k, r in zip(n, reach, strict=True))
    # It lies between three pairs of planes, |normals @ p| <= 1 / 2.
    normals = np.linalg.inv(edges)
    cells = np.zeros(n)
    starts = z - 0.5 / steps
    thin = 1 / np.linalg.norm(normals, axis=1).max()
    n_lines = int(np.clip(np.ceil(_ACROSS / (thin * steps)), *_LINES))
    lines = ((np.arange(n_lines) + 0.5) / n_lines - 0.5) / steps
    for dx, dy in itertools.product(lines, repeat=2):
        # Along a line of the last axis each pair of planes leaves an interval.
        low, high = np.full((2, n[0], n[1]), [[[-np.inf]], [[np.inf]]])
        for a, b, c in normals:
            at = a * (x + dx)[:, None] + b * (y + dy)
            if abs(c) < 1e-9:
                low[np.abs(at) > 0.5] = np.inf
                continue
            ends = np.sort([(-0.5 - at) / c, (0.5 - at) / c], axis=0)
            low, high = np.maximum(low, ends[0]), np.minimum(high, ends[1])
        high = np.maximum(high, low)
        for sign, end in ((1, high), (-1, low)):
            cells += sign * np.clip(end[..., None] - starts, 0, 1 / steps)
    if cells.sum() < 0.5 * abs(np.linalg.det(edges)) * (steps * n_lines) ** 2:
        # Thinner than any line lies from another: nothing but its centre counts.
        cells = np.zeros(n)
        cells[tuple(slice(k // 2 - 1, k // 2 + 1) for k in n)] = 1
    return cells / cells.sum()


def _sum_windows(
    cells: Float[np.ndarray, "..."], axis: int, width: int, n: int
) -> Float[np.ndarray, "..."]:
    """Return the sums over windows along an axis, `n` of them, that start `width` before it."""
    pads = [(0, 0)] * cells.ndim
    pads[axis] = (width + 1, n + width)
    sums = np.cumsum(np.pad(cells, pads), axis=axis)
    first = np.take(sums, np.arange(n), axis=axis)
    return np.take(sums, np.arange(n) + width, axis=axis) - first
