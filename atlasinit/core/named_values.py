"""Values of parcels put in the order of an atlas's rows: by name where they carry names.

What takes values of parcels takes them from here, so that a table that is sorted by name, as
pandas' ``groupby`` returns it, never lands on other parcels.
"""

import dataclasses
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from typing import Any, Literal, TypeAlias

import numpy as np
from jax.core import Tracer
from jaxtyping import Float, Int

from atlasinit.core.labels import LabelTable
from atlasinit.core.named_frames import index_by_identity, is_default, is_of_time, titles_of
from atlasinit.errors import (
    ArgumentError,
    ArgumentTypeError,
    Passing,
    Words,
    format_list,
    nearest,
)
from atlasinit.support.arrays import narrow

Absent: TypeAlias = Literal["error", "nan"]


@dataclasses.dataclass(frozen=True, eq=False)
class ParcelValues:
    """Values of parcels in the order of the rows of a label table.

    Parameters
    ----------
    array
        (parcels,) or (parcels, n), floating.
    titles
        Of the values, or of each of n columns, where they came with some.
    """

    array: Float[np.ndarray, "parcels *n"]
    titles: tuple[str, ...] | None = None


def carries_names(values: Any) -> bool:
    """Whether values are a mapping or a table of pandas, or turn into one."""
    return isinstance(values, Mapping) or hasattr(values, "to_pandas") or _is_pandas(values)


def align_values(
    values: Any,
    table: LabelTable,
    *,
    argument: str = "values",
    parcels_last: bool = False,
    absent: Absent | None = None,
) -> ParcelValues:
    """Return values of parcels in the order of `table`, by name where they carry names.

    A pandas ``Series`` is aligned by its index; a ``DataFrame`` by its columns or its index,
    whichever names parcels (where both do, the one where a plain array has its parcels), or by
    a column ``name``, else ``key``; a mapping by its keys. Names are those of the table, its
    keys where one compartment alone has them, or (compartment, key) pairs. Plain arrays, and
    tables whose axis pandas numbered from 0, go by row.

    Parameters
    ----------
    values
        (parcels,) or (parcels, n) of any of these; NaN and pandas' NA stay NaN.
    table
        The rows.
    argument
        What errors call the values.
    parcels_last
        Whether plain arrays are (time, parcels), as series are.
    absent
        What a parcel becomes that no value names: ``"nan"``, or an ``"error"`` that offers it.
        None where the caller has no such option.

    Raises
    ------
    ValueError
        Another number of rows, a name that the table does not have (with the nearest) or that
        occurs twice, a missing one, a key of several compartments, parcels without a value.
    TypeError
        Values that are not real numbers, or a masked array.
    """
    _check_concrete(values, argument)
    if absent not in (None, "error", "nan"):
        raise ArgumentError("absent", f'should be "error" or "nan", got {absent!r}')
    order = _Order(table, argument, absent)
    # Tables of polars and pyarrow have this method, too.
    if hasattr(values, "to_pandas"):
        values = values.to_pandas()
    if isinstance(values, Mapping):
        return _of_mapping(values, order)
    if not _is_pandas(values):
        return _of_array(values, order, parcels_last=parcels_last)
    if values.ndim == 1:
        kind = getattr(values.infer_objects().dtype, "kind", "O")
        if kind not in "fiub":
            raise ArgumentTypeError(argument, f"should be real numbers, got dtype {values.dtype}")
        array = _numbers(values.to_frame(), argument)[:, 0]
        if not is_default(values.index):
            # A MultiIndex lists pairs, which (compartment, key) may be.
            array = order.spread(array, list(values.index), "values.reindex(")
        titles = None if values.name is None else (str(values.name),)
        return ParcelValues(_of_array(array, order, parcels_last=False).array, titles)
    return _of_frame(values, order, parcels_last=parcels_last)


def align_columns(
    values: Any, table: LabelTable, *, argument: str = "values"
) -> dict[str, Float[np.ndarray, " parcels"]]:
    """Return title to (parcels,) values, each aligned as by `align_values`.

    Parameters
    ----------
    values
        What `align_values` takes, or a mapping from titles to (parcels,) of it. A mapping to
        single numbers is one from names.
    table, argument
        As for `align_values`.
    """
    if isinstance(values, Mapping) and not any(_is_single(v) for v in values.values()):
        return {
            str(title): _column(align_values(v, table, argument=name), name)
            for title, v in values.items()
            for name in (f"{argument}[{title!r}]",)
        }
    aligned = align_values(values, table, argument=argument)
    if aligned.titles is None:
        return {"values": _column(aligned, argument)}
    # (columns, parcels): one title has (parcels,), several (parcels, columns).
    columns = aligned.array.reshape(len(table), -1).T
    return dict(zip(aligned.titles, columns, strict=True))


def align_matrix(
    matrix: Any, table: LabelTable, *, argument: str = "matrix", absent: Absent | None = None
) -> Float[np.ndarray, "parcels parcels"]:
    """Return a matrix of parcels by parcels in the order of `table` on both sides.

    Parameters
    ----------
    matrix
        (parcels, parcels): an array by row, or a DataFrame whose index and columns both name
        parcels, in any order, as `align_values` takes names.
    table, argument, absent
        As for `align_values`.

    Raises
    ------
    ValueError, TypeError
        As `align_values`; names on one side alone.
    """
    _check_concrete(matrix, argument)
    order, count = _Order(table, argument, absent), len(table)
    if hasattr(matrix, "to_pandas"):
        matrix = matrix.to_pandas()
    named = _is_pandas(matrix) and matrix.ndim == 2
    frame = index_by_identity(matrix, table) if named else None
    plain = [] if frame is None else [is_default(own) for own in (frame.index, frame.columns)]
    if any(plain) and not all(plain):
        side, other = ("columns", "index") if plain[0] else ("index", "columns")
        raise ArgumentError(
            argument,
            f"should name parcels on both sides, but only its {side} does",
            f"pass `{argument}.set_axis({argument}.{side}, axis={other!r})`, or a plain array",
        )
    if frame is not None and not any(plain):
        rows = order.spread(_numbers(frame, argument), list(frame.index), "values.reindex(")
        return order.spread(rows.T, list(frame.columns), "values.reindex(columns=").T
    array = _as_array(matrix, argument)
    if array.shape != (count, count) or isinstance(matrix, np.ma.MaskedArray):
        got = "a masked one" if isinstance(matrix, np.ma.MaskedArray) else f"shape {array.shape}"
        got = type(matrix).__name__ if array.dtype.kind == "O" else got
        expected = f"should be a plain array ({count} parcels, {count} parcels)"
        raise ArgumentError(argument, f"{expected}, or a DataFrame, got {got}")
    return _floating(array, argument)


def _column(found: ParcelValues, argument: str) -> Float[np.ndarray, " parcels"]:
    shape = found.array.shape
    if len(shape) != 1:
        raise ArgumentError(argument, f"should be ({shape[0]} parcels,), got {shape}")
    return found.array


def _is_single(value: Any) -> bool:
    return np.ndim(value) == 0 and not carries_names(value)


def _is_pandas(values: Any) -> bool:
    return hasattr(values, "iloc") and hasattr(values, "index")


@dataclasses.dataclass(frozen=True, eq=False)
class _Order:
    """The rows that values are put on, and what errors say of the values."""

    table: LabelTable
    argument: str
    absent: Absent | None

    @property
    def names(self) -> dict[Any, int]:
        """Row of each name and (compartment, key)."""
        # Neither can be taken for the other: names are text, the others pairs.
        pairs = zip(self.table["compartment"], self.table["key"], strict=True)
        return {n: row for names in (pairs, self.table["name"]) for row, n in enumerate(names)}

    def rank(self, labels: Any) -> int:
        """Return how an axis of pandas names parcels: 2 by names, 1 by keys, 0 not at all."""
        if is_default(labels) or not len(labels) or is_of_time(labels):
            return 0
        names, keys = self.names, set(self.table["key"])
        # A name may be misspelt, which is an error of that name and not another axis.
        # Places from 1 are the ranks: 1 of keys, 2 of names, which go first where both fit.
        shares = [sum(_is_in(label, known) for label in labels) for known in (keys, names)]
        return max((i + 1 for i, n in enumerate(shares) if 2 * n >= len(labels)), default=0)

    def rows(self, labels: Sequence[Any]) -> Int[np.ndarray, " n"]:
        """Return the row of each label, all of which name different parcels."""
        missing = [i for i, label in enumerate(labels) if _is_missing(label)]
        if missing:
            raise ArgumentError(
                self.argument,
                f": names of parcels are missing (NaN), at {format_list(missing, 5)}",
                "drop these rows, or name them",
            )
        # Of a key of several compartments this keeps the last row: such keys are refused below.
        keys = self.table["key"]
        known = {**{key: row for row, key in enumerate(keys)}, **self.names}
        unknown = [label for label in labels if not _is_in(label, known)]
        if unknown:
            raise ArgumentError(
                self.argument,
                f": no parcels are named {format_list(map(repr, unknown), 5)}",
                nearest(str(unknown[0]), self.table["name"])
                or "the names are those of `atlas.labels`; what has none goes by row, as an array",
            )
        shared = [label for label in labels if keys.count(label) > 1]
        if shared:
            raise ArgumentError(
                self.argument,
                f": the keys {format_list(shared, 5)} are of several compartments",
                'tell parcels by their names, or by (compartment, key), as ("cortex_L", 1)',
            )
        rows = [known[label] for label in labels]
        twice = [self.table["name"][row] for row, n in Counter(rows).items() if n > 1]
        if twice:
            raise ArgumentError(
                self.argument,
                f": parcels occur more than once: {format_list(map(repr, twice), 5)}",
            )
        return np.array(rows, np.int64)

    def spread(
        self, array: Float[np.ndarray, "n *m"], labels: Sequence[Any], reindex: str
    ) -> Float[np.ndarray, "parcels *m"]:
        """Return values of the parcels `labels` at their rows, NaN at others where that is wanted.

        `reindex` is the call, less its argument, that gives all parcels a value.
        """
        rows = self.rows(labels)
        # (parcels, ...) in the rows' order, of the dtype that the values came with.
        out = np.full((len(self.table), *array.shape[1:]), np.nan, array.dtype)
        out[rows] = array
        left = sorted({*range(len(out))} - {*rows.tolist()})
        if left and self.absent != "nan":
            advice: Words = Passing(absent="nan")
            if self.absent is None:
                advice = f"`{reindex}{_all_like(labels, self.table)})`"
            raise ArgumentError(
                self.argument,
                f": {len(left)} of the {len(out)} parcels have no value: "
                f"{format_list((repr(self.table['name'][row]) for row in left), 5)}",
                "for NaN there pass " + advice,
            )
        return out


def _all_like(labels: Sequence[Any], table: LabelTable) -> str:
    """Return what names all parcels in the manner of `labels`."""
    first = labels[0] if len(labels) else ""
    if isinstance(first, tuple):
        return 'pandas.MultiIndex.from_frame(atlas.labels[["compartment", "key"]])'
    return f'atlas.labels["{"name" if first == "" or first in table["name"] else "key"}"]'


def _of_array(values: Any, order: _Order, *, parcels_last: bool) -> ParcelValues:
    if isinstance(values, np.ma.MaskedArray):
        raise ArgumentTypeError(
            order.argument,
            "should be a plain array, got a masked one",
            "mark what is missing by NaN, with `values.filled(np.nan)`",
        )
    array, count = _as_array(values, order.argument), len(order.table)
    own = array.shape[-1 if parcels_last else 0] if array.ndim in (1, 2) else None
    if own != count:
        several = f"(time, {count} parcels)" if parcels_last else f"({count} parcels, n)"
        turned = array.ndim == 2 and count in array.shape
        raise ArgumentError(
            order.argument,
            f"should be ({count} parcels,) or {several}, got shape {array.shape}",
            f"pass `{order.argument}.T`" if turned else "",
        )
    # A vector is its own transpose, so that (parcels,) passes in both cases.
    return ParcelValues(_floating(array.T if parcels_last else array, order.argument))


def _as_array(values: Any, argument: str) -> np.ndarray:
    try:
        return np.asarray(values)
    # NumPy's, of rows of different lengths.
    except ValueError as error:
        raise ArgumentError(argument, f"should be an array: {error}") from error


def _of_mapping(values: Mapping[Any, Any], order: _Order) -> ParcelValues:
    cells = [np.asarray(value) for value in values.values()]
    shapes = {cell.shape for cell in cells}
    if len(shapes) > 1 or any(len(shape) > 1 for shape in shapes):
        raise ArgumentError(
            order.argument,
            "should hold a number for each name, or as many for each, got the shapes "
            f"{format_list(sorted(shapes), 5)}",
        )
    # (names,) or (names, n): in the order of the mapping, which need not be the rows'.
    array = _floating(np.stack(cells) if cells else np.empty(0), order.argument)
    return ParcelValues(order.spread(array, list(values), "pandas.Series(values).reindex("))


def _of_frame(frame: Any, order: _Order, *, parcels_last: bool) -> ParcelValues:
    frame = index_by_identity(frame, order.table)
    # Of the two axes that may name parcels, the one that is a plain array's comes first.
    axes = ["columns", "index"] if parcels_last else ["index", "columns"]
    own, other = (getattr(frame, axis) for axis in axes)
    by_row = is_default(own) and order.rank(other) == 0
    array = _numbers(frame, order.argument)
    if by_row and (len(own) == len(order.table) or len(other) != len(order.table)):
        found = _of_array(array, order, parcels_last=parcels_last)
        return dataclasses.replace(found, titles=titles_of(other))
    if order.rank(own) == order.rank(other) == 1:
        # Numbers on both sides that are keys: time points may look like these, too.
        whole = [set(axis) >= set(order.table["key"]) for axis in (own, other)]
        if whole[0] == whole[1]:
            raise ArgumentError(
                order.argument,
                ": its index and its columns both hold numbers that are keys of parcels",
                'say which are, as by `values.rename_axis("time")` of the others, or name parcels',
            )
        if whole[1]:
            axes, own, other = axes[::-1], other, own
    # Where only the other axis is as long as the table, its labels are taken for names or keys, so
    # that an error is about these and not about a shape.
    if by_row or order.rank(other) > order.rank(own):
        axes, own, other = axes[::-1], other, own
    call = "values.reindex(columns=" if axes[0] == "columns" else "values.reindex("
    # Parcels first.
    array = array.T if axes[0] == "columns" else array
    return ParcelValues(order.spread(array, list(own), call), titles_of(other))


def _check_concrete(values: Any, argument: str) -> None:
    # Not by `jax.tree`, which sorts the keys of a mapping: names and keys beside each other.
    each = list(values.values()) if isinstance(values, Mapping) else [values]
    if any(isinstance(one, Tracer) for one in each):
        raise ArgumentTypeError(
            argument,
            "should be concrete, as names, files and pictures need the numbers, but is traced",
            "do this outside of `jit`, `grad` and `vmap`",
        )


def _is_in(label: Any, known: Any) -> bool:
    # True and False would be the keys 1 and 0.
    return isinstance(label, Hashable) and not isinstance(label, bool | np.bool_) and label in known


def _is_missing(label: Any) -> bool:
    # By text, since pandas' NA is neither equal nor unequal to anything.
    return not isinstance(label, str) and str(label) in ("None", "nan", "<NA>", "NaT")


def _numbers(frame: Any, argument: str) -> Float[np.ndarray, "rows columns"]:
    """Return the cells of a frame as floats: of its own type if it has one, else float64."""
    # Columns that pandas made of Python's objects have no dtype of numbers until it looks at them.
    frame = frame.infer_objects()
    kinds = list(frame.dtypes)
    text = [
        str(name)
        for name, dtype in zip(frame.columns, kinds, strict=True)
        if getattr(dtype, "kind", "O") not in "fiub"
    ]
    if text:
        raise ArgumentTypeError(
            argument,
            f"should be numbers, but the columns {format_list(map(repr, text), 5)} are not",
            f"leave them out by `{argument}.drop(columns={text!r})`",
        )
    # Types of pandas' own, as Float64, have NA, and no dtype that NumPy knows: they become float64.
    one = len(set(kinds)) == 1 and isinstance(kinds[0], np.dtype) and kinds[0].kind == "f"
    array = frame.to_numpy(dtype=kinds[0] if one else np.float64, na_value=np.nan)
    return _floating(array, argument)


def _floating(array: np.ndarray, argument: str) -> Float[np.ndarray, "..."]:
    """Return native floats of an array's own type; whole numbers become float64."""
    if array.dtype.kind in "iub":
        return array.astype(np.float64)
    if array.dtype.kind == "f" and array.dtype.itemsize > 8:
        return _double(array, argument)
    if array.dtype.kind == "f":
        # JAX refuses arrays in another byte order than the machine's, as files may hold them.
        return array.astype(array.dtype.newbyteorder("="), copy=False)
    # Of JAX's own types bfloat16 holds real numbers, too.
    if not np.can_cast(array.dtype, np.float32):
        raise ArgumentTypeError(argument, f"should be real numbers, got dtype {array.dtype}")
    return array.astype(np.float32)


def _double(array: np.ndarray, argument: str) -> Float[np.ndarray, "..."]:
    """Return numbers of extended precision, which no format of images holds, as float64."""
    out, lost = narrow(array, np.dtype(np.float64))
    if lost.any():
        shown = format_list(dict.fromkeys(map(str, array[lost])), 3)
        problem = f": {shown} would become 0 or infinite in double precision"
        raise ArgumentError(argument, problem, "pass their logarithms")
    return out
