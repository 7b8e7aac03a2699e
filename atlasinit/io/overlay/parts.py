"""Masks and meshes laid over the locations of files: the one way that this is done."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int

from atlasinit.core.atlas import Atlas
from atlasinit.core.geometry import Geometry, SurfaceMesh, VolumeGrid
from atlasinit.core.uniting import take_places
from atlasinit.errors import Argument, ArgumentError, Passing, Value, format_list
from atlasinit.io.contents import CarriedMesh, Part
from atlasinit.io.mesh_identity import check_meshes, complete_mesh
from atlasinit.io.overlay.losses import Loss, Mask, Masked, as_mask, tell_losses
from atlasinit.io.overlay.masks import keep_voxels
from atlasinit.io.overlay.structures import split_mask
from atlasinit.io.overlay.surfaces import attach, locations_in, place_kept

_SURFACES = ("sphere", "anatomical", "areas")


class Laid(NamedTuple):
    """A geometry with what was laid over it.

    Parameters
    ----------
    geometry
        With surfaces and areas, at the locations of the masks.
    taken
        For each of its locations its number before, -1 for one that there was not; None
        where no mask was laid on.
    masks
        Those that were.
    """

    geometry: Geometry
    taken: Int[np.ndarray, " locations"] | None
    masks: tuple[Mask, ...]


def lay_over(
    geometry: Mapping[str, Geometry],
    *,
    mask: object = None,
    meshes: Mapping[str, Mapping[str, Any]] | None = None,
    carried: Mapping[str, CarriedMesh] | None = None,
    space: str = "",
) -> dict[str, Laid]:
    """Return geometries with masks and meshes laid over them.

    Parameters
    ----------
    geometry
        Of each compartment.
    mask
        What `read_mask` takes for a volume or `locations_in` for a surface, either also as
        a `Mask`; or a mapping from compartment to such. One alone is for the volume, or
        for the only surface. Or what holds several: see `split_mask`.
    meshes
        Compartment to ``{"sphere", "anatomical", "areas", "mask"}``, each optional.
    carried
        Compartment to the mesh that came with its values: it has to be the one of `meshes`, and
        adds what that lacks.
    space
        That they are in, which masks may state; ``""`` where it is not known.

    Raises
    ------
    ValueError
        A mask or mesh that does not fit, a mask that states another space, a compartment that
        is not there, or one mask for several surfaces.
    """
    masks, surfaces = _masks_by_compartment(geometry, mask, space), meshes or {}
    names = format_list(geometry)
    for option, stated in (("mask", masks), ("meshes", surfaces)):
        unknown = [c for c in stated if c not in geometry]
        if unknown:
            raise ArgumentError(
                option,
                f": compartments are {names}, got {unknown}",
                "A condition on images is a pair: " + Value(({"gm": Path}, "gm > 0.5"))
                if option == "mask"
                else "",
            )
    given = {c: (masks.get(c), surfaces.get(c, {}).get("mask")) for c in geometry}
    placed = {
        c: _attach_surfaces(c, _place_kept(g, given[c]), surfaces.get(c, {}))
        for c, g in geometry.items()
    }
    check_meshes(carried or {}, placed, argument="files", name=Argument("meshes"))
    for c, mesh in (carried or {}).items():
        own = placed[c]
        assert isinstance(own, SurfaceMesh), "only values of vertices come with a mesh"
        placed[c] = complete_mesh(own, mesh)
    return {c: _mask(g, given[c], space) for c, g in placed.items()}


def lay_over_parts(
    parts: Sequence[Part],
    *,
    mask: object = None,
    meshes: Mapping[str, Mapping[str, Any]] | None = None,
    space: str = "",
) -> list[Part]:
    """Return parts of files with masks and meshes laid over them, as `lay_over` does.

    A mesh that came with a file is compared with the one that is laid over it. A part keeps in
    mind which keys it had: a mask takes locations, never a parcel. Voxels of a mask that a part
    does not hold have its background's key, or no weight.
    """
    geometry = {part.compartment: part.geometry for part in parts}
    carried = {part.compartment: part.mesh for part in parts if part.mesh is not None}
    laid = lay_over(geometry, mask=mask, meshes=meshes, carried=carried, space=space)
    return [_take(part, laid[part.compartment]) for part in parts]


def lay_over_atlas(
    atlas: Atlas,
    *,
    mask: object = None,
    meshes: Mapping[str, Mapping[str, Any]] | None = None,
) -> Atlas:
    """Return a whole atlas with masks and meshes laid over it, as `lay_over` does."""
    laid = lay_over(atlas.geometry, mask=mask, meshes=meshes, space=atlas.space)
    maps = {
        c: atlas.maps[c] if own.taken is None else take_places(atlas.maps[c], own.taken)
        for c, own in laid.items()
    }
    losses = [
        Loss(
            own.masks,
            atlas.table.take(atlas.table.rows_of(c))["name"],
            atlas.maps[c].counts(),
            maps[c].counts(),
        )
        for c, own in laid.items()
    ]
    out = atlas.replace(maps=maps, geometry={c: own.geometry for c, own in laid.items()})
    for operation in tell_losses(losses):
        out = out.replace(operation=operation)
    return out


def _masks_by_compartment(
    geometry: Mapping[str, Geometry], mask: object, space: str
) -> dict[str, Any]:
    if mask is None:
        return {}
    if isinstance(mask, Mapping):
        # What is for no compartment is told before it is read.
        return {c: _part_of(own, c, space) if c in geometry else own for c, own in mask.items()}
    names = list(geometry)
    several = split_mask(mask, space=space)
    if several is not None:
        # Data may have more structures than the labels.
        shared = {c: own for c, own in several.items() if c in geometry}
        if not shared:
            raise ArgumentError(
                "mask", f"is of {format_list(several)}, the labels are of {format_list(names)}"
            )
        return shared
    able = [c for c, g in geometry.items() if isinstance(g, VolumeGrid)] or names
    if len(able) > 1:
        raise ArgumentError(
            "mask",
            f"should be one for each of {format_list(names)}, as " + Passing(mask={names[0]: ...}),
        )
    return {able[0]: mask}


def _part_of(mask: Any, compartment: str, space: str) -> Any:
    """Return what a mask for a compartment, which may hold several, holds for it."""
    # A pair of images and a condition is of a volume alone.
    several = None if isinstance(mask, Mask | tuple) else split_mask(mask, space=space)
    if several is None:
        return mask
    if compartment not in several:
        raise ArgumentError("mask", f"of {compartment!r} is of {format_list(several)}")
    return several[compartment]


def _mask(geometry: Geometry, given: Sequence[object], space: str) -> Laid:
    """Return one geometry with the masks that are given for it, one after the other."""
    masks, taken = [], None
    for own in (as_mask(one) for one in given if one is not None):
        geometry, step, note = _apply_mask(geometry, own.kept, space)
        masks.append(own.note(note))
        # -1 in `step` is a location that earlier masks did not have: it takes the -1 at the end.
        taken = step if taken is None else np.append(taken, -1)[step]
    return Laid(geometry, taken, tuple(masks))


def _place_kept(geometry: Geometry, given: tuple[Any, ...]) -> Geometry:
    """Return the mesh of masks that are larger than it and keep as many vertices as it has."""
    for mask in given:
        if mask is not None and isinstance(geometry, SurfaceMesh):
            geometry = place_kept(geometry, as_mask(mask).kept)
    return geometry


def _attach_surfaces(compartment: str, geometry: Geometry, mesh: Mapping[str, Any]) -> Geometry:
    surfaces = {role: surface for role, surface in mesh.items() if role != "mask"}
    if not surfaces:
        return geometry
    unknown = [role for role in surfaces if role not in _SURFACES]
    if unknown or not isinstance(geometry, SurfaceMesh):
        raise ArgumentError(
            "meshes",
            f"of {compartment!r} should hold some of {', '.join(_SURFACES)} and mask for a "
            f"surface, got {list(surfaces)} for a {type(geometry).__name__}",
        )
    return attach(geometry, **surfaces)


def _apply_mask(geometry: Geometry, mask: Any, space: str) -> tuple[Geometry, np.ndarray, str]:
    """Return the geometry at a mask's locations, the number that each of these had, and a note."""
    if isinstance(geometry, SurfaceMesh):
        kept = np.flatnonzero(locations_in(geometry, mask, space=space))
        return geometry.restrict(kept), kept, ""
    wanted, note = keep_voxels(mask, grid=geometry, space=space)
    # `locations` is (x, y, z) with -1 at voxels outside the mask.
    inside = np.flatnonzero(wanted.locations.reshape(-1)[geometry.voxels] >= 0)
    if inside.size == wanted.n_locations:
        # Nothing to add: the order of the locations stays, and their structures.
        return geometry.restrict(inside), inside, note
    # The mask has voxels that the geometry lacks: they become locations of no parcel.
    grid = VolumeGrid(geometry.shape, geometry.affine, wanted.voxels)
    return grid, grid.take(geometry.locations), note


def _take(part: Part, laid: Laid) -> Part:
    if laid.taken is None:
        return dataclasses.replace(part, geometry=laid.geometry)
    masked = Masked(laid.masks, part.counts())
    return dataclasses.replace(part.take_locations(laid.geometry, laid.taken), masked=masked)
