"""One run done: read, cleaned, written and recorded, or its reason kept; in any process."""

import contextlib
import dataclasses
import datetime
import os
import platform
import time
import traceback
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from atlasinit.core.atlas import Atlas
from atlasinit.errors import AtlasFileError
from atlasinit.extraction.cleaning import Cleaning, Confounds, clean_series, read_confounds
from atlasinit.extraction.motion import list_tables
from atlasinit.extraction.naming import sidecar_of
from atlasinit.extraction.one_run import Averaging, Extracted, extract_run
from atlasinit.extraction.outputs import stem_of, write_run
from atlasinit.extraction.planning import Job, LabelledAtlas, open_image, to_plain
from atlasinit.extraction.products import Products
from atlasinit.extraction.runs import Image, Run
from atlasinit.extraction.state import (
    Ledger,
    Record,
    fingerprint,
    list_files,
    seal_files,
    stamp,
    telling,
)
from atlasinit.extraction.timing import find_repetition_time
from atlasinit.support.version import __version__

VERSIONED = ("jax", "nibabel", "nilearn", "numpy")
"""Packages whose versions sidecars state."""


@dataclasses.dataclass(frozen=True, eq=False)
class Setup:
    """What all runs have in common.

    Parameters
    ----------
    root
        The output.
    atlases
        With their labels.
    averaging, cleaning
        What parcels are made of, and what is done to their series.
    kinds, estimator
        Of connectomes.
    mask
        ``"run"`` for each run's own, None, or a file for all.
    source
        The folder of the dataset, None for lists of files.
    products
        What is made of its tables.
    """

    root: Path
    atlases: tuple[LabelledAtlas, ...]
    averaging: Averaging
    cleaning: Cleaning
    kinds: tuple[str, ...]
    estimator: str
    mask: str | Path | None
    source: Path | None
    products: Products = Products()

    @property
    def options(self) -> dict[str, Any]:
        """What all files of the output are made with, as plain data."""
        return {
            **to_plain(self.averaging),
            **to_plain(self.cleaning),
            "connectome": list(self.kinds),
            "estimator": self.estimator,
            "mask": None if self.mask is None else str(self.mask),
            "atlases": {own.key: own.digest for own in self.atlases},
        }


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What became of a run in one call.

    Parameters
    ----------
    run
        Its name.
    status
        ``"done"``; ``"skipped"`` if it was done before; ``"elsewhere"`` if another process has it;
        ``"failed"``.
    reason
        Why it failed.
    seconds
        That it took.
    """

    run: str
    status: str
    reason: str = ""
    seconds: float = 0.0


def list_tasks(setup: Setup, job: Job) -> dict[str, str]:
    """Return each part of a run, an atlas on an image, with the fingerprint of what makes it."""
    shared = {k: v for k, v in setup.options.items() if k != "atlases"}
    found = {}
    for image, which in job.tasks:
        files = [*image.files]
        if job.run.confounds and setup.cleaning.needs_table:
            files += list_tables(job.run.confounds)
        mask = _find_mask(setup, image)
        files += [mask] if mask else []
        # What states the time between volumes, and of what kind components are.
        files += [own for path in files if (own := sidecar_of(path)).is_file()]
        stamps = [stamp(path) for path in files]
        for i in which:
            own = setup.atlases[i]
            content = [shared, stamps, own.digest, job.run.t_r, image.space]
            found[_name_task(own, image)] = fingerprint(content)
    return found


def _name_task(own: LabelledAtlas, image: Image) -> str:
    return f"{own.key}|{image.files[0].name}"


def _find_mask(setup: Setup, image: Image) -> Path | None:
    """Return the brain mask that an image is taken in, None for none."""
    return image.mask if setup.mask == "run" else None if setup.mask is None else Path(setup.mask)


def perform(setup: Setup, job: Job) -> Outcome:
    """Do a run unless it is done or another process has it; an error is its outcome."""
    ledger, name, begun = Ledger(setup.root), job.run.name, time.perf_counter()
    try:
        with ledger.claim(name) as mine:
            if not mine:
                return Outcome(name, "elsewhere")
            try:
                return _perform(setup, job, ledger)
            except Exception as error:
                return _fail(ledger, name, error, time.perf_counter() - begun)
    except OSError as error:  # no place for the claim, as on a full disk
        return Outcome(name, "failed", describe_error(error))


def _perform(setup: Setup, job: Job, ledger: Ledger) -> Outcome:
    name, begun = job.run.name, time.perf_counter()
    tasks = list_tasks(setup, job)
    if is_done(setup, job, ledger, tasks):
        return Outcome(name, "skipped")
    with telling(ledger.root):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            record = _do(setup, job, ledger, tasks)
        seconds = time.perf_counter() - begun
        ledger.write(name, dataclasses.replace(record, seconds=round(seconds, 3)))
    with contextlib.suppress(OSError):  # of a full disk; the run is whole
        _log(setup.root, name, "done", [f"{w.category.__name__}: {w.message}" for w in caught])
    return Outcome(name, "done", seconds=seconds)


def is_done(setup: Setup, job: Job, ledger: Ledger, tasks: Mapping[str, str]) -> bool:
    """Whether a run has these tasks, and all that is made of their tables."""
    record = ledger.find_done(job.run.name, tasks)
    return record is not None and setup.products.are_made(job.run, record.files)


def _fail(ledger: Ledger, name: str, error: Exception, seconds: float) -> Outcome:
    trace = "".join(traceback.format_exception(error)).splitlines()
    return record_failure(ledger, name, describe_error(error), trace, seconds)


def describe_error(error: Exception) -> str:
    """Return an error in one line, with its type where it is none that is meant for people."""
    reason = " ".join(str(error).split()) or type(error).__name__
    return (
        reason if isinstance(error, ValueError | OSError) else f"{type(error).__name__}: {reason}"
    )


def record_failure(
    ledger: Ledger, name: str, reason: str, trace: Sequence[str] = (), seconds: float = 0.0
) -> Outcome:
    """Keep why a run failed, in its record and its log, and return it."""
    try:
        # What the run had before stays in its record, so that it can be removed.
        before = ledger.read(name)
        files = before.files if before else {}
        ledger.write(name, Record("failed", {}, files, reason, seconds=round(seconds, 3)))
        _log(ledger.root, name, f"failed: {reason}", trace)
    except OSError:
        # Of a full disk, which took no record either; the outcome tells it.
        pass
    return Outcome(name, "failed", reason, seconds)


def _log(root: Path, name: str, line: str, further: Sequence[str]) -> None:
    folder = root / "logs"
    folder.mkdir(exist_ok=True)
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    where = f"{platform.node()}, process {os.getpid()}, atlasinit {__version__}"
    with (folder / f"{name}.log").open("a", encoding="utf-8") as stream:
        stream.write(f"{now} ({where}): {line}\n")
        stream.writelines(f"    {one}\n" for one in further)


def _do(setup: Setup, job: Job, ledger: Ledger, tasks: Mapping[str, str]) -> Record:
    """Write the parts of a run that are not done, and return its record."""
    before = ledger.find_done(job.run.name, {}) or Record("done", {}, {})
    quality, files, stems = dict(before.quality), dict(before.files), dict(before.stems)
    with ledger.staged(job.run.name) as staging:
        for image, which in job.tasks:
            open_ = []
            for i in which:
                own = setup.atlases[i]
                task = _name_task(own, image)
                stems[own.key] = stem_of(job.run, image, own.label, own.atlas)
                if before.tasks.get(task) != tasks[task]:
                    open_.append(i)
            if open_:
                quality |= _do_image(setup, job.run, image, open_, staging)
        new = list_files(staging)
        setup.products.make(job.run, ledger.root, staging, new=new, files=files)
        files |= seal_files(staging)
    return Record("done", {**before.tasks, **tasks}, files, stems=stems, quality=quality)


def _do_image(
    setup: Setup, run: Run, image: Image, which: Sequence[int], staging: Path
) -> dict[str, Any]:
    """Write what the atlases have of one image, and return the numbers of its quality."""
    cleaning = setup.cleaning
    # Before the data are read, which takes longest.
    n_time, confounds, t_r = look_at(setup, run, image, setup.atlases[which[0]].atlas)
    mask = _find_mask(setup, image)
    atlases = [setup.atlases[i].atlas for i in which]
    found = extract_run(
        image.files_for({c for atlas in atlases for c in atlas.compartments}),
        atlases,
        setup.averaging,
        mask=mask,
        data_space=image.space if image.stated and image.space else None,
    )
    dropped = np.setdiff1d(np.arange(n_time), confounds.kept)
    shared = _describe(setup, run, image, confounds, mask) | {
        "Volumes": n_time,
        "VolumesDropped": dropped.tolist(),
        "VolumesCensoredBefore": confounds.censored,
        **({} if t_r is None else {"RepetitionTime": t_r}),
    }
    quality: dict[str, Any] = {
        "volumes": n_time,
        "kept": len(confounds.kept),
        "mean_fd": confounds.displacement,
        "mean_std_dvars": confounds.dvars,
    }
    for i, own in zip(which, found, strict=True):
        labelled = setup.atlases[i]
        write_run(
            staging,
            run,
            image,
            labelled.label,
            labelled.atlas,
            series=clean_series(own.series, confounds, cleaning, t_r),
            coverage=own.coverage,
            kinds=setup.kinds,
            estimator=setup.estimator,
            # Volumes that are left are not evenly spaced once others were dropped.
            step=None if dropped.size or confounds.censored else t_r,
            sidecar={
                "Atlas": labelled.label,
                "AtlasHash": labelled.digest,
                "AtlasOperations": list(labelled.atlas.provenance.operations),
                **shared,
            },
        )
        quality |= {
            f"{name}_{labelled.label}": value
            for name, value in _judge(own, labelled.atlas, setup).items()
        }
    # JSON has no NaN.
    return {k: None if v != v else v for k, v in quality.items()}


def look_at(
    setup: Setup, run: Run, image: Image, atlas: Atlas
) -> tuple[int, Confounds, float | None]:
    """Return what headers and tables tell of an image: its volumes, confounds, and time step.

    Raises
    ------
    ValueError
        What does not fit the atlas, or the options; confounds that are not those of the image.
    AtlasFileError
        A file that cannot be read; a single volume.
    """
    n_time = open_image(image, atlas, setup.averaging.reduction).n_time
    if n_time < 2:
        raise AtlasFileError(image.files[0], f"has {n_time} volume", "expected a series")
    confounds = read_confounds(run.confounds, image.files, setup.cleaning, n_time)
    return n_time, confounds, find_repetition_time(image.files[0], setup.cleaning, stated=run.t_r)


def _judge(found: Extracted, atlas: Atlas, setup: Setup) -> dict[str, Any]:
    """Return coverage, the parcels that are lost, and the signal-to-noise ratio of the others."""
    lost = np.flatnonzero(found.is_lost(setup.averaging))
    spread = found.series.std(axis=0, dtype=np.float64)
    level = np.abs(found.series.mean(axis=0, dtype=np.float64))
    good = np.isfinite(spread) & (spread > 0)
    return {
        "coverage": float(found.coverage.mean()) if found.coverage.size else 0.0,
        "parcels_lost": int(lost.size),
        "lost": [atlas.table["name"][i] for i in lost],
        "tsnr": float(np.median(level[good] / spread[good])) if good.any() else float("nan"),
    }


def _describe(
    setup: Setup, run: Run, image: Image, confounds: Confounds, mask: Path | None
) -> dict[str, Any]:
    from importlib.metadata import version

    def source(path: Path) -> str:
        inside = setup.source is not None and path.is_relative_to(setup.source)
        return f"bids:source:{path.relative_to(setup.source).as_posix()}" if inside else path.name  # pyright: ignore[reportArgumentType]

    tables = list_tables(run.confounds) if run.confounds else []
    inputs = [*image.files, *tables, *([mask] if mask else [])]
    cleaning = setup.cleaning
    return {
        "Sources": [source(path) for path in inputs],
        "Reduction": setup.averaging.reduction,
        "MinimumCoverage": setup.averaging.min_coverage,
        "SmoothingFWHM": setup.averaging.smoothing_fwhm,
        "Mask": None if mask is None else source(mask),
        "Confounds": confounds.names,
        "ConfoundStrategy": list(cleaning.confounds) if cleaning.is_strategy else None,
        "FramewiseDisplacement": confounds.origin or None,
        "FDThreshold": cleaning.fd_threshold,
        "Detrended": cleaning.detrend,
        "Standardized": cleaning.standardize or False,
        "LowPass": cleaning.low_pass,
        "HighPass": cleaning.high_pass,
        "Software": {"atlasinit": __version__, **{name: version(name) for name in VERSIONED}},
    }
