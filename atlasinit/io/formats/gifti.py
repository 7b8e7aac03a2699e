"""GIFTI label, func and shape files of one hemisphere."""

import gzip
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nibabel as nb
import numpy as np
from jaxtyping import Shaped
from nibabel.cifti2.cifti2 import CIFTI_BRAIN_STRUCTURES
from nibabel.gifti import (
    GiftiDataArray,
    GiftiImage,
    GiftiLabel,
    GiftiLabelTable,
    GiftiMetaData,
)
from nibabel.nifti1 import intent_codes

from atlasinit.core.atlas import Atlas
from atlasinit.core.geometry import SurfaceMesh
from atlasinit.core.labels import LabelTable, hemisphere_of
from atlasinit.errors import AtlasFileError
from atlasinit.io.colors import colors_of, from_hex, to_hex
from atlasinit.io.contents import (
    Kind,
    LabelRow,
    Part,
)
from atlasinit.io.files import extension, reading
from atlasinit.io.formats import brain_models
from atlasinit.io.formats.hemispheres import (
    as_maps,
    check_hard,
    compartment_of,
    labelled_by_name,
    mesh_part,
    targets,
)
from atlasinit.io.own_header import (
    KEY,
    Header,
    check_finite,
    check_names,
    file_keys,
    from_runs,
    pack_metadata,
    restored,
    runs,
    unpack_metadata,
)
from atlasinit.support.typing import PathLike
from atlasinit.support.writing import atomic_writes

_KEPT = "atlasinit_kept_vertices"
_STRUCTURE = "AnatomicalStructurePrimary"
# Of no one surface.
_VAGUE = {"Cortex", "Invalid", *(f"{w}{m}" for w in ("All", "Other") for m in ("", "GreyMatter"))}
# The entry of key 0, as Workbench names it.
_NONE = "???"
_LABEL = intent_codes["NIFTI_INTENT_LABEL"]
_NODES = intent_codes["NIFTI_INTENT_NODE_INDEX"]
_SURFACE = {intent_codes[f"NIFTI_INTENT_{name}"] for name in ("POINTSET", "TRIANGLE")}


def read_parts(
    path: PathLike, *, compartment: str | None, kind: Kind, map: str | int | None
) -> list[Part]:
    """Return the one part that a label, func or shape file of a hemisphere holds.

    Every data array is a map; arrays (N, T) are T maps. The whole mesh is kept,
    unless the file was written by `write`, which notes the kept vertices.

    Parameters
    ----------
    path
        ``.gii`` or ``.gii.gz``.
    compartment
        By default the structure that the file's AnatomicalStructurePrimary states
        (``CortexLeft`` is ``cortex_L``), else the cortex of the side that its name does.
    kind
        ``"auto"`` takes arrays of label intent, whole numbers of a ``.label.gii`` file, or
        a single array of whole numbers, none negative, for labels, and anything else for
        weights.
    map
        Name or 0-based number of the map to take; needed for labels where there
        are several.

    Raises
    ------
    AtlasFileError
        An unreadable or truncated file, a surface instead of values, an unknown
        hemisphere, arrays of different lengths, several label maps and no choice.
    """
    image = _load(path)
    header = _header(image, path)
    stated = header.compartments[0] if header else structure_of(image)
    compartment = compartment_of(path, compartment, stated=stated)
    values, names = _maps(image, path)
    kept = image.meta.get(_KEPT)
    part = mesh_part(
        values,
        names,
        path,
        compartment=compartment,
        kind=kind,
        map=map,
        labelled=all(array.intent == _LABEL for array in image.darrays)
        or labelled_by_name(path, values),
        rows=_rows(image),
        vertices=None if kept is None else from_runs(kept, path),
    )
    return [part if header is None else restored(part, header)]


def read_values(path: PathLike) -> Shaped[np.ndarray, "maps vertices"]:
    """Return all maps of a file as they are stored."""
    return values_of(_load(path), path)


def values_of(image: GiftiImage, path: PathLike) -> Shaped[np.ndarray, "maps vertices"]:
    """Return all maps of an image as they are stored; `path` begins the messages."""
    return _maps(image, path)[0]


def structure_of(image: GiftiImage) -> str:
    """Return the compartment of the structure that a file or one of its arrays states, or ""."""
    metas: list[Mapping[str, str]] = [image.meta, *(array.meta for array in image.darrays)]
    stated = next(filter(None, (meta.get(_STRUCTURE, "") for meta in metas)), "")
    if stated in _VAGUE or stated not in CIFTI_BRAIN_STRUCTURES.value_set("guiname"):
        return ""
    return brain_models.compartment_of(str(CIFTI_BRAIN_STRUCTURES.ciftiname[stated]))


def side_of(image: GiftiImage) -> str:
    """Return the hemisphere that a file or one of its arrays states: L, R or ""."""
    return hemisphere_of("", structure_of(image))


def read_header(path: PathLike) -> Header | None:
    """Return the atlasinit header of a file, None where another program wrote it."""
    with reading(path, "a GIFTI file") as found:
        with (gzip.open if found.suffix == ".gz" else open)(found, "rb") as stream:
            written_here = _KEPT.encode() in stream.read()
    # Most files are of other programs; these need not be parsed once more.
    return _header(_load(path), path) if written_here else None


def write(atlas: Atlas, path: PathLike, *, overwrite: bool = False) -> list[Path]:
    """Write a surface atlas as GIFTI, a file a hemisphere, and return the files.

    ``.label.gii`` holds hard labels with their keys, key 0 where there is none,
    and the table of names and colours. ``.func.gii`` and ``.shape.gii`` hold one
    float32 array a parcel, named after it. Values cover the whole mesh; the kept
    vertices, the atlas's name, space, provenance and further columns go into the
    file's metadata, the surfaces themselves into none. Names of the files:
    `atlasinit.io.formats.hemispheres.targets`.

    Raises
    ------
    ValueError
        An atlas with volumes, or soft maps for ``.label.gii``; names with control
        characters, or that of no parcel, ``???``.
    """
    labels = extension(path).startswith(".label")
    files = targets(atlas, path)
    if labels:
        check_hard(atlas, path, ".func.gii")
    check_names(atlas, path, background=_NONE if labels else None)
    check_finite(atlas, path)
    images = {c: (_label_image if labels else _func_image)(atlas, c, files[c]) for c in files}
    with atomic_writes(files, overwrite=overwrite) as temporary:
        for compartment, image in images.items():
            image.to_filename(temporary[compartment])
    return list(files.values())


def _load(path: PathLike) -> GiftiImage:
    with reading(path, "a GIFTI file") as found:
        image = nb.load(found)
        if not isinstance(image, GiftiImage):
            raise AtlasFileError(f"{found}: is not a GIFTI file.")
        return image


def _header(image: GiftiImage, path: PathLike) -> Header | None:
    text = image.meta.get(KEY)
    return None if text is None else unpack_metadata(text, path)


def _maps(image: GiftiImage, path: PathLike) -> tuple[np.ndarray, list[str]]:
    """Return all maps (maps, vertices) and their names."""
    if not image.darrays:
        raise AtlasFileError(f"{path}: holds no data array.")
    if any(array.intent in _SURFACE for array in image.darrays):
        raise AtlasFileError(
            f"{path}: is a surface (coordinates and triangles), not labels or maps; lay it under "
            'labels by meshes={"cortex_L": {"sphere": path}} (or "anatomical").'
        )
    if any(array.intent == _NODES for array in image.darrays):
        raise AtlasFileError(
            f"{path}: holds values of a list of nodes (NIFTI_INTENT_NODE_INDEX); write values of "
            "the whole mesh, for instance by AFNI's ConvertDset -pad_to_node."
        )
    blocks = [as_maps(array.data, path) for array in image.darrays]
    lengths = {block.shape[1] for block in blocks}
    if len(lengths) > 1:
        raise AtlasFileError(f"{path}: its arrays differ in length: {sorted(lengths)} vertices.")
    names = []
    for array, block in zip(image.darrays, blocks, strict=True):
        name = array.meta.get("Name") or f"map-{len(names)}"
        names += [name] if len(block) == 1 else [f"{name}-{i}" for i in range(len(block))]
    return np.concatenate(blocks), names


def _rows(image: GiftiImage) -> tuple[LabelRow, ...] | None:
    rows = tuple(
        # nibabel leaves out the text of an element that has none.
        LabelRow(int(label.key), getattr(label, "label", None) or "", to_hex(label.rgba))
        for label in image.labeltable.labels
    )
    # Workbench gives every file of values a table that names key 0 alone.
    return rows if any(row.key for row in rows) else None


def _meta(atlas: Atlas, compartment: str, header: str) -> GiftiMetaData:
    geometry = atlas.geometry[compartment]
    assert isinstance(geometry, SurfaceMesh)
    meta = {KEY: header, _KEPT: runs(geometry.vertices)}
    if brain_models.is_structure(compartment):
        structure = brain_models.structure_of(compartment)
        meta = {_STRUCTURE: CIFTI_BRAIN_STRUCTURES.guiname[structure], **meta}
    return GiftiMetaData(meta)


def _label_image(atlas: Atlas, compartment: str, path: Path) -> GiftiImage:
    rows = atlas.table.rows_of(compartment)
    labels = atlas.table.take(rows)
    keys = file_keys(labels, path)
    header = pack_metadata(atlas, compartments=[compartment], file_keys=keys)
    index = np.asarray(atlas.maps[compartment].harden().labels)
    values = atlas.geometry[compartment].put(np.array([*keys, 0], np.int32)[index])
    array = GiftiDataArray(
        values,
        intent="NIFTI_INTENT_LABEL",
        datatype="NIFTI_TYPE_INT32",
        meta=GiftiMetaData({"Name": atlas.name}),
    )
    return GiftiImage(
        meta=_meta(atlas, compartment, header), labeltable=_table(labels, keys), darrays=[array]
    )


def _table(labels: LabelTable, keys: list[int]) -> GiftiLabelTable:
    table = GiftiLabelTable()
    entries = [(0, _NONE, (1.0, 1.0, 1.0, 0.0))]
    colors = [(*from_hex(color), 1.0) for color in colors_of(labels)]
    entries += list(zip(keys, labels["name"], colors, strict=True))
    for key, name, rgba in entries:
        label: Any = GiftiLabel(key, *rgba)
        label.label = name
        table.labels.append(label)
    return table


def _func_image(atlas: Atlas, compartment: str, path: Path) -> GiftiImage:
    del path
    labels = atlas.table.take(atlas.table.rows_of(compartment))
    numbers = list(range(1, len(labels) + 1))
    header = pack_metadata(atlas, compartments=[compartment], file_keys=numbers)
    geometry = atlas.geometry[compartment]
    arrays = [
        GiftiDataArray(
            geometry.put(row),
            intent="NIFTI_INTENT_NONE",
            datatype="NIFTI_TYPE_FLOAT32",
            meta=GiftiMetaData({"Name": name}),
        )
        for name, row in zip(labels["name"], atlas.maps[compartment].to_dense(), strict=True)
    ]
    return GiftiImage(meta=_meta(atlas, compartment, header), darrays=arrays)
