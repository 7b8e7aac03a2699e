"""The report: its words and numbers are the atlas's, and nothing of a name is markup."""

import functools
import inspect
import json
import re

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from helpers import mixed_atlas, table
from helpers_cli import run_cli
from helpers_report import HOSTILE, Page, blocks_atlas, cortex_atlas, hostile_atlas

import atlasinit as ai
from atlasinit.figures import atlas_views
from atlasinit.figures.standardising import standardise
from atlasinit.measures import boundary_width, location_entropy, overlap, parcel_sizes
from atlasinit.report.charts import WIDTH, band
from atlasinit.report.extraction import connectivity, extract
from atlasinit.streaming import stream
from atlasinit.support.formatting import format_number


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Draw small pictures, for speed."""
    views = functools.partial(atlas_views, width=160, size=80)
    monkeypatch.setattr("atlasinit.report.pictures.atlas_views", views)


def page_of(*arguments, **options):
    return Page(ai.generate_report(*arguments, **options).html)


def test_the_page_says_what_the_atlas_is():
    atlas = ai.load_atlas("desikan-killiany", space="fsaverage5")
    page = page_of(atlas)
    facts = dict(zip(page.texts("dt"), page.texts("dd"), strict=True))
    stated = atlas.provenance
    assert facts["Name"] == "desikan-killiany"
    assert facts["Space"] == "fsaverage5"
    assert facts["Source"] == stated.source
    assert facts["Licence"] == stated.licence
    assert facts["Citation"] == stated.citation
    assert all(name in facts["Files"] and digest in facts["Files"] for name, digest in stated.files)
    assert page.texts("h1") == ["desikan-killiany"]
    assert "68 parcels on 20484 locations in fsaverage5" in page.text
    assert "Nothing was found" in page.text
    captions = page.texts("figcaption")
    assert captions[:4] == [
        f"{side} hemisphere, {view}"
        for side, view in (
            ("left", "lateral"), ("left", "medial"), ("right", "medial"), ("right", "lateral")
        )
    ]  # fmt: skip


def test_the_table_has_every_parcel_with_its_measures():
    atlas = cortex_atlas()
    soft = ai.smooth(atlas, fwhm=30)
    page = page_of(soft, values={"thickness": [0.5, np.nan, -2, 3000, 1, 1, 1, 1]})
    columns = page.table()
    assert columns["name"] == list(atlas.table["name"])
    assert columns["compartment"] == list(atlas.table["compartment"])
    assert columns["key"] == [str(key) for key in atlas.table["key"]]
    assert columns["thickness"] == ["0.5", "", "−2", "3\u202f000", "1", "1", "1", "1"]
    numbers = page.numbers()
    areas = [parcel_sizes(m, soft.geometry[c]) for c, m in soft.maps.items()]
    np.testing.assert_allclose(numbers["area, mm²"], np.concatenate(areas))
    widths = [boundary_width(m, soft.geometry[c]) for c, m in soft.maps.items()]
    np.testing.assert_allclose(numbers["boundary, mm"], np.concatenate(widths))
    assert numbers["locations"] == soft.labels["n_locations"].tolist()


def test_smoothing_is_compared():
    atlas = cortex_atlas()
    soft = ai.smooth(atlas, fwhm=30)
    page = page_of(soft, before=atlas)
    [_, before, after] = page.rows("softness-caption")
    assert before[:4] == ["before", "0.000", "0.00", "0"]
    entropy = np.concatenate([location_entropy(m) for m in soft.maps.values()])
    assert after[:2] == ["after", f"{np.nanmean(entropy):.3f}"]
    cosines = [np.triu(overlap(m).toarray(), 1) for m in soft.maps.values()]
    assert int(after[3]) == sum((c > 0).sum() for c in cosines)
    highest = max(c.max() for c in cosines)
    assert float(page.rows("pairs-caption")[1][2]) == pytest.approx(highest, abs=5e-4)
    # After is what the first pictures show, and is in no second one.
    assert [h for h in page.texts("h3") if h in ("Before", "After")] == ["Before"]
    assert "Parcels that overlap" not in page.text  # it is what smoothing is for


def test_labels_have_no_entropy_and_no_overlap():
    page = page_of(cortex_atlas())
    assert not {"Overlap", "Soft maps", "Before and after smoothing"} & set(page.texts("h2"))
    assert "entropy, bits" not in page.table()


def test_what_is_worth_a_look_is_said():
    atlas = mixed_atlas()
    atlas = ai.Atlas(
        name=atlas.name, space=atlas.space, maps=atlas.maps, geometry=atlas.geometry,
        labels=atlas.table, provenance=ai.Provenance(source="files", licence="Not stated by X"),
    )  # fmt: skip
    found = ai.generate_report(atlas).findings
    for expected in (
        "without any location; projections are NaN there: L_b",
        "fewer than 5 locations; their means are noisy: L_a",
        "Negative weights in subcortex",
        "No surface to draw: cortex_L, cortex_R",
        "Unknown licence",
        "Unknown citation",
    ):
        assert any(expected in text for text in found), expected


def test_parcels_on_the_medial_wall_are_told_from_empty_ones():
    atlas = ai.Atlas(
        name="a",
        space="fsLR",
        maps={"cortex_L": ai.HardMaps(np.array([0] * 10, np.int32), 2)},
        geometry={"cortex_L": ai.SurfaceMesh(12, vertices=np.arange(10), hemisphere="L")},
        labels=table(["cortex_L"] * 2, names=["kept", "lost"]),
    )
    findings = ai.generate_report(atlas).findings
    assert any("without any location" in text and "lost" in text for text in findings)
    walled = atlas.replace(operation="without_medial_wall(2 labelled vertices lost)")
    findings = ai.generate_report(walled).findings
    assert any("on the medial wall altogether" in t and t.endswith(": lost.") for t in findings)
    assert any(t.startswith("Labelled vertices on the medial wall: 2 ") for t in findings)


def test_overlapping_and_equal_maps_are_found():
    grid = ai.VolumeGrid((4, 4, 4), np.diag([2.0, 2, 2, 1]))
    weights = np.zeros((3, 64), np.float32)
    weights[0, :30], weights[1, :30], weights[2, 25:] = 1, 0.5, 1
    atlas = ai.Atlas(
        name="p",
        space="test",
        maps={"volume": ai.DenseMaps(weights)},
        geometry={"volume": grid},
        labels=table(["volume"] * 3, names=["a", "b", "c"]),
    )
    found = ai.generate_report(atlas).findings
    assert any(
        "Parcels that overlap: 3 pairs, most of all a and b (cosine 1.00)" in t for t in found
    )
    assert any("cannot tell apart: 1 pair, as a and b." in t for t in found)


def test_a_side_that_contradicts_the_coordinates_is_found():
    grid = ai.VolumeGrid(
        (20, 2, 2), np.array([[2.0, 0, 0, -19], [0, 2, 0, 0], [0, 0, 2, 0], [0, 0, 0, 1]])
    )
    labels = np.repeat([0, 1], 40).astype(np.int32)
    rows = table(["volume"] * 2, names=["one", "two"])
    for sides, wrong in ((["L", "R"], False), (["R", "L"], True)):
        columns = {c: rows[c] for c in rows.columns} | {"hemisphere": sides}
        atlas = ai.Atlas(
            name="v", space="test", maps={"volume": ai.HardMaps(labels, 2)},
            geometry={"volume": grid}, labels=ai.LabelTable(columns),
        )  # fmt: skip
        found = [t for t in ai.generate_report(atlas).findings if "other hemisphere" in t]
        assert bool(found) == wrong


def test_a_name_that_contradicts_the_coordinates_is_found():
    affine = np.array([[2.0, 0, 0, -40], [0, 2, 0, 0], [0, 0, 2, 0], [0, 0, 0, 1]])
    labels = table(["volume"] * 3, names=["A_L", "B_R", "C_L"], hemisphere=["L", "L", "L"])
    atlas = ai.Atlas(
        name="p",
        space="test",
        maps={"volume": ai.HardMaps(np.repeat(np.arange(3, dtype=np.int32), 4), 3)},
        geometry={"volume": ai.VolumeGrid((12, 1, 1), affine)},
        labels=labels,
    )
    found = ai.generate_report(atlas).findings
    assert any(t.endswith("in the other hemisphere than their name says: B_R.") for t in found)
    assert not any("other hemisphere than they state" in t for t in found)


def bold(atlas, n_time, seed=0):
    return np.random.default_rng(seed).normal(size=(atlas.n_locations, n_time)).astype(np.float32)


def test_series_are_projected_and_their_gaps_told():
    atlas = blocks_atlas()
    data = bold(atlas, 30)
    labels = np.asarray(atlas.maps["volume"].labels)
    first, second, third = (np.flatnonzero(labels == k) for k in range(3))
    data[first[0], 3] = np.nan
    data[second] = 7.0
    data[third[: len(third) // 4], :] = np.inf
    report = ai.generate_report(atlas, data=data, t_r=2.0)
    page = Page(report.html)
    assert "30 time points, one every 2.0 s" in page.text
    assert "58 s" in page.text
    names = atlas.table["name"]
    by_kind = {
        kind: next(t for t in report.findings if kind in t) for kind in ("NaN", "never change")
    }
    assert names[0] in by_kind["NaN"]
    assert names[1] in by_kind["never change"]
    observed = page.numbers()["observed, %"]
    assert observed[2] == pytest.approx(100 * (1 - (len(third) // 4) / len(third)))
    assert observed[1] == 100
    sd = page.numbers()["sd"]
    expected = np.asarray(ai.project(atlas, data))[5].std(ddof=1)
    assert sd[5] == pytest.approx(expected, rel=1e-5)


def test_extraction_is_what_project_gives_in_chunks(monkeypatch):
    atlas = blocks_atlas()
    data = bold(atlas, 23)
    short = functools.partial(stream, chunk_bytes=4 * atlas.n_locations * 5)
    monkeypatch.setattr("atlasinit.report.extraction.stream", short)
    found = extract(atlas, data, reduction="mean")
    np.testing.assert_allclose(
        found.series.T, np.asarray(ai.project(atlas, data)), rtol=1e-5, atol=1e-6
    )
    assert found.observed.tolist() == [1.0] * atlas.n_parcels
    assert found.flat.tolist() == [0.0] * atlas.n_parcels


@pytest.mark.parametrize("name", ["x.nii", "x.nii.gz"])
def test_locations_that_never_change_are_found_in_files(tmp_path, name):
    values = np.arange(8).reshape(2, 2, 2) // 4 + 1
    atlas = ai.load_atlas(nib.Nifti1Image(values.astype(np.int16), np.eye(4)), space="x")
    data = np.random.default_rng(0).integers(1, 99, (2, 2, 2, 5)).astype(np.int16)
    data[0, 0] = 7
    nib.save(nib.Nifti1Image(data, np.eye(4)), tmp_path / name)
    found = extract(atlas, tmp_path / name, reduction="mean")
    assert found.flat.tolist() == [0.5, 0.0]
    assert found.observed.tolist() == [1.0, 1.0]


def test_connectivity_is_the_correlation():
    series = np.random.default_rng(1).normal(size=(50, 6)) * 1e3 + 1e5
    np.testing.assert_allclose(connectivity(series), np.corrcoef(series.T), atol=1e-12)
    series[:, 2] = 0.1
    series[4, 3] = np.nan
    found = connectivity(series)
    assert np.isnan(found[2]).all()
    assert np.isnan(found[:, 3]).all()
    kept = [0, 1, 4, 5]
    np.testing.assert_allclose(
        found[np.ix_(kept, kept)], np.corrcoef(series[:, kept].T), atol=1e-12
    )
    np.testing.assert_allclose(standardise(series)[:, 0].std(ddof=1), 1)


@pytest.mark.parametrize("n_time", [1, 2, 3])
def test_a_single_time_point_is_a_map_and_few_have_no_correlation(n_time):
    atlas = blocks_atlas()
    page = page_of(atlas, data=bold(atlas, n_time))
    titles = page.texts("h2")
    assert ("Values of the parcels" in titles) == (n_time == 1)
    assert ("Time series" in titles) == (n_time > 1)
    assert ("needs at least 3 time points" in page.text) == (n_time == 2)
    if n_time == 1:
        expected = np.asarray(ai.project(atlas, bold(atlas, 1)))[:, 0]
        np.testing.assert_allclose(page.numbers()["data"], expected, rtol=1e-5)


def test_nothing_of_a_name_is_markup():
    atlas = hostile_atlas()
    report = ai.generate_report(
        ai.smooth(atlas, fwhm=20), before=atlas, title=HOSTILE, values={HOSTILE: np.ones(8)}
    )
    page = Page(report.html)
    assert page.count("script") == 1
    assert not page.handlers
    assert page.texts("h1") == [HOSTILE]
    assert HOSTILE in page.texts("dd")
    assert page.table()["name"] == list(atlas.table["name"])
    assert any(HOSTILE in alt for alt in page.attributes("img", "alt"))
    frame = Page(report._repr_html_())
    assert frame.attributes("iframe", "title") == [HOSTILE]
    assert frame.attributes("iframe", "srcdoc") == [report.html]


def test_a_page_points_to_nothing_outside_itself():
    report = ai.generate_report(cortex_atlas(), series=np.random.default_rng(0).normal(size=(9, 8)))
    page = Page(report.html)
    assert page.attributes("script", "src") == []
    assert all(a.startswith("data:") for a in page.attributes("img", "src"))
    assert all(a.startswith("#") for a in page.attributes("a", "href"))
    assert page.attributes("link", "href") == ["data:,"]
    assert not re.search(
        r"url\(|@import|https?://", re.sub(r"<(dd|code)>.*?</\1>", "", report.html)
    )
    # Every place that a link of the page names is there, and every image is described.
    assert {a[1:] for a in page.attributes("a", "href")} <= set(page.ids)
    assert len(page.ids) == len(set(page.ids))
    described = [a for a in page.attributes("img", "alt") if a]
    assert len(described) == page.count("img") - len(page.attributes("img", "data-src"))


def test_the_same_atlas_has_the_same_page():
    assert ai.generate_report(cortex_atlas()) == ai.generate_report(cortex_atlas())


def test_saving_replaces_only_when_asked(tmp_path):
    report = ai.generate_report(blocks_atlas(), title="t")
    path = report.save(tmp_path / "r.html")
    assert path.read_text(encoding="utf-8") == report.html
    with pytest.raises(ai.AtlasFileError, match=r"r\.html: exists already; pass overwrite=True"):
        report.save(path)
    assert report.save(str(path), overwrite=True) == path
    with pytest.raises(ValueError, match=r"`path` should end in \.html, got 'r\.pdf'"):
        report.save(tmp_path / "r.pdf")
    with pytest.raises(ai.AtlasFileError, match="its folder does not exist"):
        report.save(tmp_path / "none" / "r.html")
    (tmp_path / "folder.html").mkdir()
    with pytest.raises(ai.AtlasFileError, match="is a folder"):
        report.save(tmp_path / "folder.html", overwrite=True)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["folder.html", "r.html"]


def test_opening_writes_a_page_for_the_browser(monkeypatch):
    opened = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    report = ai.generate_report(blocks_atlas())
    path = report.open_in_browser()
    assert opened == [path.as_uri()]
    assert path.read_text(encoding="utf-8") == report.html


MISTAKES = {
    "both": ({"data": np.ones((512, 2)), "series": np.ones((2, 8))}, "both given"),
    "series": ({"series": np.ones((5, 3))}, r"\(time, 8 parcels\), got shape \(5, 3\)"),
    "no time": ({"series": np.ones((0, 8))}, r"\(time, 8 parcels\), got shape \(0, 8\)"),
    "values": ({"values": {"x": np.ones(3)}}, r"`values\['x'\]` should be \(8 parcels,\).*got shape \(3,\)"),
    "t_r": ({"t_r": 0.0}, "positive number of seconds, got 0.0"),
    "data": ({"data": np.ones((5, 3), np.float32)}, r"512 locations, got shape \(5, 3\)"),
    "palette": ({"palette": "tab20"}, '`palette` should be "own", "network" or "safe"'),
    "before": ({"before": cortex_atlas()}, "`before` should have the parcels and locations"),
}  # fmt: skip


@pytest.mark.parametrize("case", list(MISTAKES))
def test_mistakes_are_told(case):
    options, message = MISTAKES[case]
    with pytest.raises(ValueError, match=message):
        ai.generate_report(blocks_atlas(), **options)


def test_empty_compartments_and_parcels_without_values():
    atlas = mixed_atlas()
    page = page_of(atlas.select(hemisphere="L"), values={"v": [np.nan] * 3})
    assert page.table()["name"] == ["L_a", "L_b", "L_c"]
    [_, *rows] = page.rows("compartments-caption")
    assert [row[1] for row in rows] == ["3", "0", "0"]
    assert rows[1][3] == "0.0"


@pytest.mark.sweep
def test_a_thousand_parcels_stay_below_five_megabytes(monkeypatch):
    monkeypatch.undo()  # pictures of full size
    n_parcels = 1000
    atlas = cortex_atlas(n_parcels // 2, level=4)
    series = np.random.default_rng(0).normal(size=(1200, n_parcels))
    soft = ai.smooth(atlas, fwhm=12)
    report = ai.generate_report(soft, before=atlas, series=series, values={"v": series[0]})
    assert len(report.html.encode()) < 5e6
    assert len(Page(report.html).table()["name"]) == n_parcels


def test_masker_reports_its_atlas_and_the_series_it_is_given():
    atlas = blocks_atlas()
    grid = atlas.geometry["volume"]
    image = nib.Nifti1Image(grid.put(bold(atlas, 12)), grid.affine)
    masker = ai.AtlasMasker(atlas, t_r=1.5).fit()
    assert "Time series" not in Page(masker.generate_report().html).texts("h2")
    report = masker.generate_report(image, title="mine")
    assert report.title == "mine"
    assert "12 time points, one every 1.5 s" in Page(report.html).text
    series = masker.transform(image)
    assert masker.generate_report(series=series, title="mine") == report
    assert "Time series" not in Page(masker.generate_report().html).texts("h2")
    with pytest.raises(ValueError, match="both given"):
        masker.generate_report(image, series=series)
    with pytest.raises(ValueError, match="several runs; ask for the report of one"):
        masker.generate_report([image, image])


@pytest.mark.parametrize(
    ("options", "extra", "told"),
    [
        (
            {},
            {},
            ["Confounds none", "Sample mask none; all", "Standardising none", "Smoothing none"],
        ),
        ({"standardize": "psc", "detrend": True}, {}, ["Standardising psc", "Detrending linear"]),
        (
            {"standardize": "zscore_sample", "high_pass": 0.05, "low_pass": 0.2},
            {},
            ["Standardising zscore_sample", "Frequencies kept above 0.05 Hz and below 0.2 Hz"],
        ),
        ({"smoothing_fwhm": 4.0}, {}, ["Smoothing 4 mm FWHM"]),
        (
            {"reduction": "median", "missing": "omit", "min_coverage": 0.5},
            {},
            ["Reduction median", "Missing data omit", "Least coverage 50 %"],
        ),
        (
            {},
            {"confounds": pd.DataFrame({"rot_x": np.arange(40.0), "csf": np.arange(40.0) ** 2})},
            ["Confounds 2 confounds regressed out: rot_x, csf"],
        ),
        ({}, {"confounds": [np.arange(40.0)]}, ["Confounds 1 confound regressed out"]),
        (
            {},
            {"sample_mask": np.arange(40) != 4},
            ["Sample mask 39 of 40 time points kept", "39 time points, one every 1.5 s"],
        ),
        ({}, {"sample_mask": [np.r_[0:3, 6:12]]}, ["Sample mask 9 time points kept"]),
    ],
)
def test_masker_tells_how_its_series_were_made(options, extra, told):
    atlas = blocks_atlas()
    masker = ai.AtlasMasker(atlas, t_r=1.5, **options).fit()
    text = Page(masker.generate_report(bold(atlas, 40), **extra).html).text
    for words in told:  # a heading and its text follow each other without a blank
        assert words.replace(" ", "") in "".join(text.split())


def facts(html):
    """Return the text of a page without its blanks, in which a heading and its text meet."""
    return "".join(Page(html).text.split())


@pytest.mark.parametrize(
    ("make", "options", "told"),
    [
        (lambda image, path: path, {}, ["Data x.nii", "Time step 0.8 s, as the file states"]),
        (lambda image, path: str(path), {"t_r": 2.5}, ["Time step 2.5 s, as given"]),
        (lambda image, path: image, {}, ["Data Nifti1Image, in memory", "0.8 s, as the file"]),
        (
            lambda image, path: {"volume": path},
            {"reduction": "median"},
            ["Data x.nii", "Reduction median", "0.8 s, as the file"],
        ),
        (
            lambda image, path: image.get_fdata().reshape(-1, 5),
            {},
            ["ndarray, in memory", "not stated; time points are counted"],
        ),
    ],
    ids=["path", "given", "image", "mapping", "array"],
)
def test_the_page_tells_how_series_of_data_were_made(make, options, told, tmp_path):
    values = np.arange(8).reshape(2, 2, 2) // 4 + 1
    atlas = ai.load_atlas(nib.Nifti1Image(values.astype(np.int16), np.eye(4)), space="x")
    data = np.random.default_rng(0).normal(size=(2, 2, 2, 5)).astype(np.float32)
    image = nib.Nifti1Image(data, np.eye(4))
    image.header.set_zooms((1, 1, 1, 800))
    image.header.set_xyzt_units("mm", "msec")
    nib.save(image, tmp_path / "x.nii")
    html = ai.generate_report(atlas, data=make(image, tmp_path / "x.nii"), **options).html
    for words in [*told, "Confounds, filters, standardising none here", "all time points kept"]:
        assert words.replace(" ", "") in facts(html)
    # Also of a single time point, which is a map.
    one = ai.generate_report(atlas, data=data[..., :1].reshape(8, 1)).html
    assert "Reductionmean" in facts(one)


def test_series_that_nobody_told_of_are_said_to_be_so():
    atlas, series = cortex_atlas(), np.random.default_rng(0).normal(size=(9, 8))
    assert "Madebynotstated" in facts(ai.generate_report(atlas, series=series).html)
    told = facts(ai.generate_report(atlas, series=series, details={"Filter": "0.1 Hz"}).html)
    assert "Filter0.1Hz" in told
    assert "Madeby" not in told


@pytest.mark.parametrize("standardize", [None, "zscore_sample"])
def test_the_masker_finds_series_that_never_change(standardize):
    atlas = blocks_atlas()
    data = bold(atlas, 12)
    labels = np.asarray(atlas.maps["volume"].labels)
    data[labels == 2], data[labels == 4] = 0, 6
    masker = ai.AtlasMasker(atlas, standardize=standardize).fit()
    findings = " ".join(masker.generate_report(data).findings)
    names = atlas.table["name"]
    assert f"{names[2]}" in findings
    assert f"{names[4]}" in findings


def test_a_surface_that_is_seen_from_its_edge_is_drawn():
    grid = np.stack(np.meshgrid([0.0], np.arange(4.0), np.arange(3.0), indexing="ij"), -1)
    faces = np.array([[0, 3, 1], [1, 3, 4]])
    mesh = ai.SurfaceMesh(12, hemisphere="L", faces=faces, anatomical=grid.reshape(-1, 3))
    atlas = ai.Atlas(
        name="flat",
        space="test",
        maps={"cortex_L": ai.HardMaps(np.zeros(12, np.int32), 1)},
        geometry={"cortex_L": mesh},
        labels=table(["cortex_L"]),
    )
    ai.generate_report(atlas)
    ai.plot_atlas(atlas, views=["dorsal", "lateral"])


def test_another_atlas_is_put_beside():
    atlas, other = cortex_atlas(), cortex_atlas(6, name="other & more")
    html = ai.generate_report(atlas, compare=other).html
    page, found = Page(html), ai.compare(atlas, other)
    assert "Beside other & more" in page.texts("h2")
    rows = page.rows("beside-caption")[1:]
    assert [row[0] for row in rows] == list(found.parcels)
    table = found.table
    assert [row[1] for row in rows] == table["largest"].tolist()
    assert [row[3] for row in rows] == table["match"].tolist()
    np.testing.assert_allclose([float(row[4]) for row in rows], table["dice"], atol=6e-4)
    np.testing.assert_allclose([float(row[2]) for row in rows], 100 * table["share"], atol=0.06)
    for number in (found.mean_dice, found.rand, found.nmi):
        assert f"{number:.3f}" in page.text
    with pytest.raises(TypeError, match="`compare` should be an Atlas, got str"):
        inspect.unwrap(ai.generate_report)(atlas, compare="yeo2011")
    with pytest.raises(ValueError, match="should have a compartment of 'cortex'"):
        ai.generate_report(atlas, compare=blocks_atlas())


def test_time_points_that_were_left_out_leave_a_gap_in_time():
    atlas, series = cortex_atlas(), np.random.default_rng(0).normal(size=(4, 8))
    page = ai.generate_report(atlas, series=series, numbers=[0, 1, 2, 30], t_r=2.0).html
    assert ">60 s<" in page
    for wrong in ([0, 1, 2], [0, 2, 1, 3], [0.0, 1, 2, 3]):
        with pytest.raises(ValueError, match="`numbers` should be 4 ascending whole numbers"):
            ai.generate_report(atlas, series=series, numbers=wrong)


@pytest.mark.parametrize(
    ("n_time", "labels"), [(200, ["0", "50", "100", "149", "199"]), (3, ["0", "1", "2"])]
)
def test_an_axis_that_counts_time_points_has_whole_numbers(n_time, labels):
    series = np.random.default_rng(0).normal(size=(n_time, 8))
    drawn = band(series, np.arange(n_time, dtype=float), unit="")
    assert [text for _, text in drawn.ticks] == labels
    np.testing.assert_allclose(
        [x for x, _ in drawn.ticks], np.array(labels, float) / (n_time - 1) * WIDTH, atol=0.051
    )


def test_the_command_writes_a_page(capsys, tmp_path):
    values = np.zeros((6, 6, 6), np.int16)
    values[1:3, 1:5, 1:5], values[3:5, 1:5, 1:5] = 1, 2
    nib.save(nib.Nifti1Image(values, np.eye(4)), tmp_path / "dseg.nii.gz")
    data = np.random.default_rng(0).normal(size=(6, 6, 6, 7)).astype(np.float32)
    nib.save(nib.Nifti1Image(data, np.eye(4)), tmp_path / "bold.nii.gz")
    out = tmp_path / "r.html"
    command = [
        "report",
        tmp_path / "dseg.nii.gz",
        "--space",
        "test",
        "-d",
        tmp_path / "bold.nii.gz",
        "-o",
        out,
    ]
    status, shown, errors = run_cli(capsys, *command, "--fwhm", 2, "--t-r", 0.8, "--json")
    assert (status, errors) == (0, "")
    told = json.loads(shown)
    assert told["files"] == [str(out)]
    assert any("Unknown licence" in text for text in told["findings"])
    page = Page(out.read_text(encoding="utf-8"))
    assert "7 time points, one every 0.8 s" in page.text
    assert "Before and after smoothing" in page.texts("h2")
    status, shown, errors = run_cli(capsys, *command)
    assert (status, shown) == (2, "")
    assert "exists already" in errors
    status, shown, errors = run_cli(capsys, *command, "--overwrite", "--title", "T & C")
    assert status == 0
    assert shown == f"{out}\n"
    assert errors.count("atlasinit: worth a look: ") == len(told["findings"])
    assert Page(out.read_text(encoding="utf-8")).texts("h1") == ["T & C"]
    status, shown, errors = run_cli(capsys, *command[:-1], tmp_path / "r.pdf")
    assert status == 2
    assert "should end in .html" in errors
    assert "Example: atlasinit report" in run_cli(capsys, "report", "--help")[1]


def test_cifti_series_of_cortex_and_subcortex(tmp_path):
    from helpers_surfaces import brain_atlas

    atlas = brain_atlas()
    page = page_of(atlas, data=bold(atlas, 6))
    assert page.texts("h1") == ["mixed é <&>"]
    assert [row[0] for row in page.rows("compartments-caption")[1:]] == list(atlas.compartments)
    assert "6 time points" in page.text
    assert {"x", "y", "z"} == {
        caption[0] for caption in page.texts("figcaption") if "mm" in caption and "=" in caption
    }


@pytest.mark.parametrize(
    ("value", "form", "text"),
    [
        (1.23456, ".3g", "1.23"),
        (-1234.5, ".3g", "−1\u202f234"),
        (-0.04, ".1f", "0.0"),
        (float("nan"), ".3g", "–"),
        (2.5e-9, ".3g", "2.5e−09"),
        (12, "d", "12"),
    ],
)
def test_numbers_read_well(value, form, text):
    assert format_number(value, form) == text


def test_weights_of_nan_are_told_and_leave_the_rest():
    grid = ai.VolumeGrid((4, 4, 4), np.diag([2.0, 2, 2, 1]))
    weights = np.zeros((2, 64), np.float32)
    weights[0, :30], weights[1, 40:], weights[1, 50] = 1, 0.5, np.nan
    atlas = ai.Atlas(
        name="n",
        space="test",
        maps={"volume": ai.DenseMaps(weights)},
        geometry={"volume": grid},
        labels=table(["volume"] * 2, names=["a", "b"]),
    )
    report = ai.generate_report(atlas)
    assert "NaN among the weights of volume." in report.findings
    columns = Page(report.html).table()
    assert columns["volume, mm³"] == ["240", ""]
    assert columns["entropy, bits"] == ["0.000", ""]


def test_an_atlas_without_a_parcel_is_a_page_too():
    atlas = ai.Atlas(
        name="none",
        space="test",
        maps={"volume": ai.HardMaps(np.full(8, -1, np.int32), 0)},
        geometry={"volume": ai.VolumeGrid((2, 2, 2), np.eye(4))},
        labels=table([]),
    )
    page = page_of(atlas)
    assert "0 parcels on 8 locations" in page.text
    assert page.table()["name"] == []


def test_series_that_never_change_are_findings_without_their_data():
    atlas = cortex_atlas()
    series = np.random.default_rng(0).normal(size=(12, 8))
    series[:, 1], series[:, 3], series[4, 5] = 0, 7.1, np.nan
    names = list(atlas.table["name"])
    found = [
        f for f in ai.generate_report(atlas, series=series).findings if f.startswith("Parcels")
    ]
    assert found == [
        f"Parcels with NaN in their series: {names[5]}.",
        f"Parcels with 0 at all times, as outside of the field of view: {names[1]}.",
        f"Parcels whose series never changes: {names[3]}.",
    ]


def test_numbers_of_a_column_align_by_their_points():
    values = [0.5, np.nan, -2, 3000, 0.125, 1, 1, 1]
    page = ai.generate_report(cortex_atlas(), values={"measure": values}).html
    # As wide as "0.125" behind the point: a space for the point, and one for each digit.
    point, digit = "\u2008", "\u2007"
    for text in (f"0.5{digit * 2}<", f"\N{MINUS SIGN}2{point}{digit * 3}<", "0.125<"):
        assert f">{text}" in page
