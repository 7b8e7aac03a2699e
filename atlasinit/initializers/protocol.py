"""The two kinds of initialisers, and the adapter between them."""

import dataclasses
import inspect
from collections.abc import Callable
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp

from atlasinit.domains import Domain
from atlasinit.errors import ArgumentError, ArgumentTypeError

Initializer: TypeAlias = Callable[..., jax.Array]
"""``(key, shape, dtype=None, out_sharding=None) -> array``, as `jax.nn.initializers`."""

FanInInitializer: TypeAlias = Callable[..., jax.Array]
"""``(key, shape, fan_in, dtype=None) -> array``, as klax's: it is told the number of inputs."""


@dataclasses.dataclass(frozen=True)
class Paired:
    """An initialiser with the domain that its values are meant for.

    `initialize` constrains what it initialises to that domain unless told otherwise.
    Called on its own it is the initialiser alone.
    """

    initializer: Initializer
    domain: Domain

    def __call__(
        self, key: Any, shape: Any, dtype: Any = None, out_sharding: Any = None
    ) -> jax.Array:
        """Return what the initialiser returns."""
        return self.initializer(key, shape, dtype, out_sharding)


def adapt(
    initializer: Callable[..., jax.Array],
    kind: str,
    *,
    fan_in: int | None = None,
) -> Callable[..., jax.Array]:
    """Return an initialiser of either kind as one of the kind that is expected.

    Parameters
    ----------
    initializer
        Called as ``(key, shape, dtype, out_sharding)``, or, if it has a parameter
        ``fan_in``, as ``(key, shape, fan_in, dtype)``.
    kind
        ``"jax"`` for the first form, which Flax and `initialize` call, ``"klax"`` for
        the second.
    fan_in
        Number of inputs, for an initialiser that asks for it where ``"jax"`` is expected.

    Raises
    ------
    ValueError
        An unknown `kind`, or a `fan_in` that is missing or not positive.

    Examples
    --------
    >>> import jax
    >>> from atlasinit.initializers import hoedt_bias
    >>> bias = adapt(hoedt_bias(), "jax", fan_in=200)
    >>> f"{bias(jax.random.key(0), (2,))[0]:.4f}"
    '-0.7375'
    """
    asks = needs_fan_in(initializer)
    if kind == "klax":
        return initializer if asks else _drop_fan_in(initializer)
    if kind != "jax":
        raise ArgumentError("kind", f'should be "jax" or "klax", got {kind!r}')
    return _give_fan_in(initializer, _check_fan_in(fan_in)) if asks else initializer


def needs_fan_in(initializer: Callable[..., jax.Array]) -> bool:
    """Return whether an initialiser is of klax's kind."""
    # klax passes it by position, in the place of JAX's dtype: only its name tells the two apart.
    return "fan_in" in inspect.signature(initializer).parameters


def check_inexact(dtype: Any, default: Any = float) -> Any:
    """Return a floating-point or complex dtype, refusing one that JAX would narrow silently."""
    wanted = jnp.dtype(jax.dtypes.canonicalize_dtype(default) if dtype is None else dtype)
    if not jnp.issubdtype(wanted, jnp.inexact):
        raise ArgumentTypeError("dtype", f"should be floating point or complex, got {wanted}")
    return check_width(wanted)


def check_real(dtype: Any) -> Any:
    """Return a real floating-point dtype, refusing one that JAX would narrow silently."""
    wanted = check_inexact(dtype)
    if not jnp.issubdtype(wanted, jnp.floating):
        raise ArgumentTypeError("dtype", f"should be real floating point, got {wanted}")
    return wanted


def check_dtype(dtype: Any) -> Any:
    """Return a dtype, by default that of floats, refusing one that JAX would narrow silently."""
    return jax.dtypes.canonicalize_dtype(float) if dtype is None else check_width(dtype)


def check_width(dtype: Any) -> Any:
    """Return `dtype`, or raise where 64 bits are asked for and JAX's x64 mode is off."""
    wanted = jnp.dtype(dtype)
    # Without x64 mode JAX makes 32 bits of 64, with a warning at the most.
    if jax.dtypes.canonicalize_dtype(wanted) != wanted:
        raise ArgumentError(
            "dtype",
            f"{wanted} needs JAX's x64 mode",
            'switch it on with `jax.config.update("jax_enable_x64", True)` or ask for 32 bits',
        )
    return wanted


def place(values: jax.Array, out_sharding: Any) -> jax.Array:
    """Return `values` with the sharding asked for, if any."""
    return values if out_sharding is None else jax.device_put(values, out_sharding)


def _check_fan_in(fan_in: int | None) -> int:
    if fan_in is None or fan_in < 1:
        raise ArgumentError(
            "fan_in", f", the number of inputs, should be given and positive, got {fan_in}"
        )
    return fan_in


def _give_fan_in(initializer: Callable[..., jax.Array], fan_in: int) -> Initializer:
    def init(key: Any, shape: Any, dtype: Any = None, out_sharding: Any = None) -> jax.Array:
        return place(initializer(key, shape, fan_in, dtype), out_sharding)

    return init


def _drop_fan_in(initializer: Initializer) -> FanInInitializer:
    def init(key: Any, shape: Any, fan_in: int, dtype: Any = None) -> jax.Array:
        del fan_in
        return initializer(key, shape, dtype)

    return init
