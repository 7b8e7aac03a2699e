"""The voxels of a view: rows of parcels, and what lies behind them in grey."""

import dataclasses
import math

import numpy as np
from jaxtyping import Float64, UInt8, UInt16

from atlasinit.core.atlas import Atlas
from atlasinit.core.geometry import VolumeGrid
from atlasinit.errors import ArgumentError
from atlasinit.figures.backdrops import Backdrop, Background, find_backdrop, find_ends
from atlasinit.viewer.rows import place_rows

_MOST = 2**26
"""Voxels of a picture that a browser holds, some of them several times over."""

_MARGIN = 3
_MASK = 70
"""Brightness of the voxels that a grid keeps, where no image lies behind them."""


@dataclasses.dataclass(frozen=True, eq=False)
class VolumeView:
    """Voxels of a box with the parcels of a compartment.

    Parameters
    ----------
    compartment
        Whose parcels.
    rows
        (x, y, z) the row of each voxel's parcel in the table from 1, 0 for none.
    affine
        (4, 4) matrix from voxel indices to world millimetres.
    grey
        (x, y, z) brightness of what lies behind: of the first, as the page has one image behind
        all; else None.
    """

    compartment: str
    rows: UInt16[np.ndarray, "x y z"]
    affine: Float64[np.ndarray, "4 4"]
    grey: UInt8[np.ndarray, "x y z"] | None


def view_volumes(atlas: Atlas, background: Background) -> list[VolumeView]:
    """Return the voxels of each compartment that lies on a grid.

    Parcels stay on their own voxels; the image behind is brought to these, in a box that holds
    both. Without an image the mask is seen, where the grid keeps some voxels alone.

    Raises
    ------
    ValueError
        A `background` of another shape than the atlas's only grid, a box of too many voxels.
    """
    found = []
    for compartment, grid in atlas.geometry.items():
        if not isinstance(grid, VolumeGrid):
            continue
        volume = place_rows(atlas, compartment)
        backdrop = find_backdrop(atlas, background, grid)
        # The mask says something where the grid keeps some voxels alone.
        masked = background is not False and grid.n_locations < math.prod(grid.shape)
        low, high = _box(grid, volume, backdrop, masked=masked)
        affine = np.array(grid.affine, np.float64)
        affine[:3, 3] += affine[:3, :3] @ low
        if found:
            grey = None
        elif backdrop is not None:
            grey = _slice_backdrop(backdrop, affine, tuple((high - low).tolist()))
        elif masked:
            grey = _cut((grid.locations >= 0) * np.uint8(_MASK), low, high)
        else:
            grey = np.zeros(high - low, np.uint8)
        found.append(VolumeView(compartment, _cut(volume, low, high), affine, grey))
    return found


def _box(
    grid: VolumeGrid, volume: np.ndarray, backdrop: Backdrop | None, *, masked: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Return the first voxel that is shown and the one after the last; both may lie outside."""
    inside = volume > 0
    if masked:
        inside |= grid.locations >= 0
    low, high = find_ends(inside)
    low, high = low - _MARGIN, high + _MARGIN
    if backdrop is not None:
        low, high = (end.astype(int) for end in backdrop.widen(grid.affine, low, high))
    count = int(np.prod((high - low).astype(float)))
    if count > _MOST:
        raise ArgumentError(
            "atlas",
            f"has parcels and a background in a box of {count:,} voxels, of which a browser "
            f"shows {_MOST:,}",
            "pass background=False, or resample the atlas to larger voxels"
            if backdrop is not None
            else "resample it to larger voxels",
        )
    return low, high


def _cut(volume: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Return a box of a volume, 0 beyond it."""
    out = np.zeros(high - low, volume.dtype)
    first, last = np.maximum(low, 0), np.minimum(high, volume.shape)
    own = tuple(slice(a, b) for a, b in zip(first, last, strict=True))
    out[tuple(slice(a, b) for a, b in zip(first - low, last - low, strict=True))] = volume[own]
    return out


def _slice_backdrop(
    backdrop: Backdrop, affine: np.ndarray, shape: tuple[int, ...]
) -> UInt8[np.ndarray, "x y z"]:
    out = np.empty(shape, np.uint8)
    x, y = np.arange(shape[0], dtype=float), np.arange(shape[1], dtype=float)
    for k in range(shape[2]):
        out[:, :, k] = np.round(255 * backdrop.plane(affine, (x, y, np.array([float(k)]))))
    return out
