"""FreeSurfer overlays (.mgh, .mgz), morphometry (lh.thickness) and lists of vertices (.label)."""

from pathlib import Path

import numpy as np
from jaxtyping import Int64

from atlasinit.core.atlas import Atlas
from atlasinit.core.geometry import SurfaceMesh
from atlasinit.errors import AtlasFileError, AtlasFileWarning, ContentError, Passing, warn
from atlasinit.io.contents import Contents, is_line
from atlasinit.io.files import extension, parsing
from atlasinit.io.formats import nifti, series
from atlasinit.io.formats.base import Format
from atlasinit.io.formats.grids import MGH, load_image, shape_of
from atlasinit.io.formats.hemispheres import mesh_parts
from atlasinit.io.formats.mgh_writing import paint
from atlasinit.io.input import Input
from atlasinit.io.meshes import as_maps, is_columns, is_sliced
from atlasinit.io.options import ReadOptions
from atlasinit.io.own_header import KEY
from atlasinit.io.tables.cells import is_whole_number
from atlasinit.io.values import Values, VertexMaps, vertex_values

# What files of values, and of triangles, begin with.
_CURV = b"\xff\xff\xff"
_TRIANGLES = b"\xff\xff\xfe"


def is_overlay(source: Input) -> bool:
    """Whether a source is an image whose volumes are lines, or slices of a mesh: a value a vertex.

    One of our own volumes may be a line of voxels, which its header says.
    """
    if not nifti.claims(source):
        return False
    shape = shape_of(source)
    vertices = is_line(shape) or is_sliced(shape) or is_columns(shape)
    return vertices and f'{{"{KEY}"'.encode() not in source.head


def read_overlay(source: Input, options: ReadOptions, compartment: str | None = None) -> Contents:
    """Return the part of values of vertices, or those of both hemispheres, a map for each frame.

    They are in any of the shapes (N, 1, 1, T), (1, 1, N), (N, T), (N / k, 1, k, T) and the like.
    ``kind="auto"`` takes one frame of whole numbers for labels; `map` is the 0-based number
    of the frame to take.

    Raises
    ------
    AtlasFileError
        An unreadable or truncated file, a surface instead of values, an unknown
        hemisphere.
    """
    values = (_morphometry if is_morphometry(source) else nifti.vertices)(source).maps
    # FreeSurfer's formats have no names of maps.
    names = [f"map-{i}" for i in range(len(values))]
    stated = source.stated
    parts = mesh_parts(
        values, names, source, compartment=compartment, options=options, stated=stated
    )
    return Contents(parts, stated=stated)


def read_overlay_values(source: Input) -> Values:
    """Return the values of vertices as data, read by chunks of time.

    Those of a line, which a grid may have as well, are left to who knows the atlas.
    """
    with parsing(source, "a FreeSurfer overlay"):
        image = load_image(source)
        stated = nifti.stated_of(source, image)
        # (vertices, maps) or (vertices, 1, maps), of which the maps lie along an axis of space.
        if is_columns(tuple(map(int, image.shape))):
            return vertex_values(as_maps(np.asanyarray(image.dataobj), source), stated)
    return series.values_of(image, stated, source)


def is_vertex_list(source: Input) -> bool:
    """Whether a file lists vertices, as ``lh.cortex.label`` does, by its name."""
    return source.path is not None and extension(source.name) == ".label"


def read_vertex_list(source: Input) -> Int64[np.ndarray, " listed"]:
    """Return the vertices that a FreeSurfer label lists.

    After a line of comment and one with their number it has a line for each point: its
    vertex, its coordinates in mm, and a value. Points of no vertex, which FreeSurfer numbers
    -1, are left out, with a warning.

    Raises
    ------
    AtlasFileError
        Another number of points than stated, other negative vertices, or no such file.
    """
    with parsing(source, "a FreeSurfer label"):
        # https://surfer.nmr.mgh.harvard.edu/fswiki/LabelsClutsAnnotationFiles
        lines = source.stream().read().decode().splitlines()
        stated, points = int(lines[1]), [line.split() for line in lines[2:] if line.strip()]
        if len(points) != stated:
            raise ContentError(f"it states {stated} points, but lists {len(points)}")
        # `int` would take 1_0 and digits of other scripts for numbers, as other programs do not.
        odd = [point[0] for point in points if not is_whole_number(point[0])]
        if odd:
            raise ContentError(f"it lists vertex {odd[0]!r}, where a whole number is expected")
        vertices = np.array([point[0] for point in points], np.int64)
        if vertices.min(initial=0) < -1:
            raise ContentError(f"it lists vertex {vertices.min()}")
    free = np.count_nonzero(vertices < 0)
    if free:
        problem = f"{free} of its {stated} points belong to no vertex (-1) and are left out"
        warn(AtlasFileWarning(source, problem))
    return vertices[vertices >= 0]


def write_vertex_list(atlas: Atlas, path: Path) -> None:
    """Write the vertices of the one parcel of an atlas as a FreeSurfer label.

    Beside each vertex stand its coordinates on the anatomical surface, 0 where there is none, and
    the value 1.
    """
    ((mesh, maps),) = zip(atlas.geometry.values(), atlas.maps.values(), strict=True)
    assert isinstance(mesh, SurfaceMesh)
    # Points are in any order; FreeSurfer writes them by vertex.
    listed = np.sort(mesh.vertices[np.asarray(maps.harden().labels) >= 0])
    points = np.zeros((listed.size, 3)) if mesh.anatomical is None else mesh.anatomical[listed]
    lines = [
        f"#!ascii label {atlas.table['name'][0]}, from subject {atlas.space}",
        str(len(listed)),
    ]
    lines += [
        f"{vertex}  {x:.3f}  {y:.3f}  {z:.3f} 1.000000"
        for vertex, (x, y, z) in zip(listed.tolist(), points.tolist(), strict=True)
    ]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def is_morphometry(source: Input) -> bool:
    """Whether a file is FreeSurfer's morphometry (``lh.thickness``), or another of its files.

    What is read is known by its first bytes; others have names as it gives them, and
    errors that say what they are.
    """
    if source.path is None or nifti.claims(source):
        return False
    named = source.name.startswith(("lh.", "rh.")) or is_vertex_list(source)
    return source.head.startswith(_CURV) or named


def is_surface(source: Input) -> bool:
    """Whether a file is a surface, as ``lh.white``."""
    return source.path is not None and source.head.startswith(_TRIANGLES)


def _morphometry(source: Input) -> VertexMaps:
    if is_vertex_list(source):
        raise AtlasFileError(
            source,
            "is a list of vertices of some mesh, not labels or maps of all",
            "give it as the mask of such a file: " + Passing(mask={"cortex_L": Path}),
        )
    if is_surface(source):
        raise AtlasFileError(source, "is a surface, not labels or maps")
    if not source.head.startswith(_CURV):
        raise AtlasFileError(source, "is not a FreeSurfer morphometry file")
    with parsing(source, "a FreeSurfer overlay"):
        stored = source.stream().read()
        # The three bytes are followed by the numbers of vertices, of faces, and of values.
        n_vertices, _, n_values = np.frombuffer(stored, ">i4", 3, len(_CURV)).tolist()
        # From byte 15 on there is a float32 for each vertex.
        values = np.frombuffer(stored, ">f4", -1, len(_CURV) + 12)
        if n_vertices * n_values != values.size or n_values != 1:
            raise ContentError(
                f"it states {n_vertices} vertices of {n_values} values each, but has {values.size}"
            )
        return VertexMaps(as_maps(values, source), source.stated)


def _morphometry_data(source: Input) -> Values:
    return vertex_values(*_morphometry(source))


OVERLAY = Format(
    title="a FreeSurfer overlay",
    endings=(),
    claims=is_overlay,
    read=read_overlay,
    values=read_overlay_values,
    vertices=nifti.vertices,
    describe=nifti.describe,
    paint=paint,
    paints=MGH,
)
MORPHOMETRY = Format(
    title="FreeSurfer morphometry",
    endings=(),
    claims=is_morphometry,
    read=read_overlay,
    values=_morphometry_data,
    vertices=_morphometry,
)
