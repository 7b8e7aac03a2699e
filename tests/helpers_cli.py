"""The command line, run in this process."""

import sys
from unittest import mock

from atlasinit.cli import main


def run_cli(capsys, *arguments):
    """Return (status, output, errors) of ``atlasinit`` with the arguments."""
    status = 0
    with mock.patch.object(sys, "argv", ["atlasinit", *map(str, arguments)]):
        try:
            main()
        except SystemExit as stop:
            status = stop.code or 0
    shown = capsys.readouterr()
    return status, shown.out, shown.err
