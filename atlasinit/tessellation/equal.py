"""Compact parcels of equal areas: k-means whose cells are weighted until they are of one size."""

import numpy as np
from jaxtyping import Float64, Int32

_MOVES = 60
"""Steps in which centres move."""
_BALANCES = 40
"""Steps after them, in which they stay and weights alone make sizes equal."""


def split_equally(
    points: Float64[np.ndarray, "locations 3"],
    sizes: Float64[np.ndarray, " locations"],
    n: int,
    *,
    rng: np.random.Generator,
    dimensions: int,
) -> Int32[np.ndarray, " locations"]:
    r"""Return the parcel of each location, of `n` that are compact and of nearly one size.

    Points are halved again and again, in random directions, into as many parts of equal size as
    are wanted. From their means on, each location goes to the parcel of least
    :math:`|x - c_k|^2 - w_k`, a power diagram; the centre :math:`c_k` becomes the mean of the
    parcel, and the weight :math:`w_k` grows by what the parcel lacks. That is Lloyd's k-means,
    with the sizes held equal (Aurenhammer, Hoffmann and Aronov, 1998). Of the last steps, in which
    the centres stay, that is returned whose largest deviation from the common size is smallest.

    Parameters
    ----------
    points
        Coordinates.
    sizes
        Area or volume of each location.
    n
        Number of parcels, at most that of locations.
    rng
        Of the directions.
    dimensions
        2 of a surface, 3 of a volume.
    """
    from scipy.spatial import KDTree

    labels = _halve(points, sizes, n, rng)
    share = sizes.sum() / n
    # A cell of the size s^d has 2 d walls of s^(d - 1), at distances s of the centres: where its
    # weight grows by one, each moves by 1 / (2 s), and the cell gains d s^(d - 2).
    gain = dimensions * (share ** (1 / dimensions)) ** (dimensions - 2)
    weights = np.zeros(n)
    best, least = labels, np.inf
    centres = np.zeros((n, 3))
    padded = np.append(points, np.zeros((len(points), 1)), axis=1)
    for step in range(_MOVES + _BALANCES):
        own = np.bincount(labels, sizes, n)
        off = np.abs(own - share).max()
        if step < _MOVES:
            sums = np.stack([np.bincount(labels, sizes * axis, n) for axis in points.T], axis=1)
            # A parcel that lost all its locations stays where it was.
            centres = np.where(
                (own > 0)[:, None], sums / np.where(own > 0, own, 1)[:, None], centres
            )
        elif off < least and own.min() > 0:
            best, least = labels, off
        weights += (share - own) / gain / 2
        # The square root is a fourth coordinate, in which a power distance is a straight one.
        lift = np.sqrt(weights.max() - weights)
        tree = KDTree(np.append(centres, lift[:, None], axis=1))
        labels = np.asarray(tree.query(padded, workers=-1)[1], np.int32)
    return best


def _halve(
    points: Float64[np.ndarray, "locations 3"],
    sizes: Float64[np.ndarray, " locations"],
    n: int,
    rng: np.random.Generator,
) -> Int32[np.ndarray, " locations"]:
    """Return parts of equal sizes, by planes through their points."""
    labels = np.empty(len(points), np.int32)
    open_ = [(np.arange(len(points)), 0, n)]
    while open_:
        members, first, count = open_.pop()
        if count == 1:
            labels[members] = first
            continue
        own = points[members]
        spread = own - own.mean(axis=0)
        # A direction drawn from a normal distribution that is as long and wide as the points are.
        shape = np.linalg.cholesky(spread.T @ spread / len(own) + 1e-9 * np.eye(3))
        axis = shape @ rng.normal(size=3)
        order = np.argsort(own @ axis, kind="stable")
        left = count // 2
        sums = np.cumsum(sizes[members[order]])
        # At least a location for each parcel, on both sides.
        cut = np.searchsorted(sums, sums[-1] * left / count) + 1
        cut = int(np.clip(cut, left, len(members) - (count - left)))
        open_ += [
            (members[order[:cut]], first, left),
            (members[order[cut:]], first + left, count - left),
        ]
    return labels
