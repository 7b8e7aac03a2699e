"""Motion that lies beside runs of XCP-D and the HCP: read, matched with what was censored, said."""

import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers_extraction import surface_atlas, write_cifti

import atlasinit as ai
from atlasinit.extraction.cleaning import Cleaning, check_columns, read_confounds
from atlasinit.extraction.discovery import Filters, find_runs

N_TIME = 12
NAMES = [f"{kind}_{axis}" for kind in ("trans", "rot") for axis in "xyz"]
MOVED = np.where(np.arange(N_TIME) % 5 == 3, 0.9, 0.1)  # volumes 3 and 8


def write_motion(path, *, filtered=False, n_time=N_TIME):
    rng = np.random.default_rng(3)
    frame = pd.DataFrame(rng.normal(size=(n_time, 6)), columns=NAMES)
    frame["framewise_displacement"] = MOVED[:n_time]
    if filtered:
        frame["framewise_displacement_filtered"] = 0.01
    frame.to_csv(path, sep="\t", index=False)
    return frame


def write_outliers(path, values=MOVED > 0.5):
    frame = pd.DataFrame({"framewise_displacement": np.asarray(values).astype(int)})
    frame.to_csv(path, sep="\t", index=False)


def write_hcp(path, columns=12, n_time=N_TIME):
    """Write parameters in mm and degrees; return the displacement of each volume by definition."""
    rng = np.random.default_rng(4)
    moved = rng.normal(size=(n_time, 6)) * [0.2, 0.2, 0.2, 1, 1, 1]
    steps = np.vstack([np.zeros(6), np.diff(moved, axis=0)])
    np.savetxt(path, np.hstack([moved, steps])[:, :columns], fmt="  %.6f")
    wanted = [math.nan]
    for before, now in zip(np.round(moved[:-1], 6), np.round(moved[1:], 6), strict=True):
        shifts = sum(abs(now[i] - before[i]) for i in range(3))
        arcs = sum(50 * abs(math.radians(now[i] - before[i])) for i in range(3, 6))
        wanted.append(shifts + arcs)
    return np.array(wanted)


@pytest.fixture(scope="module")
def xcpd(tmp_path_factory):
    """Return a dataset whose first run has all volumes, and whose second has the still ones."""
    root = tmp_path_factory.mktemp("xcpd")
    func = root / "sub-01" / "func"
    func.mkdir(parents=True)
    for run, n_time in (("1", N_TIME), ("2", N_TIME - 2)):
        stem = f"sub-01_task-rest_run-{run}"
        write_cifti(func / f"{stem}_space-fsLR_den-91k_desc-denoised_bold.dtseries.nii", 0, n_time)
        write_motion(func / f"{stem}_motion.tsv", filtered=True)
        write_outliers(func / f"{stem}_outliers.tsv")
    return root


def test_displacement_of_xcp_d(xcpd, tmp_path):
    out = tmp_path / "out"
    done = ai.extract(xcpd, surface_atlas(), out, jobs=1, fd_threshold=0.5, connectome=())
    assert done.failures == {}
    table = done.table.set_index("run")
    # Of the run as it was scanned, whether its volumes are all in the image or not.
    np.testing.assert_allclose(table["mean_fd"].astype(float), [MOVED.mean()] * 2)
    assert table["volumes"].tolist() == [N_TIME, N_TIME - 2]
    assert table["kept"].tolist() == [N_TIME - 2] * 2
    for run, before, dropped in (("1", 0, [3, 8]), ("2", 2, [])):
        (path,) = out.rglob(f"*run-{run}_*_timeseries.json")
        told = json.loads(path.read_text())
        assert told["FramewiseDisplacement"] == "framewise_displacement of XCP-D's motion.tsv"
        assert (told["VolumesCensoredBefore"], told["VolumesDropped"]) == (before, dropped)
        assert [name.rpartition("_")[2] for name in told["Sources"][1:]] == [
            "motion.tsv",
            "outliers.tsv",
        ]


def test_censored_volumes_are_not_filtered(xcpd, tmp_path):
    done = ai.extract(xcpd, surface_atlas(), tmp_path / "out", jobs=1, runs="2", low_pass=0.1)
    assert (
        "2 volumes that moved were left out of the image before"
        in done.failures["sub-01_task-rest_run-2"]
    )


def test_columns_of_motion_are_confounds_of_the_volumes_that_are_there(tmp_path):
    path = tmp_path / "sub-01_motion.tsv"
    frame = write_motion(path)
    write_outliers(tmp_path / "sub-01_outliers.tsv")
    image = [tmp_path / "x.nii"]
    found = read_confounds(path, image, Cleaning(confounds=("trans_x", "rot_z")), N_TIME - 2)
    assert found.table is not None
    expected = frame.drop(index=[3, 8])[["trans_x", "rot_z"]]
    np.testing.assert_allclose(found.table, expected)
    assert (found.censored, found.kept.tolist()) == (2, list(range(N_TIME - 2)))


@pytest.mark.parametrize("columns", [6, 12])
def test_displacement_of_the_hcp(tmp_path, columns):
    folder = tmp_path / "100307" / "MNINonLinear" / "Results" / "rfMRI_REST1_LR"
    folder.mkdir(parents=True)
    write_cifti(folder / "rfMRI_REST1_LR_Atlas.dtseries.nii", 0, N_TIME)
    moved = write_hcp(folder / "Movement_Regressors.txt", columns)
    (run,) = find_runs(tmp_path, Filters())
    assert run.confounds is not None
    threshold = float(np.nanmedian(moved)) + 1e-6
    cleaning = Cleaning(confounds=("rot_x",), fd_threshold=threshold)
    found = read_confounds(run.confounds, run.images[0].files, cleaning, N_TIME)
    assert found.displacement == pytest.approx(np.nanmean(moved))
    assert found.kept.tolist() == np.flatnonzero(~(moved > threshold)).tolist()
    assert found.table is not None
    degrees = np.loadtxt(run.confounds)[:, 3]
    np.testing.assert_allclose(found.table["rot_x"], np.radians(degrees))
    assert found.origin == "computed from Movement_Regressors.txt, rotations as arcs at 50 mm"


PREFERRED = {
    "all of fMRIPrep's": (
        ["sub-01_desc-confounds_timeseries.tsv", "sub-01_task-rest_motion.tsv"],
        "sub-01_desc-confounds_timeseries.tsv",
    ),
    "not the filtered one": (
        ["sub-01_task-rest_desc-filtered_motion.tsv", "sub-01_task-rest_motion.tsv"],
        "sub-01_task-rest_motion.tsv",
    ),
    "the filtered one": (
        ["sub-01_task-rest_desc-filtered_motion.tsv", "sub-01_task-rest_desc-other_motion.tsv"],
        "sub-01_task-rest_desc-filtered_motion.tsv",
    ),
    "of no other run": (["sub-01_task-rest_run-2_motion.tsv"], None),
    "of runs together": (["sub-01_task-rest_motion.tsv"], "sub-01_task-rest_motion.tsv"),
}


@pytest.mark.parametrize(("files", "expected"), PREFERRED.values(), ids=PREFERRED)
def test_which_table_is_taken(tmp_path, files, expected):
    image = tmp_path / "sub-01_task-rest_run-1_space-fsLR_den-91k_bold.dtseries.nii"
    for name in (*files, image.name):
        (tmp_path / name).touch()
    (run,) = find_runs([image], Filters())
    assert (run.confounds and run.confounds.name) == expected


def text(path, content):
    path.write_text(content)


LESS = N_TIME - 2
SIX = "1 2 3 4 5 6"
SAID = {
    "volumes of another run": (
        "sub-1_motion.tsv",
        lambda folder: write_outliers(folder / "sub-1_outliers.tsv", np.zeros(N_TIME)),
        "has 12 rows for the 10 volumes of x.nii, and sub-1_outliers.tsv keeps other volumes",
    ),
    "nothing tells": ("sub-1_motion.tsv", lambda folder: None, "has 12 rows for the 10 volumes"),
    "outliers of another length": (
        "sub-1_motion.tsv",
        lambda folder: write_outliers(folder / "sub-1_outliers.tsv", np.zeros(LESS)),
        "keeps other volumes",
    ),
    "outliers that are none": (
        "sub-1_motion.tsv",
        lambda folder: text(folder / "sub-1_outliers.tsv", "framewise_displacement\n0.3\n"),
        "column 'framewise_displacement' of 0 and 1",
    ),
    "columns of no parameters": (
        "Movement_Regressors.txt",
        lambda folder: write_hcp(folder / "Movement_Regressors.txt", 7),
        "6 or 12 columns of numbers were expected, got 7",
    ),
    "a row that ends early": (
        "Movement_Regressors.txt",
        lambda folder: text(folder / "Movement_Regressors.txt", f"{SIX}\n1 2\n{SIX}\n"),
        "row 2 lacks a number",
    ),
    "no number": (
        "Movement_Regressors.txt",
        lambda folder: text(folder / "Movement_Regressors.txt", f"{SIX}\n{SIX}\n1 2 3 nan 5 6\n"),
        "row 3 lacks a number",
    ),
    "titles": (
        "Movement_Regressors.txt",
        lambda folder: text(folder / "Movement_Regressors.txt", "a b c d e f\n1 2 3 4 5 6\n"),
        "6 or 12 columns of numbers",
    ),
    "an empty file": (
        "sub-1_motion.tsv",
        lambda folder: text(folder / "sub-1_motion.tsv", ""),
        "is empty",
    ),
}


@pytest.mark.parametrize(("name", "write", "words"), SAID.values(), ids=SAID)
def test_motion_that_does_not_fit(tmp_path, name, write, words):
    path = tmp_path / name
    write_motion(path)
    write(tmp_path)
    image = [tmp_path / "x.nii"]
    with pytest.raises(ai.AtlasFileError, match=words):
        read_confounds(path, image, Cleaning(fd_threshold=0.5), LESS)
    # Where nothing is asked of it, the run is done without, and that is said.
    with pytest.warns(UserWarning, match=f"framewise displacement was not read.*{words}"):
        found = read_confounds(path, image, Cleaning(), LESS)
    assert math.isnan(found.displacement)
    assert (found.origin, found.kept.size) == ("", LESS)


def test_strategies_need_the_tables_of_fmriprep(tmp_path):
    path = tmp_path / "sub-01_motion.tsv"
    write_motion(path)
    cleaning, image = Cleaning(confounds=("motion",)), [Path("x.nii")]
    words = "of motion alone, and motion of nilearn needs fMRIPrep's confounds.*as trans_x"
    with pytest.raises(ai.ArgumentError, match=words):
        check_columns(path, cleaning)
    with pytest.raises(ai.AtlasFileError, match=words):
        read_confounds(path, image, cleaning, N_TIME)
    # The advice works.
    columns = Cleaning(confounds=("trans_x",))
    check_columns(path, columns)
    assert read_confounds(path, image, columns, N_TIME).names == ["trans_x"]
