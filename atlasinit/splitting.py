"""Parcels of an atlas split: at the midline, or into their connected pieces."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from jaxtyping import Int, Int8

from atlasinit.core.atlas import Atlas
from atlasinit.core.checking import check_atlas
from atlasinit.core.geometry import Geometry, VolumeGrid
from atlasinit.core.grid import SHARE
from atlasinit.core.labels import LabelTable, hemisphere_of, take_free_name
from atlasinit.core.maps import DenseMaps, HardMaps, Maps, SparseMaps
from atlasinit.core.pieces import find_members, find_pieces
from atlasinit.errors import Argument, ArgumentError, Call, format_count, format_list
from atlasinit.support.arrays import make_read_only

_SIDES = ("L", "R")


def split_parcels(atlas: Atlas, by: str) -> Atlas:
    """Return the atlas with parcels of two sides, or of several pieces, as several parcels.

    Each location of a parcel, which is where its weight is not 0, goes to one of the new ones with
    the weight that it has. `merge_parcels` undoes it.

    Parameters
    ----------
    atlas
        The atlas, of labels or of maps.
    by
        ``"midline"``: what lies on both sides of x = 0 becomes ``L_name`` and ``R_name``, with
        their hemispheres. A voxel's side is that of its centre in mm, of which x < 0 is left;
        centres at 0, to a hundredth of a voxel, make no parcel two, and go to the left of one
        that is. A vertex has the side of its mesh, so that only parcels that both hemispheres
        share (`Atlas.unite`) become two. That x = 0 is between the hemispheres holds in the
        spaces of templates; a scanner has its 0 elsewhere.

        ``"pieces"``: what has several connected pieces becomes ``name-1``, ``name-2``, ..., by
        falling number of locations, of equal ones in the order of their first. Voxels are connected
        where they share a face, vertices where an edge joins them, and locations of two
        compartments never.

    Returns
    -------
    Atlas
        New parcels are neighbouring rows, where theirs was. The first keeps the key; further ones
        count on from the largest key of the whole atlas. Other columns are those of the parcel. A
        name that is taken gets a count behind. All other parcels, empty ones included, stay what
        they are.

    Raises
    ------
    ValueError
        Another `by`; for the midline a mesh that states no side, for pieces one without faces;
        keys that would not fit int32.

    Notes
    -----
    Pieces of labels are those of ``scipy.ndimage.label`` in each parcel, and of
    ``nilearn.regions.connected_label_regions`` with ``connect_diag=False``.

    Examples
    --------
    >>> import atlasinit as ai
    >>> atlas = ai.load_atlas("desikan-killiany", space="fsaverage5").unite(by="name")
    >>> ai.split_parcels(atlas, "midline").labels["name"].tolist()[:2]
    ['L_bankssts', 'R_bankssts']
    """
    check_atlas(atlas)
    rules: dict[str, Callable[[Atlas, _Members], _Parts]] = {
        "midline": _by_midline,
        "pieces": _by_pieces,
    }
    if by not in rules:
        raise ArgumentError("by", f'should be "midline" or "pieces", got {by!r}')
    members = find_members(atlas)
    parts = rules[by](atlas, members)
    counts = _count_parts(members, parts, len(atlas.table))
    labels = _name_parts(atlas.table, counts, by)
    # First new row of each old one.
    starts = np.concatenate([[0], np.cumsum(counts)])
    maps = {}
    for c, own in atlas.maps.items():
        old, locations = members[c]
        rows = labels.rows_of(c)
        places = starts[old] + parts[c] - rows.start
        maps[c] = _spread(own, old - atlas.table.rows_of(c).start, locations, places, len(rows))
    split = [repr(n) for n, count in zip(atlas.table["name"], counts, strict=True) if count > 1]
    told = f"{format_list(split, 5)}; " if split else ""
    told += f"{format_count(len(atlas.table), 'parcel')} to {len(labels)}"
    return atlas.replace(maps=maps, labels=labels, operation=f"split_parcels(by={by!r}; {told})")


_Members = Mapping[str, Int[np.ndarray, "2 members"]]
"""Compartment to the row of the table and the location of each weight that is not 0."""
_Parts = Mapping[str, Int[np.ndarray, " members"]]
"""Compartment to the part of its parcel, from 0, that each of these is in."""


def _by_midline(atlas: Atlas, members: _Members) -> _Parts:
    sides = {c: _side_of(c, geometry) for c, geometry in atlas.geometry.items()}
    both = np.zeros((2, len(atlas.table)), bool)
    for c, (rows, locations) in members.items():
        own = sides[c][locations]
        for half, side in enumerate((-1, 1)):
            both[half, rows[np.flatnonzero(own == side)]] = True
    two = both[0] & both[1]
    return {c: (two[r] & (sides[c][at] > 0)).astype(np.int64) for c, (r, at) in members.items()}


def _side_of(compartment: str, geometry: Geometry) -> Int8[np.ndarray, " locations"]:
    """Return -1 for each location on the left, 1 on the right, and 0 on the midline."""
    if isinstance(geometry, VolumeGrid):
        x = geometry.coordinates[:, 0]
        near = np.abs(x) <= SHARE * geometry.voxel_sizes.min()
        return np.where(near, 0, np.sign(x)).astype(np.int8)
    side = hemisphere_of("", compartment) or geometry.hemisphere
    if not side:
        raise ArgumentError(
            "atlas",
            f": a midline divides hemispheres, but the mesh of {compartment!r} states no side",
            "state it by the name of its compartment, cortex_L or cortex_R",
        )
    return np.full(geometry.n_locations, -1 if side == "L" else 1, np.int8)


def _by_pieces(atlas: Atlas, members: _Members) -> _Parts:
    found, sizes, rows = {}, [], []
    for c, own in members.items():
        _check_faces(c, atlas.geometry[c])
        # Numbers of pieces count on through all compartments, as parcels may lie in several.
        pieces = find_pieces(own, atlas.geometry[c]) + sum(map(len, sizes))
        first = np.unique(pieces, return_index=True)[1]
        found[c] = pieces
        sizes.append(np.unique(pieces, return_counts=True)[1])
        rows.append(own[0][first])
    size, row = np.concatenate(sizes), np.concatenate(rows)
    # By row, then by falling size; equal ones stay in the order of their first locations.
    order = np.lexsort((np.arange(size.size), -size, row))
    ranks = np.empty(size.size, np.int64)
    # The rank within the row: the place in the order, less that of the row's first piece.
    ranks[order] = np.arange(size.size) - np.searchsorted(row[order], row[order])
    return {c: ranks[pieces] for c, pieces in found.items()}


def _check_faces(compartment: str, geometry: Geometry) -> None:
    if not isinstance(geometry, VolumeGrid) and geometry.faces is None:
        raise ArgumentError(
            "atlas",
            f": the mesh of {compartment!r} has no triangles, so that nothing says which vertices "
            "touch",
            "add them by `mesh.replace(faces=...)`, or load the atlas with " + Argument("meshes"),
        )


def _count_parts(members: _Members, parts: _Parts, n_rows: int) -> Int[np.ndarray, " rows"]:
    """Return how many rows each becomes: one at least."""
    counts = np.ones(n_rows, np.int64)
    for c, (rows, _) in members.items():
        np.maximum.at(counts, rows, parts[c] + 1)
    return counts


def _name_parts(table: LabelTable, counts: Int[np.ndarray, " rows"], by: str) -> LabelTable:
    """Return the table with rows of the parts in the place of the parcels'."""
    taken = {n for n, count in zip(table["name"], counts, strict=True) if count == 1}
    # From 1 on, as 0 and below are no parcels in files.
    key = max((0, *table["key"])) + 1
    if key + int((counts - 1).sum()) > 2**31:
        problem = f": no keys are left for new parcels above {key - 1}, its largest"
        raise ArgumentError(
            "atlas", problem, "number them anew by " + Call("ai.renumber_parcels", "atlas")
        )
    listed: list[dict[str, Any]] = []
    for row, count in enumerate(counts.tolist()):
        own = {title: table[title][row] for title in table.columns}
        for part in range(count):
            changed: dict[str, Any] = {}
            if count > 1 and by == "midline":
                changed = {"name": f"{_SIDES[part]}_{own['name']}", "hemisphere": _SIDES[part]}
            elif count > 1:
                changed = {"name": f"{own['name']}-{part + 1}"}
            if changed:
                changed["name"] = take_free_name(changed["name"], taken)
            if part:
                changed["key"], key = key, key + 1
            listed.append(own | changed)
    return LabelTable({title: [row[title] for row in listed] for title in table.columns})


def _spread(
    maps: Maps,
    rows: Int[np.ndarray, " members"],
    locations: Int[np.ndarray, " members"],
    places: Int[np.ndarray, " members"],
    n_parcels: int,
) -> Maps:
    """Return maps of `n_parcels` rows, the weight at each (row, location) in the row `places`."""
    if isinstance(maps, HardMaps):
        labels = np.full(maps.n_locations, -1, np.int32)
        labels[locations] = places
        return HardMaps(labels, n_parcels)
    shape = (n_parcels, maps.n_locations)
    if isinstance(maps, DenseMaps):
        values = np.asarray(maps.values)
        out = np.zeros(shape, values.dtype)
        out[places, locations] = values[rows, locations]
        return DenseMaps(make_read_only(out))
    values = np.asarray(maps.values)
    # By new row and then by location, as CSR has them.
    order = np.lexsort((locations, places))
    ends = np.concatenate([[0], np.cumsum(np.bincount(places, minlength=n_parcels))])
    return SparseMaps(
        values[values != 0][order],
        locations[order].astype(np.int32),
        ends.astype(np.int32),
        maps.n_locations,
    )
