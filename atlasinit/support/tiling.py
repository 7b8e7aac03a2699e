"""Compact tiles of locations, so that sparse neighbourhoods become small dense blocks."""

import numpy as np
from jaxtyping import Float, Int32

from atlasinit.errors import ArgumentError


def tiles(
    coordinates: Float[np.ndarray, "locations 3"], *, size: int = 64
) -> Int32[np.ndarray, "tiles size"]:
    """Return the locations in compact groups of `size`, by recursive median splits.

    A group of several tiles is split across its widest axis into two halves of
    whole tiles, so that every tile is full but the last.

    Parameters
    ----------
    coordinates
        (locations, 3) finite coordinates.
    size
        Locations a tile.

    Returns
    -------
    (tiles, size) location numbers, each exactly once and ascending within a tile;
    the last tile is padded with -1.

    Raises
    ------
    ValueError
        A `size` below 1, or coordinates that are not finite.

    Examples
    --------
    >>> import numpy as np
    >>> tiles(np.array([[0., 0, 0], [9, 0, 0], [1, 0, 0], [8, 0, 0], [20, 0, 0]]), size=2)
    array([[ 0,  2],
           [ 1,  3],
           [ 4, -1]], dtype=int32)
    """
    if size < 1:
        raise ArgumentError("size", f"should be at least 1, got {size}")
    if not np.isfinite(coordinates).all():
        raise ArgumentError("coordinates", "should be finite", "they hold NaN or infinity")
    n = len(coordinates)
    n_tiles = -(-n // size)
    # An axis a row, so that extremes run along memory. Padding is NaN: fmax and fmin ignore it,
    # and a partition puts it last.
    points = np.full((3, n_tiles * size), np.nan, coordinates.dtype)
    points[:, :n] = coordinates.T
    order = np.arange(n_tiles * size, dtype=np.int32)
    # Groups of one level, by their first tile and number of tiles: one of all to begin with.
    starts, counts = np.array([0]), np.array([n_tiles])
    while counts.max() > 1:
        # Halving keeps all counts of a level within one of each other: two stacks at most.
        for count in np.unique(counts[counts > 1]).tolist():
            rows = starts[counts == count, None] * size + np.arange(count * size)
            order[rows] = _halves(points, order[rows], (count + 1) // 2 * size)
        # The larger half in front: what is short of a whole tile stays in the last of all.
        left = (counts + 1) // 2
        starts = np.stack([starts, starts + left], axis=1)
        counts = np.stack([left, counts - left], axis=1)
        starts, counts = starts[counts > 0], counts[counts > 0]
    out = np.sort(order.reshape(n_tiles, size), axis=1)
    out[out >= n] = -1
    return out


def spheres(
    coordinates: Float[np.ndarray, "locations 3"], groups: Int32[np.ndarray, "tiles size"]
) -> tuple[Float[np.ndarray, "tiles 3"], Float[np.ndarray, " tiles"]]:
    """Return centres and radii of balls that hold the locations of each tile."""
    # Of the bounding box: not the smallest ball, but one found in one pass.
    points = np.where(groups < 0, np.nan, coordinates.T.take(groups, axis=1))
    centres = (np.fmax.reduce(points, axis=2) + np.fmin.reduce(points, axis=2)) / 2
    distances = np.linalg.norm(points - centres[:, :, None], axis=0)
    return centres.T, np.fmax.reduce(distances, axis=1)


def _halves(points: np.ndarray, groups: np.ndarray, half: int) -> np.ndarray:
    """Return each row of `groups` with its `half` lowest along its widest axis in front."""
    inside = points.take(groups, axis=1)
    widest = (np.fmax.reduce(inside, axis=2) - np.fmin.reduce(inside, axis=2)).argmax(axis=0)
    values = inside[widest, np.arange(len(groups))]
    return np.take_along_axis(groups, values.argpartition(half - 1, axis=1), axis=1)
