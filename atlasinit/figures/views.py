"""Views of compartments: which location each pixel shows, painted in any colours."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Bool, Float, Int, Int32

from atlasinit.core.atlas import Atlas
from atlasinit.core.checking import check_atlas
from atlasinit.core.geometry import SurfaceMesh
from atlasinit.errors import format_count
from atlasinit.figures.backdrops import Background, find_backdrop
from atlasinit.figures.palettes import GREY
from atlasinit.figures.sides import ENDS, choose_sides, find_viewpoint
from atlasinit.figures.slices import SIZE, slice_pixels
from atlasinit.figures.surfaces import WIDTH, Surface, surface_pixels

_LINE = 0.5
"""Brightness of a boundary, as a share of the parcel's."""

_STRIPES = 40
"""Stripes along the longer side of a picture, of hatched parcels."""

_STRIPED = 0.35
"""By how much stripes are darker than what is bright, and brighter than what is dark."""


@dataclasses.dataclass(frozen=True, eq=False)
class View:
    """A compartment from one side, or in one slice.

    Parameters
    ----------
    compartment
        Which compartment it shows.
    title
        As ``"left hemisphere, lateral"`` or ``"x = -24 mm, left"``.
    locations
        (rows, columns) the location that each pixel shows, -1 for none; twice as many as
        are painted each way.
    shade
        (rows, columns) brightness of the light that falls on it.
    under
        (rows, columns) opacity of the grey that is seen where nothing is painted.
    grey
        (rows, columns) its brightness; or one for all.
    ends
        What lies at the left and the right, as ``("L", "R")`` or ``("P", "A")``.
    """

    compartment: str
    title: str
    locations: Int32[np.ndarray, "rows columns"]
    shade: Float[np.ndarray, "rows columns"]
    under: Float[np.ndarray, "rows columns"]
    grey: Float[np.ndarray, "rows columns"] | float = GREY
    ends: tuple[str, str] = ("", "")

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
    background: Background = None,
    hemispheres: str | Sequence[str] | None = None,
    views: str | Sequence[str] | None = None,
    slices: int = 3,
    most: int = 0,
    width: int = WIDTH,
    size: int = SIZE,
) -> dict[str, list[View]]:
    """Return compartment to its views, empty for a mesh that has no surface to draw.

    A mesh is seen laterally and medially, unless `views` say otherwise; compartments of other
    hemispheres than those asked for are left out. On a grid each plane is shown `slices` times,
    from one end of the labelled voxels to the other, where most parcels are seen;
    `find_unseen` tells which parcels no view shows.

    Parameters
    ----------
    surfaces
        Compartment to (coordinates, faces) to draw on, for instance inflated. By default
        the mesh's anatomical surface smoothed until its sulci are open, else its sphere.
    background
        What is shown in grey beside the parcels: an array on the atlas's grid, a path or an
        image of nibabel on any grid, False for nothing. By default the brain of the atlas's
        space, where one is on this machine; else the outline of the grid's mask.
    hemispheres, views
        As for `atlasinit.plot_atlas`.
    slices
        Number of slices of each plane.
    most
        Number of slices of a grid up to which more are added, while parcels are in none.
    width, size
        Pixels from side to side of a surface, and at the least along the longest side of a
        slice, before `paint` makes one of each four.

    Raises
    ------
    ValueError
        A `background` of another shape than the atlas's only grid; `hemispheres` or `views`
        of other names, or of which the atlas has none.
    """
    check_atlas(atlas)
    chosen = choose_sides(atlas, hemispheres=hemispheres, views=views)
    out: dict[str, list[View]] = {}
    for compartment, place in atlas.geometry.items():
        if isinstance(place, SurfaceMesh):
            if place.hemisphere in chosen.hemispheres:
                surface = (surfaces or {}).get(compartment)
                sides = chosen.surfaces
                out[compartment] = _surface_views(compartment, place, surface, sides, width)
            continue
        maps = atlas.maps[compartment].harden()
        found = slice_pixels(
            place,
            np.asarray(maps.labels),
            maps.n_parcels,
            backdrop=find_backdrop(atlas, background, place),
            count=slices,
            most=most,
            size=size,
            planes=chosen.planes,
        )
        out[compartment] = [
            View(
                compartment,
                one.title,
                one.locations,
                shade=np.ones(one.locations.shape),
                under=one.opacity,
                grey=one.grey,
                ends=one.ends,
            )
            for one in found
        ]
    return out


def find_unseen(atlas: Atlas, views: Mapping[str, Sequence[View]]) -> Bool[np.ndarray, " parcels"]:
    """Return which parcels of an atlas no view shows, as hidden, between slices or empty."""
    check_atlas(atlas)
    seen = np.zeros(atlas.n_parcels, np.int64)
    for compartment, rows in atlas.parcel_slices().items():
        labels = np.asarray(atlas.maps[compartment].harden().labels)
        for view in views.get(compartment, ()):
            seen[rows] += view.shown(labels, atlas.maps[compartment].n_parcels)
    return seen == 0


def describe_unseen(atlas: Atlas, views: Mapping[str, Sequence[View]]) -> str:
    """Return a sentence on the parcels that no view shows, empty where all are seen."""
    # A mesh without a surface has no views, and what it lacks is another matter.
    drawn = np.zeros(atlas.n_parcels, bool)
    for compartment, rows in atlas.parcel_slices().items():
        drawn[rows] |= bool(views.get(compartment))
    count = int(np.count_nonzero(find_unseen(atlas, views) & drawn))
    if not count:
        return ""
    verb = "is" if count == 1 else "are"
    return f"{count} of {format_count(atlas.n_parcels, 'parcel')} {verb} in none of these pictures."


def paint(
    view: View,
    colors: Float[np.ndarray, "locations 4"],
    *,
    labels: Int[np.ndarray, " locations"] | None = None,
    hatched: Bool[np.ndarray, " locations"] | None = None,
) -> Float[np.ndarray, "rows columns 4"]:
    """Return the picture of a view as RGBA in [0, 1], transparent beside the brain.

    Parameters
    ----------
    colors
        RGBA of each location of the compartment; where it is transparent, or NaN, grey is
        seen.
    labels
        The parcel of each location, between which thin lines are drawn.
    hatched
        The locations that are drawn with stripes, as of grey parcels before a grey image.
    """
    # Single precision: a picture has 256 steps, and these are many numbers.
    colors = np.where(np.isnan(colors), 0, colors).astype(np.float32)
    colors[:, :3] *= colors[:, 3:]
    own = np.vstack([colors, np.zeros((1, 4), np.float32)]).take(view.locations, axis=0)
    if hatched is not None and hatched.any():
        striped = _look_up(view.locations, hatched, False) & _find_stripes(view.locations.shape)  # noqa: FBT003
        rgb = own[striped, :3]
        own[striped, :3] = rgb + np.where(rgb.mean(axis=1, keepdims=True) < 0.5, 1, -1) * _STRIPED
    light = view.shade.astype(np.float32)
    if labels is not None:
        light[_find_edges(_look_up(view.locations, labels, -1))] *= _LINE
    # Where nothing is painted, grey is seen; in one dimension, as there it is quickest.
    flat = own.reshape(-1, 4)
    bare = np.flatnonzero(flat[:, 3] == 0)
    under = np.asarray(view.under, np.float32).reshape(-1)[bare]
    grey = np.broadcast_to(np.asarray(view.grey, np.float32), light.shape).reshape(-1)[bare]
    flat[bare, :3] = (grey * under)[:, None]
    flat[bare, 3] = under
    own[..., :3] *= light[..., None]
    return _halve(own)


def _surface_views(
    compartment: str,
    mesh: SurfaceMesh,
    surface: Surface | None,
    sides: Sequence[str],
    width: int,
) -> list[View]:
    whose = {"L": "left hemisphere, ", "R": "right hemisphere, ", "": ""}[mesh.hemisphere]
    # Of the right hemisphere in reverse, so that what is alike lies alike beside the midline.
    sides = sides[::-1] if mesh.hemisphere == "R" else sides
    viewpoints = [find_viewpoint(side, mesh.hemisphere) for side in sides]
    # Not strict: without a surface to draw there is no view of any side.
    found = surface_pixels(mesh, surface, sides=viewpoints, width=width)
    views = []
    for side, viewpoint, pixels in zip(sides, viewpoints, found, strict=False):
        # Without a hemisphere nothing is lateral.
        seen = side if whose or side == viewpoint else f"from the {viewpoint}"
        views.append(View(compartment, whose + seen, *pixels, ends=ENDS[viewpoint]))
    return views


def _find_stripes(shape: tuple[int, ...]) -> Bool[np.ndarray, "rows columns"]:
    """Return the pixels of stripes that run up to the right, a third of all."""
    rows, columns = np.indices(shape)
    step = max(max(shape) // _STRIPES, 3)
    return (rows + columns) % step < step / 3


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
