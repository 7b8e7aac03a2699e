"""What ends a command: a user's mistake, what a file led to, or a bug of the package."""

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from atlasinit.cli.wording import Wording
from atlasinit.errors import Explained, format_list

_READERS = ("atlasinit.io", "nibabel")
"""What reads files; an exception that passes through it comes from one."""


def explain(error: Exception, arguments: Sequence[str], words: Wording) -> tuple[str, int]:
    """Return the line that tells of an error, and the exit status.

    The status is 2 for a mistake and for what a file led to, 1 for a bug.
    """
    modules = _modules(error.__traceback__)
    # An exception of Python's kind that the package raises itself is meant for the user; one that
    # comes out of JAX or NumPy is not, whatever its kind.
    raised_here = modules[-1:] and modules[-1].partition(".")[0] == "atlasinit"
    if isinstance(error, Explained | OSError) or (isinstance(error, ValueError) and raised_here):
        return words.of(error), 2
    # Else a file may have led a reader astray, of which no parser says so itself.
    what = f"{type(error).__name__}: {' '.join(str(error).split())}".removesuffix(": ")
    files = _files(arguments)
    if files and any(module.startswith(_READERS) for module in modules):
        return f"{format_list(files)}: could not be read ({what}).", 2
    command = " ".join(["atlasinit --debug", *arguments])
    return f"This is a bug of atlasinit: {what}. See where it is by `{command}`.", 1


def _modules(trace: TracebackType | None) -> list[str]:
    """Return the modules of a traceback, the outermost first."""
    found = []
    while trace is not None:
        found.append(trace.tb_frame.f_globals.get("__name__", ""))
        trace = trace.tb_next
    return found


def _files(arguments: Sequence[str]) -> list[str]:
    """Return the arguments that are files, also as ``cortex_L=FILE``."""
    names = [argument.rpartition("=")[2] for argument in arguments]
    return [name for name in dict.fromkeys(names) if name and is_file(name)]


def is_file(name: str) -> bool:
    """Whether a text that was typed is the name of a file."""
    try:
        return Path(name).expanduser().is_file()
    except (OSError, ValueError, RuntimeError):
        return False
