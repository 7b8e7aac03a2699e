"""Atlases of coordinates: spheres around seeds on a grid."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from atlasinit.core.geometry import VolumeGrid
from atlasinit.errors import ArgumentError, ArgumentTypeError
from atlasinit.io.contents import LabelRow, Part

_FARTHEST = 1e9
"""mm, beyond which no grid reaches, and voxels are no longer told apart by whole numbers."""


def spheres(
    seeds: ArrayLike,
    grid: VolumeGrid,
    *,
    radius: float | int | ArrayLike,
    rows: Sequence[LabelRow] | None = None,
    compartment: str = "volume",
) -> Part:
    """Return the spheres around seeds, as maps of 0 and 1.

    A sphere holds the kept voxels whose centres lie within its radius, those on
    its surface included, and the voxel that its seed lies in; these are the voxels
    over which ``nilearn.maskers.NiftiSpheresMasker`` averages. Spheres that overlap
    become soft maps in an atlas. One that holds no kept voxel stays as an empty row.

    Parameters
    ----------
    seeds
        (n, 3) world coordinates in mm.
    grid
        The grid, of whose kept voxels (all of them, for a whole grid) those are
        kept that some sphere holds.
    radius
        In mm, for all seeds or one for each; 0 for the seed's voxel alone.
    rows
        Label table, its rows in the order of the seeds.
    compartment
        Name of the compartment.

    Raises
    ------
    ValueError
        Seeds that are not finite (n, 3) numbers, radii that are negative or not
        finite, or another number of radii or rows than of seeds.
    """
    from scipy.sparse import csr_array

    centres = np.asarray(seeds, dtype=np.float64)
    near = np.abs(centres) < _FARTHEST  # False of NaN, too
    if centres.ndim != 2 or centres.shape[1] != 3 or not near.all():
        raise ArgumentError(
            "seeds",
            f"should be finite coordinates (n, 3) in mm, below {_FARTHEST:g}, got shape "
            f"{centres.shape}",
        )
    n = len(centres)
    wanted = f"should be one length in mm, or {n} of them, got {radius!r}"
    if np.asarray(radius).dtype.kind not in "iuf":
        raise ArgumentTypeError("radius", wanted)
    radii = np.asarray(radius, dtype=np.float64)
    if radii.shape not in ((), (n,)) or not np.isfinite(radii).all() or (radii < 0).any():
        raise ArgumentError("radius", wanted)
    if rows is not None and len(rows) != n:
        raise ArgumentError("rows", f"should have one entry for each of {n} seeds, got {len(rows)}")
    members = _members(centres, np.broadcast_to(radii, (n,)), grid)
    # `kept` are the locations that some sphere holds, and `columns` (entries,) the place of each
    # entry among these. The empty list is for an atlas without seeds.
    kept, columns = np.unique(np.concatenate([[], *members]).astype(np.int64), return_inverse=True)
    ends = np.cumsum([0, *map(len, members)])
    shape = (n, kept.size)
    maps = csr_array((np.ones(columns.size, np.float32), columns, ends), shape=shape)
    return Part(
        compartment,
        grid.restrict(kept),
        maps=maps,
        map_keys=tuple(range(1, n + 1)) if rows is None else tuple(row.key for row in rows),
        rows=None if rows is None else tuple(rows),
    )


def _members(centres: np.ndarray, radii: np.ndarray, grid: VolumeGrid) -> list[np.ndarray]:
    """Return the locations of each sphere, ascending."""
    matrix, origin = grid.affine[:3, :3], grid.affine[:3, 3]
    inverse = np.linalg.inv(matrix)
    nearest = np.rint((centres - origin) @ inverse.T).astype(np.int64)
    location = grid.locations
    # A sphere reaches this many voxels along each axis, one more for the rounded centre.
    widths = radii.max(initial=0) * np.linalg.norm(inverse, axis=1)
    reach = np.ceil(np.minimum(widths, _FARTHEST)).astype(int) + 1
    # No further than to the last voxel of the grid.
    furthest = np.maximum(nearest, np.array(grid.shape) - 1 - nearest).max(axis=0, initial=0)
    reach = np.minimum(reach, furthest)
    offsets = np.stack(np.meshgrid(*(np.arange(-r, r + 1) for r in reach), indexing="ij"), -1)
    offsets = offsets.reshape(-1, 3)
    own = (offsets == 0).all(axis=1)
    # An axis a row, so that sums run along memory.
    # In mm, `steps` (3, offsets) from a seed's own voxel to those around it, and `shifts` (seeds,
    # 3) from the seed to the centre of its voxel.
    steps, shifts = matrix @ offsets.T, nearest @ matrix.T + origin - centres
    out = []
    for at, shift, radius in zip(nearest, shifts, radii, strict=True):
        x, y, z = steps + shift[:, None]
        ijk = at + offsets[(np.sqrt(x**2 + y**2 + z**2) <= radius) | own]
        inside = ((ijk >= 0) & (ijk < grid.shape)).all(axis=1)
        found = location[tuple(ijk[inside].T)]
        out.append(np.sort(found[found >= 0]))
    return out
