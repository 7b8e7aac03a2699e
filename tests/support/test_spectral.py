"""Derivatives of functions of symmetric matrices, where eigenvalues are equal, near and apart."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from atlasinit.domains import Isochoric, Orthogonal
from atlasinit.support.spectral import map_eigenvalues

FUNCTIONS = {
    "each alone": jnp.log,
    "all together": Isochoric(max_condition=50.0)._spectrum,
    "a softmax": Isochoric(softmax_temperature=0.7)._spectrum,
}


def difference(slope, x, way):
    """The derivative of `slope` by central differences, extrapolated to a step of 0."""

    def central(step):
        return (slope(x + step * way) - slope(x - step * way)) / (2 * step)

    return (4 * central(5e-5) - central(1e-4)) / 3


@pytest.mark.parametrize(
    "name",
    [
        "each alone",
        *(pytest.param(name, marks=pytest.mark.sweep) for name in ("all together", "a softmax")),
    ],
)
def test_second_derivatives_are_differences_of_the_first(name):
    def value(matrix):
        return jnp.sum(weights * map_eigenvalues(FUNCTIONS[name], (matrix + matrix.T) / 2))

    @jax.jit
    def seconds(matrix):
        slope = jax.grad(value)
        forward = jax.jvp(lambda m: jax.jvp(value, (m,), (other,))[1], (matrix,), (way,))[1]
        return (
            difference(slope, matrix, way),
            jax.jvp(slope, (matrix,), (way,))[1],
            jax.grad(lambda m: jnp.sum(slope(m) * way))(matrix),
            forward,
        )

    with jax.enable_x64(True):  # noqa: FBT003
        weights, way, other, turn = jr.normal(jr.key(0), (4, 4, 4), jnp.float64)
        vectors = jnp.linalg.qr(turn)[0]
        for values in ([1, 2, 3, 5], [1, 1, 1, 1], [1, 1, 2, 2], [3, 1, 1, 1], [1, 1 + 1e-7, 2, 3]):
            matrix = vectors @ jnp.diag(jnp.asarray(values, jnp.float64)) @ vectors.T
            expected, *found, forward = seconds(matrix)
            for one in found:
                np.testing.assert_allclose(
                    one, expected, rtol=0, atol=2e-6 * jnp.abs(expected).max()
                )
            np.testing.assert_allclose(forward, jnp.sum(expected * other), rtol=1e-5, atol=1e-6)


@pytest.mark.sweep
def test_second_derivatives_over_a_batch():
    def value(matrix):
        return jnp.sum(jnp.sin(map_eigenvalues(jnp.log, matrix)))

    stack = jnp.stack([jnp.eye(2), jnp.diag(jnp.array([1.0, 3.0]))])
    found = jax.jit(jax.vmap(jax.hessian(value)))(stack)
    for one, hessian in zip(stack, found, strict=True):
        np.testing.assert_allclose(hessian, jax.jit(jax.hessian(value))(one), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "shape",
    [
        pytest.param((3, 3), marks=pytest.mark.sweep),
        (4, 2),
        pytest.param((2, 4), marks=pytest.mark.sweep),
    ],
)
def test_second_derivatives_of_the_polar_factor(shape):
    domain = Orthogonal("polar")

    def value(free):
        return jnp.sum(weights * jnp.sin(domain.image(free)))

    with jax.enable_x64(True):  # noqa: FBT003
        weights, way, random = jr.normal(jr.key(1), (3, *shape), jnp.float64)
        slope = jax.jit(jax.grad(value))
        for start in (jnp.eye(*shape), domain.image(random), random):
            expected = difference(slope, start, way)
            found = jax.jit(lambda x: jax.jvp(jax.grad(value), (x,), (way,))[1])(start)
            np.testing.assert_allclose(found, expected, atol=1e-7)
            assert np.isfinite(jax.jit(jax.hessian(value))(start)).all()
