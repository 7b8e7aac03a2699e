"""Paths, extensions, and guarded reading."""

import contextlib
import contextvars
import os
import zlib
from collections.abc import Iterator
from pathlib import Path

from isal.isal_zlib import IsalError
from nibabel.imageglobals import logger

from atlasinit.errors import AtlasFileError, AtlasWarning, ContentError
from atlasinit.io.signatures import GET_ANNEXED, LENGTH, check_signature
from atlasinit.support.files import expand
from atlasinit.support.typing import PathLike

_OF_TABLES = (".xml", ".lut", ".json")


def extensions() -> tuple[str, ...]:
    """Return the known extensions, of formats and tables, the longer before those that end them."""
    # Here, as the formats use this module themselves.
    from atlasinit.io.formats.registry import endings

    return tuple(sorted({*endings(), *_OF_TABLES}, key=lambda ending: (-len(ending), ending)))


def extension(path: PathLike) -> str:
    """Return the known extension that ends `path`, in lower case, or its last suffix."""
    name = os.fspath(path).lower()
    return next((e for e in extensions() if name.endswith(e)), Path(name).suffix)


def existing(path: PathLike) -> Path:
    """Return `path`, which must be a file."""
    found = expand(path)
    # Unlike a path's own methods these also answer for a name that no file can have.
    if os.path.isfile(found):
        return found
    if os.path.isdir(found):
        raise AtlasFileError(found, "is a folder, not a file")
    if not os.path.islink(found):
        raise AtlasFileError(found, "no such file")
    target = os.readlink(found)
    if "annex/objects/" in target:
        raise AtlasFileError(
            found, "is a link of git-annex, whose file is not here", GET_ANNEXED.format(found.name)
        )
    raise AtlasFileError(found, f"is a link to {target}, which is no file")


@contextlib.contextmanager
def reading(path: PathLike, what: str) -> Iterator[Path]:
    """Yield an existing path; errors of readers become `AtlasFileError` with the path.

    `what` says what the file should be, as ``"a NIfTI image"``.
    """
    found = existing(path)
    with parsing(found, what):
        with found.open("rb") as file:
            check_signature(file.read(LENGTH), found)
        yield found


@contextlib.contextmanager
def parsing(source: object, what: str) -> Iterator[None]:
    """Turn errors of readers into `AtlasFileError` that begins with `source`, a path or a name."""
    try:
        yield
    except (AtlasFileError, AtlasWarning):  # a warning where the user makes errors of them
        raise
    except ContentError as error:
        raise error.of_file(source, what) from error
    except (EOFError, zlib.error, IsalError) as error:  # pyright: ignore[reportGeneralTypeIssues]
        raise AtlasFileError(
            source, f"truncated or damaged ({error})", f"expected {what}. Fetch it again"
        ) from error
    except Exception as error:
        # Readers of binary formats raise whatever a damaged byte leads them to.
        raise AtlasFileError(source, f"could not be read as {what}: {error}") from error


# Each thread has its own: the logger's level would be that of all of them.
_quiet = contextvars.ContextVar("_quiet", default=False)
logger.addFilter(lambda record: not _quiet.get())


@contextlib.contextmanager
def unlogged() -> Iterator[None]:
    """Keep nibabel from logging what it mends in headers.

    The spatial fields of a CIFTI file's NIfTI header, for instance, mean nothing.
    """
    # nibabel's own suppressor removes the handlers, after which Python prints the records itself.
    token = _quiet.set(True)
    try:
        yield
    finally:
        _quiet.reset(token)
