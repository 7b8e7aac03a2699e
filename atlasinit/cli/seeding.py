"""The command that makes an atlas of coordinates: spheres."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from atlasinit.cli.options import AsJson, Output, Overwrite, Saving, takes
from atlasinit.cli.output import print_saved

commands = typer.Typer()


@commands.command(
    epilog="Example: atlasinit spheres seeds.tsv --grid bold.nii.gz --radius 6 -o seeds.nii.gz"
)
@takes(Saving)
def spheres(
    saving: Saving,
    coordinates: Annotated[
        Path,
        typer.Argument(
            help="A .tsv or .csv with columns x, y, z in mm and perhaps name and radius.",
            metavar="TABLE",
        ),
    ],
    *,
    grid: Annotated[
        Path, typer.Option(metavar="IMAGE", help="Whose grid is taken, best that of the data.")
    ],
    radius: Annotated[
        float | None, typer.Option(metavar="MM", help="Of all; else the table's column, else 5.")
    ] = None,
    overlap: Annotated[
        Literal["allow", "first", "nearest", "error"],
        typer.Option(
            metavar="HOW",
            help="Voxels of several spheres: of each (allow), of the first, the nearest, or error.",
        ),
    ] = "allow",
    mask: Annotated[
        Path | None, typer.Option(metavar="IMAGE", help="Spheres hold only what is in it.")
    ] = None,
    space: Annotated[
        str | None,
        typer.Option(metavar="SPACE", help="Of the coordinates, where the image states none."),
    ] = None,
    name: Annotated[str, typer.Option(metavar="NAME", help="Of the atlas.")] = "spheres",
    output: Output,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Make an atlas of spheres around coordinates."""
    from atlasinit.io.saving import check_saving, save_atlas
    from atlasinit.seeding import sphere_atlas

    atlas = sphere_atlas(
        coordinates,
        grid,
        radius=radius,
        overlap=overlap,
        mask=mask,
        space=space,
        name=name,
    )
    check_saving(atlas, output, format=saving.format, overwrite=overwrite)
    files = save_atlas(atlas, output, overwrite=overwrite, **saving.arguments)
    print_saved(atlas, files, as_json=as_json)
