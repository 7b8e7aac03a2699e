"""CIFTI files of one value for each parcel: series, maps, and matrices."""

from pathlib import Path
from typing import Any

import numpy as np

from atlasinit.inspection import matrices, series, values
from atlasinit.inspection.findings import Notes
from atlasinit.io import read_matrix
from atlasinit.io.facts import Facts
from atlasinit.io.formats.parcellated import read_rows
from atlasinit.io.timing import read_repetition_time


def check_parcellated(
    path: Path, facts: Facts, notes: Notes
) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """Return the kind of a file with an axis of parcels, what it states and holds; note oddities.

    Parameters
    ----------
    path
        The file.
    facts
        Of its header.
    notes
        Which are added to.
    """
    axes = {"axes": facts.intent}
    if facts.intent == "parcels x parcels":
        stated, read = matrices.describe_matrix(read_matrix(path), path, notes)
        return matrices.KIND, axes | stated, read
    names, rows = read_rows(path)
    if facts.is_series:
        step = read_repetition_time(path)
        told = {"time step": f"{step:g} s" if step else "not stated"}
        stated, read = series.describe_series(names, rows.astype(np.float64), notes, told)
        return series.SERIES, axes | stated, read
    stated, read = values.describe_maps(names, rows.astype(np.float64), notes)
    return values.KIND, axes | stated, read
