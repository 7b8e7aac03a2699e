"""Commands that make an atlas's maps, or tables from data: build, project and demo."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from atlasinit.cli.editing import Editing
from atlasinit.cli.options import (
    DATA_HELP,
    AsJson,
    DataSpace,
    Output,
    Overwrite,
    Reduction,
    Saving,
    load,
    takes,
)
from atlasinit.cli.output import print_saved, print_written, progress, say
from atlasinit.cli.values import parse_one_each
from atlasinit.errors import format_count
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


@commands.command(epilog="Example: atlasinit project aal --data bold.nii.gz -o series.tsv")
@takes(load)
def project(
    atlas: "Atlas",
    *,
    data: Annotated[list[str], typer.Option("--data", "-d", metavar="FILE", help=DATA_HELP)],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="A .tsv or .csv table.")
    ],
    data_space: DataSpace = None,
    reduction: Reduction = "mean",
    missing: Annotated[
        Literal["propagate", "omit", "error"],
        typer.Option(metavar="HOW", help="NaN in the data: propagate, omit or error."),
    ] = "propagate",
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Project data: a table with one row per time point and one column per parcel."""
    import pandas as pd

    from atlasinit.io import open_data, write_table
    from atlasinit.io.tables.parcel_values import separator_of
    from atlasinit.streaming import stream
    from atlasinit.support.writing import check_target

    # Before the work, too; the separator says whether the table's extension is one.
    separator_of(output)
    check_target(output, overwrite=overwrite)
    source = open_data(
        parse_one_each(data, "data", sided=True),
        atlas,
        reduction=reduction,
        data_space=data_space,
    )
    series = stream(atlas, source, reduction=reduction, missing=missing)
    table = pd.DataFrame(series, columns=list(atlas.table["name"]))
    path = write_table(table, output, overwrite=overwrite)
    shape = {"time_points": len(series), "parcels": atlas.n_parcels}
    print_written([path], as_json=as_json, **shape)
    if not as_json:
        times = format_count(len(series), "time point")
        say(f"{times} x {format_count(atlas.n_parcels, 'parcel')}, {reduction}")


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
