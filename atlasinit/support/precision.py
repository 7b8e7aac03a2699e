"""The precision that half-precision values are computed in."""

from typing import Any

import jax
import jax.numpy as jnp


def accumulated(dtype: Any) -> Any:
    """Return the dtype of sums of values of a floating dtype: single precision at least."""
    return dtype if jnp.finfo(dtype).bits >= 32 else jnp.float32


def wide(x: jax.Array) -> jax.Array:
    """Return floating-point values in single precision at least."""
    return x.astype(accumulated(x.dtype))
