"""Averages of sums in JAX: weighted means, and what becomes of their series over time."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from atlasinit.projection.kernels.base import Values


def average_sums(
    sums: Values, totals: Float[Array, "#batch parcels #time"], lacks: Values | None = None
) -> tuple[Values, Bool[Array, "#batch parcels #time"]]:
    """Return W x divided by the sums of the weights, 0 where those are 0, and where it is not.

    With what sums lack, the quotient is rounded once: their own rounding is no part of it.
    """
    defined = totals != 0
    by = jnp.where(defined, totals, 1)
    out = sums / by
    if lacks is not None:
        # Sums and what they lack are the exact sum. What remains of it less the quotient times the
        # weights, divided by the weights, is what the quotient lacks.
        rest = (_subtract_product(sums, out, by) + lacks) / by
        # It is 0 but for rounding, whatever the sums are, and so are its derivatives.
        out = out + jax.lax.stop_gradient(jnp.where(jnp.isfinite(rest), rest, 0))
    return jnp.where(defined, out, 0), defined


def _subtract_product(a: Array, b: Array, c: Array) -> Array:
    """Return a - b c of a near b c, exactly (Dekker's product of halves)."""
    # A product of halves has no more digits than the dtype: each is exact, and so, from the largest
    # down, are the differences.
    (b_high, b_low), (c_high, c_low) = _halve(b), _halve(c)
    return (((a - b_high * c_high) - b_high * c_low) - b_low * c_high) - b_low * c_low


def _halve(x: Array) -> tuple[Array, Array]:
    """Return two numbers of half the digits that add up to x."""
    # Veltkamp's split, by 2**s + 1 with half of the digits: s is 12 for the 24 of float32, 27 for
    # the 53 of float64.
    shifted = x * (2 ** ((jnp.finfo(x.dtype).nmant + 2) // 2) + 1)
    high = shifted - (shifted - x)
    return high, x - high


def standardize_series(
    means: Values, defined: Bool[Array, "#batch parcels #time"], *, ddof: int
) -> tuple[Values, Bool[Array, "batch parcels time"]]:
    """Return standard scores of each parcel's series (time - ddof degrees of freedom)."""
    change, centre, defined, count = _center(means, defined)
    variance = (change**2).sum(axis=2, keepdims=True) / jnp.maximum(count - ddof, 1)
    # A constant series scores 0; rounding leaves it a spread of a few units in the last place.
    smallest = (8 * jnp.finfo(means.dtype).eps * centre) ** 2
    # Not `variance > smallest`, which is false of NaN: a series that holds NaN is NaN.
    varies = ~(variance <= smallest)
    return jnp.where(varies, change / jnp.sqrt(jnp.where(varies, variance, 1)), 0), defined


def change_of_series(
    means: Values, defined: Bool[Array, "#batch parcels #time"]
) -> tuple[Values, Bool[Array, "batch parcels time"]]:
    """Return the change of each parcel's series in per cent of the size of its mean over time."""
    change, centre, defined, _ = _center(means, defined)
    baseline = jnp.abs(centre)
    defined = defined & (baseline > 0)
    return jnp.where(defined, 100 * change / jnp.where(baseline > 0, baseline, 1), 0), defined


def _center(
    means: Values, defined: Bool[Array, "#batch parcels #time"]
) -> tuple[
    Values, Float[Array, "batch parcels 1"], Bool[Array, "batch parcels time"], Float[Array, "..."]
]:
    """Return series less their mean over time, that mean, where both are, and of how many."""
    defined = jnp.broadcast_to(defined, means.shape)
    count = defined.sum(axis=2, keepdims=True, dtype=means.dtype)
    # Means that are not defined are 0 here, and add nothing to the sum over time.
    centre = means.sum(axis=2, keepdims=True) / jnp.maximum(count, 1)
    return jnp.where(defined, means - centre, 0), centre, defined, count
