"""The time series of parcels as the page shows them."""

import dataclasses

import numpy as np
from jaxtyping import Float, Int

from atlasinit.core.atlas import Atlas
from atlasinit.figures.scales import diverging_colormap
from atlasinit.figures.standardising import standardise
from atlasinit.report.charts import Band, band
from atlasinit.report.matrices import Matrix, connectivity_matrix, count_rows
from atlasinit.report.pictures import Picture, Scale, matrix

LEAST = 3
"""Time points of which a correlation says something."""

_PIXELS = 600
_LIMIT = 2.5
"""Standard deviations that the colours reach to."""


@dataclasses.dataclass(frozen=True)
class SeriesSection:
    """What the page shows of time series.

    Parameters
    ----------
    n_time, t_r
        Number of time points, and the time between two in s where it was given.
    band
        The mean over parcels; None where no parcel has a value at all times.
    carpet, scale
        Every parcel's series as an image, and its colour bar.
    axis
        Pairs of a compartment and its number of parcels, along the image's rows.
    connectivity
        None of fewer than `LEAST` time points.
    """

    n_time: int
    t_r: float | None
    band: Band | None
    carpet: Picture
    scale: Scale
    axis: tuple[tuple[str, int], ...]
    connectivity: Matrix | None


def build_series(
    atlas: Atlas,
    series: Float[np.ndarray, "time parcels"],
    *,
    t_r: float | None,
    numbers: Int[np.ndarray, " time"] | None = None,
) -> SeriesSection | None:
    """Return what is shown of the series of an atlas's parcels; None of a single time point.

    `numbers` are those of the time points within their run, by default all from 0.
    """
    n_time = len(series)
    if n_time < 2:
        return None
    # Without a repetition time the axis counts time points.
    unit, step = ("", 1.0) if t_r is None else ("s", t_r)
    # Parcels along the rows, time along the columns, as carpet plots have them.
    carpet, scale = matrix(
        standardise(series).T,
        low=-_LIMIT,
        high=_LIMIT,
        colormap=diverging_colormap(),
        alt=f"Carpet plot of {atlas.n_parcels} parcels and {n_time} time points.",
        unit="standard deviations",
        largest=_PIXELS,
    )
    return SeriesSection(
        n_time,
        t_r,
        band=band(series, (np.arange(n_time) if numbers is None else numbers) * step, unit=unit),
        carpet=carpet,
        scale=scale,
        axis=count_rows(atlas),
        connectivity=connectivity_matrix(atlas, series) if n_time >= LEAST else None,
    )
