"""Factors of rank-constrained templates, as of hypercoil's sylo layers."""

import math
from typing import Any

import jax

from atlasinit.domains.base import check_choice
from atlasinit.errors import ArgumentError
from atlasinit.initializers.protocol import Initializer, check_real, place


def sylo(
    *,
    width: int | None = None,
    gain: float | int = 2.0,
    mode: str = "fan_in",
    distribution: str = "uniform",
    semidefinite: bool = False,
) -> Initializer:
    r"""Return the left or right factors of templates of low rank, hypercoil's ``sylo_init``.

    A template :math:`T = L R^\top` is compared with a matrix along the row and the column of
    each entry: :math:`H + W - 1` entries for each channel. The factors are drawn with the standard
    deviation

    .. math:: \sigma = g \, (n (H + W - 1) \, r)^{-1/4},

    where :math:`g` is the gain, :math:`n` the number of channels and :math:`r` the rank, so that
    entries of :math:`T` have the variance :math:`g^4 / n (H + W - 1)`. Of semidefinite templates
    :math:`L L^\top`, whose diagonals are larger, :math:`r + r^2 / H` is in the place of
    :math:`r`. Each factor is initialised by a call of its own.

    Parameters
    ----------
    width
        Rows of the other factor; by default the same as of this one.
    gain
        2 before a ReLU, :math:`2 / (1 + s^2)` before a leaky one of slope :math:`s`, 5/3 before
        a tanh, 3/4 before a SELU, 1 before nothing.
    mode
        ``"fan_in"`` or ``"fan_out"``: whether :math:`n` counts channels of the input or output.
    distribution
        ``"uniform"`` or ``"normal"``.
    semidefinite
        Whether the other factor is the same one.

    Raises
    ------
    ValueError
        An unknown option, a gain or width that is not positive; from the initialiser, a shape
        that is not (..., channels out, channels in, rows, rank), without entries of 0.

    Examples
    --------
    >>> import jax
    >>> sylo(width=30)(jax.random.key(0), (4, 1, 20, 2)).shape
    (4, 1, 20, 2)
    """
    check_choice(mode, ("fan_in", "fan_out"), "mode")
    check_choice(distribution, ("uniform", "normal"), "distribution")
    if not gain > 0:
        raise ArgumentError("gain", f"should be positive, got {gain}")
    if width is not None and width < 1:
        raise ArgumentError("width", f"should be positive, got {width}")

    def init(key: Any, shape: Any, dtype: Any = None, out_sharding: Any = None) -> jax.Array:
        wanted = check_real(dtype)
        if len(shape) < 4 or 0 in shape:
            raise ArgumentError(
                "shape",
                "should be (..., channels out, channels in, rows, rank), none of them 0, got "
                f"{tuple(shape)}",
            )
        out, into, rows, rank = shape[-4:]
        fan = (into if mode == "fan_in" else out) * (rows + (width or rows) - 1)
        spread = rank + rank**2 / rows if semidefinite else rank
        deviation = gain / (fan * spread) ** 0.25
        if distribution == "normal":
            return place(deviation * jax.random.normal(key, shape, wanted), out_sharding)
        # A uniform variable in [-b, b] has the standard deviation b / sqrt(3).
        bound = math.sqrt(3) * deviation
        return place(jax.random.uniform(key, shape, wanted, -bound, bound), out_sharding)

    return init
