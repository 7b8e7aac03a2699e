"""The command line, as ``atlasinit`` and as ``python -m atlasinit``."""

import gc

from atlasinit.support.interrupts import ending_at_once

_OBJECTS = 200_000
"""More than imports make: to look for garbage among them took a sixth of a short command's time."""


def main() -> None:
    """Run the command line, which an interrupt ends quietly from its first import on."""
    gc.set_threshold(_OBJECTS, *gc.get_threshold()[1:])
    with ending_at_once():
        from atlasinit import cli
    cli.main()


if __name__ == "__main__":
    main()
