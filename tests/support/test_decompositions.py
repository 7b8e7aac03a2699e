"""Factors of batches of matrices, which wait for no thread that waits for them."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg
from jax.test_util import check_grads

import atlasinit as ai
from atlasinit import initializers as init
from atlasinit.support import decompositions

try:
    from jax import enable_x64
except ImportError:
    from jax.experimental import enable_x64

RNG = np.random.default_rng(7)
SQUARE = RNG.normal(size=(2, 3, 4, 4))
DEFINITE = SQUARE @ SQUARE.mT + 2 * np.eye(4)


def over(function):
    return jax.vmap(jax.vmap(function))


def test_factors_of_batches_of_batches_are_those_of_numpy():
    with enable_x64(True):  # noqa: FBT003
        values, vectors = over(decompositions.factor_eigh)(DEFINITE)
        np.testing.assert_allclose(values, np.linalg.eigvalsh(DEFINITE), rtol=1e-10)
        np.testing.assert_allclose(vectors * values[..., None, :] @ vectors.mT, DEFINITE)
        np.testing.assert_allclose(
            decompositions.find_eigenvalues(jnp.asarray(DEFINITE)), values, rtol=1e-10
        )
        lower = over(decompositions.factor_cholesky)(DEFINITE)
        np.testing.assert_allclose(lower, np.linalg.cholesky(DEFINITE), atol=1e-12)
        u, sizes, vt = over(decompositions.factor_svd)(SQUARE[..., :3])
        np.testing.assert_allclose(u * sizes[..., None, :] @ vt, SQUARE[..., :3], atol=1e-12)
        q, r = over(decompositions.factor_qr)(SQUARE)
        np.testing.assert_allclose(q @ r, SQUARE, atol=1e-12)
        found = over(decompositions.solve_lower)(lower, SQUARE)
        np.testing.assert_allclose(np.tril(lower) @ found, SQUARE, atol=1e-12)


def test_solutions_for_one_triangle_are_those_of_scipy():
    lower = np.linalg.cholesky(DEFINITE[0, 0])
    with enable_x64(True):  # noqa: FBT003
        found = jax.vmap(decompositions.solve_lower, (None, 0))(jnp.asarray(lower), SQUARE[0])
    expected = [scipy.linalg.solve_triangular(lower, one, lower=True) for one in SQUARE[0]]
    np.testing.assert_allclose(found, expected, atol=1e-12)


@pytest.mark.parametrize("order", [1, pytest.param(2, marks=pytest.mark.sweep)])
def test_derivatives_are_those_of_differences(order):
    with enable_x64(True):  # noqa: FBT003
        check_grads(
            jax.vmap(decompositions.factor_cholesky), (DEFINITE[0],), order=order, rtol=1e-4
        )
        lower = np.linalg.cholesky(DEFINITE[0])
        check_grads(
            jax.vmap(decompositions.solve_lower), (lower, SQUARE[0]), order=order, rtol=1e-4
        )


def of_domain(domain):
    return lambda x: domain.image(x).sum()


def fit_layers(weights):
    data = jnp.asarray(RNG.normal(size=(8, 3)), jnp.float32)
    fit = lambda w: ai.project(ai.DenseMaps(w), data, reduction="lstsq")  # noqa: E731
    return jax.vmap(fit)(weights).sum()


PROGRAMS = {
    "qr": (of_domain(ai.domains.Orthogonal()), (3, 4, 4)),
    "polar": (of_domain(ai.domains.Orthogonal(method="polar")), (3, 4, 4)),
    "tall polar": (of_domain(ai.domains.Orthogonal(method="polar")), (3, 5, 4)),
    "definite": (lambda x: ai.domains.SPD().preimage(x @ x.mT + jnp.eye(4)[None]).sum(), (3, 4, 4)),
    "isochoric": (of_domain(ai.domains.Isochoric()), (3, 4, 4)),
    "least squares": (fit_layers, (3, 4, 8)),
}


def kernels(function, *given):
    """Return what the LAPACK kernels of a compiled program are given, as text."""
    text = jax.jit(function).lower(*given).compile().as_text()
    lines = [line for line in text.splitlines() if 'custom_call_target="lapack_' in line]
    shapes = [
        re.findall(r"[fs]\d+\[([\d,]*)\]", line.partition("custom-call(")[0]) for line in lines
    ]
    return [[tuple(map(int, one.split(","))) for one in of_one if one] for of_one in shapes]


def check_one_by_one(shapes):
    assert shapes
    for of_one in shapes:
        assert max(len(shape) for shape in of_one) <= 2, of_one


@pytest.mark.parametrize("name", PROGRAMS)
def test_no_kernel_of_a_program_takes_a_batch(name):
    function, shape = PROGRAMS[name]
    x = np.asarray(RNG.normal(size=shape), np.float32)
    check_one_by_one(kernels(jax.value_and_grad(function), x))


@pytest.mark.parametrize("mean", ["harmonic", "log_euclidean", "geometric"])
def test_no_kernel_of_a_mean_takes_a_batch(mean):
    matrices = np.asarray(DEFINITE, np.float32)
    check_one_by_one(kernels(lambda x: init.mean_spd(x, mean), matrices))


def test_batches_are_seen_where_there_are_some():
    assert max(map(len, kernels(jnp.linalg.cholesky, np.ones((3, 4, 4), np.float32))[0])) == 3
