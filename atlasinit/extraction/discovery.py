"""The runs of a dataset, a table or a list of files.

Names are read by `atlasinit.io.bids.names`, as everywhere in the package, and not by bids2table:
that needs pyarrow before a file is looked at, and knows no names but those of BIDS. What it or
pybids has indexed comes in as a table.
"""

import dataclasses
import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from atlasinit.core.spaces import parse_space
from atlasinit.errors import (
    ArgumentError,
    ArgumentTypeError,
    AtlasFileError,
    format_list,
    nearest,
)
from atlasinit.extraction import hcp
from atlasinit.extraction.naming import ENDINGS, ending_of, group_files, label_of
from atlasinit.extraction.runs import Image, Run
from atlasinit.extraction.tables import is_table, read_runs
from atlasinit.io.bids.names import entities_of, suffix_of
from atlasinit.support.files import expand

_USUAL = ("", "preproc", "denoised")
"""Of the images of a BIDS derivative dataset those that are taken without ``desc``."""


@dataclasses.dataclass(frozen=True)
class Filters:
    """Which runs are wanted, and which of their images; empty is all.

    Parameters
    ----------
    participants, sessions, tasks, runs
        Labels of ``sub-``, ``ses-``, ``task-`` and ``run-``, with or without these.
    spaces
        As ``"fsLR"`` or ``"MNI152NLin6Asym:res-2"``.
    desc
        What was done to the images, as ``"denoised"``; by default ``preproc``, ``denoised`` or
        none stated, and of HCP any.
    """

    participants: tuple[str, ...] = ()
    sessions: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()
    runs: tuple[str, ...] = ()
    spaces: tuple[str, ...] = ()
    desc: tuple[str, ...] = ()

    def keep(self, found: Sequence[Run]) -> list[Run]:
        """Return the runs that are wanted, with the images that are.

        Raises
        ------
        ValueError
            A label that no run has, with the nearest; runs that are all left out.
        """
        kept = list(found)
        for argument, entity in _ENTITIES.items():
            wanted = {text.removeprefix(f"{entity}-") for text in getattr(self, argument)}
            have = {run.entities.get(entity, "") for run in found}
            _check_labels(argument, wanted, have, found)
            # Numbers of runs are written with and without zeros before them.
            kept = [r for r in kept if not wanted or _is_among(r.entities.get(entity, ""), wanted)]
        kept = [dataclasses.replace(r, images=self._images(r.images)) for r in kept]
        for argument in ("desc", "spaces"):
            if getattr(self, argument) and kept and not any(run.images for run in kept):
                have = {i.entities.get("desc", "") for r in found for i in r.images}
                spaces = {i.space for r in found for i in r.images}
                shown = sorted(filter(None, have if argument == "desc" else spaces))
                raise ArgumentError(
                    argument,
                    f": no image is of {format_list(map(repr, getattr(self, argument)))}",
                    f"there are {format_list(map(repr, shown)) or 'none that state one'}",
                )
        kept = [run for run in kept if run.images]
        if not kept:
            raise ArgumentError(
                "dataset",
                f"has {len(found)} runs, but none that all of the conditions keep",
                "leave one of them out",
            )
        return kept

    def _images(self, images: Iterable[Image]) -> tuple[Image, ...]:
        wanted = {text.removeprefix("desc-") for text in self.desc}
        return tuple(
            image
            for image in images
            if (not wanted or image.entities.get("desc", "") in wanted)
            and (not self.spaces or any(_is_in(image, space) for space in self.spaces))
        )


_ENTITIES = {"participants": "sub", "sessions": "ses", "tasks": "task", "runs": "run"}


def _check_labels(argument: str, wanted: set[str], have: set[str], found: Sequence[Run]) -> None:
    for label in sorted(wanted):
        if not any(_is_among(one, {label}) for one in have):
            close = nearest(label, filter(None, have))
            raise ArgumentError(
                argument,
                f": no run of {len(found)} is of {label!r}",
                close or f"there are {format_list(sorted(filter(None, have))) or 'none'}",
            )


def _is_among(label: str, wanted: set[str]) -> bool:
    if label in wanted:
        return True
    return label.isdecimal() and any(w.isdecimal() and int(w) == int(label) for w in wanted)


def _is_in(image: Image, space: str) -> bool:
    """Whether an image states a space, and the density or resolution where one is asked for."""
    template, *modifiers = space.split(":")
    try:
        wanted, own = parse_space(template), parse_space(image.space)
    except ArgumentError:
        wanted, own = (template, {}), (image.space, {})
    if wanted[0] != own[0] or not wanted[1].items() <= own[1].items():
        return False
    stated = (modifier.partition("-") for modifier in modifiers)
    return all(_is_among(image.entities.get(key, ""), {label}) for key, _, label in stated)


def find_runs(dataset: Any, filters: Filters) -> list[Run]:
    """Return the runs of a dataset, a table, or files that are wanted, by their names.

    Parameters
    ----------
    dataset
        As for `atlasinit.extract`.
    filters
        Which runs, and which of their images.

    Raises
    ------
    ValueError, TypeError
        Where there are none (with what was looked for), or two of one name.
    AtlasFileError
        A folder or file that there is not, a table that cannot be read.
    """
    runs = filters.keep(_find(dataset, filters.desc))
    twice = sorted(name for name, n in Counter(run.name for run in runs).items() if n > 1)
    if twice:
        raise ArgumentError(
            "dataset",
            f"holds several runs of one name: {format_list(twice, 3)}",
            "tell them apart in a table with columns sub, task and run",
        )
    return sorted(runs, key=lambda run: run.name)


def _find(dataset: Any, desc: Sequence[str]) -> list[Run]:
    if hasattr(dataset, "columns"):
        return read_runs(dataset, Path())
    if isinstance(dataset, str | os.PathLike):
        path = expand(dataset)
        if path.is_dir():
            return _in_folder(path, desc)
        if not path.exists():
            raise AtlasFileError(path, "no such file or folder")
        return read_runs(path, path.parent) if is_table(path) else _of_files([path])
    if isinstance(dataset, Sequence):
        if not dataset:
            raise ArgumentError("dataset", "is an empty list", "pass at least one file")
        paths = [_path(item) for item in dataset]
        return _of_files(paths)
    raise ArgumentTypeError(
        "dataset",
        f"should be a folder, a table of runs or a list of files, got {type(dataset).__name__}",
    )


def _path(item: Any) -> Path:
    if not isinstance(item, str | os.PathLike):
        raise ArgumentTypeError("dataset", f"should list paths, got a {type(item).__name__}")
    path = expand(item)
    if not path.is_file():
        problem = "is a folder in a list of files" if path.is_dir() else "no such file"
        raise AtlasFileError(path, problem)
    return path


def _of_files(paths: Sequence[Path]) -> list[Run]:
    """Return runs of files; one whose name states no person is called by the whole of it."""
    strange = [path for path in paths if not ending_of(path.name)]
    if strange:
        raise AtlasFileError(
            strange[0], "is no image of a series", f"expected {format_list(ENDINGS)}"
        )
    named = [path for path in paths if "sub" in entities_of(path)]
    # What a list holds is asked for, so that nothing is said of the space where no name states it.
    runs = group_files(named, native="")
    for path in paths:
        if path not in named:
            label = label_of(path.name.removesuffix(ending_of(path.name)))
            runs.append(Run({"sub": label}, (Image((path,)),)))
    return runs


def _in_folder(root: Path, desc: Sequence[str]) -> list[Run]:
    runs = _in_bids(root, desc) or hcp.find_runs(root)
    if runs:
        return runs
    inner = [
        str(path)
        for pattern in ("derivatives/*/sub-*", "*/sub-*")
        for path in sorted({found.parent for found in root.glob(pattern) if found.is_dir()})
    ]
    remedy = f"did you mean {format_list(dict.fromkeys(inner), 3)}?" if inner else ""
    raise ArgumentError(
        "dataset",
        f": no run was found in {root}, where these were looked for: "
        "sub-*/[ses-*/]func/*_bold.nii.gz, .dtseries.nii or .func.gii (fMRIPrep, XCP-D), with "
        "desc-preproc, desc-denoised or no desc unless one is asked for, and "
        f"*/{hcp.RESULTS}/*fMRI_*/ (HCP)",
        remedy,
    )


def _in_bids(root: Path, desc: Sequence[str]) -> list[Run]:
    folders = [
        folder
        for pattern in ("sub-*/func", "sub-*/ses-*/func")
        for folder in root.glob(pattern)
        if folder.is_dir()
    ]
    files: dict[str, list[Path]] = defaultdict(list)
    for folder in sorted(folders):
        for path in folder.iterdir():
            if ending_of(path.name) and suffix_of(path) == "bold":
                files[entities_of(path).get("desc", "")].append(path)
    wanted = [text.removeprefix("desc-") for text in desc] or _USUAL
    if files and not set(files) & set(wanted):
        raise ArgumentError(
            "desc",
            f": {root} holds images, but none of desc-preproc, desc-denoised or without desc"
            if not desc
            else f": no image of {root} is of {format_list(map(repr, wanted))}",
            f"there are {format_list(repr(one) for one in sorted(files))}",
        )
    return group_files(path for label in wanted for path in files.get(label, ()))
