"""The series of locations as the refinement sees them: few, of one weight, less noisy."""

import dataclasses

import numpy as np
from jaxtyping import Float, Float32, Float64, Int

from atlasinit.refinement.runs import CHUNK

_LOST = 1e-4
"""Share of the variance that may be lost when series are turned to their main components."""

_PARTS = 4
"""Parts of the volumes, each of which judges the components that are found in the others."""


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
    own = compress(values, observed, shrink=denoise)
    return Prepared(own, average_neighbours(own, pairs) if denoise else own)


def compress(
    values: Float32[np.ndarray, "locations time"],
    observed: Float32[np.ndarray, " locations"],
    *,
    shrink: bool = False,
) -> Series:
    r"""Return series turned to the eigenvectors of their covariance over time.

    A rotation, that keeps every inner product; components that hold less than 0.01 % of the
    variance altogether are left out. The matrix is of volumes x volumes, never of locations.

    With `shrink` components count by the variance that they hold in volumes in which they were not
    looked for, and each location has its norm again. A scan holds few independent samples: its
    strongest components are too strong by chance, and borders that fit them too closely are not
    found in another.
    """
    if values.shape[1] == 0 or not observed.any():
        return Series(np.zeros((len(values), 1), np.float32), observed)
    # (time, time), in double precision: sums over all locations.
    covariance = np.zeros((values.shape[1],) * 2)
    for low in range(0, len(values), CHUNK):
        part = values[low : low + CHUNK].astype(np.float64)
        covariance += part.T @ part
    # Components of little variance here may hold more of it in other volumes.
    powers, turn = _main_components(covariance, lost=_LOST**2 if shrink else _LOST)
    if shrink:
        # Series of components, whose maps over locations have norm 1; X = maps @ series.T.
        series = turn * np.sqrt(powers)
        turn = turn / np.sqrt(powers) @ _weigh_components(series)
    turned = values @ np.ascontiguousarray(turn, dtype=np.float32)
    return Series(_scale_as(turned, values) if shrink else turned, observed)


def _main_components(
    covariance: Float64[np.ndarray, "time time"], *, lost: float = _LOST
) -> tuple[Float64[np.ndarray, " components"], Float64[np.ndarray, "time components"]]:
    """Return the eigenvalues and vectors of all but a share of the variance, the largest first."""
    powers, axes = np.linalg.eigh(covariance)
    # eigh sorts upwards, and rounding leaves eigenvalues just below 0.
    powers, axes = powers[::-1].clip(0), axes[:, ::-1]
    kept = 1 + int(np.searchsorted(np.cumsum(powers), (1 - lost) * powers.sum()))
    return powers[:kept], axes[:, :kept]


def _weigh_components(
    series: Float64[np.ndarray, "time components"],
) -> Float64[np.ndarray, "components fewer"]:
    r"""Return a turn of components to such as have the variance that they hold in other volumes.

    Of all volumes but a part, :math:`S_A`, the components are :math:`Q`, the eigenvectors of
    :math:`S_A^T S_A`. Their variance in the part that did not make them is
    :math:`\lambda = \mathrm{diag}(Q^T S_B^T S_B Q)`, which falls from the strongest to the weakest
    up to chance. The mean over the parts of :math:`Q \lambda Q^T` is the covariance (Lam 2016,
    *Annals of Statistics* 44: regularised by splits of the data), of which the turn is the root.
    """
    from scipy.optimize import isotonic_regression

    mean = np.zeros((series.shape[1],) * 2)
    # Parts in one piece each: volumes next to each other share their noise.
    for rest in np.array_split(np.arange(len(series)), min(_PARTS, len(series))):
        part, others = series[rest], np.delete(series, rest, axis=0)
        power = float((part**2).sum())
        if not power or not others.any():
            continue
        _, turn = _main_components(others.T @ others)
        found = isotonic_regression(((part @ turn) ** 2).sum(axis=0) / power, increasing=False).x
        mean += (turn * found) @ turn.T
    if not mean.any():
        return np.diag(np.linalg.norm(series, axis=0))
    powers, turn = _main_components(mean)
    return turn * np.sqrt(powers)


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


def between_squares(
    series: Series, labels: Int[np.ndarray, " locations"], n_parcels: int
) -> Float64[np.ndarray, " parcels"]:
    r"""Return :math:`\| S_k \|^2 / n_k` of the sums and numbers of each parcel's observed series.

    What of their squared norms the mean keeps; 0 for parcels without any.
    """
    kept = (labels >= 0) & (series.observed > 0)
    counts = np.bincount(labels[kept], weights=series.observed[kept], minlength=n_parcels)
    sums = sum_parcels(series.values, np.where(kept, labels, -1), n_parcels)
    return (sums**2).sum(axis=1) / np.where(counts > 0, counts, 1)


def sum_parcels(
    values: Float[np.ndarray, "locations components"],
    labels: Int[np.ndarray, " locations"],
    n_parcels: int,
) -> Float64[np.ndarray, "parcels components"]:
    """Return the sums of each parcel's values in double precision; those of -1 are left out."""
    sums = np.zeros((n_parcels, values.shape[1]))
    order = np.argsort(labels, kind="stable")[np.count_nonzero(labels < 0) :]
    if order.size:
        # reduceat adds up runs of rows, which the order by parcel makes; it has no row for empty
        # parcels.
        starts = np.flatnonzero(np.diff(labels[order], prepend=-1))
        sums[labels[order][starts]] = np.add.reduceat(values[order], starts, dtype=np.float64)
    return sums
