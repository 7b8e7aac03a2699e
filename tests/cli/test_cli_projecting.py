"""`atlasinit project`: cleaned series as tables, CIFTI and matrices, as nilearn cleans them."""

import json
import re

import nibabel as nb
import numpy as np
import pandas as pd
import pytest
from helpers import table
from nilearn.interfaces.fmriprep import load_confounds_strategy
from nilearn.signal import clean

import atlasinit as ai

TIME = 60
SHAPE = (4, 4, 4)
LABELS = (np.arange(64).reshape(SHAPE) // 16 + 1).astype(np.int16)


@pytest.fixture
def preprocessed(tmp_path):
    """A run as fMRIPrep writes it, and the command that projects it on four labels."""
    rng = np.random.default_rng(0)
    stem = "sub-01_task-rest"
    bold = 100 + rng.normal(size=(*SHAPE, TIME)).astype(np.float32)
    image = nb.Nifti1Image(bold, np.eye(4))
    image.header.set_zooms((1, 1, 1, 2.0))
    image.header.set_xyzt_units("mm", "sec")
    path = tmp_path / f"{stem}_space-MNI152NLin6Asym_desc-preproc_bold.nii.gz"
    nb.save(image, path)
    names = [f"{kind}_{axis}" for kind in ("trans", "rot") for axis in "xyz"]
    for name in list(names):
        names += [f"{name}_derivative1", f"{name}_power2", f"{name}_derivative1_power2"]
    names += ["csf", "white_matter", "global_signal", "cosine00"]
    table = pd.DataFrame(rng.normal(size=(TIME, len(names))), columns=names)
    table["framewise_displacement"] = np.r_[np.nan, rng.uniform(0, 0.4, TIME - 1)]
    table.loc[[7, 30], "framewise_displacement"] = 2.0
    table.to_csv(
        tmp_path / f"{stem}_desc-confounds_timeseries.tsv", sep="\t", index=False, na_rep="n/a"
    )
    nb.save(nb.Nifti1Image(LABELS, np.eye(4)), tmp_path / "dseg.nii.gz")
    means = np.stack([bold[LABELS == key].mean(0, dtype=float) for key in range(1, 5)], axis=1)
    command = ("project", tmp_path / "dseg.nii.gz", "--space", "MNI152NLin6Asym", "-d", path)
    return command, path, table, means


def test_a_strategy_of_nilearn(run, tmp_path, preprocessed):
    command, path, _, means = preprocessed
    status, _, errors = run(
        *command,
        "--confounds",
        "simple",
        "--standardize",
        "zscore_sample",
        "-o",
        tmp_path / "x.tsv",
    )
    assert status == 0, errors
    confounds, kept = load_confounds_strategy(str(path), "simple")
    expected = clean(
        means,
        confounds=confounds,
        sample_mask=kept,
        standardize="zscore_sample",
        detrend=False,
    )
    found = pd.read_csv(tmp_path / "x.tsv", sep="\t").to_numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)


def test_columns_and_volumes_that_moved(run, tmp_path, preprocessed):
    command, _, table, means = preprocessed
    own = tmp_path / "own.tsv"
    table.to_csv(own, sep="\t", index=False, na_rep="n/a")
    options = ("--confounds", "csf", "--confounds", "trans_x", "--confounds-table", own)
    status, out, errors = run(
        *command, *options, "--fd-threshold", 0.5, "-o", tmp_path / "x.tsv", "--json"
    )
    assert status == 0, errors
    assert '"left_out": 2' in out
    kept = np.setdiff1d(np.arange(TIME), [7, 30])
    expected = clean(
        means,
        confounds=table[["csf", "trans_x"]].to_numpy(),
        sample_mask=kept,
        standardize=None,
        detrend=False,
    )
    found = pd.read_csv(tmp_path / "x.tsv", sep="\t").to_numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_filters_take_the_time_of_the_header(run, tmp_path, preprocessed):
    command, _, _, means = preprocessed
    status, _, errors = run(*command, "--low-pass", 0.1, "-o", tmp_path / "x.tsv")
    assert status == 0, errors
    expected = clean(means, low_pass=0.1, t_r=2.0, standardize=None, detrend=False)
    found = pd.read_csv(tmp_path / "x.tsv", sep="\t").to_numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_series_without_volumes_that_moved_have_no_time_step(run, tmp_path):
    grid = ai.VolumeGrid((2, 1, 1), np.eye(4), structures=[("CIFTI_STRUCTURE_THALAMUS_LEFT", 2)])
    atlas = ai.Atlas(
        name="two",
        space="fsLR",
        geometry={"subcortex": grid},
        maps={"subcortex": ai.HardMaps(np.array([0, 1], np.int32), 2)},
        labels=table(["subcortex"] * 2, [1, 2], ["a", "b"]),
    )
    ai.save_atlas(atlas, tmp_path / "two.dlabel.nii")
    image = nb.Nifti1Image(np.random.default_rng(0).normal(size=(2, 1, 1, 9)) + 9, np.eye(4))
    image.header.set_zooms((1, 1, 1, 2.0))
    image.header.set_xyzt_units("mm", "sec")
    nb.save(image, tmp_path / "bold.nii")
    moved = pd.DataFrame({"framewise_displacement": [0.0, 0, 0, 9, 0, 0, 0, 0, 0]})
    moved.to_csv(tmp_path / "own.tsv", sep="\t", index=False)
    command = ("project", tmp_path / "two.dlabel.nii", "-d", tmp_path / "bold.nii")
    own = ("--fd-threshold", 1, "--confounds-table", tmp_path / "own.tsv")
    for options, step, count in (((), 2.0, 9), (own, 1.0, 8)):
        out_file = tmp_path / f"{count}.ptseries.nii"
        status, _, errors = run(*command, *options, "-o", out_file)
        assert status == 0, errors
        axis = nb.load(out_file).header.get_axis(0)
        assert (axis.step, axis.size) == (step, count)


def test_series_and_correlations_as_cifti(run, tmp_path):
    data = tmp_path / "run.dtseries.nii"
    atlas = ai.load_atlas("yeo2011", space="fsLR", networks=7)
    values = np.random.default_rng(1).normal(size=(atlas.n_locations, 12)).astype(np.float32)
    axes = []
    for c, mesh in atlas.geometry.items():
        name = {"cortex_L": "CORTEX_LEFT", "cortex_R": "CORTEX_RIGHT"}[c]
        axes.append(nb.cifti2.BrainModelAxis.from_surface(mesh.vertices, mesh.n_vertices, name))
    series = nb.cifti2.SeriesAxis(0, 0.72, 12)
    nb.save(nb.Cifti2Image(values.T, header=(series, axes[0] + axes[1])), data)
    command = ("project", "yeo2011", "--space", "fsLR", "--networks", 7, "-d", data)
    for name in ("x.ptseries.nii", "x.pconn.nii"):
        status, _, errors = run(*command, "-o", tmp_path / name)
        assert status == 0, errors
    means = np.asarray(ai.project(atlas, values)).T
    found = nb.load(tmp_path / "x.ptseries.nii")
    np.testing.assert_allclose(found.get_fdata(), means, rtol=1e-5, atol=1e-6)
    assert found.header.get_axis(0).step == pytest.approx(0.72)
    expected = np.corrcoef(means.T)
    matrix = nb.load(tmp_path / "x.pconn.nii").get_fdata()
    np.testing.assert_allclose(matrix, expected, atol=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("-o", "x.txt"), "--output should end in .tsv, .csv, .ptseries.nii, .pconn.nii, got 'x.txt'"),
        (("--confounds", "cfs"), "--confounds: 'cfs' is no strategy of nilearn, no component, and"),
        (("--confounds", "simple", "--confounds-table", "own.tsv"), "--confounds-table is for columns"),
        (("--confounds", "csf", "--confounds-table", "none.tsv"), "none.tsv: no such file"),
        (("--confounds", "csf", "--confounds-table", "short.tsv"), "has 3 rows for the 60 volumes"),
        (("--fd-threshold", "0"), "--fd-threshold should be"),
    ],
)  # fmt: skip
def test_mistakes(run, tmp_path, preprocessed, monkeypatch, options, message):
    monkeypatch.chdir(tmp_path)
    command, _, table, _ = preprocessed
    table.head(3).to_csv("short.tsv", sep="\t", index=False, na_rep="n/a")
    status, out, errors = run(*command, "-o", "x.tsv", *options)
    assert (status, out) == (2, "")
    assert message in errors.splitlines()[-1]


def test_several_atlases_have_a_file_each(run, tmp_path, preprocessed):
    command, path, _, means = preprocessed
    halves = tmp_path / "tpl-MNI152NLin6Asym_atlas-halves_dseg.nii.gz"
    nb.save(nb.Nifti1Image((LABELS > 2).astype(np.int16) + 1, np.eye(4)), halves)
    options = ("-a", halves, "-a", f"{halves},name=again", "--detrend", "-o", tmp_path / "x.tsv")
    status, out, errors = run(*command, *options, "--json")
    assert status == 0, errors
    files = [f"x_atlas-{name}.tsv" for name in ("dseg", "halves", "again")]
    told = json.loads(out)
    assert told["files"] == [str(tmp_path / file) for file in files]
    assert list(told["parcels"].values()) == [4, 2, 2]
    alone = run(*command, "--detrend", "-o", tmp_path / "alone.tsv")
    assert alone[0] == 0, alone
    assert (tmp_path / files[0]).read_text() == (tmp_path / "alone.tsv").read_text()
    pairs = clean(means.reshape(TIME, 2, 2).mean(2), standardize=None, detrend=True)
    for file in files[1:]:
        found = pd.read_csv(tmp_path / file, sep="\t").to_numpy()
        np.testing.assert_allclose(found, pairs, atol=1e-4)
    status, _, errors = run(*command, *options)
    assert (status, "x_atlas-dseg.tsv: exists already" in errors) == (2, True)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ("dseg.nii.gz,space=MNI152NLin6Asym", "holds two called 'dseg'.*dseg,name=other"),
        ("dseg.nii.gz,space=fsLR,name=other", "one space"),
        ("nothing", "no atlas 'nothing'"),
    ],
)
def test_atlases_that_do_not_go_together(run, tmp_path, preprocessed, monkeypatch, more, message):
    monkeypatch.chdir(tmp_path)
    status, out, errors = run(*preprocessed[0], "-a", more, "-o", "x.tsv")
    assert (status, out) == (2, "")
    assert re.search(message, errors.splitlines()[-1])
    assert not list(tmp_path.glob("x*"))


def test_a_run_without_a_table(run, tmp_path, preprocessed):
    command, path, _, _ = preprocessed
    (tmp_path / "sub-01_task-rest_desc-confounds_timeseries.tsv").unlink()
    status, _, errors = run(*command, "--confounds", "csf", "-o", tmp_path / "x.tsv")
    assert status == 2
    assert f"{path}: has no table of confounds beside it" in errors
