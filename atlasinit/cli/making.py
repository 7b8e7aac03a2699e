"""Commands that make an atlas's maps, or tables from data: build, project and demo."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from atlasinit.cli.editing import Editing
from atlasinit.cli.options import (
    AsJson,
    Output,
    Overwrite,
    Saving,
    load,
    takes,
)
from atlasinit.cli.output import print_saved, print_written, progress
from atlasinit.support.interrupts import ending_at_once

if TYPE_CHECKING:
    from atlasinit.core.atlas import Atlas

commands = typer.Typer()


@commands.command(
    epilog="Example: atlasinit build glasser --space fsLR --fwhm 6 -o glasser.dscalar.nii"
)
@takes(load, Editing, Saving)
def build(
    atlas: "Atlas",
    editing: Editing,
    saving: Saving,
    *,
    output: Output,
    fwhm: Annotated[
        float | None, typer.Option(metavar="MM", help="Smooth: full width at half maximum, mm.")
    ] = None,
    sigma: Annotated[
        float | None, typer.Option(metavar="MM", help="Smooth: standard deviation, mm.")
    ] = None,
    geometry: Annotated[
        Literal["auto", "sphere", "anatomical", "grid"],
        typer.Option(metavar="HOW", help="Smooth along: auto, sphere, anatomical, grid."),
    ] = "auto",
    normalize: Annotated[
        Literal["parcel", "location"] | None,
        typer.Option(metavar="HOW", help="Weights sum to 1 in each parcel, or at each location."),
    ] = None,
    min_weight: Annotated[
        float | None,
        typer.Option(metavar="WEIGHT", help="Weights below it become 0, as 0.25 of memberships."),
    ] = None,
    harden: Annotated[
        bool, typer.Option("--harden", help="Give each location to its parcel of most weight.")
    ] = False,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Build an atlas's maps, edited and smoothed if asked, and save them."""
    from atlasinit.io.saving import check_saving, save_atlas
    from atlasinit.smoothing import smooth

    # Before the work, which may take minutes.
    check_saving(atlas, output, format=saving.format, overwrite=overwrite)
    atlas = editing.of(atlas)
    if fwhm is not None or sigma is not None:
        with progress(len(atlas.compartments)) as step:
            atlas = smooth(atlas, fwhm=fwhm, sigma=sigma, geometry=geometry, progress=step)
    if min_weight is not None:
        atlas = atlas.threshold(min_weight)
    if normalize is not None:
        atlas = atlas.normalize(normalize)
    # Last, by the weights that would be saved without it.
    if harden:
        atlas = atlas.harden()
    # What the steps before may have emptied.
    if editing.drop_empty:
        atlas = atlas.drop_empty()
    files = save_atlas(atlas, output, overwrite=overwrite, **saving.arguments)
    print_saved(atlas, files, as_json=as_json)


@commands.command(epilog="Example: atlasinit demo --out demo/")
def demo(
    *,
    out: Annotated[
        Path, typer.Option(metavar="FOLDER", help="Folder for the results; made if missing.")
    ],
    as_json: AsJson = False,
) -> None:
    """Run the main job on real data that needs no download, and write its results."""
    with ending_at_once():
        from atlasinit.cli.demonstration import run_demo

    print_written(run_demo(out), as_json=as_json)
