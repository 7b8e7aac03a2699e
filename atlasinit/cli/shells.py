"""Completion in shells: of one that is named, or of the one that runs the command line."""

import os
from collections.abc import Sequence

from atlasinit.errors import ArgumentError

SHELLS = ("bash", "zsh", "fish", "powershell", "pwsh")
_OPTIONS = ("--show-completion", "--install-completion")

# With this typer's options take the name of a shell, and else none.
_NAMED = "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION"


def prepare(arguments: Sequence[str]) -> None:
    """Let an option of completion take the shell that stands behind it.

    Without one typer looks for a shell among the processes that led here, of which there is none
    in a container, a job of a cluster or a build.

    Raises
    ------
    ArgumentError
        No shell is named, and none is found.
    """
    named = [own.partition("=")[0] for own in arguments]
    asked = next((i for i, own in enumerate(named) if own in _OPTIONS), None)
    if asked is None:
        return
    if "=" in arguments[asked] or arguments[asked + 1 : asked + 2]:
        os.environ[_NAMED] = "1"
        return
    import shellingham

    try:
        shellingham.detect_shell()
    except shellingham.ShellDetectionFailure as error:
        raise ArgumentError(
            arguments[asked],
            "finds no shell that this runs in",
            f"name yours, as `atlasinit {arguments[asked]} bash`; {', '.join(SHELLS)} are known",
        ) from error
