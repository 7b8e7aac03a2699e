"""The jitted functions of the projection, one for each thing that is computed.

Data has any number of leading axes, or is one map (locations,); what comes back has the
same axes.
"""

import functools
import itertools
import math
from collections.abc import Callable
from typing import Any, TypeAlias, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from atlasinit.projection.averages import average_sums
from atlasinit.projection.checks import nan_error
from atlasinit.projection.labelled import count_seen
from atlasinit.projection.lstsq import Solver, make_traced_solver
from atlasinit.projection.reductions import Reduction
from atlasinit.projection.stack import Stack
from atlasinit.support.precision import accumulator_dtype
from atlasinit.support.sharding import keep_sharding
from atlasinit.support.typing import AnyArray

Scalar: TypeAlias = Float[Array, ""]
_A = TypeVar("_A", Array, np.ndarray)


@functools.partial(
    jax.jit, static_argnames=("reduction", "omit", "divided", "exact", "shape", "dtype")
)
def finish(
    values: Float[AnyArray, "batch parcels time"],
    weights: Float[AnyArray, "#batch parcels #time"],
    totals: Float[AnyArray, "1 parcels 1"],
    empty: Scalar,
    min_coverage: Scalar,
    *,
    reduction: Reduction,
    omit: bool,
    divided: bool,
    exact: bool,
    shape: tuple[int, ...],
    dtype: Any,
) -> Float[Array, "..."]:
    """Return a reduction of what the host computed: sums, means or the values of each parcel.

    `weights` are those observed, `totals` all; `exact` is whether they are numbers of locations.
    `divided` is whether values are undefined where there is no weight.
    """
    out, weights, totals = jnp.asarray(values), jnp.asarray(weights), jnp.asarray(totals)
    defined = weights != 0 if divided else jnp.ones((1, 1, 1), bool)
    out = jnp.where(defined, out, 0)
    if reduction.over_time is not None:
        out, defined = reduction.over_time(out, defined)
    if omit:
        defined = defined & _reaches(share(weights, totals), min_coverage, exact=exact)
    return jnp.where(defined, out, empty.astype(out.dtype)).astype(dtype).reshape(shape)


@functools.partial(jax.jit, static_argnames=("reduction", "missing", "shards", "pieces"))
def reduce_data(
    stack: Stack,
    data: Float[AnyArray, "..."],
    solver: Solver | None,
    ridge: Scalar,
    empty: Scalar,
    min_coverage: Scalar,
    *,
    reduction: Reduction,
    missing: str,
    shards: tuple[int, ...] = (),
    pieces: int = 1,
) -> Float[Array, "..."]:
    """Return a reduction of data split over devices: leading axes into `shards`, rows `pieces`."""

    def compute(stack: Stack, data: Array, solver: Solver | None) -> Array:
        stack = _hide_weights(stack)
        limits = (empty, min_coverage)
        if reduction.solve and solver is None:
            solver = make_traced_solver(stack, ridge=ridge.astype(accumulator_dtype(data.dtype)))
        # The locations of other devices are added up there.
        if pieces > 1 and reduction.linear:
            stack = stack.split_locations(pieces)
            solver = None if solver is None else solver.split_locations(pieces)

        def reduce(data: Array) -> Array:
            return _reduce(stack, data, solver, *limits, reduction=reduction, missing=missing)

        return map_leading(reduce, data, shards)

    return keep_sharding(compute, data, stack, solver)(stack, data, solver)


def _reduce(
    stack: Stack,
    data: Float[Array, "batch locations time"],
    solver: Solver | None,
    empty: Scalar,
    min_coverage: Scalar,
    *,
    reduction: Reduction,
    missing: str,
) -> Float[Array, "batch parcels time"]:
    given = data.dtype
    data, seen = jnp.asarray(data, accumulator_dtype(given)), None
    # A function that is traced cannot raise on values: Equinox raises when it runs.
    if missing == "error":
        data = jnp.asarray(eqx.error_if(data, jnp.isnan(data).any(), str(nan_error())))
    elif missing == "omit":
        seen = ~jnp.isnan(data)
        data = jnp.where(seen, data, 0)
    if solver is not None:
        out, defined = solver.solve_data(stack, data), solver.defined()
    elif reduction.linear:
        out, defined = _average(
            *stack.product_in_two(data), _weights(stack, data, seen, reduction), reduction
        )
    else:
        out, defined = _reduce_labels(stack, data, seen, reduction)
    if seen is not None:
        observed = _share_seen(stack, seen.astype(data.dtype))
        defined = defined & _reaches(observed, min_coverage, exact=stack.exact)
    return jnp.where(defined, out, empty.astype(out.dtype)).astype(given)


@functools.partial(jax.jit, static_argnames=("shards", "pieces"))
def measure_coverage(
    stack: Stack, data: Float[AnyArray, "..."], *, shards: tuple[int, ...] = (), pieces: int = 1
) -> Float[Array, "..."]:
    """Return the share of each parcel's absolute weight where data is not NaN."""

    def compute(stack: Stack, data: Array) -> Array:
        seen = (~jnp.isnan(data)).astype(accumulator_dtype(data.dtype))
        hidden = _hide_weights(stack)
        hidden = hidden.split_locations(pieces) if pieces > 1 else hidden
        return map_leading(lambda x: _share_seen(hidden, x).astype(seen.dtype), seen, shards)

    return keep_sharding(compute, data, stack)(stack, data)


@jax.jit
def solve_sums(solver: Solver, values: Float[AnyArray, "..."]) -> Float[Array, "..."]:
    """Return least squares of sums of data, in the dtype of the sums that are made of them."""
    out, restore = add_batch(jnp.asarray(values, accumulator_dtype(values.dtype)))
    return restore(solver.solve(out))


@functools.partial(jax.jit, static_argnames=("method", "shards"))
def paint(
    stack: Stack,
    values: Float[AnyArray, "..."],
    solver: Solver | None,
    ridge: Scalar,
    *,
    method: str,
    shards: tuple[int, ...] = (),
) -> Float[Array, "..."]:
    """Return one value a location of parcel values, split over devices as those."""

    def compute(stack: Stack, values: Array, solver: Solver | None) -> Array:
        if method == "pseudoinverse" and solver is None:
            dtype = accumulator_dtype(values.dtype)
            solver = make_traced_solver(stack, ridge=ridge.astype(dtype))

        def spread(values: Array) -> Array:
            out = jnp.asarray(values, accumulator_dtype(values.dtype))
            out = out if solver is None else solver.solve(out)
            return stack.transposed(out).astype(values.dtype)

        return map_leading(spread, values, shards)

    return keep_sharding(compute, values, stack, solver)(stack, values, solver)


def _hide_weights(stack: Stack) -> Stack:
    """Return kernels whose weights XLA does not count while it compiles.

    That takes it seconds where an atlas is a constant of the program, which it evaluates.
    """
    positions, weights = eqx.partition(stack, lambda x: jnp.issubdtype(x.dtype, jnp.integer))
    return eqx.combine(jax.lax.optimization_barrier(positions), weights)


def _weights(
    stack: Stack,
    data: Float[Array, "batch locations time"],
    seen: Bool[Array, "batch locations time"] | None,
    reduction: Reduction,
) -> Float[Array, "#batch parcels #time"] | None:
    """Return the sums of each parcel's weights that sums are divided by, of what is seen."""
    if reduction.weights is None:
        return None
    weights = stack.absolute() if reduction.weights == "absolute" else stack
    if seen is None:
        return weights.totals(data.dtype)[None, :, None]
    return weights.product(seen.astype(data.dtype))


def _average(
    sums: Float[Array, "batch parcels time"],
    lacks: Float[Array, "batch parcels time"] | None,
    weights: Float[Array, "#batch parcels #time"] | None,
    reduction: Reduction,
) -> tuple[Float[Array, "batch parcels time"], Bool[Array, "..."]]:
    """Return what a linear reduction makes of sums and what they lack, and where it is defined."""
    if reduction.weights is None or weights is None:
        whole = sums if lacks is None else jnp.where(jnp.isfinite(sums), sums + lacks, sums)
        out, defined = whole, jnp.ones((1, 1, 1), bool)
    else:
        out, defined = average_sums(sums, weights, lacks)
    return (out, defined) if reduction.over_time is None else reduction.over_time(out, defined)


def _reduce_labels(
    stack: Stack,
    data: Float[Array, "batch locations time"],
    seen: Bool[Array, "batch locations time"] | None,
    reduction: Reduction,
) -> tuple[Float[Array, "batch parcels time"], Bool[Array, "batch parcels time"]]:
    """Return a reduction of each parcel's locations, and where it is defined."""
    assert reduction.xla is not None
    # Labels of all compartments are one kernel, as `Reduction.kernel` asks for.
    (kernel,) = stack.kernels
    labels: Any = kernel
    counts = count_seen(labels, data, seen)
    out = reduction.xla(labels, data, seen, counts)
    defined = jnp.broadcast_to(counts > 0, out.shape)
    return jnp.where(defined, out, 0), defined


def _share_seen(
    stack: Stack, seen: Float[Array, "batch locations time"]
) -> Float[Array, "batch parcels time"]:
    """Return the share of each parcel's absolute weight at the locations seen."""
    absolute = stack.absolute()
    return share(absolute.product(seen), absolute.totals(seen.dtype)[None, :, None])


def share(
    weights: Float[Array, "#batch parcels #time"], totals: Float[AnyArray, "1 parcels 1"]
) -> Float[Array, "#batch parcels #time"]:
    """Return which share `weights` are of `totals`, 0 for a parcel without weight."""
    # The part may exceed the whole by rounding.
    return jnp.minimum(weights / jnp.where(totals > 0, totals, 1), 1)


def _reaches(
    shares: Float[Array, "#batch parcels #time"], least: Scalar, *, exact: bool
) -> Bool[Array, "#batch parcels #time"]:
    """Return which shares are at least `least`, but for rounding: of long sums if not `exact`."""
    # In units in the last place. Counts of locations are exact, and only their quotient is rounded;
    # sums of weights are rounded at each addition, which those seen and all differ in.
    rounding = (16 if exact else 512) * jnp.finfo(shares.dtype).eps
    return shares >= least.astype(shares.dtype) * (1 - rounding)


def map_leading(
    function: Callable[[Float[Array, "batch n time"]], Float[Array, "batch m time"]],
    values: Float[Array, "..."],
    shards: tuple[int, ...],
) -> Float[Array, "..."]:
    """Return `function` of data with any leading axes, which are split over devices into `shards`.

    What lies on other devices is never in one batch, which would be worked on in turn, and so be
    gathered on every device: shards are axes of `jax.vmap`, of which each device has its own.
    """
    if all(count == 1 for count in shards):
        stacked, restore = add_batch(values)
        return restore(function(stacked))
    *leading, rows, time = values.shape
    # Axes (shards, own) for each leading one; then those of shards first, and one batch of all own.
    parts = [(count, n // count) for count, n in zip(shards, leading, strict=True)]
    own = [n for _, n in parts]
    pairs = range(0, 2 * len(parts), 2)
    order = (*pairs, *(i + 1 for i in pairs), 2 * len(parts), 2 * len(parts) + 1)
    split = values.reshape(*itertools.chain(*parts), rows, time).transpose(order)
    for _ in shards:
        function = jax.vmap(function)
    out = function(split.reshape(*shards, math.prod(own), rows, time))
    out = out.reshape(*shards, *own, *out.shape[-2:]).transpose(np.argsort(order).tolist())
    return out.reshape(*leading, *out.shape[-2:])


def add_batch(values: _A) -> tuple[_A, Callable[[Any], Any]]:
    """Return values with one batch axis in front, and the function that restores the axes.

    Of NumPy's arrays these are views, and under jit this costs nothing; each would copy
    one of JAX's outside.
    """
    if values.ndim == 1:
        return values[None, :, None], lambda out: out[0, :, 0]
    leading = values.shape[:-2]
    stacked = values.reshape(math.prod(leading), *values.shape[-2:])
    return stacked, lambda out: out.reshape(*leading, *out.shape[1:])
