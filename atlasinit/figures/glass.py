"""Connectomes in a glass brain: parcels as points, their strongest connections as lines."""

import warnings
from typing import Any

import numpy as np
from jaxtyping import Bool, Float
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from atlasinit.core.atlas import Atlas
from atlasinit.core.checking import check_atlas
from atlasinit.core.mesh import advise_surface
from atlasinit.core.named_values import align_matrix
from atlasinit.errors import ArgumentError, format_count
from atlasinit.figures.legends import count_lines, draw_legend
from atlasinit.figures.matrices import draw_scale
from atlasinit.figures.palettes import network_colors, parcel_colors
from atlasinit.figures.scales import ColorMap, scale_values
from atlasinit.io.centres import parcel_centres
from atlasinit.support.formatting import format_number
from atlasinit.support.numbers import check_number

EDGES = 200
"""Connections that are drawn where nobody says which: more hide each other."""

WIDTH, HEIGHT = 11.0, 3.6
"""Of the brains, in inches, as all below."""

_RIGHT, _ABOVE, _LINE = 1.3, 0.4, 0.24
_NAMED = 20
"""Parcels with connections up to which each has a number beside it and its name below."""

_RING = "0.15"

_ROUNDING = 1e-3
"""Share by which entries may differ for nilearn to take a matrix for symmetric."""

_POINTS = 3000.0
"""Points squared that all parcels cover together, of which none has more than 50."""


def plot_connectome(
    matrix: Any,
    atlas: Atlas,
    *,
    edge_threshold: float | int | str | None = None,
    palette: str = "network",
    display_mode: str = "ortho",
    cmap: ColorMap | None = None,
    vmin: float | int | None = None,
    vmax: float | int | None = None,
    symmetric: bool | None = None,
    title: str | None = None,
    units: str = "",
) -> Figure:
    """Return a figure of a connectome in a glass brain: parcels as points, connections as lines.

    Drawn by ``nilearn.plotting.plot_connectome``, with places, names and networks from the
    atlas. The glass brain is that of MNI152; parcels lie in it where the atlas's own millimetres
    say: centres of mass in volumes, on the anatomical surface of a cortex, as of fsaverage and
    fsLR, which lie nearly as MNI152 does.

    Parameters
    ----------
    matrix
        (parcels, parcels): a DataFrame that names parcels on both sides, in any order, as
        `connectome` returns it, or an array in the order of ``atlas.labels``. The diagonal is
        not drawn, nor are NaN and infinity; of a matrix that is not symmetric lines are arrows,
        from row to column.
    atlas
        Whose parcels they are.
    edge_threshold
        The least absolute value that is drawn, or a percentile of those that are not 0, as
        ``"95%"``; by default such that `EDGES` lines are. What is drawn is said below.
    palette
        Of the points, as for `atlasinit.figures.parcel_colors`.
    display_mode
        Of nilearn, as ``"ortho"``, ``"lyrz"`` or ``"x"``.
    cmap, vmin, vmax, symmetric
        Of the lines, as for `plot_atlas`; but by default 0 is in the middle also where all that
        is drawn has one sign.
    title
        By default the atlas's name.
    units
        What is written beside the colour bar, as ``"Pearson's r"``.

    Raises
    ------
    ValueError
        Another shape, names that are not the atlas's, a threshold that is none, a mesh without
        an anatomical surface, and as `plot_atlas`.
    TypeError
        An `atlas` of another type, entries that are not real numbers.

    Examples
    --------
    >>> import jax, numpy as np, atlasinit as ai
    >>> grid = ai.VolumeGrid((9, 9, 9), np.diag([10.0, 10, 10, 1]))
    >>> atlas = ai.dirichlet_atlas({"volume": grid}, n_parcels=5, key=jax.random.key(0))
    >>> series = np.random.default_rng(0).normal(size=(50, 5))
    >>> figure = plot_connectome(ai.connectome(series, atlas), atlas, edge_threshold=0.1)
    """
    from matplotlib import pyplot
    from nilearn.plotting import plot_connectome as draw

    check_atlas(atlas)
    values = np.asarray(align_matrix(matrix, atlas.table), dtype=np.float64)
    places = _find_places(atlas)
    # A parcel without a location has no place.
    lies = np.asarray(np.isfinite(places).all(axis=1))
    values = _keep_drawable(values, lies)
    threshold = _find_threshold(values, edge_threshold)
    shown = np.where(np.abs(values) >= threshold, values, 0.0)
    edges = _count_once(shown)
    if symmetric is None and cmap is None and (vmin is None or vmax is None):
        # As nilearn's: the colour tells the sign also where all that is drawn has one.
        symmetric = True
    scale = scale_values(edges, cmap=cmap, vmin=vmin, vmax=vmax, symmetric=symmetric)
    colors = parcel_colors(atlas, palette=palette)
    joined = (shown != 0).any(axis=0) | (shown != 0).any(axis=1)
    networks = {} if palette == "safe" else network_colors(atlas, colors)
    named = joined if joined.sum() <= _NAMED else np.zeros_like(joined)
    keys = networks | {
        f"{i} {atlas.table['name'][row]}": colors[row]
        for i, row in enumerate(np.flatnonzero(named), start=1)
    }
    pyplot.install_repl_displayhook()
    width = WIDTH + _RIGHT
    below = _LINE * (1 + count_lines(keys, width))
    height = HEIGHT + _ABOVE + below
    figure = Figure(figsize=(width, height))
    with warnings.catch_warnings():
        # Told below the brains, in words.
        warnings.filterwarnings("ignore", "'adjacency_matrix' is not symmetric")
        display = draw(
            shown[np.ix_(lies, lies)],
            places[lies],
            node_color=list(colors[lies]),
            node_size=np.full(lies.sum(), min(50.0, _POINTS / max(lies.sum(), 1))),
            # Rings, as the brain is drawn in grey, and some parcels are grey themselves.
            node_kwargs={"edgecolors": _RING, "linewidths": 0.6},
            edge_cmap=scale.colormap,
            edge_vmin=scale.low,
            edge_vmax=scale.high,
            display_mode=display_mode,
            figure=figure,
            axes=(0.0, below / height, WIDTH / width, HEIGHT / height),
            colorbar=False,
        )
    figure.suptitle(
        atlas.name if title is None else title, x=0.01, ha="left", va="top", parse_math=False
    )
    _number_points(display, places, named)
    said = _describe(values, edges, threshold=threshold, lies=lies)
    figure.text(0.01, 0.3 * _LINE / height, said, fontsize="small", va="bottom")
    handles = [
        Line2D(
            [], [], marker="o", linestyle="", color=tuple(color), markeredgecolor=_RING, label=name
        )
        for name, color in keys.items()
    ]
    draw_legend(figure, handles, width=width, bottom=_LINE / height)
    if edges.size:
        draw_scale(figure, scale, units, right=_RIGHT, bottom=below, tall=HEIGHT)
    return figure


def _find_places(atlas: Atlas) -> Float[np.ndarray, "parcels 3"]:
    """Return the centre of each parcel; raise where parcels that have locations have none."""
    places = parcel_centres(atlas)
    lost = ~np.isfinite(places).all(axis=1) & (np.asarray(atlas.labels["n_locations"]) > 0)
    if lost.any():
        homes = sorted({str(atlas.table["compartment"][row]) for row in np.flatnonzero(lost)})
        raise ArgumentError(
            "atlas",
            f": the mesh of {homes[0]!r} has no anatomical surface to place parcels on",
            advise_surface("anatomical"),
        )
    return places


def _keep_drawable(
    values: Float[np.ndarray, "parcels parcels"], lies: Bool[np.ndarray, " parcels"]
) -> Float[np.ndarray, "parcels parcels"]:
    """Return a matrix with 0 where nothing is drawn, symmetric where it is but for rounding."""
    drawable = np.isfinite(values) & lies[:, None] & lies & ~np.eye(len(values), dtype=bool)
    values = np.where(drawable, values, 0.0)
    return (values + values.T) / 2 if np.allclose(values, values.T, rtol=_ROUNDING) else values


def _find_threshold(values: np.ndarray, asked: float | int | str | None) -> float:
    """Return the least absolute value that is drawn."""
    sizes = np.sort(np.abs(_count_once(values)))
    if asked is None:
        return float(sizes[-EDGES]) if sizes.size > EDGES else 0.0
    if not isinstance(asked, str):
        return check_number(asked, "edge_threshold", least=0)
    try:
        share = float(asked.removesuffix("%")) if asked.endswith("%") else np.nan
    except ValueError:
        share = np.nan
    if not 0 <= share <= 100:
        raise ArgumentError(
            "edge_threshold", f'should be a number or a percentile as "95%", got {asked!r}'
        )
    return float(np.percentile(sizes, share)) if sizes.size else 0.0


def _count_once(values: np.ndarray) -> np.ndarray:
    """Return the entries that are not 0; those of a symmetric matrix once."""
    entries = np.tril(values) if (values == values.T).all() else values
    return entries[entries != 0]


def _describe(
    values: np.ndarray, edges: np.ndarray, *, threshold: float, lies: Bool[np.ndarray, " parcels"]
) -> str:
    """Return in words which connections are drawn."""
    count = _count_once(values).size
    said = f"{edges.size} of {format_count(count, 'connection')}"
    said += f", those of {format_number(threshold)} or more in size." if edges.size < count else "."
    if (values != values.T).any():
        said += " Arrows run from the row to the column."
    missing = int(np.count_nonzero(~lies))
    if missing:
        said += f" {format_count(missing, 'parcel')} without a location."
    return said


def _number_points(display: Any, places: np.ndarray, named: Bool[np.ndarray, " parcels"]) -> None:
    """Write the numbers of the parcels named below beside them, in each of the brains."""
    for projected in display.axes.values():
        keeps = {"x": (1, 2), "l": (1, 2), "r": (1, 2), "y": (0, 2), "z": (0, 1)}
        across, up = keeps[projected.direction]
        # Those from one side show its hemisphere alone.
        hidden = {"l": places[:, 0] >= 0, "r": places[:, 0] < 0}.get(projected.direction)
        for number, row in enumerate(np.flatnonzero(named), start=1):
            if hidden is None or not hidden[row]:
                projected.ax.annotate(
                    str(number),
                    (places[row, across], places[row, up]),
                    xytext=(3, 3),
                    textcoords="offset points",
                    fontsize="x-small",
                    zorder=40,
                )
