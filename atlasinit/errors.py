"""What the package raises and warns with, and the words of it.

An error has fields: the argument or the path that it is about, the problem, and the
remedy. Its text is made from them, here and nowhere else, in Python's words; the command
line makes its own of the same fields. What the two call differently is a `Phrase` in
these fields, which is added to text by ``+``:

>>> error = ArgumentError("nan", "should be decided", "pass " + Passing(nan="zero") + " for 0")
>>> str(error)
'`nan` should be decided; pass nan="zero" for 0.'
"""

import abc
import difflib
import sys
import warnings
from collections.abc import Iterable, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

_OURS = {"atlasinit", "beartype", "contextlib", "joblib", "jaxtyping", "sklearn"}
"""The package, and those whose wrappers lie between its frames."""


class Phrase(abc.ABC):
    """A part of a message that each audience has its own words for."""

    @abc.abstractmethod
    def said(self, voice: "Voice") -> str:
        """Return the phrase in the words of `voice`."""

    @property
    def settings(self) -> Mapping[str, Any]:
        """The arguments that the phrase names, each with the value to give, ``...`` for any."""
        return {}

    def __str__(self) -> str:
        return self.said(PYTHON)

    def __format__(self, spec: str) -> str:
        # You would expect text, but the audience is known only when the error is shown.
        raise TypeError("An f-string would fix the words of a phrase; add it to text by +.")

    def __add__(self, other: "Words") -> "Phrase":
        return _Joined(self, other)

    def __radd__(self, other: str) -> "Phrase":
        return _Joined(other, self)


Words: TypeAlias = str | Phrase


class _Joined(Phrase):
    def __init__(self, *parts: Words) -> None:
        self.parts = parts

    @property
    def settings(self) -> Mapping[str, Any]:
        found: dict[str, Any] = {}
        # What is advised first counts.
        for part in self.parts:
            own = part.settings if isinstance(part, Phrase) else {}
            found |= {name: value for name, value in own.items() if name not in found}
        return found

    def said(self, voice: "Voice") -> str:
        return "".join(say(part, voice) for part in self.parts)


class Argument(Phrase):
    """An argument, by its name; parts of it may follow, as ``data['volume']``."""

    def __init__(self, name: str) -> None:
        self.name = name

    @property
    def settings(self) -> Mapping[str, Any]:
        """The argument, of any value."""
        return {self.name: ...}

    def said(self, voice: "Voice") -> str:
        """Return the phrase in the words of `voice`."""
        return voice.argument(self.name)


class Value(Phrase):
    """A value as it is given; ``...`` stands for any, and the class `Path` for any path."""

    def __init__(self, value: Any) -> None:
        self.value = value

    @property
    def settings(self) -> Mapping[str, Any]:
        """The keys of a mapping, as of ``{"cortex_L": Path}``."""
        return dict.fromkeys(self.value, ...) if isinstance(self.value, Mapping) else {}

    def said(self, voice: "Voice") -> str:
        """Return the phrase in the words of `voice`."""
        return voice.value(self.value)


class Passing(Phrase):
    """Arguments with their values, as ``overwrite=True``; ``...`` stands for any value."""

    def __init__(self, **values: Any) -> None:
        self.values = values

    @property
    def settings(self) -> Mapping[str, Any]:
        """The arguments with their values."""
        return self.values

    def said(self, voice: "Voice") -> str:
        """Return the phrase in the words of `voice`."""
        return voice.passing(self.values)


class Call(Phrase):
    """The call of a function or method by its public name, as ``ai.resample(atlas, image)``."""

    def __init__(self, name: str, *arguments: str, **values: Any) -> None:
        self.name, self.arguments, self.values = name, arguments, values

    def said(self, voice: "Voice") -> str:
        """Return the phrase in the words of `voice`."""
        return voice.call(self.name, self.arguments, self.values)


class Voice:
    """The words of Python; another audience has a subclass or a class like it."""

    def argument(self, name: str) -> str:
        """Return how an argument is named."""
        return f"`{name}`"

    def value(self, value: Any) -> str:
        """Return how a value is written."""
        if value is ...:
            return "..."
        if value is Path:
            return "path"
        if isinstance(value, str):
            return f'"{value}"'
        if isinstance(value, Mapping):
            return "{" + ", ".join(f'"{k}": {self.value(v)}' for k, v in value.items()) + "}"
        if isinstance(value, Sequence):
            inside = ", ".join(map(self.value, value))
            if isinstance(value, list):
                return f"[{inside}]"
            return f"({inside},)" if len(value) == 1 else f"({inside})"
        return repr(value)

    def passing(self, values: Mapping[str, Any]) -> str:
        """Return how arguments are given."""
        return ", ".join(f"{name}={self.value(value)}" for name, value in values.items())

    def call(self, name: str, arguments: Sequence[str], values: Mapping[str, Any]) -> str:
        """Return how a function is called."""
        return f"`{name}({', '.join([*arguments, *([self.passing(values)] if values else [])])})`"


PYTHON = Voice()


def say(words: Words, voice: Voice = PYTHON) -> str:
    """Return text, or a phrase in the words of `voice`."""
    return words.said(voice) if isinstance(words, Phrase) else words


def _follow(*sentences: Words) -> Words:
    """Return sentences joined: by a full stop before a capital, else by a semicolon."""
    told: Words = ""
    # By what a phrase says: one that says nothing leaves no mark.
    for sentence in filter(str, sentences):
        before, after = str(told), str(sentence)
        if not before:
            told = sentence
            continue
        link = (
            ""
            # What begins with a blank goes on in the sentence before.
            if after.startswith(" ")
            else " "
            if before.endswith((".", "?"))
            else ". "
            if after[0].isupper()
            else "; "
        )
        told = told + link + sentence
    return told


_E = TypeVar("_E", bound="Explained")


class Explained(Exception):  # noqa: N818 (the base of errors and of a warning)
    """What is wrong with a subject, and what to do about it.

    Parameters
    ----------
    subject
        What it is about: a name, a path, or what names itself as text.
    problem
        What was expected and what came, as ``"should be 0 or more, got -1"``.
    *remedy
        What to do, if that can be said; sentences that begin with a capital stand alone.

    Attributes
    ----------
    phrase
        All of it, which each audience has in its own words.
    told
        The same without the subject.
    """

    def __init__(self, subject: object, problem: Words, *remedy: Words) -> None:
        self.phrase: Phrase
        self.told: Phrase
        # Anything else as text: errors pass from one process to another, and open files cannot.
        self.subject = subject if isinstance(subject, str | PathLike) else str(subject)
        self.problem, self.remedy = problem, _follow(*remedy)
        told = _follow(problem, self.remedy)
        end = "" if str(told).endswith((".", "?")) else "."
        self.told = _Joined(told, end)
        self.phrase = _Joined(self._lead(), self.told)
        # One argument alone: OSError would take the first of two for `errno`.
        super().__init__(str(self.phrase))

    def _lead(self) -> Words:
        """Return how the text names the subject."""
        return f"{self.subject}: "

    def __reduce__(self) -> tuple[Any, ...]:
        # By default an exception is made anew of `args`, which is the text.
        return type(self), (self.subject, self.problem, self.remedy)

    def of(self: _E, subject: object) -> _E:
        """Return the same of another subject."""
        return type(self)(subject, self.problem, self.remedy)


class _OfArgument(Explained):
    def _lead(self) -> Words:
        # "`by` should be ..." goes on in a sentence, "`by`: there is no ..." begins one.
        link = "" if str(self.problem).startswith((":", ",")) else " "
        return Argument(self.argument) + link

    @property
    def argument(self) -> str:
        """The name of the argument."""
        return str(self.subject)


class ArgumentError(_OfArgument, ValueError):
    """An argument whose value is not one that it can have.

    Its text is made of the attributes `argument` (the name), `problem` and `remedy`, which
    may be empty.
    """


class ArgumentTypeError(_OfArgument, TypeError):
    """An argument of a wrong type or dtype; its attributes are those of `ArgumentError`."""


class _OfFile(Explained):
    @property
    def path(self) -> str | PathLike[str]:
        """The file, or what stands for it, as an address."""
        return self.subject


class AtlasFileError(_OfFile, OSError):
    """A file that is missing, unreadable, truncated or not what it was taken for.

    Its text is made of the attributes `path`, `problem` and `remedy`, which may be empty.
    """


class AtlasUnavailableError(AtlasFileError):
    """An atlas that is known but is not on this machine and could not be fetched.

    The message names the atlas, the file, the cache folder and the command that
    would fetch it on a machine with a network.
    """


class ContentError(ValueError):
    """What is wrong in a content, said by a reader that does not know whose content it is.

    Whoever does makes of it the error that a user meets: `of_file` or `of_argument`.

    Parameters
    ----------
    problem, *remedy
        As of `Explained`. With a row or a column the problem goes on from these, as
        ``"has 3 cells for 2 columns"``.
    row
        Number of the entry, from 1; the titles of columns are none.
    column
        Its title, or its number, from 1, where it has none.
    within
        Part of the content, as ``"sheet 'a'"``.
    """

    def __init__(
        self,
        problem: Words,
        *remedy: Words,
        row: int | None = None,
        column: str | int | None = None,
        within: str = "",
    ) -> None:
        self.problem, self.remedy = problem, _follow(*remedy)
        self.row, self.column, self.within = row, column, within
        super().__init__(str(_follow(self.told, self.remedy)))

    @property
    def told(self) -> Words:
        """The problem behind its place, as ``"row 1 of 'index' holds 'x'"``."""
        name = f"column {self.column}" if isinstance(self.column, int) else repr(self.column)
        parts = [] if self.row is None else [f"row {self.row}"]
        parts += [] if self.column is None else [name]
        place = f"{' of '.join(parts)} " if parts else ""
        return (f"{self.within}: " if self.within else "") + place + self.problem

    def of_part(self, within: str) -> "ContentError":
        """Return the same of a named part of the content."""
        return ContentError(
            self.problem, self.remedy, row=self.row, column=self.column, within=within
        )

    def of_file(self, path: object, what: str) -> AtlasFileError:
        """Return the error of a file that should be `what`, as ``"a label table"``."""
        return AtlasFileError(path, f"could not be read as {what}: " + self.told, self.remedy)

    def of_argument(self, name: str) -> ArgumentError:
        """Return the error of an argument."""
        return ArgumentError(name, ": " + self.told, self.remedy)


class AtlasWarning(UserWarning):
    """Something in an atlas that a user should look at, but that loses nothing."""


class AtlasFileWarning(_OfFile, AtlasWarning):
    """Something in a file that a user should look at, but that loses nothing."""


def warn(message: Words | Warning, category: type[Warning] = AtlasWarning) -> None:
    """Warn, and point at the line outside of the package that led here."""
    # For `warnings.warn` 1 is this function and 2 who called it.
    level, frame = 2, sys._getframe(1)
    while frame and frame.f_globals.get("__name__", "").partition(".")[0] in _OURS:
        level, frame = level + 1, frame.f_back
    # A warning keeps its class, whatever `category` says.
    warning = message if isinstance(message, Warning) else category(message)
    warnings.warn(warning, stacklevel=level)


def nearest(word: str, known: Iterable[str]) -> str:
    """Return ``"Did you mean ...?"`` for the names nearest to `word`, or ``""``."""
    lowered = {name.lower(): name for name in known}
    # At difflib's own 0.6, MNI152 would not find MNI152NLin6Asym: twice 6 letters of 21 in common.
    close = difflib.get_close_matches(word.lower(), list(lowered), n=3, cutoff=0.5)
    return f"Did you mean {', '.join(repr(lowered[name]) for name in close)}?" if close else ""


def format_count(n: int, what: str, many: str = "") -> str:
    """Return ``"1 parcel"``, ``"2 parcels"``; `many` is a plural that does not add an s."""
    return f"{n} {what}" if n == 1 else f"{n} {many or f'{what}s'}"


def format_list(items: Iterable[object], limit: int = 10) -> str:
    """Return `items` as a comma-separated text, cut after `limit` with a count of the rest."""
    texts = [str(item) for item in items]
    rest = len(texts) - limit
    return ", ".join(texts[:limit]) + (f" and {rest} more" if rest > 0 else "")
