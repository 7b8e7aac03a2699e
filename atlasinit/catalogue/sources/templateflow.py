"""Files of TemplateFlow's archive, in its own folder, without its client.

The client takes any file that is not empty as complete and writes downloads in
place; here a file is checked to its end before it appears. The tables, which the
client packages as a skeleton of the archive, need no download.
"""

import functools
import os
import zipfile
from pathlib import Path

from atlasinit.catalogue.entries import Variant
from atlasinit.catalogue.sources import package
from atlasinit.catalogue.sources.base import Source
from atlasinit.catalogue.transfer.cache import cache_folder, filling
from atlasinit.catalogue.transfer.downloading import download, present
from atlasinit.errors import AtlasUnavailableError
from atlasinit.support.files import expand

ARCHIVE = "https://templateflow.s3.amazonaws.com"
"""Where the client, too, takes files from."""

_SKELETON = "templateflow/conf/templateflow-skel.zip"
_TEXT = (".tsv", ".json")


def home() -> Path:
    """Return TemplateFlow's folder: ``$TEMPLATEFLOW_HOME``, else ``~/.cache/templateflow``."""
    stated = os.environ.get("TEMPLATEFLOW_HOME")
    return expand(stated) if stated else Path.home() / ".cache" / "templateflow"


def find(place: str) -> Path | None:
    """Return a file of the archive if it is on this machine.

    An empty file is a place-holder of the client and does not count.
    """
    path = home() / place
    if present(path):
        return path
    kept = _kept(place)
    return kept if kept.is_file() else None


def has(place: str) -> bool:
    """Whether a file is on this machine, a table or sidecar in the skeleton included."""
    return find(place) is not None or (place.endswith(_TEXT) and place in _skeleton_tables())


def refer(variant: Variant, name: str) -> str:
    """Return the reference of a file of a variant's template.

    Tables lie above the folders of the template's cohorts.
    """
    if name.startswith("tpl-"):
        return f"templateflow:{name}"
    stem, folder = f"tpl-{variant.space}", f"tpl-{variant.space}"
    cohort = variant.values.get("cohort")
    if cohort is not None and not name.endswith(".tsv"):
        stem, folder = f"{stem}_cohort-{cohort}", f"{folder}/cohort-{cohort}"
    return f"templateflow:{folder}/{stem}_{name}"


@functools.cache
def _skeleton_tables() -> frozenset[str]:
    skeleton = package.find(_SKELETON)
    if skeleton is None:
        return frozenset()
    with zipfile.ZipFile(skeleton) as archive:
        return frozenset(
            i.filename for i in archive.infolist() if i.file_size and i.filename.endswith(_TEXT)
        )


def obtain(place: str, *, allow_download: bool = True) -> Path:
    """Return a file of the archive, from this machine or else from the archive.

    Raises
    ------
    AtlasUnavailableError
        The file is not on this machine and was not downloaded.
    """
    found = find(place)
    if found is None and place.endswith(_TEXT):
        found = _from_skeleton(place)
    if found is not None:
        return found
    if not allow_download:
        raise AtlasUnavailableError(home() / place, "not on this machine")
    return download(f"{ARCHIVE}/{place}", home() / place)


def _kept(place: str) -> Path:
    return cache_folder() / "templateflow" / place


def _from_skeleton(place: str) -> Path | None:
    """Return a copy, in the cache, of a table of the client's skeleton."""
    from atlasinit.support.writing import atomic_write

    skeleton = package.find(_SKELETON)
    if skeleton is None or place not in _skeleton_tables():
        return None
    with zipfile.ZipFile(skeleton) as archive:
        content = archive.read(place)
    kept = _kept(place)
    with filling(kept.parent):
        kept.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(kept) as temporary:
            temporary.write_bytes(content)
    return kept


def _origin(variant: Variant, place: str) -> str:
    del place
    return f"templateflow:{variant.space}"


SOURCE = Source(
    via="templateflow",
    schemes=("templateflow",),
    find=find,
    obtain=obtain,
    has=has,
    refer=refer,
    origin=_origin,
    folders=lambda: [home()],
    variable="TEMPLATEFLOW_HOME",
    hosts={"TemplateFlow": ARCHIVE},
)
