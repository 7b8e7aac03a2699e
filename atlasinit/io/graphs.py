"""Matrices of parcels as graphs of networkx."""

import importlib
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from atlasinit.core.atlas import Atlas
from atlasinit.core.checking import check_atlas
from atlasinit.core.named_values import align_matrix
from atlasinit.errors import ArgumentError, ContentError
from atlasinit.io.centres import parcel_centres

if TYPE_CHECKING:
    import pandas as pd


def networkx() -> Any:
    """Return the package, which is optional."""
    try:
        return importlib.import_module("networkx")
    except ImportError as error:
        raise ArgumentError(
            "path",
            ": graphs need the package networkx",
            'install it by `pip install "atlasinit[graphs]"`, or save as .tsv',
        ) from error


def to_graph(matrix: Any, atlas: Atlas) -> Any:
    """Return a matrix of parcels by parcels as a graph of networkx, a node for each parcel.

    Nodes are called as the parcels are, in the order of ``atlas.labels``, and have the columns of
    the table (``key``, ``compartment``, ``color``, ``network``, ...) and the centre in mm (``x``,
    ``y``, ``z``) where there are coordinates. Edges have a ``weight``; there is none where the
    matrix is 0. The diagonal are loops. Needs the package networkx (``atlasinit[graphs]``).

    Parameters
    ----------
    matrix
        (parcels, parcels), as for `atlasinit.save_matrix`.
    atlas
        Whose parcels they are.

    Returns
    -------
    networkx.Graph or networkx.DiGraph
        With a direction, from row to column, unless the matrix is symmetric but for rounding;
        then the part above the diagonal counts.

    Raises
    ------
    ValueError
        As `atlasinit.save_matrix`; NaN.
    """
    check_atlas(atlas)
    return graph_of(align_matrix(matrix, atlas.table), atlas)


def graph_of(matrix: Float[np.ndarray, "parcels parcels"], atlas: Atlas) -> Any:
    """Return the graph of a matrix in the order of the atlas's rows."""
    if np.isnan(matrix).any():
        raise ArgumentError(
            "matrix",
            f": a graph has no edges of NaN, got {np.isnan(matrix).sum()}",
            "leave these parcels out, set them by `numpy.nan_to_num(matrix)`, or save as .tsv",
        )
    symmetric = _is_symmetric(matrix)
    graph = networkx().Graph() if symmetric else networkx().DiGraph()
    table, centres = atlas.table, parcel_centres(atlas)
    for row, name in enumerate(table["name"]):
        told = {title: table[title][row] for title in table.columns if title != "name"}
        place = dict(zip("xyz", centres[row].tolist(), strict=True))
        known = {**told, **place} if np.isfinite(centres[row]).all() else told
        # None and "" stand for no value, which a node has by lacking it.
        graph.add_node(
            name, **{t: _as_attribute(v) for t, v in known.items() if v not in (None, "")}
        )
    # Of a symmetric matrix each edge once.
    rows, columns = np.nonzero(np.triu(matrix) if symmetric else matrix)
    weights = matrix[rows, columns].tolist()
    names = table["name"]
    graph.add_edges_from(
        (names[i], names[j], {"weight": w})
        for i, j, w in zip(rows.tolist(), columns.tolist(), weights, strict=True)
    )
    return graph


def _is_symmetric(matrix: Float[np.ndarray, "parcels parcels"]) -> bool:
    """Whether a matrix is symmetric but for rounding, as NumPy's correlations are."""
    # Sums of the same products in another order differ by a few units in the last place.
    rounding = 16 * np.finfo(matrix.dtype).eps * np.abs(matrix).max(initial=0)
    # Infinity less infinity is NaN, which is no difference where both are the same.
    with np.errstate(invalid="ignore"):
        near = np.abs(matrix - matrix.T) <= rounding
    return bool((near | (matrix == matrix.T)).all())


def _as_attribute(value: Any) -> Any:
    # GraphML holds numbers, truth and text.
    return value if isinstance(value, str | int | float) else str(value)


def matrix_of_graph(graph: Any) -> "pd.DataFrame":
    """Return the weights of the edges of a graph, 0 where there is none."""
    import pandas as pd

    if graph.is_multigraph():
        raise ContentError("it has several edges between two nodes")
    names = [str(node) for node in graph.nodes]
    lacking = [edge for edge in graph.edges if "weight" not in graph.edges[edge]]
    if lacking:
        raise ContentError(f"edges have no weight, as that of {lacking[0]}")
    matrix = np.asarray(networkx().to_numpy_array(graph, weight="weight"), np.float64)
    return pd.DataFrame(matrix, names, names)
