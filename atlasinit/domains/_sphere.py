"""Vectors of one length."""

import dataclasses
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from atlasinit._typing import AnyArray
from atlasinit.domains._base import Domain, Fixed, fixed, floating, one_of, positive, refuse, spread


@dataclasses.dataclass(frozen=True)
class NormSphere(Domain):
    r"""Slices along `axis` that have one norm: ``y = loc + scale * x / norm(x)``.

    A slice of zeros has no direction; its image is `loc`, with zero gradient.

    Parameters
    ----------
    order
        Order of the norm, at least 1 (``math.inf`` for the largest absolute value).
    ellipsoid
        Symmetric positive definite matrix :math:`M` of the norm
        :math:`\sqrt{x^\top M x}`, instead of `order`; it is not inverted.
    axis
        The axis along which the norm is taken.
    loc, scale
        Centre and radius; numbers, or for `loc` an array that broadcasts.
    outside
        For slices that are not on the sphere (to a relative 1e-3): ``"error"`` or
        ``"renormalize"``.

    Raises
    ------
    ValueError
        An order below 1, an ellipsoid that is not symmetric positive definite or does
        not fit the axis, a radius that is not positive; and from `preimage`, slices that
        are not on the sphere.
    """

    order: Any = 2.0
    ellipsoid: Fixed = None
    axis: int = -1
    loc: Fixed = 0.0
    scale: Any = 1.0
    outside: str = "error"

    def __post_init__(self) -> None:
        positive(self.scale, "scale")
        if np.ndim(self.scale):
            raise ValueError(f"`scale` should be a number, got shape {np.shape(self.scale)}.")
        object.__setattr__(self, "scale", fixed(self.scale))
        one_of(self.outside, ("error", "renormalize"), "outside")
        object.__setattr__(self, "loc", fixed(self.loc))
        if not self.order >= 1:
            raise ValueError(f"`order` should be at least 1, got {self.order!r}.")
        if self.ellipsoid is not None:
            matrix = np.asarray(self.ellipsoid, dtype=np.float64)
            square = matrix.ndim == 2 and matrix.shape[0] == matrix.shape[1]
            if not square or not np.allclose(matrix, matrix.T):
                raise ValueError(f"`ellipsoid` should be symmetric, got shape {matrix.shape}.")
            if np.linalg.eigvalsh(matrix).min() <= 0:
                raise ValueError("`ellipsoid` should be positive definite; it is not.")
            object.__setattr__(self, "ellipsoid", fixed(matrix))

    def image(self, x: AnyArray) -> jax.Array:
        """Return `x` with each slice divided by its norm, scaled and shifted."""
        free = floating(x, "x")
        norm = self._norm(free)
        unit = free / jnp.where(norm == 0, 1, norm)
        return spread(self.loc, free) + self.scale * unit

    def preimage(self, y: AnyArray) -> jax.Array:
        """Return ``(y - loc) / scale``."""
        given = floating(y, "y")
        free = (given - spread(self.loc, given)) / self.scale
        if self.outside == "error":
            free = refuse(
                free,
                ~(jnp.abs(self._norm(free) - 1) <= 1e-3),
                f"`y` should have norm {self.scale} along axis {self.axis} about `loc`; it has not."
                ' Use outside="renormalize" to scale it.',
            )
        return free

    def _norm(self, x: jax.Array) -> jax.Array:
        """Return the norm of each slice, broadcast, with zero gradient at zero slices."""
        if not -x.ndim <= self.axis < x.ndim:
            raise ValueError(f"`axis` {self.axis} does not exist in an array of shape {x.shape}.")
        largest = jnp.max(jnp.abs(x), self.axis, keepdims=True, initial=0)
        if self.ellipsoid is None and math.isinf(self.order):
            return jnp.broadcast_to(largest, x.shape)
        # Scaled by the largest entry, so that powers neither overflow nor vanish.
        unit = jax.lax.stop_gradient(jnp.where(largest > 0, largest, 1))
        scaled = x / jnp.broadcast_to(unit, x.shape)
        if self.ellipsoid is None:
            powers = jnp.abs(scaled) ** jnp.asarray(self.order, x.dtype)
            total = powers.sum(self.axis, keepdims=True)
            root = 1 / self.order
        else:
            total = self._quadratic(scaled)
            root = 0.5
        empty = largest == 0
        norm = unit * jnp.where(empty, 1, total) ** root
        return jnp.broadcast_to(jnp.where(empty, 0, norm), x.shape)

    def _quadratic(self, x: jax.Array) -> jax.Array:
        matrix = jnp.asarray(np.asarray(self.ellipsoid), x.dtype)
        vectors = jnp.moveaxis(x, self.axis, -1)
        if vectors.shape[-1] != matrix.shape[0]:
            raise ValueError(
                f"`ellipsoid` should be ({vectors.shape[-1]}, {vectors.shape[-1]}) for axis "
                f"{self.axis} of an array of shape {x.shape}, got {matrix.shape}."
            )
        mapped = jnp.matmul(vectors, matrix, precision=jax.lax.Precision.HIGHEST)
        return jnp.moveaxis((mapped * vectors).sum(-1, keepdims=True), -1, self.axis)
