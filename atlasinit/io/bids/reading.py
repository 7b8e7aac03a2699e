"""The atlases of a BIDS dataset, or of TemplateFlow's folders: images, tables, terms."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from atlasinit.errors import AtlasFileError, listing
from atlasinit.io.bids.names import entities_of, space_of, stem, suffix_of
from atlasinit.io.contents import Kind
from atlasinit.io.files import extension
from atlasinit.io.tables.reading import Rows, read_table

_SUFFIXES = {"hard": ("dseg",), "maps": ("probseg",), "auto": ("dseg", "probseg")}
_IMAGES = (".nii", ".nii.gz", ".label.gii", ".func.gii", ".dlabel.nii", ".dscalar.nii")


def atlas_files(folder: Path, *, space: str | None, kind: Kind) -> list[Path]:
    """Return the files of the one atlas that a folder holds, a file a hemisphere or a map.

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
        entities.pop("hemi", None)
        if suffix_of(path) == "probseg":
            # Of several images each may hold the map of one label.
            entities.pop("label", None)
        identity = (path.parent, tuple(entities.items()), suffix_of(path), extension(path))
        groups.setdefault(identity, []).append(path)
    if len(groups) > 1 and space is not None:
        groups = {k: paths for k, paths in groups.items() if space_of(dict(k[1])) == space}
    if not groups:
        where = f" in {space!r}" if space else ""
        raise AtlasFileError(
            f"{folder}: is a folder that holds no atlas{where}; expected files with BIDS names, as "
            "tpl-MNI152NLin6Asym_atlas-X_dseg.nii.gz."
        )
    if len(groups) > 1:
        names = (paths[0].relative_to(folder) for paths in groups.values())
        raise AtlasFileError(
            f"{folder}: holds {len(groups)} atlases; give the files of one, or the `space` or "
            f"`kind` that tells it: {listing(names)}."
        )
    return next(iter(groups.values()))


def rows_for(image: Path) -> Rows | None:
    """Return the table that applies to an image, None where there is none.

    It is the ``.tsv`` of the same name; else, for names with entities, by BIDS's
    inheritance the ``.tsv``, or the sidecar with a ``LabelMap``, whose entities the
    image has all, in its folder before those above.
    """
    beside = image.with_name(f"{stem(image)}.tsv")
    if beside.is_file():
        return read_table(beside)
    for path in _inherited(image, suffix_of(image), ".tsv"):
        return read_table(path)
    for path in _inherited(image, suffix_of(image), ".json"):
        if "LabelMap" in _json(path):
            return read_table(path)
    return None


def terms_of(image: Path) -> dict[str, Any]:
    """Return licence and citation that ``atlas-<label>_description.json`` states."""
    for path in _inherited(image, "description", ".json"):
        found = _json(path)
        references = found.get("ReferencesAndLinks", ())
        texts = [references] if isinstance(references, str) else [str(text) for text in references]
        return {"licence": str(found.get("License", "")), "citation": "; ".join(texts)}
    return {}


def _is_image(path: Path, suffixes: tuple[str, ...]) -> bool:
    entities = entities_of(path)
    return (
        suffix_of(path) in suffixes
        and extension(path) in _IMAGES
        and bool({"tpl", "atlas", "seg"} & set(entities))
        and path.is_file()
    )


def _inherited(image: Path, suffix: str, ending: str) -> Iterator[Path]:
    """Yield the files that apply to an image, the nearest and most particular first."""
    entities = set(entities_of(image).items())
    if not entities:
        return
    for folder in _folders(image):
        found = [
            path
            for path in folder.glob(f"*_{suffix}{ending}")
            if set(entities_of(path).items()) <= entities and path.is_file() and path.stat().st_size
        ]
        yield from sorted(found, key=lambda path: (-len(entities_of(path)), path.name))


def _folders(image: Path) -> list[Path]:
    """Return the folder of an image and those above, as far as they are of its dataset."""
    # The image itself may be a link out of the dataset, as of git-annex.
    folders = [image.parent.resolve()]
    while len(folders) < 4 and not (folders[-1] / "dataset_description.json").is_file():
        if not folders[-1].name.startswith(("tpl-", "sub-", "ses-", "cohort-", "anat")):
            break
        folders.append(folders[-1].parent)
    return folders


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise AtlasFileError(f"{path}: could not be read as JSON: {error}") from error
    return found if isinstance(found, dict) else {}
