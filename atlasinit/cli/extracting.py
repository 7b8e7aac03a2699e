"""The command for many runs: extract."""

import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from atlasinit.cli.cleaning import OF_SERIES, Cleaned
from atlasinit.cli.options import AsJson, Offline, Overwrite, Reduction, panel, takes
from atlasinit.cli.output import print_json, say
from atlasinit.errors import ArgumentError

if TYPE_CHECKING:
    from atlasinit.extraction import Extraction, Outcome

commands = typer.Typer()
_WHICH = "Which runs"
_RUN = "How it runs"


@commands.command(
    epilog="Example: atlasinit extract derivatives/fmriprep --atlas schaefer2018,parcels=400 "
    "--confounds simple -o parcels"
)
@takes(Cleaned)
def extract(
    cleaned: Cleaned,
    *,
    dataset: Annotated[
        list[str],
        typer.Argument(
            metavar="DATASET", help="A folder of fMRIPrep, XCP-D or HCP; a table; or files."
        ),
    ],
    atlases: Annotated[
        list[str],
        typer.Option(
            "--atlas",
            "-a",
            metavar="ATLAS",
            help="A name or a file, with choices as schaefer2018,parcels=400,space=fsLR; "
            "repeatable.",
        ),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FOLDER", help="The dataset to write.")
    ],
    participants: Annotated[
        list[str] | None, panel(_WHICH, "LABEL", "Of sub-; repeatable.", "--participant")
    ] = None,
    sessions: Annotated[
        list[str] | None, panel(_WHICH, "LABEL", "Of ses-; repeatable.", "--session")
    ] = None,
    tasks: Annotated[
        list[str] | None, panel(_WHICH, "LABEL", "Of task-; repeatable.", "--task")
    ] = None,
    runs: Annotated[
        list[str] | None, panel(_WHICH, "LABEL", "Of run-; repeatable.", "--run")
    ] = None,
    spaces: Annotated[
        list[str] | None,
        panel(_WHICH, "SPACE", "As MNI152NLin6Asym:res-2; repeatable.", "--space"),
    ] = None,
    desc: Annotated[
        list[str] | None, panel(_WHICH, "LABEL", "Of images, as denoised.", "--desc")
    ] = None,
    smoothing_fwhm: Annotated[
        float | None, OF_SERIES("MM", "Smooth the data first.", "--fwhm")
    ] = None,
    resample: Annotated[
        bool,
        OF_SERIES("", "Move atlases to the grid of the volumes of their space.", "--resample"),
    ] = False,
    reduction: Reduction = "mean",
    min_coverage: Annotated[
        float, OF_SERIES("SHARE", "Parcels with less data are NaN.", "--min-coverage")
    ] = 0.5,
    mask: Annotated[
        str, OF_SERIES("FILE", "Of the brain, for volumes: run (each run's own), none, or one.")
    ] = "run",
    connectome: Annotated[
        list[str] | None,
        OF_SERIES(
            "KIND",
            "correlation, partial correlation, covariance, precision, tangent, or none.",
        ),
    ] = None,
    estimator: Annotated[
        str, OF_SERIES("NAME", "Of covariances: empirical or ledoit-wolf.")
    ] = "empirical",
    parquet: Annotated[
        bool,
        OF_SERIES("", "Write all tables as a Parquet dataset, too (pyarrow).", "--parquet"),
    ] = False,
    carpets: Annotated[
        bool, OF_SERIES("", "Draw the series of all runs, too.", "--carpets")
    ] = False,
    carpet: Annotated[
        list[str] | None,
        OF_SERIES("RUN", "Draw those of a run, as sub-01_task-rest; repeatable."),
    ] = None,
    jobs: Annotated[
        int | None, panel(_RUN, "N", "Processes on this machine; one a core unless stated.")
    ] = None,
    dask: Annotated[
        str | None, panel(_RUN, "ADDRESS", "Of a Dask scheduler, or its scheduler file.")
    ] = None,
    shard: Annotated[
        str | None, panel(_RUN, "I/N", "Every Nth run from the Ith on, as 3/200.")
    ] = None,
    dry_run: Annotated[
        bool, panel(_RUN, "", "Show what would be done, with sizes.", "--dry-run")
    ] = False,
    offline: Offline = False,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Extract series and connectomes of all runs of a dataset; go on where it was stopped."""
    from atlasinit.extraction import extract as extract_

    with _showing() as step:
        done = extract_(
            dataset[0] if len(dataset) == 1 else dataset,
            atlases,
            output,
            participants=participants or (),
            sessions=sessions or (),
            tasks=tasks or (),
            runs=runs or (),
            spaces=spaces or (),
            desc=desc or (),
            **dataclasses.asdict(cleaned),
            smoothing_fwhm=smoothing_fwhm,
            resample=resample,
            reduction=reduction,
            min_coverage=min_coverage,
            mask=None if mask == "none" else mask,
            connectome=_parse_kinds(connectome),
            estimator=estimator,
            parquet=parquet,
            carpets=carpets or carpet or False,
            jobs=jobs,
            dask=dask,
            shard=shard,
            dry_run=dry_run,
            download=not offline,
            overwrite=overwrite,
            progress=step,
        )
    if as_json:
        print_json(done.to_dict())
    else:
        _tell(done, dry_run=dry_run)
    if done.failures:
        raise typer.Exit(1)


def _parse_kinds(kinds: list[str] | None) -> list[str]:
    if kinds and "none" in kinds:
        if len(kinds) > 1:
            raise ArgumentError("connectome", f"is none and {len(kinds) - 1} more")
        return []
    return kinds or ["correlation"]


def _tell(done: "Extraction", *, dry_run: bool) -> None:
    for line in done.describe():
        print(line)
    if dry_run:
        return
    for run, reason in done.failures.items():
        say(f"{run} failed: {reason}")
    for note in done.notes:
        say(note)
    say(str(done))


@contextlib.contextmanager
def _showing() -> Iterator[Callable[["Outcome", int, int], None]]:
    """Yield a function that moves a bar of runs on, with rate and time left."""
    from tqdm import tqdm

    with tqdm(unit="run", leave=False, disable=None) as bar:
        failed = 0

        def step(outcome: Any, number: int, total: int) -> None:
            nonlocal failed
            failed += outcome.status == "failed"
            bar.total = total
            if outcome.status in ("skipped", "elsewhere") and not bar.disable:
                # What took no time would make the rate, and the time left, too good.
                bar.initial += 1
            bar.set_postfix_str(f"{failed} failed" if failed else "")
            bar.update(number - bar.n)

        yield step
