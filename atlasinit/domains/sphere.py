"""Vectors of one length."""

import dataclasses
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from atlasinit.domains.base import (
    Domain,
    Fixed,
    axis_from_end,
    broadcast_like,
    check_choice,
    check_floating,
    check_positive,
    fixed,
    refuse,
    tolerance,
)
from atlasinit.errors import ArgumentError
from atlasinit.support.precision import widen
from atlasinit.support.typing import AnyArray


@dataclasses.dataclass(frozen=True)
class NormSphere(Domain):
    r"""Slices along `axis` that have one norm: ``y = loc + scale * x / norm(x)``.

    A slice of zeros has no direction; its image is `loc`, with zero gradient.

    Parameters
    ----------
    order
        Order of the norm, at least 1 (``math.inf`` for the largest absolute value); of matrices
        1, 2, ``math.inf``, ``"fro"`` or ``"nuc"``, see `jax.numpy.linalg.norm`.
    ellipsoid
        Symmetric positive definite matrix :math:`M` of the norm
        :math:`\sqrt{x^\top M x}`, instead of `order`; it is not inverted.
    axis
        The axis along which the norm is taken, or the two axes of matrices. The derivative of
        the norms of order 2 and ``"nuc"`` is one of several where singular values are equal or 0.
    loc, scale
        Centre and radius; numbers, or for `loc` an array that broadcasts.
    outside
        For slices that are not on the sphere (to a relative 1e-3): ``"error"`` or
        ``"renormalize"``.

    Raises
    ------
    ValueError
        An order below 1 or that is none of the axes, an ellipsoid that is not symmetric positive
        definite or does not fit the axis, a radius that is not positive; and from `preimage`,
        slices that are not on the sphere.
    """

    order: Any = 2.0
    ellipsoid: Fixed = None
    axis: int | tuple[int, ...] = -1
    loc: Fixed = 0.0
    scale: Any = 1.0
    outside: str = "error"

    def __post_init__(self) -> None:
        check_positive(self.scale, "scale")
        if np.ndim(self.scale):
            raise ArgumentError("scale", f"should be a number, got shape {np.shape(self.scale)}")
        object.__setattr__(self, "scale", fixed(self.scale))
        check_choice(self.outside, ("error", "renormalize"), "outside")
        object.__setattr__(self, "loc", fixed(self.loc))
        if not isinstance(self.axis, int):
            axes = tuple(int(axis) for axis in self.axis)
            object.__setattr__(self, "axis", axes[0] if len(axes) == 1 else axes)
        self._check_order()
        if self.ellipsoid is not None:
            matrix = np.asarray(self.ellipsoid, dtype=np.float64)
            square = matrix.ndim == 2 and matrix.shape[0] == matrix.shape[1]
            if not square or not np.allclose(matrix, matrix.T):
                raise ArgumentError("ellipsoid", f"should be symmetric, got shape {matrix.shape}")
            if np.linalg.eigvalsh(matrix).min() <= 0:
                raise ArgumentError("ellipsoid", "should be positive definite", "it is not")
            object.__setattr__(self, "ellipsoid", fixed(matrix))

    def image(self, x: AnyArray) -> jax.Array:
        """Return `x` with each slice divided by its norm, scaled and shifted."""
        free = check_floating(x, "x")
        largest, scaled, norm = self._parts(free)
        # Where nothing is above 0, `largest` is what the slice becomes: 0, or NaN of one with NaN.
        unit = jnp.where(largest > 0, scaled / norm, largest).astype(free.dtype)
        return broadcast_like(self.loc, free) + self.scale * unit

    def preimage(self, y: AnyArray) -> jax.Array:
        """Return ``(y - loc) / scale``."""
        given = check_floating(y, "y")
        free = (given - broadcast_like(self.loc, given)) / self.scale
        if self.outside == "error":
            largest, _, norm = self._parts(free)
            free = refuse(
                free,
                ~(jnp.abs(largest * norm - 1) <= tolerance(free)),
                ArgumentError(
                    "y",
                    f"should have norm {self.scale} along axis {self.axis} about `loc`",
                    'it has not. Use outside="renormalize" to scale it',
                ),
            )
        return free

    def for_axes(self, count: int) -> "NormSphere":
        """Return the domain with its axis counted from the end."""
        if isinstance(self.axis, int):
            return dataclasses.replace(self, axis=axis_from_end(self.axis, count))
        return dataclasses.replace(self, axis=tuple(axis_from_end(a, count) for a in self.axis))

    def _check_order(self) -> None:
        if isinstance(self.axis, int):
            if isinstance(self.order, str) or not self.order >= 1:
                raise ArgumentError(
                    "order",
                    f"of vectors should be at least 1, got {self.order!r}",
                    "for norms of matrices give the two axes",
                )
            object.__setattr__(self, "order", fixed(self.order))
            return
        if len(self.axis) != 2 or self.ellipsoid is not None:
            raise ArgumentError(
                "axis",
                f"should be one, or two for matrices without an `ellipsoid`, got {self.axis!r}",
            )
        if self.order not in (1, 2, math.inf, "fro", "nuc"):
            raise ArgumentError(
                "order",
                f'of matrices should be 1, 2, math.inf, "fro" or "nuc", got {self.order!r}',
            )

    def _parts(self, x: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        """Return each slice's largest entry, the slice divided by it, and the norm of that."""
        axes = (self.axis,) if isinstance(self.axis, int) else self.axis
        there = all(-x.ndim <= axis < x.ndim for axis in axes)
        if not there or len({axis % x.ndim for axis in axes}) < len(axes):
            raise ArgumentError(
                "axis", f"{self.axis} does not exist in an array of shape {x.shape}"
            )
        x = widen(x)
        size = jnp.max(jnp.abs(x), self.axis, keepdims=True, initial=0)
        # x / |x| does not change with the scale of x, so that its derivative needs none of this.
        largest = jax.lax.stop_gradient(jnp.broadcast_to(size, x.shape))
        # Divided first, so that neither powers nor derivatives overflow or vanish.
        scaled = x / jnp.where(largest > 0, largest, 1)
        if not isinstance(self.axis, int):
            # Of a matrix of zeros no norm has a derivative: one of ones is in its place.
            filled = jnp.where(largest > 0, scaled, 1)
            norm = jnp.linalg.norm(filled, self.order, self.axis, keepdims=True)
            return largest, scaled, jnp.broadcast_to(norm, x.shape)
        if self.ellipsoid is not None:
            total, root = self._quadratic(scaled), 0.5
        elif math.isinf(self.order):
            total, root = jnp.max(jnp.abs(scaled), self.axis, keepdims=True, initial=0), 1.0
        else:
            powers = jnp.abs(scaled) ** jnp.asarray(self.order, x.dtype)
            total, root = powers.sum(self.axis, keepdims=True), 1 / self.order
        # 1 in place of 0, where the derivative of a root is infinite.
        norm = jnp.broadcast_to(total, x.shape)
        return largest, scaled, jnp.where(largest > 0, norm, 1) ** root

    def _quadratic(self, x: jax.Array) -> jax.Array:
        # x^T M x of each slice x, with the slices along the last axis.
        matrix = jnp.asarray(np.asarray(self.ellipsoid), x.dtype)
        vectors = jnp.moveaxis(x, self.axis, -1)
        if vectors.shape[-1] != matrix.shape[0]:
            raise ArgumentError(
                "ellipsoid",
                f"should be ({vectors.shape[-1]}, {vectors.shape[-1]}) for axis "
                f"{self.axis} of an array of shape {x.shape}, got {matrix.shape}",
            )
        mapped = jnp.matmul(vectors, matrix, precision=jax.lax.Precision.HIGHEST)
        return jnp.moveaxis((mapped * vectors).sum(-1, keepdims=True), -1, self.axis)
