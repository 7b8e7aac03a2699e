"""One run and its atlases: the series of their parcels, and how much of each has data."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from atlasinit.core.atlas import Atlas
from atlasinit.core.geometry import VolumeGrid
from atlasinit.io import DataSource, open_data
from atlasinit.io.overlay.masks import read_mask
from atlasinit.projection import coverage
from atlasinit.smoothing import smoothing_operator
from atlasinit.streaming import stream

_HELD = 2**30
"""Bytes of a run's data that are kept between the two looks at it, else it is read twice."""


@dataclasses.dataclass(frozen=True)
class Averaging:
    """How parcels are made of their locations, as `atlasinit.extract` says."""

    reduction: str = "mean"
    min_coverage: float = 0.5
    smoothing_fwhm: float | None = None


@dataclasses.dataclass(frozen=True, eq=False)
class Extracted:
    """The parcels of one atlas in one run.

    Parameters
    ----------
    series
        (time, parcels), NaN for a parcel of too little coverage.
    coverage
        (parcels,) share of each parcel's weight at locations with data.
    """

    series: Float[np.ndarray, "time parcels"]
    coverage: Float[np.ndarray, " parcels"]


def extract_run(
    files: Sequence[Path],
    atlases: Sequence[Atlas],
    averaging: Averaging,
    *,
    mask: Path | None = None,
    data_space: str | None = None,
) -> list[Extracted]:
    """Return what each atlas has of one image.

    A location has data where it lies inside the mask, and its values are finite in every volume
    and not 0 in all; the others are left out, and weights rescaled, as ``missing="omit"``.

    Parameters
    ----------
    files
        One, or one for each hemisphere.
    atlases
        Each in the space of the image.
    averaging
        What parcels are made of.
    mask
        Of the brain, for volumes.
    data_space
        The space of the image, whatever its name says.

    Raises
    ------
    ValueError
        What `atlasinit.io.open_data` raises; a mask of another grid.
    AtlasFileError
        A file that cannot be read.
    """
    return [_extract(files, atlas, averaging, mask, data_space) for atlas in atlases]


def _extract(
    files: Sequence[Path],
    atlas: Atlas,
    averaging: Averaging,
    mask: Path | None,
    space: str | None,
) -> Extracted:
    data: Any = files[0] if len(files) == 1 else tuple(files)
    source = open_data(data, atlas, reduction=averaging.reduction, data_space=space)
    if 4 * source.n_locations * source.n_time <= _HELD:
        source = _hold(source)
    present = _find_inside(atlas, mask) & _find_varying(source)
    share = coverage(atlas, np.where(present, 1, np.nan).astype(np.float32)[:, None])
    smoothers = None
    if averaging.smoothing_fwhm is not None:
        smoothers = [
            smoothing_operator(g, fwhm=averaging.smoothing_fwhm) for g in atlas.geometry.values()
        ]

    def read(span: slice) -> np.ndarray:
        values = source.read(span)
        # What was held, or a view of a file, stays as it is.
        return np.where(present[:, None], values, np.asarray(np.nan, values.dtype))

    series = stream(
        atlas,
        dataclasses.replace(source, read=read, sums=None),
        reduction=averaging.reduction,
        missing="omit",
        min_coverage=averaging.min_coverage,
        smoothers=smoothers,
    )
    return Extracted(series, np.asarray(share)[:, 0])


def _hold(source: DataSource) -> DataSource:
    values = source.all()
    return dataclasses.replace(source, read=lambda span: values[:, span])


def _find_inside(atlas: Atlas, mask: Path | None) -> Bool[np.ndarray, " locations"]:
    """Return which locations of an atlas lie in a mask, which is for its voxels alone."""
    if mask is None:
        return np.ones(atlas.n_locations, bool)
    parts = []
    for geometry in atlas.geometry.values():
        if isinstance(geometry, VolumeGrid):
            kept = read_mask(mask, grid=geometry).voxels
            parts.append(np.isin(geometry.voxels, kept))
        else:
            parts.append(np.ones(geometry.n_locations, bool))
    return np.concatenate(parts)


def _find_varying(source: DataSource) -> Bool[np.ndarray, " locations"]:
    """Return which locations are finite in all volumes and not 0 in all."""
    finite = np.ones(source.n_locations, bool)
    some = np.zeros(source.n_locations, bool)
    length = max(1, 2**26 // max(1, source.n_locations))
    for start in range(0, source.n_time, length):
        values = source.read(slice(start, min(start + length, source.n_time)))
        finite &= np.isfinite(values).all(axis=1)
        some |= (values != 0).any(axis=1)
    return finite & some
