"""The command line, as ``atlasinit`` and as ``python -m atlasinit``."""

from atlasinit.support.interrupts import ending_at_once


def main() -> None:
    """Run the command line, which an interrupt ends quietly from its first import on."""
    with ending_at_once():
        from atlasinit import cli
    cli.main()


if __name__ == "__main__":
    main()
