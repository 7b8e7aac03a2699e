"""What parcels are like, in one table: sizes, places, shapes, neighbours, counterparts."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float64

from atlasinit.core.adjacency import count_borders, find_touching
from atlasinit.core.atlas import Atlas
from atlasinit.core.checking import check_atlas
from atlasinit.core.geometry import Geometry, SurfaceMesh, VolumeGrid
from atlasinit.core.homologues import find_homologues
from atlasinit.core.maps import Maps
from atlasinit.core.pieces import find_members, find_pieces
from atlasinit.measures.boundaries import measure_boundaries, measure_compactness
from atlasinit.measures.maps import (
    centres,
    find_points,
    parcel_sizes,
    positive_weights,
    scale_to_peak,
)
from atlasinit.support.typing import AnyArray

if TYPE_CHECKING:
    import pandas as pd
    from scipy.sparse import csr_array

_AXES = ("x", "y", "z")


def measure_parcels(atlas: Atlas) -> "pd.DataFrame":
    """Return a table of what each parcel is like, one row per parcel in the order of the labels.

    Lengths and sizes are of the memberships, each map's positive weights over its largest; of
    labels these are the parcels themselves.

    Parameters
    ----------
    atlas
        Of labels or weights, on grids or meshes.

    Returns
    -------
    pandas.DataFrame
        With the columns

        - ``name``, ``compartment``, ``hemisphere``: as in the labels;
        - ``n_locations``: locations with a weight that is not 0;
        - ``area`` (mm2, of what lies on meshes) and ``volume`` (mm3, on grids);
        - ``x``, ``y``, ``z``: the centre of mass in mm, which of a curved parcel lies beside it,
          and ``vertex``, that of the parcel's vertices nearest to it;
        - ``x_min`` to ``z_max``: the box of the centres of its voxels, or of its vertices, in mm;
        - ``pieces``: connected ones, by faces of voxels or edges of the mesh;
        - ``boundary_length`` (mm, on meshes: of the line that cuts edges in the middle, about a
          tenth longer than a smooth one) and ``surface_area`` (mm2, on grids: of the faces of
          voxels), against everything else, what is not kept included;
        - ``compactness``: on meshes 4 pi area / boundary_length^2, 1 of a disc in a plane; on
          grids the mean square distance from the centre of a ball of the same volume over the
          parcel's own, 1 of a ball and 0.924 of a cube;
        - ``n_neighbours``: parcels that it touches, as `adjacency` counts;
        - ``homologue``: the parcel of the other hemisphere with its name, empty where none is.

        What lies in several compartments (`Atlas.unite`) has sums, and means by weight; no vertex.
        An empty parcel has 0 for counts, sizes and lengths, and a missing value for all else.
        Missing, too, is what a mesh does not tell: areas without an anatomical surface (or
        ``areas``), coordinates without one, lengths, pieces and neighbours without triangles.

    Notes
    -----
    Of a parcel in one piece the centre is that of
    ``nilearn.plotting.find_parcellation_cut_coords``, which takes the largest piece of others
    (`split_parcels` by ``"pieces"`` parts them).

    Examples
    --------
    >>> import atlasinit as ai
    >>> atlas = ai.load_atlas("desikan-killiany", space="fsLR")
    >>> found = ai.measures.measure_parcels(atlas).set_index("name")
    >>> found.loc["L_insula", "homologue"]
    'R_insula'
    """
    check_atlas(atlas)
    import pandas as pd

    table, geometry = atlas.table, atlas.geometry
    memberships = {c: scale_to_peak(positive_weights(m)) for c, m in atlas.maps.items()}
    edges = {c: measure_boundaries(m, geometry[c]) for c, m in memberships.items()}
    shapes = [measure_compactness(m, geometry[c], edges[c]) for c, m in memberships.items()]
    locations, sizes = count_locations(atlas), measure_sizes(atlas)
    places, boxes = average(atlas, per_compartment(atlas, centres)), _find_boxes(atlas, memberships)
    meshes = {c: isinstance(g, SurfaceMesh) for c, g in geometry.items()}
    touching = adjacency(atlas)
    known = _add(atlas, {c: _has_neighbours(g) for c, g in geometry.items()}) > 0
    columns = {
        **{title: list(table[title]) for title in ("name", "compartment", "hemisphere")},
        "n_locations": locations,
        "area": _add(atlas, {c: v for c, v in sizes.items() if meshes[c]}),
        "volume": _add(atlas, {c: v for c, v in sizes.items() if not meshes[c]}),
        **dict(zip(_AXES, places.T, strict=True)),
        "vertex": pd.array(_find_vertices(atlas, memberships), dtype="Int64"),
        **dict(zip((f"{a}_{end}" for end in ("min", "max") for a in _AXES), boxes.T, strict=True)),
        "pieces": _mask_whole(_count_pieces(atlas), known),
        "boundary_length": _add(atlas, {c: v for c, v in edges.items() if meshes[c]}),
        "surface_area": _add(atlas, {c: v for c, v in edges.items() if not meshes[c]}),
        "compactness": average(atlas, shapes),
        "n_neighbours": _mask_whole(np.diff(touching.indptr), known),
        "homologue": list(find_homologues(table)),
    }
    return pd.DataFrame(columns)


def adjacency(atlas: Atlas) -> "csr_array":
    """Return how many pairs of touching locations each two parcels share.

    Voxels touch by a face, vertices by an edge of the mesh. Of weights each location is its
    parcel's of most weight (`Atlas.harden`). Nothing touches on a mesh without triangles.

    Returns
    -------
    scipy.sparse.csr_array
        Symmetric (parcels, parcels), integers, in the order of the labels, with an empty diagonal.
    """
    check_atlas(atlas)
    from scipy.sparse import csr_array

    shape = (atlas.n_parcels, atlas.n_parcels)
    total = csr_array(shape, dtype=np.int64)
    for c, maps in atlas.maps.items():
        own = count_borders(maps.harden(), find_touching(atlas.geometry[c])).tocoo()
        start = atlas.parcel_slices()[c].start
        total = total + csr_array((own.data, (own.row + start, own.col + start)), shape=shape)
    return csr_array(total)


def count_locations(atlas: Atlas) -> np.ndarray:
    """Return the number of locations with a weight of each parcel."""
    return atlas.header.add_rows(m.counts() for m in atlas.maps.values())


def measure_sizes(atlas: Atlas) -> dict[str, Float64[np.ndarray, " parcels"]]:
    """Return the areas in mm2 or volumes in mm3 of each compartment's parcels.

    Without areas of its own a mesh has them from the triangles of its anatomical surface, not
    from those of the sphere, which are blown up differently from place to place; else NaN.
    """
    return {
        c: np.full(m.n_parcels, np.nan)
        if isinstance(g := atlas.geometry[c], SurfaceMesh) and not g.has_vertex_areas
        else np.asarray(parcel_sizes(m, g))
        for c, m in atlas.maps.items()
    }


def per_compartment(atlas: Atlas, of: Callable[[Maps, Geometry], AnyArray]) -> list[np.ndarray]:
    """Return what is measured of the parcels of each compartment."""
    return [np.asarray(of(m, atlas.geometry[c])) for c, m in atlas.maps.items()]


def average(atlas: Atlas, parts: Sequence[np.ndarray]) -> np.ndarray:
    """Return values of parcels, of those in several compartments the mean by their weight."""
    weights = (m.totals(absolute=True) for m in atlas.maps.values())
    return atlas.header.average_rows(parts, weights)


def _add(atlas: Atlas, parts: Mapping[str, np.ndarray]) -> Float64[np.ndarray, " parcels"]:
    """Return sums over the compartments given; NaN for parcels of none of them."""
    total, there = np.zeros(atlas.n_parcels), np.zeros(atlas.n_parcels, bool)
    for c, values in parts.items():
        rows = atlas.parcel_slices()[c]
        total[rows] += values
        there[rows] = True
    return np.where(there, total, np.nan)


def _has_neighbours(geometry: Geometry) -> np.ndarray:
    return np.array(isinstance(geometry, VolumeGrid) or geometry.faces is not None, float)


def _mask_whole(values: np.ndarray, known: np.ndarray) -> Any:
    """Return whole numbers that may be missing, as pandas has them."""
    import pandas as pd

    return pd.array(np.where(known, values, np.nan), dtype="Int64")


def _find_boxes(atlas: Atlas, memberships: Mapping[str, Any]) -> Float64[np.ndarray, "parcels 6"]:
    """Return the least and then the largest x, y, z of each parcel's members."""
    low, high = np.full((atlas.n_parcels, 3), np.inf), np.full((atlas.n_parcels, 3), -np.inf)
    for c, own in memberships.items():
        points = find_points(atlas.geometry[c])
        members = own.tocoo()
        rows = members.row + atlas.parcel_slices()[c].start
        np.minimum.at(low, rows, points[members.col])
        np.maximum.at(high, rows, points[members.col])
    # Of a parcel without members both are infinite.
    boxes = np.concatenate([low, high], axis=1)
    return np.where(np.isfinite(boxes), boxes, np.nan)


def _find_vertices(atlas: Atlas, memberships: Mapping[str, Any]) -> list[int | None]:
    """Return the vertex of each parcel nearest to its centre, None where there is none."""
    found: list[int | None] = [None] * atlas.n_parcels
    homes = atlas.table["compartment"]
    for c, own in memberships.items():
        mesh = atlas.geometry[c]
        if isinstance(mesh, VolumeGrid) or mesh.anatomical is None:
            continue
        points = find_points(mesh)
        middle = np.asarray(centres(atlas.maps[c], mesh))
        members = own.tocoo()
        apart = np.linalg.norm(points[members.col] - middle[members.row], axis=1)
        # By parcel, then by distance, then by location: the first of each parcel is nearest.
        order = np.lexsort((members.col, apart, members.row))
        rows, first = np.unique(members.row[order], return_index=True)
        start = atlas.parcel_slices()[c].start
        for row, at in zip(rows.tolist(), order[first].tolist(), strict=True):
            # What several compartments share has its centre between them.
            if homes[row + start] == c:
                found[row + start] = int(mesh.vertices[members.col[at]])
    return found


def _count_pieces(atlas: Atlas) -> np.ndarray:
    counts = np.zeros(atlas.n_parcels, np.int64)
    for c, members in find_members(atlas).items():
        pieces = find_pieces(members, atlas.geometry[c])
        # Any member of a piece tells its parcel.
        first = np.unique(pieces, return_index=True)[1]
        counts += np.bincount(members[0][first], minlength=atlas.n_parcels)
    return counts
