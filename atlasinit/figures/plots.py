"""Figures for notebooks and files."""

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.colors
import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure

from atlasinit.core.atlas import Atlas
from atlasinit.core.checking import check_atlas
from atlasinit.core.geometry import SurfaceMesh
from atlasinit.core.named_values import align_columns
from atlasinit.errors import ArgumentError, nearest
from atlasinit.figures.backdrops import Background
from atlasinit.figures.legends import count_lines, draw_legend, name_colors
from atlasinit.figures.palettes import (
    Coloring,
    color_parcels,
    color_values,
    network_colors,
    parcel_colors,
)
from atlasinit.figures.scales import ColorMap, ColorScale, scale_values
from atlasinit.figures.surfaces import Surface
from atlasinit.figures.texts import measure_text, shorten_text
from atlasinit.figures.views import View, atlas_views, describe_unseen, paint

WIDTH = 12.0
"""Of a figure at the most, in inches, as all below."""

_TITLE, _CAPTION, _TEXT = 0.36, 0.26, 0.24
_NARROWEST = 4.5
_GAP, _RIGHT = 0.1, 1.3
_HIGHEST = 3.2
_NARROW = 1.8
"""Up to which a title that names its hemisphere in full would reach into the next."""

_MISSING = "hatched: no value"

_SIDE_BY_SIDE = 6
"""Slices in a line."""

_SIZE, _SMALL = 12.0, 8.33
"""Of the letters of a title and of what is said below, in points."""


def plot_atlas(
    atlas: Atlas,
    values: Any = None,
    *,
    palette: str = "own",
    surfaces: Mapping[str, Surface] | None = None,
    background: Background = None,
    hemispheres: str | Sequence[str] | None = None,
    views: str | Sequence[str] | None = None,
    slices: int = 2,
    cmap: ColorMap | None = None,
    vmin: float | int | None = None,
    vmax: float | int | None = None,
    symmetric: bool | None = None,
    title: str | None = None,
    units: str | Mapping[str, str] | None = None,
) -> Figure:
    """Return a figure of the parcels, and of parcel values below it.

    Cortex on surfaces, from both sides of each hemisphere unless `views` say otherwise; volumes
    in sagittal, coronal and axial slices, which lie where most parcels are seen; a line says how
    many parcels none of the pictures shows. A notebook shows the figure where it is the last
    line of a cell; elsewhere, use its ``savefig``. Like ``nilearn.plotting.plot_roi`` and
    ``plot_surf_roi``, for atlases of any kind.

    Parameters
    ----------
    atlas
        Soft maps are shown hardened.
    values
        (parcels,) values: an array in the order of ``atlas.labels``; a Series, or a mapping
        from names to numbers, by name; or several of these, as a DataFrame or a mapping from
        titles. Parcels of NaN and infinity have no value: they are hatched in grey, as are
        grey parcels, to be told from what lies in grey behind them.
    palette
        As for `atlasinit.figures.parcel_colors`: the table's own colours, those of networks,
        or seven that any common colour vision tells apart.
    surfaces
        Compartment to (coordinates, faces) to draw on. By default the mesh's anatomical
        surface, smoothed until its sulci are open, else its sphere.
    background
        What is shown in grey beside the parcels of volumes: an array on the atlas's grid, a
        path or an image of nibabel on any grid in the atlas's space, False for nothing. By
        default the brain of the atlas's space, where one is on this machine (for all MNI152
        spaces the one that nilearn packages); else the outline of the grid's mask.
    hemispheres
        ``"L"`` (also ``"left"``, ``"lh"``), ``"R"`` or both, of surfaces; by default all that the
        atlas has.
    views
        Of surfaces, ``"lateral"``, ``"medial"``, ``"dorsal"``, ``"ventral"``, ``"anterior"`` and
        ``"posterior"``, by default the first two; of volumes, ``"sagittal"``, ``"coronal"`` and
        ``"axial"``, by default all. Naming some of one kind leaves the other as it is.
    slices
        Number of slices of each plane.
    cmap
        A colormap of Matplotlib or its name. By default viridis; blue to red, with white at
        0, where a scale has both signs.
    vmin, vmax
        Where the colours of all values begin and end. By default at the smallest and the
        largest, of each row its own. Values beyond take the colour of the end, which has an
        arrow then, and are counted beside it.
    symmetric
        Whether colours reach as far below 0 as above. By default they do for values of both
        signs, unless both ends or a `cmap` are given.
    title
        Of the first row, in place of the atlas's name.
    units
        What is written beside the colour bar, as ``"mm"``; or title to unit.

    Raises
    ------
    ValueError
        Ends of a scale that do not ascend, an unknown colormap, units of other titles;
        `hemispheres` or `views` of other names, or of which the atlas has none;
        a mesh without a surface to draw on, values or a background of another shape, names
        that are not the atlas's, another `palette`.
    TypeError
        An `atlas` of another type.

    Examples
    --------
    >>> import jax, numpy as np, atlasinit as ai
    >>> grid = ai.VolumeGrid((6, 6, 6), np.eye(4))
    >>> atlas = ai.dirichlet_atlas({"volume": grid}, n_parcels=3, key=jax.random.key(0))
    >>> sizes = ai.measures.parcel_sizes(atlas.maps["volume"], grid)
    >>> figure = plot_atlas(atlas, {"volume of the parcel": np.asarray(sizes)})
    """
    from matplotlib import pyplot

    check_atlas(atlas)
    # Makes notebooks show figures, which they otherwise learn with pyplot's first figure.
    pyplot.install_repl_displayhook()
    columns = {} if values is None else align_columns(values, atlas.table)
    if slices < 1:
        raise ArgumentError("slices", f"should be 1 or more, got {slices}")
    pictures = atlas_views(
        atlas,
        surfaces=surfaces,
        background=background,
        hemispheres=hemispheres,
        views=views,
        slices=slices,
    )
    for compartment, found in pictures.items():
        if not found:
            raise ArgumentError(
                "surfaces",
                f": the mesh of {compartment!r} has no surface to draw on",
                "pass (coordinates, faces)",
            )
    colors = parcel_colors(atlas, palette=palette)
    unit_of = name_units(units, columns)
    rows: list[tuple[str, ColorScale | None, Coloring]]
    rows = [(atlas.name if title is None else title, None, color_parcels(colors))]
    for name, column in columns.items():
        scale = scale_values(
            column.astype(np.float64), cmap=cmap, vmin=vmin, vmax=vmax, symmetric=symmetric
        )
        rows.append((name, scale, color_values(scale(column.astype(np.float64)))))
    networks = {} if palette == "safe" else network_colors(atlas, colors)
    right = _RIGHT if columns else _GAP
    layout = _Layout.of(atlas, pictures, networks=networks, right=right)
    # Not pyplot's, which would keep every figure until it is closed.
    heights = [layout.row + layout.below, *([layout.row] * (len(rows) - 1))]
    figure = Figure(figsize=(layout.width, sum(heights)))
    parts = figure.subfigures(len(rows), 1, squeeze=False, height_ratios=heights)[:, 0]
    for part, height, (name, scale, painted) in zip(parts, heights, rows, strict=True):
        shown = shorten_text(name, _SIZE, room=layout.width - 2 * _GAP)
        x, y = _GAP / layout.width, 1 - 0.08 / height
        part.suptitle(shown, x=x, y=y, ha="left", va="top", parse_math=False)
        _draw(part, atlas, layout, height, painted)
        if scale is not None:
            said = [scale.beyond.replace("; ", ";\n"), _MISSING * bool(painted.hatched.any())]
            told = "\n".join(filter(None, said))
            unit = unit_of.get(name, "")
            _draw_scale(part, scale, unit, width=layout.width, height=height, said=told)
    _explain(parts[0], layout, heights[0])
    return figure


@dataclasses.dataclass(frozen=True, eq=False)
class _Layout:
    """Where the views of a row stand, in inches, the same in every row.

    Parameters
    ----------
    strips
        The views that stand side by side, those of all surfaces, those of each grid, with the
        width and height of each.
    heights
        Of each strip.
    width
        Of the figure: what the widest strip takes, and what is said below.
    note
        What is not seen, in words.
    networks
        Name to colour.
    """

    strips: list[list[tuple[View, float, float]]]
    heights: list[float]
    width: float
    note: str
    networks: dict[str, Any]

    @classmethod
    def of(
        cls,
        atlas: Atlas,
        views: Mapping[str, list[View]],
        *,
        networks: dict[str, Any],
        right: float,
    ) -> "_Layout":
        meshes = [c for c in views if isinstance(atlas.geometry[c], SurfaceMesh)]
        lines = _break_lines([view for c in meshes for view in views[c]]) if meshes else []
        strips = [_size_views(line, right) for line in lines]
        for compartment, found in views.items():
            strips += [] if compartment in meshes else _size_slices(_break_lines(found), right)
        heights = [max(high for _, _, high in strip) for strip in strips]
        widths = [sum(wide + _GAP for _, wide, _ in strip) + _GAP for strip in strips]
        note = describe_unseen(atlas, views)
        said = measure_text(note, _SMALL) + 2 * _GAP
        width = min(max(*widths, _NARROWEST - right, said - right, 0) + right, WIDTH)
        return cls(strips, heights, width, note, networks)

    @property
    def row(self) -> float:
        """Height of a row."""
        return _TITLE + sum(self.heights) + len(self.heights) * _CAPTION

    @property
    def below(self) -> float:
        """Height of what is said below the first row."""
        return _TEXT * (bool(self.note) + count_lines(self.networks, self.width))


def _break_lines(views: list[View]) -> list[list[View]]:
    """Return views in lines of few; a plane or a hemisphere begins one where all are too many."""
    if len(views) <= _SIDE_BY_SIDE:
        return [views]
    # By the first letter of x, y and z, left and right.
    planes = itertools.groupby(views, lambda view: view.title[0])
    return [list(line) for _, plane in planes for line in _chunks(list(plane))]


def _chunks(views: list[View]) -> list[list[View]]:
    # As even as whole numbers are: 7 are 4 and 3.
    parts = -(-len(views) // _SIDE_BY_SIDE)
    return [list(part) for part in np.array_split(np.array(views, object), parts)]


def _size_views(views: list[View], right: float) -> list[tuple[View, float, float]]:
    """Return views of surfaces with their widths and heights, which are the same."""
    aspects = [view.locations.shape[1] / view.locations.shape[0] for view in views]
    high = min((WIDTH - right - _GAP * (len(views) + 1)) / sum(aspects), _HIGHEST)
    return [(view, high * aspect, high) for view, aspect in zip(views, aspects, strict=True)]


def _size_slices(lines: list[list[View]], right: float) -> list[list[tuple[View, float, float]]]:
    """Return slices of a grid with their widths and heights: a mm is as long in all of them."""
    shapes = [[view.locations.shape for view in line] for line in lines]
    # In inches per pixel, of which a mm has as many in all slices.
    scale = min(
        min(
            (WIDTH - right - _GAP * (len(line) + 1)) / sum(columns for _, columns in line),
            _HIGHEST / max(rows for rows, _ in line),
        )
        for line in shapes
    )
    return [
        [(v, scale * v.locations.shape[1], scale * v.locations.shape[0]) for v in line]
        for line in lines
    ]


def _draw(part: Any, atlas: Atlas, layout: _Layout, height: float, colors: Coloring) -> None:
    rows = atlas.parcel_slices()
    width = layout.width
    top = height - _TITLE
    for strip, high in zip(layout.strips, layout.heights, strict=True):
        left, top = _GAP, top - _CAPTION - high
        for view, wide, own_high in strip:
            # Titles stand in a line, as the upper ends do.
            bottom = top + high - own_high
            axes = part.add_axes((left / width, bottom / height, wide / width, own_high / height))
            axes.axis("off")
            labels = np.asarray(atlas.maps[view.compartment].harden().labels)
            own = colors.of(rows[view.compartment]).at(labels)
            picture = paint(view, own.colors, labels=labels, hatched=own.hatched)
            axes.imshow(picture, interpolation="antialiased", aspect="auto")
            title = view.title if wide > _NARROW else view.title.replace(" hemisphere", "")
            axes.set_title(title, fontsize="small", pad=3)
            for x, side in zip((0.0, 1.0), view.ends, strict=True):
                align = "right" if x else "left"
                axes.text(
                    x, 1.0, side, transform=axes.transAxes, ha=align, va="top", fontsize="small"
                )
            left += wide + _GAP


def _draw_scale(
    part: Any, scale: ColorScale, unit: str, *, width: float, height: float, said: str
) -> None:
    """Draw the colour bar at the right of a row, and below it what is said of it."""
    top = (height - _TITLE) / height
    axes = part.add_axes((1 - (_RIGHT - 0.2) / width, 0.2 * top, 0.14 / width, 0.7 * top))
    norm = matplotlib.colors.Normalize(scale.low, scale.high)
    part.colorbar(ScalarMappable(norm, scale.colormap), cax=axes, label=unit, extend=scale.extend)
    if said:
        part.text(1 - 0.05 / width, 0.02, said, fontsize="x-small", ha="right", va="bottom")


def name_units(
    units: str | Mapping[str, str] | None, columns: Mapping[str, np.ndarray]
) -> dict[str, str]:
    """Return the unit of each row of values."""
    if units is None or isinstance(units, str):
        return dict.fromkeys(columns, units or "")
    for name in units:
        if name not in columns:
            raise ArgumentError(
                "units", f": there are no values {name!r}", nearest(name, list(columns))
            )
    return dict(units)


def _explain(part: Any, layout: _Layout, height: float) -> None:
    """Write the networks and what is not seen below the first row."""
    if layout.note:
        x, y = _GAP / layout.width, 0.3 * _TEXT / height
        part.text(x, y, layout.note, fontsize="small")
    draw_legend(
        part,
        name_colors(layout.networks),
        width=layout.width,
        bottom=bool(layout.note) * _TEXT / height,
    )
