"""Downloads that are verified before they count."""

import contextlib
import hashlib
import os
import re
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from atlasinit.catalogue.transfer.cache import cache_folder, writing_into
from atlasinit.catalogue.transfer.integrity import find_damage
from atlasinit.errors import ArgumentError, AtlasUnavailableError
from atlasinit.support import files as _files

# Timeout, too early, too many requests, and what servers answer while they or a proxy are down.
_RETRIED = {408, 425, 429, 500, 502, 503, 504}
"""Statuses after which another try may succeed."""

_CHUNK = 1 << 16

LIMIT = "ATLASINIT_DOWNLOAD_GIB"
"""The environment variable that raises the bound of a download."""

_USUAL = 16.0  # GiB


class _RetryError(Exception):
    """A failure after which another try may succeed."""

    def __init__(self, problem: str) -> None:
        super().__init__(problem)
        self.problem = problem


def download(
    url: str,
    target: Path,
    *,
    sha256: str | None = None,
    timeout: float = 30.0,
    tries: int = 4,
    pause: float = 0.5,
) -> Path:
    """Download a file and return its path, `target`.

    The file appears at `target` at once and whole: it is fetched beside, checked
    (its length, its sha256 where one is given, and read to its end), then moved. A lock
    lets several processes ask for one file: the first fetches it, the others wait
    and use it. A broken transfer is continued where it stopped if the server can.
    An existing file at `target` is returned as it is, unless its hash is another; then
    it stays until the right one has come.

    Parameters
    ----------
    url
        ``http`` or ``https`` address.
    target
        Where the file belongs; its folder is made.
    sha256
        Expected hash.
    timeout
        Seconds without a byte after which a try has stalled.
    tries
        How often to try.
    pause
        Seconds before the second try, doubled before each further one.

    Raises
    ------
    AtlasUnavailableError
        No try succeeded, and the message begins with the address; or the folder of the
        cache or of `target` cannot be written.
    """
    from filelock import FileLock

    # Not beside the target: what a broken transfer leaves would lie in TemplateFlow's folder.
    work = cache_folder() / "downloads"
    # One lock and one part per target, whatever address it is fetched from.
    stem = hashlib.sha256(os.fspath(target.absolute()).encode()).hexdigest()[:24]
    part = work / f"{stem}.part"
    with writing_into(work), FileLock(work / f"{stem}.lock"):
        # Another process may have fetched it while this one waited for the lock.
        if is_present(target, sha256):
            return target
        if sha256 is None:
            # Without a hash nothing tells whether an old part is of the same file.
            part.unlink(missing_ok=True)
        for attempt in range(1, tries + 1):
            try:
                _transfer(url, part, timeout=timeout)
                _check(part, target.name, sha256)
                break
            except _RetryError as error:
                if attempt == tries:
                    told = f"{error.problem} (after {tries} tries)"
                    raise AtlasUnavailableError(url, told) from error
            time.sleep(pause * 2 ** (attempt - 1))
        with writing_into(target.parent):
            _place(part, target)
    return target


_offline = threading.local()


@contextlib.contextmanager
def without_network() -> Iterator[None]:
    """Refuse, in the context and in this thread alone, whatever is asked of ``requests``.

    For fetchers of other packages, which take no switch for it.
    """
    from unittest import mock

    import requests

    # All threads see the patched method; it refuses only where the calling thread's depth says so.

    with _PATCHING:
        send = requests.Session.send

        def refuse(self: Any, request: Any, **options: Any) -> Any:
            if getattr(_offline, "depth", 0):
                raise requests.ConnectionError("a download was not allowed")
            return send(self, request, **options)

        _offline.depth = getattr(_offline, "depth", 0) + 1
        try:
            with mock.patch.object(requests.Session, "send", refuse):
                yield
        finally:
            _offline.depth -= 1


_PATCHING = threading.RLock()
"""Held while ``requests`` is not itself, so that contexts of several threads nest."""


def is_present(path: Path, sha256: str | None = None) -> bool:
    """Whether `path` is a file that is not empty, with the hash where one is given."""
    if not path.is_file() or path.stat().st_size == 0:
        return False
    return sha256 is None or _files.sha256(path) == sha256.lower()


def _transfer(url: str, part: Path, *, timeout: float) -> None:
    """Append to `part` what is missing of the file at `url`."""
    import requests

    # Uncompressed, as the length and the offset are compared with the bytes that are written.
    done = part.stat().st_size if part.exists() else 0
    headers = {"Accept-Encoding": "identity"}
    bound = _largest()
    if done:
        headers["Range"] = f"bytes={done}-"
    try:
        with requests.get(url, headers=headers, stream=True, timeout=timeout) as reply:
            # The part is at least as long as the file, and so may be of another.
            if reply.status_code == 416:
                part.unlink(missing_ok=True)
                raise _RetryError("the server's file is shorter than what was fetched before")
            if reply.status_code in _RETRIED:
                raise _RetryError(f"the server answered {reply.status_code} {reply.reason}")
            if not reply.ok:
                raise AtlasUnavailableError(
                    url, f"the server answered {reply.status_code} {reply.reason}"
                )
            # 206 is the rest that was asked for; a server that cannot resume sends all with 200.
            resumed = reply.status_code == 206
            if resumed:
                _check_range(reply.headers.get("Content-Range", ""), done, part)
            _store(reply, part, done=done if resumed else 0, bound=bound)
    # What is wrong with an address that a server names is not always requests' own error.
    except (requests.RequestException, ValueError) as error:
        raise _RetryError(f"{type(error).__name__}: {find_reason(error)}") from error


def _check_range(stated: str, done: int, part: Path) -> None:
    """Refuse a part that does not begin where the last one ended, or was not asked for."""
    found = re.fullmatch(r"bytes (\d{1,18})-\d{1,18}/(\d{1,18}|\*)", stated.strip())
    if not done or found is None or int(found[1]) != done:
        part.unlink(missing_ok=True)
        raise _RetryError(f"the server sent {stated[:60] or 'a part'!r} instead of what was asked")


def find_reason(error: Exception) -> str:
    """Return what went wrong below requests, without the address and the objects it was in."""
    # requests wraps urllib3's MaxRetryError, whose reason reads "HTTPSConnection(host='x.org',
    # port=443): Failed to resolve 'x.org' ...".
    inner = error.args[0] if error.args and isinstance(error.args[0], Exception) else error
    return str(getattr(inner, "reason", inner)).rpartition("): ")[2]


def _store(reply: Any, part: Path, *, done: int, bound: int) -> None:
    length = reply.headers.get("Content-Length")
    if length is not None and not re.fullmatch(r"\d{1,18}", length.strip()):
        raise _RetryError(f"the server states {length[:40]!r} as the length")
    total = None if length is None else done + int(length)
    size = done
    with part.open("ab" if done else "wb") as stream, _progress(reply.url, total, done) as bar:
        for chunk in reply.iter_content(_CHUNK):
            size += len(chunk)
            if max(size, total or 0) > bound:
                break
            _write(stream, chunk, part)
            bar.update(len(chunk))
    if max(size, total or 0) > bound:
        part.unlink()
        raise AtlasUnavailableError(
            reply.url,
            f"has {max(size, total or 0)} bytes or more, where {bound} are allowed",
            f"If it should be that large, set the environment variable {LIMIT}, in GiB",
        )
    if total is not None and size < total:
        raise _RetryError(f"the transfer ended after {size} of {total} bytes")


def _write(stream: Any, chunk: bytes, part: Path) -> None:
    try:
        stream.write(chunk)
        stream.flush()
    except OSError as error:
        # The error of a full disk names no file by itself.
        error.filename = str(part)
        raise


def _largest() -> int:
    """Return how many bytes a download may have."""
    text = os.environ.get(LIMIT, "")
    try:
        return int((float(text) if text else _USUAL) * 2**30)
    except (ValueError, OverflowError) as error:
        raise ArgumentError(LIMIT, f"should be a number of GiB, got {text!r}") from error


@contextlib.contextmanager
def _progress(url: str, total: int | None, done: int) -> Iterator[Any]:
    from tqdm import tqdm

    name = Path(urlsplit(url).path).name
    # disable=None: no bar where standard error is no terminal.
    with tqdm(total=total, initial=done, desc=name, unit="B", unit_scale=True, disable=None) as bar:
        yield bar


def _check(part: Path, name: str, sha256: str | None) -> None:
    """Delete `part` and ask for another try unless it is the file that was asked for."""
    if sha256 is not None:
        found = _files.sha256(part)
        problem = "" if found == sha256.lower() else f"its sha256 is {found}, not {sha256}"
    else:
        problem = find_damage(part, name=name)
    if problem:
        part.unlink()
        raise _RetryError(f"what came is not the file: {problem}")


def _place(part: Path, target: Path) -> None:
    # A move to another file system is a copy, which takes time; the rename at the end does not.
    moved = _files.name_beside(target)
    try:
        shutil.move(part, moved)
        moved.replace(target)
    finally:
        moved.unlink(missing_ok=True)
