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
from atlasinit.figures.palettes import label_colors, parcel_colors, value_colors, value_range
from atlasinit.figures.surfaces import Surface
from atlasinit.figures.views import View, atlas_views, paint


def atlas_figure(
    atlas: Atlas,
    values: Mapping[str, Float[np.ndarray, " parcels"]] | None = None,
    *,
    palette: str = "own",
    surfaces: Mapping[str, Surface] | None = None,
    background: Real[np.ndarray, "x y z"] | None = None,
) -> Figure:
    """Return a figure of an atlas, and of parcel values below it.

    Cortex on surfaces, from both sides of each hemisphere; volumes in a sagittal, a coronal
    and an axial slice.

    Parameters
    ----------
    atlas
        Soft maps are shown hardened.
    values
        Title to (parcels,) values; NaN is shown in grey. The colours reach from the 2nd to
        the 98th percentile.
    palette, surfaces, background
        As for `Atlas.plot`.

    Raises
    ------
    ValueError
        A mesh that has no surface to draw on, values of another length, another `palette`,
        or a `background` of another shape.
    """
    views = atlas_views(atlas, surfaces=surfaces, background=background, slices=1)
    for compartment, found in views.items():
        if not found:
            raise ValueError(
                f"`surfaces`: the mesh of {compartment!r} has no surface to draw on; pass "
                "(coordinates, faces)."
            )
    rows: list[tuple[str, Any, np.ndarray]] = [
        (atlas.name, None, parcel_colors(atlas, palette=palette))
    ]
    for title, column in (values or {}).items():
        rows.append((title, *_scaled(np.asarray(column, dtype=np.float64), atlas, title)))
    strips = _strips(atlas, views)
    figure = Figure(figsize=(12, 2.5 * len(rows) * len(strips)), layout="constrained")
    parts = figure.subfigures(len(rows), 1, squeeze=False)[:, 0]
    for part, (title, scale, colors) in zip(parts, rows, strict=True):
        part.suptitle(title, x=0.01, ha="left", parse_math=False)
        _draw(part, atlas, strips, colors, scale)
    return figure


def _scaled(
    column: np.ndarray, atlas: Atlas, title: str
) -> tuple[ScalarMappable, Float[np.ndarray, "parcels 4"]]:
    if column.shape != (atlas.n_parcels,):
        raise ValueError(
            f"`values` of {title!r} should be ({atlas.n_parcels} parcels,), got {column.shape}."
        )
    low, high = value_range(column)
    scale = ScalarMappable(matplotlib.colors.Normalize(low, high), "viridis")
    known = np.where(np.isfinite(column), column, np.nan)
    return scale, value_colors(known, low=low, high=high)


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
