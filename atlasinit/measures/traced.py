"""The measures of maps that are traced: the same equations in JAX, of every weight."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from atlasinit.core.maps import Maps, dense_values


def positive_weights(maps: Maps) -> Float[Array, "parcels locations"]:
    """Return all weights, 0 for those that are negative; NaN stays."""
    weights = dense_values(maps)
    return jnp.where(weights < 0, 0, weights)


def entropy_of(
    weights: Float[Array, "parcels locations"],
) -> tuple[Float[Array, " locations"], Float[Array, " locations"]]:
    """Return the entropy in bits at each location, 0 where there is no weight, and the totals."""
    totals = weights.sum(axis=0)
    shares = weights / or_one(totals)[None, :]
    # p log p has an infinite slope at 0, which is taken for 0. NaN is not above 0, and stays.
    logarithms = jnp.log2(jnp.where(shares > 0, shares, 1))
    return -(shares * logarithms).sum(axis=0), totals


def location_entropy(maps: Maps) -> Float[Array, " locations"]:
    """Return what `atlasinit.measures.location_entropy` does."""
    entropies, totals = entropy_of(positive_weights(maps))
    return jnp.where(totals == 0, jnp.nan, jnp.maximum(entropies, 0))


def parcel_entropy(maps: Maps) -> Float[Array, " parcels"]:
    """Return what `atlasinit.measures.parcel_entropy` does."""
    weights = positive_weights(maps)
    return _ratio(_multiply(weights, entropy_of(weights)[0]), weights.sum(axis=1))


def parcel_sizes(maps: Maps, sizes: Float[np.ndarray, " locations"]) -> Float[Array, " parcels"]:
    """Return what `atlasinit.measures.parcel_sizes` does, of the sizes of locations."""
    memberships = _memberships(maps)
    return _multiply(memberships, jnp.asarray(sizes, memberships.dtype))


def centres(maps: Maps, points: Float[np.ndarray, "locations 3"]) -> Float[Array, "parcels 3"]:
    """Return what `atlasinit.measures.centres` does, of the coordinates of locations."""
    weights = positive_weights(maps)
    sums = _multiply(weights, jnp.asarray(points, weights.dtype))
    return _ratio(sums, weights.sum(axis=1)[:, None])


def boundary_width(
    maps: Maps, gradient: Any, elements: np.ndarray, sizes: np.ndarray, constant: float
) -> Float[Array, " parcels"]:
    """Return what `atlasinit.measures.boundary_width` does, of the gradient of a geometry."""
    m = _memberships(maps)
    squares = jnp.zeros((m.shape[0], elements.size), m.dtype)
    for component in gradient:
        matrix = component.tocoo()
        # (parcels, nonzeros): each weight times the slope that it has in an element.
        terms = m[:, matrix.row] * jnp.asarray(matrix.data, m.dtype)[None, :]
        squares = squares + jnp.zeros_like(squares).at[:, matrix.col].add(terms) ** 2
    # The slope of a root is infinite at 0, which is taken for 0; NaN stays.
    flat = squares == 0
    lengths = jnp.where(flat, 0, jnp.sqrt(jnp.where(flat, 1, squares)))
    length = _multiply(lengths, jnp.asarray(elements, m.dtype))
    return constant * _ratio(_multiply(m * (1 - m), jnp.asarray(sizes, m.dtype)), length)


def overlap(maps: Maps) -> Float[Array, "parcels parcels"]:
    """Return what `atlasinit.measures.overlap` does, with every entry stored."""
    weights = dense_values(maps)
    squares = (weights**2).sum(axis=1, keepdims=True)
    scaled = weights / jnp.sqrt(or_one(squares))
    return _multiply(scaled, scaled.T)


def _memberships(maps: Maps) -> Float[Array, "parcels locations"]:
    weights = positive_weights(maps)
    return weights / or_one(weights.max(axis=1, keepdims=True, initial=0))


def or_one(values: Array) -> Array:
    """Return values to divide by, 1 for those that are 0."""
    return jnp.where(values == 0, 1, values)


def _ratio(over: Array, under: Array) -> Array:
    """Return the quotient, NaN where the denominator is 0."""
    return jnp.where(under == 0, jnp.nan, over / or_one(under))


def _multiply(a: Array, b: Array) -> Array:
    return jnp.matmul(a, b, precision=jax.lax.Precision.HIGHEST)
