"""Label tables as columns: which holds the keys, the names, the colours, and what is left."""

import re
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, TypeAlias

from atlasinit.core.labels import DERIVED, hemisphere_of
from atlasinit.errors import ContentError, format_list
from atlasinit.io.contents import LabelRow
from atlasinit.io.tables.cells import (
    colors_of_channels,
    colors_of_texts,
    is_missing,
    is_number,
    is_whole_number,
    parse_key,
)
from atlasinit.io.tables.titles import (
    CHANNELS,
    COLORS,
    KEYS,
    NAMES,
    NETWORKS,
    SIDES,
    find_sided_pairs,
    is_vague,
    key_rank,
    make_distinct,
    name_rank,
    normalise_title,
)

Rows: TypeAlias = tuple[LabelRow, ...]
Cells: TypeAlias = dict[str, list[Any]]

# Cells of a column of sides that state none.
_NEITHER = frozenset(
    {"", "b", "both", "bilateral", "bi", "lr", "rl", "m", "mid", "midline", "medial", "none"}
)


def rows_of_columns(
    header: Sequence[object],
    records: Sequence[Sequence[Any]],
    formats: Mapping[str, str] = MappingProxyType({}),
) -> Rows:
    """Return the rows of a table whose columns have names.

    Of two columns of one name the second is called ``name.1``. `formats` is as of
    `atlasinit.io.tables.reading.read_table`.

    Raises
    ------
    ContentError
        No column of whole-number keys or of names, or more cells than columns.
    """
    # Spreadsheets leave lines of separators alone, as ",,,".
    records = [record for record in records if any(cell not in ("", None) for cell in record)]
    for i, record in enumerate(records):
        # A trailing empty cell is often left out or doubled.
        if not all(is_missing(cell) for cell in record[len(header) :]):
            raise ContentError(f"has {len(record)} cells for {len(header)} columns", row=i + 1)
    plain = make_distinct([normalise_title(name) for name in header])
    cells: Cells = {
        name: [record[i] if i < len(record) else "" for record in records]
        for i, name in enumerate(plain)
    }
    # pandas writes row numbers under no title: ",name,color".
    named = [str(name).strip() or f"column_{i}" for i, name in enumerate(header)]
    titles = dict(zip(plain, make_distinct(named), strict=True))
    cells, titles = _split_sides(cells, titles)
    key = _key_column(cells, titles)
    name = _name_column(cells, titles, key)
    colors, used = _colors(cells, titles)
    side = next((title for title in SIDES if title in cells), None)
    sides, understood = _sides(cells[side]) if side else ([""] * len(cells[key]), True)
    # Columns that `Atlas.labels` computes, from a table that it was written to, are out of date.
    used |= {key, name, *DERIVED, *({side} if understood else ())}
    network = next((title for title in NETWORKS if title in cells), None)
    titles = {**titles, **({network: "network"} if network else {})}
    extra = {
        titles[c]: _convert_cells(column, formats.get(titles[c], ""))
        for c, column in cells.items()
        if c not in used
    }
    keys = [parse_key(cell, row=i + 1, column=titles[key]) for i, cell in enumerate(cells[key])]
    return tuple(
        LabelRow(
            key=keys[i],
            name=text_of(cells[name][i], titles[name], i),
            color=colors[i] if colors else "",
            hemisphere=sides[i],
            extra={title: column[i] for title, column in extra.items()},
        )
        for i in range(len(keys))
    )


def text_of(cell: Any, title: str, row: int) -> str:
    """Return the name that a cell holds, ``""`` where it is missing."""
    if isinstance(cell, Mapping | list | tuple | set):
        raise ContentError(
            f"should be a name, got a {type(cell).__name__}: {cell!r}", row=row + 1, column=title
        )
    return "" if is_missing(cell) else str(cell).strip()


def keys_beside(rows: Rows) -> dict[str, list[int]]:
    """Return the further columns that could hold the keys: title to one key per row."""
    columns: dict[str, list[Any]] = {
        title: [row.extra.get(title) for row in rows]
        for title in dict.fromkeys(title for row in rows for title in row.extra)
        if key_rank(normalise_title(title)) is not None or re.fullmatch(r"column_\d+", title)
    }
    return {
        title: [int(cell) for cell in column]
        for title, column in columns.items()
        if all(isinstance(cell, int | float) and is_whole_number(cell) for cell in column)
    }


def _key_column(cells: Cells, titles: Mapping[str, str]) -> str:
    ranks = {c: rank for c in cells if (rank := key_rank(c)) is not None}
    ranked = sorted(ranks, key=lambda c: ranks[c])
    # The likeliest title with whole numbers: of "label,id" with words under label it is id.
    fit = [c for c in ranked if all(is_whole_number(cell) for cell in cells[c])]
    if fit and is_vague(ranks[fit[0]]) and len(fit) > 1 and is_vague(ranks[fit[1]]):
        raise ContentError(
            f"several columns may hold the keys: {format_list(repr(titles[c]) for c in fit)}",
            "call the right one 'index'",
        )
    if fit:
        return fit[0]
    wanted = ", ".join(title for title in KEYS if "_" not in title)
    none = f"no column of whole-number keys ({wanted}) among {list(titles.values())}"
    # A column that is called index, or has some whole numbers, was meant: its first other cell is
    # what is wrong.
    for c in ranked:
        bad = [i for i, cell in enumerate(cells[c]) if not is_whole_number(cell)]
        if len(bad) < len(cells[c]) or c == "index":
            problem = f"holds {cells[c][bad[0]]!r}, so that there is {none}"
            raise ContentError(problem, row=bad[0] + 1, column=titles[c])
    raise ContentError(none, "call the right one 'index'")


def _name_column(cells: Cells, titles: Mapping[str, str], key: str) -> str:
    ranks = {c: rank for c in cells if c != key and (rank := name_rank(c)) is not None}
    ranked = sorted(ranks, key=lambda c: ranks[c])
    # A column of words rather than one of numbers, which are seldom names.
    worded = [c for c in ranked if not all(is_number(v) or is_missing(v) for v in cells[c])]
    if not ranked:
        raise ContentError(f"no column of names ({', '.join(NAMES)}) among {list(titles.values())}")
    return (worded or ranked)[0]


def _split_sides(cells: Cells, titles: dict[str, str]) -> tuple[Cells, dict[str, str]]:
    """Return one entry per side where left and right keys differ, and one of neither where not."""
    # Of "left_id,right_id,structure" the row "8,9,nucleus" is 8 on the left and 9 on the right,
    # "2,2,callosum" is 2 on neither side. A usual column of keys, as index, goes before the pair.
    pairs = find_sided_pairs(list(cells))
    keyed = [rest for rest, pair in pairs.items() if _are_keys(rest, pair, cells)]
    plain = [c for c in cells if (rank := key_rank(c)) is not None and rank < 100]
    if not keyed or any(all(map(is_whole_number, cells[c])) for c in plain):
        return cells, titles
    rest = keyed[0]
    named = {r: pair for r, pair in pairs.items() if r != rest and name_rank(r) is not None}
    sided = {rest: pairs[rest], **named}
    new = ("index", *named, "hemisphere")
    shared = [c for c in cells if c not in new and not any(c in p for p in sided.values())]
    out: Cells = {c: [] for c in (*new, *shared)}
    for i, (left, right) in enumerate(zip(*(cells[c] for c in pairs[rest]), strict=True)):
        same = not is_missing(left) and str(left) == str(right)
        # Key, side, and which of left_name and right_name has its name.
        sides = [(left, "", 0)] if same else [(left, "L", 0), (right, "R", 1)]
        for key, side, which in sides:
            if not is_missing(key):
                for c in shared:
                    out[c].append(cells[c][i])
                for c, pair in named.items():
                    out[c].append(cells[pair[which]][i])
                out["index"].append(key)
                out["hemisphere"].append(side)
    return out, {**titles, **{c: c for c in new}}


def _are_keys(rest: str, pair: tuple[str, str], cells: Cells) -> bool:
    column = [*cells[pair[0]], *cells[pair[1]]]
    titled = not rest or key_rank(rest) is not None
    numbers = [cell for cell in column if not is_missing(cell)]
    return titled and bool(numbers) and all(is_whole_number(cell) for cell in numbers)


def _colors(cells: Cells, titles: Mapping[str, str]) -> tuple[list[str], set[str]]:
    """Return the rows' colours and the columns that they come from."""
    # Three columns before one of texts. Under r, g and b may be anything, which is kept as it is;
    # under red, green and blue a wrong number is a mistake.
    for channels in CHANNELS:
        if all(c in cells for c in channels):
            colors = colors_of_channels(list(zip(*(cells[c] for c in channels), strict=True)))
            if colors is None and channels[0] == "red":
                _refuse_channels(cells, titles, channels)
            if colors is not None:
                return colors, set(channels)
    column = next((c for c in COLORS if c in cells), None)
    colors = colors_of_texts(cells[column]) if column else None
    return (colors, {column}) if column and colors is not None else ([], set())


def _refuse_channels(cells: Cells, titles: Mapping[str, str], channels: Sequence[str]) -> None:
    for c in channels:
        for i, cell in enumerate(cells[c]):
            if not is_missing(cell) and not (is_number(cell) and 0 <= float(cell) <= 255):
                raise ContentError(
                    f"should be from 0 to 255, got {cell!r}", row=i + 1, column=titles[c]
                )


def _sides(cells: Sequence[Any]) -> tuple[list[str], bool]:
    """Return the side of each cell, and whether all of them are understood."""
    texts = ["" if is_missing(cell) else str(cell).strip() for cell in cells]
    sides = [hemisphere_of(text) for text in texts]
    rest = [text for text, side in zip(texts, sides, strict=True) if not side]
    return sides, all(re.sub(r"[\W_]+", "", text.casefold()) in _NEITHER for text in rest)


def _convert_cells(column: list[Any], form: str) -> list[Any]:
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
    # 18 digits fit 64 bits; what has more, or zeros in front, is a float like any other number.
    if all(re.fullmatch(r"-?(0|[1-9]\d{0,17})", cell) for cell in present):
        convert = int
    elif all(is_number(cell) for cell in present):
        convert = float
    else:
        return cells
    return [None if cell is None else convert(cell) for cell in numbers]
