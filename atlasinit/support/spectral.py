"""Functions of symmetric matrices through their eigenvalues, with gradients that never blow up."""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Float


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def map_eigenvalues(
    function: Callable[[jax.Array], jax.Array], matrix: Float[jax.Array, "n n"]
) -> Float[jax.Array, "n n"]:
    r"""Return :math:`Q\, \mathrm{diag}(g(\lambda))\, Q^\top` for a matrix with eigenvalues \lambda.

    The derivative is that of Daleckii and Krein, extended to functions of all
    eigenvalues together. The derivative of the eigenvectors alone divides by
    differences of eigenvalues and is not finite where two are equal.

    Parameters
    ----------
    function
        A smooth function from the vector of eigenvalues to a vector, which commutes with
        permutations of its entries.
    matrix
        (n, n) symmetric; batches by `jax.vmap`.
    """
    values, vectors = jnp.linalg.eigh(matrix)
    return _rebuild(vectors, jnp.diag(function(values)))


@map_eigenvalues.defjvp
def _spectral_jvp(
    function: Callable[[jax.Array], jax.Array],
    primals: tuple[jax.Array],
    tangents: tuple[jax.Array],
) -> tuple[jax.Array, jax.Array]:
    values, vectors = jnp.linalg.eigh(primals[0])
    turned = product(vectors.T, product((tangents[0] + tangents[0].T) / 2, vectors))
    image, jacobian = function(values), jax.jacfwd(function)(values)
    gaps = values[:, None] - values[None, :]
    own = jnp.diagonal(jacobian)
    # The limit of the divided difference as two eigenvalues meet.
    limit = ((own[:, None] - jacobian) + (own[None, :] - jacobian.T)) / 2
    scale = jnp.max(jnp.abs(values), initial=0)
    apart = jnp.abs(gaps) > scale * float(jnp.finfo(values.dtype).eps) ** 0.5
    slopes = jnp.where(apart, (image[:, None] - image[None, :]) / jnp.where(apart, gaps, 1), limit)
    inner = slopes * turned
    diagonal = product(jacobian, jnp.diagonal(turned)[:, None])[:, 0]
    inner = jnp.where(jnp.eye(len(values), dtype=bool), jnp.diag(diagonal), inner)
    return _rebuild(vectors, jnp.diag(image)), _rebuild(vectors, inner)


def product(a: jax.Array, b: jax.Array) -> jax.Array:
    """Return the matrix product at full precision."""
    return jnp.matmul(a, b, precision=jax.lax.Precision.HIGHEST)


def _rebuild(vectors: jax.Array, inner: jax.Array) -> jax.Array:
    return product(vectors, product(inner, vectors.T))
