"""Label tables in every form that atlases come with."""

import csv
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeAlias

from atlasinit._typing import PathLike
from atlasinit.errors import AtlasFileError
from atlasinit.io.files import atomic_write, extension, reading
from atlasinit.io.parts import LabelRow
from atlasinit.labels import LabelTable

if TYPE_CHECKING:
    import pandas as pd

Rows: TypeAlias = tuple[LabelRow, ...]

LabelSource: TypeAlias = (
    "PathLike | pd.DataFrame | Mapping[int, str] | Sequence[LabelRow] | Mapping[str, Any]"
)
"""What a user may pass as ``labels``; a mapping from str gives one for each compartment."""

# Names of columns, casefolded and with "_" for anything that is not a letter or digit, in order
# of preference: a table with `id` and `label` is keyed by `id` and named by `label`.
_KEYS = ("index", "key", "id", "value", "component", "roi", "number", "no", "intensity", "label")
_NAMES = (
    *("name", "label", "full_name", "difumo_names", "label_name", "labelname", "structure"),
    *("region", "region_name", "roi_name", "names", "abbreviation", "abbr"),
)
_SIDES = ("hemisphere", "hemi", "side")
_COLORS = ("color", "colour", "rgb", "rgba", "hex")
_CHANNELS = (("red", "green", "blue"), ("r", "g", "b"))
_NETWORKS = ("network", "network_label", "network_name", "yeo_networks7")
_LEFT, _RIGHT = "left_label_value", "right_label_value"
# Written by `Atlas.labels`, and computed anew from the data.
_DERIVED = ("n_locations", "empty")

_SIDE_OF = {"l": "L", "lh": "L", "left": "L", "r": "R", "rh": "R", "right": "R"}
_MISSING = ("", "n/a", "na", "nan")

_COLOR_TABLE = re.compile(r"\s*(-?\d+)\s+(\S.*?)\s+(\d+)\s+(\d+)\s+(\d+)\s+(\d+)\s*")
_KEY_AND_COLOR = re.compile(r"\s*(-?\d+)\s+(\d+)\s+(\d+)\s+(\d+)\s+(\d+)\s*")
_KEY_AND_NAME = re.compile(r"\s*(-?\d+)\s+(\S.*?)\s*")
_FSL_LABEL = re.compile(r"<label\b([^>]*)>(.*?)</label>", re.DOTALL)


def read_table(path: PathLike, *, formats: Mapping[str, str] | None = None) -> Rows:
    """Read the label table of an atlas.

    Understands BIDS ``dseg.tsv`` and the tables of TemplateFlow, delimited tables
    (tab, comma or semicolon) with or without a header, ``key name`` lines,
    FreeSurfer colour tables, Connectome Workbench's pairs of lines, FSL's atlas
    xml, and JSON (``{key: name}``, or with BIDS's ``LabelMap``). UTF-8 with or
    without a mark, else Latin-1.

    Columns are found by name. A key column is taken as it is, except in FSL's xml,
    where index i is value i + 1 of the label image and volume i (counted from 0)
    of the probability image, so that its key is i + 1. A row with a left and a right key
    becomes one entry a side. Columns of no known meaning are kept in ``extra``; their missing
    values (empty or ``n/a``) are None.

    Parameters
    ----------
    path
        The file.
    formats
        Name of a column to ``"string"`` or ``"boolean"``, where its values are not to
        be taken as numbers although all of them look like numbers.

    Returns
    -------
    tuple of LabelRow
        In the order of the file.

    Raises
    ------
    AtlasFileError
        A file that is missing, or is not a label table.
    """
    with reading(path, "a label table") as found:
        text = _decode(found.read_bytes())
        kind = extension(found)
        if kind == ".xml":
            rows = _fsl_xml(text)
        elif kind == ".json":
            rows = _json(text)
        else:
            rows = _text_table(text, formats or {})
    if not rows:
        raise AtlasFileError(f"{path}: the label table has no entries.")
    return rows


def rows_from_table(labels: object) -> Rows | dict[str, Rows]:
    """Return the rows of what a user passes as ``labels``.

    Parameters
    ----------
    labels
        A path, a ``pandas.DataFrame``, a mapping from key to name, a sequence of
        `LabelRow`; or a mapping from compartment to any of these.

    Returns
    -------
    tuple of LabelRow, or dict from compartment to such tuples

    Raises
    ------
    TypeError
        Anything else.
    ValueError
        A table without a column of keys or of names.
    """
    if isinstance(labels, str | Path) or hasattr(labels, "__fspath__"):
        return read_table(labels)  # pyright: ignore[reportArgumentType]
    if hasattr(labels, "columns") and hasattr(labels, "itertuples"):
        return _frame(labels)
    if isinstance(labels, Mapping):
        if all(_is_int(key) for key in labels):
            return tuple(LabelRow(int(key), str(name)) for key, name in labels.items())
        parts = {str(c): rows_from_table(part) for c, part in labels.items()}
        nested = [c for c, part in parts.items() if isinstance(part, dict)]
        if nested:
            raise TypeError(f"`labels` should hold one table for each compartment; see {nested}.")
        return parts  # pyright: ignore[reportReturnType]
    if isinstance(labels, Sequence) and all(isinstance(row, LabelRow) for row in labels):
        return tuple(labels)
    raise TypeError(
        "`labels` should be a path, a pandas.DataFrame, a dict {key: name}, LabelRows, or a dict "
        f"{{compartment: one of these}}, got {type(labels).__name__}. A plain list of names has "
        "no keys: pass dict(enumerate(names, start=1))."
    )


def write_labels(labels: LabelTable, path: PathLike, *, index: Sequence[int]) -> None:
    """Write a BIDS ``dseg.tsv``: index, name, color, hemisphere and the further columns.

    Missing values and empty colours are ``n/a``.

    Parameters
    ----------
    labels
        One row a parcel.
    path
        The file.
    index
        What the file that the table belongs to uses for each parcel.
    """
    further = [c for c in labels.columns if c not in ("compartment", "key")]
    with Path(path).open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, delimiter="\t", lineterminator="\n")
        writer.writerow(["index", *further])
        for i, key in enumerate(index):
            cells = (labels[column][i] for column in further)
            empty = ("color", "hemisphere")
            texts = [
                "n/a" if cell is None or (cell == "" and column in empty) else cell
                for column, cell in zip(further, cells, strict=True)
            ]
            writer.writerow([key, *texts])


def write_table(frame: "pd.DataFrame", path: PathLike) -> Path:
    """Write a ``.tsv`` or ``.csv`` table, missing values as ``n/a``, and return its path.

    The file appears once it is whole.
    """
    separator = {".tsv": "\t", ".csv": ","}.get(extension(path))
    if separator is None:
        raise ValueError(f"`path` should end in .tsv or .csv, got {path}.")
    with atomic_write(path) as temporary:
        frame.to_csv(temporary, sep=separator, index=False, na_rep="n/a")
    return Path(path).expanduser()


def hex_color(red: float | int, green: float | int, blue: float | int) -> str:
    """Return ``"#rrggbb"`` for channels from 0 to 255."""
    channels = (min(max(round(c), 0), 255) for c in (red, green, blue))
    return "#{:02x}{:02x}{:02x}".format(*channels)


def _decode(data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _text_table(text: str, formats: Mapping[str, str]) -> Rows:
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    if not lines:
        return ()
    pairs = [_KEY_AND_COLOR.fullmatch(line) for line in lines[1::2]]
    if len(lines) % 2 == 0 and all(pairs) and not _KEY_AND_COLOR.fullmatch(lines[0]):
        return tuple(
            _color_row(m[1], name, m[2], m[3], m[4])
            for name, m in zip(lines[::2], pairs, strict=True)
            if m
        )
    matches = [_COLOR_TABLE.fullmatch(line) for line in lines]
    if all(matches):
        return tuple(_color_row(m[1], m[2], m[3], m[4], m[5]) for m in matches if m)
    delimiter = next((d for d in "\t,;" if d in lines[0]), None)
    if delimiter is None:
        matches = [_KEY_AND_NAME.fullmatch(line) for line in lines]
        if not all(matches):
            raise ValueError("its first line has neither columns nor a key and a name")
        return tuple(LabelRow(int(m[1]), m[2]) for m in matches if m)
    records = [
        [cell.strip() for cell in record] for record in csv.reader(lines, delimiter=delimiter)
    ]
    if any(_is_int(cell) for cell in records[0]):
        return _headless(records)
    return _records(records[0], records[1:], formats)


def _color_row(key: str, name: str, red: str, green: str, blue: str) -> LabelRow:
    return LabelRow(int(key), name.strip(), hex_color(int(red), int(green), int(blue)))


def _headless(records: list[list[str]]) -> Rows:
    """Return rows of delimited cells: the key first, then the name, then perhaps a colour."""
    columns = ["index", "name", "red", "green", "blue"] if len(records[0]) >= 5 else []
    columns = columns or ["index", "name"]
    columns += [f"column_{i}" for i in range(len(columns), len(records[0]))]
    if not _is_int(records[0][0]):
        columns[:2] = ["name", "index"]
    return _records(columns, records)


def _records(
    header: Sequence[str],
    records: Sequence[Sequence[Any]],
    formats: Mapping[str, str] = MappingProxyType({}),
) -> Rows:
    """Return rows of a table whose columns have names."""
    records = [record for record in records if len(record)]
    for i, record in enumerate(records):
        # A trailing empty cell is often left out or doubled.
        if any(cell not in _MISSING for cell in record[len(header) :]):
            raise ValueError(f"row {i + 1} has {len(record)} cells for {len(header)} columns")
    plain = [re.sub(r"[^0-9a-z]+", "_", str(name).casefold()).strip("_") for name in header]
    cells = {
        name: [record[i] if i < len(record) else "" for record in records]
        for i, name in enumerate(plain)
    }
    titles = dict(zip(plain, (str(name).strip() for name in header), strict=True))
    if _LEFT in cells and _RIGHT in cells:
        cells, titles = _two_sided(cells, titles)
    key = _first(_KEYS, cells, lambda column: all(_is_int(cell) for cell in column))
    if key is None:
        raise ValueError(f"no column of whole-number keys ({', '.join(_KEYS)}) among {header}")
    name = _first(_NAMES, cells, lambda column: True, without=key)
    if name is None:
        raise ValueError(f"no column of names ({', '.join(_NAMES)}) among {header}")
    colors, used = _colors(cells)
    side = _first(_SIDES, cells, lambda column: True)
    used |= {key, name, side, *_DERIVED}
    network = _first(_NETWORKS, cells, lambda column: True)
    titles = {**titles, **({network: "network"} if network else {})}
    extra = {
        titles[c]: _typed(column, formats.get(titles[c], ""))
        for c, column in cells.items()
        if c not in used
    }
    return tuple(
        LabelRow(
            key=int(float(cells[key][i])),
            name=str(cells[name][i]).strip(),
            color=colors[i] if colors else "",
            hemisphere=_SIDE_OF.get(str(cells[side][i]).casefold(), "") if side else "",
            extra={title: column[i] for title, column in extra.items()},
        )
        for i in range(len(cells[key]))
    )


def _first(
    names: Iterable[str],
    cells: Mapping[str, list[Any]],
    fits: Callable[[list[Any]], bool],
    without: str = "",
) -> str | None:
    return next((n for n in names if n in cells and n != without and fits(cells[n])), None)


def _two_sided(cells: dict[str, list], titles: dict[str, str]) -> tuple[dict[str, list], dict]:
    """Return one entry a side where left and right differ, and one of neither where not."""
    shared = [c for c in cells if c not in (_LEFT, _RIGHT)]
    out: dict[str, list] = {c: [] for c in ("index", "hemisphere", *shared)}
    for i, (left, right) in enumerate(zip(cells[_LEFT], cells[_RIGHT], strict=True)):
        sides = [(left, "")] if left == right else [(left, "L"), (right, "R")]
        for key, side in sides:
            if key not in _MISSING:
                for c in shared:
                    out[c].append(cells[c][i])
                out["index"].append(key)
                out["hemisphere"].append(side)
    return out, {**titles, "index": "index", "hemisphere": "hemisphere"}


def _colors(cells: Mapping[str, list[Any]]) -> tuple[list[str], set[Any]]:
    """Return the rows' colours and the columns that they come from."""
    for channels in _CHANNELS:
        if all(c in cells for c in channels):
            triples = list(zip(*(cells[c] for c in channels), strict=True))
            if all(_is_number(value) for triple in triples for value in triple):
                return _from_channels(triples), set(channels)
    column = _first(_COLORS, cells, lambda column: True)
    if column is None:
        return [], set()
    texts = ["" if str(c).casefold() in _MISSING else str(c).casefold() for c in cells[column]]
    if all(re.fullmatch(r"|#?[0-9a-f]{6}([0-9a-f]{2})?", text) for text in texts):
        return [f"#{text.lstrip('#')[:6]}" if text else "" for text in texts], {column}
    triples = [tuple(re.findall(r"[\d.]+", text)[:3]) for text in texts]
    if all(len(triple) in (0, 3) for triple in triples):
        return _from_channels(triples), {column}
    return [], set()


def _from_channels(triples: Sequence[tuple[Any, ...]]) -> list[str]:
    values = [tuple(float(value) for value in triple) for triple in triples]
    unit = 255.0 if max((max(v, default=0.0) for v in values), default=0.0) <= 1 else 1.0
    return [hex_color(v[0] * unit, v[1] * unit, v[2] * unit) if v else "" for v in values]


def _typed(column: list[Any], form: str) -> list[Any]:
    """Return cells as int or float where all of the column's are, with None where missing."""
    if form == "string":
        return [None if cell == "n/a" else cell for cell in column]
    if form == "boolean":
        return [{"true": True, "false": False}.get(cell.casefold()) for cell in column]
    present = [c for c in column if not _missing(c)]
    if any(not isinstance(cell, str) for cell in present):
        return [None if _missing(cell) else cell for cell in column]
    convert: Callable[[str], Any] = str
    if present and all(re.fullmatch(r"-?(0|[1-9]\d*)", cell) for cell in present):
        convert = int
    elif present and all(_is_number(cell) for cell in present):
        convert = float
    return [None if _missing(cell) else convert(cell) for cell in column]


def _missing(cell: object) -> bool:
    return cell is None or cell != cell or (isinstance(cell, str) and cell.casefold() in _MISSING)


def _is_number(value: object) -> bool:
    try:
        float(value)  # pyright: ignore[reportArgumentType]
    except (TypeError, ValueError):
        return False
    return True


def _is_int(value: object) -> bool:
    return _is_number(value) and float(value).is_integer()  # pyright: ignore[reportArgumentType]


def _fsl_xml(text: str) -> Rows:
    from html import unescape

    rows = []
    for attributes, name in _FSL_LABEL.findall(text):
        found = dict(re.findall(r"""(\w+)\s*=\s*["']([^"']*)["']""", attributes))
        if not _is_int(found.get("index")):
            raise ValueError(f"a label without an index: {name!r}")
        xyz = [found[axis] for axis in "xyz" if axis in found]
        extra = {"xyz": ", ".join(xyz)} if len(xyz) == 3 else {}
        rows.append(LabelRow(int(found["index"]) + 1, unescape(name.strip()), extra=extra))
    return tuple(rows)


def _json(text: str) -> Rows:
    found = json.loads(text)
    found = found.get("LabelMap", found) if isinstance(found, dict) else found
    if isinstance(found, list) and all(isinstance(name, str) for name in found):
        # The list of a BIDS sidecar names the volumes of a probseg in order.
        return tuple(LabelRow(i, name) for i, name in enumerate(found, start=1))
    if isinstance(found, dict) and found and all(_is_int(key) for key in found):
        return tuple(LabelRow(int(key), str(name)) for key, name in found.items())
    raise ValueError("expected {key: name} or a LabelMap")


def _frame(frame: Any) -> Rows:
    columns = [str(name) for name in frame.columns]
    return _records(columns, [list(row) for row in frame.itertuples(index=False, name=None)])
