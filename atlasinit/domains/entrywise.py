"""Domains whose map acts on each entry alone: intervals and half-lines."""

import dataclasses
import math
from typing import Any

import jax
import jax.numpy as jnp

from atlasinit.domains.base import (
    EntrywiseDomain,
    Fixed,
    broadcast_like,
    check_choice,
    check_floating,
    check_positive,
    fixed,
    refuse,
)
from atlasinit.errors import ArgumentError
from atlasinit.support.typing import AnyArray

_OUTSIDE = ("error", "clip", "renormalize")


@dataclasses.dataclass(frozen=True)
class Identity(EntrywiseDomain):
    """All arrays."""

    def image(self, x: AnyArray) -> jax.Array:
        """Return `x`."""
        return jnp.asarray(x)

    def preimage(self, y: AnyArray) -> jax.Array:
        """Return `y`."""
        return jnp.asarray(y)


@dataclasses.dataclass(frozen=True)
class Affine(EntrywiseDomain):
    """All arrays, shifted and scaled: ``y = loc + scale * x``.

    Parameters
    ----------
    loc, scale
        Numbers, or arrays that broadcast to the parameter's shape. No scale is 0.
    outside, bounds
        As for `Tanh`. By default all free values are in bounds, so that nothing is outside, not
        even NaN or infinity.
    """

    loc: Fixed = 0.0
    scale: Fixed = 1.0
    outside: str = "error"
    bounds: tuple[Any, Any] = (-math.inf, math.inf)

    def __post_init__(self) -> None:
        object.__setattr__(self, "loc", fixed(self.loc))
        object.__setattr__(self, "scale", fixed(self.scale))
        check_positive(jnp.abs(jnp.asarray(self.scale)), "abs(scale)")
        _check_options(self.outside, self.bounds)

    def image(self, x: AnyArray) -> jax.Array:
        """Return ``loc + scale * x``."""
        free = check_floating(x, "x")
        return broadcast_like(self.loc, free) + broadcast_like(self.scale, free) * free

    def preimage(self, y: AnyArray) -> jax.Array:
        """Return ``(y - loc) / scale``."""
        given = check_floating(y, "y")
        bounded = any(math.isfinite(bound) for bound in self.bounds)
        given = _bring_inside(self, given) if bounded else given
        free = (given - broadcast_like(self.loc, given)) / broadcast_like(self.scale, given)
        return _clip_to_bounds(self, free) if bounded else free


@dataclasses.dataclass(frozen=True)
class Tanh(EntrywiseDomain):
    """Values between ``-scale`` and ``scale``: ``y = scale * tanh(x)``.

    Parameters
    ----------
    scale
        Positive; the bound of the values: a number, or an array that broadcasts to the
        parameter's shape.
    outside
        What `preimage` does with values outside the image of `bounds`: ``"error"``
        raises, ``"clip"`` moves each to the nearest that is inside, ``"renormalize"``
        maps the whole array linearly, the end that is outside to the end of that image and the
        other to itself, as hypercoil's ``Renormalise`` (or onto the whole image, if all is beyond
        one end and differs). NaN always raises, and infinity unless it is clipped.
    bounds
        Smallest and largest free value that `preimage` may return; nearer to the edge
        the gradient is too small to learn by.
    """

    scale: Fixed = 1.0
    outside: str = "error"
    # tanh' is 1 at 0 and 0.01 at 3.
    bounds: tuple[Any, Any] = (-3.0, 3.0)

    def __post_init__(self) -> None:
        check_positive(self.scale, "scale")
        object.__setattr__(self, "scale", fixed(self.scale))
        _check_options(self.outside, self.bounds)

    def image(self, x: AnyArray) -> jax.Array:
        """Return ``scale * tanh(x)``."""
        free = check_floating(x, "x")
        return broadcast_like(self.scale, free) * jnp.tanh(free)

    def preimage(self, y: AnyArray) -> jax.Array:
        """Return ``arctanh(y / scale)``."""
        given = _bring_inside(self, check_floating(y, "y"))
        return _clip_to_bounds(self, jnp.arctanh(given / broadcast_like(self.scale, given)))


@dataclasses.dataclass(frozen=True)
class Logistic(EntrywiseDomain):
    """Values in an interval of width `scale` about `loc`: ``loc + scale * (sigmoid(x) - 1/2)``.

    Parameters
    ----------
    loc
        Centre of the interval, the image of 0.
    scale
        Positive; width of the interval. Both are numbers, or arrays that broadcast to the
        parameter's shape.
    outside, bounds
        As for `Tanh`.
    """

    loc: Fixed = 0.5
    scale: Fixed = 1.0
    outside: str = "error"
    # The sigmoid's derivative is 0.01 at 4.5, as that of `Tanh` at its bounds.
    bounds: tuple[Any, Any] = (-4.5, 4.5)

    def __post_init__(self) -> None:
        check_positive(self.scale, "scale")
        object.__setattr__(self, "loc", fixed(self.loc))
        object.__setattr__(self, "scale", fixed(self.scale))
        _check_options(self.outside, self.bounds)

    def image(self, x: AnyArray) -> jax.Array:
        """Return ``loc + scale * (sigmoid(x) - 1/2)``."""
        free = check_floating(x, "x")
        centred = jax.nn.sigmoid(free) - 0.5
        return broadcast_like(self.loc, free) + broadcast_like(self.scale, free) * centred

    def preimage(self, y: AnyArray) -> jax.Array:
        """Return ``logit((y - loc) / scale + 1/2)``."""
        given = _bring_inside(self, check_floating(y, "y"))
        share = (given - broadcast_like(self.loc, given)) / broadcast_like(self.scale, given) + 0.5
        return _clip_to_bounds(self, jax.scipy.special.logit(share))


@dataclasses.dataclass(frozen=True)
class Positive(EntrywiseDomain):
    """Values above 0: ``softplus(x)`` or ``exp(x)``.

    Parameters
    ----------
    map
        ``"softplus"``, nearly linear for large values, or ``"exp"``.
    outside, bounds
        As for `Tanh`, without ``"renormalize"`` where the upper bound is infinite.
    """

    map: str = "softplus"
    outside: str = "error"
    # Both maps are 2e-9 at -20; large values of either have large derivatives.
    bounds: tuple[Any, Any] = (-20.0, math.inf)

    def __post_init__(self) -> None:
        check_choice(self.map, ("softplus", "exp"), "map")
        _check_options(self.outside, self.bounds)

    def image(self, x: AnyArray) -> jax.Array:
        """Return ``softplus(x)`` or ``exp(x)``."""
        free = check_floating(x, "x")
        return jnp.exp(free) if self.map == "exp" else jax.nn.softplus(free)

    def preimage(self, y: AnyArray) -> jax.Array:
        """Return ``log(exp(y) - 1)`` or ``log(y)``."""
        given = _bring_inside(self, check_floating(y, "y"))
        if self.map == "exp":
            return _clip_to_bounds(self, jnp.log(given))
        # log(e^y - 1) = y + log(1 - e^-y), without overflow for large y or cancellation for small.
        return _clip_to_bounds(self, given + jnp.log(-jnp.expm1(-given)))


def _check_options(outside: str, bounds: tuple[Any, Any]) -> None:
    check_choice(outside, _OUTSIDE, "outside")
    if len(bounds) != 2 or not bounds[0] < bounds[1]:
        raise ArgumentError("bounds", f"should be (lower, upper) with lower < upper, got {bounds}")
    if outside == "renormalize" and not all(math.isfinite(bound) for bound in bounds):
        raise ArgumentError("bounds", f'should be finite for outside="renormalize", got {bounds}')


def _bring_inside(domain: "Affine | Tanh | Logistic | Positive", y: jax.Array) -> jax.Array:
    """Return `y` with what lies outside the image of the domain's bounds handled."""
    # By `image` itself, so that a value at a bound is rounded as the bound is; and finite, so that
    # infinity lies outside where the bound is infinite.
    limit = float(jnp.finfo(y.dtype).max)
    ends = [
        jnp.clip(domain.image(jnp.full_like(y, bound)), -limit, limit) for bound in domain.bounds
    ]
    # A negative scale turns them round.
    low, high = jnp.minimum(*ends), jnp.maximum(*ends)
    if domain.outside == "clip":
        y = jnp.clip(y, low, high)
    name = type(domain).__name__
    y = refuse(
        y,
        ~jnp.isfinite(y),
        ArgumentError("y", f"should hold no NaN or infinity for `{name}`", "it does"),
    )
    if domain.outside == "clip" or y.size == 0:
        return y
    outside = (y < low) | (y > high)
    if domain.outside == "error":
        return refuse(
            y,
            outside,
            ArgumentError(
                "y",
                f"should lie between the images of `bounds` {domain.bounds} for {domain}",
                'it does not. Use outside="clip" or "renormalize", or other bounds',
            ),
        )
    # first + (y - min y) / (max y - min y) (last - first), by halves, as the width may overflow.
    half = y / 2
    least, most = half.min(), half.max()
    share = (half - least) / jnp.where(most > least, most - least, 1)
    first, last = (jnp.clip(end, low, high) for end in (y.min(), y.max()))
    # A single value has no width to keep; it is clipped.
    beyond = (first == last) & (most > least)
    first, last = jnp.where(beyond, low, first), jnp.where(beyond, high, last)
    moved = jnp.clip(first + share * (last - first), low, high)
    return jnp.where(outside.any(), moved, y)


def _clip_to_bounds(domain: "Affine | Tanh | Logistic | Positive", x: jax.Array) -> jax.Array:
    """Return free values within the bounds, which rounding of the image may have left."""
    # arctanh near 1, for instance, turns an error of eps into a larger one.
    low, high = domain.bounds
    return jnp.clip(x, float(low), float(high))
