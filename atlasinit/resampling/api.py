"""Move an atlas to another grid or mesh of the same space: explicit, never silent."""

from typing import Any

import numpy as np

from atlasinit.core.atlas import Atlas
from atlasinit.core.checking import check_atlas, check_space_name, warn_of_lost
from atlasinit.core.geometry import Geometry
from atlasinit.core.maps import DenseMaps, HardMaps, Maps, SparseMaps
from atlasinit.resampling.labels import elect
from atlasinit.resampling.matrices import multiply_maps
from atlasinit.resampling.targets import Origin, Place, find_places
from atlasinit.resampling.warping import check_overlap, find_warped_places
from atlasinit.resampling.weights import Options, find_weights
from atlasinit.transforms.chains import check_result


def resample(
    atlas: Atlas,
    target: Any,
    *,
    method: str = "auto",
    areas: str = "auto",
    transform: Any = None,
    space: str | None = None,
) -> Atlas:
    r"""Return `atlas` on the locations of `target`.

    Each target location weighs source locations by :math:`w_{ij}`. Soft maps are
    :math:`\sum_j w_{ij} m_j`; hard labels are the label :math:`l` with the largest
    :math:`\sum_{j: l_j = l} w_{ij}`, where none is a label as the others, and of equal sums
    the one that is complete first wins, with the sources in their order. Outside the source's
    grid, at voxels that it does not keep and on its medial wall, labels are none and weights
    0; the outer half of the grid's outer voxels belongs to it.

    The same voxels stored in another direction, and meshes of the same triangles and spheres
    (of the same triangles, where one has no sphere), are passed through as they are, by
    every method.

    Parameters
    ----------
    atlas
        The atlas to move. NaN weights spread to the locations that use them.
    target
        An atlas, a mapping from compartment to geometry with every compartment of
        `atlas`, or the geometry of its only compartment; an image of a volume, of nibabel or
        its path, stands for its whole grid, and a CIFTI-2 file or image for its locations, on
        the meshes of `atlas`. It must be in the same world space, or its
        spheres in register with those of `atlas`: positions on grids are world millimetres,
        positions on spheres are directions, so radii may differ.
    method
        How :math:`w` is found.

        ``"nearest"``
            The voxel that a position lies in (of voxel coordinates, which on a sheared grid may
            not be the nearest in mm), or the nearest vertex.
        ``"linear"``
            On grids the eight voxels around a position, trilinear. On meshes the corners of the
            triangle of the source that is closest to the vertex, by barycentric weights.
        ``"area"``
            On grids the share of the target's voxel that each voxel of the source covers
            (exact where the axes are parallel; at any other angle to 1e-3, of voxels whose edges
            are half as long as the source's to 3e-3, a tenth to 4e-2; through a warp that is
            no matrix, of points inside the voxel, two a source voxel and axis at least). On meshes
            adaptive barycentric weights that count each source vertex by its area.
        ``"auto"``
            Maps: ``"linear"``. Labels: on meshes ``"linear"``; on grids ``"area"`` where a voxel
            of the target is larger than one of the source (by more than 1% of its volume, as
            `transform` lays it into the source; through a warp that is no matrix the median voxel,
            by more than twice), so that the majority wins, and ``"nearest"`` otherwise.
    areas
        For ``"area"`` on meshes: the vertex areas of both meshes, ``"anatomical"`` (their `areas`,
        or of their anatomical surfaces) or ``"sphere"``; ``"auto"`` takes the anatomical ones
        where both meshes have them.
    transform
        Files of spatial transforms that take an image of the atlas's space to that of `target`:
        a path (ITK, FSL, FreeSurfer's ``.lta`` or X5, told apart by their content), an
        `atlasinit.Transform` where the file does not say all, or a list of these in the order in
        which the atlas goes through them. Names of fMRIPrep (``from-A_to-B_mode-image_xfm.h5``)
        have to begin in the space of the atlas and to end in that of the target. For grids;
        needs the package nitransforms (``atlasinit[transforms]``). Corresponds to
        ``antsApplyTransforms``, whose list is in the reverse order.
    space
        Name of the result's space where it differs from that of `atlas`, for
        instance ``"fsLR"`` for fsaverage labels moved to the fsLR mesh through its
        sphere deformed to fsaverage. It also says that `target` may be used although its
        name (``space-``, ``tpl-``) or header states another space than that of `atlas`.
        With `transform` by default what the name of the last file says (``to-``), else what
        `target` states; one of these has to.

    Raises
    ------
    ValueError
        Compartments that `target` lacks, an atlas or file in another space, a mesh without
        its sphere (or faces, but for ``"nearest"``) or areas, a grid for a mesh or the reverse, a
        mesh of the other hemisphere, a sphere that is none about the origin, an unknown method;
        grids whose boxes lie side by side;
        transforms of other spaces or of the other direction, that are singular, or after which
        nothing of the atlas lies in `target`.
    TypeError
        An `atlas`, `target` or `space` of another type.
    AtlasFileError
        A file that is missing, or no image of a volume or no spatial transform.

    Warns
    -----
    AtlasWarning
        Parcels that no location is left for; they stay as empty rows.

    Notes
    -----
    The same as ``wb_command -label-resample`` and ``-metric-resample`` with ``BARYCENTRIC``
    (``"linear"``) and ``ADAP_BARY_AREA`` (``"area"``), and as
    ``nilearn.image.resample_to_img`` with ``interpolation="nearest"`` and ``"linear"``, which
    gives 0 in the outer half of the grid's outer voxels.
    """
    check_atlas(atlas)
    check_space_name(space)
    options = Options(method, areas)
    chain, goal = None, space or atlas.space
    origin = Origin.of_atlas(atlas)
    if transform is None:
        places = find_places(origin, target, space)
    else:
        places, chain, goal = find_warped_places(origin, target, transform, space)
        check_result(goal, chain)
    geometries = {c: places[c].geometry for c in atlas.compartments}
    known = origin.standard_space(space)
    maps = {
        c: _move(m, atlas.geometry[c], places[c], (c, known), options)
        for c, m in atlas.maps.items()
    }
    how = [*map(repr, geometries.values()), *options.describe()]
    how += [] if chain is None else [chain.describe()]
    moved = Atlas(
        name=atlas.name,
        space=goal,
        maps=maps,
        geometry=geometries,
        labels=atlas.table,
        provenance=atlas.provenance.then(f"resample({', '.join(how)})"),
    )
    if chain is not None and moved.n_parcels:
        check_overlap(sum(moved.labels["n_locations"]), f"parcel of {moved.name!r}", chain)
    warn_of_lost(atlas, moved, "no location left after resampling")
    return moved


def _move(
    maps: Maps, source: Geometry, place: Place, told: tuple[str, str], options: Options
) -> Maps:
    """Return maps on the locations of a place.

    What messages call the compartment, and the space of standard spheres, are told.
    """
    hard = isinstance(maps, HardMaps)
    parts = find_weights(source, place, options, hard=hard, names=("atlas", told[0]), space=told[1])
    if isinstance(maps, HardMaps):
        labels = np.asarray(maps.labels)
        return HardMaps(np.concatenate([elect(part, labels) for part in parts]), maps.n_parcels)
    if isinstance(maps, DenseMaps):
        values = np.asarray(maps.values, np.float32)
        return DenseMaps(multiply_maps(values, parts))
    from scipy.sparse import hstack

    # (parcels, sources) @ (sources, targets): rows of a part are targets, as they interpolate.
    matrix = maps.to_scipy()
    return SparseMaps.from_scipy(
        hstack([(matrix @ part.T).astype(np.float32) for part in parts], format="csr")
    )
