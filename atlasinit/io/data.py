"""Data on disk or in memory, matched with an atlas and read by chunks of time."""

import dataclasses
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from nibabel.filebasedimages import FileBasedImage

from atlasinit.core.atlas import Atlas
from atlasinit.core.geometry import Geometry, SurfaceMesh, VolumeGrid
from atlasinit.errors import ArgumentError, Call, Value
from atlasinit.io.bids.names import side_of
from atlasinit.io.contents import COMPARTMENTS
from atlasinit.io.files import parsing
from atlasinit.io.formats.brain_models import is_structure
from atlasinit.io.formats.grids import is_line
from atlasinit.io.formats.registry import read_values
from atlasinit.io.input import Input, SurfaceImage, sides_of
from atlasinit.io.values import Block, DataSource, Select, Values, floating, rows_source
from atlasinit.support.typing import PathLike


def open_data(data: Any, atlas: Atlas) -> DataSource:
    """Return `data` as rows for the locations of `atlas`, after checking that they fit.

    Parameters
    ----------
    data
        A path or a nibabel image: NIfTI (3-D or 4-D), CIFTI-2 (dtseries, dscalar),
        GIFTI (func, shape) or FreeSurfer overlay (mgh, mgz, ``lh.thickness``) of one
        hemisphere; a sequence of two such hemispheres; a mapping from compartment to any
        of these; a nilearn ``SurfaceImage``; or an array (locations, time) or
        (locations,) of all compartments. Surfaces may hold the whole mesh or the
        atlas's kept vertices. Which hemisphere a file holds it states itself, or its name
        does (``hemi-L``, ``lh.``, ``.L.``) unless it is in a mapping.
    atlas
        The atlas whose locations are wanted, in its order.

    Raises
    ------
    ValueError
        Another grid (both affines or shapes are named) or mesh (both vertex
        counts), another hemisphere, or a compartment without data or with it twice.
    AtlasFileError
        A file that cannot be read.
    """
    parts = _parts(data, atlas)
    missing = [c for c in atlas.compartments if c not in parts]
    if missing:
        have = [c for c in atlas.compartments if c in parts]
        instead = f", or use atlas.select(compartments={have})" if have else ""
        raise ArgumentError(
            "data",
            f"holds nothing for {missing}",
            f"pass data of every compartment, files of several as a tuple{instead}",
        )
    lengths = {c: parts[c].n_time for c in atlas.compartments}
    if len(set(lengths.values())) > 1:
        raise ArgumentError("data", f"should have one number of time points, got {lengths}")
    sources = [parts[c] for c in atlas.compartments]
    if len(sources) == 1:
        return sources[0]
    return DataSource(
        atlas.n_locations,
        sources[0].n_time,
        lambda span: np.concatenate([source.read(span) for source in sources]),
    )


def _parts(data: Any, atlas: Atlas) -> dict[str, DataSource]:
    if isinstance(data, Mapping):
        unknown = [c for c in data if c not in atlas.compartments]
        if unknown:
            raise ArgumentError(
                "data", f": compartments are {list(atlas.compartments)}, got {unknown}"
            )
        return {c: _one(value, atlas.select(compartments=c), c) for c, value in data.items()}
    if isinstance(data, str | os.PathLike):
        return _source_parts(data, atlas, side=side_of(data))
    if isinstance(data, SurfaceImage):
        return {c: _array(source.content, atlas, c) for c, source in sides_of(data).items()}
    if isinstance(data, Sequence):
        parts: dict[str, DataSource] = {}
        for item in data:
            own = _parts(item, atlas)
            twice = [c for c in own if c in parts]
            if twice:
                raise ArgumentError(
                    "data",
                    f"holds {twice[0]!r} twice",
                    "pass each compartment once, and several images to `AtlasMasker` as a list",
                )
            parts.update(own)
        return parts
    if isinstance(data, FileBasedImage):
        return _source_parts(data, atlas)
    return _split(np.asarray(data), atlas)


def _one(value: Any, atlas: Atlas, compartment: str) -> DataSource:
    """Return what a mapping holds for the only compartment of `atlas`."""
    if isinstance(value, str | os.PathLike | FileBasedImage):
        return _source_parts(value, atlas)[compartment]
    return _array(np.asarray(value), atlas, compartment)


def _source_parts(
    given: PathLike | FileBasedImage, atlas: Atlas, *, side: str = ""
) -> dict[str, DataSource]:
    """Return the parts of a file or image, whose name states that it is of `side`, or no side."""
    source = Input(given)
    parts = _matched(read_values(source), atlas, source, side=side)
    return {c: _guarded(part, source) for c, part in parts.items()}


def _guarded(part: DataSource, source: Input) -> DataSource:
    """Return data with errors of reading that name their file: they are read when asked for."""
    shown = str(source)

    def read(span: slice) -> np.ndarray:
        with parsing(shown, "an image"):
            return part.read(span)

    return part if source.path is None else dataclasses.replace(part, read=read)


def _matched(values: Values, atlas: Atlas, source: Input, *, side: str) -> dict[str, DataSource]:
    if all(block.compartment for block in values.blocks):
        return _structures(values.blocks, atlas)
    (block,) = values.blocks
    geometry = block.geometry
    grids = [c for c, g in atlas.geometry.items() if isinstance(g, VolumeGrid)]
    on_mesh = isinstance(geometry, SurfaceMesh)
    # A surface overlay in a volume's format: the vertices lie along one axis.
    if on_mesh or (not grids and is_line(geometry.shape)):
        c = _surface(values.stated.structure, values.stated.side or side, atlas, source)
        return {c: _rows(block.select, geometry.n_locations, atlas, c)}
    if not grids:
        raise ArgumentError(
            "data",
            f"is a volume, but {atlas.name!r} has only surfaces: {list(atlas.compartments)}",
            "sample it on them first, as by `nilearn.surface.vol_to_surf`",
        )
    if len(grids) > 1:
        raise ArgumentError(
            "data",
            f"is a volume, but {atlas.name!r} has several: {grids}",
            "say which it is of, as " + Value({grids[0]: Path}),
        )
    wanted = atlas.geometry[grids[0]]
    assert isinstance(wanted, VolumeGrid)
    if not wanted.same_grid(geometry):
        raise ArgumentError(
            "data",
            _grid_problem(geometry, wanted, atlas),
            "Move the atlas by "
            + Call("ai.resample", "atlas", "image")
            + " or the data by `nilearn.image.resample_img`",
        )
    return {grids[0]: block.select(wanted.voxels)}


def _structures(blocks: Sequence[Block], atlas: Atlas) -> dict[str, DataSource]:
    """Return the parts of a file that says to which compartment its values belong."""
    parts = {}
    for block in blocks:
        c = block.compartment
        if c not in atlas.geometry:
            continue
        order = _order(block.geometry, atlas.geometry[c], atlas, c)
        if (order < 0).any():
            raise ArgumentError(
                "data",
                f"lacks {(order < 0).sum()} of the {order.size} locations of {c!r}",
                "load the atlas with the data's mask",
            )
        parts[c] = block.select(order)
    return parts


def _order(have: Geometry, wanted: Geometry, atlas: Atlas, compartment: str) -> np.ndarray:
    """Return where each wanted location lies among those that the data have, -1 for nowhere."""
    if isinstance(have, SurfaceMesh) and isinstance(wanted, SurfaceMesh):
        if have.n_vertices != wanted.n_vertices:
            raise _mesh_error(compartment, atlas, wanted.n_vertices, have.n_vertices)
        return wanted.take(have.locations)
    if isinstance(have, VolumeGrid) and isinstance(wanted, VolumeGrid):
        if not have.same_grid(wanted):
            raise ArgumentError(
                "data",
                _grid_problem(have, wanted, atlas),
                "Move the atlas by "
                + Call("ai.resample", "atlas", "other")
                + " onto one loaded for the data's space, or the data by "
                "`wb_command -cifti-resample`",
            )
        return wanted.take(have.locations)
    raise ArgumentError("data", f"has {have!r} for {compartment!r}, where the atlas has {wanted!r}")


def _rows(select: Select, n_rows: int, atlas: Atlas, compartment: str) -> DataSource:
    """Return those of `n_rows` rows, one a vertex or a location, that an atlas wants."""
    geometry = atlas.geometry.get(compartment)
    if geometry is None:
        raise ArgumentError(
            "data", f"holds {compartment!r}, but the compartments are {list(atlas.compartments)}"
        )
    whole = geometry.n_vertices if isinstance(geometry, SurfaceMesh) else geometry.n_locations
    if n_rows not in (whole, geometry.n_locations):
        shape = (n_rows, select(np.arange(0)).n_time)
        raise _mesh_error(compartment, atlas, whole, shape)
    if isinstance(geometry, SurfaceMesh) and n_rows == whole:
        return select(geometry.vertices)
    return select(np.arange(n_rows))


def _array(values: np.ndarray, atlas: Atlas, compartment: str) -> DataSource:
    """Return values (locations, ...) or (vertices, ...) of one compartment."""
    rows = values if values.ndim else values[None]
    return _rows(lambda at: rows_source(rows[at]), len(rows), atlas, compartment)


def _split(values: np.ndarray, atlas: Atlas) -> dict[str, DataSource]:
    if values.ndim not in (1, 2) or values.shape[0] != atlas.n_locations:
        turned = values.ndim == 2 and values.shape[1] == atlas.n_locations
        raise ArgumentError(
            "data",
            f"should be an array (locations, time) with {atlas.n_locations} locations, "
            f"got shape {values.shape}",
            "Time seems to come first: pass `data.T`" if turned else "",
        )
    values = values.reshape(atlas.n_locations, -1)
    return {
        c: DataSource(
            part.stop - part.start,
            values.shape[1],
            lambda span, part=part: floating(values[part, span]),
        )
        for c, part in atlas.location_slices().items()
    }


def _surface(stated: str, side: str, atlas: Atlas, source: Input) -> str:
    """Return the surface of an atlas that data belong to.

    They state the compartment `stated` or none, and they or their name `side` or none.
    """
    surfaces = {c: g.hemisphere for c, g in atlas.geometry.items() if isinstance(g, SurfaceMesh)}
    wanted = stated or COMPARTMENTS.get(side)
    if wanted in surfaces:
        return wanted
    able = [c for c, own in surfaces.items() if not side or own in ("", side)]
    able = [c for c in able if not (stated and is_structure(c))]
    if len(able) == 1:
        return able[0]
    own = f"is of {wanted!r}" if wanted else "does not state its hemisphere"
    raise ArgumentError(
        "data",
        f": {source} {own}, where {atlas.name!r} has the surfaces {list(surfaces)}",
        "say which it is of, as " + Value({"cortex_L": Path}),
    )


def _grid_problem(got: VolumeGrid, expected: VolumeGrid, atlas: Atlas) -> str:
    return (
        f"is on another grid than {atlas.name!r}: shape {got.shape} and affine "
        f"{np.round(got.affine, 4).tolist()}, where the atlas has {expected.shape} and "
        f"{np.round(expected.affine, 4).tolist()}"
    )


def _mesh_error(compartment: str, atlas: Atlas, expected: object, got: object) -> ArgumentError:
    return ArgumentError(
        "data",
        f"of {compartment!r} is on another mesh than {atlas.name!r} in {atlas.space}: "
        f"expected {expected} rows (or the {atlas.geometry[compartment].n_locations} kept ones), "
        f"got {got}",
        "Load the atlas in the data's space, or move it by "
        + Call("ai.resample", "atlas", "other")
        + " to the meshes of an atlas there, or the data by `wb_command -metric-resample`",
    )
