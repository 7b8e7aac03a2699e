"""CIFTI brain models as geometries, and back."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from nibabel.cifti2 import BrainModelAxis, Cifti2Image
from nibabel.cifti2.cifti2 import CIFTI_BRAIN_STRUCTURES

from atlasinit.core.geometry import (
    Geometry,
    SurfaceMesh,
    VolumeGrid,
)
from atlasinit.core.labels import hemisphere_of
from atlasinit.errors import ArgumentError, AtlasFileError, ContentError, format_list
from atlasinit.io.files import parsing
from atlasinit.io.meshes import check_vertices
from atlasinit.support.typing import PathLike

VOXELS = "subcortex"
"""Compartment of all the voxels of a file."""

Columns: TypeAlias = slice | np.ndarray
"""Where a compartment's locations lie among the grayordinates."""

_PREFIX = "CIFTI_STRUCTURE_"


def compartment_of(structure: str) -> str:
    """Return the compartment of a surface: ``CIFTI_STRUCTURE_CORTEX_LEFT`` is ``cortex_L``."""
    name = structure.removeprefix(_PREFIX).lower()
    return re.sub("_left$", "_L", re.sub("_right$", "_R", name))


def structure_of(compartment: str) -> str:
    """Return the CIFTI structure of a surface compartment, the inverse of `compartment_of`."""
    name = re.sub("_L$", "_LEFT", re.sub("_R$", "_RIGHT", compartment))
    return _PREFIX + name.upper()


def is_structure(compartment: str) -> bool:
    """Whether a surface compartment is one of CIFTI's structures."""
    return structure_of(compartment) in CIFTI_BRAIN_STRUCTURES.value_set("ciftiname")


def read_brain(
    image: Cifti2Image, path: object, *, names: Sequence[str] = ()
) -> tuple[dict[str, Geometry], dict[str, Columns]]:
    """Return compartment to geometry, and to its columns of the data, in the order of the file.

    All models of voxels together make one compartment: that of `names` that is no
    surface of the file, by default `VOXELS`.
    """
    mapping: Any = image.header.matrix.get_index_map(1)
    models = list(mapping.brain_models)
    _check_models(models, image.shape[1], path)
    surfaces = {compartment_of(m.brain_structure) for m in models if _is_surface(m)}
    voxels = next((name for name in names if name not in surfaces), VOXELS)
    geometry: dict[str, Geometry] = {}
    where: dict[str, Columns] = {}
    with parsing(path, "a CIFTI-2 file"):
        for model in models:
            if _is_surface(model):
                name = compartment_of(model.brain_structure)
                geometry[name], where[name] = _mesh(model, name), _columns([model])
            elif voxels not in geometry:
                own = [m for m in models if not _is_surface(m)]
                geometry[voxels], where[voxels] = _grid(mapping.volume, own), _columns(own)
    return geometry, where


def brain_axis(geometry: Mapping[str, Geometry], path: PathLike) -> BrainModelAxis:
    """Return the brain models of the compartments, in their order."""
    axes = []
    for name, part in geometry.items():
        if isinstance(part, SurfaceMesh):
            if not is_structure(name):
                raise ArgumentError(
                    "path",
                    f": {name!r} is no CIFTI structure, so {Path(path).name} cannot hold it",
                    'surfaces are named like "cortex_L" and "cortex_R"',
                )
            structure = structure_of(name)
            axes.append(BrainModelAxis.from_surface(part.vertices, part.n_vertices, structure))
        else:
            axes.append(_voxel_axis(name, part, path))
    if sum(isinstance(part, VolumeGrid) for part in geometry.values()) > 1:
        raise ArgumentError(
            "path", f": {Path(path).name} can hold one volume, got {list(geometry)}"
        )
    return sum(axes[1:], start=axes[0])


def _check_models(models: Sequence[Any], n_columns: int, path: object) -> None:
    names = [(model.model_type, model.brain_structure) for model in models]
    repeated = sorted(
        {structure for kind, structure in names if names.count((kind, structure)) > 1}
    )
    if repeated:
        raise AtlasFileError(path, f"structures occur more than once: {format_list(repeated)}")
    # Models may be listed in another order than that of their columns.
    spans = sorted((model.index_offset, model.index_count) for model in models)
    ends = np.cumsum([0, *(count for _, count in spans)]).tolist()
    if [start for start, _ in spans] != ends[:-1] or ends[-1] != n_columns:
        raise AtlasFileError(
            path,
            f"its brain models do not cover its {n_columns} columns once, got (offset, count) "
            f"{format_list(spans)}",
        )


def _is_surface(model: Any) -> bool:
    return model.model_type == "CIFTI_MODEL_TYPE_SURFACE"


def _columns(models: Sequence[Any]) -> Columns:
    """Return the columns of the models in their order, as a slice where they are adjacent."""
    spans = [(model.index_offset, model.index_offset + model.index_count) for model in models]
    # A slice of the data is a view of them, whereas a list of columns copies.
    if all(stop == start for (_, stop), (start, _) in zip(spans, spans[1:], strict=False)):
        return slice(spans[0][0], spans[-1][1])
    return np.concatenate([np.arange(*span) for span in spans])


def _mesh(model: Any, name: str) -> SurfaceMesh:
    check_vertices(model.surface_number_of_vertices)
    # Vertex numbers are those of the whole mesh, of which a model may leave out the medial wall.
    vertices = np.asarray(model.vertex_indices[:], np.int32)
    side = hemisphere_of("", name)
    return SurfaceMesh(model.surface_number_of_vertices, vertices, hemisphere=side)


def _grid(volume: Any, models: Sequence[Any]) -> VolumeGrid:
    if volume is None:
        raise ContentError("it has voxels, but no volume that says where they lie")
    transform = volume.transformation_matrix_voxel_indices_ijk_to_xyz
    affine = np.array(transform.matrix, dtype=np.float64)
    # The matrix is in units of 10**exponent metres; -3 is mm.
    affine[:3] *= 10.0 ** (transform.meter_exponent + 3)
    shape = tuple(volume.volume_dimensions)
    # (voxels, 3), model after model.
    ijk = np.concatenate([np.asarray(list(model.voxel_indices_ijk)) for model in models])
    structures = [(model.brain_structure, model.index_count) for model in models]
    return VolumeGrid(shape, affine, np.ravel_multi_index(tuple(ijk.T), shape), structures)


def voxel_structures(grid: VolumeGrid) -> str:
    """Return why the voxels of a grid are no brain models, ``""`` where they are."""
    known = CIFTI_BRAIN_STRUCTURES.value_set("ciftiname")
    unknown = [structure for structure, _ in grid.structures if structure not in known]
    if unknown or not grid.structures:
        return f"have unknown structures {unknown}" if unknown else "have no CIFTI structures"
    if len(dict(grid.structures)) < len(grid.structures):
        return "have structures that occur twice, where those of each should be contiguous"
    return ""


def _voxel_axis(name: str, grid: VolumeGrid, path: PathLike) -> BrainModelAxis:
    problem = voxel_structures(grid)
    if problem:
        raise ArgumentError(
            "path",
            f": the voxels of {name!r} {problem}, which {Path(path).name} needs",
            "save as .nii.gz, or give its VolumeGrid `structures`, as "
            f'(("CIFTI_STRUCTURE_OTHER", {grid.n_locations}),)',
        )
    return BrainModelAxis(
        # nibabel takes a structure for each voxel.
        name=np.repeat([s for s, _ in grid.structures], [n for _, n in grid.structures]),
        voxel=grid.ijk,
        affine=grid.affine,
        volume_shape=grid.shape,
    )
