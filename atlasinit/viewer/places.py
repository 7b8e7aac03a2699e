"""Where a view goes to for each parcel: its location nearest to its middle."""

import numpy as np
from jaxtyping import Float, Integer

from atlasinit.viewer.meshes import MeshView
from atlasinit.viewer.volumes import VolumeView


def find_places(
    n_parcels: int, volumes: list[VolumeView], meshes: list[MeshView]
) -> list[tuple[str, int, int] | None]:
    """Return for each parcel what holds it, the number of that, and a location in it.

    What holds it is ``"mesh"`` or ``"volume"``; the location is a vertex, or a flat index of a
    voxel whose first axis runs fastest. None for a parcel without locations. A parcel of several
    compartments is gone to in the first of the meshes, else of the volumes.
    """
    out: list[tuple[str, int, int] | None] = [None] * n_parcels
    for number, mesh in enumerate(meshes):
        shape = next(iter(mesh.shapes.values()))
        _enter(out, "mesh", number, mesh.rows, shape.astype(np.float64))
    for number, volume in enumerate(volumes):
        flat = volume.rows.reshape(-1, order="F")
        voxels = np.flatnonzero(flat)
        positions = np.stack(np.unravel_index(voxels, volume.rows.shape, order="F"), axis=1)
        mm = positions @ volume.affine[:3, :3].T
        _enter(out, "volume", number, flat[voxels], mm, voxels)
    return out


def _enter(
    out: list[tuple[str, int, int] | None],
    kind: str,
    number: int,
    rows: Integer[np.ndarray, " n"],
    positions: Float[np.ndarray, "n 3"],
    locations: Integer[np.ndarray, " n"] | None = None,
) -> None:
    nearest = _middle(rows, positions, len(out) + 1)
    for row in np.flatnonzero(nearest >= 0).tolist():
        if row and out[row - 1] is None:
            index = int(nearest[row])
            out[row - 1] = (kind, number, index if locations is None else int(locations[index]))


def _middle(
    rows: Integer[np.ndarray, " n"], positions: Float[np.ndarray, "n 3"], n: int
) -> Integer[np.ndarray, " rows"]:
    """Return which entry of each row lies nearest to the row's mean position, -1 for none."""
    counts = np.maximum(np.bincount(rows, minlength=n), 1)
    means = [np.bincount(rows, weights=x, minlength=n) / counts for x in positions.T]
    away = ((positions - np.stack(means, axis=1)[rows]) ** 2).sum(axis=1)
    # By row, and by distance within it: the first of each row.
    order = np.lexsort((away, rows))
    found, first = np.unique(rows[order], return_index=True)
    out = np.full(n, -1)
    out[found] = order[first]
    return out
