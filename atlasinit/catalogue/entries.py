"""The catalogue's entries: what atlases there are, in which variants, from which sources.

Entries are data, the TOML files of the folder ``data``. A source names its files
by patterns such as ``atlas-Schaefer2018_seg-{networks}n_dseg.nii.gz``; each choice
of values for its axes is one variant.
"""

import dataclasses
import functools
import itertools
import re
import tomllib
from collections.abc import Iterator, Mapping
from importlib import resources
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeAlias

AXES = (
    "density",
    "cohort",
    "resolution",
    "parcels",
    "networks",
    "threshold",
    "level",
    "version",
)
"""What variants of an atlas in one space may differ in."""

Value: TypeAlias = str | int
Patterns: TypeAlias = "str | list[str] | dict[str, str]"

KINDS = ("hard", "maps", "spheres")
JOINS = ("key", "order", "sides")
LAYOUTS = ("", "grayordinates", "spheres")


@dataclasses.dataclass(frozen=True)
class EntrySource:
    """One place that an atlas comes from, in one kind.

    Parameters
    ----------
    via
        The source, a name of `SOURCES`.
    kind
        ``"hard"``, ``"maps"``, or ``"spheres"`` (hard unless they overlap).
    spaces
        Templates, as ``"fsaverage"``.
    axes
        Axis to its values; those of `AXES` that the source has.
    files
        Pattern of one file, of several with a map each, or one a compartment;
        ``{hemi}`` stands for L and R.
    labels
        Pattern of the table, or the names themselves as a list, or one pattern a
        compartment; ``""`` where the files hold their own.
    join
        ``"key"``; ``"order"``: keys are 1, 2, ... in the order of the table; or
        ``"sides"``: entry k of the table is key 2 k - 1 on the left, 2 k on the right.
    offset
        Added to the table's keys.
    pattern
        Regular expression that finds ``network`` and ``hemisphere`` in names.
    layout
        How the values of one file are split: ``"grayordinates"`` (the 91,282 of the
        HCP), ``"spheres"`` (a table of centres), ``""`` as the format says.
    options
        Of the reader, as `ReadOptions` has them: ``map``, ``unlisted``, ``unused``.
    masked
        Keep only the vertices that are not medial wall.
    count
        Number of parcels where `axes` does not say.
    radius
        Of the spheres, in mm.
    fetcher, arguments, folder, field
        nilearn's function, its arguments, a file (or a pattern of files) that it leaves in
        nilearn's data folder, and the field of its answer that holds the maps.
    compartments
        Those that are kept; all by default.
    licence, citation
        Where they differ from the entry's.
    """

    via: str
    kind: str
    spaces: tuple[str, ...]
    axes: Mapping[str, tuple[Value, ...]]
    files: Patterns = ""
    labels: Patterns = ""
    join: str = "key"
    offset: int = 0
    pattern: str = ""
    layout: str = ""
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    masked: bool = False
    count: int = 0
    radius: float = 0.0
    fetcher: str = ""
    arguments: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    folder: str = ""
    field: str = "maps"
    compartments: tuple[str, ...] = ()
    licence: str = ""
    citation: str = ""


@dataclasses.dataclass(frozen=True)
class Entry:
    """An atlas of the catalogue.

    Parameters
    ----------
    name, aliases, title
        What it is called; a request takes the name or an alias, in any case.
    sources
        In order of preference.
    defaults
        Values for ``space`` and axes that a request leaves open.
    species
        ``"human"`` unless stated.
    licence, citation
        As the sources state them.
    note
        What a user should know.
    meanings
        Alias to the choices that it names: of ``aal3``, the version.
    unclear
        Further names that are given to the atlas, each to a sentence on why it is none.
    """

    name: str
    title: str
    sources: tuple[EntrySource, ...]
    aliases: tuple[str, ...] = ()
    defaults: Mapping[str, Value] = dataclasses.field(default_factory=dict)
    species: str = "human"
    licence: str = ""
    citation: str = ""
    note: str = ""
    meanings: Mapping[str, Mapping[str, Value]] = dataclasses.field(default_factory=dict)
    unclear: Mapping[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Variant:
    """One concrete atlas: an entry, one of its sources, and a value for the space and each axis."""

    entry: Entry
    source: EntrySource
    space: str
    values: Mapping[str, Value]

    def fill(self, pattern: str) -> str:
        """Return `pattern` with the values in place of their names; ``{mm}`` is as ``2mm``."""
        resolution = str(self.values.get("resolution", "")).lstrip("0")
        return pattern.format(space=self.space, mm=f"{resolution}mm", **self.values)

    @property
    def choices(self) -> dict[str, Value]:
        """The values by name, the space and kind included."""
        return {"space": self.space, "kind": self.source.kind, **self.values}

    @property
    def files(self) -> dict[str, str]:
        """Compartment (``""`` where the file says) or number of the map to file reference."""
        patterns = self.source.files
        if isinstance(patterns, str) and "{hemi}" in patterns:
            patterns = {f"cortex_{h}": patterns.replace("{hemi}", h) for h in "LR"}
        return {key: self._reference(p) for key, p in _items(patterns)}

    @property
    def tables(self) -> dict[str, str]:
        """Compartment (``""`` for all) to the reference of the label table."""
        labels = self.source.labels
        if isinstance(labels, list):
            return {}
        return {key: self._reference(p) for key, p in _items(labels) if p}

    def _reference(self, pattern: str) -> str:
        """Return ``scheme:place`` of a file; patterns without a scheme are of the own source."""
        # Here, as sources are asked for variants.
        from atlasinit.catalogue.sources.registry import SOURCES

        filled = self.fill(pattern)
        schemes = [scheme for source in SOURCES.values() for scheme in source.schemes]
        if filled.partition(":")[0] in schemes:
            return filled
        refer = SOURCES[self.source.via].refer
        return refer(self, filled) if refer else f"package:{filled}"


def variants(entry: Entry) -> Iterator[Variant]:
    """Yield every variant of an entry, source by source."""
    for source in entry.sources:
        for space in source.spaces:
            for values in itertools.product(*source.axes.values()):
                yield Variant(entry, source, space, dict(zip(source.axes, values, strict=True)))


@functools.cache
def catalogue() -> Mapping[str, Entry]:
    """Return name to entry for the whole catalogue, in alphabetical order."""
    entries = [
        _entry(table, path.name)
        for path in data_files()
        if path.name not in _OTHER_DATA
        for table in load_toml(path).get("atlas", ())
    ]
    return MappingProxyType({e.name: e for e in sorted(entries, key=lambda e: e.name)})


_OTHER_DATA = ("packages.toml", "spaces.toml")


@functools.cache
def names() -> Mapping[str, str]:
    """Return every name and alias, plain, to the entry's name."""
    out: dict[str, str] = {}
    for entry in catalogue().values():
        for name in (entry.name, *entry.aliases):
            if out.setdefault(plain(name), entry.name) != entry.name:
                raise ValueError(f"{name!r} names both {out[plain(name)]!r} and {entry.name!r}.")
    return MappingProxyType(out)


def plain(name: str) -> str:
    """Return a name without case and punctuation."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def data_folder() -> Path:
    """Return the folder of the catalogue's data, of the installed package or of the checkout."""
    packaged = Path(str(resources.files("atlasinit"))) / "data"
    return packaged if packaged.is_dir() else packaged.parent.parent / "data"


def data_files() -> list[Path]:
    """Return the TOML files of the catalogue, in alphabetical order."""
    return sorted(data_folder().glob("*.toml"))


def load_toml(path: Path) -> dict[str, Any]:
    """Return the content of a TOML file; an error names the file."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{path}: {error}") from error


def _entry(table: Mapping[str, Any], where: str) -> Entry:
    table = dict(table)
    where = f"{where}: {table.get('name', 'an atlas without a name')}"
    kind = table.pop("kind", "hard")
    sources = tuple(_source(dict(s), kind, where) for s in table.pop("source", ()))
    table["aliases"] = tuple(table.get("aliases", ()))
    _check_keys(table, Entry, where)
    if not sources:
        raise ValueError(f"{where}: has no source.")
    for alias, choices in table.get("meanings", {}).items():
        if alias not in table["aliases"] or not set(choices) <= set(AXES):
            raise ValueError(f"{where}: `meanings` should be of aliases, and axes, got {alias!r}.")
    return Entry(sources=sources, **table)


def _source(table: dict[str, Any], kind: str, where: str) -> EntrySource:
    from atlasinit.catalogue.sources.registry import SOURCES

    axes = {axis: _tuple(table.pop(axis)) for axis in AXES if axis in table}
    spaces = _tuple(table.pop("space", ""))
    table["compartments"] = _tuple(table.get("compartments", []))
    _check_keys(table, EntrySource, where)
    source = EntrySource(kind=table.pop("kind", kind), spaces=spaces, axes=axes, **table)
    choices = {"via": tuple(SOURCES), "kind": KINDS, "join": JOINS, "layout": LAYOUTS}
    for field, allowed in choices.items():
        if getattr(source, field) not in allowed:
            raise ValueError(f"{where}: {field!r} should be one of {allowed}.")
    return source


def _check_keys(table: Mapping[str, Any], kind: type, where: str) -> None:
    known = {field.name for field in dataclasses.fields(kind)}
    unknown = set(table) - known
    if unknown:
        raise ValueError(f"{where}: unknown keys {sorted(unknown)}.")


def _tuple(value: Any) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, list) else (value,)


def _items(patterns: Patterns) -> list[tuple[str, str]]:
    if isinstance(patterns, str):
        return [("", patterns)] if patterns else []
    if isinstance(patterns, list):
        return [(str(i), p) for i, p in enumerate(patterns)]
    return list(patterns.items())
