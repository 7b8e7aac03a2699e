"""What lies beside an image in a BIDS dataset, or TemplateFlow's folders: tables, terms."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from atlasinit.io.bids.names import entities_of, stem, suffix_of
from atlasinit.io.files import reading
from atlasinit.io.tables.reading import Rows, read_table


def rows_for(image: Path) -> Rows | None:
    """Return the table that applies to an image, None where there is none.

    It is the ``.tsv`` of the same name; else, for names with entities, by BIDS's
    inheritance the ``.tsv``, or the sidecar with a ``LabelMap``, whose entities the
    image has all, in its folder before those above.
    """
    beside = image.with_name(f"{stem(image)}.tsv")
    if beside.is_file():
        return read_table(beside)
    # The nearest is the first; those above are not merged, as BIDS says of tables.
    for path in _find_inherited(image, suffix_of(image), ".tsv"):
        return read_table(path)
    for path in _find_inherited(image, suffix_of(image), ".json"):
        if "LabelMap" in _json(path):
            return read_table(path)
    return None


def terms_of(image: Path) -> dict[str, Any]:
    """Return licence and citation that ``atlas-<label>_description.json`` states."""
    for path in _find_inherited(image, "description", ".json"):
        found = _json(path)
        references = found.get("ReferencesAndLinks", ())
        texts = [references] if isinstance(references, str) else [str(text) for text in references]
        return {"licence": str(found.get("License", "")), "citation": "; ".join(texts)}
    return {}


def _find_inherited(image: Path, suffix: str, ending: str) -> Iterator[Path]:
    """Yield the files that apply to an image, the nearest and most particular first."""
    # https://bids-specification.readthedocs.io/en/stable/common-principles.html, "The inheritance
    # principle": a file applies to those of all its entities, in its folder and below.
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
    # At most tpl-*/cohort-*/anat below the dataset: whoever opens a single image elsewhere does not
    # have all folders up to the root searched for tables.
    while len(folders) < 4 and not (folders[-1] / "dataset_description.json").is_file():
        if not folders[-1].name.startswith(("tpl-", "sub-", "ses-", "cohort-", "anat")):
            break
        folders.append(folders[-1].parent)
    return folders


def _json(path: Path) -> dict[str, Any]:
    with reading(path, "JSON"):
        found = json.loads(path.read_text(encoding="utf-8"))
    return found if isinstance(found, dict) else {}
