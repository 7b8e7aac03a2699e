"""Real files of other packages, found without importing these packages."""

import importlib.metadata
from pathlib import Path

import pytest

from atlasinit.catalogue.transfer.cache import cache_folder


def package_file(dist: str, path: str) -> Path:
    """Return the file `path` of the distribution `dist`, installed or fetched into the cache."""
    try:
        found = Path(str(importlib.metadata.distribution(dist).locate_file(path)))
        if found.is_file():
            return found
    except importlib.metadata.PackageNotFoundError:
        pass
    folder = cache_folder() / "packages"
    cached = sorted(folder.glob(f"{dist}-*/{path}"))
    if not cached:
        pytest.fail(
            f"{path} of the package {dist} is neither installed nor in {folder}; "
            "`atlasinit fetch --all-offline` fills the cache with the atlases of packages.",
            pytrace=False,
        )
    return cached[-1]
