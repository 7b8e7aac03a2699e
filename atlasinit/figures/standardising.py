"""Series of mean 0 and standard deviation 1, as carpets and reports show them."""

import numpy as np
from jaxtyping import Float, Float64

_STILL = 1e-6
"""Spread as a share of the largest value, below which a series is constant but for rounding."""


def standardise(
    series: Float[np.ndarray, "time parcels"],
) -> Float64[np.ndarray, "time parcels"]:
    """Return series of mean 0 and standard deviation 1; NaN where one is constant."""
    values = np.asarray(series, dtype=np.float64)
    # The sum of many equal numbers rounds; what varies less than that does not vary.
    spread = values.std(axis=0, ddof=1) if len(values) > 1 else np.zeros(values.shape[1])
    still = spread <= _STILL * np.abs(values).max(axis=0, initial=0)
    return (values - values.mean(axis=0)) / np.where(still, np.nan, spread)
