"""The commands join and spheres."""

import json

import nibabel as nb
import numpy as np

import atlasinit as ai


def write(folder, name, values):
    affine = np.diag([-2.0, 2, 2, 1])
    nb.save(nb.Nifti1Image(np.asarray(values, np.int16), affine), folder / f"{name}.nii.gz")
    rows = "".join(f"{k}\t{name}{k}\n" for k in np.unique(values)[1:])
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
        (("desikan-killiany", ""), "ATLAS... holds an empty name or file"),
        (("aal", "glasser"), "ATLAS... should be of one space, got MNIColin27, fsLR"),
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
