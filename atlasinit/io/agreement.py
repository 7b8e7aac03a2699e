"""Whether data lie where an atlas lies: the one place that compares what both of them state.

Readers keep what a file states (`Stated`) and where its values lie (a geometry); nothing is
decided until it is compared here, for data of every format, in files and in memory.
"""

from pathlib import Path

import numpy as np
from jaxtyping import Int

from atlasinit.core.atlas import Atlas
from atlasinit.core.geometry import Geometry, SurfaceMesh, VolumeGrid
from atlasinit.core.labels import hemisphere_of
from atlasinit.errors import ArgumentError, Call, Value
from atlasinit.io.contents import COMPARTMENTS, Stated
from atlasinit.io.formats.brain_models import is_structure


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
        return wanted.take(have.locations)
    if isinstance(have, VolumeGrid) and isinstance(wanted, VolumeGrid):
        voxels = wanted.voxels_in(have)
        if voxels is None:
            raise _grid_problem(have, atlas, compartment)
        # Of an image every voxel is a location.
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
    surfaces = {c: g.hemisphere for c, g in atlas.geometry.items() if isinstance(g, SurfaceMesh)}
    wanted = stated.structure or COMPARTMENTS.get(stated.side)
    if wanted in surfaces:
        return wanted
    able = [c for c, own in surfaces.items() if not stated.side or own in ("", stated.side)]
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
