"""Time series of parcels as a carpet: a row per parcel, time to the right."""

from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from atlasinit.core.atlas import Atlas
from atlasinit.core.checking import check_atlas
from atlasinit.core.named_values import align_values
from atlasinit.errors import ArgumentError
from atlasinit.figures.blocks import draw_blocks, measure_names, order_parcels
from atlasinit.figures.matrices import draw_scale
from atlasinit.figures.scales import ColorMap, scale_values
from atlasinit.figures.standardising import standardise
from atlasinit.figures.texts import shorten_text
from atlasinit.support.numbers import check_number

WIDTH, HEIGHT = 8.0, 4.5
"""Of the carpet, in inches, as all below."""

_LEFT, _RIGHT, _BELOW, _ABOVE, _TRACE = 0.9, 1.3, 0.6, 0.4, 1.0
_LIMIT = 2.5
"""Standard deviations that the colours of standardised series reach to."""


def plot_series(
    series: Any,
    atlas: Atlas,
    *,
    t_r: float | int | None = None,
    standardize: bool = True,
    order: str = "network",
    cmap: ColorMap | None = None,
    vmin: float | int | None = None,
    vmax: float | int | None = None,
    title: str | None = None,
    units: str | None = None,
) -> Figure:
    """Return a figure of the time series of parcels: their mean, and a carpet in networks.

    Like ``nilearn.plotting.plot_carpet``, of parcels in place of voxels.

    Parameters
    ----------
    series
        (time, parcels), as `AtlasMasker.transform` returns it and as ``project(...).T`` is; or a
        DataFrame whose columns name the parcels. NaN and infinity are grey;
        standardised, so is a whole series with any, or a constant one. A time at which no parcel
        has a value is a gap, as of a volume that was left out, and is grey alone.
    atlas
        Whose parcels they are.
    t_r
        Seconds between two time points; without it the axis counts them.
    standardize
        Whether each parcel's series is shown with mean 0 and standard deviation 1 (divisor
        n - 1), from -2.5 to 2.5 unless `vmin` or `vmax` say otherwise.
    order
        As for `plot_matrix`.
    cmap, vmin, vmax
        As for `plot_atlas`.
    title
        By default the atlas's name.
    units
        What is written beside the colour bar; by default standard deviations of standardised
        series.

    Raises
    ------
    ValueError
        Another shape, names that are not the atlas's, fewer than two time points, a `t_r` that
        is not positive, and as `plot_matrix`.
    TypeError
        An `atlas` of another type, values that are not real numbers.

    Examples
    --------
    >>> import jax, numpy as np, atlasinit as ai
    >>> grid = ai.VolumeGrid((6, 6, 6), np.eye(4))
    >>> atlas = ai.dirichlet_atlas({"volume": grid}, n_parcels=5, key=jax.random.key(0))
    >>> series = np.random.default_rng(0).normal(size=(50, 5))
    >>> figure = plot_series(series, atlas, t_r=2)
    """
    from matplotlib import pyplot

    check_atlas(atlas)
    found = align_values(series, atlas.table, argument="series", parcels_last=True).array
    if found.ndim != 2 or found.shape[-1] < 2:
        raise ArgumentError(
            "series",
            f"should be (time, {atlas.n_parcels} parcels) of two time points or more, got shape "
            f"{np.shape(series)}",
        )
    step = 1.0 if t_r is None else check_number(t_r, "t_r", least=1e-9)
    # (parcels, time), as carpets have them; infinity is on no scale, and has no mean.
    values = np.where(np.isfinite(found), found, np.nan).astype(np.float64)
    blocks = order_parcels(atlas, order=order)
    there = np.isfinite(values).any(axis=0)
    shown = values.copy()
    if standardize:
        shown[:, there] = standardise(values[:, there].T).T
    if standardize and vmin is None and vmax is None:
        vmin, vmax = -_LIMIT, _LIMIT
    if units is None:
        units = "standard deviations" if standardize else ""
    scale = scale_values(shown, cmap=cmap, vmin=vmin, vmax=vmax)
    pyplot.install_repl_displayhook()
    # At the least for the numbers beside the mean.
    left = max(measure_names(atlas, blocks, HEIGHT), _LEFT)
    width, height = left + WIDTH + _RIGHT, _BELOW + HEIGHT + _TRACE + _ABOVE
    figure = Figure(figsize=(width, height))
    axes = figure.add_axes((left / width, _BELOW / height, WIDTH / width, HEIGHT / height))
    axes.set_facecolor("0.66")
    n_time = shown.shape[1]
    extent = (-0.5 * step, (n_time - 0.5) * step, len(shown) - 0.5, -0.5)
    picture = scale(shown[blocks.rows])
    axes.imshow(picture, aspect="auto", interpolation="nearest", extent=extent)
    axes.set_xlabel("time point" if t_r is None else "time, s")
    # Half a time point is none.
    axes.xaxis.set_major_locator(MaxNLocator(nbins=9, integer=t_r is None))
    axes.set_yticks([])
    draw_blocks(axes, atlas, blocks, sides="y")
    trace = figure.add_axes(
        (left / width, (_BELOW + HEIGHT + 0.1) / height, WIDTH / width, _TRACE / height),
        sharex=axes,
    )
    whole = values[np.isfinite(values[:, there]).all(axis=1)]
    if len(whole) and there.any():
        trace.plot(np.arange(n_time) * step, whole.mean(axis=0), color="black", linewidth=0.8)
    trace.tick_params(labelbottom=False)
    # Long numbers are told by a power of ten, at the right, as the title is at the left.
    trace.ticklabel_format(axis="y", scilimits=(-3, 4))
    trace.yaxis.get_offset_text().set(x=1, ha="right", fontsize="small")
    trace.set_ylabel("mean", fontsize="small")
    heading = shorten_text(atlas.name if title is None else title, 12.0, room=WIDTH)
    trace.set_title(heading, loc="left", parse_math=False)
    draw_scale(figure, scale, units, right=_RIGHT, bottom=_BELOW, tall=HEIGHT)
    return figure
