"""The label table of an atlas: one row per parcel, in the order of the output."""

import itertools
import re
import zlib
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import jax

from atlasinit.errors import ArgumentError, ArgumentTypeError, format_count, format_list

if TYPE_CHECKING:
    import pandas as pd

REQUIRED = ("compartment", "key", "name", "color", "hemisphere")

DERIVED = ("n_locations", "empty")
"""Columns that atlases compute anew from their maps."""

TOGETHER = "+"
"""Between the compartments that share a row."""

# What states a side in names, between characters that are no letter or digit: `[^\W_]` is `\w`
# without the underscore, which separates tokens as other signs do.
SIDES = {"l": "L", "lh": "L", "left": "L", "r": "R", "rh": "R", "right": "R"}
"""What stands for a side, in lower case."""

_TOKEN = re.compile(r"[^\W_]+")
# "left/right", "L & R": of both sides.
_BOTH = re.compile(r"(?<![^\W_])(l|lh|left) ?[/+&-] ?(r|rh|right)(?![^\W_])")
# The entity of BIDS, whose values are L and R; others write it out.
_ENTITY = re.compile(r"(?<![^\W_])hemi-(l|lh|left|r|rh|right)(?![^\W_])")


@jax.tree_util.register_static
class LabelTable:
    """An immutable, hashable table with one row per parcel.

    Parameters
    ----------
    columns
        Column name to values, all of one length. Required: ``compartment``,
        ``key`` (int32), ``name`` (unique), ``color`` (``"#rrggbb"`` or ``""``) and
        ``hemisphere`` (``"L"``, ``"R"`` or ``""``); any other column is kept as it
        is, with None (also for NaN) where a row has no value. Rows that several compartments
        share have all of them as their compartment, as ``"cortex_L+cortex_R"``.

    Raises
    ------
    ValueError
        A missing column, columns of different lengths, a key that is not an
        int32, a (compartment, key) or a name that occurs twice, an empty name, or
        rows of one compartment that are not contiguous, another colour or hemisphere
        than those above, or a column ``n_locations`` or ``empty``, which atlases derive.
    """

    __slots__ = ("_columns", "_hash")

    def __init__(self, columns: Mapping[str, Sequence[Any]]) -> None:
        missing = [name for name in REQUIRED if name not in columns]
        if missing:
            raise ArgumentError(
                "columns", f"should hold {', '.join(REQUIRED)}", f"missing: {missing}"
            )
        derived = [name for name in DERIVED if name in columns]
        if derived:
            raise ArgumentError(
                "columns", f"should not hold {derived}, which atlases derive", "drop it"
            )
        clean = {str(name): tuple(_to_plain(v) for v in values) for name, values in columns.items()}
        lengths = {name: len(values) for name, values in clean.items()}
        if len(set(lengths.values())) > 1:
            raise ArgumentError("columns", f"should have one length, got {lengths}")
        clean["key"] = tuple(_check_key(key) for key in clean["key"])
        clean["name"] = tuple("" if name is None else str(name) for name in clean["name"])
        self._columns = clean
        # As equality does, without the order of the columns.
        self._hash = hash(frozenset(clean.items()))
        self._check()

    def _check(self) -> None:
        ids = list(zip(self["compartment"], self["key"], strict=True))
        if len(set(ids)) < len(ids):
            raise ArgumentError(
                "columns",
                f": each (compartment, key) should occur once; {_find_repeated(ids)} do not",
            )
        if len(set(self["name"])) < len(self):
            raise ArgumentError(
                "columns", f": names should be unique; {_find_repeated(self['name'])} are not"
            )
        if "" in self["name"]:
            raise ArgumentError(
                "columns", f": names should not be empty; row {self['name'].index('')} is"
            )
        # Python takes lone surrogates from broken files, but cannot write them as UTF-8.
        torn = [n for n in self["name"] if re.search(r"[\ud800-\udfff]", n)]
        if torn:
            raise ArgumentError(
                "columns", f": names should be Unicode, got half of a surrogate pair in {torn}"
            )
        for color in self["color"]:
            if not re.fullmatch("(#[0-9a-fA-F]{6})?", str(color)):
                raise ArgumentError("color", f'should be "#rrggbb" or "", got {color!r}')
        for side in self["hemisphere"]:
            if side not in ("L", "R", ""):
                raise ArgumentError("hemisphere", f'should be "L", "R" or "", got {side!r}')
        runs = [compartment for compartment, _ in itertools.groupby(self["compartment"])]
        if len(runs) > len(set(runs)):
            raise ArgumentError(
                "columns", f": rows of a compartment should be contiguous, got the order {runs}"
            )

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns, the required ones first."""
        return (*REQUIRED, *(name for name in self._columns if name not in REQUIRED))

    def __getitem__(self, column: str) -> tuple[Any, ...]:
        return self._columns[column]

    def __contains__(self, column: object) -> bool:
        return column in self._columns

    def __len__(self) -> int:
        return len(self._columns["key"])

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, LabelTable):
            return NotImplemented
        return self._columns == other._columns

    def __hash__(self) -> int:
        return self._hash

    def __reduce__(self) -> tuple[type["LabelTable"], tuple[dict[str, tuple[Any, ...]]]]:
        # The content alone: hashes of strings differ from one process to the next.
        return LabelTable, (self._columns,)

    def __repr__(self) -> str:
        return f"LabelTable({format_count(len(self), 'parcel')}: {format_list(self['name'], 3)})"

    def rows_of(self, compartment: str) -> range:
        """Return the rows of a compartment, those that it shares with others included."""
        homes = self["compartment"]
        home = next((h for h in dict.fromkeys(homes) if is_home(h, compartment)), None)
        start = 0 if home is None else homes.index(home)
        return range(start, start + (0 if home is None else homes.count(home)))

    def take(self, rows: Iterable[int]) -> "LabelTable":
        """Return the table with the chosen rows, in the order given."""
        rows = list(rows)
        return LabelTable({name: [v[r] for r in rows] for name, v in self._columns.items()})

    def replace(self, **columns: Sequence[Any]) -> "LabelTable":
        """Return the table with other values in the columns given."""
        return LabelTable({**self._columns, **columns})

    def to_frame(self) -> "pd.DataFrame":
        """Return a new ``pandas.DataFrame``."""
        import pandas as pd

        return pd.DataFrame({name: list(self[name]) for name in self.columns})


def is_home(home: str, compartment: str) -> bool:
    """Whether rows whose compartment reads `home` are of a compartment, perhaps among others."""
    return compartment == home or compartment in home.split(TOGETHER)


def members_of(home: str, compartments: Container[str]) -> list[str]:
    """Return which of the compartments the rows are of whose compartment reads `home`."""
    # A plus may belong to the name of one compartment, which is looked for first.
    return [home] if home in compartments else home.split(TOGETHER)


def relabel(table: LabelTable, labels: "LabelTable | pd.DataFrame") -> LabelTable:
    """Return the table that `labels` is, its rows in the order of `table`'s parcels.

    A frame is as `Atlas.labels` gives it: its rows go by (compartment, key) where these are the
    same parcels, in any order, else by position, of which its index then must be the numbers
    from 0. The columns that atlases derive are left out.

    Raises
    ------
    TypeError
        Neither a `LabelTable` nor a DataFrame.
    ValueError
        Other parcels in an order that the frame's index does not keep; what `LabelTable` refuses.
    """
    if isinstance(labels, LabelTable):
        return labels
    if not hasattr(labels, "columns") or not hasattr(labels, "iloc"):
        raise ArgumentTypeError(
            "labels",
            f"should be a LabelTable or a pandas.DataFrame, got {type(labels).__name__}",
        )
    columns = {str(c): labels[c].tolist() for c in labels.columns if str(c) not in DERIVED}
    own = list(zip(table["compartment"], table["key"], strict=True))
    ids = list(zip(columns.get("compartment", ()), columns.get("key", ()), strict=False))
    if ids != own and sorted(ids, key=str) == sorted(own, key=str):
        order = [ids.index(parcel) for parcel in own]
        return LabelTable({c: [cells[i] for i in order] for c, cells in columns.items()})
    if ids != own and labels.index.tolist() != list(range(len(labels))):
        raise ArgumentError(
            "labels",
            ": its rows have other keys and another order than the atlas's, so that nothing tells "
            "which parcel is which",
            "keep the keys, or the order, with `frame.reset_index(drop=True)`",
        )
    return LabelTable(columns)


def unique_names(
    names: Sequence[str], compartments: Sequence[str], keys: Sequence[int]
) -> list[str]:
    """Return `names` made unique without shortening any.

    A name that occurs in several compartments gets the compartment's side (or its
    name, also where another of that side has the same name and key) in front, as in
    ``L_bankssts``; one that still occurs twice, and an empty one, gets its key behind,
    and a count where that is taken too.
    """
    names = [name or f"label-{key}" for name, key in zip(names, keys, strict=True)]
    # The compartments in which each name occurs.
    homes: dict[str, set[str]] = {}
    for name, compartment in zip(names, compartments, strict=True):
        homes.setdefault(name, set()).add(compartment)
    sides = [_side(compartment) for compartment in compartments]
    # Names and sides that the side in front would leave alike, keys and all: of `cortex_L` and
    # `subcortex_L`, for instance.
    alike = {ids[:2] for ids in _find_repeated(list(zip(names, sides, keys, strict=True)))}
    prefixed = [
        f"{compartment if not side or (name, side) in alike else side}_{name}"
        if len(homes[name]) > 1
        else name
        for name, side, compartment in zip(names, sides, compartments, strict=True)
    ]
    repeated = set(_find_repeated(prefixed))
    taken = set(prefixed) - repeated
    return [
        take_free_name(f"{name}-{key}", taken) if name in repeated else name
        for name, key in zip(prefixed, keys, strict=True)
    ]


def take_free_name(name: str, taken: set[str]) -> str:
    """Return `name`, with a count if it is among those taken, and take it."""
    numbered = itertools.chain([name], (f"{name}-{count}" for count in itertools.count(2)))
    found = next(one for one in numbered if one not in taken)
    taken.add(found)
    return found


def offset_keys(keys: Iterable[int], taken: Iterable[int], *, step: int) -> int:
    """Return what moves `keys` above those that are taken: a multiple of `step`, where it fits."""
    own, last = list(keys), max(taken)
    above = -(-(last + 1) // step) * step
    # Where round numbers do not fit int32, the keys begin right after the largest so far.
    return above if above + max(own) < 2**31 else last + 1 - min(own)


def hemisphere_of(name: str, compartment: str = "") -> str:
    """Return the side that a compartment or else a name states: ``"L"``, ``"R"`` or ``""``.

    A name states its side, the first of these that it has being decisive,

    1. in an entity, ``hemi-L``;
    2. in FreeSurfer's prefix, ``lh.``;
    3. in its first or last token, or by a word (``left``, ``lh``) anywhere;
    4. in a letter between other tokens, as in ``SFG_L_7_1``.

    Tokens are letters and digits between other characters: the ``l`` of ``A5l_R`` and the
    ``5L`` of ``R_5L_ROI`` are no sides. A name that states both sides at once has none.
    """
    return _side(compartment) or next(filter(None, _find_sides(name.lower())), " ").strip()


def _find_sides(name: str) -> Iterator[str]:
    """Yield what each of the ways to state a side says: L, R, a blank for both, "" for none."""
    yield _agree(SIDES[found] for found in _ENTITY.findall(name))
    yield SIDES[name[:2]] if name[:3] in ("lh.", "rh.") else ""
    yield " " if _BOTH.search(name) else ""
    tokens = _TOKEN.findall(name)
    words = [token for token in tokens if len(token) > 1]
    yield _agree(SIDES[token] for token in [*tokens[:1], *words, *tokens[-1:]] if token in SIDES)
    yield _agree(SIDES[token] for token in tokens if token in SIDES)


def _agree(sides: Iterable[str]) -> str:
    found = set(sides)
    # A blank for both sides is true, and so decides that there is none; "" asks the next way.
    return found.pop() if len(found) == 1 else " " * bool(found)


def _side(compartment: str) -> str:
    return compartment[-1] if compartment.endswith(("_L", "_R")) else ""


def _to_plain(value: Any) -> Any:
    """Return NumPy scalars as Python's, and NaN as None, so that equal tables are equal."""
    value = value.item() if hasattr(value, "item") else value
    # Nor does pandas' NA equal itself; what it says instead is NA again.
    return value if (value != value) is False else None


def _check_key(key: Any) -> int:
    try:
        whole = int(key)
    except (TypeError, ValueError, OverflowError):
        whole = None
    if whole is None or whole != key or not -(2**31) <= whole < 2**31:
        raise ArgumentError("key", f"should be a whole number that fits int32, got {key!r}")
    return whole


def _find_repeated(items: Sequence[Any]) -> list[Any]:
    seen: set[Any] = set()
    return list(dict.fromkeys(item for item in items if item in seen or seen.add(item)))


def numbered_labels(counts: Mapping[str, int]) -> LabelTable:
    """Return the table of so many parcels of each compartment, which are numbered from 1."""
    rows = [(c, k) for c, count in counts.items() for k in range(1, count + 1)]
    names = [f"{c}_{k}" for c, k in rows]
    return LabelTable(
        {
            "compartment": [c for c, _ in rows],
            "key": [k for _, k in rows],
            "name": names,
            # A colour of the name alone, the same wherever the atlas is made.
            "color": [f"#{zlib.crc32(n.encode()) & 0xFFFFFF:06x}" for n in names],
            "hemisphere": [hemisphere_of("", c) for c, _ in rows],
        }
    )
