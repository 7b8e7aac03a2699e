"""Carpets on demand: of which runs, drawn anew with their series, and linked to by the page."""

import numpy as np
import pytest
from helpers_extraction import make_dataset, volume_atlas
from PIL import Image

import atlasinit as ai

RUNS = ("sub-01_task-rest_run-1", "sub-02_task-rest_run-1")


def pictures(output):
    return {path.name[:6]: path for path in output.glob("sub-*/figures/*_carpet.png")}


def test_times_without_a_value_are_gaps():
    series = np.random.default_rng(0).normal(size=(12, 3))
    expected = series.mean(axis=1)
    series[4] = expected[4] = np.nan
    figure = ai.plot_series(series, volume_atlas(), t_r=2.0)
    carpet, trace = figure.axes[:2]
    np.testing.assert_allclose(trace.lines[0].get_ydata(), expected)
    alpha = np.asarray(carpet.images[0].get_array())[..., 3]
    # The grey behind is seen at the gap alone.
    assert (alpha[:, 4] == 0).all()
    assert (np.delete(alpha, 4, axis=1) > 0).all()


def test_carpets_of_the_runs_that_are_asked_for(tmp_path):
    root, output, given = tmp_path / "in", tmp_path / "out", {"jobs": 1, "fd_threshold": 0.5}
    make_dataset(root, ("01", "02"), cifti=False, n_time=20)
    with pytest.raises(ai.ArgumentError, match=r"no run of 2 is called 'sub-01_task-rest'. Did"):
        ai.extract(root, volume_atlas(), output, **given, carpets="sub-01_task-rest")
    ai.extract(root, volume_atlas(), output, **given)
    assert pictures(output) == {}
    done = ai.extract(root, volume_atlas(), output, **given, carpets=[RUNS[0]])
    assert (done.count("done"), done.count("skipped"), [*pictures(output)]) == (1, 1, ["sub-01"])
    with Image.open(pictures(output)["sub-01"]) as image:
        assert min(image.size) > 200
    place = pictures(output)["sub-01"].relative_to(output).as_posix()
    assert f'href="{place}"' in (output / "quality.html").read_text()
    # It is drawn anew with the series, though not asked for again.
    before = pictures(output)["sub-01"].read_bytes()
    make_dataset(root, ("02", "01"), cifti=False, n_time=24)
    done = ai.extract(root, volume_atlas(), output, **given, participants="01")
    assert done.count("done") == 1
    assert pictures(output)["sub-01"].read_bytes() != before
    assert [*pictures(output)] == ["sub-01"]
