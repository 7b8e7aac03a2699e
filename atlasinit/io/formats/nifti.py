"""Volumes: label images, and images with a map a volume, in NIfTI and other grid formats."""

import dataclasses
import itertools
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Shaped
from nibabel.openers import ImageOpener
from nibabel.spatialimages import SpatialImage

from atlasinit.core.atlas import Atlas
from atlasinit.core.geometry import VolumeGrid
from atlasinit.core.maps import HardMaps
from atlasinit.errors import Argument, AtlasFileError, Passing, format_list
from atlasinit.io.agreement import note_reading
from atlasinit.io.bids import reading as bids
from atlasinit.io.bids.names import kind_of, stem
from atlasinit.io.contents import Contents, Header, Kind, Part, Stated
from atlasinit.io.facts import Facts, describe_grid
from atlasinit.io.files import extension, parsing
from atlasinit.io.formats import grid_statements, series
from atlasinit.io.formats.base import Format
from atlasinit.io.formats.grids import (
    MGH,
    NIFTI,
    PAIRS,
    choose_volumes,
    labels_part,
    layout,
    load_image,
    say_volumes,
    sparse_part,
    states_labels,
    step_of,
    volumes,
)
from atlasinit.io.formats.nifti_header import (
    OwnHeader,
    own_text,
    packed,
    restore,
    unpacked,
)
from atlasinit.io.formats.nifti_writing import grid_header, only_grid, paint
from atlasinit.io.input import Input
from atlasinit.io.meshes import as_maps
from atlasinit.io.numbers import Numbers, are_levels, describe_numbers, say_levels
from atlasinit.io.options import ReadOptions
from atlasinit.io.own_header import check_finite, check_names, file_keys, stated_space
from atlasinit.io.tables import embedded, workbench
from atlasinit.io.tables.reading import (
    Rows,
    read_table,
    rows_from_table,
    rows_of_compartment,
    write_labels,
)
from atlasinit.io.values import Values, VertexMaps
from atlasinit.support.files import expand
from atlasinit.support.typing import PathLike
from atlasinit.support.writing import atomic_writes

VOLUME = "volume"
"""Compartment of an image that names no other."""


def claims(source: Input) -> bool:
    """Whether a source is an image of a grid, by its name."""
    if source.path is None:
        return isinstance(source.content, SpatialImage)
    return extension(source.name) in (*NIFTI, *PAIRS, *MGH)


def read(source: Input, options: ReadOptions, compartment: str | None = None) -> Contents:
    """Return the one part that a label image, or an image with a map a volume, holds.

    The image's axes are kept as they are, whatever their order or direction: the
    affine tells where a voxel lies. Maps are read volume by volume, so that memory
    follows their non-zero weights.

    Parameters
    ----------
    source
        ``.nii``, ``.nii.gz``, ``.img`` with its ``.hdr``, ``.mgz`` or an image in memory, 3-D
        or 4-D; singleton axes do not count beyond the third.
    options
        ``kind="auto"`` goes by the suffix of a BIDS name; else it takes a 3-D image for
        labels unless its values are fractions between 0 and 1, and a 4-D one for maps.
        `map` is the 0-based number of the one volume to take, or its name in the header, or of
        weights in the table; needed for labels in 4-D.
    compartment
        By default ``"volume"``.

    Returns
    -------
    Contents
        Labels; or sparse weights at the voxels where any map is
        not 0, keyed 1, 2, ... in the order of the volumes. The table is that of the
        ``.tsv`` file of the same name beside the image, where there is one and
        it is wanted, else that of labels which Connectome Workbench keeps in the header.

    Raises
    ------
    AtlasFileError
        A file that is truncated or no grid image, or that holds colours or
        complex numbers; labels that are not whole numbers; several label volumes and no
        choice.
    """
    # The user's word counts before the file's name, and that before the header and the numbers.
    kind = options.kind if options.kind != "auto" else kind_of(source.name)
    with parsing(source, "a volume"):
        image = load_image(source)
        own, stated = unpacked(image, source), stated_of(source, image)
        if kind == "auto" and (own or stated.labels):
            kind = "hard" if stated.labels else "maps"
        name = compartment or (own.header.compartments[0] if own else VOLUME)
        part, number = _part_of(image, options, source, name, kind=kind, own=own)
        if options.takes_own_tables:
            rows = None if source.path is None else _sidecar(source.path, own)
            if rows is None and own is None and part.keys is not None:
                rows = embedded.label_rows(image, number)
            part = dataclasses.replace(part, rows=rows)
    part = dataclasses.replace(part, operations=(*note_reading(stated), *part.operations))
    part = part if own is None else restore(part, own, source)
    return Contents((part,), own.header if own else None, stated)


def _part_of(
    image: Any,
    options: ReadOptions,
    source: Input,
    compartment: str,
    *,
    kind: Kind,
    own: OwnHeader | None,
) -> tuple[Part, int]:
    """Return the part of an image without its table, and the number of its first volume."""
    shape, count = layout(image, source)
    grid = grid_statements.grid_of(image, source, shape=shape)
    names = embedded.map_names(image, count)
    # Names in the header count before those of the table, whose rows may be labels instead.
    listed = {} if any(names) else _listed_names(source, options, own, compartment)
    if len(listed) == count:
        names = [listed[key] for key in sorted(listed)]
    numbers = choose_volumes(options.map, names, source)
    images = volumes(image, numbers)
    if len(numbers) == 1:
        single = next(images)
        if kind == "hard" or (kind == "auto" and _labelled(single)):
            if listed:
                raise AtlasFileError(
                    source,
                    f"its volume {numbers[0]} holds labels, so that the table names these and not "
                    "the volumes",
                    "choose it by its number, " + Passing(map=numbers[0]),
                )
            how = {"path": source, "compartment": compartment, "step": step_of(image)}
            return labels_part(single, grid.affine, options, **how), numbers[0]
        images = iter([single])
    elif kind == "hard":
        raise AtlasFileError(
            source,
            f"holds {count} volumes",
            "choose the one with labels by " + Argument("map") + ", " + say_volumes(names),
        )
    seen: list[Numbers] = []
    if kind == "auto" and len(numbers) > 1:
        images = _watched(images, seen)
    part = sparse_part(images, grid, compartment=compartment)
    if len(seen) == count and are_levels(seen):
        raise _levels_error(source, seen, say_volumes(names))
    # `map` counts volumes from 0 as nibabel does, but tables number them from 1.
    return dataclasses.replace(part, map_keys=tuple(n + 1 for n in numbers)), numbers[0]


def _listed_names(
    source: Input, options: ReadOptions, own: OwnHeader | None, compartment: str
) -> dict[int, str]:
    """Return the entries of the table of an image, if they number volumes that are named."""
    if not isinstance(options.map, str):
        return {}
    given = None if options.labels is None else rows_from_table(options.labels)
    rows = rows_of_compartment(given, compartment)
    if rows is None and options.takes_own_tables and source.path is not None:
        rows = _sidecar(source.path, own)
    found = {row.key: row.name for row in rows or ()}
    return found if sorted(found) == list(range(1, len(found) + 1)) else {}


def _watched(
    images: Iterable[Shaped[np.ndarray, "x y z"]], seen: list[Numbers]
) -> Iterator[Shaped[np.ndarray, "x y z"]]:
    """Yield volumes, and keep what their numbers are like as long as all are whole."""
    for image in images:
        if all(one.whole or one.is_zero for one in seen):
            # The first axis is the fastest in the file, so that neighbours in x follow each other.
            seen.append(describe_numbers(image.reshape(-1, order="F")))
        yield image


def _levels_error(source: Input, seen: Sequence[Numbers], choice: str) -> AtlasFileError:
    high = max(one.high for one in seen)
    low = min(one.low for one in seen)
    weights = Passing(kind="maps") + (" and their " + Argument("scale") if high > 255 else "")
    return AtlasFileError(
        source,
        f"holds {len(seen)} volumes of whole numbers "
        + (f"from {low:.0f} " if low < 0 else "")
        + f"up to {high:.0f}, {say_levels(seen)}",
        "If they are, choose one by "
        + Argument("map")
        + f", {choice}; if they are weights, pass "
        + weights,
    )


def vertices(source: Input) -> VertexMaps:
    """Return the maps of an image that holds values of vertices, as they are stored."""
    with parsing(source, "a FreeSurfer overlay"):
        image = load_image(source)
        maps = as_maps(np.asanyarray(image.dataobj), source)
        return VertexMaps(maps, stated_of(source, image))


def describe(source: Input) -> Facts:
    """Return what the header of an image says of how its numbers are stored."""
    with parsing(source, "an image"):
        image = load_image(source)
        count = layout(image, source)[1] if len(image.shape) > 3 else 1
        rows = embedded.label_rows(image, 0)
        return dataclasses.replace(
            describe_grid(image),
            maps=tuple(filter(None, embedded.map_names(image, count))),
            labels=None if rows is None else len(rows),
            unit=grid_statements.states_of(image).unit,
            space=stated_of(source, image).space,
        )


def read_grid(source: Input) -> tuple[VolumeGrid, Stated]:
    """Return the whole grid of an image, of which only the header is read, and what it states."""
    with source, parsing(source, "a volume"):
        image = load_image(source)
        grid = grid_statements.grid_of(image, source, shape=layout(image, source)[0])
        return grid, stated_of(source, image)


def values(source: Input) -> Values:
    """Return the data of an image, whose fourth axis is time."""
    with parsing(source, "an image"):
        image = load_image(source)
        stated = stated_of(source, image)
    return series.values_of(image, stated, source)


def write(atlas: Atlas, path: PathLike, *, overwrite: bool = False) -> list[Path]:
    """Write an atlas of one volume as NIfTI, with its label table beside it; return both files.

    Hard labels become an image of label intent with the atlas's keys, in the
    smallest signed integer type that holds them, 0 where there is no parcel. Other
    maps become float32 volumes of a 4-D image, one a parcel. The ``.tsv`` of the
    same name has one row a parcel: the value (or number of the volume, from 1),
    name, color, hemisphere and any further column. Name, space, provenance and the kept
    voxels go into a header extension, so that reading gives an equal atlas.

    Raises
    ------
    ValueError
        An atlas with a surface, or with several compartments; names that a table cannot
        hold.
    """
    only_grid(atlas)
    check_names(atlas, path)
    check_finite(atlas, path)
    target = expand(path)
    (maps,) = atlas.maps.values()
    hard = isinstance(maps, HardMaps)
    keys = file_keys(atlas.table, path) if hard else list(range(1, atlas.n_parcels + 1))
    _check_alone(target)
    files = {"image": target, "table": _table_path(target)}
    with atomic_writes(files, overwrite=overwrite) as temporary:
        write_labels(atlas.table, temporary["table"], index=keys)
        with ImageOpener(str(temporary["image"]), "wb") as stream:
            _write_image(stream, atlas, keys, _volumes_of(atlas, keys))
    return list(files.values())


def _check_alone(path: Path) -> None:
    """Refuse a name whose table would be that of another image as well."""
    names = [path.with_name(f"{stem(path)}{ending}") for ending in NIFTI]
    # Of a name that is too long there is none; writing tells of it.
    others = [other.name for other in names if other.name != path.name and os.path.isfile(other)]
    if others:
        raise AtlasFileError(
            path,
            f"would share the table {_table_path(path).name} with {format_list(others)}",
            "choose another name",
        )


def _volumes_of(atlas: Atlas, keys: Sequence[int]) -> list[np.ndarray] | Iterator[np.ndarray]:
    """Return the volumes to write: one of labels, or one of weights for each parcel."""
    (grid,), (maps,) = atlas.geometry.values(), atlas.maps.values()
    if not isinstance(maps, HardMaps):
        matrix = maps.to_scipy()
        return (grid.put(matrix[[row]].toarray()[0]) for row in range(atlas.n_parcels))
    lowest, highest = min(keys, default=0), max(keys, default=0)
    # NumPy gives a signed type for negative numbers alone. -n - 1 fits where n does, as int8 holds
    # -128 to 127.
    dtype = np.min_scalar_type(min(lowest, -highest - 1))
    # Locations of no parcel have the label -1, which takes the last entry: 0.
    return [grid.put(np.array([*keys, 0], dtype)[np.asarray(maps.labels)])]


def _write_image(stream: Any, atlas: Atlas, keys: list[int], images: Iterable[np.ndarray]) -> None:
    """Write header and volumes one after the other, so that one volume is in memory at a time."""
    grid, (maps,) = only_grid(atlas), atlas.maps.values()
    images = iter(images)
    # No axis of NIfTI has 0 elements: an atlas without parcels is one volume of zeros.
    first = next(images, np.zeros(grid.shape, np.float32))
    hard = isinstance(maps, HardMaps)
    count = None if hard else max(atlas.n_parcels, 1)
    header: Any = grid_header(grid, atlas.space, first.dtype, count=count)
    # 15 letters of ASCII; the extension has the name as it is.
    name = atlas.name.encode("ascii", "replace").decode()[:15]
    header.set_intent("label" if hard else "none", (), name)
    # Workbench looks at the first extension alone.
    header.extensions.append(
        workbench.header_of_labels(atlas.name, atlas.table, keys)
        if hard
        else workbench.header_of_maps(atlas.table["name"])
    )
    header.extensions.append(packed(atlas, keys))
    # 348 bytes of header, 4 that say whether extensions follow, the extensions, and the numbers:
    # https://nifti.nimh.nih.gov/pub/dist/src/niftilib/nifti1.h
    header.write_to(stream)
    for image in itertools.chain([first], images):
        # The first axis is the fastest, and that of the volumes the slowest.
        stream.write(image.tobytes(order="F"))


def _labelled(values: np.ndarray) -> bool:
    """Whether a single volume is taken for labels: all but fractions of 1, and masks of others."""
    # Integers that the file scales by its scl_slope arrive as floats, so these are unscaled.
    if values.dtype.kind in "biu":
        return True
    found = describe_numbers(values.reshape(-1, order="A"))
    if found.whole or found.is_zero:
        return True
    # Weights are fractions of 1. Fractions beyond may be labels that were rescaled or resampled,
    # which `read_keys` mends or refuses.
    return not found.is_mask and (found.low < 0 or found.high > 1)


def stated_of(source: Input, image: Any) -> Stated:
    """Return what the header of an image states; its name is for all formats alike."""
    stated = grid_statements.states_of(image)
    space = stated_space(own_text(image)) or stated.space
    return dataclasses.replace(stated, labels=states_labels(image), space=space)


def _table_path(path: Path) -> Path:
    return path.with_name(f"{stem(path)}.tsv")


def _sidecar(path: Path, own: OwnHeader | None) -> Rows | None:
    table = _table_path(path)
    if own is not None and table.is_file():
        return read_table(table, formats=_formats(own.header))
    return None if own else bids.rows_for(path)


def _formats(header: Header) -> dict[str, str]:
    """Return the columns whose values are not numbers, however they look."""
    formats = {}
    for title in header.labels.columns:
        types = {type(value) for value in header.labels[title] if value is not None}
        formats[title] = {str: "string", bool: "boolean"}.get(next(iter(types), str), "")
    return formats


FORMAT = Format(
    title="an image of a grid",
    endings=(*NIFTI, *PAIRS, *MGH),
    claims=claims,
    read=read,
    values=values,
    vertices=vertices,
    describe=describe,
    write=write,
    writes=NIFTI,
    paint=paint,
    paints=NIFTI,
    in_bids=NIFTI,
    in_memory=("NIfTI", "MGH"),
)
