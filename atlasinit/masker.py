"""Parcel series of images as a scikit-learn estimator, in nilearn's manner."""

import os
from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn import get_config
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from atlasinit.core.atlas import Atlas
from atlasinit.errors import ArgumentError, ArgumentTypeError
from atlasinit.image_series import (
    clean_series,
    list_images,
    name_atlases,
    open_image,
    paint,
    read_series,
    stamp_files,
)
from atlasinit.projection.checks import check_options
from atlasinit.projection.reductions import find_reduction
from atlasinit.report import Report, generate_report
from atlasinit.report.cleaning import (
    describe_confounds,
    describe_frequencies,
    read_sample_mask,
)
from atlasinit.sampling.data import check_sampling
from atlasinit.smoothing import smoothing_operator


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
        The atlas; or several, as a list or a mapping from names, of one space and of one grid or
        meshes. An image is then read once for all of them (for each, where it is smoothed), and
        what is one result of one atlas is a mapping from the names of the atlases to theirs.
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
    sampling
        What takes volumes to the surfaces of the atlases: an `atlasinit.sampling_operator`, or a
        mapping from compartments to these, one for each surface, with all the vertices that the
        atlases keep of it. Images are then volumes on the operators' grid; smoothing comes after
        sampling, on the surfaces. Vertices without a voxel are missing data. None: volumes are
        refused where the atlas has surfaces alone.
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

    Examples
    --------
    >>> import numpy as np
    >>> import atlasinit as ai
    >>> atlas = ai.load_atlas("desikan-killiany", space="fsaverage5")
    >>> both = {"regions": atlas, "sides": ai.merge_parcels(atlas, "hemisphere")}
    >>> series = AtlasMasker(both).fit_transform(np.ones((20484, 3), np.float32))
    >>> {name: found.shape for name, found in series.items()}
    {'regions': (3, 68), 'sides': (3, 2)}
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
        sampling: Any = None,
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
        self.sampling = sampling
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
        atlases = name_atlases(self.atlas)
        wanted = find_reduction(self.reduction)
        if wanted.over_time is not None:
            raise ArgumentError(
                "reduction",
                f"{wanted.name!r} is over time",
                f'use `standardize="{wanted.standardize}"`',
            )
        for atlas in atlases.values():
            check_options(
                tuple(atlas.maps.values()),
                reduction=wanted,
                missing=self.missing,
                min_coverage=self.min_coverage,
            )
        sampling = None
        if self.sampling is not None:
            sampling = check_sampling(atlases.values(), self.sampling)
        if imgs is not None:
            for img in list_images(imgs) or [imgs]:
                open_image(img, list(atlases.values()), wanted, self.data_space, sampling)
        # Names, smoothers and results stay together whatever `set_params` does before the next fit.
        self._atlases, self._several = atlases, not isinstance(self.atlas, Atlas)
        self._fwhm, self._reduction, self._space = (
            self.smoothing_fwhm,
            self.reduction,
            self.data_space,
        )
        self._sampling = sampling
        self.labels_ = self._give([list(atlas.table["name"]) for atlas in atlases.values()])
        self.n_elements_ = self._give([atlas.n_parcels for atlas in atlases.values()])
        self._smoothers = None
        if self.smoothing_fwhm is not None:
            self._smoothers = [
                [smoothing_operator(g, fwhm=self.smoothing_fwhm) for g in atlas.geometry.values()]
                for atlas in atlases.values()
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
        numpy.ndarray, list or dict
            (time, parcels) of one image; for several atlases a mapping from the name of each. Of a
            list of maps (3-D images, say), which is one sample per map, (maps, parcels), as
            ``NiftiLabelsMasker`` returns; of a list of images over time a list of what each gives,
            as ``MultiNiftiLabelsMasker`` returns.

        Raises
        ------
        ValueError
            Data of another space, of another shape, or without a time point; an empty list; or
            a list of images over time, or several atlases, where `set_output` asks for tables,
            which scikit-learn makes of one result only.
        """
        check_is_fitted(self, "labels_")
        images = list_images(imgs)
        if self._several and self._find_container() != "default":
            raise ArgumentError(
                "atlas",
                "holds several, where `set_output` makes a table of one",
                "make a masker of each",
            )
        if images is None:
            return self._extract_one(imgs, confounds, sample_mask)
        from joblib import Parallel, delayed

        # Threads share the smoothers and what JAX has compiled; processes would make both anew.
        parallel = Parallel(n_jobs=self.n_jobs, prefer="threads")
        one = next(iter(self._atlases.values()))
        options = ([one], self._reduction, self._space, self._sampling)
        # Maps of many subjects are one sample each, and are cleaned together; runs, each alone.
        if all(open_image(img, *options)[0].n_time == 1 for img in images):
            rows: Any = parallel(delayed(self._extract_raw)(img) for img in images)
            # (maps, parcels) of each atlas, of one row (1, parcels) each.
            whole = [np.concatenate(own) for own in zip(*rows, strict=True)]
            return self._give([self._clean(own, confounds, sample_mask) for own in whole])
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
            parcels, in any order, an array by row. Of several atlases a mapping from the names of
            any of them, as `transform` returns.
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
        # What least squares solved for is painted by the sum over the parcels of a location;
        # means are not.
        how = {
            "average": not find_reduction(self._reduction).solve,
            "surface_image": surface_image,
        }
        if not self._several:
            return paint(self._atlases[next(iter(self._atlases))], signals, **how)
        if not isinstance(signals, Mapping):
            raise ArgumentTypeError(
                "signals",
                f"should be a mapping from the names of atlases, {list(self._atlases)}, "
                f"got {type(signals).__name__}",
            )
        unknown = [name for name in signals if name not in self._atlases]
        if unknown:
            raise ArgumentError(
                "signals", f": the atlases are {list(self._atlases)}, got {unknown}"
            )
        return {name: paint(self._atlases[name], own, **how) for name, own in signals.items()}

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
        if self._several:
            raise ArgumentError(
                "atlas", f"holds several, {list(self._atlases)}", "ask for the report of each"
            )
        (atlas,) = self._atlases.values()
        if imgs is not None and series is not None:
            raise ArgumentError("imgs", "and `series` are both given", "pass one of them")
        if imgs is not None:
            series = self.transform(imgs, confounds=confounds, sample_mask=sample_mask)
            if isinstance(series, list):
                raise ArgumentError(
                    "imgs", "holds several runs", "ask for the report of one of them"
                )
        if series is None:
            return generate_report(atlas, title=title)
        kept, left = read_sample_mask(sample_mask)
        return generate_report(
            atlas,
            series=series,
            title=title,
            t_r=self.t_r,
            numbers=kept,
            details=self._details(confounds, left),
        )

    def _details(self, confounds: Any, sample_mask: str) -> dict[str, str]:
        """Return how series are made, a heading to a text."""
        smoothing = "none" if self._fwhm is None else f"{self._fwhm:g} mm FWHM"
        return {
            "Reduction": find_reduction(self._reduction).name,
            "Missing data": self.missing,
            "Least coverage": f"{100 * self.min_coverage:g} %",
            "Smoothing": smoothing,
            "Confounds": describe_confounds(confounds),
            "Sample mask": sample_mask,
            "Detrending": "linear" if self.detrend else "none",
            "Frequencies kept": describe_frequencies(self.high_pass, self.low_pass),
            "Standardising": str(self.standardize or "none"),
        }

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Return the names of the parcels."""
        del input_features
        check_is_fitted(self, "labels_")
        # Of several atlases one after the other. Of dtype object, as scikit-learn's own names are.
        names = [name for atlas in self._atlases.values() for name in atlas.table["name"]]
        return np.asarray(names, dtype=object)

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

    def _give(self, found: list) -> Any:
        """Return what is found of each atlas by its name; of a single one as it is."""
        return dict(zip(self._atlases, found, strict=True)) if self._several else found[0]

    def _extract_one(self, img: Any, confounds: Any, sample_mask: Any) -> Any:
        found = self._extract_raw(img)
        return self._give([self._clean(series, confounds, sample_mask) for series in found])

    def _extract_raw(self, img: Any) -> list[np.ndarray]:
        from sklearn.utils.validation import check_memory

        memory = self.memory
        if isinstance(memory, os.PathLike):  # scikit-learn takes text alone
            memory = os.fspath(memory)
        # The smoothers follow from the atlas and `fwhm`, by whose hashes a result is found.
        extract: Any = check_memory(memory).cache(read_series, ignore=["smoothers"])
        options = (self._reduction, self.missing, self.min_coverage, self._fwhm, self._space)
        atlases = list(self._atlases.values())
        sampling, smoothers = self._sampling, self._smoothers
        return extract(img, stamp_files(img), atlases, *options, sampling, smoothers)

    def _clean(self, series: np.ndarray, confounds: Any, sample_mask: Any) -> np.ndarray:
        return clean_series(
            series,
            confounds,
            sample_mask,
            detrend=self.detrend,
            standardize=self.standardize,
            low_pass=self.low_pass,
            high_pass=self.high_pass,
            t_r=self.t_r,
        )
