"""A file read as data: chunk of time by chunk of time, whatever it holds."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

from atlasinit.core.geometry import SurfaceMesh, VolumeGrid
from atlasinit.errors import format_list
from atlasinit.inspection.findings import Level, Notes
from atlasinit.inspection.geometries import describe_geometry
from atlasinit.io.bids.names import side_of
from atlasinit.io.timing import read_repetition_time
from atlasinit.io.values import DataSource, Values

_CHUNK = 2**25
"""Values that are read at a time: 128 MiB of float32."""

_SHOWN = 5


@dataclasses.dataclass(eq=False)
class Seen:
    """What was seen of the values of a block so far; arrays have an entry for each location."""

    low: np.ndarray
    high: np.ndarray
    missing: np.ndarray
    infinite: int = 0
    empty: list[int] = dataclasses.field(default_factory=list)
    repeated: list[int] = dataclasses.field(default_factory=list)


def note_values(values: Values, notes: Notes) -> dict[str, Any]:
    """Note NaN, infinity, constant series and empty or repeated volumes; return what is read."""
    told: dict[str, Any] = {"as": "data"}
    lows, highs = [], []
    for block in values.blocks:
        source = block.select(np.arange(block.geometry.n_locations))
        seen, n_time = look_at(source), source.n_time
        where = f" of {block.compartment}" if block.compartment else ""
        told[block.compartment or "locations"] = describe_geometry(block.geometry)
        told["time points or maps"] = n_time
        finite = np.isfinite(seen.low) & np.isfinite(seen.high)
        if finite.any():
            lows.append(float(seen.low[finite].min()))
            highs.append(float(seen.high[finite].max()))
        is_grid = isinstance(block.geometry, VolumeGrid)
        # An image has voxels around the brain; of what CIFTI and GIFTI list, each should have
        # values.
        note_seen(
            seen,
            n_time,
            notes,
            where=where,
            place="voxels" if is_grid else "locations",
            zero="note" if is_grid else "warning",
        )
    if lows:
        told["range"] = [min(lows), max(highs)]
    return told


def look_at(source: DataSource) -> Seen:
    """Return what values are like."""
    n = source.n_locations
    seen = Seen(np.full(n, np.inf), np.full(n, -np.inf), np.zeros(n, bool))
    step = max(1, _CHUNK // max(n, 1))
    last: np.ndarray | None = None
    for start in range(0, source.n_time, step):
        rows = source.read(slice(start, min(start + step, source.n_time)))
        bad = ~np.isfinite(rows)
        seen.infinite += int(np.count_nonzero(np.isinf(rows)))
        seen.missing |= bad.any(axis=1)
        clean = np.where(bad, 0, rows) if bad.any() else rows
        np.minimum(seen.low, np.where(bad, np.inf, rows).min(axis=1), out=seen.low)
        np.maximum(seen.high, np.where(bad, -np.inf, rows).max(axis=1), out=seen.high)
        held: Any = clean.any(axis=0)
        for i in range(rows.shape[1]):
            if not held[i]:
                seen.empty.append(start + i)
            elif last is not None and np.array_equal(last, clean[:, i]):
                seen.repeated.append(start + i)
            last = clean[:, i].copy() if i == rows.shape[1] - 1 else clean[:, i]
    return seen


def note_seen(
    seen: Seen,
    n_time: int,
    notes: Notes,
    *,
    place: str,
    where: str = "",
    zero: Level = "warning",
) -> None:
    """Note what is odd about values that were seen.

    Parameters
    ----------
    seen, n_time
        Of which there are `n_time` at each location.
    notes
        Which are added to.
    place, where
        What a location is called, and where all of them lie, as ``" of cortex_L"``.
    zero
        How grave locations of 0 at all times are.
    """
    n = seen.low.size
    if seen.missing.any():
        count = int(seen.missing.sum())
        notes.add("warning", "values", f"NaN or infinity at {count} of {n} {place}{where}")
    if seen.infinite:
        notes.add("warning", "values", f"infinity at {seen.infinite} values{where}")
    for title, numbers in (
        ("hold nothing but 0", seen.empty),
        ("are the same as the one before", seen.repeated),
    ):
        if numbers:
            which = format_list(numbers, _SHOWN)
            notes.add("warning", "values", f"volumes or maps (from 0){where} that {title}: {which}")
    if n_time < 2:
        return
    still = seen.low == seen.high
    empty = still & (seen.low == 0)
    if (still & ~empty).any():
        count = int((still & ~empty).sum())
        told = f"{count} of {n} {place}{where} have one value at all times, other than 0"
        notes.add("warning", "values", told)
    if empty.any():
        told = f"{int(empty.sum())} of {n} {place}{where} are 0 at all times"
        notes.add(zero, "values", told)


def count_maps(values: Values) -> int:
    """Return the number of time points or maps."""
    return values.blocks[0].select(np.arange(0)).n_time if values.blocks else 0


def state_values(values: Values, path: Path, notes: Notes) -> dict[str, Any]:
    """Return what a file of data states, its time step included."""
    stated, own = values.stated, side_of(path.name)
    n_time = count_maps(values)
    step = read_repetition_time(path) if n_time > 1 else None
    if not stated.space:
        notes.add("note", "space", "neither its name nor its header states a space")
    on_mesh = all(isinstance(b.geometry, SurfaceMesh) and not b.compartment for b in values.blocks)
    if on_mesh and not (stated.side or own):
        notes.add("warning", "sides", "neither the file nor its name states a hemisphere")
    if stated.side and own and stated.side != own:
        told = f"the file states hemisphere {stated.side}, its name {own}; the file is taken"
        notes.add("warning", "sides", told)
    section = {
        "space": stated.space or "not stated",
        "hemisphere": stated.side or own,
        "labels": stated.labels or None,
        "mesh": "comes with its values" if stated.mesh is not None else "",
        "time step": f"{step:g} s" if step else "not stated" if n_time > 1 else "",
    }
    return {name: value for name, value in section.items() if value not in ("", None)}
