"""The commands join, compare, measure and spheres."""

import json

import nibabel as nb
import numpy as np
import pandas as pd

import atlasinit as ai


def write(folder, name, values):
    affine = np.diag([-2.0, 2, 2, 1])
    nb.save(nb.Nifti1Image(np.asarray(values, np.int16), affine), folder / f"{name}.nii.gz")
    rows = "".join(f"{k}\t{name}{k}\n" for k in np.unique(values) if k)
    (folder / f"{name}.tsv").write_text(f"index\tname\n{rows}")
    return folder / f"{name}.nii.gz"


def test_join_of_files(run, tmp_path):
    one, other = np.zeros((2, 3, 4, 2), int)
    one[:2], other[1:] = 3, 7
    files = write(tmp_path, "one", one), write(tmp_path, "other", other)
    out = tmp_path / "both.npz"
    status, _, errors = run("join", *files, "--space", "unknown", "-o", out)
    assert status == 2
    assert "'one' and 'other' both have labels at 8 voxels" in errors
    assert "Pass --conflicts first, --conflicts last or --conflicts larger" in errors
    choice = ("--space", "unknown", "--conflicts", "last", "--name", "both")
    status, told, errors = run("join", *files, *choice, "-o", out, "--json")
    assert status == 0, errors
    assert json.loads(told)["atlas"]["parcels"] == 2
    atlas = ai.load_atlas(out)
    assert (atlas.name, atlas.table["name"]) == ("both", ("one3", "other7"))
    assert atlas.labels["n_locations"].tolist() == [8, 16]
    status, _, errors = run("join", *files, *choice, "-o", out)
    assert (status, "--overwrite" in errors) == (2, True)


def test_bad_joins(run, tmp_path):
    out = tmp_path / "x.npz"
    for arguments, message in (
        (("desikan-killiany", ""), "ATLAS holds an empty name or file"),
        (("aal", "glasser"), "ATLAS should be of one space, got MNIColin27, fsLR"),
        (("aal", "nothing.nii.gz"), "nothing.nii.gz"),
        (("aal", "--parcels", "100"), "--parcels: none of aal has a choice of it"),
        ((), "ATLAS"),
    ):
        status, _, errors = run("join", *arguments, "-o", out)
        assert (status, message in errors) == (2, True), errors


def test_spheres(run, tmp_path):
    image = write(tmp_path, "grid", np.ones((6, 6, 6), int))
    table = tmp_path / "seeds.csv"
    table.write_text("x,y,z,name,radius\n-2,4,4,left,2\n-6,4,4,right,2\n")
    arguments = ("spheres", table, "--grid", image, "--space", "mine")
    out = tmp_path / "seeds.nii.gz"
    status, told, errors = run(*arguments, "--overlap", "first", "-o", out)
    assert (status, told.split()) == (0, [str(out), str(tmp_path / "seeds.tsv")]), errors
    atlas = ai.load_atlas(out)
    assert atlas.table["name"] == ("left", "right")
    assert atlas.labels["n_locations"].tolist() == [7, 6]
    assert atlas.provenance.files[0][0] == "seeds.csv"
    for further, message in (
        (("--overlap", "error"), "--overlap: 1 pair of spheres overlap, most 'left' and 'right', by 1 voxel, 4 mm apart; take a smaller radius, or pass --overlap nearest"),
        (("--radius", "-1"), "--radius should be one length"),
        (("--overlap", "both"), "'both' is not one of"),
    ):  # fmt: skip
        status, _, errors = run(*arguments, *further, "-o", tmp_path / "x.npz")
        assert (status, message in errors) == (2, True), errors
    table.write_text("x,y,z,name\n-2,400,4,left\n")
    status, _, errors = run(*arguments, "-o", tmp_path / "x.npz")
    assert status == 2
    assert "TABLE: 1 seed of 1 lies outside of the grid (x -10 to 0" in errors


def test_compare(run, tmp_path):
    one = np.repeat([1, 2, 0], 8).reshape(3, 4, 2)
    other = np.repeat([3, 4, 5], 8).reshape(3, 2, 4).transpose(0, 2, 1)
    files = write(tmp_path, "one", one), write(tmp_path, "other", other)
    status, out, errors = run("compare", *files, "--space", "unknown")
    assert status == 0, errors
    lines = out.splitlines()
    assert lines[0] == "Comparison of 'one' (2 parcels) with 'other' (3) in volume"
    assert (
        lines[4].split() == "parcel locations largest share match dice hausdorff boundary".split()
    )
    assert lines[5].split() == ["one1", "8", "other3", "1.000", "other3", "1.000", "0.0", "0.00"]
    table = tmp_path / "found.tsv"
    status, out, errors = run("compare", *files, "--space", "unknown", "-o", table)
    assert (status, out) == (0, f"{table}\n"), errors
    assert pd.read_csv(table, sep="\t")["match"].tolist() == ["other3", "other4"]
    status, out, errors = run("compare", *files, "--space", "unknown", "--json")
    told = json.loads(out)
    assert (told["rand"], told["vi"], told["parcels"][1]["match"]) == (1, 0, "other4")
    for arguments, message in (
        (files[:1], "ATLAS should be two atlases to compare, got 1"),
        ((*files, "-o", "x.txt"), ".tsv or .csv"),
        ((*files, "-o", table), "--overwrite"),
        (("aal", files[0]), "--space: 'aal' has no space 'unknown'"),
    ):
        status, _, errors = run("compare", *arguments, "--space", "unknown")
        assert (status, message in errors) == (2, True), errors


def test_compare_of_other_grids_names_the_command_that_helps(run, tmp_path):
    one = write(tmp_path, "one", np.ones((3, 4, 2), int))
    other = write(tmp_path, "other", np.ones((3, 4, 3), int))
    status, _, errors = run("compare", one, other, "--space", "unknown")
    assert status == 2
    assert "lie on different grids" in errors
    assert "`atlasinit resample`" in errors


def test_measure(run, tmp_path):
    image = write(tmp_path, "one", np.repeat([1, 2, 0], 8).reshape(3, 4, 2))
    status, out, errors = run("measure", image, "--space", "unknown")
    assert status == 0, errors
    lines = [line.split() for line in out.splitlines()]
    assert lines[0] == "name n_locations volume x y z surface_area compactness pieces n_neighbours".split()  # fmt: skip
    assert lines[1] == ["one1", "8", "64.0", "0.0", "3.0", "1.0", "112.0", "0.528", "1", "1"]
    saved = tmp_path / "table.csv"
    status, out, _ = run("measure", image, "--space", "unknown", "-o", saved)
    assert (status, out) == (0, f"{saved}\n")
    table = pd.read_csv(saved)
    np.testing.assert_allclose(table["volume"], [64, 64])
    assert table["z_max"].tolist() == [2, 2]
    told = json.loads(run("measure", image, "--space", "unknown", "--json")[1])
    assert told["parcels"][1]["n_neighbours"] == 1
    assert told["parcels"][1]["vertex"] is None
    assert "--overwrite" in run("measure", image, "--space", "unknown", "-o", saved)[2]
    assert "should end in .tsv or .csv" in run("measure", image, "-o", "x.txt", "--space", "q")[2]


def test_build_reshapes_and_reorders(run, tmp_path):
    values = np.zeros((9, 9, 9), int)
    values[2:5, 2:7, 2:7], values[6, 4, 4] = 1, 2
    image = write(tmp_path, "one", values)
    mask = write(tmp_path, "mask", np.pad(np.ones((7, 7, 7), int), 1))
    own = ("build", image, "--space", "unknown")
    edits = (
        "--erode",
        2,
        "--dilate",
        "inf",
        "--within",
        mask,
        "--min-locations",
        1,
        "--order",
        "key",
    )
    status, _, errors = run(*own, *edits, "-o", tmp_path / "out.npz")
    assert status == 0, errors
    assert "1 parcel lost all locations by erosion: one2" in errors
    found = ai.load_atlas(tmp_path / "out.npz")
    assert found.table["name"] == ("one1",)
    assert found.labels["n_locations"].tolist() == [343]
    names = [o.partition("(")[0] for o in found.provenance.operations]
    assert names == ["erode_parcels", "dilate_parcels", "drop_small_parcels", "reorder_parcels"]
    for further, message in (
        (("--erode", 0), "--erode should be a length in mm above 0, got 0"),
        (("--within", mask), "--within is for --dilate"),
        (("--min-locations", -1), "--min-locations should be a whole number from 0, got -1"),
        (("--order", "names"), "--order: the labels have no column 'names'. Did you mean 'name'"),
    ):
        status, _, errors = run(*own, *further, "-o", tmp_path / "x.npz")
        assert (status, message in errors) == (2, True), errors
