"""The commands that take several atlases: join and compare."""

from pathlib import Path
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
from atlasinit.cli.output import print_json, print_saved, print_table, print_written, say
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
            metavar="ATLAS...",
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


_COLUMNS = ("parcel", "locations", "largest", "share", "match", "dice", "hausdorff", "boundary")
_FIRST = 20


@commands.command(
    epilog="Example: atlasinit compare desikan-killiany yeo2011 --space fsLR --networks 7"
)
@takes(load_several)
def compare(
    atlases: "list[Atlas]",
    *,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Save the table: .tsv or .csv."),
    ] = None,
    overwrite: Overwrite = False,
    all_parcels: Annotated[
        bool, typer.Option("--all", help="Every parcel; a terminal else shows some.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Compare two atlases of one space: what overlaps, and what matches what."""
    import json

    from atlasinit.comparison import compare as compare_
    from atlasinit.io import write_table
    from atlasinit.io.tables.parcel_values import separator_of
    from atlasinit.support.writing import check_target

    if len(atlases) != 2:
        raise ArgumentError("names", f"should be two atlases to compare, got {len(atlases)}")
    if output is not None:
        separator_of(output)
        check_target(output, overwrite=overwrite)
    found = compare_(*atlases)
    files = [] if output is None else [write_table(found.table, output, overwrite=overwrite)]
    # Through pandas' JSON, which has null for missing values and plain numbers.
    rows = json.loads(found.table.to_json(orient="records") or "[]")
    if as_json:
        summary = {
            "one": found.one,
            "other": found.other,
            "compartments": list(found.compartments),
            "left_out": list(found.left_out),
            "rand": found.rand,
            "nmi": found.nmi,
            "vi": found.vi,
            "mean_dice": found.mean_dice,
        }
        # JSON has no NaN.
        plain = {k: None if v != v else v for k, v in summary.items()}
        print_json({**plain, "parcels": rows, "files": [str(path) for path in files]})
        return
    if output is not None:
        print_written(files, as_json=False)
        for line in repr(found).splitlines():
            say(line)
        return
    print(found)
    print()
    shown = [
        {
            "parcel": row["parcel"],
            # Sums of memberships are none; whole numbers stand under each other.
            "locations": int(n) if (n := row["locations"]) == int(n) else f"{n:.6g}",
            "largest": row["largest"],
            "match": row["match"],
            **{
                title: "" if (value := row[column]) is None else f"{value:{form}}"
                for title, column, form in (
                    ("share", "share", ".3f"),
                    ("dice", "dice", ".3f"),
                    ("hausdorff", "hausdorff", ".1f"),
                    ("boundary", "boundary_distance", ".2f"),
                )
            },
        }
        for row in rows
    ]
    print_table(shown, _COLUMNS, most=None if all_parcels else _FIRST)
