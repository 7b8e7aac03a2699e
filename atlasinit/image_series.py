"""The parcel series of images as they are on disk or in memory, for a masker."""

import functools
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from atlasinit.core.atlas import Atlas
from atlasinit.core.checking import tell_no_atlas
from atlasinit.core.geometry import VolumeGrid
from atlasinit.core.named_values import align_values
from atlasinit.errors import ArgumentError, format_list
from atlasinit.io import DataSource
from atlasinit.io.files import existing
from atlasinit.io.formats.nifti_writing import image_of
from atlasinit.io.surface_images import image_of_meshes
from atlasinit.projection.painting import paint_locations
from atlasinit.sampling.data import open_sampled
from atlasinit.sharing import View, open_shared
from atlasinit.streaming import stream, stream_views


def list_images(imgs: Any) -> list | None:
    """Return the images of a list, None for one image."""
    # scikit-learn cuts a table's column of paths, or an array of them, into the same again.
    # Of kind "O" or "U": an array of numbers is data, (locations, time).
    of_objects = getattr(getattr(imgs, "dtype", None), "kind", "") in ("O", "U")
    if not isinstance(imgs, list) and not (of_objects and np.ndim(imgs) == 1):
        return None
    if not len(imgs):
        raise ArgumentError("imgs", "is empty", "pass at least one image")
    return list(imgs)


def name_atlases(given: Any) -> dict[str, Atlas]:
    """Return the atlases of a masker by their names."""
    if isinstance(given, Atlas):
        return {given.name: given}
    several = isinstance(given, Mapping | Sequence) and not isinstance(given, str)
    values: list[Any] = [given]
    if several:
        values = list(given.values()) if isinstance(given, Mapping) else list(given)
    atlases = [value for value in values if isinstance(value, Atlas)]
    if len(atlases) < len(values):
        other = next(value for value in values if not isinstance(value, Atlas))
        raise tell_no_atlas(other, "atlas", "an Atlas, or several")
    if not atlases:
        raise ArgumentError("atlas", "should hold at least one atlas, got none")
    names = list(given) if isinstance(given, Mapping) else [atlas.name for atlas in atlases]
    if len(set(names)) < len(names):
        raise ArgumentError(
            "atlas",
            f"should hold atlases of different names, got {format_list(names)}",
            "pass a mapping from names that you choose",
        )
    return dict(zip(names, atlases, strict=True))


def paint(atlas: Atlas, signals: Any, *, average: bool, surface_image: bool) -> Any:
    """Return parcel series on the locations of an atlas, as `AtlasMasker.inverse_transform`."""
    values = align_values(signals, atlas.table, argument="signals", parcels_last=True).array
    painted = paint_locations(atlas, values, average=average)
    if surface_image:
        return image_of_meshes(atlas.geometry, painted)
    # An image has one grid: with surfaces or a second grid beside it, a dictionary.
    grid, *others = atlas.geometry.values()
    if isinstance(grid, VolumeGrid) and not others:
        return image_of(grid, next(iter(painted.values())), atlas.space)
    return painted


def open_image(
    img: Any, atlases: list[Atlas], reduction: Any, space: str | None, sampling: Any
) -> tuple[DataSource, list[View]]:
    """Return an image as a source of data, of which there has to be some."""
    options: dict[str, Any] = {"reduction": reduction, "data_space": space}
    if sampling is not None:
        options["opener"] = functools.partial(open_sampled, operators=sampling)
    source, views = open_shared(img, atlases, **options)
    if source.n_time == 0:
        raise ArgumentError("imgs", "holds an image without a time point", "pass at least one")
    return source, views


def stamp_files(img: Any) -> Any:
    """Return when the files of an image were written and their sizes: their names may stay."""
    # For joblib a path is a text, the same whatever the file holds.
    if isinstance(img, str | os.PathLike):
        found = existing(img).stat()
        return found.st_mtime_ns, found.st_size
    # None of what is in memory, whose values joblib hashes itself.
    if isinstance(img, Mapping):
        img = list(img.values())
    return [stamp_files(part) for part in img] if isinstance(img, list | tuple) else None


def read_series(
    img: Any,
    written: Any,
    atlases: list[Atlas],
    reduction: Any,
    missing: str,
    min_coverage: float,
    fwhm: float | None,
    space: str | None,
    sampling: Any,
    smoothers: Any,
) -> list[Float[np.ndarray, "time parcels"]]:
    """Return the raw series of one image, of each atlas.

    `written` tells its files from others of their names, and `fwhm` is what the smoothers
    were made with.
    """
    del written
    options = {"reduction": reduction, "missing": missing, "min_coverage": min_coverage}
    if fwhm is None:
        source, views = open_image(img, atlases, reduction, space, sampling)
        return stream_views(views, source, **options)
    found = []
    # What is smoothed ends where an atlas ends, so that each reads its own.
    for atlas, own in zip(atlases, smoothers, strict=True):
        source, _ = open_image(img, [atlas], reduction, space, sampling)
        if source.labelled:
            raise ArgumentError(
                "smoothing_fwhm",
                f": {source.labelled} holds labels, between which there is nothing",
                "leave them unsmoothed",
            )
        found.append(stream(atlas, source, smoothers=own, **options))
    return found


def clean_series(
    series: Float[np.ndarray, "time parcels"],
    confounds: Any,
    sample_mask: Any,
    *,
    detrend: bool,
    standardize: bool | str | None,
    low_pass: float | None,
    high_pass: float | None,
    t_r: float | None,
) -> Float[np.ndarray, "kept parcels"]:
    """Return series cleaned by ``nilearn.signal.clean``, as they are where nothing is asked for.

    Raises
    ------
    ValueError
        A sample mask that keeps no time point, or is not of them; confounds that have another
        number of rows than there are time points, or hold NaN; and what nilearn raises.
    """
    cleaning = (detrend, standardize, low_pass, high_pass)
    if not any(cleaning) and confounds is None and sample_mask is None:
        return series
    from nilearn.signal import clean

    sample_mask = _check_mask(sample_mask, len(series))
    _check_rows(confounds, len(series))
    try:
        return clean(
            series,
            detrend=detrend,
            standardize=standardize,
            sample_mask=sample_mask,
            confounds=confounds,
            low_pass=low_pass,
            high_pass=high_pass,
            t_r=t_r,
        )
    except ValueError as error:
        # nilearn's own words, the only sign of what it refused.
        if confounds is None or "NaN" not in str(error):
            raise
        raise ArgumentError(
            "confounds",
            "should be finite, but hold NaN, as the first row of fMRIPrep's tables does",
            "fill it, as by `table.fillna(0)`, or take what "
            "`nilearn.interfaces.fmriprep.load_confounds` returns",
        ) from error


def _check_mask(given: Any, n_time: int) -> np.ndarray | None:
    """Return a sample mask as an array of whole numbers or truths; nilearn wants no other list."""
    if given is None:
        return None
    # nilearn's is a list where there are several runs, each of its own: here is one.
    several: Any = given if isinstance(given, list | tuple) else ()
    runs = any(np.ndim(one) for one in several)
    if runs and len(several) > 1:
        problem = f"holds {len(several)} masks for one image"
        raise ArgumentError("sample_mask", problem, "pass the images as a list, too")
    mask = np.asarray(several[0] if runs else given)
    if mask.ndim != 1 or (mask.size and mask.dtype.kind not in "iub"):
        raise ArgumentError(
            "sample_mask",
            f"should be the numbers of the time points to keep, or a truth for each of the "
            f"{n_time}, got shape {mask.shape} of {mask.dtype}",
        )
    truths = mask.dtype == bool
    if truths and mask.size != n_time:
        problem = f"has {mask.size} truths for {n_time} time points"
        raise ArgumentError("sample_mask", problem)
    if not (mask.any() if truths else mask.size):
        raise ArgumentError("sample_mask", f"keeps none of the {n_time} time points")
    beyond = [] if truths else mask[(mask < 0) | (mask >= n_time)].tolist()
    if beyond:
        raise ArgumentError(
            "sample_mask",
            f"should be of the {n_time} time points, from 0 to {n_time - 1}, got "
            f"{format_list(beyond, 5)}",
        )
    return mask


def _check_rows(confounds: Any, n_time: int) -> None:
    """Refuse confounds of another run, with or without those of volumes that were dropped."""
    each: Any = confounds if isinstance(confounds, list | tuple) else [confounds]
    for one in each:
        # None of a path, whose table nilearn reads.
        rows = n_time if np.ndim(one) == 0 else len(one)
        if rows != n_time:
            raise ArgumentError(
                "confounds",
                f"should have a row for each of the {n_time} time points, got {rows}",
                "pass those of all volumes: `sample_mask` drops theirs too",
            )
