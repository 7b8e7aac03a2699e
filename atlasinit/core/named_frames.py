"""Which rows or columns of a table of pandas tell parcels, and by which column."""

from typing import Any

import numpy as np

from atlasinit.core.labels import LabelTable

_IDENTITY = ("name", "key", "index")
"""Columns that tell parcels, the first that there is being decisive."""
_TIMES = "time times t tr volume volumes scan frame timepoint time_point"
_OF_TIME = frozenset(_TIMES.split())
"""Names of an axis of pandas that tells no parcels, whatever its numbers are."""
_OF_KEYS = frozenset({"label", "labels", "roi", "region", "parcel", "id", "number", "index", "key"})
"""Titles of a first column whose whole numbers are keys, where all of them are."""
_COUNTS = ("n_locations", "empty")
_OF_LABELS = {*_IDENTITY, "compartment", "color", "hemisphere"}


def index_by_identity(frame: Any, table: LabelTable) -> Any:
    """Return a frame by the names or keys that a column of it holds, if one does."""
    # An atlas may have a parcel called "name" or "key", whose values such a column then holds.
    told = next((c for c in _IDENTITY if c in _firsts(frame) and c not in table["name"]), None)
    # Rows that were sorted or left out keep pandas' numbers, which then tell no parcels.
    if not is_numbered(frame.index):
        return frame
    if told is None:
        return frame.set_index(frame.columns[0]) if _tells_parcels(frame, table) else frame
    keyed = told == "key" and "compartment" in _firsts(frame)
    titles = ["compartment", "key"] if keyed else [told]
    cells = [frame.iloc[:, _firsts(frame).index(title)] for title in titles]
    # Compartments, colours and sides describe parcels and are no values of them. Of a table made
    # from `atlas.labels` nor are its numbers, where there are others.
    described = _OF_LABELS | ({*_COUNTS} if {*_COUNTS} <= {*_firsts(frame)} else set())
    further = [i for i, c in enumerate(_firsts(frame)) if c not in described]
    further = further or [i for i, c in enumerate(_firsts(frame)) if c not in _OF_LABELS]
    return frame.iloc[:, further].set_index(cells)


def _tells_parcels(frame: Any, table: LabelTable) -> bool:
    """Whether the first column, whatever its title, holds names of parcels, or by it their keys."""
    if frame.shape[1] < 2 or frame.columns[0] in table["name"]:
        return False
    cells = list(frame.iloc[:, 0])
    if len(set(cells)) < len(cells):
        return False
    if all(isinstance(cell, str) for cell in cells):
        return set(cells) <= set(table["name"])
    titled = str(frame.columns[0]).lower() in _OF_KEYS
    return titled and frame.iloc[:, 0].dtype.kind in "iu" and set(cells) <= set(table["key"])


def _firsts(frame: Any) -> list[Any]:
    """Return the titles of columns; of those of several levels the first, if others are empty."""
    return [c[0] if isinstance(c, tuple) and c and not any(c[1:]) else c for c in frame.columns]


def is_of_time(labels: Any) -> bool:
    """Whether an axis is called as time points are, whose numbers are no keys."""
    return str(labels.name).lower() in _OF_TIME


def is_numbered(labels: Any) -> bool:
    """Whether an axis has whole numbers for labels, and no name."""
    # A plain range has no name, while a column of keys made an index keeps its own.
    return labels.name is None and labels.nlevels == 1 and labels.dtype.kind in "iu"


def is_default(labels: Any) -> bool:
    """Whether an axis has no labels but the numbers from 0 that pandas gives it."""
    return bool(is_numbered(labels) and np.array_equal(labels, np.arange(len(labels))))


def titles_of(labels: Any) -> tuple[str, ...] | None:
    """Return the titles of an axis as text, None where it has none."""
    # Of columns on several levels each has a tuple.
    parts = [label if isinstance(label, tuple) else (label,) for label in labels]
    return None if is_default(labels) else tuple(" ".join(map(str, own)) for own in parts)
