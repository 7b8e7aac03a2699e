"""From a variant of the catalogue to an atlas."""

import dataclasses
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from atlasinit.catalogue import spaces
from atlasinit.catalogue.entries import Variant
from atlasinit.catalogue.finishing import add_networks, fill_options
from atlasinit.catalogue.layouts.grayordinates import cortex_vertices, grayordinate_parts
from atlasinit.catalogue.layouts.spheres import sphere_parts
from atlasinit.catalogue.sources import references
from atlasinit.catalogue.sources.base import Obtained
from atlasinit.catalogue.transfer.integrity import find_damage
from atlasinit.core.atlas import Atlas
from atlasinit.core.provenance import Provenance
from atlasinit.errors import ArgumentError, AtlasFileError
from atlasinit.io.assembly.assemble import assemble
from atlasinit.io.contents import LabelRow, Part
from atlasinit.io.options import ReadOptions
from atlasinit.io.overlay.losses import describe_mask
from atlasinit.io.overlay.masks import keep_voxels
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
    # Kept until the atlas is read: some sources make their images in memory.
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        found = references.obtain_variant(variant, scratch, allow_download=download)
        try:
            atlas = _read(variant, own, radius, found)
        except AtlasFileError:
            # A whole file that is not understood would be no other when fetched again.
            if not (download and _discard_damaged(found.located)):
                raise
            atlas = _read(variant, own, radius, references.obtain_variant(variant, scratch))
    return add_networks(atlas, variant)


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
            raise ArgumentError(
                option, f"does not apply to {variant.entry.name!r}, {what}", "leave it out"
            )


def _discard_damaged(located: Mapping[str, Path]) -> bool:
    """Delete the fetched files that are not whole; whether there were any."""
    bad = [p for r, p in located.items() if references.may_discard(r) and find_damage(p)]
    for path in bad:
        path.unlink(missing_ok=True)
    return bool(bad)


def _read(variant: Variant, options: ReadOptions, radius: Any, found: Obtained) -> Atlas:
    source, provenance = variant.source, _provenance(variant, found.used)
    if source.layout:
        parts, options = _LAYOUTS[source.layout](variant, options, radius, found)
        assert options.name is not None
        assert options.space is not None
        return assemble(
            parts, options, name=options.name, space=options.space, provenance=provenance
        )
    if options.labels is None:
        table = found.labels if found.labels is not None else _table(variant, found.located)
        options = options.replace(labels=table)
    # A list of files is one map per file, for which readers take no kind="hard".
    kind = "auto" if isinstance(found.files, list) else source.kind
    return read_files(found.files, options.replace(kind=kind), provenance=provenance)


def _lay_grayordinates(
    variant: Variant, options: ReadOptions, radius: None, found: Obtained
) -> tuple[list[Part], ReadOptions]:
    del radius
    parts = grayordinate_parts(
        found.files,
        cortex_vertices(spaces.masks(variant), found.located),
        n_vertices=spaces.n_vertices(variant),
        subcortex=found.located.get(spaces.subcortex(variant)),
        compartments=variant.source.compartments,
    )
    return parts, options


def _lay_spheres(
    variant: Variant, options: ReadOptions, radius: Any, found: Obtained
) -> tuple[list[Part], ReadOptions]:
    regions = variant.tables.get("region")
    radius = (variant.source.radius or None) if radius is None else radius
    kept = None
    if options.mask is not None:
        kept = keep_voxels(options.mask, space=options.space or "")
    parts = sphere_parts(
        found.files,
        spaces.grid(variant),
        mask=None if kept is None else kept.grid,
        radius=radius,
        # "region" is no compartment here, but the table that tells where the centres lie.
        regions=None if regions is None else found.located[regions],
    )
    done = ["spheres(radius as stated)" if radius is None else f"spheres(radius={radius:g})"]
    if kept is not None:
        done.append(f"grid({describe_mask(options.mask)}{kept.note and '; '}{kept.note})")
    parts = [dataclasses.replace(part, operations=tuple(done)) for part in parts]
    # The mask was the grid of the spheres, and is not laid over them again.
    return parts, options.replace(mask=None)


_LAYOUTS = {"grayordinates": _lay_grayordinates, "spheres": _lay_spheres}
"""How the files are read of which only the entry can tell."""


def _table(variant: Variant, located: Mapping[str, Path]) -> object:
    """Return the label table, with keys and order as the entry states."""
    names = variant.source.labels
    # Names that the entry spells out are in the order of the keys, which begin with 1.
    if isinstance(names, list):
        return dict(enumerate(names, start=1))
    tables = {
        c: _rekey_rows(variant, read_table(located[reference]))
        for c, reference in variant.tables.items()
    }
    # "" stands for one table of all compartments; None where the files hold their own.
    return tables.get("") if len(tables) <= 1 else tables


def _rekey_rows(variant: Variant, rows: tuple[LabelRow, ...]) -> tuple[LabelRow, ...]:
    source = variant.source
    if source.join == "order":
        # Rows of the background have no key of their own: counting them would shift all others.
        named = [row for row in rows if not row.name.startswith("Background")]
        return tuple(dataclasses.replace(row, key=i) for i, row in enumerate(named, start=1))
    if source.join == "sides":
        # Entry k of a table without sides is map 2 k - 1 on the left and 2 k on the right, as in
        # FSL's lateralised Harvard-Oxford atlas: side, and what is taken from 2 k.
        sides = (("Left", "L", 1), ("Right", "R", 0))
        return tuple(
            dataclasses.replace(
                row, key=2 * row.key - odd, name=f"{word} {row.name}", hemisphere=side
            )
            for row in rows
            for word, side, odd in sides
        )
    return tuple(dataclasses.replace(row, key=row.key + source.offset) for row in rows)


def _provenance(variant: Variant, paths: Iterable[Path]) -> Provenance:
    choices = ", ".join(f"{axis}={value}" for axis, value in variant.values.items())
    return Provenance(
        source=references.origin_of(variant),
        version=choices,
        licence=variant.licence,
        citation=variant.citation,
        files=tuple((path.name, sha256(path)) for path in dict.fromkeys(paths)),
    )
