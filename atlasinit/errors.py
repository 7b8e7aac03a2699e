"""What the package raises besides ``ValueError`` and ``TypeError``."""

import difflib
import sys
import warnings
from collections.abc import Iterable

_OURS = {"atlasinit", "beartype", "contextlib", "joblib", "jaxtyping", "sklearn"}
"""The package, and those whose wrappers lie between its frames."""


class AtlasFileError(OSError):
    """A file that is missing, unreadable, truncated or not what it was taken for.

    The message begins with the path.
    """


class AtlasUnavailableError(AtlasFileError):
    """An atlas that is known but is not on this machine and could not be fetched.

    The message names the atlas, the file, the cache folder and the command that
    would fetch it on a machine with a network.
    """


class AtlasWarning(UserWarning):
    """Something in an atlas that a user should look at, but that loses nothing."""


def warn(message: str, category: type[Warning] = AtlasWarning) -> None:
    """Warn, and point at the line outside of the package that led here."""
    level, frame = 2, sys._getframe(1)
    while frame and frame.f_globals.get("__name__", "").partition(".")[0] in _OURS:
        level, frame = level + 1, frame.f_back
    warnings.warn(message, category, stacklevel=level)


def nearest(word: str, known: Iterable[str]) -> str:
    """Return ``" Did you mean ...?"`` for the names nearest to `word`, or ``""``."""
    lowered = {name.lower(): name for name in known}
    close = difflib.get_close_matches(word.lower(), list(lowered), n=3, cutoff=0.5)
    return f" Did you mean {', '.join(repr(lowered[name]) for name in close)}?" if close else ""


def counted(n: int, what: str) -> str:
    """Return ``"1 parcel"``, ``"2 parcels"``."""
    return f"{n} {what}" if n == 1 else f"{n} {what}s"


def listing(items: Iterable[object], limit: int = 10) -> str:
    """Return `items` as a comma-separated text, cut after `limit` with a count of the rest."""
    texts = [str(item) for item in items]
    rest = len(texts) - limit
    return ", ".join(texts[:limit]) + (f" and {rest} more" if rest > 0 else "")
