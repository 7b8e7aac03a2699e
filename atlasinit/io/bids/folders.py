"""The images of the one atlas that a BIDS dataset, or a folder of TemplateFlow, holds."""

from pathlib import Path
from typing import Any

from atlasinit.errors import Argument, AtlasFileError, format_list
from atlasinit.io.bids.names import entities_of, space_of, suffix_of
from atlasinit.io.contents import Kind
from atlasinit.io.files import extension
from atlasinit.io.formats.registry import bids_endings

_SUFFIXES = {"hard": ("dseg",), "maps": ("probseg",), "auto": ("dseg", "probseg")}


def atlas_files(folder: Path, *, space: str | None, kind: Kind) -> list[Path]:
    """Return the files of the one atlas that a folder holds: one, or one per hemisphere or map.

    Parameters
    ----------
    folder
        A dataset, or a folder in it.
    space, kind
        Where there are several atlases, only those in this space and of this kind.

    Raises
    ------
    AtlasFileError
        A folder without an atlas, or with several.
    """
    groups: dict[tuple[Any, ...], list[Path]] = {}
    for path in sorted(folder.rglob("*_*")):
        # Files without content stand for those that TemplateFlow has not fetched.
        if not _is_image(path, _SUFFIXES[kind]) or not path.stat().st_size:
            continue
        entities = entities_of(path)
        # The two hemispheres are one atlas.
        entities.pop("hemi", None)
        if suffix_of(path) == "probseg":
            # Of several images each may hold the map of one label.
            entities.pop("label", None)
        identity = (path.parent, tuple(entities.items()), suffix_of(path), extension(path))
        groups.setdefault(identity, []).append(path)
    # A single atlas is taken: what the user states of its space goes before what its name says.
    if len(groups) > 1 and space is not None:
        groups = {k: paths for k, paths in groups.items() if space_of(dict(k[1])) == space}
    if not groups:
        where = f" in {space!r}" if space else ""
        raise AtlasFileError(
            folder,
            f"is a folder that holds no atlas{where}",
            "expected files with BIDS names, as tpl-MNI152NLin6Asym_atlas-X_dseg.nii.gz",
        )
    if len(groups) > 1:
        names = (paths[0].relative_to(folder) for paths in groups.values())
        raise AtlasFileError(
            folder,
            f"holds {len(groups)} atlases",
            "give the files of one, or the "
            + Argument("space")
            + " or "
            + Argument("kind")
            + f" that tells it: {format_list(names)}",
        )
    return next(iter(groups.values()))


def _is_image(path: Path, suffixes: tuple[str, ...]) -> bool:
    entities = entities_of(path)
    return (
        suffix_of(path) in suffixes
        and extension(path) in bids_endings()
        and bool({"tpl", "atlas", "seg"} & set(entities))
        and path.is_file()
    )
