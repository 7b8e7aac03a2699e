"""How far parcels lie from one another, for surrogates that keep what neighbours have in common."""

from typing import Any

import numpy as np
from jaxtyping import Float64

from atlasinit.core.atlas import Atlas
from atlasinit.core.geometry import SurfaceMesh
from atlasinit.core.mesh import advise_surface
from atlasinit.core.named_values import align_matrix
from atlasinit.errors import ArgumentError, Passing, format_list
from atlasinit.io.centres import parcel_centres
from atlasinit.measures import centres
from atlasinit.nullmodels.hemispheres import shared_parcels
from atlasinit.smoothing.checks import check_triangles
from atlasinit.smoothing.surface import geodesic_graph


def parcel_distances(atlas: Atlas, how: Any) -> Float64[np.ndarray, "parcels parcels"]:
    """Return the distances of the parcels in mm; infinite between those that no path joins.

    NaN of empty parcels. `how` is as of `atlasinit.nulls`.

    Raises
    ------
    ValueError
        An unknown way; no anatomical surface; volumes, for paths along the cortex; a matrix that
        is not symmetric, negative, or 0 between parcels.
    """
    if not isinstance(how, str):
        return _check_matrix(align_matrix(how, atlas.table, argument="distances"), atlas)
    if how == "centroid":
        return _straight(atlas)
    if how == "geodesic":
        return _along_cortex(atlas)
    raise ArgumentError(
        "distances",
        f'should be "centroid", "geodesic" or a matrix (parcels, parcels) in mm, got {how!r}',
    )


def _straight(atlas: Atlas) -> Float64[np.ndarray, "parcels parcels"]:
    from scipy.spatial.distance import cdist

    _check_surfaces(atlas, "centroid")
    points = parcel_centres(atlas)
    return cdist(points, points)


def _along_cortex(atlas: Atlas) -> Float64[np.ndarray, "parcels parcels"]:
    from scipy.sparse.csgraph import dijkstra

    volumes = [c for c, g in atlas.geometry.items() if not isinstance(g, SurfaceMesh)]
    if volumes:
        raise ArgumentError(
            "distances",
            f": there are no paths along the cortex between voxels, as of {volumes[0]!r}",
            "pass " + Passing(distances="centroid"),
        )
    _check_surfaces(atlas, "geodesic")
    shared = shared_parcels(atlas)
    if shared:
        raise ArgumentError(
            "distances",
            f": {len(shared)} parcels lie in several hemispheres, as "
            f"{format_list(map(repr, shared), 3)}, between which no path leads",
            "pass " + Passing(distances="centroid") + ", or the atlas before `unite`",
        )
    out = np.full((atlas.n_parcels, atlas.n_parcels), np.nan)
    for c, mesh in atlas.geometry.items():
        assert isinstance(mesh, SurfaceMesh)
        assert mesh.anatomical is not None
        points = mesh.anatomical.astype(np.float64)
        faces = check_triangles(mesh, points, "anatomical")
        rows, middle = _middle_vertices(atlas, c, points)
        paths = dijkstra(geodesic_graph(points, faces), indices=middle)[:, middle]
        out[np.ix_(rows, rows)] = np.minimum(paths, paths.T)
    # Both have locations, but no path leads from one hemisphere to the other.
    filled = ~np.isnan(np.diag(out))
    out[np.isnan(out) & filled & filled[:, None]] = np.inf
    return out


def _middle_vertices(
    atlas: Atlas, compartment: str, points: Float64[np.ndarray, "vertices 3"]
) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows of the parcels with locations, and of each the vertex nearest its centre."""
    maps, mesh = atlas.maps[compartment], atlas.geometry[compartment]
    assert isinstance(mesh, SurfaceMesh)
    matrix = maps.to_scipy()
    middles = np.asarray(centres(maps, mesh))
    rows, found = [], []
    for k in np.flatnonzero(np.isfinite(middles[:, 0])):
        weighted = slice(matrix.indptr[k], matrix.indptr[k + 1])
        own = mesh.vertices[matrix.indices[weighted][matrix.data[weighted] > 0]]
        rows.append(k + atlas.parcel_slices()[compartment].start)
        found.append(own[np.linalg.norm(points[own] - middles[k], axis=1).argmin()])
    return np.array(rows, np.int64), np.array(found, np.int64)


def _check_surfaces(atlas: Atlas, how: str) -> None:
    flat = [
        c
        for c, g in atlas.geometry.items()
        if isinstance(g, SurfaceMesh)
        and (g.anatomical is None or (how == "geodesic" and g.faces is None))
    ]
    if flat:
        needed = "anatomical surface" + (" with faces" if how == "geodesic" else "")
        raise ArgumentError(
            "distances",
            f": {format_list(map(repr, flat), 3)} has no {needed}, on which distances are in mm",
            advise_surface("anatomical") + ", or pass a matrix (parcels, parcels)",
        )


def _check_matrix(matrix: np.ndarray, atlas: Atlas) -> Float64[np.ndarray, "parcels parcels"]:
    found = matrix.astype(np.float64)
    with np.errstate(invalid="ignore"):  # infinity less infinity is NaN, and equal here
        off = np.abs(found - found.T) > 1e-6 * np.abs(found)
    if off.any():
        i, j = np.argwhere(off)[0]
        names = atlas.table["name"]
        raise ArgumentError(
            "distances",
            f"should be symmetric, but from {names[i]!r} to {names[j]!r} it is {found[i, j]:g}, "
            f"and {found[j, i]:g} back",
        )
    between = ~np.eye(len(found), dtype=bool)
    if (found[between] <= 0).any():
        raise ArgumentError(
            "distances",
            f"should be positive between parcels, got {np.nanmin(found[between]):g}",
        )
    return found
