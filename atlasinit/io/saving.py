"""An atlas to a file of any format."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from atlasinit.core.atlas import Atlas
from atlasinit.core.checking import check_atlas
from atlasinit.core.named_values import Absent, align_values
from atlasinit.errors import ArgumentError, ArgumentTypeError, Passing
from atlasinit.io.bids import writing as bids
from atlasinit.io.files import extension
from atlasinit.io.formats.hemispheres import targets
from atlasinit.io.formats.parcellated import INTENTS
from atlasinit.io.formats.registry import painter_of, write_atlas, writer_of
from atlasinit.io.painted import Painted
from atlasinit.support.files import expand
from atlasinit.support.numbers import take_number
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
    check_atlas(atlas)
    if format == "bids":
        return bids.write(atlas, path, overwrite=overwrite, entities=entities, metadata=metadata)
    if format is not None:
        raise ArgumentError("format", f'should be "bids" or None, got {format!r}')
    if entities or metadata:
        given = "entities" if entities else "metadata"
        raise ArgumentError(given, "is for " + Passing(format="bids"))
    return write_atlas(atlas, path, overwrite=overwrite)


def save_values(
    values: Any,
    atlas: Atlas,
    path: PathLike,
    *,
    fill: float | int = float("nan"),
    names: Sequence[str] | None = None,
    step: float | None = None,
    absent: Absent = "error",
    overwrite: bool = False,
) -> list[Path]:
    """Write values of parcels, painted on the brain, and return the files.

    =============================  ====================================================
    ``.nii``, ``.nii.gz``          one volume, a volume a map
    ``.mgz``, ``.mgh``             one volume, or surfaces: an overlay per hemisphere
    ``.func.gii``, ``.shape.gii``  surfaces, one file per hemisphere, an array a map
    ``.dscalar.nii``               surfaces and voxels of CIFTI structures, a row a map
    ``.dtseries.nii``              the same, a row a time point
    ``.pscalar.nii``               one value for each parcel, a row a map
    ``.ptseries.nii``              the same, a row a time point
    =============================  ====================================================

    Values are painted as by `AtlasMasker.inverse_transform`: of labels each parcel's at its
    locations; of weights their sum, weighted; of masks that overlap their mean. They are in
    double precision where they come in it and the format can hold it (NIfTI, CIFTI), float16 in
    single precision. The parcels of pscalar and ptseries are those of `Atlas.harden`; one without
    a location is a row of NaN there, as by ``wb_command -cifti-parcellate``.

    Parameters
    ----------
    values
        (parcels,) or (parcels, n): an array by row, in the order of ``atlas.labels``; a pandas
        Series, a DataFrame or a mapping by name. A DataFrame has its parcels along the index, a
        column a map, or along the columns, as series (time, parcels) have. NaN stays NaN.
    atlas
        Where the parcels lie.
    path
        The file; of two hemispheres each has its own, whose side is put into the name.
    fill
        Value of what belongs to no parcel.
    names
        Of the n maps; by default those of the columns, else the atlas's, or ``map-0``, ...
    step
        Seconds between the time points of a series, which begins at 0; 1 unless stated.
    absent
        What a parcel is that named values lack: an ``"error"``, or ``"nan"``.
    overwrite
        Whether existing files are replaced.

    Raises
    ------
    ValueError
        An extension of no such format, an atlas or numbers that it cannot hold, with one that
        can; values of another shape, names that are not the atlas's (with the nearest), occur
        twice or are missing; `names` or a `step` that do not apply.
    TypeError
        Values that are not real numbers.
    AtlasFileError
        An existing file without `overwrite`; a folder that does not exist or cannot be
        written.
    """
    check_atlas(atlas)
    # First, so that an unknown extension is told before the values are looked at.
    write = painter_of(path)
    aligned = align_values(values, atlas.table, absent=absent)
    # n of values (parcels, n), 1 of (parcels,); an atlas of no parcel has no such number, hence
    # `max`.
    count = aligned.array.size // max(atlas.n_parcels, 1)
    if aligned.array.ndim == 2 and not count:
        raise ArgumentError("values", f"should have a map, got shape {aligned.array.shape}")
    given = None if names is None else _map_names(names, count)
    seconds = "a positive number of seconds"
    if step is not None and not 0 < take_number(step, "step", seconds) < math.inf:
        raise ArgumentError("step", f"should be {seconds}, got {step}")
    fill = take_number(fill, "fill", "a number")
    painted = Painted(atlas, aligned.array, given, aligned.titles, fill, step)
    return write(painted, path, overwrite=overwrite)


def _map_names(names: Any, count: int) -> tuple[str, ...]:
    # A str is a sequence too, whose letters would become the names.
    if not isinstance(names, Sequence):
        raise ArgumentTypeError(
            "names", f"should be a list of names, got {type(names).__name__}", "pass a list"
        )
    if isinstance(names, str):
        raise ArgumentError(
            "names", f"should be a list of names, got {names!r}", f"pass [{names!r}]"
        )
    if len(names) != count:
        raise ArgumentError("names", f"should be {count}, one a map, got {len(names)}")
    if not all(isinstance(name, str) for name in names):
        raise ArgumentTypeError("names", f"should be text, got {list(names)!r}")
    return tuple(names)


def write_parcellated(
    values: Any,
    atlas: Atlas,
    path: PathLike,
    *,
    names: Sequence[str] | None = None,
    step: float | None = None,
    absent: Absent = "error",
    overwrite: bool = False,
) -> Path:
    """Write one value for each parcel as CIFTI-2: `save_values` of such files alone.

    Parameters
    ----------
    values, atlas, names, step, absent, overwrite
        As for `atlasinit.save_values`.
    path
        ``.pscalar.nii`` for n maps, ``.ptseries.nii`` for n time points.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    ValueError, TypeError, AtlasFileError
        As `atlasinit.save_values`; and another extension.
    """
    if extension(path) not in INTENTS:
        raise ArgumentError("path", f"should end in {' or '.join(INTENTS)}, got {Path(path).name}")
    # CIFTI holds all compartments in one file.
    (file,) = save_values(
        values, atlas, path, names=names, step=step, absent=absent, overwrite=overwrite
    )
    return file


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
