"""The table of parcels, beside closed forms, nilearn, SciPy and networkx."""

import networkx
import nibabel as nb
import numpy as np
import pytest
from helpers import mixed_atlas, table
from helpers_smoothing import icosphere
from nilearn.plotting import find_parcellation_cut_coords
from scipy import ndimage

import atlasinit as ai
from atlasinit.core.adjacency import find_touching
from atlasinit.core.homologues import find_homologues
from atlasinit.measures import adjacency, measure_parcels

AFFINE = np.array([[-2.0, 0, 0, 20], [0, 3, 0, -7], [0, 0, 1.5, 4], [0, 0, 0, 1]])


def atlas_of(labels, affine=AFFINE, kept=None, names=None):
    """Return an atlas of a volume of rows, -1 for none."""
    labels = np.asarray(labels)
    grid = ai.VolumeGrid(labels.shape, affine, kept)
    n = int(labels.max()) + 1
    maps = ai.HardMaps(grid.take(labels).astype(np.int32), n)
    rows = table(["volume"] * n, names=names or [f"p{k}" for k in range(n)])
    return ai.Atlas(name="v", space="mine", maps={"volume": maps}, geometry={"volume": grid}, labels=rows)  # fmt: skip


def numbers(found, title):
    """Return a column as floats, NaN for what is missing."""
    return np.asarray(found[title].to_numpy(float, na_value=np.nan))


def boxes():
    """Two boxes that touch, one apart, and a parcel without voxels before the last."""
    labels = np.full((12, 9, 8), -1)
    labels[1:4, 1:3, 1:6] = 0
    labels[4:6, 1:3, 2:4] = 1
    labels[9:12, 5:9, 4:8] = 3
    return labels


@pytest.mark.parametrize("kept", ["all", "labelled"])
def test_boxes(kept):
    labels = boxes()
    atlas = atlas_of(labels, kept=None if kept == "all" else np.flatnonzero(labels >= 0)[::-1])
    found = measure_parcels(atlas)
    assert found["name"].tolist() == ["p0", "p1", "p2", "p3"]
    shape = np.array([[3, 2, 5], [2, 2, 2], [0, 0, 0], [3, 4, 4]])
    sides = shape * [2, 3, 1.5]
    a, b, c = sides.T
    np.testing.assert_array_equal(found["n_locations"], shape.prod(axis=1))
    np.testing.assert_allclose(found["volume"], a * b * c)
    assert np.isnan(numbers(found, "area")).all()
    assert np.isnan(numbers(found, "boundary_length")).all()
    np.testing.assert_allclose(found["surface_area"], 2 * (a * b + b * c + c * a))
    # A box's mean square distance is (a^2 + b^2 + c^2) / 12, a ball's of radius r 3 r^2 / 5.
    radius = (3 * a * b * c / (4 * np.pi)) ** (1 / 3)
    with np.errstate(invalid="ignore"):
        compact = 0.6 * radius**2 / ((sides**2).sum(axis=1) / 12)
    np.testing.assert_allclose(found["compactness"], compact)
    corners = [((1, 1, 1), (3, 2, 5)), ((4, 1, 2), (5, 2, 3)), None, ((9, 5, 4), (11, 8, 7))]
    for row, ends in enumerate(corners):
        low, high = (
            found.loc[row, [f"{x}_{end}" for x in "xyz"]].to_list() for end in ("min", "max")
        )
        if ends is None:
            assert np.isnan([*low, *high, *found.loc[row, ["x", "y", "z", "compactness"]]]).all()
            continue
        points = np.array(ends) @ AFFINE[:3, :3].T + AFFINE[:3, 3]
        np.testing.assert_allclose([low, high], [points.min(axis=0), points.max(axis=0)])
        np.testing.assert_allclose(found.loc[row, ["x", "y", "z"]].to_list(), points.mean(axis=0))
    assert found["pieces"].tolist() == [1, 1, 0, 1]
    assert found["n_neighbours"].tolist() == [1, 1, 0, 0]
    assert np.isnan(numbers(found, "vertex")).all()
    np.testing.assert_array_equal(adjacency(atlas).toarray(), np.diag([0] * 4) + 4 * np.eye(4)[[1, 0, 2, 3]] * [[1], [1], [0], [0]])  # fmt: skip


def test_a_cube_and_a_ball():
    n = np.indices((21, 21, 21)) - 10
    cube = atlas_of(np.where(np.abs(n).max(axis=0) <= 3, 0, -1), np.eye(4))
    np.testing.assert_allclose(
        measure_parcels(cube)["compactness"], 0.6 * (3 / (4 * np.pi)) ** (2 / 3) * 4
    )
    ball = atlas_of(np.where((n**2).sum(axis=0) <= 9.5**2, 0, -1), np.eye(4))
    assert abs(numbers(measure_parcels(ball), "compactness")[0] - 1) < 0.005


def random_labels(seed=0):
    rng = np.random.default_rng(seed)
    smooth = ndimage.gaussian_filter(rng.normal(size=(4, 12, 9, 8)), (0, 1.5, 1.5, 1.5))
    return np.where(smooth.max(axis=0) > 0.02, smooth.argmax(axis=0), -1)


def test_centres_of_the_largest_pieces_are_nilearns():
    labels, affine = random_labels(), AFFINE.copy()
    # nilearn leaves out one half of what lies on both sides.
    affine[0, 3] = 200
    atlas = ai.split_parcels(atlas_of(labels, affine), "pieces")
    found = measure_parcels(atlas).set_index("name")
    image = nb.Nifti1Image((labels + 1).astype(np.int32), affine)
    expected, keys = find_parcellation_cut_coords(image, return_label_names=True)
    first = [f"p{k - 1}-1" if f"p{k - 1}-1" in found.index else f"p{k - 1}" for k in keys]
    np.testing.assert_allclose(
        found.loc[first, ["x", "y", "z"]].to_numpy(float), expected, atol=1e-4
    )
    whole = measure_parcels(atlas_of(labels))
    pieces = [ndimage.label(labels == k)[1] for k in range(4)]
    assert whole["pieces"].tolist() == pieces
    assert max(pieces) > 1


def test_neighbours_and_surfaces_of_any_labels():
    labels = random_labels()
    atlas = atlas_of(labels, kept=np.random.default_rng(1).permutation(labels.size)[:700])
    labels = atlas.geometry["volume"].put(np.asarray(atlas.maps["volume"].labels), fill=-1.0)
    padded = np.pad(labels, 1, constant_values=-1)
    counts, surface = np.zeros((4, 4), int), np.zeros(4)
    for axis, area in enumerate((4.5, 3.0, 6.0)):
        one, other = padded, np.roll(padded, -1, axis=axis)
        differ = one != other
        for a, b in ((one, other), (other, one)):
            inside = differ & (a >= 0)
            surface += area * np.bincount(a[inside], minlength=4)
            pairs = inside & (b >= 0)
            np.add.at(counts, (a[pairs], b[pairs]), 1)
    found = measure_parcels(atlas)
    np.testing.assert_array_equal(adjacency(atlas).toarray(), counts)
    assert found["n_neighbours"].tolist() == (counts > 0).sum(axis=1).tolist()
    np.testing.assert_allclose(found["surface_area"], surface)


def test_turned_and_sheared_grids():
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
    affine = np.eye(4)
    affine[:3, :3] = turn * [2, 3, 1.5]
    turned, straight = (measure_parcels(atlas_of(boxes(), a)) for a in (affine, AFFINE))
    for title in ("volume", "surface_area", "compactness"):
        np.testing.assert_allclose(turned[title], straight[title])
    sheared = np.array([[1.0, 0.5, 0, 0], [0, 1, 0, 0], [0, 0, 2, 0], [0, 0, 0, 1]])
    one = measure_parcels(atlas_of(np.zeros((1, 1, 1), int), sheared))
    # Two faces each of 1 x 1, 2 x 1 and 2 x sqrt(1.25).
    np.testing.assert_allclose(one["surface_area"], 2 + 4 + 4 * np.sqrt(1.25))
    assert one["n_neighbours"].tolist() == [0]


def plane():
    """Return points 1 mm apart in a plane, its triangles, and which lie in a rectangle."""
    x, y = np.meshgrid(np.arange(13.0), np.arange(11.0), indexing="ij")
    points = np.stack([x, y, 0 * x], -1).reshape(-1, 3)
    at = np.arange(points.shape[0]).reshape(13, 11)
    a, b, c, d = at[:-1, :-1], at[1:, :-1], at[1:, 1:], at[:-1, 1:]
    faces = np.concatenate(
        [np.stack([a, b, c], -1).reshape(-1, 3), np.stack([a, c, d], -1).reshape(-1, 3)]
    )
    inside = (points[:, 0] >= 3) & (points[:, 0] <= 7) & (points[:, 1] >= 4) & (points[:, 1] <= 7)
    return points, faces, inside


def surface_atlas(points, faces, labels, **mesh):
    n = int(labels.max()) + 1
    own = ai.SurfaceMesh(len(points), hemisphere="L", faces=faces, anatomical=points, **mesh)
    rows = table(["cortex_L"] * n, names=[f"s{k}" for k in range(n)])
    return ai.Atlas(name="s", space="mine", maps={"cortex_L": ai.HardMaps(labels.astype(np.int32), n)}, geometry={"cortex_L": own}, labels=rows)  # fmt: skip


def test_a_rectangle_in_a_plane():
    points, faces, inside = plane()
    found = measure_parcels(surface_atlas(points, faces, np.where(inside, 0, -1))).iloc[0]
    # 5 x 4 vertices of 1 mm2; the line in the middle of edges cuts two corners, not the other two.
    np.testing.assert_allclose(found["area"], 20)
    np.testing.assert_allclose(
        found["boundary_length"], 2 * (4.0 + 3.0) + 4 * 0.5 + 2 * np.hypot(0.5, 0.5) + 0
    )
    np.testing.assert_allclose(found["compactness"], 4 * np.pi * 20 / found["boundary_length"] ** 2)
    assert found[["x", "y", "z"]].tolist() == [5, 5.5, 0]
    assert found[["x_min", "y_min", "x_max", "y_max"]].tolist() == [3, 4, 7, 7]
    # Of two vertices as near, the first.
    assert points[found["vertex"]].tolist() == [5, 5, 0]
    assert np.isnan(found["volume"])
    assert np.isnan(found["surface_area"])


def test_a_cap_of_a_sphere():
    points, faces = icosphere(4)
    points = 50 * points / np.linalg.norm(points, axis=1, keepdims=True)
    atlas = surface_atlas(points, faces, np.where(points[:, 2] > 30, 0, 1))
    found = measure_parcels(atlas)
    # A cap of height h has the area 2 pi r h, and its edge the radius sqrt(r^2 - z^2).
    np.testing.assert_allclose(found["area"], 2 * np.pi * 50 * np.array([20, 80]), rtol=0.02)
    # The line goes from edge to edge, and so is longer than a smooth one.
    assert (np.abs(found["boundary_length"] / (2 * np.pi * 40) - 1.1) < 0.03).all()
    assert found["n_neighbours"].tolist() == [1, 1]
    # From the middle of a cap the top is nearest.
    np.testing.assert_allclose(points[found["vertex"][0]], [0, 0, 50], atol=3)
    one, other = np.asarray(atlas.maps["cortex_L"].labels)[
        find_touching(atlas.geometry["cortex_L"])
    ]
    assert adjacency(atlas)[0, 1] == np.count_nonzero(one != other)
    # A whole sphere has no boundary: nothing to be compact by.
    whole = measure_parcels(surface_atlas(points, faces, np.zeros(len(points)))).iloc[0]
    assert whole["boundary_length"] == 0
    assert np.isnan(whole["compactness"])
    # The medial wall is no parcel, and a boundary runs along it.
    kept = np.flatnonzero(points[:, 2] <= 30)
    mesh = atlas.geometry["cortex_L"]
    part = ai.Atlas(name="k", space="mine", maps={"cortex_L": atlas.maps["cortex_L"].take_locations(kept)}, geometry={"cortex_L": mesh.restrict(kept)}, labels=atlas.table)  # fmt: skip
    np.testing.assert_allclose(
        measure_parcels(part)["boundary_length"], [0, found["boundary_length"][1]]
    )


def test_pieces_of_a_surface():
    points, faces = icosphere(2)
    labels = np.random.default_rng(3).integers(0, 3, len(points))
    atlas = surface_atlas(points, faces, labels)
    graph = networkx.Graph(find_touching(atlas.geometry["cortex_L"]).T.tolist())
    expected = [networkx.number_connected_components(graph.subgraph(np.flatnonzero(labels == k))) for k in range(3)]  # fmt: skip
    assert measure_parcels(atlas)["pieces"].tolist() == expected


def test_what_a_mesh_does_not_tell_is_missing():
    found = measure_parcels(mixed_atlas())
    cortex = found["compartment"] != "subcortex"
    for title in ("area", "x", "x_min", "boundary_length", "compactness"):
        assert found.loc[cortex, title].isna().all(), title
    for title in ("vertex", "pieces", "n_neighbours"):
        assert found.loc[cortex, title].isna().all(), title
    # Of negative weights alone nothing is a member.
    assert found.loc[5, ["volume", "pieces"]].tolist() == [0, 2]
    assert np.isnan(found.loc[5, ["x", "x_min", "compactness"]].to_numpy(float)).all()
    assert found.loc[6, ["volume", "x", "pieces", "n_neighbours", "surface_area"]].notna().all()


@pytest.mark.parametrize("scale", [1, 100])
def test_soft_maps_are_measured_by_their_memberships(scale):
    rng = np.random.default_rng(0)
    weights = np.where(rng.random((3, 864)) < 0.3, rng.normal(size=(3, 864)), 0)
    weights[2] = 0
    grid = ai.VolumeGrid((12, 9, 8), AFFINE)
    rows = table(["volume"] * 3, names=list("abc"))
    atlas = ai.Atlas(name="m", space="mine", maps={"volume": ai.SparseMaps.from_scipy(scale * weights)}, geometry={"volume": grid}, labels=rows)  # fmt: skip
    m = np.maximum(weights, 0)
    m = m / np.where(m.max(axis=1, keepdims=True) > 0, m.max(axis=1, keepdims=True), 1)
    found = measure_parcels(atlas)
    np.testing.assert_allclose(found["volume"], 9 * m.sum(axis=1), rtol=1e-6)
    surface = np.zeros(3)
    for axis, area in enumerate((4.5, 3.0, 6.0)):
        padded = np.pad(m.reshape(3, 12, 9, 8), 1)[1:-1]
        surface += area * np.abs(np.diff(padded, axis=axis + 1)).sum(axis=(1, 2, 3))
    np.testing.assert_allclose(found["surface_area"], surface, rtol=1e-6)
    points = grid.coordinates
    for row in range(2):
        middle = np.average(points, axis=0, weights=m[row])
        np.testing.assert_allclose(found.loc[row, ["x", "y", "z"]].to_list(), middle, rtol=1e-5)
        spread = (
            np.average(((points - middle) ** 2).sum(axis=1), weights=m[row]) + (4 + 9 + 2.25) / 12
        )
        radius = (3 * 9 * m[row].sum() / (4 * np.pi)) ** (1 / 3)
        np.testing.assert_allclose(
            found.loc[row, "compactness"], 0.6 * radius**2 / spread, rtol=1e-5
        )
        inside = points[m[row] > 0]
        assert found.loc[row, ["x_min", "y_max"]].tolist() == [
            inside[:, 0].min(),
            inside[:, 1].max(),
        ]
    assert found["n_locations"].tolist() == np.count_nonzero(weights, axis=1).tolist()
    np.testing.assert_array_equal(adjacency(atlas).toarray(), adjacency(atlas.harden()).toarray())
    assert found.loc[2, ["volume", "surface_area", "pieces", "n_neighbours"]].tolist() == [
        0,
        0,
        0,
        0,
    ]


def test_parcels_that_compartments_share():
    points, faces = icosphere(1)
    labels = np.repeat([0, 1], 21).astype(np.int32)
    mesh = {f"cortex_{s}": ai.SurfaceMesh(42, hemisphere=s, faces=faces, anatomical=points + [x, 0, 0]) for s, x in (("L", -300), ("R", 300))}  # fmt: skip
    rows = table(["cortex_L"] * 2 + ["cortex_R"] * 2, [1, 2] * 2, ["L_a", "L_b", "R_a", "R_b"])
    atlas = ai.Atlas(name="u", space="mine", maps={c: ai.HardMaps(labels, 2) for c in mesh}, geometry=mesh, labels=rows)  # fmt: skip
    apart, both = measure_parcels(atlas), measure_parcels(atlas.unite(by="name"))
    assert apart["homologue"].tolist() == ["R_a", "R_b", "L_a", "L_b"]
    assert both["homologue"].tolist() == ["", ""]
    for title in ("area", "boundary_length", "pieces", "n_locations"):
        halves = apart[title].to_numpy(float).reshape(2, 2)
        np.testing.assert_allclose(both[title].to_numpy(float), halves.sum(axis=0))
    np.testing.assert_allclose(both["compactness"], apart["compactness"][:2])
    np.testing.assert_allclose(
        both["x"], apart["x"].to_numpy().reshape(2, 2).mean(axis=0), atol=1e-9
    )
    assert np.isnan(numbers(both, "vertex")).all()
    assert np.isfinite(numbers(apart, "vertex")).all()
    np.testing.assert_array_equal(adjacency(atlas).toarray()[:2, 2:], 0)


NAMES = {
    ("L_insula", "R_insula"): True,
    ("Left Thalamus", "Right Thalamus"): True,
    ("lh.cuneus", "rh.cuneus"): True,
    ("7Networks_LH_Vis_1", "7Networks_RH_Vis_1"): True,
    ("SFG_L_7_1", "SFG_R_7_1"): True,
    ("A5l_L", "A5l_R"): True,
    ("L_L_ROI", "R_L_ROI"): True,
    ("L_L_ROI", "R_R_ROI"): True,
    ("hemi-L label", "hemi-R label"): True,
    ("GM left", "GM Right"): False,
    ("L_insula", "R_cuneus"): False,
    ("insula", "insula2"): False,
}


@pytest.mark.parametrize(("pair", "match"), NAMES.items(), ids=str)
def test_homologues_have_one_name(pair, match):
    rows = table(["volume"] * 3, names=[pair[1], "other", pair[0]])
    rows = rows.replace(hemisphere=["R", "", "L"])
    assert find_homologues(rows) == ((pair[0], "", pair[1]) if match else ("", "", ""))
    # Of one side, whatever the names say.
    assert find_homologues(rows.replace(hemisphere=["L", "", "L"])) == ("", "", "")


def test_one_parcel_and_one_location():
    found = measure_parcels(atlas_of(np.zeros((1, 1, 1), int))).iloc[0]
    assert found["surface_area"] == 2 * (4.5 + 3 + 6)
    assert found[["x", "x_min", "x_max"]].tolist() == [20, 20, 20]
    np.testing.assert_allclose(found["compactness"], 0.6 * (27 / (4 * np.pi)) ** (2 / 3) * 12 / (4 + 9 + 2.25))  # fmt: skip
