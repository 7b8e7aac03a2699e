"""A run of a dataset: its images in their spaces, what lies beside them, and its names."""

import dataclasses
from collections.abc import Collection, Mapping
from pathlib import Path

from atlasinit.io.bids.names import side_of

ORDER = (
    *("sub", "ses", "sample", "task", "acq", "ce", "rec", "dir", "run", "echo", "part"),
    *("space", "cohort", "atlas", "res", "den", "desc", "stat"),
)
"""Entities in the order of the names of derivatives."""

OF_IMAGE = ("space", "cohort", "res", "den", "hemi", "desc")
"""Entities in which the images of one run differ."""

NATIVE = "scanner"
"""The space of an image of a BIDS dataset whose name states none: that of the scanner."""


@dataclasses.dataclass(frozen=True)
class Image:
    """The data of a run in one space.

    Parameters
    ----------
    files
        One file, or one for each hemisphere.
    entities
        Those of its name in which images of a run differ (`OF_IMAGE`), without ``hemi``.
    space
        That it is in, ``""`` where nothing says.
    mask
        Of its voxels inside the brain, where there is one.
    stated
        Whether `space` was stated by the user, whatever the file says.
    """

    files: tuple[Path, ...]
    entities: Mapping[str, str] = dataclasses.field(default_factory=dict)
    space: str = ""
    mask: Path | None = None
    stated: bool = False

    def files_for(self, compartments: Collection[str]) -> tuple[Path, ...]:
        """Return the files that an atlas needs: of two hemispheres that of its own, if it has one.

        Parameters
        ----------
        compartments
            Of the atlas, or of several.
        """
        if len(self.files) == 1:
            return self.files
        sides = {side_of(file): file for file in self.files}
        wanted = tuple(file for side, file in sides.items() if f"cortex_{side}" in compartments)
        return wanted or self.files

    @property
    def is_cifti(self) -> bool:
        """Whether it is a CIFTI-2 file, by its name."""
        return self.files[0].name.endswith(".dtseries.nii")

    @property
    def is_volume(self) -> bool:
        """Whether it is of voxels alone, by its name."""
        return not self.is_cifti and self.files[0].name.endswith((".nii", ".nii.gz"))

    @property
    def size(self) -> int:
        """Bytes of its files."""
        return sum(file.stat().st_size for file in self.files)


@dataclasses.dataclass(frozen=True)
class Run:
    """One run of one person.

    Parameters
    ----------
    entities
        What names it, as ``{"sub": "01", "task": "rest", "run": "1"}``.
    images
        Of the run, in one space each.
    confounds
        A table with a row for each volume, where there is one.
    t_r
        Seconds between volumes, where a table of runs states them; else files do.
    """

    entities: Mapping[str, str]
    images: tuple[Image, ...]
    confounds: Path | None = None
    t_r: float | None = None

    @property
    def name(self) -> str:
        """Its entities, as files begin that are made of it: ``sub-01_task-rest_run-1``."""
        return name_of(self.entities)

    @property
    def folder(self) -> Path:
        """Where its files go in a dataset."""
        session = [f"ses-{self.entities['ses']}"] if "ses" in self.entities else []
        return Path(f"sub-{self.entities['sub']}", *session, "func")


def name_of(entities: Mapping[str, str]) -> str:
    """Return entities as a part of a file's name, in the order of BIDS.

    >>> name_of({"run": "1", "sub": "01"})
    'sub-01_run-1'
    """
    return "_".join(f"{key}-{entities[key]}" for key in ORDER if key in entities)
