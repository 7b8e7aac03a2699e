"""The commands masks and labels: what they refuse, and in whose words."""

import json

import numpy as np
import pytest

import atlasinit as ai


def given(folder):
    return (folder / "dseg.nii.gz", "--labels", folder / "dseg.tsv", "--space", "unknown")


def test_masks_of_chosen_parcels(run, labels):
    folder, values, _ = labels
    out = folder / "m"
    status, shown, errors = run("masks", *given(folder), "--select", "box", "-o", out, "--json")
    assert (status, errors) == (0, "")
    told = {"files": [str(out / "box.nii.gz")], "masks": {"box": [str(out / "box.nii.gz")]}}
    assert json.loads(shown) == told
    found = ai.load_atlas(out / "box.nii.gz")
    assert found.labels["n_locations"].tolist() == [np.count_nonzero(values == 3)]
    soft = ("--kind", "hard", "--min-weight", 0.5, "--format", ".nii", "--overwrite")
    assert run("masks", *given(folder), *soft, "-o", out)[0] == 0
    assert sorted(p.name for p in out.iterdir()) == ["box.nii", "box.nii.gz", "corner.nii"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--min-weight", -1), "--min-weight should be a weight of 0 or more, got -1"),
        (("--format", ".label"), "--format should be .nii.gz or .nii of 'volume' (VolumeGrid), got '.label'"),
        (("--format", "nii"), "'nii' is not one of '.nii.gz', '.nii', '.label.gii', '.label'"),
        (("--select", "bx"), "there is no parcel 'bx' in 'dseg'. Did you mean 'box'?"),
    ],
)  # fmt: skip
def test_masks_that_cannot_be(run, labels, options, message):
    folder = labels[0]
    status, out, errors = run("masks", *given(folder), *options, "-o", folder / "m")
    assert (status, out, errors.count("\n")) == (2, "", 1)
    assert message in errors
    assert not (folder / "m").exists()


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("x.txt", (), "--output should end in .ctab, .ctbl, .lut, .xml, .node, .tsv, got 'x.txt'; or say for which program by --format"),
        ("x.txt", ("--format", "spm"), "--format should be one of freesurfer, itksnap"),
    ],
)  # fmt: skip
def test_labels_that_cannot_be(run, labels, name, options, message):
    folder = labels[0]
    status, out, errors = run("labels", *given(folder), *options, "-o", folder / name)
    assert (status, out, errors.count("\n")) == (2, "", 1)
    assert message in errors
    assert not (folder / name).exists()


def test_labels_and_nodes(run, labels):
    folder, values, _ = labels
    path = folder / "dseg.node"
    assert run("labels", *given(folder), "-o", path) == (0, f"{path}\n", "")
    grid = ai.load_atlas(folder / "dseg.nii.gz", space="unknown").geometry["volume"]
    centre = np.argwhere(values == 3).mean(axis=0) @ grid.affine[:3, :3].T + grid.affine[:3, 3]
    first = path.read_text().splitlines()[0].split("\t")
    np.testing.assert_allclose(np.float64(first[:3]), centre, atol=6e-4)
    assert first[3:] == ["1", str(np.count_nonzero(values == 3)), "box"]
    assert run("labels", *given(folder), "-o", path)[0] == 2  # exists already


def test_networks_of_both_sides(run, tmp_path):
    named = ("schaefer2018", "--space", "fsLR", "--parcels", 100, "--networks", 7)
    status, _, errors = run("build", *named, "--merge", "network", "-o", tmp_path / "n.npz")
    assert status == 0, errors
    status, _, errors = run(
        "build", tmp_path / "n.npz", "--unite", "name", "-o", tmp_path / "u.npz"
    )
    assert status == 0, errors
    both = ai.load_atlas(tmp_path / "u.npz")
    assert both.labels["name"].tolist() == ["Vis", "SomMot", "DorsAttn", "SalVentAttn", "Limbic", "Cont", "Default"]  # fmt: skip
