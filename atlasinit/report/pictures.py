"""Views and matrices as images that a page holds within itself."""

import base64
import dataclasses
import io
import itertools
from collections.abc import Mapping, Sequence

import matplotlib
import matplotlib.colors
import numpy as np
from jaxtyping import Float, Int, Real

from atlasinit.core.atlas import Atlas
from atlasinit.core.geometry import VolumeGrid
from atlasinit.core.maps import HardMaps
from atlasinit.errors import format_count
from atlasinit.figures import View, atlas_views, mixed_colors, paint
from atlasinit.figures.backdrops import Background
from atlasinit.figures.palettes import Coloring, color_parcels
from atlasinit.figures.scales import ColorScale
from atlasinit.figures.surfaces import Surface
from atlasinit.figures.views import describe_unseen
from atlasinit.support.formatting import format_number

_QUALITY = 82
"""Of WebP, from 0 to 100."""

_MOST = 24
"""Slices of a grid up to which the page has as many as it takes to show every parcel."""

_NAMED = 3
"""Parcels of a view that its description names."""


@dataclasses.dataclass(frozen=True)
class Picture:
    """An image with what it shows in words.

    Parameters
    ----------
    src
        A ``data:`` address.
    alt
        The description for those who do not see it.
    width, height
        In pixels.
    title
        The caption.
    scene
        The number of the `Scene` that it shows, -1 for none.
    compartment
        Of a slice of a grid; ``""`` for surfaces, which belong together.
    ends
        What lies at its left and its right, as ``("L", "R")``.
    """

    src: str
    alt: str
    width: int
    height: int
    title: str = ""
    scene: int = -1
    compartment: str = ""
    ends: tuple[str, str] = ("", "")


@dataclasses.dataclass(frozen=True, eq=False)
class Scene:
    """A view that is painted several times, with what is the same each time.

    Parameters
    ----------
    view
        Which location each pixel shows.
    labels
        (locations,) the parcel of each location within the compartment.
    about
        In words.
    rows
        A ``data:`` address of an image whose pixels hold the row of the parcel that is seen,
        from 1, 0 for none, as red + 256 green.
    is_slice
        Whether it is a slice of a grid.
    """

    view: View
    labels: Int[np.ndarray, " locations"]
    about: str
    rows: str
    is_slice: bool


@dataclasses.dataclass(frozen=True)
class Scale:
    """A colour bar: the colours from `low` to `high` as CSS."""

    low: str
    high: str
    unit: str
    gradient: str


@dataclasses.dataclass(frozen=True)
class Strip:
    """Pictures of all compartments that show one thing, in groups that stand side by side."""

    title: str
    text: str
    groups: tuple[tuple[Picture, ...], ...]
    scale: Scale | None = None


def scenes(
    atlas: Atlas,
    *,
    surfaces: Mapping[str, Surface] | None,
    background: Background,
) -> tuple[list[Scene], str]:
    """Return the views of all compartments, and a sentence on the parcels that none shows."""
    out = []
    views = atlas_views(atlas, surfaces=surfaces, background=background, most=_MOST)
    for compartment, found in views.items():
        labels = np.asarray(atlas.maps[compartment].harden().labels)
        first = atlas.parcel_slices()[compartment].start
        is_slice = isinstance(atlas.geometry[compartment], VolumeGrid)
        for view in found:
            # Within the compartment from 0, in the page's table from `first`; 0 stands for none.
            seen = _halve(view, labels)
            rows = _encode_rows(np.where(seen < 0, 0, seen + first + 1))
            about = _describe_view(atlas, view, labels, first)
            place = f"slice at {view.title}" if is_slice else view.title
            out.append(Scene(view, labels, f"{place}; {about}", rows, is_slice))
    return out, describe_unseen(atlas, views)


def strip(
    found: Sequence[Scene],
    colors: Mapping[str, Coloring],
    *,
    title: str,
    text: str = "",
    scale: Scale | None = None,
    lines: bool = True,
) -> Strip:
    """Return scenes painted with the colours of each compartment's locations.

    Those of compartments that have no colours are left out.
    """
    pictures = []
    for number, scene in enumerate(found):
        own = colors.get(scene.view.compartment)
        if own is None:
            continue
        painted = paint(
            scene.view,
            own.colors,
            labels=scene.labels if lines else None,
            hatched=own.hatched,
        )
        picture = Picture(
            src=_webp(painted),
            alt=f"{title}: {scene.about}",
            width=painted.shape[1],
            height=painted.shape[0],
            title=scene.view.title,
            scene=number,
            compartment=scene.view.compartment if scene.is_slice else "",
            ends=scene.view.ends,
        )
        pictures.append(picture)
    # `groupby` joins neighbours alone, and the scenes of a compartment follow each other.
    groups = itertools.groupby(pictures, lambda picture: picture.compartment)
    return Strip(title, text, tuple(tuple(group) for _, group in groups), scale)


def color_locations(atlas: Atlas, colors: Coloring) -> dict[str, Coloring]:
    """Return compartment to the colour of each location's parcel; soft maps are hardened."""
    rows = atlas.parcel_slices()
    return {c: colors.of(rows[c]).at(np.asarray(m.harden().labels)) for c, m in atlas.maps.items()}


def parcels_strip(
    atlas: Atlas,
    found: Sequence[Scene],
    colors: Float[np.ndarray, "parcels 3"],
    *,
    title: str,
    text: str = "",
) -> Strip:
    """Return the parcels in their colours, mixed by weight where maps are soft.

    What is said of colours stands before `text`.
    """
    painted, mixed = color_locations(atlas, color_parcels(colors)), False
    for c, rows in atlas.parcel_slices().items():
        maps = atlas.maps[c]
        if not isinstance(maps, HardMaps):
            mixed = True
            painted[c] = Coloring(mixed_colors(maps, colors[rows]), painted[c].hatched)
    text = f"Colours are mixed by weight. {text}".strip() if mixed else text
    return strip(found, painted, title=title, text=text, lines=not mixed)


def show_scale(scale: ColorScale, *, unit: str = "") -> Scale:
    """Return the colour bar of a scale as the page shows it."""
    # Between the nine stops CSS mixes linearly.
    stops = [matplotlib.colors.to_hex(scale.colormap(x)) for x in np.linspace(0, 1, 9)]
    low, high = format_number(scale.low), format_number(scale.high)
    return Scale(low, high, unit, ", ".join(stops))


def matrix(
    values: Real[np.ndarray, "rows columns"],
    *,
    low: float,
    high: float,
    colormap: matplotlib.colors.Colormap,
    alt: str,
    unit: str = "",
    largest: int = 800,
) -> tuple[Picture, Scale]:
    """Return a matrix as an image, and its colour bar; NaN is transparent.

    Where it has more than `largest` rows or columns, a pixel is the mean of several.
    """
    colors = ColorScale(low, high, colormap)
    image = colors(_reduce(np.asarray(values, dtype=np.float64), largest))
    # A matrix of few cells is exact and small; in one of many, noise would be stored exactly.
    src = _webp(image, exact=image.shape[0] * image.shape[1] < 200 * 200)
    picture = Picture(src, alt, image.shape[1], image.shape[0])
    return picture, show_scale(colors, unit=unit)


def _reduce(values: np.ndarray, largest: int) -> np.ndarray:
    """Return means of blocks, so that no side is longer than `largest`; NaN counts for nothing."""
    for axis in (0, 1):
        size = values.shape[axis]
        if size > largest:
            # Blocks from start to start, as even as whole numbers are: sizes differ by 1 at most.
            starts = np.unique(np.arange(largest) * size // largest)
            counts = np.add.reduceat(np.isfinite(values).astype(float), starts, axis=axis)
            sums = np.add.reduceat(np.nan_to_num(values), starts, axis=axis)
            values = np.where(counts == 0, np.nan, sums) / np.where(counts == 0, 1, counts)
    return values


def _describe_view(atlas: Atlas, view: View, labels: np.ndarray, first: int) -> str:
    counts = view.shown(labels, atlas.maps[view.compartment].n_parcels)
    largest = [int(i) for i in np.argsort(-counts, kind="stable")[:_NAMED] if counts[i]]
    names = ", ".join(atlas.table["name"][first + i] for i in largest)
    seen = int(np.count_nonzero(counts))
    most = f", most of all {names}" if names else ""
    return f"{format_count(seen, 'parcel')}{most}."


def _halve(view: View, labels: Int[np.ndarray, " locations"]) -> Int[np.ndarray, "rows columns"]:
    """Return the parcel of each painted pixel, -1 for none."""
    # Every second pixel of either side is enough to point at; an odd one at the end is cut off.
    # Pixels without a location are -1, which is the place of the -1 that is appended.
    rows, columns = (size // 2 * 2 for size in view.locations.shape)
    return np.append(labels, -1)[view.locations[:rows:2, :columns:2]]


def _webp(rgba: Float[np.ndarray, "rows columns 4"], *, exact: bool = False) -> str:
    from PIL import Image

    image = Image.fromarray(np.round(rgba * 255).astype(np.uint8))
    return embed_image(image, lossless=exact, quality=_QUALITY, method=4)


def _encode_rows(values: Int[np.ndarray, "rows columns"]) -> str:
    from PIL import Image

    # Without loss, as a number that is off by 1 is another parcel. 65,535 parcels fit.
    channels = np.stack([values % 256, values // 256, np.zeros_like(values)], axis=-1)
    return embed_image(Image.fromarray(channels.astype(np.uint8)), lossless=True, quality=100)


def embed_image(image: "object", **options: object) -> str:
    """Return an image of Pillow as an address that a page can hold, stored as WebP."""
    stream = io.BytesIO()
    image.save(stream, format="webp", **options)  # pyright: ignore
    return f"data:image/webp;base64,{base64.b64encode(stream.getvalue()).decode()}"
