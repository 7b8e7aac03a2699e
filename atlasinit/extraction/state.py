"""What of an output is done: a record for each run, and claims of those that are worked on."""

import contextlib
import dataclasses
import errno
import hashlib
import json
import os
import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from atlasinit.errors import AtlasFileError, ContentError, Passing, format_list
from atlasinit.support.files import sha256
from atlasinit.support.writing import atomic_write

FOLDER = ".atlasinit"
"""Hidden, so that readers of BIDS do not look into it."""

_LONGEST = 255  # bytes of a name, of which file systems have no longer ones
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)

RUNS, GROUPS = "runs", "groups"
"""Folders of records: of each run, and of what is made of all runs of an atlas."""


@dataclasses.dataclass(frozen=True)
class Record:
    """What became of a run.

    Parameters
    ----------
    status
        ``"done"`` or ``"failed"``.
    tasks
        Each part of the run, an atlas on an image, to the fingerprint of what it was made of.
    files
        Files below the output, to what tells whether they are as they were written (`seal`).
    reason
        Why it failed.
    stems
        Each atlas that the run has, to how the names of its tables begin, below the output.
    quality
        Numbers of the run for the table of all.
    seconds
        That it took.
    """

    status: str
    tasks: Mapping[str, str]
    files: Mapping[str, Sequence[Any]]
    reason: str = ""
    stems: Mapping[str, str] = dataclasses.field(default_factory=dict)
    quality: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    seconds: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what the JSON of a record may hold, but no run wrote."""
        if not all(isinstance(one, dict) for one in (self.tasks, self.files, self.quality)):
            raise ContentError("has tasks, files or quality that are no mappings")
        # Files are taken away with their record: none outside of the output may be named.
        for file, sealed in self.files.items():
            parts = Path(file).parts
            outside = not parts or Path(file).is_absolute() or ".." in parts or "\0" in file
            if outside or any(len(os.fsencode(part)) > _LONGEST for part in parts):
                raise ContentError(f"names {file[:80]!r}, which is no file below its folder")
            if not isinstance(sealed, list | tuple) or len(sealed) != 3:
                raise ContentError(f"does not say how {file!r} was written")


@contextlib.contextmanager
def telling(root: Path) -> Iterator[None]:
    """Turn what the file system refuses, as a full disk does, into an error with the file."""
    try:
        yield
    except AtlasFileError:
        raise
    except OSError as error:
        inside = isinstance(error.filename, str) and Path(error.filename).is_relative_to(root)
        if error.errno not in _NO_ROOM and not inside:
            raise
        raise AtlasFileError(
            error.filename or root,
            f"could not be written ({error.strerror or error})",
            "what is done stays; call again once there is room",
        ) from error


def fingerprint(content: Any) -> str:
    """Return the hash of plain data."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:32]


def stamp(path: Path) -> list[Any]:
    """Return what tells a file from another of its name: its size, and when it was written."""
    found = path.stat()
    return [path.name, found.st_size, found.st_mtime_ns]


def seal(path: Path) -> list[Any]:
    """Return what a file is known by: its size, when it was written, and its hash."""
    found = path.stat()
    return [found.st_size, found.st_mtime_ns, sha256(path)]


def is_sealed(path: Path, sealed: Sequence[Any]) -> bool:
    """Whether a file is as it was: by its time where that stayed, else, as of a copy, by hash."""
    size, written, digest = sealed
    if not path.is_file() or path.stat().st_size != size:
        return False
    return path.stat().st_mtime_ns == written or sha256(path) == digest


def list_files(folder: Path) -> list[str]:
    """Return the files below a folder."""
    found = (path for path in folder.rglob("*") if path.is_file())
    return sorted(path.relative_to(folder).as_posix() for path in found)


def seal_files(folder: Path) -> dict[str, list[Any]]:
    """Return the files below a folder with their seals."""
    return {file: seal(folder / file) for file in list_files(folder)}


@dataclasses.dataclass(frozen=True)
class Ledger:
    """The records of an output, the folder `root`."""

    root: Path

    @property
    def folder(self) -> Path:
        """Where all of them lie."""
        return self.root / FOLDER

    def open(self) -> None:
        """Make the folders that there are not."""
        try:
            for name in (RUNS, GROUPS, "claims", "staging"):
                (self.folder / name).mkdir(parents=True, exist_ok=True)
            with atomic_write(self.folder / "writable"):
                pass
        except OSError as error:
            told = error.strerror or getattr(error, "problem", "")
            raise AtlasFileError(
                self.root, f"cannot be written ({told})", "choose another folder"
            ) from error

    @contextlib.contextmanager
    def claim(self, name: str) -> Iterator[bool]:
        """Yield whether what is called `name` is this process's: no other has it meanwhile."""
        from filelock import FileLock, Timeout

        # The system releases it when the process ends, however that ends.
        lock = FileLock(self.folder / "claims" / f"{name}.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            yield False
            return
        try:
            yield True
        finally:
            lock.release()

    @contextlib.contextmanager
    def hold(self, name: str) -> Iterator[None]:
        """Wait until what is called `name` is this process's."""
        from filelock import FileLock

        with FileLock(self.folder / "claims" / f"{name}.lock"):
            yield

    def read(self, name: str, kind: str = RUNS) -> Record | None:
        """Return the record of a run, or of a group, None where there is none that can be read."""
        try:
            text = (self.folder / kind / f"{name}.json").read_text(encoding="utf-8")
            return Record(**json.loads(text))
        # Of nested brackets Python's parser raises a RecursionError.
        except (OSError, ValueError, TypeError, RecursionError):
            return None

    def write(self, name: str, record: Record, kind: str = RUNS) -> None:
        """Keep the record of a run, or of a group."""
        with atomic_write(self.folder / kind / f"{name}.json") as temporary:
            temporary.write_text(json.dumps(dataclasses.asdict(record)), encoding="utf-8")

    def records(self, kind: str = RUNS) -> dict[str, Record]:
        """Return all records by run, or by group."""
        names = sorted(path.stem for path in (self.folder / kind).glob("*.json"))
        found = {name: self.read(name, kind) for name in names if not name.startswith(".")}
        return {name: record for name, record in found.items() if record is not None}

    def find_done(self, run: str, tasks: Mapping[str, str]) -> Record | None:
        """Return the record of a run that has these tasks, made of the same, and is whole."""
        record = self.read(run)
        if record is None or record.status != "done" or not tasks.items() <= record.tasks.items():
            return None
        return record if self.is_whole(record) else None

    def is_whole(self, record: Record) -> bool:
        """Whether the files of a record are as they were written."""
        return all(is_sealed(self.root / file, own) for file, own in record.files.items())

    @contextlib.contextmanager
    def staged(self, run: str) -> Iterator[Path]:
        """Yield an empty folder whose files move below the output once all of them are whole."""
        staging = self.folder / "staging" / run
        # Of a process that was killed.
        shutil.rmtree(staging, ignore_errors=True)
        staging.mkdir(parents=True)
        try:
            yield staging
            for file in list_files(staging):
                target = self.root / file
                target.parent.mkdir(parents=True, exist_ok=True)
                (staging / file).replace(target)
        finally:
            shutil.rmtree(staging, ignore_errors=True)

    def tidy(self) -> None:
        """Remove what processes left that were killed, of runs that no process has."""
        for folder in (self.folder / "staging").iterdir():
            with self.claim(folder.name) as mine:
                if mine:
                    shutil.rmtree(folder, ignore_errors=True)

    def remove(self, record: Record) -> None:
        """Remove the files of a record."""
        for path in map(self.root.joinpath, record.files):
            # No folder that took the place of a file.
            if path.is_file() or path.is_symlink():
                path.unlink(missing_ok=True)

    def settle(self, options: Mapping[str, Any], runs: Collection[str], *, overwrite: bool) -> None:
        """Keep what all runs of the output are made with, or compare it with what was kept.

        Raises
        ------
        AtlasFileError
            Other options than those before, without `overwrite`; with it, what was made with
            those is removed, unless some of it is of other atlases, or of runs that are none of
            `runs`, and would not be made again.
        """
        path = self.folder / "options.json"
        with self.hold("options"):
            before = None
            if path.is_file():
                before = _read_options(path)
            added = dict(options)
            if before is not None:
                # Atlases may be added, but not be others under the same labels.
                added["atlases"] = {**before.get("atlases", {}), **options["atlases"]}
                changed = [*_list_changes(before, options)]
                if changed and not overwrite:
                    raise AtlasFileError(
                        self.root,
                        "holds an extraction with other options: " + "; ".join(changed),
                        "choose another folder, or pass "
                        + Passing(overwrite=True)
                        + " to replace what is there",
                    )
                if changed:
                    self._check_made_again(before, options, runs)
                    for kind in (RUNS, GROUPS):
                        for record in self.records(kind).values():
                            self.remove(record)
                        shutil.rmtree(self.folder / kind)
                        (self.folder / kind).mkdir()
                    shutil.rmtree(self.root / "atlases", ignore_errors=True)
                    added = dict(options)
            with atomic_write(path) as temporary:
                temporary.write_text(json.dumps(added, indent=1), encoding="utf-8")

    def _check_made_again(
        self, before: Mapping[str, Any], options: Mapping[str, Any], runs: Collection[str]
    ) -> None:
        lost = [f"run {name}" for name in self.records() if name not in runs]
        lost += [f"atlas {a}" for a in before.get("atlases", {}) if a not in options["atlases"]]
        if lost:
            raise AtlasFileError(
                self.root,
                f"holds what would be removed and not made again: {format_list(lost, 5)}",
                "extract all of it, choose another folder, or remove this one yourself",
            )


def _read_options(path: Path) -> dict[str, Any]:
    """Return what the runs of an output were made with."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(found, dict) and isinstance(found.get("atlases", {}), dict):
            return found
    except (OSError, ValueError, RecursionError):
        pass
    raise AtlasFileError(path, "is damaged", "remove this file to do all runs again")


def _list_changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    for name, value in now.items():
        old = before.get(name)
        if name != "atlases" and old != json.loads(json.dumps(value)):
            yield f"{name} was {old}, is {value}"
    for label, digest in now["atlases"].items():
        if before.get("atlases", {}).get(label, digest) != digest:
            yield f"the atlas {label} was another"
