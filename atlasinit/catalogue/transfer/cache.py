"""The folder that fetched files are kept in."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from atlasinit.errors import AtlasUnavailableError
from atlasinit.support.files import expand

VARIABLE = "ATLASINIT_CACHE"
"""Environment variable that names the cache folder."""


def cache_folder() -> Path:
    """Return the cache folder: ``$ATLASINIT_CACHE``, else the platform's own place for caches."""
    stated = os.environ.get(VARIABLE)
    if stated:
        return expand(stated)
    import platformdirs

    return Path(platformdirs.user_cache_dir("atlasinit"))


@contextlib.contextmanager
def writing_into(folder: Path) -> Iterator[None]:
    """Make a folder; errors of one that cannot be written become `AtlasUnavailableError`."""
    # AtlasUnavailableError is an OSError too, and has more to say than that a folder failed.
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    except AtlasUnavailableError:
        raise
    except OSError as error:
        # Of a file in it that could not be made, or filled: a full disk is said of the file.
        raise AtlasUnavailableError(
            error.filename or folder,
            f"cannot be written ({error.strerror or error})",
            f"set {VARIABLE} (for files of TemplateFlow TEMPLATEFLOW_HOME) to a folder that can be",
        ) from error
