"""Connectomes in a glass brain: parcels in their places, the strongest connections, in words."""

import numpy as np
import pandas as pd
import pytest
from helpers import mixed_atlas, table
from helpers_smoothing import sphere_mesh, voronoi

import atlasinit as ai
from atlasinit.figures import parcel_colors
from atlasinit.figures.glass import EDGES
from atlasinit.io.centres import parcel_centres


def mixed(n=12, **columns):
    """Return an atlas of a hemisphere with an anatomical surface and of a grid beside it."""
    sphere = sphere_mesh(2)
    points = 0.6 * sphere.sphere - [35, 10, 0]
    mesh = ai.SurfaceMesh(len(points), hemisphere="L", faces=sphere.faces, anatomical=points)
    grid = ai.VolumeGrid((n, 1, 1), np.diag([5.0, 5, 5, 1]))
    maps = {"cortex_L": voronoi(sphere, 4), "subcortex": ai.HardMaps(np.arange(n), n)}
    homes = ["cortex_L"] * 4 + ["subcortex"] * n
    return ai.Atlas(
        name="a $x",
        space="test",
        maps=maps,
        geometry={"cortex_L": mesh, "subcortex": grid},
        labels=table(homes, **columns),
    )


def symmetric(n, seed=0):
    half = np.random.default_rng(seed).normal(size=(n, n))
    return half + half.T


def brain_of(figure):
    """Return the points and the number of lines in the only brain of a figure."""
    # The frame, the brain, the colour bar.
    axes = next(a for a in figure.axes[1:] if a.collections)
    points = axes.collections[-1]
    lines = [line for line in axes.lines if len(line.get_xdata()) == 2]
    return np.asarray(points.get_offsets()), points.get_facecolors(), lines


def texts_of(figure):
    return [text.get_text() for text in figure.texts]


def test_parcels_lie_where_the_atlas_says_in_the_colours_of_networks():
    atlas = mixed(network=["Vis"] * 4 + ["Default"] * 12)
    matrix = symmetric(16)
    matrix[3, 5] = matrix[5, 3] = np.nan
    names = list(atlas.table["name"])
    frame = pd.DataFrame(matrix, names, names).iloc[::-1]
    figure = ai.plot_connectome(
        frame, atlas, edge_threshold="90%", display_mode="x", units="r", title="two $y"
    )
    points, colors, lines = brain_of(figure)
    np.testing.assert_allclose(points, parcel_centres(atlas)[:, 1:], atol=1e-4)
    np.testing.assert_allclose(colors[:, :3], parcel_colors(atlas, palette="network"))
    # 120 pairs without the unknown one; the percentile is NumPy's.
    sizes = np.abs(matrix[np.tril_indices(16, -1)])
    threshold = np.nanpercentile(sizes, 90)
    drawn = np.count_nonzero(sizes >= threshold)
    assert len(lines) == drawn
    assert texts_of(figure) == [
        "two $y",
        f"{drawn} of 119 connections, those of {threshold:.3g} or more in size.",
    ]
    # Where a line runs: from the one parcel to the other.
    row, column = np.argwhere(np.abs(np.nan_to_num(np.tril(matrix, -1))) >= threshold)[0]
    ends = {tuple(np.round(xy, 3)) for line in lines for xy in np.asarray(line.get_xydata())}
    assert {tuple(np.round(points[i], 3)) for i in (row, column)} <= ends
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    joined = (np.abs(np.nan_to_num(matrix - np.diag(np.diag(matrix)))) >= threshold).any(axis=0)
    named = [f"{i} {names[r]}" for i, r in enumerate(np.flatnonzero(joined), start=1)]
    assert legend == ["Vis", "Default", *named]
    assert figure.axes[-1].get_ylabel() == "r"


def test_the_strongest_are_drawn_and_arrows_of_what_has_a_direction(recwarn):
    n = 26
    atlas, matrix = mixed(n), symmetric(n + 4)
    figure = ai.plot_connectome(matrix, atlas, display_mode="z")
    assert len(brain_of(figure)[2]) == EDGES
    assert texts_of(figure)[1].startswith(f"{EDGES} of 435 connections, those of ")
    matrix[0, 1] = 50.0
    # An empty parcel has no place.
    keep = np.arange(26, dtype=np.int32)
    keep[3] = 2
    geometry, maps = atlas.geometry, atlas.maps | {"subcortex": ai.HardMaps(keep, n)}
    holey = ai.Atlas(name="b", space="test", maps=maps, geometry=geometry, labels=atlas.table)
    figure = ai.plot_connectome(matrix, holey, edge_threshold=30, display_mode="z", vmax=40)
    assert texts_of(figure)[1] == (
        "1 of 812 connections, those of 30 or more in size. Arrows run from the row to the column. "
        "1 parcel without a location."
    )
    assert texts_of(figure)[2] == "1 value beyond;\nall from 50 to 50"
    assert not recwarn.list


def test_nothing_and_a_single_parcel_are_drawn():
    grid = ai.VolumeGrid((1, 1, 1), np.eye(4))
    one = ai.Atlas(
        name="one",
        space="test",
        maps={"volume": ai.HardMaps(np.zeros(1, np.int32), 1)},
        geometry={"volume": grid},
        labels=table(["volume"]),
    )
    figure = ai.plot_connectome([[1.0]], one, display_mode="x")
    assert texts_of(figure)[1] == "0 of 0 connections."


@pytest.mark.parametrize(
    ("matrix", "options", "match"),
    [
        (np.eye(5), {}, r"`matrix` should be .*16 parcels"),
        (np.eye(16), {"edge_threshold": "much"}, '`edge_threshold` should be .*"95%", got'),
        (np.eye(16), {"edge_threshold": "101%"}, "`edge_threshold` should be a number or"),
        (np.eye(16), {"edge_threshold": -1}, "`edge_threshold` should be"),
    ],
)
def test_what_is_no_connectome_is_refused(matrix, options, match):
    with pytest.raises(ValueError, match=match):
        ai.plot_connectome(matrix, mixed(), **options)


def test_a_mesh_without_a_surface_has_no_places():
    atlas = mixed_atlas()
    with pytest.raises(ValueError, match="mesh of 'cortex_L' has no anatomical surface"):
        ai.plot_connectome(np.eye(atlas.n_parcels), atlas)
