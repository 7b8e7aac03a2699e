"""One page on all runs of an output: what to worry about, distributions, runs and parcels."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from atlasinit.errors import format_count
from atlasinit.extraction.carpets import ENDING
from atlasinit.extraction.methods import describe_runs
from atlasinit.extraction.qcfc import LEAST, LEVEL
from atlasinit.extraction.state import GROUPS, Ledger, Record
from atlasinit.extraction.summary import PAGE, tabulate
from atlasinit.io import read_matrix
from atlasinit.io.bids.names import entities_of
from atlasinit.report.charts import Bars, draw_band, histogram
from atlasinit.report.page import Report, render
from atlasinit.support.formatting import format_number
from atlasinit.support.version import __version__

if TYPE_CHECKING:
    import pandas as pd

_SPREAD = 3.5
"""Robust z-score beyond which a run lies far from the others (Iglewicz and Hoaglin 1993)."""

_LOST = 0.2
"""Share of runs in which a parcel has too little data that is worth a look."""

_SHOWN = 200
"""Rows of a table."""


@dataclasses.dataclass(frozen=True)
class Column:
    """A number of each run: its column, what it is called, its unit, and which side is worse."""

    name: str
    title: str
    unit: str
    worse: str

    @property
    def heading(self) -> str:
        """The title with the unit."""
        return f"{self.title} ({self.unit})" if self.unit else self.title


_COLUMNS = (
    Column("mean_fd", "Mean framewise displacement", "mm", "high"),
    Column("mean_std_dvars", "Mean standardised DVARS", "", "high"),
    Column("share_kept", "Share of volumes kept", "", "low"),
)


def build_page(ledger: Ledger) -> Report:
    """Return the page of the runs that an output has records of."""
    records = ledger.records()
    table: Any = tabulate(records)
    done = table[table["status"] == "done"].reset_index(drop=True)
    if {"kept", "volumes"} <= {*done.columns}:
        done = done.assign(share_kept=done["kept"].astype(float) / done["volumes"].astype(float))
    columns = [column for column in (*_COLUMNS, *_of_atlases(done)) if column.name in done.columns]
    worries = _find_worries(done, columns)
    failed = table[table["status"] == "failed"]
    parcels: Any = _count_lost(records)
    findings = [f"{row.run} failed: {row.reason}" for row in failed.itertuples()]
    findings += [f"{run}: {'; '.join(why)}" for run, why in worries.items()]
    often = parcels[parcels["share"] >= _LOST] if len(parcels) else parcels
    findings += [
        f"{row.parcel} of {row.atlas} has too little data in {row.runs} of {row.of} runs"
        for row in often.itertuples()
    ]
    title = f"Runs of {ledger.root.resolve().name}"
    html = render(
        "runs.html",
        title=title,
        version=__version__,
        lead=f"{format_count(len(done), 'run')} done, {len(failed)} failed",
        findings=findings[:_SHOWN],
        details=describe_runs(ledger, records),
        more=max(0, len(findings) - _SHOWN),
        charts=[chart for column in columns if (chart := _draw(done, column)) is not None],
        titles=[column.heading for column in columns],
        runs=_list_runs(records, done, columns, worries),
        hidden=max(0, len(done) - _SHOWN),
        parcels=parcels.head(_SHOWN).to_dict("records"),
        least=LEAST,
        **_describe_relations(ledger),
    )
    return Report(title, html, tuple(findings))


def _of_atlases(done: Any) -> list[Column]:
    found = []
    for name in map(str, done.columns):
        if name.startswith("coverage_"):
            label = name.removeprefix("coverage_")
            found.append(Column(name, f"Mean coverage of {label}", "", "low"))
        elif name.startswith("tsnr_"):
            label = name.removeprefix("tsnr_")
            found.append(Column(name, f"Temporal signal-to-noise of {label}", "", "low"))
    return found


def _find_worries(done: Any, columns: list[Column]) -> dict[str, list[str]]:
    """Return run to what is far off in it, on the worse side of the others."""
    found: dict[str, list[str]] = {}
    for column in columns:
        values = done[column.name].to_numpy(float)
        known = values[np.isfinite(values)]
        # Of fewer than these no spread can be told.
        if known.size < 5:
            continue
        middle = np.median(known)
        # 1.4826 makes the median deviation of normal values their standard deviation.
        spread = 1.4826 * np.median(np.abs(known - middle))
        away = values - middle if column.worse == "high" else middle - values
        for i in np.flatnonzero(away > _SPREAD * max(spread, 1e-12)):
            text = f"{column.title.lower()} {values[i]:.3g} {column.unit}".strip()
            found.setdefault(str(done["run"][i]), []).append(f"{text}, median {middle:.3g}")
    return found


def _draw(done: Any, column: Column) -> Bars | None:
    values = done[column.name].to_numpy(float)
    return histogram(values, title=column.title, unit=column.unit, what="runs", linear=True)


def _list_runs(
    records: Mapping[str, Record], done: Any, columns: list[Column], worries: dict[str, list[str]]
) -> list[dict[str, Any]]:
    """Return the rows of the table of runs, those to worry about first."""
    values = [done[column.name].to_numpy(float) for column in columns]
    rows = [
        {
            "run": run,
            "worth": run in worries,
            "cells": [format_number(own[i], ".3g") for own in values],
        }
        for i, run in enumerate(done["run"])
    ]
    rows = sorted(rows, key=lambda row: not row["worth"])[:_SHOWN]
    return [{**row, "carpets": _list_carpets(records[row["run"]])} for row in rows]


def _list_carpets(record: Record) -> list[tuple[str, str]]:
    """Return the pictures of a run: the atlas, and the place."""
    pictures = [file for file in sorted(record.files) if file.endswith(ENDING)]
    return [(entities_of(file)["atlas"], file) for file in pictures]


def _describe_relations(ledger: Ledger) -> dict[str, list[Any]]:
    """Return what motion has to do with connectomes (QC-FC): sentences and charts."""
    told, charts, curves = [], [], []
    for record in ledger.records(GROUPS).values():
        found = record.quality
        if "median_absolute_qcfc" not in found:
            continue
        title = found["atlas"]
        told.append(f"{title}: {_tell_relation(found)}")
        r = read_matrix(ledger.root / found["matrix"]).to_numpy()
        chart = histogram(
            r[np.triu_indices(len(r), 1)],
            title=f"QC-FC of {title}",
            unit="",
            what="edges",
            linear=True,
        )
        charts += [chart] if chart is not None else []
        if found["curve"]:
            far, *edges = np.array(found["curve"]).T
            alt = (
                f"QC-FC against the distance of parcels, {far[0]:.3g} to {far[-1]:.3g} mm: the "
                f"median goes from {edges[1][0]:.2g} to {edges[1][-1]:.2g}."
            )
            heading = f"QC-FC of {title} by distance: median, and 80 % of edges"
            curves.append(draw_band(far, tuple(edges), title=heading, alt=alt, unit="mm"))
    return {"relations": told, "relation_charts": charts, "relation_curves": curves}


def _tell_relation(found: Mapping[str, Any]) -> str:
    people = f"across {found['participants']} participants"
    if found["median_absolute_qcfc"] is None:
        return f"{people}, there is no edge that enough of them have, or no difference in motion"
    text = (
        f"{people}, the median |QC-FC| of an edge is {found['median_absolute_qcfc']:.2f}; "
        f"{found['share_significant']:.0%} of edges have p < {LEVEL} (uncorrected, 5% by chance)"
    )
    if found["distance_dependence"] is None:
        return f"{text}; its surfaces do not say how far parcels lie from each other"
    return (
        f"{text}; Spearman's ρ with the distance of parcels is {found['distance_dependence']:.2f}"
    )


def _count_lost(records: Mapping[str, Record]) -> "pd.DataFrame":
    """Return the parcels that are NaN in some run, and in how many, the most first."""
    import pandas as pd

    counts: dict[tuple[str, str], int] = {}
    totals: dict[str, int] = {}
    for record in records.values():
        for title, lost in record.quality.items():
            if not title.startswith("lost_"):
                continue
            label = title.removeprefix("lost_")
            totals[label] = totals.get(label, 0) + 1
            for parcel in lost:
                counts[label, parcel] = counts.get((label, parcel), 0) + 1
    rows = [
        {"atlas": a, "parcel": p, "runs": n, "of": totals[a], "share": n / totals[a]}
        for (a, p), n in counts.items()
    ]
    frame = pd.DataFrame(rows, columns=["atlas", "parcel", "runs", "of", "share"])
    return frame.sort_values("share", ascending=False, kind="stable")


def write_page(ledger: Ledger) -> Path:
    """Write the page of an output."""
    with ledger.hold("quality"):
        return build_page(ledger).save(ledger.root / PAGE, overwrite=True)
