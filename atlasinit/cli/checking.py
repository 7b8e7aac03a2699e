"""The command that looks at files before they are used: check."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from atlasinit.cli.options import AsJson
from atlasinit.cli.output import print_json
from atlasinit.cli.wording import wording

commands = typer.Typer()


@commands.command(epilog="Example: atlasinit check atlas_dseg.nii.gz bold.nii.gz")
def check(
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE",
            help="Atlases, data, masks, surfaces, label tables, transforms, BIDS folders.",
        ),
    ],
    *,
    use: Annotated[
        Literal["atlas", "data"] | None,
        typer.Option(
            "--as", metavar="USE", help="atlas or data; else told by name, header and numbers."
        ),
    ] = None,
    labels: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Label table of an atlas.")
    ] = None,
    space: Annotated[
        str | None, typer.Option(metavar="SPACE", help="Of atlases that do not state it.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check what files are, what they state, what would be read, and what is odd.

    The exit status is 1 if anything is odd, and 2 if a file cannot be read.
    """
    from atlasinit.cli import app
    from atlasinit.inspection import check_files

    report = check_files(paths, use=use, labels=labels, space=space)
    # What readers say in Python's words is said in those of the command line.
    words = wording(typer.main.get_command(app), "check")
    if as_json:
        print_json(report.to_dict(words))
    else:
        print(report.said(words))
    if report.status:
        raise typer.Exit(report.status)
