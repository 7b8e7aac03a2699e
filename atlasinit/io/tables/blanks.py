"""Lists whose cells lie between blanks: key and name, with colours, codes and remarks."""

import re
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from atlasinit.core.labels import hemisphere_of
from atlasinit.errors import ContentError
from atlasinit.io.tables.cells import colors_of_channels, is_number, is_whole_number
from atlasinit.io.tables.columns import Rows, rows_of_columns
from atlasinit.io.tables.headless import is_code
from atlasinit.io.tables.titles import name_rank, names_columns, normalise_title

# A quoted text is one word, with its blanks, if a blank follows the quote: "Left nucleus" 255.
_WORD = re.compile(r'"[^"]*"(?!\S)|\S+')
# What stands behind a number sign is a remark, except a number, as of a name, or a colour.
_REMARK = re.compile(r"\s#(?!\d|[0-9a-fA-F]{6}\b)")


class _Line(NamedTuple):
    """A line as words, and how many of them are numbers at its start and at its end."""

    text: str
    spans: list[tuple[int, int]]
    words: list[str]
    lead: int
    trail: int

    def middle(self, lead: int, trail: int) -> str:
        """Return what lies between so many words at the start and at the end, blanks and all."""
        stop = len(self.words) - trail
        if lead >= stop:
            return ""
        return _unquote(self.text[self.spans[lead][0] : self.spans[stop - 1][1]])


def rows_between_blanks(lines: Sequence[str]) -> Rows | None:
    """Return the rows of a list in lines; None of lines that are no such list.

    A list has a key in front of each name, or behind it. Between them may stand a
    colour (``key r g b name``, ``key r g b a name``), behind the name a colour, a code
    that grows from line to line, or the key once more. A first line may name the columns.

    Raises
    ------
    ContentError
        A line without a key among lines with one, or numbers alone.
    """
    parsed = [_parse(line) for line in lines]
    parsed = [line for line in parsed if line.words]
    if not parsed:
        return None
    if names_columns(parsed[0].words) and not any(map(is_number, parsed[0].words)):
        return _read_under_titles(parsed[0].words, parsed[1:])
    keyed = [is_whole_number(line.words[0]) for line in parsed]
    if all(keyed):
        return _read_keys_first(parsed)
    last = [is_whole_number(line.words[-1]) and len(line.words) > 1 for line in parsed]
    if all(last) and not any(keyed):
        return _read_keys_last(parsed)
    # Most lines have one: a list with a mistake. Else it is prose, or another form.
    if 2 * sum(keyed) > len(keyed):
        odd = keyed.index(False)
        raise ContentError(f"has no key in front: {parsed[odd].text!r}", row=odd + 1)
    return None


def _parse(line: str) -> _Line:
    # Of two number signs the first outside of quotes: an even number of quotes stands before it.
    remark = next(
        (m for m in _REMARK.finditer(line) if line.count('"', 0, m.start()) % 2 == 0), None
    )
    text = (line[: remark.start()] if remark else line).strip()
    found = list(_WORD.finditer(text))
    words = [m[0] for m in found]
    # How many words are numbers from either end; all of them, in a line of numbers alone.
    numbers = [is_number(word) for word in words]
    lead = numbers.index(False) if False in numbers else len(numbers)
    trail = numbers[::-1].index(False) if False in numbers else len(numbers)
    return _Line(text, [m.span() for m in found], words, lead, trail)


def _read_under_titles(titles: Sequence[str], lines: Sequence[_Line]) -> Rows:
    """Return rows under titles; where a line has more words, its name has blanks."""
    # Under "index name r g b" the line "8 Left Thalamus 0 118 14" has one cell from its start and
    # three from its end as the titles have, and its name is what is left between.
    n = len(titles)
    ranks = {i: r for i, t in enumerate(titles) if (r := name_rank(normalise_title(t))) is not None}
    name = min(ranks, key=lambda i: ranks[i])
    records = []
    for i, line in enumerate(lines):
        if len(line.words) < n:
            raise ContentError(
                f"has {len(line.words)} cells for {n} columns: {line.text!r}", row=i + 1
            )
        behind = n - 1 - name
        words = [_unquote(word) for word in line.words]
        end = words[len(words) - behind :] if behind else []
        records.append([*words[:name], line.middle(name, behind), *end])
    return rows_of_columns(titles, records)


def _read_keys_last(lines: Sequence[_Line]) -> Rows:
    if len({line.words[-1] for line in lines}) < len(lines):
        raise ContentError("its lines have no keys in front, and the numbers behind repeat")
    # "V1 211 1": a growing code before the key is no part of the name, if names differ without it.
    names = [line.middle(0, 2) for line in lines]
    if min(line.trail for line in lines) > 1 and _are_distinct(names):
        codes = [line.words[-2] for line in lines]
        if is_code(codes):
            columns = {"name": names, "column_1": codes, "index": [ln.words[-1] for ln in lines]}
            return rows_of_columns(list(columns), list(zip(*columns.values(), strict=True)))
    return rows_of_columns(
        ["name", "index"], [[line.middle(0, 1), line.words[-1]] for line in lines]
    )


def _read_keys_first(lines: Sequence[_Line]) -> Rows:
    # Lines of numbers alone have a name that looks like one, as area 44.
    worded = [line for line in lines if line.lead < len(line.words)]
    if not worded:
        raise ContentError("its lines hold numbers alone, and no names")
    lead = _lead(lines, min(line.lead for line in worded))
    trail = _trail(lines, lead, min(line.trail for line in worded))
    names = [line.middle(lead, trail) for line in lines]
    if not trail:
        names = _drop_repeated_keys(lines, lead, names)
    columns = {"index": [line.words[0] for line in lines], "name": names}
    for title, place in _places(lines, lead, trail):
        columns[title] = [line.words[place] for line in lines]
    shorts = _find_short_names(names)
    if shorts:
        columns |= {"name": [name.split()[1] for name in names], "short_name": shorts}
    return rows_of_columns(list(columns), list(zip(*columns.values(), strict=True)))


def _places(lines: Sequence[_Line], lead: int, trail: int) -> Iterator[tuple[str, int]]:
    """Yield title and place in a line of each number besides the key: a colour, or a code."""
    # The numbers behind the key, then those behind the name, counted from the end of the line.
    for start, count in ((1, lead - 1), (-trail, trail)):
        if count in (3, 4) and _are_colors(lines, _take_three(start)):
            # The fourth is the opacity, which says nothing of a parcel.
            yield from zip(("red", "green", "blue"), range(start, start + 3), strict=True)
        else:
            # Columns are numbered as if each name were one word: `p` is negative behind it.
            behind = lead + 1 + trail if start < 0 else 0
            yield from ((f"column_{behind + p}", p) for p in range(start, start + count))


def _lead(lines: Sequence[_Line], least: int) -> int:
    """Return how many numbers stand in front of the names, the key among them."""
    # Key and colour, with an opacity or without: "1 255 0 51 255 V1". Else key and growing code,
    # "1 211 V1"; any other number there begins the name: "1 17 Networks".
    for count in (5, 4):
        if least >= count and _are_colors(lines, _take_three(1)):
            return count
    return 2 if least >= 2 and is_code([line.words[1] for line in lines]) else 1


def _trail(lines: Sequence[_Line], lead: int, least: int) -> int:
    """Return how many numbers behind the names are no part of them."""
    # "V1 255 0 51 0" or "V1 255 0 51".
    choices = []
    for count in (4, 3):
        if least >= count and _are_colors(lines, _take_three(-count)):
            choices.append(count)
    # Area 44 and 45 in red: four numbers, of which the first is the name's.
    unlike = [c for c in choices if _are_distinct([line.middle(lead, c) for line in lines])]
    if choices:
        return (unlike or choices)[0]
    # "1 V1 211" with a growing code, or the key once more, "1 V1 1".
    if least >= 1 and _are_distinct([line.middle(lead, 1) for line in lines]):
        last = [line.words[-1] for line in lines]
        if is_code(last) or last == [line.words[0] for line in lines]:
            return 1
    # As many numbers behind each name, as of coordinates.
    even = least >= 3 and all(line.trail == least for line in lines)
    return least if even and _are_distinct([line.middle(lead, least) for line in lines]) else 0


def _take_three(start: int) -> Callable[[_Line], list[str]]:
    """Return what takes the three words of a line from one on, counted from the end if negative."""
    return lambda line: line.words[start:][:3]


def _are_colors(lines: Sequence[_Line], channels: Callable[[_Line], list[str]]) -> bool:
    triples = [channels(line) for line in lines]
    if any(len(triple) < 3 for triple in triples):
        return False
    return colors_of_channels(triples) is not None


def _drop_repeated_keys(lines: Sequence[_Line], lead: int, names: list[str]) -> list[str]:
    """Return names without the key behind them, which some lists repeat in most of the lines."""
    ends = [line.words[-1] if line.trail else "" for line in lines]
    repeated = [line.words[0] == end for line, end in zip(lines, ends, strict=True)]
    # Numbers behind names are keys in all lines that have any, or in none: "1 V1 1", "2 V2".
    if any(end and not same for end, same in zip(ends, repeated, strict=True)):
        return names
    shorter = [
        line.middle(lead, 1) if same else name
        for line, name, same in zip(lines, names, repeated, strict=True)
    ]
    return shorter if 2 * sum(repeated) > len(lines) and _are_distinct(shorter) else names


def _find_short_names(names: Sequence[str]) -> list[str] | None:
    """Return the first of two names, as MRtrix's tables have them: the same, or both state a side.

    A name of two words states its side once, so that it is not taken apart.
    """
    words = [name.split() for name in names]
    if len(words) < 2 or any(len(pair) != 2 for pair in words):
        return None
    # The background of these tables is "??? Unknown".
    if all(short in (long, "???") for short, long in words):
        return [short for short, _ in words]
    if not any(map(hemisphere_of, words[0])) and not any(map(hemisphere_of, words[-1])):
        return None
    # "L.BSTS ctx-lh-bankssts": either word states the same side, in at least half of the lines, and
    # nowhere do the two differ. "Left Pallidum" states it in one of them.
    sides = [tuple(hemisphere_of(word) for word in pair) for pair in words]
    both = [a == b != "" for a, b in sides]
    alike = all(a == b or not (a or b) for a, b in sides)
    return [pair[0] for pair in words] if alike and 2 * sum(both) >= len(both) else None


def _are_distinct(names: Sequence[str]) -> bool:
    return all(names) and len(set(names)) == len(names)


def _unquote(text: str) -> str:
    """Return what stands within quotes around the whole of a text."""
    if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'" and text[0] not in text[1:-1]:
        return text[1:-1].strip()
    return text
