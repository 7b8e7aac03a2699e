"""Figures: what is painted is what the atlas says."""

import numpy as np
import pytest
from helpers import table
from test_resampling import sphere

import atlasinit as ai
from atlasinit.figures import draw_surface, parcel_colors, slices_figure, surface_figure


def cortex():
    left = sphere(300, 0, 10)
    right = ai.SurfaceMesh(300, faces=left.faces, sphere=left.sphere, hemisphere="R")
    labels = (left.sphere[:, 2] > 0).astype(np.int32)
    return ai.Atlas(
        name="halves",
        space="test",
        maps={"cortex_L": ai.HardMaps(labels, 2), "cortex_R": ai.HardMaps(labels, 2)},
        geometry={"cortex_L": left, "cortex_R": right},
        labels=table(["cortex_L"] * 2 + ["cortex_R"] * 2),
    )


def test_colors_are_the_tables_or_distinct():
    atlas = cortex()
    own = ["#ff0000", "", "#00ff80", ""]
    columns = {c: atlas.table[c] for c in atlas.table.columns} | {"color": own}
    colors = parcel_colors(
        ai.Atlas(
            name="c",
            space="s",
            maps=atlas.maps,
            geometry=atlas.geometry,
            labels=ai.LabelTable(columns),
        )
    )
    np.testing.assert_allclose(colors[[0, 2]], [[1, 0, 0], [0, 1, 128 / 255]])
    assert len(np.unique(colors, axis=0)) == 4


def test_a_view_shows_the_triangles_that_face_it():
    from matplotlib.figure import Figure

    mesh = sphere(300, 0, 10)
    colors = np.where(mesh.sphere[:, :1] < 0, [[1.0, 0, 0]], [[0, 0, 1.0]])
    for from_left, seen in ((True, 0), (False, 2)):
        axes = Figure().subplots()
        draw_surface(axes, mesh.sphere, mesh.faces, colors, from_left=from_left)
        painted = axes.collections[0].get_facecolor()[:, :3]
        assert painted[:, seen].sum() > 10 * painted[:, 2 - seen].sum()


def test_surface_figure_has_a_row_a_measure(tmp_path):
    figure = surface_figure(
        cortex(), {"thickness": np.array([1, 2, np.nan, 4.0]), "empty": np.full(4, np.nan)}
    )
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert [t for t in titles if t] == ["halves", "thickness", "empty"]
    figure.savefig(tmp_path / "f.png")
    assert (tmp_path / "f.png").stat().st_size > 10_000


def test_surface_figure_needs_a_surface():
    atlas = cortex()
    bare = ai.SurfaceMesh(300)
    with pytest.raises(ValueError, match="'cortex_L' has no surface"):
        surface_figure(atlas.replace(geometry={"cortex_L": bare, "cortex_R": bare}), {})


def test_slices_show_the_parcels_over_the_background():
    grid = ai.VolumeGrid((5, 6, 7), np.eye(4), [100, 101, 120])
    atlas = ai.Atlas(
        name="v",
        space="s",
        maps={"volume": ai.HardMaps(np.array([0, 0, 1], np.int32), 2)},
        geometry={"volume": grid},
        labels=table(["volume"] * 2),
    )
    figure = slices_figure(atlas, background=np.ones((5, 6, 7)))
    shown = [axes.images[0].get_array() for axes in figure.axes]
    assert [s.shape for s in shown] == [(7, 6, 3), (7, 5, 3), (6, 5, 3)]
    colors = parcel_colors(atlas)
    for picture, parcel in zip(shown, (0, 0, 1), strict=True):
        assert (np.abs(picture - colors[parcel]).max(-1) < 1e-9).any()
    np.testing.assert_allclose(shown[0][0, 0], 0.3)
