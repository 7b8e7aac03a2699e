"""Schemes by fans and plain draws: JAX's own tests and bits, GoMLX's and klax's published rules."""

import math

import jax.nn.initializers as jinit
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from atlasinit import initializers as init

NAMES = [name for name in dir(jinit) if name[0] != "_"]
# Of these JAX has makers without an argument that is required.
MADE = [name for name in NAMES if name not in ("Initializer", "constant", "ones", "zeros")]
ARGUMENTS = {"variance_scaling": (1, "fan_geo_avg", "normal")}
# Numbers of axes for which each is defined, as in JAX's tests.
FEWEST = {"uniform": 1, "normal": 1, "truncated_normal": 1, "delta_orthogonal": 4}
MOST = {"orthogonal": 2}
SHAPES = [(2,), (2, 2), (2, 3), (3, 2), (2, 3, 4), (4, 3, 2), (2, 3, 4, 5)]
REAL = ("uniform", "truncated_normal")


def make(module, name, **options):
    return getattr(module, name)(*ARGUMENTS.get(name, ()), **options)


def test_every_name_of_jax_is_here():
    assert set(NAMES) <= set(init.__all__)


@pytest.mark.parametrize("name", MADE)
def test_same_scheme_same_bits(name, key):
    """One shape each; the sweep has JAX's own table."""
    shape = (2, 3, 4, 5) if name == "delta_orthogonal" else (4, 5)
    np.testing.assert_array_equal(make(init, name)(key, shape), make(jinit, name)(key, shape))


@pytest.mark.parametrize("name", MADE)
@pytest.mark.parametrize("shape", [pytest.param(s, marks=pytest.mark.sweep) for s in SHAPES])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "complex64"])
def test_same_bits_for_each_shape_and_dtype(name, shape, dtype, key):
    """The shapes of JAX's `testInitializer`, and dtype at construction, its `...Provider`."""
    if not FEWEST.get(name, 2) <= len(shape) <= MOST.get(name, 4):
        pytest.skip("JAX defines it for other shapes")
    if dtype == "complex64" and name in REAL:
        pytest.skip("JAX has no complex draws of it")
    found = make(init, name)(key, shape, dtype)
    assert found.shape == shape
    assert found.dtype == dtype
    np.testing.assert_array_equal(make(init, name, dtype=dtype)(key, shape), found)
    if dtype == "bfloat16" and "orthogonal" in name:
        # LAPACK has no half precision, and JAX raises; here it is drawn in single.
        theirs = make(jinit, name)(key, shape, "float32").astype(dtype)
    else:
        theirs = make(jinit, name)(key, shape, dtype)
    np.testing.assert_array_equal(found, theirs)


@pytest.mark.parametrize(
    ("axes", "fan_in", "fan_out"),
    [
        # JAX's `testVarianceScalingMultiAxis` and `...BatchAxis`, and a weight (out, in).
        ({"in_axis": (0, 1), "out_axis": (-2, -1)}, 2 * 30, 40 * 5),
        ({"in_axis": 0, "out_axis": (2, 3), "batch_axis": 1}, 2, 40 * 5),
        ({"in_axis": -1, "out_axis": -2}, 5 * 2 * 30, 40 * 2 * 30),
    ],
)
@pytest.mark.parametrize(
    ("name", "variance"),
    [
        ("lecun_uniform", lambda i, o: 1 / i),
        ("he_uniform", lambda i, o: 2 / i),
        ("glorot_normal", lambda i, o: 2 / (i + o)),
    ],
)
def test_fans_are_of_the_axes_named(name, variance, axes, fan_in, fan_out, key):
    drawn = np.asarray(make(init, name, **axes)(key, (2, 30, 40, 5)), np.float64)
    wanted = variance(fan_in, fan_out)
    # The square of what has a kurtosis of at most 3 deviates by at most sqrt(2) of its mean.
    assert drawn.var() == pytest.approx(wanted, abs=5 * wanted * math.sqrt(2 / drawn.size))


@pytest.mark.parametrize("dtype", ["bfloat16", "complex64"])
def test_orthogonal_draws_of_other_dtypes(dtype, key):
    found = init.orthogonal(dtype=dtype)(key, (3, 2))
    theirs = jinit.orthogonal()(key, (3, 2), "float32" if dtype == "bfloat16" else dtype)
    np.testing.assert_array_equal(found, theirs.astype(dtype))


def test_parameters_that_are_arrays_do_not_widen(key):
    """JAX's `testAccidentalUpcasting`."""
    one = jnp.float32(1)
    for made in (init.uniform, init.normal, init.truncated_normal):
        assert made(one, jnp.bfloat16)(key, (4, 4)).dtype == jnp.bfloat16


# GoMLX


# shape -> fan_in, fan_out of its `computeFanInFanOut`.
GOMLX_FANS = {(30, 20): (30, 20), (3, 3, 8, 16): (72, 144), (5, 4, 6): (20, 30)}
GOMLX = {
    "GlorotUniformFn": (init.glorot_uniform(), lambda i, o: math.sqrt(3 / max(1, (i + o) / 2))),
    "XavierUniformFn": (init.xavier_uniform(), lambda i, o: math.sqrt(6 / max(1, i + o))),
    "XavierNormalFn": (init.xavier_normal(truncated=False), lambda i, o: math.sqrt(2 / (i + o))),
    "HeFn": (init.he_normal(truncated=False), lambda i, o: math.sqrt(2 / max(1, i))),
}


@pytest.mark.parametrize("shape", GOMLX_FANS)
@pytest.mark.parametrize("rule", GOMLX)
def test_gomlx_rules(rule, shape, key):
    made, size = GOMLX[rule]
    drawn, wanted = np.asarray(made(key, shape), np.float64), size(*GOMLX_FANS[shape])
    if "Uniform" in rule:
        assert np.abs(drawn).max() <= wanted
        # The largest of n uniform draws misses the bound by about bound / n.
        assert np.abs(drawn).max() > wanted * (1 - 20 / drawn.size)
    else:
        assert drawn.std() == pytest.approx(wanted, rel=5 / math.sqrt(2 * drawn.size))


@pytest.mark.parametrize("made", [made for made, _ in GOMLX.values()])
@pytest.mark.parametrize(
    ("shape", "dtype"), [((), "float32"), ((7,), "float32"), ((3, 4), "int32"), ((0, 4), "float32")]
)
def test_what_has_no_fans_is_zero(made, shape, dtype, key):
    drawn = made(key, shape, dtype)
    assert drawn.shape == shape
    assert drawn.dtype == dtype
    assert (drawn == 0).all()


def test_normal_draws_are_truncated_unless_asked_otherwise(key):
    shape, std = (300, 200), math.sqrt(2 / 300)
    # A truncated draw ends at 2 / 0.8796 of its standard deviation.
    assert np.abs(init.he_normal()(key, shape)).max() < 2.274 * std
    whole = np.asarray(init.he_normal(truncated=False)(key, shape))
    assert np.abs(whole).max() > 3.5 * std
    np.testing.assert_array_equal(
        whole, jinit.variance_scaling(2.0, "fan_in", "normal")(key, shape)
    )


def test_integers_are_zero_and_uniform_stays_in_its_interval(key):
    for made in (
        init.normal(),
        init.uniform(),
        init.uniform_between(1, 2),
        init.truncated_normal(),
    ):
        assert (made(key, (4,), jnp.int32) == 0).all()
    drawn = init.uniform_between(-1.0, 3.0)(key, (20_000,))
    assert (drawn >= -1).all()
    assert (drawn < 3).all()
    assert float(drawn.mean()) == pytest.approx(1, abs=5 * 4 / math.sqrt(12 * drawn.size))
    parts = init.uniform_between(2.0, 3.0)(key, (50,), jnp.complex64)
    assert (jnp.stack([parts.real, parts.imag]) >= 2).all()


# klax


@pytest.mark.parametrize("fan_in", [1, 10, 200, 4000])
def test_hoedt_is_klaxs_with_the_sign_of_the_paper(fan_in):
    """klax 0.2.0 publishes the constants; its bias has the other sign."""
    bias = init.hoedt_bias()(jr.key(0), (3,), fan_in)
    wanted = math.sqrt(0.5475114234402735 * fan_in / (1.3450928843923602 + fan_in))
    np.testing.assert_allclose(bias, -wanted, rtol=1e-6)


@pytest.mark.parametrize("in_axis", [-2, 0, -1])
def test_hoedt_weights_are_klaxs_draws(in_axis, key):
    shape = (4, 3, 5)
    fan_in = shape[in_axis]
    square = 3.440115731272907 / (fan_in * (1.3450928843923602 + fan_in))
    spread = math.log(1 / fan_in + square) - math.log(square)
    centre = math.log(square) - math.log(1 / fan_in + square) / 2
    wanted = np.exp(centre + math.sqrt(spread) * np.asarray(jr.normal(key, shape)))
    np.testing.assert_allclose(init.hoedt_normal(in_axis)(key, shape), wanted, rtol=1e-5)
    narrow = init.hoedt_normal(in_axis, dtype=jnp.float16)
    assert narrow(key, shape).dtype == jnp.float16
