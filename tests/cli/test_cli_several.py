"""The command join."""

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
