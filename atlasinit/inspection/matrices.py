"""Matrices of parcels by parcels, as `atlasinit.save_matrix` writes them."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from atlasinit.errors import format_list
from atlasinit.inspection.findings import Notes, Sections
from atlasinit.inspection.titles import Titles
from atlasinit.io import read_matrix
from atlasinit.io.bids.names import entities_of
from atlasinit.io.files import extension
from atlasinit.io.formats import vectors
from atlasinit.io.formats.npz import open_npz
from atlasinit.io.formats.registry import find_format
from atlasinit.io.input import Input

if TYPE_CHECKING:
    import pandas as pd

KIND = "connectome"
_SHOWN = 5
_ROUNDING = 1e-6
"""Of the largest entry, by which correlations that were stored as text may differ."""


def is_matrix(source: Input) -> bool:
    """Whether a file holds a matrix with the names of parcels on both sides."""
    name = source.name.lower()
    if name.endswith(".graphml"):
        return True
    if name.endswith(".npz"):
        return find_format(source) is vectors.FORMAT and _has_arrays(source)
    titles = Titles.of(source)
    return titles is not None and titles.on_both_sides


def _has_arrays(source: Input) -> bool:
    try:
        with open_npz(source) as arrays:
            return {"matrix", "name"} <= set(arrays)
    except Exception:  # a damaged archive, of which its reader tells
        return False


def check_matrix(path: Path, notes: Notes) -> Sections:
    """Return what a matrix states and holds, after noting what is odd."""
    return describe_matrix(read_matrix(path), path, notes)


def describe_matrix(frame: "pd.DataFrame", path: Path, notes: Notes) -> Sections:
    """Return what a matrix that was read states and holds, after noting what is odd."""
    matrix = frame.to_numpy()
    names, missing = list(frame.index), np.isnan(matrix)
    lost = np.asarray(missing.all(axis=1)) & missing.all(axis=0)
    if lost.any():
        told = format_list((names[row] for row in np.flatnonzero(lost).tolist()), _SHOWN)
        notes.add("note", "values", f"parcels without data, NaN throughout: {told}")
    # Of what goes with motion, say, nothing is on the diagonal.
    if np.diag(missing).all():
        missing = missing & ~np.eye(len(names), dtype=bool)
    further = int((missing & ~lost & ~lost[:, None]).sum())
    if further:
        notes.add(
            "warning", "values", f"{further} entries{' beside these' if lost.any() else ''} are NaN"
        )
    infinite = int(np.isinf(matrix).sum())
    if infinite:
        notes.add("warning", "values", f"{infinite} entries are infinite")
    empty = ((matrix == 0) | np.eye(len(names), dtype=bool)).all(axis=1)
    # Of a single parcel there is no other.
    if empty.any() and len(names) > 1:
        told = format_list((names[row] for row in np.flatnonzero(empty).tolist()), _SHOWN)
        notes.add("warning", "values", f"parcels with nothing but 0 to all others: {told}")
    finite = matrix[np.isfinite(matrix)]
    apart = _find_asymmetry(matrix)
    largest = float(np.abs(finite).max(initial=0))
    measure = entities_of(path).get("stat", "")
    if measure.endswith("correlation") and extension(path) != ".graphml":
        _note_correlations(matrix, apart, notes)
    read = {
        "as": KIND,
        "parcels": len(names),
        "names": names,
        "symmetric": apart <= _ROUNDING * largest,
        **({"range": [float(finite.min()), float(finite.max())]} if finite.size else {}),
    }
    return ({"measure": measure} if measure else {}), read


def _find_asymmetry(matrix: np.ndarray) -> float:
    """Return the largest difference between an entry and the one across the diagonal."""
    with np.errstate(invalid="ignore"):
        apart = np.abs(matrix - matrix.T)
    return float(apart[np.isfinite(apart)].max(initial=0))


def _note_correlations(matrix: np.ndarray, apart: float, notes: Notes) -> None:
    """Note what no matrix of correlations has."""
    outside = int((np.abs(matrix[np.isfinite(matrix)]) > 1 + _ROUNDING).sum())
    if outside:
        told = f"{outside} entries lie beyond -1 and 1, which are no correlations"
        notes.add("warning", "values", told)
    if apart > _ROUNDING:
        told = f"it is not symmetric, as correlations are: entries differ by up to {apart:.3g}"
        notes.add("warning", "values", told)
