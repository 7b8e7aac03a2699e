"""GIFTI label, func and shape files of one hemisphere."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32
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
from atlasinit.errors import AtlasFileError, Value
from atlasinit.io.bids import reading as bids
from atlasinit.io.colors import colors_of, from_hex, table_to_hex
from atlasinit.io.contents import CarriedMesh, Contents, LabelRow, Stated
from atlasinit.io.facts import Facts, describe_arrays
from atlasinit.io.files import extension, parsing
from atlasinit.io.formats import brain_models
from atlasinit.io.formats.base import Format
from atlasinit.io.formats.gifti_parser import parse
from atlasinit.io.formats.hemispheres import (
    check_hard,
    is_named_label,
    mesh_parts,
    targets,
)
from atlasinit.io.input import Input
from atlasinit.io.keys import is_whole
from atlasinit.io.meshes import as_maps
from atlasinit.io.options import ReadOptions
from atlasinit.io.own_header import (
    KEY,
    check_finite,
    check_names,
    check_texts,
    file_keys,
    format_runs,
    pack_metadata,
    parse_runs,
    restore,
    stated_space,
    unpack_metadata,
)
from atlasinit.io.painted import Painted
from atlasinit.io.tables.workbench import NONE
from atlasinit.io.values import Values, VertexMaps, vertex_values
from atlasinit.support.typing import PathLike
from atlasinit.support.writing import atomic_writes

# A file is XML: metadata, a table of labels, and data arrays, each with an intent and metadata of
# its own. https://www.nitrc.org/projects/gifti/
_KEPT = "atlasinit_kept_vertices"
_STRUCTURE = "AnatomicalStructurePrimary"
_SHAPE = "GeometricType"
# Of no one surface.
_VAGUE = {"Cortex", "Invalid", *(f"{w}{m}" for w in ("All", "Other") for m in ("", "GreyMatter"))}
_LABEL = intent_codes["NIFTI_INTENT_LABEL"]
_NODES = intent_codes["NIFTI_INTENT_NODE_INDEX"]
_POINTS = intent_codes["NIFTI_INTENT_POINTSET"]
_TRIANGLE = intent_codes["NIFTI_INTENT_TRIANGLE"]


def claims(source: Input) -> bool:
    """Whether a source is GIFTI, by its name."""
    if source.path is None:
        return isinstance(source.content, GiftiImage)
    return extension(source.name).endswith((".gii", ".gii.gz"))


def read(source: Input, options: ReadOptions, compartment: str | None = None) -> Contents:
    """Return the part that a label, func or shape file of a hemisphere holds, or both parts.

    Every data array is a map; arrays (N, T) are T maps. Coordinates and triangles beside them
    are those of the mesh they lie on, and series may be of coordinate intent (N,). The whole
    mesh is kept, unless the file was written by `write`, which notes the kept vertices. A file
    that states no structure, with twice the vertices of a standard mesh, holds the left
    hemisphere and then the right one.

    Parameters
    ----------
    source
        ``.gii`` or ``.gii.gz``, or an image in memory.
    options
        ``kind="auto"`` takes arrays of label intent, whole numbers of a ``.label.gii`` file,
        or a single array of whole numbers, none negative, for labels, and anything else for
        weights. `map` is needed for labels where there are several.
    compartment
        By default the structure that the file's AnatomicalStructurePrimary states
        (``CortexLeft`` is ``cortex_L``), else the cortex of the side that its name does.

    Raises
    ------
    AtlasFileError
        An unreadable or truncated file, a surface instead of values, an unknown
        hemisphere, arrays of different lengths, several label maps and no choice.
    """
    image = load(source)
    text = image.meta.get(KEY)
    header = None if text is None else unpack_metadata(text, source)
    values, names = _maps(image, source)
    stated = _stated(image, source, values)
    kept = image.meta.get(_KEPT)
    structure = header.compartments[0] if header else stated.structure
    parts = mesh_parts(
        values,
        names,
        source,
        compartment=compartment,
        options=options,
        stated=dataclasses.replace(stated, structure=structure),
        rows=_rows(image),
        vertices=None if kept is None else parse_runs(kept, source, below=values.shape[1]),
        is_ours=header is not None,
    )
    if header is not None:
        parts = tuple(restore(part, header) for part in parts)
    if options.takes_own_tables and source.path is not None and parts[0].rows is None:
        rows = bids.rows_for(source.path)
        parts = tuple(dataclasses.replace(part, rows=rows) for part in parts)
    return Contents(parts, header, stated)


def vertices(source: Input) -> VertexMaps:
    """Return all maps of a file as they are stored."""
    image = load(source)
    found = _maps(image, source)[0]
    return VertexMaps(found, _stated(image, source, found))


def values(source: Input) -> Values:
    """Return the data of one hemisphere or of both, a time point a map."""
    image = load(source)
    found = _maps(image, source)[0]
    return vertex_values(found, _stated(image, source, found))


def _stated(image: GiftiImage, source: Input, values: np.ndarray) -> Stated:
    structure = structure_of(image)
    maps = [array for array in image.darrays if not _is_surface(array)]
    return Stated(
        # The intent decides. Where programs leave it out, a table or the name does, if all numbers
        # are whole.
        labels=all(array.intent == _LABEL for array in maps)
        or (
            (is_named_label(source) or _rows(image) is not None)
            and is_whole(values[np.isfinite(values)])
        ),
        structure=structure,
        side=hemisphere_of("", structure),
        mesh=_mesh(image, source),
        space=stated_space(image.meta.get(KEY, "")),
    )


def _mesh(image: GiftiImage, source: Input) -> CarriedMesh | None:
    """Return the mesh that lies beside the values."""
    points = [array for array in image.darrays if _is_points(array)]
    triangles = [array.data for array in image.darrays if array.intent == _TRIANGLE]
    if not points or not triangles:
        return None
    count, faces = len(points[0].data), triangles[0]
    if faces.size and not 0 <= faces.min() <= faces.max() < count:
        raise AtlasFileError(
            source,
            f"its triangles are of vertices {faces.min()} to {faces.max()}, where it has {count}",
        )
    return CarriedMesh(points[0].data, faces, points[0].meta.get(_SHAPE, ""))


def _is_points(array: Any) -> bool:
    """Whether an array are coordinates; others of this intent are values, as MNE writes them."""
    return array.intent == _POINTS and array.data.ndim == 2 and array.data.shape[1] == 3


def _is_surface(array: Any) -> bool:
    return array.intent == _TRIANGLE or _is_points(array)


def structure_of(image: GiftiImage) -> str:
    """Return the compartment of the structure that a file or one of its arrays states, or ""."""
    # Files of values have it in their own metadata, surfaces in that of their coordinates.
    metas: list[Mapping[str, str]] = [image.meta, *(array.meta for array in image.darrays)]
    stated = next(filter(None, (meta.get(_STRUCTURE, "") for meta in metas)), "")
    if stated in _VAGUE or stated not in CIFTI_BRAIN_STRUCTURES.value_set("guiname"):
        return ""
    # CortexLeft of GIFTI is CIFTI_STRUCTURE_CORTEX_LEFT of CIFTI.
    return brain_models.compartment_of(str(CIFTI_BRAIN_STRUCTURES.ciftiname[stated]))


def side_of(image: GiftiImage) -> str:
    """Return the hemisphere that a file or one of its arrays states: L, R or ""."""
    return hemisphere_of("", structure_of(image))


def describe(source: Input) -> Facts:
    """Return what a file says of its arrays."""
    image = load(source)
    maps = [array for array in image.darrays if not _is_surface(array)]
    rows = _rows(image)
    return dataclasses.replace(
        describe_arrays(maps or image.darrays),
        labels=None if rows is None else len(rows),
        space=stated_space(image.meta.get(KEY, "")),
    )


def is_surface(source: Input) -> bool:
    """Whether a source is GIFTI with coordinates and triangles, and nothing else."""
    return claims(source) and bool(arrays := load(source).darrays) and all(map(_is_surface, arrays))


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
    check_names(atlas, path, background=NONE if labels else None)
    check_finite(atlas, path)
    images = {c: (_label_image if labels else _func_image)(atlas, c, files[c]) for c in files}
    with atomic_writes(files, overwrite=overwrite) as temporary:
        for compartment, image in images.items():
            image.to_filename(temporary[compartment])
    return list(files.values())


def write_labels(atlas: Atlas, path: Path) -> None:
    """Write hard labels of the one compartment of an atlas to the file `path` itself."""
    (compartment,) = atlas.compartments
    _label_image(atlas, compartment, path).to_filename(path)


def paint(painted: Painted, path: PathLike, *, overwrite: bool = False) -> list[Path]:
    """Write values of parcels at the vertices of whole meshes, a file a hemisphere.

    In single precision, which is all that GIFTI holds; one array a map, named after it.

    Raises
    ------
    ValueError
        An atlas with volumes, a time step, numbers beyond single precision, names with control
        characters.
    """
    painted.check_maps(path)
    check_texts(painted.titles, path)
    painted = painted.single(path)
    files = targets(painted.atlas, path, values=True)
    with atomic_writes(files, overwrite=overwrite) as temporary:
        for c, values in painted.locations.items():
            geometry = painted.atlas.geometry[c]
            whole: np.ndarray = geometry.put(values, fill=painted.fill)
            arrays = [
                # `whole` is (vertices, maps), and each map an array of its own.
                _values_array(column, name)
                for name, column in zip(painted.titles, whole.T, strict=True)
            ]
            meta = GiftiMetaData(_structure(c))
            GiftiImage(meta=meta, darrays=arrays).to_filename(temporary[c])
    return list(files.values())


def load(source: Input) -> GiftiImage:
    """Return the image of a file, or the one in memory."""
    if source.content is not None:
        return source.content
    with parsing(source, "a GIFTI file"):
        return parse(source)


def _maps(image: GiftiImage, path: object) -> tuple[np.ndarray, list[str]]:
    """Return all maps (maps, vertices) and their names."""
    if not image.darrays:
        raise AtlasFileError(path, "holds no data array")
    maps = [array for array in image.darrays if not _is_surface(array)]
    if not maps:
        raise AtlasFileError(
            path,
            "is a surface (coordinates and triangles), not labels or maps",
            'lay it under labels by meshes={"cortex_L": '
            + Value({"sphere": Path})
            + '} (or "anatomical")',
        )
    if any(array.intent == _NODES for array in image.darrays):
        raise AtlasFileError(
            path,
            "holds values of a list of nodes (NIFTI_INTENT_NODE_INDEX)",
            "write values of the whole mesh, for instance by AFNI's ConvertDset -pad_to_node",
        )
    blocks = [as_maps(array.data, path) for array in maps]
    lengths = {block.shape[1] for block in blocks}
    lengths.update(len(array.data) for array in image.darrays if _is_points(array))
    if len(lengths) > 1:
        raise AtlasFileError(path, f"its arrays differ in length: {sorted(lengths)} vertices")
    names = []
    for array, block in zip(maps, blocks, strict=True):
        name = array.meta.get("Name") or f"map-{len(names)}"
        names += [name] if len(block) == 1 else [f"{name}-{i}" for i in range(len(block))]
    return np.concatenate(blocks), names


def _rows(image: GiftiImage) -> tuple[LabelRow, ...] | None:
    labels = image.labeltable.labels
    rows = tuple(
        # nibabel leaves out the text of an element that has none.
        LabelRow(int(label.key), getattr(label, "label", None) or "", color)
        for label, color in zip(labels, table_to_hex([v.rgba for v in labels]), strict=True)
    )
    # Workbench gives every file of values a table that names key 0 alone.
    return rows if any(row.key for row in rows) else None


def _meta(atlas: Atlas, compartment: str, header: str) -> GiftiMetaData:
    geometry = atlas.geometry[compartment]
    assert isinstance(geometry, SurfaceMesh)
    kept = format_runs(geometry.vertices)
    return GiftiMetaData({**_structure(compartment), KEY: header, _KEPT: kept})


def _structure(compartment: str) -> dict[str, str]:
    """Return the metadata that states a compartment, none where GIFTI has no name for it."""
    if not brain_models.is_structure(compartment):
        return {}
    structure = brain_models.structure_of(compartment)
    return {_STRUCTURE: str(CIFTI_BRAIN_STRUCTURES.guiname[structure])}


def _label_image(atlas: Atlas, compartment: str, path: Path) -> GiftiImage:
    rows = atlas.table.rows_of(compartment)
    labels = atlas.table.take(rows)
    keys = file_keys(labels, path)
    header = pack_metadata(atlas, compartments=[compartment], file_keys=keys)
    index = np.asarray(atlas.maps[compartment].harden().labels)
    # Locations of no parcel have the index -1, which takes the last entry: 0.
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
    # Red, green, blue and alpha from 0 to 1: where there is no parcel, nothing is drawn.
    entries = [(0, NONE, (1.0, 1.0, 1.0, 0.0))]
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
        _values_array(geometry.put(row), name)
        for name, row in zip(labels["name"], atlas.maps[compartment].to_dense(), strict=True)
    ]
    return GiftiImage(meta=_meta(atlas, compartment, header), darrays=arrays)


def _values_array(values: Float32[np.ndarray, " vertices"], name: str) -> GiftiDataArray:
    return GiftiDataArray(
        np.ascontiguousarray(values),
        intent="NIFTI_INTENT_NONE",
        datatype="NIFTI_TYPE_FLOAT32",
        meta=GiftiMetaData({"Name": name}),
    )


_WRITTEN = tuple(
    f".{kind}.gii{packed}" for kind in ("label", "func", "shape") for packed in ("", ".gz")
)

FORMAT = Format(
    title="a GIFTI",
    endings=(*_WRITTEN, ".surf.gii", ".surf.gii.gz", ".gii", ".gii.gz"),
    claims=claims,
    read=read,
    values=values,
    vertices=vertices,
    describe=describe,
    write=write,
    writes=_WRITTEN,
    paint=paint,
    # Values of parcels are no labels.
    paints=_WRITTEN[2:],
    in_bids=(".label.gii", ".func.gii"),
    one_each=True,
    in_memory=("GIFTI",),
)
