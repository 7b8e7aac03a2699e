"""Matrices of pairs of parcels: how much their maps overlap, how alike their series are."""

import dataclasses
from typing import Any

import numpy as np
from jaxtyping import Float

from atlasinit.core.atlas import Atlas
from atlasinit.core.maps import SparseMaps, to_matrix
from atlasinit.figures.scales import diverging_colormap, page_colormap
from atlasinit.measures import overlap
from atlasinit.report.extraction import connectivity
from atlasinit.report.pictures import Picture, Scale, matrix

_MOST = 10


@dataclasses.dataclass(frozen=True)
class Pair:
    """Two parcels and what is between them."""

    one: str
    other: str
    value: float


@dataclasses.dataclass(frozen=True)
class Matrix:
    """A matrix of parcels as the page shows it.

    Parameters
    ----------
    picture, scale
        The image, and its colour bar.
    axis
        Pairs of a compartment and its number of parcels, along both sides.
    count
        Number of pairs with a value that is not 0.
    pairs
        The strongest of them.
    """

    picture: Picture
    scale: Scale
    axis: tuple[tuple[str, int], ...]
    count: int
    pairs: tuple[Pair, ...]


def overlaps(atlas: Atlas) -> Float[np.ndarray, "parcels parcels"]:
    """Return the cosine of each pair of maps; 0 of two compartments, which share nothing."""
    whole = to_matrix(atlas.maps.values(), atlas.parcel_slices().values())
    found: Any = overlap(SparseMaps.from_scipy(whole))  # sparse, as these maps are not traced
    return found.toarray()


def overlap_matrix(atlas: Atlas, cosines: Float[np.ndarray, "parcels parcels"]) -> Matrix:
    """Return the overlap of an atlas's maps; pairs that share nothing are left blank."""
    shared = np.where(_find_pairs(cosines), cosines, np.nan)
    finite = shared[np.isfinite(shared)]
    high = float(np.abs(finite).max(initial=0)) or 1.0
    # Weights of 0 and more have cosines of 0 and more, for which half of the colours would be lost.
    signed = bool((finite < 0).any())
    return _draw(
        atlas,
        shared,
        low=-high if signed else 0.0,
        high=high,
        colormap=diverging_colormap() if signed else page_colormap(),
        what="the overlap",
        unit="cosine",
    )


def connectivity_matrix(atlas: Atlas, series: Float[np.ndarray, "time parcels"]) -> Matrix:
    """Return the correlation of each pair of parcels; those without any are left blank."""
    correlations = connectivity(series)
    return _draw(
        atlas,
        correlations,
        low=-1.0,
        high=1.0,
        colormap=diverging_colormap(),
        what="the correlations",
        unit="Pearson's r",
    )


def count_rows(atlas: Atlas) -> tuple[tuple[str, int], ...]:
    """Return each compartment with parcels, or those that share theirs, and how many it has."""
    return tuple((home, s.stop - s.start) for home, s in atlas.header.home_slices().items())


def count_pairs(values: Float[np.ndarray, "parcels parcels"]) -> int:
    """Return the number of pairs whose value is neither 0 nor NaN."""
    # The matrix is symmetric, and has each pair twice.
    return int(np.count_nonzero(_find_pairs(values))) // 2


def find_strongest(atlas: Atlas, values: Float[np.ndarray, "parcels parcels"]) -> list[Pair]:
    """Return the pairs with the values of largest size, at most 10 and none of 0 or NaN."""
    one, other = np.nonzero(np.triu(_find_pairs(values), 1))
    # Stable: pairs of one value stay in the order of the table.
    order = np.argsort(-np.abs(values[one, other]), kind="stable")[:_MOST]
    names = atlas.table["name"]
    return [
        Pair(names[i], names[j], float(values[i, j]))
        for i, j in zip(one[order].tolist(), other[order].tolist(), strict=True)
    ]


def _find_pairs(values: np.ndarray) -> np.ndarray:
    """Return where two different parcels have a value that is neither 0 nor NaN."""
    return np.isfinite(values) & (values != 0) & ~np.eye(len(values), dtype=bool)


def _draw(atlas: Atlas, values: np.ndarray, *, what: str, **look: object) -> Matrix:
    alt = f"Matrix of {what} of {atlas.n_parcels} parcels, in the order of the table."
    picture, scale = matrix(values, alt=alt, **look)  # pyright: ignore[reportArgumentType]
    pairs = tuple(find_strongest(atlas, values))
    return Matrix(picture, scale, count_rows(atlas), count_pairs(values), pairs)
