"""All series and connectomes as Parquet: the same numbers as the tables, in any reader."""

import sys

import numpy as np
import pandas as pd
import pytest
from helpers_extraction import SPACE, make_dataset, make_run, surface_atlas, volume_atlas

import atlasinit as ai
from atlasinit.extraction.parquet import write_parquet
from atlasinit.extraction.runs import Run

pytest.importorskip("pyarrow")

KINDS = ["correlation", "covariance"]
SERIES = f"space-{SPACE}_atlas-cubes_res-2_stat-mean_timeseries"
CORRELATION = f"space-{SPACE}_atlas-cubes_res-2_stat-pearsoncorrelation_relmat"
COVARIANCE = f"space-{SPACE}_atlas-cubes_res-2_stat-covariance_relmat"
COVERAGE = f"space-{SPACE}_atlas-cubes_res-2_stat-coverage_bold"
RUNS = ("sub-01_task-rest_run-1", "sub-02_ses-a_task-rest")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A person with a run, and one with a session, whose run has another length and time."""
    root = tmp_path_factory.mktemp("fmriprep") / "derivatives"
    make_dataset(root, ("01",), n_time=10)
    func = root / "sub-02" / "ses-a" / "func"
    make_run(func, RUNS[1], 1, n_time=12)
    next(func.glob("*preproc_bold.json")).write_text('{"RepetitionTime": 0.8}')
    return root


@pytest.fixture(scope="module")
def output(root, tmp_path_factory):
    output = tmp_path_factory.mktemp("parcels") / "out"
    options = {"connectome": KINDS, "fd_threshold": 0.5, "jobs": 1}
    done = ai.extract(root, [volume_atlas(), surface_atlas()], output, parquet=True, **options)
    assert done.failures == {}
    return output


def table(output, run, dataset):
    """Return the TSV file that a file of a dataset is made of."""
    (path,) = (output / run[:6]).rglob(f"{run}_{dataset}.tsv")
    return path


def datasets(output):
    return sorted(path.name for path in (output / "parquet").iterdir())


def test_a_dataset_for_each_atlas_and_kind_of_table(output):
    assert {SERIES, CORRELATION, COVARIANCE, COVERAGE} < {*datasets(output)}
    assert len(datasets(output)) == 8
    for name in datasets(output):
        files = sorted((output / "parquet" / name).rglob("*"))
        assert [path.name for path in files] == [
            "participant_id=sub-01",
            f"{RUNS[0]}.parquet",
            "participant_id=sub-02",
            f"{RUNS[1]}.parquet",
        ]


def read_pandas(folder):
    return pd.read_parquet(folder)


def read_arrow(folder):
    dataset = pytest.importorskip("pyarrow.dataset").dataset(folder, partitioning="hive")
    return dataset.to_table().to_pandas()


def read_polars(folder):
    return pytest.importorskip("polars").read_parquet(folder).to_pandas()


def read_duckdb(folder):
    pattern = f"{folder}/**/*.parquet"
    return pytest.importorskip("duckdb").sql(f"from read_parquet('{pattern}')").df()


READERS = {read.__name__: read for read in (read_pandas, read_arrow, read_polars, read_duckdb)}


@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
def test_readers_see_what_tables_hold(output, read):
    found = read(output / "parquet" / SERIES)
    own = [found[found["name"] == run] for run in RUNS]
    assert sum(map(len, own)) == len(found)
    stated = (("01", None, 2.0), ("02", "a", 0.8))
    for run, part, (sub, ses, t_r) in zip(RUNS, own, stated, strict=True):
        expected = pd.read_csv(table(output, run, SERIES), sep="\t")
        names = list(expected.columns)
        np.testing.assert_array_equal(part[names].to_numpy(), expected.to_numpy(np.float32))
        assert set(part["sub"]) == {sub}
        assert set(part["participant_id"]) == {f"sub-{sub}"}
        assert set(part["atlas"]) == {"cubes"}
        assert set(part["ses"]) == {ses} if ses else part["ses"].isna().all()
        assert set(part["repetition_time"]) == {t_r}
        # The volume that moved is left out, and the others keep their numbers.
        n_time = len(part) + 1
        assert part["volume"].tolist() == [*np.delete(np.arange(n_time), 5)]


@pytest.mark.parametrize(("dataset", "diagonal"), [(CORRELATION, False), (COVARIANCE, True)])
def test_connectomes_are_upper_triangles_with_both_names(output, dataset, diagonal):
    found = pd.read_parquet(output / "parquet" / dataset, columns=["parcel_1", "parcel_2", "value"])
    expected = []
    for run in RUNS:
        matrix = pd.read_csv(table(output, run, dataset), sep="\t", index_col="name")
        names = list(matrix.columns)
        pairs = [(a, b) for i, a in enumerate(names) for b in names[i + (not diagonal) :]]
        expected += [(a, b, np.float32(matrix.loc[a, b])) for a, b in pairs]
    assert [tuple(row) for row in found.itertuples(index=False)] == expected


def test_coverage_has_a_row_a_run(output):
    found = pd.read_parquet(output / "parquet" / COVERAGE).set_index("name")
    for run in RUNS:
        share = pd.read_csv(table(output, run, COVERAGE), sep="\t", index_col="name")["coverage"]
        np.testing.assert_allclose(found.loc[run, list(share.index)].astype(float), share)


def test_parcels_without_data_are_nan_and_not_null(root, tmp_path):
    # Less than all of the first two slabs has data.
    ai.extract(root, volume_atlas(), tmp_path / "out", jobs=1, min_coverage=1.0, parquet=True)
    arrow = pytest.importorskip("pyarrow.dataset")
    found = arrow.dataset(tmp_path / "out" / "parquet" / SERIES, partitioning="hive").to_table()
    assert found["slab 0"].null_count == 0
    assert np.isnan(found["slab 0"].to_numpy()).all()
    assert np.isfinite(found["slab 2"].to_numpy()).all()


def test_it_may_be_asked_for_later_and_then_stays(root, tmp_path):
    output, given = tmp_path / "out", {"jobs": 1, "connectome": ()}
    ai.extract(root, volume_atlas(), output, **given, participants="01")
    made = {path: path.stat().st_mtime_ns for path in (output / "sub-01").rglob("*.*")}
    ai.extract(root, volume_atlas(), output, **given, participants="01", parquet=True)
    # Tables are converted, and not made again.
    assert {path: path.stat().st_mtime_ns for path in (output / "sub-01").rglob("*.*")} == made
    assert datasets(output) == [COVERAGE, SERIES]
    done = ai.extract(root, volume_atlas(), output, **given)
    assert (done.count("done"), done.count("skipped")) == (1, 1)
    assert set(pd.read_parquet(output / "parquet" / SERIES)["name"]) == {*RUNS}
    # What was cut off is made anew.
    lost = next((output / "parquet" / SERIES).rglob("sub-02*.parquet"))
    whole = lost.read_bytes()
    lost.write_bytes(whole[:9])
    assert ai.extract(root, volume_atlas(), output, **given).count("done") == 1
    assert lost.read_bytes() == whole


def test_parcels_that_are_called_as_columns(root, tmp_path):
    atlas = ai.rename_parcels(volume_atlas(), {"slab 1": "Run"})
    with pytest.raises(ai.ArgumentError, match="columns of its tables: 'Run'; rename them"):
        ai.extract(root, atlas, tmp_path / "out", jobs=1, parquet=True)
    assert not (tmp_path / "out").exists()
    assert ai.extract(root, atlas, tmp_path / "out", jobs=1).failures == {}


def test_pyarrow_that_is_not_there_is_said_first(root, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ai.ArgumentError, match=r"needs pyarrow; .*atlasinit\[scale\]"):
        ai.extract(root, volume_atlas(), tmp_path / "out", jobs=1, parquet=True)
    assert not (tmp_path / "out").exists()


def test_a_sidecar_of_another_length_is_told(output, tmp_path):
    series = table(output, RUNS[0], SERIES)
    copy = tmp_path / series.name
    copy.write_bytes(series.read_bytes())
    copy.with_suffix(".json").write_text('{"Volumes": 12, "VolumesDropped": [1]}')
    run = Run({"sub": "01", "task": "rest", "run": "1"}, ())
    with pytest.raises(ai.AtlasFileError, match="has 9 rows, where its sidecar tells of 11 vol"):
        write_parquet(copy, run, tmp_path / "series.parquet")
    assert not (tmp_path / "series.parquet").exists()
