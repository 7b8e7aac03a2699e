"""From the parts of files and label tables to an atlas."""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from atlasinit.core.atlas import Atlas
from atlasinit.core.geometry import (
    Geometry,
    SurfaceMesh,
    VolumeGrid,
)
from atlasinit.core.labels import (
    REQUIRED,
    LabelTable,
    hemisphere_of,
    unique_names,
)
from atlasinit.core.maps import HardMaps, Maps
from atlasinit.core.provenance import Provenance
from atlasinit.errors import ArgumentError
from atlasinit.io.assembly.exact import (
    find_keys,
    row_labels,
    weight_maps,
)
from atlasinit.io.assembly.fitting import Present, fit_keys
from atlasinit.io.assembly.origins import follow_origins, trace_rows
from atlasinit.io.assembly.rows import (
    assign_rows,
    check_background,
)
from atlasinit.io.contents import Part
from atlasinit.io.options import ReadOptions
from atlasinit.io.overlay.losses import Loss, tell_losses
from atlasinit.io.overlay.parts import lay_over_parts
from atlasinit.io.tables.reading import Rows, rows_from_table

# Columns that `Atlas.labels` adds; a file's own column of that name is renamed.
_RESERVED = (*REQUIRED, "n_locations", "empty")


def assemble(
    parts: Iterable[Part],
    options: ReadOptions = ReadOptions(),  # noqa: B008 (immutable)
    *,
    name: str,
    space: str,
    provenance: Provenance = Provenance(),  # noqa: B008 (immutable)
) -> Atlas:
    """Return the atlas of `parts`, its label table joined to the data by key.

    Parameters
    ----------
    parts
        One per compartment, in the order of the output.
    options
        Of which these count:

        - ``labels``, a label table in place of the parts' own: whatever `rows_from_table`
          takes. One table for all serves every compartment: rows that state a hemisphere
          only the cortex of that side and volumes, rows with a ``compartment`` only that
          one. A dict gives tables for some compartments. Without any table, parcels are
          named ``label-<key>``. Maps are keyed 1, 2, ... in the order of the file, or
          0, 1, ... where the table counts so.
        - ``unlisted`` and ``nan``, as for `read_atlas`, and ``unused``.
        - ``mask`` and ``meshes``, as `lay_over` takes them. Rows come from the data
          without a mask, and what it leaves out is counted in the provenance.
        - ``background``, by default entries named like the background or the medial wall,
          and key 0 of labels unless the table of a surface gives it another name; ``()`` for
          none.
    name, space
        Of the atlas.
    provenance
        Of the atlas.

    Returns
    -------
    Atlas
        Hard maps for labels and for 0/1 maps that do not overlap, else sparse maps,
        or dense ones where these are smaller. An entry without a location is a row
        without weights. The background is never a row.

    Raises
    ------
    ValueError
        Keys without an entry, entries of one key with different names, negative
        keys, NaN or infinite weights, a table for a compartment that is not there, no
        parcel at all.
    """
    options = options.with_defaults()
    laid = lay_over_parts(tuple(parts), mask=options.mask, meshes=options.meshes, space=space)
    given = tuple(laid)
    found = {part.compartment: part for part in given}
    if not found or len(found) < len(given):
        raise ArgumentError(
            "parts", f"should be one per compartment, got {[part.compartment for part in given]}"
        )
    labels, background = options.labels, options.background
    groups = _groups(found, None if labels is None else rows_from_table(labels))
    if background is not None:
        check_background(background, [row for table, _ in groups for row in table or ()])
    rows: dict[str, Rows] = {}
    # Which column has the keys is decided by all compartments of a table together, as one of them
    # alone may happen to fit another.
    for table, compartments in groups:
        found |= {c: _count_from_zero(found[c], table) for c in compartments}
        data = [_describe_part(found[c]) for c in compartments]
        table, column = fit_keys(table, data, background=background)
        if column:
            provenance = provenance.then(f"labels(key={column!r})")
        rows |= assign_rows(table, data, background=background, unlisted=options.unlisted)
        if options.unused == "drop":
            rows |= {p.compartment: _keep_used(rows[p.compartment], p) for p in data}
        rows |= {c: trace_rows(rows[c], found[c].origins) for c in compartments}
    if not any(rows.values()):
        raise ArgumentError(
            "files",
            f": {name!r} has no parcel: every label is the background, and no table names others",
        )
    # Both hemispheres were read alike; what was done to each is told once.
    done = [operation for part in given for operation in part.operations]
    for operation in dict.fromkeys([*options.operations, *done]):
        provenance = provenance.then(operation)
    built = {c: _build(part, rows[c], nan=options.nan) for c, part in found.items()}
    table = _join_tables({c: rows[c] for c in found})
    losses = [_count_losses(part, table, built[c][0]) for c, part in found.items() if part.masked]
    for operation in tell_losses(losses):
        provenance = provenance.then(operation)
    return Atlas(
        name=name,
        space=space,
        maps={c: maps for c, (maps, _) in built.items()},
        geometry={c: geometry for c, (_, geometry) in built.items()},
        labels=table,
        provenance=provenance,
    )


def _groups(
    found: Mapping[str, Part], given: Rows | dict[str, Rows] | None
) -> list[tuple[Rows | None, list[str]]]:
    """Return each table with the compartments that it serves."""
    if isinstance(given, tuple):
        whole = [c for c, part in found.items() if not part.origins]
        apart = [(follow_origins(given, found[c].origins), [c]) for c in found if c not in whole]
        return [*([(given, whole)] if whole else []), *apart]
    own = {
        c: follow_origins(table, found[c].origins) if c in found else table
        for c, table in (given or {}).items()
    }
    strange = [c for c in own if c not in found]
    if strange:
        raise ArgumentError("labels", f": compartments are {list(found)}, got tables for {strange}")
    groups: list[tuple[Rows | None, list[str]]] = [(table, [c]) for c, table in own.items()]
    shared: list[list[str]] = []
    for c, part in found.items():
        if c not in own:
            home = next((cs for cs in shared if all(_shares(part, found[o]) for o in cs)), None)
            if home is None:
                shared.append([c])
            else:
                home.append(c)
    return groups + [(found[cs[0]].rows, cs) for cs in shared]


def _shares(part: Part, other: Part) -> bool:
    """Whether one table serves two parts.

    Parts of one file hold the same tuple of rows. Equal tables of two files stay two, of which
    each side has all parcels, unless no parcel has locations in both: such are the halves of
    one file, as ``wb_command -cifti-separate`` writes them, each with the whole table.
    """
    if part.rows is other.rows:
        return True
    if part.rows is None or part.rows != other.rows or part.keys is None or other.keys is None:
        return False
    keys, others = ({*_describe_part(p).keys} - {0} for p in (part, other))
    return bool(keys and others) and keys.isdisjoint(others)


def _count_from_zero(part: Part, table: Rows | None) -> Part:
    """Return maps numbered from 1 with the keys of a table that numbers them from 0."""
    n = len(part.map_keys)
    if table is None or part.map_keys != tuple(range(1, n + 1)):
        return part
    # Maps 1, 2, ... n and entries 0, 1, ... n - 1, with none for n: the table counts from 0.
    keys = {row.key for row in table}
    if not keys.issuperset(range(n)) or n in keys:
        return part
    return dataclasses.replace(part, map_keys=tuple(range(n)))


def _describe_part(part: Part) -> Present:
    if len(set(part.map_keys)) < len(part.map_keys):
        raise ArgumentError("map_keys", f"of {part.compartment!r} should be distinct")
    if part.keys is None:
        keys = tuple(sorted(part.map_keys))
    else:
        # A mask takes locations, never a parcel.
        keys = find_keys(part.keys) if part.masked is None else tuple(part.masked.counts)
        keys = tuple(key for key in keys if key != part.unlabelled)
    return Present(
        compartment=part.compartment,
        keys=keys,
        is_surface=isinstance(part.geometry, SurfaceMesh),
        is_maps=part.keys is None,
        background=part.background,
    )


def _keep_used(rows: Rows, present: Present) -> Rows:
    return tuple(row for row in rows if row.key in present.keys)


def _count_losses(part: Part, table: LabelTable, maps: Maps) -> Loss:
    assert part.masked is not None
    own = table.take(table.rows_of(part.compartment))
    before = np.array([part.masked.counts.get(key, 0) for key in own["key"]], np.int64)
    return Loss(part.masked.masks, own["name"], before, maps.counts())


def _build(part: Part, rows: Rows, *, nan: str) -> tuple[Maps, Geometry]:
    """Return maps and geometry of one compartment."""
    names = {row.key: row.name for row in rows}
    if part.maps is not None:
        size = part.geometry.n_locations
        return weight_maps(part.maps, part.map_keys, names, size, nan=nan), part.geometry
    assert part.keys is not None
    labels = row_labels(part.keys, list(names))
    geometry = part.geometry
    # Of an image without a mask only the voxels of parcels stay.
    if part.whole and isinstance(geometry, VolumeGrid):
        kept = labels >= 0
        if not kept.all():
            labels, geometry = labels[kept], geometry.restrict(kept)
    return HardMaps(labels, len(rows)), geometry


def _join_tables(rows: Mapping[str, Rows]) -> LabelTable:
    pairs = [(c, row) for c, entries in rows.items() for row in entries]
    sides = [row.hemisphere or hemisphere_of(row.name, c) for c, row in pairs]
    # In a volume the two sides may share names; the side then goes in front, as for surfaces.
    homes = [
        f"{c}_{row.hemisphere}" if row.hemisphere and not hemisphere_of("", c) else c
        for c, row in pairs
    ]
    names = unique_names([row.name for _, row in pairs], homes, [row.key for _, row in pairs])
    extras = dict.fromkeys(title for _, row in pairs for title in row.extra)
    columns: dict[str, list[Any]] = {
        "compartment": [c for c, _ in pairs],
        "key": [row.key for _, row in pairs],
        "name": names,
        "color": [row.color for _, row in pairs],
        "hemisphere": sides,
    }
    # What a row states of its compartment has done its work in `assign_rows`.
    for title in extras:
        if title != "compartment":
            column = f"file_{title}" if title in _RESERVED else title
            columns[column] = [row.extra.get(title) for _, row in pairs]
    return LabelTable(columns)
