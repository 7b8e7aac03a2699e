"""Projections against the dense float64 product, nilearn, wb_command and finite differences."""

import gc
import shutil
import subprocess
import time
import warnings
import weakref
from concurrent.futures import ThreadPoolExecutor

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import mixed_atlas, table
from scipy import stats
from scipy.linalg import block_diag
from scipy.sparse import csr_array

import atlasinit as ai
from atlasinit.core.maps import dense_values
from atlasinit.projection import (
    REDUCTIONS,
    Reduction,
    back_project,
    choosing,
    chosen,
    coverage,
    labelled,
    project,
    register_reduction,
    remembered,
    xla,
)
from atlasinit.projection.host import products as host
from atlasinit.projection.kernels import tiles
from atlasinit.projection.kernels.dense import DenseKernel
from atlasinit.projection.kernels.scatter import ScatterKernel
from atlasinit.projection.stack import build_stack

KERNELS = {
    "hard": ("scatter", "groups", "tiles", "dense"),
    "sparse": ("tiles", "groups", "dense"),
    "dense": ("dense",),
}
CASES = [(kind, kernel) for kind, names in KERNELS.items() for kernel in names]
# Besides, on a CPU, what NumPy and SciPy compute outside of any trace.
HOST = ["host"] if jax.default_backend() == "cpu" else []
EAGER = CASES + [(kind, kernel) for kind in KERNELS for kernel in HOST]
on_cpu = pytest.mark.skipif(not HOST, reason="the host computes where the default device is a CPU")
# The kernels of "auto": what does not depend on the kernel is tested with these alone.
CHOSEN = [(kind, names[0]) for kind, names in KERNELS.items()]


def maps_of(kind, n_parcels=7, n_locations=150, seed=0):
    """Hard, signed sparse or dense maps; parcel 3 is empty."""
    rng = np.random.default_rng(seed)
    labels = rng.choice([-1, 0, 1, 2, 4, 5, 6], n_locations).astype(np.int32)
    if kind == "hard":
        return ai.HardMaps(labels, n_parcels)
    weights = rng.normal(size=(n_parcels, n_locations)).astype(np.float32)
    weights[rng.random(weights.shape) < 0.7] = 0
    weights[3] = 0
    if kind == "sparse":
        return ai.SparseMaps.from_scipy(csr_array(weights))
    return ai.DenseMaps(weights)


def data_of(*shape, seed=1):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def grid_atlas(maps, shape):
    n = maps.n_parcels
    return ai.Atlas(
        name="grid",
        space="test",
        maps={"volume": maps},
        geometry={
            "volume": ai.VolumeGrid(shape, np.diag([2.0, 2, 2, 1]), np.arange(np.prod(shape)))
        },
        labels=table(["volume"] * n),
    )


@pytest.mark.sweep
@pytest.mark.parametrize(("kind", "kernel"), EAGER)
@pytest.mark.parametrize("shape", [(150,), (150, 1), (150, 0), (2, 150, 0), (2, 2, 150, 3)])
def test_sum_is_the_dense_product(kind, kernel, shape):
    maps, x = maps_of(kind), data_of(*shape)
    y = project(maps, x, reduction="sum", kernel=kernel)
    np.testing.assert_allclose(y, maps.to_dense().astype(np.float64) @ x, rtol=1e-5, atol=1e-5)
    assert y.dtype == np.float32


@pytest.mark.parametrize(("kind", "kernel"), EAGER)
def test_means_and_scores_are_those_of_their_equations(kind, kernel):
    maps, x = maps_of(kind), data_of(150, 20) + np.float32(3)
    w = maps.to_dense().astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = w @ x / w.sum(1, keepdims=True)
        absmean = w @ x / np.abs(w).sum(1, keepdims=True)
        centre = absmean.mean(1, keepdims=True)
        expected = {
            "mean": mean,
            "absmean": absmean,
            "zscore": (absmean - centre) / absmean.std(1, ddof=1, keepdims=True),
            "psc": 100 * (absmean - centre) / np.abs(centre),
        }
    for reduction in expected if (kind, kernel) in CHOSEN else ("mean", "zscore"):
        y = expected[reduction]
        ours = project(maps, x, reduction=reduction, kernel=kernel)
        np.testing.assert_allclose(ours, y, rtol=2e-4, atol=2e-4, err_msg=reduction)
        filled = np.asarray(project(maps, x, reduction=reduction, kernel=kernel, empty=-5.0))
        assert (filled[3] == -5).all()
        assert np.isfinite(filled).all()


def test_a_constant_series_scores_zero():
    x = np.ones((150, 6), np.float32) * np.float32(1.1)
    z = project(maps_of("hard"), x, reduction="zscore", empty=0.0)
    np.testing.assert_array_equal(z, np.zeros((7, 6)))


@pytest.mark.parametrize("kernel", ["auto", *HOST, "groups", "tiles", "dense"])
def test_an_atlas_of_several_compartments(kernel):
    atlas = mixed_atlas()
    x = data_of(3, atlas.n_locations, 5)
    w = block_diag(*atlas.to_dense().values()).astype(np.float64)
    np.testing.assert_allclose(
        project(atlas, x, reduction="sum", kernel=kernel), w @ x, rtol=1e-5, atol=1e-5
    )
    parts = {c: x[:, s] for c, s in atlas.location_slices().items()}
    np.testing.assert_allclose(
        project(atlas, parts, reduction="sum", kernel=kernel), w @ x, rtol=1e-5, atol=1e-5
    )
    y = data_of(3, atlas.n_parcels, 5)
    np.testing.assert_allclose(back_project(atlas, y, kernel=kernel), w.T @ y, rtol=1e-5, atol=1e-5)
    flat = {c: x[0, s, 0] for c, s in atlas.location_slices().items()}
    np.testing.assert_allclose(project(atlas, flat, reduction="sum"), w @ x[0, :, 0], atol=1e-5)


@pytest.mark.parametrize(
    ("kind", "kernel", "dtype"),
    [
        *[(*case, dtype) for case in EAGER for dtype in ("bfloat16", "float64")],
        *[(*case, dtype) for case in CHOSEN for dtype in ("float16", "float32")],
    ],
)
def test_dtypes_are_kept_and_sums_are_not_lossy(kind, kernel, dtype):
    maps = maps_of(kind, n_locations=3000)
    with jax.enable_x64(dtype == "float64"):
        x = jnp.asarray(data_of(3000, 2) + 1, dtype)
        y = project(maps, x, reduction="sum", kernel=kernel)
        assert y.dtype == x.dtype
        exact = maps.to_dense().astype(np.float64) @ np.asarray(x, np.float64)
        eps = float(jnp.finfo(dtype).eps)
        # Half precision rounds once, at the end; the rest is added up in its own precision.
        tolerance = eps if eps > 1e-4 else 20 * eps
        np.testing.assert_allclose(
            np.asarray(y, np.float64), exact, rtol=tolerance, atol=1e3 * min(eps, 1e-7)
        )


@pytest.mark.parametrize("kernel", ["auto", *HOST])
@pytest.mark.parametrize("reduction", ["median", "min", "max", "std", "var"])
def test_order_statistics_of_hard_maps(reduction, kernel):
    maps, x = maps_of("hard"), data_of(2, 150, 4)
    y = project(maps, x, reduction=reduction, kernel=kernel)
    functions = {"median": np.median, "min": np.min, "max": np.max, "std": np.std, "var": np.var}
    for parcel in range(7):
        own = x[:, maps.labels == parcel]
        expected = functions[reduction](own, axis=1) if own.size else np.full((2, 4), np.nan)
        np.testing.assert_allclose(y[:, parcel], expected, rtol=1e-5, atol=1e-6)


@on_cpu
@pytest.mark.parametrize("kind", KERNELS)
def test_large_concrete_data_is_multiplied_on_the_host_and_what_is_traced_is_not(kind, monkeypatch):
    made = []
    multiply = host.multiply
    monkeypatch.setattr(host, "multiply", lambda *a, **k: made.append(a) or multiply(*a, **k))
    maps, x = maps_of(kind, n_locations=9000), data_of(2, 9000, 240)
    w = maps.to_dense().astype(np.float64)
    for data in (x, jnp.asarray(x), np.asfortranarray(x), x[:, :, ::-1]):
        ours = project(maps, data, reduction="sum")
        np.testing.assert_allclose(ours, w @ data, rtol=1e-4, atol=2e-4)
    assert len(made) == 4
    np.testing.assert_allclose(
        jax.jit(lambda x: project(maps, x, reduction="sum"))(x), w @ x, rtol=1e-4, atol=2e-4
    )
    project(maps, x[..., :1])
    project(maps, x, kernel="dense")
    jax.vmap(lambda x: project(maps, x))(x)
    jax.grad(lambda x: project(maps, x, reduction="sum").sum())(jnp.asarray(x))
    assert len(made) == 4


@on_cpu
def test_the_host_refuses_what_it_cannot_compute():
    maps, x = maps_of("hard"), data_of(150, 4)
    for call in (
        lambda: jax.jit(lambda x: project(maps, x, kernel="host"))(x),
        lambda: project(maps_of("sparse"), x, kernel="host", missing="omit"),
        lambda: project(
            jax.tree.map(lambda w: w.astype(np.float16), maps_of("dense")), x, kernel="host"
        ),
    ):
        with pytest.raises(ValueError, match='`kernel` "host" computes concrete data on the CPU'):
            call()


@pytest.mark.parametrize("kernel", ["auto", *HOST, "jit"])
@pytest.mark.parametrize("missing", ["propagate", "omit"])
def test_mode_is_the_most_frequent_value_and_of_several_the_smallest(kernel, missing):
    rng = np.random.default_rng(0)
    maps = maps_of("hard")
    x = rng.integers(-2, 4, (2, 150, 6)).astype(np.float32)
    x[:, maps.labels == 1, 0] = 3
    x[:, maps.labels == 2, 1] = np.arange((maps.labels == 2).sum()) // 2  # all occur twice
    x[0, ::5, 2], x[1, :, 3], x[0, 3, 4] = np.nan, np.nan, np.inf
    if kernel == "jit":
        y = jax.jit(lambda x: project(maps, x, reduction="mode", missing=missing))(x)
    else:
        y = project(maps, x, reduction="mode", missing=missing, kernel=kernel)
    for parcel in (0, 1, 2, 4, 5, 6):
        own = x[:, maps.labels == parcel]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of SciPy, where all is missing
            theirs = stats.mode(own, axis=1, nan_policy="omit").mode
        if missing == "propagate":  # which SciPy takes for NaN as a value of its own
            theirs = np.where(np.isnan(own).any(axis=1), np.nan, theirs)
        np.testing.assert_array_equal(y[:, parcel], theirs)
    assert np.isnan(y[:, 3]).all()
    gradient = jax.grad(lambda x: project(maps, x, reduction="mode", empty=0.0).sum())
    np.testing.assert_array_equal(gradient(jnp.ones((150, 2))), np.zeros((150, 2)))


# A reduction and a kernel of one's own --------------------------------------------------------


def weighted_range(values, weights):
    return np.ptp(values * weights[:, None], axis=0)


@pytest.mark.parametrize("kind", KERNELS)
@pytest.mark.parametrize("missing", ["propagate", "omit"])
def test_a_function_reduces_each_parcel(kind, missing):
    maps, x = maps_of(kind), data_of(2, 150, 6)
    x[0, ::7, 2], x[1, :, 4] = np.nan, np.nan
    w = maps.to_dense()
    y = project(maps, x, reduction=weighted_range, missing=missing)
    for parcel in range(7):
        own = w[parcel] != 0
        for i, t in np.ndindex(2, 6):
            values, weights = x[i, own, t], w[parcel, own]
            kept = ~np.isnan(values) if missing == "omit" else np.ones(own.sum(), bool)
            product = values[kept] * weights[kept]
            expected = np.ptp(product) if product.size else np.nan
            np.testing.assert_allclose(y[i, parcel, t], expected, rtol=1e-6)
    single = np.asarray(project(maps, x[0, :, 0], reduction=weighted_range))
    np.testing.assert_allclose(single, y[0, :, 0], rtol=1e-6)


def test_a_reduction_is_registered_by_name_and_used_by_name_everywhere(tmp_path):
    maps, x = maps_of("hard", n_locations=24), data_of(24, 5)
    atlas = grid_atlas(maps, (2, 3, 4))
    made = register_reduction("range", weighted_range)
    try:
        assert REDUCTIONS["range"] is made
        expected = project(maps, x, reduction=weighted_range)
        np.testing.assert_array_equal(project(maps, x, reduction="range"), expected)
        masker = ai.AtlasMasker(atlas, reduction="range", memory=str(tmp_path))
        np.testing.assert_array_equal(masker.fit_transform(x).T, expected)
        assert chosen(maps, x, reduction="range").place == "host"
        with pytest.raises(ValueError, match="a function of NumPy, which computes concrete"):
            jax.jit(lambda x: project(maps, x, reduction="range"))(x)
        with pytest.raises(ValueError, match="a function of NumPy, which a layer cannot jit"):
            ai.AtlasLinear.from_atlas(atlas, reduction="range")
        with pytest.raises(ValueError, match="there is a reduction 'range' already"):
            register_reduction("range", weighted_range)
    finally:
        del REDUCTIONS["range"]
    with pytest.raises(TypeError, match="a function or a Reduction, got 'mean'"):
        register_reduction("range", "mean")
    with pytest.raises(ValueError, match=r"returns \(time,\), \(5,\) of .*it returned \(\)"):
        project(maps, x, reduction=lambda values, weights: values.max())


def test_standard_scores_of_either_degrees_of_freedom():
    """hypercoil's scores divide by time, SciPy's default; nilearn has both."""
    maps = ai.HardMaps(np.array([0, 0, 1], np.int32), 2)
    x = np.random.default_rng(0).normal(size=(3, 8)).astype(np.float32)
    means = np.stack([x[:2].mean(0), x[2]])
    for ddof in (0, 1):
        found = ai.project(maps, x, reduction=ai.projection.zscore(ddof=ddof))
        np.testing.assert_allclose(found, stats.zscore(means, 1, ddof=ddof), rtol=1e-5)
    assert ai.projection.zscore() is ai.projection.REDUCTIONS["zscore"]
    assert ai.projection.zscore(ddof=0) == ai.projection.zscore(ddof=0)
    with pytest.raises(ValueError, match="`ddof` should be 0 or 1, got 2"):
        ai.projection.zscore(ddof=2)


def test_a_reduction_with_an_xla_function_is_part_of_programs_and_layers():
    def host(values, weights, seen):
        return np.ptp(values, axis=0)

    def xla(kernel, data, seen, counts):
        given = (kernel, data, seen, counts)
        return labelled.largest(*given) - labelled.smallest(*given)

    spread = Reduction("range", needs_labels=True, host=host, xla=xla)
    maps, x = maps_of("hard", n_locations=24), data_of(24, 5)
    expected = project(maps, x, reduction=spread, kernel="auto")
    jitted = jax.jit(lambda x: project(maps, x, reduction=spread))(x)
    layer = ai.AtlasLinear.from_atlas(grid_atlas(maps, (2, 3, 4)), reduction=spread)
    for ours in (jitted, layer(x)):
        np.testing.assert_allclose(ours, expected, rtol=1e-6)


class ReversedKernel(DenseKernel):
    """A kernel for tests: the dense one, of locations in reversed order."""

    name = "reversed"
    needs_positions = True

    @classmethod
    def plan(cls, maps, site):
        return np.arange(maps.n_locations)[::-1].astype(np.int32)

    @classmethod
    def build(cls, maps, plan):
        return ReversedKernel(dense_values(maps)[:, plan])

    def product(self, data):
        return super().product(data[:, ::-1])

    def transposed(self, values):
        return super().transposed(values)[:, ::-1]


def test_a_kernel_is_added_in_one_place(monkeypatch):
    monkeypatch.setattr(choosing, "KERNELS", [*choosing.KERNELS, ReversedKernel])
    atlas = mixed_atlas()
    x = data_of(atlas.n_locations, 5)
    assert set(chosen(atlas, x, kernel="reversed").kernels.values()) == {"reversed"}
    np.testing.assert_allclose(
        project(atlas, x, kernel="reversed"), project(atlas, x), rtol=1e-5, atol=1e-6
    )
    y = data_of(atlas.n_parcels, 2)
    np.testing.assert_allclose(
        back_project(atlas, y, kernel="reversed"), back_project(atlas, y), rtol=1e-5, atol=1e-6
    )
    layer = ai.AtlasLinear.from_atlas(atlas, kernel="reversed")
    np.testing.assert_allclose(layer(x), project(atlas, x), rtol=1e-5, atol=1e-6)
    reasons = []
    jax.eval_shape(
        lambda m: reasons.append(choosing.choose_kernel(m, backend="cpu", kernel="reversed")),
        jax.tree.map(jnp.asarray, maps_of("hard")),
    )
    assert reasons == [(ScatterKernel, "the maps' positions are traced")]


def test_what_is_made_once_is_made_once_of_all_threads():
    memory, made = remembered.Memory(), []
    owners = [maps_of("hard"), maps_of("sparse")]

    def make(owner):
        made.append(owner)
        time.sleep(0.02)
        return object()

    with ThreadPoolExecutor(8) as pool:
        tasks = [owners[i % 2] for i in range(16)]
        found = list(pool.map(lambda o: memory.recall(o, "key", lambda: make(o)), tasks))
    assert len(made) == 2
    assert len(set(map(id, found))) == 2
    assert len(memory) == 2
    assert owners[0] in memory
    del tasks, made, owners
    gc.collect()
    assert len(memory) == 0


# Missing data ---------------------------------------------------------------------------------


@pytest.mark.sweep
@pytest.mark.parametrize(("kind", "kernel"), EAGER)
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_reaches_only_the_parcels_that_weigh_it(kind, kernel, bad):
    maps, x = maps_of(kind), data_of(150, 4)
    x[10, 2] = bad
    y = np.asarray(project(maps, x, reduction="sum", kernel=kernel))
    hit = np.zeros((7, 4), bool)
    hit[:, 2] = maps.to_dense()[:, 10] != 0
    np.testing.assert_array_equal(~np.isfinite(y), hit)
    if kind == "sparse":
        # What is stored as 0 weighs nothing.
        zeros = ai.SparseMaps(0 * maps.values, maps.indices, maps.indptr, maps.n_locations)
        nothing = project(zeros, x, reduction="sum", kernel=kernel)
        np.testing.assert_array_equal(nothing, np.zeros((7, 4)))
    x[10, 2] = 0
    np.testing.assert_allclose(
        y[~hit], np.asarray(project(maps, x, reduction="sum"))[~hit], rtol=1e-5, atol=1e-5
    )


@pytest.mark.parametrize("weights", ["hard", "pairs"])
def test_in_least_squares_nan_reaches_the_parcels_that_overlap(weights):
    if weights == "hard":
        maps, joined = ai.HardMaps(np.arange(12) % 4, 4), [1]
    else:  # Parcels 0 and 1 overlap, and 2 and 3.
        half = np.array([[1.0, 1, 1, 0, 0, 0], [0, 1, 1, 1, 1, 0]], np.float32)
        maps, joined = ai.DenseMaps(np.kron(np.eye(2, dtype=np.float32), half)), [0, 1]
    x = data_of(12, 3)
    x[1, 1] = np.nan
    y = np.asarray(project(maps, x, reduction="lstsq"))
    expected = np.zeros((4, 3), bool)
    expected[joined, 1] = True
    np.testing.assert_array_equal(np.isnan(y), expected)


@pytest.mark.sweep
@pytest.mark.parametrize("reduction", ["median", "min", "max", "std", "var", "mean"])
@pytest.mark.parametrize("missing", ["propagate", "omit"])
def test_the_host_reduces_as_the_device_does(reduction, missing):
    atlas = ai.HardMaps(np.random.default_rng(0).choice([-1, 0, 1, 3], 30_000).astype(np.int32), 4)
    x = data_of(30_000, 80)  # more than is reduced at once
    x[:2, 3], x[2, 4], x[:, 5], x[9, 6] = np.nan, np.inf, np.nan, -np.inf
    options = dict(reduction=reduction, missing=missing)
    host, device = (
        np.asarray(call(atlas, x, **options))
        for call in (project, jax.jit(project, static_argnames=list(options)))
    )
    np.testing.assert_allclose(host, device, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", KERNELS)
@pytest.mark.parametrize("kernel", ["auto", *HOST])
def test_omitted_locations_give_their_weight_to_the_others(kind, kernel):
    maps, x = maps_of(kind), data_of(150, 4)
    if kernel == "host":
        maps = jax.tree.map(lambda w: np.abs(w) if w.dtype == np.float32 else w, maps)
    x[::3, 1] = np.nan
    x[:, 2] = np.nan
    w = np.abs(maps.to_dense().astype(np.float64))
    seen = ~np.isnan(x)
    weight = w @ seen
    with np.errstate(invalid="ignore"):
        expected = maps.to_dense() @ np.where(seen, x, 0) / weight
        share = weight / w.sum(1, keepdims=True)
    y = project(maps, x, reduction="absmean", missing="omit", kernel=kernel)
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(coverage(maps, x, kernel=kernel), np.nan_to_num(share), rtol=1e-5)
    options = dict(reduction="absmean", missing="omit", min_coverage=0.9)
    y = np.asarray(project(maps, x, kernel=kernel, **options))
    np.testing.assert_array_equal(np.isnan(y), ~(share >= 0.9))


@pytest.mark.sweep
@pytest.mark.parametrize("kernel", [*KERNELS["hard"], *HOST])
@pytest.mark.parametrize("n_parcels", [1, 3])
def test_large_parcels_far_from_zero_lose_no_digits(kernel, n_parcels):
    x = data_of(200_000, 2) + np.float32(10_000)
    maps = ai.HardMaps(np.arange(200_000) % n_parcels, n_parcels)
    means = np.stack([x[i::n_parcels].mean(axis=0, dtype=np.float64) for i in range(n_parcels)])
    tolerance = 2e-5 if kernel == "tiles" else 1e-6
    np.testing.assert_allclose(project(maps, x, kernel=kernel), means, rtol=tolerance)
    if kernel in ("scatter", "host"):
        spread = np.stack([x[i::n_parcels].std(0, dtype=np.float64) for i in range(n_parcels)])
        ours = project(maps, x, reduction="std", kernel=kernel)
        np.testing.assert_allclose(ours, spread, rtol=1e-4)


def ulps(found, exact):
    """Return by how many float32 steps values differ at most."""
    return np.max(np.abs(np.asarray(found, np.float64) - exact) / np.spacing(np.float32(exact)))


@pytest.mark.parametrize("place", ["host", "jit"])
@pytest.mark.parametrize("form", [ai.SparseMaps, ai.DenseMaps])
def test_means_of_weighted_maps_are_off_by_little(form, place):
    n = 100_000
    rng = np.random.default_rng(0)
    weights = rng.uniform(0.1, 1, (2, n)).astype(np.float32)
    x = (1e4 + rng.normal(size=(n, 2)) * 10).astype(np.float32)
    maps = form.from_scipy(csr_array(weights)) if form is ai.SparseMaps else form(weights)
    mean = jax.jit(ai.project) if place == "jit" else ai.project
    exact = weights.astype(np.float64) @ x / weights.sum(axis=1, dtype=np.float64)[:, None]
    # As docs/faq.md says.
    tolerance = 2e-7 if place == "host" and form is ai.SparseMaps else 3e-6
    np.testing.assert_allclose(mean(maps, x), exact, rtol=tolerance)


@pytest.mark.sweep
@on_cpu
@pytest.mark.parametrize("kind", ["hard", "soft"])
@pytest.mark.parametrize("level", [1e4, 3e4])
@pytest.mark.parametrize("missing", ["propagate", "omit"])
def test_means_of_large_parcels_on_the_host_are_those_in_double_precision(kind, level, missing):
    n, rng = 400_000, np.random.default_rng(0)
    x = (level + rng.normal(size=(n, 3)) * 10).astype(np.float32)
    x[:, 2] = np.float32(level + 0.1)
    rows = np.where(np.arange(n) < 300_000, 0, 1 + np.arange(n) % 9)
    weights = np.ones(n, np.float32) if kind == "hard" else rng.random(n).astype(np.float32)
    if missing == "omit":
        x[::5, :2] = np.nan
    sparse = csr_array((weights, (rows, np.arange(n))), (10, n))
    maps = ai.HardMaps(rows, 10) if kind == "hard" else ai.SparseMaps.from_scipy(sparse)
    w, seen = sparse.astype(np.float64), ~np.isnan(x)
    exact = (w @ np.where(seen, x, 0).astype(np.float64)) / (w @ seen.astype(np.float64))
    y = np.asarray(project(maps, x, missing=missing, kernel="host"))
    assert ulps(y[:, :2], exact[:, :2]) <= 1
    # Of values that are all alike, partial sums in single precision round all alike.
    assert ulps(y[:, 2], exact[:, 2]) <= 2


@on_cpu
@pytest.mark.parametrize("n_parcels", [1, 40])
def test_means_of_labels_under_jit_are_those_in_double_precision(n_parcels):
    n, rng = 300_001, np.random.default_rng(0)
    x = (1e4 + rng.normal(size=(n, 2)) * 10).astype(np.float32)
    rows = rng.integers(0, n_parcels, n)
    maps = ai.HardMaps(rows, n_parcels)
    exact = np.stack([x[rows == i].mean(axis=0, dtype=np.float64) for i in range(n_parcels)])
    assert ulps(jax.jit(lambda x: project(maps, x))(x), exact) <= 1
    x[7] = np.inf
    y = np.asarray(jax.jit(lambda x: project(maps, x))(x))
    np.testing.assert_array_equal(np.isinf(y[:, 0]), np.arange(n_parcels) == rows[7])
    assert not np.isnan(y).any()


@on_cpu
@pytest.mark.parametrize(("n", "n_parcels", "time"), [(500, 4, 30), (1000, 10, 50), (9000, 50, 20)])
def test_means_of_labels_of_any_size_are_within_a_step_under_jit(n, n_parcels, time):
    rng = np.random.default_rng(0)
    x = (1e4 + rng.normal(size=(n, time)) * 10).astype(np.float32)
    rows = rng.integers(0, n_parcels, n)
    maps = ai.HardMaps(rows, n_parcels)
    exact = np.stack([x[rows == i].mean(axis=0, dtype=np.float64) for i in range(n_parcels)])
    traced = jax.jit(lambda m, x: project(m, x))
    assert ulps(traced(jax.tree.map(jnp.asarray, maps), x), exact) <= 1
    gradient = jax.jit(jax.grad(lambda x: (project(maps, x) * 2).sum()))(x)
    sizes = np.bincount(rows, minlength=n_parcels)
    np.testing.assert_allclose(gradient[:, 0], 2 / sizes[rows], rtol=1e-6)


@pytest.mark.sweep
@pytest.mark.parametrize("kernel", ["tiles", "dense", *HOST])
@pytest.mark.parametrize("weight", [0.3, 0.7])
def test_a_large_soft_parcel_among_many_loses_no_digits(kernel, weight):
    n, n_parcels = 60_000, 120
    rows = np.where(np.arange(n) < 40_000, 0, 1 + np.arange(n) % (n_parcels - 1))
    weights = np.full(n, weight, np.float32)
    maps = ai.SparseMaps.from_scipy(csr_array((weights, (rows, np.arange(n))), (n_parcels, n)))
    x = np.ones((n, 2), np.float32)
    np.testing.assert_allclose(project(maps, x, kernel=kernel), 1, rtol=5e-5)
    x[rows == 5] = np.nan  # All of the others are there, up to rounding.
    y = project(maps, x, missing="omit", min_coverage=1.0, kernel=kernel)
    np.testing.assert_array_equal(np.isnan(y[:, 0]), np.arange(n_parcels) == 5)
    assert np.asarray(coverage(maps, x)).max() <= 1
    if kernel in HOST:
        y = data_of(n_parcels, 2)
        np.testing.assert_array_equal(
            back_project(maps, y, kernel=kernel), y[rows] * np.float32(weight)
        )


@on_cpu
def test_the_host_adds_up_in_double_precision():
    maps = ai.DenseMaps(np.abs(data_of(2, 60)))
    with jax.enable_x64(new_val=True):
        x = data_of(60, 2).astype(np.float64)
        full = project(maps, x, missing="omit", min_coverage=1.0, kernel="host")
        np.testing.assert_allclose(full, project(maps, x, kernel="dense"), rtol=1e-14)


@pytest.mark.sweep
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize(
    ("kind", "kernel"), [("sparse", "tiles"), ("sparse", "groups"), ("dense", "dense")]
)
def test_weights_in_half_precision_are_added_up_in_single(kind, kernel, dtype):
    n = 70_000  # more than float16 can number
    values = jnp.ones(n, dtype)
    ends = np.array([0, n, n], np.int32)
    maps = {
        "sparse": ai.SparseMaps(values, np.arange(n, dtype=np.int32), ends, n),
        "dense": ai.DenseMaps(jnp.stack([values, 0 * values])),
    }[kind]
    x = np.ones((n, 2), np.float32)
    for reduction in ("mean", "lstsq"):
        call = jax.jit(lambda m, x, r=reduction: project(m, x, reduction=r, kernel=kernel))
        for y in (project(maps, x, reduction=reduction, kernel=kernel), call(maps, x)):
            np.testing.assert_allclose(y[0], 1, rtol=1e-5)
    np.testing.assert_allclose(coverage(maps, x)[:, 0], [1, 0], rtol=1e-5)


def test_a_large_parcel_among_many_keeps_its_mean_and_spread_under_jit():
    n, n_parcels = 120_000, 600
    rows = np.where(np.arange(n) < 100_000, 0, 1 + np.arange(n) % (n_parcels - 1))
    maps = ai.HardMaps(jnp.asarray(rows, jnp.int32), n_parcels)
    x = data_of(n, 2) + np.float32(10_000)
    own = x[rows == 0].astype(np.float64)
    for reduction, expected, rtol in (("mean", own.mean(0), 1e-4), ("std", own.std(0), 1e-3)):
        ours = jax.jit(lambda m, x, r=reduction: project(m, x, reduction=r))(maps, x)
        np.testing.assert_allclose(ours[0], expected, rtol=rtol)


@pytest.mark.parametrize("kernel", KERNELS["sparse"])
def test_sparse_maps_without_any_weight(kernel):
    maps, x = ai.SparseMaps.from_scipy(csr_array((3, 20), dtype=np.float32)), data_of(2, 20, 4)
    zeros = np.zeros((2, 3, 4))
    np.testing.assert_array_equal(project(maps, x, reduction="sum", kernel=kernel), zeros)
    np.testing.assert_array_equal(project(maps, x, empty=-1.0, kernel=kernel), zeros - 1)
    painted = back_project(maps, zeros.astype(np.float32), kernel=kernel)
    np.testing.assert_array_equal(painted, np.zeros((2, 20, 4)))


@pytest.mark.parametrize("kernel", ["auto", *HOST])
@pytest.mark.parametrize("reduction", ["median", "min", "max", "std", "var"])
def test_order_statistics_omit_nan(reduction, kernel):
    maps, x = maps_of("hard"), data_of(150, 4)
    x[::3, 1] = np.nan
    y = project(maps, x, reduction=reduction, missing="omit", empty=-1.0, kernel=kernel)
    function = getattr(np, f"nan{reduction}")
    for parcel in (0, 1, 2, 4):
        np.testing.assert_allclose(y[parcel], function(x[maps.labels == parcel], axis=0), rtol=1e-4)
    assert (np.asarray(y)[3] == -1).all()


@pytest.mark.parametrize("jit", [False, True], ids=["eager", "jit"])
def test_missing_data_can_be_an_error(jit):
    def call(x):
        return project(maps, x, missing="error")

    maps, x = maps_of("hard"), data_of(150, 4)
    call = jax.jit(call) if jit else call
    call(x)
    x[0, 0] = np.nan
    # Traced data can raise at run time only, where the error is JAX's and Equinox's.
    expected = Exception if jit else ValueError
    for bad in (x, np.full_like(x, np.nan), jnp.asarray(x)):
        with pytest.raises(expected, match="`data` holds NaN"):
            call(bad).block_until_ready()


@pytest.mark.parametrize("kind", KERNELS)
def test_data_of_nothing_but_nan(kind):
    y = project(maps_of(kind), np.full((150, 2), np.nan, np.float32), missing="omit", empty=0.0)
    np.testing.assert_array_equal(y, np.zeros((7, 2)))


# Least squares and back -----------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "kernel"), EAGER)
def test_least_squares(kind, kernel):
    maps, x = maps_of(kind), data_of(150, 5)
    y = np.asarray(project(maps, x, reduction="lstsq", kernel=kernel))
    kept = [0, 1, 2, 4, 5, 6]
    w = maps.to_dense().astype(np.float64)[kept]
    np.testing.assert_allclose(
        y[kept], np.linalg.lstsq(w.T, x, rcond=None)[0], rtol=1e-3, atol=1e-5
    )
    assert np.isnan(y[3]).all()


@pytest.mark.parametrize("kind", KERNELS)
def test_least_squares_of_traced_maps(kind):
    maps, x = maps_of(kind), data_of(150, 5)
    traced = jax.jit(lambda m, x: project(m, x, reduction="lstsq"))(
        jax.tree.map(jnp.asarray, maps), x
    )
    around = project(maps, x, reduction="lstsq")
    np.testing.assert_allclose(traced, around, rtol=1e-3, atol=1e-5)


def conditioned(n_parcels, n_locations, condition):
    """Return dense maps whose singular values fall from 1 to 1 / condition."""
    w = np.random.default_rng(0).normal(size=(n_parcels, n_locations))
    u, _, v = np.linalg.svd(w, full_matrices=False)
    s = np.geomspace(1, 1 / condition, n_parcels)
    return ai.DenseMaps(((u * s) @ v).astype(np.float32))


ILL = "ignore:least squares is poorly conditioned"


@pytest.mark.sweep
@pytest.mark.filterwarnings(ILL)
@pytest.mark.parametrize("condition", [2, 50, 2000])
@pytest.mark.parametrize("noise", [0.0, 1.0])
def test_least_squares_of_maps_that_overlap_much(condition, noise):
    maps, rng = conditioned(20, 3000, condition), np.random.default_rng(1)
    w = maps.values.astype(np.float64)
    x = w.T @ rng.normal(size=(20, 6))
    x = (x + noise * x.std() * rng.normal(size=x.shape)).astype(np.float32)
    exact = np.linalg.lstsq(w.T, x.astype(np.float64), rcond=None)[0]

    def error(y):
        return np.linalg.norm(y - exact) / np.linalg.norm(exact)

    if HOST:
        assert error(project(maps, x, reduction="lstsq")) < 1e-6
        assert chosen(maps, x, reduction="lstsq").place == "host"
    # In single precision what is not explained is rounded too, and the condition squared of it.
    worst = 1e-5 if not noise or condition <= 50 else 3e-5
    assert error(jax.jit(lambda x: project(maps, x, reduction="lstsq"))(x)) < worst
    traced = jax.jit(lambda m, x: project(m, x, reduction="lstsq"))
    assert error(traced(jax.tree.map(jnp.asarray, maps), x)) < worst


@pytest.mark.parametrize("kernel", ["dense", "auto"])
def test_least_squares_is_the_smallest_where_parcels_outnumber_locations(kernel):
    maps, x = ai.DenseMaps(data_of(9, 5)), data_of(5, 4)
    expected = np.linalg.lstsq(maps.values.T.astype(np.float64), x, rcond=None)[0]
    ours = project(maps, x, reduction="lstsq", kernel=kernel)
    np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-5)


def test_least_squares_recovers_what_made_the_data():
    maps = ai.DenseMaps(np.abs(data_of(5, 60)))
    b = data_of(5, 8)
    np.testing.assert_allclose(
        project(maps, maps.values.T @ b, reduction="lstsq"), b, rtol=1e-3, atol=1e-4
    )


def test_dependent_parcels_are_named_and_a_ridge_helps():
    w = np.abs(data_of(4, 60))
    w[2] = w[0]
    maps = ai.DenseMaps(w)
    x = np.ones((60, 1), np.float32)
    with pytest.raises(ValueError, match="row 0, row 2 depend linearly"):
        project(maps, x, reduction="lstsq")
    y = np.asarray(project(maps, x, reduction="lstsq", ridge=1e-3))
    assert abs(y[0] - y[2]) < 1e-3
    with pytest.raises(ValueError, match="`ridge` should be 0 or more"):
        project(maps, x, reduction="lstsq", ridge=-1.0)
    with pytest.raises(ValueError, match='`ridge` needs reduction="lstsq"'):
        project(maps, x, ridge=1e-3)
    with pytest.raises(ValueError, match='`ridge` needs method="pseudoinverse"'):
        back_project(maps, y, ridge=1e-3)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_weights_that_are_not_finite_are_refused_by_least_squares(bad):
    maps = ai.DenseMaps(np.array([[1, 1, 0, 0], [0, bad, 1, 1]], np.float32))
    with pytest.raises(ValueError, match="weights of row 1 are NaN or infinite"):
        project(maps, np.ones((4, 1), np.float32), reduction="lstsq")
    maps, values = ai.DenseMaps(np.ones((2, 4), np.float32)), np.ones((2, 1), np.float32)
    with pytest.raises(ValueError, match="by least squares, row 0, row 1 depend linearly"):
        back_project(maps, values, method="pseudoinverse")


def test_poor_conditioning_warns():
    w = np.abs(data_of(4, 60))
    w[2] = w[0] + np.float32(1e-2) * w[3]
    with pytest.warns(ai.AtlasWarning, match="poorly conditioned"):
        project(ai.DenseMaps(w[:3]), np.ones((60, 1), np.float32), reduction="lstsq")


@pytest.mark.sweep
@pytest.mark.parametrize(("kind", "kernel"), EAGER)
@pytest.mark.parametrize("shape", [(7,), (7, 4), (2, 7, 4)])
def test_back_projection(kind, kernel, shape):
    maps, y = maps_of(kind), data_of(*shape)
    w = maps.to_dense().astype(np.float64)
    np.testing.assert_allclose(back_project(maps, y, kernel=kernel), w.T @ y, rtol=1e-5, atol=1e-5)
    y[3 if y.ndim == 1 else (..., 3, slice(None))] = 0
    smallest = back_project(maps, y, method="pseudoinverse", kernel=kernel)
    np.testing.assert_allclose(smallest, np.linalg.pinv(w) @ y, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(("kind", "kernel"), EAGER)
def test_what_is_not_finite_is_painted_where_it_weighs(kind, kernel):
    maps, y = maps_of(kind), data_of(7, 3)
    y[1, 1], y[2, 2] = np.inf, np.nan
    painted = np.asarray(back_project(maps, y, kernel=kernel))
    w = maps.to_dense()
    assert np.isfinite(painted[:, 0]).all()
    np.testing.assert_array_equal(np.isfinite(painted[:, 1:]), w[[1, 2]].T == 0)


# Gradients ------------------------------------------------------------------------------------


def values_of(maps):
    return jnp.asarray(maps.values, jnp.float64)


DIFFERENTIATED = [
    *[(*case, "zscore") for case in CASES],
    *[(*case, "lstsq") for case in CHOSEN],
    *[("dense", "dense", reduction) for reduction in ("sum", "mean", "absmean", "psc")],
]


@pytest.mark.parametrize(("kind", "kernel", "reduction"), DIFFERENTIATED)
def test_gradients_are_those_of_finite_differences(kind, kernel, reduction):
    with jax.enable_x64(new_val=True):
        maps = maps_of(kind, n_locations=70)
        x = jnp.asarray(data_of(70, 4) + 2, jnp.float64)
        cotangent = jnp.asarray(data_of(7, 4, seed=5), jnp.float64)

        @jax.jit
        def loss(values, x):
            m = maps if kind == "hard" else eqx.tree_at(lambda m: m.values, maps, values)
            y = project(m, x, reduction=reduction, kernel=kernel, empty=0.0)
            return jnp.vdot(y, cotangent)

        values = jnp.ones(1) if kind == "hard" else values_of(maps)
        grads = jax.grad(loss, argnums=(0, 1))(values, x)
        for i, (at, grad) in enumerate(zip((values, x), grads, strict=True)):
            assert np.isfinite(grad).all()
            way = jnp.asarray(np.random.default_rng(3).normal(size=at.shape))
            if i == 0 and kind == "dense":
                way = jnp.where(values == 0, 0, way)  # where |w| has a corner
            step = 1e-5
            moved = [[values, x], [values, x]]
            moved[0][i], moved[1][i] = at + step * way, at - step * way
            numeric = (loss(*moved[0]) - loss(*moved[1])) / (2 * step)
            np.testing.assert_allclose(jnp.vdot(grad, way), numeric, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kernel", ["tiles", "dense"])
def test_gradients_of_the_sparse_product_in_closed_form(kernel):
    maps, x, g = maps_of("sparse"), data_of(150, 6), data_of(7, 6, seed=2)

    def loss(values, x):
        m = eqx.tree_at(lambda m: m.values, maps, values)
        return jnp.vdot(project(m, x, reduction="sum", kernel=kernel), g)

    dvalues, dx = jax.grad(loss, argnums=(0, 1))(jnp.asarray(maps.values), x)
    np.testing.assert_allclose(dx, maps.to_dense().T @ g, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(dvalues, (g @ x.T)[maps.rows(), maps.indices], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("kernel", "scanned"),
    [("tiles", False), ("tiles", True), ("groups", True), ("dense", False)],
)
def test_second_derivatives(kernel, scanned):
    maps = maps_of("sparse", n_locations=70)
    with jax.enable_x64(new_val=True):
        x = jnp.asarray(data_of(2, 70, 3), jnp.float64)

        def loss(values, kernel):
            m = eqx.tree_at(lambda m: m.values, maps, values)

            def call(x):
                return project(m, x, reduction="sum", kernel=kernel)

            return jnp.sum((jax.lax.map(call, x) if scanned else call(x)) ** 4)

        @jax.jit
        def curvature(values):
            return jax.grad(lambda v: jnp.sum(jax.grad(loss)(v, kernel) ** 2))(values)

        values = values_of(maps)
        way = jnp.asarray(np.random.default_rng(0).normal(size=values.shape))
        step = 1e-6
        first = [jnp.sum(jax.grad(loss)(values + s * step * way, "dense") ** 2) for s in (1, -1)]
        numeric = (first[0] - first[1]) / (2 * step)
        np.testing.assert_allclose(jnp.vdot(curvature(values), way), numeric, rtol=1e-5)


@pytest.mark.parametrize("reduction", ["std", "median", "min", "max", "zscore", "psc", "mean"])
def test_gradients_are_finite_at_the_edges(reduction):
    """A constant parcel, an empty parcel, and a parcel of one location."""
    maps = ai.HardMaps(np.array([0, 0, 0, 2, -1], np.int32), 3)
    grad = jax.grad(lambda x: project(maps, x, reduction=reduction, empty=0.0).sum())
    for x in (jnp.zeros((5, 3)), jnp.ones((5, 3)), jnp.ones((5, 1))):
        assert np.isfinite(grad(x)).all()


def test_forward_mode_of_dense_maps():
    maps, x = maps_of("dense"), jnp.asarray(data_of(150, 2))
    _, tangent = jax.jvp(lambda x: project(maps, x, reduction="sum"), (x,), (x,))
    np.testing.assert_allclose(tangent, maps.to_dense() @ np.asarray(x), rtol=1e-4, atol=1e-4)


# JAX: transformations, compilation, lowering ----------------------------------------------------


@pytest.mark.parametrize(("kind", "kernel"), CASES)
def test_vmap_and_scan_are_loops(kind, kernel):
    maps, x = maps_of(kind), jnp.asarray(data_of(3, 150, 2))
    loop = jnp.stack([project(maps, one, kernel=kernel, empty=0.0) for one in x])

    def one(x):
        return project(maps, x, kernel=kernel, empty=0.0)

    np.testing.assert_allclose(jax.vmap(one)(x), loop, rtol=1e-5, atol=1e-6)
    _, scanned = jax.lax.scan(lambda _, x: (None, one(x)), None, x)
    np.testing.assert_allclose(scanned, loop, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(one(x), loop, rtol=1e-5, atol=1e-6)


def test_one_compilation_a_shape():
    xla.reduce_data.clear_cache()
    for seed in range(3):
        project(maps_of("hard", seed=seed), data_of(150, 11, seed=seed))
    assert xla.reduce_data._cache_size() == 1
    project(maps_of("hard"), data_of(150, 11), empty=0.0)
    assert xla.reduce_data._cache_size() == 1
    maps = maps_of("sparse")
    for scale in range(3):
        project(eqx.tree_at(lambda m: m.values, maps, maps.values * scale), data_of(150, 11))
    assert xla.reduce_data._cache_size() == 2
    project(maps_of("hard"), data_of(150, 12))
    assert xla.reduce_data._cache_size() == 3


@on_cpu
@pytest.mark.parametrize("options", [{}, {"missing": "omit"}, {"reduction": "var"}], ids=str)
def test_an_atlas_that_is_a_constant_is_not_counted_while_a_program_is_compiled(options):
    maps = maps_of("hard")
    jitted = jax.jit(lambda x: project(maps, x, **options))
    program = jitted.lower(data_of(150, 3)).compile().as_text()
    assert "f32[7,3]" in program
    # Of a whole brain that would take XLA seconds.
    assert "f32[7]{0} constant" not in program


@pytest.mark.sweep
@pytest.mark.parametrize("reduction", ["mean", "lstsq"])
@pytest.mark.parametrize(("kind", "kernel"), CASES)
def test_an_atlas_may_be_met_first_inside_a_trace(kind, kernel, reduction):
    maps, x = maps_of(kind), data_of(150, 3)

    def call(x):
        return project(maps, x, reduction=reduction, kernel=kernel)

    within, around = jax.jit(call)(x), call(x)
    # A GPU adds atomically, in another order each time.
    np.testing.assert_allclose(within, around, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(jax.jit(lambda x: 2 * call(x))(x), 2 * around, rtol=1e-6, atol=1e-6)


def test_what_was_prepared_goes_with_its_atlas():
    maps = maps_of("sparse")
    assert remembered.stack_for(maps, kernel="auto") is remembered.stack_for(maps, kernel="auto")
    identity, alive = id(maps), weakref.ref(maps)
    del maps
    gc.collect()
    assert alive() is None
    assert identity not in remembered._memory._made


@pytest.mark.parametrize(
    ("kind", "kernel", "reduction"),
    [
        *[(*case, "mean") for case in CASES],
        ("sparse", "tiles", "lstsq"),
        ("hard", "tiles", "zscore"),
    ],
)
def test_kernels_and_their_gradients_lower_for_cuda(kind, kernel, reduction):
    ready = remembered.planned_maps(maps_of(kind), kernel=kernel)

    def step(ready, x):
        def loss(ready):
            zero = jnp.float32(0)
            out = xla.reduce_data(
                build_stack(*ready),
                x,
                None,
                zero,
                zero,
                zero,
                reduction=REDUCTIONS[reduction],
                missing="omit" if reduction == "mean" else "propagate",
            )
            return jnp.sum(out**2)

        return eqx.filter_value_and_grad(loss)(ready)

    arrays = jax.eval_shape(lambda p: p, ready)
    exported = jax.export.export(jax.jit(step), platforms=("cuda",))(
        arrays, jax.ShapeDtypeStruct((2, 150, 3), jnp.float32)
    )
    text = exported.mlir_module()
    assert "f64" not in text
    assert "callback" not in text


@pytest.mark.parametrize(
    "kernel",
    [pytest.param("scatter", marks=pytest.mark.sweep), "groups", "dense"],
)
def test_locations_in_pieces_have_the_same_products(kernel):
    """What data split along locations are multiplied by; each compartment has a kernel."""
    atlas = mixed_atlas().select(compartments=["cortex_L", "cortex_R"])
    stack = remembered.stack_for(atlas, kernel=kernel)
    split, (n_parcels, n) = stack.split_locations(2), np.sum(stack.shapes, axis=0).tolist()
    x, y = jnp.asarray(data_of(2, n, 3)), jnp.asarray(data_of(2, n_parcels, 3))
    np.testing.assert_allclose(split.product(x), stack.product(x), rtol=1e-6, atol=1e-6)
    np.testing.assert_array_equal(split.transposed(y), stack.transposed(y))
    np.testing.assert_array_equal(split.totals(np.float32), stack.totals(np.float32))
    sums = [one.absolute().totals(np.float32) for one in (split, stack)]
    np.testing.assert_array_equal(*sums)
    assert split.exact == stack.exact


@pytest.mark.sweep
def test_data_split_over_devices_gives_the_same_numbers():
    code = """
import numpy as np, jax, jax.numpy as jnp, atlasinit as ai
from atlasinit.projection import project
from jax.sharding import Mesh, NamedSharding, PartitionSpec as P
assert len(jax.devices()) == 4
mesh = Mesh(np.array(jax.devices()), ("d",))
rng = np.random.default_rng(0)
x = rng.normal(size=(8, 160, 5)).astype(np.float32)
w = rng.random((6, 160)).astype(np.float32) * (rng.random((6, 160)) < .3)
from scipy.sparse import csr_array
for maps in (ai.HardMaps(rng.integers(-1, 6, 160).astype(np.int32), 6),
             ai.SparseMaps.from_scipy(csr_array(w)), ai.DenseMaps(w)):
    plain = project(maps, x)
    for spec in (P("d"), P(None, "d"), P(None, None, None)):
        split = project(maps, jax.device_put(x, NamedSharding(mesh, spec)))
        np.testing.assert_allclose(split, plain, rtol=1e-5, atol=1e-6)
print("same")
"""
    import os
    import sys

    env = {
        **os.environ,
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": "--xla_force_host_platform_device_count=4",
    }
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True)
    assert done.stdout.strip().endswith("same"), done.stderr[-2000:]


# Bad input ------------------------------------------------------------------------------------

BAD = {
    "locations": (
        dict(data=np.ones((149, 3), np.float32)),
        ValueError,
        r"150 locations.*\(149, 3\)",
    ),
    "time first": (
        dict(data=np.ones((3, 150), np.float32)),
        ValueError,
        "Time seems to come first",
    ),
    "scalar": (dict(data=np.float32(1)), TypeError, "NumPy or JAX array"),
    "integers": (dict(data=np.ones((150, 3), np.int16)), TypeError, "real floating-point.*int16"),
    "complex": (dict(data=np.ones((150, 3), np.complex64)), TypeError, "complex64"),
    "objects": (dict(data=np.ones((150, 3), object)), TypeError, "object"),
    "long doubles": (dict(data=np.ones((150, 3), np.longdouble)), TypeError, "at most 64 bits"),
    "masked": (dict(data=np.ma.ones((150, 3), np.float32)), TypeError, "masked.*filled"),
    "list": (dict(data=[1.0, 2.0]), TypeError, "NumPy or JAX array, got list.*np.asarray"),
    "reduction": (dict(reduction="average"), ValueError, "`reduction` should be one of"),
    "missing": (dict(missing="drop"), ValueError, "`missing` should be"),
    "coverage": (dict(min_coverage=0.5), ValueError, "needs missing"),
    "coverage range": (dict(min_coverage=2.0, missing="omit"), ValueError, r"\[0, 1\]"),
    "lstsq omit": (dict(reduction="lstsq", missing="omit"), ValueError, "factorisation"),
    "kernel": (dict(kernel="fast"), ValueError, "`kernel` should be one of"),
    "compartments": (
        dict(data={"cortex": np.ones((150, 3), np.float32)}),
        ValueError,
        "compartments",
    ),
}


@pytest.mark.parametrize("case", BAD)
@pytest.mark.parametrize("jit", [False, True], ids=["eager", "jit"])
def test_bad_input_is_refused(case, jit):
    options, kind, message = BAD[case]
    options = {"data": np.ones((150, 3), np.float32), **options}
    data = options.pop("data")

    def call(maps):
        return project(maps, data, **options)

    maps = jax.tree.map(jnp.asarray, maps_of("hard"))
    with pytest.raises(kind, match=message):
        (jax.jit(call) if jit else call)(maps)


@pytest.mark.sweep
@pytest.mark.parametrize("dtype", [">f2", ">f4", ">f8"])
@pytest.mark.parametrize(
    ("kind", "kernel"), [(kind, k) for kind in KERNELS for k in ("auto", *HOST)]
)
def test_the_byte_order_of_files_does_not_matter(kind, kernel, dtype):
    maps, x = maps_of(kind), data_of(150, 4).astype(dtype)
    swapped = jax.tree.map(lambda a: a.astype(a.dtype.newbyteorder(">")), maps)
    native = x.astype(x.dtype.newbyteorder("="))
    # A call beforehand, as what is compiled may be used again without a look at the order.
    expected = project(maps, native, kernel=kernel)
    np.testing.assert_array_equal(
        project(type(maps)(*vars(swapped).values()), x, kernel=kernel), expected
    )
    y = np.asarray(expected)
    np.testing.assert_array_equal(
        back_project(maps, y.astype(dtype)), back_project(maps, y.astype(y.dtype))
    )


@pytest.mark.parametrize("reduction", ["median", "min", "max", "std", "var"])
def test_order_statistics_refuse_soft_maps(reduction):
    def call(x):
        return project(maps_of("sparse"), x, reduction=reduction)

    for function in (call, jax.jit(call)):
        with pytest.raises(ValueError, match="is for hard maps, got SparseMaps"):
            function(data_of(150, 2))


def test_the_kernel_follows_from_the_maps_and_the_backend():
    few = ai.SparseMaps.from_scipy(csr_array(np.eye(3, 20, dtype=np.float32)))
    chosen = {
        "cpu": ["scatter", "tiles", "tiles", "dense"],
        "gpu": ["groups", "groups", "tiles", "dense"],
    }
    many = ai.SparseMaps.from_scipy(csr_array(np.ones((5, 20), np.float32)))
    for backend, expected in chosen.items():
        maps = [maps_of("hard"), few, many, maps_of("dense")]
        names = [choosing.choose_kernel(m, backend=backend)[0].name for m in maps]
        assert names == expected


@on_cpu
def test_large_concrete_data_is_left_to_scipy_unless_tiles_read_it_often():
    few = ai.SparseMaps.from_scipy(csr_array(np.eye(8, 2048, dtype=np.float32)))
    many = ai.SparseMaps.from_scipy(csr_array(np.ones((8, 2048), np.float32)))
    hard = ai.HardMaps(np.zeros(2048, np.int32), 8)
    large, small = np.zeros((2048, 1024), np.float32), np.zeros((2048, 8), np.float32)
    for maps in (few, many, hard):
        assert chosen(maps, large).place == "host"
        assert chosen(maps, small).place == ("xla" if maps is hard else "host")
        assert chosen(maps, small[:, :2]).place == "xla"
    assert chosen(few, jnp.asarray(large)).place == "host"
    assert chosen(hard, jnp.asarray(large)).place == "host"
    assert chosen(many, jnp.asarray(large)).place == "xla"
    assert chosen(many, jnp.asarray(large), missing="omit").place == "host"
    assert chosen(many, jnp.asarray(large), kernel="host").place == "host"
    policy = choosing.Policy(large=2048)
    assert choosing.choose_place([hard], small[:, :1], policy=policy)[0] == "host"
    few_only = choosing.Policy(few=1.0)
    assert choosing.choose_kernel(many, backend="gpu", policy=few_only)[0].name == "tiles"


def test_the_choice_can_be_asked_for():
    atlas = mixed_atlas()
    x = data_of(atlas.n_locations, 3)
    found = chosen(atlas, x)
    cpu = jax.default_backend() == "cpu"
    assert found.place == "xla"
    assert found.kernels == {
        "cortex_L": "scatter" if cpu else "groups",
        "cortex_R": "scatter" if cpu else "groups",
        "subcortex": "tiles" if cpu else "groups",
    }
    assert "the data are small" in str(found) or not cpu
    assert "cortex_L: " in str(found)
    assert set(chosen(atlas, x, kernel="dense").kernels.values()) == {"dense"}
    halves = atlas.select(compartments=["cortex_L"])
    own = data_of(halves.n_locations, 2)
    assert chosen(halves, own, reduction="median", kernel="tiles").kernels == {
        "cortex_L": "scatter"
    }
    reasons = []
    jax.eval_shape(lambda x: reasons.append(chosen(halves, x).reasons["place"]), own)
    assert "traced" in reasons[0]
    with pytest.raises(ValueError, match="`kernel` should be one of auto, host, scatter"):
        chosen(atlas, x, kernel="fast")


@pytest.mark.parametrize("kernel", ["auto", *HOST, "dense"])
def test_a_hard_compartment_without_parcels(kernel):
    grid = ai.VolumeGrid((4, 2, 1), np.eye(4))
    atlas = ai.Atlas(
        name="two",
        space="line",
        maps={"a": ai.HardMaps(np.repeat([0, 1], 4), 2), "b": ai.DenseMaps(np.ones((1, 8), "f4"))},
        geometry={"a": grid, "b": grid},
        labels=table(["a", "a", "b"], names=["p", "q", "r"]),
    ).select(["r"])
    x = data_of(16, 3)
    np.testing.assert_allclose(
        project(atlas, x, kernel=kernel), x[8:].mean(axis=0)[None], rtol=1e-5
    )
    painted = back_project(atlas, np.ones((1, 2), np.float32), kernel=kernel)
    np.testing.assert_array_equal(painted, np.repeat([0, 1], 8)[:, None] * np.ones((1, 2)))
    if kernel not in HOST:
        gradient = jax.grad(lambda x: project(atlas, x, kernel=kernel, empty=0.0).sum())(x)
        np.testing.assert_allclose(gradient, np.repeat([0, 1 / 8], 8)[:, None] + 0 * x)


@pytest.mark.parametrize("kernel", ["dense", *HOST])
@pytest.mark.parametrize("share", [0.1, 0.3, 0.6, 0.7])
def test_a_coverage_that_is_just_reached_is_enough(share, kernel):
    maps = ai.DenseMaps(np.full((1, 10), 0.1, np.float32))
    x = np.where(np.arange(10) < round(10 * share), 1, np.nan).astype(np.float32)
    for least, defined in ((share, True), (share + 0.05, False)):
        y = project(maps, x, missing="omit", min_coverage=least, kernel=kernel)
        assert np.isfinite(np.asarray(y)).all() == defined


def test_options_have_the_precision_of_the_data():
    with jax.enable_x64(new_val=True):
        maps = ai.HardMaps(np.zeros(10, np.int32), 2)
        x = np.where(np.arange(10) < 6, 1.0, np.nan)
        y = project(maps, x, missing="omit", min_coverage=0.6, empty=0.1, kernel="scatter")
        np.testing.assert_array_equal(y, [1.0, 0.1])


def test_kernels_refuse_maps_that_they_cannot_compute():
    with pytest.raises(
        ValueError,
        match="computes HardMaps only, got SparseMaps; use auto, groups or tiles or dense",
    ):
        project(maps_of("sparse"), data_of(150, 2), kernel="scatter")
    with pytest.raises(ValueError, match="computes HardMaps, SparseMaps only, got DenseMaps"):
        project(maps_of("dense"), data_of(150, 2), kernel="tiles")
    with pytest.raises(ValueError, match="`method`"):
        back_project(maps_of("hard"), data_of(7, 2), method="inverse")
    with pytest.raises(ValueError, match=r"the parcels should, as in `values\.swapaxes"):
        back_project(maps_of("hard"), data_of(2, 7))
    with pytest.raises(TypeError, match=r"`values\.astype"):
        back_project(maps_of("hard"), np.ones((7, 2), int))
    with pytest.raises(ValueError, match="no locations"):
        project(ai.HardMaps(np.zeros(0, np.int32), 2), np.zeros((0, 2), np.float32))
    with pytest.raises(TypeError, match="an Atlas or maps"):
        project("aal", data_of(150, 2))


# Peers ----------------------------------------------------------------------------------------


def test_agreement_with_nilearn_on_labels():
    import nibabel as nib
    from nilearn.maskers import NiftiLabelsMasker

    shape = (8, 9, 7)
    labels = np.random.default_rng(0).integers(0, 6, shape)
    bold = (data_of(*shape, 10) + 100).astype(np.float32)
    affine = np.diag([2.0, 2, 2, 1])
    atlas = grid_atlas(ai.HardMaps((labels.reshape(-1) - 1).astype(np.int32), 5), shape)
    x = bold.reshape(-1, 10)
    for strategy, reduction in {
        "mean": "mean",
        "median": "median",
        "sum": "sum",
        "minimum": "min",
        "maximum": "max",
        "standard_deviation": "std",
        "variance": "var",
    }.items():
        masker = NiftiLabelsMasker(
            nib.Nifti1Image(labels.astype(np.int32), affine),
            strategy=strategy,
            standardize=None,
            keep_masked_labels=False,
        )
        theirs = masker.fit_transform(nib.Nifti1Image(bold, affine))
        ours = project(atlas, x, reduction=reduction)
        np.testing.assert_allclose(
            ours.T, theirs, rtol=2e-4 if reduction in ("std", "var") else 1e-5
        )


def test_agreement_with_nilearn_on_maps():
    import nibabel as nib
    from nilearn.maskers import NiftiMapsMasker

    shape = (8, 9, 7)
    maps = np.abs(data_of(5, *shape)) * (data_of(5, *shape, seed=4) > 0.5)
    bold = data_of(*shape, 10)
    affine = np.diag([2.0, 2, 2, 1])
    masker = NiftiMapsMasker(nib.Nifti1Image(np.moveaxis(maps, 0, -1), affine), standardize=None)
    theirs = masker.fit_transform(nib.Nifti1Image(bold, affine))
    sparse = ai.SparseMaps.from_scipy(csr_array(maps.reshape(5, -1)))
    ours = project(grid_atlas(sparse, shape), bold.reshape(-1, 10), reduction="lstsq")
    np.testing.assert_allclose(ours.T, theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.skipif(shutil.which("wb_command") is None, reason="needs wb_command")
def test_agreement_with_workbench(tmp_path):
    import nibabel as nib
    from nibabel.cifti2 import BrainModelAxis, Cifti2Image, LabelAxis, SeriesAxis

    n, time = 120, 6
    brain = BrainModelAxis.from_surface(np.arange(n), n, "CortexLeft")
    labels = np.random.default_rng(0).integers(0, 5, n)
    entries = {0: ("???", (0.0, 0.0, 0.0, 0.0))}
    entries.update({k: (f"p{k}", (0.1 * k, 0.2, 0.3, 1.0)) for k in range(1, 5)})
    label_image = Cifti2Image(
        labels[None].astype(np.float32), (LabelAxis(["labels"], [entries]), brain)
    )
    label_image.update_headers()
    label_image.nifti_header.set_intent("ConnDenseLabel")
    x = data_of(time, n)
    series = Cifti2Image(x, (SeriesAxis(0, 1, time), brain))
    series.nifti_header.set_intent("ConnDenseSeries")
    names = [tmp_path / name for name in ("a.dlabel.nii", "b.dtseries.nii", "c.ptseries.nii")]
    nib.save(label_image, names[0])
    nib.save(series, names[1])
    command = ["wb_command", "-cifti-parcellate", names[1], names[0], "COLUMN", names[2]]
    subprocess.run([str(c) for c in command], check=True, capture_output=True)
    maps = ai.HardMaps((labels - 1).astype(np.int32), 4)
    np.testing.assert_allclose(
        project(maps, x.T.copy()), nib.load(names[2]).get_fdata().T, rtol=1e-5, atol=1e-6
    )


# Tiles ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("size", "each"), [(4, 1), (64, 4), (64, 256)])
def test_every_weight_has_one_place_in_the_tiles(size, each):
    maps = maps_of("sparse")
    points = np.random.default_rng(0).normal(size=(150, 3))
    plan = tiles.plan_tiles(maps, points, size=size, each=each)
    entries = tiles.spread(plan, jnp.arange(1.0, maps.values.size + 1))
    numbers = np.arange(1.0, maps.values.size + 1)
    np.testing.assert_array_equal(tiles.collect(plan, entries), numbers)
    np.testing.assert_array_equal(np.sort(entries)[-maps.values.size :], numbers)
    assert int((entries != 0).sum()) == maps.values.size
    w, x = maps.to_dense(), data_of(150, 3)
    entries = tiles.spread(plan, jnp.asarray(maps.values))
    y = tiles.product(plan.layout, entries, jnp.asarray(x))
    np.testing.assert_allclose(y, w @ x, rtol=1e-4, atol=1e-5)
    # A location that is not finite spoils the parcels that weigh it, and a parcel its locations.
    for multiply, matrix, n in ((tiles.product, w, 150), (tiles.transposed, w.T, w.shape[0])):
        bad = data_of(n, 3)
        bad[[2, 3], [0, 1]] = np.nan, np.inf
        expected = matrix @ np.where(np.isfinite(bad), bad, 0)
        expected[(matrix != 0).astype(int) @ ~np.isfinite(bad) > 0] = np.nan
        found = multiply(plan.layout, entries, jnp.asarray(bad))
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("surfaces", [(True, True), (True, False)])
def test_two_hemispheres_of_sparse_maps_are_one_matrix(surfaces):
    """Their program has a loop for blocks as wide, not one a hemisphere, within one of stages."""
    maps, geometry = {}, {}
    for c, n, sphere in zip(("cortex_L", "cortex_R"), (150, 130), surfaces, strict=True):
        rng = np.random.default_rng(n)
        weights = rng.random((7, n), np.float32) * (rng.random((7, n)) < 0.3)
        maps[c] = ai.SparseMaps.from_scipy(csr_array(weights.astype(np.float32)))
        points = rng.normal(size=(n, 3)).astype(np.float32) if sphere else None
        geometry[c] = ai.SurfaceMesh(n, sphere=points)
    labels = table([c for c in maps for _ in range(7)])
    atlas = ai.Atlas(name="both", space="mine", maps=maps, geometry=geometry, labels=labels)
    layer = ai.AtlasLinear.from_atlas(atlas, reduction="sum")
    x = data_of(280, 3)
    parts = zip(maps.values(), (x[:150], x[150:]), strict=True)
    expected = [m.to_dense() @ part for m, part in parts]
    np.testing.assert_allclose(layer(x), np.concatenate(expected), rtol=1e-4, atol=1e-5)
    text = jax.jit(lambda layer, x: layer(x)).lower(layer, x).as_text()
    assert text.count("stablehlo.while") == 2
