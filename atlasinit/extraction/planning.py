"""Which image of each run each atlas takes, what cannot be matched, and how much there is to do."""

import dataclasses
import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from atlasinit.core.atlas import Atlas
from atlasinit.core.geometry import VolumeGrid
from atlasinit.core.spaces import UNKNOWN, may_be_one
from atlasinit.errors import (
    ArgumentError,
    AtlasFileError,
    Passing,
    Words,
    format_count,
    format_list,
)
from atlasinit.extraction.naming import label_of
from atlasinit.extraction.runs import Image, Run
from atlasinit.io import open_data
from atlasinit.io.own_header import pack_metadata
from atlasinit.resampling import resample

_LOOK = 8
"""Volumes that are read of one image to estimate how long all take."""


@dataclasses.dataclass(frozen=True, eq=False)
class LabelledAtlas:
    """An atlas, the label that files of it have, and the hash of its content."""

    label: str
    atlas: Atlas
    digest: str

    @property
    def key(self) -> str:
        """What tells it from the others: a label may be of several spaces."""
        return f"{self.label}:{self.atlas.space}"


@dataclasses.dataclass(frozen=True)
class Job:
    """A run, and for each of its images the atlases (by number) that take it."""

    run: Run
    tasks: tuple[tuple[Image, tuple[int, ...]], ...]

    @property
    def size(self) -> int:
        """Bytes to read."""
        return sum(image.size for image, _ in self.tasks)


@dataclasses.dataclass(frozen=True)
class Plan:
    """What an extraction will do.

    Parameters
    ----------
    jobs
        One a run.
    unmatched
        Run, label of the atlas and the reason, where no image fits.
    size
        Bytes to read.
    seconds
        Of reading these once, at the speed of the first image; None where it was not measured.
    problems
        Runs that would fail, and why.
    looked
        How many were looked at for these, None for none.
    """

    jobs: tuple[Job, ...]
    unmatched: tuple[tuple[str, str, str], ...]
    size: int
    seconds: float | None = None
    problems: tuple[tuple[str, str], ...] = ()
    looked: int | None = None


def label_atlases(atlases: Any) -> list[LabelledAtlas]:
    """Return atlases with the labels that their files have.

    Parameters
    ----------
    atlases
        One, a list, or a mapping from label to atlas.

    Raises
    ------
    ValueError
        None; two of one label and space; a label that BIDS does not take.
    TypeError
        What is no atlas.
    """
    if isinstance(atlases, Atlas):
        atlases = [atlases]
    pairs: list[tuple[str | None, Any]]
    if isinstance(atlases, Mapping):
        pairs = list(atlases.items())
    elif isinstance(atlases, Sequence) and not isinstance(atlases, str):
        pairs = [(None, atlas) for atlas in atlases]
    else:
        pairs = [(None, atlases)]
    if not pairs:
        raise ArgumentError("atlases", "is empty", "pass at least one atlas")
    found: list[LabelledAtlas] = []
    for given, atlas in pairs:
        if not isinstance(atlas, Atlas):
            raise ArgumentError(
                "atlases",
                f"should be atlases, got a {type(atlas).__name__}",
                "load it, as by `ai.load_atlas(name, space=...)`",
            )
        label = label_of(atlas.name if given is None else given)
        if not label or (given is not None and label != given):
            raise ArgumentError(
                "atlases",
                f"should have labels of letters and digits, got {given or atlas.name!r}",
                "pass a mapping from label to atlas",
            )
        own = LabelledAtlas(label, atlas, digest_atlas(atlas))
        if own.key in [other.key for other in found]:
            raise ArgumentError(
                "atlases",
                f"holds two called {label!r} in {atlas.space!r}",
                "tell them apart by a mapping from label to atlas, or load one under another name, "
                f"as {label},name=other on the command line",
            )
        found.append(own)
    return found


def digest_atlas(atlas: Atlas) -> str:
    """Return the hash of what an atlas holds: its maps, geometry, labels and history."""
    found = hashlib.sha256(pack_metadata(atlas).encode())
    for c in atlas.compartments:
        found.update(atlas.geometry[c].digest.encode())
        matrix: Any = atlas.maps[c].to_scipy().tocsr()
        matrix.sort_indices()
        for array in (matrix.indptr, matrix.indices, matrix.data):
            # Whether indices have 32 or 64 bits is no matter.
            found.update(array.astype(array.dtype.kind + "8").tobytes())
    return found.hexdigest()


def make_plan(
    runs: Sequence[Run],
    atlases: Sequence[LabelledAtlas],
    *,
    reduction: str,
    shard: tuple[int, int] | None = None,
) -> Plan:
    """Return what is done of each run.

    The header of the first image of each kind is compared with the atlas, and speaks for the
    others; a run that differs fails by itself.

    Raises
    ------
    ValueError
        An atlas that no image of any run fits, with what was compared; several images of one run
        that an atlas fits.
    """
    fits = _Fits(atlases, reduction)
    jobs: list[Job] = []
    unmatched: list[tuple[str, str, str]] = []
    matched: set[int] = set()
    for run in runs:
        taken: dict[int, list[int]] = {}
        for i, own in enumerate(atlases):
            chosen = fits.choose(run, i)
            if chosen is None:
                unmatched.append((run.name, own.key, _explain(run, own.atlas)))
                continue
            matched.add(i)
            taken.setdefault(chosen, []).append(i)
        tasks = [(run.images[n], tuple(which)) for n, which in sorted(taken.items())]
        if tasks:
            jobs.append(Job(run, tuple(tasks)))
    for i, own in enumerate(atlases):
        if i not in matched:
            raise ArgumentError("atlases", *_tell_none(own, runs, fits.reasons(i)))
    if shard is not None:
        number, count = shard
        jobs = jobs[number - 1 :: count]
        kept = {job.run.name for job in jobs}
        unmatched = [one for one in unmatched if one[0] in kept]
    return Plan(tuple(jobs), tuple(unmatched), sum(job.size for job in jobs))


def move_atlases(
    atlases: Sequence[LabelledAtlas], runs: Sequence[Run], *, reduction: str
) -> list[LabelledAtlas]:
    """Return atlases of which those that fit no image are moved to the grid of one of their space.

    Raises
    ------
    ValueError
        Images of its space on several grids, as their names say.
    """
    fits = _Fits(atlases, reduction)
    found = []
    for i, own in enumerate(atlases):
        if any(fits.choose(run, i) is not None for run in runs):
            found.append(own)
            continue
        images = [
            image
            for run in runs
            for image in run.images
            if image.is_volume and may_be_one(image.space, own.atlas.space)
        ]
        kinds = {_kind(image): image for image in reversed(images)}
        if len(kinds) > 1:
            raise ArgumentError(
                "spaces",
                f": {own.label} could be moved to images of {format_list(kinds)}",
                "choose one of these",
            )
        for image in kinds.values():
            moved = resample(own.atlas, image.files[0])
            own = LabelledAtlas(own.label, moved, digest_atlas(moved))
        found.append(own)
    return found


def _explain(run: Run, atlas: Atlas) -> str:
    spaces = format_list(dict.fromkeys(image.space or UNKNOWN for image in run.images))
    return f"its images are in {spaces}, none of them on the grid or mesh of {atlas.space}"


def _tell_none(
    own: LabelledAtlas, runs: Sequence[Run], reasons: Sequence[str]
) -> tuple[str, Words]:
    spaces = sorted({image.space or UNKNOWN for run in runs for image in run.images})
    told = (
        f": no image fits {own.label} in {own.atlas.space!r}; images are in {format_list(spaces)}"
    )
    if reasons:
        told += f". Of those in its space: {reasons[0].rstrip('.')}"
    remedy: Words = "load the atlas in the space and resolution of the images"
    if reasons:
        remedy = remedy + ", or move it to the grid of these by " + Passing(resample=True)
    return told, remedy


class _Fits:
    """Which kinds of images fit which atlas, each looked at once."""

    def __init__(self, atlases: Sequence[LabelledAtlas], reduction: str) -> None:
        self._atlases, self._reduction = atlases, reduction
        # Kind of image and atlas to why it does not fit, "" where it does.
        self._verdicts: dict[tuple, str] = {}

    def reasons(self, atlas: int) -> list[str]:
        """Return why images of an atlas's space did not fit, those of its own kind first."""
        grids = [isinstance(g, VolumeGrid) for g in self._atlases[atlas].atlas.geometry.values()]
        found = [(kind, why) for (*kind, i), why in self._verdicts.items() if i == atlas and why]
        # By whether the image is CIFTI, as the fourth part of a kind says.
        return [why for _, why in sorted(found, key=lambda pair: pair[0][3] == all(grids))]

    def choose(self, run: Run, atlas: int) -> int | None:
        """Return the number of the image of a run that an atlas takes, None for none."""
        own = self._atlases[atlas]
        fitting = [n for n, image in enumerate(run.images) if self._fits(image, atlas)]
        if len(fitting) > 1:
            names = [run.images[n].files[0].name for n in fitting]
            raise ArgumentError(
                "dataset",
                f"holds several images of {run.name} that {own.label} fits: {format_list(names)}",
                "choose by `desc` or `spaces`, as 'MNI152NLin6Asym:res-2'",
            )
        return fitting[0] if fitting else None

    def _fits(self, image: Image, atlas: int) -> bool:
        own = self._atlases[atlas].atlas
        if not may_be_one(image.space, own.space):
            return False
        entities = tuple(sorted(image.entities.items()))
        # Files that state nothing may be of any kind.
        alone = () if entities else image.files
        kind = (image.space, entities, len(image.files), image.is_cifti, alone, atlas)
        if kind not in self._verdicts:
            self._verdicts[kind] = self._compare(image, own)
        return not self._verdicts[kind]

    def _compare(self, image: Image, atlas: Atlas) -> str:
        try:
            open_image(image, atlas, self._reduction)
        except AtlasFileError:
            # A damaged file says nothing of the others of its kind: it fails when it is read.
            return ""
        except ArgumentError as error:
            return str(error)
        return ""


def open_image(image: Image, atlas: Atlas, reduction: str) -> Any:
    """Return an image as data of an atlas, of which nothing is read yet."""
    files = image.files_for(atlas.compartments)
    data: Any = files[0] if len(files) == 1 else files
    space = image.space if image.stated and image.space else None
    return open_data(data, atlas, reduction=reduction, data_space=space)


def estimate_time(plan: Plan, atlases: Sequence[LabelledAtlas], *, reduction: str) -> Plan:
    """Return the plan with the seconds that reading takes, measured on its first image."""
    for job in plan.jobs:
        image, which = job.tasks[0]
        try:
            source = open_image(image, atlases[which[0]].atlas, reduction)
            count = min(_LOOK, source.n_time)
            begun = time.perf_counter()
            source.read(slice(0, count))
            spent = time.perf_counter() - begun
        except (AtlasFileError, ArgumentError):
            continue
        whole = spent / count * source.n_time
        return dataclasses.replace(plan, seconds=whole * plan.size / max(image.size, 1))
    return plan


def describe_plan(plan: Plan, atlases: Sequence[LabelledAtlas], jobs: int) -> list[str]:
    """Return the lines of a plan, for people."""
    volumes = format_count(len(plan.jobs), "run")
    lines = [f"{volumes}, {format_bytes(plan.size)} to read, {jobs} at a time"]
    for i, own in enumerate(atlases):
        takers = [image for job in plan.jobs for image, which in job.tasks if i in which]
        spaces = format_list(dict.fromkeys(_kind(image) for image in takers))
        lines.append(
            f"{own.label} ({own.atlas.n_parcels} parcels, {own.atlas.space}): "
            f"{format_count(len(takers), 'run')}" + (f", images in {spaces}" if spaces else "")
        )
    if plan.seconds is not None:
        lines.append(f"reading takes about {format_time(plan.seconds / jobs)}")
    lines += _shorten([f"{run}: nothing for {atlas}: {why}" for run, atlas, why in plan.unmatched])
    lines += _shorten([f"{run} would fail: {why}" for run, why in plan.problems])
    if plan.looked is not None and plan.looked < len(plan.jobs):
        lines.append(f"looked at headers and tables of {plan.looked} runs, taken from all over")
    return lines


def _shorten(lines: list[str]) -> list[str]:
    return lines[:10] + ([f"and {len(lines) - 10} more of these"] if len(lines) > 10 else [])


def _kind(image: Image) -> str:
    further = [f"{key}-{image.entities[key]}" for key in ("res", "den") if key in image.entities]
    return ":".join([image.space or UNKNOWN, *further])


def format_bytes(size: int) -> str:
    """Return a size in the unit that fits: ``"1.5 GiB"``."""
    value, unit = float(size), "B"
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if value < 1024 or unit == "TiB":
            break
        value /= 1024
    return f"{value:.3g} {unit}"


def format_time(seconds: float) -> str:
    """Return a duration in words: ``"2 h 5 min"``."""
    minutes = round(seconds / 60)
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min"


def to_plain(value: Any) -> Any:
    """Return what JSON holds of dataclasses, tuples and NumPy's numbers; text of others."""
    return json.loads(json.dumps(value, default=_plain))


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    return value.item() if isinstance(value, np.generic) else str(value)
