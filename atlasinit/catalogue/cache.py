"""The folder that fetched files are kept in."""

import os
from pathlib import Path

VARIABLE = "ATLASINIT_CACHE"
"""Environment variable that names the cache folder."""


def cache_folder() -> Path:
    """Return the cache folder: ``$ATLASINIT_CACHE``, else the platform's own place for caches."""
    stated = os.environ.get(VARIABLE)
    if stated:
        return Path(stated).expanduser()
    import platformdirs

    return Path(platformdirs.user_cache_dir("atlasinit"))
