"""An atlas to a file of any format."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from atlasinit.core.atlas import Atlas
from atlasinit.errors import ArgumentError, Passing
from atlasinit.io.bids import writing as bids
from atlasinit.io.formats.hemispheres import targets
from atlasinit.io.formats.registry import write_atlas, writer_of
from atlasinit.support.files import expand
from atlasinit.support.typing import PathLike
from atlasinit.support.writing import check_target


def save_atlas(
    atlas: Atlas,
    path: PathLike,
    *,
    format: str | None = None,
    overwrite: bool = False,
    entities: Mapping[str, str] | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> list[Path]:
    """Write an atlas in the format that the extension of `path` names, and return the files.

    =================================  =====================================================
    ``.npz``, ``.safetensors``         everything, exactly
    ``.scipy.npz``                     the same, the maps as one matrix of `scipy.sparse`
    ``.weight.safetensors``            the same, the maps as one dense matrix, for PyTorch
    ``.nii``, ``.nii.gz``              one volume, labels or maps, with a ``.tsv`` beside it
    ``.label.gii``, ``.label.gii.gz``  hard surfaces, one file per hemisphere
    ``.func.gii``, ``.func.gii.gz``    surfaces, one file per hemisphere, one map per parcel
    ``.shape.gii``, ``.shape.gii.gz``  the same
    ``.dlabel.nii``                    hard surfaces and voxels of the CIFTI structures
    ``.dscalar.nii``                   the same, one map per parcel
    ``.annot``                         hard surfaces, one file per hemisphere
    =================================  =====================================================

    A file appears under its name once it is whole; whatever stops the process before
    leaves the old file, or none.

    Parameters
    ----------
    atlas
        The atlas.
    path
        The file; of two hemispheres each has its own, whose side is put into the name.
    format
        ``"bids"`` writes into a BIDS 1.11 derivative dataset, the folder `path`, with a
        table and a sidecar beside each image: ``tpl-<space>/anat/tpl-..._dseg.nii.gz``,
        ``..._probseg.nii.gz``, ``..._dseg.label.gii`` or ``..._dseg.dlabel.nii``.
    overwrite
        Whether existing files are replaced; of a dataset those of the same atlas.
    entities
        For BIDS: labels of file names in place of those that follow from the atlas's
        name, space and geometry, as ``{"seg": "7n", "scale": "400"}``: ``tpl``,
        ``cohort``, ``atlas``, ``seg``, ``scale``, ``res``, ``den``, ``desc``.
    metadata
        For BIDS: fields of the atlas's description (``License``, which the atlas itself may
        state, ``Authors``, ...) and of the images' sidecars (``SpatialReference``, which
        templates need that BIDS does not name, ...).

    Returns
    -------
    list of pathlib.Path

    Raises
    ------
    ValueError
        An extension of no format, or an atlas that the format cannot hold,
        with one that can.
    AtlasFileError
        An existing file without `overwrite`; a folder that does not exist or cannot be
        written.
    """
    if format == "bids":
        return bids.write(atlas, path, overwrite=overwrite, entities=entities, metadata=metadata)
    if format is not None:
        raise ArgumentError("format", f'should be "bids" or None, got {format!r}')
    if entities or metadata:
        given = "entities" if entities else "metadata"
        raise ArgumentError(given, "is for " + Passing(format="bids"))
    return write_atlas(atlas, path, overwrite=overwrite)


def check_saving(
    atlas: Atlas, path: PathLike, *, format: str | None = None, overwrite: bool = False
) -> None:
    """Raise what `save_atlas` would of a file's name and place, before there is what to save.

    `atlas` has the compartments of what is to be saved. A BIDS dataset is not looked at.
    """
    # A dataset is built beside its place, and refuses what it cannot take before that.
    if format is not None:
        return
    one_each = writer_of(path).one_each
    files = targets(atlas, path).values() if one_each else [expand(path)]
    for file in files:
        check_target(file, overwrite=overwrite)
