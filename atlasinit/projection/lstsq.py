"""Least squares: the parcel values that explain the data best, by one small factorisation.

Of the Gram matrix G = W W' of each compartment, scaled to a diagonal of 1. The solution
(G + ridge diag G)^-1 W x is what nilearn's maps maskers compute with ridge 0.

The factorisation is in double precision, and the host adds up W x and solves in double
precision where the condition asks for it. A jitted function in single precision multiplies the
data by rows that are orthonormal, as a QR factorisation has them, and corrects its solution once
by its residual then (Björck, Linear Algebra Appl. 88-89, 1987).
"""

import dataclasses
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
from atlasinit.support.decompositions import factor_cholesky, product, solve_lower
from atlasinit.support.typing import AnyArray

# Of the smallest eigenvalue of a Gram matrix, divided by the largest. Below the first, parcels
# depend on each other but for the rounding of float32 weights (6e-8); below the second, users are
# warned; below the third, an eigenvalue counts as rounding in double precision, and is left out.
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
    basis
        R W, whose rows are orthonormal without ridge: by it the data are rounded once a
        condition, and not once a squared one, as by W x. None where it would not matter.
    """

    root: Float[AnyArray, "parcels parcels"]
    penalty: Float[AnyArray, " parcels"]
    corrects: bool = eqx.field(static=True)
    basis: Stack | None = None

    def defined(self) -> Array:
        """Return which parcels have any weight."""
        return (jnp.asarray(self.root) != 0).any(axis=0)[None, :, None]

    def split_locations(self, count: int) -> "Solver":
        """Return the same for data whose locations are in `count` pieces."""
        basis = None if self.basis is None else self.basis.split_locations(count)
        return dataclasses.replace(self, basis=basis)

    def solve(self, sums: Float[Array, "batch parcels time"]) -> Float[Array, "batch parcels time"]:
        """Return (G + ridge diag G)^-1 of sums; NaN stays among the parcels that overlap."""
        kernel = DenseKernel(jnp.asarray(self.root))
        return kernel.transposed(kernel.product(sums))

    def solve_data(
        self, stack: Stack, data: Float[Array, "batch locations time"]
    ) -> Float[Array, "batch parcels time"]:
        """Return the least squares of data."""
        out = self._explain(stack, data)
        if not self.corrects:
            return out
        # One step of refinement, by the residual of the normal equations for the solution y:
        # W x - (G + ridge diag G) y = W (x - W' y) - ridge diag G y.
        residual = data - stack.transposed(out)
        penalty = jnp.asarray(self.penalty, out.dtype)[None, :, None]
        return out + self._explain(stack, residual) - self.solve(penalty * out)

    def _explain(
        self, stack: Stack, data: Float[Array, "batch locations time"]
    ) -> Float[Array, "batch parcels time"]:
        if self.basis is None:
            return self.solve(stack.product(data))
        return DenseKernel(jnp.asarray(self.root)).transposed(self.basis.product(data))


def make_solver(maps: Sequence[Maps], names: Sequence[str], *, ridge: float) -> Solver:
    """Return the solver of concrete maps, in float64.

    Raises
    ------
    ValueError
        Parcels whose weights are not finite, or, unless they outnumber the locations, that
        depend linearly on each other; the message names them.
    """
    from scipy.linalg import block_diag

    # Compartments share no parcels here, so that the Gram matrix has a block for each.
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


def add_basis(solver: Solver, maps: Sequence[Maps]) -> Solver:
    """Return a solver of concrete maps that is as exact in single precision, where it matters."""
    if not solver.corrects:
        return solver
    kernels, shapes, start = [], [], 0
    for one in maps:
        rows = slice(start, start + one.n_parcels)
        weights = one.to_scipy().astype(np.float64)
        # Multiplied in double precision and rounded once, at the end.
        basis = np.asarray(solver.root)[rows, rows] @ weights
        kernels.append(DenseKernel(basis.astype(np.float32)))
        shapes.append((one.n_parcels, one.n_locations))
        start = rows.stop
    return dataclasses.replace(solver, basis=Stack(tuple(kernels), tuple(shapes)))


def make_traced_solver(stack: Stack, *, ridge: Float[Array, ""]) -> Solver:
    """Return the solver of weights that are being trained; singular weights give NaN.

    In the dtype of `ridge`.
    """
    roots, bases, powers = [], [], []
    for weights in stack.blocks():
        root, basis, power = _orthonormalize(weights.astype(ridge.dtype), ridge)
        roots.append(root)
        bases.append(DenseKernel(basis))
        powers.append(power)
    root, power = jax.scipy.linalg.block_diag(*roots), jnp.concatenate(powers)
    return Solver(root, ridge * power, corrects=True, basis=Stack(tuple(bases), stack.shapes))


def _orthonormalize(
    weights: Float[Array, "parcels locations"], ridge: Float[Array, ""]
) -> tuple[
    Float[Array, "parcels parcels"], Float[Array, "parcels locations"], Float[Array, " parcels"]
]:
    """Return the root R, the basis R W and the squares of the rows of W.

    By Cholesky factors of the Gram matrix, again and again, the first of it slightly enlarged
    (shifted CholeskyQR3: Fukaya et al., SIAM J. Sci. Comput. 42, 2020): as exact as Householder's
    QR, of products alone, which have derivatives and run on every device.
    """
    power = (weights**2).sum(axis=1)
    empty = power == 0
    # Rows of length 1, those of parcels without weight 0.
    scale = jnp.where(empty, 0, 1 / jnp.sqrt(jnp.where(empty, 1, power)))
    basis, identity = weights * scale[:, None], jnp.eye(len(power), dtype=weights.dtype)
    # What a ridge adds is as of further locations, one a parcel.
    rest = jnp.diag(jnp.where(empty, 1, jnp.sqrt(ridge)))
    # Rounding can make a nearly singular Gram matrix indefinite, of which there is no Cholesky
    # factor. The first is shifted by more than the rounding of products of rows of length 1, and
    # the two factorisations that follow take back what the shift changed.
    root, shift = identity, 4 * len(power) * jnp.finfo(weights.dtype).eps
    for enlarged in (shift, 0.0, 0.0):
        gram = product(basis, basis.T) + product(rest, rest.T) + enlarged * identity
        factor = factor_cholesky(gram)
        # With the factor L, rows of L^-1 (basis, rest) are orthonormal but for shift and rounding.
        # R is the product of all L^-1 and of the scale, so that R' R = (G + ridge diag G)^-1.
        basis, rest, root = (solve_lower(factor, part) for part in (basis, rest, root))
    return root * scale[None, :], basis, power


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
    # (parcels, parcels); rows and columns of parcels without weight stay 0.
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
        # The eigenvector of the smallest eigenvalue is the combination of parcels that is nearly 0.
        involved = np.flatnonzero(np.abs(vectors[:, 0]) > 0.1 * np.abs(vectors[:, 0]).max())
        raise ArgumentError(
            "reduction",
            f": by least squares, {format_list(names[kept[i]] for i in involved)} depend linearly "
            "on each other",
            "drop one of them, or pass a `ridge` such as 1e-3",
        )
    # With eigenvectors V and eigenvalues v of the scaled matrix: V v^-1/2 V', whose columns are
    # divided by the scale.
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
