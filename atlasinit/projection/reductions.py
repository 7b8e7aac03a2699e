"""What becomes of a parcel's locations: sums, means, standard scores, order statistics."""

from typing import TypeAlias

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int32

from atlasinit.projection.kernels.products import ScatterKernel
from atlasinit.projection.stack import Stack
from atlasinit.support.typing import AnyArray

LINEAR = ("sum", "mean", "absmean", "zscore", "psc")
HARD_ONLY = ("median", "min", "max", "std", "var")

Data: TypeAlias = Float[Array, "batch locations time"]
Values: TypeAlias = Float[Array, "batch parcels time"]


def linear(
    stack: Stack, data: Data, seen: Bool[Array, "batch locations time"] | None, reduction: str
) -> tuple[Values, Bool[Array, "..."]]:
    """Return a reduction that is linear before it is standardised, and where it is defined.

    `data` should be 0 where `seen`, if given, is false; weights are then those of the
    locations seen.
    """
    out = stack.product(data)
    if reduction == "sum":
        return out, jnp.ones((1, 1, 1), bool)
    weights = stack if reduction == "mean" else stack.absolute()
    if seen is None:
        totals = weights.totals(data.dtype)[None, :, None]
    else:
        totals = weights.product(seen.astype(data.dtype))
    return averaged(out, totals, reduction)


def averaged(
    sums: Values, totals: Float[Array, "#batch parcels #time"], reduction: str
) -> tuple[Values, Bool[Array, "..."]]:
    """Return W x divided by the sums of the weights, standardised, and where it is defined."""
    defined = totals != 0
    out = jnp.where(defined, sums / jnp.where(defined, totals, 1), 0)
    if reduction in ("zscore", "psc"):
        return _over_time(out, defined, reduction)
    return out, defined


def _over_time(
    means: Values, defined: Bool[Array, "#batch parcels #time"], reduction: str
) -> tuple[Values, Bool[Array, "batch parcels time"]]:
    """Return standard scores or per cent of change of each parcel's series, 0 where undefined."""
    defined = jnp.broadcast_to(defined, means.shape)
    count = defined.sum(axis=2, keepdims=True, dtype=means.dtype)
    centre = means.sum(axis=2, keepdims=True) / jnp.maximum(count, 1)
    change = jnp.where(defined, means - centre, 0)
    if reduction == "psc":
        baseline = jnp.abs(centre)
        known = defined & (baseline > 0)
        return jnp.where(known, 100 * change / jnp.where(baseline > 0, baseline, 1), 0), known
    variance = (change**2).sum(axis=2, keepdims=True) / jnp.maximum(count - 1, 1)
    # A constant series scores 0; rounding leaves it a spread of a few units in the last place.
    smallest = (8 * jnp.finfo(means.dtype).eps * centre) ** 2
    varies = ~(variance <= smallest)
    return jnp.where(varies, change / jnp.sqrt(jnp.where(varies, variance, 1)), 0), defined


def by_label(
    stack: Stack, data: Data, seen: Bool[Array, "batch locations time"] | None, reduction: str
) -> tuple[Values, Bool[Array, "batch parcels time"]]:
    """Return a reduction of hard maps over each parcel's locations, and where it is defined."""
    (kernel,) = stack.kernels
    assert isinstance(kernel, ScatterKernel)
    present = jnp.ones((1, data.shape[1], 1), bool) if seen is None else seen
    counts = kernel.product(present.astype(data.dtype))
    defined = jnp.broadcast_to(counts > 0, (data.shape[0], kernel.n_parcels, data.shape[2]))
    if reduction in ("std", "var"):
        out = _variance(kernel, data, seen, jnp.maximum(counts, 1))
        if reduction == "std":
            positive = out > 0
            out = jnp.where(positive, jnp.sqrt(jnp.where(positive, out, 1)), out)
    elif reduction == "median":
        out = jax.vmap(lambda x, c: _median(kernel.labels, kernel.n_parcels, x, c))(
            data if seen is None else jnp.where(seen, data, jnp.inf),
            jnp.broadcast_to(counts, (data.shape[0], *counts.shape[1:])),
        )
    else:
        worst = -jnp.inf if reduction == "max" else jnp.inf
        filled = data if seen is None else jnp.where(seen, data, worst)
        rows = jnp.where(kernel.labels < 0, kernel.n_parcels, kernel.labels)
        out = jnp.full((data.shape[0], kernel.n_parcels, data.shape[2]), worst, data.dtype)
        at = out.at[:, rows]
        out = (at.max if reduction == "max" else at.min)(filled, mode="drop")
    return jnp.where(defined, out, 0), defined


def _variance(
    kernel: ScatterKernel,
    data: Data,
    seen: Bool[Array, "batch locations time"] | None,
    counts: Float[Array, "#batch parcels #time"],
) -> Values:
    def deviation(means: Values) -> Data:
        change = data - kernel.transposed(means)
        return change if seen is None else jnp.where(seen, change, 0)

    means = kernel.product(data) / counts
    # A long float32 sum loses digits, which a large parcel far from 0 needs.
    means = means + kernel.product(deviation(means)) / counts
    return kernel.product(deviation(means) ** 2) / counts


def _median(
    labels: Int32[AnyArray, " locations"],
    n_parcels: int,
    data: Float[Array, "locations time"],
    counts: Float[Array, "parcels #time"],
) -> Float[Array, "parcels time"]:
    """Return medians: values sorted within their parcel, then the one or two in the middle."""
    keys = jnp.where(labels < 0, n_parcels, labels)
    members = jnp.zeros(n_parcels, jnp.int32).at[keys].add(1, mode="drop")
    starts = jnp.cumsum(members) - members

    def one(x: Float[Array, " locations"], count: Float[Array, " parcels"]) -> Array:
        _, ordered = jax.lax.sort((keys, x), num_keys=2)
        count = count.astype(jnp.int32)
        low = ordered.at[starts + (count - 1) // 2].get(mode="clip")
        high = ordered.at[starts + count // 2].get(mode="clip")
        return jnp.where(
            jnp.isnan(ordered.at[starts + count - 1].get(mode="clip")), jnp.nan, (low + high) / 2
        )

    counts = jnp.broadcast_to(counts, (n_parcels, data.shape[1]))
    return jax.lax.map(lambda pair: one(*pair), (data.T, counts.T)).T
