"""Atlases of the locations nearest to points."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from jaxtyping import Float64, Int32

from atlasinit.core.atlas import Atlas
from atlasinit.core.geometry import Geometry, SurfaceMesh, VolumeGrid
from atlasinit.core.mesh import advise_surface
from atlasinit.errors import ArgumentError, ArgumentTypeError, Passing
from atlasinit.smoothing.checks import check_triangles
from atlasinit.smoothing.surface import geodesic_graph
from atlasinit.support.numbers import check_number
from atlasinit.tessellation.making import (
    directions,
    make_atlas,
    nearest_points,
    take_geometries,
)

_DISTANCES = ("sphere", "straight", "geodesic")


def voronoi_atlas(
    geometry: Mapping[str, Geometry] | Atlas,
    points: Any,
    *,
    distance: Literal["sphere", "straight", "geodesic"] | None = None,
    max_distance: float | int | None = None,
    names: Sequence[Any] | None = None,
    name: str = "voronoi",
    space: str = "",
) -> Atlas:
    r"""Return the atlas whose parcels are the locations nearest to each point.

    Location j belongs to :math:`\arg\min_k d(x_j, p_k)`, of equal distances to the first.

    Parameters
    ----------
    geometry
        Compartment to `VolumeGrid` or `SurfaceMesh`; or an atlas, whose geometry and space are
        taken.
    points
        (parcels, 3), or a mapping with such points for each compartment. In world mm; for
        ``distance="sphere"`` on the mesh's sphere, where their directions alone count.
    distance
        ``"sphere"``: great circles, of meshes. ``"straight"``: straight lines, to the centres of
        voxels or on the anatomical surface. ``"geodesic"``: shortest paths along the anatomical
        surface, from the vertex nearest to each point, which keep parcels in one piece. By
        default ``"sphere"`` of meshes and ``"straight"`` of grids.
    max_distance
        In mm (of the sphere's own radius, if on it): locations farther from every point belong
        to no parcel. By default all belong to one, but for those that no path joins to a point.
    names
        Of the parcels, in the order of the points and compartments.
    name, space
        Of the new atlas.

    Returns
    -------
    Atlas
        Of labels, numbered from 1 in each compartment. A point that is nearest to no location
        stays as an empty row.

    Raises
    ------
    ValueError
        Points that are not finite (parcels, 3), coincide, or lie in the middle of the sphere;
        meshes without the surface that distances are measured on; paths along a grid.
    TypeError
        A geometry without the name of its compartment.

    Examples
    --------
    >>> import numpy as np
    >>> import atlasinit as ai
    >>> grid = ai.VolumeGrid((4, 2, 2), np.eye(4))
    >>> atlas = ai.voronoi_atlas({"volume": grid}, [[0, 0, 0], [3, 0, 0]], names=["left", "right"])
    >>> atlas.labels["n_locations"].tolist()
    [8, 8]
    """
    if distance not in (None, *_DISTANCES):
        raise ArgumentError("distance", f"should be one of {_DISTANCES}, got {distance!r}")
    limit = np.inf if max_distance is None else check_number(max_distance, "max_distance", least=0)
    places, space = take_geometries(geometry, space)
    seeds = _take_points(points, places)
    labels = {}
    for c, own in places.items():
        how = distance or ("sphere" if isinstance(own, SurfaceMesh) else "straight")
        found, away = _nearest(own, seeds[c], how, c)
        labels[c] = np.where(away <= limit, found, -1).astype(np.int32)
    shown = f"distance={distance!r}" + ("" if max_distance is None else f", max_distance={limit:g}")
    return make_atlas(
        labels,
        {c: len(own) for c, own in seeds.items()},
        places,
        name=name,
        space=space,
        operation=f"voronoi_atlas({shown})",
        names=names,
    )


def _take_points(
    points: Any, geometry: Mapping[str, Geometry]
) -> dict[str, Float64[np.ndarray, "parcels 3"]]:
    if not isinstance(points, Mapping):
        if len(geometry) > 1:
            raise ArgumentTypeError(
                "points",
                f"should be a mapping with points for each of {list(geometry)}, got one array",
                'pass `{"' + next(iter(geometry)) + '": points, ...}`',
            )
        points = dict.fromkeys(geometry, points)
    if set(points) != set(geometry):
        raise ArgumentError(
            "points", f"should have the compartments {list(geometry)}, got {list(points)}"
        )
    found = {}
    for c in geometry:
        try:
            own = np.asarray(points[c], np.float64)
        except (TypeError, ValueError) as error:
            raise ArgumentTypeError("points", f"of {c!r} should be numbers: {error}") from error
        if own.ndim != 2 or own.shape[1] != 3 or not len(own):
            raise ArgumentError("points", f"of {c!r} should be (parcels, 3), got shape {own.shape}")
        if not np.isfinite(own).all():
            raise ArgumentError("points", f"of {c!r} should be finite, got NaN or infinity")
        _check_apart(own, c)
        found[c] = own
    return found


def _check_apart(points: Float64[np.ndarray, "parcels 3"], compartment: str) -> None:
    _, first, counts = np.unique(points, axis=0, return_index=True, return_counts=True)
    if (counts > 1).any():
        one = points[first[counts > 1][0]]
        twice = np.flatnonzero((points == one).all(axis=1)).tolist()
        raise ArgumentError(
            "points",
            f"of {compartment!r} should differ, but numbers {twice} are all {one.tolist()}",
            "give each once",
        )


def _nearest(
    geometry: Geometry, seeds: Float64[np.ndarray, "parcels 3"], how: str, compartment: str
) -> tuple[Int32[np.ndarray, " locations"], Float64[np.ndarray, " locations"]]:
    """Return the nearest seed of each location, and how far away it lies, in mm."""
    if isinstance(geometry, VolumeGrid):
        if how != "straight":
            raise ArgumentError(
                "distance",
                f"of a grid, as of {compartment!r}, is straight, got {how!r}",
                "pass " + Passing(distance="straight") + " or meshes alone",
            )
        return nearest_points(geometry.coordinates.astype(np.float64), seeds)
    if how == "sphere":
        unit = directions(geometry, compartment)
        lengths = np.linalg.norm(seeds, axis=1, keepdims=True)
        if not lengths.all():
            raise ArgumentError(
                "points",
                f"of {compartment!r} should have directions, but one is the middle of the sphere",
            )
        found, chord = nearest_points(unit, seeds / lengths)
        return found, 2 * geometry.radius * np.arcsin(np.minimum(chord / 2, 1))
    if geometry.anatomical is None:
        raise ArgumentError(
            "geometry",
            f": the mesh of {compartment!r} has no anatomical surface, on which distances are in "
            "mm",
            advise_surface("anatomical") + ", or pass " + Passing(distance="sphere"),
        )
    points = geometry.anatomical.astype(np.float64)
    if how == "straight":
        return nearest_points(points[geometry.vertices], seeds)
    return _nearest_along(geometry, points, seeds)


def _nearest_along(
    mesh: SurfaceMesh,
    points: Float64[np.ndarray, "vertices 3"],
    seeds: Float64[np.ndarray, "parcels 3"],
) -> tuple[Int32[np.ndarray, " locations"], Float64[np.ndarray, " locations"]]:
    from scipy.sparse.csgraph import dijkstra
    from scipy.spatial import KDTree

    faces = check_triangles(mesh, points, "anatomical")
    starts = mesh.vertices[KDTree(points[mesh.vertices]).query(seeds)[1]]
    graph = geodesic_graph(points, faces)
    # One search from all starts at once says of each vertex which start is its nearest.
    away, _, source = dijkstra(
        graph, indices=np.unique(starts), min_only=True, return_predecessors=True
    )
    parcel = np.full(mesh.n_vertices, -1, np.int32)
    # Of several points at one vertex the first has it.
    parcel[starts[::-1]] = np.arange(len(starts), dtype=np.int32)[::-1]
    found = np.where(np.isfinite(away), parcel[np.maximum(source, 0)], np.int32(-1))
    return found[mesh.vertices].astype(np.int32), away[mesh.vertices]
