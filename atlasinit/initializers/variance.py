"""Variance scaling with rules for what has no fans, as in GoMLX."""

from typing import Any

import jax
import jax.nn.initializers as jinit
import jax.numpy as jnp

from atlasinit.errors import ArgumentError
from atlasinit.initializers.protocol import (
    Initializer,
    check_width,
    place,
)

_MODES = ("fan_in", "fan_out", "fan_avg", "fan_geo_avg")
_DISTRIBUTIONS = ("normal", "uniform", "truncated_normal")


def variance_scaling(scale: float | int, mode: str, distribution: str) -> Initializer:
    """Return `jax.nn.initializers.variance_scaling` with rules that make it safe for any leaf.

    The draws are JAX's to the bit for arrays of two or more axes, where the fans are
    the last two times the product of the axes before (the receptive field of a
    convolution). Arrays of fewer axes (biases, scales), of a dtype that is neither
    floating point nor complex, or without entries are zeros.

    Raises
    ------
    ValueError
        A scale that is not positive, or an unknown mode or distribution.
    """
    if not scale > 0:
        raise ArgumentError("scale", f"should be positive, got {scale}")
    if mode not in _MODES:
        raise ArgumentError("mode", f"should be one of {_MODES}, got {mode!r}")
    if distribution not in _DISTRIBUTIONS:
        raise ArgumentError(
            "distribution", f"should be one of {_DISTRIBUTIONS}, got {distribution!r}"
        )
    draw = jinit.variance_scaling(scale, mode, distribution)

    def init(key: Any, shape: Any, dtype: Any = None, out_sharding: Any = None) -> jax.Array:
        dtype = _dtype(dtype)
        # Fans are products of sizes: of fewer axes JAX raises, and a size of 0 would divide by 0.
        if len(shape) <= 1 or 0 in shape or not jnp.issubdtype(dtype, jnp.inexact):
            return place(jnp.zeros(shape, dtype), out_sharding)
        return place(draw(key, tuple(shape), dtype), out_sharding)

    return init


def glorot_uniform() -> Initializer:
    """Return uniform draws within ``sqrt(6 / (fan_in + fan_out))`` of 0; the same as Xavier's."""
    return variance_scaling(1.0, "fan_avg", "uniform")


def glorot_normal() -> Initializer:
    """Return normal draws of variance ``2 / (fan_in + fan_out)``; the same as Xavier's.

    Unlike `jax.nn.initializers.glorot_normal` the normal distribution is not truncated.
    """
    return variance_scaling(1.0, "fan_avg", "normal")


xavier_uniform = glorot_uniform
xavier_normal = glorot_normal


def he_normal() -> Initializer:
    """Return normal draws of variance ``2 / fan_in``, for layers before a ReLU.

    Unlike `jax.nn.initializers.he_normal` the normal distribution is not truncated.
    """
    # A ReLU halves the second moment of what is symmetric about 0: the scale of 2 makes up for it.
    return variance_scaling(2.0, "fan_in", "normal")


def normal(stddev: float | int = 0.01) -> Initializer:
    """Return normal draws with mean 0, `jax.nn.initializers.normal`; zeros for integer dtypes.

    Raises
    ------
    ValueError
        A negative `stddev`.
    """
    if not stddev >= 0:
        raise ArgumentError("stddev", f"should not be negative, got {stddev}")
    draw = jinit.normal(stddev)

    def init(key: Any, shape: Any, dtype: Any = None, out_sharding: Any = None) -> jax.Array:
        dtype = _dtype(dtype)
        if not jnp.issubdtype(dtype, jnp.inexact):
            return place(jnp.zeros(shape, dtype), out_sharding)
        return place(draw(key, tuple(shape), dtype), out_sharding)

    return init


def uniform(low: float | int = 0.0, high: float | int = 1.0) -> Initializer:
    """Return uniform draws in ``[low, high)``; zeros for integer dtypes.

    Complex numbers have independent real and imaginary parts in that interval.

    Raises
    ------
    ValueError
        Bounds the wrong way.
    """
    if not low < high:
        raise ArgumentError("low", f"should be below `high`, got {low} and {high}")

    def init(key: Any, shape: Any, dtype: Any = None, out_sharding: Any = None) -> jax.Array:
        dtype = _dtype(dtype)
        if jnp.issubdtype(dtype, jnp.complexfloating):
            # The dtype of the parts, float32 of complex64; both are drawn at once.
            part = jnp.finfo(dtype).dtype
            both = jax.random.uniform(key, (2, *shape), part, low, high)
            return place(jax.lax.complex(both[0], both[1]), out_sharding)
        if not jnp.issubdtype(dtype, jnp.floating):
            return place(jnp.zeros(shape, dtype), out_sharding)
        return place(jax.random.uniform(key, shape, dtype, low, high), out_sharding)

    return init


def _dtype(dtype: Any) -> Any:
    return jax.dtypes.canonicalize_dtype(float) if dtype is None else check_width(dtype)
