"""Initial activities of layered models, such as predictive coding networks.

A model is a sequence of callables, each from one input to one output; data is batched
on the leading axis. Activities are a list with one array per layer, the output last.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp

from atlasinit.errors import ArgumentError
from atlasinit.support.typing import AnyArray

__all__ = [
    "amortised",
    "feedforward",
    "from_normal",
    "zero_errors",
]


def __dir__() -> list[str]:
    return __all__


Layer: TypeAlias = Callable[[Any], Any]
Scaling: TypeAlias = Literal["standard", "mupc", "ntp"] | str
Mode: TypeAlias = Literal["supervised", "unsupervised"] | str


def feedforward(
    model: Sequence[Layer],
    inputs: AnyArray,
    *,
    skip_model: Sequence[Layer | None] | None = None,
    scaling: Scaling = "standard",
    gamma: Any = None,
) -> list[jax.Array]:
    r"""Return the activities of a feedforward pass.

    .. math:: z_l = a_l f_l(z_{l-1}) + g_l(z_{l-1}), \qquad z_0 = x,

    where the skip :math:`g_l` may be absent. For a first layer with `D` inputs, width `N` and
    `L` layers, the scales are

    ========== =================== ================================= ====================
    `scaling`  first               hidden                            last
    ========== =================== ================================= ====================
    standard   1                   1                                 1
    mupc       :math:`1/\sqrt{D}`  :math:`1/\sqrt{N}`, with skips     :math:`1/N`
                                   :math:`1/\sqrt{NL}`
    ntp        :math:`1/\sqrt{D}`  as mupc                           :math:`1/\sqrt{N}`
    ========== =================== ================================= ====================

    and the last is divided by `gamma`; a layer without inputs has scale 1. The only layer of a
    model is the first, so that it has the scale of the first, and the last, so that `gamma`
    divides it (JPC leaves `gamma` out there). Here `N` is the
    width of each layer's own input, which in networks of one width is that width. The scales
    are those of F. Innocenti et al., muPC: Scaling Predictive Coding to 100+ Layer Networks,
    2025, arXiv:2505.13124; they are meant for weights of variance 1 without bias. The
    peer's call is ``jpc.init_activities_with_ffwd``.

    Parameters
    ----------
    model
        Layers, at least one.
    inputs
        (batch, ...) input of the first layer.
    skip_model
        For each layer a callable of the layer's own input, or None.
    scaling
        ``"standard"``, ``"mupc"`` or ``"ntp"``.
    gamma
        Positive divisor of the output's scale, or None.

    Returns
    -------
    list of jax.Array
        One per layer, (batch, ...).

    Raises
    ------
    ValueError
        No layers, an unbatched input, a `skip_model` of another length, an unknown
        `scaling`, or a `gamma` that is not positive.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> layers = [lambda x: 2 * x, lambda x: x + 1]
    >>> [z.tolist() for z in feedforward(layers, jnp.ones((1, 2)))]
    [[[2.0, 2.0]], [[3.0, 3.0]]]
    """
    given = _check_batch(model, inputs)
    skips: list[Layer | None] = [None] * len(model) if skip_model is None else list(skip_model)
    if len(skips) != len(model):
        raise ArgumentError("skip_model", f"should have {len(model)} entries, got {len(skips)}")
    if scaling not in ("standard", "mupc", "ntp"):
        raise ArgumentError("scaling", f'should be "standard", "mupc" or "ntp", got {scaling!r}')
    if gamma is not None and not gamma > 0:
        raise ArgumentError("gamma", f"should be positive, got {gamma}")
    # A float, which `filter_jit` takes for static, whichever kind of number came.
    divisor = None if gamma is None else float(gamma)
    return _forward(list(model), given, skips, (scaling, divisor))


def from_normal(
    sizes: Sequence[int],
    batch_size: int,
    *,
    key: jax.Array,
    mode: Mode = "supervised",
    sigma: float | int = 0.05,
    dtype: Any = None,
) -> list[jax.Array]:
    """Return activities drawn from a normal distribution with mean 0.

    The peer's call is ``jpc.init_activities_from_normal``.

    Parameters
    ----------
    sizes
        Widths of the input, the hidden layers and the output.
    batch_size
        Number of samples.
    key
        A key; each layer's is folded from it and the layer's number.
    mode
        ``"supervised"``: one array for each layer but the input; ``"unsupervised"``: for
        the input too, first.
    sigma
        Standard deviation.
    dtype
        Of the activities.

    Raises
    ------
    ValueError
        Fewer than two sizes, sizes or a batch that are not positive, an unknown mode, a
        negative `sigma`.
    """
    if not sigma >= 0:
        raise ArgumentError("sigma", f"should not be negative, got {sigma}")
    shapes = _shapes(sizes, batch_size, mode)
    # Keys go by the number of the layer, so that both modes draw the same for the same layer.
    wanted = _check_dtype(dtype)
    return [
        float(sigma) * jax.random.normal(jax.random.fold_in(key, number), shape, wanted)
        for number, shape in enumerate(shapes, start=len(sizes) - len(shapes))
    ]


def amortised(
    amortiser: Sequence[Layer], generator: Sequence[Layer], inputs: AnyArray
) -> list[jax.Array]:
    """Return the activities of an amortising network, in the order of the generator's layers.

    The amortiser runs from the generator's output towards its input, so its activities are
    reversed. The last entry is the generator's prediction from the one before; it is a
    dummy, which lets an observer look at the prediction. The peer's call is
    ``jpc.init_activities_with_amort``.

    Parameters
    ----------
    amortiser, generator
        Layers, at least one each.
    inputs
        (batch, ...) input of the amortiser.

    Raises
    ------
    ValueError
        No layers, or an unbatched input.
    """
    if not generator:
        raise ArgumentError("generator", "should have at least one layer, got none")
    given = _check_batch(amortiser, inputs)
    return _run_amortiser(list(amortiser), generator[-1], given)


def zero_errors(
    sizes: Sequence[int], batch_size: int, *, mode: Mode = "supervised", dtype: Any = None
) -> list[jax.Array]:
    """Return errors of 0 for error-based predictive coding, shaped as `from_normal`'s activities.

    The peer's call is ``jpc.init_epc_errors``, whose unsupervised mode raises.

    Raises
    ------
    ValueError
        As `from_normal`.
    """
    return [jnp.zeros(shape, _check_dtype(dtype)) for shape in _shapes(sizes, batch_size, mode)]


@eqx.filter_jit
def _forward(
    model: list[Layer],
    inputs: jax.Array,
    skips: list[Layer | None],
    options: tuple[str, float | None],
) -> list[jax.Array]:
    scaling, gamma = options
    skipping = any(skip is not None for skip in skips)
    states = [inputs]
    for i, (layer, skip) in enumerate(zip(model, skips, strict=True)):
        last = i == len(model) - 1
        scale = _scale(states[-1].shape[-1], i, (len(model), skipping, scaling))
        # Layers take one sample, and `states` are of a batch.
        out = jax.vmap(layer)(states[-1])
        out = out * (scale / gamma if last and gamma is not None else scale)
        if skip is not None:
            out = out + jax.vmap(skip)(states[-1])
        states.append(out)
    # Without the inputs, which are no activity.
    return states[1:]


def _scale(width: int, index: int, options: tuple[int, bool, str]) -> float:
    depth, skipping, scaling = options
    # With weights of variance 1 a sum over `width` inputs has `width` times their variance, which
    # the root takes away; `depth` layers that each add to a skip add up to `depth` times that.
    # muPC's last layer takes the width itself, so that features are learnt at any width.
    if scaling == "standard" or width == 0:
        return 1.0
    if index == 0:
        return width**-0.5
    if index == depth - 1:
        return 1 / width if scaling == "mupc" else width**-0.5
    return (width * depth) ** -0.5 if skipping else width**-0.5


@eqx.filter_jit
def _run_amortiser(amortiser: list[Layer], last: Layer, inputs: jax.Array) -> list[jax.Array]:
    states: list[jax.Array] = functools.reduce(
        lambda done, layer: [*done, jax.vmap(layer)(done[-1])], amortiser, [inputs]
    )
    # From the last to the first, without the inputs at 0.
    reversed_states = states[:0:-1]
    return [*reversed_states, jax.vmap(last)(reversed_states[-1])]


def _check_batch(model: Sequence[Layer], inputs: AnyArray) -> jax.Array:
    given = jnp.asarray(inputs)
    if not model:
        raise ArgumentError("model", "should have at least one layer, got none")
    if given.ndim < 2:
        raise ArgumentError("inputs", f"should be (batch, ...), got shape {given.shape}")
    return given


def _shapes(sizes: Sequence[int], batch_size: int, mode: Mode) -> list[tuple[int, int]]:
    if mode not in ("supervised", "unsupervised"):
        raise ArgumentError("mode", f'should be "supervised" or "unsupervised", got {mode!r}')
    if len(sizes) < 2 or min(sizes) < 1 or batch_size < 1:
        raise ArgumentError(
            "sizes",
            "should be two or more positive widths and `batch_size` positive, got "
            f"{list(sizes)} and {batch_size}",
        )
    return [(batch_size, size) for size in (sizes if mode == "unsupervised" else sizes[1:])]


def _check_dtype(dtype: Any) -> Any:
    wanted = jnp.dtype(jax.dtypes.canonicalize_dtype(float) if dtype is None else dtype)
    if jax.dtypes.canonicalize_dtype(wanted) != wanted:
        raise ArgumentError(
            "dtype", f"{wanted} needs JAX's x64 mode", "ask for 32 bits or switch it on"
        )
    return wanted
