"""The series of locations as the refinement sees them: few, of one weight, less noisy."""

import dataclasses

import numpy as np
from jaxtyping import Float32, Int

from atlasinit.refinement.runs import CHUNK

_LOST = 1e-4
"""Share of the variance that may be lost when series are turned to their main components."""

_FLAT = 0.5
"""Power of the share of the variance that components are divided by: between 0, which leaves
them, and 1, which makes all count the same."""

_FLOOR = 1e-3
"""Added to that share, so that components of almost no variance stay small."""


@dataclasses.dataclass(frozen=True)
class Series:
    """Series of locations in coordinates that are as few as their variance needs.

    Parameters
    ----------
    values
        (locations, components), centred; standardised ones have squared norm 1 where all runs
        were observed. Zeros where a location was never observed.
    observed
        (locations,) the share of the volumes that were observed.
    """

    values: Float32[np.ndarray, "locations components"]
    observed: Float32[np.ndarray, " locations"]


@dataclasses.dataclass(frozen=True)
class Prepared:
    """What a fit anneals on, and what it settles on.

    Parameters
    ----------
    own
        Each location's own series.
    shared
        Each averaged with those of its neighbours; `own` where noise is left as it is.
    """

    own: Series
    shared: Series


def prepare(
    values: Float32[np.ndarray, "locations time"],
    observed: Float32[np.ndarray, " locations"],
    pairs: Int[np.ndarray, "2 pairs"],
    *,
    denoise: bool,
) -> Prepared:
    """Return what `scale_runs` made as fits need it; `pairs` of locations touch."""
    own = compress(values, observed, flatten=denoise)
    return Prepared(own, average_neighbours(own, pairs) if denoise else own)


def compress(
    values: Float32[np.ndarray, "locations time"],
    observed: Float32[np.ndarray, " locations"],
    *,
    flatten: bool = False,
) -> Series:
    r"""Return series turned to the eigenvectors of their covariance over time.

    A rotation, that keeps every inner product; components that hold less than 0.01 % of the
    variance altogether are left out. The matrix is of volumes x volumes, never of locations.

    With `flatten` a component of share :math:`p` of the variance is divided by
    :math:`\sqrt[4]{p + 0.001}`, and each location has its norm again. A scan holds few independent
    samples of the strongest components; those of another scan differ, and borders that fit them
    too closely are not found there.
    """
    if values.shape[1] == 0 or not observed.any():
        return Series(np.zeros((len(values), 1), np.float32), observed)
    # (time, time), in double precision: sums over all locations.
    covariance = np.zeros((values.shape[1],) * 2)
    for low in range(0, len(values), CHUNK):
        part = values[low : low + CHUNK].astype(np.float64)
        covariance += part.T @ part
    powers, axes = np.linalg.eigh(covariance)
    # eigh sorts upwards, and rounding leaves eigenvalues just below 0.
    powers, axes = powers[::-1].clip(0), axes[:, ::-1]
    kept = 1 + int(np.searchsorted(np.cumsum(powers), (1 - _LOST) * powers.sum()))
    turn = axes[:, :kept]
    if flatten:
        # The power is of the variance, so that amplitudes have half of it: a share p of the
        # variance becomes p / sqrt(p + 0.001), about sqrt(p).
        turn = turn / (powers[:kept] / powers.sum() + _FLOOR) ** (_FLAT / 2)
    turned = values @ np.ascontiguousarray(turn, dtype=np.float32)
    return Series(_scale_as(turned, values) if flatten else turned, observed)


def average_neighbours(series: Series, pairs: Int[np.ndarray, "2 pairs"]) -> Series:
    """Return the mean of each location's series and its neighbours', at its own norm.

    Locations that were not observed take no part and stay zeros.
    """
    from scipy.sparse import csr_array, eye_array

    n = len(series.values)
    there = series.observed > 0
    within = pairs[:, there[pairs].all(axis=0)]
    ones = np.ones(within.shape[1], np.float32)
    near = csr_array((ones, tuple(within)), shape=(n, n))
    # The sum does as well as the mean, since each row is then scaled to the norm that it had.
    step = (near + near.T + eye_array(n)).tocsr().astype(np.float32)
    return Series(_scale_as(step @ series.values, series.values), series.observed)


def _scale_as(
    values: Float32[np.ndarray, "locations components"],
    like: Float32[np.ndarray, "locations _"],
) -> Float32[np.ndarray, "locations components"]:
    norms = [np.sqrt(np.einsum("ij,ij->i", x, x, dtype=np.float64)) for x in (like, values)]
    factor = norms[0] / np.where(norms[1] > 0, norms[1], 1)
    values *= factor[:, None].astype(np.float32)
    return values
