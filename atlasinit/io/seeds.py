"""Coordinates of seeds in every form that users have them in, with their names and radii."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64

from atlasinit.errors import ArgumentError, ArgumentTypeError, ContentError, format_list
from atlasinit.io.contents import LabelRow
from atlasinit.io.files import reading
from atlasinit.io.tables.cells import is_missing, is_number
from atlasinit.io.tables.columns import rows_of_columns
from atlasinit.io.tables.parcel_values import separator_of
from atlasinit.io.tables.titles import name_rank, normalise_title

_AXES = ("x", "y", "z")
_RADII = ("radius", "radius_mm", "r_mm")
_KEY, _NAME = "key_value", "name"
"""Titles of keys and names that go before whatever else a table has."""


@dataclasses.dataclass(frozen=True, eq=False)
class Seeds:
    """Seeds as a user stated them.

    Parameters
    ----------
    points
        (seeds, 3) world coordinates in mm.
    rows
        One per seed, with the keys 1, 2, ...
    radii
        (seeds,) in mm; None where nothing states them.
    """

    points: Float64[np.ndarray, "seeds 3"]
    rows: tuple[LabelRow, ...]
    radii: Float64[np.ndarray, " seeds"] | None = None


def read_seeds(coordinates: Any, names: Any = None) -> Seeds:
    """Return what `atlasinit.sphere_atlas` takes as `coordinates` and `names`.

    Raises
    ------
    ValueError
        Another shape than (n, 3), what is not finite, a table without x, y and z, and names that
        are not one for each seed.
    TypeError
        Coordinates that are no numbers.
    AtlasFileError
        A file that is missing or no table.
    """
    if isinstance(coordinates, str | Path) or hasattr(coordinates, "__fspath__"):
        return _of_frame(_read_frame(coordinates), names)
    if hasattr(coordinates, "columns") and hasattr(coordinates, "iloc"):
        return _of_frame(coordinates, names)
    if hasattr(coordinates, "to_dict") and getattr(coordinates, "ndim", 0) == 1:
        coordinates = coordinates.to_dict()
    own: Sequence[Any] | None = None
    if isinstance(coordinates, Mapping):
        own, coordinates = list(coordinates), list(coordinates.values())
    points = _check_points(coordinates)
    told = _names(names, len(points), None) or (own and [str(n) for n in own])
    return Seeds(points, _rows({}, told or _number(len(points))))


def _read_frame(path: Any) -> Any:
    import pandas as pd

    try:
        separator = separator_of(path)
    except ArgumentError as error:
        raise error.of("coordinates") from error
    with reading(path, "a table of coordinates") as found:
        # As text: "NA" may be a name.
        return pd.read_csv(found, sep=separator, dtype=str, keep_default_na=False)


def _of_frame(frame: Any, names: Any) -> Seeds:
    plain = {normalise_title(title): title for title in reversed(list(frame.columns))}
    missing = [axis for axis in _AXES if axis not in plain]
    if missing:
        raise ArgumentError(
            "coordinates",
            f"should have the columns x, y and z, got {format_list(map(str, frame.columns))}",
        )
    cells = [frame[plain[axis]].tolist() for axis in _AXES]
    for axis, column in zip(_AXES, cells, strict=True):
        for row, cell in enumerate(column, start=1):
            if not is_number(cell):
                raise ArgumentError(
                    "coordinates", f"should be numbers in mm, got {cell!r} as {axis} of row {row}"
                )
    points = _check_points(np.array([[float(c) for c in column] for column in cells]).T)
    title = next((plain[t] for t in _RADII if t in plain), None)
    radii = None
    if title is not None:
        found = frame[title].tolist()
        if not all(map(is_number, found)):
            raise ArgumentError("coordinates", f"should have a number in each row of {title!r}")
        radii = np.array([float(cell) for cell in found])
    taken = {*(plain[axis] for axis in _AXES), title}
    others = {t: frame[t].tolist() for t in frame.columns if t not in taken}
    told = _names(names, len(points), frame.index)
    if told is None and not any(name_rank(normalise_title(t)) is not None for t in others):
        # The index of a frame is names where it is text, and else the numbers of rows.
        index = frame.index.tolist()
        text = all(isinstance(label, str) for label in index) and bool(index)
        told = index if text else _number(len(points))
    return Seeds(points, _rows(others, told), radii)


def _check_points(coordinates: Any) -> Float64[np.ndarray, "seeds 3"]:
    try:
        given = np.asarray(coordinates)
        points = given.astype(np.float64) if given.dtype.kind in "iufO" else None
    except (TypeError, ValueError):
        points = None
    if points is None:
        raise ArgumentTypeError(
            "coordinates",
            "should be numbers (n, 3) in mm, a table with x, y and z, or name to coordinates, got "
            f"{type(coordinates).__name__}",
        )
    if points.ndim != 2 or points.shape[1] != 3 or not len(points):
        raise ArgumentError("coordinates", f"should be (n, 3) in mm, got shape {points.shape}")
    bad = np.flatnonzero(~np.isfinite(points).all(axis=1))
    if bad.size:
        raise ArgumentError(
            "coordinates", f"should be finite, got {points[bad[0]].tolist()} in row {bad[0] + 1}"
        )
    return points


def _names(names: Any, n: int, index: Any) -> list[str] | None:
    """Return the names of n seeds, None where none are given; by their index where both have it."""
    if names is None:
        return None
    if isinstance(names, str):
        raise ArgumentTypeError("names", f"should be one name for each seed, got {names!r}")
    if hasattr(names, "to_dict") and getattr(names, "ndim", 0) == 1:
        labels = list(range(n)) if index is None else index.tolist()
        told = names.to_dict()
        # A Series is matched by its index, whatever its order.
        if set(told) != set(labels) or len(told) != len(names):
            raise ArgumentError(
                "names",
                f"should have the index of the {n} coordinates, "
                f"{format_list(map(repr, labels), 5)}, got {format_list(map(repr, told), 5)}",
            )
        return [str(told[label]) for label in labels]
    if isinstance(names, Mapping):
        absent = [key for key in range(1, n + 1) if key not in names]
        if absent or len(names) != n:
            raise ArgumentError(
                "names",
                f"should name the seeds 1 to {n}, got {format_list(map(repr, names), 5)}",
            )
        return [str(names[key]) for key in range(1, n + 1)]
    told = [str(name) for name in names]
    if len(told) != n:
        raise ArgumentError("names", f"should be one for each of {n} seeds, got {len(told)}")
    return told


def _number(n: int) -> list[str]:
    return [f"seed-{i}" for i in range(1, n + 1)]


def _rows(columns: Mapping[str, list[Any]], names: list[str] | None) -> tuple[LabelRow, ...]:
    """Return the rows of a table, numbered from 1, with other names where these are given."""
    table: dict[str, list[Any]] = dict(columns)
    if names is not None:
        table = {_NAME: names} | {t: c for t, c in table.items() if t != _NAME}
    n = len(next(iter(table.values())))
    table = {_KEY: list(range(1, n + 1))} | {t: c for t, c in table.items() if t != _KEY}
    # NaN of pandas is an empty cell of a file.
    cells = [["" if is_missing(c) else c for c in column] for column in table.values()]
    try:
        return rows_of_columns(list(table), list(zip(*cells, strict=True)))
    except ContentError as error:
        raise error.of_argument("coordinates") from error
