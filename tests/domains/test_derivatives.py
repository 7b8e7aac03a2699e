"""Derivatives of every domain in every dtype, and one step of every optimiser from every start."""

import functools
import inspect

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax import enable_x64
from test_domains import CASES, free_values

from atlasinit import domains
from atlasinit.domains import SPD, Amplitude, Isochoric, NormSphere, Orthogonal

DTYPES = ["float16", "bfloat16", "float32", "float64"]
# Of a derivative's size, what may be lost: some ten roundings, squared in second derivatives.
LOST = {
    "float16": (0.02, 0.1),
    "bfloat16": (0.1, 0.4),
    "float32": (2e-4, 2e-3),
    "float64": (1e-6, 2e-5),
}


def start_of(name, corner):
    """Free values in float64: random ones, or of a corner where derivatives are delicate."""
    domain, shape, _ = CASES[name]
    if corner == "random":
        return free_values(domain, shape, jnp.float64)
    if isinstance(domain, NormSphere):
        # Other norms than the 2 and the largest entry have no second derivative at zeros.
        equal = jnp.full((4, 3), 0.5).at[::2].multiply(-1.0)
        axes = jnp.eye(3, dtype=jnp.float64)[jnp.arange(4) % 3]
        return equal.astype(jnp.float64) if domain.order in (1, 3) else axes
    if isinstance(domain, Orthogonal):
        return jnp.eye(*shape, dtype=jnp.float64)  # equal singular values
    if isinstance(domain, SPD | Isochoric):
        return domain.preimage(
            jnp.eye(*shape, dtype=jnp.float64) * getattr(domain, "volume", 1.0) ** (1 / shape[-1])
        )
    if name.startswith("simplex"):
        axis = -1 if domain.axis == -1 else -2
        hot = jax.nn.one_hot(jnp.arange(shape[1 if axis == -2 else 0]) % shape[axis], shape[axis])
        return domain.preimage((hot.T if axis == -2 else hot).astype(jnp.float64))
    return jnp.full(shape, 3.0, jnp.float64)


def loss_of(domain):
    def loss(x):
        y = domain.image(x)
        flat = y.reshape(-1).astype(y.dtype if y.dtype.itemsize >= 4 else jnp.float32)
        weights = jnp.sin(1 + jnp.arange(flat.size, dtype=jnp.float32)).astype(flat.dtype)
        return (weights * flat).sum() + (flat**2 * jnp.flip(weights)).sum()

    return loss


def slopes(loss, x, direction):
    """The first and second derivative along a direction, in reverse mode twice."""
    along = lambda x: (jax.grad(loss)(x) * direction).sum()  # noqa: E731
    return along(x), (jax.grad(along)(x) * direction).sum()


REAL = [name for name in CASES if not isinstance(CASES[name][0], Amplitude)]


def some(names, chosen):
    """All names, of which those that are not chosen run with the sweeps alone."""
    return [pytest.param(n, marks=() if n in chosen else pytest.mark.sweep) for n in names]


@pytest.mark.sweep
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("corner", ["random", "corner"])
@pytest.mark.parametrize("name", some(REAL, {"simplex", "qr", "polar-square", "isochoric"}))
def test_derivatives_are_those_of_differences_in_float64(name, corner, dtype):
    with enable_x64(True):  # noqa: FBT003
        domain = CASES[name][0]
        x = start_of(name, corner).astype(dtype)
        direction = jnp.cos(jnp.arange(x.size, dtype=jnp.float64)).reshape(x.shape).astype(dtype)
        found = jax.jit(functools.partial(slopes, loss_of(domain)))(x, direction)
        # What is compared starts from the same values, after their rounding.
        wide, along = x.astype(jnp.float64), direction.astype(jnp.float64)
        value = jax.jit(lambda t: loss_of(domain)(wide + t * along))
        h = 2e-4
        far, below, here, above, beyond = (float(value(t * h)) for t in (-2.0, -1.0, 0.0, 1.0, 2.0))
        # Differences whose error is of the fourth power of the step.
        first = (far - 8 * below + 8 * above - beyond) / (12 * h)
        second = (-far + 16 * below - 30 * here + 16 * above - beyond) / (12 * h**2)
        expected = first, second
        for one, other, lost in zip(found, expected, LOST[dtype], strict=True):
            assert abs(float(one) - other) < lost * max(1.0, abs(other)), (found, expected)


LEFT_OUT = {"lbfgs", "optimistic_adam"}  # the one needs a line search, the other is deprecated


def optimisers():
    """All of Optax with a learning rate that need no value of the loss or another function."""
    found = {}
    for name, function in vars(inspect.getmodule(optax.adam)).items():
        if inspect.isfunction(function) and name in vars(optax) and name not in LEFT_OUT:
            if next(iter(inspect.signature(function).parameters), "") == "learning_rate":
                found[name] = function
    return found


OPTIMISERS = optimisers()
OPTIMISERS["noisy_sgd"] = functools.partial(OPTIMISERS["noisy_sgd"], key=jax.random.key(0))
STARTS = {
    **{name: CASES[name][0] for name in REAL},
    "simplex-outside": domains.Simplex(),
}


def model_of(start):
    with enable_x64(True):  # noqa: FBT003
        if start == "simplex-outside":
            # A location of no parcel beside labels.
            return domains.constrained(
                jnp.eye(4, 3, dtype=jnp.float32).at[:, 1].set(0), STARTS[start]
            )
        free = np.asarray(start_of(start, "corner"), np.float32)
    return domains.Constrained(jnp.asarray(free), STARTS[start])


# They move values without a gradient too, such as the totals that a `Simplex` holds beside the
# free values: by noise, and by a first moment that does not start at 0.
MOVE_ALL = {"noisy_sgd", "yogi"}


@pytest.mark.sweep
@pytest.mark.parametrize("start", some(STARTS, {"simplex-outside", "isochoric"}))
@pytest.mark.parametrize("name", some(OPTIMISERS, {"lamb", "yogi"}))
def test_every_optimiser_takes_steps_from_every_start(name, start):
    optimiser = optax.chain(optax.clip_by_global_norm(1.0), OPTIMISERS[name](1e-2))
    model = model_of(start)
    given, rest = model, None
    if name in MOVE_ALL:
        given, rest = eqx.partition(
            model, eqx.tree_at(lambda m: m.free, jax.tree.map(lambda _: False, model), replace=True)
        )

    @jax.jit
    def train(given):
        def loss(given):
            y = domains.unwrap(eqx.combine(given, rest) if name in MOVE_ALL else given)
            return (y * jnp.sin(jnp.arange(y.size, dtype=y.dtype)).reshape(y.shape)).sum()

        state = optimiser.init(given)
        for _ in range(2):  # Rprop only looks on in the first
            updates, state = optimiser.update(jax.grad(loss)(given), state, given)
            given = optax.apply_updates(given, updates)
        return given

    with jax.numpy_dtype_promotion("standard"):  # Optax's own arithmetic
        moved = train(given)
    found = domains.unwrap(eqx.combine(moved, rest) if name in MOVE_ALL else moved)
    assert np.isfinite(found).all()
    holds = CASES[start][2] if start in CASES else lambda y: y[:, 1] == 0
    assert np.all(holds(np.asarray(found)))
    assert float(jnp.abs(found - domains.unwrap(model)).max()) > 0
