"""Where a grid is cut, so that the slices show as many parcels as they can."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int

_APART = 0.5
"""Least distance of two slices of a plane, as a share of the part of the brain each stands for."""


def choose_slices(
    labels: Int[np.ndarray, "x y z"],
    n_parcels: int,
    *,
    count: int,
    most: int = 0,
    axes: Sequence[int] = (0, 1, 2),
) -> list[tuple[int, int]]:
    """Return (axis, index) of slices through a volume of labels (-1 for none), in order.

    The labelled extent of each of `axes` is divided into `count` parts of one length, and each
    part has a slice, so that slices reach from one end of the brain to the other. They are
    taken one after the other, each where it adds most to how well the parcels are seen: the
    sum over parcels of the largest cut through it as a share of its largest possible along
    that axis. Two slices of a plane lie half a part or more from each other, where labelled
    voxels allow it. Where parcels are cut by none of these, slices are added until `most`,
    those first that show most of the parcels left.
    """
    counts = [_count_voxels(labels, axis, n_parcels) for axis in range(3)]
    shares = [c / np.maximum(c.max(axis=1, keepdims=True), 1) for c in counts]
    seen = np.zeros(n_parcels)
    chosen: list[tuple[int, int]] = []
    left = [(axis, part) for axis in axes for part in _parts(counts[axis], count)]
    while left:
        # The place of each part, by what it adds, and then by how full and central it is.
        found = []
        for axis, part in left:
            taken = [index for a, index in chosen if a == axis]
            index = _find_best(shares[axis], counts[axis], part, seen=seen, taken=taken)
            found.append((np.maximum(shares[axis][:, index] - seen, 0).sum(), axis, part, index))
        best = max(range(len(found)), key=lambda i: found[i][0])
        _, axis, part, index = found[best]
        left.remove((axis, part))
        chosen.append((axis, index))
        seen = np.maximum(seen, shares[axis][:, index])
    exists = np.any([c.any(axis=1) for c in counts], axis=0)
    missed = exists & (seen == 0)
    while missed.any() and len(chosen) < most:
        gains = {axis: shares[axis][missed].sum(axis=0) for axis in axes}
        axis = max(gains, key=lambda axis: gains[axis].max())
        index = int(gains[axis].argmax())
        chosen.append((axis, index))
        missed &= counts[axis][:, index] == 0
    return sorted(chosen)


def _count_voxels(
    labels: Int[np.ndarray, "x y z"], axis: int, n_parcels: int
) -> Int[np.ndarray, "parcels slices"]:
    n = labels.shape[axis]
    where = np.nonzero(labels >= 0)
    index = labels[where].astype(np.int64) * n + where[axis]
    return np.bincount(index, minlength=n_parcels * n).reshape(n_parcels, n)


def _parts(counts: Int[np.ndarray, "parcels slices"], count: int) -> list[tuple[float, float]]:
    """Return the ends of the parts of an axis that hold labelled voxels, in slices."""
    filled = np.flatnonzero(counts.any(axis=0))
    if not filled.size:
        middle = float(counts.shape[1] // 2)
        return [(middle, middle + 1)]
    # No more parts than there are slices.
    n = min(count, int(filled[-1] - filled[0]) + 1)
    edges = np.linspace(filled[0], filled[-1] + 1, n + 1)
    return [
        (low, high)
        for low, high in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True)
        if ((filled >= np.floor(low)) & (filled < high)).any()
    ]


def _find_best(
    shares: Float[np.ndarray, "parcels slices"],
    counts: Int[np.ndarray, "parcels slices"],
    part: tuple[float, float],
    *,
    seen: Float[np.ndarray, " parcels"],
    taken: list[int],
) -> int:
    low, high = part
    inside = np.arange(int(low), max(int(np.ceil(high)), int(low) + 1))
    filled = counts[:, inside].sum(axis=0)
    far = np.ones(inside.size, bool)
    for index in taken:
        far &= np.abs(inside - index) >= max(_APART * (high - low), 1)
    allowed = far & (filled > 0)
    inside = inside[allowed] if allowed.any() else inside[filled > 0] if filled.any() else inside
    gains = np.maximum(shares[:, inside] - seen[:, None], 0).sum(axis=0).round(9)
    central = -np.abs(inside + 0.5 - (low + high) / 2)
    # The last key counts most; of equals the first slice is taken.
    return int(inside[np.lexsort((-inside, central, counts[:, inside].sum(axis=0), gains))[-1]])
