"""Files of neither atlases nor data: surfaces, label tables, lists of vertices, transforms."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

from atlasinit.errors import ArgumentError, AtlasFileError
from atlasinit.inspection.findings import Notes
from atlasinit.inspection.surfaces import check_surface
from atlasinit.inspection.tables import describe_rows, note_gaps, note_table, note_zero
from atlasinit.io.bids.names import side_of, suffix_of
from atlasinit.io.files import extension
from atlasinit.io.formats import freesurfer, gifti, vectors
from atlasinit.io.formats.registry import find_format
from atlasinit.io.input import Input
from atlasinit.io.tables.reading import read_table

Sections: TypeAlias = tuple[dict[str, Any], dict[str, Any]]
"""What a file states, and what is read of it."""

_TRANSFORMS = (".h5", ".x5", ".lta", ".tfm", ".xfm", ".mat")
_ITK = b"#Insight Transform File"


@dataclasses.dataclass(frozen=True)
class Other:
    """A kind of file: how it is recognised, and how it is checked.

    Parameters
    ----------
    kind
        What a report calls it.
    claims
        Whether a file is of it, or may be.
    check
        Takes the path and the notes, which it adds to; returns what the file states, and what is
        read of it, None where it is of another kind after all.
    """

    kind: str
    claims: Callable[[Input], bool]
    check: Callable[[Path, Notes], Sections | None]


def _may_be_table(source: Input) -> bool:
    form = find_format(source)
    # Numbers of vertices have the endings of tables.
    if form is vectors.FORMAT and extension(source.name) in (".npy", ".npz"):
        return False
    return form in (None, vectors.FORMAT)


def _check_table(path: Path, notes: Notes) -> Sections | None:
    try:
        rows = read_table(path)
    except AtlasFileError:
        if extension(path) in (*vectors.ENDINGS, "", ".gz", ".zip"):
            return None
        # Whatever a table may be called, its reader says best what is wrong with it.
        raise
    note_table(rows, notes)
    note_zero(rows, notes)
    note_gaps([row.key for row in rows], notes)
    return {}, {"as": "label table", **describe_rows(rows)}


def _check_vertices(path: Path, notes: Notes) -> Sections:
    with Input(path) as source:
        listed = freesurfer.read_vertex_list(source)
    if not listed.size:
        notes.add("warning", "values", "it lists no vertex")
    side = side_of(path.name)
    if not side:
        notes.add("note", "sides", "its name states no hemisphere")
    repeated = listed.size - len(set(listed.tolist()))
    if repeated:
        notes.add("warning", "values", f"{repeated} vertices are listed twice")
    read = {"as": "mask of a surface", "vertices": int(listed.size)}
    if listed.size:
        read["highest"] = int(listed.max())
    return {"hemisphere": side or "not stated"}, read


def _is_transform(source: Input) -> bool:
    named = extension(source.name) in _TRANSFORMS or suffix_of(source.name) == "xfm"
    return named or source.head.startswith(_ITK)


def _check_transform(path: Path, notes: Notes) -> Sections:
    from atlasinit.transforms.files import read_transform

    try:
        step = read_transform(path)
    except ArgumentError as error:
        # The numbers of FSL count voxels of images that come with no file of it.
        if "reference" not in str(error):
            raise
        notes.add_error(error, "note", "space")
        return {}, {"as": "matrix of FSL", "needs": ["reference", "moving"]}
    if not (step.origin and step.goal):
        told = "its name does not say which spaces it moves images between (from-, to-)"
        notes.add("note", "space", told)
    return (
        {"from": step.origin or "not stated", "to": step.goal or "not stated"},
        {"as": type(step.points).__name__, "sha256": step.sha256},
    )


OTHERS: tuple[Other, ...] = (
    Other("vertex list", freesurfer.is_vertex_list, _check_vertices),
    Other("transform", _is_transform, _check_transform),
    Other("surface", lambda s: gifti.is_surface(s) or freesurfer.is_surface(s), check_surface),
    Other("label table", _may_be_table, _check_table),
)
"""In the order in which they are asked; what none of them claims holds values."""
