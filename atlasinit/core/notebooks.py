"""What a notebook shows of an atlas."""

import html
from typing import TYPE_CHECKING

from atlasinit.errors import format_count

if TYPE_CHECKING:
    from atlasinit.core.atlas import Atlas

_LONGEST = 300


def show_atlas(atlas: "Atlas") -> str:
    """Return HTML: a table of the compartments, and a line on source, licence and citation."""
    headings = ("compartment", "parcels", "maps", "geometry")
    head = "".join(f'<th style="text-align: left">{heading}</th>' for heading in headings)
    rows = "".join(
        "<tr>" + "".join(f'<td style="text-align: left">{html.escape(cell)}</td>' for cell in cells)
        for cells in (
            (c, str(maps.n_parcels), type(maps).__name__, repr(atlas.geometry[c]))
            for c, maps in atlas.maps.items()
        )
    )
    stated = atlas.provenance
    facts = {"source": stated.source, "licence": stated.licence, "citation": stated.citation}
    line = "; ".join(f"{what}: {html.escape(_cut(text))}" for what, text in facts.items())
    title = f"{html.escape(atlas.name)} in {html.escape(atlas.space)}"
    count = format_count(atlas.n_parcels, "parcel")
    return (
        f"<div><strong>{title}</strong>: {count}"
        f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
        f"<small>{line}</small></div>"
    )


def _cut(text: str) -> str:
    if not text:
        return "not stated"
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
