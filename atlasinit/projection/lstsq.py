"""Least squares: the parcel values that explain the data best, by one small factorisation.

Of the Gram matrix G = W W' of each compartment, scaled to a diagonal of 1. The solution
(G + ridge diag G)^-1 W x is what nilearn's maps maskers compute with ridge 0.

The factorisation is in double precision, and the host adds up W x and solves in double
precision where the condition asks for it. A jitted function in single precision corrects its
solution once by its residual then (the corrected seminormal equations of Björck, Linear
Algebra Appl. 88-89, 1987), which is about as exact as a QR factorisation there.
"""

from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from atlasinit.core.maps import Maps
from atlasinit.errors import ArgumentError, format_list, warn
from atlasinit.projection.kernels.dense import DenseKernel
from atlasinit.projection.stack import Stack
from atlasinit.support.typing import AnyArray

_SINGULAR = 1e-7
_POOR = 1e-4
_ZERO = 1e-12
# Single precision loses about 1e-8 of a solution a unit of the Gram matrix's condition.
_EXACT = 1e-2


class Solver(eqx.Module):
    """How a system of overlapping parcels is solved.

    Parameters
    ----------
    root
        (parcels, parcels) R with R' R = (G + ridge diag G)^-1, or the pseudoinverse of G where
        parcels outnumber locations; 0 for parcels without weight.
    penalty
        (parcels,) ridge diag G.
    corrects
        Whether single precision needs a correction by the residual.
    """

    root: Float[AnyArray, "parcels parcels"]
    penalty: Float[AnyArray, " parcels"]
    corrects: bool = eqx.field(static=True)

    def defined(self) -> Array:
        """Return which parcels have any weight."""
        return (jnp.asarray(self.root) != 0).any(axis=0)[None, :, None]

    def solve(self, sums: Float[Array, "batch parcels time"]) -> Float[Array, "batch parcels time"]:
        """Return (G + ridge diag G)^-1 of sums; NaN stays among the parcels that overlap."""
        kernel = DenseKernel(jnp.asarray(self.root))
        return kernel.transposed(kernel.product(sums))

    def solve_data(
        self, stack: Stack, data: Float[Array, "batch locations time"]
    ) -> Float[Array, "batch parcels time"]:
        """Return the least squares of data."""
        out = self.solve(stack.product(data))
        if not self.corrects:
            return out
        residual = stack.product(data - stack.transposed(out))
        penalty = jnp.asarray(self.penalty, out.dtype)[None, :, None]
        return out + self.solve(residual - penalty * out)


def make_solver(maps: Sequence[Maps], names: Sequence[str], *, ridge: float) -> Solver:
    """Return the solver of concrete maps, in float64.

    Raises
    ------
    ValueError
        Parcels whose weights are not finite, or, unless they outnumber the locations, that
        depend linearly on each other; the message names them.
    """
    from scipy.linalg import block_diag

    roots, penalties, conditions, start = [], [], [1.0], 0
    for one in maps:
        own = list(names[start : start + one.n_parcels])
        root, penalty, condition = _factorize(one, own, ridge=ridge)
        roots.append(root)
        penalties.append(penalty)
        conditions.append(condition)
        start += one.n_parcels
    worst = min(conditions)
    if worst < _POOR:
        warn(
            f"least squares is poorly conditioned ({1 / worst:.0f}): some parcels overlap "
            "nearly completely; consider a `ridge`."
        )
    root = np.asarray(block_diag(*roots)) if start else np.zeros((0, 0))
    return Solver(root, np.concatenate(penalties), worst < _EXACT)


def make_traced_solver(stack: Stack, *, ridge: Float[Array, ""]) -> Solver:
    """Return the solver of weights that are being trained; singular weights give NaN.

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
    factor = jnp.linalg.cholesky(scaled)
    identity = jnp.eye(len(power), dtype=gram.dtype)
    root = jax.scipy.linalg.solve_triangular(factor, identity, lower=True)
    return Solver(root * scale[None, :], ridge * power, corrects=True)


def _factorize(
    maps: Maps, names: Sequence[str], *, ridge: float
) -> tuple[Float[np.ndarray, "parcels parcels"], Float[np.ndarray, " parcels"], float]:
    """Return the root and the penalty of one compartment, and its condition, at most 1."""
    from scipy.sparse.csgraph import connected_components

    matrix = maps.to_scipy().astype(np.float64)
    gram = (matrix @ matrix.T).toarray()
    _check_finite(gram, names)
    power = np.diag(gram)
    kept = np.flatnonzero(power > 0)
    root = np.zeros_like(gram)
    if not len(kept):
        return root, np.zeros(len(gram)), 1.0
    reached = np.count_nonzero(abs(matrix).sum(axis=0))
    # Then many values explain the data as well; the smallest are those of the parcels as given.
    smallest = len(kept) > reached and not ridge
    size = np.ones(len(kept)) if smallest else np.sqrt(power[kept])
    scaled = gram[np.ix_(kept, kept)] / np.outer(size, size)
    scaled[np.diag_indices(len(kept))] += ridge
    values, vectors = np.linalg.eigh(scaled)
    if smallest:
        some = values > _ZERO * values[-1]
        values, vectors = values[some], vectors[:, some]
    condition = float(values[0] / values[-1])
    if condition < _SINGULAR and not smallest:
        involved = np.flatnonzero(np.abs(vectors[:, 0]) > 0.1 * np.abs(vectors[:, 0]).max())
        raise ArgumentError(
            "reduction",
            f": by least squares, {format_list(names[kept[i]] for i in involved)} depend linearly "
            "on each other",
            "drop one of them, or pass a `ridge` such as 1e-3",
        )
    root[np.ix_(kept, kept)] = (vectors / np.sqrt(values)) @ vectors.T / size
    # Exactly 0 between parcels that no overlaps join, so that NaN stays among those that do.
    _, group = connected_components(gram != 0, directed=False)
    root[group[:, None] != group] = 0
    return root, ridge * power, condition


def _check_finite(gram: Float[np.ndarray, "parcels parcels"], names: Sequence[str]) -> None:
    # A product of two parcels is finite where the squares of both are.
    bad = np.flatnonzero(~np.isfinite(np.diag(gram))).tolist()
    if bad:
        raise ArgumentError(
            "reduction",
            f": by least squares, weights of {format_list(names[i] for i in bad)} are NaN or "
            "infinite (or too large to square)",
            "mend them, or leave out those parcels by `atlas.select`",
        )
