"""The hash of a file, and names beside it: without NumPy, which listings do not wait for."""

import hashlib
import os
import secrets
from pathlib import Path

from atlasinit.errors import AtlasFileError


def expand(path: str | os.PathLike[str]) -> Path:
    """Return a path with the home of a user in place of ``~`` or ``~user``."""
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise AtlasFileError(
            path, "begins with the home of a user that this machine does not have"
        ) from error


def sha256(path: str | os.PathLike[str]) -> str:
    """Return the hexadecimal sha256 of a file's content."""
    try:
        with Path(path).open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        # A disk that fails names no file.
        if error.filename is None:
            raise AtlasFileError(path, f"could not be read ({error.strerror})") from error
        raise


def name_beside(target: Path, *, suffix: str = "") -> Path:
    """Return a new name beside `target`.

    What is made there has the usual permissions, which `tempfile` would not give.
    """
    # In the same folder, so on the same file system: renaming it to `target` is one step.
    return target.with_name(f".atlasinit-{secrets.token_hex(8)}{suffix}")
