"""Factors of matrices, of which a CPU takes those of a batch one after another.

jaxlib's kernels for batches run on a thread of XLA's pool and wait there for other threads of it.
As many of them as the pool has threads, two on a machine of two cores, wait for each other without
an end (seen with jaxlib 0.10.2: two eigendecompositions of (2, 400, 400), and solutions with four
triangles of 200 rows). A kernel of one matrix waits for none.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Float


def _one_after_another(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return `function` of matrices; `jax.vmap` over it is a loop on CPUs. It has no derivative."""

    @jax.custom_batching.custom_vmap
    def call(*matrices: jax.Array) -> Any:
        return function(*matrices)

    @call.def_vmap
    def batch(size: int, batched: list[bool], *matrices: Any) -> tuple[Any, Any]:
        axes = [0 if one else None for one in batched]
        if not batched[0]:
            # Solutions for one matrix: their right sides are columns beside each other.
            found = jax.vmap(function, axes)(*matrices)
        else:
            whole = [
                x if one else jnp.broadcast_to(x, (size, *x.shape))
                for x, one in zip(matrices, batched, strict=True)
            ]
            found = jax.lax.platform_dependent(
                *whole,
                cpu=lambda *given: jax.lax.map(lambda own: call(*own), given),
                default=jax.vmap(function),
            )
        return found, jax.tree.map(lambda _: True, found)

    return call


_eigh = _one_after_another(lambda a: tuple(jnp.linalg.eigh(a)))
_eigvalsh = _one_after_another(jnp.linalg.eigvalsh)
_qr = _one_after_another(lambda a: tuple(jnp.linalg.qr(a)))
_svd = _one_after_another(lambda a: tuple(jnp.linalg.svd(a, full_matrices=False)))
_cholesky = _one_after_another(jnp.linalg.cholesky)
_solve_lower = _one_after_another(
    lambda a, right: jax.scipy.linalg.solve_triangular(a, right, lower=True)
)
_solve_upper = _one_after_another(
    lambda a, right: jax.scipy.linalg.solve_triangular(a, right, lower=True, trans="T")
)


def factor_eigh(matrix: Float[jax.Array, "n n"]) -> tuple[jax.Array, jax.Array]:
    """Return the eigenvalues and eigenvectors of a symmetric matrix, without a derivative."""
    return _eigh(matrix)


def find_eigenvalues(matrices: Float[jax.Array, "*batch n n"]) -> Float[jax.Array, "*batch n"]:
    """Return the eigenvalues of symmetric matrices from the smallest, without a derivative."""
    find = _eigvalsh
    for _ in matrices.shape[:-2]:
        find = jax.vmap(find)
    return find(jax.lax.stop_gradient(matrices))


def factor_qr(tall: Float[jax.Array, "n k"]) -> tuple[jax.Array, jax.Array]:
    """Return Q and R, without a derivative."""
    return _qr(tall)


def factor_svd(tall: Float[jax.Array, "n k"]) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Return U, the singular values and V^T, without a derivative."""
    return _svd(tall)


@jax.custom_jvp
def factor_cholesky(matrix: Float[jax.Array, "n n"]) -> Float[jax.Array, "n n"]:
    """Return the lower Cholesky factor L of the symmetric part of a matrix."""
    return _cholesky(matrix)


@factor_cholesky.defjvp
def _cholesky_jvp(
    primals: tuple[jax.Array], tangents: tuple[jax.Array]
) -> tuple[jax.Array, jax.Array]:
    # dL is L times the lower triangle, its diagonal halved, of L^-1 dA L^-T (Murray, 2016,
    # arXiv:1602.07527).
    factor = factor_cholesky(primals[0])
    change = (tangents[0] + tangents[0].T) / 2
    inner = solve_lower(factor, solve_lower(factor, change).T)
    return factor, product(factor, jnp.tril(inner) - jnp.diag(jnp.diagonal(inner)) / 2)


def solve_lower(
    lower: Float[jax.Array, "n n"], right: Float[jax.Array, "n k"]
) -> Float[jax.Array, "n k"]:
    """Return X of L X = C for the lower triangle of a matrix, with derivatives of any order."""
    triangle = jnp.tril(lower)
    return jax.lax.custom_linear_solve(
        lambda x: product(triangle, x),
        right,
        lambda _, right: _solve_lower(triangle, right),
        lambda _, right: _solve_upper(triangle, right),
    )


def product(a: jax.Array, b: jax.Array) -> jax.Array:
    """Return the matrix product at full precision."""
    return jnp.matmul(a, b, precision=jax.lax.Precision.HIGHEST)
