r"""The rotated point that is nearest to each place, for many rotations of the same points.

For a rotation :math:`R` the point :math:`j` nearest to the place :math:`x`,
:math:`\arg\min_j |x - R p_j|`, is that nearest to :math:`R^T x` among points that stay: what is
looked up is built once, and serves all rotations.

A table of the directions of a sphere says which point is nearest to the middle of each of its
cells, and a list has the points nearest to each point. Of the point that the table says and its
list the nearest is taken. It is the nearest of all where no point outside of the list can be
nearer, and where single precision tells it from the second; the few other places are looked up
in a k-d tree, in double precision. So every answer is that of the tree.
"""

import dataclasses
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float32, Float64, Int32

from atlasinit.support.threads import run_in_threads

if TYPE_CHECKING:
    from scipy.spatial import KDTree

_NEAR = 8
"""Points of each list: on a triangulated sphere the point itself, the six around it, one more."""
_CELLS = 1.5
"""Cells of the table for each point."""
_FEW = 2**20
"""Queries up to which a k-d tree has answered them before the jitted search is compiled."""
_MARGIN = 4e-6
"""Of distances that single precision may order wrongly, beside a radius of 1. A coordinate that
was rotated is within 3e-7, a point within 6e-7, and the difference of two squares within four
times that times the longer distance."""


@dataclasses.dataclass(frozen=True, eq=False)
class _Tables:
    """What the jitted search reads, on the sphere of radius 1.

    Parameters
    ----------
    first
        Of each cell the point nearest to its middle.
    listed
        Of each point the `_NEAR` nearest, itself being the first.
    coordinates
        Of these points: x, y and z.
    reach
        The distance of each point to the last of its list.
    """

    first: Int32[jax.Array, " cells"]
    listed: Int32[jax.Array, " listed"]
    coordinates: tuple[Float32[jax.Array, " listed"], ...]
    reach: Float32[jax.Array, " points"]


def nearest_rotated(
    points: Float64[np.ndarray, "points 3"],
    places: Float64[np.ndarray, "places 3"],
    rotations: Float64[np.ndarray, "n 3 3"],
) -> Int32[np.ndarray, "n places"]:
    """Return which of the rotated points is nearest to each place, by straight distance.

    Parameters
    ----------
    points
        That are rotated: on a sphere about the origin, but for rounding.
    places
        That stay, on the same sphere.
    rotations
        Matrices R, by which points x become R x.
    """
    from scipy.spatial import KDTree

    out = np.empty((len(rotations), len(places)), np.int32)
    tree = KDTree(points)
    # By R^T of columns, which is the product of rows with R.
    if out.size <= _FEW or len(points) < _NEAR:
        turned = (places @ rotations).reshape(-1, 3)
        out[:] = tree.query(turned, workers=-1)[1].reshape(out.shape)
        return out
    radius = float(np.linalg.norm(points, axis=1).mean())
    tables = _make_tables(points / radius, tree, radius)
    # An axis a row, so that the search goes along memory.
    axes = jnp.asarray((places / radius).T, jnp.float32)

    def find(i: int) -> None:
        found, sure = _search(
            axes,
            jnp.asarray(rotations[i], jnp.float32),
            tables.first,
            tables.listed,
            tables.coordinates,
            tables.reach,
        )
        out[i] = found
        left = np.flatnonzero(~np.asarray(sure))
        if left.size:
            out[i, left] = tree.query(places[left] @ rotations[i])[1]

    run_in_threads(find, [(i,) for i in range(len(rotations))])
    return out


def _make_tables(unit: Float64[np.ndarray, "points 3"], tree: "KDTree", radius: float) -> _Tables:
    side = int(np.ceil(np.sqrt(_CELLS * len(unit))))
    first = tree.query(_middles(side) * radius, workers=-1)[1]
    distances, listed = tree.query(tree.data, _NEAR, workers=-1)
    listed = np.asarray(listed)
    listed[:, 0] = np.arange(len(unit))  # of points that coincide the tree may say another
    near = unit.astype(np.float32)[listed]
    # Everything there is: no point is outside of the list.
    whole = np.inf if len(unit) == _NEAR else 1.0
    return _Tables(
        jnp.asarray(first, jnp.int32),
        jnp.asarray(listed.reshape(-1), jnp.int32),
        tuple(jnp.asarray(near[:, :, axis].reshape(-1)) for axis in range(3)),
        jnp.asarray(distances[:, -1] / radius * whole, jnp.float32),
    )


def _middles(side: int) -> Float64[np.ndarray, "cells 3"]:
    """Return the directions of the middles of the cells of `_cell`, of which `side` are a row."""
    middle = (np.arange(side) + 0.5) * (2 / side) - 1
    u, v = np.meshgrid(middle, middle, indexing="ij")
    z = 1 - np.abs(u) - np.abs(v)
    x, y = _fold(u, v, z, np)
    out = np.stack([x, y, z], axis=-1).reshape(-1, 3)
    return out / np.linalg.norm(out, axis=1, keepdims=True)


def _fold(u, v, z, xp):  # noqa: ANN001, ANN202 (arrays of NumPy or of JAX)
    """Turn the corners of the square, which are the lower half of the octahedron, inside out."""
    signs = [xp.where(a < 0, -1, 1).astype(a.dtype) for a in (u, v)]
    below = z < 0
    return (
        xp.where(below, (1 - xp.abs(v)) * signs[0], u),
        xp.where(below, (1 - xp.abs(u)) * signs[1], v),
    )


def _cell(
    x: Float32[jax.Array, " places"],
    y: Float32[jax.Array, " places"],
    z: Float32[jax.Array, " places"],
    *,
    side: int,
) -> Int32[jax.Array, " places"]:
    """Return the cell of each direction: in the plane of an octahedron that is unfolded."""
    total = jnp.abs(x) + jnp.abs(y) + jnp.abs(z)
    folded = _fold(x / total, y / total, z, jnp)
    row, column = (jnp.clip(((a + 1) * (side / 2)).astype(jnp.int32), 0, side - 1) for a in folded)
    return row * side + column


@jax.jit
def _search(
    axes: Float32[jax.Array, "3 places"],
    rotation: Float32[jax.Array, "3 3"],
    first: Int32[jax.Array, " cells"],
    listed: Int32[jax.Array, " listed"],
    coordinates: tuple[Float32[jax.Array, " listed"], ...],
    reach: Float32[jax.Array, " points"],
) -> tuple[Int32[jax.Array, " places"], Bool[jax.Array, " places"]]:
    """Return the nearest of each list, and whether it is the nearest of all points."""
    # Spelled out, not as a matrix product, whose precision differs from device to device.
    (x, y, z), r = axes, rotation
    turned = [x * r[0, b] + y * r[1, b] + z * r[2, b] for b in range(3)]
    start = first[_cell(*turned, side=round(first.size**0.5))]
    own = best = second = jnp.zeros(())
    which = jnp.zeros(start.shape, jnp.int32)
    for k in range(_NEAR):
        at = start * _NEAR + k
        dx, dy, dz = (c[at] - x for c, x in zip(coordinates, turned, strict=True))
        squared = dx**2 + dy**2 + dz**2
        if k == 0:
            own = best = squared
            second = jnp.full_like(squared, jnp.inf)
            continue
        second = jnp.minimum(second, jnp.maximum(best, squared))
        which = jnp.where(squared < best, k, which)
        best = jnp.minimum(best, squared)
    # A point outside of the list is at least `reach` from the first, and so at least that less
    # `own` from the place.
    inside = jnp.sqrt(best) + jnp.sqrt(own) < reach[start] - _MARGIN
    apart = second - best > _MARGIN * jnp.sqrt(second)
    return listed[start * _NEAR + which], inside & apart
