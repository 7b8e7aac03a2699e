"""What was done to the series of an output, in words, as the sidecars of its runs state it."""

import contextlib
from collections.abc import Callable, Mapping
from typing import Any

from atlasinit.errors import AtlasFileError, format_count, format_list
from atlasinit.extraction.naming import read_sidecar
from atlasinit.extraction.state import Ledger, Record
from atlasinit.report.cleaning import describe_frequencies

_MOST = 200
"""Runs whose sidecars are read: they are alike, or differ in a few ways."""

_SHOWN = 4
"""Ways that are named."""


def _name_confounds(own: Mapping[str, Any]) -> str:
    strategy = own.get("ConfoundStrategy")
    if strategy:
        return (
            f"{format_list(strategy)}, by nilearn: {format_count(len(own['Confounds']), 'column')}"
        )
    return format_list(own.get("Confounds") or ["none"])


def _name_number(title: str, unit: str, none: str) -> Callable[[Mapping[str, Any]], str]:
    def name(own: Mapping[str, Any]) -> str:
        value = own.get(title)
        return none if value is None else f"{value:g} {unit}".strip()

    return name


_SAID: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "Reduction": lambda own: str(own.get("Reduction", "not stated")),
    "Smoothing": _name_number("SmoothingFWHM", "mm FWHM", "none"),
    "Least coverage": _name_number("MinimumCoverage", "", "none"),
    "Confounds": _name_confounds,
    "Framewise displacement": lambda own: own.get("FramewiseDisplacement") or "not stated",
    "Framewise displacement up to": _name_number("FDThreshold", "mm", "any"),
    "Detrending": lambda own: "linear" if own.get("Detrended") else "none",
    "Frequencies kept": lambda own: describe_frequencies(own.get("HighPass"), own.get("LowPass")),
    "Standardising": lambda own: str(own.get("Standardized") or "none"),
    "Time step": _name_number("RepetitionTime", "s", "not stated"),
}


def describe_runs(ledger: Ledger, records: Mapping[str, Record]) -> dict[str, str]:
    """Return a heading to a text; where runs differ, each way with the number of runs.

    Empty without a sidecar that can be read.
    """
    done = [record for record in records.values() if record.status == "done"]
    found = [own for record in done[:_MOST] if (own := _find_sidecar(ledger, record.files))]
    if not found:
        return {}
    told = {title: _join([name(own) for own in found]) for title, name in _SAID.items()}
    volumes = [r.quality for r in done if r.quality.get("volumes") and "kept" in r.quality]
    if volumes:
        lost = sum(own["volumes"] - own["kept"] for own in volumes)
        whole = sum(own["volumes"] for own in volumes)
        told["Volumes dropped"] = f"{lost} of {whole} in {format_count(len(volumes), 'run')}"
    return told


def _join(texts: list[str]) -> str:
    ways = {text: texts.count(text) for text in dict.fromkeys(texts)}
    if len(ways) == 1:
        return texts[0]
    counted = [f"{text} ({format_count(count, 'run')})" for text, count in ways.items()]
    return format_list(counted, _SHOWN).replace("), ", "); ")


def _find_sidecar(ledger: Ledger, files: Mapping[str, Any]) -> dict[str, Any]:
    """Return the first sidecar of a run that states how its series were made."""
    for name in sorted(files):
        if name.endswith(".json"):
            with contextlib.suppress(AtlasFileError):
                own = read_sidecar(ledger.root / name)
                if "Reduction" in own:
                    return own
    return {}
