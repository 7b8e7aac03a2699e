"""`extract`: series, coverage and connectomes of all runs of a dataset."""

import contextlib
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from numbers import Integral
from pathlib import Path
from typing import Any

from atlasinit.connectomes import ESTIMATORS
from atlasinit.errors import (
    ArgumentError,
    ArgumentTypeError,
    AtlasFileError,
    format_list,
    nearest,
)
from atlasinit.extraction import engine
from atlasinit.extraction.atlases import load_atlases
from atlasinit.extraction.checking import check_mask, look_ahead
from atlasinit.extraction.cleaning import Cleaning, check_columns
from atlasinit.extraction.dataset import write_frame
from atlasinit.extraction.discovery import Filters, find_runs
from atlasinit.extraction.one_run import Averaging
from atlasinit.extraction.outputs import KINDS
from atlasinit.extraction.parquet import FOLDER, check_names, import_pyarrow
from atlasinit.extraction.performing import Outcome, Setup, is_done, list_tasks
from atlasinit.extraction.planning import (
    Job,
    Plan,
    estimate_time,
    label_atlases,
    make_plan,
    move_atlases,
)
from atlasinit.extraction.products import Products
from atlasinit.extraction.quality import write_page
from atlasinit.extraction.state import Ledger, telling
from atlasinit.extraction.steps import do_steps
from atlasinit.extraction.summary import Extraction, write_tables
from atlasinit.extraction.tangents import KIND
from atlasinit.projection.reductions import find_reduction
from atlasinit.support.files import expand
from atlasinit.support.typing import PathLike


def extract(
    dataset: Any,
    atlases: Any,
    output: PathLike,
    *,
    participants: Iterable[Any] | str | int = (),
    sessions: Iterable[Any] | str | int = (),
    tasks: Iterable[Any] | str | int = (),
    runs: Iterable[Any] | str | int = (),
    spaces: Sequence[str] | str = (),
    desc: Sequence[str] | str = (),
    confounds: Sequence[str] | str | None = None,
    fd_threshold: float | None = None,
    detrend: bool = False,
    standardize: str | bool | None = None,
    low_pass: float | None = None,
    high_pass: float | None = None,
    t_r: float | None = None,
    smoothing_fwhm: float | None = None,
    resample: bool = False,
    reduction: str = "mean",
    min_coverage: float = 0.5,
    mask: PathLike | None = "run",
    connectome: Sequence[str] | str = "correlation",
    estimator: str = "empirical",
    parquet: bool = False,
    carpets: bool | Iterable[str] | str = False,
    jobs: int | None = None,
    dask: Any = None,
    shard: str | tuple[int, int] | None = None,
    dry_run: bool = False,
    overwrite: bool = False,
    download: bool = True,
    progress: Callable[[Outcome, int, int], None] | None = None,
) -> Extraction:
    """Extract series, coverage and connectomes of the parcels of all runs of a dataset.

    The output is a BIDS derivative dataset with the names of XCP-D:
    ``sub-*/func/..._atlas-X_stat-mean_timeseries.tsv`` (and ``.ptseries.nii`` of CIFTI data),
    ``..._stat-coverage_bold.tsv``, ``..._stat-pearsoncorrelation_relmat.tsv`` (and
    ``.pconn.nii``), a sidecar for each, the atlases once, and ``quality.tsv`` with a row a run.

    Called again it does what is not done: runs that failed, whose files were written anew, or
    atlases that were added. Several calls, on any machines, may work on one output; each run is
    done by one of them. A run that fails has its reason in the result and in ``logs/``, and the
    others go on.

    Parameters
    ----------
    dataset
        A folder: of fMRIPrep, XCP-D or others with ``sub-*/[ses-*/]func/*_bold.*``, or of HCP
        (``*/MNINonLinear/Results``). A list of files, whose BIDS names tell runs. Or a table (a
        DataFrame, ``.tsv``, ``.csv``) with a column ``path``, or ``left`` and ``right``, and where
        there are such ``confounds``, ``mask``, ``t_r``, ``space``, ``sub``, ``ses``, ``task``,
        ``run``.
    atlases
        An atlas, a list, or a mapping from label (letters and digits, as it stands in the names of
        files) to atlas. In the place of an atlas a text: a file, or a name of the catalogue, with
        choices as in ``"schaefer2018,parcels=400"``; without a space (``space=fsLR``) it is loaded
        in that of the images. Each takes the image of a run that is in its space and on its grid
        or mesh; the data are never resampled.
    output
        The folder; made if there is none.
    participants, sessions, tasks, runs, spaces, desc
        Only these, as ``participants=["01", "02"]`` (numbers are labels too: 1 is 01),
        ``spaces="MNI152NLin6Asym:res-2"``, ``desc="denoised"``.
    confounds
        What is regressed out: a strategy of nilearn's ``load_confounds_strategy`` (``"simple"``,
        ``"scrubbing"``, ``"compcor"``, ``"ica_aroma"``), noise components of its ``load_confounds``
        (``["motion", "wm_csf"]``), or columns of the runs' tables.
    fd_threshold
        Leave out volumes of a larger framewise displacement (mm).
    detrend, standardize, low_pass, high_pass, t_r
        As for ``nilearn.signal.clean``; frequencies in Hz. `t_r` in s, where files state none.
    smoothing_fwhm, reduction, min_coverage
        As for `AtlasMasker`; parcels below `min_coverage` are NaN. A location is without data
        outside of the mask, where it is not finite in some volume, and where it is 0 in all.
    resample
        Move an atlas that fits no image to the grid of the volumes in its space, as
        `atlasinit.resample` does.
    mask
        ``"run"`` for the brain mask beside each volume (or that of the table), where there is
        one; a file for all; or None.
    connectome, estimator
        Kinds and estimator of `atlasinit.connectome`; an empty list for none. ``"tangent"`` is made
        once the runs are done, at the mean of all runs of the output that are: not with `shard`,
        and anew once there are more, or others.
    parquet
        Write all tables as Parquet, too (pyarrow; extra ``scale``): in ``parquet/`` a dataset for
        each atlas and kind of table, in which every run is a file. May be asked for later, too,
        when what is there is converted; once an output has it, all further runs get it.
    carpets
        Draw the series of all runs, or of those named (as ``"sub-01_task-rest_run-1"``), as
        `plot_series` does: ``sub-*/figures/..._carpet.png``, which the page of quality links to.
        May be asked for later, too.
    jobs
        Processes on this machine, by default one a core; 1 works in this process.
    dask
        The address of a Dask scheduler, its scheduler file, or a ``distributed.Client``: runs go
        to its workers, which see the same files.
    shard
        ``"3/200"``, or (3, 200): only every 200th run, from the third on, as for a task of a job
        array.
    dry_run
        Only plan: measure how long reading takes, and look at headers and tables, for a few
        seconds, for runs that would fail.
    overwrite
        Replace what was extracted with other options.
    download
        Whether atlases may be fetched.
    progress
        Called with each outcome, the number that have one, and of how many.

    Returns
    -------
    Extraction
        Counts, failures with reasons, and the table of the output.

    Raises
    ------
    ValueError, TypeError
        No runs, with what was looked for; a filter that keeps none; an atlas that no image fits;
        options that do not go together.
    AtlasFileError
        An output that cannot be written, or that holds an extraction with other options.
    """
    filters = Filters(
        participants=_texts(participants, "participants"),
        sessions=_texts(sessions, "sessions"),
        tasks=_texts(tasks, "tasks"),
        runs=_texts(runs, "runs"),
        spaces=_texts(spaces, "spaces"),
        desc=_texts(desc, "desc"),
    )
    cleaning = Cleaning(
        confounds=_texts(() if confounds is None else confounds, "confounds"),
        fd_threshold=fd_threshold,
        detrend=detrend,
        standardize=standardize,
        low_pass=low_pass,
        high_pass=high_pass,
        t_r=t_r,
    )
    cleaning.check()
    kinds = _check_kinds(_texts(connectome, "connectome"), estimator)
    tangents = KIND in kinds
    wanted = find_reduction(reduction)
    if wanted.over_time is not None:
        raise ArgumentError("reduction", f"{wanted.name!r} is over time", "use `standardize`")
    if not 0 <= min_coverage <= 1:
        raise ArgumentError("min_coverage", f"should lie between 0 and 1, got {min_coverage}")
    if jobs is not None and jobs < 1:
        raise ArgumentError("jobs", f"should be 1 or more, got {jobs}")
    for_all = None if mask is None or mask == "run" else expand(mask)
    if for_all is not None and not for_all.is_file():
        raise AtlasFileError(mask, "no such file", 'pass a file, "run" or None')
    if dask is not None:
        engine.find_scheduler(dask)
    found = find_runs(dataset, filters)
    labelled = label_atlases(load_atlases(atlases, found, download=download))
    if resample:
        labelled = move_atlases(labelled, found, reduction=reduction)
    plan = make_plan(found, labelled, reduction=reduction, shard=_parse_shard(shard))
    _check_confounds(plan, cleaning)
    if for_all is not None:
        check_mask(for_all, labelled)
    root = expand(output)
    # What has some runs as Parquet alone would be taken for all of them.
    parquet = parquet or (root / FOLDER).is_dir()
    if parquet:
        import_pyarrow()
        check_names(own.atlas for own in labelled)
    count = engine.count_cores() if jobs is None else jobs
    setup = Setup(
        root=root,
        atlases=tuple(labelled),
        averaging=Averaging(reduction, min_coverage, smoothing_fwhm),
        cleaning=cleaning,
        # These are of all runs, and made of the series that there are.
        kinds=tuple(kind for kind in kinds if kind != KIND),
        estimator=estimator,
        mask="run" if mask == "run" else for_all,
        source=_folder_of(dataset),
        products=Products(parquet, _check_carpets(carpets, plan), tuple(labelled)),
    )
    if dry_run:
        plan = look_ahead(setup, estimate_time(plan, labelled, reduction=reduction))
        return Extraction(root, plan, tuple(labelled), count)
    ledger = _open(root)
    with telling(root):
        ledger.settle(setup.options, {job.run.name for job in plan.jobs}, overwrite=overwrite)
        write_frame(ledger, setup.source, labelled)
    outcomes: list[Outcome] = []
    groups, notes = [], []
    try:
        for outcome in _run_all(setup, plan, ledger, count, dask):
            outcomes.append(outcome)
            if progress is not None:
                progress(outcome, len(outcomes), len(plan.jobs))
        groups, notes = do_steps(setup, outcomes, tangents=tangents, whole=shard is None)
    finally:
        with telling(root):
            ledger.tidy()
            # Also where it is interrupted: what is finished is in the table.
            write_tables(ledger)
            write_page(ledger)
    return Extraction(
        root, plan, tuple(labelled), count, tuple(outcomes), tuple(groups), tuple(notes)
    )


def _run_all(setup: Setup, plan: Plan, ledger: Ledger, count: int, dask: Any) -> Iterable[Outcome]:
    left: list[Job] = []
    for job in plan.jobs:
        # Without starting a process, as most are done where an extraction goes on.
        if _is_done(setup, job, ledger):
            yield Outcome(job.run.name, "skipped")
        else:
            left.append(job)
    if not left:
        return
    count = min(count, len(left))
    if dask is not None:
        yield from engine.run_dask(setup, left, dask)
    elif count == 1:
        yield from engine.run_here(setup, left)
    else:
        yield from engine.run_processes(setup, left, count)


def _is_done(setup: Setup, job: Job, ledger: Ledger) -> bool:
    try:
        return is_done(setup, job, ledger, list_tasks(setup, job))
    except OSError:  # a file that has gone: the run fails with it
        return False


def _check_confounds(plan: Plan, cleaning: Cleaning) -> None:
    """Refuse confounds that the first run with a readable table does not have."""
    for job in plan.jobs:
        if job.run.confounds is not None:
            with contextlib.suppress(AtlasFileError):
                check_columns(job.run.confounds, cleaning)
                return


def _open(root: Path) -> Ledger:
    if root.exists() and not root.is_dir():
        raise AtlasFileError(root, "is a file, not a folder", "choose another name")
    ledger = Ledger(root)
    if root.is_dir() and any(root.iterdir()) and not ledger.folder.is_dir():
        raise AtlasFileError(
            root,
            "holds files, but no extraction of atlasinit, and is left as it is",
            "choose a new or an empty folder",
        )
    ledger.open()
    return ledger


def _folder_of(dataset: Any) -> Path | None:
    if isinstance(dataset, str | os.PathLike) and expand(dataset).is_dir():
        return expand(dataset)
    return None


def _texts(given: Any, argument: str) -> tuple[str, ...]:
    # A text can be iterated too, whose letters would become the labels.
    if isinstance(given, str | Integral) and not isinstance(given, bool):
        return (str(given),)
    if isinstance(given, bool | Mapping) or not isinstance(given, Iterable):
        raise ArgumentTypeError(
            argument, f"should be a text or a list of texts, got a {type(given).__name__}"
        )
    return tuple(str(one) for one in given)


def _check_carpets(carpets: Any, plan: Plan) -> bool | frozenset[str]:
    if isinstance(carpets, bool):
        return carpets
    wanted, names = _texts(carpets, "carpets"), [job.run.name for job in plan.jobs]
    for name in wanted:
        if name not in names:
            raise ArgumentError(
                "carpets", f": no run of {len(names)} is called {name!r}", nearest(name, names)
            )
    return frozenset(wanted)


def _check_kinds(kinds: tuple[str, ...], estimator: str) -> tuple[str, ...]:
    for kind in kinds:
        if kind not in KINDS:
            raise ArgumentError(
                "connectome",
                f"should be of {format_list(map(repr, KINDS))}, got {kind!r}",
                nearest(kind, KINDS),
            )
    if estimator not in ESTIMATORS:
        raise ArgumentError(
            "estimator", f"should be one of {format_list(map(repr, ESTIMATORS))}, got {estimator!r}"
        )
    return tuple(dict.fromkeys(kinds))


def _parse_shard(shard: str | tuple[int, int] | None) -> tuple[int, int] | None:
    if shard is None:
        return None
    parts = shard.split("/") if isinstance(shard, str) else list(shard)
    if len(parts) == 2 and all(str(part).isdecimal() for part in parts):
        number, count = map(int, parts)
        if 1 <= number <= count:
            return number, count
    raise ArgumentError("shard", f"should be as '3/200', the third of 200, got {shard!r}")
