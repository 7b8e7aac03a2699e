"""Views of atlases."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from atlasinit.core.atlas import Atlas
from atlasinit.core.checking import check_atlas
from atlasinit.core.named_values import align_columns
from atlasinit.errors import ArgumentError
from atlasinit.figures.backdrops import Background
from atlasinit.figures.palettes import parcel_colors
from atlasinit.figures.plots import name_units
from atlasinit.figures.scales import (
    ColorMap,
    page_colormap,
    page_diverging_colormap,
    scale_values,
)
from atlasinit.figures.surfaces import Surface
from atlasinit.report.parcels import network_swatches
from atlasinit.viewer.meshes import view_meshes
from atlasinit.viewer.niivue import find_niivue
from atlasinit.viewer.page import AtlasView, build_page
from atlasinit.viewer.paintings import paint_parcels, paint_values
from atlasinit.viewer.volumes import view_volumes

_PARCELS = 2**16 - 2
"""Rows that 16 bits tell apart, beside none."""


def view_atlas(
    atlas: Atlas,
    values: Any = None,
    *,
    palette: str = "own",
    surfaces: Mapping[str, Surface] | None = None,
    background: Background = None,
    cmap: ColorMap | None = None,
    vmin: float | int | None = None,
    vmax: float | int | None = None,
    symmetric: bool | None = None,
    title: str | None = None,
    units: str | Mapping[str, str] | None = None,
) -> AtlasView:
    """Return a page on which the atlas is turned, sliced and picked with the mouse.

    Meshes are turned, volumes sliced and turned; a click names the parcel, with its values and
    where it lies in mm, and a list of all parcels leads to each. One file that needs no network,
    shown by NiiVue in any browser with WebGL 2; needs the package ipyniivue
    (``atlasinit[view]``). Corresponds to nilearn's ``view_img`` and ``view_surf``, for atlases
    of any kind, and takes what `plot_atlas` takes.

    Parameters
    ----------
    atlas
        Of soft maps each location shows the parcel with its largest positive weight.
    values
        (parcels,) values: an array in the order of ``atlas.labels``; a Series, or a mapping
        from names to numbers, by name; or several of these, as a DataFrame or a mapping from
        titles. The page shows the first, and changes between them and the parcels. NaN and
        infinity are grey, and told as no value.
    palette
        Of the parcels, as for `atlasinit.figures.parcel_colors`: ``"own"``, ``"network"`` or
        ``"safe"``.
    surfaces
        Compartment to (coordinates, faces) to show meshes on. By default the mesh's anatomical
        surface, as it is and smoothed until its sulci are open, else its sphere.
    background
        What lies in grey behind the parcels of volumes: an array on the atlas's grid, a path
        or an image of nibabel on any grid in the atlas's space, False for nothing. By default
        the brain of the atlas's space, where one is on this machine; else the grid's mask. It
        is brought to the atlas's voxels; parcels stay on theirs.
    cmap, vmin, vmax, symmetric
        Colours of values, as for `plot_atlas`: by default over all values of a title; blue to
        red around 0 for values of both signs. How many lie beyond is said.
    title
        Of the page, in place of the atlas's name.
    units
        Of the values, as ``"mm"``; or title to unit.

    Returns
    -------
    AtlasView
        A notebook shows it where it is the last line of a cell; elsewhere, use its
        ``save_as_html`` or ``open_in_browser``.

    Raises
    ------
    ValueError
        ipyniivue that is not installed; a mesh without a surface; a background, surfaces or
        values of another shape; names that are not the atlas's; a wrong scale, colormap,
        palette or title of units; an atlas with more than 65,534 parcels, or of more voxels or
        bytes than a browser takes.
    TypeError
        An `atlas` of another type.

    Examples
    --------
    >>> import jax, numpy as np, atlasinit as ai
    >>> grid = ai.VolumeGrid((6, 6, 6), np.eye(4))
    >>> atlas = ai.dirichlet_atlas({"volume": grid}, n_parcels=3, key=jax.random.key(0))
    >>> view = view_atlas(atlas, {"thickness": [1.0, 2.0, 3.0]}, units="mm")
    >>> view.save_as_html("view.html")  # doctest: +SKIP
    """
    check_atlas(atlas)
    niivue = find_niivue()
    if atlas.n_parcels > _PARCELS:
        raise ArgumentError(
            "atlas",
            f"should have {_PARCELS:,} parcels at the most to be viewed, got {atlas.n_parcels:,}",
            "select some of them",
        )
    columns = {} if values is None else align_columns(values, atlas.table)
    unit_of = name_units(units, columns)
    colors = parcel_colors(atlas, palette=palette)
    heading = atlas.name if title is None else title
    paintings = [paint_parcels("parcels", colors)]
    for name, column in columns.items():
        numbers = column.astype(np.float64)
        scale = scale_values(
            numbers,
            cmap=cmap,
            vmin=vmin,
            vmax=vmax,
            symmetric=symmetric,
            sequential=page_colormap(),
            diverging=page_diverging_colormap(),
        )
        paintings.append(paint_values(name, numbers, scale, unit_of.get(name, "")))
    volumes = view_volumes(atlas, background)
    return build_page(
        atlas,
        heading,
        volumes=volumes,
        meshes=view_meshes(atlas, surfaces, folded=bool(volumes)),
        paintings=paintings,
        networks=network_swatches(atlas, colors) if palette != "safe" else {},
        niivue=niivue,
    )
