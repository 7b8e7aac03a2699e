"""Whether data lie where an atlas lies: the one place that compares what both of them state.

Readers keep what a file states (`Stated`) and where its values lie (a geometry); nothing is
decided until it is compared here, for data of every format, in files and in memory.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Int

from atlasinit.core.atlas import Atlas
from atlasinit.core.geometry import Geometry, SurfaceMesh, VolumeGrid
from atlasinit.core.labels import hemisphere_of
from atlasinit.core.spaces import may_be_one
from atlasinit.errors import (
    ArgumentError,
    AtlasFileError,
    AtlasFileWarning,
    Call,
    Passing,
    Value,
    warn,
)
from atlasinit.io.contents import COMPARTMENTS, Stated, is_line
from atlasinit.io.formats.brain_models import is_structure

# The names that nibabel gives to NIfTI's units of length, with "" for none:
# https://nifti.nimh.nih.gov/nifti-1/documentation/nifti1fields/nifti1fields_pages/xyzt_units.html
_IN_MM = {"": 1.0, "mm": 1.0, "meter": 1000.0, "micron": 0.001}
"""Length of a unit in mm; a header that states none is in mm, as most are."""

_VOXELS = (1e-4, 100.0)
"""Edges of voxels in mm beyond which the unit is doubtful: from electron microscopy to whales."""


def place_grid(
    shape: Sequence[int], affine: np.ndarray | None, stated: Stated, source: object
) -> VolumeGrid:
    """Return the whole grid of an image, in mm whatever the unit that its header states.

    Parameters
    ----------
    shape, affine
        Of the image, the affine in the header's unit.
    stated
        With its unit, and whether it says which way its axes run.
    source
        What messages call it.

    Raises
    ------
    AtlasFileError
        An image without an affine.

    Warns
    -----
    AtlasFileWarning
        An image whose header does not state its orientation: programs differ in what they
        assume, so that left and right may be swapped. It is taken as nibabel and nilearn take
        it, since nothing better is known. And voxels of a size that no scanner has, as the
        unit is doubtful.
    """
    if affine is None:
        raise AtlasFileError(source, "has no affine", "make the image with one")
    placed = np.array(affine, np.float64)
    placed[:3] *= _IN_MM[stated.unit]
    grid = VolumeGrid(tuple(shape), placed)
    # An image of one line of voxels holds values of vertices, of which no affine says where they
    # lie.
    if not stated.oriented and not is_line(shape):
        warn(
            AtlasFileWarning(
                source,
                "its header states no orientation (the codes of sform and qform are 0), so that "
                "left and right may be swapped; it is taken as nibabel takes it",
                "Where you know that to be right, set a code, as by "
                '`image.set_sform(image.affine, code="scanner")`',
            )
        )
    # Only another unit than mm is doubted: the likely mistake is that the numbers are mm all the
    # same.
    low, high = grid.voxel_sizes.min(), grid.voxel_sizes.max()
    if stated.unit not in ("", "mm") and not _VOXELS[0] < low <= high < _VOXELS[1]:
        warn(
            AtlasFileWarning(
                source,
                f"its header states the unit {stated.unit}, which makes voxels of {high:g} mm",
                'if its numbers are mm, set that: `image.header.set_xyzt_units("mm")`',
            )
        )
    return grid


def note_reading(stated: Stated) -> tuple[str, ...]:
    """Return what the provenance of an atlas keeps of how its grid was placed."""
    unit = () if stated.unit in ("", "mm") else (f"unit({stated.unit} to mm)",)
    return unit if stated.oriented else (*unit, "orientation(not stated)")


def check_space(stated: str, atlas: Atlas, source: object) -> None:
    """Refuse data that state another space than that of an atlas.

    Parameters
    ----------
    stated
        The space that `source` states, ``""`` where it states none.
    atlas
        With its space.
    source
        What messages call it.

    Raises
    ------
    ValueError
        Names that contradict each other, as `atlasinit.core.spaces.may_be_one` says.
    """
    if may_be_one(stated, atlas.space):
        return
    raise ArgumentError(
        "data",
        f": {source} states the space {stated!r}, but {atlas.name!r} is in {atlas.space!r}",
        "Load the atlas in that space, "
        + Passing(space=stated)
        + ", or move one of them by a transform of the two. If the name or header is wrong, say "
        "what the data are in by " + Passing(data_space=atlas.space),
    )


def check_mask_space(stated: str, space: str, mask: object) -> None:
    """Refuse a mask that states another space than that of what it is for.

    Parameters
    ----------
    stated
        The space that `mask` states, ``""`` where it states none.
    space
        Of the atlas, ``""`` where it is not known.
    mask
        What messages call it.

    Raises
    ------
    ValueError
        Names that contradict each other, as `atlasinit.core.spaces.may_be_one` says.
    """
    if may_be_one(stated, space):
        return
    raise ArgumentError(
        "mask",
        f": {mask} states the space {stated!r}, but the atlas is in {space!r}",
        "Take a mask of that space, or move it by a transform of the two. If its name or header "
        f"is wrong, give it a name with space-{space}, which goes before the header, or pass its "
        "values alone, as an array",
    )


def check_target_space(stated: str, own: tuple[str, str], target: object, *, override: str) -> None:
    """Refuse to move values to what states another space, without a transform.

    Parameters
    ----------
    stated
        The space that `target` states, ``""`` where it states none.
    own
        The space of the values, ``""`` where it is not stated, and what messages call them.
    target
        What messages call it.
    override
        The argument that names the space of the result.

    Raises
    ------
    ValueError
        Names that contradict each other, as `atlasinit.core.spaces.may_be_one` says.
    """
    space, name = own
    if may_be_one(stated, space):
        return
    raise ArgumentError(
        "target",
        f": {target} states the space {stated!r}, but {name} is in {space!r}",
        "Move one of them by a transform of the two first. If they are in register, name the "
        "space of the result: "
        + Passing(**{override: stated})
        + "; if the name or header is wrong, "
        + Passing(**{override: space}),
    )


def find_locations(have: Geometry, atlas: Atlas, compartment: str) -> Int[np.ndarray, " locations"]:
    """Return where each location of a compartment lies among those of data, -1 for nowhere.

    The voxels of data may be stored in another direction than the atlas's: they are the same
    where their centres are.

    Raises
    ------
    ValueError
        Another grid or mesh, or one for the other.
    """
    wanted = atlas.geometry[compartment]
    if isinstance(have, SurfaceMesh) and isinstance(wanted, SurfaceMesh):
        if have.n_vertices != wanted.n_vertices:
            raise mesh_problem(have.n_vertices, atlas, compartment)
        # (vertices,) the row of each vertex in the data, -1 where the data leave it out; from these
        # the vertices that the atlas keeps are taken.
        return wanted.take(have.locations)
    if isinstance(have, VolumeGrid) and isinstance(wanted, VolumeGrid):
        # (locations,) for each voxel of the atlas its flat index, in C order, in the data's grid.
        voxels = wanted.voxels_in(have)
        if voxels is None:
            raise _grid_problem(have, atlas, compartment)
        # Of an image every voxel is a location.
        # A CIFTI grid may keep every voxel, but in the order of its structures.
        whole = have.n_locations == np.prod(have.shape) and not have.structures
        return voxels if whole else have.locations.reshape(-1)[voxels]
    raise ArgumentError("data", f"has {have!r} for {compartment!r}, where the atlas has {wanted!r}")


def find_surface(stated: Stated, atlas: Atlas, source: object) -> str:
    """Return the surface of an atlas that values of vertices belong to.

    Parameters
    ----------
    stated
        Their compartment, and their side, where they or their name state it.
    atlas
        With the surfaces that are asked for.
    source
        What messages call them.

    Raises
    ------
    ValueError
        They state none of these, or nothing where there are several.
    """
    # Compartment to the side of its mesh, "" where that is not known.
    surfaces = {c: g.hemisphere for c, g in atlas.geometry.items() if isinstance(g, SurfaceMesh)}
    # A structure says most, as the cerebellum has a left side too; then the side; and where neither
    # names a compartment, the one surface that contradicts neither.
    wanted = stated.structure or COMPARTMENTS.get(stated.side)
    if wanted in surfaces:
        return wanted
    able = [c for c, own in surfaces.items() if not stated.side or own in ("", stated.side)]
    # A surface with a name of the user's own may be any structure; one with a name of CIFTI's is
    # that structure alone.
    able = [c for c in able if not (stated.structure and is_structure(c))]
    if len(able) == 1:
        return able[0]
    own = f"is of {wanted!r}" if wanted else "does not state its hemisphere"
    raise ArgumentError(
        "data",
        f": {source} {own}, where {atlas.name!r} has the surfaces {list(surfaces)}",
        "" if wanted else "say which it is of, as " + Value({"cortex_L": Path}),
    )


def check_surface(stated: Stated, given: str, source: object) -> None:
    """Refuse values of vertices that are given for another surface than they state.

    Raises
    ------
    ValueError
        They state another structure, or another side.
    """
    side = hemisphere_of("", given)
    other = stated.side and side and stated.side != side
    if other or (is_structure(given) and stated.structure not in ("", given)):
        own = stated.structure or COMPARTMENTS[stated.side]
        raise ArgumentError(
            "data",
            f": {source} states that it is of {own!r}, but is given for {given!r}",
            "Give it as "
            + Value({own: Path})
            + "; if what it states is wrong, pass its values alone, or correct it by "
            "`wb_command -set-structure`",
        )


def mesh_problem(got: object, atlas: Atlas, compartment: str) -> ArgumentError:
    """Return the error of data with another number of rows than a compartment."""
    wanted = atlas.geometry[compartment]
    rows = wanted.n_vertices if isinstance(wanted, SurfaceMesh) else wanted.n_locations
    return ArgumentError(
        "data",
        f"of {compartment!r} is on another mesh than {atlas.name!r} in {atlas.space}: "
        f"expected {rows} rows (or the {wanted.n_locations} kept ones), got {got}",
        "Load the atlas in the data's space, or move it by "
        + Call("ai.resample", "atlas", "other")
        + " to the meshes of an atlas there, or the data by `wb_command -metric-resample`",
    )


def _grid_problem(got: VolumeGrid, atlas: Atlas, compartment: str) -> ArgumentError:
    wanted = atlas.geometry[compartment]
    assert isinstance(wanted, VolumeGrid)
    return ArgumentError(
        "data",
        f"of {compartment!r} is on another grid than {atlas.name!r}: shape {got.shape} and "
        f"affine {np.round(got.affine, 4).tolist()}, where the atlas has {wanted.shape} and "
        f"{np.round(wanted.affine, 4).tolist()}",
        "Move the atlas by "
        + Call("ai.resample", "atlas", "target")
        + ", to the image or to an atlas on the data's grid, or the data by "
        "`nilearn.image.resample_img` or `wb_command -cifti-resample`",
    )
