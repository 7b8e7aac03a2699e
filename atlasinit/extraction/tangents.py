"""Tangents of all runs of an output at the mean of their covariances."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from atlasinit.connectomes import measure_tangents
from atlasinit.errors import AtlasFileError, format_count, format_list
from atlasinit.extraction.groups import Group, Step, run_of
from atlasinit.extraction.naming import read_sidecar
from atlasinit.extraction.outputs import (
    end_of_connectome,
    end_of_series,
    read_series,
    write_connectome,
    write_json,
)
from atlasinit.extraction.performing import Setup
from atlasinit.io import save_matrix

KIND = "tangent"

_OF_SERIES = ("SamplingFrequency", "Statistic")
"""What sidecars say of series alone."""


def _list_content(setup: Setup, group: Group) -> Any:
    hashes = group.list_hashes(end_of_series(setup.averaging.reduction))
    return [hashes, setup.estimator, setup.products.parquet]


def _make(setup: Setup, group: Group, staging: Path) -> Mapping[str, Any]:
    """Write the tangents of each run, and once their mean, whose sidecar says what it is of."""
    runs = sorted(group.records)
    if len(runs) < 2:
        raise AtlasFileError(
            setup.root,
            f"has one run of {group.atlas.key}, and tangents are at the mean of several",
            "extract more runs",
        )
    atlas = group.atlas.atlas
    ending = end_of_series(setup.averaging.reduction)
    tables = {run: setup.root / f"{group.stem_of(run)}_{ending}" for run in runs}
    series = {run: read_series(table) for run, table in tables.items()}
    found = measure_tangents(series, atlas, estimator=setup.estimator)
    place = f"{group.stem}_stat-tangentmean_relmat.tsv"
    save_matrix(found.mean, atlas, staging / place, overwrite=True)
    about = {
        "Measure": "geometric mean of covariances",
        "Estimator": setup.estimator,
        "Atlas": group.atlas.label,
        "AtlasHash": group.atlas.digest,
        "Runs": runs,
        "ParcelsLeftOut": dict(found.lacking),
    }
    write_json((staging / place).with_suffix(".json"), about)
    for run, matrix in zip(runs, found.matrices, strict=True):
        stem = staging / group.stem_of(run)
        stem.parent.mkdir(parents=True, exist_ok=True)
        about_series = read_sidecar(tables[run])
        sidecar = {
            **{k: v for k, v in about_series.items() if k not in _OF_SERIES},
            "Estimator": setup.estimator,
            # The mean is the same for all, and its sidecar lists the runs.
            "Reference": f"bids::{place}",
            "RunsOfReference": len(runs),
            "ParcelsLeftOut": list(found.lacking),
        }
        cifti = tables[run].with_suffix(".ptseries.nii").is_file()
        write_connectome(matrix, atlas, stem, kind=KIND, cifti=cifti, sidecar=sidecar)
        table = f"{group.stem_of(run)}_{end_of_connectome(KIND)}"
        setup.products.make(run_of(run), setup.root, staging, new=[table], files=())
    return {"runs": len(runs), "note": _tell(group, len(runs), found.lacking)}


def _tell(group: Group, count: int, lacking: Mapping[str, list[str]]) -> str:
    """Return what is lost in all, as some run lacks it; "" for nothing."""
    if not lacking:
        return ""
    runs = sorted({run for each in lacking.values() for run in each})
    return (
        f"tangents of {group.atlas.key} leave out "
        f"{format_count(len(lacking), 'parcel')} that {format_count(len(runs), 'run')} of {count} "
        f"lack: {format_list(map(repr, lacking), 5)}, in {format_list(runs, 5)}"
    )


TANGENTS = Step(KIND, _list_content, _make)
