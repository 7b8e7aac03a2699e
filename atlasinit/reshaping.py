"""Labels that grow into what belongs to no parcel, or shrink from their borders."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Int

from atlasinit.aligning import unite_geometries
from atlasinit.core.adjacency import find_borders
from atlasinit.core.atlas import Atlas
from atlasinit.core.checking import check_labels
from atlasinit.core.geometry import Geometry, SurfaceMesh, VolumeGrid
from atlasinit.core.maps import HardMaps
from atlasinit.core.uniting import place_locations
from atlasinit.errors import (
    Argument,
    ArgumentError,
    ArgumentTypeError,
    format_count,
    format_list,
    warn,
)
from atlasinit.io.overlay.masks import keep_voxels
from atlasinit.support.numbers import take_number

if TYPE_CHECKING:
    from scipy.sparse import csr_array

_EQUAL = 1 + 1e-9
"""Ratio up to which two distances are equal: sums of squares are rounded."""


def dilate_parcels(atlas: Atlas, distance: float | int, *, within: Any = None) -> Atlas:
    """Return the atlas with labels where there was none, near parcels.

    Each location without a parcel goes to the one that has the nearest location, if that is no
    farther than `distance`. What belongs to a parcel stays in it.

    Parameters
    ----------
    atlas
        Of labels.
    distance
        In mm: along straight lines between centres of voxels, along the edges of the anatomical
        surface between vertices. Infinity fills all that `within` has.
    within
        Where parcels may grow: a mask as of `load_atlas` for an atlas of one volume (an image, its
        path, a `VolumeGrid`), a `SurfaceMesh` for one of one mesh; an atlas, for what it keeps; or
        a mapping from compartments to these, in which what is absent does not grow. By default
        every voxel of grids, and the vertices that the atlas keeps: not the medial wall.

    Returns
    -------
    Atlas
        With the same rows. Compartments have the locations that they had, and those that were
        added; a grid has them in its own order then, without the runs of CIFTI structures. Of
        parcels that are equally near a voxel the first has it.

    Raises
    ------
    ValueError
        Weights, a distance that is not above 0, a `within` on another grid or mesh or of another
        compartment, a mesh without triangles or an anatomical surface.
    TypeError
        A `within` that is no place.

    Notes
    -----
    On grids ``skimage.segmentation.expand_labels``, in mm and with a rule for equal distances.

    Examples
    --------
    >>> import numpy as np
    >>> import atlasinit as ai
    >>> grid = ai.VolumeGrid((9, 9, 9), np.diag([2.0, 2.0, 2.0, 1.0]))
    >>> seed = ai.sphere_atlas([(8, 8, 8)], grid, radius=0, space="mine")
    >>> ai.dilate_parcels(seed, 2).labels["n_locations"].tolist()
    [7]
    """
    check_labels(atlas)
    reach = _check_distance(distance)
    maps, geometry, added = {}, {}, 0
    for c, place in _find_places(atlas, within).items():
        whole, (own, other) = unite_geometries(
            [atlas.geometry[c], place], [atlas.name, "within"], compartment=c, argument="within"
        )
        placed = place_locations(atlas.maps[c], own, whole.n_locations)
        labels = np.array(placed.harden().labels)
        free = np.zeros(labels.size, bool)
        free[other] = labels[other] < 0
        at = np.flatnonzero(free)
        labels[at] = (
            _grow_voxels(labels, whole, at, reach)
            if isinstance(whole, VolumeGrid)
            else _grow_vertices(labels, whole, at, reach)
        )
        kept = labels >= 0
        added += int(np.count_nonzero(kept[at]))
        kept[own] = True
        maps[c] = HardMaps(labels[kept], placed.n_parcels)
        geometry[c] = whole if kept.all() else whole.restrict(kept)
    told = f"dilate_parcels({reach:g} mm; {format_count(added, 'location')} added)"
    return atlas.replace(maps=maps, geometry=geometry, operation=told)


def erode_parcels(atlas: Atlas, distance: float | int) -> Atlas:
    """Return the atlas without the labels near the border of their parcel.

    A location loses its label if anything else lies within `distance` of it: another parcel, none,
    what is not kept, or what is beyond the grid.

    Parameters
    ----------
    atlas
        Of labels.
    distance
        In mm, as of `dilate_parcels`.

    Returns
    -------
    Atlas
        With the same rows and locations. Parcels that lose all stay as empty rows, and a warning
        names them.

    Raises
    ------
    ValueError
        Weights, a distance that is not above 0, a mesh without triangles or an anatomical surface.

    Notes
    -----
    On grids the voxels that ``scipy.ndimage.distance_transform_edt`` of each parcel has above
    `distance`.
    """
    check_labels(atlas)
    reach = _check_distance(distance)
    maps, removed = {}, 0
    for c, own in atlas.maps.items():
        labels, geometry = np.array(own.harden().labels), atlas.geometry[c]
        depths = (
            _voxel_depths(labels, geometry)
            if isinstance(geometry, VolumeGrid)
            else _vertex_depths(labels, geometry)
        )
        lost = (labels >= 0) & (depths <= reach * _EQUAL)
        removed += int(np.count_nonzero(lost))
        labels[lost] = -1
        maps[c] = HardMaps(labels, own.n_parcels)
    told = f"erode_parcels({reach:g} mm; {format_count(removed, 'location')} removed)"
    eroded = atlas.replace(maps=maps, operation=told)
    gone = np.flatnonzero(np.asarray(eroded.labels["empty"]) & ~np.asarray(atlas.labels["empty"]))
    if gone.size:
        names = format_list(np.array(atlas.table["name"])[gone])
        warn(f"{format_count(gone.size, 'parcel')} lost all locations by erosion: {names}.")
    return eroded


def _check_distance(distance: Any) -> float:
    reach = take_number(distance, "distance", "a length in mm")
    # NaN compares as false, and is refused, too.
    if not reach > 0:
        raise ArgumentError("distance", f"should be a length in mm above 0, got {reach:g}")
    return reach


def _find_places(atlas: Atlas, within: Any) -> dict[str, Geometry]:
    """Return the geometry of each compartment in which its parcels may grow."""
    if within is None:
        # A grid without `voxels` keeps all.
        return {
            c: VolumeGrid(g.shape, g.affine) if isinstance(g, VolumeGrid) else g
            for c, g in atlas.geometry.items()
        }
    if isinstance(within, Atlas):
        within = within.geometry
    if not isinstance(within, Mapping):
        if len(atlas.compartments) > 1:
            raise ArgumentError(
                "within",
                f"should be a mapping from some of {list(atlas.compartments)} to where their "
                "parcels may grow, got one place",
            )
        within = dict.fromkeys(atlas.compartments, within)
    unknown = [c for c in within if c not in atlas.compartments]
    places: dict[str, Geometry] = {}
    if unknown or not within:
        raise ArgumentError(
            "within", f": compartments are {list(atlas.compartments)}, got {list(within)}"
        )
    for c, place in within.items():
        if isinstance(place, VolumeGrid | SurfaceMesh):
            places[c] = place
        elif isinstance(atlas.geometry[c], SurfaceMesh):
            kind = type(place).__name__
            raise ArgumentTypeError("within", f"of {c!r} should be a SurfaceMesh, got {kind}")
        else:
            try:
                places[c] = keep_voxels(place, space=atlas.space).grid
            except (ArgumentError, ArgumentTypeError) as error:
                raise error.of("within") if error.argument == "mask" else error from error
    return places


def _grow_voxels(
    labels: Int[np.ndarray, " locations"],
    grid: VolumeGrid,
    at: Int[np.ndarray, " free"],
    reach: float,
) -> Int[np.ndarray, " free"]:
    """Return the label of the nearest voxel that has one, -1 beyond reach."""
    from scipy.spatial import KDTree

    out = np.full(at.size, -1, np.int32)
    # The nearest voxel of a parcel is one of its border.
    rim = np.flatnonzero(find_borders(labels, grid))
    if not rim.size or not at.size:
        return out
    points = grid.coordinates
    tree = KDTree(points[rim])
    bound = reach * _EQUAL
    distances, found = tree.query(points[at], k=min(2, rim.size), distance_upper_bound=bound)
    nearest, index = (x.reshape(at.size, -1) for x in (distances, found))
    near = np.isfinite(nearest[:, 0])
    out[near] = labels[rim[index[near, 0]]]
    if nearest.shape[1] > 1:
        ties = np.flatnonzero(near & (nearest[:, 1] <= nearest[:, 0] * _EQUAL))
        radii = nearest[ties, 0] * _EQUAL
        for i, own in zip(ties, tree.query_ball_point(points[at[ties]], radii), strict=True):
            out[i] = labels[rim[own]].min()
    return out


def _grow_vertices(
    labels: Int[np.ndarray, " locations"],
    mesh: SurfaceMesh,
    at: Int[np.ndarray, " free"],
    reach: float,
) -> Int[np.ndarray, " free"]:
    """Return the label of the nearest vertex that has one, along edges; -1 beyond reach."""
    from scipy.sparse.csgraph import dijkstra

    sources = np.flatnonzero(labels >= 0)
    if not sources.size or not at.size:
        return np.full(at.size, -1, np.int32)
    graph = _edge_graph(mesh, labels)
    # Paths lead through vertices that are kept, and come from one source each.
    _, _, source = dijkstra(
        graph, indices=sources, limit=reach * _EQUAL, min_only=True, return_predecessors=True
    )
    found = source[at]
    return np.where(found >= 0, labels[np.maximum(found, 0)], -1).astype(np.int32)


def _voxel_depths(labels: Int[np.ndarray, " locations"], grid: VolumeGrid) -> Any:
    """Return how far each voxel of a parcel lies from the nearest that is not of its parcel."""
    from scipy.spatial import KDTree

    # One more voxel on each side, of which none is of a parcel.
    whole = np.pad(grid.put(labels, fill=-1.0), 1, constant_values=-1)
    inner, outer = [], []
    for axis in range(3):
        moved = np.moveaxis(np.arange(whole.size).reshape(whole.shape), axis, 0)
        low, high = moved[:-1].reshape(-1), moved[1:].reshape(-1)
        differ = whole.reshape(-1)[low] != whole.reshape(-1)[high]
        inner += [low[differ], high[differ]]
        outer += [high[differ], low[differ]]
    # What lies outside of a parcel and is nearest to one of its voxels touches the parcel: a step
    # from there towards the voxel leads into it.
    ours, theirs = np.concatenate(inner), np.concatenate(outer)
    parcels = whole.reshape(-1)[ours]
    order = np.argsort(parcels, kind="stable")
    starts = np.searchsorted(parcels[order], np.arange(labels.max(initial=-1) + 2))
    members = np.argsort(labels, kind="stable")
    ends = np.searchsorted(labels[members], np.arange(labels.max(initial=-1) + 2))
    points = grid.coordinates
    depths = np.full(labels.size, np.inf)
    for row in range(len(starts) - 1):
        shell = np.unique(theirs[order[starts[row] : starts[row + 1]]])
        own = members[ends[row] : ends[row + 1]]
        if own.size:
            ijk = np.stack(np.unravel_index(shell, whole.shape), axis=-1) - 1
            outside = ijk @ grid.affine[:3, :3].T + grid.affine[:3, 3]
            depths[own] = KDTree(outside).query(points[own])[0]
    return depths


def _vertex_depths(labels: Int[np.ndarray, " locations"], mesh: SurfaceMesh) -> Any:
    """Return how far each vertex lies from the nearest that is not of its parcel, along edges."""
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import dijkstra

    whole = mesh.put(labels, fill=-1.0)
    one, other, lengths = _edges(mesh)
    differ = whole[one] != whole[other]
    n = mesh.n_vertices
    # The shortest edge that leads out, of each vertex that has one.
    out = np.full(n, np.inf)
    for here in (one, other):
        np.minimum.at(out, here[differ], lengths[differ])
    rim = np.flatnonzero(np.isfinite(out))
    inside = ~differ
    # One more node stands for all that is outside: a single search finds all depths.
    rows = np.concatenate([one[inside], other[inside], np.full(rim.size, n)])
    columns = np.concatenate([other[inside], one[inside], rim])
    values = np.concatenate([lengths[inside], lengths[inside], out[rim]])
    graph = csr_array((values, (rows, columns)), shape=(n + 1, n + 1))
    return mesh.take(dijkstra(graph, indices=n)[:n])


def _edges(mesh: SurfaceMesh) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the vertices of each edge of the whole mesh, once, and its length in mm."""
    if mesh.anatomical is None or mesh.faces is None:
        lacks = "an anatomical surface" if mesh.anatomical is None else "triangles"
        raise ArgumentError(
            "atlas",
            f": {mesh!r} lacks {lacks}, without which there are no distances along it",
            "load the atlas with " + Argument("meshes"),
        )
    ends = np.sort(mesh.faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1)
    one, other = np.unique(ends, axis=0).T
    points = mesh.anatomical.astype(np.float64)
    return one, other, np.linalg.norm(points[one] - points[other], axis=1)


def _edge_graph(mesh: SurfaceMesh, labels: Int[np.ndarray, " locations"]) -> "csr_array":
    """Return the lengths of edges between locations, none between two that have labels."""
    from scipy.sparse import csr_array

    one, other, lengths = _edges(mesh)
    ends = mesh.locations[np.stack([one, other])]
    # Of two vertices with labels each is a source itself.
    kept = np.flatnonzero((ends >= 0).all(axis=0))
    kept = kept[~(labels[ends[:, kept]] >= 0).all(axis=0)]
    low, high = ends[:, kept]
    n = mesh.n_locations
    both = (np.concatenate([low, high]), np.concatenate([high, low]))
    return csr_array((np.tile(lengths[kept], 2), both), shape=(n, n))
