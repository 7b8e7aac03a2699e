"""Commands whose help shows no types of Python.

Newer versions of typer show ``<bool>`` behind options that take no value, and
``<list[str]>`` behind arguments.
"""

from typing import Any

from typer.core import TyperCommand, TyperGroup


class Command(TyperCommand):
    """A command."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the parameters, for parsing and for the help."""
        return _strip_types(super().get_params(ctx))


class Group(TyperGroup):
    """The commands together."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the parameters, for parsing and for the help."""
        return _strip_types(super().get_params(ctx))


def _strip_types(parameters: list[Any]) -> list[Any]:
    for parameter in parameters:
        # An empty text, as None would be replaced by the name of the type.
        if getattr(parameter, "is_flag", False):
            parameter.metavar = ""
        elif parameter.param_type_name == "argument":
            parameter.display_type_rich = lambda ctx: None  # noqa: ARG005
    return parameters
