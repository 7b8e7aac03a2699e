"""A file read as an atlas: leniently, so that one oddity does not hide the others."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from atlasinit.core.atlas import Atlas
from atlasinit.core.maps import HardMaps
from atlasinit.core.spaces import UNKNOWN
from atlasinit.errors import Explained, Phrase
from atlasinit.inspection.findings import Notes
from atlasinit.inspection.geometries import describe_geometry
from atlasinit.inspection.parcels import note_parcels
from atlasinit.inspection.tables import note_rows
from atlasinit.io.contents import COMPARTMENTS
from atlasinit.io.facts import Facts
from atlasinit.io.options import ReadOptions
from atlasinit.io.reading import Held, make_atlas, read_contents
from atlasinit.measures.parcels import count_locations
from atlasinit.report.findings import terms_findings

# What is tried where a remedy names an option without a value.
_TRIED: Mapping[str, Any] = {"map": 0, "space": UNKNOWN}
_OPTIONS = ("space", "unlisted", "nan", "kind", "map", "background", "scale")
_ABOUT = {"space": "space", "unlisted": "names", "background": "names", "map": "values"}
"""What an error concerns whose remedy is an option."""


@dataclasses.dataclass(frozen=True, eq=False)
class Read:
    """An atlas that was read, and how.

    Parameters
    ----------
    held
        What the files hold and state.
    atlas
        Of them.
    options
        Those that it took, the user's and those that remedies named.
    """

    held: Held
    atlas: Atlas
    options: ReadOptions


def read_leniently(path: Path, options: ReadOptions, notes: Notes) -> Read | None:
    """Return the atlas of a file or a folder, None where nothing makes one of it.

    What a reader refuses is a finding, and is read once more as the first remedy says that
    its error names: with keys named, NaN as no label, the first of several maps, and so on.
    """
    files: Any = path
    held: Held | None = None
    # Each remedy can be followed once.
    for _ in range(len(_OPTIONS) + 2):
        try:
            with notes.listen():
                held = held or read_contents(files, options)
                return Read(held, make_atlas(held, options), options)
        except (Explained, ValueError, OSError) as error:
            remedy = _find_remedy(error, options, files)
            if remedy is None:
                notes.add_error(error)
                return None
            told = next(iter(remedy))
            notes.add_error(error, "warning", _ABOUT.get(told, "values"))
            if told in COMPARTMENTS.values():
                files, held = {told: path}, None
            else:
                options = options.replace(**remedy)
                # What is decided once all parts are there needs no second reading.
                held = held if told in ("space", "unlisted", "background") else None
    return None


def _find_remedy(error: Exception, options: ReadOptions, files: Any) -> dict[str, Any] | None:
    """Return the first option that the remedy of an error names and that was not followed yet."""
    remedy = getattr(error, "remedy", "")
    settings = remedy.settings if isinstance(remedy, Phrase) else {}
    for name, value in settings.items():
        if name in COMPARTMENTS.values() and not isinstance(files, Mapping):
            return {name: files}
        if name not in _OPTIONS or name in options.stated:
            continue
        if value is not ... or name in _TRIED:
            return {name: _TRIED[name] if value is ... else value}
    return None


def note_atlas(found: Read, facts: Facts | None, notes: Notes) -> None:
    """Note what is odd about an atlas, its table and how its numbers are stored."""
    atlas = found.atlas
    parts = [part for one in found.held.contents for part in one.parts]
    hard = all(isinstance(maps, HardMaps) for maps in atlas.maps.values())
    if facts is not None and hard:
        if (facts.slope, facts.intercept) != (1, 0):
            notes.add(
                "warning",
                "values",
                f"labels are stored through a scale (slope {facts.slope:.6g}, intercept "
                f"{facts.intercept:.6g}), which other programs may round differently",
            )
        elif facts.dtype.startswith("float"):
            notes.add("note", "values", f"labels are stored as {facts.dtype}, not as integers")
    if any(one.atlas is None for one in found.held.contents):
        note_rows(parts, atlas, notes, has_table=found.options.labels is not None)
    note_parcels(atlas, notes)
    # That nothing is stated is told with what is.
    if atlas.provenance.licence:
        for sentence in terms_findings(atlas):
            notes.add("note", "terms", sentence)


def describe_atlas(atlas: Atlas) -> dict[str, Any]:
    """Return what loading gives: the kind of maps, parcels, sizes."""
    counts = count_locations(atlas)
    full = counts[counts > 0]
    kinds = dict.fromkeys(_KINDS[isinstance(m, HardMaps)] for m in atlas.maps.values())
    return {
        "as": "mask" if is_mask(atlas) else " and ".join(kinds),
        "name": atlas.name,
        "parcels": atlas.n_parcels,
        "names": list(atlas.table["name"]),
        "compartments": {
            c: f"{atlas.maps[c].n_parcels} parcels on {describe_geometry(geometry)}"
            for c, geometry in atlas.geometry.items()
        },
        "locations": {
            "smallest": int(full.min(initial=counts.max(initial=0))),
            "largest": int(counts.max(initial=0)),
            "empty parcels": int((counts == 0).sum()),
        },
    }


def is_mask(atlas: Atlas) -> bool:
    """Whether an atlas is one label without a name."""
    if atlas.n_parcels != 1 or not all(isinstance(m, HardMaps) for m in atlas.maps.values()):
        return False
    return bool(atlas.table["name"][0] == f"label-{atlas.table['key'][0]}")


_KINDS = {True: "labels", False: "weights"}


def state_atlas(found: Read) -> dict[str, Any]:
    """Return what files and their names state, provenance included."""
    first = found.held.contents[0]
    stated, own = first.stated, found.atlas.provenance
    whole = first.atlas
    return _keep(
        {
            "space": whole.space if whole is not None else stated.space or "not stated",
            "hemisphere": stated.side,
            "labels": stated.labels or None,
            "mesh": "comes with its values" if stated.mesh is not None else "",
            "source": own.source,
            "licence": own.licence or "not stated",
            "citation": own.citation,
            "operations": list(own.operations),
            "sha256": {s.name: s.digest for s in found.held.sources if s.path is not None},
        }
    )


def _keep(section: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in section.items() if value not in ("", None, [], {})}
