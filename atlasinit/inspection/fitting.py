"""Whether files fit together, by what the readers compare when they are used together."""

import dataclasses
import itertools
import warnings
from collections.abc import Callable, Sequence
from typing import TypeAlias

from atlasinit.core.atlas import Atlas
from atlasinit.core.geometry import SurfaceMesh, VolumeGrid
from atlasinit.core.labels import hemisphere_of
from atlasinit.core.spaces import UNKNOWN, may_be_one
from atlasinit.errors import AtlasWarning, Explained
from atlasinit.inspection.findings import FileReport, Finding
from atlasinit.inspection.geometries import describe_sizes
from atlasinit.io.bids.names import side_of
from atlasinit.io.data import open_data
from atlasinit.io.overlay.surfaces import read_surface
from atlasinit.io.reading import read_atlas
from atlasinit.support.files import expand


@dataclasses.dataclass(frozen=True, eq=False)
class Checked:
    """A file that was checked.

    Parameters
    ----------
    report
        What was found.
    atlas
        That was read of it, where its kind is one.
    """

    report: FileReport
    atlas: Atlas | None = None


def compare_files(files: Sequence[Checked]) -> tuple[Finding, ...]:
    """Return whether each pair of files fits together, of those that can be read."""
    found: list[Finding] = []
    for one, other in itertools.combinations(files, 2):
        for a, b in ((one, other), (other, one)):
            compare = _PAIRS.get((a.report.kind, b.report.kind))
            if compare is not None and a.atlas is not None:
                found.append(_tell(compare, a.atlas, a.report.path, b))
                break
    return tuple(found)


def _tell(compare: "Compare", atlas: Atlas, path: str, other: Checked) -> Finding:
    try:
        with warnings.catch_warnings():
            # Each file was told of on its own.
            warnings.simplefilter("ignore", AtlasWarning)
            differs, told = compare(atlas, path, other)
    except (Explained, ValueError) as error:
        differs, told = True, error.phrase if isinstance(error, Explained) else str(error)
    files = f"{path} and {other.report.path}"
    if differs:
        return Finding("warning", "fit", f"{files} do not fit: " + told)
    return Finding("note", "fit", f"{files}: " + told)


Verdict: TypeAlias = tuple[bool, str]
"""Whether two files do not fit, and why, or how they do."""

Compare: TypeAlias = Callable[[Atlas, str, Checked], Verdict]
"""Takes an atlas, its path, and the other file."""


def _with_data(atlas: Atlas, path: str, other: Checked) -> Verdict:
    del path
    source = open_data(expand(other.report.path), _take_side(atlas, other.report.path))
    missing = "" if source.outside is None else ", but the data lack some locations"
    return False, f"the data lie on the grid or mesh of the atlas{missing}"


def _take_side(atlas: Atlas, path: str) -> Atlas:
    """Return an atlas, or of both hemispheres that which a file's name states."""
    side = side_of(expand(path).name)
    own = [c for c, g in atlas.geometry.items() if isinstance(g, SurfaceMesh)]
    if side and len(own) == len(atlas.compartments) == 2:
        return atlas.select(compartments=[c for c in own if hemisphere_of("", c) == side] or own)
    return atlas


def _with_table(atlas: Atlas, path: str, other: Checked) -> Verdict:
    named = read_atlas(expand(path), labels=expand(other.report.path), space=atlas.space)
    empty = list(named.labels["n_locations"]).count(0)
    absent = f"; {empty} of its entries have no location" if empty else ""
    return False, f"the table names every label{absent}"


def _with_surface(atlas: Atlas, path: str, other: Checked) -> Verdict:
    del path
    surface = read_surface(expand(other.report.path))
    meshes = {
        c: g.n_vertices
        for c, g in atlas.geometry.items()
        if isinstance(g, SurfaceMesh) and surface.hemisphere in ("", g.hemisphere)
    }
    if not meshes:
        return True, "the atlas has no surface of that hemisphere"
    count = len(surface.coordinates)
    others = [f"{c} has {n} vertices, the surface {count}" for c, n in meshes.items() if n != count]
    return bool(others), "; ".join(others) or "the surface has the vertices of the atlas's mesh"


def _with_atlas(atlas: Atlas, path: str, other: Checked) -> Verdict:
    del path
    second = other.atlas
    assert second is not None, "what is an atlas was read"
    if not may_be_one(atlas.space, second.space):
        return True, f"they are in {atlas.space!r} and {second.space!r}"
    shared = [c for c in atlas.compartments if c in second.compartments]
    for c in shared:
        one, two = atlas.geometry[c], second.geometry[c]
        if isinstance(one, VolumeGrid) and isinstance(two, VolumeGrid):
            if one.voxels_in(VolumeGrid(two.shape, two.affine)) is None:
                sizes = f"{describe_sizes(one)} and {describe_sizes(two)} mm"
                return True, f"{c} is on two grids: {one.shape} and {two.shape} voxels of {sizes}"
        elif isinstance(one, SurfaceMesh) and isinstance(two, SurfaceMesh):
            if one.n_vertices != two.n_vertices:
                return True, f"{c} has {one.n_vertices} and {two.n_vertices} vertices"
        else:
            return True, f"{c} is a volume in one of them and a surface in the other"
    unknown = UNKNOWN in (atlas.space, second.space)
    space = " (one of them states no space)" if unknown else f" of {atlas.space}"
    if not shared:
        return False, f"no compartment in common: they can be joined{space}"
    return False, f"the same grid or mesh{space}"


_PAIRS: dict[tuple[str, str], Compare] = {
    ("atlas", "data"): _with_data,
    ("atlas", "label table"): _with_table,
    ("atlas", "surface"): _with_surface,
    ("atlas", "atlas"): _with_atlas,
}
"""Kinds of two files to what compares them."""
