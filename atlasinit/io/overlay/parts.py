"""Masks and meshes that a user lays over the parts of files."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from atlasinit.core.geometry import SurfaceMesh, VolumeGrid
from atlasinit.errors import listing
from atlasinit.io.contents import Part
from atlasinit.io.formats.grids import on_grid
from atlasinit.io.overlay.masks import read_mask
from atlasinit.io.overlay.surfaces import attach, locations_in


def masked(parts: Sequence[Part], mask: object) -> list[Part]:
    """Return parts at the locations of a mask, or of a dict {compartment: mask}.

    Volumes take what `read_mask` does, surfaces what `locations_in` does.
    """
    if mask is None:
        return list(parts)
    names = [part.compartment for part in parts]
    if not isinstance(mask, Mapping):
        able = [part for part in parts if isinstance(part.geometry, VolumeGrid)] or parts
        if len(able) > 1:
            raise ValueError(
                f'`mask` should be one for each of {listing(names)}, as mask={{"{names[0]}": ...}}.'
            )
        mask = {able[0].compartment: mask}
    unknown = [c for c in mask if c not in names]
    if unknown:
        raise ValueError(
            f"`mask`: compartments are {listing(names)}, got {unknown}. A condition on images "
            'is a pair: ({"gm": path}, "gm > 0.5").'
        )
    return [_masked_part(p, mask[p.compartment]) if p.compartment in mask else p for p in parts]


def _masked_part(part: Part, mask: Any) -> Part:
    if isinstance(part.geometry, VolumeGrid):
        return on_grid(part, read_mask(mask, grid=part.geometry))
    if isinstance(mask, SurfaceMesh):
        mask = mask.mask
    keep = locations_in(part.geometry, mask)
    return dataclasses.replace(
        part,
        geometry=part.geometry.restrict(keep),
        keys=None if part.keys is None else part.keys[keep],
        maps=None if part.maps is None else part.maps[:, keep],
    )


def on_meshes(parts: Sequence[Part], meshes: Mapping[str, Mapping[str, Any]]) -> list[Part]:
    """Return parts with the surfaces, areas and masks of {compartment: {"sphere": ..., ...}}."""
    unknown = [c for c in meshes if c not in {part.compartment for part in parts}]
    if unknown:
        names = listing(part.compartment for part in parts)
        raise ValueError(f"`meshes`: compartments are {names}, got {unknown}.")
    out = []
    for part in parts:
        surfaces = dict(meshes.get(part.compartment, {}))
        mask = surfaces.pop("mask", None)
        if surfaces:
            part = dataclasses.replace(part, geometry=attached(part, surfaces))
        out.append(part if mask is None else _masked_part(part, mask))
    return out


def attached(part: Part, surfaces: Mapping[str, Any]) -> SurfaceMesh:
    """Return the part's mesh with surfaces and areas."""
    unknown = [name for name in surfaces if name not in ("sphere", "anatomical", "areas")]
    if unknown or not isinstance(part.geometry, SurfaceMesh):
        raise ValueError(
            f"`meshes` of {part.compartment!r} should hold some of sphere, anatomical, areas and "
            f"mask for a surface, got {list(surfaces)} for a {type(part.geometry).__name__}."
        )
    return attach(
        part.geometry,
        sphere=surfaces.get("sphere"),
        anatomical=surfaces.get("anatomical"),
        areas=surfaces.get("areas"),
    )
