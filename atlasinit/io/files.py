"""Paths, extensions, and guarded reading."""

import contextlib
import contextvars
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nibabel as nb
from nibabel.arrayproxy import ArrayProxy
from nibabel.freesurfer.mghformat import MGHHeader
from nibabel.imageglobals import logger
from nibabel.openers import ImageOpener

from atlasinit.errors import AtlasFileError
from atlasinit.support.typing import PathLike

EXTENSIONS = (
    ".dlabel.nii",
    ".dscalar.nii",
    ".dtseries.nii",
    ".pscalar.nii",
    ".ptseries.nii",
    ".label.gii.gz",
    ".label.gii",
    ".func.gii.gz",
    ".func.gii",
    ".shape.gii.gz",
    ".shape.gii",
    ".surf.gii.gz",
    ".surf.gii",
    ".gii.gz",
    ".gii",
    ".nii.gz",
    ".nii",
    ".annot",
    ".mgz",
    ".mgh",
    ".scipy.npz",
    ".npz",
    ".weight.safetensors",
    ".safetensors",
    ".csv",
    ".tsv",
    ".txt",
    ".xml",
    ".lut",
    ".json",
)
"""Known extensions, the longer before the shorter that ends it."""


def extension(path: PathLike) -> str:
    """Return the known extension that ends `path`, in lower case, or its last suffix."""
    name = os.fspath(path).lower()
    return next((e for e in EXTENSIONS if name.endswith(e)), Path(name).suffix)


def existing(path: PathLike) -> Path:
    """Return `path`, which must be a file."""
    found = Path(path).expanduser()
    # Unlike a path's own methods these also answer for a name that no file can have.
    if not os.path.isfile(found):
        what = "is a folder, not a file" if os.path.isdir(found) else "no such file"
        raise AtlasFileError(f"{found}: {what}.")
    return found


@contextlib.contextmanager
def reading(path: PathLike, what: str) -> Iterator[Path]:
    """Yield an existing path; errors of readers become `AtlasFileError` with the path.

    `what` says what the file should be, as ``"a NIfTI image"``.
    """
    found = existing(path)
    with parsing(found, what):
        yield found


@contextlib.contextmanager
def parsing(source: object, what: str) -> Iterator[None]:
    """Turn errors of readers into `AtlasFileError` that begins with `source`, a path or a name."""
    try:
        yield
    except AtlasFileError:
        raise
    except (EOFError, zlib.error) as error:
        raise AtlasFileError(
            f"{source}: truncated or damaged ({error}); expected {what}. Fetch it again."
        ) from error
    except Exception as error:
        # Readers of binary formats raise whatever a damaged byte leads them to.
        raise AtlasFileError(f"{source}: could not be read as {what}: {error}") from error


def open_image(path: Path, *, keep_file_open: bool | None = None) -> Any:
    """Return nibabel's image of a file, of which nothing but the header is read."""
    kind = extension(path)
    if kind not in (".mgh", ".mgz"):
        # nibabel reads GIFTI whole, and takes no such option for it.
        options = {} if kind.endswith((".gii", ".gii.gz")) else {"keep_file_open": keep_file_open}
        with unlogged():
            return nb.load(path, **options)
    # nibabel does not close a file of this format that it opens itself.
    with ImageOpener(str(path)) as stream:
        header = MGHHeader.from_fileobj(stream)
    data = ArrayProxy(path, header, keep_file_open=keep_file_open)
    return nb.MGHImage(data, header.get_affine(), header)


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
