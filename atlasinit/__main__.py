"""``python -m atlasinit`` is the command line."""

from atlasinit.cli import main

if __name__ == "__main__":
    main()
