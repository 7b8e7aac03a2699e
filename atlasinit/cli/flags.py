"""Commands whose help shows no types of Python.

Newer versions of typer show ``<bool>`` behind options that take no value, and
``<list[str]>`` behind arguments.
"""

from typing import Any

from typer import BadParameter
from typer.core import TyperCommand, TyperGroup

from atlasinit.cli.mistakes import is_file


class Command(TyperCommand):
    """A command."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse what was typed, after refusing a second value behind an option that takes one."""
        _check_values(self.params, args)
        return super().parse_args(ctx, args)

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the parameters, for parsing and for the help."""
        return _strip_types(super().get_params(ctx))


class Group(TyperGroup):
    """The commands together."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the parameters, for parsing and for the help."""
        return _strip_types(super().get_params(ctx))


def _check_values(parameters: list[Any], args: list[str]) -> None:
    """Refuse a file behind the value of an option that is repeated for each of its values.

    It would be taken for one more atlas, where one was typed before.
    """
    repeated = {name for p in parameters if getattr(p, "multiple", False) for name in p.opts}
    valued = {
        name
        for p in parameters
        for name in p.opts
        if p.param_type_name == "option" and not getattr(p, "is_flag", False)
    }
    has_name = False
    skipped = 0
    for i, own in enumerate(args):
        if skipped:
            skipped -= 1
        elif own in repeated and len(args) > i + 2 and has_name and _is_second(args[i + 2]):
            both = f"{own} {args[i + 1]} {own} {args[i + 2]}"
            raise BadParameter(f"{own} takes one value each time: write {both}")
        elif own in valued:
            skipped = 1
        elif not own.startswith("-"):
            has_name = True


def _is_second(text: str) -> bool:
    return not text.startswith("-") and is_file(text.rpartition("=")[2])


def _strip_types(parameters: list[Any]) -> list[Any]:
    for parameter in parameters:
        # An empty text, as None would be replaced by the name of the type.
        if getattr(parameter, "is_flag", False):
            parameter.metavar = ""
        elif parameter.param_type_name == "argument":
            parameter.display_type_rich = lambda ctx: None  # noqa: ARG005
    return parameters
