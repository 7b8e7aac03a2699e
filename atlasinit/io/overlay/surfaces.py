"""Surfaces, medial-wall masks and vertex areas, and attaching them to a mesh."""

from collections.abc import Mapping
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from jaxtyping import Bool, Float32, Int32
from nibabel.filebasedimages import FileBasedImage
from nibabel.freesurfer import read_geometry

from atlasinit.core.geometry import (
    Geometry,
    SurfaceMesh,
    VolumeGrid,
)
from atlasinit.errors import ArgumentError, ArgumentTypeError, AtlasFileError
from atlasinit.io.agreement import check_mask_space
from atlasinit.io.contents import COMPARTMENTS, Stated
from atlasinit.io.files import parsing
from atlasinit.io.formats import freesurfer, gifti
from atlasinit.io.formats.grid_statements import grid_of
from atlasinit.io.formats.grids import load_image
from atlasinit.io.formats.registry import read_vertices, state_by_name
from atlasinit.io.input import IN_MEMORY, InMemory, Input, is_input
from atlasinit.io.keys import as_keys, is_whole
from atlasinit.io.mesh_identity import check_meshes, same_triangles
from atlasinit.io.meshes import MESH_SIZES
from atlasinit.support.typing import PathLike


class Surface(NamedTuple):
    """Coordinates and triangles of a mesh.

    Parameters
    ----------
    coordinates
        (vertices, 3) in mm.
    faces
        (faces, 3) vertex numbers.
    hemisphere
        ``"L"``, ``"R"``, or ``""`` where the file states none.
    """

    coordinates: Float32[np.ndarray, "vertices 3"]
    faces: Int32[np.ndarray, "faces 3"]
    hemisphere: str = ""


SurfaceLike: TypeAlias = PathLike | Surface | np.ndarray
"""A surface file, a `Surface`, or coordinates (vertices, 3) of a mesh whose faces are known."""

# FreeSurfer's codes in the order of the structures in the standard grayordinates.
# The codes are listed at
# https://surfer.nmr.mgh.harvard.edu/fswiki/FsTutorial/AnatomicalROI/FreeSurferColorLUT
_STRUCTURES = (
    ("ACCUMBENS_LEFT", 26),
    ("ACCUMBENS_RIGHT", 58),
    ("AMYGDALA_LEFT", 18),
    ("AMYGDALA_RIGHT", 54),
    ("BRAIN_STEM", 16),
    ("CAUDATE_LEFT", 11),
    ("CAUDATE_RIGHT", 50),
    ("CEREBELLUM_LEFT", 8),
    ("CEREBELLUM_RIGHT", 47),
    ("DIENCEPHALON_VENTRAL_LEFT", 28),
    ("DIENCEPHALON_VENTRAL_RIGHT", 60),
    ("HIPPOCAMPUS_LEFT", 17),
    ("HIPPOCAMPUS_RIGHT", 53),
    ("PALLIDUM_LEFT", 13),
    ("PALLIDUM_RIGHT", 52),
    ("PUTAMEN_LEFT", 12),
    ("PUTAMEN_RIGHT", 51),
    ("THALAMUS_LEFT", 10),
    ("THALAMUS_RIGHT", 49),
)


def read_surface(path: PathLike | FileBasedImage) -> Surface:
    """Read a surface: GIFTI (``.surf.gii``, ``.gii``, ``.gz``) or FreeSurfer (``lh.white``).

    Raises
    ------
    AtlasFileError
        A missing or damaged file, or one without coordinates and triangles.
    """
    with Input(path) as source, parsing(source, "a surface"):
        if not gifti.claims(source):
            coordinates, faces = read_geometry(source.path)[:2]
            # Such a file does not state its hemisphere; its name is not asked for it.
            return Surface(np.asarray(coordinates, np.float32), np.asarray(faces, np.int32))
        image = gifti.load(source)
        points = image.get_arrays_from_intent("NIFTI_INTENT_POINTSET")
        triangles = image.get_arrays_from_intent("NIFTI_INTENT_TRIANGLE")
        if len(points) != 1 or len(triangles) != 1:
            raise AtlasFileError(
                source,
                f"a surface should hold coordinates and triangles once, got {len(points)} and "
                f"{len(triangles)} such arrays",
            )
        return Surface(
            np.asarray(points[0].data, np.float32),
            np.asarray(triangles[0].data, np.int32),
            gifti.side_of(image),
        )


def read_values(given: PathLike | InMemory | Input) -> np.ndarray:
    """Return one number a vertex (vertices,) from any file or image that holds them.

    GIFTI (func, shape, label), FreeSurfer (mgh, mgz, ``lh.area``), csv, txt, npy or npz.
    """
    with given if isinstance(given, Input) else Input(given) as source:
        return _one_map(source)[0]


def _one_map(source: Input) -> tuple[np.ndarray, Stated]:
    """Return one number a vertex (vertices,), and what the file states of them."""
    maps, stated = read_vertices(source)
    source.check_rest()
    if len(maps) != 1:
        raise AtlasFileError(source, f"should hold one map, got {len(maps)}")
    return maps[0], stated


def locations_in(
    mesh: SurfaceMesh, mask: object, *, space: str = ""
) -> Bool[np.ndarray, " locations"]:
    """Return which locations of a mesh lie in a mask, as for the cortex without medial wall.

    Parameters
    ----------
    mesh
        The mesh.
    mask
        Whole mesh (vertices,) or (vertices, 1): a boolean array, numbers that are not
        zero where the mask is, a file or a GIFTI image in memory of such numbers, or a
        FreeSurfer ``.label`` (a list of vertices, as ``lh.cortex.label``); or a
        `SurfaceMesh`, whose kept vertices count.
    space
        That the mesh is in; ``""`` where that is not known.

    Raises
    ------
    ValueError
        A mask of another mesh (both counts are named), of several columns, without a
        vertex of the mesh, fractions or NaN; one that states another space or hemisphere, or
        comes with another mesh.
    TypeError
        A mask of another kind, as of a volume.
    AtlasFileError
        An unreadable file.
    """
    values, stated, told = _mask_values(mask, mesh)
    check_mask_space(stated.space, space, told)
    _check_side("mask", stated.side, mesh)
    if stated.mesh is not None:
        own = COMPARTMENTS.get(mesh.hemisphere, "the surface")
        check_meshes({own: stated.mesh}, {own: mesh}, argument="mask", name="the labels")
    if not is_whole(values):
        raise ArgumentError(
            "mask",
            "should be boolean, or whole numbers that are not zero inside",
            "it holds fractions or NaN",
        )
    _check_count("mask", len(values), mesh)
    # A mask has all vertices of the mesh, the result only those that the labels keep.
    inside = values[mesh.vertices] != 0
    if not inside.any():
        raise ArgumentError("mask", f"holds none of the {mesh.n_locations} vertices of the labels")
    return inside


def place_kept(mesh: SurfaceMesh, mask: object) -> SurfaceMesh:
    """Return the whole mesh of labels that are of a mask's vertices alone, in their order.

    So hypercoil writes GIFTI: 29,696 labels of the 32,492 vertices of fsLR 32k. Any other mesh as
    it is.
    """
    if mesh.n_locations != mesh.n_vertices or mesh.faces is not None:
        return mesh
    try:
        values = _mask_values(mask, mesh)[0]
    except (ArgumentError, ArgumentTypeError):  # told where the mask is laid on
        return mesh
    kept = np.flatnonzero(values)
    if len(values) == mesh.n_vertices or len(kept) != mesh.n_vertices:
        return mesh
    return SurfaceMesh(len(values), vertices=kept, hemisphere=mesh.hemisphere)


def _mask_values(mask: object, mesh: SurfaceMesh) -> tuple[np.ndarray, Stated, str]:
    """Return one number a vertex of a mask of any kind, what it states, and what it is called."""
    if isinstance(mask, SurfaceMesh):
        return mask.mask, Stated(side=mask.hemisphere), IN_MEMORY
    stated = mask.stated if isinstance(mask, Input) else Stated()
    if isinstance(mask, Input) and mask.path is None:
        mask = mask.content
    if isinstance(mask, np.ndarray):
        # All lengths of the shape but one are 1.
        if mask.size != max(mask.shape, default=0):
            raise ArgumentError(
                "mask",
                f"should be one number a vertex, ({mesh.n_vertices},) or ({mesh.n_vertices}, "
                f"1), got shape {mask.shape}",
            )
        return mask.reshape(-1), stated, IN_MEMORY
    if not is_input(mask):
        raise ArgumentTypeError(
            "mask",
            "of a surface should be a file, an image or an array of one number a vertex, or a "
            f"SurfaceMesh, got {type(mask).__name__}",
        )
    path: Any = mask
    with Input(path) as source:
        if not freesurfer.is_vertex_list(source):
            return *_one_map(source), str(source)
        vertices = freesurfer.read_vertex_list(source)
    if not vertices.size:
        raise AtlasFileError(path, "lists no vertex")
    # A list does not state how many vertices its mesh has: only one beyond the labels' mesh tells.
    if vertices.max() >= mesh.n_vertices:
        raise ArgumentError(
            "mask",
            f"is of another mesh: it lists vertex {vertices.max()}, the labels have "
            f"{mesh.n_vertices} vertices from 0",
        )
    values = np.zeros(mesh.n_vertices, bool)
    values[vertices] = True
    return values, state_by_name(stated, source), str(source)


def attach(
    mesh: SurfaceMesh,
    *,
    sphere: SurfaceLike | None = None,
    anatomical: SurfaceLike | None = None,
    areas: PathLike | np.ndarray | None = None,
) -> SurfaceMesh:
    """Return a mesh with surfaces and areas.

    Parameters
    ----------
    mesh
        The mesh of labels or data.
    sphere, anatomical
        The registration sphere (of any radius), and an anatomical surface, best the
        midthickness: files, `Surface`, or coordinates (vertices, 3) in mm.
    areas
        (vertices,) vertex areas in mm2, or a file of them.

    Raises
    ------
    ValueError
        Another number of vertices than `mesh` has (both are named), another
        hemisphere, or triangles that differ between `sphere` and `anatomical`.
    """
    # The mesh's own triangles, else those of the first surface: all have to be the same.
    faces = mesh.faces
    coordinates: dict[str, np.ndarray] = {}
    for name, source in (("sphere", sphere), ("anatomical", anatomical)):
        if source is None:
            continue
        if not isinstance(source, np.ndarray | Surface):
            source = read_surface(source)
        if isinstance(source, Surface):
            _check_side(name, source.hemisphere, mesh)
            _check_faces(name, faces, source.faces)
            faces, source = source.faces, source.coordinates
        _check_count(name, len(source), mesh)
        coordinates[name] = source
    if areas is not None:
        areas = areas if isinstance(areas, np.ndarray) else read_values(areas)
        _check_count("areas", len(areas), mesh)
    return mesh.replace(faces=faces, areas=areas, **coordinates)


def check_hemispheres(geometry: Mapping[str, Geometry]) -> None:
    """Refuse two cortices of different meshes.

    Meshes of one subject may differ in their numbers of vertices; those of
    standard spaces have the same in both hemispheres.
    """
    left, right = geometry.get("cortex_L"), geometry.get("cortex_R")
    if not isinstance(left, SurfaceMesh) or not isinstance(right, SurfaceMesh):
        return
    counts = (left.n_vertices, right.n_vertices)
    # A mesh of one subject has a standard number of vertices only by chance.
    if counts[0] != counts[1] and MESH_SIZES.intersection(counts):
        raise ArgumentError(
            "files",
            f": the two hemispheres are of different meshes: cortex_L has {counts[0]} vertices, "
            f"cortex_R {counts[1]}",
        )


def grayordinates(
    left: PathLike | np.ndarray,
    right: PathLike | np.ndarray,
    volume: PathLike,
) -> dict[str, Geometry]:
    """Return the locations of standard CIFTI data, 91,282 of them for the 2 mm fsLR-32k space.

    Parameters
    ----------
    left, right
        Medial-wall masks of the meshes (``L.atlasroi.32k_fs_LR.shape.gii``).
    volume
        The subcortical structures with FreeSurfer's codes (``Atlas_ROIs.2.nii.gz``).

    Returns
    -------
    dict
        ``cortex_L``, ``cortex_R`` and ``subcortex``. The voxels are in the order of
        Connectome Workbench: by structure in alphabetical order, within one the
        first index runs fastest.
    """
    meshes: dict[str, Geometry] = {}
    for name, mask in (("cortex_L", left), ("cortex_R", right)):
        values = mask if isinstance(mask, np.ndarray) else read_values(mask)
        # The whole mesh first: `locations_in` wants a value for each of its vertices.
        whole = SurfaceMesh(len(values), hemisphere=name[-1])
        meshes[name] = whole.restrict(locations_in(whole, values))
    return {**meshes, "subcortex": structures_of(volume)}


def structures_of(volume: PathLike) -> VolumeGrid:
    """Return the voxels of CIFTI's structures, of an image with FreeSurfer's codes of these.

    They are in the order of Connectome Workbench: by structure in alphabetical order, within one
    the first index runs fastest.
    """
    with Input(volume) as source, parsing(source, "a NIfTI image"):
        image = load_image(source)
        codes = as_keys(np.asanyarray(image.dataobj), source)
        grid = grid_of(image, source)
        source.check_rest()
    # 0 is what belongs to no structure.
    unknown = set(np.unique(codes).tolist()) - {0, *(code for _, code in _STRUCTURES)}
    if unknown:
        raise AtlasFileError(volume, f"holds codes of no CIFTI structure: {sorted(unknown)}")
    # For each structure its voxels ascending, the first index fastest, as Workbench stores them.
    flat = np.ravel(codes, order="F")
    voxels = [np.flatnonzero(flat == code) for _, code in _STRUCTURES]
    ijk = np.unravel_index(np.concatenate(voxels), codes.shape, order="F")
    structures = [
        (f"CIFTI_STRUCTURE_{name}", own.size)
        for (name, _), own in zip(_STRUCTURES, voxels, strict=True)
        if own.size
    ]
    # `VolumeGrid` names voxels by their place in C order, whatever the order of its locations.
    index = np.ravel_multi_index(ijk, codes.shape)
    return VolumeGrid(grid.shape, grid.affine, index, structures)


def _check_count(name: str, count: int, mesh: SurfaceMesh) -> None:
    if count != mesh.n_vertices:
        raise ArgumentError(
            name,
            f"is of another mesh: it has {count} vertices, the labels {mesh.n_vertices}",
            "Of labels of some vertices alone, pass which as `mask`, true at those"
            if count > mesh.n_vertices and name != "mask"
            else "",
        )


def _check_side(name: str, side: str, mesh: SurfaceMesh) -> None:
    if side and mesh.hemisphere and side != mesh.hemisphere:
        raise ArgumentError(name, f"is of hemisphere {side}, the labels are of {mesh.hemisphere}")


def _check_faces(name: str, known: np.ndarray | None, faces: np.ndarray) -> None:
    """Refuse triangles other than those known, whatever their order and orientation."""
    if known is not None and not same_triangles(known, faces):
        raise ArgumentError(
            name,
            f"has other triangles than the mesh's other surface: {len(faces)} and {len(known)}",
            "both should be of one mesh",
        )
