"""Each file that the package writes is told to be what it is: a walk over all that write."""

import json

import numpy as np
import pandas as pd
import pytest
from helpers import table
from helpers_extraction import SPACE, make_dataset, surface_atlas, volume_atlas

import atlasinit as ai
from atlasinit.io import parcel_matrices, write_table
from atlasinit.io.formats.registry import FORMATS
from atlasinit.io.mask_files import FORMATS as MASKS
from atlasinit.io.tables.exporting import FORMATS as TABLES

# What names and keys become in other programs' files is told by tests of these.
pytestmark = pytest.mark.filterwarnings("ignore::atlasinit.AtlasWarning")
VOLUME = volume_atlas()
SURFACE = surface_atlas()
SURFACE = ai.Atlas(
    name=SURFACE.name,
    space=SURFACE.space,
    maps=SURFACE.maps,
    geometry=SURFACE.geometry,
    # A colour for each, as annotations need.
    labels=table(["cortex_L"] * 2 + ["cortex_R"] * 2, [1, 2, 1, 2], ["L_a", "L_b", "R_a", "R_b"]),
    provenance=SURFACE.provenance,
)
GRIDS = (".nii", ".nii.gz", ".mgz", ".mgh")
PARCELS = {".ptseries.nii": "series of parcels", ".pscalar.nii": "values of parcels"}


def fitting(ending):
    return VOLUME if ending in (*GRIDS, ".npz", ".safetensors") else SURFACE


def values_of(atlas, n=3):
    return np.random.default_rng(0).normal(size=(atlas.n_parcels, n)).astype(np.float32) - 9


def series_of(atlas):
    return pd.DataFrame(values_of(atlas, 20).T, columns=list(atlas.table["name"]))


def correlations(atlas):
    return ai.connectome(series_of(atlas), atlas, kind="correlation")


ATLASES = sorted({ending for form in FORMATS for ending in form.writes})
PAINTED = sorted({ending for form in FORMATS for ending in form.paints})


@pytest.mark.parametrize("ending", ATLASES)
def test_atlases(tmp_path, ending):
    for path in ai.save_atlas(fitting(ending), tmp_path / f"x{ending}"):
        report = ai.check_file(path)
        beside = path.suffix == ".tsv"
        assert (report.kind, report.status) == ("label table" if beside else "atlas", 0) or (
            # No annotation states a space.
            ending == ".annot" and [f.about for f in report.findings if f.level != "note"]
        ), str(report)


@pytest.mark.parametrize("ending", PAINTED)
def test_painted_values(tmp_path, ending):
    atlas = fitting(ending)
    for path in ai.save_values(values_of(atlas), atlas, tmp_path / f"x{ending}", fill=0):
        report = ai.check_file(path)
        assert (report.kind, report.status) == (PARCELS.get(ending, "data"), 0), str(report)


@pytest.mark.parametrize("ending", parcel_matrices.FORMATS)
def test_matrices(tmp_path, ending):
    path = ai.save_matrix(correlations(SURFACE), SURFACE, tmp_path / f"x{ending}")
    report = ai.check_file(path)
    assert (report.kind, report.status, report.findings) == ("connectome", 0, ()), str(report)
    assert report.read["names"] == list(SURFACE.table["name"])
    assert report.read["symmetric"] is True
    assert report.read["range"][1] == pytest.approx(1)


@pytest.mark.parametrize("program", [*TABLES, "bids"])
def test_label_tables(tmp_path, program):
    path = tmp_path / f"x{(*TABLES[program].endings, '.txt')[0] if program != 'bids' else '.tsv'}"
    report = ai.check_file(ai.save_labels(VOLUME, path, format=program))
    kind = "nodes" if program == "brainnet" else "label table"
    assert (report.kind, report.status) == (kind, 0), str(report)
    told = [name.replace("-", " ").replace("_", " ") for name in report.read["names"]]
    assert told[-3:] == ["slab 0", "slab 1", "slab 2"]


@pytest.mark.parametrize("ending", MASKS)
def test_masks(tmp_path, ending):
    atlas = VOLUME if ending in GRIDS else SURFACE
    for files in ai.save_masks(atlas, tmp_path, format=ending).values():
        report = ai.check_file(files[0])
        kind = "vertex list" if ending == ".label" else "atlas"
        assert (report.kind, report.status) == (kind, 0), str(report)


WRITTEN = {
    "series": (series_of(VOLUME), "series of parcels"),
    "values": (pd.Series([0.5, 2.5, 1], index=list(VOLUME.table["name"])), "values of parcels"),
    "values of whole numbers": (
        pd.Series([3.0, 2.0, 1.0], index=list(VOLUME.table["name"])),
        "values of parcels",
    ),
    "measures": (ai.measures.measure_parcels(VOLUME), "values of parcels"),
    "comparison": (ai.compare(VOLUME, VOLUME).table, "values of parcels"),
    "labels": (VOLUME.labels, "label table"),
}


@pytest.mark.parametrize("ending", [".tsv", ".csv"])
@pytest.mark.parametrize("case", WRITTEN)
def test_tables(tmp_path, case, ending):
    frame, kind = WRITTEN[case]
    report = ai.check_file(write_table(frame, tmp_path / f"x{ending}"))
    assert (report.kind, report.status) == (kind, 0), str(report)


def test_pages(tmp_path):
    path = ai.generate_report(VOLUME).save(tmp_path / "x.html")
    report = ai.check_file(path)
    assert (report.kind, report.status) == ("page", 0)
    assert report.stated["made by"].startswith("atlasinit ")
    assert "cubes" in report.read["title"]
    path.write_bytes(path.read_bytes()[:-200])
    assert "will not show all" in str(ai.check_file(path))
    # Of any other page there are no numbers to be read.
    path.write_text("<!doctype html><html></html>")
    assert ai.check_file(path).status == 2


def test_a_dataset(tmp_path):
    ai.save_atlas(VOLUME, tmp_path / "x", format="bids")
    kinds = {".json": "metadata", ".md": "text", ".tsv": "label table", ".gz": "atlas"}
    for path in (tmp_path / "x").rglob("*"):
        if path.is_file():
            report = ai.check_file(path)
            kind = kinds.get(path.suffix, "text")
            assert (report.kind, report.status) == (kind, 0), str(report)
    assert ai.check_file(tmp_path / "x").kind == "atlas"


SUFFIXES = {
    "timeseries.tsv": "series of parcels",
    "timeseries.ptseries.nii": "series of parcels",
    "relmat.tsv": "connectome",
    "relmat.pconn.nii": "connectome",
    "bold.tsv": "values of parcels",
    "dseg.tsv": "label table",
    "dseg.label.gii": "atlas",
    "dseg.nii.gz": "atlas",
    "quality.tsv": "summary of runs",
    ".json": "metadata",
    ".html": "page",
    ".parquet": "Parquet table",
    ".log": "text",
    ".md": "text",
    ".bidsignore": "text",
}


@pytest.fixture(scope="module")
def output(tmp_path_factory):
    folder = tmp_path_factory.mktemp("extraction")
    make_dataset(folder / "in", ("01",))
    ai.extract(folder / "in", [VOLUME, SURFACE], folder / "out", parquet=True, jobs=1)
    return folder / "out"


def test_what_an_extraction_writes(output):
    found = set()
    for path in output.rglob("*"):
        hidden = path.name.startswith(".") and path.name != ".bidsignore"
        if not path.is_file() or hidden or ".atlasinit" in path.parts:
            continue
        report = ai.check_file(path)
        suffix = next(suffix for suffix in SUFFIXES if path.name.endswith(suffix))
        found.add(suffix)
        assert (report.kind, report.status) == (SUFFIXES[suffix], 0), str(report)
    assert found == {*SUFFIXES}
    series = next(output.rglob(f"*{SPACE}*_timeseries.tsv"))
    report = ai.check_file(series)
    assert report.stated == {"statistic": "mean", "time step": "2 s"}
    # A row is lost.
    whole = series.read_text()
    try:
        series.write_text("".join(whole.splitlines(keepends=True)[:-1]))
        assert "59 rows, where its sidecar tells of 60" in str(ai.check_file(series))
        report = ai.check_file(output)
        assert (report.kind, report.status) == ("output", 1)
        assert "gone or changed: sub-01_task-rest_run-1" in str(report)
    finally:
        series.write_text(whole)
    report = ai.check_file(output)
    assert (report.kind, report.status) == ("output", 0), str(report)
    assert (report.read["runs"], report.read["done"]) == (1, 1)


def test_runs_that_failed(output, tmp_path):
    (tmp_path / ".atlasinit" / "runs").mkdir(parents=True)
    assert "no run is done yet" in str(ai.check_file(tmp_path))
    record = json.loads(next((output / ".atlasinit" / "runs").glob("*.json")).read_text())
    record |= {"status": "failed", "files": {}, "reason": "no luck"}
    (tmp_path / ".atlasinit" / "runs" / "sub-9.json").write_text(json.dumps(record))
    assert "runs that failed: sub-9" in str(ai.check_file(tmp_path))
    (tmp_path / "quality.tsv").write_text("run\tstatus\nsub-9\tfailed\n")
    assert "runs that failed: sub-9" in str(ai.check_file(tmp_path / "quality.tsv"))
