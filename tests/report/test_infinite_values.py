"""Infinity is drawn by one rule everywhere: as NaN, which has no value and counts for no scale."""

import functools

import numpy as np
import pytest
from helpers_report import blocks_atlas

import atlasinit as ai
from atlasinit.figures import atlas_views


def pictures(figure):
    shown = [np.asarray(a.images[0].get_array()) for a in figure.axes if a.images]
    ticks = [a.get_ylim() for a in figure.axes]
    texts = [t.get_text() for part in (figure, *figure.subfigs) for t in part.texts]
    assert shown
    assert all(np.isfinite(one).all() for one in shown)
    return [one.tobytes() for one in shown], ticks, texts


VALUES = np.array([1.0, -2, 3, 4, 5, 6, 7, 8])
PAIRS = np.corrcoef(np.random.default_rng(0).normal(size=(8, 20)))
SERIES = np.random.default_rng(1).normal(size=(12, 8))
DRAWN = {
    "plot_atlas": (lambda a, x: pictures(ai.plot_atlas(a, x, slices=1)), VALUES),
    "plot_matrix": (lambda a, x: pictures(ai.plot_matrix(x, a)), PAIRS),
    "plot_series": (lambda a, x: pictures(ai.plot_series(x, a)), SERIES),
    "plot_series, as they are": (
        lambda a, x: pictures(ai.plot_series(x, a, standardize=False)),
        SERIES,
    ),
    "report": (lambda a, x: ai.generate_report(a, values=x).html, VALUES),
    "report of series": (lambda a, x: ai.generate_report(a, series=x).html, SERIES),
    "viewer": (lambda a, x: ai.view_atlas(a, x, units="mm").html, VALUES),
}


@pytest.mark.parametrize("name", DRAWN)
def test_infinity_is_drawn_as_nan(name, monkeypatch):
    small = functools.partial(atlas_views, size=60)
    for place in ("figures.plots", "report.pictures"):
        monkeypatch.setattr(f"atlasinit.{place}.atlas_views", small)
    draw, plain = DRAWN[name]
    atlas = blocks_atlas()
    found = []
    for one, other in ((np.nan, np.nan), (np.inf, -np.inf)):
        values = plain.copy()
        # Beside the diagonal of a matrix.
        values[(2, 5)[: values.ndim]], values[(5, 2)[: values.ndim]] = one, other
        found.append(draw(atlas, values))
    assert found[0] == found[1]
    assert found[0] != draw(atlas, plain)
