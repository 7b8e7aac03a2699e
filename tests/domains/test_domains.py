"""Every domain: round trip, range, gradients, dtypes, transformations, serialisation, bad input."""

import functools
import io
import itertools
import math

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import optax
import paramax
import pytest
import scipy.special

import atlasinit as ai
from atlasinit import domains
from atlasinit.domains import (
    SPD,
    Affine,
    Amplitude,
    Identity,
    Isochoric,
    Logistic,
    NormSphere,
    Orthogonal,
    Positive,
    Simplex,
    Tanh,
)

try:
    from jax import enable_x64
except ImportError:  # before JAX 0.8
    from jax.experimental import enable_x64


def x64():
    return enable_x64(True)  # noqa: FBT003


ELLIPSOID = [[2.0, 0.5, 0.0], [0.5, 1.0, 0.0], [0.0, 0.0, 3.0]]


def between(low, high):
    return lambda y: ((y > low) & (y < high)).all()


def sums_to_one(axis):
    return lambda y: np.allclose(y.sum(axis), 1, atol=1e-6) and (y > 0).all()


def norm(order, axis, radius=1.0, loc=0.0):
    return lambda y: np.allclose(np.linalg.norm(y - loc, order, axis), radius, atol=1e-5)


def orthonormal(y):
    y = y if y.shape[-2] >= y.shape[-1] else np.swapaxes(y, -1, -2)
    return np.allclose(np.swapaxes(y, -1, -2) @ y, np.eye(y.shape[-1]), atol=1e-5)


def definite(y):
    return np.allclose(y, np.swapaxes(y, -1, -2)) and (np.linalg.eigvalsh(y) > 0).all()


def isochoric(volume, condition=math.inf):
    def check(y):
        values = np.linalg.eigvalsh(y)
        ratios = values[..., -1] / values[..., 0]
        return (
            np.allclose(np.linalg.det(y), volume, rtol=1e-4) and (ratios < condition + 1e-3).all()
        )

    return check


# Domain, shape of the free values, and what holds for every image.
CASES = {
    "identity": (Identity(), (4, 3), np.isfinite),
    "affine": (Affine(loc=[1.0, 2.0, 3.0], scale=-2.0), (4, 3), np.isfinite),
    "tanh": (Tanh(scale=2.5), (4, 3), between(-2.5, 2.5)),
    "logistic": (Logistic(loc=1.0, scale=4.0), (4, 3), between(-1.0, 3.0)),
    "softplus": (Positive(), (4, 3), between(0, np.inf)),
    "exp": (Positive(map="exp"), (4, 3), between(0, np.inf)),
    "sphere-2": (NormSphere(), (4, 3), norm(2, -1)),
    "sphere-1": (NormSphere(order=1, axis=-2, scale=2.0), (4, 3), norm(1, -2, 2.0)),
    "sphere-3": (NormSphere(order=3, loc=0.5), (4, 3), norm(3, -1, loc=0.5)),
    "sphere-inf": (NormSphere(order=math.inf), (4, 3), norm(np.inf, -1)),
    "ellipsoid": (
        NormSphere(ellipsoid=ELLIPSOID),
        (4, 3),
        lambda y: np.allclose(
            np.einsum("...i,ij,...j->...", y, np.array(ELLIPSOID), y), 1, atol=1e-5
        ),
    ),
    "simplex": (Simplex(), (4, 3), sums_to_one(-2)),
    "simplex-last": (Simplex(axis=-1, temperature="auto"), (4, 3), sums_to_one(-1)),
    "simplex-hot": (Simplex(temperature=3.0, purity=0.9), (4, 3), sums_to_one(-2)),
    "qr": (Orthogonal(), (4, 3), orthonormal),
    "qr-wide": (Orthogonal(), (3, 4), orthonormal),
    "polar": (Orthogonal(method="polar"), (4, 3), orthonormal),
    "polar-square": (Orthogonal(method="polar"), (3, 3), orthonormal),
    "spd": (SPD(), (3, 3), definite),
    "isochoric": (Isochoric(volume=2.0), (3, 3), isochoric(2.0)),
    "isochoric-flat": (Isochoric(max_condition=2.0), (3, 3), isochoric(1.0, 2.0)),
    "isochoric-softmax": (Isochoric(softmax_temperature=0.5), (3, 3), isochoric(1.0)),
    "amplitude-tanh": (Amplitude(Tanh()), (4, 3), lambda y: (np.abs(y) < 1).all()),
    "amplitude-simplex": (Amplitude(Simplex()), (4, 3), lambda y: sums_to_one(-2)(np.abs(y))),
}
DOMAINS = pytest.mark.parametrize(("domain", "shape", "holds"), CASES.values(), ids=CASES)


def free_values(domain, shape, dtype=jnp.float32):
    if isinstance(domain, Amplitude):
        real, imaginary = jr.uniform(jr.key(3), (2, *shape), dtype, minval=0.1, maxval=1.5)
        return jax.lax.complex(real, imaginary)
    if isinstance(domain, Isochoric):
        return 0.3 * jr.normal(jr.key(3), shape, dtype)
    return jr.normal(jr.key(3), shape, dtype)


def size(y):
    """A scalar function whose gradient has no symmetry."""
    flat = jnp.concatenate([y.real.ravel(), y.imag.ravel()])
    return (flat * jnp.sin(1 + jnp.arange(flat.size)).astype(flat.dtype)).sum()


@DOMAINS
def test_round_trip_and_range(domain, shape, holds):
    x = free_values(domain, shape)
    y = domain.image(x)
    assert y.dtype == domain.preimage(y).dtype == x.dtype
    assert np.all(holds(np.asarray(y)))
    np.testing.assert_allclose(domain.image(domain.preimage(y)), y, rtol=3e-6, atol=3e-6)


@DOMAINS
def test_jit_and_vmap_change_nothing(domain, shape, holds):
    del holds
    xs = jnp.stack([free_values(domain, shape) * scale for scale in (0.5, 1.0)])
    loop = jnp.stack([domain.image(x) for x in xs])

    @jax.jit
    def mapped(xs, ys):
        nodes = jax.vmap(lambda y: domains.constrained(y, domain))(ys)
        return jax.vmap(domain.image)(xs), domain.image(xs[0]), nodes, domains.unwrap(nodes)

    images, first, nodes, unwrapped = mapped(xs, loop)
    np.testing.assert_allclose(images, loop, atol=1e-6)
    np.testing.assert_allclose(first, loop[0], atol=1e-6)
    np.testing.assert_allclose(nodes.free[1], domain.preimage(loop[1]), atol=1e-5)
    np.testing.assert_allclose(unwrapped, loop, rtol=3e-6, atol=3e-6)


@DOMAINS
def test_float64_keeps_its_precision_and_gradient(domain, shape, holds):
    del holds

    @jax.jit
    def program(x, direction):
        def loss(t):
            step = jnp.asarray(t, direction.dtype) * direction
            return size(domain.image(x + step))

        y = domain.image(x)
        slopes = jax.grad(loss)(0.0), jax.jvp(loss, (0.0,), (1.0,))[1]
        ends = jax.vmap(loss)(jnp.array([1e-6, -1e-6]))
        return y, domain.image(domain.preimage(y)), slopes, (ends[0] - ends[1]) / 2e-6

    with x64():
        x = free_values(domain, shape, jnp.float64)
        y, again, slopes, numeric = program(x, jr.normal(jr.key(8), shape, x.dtype))
        assert y.dtype == again.dtype == x.dtype
        np.testing.assert_allclose(again, y, atol=1e-12)
        assert float(slopes[0]) == pytest.approx(float(numeric), rel=1e-6, abs=1e-9)
        assert float(slopes[0]) == pytest.approx(float(slopes[1]), rel=1e-9)


@DOMAINS
def test_trains_within_the_domain_and_serialises(domain, shape, holds):
    model = domains.constrain({"w": domain.image(free_values(domain, shape))}, "w", domain)

    @eqx.filter_jit
    def step(model):
        grads = eqx.filter_grad(lambda m: size(domains.unwrap(m)["w"]))(model)
        moved = jax.tree.map(
            lambda p, g: p - 0.05 * jnp.conj(g) / jnp.abs(g).max().astype(g.dtype), model, grads
        )
        return moved, grads, domains.unwrap(moved)["w"]

    for _ in range(3):
        model, grads, weights = step(model)
        assert all(np.isfinite(g).all() for g in jax.tree.leaves(grads))
        assert np.all(holds(np.asarray(weights)))

    file = io.BytesIO()
    eqx.tree_serialise_leaves(file, model)
    file.seek(0)
    read = eqx.tree_deserialise_leaves(file, jax.tree.map(np.zeros_like, model))
    np.testing.assert_array_equal(read["w"].free, model["w"].free)
    assert hash(read["w"].domain) == hash(domain)


EDGES = {
    "tanh": (Tanh(), jnp.array([[50.0, -50.0]])),
    "softplus": (Positive(), jnp.array([[90.0, -90.0]])),
    "sphere at 0": (NormSphere(), jnp.zeros((2, 3))),
    "sphere-3 at 0": (NormSphere(order=3), jnp.zeros((2, 3))),
    "ellipsoid at 0": (NormSphere(ellipsoid=ELLIPSOID), jnp.zeros((2, 3))),
    "sphere far": (NormSphere(), jnp.full((2, 3), 1e30)),
    "simplex far": (Simplex(), jnp.array([[300.0], [-300.0], [0.0]])),
    "simplex of -inf": (Simplex(), jnp.array([[0.0, -jnp.inf], [-jnp.inf, -jnp.inf]])),
    "polar of orthonormal": (Orthogonal(method="polar"), jnp.eye(4, 3)),
    "polar of 0": (Orthogonal(method="polar"), jnp.zeros((4, 3))),
    "qr of orthonormal": (Orthogonal(), jnp.eye(3)),
    "qr of 0": (Orthogonal(), jnp.zeros((2, 4, 3))),
    "qr of 1": (Orthogonal(), jnp.ones((3, 4))),
    "qr of rank 2": (Orthogonal(), jnp.arange(12.0).reshape(4, 3)),
    "spd at identity": (SPD(), jnp.zeros((3, 3))),
    "isochoric at identity": (Isochoric(max_condition=2.0), jnp.zeros((3, 3))),
    "isochoric of condition 1": (Isochoric(max_condition=1.0), jnp.zeros((3, 3))),
    "amplitude 0": (Amplitude(Tanh()), jnp.zeros((2, 2), jnp.complex64)),
}


@pytest.mark.parametrize("order", [1.5, math.inf, None])
def test_gradient_at_a_slice_of_zeros_is_zero_and_near_it_finite(order):
    domain = NormSphere(ellipsoid=ELLIPSOID) if order is None else NormSphere(order=order)
    gradient = jax.jit(jax.grad(lambda x: size(domain.image(x))))
    np.testing.assert_array_equal(gradient(jnp.zeros((1, 3))), 0)
    x = jnp.array([[1.0, -2.0, 0.5]])
    # The image does not depend on the length, so that the gradient goes with its inverse.
    np.testing.assert_allclose(gradient(x * 2.0**-100), gradient(x) * 2.0**100, rtol=1e-5)


def test_a_norm_larger_than_the_largest_number():
    largest = float(jnp.finfo(jnp.float32).max)
    y = NormSphere().image(jnp.full((1, 4), largest))
    np.testing.assert_allclose(y, 0.5, rtol=1e-6)


# There are no complex numbers of half precision.
@pytest.mark.sweep
@pytest.mark.parametrize("name", [n for n in CASES if not n.startswith("amplitude")])
@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16])
def test_half_precision(name, dtype):
    domain, shape, _ = CASES[name]
    x = free_values(domain, shape).astype(dtype)
    y = domain.image(x)
    again = domain.image(domain.preimage(y))
    assert y.dtype == again.dtype == dtype
    rounding = 8 * float(jnp.finfo(dtype).eps)
    single = np.asarray(domain.image(x.astype(jnp.float32)))
    for found in (y, again):
        error = np.abs(np.asarray(found, np.float32) - single)
        assert (error <= rounding * np.abs(single).max()).all()


@pytest.mark.parametrize(("labels", "dtype"), [(400, jnp.bfloat16), (70_000, jnp.float16)])
def test_purity_in_half_precision(labels, dtype):
    hard = jnp.zeros((labels, 1), dtype).at[1].set(1)
    y = np.asarray(Simplex(purity=0.9).image(Simplex(purity=0.9).preimage(hard)), np.float32)
    np.testing.assert_allclose(y[1], 0.9, rtol=4 * float(jnp.finfo(dtype).eps))
    # Their sum is larger than the largest float16.
    equal = Simplex().image(Simplex().preimage(jnp.ones_like(hard)))
    np.testing.assert_allclose(np.asarray(equal, np.float32), 1 / labels, rtol=0.02)


WIDE = {
    "tanh": (Tanh(bounds=(-20.0, 20.0)), [-1.0, 1.0]),
    "tanh-clip": (Tanh(scale=2.0, bounds=(-20.0, 20.0), outside="clip"), [-jnp.inf, 7.0]),
    "tanh-renormalize": (Tanh(bounds=(-20.0, 20.0), outside="renormalize"), [-5.0, 7.0]),
    "logistic": (Logistic(bounds=(-40.0, 40.0)), [0.0, 1.0]),
    "logistic-clip": (Logistic(bounds=(-40.0, 40.0), outside="clip"), [-1.0, 2.0]),
    "exp-clip": (Positive(map="exp", bounds=(-200.0, 80.0), outside="clip"), [-1.0, 3e38]),
}


@pytest.mark.parametrize(("domain", "y"), WIDE.values(), ids=WIDE)
def test_free_values_are_within_bounds_whose_image_is_rounded_to_the_edge(domain, y):
    np.testing.assert_allclose(domain.preimage(jnp.array(y)), domain.bounds, rtol=1e-6)


def test_zero_in_half_precision_is_at_the_lower_bound():
    np.testing.assert_array_equal(Positive().preimage(jnp.zeros(2, jnp.float16)), -20)


@pytest.mark.parametrize(
    "make",
    [
        lambda number: Simplex(purity=number(0.9), temperature=number(2)),
        lambda number: NormSphere(order=number(2), scale=number(1)),
        lambda number: SPD(outside="clip", minimum=number(0.1)),
        lambda number: Isochoric(number(1), number(2), number(1), outside="renormalize"),
    ],
)
def test_numbers_of_numpy_are_as_those_of_python(make):
    domain, plain = make(np.float64), make(float)
    assert domain == plain
    with x64():
        x = jnp.eye(3, dtype=jnp.float32)
        assert domain.image(x).dtype == domain.preimage(x).dtype == x.dtype


@pytest.mark.parametrize(("domain", "x"), EDGES.values(), ids=EDGES)
def test_gradient_is_finite_at_edges(domain, x):
    def loss(x):
        y = domain.image(x)
        return size(y), y

    grads, y = jax.jit(jax.grad(loss, has_aux=True))(x)
    assert np.isfinite(y).all()
    assert np.isfinite(grads).all()


@pytest.mark.parametrize("name", CASES)
def test_nan_is_never_hidden(name):
    domain, shape, _ = CASES[name]
    x = free_values(domain, shape).at[-1, 0].set(jnp.nan)
    y = np.asarray(jax.jit(domain.image)(x))
    axis = getattr(getattr(domain, "domain", domain), "axis", None)
    if axis is None:
        assert np.isnan(y[-1, 0])
    else:
        assert np.isnan(y.take(0 if axis == -2 else -1, -1 if axis == -2 else 0)).all()


def test_derivative_where_eigenvalues_are_equal():
    with x64():
        for domain in (Isochoric(max_condition=3.0), Isochoric(softmax_temperature=0.7)):
            direction = jr.normal(jr.key(1), (3, 3), jnp.float64)

            @jax.jit
            def slope(t, d=domain, v=direction):
                return jax.value_and_grad(lambda t: size(d.image(t * v)))(t)

            numeric = float(slope(1e-5)[0] - slope(-1e-5)[0]) / 2e-5
            assert float(slope(0.0)[1]) == pytest.approx(numeric, rel=1e-6)


@pytest.mark.parametrize("temperature", [None, 0.5, 1.0])
@pytest.mark.parametrize("size", [1.0, 5.0, 40.0, 180.0])
def test_the_limit_of_isochoric_holds_far_beyond_it(temperature, size):
    """Against the formula of the docstring in double precision."""
    domain = Isochoric(max_condition=5.0, softmax_temperature=temperature)
    free = jnp.array([[np.log(size) / 2, 0, 0], [0.2, -0.5, 0], [0.1, 0.3, -0.9]], jnp.float32)
    image, gradient = jax.jit(jax.value_and_grad(lambda x: jnp.sum(jnp.sin(domain.image(x)))))(free)
    factor = np.tril(np.asarray(free, float), -1) + np.diag(np.exp(np.diag(free).astype(float)))
    values = np.linalg.eigvalsh(factor @ factor.T)
    logs = np.log(values) if temperature is None else values / temperature
    unit = np.exp(logs - logs.mean())
    excess = max(unit.max() - 5 * unit.min(), 0)
    share = excess / (excess + 4)
    expected = (4 / (excess + 4)) * unit + share
    expected /= np.prod(expected) ** (1 / 3)
    np.testing.assert_allclose(
        np.linalg.eigvalsh(domain.image(free).astype(float)), expected, rtol=2e-4
    )
    assert np.isfinite(image)
    assert np.isfinite(gradient).all()
    assert jnp.abs(gradient).max() > 1e-3


# Simplex


@pytest.mark.parametrize(
    ("labels", "purity", "temperature"),
    [
        (2, 0.6, 1.0),
        (17, 0.99, 5.0),
        *itertools.product([400, 20_000], [0.6, 0.99, 0.99999], ["auto"]),
        (20_000, 0.99999, 0.1),
    ],
)
def test_purity_is_the_mass_that_a_hard_label_keeps(labels, purity, temperature):
    hard = np.zeros((labels, 3), np.float32)
    own = [0, labels // 2, labels - 1]
    hard[own, range(3)] = 1
    domain = Simplex(purity=purity, temperature=temperature)
    soft = np.asarray(jax.jit(lambda y: domain.image(domain.preimage(y)))(hard))
    np.testing.assert_allclose(soft[own, range(3)], purity, atol=1e-6)
    np.testing.assert_allclose(soft.sum(0, dtype=np.float64), 1, atol=2e-6)
    assert (soft.argmax(0) == own).all()


def test_interior_round_trip_is_exact_down_to_tiny_weights():
    with x64():
        y = np.maximum(np.random.default_rng(0).dirichlet(np.full(400, 0.05), 50).T, 1e-200)
        assert y.min() < 1e-30
        domain = Simplex(purity=0.9)
        again = jax.jit(lambda y: domain.image(domain.preimage(y)))(y)
        np.testing.assert_allclose(again, y, rtol=1e-12)


def test_zeros_are_filled_below_every_positive_weight():
    y = jnp.array([[0.7, 1.0], [0.3 - 1e-7, 0.0], [1e-7, 0.0], [0.0, 0.0]])
    domain = Simplex(purity=0.9)
    soft = jax.jit(lambda y: domain.image(domain.preimage(y)))(y)
    assert (np.diff(soft, axis=0) <= 0).all()
    assert float(soft[0, 0]) == pytest.approx(0.7, abs=1e-6)


def test_location_outside_every_parcel_stays_outside():
    maps = ai.HardMaps(np.array([0, 1, -1, 2], np.int32), 3)
    node = domains.constrained(maps, Simplex(temperature="auto"))
    soft = domains.unwrap(node)
    assert isinstance(soft, ai.DenseMaps)
    np.testing.assert_allclose(soft.values.sum(0), [1, 1, 0, 1], atol=1e-6)

    def loss(node):
        return (domains.unwrap(node).values ** 2).sum()

    grads = jax.jit(jax.grad(loss))(node).free.values
    assert jnp.isfinite(grads).all()
    assert (grads[:, 2] == 0).all()
    assert (grads[:, 0] != 0).all()
    decayed = jax.jit(lambda n: domains.unwrap(jax.tree.map(lambda p: p * 0.9, n)))(node)
    assert (decayed.values[:, 2] == 0).all()


def test_softmax_over_the_entries_of_a_location():
    dense = np.random.default_rng(0).dirichlet(np.ones(5), 40).T
    dense = np.where(dense < 0.1, 0, dense)
    dense = (dense / dense.sum(0)).astype(np.float32)
    maps = ai.SparseMaps.from_scipy(dense)
    unwrap = jax.jit(domains.unwrap)
    node = jax.jit(lambda m: domains.constrained(m, Simplex()))(maps)
    np.testing.assert_allclose(unwrap(node).to_dense(), dense, atol=1e-6)
    moved = eqx.tree_at(lambda n: n.free.values, node, replace_fn=lambda v: np.sin(37 * v))
    soft = unwrap(moved).to_dense()
    np.testing.assert_allclose(soft.sum(0), 1, atol=1e-6)
    assert ((soft > 0) == (dense > 0)).all()
    free = np.where(dense > 0, moved.free.to_dense(), -np.inf)
    np.testing.assert_allclose(soft, scipy.special.softmax(free, axis=0), atol=1e-6)


def test_sparse_rows_may_sum_to_one_instead():
    maps = ai.SparseMaps.from_scipy(np.array([[1, 3, 0], [0, 0, 0], [0, 2, 2]], np.float32))
    soft = jax.jit(lambda m: domains.unwrap(domains.constrained(m, Simplex(axis=-1))))(maps)
    soft = soft.to_dense()
    np.testing.assert_allclose(soft, [[0.25, 0.75, 0], [0, 0, 0], [0, 0.5, 0.5]], atol=1e-6)


def test_gradient_of_the_sparse_softmax_is_that_of_the_dense():
    with x64():
        dense = np.random.default_rng(0).dirichlet(np.ones(4), 9).T
        maps = ai.SparseMaps.from_scipy(dense)
        target = np.random.default_rng(1).normal(size=dense.shape)

        def loss(values, *, sparse):
            if sparse:
                node = eqx.tree_at(
                    lambda n: n.free.values, domains.constrained(maps, Simplex()), values
                )
                return (domains.unwrap(node).values * target.ravel()).sum()
            return (Simplex().image(values.reshape(dense.shape)) * target).sum()

        x = jnp.log(maps.values)
        np.testing.assert_allclose(
            jax.jit(jax.grad(lambda x: loss(x, sparse=True)))(x),
            jax.jit(jax.grad(lambda x: loss(x, sparse=False)))(x),
            atol=1e-12,
        )


TOTALS = np.array([[1.0, 0.0, 0.25, 0.3], [0.0, 0.0, 0.5, 0.6]], np.float32)
"""A location of one parcel, one of none, one that belongs to no parcel in part, and an overlap."""


@pytest.mark.parametrize(
    "form",
    [
        *(
            pytest.param(form, marks=pytest.mark.sweep)
            for form in ("array", "dense maps", "traced")
        ),
        "sparse maps",
        "ensemble",
    ],
)
def test_a_simplex_keeps_what_a_location_belongs_to(form):
    sparse = ai.SparseMaps.from_scipy(TOTALS)
    start = {"dense maps": ai.DenseMaps(TOTALS), "sparse maps": sparse}.get(form, jnp.array(TOTALS))
    make = functools.partial(domains.constrained, domain=Simplex(axis=0))
    if form == "traced":
        node = jax.jit(make)(start)
    elif form == "ensemble":
        node = jax.tree.map(lambda leaf: leaf[1], eqx.filter_vmap(make)(jnp.stack([start] * 2)))
    else:
        node = make(start)

    def dense(node):
        found = domains.unwrap(node)
        if not isinstance(found, ai.SparseMaps):
            return found.values if isinstance(found, ai.DenseMaps) else found
        rows = np.repeat(np.arange(found.n_parcels), np.diff(found.indptr))
        return jnp.zeros(TOTALS.shape, found.values.dtype).at[rows, found.indices].set(found.values)

    totals = [1, 0, 0.75, 0.9]
    np.testing.assert_allclose(dense(node).sum(0), totals, rtol=1e-6)
    np.testing.assert_allclose(dense(node)[:, 2], TOTALS[:, 2], rtol=1e-6)
    own = 1.0 if form == "sparse maps" else 0.99
    np.testing.assert_allclose(dense(node)[0, 0], own, rtol=1e-6)
    # Casts, decay and steps of the free values leave the totals.
    slopes = eqx.filter_grad(lambda n: size(dense(n)))(node)
    params, rest = eqx.partition(node, eqx.is_inexact_array)
    moved = eqx.combine(jax.tree.map(lambda p, g: 0.5 * p - 0.1 * g, params, slopes), rest)
    np.testing.assert_allclose(dense(moved).sum(0), totals, rtol=1e-6)
    for dtype in ("float16", "bfloat16"):
        leaves, rest = eqx.partition(moved, eqx.is_inexact_array)
        small = jax.tree.map(lambda leaf, dtype=dtype: leaf.astype(dtype), leaves)
        back = jax.tree.map(lambda leaf: leaf.astype("float32"), small)
        for cast in (small, back):
            found = dense(eqx.combine(cast, rest)).astype("float32")
            np.testing.assert_allclose(found.sum(0), totals, rtol=2e-2)
            np.testing.assert_array_equal(found[:, 1], 0)


def test_a_simplex_in_an_ensemble_sums_over_each_members_axis(key):
    def make(key, axis):
        return domains.constrained(jr.dirichlet(key, jnp.ones(3), (5,)).T, Simplex(axis=axis))

    for axis in (0, -2):
        nodes = eqx.filter_vmap(functools.partial(make, axis=axis))(jr.split(key, 4))
        outside = domains.unwrap(nodes)
        np.testing.assert_allclose(outside.sum(1), 1, rtol=1e-5)
        np.testing.assert_allclose(eqx.filter_vmap(domains.unwrap)(nodes), outside, rtol=1e-6)
    sphere = domains.constrained(jnp.eye(3)[None], NormSphere(axis=1)).domain
    assert sphere.axis == -2
    assert (
        domains.constrained(
            jnp.eye(2, dtype=jnp.complex64), Amplitude(Simplex(axis=0))
        ).domain.domain.axis
        == -2
    )


def test_slack_trains_what_belongs_to_no_parcel():
    domain = Simplex(slack=True, purity=0.9)
    node = domains.constrained(jnp.array(TOTALS), domain)
    assert node.held is None
    start = domains.unwrap(node)
    np.testing.assert_allclose(start[:, 2:], TOTALS[:, 2:], rtol=1e-6)  # no zeros to fill
    np.testing.assert_allclose(start[:, 0], [0.9, 0.05], rtol=1e-6)
    np.testing.assert_allclose(start[:, 1], [0.05, 0.05], rtol=1e-6)
    slopes = jax.grad(lambda x: domain.image(x)[0, 1])(node.free)
    assert slopes[0, 1] > 0.01
    again = domain.preimage(domain.image(node.free))
    np.testing.assert_allclose(again, node.free, atol=1e-5)
    sparse = domains.constrained(ai.SparseMaps.from_scipy(TOTALS), domain)
    np.testing.assert_allclose(domains.unwrap(sparse).to_dense()[:, 2:], TOTALS[:, 2:], rtol=1e-6)
    with pytest.raises(ValueError, match="`slack` trains what `full` leaves no room for"):
        Simplex(slack=True, full=True)


def test_full_members_sum_to_one():
    found = domains.unwrap(domains.constrained(jnp.array(TOTALS), Simplex(full=True)))
    np.testing.assert_allclose(found.sum(0), 1, rtol=1e-6)
    np.testing.assert_allclose(found[:, 2], [1 / 3, 2 / 3], rtol=1e-6)
    with pytest.raises(ValueError, match="sum to 1 along"):
        Simplex(full=True, outside="error").preimage(jnp.array([[0.5], [0.2]]))
    Simplex(outside="error").preimage(jnp.array([[0.5], [0.2]]))
    with pytest.raises(ValueError, match="sum to at most 1 along"):
        Simplex(outside="error").preimage(jnp.array([[0.9], [0.2]]))


OPTIMISERS = {
    "adam": optax.adam(0.1),
    "adamw": optax.adamw(0.1, weight_decay=0.1),
    "lamb": optax.lamb(0.1),
    "lars": optax.lars(0.1),
    "adafactor": optax.adafactor(0.1),
    "fromage": optax.fromage(0.1),
    "sgd of a clipped norm": optax.chain(
        optax.add_decayed_weights(1e-4), optax.clip_by_global_norm(1.0), optax.sgd(0.1)
    ),
}


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=() if name in ("adamw", "lamb") else pytest.mark.sweep)
        for name in OPTIMISERS
    ],
)
def test_optimisers_that_use_norms_train_beside_a_location_of_no_parcel(name):
    hard = jnp.eye(4)[:, jnp.array([0, 0, 1, 2, 3, 3, 0, 1])]
    target = jnp.roll(hard, 1, 0)

    @jax.jit
    def train(model):
        state = OPTIMISERS[name].init(model)
        for _ in range(3):
            slopes = jax.grad(lambda m: ((domains.unwrap(m) - target) ** 2).sum())(model)
            updates, state = OPTIMISERS[name].update(slopes, state, model)
            model = optax.apply_updates(model, updates)
        return domains.unwrap(model)

    moved = {}
    for outside in (False, True):
        start = hard.at[:, 2].set(0.0) if outside else hard
        model = domains.constrained(start, Simplex(purity=0.99))
        with jax.numpy_dtype_promotion("standard"):  # Optax's own arithmetic
            found = train(model)
        assert np.isfinite(found).all()
        moved[outside] = float(jnp.abs(found - domains.unwrap(model)).max())
        if outside:
            np.testing.assert_array_equal(found[:, 2], 0)
    assert moved[True] > 0.2 * moved[False] > 0


def test_saturation_reports_what_cannot_learn():
    hard = jnp.eye(10)
    node = {"a": domains.constrained(hard, Simplex(purity=1 - 1e-7))}
    assert domains.saturation(node) == {"a": 1.0}
    assert domains.saturation({"a": domains.constrained(hard, Simplex(purity=0.9))}) == {"a": 0.0}
    node = {"t": domains.Constrained(jnp.array([0.0, 20.0, 20.0, 1.0]), Tanh()), "x": jnp.ones(2)}
    assert domains.saturation(node) == {"t": 0.5}
    assert domains.saturation({"q": domains.constrained(jnp.eye(3), Orthogonal())}) == {}
    sparse = domains.constrained(ai.SparseMaps.from_scipy(np.eye(3, dtype=np.float32)), Simplex())
    assert domains.saturation([sparse]) == {"0": 1.0}


def test_simplex_lowers_for_cuda():
    maps = ai.SparseMaps.from_scipy(np.eye(3, dtype=np.float32))
    for node in (
        domains.constrained(jnp.eye(3), Simplex()),
        domains.constrained(maps, Simplex()),
    ):
        leaves, treedef = jax.tree.flatten(node)

        def loss(leaves, treedef=treedef):
            return size(jax.tree.leaves(domains.unwrap(treedef.unflatten(leaves)))[0])

        exported = jax.export.export(jax.jit(jax.grad(loss, allow_int=True)), platforms=["cuda"])
        assert "stablehlo" in exported(leaves).mlir_module()


# Values outside


def test_bounded_domains_clip_or_renormalize():
    y = jnp.array([-3.0, 0.0, 0.5, 2.0])
    edge = math.tanh(3)
    clipped = Tanh(outside="clip")
    np.testing.assert_allclose(clipped.image(clipped.preimage(y)), [-edge, 0, 0.5, edge], atol=1e-6)
    scaled = Tanh(outside="renormalize")
    np.testing.assert_allclose(
        scaled.image(scaled.preimage(y)), -edge + (y + 3) / 5 * 2 * edge, atol=1e-6
    )
    inside = jnp.array([-0.5, 0.5])
    np.testing.assert_allclose(scaled.image(scaled.preimage(inside)), inside, atol=1e-6)
    positive = Positive(outside="clip", bounds=(-5.0, math.inf))
    np.testing.assert_allclose(positive.preimage(jnp.array([-1.0, 100.0])), [-5, 100], rtol=1e-5)


@pytest.mark.parametrize(
    ("domain", "y", "wanted"),
    [
        # hypercoil's `Renormalise` maps [min, max] to [max(min, low), min(max, high)].
        (Affine(bounds=(-1.0, 1.0), outside="renormalize"), [0.5, 1.5, 2.5], [0.5, 0.75, 1.0]),
        (Affine(bounds=(-1.0, 1.0), outside="renormalize"), [2.0, 4.0], [-1.0, 1.0]),
        (Affine(bounds=(-1.0, 1.0), outside="renormalize"), [4.0, 4.0], [1.0, 1.0]),
        (Affine(bounds=(-1.0, 1.0), outside="clip"), [-9.0, 0.5, math.inf], [-1.0, 0.5, 1.0]),
        (Affine(1.0, -2.0, bounds=(-1.0, math.inf), outside="clip"), [-9.0, 8.0], [-9.0, 3.0]),
        (Affine(1.0, -2.0, bounds=(0.0, 1.0), outside="renormalize"), [-3.0, 1.0], [-1.0, 1.0]),
        (
            Tanh(outside="renormalize"),
            [-0.5, 0.0, 1.5],
            [-0.5, -0.5 + (math.tanh(3) + 0.5) / 4, math.tanh(3)],
        ),
    ],
)
def test_values_outside_go_where_hypercoils_handlers_put_them(domain, y, wanted):
    found = domain.image(domain.preimage(jnp.array(y)))
    np.testing.assert_allclose(found, wanted, rtol=2e-6, atol=1e-6)


def test_advice_for_what_is_not_definite_can_be_followed():
    y = jnp.diag(jnp.array([1.0, -1.0]))
    domain = Isochoric(max_condition=4.0, outside="renormalize")
    advice = (
        r"Take the nearest that is by `spd\.image\(spd\.preimage\(y\)\)` of `spd = atlasinit\.do"
    )
    with pytest.raises(ValueError, match=advice):
        domain.preimage(y)
    spd = SPD(outside="clip")
    image = domain.image(domain.preimage(spd.image(spd.preimage(y))))
    np.testing.assert_allclose(image, np.diag([2.0, 0.5]), rtol=1e-4)


def test_an_affine_domain_without_bounds_has_no_outside():
    y = jnp.array([math.nan, math.inf, 2.0])
    np.testing.assert_array_equal(Affine(1.0, 2.0).image(Affine(1.0, 2.0).preimage(y)), y)


@pytest.mark.parametrize("order", [1, 2, math.inf, "fro", "nuc"])
def test_matrices_of_one_norm(order):
    """Of the axes named, in the order of NumPy's matrix norms."""
    domain = NormSphere(order=order, axis=(0, -1), scale=2.0)
    y = domain.image(free_values(domain, (3, 2, 4)))
    for i in range(2):
        assert np.linalg.norm(y[:, i], order) == pytest.approx(2, rel=1e-5)
    np.testing.assert_array_equal(domain.preimage(y), y / 2)
    assert domain.for_axes(3) == NormSphere(order=order, axis=(-3, -1), scale=2.0)
    assert domain == NormSphere(order=order, axis=tuple([0, -1]), scale=2.0)
    assert NormSphere(axis=(-1,)) == NormSphere()
    # Finite where all singular values are equal, and where all are 0.
    gradient = jax.grad(lambda x: size(domain.image(x)))
    for start in (jnp.eye(3), jnp.zeros((3, 3))):
        assert jnp.isfinite(gradient(start)).all()


def test_vectors_and_matrices_renormalize():
    y = jnp.array([[3.0, 4.0], [0.0, 2.0]])
    sphere = NormSphere(outside="renormalize")
    np.testing.assert_allclose(sphere.image(sphere.preimage(y)), [[0.6, 0.8], [0, 1]], atol=1e-6)
    columns = Simplex(axis=-1, outside="clip")
    np.testing.assert_allclose(
        columns.image(columns.preimage(jnp.array([[1.0, 3.0, 4.0], [-1.0, 5.0, 5.0]]))),
        [[1 / 8, 3 / 8, 1 / 2], [0.00990099 / 2, 0.4975247, 0.4975247]],
        atol=3e-3,
    )
    singular = jnp.array([[1.0, 1.0], [1.0, 1.0]])
    spd = SPD(outside="clip", minimum=0.1)
    np.testing.assert_allclose(
        np.linalg.eigvalsh(spd.image(spd.preimage(singular))), [0.1, 2], atol=1e-5
    )
    isochor = Isochoric(max_condition=4.0, outside="renormalize")
    stretched = isochor.image(isochor.preimage(jnp.diag(jnp.array([1.0, 100.0]))))
    np.testing.assert_allclose(stretched, np.diag([0.5, 2.0]), atol=1e-5)
    rotation = Orthogonal(method="polar", outside="renormalize")
    np.testing.assert_allclose(rotation.preimage(3 * jnp.eye(3)), jnp.eye(3), atol=1e-6)


# Trees


class Layer(eqx.Module):
    weight: jax.Array
    bias: jax.Array


def network():
    return {"layers": [Layer(jnp.full((2, 3), 0.5), jnp.ones(2)) for _ in range(3)], "n": 7}


@pytest.mark.parametrize(
    ("where", "count"),
    [
        ("layers.1.weight", 1),
        ("layers.*.weight", 3),
        ("*", 6),
        (lambda m: m["layers"][0].weight, 1),
        (lambda m: [layer.weight for layer in m["layers"]], 3),
        (lambda m: m["layers"][2], 2),
    ],
)
def test_where_is_a_function_a_name_or_a_pattern(where, count):
    model = domains.constrain(network(), where, Positive())
    nodes = jax.tree.leaves(model, is_leaf=lambda x: isinstance(x, domains.Constrained))
    assert sum(isinstance(node, domains.Constrained) for node in nodes) == count
    plain = domains.unwrap(model)
    assert eqx.tree_equal(plain, network(), rtol=1e-6, atol=1e-6)


def test_maps_are_chosen_whole():
    maps = ai.SparseMaps.from_scipy(np.array([[0.5, 1.0], [0.5, 0.0]], np.float32))
    for where in ("maps", lambda m: m["maps"], lambda m: m["maps"].values):
        node = domains.constrain({"maps": maps}, where, Simplex())["maps"]
        assert isinstance(node, domains.Constrained)
        assert isinstance(domains.unwrap(node), ai.SparseMaps)


def test_elementwise_domains_fit_every_representation():
    hard = ai.HardMaps(np.array([0, 1], np.int32), 2)
    sparse = ai.SparseMaps.from_scipy(hard.to_scipy())
    domain = Positive(outside="clip", bounds=(-9.0, math.inf))
    np.testing.assert_allclose(
        domains.unwrap(domains.constrained(sparse, domain)).to_dense(), np.eye(2), atol=1e-6
    )
    dense = domains.unwrap(domains.constrained(hard, domain)).values
    np.testing.assert_allclose(dense, np.eye(2), atol=2e-4)


def test_frozen_leaves_get_no_gradient_and_are_not_trainable():
    model = domains.constrain(network(), "layers.*.weight", Positive())
    model = domains.freeze(model, "layers.0.*")

    def loss(m):
        return sum((layer.weight.sum() + layer.bias.sum()) ** 2 for layer in m["layers"])

    grads = eqx.filter_grad(lambda m: loss(domains.unwrap(m)))(model)
    flags = domains.trainable(model)
    on, off = eqx.partition(grads, flags)
    assert len(jax.tree.leaves(on)) == 4
    assert all((g != 0).all() for g in jax.tree.leaves(on))
    assert all((g == 0).all() for g in jax.tree.leaves(off))
    assert sum(jax.tree.leaves(domains.trainable(model, "layers.1.*"))) == 2


@pytest.mark.usefixtures("_standard_promotion")
def test_projection_after_a_step(key):
    weights = jr.normal(key, (5, 7))
    simplex = jax.jit(optax.projections.projection_simplex)
    model = domains.enforce({"w": weights}, "w", simplex, axis=-2)
    for column, projected in zip(weights.T, model["w"].T, strict=True):
        np.testing.assert_allclose(projected, simplex(column), atol=1e-6)
    assert (model["w"] == 0).any()
    positive = domains.enforce({"w": weights}, "w", optax.projections.projection_non_negative)
    np.testing.assert_array_equal(positive["w"], jnp.maximum(weights, 0))
    empty = {"w": jnp.zeros((0, 5))}
    assert domains.enforce(empty, "w", simplex, axis=-2)["w"].shape == (0, 5)
    maps = domains.enforce(ai.DenseMaps(weights), "*", simplex, axis=-2)
    np.testing.assert_array_equal(maps.values, model["w"])


@pytest.fixture
def _standard_promotion():
    # Optax's projections mix dtypes.
    with jax.numpy_dtype_promotion("standard"):
        yield


def test_nodes_are_paramax_nodes():
    node = domains.constrained(jnp.ones(2), Positive())
    assert paramax.contains_unwrappables(node)
    np.testing.assert_array_equal(paramax.unwrap(node), domains.unwrap(node))


# Bad input

BAD_PARAMETERS = [
    (lambda: Simplex(temperature=0), "`temperature` should be positive"),
    (lambda: Simplex(temperature="hot"), "`temperature` should be positive"),
    (lambda: Simplex(purity=1.0), "`purity` should lie between 0 and 1"),
    (lambda: Simplex(outside="drop"), "`outside` should be one of"),
    (lambda: Tanh(scale=-1), "`scale` should be positive"),
    (lambda: Tanh(bounds=(3, -3)), "lower < upper"),
    (lambda: Logistic(outside="ignore"), "`outside` should be one of"),
    (lambda: Affine(outside="renormalize"), "`bounds` should be finite"),
    (lambda: Affine(bounds=(0.0, 1.0)).preimage(jnp.array([2.0])), 'Use outside="clip" or'),
    (lambda: NormSphere(order="fro"), "`order` of vectors should be at least 1, got 'fro'; for"),
    (lambda: NormSphere(order=3, axis=(0, 1)), "`order` of matrices should be 1, 2"),
    (lambda: NormSphere(axis=(0, 1, 2)), "`axis` should be one, or two"),
    (lambda: NormSphere(axis=(0, 1), ellipsoid=ELLIPSOID), "`axis` should be one, or two"),
    (lambda: NormSphere(axis=(0, -2)).image(jnp.ones((2, 2))), "does not exist in an array"),
    (lambda: Positive(outside="renormalize"), "`bounds` should be finite"),
    (lambda: Positive(map="square"), "`map` should be one of"),
    (lambda: Affine(scale=0.0), "scale.* should be positive"),
    (lambda: NormSphere(scale=jnp.ones(2)), "`scale` should be a number"),
    (lambda: NormSphere(order=0.5), "`order` of vectors should be at least 1"),
    (lambda: NormSphere(ellipsoid=[[1.0, 2.0]]), "`ellipsoid` should be symmetric"),
    (lambda: NormSphere(ellipsoid=[[1.0, 0], [0, -1.0]]), "positive definite"),
    (lambda: Orthogonal(method="cayley"), "`method` should be one of"),
    (lambda: SPD(minimum=0), "`minimum` should be positive"),
    (lambda: Isochoric(volume=0), "`volume` should be positive"),
    (lambda: Isochoric(max_condition=0.5), "`max_condition` should be at least 1"),
    (lambda: Isochoric(softmax_temperature=-1), "`softmax_temperature` should be positive"),
]


@pytest.mark.parametrize(("make", "match"), BAD_PARAMETERS)
def test_impossible_parameters(make, match):
    with pytest.raises(ValueError, match=match):
        make()


@pytest.mark.parametrize(
    "make",
    [
        lambda s: Tanh(scale=s),
        lambda s: Tanh(scale=s, outside="renormalize"),
        lambda s: Logistic(loc=s, scale=s),
        lambda s: NormSphere(scale=s[0]),
    ],
)
def test_arrays_as_parameters_are_hashable(make):
    domain = make(jnp.array([1.0, 2.0]))
    assert domain == make(np.array([1.0, 2.0]))
    assert hash(domain) == hash(make([1.0, 2.0]))
    x = jnp.array([[0.5, -1.0], [0.6, 0.8], [-1.0, 0.25]])
    y = jax.jit(domain.image)(x)
    np.testing.assert_allclose(domain.image(domain.preimage(y)), y, rtol=1e-5)


def test_each_matrix_of_a_batch_has_its_own_slack():
    both = jnp.stack([1e12 * jnp.eye(2), jnp.diag(jnp.array([1.0, 1e-8]))])
    with pytest.raises(ValueError, match="positive definite"):
        SPD(minimum=1e-3).preimage(both)


@pytest.mark.parametrize("shape", [(5, 3), (3, 5), (2, 4, 4)])
def test_gradient_of_qr_is_that_of_jax(shape, key):
    def plain(x):
        tall = jnp.swapaxes(x, -1, -2) if shape[-2] < shape[-1] else x
        q, r = jnp.linalg.qr(tall)
        signs = jnp.sign(jnp.diagonal(r, axis1=-2, axis2=-1))
        return (
            jnp.swapaxes(q * signs[..., None, :], -1, -2)
            if tall is not x
            else q * signs[..., None, :]
        )

    x, weights = jax.random.normal(key, (2, *shape))
    ours, theirs = (
        jax.jit(jax.grad(lambda x, f=f: jnp.sum(weights * f(x))))(x)
        for f in (Orthogonal().image, plain)
    )
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)


BAD_VALUES = [
    (Simplex(purity=0.2), jnp.eye(4), "`purity` for 4 labels should be above 1/4"),
    (Simplex(), jnp.ones(3), "`axis` -2 of the `Simplex` does not exist"),
    (Simplex(), jnp.array([[1.5], [-0.5]]), "non-negative"),
    (Simplex(), jnp.array([[jnp.nan], [1.0]]), "finite"),
    (Simplex(outside="error", full=True), jnp.ones((2, 2)), "sum to 1"),
    (Simplex(outside="clip"), jnp.array([[jnp.inf], [1.0]]), "finite"),
    (Tanh(), jnp.array([2.0]), "between the images of `bounds`"),
    (Tanh(outside="clip"), jnp.array([jnp.nan]), "NaN"),
    (Positive(), jnp.array([0.0]), "between the images"),
    (Positive(), jnp.array([jnp.inf]), "infinity"),
    (Tanh(outside="renormalize"), jnp.array([jnp.inf, 0.0]), "infinity"),
    (NormSphere(), jnp.ones((1, 2)), "should have norm"),
    (NormSphere(axis=2), jnp.ones((1, 2)), "`axis` 2 does not exist"),
    (NormSphere(ellipsoid=[[1.0]]), jnp.ones((1, 2)), r"`ellipsoid` should be \(2, 2\)"),
    (Orthogonal(), jnp.ones((2, 2)), "orthonormal"),
    (Orthogonal(), jnp.ones(2), "at least two axes"),
    (SPD(), jnp.ones((2, 3)), "square"),
    (SPD(), jnp.array([[1.0, 2.0], [0.0, 1.0]]), "symmetric"),
    (SPD(), -jnp.eye(2), "positive definite"),
    (Isochoric(), 2 * jnp.eye(2), "determinant"),
    (Isochoric(outside="renormalize"), -jnp.eye(2), "positive definite"),
    (Isochoric(max_condition=2.0), jnp.diag(jnp.array([0.25, 4.0])), "condition"),
]


@pytest.mark.parametrize(("domain", "y", "match"), BAD_VALUES)
def test_values_outside_are_refused_also_under_jit(domain, y, match):
    with pytest.raises(ValueError, match=match):
        domain.preimage(y)
    with pytest.raises((ValueError, eqx.EquinoxRuntimeError), match=match):
        jax.block_until_ready(eqx.filter_jit(domain.preimage)(y))


def test_sparse_purity_is_checked_per_location():
    maps = ai.SparseMaps.from_scipy(np.ones((4, 2), np.float32))
    with pytest.raises(ValueError, match="`purity` should be above 1 / labels"):
        domains.constrained(maps, Simplex(purity=0.25))
    with pytest.raises(ValueError, match="`axis` on sparse maps"):
        domains.constrained(maps, Simplex(axis=2))


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: Tanh().preimage(jnp.ones(2, jnp.int32)), "real floating-point array, got int32"),
        (
            lambda: Simplex().image(jnp.ones((2, 2), jnp.complex64)),
            "wrap the domain in `Amplitude`",
        ),
        (lambda: Amplitude(Tanh()).preimage(jnp.ones(2)), "should be complex"),
        (
            lambda: domains.constrained(ai.SparseMaps.from_scipy(np.eye(2)), NormSphere()),
            "`NormSphere` needs every weight",
        ),
        (
            lambda: domains.enforce(ai.HardMaps(np.zeros(2, np.int32), 1), "*", jnp.abs),
            "arrays or dense maps, got HardMaps",
        ),
    ],
)
def test_wrong_types(call, match):
    with pytest.raises(TypeError, match=match):
        call()


def test_where_that_finds_nothing_lists_what_is_near():
    with pytest.raises(ValueError, match=r"finds no array. Did you mean 'layers.0.weight'"):
        domains.constrain(network(), "layer.0.weights", Positive())
    with pytest.raises(ValueError, match="`where` raises AttributeError.*Names: layers.0.weight"):
        domains.constrain(network(), lambda m: m["layers"][0].weights, Positive())
    with pytest.raises(ValueError, match="finds no array.*Names: layers.0.weight"):
        domains.constrain(network(), lambda m: [], Positive())
    model = domains.constrain(network(), "layers.0.weight", Positive())
    with pytest.raises(ValueError, match="'layers.0.weight' is a Constrained already"):
        domains.constrain(model, "*", Positive())
    with pytest.raises(ValueError, match="`projection` should keep the shape"):
        domains.enforce(network(), "layers.0.bias", jnp.sum)
