"""The command that projects one image: parcel series, cleaned, as a table, CIFTI or a matrix."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from atlasinit.cli.cleaning import Cleaned
from atlasinit.cli.options import (
    DATA_HELP,
    AsJson,
    DataSpace,
    Overwrite,
    Reduction,
    load,
    panel,
    takes,
)
from atlasinit.cli.output import print_written, say
from atlasinit.cli.values import parse_one_each
from atlasinit.errors import ArgumentError, format_count, format_list
from atlasinit.support.files import expand

if TYPE_CHECKING:
    import numpy as np

    from atlasinit.core.atlas import Atlas
    from atlasinit.extraction.cleaning import Cleaning, Confounds

commands = typer.Typer()

ENDINGS = (".tsv", ".csv", ".ptseries.nii", ".pconn.nii")
"""Of what is written: a table, series as CIFTI, or the correlations of the series."""


@commands.command(epilog="Example: atlasinit project aal --data bold.nii.gz -o series.tsv")
@takes(load, Cleaned)
def project(
    atlas: "Atlas",
    cleaned: Cleaned,
    *,
    data: Annotated[list[str], typer.Option("--data", "-d", metavar="FILE", help=DATA_HELP)],
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="A .tsv or .csv table, .ptseries.nii, or .pconn.nii of the correlations.",
        ),
    ],
    confounds_table: Annotated[
        Path | None,
        panel(
            "What is done to series", "FILE", "Whose columns they are; by default that beside it."
        ),
    ] = None,
    data_space: DataSpace = None,
    reduction: Reduction = "mean",
    missing: Annotated[
        Literal["propagate", "omit", "error"],
        typer.Option(metavar="HOW", help="NaN in the data: propagate, omit or error."),
    ] = "propagate",
    min_coverage: Annotated[
        float,
        typer.Option(metavar="SHARE", help="With --missing omit: parcels with less data are NaN."),
    ] = 0.0,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Project data on the parcels of an atlas: their series, or how these correlate."""
    from atlasinit.extraction.timing import find_repetition_time
    from atlasinit.io import open_data
    from atlasinit.streaming import stream
    from atlasinit.support.writing import check_target

    # Before the work, too.
    _check_ending(output)
    check_target(expand(output), overwrite=overwrite)
    cleaning = cleaned.cleaning
    given = parse_one_each(data, "data", sided=True)
    source = open_data(given, atlas, reduction=reduction, data_space=data_space)
    files = _files_of(given)
    in_time = output.name.lower().endswith(".ptseries.nii")
    t_r = find_repetition_time(files[0], cleaning) if cleaning.filters or in_time else None
    confounds = _read_confounds(files, confounds_table, cleaning, source.n_time)
    series = stream(atlas, source, reduction=reduction, missing=missing, min_coverage=min_coverage)
    series = _clean(series, confounds, cleaning, t_r)
    # Volumes that are left are not evenly spaced once others were dropped.
    step = t_r if len(series) == source.n_time else None
    path = _write(series, atlas, output, step=step, overwrite=overwrite)
    shape = {"time_points": len(series), "parcels": atlas.n_parcels}
    told: dict[str, Any] = shape
    if confounds is not None and cleaning.needs_table:
        told = {**shape, "confounds": confounds.names, "left_out": source.n_time - len(series)}
    print_written([path], as_json=as_json, **told)
    if not as_json:
        times = format_count(len(series), "time point")
        say(f"{times} x {format_count(atlas.n_parcels, 'parcel')}, {reduction}")
        if cleaning.needs_table and confounds is not None:
            named = format_list(confounds.names) if confounds.names else "none"
            left = format_count(source.n_time - len(series), "volume")
            say(f"confounds: {named}; {left} left out")


def _files_of(given: Any) -> list[Path]:
    """Return the files of one run: one, or one for each compartment."""
    if isinstance(given, Mapping):
        given = list(given.values())
    return [expand(path) for path in ([given] if isinstance(given, str) else given)]


def _read_confounds(
    files: list[Path], table: Path | None, cleaning: "Cleaning", n_time: int
) -> "Confounds | None":
    if not cleaning.needs_table:
        return None
    from atlasinit.extraction.cleaning import check_columns, read_confounds
    from atlasinit.extraction.naming import group_files

    if table is not None and cleaning.is_strategy:
        raise ArgumentError(
            "confounds_table",
            "is for columns: nilearn finds the table of a strategy by the name of the image",
            "leave it out",
        )
    if table is None:
        # Of two hemispheres it is the same.
        table = group_files(files[:1])[0].confounds
    if table is not None:
        check_columns(expand(table), cleaning)
    return read_confounds(None if table is None else expand(table), files, cleaning, n_time)


def _clean(
    series: "np.ndarray", confounds: "Confounds | None", cleaning: "Cleaning", t_r: float | None
) -> "np.ndarray":
    import numpy as np

    from atlasinit.extraction.cleaning import Confounds, clean_series

    own = confounds or Confounds(None, np.arange(len(series)))
    return clean_series(series, own, cleaning, t_r)


def _check_ending(output: Path) -> None:
    if not output.name.lower().endswith(ENDINGS):
        raise ArgumentError("output", f"should end in {format_list(ENDINGS)}, got {output.name!r}")


def _write(
    series: "np.ndarray", atlas: "Atlas", output: Path, *, step: float | None, overwrite: bool
) -> Path:
    """Write series, or how they correlate, as the extension says; return the file."""
    import pandas as pd

    from atlasinit.connectomes import connectome
    from atlasinit.io import write_parcellated, write_table
    from atlasinit.io.parcel_matrices import save_matrix

    name = output.name.lower()
    if name.endswith(".ptseries.nii"):
        return write_parcellated(series.T, atlas, output, step=step, overwrite=overwrite)
    if name.endswith(".pconn.nii"):
        return save_matrix(connectome(series, atlas), atlas, output, overwrite=overwrite)
    table = pd.DataFrame(series, columns=list(atlas.table["name"]))
    return write_table(table, output, overwrite=overwrite)
