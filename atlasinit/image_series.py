"""The parcel series of images as they are on disk or in memory, for a masker."""

import functools
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from atlasinit.core.atlas import Atlas
from atlasinit.core.geometry import VolumeGrid
from atlasinit.core.named_values import align_values
from atlasinit.errors import ArgumentError, ArgumentTypeError, format_list
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
        problem = f"should be an Atlas, or several, got {type(other).__name__}"
        raise ArgumentTypeError("atlas", problem)
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
        A sample mask that keeps no time point, confounds that hold NaN, and what nilearn raises.
    """
    cleaning = (detrend, standardize, low_pass, high_pass)
    if not any(cleaning) and confounds is None and sample_mask is None:
        return series
    from nilearn.signal import clean

    # Numbers that stay, or truths; of several runs a list of these.
    masks = sample_mask if isinstance(sample_mask, list | tuple) else [sample_mask]
    if not any(np.any(m) if np.asarray(m).dtype == bool else np.size(m) for m in masks):
        raise ArgumentError("sample_mask", f"keeps none of the {len(series)} time points")
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
