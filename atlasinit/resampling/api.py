"""Move an atlas to another grid or mesh of the same space: explicit, never silent."""

from typing import TYPE_CHECKING, Any

import numpy as np

from atlasinit.core.atlas import Atlas
from atlasinit.core.geometry import Geometry, SurfaceMesh, VolumeGrid
from atlasinit.core.maps import HardMaps, Maps, SparseMaps
from atlasinit.errors import ArgumentError, ArgumentTypeError, format_list, warn
from atlasinit.resampling.grids import nearest_voxels, trilinear
from atlasinit.resampling.matrices import gather
from atlasinit.resampling.spheres import barycentric, nearest_vertices, same_vertices
from atlasinit.resampling.targets import Place, find_places

if TYPE_CHECKING:
    from scipy.sparse import csr_array


def resample(
    atlas: Atlas,
    target: Any,
    *,
    space: str | None = None,
) -> Atlas:
    """Return `atlas` on the locations of `target`.

    Hard labels take the label of the nearest source location; soft maps are
    interpolated linearly: trilinear between voxel centres, barycentric in the
    triangle of the source sphere that a target vertex falls into. Positions on
    grids are world millimetres, positions on spheres are directions, so radii may
    differ. The nearest voxel is that of voxel coordinates, which on a sheared grid may
    not be the nearest in mm. Outside the source's grid, at voxels that it does not keep
    and on its medial wall, labels are none and weights 0; the outer half of the grid's
    outer voxels belongs to it. Corresponds to ``nilearn.image.resample_img``
    (``interpolation="nearest"`` and ``"linear"``), which gives 0 in that outer half,
    and to ``wb_command -label-resample`` and ``-metric-resample`` (``BARYCENTRIC``).

    Parameters
    ----------
    atlas
        The atlas to move. NaN weights spread to the locations that use them.
    target
        An atlas, a mapping from compartment to geometry with every compartment of
        `atlas`, or the geometry of its only compartment; an image of a volume, of nibabel or
        its path, stands for its whole grid, and a CIFTI-2 file or image for its locations, on
        the meshes of `atlas`. It must be in the same world space, or its
        spheres in register with those of `atlas`.
    space
        Name of the result's space where it differs from that of `atlas`, for
        instance ``"fsLR"`` for fsaverage labels moved to the fsLR mesh through its
        sphere deformed to fsaverage. It also says that `target` may be used although its
        name (``space-``, ``tpl-``) or header states another space than that of `atlas`.

    Raises
    ------
    ValueError
        Compartments that `target` lacks, an atlas or file in another space, a mesh without
        its sphere (or faces, for soft maps), a grid for a mesh or the reverse, a mesh of
        the other hemisphere.
    TypeError
        An `atlas` or `target` of another type.
    AtlasFileError
        A file that is missing or no image of a volume.

    Warns
    -----
    AtlasWarning
        Parcels that no location is left for; they stay as empty rows.
    """
    if not isinstance(atlas, Atlas):
        raise ArgumentTypeError("atlas", f"should be an Atlas, got {type(atlas).__name__}")
    places = find_places(atlas, target, space)
    geometries = {c: place.geometry for c, place in places.items()}
    maps = {c: _move(m, atlas.geometry[c], places[c], c) for c, m in atlas.maps.items()}
    moved = Atlas(
        name=atlas.name,
        space=space or atlas.space,
        maps=maps,
        geometry=geometries,
        labels=atlas.table,
        provenance=atlas.provenance.then(f"resample({', '.join(map(repr, geometries.values()))})"),
    )
    counts = zip(
        atlas.table["name"], atlas.labels["n_locations"], moved.labels["n_locations"], strict=True
    )
    # Parcels that were empty before are not lost by this.
    lost = [name for name, before, after in counts if before and not after]
    if lost:
        warn(
            f"{len(lost)} of {atlas.n_parcels} parcels of {atlas.name!r} have no location left "
            f"after resampling: {format_list(lost)}."
        )
    return moved


def _move(maps: Maps, source: Geometry, place: Place, compartment: str) -> Maps:
    """Return maps on the locations of a place."""
    hard = isinstance(maps, HardMaps)
    matrix = _find_weights(source, place, compartment, nearest=hard)
    if isinstance(maps, HardMaps):
        return HardMaps(gather(matrix, np.asarray(maps.labels), empty=-1), maps.n_parcels)
    # (parcels, sources) @ (sources, targets): rows of `matrix` are targets, as they interpolate.
    return SparseMaps.from_scipy((maps.to_scipy() @ matrix.T).astype(np.float32))


def _find_weights(
    source: Geometry, place: Place, compartment: str, *, nearest: bool
) -> "csr_array":
    """Return the matrix (targets, sources) that moves values to a place."""
    target = place.geometry
    if isinstance(source, VolumeGrid) and isinstance(target, VolumeGrid):
        positions = place.find_sources(target.coordinates)
        return (nearest_voxels if nearest else trilinear)(source, positions)
    if isinstance(source, SurfaceMesh) and isinstance(target, SurfaceMesh):
        if place.by_number:
            return same_vertices(source, target)
        return (nearest_vertices if nearest else barycentric)(source, target)
    raise ArgumentError("target", f"of {compartment!r} is {target!r}, but the atlas has {source!r}")
