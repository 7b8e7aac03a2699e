"""Functions of symmetric matrices through their eigenvalues, with gradients that never blow up.

Derivatives of eigenvectors divide by differences of eigenvalues, and are not finite where
two are equal. What is computed here is smooth there: its first two derivatives are written
out, with their limits.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir
from jaxtyping import Bool, Float

from atlasinit.support.decompositions import factor_eigh, product

_Function = Callable[[jax.Array], jax.Array]


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def map_eigenvalues(
    function: _Function, matrix: Float[jax.Array, "n n"]
) -> Float[jax.Array, "n n"]:
    r"""Return :math:`Q\, \mathrm{diag}(g(\lambda))\, Q^\top` for a matrix with eigenvalues \lambda.

    The derivative is that of Daleckii and Krein, extended to functions of all
    eigenvalues together. First and second derivatives are finite where eigenvalues are
    equal; third ones are those of the eigenvectors, and are not.

    Parameters
    ----------
    function
        A smooth function from the vector of eigenvalues to a vector, which commutes with
        permutations of its entries.
    matrix
        (n, n) symmetric; batches by `jax.vmap`.
    """
    values, vectors = factor_eigh(matrix)
    return _rebuild(vectors, jnp.diag(function(values)))


@map_eigenvalues.defjvp
def _spectral_jvp(
    function: _Function, primals: tuple[jax.Array], tangents: tuple[jax.Array]
) -> tuple[jax.Array, jax.Array]:
    slope = _slope_p.bind(primals[0], tangents[0], function=function, adjoint=False)
    return map_eigenvalues(function, primals[0]), slope


def _slope(
    matrix: jax.Array, change: jax.Array, *, function: _Function, adjoint: bool
) -> jax.Array:
    """Return the derivative along `change`, or its adjoint; both are linear in `change`."""
    values, vectors = factor_eigh(matrix)
    jacobian, turned = jax.jacfwd(function)(values), _turn(vectors, change)
    # Off the diagonal entries are scaled by differences of the function divided by those of the
    # eigenvalues; the diagonal is the change of the eigenvalues.
    inner = _slopes(values, function(values), jacobian) * turned
    own = _apply(jacobian.T if adjoint else jacobian, jnp.diagonal(turned))
    return _rebuild(vectors, _set_diagonal(inner, own))


def _slope_change(
    matrix: jax.Array, change: jax.Array, moved: jax.Array, *, function: _Function, adjoint: bool
) -> jax.Array:
    """Return the derivative of `_slope` as `matrix` moves."""
    if not adjoint:
        return _bend(function, matrix, change, moved)
    # From <c, L a> = <L* c, a> for the derivative L and its adjoint, both at the moved matrix.
    _, pull = jax.vjp(lambda a: _bend(function, matrix, a, moved), jnp.zeros_like(change))
    return pull(change)[0]


def _bend(function: _Function, matrix: jax.Array, a: jax.Array, b: jax.Array) -> jax.Array:
    """Return the second derivative along two symmetric matrices.

    It is what the derivative above changes by when the eigenvalues move by diag(b) and the
    eigenvectors turn by b_ij / (l_j - l_i). Gathered by pairs and triples of eigenvalues,
    every coefficient is a divided difference of the function or of its derivative. Its limit,
    where the eigenvalues meet, follows from the symmetry of the function: exchanging l_i and
    l_k exchanges g_i and g_k. Written J_im for the derivative of g_i by l_m, and H_imk for
    the second.
    """
    values, vectors = factor_eigh(matrix)
    jacobian_of = jax.jacfwd(function)
    image, jacobian = function(values), jacobian_of(values)
    slopes = _slopes(values, image, jacobian)
    n = values.shape[0]
    gaps = values[:, None] - values[None, :]
    # Differences of differences lose twice the digits: a cube root balances that and the limit.
    close = _near(values, 1 / 3)
    wide = jnp.where(close, 1, gaps)

    def hessian(direction: jax.Array) -> jax.Array:
        """Return sum_k H_imk direction_k, an array (i, m)."""
        return jax.jvp(jacobian_of, (values,), (direction,))[1]

    units = jnp.eye(n, dtype=values.dtype)

    def columns(k: jax.Array) -> tuple[jax.Array, jax.Array]:
        one = hessian(units[k])
        return one[:, k], jnp.diagonal(one)

    # One k after another, here and below: nothing of n x n x n is stored.
    twice, own = (found.T for found in jax.lax.map(columns, jnp.arange(n)))
    first = jnp.diagonal(twice)[:, None]  # H_iii beside H_ikk (twice) and H_iik (own)

    a, b = _turn(vectors, a), _turn(vectors, b)
    along_a, along_b = jnp.diagonal(a), jnp.diagonal(b)

    def moved(d: jax.Array) -> jax.Array:
        """Return how the slopes change when the eigenvalues move by `d`."""
        change = _apply(jacobian, d)
        apart = (change[:, None] - change[None, :] - slopes * (d[:, None] - d[None, :])) / wide
        of_d = hessian(d)
        limit = jnp.diagonal(of_d)[:, None] - of_d
        limit -= (first - own) * d[:, None] + (own - twice) * d[None, :]
        limit += (first - twice) / 2 * (d[:, None] + d[None, :])
        return jnp.where(close, limit, apart)

    pairs = _set_diagonal(a * b, jnp.zeros_like(values))
    both = (jnp.diagonal(jacobian)[:, None] - jacobian - slopes) / wide
    both = jnp.where(close, (first - 2 * own + twice) / 2, both)
    diagonal = _apply(hessian(along_b), along_a) + 2 * jnp.sum(pairs * both, 1)
    off = b * moved(along_a) + a * moved(along_b)

    def third(total: tuple[jax.Array, jax.Array], k: jax.Array) -> tuple[Any, None]:
        """Add what eigenvalue k contributes to entries of two others."""
        of_k, others = hessian(units[k]), jnp.arange(n) != k
        # Entries (i, m), both not k, of the diagonal i.
        share = (jacobian - jacobian[:, k][:, None]) / wide[:, k][None, :]
        share = jnp.where(close[:, k][None, :], twice - of_k, share)
        share = _set_diagonal(share, jnp.zeros_like(values)) * pairs[:, k][None, :]
        more = jnp.where(others, share.sum(1), 0)
        # Entries (i, j) with the slopes of i and j to k: the quotient by the widest gap is best.
        to_k, from_k = slopes[:, k][:, None], slopes[:, k][None, :]
        by_i = (from_k - slopes) / -wide[:, k][:, None]
        by_j = (slopes - to_k) / wide[:, k][None, :]
        by_ij = (to_k - from_k) / wide
        gap_i, gap_j = jnp.abs(gaps[:, k])[:, None], jnp.abs(gaps[:, k])[None, :]
        widest = jnp.maximum(jnp.maximum(gap_i, gap_j), jnp.abs(gaps))
        quotient = jnp.where(widest == jnp.abs(gaps), by_ij, jnp.where(widest == gap_i, by_i, by_j))
        limit = (first - twice) / 2 - (own[:, k][:, None] - of_k)
        meet = close & close[:, k][:, None] & close[:, k][None, :]
        weights = jnp.where(meet, limit, quotient)
        weights = jnp.where(others[:, None] & others[None, :], weights, 0)
        outer = b[:, k][:, None] * a[k][None, :] + a[:, k][:, None] * b[k][None, :]
        return (total[0] + more, total[1] + weights * outer), None

    (diagonal, off), _ = jax.lax.scan(third, (diagonal, off), jnp.arange(n))
    return _rebuild(vectors, _set_diagonal(off, diagonal))


def _over_leading(call: Callable[..., jax.Array]) -> Callable[..., jax.Array]:
    """Return `call` of matrices, over the leading axes that all of them have."""

    def over(*matrices: jax.Array, **parameters: Any) -> jax.Array:
        one = partial(call, **parameters)
        for _ in matrices[0].shape[:-2]:
            one = jax.vmap(one)
        return one(*matrices)

    return over


def _slope_jvp(primals: Any, tangents: Any, **parameters: Any) -> tuple[Any, Any]:
    moved, turned = tangents
    parts = []
    if not isinstance(turned, ad.Zero):
        parts.append(_slope_p.bind(primals[0], turned, **parameters))
    if not isinstance(moved, ad.Zero):
        parts.append(_over_leading(_slope_change)(*primals, moved, **parameters))
    return _slope_p.bind(*primals, **parameters), sum(parts[1:], parts[0])


def _slope_transpose(
    cotangent: Any, matrix: Any, change: Any, *, function: _Function, adjoint: bool
) -> Any:
    cotangent = ad.instantiate_zeros(cotangent)
    return None, _slope_p.bind(matrix, cotangent, function=function, adjoint=not adjoint)


def _slope_batch(args: Any, axes: Any, **parameters: Any) -> tuple[jax.Array, int]:
    pairs = list(zip(args, axes, strict=True))
    size = next(a.shape[axis] for a, axis in pairs if axis is not None)
    moved = [batching.bdim_at_front(a, axis, size) for a, axis in pairs]
    return _slope_p.bind(*moved, **parameters), 0


# A primitive, as partial evaluation looks into functions with rules of their own before these are
# asked for: a second derivative would find the eigenvectors there.
_slope_p = Primitive("spectral_slope")
_slope_p.def_impl(jax.jit(_over_leading(_slope), static_argnames=("function", "adjoint")))
_slope_p.def_abstract_eval(lambda matrix, change, **parameters: change)
ad.primitive_jvps[_slope_p] = _slope_jvp
ad.primitive_transposes[_slope_p] = _slope_transpose
batching.primitive_batchers[_slope_p] = _slope_batch
mlir.register_lowering(_slope_p, mlir.lower_fun(_over_leading(_slope), multiple_results=False))


def _slopes(values: jax.Array, image: jax.Array, jacobian: jax.Array) -> jax.Array:
    """Return (g_i - g_j) / (l_i - l_j), or its limit J_ii - J_ij as the two meet."""
    own, near = jnp.diagonal(jacobian), _near(values, 1 / 2)
    limit = ((own[:, None] - jacobian) + (own[None, :] - jacobian.T)) / 2
    gaps = jnp.where(near, 1, values[:, None] - values[None, :])
    return jnp.where(near, limit, (image[:, None] - image[None, :]) / gaps)


def _near(values: jax.Array, power: float) -> Bool[jax.Array, "n n"]:
    """Return which eigenvalues lie closer than a power of the rounding unit."""
    scale = jnp.max(jnp.abs(values), initial=0)
    gaps = jnp.abs(values[:, None] - values[None, :])
    return gaps <= scale * float(jnp.finfo(values.dtype).eps) ** power


def solve_lyapunov(
    matrix: Float[jax.Array, "n n"], right: Float[jax.Array, "n n"]
) -> Float[jax.Array, "n n"]:
    """Return W of P W + W P = C for a positive semi-definite P; 0 where P has no part.

    Derivatives of any order solve the same equation, and are finite: sums of eigenvalues
    stand in the denominators, never their differences.
    """

    def solve(_: Any, right: jax.Array) -> jax.Array:
        values, vectors = factor_eigh(matrix)
        sums = values[:, None] + values[None, :]
        scale = jnp.max(jnp.abs(values), initial=0) * len(values)
        whole = sums > scale * float(jnp.finfo(values.dtype).eps)
        inner = product(vectors.T, product(right, vectors))
        return _rebuild(vectors, jnp.where(whole, inner / jnp.where(whole, sums, 1), 0))

    return jax.lax.custom_linear_solve(
        lambda found: product(matrix, found) + product(found, matrix), right, solve, symmetric=True
    )


def _turn(vectors: jax.Array, change: jax.Array) -> jax.Array:
    """Return the symmetric part of a change in the coordinates of the eigenvectors."""
    return product(vectors.T, product((change + change.T) / 2, vectors))


def _rebuild(vectors: jax.Array, inner: jax.Array) -> jax.Array:
    return product(vectors, product(inner, vectors.T))


def _apply(matrix: jax.Array, vector: jax.Array) -> jax.Array:
    return product(matrix, vector[:, None])[:, 0]


def _set_diagonal(matrix: jax.Array, diagonal: jax.Array) -> jax.Array:
    return jnp.where(jnp.eye(len(diagonal), dtype=bool), jnp.diag(diagonal), matrix)
