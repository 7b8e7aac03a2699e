"""Which runs are found where, and what is said where none are, or not those that were meant."""

import json
import sys

import nibabel as nb
import numpy as np
import pandas as pd
import pytest
from helpers_extraction import (
    AFFINE,
    SHAPE,
    SPACE,
    make_dataset,
    make_run,
    surface_atlas,
    volume_atlas,
    write_cifti,
)

import atlasinit as ai
from atlasinit.extraction.checking import look_ahead
from atlasinit.extraction.cleaning import Cleaning
from atlasinit.extraction.discovery import Filters, find_runs
from atlasinit.extraction.extracting import _texts
from atlasinit.extraction.one_run import Averaging
from atlasinit.extraction.performing import Setup
from atlasinit.extraction.planning import describe_plan, label_atlases, make_plan


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """Two people, of whom the second has sessions and two runs."""
    root = tmp_path_factory.mktemp("fmriprep") / "derivatives"
    make_dataset(root, ("01",), n_time=10)
    for seed, (session, run) in enumerate((("a", "01"), ("a", "02"), ("b", "01"))):
        stem = f"sub-02_ses-{session}_task-nback_run-{run}"
        make_run(root / "sub-02" / f"ses-{session}" / "func", stem, seed, n_time=10)
    # What is no image of a series in a template's space, or of another stage of processing.
    func = root / "sub-01" / "func"
    for name in ("boldref.nii.gz", "desc-hmc_boldref.nii.gz", "desc-smoothed_bold.nii.gz"):
        (func / f"sub-01_task-rest_run-1_space-{SPACE}_res-2_{name}").touch()
    return root


def names(dataset, **filters):
    given = {name: _texts(value, name) for name, value in filters.items()}
    return [run.name for run in find_runs(dataset, Filters(**given))]


FIRST = "sub-01_task-rest_run-1"
SECOND = [f"sub-02_ses-{s}_task-nback_run-{r}" for s, r in (("a", "01"), ("a", "02"), ("b", "01"))]
KEPT = {
    "all": ({}, [FIRST, *SECOND]),
    "a person": ({"participants": ("02",)}, SECOND),
    "with the entity": ({"participants": ("sub-01",)}, [FIRST]),
    "a number": ({"participants": 2, "runs": 1}, [SECOND[0], SECOND[2]]),
    "numbers": ({"participants": (1, "02"), "runs": range(2, 3)}, [SECOND[1]]),
    "without its zero": ({"participants": ("2",), "runs": ("1",)}, [SECOND[0], SECOND[2]]),
    "a session": ({"sessions": ("a",)}, SECOND[:2]),
    "a task": ({"tasks": ("rest", "nback")}, [FIRST, *SECOND]),
    "a space": ({"spaces": ("fsLR",), "participants": ("01",)}, [FIRST]),
}


@pytest.mark.parametrize(("filters", "expected"), KEPT.values(), ids=KEPT)
def test_filters_keep(dataset, filters, expected):
    assert names(dataset, **filters) == expected


SPACES = {
    "fsLR": {"fsLR"},
    "fsLR:den-91k": {"fsLR"},
    "fsLR:den-170k": set(),
    f"{SPACE}:res-2": {SPACE},
    f"{SPACE}:res-02": {SPACE},
    f"{SPACE}:res-1": set(),
}


@pytest.mark.parametrize(("space", "expected"), SPACES.items())
def test_images_of_a_space(dataset, space, expected):
    runs = find_runs(dataset, Filters())
    kept = Filters(spaces=(space,))._images(runs[0].images)
    assert {image.space for image in kept} == expected


def test_what_lies_beside_a_run(dataset):
    first = find_runs(dataset, Filters())[0]
    assert first.confounds is not None
    assert first.confounds.name == f"{FIRST}_desc-confounds_timeseries.tsv"
    masks = {image.space: image.mask and image.mask.name for image in first.images}
    expected = f"{FIRST}_space-{SPACE}_res-2_desc-brain_mask.nii.gz"
    assert masks == {"fsLR": None, SPACE: expected}


def test_hcp(tmp_path):
    results = tmp_path / "100307" / "MNINonLinear" / "Results"
    for name in ("rfMRI_REST1_LR", "tfMRI_WM_RL", "rfMRI_REST2_7T_AP"):
        folder = results / name
        folder.mkdir(parents=True)
        for ending in ("", "_MSMAll_hp2000_clean"):
            write_cifti(folder / f"{name}_Atlas{ending}.dtseries.nii", 0, 6)
        (folder / f"{name}_SBRef.nii.gz").touch()
    assert names(tmp_path) == [
        "sub-100307_task-REST1_dir-LR",
        "sub-100307_task-REST2_acq-7T_dir-AP",
        "sub-100307_task-WM_dir-RL",
    ]
    atlas = surface_atlas()
    with pytest.raises(ai.ArgumentError, match="several images of .* choose by `desc`"):
        ai.extract(tmp_path, atlas, tmp_path / "out", jobs=1)
    done = ai.extract(
        tmp_path, atlas, tmp_path / "out", jobs=1, desc="MSMAllhp2000clean", tasks="REST1"
    )
    assert done.count("done") == 1
    found = [path.name for path in (tmp_path / "out").rglob("*.ptseries.nii")]
    place = "sub-100307_task-REST1_dir-LR_space-fsLR_atlas-halves_den-91k"
    assert found == [f"{place}_stat-mean_timeseries.ptseries.nii"]


def test_xcp_d(tmp_path):
    stem = "sub-01_ses-{}_task-rest_run-{}"
    for session, run in ((1, 1), (1, 2), (2, 1)):
        func = tmp_path / "sub-01" / f"ses-{session}" / "func"
        func.mkdir(parents=True, exist_ok=True)
        own = stem.format(session, run)
        for name in (
            "space-fsLR_den-91k_desc-denoised_bold.dtseries.nii",
            "space-fsLR_den-91k_desc-denoisedSmoothed_bold.dtseries.nii",
            "space-fsLR_atlas-Glasser_den-91k_stat-mean_timeseries.ptseries.nii",
            "space-fsLR_atlas-Glasser_den-91k_stat-pearsoncorrelation_relmat.pconn.nii",
            "space-fsLR_den-91k_stat-alff_boldmap.dscalar.nii",
            "motion.tsv",
            "outliers.tsv",
        ):
            (func / f"{own}_{name}").touch()
    found = find_runs(tmp_path, Filters())
    assert [run.name for run in found] == [stem.format(*n) for n in ((1, 1), (1, 2), (2, 1))]
    assert {image.entities["desc"] for run in found for image in run.images} == {"denoised"}
    smooth = find_runs(tmp_path, Filters(desc=("denoisedSmoothed",), sessions=("2",)))
    assert [len(run.images) for run in smooth] == [1]


def test_files_and_a_table_are_the_same_run(dataset, tmp_path):
    func = dataset / "sub-01" / "func"
    image = func / f"{FIRST}_space-fsLR_den-91k_bold.dtseries.nii"
    plain = tmp_path / "my run.dtseries.nii"
    plain.write_bytes(image.read_bytes())
    confounds = func / f"{FIRST}_desc-confounds_timeseries.tsv"
    table = pd.DataFrame(
        {"path": [plain.name], "confounds": [confounds], "sub": ["1"], "t_r": [1.5], "note": ["x"]}
    )
    path = tmp_path / "runs.tsv"
    table.to_csv(path, sep="\t", index=False)
    options = {"jobs": 1, "confounds": ["csf"], "detrend": True, "t_r": 1.5}
    series = []
    given = {"dataset": [image], "table": path, "frame": table.assign(root=[str(tmp_path)])}
    for name, source in given.items():
        out = tmp_path / name
        done = ai.extract(source, surface_atlas(), out, **options)
        assert done.failures == {}
        (file,) = out.rglob("*_timeseries.tsv")
        series.append(pd.read_csv(file, sep="\t"))
        if name == "table":
            assert file.name == "sub-1_space-fsLR_atlas-halves_stat-mean_timeseries.tsv"
    pd.testing.assert_frame_equal(series[0], series[1])
    pd.testing.assert_frame_equal(series[0], series[2])


def test_hemispheres_are_one_run(tmp_path):
    func = tmp_path / "in" / "sub-01" / "func"
    func.mkdir(parents=True)
    rng = np.random.default_rng(0)
    values = {side: rng.normal(size=(5, 12)).astype(np.float32) for side in "LR"}
    for side, own in values.items():
        arrays = [nb.gifti.GiftiDataArray(v, meta={"TimeStep": "2000.0"}) for v in own]
        name = f"sub-01_task-rest_hemi-{side}_space-fsaverage5_bold.func.gii"
        nb.save(nb.GiftiImage(darrays=arrays), func / name)
    atlas = surface_atlas(space="fsaverage5")
    done = ai.extract(tmp_path / "in", atlas, tmp_path / "out", jobs=1)
    assert done.failures == {}
    (file,) = (tmp_path / "out").rglob("*_timeseries.tsv")
    assert file.name == "sub-01_task-rest_space-fsaverage5_atlas-halves_stat-mean_timeseries.tsv"
    expected = [values[s][:, at].mean(axis=1) for s in "LR" for at in (slice(6), slice(6, 12))]
    np.testing.assert_allclose(pd.read_csv(file, sep="\t"), np.stack(expected, 1), atol=1e-6)
    assert json.loads(file.with_suffix(".json").read_text())["RepetitionTime"] == 2.0
    # An atlas of one side takes the file of that side.
    right = atlas.select(compartments="cortex_R")
    done = ai.extract(tmp_path / "in", right, tmp_path / "right", jobs=1)
    assert done.failures == {}
    (file,) = (tmp_path / "right").rglob("*_timeseries.tsv")
    np.testing.assert_allclose(pd.read_csv(file, sep="\t"), np.stack(expected[2:], 1), atol=1e-6)


def test_each_atlas_takes_its_image_and_the_rest_is_said(dataset):
    atlases = label_atlases([volume_atlas(), surface_atlas()])
    runs = find_runs(dataset, Filters())
    bare = [run for run in runs if "01" in run.name]
    plan = make_plan(runs, atlases, reduction="mean")
    assert [len(job.tasks) for job in plan.jobs] == [2] * 4
    # A run without grayordinates is done for the other atlas.
    from dataclasses import replace

    first = replace(bare[0], images=tuple(i for i in bare[0].images if not i.is_cifti))
    plan = make_plan([first, *runs[1:]], atlases, reduction="mean")
    assert [one[:2] for one in plan.unmatched] == [(FIRST, "halves:fsLR")]
    assert [len(job.tasks) for job in plan.jobs] == [1, 2, 2, 2]


def write_mask(path):
    """Write a mask of another grid; return its path."""
    nb.save(nb.Nifti1Image(np.ones((5, 5, 6), np.uint8), AFFINE), path)
    return path


WRONG = {
    "no folder": (lambda d: {"dataset": d / "none"}, "no such file or folder"),
    "no runs": (
        lambda d: {"dataset": d.parent},
        r"no run was found in .*_bold.nii.gz.*did you mean .*derivatives",
    ),
    "no file": (lambda d: {"dataset": [d / "none.nii.gz"]}, "no such file"),
    "an empty list": (lambda d: {"dataset": []}, "empty list"),
    "what is none": (lambda d: {"dataset": 3}, "folder, a table of runs or a list of files"),
    "a file of no series": (
        lambda d: {"dataset": [d / "dataset_description.json"]},
        "no image of a series",
    ),
    "a person that is none": (lambda d: {"participants": "03"}, "no run of 4 is of '03'"),
    "people as a mapping": (lambda d: {"participants": {"01": 1}}, "list of texts, got a dict"),
    "a mask for all of another grid": (
        lambda d: {"mask": write_mask(d.parent / "mask.nii.gz")},
        "`mask` .*grid",
    ),
    "a misspelt task": (lambda d: {"tasks": "rset"}, "Did you mean 'rest'"),
    "no such space": (lambda d: {"spaces": "fsnative"}, f"there are '{SPACE}', 'fsLR'"),
    "no such desc": (lambda d: {"desc": "denoised"}, "no image .* is of 'denoised'.*'preproc'"),
    "nothing left": (
        lambda d: {"participants": "01", "tasks": "nback"},
        "none that all of the conditions keep",
    ),
    "another space": (
        lambda d: {"atlases": volume_atlas(space="MNI152NLin2009cAsym")},
        "no image fits cubes in 'MNI152NLin2009cAsym'; images are in MNI152NLin6Asym, fsLR",
    ),
    "another grid": (
        lambda d: {"atlases": volume_atlas(shape=(5, 5, 6))},
        "no image fits cubes .* Of those in its space",
    ),
    "another mesh": (lambda d: {"atlases": surface_atlas(vertices=14)}, "no image fits halves"),
    "no atlas": (lambda d: {"atlases": []}, "is empty"),
    "what is no atlas": (lambda d: {"atlases": [3]}, "should be atlases, got a int"),
    "two of one label": (
        lambda d: {"atlases": [volume_atlas(), volume_atlas(n=2)]},
        "two called 'cubes'",
    ),
    "a label with a mark": (
        lambda d: {"atlases": {"my-atlas": volume_atlas()}},
        "labels of letters and digits, got 'my-atlas'",
    ),
    "a choice that is none": (
        lambda d: {"atlases": "aal,parcel=3"},
        "got 'parcel=3' in 'aal,parcel=3'.*'parcels'",
    ),
    "a kind of connectome": (
        lambda d: {"connectome": "correlations"},
        "Did you mean 'correlation'",
    ),
    "an estimator": (lambda d: {"estimator": "lw"}, "one of 'empirical', 'ledoit-wolf'"),
    "a reduction over time": (lambda d: {"reduction": "zscore"}, "use `standardize`"),
    "a share": (lambda d: {"min_coverage": 1.5}, "between 0 and 1"),
    "no process": (lambda d: {"jobs": 0}, "1 or more"),
    "a shard": (lambda d: {"shard": "3-4"}, "as '3/200'"),
    "a shard beyond": (lambda d: {"shard": (3, 2)}, "as '3/200'"),
    "no mask": (lambda d: {"mask": d / "none.nii.gz"}, "no such file"),
    "filters": (lambda d: {"low_pass": 0.01, "high_pass": 0.1}, "should lie above `high_pass`"),
    "a strategy and more": (lambda d: {"confounds": ["simple", "motion"]}, "pass one strategy"),
    "columns and more": (lambda d: {"confounds": ["motion", "trans_x"]}, "motion beside trans_x"),
    "columns twice": (lambda d: {"confounds": ["csf", "csf"]}, "names csf more than once"),
    "a way to standardise": (lambda d: {"standardize": "zscroe"}, 'should be "zscore_sample" or'),
    "a misspelt strategy": (lambda d: {"confounds": "simpel"}, "Did you mean 'simple'"),
    "no scheduler file": (lambda d: {"dask": "none.json"}, "no scheduler file, nor an address"),
}


@pytest.mark.parametrize(("change", "words"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_said_before_anything_is_done(dataset, tmp_path, change, words):
    if words.startswith("no scheduler"):
        pytest.importorskip("distributed")
    given = {"dataset": dataset, "atlases": volume_atlas(), "output": tmp_path / "out", "jobs": 1}
    with pytest.raises((ai.ArgumentError, ai.ArgumentTypeError, ai.AtlasFileError), match=words):
        ai.extract(**given | change(dataset))
    assert not [*tmp_path.rglob("sub-*")]


TABLES = {
    "no path": ("pth\na.nii\n", "should have a column 'path'.*Did you mean 'path'"),
    "no row": ("path\n", "has no row"),
    "a file that is none": ("path\nnone.nii.gz\n", "row 1 of .* names as 'path'"),
    "no file": ("path\tsub\n\t1\n", "row 1 .* should name one 'path'"),
    "a time": ("path\tt_r\nrun.nii.gz\t-1\n", "positive number of seconds as t_r, got '-1'"),
    "a label": ("path\tsub\nrun.nii.gz\ta b\n", "has 'a b' for 'sub'"),
    "one run twice": ("path\nrun.nii.gz\nrun.nii.gz\n", "as a row before it"),
}


@pytest.mark.parametrize(("text", "words"), TABLES.values(), ids=TABLES)
def test_tables_of_runs_that_are_wrong(tmp_path, text, words):
    (tmp_path / "run.nii.gz").touch()
    (tmp_path / "runs.tsv").write_text(text)
    with pytest.raises((ai.ArgumentError, ai.AtlasFileError), match=words):
        find_runs(tmp_path / "runs.tsv", Filters())


def broken_mask(func):
    write_mask(next(func.glob("*brain_mask.nii.gz")))


def short_confounds(func):
    path = next(func.glob("*desc-confounds*.tsv"))
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-2]))


def gaps(func):
    path = next(func.glob("*desc-confounds*.tsv"))
    frame = pd.read_csv(path, sep="\t")
    frame.loc[4, "csf"] = np.nan
    frame.to_csv(path, sep="\t", index=False, na_rep="n/a")


def one_volume(func):
    image = next(func.glob("*preproc_bold.nii.gz"))
    nb.save(nb.Nifti1Image(np.ones(SHAPE, np.float32), AFFINE), image)
    path = next(func.glob("*desc-confounds*.tsv"))
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:2]))


BROKEN = {
    "a mask of another grid": (broken_mask, {}, "grid"),
    "confounds that are short": (short_confounds, {}, "has 8 rows for the 10 volumes"),
    "confounds with gaps": (gaps, {}, "column 'csf' lacks values behind its first row"),
    "no confounds": (
        lambda func: next(func.glob("*desc-confounds*.tsv")).unlink(),
        {},
        "has no table of confounds beside it",
    ),
    "no table": (
        lambda func: next(func.glob("*desc-confounds*.tsv")).write_bytes(b"\x1f\x8b\0\0"),
        {},
        "desc-confounds_timeseries.tsv",
    ),
    "JSON that is none": (
        lambda func: next(func.glob("*preproc_bold.json")).write_text('{"RepetitionTime": '),
        {},
        "could not be read as a JSON object",
    ),
    "a list in JSON": (
        lambda func: next(func.glob("*preproc_bold.json")).write_text("[]"),
        {},
        "it holds a list",
    ),
    "a time below 0": (
        lambda func: next(func.glob("*preproc_bold.json")).write_text('{"RepetitionTime": -2}'),
        {},
        "has -2",
    ),
    "all volumes moved": (lambda func: None, {"fd_threshold": 1e-9}, "leaves 1 of 10 volumes"),
    "few volumes for a filter": (
        lambda func: None,
        {"low_pass": 0.1},
        "10 volumes are too few for a filter",
    ),
    "a single volume": (one_volume, {"confounds": None}, "has 1 volume"),
}


@pytest.mark.parametrize(("damage", "options", "words"), BROKEN.values(), ids=BROKEN)
def test_runs_that_are_broken_fail_with_a_reason(tmp_path, damage, options, words):
    make_dataset(tmp_path / "in", ("01",), cifti=False, n_time=10)
    damage(tmp_path / "in" / "sub-01" / "func")
    given = {"jobs": 1, "confounds": ["csf"]} | options
    done = ai.extract(tmp_path / "in", volume_atlas(), tmp_path / "out", **given)
    assert words in done.failures[FIRST]
    # Nothing of it is left but the reason.
    assert not [*(tmp_path / "out").rglob("*_timeseries.*")]
    assert not [*(tmp_path / "out" / ".atlasinit" / "staging").iterdir()]


def test_plans_say_what_headers_and_tables_tell(tmp_path):
    make_dataset(tmp_path / "in", ("01", "02", "03", "04"), cifti=False, n_time=10)
    for label, damage in (("01", broken_mask), ("03", short_confounds), ("04", one_volume)):
        damage(tmp_path / "in" / f"sub-{label}" / "func")
    done = ai.extract(tmp_path / "in", volume_atlas(), tmp_path / "out", jobs=1, dry_run=True)
    told = dict(done.plan.problems)
    assert [name[:6] for name in told] == ["sub-01", "sub-03", "sub-04"]
    assert "grid" in told[FIRST]
    assert "has 8 rows for the 10 volumes" in told[FIRST.replace("01_", "03_")]
    lines = "\n".join(done.describe())
    assert f"{FIRST} would fail: " in lines
    assert "looked at" not in lines
    assert done.to_dict()["problems"] == [list(one) for one in done.plan.problems]
    assert not (tmp_path / "out").exists()
    # Of many runs those that there is time for.
    setup, plan = Setup(**plain_setup(tmp_path)), done.plan
    few = look_ahead(setup, plan, seconds=0.0)
    assert (few.problems, few.looked) == ((), 0)
    assert "looked at headers and tables of 0 runs" in "\n".join(
        describe_plan(few, setup.atlases, 1)
    )


def plain_setup(folder):
    return {
        "root": folder / "out",
        "atlases": tuple(label_atlases(volume_atlas())),
        "averaging": Averaging(),
        "cleaning": Cleaning(),
        "kinds": (),
        "estimator": "empirical",
        "mask": "run",
        "source": None,
    }


def test_dask_that_is_not_there_is_said_first(dataset, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ai.ArgumentError, match=r"needs dask.distributed; .*atlasinit\[scale\]"):
        ai.extract(dataset, volume_atlas(), tmp_path / "out", dask="tcp://127.0.0.1:8786")
    assert not (tmp_path / "out").exists()


def test_outputs_that_cannot_be(dataset, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    (other / "mine.txt").write_text("mine")
    with pytest.raises(ai.AtlasFileError, match="holds files, but no extraction"):
        ai.extract(dataset, volume_atlas(), other, jobs=1)
    with pytest.raises(ai.AtlasFileError, match="is a file, not a folder"):
        ai.extract(dataset, volume_atlas(), other / "mine.txt", jobs=1)
    with pytest.raises(ai.AtlasFileError, match="cannot be written"):
        ai.extract(dataset, volume_atlas(), "/proc/none", jobs=1)


def test_an_atlas_by_name_comes_in_the_space_of_the_images(tmp_path):
    from atlasinit.extraction.atlases import load_atlases

    files = [tmp_path / f"sub-01_hemi-{s}_space-fsaverage5_bold.func.gii" for s in "LR"]
    for file in files:
        file.touch()
    runs = find_runs(files, Filters())
    assert load_atlases("desikan-killiany", runs).space == "fsaverage5"
    other = files[0].rename(tmp_path / "sub-01_hemi-L_space-fsnative_bold.func.gii")
    with pytest.raises(ai.ArgumentError, match=r"could not be loaded in a space .*\(fsnative\)"):
        load_atlases("desikan-killiany", find_runs([other], Filters()))


def test_atlases_are_moved_where_that_is_asked_for(dataset, tmp_path):
    fine = volume_atlas("fine")
    half = fine.geometry["volume"].affine @ np.diag([0.5, 0.5, 0.5, 1])
    half[:3, 3] += -0.25 * np.diag(AFFINE)[:3]  # voxels of half the size, in the same box
    labels = fine.maps["volume"].labels.reshape(SHAPE)
    twice = np.repeat(np.repeat(np.repeat(labels, 2, 0), 2, 1), 2, 2)
    fine = fine.replace(
        maps={"volume": ai.HardMaps(twice.reshape(-1), 3)},
        geometry={"volume": ai.VolumeGrid(twice.shape, half)},
    )
    given = {"jobs": 1, "participants": "01", "connectome": ()}
    with pytest.raises(ai.ArgumentError, match="by resample=True"):
        ai.extract(dataset, fine, tmp_path / "out", **given)
    assert ai.extract(dataset, fine, tmp_path / "out", **given, resample=True).failures == {}
    ai.extract(dataset, volume_atlas(), tmp_path / "same", **given)
    found, same = (
        next((tmp_path / name).rglob("*_timeseries.tsv")).read_text() for name in ("out", "same")
    )
    assert found == same
    (sidecar,) = (tmp_path / "out").rglob("*_timeseries.json")
    assert "AtlasOperations" in json.loads(sidecar.read_text())


def test_a_component_that_is_a_column_goes_with_columns():
    both = Cleaning(("global_signal", "csf"))
    both.check()
    assert not both.is_strategy
    assert Cleaning(("global_signal",)).is_strategy
