"""Several atlases as one."""

from collections.abc import Sequence
from typing import Any

from atlasinit.core.atlas import Atlas
from atlasinit.core.labels import LabelTable, unique_names
from atlasinit.core.provenance import Provenance
from atlasinit.errors import ArgumentError, format_list


def join(atlases: Sequence[Atlas], *, name: str | None = None) -> Atlas:
    """Return one atlas with the compartments of several, as cortex and subcortex.

    Parameters
    ----------
    atlases
        Of one space and without a compartment in common.
    name
        By default the names with ``+`` between.

    Raises
    ------
    ValueError
        Different spaces, or a compartment that two of the atlases have.
    """
    spaces = dict.fromkeys(atlas.space for atlas in atlases)
    if len(spaces) != 1:
        raise ArgumentError("atlases", f"should be of one space, got {format_list(spaces)}")
    compartments = [c for atlas in atlases for c in atlas.compartments]
    if len(set(compartments)) < len(compartments):
        raise ArgumentError(
            "atlases", f"should have no compartment in common, got {format_list(compartments)}"
        )
    tables = [atlas.table for atlas in atlases]
    # Columns in the order in which they first come; where a table has none of that title, None.
    titles = dict.fromkeys(title for table in tables for title in table.columns)
    columns: dict[str, list[Any]] = {
        title: [
            value
            for table in tables
            for value in (table[title] if title in table else [None] * len(table))
        ]
        for title in titles
    }
    # Each was unique within its own atlas, and need not be within both.
    columns["name"] = unique_names(columns["name"], columns["compartment"], columns["key"])
    return Atlas(
        name=name or "+".join(atlas.name for atlas in atlases),
        space=next(iter(spaces)),
        maps={c: m for atlas in atlases for c, m in atlas.maps.items()},
        geometry={c: g for atlas in atlases for c, g in atlas.geometry.items()},
        labels=LabelTable(columns),
        provenance=_join_provenance([atlas.provenance for atlas in atlases]),
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
