"""What a server sends: whether it is what was asked for, and its bytes as they come."""

import re
import time
from collections.abc import Iterator
from typing import Any

from atlasinit.errors import AtlasUnavailableError

# Timeout, too early, too many requests, and what servers answer while they or a proxy are down.
_RETRIED = {408, 425, 429, 500, 502, 503, 504}
"""Statuses after which another try may succeed."""

_CHUNK = 1 << 16
_SLOWEST = 100  # bytes a second, less than any line that is still up

_PACKED = (".gz", ".mgz", ".tgz")
"""Names of files that are gzip themselves, which some servers send as an encoding of others."""


class RetryError(Exception):
    """A failure after which another try may succeed, after `pause` seconds or more."""

    def __init__(self, problem: str, *, pause: float = 0.0) -> None:
        super().__init__(problem)
        self.problem, self.pause = problem, pause


def check_reply(reply: Any, url: str, name: str, *, done: int) -> int | None:
    """Refuse what is not the file `name`, or what is missing of it after `done` bytes.

    Returns
    -------
    int or None
        The length of the whole file, None where it is not stated.
    """
    status = f"{reply.status_code} {reply.reason or ''}".strip()
    if reply.status_code in _RETRIED:
        raise RetryError(f"the server answered {status}", pause=_pause_of(reply))
    # Of what is no error 204, 304, or a redirection to nowhere, has no file either.
    if reply.status_code not in (200, 206):
        raise AtlasUnavailableError(url, f"the server answered {status}")
    encoding = reply.headers.get("Content-Encoding", "identity").strip().lower()
    own = encoding in ("gzip", "x-gzip") and name.lower().endswith(_PACKED)
    # What is unpacked on the way could neither be continued nor be compared with its length.
    if encoding not in ("", "identity") and not own:
        told = f"the server sent the encoding {encoding[:40]!r}, which was not asked for"
        raise AtlasUnavailableError(url, told)
    # 206 is the rest that was asked for; a server that cannot resume sends all with 200.
    start = _check_range(reply.headers.get("Content-Range", ""), done) if is_rest(reply) else 0
    length = reply.headers.get("Content-Length")
    if length is not None and not re.fullmatch(r"\d{1,18}", length.strip()):
        raise RetryError(f"the server states {length[:40]!r} as the length")
    return None if length is None else start + int(length)


def is_rest(reply: Any) -> bool:
    """Whether a reply is a part of the file."""
    return reply.status_code == 206


def _check_range(stated: str, done: int) -> int:
    """Refuse a part that does not begin where the last one ended, or was not asked for."""
    found = re.fullmatch(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18}|\*)", stated.strip())
    if not done or found is None or int(found[1]) != done or int(found[2]) < done:
        told = f"the server sent {stated[:60] or 'a part'!r} instead of what was asked"
        raise UnaskedPartError(told)
    return done


class UnaskedPartError(RetryError):
    """A part of a file that does not go on where the last one ended."""


def _pause_of(reply: Any) -> float:
    """Return the seconds that a server asks to be left alone for, 0 where it does not."""
    # A date is allowed too, of clocks that may differ.
    stated = reply.headers.get("Retry-After", "").strip()
    return float(stated) if re.fullmatch(r"\d{1,9}", stated) else 0.0


def receive(reply: Any, timeout: float) -> Iterator[bytes]:
    """Yield the bytes of a reply as they were sent, as they come.

    Raises
    ------
    RetryError
        Less than 100 bytes a second for `timeout` seconds: a byte now and then would go on for
        ever.
    """
    # Older urllib3 waits until all of a piece is there.
    read = getattr(reply.raw, "read1", reply.raw.read)
    begun, received = time.monotonic(), 0
    while piece := read(_CHUNK, decode_content=False):
        yield piece
        received += len(piece)
        passed = time.monotonic() - begun
        if passed > timeout:
            if received < _SLOWEST * passed:
                raise RetryError(f"only {received} bytes came in {passed:.0f} s")
            begun, received = time.monotonic(), 0
