"""Parcels that grow, shrink, are dropped and reordered, beside SciPy and NumPy."""

import warnings

import nibabel as nb
import numpy as np
import pandas as pd
import pytest
from helpers import mixed_atlas, table, unchecked
from helpers_smoothing import icosphere
from helpers_surfaces import brain_atlas
from scipy import ndimage
from scipy.sparse.csgraph import dijkstra
from scipy.spatial.distance import cdist

import atlasinit as ai
from atlasinit.core.adjacency import find_touching

AFFINE = np.array([[-2.0, 0, 0, 20], [0, 3, 0, -7], [0, 0, 1.5, 4], [0, 0, 0, 1]])
TURNED = np.eye(4)
TURNED[:3, :3] = np.linalg.qr(np.random.default_rng(1).normal(size=(3, 3)))[0] * [2, 3, 1.5]
SHAPE = (9, 7, 8)


def random_labels(seed=0, share=0.15, width=1):
    rng = np.random.default_rng(seed)
    smooth = ndimage.gaussian_filter(rng.normal(size=(4, *SHAPE)), (0, width, width, width))
    return np.where(smooth.max(axis=0) > share, smooth.argmax(axis=0), -1).astype(np.int32)


def volume(labels, affine=AFFINE, kept=None):
    grid = ai.VolumeGrid(labels.shape, affine, kept)
    n = int(labels.max()) + 1
    rows = table(["volume"] * n, [3, 9, 4, 7][:n], [f"p{k}" for k in range(n)], lobe=[*"xyzx"][:n])
    maps = {"volume": ai.HardMaps(grid.take(labels), n)}
    return ai.Atlas(name="v", space="mine", maps=maps, geometry={"volume": grid}, labels=rows)


def whole(atlas):
    return atlas.geometry["volume"].put(np.asarray(atlas.maps["volume"].labels), fill=-1.0)


def nearest(labels, points, sources):
    """Return the first label of those nearest to points, and how far it is, by all distances."""
    apart = np.stack(
        [cdist(points, points[labels == k]).min(axis=1, initial=np.inf) if (labels == k).any() else np.full(len(points), np.inf) for k in range(sources)]
    )  # fmt: skip
    # To the rounding of sums of squares.
    apart = np.round(apart, 9)
    return apart.argmin(axis=0), apart.min(axis=0)


@pytest.mark.parametrize("affine", [AFFINE, TURNED], ids=["straight", "turned"])
@pytest.mark.parametrize("distance", [1.5, 4.0, np.inf])
@pytest.mark.parametrize("kept", ["all", "labelled"])
def test_voxels_go_to_the_nearest_parcel(affine, distance, kept):
    labels = random_labels(share=0.25)
    atlas = volume(labels, affine, None if kept == "all" else np.flatnonzero(labels >= 0)[::-1])
    grown = ai.dilate_parcels(atlas, distance)
    points = ai.VolumeGrid(SHAPE, affine).coordinates
    best, apart = nearest(labels.reshape(-1), points, 4)
    expected = np.where(
        (labels < 0) & (apart <= distance).reshape(SHAPE), best.reshape(SHAPE), labels
    )
    np.testing.assert_array_equal(whole(grown), expected)
    assert grown.table == atlas.table
    added = (expected != labels).sum()
    assert grown.provenance.operations == (
        f"dilate_parcels({distance:g} mm; {added} locations added)",
    )
    # No more locations than have a label, or had one before.
    assert grown.n_locations == (504 if kept == "all" else (expected >= 0).sum())


def test_parcels_grow_within_masks(tmp_path):
    labels = random_labels(share=0.25)
    atlas = volume(labels, kept=np.flatnonzero(labels >= 0))
    mask = np.random.default_rng(0).random(SHAPE) < 0.5
    image = nb.Nifti1Image(mask.astype(np.uint8), AFFINE)
    nb.save(image, tmp_path / "mask.nii.gz")
    flipped = ai.VolumeGrid.from_mask(mask[::-1], AFFINE @ [[-1, 0, 0, 8], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])  # fmt: skip
    everywhere = whole(ai.dilate_parcels(atlas, 3))
    expected = np.where(mask | (labels >= 0), everywhere, -1)
    other = volume(np.zeros(SHAPE, np.int32), kept=np.flatnonzero(mask))
    for within in (image, tmp_path / "mask.nii.gz", flipped, other, {"volume": image}):
        np.testing.assert_array_equal(whole(ai.dilate_parcels(atlas, 3, within=within)), expected)
    # Nothing to grow into: the same labels.
    same = ai.dilate_parcels(atlas, 3, within=atlas)
    assert same.maps == atlas.maps
    assert same.geometry == atlas.geometry


@pytest.mark.parametrize("affine", [AFFINE, TURNED], ids=["straight", "turned"])
@pytest.mark.parametrize("distance", [1.5, 2.0, 3.2])
def test_voxels_near_a_border_are_lost(affine, distance):
    labels = random_labels(share=-1, width=3)
    kept = np.random.default_rng(2).permutation(np.flatnonzero(labels != 1))
    atlas = volume(labels, affine, kept)
    with warnings.catch_warnings():
        # Some lose all, which another test is about.
        warnings.simplefilter("ignore", ai.AtlasWarning)
        eroded = ai.erode_parcels(atlas, distance)
    expected = np.full(SHAPE, -1)
    for k in (0, 2, 3):
        inside = np.pad(labels == k, 1)
        depth = ndimage.distance_transform_edt(inside, sampling=[2, 3, 1.5])[1:-1, 1:-1, 1:-1]
        expected[(labels == k) & (depth > distance * (1 + 1e-9))] = k
    assert 0 < np.count_nonzero(expected >= 0) < kept.size
    np.testing.assert_array_equal(whole(eroded), expected)
    assert eroded.geometry == atlas.geometry
    assert eroded.table == atlas.table


def test_parcels_that_vanish_stay_rows():
    labels = np.full(SHAPE, -1, np.int32)
    labels[1:7, 1:6, 1:7], labels[7, 3, 3] = 0, 1
    with pytest.warns(ai.AtlasWarning, match="1 parcel lost all locations by erosion: p1"):
        eroded = ai.erode_parcels(volume(labels), 2)
    assert eroded.labels["empty"].tolist() == [False, True]


def surface(labels, kept=None):
    points, faces = icosphere(2)
    mesh = ai.SurfaceMesh(len(points), kept, hemisphere="L", faces=faces, anatomical=points)
    n = int(labels.max()) + 1
    rows = table(["cortex_L"] * n, names=[f"s{k}" for k in range(n)])
    maps = {"cortex_L": ai.HardMaps(mesh.take(labels).astype(np.int32), n)}
    return ai.Atlas(name="s", space="mine", maps=maps, geometry={"cortex_L": mesh}, labels=rows)


def lengths(mesh):
    one, other = find_touching(mesh)
    points = mesh.anatomical[mesh.vertices].astype(float)
    out = np.zeros((mesh.n_locations,) * 2)
    out[one, other] = out[other, one] = np.linalg.norm(points[one] - points[other], axis=1)
    return out


def test_vertices_go_to_the_nearest_parcel_along_edges():
    points = icosphere(2)[0]
    labels = np.where(points[:, 2] > 0.8 * points[:, 2].max(), 0, np.where(points[:, 0] > 0.9 * points[:, 0].max(), 1, -1))  # fmt: skip
    kept = np.flatnonzero(points[:, 1] > -0.7 * points[:, 1].max())
    atlas = surface(labels, kept)
    mesh = atlas.geometry["cortex_L"]
    steps = lengths(mesh)
    reach = 2.5 * steps.max()
    own = labels[kept]
    apart = np.stack(
        [dijkstra(steps, indices=np.flatnonzero(own == k), min_only=True) for k in (0, 1)]
    )
    expected = np.where((own < 0) & (apart.min(axis=0) <= reach), apart.argmin(axis=0), own)
    grown = ai.dilate_parcels(atlas, reach)
    found = np.asarray(grown.maps["cortex_L"].labels)
    # Either of two that are equally near may have a vertex.
    tie = (own < 0) & np.isclose(apart[0], apart[1])
    np.testing.assert_array_equal(found[~tie], expected[~tie])
    assert (found[tie] >= 0).tolist() == (expected[tie] >= 0).tolist()
    assert 0 < (found >= 0).sum() < kept.size
    assert grown.geometry == atlas.geometry
    # With what the atlas does not keep, it grows over the whole sphere.
    filled = ai.dilate_parcels(atlas, np.inf, within=surface(labels))
    assert filled.geometry["cortex_L"].n_locations == len(points)
    assert (np.asarray(filled.maps["cortex_L"].labels) >= 0).all()


def test_vertices_near_a_border_are_lost():
    points = icosphere(2)[0]
    labels = (points[:, 2] > 0).astype(int) + (points[:, 0] > 0.5 * points[:, 0].max())
    kept = np.flatnonzero(points[:, 1] > -0.7 * points[:, 1].max())
    steps = lengths(surface(labels).geometry["cortex_L"])
    reach = 1.2 * steps.max()
    full = np.full(len(points), -1)
    full[kept] = labels[kept]
    apart = dijkstra(steps)
    depth = np.array([apart[i, full != full[i]].min() for i in kept])
    expected = np.where(depth > reach, labels[kept], -1)
    eroded = ai.erode_parcels(surface(labels, kept), reach)
    np.testing.assert_array_equal(eroded.maps["cortex_L"].labels, expected)
    assert 0 < (expected >= 0).sum() < kept.size


def test_reshaped_back():
    """A box that grows and then shrinks by as much is itself."""
    labels = np.full(SHAPE, -1, np.int32)
    labels[3:6, 2:5, 3:6] = 0
    atlas = volume(labels)
    again = ai.erode_parcels(ai.dilate_parcels(atlas, 1.5), 1.5)
    np.testing.assert_array_equal(whole(again), labels)
    assert [o.partition("(")[0] for o in again.provenance.operations] == ["dilate_parcels", "erode_parcels"]  # fmt: skip


@pytest.mark.parametrize("function", [ai.dilate_parcels, ai.erode_parcels])
def test_what_cannot_be_reshaped(function):
    atlas = volume(random_labels())
    for wrong in (0, -1, np.nan):
        with pytest.raises(ValueError, match="`distance` should be a length in mm above 0"):
            function(atlas, wrong)
    for wrong in ("3", None, [1]):
        with pytest.raises(TypeError, match="`distance` should be a length in mm, got"):
            unchecked(function)(atlas, wrong)
    with pytest.raises(ValueError, match=r"should be of labels, but subcortex holds weights; pass `atlas\.harden\(\)`"):  # fmt: skip
        function(mixed_atlas(), 2)
    with pytest.raises(
        ValueError,
        match="lacks an anatomical surface, without which .* load the atlas with `meshes`",
    ):
        function(mixed_atlas().harden(), 2)
    with pytest.raises(TypeError, match="`atlas` should be an Atlas, got str"):
        unchecked(function)("aal", 2)


def test_places_that_do_not_fit():
    atlas = volume(random_labels())
    for within, error, message in (
        (ai.VolumeGrid((3, 3, 3), AFFINE), ValueError, "`within`: 'volume' of 'v' and of 'within' lie on different grids"),
        ({"cortex_L": None}, ValueError, r"`within`: compartments are \['volume'\], got \['cortex_L'\]"),
        ({}, ValueError, r"got \[\]"),
        (3, TypeError, "`within`"),
        (ai.SurfaceMesh(4), ValueError, "are VolumeGrid and SurfaceMesh"),
    ):  # fmt: skip
        with pytest.raises(error, match=message):
            ai.dilate_parcels(atlas, 2, within=within)
    with pytest.raises(ValueError, match="`within` should be a mapping from some of"):
        ai.dilate_parcels(brain_atlas().harden(), 2, within=atlas.geometry["volume"])
    with pytest.raises(TypeError, match="`within` of 'cortex_L' should be a SurfaceMesh, got int"):
        ai.dilate_parcels(surface(np.zeros(162)), 2, within=3)


def dense(atlas):
    out = np.zeros((atlas.n_parcels, atlas.n_locations))
    for c, matrix in atlas.to_dense().items():
        out[atlas.parcel_slices()[c], atlas.location_slices()[c]] = matrix
    return out


ORDERS = {
    "network": lambda t: "network",
    "names": lambda t: ["R_b", "L_c", ("subcortex", 49)],
    "index": lambda t: pd.Index(["L_c"]),
}


@pytest.mark.parametrize("case", ORDERS)
def test_rows_in_another_order(case):
    atlas = mixed_atlas()
    by = ORDERS[case](atlas.table)
    ordered = ai.reorder_parcels(atlas, by)
    expected = {
        # Default and then Vis; who has none comes last.
        "network": ["L_c", "L_a", "L_b", "R_b", "R_a", "Left-Thalamus", "Right-Thalamus"],
        "names": ["L_c", "L_a", "L_b", "R_b", "R_a", "Right-Thalamus", "Left-Thalamus"],
        "index": ["L_c", "L_a", "L_b", "R_a", "R_b", "Left-Thalamus", "Right-Thalamus"],
    }[case]
    assert list(ordered.table["name"]) == expected
    rows = [atlas.table["name"].index(name) for name in expected]
    np.testing.assert_array_equal(dense(ordered), dense(atlas)[rows])
    assert ordered.table == atlas.table.take(rows)
    assert ordered.geometry == atlas.geometry
    assert ordered.provenance.operations[-1].startswith("reorder_parcels(")
    # By the keys again, as they were.
    back = ai.reorder_parcels(ordered, "key")
    assert back.table == atlas.table
    np.testing.assert_array_equal(dense(back), dense(atlas))


def test_orders_that_there_are_not():
    atlas = mixed_atlas()
    for by, error, message in (
        ("netwrk", ValueError, "`by`: the labels have no column 'netwrk'. Did you mean 'network'"),
        (["L_a", "L_a"], ValueError, "`by` has parcels twice: 'L_a'"),
        (["L_x"], ValueError, "`by`: there is no parcel 'L_x'"),
        (3, TypeError, "`by` should be a column or parcels, got int"),
    ):
        with pytest.raises(error, match=message):
            unchecked(ai.reorder_parcels)(atlas, by)
    mixed = atlas.replace(labels=atlas.table.replace(network=[1, "a", 2, 3, 4, 5, 6]))
    with pytest.raises(ValueError, match="values that have no order"):
        ai.reorder_parcels(mixed, "network")


def test_small_parcels_are_dropped():
    atlas = mixed_atlas()
    counts = atlas.labels["n_locations"].to_numpy()
    for least in (1, 4, 6):
        found = ai.drop_small_parcels(atlas, locations=least)
        rows = np.flatnonzero(counts >= least).tolist()
        assert found.table == atlas.table.take(rows)
        np.testing.assert_array_equal(dense(found), dense(atlas)[rows])
        assert found.geometry == atlas.geometry
    assert found.provenance.operations[-1].startswith("drop_small_parcels(locations=6; 'L_a', ")
    box = np.full(SHAPE, -1, np.int32)
    box[:2, :2, :2], box[5:, 5:, 5:] = 0, 1
    sized = ai.drop_small_parcels(volume(box), size=72.1)
    assert sized.table["name"] == ("p1",)
    assert ai.drop_small_parcels(volume(box), size=72).n_parcels == 2
    assert sized.provenance.operations == ("drop_small_parcels(size=72.1; 'p0')",)
    with pytest.raises(ValueError, match="`locations`: no parcel is left"):
        ai.drop_small_parcels(atlas, locations=1000)
    with pytest.raises(ValueError, match="`locations` should be the least number, or `size`"):
        ai.drop_small_parcels(atlas)
    with pytest.raises(ValueError, match="`size` should be 0 or more, got -1"):
        ai.drop_small_parcels(volume(box), size=-1)
    with pytest.raises(ValueError, match="`vertex_areas` needs"):
        ai.drop_small_parcels(atlas, size=2)
