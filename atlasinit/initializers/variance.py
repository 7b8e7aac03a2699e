"""Variance scaling under JAX's names, with GoMLX's rule for what has no fans."""

from collections.abc import Sequence
from typing import Any, TypeAlias

import jax.nn.initializers as jinit

from atlasinit.domains.base import check_choice
from atlasinit.errors import ArgumentError
from atlasinit.initializers.draws import zero_where_undefined
from atlasinit.initializers.protocol import Initializer

Axes: TypeAlias = int | Sequence[int]

_MODES = ("fan_in", "fan_out", "fan_avg", "fan_geo_avg")
_DISTRIBUTIONS = ("normal", "uniform", "truncated_normal")


def variance_scaling(
    scale: float | int,
    mode: str,
    distribution: str,
    *,
    in_axis: Axes = -2,
    out_axis: Axes = -1,
    batch_axis: Axes = (),
    dtype: Any = None,
) -> Initializer:
    """Return `jax.nn.initializers.variance_scaling` with rules that make it safe for any leaf.

    The draws are JAX's to the bit for arrays of two or more axes. Arrays of fewer axes
    (biases, scales), of a dtype that is neither floating point nor complex, or without
    entries are zeros, as in GoMLX.

    Parameters
    ----------
    scale
        The variance is ``scale / fan``.
    mode
        ``"fan_in"``, ``"fan_out"``, or their mean, ``"fan_avg"`` or ``"fan_geo_avg"``.
    distribution
        ``"normal"``, ``"uniform"`` or ``"truncated_normal"`` (at two standard deviations,
        scaled to the variance).
    in_axis, out_axis
        Axes of inputs and outputs. All others but `batch_axis` are the receptive field of a
        convolution, by whose size both fans are multiplied.
    batch_axis
        Axes of independent weights, which count for no fan.
    dtype
        Dtype where the initialiser is asked for none.

    Raises
    ------
    ValueError
        A scale that is not positive, or an unknown mode or distribution; from the
        initialiser, a shape without one of the axes.
    """
    if not scale > 0:
        raise ArgumentError("scale", f"should be positive, got {scale}")
    check_choice(mode, _MODES, "mode")
    check_choice(distribution, _DISTRIBUTIONS, "distribution")
    draw = jinit.variance_scaling(scale, mode, distribution, in_axis, out_axis, batch_axis)  # pyright: ignore[reportArgumentType]
    named = {"in_axis": in_axis, "out_axis": out_axis, "batch_axis": batch_axis}
    # Fans are products of sizes: of fewer axes JAX raises, and a size of 0 would divide by 0.
    return zero_where_undefined(draw, dtype, axes=named, fewest=2)


def glorot_uniform(
    in_axis: Axes = -2, out_axis: Axes = -1, batch_axis: Axes = (), dtype: Any = None
) -> Initializer:
    """Return uniform draws within ``sqrt(6 / (fan_in + fan_out))`` of 0; the same as Xavier's.

    Axes and dtype are as of `variance_scaling`.
    """
    return _scale((1, "fan_avg", "uniform"), (in_axis, out_axis, batch_axis), dtype)


def glorot_normal(
    in_axis: Axes = -2,
    out_axis: Axes = -1,
    batch_axis: Axes = (),
    dtype: Any = None,
    *,
    truncated: bool = True,
) -> Initializer:
    """Return normal draws of variance ``2 / (fan_in + fan_out)``; the same as Xavier's.

    Truncated as JAX's, or with ``truncated=False`` not, as GoMLX's. Axes and dtype are as of
    `variance_scaling`.
    """
    return _scale((1, "fan_avg", _normal(truncated)), (in_axis, out_axis, batch_axis), dtype)


def he_uniform(
    in_axis: Axes = -2, out_axis: Axes = -1, batch_axis: Axes = (), dtype: Any = None
) -> Initializer:
    """Return uniform draws within ``sqrt(6 / fan_in)`` of 0; the same as Kaiming's.

    Axes and dtype are as of `variance_scaling`.
    """
    return _scale((2, "fan_in", "uniform"), (in_axis, out_axis, batch_axis), dtype)


def he_normal(
    in_axis: Axes = -2,
    out_axis: Axes = -1,
    batch_axis: Axes = (),
    dtype: Any = None,
    *,
    truncated: bool = True,
) -> Initializer:
    """Return normal draws of variance ``2 / fan_in``, for layers before a ReLU; Kaiming's.

    Truncated as JAX's, or with ``truncated=False`` not, as GoMLX's. Axes and dtype are as of
    `variance_scaling`.
    """
    # A ReLU halves the second moment of what is symmetric about 0: the scale of 2 makes up for it.
    return _scale((2, "fan_in", _normal(truncated)), (in_axis, out_axis, batch_axis), dtype)


def lecun_uniform(
    in_axis: Axes = -2, out_axis: Axes = -1, batch_axis: Axes = (), dtype: Any = None
) -> Initializer:
    """Return uniform draws within ``sqrt(3 / fan_in)`` of 0.

    Axes and dtype are as of `variance_scaling`.
    """
    return _scale((1, "fan_in", "uniform"), (in_axis, out_axis, batch_axis), dtype)


def lecun_normal(
    in_axis: Axes = -2, out_axis: Axes = -1, batch_axis: Axes = (), dtype: Any = None
) -> Initializer:
    """Return truncated normal draws of variance ``1 / fan_in``.

    Axes and dtype are as of `variance_scaling`.
    """
    return _scale((1, "fan_in", "truncated_normal"), (in_axis, out_axis, batch_axis), dtype)


xavier_uniform = glorot_uniform
xavier_normal = glorot_normal
kaiming_uniform = he_uniform
kaiming_normal = he_normal


def _scale(rule: tuple[int, str, str], axes: tuple[Axes, Axes, Axes], dtype: Any) -> Initializer:
    in_axis, out_axis, batch_axis = axes
    return variance_scaling(
        *rule, in_axis=in_axis, out_axis=out_axis, batch_axis=batch_axis, dtype=dtype
    )


def _normal(truncated: bool) -> str:  # noqa: FBT001
    return "truncated_normal" if truncated else "normal"
