"""Views of compartments: which location each pixel shows, painted in any colours."""

import dataclasses
from collections.abc import Mapping

import numpy as np
from jaxtyping import Float, Int, Int32, Real

from atlasinit.core.atlas import Atlas
from atlasinit.core.geometry import SurfaceMesh, VolumeGrid
from atlasinit.errors import ArgumentError
from atlasinit.figures.slices import SIZE, slice_pixels
from atlasinit.figures.surfaces import WIDTH, Surface, surface_pixels

GREY = 0.66
"""Brightness of what belongs to no parcel: seen on a light and on a dark page."""

_LINE = 0.5
"""Brightness of a boundary, as a share of the parcel's."""


@dataclasses.dataclass(frozen=True, eq=False)
class View:
    """A compartment from one side, or in one slice.

    Parameters
    ----------
    compartment
        Which compartment it shows.
    title
        As ``"left hemisphere, lateral"`` or ``"x = -24 mm"``.
    locations
        (rows, columns) the location that each pixel shows, -1 for none; twice as many as
        are painted each way.
    shade
        (rows, columns) brightness of the light that falls on it.
    under
        (rows, columns) opacity of the grey that is seen where nothing is painted.
    """

    compartment: str
    title: str
    locations: Int32[np.ndarray, "rows columns"]
    shade: Float[np.ndarray, "rows columns"]
    under: Float[np.ndarray, "rows columns"]

    def shown(
        self, labels: Int[np.ndarray, " locations"], n_parcels: int
    ) -> Int[np.ndarray, " parcels"]:
        """Return the number of pixels that show each parcel."""
        seen = _look_up(self.locations, labels, -1)
        return np.bincount(seen[seen >= 0], minlength=n_parcels)


def atlas_views(
    atlas: Atlas,
    *,
    surfaces: Mapping[str, Surface] | None = None,
    background: Real[np.ndarray, "x y z"] | None = None,
    slices: int = 3,
    width: int = WIDTH,
    size: int = SIZE,
) -> dict[str, list[View]]:
    """Return compartment to its views, empty for a mesh that has no surface to draw.

    A mesh is seen laterally and medially; on a grid each plane is shown `slices` times, in
    the slice that holds most labelled voxels of each part of the brain.

    Parameters
    ----------
    surfaces
        Compartment to (coordinates, faces) to draw on, for instance inflated. By default
        the mesh's anatomical surface smoothed until its sulci are open, else its sphere.
    background
        Image on the atlas's grid that is shown in grey beside the parcels.
    slices
        Number of slices of each plane.
    width, size
        Pixels from side to side of a surface, and at the least along the longest side of a
        slice, before `paint` makes one of each four.

    Raises
    ------
    ValueError
        A `background` of another shape than the atlas's only grid.
    """
    views: dict[str, list[View]] = {}
    for compartment, place in atlas.geometry.items():
        if isinstance(place, SurfaceMesh):
            surface = (surfaces or {}).get(compartment)
            views[compartment] = _surface_views(compartment, place, surface, width)
        else:
            labelled = np.asarray(atlas.maps[compartment].harden().labels) >= 0
            under = _check_background(background, place)
            found = slice_pixels(place, labelled, background=under, count=slices, size=size)
            views[compartment] = [
                View(compartment, title, locations, np.ones(locations.shape), opacity)
                for title, locations, opacity in found
            ]
    return views


def paint(
    view: View,
    colors: Float[np.ndarray, "locations 4"],
    *,
    labels: Int[np.ndarray, " locations"] | None = None,
) -> Float[np.ndarray, "rows columns 4"]:
    """Return the picture of a view as RGBA in [0, 1], transparent beside the brain.

    Parameters
    ----------
    colors
        RGBA of each location of the compartment; where it is transparent, or NaN, grey is
        seen.
    labels
        The parcel of each location, between which thin lines are drawn.
    """
    # Single precision: a picture has 256 steps, and these are many numbers.
    colors = np.where(np.isnan(colors), 0, colors).astype(np.float32)
    own = np.vstack([colors, np.zeros((1, 4), np.float32)])[view.locations]
    painted = own[..., 3] > 0
    light = view.shade.astype(np.float32)
    if labels is not None:
        light[_find_edges(_look_up(view.locations, labels, -1))] *= _LINE
    rgb = np.where(painted[..., None], own[..., :3], np.float32(GREY)) * light[..., None]
    alpha = np.where(painted, own[..., 3], view.under.astype(np.float32))
    return _halve(np.concatenate([rgb * alpha[..., None], alpha[..., None]], axis=-1))


def _surface_views(
    compartment: str, mesh: SurfaceMesh, surface: Surface | None, width: int
) -> list[View]:
    side = mesh.hemisphere
    titles = {
        "L": (("left hemisphere, lateral", True), ("left hemisphere, medial", False)),
        "R": (("right hemisphere, medial", True), ("right hemisphere, lateral", False)),
        "": (("from the left", True), ("from the right", False)),
    }
    from_left = [left for _, left in titles[side]]
    # Not strict: without a surface to draw there is no view of either side.
    found = surface_pixels(mesh, surface, from_left=from_left, width=width)
    return [
        View(compartment, title, *pixels)
        for (title, _), pixels in zip(titles[side], found, strict=False)
    ]


def _check_background(background: np.ndarray | None, grid: VolumeGrid) -> np.ndarray | None:
    """Return the background of a grid, whose shape it has to have."""
    if background is not None and background.shape != grid.shape:
        raise ArgumentError(
            "background", f"should have the grid's shape {grid.shape}, got {background.shape}"
        )
    return background


def _look_up(locations: np.ndarray, values: np.ndarray, none: int) -> np.ndarray:
    """Return the value of each pixel's location, `none` where there is none."""
    # The location -1 takes the last entry.
    return np.append(values, none)[locations]


def _find_edges(labels: np.ndarray) -> np.ndarray:
    """Return whether a pixel's label differs from that below it or to its right."""
    edges = np.zeros(labels.shape, bool)
    edges[:-1] = labels[:-1] != labels[1:]
    edges[:, :-1] |= labels[:, :-1] != labels[:, 1:]
    return edges


def _halve(image: np.ndarray) -> np.ndarray:
    """Return the mean of each four pixels of an image whose colours are multiplied by alpha."""
    rows, columns = (size // 2 * 2 for size in image.shape[:2])
    upper, lower = image[:rows:2, :columns], image[1:rows:2, :columns]
    both = upper + lower
    four = (both[:, ::2] + both[:, 1::2]) / 4
    # Colours were averaged multiplied by alpha, so that transparent pixels do not darken edges.
    alpha = four[..., 3:]
    rgb = four[..., :3] / np.where(alpha == 0, 1, alpha)
    return np.concatenate([rgb, alpha], axis=-1).clip(0, 1)
