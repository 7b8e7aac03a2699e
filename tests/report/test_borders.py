"""The report on borders that were fitted to data: what moved, and whether new data agree."""

import functools

import numpy as np
import pytest
from helpers_refinement import GEOMETRIES, atlas_of, blocks, series
from helpers_report import Page

import atlasinit as ai
from atlasinit.figures import atlas_views
from atlasinit.refinement import Halves, assess_halves, measure_agreement


@pytest.fixture(scope="module")
def start():
    return atlas_of(GEOMETRIES, {c: blocks(g, shift=1.4) for c, g in GEOMETRIES.items()})


@pytest.fixture(scope="module")
def data():
    return np.concatenate([series(blocks(g), seed=i) for i, g in enumerate(GEOMETRIES.values())])


@pytest.fixture(scope="module")
def fitted(start, data):
    return ai.refine(start, data)


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Draw small pictures, for speed."""
    views = functools.partial(atlas_views, width=160, size=80)
    monkeypatch.setattr("atlasinit.report.pictures.atlas_views", views)


def test_the_page_says_what_moved_and_what_new_data_say(start, fitted, data):
    halves = assess_halves(start, data)
    report = ai.generate_report(fitted, before=start, halves=halves)
    page = Page(report.html)
    rows = {name: row for name, *row in page.rows("borders-caption")[1:]}
    for c in start.compartments:
        before, after = (np.asarray(a.maps[c].labels) for a in (start, fitted))
        moved = int((before != after).sum())
        assert rows[c] == [str(moved), f"{100 * moved / before.size:.1f}", "0", "0"]
    assert f"keep {100 * halves.before:.1f} % of the variance" in page.text
    assert f"{100 * halves.after:.1f} % after" in page.text
    assert {"Before", "What moved"} <= set(page.texts("h3"))
    assert "Before and after smoothing" not in page.text
    assert not [finding for finding in report.findings if "Borders" in finding]
    dice = measure_agreement(start, fitted).dice
    assert page.table()["Dice with before"] == [f"{value:.3f}" for value in dice]


def test_borders_that_tear_or_that_new_data_do_not_confirm_are_findings(start, fitted):
    labels = np.asarray(fitted.maps["volume"].labels).copy()
    labels[0] = 3
    torn = fitted.replace(maps={**fitted.maps, "volume": ai.HardMaps(labels, 4)})
    worse = Halves(0.31, 0.3, measure_agreement(start, fitted), 0.1)
    findings = ai.generate_report(torn, before=start, halves=worse).findings
    assert "Parcels in more pieces than before: volume_4." in findings
    assert any("31.0 % of the variance" in f and "30.0 % after" in f for f in findings)


def test_halves_need_the_atlas_before(start, fitted):
    halves = Halves(0.3, 0.4, measure_agreement(start, fitted), 0.1)
    with pytest.raises(ValueError, match="`halves` says how .*pass it as `before`"):
        ai.generate_report(fitted, halves=halves)
