"""Initialisers with a structure (identity, impulse, Toeplitz, ...), or of any distribution."""

import functools
import inspect
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from atlasinit.errors import ArgumentError, ArgumentTypeError
from atlasinit.initializers.protocol import (
    Initializer,
    check_dtype,
    check_inexact,
    place,
)


def identity(*, scale: float | int = 1.0, shift: float | int = 0.0) -> Initializer:
    """Return ``scale * I + shift`` on the last two axes, repeated over the leading ones.

    Raises
    ------
    ValueError
        From the initialiser, a shape whose last two sizes differ.
    """

    def init(key: Any, shape: Any, dtype: Any = None, out_sharding: Any = None) -> jax.Array:
        del key
        if len(shape) < 2 or shape[-1] != shape[-2]:
            raise ArgumentError("shape", f"should end with two equal sizes, got {tuple(shape)}")
        matrix = scale * np.eye(shape[-1]) + shift
        return place(_fill_shape(matrix, shape, check_inexact(dtype)), out_sharding)

    return init


def broadcast(base: Any) -> Initializer:
    """Return `base` repeated over leading axes, converted to the dtype asked for.

    The dtype may be of whole numbers too, as of GoMLX's ``BroadcastTensorToShape``, which wraps
    and truncates what does not fit.

    Raises
    ------
    ValueError
        From the initialiser, a `base` whose shape is not the end of the shape asked for, or
        that holds numbers which the dtype cannot, but for their rounding.
    TypeError
        A `base` that holds no numbers.

    Examples
    --------
    >>> import jax
    >>> broadcast([7, 11, 17])(jax.random.key(0), (2, 3), "int32").tolist()
    [[7, 11, 17], [7, 11, 17]]
    """
    value = np.asarray(base)
    if not (jnp.issubdtype(value.dtype, jnp.number) or value.dtype == bool):
        raise ArgumentTypeError("base", f"should hold numbers, got {value.dtype}")

    def init(key: Any, shape: Any, dtype: Any = None, out_sharding: Any = None) -> jax.Array:
        del key
        wanted = check_dtype(dtype)
        _check_kept(value, wanted)
        return place(_fill_shape(value, shape, wanted, name="base"), out_sharding)

    return init


def from_distribution(distribution: Any) -> Initializer:
    """Return draws from any distribution.

    Parameters
    ----------
    distribution
        An object with a method ``sample``, called as ``sample(key, sample_shape)`` (as
        NumPyro's) or ``sample(seed=key, sample_shape=...)`` (as Distrax's); the shape of
        its batches and events has to end the shape asked for. Or a function
        ``(key, shape, dtype)`` such as `jax.random.normal`.

    Raises
    ------
    TypeError
        A `distribution` that is neither.
    ValueError
        From the initialiser, a shape that does not end with the distribution's own.
    """
    sample = getattr(distribution, "sample", None)
    if sample is None and not callable(distribution):
        raise ArgumentTypeError(
            "distribution", f"should be callable or have `sample`, got {distribution!r}"
        )

    def init(key: Any, shape: Any, dtype: Any = None, out_sharding: Any = None) -> jax.Array:
        wanted, shape = check_inexact(dtype), tuple(shape)
        if sample is None:
            return place(jnp.asarray(distribution(key, shape, wanted)), out_sharding)
        # A sample's shape is (sample_shape, batch_shape, event_shape), in both libraries.
        own = (
            *getattr(distribution, "batch_shape", ()),
            *getattr(distribution, "event_shape", ()),
        )
        if shape[len(shape) - len(own) :] != own:
            raise ArgumentError("shape", f"should end with the distribution's {own}, got {shape}")
        lead = shape[: len(shape) - len(own)]
        # NumPyro's `sample(key, sample_shape)`; Distrax's `sample(*, seed, sample_shape)`.
        takes_seed = "seed" in inspect.signature(sample).parameters
        drawn = sample(seed=key, sample_shape=lead) if takes_seed else sample(key, lead)
        return place(jnp.asarray(drawn).astype(wanted), out_sharding)

    return init


def delta_plus(
    loc: Sequence[int] | None = None, *, scale: float | int = 1.0, noise: Any = 0.2
) -> Initializer:
    """Return a unit impulse plus normal noise, such as for filters that begin by passing data on.

    Parameters
    ----------
    loc
        Indices of the impulse on the last ``len(loc)`` axes; it is repeated over those
        before. By default the centre, ``size // 2`` on every axis.
    scale
        Size of the impulse.
    noise
        Standard deviation of the noise; an array broadcasts to the shape.

    Raises
    ------
    ValueError
        Negative noise; from the initialiser, a `loc` outside the shape.
    """
    _check_noise(noise)

    def init(key: Any, shape: Any, dtype: Any = None, out_sharding: Any = None) -> jax.Array:
        where = tuple(size // 2 for size in shape) if loc is None else tuple(loc)
        ends = tuple(shape)[len(shape) - len(where) :]
        if len(where) > len(shape) or any(
            not -n <= i < n for i, n in zip(where, ends, strict=True)
        ):
            raise ArgumentError(
                "loc", f"should lie inside the last axes of {tuple(shape)}, got {where}"
            )
        # The axes before those of `where` are taken whole by the ellipsis.
        impulse = np.zeros(shape)
        impulse[(..., *where)] = scale
        return place(_add_noise(impulse, noise, key, check_inexact(dtype)), out_sharding)

    return init


def laplace(
    loc: Sequence[float | int] | None = None,
    *,
    width: Any = 1.0,
    axes: Sequence[int] | None = None,
    normalize: str | None = None,
    noise: Any = 0.02,
) -> Initializer:
    r"""Return a double exponential, :math:`\prod_a e^{-|i_a - \mu_a| / w_a}`, plus normal noise.

    Parameters
    ----------
    loc
        Centre :math:`\mu` on each of `axes`, in array indices; by default the middle.
    width
        Decay length :math:`w`, one for all or one for each of `axes`.
    axes
        Axes along which it decays; it is repeated over the others. By default all.
    normalize
        ``"max"`` scales the largest value to 1, ``"sum"`` the sum over `axes`.
    noise
        Standard deviation of the noise; an array broadcasts to the shape.

    Raises
    ------
    ValueError
        A width that is not positive, an unknown `normalize`, negative noise; from the
        initialiser, a `loc` or `width` that does not fit the axes.
    """
    _check_noise(noise)
    if not (np.asarray(width) > 0).all():
        raise ArgumentError("width", f"should be positive, got {width}")
    if normalize not in (None, "max", "sum"):
        raise ArgumentError("normalize", f'should be None, "max" or "sum", got {normalize!r}')

    def init(key: Any, shape: Any, dtype: Any = None, out_sharding: Any = None) -> jax.Array:
        chosen = [a % len(shape) for a in (range(len(shape)) if axes is None else axes)]
        centre = [(shape[a] - 1) / 2 for a in chosen] if loc is None else list(loc)
        if len(centre) != len(chosen) or np.size(width) not in (1, len(chosen)):
            raise ArgumentError(
                "loc",
                f"and `width` should have one value for each of {len(chosen)} axes, got "
                f"{loc} and {width}",
            )
        # One factor per axis, of size 1 on the others: their product broadcasts to all.
        decays = []
        for a, mu, w in zip(chosen, centre, np.broadcast_to(width, len(chosen)), strict=True):
            line = -np.abs(np.arange(shape[a]) - mu) / w
            # Of a centre far away all values would underflow before they are normalised.
            if normalize is not None:
                line = line - line.max(initial=-np.inf)
            decays.append(np.exp(line).reshape([-1 if i == a else 1 for i in range(len(shape))]))
        values = functools.reduce(np.multiply, decays, np.ones([1] * len(shape)))
        if normalize == "sum":
            values = values / values.sum()
        return place(
            _add_noise(np.broadcast_to(values, shape), noise, key, check_inexact(dtype)),
            out_sharding,
        )

    return init


def toeplitz(column: Any, row: Any = None, *, fill: Any = 0.0) -> Initializer:
    """Return matrices that are constant along each diagonal, repeated over leading axes.

    hypercoil's counterpart is ``ToeplitzInitialiser``. The leading axes of `column`, `row` and
    `fill` broadcast, and each matrix of the stack that they make has its own diagonals.

    Parameters
    ----------
    column
        First column, from the main diagonal down, (..., rows); the rest of a longer column is
        `fill`.
    row
        First row, from the main diagonal on, (..., columns); its first value is not used. By
        default `column`, which makes the matrix symmetric.
    fill
        Value of the diagonals beyond those given: a number, or one for each matrix, (...).

    Raises
    ------
    ValueError
        A `column` or `row` without a value, stacks that do not broadcast; from the initialiser,
        a shape with fewer than two axes, or whose leading axes do not end with the stack's.
    """
    down = np.asarray(column, dtype=np.float64)
    along = down if row is None else np.asarray(row, dtype=np.float64)
    beyond = np.asarray(fill, dtype=np.float64)
    _check_stacks(down, along, beyond)

    def init(key: Any, shape: Any, dtype: Any = None, out_sharding: Any = None) -> jax.Array:
        del key
        if len(shape) < 2:
            raise ArgumentError("shape", f"should have at least two axes, got {tuple(shape)}")
        rows, columns = shape[-2:]
        # i - j: 0 on the main diagonal, above 0 below it.
        offset = np.arange(rows)[:, None] - np.arange(columns)
        below = _spread_diagonals(down, offset, beyond)
        matrix = np.where(offset >= 0, below, _spread_diagonals(along, -offset, beyond))
        return place(_fill_shape(matrix, shape, check_inexact(dtype)), out_sharding)

    return init


def _spread_diagonals(line: np.ndarray, offset: np.ndarray, fill: np.ndarray) -> np.ndarray:
    """Return the values (..., n) of `line` at distances from the main diagonal, or `fill` (...)."""
    size = line.shape[-1]
    # Clipped where nothing is given, since `np.where` looks up both of its branches everywhere.
    return np.where(offset < size, line[..., np.clip(offset, 0, size - 1)], fill[..., None, None])


def _check_stacks(column: np.ndarray, row: np.ndarray, fill: np.ndarray) -> None:
    if 0 in (column.ndim, row.ndim) or 0 in (column.shape[-1], row.shape[-1]):
        raise ArgumentError(
            "column", f"and `row` should be vectors, got shapes {column.shape} and {row.shape}"
        )
    stacks = column.shape[:-1], row.shape[:-1], fill.shape
    try:
        np.broadcast_shapes(*stacks)
    except ValueError:
        raise ArgumentError(
            "column", f", `row` and `fill` should be stacks that broadcast, got {stacks}"
        ) from None


def _check_kept(value: np.ndarray, dtype: Any) -> None:
    """Raise if the numbers of `dtype` are not those that `value` holds, but for rounding."""
    with np.errstate(invalid="ignore", over="ignore"):
        if jnp.issubdtype(dtype, jnp.complexfloating):
            kept = np.isfinite(value.astype(dtype)) | ~np.isfinite(value)
        elif jnp.issubdtype(dtype, jnp.floating):
            held = np.asarray(np.real(value).astype(dtype), np.float64)
            kept = (np.imag(value) == 0) & (np.isfinite(held) | ~np.isfinite(value))
        else:
            kept = np.real(value).astype(dtype) == value
    if not np.all(kept):
        raise ArgumentError(
            "base",
            f"holds numbers that {dtype} cannot, as {value[~kept].flat[0]}",
            "round or clip them, or ask for another dtype",
        )


def _fill_shape(value: np.ndarray, shape: Any, dtype: Any, *, name: str = "value") -> jax.Array:
    # The second condition, as a negative start counts from the end and may fit by accident.
    if tuple(shape)[len(shape) - value.ndim :] != value.shape or value.ndim > len(shape):
        raise ArgumentError(
            name, f"of shape {value.shape} should be the end of the shape {tuple(shape)}"
        )
    return jnp.broadcast_to(jnp.asarray(value, dtype), shape)


def _add_noise(values: np.ndarray, noise: Any, key: Any, dtype: Any) -> jax.Array:
    centre = jnp.asarray(values, dtype)
    if not np.any(noise):
        return centre
    deviation = jnp.broadcast_to(jnp.asarray(np.asarray(noise), dtype), values.shape)
    return centre + deviation * jax.random.normal(key, values.shape, dtype)


def _check_noise(noise: Any) -> None:
    if not (np.asarray(noise) >= 0).all():
        raise ArgumentError("noise", f", a standard deviation, should not be negative, got {noise}")
