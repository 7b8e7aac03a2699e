"""Connectomes beside nilearn, NumPy and pandas."""

import numpy as np
import pandas as pd
import pytest
from helpers_surfaces import brain_atlas
from nilearn.connectome import ConnectivityMeasure
from sklearn.covariance import EmpiricalCovariance, LedoitWolf

import atlasinit as ai

NAMES = list("edcba")
ESTIMATORS = {"empirical": EmpiricalCovariance, "ledoit-wolf": LedoitWolf}
KINDS = ("correlation", "partial correlation", "covariance", "precision")


def made(n_time=30, n_parcels=5, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n_time, n_parcels)) @ rng.normal(size=(n_parcels, n_parcels)) + 100


def theirs(runs, kind, estimator="empirical"):
    return ConnectivityMeasure(ESTIMATORS[estimator](), kind=kind).fit_transform(runs)


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("kind", KINDS)
def test_matrices_are_those_of_nilearn(kind, estimator):
    series = made()
    found = ai.connectome(series, NAMES, kind=kind, estimator=estimator)
    assert list(found.index) == list(found.columns) == NAMES
    np.testing.assert_allclose(found, theirs([series], kind, estimator)[0], rtol=1e-10)
    frame = pd.DataFrame(series, columns=NAMES)
    pd.testing.assert_frame_equal(ai.connectome(frame, kind=kind, estimator=estimator), found)


def test_correlations_are_those_of_numpy_and_pandas():
    series = made()
    np.testing.assert_allclose(ai.connectome(series), np.corrcoef(series.T), atol=1e-13)
    frame = pd.DataFrame(series, columns=NAMES)
    pd.testing.assert_frame_equal(ai.connectome(frame), frame.corr(), rtol=1e-12)
    np.testing.assert_allclose(ai.connectome(series, kind="covariance"), np.cov(series.T, bias=True), rtol=1e-12)  # fmt: skip
    precision = np.linalg.inv(np.cov(series.T, bias=True))
    np.testing.assert_allclose(ai.connectome(series, kind="precision"), precision, rtol=1e-8)
    # Of what the other parcels leave of two, the correlation.
    rest = np.column_stack([np.ones(len(series)), series[:, 2:]])
    left = series[:, :2] - rest @ np.linalg.lstsq(rest, series[:, :2], rcond=None)[0]
    partial = ai.connectome(series, kind="partial correlation")
    np.testing.assert_allclose(partial.iloc[0, 1], np.corrcoef(left.T)[0, 1], rtol=1e-8)


def test_names_come_from_the_atlas_by_name(tmp_path):
    atlas = brain_atlas()
    names = list(atlas.labels["name"])
    series = made(40, len(names))
    found = ai.connectome(series, atlas)
    assert list(found.index) == list(found.columns) == names
    shuffled = pd.DataFrame(series, columns=names)[names[::-1]]
    pd.testing.assert_frame_equal(ai.connectome(shuffled, atlas), found, rtol=1e-12)
    pd.testing.assert_frame_equal(ai.connectome(shuffled, names), found, rtol=1e-12)
    pd.testing.assert_frame_equal(ai.connectome(shuffled), found.loc[names[::-1], names[::-1]], rtol=1e-12)  # fmt: skip
    for matrix in (found, ai.connectome(shuffled), ai.connectome(series)):
        path = ai.save_matrix(matrix, atlas, tmp_path / "fc.tsv", overwrite=True)
        np.testing.assert_allclose(ai.io.read_matrix(path, atlas=atlas), found)
    # Of a frame with parcels in rows too, as its index names them.
    pd.testing.assert_frame_equal(ai.connectome(shuffled.T, atlas), found, rtol=1e-12)


def test_arrays_alone_are_numbered_and_other_labels_stay():
    series = made()
    assert list(ai.connectome(series).index) == list(range(5))
    assert list(ai.connectome(series.tolist()).columns) == list(range(5))
    keys = pd.DataFrame(series, columns=[3, 1, 9, 7, 5])
    assert list(ai.connectome(keys).columns) == [3, 1, 9, 7, 5]
    np.testing.assert_array_equal(ai.connectome(keys), ai.connectome(series))
    single = ai.connectome(series.astype(np.float32))
    np.testing.assert_array_equal(single, ai.connectome(series.astype(np.float32).astype(float)))
    assert ai.connectome(np.arange(6).reshape(6, 1)).to_numpy().tolist() == [[1.0]]


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bad", [np.nan, np.inf, "constant"])
def test_what_is_missing_or_constant_is_nan_and_the_rest_is_as_without(kind, estimator, bad):
    series = made()
    if bad == "constant":
        series[:, 1] = 0.1
    else:
        series[3, 1] = bad
    found = ai.connectome(series, NAMES, kind=kind, estimator=estimator)
    rest = [0, 2, 3, 4]
    assert found.iloc[1].isna().all()
    assert found.iloc[:, 1].isna().all()
    expected = theirs([series[:, rest]], kind, estimator)[0]
    np.testing.assert_allclose(found.iloc[rest, rest], expected, rtol=1e-10)


def test_nothing_but_constants_is_nan():
    for kind in KINDS:
        assert ai.connectome(np.ones((9, 3)), kind=kind).isna().all(axis=None)


def test_lists_give_lists():
    # nilearn's mean converges for covariances that are not far apart.
    runs = [
        np.random.default_rng(seed).normal(size=(n, 5)) for seed, n in ((1, 90), (2, 70), (3, 80))
    ]
    frames = [pd.DataFrame(run, columns=NAMES) for run in runs]
    # In another order, by name.
    frames[1] = frames[1][NAMES[::-1]]
    for kind in (*KINDS, "tangent"):
        expected = theirs(runs, kind)
        for found in (ai.connectome(runs, NAMES, kind=kind), ai.connectome(frames, kind=kind)):
            assert [list(one.columns) for one in found] == [NAMES] * 3
            np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)
    assert len(ai.connectome(runs[:1])) == 1
    runs[1][0, 2] = np.nan
    rest = [0, 1, 3, 4]
    tangent = ai.connectome(runs, kind="tangent")
    assert all(one.iloc[2].isna().all() for one in tangent)
    np.testing.assert_allclose([one.iloc[rest, rest] for one in tangent], theirs([run[:, rest] for run in runs], "tangent"), atol=1e-12)  # fmt: skip
    single = ai.connectome(runs)
    assert [bool(one.iloc[2].isna().all()) for one in single] == [False, True, False]


FEW = made(4)
SUMS = np.column_stack([made()[:, :4], made()[:, :4].sum(axis=1)])


@pytest.mark.parametrize(
    ("series", "options", "error", "message"),
    [
        (made(), {"kind": "pearson"}, ValueError, "`kind` should be one of \"correlation\".*got 'pearson'"),
        (made(), {"estimator": "oas"}, ValueError, "`estimator` should be one of \"empirical\".*got 'oas'"),
        (made(), {"atlas": "abcde"}, TypeError, "`atlas` should be an atlas or a list of names"),
        (None, {}, ValueError, r"should be \(time, parcels\), got shape \(\)"),
        (made(), {"atlas": list("aabcd")}, ValueError, r"`atlas`: names should be unique; \['a'\] are not"),
        (made(), {"atlas": list("abcd")}, ValueError, r"should be .*\(time, 4 parcels\), got shape \(30, 5\)"),
        (made(5, 30), {"atlas": list("abcde")}, ValueError, r"pass `series\.T`"),
        (pd.DataFrame(made(), columns=list("aabcd")), {}, ValueError, r"`series`: names should be unique; \['a'\]"),
        (pd.DataFrame(made(), columns=list("abcde")), {"atlas": list("abcdf")}, ValueError, "no parcels are named 'e'"),
        (pd.DataFrame({"a": ["x", "y"], "b": [1, 2]}), {}, TypeError, "the columns 'a' are not"),
        (made()[:, 0], {}, ValueError, r"`series` should be \(time, parcels\), got shape \(30,\)"),
        (made()[None], {}, ValueError, r"got shape \(1, 30, 5\)"),
        (made()[:1], {}, ValueError, "should have two time points or more, got 1 time point"),
        ([made(), made()[:0]], {}, ValueError, r"`series\[1\]` should have two time points or more, got 0"),
        ([], {}, ValueError, "got an empty list"),
        ([made(), made(30, 4)], {}, ValueError, r"`series\[1\]` should be .*got shape \(30, 4\)"),
        ({"a": made()}, {}, TypeError, "got dict"),
        (made() + 1j, {}, TypeError, "should be real numbers"),
        (np.ma.masked_array(made()), {}, TypeError, "got a masked one"),
        (made(), {"kind": "tangent"}, ValueError, 'should be a list of two or more for "tangent"'),
        ([made()], {"kind": "tangent"}, ValueError, "should be a list of two or more"),
        (FEW, {"kind": "precision"}, ValueError, 'more time points than parcels that change for "precision", got 4 of 5; .*estimator="ledoit-wolf"'),
        ([made(), FEW], {"kind": "tangent"}, ValueError, r"`series\[1\]` should have more time points"),
        (SUMS, {"kind": "partial correlation"}, ValueError, "the covariance has no inverse.*sums of others"),
    ],
)  # fmt: skip
def test_what_is_no_series_is_refused(series, options, error, message):
    with pytest.raises(error, match=message):
        ai.connectome(series, **options)


@pytest.mark.parametrize("series", [FEW, SUMS])
@pytest.mark.parametrize("kind", ["precision", "partial correlation"])
def test_the_advice_for_what_has_no_inverse_works(series, kind):
    found = ai.connectome(series, kind=kind, estimator="ledoit-wolf")
    np.testing.assert_allclose(found, theirs([series], kind, "ledoit-wolf")[0], rtol=1e-8)
    assert np.isfinite(found).all(axis=None)
    # Correlations need no inverse.
    assert np.isfinite(ai.connectome(series)).all(axis=None)
