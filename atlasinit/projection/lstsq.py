"""Least squares: the parcel values that explain the data best, by one small factorisation.

Of the parcels' Gram matrix G = W W', scaled to a diagonal of 1. The solution
(G + ridge diag G)^-1 W x is what nilearn's maps maskers compute with ridge 0.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from atlasinit.core.maps import Maps
from atlasinit.errors import listing, warn
from atlasinit.projection.stack import Stack

_SINGULAR = 1e-7
_POOR = 1e-4


def solver(
    maps: Sequence[Maps], names: Sequence[str], *, ridge: float
) -> Float[np.ndarray, "parcels parcels"]:
    """Return (G + ridge diag G)^-1 of concrete maps, float64; 0 for parcels without weight.

    Raises
    ------
    ValueError
        Parcels whose weights are not finite, or that depend linearly on each other; the
        message names them.
    """
    from scipy.linalg import block_diag
    from scipy.sparse.csgraph import connected_components

    gram = np.asarray(block_diag(*(_gram(m) for m in maps)))
    _check_finite(gram, names)
    size = np.sqrt(np.diag(gram))
    kept = np.flatnonzero(size > 0)
    scaled = gram[np.ix_(kept, kept)] / np.outer(size[kept], size[kept])
    scaled[np.diag_indices(len(kept))] += ridge
    values, vectors = np.linalg.eigh(scaled)
    condition = values[0] / values[-1] if len(kept) else 1.0
    if condition < _SINGULAR:
        involved = np.flatnonzero(np.abs(vectors[:, 0]) > 0.1 * np.abs(vectors[:, 0]).max())
        raise ValueError(
            f"least squares: {listing(names[kept[i]] for i in involved)} depend linearly "
            "on each other; drop one of them, or pass a `ridge` such as 1e-3."
        )
    if condition < _POOR:
        warn(
            f"least squares is poorly conditioned ({1 / condition:.0f}): some parcels overlap "
            "nearly completely; consider a `ridge`."
        )
    inverse = np.zeros_like(gram)
    inverse[np.ix_(kept, kept)] = (vectors / values) @ vectors.T / np.outer(size[kept], size[kept])
    # Exactly 0 between parcels that no overlaps join, so that NaN stays among those that do.
    _, group = connected_components(gram != 0, directed=False)
    inverse[group[:, None] != group] = 0
    return inverse


def traced_solver(stack: Stack, *, ridge: Float[Array, ""]) -> Float[Array, "parcels parcels"]:
    """Return what `solver` does for weights that are being trained; singular weights give NaN.

    In the dtype of `ridge`.
    """
    dense = [k.dense().astype(ridge.dtype) for k in stack.kernels]
    grams = [
        k.product(w.T[None])[0] if w.shape[0] else w
        for k, w in zip(stack.kernels, dense, strict=True)
    ]
    gram = jax.scipy.linalg.block_diag(*grams)
    power = jnp.diagonal(gram)
    empty = power == 0
    scale = jnp.where(empty, 0, 1 / jnp.sqrt(jnp.where(empty, 1, power)))
    scaled = gram * scale[:, None] * scale[None, :]
    scaled = scaled + jnp.diag(jnp.where(empty, 1, ridge))
    factor = jax.scipy.linalg.cho_factor(scaled)
    inverse = jax.scipy.linalg.cho_solve(factor, jnp.eye(len(power), dtype=gram.dtype))
    return inverse * scale[:, None] * scale[None, :]


def _check_finite(gram: Float[np.ndarray, "parcels parcels"], names: Sequence[str]) -> None:
    # A product of two parcels is finite where the squares of both are.
    bad = np.flatnonzero(~np.isfinite(np.diag(gram))).tolist()
    if bad:
        raise ValueError(
            f"least squares: weights of {listing(names[i] for i in bad)} are NaN or infinite "
            "(or too large to square); mend them, or leave out those parcels by `atlas.select`."
        )


def _gram(maps: Maps) -> Float[np.ndarray, "parcels parcels"]:
    matrix = maps.to_scipy().astype(np.float64)
    return (matrix @ matrix.T).toarray()
