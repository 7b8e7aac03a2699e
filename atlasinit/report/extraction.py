"""What data hold of each parcel: series, how much was observed, connectivity."""

import dataclasses
from typing import Any

import numpy as np
from jaxtyping import Float

from atlasinit.core.atlas import Atlas
from atlasinit.figures.standardising import standardise
from atlasinit.io import open_data
from atlasinit.streaming import stream


@dataclasses.dataclass(frozen=True, eq=False)
class ParcelData:
    """The series of parcels, and on which share of their weight they rest.

    Parameters
    ----------
    series
        (time, parcels), finite or NaN.
    observed
        (parcels,) share of each parcel's weight at locations that are finite at all times, or
        None where only the series were given.
    flat
        (parcels,) share at locations that have one value at all times; None where that was not
        counted or there is one time only.
    """

    series: Float[np.ndarray, "time parcels"]
    observed: Float[np.ndarray, " parcels"] | None = None
    flat: Float[np.ndarray, " parcels"] | None = None


def extract(
    atlas: Atlas, data: Any, *, reduction: str, data_space: str | None = None
) -> ParcelData:
    """Return the series of what `open_data` takes, read once in chunks of time."""
    source = open_data(data, atlas, reduction=reduction, data_space=data_space)
    # Per location, gathered while `stream` reads, as the data may be read only once.
    low = np.full(source.n_locations, np.inf)
    high = -low
    finite = np.ones(source.n_locations, dtype=bool)

    def read(span: slice) -> np.ndarray:
        values = source.read(span)
        finite[:] &= np.isfinite(values).all(axis=1)
        # fmin and fmax pass over NaN, which `finite` has noted.
        np.fmin(low, values.min(axis=1), out=low)
        np.fmax(high, values.max(axis=1), out=high)
        return values

    series = mask_infinite(stream(atlas, source.read_by(read), reduction=reduction))
    flat = atlas.coverage(finite & (low == high)).to_numpy() if source.n_time > 1 else None
    return ParcelData(series, atlas.coverage(finite).to_numpy(), flat)


def mask_infinite(values: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
    """Return values with NaN for infinite ones."""
    return np.where(np.isfinite(values), values, np.nan)


def connectivity(series: Float[np.ndarray, "time parcels"]) -> Float[np.ndarray, "parcels parcels"]:
    """Return Pearson's correlation of each pair; NaN where a series is constant or holds NaN."""
    values = standardise(series)
    # Rounding takes the correlation of a series with itself beyond 1.
    return (values.T @ values / max(len(series) - 1, 1)).clip(-1, 1)
