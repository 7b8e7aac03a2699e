"""What parcels are painted in: their colours, and those of values."""

import dataclasses
import math
from collections.abc import Mapping

import numpy as np
from jaxtyping import Float, UInt8

from atlasinit.figures.palettes import Coloring, color_parcels, color_values
from atlasinit.figures.scales import ColorScale
from atlasinit.report.pictures import show_scale
from atlasinit.support.formatting import format_number


@dataclasses.dataclass(frozen=True, eq=False)
class Painting:
    """Colours of all parcels, with what they mean.

    Parameters
    ----------
    title
        Of the values, or of the atlas.
    colors
        (parcels + 1, 4) RGBA; the first of what belongs to no parcel.
    texts
        The value of each parcel with its unit; empty for the parcels' own colours.
    scale
        ``low``, ``high``, ``unit``, ``beyond`` and the ``gradient`` between them as CSS; empty
        for the parcels' own colours.
    hatched
        The rows from 1 that have stripes in volumes, as `Coloring` says.
    """

    title: str
    colors: UInt8[np.ndarray, "rows 4"]
    texts: tuple[str, ...] = ()
    scale: Mapping[str, str] = dataclasses.field(default_factory=dict)
    hatched: tuple[int, ...] = ()


def paint_parcels(title: str, colors: Float[np.ndarray, "parcels 3"]) -> Painting:
    """Return the parcels in their own colours."""
    own = color_parcels(colors)
    return Painting(title, _as_bytes(own.colors), hatched=_number(own))


def paint_values(
    title: str, values: Float[np.ndarray, " parcels"], scale: ColorScale, unit: str
) -> Painting:
    """Return the parcels in the colours of a scale; grey where a value is NaN or infinite."""
    own = color_values(scale(values))
    bar = show_scale(scale, unit=unit)
    shown = {
        "low": f"\N{LESS-THAN OR EQUAL TO} {bar.low}" if scale.below else bar.low,
        "high": f"\N{GREATER-THAN OR EQUAL TO} {bar.high}" if scale.above else bar.high,
        "unit": bar.unit,
        "beyond": scale.beyond,
        "gradient": bar.gradient,
    }
    texts = tuple(_tell(value, unit) for value in values.tolist())
    return Painting(title, _as_bytes(own.colors), texts, shown, _number(own))


def _tell(value: float, unit: str) -> str:
    # Infinity has no place on a scale either.
    return (
        "no value" if not math.isfinite(value) else f"{format_number(value, '.4g')} {unit}".rstrip()
    )


def _number(own: Coloring) -> tuple[int, ...]:
    return tuple((np.flatnonzero(own.hatched) + 1).tolist())


def _as_bytes(colors: Float[np.ndarray, "parcels 4"]) -> UInt8[np.ndarray, "rows 4"]:
    return np.vstack([np.zeros(4), np.round(255 * colors)]).astype(np.uint8)
