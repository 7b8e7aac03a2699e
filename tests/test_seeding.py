"""Atlases of coordinates: nilearn's voxels, names from every form, and what is refused."""

import re

import nibabel as nb
import numpy as np
import pandas as pd
import pytest
from helpers import unchecked
from nilearn.maskers import NiftiSpheresMasker

import atlasinit as ai

# Centres at odd multiples of half a voxel, so that no seed is one in whole numbers.
AFFINE = np.array([[-3.0, 0, 0, 10.5], [0, 3, 0, -10.5], [0, 0, 3, -10.5], [0, 0, 0, 1]])
SHAPE = (8, 8, 8)
GRID = ai.VolumeGrid(SHAPE, AFFINE)
SEEDS = np.array([[-5.2, 4.1, 0.3], [4.4, -3.9, 2.2], [0.1, 1.2, -6.3], [-1.4, 4.2, 0.2]])


def dense(atlas):
    """Return the weights (parcels, voxels) on the whole grid."""
    return atlas.geometry["volume"].put(atlas.maps["volume"].to_dense().T).reshape(512, -1).T


@pytest.mark.parametrize("radius", [0, 3, 5.5])
@pytest.mark.parametrize("masked", [False, True])
def test_voxels_are_those_of_nilearn(radius, masked):
    image = nb.Nifti1Image(np.arange(512.0).reshape(SHAPE), AFFINE)
    inside = np.random.default_rng(0).random(SHAPE) < 0.8
    # With the voxels of the seeds: nilearn refuses spheres without any.
    inside[tuple(np.rint(np.linalg.inv(AFFINE) @ np.c_[SEEDS, np.ones(4)].T)[:3].astype(int))] = (
        True
    )
    mask = nb.Nifti1Image(inside.astype(np.uint8), AFFINE)
    atlas = ai.sphere_atlas(
        SEEDS, image, radius=radius, mask=mask if masked else None, space="mine"
    )
    values = np.random.default_rng(1).normal(size=(*SHAPE, 4))
    masker = NiftiSpheresMasker(
        SEEDS.tolist(), radius=radius, allow_overlap=True, mask_img=mask if masked else None, standardize=None
    )  # fmt: skip
    expected = masker.fit_transform(nb.Nifti1Image(values, AFFINE)).T
    own = dense(atlas)
    assert own.any(axis=1).all()
    means = own @ values.reshape(512, 4) / own.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(means, expected, rtol=1e-5, atol=1e-9)
    assert atlas.table["name"] == ("seed-1", "seed-2", "seed-3", "seed-4")
    assert atlas.provenance.operations == (
        f"sphere_atlas(4 seeds, radius={radius:g}, overlap='allow')",
    )


@pytest.mark.parametrize("overlap", ["allow", "first", "nearest"])
def test_voxels_of_several_spheres(overlap):
    distance = np.linalg.norm(GRID.coordinates - SEEDS[:, None], axis=-1)
    inside = distance <= 6
    assert (inside.sum(axis=0) > 1).any()
    atlas = ai.sphere_atlas(SEEDS, GRID, radius=6, overlap=overlap, space="mine")
    winner = {
        "first": inside.argmax(axis=0),
        "nearest": np.where(inside, distance, np.inf).argmin(axis=0),
    }
    if overlap != "allow":
        inside &= winner[overlap] == np.arange(4)[:, None]
    np.testing.assert_array_equal(dense(atlas), inside)
    kind = ai.SparseMaps if overlap == "allow" else ai.HardMaps
    assert isinstance(atlas.maps["volume"], kind)
    assert atlas.geometry["volume"].n_locations == inside.any(axis=0).sum()


def test_equal_distances_go_to_the_first():
    # The voxels between two seeds, on a grid whose steps are not exact.
    grid = ai.VolumeGrid((7, 1, 1), np.diag([0.7, 1, 1, 1]))
    for order in ([0, 1], [1, 0]):
        seeds = np.array([[0.7, 0, 0], [3.5, 0, 0]])[order]
        atlas = ai.sphere_atlas(seeds, grid, radius=1.5, overlap="nearest", space="mine")
        at = atlas.geometry["volume"].locations.reshape(-1)[3]
        assert atlas.maps["volume"].labels[at] == 0


NAMES = ["V1 é", "M1", "PCC", "NA"]
FORMS = {
    "list": lambda: (SEEDS.tolist(), NAMES),
    "mapping": lambda: (dict(zip(NAMES, SEEDS, strict=True)), None),
    "Series of coordinates": lambda: (pd.Series(list(SEEDS), NAMES), None),
    "keys": lambda: (SEEDS, dict(enumerate(NAMES, start=1))),
    "Series": lambda: (SEEDS, pd.Series(NAMES[::-1], [3, 2, 1, 0])),
    "frame": lambda: (pd.DataFrame(SEEDS, columns=list("XYZ")).assign(name=NAMES), None),
    "index": lambda: (pd.DataFrame(SEEDS, NAMES, list("xyz")), None),
    "frame and Series": lambda: (
        pd.DataFrame(SEEDS, list("abcd"), list("xyz")).assign(label="?"),
        pd.Series(NAMES[::-1], list("dcba")),
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_names_come_in_every_form_and_in_the_order_of_the_seeds(form):
    coordinates, names = FORMS[form]()
    atlas = ai.sphere_atlas(coordinates, GRID, names=names, radius=0, space="mine")
    assert atlas.table["name"] == tuple(NAMES)
    assert atlas.table["key"] == (1, 2, 3, 4)
    at = atlas.geometry["volume"].coordinates[atlas.maps["volume"].to_dense().argmax(axis=1)]
    assert (np.abs(at - SEEDS) <= 1.5).all()


@pytest.mark.parametrize("ending", [".tsv", ".csv"])
def test_tables_bring_radii_and_columns(tmp_path, ending):
    path = tmp_path / f"seeds{ending}"
    frame = pd.DataFrame(SEEDS, columns=list("xyz")).assign(
        radius=[0, 3, 4, 5], ROI=NAMES, network=["Vis", "", "DMN", "DMN"], index=[7, 8, 9, 10]
    )
    frame.to_csv(path, index=False, sep="\t" if ending == ".tsv" else ",")
    for given in (path, str(path), frame):
        atlas = ai.sphere_atlas(given, GRID, space="mine")
        assert atlas.table["name"] == tuple(NAMES)
        assert atlas.table["network"] == ("Vis", None, "DMN", "DMN")
        assert atlas.table["index"] == (7, 8, 9, 10)
        distance = np.linalg.norm(GRID.coordinates - SEEDS[:, None], axis=-1)
        inside = (distance <= [[0], [3], [4], [5]]) | (
            distance == distance.min(axis=1, keepdims=True)
        )
        np.testing.assert_array_equal(dense(atlas), inside)
        assert atlas.provenance.operations == (
            "sphere_atlas(4 seeds, radius as stated, overlap='allow')",
        )
        assert len(atlas.provenance.files) == (given is not frame)
    same = ai.sphere_atlas(path, GRID, radius=2, space="mine")
    assert same == ai.sphere_atlas(path, GRID, radius=[2] * 4, space="mine").replace(provenance=same.provenance)  # fmt: skip


def test_an_image_states_space_and_grid(tmp_path):
    path = tmp_path / "tpl-MNI152NLin6Asym_res-3_T1w.nii.gz"
    nb.save(nb.Nifti1Image(np.zeros(SHAPE, np.uint8), AFFINE), path)
    atlas = ai.sphere_atlas(SEEDS, path)
    assert atlas.space == "MNI152NLin6Asym"
    ai.save_atlas(atlas, tmp_path / "seeds.npz")
    assert ai.load_atlas(tmp_path / "seeds.npz") == atlas
    with pytest.raises(ValueError, match="states the space MNI152NLin6Asym, .* in Talairach"):
        ai.sphere_atlas(SEEDS, path, space="Talairach")


def test_spheres_without_voxels_stay_rows():
    mask = GRID.restrict(GRID.coordinates[:, 0] > -3)
    with pytest.warns(ai.AtlasWarning, match=r"1 sphere of 4 hold no voxel: a\."):
        atlas = ai.sphere_atlas(SEEDS, GRID, radius=1, mask=mask, names=list("abcd"), space="mine")
    assert atlas.labels["empty"].tolist() == [True, False, False, False]
    # A sphere whose voxels another one has all.
    with pytest.warns(ai.AtlasWarning, match="1 sphere of 2 hold no voxel: seed-2"):
        ai.sphere_atlas(SEEDS[[0, 0]], GRID, radius=1, overlap="first", space="mine")


BAD = [
    ([[0, 0, 0], [0, 99, 0]], {}, "1 seed of 2 lies outside of the grid (x -10.5 to 10.5, y -10.5 to 10.5, z -10.5 to 10.5 mm): 'seed-2' at (0.0, 99.0, 0.0); coordinates are mm"),
    ([[0, 0, 12.1]], {"names": ["far"]}, "'far' at (0.0, 0.0, 12.1)"),
    ([[0, 0]], {}, "`coordinates` should be (n, 3) in mm, got shape (1, 2)"),
    ([], {}, "`coordinates` should be (n, 3) in mm, got shape (0,)"),
    ([[0, np.nan, 0]], {}, "`coordinates` should be finite, got [0.0, nan, 0.0] in row 1"),
    ([["a", 0, 0]], {}, "`coordinates` should be numbers (n, 3) in mm"),
    (3j, {}, "`coordinates` should be numbers (n, 3) in mm"),
    (pd.DataFrame({"x": [1], "y": [1]}), {}, "should have the columns x, y and z, got x, y"),
    (pd.DataFrame({"x": ["q"], "y": [1], "z": [0]}), {}, "got 'q' as x of row 1"),
    (pd.DataFrame({"x": [0], "y": [1], "z": [0], "radius": [None]}), {}, "should have a number in each row of 'radius'"),
    (SEEDS, {"names": ["a"]}, "`names` should be one for each of 4 seeds, got 1"),
    (SEEDS, {"names": "abcd"}, "`names` should be one name for each seed, got 'abcd'"),
    (SEEDS, {"names": {"a": 1}}, "`names` should name the seeds 1 to 4, got 'a'"),
    (SEEDS, {"names": pd.Series(NAMES, list("abcd"))}, "`names` should have the index of the 4 coordinates, 0, 1, 2, 3, got 'a', 'b', 'c', 'd'"),
    (SEEDS, {"radius": -1}, "`radius` should be one length in mm, or 4 of them, got -1"),
    (SEEDS, {"radius": "5"}, "`radius` should be one length in mm, or 4 of them, got '5'"),
    (SEEDS, {"radius": [True] * 4}, "`radius` should be one length in mm, or 4 of them, got [True"),
    (SEEDS, {"overlap": "last"}, '`overlap` should be "allow", "first", "nearest" or "error", got \'last\''),
    (SEEDS, {"overlap": "error", "radius": 6}, "`overlap`: 4 pairs of spheres overlap, most 'seed-1' and 'seed-4', by "),
    (SEEDS, {"space": None}, "`space` should be stated, that of the coordinates; pass space=\"MNI152NLin6Asym\""),
    (SEEDS, {"grid": 3}, "`grid` should be a VolumeGrid or an image, got int"),
    ("seeds.txt", {}, "`coordinates` should end in .tsv or .csv, got seeds.txt"),
    ("seeds.csv", {}, "seeds.csv"),
]  # fmt: skip


@pytest.mark.parametrize(("coordinates", "options", "message"), BAD, ids=range(len(BAD)))
def test_what_is_refused(coordinates, options, message):
    given = {"grid": GRID, "space": "mine", **options}
    with pytest.raises((ValueError, TypeError, OSError), match=re.escape(message)):
        unchecked(ai.sphere_atlas)(coordinates, **given)


def test_spheres_that_do_not_overlap_pass():
    atlas = ai.sphere_atlas(SEEDS, GRID, radius=1, overlap="error", space="mine")
    assert isinstance(atlas.maps["volume"], ai.HardMaps)
