"""The measures of concrete maps, in NumPy and SciPy, and where those of traced ones come in."""

import itertools
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Array, Float, Float64

from atlasinit.core.checking import check_geometry, check_maps
from atlasinit.core.geometry import Geometry, VolumeGrid
from atlasinit.core.maps import Maps
from atlasinit.errors import ArgumentError
from atlasinit.measures import traced
from atlasinit.measures.gradients import gradient_of
from atlasinit.support.tracing import is_traced
from atlasinit.support.typing import AnyArray

if TYPE_CHECKING:
    from scipy.sparse import csr_array


EDGE = 4.542982
r"""From :math:`\sigma/\sqrt{\pi}` to the distance over which a Gaussian edge rises from 10 to
90 %: :math:`2\sqrt{\pi}\,\Phi^{-1}(0.9)`."""

_NONZEROS = 2**21
"""Weights whose gradients are held at once: 16 MiB in float64 for each of x, y and z."""


def location_entropy(maps: Maps) -> Float[AnyArray, " locations"]:
    r"""Return the entropy of the parcels at each location, in bits.

    With the weights as probabilities, :math:`p_{kj} = w_{kj} / \sum_k w_{kj}`,

    .. math:: H_j = -\sum_k p_{kj} \log_2 p_{kj}

    which is 0 where one parcel has all the weight and :math:`\log_2 n` where `n` share it
    equally: ``scipy.stats.entropy(w, base=2)`` of a column. Negative weights count as 0;
    a location without a positive weight is NaN.
    """
    check_maps(maps)
    if is_traced(maps):
        return traced.location_entropy(maps)
    shares = positive_weights(maps)
    totals = np.asarray(shares.sum(axis=0), dtype=np.float64)
    of = totals[shares.indices]
    p = shares.data / of
    # Every p is above 0, since `positive_weights` keeps no other weight.
    terms = -p * np.log2(p)
    out = np.bincount(shares.indices, weights=terms, minlength=maps.n_locations)
    # A sum of rounded terms may fall a little below 0, which would be shown as -0.
    return np.where(totals == 0, np.nan, np.maximum(out, 0))


def parcel_entropy(maps: Maps) -> Float[AnyArray, " parcels"]:
    r"""Return the mean of `location_entropy`, weighted by each parcel's map, in bits.

    .. math:: \bar{H}_k = \frac{\sum_j w_{kj} H_j}{\sum_j w_{kj}}
    """
    check_maps(maps)
    if is_traced(maps):
        return traced.parcel_entropy(maps)
    weights = positive_weights(maps)
    return _ratio(weights @ location_entropy(maps), np.asarray(weights.sum(axis=1)))


def location_sizes(geometry: Geometry) -> Float64[np.ndarray, " locations"]:
    """Return each vertex's area in mm2, or each voxel's volume in mm3.

    Raises
    ------
    ValueError
        A mesh with neither ``areas`` nor an anatomical surface.
    """
    check_geometry(geometry)
    if isinstance(geometry, VolumeGrid):
        return np.full(geometry.n_locations, geometry.voxel_volume)
    return geometry.vertex_areas[geometry.vertices]


def _check_fit(maps: Any, geometry: Any) -> None:
    """Refuse maps of other locations than those of a geometry."""
    check_maps(maps)
    check_geometry(geometry)
    if maps.n_locations != geometry.n_locations:
        raise ArgumentError(
            "geometry",
            f"should have the {maps.n_locations} locations of the maps, got {geometry.n_locations}",
            "pass that of the same compartment",
        )


def find_points(geometry: Geometry) -> Float64[np.ndarray, "locations 3"]:
    """Return centres of voxels, or vertices of the anatomical surface, in mm; NaN without one."""
    check_geometry(geometry)
    if isinstance(geometry, VolumeGrid):
        return geometry.coordinates.astype(np.float64)
    if geometry.anatomical is None:
        return np.full((geometry.n_locations, 3), np.nan)
    return geometry.anatomical[geometry.vertices].astype(np.float64)


def parcel_sizes(maps: Maps, geometry: Geometry) -> Float[AnyArray, " parcels"]:
    r"""Return each parcel's area in mm2 on a mesh, or volume in mm3 on a grid.

    .. math:: s_k = \sum_j m_{kj} a_j

    with the areas or volumes :math:`a` of `location_sizes`: the whole of the parcel's
    locations for labels. Raises as `location_sizes`.
    """
    _check_fit(maps, geometry)
    sizes = location_sizes(geometry)
    if is_traced(maps):
        return traced.parcel_sizes(maps, sizes)
    return scale_to_peak(positive_weights(maps)) @ sizes


def centres(maps: Maps, geometry: Geometry) -> Float[AnyArray, "parcels 3"]:
    """Return each parcel's centre of mass in mm, weighted by its map.

    On a mesh, of the anatomical surface's coordinates; the centre of a curved parcel lies
    beside the surface. NaN where there is no such surface.
    """
    _check_fit(maps, geometry)
    points = find_points(geometry)
    if is_traced(maps):
        return traced.centres(maps, points)
    weights = positive_weights(maps)
    totals = np.asarray(weights.sum(axis=1), dtype=np.float64)
    return np.stack([_ratio(weights @ axis, totals) for axis in points.T], axis=1)


def boundary_width(
    maps: Maps, geometry: Geometry, *, batch_nonzeros: int = _NONZEROS
) -> Float[AnyArray, " parcels"]:
    r"""Return how wide each parcel's boundary is, in mm: 0 for labels.

    .. math:: W_k = 2\sqrt{\pi}\,\Phi^{-1}(0.9)\;
              \frac{\int m_k (1 - m_k)\,dA}{\int |\nabla m_k|\,dA}

    The denominator is the length of the boundary (by the coarea formula, the mean length
    of the level lines of :math:`m_k` from 0 to 1), the numerator its blurred area. Across a
    straight boundary that a Gaussian of :math:`\sigma` has smoothed,
    :math:`m = \Phi(x/\sigma)` and the two integrals are :math:`\sigma/\sqrt{\pi}` and 1 per
    length, so that the constant makes :math:`W = 2\,\Phi^{-1}(0.9)\,\sigma = 2.56\,\sigma
    = 1.09` FWHM: the distance over which the membership rises from 10 to 90 %. For parcels
    that are narrow for the kernel it is wider.

    On a mesh the gradient is that of the linear interpolation in each triangle, on the
    anatomical surface where there is one, else on the sphere; on a grid it is the forward
    difference between voxels that touch. Nothing changes across the edge of the kept
    locations. A parcel without a boundary, or on a mesh without faces, has NaN.

    Parameters
    ----------
    maps
        Maps of one compartment.
    geometry
        Its geometry.
    batch_nonzeros
        About how many weights of parcels are worked on at once, which bounds the memory.
    """
    _check_fit(maps, geometry)
    parts = gradient_of(geometry)
    if parts is None:
        return np.full(maps.n_parcels, np.nan)
    gradient, elements, sizes = parts
    if is_traced(maps):
        return traced.boundary_width(maps, gradient, elements, sizes, EDGE)
    blurred, length = np.zeros(maps.n_parcels), np.zeros(maps.n_parcels)
    memberships = scale_to_peak(positive_weights(maps))
    for rows in _batches(memberships, batch_nonzeros):
        part = memberships[rows]
        # |grad m|^2 of each element (face or voxel), from its components.
        squares: Any = sum((part @ component).power(2) for component in gradient)
        length[rows] = squares.sqrt() @ elements
        # m (1 - m) is 0 where m is, so that the non-zeros suffice.
        part.data = part.data * (1 - part.data)
        blurred[rows] = part @ sizes
    return EDGE * _ratio(blurred, length)


def overlap(maps: Maps) -> "csr_array | Array":
    r"""Return the overlap of each pair of maps: the cosine of the angle between them.

    .. math:: o_{kl} = \frac{\sum_j w_{kj} w_{lj}}
              {\sqrt{\sum_j w_{kj}^2} \sqrt{\sum_j w_{lj}^2}}

    0 for maps that share no location (labels), 1 for proportional ones, which least squares
    cannot tell apart: it is the Gram matrix of ``reduction="lstsq"`` scaled to a unit
    diagonal. A symmetric ``scipy.sparse.csr_array`` (parcels, parcels), float64 (of traced
    maps an array); empty parcels have zeros.
    """
    from scipy.sparse import csr_array, diags_array

    check_maps(maps)
    if is_traced(maps):
        return traced.overlap(maps)
    weights = maps.to_scipy().astype(np.float64)
    norms = np.sqrt(np.asarray(weights.power(2).sum(axis=1)))
    scaled = diags_array(1 / np.where(norms == 0, 1, norms)) @ weights
    return csr_array(scaled @ scaled.T)


def positive_weights(maps: Maps) -> "csr_array":
    """Return the weights as float64, without those that are negative or 0."""
    weights: Any = maps.to_scipy().astype(np.float64)
    weights.data[weights.data < 0] = 0
    weights.eliminate_zeros()
    return weights


def scale_to_peak(weights: "csr_array") -> "csr_array":
    """Return positive weights over the largest of each parcel: its memberships."""
    n_parcels = len(weights.indptr) - 1
    rows = np.repeat(np.arange(n_parcels), np.diff(weights.indptr))
    # The largest weight of each parcel; `reduceat` would fail at those that have none.
    peaks = np.zeros(n_parcels)
    with np.errstate(invalid="ignore"):  # NaN stays NaN
        np.maximum.at(peaks, rows, weights.data)
    weights.data = weights.data / peaks[rows]
    return weights


def _batches(matrix: "csr_array", nonzeros: int) -> Iterator[slice]:
    """Yield runs of rows with about the same number of non-zeros."""
    # A batch starts at each row that begins in another multiple of `nonzeros` than the one before.
    begins = np.asarray(matrix.indptr)[:-1]
    starts = np.flatnonzero(np.diff(begins // nonzeros, prepend=-1))
    for start, stop in itertools.pairwise([*starts, begins.size]):
        yield slice(start, stop)


def _ratio(
    over: Float[np.ndarray, " n"], under: Float[np.ndarray, " n"]
) -> Float64[np.ndarray, " n"]:
    """Return the quotient, NaN where the denominator is 0."""
    return np.where(under == 0, np.nan, over) / np.where(under == 0, 1, under)
