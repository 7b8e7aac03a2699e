"""How far parcels of two atlases lie from each other, in mm."""

import dataclasses
import functools
from typing import Any

import numpy as np
from jaxtyping import Bool, Float64, Int


@dataclasses.dataclass(frozen=True, eq=False)
class Places:
    """Where the locations of labels lie.

    Parameters
    ----------
    labels
        (locations,) row of the parcel of each location, -1 for none.
    points
        (locations, 3) in mm; NaN where nothing says.
    borders
        (locations,) which of them lie at the border of their parcel.
    """

    labels: Int[np.ndarray, " locations"]
    points: Float64[np.ndarray, "locations 3"]
    borders: Bool[np.ndarray, " locations"]

    @functools.cached_property
    def _order(self) -> tuple[np.ndarray, np.ndarray]:
        # The locations by parcel, and where each begins; before the first are those of none.
        order = np.argsort(self.labels, kind="stable")
        return order, np.searchsorted(
            self.labels[order], np.arange(self.labels.max(initial=-1) + 2)
        )

    def members(self, row: int) -> Int[np.ndarray, " members"]:
        """Return the locations of a parcel, ascending."""
        order, starts = self._order
        # A parcel behind the last that has locations is empty.
        return order[starts[row] : starts[row + 1]] if row + 1 < len(starts) else order[:0]


def measure_pair(one: Places, row: int, other: Places, column: int) -> tuple[float, float]:
    r"""Return the Hausdorff and the mean boundary distance of two parcels, in mm.

    Along straight lines, of the sets of locations :math:`A, B` and of those at their borders:

    .. math::
        \max\Big(\max_{x \in A} \min_{y \in B} |x - y|,\
                 \max_{y \in B} \min_{x \in A} |x - y|\Big)
        \qquad
        \frac{\sum_{x \in \partial A} \min_{y \in \partial B} |x - y|
              + \sum_{y \in \partial B} \min_{x \in \partial A} |x - y|}
              {|\partial A| + |\partial B|}

    NaN where a parcel is empty, or lies on a mesh without an anatomical surface (or triangles).
    """
    a, b = one.members(row), other.members(column)
    if not a.size or not b.size:
        return np.nan, np.nan
    first, second = one.points[a], other.points[b]
    if not np.isfinite(first).all() or not np.isfinite(second).all():
        return np.nan, np.nan
    # What both have lies at 0.
    alone = one.points[np.setdiff1d(a, b)], other.points[np.setdiff1d(b, a)]
    apart = _nearest(alone[0], second), _nearest(alone[1], first)
    farthest = max(distances.max(initial=0.0) for distances in apart)
    at_a, at_b = first[one.borders[a]], second[other.borders[b]]
    if not len(at_a) or not len(at_b):
        return float(farthest), np.nan
    between = np.concatenate([_nearest(at_a, at_b), _nearest(at_b, at_a)])
    return float(farthest), float(between.mean())


def _nearest(points: np.ndarray, others: np.ndarray) -> Any:
    from scipy.spatial import KDTree

    # Trees without balanced halves are made faster, and these are asked only once.
    return KDTree(others, balanced_tree=False, compact_nodes=False).query(points)[0]
