"""Matrices and carpets: every entry in its place, with the name of its parcel and network."""

import matplotlib
import numpy as np
import pandas as pd
import pytest
from helpers import mixed_atlas, table

import atlasinit as ai
from atlasinit.figures.standardising import standardise

NETWORKS = ["Vis", "Default", None, "Vis", "Limbic", "Default"]
# Blocks in the order of first mention, the order of the table within each, no network last.
ROWS = [0, 3, 1, 5, 4, 2]


def line(n=6, **columns):
    """Return an atlas of voxels in a row, a parcel each."""
    grid = ai.VolumeGrid((n, 1, 1), np.eye(4))
    return ai.Atlas(
        name="line",
        space="test",
        maps={"volume": ai.HardMaps(np.arange(n, dtype=np.int32), n)},
        geometry={"volume": grid},
        labels=table(["volume"] * n, names=[f"p{i} $x" for i in range(n)], **columns),
    )


def picture_of(figure):
    [axes] = [a for a in figure.axes if a.images and a.get_label() != "<colorbar>"]
    return axes, np.asarray(axes.images[0].get_array())


def bars_of(axes):
    return [child for child in axes.child_axes if child.patches]


def names_beside(bar, *, across):
    return [t.get_text() for t in (bar.get_xticklabels() if across else bar.get_yticklabels())]


def entries(n=6):
    rng = np.random.default_rng(1)
    matrix = rng.normal(size=(n, n))
    np.fill_diagonal(matrix, 99)
    matrix[1, 2] = np.nan
    return matrix


def colors_of(values, end):
    expected = matplotlib.colormaps["RdBu_r"](np.clip(0.5 + values / end / 2, 0, 1))
    return np.where(np.isnan(values)[..., None], 0, expected)


def test_a_matrix_is_in_blocks_of_networks_with_names():
    atlas, matrix = line(network=NETWORKS), entries()
    figure = ai.plot_matrix(matrix, atlas, units="r", title="a title")
    axes, shown = picture_of(figure)
    # The diagonal does not stretch the scale, and beyond it is grey.
    np.fill_diagonal(matrix, np.nan)
    end = np.nanmax(np.abs(matrix))
    np.testing.assert_allclose(shown, colors_of(matrix[np.ix_(ROWS, ROWS)], end), atol=0.02)
    assert axes.get_title(loc="left") == "a title"
    for bar, across in zip(bars_of(axes), (False, True), strict=True):
        assert names_beside(bar, across=across) == [f"p{r} $x" for r in ROWS]
        assert len(bar.patches) == 4
    # Lines between the four blocks, across and down.
    places = sorted(y[0] for y in (x.get_ydata() for x in axes.lines) if np.ptp(y) == 0)
    assert places == [1.5, 3.5, 4.5]
    assert figure.axes[-1].get_ylabel() == "r"
    # By name, in any order.
    names = list(atlas.table["name"])
    frame = pd.DataFrame(matrix, names, names).sample(frac=1, random_state=0)
    frame = frame[frame.columns[::-1]]
    np.testing.assert_array_equal(picture_of(ai.plot_matrix(frame, atlas))[1], shown)


def test_the_order_of_the_table_has_blocks_of_compartments():
    atlas, matrix = mixed_atlas(), entries(7)
    axes, shown = picture_of(ai.plot_matrix(matrix, atlas, order="table"))
    np.fill_diagonal(matrix, np.nan)
    end = np.nanmax(np.abs(matrix))
    np.testing.assert_allclose(shown, colors_of(matrix, end), atol=0.02)
    assert names_beside(bars_of(axes)[0], across=False) == list(atlas.table["name"])
    assert [round(p.get_height()) for p in bars_of(axes)[0].patches] == [3, 2, 2]


def test_many_parcels_are_named_by_their_blocks():
    n = 200
    atlas = line(n, network=["A"] * 100 + ["B"] * 99 + ["C"])
    axes, _ = picture_of(ai.plot_matrix(np.eye(n), atlas))
    assert names_beside(bars_of(axes)[0], across=False) == ["A", "B", "C"]


NAMES = {
    "letters": "{} " + 60 * "W",
    "short": "p{}",
}


@pytest.mark.parametrize(
    ("n", "n_time", "options", "names"),
    [
        (1, 2, {}, "short"),
        (20, 7, {"order": "table"}, "letters"),
        (200, 301, {"t_r": 0.72, "standardize": False, "units": "a.u."}, "short"),
    ],
)
def test_every_name_and_number_beside_is_whole_and_apart(n, n_time, options, names):
    # Ten networks of a parcel each at the end, of 200 in all.
    networks = [f"net {NAMES[names].format(i - n if i > n - 11 else 0)}" for i in range(n)]
    labels = [NAMES[names].format(i) for i in range(n)]
    atlas = line(n, network=networks).replace(
        labels=table(["volume"] * n, names=labels, network=networks), name="long " * 60
    )
    series = 3e6 + 1e5 * np.random.default_rng(0).normal(size=(n_time, n))
    figures = [ai.plot_series(series, atlas, **options)]
    if 1 < n < 200:
        figures.append(ai.plot_matrix(np.corrcoef(series.T).reshape(n, n), atlas, units="r"))
    for figure in figures:
        figure.canvas.draw()
        box = figure.get_tightbbox()
        assert box.x0 >= 0
        assert box.y0 >= 0
        assert box.x1 <= figure.get_figwidth()
        assert box.y1 <= figure.get_figheight()
        axes, _ = picture_of(figure)
        for bar, across in zip(bars_of(axes), (False, True), strict=False):
            ticks = bar.get_xticklabels() if across else bar.get_yticklabels()
            assert len(ticks) == (n if n < 200 else len(set(networks)))
            ends = [t.get_window_extent() for t in ticks]
            lows, highs = np.sort([e.intervalx if across else e.intervaly for e in ends], axis=0).T
            assert (np.subtract(lows[1:], highs[:-1]) > -2.5).all()
    times = [t.get_text() for t in picture_of(figures[0])[0].get_xticklabels()]
    assert all(t.strip("\N{MINUS SIGN}").isdigit() for t in times if "t_r" not in options)


@pytest.mark.parametrize(("diagonal", "said"), [(0.5, None), (99.0, "99"), (np.nan, None)])
def test_a_diagonal_beyond_the_scale_is_grey_and_said(diagonal, said):
    matrix = np.clip(entries(), -1, 1)
    np.fill_diagonal(matrix, diagonal)
    figure = ai.plot_matrix(matrix, line(network=NETWORKS))
    _, shown = picture_of(figure)
    on = np.eye(6, dtype=bool)
    assert (shown[on][:, 3] == 0).all() == (diagonal != 0.5)
    np.testing.assert_allclose(shown[~on], colors_of(matrix[np.ix_(ROWS, ROWS)], 1)[~on], atol=0.02)
    expected = [f"diagonal, {said},\nbeyond: grey"] if said else []
    assert [t.get_text() for t in figure.texts] == expected


def test_a_diagonal_of_many_values_is_said_by_its_ends():
    matrix = np.diag(np.arange(6.0) + 1) + 0.1
    figure = ai.plot_matrix(matrix, line(), vmax=3)
    assert [t.get_text() for t in figure.texts] == ["diagonal, 1.1 to 6.1,\nbeyond: grey"]


@pytest.mark.parametrize("n", [1, 2])
def test_small_matrices_are_drawn(n, tmp_path):
    figure = ai.plot_matrix(np.full((n, n), np.nan), line(n))
    figure.savefig(tmp_path / "m.png", dpi=30)
    assert not picture_of(figure)[1].any()


def test_a_carpet_has_a_row_a_parcel_standardised():
    atlas = line(network=NETWORKS)
    series = np.random.default_rng(0).normal(3, 2, size=(30, 6))
    series[:, 4] = 1.0
    series[3, 0] = 90.0
    figure = ai.plot_series(series, atlas, t_r=2)
    axes, shown = picture_of(figure)
    z = (series - series.mean(axis=0)) / np.where(np.arange(6) == 4, np.nan, series.std(0, ddof=1))
    np.testing.assert_allclose(shown, colors_of(z.T[ROWS], 2.5), atol=0.02)
    assert names_beside(bars_of(axes)[0], across=False) == [f"p{r} $x" for r in ROWS]
    assert axes.images[0].get_extent() == [-1.0, 59.0, 5.5, -0.5]
    assert axes.get_xlabel() == "time, s"
    trace = next(a for a in figure.axes if a.get_ylabel() == "mean")
    np.testing.assert_allclose(trace.lines[0].get_data(), [np.arange(30) * 2, series.mean(axis=1)])
    beyond = np.count_nonzero(np.abs(z) > 2.5)
    assert figure.texts[0].get_text().startswith(f"{beyond} value")
    # As they are, in the order of the table, and by name.
    plain = {"standardize": False, "order": "table", "cmap": "viridis"}
    axes, shown = picture_of(ai.plot_series(series, atlas, **plain))
    expected = matplotlib.colormaps["viridis"]((series - series.min()) / np.ptp(series))
    np.testing.assert_allclose(shown, expected.transpose(1, 0, 2), atol=0.02)
    assert axes.get_xlabel() == "time point"
    frame = pd.DataFrame(series, columns=list(atlas.table["name"]))[
        [f"p{i} $x" for i in range(5, -1, -1)]
    ]
    named = picture_of(ai.plot_series(frame, atlas, **plain))[1]
    np.testing.assert_array_equal(named, shown)


def test_series_with_gaps_are_grey_without_a_warning():
    series = np.random.default_rng(0).normal(size=(9, 6))
    series[2, 1], series[3, 4] = np.inf, np.nan
    _, shown = picture_of(ai.plot_series(series, line()))
    assert (shown[..., 3] == 0).all(axis=1).tolist() == [row in (1, 4) for row in range(6)]
    _, shown = picture_of(ai.plot_series(series, line(), standardize=False))
    assert np.argwhere(shown[..., 3] == 0).tolist() == [[1, 2], [4, 3]]


def test_standardised_series_are_scipys():
    from scipy.stats import zscore

    series = np.random.default_rng(0).normal(size=(20, 3))
    np.testing.assert_allclose(standardise(series), zscore(series, ddof=1))


@pytest.mark.parametrize(
    ("plot", "message"),
    [
        (lambda a: ai.plot_matrix(np.eye(5), a), r"`matrix` should be .*6 parcels.* got shape \(5, 5\)"),
        (lambda a: ai.plot_matrix(np.eye(6), a, order="size"), '`order` should be "network" or "table"'),
        (lambda a: ai.plot_series(np.ones((9, 5)), a), r"`series` should be .*6 parcels"),
        (lambda a: ai.plot_series(np.ones((1, 6)), a), "of two time points or more"),
        (lambda a: ai.plot_series(np.ones((9, 6)), a, t_r=0), "`t_r` should be"),
    ],
)  # fmt: skip
def test_what_cannot_be_drawn_is_told(plot, message):
    with pytest.raises(ValueError, match=message):
        plot(line())
