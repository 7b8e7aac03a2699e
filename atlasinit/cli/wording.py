"""What the package says in Python's words, said in those of the command line.

Its messages name arguments of functions, as `fwhm`, ``nan="zero"``, ``atlas.harden()`` or
``entities={"desc": ...}``. Options are named like the arguments that they set, so that a
command's own options tell what a user types; `_OTHERWISE` has the few that are not.
"""

import ast
import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from atlasinit.errors import Explained, Phrase, Voice

_OTHERWISE = {
    "path": "output",
    "target": "to",
    "entities": "entity",
    "compartments": "compartment",
    "files": "names",
    "atlas": "names",
    "atlases": "names",
    "meshes": "sphere",
}
"""Argument of a function to the parameter of commands that sets it."""

_VALUES = {"path": "FILE", "...": "VALUE"}
_VALUE = r"""("[^"]*"|'[^']*'|\[[^\]]*\]|\.\.\.|\S*?(?=[.,;:)`]*(?:\s|$)))"""
# meshes={"cortex_L": {"sphere": path}}: sphere=FILE
_SURFACE = re.compile(r'\w+=\{"\w+": \{"(\w+)": (\w+)\}\}')
# {"desc": ...}: desc=VALUE
_ITEM = re.compile(r'(?<!\()\{"(\w+)": "?([^{}"]*)"?\}')
# atlas.harden(): --harden; mesh.replace(sphere=..., faces=...): --sphere
_METHOD = re.compile(r"`?\b(?:atlas|mesh)\.(\w+)\((.*?)\)`?")
# `ai.list_atlases()`: `atlasinit list`
_FUNCTION = re.compile(r"`(?:ai\.)?(\w+?)(?:_atlases)?\([^`]*\)`")
# nan="zero": --nan zero; not within the path of a file
_KEYWORD = re.compile(rf"(?<![^\s(`])(\w+)={_VALUE}")
# `fwhm`: --fwhm
_NAME = re.compile(r"`(\w+)`")


class Wording(Voice):
    """What stands on the command line for Python's names.

    Parameters
    ----------
    flags
        Argument to option.
    commands
        The commands, which are named like functions.
    """

    def __init__(self, flags: Mapping[str, str], commands: Collection[str]) -> None:
        self.flags, self.commands = flags, commands

    def of(self, message: object) -> str:
        """Return an error, a warning or a text as it is said here."""
        if isinstance(message, Explained) and message.problem:
            return message.phrase.said(self)
        if isinstance(message, Warning) and isinstance(message.args[0], Phrase):
            return message.args[0].said(self)
        text = str(message)
        if isinstance(message, OSError) and message.strerror:
            where = f"{message.filename}: " if message.filename else ""
            text = f"{where}{message.strerror}."
        for pattern, said in (
            (_SURFACE, _item),
            (_ITEM, _item),
            (_METHOD, self._method),
            (_FUNCTION, self._function),
            (_KEYWORD, self._keyword),
            (_NAME, lambda match: self.flags.get(match[1], match[0])),
        ):
            text = pattern.sub(said, text)
        return text

    def argument(self, name: str) -> str:
        """Return the option that sets an argument."""
        return self.flags.get(name.partition("[")[0], super().argument(name))

    def value(self, value: Any) -> str:
        """Return what is typed for a value, or Python's words for one that cannot be."""
        if value is ... or value is Path:
            return "VALUE" if value is ... else "FILE"
        if isinstance(value, Mapping):
            return " ".join(f"{name}={self.value(own)}" for name, own in value.items())
        return super().value(value) if isinstance(value, tuple) else str(value)

    def passing(self, values: Mapping[str, Any]) -> str:
        """Return options with what is typed for their values."""
        return ", ".join(self._option(name, value) for name, value in values.items())

    def _option(self, name: str, value: Any) -> str:
        flag = self.flags.get(name)
        if flag is None:
            return super().passing({name: value})
        if value is True or value is ...:
            return flag
        if isinstance(value, Mapping) and all(isinstance(v, Mapping) for v in value.values()):
            # The surfaces of a compartment: each role is an option.
            return " ".join(
                self._option(*item) for surfaces in value.values() for item in surfaces.items()
            )
        each = value if isinstance(value, list) else [value]
        return " ".join(f"{flag} {self.value(one)}" for one in each)

    def call(self, name: str, arguments: Sequence[str], values: Mapping[str, Any]) -> str:
        """Return the options, or the command, that do what a function does."""
        own = name.rpartition(".")[2]
        command = own.removesuffix("_atlases")
        options = [self._option(*item) for item in values.items() if item[0] in self.flags]
        if options or own in self.flags:
            return " ".join(options) or self.flags[own]
        if command in self.commands:
            return f"`atlasinit {command}`"
        return super().call(name, arguments, values)

    def _keyword(self, match: re.Match[str]) -> str:
        flag = self.flags.get(match[1])
        return match[0] if flag is None else _typed(flag, match[2])

    def _method(self, match: re.Match[str]) -> str:
        known = [given for given in _KEYWORD.finditer(match[2]) if given[1] in self.flags]
        return " ".join(map(self._keyword, known)) or self.flags.get(match[1], match[0])

    def _function(self, match: re.Match[str]) -> str:
        return f"`atlasinit {match[1]}`" if match[1] in self.commands else match[0]


def wording(group: Any, name: str) -> Wording:
    """Return the wording of the command `name` of `group`.

    Where another command alone has an option for an argument, that command is named too.
    """
    flags: dict[str, str] = {}
    for command in sorted(group.commands.values(), key=lambda command: command.name == name):
        own = command.name == name
        for parameter in command.params:
            is_option = parameter.param_type_name == "option"
            typed = (
                max(parameter.opts, key=len) if is_option else parameter.metavar or parameter.name
            )
            flags[parameter.name] = typed if own else f"`atlasinit {command.name} {typed}`"
    flags |= {other: flags[own] for other, own in _OTHERWISE.items()}
    return Wording(flags, tuple(group.commands))


def _item(match: re.Match[str]) -> str:
    return f"{match[1]}={_VALUES.get(match[2], match[2])}"


def _typed(flag: str, value: str) -> str:
    """Return what is typed for a value in Python; a list repeats the flag."""
    try:
        read = ast.literal_eval(value)
    except (ValueError, SyntaxError):
        read = value
    if read is True or read is ... or read == "":
        return flag
    values = read if isinstance(read, list) else [read]
    return " ".join(f"{flag} {one}" for one in values)
