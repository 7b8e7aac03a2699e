"""Files and folders that appear under their names once they are whole."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from atlasinit.errors import AtlasFileError, Passing
from atlasinit.support.files import expand, name_beside
from atlasinit.support.typing import PathLike


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
        is missing or cannot be written; before anything is written. A disk that is full.
    """
    targets = {name: expand(path) for name, path in files.items()}
    for target in targets.values():
        check_target(target, overwrite=overwrite)
    with contextlib.ExitStack() as stack:
        temporary: dict[str, Path] = {}
        for name, target in targets.items():
            temporary[name] = _make_temporary(target)
            stack.callback(_discard, temporary[name])
        with _telling(list(targets.values()), temporary.values()):
            yield temporary
            _move_in([(temporary[name], target) for name, target in targets.items()])


@contextlib.contextmanager
def _telling(targets: Sequence[Path], written: Iterable[Path]) -> Iterator[None]:
    """Turn what the file system refuses of `written`, or of targets, into an error of the first."""
    try:
        yield
    except OSError as error:
        # A disk that is full or broken names no file.
        names = (error.filename, error.filename2)
        own = all(name is None for name in names) or any(
            Path(os.fsdecode(name)).is_relative_to(path)
            for name in names
            if isinstance(name, str | bytes)
            for path in (*written, *targets)
        )
        if isinstance(error, AtlasFileError) or not own:
            raise
        why = error.strerror or error
        raise AtlasFileError(
            targets[0], f"could not be written ({why}), and nothing of it was left"
        ) from error


def _move_in(pairs: Sequence[tuple[Path, Path]]) -> None:
    """Move each new file to its place; what fails leaves the old ones."""
    if len(pairs) == 1:
        ((new, target),) = pairs
        new.replace(target)
        return
    # Whoever stops the process meanwhile finds no new file beside an old one, but the old ones
    # under other names.
    kept: list[tuple[Path, Path]] = []
    moved: list[Path] = []
    try:
        for _, target in pairs:
            if os.path.lexists(target):
                old = name_beside(target, suffix="".join(target.suffixes[-2:]))
                target.rename(old)
                kept.append((old, target))
        for new, target in pairs:
            new.rename(target)
            moved.append(target)
    except BaseException:
        for target in moved:
            _discard(target)
        for old, target in kept:
            with contextlib.suppress(OSError):
                old.replace(target)
        raise
    for old, _ in kept:
        _discard(old)


def _discard(path: Path) -> None:
    """Take away a file that is of no use any more, if it is there and can be."""
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)


@contextlib.contextmanager
def new_folder(path: PathLike) -> Iterator[Path]:
    """Yield a folder, made if there is none; an error takes it away again where it was made.

    Raises
    ------
    AtlasFileError
        A file in its place; a parent that is missing or cannot be written.
    """
    target = expand(path)
    check_name(target)
    if target.is_dir():
        yield target
        return
    if os.path.lexists(target):
        raise AtlasFileError(target, "is a file, not a folder", "choose another name")
    if not target.parent.is_dir():
        raise AtlasFileError(target, "its folder does not exist", "make it first")
    try:
        target.mkdir()
    except OSError as error:
        raise _unwritable(target, error) from error
    try:
        yield target
    except BaseException:
        # Only an empty one: whatever another process put there stays.
        with contextlib.suppress(OSError):
            target.rmdir()
        raise


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
        raise AtlasFileError(target, "its folder does not exist", "make it first")
    before = _state(target)
    staging = name_beside(target)
    try:
        staging.mkdir()
    except OSError as error:
        raise _unwritable(target, error) from error
    try:
        with _telling([target], [staging]):
            if keep:
                shutil.copytree(
                    target, staging, symlinks=True, copy_function=_link, dirs_exist_ok=True
                )
            yield staging
        if _state(target) != before:
            raise AtlasFileError(
                target,
                "another process has changed it meanwhile, and nothing was written",
                "write to it again",
            )
        with _telling([target], [staging]):
            _take_place(staging, target)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _state(folder: Path) -> tuple[int, int] | None:
    """Return what tells a folder from one that took its place, None where there is none."""
    if not folder.exists():
        return None
    # Another folder has another inode; files that come or go change the time.
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
    try:
        kept = Path(tempfile.mkdtemp(prefix=".atlasinit-old-", dir=target.parent))
    except OSError as error:
        raise _unwritable(target, error) from error
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
        raise AtlasFileError(target, f"could not be replaced ({error.strerror})", where) from error


def _unwritable(target: Path, error: OSError) -> AtlasFileError:
    return AtlasFileError(
        target, f"its folder cannot be written ({error.strerror})", "choose another"
    )


def check_name(target: Path) -> None:
    """Raise where no file or folder can have the name, or be looked for there."""
    try:
        target.lstat()
    except (FileNotFoundError, NotADirectoryError):
        pass
    except (OSError, ValueError) as error:  # too long, or with a null byte
        why = getattr(error, "strerror", error)
        raise AtlasFileError(target, f"cannot be written ({why})", "choose another name") from error


def check_target(target: Path, *, overwrite: bool) -> None:
    """Raise what `atomic_writes` would, before the work is done that is to be written."""
    check_name(target)
    if target.is_dir():
        raise AtlasFileError(target, "is a folder, not a file")
    if not overwrite and os.path.lexists(target):  # also a link to nothing
        raise AtlasFileError(
            target, "exists already", "pass " + Passing(overwrite=True) + " to replace it"
        )
    if not target.parent.is_dir():
        raise AtlasFileError(target, "its folder does not exist", "make it first")


def _make_temporary(target: Path) -> Path:
    """Return a new empty file beside `target`, of the same extension."""
    # Writers go by the extension, whose last two parts are enough for any.
    path = name_beside(target, suffix="".join(target.suffixes[-2:]))
    try:
        path.touch(exist_ok=False)
    except OSError as error:
        raise _unwritable(target, error) from error
    return path
