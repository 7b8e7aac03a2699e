"""How well parcels hold together in data, and how alike two parcellations are."""

import dataclasses
from typing import Any

import numpy as np
from jaxtyping import Float64, Int

from atlasinit.comparison.partitions import adjusted_rand
from atlasinit.core.adjacency import find_touching
from atlasinit.core.atlas import Atlas
from atlasinit.core.checking import check_atlas, check_labels
from atlasinit.errors import ArgumentError
from atlasinit.refinement.connectivity import count_pieces
from atlasinit.refinement.regions import find_regions, labels_in
from atlasinit.refinement.runs import Runs, read_runs, scale_runs
from atlasinit.refinement.series import Series, between_squares
from atlasinit.support.numbers import check_switch


def kept_variance(
    atlas: Atlas,
    data: Any,
    *,
    sample_mask: Any = None,
    standardize: bool = True,
    data_space: str | None = None,
) -> float:
    r"""Return the share of the variance of data that the parcels' means keep.

    .. math:: \frac{\sum_k \| \sum_{i \in k} x_i \|^2 / n_k}{\sum_i \| x_i \|^2}

    over the locations of parcels that were observed, each with its series :math:`x_i`, centred
    and by default standardised. Between 0 and 1; for data that the atlas was not fitted to it is
    an honest measure of how well its parcels hold together. It grows with the number of parcels.

    Parameters
    ----------
    atlas
        Of labels.
    data, sample_mask, standardize, data_space
        As of `atlasinit.refine`.

    Raises
    ------
    ValueError
        An atlas that is not of labels, and as `atlasinit.io.open_data`.
    """
    check_labels(atlas)
    check_switch(standardize, "standardize")
    runs = read_runs(data, atlas, sample_mask=sample_mask, min_volumes=2, data_space=data_space)
    return share_kept(atlas, runs, standardize=standardize)


def share_kept(atlas: Atlas, runs: Runs, *, standardize: bool) -> float:
    """Return `kept_variance` of runs in memory."""
    kept = whole = 0.0
    for region in find_regions(atlas):
        own = [region.take_data(run) for run in runs]
        values, observed = scale_runs(own, standardize=standardize)
        maps = region.join_labels(atlas)
        labels = np.asarray(maps.labels)
        # Squares are around 0 and not around the mean of all locations: what all of these share,
        # such as traces of motion, counts as kept.
        squares = between_squares(Series(values, observed), labels, maps.n_parcels)
        inside = (labels >= 0) & (observed > 0)
        kept += float(squares.sum())
        whole += float(np.einsum("ij,ij->", values[inside], values[inside], dtype=np.float64))
    return kept / whole if whole else float("nan")


@dataclasses.dataclass(frozen=True)
class Agreement:
    """How alike two parcellations are.

    Parameters
    ----------
    dice
        (parcels,) twice the shared locations of a parcel over the sum of its two sizes; NaN
        where it has no location in either.
    rand
        Adjusted Rand index over the locations that belong to parcels in both (Hubert and
        Arabie 1985): 1 where the two are the same up to names, about 0 for chance.
    """

    dice: Float64[np.ndarray, " parcels"]
    rand: float

    @property
    def mean_dice(self) -> float:
        """Mean of `dice` over the parcels that have locations."""
        return float(np.nanmean(self.dice)) if np.isfinite(self.dice).any() else float("nan")


def measure_agreement(one: Atlas, other: Atlas) -> Agreement:
    """Return how alike two atlases of the same parcels and locations are.

    Raises
    ------
    ValueError
        Soft atlases, or two of other parcels or geometries.
    """
    from scipy.sparse import csr_array

    for atlas in (one, other):
        check_labels(atlas)
    if one.geometry != other.geometry or one.table["name"] != other.table["name"]:
        raise ArgumentError("other", "should have the parcels and locations of `one`")
    first, second = (labels_of(atlas) for atlas in (one, other))
    n = one.n_parcels
    counts = [np.bincount(found[found >= 0], minlength=n) for found in (first, second)]
    # Without locations outside parcels, which the index would take for a parcel of their own.
    both = (first >= 0) & (second >= 0)
    same = both & (first == second)
    shared = np.bincount(first[same], minlength=n)
    total = counts[0] + counts[1]
    dice = np.where(total > 0, 2 * shared / np.where(total > 0, total, 1), np.nan)
    table = csr_array((np.ones(np.count_nonzero(both)), (first[both], second[both])), shape=(n, n))
    table.sum_duplicates()
    return Agreement(dice, adjusted_rand(table))


def labels_of(atlas: Atlas) -> Int[np.ndarray, " locations"]:
    """Return the row of each location of an atlas of labels, over all compartments."""
    found = []
    for c, rows in atlas.parcel_slices().items():
        labels = labels_in(atlas, c)
        # Labels count from 0 in each compartment, rows over all of them.
        found.append(np.where(labels < 0, -1, labels + rows.start))
    return np.concatenate(found)


def parcel_pieces(atlas: Atlas) -> Int[np.ndarray, " parcels"]:
    """Return the number of connected pieces of each parcel of an atlas of labels; 0 if empty.

    Of parcels that several compartments share, those in all of these: one in each is the least.
    """
    check_atlas(atlas)
    return atlas.header.add_rows(pieces_in_compartments(atlas).values())


def pieces_in_compartments(atlas: Atlas) -> dict[str, Int[np.ndarray, " parcels"]]:
    """Return the number of connected pieces of each compartment's parcels."""
    check_labels(atlas)
    return {
        c: count_pieces(labels_in(atlas, c), find_touching(atlas.geometry[c]), maps.n_parcels)
        for c, maps in atlas.maps.items()
    }
