"""The page of all runs: what is far off is named, and what is not is left in peace."""

import json
import re

import numpy as np
import pytest

from atlasinit.extraction.methods import describe_runs
from atlasinit.extraction.quality import build_page
from atlasinit.extraction.state import Ledger, Record


@pytest.fixture
def ledger(tmp_path):
    """An output of twelve runs: one moved, one failed, one parcel lost in a third of them."""
    made = Ledger(tmp_path / "parcels")
    made.open()
    rng = np.random.default_rng(0)
    for i in range(12):
        quality = {
            "volumes": 100,
            "kept": 90,
            "mean_fd": 1.5 if i == 7 else float(rng.uniform(0.1, 0.2)),
            "mean_std_dvars": None,
            "coverage_X": float(rng.uniform(0.95, 1)),
            "tsnr_X": 2.0 if i == 3 else float(rng.uniform(50, 60)),
            "parcels_lost_X": int(i < 4),
            "lost_X": ["<b>pole</b>"] if i < 4 else [],
        }
        made.write(f"sub-{i:02d}", Record("done", {}, {}, quality=quality))
    made.write("sub-99", Record("failed", {}, {}, "truncated & lost"))
    return made


def test_what_is_worth_a_look(ledger):
    page = build_page(ledger)
    assert [text.partition(" ")[0].rstrip(":") for text in page.findings] == [
        "sub-99",
        "sub-07",
        "sub-03",
        "<b>pole</b>",
    ]
    assert "failed: truncated & lost" in page.findings[0]
    assert "mean framewise displacement 1.5 mm" in page.findings[1]
    assert "signal-to-noise of x 2" in page.findings[2]
    assert "in 4 of 12 runs" in page.findings[3]


def test_the_page_shows_all_and_runs_nothing(ledger):
    html = build_page(ledger).html
    assert "12 runs done, 1 failed" in html
    # Names are escaped, and there is no script.
    assert "<b>pole" not in html
    assert "<script" not in html
    rows = re.findall(r'<th scope="row"[^>]*>(sub-\d+)</th>', html)
    assert len(rows) == 12
    assert set(rows[:2]) == {"sub-03", "sub-07"}
    # No chart of what no run states.
    assert html.count("<svg") == 4
    assert "DVARS</figcaption>" not in html


SIDECAR = {
    "Reduction": "mean",
    "SmoothingFWHM": None,
    "MinimumCoverage": 0.5,
    "Confounds": ["trans_x", "rot<i>"],
    "ConfoundStrategy": None,
    "FramewiseDisplacement": "framewise_displacement of the confounds",
    "FDThreshold": 0.4,
    "Detrended": False,
    "Standardized": "zscore_sample",
    "LowPass": None,
    "HighPass": 0.01,
    "RepetitionTime": 2.0,
}


def test_the_page_says_what_was_done_to_the_series(tmp_path):
    made = Ledger(tmp_path / "told")
    made.open()
    steps = (2.0, 2.0, 0.8)
    for i, step in enumerate(steps):
        (made.root / f"sub-{i}.json").write_text(json.dumps(SIDECAR | {"RepetitionTime": step}))
        (made.root / f"sub-{i}_a.json").write_text("[1]")
        sealed = [0, 0, ""]
        files = {f"sub-{i}_a.json": sealed, f"sub-{i}.json": sealed, "gone.json": sealed}
        quality = {"volumes": 100, "kept": 100 - 3 * i}
        made.write(f"sub-{i}", Record("done", {}, files, quality=quality))
    assert describe_runs(made, made.records()) == {
        "Reduction": "mean",
        "Smoothing": "none",
        "Least coverage": "0.5",
        "Confounds": "trans_x, rot<i>",
        "Framewise displacement": "framewise_displacement of the confounds",
        "Framewise displacement up to": "0.4 mm",
        "Detrending": "none",
        "Frequencies kept": "above 0.01 Hz",
        "Standardising": "zscore_sample",
        "Time step": "2 s (2 runs); 0.8 s (1 run)",
        "Volumes dropped": "9 of 300 in 3 runs",
    }
    html = build_page(made).html
    assert "What was done to the series" in html
    assert "rot&lt;i&gt;" in html


def test_of_few_runs_none_is_far_from_the_others(tmp_path):
    made = Ledger(tmp_path / "few")
    made.open()
    for i, moved in enumerate((0.1, 0.1, 9.0)):
        quality = {"volumes": 9, "kept": 9, "mean_fd": moved}
        made.write(f"sub-{i}", Record("done", {}, {}, quality=quality))
    assert build_page(made).findings == ()


def test_a_page_of_nothing(tmp_path):
    made = Ledger(tmp_path / "none")
    made.open()
    page = build_page(made)
    assert page.findings == ()
    assert "no run with numbers" in page.html
