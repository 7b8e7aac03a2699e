"""Initialisers: agreement with JAX, moments from theory, structure, frameworks, bad input."""

import math

import equinox as eqx
import flax.linen as linen
import jax
import jax.numpy as jnp
import jax.random as jr
import mpmath
import numpy as np
import pytest
import scipy.linalg
import scipy.stats
from flax import nnx
from helpers import close, mixed_atlas, unchecked
from helpers_smoothing import icosphere

import atlasinit as ai
from atlasinit import domains
from atlasinit import initializers as init

try:
    from jax import enable_x64
except ImportError:  # before JAX 0.8
    from jax.experimental import enable_x64


def x64():
    return enable_x64(True)  # noqa: FBT003


GRID = ai.VolumeGrid((6, 6, 5), np.diag([2.0, 2.0, 2.0, 1.0]))
TWO = {"cortex_L": ai.SurfaceMesh(500, hemisphere="L"), "volume": GRID}


# Structure


def test_identity():
    batch = init.identity(scale=2.0, shift=0.5)(jr.key(0), (4, 3, 3))
    np.testing.assert_array_equal(batch, np.broadcast_to(2 * np.eye(3) + 0.5, (4, 3, 3)))


@pytest.mark.parametrize(
    ("base", "shape", "dtype"),
    [
        (np.arange(6).reshape(2, 3), (4, 2, 3), None),
        (7, (2, 2), None),
        # The two of GoMLX's own tests.
        ([7, 11, 17], (2, 3), "int32"),
        (3, (2, 2), "int8"),
        ([1.0, 0.0], (3, 2), "bool"),
        (np.float64([2.0, 250.0]), (2,), "uint8"),
        ([0.5, 2.5], (2, 2), "bfloat16"),
        (1 + 2j, (2,), "complex64"),
    ],
)
def test_broadcast_repeats_a_suffix(base, shape, dtype):
    out = init.broadcast(base)(jr.key(0), shape, dtype)
    np.testing.assert_array_equal(out, np.broadcast_to(base, shape))
    assert out.dtype == (dtype or jnp.float32)


class Event:
    batch_shape, event_shape = (), (2,)

    def sample(self, key, sample_shape=()):
        return 3 + jr.normal(key, (*sample_shape, 2))


class Seeded:
    def sample(self, *, seed, sample_shape):
        return jr.uniform(seed, sample_shape)


def test_any_distribution(key):
    np.testing.assert_array_equal(
        init.from_distribution(Event())(key, (5, 2)), 3 + jr.normal(key, (5, 2))
    )
    np.testing.assert_array_equal(
        init.from_distribution(Seeded())(key, (5, 2)), jr.uniform(key, (5, 2))
    )
    np.testing.assert_array_equal(
        init.from_distribution(jr.laplace)(key, (5, 2)), jr.laplace(key, (5, 2))
    )


def test_delta_plus_noise(key):
    still = init.delta_plus(noise=0.0, scale=3.0)(key, (4, 5))
    assert still[2, 2] == 3
    assert still.sum() == 3
    lagged = init.delta_plus((1,), noise=0.0)(key, (4, 5))
    np.testing.assert_array_equal(lagged, np.tile([0, 1, 0, 0, 0], (4, 1)))
    noisy = init.delta_plus((0, 0), noise=0.2)(key, (200, 100))
    close(noisy.ravel()[1:].std(), 0.2, 0.2 / math.sqrt(2 * noisy.size))
    rows = init.delta_plus((0, 0), noise=np.array([[0.0], [1.0]]))(key, (2, 50))
    assert (rows[0, 1:] == 0).all()
    assert (rows[1] != 0).all()


def test_laplace_is_a_double_exponential(key):
    out = init.laplace((1.0, 2.0), width=(0.5, 2.0), noise=0.0)(key, (4, 6))
    i, j = np.mgrid[:4, :6]
    np.testing.assert_allclose(out, np.exp(-abs(i - 1) / 0.5 - abs(j - 2) / 2), rtol=1e-6)
    assert init.laplace(normalize="max", noise=0.0)(key, (5, 4)).max() == 1
    far = init.laplace((1e6,), normalize="sum", noise=0.0)(key, (4,))
    np.testing.assert_allclose(far, np.exp([-3.0, -2, -1, 0]) / np.exp([-3.0, -2, -1, 0]).sum())
    assert init.laplace(normalize="max")(key, (0, 3)).shape == (0, 3)
    rows = init.laplace(axes=(-1,), normalize="sum", noise=0.0)(key, (3, 7))
    np.testing.assert_allclose(rows.sum(1), 1, rtol=1e-6)
    assert (rows[0] == rows[2]).all()
    noise = init.laplace()(key, (100, 100)) - init.laplace(noise=0.0)(key, (100, 100))
    close(noise.std(), 0.02, 0.02 / math.sqrt(2 * noise.size))


@pytest.mark.parametrize("shape", [(5, 5), (3, 6), (6, 3)])
def test_toeplitz_equals_scipy(shape):
    column, row = [1.0, 2.0, 3.0], [9.0, 5.0]
    full = [(v + [7.0] * 9)[:n] for v, n in zip((column, row), shape, strict=True)]
    expected = scipy.linalg.toeplitz(*full)
    found = init.toeplitz(column, row, fill=7.0)(jr.key(0), (2, *shape))
    np.testing.assert_array_equal(found, np.broadcast_to(expected, (2, *shape)))
    symmetric = init.toeplitz(column)(jr.key(0), (4, 4))
    np.testing.assert_array_equal(symmetric, scipy.linalg.toeplitz([1, 2, 3, 0]))


def test_stacks_of_toeplitz_equal_scipy_one_by_one():
    rng = np.random.default_rng(0)
    # The stacks broadcast as in hypercoil's own test: (3, 10) and (2, 3, 8) make (2, 3, 10, 8).
    column, row, fill = rng.normal(size=(3, 4)), rng.normal(size=(2, 3, 3)), rng.normal(size=(3,))
    found = init.toeplitz(column, row, fill=fill)(jr.key(0), (5, 2, 3, 6, 5))
    for i, j in np.ndindex(2, 3):
        down, along = np.full(6, fill[j]), np.full(5, fill[j])
        down[:4], along[:3] = column[j], row[i, j]
        expected = np.broadcast_to(scipy.linalg.toeplitz(down, along), (5, 6, 5))
        np.testing.assert_allclose(found[:, i, j], expected, rtol=1e-6)


# Symmetric positive definite


def definite_sample(n=4, count=6):
    root = jr.normal(jr.key(5), (count, n, 2 * n), jnp.float64)
    return root @ root.mT / n


@pytest.mark.parametrize("mean", ["euclidean", "harmonic", "log_euclidean", "geometric"])
def test_means_have_their_definition(mean):
    with x64():
        a = np.asarray(definite_sample())
        found = np.asarray(init.mean_spd(a, mean))
    inv, log, root = np.linalg.inv, scipy.linalg.logm, scipy.linalg.sqrtm
    if mean == "geometric":
        white = inv(root(found))
        residual = sum(log(white @ x @ white) for x in a)
        np.testing.assert_allclose(residual, 0, atol=1e-10)
        return
    expected = {
        "euclidean": lambda: a.mean(0),
        "harmonic": lambda: inv(np.mean([inv(x) for x in a], 0)),
        "log_euclidean": lambda: scipy.linalg.expm(np.mean([log(x) for x in a], 0)),
    }[mean]()
    np.testing.assert_allclose(found, expected, atol=1e-10)


def of_condition(condition, n, count):
    rng = np.random.default_rng(n + count)
    turns = [np.linalg.qr(rng.normal(size=(n, n)))[0] for _ in range(count)]
    a = np.stack([(q * np.geomspace(1, condition, n)) @ q.T for q in turns])
    return (a + a.mT) / 2


def closed_form(p, q):
    """P^(1/2) (P^(-1/2) Q P^(-1/2))^(1/2) P^(1/2) with 40 digits, of which condition 1e6 needs 20."""
    with mpmath.workdps(40):
        p, q = (mpmath.matrix(x.tolist()) for x in (p, q))

        def root(m):
            values, vectors = mpmath.eigsy((m + m.T) / 2)
            return vectors * mpmath.diag([mpmath.sqrt(v) for v in values]) * vectors.T

        half = root(p)
        back = half**-1
        return np.array((half * root(back * q * back) * half).tolist(), float)


@pytest.mark.sweep
@pytest.mark.parametrize("condition", [1e2, 1e6])
@pytest.mark.parametrize(("n", "count"), [(2, 2), (12, 2), (10, 7)])
def test_geometric_mean_of_badly_conditioned_matrices(condition, n, count):
    a = of_condition(condition, n, count)
    with x64():
        found = np.asarray(init.mean_spd(a))
    if count == 2:
        expected = closed_form(*a)
        assert np.linalg.norm(found - expected) < 1e-9 * np.linalg.norm(expected)
    else:
        # The mean of the inverses is the inverse of the mean, and the determinant is geometric.
        with x64():
            inverse = np.asarray(init.mean_spd(np.linalg.inv(a)))
        np.testing.assert_allclose(inverse @ found, np.eye(n), atol=1e-5)
        logs = [np.linalg.slogdet(x)[1] for x in (found, *a)]
        assert logs[0] == pytest.approx(np.mean(logs[1:]), rel=1e-9)
    single = a.astype(np.float32)
    with x64():
        expected = np.asarray(init.mean_spd(single.astype(np.float64)))
    found = init.mean_spd(single)
    assert found.dtype == jnp.float32
    assert np.linalg.norm(found - expected) < 1e-5 * np.linalg.norm(expected)


@pytest.mark.parametrize(
    ("n", "count", "condition"),
    [
        pytest.param(400, 2, 1e6, marks=pytest.mark.sweep),
        pytest.param(40, 200, 1e6, marks=pytest.mark.sweep),
        (5, 2, 1e4),
    ],
)
def test_geometric_mean_of_large_matrices_and_many(n, count, condition):
    """The mean of the inverses is the inverse of the mean; twice the congruence is no news."""
    a = of_condition(condition, n, count)
    with x64():
        found, inverse = (np.asarray(init.mean_spd(x)) for x in (a, np.linalg.inv(a)))
    # Both are found apart; their product has the errors of both, times the condition of neither.
    assert np.linalg.norm(scipy.linalg.inv(inverse) - found) < 1e-7 * np.linalg.norm(found)
    if count == 2:
        # G P^-1 G = Q, the equation that the closed form solves.
        back = found @ np.linalg.solve(a[0], found)
        assert np.linalg.norm(back - a[1]) < 1e-8 * np.linalg.norm(a[1])


def test_means_keep_batch_axes():
    with x64():
        a = np.asarray(definite_sample(n=3, count=10)).reshape(5, 2, 1, 3, 3)
        found = init.mean_spd(a)
        assert found.shape == (2, 1, 3, 3)
        np.testing.assert_allclose(found[1, 0], init.mean_spd(a[:, 1, 0]), atol=1e-10)
        last = init.mean_spd(np.moveaxis(a, 0, 2), axis=-3)
        np.testing.assert_array_equal(last, found)
        every = init.mean_spd(a, "euclidean", axis=(0, 2))
        np.testing.assert_allclose(every, a.mean((0, 2)))


@pytest.mark.sweep
@pytest.mark.parametrize("mean", ["euclidean", "harmonic", "log_euclidean", "geometric"])
def test_psi_mixes_in_the_identity(mean):
    rng = np.random.default_rng(1)
    thin = rng.normal(size=(6, 4, 3))
    a = (thin @ thin.mT).astype(np.float32)  # of rank 3
    mixed = (0.9 * a + 0.1 * np.eye(4)).astype(np.float32)
    found = init.mean_spd(a, mean, psi=0.1)
    np.testing.assert_allclose(found, init.mean_spd(mixed, mean), rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match=r"`matrices` should be positive definite.*`psi`"):
        init.mean_spd(a, mean)
    assert np.isfinite(init.mean_spd(a, mean, psi=0.01)).all()


def test_tangency_of_convolution_weights(key):
    with x64():
        sample = np.asarray(definite_sample(), np.float32)[:, None, None].repeat(5, 1)
    means = ["euclidean"] * 2
    still = init.tangency(sample, means)(key, None)
    assert still.shape == (2, 5, 1, 4, 4)
    np.testing.assert_allclose(still[0], sample.mean(0), rtol=1e-6)
    noisy = init.tangency(sample, means, noise=0.5)(key, (2, 5, 1, 4, 4))
    assert (np.linalg.eigvalsh(noisy) > 0).all()
    assert not np.allclose(noisy[0], noisy[1])
    mixed = init.tangency(sample, means[:1], psi=0.5)(key, None)
    np.testing.assert_allclose(mixed[0], sample.mean(0) / 2 + np.eye(4) / 2, rtol=1e-6)


def test_geometric_mean_says_where_it_has_not_converged():
    with pytest.warns(ai.AtlasWarning, match=r"has not converged[\s\S]*raise `max_iterations`"):
        init.mean_spd(of_condition(1e4, 5, 3).astype(np.float32), max_iterations=2)


def test_geometric_mean_of_traced_matrices():
    with x64():
        a = np.asarray(definite_sample(), np.float32)
    np.testing.assert_allclose(jax.jit(init.mean_spd)(a), init.mean_spd(a), rtol=1e-4, atol=1e-4)
    constant = jax.jit(lambda: init.mean_spd(a))()
    np.testing.assert_array_equal(constant, init.mean_spd(a))


@pytest.mark.sweep
@pytest.mark.parametrize("mean", ["euclidean", "harmonic", "log_euclidean", "geometric"])
@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16])
def test_means_in_half_precision(mean, dtype):
    with x64():
        a = np.asarray(definite_sample()).astype(dtype)
    found = init.mean_spd(a, mean)
    assert found.dtype == dtype
    single = init.mean_spd(a.astype(jnp.float32), mean)
    np.testing.assert_array_equal(found, single.astype(dtype))


def test_geometric_mean_of_two_and_order_of_means():
    with x64():
        a, b = np.asarray(definite_sample(count=2))
        root = scipy.linalg.sqrtm(a)
        white = np.linalg.inv(root)
        expected = root @ scipy.linalg.sqrtm(white @ b @ white) @ root
        np.testing.assert_allclose(init.mean_spd(np.stack([a, b])), expected, atol=1e-10)
        means = [
            init.mean_spd(definite_sample(), m) for m in ("harmonic", "geometric", "euclidean")
        ]
        assert (np.linalg.eigvalsh(means[1] - means[0]) > 0).all()
        assert (np.linalg.eigvalsh(means[2] - means[1]) > 0).all()


def test_tangency_with_noise_in_half_precision(key):
    sample = np.stack([np.eye(3), 2 * np.eye(3)]).astype(np.float32)
    maker = init.tangency(sample, ["euclidean"], noise=0.1)
    half = maker(key, None, jnp.bfloat16)
    assert half.dtype == jnp.bfloat16
    single = maker(key, None, jnp.float32)
    np.testing.assert_array_equal(half, single.astype(jnp.bfloat16))


def test_tangency_points_stay_definite(key):
    with x64():
        sample = definite_sample()
        still = init.tangency(sample, ["geometric", "euclidean"])
        np.testing.assert_allclose(still(key, (2, 4, 4), jnp.float64)[1], sample.mean(0))
        noisy = init.tangency(sample, ["geometric"] * 3, noise=2.0)(key, (3, 4, 4), jnp.float64)
        assert (np.linalg.eigvalsh(noisy) > 0).all()
        assert not np.allclose(noisy[0], noisy[1])
        model = init.initialize({"t": jnp.zeros((2, 4, 4), jnp.float64)}, "t", still, key=key)
        assert isinstance(model["t"].domain, domains.SPD)
        np.testing.assert_allclose(domains.unwrap(model)["t"], still(key, None, jnp.float64))


# Positive weights


def test_hoedt_weights_have_the_papers_moments(key):
    n = 200
    drawn = np.log(np.asarray(init.hoedt_normal()(key, (n, 5000)), np.float64))
    bias = float(init.hoedt_bias()(key, (1,), n)[0])
    assert bias == pytest.approx(-0.73746, abs=1e-5)
    mean = -bias * math.sqrt(2 * math.pi) / n
    spread = math.log1p(1 / n / mean**2)
    close(drawn.mean(), math.log(mean) - spread / 2, math.sqrt(spread / drawn.size))
    close(drawn.var(), spread, spread * math.sqrt(2 / drawn.size))


def test_hoedt_layer_keeps_mean_variance_and_correlation(key):
    """Pre-activations N(0, 1) with correlation 1/2, through ReLU and one layer of width 400.

    Averages over weights are averages over the layer's units. The weights' second moment is
    that of the log-normal fitted to them: its sample mean would converge too slowly.
    """
    n, units, samples = 400, 10_000, 20_000
    weights = np.asarray(init.hoedt_normal()(key, (n, units)), np.float64)
    bias = float(init.hoedt_bias()(key, (1,), n)[0])
    logs = np.log(weights)
    standard = (logs - logs.mean()) / logs.std()
    assert scipy.stats.kstest(standard[:, :100].ravel(), "norm").pvalue > 1e-3
    variance = np.exp(2 * logs.mean() + logs.var()) * np.expm1(logs.var())

    rng = np.random.default_rng(0)
    before = (rng.normal(size=(samples, 1)) + rng.normal(size=(samples, n))) / np.sqrt(2)
    active = np.maximum(before, 0)
    mean = active @ weights.mean(1) + bias
    covariance = mean**2
    square = variance * (active**2).sum(1) + covariance
    for found, moment in zip([mean, square, covariance], [0, 1, 0.5], strict=True):
        # The samples' error, and 0.6% of the weights' moments (0.05 / 0.0046 / sqrt(n units)).
        close(found.mean(), moment, found.std() / math.sqrt(samples) + 0.006)


def test_hoedt_correlation_leaves_its_fixed_point_through_plain_layers():
    """What the documentation says does not hold: near 1/2 the correlation is pushed away."""
    n = 400
    mean = -float(init.hoedt_bias()(jr.key(0), (1,), n)[0]) * math.sqrt(2 * math.pi) / n

    def next_covariance(rho):
        """The covariance after a layer, in the limit of wide layers and normal inputs."""
        product = (math.sqrt(1 - rho**2) + rho * (math.pi / 2 + math.asin(rho))) / (2 * math.pi)
        return n**2 * mean**2 * (product - 1 / (2 * math.pi))

    assert next_covariance(0.5) == pytest.approx(0.5, rel=0.01)
    assert next_covariance(0.51) - next_covariance(0.49) > 1.1 * 0.02


def test_hoedt_weights_have_the_dtype_asked_for(key):
    half = init.hoedt_normal(dtype=jnp.float16)
    assert half(key, (3, 2)).dtype == jnp.float16
    assert half(key, (3, 2), jnp.float32).dtype == jnp.float32


def test_hoedt_weights_are_constrained_positive(key):
    model = eqx.nn.Linear(50, 20, key=key)
    model = init.initialize(model, "weight", init.hoedt_normal(in_axis=-1), key=key)
    model = init.initialize(model, "bias", init.hoedt_bias(), key=key, fan_in=50)
    plain = domains.unwrap(model)
    assert (plain.weight > 0).all()
    assert float(plain.bias[0]) == float(init.hoedt_bias()(key, (1,), 50)[0])
    assert isinstance(model.weight.domain, domains.Positive)


# Dirichlet


@pytest.mark.sweep
@pytest.mark.parametrize("concentration", [0.5, 100.0, (1.0, 2.0, 5.0)])
@pytest.mark.parametrize("axis", [-2, -1])
def test_dirichlet_moments(concentration, axis, key):
    n = 20_000
    shape = (3, n) if axis == -2 else (n, 3)
    drawn = init.Dirichlet(concentration, axis=axis)(key, shape)
    np.testing.assert_allclose(drawn.sum(axis), 1, atol=1e-5)
    rows = np.asarray(drawn if axis == -2 else drawn.T, np.float64)
    alpha = np.broadcast_to(np.asarray(concentration), 3)
    total = alpha.sum()
    mean = alpha / total
    covariance = (np.diag(mean) - np.outer(mean, mean)) / (total + 1)
    close(rows.mean(1), mean, np.sqrt(np.diag(covariance) / n))
    centred = rows - mean[:, None]
    products = centred[:, None] * centred[None]
    close(products.mean(-1), covariance, products.std(-1) / math.sqrt(n))


def test_dirichlet_is_paired_with_the_simplex(key):
    model = init.initialize({"w": jnp.zeros((4, 30))}, "*", init.Dirichlet(1.0), key=key)
    assert model["w"].domain == domains.Simplex()
    np.testing.assert_allclose(domains.unwrap(model)["w"].sum(0), 1, atol=1e-6)
    bare = init.initialize(
        {"w": jnp.zeros((4, 30))}, "*", init.Dirichlet(1.0), key=key, domain=None
    )
    np.testing.assert_allclose(domains.unwrap(model)["w"], bare["w"], atol=1e-6)


def test_dirichlet_atlas(key):
    counts = {"cortex_L": 7, "volume": 0}
    atlas = ai.dirichlet_atlas(TWO, n_parcels=counts, concentration=2.0, key=key, space="test")
    assert atlas.n_parcels == 7
    assert atlas.maps["volume"].values.shape == (0, 180)
    np.testing.assert_allclose(atlas.maps["cortex_L"].values.sum(0), 1, atol=1e-5)
    assert atlas.labels["hemisphere"].tolist() == ["L"] * 7
    alone = ai.dirichlet_atlas(
        {"cortex_L": TWO["cortex_L"]}, n_parcels=7, concentration=2.0, key=key
    )
    np.testing.assert_array_equal(alone.maps["cortex_L"].values, atlas.maps["cortex_L"].values)
    like = ai.dirichlet_atlas(mixed_atlas(), key=key)
    assert [m.n_parcels for m in like.maps.values()] == [3, 2, 2]
    assert like.space == "test"


def test_smooth_dirichlet_atlas_varies_slowly(key):
    rough = ai.dirichlet_atlas({"volume": GRID}, n_parcels=4, concentration=1.0, key=key)
    smooth = ai.dirichlet_atlas({"volume": GRID}, n_parcels=4, concentration=1.0, key=key, fwhm=6.0)
    values = [a.to_dense()["volume"].reshape(4, 6, 6, 5) for a in (rough, smooth)]
    np.testing.assert_allclose(values[1].sum(0), 1, atol=1e-5)
    steps = [np.abs(np.diff(v, axis=1)).mean() for v in values]
    assert steps[1] < 0.2 * steps[0]


def test_smooth_dirichlet_atlas_varies_slowly_along_the_cortex(key):
    """Between neighbours on both sides of a mesh that is folded back on itself."""
    points, faces = icosphere(3, radius=1.0)
    flat = points * [40, 40, 1.0]  # 2 mm thick: its two sides are near in space, and far along it
    mesh = ai.SurfaceMesh(
        len(points), hemisphere="L", faces=faces, sphere=40 * points, anatomical=flat
    )
    options = {"n_parcels": 4, "concentration": 1.0, "key": key}
    rough = ai.dirichlet_atlas({"cortex_L": mesh}, **options).to_dense()["cortex_L"]
    smooth = ai.dirichlet_atlas({"cortex_L": mesh}, fwhm=20.0, **options).to_dense()["cortex_L"]
    np.testing.assert_allclose(smooth.sum(axis=0), 1, atol=1e-5)
    one, other = faces[:, 0], faces[:, 1]

    def steps(values, a, b):
        return np.abs(values[:, a] - values[:, b]).mean()

    assert steps(smooth, one, other) < 0.25 * steps(rough, one, other)
    upper = np.flatnonzero(points[:, 2] > 0.8)
    across = np.linalg.norm(points[upper, None] * [1, 1, -1] - points, axis=2).argmin(axis=1)
    # Beyond the edge, 40 mm and more along the mesh, values differ as any do.
    assert steps(smooth, upper, across) > 2 * steps(smooth, one, other)


# Atlas


@pytest.mark.parametrize("layout", ["parcels_locations", "locations_parcels"])
def test_atlas_weights_are_its_blocks(layout, key):
    atlas = mixed_atlas()
    made = init.AtlasWeights(atlas, layout=layout)
    weights = made(key, made.shape)
    weights = np.asarray(weights if layout == "parcels_locations" else weights.T)
    expected = scipy.linalg.block_diag(*atlas.to_dense().values())
    np.testing.assert_array_equal(weights, expected)
    one = init.AtlasWeights(atlas, compartment="cortex_R", layout=layout)(key)
    dense = atlas.to_dense()["cortex_R"]
    np.testing.assert_array_equal(one if layout == "parcels_locations" else one.T, dense)


def test_atlas_smooths_normalises_and_adds_noise(key):
    atlas = ai.dirichlet_atlas({"volume": GRID}, n_parcels=3, concentration=0.1, key=key).harden()
    smoothed = init.AtlasWeights(atlas, fwhm=5.0, normalize="parcel")(key)
    expected = ai.smooth(atlas, fwhm=5.0).normalize().to_dense()["volume"]
    np.testing.assert_allclose(smoothed, expected, atol=1e-7)
    noise = init.AtlasWeights(atlas, noise=0.1)(key) - atlas.to_dense()["volume"]
    close(noise.std(), 0.1, 0.1 / math.sqrt(2 * noise.size))


@pytest.mark.parametrize(("normalize", "axis"), [("parcel", 1), ("location", 0)])
def test_atlas_with_noise_may_be_jitted(normalize, axis, key):
    maker = init.AtlasWeights(mixed_atlas(), noise=0.1, normalize=normalize)
    weights = maker(key)
    np.testing.assert_allclose(weights.sum(axis), 1, atol=1e-5)
    np.testing.assert_allclose(jax.jit(maker)(key), weights, rtol=1e-5, atol=1e-6)


# Frameworks


def test_linen_and_nnx_and_equinox_layers(key):
    atlas = mixed_atlas()
    made = init.AtlasWeights(atlas, layout="locations_parcels")
    x = jr.normal(key, (2, atlas.n_locations))
    expected = x @ made(key)
    dense = linen.Dense(atlas.n_parcels, kernel_init=made, bias_init=init.zeros)
    np.testing.assert_allclose(dense.apply(dense.init(key, x), x), expected, atol=1e-5)
    layer = nnx.Linear(atlas.n_locations, atlas.n_parcels, kernel_init=made, rngs=nnx.Rngs(0))
    np.testing.assert_allclose(layer(x), expected, atol=1e-5)
    linear = eqx.nn.Linear(atlas.n_locations, atlas.n_parcels, use_bias=False, key=key)
    linear = init.initialize(linear, "weight", init.AtlasWeights(atlas), key=key)
    np.testing.assert_allclose(jax.vmap(linear)(x), expected, atol=1e-5)


@pytest.mark.parametrize(
    "initializer",
    [init.Dirichlet(2.0), init.hoedt_normal(), init.he_normal(), init.delta_plus(), init.laplace()],
)
def test_any_initialiser_fits_flax(initializer, key):
    dense = linen.Dense(6, kernel_init=initializer)
    kernel = dense.init(key, jnp.ones((1, 5)))["params"]["kernel"]
    assert kernel.shape == (5, 6)
    assert nnx.Linear(5, 6, kernel_init=initializer, rngs=nnx.Rngs(0)).kernel.shape == (5, 6)
    jitted = jax.jit(lambda key: initializer(key, (5, 6)))(key)
    np.testing.assert_allclose(jitted, initializer(key, (5, 6)), rtol=1e-5, atol=1e-7)


def test_weights_lie_where_they_are_asked_for(key):
    mesh = jax.make_mesh((1,), ("parcels",))
    wanted = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("parcels", None))
    for made in (init.Dirichlet(2.0), init.he_normal(), init.hoedt_normal(), init.laplace()):
        assert made(key, (5, 6), None, wanted).sharding == wanted


def test_whole_numbers_are_numbers(key):
    for made in (
        init.identity(scale=2, shift=1),
        init.delta_plus(scale=2, noise=0),
        init.toeplitz([1, 2], fill=1),
        init.variance_scaling(2, "fan_in", "normal"),
        init.normal(1),
        init.uniform_between(0, 2),
        init.uniform(2),
        init.tangency(np.eye(3, dtype=np.float32)[None], ["euclidean"], noise=1).initializer,
    ):
        shape = (1, 3, 3) if "tangency" in made.__qualname__ else (3, 3)
        assert np.isfinite(made(key, shape)).all()
    spd = domains.SPD(minimum=1)
    np.testing.assert_allclose(spd.image(spd.preimage(2 * jnp.eye(3))), 2 * np.eye(3), atol=1e-6)


def test_adapter_between_kinds(key):
    as_klax = init.adapt(init.he_normal(), "klax")
    np.testing.assert_array_equal(
        as_klax(key, (4, 3), 4, jnp.float32), init.he_normal()(key, (4, 3))
    )
    assert init.adapt(init.hoedt_bias(), "klax")(key, (2,), 9).shape == (2,)
    bias = init.adapt(init.hoedt_bias(), "jax", fan_in=9)
    assert linen.Dense(3, bias_init=bias).init(key, jnp.ones((1, 9)))["params"]["bias"][0] < 0


# Models


class Pair(eqx.Module):
    first: eqx.nn.Linear
    second: eqx.nn.Linear | None


def test_a_leaf_depends_only_on_key_and_name(key):
    first, second = eqx.nn.Linear(3, 4, key=key), eqx.nn.Linear(4, 5, key=key)
    both = init.initialize(Pair(first, second), "*.weight", init.normal(1.0), key=key)
    one = init.initialize(Pair(first, None), lambda m: m.first.weight, init.normal(1.0), key=key)
    np.testing.assert_array_equal(both.first.weight, one.first.weight)
    np.testing.assert_array_equal(both.first.bias, first.bias)
    ordered = init.initialize({"a": first.weight, "b": first.weight}, "*", init.normal(), key=key)
    turned = init.initialize({"b": first.weight, "a": first.weight}, "*", init.normal(), key=key)
    assert eqx.tree_equal(ordered, turned)
    assert not np.allclose(ordered["a"], ordered["b"])


def test_a_constrained_leaf_keeps_its_domain(key):
    model = domains.constrain({"w": jnp.full((3, 2), 0.3)}, "w", domains.Tanh())
    again = init.initialize(model, "w", init.uniform_between(-0.5, 0.5), key=key)
    assert again["w"].domain == domains.Tanh()
    assert init.initialize(model, "w", init.ones, key=key, domain=None)["w"].tolist()[0] == [1, 1]
    maps = init.initialize(ai.DenseMaps(jnp.zeros((3, 8))), "*", init.Dirichlet(), key=key)
    np.testing.assert_allclose(domains.unwrap(maps).values.sum(0), 1, atol=1e-6)


@pytest.mark.parametrize("frozen", [False, True])
def test_an_atlas_in_place_of_a_leaf_keeps_its_domain_and_freezing(frozen, key):
    made = init.AtlasWeights(ai.dirichlet_atlas({"volume": GRID}, n_parcels=3, key=key))
    model = domains.constrain({"w": jnp.full(made.shape, 1 / 3)}, "w", domains.Simplex())
    model = domains.freeze(model, "w") if frozen else model
    again = init.initialize(model, "w", made, key=key)
    assert jax.tree.structure(again) == jax.tree.structure(model)
    np.testing.assert_allclose(domains.unwrap(again)["w"], made(key), atol=1e-6)
    assert jax.tree.leaves(domains.trainable(again)) == [not frozen]


def test_key_sequence():
    one, two = init.KeySequence(3), init.KeySequence(3)
    keys = [next(one) for _ in range(5)]
    assert all((a == next(two)).all() for a in keys)
    data = {tuple(jr.key_data(k).tolist()) for k in keys}
    assert len(data) == 5
    assert (one.named("w") == init.KeySequence(3).named("w")).all()
    assert init.KeySequence().seed != init.KeySequence().seed


# Bad input

KEY = jr.key(0)
DRAW = unchecked(ai.dirichlet_atlas)
NOT_SYMMETRIC = np.array([[[1.0, 2.0], [0.0, 1.0]]], np.float32)
BAD = [
    (lambda: init.Dirichlet(0.0), "`concentration` should be positive"),
    (lambda: init.Dirichlet([1.0, -1.0]), "`concentration` should be positive"),
    (lambda: init.Dirichlet([1.0, 2.0])(KEY, (3, 4)), "has 2 values, but .* 3 labels"),
    (lambda: init.Dirichlet()(KEY, (3,)), "`shape` should have the axis -2"),
    (lambda: init.Dirichlet()(KEY, (3, 2), "float64"), "x64 mode"),
    (lambda: init.he_normal()(KEY, (3, 2), "float64"), "x64 mode"),
    (lambda: init.variance_scaling(0.0, "fan_in", "normal"), "`scale` should be positive"),
    (lambda: init.variance_scaling(1.0, "fan", "normal"), "`mode` should be one of"),
    (lambda: init.variance_scaling(1.0, "fan_in", "cauchy"), "`distribution` should be one of"),
    (lambda: init.normal(-1.0), "`stddev` should not be negative"),
    (lambda: init.uniform_between(1.0, 0.0), "`low` should be below `high`"),
    (lambda: init.uniform(0.0), "`scale` should be positive"),
    (lambda: init.truncated_normal(lower=1, upper=1), "`lower` should be below `upper`"),
    (lambda: init.he_normal(in_axis=2)(KEY, (3, 4)), "`in_axis` 2 should be of the 2 axes"),
    (lambda: init.he_normal(batch_axis=(0, -3))(KEY, (3, 4)), r"`batch_axis` \(0, -3\) should"),
    (lambda: init.orthogonal()(KEY, (3,)), "at least a 2D shape"),
    (lambda: init.identity()(KEY, (3, 4)), "two equal sizes"),
    (lambda: init.broadcast([1, 2])(KEY, (2, 3)), r"`base` of shape \(2,\) should be the end"),
    (lambda: init.broadcast([300])(KEY, (1,), "int8"), "`base` holds numbers that int8 cannot"),
    (lambda: init.broadcast([1, 2.5])(KEY, (2,), "int32"), "as 2.5; round or clip them"),
    (lambda: init.broadcast(np.nan)(KEY, (2,), "int32"), "as nan"),
    (lambda: init.broadcast(-1)(KEY, (2,), "uint8"), "as -1"),
    (lambda: init.broadcast(1)(KEY, (2,), "int64"), "x64 mode"),
    (lambda: init.broadcast([1.0, 2j])(KEY, (2,), "float32"), "that float32 cannot, as 2j"),
    (lambda: init.broadcast(1e9)(KEY, (2,), "float16"), r"that float16 cannot, as 1000000000\.0"),
    (lambda: init.broadcast(1e99)(KEY, (2,), "complex64"), "that complex64 cannot"),
    (lambda: init.mean_spd(np.full((1, 2, 2), np.nan, np.float32)), "`matrices` should be finite"),
    (lambda: init.from_distribution(Event())(KEY, (5, 3)), "should end with the distribution's"),
    (lambda: init.delta_plus(noise=-1.0), "`noise`, a standard deviation"),
    (lambda: init.delta_plus((9,))(KEY, (3,)), "`loc` should lie inside"),
    (lambda: init.laplace(width=0.0), "`width` should be positive"),
    (lambda: init.laplace(normalize="mean"), "`normalize` should be None"),
    (lambda: init.laplace((1.0,))(KEY, (3, 3)), "one value for each of 2 axes"),
    (lambda: init.toeplitz(1.0), "should be vectors"),
    (lambda: init.toeplitz(np.ones((2, 3)), np.ones((3, 3))), "stacks that broadcast"),
    (lambda: init.toeplitz(np.ones((2, 3)))(KEY, (3, 4, 4)), "should be the end of the shape"),
    (lambda: init.toeplitz([1.0])(KEY, (3,)), "at least two axes"),
    (lambda: init.mean_spd(np.eye(2, dtype=np.float32)), r"should be \(observations, ..., n, n\)"),
    (lambda: init.mean_spd(np.eye(2)[None], axis=1), "observations on `axis`"),
    (lambda: init.mean_spd(np.eye(2)[None], psi=2), "`psi` should lie between 0 and 1"),
    (lambda: init.mean_spd(NOT_SYMMETRIC), "symmetric"),
    (lambda: init.mean_spd(-np.eye(2, dtype=np.float32)[None]), "positive definite"),
    (lambda: init.mean_spd(np.eye(2)[None], "median"), "`mean` should be one of"),
    (lambda: init.tangency(np.eye(2, dtype=np.float32)[None], []), "`means` should be a list"),
    (lambda: init.hoedt_normal()(KEY, (3,)), "at least two axes"),
    (lambda: init.hoedt_bias()(KEY, (3,), 0), "`fan_in` should be positive"),
    (lambda: init.adapt(init.hoedt_bias(), "jax"), "`fan_in`, the number of inputs"),
    (lambda: init.adapt(init.zeros, "flax"), "`kind` should be"),
    (lambda: init.initialize({"b": jnp.ones(2)}, "b", init.hoedt_bias(), key=KEY), "`fan_in`"),
    (lambda: init.initialize({"b": jnp.ones(2)}, "c", init.zeros, key=KEY), "finds no array"),
    (
        lambda: init.initialize({"b": jnp.ones(2)}, "b", init.zeros, key=KEY, domain="no"),
        "`domain`",
    ),
    (
        lambda: init.AtlasWeights(mixed_atlas())(KEY, (29, 7)),
        r"`shape` should be \(7, 29\).*set `layout`",
    ),
    (
        lambda: init.AtlasWeights(mixed_atlas(), compartment="cortex"),
        "`compartment` should be one of",
    ),
    (lambda: init.AtlasWeights(mixed_atlas(), layout="LV"), "`layout` should be"),
    (lambda: init.AtlasWeights(mixed_atlas(), normalize="row"), "`normalize` should be"),
    (lambda: init.AtlasWeights(mixed_atlas(), noise=-1), "`noise` should not be negative"),
    (lambda: ai.dirichlet_atlas(TWO, key=KEY), "`n_parcels` should be given"),
    (
        lambda: ai.dirichlet_atlas(TWO, n_parcels={"volume": 3}, key=KEY),
        "should have the compartments",
    ),
    (lambda: ai.dirichlet_atlas(TWO, n_parcels=0, key=KEY), "not all of them 0"),
    (lambda: ai.dirichlet_atlas(TWO, n_parcels=-1, key=KEY), "a whole number from 0, got -1"),
    (lambda: DRAW(TWO, n_parcels=2.5, key=KEY), "a whole number from 0, got 2.5"),
    (lambda: ai.dirichlet_atlas({}, n_parcels=3, key=KEY), "`geometry` should have"),
    (lambda: DRAW(TWO, n_parcels=3, key=jr.split(KEY)), "one key, got shape"),
    (lambda: ai.dirichlet_atlas(mixed_atlas(), n_parcels=0, key=KEY), "not all of them 0"),
    (lambda: ai.dirichlet_atlas(mixed_atlas(), n_parcels={}, key=KEY), "have the compartments"),
]


@pytest.mark.parametrize(("call", "match"), BAD)
def test_bad_input(call, match):
    with pytest.raises(ValueError, match=match):
        call()


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: init.identity()(KEY, (2, 2), jnp.int32), "floating point or complex, got int32"),
        (lambda: init.Dirichlet()(KEY, (2, 2), jnp.complex64), "real floating point"),
        (lambda: init.broadcast("a"), "`base` should hold numbers, got <U1"),
        (lambda: init.mean_spd(np.eye(2, dtype=int)[None]), "`matrices` should be a real floating"),
        (lambda: init.from_distribution(3), "should be callable or have `sample`"),
        (lambda: DRAW(TWO, n_parcels="3", key=KEY), "a whole number from 0, got '3'"),
        (lambda: DRAW(TWO, n_parcels=3, key=7), r"pass `jax\.random\.key\(7\)`"),
        (
            lambda: DRAW(GRID, n_parcels=3, key=KEY),
            r'VolumeGrid\(.*alone; name its compartment: `\{"volume": geometry\}`',
        ),
    ],
)
def test_wrong_types(call, match):
    with pytest.raises(TypeError, match=match):
        call()
