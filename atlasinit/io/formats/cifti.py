"""CIFTI-2 dense labels, scalars and series: cortices and subcortical voxels in one file."""

import dataclasses
import functools
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from nibabel.cifti2 import Cifti2Image, LabelAxis, ScalarAxis, SeriesAxis
from nibabel.cifti2.cifti2 import CIFTI_BRAIN_STRUCTURES
from nibabel.fileholders import FileHolder

from atlasinit.core.atlas import Atlas
from atlasinit.core.geometry import Geometry
from atlasinit.core.maps import to_dense_matrix
from atlasinit.errors import ArgumentError, AtlasFileError, format_list
from atlasinit.io.colors import colors_of, from_hex, table_to_hex
from atlasinit.io.contents import Contents, Header, LabelRow, Part, Stated
from atlasinit.io.facts import Facts, describe_axes
from atlasinit.io.files import extension, parsing, unlogged
from atlasinit.io.formats import parcellated
from atlasinit.io.formats.base import Format
from atlasinit.io.formats.brain_models import (
    Columns,
    brain_axis,
    read_brain,
)
from atlasinit.io.formats.cifti_writing import write_image
from atlasinit.io.formats.grids import end_of, is_cifti, number_at
from atlasinit.io.formats.hemispheres import (
    check_hard,
    choose_maps,
    label_part,
    map_rows,
    weights,
)
from atlasinit.io.input import Input
from atlasinit.io.keys import read_keys
from atlasinit.io.options import ReadOptions
from atlasinit.io.own_header import (
    KEY,
    check_finite,
    check_names,
    file_keys,
    pack_metadata,
    restore,
    stated_space,
    unpack_metadata,
)
from atlasinit.io.painted import Painted
from atlasinit.io.tables.workbench import NONE
from atlasinit.io.values import Block, DataSource, Values, floating
from atlasinit.support.typing import PathLike

# A file is NIfTI-2 with a matrix of rows (maps or time points) and columns (grayordinates), and an
# extension with XML that says what these are. https://www.nitrc.org/projects/cifti/
_INTENTS = {
    ".dlabel.nii": "NIFTI_INTENT_CONNECTIVITY_DENSE_LABELS",
    ".dscalar.nii": "NIFTI_INTENT_CONNECTIVITY_DENSE_SCALARS",
}
_DENSE = "brain_models"
_HEADER = 540  # bytes
_EXPONENT_DIGITS = 2
_PAINTED = {
    ".dscalar.nii": _INTENTS[".dscalar.nii"],
    ".dtseries.nii": "NIFTI_INTENT_CONNECTIVITY_DENSE_SERIES",
}
_ENDINGS = (*_INTENTS, ".dtseries.nii", *parcellated.INTENTS)


def claims(source: Input) -> bool:
    """Whether a source is CIFTI of any version, or is named so and compressed."""
    if source.path is None:
        return isinstance(source.content, Cifti2Image)
    named = source.name.lower().removesuffix(".gz").endswith(_ENDINGS)
    return is_cifti(source.head) or (source.is_packed and named)


def read(source: Input, options: ReadOptions, compartment: str | None = None) -> Contents:
    """Return a part for each compartment of a dlabel, dscalar or dtseries file.

    The left and right cortex are ``cortex_L`` and ``cortex_R``, other surface
    structures have their own names, as ``cerebellum_L``; all voxels together are
    ``subcortex``, in the order of the file. They share one label table. Of maps
    each compartment has those that are not zero throughout it.

    Parameters
    ----------
    source
        Any CIFTI-2 file or image with brain models along its rows.
    options
        ``kind="auto"`` takes a dlabel, and a single map of whole numbers, for labels;
        `map` is needed for labels where there are several.
    compartment
        Take only this one.

    Raises
    ------
    AtlasFileError
        CIFTI-1 or a compressed file; one without brain models (pscalar, ptseries, pconn, ...); an
        unreadable or truncated file; an unknown map or compartment.
    """
    image = _load(source)
    _check_dense(image, source)
    _check_counts(image, source)
    header = _header(image, source)
    geometry, where = read_brain(image, source, names=header.compartments if header else ())
    if compartment is not None and compartment not in geometry:
        raise AtlasFileError(source, f"has no {compartment!r}, only {format_list(geometry)}")
    axis = image.header.get_axis(0)
    with parsing(source, "a CIFTI-2 file"):
        values = np.asanyarray(image.dataobj)
    names = _map_names(axis)
    labelled = isinstance(axis, LabelAxis)
    # Other programs store labels as scalars too, which their numbers tell; our scalars are weights.
    known = labelled if labelled or header is not None else None
    hard, index = choose_maps(values, names, source, options=options, labelled=known)
    if hard:
        found = read_keys(values[index[0]], source, nan=options.nan, scale=options.scale)
        parts = {
            c: label_part(c, g, dataclasses.replace(found, keys=found.keys[where[c]]), None)
            for c, g in geometry.items()
        }
        rows = _label_rows(axis, index[0])
    else:
        parts, rows = _map_parts(values, names, index, geometry, where)
    parts = {c: dataclasses.replace(part, rows=rows) for c, part in parts.items()}
    if header is not None:
        order = {c: i for i, c in enumerate(header.compartments)}
        ranked = sorted(parts, key=lambda c: order.get(c, len(order)))
        parts = {c: restore(parts[c], header) for c in ranked}
    kept = tuple(part for c, part in parts.items() if compartment in (None, c))
    return Contents(kept, header, _stated(image))


def values(source: Input) -> Values:
    """Return the data of a file or image, a block for each compartment.

    Raises
    ------
    ValueError
        Parcels in place of brain models.
    AtlasFileError
        An unreadable or truncated file, or CIFTI-1.
    """
    image = _load(source)
    kinds = _kinds(image, source)
    if kinds[0] == _DENSE != kinds[-1]:
        raise AtlasFileError(source, *_transposed(kinds))
    if kinds[-1] != _DENSE:
        raise ArgumentError(
            "data",
            "should have a dense axis (dtseries or dscalar)",
            f"it has parcels: the axes of {source} are {' x '.join(kinds)}. Pass the file of "
            "locations that it was made from",
        )
    _check_counts(image, source)
    geometries, where = read_brain(image, source)
    columns = {c: np.arange(image.shape[1])[where[c]] for c in geometries}
    blocks = tuple(
        Block(g, functools.partial(_columns, image, columns[c]), c) for c, g in geometries.items()
    )
    return Values(blocks, _stated(image))


def _columns(image: Cifti2Image, columns: np.ndarray, locations: np.ndarray) -> DataSource:
    at = columns[locations]
    # A compartment's columns lie together in the file, where they are read without the others.
    first, last = at.min(initial=image.shape[1]), at.max(initial=-1) + 1

    def read(span: slice) -> np.ndarray:
        # The file has (time, locations), and data are (locations, time).
        return floating(np.asarray(image.dataobj[span, first:last])[:, at - first].T)

    return DataSource(at.size, image.shape[0], read)


def describe(source: Input) -> Facts:
    """Return what the header of a file says of its axes and of how its numbers are stored."""
    image = _load(source)
    kinds = _kinds(image, source)
    with parsing(source, "a CIFTI-2 file"):
        return dataclasses.replace(describe_axes(image, kinds), space=_stated(image).space)


def write(atlas: Atlas, path: PathLike, *, overwrite: bool = False) -> list[Path]:
    """Write an atlas as CIFTI-2, with brain models of its kept vertices and voxels.

    ``.dlabel.nii`` holds hard labels with their keys, key 0 where there is none,
    and the table of names and colours. ``.dscalar.nii`` holds one float32 map a
    parcel, named after it, zero outside the parcel's compartment. The atlas's name,
    space, provenance and further columns go into the matrix's metadata; surfaces
    fit into no CIFTI file.

    Raises
    ------
    ValueError
        Another extension, soft maps for ``.dlabel.nii``, a compartment that is no
        CIFTI structure, voxels whose structures are not known, names with control
        characters, or that of no parcel, ``???``.
    """
    ending = extension(path)
    if ending not in _INTENTS:
        raise ArgumentError("path", f"should end in {' or '.join(_INTENTS)}, got {Path(path).name}")
    labelled = ending == ".dlabel.nii"
    if labelled:
        check_hard(atlas, path, ".dscalar.nii")
    check_names(atlas, path, background=NONE if labelled else None)
    check_finite(atlas, path)
    brain = brain_axis(atlas.geometry, path)
    values, axis, keys = (_labels if labelled else _scalars)(atlas, path)
    header = {KEY: pack_metadata(atlas, file_keys=keys)}
    return write_image(
        values, (axis, brain), _INTENTS[ending], path, metadata=header, overwrite=overwrite
    )


def paint(painted: Painted, path: PathLike, *, overwrite: bool = False) -> list[Path]:
    """Write values of parcels: at each location, or, of ``.p*.nii``, one for each parcel.

    ``.dscalar.nii`` has a map for each column of values, ``.dtseries.nii`` a time point.

    Raises
    ------
    ValueError
        A compartment that is no CIFTI structure, voxels whose structures are not known,
        names of maps for a series, or a time step for maps.
    """
    ending = extension(path)
    if ending in parcellated.INTENTS:
        return parcellated.paint(painted, path, overwrite=overwrite)
    is_series = ending == ".dtseries.nii"
    axis = (parcellated.series_axis if is_series else parcellated.scalar_axis)(painted, path)
    brain = brain_axis(painted.atlas.geometry, path)
    # Painted values are (locations, maps), one compartment after the other.
    rows = np.concatenate(list(painted.locations.values())).T
    return write_image(rows, (axis, brain), _PAINTED[ending], path, overwrite=overwrite)


def _load(source: Input) -> Cifti2Image:
    if source.content is not None:
        return source.content
    found = re.search(rb'<CIFTI\b[^>]*\bVersion="(\d+)', source.head)
    if found and found[1] == b"1":
        raise AtlasFileError(
            source,
            "is CIFTI-1, which is not read",
            "convert it with `wb_command -file-convert -cifti-version-convert IN 2 OUT`",
        )
    power = re.search(rb'\bSeriesExponent="\s*([-+]?)(\d+)', source.head)
    # nibabel works out the power as a whole number, of as many digits, when it opens the file.
    if power and len(power[2].lstrip(b"0")) > _EXPONENT_DIGITS:
        told = (power[1] + power[2][:20]).decode()
        raise AtlasFileError(source, f"states time points in units of 10 to the power of {told}")
    if source.is_packed:
        raise AtlasFileError(
            source, "CIFTI-2 is never compressed", "unpack it, as by `gunzip -c IN > OUT`"
        )
    try:
        with parsing(source, "a CIFTI-2 file"), unlogged():
            image = Cifti2Image.from_file_map({"image": FileHolder(fileobj=source.stream())})
            source.check_holds(end_of(image.dataobj))
            return image
    except AtlasFileError as error:
        others = _other_structures(source)
        if not others:
            raise
        raise AtlasFileError(
            source,
            f"holds structures that nibabel does not know: {format_list(others)}",
            "take the others out of it, as by `wb_command -cifti-separate FILE COLUMN -metric "
            "CORTEX_LEFT OUT`",
        ) from error


def _other_structures(source: Input) -> list[str]:
    """Return the structures in a file's axes that are none of nibabel's."""
    stream = source.stream()
    header = stream.read(_HEADER)
    # Byte 168 of NIfTI-2 has vox_offset, before which the XML ends.
    end = number_at(header, 168, "i8") if len(header) == _HEADER else 0
    axes = stream.read(max(min(end, source.size) - _HEADER, 0))
    found = dict.fromkeys(re.findall(rb'BrainStructure="(\w+)"', axes))
    known = CIFTI_BRAIN_STRUCTURES.value_set("ciftiname")
    return [name for name in (each.decode() for each in found) if name not in known]


def _kinds(image: Cifti2Image, source: Input) -> list[str]:
    """Return what the axes of an image are, as ``["series", "brain_models"]``."""
    with parsing(source, "a CIFTI-2 file"):
        axes = [image.header.get_index_map(d).indices_map_to_data_type for d in range(image.ndim)]
    if len(axes) < 2:
        raise AtlasFileError(
            source, f"its header is damaged: it states {len(axes)} axes, and a matrix has 2"
        )
    return [axis.removeprefix("CIFTI_INDEX_TYPE_").lower() for axis in axes]


def _transposed(kinds: Sequence[str]) -> tuple[str, str]:
    """Return what is wrong with an image whose locations are rows, and the remedy."""
    return (
        f"is transposed: its axes are {' x '.join(kinds)}, so its rows are locations",
        "turn it by `wb_command -cifti-transpose IN OUT`",
    )


def _check_dense(image: Cifti2Image, source: Input) -> None:
    """Refuse an image whose columns are no brain models, or whose rows are no maps."""
    kinds = _kinds(image, source)
    maps = ("labels", "scalars", "series")
    if len(kinds) == 2 and kinds[0] == _DENSE and kinds[1] in maps:
        raise AtlasFileError(source, *_transposed(kinds))
    if kinds[1:] != [_DENSE] or kinds[0] not in maps:
        raise AtlasFileError(
            source,
            "should be a dense label, scalar or series file, which says where each value lies",
            f"its axes are {' x '.join(kinds)}, so it holds no parcel's locations. Give the "
            "dlabel file that it was made with",
        )


def _check_counts(image: Cifti2Image, source: Input) -> None:
    """Refuse rows that are not as many as the file's maps or time points."""
    axis: Any = image.header.get_index_map(0)
    series = axis.number_of_series_points
    stated = len(list(axis.named_maps)) if series is None else series
    if stated != image.shape[0]:
        raise AtlasFileError(
            source, f"states {stated} maps or time points, but has {image.shape[0]} rows"
        )
    if not np.isfinite([axis.series_start or 0, axis.series_step or 0]).all():
        times = f"begin at {axis.series_start} and are {axis.series_step} apart"
        raise AtlasFileError(source, f"states time points that {times}")


def _header(image: Cifti2Image, source: Input) -> Header | None:
    text = (image.header.matrix.metadata or {}).get(KEY)
    return None if text is None else unpack_metadata(text, source)


def _stated(image: Cifti2Image) -> Stated:
    # Of affines the format states the unit itself, which is mm once they are read.
    text = (image.header.matrix.metadata or {}).get(KEY) or ""
    labels = isinstance(image.header.get_axis(0), LabelAxis)
    return Stated(labels=labels, unit="mm", space=stated_space(text))


def _map_names(axis: LabelAxis | ScalarAxis | SeriesAxis) -> list[str]:
    if isinstance(axis, SeriesAxis):
        return [f"{time:g} {str(axis.unit).lower()}" for time in axis.time]
    return [str(name) or f"map-{i}" for i, name in enumerate(axis.name)]


def _label_rows(axis: object, number: int) -> tuple[LabelRow, ...] | None:
    if not isinstance(axis, LabelAxis):
        return None
    entries = axis.label[number]
    colors = table_to_hex([rgba for _, rgba in entries.values()])
    return tuple(
        LabelRow(int(key), name, color)
        for (key, (name, _)), color in zip(entries.items(), colors, strict=True)
    )


def _map_parts(
    values: np.ndarray,
    names: Sequence[str],
    index: Sequence[int],
    geometry: Mapping[str, Geometry],
    where: Mapping[str, Columns],
) -> tuple[dict[str, Part], tuple[LabelRow, ...]]:
    """Return the parts of maps, each with the maps that are not zero throughout, and the rows."""
    parts = {}
    for c, g in geometry.items():
        block = values[:, where[c]]
        # A file has each map for all locations; one of ours is 0 outside its own compartment.
        used = [i for i in index if (block[i] != 0).any()]
        keys, _ = map_rows(names, used)
        parts[c] = Part(c, g, maps=weights(block[used]), map_keys=keys)
    return parts, map_rows(names, index)[1]


def _labels(atlas: Atlas, path: PathLike) -> tuple[np.ndarray, LabelAxis, list[int]]:
    keys = file_keys(atlas.table, path)
    colors = [(*from_hex(color), 1.0) for color in colors_of(atlas.table)]
    entries = zip(keys, atlas.table["name"], colors, strict=True)
    # Red, green, blue and alpha from 0 to 1: where there is no parcel, nothing is drawn.
    label = {0: (NONE, (1.0, 1.0, 1.0, 0.0)), **{k: (name, rgba) for k, name, rgba in entries}}
    # Rows of the whole table; the last entry is the background's, for index -1.
    numbers = np.array([*keys, 0], np.int32)
    columns = []
    for c, maps in atlas.maps.items():
        index = np.asarray(maps.harden().labels)
        start = atlas.table.rows_of(c).start
        columns.append(numbers[np.where(index < 0, -1, index + start)])
    # One row for one map: (1, locations).
    return np.concatenate(columns)[None], LabelAxis([atlas.name], [label]), keys


def _scalars(atlas: Atlas, path: PathLike) -> tuple[np.ndarray, ScalarAxis, list[int]]:
    del path
    values = to_dense_matrix(atlas.maps.values(), atlas.parcel_slices().values())
    return values, ScalarAxis(list(atlas.table["name"])), list(range(1, atlas.n_parcels + 1))


FORMAT = Format(
    title="a CIFTI-2",
    endings=_ENDINGS,
    claims=claims,
    read=read,
    values=values,
    describe=describe,
    write=write,
    writes=tuple(_INTENTS),
    paint=paint,
    paints=(*_PAINTED, *parcellated.INTENTS),
    in_bids=tuple(_INTENTS),
    in_memory=("CIFTI-2",),
)
