"""Move an atlas to another grid or mesh of the same space: explicit, never silent."""

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from atlasinit.core.atlas import Atlas
from atlasinit.core.geometry import (
    Geometry,
    SurfaceMesh,
    VolumeGrid,
)
from atlasinit.core.maps import (
    HardMaps,
    Maps,
    SparseMaps,
)
from atlasinit.errors import ArgumentError, ArgumentTypeError, Call, Passing, format_list, warn
from atlasinit.smoothing.checks import check_radii

if TYPE_CHECKING:
    from scipy.sparse import csr_array

_CANDIDATES = 16
"""Triangles tried for a point, nearest centre first."""

_ROUNDING = 1e-4
"""Share of a voxel by which the affines of images, stored in float32, miss their numbers."""


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
    places = _targets(atlas, target, space)
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


class _Place(NamedTuple):
    """Where a compartment is moved to, and whether vertices of one number are one vertex."""

    geometry: Geometry
    by_number: bool = False


def _targets(atlas: Atlas, target: Any, space: str | None) -> dict[str, _Place]:
    """Return where each compartment of an atlas is moved to."""
    if isinstance(target, Atlas):
        if target.space not in (atlas.space, space):
            raise ArgumentError(
                "target",
                f"is in {target.space}, but {atlas.name!r} is in {atlas.space}",
                "if their coordinates are in register, pass " + Passing(space=target.space),
            )
        target = target.geometry
    elif not isinstance(target, Mapping):
        target = _of_file(target, atlas, space)
        if not isinstance(target, dict):
            if len(atlas.compartments) > 1:
                raise ArgumentError(
                    "target",
                    f"should be a mapping from each of {list(atlas.compartments)} to its "
                    "geometry, got one geometry",
                )
            target = dict.fromkeys(atlas.compartments, target)
    missing = [c for c in atlas.compartments if c not in target]
    if missing:
        raise ArgumentError("target", f"lacks the compartments {missing}", f"it has {list(target)}")
    return {c: _of_compartment(target[c], atlas, c, space) for c in atlas.compartments}


def _of_file(target: Any, atlas: Atlas, space: str | None) -> Geometry | dict[str, _Place]:
    """Return a geometry as it is, and of an image its whole grid, or the locations of CIFTI."""
    from atlasinit.io.agreement import check_target_space
    from atlasinit.io.targets import is_target, read_target

    if isinstance(target, VolumeGrid | SurfaceMesh):
        return target
    if not is_target(target):
        raise ArgumentTypeError(
            "target",
            "should be an Atlas, a VolumeGrid, a SurfaceMesh, an image of a volume or its path, "
            f"or a mapping from compartments to such, got {type(target).__name__}",
        )
    found = read_target(target)
    if space is None:
        check_target_space(found.space, atlas, found.name, override="space")
    if found.grid is not None:
        return found.grid
    return {c: _on_own_mesh(g, atlas, c) for c, g in found.geometry.items()}


def _on_own_mesh(geometry: Geometry, atlas: Atlas, compartment: str) -> _Place:
    """Return locations of CIFTI, which states numbers of vertices alone, on the atlas's mesh."""
    own = atlas.geometry.get(compartment)
    if not isinstance(own, SurfaceMesh) or not isinstance(geometry, SurfaceMesh):
        return _Place(geometry)
    if own.n_vertices != geometry.n_vertices:
        raise ArgumentError(
            "target",
            f"has {geometry.n_vertices} vertices for {compartment!r}, {atlas.name!r} has "
            f"{own.n_vertices}",
            "pass the meshes with their spheres",
        )
    return _Place(dataclasses.replace(own, vertices=geometry.vertices), by_number=True)


def _of_compartment(target: Any, atlas: Atlas, compartment: str, space: str | None) -> _Place:
    """Return the place of one compartment of a mapping, each of which a file may hold."""
    if isinstance(target, _Place):
        return target
    found = _of_file(target, atlas, space)
    if not isinstance(found, dict):
        return _Place(found)
    if compartment not in found:
        raise ArgumentError(
            "target", f"of {compartment!r} holds nothing for it", f"it has {list(found)}"
        )
    return found[compartment]


def _move(maps: Maps, source: Geometry, place: _Place, compartment: str) -> Maps:
    target = place.geometry
    if place.by_number:
        hard, soft = _same_vertices, _same_vertex
    elif isinstance(source, VolumeGrid) and isinstance(target, VolumeGrid):
        hard, soft = _nearest_voxels, _trilinear
    elif isinstance(source, SurfaceMesh) and isinstance(target, SurfaceMesh):
        hard, soft = _nearest_vertices, _barycentric
    else:
        raise ArgumentError(
            "target", f"of {compartment!r} is {target!r}, but the atlas has {source!r}"
        )
    if isinstance(maps, HardMaps):
        # The extra last label answers for -1, no source location.
        labels = np.append(np.asarray(maps.labels), np.int32(-1))
        return HardMaps(labels[hard(source, target)], maps.n_parcels)  # pyright: ignore[reportArgumentType]
    # (parcels, sources) @ (sources, targets): rows of `weights` are targets, as they interpolate.
    weights = soft(source, target)  # pyright: ignore[reportArgumentType]
    return SparseMaps.from_scipy((maps.to_scipy() @ weights.T).astype(np.float32))


def _voxel_positions(source: VolumeGrid, target: VolumeGrid) -> Float[np.ndarray, "targets 3"]:
    """Return voxel coordinates; those at or halfway between centres, but for rounding, exactly."""
    # World to voxel: positions are rows, hence the transposed matrix from the right.
    inverse = np.linalg.inv(source.affine)
    positions = target.coordinates @ inverse[:3, :3].T + inverse[:3, 3]
    halves = np.rint(2 * positions) / 2
    # At a half which of two voxels is the nearest must not hang on the last bit of an affine.
    return np.where(np.abs(positions - halves) < _ROUNDING, halves, positions)


def _find_locations(
    source: VolumeGrid, ijk: Int[np.ndarray, "targets 3"]
) -> Int[np.ndarray, " targets"]:
    """Return the source location of each voxel, -1 outside the grid or where not kept."""
    inside = np.all((ijk >= 0) & (ijk < np.array(source.shape)), axis=1)
    # Voxel 0 in place of those outside, only so that they can be looked up; they are -1 after.
    x, y, z = np.where(inside[:, None], ijk, 0).T
    return np.where(inside, source.locations[x, y, z], -1)


def _nearest_voxels(source: VolumeGrid, target: VolumeGrid) -> Int[np.ndarray, " targets"]:
    # Not rint, which at a half goes to the even voxel: here always to the upper one.
    voxels = np.floor(_voxel_positions(source, target) + 0.5)
    return _find_locations(source, voxels.astype(np.int64))


def _trilinear(source: VolumeGrid, target: VolumeGrid) -> "csr_array":
    positions = _voxel_positions(source, target)
    # The eight voxels around a position, each by the product of its three shares.
    low = np.floor(positions).astype(np.int64)
    part = positions - low
    columns, weights = [], []
    for corner in np.ndindex(2, 2, 2):
        columns.append(_find_locations(source, low + corner))
        weights.append(np.where(corner, part, 1 - part).prod(axis=1))
    return _build_operator(np.stack(columns, 1), np.stack(weights, 1), source.n_locations)


def _directions(mesh: SurfaceMesh, which: str) -> Float[np.ndarray, "vertices 3"]:
    if mesh.sphere is None:
        raise ArgumentError(
            "target" if which == "target" else "atlas",
            f": resampling needs the `sphere` of the {which} mesh, which {mesh!r} lacks",
            "add it with " + Call("mesh.replace", sphere=...),
        )
    # An inflated or off-centre surface has directions too, but of other places.
    radii = check_radii(mesh.sphere, f"sphere of the {which} mesh")
    return mesh.sphere.astype(np.float64) / radii[:, None]


def _same_vertices(source: SurfaceMesh, target: SurfaceMesh) -> Int[np.ndarray, " targets"]:
    return source.locations[target.vertices]


def _same_vertex(source: SurfaceMesh, target: SurfaceMesh) -> "csr_array":
    columns = _same_vertices(source, target)[:, None]
    return _build_operator(columns, np.ones(columns.shape), source.n_locations)


def _nearest_vertices(source: SurfaceMesh, target: SurfaceMesh) -> Int[np.ndarray, " targets"]:
    from scipy.spatial import KDTree

    # Of directions the nearest in a straight line is the nearest in angle, too. All vertices of the
    # source take part: one that it does not keep, as of the medial wall, gives -1.
    wanted = _directions(target, "target")[target.vertices]
    return source.locations[KDTree(_directions(source, "source")).query(wanted)[1]]


def _barycentric(source: SurfaceMesh, target: SurfaceMesh) -> "csr_array":
    from scipy.spatial import KDTree

    points = _directions(target, "target")[target.vertices]
    faces, corners = _triangles(source)
    centres = corners.mean(axis=1)
    # (targets, candidates), or (targets,) where there is one triangle alone.
    _, tried = KDTree(centres).query(points, k=min(_CANDIDATES, len(faces)))
    tried = tried.reshape(len(points), -1)
    best = np.full(len(points), -np.inf)
    weights = np.zeros((len(points), 3))
    chosen = np.zeros(len(points), np.int64)
    for face in tried.T:
        # p = [a b c] w: w is positive where the ray to p meets the triangle a, b, c.
        w = np.linalg.solve(np.moveaxis(corners[face], 1, 2), points[:, :, None])[..., 0]
        # Scaled to 1, it no longer depends on how far along the ray the triangle lies.
        w /= w.sum(axis=1, keepdims=True)
        better = w.min(axis=1) > best
        best = np.where(better, w.min(axis=1), best)
        weights[better], chosen[better] = w[better], face[better]
    # A point in a gap of rounding between triangles goes to the nearest border.
    weights = weights.clip(0)
    weights /= weights.sum(axis=1, keepdims=True)
    return _build_operator(source.locations[faces[chosen]], weights, source.n_locations)


def _triangles(
    source: SurfaceMesh,
) -> tuple[Int[np.ndarray, "faces 3"], Float[np.ndarray, "faces 3 3"]]:
    """Return the triangles that have an area on the sphere, and the directions of their corners."""
    if source.faces is None:
        raise ArgumentError(
            "atlas", f": resampling soft maps needs the `faces` of the source mesh {source!r}"
        )
    corners = _directions(source, "source")[source.faces]
    # Six times the volume between the centre of the sphere and the triangle: 0 where its corners
    # lie on one great circle, so that no direction can be told by them.
    volumes = np.abs(np.linalg.det(corners))
    solid = volumes > 1e-12 * volumes.max(initial=0)
    if not solid.any():
        raise ArgumentError(
            "atlas", f": no triangle in `faces` of the source mesh {source!r} has an area"
        )
    return source.faces[solid], corners[solid]


def _build_operator(
    columns: Int[np.ndarray, "targets corners"],
    weights: Float[np.ndarray, "targets corners"],
    n_sources: int,
) -> "csr_array":
    from scipy.sparse import csr_array

    # Corners that are not kept have no entry, and the others are not scaled up for them: a soft
    # map fades towards the edge of what its atlas keeps.
    rows = np.broadcast_to(np.arange(len(columns))[:, None], columns.shape)
    used = (columns >= 0) & (weights > 0)
    entries = (weights[used], (rows[used], columns[used]))
    return csr_array(entries, shape=(len(columns), n_sources))
