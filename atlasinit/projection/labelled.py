"""Order statistics, spreads and modes of each parcel's locations in JAX, of hard labels.

Each function takes the kernel of the labels, data that is 0 where it is not seen, which are
seen (None for all), and of how many each parcel's value is.
"""

from collections.abc import Callable
from typing import TypeAlias

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from atlasinit.projection.kernels.base import Data, Values
from atlasinit.projection.kernels.scatter import ScatterKernel

Seen: TypeAlias = Bool[Array, "batch locations time"] | None
Counts: TypeAlias = Float[Array, "#batch parcels #time"]


def count_seen(kernel: ScatterKernel, data: Data, seen: Seen) -> Counts:
    """Return the number of locations of each parcel that are seen."""
    # (1, locations, 1) where all are seen: the same numbers for each sample and time.
    present = jnp.ones((1, data.shape[1], 1), bool) if seen is None else seen
    return kernel.product(present.astype(data.dtype))


def smallest(kernel: ScatterKernel, data: Data, seen: Seen, counts: Counts) -> Values:
    """Return each parcel's smallest value."""
    del counts
    filled = data if seen is None else jnp.where(seen, data, jnp.inf)
    return _start(kernel, data, jnp.inf).at[:, kernel.rows()].min(filled, mode="drop")


def largest(kernel: ScatterKernel, data: Data, seen: Seen, counts: Counts) -> Values:
    """Return each parcel's largest value."""
    del counts
    filled = data if seen is None else jnp.where(seen, data, -jnp.inf)
    return _start(kernel, data, -jnp.inf).at[:, kernel.rows()].max(filled, mode="drop")


def variance(kernel: ScatterKernel, data: Data, seen: Seen, counts: Counts) -> Values:
    """Return each parcel's variance, divided by the number of locations."""
    counts = jnp.maximum(counts, 1)

    def deviation(means: Values) -> Data:
        change = data - kernel.transposed(means)
        return change if seen is None else jnp.where(seen, change, 0)

    means = kernel.product(data) / counts
    # A long float32 sum loses digits, which a large parcel far from 0 needs.
    # What the first mean lost is the mean of the deviations from it, which are small numbers.
    means = means + kernel.product(deviation(means)) / counts
    return kernel.product(deviation(means) ** 2) / counts


def deviation(kernel: ScatterKernel, data: Data, seen: Seen, counts: Counts) -> Values:
    """Return each parcel's standard deviation, with derivative 0 where it is 0."""
    out = variance(kernel, data, seen, counts)
    positive = out > 0
    # The derivative of a root is infinite at 0, and 0 times infinity, in the branch that is not
    # taken, would be NaN: so there the root is of 1. NaN is not positive, and stays.
    return jnp.where(positive, jnp.sqrt(jnp.where(positive, out, 1)), out)


def median(kernel: ScatterKernel, data: Data, seen: Seen, counts: Counts) -> Values:
    """Return each parcel's median: the one or two in the middle of its sorted values."""

    def pick(ordered: Array, starts: Array, count: Array, keys: Array) -> Array:
        del keys
        # For an odd number both are the same place; a parcel of none takes some value, not used.
        low = ordered.at[starts + (count - 1) // 2].get(mode="clip")
        high = ordered.at[starts + count // 2].get(mode="clip")
        return (low + high) / 2

    return _of_sorted(pick, kernel, data, seen, counts)


def mode(kernel: ScatterKernel, data: Data, seen: Seen, counts: Counts) -> Values:
    """Return each parcel's most frequent value, of several the smallest; derivatives are 0."""

    def pick(ordered: Array, starts: Array, count: Array, keys: Array) -> Array:
        place = jnp.arange(ordered.shape[0], dtype=jnp.int32)
        # What is not seen is sorted behind a parcel's last value.
        ends = (starts + count).at[keys].get(mode="fill", fill_value=0)
        # (locations,) sorted by parcel and value: equal ones of a parcel are a run. The length of a
        # run up to each place is counted from where it begins, the last beginning so far.
        same = (keys[1:] == keys[:-1]) & (ordered[1:] == ordered[:-1])
        new = jnp.concatenate([jnp.ones(1, bool), ~same])
        first = jax.lax.cummax(jnp.where(new, place, 0))
        length = jnp.where(place < ends, place - first + 1, 0)
        longest = jnp.zeros(starts.shape[0], jnp.int32).at[keys].max(length, mode="drop")
        # The ends of the longest runs; their smallest value is taken.
        wins = (length > 0) & (length == longest.at[keys].get(mode="fill", fill_value=-1))
        values = jnp.where(wins, ordered, jnp.inf)
        return jnp.full(starts.shape[0], jnp.inf, ordered.dtype).at[keys].min(values, mode="drop")

    return _of_sorted(pick, kernel, jax.lax.stop_gradient(data), seen, counts)


def _of_sorted(
    pick: Callable[[Array, Array, Array, Array], Array],
    kernel: ScatterKernel,
    data: Data,
    seen: Seen,
    counts: Counts,
) -> Values:
    """Return what `pick` takes of the values that are sorted within their parcel; NaN of NaN.

    It is given the values at one time, where each parcel's begin, how many they are and the
    parcel of each value. What is not seen is sorted last.
    """
    keys, n_parcels = kernel.rows(), kernel.n_parcels
    members = jnp.zeros(n_parcels, jnp.int32).at[keys].add(1, mode="drop")
    starts = jnp.cumsum(members) - members

    def one(
        x: Float[Array, " locations"], count: Float[Array, " parcels"]
    ) -> Float[Array, " parcels"]:
        # What is not seen is infinite: it is sorted behind all values that are seen and equal to
        # infinite ones. NaN, which is sorted last, is then that of data without `seen`.
        ordered_keys, ordered = jax.lax.sort((keys, x), num_keys=2)
        whole = count.astype(jnp.int32)
        last = ordered.at[starts + whole - 1].get(mode="clip")
        return jnp.where(jnp.isnan(last), jnp.nan, pick(ordered, starts, whole, ordered_keys))

    filled = data if seen is None else jnp.where(seen, data, jnp.inf)
    shape = (data.shape[0], n_parcels, data.shape[2])
    counts = jnp.broadcast_to(counts, shape)
    # One time point after the other: a sort of all at once would repeat the parcels for each.
    return jax.vmap(lambda x, c: jax.lax.map(lambda pair: one(*pair), (x.T, c.T)).T)(filled, counts)


def _start(kernel: ScatterKernel, data: Data, value: float) -> Values:
    return jnp.full((data.shape[0], kernel.n_parcels, data.shape[2]), value, data.dtype)
