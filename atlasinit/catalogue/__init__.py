"""What atlases there are, where their files come from, and how they get here."""

from atlasinit.catalogue.building import Request as Request
from atlasinit.catalogue.building import build as build
from atlasinit.catalogue.cache import cache_folder as cache_folder
from atlasinit.catalogue.downloading import download as download
from atlasinit.catalogue.fetching import fetch_atlases as fetch_atlases
from atlasinit.catalogue.files import is_url as is_url
from atlasinit.catalogue.files import obtain_url as obtain_url
from atlasinit.catalogue.listing import describe as describe
from atlasinit.catalogue.listing import list_atlases as list_atlases
from atlasinit.catalogue.packages import package_file as package_file
from atlasinit.catalogue.resolving import entry_of as entry_of
from atlasinit.catalogue.resolving import resolve as resolve
