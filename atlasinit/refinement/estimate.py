"""What the evidence is computed with, estimated from the data at the start (empirical Bayes)."""

import dataclasses

import jax.numpy as jnp
import numpy as np
from jaxtyping import Int

from atlasinit.refinement.series import Series, sum_parcels
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
        # In locations: the model draws the mean of a parcel of so many halfway to 0.
        ridge = self.noise / self.signal
        numbers = (self.samples, self.noise, ridge, neighbours, tether)
        return Model(*(jnp.asarray(number, jnp.float32) for number in numbers))


def estimate(series: Series, labels: Int[np.ndarray, " locations"], n_parcels: int) -> Estimates:
    """Return the estimates of an analysis of variance with unequal numbers."""
    kept = (labels >= 0) & (series.observed > 0)
    x, weights, rows = series.values[kept].astype(np.float64), series.observed[kept], labels[kept]
    counts = np.bincount(rows, weights=weights, minlength=n_parcels)
    sums = sum_parcels(x, rows, n_parcels)
    filled = counts > 0
    total, n_filled = counts.sum(), int(filled.sum())
    within = total - n_filled
    # One parcel has no border to move, and parcels of one location none to spare.
    if within <= 0 or n_filled < 2:
        return Estimates(0.0, 0.0, 1.0, 0.0)
    means = sums / np.where(filled, counts, 1)[:, None]
    rest = x - weights[:, None] * means[rows]
    covariance = rest.T @ rest
    spread = float(np.trace(covariance))
    noise = spread / within
    # Series that are the same within every parcel: the evidence would divide by 0.
    if noise <= 0:
        return Estimates(0.0, 1.0, 1.0, np.inf)
    # Of a symmetric C the squares of the entries add up to tr C^2. Samples that depend on each
    # other count as so many as would vary as much (Satterthwaite's degrees of freedom).
    samples = spread**2 / float((covariance**2).sum())
    # E ||S_k||^2 = n_k^2 signal + n_k noise, whose sum over parcels is solved for the signal. No
    # mean of all parcels is taken out, as the model has theirs around 0.
    squares = (sums[filled] ** 2).sum(axis=1)
    between = float((squares / counts[filled]).sum()) / n_filled
    signal = float((squares - counts[filled] * noise).sum() / (counts**2).sum())
    # In noise a mean square of nu samples has the relative variance 2 / nu, its mean over K parcels
    # 2 / (nu K).
    surplus = (between / noise - 1) / np.sqrt(2 / (samples * n_filled))
    return Estimates(noise, max(signal, 0.0), samples, float(surplus))
