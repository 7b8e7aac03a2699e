"""What this package writes besides atlases and numbers: sidecars, pages, centres, whole outputs."""

import importlib
import json
import re
from pathlib import Path
from typing import Any

from atlasinit.errors import AtlasFileError, ContentError, format_list
from atlasinit.extraction.naming import is_seconds
from atlasinit.extraction.state import FOLDER, Ledger
from atlasinit.inspection.findings import Notes, Sections
from atlasinit.inspection.titles import Titles
from atlasinit.io.bids.names import entities_of, stem
from atlasinit.io.files import extension, parsing, reading
from atlasinit.io.input import Input
from atlasinit.io.tables.cells import is_number
from atlasinit.io.tables.parcel_values import separator_of

_SHOWN = 5
_SUMMARIES = ({"run", "status"}, {"atlas", "distance_dependence"})
"""Columns of ``quality.tsv`` and of ``qcfc.tsv``."""
_TOLD = ("Name", "DatasetType", "BIDSVersion", "Description", "License", "Statistic", "Measure")
_GENERATOR = re.compile(rb'<meta name="generator" content="(atlasinit [^"]*)"')
_TITLE = re.compile(rb"<title>(.*?)</title>", re.DOTALL)
_HEAD = 4096
"""Bytes of a page that hold who made it."""
_COLUMNS = 6
"""Of BrainNet Viewer: x, y, z, colour, size and label."""


# Sidecars


def is_json(source: Input) -> bool:
    """Whether a file may be one of metadata, by its name."""
    return extension(source.name) == ".json"


def check_json(path: Path, notes: Notes) -> Sections | None:
    """Return what metadata state; None of JSON that is none, as a label table."""
    with reading(path, "JSON"):
        try:
            found = json.loads(path.read_text(encoding="utf-8-sig"))
        except RecursionError as error:
            raise ContentError("its brackets are nested too deep") from error
    if not isinstance(found, dict) or "LabelMap" in found or not found:
        return None
    beside = sorted(one.name for one in path.parent.glob("*") if _goes_with(one, path))
    of_dataset = "BIDSVersion" in found or path.name.endswith("_description.json")
    of_records = FOLDER in path.parts
    if not (beside or of_dataset or of_records or _has_fields(path, found)):
        return None
    step = found.get("RepetitionTime")
    if "RepetitionTime" in found and not is_seconds(step):
        notes.add("warning", "values", f"RepetitionTime should be seconds above 0, is {step!r}")
    stated = {key: found[key] for key in _TOLD if isinstance(found.get(key), str)}
    kind = "description" if of_dataset else "record of an extraction" if of_records else "metadata"
    read: dict[str, Any] = {"as": kind, "fields": list(found)}
    return stated, read | ({"of": beside} if beside else {})


def _goes_with(one: Path, path: Path) -> bool:
    return one != path and stem(one) == stem(path) and one.is_file()


def _has_fields(path: Path, found: dict[str, Any]) -> bool:
    """Whether names are those of BIDS, as RepetitionTime, in a file that is called as BIDS does."""
    fields = all(re.fullmatch("[A-Z][A-Za-z0-9]*", key) for key in found)
    return fields and bool(entities_of(path))


# Pages


def is_page(source: Input) -> bool:
    """Whether a file is a page that this package made."""
    return _find_maker(source) is not None


def _find_maker(source: Input) -> str | None:
    # Of any other page, whatever its name, the first bytes tell that it is no file of numbers.
    if source.path is None or source.path.suffix.lower() not in (".html", ".htm"):
        return None
    with source.path.open("rb") as file:
        found = _GENERATOR.search(file.read(_HEAD))
    return found and found[1].decode(errors="replace")


def check_page(path: Path, notes: Notes) -> Sections:
    """Return what a page of this package is called, and which version made it."""
    content = path.read_bytes()
    maker, title = _GENERATOR.search(content), _TITLE.search(content)
    assert maker is not None, "what is no page of the package is claimed by nothing"
    if not content.rstrip().endswith(b"</html>"):
        notes.add("warning", "file", "it ends before its end, and will not show all")
    told = title[1].decode(errors="replace").strip() if title else ""
    return {"made by": maker[1].decode(errors="replace")}, {"as": "page to look at", "title": told}


# Centres for BrainNet Viewer


def is_nodes(source: Input) -> bool:
    """Whether a file holds nodes of BrainNet Viewer, by its name."""
    return source.name.lower().endswith(".node")


def check_nodes(path: Path, notes: Notes) -> Sections:
    """Return what nodes of BrainNet Viewer are, after noting what is odd."""
    with reading(path, "nodes of BrainNet Viewer") as found:
        text = found.read_text(encoding="utf-8")
        lines = [line for line in text.splitlines() if line.strip() and line[0] != "#"]
        rows = [line.split() for line in lines]
        for number, row in enumerate(rows, start=1):
            if len(row) != _COLUMNS:
                raise ContentError(f"has {len(row)} cells for {_COLUMNS} columns", row=number)
            if not all(map(is_number, row[:5])):
                raise ContentError("holds text before its label", row=number)
        if not rows:
            raise ContentError("it holds no node")
    names = [row[5] for row in rows]
    twice = [name for name in dict.fromkeys(names) if names.count(name) > 1]
    if twice:
        told = format_list(map(repr, twice), _SHOWN)
        notes.add("warning", "names", f"several nodes have one name: {told}")
    return {}, {
        "as": "nodes of BrainNet Viewer",
        "parcels": len(names),
        "names": names,
        "colours": len({row[3] for row in rows}),
    }


# Outputs of `extract`


def is_summary(source: Input) -> bool:
    """Whether a table is one of all runs of an output, by its titles."""
    titles = Titles.of(source)
    return titles is not None and any(own <= {*titles.titles} for own in _SUMMARIES)


def check_summary(path: Path, notes: Notes) -> Sections:
    """Return what a table of all runs of an output holds, after noting runs that failed."""
    import pandas as pd

    with reading(path, "a table of runs") as found:
        frame: Any = pd.read_csv(found, sep=separator_of(path), keep_default_na=False)
    if "status" in frame.columns:
        _note_failed(frame["run"][frame["status"] == "failed"].astype(str).tolist(), notes)
    return {}, {"as": "summary of runs", "rows": len(frame), "columns": list(frame.columns)}


def is_output(path: Path) -> bool:
    """Whether a folder is an output of `extract`."""
    return (path / FOLDER).is_dir()


def check_output(path: Path, notes: Notes) -> Sections:
    """Return what an output of `extract` holds, after noting what failed or was changed since."""
    ledger = Ledger(path)
    records = ledger.records()
    _note_failed([run for run, one in records.items() if one.status == "failed"], notes)
    changed = [
        run for run, one in records.items() if one.status == "done" and not ledger.is_whole(one)
    ]
    if changed:
        told = format_list(changed, _SHOWN)
        remedy = "they are made anew when `extract` is called again"
        notes.add("warning", "runs", f"runs with files that are gone or changed: {told}; {remedy}")
    if not records:
        notes.add("warning", "runs", "no run is done yet")
    atlases = dict.fromkeys(key for one in records.values() for key in one.stems)
    files = sum(len(one.files) for one in records.values())
    done = sum(one.status == "done" for one in records.values())
    read = {"as": "output of extract", "runs": len(records), "done": done, "files": files}
    return {}, {**read, "atlases": list(atlases)}


def _note_failed(runs: list[str], notes: Notes) -> None:
    if runs:
        notes.add("warning", "runs", f"runs that failed: {format_list(runs, _SHOWN)}")


# Text for people


def is_prose(source: Input) -> bool:
    """Whether a file is text for people, or about names of files, by its name."""
    return source.name.lower().endswith((".md", ".log", ".bidsignore"))


def check_prose(path: Path, notes: Notes) -> Sections:
    """Return how many lines a text has, of which nothing is read."""
    del notes
    # It may well be empty, as a `.bidsignore` is.
    with parsing(path, "text"):
        lines = path.read_text(encoding="utf-8").count("\n")
    return {}, {"as": "text for people", "lines": lines}


# Tables as Parquet


def is_parquet(source: Input) -> bool:
    """Whether a file is Parquet, by its name."""
    return source.name.lower().endswith(".parquet")


def check_parquet(path: Path, notes: Notes) -> Sections:
    """Return what a table of a run as Parquet holds."""
    del notes
    try:
        parquet = importlib.import_module("pyarrow.parquet")
    except ImportError as error:
        told = 'pyarrow; install it: pip install "atlasinit[scale]"'
        raise AtlasFileError(path, "is Parquet, which needs " + told) from error
    with reading(path, "a Parquet file"):
        file = parquet.ParquetFile(path)
        columns, rows = list(file.schema_arrow.names), file.metadata.num_rows
        file.close()
    of_pairs = {"parcel_1", "parcel_2"} <= {*columns}
    kind = "connectome, a row for each pair of parcels" if of_pairs else "values of parcels"
    kind = "series of parcels" if "volume" in columns else kind
    return {}, {"as": kind, "rows": rows, "columns": columns}
