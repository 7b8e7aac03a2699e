"""What `extract` writes of a dataset, beside nilearn and NumPy; what it does again, and what not."""

import json
import os
import subprocess
import sys

import nibabel as nb
import numpy as np
import pandas as pd
import pytest
from helpers_extraction import (
    N_TIME,
    SHAPE,
    SPACE,
    T_R,
    make_dataset,
    surface_atlas,
    volume_atlas,
    write_cifti,
)
from nilearn.interfaces.fmriprep import load_confounds_strategy
from nilearn.signal import clean

import atlasinit as ai
from atlasinit.io.parcel_matrices import read_matrix

RUNS = ("sub-01_task-rest_run-1", "sub-02_task-rest_run-1")
VOLUME = f"space-{SPACE}_atlas-cubes_res-2"
CIFTI = "space-fsLR_atlas-halves_den-91k"
OPTIONS = {"jobs": 1, "confounds": "simple", "fd_threshold": 0.5, "low_pass": 0.1}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    root = tmp_path_factory.mktemp("fmriprep") / "derivatives"
    return root, make_dataset(root)


@pytest.fixture(scope="module")
def extracted(dataset, tmp_path_factory):
    root, data = dataset
    output = tmp_path_factory.mktemp("parcels") / "out"
    all_of_it = {"parquet": True, "carpets": RUNS[:1], "connectome": ("correlation", "tangent")}
    done = ai.extract(root, [volume_atlas(), surface_atlas()], output, **OPTIONS, **all_of_it)
    return root, data, output, done


def func(root, run):
    return root / run[:6] / "func"


def series_of(output, run, place):
    return pd.read_csv(func(output, run) / f"{run}_{place}_stat-mean_timeseries.tsv", sep="\t")


def state(output):
    """Return the files of an output below the folders of persons, with when they were written."""
    return {p: p.stat().st_mtime_ns for p in output.glob("sub-*/**/*") if p.is_file()}


def parcel_means(data):
    """Return means (time, parcels) of slabs: without the mask's voxels, and the one without data."""
    there = np.ones(SHAPE, bool)
    there[:, 0, 2] = False
    there[0, 0, 1] = False
    return np.stack([data[..., i, :][there[..., i]].mean(axis=0) for i in (1, 2, 3)], axis=1)


def cleaned(root, data, run):
    """Return what nilearn leaves of the means."""
    image = func(root, run) / f"{run}_space-{SPACE}_res-2_desc-preproc_bold.nii.gz"
    table, _ = load_confounds_strategy(str(image), "simple")
    return clean(
        parcel_means(data[run].astype(float)),
        detrend=False,
        standardize=None,
        confounds=table,
        sample_mask=np.delete(np.arange(N_TIME), 5),  # of too large a displacement
        low_pass=0.1,
        t_r=T_R,
    )


def test_series_and_connectomes_are_those_of_nilearn(extracted):
    root, data, output, done = extracted
    assert (done.count("done"), done.failures) == (2, {})
    for run in RUNS:
        expected = cleaned(root, data, run)
        found = series_of(output, run, VOLUME)
        assert list(found.columns) == ["slab 0", "slab 1", "slab 2"]
        np.testing.assert_allclose(found, expected, atol=2e-5)
        stem = str(func(output, run) / f"{run}_{VOLUME}")
        matrix = pd.read_csv(f"{stem}_stat-pearsoncorrelation_relmat.tsv", sep="\t", index_col=0)
        np.testing.assert_allclose(matrix, np.corrcoef(expected.T), atol=1e-3)
        assert list(matrix.index) == list(matrix.columns) == list(found.columns)


def test_coverage(extracted):
    _, _, output, _ = extracted
    stem = str(func(output, RUNS[0]) / f"{RUNS[0]}_{VOLUME}")
    share = pd.read_csv(f"{stem}_stat-coverage_bold.tsv", sep="\t", index_col="name")
    np.testing.assert_allclose(share["coverage"], [19 / 20, 16 / 20, 1], atol=1e-6)


def test_cifti_has_files_of_workbench(extracted):
    root, _, output, _ = extracted
    stem = str(func(output, RUNS[1]) / f"{RUNS[1]}_{CIFTI}")
    image = nb.load(f"{stem}_stat-mean_timeseries.ptseries.nii")
    series = series_of(output, RUNS[1], CIFTI)
    np.testing.assert_allclose(image.get_fdata(), series, rtol=1e-5)
    assert list(image.header.get_axis(1).name) == ["L_a", "L_b", "R_a", "R_b"]
    matrix = read_matrix(f"{stem}_stat-pearsoncorrelation_relmat.pconn.nii")
    np.testing.assert_allclose(matrix, np.corrcoef(series.T), atol=1e-5)
    share = pd.read_csv(f"{stem}_stat-coverage_bold.tsv", sep="\t")["coverage"]
    # A vertex of the first parcel is 0 in all volumes.
    np.testing.assert_allclose(share, [5 / 6, 1, 1, 1], atol=1e-6)


def test_raw_series_of_cifti(dataset, tmp_path):
    root, _ = dataset
    ai.extract(root, surface_atlas(), tmp_path / "out", participants="01", jobs=1, connectome=())
    rows = write_cifti(tmp_path / "again.dtseries.nii", seed=0)
    expected = [rows[:, [0, 1, 2, 4, 5]], rows[:, 6:12], rows[:, 12:18], rows[:, 18:]]
    found = series_of(tmp_path / "out", RUNS[0], CIFTI)
    np.testing.assert_allclose(found, np.stack([e.mean(axis=1) for e in expected], 1), atol=1e-6)
    axis = nb.load(next((tmp_path / "out").rglob("*.ptseries.nii"))).header.get_axis(0)
    assert (axis.step, axis.size) == (T_R, N_TIME)
    assert not [*(tmp_path / "out").rglob("*relmat*")]


def test_sidecars_say_how(extracted):
    _, _, output, _ = extracted
    path = func(output, RUNS[0]) / f"{RUNS[0]}_{VOLUME}_stat-mean_timeseries.json"
    found = json.loads(path.read_text())
    source = f"bids:source:sub-01/func/{RUNS[0]}_space-{SPACE}_res-2_desc-preproc_bold.nii.gz"
    assert found["Sources"][0] == source
    assert found["VolumesDropped"] == [5]
    assert (found["Volumes"], found["RepetitionTime"], found["LowPass"]) == (N_TIME, T_R, 0.1)
    assert {"trans_x", "csf", "cosine00"} <= set(found["Confounds"])
    assert found["ConfoundStrategy"] == ["simple"]
    assert found["Mask"].endswith("desc-brain_mask.nii.gz")
    assert found["Software"]["nibabel"] == nb.__version__
    assert len(found["AtlasHash"]) == 64


def test_atlases_in_a_space_without_a_name_are_a_file_each(tmp_path):
    path = tmp_path / "sub-1_task-rest_bold.nii.gz"
    atlases = {name: volume_atlas(space="my_own space") for name in ("one", "two")}
    shape = (*next(iter(atlases["one"].geometry.values())).shape, 4)
    affine = next(iter(atlases["one"].geometry.values())).affine
    nb.save(nb.Nifti1Image(np.random.default_rng(0).normal(size=shape) + 9, affine), path)
    output = tmp_path / "out"
    for given in ({"one": atlases["one"]}, atlases):
        done = ai.extract([path], given, output, jobs=1, connectome=(), overwrite=True)
        assert done.count("done") == 1, done.failures
    files = sorted((output / "atlases").glob("*.npz"))
    assert [file.name[:4] for file in files] == ["one-", "two-"]
    assert all(ai.load_atlas(file).n_parcels == atlases["one"].n_parcels for file in files)


def test_the_atlases_and_the_table(extracted):
    root, _, output, done = extracted
    again = ai.load_atlas(output / "atlases", space=SPACE)
    np.testing.assert_array_equal(again.maps["volume"].labels, volume_atlas().maps["volume"].labels)
    table = pd.read_csv(output / "quality.tsv", sep="\t", index_col="run")
    assert list(table.index) == list(RUNS)
    confounds = pd.read_csv(
        func(root, RUNS[0]) / f"{RUNS[0]}_desc-confounds_timeseries.tsv", sep="\t"
    )
    assert table.loc[RUNS[0], "mean_fd"] == pytest.approx(
        confounds["framewise_displacement"].mean()
    )
    assert table["kept"].tolist() == [N_TIME - 1] * 2
    pd.testing.assert_frame_equal(
        done.table.drop(columns="reason").set_index("run"), table.drop(columns="reason")
    )
    description = json.loads((output / "dataset_description.json").read_text())
    assert description["DatasetLinks"]["source"] == root.resolve().as_uri()


VALIDATOR = "import sys; from bids_validator_deno import cli; sys.exit(cli())"


def issues(folder):
    """Return what the BIDS validator calls errors: the codes and the places."""
    done = subprocess.run(
        [sys.executable, "-c", VALIDATOR, folder, "--format", "json"],
        capture_output=True,
        text=True,
        check=False,
    )
    found = json.loads(done.stdout)["issues"]["issues"]
    return {(i["code"], i.get("location", "")) for i in found if i["severity"] == "error"}


def test_the_validator_passes_but_for_what_bids_has_no_name_for(extracted, tmp_path):
    import shutil

    _, _, output, _ = extracted
    assert issues(output) == set()
    bare = tmp_path / "bare"
    shutil.copytree(output, bare)
    (bare / ".bidsignore").unlink()
    errors = issues(bare)
    assert errors
    suffixes = (
        "_timeseries.",
        "_relmat.",
        "_stat-coverage_bold.",
        "/atlases/",
        "/logs/",
        "/parquet/",
        "/figures/",
        "quality",
    )
    assert all(any(s in place for s in suffixes) for _, place in errors)


def test_what_is_done_is_not_done_again(dataset, tmp_path):
    root, _ = dataset
    output, atlas = tmp_path / "out", volume_atlas()
    first = ai.extract(root, atlas, output, jobs=1)
    before = state(output)
    assert ai.extract(root, atlas, output, jobs=1).count("skipped") == 2
    assert state(output) == before
    # A file that was cut off, or that went, makes its run anew.
    lost = max(before)
    lost.write_text("half")
    again = ai.extract(root, atlas, output, jobs=1)
    assert (again.count("done"), again.count("skipped")) == (1, 1)
    assert lost.read_text() != "half"
    # One that was copied is as it was; one that was edited is not, though its size is the same.
    os.utime(lost, ns=(0, 0))
    assert ai.extract(root, atlas, output, jobs=1).count("skipped") == 2
    text = lost.read_text()
    lost.write_text(text.replace("1", "2"))
    assert ai.extract(root, atlas, output, jobs=1).count("done") == 1
    assert lost.read_text() == text
    # An atlas that is added is done by itself.
    kept = state(output)
    more = ai.extract(root, [atlas, volume_atlas("pairs", n=2)], output, jobs=1)
    assert more.count("done") == 2
    assert kept.items() <= state(output).items()
    assert len(state(output)) == 2 * len(kept)
    assert "done before" in str(ai.extract(root, atlas, output, jobs=1))
    assert str(first) == "2 runs: 2 done"


def test_an_input_that_changed_is_done_again(tmp_path):
    root = tmp_path / "in"
    make_dataset(root, cifti=False, n_time=10)
    output = tmp_path / "out"
    ai.extract(root, volume_atlas(), output, jobs=1)
    image = next(root.glob("sub-01/func/*bold.nii.gz"))
    stamp = image.stat()
    os.utime(image, ns=(stamp.st_atime_ns, stamp.st_mtime_ns + 10**9))
    done = ai.extract(root, volume_atlas(), output, jobs=1)
    assert [one.status for one in sorted(done.outcomes or (), key=lambda o: o.run)] == [
        "done",
        "skipped",
    ]
    # The sidecar, too, which states the time between volumes.
    image.with_name(image.name.replace(".nii.gz", ".json")).write_text('{"RepetitionTime": 3.0}')
    done = ai.extract(root, volume_atlas(), output, jobs=1)
    assert done.count("done") == 1


def test_a_failed_run_stops_no_other(tmp_path):
    root, output = tmp_path / "in", tmp_path / "out"
    make_dataset(root, ("01", "02", "03"), cifti=False, n_time=10)
    image = next(root.glob("sub-02/func/*bold.nii.gz"))
    whole = image.read_bytes()
    image.write_bytes(whole[: len(whole) // 2])
    done = ai.extract(root, volume_atlas(), output, jobs=1)
    assert (done.count("done"), done.count("failed")) == (2, 1)
    assert image.name in done.failures["sub-02_task-rest_run-1"]
    assert not (output / "sub-02").exists()
    log = (output / "logs" / "sub-02_task-rest_run-1.log").read_text()
    assert "failed" in log
    assert "Traceback" in log
    assert "failed" in (output / "quality.tsv").read_text()
    image.write_bytes(whole)
    again = ai.extract(root, volume_atlas(), output, jobs=1)
    assert (again.count("done"), again.count("skipped")) == (1, 2)


def test_other_options_are_refused_until_replaced(dataset, tmp_path):
    root, _ = dataset
    output = tmp_path / "out"
    ai.extract(root, surface_atlas(), output, jobs=1, participants="01")
    with pytest.raises(
        ai.AtlasFileError, match=r"low_pass was None, is 0.1; choose another folder"
    ):
        ai.extract(root, surface_atlas(), output, jobs=1, low_pass=0.1)
    other = surface_atlas().replace(maps={
        "cortex_L": ai.HardMaps(np.zeros(12, np.int32), 2),
        "cortex_R": ai.HardMaps(np.zeros(12, np.int32), 2),
    })  # fmt: skip
    with pytest.raises(ai.AtlasFileError, match="the atlas halves:fsLR was another"):
        ai.extract(root, other, output, jobs=1)
    with pytest.raises(ai.AtlasFileError, match="not made again: run sub-01_task-rest_run-1; extr"):
        ai.extract(
            root, surface_atlas(), output, jobs=1, low_pass=0.1, participants="02", overwrite=True
        )
    with pytest.raises(ai.AtlasFileError, match="not made again: atlas halves:fsLR"):
        ai.extract(root, volume_atlas(), output, jobs=1, low_pass=0.1, overwrite=True)
    assert [*output.glob("sub-01/func/*")]
    done = ai.extract(root, surface_atlas(), output, jobs=1, low_pass=0.1, overwrite=True)
    # What was made with the options before does not stay beside it.
    assert done.count("done") == 2
    sidecar = next(output.glob("sub-01/func/*mean_timeseries.json"))
    assert json.loads(sidecar.read_text())["LowPass"] == 0.1


def test_damaged_options_are_removed_as_told(dataset, tmp_path):
    root, _ = dataset
    output = tmp_path / "out"
    ai.extract(root, surface_atlas(), output, jobs=1, participants="01")
    options = output / ".atlasinit" / "options.json"
    options.write_text("{")
    with pytest.raises(ai.AtlasFileError, match="options.json: is damaged; remove this file"):
        ai.extract(root, surface_atlas(), output, jobs=1, participants="01")
    options.unlink()
    assert not ai.extract(root, surface_atlas(), output, jobs=1, participants="01").failures


def test_shards_are_all_of_it(dataset, tmp_path):
    root, _ = dataset
    output = tmp_path / "out"
    names = []
    for shard in ("1/2", (2, 2)):
        done = ai.extract(root, volume_atlas(), output, jobs=1, shard=shard)
        names += [one.run for one in done.outcomes or ()]
    assert names == list(RUNS)
    assert list(done.table["run"]) == list(RUNS)


def test_a_run_of_another_process_is_left_to_it(dataset, tmp_path):
    from atlasinit.extraction.state import Ledger

    root, _ = dataset
    ledger = Ledger(tmp_path / "out")
    ledger.open()
    with ledger.claim(RUNS[0]) as mine:
        assert mine
        done = ai.extract(root, volume_atlas(), tmp_path / "out", jobs=1)
    assert (done.count("elsewhere"), done.count("done")) == (1, 1)
    assert "1 in other processes" in str(done)
    # Nothing is left of a claim once its process has ended.
    assert ai.extract(root, volume_atlas(), tmp_path / "out", jobs=1).count("done") == 1


def test_an_interrupt_keeps_what_is_finished(dataset, tmp_path):
    root, _ = dataset

    def stop(outcome, number, total):
        assert (number, total) == (1, 2)
        raise KeyboardInterrupt

    # Of another process, which was killed.
    left = tmp_path / "out" / ".atlasinit" / "staging" / "sub-77"
    left.mkdir(parents=True)
    with pytest.raises(KeyboardInterrupt):
        ai.extract(root, volume_atlas(), tmp_path / "out", jobs=1, progress=stop)
    assert not left.exists()
    assert list(pd.read_csv(tmp_path / "out" / "quality.tsv", sep="\t")["run"]) == [RUNS[0]]
    assert ai.extract(root, volume_atlas(), tmp_path / "out", jobs=1).count("skipped") == 1


def test_the_command_line(dataset, tmp_path, run):
    root, _ = dataset
    ai.save_atlas(volume_atlas(), tmp_path / "cubes.npz")
    given = ("extract", root, "-a", tmp_path / "cubes.npz", "-o", tmp_path / "out", "--jobs", 1)
    status, out, _ = run(*given, "--dry-run")
    assert status == 0
    assert out.startswith("2 runs, ")
    assert f"cubes (3 parcels, {SPACE}): 2 runs, images in {SPACE}:res-2" in out
    assert not (tmp_path / "out").exists()
    status, out, err = run(*given, "--connectome", "none")
    written = [str(tmp_path / "out" / f"quality.{ending}") for ending in ("tsv", "html")]
    assert (status, out.splitlines()) == (0, written)
    assert err == "atlasinit: 2 runs: 2 done\n"
    status, out, _ = run(*given, "--connectome", "none", "--json")
    assert json.loads(out)["skipped"] == 2
    status, _, err = run(*given, "--participant", "3")
    assert status == 2
    assert "--participant: no run of 2 is of '3'" in err
    ai.save_atlas(volume_atlas(space="MNI305"), tmp_path / "other.npz")
    status, _, err = run("extract", root, "-a", tmp_path / "other.npz", "-o", tmp_path / "none")
    assert status == 2
    assert err.startswith("atlasinit: --atlas: no image fits cubes in 'MNI305'")
    broken = tmp_path / "broken"
    make_dataset(broken, ("01",), cifti=False, n_time=10)
    next(broken.rglob("*desc-confounds*.tsv")).unlink()
    status, _, err = run(
        "extract", broken, "-a", tmp_path / "cubes.npz", "-o", tmp_path / "other", "--jobs", 1,
        "--confounds", "simple",
    )  # fmt: skip
    assert status == 1
    assert "has no table of confounds beside it" in err
    assert "1 run: 1 failed" in err
