"""What the evidence is computed with, estimated from the data at the start (empirical Bayes)."""

import dataclasses

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float64, Int

from atlasinit.refinement.series import Series
from atlasinit.refinement.sweeps import Model

_SURE = 5.0
"""Standard deviations by which parcels have to differ for borders to move at all."""


@dataclasses.dataclass(frozen=True)
class Estimates:
    r"""Noise and signal of the parcels of a start.

    Parameters
    ----------
    noise, signal
        Variances of what parcels' means leave, and of these, as shares of the series'.
    samples
        Independent samples of the noise: :math:`(\mathrm{tr}\,C)^2 / \mathrm{tr}\,C^2` of its
        covariance over time.
    surplus
        By how many of its standard deviations in pure noise the mean square between parcels
        lies above that within.
    """

    noise: float
    signal: float
    samples: float
    surplus: float

    @property
    def has_signal(self) -> bool:
        """Whether parcels have more in common than noise would."""
        return bool(self.surplus > _SURE and self.signal > 0 and self.noise > 0)

    def model(self, *, neighbours: float, tether: float) -> Model:
        """Return what the sweeps take."""
        ridge = self.noise / self.signal
        numbers = (self.samples, self.noise, ridge, neighbours, tether)
        return Model(*(jnp.asarray(number, jnp.float32) for number in numbers))


def estimate(series: Series, labels: Int[np.ndarray, " locations"], n_parcels: int) -> Estimates:
    """Return the estimates of an analysis of variance with unequal numbers."""
    kept = (labels >= 0) & (series.observed > 0)
    x, weights, rows = series.values[kept].astype(np.float64), series.observed[kept], labels[kept]
    counts = np.bincount(rows, weights=weights, minlength=n_parcels)
    sums = _sums(x, rows, n_parcels)
    filled = counts > 0
    total, n_filled = counts.sum(), int(filled.sum())
    within = total - n_filled
    if within <= 0 or n_filled < 2:
        return Estimates(1.0, 0.0, 1.0, 0.0)
    means = sums / np.where(filled, counts, 1)[:, None]
    rest = x - weights[:, None] * means[rows]
    covariance = rest.T @ rest
    spread = float(np.trace(covariance))
    noise = spread / within
    if noise <= 0:
        return Estimates(0.0, 1.0, 1.0, np.inf)
    samples = spread**2 / float((covariance**2).sum())
    squares = (sums[filled] ** 2).sum(axis=1)
    between = float((squares / counts[filled]).sum()) / n_filled
    signal = float((squares - counts[filled] * noise).sum() / (counts**2).sum())
    surplus = (between / noise - 1) / np.sqrt(2 / (samples * n_filled))
    return Estimates(noise, max(signal, 0.0), samples, float(surplus))


def _sums(
    x: Float64[np.ndarray, "locations components"],
    rows: Int[np.ndarray, " locations"],
    n_parcels: int,
) -> Float64[np.ndarray, "parcels components"]:
    from scipy.sparse import csr_array

    members = csr_array(
        (np.ones(rows.size), (rows, np.arange(rows.size))), shape=(n_parcels, rows.size)
    )
    return members @ x
