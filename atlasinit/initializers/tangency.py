"""Means of symmetric positive definite matrices, as points of tangency."""

from collections.abc import Sequence
from typing import Any, Literal, TypeAlias

import jax
import jax.numpy as jnp
from jaxtyping import Float

from atlasinit.domains import SPD
from atlasinit.initializers.protocol import (
    Paired,
    placed,
    real,
)
from atlasinit.support.precision import wide
from atlasinit.support.spectral import product, spectral
from atlasinit.support.typing import AnyArray

Mean: TypeAlias = Literal["euclidean", "harmonic", "log_euclidean", "geometric"]
_MEANS = ("euclidean", "harmonic", "log_euclidean", "geometric")


def mean_spd(
    matrices: AnyArray, mean: Mean | str = "geometric", *, max_iterations: int = 50
) -> Float[jax.Array, "n n"]:
    r"""Return a mean of symmetric positive definite matrices.

    Parameters
    ----------
    matrices
        (observations, n, n).
    mean
        ``"euclidean"``: :math:`\frac{1}{N} \sum A_i`; ``"harmonic"``:
        :math:`(\frac{1}{N} \sum A_i^{-1})^{-1}`; ``"log_euclidean"``:
        :math:`\exp \frac{1}{N} \sum \log A_i`; ``"geometric"``: the matrix :math:`G` with
        :math:`\sum \log G^{-1/2} A_i G^{-1/2} = 0`, the mean of the affine-invariant metric,
        found by iteration from the log-Euclidean one.
    max_iterations
        Limit of the iteration; it stops when the step is below the dtype's rounding.

    Raises
    ------
    ValueError
        Matrices that are not (observations, n, n) with at least one observation, not
        symmetric or not positive definite, or an unknown mean.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> print(mean_spd(jnp.stack([jnp.eye(2), 4 * jnp.eye(2)])).round(4))
    [[2. 0.]
     [0. 2.]]
    """
    if mean not in _MEANS:
        raise ValueError(f"`mean` should be one of {_MEANS}, got {mean!r}.")
    given = jnp.asarray(matrices)
    if given.ndim != 3 or given.shape[0] == 0:
        raise ValueError(f"`matrices` should be (observations, n, n), got shape {given.shape}.")
    # The preimage refuses what is not symmetric positive definite.
    SPD(minimum=1e-30).preimage(given)
    # Eigenvalues are not defined in half precision.
    return _mean(wide(given), mean, max_iterations).astype(given.dtype)


def tangency(
    matrices: AnyArray, means: Sequence[Mean | str], *, noise: float | int = 0.0
) -> Paired:
    r"""Return points of tangency ``(means, n, n)``, one a mean of `matrices`, paired with `SPD`.

    Parameters
    ----------
    matrices
        (observations, n, n) symmetric positive definite.
    means
        Names of means, see `mean_spd`; repeat one for several channels.
    noise
        Standard deviation of the symmetric normal matrix :math:`S` in the perturbed
        :math:`G^{1/2} \exp(S) G^{1/2}`, which is positive definite for any `noise`. It
        tells channels apart that begin from the same mean.

    Raises
    ------
    ValueError
        Negative noise, no means, what `mean_spd` raises; from the initialiser, a shape
        that is not (means, n, n).
    """
    if not noise >= 0:
        raise ValueError(f"`noise` should not be negative, got {noise}.")
    if not means or isinstance(means, str):
        raise ValueError(f"`means` should be a list with at least one name, got {means!r}.")
    points = jnp.stack([mean_spd(matrices, mean) for mean in means])

    def init(key: Any, shape: Any = None, dtype: Any = None, out_sharding: Any = None) -> jax.Array:
        if shape is not None and tuple(shape) != points.shape:
            raise ValueError(f"`shape` should be {points.shape}, got {tuple(shape)}.")
        wanted = real(dtype)
        if not noise:
            return placed(points.astype(wanted), out_sharding)
        draws = float(noise) * jax.random.normal(key, points.shape, points.dtype)
        return placed(jax.vmap(_perturbed)(points, draws).astype(wanted), out_sharding)

    return Paired(init, SPD())


def _mean(matrices: jax.Array, mean: str, max_iterations: int) -> jax.Array:
    if mean == "euclidean":
        return matrices.mean(0)
    if mean == "harmonic":
        return _inverse(jax.vmap(_inverse)(matrices).mean(0))
    start = spectral(jnp.exp, jax.vmap(_log)(matrices).mean(0))
    return start if mean == "log_euclidean" else _geometric(matrices, start, max_iterations)


def _geometric(matrices: jax.Array, start: jax.Array, max_iterations: int) -> jax.Array:
    tolerance = float(jnp.finfo(matrices.dtype).eps) * 10

    def unfinished(state: tuple[jax.Array, jax.Array, jax.Array]) -> jax.Array:
        return (state[1] > tolerance) & (state[2] < max_iterations)

    def step(
        state: tuple[jax.Array, jax.Array, jax.Array],
    ) -> tuple[jax.Array, jax.Array, jax.Array]:
        root, inverse = spectral(jnp.sqrt, state[0]), spectral(_inverse_root, state[0])
        white = jax.vmap(lambda a: product(inverse, product(a, inverse)))(matrices)
        tangent = jax.vmap(_log)(white).mean(0)
        new = product(root, product(spectral(jnp.exp, tangent), root))
        return new, jnp.max(jnp.abs(tangent), initial=0), state[2] + 1

    first = (start, jnp.asarray(jnp.inf, start.dtype), jnp.asarray(0))
    return jax.lax.while_loop(unfinished, step, first)[0]


def _perturbed(point: jax.Array, noise: jax.Array) -> jax.Array:
    root = spectral(jnp.sqrt, point)
    # Scaled so that every entry of the symmetric matrix keeps the standard deviation.
    symmetric = jnp.tril(noise) + jnp.tril(noise, -1).T
    out = product(root, product(spectral(jnp.exp, symmetric), root))
    return (out + out.T) / 2


def _log(matrix: jax.Array) -> jax.Array:
    return spectral(jnp.log, (matrix + matrix.T) / 2)


def _inverse(matrix: jax.Array) -> jax.Array:
    return spectral(jnp.reciprocal, (matrix + matrix.T) / 2)


def _inverse_root(values: jax.Array) -> jax.Array:
    return jax.lax.rsqrt(values)
