"""Series of parcels, as `atlasinit.project` and `atlasinit.extract` write them; confounds."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from atlasinit.errors import ContentError, Passing, format_list
from atlasinit.extraction.naming import is_seconds, read_sidecar
from atlasinit.inspection.data import look_at, note_seen
from atlasinit.inspection.findings import Notes, Sections
from atlasinit.inspection.titles import Titles, count_rows
from atlasinit.inspection.values import describe_range, note_names
from atlasinit.io.bids.names import side_of, suffix_of
from atlasinit.io.files import reading
from atlasinit.io.input import Input
from atlasinit.io.meshes import BOTH_SIZES, MESH_SIZES
from atlasinit.io.tables.parcel_values import separator_of
from atlasinit.io.values import DataSource

SERIES, CONFOUNDS = "series of parcels", "confounds"
_SHOWN = 5
_CONFOUNDS = {"trans_x", "framewise_displacement", "global_signal", "csf"}
"""Columns of fMRIPrep, one of which each of its tables of confounds has."""
_AXES = ("x", "y", "z")
_VERTICES = ("vertex", "vertices", "vertex_id", "node")


def is_series(source: Input) -> bool:
    """Whether a table has a row for each time point, and a column for each parcel.

    Maps of vertices may have titles too: their rows are as many as a mesh has vertices, or the
    file's name states a hemisphere.
    """
    titles = Titles.of(source)
    if titles is None or not titles.is_titled or not titles.is_numeric:
        return False
    if suffix_of(source.name) == "timeseries":
        return True
    if titles.has_keys or titles.plain[0] in _VERTICES or {*_AXES} <= {*titles.plain}:
        return False
    return not side_of(source.name) and count_rows(source) not in MESH_SIZES | BOTH_SIZES


def check_series(path: Path, notes: Notes) -> Sections | None:
    """Return what a table of series states and holds, after noting what is odd."""
    import pandas as pd

    with reading(path, "a table of series") as found:
        # Without a header, as pandas would number names that occur twice.
        cells: Any = pd.read_csv(
            found, sep=separator_of(path), header=None, dtype=str, keep_default_na=False
        )
        names = cells.iloc[0].str.strip().tolist()
        if _CONFOUNDS & {*names}:
            return None
        body = cells.iloc[1:].replace({"n/a": "nan", "": "nan"})
        try:
            values = body.to_numpy(str).astype(np.float64)
        except ValueError as error:
            raise ContentError(f"a cell holds no number ({error})") from error
    if suffix_of(path) != "timeseries":
        told = "taken for series of parcels by its titles; if its rows are vertices of a mesh, "
        notes.add("note", "values", told + "pass " + Passing(use="data"))
    stated = read_sidecar(path)
    step = stated.get("RepetitionTime")
    about = {
        "statistic": stated.get("Statistic"),
        "time step": f"{step:g} s" if is_seconds(step) else "not stated",
    }
    kept = _count_kept(stated)
    if kept is not None and kept != len(values):
        told = f"it has {len(values)} rows, where its sidecar tells of {kept} volumes"
        notes.add("warning", "values", told)
    return describe_series(names, values, notes, about)


def _count_kept(stated: dict[str, Any]) -> int | None:
    """Return the volumes that a sidecar of `extract` tells of, None of others."""
    whole, dropped = stated.get("Volumes"), stated.get("VolumesDropped", [])
    return whole - len(dropped) if isinstance(whole, int) and isinstance(dropped, list) else None


def describe_series(
    names: Sequence[str],
    values: Float[np.ndarray, "time parcels"],
    notes: Notes,
    stated: dict[str, Any],
) -> Sections:
    """Return what series state and hold, after noting what is odd."""
    note_names(names, notes)
    lost = np.isnan(values).all(axis=0)
    if lost.any():
        told = format_list((names[i] for i in np.flatnonzero(lost).tolist()), _SHOWN)
        notes.add("note", "values", f"parcels without data, NaN throughout: {told}")
    if len(values) < 2:
        notes.add("note", "values", f"it has {len(values)} time points")
    held = values[:, ~lost].T
    if held.size:
        source = DataSource(held.shape[0], held.shape[1], lambda span: held[:, span])
        note_seen(look_at(source), len(values), notes, place="parcels", zero="warning")
    read = {
        "as": SERIES,
        "time points": len(values),
        "parcels": len(names),
        "names": list(names),
        **describe_range(values),
    }
    return {name: value for name, value in stated.items() if value is not None}, read


def is_confounds(source: Input) -> bool:
    """Whether a table is one of confounds, by its columns."""
    titles = Titles.of(source)
    return titles is not None and bool(_CONFOUNDS & {*titles.titles})


def check_confounds(path: Path, notes: Notes) -> Sections:
    """Return what a table of confounds holds, after noting what is odd."""
    import pandas as pd

    with reading(path, "a table of confounds") as found:
        frame: Any = pd.read_csv(found, sep=separator_of(path), na_values=["n/a"])
    text = [title for title in frame.columns if frame[title].dtype.kind not in "biuf"]
    if text:
        notes.add("warning", "values", f"columns that hold text: {format_list(text, _SHOWN)}")
    return {}, {"as": CONFOUNDS, "time points": len(frame), "columns": list(frame.columns)}
