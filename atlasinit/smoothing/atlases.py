"""Smoothing of whole atlases."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

from atlasinit.core.atlas import Atlas
from atlasinit.core.checking import check_atlas
from atlasinit.core.geometry import VolumeGrid
from atlasinit.core.maps import DenseMaps, Maps
from atlasinit.errors import ArgumentError
from atlasinit.smoothing.build import check_choices, host_spread
from atlasinit.smoothing.checks import (
    FWHM,
    check_one,
    check_positive,
)
from atlasinit.smoothing.sparse import spread_maps
from atlasinit.support.arrays import make_read_only


def smooth(
    atlas: Atlas,
    *,
    sigma: Any = None,
    fwhm: Any = None,
    geometry: str = "auto",
    truncate: Any = 4.0,
    conserve: str = "constant",
    weights: str = "area",
    profile: str = "gaussian",
    spherical_scale: Any = 1.0,
    threshold: float = 0.0,
    noise_sigma: float = 0.0,
    key: jax.Array | None = None,
    normalize: str | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> Atlas:
    """Return the atlas with every parcel's map smoothed, each compartment by itself.

    In this order: the maps are smoothed, weights up to `threshold` left out, noise added,
    and the result normalised. The width is a number here; to learn it, build a
    `smoothing_operator` once and call ``operator.smooth_maps(maps, sigma=...)``, which is
    differentiable in a traced width and in the maps. The operator also serves several atlases
    on one geometry, and data; it explains the parameters that are not explained here.

    Parameters
    ----------
    atlas
        Any atlas; NaN weights spread to their neighbourhood.
    sigma, fwhm
        Width in mm, one of the two; ``fwhm = sigma * sqrt(8 ln 2)``. A mapping gives widths
        to some compartments and leaves the others as they are.
    geometry
        ``"auto"``, or what meshes are smoothed on: ``"sphere"`` or ``"anatomical"``; grids
        are always smoothed as grids, and ``"grid"`` is for atlases of grids alone.
    truncate, conserve, weights, profile, spherical_scale
        As of `smoothing_operator`; the last three are for meshes.
    threshold
        Weights of at most this size are left out.
    noise_sigma
        Standard deviation of normal noise added to the weight of every parcel at every
        location, which makes the maps dense.
    key
        Key of the noise.
    normalize
        ``"parcel"`` or ``"location"``, as of `Atlas.normalize`.
    progress
        Called with a compartment's name, its number from 0 and the number of compartments
        before each is smoothed.

    Returns
    -------
    Atlas
        With sparse maps, or dense ones where these are smaller.

    Raises
    ------
    ValueError
        What `smoothing_operator` raises, an unknown compartment, a negative `noise_sigma`,
        or noise without a `key`.
    """
    check_atlas(atlas)
    widths = _widths(atlas, sigma, fwhm)
    # Here, as of a grid `geometry` and `profile` are replaced, and would not be checked.
    check_choices(geometry=geometry, conserve=conserve, weights=weights, profile=profile)
    if not (np.isfinite(noise_sigma) and noise_sigma >= 0):
        raise ArgumentError("noise_sigma", f"should be 0 or more, got {noise_sigma}")
    if noise_sigma and key is None:
        raise ArgumentError("noise_sigma", "needs a `key`, as `jax.random.key(0)`")
    if normalize not in (None, "parcel", "location"):
        raise ArgumentError("normalize", f'should be "parcel" or "location", got {normalize!r}')
    maps: dict[str, Maps] = {}
    for i, (compartment, width) in enumerate(widths.items()):
        if progress is not None:
            progress(compartment, i, len(widths))
        place = atlas.geometry[compartment]
        if place.n_locations == 0:
            continue
        is_grid = isinstance(place, VolumeGrid)
        spread = host_spread(
            place,
            sigma=width,
            geometry="grid" if is_grid else geometry,
            truncate=truncate,
            conserve=conserve,
            weights=weights,
            profile="gaussian" if is_grid else profile,
            spherical_scale=spherical_scale,
        )
        maps[compartment] = spread_maps(atlas.maps[compartment], spread, threshold=threshold)
        if noise_sigma and key is not None:
            # By its place in the atlas: the noise is the same whichever others are smoothed.
            own = jax.random.fold_in(key, atlas.compartments.index(compartment))
            maps[compartment] = _add_noise(maps[compartment], noise_sigma, key=own)
    options = {
        "geometry": geometry,
        "truncate": truncate,
        "conserve": conserve,
        "weights": weights,
        "profile": profile,
        "spherical_scale": spherical_scale,
        "threshold": threshold,
        "noise_sigma": noise_sigma,
    }
    done = atlas.replace(maps=maps, operation=_describe(widths, options))
    return done if normalize is None else done.normalize(per=normalize)


def _widths(atlas: Atlas, sigma: Any, fwhm: Any) -> dict[str, float]:
    """Return the sigma of each compartment that is to be smoothed, in the atlas's order."""
    check_one(sigma, fwhm)
    given, name, unit = (sigma, "sigma", 1.0) if fwhm is None else (fwhm, "fwhm", FWHM)
    if not isinstance(given, Mapping):
        given = dict.fromkeys(atlas.compartments, given)
    unknown = [c for c in given if c not in atlas.compartments]
    if unknown:
        raise ArgumentError(
            name, f"names {unknown}", f"the compartments are {list(atlas.compartments)}"
        )
    return {c: check_positive(given[c], name) / unit for c in atlas.compartments if c in given}


def _add_noise(maps: Maps, sigma: float, *, key: jax.Array) -> DenseMaps:
    noise = jax.random.normal(key, (maps.n_parcels, maps.n_locations), np.float32)
    return DenseMaps(make_read_only(maps.to_dense() + np.float32(sigma) * np.asarray(noise)))


def _describe(widths: Mapping[str, float], options: Mapping[str, object]) -> str:
    """Return the operation as it is written into the provenance."""
    # One number where all widths are one, whether they were given so or not.
    same = set(widths.values())
    width = f"{same.pop():.6g}" if len(same) == 1 else repr({c: w for c, w in widths.items()})
    rest = "".join(f", {name}={value!r}" for name, value in options.items())
    return f"smooth(sigma={width}{rest})"
