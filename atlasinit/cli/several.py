"""The command that makes one atlas of several: join."""

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from atlasinit.cli import completion
from atlasinit.cli.options import (
    AsJson,
    Choices,
    Output,
    Overwrite,
    Saving,
    may_download,
    takes,
)
from atlasinit.cli.output import print_saved
from atlasinit.errors import ArgumentError
from atlasinit.support.interrupts import ending_at_once

if TYPE_CHECKING:
    from atlasinit.core.atlas import Atlas

commands = typer.Typer()


@takes(Choices, may_download)
def load_several(
    choices: Choices,
    download: bool,  # noqa: FBT001 (given by `may_download`)
    names: Annotated[
        list[str],
        typer.Argument(
            help="Catalogue names and files, an atlas each.",
            metavar="ATLAS",
            autocompletion=completion.atlases,
        ),
    ],
) -> "list[Atlas]":
    """Return an atlas for each name or file."""
    with ending_at_once():
        from atlasinit.io.options import ReadOptions
        from atlasinit.loading import load_each

    if not all(name.strip() for name in names):
        raise ArgumentError(
            "names", "holds an empty name or file", "is a variable of the shell not set?"
        )
    stated = {axis: value for axis, value in choices.axes.items() if value is not None}
    options = ReadOptions(space=choices.space)
    return load_each(names, options, stated, via=choices.via, download=download)


@commands.command(
    epilog="Example: atlasinit join schaefer2018 hcp-subcortex --space fsLR --parcels 400 "
    "-o all.dlabel.nii"
)
@takes(load_several, Saving)
def join(
    atlases: "list[Atlas]",
    saving: Saving,
    *,
    conflicts: Annotated[
        Literal["error", "first", "last", "larger"],
        typer.Option(
            metavar="HOW",
            help="Locations of two atlases: error, or that of the first, last or larger parcel.",
        ),
    ] = "error",
    name: Annotated[
        str | None, typer.Option(metavar="NAME", help="Of the result; else all names and +.")
    ] = None,
    output: Output,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Join atlases of one space: cortex, subcortex and cerebellum as one."""
    from atlasinit.io.saving import check_saving, save_atlas
    from atlasinit.joining import join as join_

    atlas = join_(atlases, conflicts=conflicts, name=name)
    check_saving(atlas, output, format=saving.format, overwrite=overwrite)
    files = save_atlas(atlas, output, overwrite=overwrite, **saving.arguments)
    print_saved(atlas, files, as_json=as_json)
