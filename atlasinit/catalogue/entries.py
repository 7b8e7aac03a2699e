"""The catalogue's entries: what atlases there are, in which variants, from which sources.

Entries are data, the TOML files of the folder ``data``. A source names its files
by patterns such as ``atlas-Schaefer2018_seg-{networks}n_dseg.nii.gz``; each choice
of values for its axes is one variant.
"""

import dataclasses
import functools
import itertools
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeAlias

from atlasinit.errors import AtlasFileError, ContentError, format_list, nearest
from atlasinit.support.resources import data_folder, load_toml, normalise_name

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
        Pattern of one file, of several with a map each, or one per compartment;
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
        # TemplateFlow writes resolution 2 as "02", nilearn's fetchers as "2mm".
        resolution = str(self.values.get("resolution", "")).lstrip("0")
        return pattern.format(space=self.space, mm=f"{resolution}mm", **self.values)

    @property
    def licence(self) -> str:
        """The source's, else the entry's."""
        return self.source.licence or self.entry.licence

    @property
    def citation(self) -> str:
        """The source's, else the entry's."""
        return self.source.citation or self.entry.citation

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
    # The order is one of preference: of sources as listed, and within them of spaces and values.
    for source in entry.sources:
        for space in source.spaces:
            for values in itertools.product(*source.axes.values()):
                yield Variant(entry, source, space, dict(zip(source.axes, values, strict=True)))


@functools.cache
def catalogue() -> Mapping[str, Entry]:
    """Return name to entry for the whole catalogue, in alphabetical order."""
    paths = [path for path in data_files() if path.name not in _OTHER_DATA]
    entries = [entry for path in paths for entry in read_entries(path)]
    return MappingProxyType({e.name: e for e in sorted(entries, key=lambda e: e.name)})


_ENTRIES = "entries of the catalogue"
_OTHER_DATA = ("packages.toml", "spaces.toml")


@functools.cache
def names() -> Mapping[str, str]:
    """Return every name and alias, plain, to the entry's name."""
    out: dict[str, str] = {}
    for entry in catalogue().values():
        for name in (entry.name, *entry.aliases):
            if out.setdefault(normalise_name(name), entry.name) != entry.name:
                problem = f"{name!r} names both {out[normalise_name(name)]!r} and {entry.name!r}"
                raise AtlasFileError(data_folder(), problem, "take it from one of them")
    return MappingProxyType(out)


def data_files() -> list[Path]:
    """Return the TOML files of the catalogue, in alphabetical order."""
    return sorted(data_folder().glob("*.toml"))


def read_entries(path: Path) -> list[Entry]:
    """Return the entries of one TOML file of the catalogue.

    Raises
    ------
    AtlasFileError
        A file that is no TOML, or an entry with fields that are missing, unknown or of no
        meaning.
    """
    entries = []
    for i, table in enumerate(load_toml(path).get("atlas", ())):
        part = repr(table["name"]) if "name" in table else f"atlas {i + 1}"
        try:
            entries.append(_read_entry(table))
        except ContentError as error:
            raise error.of_part(part).of_file(path, _ENTRIES) from error
        except (AttributeError, TypeError, ValueError) as error:
            # A value of another type than its field's, as of `source = "templateflow"`.
            raise ContentError(str(error), within=part).of_file(path, _ENTRIES) from error
    return entries


def _read_entry(table: Mapping[str, Any]) -> Entry:
    table = dict(table)
    kind = table.pop("kind", "hard")
    sources = tuple(_read_source(dict(s), kind) for s in table.pop("source", ()))
    table["aliases"] = tuple(table.get("aliases", ()))
    if not sources:
        raise ContentError("has no source")
    _check_keys(table, Entry, {"sources"})
    for alias, choices in table.get("meanings", {}).items():
        if alias not in table["aliases"] or not set(choices) <= set(AXES):
            raise ContentError(f"'meanings' should be of aliases, and axes, got {alias!r}")
    return Entry(sources=sources, **table)


def _read_source(table: dict[str, Any], kind: str) -> EntrySource:
    from atlasinit.catalogue.sources.registry import SOURCES

    # In TOML one value may stand for a list of one, and `space` for `spaces`.
    axes = {axis: _as_tuple(table.pop(axis)) for axis in AXES if axis in table}
    spaces = _as_tuple(table.pop("space", ""))
    table["compartments"] = _as_tuple(table.get("compartments", []))
    kind = table.pop("kind", kind)
    _check_keys(table, EntrySource, {"kind", "spaces", "axes"})
    source = EntrySource(kind=kind, spaces=spaces, axes=axes, **table)
    choices = {"via": tuple(SOURCES), "kind": KINDS, "join": JOINS, "layout": LAYOUTS}
    for field, allowed in choices.items():
        value = getattr(source, field)
        if value not in allowed:
            problem = f"should be one of {format_list(map(repr, allowed))}, got {value!r}"
            raise ContentError(problem, nearest(str(value), allowed), column=field)
    return source


def _check_keys(table: Mapping[str, Any], kind: type, given: set[str]) -> None:
    """Refuse keys that are no fields of `kind`, or too few of them, those `given` set aside."""
    fields = {field.name: field for field in dataclasses.fields(kind) if field.name not in given}
    strange = sorted(set(table) - set(fields))
    if strange:
        raise ContentError(f"unknown keys {strange}", nearest(strange[0], fields))
    absent = [
        name
        for name, field in fields.items()
        if name not in table and field.default is field.default_factory is dataclasses.MISSING
    ]
    if absent:
        raise ContentError(f"keys {absent} are missing")


def _as_tuple(value: Any) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, list) else (value,)


def _items(patterns: Patterns) -> list[tuple[str, str]]:
    if isinstance(patterns, str):
        return [("", patterns)] if patterns else []
    # A list is a map per file, by their numbers, which no compartment has as its name.
    if isinstance(patterns, list):
        return [(str(i), p) for i, p in enumerate(patterns)]
    return list(patterns.items())
