"""What is odd about the parcels of an atlas: sizes, sides and pieces."""

from collections.abc import Mapping
from typing import TypeAlias

import numpy as np
from jaxtyping import Float, Int

from atlasinit.core.atlas import Atlas
from atlasinit.core.geometry import SurfaceMesh, VolumeGrid
from atlasinit.core.maps import HardMaps
from atlasinit.core.pieces import find_members, find_pieces
from atlasinit.errors import format_list
from atlasinit.inspection.findings import Notes
from atlasinit.report.findings import overlap_findings, parcel_findings
from atlasinit.report.parcels import measure

_MIDLINE = 2.0
"""mm from the plane between the hemispheres within which a location is of neither."""

_ASTRAY = 0.1
"""Share of a parcel's locations in the other hemisphere that is worth a look."""

_SHOWN = 5

Members: TypeAlias = Mapping[str, Int[np.ndarray, "2 members"]]
"""The row and the location of each weight, as `find_members` returns them."""


def note_parcels(atlas: Atlas, notes: Notes) -> None:
    """Note parcels that are empty, tiny, overlapping, on the other side or in pieces."""
    measures = measure(atlas)
    for sentence in parcel_findings(atlas, measures):
        notes.add("warning", "parcels", sentence[:1].lower() + sentence[1:])
    # Of probabilities overlap is the point.
    for sentence in overlap_findings(atlas, measures):
        notes.add("note", "parcels", sentence[:1].lower() + sentence[1:])
    members = find_members(atlas)
    _note_sides(atlas, members, notes)
    _note_pieces(atlas, members, notes)


def _note_sides(atlas: Atlas, members: Members, notes: Notes) -> None:
    """Note parcels of one hemisphere with a part in the other one."""
    away = np.zeros(atlas.n_parcels)
    total = np.zeros(atlas.n_parcels)
    sides = np.array(atlas.table["hemisphere"], object)
    for c, (rows, locations) in members.items():
        geometry = atlas.geometry[c]
        if not isinstance(geometry, VolumeGrid):
            continue
        x = geometry.coordinates[locations, 0]
        other = ((sides[rows] == "L") & (x > _MIDLINE)) | ((sides[rows] == "R") & (x < -_MIDLINE))
        away += np.bincount(rows[other], minlength=atlas.n_parcels)
        total += np.bincount(rows, minlength=atlas.n_parcels)
    share = away / np.maximum(total, 1)
    # Those that lie there for the most part are told by their centres.
    mixed = (share > _ASTRAY) & (share < 0.5)
    if mixed.any():
        told = _name(atlas, mixed, share, "{:.0%}")
        notes.add("warning", "sides", f"parcels of one hemisphere reach into the other: {told}")


def _note_pieces(atlas: Atlas, members: Members, notes: Notes) -> None:
    """Note isolated locations of labels, and labels in several pieces."""
    pieces = np.zeros(atlas.n_parcels, np.int64)
    single = np.zeros(atlas.n_parcels, np.int64)
    for c, there in members.items():
        geometry = atlas.geometry[c]
        # Weights lie wherever they are not 0; and without triangles no vertices touch.
        bare = isinstance(geometry, SurfaceMesh) and geometry.faces is None
        if bare or not isinstance(atlas.maps[c], HardMaps):
            continue
        own = find_pieces(there, geometry)
        first, sizes = np.unique(own, return_index=True, return_counts=True)[1:]
        rows = there[0][first]
        pieces += np.bincount(rows, minlength=atlas.n_parcels)
        single += np.bincount(rows[sizes == 1], minlength=atlas.n_parcels)
    # A parcel of one location is small, not in pieces.
    alone = (single > 0) & (pieces > 1)
    if alone.any():
        told = _name(atlas, alone, single, "{}")
        total = int(single[alone].sum())
        notes.add("warning", "parcels", f"{total} locations lie apart from their parcel: {told}")
    parted = (pieces - single > 1) & ~alone
    if parted.any():
        told = _name(atlas, parted, pieces, "{} pieces")
        notes.add("note", "parcels", f"parcels in several pieces: {told}")


def _name(
    atlas: Atlas,
    which: np.ndarray,
    numbers: Float[np.ndarray, " parcels"] | Int[np.ndarray, " parcels"],
    form: str,
) -> str:
    """Return the names of the parcels `which` with a number each, the largest first."""
    rows = np.flatnonzero(which)
    rows = rows[np.argsort(-numbers[rows], kind="stable")]
    names = atlas.table["name"]
    return format_list((f"{names[row]} ({form.format(numbers[row])})" for row in rows), _SHOWN)
