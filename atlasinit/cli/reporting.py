"""The command that makes a page for people: report."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from atlasinit.cli.options import AsJson, load, takes
from atlasinit.cli.output import print_json, progress

if TYPE_CHECKING:
    from atlasinit.atlas import Atlas

commands = typer.Typer()


@commands.command(
    epilog="Example: atlasinit report desikan-killiany --space fsaverage5 --fwhm 6 -o report.html"
)
@takes(load)
def report(
    atlas: "Atlas",
    *,
    data: Annotated[
        list[Path] | None,
        typer.Option("--data", "-d", help="An image to project; twice for two hemispheres."),
    ] = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="An .html file.")] = Path(
        "report.html"
    ),
    overwrite: Annotated[bool, typer.Option(help="Replace a file that exists.")] = False,
    fwhm: Annotated[
        float | None,
        typer.Option(help="Smooth, and compare: full width at half maximum, mm."),
    ] = None,
    t_r: Annotated[
        float | None, typer.Option("--t-r", help="Time between two time points, s.")
    ] = None,
    reduction: Annotated[str, typer.Option(help="mean, sum, ... as in ai.project.")] = "mean",
    palette: Annotated[str, typer.Option(help="safe colours, or the atlas's own.")] = "safe",
    title: Annotated[str | None, typer.Option(help="Of the page; else the atlas's name.")] = None,
    as_json: AsJson = False,
) -> None:
    """Write an HTML page that shows an atlas, and data of its parcels; it needs no network."""
    from atlasinit.report import generate_report
    from atlasinit.report.page import check_target
    from atlasinit.smoothing import smooth

    check_target(output, overwrite=overwrite)
    before = None
    if fwhm is not None:
        with progress(len(atlas.compartments)) as step:
            before, atlas = atlas, smooth(atlas, fwhm=fwhm, progress=step)
    made = generate_report(
        atlas,
        data=data[0] if data and len(data) == 1 else data or None,
        before=before,
        title=title,
        t_r=t_r,
        reduction=reduction,
        palette=palette,
    )
    path = made.save(output, overwrite=overwrite)
    if as_json:
        print_json(
            {"path": str(path), "bytes": path.stat().st_size, "findings": list(made.findings)}
        )
        return
    for finding in made.findings:
        print(f"worth a look: {finding}")
    print(path)
