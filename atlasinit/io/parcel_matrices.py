"""Matrices of parcels by parcels: written with names on both sides, and read with them."""

import dataclasses
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from jaxtyping import Float

from atlasinit.core.atlas import Atlas
from atlasinit.core.checking import check_atlas
from atlasinit.core.named_values import Absent, align_matrix
from atlasinit.errors import ArgumentError, ContentError, format_list
from atlasinit.io.files import extension, reading
from atlasinit.io.formats import parcellated
from atlasinit.io.formats.npz import open_npz
from atlasinit.io.graphs import graph_of, matrix_of_graph, networkx
from atlasinit.io.input import Input
from atlasinit.io.own_header import check_texts
from atlasinit.io.tables.numbers import write_numbers
from atlasinit.io.tables.parcel_values import read_square
from atlasinit.io.unpacking import check_unpacked
from atlasinit.support.files import expand
from atlasinit.support.typing import PathLike
from atlasinit.support.writing import atomic_write

if TYPE_CHECKING:
    import pandas as pd

Matrix: TypeAlias = Float[np.ndarray, "parcels parcels"]


@dataclasses.dataclass(frozen=True)
class MatrixFormat:
    """A format of matrices.

    Parameters
    ----------
    write
        Takes the matrix in the order of the atlas's rows, the atlas, the path and `overwrite`.
    read
        Returns the matrix of a file with its names.
    """

    write: Callable[..., None]
    read: "Callable[[Path], pd.DataFrame]"


def save_matrix(
    matrix: Any,
    atlas: Atlas,
    path: PathLike,
    *,
    absent: Absent = "error",
    overwrite: bool = False,
) -> Path:
    """Write a matrix of parcels by parcels with their names, and return the file.

    =====================  ===============================================================
    ``.pconn.nii``         CIFTI-2, with the vertices and voxels of each parcel: Workbench
    ``.tsv``, ``.csv``     names on both sides: pandas, R, spreadsheets
    ``.npz``               NumPy: ``matrix``, ``name``, ``key`` and ``compartment``
    ``.graphml``           a graph: networkx, igraph, Gephi, Cytoscape
    =====================  ===============================================================

    Row i, column j is what goes from parcel i to parcel j, and a matrix need not be symmetric. In
    a graph, 0 is no edge, the diagonal are loops, and edges have a direction unless the matrix is
    symmetric but for rounding (as of `to_graph`). Precision stays, and NaN other than in a graph.

    Parameters
    ----------
    matrix
        (parcels, parcels): an array in the order of ``atlas.labels``; or a DataFrame by name,
        whose index and columns name the same parcels, in any order.
    atlas
        Whose parcels they are.
    path
        The file.
    absent
        What a parcel is that a DataFrame lacks: an ``"error"``, or ``"nan"``.
    overwrite
        Whether an existing file is replaced.

    Raises
    ------
    ValueError
        Another extension or shape; names that are not the atlas's (with the nearest), that occur
        twice, or that are on one side alone; NaN in a graph.
    TypeError
        What are no real numbers.
    AtlasFileError
        An existing file without `overwrite`; a folder that does not exist or cannot be written.
    """
    check_atlas(atlas)
    form = _format_of(path)
    aligned = align_matrix(matrix, atlas.table, absent=absent)
    form.write(aligned, atlas, expand(path), overwrite=overwrite)
    return expand(path)


def read_matrix(
    path: PathLike, *, atlas: Atlas | None = None, absent: Absent = "error"
) -> "pd.DataFrame":
    """Return a matrix of parcels by parcels with names as index and columns.

    Parameters
    ----------
    path
        A file that `save_matrix` wrote, or one like it: a ``.pconn.nii`` of Workbench, a table
        whose first row and first column are names, an undirected or directed ``.graphml`` whose
        edges have a ``weight``, of which missing ones are 0.
    atlas
        By whose rows the matrix is put in order: names have to be its.
    absent
        What a parcel of the atlas is that the file lacks: an ``"error"``, or ``"nan"``.

    Raises
    ------
    ValueError
        Another extension; names that are not the atlas's (with the nearest).
    AtlasFileError
        A file that is missing or none such: not square, names twice, other names on the other
        side.
    """
    import pandas as pd

    form = _format_of(path)
    with reading(path, "a matrix of parcels") as found:
        frame = form.read(found)
        _check_sides(list(frame.index), list(frame.columns))
    if atlas is None:
        return frame
    names = list(atlas.table["name"])
    return pd.DataFrame(
        align_matrix(frame, atlas.table, argument="path", absent=absent), names, names
    )


def _check_sides(rows: list[str], columns: list[str]) -> None:
    """Refuse names that do not tell which entry is of which two parcels."""
    for side, names in (("rows", rows), ("columns", columns)):
        twice = [name for name, count in Counter(names).items() if count > 1]
        if twice:
            raise ContentError(
                f"names of its {side} occur twice: {format_list(map(repr, twice), 5)}"
            )
    if set(rows) != set(columns):
        other = sorted(set(rows) ^ set(columns))
        raise ContentError(
            f"its rows and columns should have the same names, but one side lacks "
            f"{format_list(map(repr, other), 5)}"
        )


def _write_table(matrix: Matrix, atlas: Atlas, path: Path, *, overwrite: bool) -> None:
    names = list(atlas.table["name"])
    check_texts(names, path, instead=".npz")
    if "name" in names:
        problem = f": the first column of {path.name} is called 'name', as a parcel is"
        raise ArgumentError("path", problem, "rename it")
    write_numbers(matrix, names, path, rows=names, overwrite=overwrite)


def _write_npz(matrix: Matrix, atlas: Atlas, path: Path, *, overwrite: bool) -> None:
    labels: dict[str, Any] = {
        title: np.array(atlas.table[title]) for title in ("name", "key", "compartment")
    }
    with atomic_write(path, overwrite=overwrite) as temporary:
        np.savez_compressed(temporary, matrix=matrix, **labels)


def _read_npz(path: Path) -> "pd.DataFrame":
    import pandas as pd

    source = Input(path)
    with source, open_npz(source) as arrays:
        missing = [title for title in ("matrix", "name") if title not in arrays]
        if missing:
            raise ContentError(f"it has no array {format_list(map(repr, missing))}")
        matrix, names = arrays["matrix"], arrays["name"].tolist()
    if matrix.shape != (len(names), len(names)):
        raise ContentError(f"its matrix is of shape {matrix.shape}, with {len(names)} names")
    return pd.DataFrame(matrix, names, names)


def _write_graph(matrix: Matrix, atlas: Atlas, path: Path, *, overwrite: bool) -> None:
    check_texts(atlas.table["name"], path, instead=".npz")
    graph = graph_of(matrix, atlas)
    with atomic_write(path, overwrite=overwrite) as temporary:
        networkx().write_graphml_xml(graph, temporary)


def _read_graph(path: Path) -> "pd.DataFrame":
    graph = networkx().read_graphml(path)
    # A matrix has an entry for each two nodes, of which a graph may have no edge.
    check_unpacked(path, path.stat().st_size, 8 * len(graph) ** 2)
    return matrix_of_graph(graph)


_TABLE = MatrixFormat(_write_table, read_square)
FORMATS = {
    ".pconn.nii": MatrixFormat(parcellated.write_matrix, parcellated.read_matrix),
    ".tsv": _TABLE,
    ".csv": _TABLE,
    ".npz": MatrixFormat(_write_npz, _read_npz),
    ".graphml": MatrixFormat(_write_graph, _read_graph),
}
"""Ending to what writes and reads it."""


def _format_of(path: PathLike) -> MatrixFormat:
    # Of the endings some are no atlas's, so that the table of those does not know them.
    name = Path(path).name.lower()
    found = next((ending for ending in FORMATS if name.endswith(ending)), None)
    if found is None or extension(path) in (".scipy.npz",):
        raise ArgumentError(
            "path", f"should end in {format_list(FORMATS)}, got {Path(path).name!r}"
        )
    return FORMATS[found]
