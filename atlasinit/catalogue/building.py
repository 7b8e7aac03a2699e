"""From a variant of the catalogue to an atlas."""

import dataclasses
import importlib.metadata
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from atlasinit.catalogue import spaces
from atlasinit.catalogue.entries import Variant
from atlasinit.catalogue.finishing import finished
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
from atlasinit.io.overlay.parts import masked, on_meshes
from atlasinit.io.reading import read_atlas
from atlasinit.io.tables.reading import read_table
from atlasinit.support.files import sha256


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Request:
    """What a user states beyond the variant, as `load_atlas` takes it; None leaves it open."""

    labels: object = None
    mask: object = None
    name: str | None = None
    map: str | int | None = None
    unlisted: str | None = None
    background: Any = None
    scale: Any = None
    nan: str | None = None
    meshes: Mapping[str, Mapping[str, Any]] | None = None
    radius: float | int | None = None
    download: bool = True


def build(variant: Variant, request: Request) -> Atlas:
    """Return the atlas of a variant, fetching its files if need be.

    A fetched file that turns out damaged is deleted, fetched again, and read again.

    Raises
    ------
    ValueError
        An option that does not apply to the atlas.
    AtlasUnavailableError
        A file is not on this machine and could not be fetched.
    """
    _check(variant, request)
    way = _build_with_nilearn if variant.source.via == "nilearn" else _build_from_files
    return finished(
        variant,
        way(variant, request),
        masked=request.mask is not None,
        on_meshes=request.meshes is not None,
        allow_download=request.download,
    )


_IDLE = {
    "": ("which is no atlas of coordinates", ("radius",)),
    "grayordinates": ("which is one map of labels over grayordinates", ("radius", "map", "scale")),
    "spheres": ("which is a table of coordinates", ("map", "scale")),
}
"""Layout to what it is, and the options that it has no use for."""


def _check(variant: Variant, request: Request) -> None:
    what, idle = _IDLE[variant.source.layout]
    for option in idle:
        if getattr(request, option) is not None:
            raise ValueError(
                f"`{option}` does not apply to {variant.entry.name!r}, {what}; leave it out."
            )


def _build_from_files(variant: Variant, request: Request) -> Atlas:
    located = files.locate(variant, allow_download=request.download)
    try:
        return _read_located(variant, request, located)
    except AtlasFileError:
        if not (request.download and _discard_damaged(located)):
            raise
    return _read_located(variant, request, files.locate(variant))


def _build_with_nilearn(variant: Variant, request: Request) -> Atlas:
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        found = nilearn.fetch(variant, scratch, allow_download=request.download)
        try:
            return _read(variant, request, found.maps, found.labels, _listed(found.maps))
        except AtlasFileError:
            paths = {f"nilearn:{path}": path for path in _listed(found.maps)}
            if not (request.download and _discard_damaged(paths)):
                raise
        found = nilearn.fetch(variant, scratch)
        return _read(variant, request, found.maps, found.labels, _listed(found.maps))


def _discard_damaged(located: Mapping[str, Path]) -> bool:
    """Delete the fetched files that are not whole; whether there were any."""
    bad = [p for r, p in located.items() if not r.startswith("package:") and damage(p)]
    for path in bad:
        path.unlink(missing_ok=True)
    return bool(bad)


def _read_located(variant: Variant, request: Request, located: Mapping[str, Path]) -> Atlas:
    paths: Any = {key: located[reference] for key, reference in variant.files.items()}
    if all(key.isdigit() for key in paths):
        paths = list(paths.values())
    elif set(paths) == {""}:
        paths = paths[""]
    if variant.source.layout:
        return _read_layout(variant, request, paths, located)
    used = [located[r] for r in (*variant.files.values(), *variant.tables.values())]
    return _read(variant, request, paths, _table(variant, located), used)


def _read(variant: Variant, request: Request, paths: Any, table: object, used: list[Path]) -> Atlas:
    options = _options(variant, request)
    several = isinstance(paths, list)
    return read_atlas(
        paths,
        labels=table if request.labels is None else request.labels,
        space=spaces.label(variant),
        name=request.name or variant.entry.name,
        kind="auto" if several else variant.source.kind,
        mask=request.mask,
        meshes=request.meshes,
        provenance=_provenance(variant, used),
        **options,
    )


def _read_layout(
    variant: Variant, request: Request, path: Path, located: Mapping[str, Path]
) -> Atlas:
    """Return the atlas of a file that only the entry can tell how to read."""
    source = variant.source
    if source.layout == "spheres":
        regions = variant.tables.get("region")
        parts = layouts.sphere_parts(
            path,
            spaces.grid(variant),
            mask=request.mask,
            radius=(source.radius or None) if request.radius is None else request.radius,
            regions=None if regions is None else located[regions],
        )
    else:
        subcortex = located.get(spaces.subcortex(variant))
        parts = layouts.grayordinate_parts(
            path,
            layouts.cortex_vertices(spaces.masks(variant), located),
            n_vertices=spaces.n_vertices(variant),
            subcortex=subcortex,
            compartments=source.compartments,
        )
        parts = masked(parts, request.mask)
    parts = on_meshes(parts, request.meshes or {})
    options = _options(variant, request)
    return assemble(
        parts,
        name=request.name or variant.entry.name,
        space=spaces.label(variant),
        labels=request.labels,
        unlisted=options.get("unlisted", "error"),
        background=options.get("background"),
        nan=options.get("nan", "error"),
        provenance=_provenance(variant, list(located.values())),
    )


def _options(variant: Variant, request: Request) -> dict[str, Any]:
    """Return the reader's options: the request's, else the entry's."""
    options = {
        name: variant.fill(value) if isinstance(value, str) else value
        for name, value in variant.source.options.items()
    }
    if "map" in options:
        options["map"] = int(options["map"])
    for name in ("map", "unlisted", "background", "scale", "nan"):
        if getattr(request, name) is not None:
            options[name] = getattr(request, name)
    return options


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
