"""Which voxel each pixel of a slice shows, and what lies behind it."""

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Float, Int

from atlasinit.core.geometry import VolumeGrid
from atlasinit.figures.backdrops import Backdrop, find_ends
from atlasinit.figures.palettes import GREY
from atlasinit.figures.positions import choose_slices

SIZE = 560
"""Pixels that the longest side of a slice has at the least, for thin lines between parcels."""

_MARGIN = 3
PLANES = ("sagittal", "coronal", "axial")
"""By the axis that they cut."""

_WORLD = "xyz"
_ENDS = (("P", "A"), ("L", "R"), ("L", "R"))
_DARKEST, _BRIGHTEST = 0.25, 0.85
"""Of what lies behind: told from a dark and from a light page."""

_EDGE = 0.15
"""Brightness of an image below which it fades into the page."""

_INSIDE, _OUTLINE = 0.12, 0.8
"""Opacity of the voxels of a mask, and of the line around them."""

_LINE = 2
"""Pixels of a line, which are one once they are painted."""


@dataclasses.dataclass(frozen=True, eq=False)
class Slice:
    """What the pixels of one slice show.

    Parameters
    ----------
    title
        As ``"z = 8 mm"``; of a sagittal slice with its side, ``"x = -24 mm, left"``.
    ends
        What lies at the left and at the right of the picture, ``("L", "R")`` or
        ``("P", "A")``.
    locations
        The location of each pixel, -1 for none.
    grey
        Brightness of what lies behind.
    opacity
        Of what lies behind.
    """

    title: str
    ends: tuple[str, str]
    locations: np.ndarray
    grey: np.ndarray
    opacity: np.ndarray


def slice_pixels(
    grid: VolumeGrid,
    labels: Int[np.ndarray, " locations"],
    n_parcels: int,
    *,
    backdrop: Backdrop | None,
    count: int,
    most: int = 0,
    size: int = SIZE,
    planes: Sequence[str] = PLANES,
) -> Iterator[Slice]:
    """Yield slices of the planes, `count` each and more until `most`.

    Where they lie, `choose_slices` says. The grid's axes are turned to the nearest of the
    world's: anterior and superior to the right and up, the left on the left. A mm takes as
    many pixels across as up, and the longest side has `size` of them or more. Behind the
    parcels is the backdrop, else the outline of the voxels that the grid keeps.
    """
    order, signs = _axes_of(grid)
    volume = _turn(grid.locations, order, signs)
    shown = np.append(labels, -1)[volume]
    affine = grid.affine @ _turning(grid, order, signs)
    low, high = _frame(volume, shown, affine, backdrop)
    sizes = grid.voxel_sizes[order]
    # At least one for the smallest side of a voxel; even, as each four are painted as one.
    per_mm = max(size / ((high - low) * sizes).max(), 1 / sizes.min())
    pixels = np.maximum(np.ceil((high - low) * sizes * per_mm / 2).astype(int), 1) * 2
    # Where the centres of the pixels lie, in voxels: -0.5 is the outer side of the first.
    centres = [
        low[a] + (np.arange(n) + 0.5) / n * (high[a] - low[a]) - 0.5 for a, n in enumerate(pixels)
    ]
    chosen = sorted({PLANES.index(plane) for plane in planes})
    for axis, index in choose_slices(shown, n_parcels, count=count, most=most, axes=chosen):
        across, up = (a for a in range(3) if a != axis)
        plane = _pad(volume.take(index, axis), centres[across], centres[up])
        at = [np.empty(0)] * 3
        # Half as many pixels as there are locations: nobody sees more of what lies behind.
        at[across], at[up] = (centres[a].reshape(-1, 2).mean(axis=1) for a in (across, up))
        at[axis] = np.array([float(index)])
        if backdrop is None:
            grey, opacity = np.full(plane.shape, GREY), _outline(plane >= 0, grid)
        else:
            grey, opacity = _behind(backdrop, affine, at)
        x = _position(affine, volume.shape, axis=axis, index=index)
        title = f"{_WORLD[axis]} = {x:g} mm".replace("-", "\N{MINUS SIGN}")
        if axis == 0 and x:
            title += ", left" if x < 0 else ", right"
        # Transposed and flipped, since images have their first row at the top.
        yield Slice(title, _ENDS[axis], plane.T[::-1], grey.T[::-1], opacity.T[::-1])


def _axes_of(grid: VolumeGrid) -> tuple[np.ndarray, np.ndarray]:
    """Return the grid's axis that is nearest to each of the world's, and its direction."""
    from scipy.optimize import linear_sum_assignment

    # Cosines between the world's axes (rows) and the grid's; each world axis gets another one.
    matrix = grid.affine[:3, :3] / grid.voxel_sizes
    _, order = linear_sum_assignment(-np.abs(matrix))
    return order, np.sign(matrix[np.arange(3), order]).astype(int)


def _turn(volume: np.ndarray, order: np.ndarray, signs: np.ndarray) -> np.ndarray:
    return volume.transpose(order)[tuple(slice(None, None, sign) for sign in signs.tolist())]


def _turning(grid: VolumeGrid, order: np.ndarray, signs: np.ndarray) -> Float[np.ndarray, "4 4"]:
    """Return the matrix from indices of the turned volume to those of the grid."""
    matrix = np.zeros((4, 4))
    matrix[3, 3] = 1
    for world, (own, sign) in enumerate(zip(order, signs, strict=True)):
        matrix[own, world] = sign
        matrix[own, 3] = 0 if sign > 0 else grid.shape[own] - 1
    return matrix


def _frame(
    volume: np.ndarray, shown: np.ndarray, affine: np.ndarray, backdrop: Backdrop | None
) -> tuple[np.ndarray, np.ndarray]:
    """Return the ends of what is shown, in voxels of the turned volume, the last one excluded."""
    inside = shown >= 0
    kept = volume >= 0
    # The mask is drawn where it says something, and then is in the picture whole.
    if not kept.all():
        inside |= kept
    low, high = find_ends(inside)
    low, high = np.maximum(low - _MARGIN, 0), np.minimum(high + _MARGIN, inside.shape)
    # The backdrop may reach beyond the grid.
    return (low, high) if backdrop is None else backdrop.widen(affine, low, high)


def _pad(plane: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Return the values of a plane at positions of its rows and columns, -1 beyond it."""
    padded = np.pad(plane, 1, constant_values=-1)
    found = [
        np.clip(np.round(at).astype(int), -1, size) + 1
        for at, size in zip((rows, columns), plane.shape, strict=True)
    ]
    return padded[np.ix_(*found)]


def _behind(
    backdrop: Backdrop, affine: np.ndarray, at: list[np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Return brightness and opacity of the backdrop at positions of the turned volume."""
    found = np.repeat(np.repeat(backdrop.plane(affine, at), 2, axis=0), 2, axis=1)
    return _DARKEST + (_BRIGHTEST - _DARKEST) * found, (found / _EDGE).clip(0, 1)


def _outline(kept: np.ndarray, grid: VolumeGrid) -> np.ndarray:
    """Return the opacity of a mask and its outline; nothing for a grid that keeps all voxels."""
    from scipy.ndimage import binary_erosion

    if grid.n_locations == np.prod(grid.shape):
        return np.zeros(kept.shape)
    inner = binary_erosion(kept, iterations=_LINE)
    return np.where(inner, _INSIDE, np.where(kept, _OUTLINE, 0.0))


def _position(affine: np.ndarray, shape: tuple[int, ...], *, axis: int, index: int) -> float:
    """Return the world coordinate of a slice of the turned volume, at the grid's middle."""
    # Of an oblique grid a slice has many coordinates along a world's axis: that of its middle.
    voxel = (np.array(shape) - 1) / 2
    voxel[axis] = index
    # Adding 0 makes 0 of -0, which would be shown with its sign.
    return round(float(affine[axis, :3] @ voxel + affine[axis, 3]), 1) + 0.0
