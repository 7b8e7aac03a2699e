"""Runs by the names of their files: BIDS entities, and what lies beside images."""

import json
import math
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

from atlasinit.errors import ArgumentError, ContentError, format_list
from atlasinit.extraction.motion import XCPD
from atlasinit.extraction.runs import NATIVE, OF_IMAGE, ORDER, Image, Run
from atlasinit.io.bids.names import entities_of, space_of, stem
from atlasinit.io.files import reading

ENDINGS = (".dtseries.nii", ".func.gii", ".nii.gz", ".nii")
"""Of images of series, the longer before those that end them."""

_BESIDE = {
    "confounds": (("confounds",), ("_timeseries.tsv", "_regressors.tsv")),
    "motion": (("", "filtered"), (XCPD,)),
    "brain": (("brain",), ("_mask.nii.gz", "_mask.nii")),
}
"""What lies beside images: its ``desc``, and how its names end."""


def ending_of(name: str) -> str:
    """Return the ending of an image of a series, ``""`` for any other file."""
    return next((ending for ending in ENDINGS if name.endswith(ending)), "")


def group_files(files: Iterable[Path], *, native: str = NATIVE) -> list[Run]:
    """Return the runs that files with BIDS names are of, with what lies beside them.

    Parameters
    ----------
    files
        Images of series; two hemispheres are one image.
    native
        The space of what states none.
    """
    beside = _Folders()
    runs: dict[tuple, dict[tuple, list[Path]]] = defaultdict(lambda: defaultdict(list))
    for path in files:
        entities = entities_of(path)
        own = {k: v for k, v in entities.items() if k in OF_IMAGE and k != "hemi"}
        run = {k: v for k, v in entities.items() if k in ORDER and k not in OF_IMAGE}
        image = (*sorted(own.items()), ending_of(path.name), str(path.parent))
        runs[tuple(sorted(run.items()))][image].append(path)
    found = []
    for key, images in runs.items():
        entities = dict(key)
        every = [_image(sorted(paths), native, beside) for paths in images.values()]
        confounds = beside.confounds(every[0].files[0], entities)
        found.append(Run(entities, tuple(every), confounds))
    return sorted(found, key=lambda run: run.name)


def _image(paths: list[Path], native: str, beside: "_Folders") -> Image:
    entities = entities_of(paths[0])
    sides = [entities_of(path).get("hemi", "") for path in paths]
    if len(paths) > 2 or len(set(sides)) < len(sides):
        raise ArgumentError(
            "dataset",
            f"holds files that are told apart by no entity: {format_list(paths)}",
            "leave one out, or list the files in a table",
        )
    own = {k: v for k, v in entities.items() if k in OF_IMAGE and k != "hemi"}
    return Image(tuple(paths), own, space_of(entities) or native, beside.mask(paths[0], entities))


class _Folders:
    """Folders that are listed once, and what they hold for an image."""

    def __init__(self) -> None:
        self._listed: dict[Path, dict[str, list[tuple[Path, dict[str, str]]]]] = {}

    def _list(self, folder: Path, kind: str) -> list[tuple[Path, dict[str, str]]]:
        """Return the tables of confounds, or the brain masks, with their other entities."""
        if folder not in self._listed:
            found = self._listed[folder] = {own: [] for own in _BESIDE}
            for path in sorted(folder.iterdir()):
                # By the end of the name first, which is quick: folders hold much else.
                for own, (descs, endings) in _BESIDE.items():
                    if path.name.endswith(endings):
                        entities = entities_of(path)
                        if entities.pop("desc", "") in descs:
                            found[own].append((path, entities))
        return self._listed[folder][kind]

    def confounds(self, image: Path, run: Mapping[str, str]) -> Path | None:
        """Return the table of a run's confounds: of the entities that it states, the most.

        Of its motion where there is none; not that of filtered parameters if there is another.
        """
        for own in ("confounds", "motion"):
            found = [
                (len(entities), "desc-" not in path.name, path)
                for path, entities in self._list(image.parent, own)
                if entities.items() <= run.items()
            ]
            if found:
                return max(found)[-1]
        return None

    def mask(self, image: Path, entities: Mapping[str, str]) -> Path | None:
        """Return the brain mask of an image of a volume."""
        if ending_of(image.name) not in (".nii.gz", ".nii"):
            return None
        wanted = {k: v for k, v in entities.items() if k != "desc"}
        space = {k: v for k, v in wanted.items() if k in OF_IMAGE}
        # Of the same space and resolution, and of no other run.
        return next(
            (
                path
                for path, own in self._list(image.parent, "brain")
                if own.items() <= wanted.items() and space.items() <= own.items()
            ),
            None,
        )


def sidecar_of(path: Path) -> Path:
    """Return where the metadata of a file are, if it has any."""
    ending = ending_of(path.name)
    return path.with_name(f"{path.name.removesuffix(ending) if ending else stem(path)}.json")


def read_sidecar(image: Path) -> dict:
    """Return what the sidecar beside an image says, nothing where there is none.

    Raises
    ------
    AtlasFileError
        A sidecar that is no JSON object.
    """
    path = sidecar_of(image)
    if not path.is_file():
        return {}
    with reading(path, "a JSON object of metadata"):
        found = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(found, dict):
            raise ContentError(f"it holds a {type(found).__name__}")
    return found


def is_seconds(value: object) -> bool:
    """Whether a value is a positive number, as a repetition time is."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < math.inf


def label_of(text: str) -> str:
    """Return letters and digits of a text: a label of BIDS."""
    return re.sub("[^0-9A-Za-z+]", "", text)
