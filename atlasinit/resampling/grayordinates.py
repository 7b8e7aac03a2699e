"""Atlases of volumes at the voxels of CIFTI's structures."""

from collections.abc import Mapping
from typing import Any

from atlasinit.catalogue import spaces
from atlasinit.catalogue.sources import references
from atlasinit.core.atlas import Atlas
from atlasinit.core.checking import check_atlas, check_space_name, warn_of_lost
from atlasinit.core.geometry import VolumeGrid
from atlasinit.core.labels import TOGETHER, LabelTable, members_of
from atlasinit.core.maps import has_weight
from atlasinit.core.spaces import may_be_one
from atlasinit.core.uniting import take_places
from atlasinit.errors import ArgumentError, ArgumentTypeError, Call, format_count
from atlasinit.io.formats.brain_models import VOXELS, voxel_structures
from atlasinit.io.overlay.surfaces import structures_of
from atlasinit.io.targets import is_target, read_target

_STANDARD = "fsLR"


def to_grayordinates(atlas: Atlas, template: Any = None, *, space: str | None = None) -> Atlas:
    """Return an atlas whose voxels are those of CIFTI's structures, in their order.

    A volume of subcortical parcels so fits the voxels of ``.dtseries.nii``, and joins the parcels
    of a cortex by `atlasinit.join`. No voxel moves: the grid of the atlas has to have the voxels of
    the template's, in any direction. `atlasinit.to_volume` leads back. Corresponds to ``wb_command
    -cifti-create-dense-from-template``.

    Parameters
    ----------
    atlas
        With one grid. Surfaces that it has besides stay as they are.
    template
        A file or image of CIFTI-2 with voxels, an atlas of one, or a `VolumeGrid` with
        `structures`. By default the 31,870 voxels of the 91,282 grayordinates of fsLR (2 mm).
    space
        Of the result. By default that which the template states, as ``"fsLR"``, else that of the
        atlas.

    Returns
    -------
    Atlas
        With the compartment ``"subcortex"`` in the place of the grid. Labelled voxels outside of
        the structures are left out, and provenance says how many.

    Raises
    ------
    ValueError
        No grid or several, a template without structures, of other voxels or of another space.
    TypeError
        What is no atlas or template.
    AtlasUnavailableError
        The structures of the 91,282 grayordinates are not on this machine.

    Warns
    -----
    AtlasWarning
        Parcels of which no voxel lies in a structure; they stay as empty rows.

    Examples
    --------
    >>> import numpy as np
    >>> import atlasinit as ai
    >>> both = (("CIFTI_STRUCTURE_THALAMUS_LEFT", 1), ("CIFTI_STRUCTURE_THALAMUS_RIGHT", 1))
    >>> template = ai.VolumeGrid((4, 1, 1), np.eye(4), [3, 0], structures=both)
    >>> seeds = ai.sphere_atlas({"a": (0, 0, 0), "b": (3, 0, 0)}, template, radius=1, space="mine")
    >>> ai.to_grayordinates(seeds, template).geometry["subcortex"].voxels.tolist()
    [3, 0]
    """
    check_atlas(atlas)
    check_space_name(space)
    grids = {c: g for c, g in atlas.geometry.items() if isinstance(g, VolumeGrid)}
    if len(grids) != 1:
        raise ArgumentError(
            "atlas",
            f"should have one grid, but {atlas.name!r} has {list(grids)}",
            "take one by " + Call("atlas.select", compartments=...),
        )
    ((own, grid),) = grids.items()
    target, stated = _find_template(template)
    if not may_be_one(atlas.space, stated):
        raise ArgumentError(
            "template",
            f"is in {stated}, but {atlas.name!r} is in {atlas.space}",
            "move the atlas there first, by a transform: "
            + Call("ai.resample", "atlas", "image", transform=...),
        )
    voxels = target.voxels_in(grid)
    if voxels is None:
        raise ArgumentError(
            "template",
            f"has other voxels than {atlas.name!r}: {target!r} and {grid!r}",
            "move the atlas there first: "
            + Call("ai.resample", "atlas", "grid")
            + ", as to an image of that grid",
        )
    places = grid.locations.reshape(-1)[voxels]
    maps = {**atlas.maps, own: take_places(atlas.maps[own], places)}
    left_out = int(has_weight(atlas.maps[own]).sum() - has_weight(maps[own]).sum())
    geometry = {**atlas.geometry, own: target}
    names = {c: VOXELS if c == own else c for c in atlas.compartments}
    out = Atlas(
        name=atlas.name,
        space=space or stated or atlas.space,
        maps={names[c]: maps[c] for c in atlas.compartments},
        geometry={names[c]: geometry[c] for c in atlas.compartments},
        labels=_rename_homes(atlas.table, names),
        provenance=atlas.provenance.then(
            f"to_grayordinates({target!r}; {format_count(left_out, 'labelled voxel')} outside)"
        ),
    )
    warn_of_lost(atlas, out, "no voxel in a structure of CIFTI")
    return out


def _find_template(template: Any) -> tuple[VolumeGrid, str]:
    """Return the voxels of structures, and the space that they state, ``""`` for none."""
    if template is None:
        return structures_of(references.obtain(spaces.standard_subcortex())), _STANDARD
    stated, name = "", "it"
    if isinstance(template, Atlas):
        found, stated, name = template.geometry, template.space, repr(template.name)
    elif isinstance(template, VolumeGrid):
        found = {VOXELS: template}
    elif is_target(template):
        target = read_target(template)
        found, stated, name = target.geometry, target.space, target.name
    else:
        raise ArgumentTypeError(
            "template",
            f"should be a file or image of CIFTI-2, an Atlas or a VolumeGrid, got "
            f"{type(template).__name__}",
        )
    grids = [g for g in found.values() if isinstance(g, VolumeGrid)]
    problem = voxel_structures(grids[0]) if len(grids) == 1 else f"has {len(grids)} grids"
    if problem:
        raise ArgumentError(
            "template",
            f"should have voxels of CIFTI's structures, but those of {name} {problem}",
            "pass a .dscalar.nii or .dtseries.nii with voxels, or nothing for the 91,282",
        )
    return grids[0], stated


def _rename_homes(table: LabelTable, names: Mapping[str, str]) -> LabelTable:
    """Return a table with other names of compartments, those that parcels share included."""
    homes = [
        TOGETHER.join(names[c] for c in members_of(home, names)) for home in table["compartment"]
    ]
    return table.replace(compartment=homes)
