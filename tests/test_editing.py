"""Parcels merged, renamed and renumbered, and weights below a threshold, beside NumPy and nilearn."""

import re
import shutil
import subprocess
import warnings

import nibabel as nb
import numpy as np
import pandas as pd
import pytest
from helpers_surfaces import brain_atlas, cortex_atlas
from nilearn.image import threshold_img

import atlasinit as ai

GRID = ai.VolumeGrid((4, 3, 2), np.diag([2.0, 2, 2, 1]))


def dense(atlas):
    """Return one dense matrix (parcels, locations), by the rows of the table."""
    out = np.zeros((atlas.n_parcels, atlas.n_locations))
    places = atlas.location_slices()
    for c, matrix in atlas.to_dense().items():
        rows = atlas.parcel_slices()[c]
        out[rows, places[c]] = matrix
    return out


def soft():
    return brain_atlas()


def hard():
    return brain_atlas().harden()


def surface():
    return cortex_atlas()


def volume():
    weights = np.random.default_rng(3).random((5, GRID.n_locations)).astype(np.float32)
    table = {
        "compartment": ["volume"] * 5,
        "key": [2, 4, 6, 8, 10],
        "name": list("abcde"),
        "color": ["", "#010203", "", "#040506", ""],
        "hemisphere": ["L", "L", "R", "", ""],
        "network": ["x", None, "y", "x", "y"],
    }
    return ai.Atlas(
        name="v",
        space="mine",
        maps={"volume": ai.DenseMaps(weights)},
        geometry={"volume": GRID},
        labels=ai.LabelTable(table),
    )


def sparse():
    atlas = volume()
    maps = ai.SparseMaps.from_scipy(atlas.maps["volume"].to_scipy())
    return atlas.replace(maps={"volume": maps})


ATLASES = (soft, hard, surface, volume, sparse)


@pytest.mark.parametrize("make", ATLASES)
def test_merged_weights_are_the_sums_of_numpy(make):
    atlas = make()
    names = list(atlas.table["name"])
    homes = list(atlas.table["compartment"])
    # The first and the last parcel of each compartment are one.
    groups = {f"all of {h}": [n for n, own in zip(names, homes, strict=True) if own == h][::2] for h in dict.fromkeys(homes)}  # fmt: skip
    merged = ai.merge_parcels(atlas, groups)
    before, after = dense(atlas), dense(merged)
    for name, own in groups.items():
        expected = before[[names.index(n) for n in own]].sum(axis=0)
        row = merged.table["name"].index(name)
        np.testing.assert_allclose(after[row], expected, rtol=1e-6)
        assert merged.table["key"][row] == atlas.table["key"][names.index(own[0])]
    kept = [n for n in names if n not in {n for own in groups.values() for n in own}]
    np.testing.assert_array_equal(
        after[[merged.table["name"].index(n) for n in kept]],
        before[[names.index(n) for n in kept]],
    )
    assert len(merged.table) == len(groups) + len(kept)
    assert merged.geometry == atlas.geometry
    assert {c: type(m) for c, m in merged.maps.items()} == {c: type(m) for c, m in atlas.maps.items()}  # fmt: skip
    data = np.random.default_rng(0).normal(size=atlas.n_locations)
    np.testing.assert_allclose(
        ai.project(merged, data.astype(np.float32), reduction="sum"), after @ data, rtol=1e-4, atol=1e-5
    )  # fmt: skip


def test_a_column_merges_and_who_has_no_value_stays():
    merged = ai.merge_parcels(volume(), "network")
    assert merged.table["name"] == ("x", "b", "y")
    assert merged.table["key"] == (2, 4, 6)
    assert merged.table["color"] == ("#040506", "#010203", "")
    assert merged.table["hemisphere"] == ("", "L", "")
    assert merged.table["network"] == ("x", None, "y")
    assert merged.provenance.operations == ("merge_parcels(by='network'; 5 parcels to 3)",)
    numbered = volume().replace(labels=volume().table.replace(network=[1.0, None, 2.0, 1.0, 2.0]))
    assert ai.merge_parcels(numbered, "network").table["name"] == ("1", "b", "2")


@pytest.mark.parametrize(
    "by",
    [
        {"a": "e", "d": "e"},
        {2: "e", ("volume", 8): "e"},
        pd.Series({"a": "e", "d": "e", "b": None}),
        {"e": ["a", "d"]},
        {"e": [re.compile("a|d"), "e"]},
    ],
)
def test_a_name_that_is_there_takes_others_in(by):
    merged = ai.merge_parcels(volume(), by)
    assert merged.table["name"] == ("e", "b", "c")
    assert merged.table["key"] == (10, 4, 6)
    matrix = dense(volume())
    np.testing.assert_allclose(dense(merged)[0], matrix[[0, 3, 4]].sum(axis=0), rtol=1e-6)
    (operation,) = merged.provenance.operations
    assert operation == "merge_parcels('e' = 'a', 'd', 'e'; 5 parcels to 3)"


def test_groups_of_pandas_are_lists_of_parcels():
    atlas = ai.load_atlas("desikan-killiany", space="fsaverage5")
    table = atlas.labels
    names = table.assign(group=table["hemisphere"] + "_all").groupby("group")["name"]
    expected = ai.merge_parcels(atlas, {group: list(own) for group, own in names})
    assert expected.labels["name"].tolist() == ["L_all", "R_all"]
    for groups in (names.unique(), dict(names.unique()), {g: pd.Index(own) for g, own in names}):
        assert ai.merge_parcels(atlas, groups).table == expected.table


def test_networks_of_both_sides_and_of_all_compartments():
    atlas = ai.load_atlas("schaefer2018", space="fsLR", parcels=100, networks=7)
    merged = ai.merge_parcels(atlas, "network")
    assert merged.table["name"][::7] == ("L_Vis", "R_Vis")
    both = merged.unite(by="name")
    networks = atlas.labels["network"].to_numpy()
    assert both.table["name"] == tuple(dict.fromkeys(networks))
    data = np.random.default_rng(0).normal(size=atlas.n_locations)
    labels = np.concatenate(
        [np.asarray(atlas.maps[c].labels) + s.start * (np.asarray(atlas.maps[c].labels) >= 0) for c, s in atlas.parcel_slices().items()]
    )  # fmt: skip
    own = np.where(labels >= 0, networks[labels], "")
    expected = [data[own == network].mean() for network in both.table["name"]]
    np.testing.assert_allclose(ai.project(both, data.astype(np.float32)), expected, rtol=1e-4, atol=1e-6)  # fmt: skip


def test_merging_united_parcels_and_empty_ones():
    keys = {"cortex_L": np.array([0, 1, 2, 3]), "cortex_R": np.array([1, 2, 2, 0])}
    table = {1: "a", 2: "b", 3: "c", 4: "gone"}
    both = ai.load_atlas(keys, labels=table, space="mine").unite()
    merged = ai.merge_parcels(both, {"ac": ["a", "c"], "empty": ["gone"]})
    assert merged.table["name"] == ("ac", "b", "empty")
    assert merged.labels["n_locations"].tolist() == [3, 3, 0]
    assert merged.labels["empty"].tolist() == [False, False, True]
    assert merged.maps["cortex_R"].labels.tolist() == [0, 1, 1, -1]


@pytest.mark.parametrize(
    ("by", "error", "message"),
    [
        ("netwrk", ValueError, r"no column 'netwrk'; Did you mean 'network'\?|Did you mean 'network'"),
        ("blank", ValueError, "no parcel has a value in the column 'blank'"),
        ({"A": "x"}, ValueError, r"`by`: there is no parcel 'A' in 'v'.*Did you mean 'a'"),
        ({"x": ["a"], "y": ["a"]}, ValueError, "has 'a' in 'x' and 'y'"),
        ({"x": ["a"], "b": "y"}, TypeError, "a name for each parcel, or lists of parcels"),
        ({"a": 3}, TypeError, "should name parcels by text, got 3"),
        ({"a": ""}, TypeError, "should name parcels by text, got ''"),
        ({}, TypeError, "got none"),
        (3, TypeError, "should be a column or the groups of parcels, got int"),
        (pd.DataFrame({"a": ["x"]}), TypeError, "groups of parcels, got DataFrame"),
        ({99: "x"}, ValueError, "there is no key 99"),
    ],
)  # fmt: skip
def test_what_merges_nothing_is_refused(by, error, message):
    atlas = volume()
    atlas = atlas.replace(labels=atlas.table.replace(blank=[None] * 5))
    with pytest.raises(error, match=message):
        ai.merge_parcels(atlas, by)


def test_names_change_places_and_keys_stay():
    atlas = volume()
    renamed = ai.rename_parcels(atlas, {"a": "b", 4: "a", ("volume", 6): "sea é"})
    assert renamed.table["name"] == ("b", "a", "sea é", "d", "e")
    assert renamed.table["key"] == atlas.table["key"]
    operation = "rename_parcels('a' to 'b', 'b' to 'a', 'c' to 'sea é')"
    assert renamed.provenance.operations == (operation,)
    assert ai.rename_parcels(atlas, str.upper).table["name"] == tuple("ABCDE")
    series = pd.Series({"a": "A"})
    assert ai.rename_parcels(atlas, series).table["name"] == tuple("Abcde")


@pytest.mark.parametrize(
    ("names", "error", "message"),
    [
        ({"a": "b"}, ValueError, r"several parcels would be 'b'; parcels become one by `ai\.merge_parcels\(atlas, by=\.\.\.\)`"),
        (lambda name: "x", ValueError, "several parcels would be 'x'"),
        ({"f": "x"}, ValueError, "`names`: there is no parcel 'f'"),
        ({"a": 3}, TypeError, "should be text, got 3"),
        ({"a": ""}, ValueError, "should not be empty"),
        ({"a": "x", 2: "y"}, ValueError, "has parcels twice: 'a'"),
        (["x"], TypeError, "should be a mapping from parcels, got list"),
    ],
)  # fmt: skip
def test_names_that_are_none_are_refused(names, error, message):
    with pytest.raises(error, match=message):
        ai.rename_parcels(volume(), names)


def test_keys_are_new_or_counted_through_all_compartments(tmp_path):
    atlas = volume()
    keyed = ai.renumber_parcels(atlas, {"a": 4, "b": 2})
    assert keyed.table["key"] == (4, 2, 6, 8, 10)
    assert keyed.provenance.operations == ("renumber_parcels(2 to 4, 4 to 2)",)
    counted = ai.renumber_parcels(hard())
    assert counted.table["key"] == tuple(range(1, 8))
    # The keys of `hard` are shared by the hemispheres, of which files warn.
    (path,) = ai.save_atlas(counted, tmp_path / "x.dlabel.nii")
    axis = nb.load(path).header.get_axis(0)
    named = {name: key for key, (name, _) in axis.label[0].items()}
    assert [named[name] for name in counted.table["name"]] == list(range(1, 8))


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"a": 4}, "several parcels would have 4 in volume"),
        ({"a": 0.5}, "whole number that fits int32, got 0.5"),
        ({"a": 2**31}, "whole number that fits int32"),
        ({"A": 1}, "`keys`: there is no parcel 'A'"),
    ],
)
def test_keys_that_are_none_are_refused(keys, message):
    with pytest.raises(ValueError, match=message):
        ai.renumber_parcels(volume(), keys)


@pytest.mark.parametrize("make", [volume, sparse])
def test_a_threshold_as_nilearn_has_it(make):
    atlas = make()
    weights = atlas.to_dense()["volume"]
    images = nb.Nifti1Image(GRID.put(weights.T), GRID.affine)
    theirs = threshold_img(images, 0.5, two_sided=False, copy_header=True).get_fdata()
    kept = atlas.threshold(0.5)
    np.testing.assert_array_equal(kept.to_dense()["volume"], GRID.take(theirs).T)
    assert kept.provenance.operations == ("threshold(0.5)",)
    expected = np.where(weights.max(axis=0) >= 0.5, weights.argmax(axis=0), -1)
    hardened = atlas.harden(threshold=0.5)
    np.testing.assert_array_equal(hardened.maps["volume"].labels, expected)
    assert hardened.provenance.operations == ("harden(threshold=0.5)",)
    # What is exactly at the threshold stays.
    exact = float(weights[1, 0])
    assert atlas.threshold(exact).to_dense()["volume"][1, 0] == weights[1, 0]


@pytest.mark.skipif(shutil.which("wb_command") is None, reason="wb_command is not installed")
def test_a_threshold_as_workbench_has_it(tmp_path):
    atlas = brain_atlas(key=[1, 2, 3, 4, 5, 10, 49])
    with pytest.warns(ai.AtlasWarning, match="stay as empty rows"):
        kept = atlas.threshold(1.0)
    (path,) = ai.save_atlas(atlas, tmp_path / "x.dscalar.nii")
    out = tmp_path / "y.dscalar.nii"
    command = ["wb_command", "-cifti-math", "x * (x >= 1)", out, "-var", "x", path]
    subprocess.run(command, check=True, capture_output=True)
    np.testing.assert_array_equal(nb.load(out).get_fdata(), dense(kept))


@pytest.mark.parametrize("make", ATLASES)
def test_parcels_that_lose_all_weight_stay_as_flagged_rows(make):
    atlas = make()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ai.AtlasWarning)
        kept = atlas.threshold(0.9)
        hardened = atlas.harden(threshold=0.9)
    matrix = dense(atlas)
    np.testing.assert_array_equal(dense(kept), np.where(matrix >= 0.9, matrix, 0))
    assert kept.table == atlas.table == hardened.table
    assert kept.labels["empty"].tolist() == [not (row >= 0.9).any() for row in matrix]


def test_what_a_threshold_empties_is_told():
    atlas = volume()
    weights = np.array(atlas.to_dense()["volume"])
    weights[2] *= 0.1
    weights[:, 3] = np.nan
    weights[0, 4] = -2
    atlas = atlas.replace(maps={"volume": ai.DenseMaps(weights)})
    message = r"parcels with no weight of 0\.25 or more stay as empty rows: 'c'; drop them by `atlas\.drop_empty\(\)`"
    weights[2, 3] = 0
    atlas = atlas.replace(maps={"volume": ai.DenseMaps(weights)})
    with pytest.warns(ai.AtlasWarning, match=message):
        kept = atlas.threshold(0.25)
    assert np.isnan(kept.to_dense()["volume"][0, 3])
    assert kept.to_dense()["volume"][0, 4] == 0
    assert kept.drop_empty().table["name"] == tuple("abde")


@pytest.mark.parametrize(
    ("at", "message"),
    [
        (25, r"should be at most 0\.9\d+, the largest weight, got 25"),
        (0, "should be a positive weight, as 0.25, got 0"),
        (-1.0, "should be a positive weight"),
        (float("nan"), "should be a positive weight"),
    ],
)
def test_thresholds_that_are_none_are_refused(at, message):
    with pytest.raises(ValueError, match=message):
        volume().threshold(at)
    if at:
        with pytest.raises(ValueError, match=message):
            volume().harden(threshold=at)
    else:
        assert volume().harden(threshold=0) == volume().harden()


def test_labels_have_the_weight_1():
    atlas = volume().harden()
    assert atlas.threshold(1).maps == atlas.maps
    with pytest.raises(ValueError, match="should be at most 1, the largest weight, got 1.5"):
        atlas.threshold(1.5)
