"""Null maps of values and tests against them: by the packages themselves, and by definition."""

import sys

import jax
import numpy as np
import pandas as pd
import pytest
from helpers import mixed_atlas, unchecked
from helpers_nulls import as_giftis, two_hemispheres
from helpers_smoothing import great_circle
from scipy.spatial.distance import cdist
from scipy.stats import pearsonr, spearmanr

import atlasinit as ai
from atlasinit.nullmodels.distances import parcel_distances
from atlasinit.nullmodels.maps import make_seed

KEY = jax.random.key(5)


@pytest.fixture(scope="module")
def atlas():
    return two_hemispheres(12)


@pytest.fixture(scope="module")
def values():
    return np.random.default_rng(1).normal(size=24)


@pytest.mark.parametrize("assign", ["vertex", "nearest", "hungarian"])
def test_rotated_maps_are_those_of_spins(atlas, values, assign):
    spun = ai.spins(atlas, n=9, key=KEY, assign=assign)
    found = ai.nulls(values, atlas, n=9, key=KEY, assign=assign)
    np.testing.assert_array_equal(found.maps, spun.apply(values))
    given = ai.nulls(values, atlas, rotations=spun.rotations, assign=assign)
    np.testing.assert_array_equal(found.maps, given.maps)
    assert repr(found) == "NullMaps(9 of 24 parcels, method='spin')"
    assert len(found) == 9
    assert not found.maps.flags.writeable


def compare_with_neuromaps(name, atlas, values, folder):
    """Compare with what neuromaps draws in each hemisphere, of the same distances and seed."""
    from neuromaps import nulls as theirs

    method = {"burt2020": "variogram", "moran": "moran"}[name]
    near = parcel_distances(atlas, "geodesic")
    sides = [near[s, s] for s in atlas.parcel_slices().values()]
    missing = np.where(np.arange(24) == 15, np.nan, values)
    for given in (values, missing):
        expected = getattr(theirs, name)(
            given,
            parcellation=as_giftis(atlas, folder)[1],
            distmat=sides,
            seed=make_seed(KEY),
            n_perm=12,
        )
        found = ai.nulls(given, atlas, n=12, key=KEY, method=method, distances="geodesic")
        np.testing.assert_allclose(found.maps, expected.T, rtol=1e-6, atol=1e-9)
        np.testing.assert_array_equal(np.isnan(found.maps), np.tile(np.isnan(given), (12, 1)))
    # A matrix by name, in another order, is the same.
    names = atlas.labels["name"]
    table = pd.DataFrame(near, names, names).sample(frac=1, random_state=0)
    again = ai.nulls(given, atlas, n=12, key=KEY, method=method, distances=table)
    np.testing.assert_array_equal(again.maps, found.maps)
    return found.maps[:, ~np.isnan(missing)]


@pytest.mark.filterwarnings("ignore:`row_stack` alias:DeprecationWarning")
def test_variograms_are_those_of_neuromaps(atlas, values, tmp_path):
    maps = compare_with_neuromaps("burt2020", atlas, values, tmp_path)
    np.testing.assert_allclose(maps[:, :12].mean(axis=1), 0, atol=1e-12)


@pytest.mark.sweep
def test_moran_maps_are_those_of_neuromaps(atlas, values, tmp_path):
    pytest.importorskip("brainspace", reason="brainspace is not installed: atlasinit[nulls]")
    maps = compare_with_neuromaps("moran", atlas, values, tmp_path)
    # Mean and variance of each hemisphere stay, to the single precision of the eigenvectors.
    np.testing.assert_allclose(maps[:, :12].mean(axis=1), values[:12].mean(), atol=1e-5)
    np.testing.assert_allclose(maps[:, :12].std(axis=1), values[:12].std(), rtol=1e-4)


@pytest.mark.sweep
def test_moran_maps_of_a_volume(values):
    pytest.importorskip("brainspace", reason="brainspace is not installed: atlasinit[nulls]")
    grid = ai.VolumeGrid((4, 3, 2), np.diag([2.0, 2.0, 2.0, 1.0]))
    labels = np.arange(24, dtype=np.int32)
    atlas = ai.dirichlet_atlas({"volume": grid}, n_parcels=24, key=KEY)
    atlas = atlas.replace(maps={"volume": ai.HardMaps(labels, 24)})
    found = ai.nulls(values, atlas, n=5, key=KEY, method="moran")
    np.testing.assert_allclose(found.maps.std(axis=1), values.std(), rtol=1e-4)


def test_a_missing_package_is_named(atlas, values, monkeypatch):
    monkeypatch.setitem(sys.modules, "brainspace.null_models.moran", None)
    monkeypatch.setitem(sys.modules, "brainsmash.mapgen.base", None)
    for method, package in (("moran", "brainspace"), ("variogram", "brainsmash")):
        message = (
            rf"needs the package {package}; install it by `pip install \"atlasinit\[nulls\]\"`"
        )
        with pytest.raises(ai.ArgumentError, match=message):
            ai.nulls(values, atlas, n=2, key=KEY, method=method)


def test_distances(atlas):
    centres = ai.io.centres.parcel_centres(atlas)
    np.testing.assert_allclose(parcel_distances(atlas, "centroid"), cdist(centres, centres))
    near = parcel_distances(atlas, "geodesic")
    assert np.isinf(near[:12, 12:]).all()
    # On a sphere of 70 mm, from vertex to vertex: paths along edges and diagonals are longer.
    middles = centres[:12]
    mesh = atlas.geometry["cortex_L"]
    own = [
        mesh.vertices[m][np.linalg.norm(mesh.anatomical[mesh.vertices[m]] - c, axis=1).argmin()]
        for m, c in zip(
            [atlas.maps["cortex_L"].labels == k for k in range(12)], middles, strict=True
        )
    ]
    ratio = near[:12, :12] / np.where(
        np.eye(12), np.nan, great_circle(mesh.anatomical[own].astype(float))
    )
    assert 0.995 < np.nanmin(ratio)
    assert np.nanmax(ratio) < 1.06
    soft = atlas.replace(maps={"cortex_L": ai.SparseMaps.from_scipy(atlas.to_scipy()["cortex_L"])})
    np.testing.assert_array_equal(parcel_distances(soft, "geodesic"), near)


def test_empty_parcels_take_no_part(atlas, values):
    labels = np.asarray(atlas.maps["cortex_L"].labels)
    maps = ai.HardMaps(np.where(labels == 3, np.int32(2), labels), 12)
    emptied = atlas.replace(maps={"cortex_L": maps})
    for distances in ("centroid", "geodesic"):
        found = ai.nulls(values, emptied, n=3, key=KEY, method="variogram", distances=distances)
        np.testing.assert_array_equal(np.isnan(found.maps), np.tile(np.arange(24) == 3, (3, 1)))


def test_statistics_are_those_of_scipy(atlas, values):
    rng = np.random.default_rng(2)
    other = np.where(np.arange(24) == 2, np.nan, values + rng.normal(size=24))
    first = np.where(np.arange(24) == 20, np.nan, values)
    drawn = ai.nulls(first, atlas, n=50, key=KEY, assign="nearest")
    for name, theirs in (("pearson", pearsonr), ("spearman", spearmanr)):
        found = drawn.test(other, statistic=name)
        for own, one in ((found.statistic, first), *zip(found.null, drawn.maps, strict=True)):
            both = np.isfinite(one) & np.isfinite(other)
            np.testing.assert_allclose(own, theirs(one[both], other[both]).statistic, rtol=1e-10)
        n = sum(abs(r) >= abs(found.statistic) for r in found.null)
        assert found.n_extreme == n
        assert found.p_value == (1 + n) / 51
        upper, lower = (
            drawn.test(other, statistic=name, alternative=a) for a in ("greater", "less")
        )
        assert upper.n_extreme == sum(r >= found.statistic for r in found.null)
        assert upper.n_extreme + lower.n_extreme == 50
    mine = drawn.test(other, statistic=lambda x, y: np.corrcoef(x, y)[0, 1])
    np.testing.assert_allclose(mine.null, drawn.test(other).null)
    short = ai.spin_test(first, other, atlas, n=50, key=KEY, assign="nearest")
    np.testing.assert_array_equal(short.null, drawn.test(other).null)
    assert repr(short).startswith("NullTest(statistic=0.")
    assert f"{short.n_extreme} of 50 null maps are as extreme, two-sided" in repr(short)


def test_what_is_equal_or_nan_counts_as_extreme(atlas, values):
    still = ai.nulls(values, atlas, rotations=np.eye(3), assign="hungarian")
    for alternative in ("two-sided", "greater", "less"):
        for other in (values, -values, values**2 + 0.1 * values):
            assert still.test(other, alternative=alternative).p_value == 1.0
    turned = ai.nulls(values, atlas, n=4, key=KEY, assign="hungarian")
    found = turned.test(values, statistic=lambda x, y: 0.5 if (x == y).all() else np.nan)
    assert np.isnan(found.null).all()
    assert found.p_value == 1.0


def test_values_go_by_name(atlas, values):
    series = pd.Series(values, atlas.labels["name"])
    other = series[::-1] * 2 + 1
    plain = ai.spin_test(values, values * 2 + 1, atlas, n=5, key=KEY, assign="hungarian")
    named = ai.spin_test(
        series.sample(frac=1), other.to_frame("t"), atlas, n=5, key=KEY, assign="hungarian"
    )
    assert plain.statistic == pytest.approx(1)
    np.testing.assert_array_equal(plain.null, named.null)


def _bare(atlas):
    mesh = atlas.geometry["cortex_R"]
    return atlas.replace(geometry={"cortex_R": ai.SurfaceMesh(mesh.n_vertices, mesh.vertices)})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "burt"}, r"one of \['spin', 'moran', 'variogram'\], got 'burt'"),
        ({"distances": "geodesic"}, r"`distances` are of the other methods.*method=\"moran\""),
        ({"method": "moran", "assign": "nearest"}, '`assign` is of method="spin"'),
        ({"method": "moran", "rotations": np.eye(3)}, '`rotations` is of method="spin"'),
        ({"method": "variogram", "distances": "euclid"}, '"centroid", "geodesic" or a matrix'),
        (
            {"method": "variogram", "distances": np.ones((3, 3))},
            "`distances` should be a plain array",
        ),
        ({"method": "variogram", "distances": np.ones((24, 24)) - np.eye(24) * 2}, None),
        (
            {"method": "variogram", "distances": np.zeros((24, 24))},
            "positive between parcels, got 0",
        ),
        ({"method": "variogram", "distances": np.triu(np.ones((24, 24)))}, "symmetric, but from"),
        ({"method": "variogram", "n": 0}, "`n` should be a whole number from 1"),
    ],
)
def test_bad_options_are_refused(atlas, values, options, message):
    options = {"key": KEY, "n": 2, **options}
    if message is None:
        # What the diagonal says is not looked at.
        assert (
            len(
                ai.nulls(
                    values,
                    atlas,
                    **{**options, "distances": cdist(values[:, None], values[:, None])},
                )
            )
            == 2
        )
        return
    with pytest.raises(ai.ArgumentError, match=message):
        unchecked(ai.nulls)(values, atlas, **options)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda v: v * 0 + 3, "should vary, but all are 3"),
        (lambda v: v * np.nan, "numbers at three parcels or more, got 0"),
        (lambda v: np.where(np.arange(24) < 2, v, np.nan), "three parcels or more, got 2"),
        (lambda v: np.where(np.arange(24) < 2, np.inf, v), "finite or NaN, got infinity"),
        (lambda v: v[:5], r"\(24 parcels,\)"),
        (lambda v: np.stack([v, v], axis=1), "2"),
    ],
)
def test_bad_values_are_refused(atlas, values, change, message):
    with pytest.raises(ai.ArgumentError, match=message):
        ai.nulls(change(values), atlas, n=2, key=KEY)


def test_bad_atlases_are_refused(atlas, values):
    options = {"n": 2, "key": KEY, "method": "variogram"}
    for how in ("centroid", "geodesic"):
        with pytest.raises(ai.ArgumentError, match=r"'cortex_R' has no anatomical surface"):
            ai.nulls(values, _bare(atlas), distances=how, **options)
    near = parcel_distances(atlas, "geodesic")
    assert len(ai.nulls(values, _bare(atlas), distances=near, **options)) == 2
    with pytest.raises(
        ai.ArgumentError, match=r"no paths along the cortex .*'subcortex'.*centroid"
    ):
        ai.nulls(np.arange(7.0), mixed_atlas(), distances="geodesic", **options)
    with pytest.raises(ai.ArgumentError, match=r"12 parcels lie in several hemispheres.*centroid"):
        ai.nulls(values[:12], atlas.unite(), distances="geodesic", **options)
    assert len(ai.nulls(values[:12], atlas.unite(), **options)) == 2
    few = two_hemispheres()
    with pytest.raises(ai.ArgumentError, match="'variogram' needs 10 parcels .* got 8"):
        ai.nulls(np.arange(16.0), few, distances="geodesic", **options)
    with pytest.raises(ai.ArgumentTypeError, match=r"`key` should be a key of JAX, got None"):
        ai.nulls(values, atlas, method="variogram")
    torn = np.where(np.isinf(near), 5.0, near)
    torn[0, 13] = torn[13, 0] = np.inf
    with pytest.raises(ai.ArgumentError, match="finite among parcels that others join"):
        ai.nulls(values, atlas, distances=torn, **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"alternative": "both"}, "`alternative` should be"),
        ({"statistic": "kendall"}, "`statistic` should be"),
        ({"other": np.ones(24)}, "`statistic` of the maps is NaN"),
        ({"other": np.ones(23)}, "`other"),
    ],
)
def test_bad_tests_are_refused(atlas, values, options, message):
    drawn = ai.nulls(values, atlas, rotations=np.eye(3), assign="nearest")
    with pytest.raises(ai.ArgumentError, match=message):
        unchecked(type(drawn).test)(drawn, **{"other": values, **options})
