"""Parcel series of images as a scikit-learn estimator, in nilearn's manner."""

import os
from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float
from sklearn import get_config
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from atlasinit.core.atlas import Atlas
from atlasinit.core.geometry import VolumeGrid
from atlasinit.core.named_values import align_values
from atlasinit.errors import ArgumentError, ArgumentTypeError
from atlasinit.io import DataSource, open_data
from atlasinit.io.files import existing
from atlasinit.io.formats.nifti_writing import image_of
from atlasinit.io.surface_images import image_of_meshes
from atlasinit.projection.checks import check_options
from atlasinit.projection.painting import paint_locations
from atlasinit.projection.reductions import find_reduction
from atlasinit.report import Report, generate_report
from atlasinit.report.cleaning import describe_confounds, read_sample_mask
from atlasinit.smoothing import smoothing_operator
from atlasinit.streaming import stream


class AtlasMasker(TransformerMixin, BaseEstimator):
    """Extract one time series per parcel from images, and paint series back.

    In the manner of ``nilearn.maskers.NiftiLabelsMasker``: with a hard atlas and
    ``reduction="mean"`` it computes what that and ``SurfaceLabelsMasker`` compute,
    with ``"lstsq"`` what the maps maskers do. Images on another grid or mesh than the
    atlas's are refused, never resampled. Long images are read in chunks of time
    of at most 256 MiB.

    Parameters
    ----------
    atlas
        The atlas.
    reduction, missing, min_coverage
        As for `atlasinit.project`; not those over time (``zscore``,
        ``psc``), which are `standardize` here.
    smoothing_fwhm
        Full width at half maximum in mm of a Gaussian that the data is smoothed with first,
        within each compartment; no value of a location that the atlas does not keep enters.
        NaN reaches as far as the Gaussian does, or with ``missing="omit"`` has no weight in it.
    standardize, detrend, low_pass, high_pass, t_r
        As for ``nilearn.signal.clean``; frequencies in Hz, `t_r` in s.
    data_space
        The space that the images are in, where their names (``space-``, ``tpl-``) or headers
        state none or a wrong one. Images that state another space than the atlas's are refused.
    n_jobs
        How many images of a list are extracted at the same time, in threads.
    memory
        A folder (text or ``pathlib.Path``) or ``joblib.Memory`` that keeps results, or
        None. A file that was written again is read again.

    Attributes
    ----------
    labels_
        Names of the parcels, in the order of the columns.
    n_elements_
        Number of parcels.
    """

    def __init__(
        self,
        atlas: Any = None,
        *,
        reduction: Any = "mean",
        missing: str = "propagate",
        min_coverage: float = 0.0,
        smoothing_fwhm: float | None = None,
        standardize: bool | str | None = None,
        detrend: bool = False,
        low_pass: float | None = None,
        high_pass: float | None = None,
        t_r: float | None = None,
        data_space: str | None = None,
        n_jobs: int = 1,
        memory: Any = None,
    ) -> None:
        # As they are given, since scikit-learn's `clone` refuses changed ones; `fit` checks them.
        self.atlas = atlas
        self.reduction = reduction
        self.missing = missing
        self.min_coverage = min_coverage
        self.smoothing_fwhm = smoothing_fwhm
        self.standardize = standardize
        self.detrend = detrend
        self.low_pass = low_pass
        self.high_pass = high_pass
        self.t_r = t_r
        self.data_space = data_space
        self.n_jobs = n_jobs
        self.memory = memory

    def fit(self, imgs: Any = None, y: Any = None) -> "AtlasMasker":
        """Check the parameters; `imgs`, if given, are checked to fit the atlas.

        Parameters
        ----------
        imgs
            As for `transform`, or None.
        y
            Ignored.
        """
        del y
        if not isinstance(self.atlas, Atlas):
            raise ArgumentTypeError("atlas", f"should be an Atlas, got {type(self.atlas).__name__}")
        wanted = find_reduction(self.reduction)
        if wanted.over_time is not None:
            raise ArgumentError(
                "reduction",
                f"{wanted.name!r} is over time",
                f'use `standardize="{wanted.standardize}"`',
            )
        check_options(
            tuple(self.atlas.maps.values()),
            reduction=wanted,
            missing=self.missing,
            min_coverage=self.min_coverage,
        )
        if imgs is not None:
            for img in _list_images(imgs) or [imgs]:
                _open(img, self.atlas, wanted, self.data_space)
        # Names, smoothers and results stay together whatever `set_params` does before the next fit.
        self._atlas, self._fwhm, self._reduction = self.atlas, self.smoothing_fwhm, self.reduction
        self._space = self.data_space
        self.labels_ = list(self.atlas.table["name"])
        self.n_elements_ = len(self.labels_)
        self._smoothers = None
        if self.smoothing_fwhm is not None:
            self._smoothers = [
                smoothing_operator(g, fwhm=self.smoothing_fwhm)
                for g in self.atlas.geometry.values()
            ]
        return self

    def fit_transform(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, imgs: Any, y: Any = None, confounds: Any = None, sample_mask: Any = None
    ) -> Any:
        """Return what `transform` does, after `fit`.

        Parameters
        ----------
        imgs, confounds, sample_mask
            As for `transform`.
        y
            Ignored.
        """
        return self.fit(imgs, y).transform(imgs, confounds=confounds, sample_mask=sample_mask)

    def transform(self, imgs: Any, confounds: Any = None, sample_mask: Any = None) -> Any:
        """Return the series (time, parcels) of an image, or a list of them.

        Parameters
        ----------
        imgs
            What `atlasinit.io.open_data` takes for the reduction: a path, a nibabel image, a
            pair of hemispheres as a tuple, a mapping from compartment to image or array, or an
            array (locations, time). A list (or an array or a pandas ``Series`` of paths)
            is several such images.
        confounds, sample_mask
            As for ``nilearn.signal.clean``; one each for a list of images over time.

        Returns
        -------
        numpy.ndarray or list
            (time, parcels) of one image. Of a list of maps (3-D images, say), which is one
            sample per map, (maps, parcels), as ``NiftiLabelsMasker`` returns; of a list of images
            over time a list of what each gives, as ``MultiNiftiLabelsMasker`` returns.

        Raises
        ------
        ValueError
            Data of another space, of another shape, or without a time point; an empty list; or
            a list of images over time where `set_output` asks for tables, which scikit-learn
            makes of one result only.
        """
        check_is_fitted(self, "labels_")
        images = _list_images(imgs)
        if images is None:
            return self._extract_one(imgs, confounds, sample_mask)
        from joblib import Parallel, delayed

        # Threads share the smoothers and what JAX has compiled; processes would make both anew.
        parallel = Parallel(n_jobs=self.n_jobs, prefer="threads")
        options = (self._reduction, self._space)
        # Maps of many subjects are one sample each, and are cleaned together; runs, each alone.
        if all(_open(img, self._atlas, *options).n_time == 1 for img in images):
            rows: Any = parallel(delayed(self._extract_raw)(img) for img in images)
            # (maps, parcels), of one row (1, parcels) each.
            return self._clean(np.concatenate(rows), confounds, sample_mask)
        if self._find_container() != "default":
            raise ArgumentError(
                "imgs",
                "is a list, where `set_output` makes a table of one image",
                "transform the images one by one",
            )
        count = len(images)
        confounds = [None] * count if confounds is None else confounds
        sample_mask = [None] * count if sample_mask is None else sample_mask
        if len(confounds) != count or len(sample_mask) != count:
            raise ArgumentError(
                "confounds",
                f"and `sample_mask` should be one per image ({count}), got {len(confounds)} "
                f"and {len(sample_mask)}",
            )
        tasks = zip(images, confounds, sample_mask, strict=True)
        return parallel(delayed(self._extract_one)(*task) for task in tasks)

    def inverse_transform(self, signals: Any, *, surface_image: bool = False) -> Any:
        """Return parcel series painted on the locations of the parcels.

        Where parcels are masks that overlap, as spheres do, a location has the mean of its
        parcels' values, as of nilearn's ``NiftiSpheresMasker``. Otherwise, and with
        ``reduction="lstsq"``, values are weighted by the maps and summed, as of its
        ``NiftiMapsMasker``.

        Parameters
        ----------
        signals
            (time, parcels), or (parcels,); a table of pandas or a mapping by the names of the
            parcels, in any order, an array by row.
        surface_image
            Return a ``nilearn.surface.SurfaceImage``, for atlases of cortical meshes.

        Returns
        -------
        A nibabel image for an atlas on one grid, otherwise a dictionary from compartment to an
        array (locations, time). Locations of no parcel are 0.

        Raises
        ------
        ValueError
            `signals` of another shape, or names that are not the atlas's; `surface_image` where a
            compartment is no mesh with faces and coordinates, or two are of one hemisphere.
        """
        check_is_fitted(self, "labels_")
        table = self._atlas.table
        values = align_values(signals, table, argument="signals", parcels_last=True).array
        # What least squares solved for is painted by the sum over the parcels of a location;
        # means are not.
        average = not find_reduction(self._reduction).solve
        painted = paint_locations(self._atlas, values, average=average)
        if surface_image:
            return image_of_meshes(self._atlas.geometry, painted)
        # An image has one grid: with surfaces or a second grid beside it, a dictionary.
        grid, *others = self._atlas.geometry.values()
        if isinstance(grid, VolumeGrid) and not others:
            return image_of(grid, next(iter(painted.values())), self._atlas.space)
        return painted

    def generate_report(
        self,
        imgs: Any = None,
        *,
        series: Any = None,
        confounds: Any = None,
        sample_mask: Any = None,
        title: str | None = None,
    ) -> Report:
        """Return a page on the atlas and, where they are given, on series of it.

        As nilearn's maskers do; but it is given what it shows, since `transform` keeps nothing.

        Parameters
        ----------
        imgs
            One image, as for `transform`, which extracts its series.
        series
            In the place of `imgs`, what `transform` returned of an image: (time, parcels).
        confounds, sample_mask
            Those of `transform`: the page says what was regressed out and which time points stay.
        title
            By default the atlas's name.

        Raises
        ------
        ValueError
            Both `imgs` and `series`, several images over time, and what `transform` and
            `atlasinit.generate_report` raise.
        """
        check_is_fitted(self, "labels_")
        if imgs is not None and series is not None:
            raise ArgumentError("imgs", "and `series` are both given", "pass one of them")
        if imgs is not None:
            series = self.transform(imgs, confounds=confounds, sample_mask=sample_mask)
            if isinstance(series, list):
                raise ArgumentError(
                    "imgs", "holds several runs", "ask for the report of one of them"
                )
        if series is None:
            return generate_report(self._atlas, title=title)
        kept, left = read_sample_mask(sample_mask)
        return generate_report(
            self._atlas,
            series=series,
            title=title,
            t_r=self.t_r,
            numbers=kept,
            details=self._details(confounds, left),
        )

    def _details(self, confounds: Any, sample_mask: str) -> dict[str, str]:
        """Return how series are made, a heading to a text."""
        smoothing = "none" if self._fwhm is None else f"{self._fwhm:g} mm FWHM"
        passed = {"above": self.high_pass, "below": self.low_pass}
        band = [f"{side} {frequency:g} Hz" for side, frequency in passed.items() if frequency]
        return {
            "Reduction": find_reduction(self._reduction).name,
            "Missing data": self.missing,
            "Least coverage": f"{100 * self.min_coverage:g} %",
            "Smoothing": smoothing,
            "Confounds": describe_confounds(confounds),
            "Sample mask": sample_mask,
            "Detrending": "linear" if self.detrend else "none",
            "Frequencies kept": " and ".join(band) or "all",
            "Standardising": str(self.standardize or "none"),
        }

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Return the names of the parcels."""
        del input_features
        check_is_fitted(self, "labels_")
        # Of dtype object, as scikit-learn's own names are.
        return np.asarray(self.labels_, dtype=object)

    def __sklearn_tags__(self) -> Any:
        """Return scikit-learn's tags: the input is images, not a table of features."""
        tags = super().__sklearn_tags__()
        # By these scikit-learn expects no table of features where images and paths come in.
        tags.input_tags.two_d_array = False
        tags.input_tags.allow_nan = True
        tags.no_validation = True
        return tags

    def _find_container(self) -> str:
        """Return the container that `set_output`, or scikit-learn's configuration, asks for."""
        # Where `set_output` keeps its choice; scikit-learn has no public way to ask for it.
        own = getattr(self, "_sklearn_output_config", {})
        return own.get("transform", get_config()["transform_output"])

    def _extract_one(self, img: Any, confounds: Any, sample_mask: Any) -> np.ndarray:
        return self._clean(self._extract_raw(img), confounds, sample_mask)

    def _extract_raw(self, img: Any) -> np.ndarray:
        from sklearn.utils.validation import check_memory

        memory = self.memory
        if isinstance(memory, os.PathLike):  # scikit-learn takes text alone
            memory = os.fspath(memory)
        # The smoothers follow from the atlas and `fwhm`, by whose hashes a result is found.
        extract: Any = check_memory(memory).cache(_read_series, ignore=["smoothers"])
        options = (self._reduction, self.missing, self.min_coverage, self._fwhm, self._space)
        return extract(img, _stamp_files(img), self._atlas, *options, self._smoothers)

    def _clean(self, series: np.ndarray, confounds: Any, sample_mask: Any) -> np.ndarray:
        from nilearn.signal import clean

        cleaning = (self.detrend, self.standardize, self.low_pass, self.high_pass)
        if not any(cleaning) and confounds is None and sample_mask is None:
            return series
        # Numbers that stay, or truths; of several runs a list of these.
        masks = sample_mask if isinstance(sample_mask, list | tuple) else [sample_mask]
        if not any(np.any(m) if np.asarray(m).dtype == bool else np.size(m) for m in masks):
            raise ArgumentError("sample_mask", f"keeps none of the {len(series)} time points")
        try:
            return clean(
                series,
                detrend=self.detrend,
                standardize=self.standardize,
                sample_mask=sample_mask,
                confounds=confounds,
                low_pass=self.low_pass,
                high_pass=self.high_pass,
                t_r=self.t_r,
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


def _list_images(imgs: Any) -> list | None:
    """Return the images of a list, None for one image."""
    # scikit-learn cuts a table's column of paths, or an array of them, into the same again.
    # Of kind "O" or "U": an array of numbers is data, (locations, time).
    of_objects = getattr(getattr(imgs, "dtype", None), "kind", "") in ("O", "U")
    if not isinstance(imgs, list) and not (of_objects and np.ndim(imgs) == 1):
        return None
    if not len(imgs):
        raise ArgumentError("imgs", "is empty", "pass at least one image")
    return list(imgs)


def _open(img: Any, atlas: Atlas, reduction: Any, space: str | None) -> DataSource:
    """Return an image as a source of data, of which there has to be some."""
    source = open_data(img, atlas, reduction=reduction, data_space=space)
    if source.n_time == 0:
        raise ArgumentError("imgs", "holds an image without a time point", "pass at least one")
    return source


def _stamp_files(img: Any) -> Any:
    """Return when the files of an image were written and their sizes: their names may stay."""
    # For joblib a path is a text, the same whatever the file holds.
    if isinstance(img, str | os.PathLike):
        found = existing(img).stat()
        return found.st_mtime_ns, found.st_size
    # None of what is in memory, whose values joblib hashes itself.
    if isinstance(img, Mapping):
        img = list(img.values())
    return [_stamp_files(part) for part in img] if isinstance(img, list | tuple) else None


def _read_series(
    img: Any,
    written: Any,
    atlas: Atlas,
    reduction: Any,
    missing: str,
    min_coverage: float,
    fwhm: float | None,
    space: str | None,
    smoothers: Any,
) -> Float[np.ndarray, "time parcels"]:
    """Return the raw series of one image.

    `written` tells its files from others of their names, and `fwhm` is what the smoothers
    were made with.
    """
    del written
    source = _open(img, atlas, reduction, space)
    if source.labelled and fwhm is not None:
        raise ArgumentError(
            "smoothing_fwhm",
            f": {source.labelled} holds labels, between which there is nothing",
            "leave them unsmoothed",
        )
    return stream(
        atlas,
        source,
        reduction=reduction,
        missing=missing,
        min_coverage=min_coverage,
        smoothers=smoothers,
    )
