"""The precision that half-precision values are computed in."""

from typing import Any

import jax
import jax.numpy as jnp


def accumulator_dtype(dtype: Any) -> Any:
    """Return the dtype of sums of values of a floating dtype: single precision at least."""
    # 2048 + 1 = 2048 in float16, and 256 + 1 = 256 in bfloat16: long sums would stand still.
    return dtype if jnp.finfo(dtype).bits >= 32 else jnp.float32


def widen(x: jax.Array) -> jax.Array:
    """Return floating-point values in single precision at least."""
    return x.astype(accumulator_dtype(x.dtype))
