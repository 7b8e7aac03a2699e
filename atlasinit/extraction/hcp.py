"""Runs in the folders of the Human Connectome Project."""

import re
from pathlib import Path

from atlasinit.extraction.motion import HCP
from atlasinit.extraction.naming import label_of
from atlasinit.extraction.runs import Image, Run

# https://www.humanconnectome.org/storage/app/media/documentation/s1200/HCP_S1200_Release_Appendix_III.pdf
_RUN = re.compile(r"[rt]fMRI_([0-9A-Za-z]+?)(?:_(7T))?(?:_(AP|PA|LR|RL))?")
RESULTS = "MNINonLinear/Results"


def find_subjects(root: Path) -> list[Path]:
    """Return the folders of persons, which have results of series."""
    return sorted(path.parent.parent for path in root.glob(f"*/{RESULTS}") if path.is_dir())


def find_runs(root: Path) -> list[Run]:
    """Return the runs: each has volumes and grayordinates, as they are and as they were cleaned.

    What was done to an image is in its name, as ``MSMAll_hp2000_clean``: that is its ``desc``,
    without the marks between.
    """
    found = []
    for subject in find_subjects(root):
        for folder in sorted(subject.joinpath(RESULTS).iterdir()):
            parts = _RUN.fullmatch(folder.name)
            if parts is None or not folder.is_dir():
                continue
            task, scanner, direction = parts.groups()
            stated = {"sub": label_of(subject.name), "task": task, "acq": scanner, "dir": direction}
            entities = {k: v.replace("_", "") for k, v in stated.items() if v}
            images = _images(folder)
            if images:
                moved = folder / HCP
                found.append(Run(entities, tuple(images), moved if moved.is_file() else None))
    return found


def _images(folder: Path) -> list[Image]:
    # 2 mm, and 1.6 mm of 7 T.
    masks = sorted(folder.glob("brainmask_fs.*.nii.gz"))
    mask = masks[0] if len(masks) == 1 else None
    name = re.escape(folder.name)
    found = []
    for path in sorted(folder.iterdir()):
        surfaces = re.fullmatch(rf"{name}_Atlas(?:_(\w+))?\.dtseries\.nii", path.name)
        volume = re.fullmatch(rf"{name}(?:_(hp\w+))?\.nii\.gz", path.name)
        if surfaces:
            entities = {"space": "fsLR", "den": "91k"}
            found.append(Image((path,), _described(entities, surfaces[1]), "fsLR"))
        elif volume:
            entities = {"space": "MNI152NLin6Asym"}
            done = _described(entities, volume[1])
            found.append(Image((path,), done, "MNI152NLin6Asym", mask))
    return found


def _described(entities: dict[str, str], done: str | None) -> dict[str, str]:
    return entities | ({"desc": done.replace("_", "")} if done else {})
