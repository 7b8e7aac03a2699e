"""The command line: ``atlasinit COMMAND``, or ``python -m atlasinit COMMAND``."""

import sys
import warnings
from typing import Annotated

import typer

from atlasinit import __version__
from atlasinit.cli import lookup, making
from atlasinit.cli.output import say, show_warning
from atlasinit.errors import AtlasWarning

app = typer.Typer(
    help="Parcellation layers from brain atlases.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
for theme in (lookup, making):
    app.add_typer(theme.commands)


def main() -> None:
    """Run the command line; a user's mistake ends with one line and exit status 2."""
    with warnings.catch_warnings():
        warnings.simplefilter("always", AtlasWarning)
        warnings.showwarning = show_warning
        try:
            app()
        except (ValueError, OSError) as error:
            say(error)
            sys.exit(2)


def _print_version(wanted: bool | None) -> None:  # noqa: FBT001
    if wanted:
        print(__version__)
        raise typer.Exit


@app.callback()
def _options(
    *,
    version: Annotated[
        bool | None,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print it."),
    ] = None,
) -> None:
    del version
