"""Several files of labels on one grid or mesh, together one atlas."""

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Int, Int32

from atlasinit.core.geometry import Geometry, SurfaceMesh, VolumeGrid
from atlasinit.core.labels import offset_keys
from atlasinit.errors import ArgumentError, Passing, format_count
from atlasinit.io.assembly.exact import find_keys
from atlasinit.io.assembly.fitting import Present, find_zero
from atlasinit.io.assembly.rows import background_keys
from atlasinit.io.bids.names import name_of_map, side_of
from atlasinit.io.contents import LabelRow, Origin, Part
from atlasinit.io.keys import UNLABELLED
from atlasinit.io.numbers import describe_numbers, look_like_weights
from atlasinit.io.options import ReadOptions
from atlasinit.io.tables.reading import rows_from_table, rows_of_compartment


@dataclasses.dataclass(frozen=True, eq=False)
class Labelled:
    """What one of several files holds for a compartment.

    Parameters
    ----------
    part
        Its labels or weights.
    name, told
        The file's name, and what messages call it.
    stated
        Whether it states that it holds labels.
    """

    part: Part
    name: str
    told: str
    stated: bool

    @property
    def holds_labels(self) -> bool:
        """Whether it holds labels, and not a mask or weights."""
        return self.part.keys is not None and (self.stated or not self.is_mask)

    @property
    def is_mask(self) -> bool:
        """Whether its numbers are 0 and at most one other."""
        return len(self.labels) <= 1

    @functools.cached_property
    def labels(self) -> tuple[int, ...]:
        """Its labels other than 0, none of weights."""
        if self.part.keys is None:
            return ()
        none = (0, self.part.unlabelled)
        return tuple(key for key in find_keys(self.part.keys) if key not in none)

    @property
    def is_claimed(self) -> Bool[np.ndarray, " locations"]:
        """Where it has a label or a weight."""
        maps: Any = self.part.maps
        if self.part.keys is not None:
            return (self.part.keys != 0) & (self.part.keys != self.part.unlabelled)
        claimed = np.zeros(self.part.geometry.n_locations, dtype=bool)
        claimed[maps.nonzero()[1]] = True
        return claimed

    def at(self, geometry: Geometry, taken: Int[np.ndarray, " new"]) -> "Labelled":
        """Return the same at the locations of another geometry, -1 for one that it lacks."""
        part = self.part
        if part.keys is not None and part.unlabelled is None:
            part = dataclasses.replace(part, unlabelled=UNLABELLED)
        whole = part.whole
        part = dataclasses.replace(part.take_locations(geometry, taken), whole=whole)
        return dataclasses.replace(self, part=part)


def are_weights(files: Sequence[Labelled]) -> bool:
    """Whether files of whole numbers, none of which says what they are, look like weights.

    Labels of several files do not overlap, and are alike in most neighbours.
    """
    if any(file.stated for file in files):
        return False
    claimed = [file.is_claimed for file in files]
    # Of how many files each location is.
    if not (np.sum(claimed, axis=0) > 1).any():
        return False
    return look_like_weights(
        [
            describe_numbers(_in_file_order(file.part.geometry, np.where(there, own, 0)))
            for file, there in zip(files, claimed, strict=True)
            if (own := file.part.keys) is not None
        ]
    )


def _in_file_order(geometry: Any, values: Int32[np.ndarray, " locations"]) -> np.ndarray:
    whole = geometry.put(values)
    # Images store the first axis fastest, so that values in this order are neighbours along it.
    return whole.reshape(-1, order="F") if isinstance(geometry, VolumeGrid) else whole


def merge_labels(files: Sequence[Labelled], options: ReadOptions) -> Part:
    """Return the part of all parcels of several files of labels.

    A parcel is a key of a file: equal keys of two files are two parcels. The keys of a file
    that has one which an earlier file has are moved by a power of 10 above all keys, as 3 to
    103; `Part.origins` has the file and its own key of each.

    Parameters
    ----------
    files
        With the same locations.
    options
        Of which `labels`, `background` and `conflicts` count.

    Raises
    ------
    ValueError
        Locations that two files claim, if ``conflicts="error"``.
    """
    # The user's entries: a tuple for all compartments, or compartment to such a tuple.
    given = None if options.labels is None else rows_from_table(options.labels)
    labels = [_labels(file, given, options) for file in files]
    stated = {key for key in options.background or () if not isinstance(key, str)}
    listed = [row.key for row in given] if isinstance(given, tuple) else []
    moved = _number(files, labels, background=stated, listed=listed)
    first = files[0].part
    # `owner` has the number of the file whose label a location has, -1 where it has none yet. A
    # later file writes over earlier ones, unless the first is to win.
    keys = np.full(first.geometry.n_locations, UNLABELLED, np.int32)
    owner = np.full(first.geometry.n_locations, -1, np.int32)
    for i, (own, numbers) in enumerate(zip(labels, moved, strict=True)):
        there = own != UNLABELLED
        both = there & (owner >= 0)
        if both.any():
            if options.conflicts == "error":
                raise _conflict(files, labels, owner, both, i)
            if options.conflicts == "first":
                there &= owner < 0
        keys[there] = _moved(own[there], numbers)
        owner[there] = i
    origins = {
        new: Origin(file.name, old, side_of(file.name))
        for file, numbers in zip(files, moved, strict=True)
        for old, new in numbers.items()
    }
    rows = _rows(files, moved)
    return dataclasses.replace(
        first,
        keys=keys,
        unlabelled=UNLABELLED,
        background=None,
        origins=origins,
        rows=rows,
        operations=tuple(dict.fromkeys(o for file in files for o in file.part.operations)),
    )


def _labels(file: Labelled, given: Any, options: ReadOptions) -> Int32[np.ndarray, " locations"]:
    """Return the keys of a file, those of its background as that of no label."""
    part = file.part
    assert part.keys is not None
    table = rows_of_compartment(given, part.compartment)
    rows = part.rows or () if table is None else table
    is_surface = isinstance(part.geometry, SurfaceMesh)
    present = Present(part.compartment, (), is_surface=is_surface, background=part.background)
    none = background_keys(present, rows, options.background)
    # In a volume 0 is no parcel; on a surface it is one where the table names it like a region.
    if not is_surface or find_zero(rows) is None:
        none |= {0}
    return np.where(np.isin(part.keys, [*none, UNLABELLED]), np.int32(UNLABELLED), part.keys)


def _number(
    files: Sequence[Labelled],
    labels: Sequence[np.ndarray],
    *,
    background: set[int],
    listed: Sequence[int],
) -> list[dict[int, int]]:
    """Return for each file its keys, those of its table too, to the keys that they get.

    `background` are keys that mean no parcel, `listed` those of the user's table.
    """
    located = [set(find_keys(own)) - {UNLABELLED} for own in labels]
    tables = [{row.key: row.name for row in file.part.rows or ()} for file in files]
    # The smallest power of 10 above all keys, as 100 where the largest is 57.
    step = 10 ** len(str(max([*listed, *(key for own in located for key in own)], default=0)))
    taken: dict[int, str | None] = {}  # key to its name, None for one without an entry
    used: set[int] = set()
    out = []
    for own, table in zip(located, tables, strict=True):
        # A key that an earlier file uses collides, and so does one that an earlier table names
        # differently.
        collides = bool(own & used) or any(
            table.get(key, name) != name for key, name in taken.items() if name is not None
        )
        keys = sorted(own | (set(table) - background))
        if collides:
            above = offset_keys(keys, [*taken, *used], step=step)
            numbers = {key: key + above for key in keys}
        else:
            # What another file's table names too is one parcel.
            numbers = {key: key for key in keys if key in own or key not in taken}
        used |= {numbers[key] for key in own}
        taken |= {new: table.get(old) for old, new in numbers.items()}
        out.append(numbers)
    return out


def _moved(keys: np.ndarray, numbers: dict[int, int]) -> np.ndarray:
    values, where = np.unique(keys, return_inverse=True)
    return np.array([numbers[key] for key in values.tolist()], np.int32)[where]


def _rows(files: Sequence[Labelled], moved: Sequence[dict[int, int]]) -> tuple[LabelRow, ...]:
    """Return the entries of the files' own tables with the keys that they got."""
    found = []
    for file, numbers in zip(files, moved, strict=True):
        rows = file.part.rows
        if rows is None and file.is_mask and not file.stated:
            # A mask among labels is one parcel, named as masks are.
            rows = tuple(LabelRow(key, name_of_map(file.name)) for key in numbers)
        # Negative keys have no entry, and are refused as such.
        rows = rows or tuple(LabelRow(key, f"label-{key}") for key in numbers if key >= 0)
        found += [
            dataclasses.replace(row, key=numbers[row.key]) for row in rows if row.key in numbers
        ]
    return tuple(found)


def _conflict(
    files: Sequence[Labelled],
    labels: Sequence[np.ndarray],
    owner: np.ndarray,
    both: np.ndarray,
    later: int,
) -> ArgumentError:
    """Return the error of locations that two files claim, with the parcels that claim most."""
    # (3, locations): the number of the earlier file, its key and the key of the later file, for
    # each location that both claim.
    pairs = np.stack([owner[both], _owned(labels, owner)[both], labels[later][both]])
    values, counts = np.unique(pairs, axis=1, return_counts=True)
    earlier, old, new = values[:, counts.argmax()].tolist()
    is_surface = isinstance(files[0].part.geometry, SurfaceMesh)
    what = ("vertex", "vertices") if is_surface else ("voxel",)
    count = format_count(int(both.sum()), *what)
    return ArgumentError(
        "files",
        f": {files[earlier].told} and {files[later].told} both have labels at {count}, "
        f"{counts.max()} of them {_parcel(files[earlier], old)} of the one and "
        f"{_parcel(files[later], new)} of the other",
        "Pass "
        + Passing(conflicts="first")
        + " or "
        + Passing(conflicts="last")
        + " to keep the label of one of them, or "
        + Passing(kind="maps")
        + " if they are weights",
    )


def _owned(labels: Sequence[np.ndarray], owner: np.ndarray) -> np.ndarray:
    """Return the key that the owner of each location has there."""
    keys = np.full(owner.shape, UNLABELLED, np.int32)
    for i, own in enumerate(labels):
        keys[owner == i] = own[owner == i]
    return keys


def _parcel(file: Labelled, key: int) -> str:
    names = {row.key: row.name for row in file.part.rows or ()}
    return repr(names.get(key) or f"label-{key}")
