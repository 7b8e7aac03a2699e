"""What the package says in Python's words, said in those of the command line.

Options are named like the arguments that they set, so that a command's own options tell
what a user types; `_OTHERWISE` has the few that are not.
"""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from atlasinit.errors import Explained, Phrase, Voice

_OTHERWISE = {
    "path": "output",
    "folder": "output",
    "target": "to",
    "entities": "entity",
    "compartments": "compartment",
    "files": "names",
    "atlas": "names",
    "atlases": "names",
    "meshes": "sphere",
    "at": "min_weight",
    "by": "merge",
    "sampling_operator": "white",
    "to_surface": "white",
    "to_volume": "white",
}
"""Argument of a function, or a function, to the parameter of commands that sets or does it."""

_CALLED = {
    "generate_report": "report",
    "measure_parcels": "measure",
    "merge_parcels": "merge",
    "rename_parcels": "rename",
    "renumber_parcels": "renumber",
    "reorder_parcels": "order",
    "save_labels": "labels",
    "save_masks": "masks",
    "save_values": "paint",
    "sphere_atlas": "spheres",
    "split_parcels": "split",
}
"""Function to the command, or the option of `build`, that does the same by another name."""


class Wording(Voice):
    """What stands on the command line for Python's names.

    Parameters
    ----------
    flags
        Argument to option.
    commands
        The commands, which are named like functions.
    command
        The one that runs, or an empty text.
    """

    def __init__(
        self, flags: Mapping[str, str], commands: Collection[str], command: str = ""
    ) -> None:
        self.flags, self.commands, self.command = flags, commands, command

    def of(self, message: object) -> str:
        """Return an error, a warning or a text as it is said here."""
        if isinstance(message, Explained):
            return message.phrase.said(self)
        if isinstance(message, Warning) and isinstance(message.args[0], Phrase):
            return message.args[0].said(self)
        text = str(message)
        if isinstance(message, OSError) and message.strerror:
            where = f"{message.filename}: " if message.filename else ""
            text = f"{where}{message.strerror}."
        return text

    def argument(self, name: str) -> str:
        """Return the option that sets an argument."""
        # Of `data['volume']`, which no option tells apart, --data.
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
        # An option that takes several is repeated for each.
        each = value if isinstance(value, list) else [value]
        return " ".join(f"{flag} {self.value(one)}" for one in each)

    def call(self, name: str, arguments: Sequence[str], values: Mapping[str, Any]) -> str:
        """Return the options, or the command, that do what a function does."""
        # `ai.fetch_atlases` is the command fetch, `atlas.harden` the option --harden of build.
        own = name.rpartition(".")[2]
        if own in _CALLED and _CALLED[own] in self.commands:
            return f"`atlasinit {_CALLED[own]}`"
        own = _CALLED.get(own, own)
        command = own.removesuffix("_atlases")
        options = [self._option(*item) for item in values.items() if item[0] in self.flags]
        # A command goes before an option of its name that another command has.
        flag = self.flags.get(own, "")
        if options or (flag and not (command in self.commands and flag.startswith("`"))):
            return " ".join(options) or flag
        if command in self.commands:
            return f"`atlasinit {command}`"
        return super().call(name, arguments, values)


def wording(group: Any, name: str) -> Wording:
    """Return the wording of the command `name` of `group`.

    Where another command alone has an option for an argument, that command is named too.
    """
    flags: dict[str, str] = {}
    # The command's own come last, and so replace what others call the same argument.
    for command in sorted(group.commands.values(), key=lambda command: command.name == name):
        own = command.name == name
        for parameter in command.params:
            # Of -o and --output the longer; of a positional argument what the help calls it.
            is_option = parameter.param_type_name == "option"
            typed = (
                max(parameter.opts, key=len) if is_option else parameter.metavar or parameter.name
            )
            flags[parameter.name] = typed if own else f"`atlasinit {command.name} {typed}`"
    own_names = {p.name for c in group.commands.values() if c.name == name for p in c.params}
    # A command that has an argument's own name for an option says it by that.
    flags |= {other: flags[own] for other, own in _OTHERWISE.items() if other not in own_names}
    return Wording(flags, tuple(group.commands), name if name in group.commands else "")
