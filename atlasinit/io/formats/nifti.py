"""Volumes: label images, and images with a map a volume, in NIfTI and other grid formats."""

import dataclasses
import itertools
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import nibabel as nb
import numpy as np
from jaxtyping import Shaped
from nibabel.openers import ImageOpener
from nibabel.spatialimages import SpatialImage

from atlasinit.core.atlas import Atlas
from atlasinit.core.geometry import VolumeGrid
from atlasinit.core.maps import HardMaps
from atlasinit.errors import Argument, ArgumentError, AtlasFileError, Call, Passing
from atlasinit.io.bids import reading as bids
from atlasinit.io.bids.names import entities_of, stem, suffix_of
from atlasinit.io.contents import Contents, Header, Kind, LabelRow, Stated
from atlasinit.io.files import extension, parsing
from atlasinit.io.formats import series
from atlasinit.io.formats.base import Format
from atlasinit.io.formats.grids import (
    MGH,
    NIFTI,
    PAIRS,
    choose_volume,
    labels_part,
    layout,
    load_image,
    sparse_part,
    volumes,
)
from atlasinit.io.formats.nifti_header import (
    OwnHeader,
    packed,
    restored,
    unpacked,
)
from atlasinit.io.input import Input
from atlasinit.io.keys import is_whole
from atlasinit.io.meshes import as_maps
from atlasinit.io.options import ReadOptions
from atlasinit.io.own_header import check_finite, check_names, file_keys
from atlasinit.io.tables import embedded
from atlasinit.io.tables.reading import (
    Rows,
    read_table,
    write_labels,
)
from atlasinit.io.values import Values
from atlasinit.support.files import expand
from atlasinit.support.typing import PathLike
from atlasinit.support.writing import atomic_writes

VOLUME = "volume"
"""Compartment of an image that names no other."""

# Suffixes of BIDS names that say what the values are.
_KINDS: dict[str, Kind] = {"dseg": "hard", "mask": "hard", "probseg": "maps"}


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
        `map` is the 0-based number of the one volume to take; needed for labels in 4-D.
        ``scale="auto"``: whole numbers up to 100 are percent, above that and up to 255 parts
        of 255, larger ones are refused, as they may be labels, and fractions are kept.
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
    kind = options.kind if options.kind != "auto" else _KINDS.get(suffix_of(source.name), "auto")
    with parsing(source, "a volume"):
        image = load_image(source)
        own, stated = unpacked(image, source), stated_of(source, image)
        shape, count = layout(image, source)
        numbers = choose_volume(options.map, count, source)
        if kind == "hard" and len(numbers) > 1:
            raise AtlasFileError(
                source,
                f"holds {count} volumes",
                "choose the one with labels by "
                + Argument("map")
                + f", a number from 0 to {count - 1}",
            )
        name = compartment or (own.header.compartments[0] if own else VOLUME)
        images = volumes(image, numbers)
        single = next(images) if len(numbers) == 1 else None
        if single is not None and (kind == "hard" or (kind == "auto" and _labelled(image, single))):
            part = labels_part(
                single,
                image.affine,
                path=source,
                compartment=name,
                zeros=options.keeps_background,
            )
        else:
            images = images if single is None else [single]
            grid = VolumeGrid(shape, image.affine)
            part = sparse_part(images, grid, path=source, compartment=name, scale=options.scale)
            part = dataclasses.replace(part, map_keys=tuple(n + 1 for n in numbers))
        if options.takes_own_tables:
            rows = None if source.path is None else _sidecar(source.path, own)
            if rows is None and part.keys is not None:
                rows = embedded.label_rows(image, numbers[0])
            part = dataclasses.replace(part, rows=rows)
    part = part if own is None else restored(part, own, source)
    return Contents((part,), own.header if own else None, stated)


def read_stack(
    sources: Sequence[Input], options: ReadOptions, compartment: str | None = None
) -> Contents:
    """Return the part of several images that hold a map each, keyed 1, 2, ... in their order.

    A map is named by the ``label-`` entity of its file's name, else by the whole name.

    Raises
    ------
    ValueError
        ``kind="hard"`` or a choice of one `map`.
    AtlasFileError
        Images with several volumes or of different grids, and as `read`.
    """
    if options.kind == "hard" or options.map is not None:
        raise ArgumentError(
            "files",
            ": several images of one volume are a map each, so that "
            + Argument("map")
            + " and "
            + Passing(kind="hard")
            + " do not apply",
        )
    grids, images, rows = [], [], []
    headers: list[Header] = []
    stated: list[Stated] = []
    for source in sources:
        with source, parsing(source, "a volume"):
            image = load_image(source)
            own = unpacked(image, source)
            headers += [own.header] if own else []
            stated.append(stated_of(source, image))
            shape, count = layout(image, source)
            if count > 1:
                raise AtlasFileError(source, f"should hold one map, got {count} volumes")
            grid = VolumeGrid(shape, image.affine)
            if grids and not grids[0].same_grid(grid):
                raise AtlasFileError(
                    source,
                    f"its grid differs from that of {sources[0]}: {grid.shape} and "
                    f"{grids[0].shape} voxels, affines {grid.affine.tolist()} and "
                    f"{grids[0].affine.tolist()}",
                )
            grids.append(grid)
            images.append(next(volumes(image, [0])))
            rows.append(LabelRow(len(images), _map_name(Path(source.name))))
    part = sparse_part(
        images,
        grids[0],
        path=sources[0],
        compartment=compartment or VOLUME,
        scale=options.scale,
    )
    part = dataclasses.replace(part, rows=tuple(rows))
    header = headers[0] if len(headers) == len(sources) else None
    return Contents((part,), header, stated[0])


def vertices(source: Input) -> Shaped[np.ndarray, "maps vertices"]:
    """Return the maps of an image that holds values of vertices, as they are stored."""
    with parsing(source, "a FreeSurfer overlay"):
        return as_maps(np.asanyarray(load_image(source).dataobj), source)


def read_grid(path: PathLike) -> VolumeGrid:
    """Return the whole grid of an image, of which only the header is read."""
    with Input(path) as source, parsing(source, "a volume"):
        image = load_image(source)
        return VolumeGrid(layout(image, source)[0], image.affine)


def values(source: Input) -> Values:
    """Return the data of an image, whose fourth axis is time."""
    with parsing(source, "an image"):
        image = load_image(source)
        stated = stated_of(source, image)
    return series.values_of(image, stated)


def grid_of(source: object) -> VolumeGrid | None:
    """Return the whole grid of an image in memory or of a file; None of anything else."""
    if isinstance(source, str | os.PathLike):
        return read_grid(source)
    if isinstance(source, SpatialImage):
        return VolumeGrid(source.shape[:3], np.asarray(source.affine))
    return None


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
    if len(atlas.geometry) > 1 or not isinstance(next(iter(atlas.geometry.values())), VolumeGrid):
        raise ArgumentError(
            "path",
            f": a NIfTI image holds one volume, but {atlas.name!r} has "
            f"{', '.join((f'{c} ({type(g).__name__})' for c, g in atlas.geometry.items()))}",
            "save as .npz, .dlabel.nii or .dscalar.nii, or take one by "
            + Call("atlas.select", compartments=...),
        )
    check_names(atlas, path)
    check_finite(atlas, path)
    target = expand(path)
    (maps,) = atlas.maps.values()
    hard = isinstance(maps, HardMaps)
    keys = file_keys(atlas.table, path) if hard else list(range(1, atlas.n_parcels + 1))
    files = {"image": target, "table": _table_path(target)}
    with atomic_writes(files, overwrite=overwrite) as temporary:
        write_labels(atlas.table, temporary["table"], index=keys)
        with ImageOpener(str(temporary["image"]), "wb") as stream:
            _write_image(stream, atlas, keys, _volumes_of(atlas, keys))
    return list(files.values())


def _volumes_of(atlas: Atlas, keys: Sequence[int]) -> list[np.ndarray] | Iterator[np.ndarray]:
    """Return the volumes to write: one of labels, or one of weights for each parcel."""
    (grid,), (maps,) = atlas.geometry.values(), atlas.maps.values()
    if not isinstance(maps, HardMaps):
        matrix = maps.to_scipy()
        return (grid.put(matrix[[row]].toarray()[0]) for row in range(atlas.n_parcels))
    lowest, highest = min(keys, default=0), max(keys, default=0)
    dtype = np.min_scalar_type(min(lowest, -highest - 1))
    return [grid.put(np.array([*keys, 0], dtype)[np.asarray(maps.labels)])]


def _write_image(stream: Any, atlas: Atlas, keys: list[int], images: Iterable[np.ndarray]) -> None:
    """Write header and volumes one after the other, so that one volume is in memory at a time."""
    (grid,), (maps,) = atlas.geometry.values(), atlas.maps.values()
    assert isinstance(grid, VolumeGrid)
    images = iter(images)
    first = next(images, np.zeros(grid.shape, np.float32))
    header = nb.Nifti1Header()
    hard = isinstance(maps, HardMaps)
    header.set_data_shape(grid.shape if hard else (*grid.shape, max(atlas.n_parcels, 1)))
    header.set_data_dtype(first.dtype)
    header.set_sform(grid.affine, code="mni" if atlas.space.startswith("MNI152") else "aligned")
    header.set_zooms([*grid.voxel_sizes, 1][: len(header.get_data_shape())])
    header.set_xyzt_units("mm")
    # 15 letters of ASCII; the extension has the name as it is.
    name = atlas.name.encode("ascii", "replace").decode()[:15]
    header.set_intent("label" if hard else "none", (), name)
    header.extensions.append(packed(atlas, keys))
    header.write_to(stream)
    for image in itertools.chain([first], images):
        stream.write(image.tobytes(order="F"))


def _labelled(image: Any, values: np.ndarray) -> bool:
    """Whether a single volume is taken for labels: all but fractions between 0 and 1."""
    stated = isinstance(image, nb.Nifti1Pair) and image.header.get_intent()[0] == "label"
    if stated or is_whole(values):
        return True
    finite = values[np.isfinite(values)]
    return is_whole(finite) or bool(finite.min(initial=0) < 0 or finite.max(initial=0) > 1)


def stated_of(source: Input, image: Any) -> Stated:
    """Return what an image, or its name, states of its values."""
    header = image.header
    if not isinstance(header, nb.Nifti1Header):
        # Of other formats, MGH says by a flag whether it states its directions; ANALYZE never does.
        told = not isinstance(header, nb.AnalyzeHeader) and header.get("goodRASFlag", 1)
        return Stated(unit="mm", oriented=bool(told))
    unit = header.get_xyzt_units()[0]
    return Stated(
        labels=header.get_intent()[0] == "label" or _KINDS.get(suffix_of(source.name)) == "hard",
        unit="" if unit == "unknown" else str(unit),
        oriented=bool(header["sform_code"] or header["qform_code"]),
    )


def _map_name(path: Path) -> str:
    return entities_of(path).get("label", stem(path))


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
    read_stack=read_stack,
    values=values,
    vertices=vertices,
    write=write,
    writes=NIFTI,
    in_bids=NIFTI,
    is_grid=True,
    in_memory=("NIfTI", "MGH"),
)
