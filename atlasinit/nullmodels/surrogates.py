"""Null maps of values whose neighbours are as alike as before, by brainspace and brainsmash."""

import importlib
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Float64

from atlasinit.errors import ArgumentError


def moran_maps(
    values: Float64[np.ndarray, " parcels"],
    distances: Float64[np.ndarray, "parcels parcels"],
    *,
    n: int,
    seed: int,
) -> Float64[np.ndarray, "n parcels"]:
    """Return null maps by Moran spectral randomisation, with the inverse distances as weights."""
    found = _import("brainspace.null_models.moran", "moran")
    weights = distances.copy()
    np.fill_diagonal(weights, 1)
    model = found.MoranRandomization(joint=True, n_rep=n, tol=1e-6, random_state=seed)
    return np.asarray(model.fit(1 / weights).randomize(values)).reshape(n, -1)


def variogram_maps(
    values: Float64[np.ndarray, " parcels"],
    distances: Float64[np.ndarray, "parcels parcels"],
    *,
    n: int,
    seed: int,
) -> Float64[np.ndarray, "n parcels"]:
    """Return null maps whose variograms are fitted to that of the values."""
    found = _import("brainsmash.mapgen.base", "variogram")
    with warnings.catch_warnings():
        # Of `numpy.row_stack`, which it calls.
        warnings.simplefilter("ignore", DeprecationWarning)
        drawn = found.Base(values, distances, seed=seed)(n, 50)
    return np.asarray(drawn).reshape(n, -1)


Surrogates = Callable[..., Float64[np.ndarray, "n parcels"]]

SURROGATES: dict[str, tuple[Surrogates, int]] = {
    "moran": (moran_maps, 3),
    # A tenth of the parcels are the fewest neighbours that it averages: one of ten.
    "variogram": (variogram_maps, 10),
}
"""Of each method its function, and the fewest parcels that it can do with."""


def draw_surrogates(
    values: Float64[np.ndarray, " parcels"],
    distances: Float64[np.ndarray, "parcels parcels"],
    *,
    method: str,
    n: int,
    seed: int,
) -> Float64[np.ndarray, "n parcels"]:
    """Return null maps of the values, each group of parcels that paths join on its own.

    Parcels with NaN, as a value or as distances, take no part and have NaN.
    """
    from scipy.sparse.csgraph import connected_components

    draw, least = SURROGATES[method]
    known = np.flatnonzero(np.isfinite(values) & ~np.isnan(np.diag(distances)))
    near = distances[np.ix_(known, known)]
    if np.isnan(near).any():
        raise ArgumentError("distances", "should be numbers or infinite, got NaN between parcels")
    _, group = connected_components(np.isfinite(near), directed=False)
    out = np.full((n, len(values)), np.nan)
    for g in range(group.max(initial=-1) + 1):
        members = np.flatnonzero(group == g)
        own = near[np.ix_(members, members)]
        if not np.isfinite(own).all():
            raise ArgumentError(
                "distances", "should be finite among parcels that others join, got infinity"
            )
        if len(members) < least:
            raise ArgumentError(
                "method",
                f"{method!r} needs {least} parcels with values in each group that paths join, got "
                f"{len(members)}",
            )
        # One seed for all groups, as in neuromaps: hemispheres of like parcels are drawn alike.
        out[:, known[members]] = draw(values[known[members]], own, n=n, seed=seed)
    return out


def _import(module: str, method: str) -> Any:
    package = module.partition(".")[0]
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ArgumentError(
            "method",
            f": {method!r} needs the package {package}",
            'install it by `pip install "atlasinit[nulls]"`, or pass method="spin"',
        ) from error
