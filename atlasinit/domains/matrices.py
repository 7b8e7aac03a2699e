"""Domains of matrices: orthonormal, positive definite, and of fixed determinant."""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from atlasinit.domains.base import (
    Domain,
    check_choice,
    check_floating,
    check_positive,
    fixed,
    refuse,
    tolerance,
)
from atlasinit.errors import ArgumentError
from atlasinit.support.decompositions import (
    factor_cholesky,
    factor_qr,
    factor_svd,
    find_eigenvalues,
    product,
    solve_lower,
)
from atlasinit.support.precision import widen
from atlasinit.support.spectral import map_eigenvalues, solve_lyapunov
from atlasinit.support.typing import AnyArray


@dataclasses.dataclass(frozen=True)
class Orthogonal(Domain):
    """Matrices, on the last two axes, with orthonormal columns, or rows if they are wide.

    The image of such a matrix is itself. By ``"qr"``, the image of a matrix without full
    rank is arbitrary, and no gradient reaches it: start elsewhere.

    Parameters
    ----------
    method
        ``"qr"``: the Q factor with a positive diagonal of R, which favours the first
        columns. ``"polar"``: the nearest orthonormal matrix in the Frobenius norm.
    outside
        For matrices that are not orthonormal (to 1e-3): ``"error"`` or
        ``"renormalize"``, which takes their image instead.
    """

    method: str = "qr"
    outside: str = "error"

    def __post_init__(self) -> None:
        check_choice(self.method, ("qr", "polar"), "method")
        check_choice(self.outside, ("error", "renormalize"), "outside")

    def image(self, x: AnyArray) -> jax.Array:
        """Return the orthonormal factor of `x`."""
        free = check_floating(x, "x")
        _check_matrix(free, "x")
        # The rows of a wide matrix are the columns of its transpose.
        is_wide = free.shape[-2] < free.shape[-1]
        tall = jnp.swapaxes(free, -1, -2) if is_wide else free
        factor = _map_matrices(_qr if self.method == "qr" else _polar, tall)
        return jnp.swapaxes(factor, -1, -2) if is_wide else factor

    def preimage(self, y: AnyArray) -> jax.Array:
        """Return `y`, or its image where it is renormalised."""
        # What is orthonormal is its own image, and so its own free values.
        image = self.image(y)
        if self.outside == "renormalize":
            return image
        given = check_floating(y, "y")
        # Negated, as no comparison with NaN holds: NaN is refused.
        return refuse(
            given,
            ~(jnp.abs(image - given) <= tolerance(given)),
            ArgumentError("y", "should be orthonormal", 'it is not. Use outside="renormalize"'),
        )


@dataclasses.dataclass(frozen=True)
class SPD(Domain):
    r"""Symmetric positive definite matrices on the last two axes.

    The image is :math:`L L^\top`, where :math:`L` is the lower triangle of the free values
    with an exponential on its diagonal (the log-Cholesky coordinates of Lin, 2019,
    arXiv:1908.09326); the upper triangle is not used. Every matrix of free values is
    valid, and every gradient finite unless the image overflows, as the exponential of 50,
    squared, does in float32; no eigenvectors are involved.

    Parameters
    ----------
    outside
        For matrices that are not positive definite: ``"error"``, or ``"clip"``, which
        raises eigenvalues to `minimum` first.
    minimum
        Positive; smallest eigenvalue that `preimage` accepts.

    Raises
    ------
    ValueError
        Matrices that are not square, not symmetric (to a relative 1e-4), or with an
        eigenvalue below `minimum`.
    """

    outside: str = "error"
    minimum: Any = 1e-6

    def __post_init__(self) -> None:
        check_choice(self.outside, ("error", "clip"), "outside")
        check_positive(self.minimum, "minimum")
        object.__setattr__(self, "minimum", fixed(self.minimum))

    def image(self, x: AnyArray) -> jax.Array:
        """Return the product of the triangular factor and its transpose."""
        free = check_floating(x, "x")
        _check_square(free, "x")
        return _map_matrices(_gram, free)

    def preimage(self, y: AnyArray) -> jax.Array:
        """Return the Cholesky factor with the logarithm of its diagonal."""
        given = _symmetrize(y)
        if self.outside == "clip":

            def raise_low(values: jax.Array) -> jax.Array:
                return jnp.maximum(values, self.minimum)

            given = _map_matrices(lambda a: map_eigenvalues(raise_low, a), given)
        else:
            given = _check_definite(given, self.minimum, 'Use outside="clip" to raise them')
        return _map_matrices(_log_cholesky, given)


@dataclasses.dataclass(frozen=True)
class Isochoric(Domain):
    r"""Symmetric positive definite matrices with one determinant: ellipsoids of one volume.

    The free values stand for a positive definite matrix as in `SPD`, whose eigenvalues are
    then passed through the following, in order: with a temperature, a softmax; scaling to
    determinant 1; with a largest condition number :math:`c`, the mixture
    :math:`(1 - t) \lambda + t` with the smallest :math:`t` for which it holds; scaling to
    determinant `volume`.

    Parameters
    ----------
    volume
        Positive; the determinant.
    max_condition
        At least 1; largest ratio of eigenvalues. None for no limit. At 1 the image is
        always a multiple of the identity.
    softmax_temperature
        Positive, or None for no softmax.
    outside
        For matrices of another determinant (to a relative 1e-3) or condition:
        ``"error"`` or ``"renormalize"``.

    Raises
    ------
    ValueError
        Impossible parameters; and from `preimage`, matrices that are not square,
        symmetric and positive definite, or are outside.
    """

    volume: Any = 1.0
    max_condition: Any = None
    softmax_temperature: Any = None
    outside: str = "error"

    def __post_init__(self) -> None:
        check_positive(self.volume, "volume")
        check_choice(self.outside, ("error", "renormalize"), "outside")
        if self.max_condition is not None and not self.max_condition >= 1:
            raise ArgumentError(
                "max_condition", f"should be at least 1, got {self.max_condition!r}"
            )
        if self.softmax_temperature is not None:
            check_positive(self.softmax_temperature, "softmax_temperature")
        for name in ("volume", "max_condition", "softmax_temperature"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, fixed(getattr(self, name)))

    def image(self, x: AnyArray) -> jax.Array:
        """Return the matrix of the domain that the free values stand for."""
        return _map_matrices(lambda a: map_eigenvalues(self._spectrum, a), SPD().image(x))

    def preimage(self, y: AnyArray) -> jax.Array:
        """Return free values whose image is `y`, or `y` scaled and flattened into the domain."""
        # Any positive definite matrix: 1e-30 is far below what matters, and no denormal float32.
        given = _check_definite(
            _symmetrize(y),
            1e-30,
            "Take the nearest that is by `spd.image(spd.preimage(y))` of "
            '`spd = atlasinit.domains.SPD(outside="clip")`',
        )
        inside = _map_matrices(lambda a: map_eigenvalues(self._flatten, a), given)
        if self.outside == "error":
            scale = jnp.max(jnp.abs(inside), (-2, -1), keepdims=True, initial=0)
            scale = jnp.broadcast_to(scale, given.shape)
            inside = refuse(
                given,
                ~(jnp.abs(inside - given) <= tolerance(given) * scale),
                ArgumentError(
                    "y",
                    f"should have determinant {self.volume} and a condition number of at "
                    f"most {self.max_condition}",
                    'it has not. Use outside="renormalize"',
                ),
            )
        return SPD(minimum=1e-30).preimage(
            _map_matrices(lambda a: map_eigenvalues(self._invert_softmax, a), inside)
        )

    def _spectrum(self, values: jax.Array) -> jax.Array:
        if self.softmax_temperature is not None:
            # A softmax up to its sum, which the determinant fixes. About their mean the powers
            # keep what is small; about their largest they do not overflow, and with a limit
            # nothing is small.
            powers = values / self.softmax_temperature
            centre = powers.mean() if self.max_condition is None else powers.max()
            values = jnp.exp(powers - jax.lax.stop_gradient(centre))
        return self._flatten(values)

    def _flatten(self, values: jax.Array) -> jax.Array:
        if self.max_condition is not None:
            # The largest and smallest of (1 - t) v + t are in the ratio c where
            # t / (1 - t) = (v_max - c v_min) / (c - 1) = e / (c - 1): up to a factor, that is
            # (c - 1) v + e, for v of any scale. 1 - t itself would round to 0 for a large excess e.
            values = values / jax.lax.stop_gradient(values.max())
            excess = jnp.maximum(values.max() - self.max_condition * values.min(), 0)
            room = excess + (self.max_condition - 1)
            # Without excess nothing is mixed in, even where the largest condition is 1.
            mixed = ((self.max_condition - 1) * values + excess) / jnp.where(room > 0, room, 1)
            values = jnp.where(room > 0, mixed, values)
        # The determinant of a multiple s of n eigenvalues is s^n times theirs.
        return _unit_determinant(values) * self.volume ** (1 / max(values.shape[0], 1))

    def _invert_softmax(self, values: jax.Array) -> jax.Array:
        if self.softmax_temperature is None:
            return values
        # A softmax ignores a shift; this one makes every eigenvalue at least 1.
        logs = jnp.log(values)
        return 1 + self.softmax_temperature * (logs - logs.min())


def _unit_determinant(values: jax.Array) -> jax.Array:
    """Return eigenvalues divided by their geometric mean; those not positive become NaN."""
    return values / jnp.exp(jnp.mean(jnp.log(values)))


def _qr(tall: jax.Array) -> jax.Array:
    return _factor_qr(tall)[0]


@jax.custom_jvp
def _factor_qr(tall: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Return Q and R, with a positive diagonal of R."""
    q, r = factor_qr(tall)
    # Q R = (Q S) (S R) for any diagonal S of signs; a positive diagonal of R makes them unique.
    signs = jnp.where(jnp.diagonal(r) < 0, -1, 1).astype(q.dtype)
    return q * signs[None, :], r * signs[:, None]


@_factor_qr.defjvp
def _qr_jvp(
    primals: tuple[jax.Array], tangents: tuple[jax.Array]
) -> tuple[tuple[jax.Array, jax.Array], tuple[jax.Array, jax.Array]]:
    # With X = dA R^-1, the part of dQ within the columns is Q W, where W is skew with the lower
    # triangle of Q^T X; the part outside is (1 - Q Q^T) X. Without full rank there is no R^-1.
    # From dA = dQ R + Q dR, dR is Q^T (dA - dQ R), which is (Q^T X - W) R, upper triangular.
    q, r = _factor_qr(primals[0])
    sizes = jnp.abs(jnp.diagonal(r))
    tiny = 8 * float(jnp.finfo(r.dtype).eps) * jnp.max(sizes, initial=0)
    singular = jnp.min(sizes, initial=jnp.inf) <= tiny
    regular = jnp.where(singular, jnp.eye(r.shape[0], dtype=r.dtype), r)
    # dA R^-1 is the transpose of R^-T dA^T.
    change = solve_lower(regular.T, tangents[0].T).T
    inner = product(q.T, change)
    lower = jnp.tril(inner, -1)
    skew = lower - lower.T
    moved = product(q, skew) + change - product(q, inner)
    of_r = jnp.triu(product(inner - skew, r))
    return (q, r), (jnp.where(singular, 0, moved), jnp.where(singular, 0, of_r))


@jax.custom_jvp
def _polar(tall: jax.Array) -> jax.Array:
    """Return the orthonormal polar factor, U V^T of the singular value decomposition."""
    u, _, vt = factor_svd(tall)
    return product(u, vt)


@_polar.defjvp
def _polar_jvp(
    primals: tuple[jax.Array], tangents: tuple[jax.Array]
) -> tuple[jax.Array, jax.Array]:
    # With Q the factor and P = Q^T A, the part of dQ within the columns is Q W, where W is skew
    # and P W + W P = Q^T dA - dA^T Q; the part outside is (1 - Q Q^T) dA P^-1, where P^-1 is
    # half of the solution of P X + X P = 1 times 2. No difference of singular values is divided by.
    q, change = _polar(primals[0]), tangents[0]
    stretch = product(q.T, primals[0])
    stretch = (stretch + stretch.T) / 2
    inner = product(q.T, change)
    within = product(q, solve_lyapunov(stretch, inner - inner.T))
    if q.shape[0] == q.shape[1]:
        return q, within
    inverse = solve_lyapunov(stretch, 2 * jnp.eye(q.shape[1], dtype=q.dtype))
    return q, within + product(change - product(q, inner), inverse)


def _gram(free: jax.Array) -> jax.Array:
    factor = jnp.tril(free, -1) + jnp.diag(jnp.exp(jnp.diagonal(free)))
    return product(factor, factor.T)


def _log_cholesky(matrix: jax.Array) -> jax.Array:
    factor = factor_cholesky(matrix)
    return jnp.tril(factor, -1) + jnp.diag(jnp.log(jnp.diagonal(factor)))


def _map_matrices(function: Callable[[jax.Array], jax.Array], x: jax.Array) -> jax.Array:
    """Return `function` of each matrix on the last two axes; LAPACK has no half precision."""
    matrices = widen(x)
    if x.ndim == 2:
        return function(matrices).astype(x.dtype)
    # The product in place of -1, which NumPy's rules cannot infer for matrices of size 0.
    flat = jax.vmap(function)(matrices.reshape(math.prod(x.shape[:-2]), *x.shape[-2:]))
    return flat.reshape(*x.shape[:-2], *flat.shape[-2:]).astype(x.dtype)


def _symmetrize(y: AnyArray) -> jax.Array:
    given = check_floating(y, "y")
    _check_square(given, "y")
    flipped = jnp.swapaxes(given, -1, -2)
    # Of the largest entry, by which rounding goes; `initial` is for matrices of size 0.
    scale = jnp.max(jnp.abs(given), (-2, -1), keepdims=True, initial=0)
    given = refuse(
        given,
        ~(jnp.abs(given - flipped) <= 1e-4 * jnp.broadcast_to(scale, given.shape)),
        ArgumentError("y", "should be symmetric on its last two axes", "it is not"),
    )
    return (given + flipped) / 2


def _check_definite(y: jax.Array, minimum: float | int, remedy: str) -> jax.Array:
    """Return `y`, refused if an eigenvalue is below `minimum` by more than its rounding."""
    values = find_eigenvalues(widen(y))
    largest = jnp.max(jnp.abs(values), -1, keepdims=True, initial=0)
    # Eigenvalues are computed to some eps of the largest, however small they are.
    slack = largest * float(jnp.finfo(y.dtype).eps) * 8
    return refuse(
        y,
        ~((values >= minimum - slack) & (values > 0)),
        ArgumentError(
            "y",
            f"should be positive definite with eigenvalues of at least {minimum:g}",
            f"it is not. {remedy}",
        ),
    )


def _check_matrix(x: jax.Array, name: str) -> None:
    if x.ndim < 2:
        raise ArgumentError(name, f"should have at least two axes, got shape {x.shape}")


def _check_square(x: jax.Array, name: str) -> None:
    _check_matrix(x, name)
    if x.shape[-1] != x.shape[-2]:
        raise ArgumentError(name, f"should be square on its last two axes, got shape {x.shape}")
