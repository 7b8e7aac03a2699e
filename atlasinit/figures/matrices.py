"""Matrices of parcels by parcels, as connectomes, with names and networks."""

from typing import Any

import matplotlib.colors
import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure

from atlasinit.core.atlas import Atlas
from atlasinit.core.checking import check_atlas
from atlasinit.core.named_values import align_matrix
from atlasinit.figures.blocks import draw_blocks, measure_names, order_parcels
from atlasinit.figures.scales import ColorMap, ColorScale, scale_values
from atlasinit.figures.texts import shorten_text
from atlasinit.support.formatting import format_number

SIZE = 7.0
"""Of the picture, in inches, as all below."""

_RIGHT, _ABOVE = 1.3, 0.5
_GREY = "0.66"


def plot_matrix(
    matrix: Any,
    atlas: Atlas,
    *,
    order: str = "network",
    cmap: ColorMap | None = None,
    vmin: float | int | None = None,
    vmax: float | int | None = None,
    symmetric: bool | None = None,
    title: str | None = None,
    units: str = "",
) -> Figure:
    """Return a figure of a matrix of parcels by parcels, as a connectome, in blocks of networks.

    Parcels are named on both sides where there is room, else networks are. Like
    ``nilearn.plotting.plot_matrix``, with names and order from the atlas.

    Parameters
    ----------
    matrix
        (parcels, parcels): a DataFrame that names parcels on both sides, in any order, as
        `connectome` returns it, or an array in the order of ``atlas.labels``. NaN and
        infinity are grey, and count for no scale.
    atlas
        Whose parcels they are.
    order
        ``"network"``: one block for each network, in the order in which the table first names
        them; ``"table"``: the order of the table, in blocks of compartments, as also without
        networks.
    cmap, vmin, vmax, symmetric
        As for `plot_atlas`. The scale is that of the entries beside the diagonal, which is
        often a constant; where the diagonal lies beyond it, it is grey, and its values are
        said below the colour bar.
    title
        By default the atlas's name.
    units
        What is written beside the colour bar, as ``"Pearson's r"``.

    Raises
    ------
    ValueError
        Another shape, names that are not the atlas's, another `order`, and as `plot_atlas`.
    TypeError
        An `atlas` of another type, entries that are not real numbers.

    Examples
    --------
    >>> import jax, numpy as np, atlasinit as ai
    >>> grid = ai.VolumeGrid((6, 6, 6), np.eye(4))
    >>> atlas = ai.dirichlet_atlas({"volume": grid}, n_parcels=5, key=jax.random.key(0))
    >>> series = np.random.default_rng(0).normal(size=(50, 5))
    >>> figure = plot_matrix(ai.connectome(series, atlas), atlas, units="Pearson's r")
    """
    from matplotlib import pyplot

    check_atlas(atlas)
    values = np.array(align_matrix(matrix, atlas.table), dtype=np.float64)
    blocks = order_parcels(atlas, order=order)
    beside = values[~np.eye(len(values), dtype=bool)]
    # A single parcel has no other entry.
    scale = scale_values(
        beside if beside.size else values.reshape(-1),
        cmap=cmap,
        vmin=vmin,
        vmax=vmax,
        symmetric=symmetric,
    )
    pyplot.install_repl_displayhook()
    left = below = measure_names(atlas, blocks, SIZE)
    width, height = left + SIZE + _RIGHT, below + SIZE + _ABOVE
    figure = Figure(figsize=(width, height))
    axes = figure.add_axes((left / width, below / height, SIZE / width, SIZE / height))
    diagonal = np.diag(values)[np.isfinite(np.diag(values))]
    beyond = diagonal.size and not (scale.low <= diagonal.min() <= diagonal.max() <= scale.high)
    if beyond:
        # The colour of the end would be that of another value.
        np.fill_diagonal(values, np.nan)
    shown = scale(values[np.ix_(blocks.rows, blocks.rows)])
    axes.set_facecolor(_GREY)
    axes.imshow(shown, interpolation="nearest")
    axes.set_xticks([])
    axes.set_yticks([])
    heading = shorten_text(atlas.name if title is None else title, 12.0, room=SIZE)
    axes.set_title(heading, loc="left", parse_math=False)
    draw_blocks(axes, atlas, blocks, sides="yx")
    note = f"diagonal, {_name_range(diagonal)},\nbeyond: grey" if beyond else ""
    draw_scale(figure, scale, units, right=_RIGHT, bottom=below, tall=SIZE, note=note)
    return figure


def _name_range(values: np.ndarray) -> str:
    least, most = (format_number(end) for end in (values.min(), values.max()))
    return least if least == most else f"{least} to {most}"


def draw_scale(
    figure: Figure,
    scale: ColorScale,
    unit: str,
    *,
    right: float,
    bottom: float,
    tall: float,
    note: str = "",
) -> None:
    """Draw a colour bar at the right of a figure, and say below it what lies beyond, and a note."""
    width, height = figure.get_size_inches()
    left = (width - right + 0.2) / width
    axes = figure.add_axes(
        (left, (bottom + 0.2 * tall) / height, 0.16 / width, 0.6 * tall / height)
    )
    norm = matplotlib.colors.Normalize(scale.low, scale.high)
    figure.colorbar(ScalarMappable(norm, scale.colormap), cax=axes, label=unit, extend=scale.extend)
    said = "\n".join(text.replace("; ", ";\n") for text in (scale.beyond, note) if text)
    if said:
        y = (bottom + 0.17 * tall) / height
        figure.text(1 - 0.05 / width, y, said, fontsize="x-small", ha="right", va="top")
