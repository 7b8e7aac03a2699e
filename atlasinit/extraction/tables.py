"""Runs that a table lists: one row an image, with what belongs to it."""

import math
from pathlib import Path
from typing import Any

from atlasinit.errors import ArgumentError, AtlasFileError, format_list, nearest
from atlasinit.extraction.naming import ending_of, is_seconds, label_of
from atlasinit.extraction.runs import OF_IMAGE, ORDER, Image, Run
from atlasinit.io.bids.names import entities_of, space_of
from atlasinit.io.files import reading
from atlasinit.io.tables.parcel_values import separator_of

_LONG = {
    "participant_id": "sub",
    "subject": "sub",
    "participant": "sub",
    "session": "ses",
    "session_id": "ses",
    "direction": "dir",
    "resolution": "res",
    "density": "den",
}
"""Titles for entities, beside BIDS's own short ones."""

_FILES = ("path", "left", "right", "confounds", "mask")
_KNOWN = (*_FILES, "root", "t_r", *_LONG, *ORDER)


def is_table(path: Path) -> bool:
    """Whether a file is a table, by its name."""
    return path.suffix.lower() in (".tsv", ".csv")


def read_runs(table: Any, folder: Path) -> list[Run]:
    """Return the runs of a table: a DataFrame, or the path of a .tsv or .csv.

    Parameters
    ----------
    table
        With a column ``path``, or ``left`` and ``right`` for two hemispheres; and where they are
        wanted ``confounds``, ``mask``, ``t_r`` (s), ``space``, and entities of BIDS by their short
        names (``sub``, ``ses``, ``task``, ``run``, ...), which go before those of the file's name.
        Others, as an index of a dataset has, are not looked at. Rows of one run in several spaces
        are one run.
    folder
        That paths begin at, unless a column ``root`` says otherwise.
    """
    where = str(table) if isinstance(table, Path) else "the table"
    rows = _rows(table)
    if not rows:
        raise ArgumentError("dataset", f": {where} has no row")
    titles = list(rows[0])
    if "path" not in titles and not {"left", "right"} <= set(titles):
        close = next(filter(None, (nearest(title, _FILES) for title in titles)), "")
        raise ArgumentError(
            "dataset",
            f": {where} should have a column 'path', or 'left' and 'right', got "
            f"{format_list(map(repr, titles))}",
            close,
        )
    runs: dict[tuple, Run] = {}
    for number, row in enumerate(rows, 1):
        run = _run(row, folder, f"row {number} of {where}")
        key = tuple(sorted(run.entities.items()))
        other = runs.get(key)
        if other is None:
            runs[key] = run
            continue
        taken = {(image.space, tuple(image.entities.items())) for image in other.images}
        (image,) = run.images
        if (image.space, tuple(image.entities.items())) in taken:
            raise ArgumentError(
                "dataset",
                f": row {number} of {where} is of the run {run.name}, as a row before it",
                "tell them apart by columns as task, run or space",
            )
        runs[key] = Run(
            run.entities,
            (*other.images, image),
            other.confounds or run.confounds,
            other.t_r or run.t_r,
        )
    return list(runs.values())


def _rows(table: Any) -> list[dict[str, str]]:
    import pandas as pd

    if isinstance(table, Path):
        with reading(table, "a table of runs") as found:
            # As text, so that a label 01 keeps its zero.
            frame: Any = pd.read_csv(
                found, sep=separator_of(table), dtype=str, keep_default_na=False
            )
    else:
        frame = table.to_pandas() if hasattr(table, "to_pandas") else table
    cells = frame.rename(columns=str).to_dict("records")
    return [{title: _text(value) for title, value in row.items()} for row in cells]


def _text(value: Any) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    # Of a column of numbers with a gap, in which pandas has no whole ones.
    text = str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
    return "" if text.strip() in ("n/a", "<NA>", "None") else text.strip()


def _run(row: dict[str, str], folder: Path, where: str) -> Run:
    root = Path(row.get("root") or folder)
    files = {title: _file(row[title], root, where, title) for title in _FILES if row.get(title)}
    images = [files[title] for title in ("path", "left", "right") if title in files]
    if not images or ("path" in files) != (len(images) == 1):
        raise ArgumentError("dataset", f": {where} should name one 'path', or 'left' and 'right'")
    named = entities_of(images[0]) if "sub" in entities_of(images[0]) else {}
    given = {_LONG.get(title, title): text for title, text in row.items() if text}
    stated = {k: given[k].removeprefix(f"{k}-") for k in ORDER if k in given}
    if not named and "sub" not in stated:
        named = {"sub": label_of(images[0].name.removesuffix(ending_of(images[0].name)))}
    entities = {k: v for k, v in (named | stated).items() if k in ORDER or k == "hemi"}
    for entity, label in stated.items():
        # A space may have modifiers, as fsLR:den-32k.
        if entity != "space" and label_of(label) != label:
            raise ArgumentError(
                "dataset",
                f": {where} has {label!r} for {entity!r}; labels of BIDS are letters and digits",
            )
    own = {k: v for k, v in entities.items() if k in OF_IMAGE and k != "hemi"}
    space = given.get("space", "") or space_of(own)
    if "space" in own:
        own["space"] = label_of(own["space"].partition(":")[0])
    image = Image(tuple(images), own, space, files.get("mask"), stated="space" in given)
    run = {k: v for k, v in entities.items() if k in ORDER and k not in OF_IMAGE}
    return Run(run, (image,), files.get("confounds"), _seconds(row.get("t_r", ""), where))


def _file(text: str, root: Path, where: str, title: str) -> Path:
    path = root / Path(text).expanduser()
    if not path.is_file():
        raise AtlasFileError(path, f"no such file, which {where} names as {title!r}")
    return path


def _seconds(text: str, where: str) -> float | None:
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not is_seconds(value):
        raise ArgumentError(
            "dataset", f": {where} should have a positive number of seconds as t_r, got {text!r}"
        )
    return value
