"""What atlases there are, where their files come from, and how they get here."""

from typing import TYPE_CHECKING

from atlasinit.support.lazy import export_lazily as _export_lazily

if TYPE_CHECKING:
    from atlasinit.catalogue.building import build as build
    from atlasinit.catalogue.completing import add_surfaces as add_surfaces
    from atlasinit.catalogue.fetching import fetch_atlases as fetch_atlases
    from atlasinit.catalogue.listing import describe as describe
    from atlasinit.catalogue.listing import list_atlases as list_atlases
    from atlasinit.catalogue.resolving import entry_of as entry_of
    from atlasinit.catalogue.resolving import resolve as resolve
    from atlasinit.catalogue.resolving import resolve_name as resolve_name
    from atlasinit.catalogue.sources.package import package_file as package_file
    from atlasinit.catalogue.sources.url import is_url as is_url
    from atlasinit.catalogue.sources.url import obtain_url as obtain_url
    from atlasinit.catalogue.transfer.cache import cache_folder as cache_folder
    from atlasinit.catalogue.transfer.downloading import download as download

_HOMES = {
    "add_surfaces": "completing",
    "build": "building",
    "cache_folder": "transfer.cache",
    "download": "transfer.downloading",
    "fetch_atlases": "fetching",
    "is_url": "sources.url",
    "obtain_url": "sources.url",
    "describe": "listing",
    "list_atlases": "listing",
    "package_file": "sources.package",
    "entry_of": "resolving",
    "resolve": "resolving",
    "resolve_name": "resolving",
}

__getattr__, __dir__, __all__ = _export_lazily(__name__, _HOMES)
