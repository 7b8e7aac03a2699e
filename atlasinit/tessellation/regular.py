"""Parcels of a regular layout: cells of a subdivided icosahedron, and compact ones of one size."""

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from jaxtyping import Float64

from atlasinit.core.atlas import Atlas
from atlasinit.core.counts import count_parcels
from atlasinit.core.geometry import Geometry, SurfaceMesh, VolumeGrid, triangle_vertex_areas
from atlasinit.core.labels import hemisphere_of
from atlasinit.errors import ArgumentError, Call
from atlasinit.measures import location_sizes
from atlasinit.nullmodels.rotations import MIRROR, check_rotations, mirror
from atlasinit.support.keys import check_key
from atlasinit.support.numbers import check_whole_number
from atlasinit.tessellation.equal import split_equally
from atlasinit.tessellation.making import (
    directions,
    make_atlas,
    nearest_points,
    take_geometries,
)


def icosahedral_atlas(
    geometry: Mapping[str, Geometry] | Atlas,
    *,
    divisions: int,
    rotation: Any = None,
    name: str = "icosahedral",
    space: str = "",
) -> Atlas:
    r"""Return the atlas whose parcels are the cells around the vertices of a divided icosahedron.

    Each edge of an icosahedron is divided into so many parts as `divisions` says, each face into
    their square, and the corners of these are moved onto the sphere:
    :math:`10 f^2 + 2` points, as 12, 42, 92, 162, 252, ... Each location belongs to the point
    nearest on the sphere, so that parcels are hexagons, but for twelve pentagons. The points of a
    right hemisphere are mirror images of the left one's: parcels of one number correspond.

    Parameters
    ----------
    geometry
        Compartment to `SurfaceMesh` with a sphere; or an atlas, whose geometry and space are
        taken.
    divisions
        Parts of each edge, from 1.
    rotation
        A matrix (3, 3) that turns the left hemisphere's points, as one of
        `atlasinit.nullmodels.draw_rotations`, for parcels that lie anywhere. By default the
        corners of the icosahedron are :math:`(0, \pm 1, \pm (1 + \sqrt{5})/2)` and these
        coordinates in turn.
    name, space
        Of the new atlas.

    Returns
    -------
    Atlas
        Of labels, numbered from 1 in each compartment. Parcels that lie in what is not kept, as
        the medial wall, stay as empty rows.

    Raises
    ------
    ValueError
        Grids, meshes without a sphere, `divisions` below 1, a rotation that is none.
    TypeError
        A geometry without the name of its compartment.

    Examples
    --------
    >>> import atlasinit as ai
    >>> atlas = ai.load_atlas("desikan-killiany", space="fsaverage5")
    >>> ai.icosahedral_atlas(atlas, divisions=3).n_parcels
    184
    """
    parts = check_whole_number(divisions, "divisions", least=1)
    places, space = take_geometries(geometry, space)
    points = icosahedral_points(parts)
    turn = np.eye(3)[None] if rotation is None else check_rotations(rotation)
    if len(turn) != 1:
        raise ArgumentError("rotation", f"should be one, got {len(turn)}")
    labels = {}
    for c, mesh in places.items():
        if isinstance(mesh, VolumeGrid):
            raise ArgumentError(
                "geometry",
                f": {c!r} is a grid, on which there is no sphere",
                "for parcels of a volume call `ai.equal_area_atlas` or `ai.voronoi_atlas`",
            )
        right = (mesh.hemisphere or hemisphere_of("", c)) == "R"
        own = points @ MIRROR if right else points
        own = own @ (mirror(turn) if right else turn)[0].T
        labels[c], _ = nearest_points(directions(mesh, c), own)
    return make_atlas(
        labels,
        dict.fromkeys(places, len(points)),
        places,
        name=name,
        space=space,
        operation=f"icosahedral_atlas(divisions={parts})",
    )


def icosahedral_points(divisions: int) -> Float64[np.ndarray, "points 3"]:
    """Return the corners of an icosahedron whose edges are divided, on the sphere of radius 1."""
    golden = (1 + 5**0.5) / 2
    corners = np.array([[0, a, b * golden] for a in (-1, 1) for b in (-1, 1)])
    corners = np.concatenate([np.roll(corners, i, axis=1) for i in range(3)])
    near = np.isclose(np.linalg.norm(corners[:, None] - corners, axis=2), 2)
    faces = np.array(
        [
            (a, b, c)
            for a in range(12)
            for b in range(a + 1, 12)
            for c in range(b + 1, 12)
            if near[a, b] and near[b, c] and near[a, c]
        ]
    )
    # Whole shares of the three corners, of the sum `divisions`.
    shares = [
        (i, j, divisions - i - j) for i in range(divisions + 1) for j in range(divisions + 1 - i)
    ]
    points = (np.array(shares, float) @ corners[faces]).reshape(-1, 3) / divisions
    # Points of edges come from two faces, corners from five.
    _, first = np.unique(points.round(9), axis=0, return_index=True)
    points = points[np.sort(first)]
    return points / np.linalg.norm(points, axis=1, keepdims=True)


def equal_area_atlas(
    geometry: Mapping[str, Geometry] | Atlas,
    n_parcels: int | Mapping[str, int],
    *,
    key: jax.Array,
    name: str = "equal",
    space: str = "",
) -> Atlas:
    r"""Return an atlas of compact parcels of equal areas, or volumes, laid out at random.

    k-means of the locations' coordinates with the parcels' sizes held equal: each location
    belongs to the parcel of least :math:`|x - c_k|^2 - w_k`, the centre :math:`c_k` being the
    mean of the parcel, and the weights :math:`w_k` such that sizes are equal (Aurenhammer,
    Hoffmann and Aronov, 1998, Minkowski-type theorems and least-squares clustering). Sizes differ
    by about what one location has; those of plain k-means by half their mean and more.

    On a mesh coordinates are those of its sphere, on which a parcel is bounded by great or small
    circles, and areas in mm2 those of its vertices: ``areas``, or of the anatomical surface, else
    of the sphere. On a grid coordinates are in mm and every voxel counts alike; a parcel is
    convex, but where the grid's mask is folded it may lie on both sides of a fold.

    Parameters
    ----------
    geometry
        Compartment to `VolumeGrid` or `SurfaceMesh` with a sphere; or an atlas, whose geometry
        and space are taken.
    n_parcels
        Number of parcels of every compartment, or of each.
    key
        Of the layout. The same key lays hemispheres out alike only where these are alike.
    name, space
        Of the new atlas.

    Returns
    -------
    Atlas
        Of labels, numbered from 1 in each compartment.

    Raises
    ------
    ValueError
        More parcels than locations; meshes without a sphere, or without areas and faces.
    TypeError
        A geometry without the name of its compartment; a key that is none.

    Examples
    --------
    >>> import jax
    >>> import numpy as np
    >>> import atlasinit as ai
    >>> grid = ai.VolumeGrid((6, 6, 6), np.diag([2.0, 2.0, 2.0, 1.0]))
    >>> atlas = ai.equal_area_atlas({"volume": grid}, 4, key=jax.random.key(0))
    >>> atlas.labels["n_locations"].tolist()
    [54, 54, 54, 54]
    """
    places, space = take_geometries(geometry, space)
    counts = count_parcels(n_parcels, places, least=1)
    numbers = np.asarray(jax.random.key_data(check_key(key))).tolist()
    labels = {}
    for i, (c, own) in enumerate(places.items()):
        if counts[c] > own.n_locations:
            raise ArgumentError(
                "n_parcels",
                f"should be at most the {own.n_locations} locations of {c!r}, got {counts[c]}",
            )
        surface = isinstance(own, SurfaceMesh)
        points = (
            directions(own, c) * own.radius if isinstance(own, SurfaceMesh) else own.coordinates
        )
        labels[c] = split_equally(
            points.astype(np.float64),
            _sizes(own, c),
            counts[c],
            rng=np.random.default_rng([*numbers, i]),
            dimensions=2 if surface else 3,
        )
    return make_atlas(
        labels,
        counts,
        places,
        name=name,
        space=space,
        operation=f"equal_area_atlas({dict(counts)})",
    )


def _sizes(geometry: Geometry, compartment: str) -> Float64[np.ndarray, " locations"]:
    if isinstance(geometry, VolumeGrid) or geometry.has_vertex_areas:
        sizes = location_sizes(geometry)
    elif geometry.faces is None:
        raise ArgumentError(
            "geometry",
            f": the mesh of {compartment!r} has neither areas nor faces to make them of",
            "give its triangles by " + Call("mesh.replace", faces=...),
        )
    else:
        assert geometry.sphere is not None
        sphere = geometry.sphere.astype(np.float64)
        sizes = triangle_vertex_areas(sphere, geometry.faces)[geometry.vertices]
    if not sizes.sum() > 0:
        raise ArgumentError("geometry", f": the areas of {compartment!r} are all 0")
    return sizes
