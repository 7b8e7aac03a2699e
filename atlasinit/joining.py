"""Several atlases as one."""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from atlasinit.aligning import unite_geometries
from atlasinit.core.atlas import Atlas
from atlasinit.core.checking import tell_no_atlas
from atlasinit.core.geometry import Geometry, VolumeGrid
from atlasinit.core.labels import LabelTable, offset_keys, unique_names
from atlasinit.core.maps import HardMaps, Maps, has_weight
from atlasinit.core.provenance import Provenance
from atlasinit.core.stacking import find_larger, mask_locations, stack_parcels
from atlasinit.core.uniting import place_locations
from atlasinit.errors import (
    ArgumentError,
    ArgumentTypeError,
    Call,
    Passing,
    format_count,
    format_list,
    warn,
)

CONFLICTS = ("error", "first", "last", "larger")
"""What becomes of locations that several atlases claim."""

_LARGEST_KEY = 2**31 - 1

_SHOWN = 2
"""Locations that an error names."""


def join(atlases: Sequence[Atlas], *, conflicts: str = "error", name: str | None = None) -> Atlas:
    """Return one atlas of all parcels of several: cortex, subcortex and cerebellum.

    Compartments of different names stay what they are. Where several atlases have a compartment,
    its parcels are united: on the same grid (stored in any direction) or mesh, of which the
    result keeps the locations that any of them keeps.

    Parameters
    ----------
    atlases
        One or more, of one space.
    conflicts
        What becomes of locations that parcels of two atlases claim.

        - ``"error"``: two labels are refused. Weights overlap, as they do within one atlas: where
          either has maps, both keep theirs.
        - ``"first"``, ``"last"``: labels and weights are those of the first or the last atlas
          that has any there.
        - ``"larger"``: of the atlas with the larger sum of absolute weights there; of equal ones,
          as of labels, the one whose parcel (of most weight there) has more locations; of equal
          ones the first.
    name
        By default the names with ``+`` between.

    Returns
    -------
    Atlas
        Rows by compartment, these in the order in which they first come, then in the order of
        `atlases`, then in their own. In a compartment where a key is taken by an atlas before, all
        keys of the atlas are moved above, by a multiple of a power of 10, as 3 to 103. A name that
        is taken gets its side in front or its key behind. Labels stay labels unless something has
        weights. Parcels that lose all locations stay as empty rows, and a warning names them.

    Raises
    ------
    ValueError
        No atlas, different spaces, a compartment on different grids or meshes, labels of two
        atlases at one location (with their number, the two parcels and places), and parcels that
        several compartments share in one atlas alone.
    TypeError
        What is no sequence of atlases.

    Examples
    --------
    >>> import atlasinit as ai
    >>> cortex = ai.load_atlas("schaefer2018", space="fsLR", parcels=100, networks=7)
    >>> ai.join([cortex, ai.load_atlas("hcp-subcortex", space="fsLR")]).n_parcels
    119
    """
    if conflicts not in CONFLICTS:
        known = ", ".join(f'"{choice}"' for choice in CONFLICTS[:-1])
        raise ArgumentError(
            "conflicts", f'should be {known} or "{CONFLICTS[-1]}", got {conflicts!r}'
        )
    given = _check(atlases)
    owners: dict[str, list[int]] = {}
    for i, atlas in enumerate(given):
        for c in atlas.compartments:
            owners.setdefault(c, []).append(i)
    _check_homes(given, owners)
    maps: dict[str, Maps] = {}
    geometry: dict[str, Geometry] = {}
    shared = 0
    for c, which in owners.items():
        own = [given[i] for i in which]
        geometry[c], places = unite_geometries(
            [atlas.geometry[c] for atlas in own],
            [atlas.name for atlas in own],
            compartment=c,
            argument="atlases",
        )
        placed = [
            place_locations(atlas.maps[c], at, geometry[c].n_locations)
            for atlas, at in zip(own, places, strict=True)
        ]
        placed, count = _settle(placed, own, c, geometry[c], conflicts)
        maps[c], shared = stack_parcels(placed), shared + count
    joined = Atlas(
        name=name or "+".join(atlas.name for atlas in given),
        space=given[0].space,
        maps=maps,
        geometry=geometry,
        labels=_join_tables([atlas.table for atlas in given], tuple(owners)),
        provenance=_join_provenance([atlas.provenance for atlas in given]),
    )
    if any(len(which) > 1 for which in owners.values()):
        told = f"conflicts={conflicts!r}; {format_count(shared, 'location')} of several"
        joined = joined.replace(operation=f"join({told})")
    _warn_of_lost(given, joined)
    return joined


def _check(atlases: Any) -> list[Atlas]:
    # An atlas is a pytree, and no sequence; text would be one of letters.
    given = list(atlases) if isinstance(atlases, Iterable) else [atlases]
    if isinstance(atlases, Atlas | Mapping | str) or not all(isinstance(a, Atlas) for a in given):
        kinds = {type(a).__name__: None for a in given if not isinstance(a, Atlas)}
        got = type(atlases).__name__ if isinstance(atlases, Atlas | Mapping | str) else list(kinds)
        wrong = next((a for a in given if not isinstance(a, Atlas)), None)
        remedy: Any = "put them in a list: `[one, other]`"
        if isinstance(atlases, Mapping):
            remedy = "pass `list(atlases.values())`"
        elif not isinstance(atlases, Atlas):
            remedy = tell_no_atlas(atlases if isinstance(atlases, str) else wrong, "").remedy
        raise ArgumentTypeError("atlases", f"should be a list of atlases, got {got}", remedy)
    if not given:
        raise ArgumentError("atlases", "should hold at least one atlas, got none")
    spaces = dict.fromkeys(atlas.space for atlas in given)
    if len(spaces) != 1:
        raise ArgumentError(
            "atlases",
            f"should be of one space, got {format_list(spaces)}",
            "move one to the space of the other by "
            + Call("ai.resample", "atlas", "other", space=...),
        )
    return given


def _check_homes(atlases: Sequence[Atlas], owners: Mapping[str, Sequence[int]]) -> None:
    """Refuse parcels that share compartments in one atlas, and not in another."""
    for c, which in owners.items():
        homes = {}
        for i in which:
            rows = atlases[i].table.rows_of(c)
            if rows:
                homes.setdefault(atlases[i].table["compartment"][rows[0]], atlases[i].name)
        if len(homes) > 1:
            told = format_list(f"those of {who!r} in {home}" for home, who in homes.items())
            raise ArgumentError(
                "atlases",
                f": parcels of {c!r} lie in different compartments, {told}",
                "let both share them by " + Call("atlas.unite", by=...),
            )


def _settle(
    maps: Sequence[Maps], atlases: Sequence[Atlas], compartment: str, geometry: Geometry, how: str
) -> tuple[list[Maps], int]:
    """Return the maps without what others win, and at how many locations there are several."""
    claims = np.stack([has_weight(m) for m in maps])
    several = claims.sum(axis=0) > 1
    count = int(several.sum())
    if not count:
        return list(maps), 0
    if how == "error":
        _refuse_labels(maps, atlases, compartment, geometry)
        return list(maps), count
    # The number of the atlas that wins each location.
    if how == "first":
        winner = claims.argmax(axis=0)
    elif how == "last":
        winner = len(maps) - 1 - claims[::-1].argmax(axis=0)
    else:
        winner = find_larger(maps)
    kept = ~several | (winner == np.arange(len(maps))[:, None])
    return [mask_locations(m, own) for m, own in zip(maps, kept, strict=True)], count


def _refuse_labels(
    maps: Sequence[Maps], atlases: Sequence[Atlas], compartment: str, geometry: Geometry
) -> None:
    """Raise where two atlases have labels at one location, with the parcels that meet most."""
    hard = [i for i, m in enumerate(maps) if isinstance(m, HardMaps)]
    labels = {i: np.asarray(maps[i].harden().labels) for i in hard}
    for one, other in itertools.combinations(hard, 2):
        at = np.flatnonzero((labels[one] >= 0) & (labels[other] >= 0))
        if not at.size:
            continue
        pairs, counts = np.unique(
            np.stack([labels[one][at], labels[other][at]]), axis=1, return_counts=True
        )
        most = counts.argmax()
        names = [
            atlases[i].table["name"][atlases[i].table.rows_of(compartment)[row]]
            for i, row in zip((one, other), pairs[:, most].tolist(), strict=True)
        ]
        if isinstance(geometry, VolumeGrid):
            what, points = ("voxel",), geometry.coordinates[at[:_SHOWN]]
            places = " and ".join("(" + ", ".join(f"{x:g}" for x in p) + ")" for p in points)
            places += " mm"
        else:
            what = ("vertex", "vertices")
            places = " and ".join(f"vertex {v}" for v in geometry.vertices[at[:_SHOWN]])
        raise ArgumentError(
            "atlases",
            f": {atlases[one].name!r} and {atlases[other].name!r} both have labels at "
            f"{format_count(at.size, *what)} of {compartment!r}, {counts[most]} of them "
            f"{names[0]!r} of the one and {names[1]!r} of the other; as at {places}",
            "Pass "
            + Passing(conflicts="first")
            + ", "
            + Passing(conflicts="last")
            + " or "
            + Passing(conflicts="larger")
            + " to keep one of them",
        )


def _join_tables(tables: Sequence[LabelTable], compartments: Sequence[str]) -> LabelTable:
    """Return all rows by compartment, those of each in the order of the tables."""
    # Columns in the order in which they first come; where a table has none of that title, None.
    titles = dict.fromkeys(title for table in tables for title in table.columns)
    homes: dict[str, dict[int, range]] = {}
    for c in compartments:
        for i, table in enumerate(tables):
            if rows := table.rows_of(c):
                homes.setdefault(table["compartment"][rows[0]], {})[i] = rows
    listed: list[dict[str, Any]] = []
    for own in homes.values():
        # The smallest power of 10 above all keys, as 100 where the largest is 57.
        step = 10 ** len(
            str(max(0, *(tables[i]["key"][r] for i, rows in own.items() for r in rows)))
        )
        taken: set[int] = set()
        for i, rows in own.items():
            now = [tables[i]["key"][row] for row in rows]
            above = offset_keys(now, taken, step=step) if taken.intersection(now) else 0
            if above + max(now) > _LARGEST_KEY:
                raise ArgumentError(
                    "atlases",
                    f": keys up to {max(now)} do not fit int32 above those up to {max(taken)} of "
                    "another atlas, which has some of them too",
                    "number the parcels of each anew by " + Call("ai.renumber_parcels", "atlas"),
                )
            taken.update(key + above for key in now)
            for row, key in zip(rows, now, strict=True):
                cells = {t: tables[i][t][row] if t in tables[i] else None for t in titles}
                listed.append({**cells, "key": key + above})
    columns = {title: [row[title] for row in listed] for title in titles}
    # Each was unique within its own atlas, and need not be within all.
    columns["name"] = unique_names(columns["name"], columns["compartment"], columns["key"])
    return LabelTable(columns)


def _warn_of_lost(atlases: Sequence[Atlas], joined: Atlas) -> None:
    before = sum(int(np.count_nonzero(atlas.labels["empty"])) for atlas in atlases)
    empty = np.array(joined.table["name"])[np.flatnonzero(joined.labels["empty"])]
    if len(empty) > before:
        warn(
            f"{format_count(len(empty) - before, 'parcel')} lost all locations to other atlases; "
            f"without locations are {format_list(empty)}."
        )


def _join_provenance(provenances: Sequence[Provenance]) -> Provenance:
    # What both state alike, as one licence, is stated once.
    def texts(field: str) -> str:
        found = (getattr(p, field) for p in provenances)
        return "; ".join(dict.fromkeys(text for text in found if text))

    return Provenance(
        source=texts("source"),
        version=texts("version"),
        licence=texts("licence"),
        citation=texts("citation"),
        files=tuple(dict.fromkeys(f for p in provenances for f in p.files)),
        operations=tuple(dict.fromkeys(o for p in provenances for o in p.operations)),
    )
