"""Which voxel each pixel of a slice shows."""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Bool, Real

from atlasinit.core.geometry import VolumeGrid

SIZE = 560
"""Pixels that the longest side of a slice has at the least, for thin lines between parcels."""

_MARGIN = 3
_WORLD = "xyz"


def slice_pixels(
    grid: VolumeGrid,
    labelled: Bool[np.ndarray, " locations"],
    *,
    background: Real[np.ndarray, "x y z"] | None,
    count: int,
    size: int = SIZE,
) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Yield slices as (title, location that each pixel shows, opacity of the background).

    Sagittal, coronal, axial, `count` each: the labelled voxels are divided along the axis
    into as many parts, and each part is shown in the slice that holds most of them. The
    grid's axes are turned to the nearest of the world's: anterior and superior to the
    right and up, the left on the left. Each voxel is a block of pixels, so many that the
    longest side has `size` of them or more.
    """
    order, signs = _axes_of(grid)
    volume = _turn(grid.locations, order, signs)
    is_labelled = _turn(grid.put(labelled), order, signs)
    under = np.zeros(volume.shape)
    if background is not None:
        # Below full opacity, so that the grey stays behind the parcels on a light and a dark page.
        image = np.nan_to_num(np.asarray(background, dtype=np.float64))
        under = _turn((0.85 * image / (image.max(initial=0) or 1)).clip(0, 1), order, signs)
    # Beyond the labelled voxels, what of the background is bright enough to be seen.
    box = _box(is_labelled | (under > 0.02))
    volume, is_labelled, under = volume[box], is_labelled[box], under[box]
    sizes = grid.voxel_sizes[order]
    blocks = np.maximum(np.round(_repeats(volume.shape, sizes, size)).astype(int), 1)
    for axis in range(3):
        across, up = (a for a in range(3) if a != axis)
        for index in _find_fullest(is_labelled, axis, count):
            # Transposed and flipped, since images have their first row at the top.
            shown, opacity = (
                np.repeat(np.repeat(v.take(index, axis), blocks[across], 0), blocks[up], 1).T[::-1]
                for v in (volume, under)
            )
            place = _position(grid, order, signs, axis=axis, index=index + box[axis].start)
            title = f"{_WORLD[axis]} = {place:g} mm".replace("-", "\N{MINUS SIGN}")
            yield title, shown, opacity


def _axes_of(grid: VolumeGrid) -> tuple[np.ndarray, np.ndarray]:
    """Return the grid's axis that is nearest to each of the world's, and its direction."""
    from scipy.optimize import linear_sum_assignment

    # Cosines between the world's axes (rows) and the grid's; each world axis gets another one.
    matrix = grid.affine[:3, :3] / grid.voxel_sizes
    _, order = linear_sum_assignment(-np.abs(matrix))
    return order, np.sign(matrix[np.arange(3), order]).astype(int)


def _turn(volume: np.ndarray, order: np.ndarray, signs: np.ndarray) -> np.ndarray:
    return volume.transpose(order)[tuple(slice(None, None, sign) for sign in signs.tolist())]


def _box(shown: np.ndarray) -> tuple[slice, ...]:
    """Return the part of the volume that is shown, with a margin."""
    box = []
    for axis, size in enumerate(shown.shape):
        others = tuple(a for a in range(3) if a != axis)
        kept = np.flatnonzero(shown.any(axis=others))
        first, last = (int(kept[0]), int(kept[-1])) if kept.size else (0, size - 1)
        box.append(slice(max(first - _MARGIN, 0), min(last + _MARGIN + 1, size)))
    return tuple(box)


def _repeats(shape: tuple[int, ...], sizes: np.ndarray, size: int) -> np.ndarray:
    """Return how many pixels a voxel takes along each axis, so that a mm takes as many on all."""
    # At least one for the smallest side of a voxel.
    per_mm = size / (np.array(shape) * sizes).max()
    return sizes * max(per_mm, 1 / sizes.min())


def _find_fullest(labelled: np.ndarray, axis: int, count: int) -> list[int]:
    """Return the slice with most labelled voxels of each of `count` parts of them."""
    others = tuple(a for a in range(3) if a != axis)
    filled = np.count_nonzero(labelled, axis=others)
    whole = filled.sum()
    if not whole:
        return [labelled.shape[axis] // 2]
    # The part that the middle of a slice's voxels falls into, counted from one end.
    part = ((np.cumsum(filled) - filled / 2) * count / whole).astype(int)
    found = [np.where(part == i, filled, -1) for i in range(count) if (part == i).any()]
    return [int(f.argmax()) for f in found]


def _position(
    grid: VolumeGrid, order: np.ndarray, signs: np.ndarray, *, axis: int, index: int
) -> float:
    """Return the world coordinate of a slice of the turned volume, at the grid's middle."""
    # Of an oblique grid a slice has many coordinates along a world's axis: that of its middle.
    voxel = (np.array(grid.shape) - 1) / 2
    own = order[axis]
    voxel[own] = index if signs[axis] > 0 else grid.shape[own] - 1 - index
    # Adding 0 makes 0 of -0, which would be shown with its sign.
    return round(float(grid.affine[axis, :3] @ voxel + grid.affine[axis, 3]), 1) + 0.0
