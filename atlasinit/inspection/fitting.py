"""Whether files fit together, by what the readers compare when they are used together."""

import itertools
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

import numpy as np

from atlasinit.core.atlas import Atlas
from atlasinit.core.geometry import Geometry, SurfaceMesh, VolumeGrid
from atlasinit.core.labels import hemisphere_of
from atlasinit.core.pieces import find_members
from atlasinit.core.spaces import UNKNOWN, may_be_one
from atlasinit.errors import AtlasWarning, Explained, format_list
from atlasinit.inspection import matrices, series, values
from atlasinit.inspection.atlases import is_mask
from atlasinit.inspection.findings import Checked, Finding
from atlasinit.inspection.geometries import describe_sizes
from atlasinit.io.bids.names import side_of
from atlasinit.io.contents import is_line
from atlasinit.io.data import open_data
from atlasinit.io.overlay.surfaces import read_surface
from atlasinit.io.reading import read_atlas
from atlasinit.support.files import expand

_SHOWN = 5


def compare_files(files: Sequence[Checked]) -> tuple[Finding, ...]:
    """Return whether each pair of files fits together, of those that can be read."""
    found: list[Finding] = []
    for one, other in itertools.combinations(files, 2):
        for a, b in ((one, other), (other, one)):
            compare = _PAIRS.get((a.report.kind, b.report.kind))
            if compare is not None:
                found += _tell(compare, a, b)
                break
    return tuple(found)


def _tell(compare: "Compare", one: Checked, other: Checked) -> list[Finding]:
    try:
        with warnings.catch_warnings():
            # Each file was told of on its own.
            warnings.simplefilter("ignore", AtlasWarning)
            verdict = compare(one, other)
    except (Explained, ValueError) as error:
        verdict = True, error.phrase if isinstance(error, Explained) else str(error)
    if verdict is None:
        return []
    differs, told = verdict
    files = f"{one.report.path} and {other.report.path}"
    if differs:
        return [Finding("warning", "fit", f"{files} do not fit: " + told)]
    return [Finding("note", "fit", f"{files}: " + told)]


Verdict: TypeAlias = tuple[bool, str]
"""Whether two files do not fit, and why, or how they do."""

Compare: TypeAlias = Callable[[Checked, Checked], Verdict | None]
"""Takes two files; returns None where nothing is to be said of them together."""


def _atlas_of(one: Checked) -> Atlas:
    assert one.atlas is not None, "what is an atlas was read"
    return one.atlas


def _space_of(one: Checked) -> str:
    """Return the space that a file of an atlas or of data is in."""
    told = UNKNOWN if one.atlas is None else one.atlas.space
    stated = str(one.report.stated.get("space", told))
    return UNKNOWN if stated == "not stated" else stated


# Data, tables


def _with_data(one: Checked, other: Checked) -> Verdict:
    path = other.report.path
    source = open_data(expand(path), _take_side(_atlas_of(one), path))
    missing = "" if source.outside is None else ", but the data lack some locations"
    return False, f"the data lie on the grid or mesh of the atlas{missing}"


def _take_side(atlas: Atlas, path: str) -> Atlas:
    """Return an atlas, or of both hemispheres that which a file's name states."""
    side = side_of(expand(path).name)
    own = [c for c, g in atlas.geometry.items() if isinstance(g, SurfaceMesh)]
    if side and len(own) == len(atlas.compartments) == 2:
        return atlas.select(compartments=[c for c in own if hemisphere_of("", c) == side] or own)
    return atlas


def _with_table(one: Checked, other: Checked) -> Verdict:
    files, table = expand(one.report.path), expand(other.report.path)
    named = read_atlas(files, labels=table, space=_atlas_of(one).space)
    empty = list(named.labels["n_locations"]).count(0)
    absent = f"; {empty} of its entries have no location" if empty else ""
    return False, f"the table names every label{absent}"


# Locations


def _with_atlas(one: Checked, other: Checked) -> Verdict:
    first, second = _atlas_of(one), _atlas_of(other)
    verdict = _same_place(first.space, second.space, first.geometry, second.geometry)
    masks = [atlas for atlas in (first, second) if is_mask(atlas)]
    if not {*first.compartments} & {*second.compartments} and not verdict[0]:
        return False, f"{verdict[1]}: they can be joined"
    if verdict[0] or len(masks) != 1:
        return verdict
    return _with_mask(second if masks[0] is first else first, masks[0], verdict[1])


def _data_with_data(one: Checked, other: Checked) -> Verdict:
    # Both hemispheres have no name in the files of each.
    sides = {_side_of(one), _side_of(other)} == {"L", "R"}
    first, second = ({}, {}) if sides else (one.places, other.places)
    differs, told = _same_place(_space_of(one), _space_of(other), first, second)
    counts = [each.report.read.get("time points or maps") for each in (one, other)]
    steps = [each.report.stated.get("time step", "") for each in (one, other)]
    if not differs and counts[0] != counts[1]:
        told += f"; {counts[0]} and {counts[1]} time points or maps"
    if not differs and steps[0] != steps[1] and all(steps):
        told += f"; time steps of {steps[0]} and {steps[1]}"
    return differs, told


def _same_place(
    one: str, other: str, first: Mapping[str, Geometry], second: Mapping[str, Geometry]
) -> Verdict:
    """Return whether two files are in one space, on the same grid or meshes."""
    if not may_be_one(one, other):
        return True, f"they are in {one!r} and {other!r}"
    shared = [c for c in first if c in second]
    for c in shared:
        a, b, where = first[c], second[c], f" of {c}" if c else ""
        if isinstance(a, VolumeGrid) and isinstance(b, VolumeGrid):
            if a.voxels_in(VolumeGrid(b.shape, b.affine)) is None:
                sizes = f"{describe_sizes(a)} and {describe_sizes(b)} mm"
                return True, f"two grids{where}: of {a.shape} and {b.shape} voxels of {sizes}"
        elif isinstance(a, SurfaceMesh) and isinstance(b, SurfaceMesh):
            if a.n_vertices != b.n_vertices:
                return True, f"two meshes{where}: of {a.n_vertices} and {b.n_vertices} vertices"
        else:
            return True, f"a volume in one of them{where} and a surface in the other"
    unknown = UNKNOWN in (one, other)
    space = " (one of them states no space)" if unknown else f" of {one}"
    if not shared:
        return False, f"no compartment in common{space}"
    return False, f"the same grid or mesh{space}"


def _with_mask(atlas: Atlas, mask: Atlas, told: str) -> Verdict:
    """Return what a mask on the grid or mesh of an atlas leaves of its parcels."""
    within, total = np.zeros(atlas.n_parcels, np.int64), np.zeros(atlas.n_parcels, np.int64)
    inside = {c: locations for c, (_, locations) in find_members(mask).items()}
    for c, (rows, locations) in find_members(atlas).items():
        if c not in inside:
            continue
        one, two = atlas.geometry[c], mask.geometry[c]
        if isinstance(one, VolumeGrid) and isinstance(two, VolumeGrid):
            numbers, kept = one.voxels_in(VolumeGrid(two.shape, two.affine)), two.voxels
        else:
            numbers, kept = one.vertices, two.vertices  # pyright: ignore[reportAttributeAccessIssue]
        has = np.isin(np.asarray(numbers)[locations], np.asarray(kept)[inside[c]])
        within += np.bincount(rows[has], minlength=atlas.n_parcels)
        total += np.bincount(rows, minlength=atlas.n_parcels)
    share = within.sum() / max(total.sum(), 1)
    told += f"; {share:.0%} of the atlas's locations lie in the mask"
    out = np.flatnonzero((total > 0) & (within == 0)).tolist()
    names = format_list((atlas.table["name"][row] for row in out), _SHOWN)
    return bool(out), f"{told}, and none of {names}" if out else told


# Surfaces


def _with_surface(one: Checked, other: Checked) -> Verdict:
    surface = read_surface(expand(other.report.path))
    meshes = {
        c: g.n_vertices
        for c, g in _atlas_of(one).geometry.items()
        if isinstance(g, SurfaceMesh) and surface.hemisphere in ("", g.hemisphere)
    }
    if not meshes:
        return True, "the atlas has no surface of that hemisphere"
    count = len(surface.coordinates)
    others = [f"{c} has {n} vertices, the surface {count}" for c, n in meshes.items() if n != count]
    return bool(others), "; ".join(others) or "the surface has the vertices of the atlas's mesh"


def _data_with_surface(one: Checked, other: Checked) -> Verdict | None:
    side = _side_of(other)
    counts = {}
    for c, place in one.places.items():
        own = hemisphere_of("", c) if c else _side_of(one)
        if isinstance(place, SurfaceMesh):
            counts[own] = place.n_vertices
        elif is_line(place.shape):
            counts[own] = place.n_locations
    # A volume is sampled at the vertices of any surface of its space.
    if not counts:
        return None
    fitting = [n for own, n in counts.items() if not (side and own) or own == side]
    if not fitting:
        return True, f"the data are of hemisphere {format_list(counts)}, the surface of {side}"
    count = other.report.read["vertices"]
    if count not in fitting:
        return True, f"the data have {format_list(fitting)} vertices, the surface {count}"
    return False, "the surface has the vertices of the data"


def _surfaces(one: Checked, other: Checked) -> Verdict | None:
    first, second = _side_of(one), _side_of(other)
    if first and second and first != second:
        return None
    a, b = (read_surface(expand(each.report.path)) for each in (one, other))
    if len(a.coordinates) != len(b.coordinates):
        return True, f"they have {len(a.coordinates)} and {len(b.coordinates)} vertices"
    if not np.array_equal(a.faces, b.faces):
        return True, "they have as many vertices, but other triangles: they are of two meshes"
    return False, "two shapes of one mesh"


def _with_vertices(one: Checked, other: Checked) -> Verdict:
    """Return whether a list of vertices fits a surface, or an atlas of surfaces."""
    side, highest = _side_of(other), other.report.read.get("highest", -1)
    if one.atlas is None:
        counts = {_side_of(one): one.report.read["vertices"]}
    else:
        meshes = one.atlas.geometry.items()
        counts = {g.hemisphere: g.n_vertices for _, g in meshes if isinstance(g, SurfaceMesh)}
    fitting = [n for own, n in counts.items() if not (side and own) or own == side]
    if not fitting:
        return True, f"the list is of hemisphere {side or 'not stated'}, which the other lacks"
    if highest >= max(fitting):
        return True, f"the list names vertex {highest}, where there are {max(fitting)}"
    return False, "the mesh has all vertices of the list"


def _side_of(one: Checked) -> str:
    """Return the hemisphere that a file states, or its name: L, R or an empty text."""
    stated = str(one.report.stated.get("hemisphere", ""))[:1]
    return stated if stated in ("L", "R") else ""


# Transforms


def _with_transform(one: Checked, other: Checked) -> Verdict:
    """Return whether a transform moves images out of the space that a file is in."""
    space = _space_of(one)
    origin, goal = (str(other.report.stated.get(end, "")) for end in ("from", "to"))
    if "not stated" in (origin, goal) or not (origin and goal):
        return False, "whether the transform is of the file's space its name does not say"
    way = f"the transform moves images from {origin} to {goal}"
    if space == UNKNOWN:
        return False, f"{way}; the other file states no space"
    if may_be_one(space, origin):
        return False, f"{way}, and the other file is in {space}"
    if may_be_one(space, goal):
        remedy = f"the one of the other direction is needed, from {goal}"
        return True, f"{way}, and the other file is in {space}: {remedy}"
    return True, f"{way}, but the other file is in {space}"


# Parcels, by their names


def _by_names(one: Checked, other: Checked) -> Verdict:
    """Return whether files are of the same parcels."""
    first, second = _names_of(one), _names_of(other)
    if "nodes" in (one.report.kind, other.report.kind):
        # BrainNet Viewer has no blanks in names.
        first, second = (["_".join(n.split()) for n in own] for own in (first, second))
    if {*first} == {*second}:
        order = "in the same order" if first == second else "in another order"
        return False, f"the same {len(first)} parcels, {order}"
    sides = ((one, first, second), (other, second, first))
    told = [
        f"only {each.report.path} has {format_list(map(repr, dict.fromkeys(lacking)), _SHOWN)}"
        for each, own, others in sides
        if (lacking := [name for name in own if name not in {*others}])
    ]
    return True, "; ".join(told)


def _names_of(one: Checked) -> list[str]:
    return list(one.report.read["names"]) if one.atlas is None else list(one.atlas.table["name"])


_OF_PARCELS = ("atlas", matrices.KIND, series.SERIES, values.KIND, "nodes")
_PAIRS: dict[tuple[str, str], Compare] = {
    **dict.fromkeys(itertools.combinations_with_replacement(_OF_PARCELS, 2), _by_names),
    ("atlas", "data"): _with_data,
    ("atlas", "label table"): _with_table,
    ("atlas", "surface"): _with_surface,
    ("atlas", "atlas"): _with_atlas,
    ("atlas", "vertex list"): _with_vertices,
    ("atlas", "transform"): _with_transform,
    ("data", "data"): _data_with_data,
    ("data", "surface"): _data_with_surface,
    ("data", "transform"): _with_transform,
    ("surface", "surface"): _surfaces,
    ("surface", "vertex list"): _with_vertices,
}
"""Kinds of two files to what compares them."""
