"""What an entry and its space add to the atlas of the files: networks, mask and surfaces."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from atlasinit.catalogue import spaces
from atlasinit.catalogue.entries import Variant
from atlasinit.catalogue.layouts import parts as layouts
from atlasinit.catalogue.sources import references as files
from atlasinit.core.atlas import Atlas
from atlasinit.core.geometry import SurfaceMesh
from atlasinit.core.labels import LabelTable, hemisphere_of
from atlasinit.errors import AtlasUnavailableError, listing, warn
from atlasinit.io.overlay.surfaces import (
    Surface,
    attach,
    read_surface,
)


def finished(
    variant: Variant, atlas: Atlas, *, masked: bool, on_meshes: bool, allow_download: bool
) -> Atlas:
    """Return the atlas of a variant's files with all else that its entry and space state.

    Networks in the label table, only parcels with locations, and, unless the user gave
    masks (`masked`) or surfaces (`on_meshes`), the vertices that CIFTI data have and the
    surfaces of the space.
    """
    source = variant.source
    if source.pattern:
        atlas = atlas.replace(labels=_networks(atlas.table, source.pattern))
    if source.drop_unused:
        atlas = atlas.drop_empty()
    if source.masked and not masked:
        atlas = _without_medial_wall(variant, atlas, allow_download=allow_download)
    if not on_meshes:
        atlas = _attached(atlas, _surfaces(variant, atlas, allow_download=allow_download))
    return atlas


def _networks(table: LabelTable, pattern: str) -> LabelTable:
    """Return the table with the network, and the side where unknown, that names state."""
    found = [re.search(pattern, name) for name in table["name"]]
    groups = [{} if match is None else match.groupdict() for match in found]
    columns = {name: list(table[name]) for name in table.columns}
    columns["network"] = [g.get("network") for g in groups]
    columns["hemisphere"] = [
        side or hemisphere_of(g.get("hemisphere") or "")
        for side, g in zip(table["hemisphere"], groups, strict=True)
    ]
    return LabelTable(columns)


def _without_medial_wall(variant: Variant, atlas: Atlas, *, allow_download: bool) -> Atlas:
    """Return the atlas at the vertices that CIFTI data have.

    Labelled ones that are lost are counted in the provenance, and parcels that lose all of
    theirs are named in a warning.
    """
    located = files.locate(variant, allow_download=allow_download)
    cortex = layouts.cortex_vertices(spaces.masks(variant), located)
    maps, geometry, gone = {}, {}, []
    lost = 0
    for c, vertices in cortex.items():
        mesh = atlas.geometry[c]
        assert isinstance(mesh, SurfaceMesh)
        inside = np.isin(mesh.vertices, vertices)
        maps[c] = atlas.maps[c].take_locations(np.flatnonzero(inside))
        geometry[c] = mesh.restrict(inside)
        before, after = atlas.maps[c].counts(), maps[c].counts()
        lost += int((before - after).sum())
        names = atlas.table.take(atlas.table.rows_of(c))["name"]
        gone += [names[i] for i in np.flatnonzero((before > 0) & (after == 0))]
    if gone:
        warn(
            f"{variant.entry.name}: these parcels lie on the medial wall of {atlas.space}, which "
            f"is left out, and stay as empty rows: {listing(gone)}."
        )
    operation = f"without_medial_wall({lost} labelled vertices lost)"
    return atlas.replace(maps=maps, geometry=geometry, operation=operation)


def _surfaces(variant: Variant, atlas: Atlas, *, allow_download: bool) -> dict[str, dict[str, Any]]:
    """Return the space's surfaces; a warning names those that are not to be had."""
    out: dict[str, dict[str, Any]] = {}
    for c, roles in spaces.meshes(variant).items():
        for role, references in roles.items() if c in atlas.compartments else ():
            try:
                paths = [files.obtain(r, allow_download=allow_download) for r in references]
            except AtlasUnavailableError as error:
                warn(f"{variant.entry.name}: {c} has no {role} surface: {error}")
                continue
            out.setdefault(c, {})[role] = _mean(paths)
    return out


def _mean(paths: list[Path]) -> Path | Surface:
    """Return the one surface, or the mean of several."""
    if len(paths) == 1:
        return paths[0]
    surfaces = [read_surface(path) for path in paths]
    coordinates = np.stack([s.coordinates for s in surfaces]).mean(axis=0)
    return Surface(coordinates, surfaces[0].faces, surfaces[0].hemisphere)


def _attached(atlas: Atlas, surfaces: Mapping[str, Mapping[str, Any]]) -> Atlas:
    geometry = {}
    for c, roles in surfaces.items():
        mesh = atlas.geometry[c]
        assert isinstance(mesh, SurfaceMesh)
        geometry[c] = attach(
            mesh,
            sphere=roles.get("sphere"),
            anatomical=roles.get("anatomical"),
            areas=roles.get("areas"),
        )
    return atlas.replace(geometry=geometry) if geometry else atlas
