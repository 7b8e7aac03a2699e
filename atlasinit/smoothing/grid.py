"""Separable Gaussian kernels between the kept voxels of a grid."""

import math
from typing import TYPE_CHECKING, Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int32

from atlasinit.core.geometry import VolumeGrid
from atlasinit.errors import ArgumentError
from atlasinit.smoothing.checks import warn_alone
from atlasinit.smoothing.types import Stored, Width
from atlasinit.support.threads import run_in_threads
from atlasinit.support.typing import AnyArray

if TYPE_CHECKING:
    from scipy.sparse import csr_array

_BATCH_VOXELS = 2**25  # voxels smoothed at once on the device: 128 MiB in float32


class GridKernel(eqx.Module):
    r"""The product of three sampled Gaussians, one per axis, each summing to 1.

    Parameters
    ----------
    number
        The box around the kept voxels: the location of each voxel, and the number of
        locations where none is kept.
    position
        Where each location lies in the flattened box.
    steps
        Voxel sizes in mm.
    taps
        Voxels on either side of the centre, along each axis.
    """

    number: Int32[AnyArray, "x y z"]
    position: Int32[AnyArray, " locations"]
    steps: tuple[float, float, float] = eqx.field(static=True)
    taps: tuple[int, int, int] = eqx.field(static=True)

    @property
    def n_locations(self) -> int:
        """Number of locations."""
        return self.position.shape[0]

    def store(self, sigma: float) -> Stored:
        """Return the matrices of the three axes."""
        return tuple(np.ascontiguousarray(m, np.float32) for m in self._axes(sigma, np))

    def apply(
        self, data: Float[Array, "locations k"], sigma: Width, stored: Stored | None
    ) -> Float[Array, "locations k"]:
        """Return ``K @ data``."""
        # K = X (x) Y (x) Z, a matrix per axis, each symmetric: K v is three small products.
        axes = self._axes(sigma, jnp) if stored is None else stored
        x, y, z = (jnp.asarray(matrix, data.dtype) for matrix in axes)

        def one(column: Array) -> Array:
            # Voxels that are not kept have the number of locations: they take the appended 0.
            volume = jnp.append(column, jnp.zeros((), column.dtype))[self.number]
            highest = jax.lax.Precision.HIGHEST
            volume = jnp.einsum("cz,xyz->xyc", z, volume, precision=highest)
            volume = jnp.einsum("by,xyc->xbc", y, volume, precision=highest)
            volume = jnp.einsum("ax,xbc->abc", x, volume, precision=highest)
            return volume.reshape(-1)[self.position]

        batch = max(1, _BATCH_VOXELS // self.number.size)
        return jax.lax.map(one, data.T, batch_size=min(batch, max(1, data.shape[1]))).T

    def spread(self, matrix: "csr_array", sigma: float, stored: Stored | None) -> "csr_array":
        """Return ``matrix @ K``, each parcel on its own bounding box, in the matrix's dtype."""
        from scipy.sparse import csr_array

        del stored
        axes = [np.asarray(axis, matrix.dtype) for axis in self._axes(sigma, np)]
        number, position = np.asarray(self.number), np.asarray(self.position)
        # -1 where no voxel is kept; `where` are the three indices of each location in the box.
        number = np.where(number < self.n_locations, number, -1)
        where = np.stack(np.unravel_index(position, number.shape)).astype(np.int32)
        ends = matrix.indptr

        def one(start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
            place = where[:, matrix.indices[start:stop]]
            return _spread_one(matrix.data[start:stop], place, axes, (number, self.taps))

        found = run_in_threads(one, zip(ends[:-1].tolist(), ends[1:].tolist(), strict=True))
        values, locations = ([np.zeros(0, t)] for t in (matrix.dtype, np.int32))
        for value, location in found:
            values.append(value)
            locations.append(location)
        # The lists begin with an empty row, so that the sums, the ends of rows, begin with 0.
        indptr = np.cumsum([len(v) for v in values])
        parts = (np.concatenate(values), np.concatenate(locations), indptr)
        out = csr_array(parts, shape=(len(values) - 1, self.n_locations))
        # Each row comes in the order of the box, which is that of locations stored in C order.
        if not (np.diff(position) > 0).all():
            out.sort_indices()
        return out

    def _axes(self, sigma: Width, xp: Any) -> list:
        return [
            _axis(n, step, taps, sigma, xp)
            for n, step, taps in zip(self.number.shape, self.steps, self.taps, strict=True)
        ]


def _spread_one(
    values: np.ndarray,
    where: np.ndarray,
    axes: list[np.ndarray],
    space: tuple[np.ndarray, tuple[int, int, int]],
) -> tuple[np.ndarray, np.ndarray]:
    """Return the values and locations of one smoothed parcel, given at voxels `where`."""
    number, taps = space
    if not len(values):
        return values, np.zeros(0, np.int32)
    low, high = where.min(axis=1), where.max(axis=1) + 1
    box = np.zeros(high - low, values.dtype)
    box[tuple(where - low[:, None])] = values
    # A parcel reaches beyond its bounding box by the taps, within the grid.
    around = tuple(
        slice(max(a - t, 0), min(b + t, n))
        for a, b, t, n in zip(low, high, taps, number.shape, strict=True)
    )
    x, y, z = (matrix[out, a:b] for matrix, out, a, b in zip(axes, around, low, high, strict=True))
    box = y @ (box @ z.T)
    out = np.empty((len(x), *box.shape[1:]), box.dtype)
    # Plane by plane, as the other two axes: one large product would start BLAS's own threads.
    np.matmul(x, box.transpose(1, 0, 2), out=out.transpose(1, 0, 2))
    numbers = number[around]
    kept = np.flatnonzero((numbers >= 0) & (out != 0))
    return out.reshape(-1)[kept], numbers.reshape(-1)[kept]


def grid_kernel(grid: VolumeGrid, *, reach: float) -> GridKernel:
    """Return the kernel of a grid, cut along each axis at `reach` rounded to whole voxels."""
    # Unit vectors along the axes: their products are the cosines of the angles between them.
    directions = grid.affine[:3, :3] / grid.voxel_sizes
    skew = np.abs(directions.T @ directions - np.eye(3)).max()
    if skew > 1e-3:
        raise ArgumentError(
            "geometry",
            f": the grid's axes are not perpendicular (cosine {skew:.4f}), so that a Gaussian in "
            "mm is not separable along them",
            "resample to a grid without shear first",
        )
    steps = tuple(float(size) for size in grid.voxel_sizes)
    ijk = grid.ijk
    # `initial` is for a grid without a location, whose box is empty.
    low = ijk.min(axis=0, initial=2**30)
    shape = np.maximum(ijk.max(axis=0, initial=-1) + 1 - low, 0)
    taps = tuple(math.floor(reach / size + 0.5) for size in steps)
    if max(taps) == 0:
        warn_alone(reach)
    # Beyond the box there is nothing to reach; the widest of kernels is flat.
    taps = tuple(min(tap, int(size)) for tap, size in zip(taps, shape, strict=True))
    number = np.full(shape, grid.n_locations, np.int32)
    position = np.ravel_multi_index(tuple((ijk - low).T), tuple(shape)) if len(ijk) else ijk[:, 0]
    number.reshape(-1)[position] = np.arange(grid.n_locations, dtype=np.int32)
    return GridKernel(number, position.astype(np.int32), steps, taps)  # pyright: ignore


def _axis(size: int, step: float, taps: int, sigma: Width, xp: Any) -> Any:
    """Return the (size, size) matrix of a truncated Gaussian whose taps sum to 1."""
    # M_ij = g(i - j) / sum_t g(t), where g(t) = exp(-(t s)^2 / 2 sigma^2) for |t| <= taps, else 0,
    # with the step s. The sum has all taps, those that reach beyond the box too.
    offset = np.arange(size)[:, None] - np.arange(size)
    exponent = xp.asarray(-0.5 * (offset * step) ** 2)
    full = xp.asarray(-0.5 * (np.arange(-taps, taps + 1) * step) ** 2)
    inside = np.abs(offset) <= taps
    if xp is jnp:
        exponent, full = exponent.astype(sigma.dtype), full.astype(sigma.dtype)  # pyright: ignore
    return xp.where(inside, xp.exp(exponent / sigma**2), 0) / xp.exp(full / sigma**2).sum()
