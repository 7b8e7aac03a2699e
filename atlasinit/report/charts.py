"""Small charts as coordinates, which the page draws in its own colours."""

import dataclasses
from collections.abc import Callable

import numpy as np
from jaxtyping import Float

from atlasinit.support.formatting import format_number

WIDTH, HEIGHT = 600, 150
"""Of the area that is drawn in."""


@dataclasses.dataclass(frozen=True)
class Bars:
    """A histogram: bars as (x, y, width, height), and what stands below and beside.

    Parameters
    ----------
    title, alt
        Its caption, and its description in words.
    bars
        In the area of `WIDTH` x `HEIGHT`.
    ticks
        Pairs of x and a label.
    most
        The count that the highest bar reaches.
    """

    title: str
    alt: str
    bars: tuple[tuple[float, float, float, float], ...]
    ticks: tuple[tuple[float, str], ...]
    most: int


@dataclasses.dataclass(frozen=True)
class Band:
    """A line with a band around it, as the points of SVG polygons."""

    title: str
    alt: str
    line: str
    band: str
    low: str
    high: str
    ticks: tuple[tuple[float, str], ...]


def histogram(
    values: Float[np.ndarray, " n"],
    *,
    title: str,
    unit: str,
    what: str = "parcels",
    linear: bool = False,
) -> Bars | None:
    """Return how many values there are of each size, or None where there are none.

    The scale is logarithmic, and of values above 0, unless it is `linear`.
    """
    values = values[np.isfinite(values) & (linear | (values > 0))]
    if not values.size:
        return None
    places = values if linear else np.log10(values)
    low, high = places.min(), places.max()
    # At least a tenth (of a decade), so that parcels of one size are a bar and not a line.
    low, high = (low, high) if high - low > 0.1 else (low - 0.05, high + 0.05)
    # About four parcels per bin; more than 24 bars are too thin, fewer than 6 show no shape.
    counts, edges = np.histogram(places, bins=min(24, max(6, values.size // 4)), range=(low, high))
    x = (edges - low) / (high - low) * WIDTH
    most = int(counts.max())
    heights = counts / most * HEIGHT
    # (x, y, width, height); y is of the upper edge, as it grows downwards in SVG.
    corners = np.column_stack([x[:-1], HEIGHT - heights, np.diff(x), heights]).round(1)
    bars = tuple((a, b, c, d) for a, b, c, d in corners.tolist() if d)
    ticks = _ticks(low, high, lambda x: format_number(x if linear else 10**x))
    smallest, middle, largest = np.percentile(values, [0, 50, 100])
    alt = (
        f"Histogram of {values.size} {what}: smallest {format_number(smallest)}, median "
        f"{format_number(middle)}, largest "
        f"{format_number(largest)} {unit}".strip()
        + "."
    )
    return Bars(title, alt, bars, ticks, most)


def band(
    series: Float[np.ndarray, "time parcels"], times: Float[np.ndarray, " time"], *, unit: str
) -> Band | None:
    """Return the mean over parcels at each time, with 80 % of the parcels around it."""
    # A parcel that comes and goes would move the mean by itself.
    whole = series[:, np.isfinite(series).all(axis=0)]
    if not whole.shape[1]:
        return None
    below, above = np.percentile(whole, [10, 90], axis=1)
    drawn = draw_band(
        times,
        (below, whole.mean(axis=1), above),
        title="Mean over parcels, and the range of 80 % of them",
        alt=f"Mean over {whole.shape[1]} parcels against time",
        unit=unit,
    )
    return dataclasses.replace(drawn, alt=f"{drawn.alt}, from {drawn.low} to {drawn.high}.")


def draw_band(
    places: Float[np.ndarray, " n"],
    curves: tuple[np.ndarray, np.ndarray, np.ndarray],
    *,
    title: str,
    alt: str,
    unit: str,
) -> Band:
    """Return a line with a band around it.

    Parameters
    ----------
    places
        Along the axis, two or more that grow, in `unit`.
    curves
        The lower edge, the line and the upper edge at these.
    title, alt
        As of `Band`.
    unit
        Of the axis.
    """
    below, middle, above = curves
    low, high = float(min(below.min(), middle.min())), float(max(above.max(), middle.max()))
    span = (high - low) or 1.0  # of series that are constant
    x = (places - places[0]) / (places[-1] - places[0]) * WIDTH

    def points(values: np.ndarray) -> list[str]:
        y = HEIGHT - (values - low) / span * HEIGHT
        return [f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True)]

    return Band(
        title=title,
        alt=alt,
        line=" ".join(points(middle)),
        # A closed outline: along the upper edge, and back along the lower.
        band=" ".join([*points(above), *points(below)[::-1]]),
        low=format_number(low),
        high=format_number(high),
        ticks=_ticks(
            places[0],
            places[-1],
            lambda at: f"{format_number(at)} {unit}".strip(),
            counted=not unit,
        ),
    )


def _ticks(
    low: float, high: float, text: Callable[[float], str], *, counted: bool = False
) -> tuple[tuple[float, str], ...]:
    """Return five labels along the axis of an area, or fewer at whole numbers where it counts."""
    shares = np.linspace(0, 1, 5)
    if counted:
        shares = (np.unique((low + shares * (high - low)).round()) - low) / (high - low)
    return tuple((round(x * WIDTH, 1), text(low + x * (high - low))) for x in shares.tolist())
