"""What the catalogue holds, answered from its data and the local disk alone."""

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from atlasinit.catalogue import spaces
from atlasinit.catalogue.entries import AXES, Entry, Variant, catalogue, variants
from atlasinit.catalogue.licences import terms
from atlasinit.catalogue.resolving import agree
from atlasinit.catalogue.sources import references
from atlasinit.catalogue.sources.registry import SOURCES
from atlasinit.core.spaces import parse_space
from atlasinit.errors import ArgumentError, ArgumentTypeError, nearest
from atlasinit.support.resources import normalise_name

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = (
    "name",
    "space",
    "source",
    "kind",
    "parcels",
    "variants",
    "licence",
    "terms",
    "offline",
    "title",
)


def list_atlases(
    query: str = "", *, space: str | None = None, source: str | None = None
) -> "pd.DataFrame":
    """Return the atlases of the catalogue, one row per atlas, space, source and kind.

    Nothing is downloaded and no other package is imported.

    Parameters
    ----------
    query
        Words that the name, an alias, the title or the space should contain, or numbers
        of parcels.
    space
        Only this space, as ``"fsLR"`` or ``"fsaverage5"``.
    source
        Only this source: ``"package"``, ``"templateflow"``, ``"nilearn"`` or ``"url"``.

    Returns
    -------
    pandas.DataFrame
        Columns ``name``, ``space``, ``source``, ``kind``, ``parcels`` (their number, as
        text; ``""`` where the catalogue does not know it), ``variants`` (the other
        choices), ``licence``, ``terms`` (``"non-commercial"``, ``"unknown"``, or ``""``
        where the licence tells of neither), ``offline`` (whether a variant is on this
        machine now) and ``title``.

    Raises
    ------
    ValueError
        A source that does not exist.

    Examples
    --------
    >>> list_atlases("desikan", space="fsaverage5", source="package")["parcels"].tolist()
    ['68']
    """
    import pandas as pd

    return pd.DataFrame(list_rows(query, space=space, source=source), columns=list(COLUMNS))


def list_rows(
    query: str = "", *, space: str | None = None, source: str | None = None
) -> list[dict[str, Any]]:
    """Return the rows of `list_atlases`, as `COLUMNS` to value."""
    for name, given in (("query", query), ("space", space), ("source", source)):
        if not isinstance(given, str) and (given is not None or name == "query"):
            raise ArgumentTypeError(name, f"should be text, got {type(given).__name__}")
    if source is not None and source not in SOURCES:
        raise ArgumentError(
            "source",
            f"should be one of {', '.join(SOURCES)}, got {source!r}",
            nearest(source, SOURCES),
        )
    return [
        {column: row[column] for column in COLUMNS}
        for entry in catalogue().values()
        for row in _rows(entry, source)
        if _matches(query, entry, row) and (space is None or _is_in_space(row, space))
    ]


def describe(entry: Entry) -> dict[str, Any]:
    """Return what the catalogue says of an entry, as plain data."""
    return {
        "name": entry.name,
        "title": entry.title,
        "aliases": list(entry.aliases),
        "species": entry.species,
        "licence": entry.licence,
        "citation": entry.citation,
        "note": entry.note,
        "defaults": dict(entry.defaults),
        "variants": [{c: r[c] for c in COLUMNS[1:-1]} for r in _rows(entry, None)],
    }


def _rows(entry: Entry, via: str | None) -> Iterator[dict[str, Any]]:
    """Yield one row per space (with density), source and kind."""
    # The variants of a row differ in the other axes: its cells list their values.
    groups: dict[tuple[str, ...], list[Variant]] = {}
    for variant in variants(entry):
        if via is None or variant.source.via == via:
            key = (_space_of(variant), variant.source.via, variant.source.kind)
            groups.setdefault(key, []).append(variant)
    for (space, by, kind), found in groups.items():
        licence = found[0].licence
        yield {
            "name": entry.name,
            "space": space,
            "source": by,
            "kind": kind,
            "parcels": _span([v.values.get("parcels", v.source.count) for v in found]),
            "variants": _choices(found),
            "licence": licence,
            "terms": terms(licence),
            "offline": any(references.has_variant(v) for v in found),
            "title": entry.title,
            "variant": found[0],
        }


def _space_of(variant: Variant) -> str:
    """Return the space's name without the cohort."""
    return spaces.label(variant).split(":cohort-")[0]


def _choices(found: list[Variant]) -> str:
    axes = [a for a in AXES if a not in ("density", "parcels")]
    texts = []
    for axis in axes:
        values = list(dict.fromkeys(v.values[axis] for v in found if axis in v.values))
        if values:
            texts.append(f"{axis}={_span(values)}")
    return "; ".join(texts)


def _span(values: list[Any]) -> str:
    # A lone 0 is a number of parcels that the entry does not state; among others it is a value,
    # as threshold=0.
    distinct = [str(v) for v in dict.fromkeys(values) if v not in (0, "") or len(set(values)) > 1]
    return ", ".join(distinct)


def _matches(query: str, entry: Entry, row: dict[str, Any]) -> bool:
    texts = [entry.name, *entry.aliases, entry.title, row["space"], entry.species]
    everything = normalise_name(" ".join(texts))
    # Numbers are compared whole, else "100" would find 1000 parcels.
    counts = row["parcels"].split(", ")
    words = re.split(r"\s+", query.strip())
    return all(normalise_name(word) in everything or word in counts for word in words)


def _is_in_space(row: dict[str, Any], space: str) -> bool:
    template, stated = parse_space(space)
    variant = row["variant"]
    density = stated.get("density")
    return agree(variant.space, template) and (
        density is None or agree(variant.values.get("density"), density)
    )
