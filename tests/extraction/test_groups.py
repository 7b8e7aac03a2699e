"""What is made of all runs of an output: tangents as nilearn's, and QC-FC beside NumPy and SciPy."""

import json
import os

import nibabel as nb
import numpy as np
import pandas as pd
import pytest
from helpers_extraction import AFFINE, SPACE, make_dataset, volume_atlas
from nilearn.connectome import ConnectivityMeasure
from scipy.stats import pearsonr, spearmanr
from sklearn.covariance import EmpiricalCovariance

import atlasinit as ai
from atlasinit.extraction.qcfc import LEAST, Relation, measure_distances, relate_motion

PEOPLE = [f"{i:02d}" for i in range(11)]
PLACE = f"space-{SPACE}_atlas-cubes_res-2_stat-"
GIVEN = {"jobs": 1, "connectome": ["correlation", "tangent"]}


@pytest.fixture(scope="module")
def output(tmp_path_factory):
    root = tmp_path_factory.mktemp("group")
    make_dataset(root / "in", PEOPLE, cifti=False, n_time=20)
    done = ai.extract(root / "in", volume_atlas(), root / "out", **GIVEN)
    assert (done.failures, done.notes) == ({}, ())
    return root / "out"


def tables(output, ending):
    return {path.name[:6]: path for path in sorted(output.glob(f"sub-*/func/*{ending}"))}


def test_tangents_are_those_of_nilearn(output):
    series = [pd.read_csv(p, sep="\t") for p in tables(output, "mean_timeseries.tsv").values()]
    measure = ConnectivityMeasure(EmpiricalCovariance(store_precision=False), kind="tangent")
    expected = measure.fit_transform([own.to_numpy() for own in series])
    found = tables(output, "stat-tangent_relmat.tsv")
    assert len(found) == len(PEOPLE)
    for path, matrix in zip(found.values(), expected, strict=True):
        frame = pd.read_csv(path, sep="\t", index_col="name")
        np.testing.assert_allclose(frame, matrix, atol=1e-10)
        assert list(frame.index) == list(frame.columns) == list(series[0].columns)
        about = json.loads(path.with_suffix(".json").read_text())
        assert about["Reference"] == f"bids::{PLACE}tangentmean_relmat.tsv"
        assert (about["RunsOfReference"], about["ParcelsLeftOut"]) == (len(PEOPLE), [])
        assert "SamplingFrequency" not in about
    mean = output / f"{PLACE}tangentmean_relmat.tsv"
    np.testing.assert_allclose(
        pd.read_csv(mean, sep="\t", index_col="name"), measure.mean_, atol=1e-10
    )
    assert json.loads(mean.with_suffix(".json").read_text())["Runs"] == [
        f"sub-{label}_task-rest_run-1" for label in PEOPLE
    ]


def test_qcfc_is_that_of_scipy(output):
    frames = [
        pd.read_csv(path, sep="\t", index_col="name").to_numpy()
        for path in tables(output, "pearsoncorrelation_relmat.tsv").values()
    ]
    motion = pd.read_csv(output / "quality.tsv", sep="\t")["mean_fd"].to_numpy()
    ends = np.triu_indices(3, 1)
    z = np.arctanh([frame[ends] for frame in frames])
    tests = [pearsonr(motion, edge) for edge in z.T]
    path = output / f"{PLACE}qcfc_relmat.tsv"
    found = pd.read_csv(path, sep="\t", index_col="name").to_numpy()
    np.testing.assert_allclose(found[ends], [t.statistic for t in tests], atol=1e-9)
    assert np.isnan(np.diag(found)).all()
    about = json.loads(path.with_suffix(".json").read_text())
    assert about["Participants"] == len(PEOPLE)
    assert about["MedianAbsolute"] == pytest.approx(np.median(np.abs(found[ends])))
    assert about["ShareSignificant"] == np.mean([t.pvalue < 0.05 for t in tests])
    # Slabs lie 2 mm apart.
    distances = np.abs(np.subtract.outer(np.arange(3), np.arange(3)))[ends] * 2
    assert about["DistanceDependence"] == pytest.approx(spearmanr(distances, found[ends])[0])


def test_it_is_made_again_of_other_runs_alone(tmp_path):
    root, output = tmp_path / "in", tmp_path / "out"
    make_dataset(root, ("01", "02", "03"), cifti=False, n_time=20)
    image = next(root.glob("sub-02/func/*bold.nii.gz"))
    whole = image.read_bytes()
    image.write_bytes(whole[: len(whole) // 2])
    done = ai.extract(root, volume_atlas(), output, **GIVEN)
    assert list(done.failures) == ["sub-02_task-rest_run-1"]
    # It is of the runs that are done; QC-FC wants more participants.
    assert [(one.run, one.status) for one in done.groups] == [(f"tangent of cubes:{SPACE}", "done")]
    assert [*tables(output, "tangent_relmat.tsv")] == ["sub-01", "sub-03"]
    first = tables(output, "tangent_relmat.tsv")["sub-01"].read_text()
    again = ai.extract(root, volume_atlas(), output, participants=("01", "03"), **GIVEN)
    assert [one.status for one in again.groups] == ["skipped"]
    # Later calls keep it in step with the runs, without being asked.
    image.write_bytes(whole)
    done = ai.extract(root, volume_atlas(), output, jobs=1)
    assert (done.count("done"), [one.status for one in done.groups]) == (1, ["done"])
    assert len(tables(output, "tangent_relmat.tsv")) == 3
    assert tables(output, "tangent_relmat.tsv")["sub-01"].read_text() != first
    # One that is damaged is made anew.
    lost = tables(output, "tangent_relmat.tsv")["sub-03"]
    text = lost.read_text()
    lost.write_text("half")
    ai.extract(root, volume_atlas(), output, jobs=1)
    assert lost.read_text() == text
    # What was extracted with other options goes with the runs.
    ai.extract(root, volume_atlas(), output, jobs=1, detrend=True, overwrite=True)
    assert not tables(output, "tangent_relmat.tsv")
    assert not [*output.glob("*tangentmean*")]


def test_parcels_that_some_run_lacks_are_left_out_of_all(tmp_path):
    root, output = tmp_path / "in", tmp_path / "out"
    make_dataset(root, ("01", "02", "03"), cifti=False, n_time=20)
    image = nb.load(next(root.glob("sub-02/func/*bold.nii.gz")))
    data = image.get_fdata(dtype=np.float32)
    data[..., 2, :] = 0
    nb.save(nb.Nifti1Image(data, AFFINE, image.header), image.get_filename())
    done = ai.extract(root, volume_atlas(), output, **GIVEN)
    assert done.failures == {}
    assert done.notes == (
        f"tangents of cubes:{SPACE} leave out 1 parcel that 1 run of 3 lack: 'slab 1', in "
        "sub-02_task-rest_run-1",
    )
    for path in tables(output, "tangent_relmat.tsv").values():
        found = pd.read_csv(path, sep="\t", index_col="name")
        assert np.isnan(found["slab 1"].to_numpy()).all()
        assert np.isfinite(found.drop(index="slab 1", columns="slab 1").to_numpy()).all()
    mean = output / f"{PLACE}tangentmean_relmat.json"
    assert json.loads(mean.read_text())["ParcelsLeftOut"] == {"slab 1": ["sub-02_task-rest_run-1"]}


@pytest.mark.sweep
def test_shards_leave_it_to_a_call_for_all(tmp_path):
    make_dataset(tmp_path / "in", ("01", "02"), cifti=False, n_time=20)
    for shard in ("1/2", "2/2"):
        done = ai.extract(tmp_path / "in", volume_atlas(), tmp_path / "out", shard=shard, **GIVEN)
        assert done.groups == ()
        assert done.notes == ("tangents are made by a call without `shard` once all runs are done",)
    done = ai.extract(tmp_path / "in", volume_atlas(), tmp_path / "out", **GIVEN)
    assert (done.count("skipped"), [one.status for one in done.groups]) == (2, ["done"])


REFUSED = {
    "one run": (("01",), 20, "has one run of cubes"),
    "few volumes": (("01", "02"), 3, 'more time points than parcels that change for "tangent"'),
}


@pytest.mark.sweep
@pytest.mark.parametrize(("people", "n_time", "words"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_is_a_failure(tmp_path, people, n_time, words):
    make_dataset(tmp_path / "in", people, cifti=False, n_time=max(n_time, 6))
    given = GIVEN | ({"fd_threshold": 0.9, "mask": None} if n_time < 6 else {})
    for path in (tmp_path / "in").rglob("*timeseries.tsv"):
        frame = pd.read_csv(path, sep="\t", na_values="n/a")
        frame.loc[n_time:, "framewise_displacement"] = 2
        frame.to_csv(path, sep="\t", index=False, na_rep="n/a")
    done = ai.extract(tmp_path / "in", volume_atlas(), tmp_path / "out", **given)
    assert done.count("done") == len(people)
    assert words in done.failures[f"tangent of cubes:{SPACE}"]


def test_tables_as_parquet(output):
    pytest.importorskip("pyarrow")
    root = output.parent / "in"
    ai.extract(root, volume_atlas(), output, jobs=1, parquet=True)
    found = pd.read_parquet(output / "parquet" / f"{PLACE}tangent_relmat")
    assert len(found) == len(PEOPLE) * 6  # with the diagonal
    path = tables(output, "tangent_relmat.tsv")["sub-03"]
    matrix = pd.read_csv(path, sep="\t", index_col="name")
    own = found[found["sub"] == "03"]
    np.testing.assert_array_equal(own["value"], matrix.to_numpy(np.float32)[np.triu_indices(3)])


def expected_relation(motion, runs, distances):
    """Return QC-FC edge by edge, from all participants at once."""
    ends = np.triu_indices(len(distances), 1)
    mean = {}
    for label in motion:
        z = np.array([np.arctanh(m[ends]) for own, m in runs if own == label])
        there = np.isfinite(z).sum(axis=0)
        mean[label] = np.where(there, np.nansum(z, axis=0) / np.maximum(there, 1), np.nan)
    z, x = np.array([mean[label] for label in motion]), np.array(list(motion.values()))
    r, p = np.full(ends[0].size, np.nan), np.full(ends[0].size, np.nan)
    for i, edge in enumerate(z.T):
        good = np.isfinite(edge)
        if good.sum() >= LEAST:
            r[i], p[i] = pearsonr(x[good], edge[good])
    known = np.isfinite(r)
    far = spearmanr(distances[ends][known], r[known])[0]
    return r, np.median(np.abs(r[known])), np.mean(p[known] < 0.05), far


def test_runs_of_a_person_are_one_and_edges_may_be_missing():
    rng = np.random.default_rng(0)
    motion = {str(i): 0.1 + 1e-3 * rng.normal() for i in range(14)}
    runs = []
    for i in motion:
        for _ in range(1 + int(i) % 3):
            half = np.corrcoef(rng.normal(size=(6, 15)) + 900 * (motion[i] - 0.1))
            runs.append((i, half))
    for _, matrix in runs[:3]:
        matrix[0] = matrix[:, 0] = np.nan
    for _, matrix in runs[3:14]:
        matrix[5] = matrix[:, 5] = np.nan
    places = rng.normal(size=(6, 3))
    distances = np.linalg.norm(places[:, None] - places, axis=2)
    found = relate_motion(motion, runs, distances)
    r, median, significant, dependence = expected_relation(motion, runs, distances)
    np.testing.assert_allclose(found.matrix[np.triu_indices(6, 1)], r, atol=1e-9)
    np.testing.assert_array_equal(found.matrix, found.matrix.T)
    assert np.isnan(r).any()
    assert np.isfinite(r).any()
    assert found.median == pytest.approx(median)
    assert found.significant == pytest.approx(significant)
    assert found.dependence == pytest.approx(dependence)
    many = relate_motion(motion, runs, distances)
    assert many.follow(distances) == []  # of 15 edges
    # Without places there is no dependence on them; without spread in motion there is nothing.
    assert np.isnan(relate_motion(motion, runs, np.full((6, 6), np.nan)).dependence)
    still = relate_motion(dict.fromkeys(motion, 0.1), runs, distances)
    assert np.isnan([still.median, still.significant, still.dependence]).all()


def test_the_curve_over_distance_is_of_bins():
    rng = np.random.default_rng(0)
    places = rng.normal(size=(30, 3)).round(1)
    distances = np.linalg.norm(places[:, None] - places, axis=2).round(1)
    relation = Relation(rng.normal(size=(30, 30)), 12, 0.1, 0.1, 0.1)
    curve = np.array(relation.follow(distances))
    assert 10 <= len(curve) <= 20
    # Distances grow, and percentiles lie in order; the middle of all is about the middle of each.
    assert (np.diff(curve[:, 0]) > 0).all()
    assert (np.diff(curve[:, 1:], axis=1) > 0).all()
    assert abs(curve[:, 2]).max() < 1
    assert relation.follow(np.full((30, 30), 2.0)) == []


def test_distances_are_of_centres():
    found = measure_distances(volume_atlas())
    np.testing.assert_allclose(found, [[0, 2, 4], [2, 0, 2], [4, 2, 0]], atol=1e-5)


def test_the_table_and_page_say_it(output):
    table = pd.read_csv(output / "qcfc.tsv", sep="\t")
    assert table["atlas"].tolist() == [f"cubes:{SPACE}"]
    assert table["participants"].tolist() == [len(PEOPLE)]
    page = (output / "quality.html").read_text()
    assert "QC-FC" in page
    assert "across 11 participants" in page
    assert os.path.getsize(output / "quality.html") < 200_000
