"""What a check found: of one file, and of several together."""

import contextlib
import dataclasses
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, TypeAlias

from atlasinit.core.atlas import Atlas
from atlasinit.core.geometry import Geometry
from atlasinit.errors import PYTHON, AtlasWarning, Explained, Voice, Words, say

Sections: TypeAlias = tuple[dict[str, Any], dict[str, Any]]
"""What a file states, and what is read of it."""

Level: TypeAlias = Literal["error", "warning", "note"]
"""What cannot be read; what is odd; what is usual, but worth knowing."""

_STATUS = {"note": 0, "warning": 1, "error": 2}


@dataclasses.dataclass(frozen=True)
class Finding:
    """One thing about a file.

    Parameters
    ----------
    level
        ``"error"``: it cannot be read so. ``"warning"``: it is odd, and should be looked at
        before the file is used. ``"note"``: it is usual, but worth knowing.
    about
        What it concerns, in a word: ``"file"``, ``"names"``, ``"keys"``, ``"space"``,
        ``"orientation"``, ``"parcels"``, ``"values"``, ``"runs"``, ``"terms"``, ``"fit"``.
    words
        A sentence, which the command line has in its own words; where a reader of the package
        raised or warned, its own.
    """

    level: Level
    about: str
    words: Words

    @property
    def text(self) -> str:
        """The sentence, in Python's words."""
        return self.said(PYTHON)

    def said(self, voice: Voice) -> str:
        """Return the sentence in the words of `voice`, with a full stop."""
        told = say(self.words, voice)
        return told + ("" if told.endswith((".", "?")) else ".")

    def __str__(self) -> str:
        return f"{self.level}: {self.text}"


@dataclasses.dataclass(frozen=True, eq=False)
class FileReport:
    """What a file is, what it states, what would be read of it, and what is odd.

    Parameters
    ----------
    path
        The file, as it was given.
    kind
        What it is taken for: ``"atlas"``, ``"data"``, ``"surface"``, ``"label table"``,
        ``"vertex list"``, ``"transform"``; what is made of data: ``"connectome"``, ``"series of
        parcels"``, ``"values of parcels"``, ``"nodes"`` of BrainNet Viewer, ``"confounds"``; what
        goes with files: ``"metadata"``, ``"page"``, ``"text"``; of `atlasinit.extract`
        ``"output"``, ``"summary of runs"``, ``"Parquet table"``. ``""`` where nothing reads it.
    format
        As ``"an image of a grid"``.
    stored, stated, read
        Heading to value: how its numbers are stored, what it and its name state, and what
        loading it gives. Values are plain data, as JSON has them.
    findings
        What is worth knowing, the gravest first.
    """

    path: str
    kind: str = ""
    format: str = ""
    stored: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    stated: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    read: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    findings: tuple[Finding, ...] = ()

    @property
    def status(self) -> int:
        """2 where the file cannot be read, else 1 where anything is odd, else 0."""
        return _grade(self.findings)

    def to_dict(self, voice: Voice = PYTHON) -> dict[str, Any]:
        """Return the report as plain data, its sentences in the words of `voice`."""
        own = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        sections = {name: dict(own[name]) for name in ("stored", "stated", "read")}
        told = [_plain(finding, voice) for finding in self.findings]
        return {**own, **sections, "findings": told, "status": self.status}

    def said(self, voice: Voice) -> str:
        """Return the report as text, its sentences in the words of `voice`."""
        head = f"{self.path}: {self.kind or 'not read'}"
        lines = [f"{head} ({self.format})" if self.format else head]
        for title in ("stored", "stated", "read"):
            section: Mapping[str, Any] = getattr(self, title)
            if section:
                lines.append(f"  {title}")
            width = max(map(len, section), default=0)
            lines += [f"    {name:{width}}  {_show(value)}" for name, value in section.items()]
        return "\n".join([*lines, *_list(self.findings, voice)])

    def __str__(self) -> str:
        return self.said(PYTHON)


@dataclasses.dataclass(frozen=True, eq=False)
class Checked:
    """A file that was checked.

    Parameters
    ----------
    report
        What was found.
    atlas
        That was read of it, where its kind is one.
    places
        Of data, compartment (empty where none is stated) to grid or mesh.
    """

    report: FileReport
    atlas: Atlas | None = None
    places: Mapping[str, Geometry] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, eq=False)
class FilesReport:
    """What several files are, and whether they fit together.

    Parameters
    ----------
    files
        The report of each.
    together
        Of pairs of them, each sentence with the names of both.
    """

    files: tuple[FileReport, ...]
    together: tuple[Finding, ...] = ()

    @property
    def status(self) -> int:
        """The worst of the files and of how they fit together."""
        return max([_grade(self.together), *(one.status for one in self.files)])

    def to_dict(self, voice: Voice = PYTHON) -> dict[str, Any]:
        """Return the reports as plain data, their sentences in the words of `voice`."""
        return {
            "files": [one.to_dict(voice) for one in self.files],
            "together": [_plain(finding, voice) for finding in self.together],
            "status": self.status,
        }

    def said(self, voice: Voice) -> str:
        """Return the reports as text, their sentences in the words of `voice`."""
        parts = [one.said(voice) for one in self.files]
        if self.together:
            parts.append("\n".join(["together", *_list(self.together, voice)]))
        return "\n\n".join(parts)

    def __str__(self) -> str:
        return self.said(PYTHON)


class Notes:
    """The findings on one file, as they come up.

    Parameters
    ----------
    path
        The file, which sentences on it need not name.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._found: list[Finding] = []

    def add(self, level: Level, about: str, words: Words) -> None:
        """Keep a finding; one that was made before counts once."""
        finding = Finding(level, about, words)
        if finding.text not in [one.text for one in self._found]:
            self._found.append(finding)

    def add_error(self, error: Exception, level: Level = "error", about: str = "file") -> None:
        """Keep what a reader raised."""
        self.add(level, about, self._words(error))

    @contextlib.contextmanager
    def listen(self) -> Iterator[None]:
        """Keep what readers warn of; the warnings of others pass."""
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            yield
        for warning in caught:
            if isinstance(warning.message, AtlasWarning):
                self.add("warning", "file", self._words(warning.message))
            else:
                warnings.warn_explicit(
                    warning.message, warning.category, warning.filename, warning.lineno
                )

    def _words(self, told: Exception) -> Words:
        if isinstance(told, Explained):
            return told.told if str(told.subject) == self.path else told.phrase
        # A warning may have a phrase for its text.
        return told.args[0] if told.args and not isinstance(told, OSError) else str(told)

    def sorted(self) -> tuple[Finding, ...]:
        """Return the findings, the gravest first."""
        return tuple(sorted(self._found, key=lambda finding: -_STATUS[finding.level]))


def _grade(findings: Sequence[Finding]) -> int:
    return max((_STATUS[finding.level] for finding in findings), default=0)


def _plain(finding: Finding, voice: Voice) -> dict[str, str]:
    return {"level": finding.level, "about": finding.about, "text": finding.said(voice)}


def _list(findings: Sequence[Finding], voice: Voice) -> list[str]:
    if not findings:
        return ["  nothing odd"]
    return ["  found", *(f"    {f.level}: {f.said(voice)}" for f in findings)]


def _show(value: Any) -> str:
    if isinstance(value, Mapping):
        return "; ".join(f"{name} {_show(own)}" for name, own in value.items())
    if isinstance(value, list | tuple):
        shown = ", ".join(map(_show, value[:6]))
        return f"{shown} and {len(value) - 6} more" if len(value) > 6 else shown
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
