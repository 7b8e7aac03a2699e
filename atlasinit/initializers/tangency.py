"""Means of symmetric positive definite matrices, as points of tangency."""

import contextlib
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Float, Float64

from atlasinit.domains import SPD
from atlasinit.domains.base import check_choice, check_floating
from atlasinit.errors import ArgumentError, warn
from atlasinit.initializers.protocol import (
    Paired,
    check_real,
    place,
)
from atlasinit.support.decompositions import find_eigenvalues, product
from atlasinit.support.precision import widen
from atlasinit.support.spectral import map_eigenvalues
from atlasinit.support.typing import AnyArray

Mean: TypeAlias = Literal["euclidean", "harmonic", "log_euclidean", "geometric"]
_MEANS = ("euclidean", "harmonic", "log_euclidean", "geometric")
_PATIENCE = 12  # steps of Barzilai and Borwein that may pass before one halves the norm
_CONVERGED = 1e-7  # norm of the mean of logarithms, which is the relative error of the mean


def mean_spd(
    matrices: AnyArray,
    mean: Mean | str = "geometric",
    *,
    axis: int | Sequence[int] = 0,
    psi: float | int = 0.0,
    max_iterations: int = 200,
) -> Float[jax.Array, "*batch n n"]:
    r"""Return a mean of symmetric positive definite matrices.

    hypercoil's counterparts are ``SPDEuclideanMean`` and so on, whose geometric mean is not
    converged after its 10 steps.

    Parameters
    ----------
    matrices
        (observations, ..., n, n).
    mean
        ``"euclidean"``: :math:`\frac{1}{N} \sum A_i`; ``"harmonic"``:
        :math:`(\frac{1}{N} \sum A_i^{-1})^{-1}`; ``"log_euclidean"``:
        :math:`\exp \frac{1}{N} \sum \log A_i`; ``"geometric"``: the matrix :math:`G` with
        :math:`\sum \log G^{-1/2} A_i G^{-1/2} = 0`, the mean of the affine-invariant metric,
        found by descent from the log-Euclidean one. Concrete matrices of any dtype are
        computed in double precision, traced ones in their own.
    axis
        The axis, or the axes, of the observations; the others before the last two remain.
    psi
        Share of the identity, from 0 to 1: each matrix is first replaced by
        :math:`(1 - \psi) A_i + \psi I`, which makes definite what lacks rank.
    max_iterations
        Limit of the descent, which stops when rounding lets it come no closer. Of concrete
        matrices, an `AtlasWarning` says where the limit came first.

    Raises
    ------
    TypeError
        Matrices that are not real floating point.
    ValueError
        Matrices without observations or whose `axis` is not of them, not symmetric, or not
        positive definite to the precision of their dtype; an unknown mean; a `psi` outside
        of 0 to 1.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> print(mean_spd(jnp.stack([jnp.eye(2), 4 * jnp.eye(2)])).round(4))
    [[2. 0.]
     [0. 2.]]
    """
    check_choice(mean, _MEANS, "mean")
    if not 0 <= psi <= 1:
        raise ArgumentError("psi", f"should lie between 0 and 1, got {psi!r}")
    # Within a function that is being traced, what is concrete stays so.
    concrete = not isinstance(matrices, Tracer)
    with jax.ensure_compile_time_eval() if concrete else contextlib.nullcontext():
        given = _observations_first(check_floating(matrices, "matrices"), axis)
        if psi:
            eye = jnp.eye(given.shape[-1], dtype=given.dtype)
            given = (1 - psi) * given + psi * jnp.broadcast_to(eye, given.shape)
        return _find_mean(given, mean, max_iterations)


def _observations_first(given: jax.Array, axis: int | Sequence[int]) -> jax.Array:
    """Return (observations, ..., n, n) of matrices whose observations are on `axis`."""
    axes = tuple(a % given.ndim if given.ndim else a for a in np.atleast_1d(axis).tolist())
    lead = given.ndim - 2
    if lead < 1 or given.size == 0 or len(set(axes)) != len(axes) or not max(axes) < lead:
        raise ArgumentError(
            "matrices",
            "should be (observations, ..., n, n) with observations on `axis`, got shape "
            f"{given.shape} and axis {axis}",
        )
    moved = jnp.moveaxis(given, axes, tuple(range(len(axes))))
    return moved.reshape(-1, *moved.shape[len(axes) :])


def _find_mean(given: jax.Array, mean: str, max_iterations: int) -> jax.Array:
    # Traced matrices cannot leave the precision of the program that they are part of.
    if isinstance(given, Tracer):
        SPD(minimum=1e-30).preimage(given)
        return _mean_batch(widen(given), mean, max_iterations)[0].astype(given.dtype)
    wide = np.asarray(given).astype(np.float64)
    _check_definite(wide, float(jnp.finfo(given.dtype).eps))
    # Inverse roots of matrices of condition 1e6 leave single precision no digit.
    with jax.enable_x64(True):  # noqa: FBT003
        found, rest = _mean_jitted(wide, mean, max_iterations)
        found, rest = found.astype(given.dtype), float(rest)
    if not rest <= _CONVERGED:
        warn(
            "`mean_spd`: the geometric mean has not converged; the mean of the logarithms, "
            f"which should be 0, has the norm {rest:.2g} after {max_iterations} steps: raise "
            "`max_iterations`."
        )
    return found


def _check_definite(matrices: Float64[np.ndarray, "*batch n n"], eps: float) -> None:
    """Raise where matrices of a dtype of precision `eps` are not symmetric positive definite."""
    largest = np.abs(matrices).max((-2, -1), keepdims=True)
    if not np.isfinite(largest).all():
        raise ArgumentError("matrices", "should be finite", "they are not")
    if not (np.abs(matrices - matrices.mT) <= 1e-4 * largest).all():
        raise ArgumentError(
            "matrices", "should be symmetric on their last two axes", "they are not"
        )
    values = np.linalg.eigvalsh((matrices + matrices.mT) / 2)
    # Rounding moves the eigenvalues of 0 of what lacks rank by about eps / 2 of the largest.
    if not (values[..., 0] > eps / 2 * values[..., -1]).all():
        raise ArgumentError(
            "matrices",
            f"should be positive definite, with eigenvalues above {eps / 2:.2g} of the largest",
            "take more observations than rows for each covariance, or mix in the identity by a "
            "small `psi`, as psi=0.01",
        )


def tangency(
    matrices: AnyArray,
    means: Sequence[Mean | str],
    *,
    noise: float | int = 0.0,
    axis: int | Sequence[int] = 0,
    psi: float | int = 0.0,
) -> Paired:
    r"""Return points of tangency ``(means, ..., n, n)``, one per mean, and their `SPD`.

    hypercoil's counterpart is ``TangencyInitialiser``.

    Parameters
    ----------
    matrices
        (observations, ..., n, n) symmetric positive definite.
    means
        Names of means, see `mean_spd`; repeat one for several channels.
    noise
        Standard deviation of the symmetric normal matrix :math:`S` in the perturbed
        :math:`G^{1/2} \exp(S) G^{1/2}`, which is positive definite for any `noise`. It
        tells channels apart that begin from the same mean.
    axis, psi
        As of `mean_spd`.

    Raises
    ------
    ValueError
        Negative noise, no means, what `mean_spd` raises; from the initialiser, a shape
        that is not (means, ..., n, n).
    """
    if not noise >= 0:
        raise ArgumentError("noise", f"should not be negative, got {noise}")
    if not means or isinstance(means, str):
        raise ArgumentError("means", f"should be a list with at least one name, got {means!r}")
    points = jnp.stack([mean_spd(matrices, mean, axis=axis, psi=psi) for mean in means])

    def init(key: Any, shape: Any = None, dtype: Any = None, out_sharding: Any = None) -> jax.Array:
        if shape is not None and tuple(shape) != points.shape:
            raise ArgumentError("shape", f"should be {points.shape}, got {tuple(shape)}")
        wanted = check_real(dtype)
        if not noise:
            return place(points.astype(wanted), out_sharding)
        draws = float(noise) * jax.random.normal(key, points.shape, points.dtype)
        square = (-1, *points.shape[-2:])
        moved = jax.vmap(_perturb)(points.reshape(square), draws.reshape(square))
        return place(moved.reshape(points.shape).astype(wanted), out_sharding)

    return Paired(init, SPD())


def _mean_batch(matrices: jax.Array, mean: str, max_iterations: int) -> tuple[jax.Array, jax.Array]:
    """Return `_mean` of (observations, ..., n, n), and the largest distance from an end."""
    if matrices.ndim == 3:
        return _mean(matrices, mean, max_iterations)
    flat = matrices.reshape(matrices.shape[0], -1, *matrices.shape[-2:])
    each = jax.vmap(lambda sample: _mean(sample, mean, max_iterations), in_axes=1)
    found, rest = each(flat)
    return found.reshape(matrices.shape[1:]), rest.max()


def _mean(matrices: jax.Array, mean: str, max_iterations: int) -> tuple[jax.Array, jax.Array]:
    """Return the mean, and how far an iteration is from its end."""
    exact = jnp.zeros((), matrices.dtype)
    if mean == "euclidean":
        return matrices.mean(0), exact
    if mean == "harmonic":
        return _invert(jax.vmap(_invert)(matrices).mean(0)), exact
    log = jax.vmap(_take_log)(matrices).mean(0)
    if mean == "log_euclidean":
        return map_eigenvalues(jnp.exp, log), exact
    return _geometric_mean(matrices, log, max_iterations)


_mean_jitted = jax.jit(_mean_batch, static_argnames=("mean", "max_iterations"))


# The fields are arrays: `jax.lax.while_loop` carries them from step to step.
class _Iterate(NamedTuple):
    """Where the iteration is: the point is ``root @ root.T``, and `inverse` that of `root`."""

    root: jax.Array
    inverse: jax.Array
    descent: jax.Array  # the mean of the logarithms, seen from `root`
    step: jax.Array
    norm: jax.Array  # of the descent at the best point so far
    best: jax.Array  # the root of that point
    idle: jax.Array  # steps since the norm was last halved
    taken: jax.Array  # steps


def _geometric_mean(
    matrices: jax.Array, log: jax.Array, max_iterations: int
) -> tuple[jax.Array, jax.Array]:
    r"""Return the Riemannian mean, and the norm of the mean of the logarithms there.

    Descends from the log-Euclidean mean, whose logarithm is `log`, with the steps of Barzilai
    and Borwein (Iannazzo and Porcelli, 2018, doi:10.1093/imanum/drx015). They are kept between
    the inverses of the bounds of the Hessian (Bini and Iannazzo, 2013,
    doi:10.1016/j.laa.2011.08.052), outside of which the plain iteration, whose step is 1, runs
    in circles. In the frame of a root, parallel transport along a step is the identity.
    """
    # No eigenvalue of the Hessian is below 1, so that no step above 1 is wanted.
    ones = jnp.ones((), matrices.dtype)

    def look_from(inverse: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Return the mean of the logarithms, and the largest eigenvalue of the Hessian."""
        # Seen from the root R of the point G = R R^T, the matrix A_i is R^-1 A_i R^-T.
        white = jax.vmap(lambda a: product(inverse, product(a, inverse.T)))(matrices)
        values = find_eigenvalues(white)
        smallest = jnp.finfo(values.dtype).tiny
        values = jnp.maximum(values, smallest)
        # The Hessian of half the squared distance to A_i has eigenvalues from 1 to h coth h, where
        # h is half the logarithm of the condition of what is seen. 1e-6 for 0, where it is 1.
        half = jnp.maximum(jnp.log(values[:, -1] / values[:, 0]) / 2, 1e-6)
        return jax.vmap(_take_log)(white).mean(0), (half / jnp.tanh(half)).mean()

    def should_continue(state: _Iterate) -> jax.Array:
        return (state.norm > 0) & (state.idle < _PATIENCE) & (state.taken < max_iterations)

    def advance(state: _Iterate) -> _Iterate:
        # G' = R exp(t D) R^T of the step t along the descent D: R' = R exp(t D / 2).
        root = product(state.root, map_eigenvalues(jnp.exp, state.step * state.descent / 2))
        inverse = product(map_eigenvalues(jnp.exp, -state.step * state.descent / 2), state.inverse)
        descent, largest = look_from(inverse)
        moved, change = state.step * state.descent, state.descent - descent
        # Barzilai and Borwein: t = <m, m> / <m, change of the gradient along m>. The descent is
        # the negative gradient, so its change is taken from before to after.
        along = jnp.vdot(moved, change)
        step = jnp.where(along > 0, jnp.vdot(moved, moved) / along, 2 / (1 + largest))
        norm = jnp.linalg.norm(descent)
        # Such steps need not descend each time: the best point is kept.
        closer = norm < state.norm
        return _Iterate(
            root=root,
            inverse=inverse,
            descent=descent,
            step=jnp.clip(step, 1 / largest, ones),
            norm=jnp.where(closer, norm, state.norm),
            best=jnp.where(closer, root, state.best),
            idle=jnp.where(norm < state.norm / 2, 0, state.idle + 1),
            taken=state.taken + 1,
        )

    root, inverse = map_eigenvalues(jnp.exp, log / 2), map_eigenvalues(jnp.exp, -log / 2)
    descent, largest = look_from(inverse)
    norm, zero = jnp.linalg.norm(descent), jnp.zeros((), jnp.int32)
    first = _Iterate(root, inverse, descent, 2 / (1 + largest), norm, root, zero, zero)
    last = jax.lax.while_loop(should_continue, advance, first)
    return product(last.best, last.best.T), last.norm


def _perturb(point: jax.Array, noise: jax.Array) -> jax.Array:
    # G^1/2 exp(S) G^1/2, symmetrised, since products round.
    root = map_eigenvalues(jnp.sqrt, point)
    # One triangle mirrored: every entry of the symmetric matrix keeps the standard deviation.
    symmetric = jnp.tril(noise) + jnp.tril(noise, -1).T
    out = product(root, product(map_eigenvalues(jnp.exp, symmetric), root))
    return (out + out.T) / 2


def _take_log(matrix: jax.Array) -> jax.Array:
    return map_eigenvalues(jnp.log, (matrix + matrix.T) / 2)


def _invert(matrix: jax.Array) -> jax.Array:
    return map_eigenvalues(jnp.reciprocal, (matrix + matrix.T) / 2)
