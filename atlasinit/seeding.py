"""Atlases of a user's own coordinates."""

import dataclasses
from typing import Any

import numpy as np

from atlasinit.core.atlas import Atlas
from atlasinit.core.checking import check_space_name
from atlasinit.core.geometry import VolumeGrid
from atlasinit.core.provenance import Provenance
from atlasinit.core.spaces import may_be_one
from atlasinit.errors import (
    ArgumentError,
    ArgumentTypeError,
    Passing,
    format_count,
    format_list,
    warn,
)
from atlasinit.io.assembly.assemble import assemble
from atlasinit.io.overlay.masks import keep_voxels
from atlasinit.io.seeds import Seeds, read_seeds
from atlasinit.io.spheres import spheres
from atlasinit.io.targets import is_target, read_target
from atlasinit.support.files import expand, sha256

OVERLAPS = ("allow", "first", "nearest", "error")
"""What becomes of voxels that several spheres hold."""

_RADIUS = 5.0


def sphere_atlas(
    coordinates: Any,
    grid: Any,
    *,
    radius: Any = None,
    names: Any = None,
    overlap: str = "allow",
    mask: Any = None,
    space: str | None = None,
    name: str = "spheres",
) -> Atlas:
    """Return the atlas of spheres around coordinates.

    A sphere holds the voxels whose centres lie within its radius, those on its surface included,
    and the voxel that its seed lies in. These are the voxels over which
    ``nilearn.maskers.NiftiSpheresMasker`` averages, but for one that it adds where the whole
    numbers that it cuts coordinates to are those of a voxel's centre elsewhere.

    Parameters
    ----------
    coordinates
        (n, 3) world coordinates in mm, in an array or list; name to coordinates; or a table, as a
        ``pandas.DataFrame`` or the path of a ``.tsv`` or ``.csv``, with columns ``x``, ``y``,
        ``z`` and perhaps ``name``, ``radius``, ``color``, ``network`` and others, which become
        columns of the labels.
    grid
        A `VolumeGrid`, of whose kept voxels spheres are made; or an image of nibabel or its path,
        for its whole grid: best that of the data.
    radius
        In mm, one or one for each seed; 0 for the seed's voxel alone. By default the table's
        column, else 5.
    names
        One for each seed: a list; a Series, matched by index with the table (or with 0, 1, ...);
        or a mapping from the keys 1, 2, ... By default the table's, else ``seed-1``, ...
    overlap
        Voxels that several spheres hold belong with ``"allow"`` to each of them, which makes soft
        maps of weights 0 and 1; to the ``"first"``; to that of the ``"nearest"`` seed, of equal
        ones the first; or they are an ``"error"``.
    mask
        As of `load_atlas`: spheres hold only voxels of it.
    space
        Of the coordinates, where the name or header of the image states none.
    name
        Of the atlas.

    Returns
    -------
    Atlas
        Of the voxels that some sphere holds, one compartment ``volume``, rows in the order of the
        coordinates. A sphere without a voxel (in a mask, or as others took all) stays as an empty
        row, and a warning names it.

    Raises
    ------
    ValueError
        Seeds outside of the grid, by name; what are not finite coordinates (n, 3); radii or names
        that are not one for each; spheres that overlap, if ``overlap="error"``; a space that
        nobody states, or another one than the image states.
    TypeError
        What is no grid.
    AtlasFileError
        A table or image that cannot be read.

    Examples
    --------
    >>> import numpy as np
    >>> import atlasinit as ai
    >>> grid = ai.VolumeGrid((10, 10, 10), np.diag([2.0, 2.0, 2.0, 1.0]))
    >>> seeds = {"V1": (6, 6, 6), "M1": (12, 12, 12)}
    >>> ai.sphere_atlas(seeds, grid, radius=2, space="mine").labels["n_locations"].tolist()
    [7, 7]
    """
    if overlap not in OVERLAPS:
        known = ", ".join(f'"{choice}"' for choice in OVERLAPS[:-1])
        raise ArgumentError("overlap", f'should be {known} or "{OVERLAPS[-1]}", got {overlap!r}')
    check_space_name(space)
    seeds = read_seeds(coordinates, names)
    whole, stated = _find_grid(grid)
    place = _settle_space(space, stated)
    own = whole
    if mask is not None:
        own = keep_voxels(mask, grid=whole, space=place).grid
        own = whole.restrict(np.isin(whole.voxels, own.voxels))
    if hasattr(radius, "iloc") and list(radius.index) != list(range(len(radius))):
        raise ArgumentError(
            "radius",
            "should be in the order of the coordinates, but is a Series with an index of its own",
            'put it in their order, as by `radius.loc[...].to_numpy()`, or in a column "radius"',
        )
    if radius is None:
        radius = _RADIUS if seeds.radii is None else seeds.radii
    _check_inside(seeds, whole)
    part = spheres(seeds.points, own, radius=radius, rows=seeds.rows)
    if overlap != "allow":
        held: Any = part.maps
        part = dataclasses.replace(part, maps=_settle(held, part.geometry, seeds, overlap))
    told = "radius as stated" if np.ndim(radius) else f"radius={float(radius):g}"
    counts = format_count(len(seeds.rows), "seed")
    provenance = Provenance(
        source="coordinates",
        files=_files(coordinates),
        operations=(f"sphere_atlas({counts}, {told}, overlap={overlap!r})",),
    )
    atlas = assemble([part], name=name, space=place, provenance=provenance)
    empty = np.array(atlas.table["name"])[np.flatnonzero(atlas.labels["empty"])]
    if empty.size:
        spheres_ = format_count(empty.size, "sphere")
        warn(f"{spheres_} of {len(seeds.rows)} hold no voxel: {format_list(empty)}.")
    return atlas


def _find_grid(grid: Any) -> tuple[VolumeGrid, str]:
    """Return the grid, and the space that its image states."""
    if isinstance(grid, VolumeGrid):
        return grid, ""
    if not is_target(grid):
        kind = type(grid).__name__
        raise ArgumentTypeError("grid", f"should be a VolumeGrid or an image, got {kind}")
    target = read_target(grid)
    if target.grid is None:
        raise ArgumentTypeError("grid", f"should be of voxels alone, got {target.name}")
    return target.grid, target.space


def _settle_space(space: str | None, stated: str) -> str:
    if space is None and not stated:
        raise ArgumentError(
            "space",
            "should be stated, that of the coordinates",
            "pass " + Passing(space="MNI152NLin6Asym") + " or the one that they are in",
        )
    if space is not None and stated and not may_be_one(space, stated):
        raise ArgumentError(
            "grid", f"states the space {stated}, but the coordinates are said to be in {space}"
        )
    return space or stated


def _check_inside(seeds: Seeds, grid: VolumeGrid) -> None:
    inverse = np.linalg.inv(grid.affine)
    nearest = np.rint(seeds.points @ inverse[:3, :3].T + inverse[:3, 3])
    outside = np.flatnonzero(((nearest < 0) | (nearest >= grid.shape)).any(axis=1))
    if not outside.size:
        return
    corners = np.array(list(np.ndindex(2, 2, 2))) * (np.array(grid.shape) - 1)
    ends = corners @ grid.affine[:3, :3].T + grid.affine[:3, 3]
    low, high = ends.min(axis=0), ends.max(axis=0)
    spans = [f"{axis} {a:g} to {b:g}" for axis, a, b in zip("xyz", low, high, strict=True)]
    told = format_list(
        (f"{seeds.rows[i].name!r} at {tuple(seeds.points[i].tolist())}" for i in outside), 3
    )
    verb = "lies" if outside.size == 1 else "lie"
    raise ArgumentError(
        "coordinates",
        f": {format_count(outside.size, 'seed')} of {len(seeds.rows)} {verb} outside of the grid "
        f"({', '.join(spans)} mm): {told}",
        "coordinates are mm of the world, not voxel indices, and of the space of the grid",
    )


def _settle(maps: Any, grid: Any, seeds: Seeds, how: str) -> Any:
    """Return maps in which each voxel belongs to one sphere."""
    from scipy.sparse import csr_array

    rows = np.repeat(np.arange(maps.shape[0]), np.diff(maps.indptr))
    columns = maps.indices
    if how == "error":
        _refuse_overlap(maps, seeds)
        return maps
    offsets = grid.coordinates[columns] - seeds.points[rows]
    # Squares of equal distances differ by rounding, which should not tell which seed is nearer.
    distance = np.round(np.linalg.norm(offsets, axis=1), 6) if how == "nearest" else rows
    order = np.lexsort((rows, distance, columns))
    _, first = np.unique(columns[order], return_index=True)
    kept = order[first]
    return csr_array((maps.data[kept], (rows[kept], columns[kept])), shape=maps.shape)


def _refuse_overlap(maps: Any, seeds: Seeds) -> None:
    shared: Any = maps @ maps.T
    shared.setdiag(0)
    shared.eliminate_zeros()
    if not shared.nnz:
        return
    pairs = shared.tocoo()
    most = pairs.data.argmax()
    one, other = sorted((int(pairs.row[most]), int(pairs.col[most])))
    apart = np.linalg.norm(seeds.points[one] - seeds.points[other])
    raise ArgumentError(
        "overlap",
        f": {format_count(pairs.nnz // 2, 'pair')} of spheres overlap, most "
        f"{seeds.rows[one].name!r} and {seeds.rows[other].name!r}, by "
        f"{format_count(int(pairs.data[most]), 'voxel')}, {apart:g} mm apart",
        "take a smaller radius, or pass " + Passing(overlap="nearest"),
    )


def _files(coordinates: Any) -> tuple[tuple[str, str], ...]:
    if not (isinstance(coordinates, str) or hasattr(coordinates, "__fspath__")):
        return ()
    path = expand(coordinates)
    return ((path.name, sha256(path)),)
