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
from atlasinit.catalogue.transfer.cache import cache_folder, writing_into
from atlasinit.catalogue.transfer.downloading import download, is_present
from atlasinit.errors import AtlasUnavailableError
from atlasinit.support.files import expand

ARCHIVE = "https://templateflow.s3.amazonaws.com"
"""Where the client, too, takes files from."""

# The client unpacks it into TemplateFlow's folder when it is first imported; it holds the tables
# and sidecars whole, and an empty file for each image.
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
    if is_present(path):
        return path
    # Tables that `_from_skeleton` has taken out before.
    kept = _cache_path(place)
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
    # As tpl-UNCInfant/cohort-1/tpl-UNCInfant_cohort-1_atlas-AAL_dseg.nii.gz, but for its table
    # tpl-UNCInfant/tpl-UNCInfant_atlas-AAL_dseg.tsv, which is of all cohorts.
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
            # Empty ones are place-holders.
            i.filename
            for i in archive.infolist()
            if i.file_size and i.filename.endswith(_TEXT)
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


def _cache_path(place: str) -> Path:
    return cache_folder() / "templateflow" / place


def _from_skeleton(place: str) -> Path | None:
    """Return a copy, in the cache, of a table of the client's skeleton."""
    from atlasinit.support.writing import atomic_write

    skeleton = package.find(_SKELETON)
    if skeleton is None or place not in _skeleton_tables():
        return None
    with zipfile.ZipFile(skeleton) as archive:
        content = archive.read(place)
    # Not into TemplateFlow's folder, whose client unpacks the skeleton there itself.
    kept = _cache_path(place)
    with writing_into(kept.parent), atomic_write(kept) as temporary:
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
