"""Figures of atlases and of parcel values: cortex on a surface, volumes in slices."""

import colorsys
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.colors
import numpy as np
from jaxtyping import Float, Int, Real
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure

from atlasinit.atlas import Atlas
from atlasinit.geometry import SurfaceMesh, VolumeGrid

_NONE = (0.82, 0.82, 0.82)
"""Colour of locations that belong to no parcel or have no value."""

_VIEWS = (
    ("cortex_L", "lateral"),
    ("cortex_L", "medial"),
    ("cortex_R", "medial"),
    ("cortex_R", "lateral"),
)


def parcel_colors(atlas: Atlas) -> Float[np.ndarray, "parcels 3"]:
    """Return an RGB colour in [0, 1] for each parcel: the table's, else one of a fixed sequence.

    The sequence steps the hue by the golden ratio, so that neighbours in the
    table differ, and alternates three brightnesses.
    """
    colors = []
    for row, text in enumerate(atlas.table["color"]):
        if text:
            colors.append([int(text[i : i + 2], 16) / 255 for i in (1, 3, 5)])
        else:
            hue = (row * 0.618034) % 1
            colors.append(colorsys.hsv_to_rgb(hue, 0.55, (0.95, 0.75, 0.6)[row % 3]))
    return np.array(colors, dtype=np.float64).reshape(-1, 3)


def draw_surface(
    axes: Axes,
    coordinates: Float[np.ndarray, "vertices 3"],
    faces: Int[np.ndarray, "faces 3"],
    colors: Float[np.ndarray, "vertices 3"],
    *,
    from_left: bool,
) -> None:
    """Draw a coloured mesh seen from the left or from the right, with simple shading.

    An orthographic projection along x: the triangles that face the viewer,
    painted from the farthest to the nearest.
    """
    towards = -1.0 if from_left else 1.0
    triangles = coordinates.astype(np.float64)[faces]
    normals = np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])
    lengths = np.linalg.norm(normals, axis=1)
    facing = towards * normals[:, 0] / np.where(lengths == 0, 1, lengths)
    visible = np.flatnonzero(facing > 0)
    order = visible[np.argsort(towards * triangles[visible, :, 0].mean(axis=1))]
    shade = 0.55 + 0.45 * facing[order]
    paint = colors[faces[order]].mean(axis=1) * shade[:, None]
    flat = triangles[order][:, :, 1:] * [towards, 1]
    axes.add_collection(
        PolyCollection(list(flat), facecolors=paint, edgecolors=paint, linewidths=0.4)
    )
    axes.autoscale()
    axes.set_aspect("equal")
    axes.axis("off")


def surface_figure(
    atlas: Atlas,
    values: Mapping[str, Float[np.ndarray, " parcels"]],
    *,
    surfaces: Mapping[str, tuple[np.ndarray, np.ndarray]] | None = None,
) -> Figure:
    """Return a figure with the atlas and one row of views for each set of parcel values.

    Parameters
    ----------
    atlas
        An atlas with ``cortex_L`` and ``cortex_R``. Soft maps are shown hardened.
    values
        Title to (parcels,) values; NaN is shown in grey.
    surfaces
        Compartment to (coordinates, faces) to draw on, for instance inflated; by
        default each mesh's own anatomical surface, else its sphere.

    Raises
    ------
    ValueError
        A mesh without a surface to draw on.
    """
    rows: list[tuple[str, Any, np.ndarray]] = [(atlas.name, None, parcel_colors(atlas))]
    for title, column in values.items():
        finite = column[np.isfinite(column)]
        low, high = np.percentile(finite, [2, 98]) if finite.size else (0.0, 1.0)
        scale = ScalarMappable(matplotlib.colors.Normalize(low, high), "viridis")
        colors = np.where(np.isfinite(column)[:, None], scale.to_rgba(column)[:, :3], _NONE)
        rows.append((title, scale, colors))
    figure = Figure(figsize=(12, 2.3 * len(rows)), layout="constrained")
    grid = figure.subplots(len(rows), 4, squeeze=False)
    for axes, (title, scale, colors) in zip(grid, rows, strict=True):
        _draw_views(list(axes), atlas, colors, surfaces or {})
        axes[0].set_title(title, loc="left")
        if scale is not None:
            figure.colorbar(scale, ax=list(axes), shrink=0.7, pad=0.01)
    return figure


def slices_figure(
    atlas: Atlas, *, background: Real[np.ndarray, "x y z"] | None = None, title: str = ""
) -> Figure:
    """Return a figure with sagittal, coronal and axial slices of an atlas on a grid.

    Each slice is the one with most labelled voxels. The grid's axes are shown as
    they are stored, which for RAS and LAS grids is the usual orientation.

    Parameters
    ----------
    atlas
        An atlas with one compartment on a grid. Soft maps are shown hardened.
    background
        (x, y, z) image shown in grey under the parcels.
    """
    compartment = next(c for c, g in atlas.geometry.items() if isinstance(g, VolumeGrid))
    grid = atlas.geometry[compartment]
    assert isinstance(grid, VolumeGrid)
    rows = np.asarray(atlas.maps[compartment].harden().labels)
    volume = np.full(grid.shape, -1)
    volume.reshape(-1)[grid.voxels] = rows
    colors = parcel_colors(atlas)[atlas.parcel_slices()[compartment]]
    figure = Figure(figsize=(12, 4), layout="constrained")
    for axis, axes in enumerate(figure.subplots(1, 3)):
        others = tuple(a for a in range(3) if a != axis)
        index = int(np.count_nonzero(volume >= 0, axis=others).argmax())
        labels = volume.take(index, axis=axis).T
        base = np.ones((*labels.shape, 3))
        if background is not None:
            under = background.take(index, axis=axis).T.astype(np.float64)
            peak = np.nanmax(under, initial=0)
            base = np.repeat(1 - 0.7 * (under / (peak or 1))[..., None], 3, axis=-1)
        base[labels >= 0] = colors[labels[labels >= 0]]
        axes.imshow(base.clip(0, 1), origin="lower", interpolation="nearest")
        axes.axis("off")
    figure.suptitle(title or atlas.name)
    return figure


def _draw_views(
    axes: Sequence[Axes],
    atlas: Atlas,
    colors: Float[np.ndarray, "parcels 3"],
    surfaces: Mapping[str, tuple[np.ndarray, np.ndarray]],
) -> None:
    rows = atlas.parcel_slices()
    for panel, (compartment, view) in zip(axes, _VIEWS, strict=True):
        mesh = atlas.geometry[compartment]
        assert isinstance(mesh, SurfaceMesh)
        coordinates, faces = surfaces.get(compartment) or _surface_of(mesh, compartment)
        labels = np.asarray(atlas.maps[compartment].harden().labels)
        own = np.vstack([colors[rows[compartment]], _NONE])  # the last row, for label -1
        painted = mesh.put(own[labels], fill=_NONE[0])
        left = (compartment == "cortex_L") == (view == "lateral")
        draw_surface(panel, coordinates, faces, painted, from_left=left)


def _surface_of(mesh: SurfaceMesh, compartment: str) -> tuple[np.ndarray, np.ndarray]:
    coordinates = mesh.anatomical if mesh.anatomical is not None else mesh.sphere
    if coordinates is None or mesh.faces is None:
        raise ValueError(
            f"`surfaces`: the mesh of {compartment!r} has no surface to draw on; pass "
            "(coordinates, faces)."
        )
    return coordinates, mesh.faces
