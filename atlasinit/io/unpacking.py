"""Compressed files: unpacked within bounds, their checksum checked as they are read."""

import os
from typing import Any

from isal import igzip

from atlasinit.errors import ArgumentError, AtlasFileError

LIMIT = "ATLASINIT_UNPACK_GIB"
"""The variable that raises the bound, a number of GiB."""

_GIB = 2**30
# Both have to be exceeded: label images, which are 0 for the most part, exceed the ratio, and long
# series the 4 GiB.
_USUAL = 4.0
_RATIO = 200
# Of deflate: no compressed byte unpacks to more.
# https://www.zlib.net/zlib_tech.html
_LARGEST_RATIO = 1032


def check_unpacked(source: object, packed: int, unpacked: int) -> None:
    """Refuse what unpacks to more than a file of data does.

    That is both more than 4 GiB (or `LIMIT`, an environment variable) and more than 200 times
    what lies in the file: label images reach such ratios, but not such sizes.

    Raises
    ------
    AtlasFileError
        More than that.
    """
    bound = _bound()
    if unpacked > bound and unpacked > _RATIO * packed:
        raise AtlasFileError(
            source,
            f"unpacks to {unpacked / _GIB:.1f} GiB or more from {packed / 2**20:.1f} MiB, as files "
            "that are made to fill the memory do",
            f"If you trust it, set the environment variable {LIMIT} to more than "
            f"{unpacked / _GIB:.1f}",
        )


def check_holds(source: object, size: int, claimed: int, *, packed: bool) -> None:
    """Refuse a file that cannot hold what its header says, before memory is taken for it.

    Parameters
    ----------
    source
        What the message begins with.
    size
        Bytes of the file.
    claimed
        Bytes that its header says it has, unpacked.
    packed
        Whether it is compressed by deflate, which unpacks to at most 1032 times as much.

    Raises
    ------
    AtlasFileError
        A file that is shorter, or unpacks to more than `check_unpacked` allows.
    """
    largest = size * _LARGEST_RATIO if packed else size
    if claimed > largest:
        held = f"{size} compressed ones, which hold {largest} at most" if packed else f"{size}"
        raise AtlasFileError(
            source,
            f"truncated or damaged: its header states {claimed} bytes, but it has {held}",
            "Fetch it again",
        )
    if packed:
        check_unpacked(source, size, claimed)


def _bound() -> float:
    text = os.environ.get(LIMIT, "")
    try:
        return (float(text) if text else _USUAL) * _GIB
    except ValueError as error:
        raise ArgumentError(LIMIT, f"should be a number of GiB, got {text!r}") from error


class Unpacked(igzip.IGzipFile):
    """A compressed file, whose checksum is checked with the last of its bytes.

    It is checked once more than there is has been asked for, which who knows the size of
    an image never does.
    """

    def __init__(self, file: Any, *, name: object, size: int) -> None:
        super().__init__(fileobj=file, mode="rb")
        self._called, self._packed = name, size

    def read(self, size: int | None = -1) -> bytes:
        """Return as much, or all; raise what its end says of all that was read."""
        if size is None or size < 0:
            # By parts of 1 MiB, so that the bound is checked before memory is taken for the whole.
            return b"".join(iter(lambda: self.read(2**20), b""))
        found = super().read(size)
        check_unpacked(self._called, self._packed, self.tell())
        if found:
            self.peek(1)
        return found

    def drain(self) -> None:
        """Read on to the end, where the checksum lies."""
        while self.read(2**20):
            pass
