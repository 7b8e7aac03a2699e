"""The command that makes a page to turn and slice an atlas on: view."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from atlasinit.cli.options import AsJson, Output, Overwrite, load, takes
from atlasinit.cli.output import print_written, say
from atlasinit.errors import format_count

if TYPE_CHECKING:
    from atlasinit.core.atlas import Atlas

commands = typer.Typer()


@commands.command(
    epilog="Example: atlasinit view desikan-killiany --space fsaverage5 --values t.tsv -o view.html"
)
@takes(load)
def view(
    atlas: "Atlas",
    *,
    output: Output = Path("view.html"),
    values: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="A .tsv or .csv table of values, with a column `name` or `key`, or a column "
            "for each parcel.",
        ),
    ] = None,
    column: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Show this column of the table; repeatable."),
    ] = None,
    behind: Annotated[
        str | None,
        typer.Option(
            metavar="IMAGE",
            help="What lies in grey behind the parcels of volumes: an image of any grid in the "
            "atlas's space, or `none`.",
        ),
    ] = None,
    palette: Annotated[
        Literal["network", "safe", "own"],
        typer.Option(
            metavar="COLOURS",
            help="network; safe, which any vision tells apart; or the atlas's own.",
        ),
    ] = "own",
    cmap: Annotated[
        str | None, typer.Option(metavar="NAME", help="Of values: a colormap of Matplotlib.")
    ] = None,
    vmin: Annotated[
        float | None, typer.Option(metavar="VALUE", help="Where the colours of values begin.")
    ] = None,
    vmax: Annotated[
        float | None, typer.Option(metavar="VALUE", help="Where the colours of values end.")
    ] = None,
    units: Annotated[str | None, typer.Option(metavar="TEXT", help="Of values, as mm.")] = None,
    title: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Of the page; else the atlas's name.")
    ] = None,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Write an HTML page to turn, slice and pick an atlas on; it needs no network."""
    from atlasinit.errors import ArgumentError
    from atlasinit.io import read_values
    from atlasinit.support.pages import target_of
    from atlasinit.viewer import view_atlas

    # Before the work: a page that is there is replaced only where that is asked for.
    target_of(output, overwrite=overwrite)
    if column and values is None:
        raise ArgumentError("column", "names columns of a table of values", "pass --values, too")
    try:
        made = view_atlas(
            atlas,
            None if values is None else read_values(values, column=column or ()),
            palette=palette,
            background=False if behind == "none" else behind,
            cmap=cmap,
            vmin=vmin,
            vmax=vmax,
            title=title,
            units=units,
        )
    except ArgumentError as error:
        if error.argument == "surfaces":
            hint = "pass the surface of each hemisphere by --anatomical, or by --sphere"
            raise ArgumentError("atlas", error.problem, hint) from error
        # `background` is the name of an option that tells labels of no parcel.
        raise error.of("behind") if error.argument == "background" else error from error
    path = made.save_as_html(output, overwrite=overwrite)
    print_written([path], as_json=as_json, parcels=atlas.n_parcels)
    if not as_json:
        say(f"{format_count(atlas.n_parcels, 'parcel')} of {atlas.name}, space {atlas.space}")
