"""Ctrl-C while modules are imported."""

import contextlib
import signal
from collections.abc import Iterator


@contextlib.contextmanager
def ending_at_once() -> Iterator[None]:
    """Let an interrupt end the process at once, and quietly.

    For imports: an exception would be told with a traceback, and would abort JAX's native code;
    nothing is written meanwhile that would have to be tidied up.
    """
    before = signal.getsignal(signal.SIGINT)
    if before is signal.default_int_handler:  # else interrupts are ignored, as by nohup
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
