"""From values to colours: where a scale begins and ends, and what lies beyond it."""

import dataclasses
from typing import Any, TypeAlias

import matplotlib
import matplotlib.colors
import numpy as np
from jaxtyping import Float

from atlasinit.errors import ArgumentError, ArgumentTypeError, format_count, nearest
from atlasinit.support.formatting import format_number
from atlasinit.support.numbers import check_number

ColorMap: TypeAlias = str | matplotlib.colors.Colormap
"""A colormap of Matplotlib, or its name."""

SEQUENTIAL = "viridis"
DIVERGING = "RdBu_r"
"""Blue below 0, red above, which any common colour vision tells apart."""

_FROM = 0.15
"""Where the colours begin for pages: the darkest would be lost on a dark one."""

_ENDS, _DIMMED = 0.06, 0.85
"""The same of colours around 0, whose middle is white: it would be lost on a light page."""

_LARGEST = 1e300


@dataclasses.dataclass(frozen=True, eq=False)
class ColorScale:
    """Colours of the values from `low` to `high`.

    Parameters
    ----------
    low, high
        The ends; what lies beyond takes their colours.
    colormap
        From `low` to `high`.
    below, above
        Numbers of values beyond the ends.
    least, most
        The smallest and the largest of the finite values, NaN without any.
    """

    low: float
    high: float
    colormap: matplotlib.colors.Colormap
    below: int = 0
    above: int = 0
    least: float = float("nan")
    most: float = float("nan")

    def __call__(self, values: Float[np.ndarray, "..."]) -> Float[np.ndarray, "... 4"]:
        """Return RGBA in [0, 1]; transparent where a value is NaN or infinite."""
        finite = np.isfinite(values)
        norm = matplotlib.colors.Normalize(self.low, self.high, clip=True)
        colors = self.colormap(norm(np.where(finite, values, self.low)))
        return np.where(finite[..., None], colors, 0.0)

    @property
    def extend(self) -> str:
        """Which ends have an arrow, as Matplotlib's colour bars take it."""
        return ("neither", "min", "max", "both")[bool(self.below) + 2 * bool(self.above)]

    @property
    def beyond(self) -> str:
        """What lies beyond the ends in words; empty where nothing does."""
        count = self.below + self.above
        if not count:
            return ""
        least, most = format_number(self.least), format_number(self.most)
        return f"{format_count(count, 'value')} beyond; all from {least} to {most}"


def scale_values(
    values: Float[np.ndarray, "..."],
    *,
    cmap: ColorMap | None = None,
    vmin: float | int | None = None,
    vmax: float | int | None = None,
    symmetric: bool | None = None,
    sequential: ColorMap = SEQUENTIAL,
    diverging: matplotlib.colors.Colormap | None = None,
) -> ColorScale:
    """Return the colour scale of values: all of their range, or what is asked for.

    Parameters
    ----------
    values
        NaN and infinity do not count.
    cmap
        A colormap of Matplotlib or its name; by default `sequential`, and blue to red with
        0 in the middle where the scale has both signs.
    vmin, vmax
        The ends; by default those of the values.
    diverging
        Colours of scales of both signs in place of these, with the middle at 0.
    symmetric
        Whether the ends are as far from 0. By default those of values of both signs are,
        unless both ends or a `cmap` are given.

    Raises
    ------
    ValueError
        Ends that are not finite, that do not ascend, or not symmetric where that is asked
        for; an unknown colormap.
    """
    ends = [
        None if v is None else _check_end(v, name) for v, name in ((vmin, "vmin"), (vmax, "vmax"))
    ]
    finite = values[np.isfinite(values)]
    least, most = (float(finite.min()), float(finite.max())) if finite.size else (np.nan, np.nan)
    low, high = ends[0], ends[1]
    signed = (least if low is None else low) < 0 < (most if high is None else high)
    if symmetric is None:
        symmetric = bool(signed and cmap is None and (low is None or high is None))
    if symmetric:
        low, high = _mirror(low, high, largest=float(np.abs(finite).max(initial=0)))
    elif finite.size:
        low, high = least if low is None else low, most if high is None else high
    low, high = _widen(low, high, given=ends)
    if cmap is None and low < 0 < high:
        colormap = _centre(low, high, diverging or diverging_colormap())
    else:
        colormap = _find(sequential if cmap is None else cmap)
    return ColorScale(
        low,
        high,
        colormap,
        below=int(np.count_nonzero(finite < low)),
        above=int(np.count_nonzero(finite > high)),
        least=least,
        most=most,
    )


def page_colormap() -> matplotlib.colors.Colormap:
    """Return the sequential colours without their darkest, for a light and a dark page."""
    colormap = matplotlib.colormaps[SEQUENTIAL]
    return matplotlib.colors.ListedColormap(colormap(np.linspace(_FROM, 1, 256)))


def page_diverging_colormap() -> matplotlib.colors.Colormap:
    """Return colours around 0 without white and without the darkest, for light and dark pages."""
    colors = diverging_colormap()(np.linspace(_ENDS, 1 - _ENDS, 256))
    return matplotlib.colors.ListedColormap(
        np.column_stack([_DIMMED * colors[:, :3], colors[:, 3]])
    )


def diverging_colormap() -> matplotlib.colors.Colormap:
    """Return the colours of values around 0: blue below, red above."""
    return matplotlib.colormaps[DIVERGING]


def _check_end(value: Any, name: str) -> float | None:
    if value is None:
        return None
    return check_number(value, name, least=-_LARGEST, most=_LARGEST)


def _mirror(low: float | None, high: float | None, *, largest: float) -> tuple[float, float]:
    """Return ends as far from 0 on either side."""
    if low is not None and high is not None and not np.isclose(low, -high):
        raise ArgumentError(
            "symmetric",
            f"asks for ends as far from 0, got {low:g} and {high:g}",
            "give one of them",
        )
    end = abs(high if high is not None else low if low is not None else largest)
    return -end, end


def _widen(
    low: float | None, high: float | None, *, given: list[float | None]
) -> tuple[float, float]:
    """Return the ends, apart where all values are one; raise where those given do not ascend."""
    # Without any value: what is given, and 1 away from it.
    low = (0.0 if high is None else high - 1) if low is None else low
    high = low + 1 if high is None else high
    if low < high:
        return low, high
    if low == high and given == [None, None]:
        half = abs(low) / 10 or 0.5
        return low - half, high + half
    which = "vmin" if given[0] is not None else "vmax"
    raise ArgumentError(
        which,
        f"leaves a scale from {low:g} to {high:g}",
        "`vmin` should be below `vmax`, and below the values where that is not given",
    )


def _centre(
    low: float, high: float, diverging: matplotlib.colors.Colormap
) -> matplotlib.colors.Colormap:
    """Return the diverging colours from `low` to `high`, with their middle at 0."""
    end = max(-low, high)
    share = np.linspace(0.5 + low / (2 * end), 0.5 + high / (2 * end), 256)
    return matplotlib.colors.ListedColormap(diverging(share))


def _find(cmap: Any) -> matplotlib.colors.Colormap:
    if isinstance(cmap, matplotlib.colors.Colormap):
        return cmap
    if not isinstance(cmap, str):
        raise ArgumentTypeError(
            "cmap", f"should be a colormap of Matplotlib or its name, got {type(cmap).__name__}"
        )
    if cmap not in matplotlib.colormaps:
        hint = nearest(cmap, list(matplotlib.colormaps))
        raise ArgumentError("cmap", f": Matplotlib has no colormap {cmap!r}", hint)
    return matplotlib.colormaps[cmap]
