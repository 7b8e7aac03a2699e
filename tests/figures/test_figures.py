"""Figures: what is painted is what the atlas says."""

import functools
import inspect

import matplotlib
import nibabel as nib
import numpy as np
import pytest
from helpers import mixed_atlas, table
from helpers_smoothing import icosphere, sphere_mesh, voronoi
from matplotlib.colors import to_rgb

import atlasinit as ai
from atlasinit.core.adjacency import count_borders, find_touching
from atlasinit.figures import atlas_views, mixed_colors, paint, parcel_colors, value_colors
from atlasinit.figures.palettes import (
    GREY,
    SAFE,
    color_parcels,
    color_values,
    label_colors,
)
from atlasinit.figures.positions import choose_slices
from atlasinit.figures.scales import scale_values
from atlasinit.figures.sides import choose_sides
from atlasinit.figures.surfaces import VIEWPOINTS, open_sulci, rasterise
from atlasinit.figures.views import describe_unseen, find_unseen

WIDTH = 240


# Small pictures, for speed.
rasterise = functools.partial(rasterise, width=WIDTH)
atlas_views = functools.partial(atlas_views, width=WIDTH)


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr("atlasinit.figures.plots.atlas_views", atlas_views)


def atlas_on(geometry, maps, colors=None):
    rows = table([c for c, m in maps.items() for _ in range(m.n_parcels)])
    if colors is not None:
        rows = ai.LabelTable({c: rows[c] for c in rows.columns} | {"color": colors})
    return ai.Atlas(name="a", space="test", maps=maps, geometry=geometry, labels=rows)


def cortex(n_parcels=6, level=4):
    mesh = sphere_mesh(level)
    right = ai.SurfaceMesh(mesh.n_vertices, faces=mesh.faces, sphere=mesh.sphere, hemisphere="R")
    left = ai.SurfaceMesh(mesh.n_vertices, faces=mesh.faces, sphere=mesh.sphere, hemisphere="L")
    return atlas_on(
        {"cortex_L": left, "cortex_R": right},
        {"cortex_L": voronoi(mesh, n_parcels), "cortex_R": voronoi(mesh, n_parcels, seed=1)},
    )


def blocks(shape, parts, affine=None):
    """Return a volume divided into `parts` blocks along each axis."""
    index = np.stack(np.indices(shape)) * parts // np.array(shape)[:, None, None, None]
    labels = np.ravel_multi_index(tuple(index), (parts,) * 3).reshape(-1).astype(np.int32)
    grid = ai.VolumeGrid(shape, np.eye(4) if affine is None else affine)
    return atlas_on({"volume": grid}, {"volume": ai.HardMaps(labels, parts**3)})


def test_own_colors_are_the_tables_and_the_rest_is_safe():
    atlas = cortex(2)
    own = ["#ff0000", "", "#00ff80", ""]
    atlas = atlas_on(atlas.geometry, atlas.maps, own)
    colors = parcel_colors(atlas)
    np.testing.assert_allclose(colors[[0, 2]], [[1, 0, 0], [0, 1, 128 / 255]])
    safe = [to_rgb(c) for c in SAFE]
    assert all(tuple(colors[row]) in safe for row in (1, 3))
    np.testing.assert_array_equal(parcel_colors(atlas, palette="safe")[[1, 3]], colors[[1, 3]])
    with pytest.raises(
        ValueError, match='`palette` should be "own", "network" or "safe", got \'tab20\''
    ):
        parcel_colors(atlas, palette="tab20")


@pytest.mark.parametrize("make", [lambda: cortex(120), lambda: blocks((16, 16, 16), 4)])
def test_parcels_that_touch_have_different_safe_colors(make):
    atlas = make()
    colors = parcel_colors(atlas, palette="safe")
    assert len(np.unique(colors, axis=0)) <= len(SAFE)
    for c, rows in atlas.parcel_slices().items():
        pairs = count_borders(atlas.maps[c], find_touching(atlas.geometry[c])).tocoo()
        assert pairs.nnz > 100
        assert (colors[rows][pairs.row] != colors[rows][pairs.col]).any(axis=1).all()


# Viénot, Brettel and Mollon (1999): linear RGB as seen without one kind of cone.
DICHROMATS = {
    "protan": [[0.11238, 0.88762, 0], [0.11238, 0.88762, 0], [0.00401, -0.00401, 1]],
    "deutan": [[0.29275, 0.70725, 0], [0.29275, 0.70725, 0], [-0.02234, 0.02234, 1]],
}


@pytest.mark.parametrize("seen", [np.eye(3), *DICHROMATS.values()], ids=["all", *DICHROMATS])
def test_safe_colors_are_told_apart_without_a_kind_of_cone(seen):
    rgb = np.array([to_rgb(c) for c in SAFE])
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4) @ np.transpose(
        seen
    )
    to_xyz = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    xyz = linear @ np.transpose(to_xyz) / [0.9505, 1, 1.089]
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    lab = np.stack([116 * f[:, 1] - 16, 500 * (f[:, 0] - f[:, 1]), 200 * (f[:, 1] - f[:, 2])], 1)
    distances = np.linalg.norm(lab[:, None] - lab, axis=2)[np.triu_indices(len(SAFE), 1)]
    assert distances.min() > 15  # CIE76; about 2 is just noticeable


def test_a_pixel_shows_the_triangle_in_front_of_it():
    points, faces = icosphere(3)
    for side, towards in (("left", -1), ("right", 1)):
        face, weights = rasterise(points, faces, axes=VIEWPOINTS[side])
        rows, columns = np.nonzero(face >= 0)
        shown = np.einsum("pc,pcx->px", weights, points[faces[face[rows, columns]]])
        assert (towards * shown[:, 0] > -2).all()
        np.testing.assert_allclose(np.linalg.norm(shown, axis=1), 100, atol=1.5)
        # Where the pixel lies is where the point is: anterior and up.
        across = np.polyfit(columns, shown[:, 1], 1)[0]
        up = np.polyfit(rows, shown[:, 2], 1)[0]
        np.testing.assert_allclose(
            [across * towards, up], [200 / (WIDTH - 1), -200 / (WIDTH - 1)], rtol=0.01
        )
        np.testing.assert_allclose(shown[:, 2], shown[:, 2].mean() + up * (rows - rows.mean()))
        disc = (face >= 0).sum() / ((WIDTH - 1) / 2) ** 2
        assert disc == pytest.approx(np.pi, rel=0.01)


def test_nearer_parts_hide_others():
    points, faces = icosphere(2)
    two = np.concatenate([points * 0.4 + [150, 0, 0], points])
    face, _ = rasterise(two, np.concatenate([faces, faces + len(points)]), axes=VIEWPOINTS["right"])
    middle = face[face.shape[0] // 2, face.shape[1] // 2]
    assert 0 <= middle < len(faces)
    face, _ = rasterise(two, np.concatenate([faces, faces + len(points)]), axes=VIEWPOINTS["left"])
    assert face[face.shape[0] // 2, face.shape[1] // 2] >= len(faces)


def test_opened_surfaces_keep_their_box_and_lose_their_folds():
    points, faces = icosphere(4, 30.0)
    folded = points * (1 + 0.05 * np.sin(points[:, :1]))
    smooth = open_sulci(folded, faces)
    np.testing.assert_allclose(np.ptp(smooth, axis=0), np.ptp(folded, axis=0))
    assert np.linalg.norm(smooth, axis=1).std() < 0.5 * np.linalg.norm(folded, axis=1).std()


def test_views_name_the_side_and_show_its_parcels():
    atlas = cortex(8)
    views = atlas_views(atlas)
    assert [v.title for c in atlas.compartments for v in views[c]] == [
        "left hemisphere, lateral",
        "left hemisphere, medial",
        "right hemisphere, medial",
        "right hemisphere, lateral",
    ]
    mesh, labels = atlas.geometry["cortex_L"], atlas.maps["cortex_L"].labels
    for view, towards in zip(views["cortex_L"], (-1, 1), strict=True):
        facing = labels[towards * mesh.sphere[:, 0] > 10]
        seen = np.flatnonzero(view.shown(labels, 8))
        assert set(facing) <= set(seen)
        share = view.shown(labels, 8)[labels[(towards * mesh.sphere[:, 0]).argmax()]]
        assert share > 0.02 * view.locations.size


TOWARDS = {"dorsal": (2, 1), "ventral": (2, -1), "anterior": (1, 1), "posterior": (1, -1)}


@pytest.mark.parametrize("side", TOWARDS)
def test_sides_show_what_faces_them_with_left_and_right_marked(side):
    atlas = cortex(8, level=3)
    mesh = atlas.geometry["cortex_L"]
    [view] = atlas_views(atlas, hemispheres="left", views=[side])["cortex_L"]
    assert view.title == f"left hemisphere, {side}"
    axis, towards = TOWARDS[side]
    _, columns = np.nonzero(view.locations >= 0)
    points = mesh.sphere[view.locations[view.locations >= 0]]
    assert (towards * points[:, axis] > -5).all()
    # What is at the left of the picture is at the left of the brain, or is said not to be.
    assert (np.corrcoef(points[:, 0], columns)[0, 1] > 0.9) == (view.ends == ("L", "R"))


ASKED = [
    ({}, ["L lateral", "L medial", "R medial", "R lateral", *"xxyyzz"]),
    ({"hemispheres": "right"}, ["R medial", "R lateral", *"xxyyzz"]),
    ({"hemispheres": ["right", "left"], "views": "dorsal"}, ["L dorsal", "R dorsal", *"xxyyzz"]),
    (
        {"views": ("axial", "lateral", "ventral", "sagittal")},
        ["L lateral", "L ventral", "R ventral", "R lateral", *"xxzz"],
    ),
    ({"views": "coronal"}, ["L lateral", "L medial", "R medial", "R lateral", *"yy"]),
]


@pytest.mark.parametrize(("options", "titles"), ASKED)
def test_hemispheres_and_views_are_those_asked_for(options, titles):
    surface, volume = cortex(2, level=2), blocks((6, 6, 6), 2)
    atlas = atlas_on(
        surface.geometry | {"subcortex": volume.geometry["volume"]},
        surface.maps | {"subcortex": volume.maps["volume"]},
    )
    [part] = ai.plot_atlas(atlas, **options).subfigs
    found = [a.get_title() for a in part.axes if a.images]
    short = [t.replace(" hemisphere,", "") if "hemi" in t else t[0] for t in found]
    assert [t.replace("left", "L").replace("right", "R") for t in short] == titles
    for axes in (a for a in part.axes if a.images):
        assert {t.get_text() for t in axes.texts} in ({"L", "R"}, {"A", "P"})


@pytest.mark.parametrize("name", ["left", "L", "l", "lh", "Left", ["L"], ("left", "LH")])
def test_a_hemisphere_has_one_side_by_any_name(name):
    atlas = cortex(2, level=1)
    assert choose_sides(atlas, hemispheres=name).hemispheres == ("L",)
    if isinstance(name, str):
        assert atlas.select(hemisphere=name) == atlas.select(hemisphere="L")


@pytest.mark.parametrize(
    "options", [{"hemispheres": "L"}, {"views": "lateral"}, {"values": np.arange(4.0)}], ids=str
)
def test_pictures_reach_to_the_right_end(options):
    figure = ai.plot_atlas(cortex(2, level=2), **options)
    figure.canvas.draw()
    for part in figure.subfigs:
        end = max(a.get_tightbbox().x1 for a in part.axes)
        assert 0.88 * figure.bbox.width < end <= figure.bbox.width


@pytest.mark.parametrize("slices", [1, 3])
def test_a_mm_is_as_long_in_all_slices(slices):
    atlas = blocks((6, 9, 12), 3, affine=np.diag([4.0, 3, 2, 1]))
    figure = ai.plot_atlas(atlas, slices=slices, background=False)
    extents = {"x": (27, 24), "y": (24, 24), "z": (24, 27)}
    scales = []
    for axes in (a for a in figure.subfigs[0].axes if a.images):
        size = axes.get_window_extent().size
        scales += list(size / extents[axes.get_title()[0]])
    np.testing.assert_allclose(scales, scales[0], rtol=0.05)
    tops = {round(a.get_window_extent().y1) for a in figure.subfigs[0].axes if a.images}
    assert len(tops) == (1 if slices == 1 else 3)


def test_views_are_names():
    with pytest.raises(TypeError, match="`views` should be names among lateral.*got 3"):
        inspect.unwrap(choose_sides)(blocks((4, 4, 4), 2), views=3)


def test_many_sides_are_a_line_for_each_hemisphere():
    atlas = cortex(2, level=2)
    [part] = ai.plot_atlas(atlas, views=["lateral", "medial", "dorsal", "ventral"]).subfigs
    tops = [round(a.get_position().y1, 3) for a in part.axes if a.images]
    assert len(set(tops[:4])) == len(set(tops[4:])) == 1
    assert tops[0] > tops[4]


def test_views_that_an_atlas_has_not_are_refused():
    volume, both = blocks((4, 4, 4), 2), cortex(2, level=1)
    left = atlas_on(*({"cortex_L": d["cortex_L"]} for d in (both.geometry, both.maps)))
    for atlas, options, match in (
        (volume, {"hemispheres": "left"}, "`hemispheres` are of surfaces, .*none with a side"),
        (left, {"hemispheres": "right"}, "has the left one alone"),
        (left, {"hemispheres": "both"}, "`hemispheres` should be among left, right, got 'both'"),
        (left, {"views": ["axial"]}, "`views` should be of surfaces.*choose among lateral"),
        (volume, {"views": "lateral"}, "`views` should be of volumes.*got 'lateral'"),
        (volume, {"views": "sagittally"}, "got 'sagittally'.*sagittal"),
        (left, {"views": []}, "`views` names nothing to show"),
    ):
        with pytest.raises(ValueError, match=match):
            ai.plot_atlas(atlas, **options)


@pytest.mark.parametrize(
    "affine",
    [
        np.diag([2.0, 2, 2, 1]),
        np.diag([-2.0, 3, -1, 1]),
        np.array([[0, 0, -2.0, 5], [1.5, 0.1, 0, 0], [0, 3, 0, -7], [0, 0, 0, 1]]),
    ],
    ids=["RAS", "LAI, anisotropic", "permuted"],
)
def test_slices_are_turned_to_the_world(affine):
    rng = np.random.default_rng(0)
    shape = (9, 11, 13)
    grid = ai.VolumeGrid(shape, affine, np.flatnonzero(rng.random(9 * 11 * 13) < 0.9))
    atlas = atlas_on(
        {"volume": grid}, {"volume": ai.HardMaps(np.zeros(grid.n_locations, np.int32), 1)}
    )
    views = atlas_views(atlas, slices=2)["volume"]
    assert [v.title[0] for v in views] == list("xxyyzz")
    for view in views:
        axis = "xyz".index(view.title[0])
        across, up = (a for a in range(3) if a != axis)
        rows, columns = np.nonzero(view.locations >= 0)
        points = grid.coordinates[view.locations[rows, columns]]
        place = float(view.title.split()[2].replace("\N{MINUS SIGN}", "-"))
        side = {True: ", left", False: ", right"}[place < 0] if axis == 0 else ""
        assert view.title.endswith(f" mm{side}")
        assert view.ends == (("P", "A") if axis == 0 else ("L", "R"))
        np.testing.assert_allclose(points[:, axis], place, atol=0.7)
        assert np.corrcoef(points[:, across], columns)[0, 1] > 0.99
        assert np.corrcoef(points[:, up], rows)[0, 1] < -0.99
        # A mm takes as many pixels across as up.
        scales = [np.polyfit(points[:, a], p, 1)[0] for a, p in ((across, columns), (up, rows))]
        assert abs(scales[0] / scales[1]) == pytest.approx(1, rel=0.1)


def test_the_fullest_slices_are_shown():
    filled = np.zeros((10, 10, 10), bool)
    filled[2], filled[7, 2:], filled[8, :1] = True, True, True
    grid = ai.VolumeGrid.from_mask(filled, np.eye(4))
    labels = ai.HardMaps(np.zeros(grid.n_locations, np.int32), 1)
    atlas = atlas_on({"volume": grid}, {"volume": labels})
    views = atlas_views(atlas, slices=2)["volume"]
    assert [v.title for v in views[:2]] == ["x = 2 mm, right", "x = 7 mm, right"]
    assert atlas_views(atlas, slices=1)["volume"][0].title == "x = 2 mm, right"


def test_paint_shows_colors_grey_and_lines():
    atlas = blocks((6, 6, 6), 2)
    [view, *_] = atlas_views(atlas, slices=1)["volume"]
    labels = atlas.maps["volume"].labels
    colors = label_colors(np.where(labels == 0, -1, labels), parcel_colors(atlas))
    picture = paint(view, colors)
    # A quarter each of the slice; that of the first parcel is transparent.
    expected = [np.zeros(4), *([*parcel_colors(atlas)[k], 1] for k in (1, 2, 3))]
    shares = [(np.abs(picture - c) < 1e-6).all(axis=-1).mean() for c in expected]
    np.testing.assert_allclose(shares, 0.25, atol=0.02)
    lined = paint(view, colors, labels=labels)
    assert 0 < (np.abs(lined - picture).max(axis=-1) > 0.1).mean() < 0.1
    grey = paint(view, np.full((len(labels), 4), np.nan))
    assert not grey[..., 3].any()
    [surface, *_] = atlas_views(cortex(2))["cortex_L"]
    bare = paint(surface, np.zeros((surface.locations.max() + 1, 4)))
    assert np.ptp(bare[..., :3][bare[..., 3] == 1], axis=-1).max() < 1e-9
    assert 0.3 * GREY < bare[..., 0][bare[..., 3] == 1].mean() < GREY


def test_grey_parcels_are_told_from_the_grey_behind():
    """A template of the brightness of the parcel, whichever that is; and what has no value."""
    atlas = blocks((8, 8, 8), 2)
    labels = np.where(np.asarray(atlas.maps["volume"].labels) == 3, 3, -1)
    [view, *_] = atlas_views(atlas, slices=1, background=np.ones((8, 8, 8)))["volume"]
    seen = np.append(labels, -1)[view.locations] == 3
    four = np.stack([seen[i::2, j::2] for i in (0, 1) for j in (0, 1)])
    inside, outside = four.all(axis=0), ~four.any(axis=0)
    bare = paint(view, np.zeros((512, 4)))

    def stripes(coloring):
        own = coloring.at(labels)
        picture = paint(view, own.colors, hatched=own.hatched)
        np.testing.assert_array_equal(picture[outside], bare[outside])
        return picture[inside][:, :3]

    for grey in (0.25, 0.5, 0.66, 0.85):
        shown = stripes(color_parcels(np.full((4, 3), grey)))
        assert np.ptp(shown[:, 0]) > 0.3
        assert 0.2 < (np.abs(shown[:, 0] - grey) > 0.3).mean() < 0.5
        assert np.isclose(shown[:, 0], grey).mean() > 0.4
    shown = stripes(color_values(scale_values(np.array([1.0, 2, 3]))(np.array([1, 2, 3, np.inf]))))
    assert np.isclose(shown[:, 0], GREY).mean() > 0.4
    assert np.ptp(shown[:, 0]) > 0.3
    # Colours, black and white are told without.
    for rgb in ([0.9, 0.1, 0.1], [0, 0, 0], [1, 1, 1], [0.5, 0.5, 0.65]):
        assert not np.ptp(stripes(color_parcels(np.array([rgb] * 4, float))), axis=0).any()


def test_grey_networks_are_hatched_in_the_legend():
    networks = ["Vis", "unassigned"] * 4
    figure = ai.plot_atlas(
        blocks_of_networks(networks),
        {"t": [1, np.nan] * 4},
        palette="network",
        title="x" * 400,
        slices=1,
    )
    one, other = figure.subfigs[0].legends[0].get_patches()
    assert (one.get_hatch(), bool(other.get_hatch())) == (None, True)
    assert "hatched: no value" in [t.get_text() for t in figure.subfigs[1].texts]
    # Texts that have no room lose their middle.
    figure.canvas.draw()
    assert figure.subfigs[0].get_tightbbox().x1 <= figure.bbox.width
    assert "\N{HORIZONTAL ELLIPSIS}" in figure.subfigs[0].get_suptitle()


def test_the_background_is_seen_beside_the_parcels():
    grid = ai.VolumeGrid((5, 6, 7), np.eye(4), [100, 101, 120])
    atlas = atlas_on({"volume": grid}, {"volume": ai.HardMaps(np.array([0, 0, 1], np.int32), 2)})
    image = np.zeros((5, 6, 7))
    image[1:4] = 4.0
    colors = label_colors(np.array([0, 0, 1]), parcel_colors(atlas))
    view = atlas_views(atlas, background=image, slices=1)["volume"][1]
    picture = paint(view, colors)
    # The brightest of what lies behind, opaque; nothing where the image is 0.
    middle = picture.shape[1] // 2
    np.testing.assert_allclose(picture[0, middle], [0.85, 0.85, 0.85, 1], atol=1e-6)
    assert picture[0, 0, 3] == 0
    # The same image on another grid, stored from right to left with half voxels, in memory.
    fine = np.repeat(np.repeat(np.repeat(image, 2, 0), 2, 1), 2, 2)[::-1].astype(np.float32)
    affine = np.diag([-0.5, 0.5, 0.5, 1])
    affine[:3, 3] = [4.25, -0.25, -0.25]
    view = atlas_views(atlas, background=nib.Nifti1Image(fine, affine), slices=1)["volume"][1]
    again = paint(view, colors)
    near = (np.abs(again - picture) < 0.01).all(axis=-1)
    assert again.shape == picture.shape
    # But for what is interpolated at the edges of the image, a voxel wide.
    assert near[:, 62:138].all()
    # Nothing behind but the outline of the mask, or not even that.
    bare = atlas_views(atlas, background=False, slices=1)["volume"][1]
    assert set(np.unique(bare.under)) <= {0.0, 0.12, 0.8}
    for wrong, message in (
        (np.ones((5, 6, 8)), r"shape \(5, 6, 7\), got \(5, 6, 8\)"),
        (nib.Nifti1Image(np.ones((2, 2, 2, 3), np.float32), np.eye(4)), "one volume"),
    ):
        with pytest.raises(ValueError, match=rf"`background` .*{message}"):
            ai.plot_atlas(atlas, background=wrong)


def test_the_brain_of_the_space_lies_behind():
    """Where no image is given: nilearn's T1w in any MNI152, in its place and with its sides."""
    affine = np.diag([-4.0, 4, 4, 1])
    affine[:3, 3] = [90, -126, -72]
    grid = ai.VolumeGrid((46, 55, 46), affine, [60000, 60001])
    rows = table(["volume"])
    for space, found in (("MNI152NLin6Asym", True), ("T1w", False), ("unknown", False)):
        atlas = ai.Atlas(
            name="a",
            space=space,
            maps={"volume": ai.HardMaps(np.zeros(2, np.int32), 1)},
            geometry={"volume": grid},
            labels=rows,
        )
        views = atlas_views(atlas, slices=1, size=120)["volume"]
        assert all((np.mean(v.under > 0.9) > 0.3) == found for v in views)
        if found:
            x, y, z = views
            # The brain's 180 x 218 x 189 mm without its outer margin.
            assert x.under.shape[1] / x.under.shape[0] == pytest.approx(178 / 150, rel=0.1)
            assert y.under.shape[1] / y.under.shape[0] == pytest.approx(143 / 150, rel=0.1)


def slices_of(labels, n_parcels, count, most=0):
    return choose_slices(np.asarray(labels), n_parcels, count=count, most=most)


def test_slices_show_parcels_apart_and_from_end_to_end():
    rng = np.random.default_rng(0)
    labels = np.full((40, 44, 38), -1)
    centres = rng.integers(3, 35, size=(60, 3))
    for row, (i, j, k) in enumerate(centres):
        labels[i - 1 : i + 2, j - 1 : j + 2, k - 1 : k + 2] = row
    n = len(centres)
    exists = np.isin(np.arange(n), labels)

    def seen(found):
        cuts = [np.unique(labels.take(index, axis)) for axis, index in found]
        return np.isin(np.arange(n), np.concatenate(cuts))

    found = slices_of(labels, n, 3)
    assert [axis for axis, _ in found] == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    for axis in range(3):
        filled = np.flatnonzero((labels >= 0).any(axis=tuple({0, 1, 2} - {axis})))
        part = (filled[-1] + 1 - filled[0]) / 3
        index = np.array([i for a, i in found if a == axis])
        # One in each third, half a third apart.
        assert np.floor((index + 0.5 - filled[0]) / part).tolist() == [0, 1, 2]
        assert np.diff(index).min() >= part / 2
    # More than of as many slices at the middle of the parts, and than most of chance.
    others = [
        seen([(axis, i) for axis in range(3) for i in rng.choice(np.arange(3, 35), 3)]).sum()
        for _ in range(50)
    ]
    assert seen(found).sum() > np.percentile(others, 95)
    more = slices_of(labels, n, 3, most=30)
    assert set(found) <= set(more)
    assert (seen(more) == exists).all()
    assert len(slices_of(labels, n, 3, most=11)) == 11


@pytest.mark.parametrize("count", [1, 2, 5])
def test_slices_of_little_and_of_nothing(count):
    labels = np.full((4, 5, 6), -1)
    assert slices_of(labels, 2, count) == [(0, 2), (1, 2), (2, 3)]
    labels[3, 1, 4] = 1
    assert slices_of(labels, 2, count, most=9) == [(0, 3), (1, 1), (2, 4)]


def test_what_no_picture_shows_is_counted():
    labels = np.zeros((9, 9, 9), np.int32)
    labels[0, 0, 0], labels[8, 0, 8] = 1, 2
    atlas = atlas_on(
        {"volume": ai.VolumeGrid((9, 9, 9), np.eye(4))},
        {"volume": ai.HardMaps(labels.reshape(-1), 4)},
    )
    views = atlas_views(atlas, slices=1)
    assert find_unseen(atlas, views).tolist()[3]
    count = int(np.count_nonzero(find_unseen(atlas, views)))
    are = "is" if count == 1 else "are"
    [part] = ai.plot_atlas(atlas, slices=1).subfigs
    said = [text.get_text() for text in part.texts]
    assert f"{count} of 4 parcels {are} in none of these pictures." in said
    marks = [text.get_text() for axes in part.axes for text in axes.texts]
    assert marks == ["P", "A", "L", "R", "L", "R"]
    assert find_unseen(atlas, atlas_views(atlas, slices=1, most=9)).tolist() == [False] * 3 + [True]
    with pytest.raises(ValueError, match="`slices` should be 1 or more, got 0"):
        ai.plot_atlas(atlas, slices=0)


def test_networks_have_a_colour_and_a_name():
    atlas = blocks((6, 6, 6), 2)
    networks = ["Vis", "Default", None, "Vis", "unassigned", "Default", "Limbic", "Vis"]
    columns = {c: atlas.table[c] for c in atlas.table.columns}
    rows = ai.LabelTable(columns | {"color": [""] * 8, "network": networks})
    atlas = atlas.replace(labels=rows)
    for palette in ("own", "network"):
        colors = parcel_colors(atlas, palette=palette)
        named = dict(zip(networks, map(tuple, colors), strict=True))
        assert named["Vis"] == to_rgb(SAFE[0])
        assert named["Default"] == to_rgb(SAFE[1])
        assert named["Limbic"] == to_rgb(SAFE[2])
        assert named[None] == named["unassigned"] == to_rgb("#9a9a9a")
        assert all(tuple(c) == named[n] for n, c in zip(networks, colors, strict=True))
    [part] = ai.plot_atlas(atlas).subfigs
    assert [text.get_text() for text in part.legends[0].get_texts()] == [
        "Vis", "Default", "unassigned", "Limbic"
    ]  # fmt: skip
    many = [f"net {i}" for i in range(8)] * 4
    shades = parcel_colors(blocks_of_networks(many), palette="network")
    assert len(np.unique(shades, axis=0)) == 8
    # Too many to tell apart: as without networks.
    lots = blocks_of_networks([f"net {i}" for i in range(32)])
    np.testing.assert_array_equal(
        parcel_colors(lots, palette="network"), parcel_colors(lots, palette="safe")
    )


def blocks_of_networks(networks):
    n = len(networks)
    grid = ai.VolumeGrid((n, 1, 1), np.eye(4))
    return atlas_on(
        {"volume": grid}, {"volume": ai.HardMaps(np.arange(n, dtype=np.int32), n)}
    ).replace(labels=table(["volume"] * n, network=networks))


def test_mixed_colors_are_means_by_weight():
    weights = np.array([[1, 3, 0, -1, 0], [0, 1, 2, 0, 0]], np.float32)
    colors = np.array([[1.0, 0, 0], [0, 1, 0.5]])
    mixed = mixed_colors(ai.DenseMaps(weights), colors)
    np.testing.assert_allclose(mixed[:3], [[1, 0, 0, 1], [0.75, 0.25, 0.125, 1], [0, 1, 0.5, 1]])
    assert not mixed[3:, 3].any()


def test_values_are_matplotlibs_colors_and_nan_transparent():
    found = value_colors(np.array([0.0, 1, 2, np.nan, 9]), low=0.0, high=2.0, colormap="cividis")
    expected = matplotlib.colormaps["cividis"]([0, 0.5, 1.0])
    np.testing.assert_allclose(found[[0, 1, 2]], expected)
    np.testing.assert_allclose(found[4], expected[2])
    assert found[3].tolist() == [0, 0, 0, 0]


def test_plot_has_a_row_a_measure(tmp_path):
    atlas = cortex(2)
    figure = ai.plot_atlas(
        atlas,
        {"thickness $x": np.array([1, 2, np.nan, 4.0]), "none": np.full(4, np.nan)},
        palette="safe",
    )
    titles = [part.get_suptitle() for part in figure.subfigs]
    assert titles == ["a", "thickness $x", "none"]
    assert [len([a for a in part.axes if a.images]) for part in figure.subfigs] == [4, 4, 4]
    figure.savefig(tmp_path / "f.png")
    assert (tmp_path / "f.png").stat().st_size > 10_000
    assert [part.get_suptitle() for part in ai.plot_atlas(atlas, np.ones(4)).subfigs] == [
        "a",
        "values",
    ]
    with pytest.raises(ValueError, match=r"`values` should be \(4 parcels,\).*got shape \(3,\)"):
        ai.plot_atlas(atlas, np.ones(3))


def test_plot_shows_cortex_and_subcortex():
    surface, volume = cortex(2), blocks((6, 6, 6), 2)
    atlas = atlas_on(
        surface.geometry | {"subcortex": volume.geometry["volume"]},
        surface.maps | {"subcortex": volume.maps["volume"]},
    )
    [part] = ai.plot_atlas(atlas).subfigs
    titles = [axes.get_title() for axes in part.axes if axes.images]
    assert titles[3:] == ["right hemisphere, lateral", *titles[4:]]
    assert [title[0] for title in titles[4:]] == ["x", "x", "y", "y", "z", "z"]


def test_what_has_no_surface_has_no_views_and_no_plot():
    views = atlas_views(mixed_atlas())
    assert [bool(v) for v in views.values()] == [False, False, True]
    with pytest.raises(ValueError, match="mesh of 'cortex_L' has no surface"):
        ai.plot_atlas(mixed_atlas())


def test_real_cortex_is_in_its_place():
    """The precentral gyrus of the packaged atlas is seen laterally, the cuneus medially."""
    atlas = ai.load_atlas("desikan-killiany", space="fsaverage5").select(hemisphere="L")
    names = list(atlas.table["name"])
    lateral, medial = atlas_views(atlas)["cortex_L"]
    labels = atlas.maps["cortex_L"].labels
    seen = [view.shown(labels, len(names)) for view in (lateral, medial)]
    for name, most in (("L_precentral", 0), ("L_cuneus", 1), ("L_insula", 0)):
        row = names.index(name)
        assert seen[most][row] > 3 * seen[1 - most][row], name


@pytest.mark.parametrize(
    ("names", "options"),
    [
        pytest.param("seitzman2018", {}, id="300 spheres"),
        pytest.param("aal", {}, id="aal", marks=pytest.mark.sweep),
        *(
            pytest.param(
                [cortex, "hcp-subcortex"],
                {"space": "fsLR"},
                id=f"{cortex} and subcortex",
                marks=pytest.mark.sweep,
            )
            for cortex in ("glasser2016", "desikan-killiany")
        ),
    ],
)
def test_every_parcel_of_a_real_atlas_is_in_a_slice_of_the_page_or_is_told(names, options):
    atlas = ai.load_atlas(names, **options)
    views = atlas_views(atlas, size=200, width=1160, most=24)
    assert not find_unseen(atlas, views).any()
    assert describe_unseen(atlas, views) == ""
    for found in views.values():
        assert all(set(view.ends) in ({"L", "R"}, {"A", "P"}) for view in found)
    # Of few slices, those that are missing are counted.
    few = atlas_views(atlas, size=200, slices=1, views="axial")
    missing = int(find_unseen(atlas, few).sum())
    said = f"{missing} of {atlas.n_parcels} parcels are in none of these pictures."
    assert describe_unseen(atlas, few) == (said if missing else "")


def test_only_atlases_are_plotted():
    with pytest.raises(TypeError, match="`atlas` should be an Atlas, got str"):
        inspect.unwrap(ai.plot_atlas)("aal")


SCALES = {
    # values, options, ends, clipped below and above
    "all of the range": ([1, 2, 9.5, np.nan, np.inf], {}, (1, 9.5), (0, 0)),
    "negative alone": ([-3, -1], {}, (-3, -1), (0, 0)),
    "both signs": ([-1, 0, 4], {}, (-4, 4), (0, 0)),
    "both signs, not symmetric": ([-1, 0, 4], {"symmetric": False}, (-1, 4), (0, 0)),
    "symmetric without a sign": ([1, 4], {"symmetric": True}, (-4, 4), (0, 0)),
    "one end of both signs": ([-1, 0, 4], {"vmax": 2}, (-2, 2), (0, 1)),
    "both ends": ([-5, 0, 4, 6], {"vmin": -1, "vmax": 4}, (-1, 4), (1, 1)),
    "an end above 0": ([-5, 1, 4], {"vmin": 0}, (0, 4), (1, 0)),
    "constant": ([5, 5], {}, (4.5, 5.5), (0, 0)),
    "zeros": ([0, 0], {}, (-0.5, 0.5), (0, 0)),
    "nothing": ([np.nan], {}, (0, 1), (0, 0)),
    "nothing, with an end": ([np.nan], {"vmax": -3}, (-4, -3), (0, 0)),
    "a map of its own": ([-1, 0, 4], {"cmap": "magma"}, (-1, 4), (0, 0)),
}


@pytest.mark.parametrize("case", list(SCALES))
def test_scales_reach_over_all_values_or_say_what_not(case):
    values, options, ends, clipped = SCALES[case]
    scale = scale_values(np.array(values, float), **options)
    assert (scale.low, scale.high) == ends
    assert (scale.below, scale.above) == clipped
    assert (
        scale.extend == {(0, 0): "neither", (1, 0): "min", (0, 1): "max", (1, 1): "both"}[clipped]
    )
    if "cmap" in options:
        np.testing.assert_allclose(scale(np.array([4.0])), matplotlib.colormaps["magma"]([1.0]))
    elif ends[0] < 0 < ends[1]:
        # White at 0, blue below and red above, and as far from it on either side as deep.
        step = 0.5 * min(-ends[0], ends[1])
        colors = scale(np.array([0.0, -step, step]))
        most = max(-ends[0], ends[1])
        expected = matplotlib.colormaps["RdBu_r"](0.5 + np.array([0, -step, step]) / most / 2)
        np.testing.assert_allclose(colors, expected, atol=0.02)
    else:
        np.testing.assert_allclose(
            scale(np.array(ends, float)), matplotlib.colormaps["viridis"]([0.0, 1.0])
        )
    assert not scale(np.array([np.nan, np.inf, -np.inf])).any()


def test_what_lies_beyond_a_scale_is_said():
    assert scale_values(np.array([-5, 0, 4, 6.0])).beyond == ""
    said = scale_values(np.array([-5, 0, 4, 6.0]), vmin=-1, vmax=4).beyond
    assert said == "2 values beyond; all from \N{MINUS SIGN}5 to 6"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"vmin": 2, "vmax": 2}, "`vmin` leaves a scale from 2 to 2"),
        ({"vmin": 9}, "`vmin` leaves a scale from 9 to 4"),
        ({"vmax": 0, "symmetric": False}, "`vmax` leaves a scale from 1 to 0"),
        ({"vmin": np.nan}, "`vmin` should be"),
        ({"vmin": -1, "vmax": 2, "symmetric": True}, "`symmetric` asks for .* got -1 and 2"),
        ({"cmap": "viridas"}, "no colormap 'viridas'.*viridis"),
    ],
)
def test_scales_without_sense_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        scale_values(np.array([1.0, 4]), **options)


def test_rows_are_aligned_and_have_their_units():
    atlas = cortex(2)
    figure = ai.plot_atlas(
        atlas,
        {"a": [1, 2, 3, 4.0], "b": [-1, 0, 1, 90]},
        title="two measures",
        units={"a": "mm"},
        vmax=50,
        cmap="magma",
    )
    first, *rows = figure.subfigs
    assert first.get_suptitle() == "two measures"
    places = [[a.get_position().bounds for a in part.axes if a.images] for part in rows]
    np.testing.assert_allclose(places[0], places[1])
    bars = [part.axes[-1] for part in rows]
    assert [bar.get_ylabel() for bar in bars] == ["mm", ""]
    assert [text.get_text() for text in rows[1].texts[1:]] == [
        "1 value beyond;\nall from \N{MINUS SIGN}1 to 90"
    ]
    with pytest.raises(ValueError, match="`units`: there are no values 'c'"):
        ai.plot_atlas(atlas, {"a": np.ones(4)}, units={"c": "mm"})
    with pytest.raises(TypeError, match="`cmap` should be a colormap"):
        inspect.unwrap(scale_values)(np.ones(4), cmap=3)
