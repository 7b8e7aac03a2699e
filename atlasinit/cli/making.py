"""Commands that make an atlas's maps, or tables from data: build, project and demo."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from atlasinit.cli.options import load, takes
from atlasinit.cli.output import progress

if TYPE_CHECKING:
    from atlasinit.atlas import Atlas

commands = typer.Typer()


@commands.command(
    epilog="Example: atlasinit build glasser --space fsLR --fwhm 6 -o glasser.dscalar.nii"
)
@takes(load)
def build(
    atlas: "Atlas",
    *,
    output: Annotated[Path, typer.Option("--output", "-o", help="Its extension is the format.")],
    fwhm: Annotated[
        float | None, typer.Option(help="Smooth: full width at half maximum, mm.")
    ] = None,
    sigma: Annotated[float | None, typer.Option(help="Smooth: standard deviation, mm.")] = None,
    geometry: Annotated[str, typer.Option(help="auto, sphere, anatomical or grid.")] = "auto",
    normalize: Annotated[
        str | None, typer.Option(help="Make weights sum to 1 per 'parcel' or 'location'.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what is there.")] = False,
) -> None:
    """Build an atlas's maps, smoothed if asked, and save them."""
    from atlasinit.io import save_atlas
    from atlasinit.smoothing import smooth

    if fwhm is not None or sigma is not None:
        with progress(len(atlas.compartments)) as step:
            atlas = smooth(atlas, fwhm=fwhm, sigma=sigma, geometry=geometry, progress=step)
    if normalize is not None:
        atlas = atlas.normalize(normalize)
    save_atlas(atlas, output, overwrite=overwrite)
    print(atlas)


@commands.command(epilog="Example: atlasinit project aal --data bold.nii.gz -o series.tsv")
@takes(load)
def project(
    atlas: "Atlas",
    *,
    data: Annotated[
        list[Path], typer.Option("--data", "-d", help="An image; twice for two hemispheres.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="A .tsv or .csv table.")],
    reduction: Annotated[str, typer.Option(help="mean, sum, ... as in ai.project.")] = "mean",
) -> None:
    """Project data: a table with a row a time point and a column a parcel."""
    import numpy as np
    import pandas as pd

    from atlasinit.io import open_data, write_table
    from atlasinit.projection import project as project_

    source = open_data(data[0] if len(data) == 1 else data, atlas)
    series = np.asarray(project_(atlas, source.all(), reduction=reduction))
    table = pd.DataFrame(series.T, columns=list(atlas.table["name"]))
    write_table(table, output)
    print(f"{output}: {len(table)} time points x {atlas.n_parcels} parcels")


@commands.command(epilog="Example: atlasinit demo --out demo/")
def demo(
    *, out: Annotated[Path, typer.Option(help="Folder for the results; made if missing.")]
) -> None:
    """Run the main job on real data that needs no download, and write its results."""
    from atlasinit.demo import run_demo

    for path in run_demo(out):
        print(path)
