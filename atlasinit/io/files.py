"""Paths, extensions, hashes, guarded reading and atomic writing."""

import contextlib
import contextvars
import os
import shutil
import tempfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import nibabel as nb
from nibabel.arrayproxy import ArrayProxy
from nibabel.freesurfer.mghformat import MGHHeader
from nibabel.imageglobals import logger
from nibabel.openers import ImageOpener

from atlasinit.errors import AtlasFileError
from atlasinit.support.files import beside
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


@contextlib.contextmanager
def atomic_write(path: PathLike, *, overwrite: bool = True) -> Iterator[Path]:
    """Yield a temporary path beside `path` and move it there once it is whole.

    An error leaves an existing file as it was, and no temporary file. A process that
    is killed leaves the old file, or none where there was none.
    """
    with atomic_writes({"file": Path(path)}, overwrite=overwrite) as temporary:
        yield temporary["file"]


@contextlib.contextmanager
def atomic_writes(files: Mapping[str, Path], *, overwrite: bool) -> Iterator[dict[str, Path]]:
    """Yield temporary paths that become `files` together, once all are whole.

    Raises
    ------
    AtlasFileError
        A file that exists without `overwrite`, a folder in its place, or a folder that
        is missing or cannot be written; before anything is written.
    """
    targets = {name: Path(path).expanduser() for name, path in files.items()}
    for target in targets.values():
        check_target(target, overwrite=overwrite)
    with contextlib.ExitStack() as stack:
        temporary: dict[str, Path] = {}
        for name, target in targets.items():
            temporary[name] = _temporary(target)
            stack.callback(temporary[name].unlink, missing_ok=True)
        yield temporary
        if len(targets) > 1:
            # Whoever stops the process here finds no new file beside an old one.
            for target in targets.values():
                target.unlink(missing_ok=True)
        for name, target in targets.items():
            temporary[name].replace(target)


@contextlib.contextmanager
def staged_folder(target: Path, *, keep: bool) -> Iterator[Path]:
    """Yield a new folder beside `target` that takes its place once it is whole.

    With `keep` it begins with the files of `target`, which are not copied: what is
    written over them has to be a new file. Whatever stops the process leaves the old
    folder, or none.

    Raises
    ------
    AtlasFileError
        A parent that is missing or cannot be written; a `target` that another process
        has put in place meanwhile, whose files would be lost.
    """
    if not target.parent.is_dir():
        raise AtlasFileError(f"{target}: its folder does not exist; make it first.")
    before = _state(target)
    staging = beside(target)
    try:
        staging.mkdir()
    except OSError as error:
        raise _unwritable(target, error) from error
    try:
        if keep:
            shutil.copytree(target, staging, symlinks=True, copy_function=_link, dirs_exist_ok=True)
        yield staging
        if _state(target) != before:
            raise AtlasFileError(
                f"{target}: another process has changed it meanwhile, and nothing was written; "
                "write to it again."
            )
        _take_place(staging, target)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _state(folder: Path) -> tuple[int, int] | None:
    """Return what tells a folder from one that took its place, None where there is none."""
    if not folder.exists():
        return None
    found = folder.stat()
    return found.st_ino, found.st_mtime_ns


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        # Not every file system has links.
        shutil.copy2(source, target)


def _take_place(folder: Path, target: Path) -> None:
    if not target.exists():
        folder.rename(target)
        return
    kept = Path(tempfile.mkdtemp(prefix=".atlasinit-old-", dir=target.parent))
    try:
        _exchange(folder, target, kept / target.name)
    except BaseException:
        # Only an empty folder goes: the old one may not have come back out of it.
        with contextlib.suppress(OSError):
            kept.rmdir()
        raise
    shutil.rmtree(kept, ignore_errors=True)


def _exchange(folder: Path, target: Path, old: Path) -> None:
    """Move `target` to `old` and `folder` to `target`, or leave `target` in its place."""
    try:
        target.rename(old)
        try:
            folder.rename(target)
        except BaseException:
            old.rename(target)
            raise
    except OSError as error:
        where = f"what it held lies in {old}; move it back" if old.exists() else "it is as it was"
        raise AtlasFileError(
            f"{target}: could not be replaced ({error.strerror}); {where}."
        ) from error


def _unwritable(target: Path, error: OSError) -> AtlasFileError:
    return AtlasFileError(
        f"{target}: its folder cannot be written ({error.strerror}); choose another."
    )


def check_name(target: Path) -> None:
    """Raise where no file or folder can have the name, or be looked for there."""
    try:
        target.lstat()
    except (FileNotFoundError, NotADirectoryError):
        pass
    except (OSError, ValueError) as error:  # too long, or with a null byte
        why = getattr(error, "strerror", error)
        raise AtlasFileError(
            f"{target}: cannot be written ({why}); choose another name."
        ) from error


def check_target(target: Path, *, overwrite: bool) -> None:
    """Raise what `atomic_writes` would, before the work is done that is to be written."""
    check_name(target)
    if target.is_dir():
        raise AtlasFileError(f"{target}: is a folder, not a file.")
    if not overwrite and target.exists():
        raise AtlasFileError(f"{target}: exists already; pass overwrite=True to replace it.")
    if not target.parent.is_dir():
        raise AtlasFileError(f"{target}: its folder does not exist; make it first.")


def _temporary(target: Path) -> Path:
    """Return a new empty file beside `target`, of the same extension."""
    path = beside(target, suffix=extension(target))
    try:
        path.touch(exist_ok=False)
    except OSError as error:
        raise _unwritable(target, error) from error
    return path
