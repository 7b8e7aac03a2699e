"""JAX's draws that need no fans, with zeros for dtypes that have none."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.nn.initializers as jinit
import jax.numpy as jnp
import numpy as np

from atlasinit.errors import ArgumentError
from atlasinit.initializers.protocol import Initializer, check_dtype, check_inexact, place


def normal(stddev: Any = 0.01, dtype: Any = None) -> Initializer:
    """Return normal draws with mean 0, `jax.nn.initializers.normal`; zeros for integer dtypes.

    `dtype` is that where the initialiser is asked for none.

    Raises
    ------
    ValueError
        A negative `stddev`.
    """
    return zero_where_undefined(jinit.normal(_check_deviation(stddev)), dtype)


def truncated_normal(
    stddev: Any = 0.01,
    dtype: Any = None,
    lower: float | int = -2.0,
    upper: float | int = 2.0,
) -> Initializer:
    """Return `jax.nn.initializers.truncated_normal`; zeros for integer dtypes.

    Parameters
    ----------
    stddev
        Standard deviation before truncation.
    dtype
        Dtype where the initialiser is asked for none.
    lower, upper
        Ends, in units of `stddev`.

    Raises
    ------
    ValueError
        A negative `stddev`, or ends the wrong way.
    """
    if not lower < upper:
        raise ArgumentError("lower", f"should be below `upper`, got {lower} and {upper}")
    draw = jinit.truncated_normal(_check_deviation(stddev), lower=lower, upper=upper)
    return zero_where_undefined(draw, dtype)


def uniform(scale: Any = 0.01, dtype: Any = None) -> Initializer:
    """Return uniform draws in ``[0, scale)``, `jax.nn.initializers.uniform`.

    Zeros for integer dtypes; complex numbers are as of `uniform_between`. `dtype` is that
    where the initialiser is asked for none.

    Raises
    ------
    ValueError
        A `scale` that is not positive.
    """
    if not scale > 0:
        raise ArgumentError("scale", f"should be positive, got {scale}")
    return zero_where_undefined(_of_parts(jinit.uniform(scale)), dtype)


def uniform_between(low: float | int, high: float | int, dtype: Any = None) -> Initializer:
    """Return uniform draws in ``[low, high)``, GoMLX's ``RandomUniformFn``.

    Zeros for integer dtypes. Complex numbers have independent real and imaginary parts in that
    interval. `dtype` is that where the initialiser is asked for none.

    Raises
    ------
    ValueError
        Bounds the wrong way.
    """
    if not low < high:
        raise ArgumentError("low", f"should be below `high`, got {low} and {high}")

    def draw(key: Any, shape: Any, dtype: Any) -> jax.Array:
        return jax.random.uniform(key, shape, dtype, low, high)

    return zero_where_undefined(_of_parts(draw), dtype)


def orthogonal(scale: float | int = 1.0, column_axis: int = -1, dtype: Any = None) -> Initializer:
    """Return `jax.nn.initializers.orthogonal`: random orthonormal columns or rows, scaled.

    Parameters
    ----------
    scale
        Factor of the orthonormal matrix.
    column_axis
        Axis of the columns; all other axes together are the rows.
    dtype
        Dtype where the initialiser is asked for none. Half precision is drawn in single.

    Raises
    ------
    ValueError
        From the initialiser, a shape with fewer than two axes.
    """
    return _of_floats(jinit.orthogonal(scale, column_axis), dtype)


def delta_orthogonal(
    scale: float | int = 1.0, column_axis: int = -1, dtype: Any = None
) -> Initializer:
    """Return `jax.nn.initializers.delta_orthogonal`: convolutions, orthogonal at their centre.

    Parameters
    ----------
    scale, column_axis, dtype
        As of `orthogonal`.

    Raises
    ------
    ValueError
        From the initialiser, a shape that has not 3, 4 or 5 axes, or more inputs than outputs.
    """
    return _of_floats(jinit.delta_orthogonal(scale, column_axis), dtype)


def zero_where_undefined(
    draw: Initializer,
    dtype: Any,
    *,
    axes: Mapping[str, int | Sequence[int]] | None = None,
    fewest: int = 0,
) -> Initializer:
    """Return `draw`, with zeros where it has no rule: for whole numbers and too few axes.

    Parameters
    ----------
    draw
        Called as ``(key, shape, dtype)``.
    dtype
        Dtype where the initialiser is asked for none.
    axes
        By name those that a shape has to have.
    fewest
        Number of axes that `draw` needs.
    """
    default = dtype

    def init(key: Any, shape: Any, dtype: Any = None, out_sharding: Any = None) -> jax.Array:
        wanted = check_dtype(default if dtype is None else dtype)
        small = len(shape) < fewest or (fewest > 0 and 0 in shape)
        if small or not jnp.issubdtype(wanted, jnp.inexact):
            return place(jnp.zeros(shape, wanted), out_sharding)
        for name, given in (axes or {}).items():
            if any(not -len(shape) <= axis < len(shape) for axis in np.atleast_1d(given)):
                raise ArgumentError(
                    name, f"{given} should be of the {len(shape)} axes of {tuple(shape)}"
                )
        return place(draw(key, tuple(shape), wanted), out_sharding)

    return init


def _of_parts(draw: Initializer) -> Initializer:
    """Return `draw` for complex numbers too, whose parts are drawn at once."""

    def init(key: Any, shape: Any, dtype: Any) -> jax.Array:
        if not jnp.issubdtype(dtype, jnp.complexfloating):
            return draw(key, shape, dtype)
        # The dtype of the parts, float32 of complex64.
        both = draw(key, (2, *shape), jnp.finfo(dtype).dtype)
        return jax.lax.complex(both[0], both[1])

    return init


def _of_floats(draw: Initializer, dtype: Any) -> Initializer:
    """Return `draw` with a checked dtype; LAPACK has no half precision."""
    default = dtype

    def init(key: Any, shape: Any, dtype: Any = None, out_sharding: Any = None) -> jax.Array:
        wanted = check_inexact(default if dtype is None else dtype)
        wide = jnp.dtype(jnp.float32) if wanted.itemsize < 4 else wanted
        return place(draw(key, tuple(shape), wide).astype(wanted), out_sharding)

    return init


def _check_deviation(stddev: Any) -> Any:
    if not stddev >= 0:
        raise ArgumentError("stddev", f"should not be negative, got {stddev}")
    return stddev
