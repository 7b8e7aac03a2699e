"""Label tables as columns: which holds the keys, the names, the colours, and what is left."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, TypeAlias

from atlasinit.core.labels import DERIVED, hemisphere_of
from atlasinit.io.contents import LabelRow

Rows: TypeAlias = tuple[LabelRow, ...]

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


def rows_of_columns(
    header: Sequence[str],
    records: Sequence[Sequence[Any]],
    formats: Mapping[str, str] = MappingProxyType({}),
) -> Rows:
    """Return the rows of a table whose columns have names.

    Of two columns of one name the second is called ``name.1``. `formats` is as of
    `atlasinit.io.tables.reading.read_table`.

    Raises
    ------
    ValueError
        No column of whole-number keys or of names, or more cells than columns.
    """
    records = [record for record in records if len(record)]
    for i, record in enumerate(records):
        # A trailing empty cell is often left out or doubled.
        if not all(is_missing(cell) for cell in record[len(header) :]):
            raise ValueError(f"row {i + 1} has {len(record)} cells for {len(header)} columns")
    plain = _distinct([plain_title(name) for name in header])
    cells = {
        name: [record[i] if i < len(record) else "" for record in records]
        for i, name in enumerate(plain)
    }
    named = [str(name).strip() or f"column_{i}" for i, name in enumerate(header)]
    titles = dict(zip(plain, _distinct(named), strict=True))
    if _LEFT in cells and _RIGHT in cells:
        cells, titles = _two_sided(cells, titles)
    key = _first(_KEYS, cells, lambda column: all(is_whole_number(cell) for cell in column))
    if key is None:
        raise ValueError(f"no column of whole-number keys ({', '.join(_KEYS)}) among {header}")
    name = _first(_NAMES, cells, lambda column: True, without=key)
    if name is None:
        raise ValueError(f"no column of names ({', '.join(_NAMES)}) among {header}")
    colors, used = _colors(cells)
    side = _first(_SIDES, cells, lambda column: True)
    used |= {key, name, side, *DERIVED}
    network = _first(_NETWORKS, cells, lambda column: True)
    titles = {**titles, **({network: "network"} if network else {})}
    extra = {
        titles[c]: _typed(column, formats.get(titles[c], ""))
        for c, column in cells.items()
        if c not in used
    }
    return tuple(
        LabelRow(
            key=whole_number(cells[key][i]),
            name="" if is_missing(cells[name][i]) else str(cells[name][i]).strip(),
            color=colors[i] if colors else "",
            hemisphere=hemisphere_of(str(cells[side][i])) if side else "",
            extra={title: column[i] for title, column in extra.items()},
        )
        for i in range(len(cells[key]))
    )


def names_columns(cells: Iterable[str]) -> bool:
    """Whether some cells are the names of columns: one of keys and another of names."""
    titles = {plain_title(cell) for cell in cells}
    keys, names = titles.intersection(_KEYS), titles.intersection(_NAMES)
    return bool(keys and names and len(keys | names) > 1)


def plain_title(name: object) -> str:
    """Return a column's name casefolded, ``_`` for all but letters and digits."""
    return re.sub(r"[^0-9a-z]+", "_", str(name).casefold()).strip("_")


def hex_color(red: float | int, green: float | int, blue: float | int) -> str:
    """Return ``"#rrggbb"`` for channels from 0 to 255."""
    channels = (min(max(round(c), 0), 255) for c in (red, green, blue))
    return "#{:02x}{:02x}{:02x}".format(*channels)


def is_missing(cell: object) -> bool:
    """Whether a cell of a table is empty, ``n/a`` or NaN."""
    if isinstance(cell, str):
        return cell.strip().casefold() in ("", "n/a", "nan")
    return cell is None or cell != cell


def is_number(value: object) -> bool:
    """Whether a cell holds a number."""
    try:
        float(value)  # pyright: ignore[reportArgumentType]
    except (TypeError, ValueError):
        return False
    return True


def is_whole_number(value: object) -> bool:
    """Whether a cell holds a whole number, as 3, ``"3"`` or ``"3.0"``."""
    return is_number(value) and float(value).is_integer()  # pyright: ignore[reportArgumentType]


def whole_number(value: Any) -> int:
    """Return the whole number that a cell holds."""
    try:
        return int(value)
    except ValueError:
        return int(float(value))


def _distinct(names: Sequence[str]) -> list[str]:
    """Return names of which each that came before has its number behind, as pandas' do."""
    return [
        f"{name}.{names[:i].count(name)}" if name in names[:i] else name
        for i, name in enumerate(names)
    ]


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
            if not is_missing(key):
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
            if all(is_number(value) for triple in triples for value in triple):
                return _from_channels(triples), set(channels)
    column = _first(_COLORS, cells, lambda column: True)
    if column is None:
        return [], set()
    texts = ["" if is_missing(c) else str(c).strip().casefold() for c in cells[column]]
    texts = [re.sub("^#(.)(.)(.)$", r"#\1\1\2\2\3\3", text) for text in texts]
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
    cells = [None if is_missing(cell) else cell for cell in column]
    if any(not isinstance(cell, str | None) for cell in cells):
        return cells
    # R writes NA where a number is missing; among words it is one, as of the nucleus accumbens.
    numbers = [None if cell is None or cell.casefold() == "na" else cell for cell in cells]
    present = [cell for cell in numbers if cell is not None]
    convert: Callable[[str], Any] = str
    if all(re.fullmatch(r"-?(0|[1-9]\d*)", cell) for cell in present):
        convert = int
    elif all(is_number(cell) for cell in present):
        convert = float
    else:
        return cells
    return [None if cell is None else convert(cell) for cell in numbers]
