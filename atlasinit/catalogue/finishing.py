"""What an entry and its space add to the files: options, medial wall, surfaces and networks."""

import re
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool

from atlasinit.catalogue import spaces
from atlasinit.catalogue.entries import Variant
from atlasinit.catalogue.layouts.grayordinates import cortex_vertices
from atlasinit.catalogue.sources import references
from atlasinit.core.atlas import Atlas
from atlasinit.core.labels import LabelTable, hemisphere_of
from atlasinit.errors import AtlasUnavailableError, warn
from atlasinit.io.options import ReadOptions
from atlasinit.io.overlay.losses import Mask
from atlasinit.io.overlay.surfaces import Surface, read_surface


def fill_options(variant: Variant, options: ReadOptions, *, allow_download: bool) -> ReadOptions:
    """Return the options, those that are open as the entry and its space state them.

    Among them are the vertices that CIFTI data have as a mask, where the entry asks for
    it, and the surfaces of the space.
    """
    source = variant.source
    own = {
        option: variant.fill(value) if isinstance(value, str) else value
        for option, value in source.options.items()
    }
    # A pattern of an entry, as "{networks}", is text once it is filled; a map's number is none.
    if "map" in own:
        own["map"] = int(own["map"])
    if source.masked and options.mask is None:
        own["mask"] = _medial_wall(variant, allow_download=allow_download)
    if options.meshes is None:
        own["meshes"] = _surfaces(variant, allow_download=allow_download)
    # What the user states goes before the entry, but the space of an entry's files is a fact.
    options = options.over({"name": variant.entry.name, **own})
    return options.replace(space=spaces.label(variant))


def add_networks(atlas: Atlas, variant: Variant) -> Atlas:
    """Return the atlas with the networks that its names state, where the entry says how."""
    if not variant.source.pattern:
        return atlas
    return atlas.replace(labels=_networks(atlas.table, variant.source.pattern))


def _networks(table: LabelTable, pattern: str) -> LabelTable:
    """Return the table with the network, and the side where it lacks, that names state."""
    # As `^7Networks_(?P<hemisphere>LH|RH)_(?P<network>[^_]+)` of 7Networks_LH_Vis_1. A name that
    # does not fit, as of a structure below the cortex, has no network.
    found = [re.search(pattern, name) for name in table["name"]]
    groups = [{} if match is None else match.groupdict() for match in found]
    columns = {name: list(table[name]) for name in table.columns}
    columns["network"] = [g.get("network") for g in groups]
    columns["hemisphere"] = [
        side or hemisphere_of(g.get("hemisphere") or "")
        for side, g in zip(table["hemisphere"], groups, strict=True)
    ]
    return LabelTable(columns)


def _medial_wall(variant: Variant, *, allow_download: bool) -> dict[str, Mask]:
    """Return masks of the vertices that CIFTI data have."""
    masks = spaces.masks(variant)
    located = {r: references.obtain(r, allow_download=allow_download) for r, _ in masks.values()}
    out = {}
    for c, vertices in cortex_vertices(masks, located).items():
        kept = np.zeros(spaces.n_vertices(variant), bool)
        kept[vertices] = True
        out[c] = mask_medial_wall(kept, name=variant.entry.name, space=spaces.label(variant))
    return out


def mask_medial_wall(kept: Bool[np.ndarray, " vertices"], *, name: str, space: str) -> Mask:
    """Return the mask of what is no medial wall, which says of an atlas what is lost by it."""
    return Mask(
        kept,
        "without_medial_wall({lost} labelled vertices lost)",
        f"{name}: these parcels lie on the medial wall of {space}, which is left out, and stay as "
        "empty rows",
    )


def _surfaces(variant: Variant, *, allow_download: bool) -> dict[str, dict[str, Any]]:
    """Return the space's surfaces; a warning names those that are not to be had."""
    out: dict[str, dict[str, Any]] = {}
    kept = variant.source.compartments
    for c, roles in spaces.meshes(variant).items():
        # Those of compartments that the entry leaves out are not fetched.
        for role, surfaces in roles.items() if not kept or c in kept else ():
            try:
                paths = [references.obtain(r, allow_download=allow_download) for r in surfaces]
            except AtlasUnavailableError as error:
                # An atlas is whole without; only what needs the surface will ask for it.
                warn(f"{variant.entry.name}: {c} has no {role} surface: " + error.phrase)
                continue
            out.setdefault(c, {})[role] = average_surfaces(paths)
    return out


def average_surfaces(paths: list[Path]) -> Path | Surface:
    """Return the one surface, or the mean of several."""
    if len(paths) == 1:
        return paths[0]
    # The mean of the white and the pial surface, vertex by vertex, is the mid-thickness.
    surfaces = [read_surface(path) for path in paths]
    coordinates = np.stack([s.coordinates for s in surfaces]).mean(axis=0)
    return Surface(coordinates, surfaces[0].faces, surfaces[0].hemisphere)
