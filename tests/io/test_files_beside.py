"""Files that stand beside each other: two images, two hemispheres, the halves of one file."""

import shutil
import subprocess

import nibabel as nb
import numpy as np
import pytest
from helpers_surfaces import cortex_atlas

import atlasinit as ai

KEYS = np.array([0, 3, 3, 0, 7, 7, 7, 12], np.int16).reshape(2, 2, 2)


def volume(names):
    labels = dict(zip((3, 7, 12), names, strict=True))
    return ai.load_atlas(nb.Nifti1Image(KEYS, np.eye(4)), space="x", labels=labels)


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize(("first", "second"), [("x.nii", "x.nii.gz"), ("x.nii.gz", "x.nii")])
def test_two_images_do_not_share_a_table(tmp_path, first, second, overwrite):
    ai.save_atlas(volume("abc"), tmp_path / first)
    with pytest.raises(OSError, match=rf"share the table x.tsv with {first}; choose another"):
        ai.save_atlas(volume("def"), tmp_path / second, overwrite=overwrite)
    assert list(ai.load_atlas(tmp_path / first).table["name"]) == ["a", "b", "c"]
    ai.save_atlas(volume("def"), tmp_path / f"other{second}")
    ai.save_atlas(volume("def"), tmp_path / first, overwrite=True)
    assert list(ai.load_atlas(tmp_path / first).table["name"]) == ["d", "e", "f"]


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("z.annot", ["lh.z.annot", "rh.z.annot"]),
        ("z.L.annot", ["z.L.annot", "z.R.annot"]),
        ("lh.z.annot", ["lh.z.annot", "rh.z.annot"]),
        ("z_left.annot", ["z_left.annot", "z_right.annot"]),
        ("z.R.label.gii", ["z.L.label.gii", "z.R.label.gii"]),
        ("z_rh.label.gii", ["z_lh.label.gii", "z_rh.label.gii"]),
        ("z.label.gii", ["z.L.label.gii", "z.R.label.gii"]),
        ("tpl-x_hemi-R_dseg.label.gii", ["tpl-x_hemi-L_dseg.label.gii", "tpl-x_hemi-R_dseg.label.gii"]),
        ("desc-L_z.label.gii", ["desc-L_z.L.label.gii", "desc-L_z.R.label.gii"]),
    ],
)  # fmt: skip
def test_each_hemisphere_has_a_name_that_is_read_back(tmp_path, name, written):
    colors = [f"#0{i}0{i}0{i}" for i in range(1, 8)]
    keys = [1, 2, 3, 1, 2, 10, 49]
    atlas = cortex_atlas(color=colors, key=keys).harden()
    files = ai.save_atlas(atlas, tmp_path / name)
    assert [path.name for path in files] == written
    again = ai.load_atlas(files, space="fsLR")
    assert again.compartments == ("cortex_L", "cortex_R")


@pytest.mark.skipif(shutil.which("wb_command") is None, reason="wb_command is not installed")
def test_the_halves_of_a_file_have_each_its_own_rows(tmp_path):
    atlas = ai.load_atlas("desikan-killiany", space="fsaverage5")
    ai.save_atlas(atlas, tmp_path / "dk.dlabel.nii")
    halves = [tmp_path / "L.label.gii", tmp_path / "R.label.gii"]
    command = ["wb_command", "-cifti-separate", tmp_path / "dk.dlabel.nii", "COLUMN"]
    command += ["-label", "CORTEX_LEFT", halves[0], "-label", "CORTEX_RIGHT", halves[1]]
    subprocess.run(command, check=True, capture_output=True)
    again = ai.load_atlas(halves, space="fsaverage5")
    assert again.table["name"] == atlas.table["name"]
    assert not any(again.labels["empty"])
    for c in atlas.compartments:
        np.testing.assert_array_equal(again.maps[c].labels, atlas.maps[c].labels)


@pytest.mark.skipif(shutil.which("wb_command") is None, reason="wb_command is not installed")
@pytest.mark.parametrize("side", ["L", "R"])
@pytest.mark.parametrize("name", ["desikan-killiany", "schaefer2018"])
def test_a_lone_half_keeps_what_is_its_own(tmp_path, name, side):
    choices = {"space": "fsaverage5"} if "desikan" in name else {"space": "fsLR", "parcels": 100}
    atlas = ai.load_atlas(name, **choices)
    ai.save_atlas(atlas, tmp_path / "x.dlabel.nii")
    half, structure = tmp_path / f"{side}.label.gii", {"L": "LEFT", "R": "RIGHT"}[side]
    command = ["wb_command", "-cifti-separate", tmp_path / "x.dlabel.nii", "COLUMN"]
    command += ["-label", f"CORTEX_{structure}", half]
    subprocess.run(command, check=True, capture_output=True)
    own = atlas.select(compartments=f"cortex_{side}")
    others = atlas.n_parcels - own.n_parcels
    told = rf"hemisphere than cortex_{side}; those without a location \({others}\) are left out: '"
    with pytest.warns(ai.AtlasWarning, match=told):
        again = ai.load_atlas(half, space="x")
    assert again.table["name"] == own.table["name"]
    assert not any(again.labels["empty"])


def test_entries_of_the_other_side_with_locations_stay(tmp_path):
    # Names are no more than names where the labels lie there.
    keys = np.array([0, 1, 2, 2])
    table = {1: "L_a", 2: "R_a", 3: "R_b", 4: "c", 5: "L_d"}
    with pytest.warns(ai.AtlasWarning, match=r"without a location \(1\) are left out: 'R_b'"):
        found = ai.load_atlas({"cortex_L": keys}, labels=table, space="x")
    assert found.labels["name"].tolist() == ["L_a", "R_a", "c", "L_d"]
    assert found.labels["empty"].tolist() == [False, False, True, True]
    both = ai.load_atlas({"cortex_L": keys, "cortex_R": keys}, labels=table, space="x")
    assert "R_b" in both.table["name"]


def test_relabelling_with_a_frame():
    atlas = ai.load_atlas("desikan-killiany", space="fsaverage5")
    for frame in (atlas.labels, atlas.table.to_frame()):
        frame["name"] = frame["name"].str.upper()
        expected = tuple(name.upper() for name in atlas.table["name"])
        # In any order, by compartment and key.
        for given in (frame, frame[::-1], frame.sort_values("name").reset_index(drop=True)):
            assert atlas.replace(labels=given).table["name"] == expected
    renumbered = atlas.labels.assign(key=range(100, 168))
    assert atlas.replace(labels=renumbered).table["key"] == tuple(range(100, 168))
    with pytest.raises(ValueError, match=r"nothing tells which.*reset_index\(drop=True\)"):
        atlas.replace(labels=renumbered[::-1])
    with pytest.raises(TypeError, match="LabelTable or a pandas.DataFrame, got list"):
        atlas.replace(labels=["a"])
    with pytest.raises(TypeError, match="LabelTable"):
        ai.Atlas(
            name="a",
            space="b",
            maps=atlas.maps,
            geometry=atlas.geometry,
            labels=atlas.table.to_frame(),
        )
