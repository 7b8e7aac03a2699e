"""Files at an address, kept in the cache."""

import hashlib
from pathlib import Path
from urllib.parse import urlsplit

from atlasinit.catalogue.sources.base import Source
from atlasinit.catalogue.transfer.cache import cache_folder
from atlasinit.catalogue.transfer.downloading import download, is_present
from atlasinit.errors import AtlasUnavailableError


def is_url(source: object) -> bool:
    """Whether `source` is the address of a file."""
    return isinstance(source, str) and source.startswith(("https://", "http://"))


def url_target(reference: str) -> Path:
    """Return where the cache keeps the file of an address."""
    address = reference.split("#", 1)[0]
    # Two addresses may end in one name. The name stays, as its ending tells the format.
    digest = hashlib.sha256(address.encode()).hexdigest()[:16]
    return cache_folder() / "url" / digest / Path(urlsplit(address).path).name


def find_url(reference: str) -> Path | None:
    """Return the file of an address if it is in the cache, with the hash that is stated."""
    kept = url_target(reference)
    return kept if is_present(kept, _sha256(reference)) else None


def obtain_url(place: str, *, allow_download: bool = True) -> Path:
    """Return the file of an address, whose hash may follow as ``#sha256=...``.

    A file in the cache whose hash is another is fetched again.
    """
    address = place.split("#", 1)[0]
    target, sha256 = url_target(place), _sha256(place)
    if is_present(target, sha256):
        return target
    if not allow_download:
        wanted = f" with the sha256 {sha256}" if sha256 else ""
        raise AtlasUnavailableError(address, f"not in the cache ({target}){wanted}")
    return download(address, target, sha256=sha256)


def _sha256(reference: str) -> str | None:
    """Return the hash that an address states, None where it states none."""
    return reference.partition("#sha256=")[2] or None


SOURCE = Source(
    via="url",
    schemes=("https", "http"),
    find=find_url,
    obtain=obtain_url,
    origin=lambda variant, place: f"url:{place}",
    hosts={"GitHub": "https://raw.githubusercontent.com"},
)
