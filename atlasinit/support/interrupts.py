"""Ctrl-C at any time: while modules are imported, and where Python would forget it."""

import contextlib
import signal
import sys
from collections.abc import Iterator
from types import FrameType
from typing import Any

INTERRUPTED = 130
"""The status of a command that an interrupt ends: 128 + SIGINT, as shells report it."""

_PAUSE = 0.02
"""Seconds until an interrupt that could not be raised is tried again."""


@contextlib.contextmanager
def ending_at_once() -> Iterator[None]:
    """Let an interrupt end the process at once, and quietly.

    For imports: an exception would be told with a traceback, and would abort JAX's native code;
    nothing is written meanwhile that would have to be tidied up.
    """
    before = signal.getsignal(signal.SIGINT)
    if callable(before):  # else interrupts are ignored, as by nohup
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextlib.contextmanager
def raising_interrupts() -> Iterator[None]:
    """Raise each interrupt, once it can be.

    An exception in the middle of an import would abort JAX's and NumPy's native code; in the
    callback of a weak reference, or in ``__del__``, Python would print it and go on, and whoever
    pressed Ctrl-C would wait in vain.
    """
    before, hook = signal.getsignal(signal.SIGINT), sys.unraisablehook
    # Else interrupts are ignored; or the system has no timers.
    if before is not signal.default_int_handler or not hasattr(signal, "setitimer"):
        yield
        return

    def note(unraisable: Any) -> None:
        if issubclass(unraisable.exc_type, KeyboardInterrupt):
            signal.setitimer(signal.ITIMER_REAL, _PAUSE)
        else:
            hook(unraisable)

    sys.unraisablehook = note
    timed = signal.signal(signal.SIGALRM, _raise_or_wait)
    signal.signal(signal.SIGINT, _raise_or_wait)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, timed)
        sys.unraisablehook = hook


def _raise_or_wait(number: int, frame: FrameType | None) -> None:
    del number
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            signal.setitimer(signal.ITIMER_REAL, _PAUSE)
            return
        frame = frame.f_back
    raise KeyboardInterrupt
