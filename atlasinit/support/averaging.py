"""Weighted means by a sparse matrix: on the host, jitted, differentiable, with missing data."""

import functools
import math
from typing import TYPE_CHECKING, Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int32

from atlasinit.errors import ArgumentError
from atlasinit.support.arrays import make_read_only
from atlasinit.support.numbers import take_number
from atlasinit.support.sparse import multiply
from atlasinit.support.threads import is_host
from atlasinit.support.typing import AnyArray

if TYPE_CHECKING:
    from scipy.sparse import csr_array

_GATHERED = 2**24
"""Values gathered at once where a product is compiled: 64 MiB in float32."""

_MISSING = ("propagate", "omit")


class SparseMeans(eqx.Module):
    """Weighted means :math:`y = W x`, where each row of :math:`W` sums to 1 or is empty.

    A pytree whose leaves are the arrays: it may be an argument of a jitted function.

    Parameters
    ----------
    values
        (nonzeros,) the weights, row by row.
    indices
        (nonzeros,) the column of each.
    rows
        (nonzeros,) the row of each.
    indptr
        (rows + 1,) where each row begins, and the number of weights.
    n_columns
        Number of columns.
    """

    values: Float[AnyArray, " nonzeros"]
    indices: Int32[AnyArray, " nonzeros"]
    rows: Int32[AnyArray, " nonzeros"]
    indptr: Int32[AnyArray, " ends"]
    n_columns: int = eqx.field(static=True)

    @classmethod
    def from_scipy(cls, matrix: Any) -> "SparseMeans":
        """Return the means of a CSR matrix of SciPy of positive weights, whose rows are scaled."""
        counts = np.diff(matrix.indptr)
        rows = np.repeat(np.arange(len(counts)), counts)
        totals = np.bincount(rows, weights=matrix.data, minlength=len(counts))
        # A row of zeros would be 0 / 0; there is none, as weights are positive.
        parts = (
            (matrix.data / totals[rows]).astype(np.float32),
            matrix.indices.astype(np.int32),
            rows.astype(np.int32),
            matrix.indptr.astype(np.int32),
        )
        values, indices, places, indptr = (make_read_only(part) for part in parts)
        return cls(values, indices, places, indptr, matrix.shape[1])

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns)."""
        return self.indptr.shape[0] - 1, self.n_columns

    @property
    def is_empty(self) -> Bool[Array, " rows"]:
        """Whether a row has no weight."""
        return jnp.diff(jnp.asarray(self.indptr)) == 0

    def average(
        self, data: AnyArray, *, missing: str = "propagate", empty: float = float("nan")
    ) -> Array:
        """Return the means of (..., columns, k) or (columns,) data, (..., rows, k) or (rows,).

        Parameters
        ----------
        data
            Real numbers. The result has their dtype if it is floating, else float32.
        missing
            ``"propagate"``: a NaN makes NaN of every row that weighs it. ``"omit"``: it is left
            out, and the weights of the others are scaled up.
        empty
            The value of rows without weights, and, with ``"omit"``, of those of which all is NaN.

        Raises
        ------
        ValueError
            Another word for `missing`.
        TypeError
            What is no number for `empty`.
        """
        if data.ndim == 1:
            return self.average(data[:, None], missing=missing, empty=empty)[:, 0]
        if not isinstance(empty, jax.Array):
            empty = take_number(empty, "empty", "a number, as NaN or 0")
        if missing not in _MISSING:
            raise ArgumentError("missing", f"should be one of {list(_MISSING)}, got {missing!r}")
        if missing == "propagate":
            out, seen = self.multiply(data), ~self.is_empty[:, None]
        else:
            lost = jnp.isnan(data)
            out = self.multiply(jnp.where(lost, jnp.zeros((), data.dtype), data))
            # The weights of what was seen; 0 where nothing was.
            weights = self.multiply((~lost).astype(out.dtype))
            seen = weights > 0
            out = out / jnp.where(seen, weights, jnp.ones_like(weights))
        seen = jnp.broadcast_to(seen, out.shape)
        return jnp.where(seen, out, jnp.full((), empty, out.dtype))

    def multiply(self, data: AnyArray) -> Array:
        """Return W x of (..., columns, k) or (columns,) data; 0 where a row is empty."""
        if data.ndim == 1:
            return self.multiply(data[:, None])[:, 0]
        parts = (self.values, self.indices, self.indptr)
        # SciPy where nothing is traced and data are on the CPU.
        if data.dtype != np.float32 or not all(is_host(array) for array in (data, *parts)):
            return _compiled(self, jnp.asarray(data), transpose=False)
        # Columns first, and all other axes as columns of one matrix.
        columns = np.moveaxis(np.asarray(data), -2, 0)
        flat = columns.reshape(len(columns), math.prod(columns.shape[1:]))
        values, indices, ends = (np.asarray(part) for part in parts)
        out = multiply(values, indices, ends, flat)
        return jnp.moveaxis(out.reshape(len(out), *columns.shape[1:]), 0, -2)

    def transpose(self, data: AnyArray) -> Array:
        """Return W' y of (..., rows, k) or (rows,) data, (..., columns, k) or (columns,)."""
        if data.ndim == 1:
            return self.transpose(data[:, None])[:, 0]
        return _compiled(self, jnp.asarray(data), transpose=True)

    def to_scipy(self) -> "csr_array":
        """Return the matrix as ``scipy.sparse.csr_array``, float32, (rows, columns)."""
        from scipy.sparse import csr_array

        parts = (np.asarray(self.values), np.asarray(self.indices), np.asarray(self.indptr))
        return csr_array(parts, shape=self.shape).copy()


@functools.partial(jax.jit, static_argnames="transpose")
def _compiled(means: SparseMeans, data: Array, *, transpose: bool) -> Array:
    """Return the product, or the adjoint's, with batch axes and the last one taken together."""
    dtype = jnp.float64 if data.dtype == jnp.float64 else jnp.float32
    columns = jnp.moveaxis(data, -2, 0).astype(dtype)
    flat = columns.reshape(columns.shape[0], math.prod(columns.shape[1:]))
    values = jnp.asarray(means.values, dtype)
    rows, indices = jnp.asarray(means.rows), jnp.asarray(means.indices)
    into, out_of = (indices, rows) if transpose else (rows, indices)
    n_out = means.shape[1 if transpose else 0]

    def one(column: Array) -> Array:
        # Rows ascend, which makes sums of segments that lie in a row.
        sums = jnp.zeros(n_out, dtype)
        return sums.at[into].add(values * column[out_of], indices_are_sorted=not transpose)

    if values.shape[0] and flat.size:
        batch = max(1, _GATHERED // values.shape[0])
        out = jax.lax.map(one, flat.T, batch_size=min(batch, flat.shape[1])).T
    else:  # which `map` cannot divide into batches
        out = jnp.zeros((n_out, flat.shape[1]), dtype)
    result = data.dtype if jnp.issubdtype(data.dtype, jnp.floating) else dtype
    return jnp.moveaxis(out.reshape(n_out, *columns.shape[1:]), 0, -2).astype(result)
