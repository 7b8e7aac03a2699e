"""Headers and images of NIfTI for one grid, and values of parcels painted on it."""

from pathlib import Path
from typing import Any

import nibabel as nb
import numpy as np
from jaxtyping import Shaped

from atlasinit.core.atlas import Atlas
from atlasinit.core.geometry import VolumeGrid
from atlasinit.errors import ArgumentError
from atlasinit.io.formats.choosing import suggest
from atlasinit.io.formats.nifti_header import packed
from atlasinit.io.own_header import check_texts
from atlasinit.io.painted import Painted
from atlasinit.io.tables import workbench
from atlasinit.support.files import expand
from atlasinit.support.typing import PathLike
from atlasinit.support.writing import atomic_write


def only_grid(atlas: Atlas, *, values: bool = False) -> VolumeGrid:
    """Return the grid of an atlas of one volume, of which `values` of parcels may be written.

    Raises
    ------
    ValueError
        An atlas with a surface, or with several compartments.
    """
    grid, *others = atlas.geometry.values()
    if others or not isinstance(grid, VolumeGrid):
        any_grid = any(isinstance(g, VolumeGrid) for g in atlas.geometry.values())
        raise ArgumentError(
            "path",
            f": a NIfTI image holds one volume, but {atlas.name!r} has "
            f"{', '.join(f'{c} ({type(g).__name__})' for c, g in atlas.geometry.items())}",
            suggest(atlas, values=values, alone=any_grid),
        )
    return grid


def grid_header(
    grid: VolumeGrid, space: str, dtype: np.dtype, *, count: int | None = None
) -> nb.Nifti1Header:
    """Return the header of an image in mm, whose sform states where it lies and in which space.

    Parameters
    ----------
    grid
        The grid.
    space
        The atlas's; of its coordinates the header knows Talairach's and the MNI's.
    dtype
        Of the values.
    count
        Number of volumes of a 4-D image, None for a 3-D one.
    """
    # NIfTI-1, as not every program reads NIfTI-2. Its sizes are of 16 bits: up to 32,767 an axis.
    header = nb.Nifti1Header()
    shape = grid.shape if count is None else (*grid.shape, count)
    if max(shape) > np.iinfo(np.int16).max:
        problem = f"should have at most 32767 voxels or maps along an axis of NIfTI-1, got {shape}"
        raise ArgumentError("path", f": {problem}", "save fewer at a time")
    header.set_data_shape(shape)
    header.set_data_dtype(dtype)
    # The codes are 4 (of the MNI152) and 2 (of some other image). The qform is left out: it
    # holds no shear, which an affine may have.
    header.set_sform(grid.affine, code="mni" if space.startswith("MNI152") else "aligned")
    # The fourth is the step of time, without a meaning where volumes are maps.
    header.set_zooms([*grid.voxel_sizes, 1][: 3 if count is None else 4])
    header.set_xyzt_units("mm")
    return header


def image_of(
    grid: VolumeGrid,
    values: Shaped[np.ndarray, "locations *n"],
    space: str,
    *,
    fill: float = 0.0,
) -> nb.Nifti1Image:
    """Return values at the locations of a grid as an image, `fill` at other voxels."""
    volume = grid.put(values, fill=fill)
    count = values.shape[1] if values.ndim == 2 else None
    header = grid_header(grid, space, volume.dtype, count=count)
    # nibabel keeps the header's code for an affine that is the header's own.
    return nb.Nifti1Image(volume, grid.affine, header)


def write_mask(atlas: Atlas, path: Path) -> None:
    """Write where the one parcel of an atlas lies as an image of bytes, 1 there and 0 elsewhere.

    Its name is where Connectome Workbench and `load_atlas` find it.
    """
    (maps,) = atlas.maps.values()
    inside = (np.asarray(maps.harden().labels) >= 0).astype(np.uint8)
    image = image_of(only_grid(atlas), inside, atlas.space)
    header: Any = image.header
    header.set_intent("label")
    header.extensions.append(workbench.header_of_labels(atlas.name, atlas.table, [1]))
    header.extensions.append(packed(atlas, [1]))
    image.to_filename(path)


def paint(painted: Painted, path: PathLike, *, overwrite: bool = False) -> list[Path]:
    """Write values of parcels as the image of one grid: a volume a map, or a time point.

    In the precision of the values, with the space and units of `save_atlas`. Names of maps are
    where Connectome Workbench has them, as NIfTI has no place for them.

    Raises
    ------
    ValueError
        An atlas with a surface, or with several compartments; names of maps and a time step.
    """
    grid = only_grid(painted.atlas, values=True)
    if painted.step is not None:
        painted.check_series(path)
    (values,) = painted.locations.values()
    # Values (parcels,) become an image (x, y, z), and (parcels, n) one of (x, y, z, n).
    single = painted.values.ndim == 1
    if single:
        painted.check_maps(path)
    values = values[:, 0] if single else values
    image = image_of(grid, values, painted.atlas.space, fill=painted.fill)
    header: Any = image.header
    if painted.step is not None:
        header.set_zooms((*header.get_zooms()[:3], painted.step))
        header.set_xyzt_units("mm", "sec")
    if painted.step is None and (painted.names or painted.columns):
        check_texts(painted.titles, path)
        header.extensions.append(workbench.header_of_maps(painted.titles))
    with atomic_write(path, overwrite=overwrite) as temporary:
        image.to_filename(temporary)
    return [expand(path)]
