"""Data on disk or in memory, matched with an atlas and read by chunks of time."""

import dataclasses
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from nibabel.filebasedimages import FileBasedImage

from atlasinit.core.atlas import Atlas
from atlasinit.core.checking import check_atlas
from atlasinit.core.geometry import SurfaceMesh, VolumeGrid
from atlasinit.core.maps import has_weight
from atlasinit.errors import (
    ArgumentError,
    ArgumentTypeError,
    AtlasFileError,
    Call,
    Passing,
    Value,
)
from atlasinit.io.agreement import (
    check_space,
    check_surface,
    find_locations,
    find_surface,
    mesh_problem,
)
from atlasinit.io.bids.names import side_of
from atlasinit.io.contents import is_line
from atlasinit.io.files import parsing
from atlasinit.io.formats.hemispheres import check_name
from atlasinit.io.formats.registry import read_values
from atlasinit.io.input import Input, SurfaceImage, sides_of
from atlasinit.io.mesh_identity import check_meshes
from atlasinit.io.meshes import halves_of
from atlasinit.io.values import Block, DataSource, Select, Sums, Values, floating, rows_source
from atlasinit.projection.reductions import find_reduction

if TYPE_CHECKING:
    from scipy.sparse import csr_array


def open_data(
    data: Any, atlas: Atlas, *, reduction: Any = "mean", data_space: Any = None
) -> DataSource:
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
        does (``hemi-L``, ``lh.``, ``.L.``) unless it is in a mapping. Or what this
        function returned, as it is.
    atlas
        The atlas whose locations are wanted, in its order.
    reduction
        What will be computed of the data, as for `atlasinit.project`. Files of labels (by their
        intent, their table or their name) are opened for ``"mode"`` and functions of your own
        alone: the mean of labels is none.
    data_space
        The space that the data are in, where their names (``space-``, ``tpl-``) or headers
        state none or a wrong one.

    Returns
    -------
    DataSource
        CIFTI data need only the locations where a parcel has weight; those of them that
        they lack are NaN. Voxels may be stored in another direction than the atlas's.

    Raises
    ------
    ValueError
        Labels, for a reduction to which numbers are amounts.
        Another space (both are named), grid (both affines or shapes) or mesh (both vertex
        counts), another hemisphere, or a compartment without data or with it twice.
    AtlasFileError
        A file that cannot be read.
    """
    check_atlas(atlas)
    if isinstance(data, DataSource):
        return _check_opened(data, atlas)
    if data_space is not None:
        if not isinstance(data_space, str):
            raise ArgumentTypeError("data_space", f"should be a str, got {data_space!r}")
        check_space(data_space, atlas, "`data_space`")
    parts = _parts(data, atlas, data_space)
    # Every part is (locations, time). Those of an atlas lie one below the other, in its order.
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
    labelled = next(filter(None, (source.labelled for source in sources)), "")
    if labelled and not find_reduction(reduction).of_labels:
        raise ArgumentError(
            "data",
            f": {labelled} holds labels, numbers that name something, so that their "
            f"{find_reduction(reduction).name} means nothing",
            "pass " + Passing(reduction="mode") + " for the label of most locations of a parcel",
        )
    if len(sources) == 1:
        return sources[0]
    outside = [s.outside for s in sources if s.outside is not None]
    return DataSource(
        atlas.n_locations,
        sources[0].n_time,
        lambda span: np.concatenate([source.read(span) for source in sources]),
        np.concatenate([s.is_outside for s in sources]) if outside else None,
        labelled,
    )


def _check_opened(data: DataSource, atlas: Atlas) -> DataSource:
    # Their numbers are all that can be compared: a source does not know where its locations lie.
    if data.n_locations != atlas.n_locations:
        raise ArgumentError(
            "data",
            f"was opened for another atlas: it has {data.n_locations} locations, {atlas.name!r} "
            f"has {atlas.n_locations}",
        )
    return data


def _parts(data: Any, atlas: Atlas, space: str | None) -> dict[str, DataSource]:
    if isinstance(data, Mapping):
        unknown = [c for c in data if c not in atlas.compartments]
        if unknown:
            raise ArgumentError(
                "data", f": compartments are {list(atlas.compartments)}, got {unknown}"
            )
        # Each is matched with its own compartment alone, so that a CIFTI file, which holds several,
        # may be given for any of them.
        each = ((c, value, atlas.select(compartments=c)) for c, value in data.items())
        return {c: _one(value, own, c, space) for c, value, own in each}
    if isinstance(data, str | os.PathLike | FileBasedImage):
        # Not closed here: the values are read later, by chunks of time.
        source = Input(data)
        return _read_parts(source, atlas, space, side=side_of(source.name))
    if isinstance(data, SurfaceImage):
        # Data may have more sides than the atlas.
        sides = {c: source for c, source in sides_of(data).items() if c in atlas.geometry}
        meshes = {c: source.stated.mesh for c, source in sides.items() if source.stated.mesh}
        check_meshes(meshes, atlas.geometry, argument="data", name=repr(atlas.name))
        return {c: _array(source.content, atlas, c) for c, source in sides.items()}
    if isinstance(data, Sequence):
        parts: dict[str, DataSource] = {}
        for item in data:
            own = _parts(item, atlas, space)
            twice = [c for c in own if c in parts]
            if twice:
                raise ArgumentError(
                    "data",
                    f"holds {twice[0]!r} twice",
                    "pass each compartment once, and several images or runs as a list, which "
                    "`AtlasMasker` and `refine` take",
                )
            parts.update(own)
        return parts
    return _split(np.asarray(data), atlas)


def _one(value: Any, atlas: Atlas, compartment: str, space: str | None) -> DataSource:
    """Return what a mapping holds for the only compartment of `atlas`."""
    if not isinstance(value, str | os.PathLike | FileBasedImage):
        return _array(np.asarray(value), atlas, compartment)
    source = Input(value)
    # Whose name may state anything: the mapping says which side it is of.
    parts = _read_parts(source, atlas, space, side="", given=compartment)
    if compartment not in parts:
        raise ArgumentError("data", f": {source} holds nothing for {compartment!r}")
    return parts[compartment]


def _read_parts(
    source: Input, atlas: Atlas, space: str | None, *, side: str, given: str = ""
) -> dict[str, DataSource]:
    """Return the parts of a file or image, whose name states `side`, that is `given` for one."""
    values = read_values(source)
    # What the user says of the space goes before what the file states, which may be wrong.
    if space is None:
        check_space(values.stated.space, atlas, source)
    parts = _match(values, atlas, source, side=side, given=given)
    if values.stated.labels:
        parts = {c: _labelled(part, source) for c, part in parts.items()}
    return {c: _guarded(part, source) for c, part in parts.items()}


def _labelled(part: DataSource, source: Input) -> DataSource:
    """Return data that are labels, which their type has to tell apart."""
    shown = str(source)

    def read(span: slice) -> np.ndarray:
        values = part.read(span)
        highest = np.abs(values).max(initial=0)
        # Floats have every whole number up to this: 16,777,216 in float32.
        if highest > 2 ** (np.finfo(values.dtype).nmant + 1):
            raise AtlasFileError(
                shown,
                f"holds labels up to {highest:.0f}, which {values.dtype} cannot tell apart",
                "renumber them",
            )
        return values

    return dataclasses.replace(part.read_by(read), labelled=shown)


def _guarded(part: DataSource, source: Input) -> DataSource:
    """Return data with errors of reading that name their file: they are read when asked for."""
    shown = str(source)

    def read(span: slice) -> np.ndarray:
        with parsing(shown, "an image"):
            return part.read(span)

    def sums(weights: "csr_array") -> Iterator[np.ndarray]:
        assert part.sums is not None
        with parsing(shown, "an image"):
            yield from part.sums.of(weights)

    if source.path is None:
        return part
    short = None if part.sums is None else Sums(sums, part.sums.dtype)
    return dataclasses.replace(part.read_by(read), sums=short)


def _match(
    values: Values, atlas: Atlas, source: Input, *, side: str, given: str
) -> dict[str, DataSource]:
    if all(block.compartment for block in values.blocks):
        # The blocks are of CIFTI, or of the two hemispheres whose values a file has in a row.
        # Data may have more structures than the atlas.
        asked = [block for block in values.blocks if block.compartment in atlas.geometry]
        if values.stated.mesh is not None:
            halves = halves_of(len(values.stated.mesh.coordinates), values.stated.structure)
            meshes = {c: values.stated.mesh.part(half) for c, half in halves.items()}
            check_meshes(meshes, atlas.geometry, argument="data", name=repr(atlas.name))
        return {b.compartment: _located(b, atlas, b.compartment) for b in asked}
    (block,) = values.blocks
    geometry, stated = block.geometry, values.stated
    grids = [c for c, g in atlas.geometry.items() if isinstance(g, VolumeGrid)]
    on_mesh = isinstance(geometry, SurfaceMesh)
    # A surface overlay in a volume's format: the vertices lie along one axis.
    # Where the atlas has a grid as well, such an image is taken for a volume.
    if on_mesh or (not grids and is_line(geometry.shape)):
        if given:
            check_surface(stated, given, source)
            c = given
        else:
            check_name(source, stated.side, side)
            stated = dataclasses.replace(stated, side=stated.side or side)
            c = find_surface(stated, atlas, source)
        if stated.mesh is not None:
            check_meshes({c: stated.mesh}, atlas.geometry, argument="data", name=repr(atlas.name))
        return {c: _rows(block.select, geometry.n_locations, atlas, c)}
    if not grids:
        raise ArgumentError(
            "data",
            f"is a volume, but {atlas.name!r} has only surfaces: {list(atlas.compartments)}",
            "sample it between white and pial surfaces by "
            + Call("ai.sampling_operator", "grid", "mesh"),
        )
    if len(grids) > 1:
        raise ArgumentError(
            "data",
            f"is a volume, but {atlas.name!r} has several: {grids}",
            "say which it is of, as " + Value({grids[0]: Path}),
        )
    return {grids[0]: _located(block, atlas, grids[0])}


def _located(block: Block, atlas: Atlas, compartment: str) -> DataSource:
    """Return the data of a block at the locations of a compartment.

    Those that the data do not have are NaN where a parcel has weight, so that they are missing
    data as others are, and lie outside where none has.
    """
    order = find_locations(block.geometry, atlas, compartment)
    there = order >= 0
    if there.all():
        return block.select(order)
    part = block.select(order[there])
    weighted = has_weight(atlas.maps[compartment])

    def read(span: slice) -> np.ndarray:
        values = part.read(span)
        out = np.zeros((order.size, values.shape[1]), values.dtype)
        out[weighted] = np.nan
        out[there] = values
        return out

    return DataSource(order.size, part.n_time, read, ~(there | weighted))


def _rows(select: Select, n_rows: int, atlas: Atlas, compartment: str) -> DataSource:
    """Return those of `n_rows` rows, one a vertex or a location, that an atlas wants."""
    geometry = atlas.geometry.get(compartment)
    if geometry is None:
        raise ArgumentError(
            "data", f"holds {compartment!r}, but the compartments are {list(atlas.compartments)}"
        )
    whole = geometry.n_vertices if isinstance(geometry, SurfaceMesh) else geometry.n_locations
    if n_rows not in (whole, geometry.n_locations):
        raise mesh_problem((n_rows, select(np.arange(0)).n_time), atlas, compartment)
    # A mesh that keeps all its vertices may list them in another order. The rows are then taken to
    # be in the order of the mesh.
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
