"""Files of neither atlases nor data: surfaces, label tables, transforms, what is made of data."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

from atlasinit.errors import ArgumentError, AtlasFileError
from atlasinit.inspection import matrices, outputs, series, values
from atlasinit.inspection.findings import Notes, Sections
from atlasinit.inspection.surfaces import check_surface
from atlasinit.inspection.tables import describe_rows, note_gaps, note_table, note_zero
from atlasinit.io.bids.names import side_of, suffix_of
from atlasinit.io.files import extension
from atlasinit.io.formats import freesurfer, gifti, vectors
from atlasinit.io.formats.registry import find_format
from atlasinit.io.input import Input
from atlasinit.io.tables.reading import read_table

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
    has_numbers
        Whether a file may hold values of vertices as well, which `use` then says.
    """

    kind: str
    claims: Callable[[Input], bool]
    check: Callable[[Path, Notes], Sections | None]
    has_numbers: bool = False


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
    # Before all that look into a file, of which pages of the web are refused.
    Other("page", outputs.is_page, outputs.check_page),
    Other("text", outputs.is_prose, outputs.check_prose),
    Other("Parquet table", outputs.is_parquet, outputs.check_parquet),
    Other("vertex list", freesurfer.is_vertex_list, _check_vertices),
    Other("transform", _is_transform, _check_transform),
    Other("surface", lambda s: gifti.is_surface(s) or freesurfer.is_surface(s), check_surface),
    Other("nodes", outputs.is_nodes, outputs.check_nodes),
    Other("metadata", outputs.is_json, outputs.check_json),
    Other(matrices.KIND, matrices.is_matrix, matrices.check_matrix, has_numbers=True),
    Other("summary of runs", outputs.is_summary, outputs.check_summary),
    Other(series.CONFOUNDS, series.is_confounds, series.check_confounds),
    Other(series.SERIES, series.is_series, series.check_series, has_numbers=True),
    # Of names and numbers that are no keys.
    Other(values.KIND, values.holds_fractions, values.check_values, has_numbers=True),
    Other("label table", _may_be_table, _check_table),
    Other(values.KIND, values.is_table, values.check_values, has_numbers=True),
)
"""In the order in which they are asked; what none of them claims holds values."""
