"""Figures for notebooks and files."""

from collections.abc import Mapping
from typing import Any

import matplotlib.colors
import numpy as np
from jaxtyping import Float, Real
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure

from atlasinit.core.atlas import Atlas
from atlasinit.core.geometry import SurfaceMesh
from atlasinit.core.named_values import align_columns
from atlasinit.errors import ArgumentError, ArgumentTypeError
from atlasinit.figures.palettes import label_colors, parcel_colors, value_colors, value_range
from atlasinit.figures.surfaces import Surface
from atlasinit.figures.views import View, atlas_views, paint


def plot_atlas(
    atlas: Atlas,
    values: Any = None,
    *,
    palette: str = "own",
    surfaces: Mapping[str, Surface] | None = None,
    background: Real[np.ndarray, "x y z"] | None = None,
) -> Figure:
    """Return a figure of the parcels, and of parcel values below it.

    Cortex on surfaces, from both sides of each hemisphere; volumes in a sagittal, a coronal
    and an axial slice. A notebook shows the figure where it is the last line of a cell;
    elsewhere, use its ``savefig``. Like ``nilearn.plotting.plot_roi`` and
    ``plot_surf_roi``, for atlases of any kind.

    Parameters
    ----------
    atlas
        Soft maps are shown hardened.
    values
        (parcels,) values: an array in the order of ``atlas.labels``; a Series, or a mapping
        from names to numbers, by name; or several of these, as a DataFrame or a mapping from
        titles. NaN is shown in grey. The colours reach from the 2nd to the 98th percentile.
    palette
        ``"own"``, the table's colours where it has them, or ``"safe"``, seven colours
        that any common colour vision tells apart, by which parcels that touch differ.
    surfaces
        Compartment to (coordinates, faces) to draw on. By default the mesh's anatomical
        surface, smoothed until its sulci are open, else its sphere.
    background
        Image on the atlas's grid that is shown in grey beside the parcels.

    Raises
    ------
    ValueError
        A mesh without a surface to draw on, values or a background of another shape, names
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

    if not isinstance(atlas, Atlas):
        raise ArgumentTypeError("atlas", f"should be an Atlas, got {type(atlas).__name__}")
    # Makes notebooks show figures, which they otherwise learn with pyplot's first figure.
    pyplot.install_repl_displayhook()
    columns = {} if values is None else align_columns(values, atlas.table)
    views = atlas_views(atlas, surfaces=surfaces, background=background, slices=1)
    for compartment, found in views.items():
        if not found:
            raise ArgumentError(
                "surfaces",
                f": the mesh of {compartment!r} has no surface to draw on",
                "pass (coordinates, faces)",
            )
    rows: list[tuple[str, Any, np.ndarray]] = [
        (atlas.name, None, parcel_colors(atlas, palette=palette))
    ]
    for title, column in columns.items():
        rows.append((title, *_scale_colors(column.astype(np.float64))))
    strips = _strips(atlas, views)
    # Not pyplot's, which would keep every figure until it is closed.
    figure = Figure(figsize=(12, 2.5 * len(rows) * len(strips)), layout="constrained")
    parts = figure.subfigures(len(rows), 1, squeeze=False)[:, 0]
    for part, (title, scale, colors) in zip(parts, rows, strict=True):
        part.suptitle(title, x=0.01, ha="left", parse_math=False)
        _draw(part, atlas, strips, colors, scale)
    return figure


def _scale_colors(column: np.ndarray) -> tuple[ScalarMappable, Float[np.ndarray, "parcels 4"]]:
    low, high = value_range(column)
    scale = ScalarMappable(matplotlib.colors.Normalize(low, high), "viridis")
    # Infinite values are grey, as NaN: they lie on no scale.
    shown = np.where(np.isfinite(column), column, np.nan)
    return scale, value_colors(shown, low=low, high=high)


def _strips(atlas: Atlas, views: Mapping[str, list[View]]) -> list[list[View]]:
    """Return the views that stand side by side: those of all surfaces, those of each grid."""
    meshes = [c for c, g in atlas.geometry.items() if isinstance(g, SurfaceMesh)]
    strips = [[view for c in meshes for view in views[c]]] if meshes else []
    return [*strips, *(found for c, found in views.items() if c not in meshes)]


def _draw(
    part: Any, atlas: Atlas, strips: list[list[View]], colors: np.ndarray, scale: Any
) -> None:
    rows = atlas.parcel_slices()
    widest = max(len(strip) for strip in strips)
    grid = part.subplots(len(strips), widest, squeeze=False)
    for axes in grid.flat:
        axes.axis("off")
    for line, strip in zip(grid, strips, strict=True):
        for axes, view in zip(line, strip, strict=False):
            labels = np.asarray(atlas.maps[view.compartment].harden().labels)
            own = label_colors(labels, colors[rows[view.compartment]])
            axes.imshow(paint(view, own, labels=labels), interpolation="antialiased")
            axes.set_title(view.title, fontsize="small")
    if scale is not None:
        part.colorbar(scale, ax=grid, shrink=0.7, pad=0.01)
