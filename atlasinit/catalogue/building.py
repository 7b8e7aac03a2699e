"""From a variant of the catalogue to an atlas."""

import dataclasses
import importlib.metadata
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from atlasinit.catalogue import spaces
from atlasinit.catalogue.entries import Variant
from atlasinit.catalogue.finishing import add_networks, fill_options
from atlasinit.catalogue.layouts import parts as layouts
from atlasinit.catalogue.sources import (
    nilearn,
)
from atlasinit.catalogue.sources import (
    package as packages,
)
from atlasinit.catalogue.sources import (
    references as files,
)
from atlasinit.catalogue.transfer.integrity import damage
from atlasinit.core.atlas import Atlas
from atlasinit.core.provenance import Provenance
from atlasinit.errors import AtlasFileError
from atlasinit.io.assembly.assemble import assemble
from atlasinit.io.contents import LabelRow
from atlasinit.io.options import ReadOptions
from atlasinit.io.reading import read_files
from atlasinit.io.tables.reading import read_table
from atlasinit.support.files import sha256


def build(
    variant: Variant,
    options: ReadOptions,
    *,
    radius: float | int | None = None,
    download: bool = True,
) -> Atlas:
    """Return the atlas of a variant, fetching its files if need be.

    A fetched file that turns out damaged is deleted, fetched again, and read again.

    Parameters
    ----------
    variant
        Of the catalogue.
    options
        Where they state something, it goes before what the entry states.
    radius
        Of the spheres of an atlas of coordinates, in mm.
    download
        Whether files may be fetched.

    Raises
    ------
    ValueError
        An option that does not apply to the atlas.
    AtlasUnavailableError
        A file is not on this machine and could not be fetched.
    """
    _check(variant, options, radius)
    own = fill_options(variant, options, allow_download=download)
    way = _build_with_nilearn if variant.source.via == "nilearn" else _build_from_files
    return add_networks(way(variant, own, radius, download=download), variant)


_IDLE = {
    "": ("which is no atlas of coordinates", ("radius",)),
    "grayordinates": ("which is one map of labels over grayordinates", ("radius", "map", "scale")),
    "spheres": ("which is a table of coordinates", ("map", "scale")),
}
"""Layout to what it is, and the options that it has no use for."""


def _check(variant: Variant, options: ReadOptions, radius: object) -> None:
    what, idle = _IDLE[variant.source.layout]
    stated = {**options.stated, **({} if radius is None else {"radius": radius})}
    for option in idle:
        if option in stated:
            raise ValueError(
                f"`{option}` does not apply to {variant.entry.name!r}, {what}; leave it out."
            )


def _build_from_files(
    variant: Variant, options: ReadOptions, radius: Any, *, download: bool
) -> Atlas:
    located = files.locate(variant, allow_download=download)
    try:
        return _read_located(variant, options, radius, located)
    except AtlasFileError:
        if not (download and _discard_damaged(located)):
            raise
    return _read_located(variant, options, radius, files.locate(variant))


def _build_with_nilearn(
    variant: Variant, options: ReadOptions, radius: Any, *, download: bool
) -> Atlas:
    del radius  # of no atlas that comes so
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        found = nilearn.fetch(variant, scratch, allow_download=download)
        try:
            return _read(variant, options, found.maps, found.labels, _listed(found.maps))
        except AtlasFileError:
            paths = {f"nilearn:{path}": path for path in _listed(found.maps)}
            if not (download and _discard_damaged(paths)):
                raise
        found = nilearn.fetch(variant, scratch)
        return _read(variant, options, found.maps, found.labels, _listed(found.maps))


def _discard_damaged(located: Mapping[str, Path]) -> bool:
    """Delete the fetched files that are not whole; whether there were any."""
    bad = [p for r, p in located.items() if not r.startswith("package:") and damage(p)]
    for path in bad:
        path.unlink(missing_ok=True)
    return bool(bad)


def _read_located(
    variant: Variant, options: ReadOptions, radius: Any, located: Mapping[str, Path]
) -> Atlas:
    paths: Any = {key: located[reference] for key, reference in variant.files.items()}
    if all(key.isdigit() for key in paths):
        paths = list(paths.values())
    elif set(paths) == {""}:
        paths = paths[""]
    if variant.source.layout:
        return _read_layout(variant, options, radius, paths, located)
    used = [located[r] for r in (*variant.files.values(), *variant.tables.values())]
    return _read(variant, options, paths, _table(variant, located), used)


def _read(
    variant: Variant, options: ReadOptions, paths: Any, table: object, used: list[Path]
) -> Atlas:
    kind = "auto" if isinstance(paths, list) else variant.source.kind
    options = options.replace(kind=kind, labels=table if options.labels is None else options.labels)
    return read_files(paths, options, provenance=_provenance(variant, used))


def _read_layout(
    variant: Variant,
    options: ReadOptions,
    radius: Any,
    path: Path,
    located: Mapping[str, Path],
) -> Atlas:
    """Return the atlas of a file that only the entry can tell how to read."""
    source = variant.source
    if source.layout == "spheres":
        regions = variant.tables.get("region")
        parts = layouts.sphere_parts(
            path,
            spaces.grid(variant),
            mask=options.mask,
            radius=(source.radius or None) if radius is None else radius,
            regions=None if regions is None else located[regions],
        )
        options = options.replace(mask=None)  # it was the grid of the spheres
    else:
        subcortex = located.get(spaces.subcortex(variant))
        parts = layouts.grayordinate_parts(
            path,
            layouts.cortex_vertices(spaces.masks(variant), located),
            n_vertices=spaces.n_vertices(variant),
            subcortex=subcortex,
            compartments=source.compartments,
        )
    return assemble(
        parts,
        options,
        name=options.name or variant.entry.name,
        space=spaces.label(variant),
        provenance=_provenance(variant, list(located.values())),
    )


def _table(variant: Variant, located: Mapping[str, Path]) -> object:
    """Return the label table, with keys and order as the entry states."""
    names = variant.source.labels
    if isinstance(names, list):
        return dict(enumerate(names, start=1))
    tables = {
        c: _rekeyed(variant, read_table(located[reference]))
        for c, reference in variant.tables.items()
    }
    return tables.get("") if len(tables) <= 1 else tables


def _rekeyed(variant: Variant, rows: tuple[LabelRow, ...]) -> tuple[LabelRow, ...]:
    source = variant.source
    if source.join == "order":
        named = [row for row in rows if not row.name.startswith("Background")]
        return tuple(dataclasses.replace(row, key=i) for i, row in enumerate(named, start=1))
    if source.join == "sides":
        sides = (("Left", "L", 1), ("Right", "R", 0))
        return tuple(
            dataclasses.replace(
                row, key=2 * row.key - odd, name=f"{word} {row.name}", hemisphere=side
            )
            for row in rows
            for word, side, odd in sides
        )
    return tuple(dataclasses.replace(row, key=row.key + source.offset) for row in rows)


def _provenance(variant: Variant, paths: list[Path]) -> Provenance:
    source, entry = variant.source, variant.entry
    choices = ", ".join(f"{axis}={value}" for axis, value in variant.values.items())
    return Provenance(
        source=_origin(variant),
        version=choices,
        licence=source.licence or entry.licence,
        citation=source.citation or entry.citation,
        files=tuple((path.name, sha256(path)) for path in dict.fromkeys(paths)),
    )


def _origin(variant: Variant) -> str:
    source = variant.source
    if source.via == "nilearn":
        return f"nilearn:{source.fetcher}=={importlib.metadata.version('nilearn')}"
    first = next(iter(variant.files.values()))
    scheme, place = first.split(":", 1)
    if scheme == "package":
        return f"package:{packages.version_of(place)}"
    return f"templateflow:{variant.space}" if scheme == "templateflow" else f"url:{first}"


def _listed(maps: Path | Mapping[str, Path]) -> list[Path]:
    return [maps] if isinstance(maps, Path) else list(maps.values())
