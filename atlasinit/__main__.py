"""The command line, as ``atlasinit`` and as ``python -m atlasinit``."""

import gc
import io
import sys

from atlasinit.support.interrupts import INTERRUPTED, ending_at_once, raising_interrupts

_OBJECTS = 200_000
"""More than imports make: to look for garbage among them took a sixth of a short command's time."""


def main() -> None:
    """Run the command line, which an interrupt ends quietly from its first import on."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Names of files are printed as the file system has them, whatever the locale.
        sys.stdout.reconfigure(errors="surrogateescape")
    gc.set_threshold(_OBJECTS, *gc.get_threshold()[1:])
    with ending_at_once():
        from atlasinit import cli
    try:
        with raising_interrupts():
            cli.main()
    except KeyboardInterrupt:  # between the parts of it that expect one
        sys.exit(INTERRUPTED)


if __name__ == "__main__":
    main()
