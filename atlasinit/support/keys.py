"""Keys of JAX that users pass, checked."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Key

from atlasinit.errors import ArgumentError, ArgumentTypeError


def check_key(key: Any, name: str = "key") -> Key[jax.Array, ""]:
    """Return one typed key of JAX, as of ``jax.random.key(0)``.

    Raw ones, as ``jax.random.PRNGKey`` makes them, become typed.

    Raises
    ------
    TypeError
        What is no key; the message says how a seed becomes one.
    ValueError
        Several keys.
    """
    dtype = getattr(key, "dtype", None)
    if dtype is not None and jnp.issubdtype(dtype, jax.dtypes.prng_key):
        if key.shape:
            raise ArgumentError(name, f"should be one key, got shape {key.shape}", "pass one")
        return key
    if isinstance(key, jax.Array | np.ndarray) and key.dtype == np.uint32 and key.ndim == 1:
        return jax.random.wrap_key_data(jnp.asarray(key))
    whole = isinstance(key, int | np.integer) and not isinstance(key, bool)
    seed = int(key) if whole else 0
    raise ArgumentTypeError(
        name, f"should be a key of JAX, got {key!r}", f"pass `jax.random.key({seed})`"
    )
