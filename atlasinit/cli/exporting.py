"""Commands that write what other programs read: paint, masks and labels."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from atlasinit.cli.options import AsJson, Output, Overwrite, load, takes
from atlasinit.cli.output import print_written, say
from atlasinit.errors import ArgumentError, format_count

if TYPE_CHECKING:
    from atlasinit.core.atlas import Atlas

commands = typer.Typer()


@commands.command(
    epilog="Example: atlasinit paint glasser values.tsv --space fsLR -o values.dscalar.nii"
)
@takes(load)
def paint(
    atlas: "Atlas",
    *,
    values: Annotated[
        Path,
        typer.Argument(
            metavar="VALUES",
            help="A .tsv or .csv table of values, with a column `name` or `key`, or a column "
            "for each parcel.",
        ),
    ],
    output: Output,
    column: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Paint this column of the table; repeatable."),
    ] = None,
    fill: Annotated[
        float, typer.Option(metavar="VALUE", help="Of what belongs to no parcel: nan, or 0.")
    ] = float("nan"),
    absent: Annotated[
        Literal["error", "nan"],
        typer.Option(metavar="HOW", help="Parcels that the table lacks: error or nan."),
    ] = "error",
    step: Annotated[
        float | None,
        typer.Option(metavar="SECONDS", help="Between two time points, where they are series."),
    ] = None,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Paint values of parcels on the brain: a file of the format that its extension names."""
    from atlasinit.io import read_values, save_values

    table = read_values(values, column=column or ())
    files = save_values(
        table, atlas, output, fill=fill, absent=absent, step=step, overwrite=overwrite
    )
    print_written(files, as_json=as_json, parcels=atlas.n_parcels)
    if not as_json:
        say(f"{format_count(atlas.n_parcels, 'parcel')} of {atlas.name}, space {atlas.space}")


@commands.command(epilog="Example: atlasinit masks aal --select Hippocampus_L -o masks/")
@takes(load)
def masks(
    atlas: "Atlas",
    *,
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="FOLDER", help="The folder; made if missing."),
    ],
    format: Annotated[  # noqa: A002
        Literal[".nii.gz", ".nii", ".label.gii", ".label"] | None,
        typer.Option(
            metavar="ENDING", help="Of volumes .nii.gz or .nii, of surfaces .label.gii or .label."
        ),
    ] = None,
    min_weight: Annotated[
        float, typer.Option(metavar="WEIGHT", help="The least weight that belongs to a mask.")
    ] = 0.0,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Write each parcel as a mask of 0 and 1, a file each."""
    from atlasinit.io import save_masks

    try:
        found = save_masks(atlas, output, format=format, threshold=min_weight, overwrite=overwrite)
    except ArgumentError as error:
        # `threshold` is the name of an option that tells variants apart.
        raise error.of("min_weight") if error.argument == "threshold" else error from error
    files = [path for own in found.values() for path in own]
    shown = {name: [str(path) for path in own] for name, own in found.items()}
    print_written(files, as_json=as_json, masks=shown)


@commands.command(epilog="Example: atlasinit labels aal -o aal.ctab")
@takes(load)
def labels(
    atlas: "Atlas",
    *,
    output: Output,
    format: Annotated[  # noqa: A002
        str | None,
        typer.Option(
            metavar="PROGRAM",
            help="Where the extension tells none: itksnap, mrtrix, workbench, ...",
        ),
    ] = None,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Write the label table for another program: FreeSurfer, ITK-SNAP, FSL, BrainNet Viewer, ..."""
    from atlasinit.io import save_labels

    path = save_labels(atlas, output, format=format, overwrite=overwrite)
    print_written([path], as_json=as_json, parcels=atlas.n_parcels)
