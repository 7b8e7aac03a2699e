"""Values of parcels as parcellated CIFTI-2: pscalar and ptseries; their matrices: pconn."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nibabel as nb
import numpy as np
from jaxtyping import Float
from nibabel.cifti2 import Cifti2Image, ParcelsAxis, ScalarAxis, SeriesAxis

from atlasinit.core.atlas import Atlas
from atlasinit.core.geometry import SurfaceMesh, VolumeGrid
from atlasinit.errors import ArgumentError, AtlasFileWarning, ContentError, format_list, warn
from atlasinit.io.files import extension, reading, unlogged
from atlasinit.io.formats.brain_models import structure_of
from atlasinit.io.formats.cifti_writing import write_image
from atlasinit.io.own_header import check_texts
from atlasinit.io.painted import Painted
from atlasinit.support.typing import PathLike

if TYPE_CHECKING:
    import pandas as pd

# Rows are maps or time points, and columns parcels, of which the XML lists vertices and voxels.
# https://www.nitrc.org/projects/cifti/
SERIES = ".ptseries.nii"
INTENTS = {
    ".pscalar.nii": "NIFTI_INTENT_CONNECTIVITY_PARCELLATED_SCALAR",
    SERIES: "NIFTI_INTENT_CONNECTIVITY_PARCELLATED_SERIES",
}


def paint(painted: Painted, path: PathLike, *, overwrite: bool = False) -> list[Path]:
    """Write values of parcels as CIFTI-2, which viewers show on the parcels.

    The file says which vertices and voxels make each parcel: those where it has
    the largest weight (`Atlas.harden`), as parcels of CIFTI may not overlap. It is
    what ``wb_command -cifti-parcellate`` writes. A parcel without a location stays a
    row, of NaN, so that row i is row i of the atlas's table.

    Raises
    ------
    ValueError
        Names of maps for a ptseries, or a time step for a pscalar; several volumes; names with
        control characters.
    """
    ending = extension(path)
    axis = series_axis(painted, path) if ending == SERIES else scalar_axis(painted, path)
    parcels = parcels_axis(painted.atlas, path)
    # Painted values are (parcels, maps).
    rows = painted.maps.T.astype(painted.dtype)
    # A parcel may have vertices, voxels or both.
    places = zip(parcels.vertices, parcels.voxels, strict=True)
    empty = np.array([not vertices and not len(voxels) for vertices, voxels in places], bool)
    lost = [n for n, gone in zip(parcels.name, empty, strict=True) if gone]
    if np.isfinite(rows[:, empty]).any():
        told = "parcels without a location are NaN, as nothing shows their values: "
        warn(AtlasFileWarning(path, told + format_list(lost)))
    rows[:, empty] = np.nan
    return write_image(rows, (axis, parcels), INTENTS[ending], path, overwrite=overwrite)


def write_matrix(
    matrix: Float[np.ndarray, "parcels parcels"],
    atlas: Atlas,
    path: PathLike,
    *,
    overwrite: bool = False,
) -> None:
    """Write a matrix of parcels by parcels as CIFTI-2, as ``wb_command -cifti-correlation`` does.

    Raises
    ------
    ValueError
        Several volumes; names with control characters.
    """
    parcels = parcels_axis(atlas, path)
    values = matrix.astype(np.result_type(matrix.dtype, np.float32))
    intent = "NIFTI_INTENT_CONNECTIVITY_PARCELLATED"
    write_image(values, (parcels, parcels), intent, path, overwrite=overwrite)


def read_matrix(path: Path) -> "pd.DataFrame":
    """Return a matrix of parcels by parcels with the names of both axes."""
    import pandas as pd

    image: Any = _load(path)
    axes = [image.header.get_axis(i) for i in range(len(image.shape))]
    if len(axes) != 2 or not all(isinstance(axis, ParcelsAxis) for axis in axes):
        kinds = format_list(type(axis).__name__.removesuffix("Axis") for axis in axes)
        raise ContentError(f"its axes should both be of parcels, but are {kinds}")
    rows, columns = (list(axis.name) for axis in axes)
    return pd.DataFrame(np.asanyarray(image.dataobj), rows, columns)


def read_rows(path: Path) -> tuple[list[str], Float[np.ndarray, "maps parcels"]]:
    """Return the names of the parcels of a file and its rows: maps, time points or locations.

    Raises
    ------
    AtlasFileError
        What is no CIFTI-2 file whose columns are parcels.
    """
    with reading(path, "a CIFTI-2 file of parcels") as found:
        image: Any = _load(found)
        axis = image.header.get_axis(len(image.shape) - 1)
        if len(image.shape) != 2 or not isinstance(axis, ParcelsAxis):
            raise ContentError("its columns should be parcels")
        return list(axis.name), np.asanyarray(image.dataobj)


def _load(path: Path) -> Cifti2Image:
    with unlogged():
        image: Any = nb.load(path)
    if not isinstance(image, Cifti2Image):
        raise ContentError("it is no CIFTI-2 file")
    return image


def scalar_axis(painted: Painted, path: PathLike) -> ScalarAxis:
    """Return the names of maps."""
    painted.check_maps(path)
    check_texts(painted.titles, path)
    return ScalarAxis(list(painted.titles))


def series_axis(painted: Painted, path: PathLike) -> SeriesAxis:
    """Return the time points of a series, which begins at 0."""
    painted.check_series(path)
    # The format needs a step; of 1 s it numbers the time points.
    step = 1.0 if painted.step is None else painted.step
    return SeriesAxis(0, step, painted.maps.shape[1], "SECOND")


def parcels_axis(atlas: Atlas, path: PathLike) -> ParcelsAxis:
    """Return the vertices and voxels of the parcels of an atlas, hardened."""
    grids = [g for g in atlas.geometry.values() if isinstance(g, VolumeGrid)]
    if len(grids) > 1:
        raise ArgumentError("atlas", f"should have one volume, got {len(grids)}")
    check_texts(atlas.table["name"], path)
    voxels = [np.empty((0, 3), int) for _ in range(atlas.n_parcels)]
    vertices: list[dict[str, np.ndarray]] = [{} for _ in range(atlas.n_parcels)]
    sizes: dict[str, int] = {}
    rows = atlas.parcel_slices()
    for c, geometry in atlas.geometry.items():
        matrix: Any = atlas.maps[c].harden().to_scipy()
        # Compressed rows (parcels, locations): `indices` has the locations of one parcel after the
        # other, and `indptr` where each begins. Of no parcels NumPy makes one part, which no row
        # takes. A parcel of several compartments has a row in each of them.
        own = np.split(matrix.indices, matrix.indptr[1:-1])
        for row, locations in zip(range(rows[c].start, rows[c].stop), own, strict=False):
            if not isinstance(geometry, SurfaceMesh):
                voxels[row] = geometry.ijk[locations]
                continue
            sizes[structure_of(c)] = geometry.n_vertices
            if locations.size:
                vertices[row][structure_of(c)] = geometry.vertices[locations]
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
