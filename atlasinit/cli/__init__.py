"""The command line: ``atlasinit COMMAND``, or ``python -m atlasinit COMMAND``."""

import os
import sys
import traceback
import warnings
from typing import Annotated, Any

import typer

from atlasinit.cli import (
    checking,
    doctor,
    exporting,
    extracting,
    lookup,
    making,
    measuring,
    moving,
    projecting,
    refining,
    reporting,
    seeding,
    several,
    viewing,
)
from atlasinit.cli.flags import Command, Group
from atlasinit.cli.mistakes import explain
from atlasinit.cli.output import say
from atlasinit.cli.shells import prepare
from atlasinit.cli.wording import Wording, wording
from atlasinit.errors import PYTHON, ArgumentError, AtlasWarning
from atlasinit.support.interrupts import INTERRUPTED, ending_at_once
from atlasinit.support.version import __version__

app = typer.Typer(
    cls=Group,
    help="Parcellation layers from brain atlases.",
    epilog="Example: atlasinit list schaefer --space fsLR",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
_THEMES = {
    "Find": (lookup,),
    "Make": (making, projecting, moving, several, seeding, exporting, refining, extracting),
    "Look": (checking, measuring, reporting, viewing, doctor),
}
# The groups of `atlasinit --help`; their commands are added without a name before theirs.
for title, themes in _THEMES.items():
    for theme in themes:
        for command in theme.commands.registered_commands:
            command.rich_help_panel = title
            command.cls = Command
        app.add_typer(theme.commands)

_DEBUG = "--debug"
# UsageError and ClickException, of click or of the copy of it that newer versions of typer carry.
_CLICK_ERRORS: Any = typer.BadParameter.__mro__[1:3]


def main() -> None:
    """Run the command line; a mistake ends with one line and exit status 2, a bug with 1."""
    arguments = sys.argv[1:] or ["--help"]
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: SIM115 (closed, as by >&-)
    # Typer's making of all commands takes a tenth of a second, as imports do.
    with ending_at_once():
        try:
            prepare(arguments)
        except ArgumentError as error:
            say(f"{error.subject} {error.told.said(PYTHON)}")
            sys.exit(2)
        group = typer.main.get_command(app)
        # The first word that is no option is the command. Typer has not parsed the line yet, and
        # an error in it has to be told in the words of that command too.
        words = wording(group, next((a for a in arguments if not a.startswith("-")), ""))

    def show(message: object, category: type[Warning], *_: object) -> None:
        kind = "" if issubclass(category, AtlasWarning) else f"{category.__name__}: "
        say(f"{kind}{words.of(message)}")

    with warnings.catch_warnings():
        # Each file that is read may lack something of its own, all told from one line of code.
        warnings.simplefilter("always", AtlasWarning)
        warnings.showwarning = show
        sys.exit(_status(group, arguments, words))


def _status(group: Any, arguments: list[str], words: Wording) -> int:
    try:
        # In its own mode click would print errors itself, with a usage, and end the process.
        status = group(arguments, prog_name="atlasinit", standalone_mode=False)
        # Here, as what is still buffered may meet a pipe that was closed.
        sys.stdout.flush()
    except BrokenPipeError:
        # Nobody reads on, which is no mistake; Python flushes once more when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (KeyboardInterrupt, typer.Abort):
        return INTERRUPTED
    except _CLICK_ERRORS as error:
        # "Value error" is of pydantic, which newer versions of typer check choices with.
        message = error.format_message().replace("Value error, ", "")
        end = "" if message.endswith((".", "?")) else "."
        command = f" {words.command}" if words.command else ""
        say(f"{message}{end} See `atlasinit{command} --help`.")
        return 2
    except Exception as error:
        if _DEBUG in arguments:
            traceback.print_exception(error)
        line, status = explain(error, [a for a in arguments if a != _DEBUG], words)
        say(line)
        return status
    return status or 0


def _print_version(wanted: bool | None) -> None:  # noqa: FBT001
    if wanted:
        print(__version__)
        raise typer.Exit


@app.callback()
def _options(
    *,
    version: Annotated[
        bool | None,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = None,
    debug: Annotated[
        bool, typer.Option(_DEBUG, help="Show where an error arises: the traceback.")
    ] = False,
) -> None:
    del version, debug
