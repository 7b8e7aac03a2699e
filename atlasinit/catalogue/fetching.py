"""Filling the cache ahead, for machines without a network."""

import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from atlasinit.catalogue import spaces
from atlasinit.catalogue.entries import Variant
from atlasinit.catalogue.resolving import resolve_name
from atlasinit.catalogue.sources import references
from atlasinit.catalogue.sources.registry import SOURCES, source_of
from atlasinit.catalogue.transfer.integrity import find_damage
from atlasinit.errors import AtlasFileError


def fetch_atlases(
    names: Iterable[str],
    *,
    space: str | None = None,
    kind: str = "auto",
    via: str | None = None,
    axes: Mapping[str, Any] | None = None,
    all_offline: bool = False,
) -> list[Path]:
    """Fetch what `load_atlas` needs for the same names and choices, and return the files.

    Parameters
    ----------
    names
        Of the catalogue.
    space, kind, via
        As for `load_atlas`.
    axes
        The other choices, as ``{"parcels": 400, "resolution": 2}``.
    all_offline
        Also every package that holds atlases, so that all that comes ``via`` package can
        be loaded without a network.

    Returns
    -------
    list of pathlib.Path
        Each file once, and the folder of each package that `all_offline` has fetched.

    Raises
    ------
    ValueError
        As `load_atlas`, for names and choices.
    AtlasUnavailableError
        A file could not be fetched.
    AtlasFileError
        A file that nilearn fetched is not whole.
    """
    chosen = [resolve_name(name, space=space, kind=kind, via=via, axes=axes)[0] for name in names]
    return list(fetch_each(chosen, all_offline=all_offline))


def fetch_each(variants: Iterable[Variant], *, all_offline: bool) -> Iterator[Path]:
    """Yield what `fetch_atlases` returns, each file as soon as it is here."""
    for source in SOURCES.values() if all_offline else ():
        yield from source.fetch_ahead()
    yielded: set[Path] = set()
    for variant in variants:
        for path in _fetch_variant(variant):
            if path not in yielded:
                yielded.add(path)
                yield path


def _fetch_variant(variant: Variant) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as scratch:
        found = references.obtain_variant(variant, Path(scratch))
        for reference, path in found.located.items():
            # What was downloaded here was checked; not so what another package did.
            if source_of(reference).obtain is None and (problem := find_damage(path)):
                raise AtlasFileError(path, f"damaged ({problem})", "delete it and fetch again")
            # Images that nilearn made in memory go with `scratch`, and are no files of the cache.
            if path.parent != Path(scratch):
                yield path
    for roles in spaces.meshes(variant).values():
        for surfaces in roles.values():
            yield from (references.obtain(reference) for reference in surfaces)
