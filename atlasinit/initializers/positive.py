r"""Weights constrained to be positive: the initialisation of Hoedt and Klambauer.

Let the inputs of a layer be ReLUs of normal pre-activations with mean 0, variance 1 and
correlation 1/2. With independent weights of mean :math:`m` and variance :math:`v`, its
pre-activations have the same three moments, averaged over draws of the weights, for

.. math::

    v = 1/n, \qquad m^2 = \frac{1}{2 n (1/2 - c + n (c - 1/2\pi))}, \qquad
    b = - n m / \sqrt{2\pi},

where :math:`n` is the number of inputs, :math:`1/2` the second moment of a ReLU,
:math:`1/\sqrt{2\pi}` its mean and :math:`c = (\sqrt{3}/2 + \pi/3) / 2\pi` the
expected product of two. The bias is negative: positive weights on positive inputs can only
raise the mean.

What does not hold: that the moments stay so through many layers. For one draw of the
weights they come out near these values, not at them, and the fixed point repels: a
deviation of the correlation grows from layer to layer, in plain networks without skip
connections or normalisation. Deep stacks need one or the other.

P.-J. Hoedt and G. Klambauer, Principled Weight Initialisation for Input-Convex Neural
Networks, 2023, arXiv:2312.12474.
"""

import math
from typing import Any

import jax
import jax.numpy as jnp

from atlasinit.domains import Positive
from atlasinit.errors import ArgumentError
from atlasinit.initializers.protocol import (
    FanInInitializer,
    Paired,
    check_real,
    place,
)

# E[relu(a) relu(b)] and E[relu(a)]^2 of standard normal a and b of correlation 1/2: c and 1 / 2 pi
# of the equations above.
_PRODUCT = (math.sqrt(3) / 2 + math.pi / 3) / (2 * math.pi)
_SQUARED_MEAN = 1 / (2 * math.pi)


def hoedt_normal(in_axis: int = -2, dtype: Any = None) -> Paired:
    """Return log-normal weights with the mean and variance above, paired with `Positive`.

    Parameters
    ----------
    in_axis
        Axis of the inputs: -2 for kernels (in, out) as in Flax, -1 for weights
        (out, in) as in Equinox.
    dtype
        Dtype where the initialiser is asked for none.

    Raises
    ------
    ValueError
        From the initialiser, a shape without that axis, or without a second axis.
    """
    default = dtype

    def init(key: Any, shape: Any, dtype: Any = None, out_sharding: Any = None) -> jax.Array:
        wanted = check_real(default if dtype is None else dtype)
        if len(shape) < 2 or not -len(shape) <= in_axis < len(shape):
            raise ArgumentError(
                "shape", f"should have at least two axes and the axis {in_axis}, got {tuple(shape)}"
            )
        fan_in = max(shape[in_axis], 1)
        mean = _mean(fan_in)
        # exp of a normal variable (u, s^2) has mean exp(u + s^2 / 2) and variance
        # (exp(s^2) - 1) mean^2: s^2 = log(1 + v / m^2), u = log m - s^2 / 2, with v = 1 / n.
        spread = math.log1p(1 / fan_in / mean**2)
        logs = (
            math.log(mean) - spread / 2 + math.sqrt(spread) * jax.random.normal(key, shape, wanted)
        )
        return place(jnp.exp(logs), out_sharding)

    # A draw may lie below exp(-20), the default bound; exp(-80) = 2e-35 is a normal float32 still.
    return Paired(init, Positive(map="exp", bounds=(-80.0, math.inf)))


def hoedt_bias() -> FanInInitializer:
    """Return the constant bias above, which needs ``fan_in``; see `adapt`.

    klax 0.2.0 returns it with a plus sign.
    """

    def init(key: Any, shape: Any, fan_in: int, dtype: Any = None) -> jax.Array:
        del key
        wanted = check_real(dtype)
        if fan_in < 1:
            raise ArgumentError("fan_in", f"should be positive, got {fan_in}")
        # b = -n m / sqrt(2 pi), which takes away the mean that n weights of mean m add.
        return jnp.full(shape, -fan_in * _mean(fan_in) * math.sqrt(_SQUARED_MEAN), wanted)

    return init


def _mean(fan_in: int) -> float:
    return 1 / math.sqrt(2 * fan_in * (0.5 - _PRODUCT + fan_in * (_PRODUCT - _SQUARED_MEAN)))
