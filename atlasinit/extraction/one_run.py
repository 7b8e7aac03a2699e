"""One run and its atlases: the series of their parcels, and how much of each has data."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from atlasinit.core.atlas import Atlas
from atlasinit.core.geometry import VolumeGrid
from atlasinit.core.labels import numbered_labels
from atlasinit.core.maps import HardMaps, has_weight
from atlasinit.io import DataSource
from atlasinit.io.overlay.masks import read_mask
from atlasinit.projection.reductions import find_reduction
from atlasinit.sharing import View, open_shared
from atlasinit.smoothing import smoothing_operator
from atlasinit.streaming import stream, stream_views

_HELD = 2**30
"""Bytes of a run's data that are kept between two looks at it, else it is read twice."""

_SUSPECTS = 50_000
"""Locations that are followed one by one while the data are read: 0.1 GiB of 250 volumes."""


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

    def is_lost(self, averaging: Averaging) -> Bool[np.ndarray, " parcels"]:
        """Return which parcels have too little data, or none."""
        return (self.coverage < averaging.min_coverage) | (self.coverage == 0)


def extract_run(
    files: Sequence[Path],
    atlases: Sequence[Atlas],
    averaging: Averaging,
    *,
    mask: Path | None = None,
    data_space: str | None = None,
) -> list[Extracted]:
    """Return what each atlas has of one image, which is read once for all of them.

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
        What `atlasinit.sharing.open_shared` raises; a mask of another grid.
    AtlasFileError
        A file that cannot be read.
    """
    data: Any = files[0] if len(files) == 1 else tuple(files)
    how = {"reduction": averaging.reduction, "data_space": data_space}
    if averaging.smoothing_fwhm is not None:
        # What is smoothed ends where an atlas ends, so that each reads its own.
        found = []
        for atlas in atlases:
            source, views = open_shared(data, [atlas], **how)
            found.append(_extract_smoothed(source, views[0], averaging, mask))
        return found
    source, views = open_shared(data, atlases, **how)
    inside = _find_inside(views, source.n_locations, mask)
    reduction = averaging.reduction
    if source.sums is not None and find_reduction(reduction).of_sums:
        found = _look_once(source, views, inside, averaging)
        if found is not None:
            return found
    source = _hold(source)
    present = inside & _find_varying(source)
    series = stream_views(_restrict(views, present), source, reduction=reduction)
    return _finish(series, views, present, averaging)


def _look_once(
    source: DataSource,
    views: Sequence[View],
    inside: Bool[np.ndarray, " rows"],
    averaging: Averaging,
) -> list[Extracted] | None:
    """Return what one look at the data gives, None where it leaves a doubt.

    What is 0 in all volumes is 0 in the first one: those rows alone are followed while the others
    are summed. They nearly always are without data.
    """
    first = source.read(slice(0, 1))[:, 0]
    suspects = inside & ~(np.isfinite(first) & (first != 0))
    if suspects.sum() > _SUSPECTS:
        return None
    present = inside & ~suspects
    at = np.flatnonzero(suspects)
    followed = [_follow(at)] if at.size else []
    kept = _restrict(views, present)
    series = stream_views([*kept, *followed], source, reduction=averaging.reduction)
    if any(((own != 0) & np.isfinite(own)).any() for own in series[len(kept) :]):
        return None
    found = _finish(series[: len(kept)], views, present, averaging)
    # A parcel with data is finite unless some of them are not, behind the first volume.
    doubtful = any(not np.isfinite(one.series[:, ~one.is_lost(averaging)]).all() for one in found)
    return None if doubtful else found


def _follow(rows: Int[np.ndarray, " rows"]) -> View:
    """Return an atlas of a parcel for each of some rows of data."""
    atlas = Atlas(
        name="rows",
        space="unknown",
        maps={"volume": HardMaps(np.arange(rows.size, dtype=np.int32), rows.size)},
        geometry={"volume": VolumeGrid((rows.size, 1, 1), np.eye(4))},
        labels=numbered_labels({"volume": rows.size}),
    )
    return View(atlas, rows)


def _restrict(views: Sequence[View], present: Bool[np.ndarray, " rows"]) -> list[View]:
    """Return atlases of the rows that are present alone, with all their parcels."""
    found = []
    for view in views:
        rows = np.arange(present.size) if view.rows is None else view.rows
        keep = present[rows]
        maps, geometry = {}, {}
        for c, part in view.atlas.location_slices().items():
            own = np.flatnonzero(keep[part])
            maps[c] = view.atlas.maps[c].take_locations(own)
            geometry[c] = view.atlas.geometry[c].restrict(own)
        atlas = view.atlas.replace(maps=maps, geometry=geometry)
        found.append(View(atlas, rows[keep]))
    return found


def _finish(
    series: Sequence[np.ndarray],
    views: Sequence[View],
    present: Bool[np.ndarray, " rows"],
    averaging: Averaging,
) -> list[Extracted]:
    found = []
    for own, view in zip(series, views, strict=True):
        one = Extracted(own, view.atlas.coverage(view.take(present)).to_numpy())
        few = one.is_lost(averaging)
        found.append(Extracted(np.where(few, np.asarray(np.nan, own.dtype), own), one.coverage))
    return found


def _extract_smoothed(
    source: DataSource, view: View, averaging: Averaging, mask: Path | None
) -> Extracted:
    atlas = view.atlas
    source = _hold(source)
    inside = _find_inside([view], source.n_locations, mask, weighted=False)
    present = inside & _find_varying(source)

    def read(span: slice) -> np.ndarray:
        values = source.read(span)
        return np.where(present[:, None], values, np.asarray(np.nan, values.dtype))

    series = stream(
        atlas,
        source.read_by(read),
        reduction=averaging.reduction,
        missing="omit",
        smoothers=[
            smoothing_operator(g, fwhm=averaging.smoothing_fwhm) for g in atlas.geometry.values()
        ],
    )
    return _finish([series], [view], present, averaging)[0]


def _hold(source: DataSource) -> DataSource:
    """Return the data in memory, where they are not too many, to look at them twice."""
    if 4 * source.n_locations * source.n_time > _HELD:
        return source
    values = source.all()
    return source.read_by(lambda span: values[:, span])


def _find_inside(
    views: Sequence[View], n_rows: int, mask: Path | None, *, weighted: bool = True
) -> Bool[np.ndarray, " rows"]:
    """Return which rows some atlas wants, and that lie in the mask, which is for voxels."""
    found = np.zeros(n_rows, bool)
    every = [geometry for view in views for geometry in view.atlas.geometry.values()]
    kept = None
    if mask is not None and any(isinstance(geometry, VolumeGrid) for geometry in every):
        kept = read_mask(mask)
    for view in views:
        parts = []
        for c, geometry in view.atlas.geometry.items():
            own = np.ones(geometry.n_locations, bool)
            if weighted:
                own &= has_weight(view.atlas.maps[c])
            if kept is not None and isinstance(geometry, VolumeGrid):
                own &= np.isin(geometry.voxels, read_mask(kept, grid=geometry).voxels)
            parts.append(own)
        rows = slice(None) if view.rows is None else view.rows
        found[rows] |= np.concatenate(parts)
    return found


def _find_varying(source: DataSource) -> Bool[np.ndarray, " rows"]:
    """Return which rows are finite in all volumes and not 0 in all."""
    finite = np.ones(source.n_locations, bool)
    some = np.zeros(source.n_locations, bool)
    length = max(1, 2**26 // max(1, source.n_locations))
    for start in range(0, source.n_time, length):
        values = source.read(slice(start, min(start + length, source.n_time)))
        finite &= np.isfinite(values).all(axis=1)
        some |= (values != 0).any(axis=1)
    return finite & some
