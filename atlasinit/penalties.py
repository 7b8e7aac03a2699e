r"""Terms that a training loss adds, so that maps stay what maps of a brain are.

Each takes a layer (an `AtlasLinear`), an `Atlas`, or the maps of one compartment, with the
geometry where it needs one, and returns one number that can be differentiated by the
weights. Weights that are negative count as 0, as in `atlasinit.measures`, and NaN among
them makes the number NaN. Sparse maps are made dense for it, one compartment at a time.

>>> import jax.numpy as jnp
>>> from atlasinit import DenseMaps
>>> f"{entropy(DenseMaps(jnp.array([[1.0, 0.5], [0.0, 0.5]]))):.2f} bits"
'0.50 bits'
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from atlasinit.core.atlas import Atlas
from atlasinit.core.geometry import Geometry, SurfaceMesh, VolumeGrid
from atlasinit.core.maps import Maps, dense_values
from atlasinit.errors import ArgumentError, ArgumentTypeError
from atlasinit.measures.gradients import stiffness
from atlasinit.measures.maps import location_sizes
from atlasinit.measures.traced import entropy_of, or_one, positive_weights
from atlasinit.nn import AtlasLinear

__all__ = ["balance", "compactness", "entropy", "smoothness", "tether"]


def __dir__() -> list[str]:
    return __all__


def entropy(model: Any) -> Float[Array, ""]:
    r"""Return the mean entropy of the locations' memberships, in bits: 0 for labels.

    .. math:: E = \frac{\sum_j t_j H_j}{\sum_j t_j}, \qquad
              H_j = -\sum_k p_{kj} \log_2 p_{kj}, \quad p_{kj} = w_{kj} / t_j, \quad
              t_j = \sum_k w_{kj}

    with the entropy of Shannon (Bell Syst. Tech. J. 27, 1948) of `measures.location_entropy`.
    Small values make parcels crisp, and a negative weight of the term keeps them soft. What
    belongs to no parcel does not count; without any weight the term is 0. The slope at a
    weight of exactly 0, which is infinite, is 0. hypercoil's counterpart is ``EntropyLoss``.

    Parameters
    ----------
    model
        A layer, an atlas or maps.

    Raises
    ------
    TypeError
        A `model` that is none of these.
    """
    over, under = [], []
    for part in _parts(model):
        entropies, totals = entropy_of(positive_weights(part.maps))
        over.append((totals * entropies).sum())
        under.append(totals.sum())
    return _quotient(over, under)


def compactness(
    model: Any, *, geometry: Geometry | None = None, distance: str = "auto"
) -> Float[Array, ""]:
    r"""Return the mean squared distance of the parcels' locations to their centres, in mm2.

    .. math:: C = \frac{\sum_{k,j} w_{kj}\, d(x_j, c_k)^2}{\sum_{k,j} w_{kj}}, \qquad
              c_k = \frac{\sum_j w_{kj} x_j}{\sum_j w_{kj}}

    A parcel of two distant pieces costs more than one of a piece. hypercoil's counterpart is
    ``CompactnessLoss``, of distances that are not squared. Parcels without weight add nothing;
    without any weight the term is 0.

    Parameters
    ----------
    model
        A layer, an atlas or maps.
    geometry
        Of maps alone.
    distance
        ``"sphere"`` is along the sphere of a mesh (great circles of its own radius), to the
        centre's direction, and a quarter of a circle where that lies in the middle of the sphere;
        ``"mm"`` in a straight line, on the anatomical surface of a mesh.
        ``"auto"`` is the sphere where there is one. Grids are in straight lines always.

    Raises
    ------
    ValueError
        A mesh without the coordinates that are asked for; maps without `geometry`.
    TypeError
        A `model` that is no layer, atlas or maps.
    """
    if distance not in ("auto", "sphere", "mm"):
        raise ArgumentError("distance", f'should be "auto", "sphere" or "mm", got {distance!r}')
    over, under = [], []
    for part in _parts(model, geometry):
        weights = positive_weights(part.maps)
        points, radius = _points(part.required_geometry(), distance)
        spread = _spread(weights, jnp.asarray(points, weights.dtype), radius)
        over.append(spread)
        under.append(weights.sum())
    return _quotient(over, under)


def smoothness(model: Any, *, geometry: Geometry | None = None) -> Float[Array, ""]:
    r"""Return the squared gradient of the maps along the mesh or grid, in 1/mm2: Dirichlet's.

    .. math:: S = \frac{1}{A} \sum_k \int |\nabla w_k|^2\, dA
                = \frac{1}{A} \sum_k \sum_{i<j} -K_{ij} (w_{ki} - w_{kj})^2

    with the area (or volume) :math:`A` of all kept locations and the stiffness matrix
    :math:`K`: on a mesh that of linear triangles, whose entries are the cotangents of Pinkall
    and Polthier (Exp. Math. 2, 1993), on the anatomical surface where there is one, else on the
    sphere; on a grid that of differences between voxels that touch. Nothing changes across the
    edge of the kept locations. Small values make borders wide and straight. All weights
    count, negative ones too.

    Parameters
    ----------
    model
        A layer, an atlas or maps.
    geometry
        Of maps alone.

    Raises
    ------
    ValueError
        A mesh without faces or coordinates; maps without `geometry`.
    TypeError
        A `model` that is no layer, atlas or maps.
    """
    over, under = [], []
    for part in _parts(model, geometry):
        weights = dense_values(part.maps)
        first, second, factors, size = stiffness(part.required_geometry())
        # (parcels, edges); each edge is one pair of neighbours.
        steps = weights[:, first] - weights[:, second]
        over.append((steps**2 * jnp.asarray(factors, weights.dtype)[None, :]).sum())
        under.append(jnp.asarray(size, weights.dtype))
    return _quotient(over, under)


def tether(model: Any, start: Any) -> Float[Array, ""]:
    r"""Return how far the maps are from those that they started from: 0 at the start.

    .. math:: T = \frac{1}{L} \sum_j \sum_k (w_{kj} - w^0_{kj})^2

    for :math:`L` locations: the squared distance that an L2 prior has (the "L2-SP" of Li,
    Grandvalet and Davoine, ICML 2018), of the maps rather than of free values, so that it
    means the same in every domain. A location that moves wholly to another parcel adds 2 /
    L. No gradient reaches the start.

    Parameters
    ----------
    model, start
        Layers, atlases or maps of the same parcels and locations.

    Raises
    ------
    ValueError
        A `start` of other compartments, parcels or locations.
    TypeError
        One that is no layer, atlas or maps.
    """
    parts, others = list(_parts(model)), list(_parts(start, name="start"))
    shapes = [
        [(p.name, p.maps.n_parcels, p.maps.n_locations) for p in of] for of in (parts, others)
    ]
    if shapes[0] != shapes[1]:
        raise ArgumentError(
            "start",
            f"should have the compartments, parcels and locations {shapes[0]}, got {shapes[1]}",
        )
    over, under = [], []
    for part, other in zip(parts, others, strict=True):
        weights = dense_values(part.maps)
        origin = jax.lax.stop_gradient(dense_values(other.maps)).astype(weights.dtype)
        over.append(((weights - origin) ** 2).sum())
        under.append(jnp.asarray(part.maps.n_locations, weights.dtype))
    return _quotient(over, under)


def balance(model: Any, *, geometry: Geometry | None = None) -> Float[Array, ""]:
    r"""Return how unequal the sizes of the parcels are: 0 where all have the same.

    .. math:: B = \frac{1}{n} \sum_k \left(\frac{s_k}{\bar s} - 1\right)^2, \qquad
              s_k = \sum_j w_{kj} a_j

    the squared coefficient of variation of the areas, volumes or, of meshes that have no
    areas, numbers of locations of a compartment, averaged over all parcels. One parcel that
    has everything costs n - 1; an empty one 1, with a slope that brings weight back.
    hypercoil's counterpart is ``EquilibriumLoss``, the mean of :math:`s_k^2`. A compartment
    without any weight adds 0.

    Parameters
    ----------
    model
        A layer, an atlas or maps.
    geometry
        Of maps alone, whose locations count the same without it.

    Raises
    ------
    TypeError
        A `model` that is no layer, atlas or maps.
    """
    over, under = [], []
    for part in _parts(model, geometry):
        weights = positive_weights(part.maps)
        n_parcels = weights.shape[0]
        if not n_parcels:
            continue
        sizes = weights @ jnp.asarray(_sizes(part.geometry, weights.shape[1]), weights.dtype)
        mean = sizes.mean()
        shares = sizes / or_one(mean)
        over.append(jnp.where(mean == 0, 0, ((shares - 1) ** 2).sum()))
        under.append(jnp.asarray(n_parcels, weights.dtype))
    return _quotient(over, under)


class _Part(NamedTuple):
    """The maps of one compartment, and its geometry where it is told."""

    name: str
    maps: Maps
    geometry: Geometry | None

    def required_geometry(self) -> Geometry:
        if self.geometry is None:
            raise ArgumentError(
                "geometry", "is needed for maps alone", "give that of their compartment"
            )
        return self.geometry


def _parts(model: Any, geometry: Geometry | None = None, *, name: str = "model") -> Iterator[_Part]:
    if isinstance(model, Maps):
        yield _Part("maps", model, geometry)
        return
    if isinstance(model, AtlasLinear):
        maps, geometries = model.weights(), model.header.geometries
    elif isinstance(model, Atlas):
        maps, geometries = model.maps, tuple(model.geometry.values())
    else:
        raise ArgumentTypeError(
            name,
            f"should be a layer, an Atlas or maps, got {type(model).__name__}",
            "of a module of Flax, its `layer()`",
        )
    if geometry is not None:
        raise ArgumentError("geometry", "is for maps alone", "a layer and an atlas have their own")
    for (c, own), place in zip(maps.items(), geometries, strict=True):
        yield _Part(c, own, place)


def _points(geometry: Geometry, distance: str) -> tuple[np.ndarray, float | None]:
    """Return coordinates, and the radius of the sphere that they are taken on."""
    if isinstance(geometry, VolumeGrid):
        return geometry.coordinates, None
    spherical = distance == "sphere" or (distance == "auto" and geometry.sphere is not None)
    points = geometry.sphere if spherical else geometry.anatomical
    if points is None:
        which = "`sphere`" if spherical else "`anatomical` surface"
        raise ArgumentError(
            "distance",
            f'"{distance}" needs the {which} of a mesh, which has none',
            "give it to `load_atlas`, or choose another distance",
        )
    return points[geometry.vertices], geometry.radius if spherical else None


def _spread(
    weights: Float[Array, "parcels locations"],
    points: Float[Array, "locations 3"],
    radius: float | None,
) -> Float[Array, ""]:
    """Return the sum of all weights times squared distances."""
    highest = jax.lax.Precision.HIGHEST
    if radius is None:
        # From one point among all, which the differences do not depend on, for their digits.
        points = points - points.mean(axis=0, keepdims=True)
    totals = weights.sum(axis=1)
    centres = jnp.matmul(weights, points, precision=highest)
    centres = centres / or_one(totals)[:, None]
    if radius is None:
        # sum_j w |x - c|^2 = sum_j w |x|^2 - W |c|^2
        squares = (weights * (points**2).sum(axis=1)[None, :]).sum()
        return squares - (totals * (centres**2).sum(axis=1)).sum()
    squares = (centres**2).sum(axis=1)
    # A centre in the middle, but for rounding, has no direction, and a slope without bound.
    nowhere = squares < (1e-5 * radius) ** 2
    centres = jnp.where(nowhere[:, None], 0, centres)
    lengths = jnp.sqrt(jnp.where(nowhere, 1, squares))
    cosines = jnp.matmul(centres / lengths[:, None], points.T, precision=highest) / radius
    return (weights * _squared_arc(cosines)).sum() * radius**2


def _squared_arc(cosines: Float[Array, "parcels locations"]) -> Float[Array, "parcels locations"]:
    r"""Return the squares of angles, with derivatives at 0 and short of :math:`\pi`."""
    # The arc cosine has an infinite slope at 1, its square has not: 2 (1 - u) + (1 - u)^2 / 3 ...
    near = cosines > 1 - 1e-3
    rest = 1 - cosines
    series = rest * (2 + rest * (1 / 3 + rest * (4 / 45 + rest / 35)))
    arc = jnp.arccos(jnp.clip(jnp.where(near, 0, cosines), -1 + 1e-6, 1))
    return jnp.where(near, series, arc**2)


def _sizes(geometry: Geometry | None, count: int) -> np.ndarray:
    """Return the area or volume of each location, 1 where a mesh has none."""
    unknown = isinstance(geometry, SurfaceMesh) and not geometry.has_vertex_areas
    return np.ones(count) if geometry is None or unknown else location_sizes(geometry)


def _quotient(over: list[Array], under: list[Array]) -> Float[Array, ""]:
    """Return the sum of numbers divided by that of others, 0 if that is 0."""
    if not over:
        return jnp.zeros(())
    return sum(over[1:], over[0]) / or_one(sum(under[1:], under[0]))
