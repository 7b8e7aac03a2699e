"""Values of parcels as parcellated CIFTI-2: pscalar and ptseries."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from nibabel.cifti2 import Cifti2Image, ParcelsAxis, ScalarAxis, SeriesAxis

from atlasinit.core.atlas import Atlas
from atlasinit.core.geometry import SurfaceMesh, VolumeGrid
from atlasinit.core.named_values import align_values
from atlasinit.errors import ArgumentError, format_list
from atlasinit.io.files import extension
from atlasinit.io.formats.brain_models import structure_of
from atlasinit.support.files import expand
from atlasinit.support.typing import PathLike
from atlasinit.support.writing import atomic_write

_INTENTS = {
    ".pscalar.nii": "NIFTI_INTENT_CONNECTIVITY_PARCELLATED_SCALAR",
    ".ptseries.nii": "NIFTI_INTENT_CONNECTIVITY_PARCELLATED_SERIES",
}


def write_parcellated(
    values: Any,
    atlas: Atlas,
    path: PathLike,
    *,
    names: Sequence[str] | None = None,
    step: float = 1.0,
    overwrite: bool = False,
) -> Path:
    """Write values of parcels as CIFTI-2, which viewers show on the parcels.

    The file says which vertices and voxels make each parcel: those where it has
    the largest weight (`Atlas.harden`), as parcels of CIFTI may not overlap. It is
    what ``wb_command -cifti-parcellate`` writes.

    Parameters
    ----------
    values
        (parcels,) or (parcels, n): an array by row, in the order of ``atlas.labels``; a table
        of pandas or a mapping by name, a table whose columns are parcels as (time, parcels).
    atlas
        Where the parcels lie. Its voxels, if any, are in one compartment.
    path
        ``.pscalar.nii`` for n maps, ``.ptseries.nii`` for n time points.
    names
        Of the maps of a pscalar; by default the name of the atlas, or ``map-0``, ...
    step
        Seconds between the time points of a ptseries, which begins at 0.
    overwrite
        Whether an existing file is replaced.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    ValueError
        Another extension or number of parcels or names, several volumes, or parcels
        without a location, which the format cannot hold: `Atlas.drop_empty`.
    AtlasFileError
        An existing file without `overwrite`.
    """
    ending = extension(path)
    if ending not in _INTENTS:
        raise ArgumentError("path", f"should end in {' or '.join(_INTENTS)}, got {Path(path).name}")
    aligned = align_values(values, atlas.table)
    rows = aligned.array.reshape(atlas.n_parcels, -1).T.astype(np.float32)
    names = aligned.titles if names is None else names
    if ending == ".ptseries.nii":
        axis = SeriesAxis(0, step, len(rows), "SECOND")
    else:
        axis = ScalarAxis(_names(names, len(rows), atlas.name))
    image = Cifti2Image(rows, header=(axis, _parcels(atlas.harden())))
    nifti: Any = image.nifti_header
    nifti.set_intent(_INTENTS[ending])
    with atomic_write(path, overwrite=overwrite) as temporary:
        image.to_filename(temporary)
    return expand(path)


def _names(names: Sequence[str] | None, count: int, default: str) -> list[str]:
    if names is None:
        return [default] if count == 1 else [f"map-{i}" for i in range(count)]
    if len(names) != count:
        raise ArgumentError("names", f"should be {count}, one a map, got {len(names)}")
    return list(names)


def _parcels(atlas: Atlas) -> ParcelsAxis:
    """Return the vertices and voxels of the parcels of a hard atlas."""
    counts = np.concatenate([maps.counts() for maps in atlas.maps.values()])
    empty = [name for name, n in zip(atlas.table["name"], counts, strict=True) if not n]
    if empty:
        raise ArgumentError(
            "atlas",
            "has parcels where no location is theirs, which the format cannot hold: "
            f"{format_list(empty)}",
            "drop them and their values (Atlas.harden, Atlas.drop_empty)",
        )
    grids = [g for g in atlas.geometry.values() if isinstance(g, VolumeGrid)]
    if len(grids) > 1:
        raise ArgumentError("atlas", f"should have one volume, got {len(grids)}")
    voxels: list[np.ndarray] = []
    vertices: list[dict[str, np.ndarray]] = []
    sizes: dict[str, int] = {}
    for c, geometry in atlas.geometry.items():
        matrix: Any = atlas.maps[c].to_scipy()
        for own in np.split(matrix.indices, matrix.indptr[1:-1]) if matrix.shape[0] else ():
            if isinstance(geometry, SurfaceMesh):
                sizes[structure_of(c)] = geometry.n_vertices
                vertices.append({structure_of(c): geometry.vertices[own]})
                voxels.append(np.empty((0, 3), int))
            else:
                vertices.append({})
                voxels.append(geometry.ijk[own])
    return ParcelsAxis(
        list(atlas.table["name"]),
        _objects(voxels),
        _objects(vertices),
        affine=grids[0].affine if grids else None,
        volume_shape=grids[0].shape if grids else None,
        nvertices=sizes,
    )


def _objects(items: Sequence[Any]) -> np.ndarray:
    """Return an array of objects, whose own shapes NumPy would otherwise look into."""
    out = np.empty(len(items), dtype=object)
    out[:] = items
    return out
