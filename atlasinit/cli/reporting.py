"""The command that makes a page for people: report."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from atlasinit.cli.options import (
    DATA_HELP,
    AsJson,
    DataSpace,
    Output,
    Overwrite,
    Reduction,
    load,
    takes,
)
from atlasinit.cli.output import print_written, progress, say
from atlasinit.cli.values import parse_one_each
from atlasinit.support.waiting import show_waiting

if TYPE_CHECKING:
    from atlasinit.core.atlas import Atlas

commands = typer.Typer()


@commands.command(
    epilog="Example: atlasinit report desikan-killiany --space fsaverage5 --fwhm 6 -o report.html"
)
@takes(load)
def report(
    atlas: "Atlas",
    *,
    data: Annotated[
        list[str] | None,
        typer.Option("--data", "-d", metavar="FILE", help=DATA_HELP),
    ] = None,
    data_space: DataSpace = None,
    output: Output = Path("report.html"),
    overwrite: Overwrite = False,
    fwhm: Annotated[
        float | None,
        typer.Option(metavar="MM", help="Smooth, and compare: full width at half maximum, mm."),
    ] = None,
    t_r: Annotated[
        float | None, typer.Option("--t-r", metavar="SECONDS", help="Between two time points.")
    ] = None,
    reduction: Reduction = "mean",
    palette: Annotated[
        Literal["network", "safe", "own"],
        typer.Option(
            metavar="COLOURS",
            help="network; safe, which any vision tells apart; or the atlas's own.",
        ),
    ] = "network",
    title: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Of the page; else the atlas's name.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write an HTML page that shows an atlas, and data of its parcels; it needs no network."""
    from atlasinit.report import generate_report
    from atlasinit.smoothing import smooth
    from atlasinit.support.pages import target_of

    # Before the work: a page that is there is replaced only where that is asked for.
    target_of(output, overwrite=overwrite)
    before = None
    if fwhm is not None:
        with progress(len(atlas.compartments)) as step:
            # The page compares the two; without smoothing it shows one.
            before, atlas = atlas, smooth(atlas, fwhm=fwhm, progress=step)
    with show_waiting(f"measuring and drawing {atlas.name}"):
        made = generate_report(
            atlas,
            data=parse_one_each(data, "data", sided=True),
            data_space=data_space,
            before=before,
            title=title,
            t_r=t_r,
            reduction=reduction,
            palette=palette,
        )
    path = made.save(output, overwrite=overwrite)
    print_written([path], as_json=as_json, **({"findings": list(made.findings)} if as_json else {}))
    if not as_json:
        for finding in made.findings:
            say(f"worth a look: {finding}")
