"""Downloads that are verified before they count."""

import contextlib
import hashlib
import os
import shutil
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from atlasinit.catalogue.transfer.cache import cache_folder, writing_into
from atlasinit.catalogue.transfer.integrity import find_damage
from atlasinit.catalogue.transfer.receiving import (
    RetryError,
    UnaskedPartError,
    check_reply,
    is_rest,
    receive,
)
from atlasinit.errors import ArgumentError, AtlasUnavailableError
from atlasinit.support import files as _files

LIMIT = "ATLASINIT_DOWNLOAD_GIB"
"""The environment variable that raises the bound of a download."""

_USUAL = 16.0  # GiB


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
        Seconds without a byte, or with less than 100 a second, after which a try has stalled.
    tries
        How often to try.
    pause
        Seconds before the second try, doubled before each further one; more where the server
        asks for it, up to `timeout`.

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
                _transfer(url, part, target.name, timeout=timeout)
                _check(part, target.name, sha256)
                break
            except RetryError as error:
                if attempt == tries:
                    told = f"{error.problem} (after {tries} tries)"
                    raise AtlasUnavailableError(url, told) from error
                # A server may ask for more, but not to be waited for without an end.
                asked = min(error.pause, timeout)
            time.sleep(max(pause * 2 ** (attempt - 1), asked))
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


def _transfer(url: str, part: Path, name: str, *, timeout: float) -> None:
    """Append to `part` what is missing of the file `name` at `url`."""
    import requests
    import urllib3

    # Uncompressed, as the length and the offset are compared with the bytes that are written.
    done = part.stat().st_size if part.exists() else 0
    headers = {"Accept-Encoding": "identity"}
    bound = _largest()
    if done:
        headers["Range"] = f"bytes={done}-"
    try:
        with requests.get(url, headers=headers, stream=True, timeout=timeout) as reply:
            if done and reply.status_code == 416:
                # The part is at least as long as the file, and so may be of another.
                told = "the server's file is shorter than what was fetched before"
                raise UnaskedPartError(told)
            total = check_reply(reply, url, name, done=done)
            start = done if is_rest(reply) else 0
            with _progress(reply.url, total, start) as bar:
                pieces = receive(reply, timeout)
                bounded = _keep_below(bound, pieces, reply.url, size=start, total=total)
                _store(bounded, part, bar, start=start)
            size = part.stat().st_size
            if total is not None and size < total:
                raise RetryError(f"the transfer ended after {size} of {total} bytes")
    except (_TooLargeError, UnaskedPartError):
        part.unlink(missing_ok=True)
        raise
    # What is wrong with an address that a server names is not always requests' own error.
    except (requests.RequestException, urllib3.exceptions.HTTPError, ValueError) as error:
        raise RetryError(f"{type(error).__name__}: {find_reason(error)}") from error


def find_reason(error: Exception) -> str:
    """Return what went wrong below requests, without the address and the objects it was in."""
    # requests wraps urllib3's MaxRetryError, whose reason reads "HTTPSConnection(host='x.org',
    # port=443): Failed to resolve 'x.org' ...".
    inner = error.args[0] if error.args and isinstance(error.args[0], Exception) else error
    return str(getattr(inner, "reason", inner)).rpartition("): ")[2]


def _keep_below(
    bound: int, pieces: Iterable[bytes], url: str, *, size: int, total: int | None
) -> Iterator[bytes]:
    """Yield pieces as long as the file, of which `size` bytes are there, is not too large."""
    for piece in pieces:
        size += len(piece)
        if max(size, total or 0) > bound:
            raise _TooLargeError(
                url,
                f"has {max(size, total or 0)} bytes or more, where {bound} are allowed",
                f"If it should be that large, set the environment variable {LIMIT}, in GiB",
            )
        yield piece


class _TooLargeError(AtlasUnavailableError):
    """More than a download may have."""


def _store(pieces: Iterable[bytes], part: Path, bar: Any, *, start: int) -> None:
    """Write pieces behind the first `start` bytes of a part."""
    # Without a buffer, whose rest would be written once more where the disk is full.
    with part.open("ab" if start else "wb", buffering=0) as stream:
        for piece in pieces:
            _write(stream, piece, part)
            bar.update(len(piece))


def _write(stream: Any, piece: bytes, part: Path) -> None:
    """Write all of a piece; a disk that is full gets its room back."""
    try:
        while piece:
            piece = piece[stream.write(piece) :]
    except OSError as error:
        part.unlink(missing_ok=True)
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
        raise RetryError(f"what came is not the file: {problem}")


def _place(part: Path, target: Path) -> None:
    # A move to another file system is a copy, which takes time; the rename at the end does not.
    moved = _files.name_beside(target)
    try:
        shutil.move(part, moved)
        moved.replace(target)
    except OSError as error:
        part.unlink(missing_ok=True)
        error.filename, error.filename2 = str(target), None
        raise
    finally:
        moved.unlink(missing_ok=True)
