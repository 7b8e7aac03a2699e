"""The command that projects one image: parcel series, cleaned, as a table, CIFTI or a matrix."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from atlasinit.cli.cleaning import OF_SERIES, Cleaned
from atlasinit.cli.options import (
    DATA_HELP,
    AsJson,
    DataSpace,
    Overwrite,
    Reduction,
    load,
    takes,
)
from atlasinit.cli.output import print_written, say
from atlasinit.cli.surfaces import Cortex, unite_meshes
from atlasinit.cli.values import parse_one_each
from atlasinit.errors import ArgumentError, Passing, format_count, format_list
from atlasinit.support.files import expand

if TYPE_CHECKING:
    import numpy as np

    from atlasinit.core.atlas import Atlas
    from atlasinit.extraction.cleaning import Cleaning, Confounds
    from atlasinit.io import DataSource

commands = typer.Typer()

ENDINGS = (".tsv", ".csv", ".ptseries.nii", ".pconn.nii")
"""Of what is written: a table, series as CIFTI, or the correlations of the series."""


@commands.command(epilog="Example: atlasinit project aal --data bold.nii.gz -o series.tsv")
@takes(load, Cleaned, Cortex)
def project(
    atlas: "Atlas",
    cleaned: Cleaned,
    cortex: Cortex,
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
        OF_SERIES("FILE", "Whose columns they are; by default that beside it."),
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
    more: Annotated[
        list[str] | None,
        typer.Option(
            "--atlas",
            "-a",
            metavar="ATLAS",
            help="A further atlas of the same data, read once: schaefer2018,parcels=400; "
            "repeatable. Each has a file of its own, of atlas-NAME.",
        ),
    ] = None,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Project data on the parcels of an atlas: their series, or how these correlate."""
    from atlasinit.extraction.timing import find_repetition_time
    from atlasinit.io import open_data
    from atlasinit.sharing import open_shared
    from atlasinit.streaming import stream_views
    from atlasinit.support.writing import check_target

    # Before the work, too.
    _check_ending(output)
    cleaning = cleaned.cleaning
    given = parse_one_each(data, "data", sided=True)
    files = _files_of(given)
    outputs = _name_outputs(output, atlas, more or (), files)
    for path in outputs:
        check_target(path, overwrite=overwrite)
    atlases = list(outputs.values())
    opener = _sample_between(cortex, atlases, files) if cortex.is_given else open_data
    source, views = open_shared(
        given, atlases, reduction=reduction, data_space=data_space, opener=opener
    )
    in_time = output.name.lower().endswith(".ptseries.nii")
    t_r = find_repetition_time(files[0], cleaning) if cleaning.filters or in_time else None
    confounds = _read_confounds(files, confounds_table, cleaning, source.n_time)
    options = {"reduction": reduction, "missing": missing, "min_coverage": min_coverage}
    each = [_clean(own, confounds, cleaning, t_r) for own in stream_views(views, source, **options)]
    kept = len(each[0])
    # Volumes that are left are not evenly spaced once others were dropped.
    gaps = kept < source.n_time or (confounds is not None and confounds.censored > 0)
    step = None if gaps else t_r
    for (path, own), series in zip(outputs.items(), each, strict=True):
        _write(series, own, path, step=step, overwrite=overwrite)
    counts = {own.name: own.n_parcels for own in atlases}
    told: dict[str, Any] = {"time_points": kept, "parcels": counts if more else atlas.n_parcels}
    if confounds is not None and cleaning.needs_table:
        told |= {"confounds": confounds.names, "left_out": source.n_time - kept}
        told["framewise_displacement"] = confounds.origin or None
    print_written(outputs, as_json=as_json, **told)
    if not as_json:
        parcels = " and ".join(format_count(n, "parcel") for n in counts.values())
        say(f"{format_count(kept, 'time point')} x {parcels}, {reduction}")
        if cleaning.needs_table and confounds is not None:
            named = format_list(confounds.names) if confounds.names else "none"
            left = format_count(source.n_time - kept, "volume")
            moved = f", by {confounds.origin}" if cleaning.fd_threshold is not None else ""
            say(f"confounds: {named}; {left} left out{moved}")


def _sample_between(
    cortex: Cortex, atlases: "Sequence[Atlas]", files: list[Path]
) -> "Callable[..., DataSource]":
    """Return what opens a volume as data of surfaces, sampled between the white and the pial."""
    from atlasinit.io.targets import holds_locations, read_target
    from atlasinit.sampling.data import open_sampled

    grid = None
    if len(files) == 1 and holds_locations(files[0]):
        grid = read_target(files[0]).grid
    if grid is None:
        problem = "should be one image of a volume where surfaces are given, got "
        raise ArgumentError("data", problem + format_list([file.name for file in files]))
    operators = cortex.make_operators(grid, unite_meshes(atlases))

    def open_(*arguments: Any, **options: Any) -> "DataSource":
        try:
            return open_sampled(*arguments, operators=operators, **options)
        except ArgumentError as error:
            if error.argument != "sampling":
                raise
            # The method of an operator is the sampling itself here.
            remedy = "pass " + Passing(sampling="nearest")
            raise ArgumentError("sampling", error.problem, remedy) from error

    return open_


def _name_outputs(
    output: Path, atlas: "Atlas", more: Sequence[str], files: list[Path]
) -> "dict[Path, Atlas]":
    """Return the files to write and the atlas of each: of several, each file states its own."""
    output = expand(output)
    if not more:
        return {output: atlas}
    from atlasinit.extraction.atlases import load_atlases
    from atlasinit.extraction.naming import group_files
    from atlasinit.extraction.planning import label_atlases

    # In the space of the data, where its name states one.
    others = load_atlases(more, group_files(files))
    ending = next(e for e in ENDINGS if output.name.lower().endswith(e))
    stem = output.name[: -len(ending)]
    return {
        output.with_name(f"{stem}_atlas-{own.label}{output.name[len(stem) :]}"): own.atlas
        for own in label_atlases([atlas, *others])
    }


def _files_of(given: Any) -> list[Path]:
    """Return the files of one run: one, or one for each compartment."""
    if isinstance(given, Mapping):
        given = list(given.values())
    return [expand(path) for path in ([given] if isinstance(given, str) else given)]


def _read_confounds(
    files: list[Path], table: Path | None, cleaning: "Cleaning", n_time: int
) -> "Confounds | None":
    if not cleaning.needs_table:
        if table is not None:
            told = "is read for what is regressed or left out by it; pass "
            remedy = Passing(confounds=...) + " or " + Passing(fd_threshold=...)
            raise ArgumentError("confounds_table", told + remedy)
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
    from atlasinit.io import write_parcellated

    name = output.name.lower()
    if name.endswith(".ptseries.nii"):
        return write_parcellated(series.T, atlas, output, step=step, overwrite=overwrite)
    if name.endswith(".pconn.nii"):
        from atlasinit.connectomes import connectome
        from atlasinit.io.parcel_matrices import save_matrix

        return save_matrix(connectome(series, atlas), atlas, output, overwrite=overwrite)
    from atlasinit.io.tables.numbers import write_numbers

    return write_numbers(series, atlas.table["name"], output, overwrite=overwrite)
