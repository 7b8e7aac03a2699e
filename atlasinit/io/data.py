"""Data on disk or in memory, matched with an atlas and read a stretch of time at a go."""

import dataclasses
import itertools
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import nibabel as nb
import numpy as np
from nibabel.arrayproxy import ArrayProxy
from nibabel.cifti2 import BrainModelAxis, Cifti2Image
from nibabel.openers import ImageOpener

from atlasinit.core.atlas import Atlas
from atlasinit.core.geometry import (
    Geometry,
    SurfaceMesh,
    VolumeGrid,
)
from atlasinit.core.labels import hemisphere_of
from atlasinit.errors import AtlasFileError
from atlasinit.io.bids.names import side_of
from atlasinit.io.contents import COMPARTMENTS
from atlasinit.io.files import existing, extension, open_image, reading
from atlasinit.io.formats import freesurfer, gifti
from atlasinit.io.formats.brain_models import is_structure, read_brain
from atlasinit.io.memory import SurfaceImage, hemispheres
from atlasinit.support.typing import PathLike

_READ_VOXELS = 2**24  # of whole volumes at once


@dataclasses.dataclass(frozen=True)
class DataSource:
    """Data of all locations of an atlas that is read by stretches of time.

    Parameters
    ----------
    n_locations, n_time
        Its shape; `n_time` is 1 for a single map.
    read
        Takes a slice of time, returns a floating array (locations, time).
    """

    n_locations: int
    n_time: int
    read: Callable[[slice], np.ndarray]

    def all(self) -> np.ndarray:
        """Return everything (locations, time)."""
        return self.read(slice(0, self.n_time))


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
        raise ValueError(
            f"`data` holds nothing for {missing}; pass data of every compartment, files of several "
            f"as a tuple{instead}."
        )
    lengths = {c: parts[c].n_time for c in atlas.compartments}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"`data` should have one number of time points, got {lengths}.")
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
            raise ValueError(f"`data`: compartments are {list(atlas.compartments)}, got {unknown}.")
        return {c: _one(value, atlas.select(compartments=c), c) for c, value in data.items()}
    if isinstance(data, str | os.PathLike):
        return _file_parts(data, atlas, side=side_of(data))
    if isinstance(data, SurfaceImage):
        return {c: _array(values, atlas, c) for c, values in hemispheres(data).items()}
    if isinstance(data, Sequence):
        parts: dict[str, DataSource] = {}
        for item in data:
            own = _parts(item, atlas)
            twice = [c for c in own if c in parts]
            if twice:
                raise ValueError(
                    f"`data` holds {twice[0]!r} twice; pass each compartment once, and several "
                    "images to `AtlasMasker` as a list."
                )
            parts.update(own)
        return parts
    if hasattr(data, "header"):
        return _image_parts(data, atlas)
    return _split(np.asarray(data), atlas)


def _one(value: Any, atlas: Atlas, compartment: str) -> DataSource:
    """Return what a mapping holds for the only compartment of `atlas`."""
    if isinstance(value, str | os.PathLike):
        return _file_parts(value, atlas)[compartment]
    if hasattr(value, "header"):
        return _image_parts(value, atlas)[compartment]
    return _array(np.asarray(value), atlas, compartment)


def _file_parts(path: PathLike, atlas: Atlas, *, side: str = "") -> dict[str, DataSource]:
    """Return the parts of a file, whose name states that it is of `side`, or no side."""
    if freesurfer.is_morphometry(existing(path)):
        c = _surface("", side, atlas, path)
        return {c: _array(freesurfer.read_values(path).T, atlas, c)}
    parts = _image_parts(_load(path), atlas, path, side=side)
    return {c: _guarded(source, path) for c, source in parts.items()}


def _guarded(source: DataSource, path: PathLike) -> DataSource:
    """Return `source` with errors of reading that name the file: images are read when asked for."""

    def read(span: slice) -> np.ndarray:
        with reading(path, "an image"):
            return source.read(span)

    return dataclasses.replace(source, read=read)


def _load(path: str | os.PathLike) -> Any:
    with reading(path, "an image") as found:
        if extension(found) in (".csv", ".txt", ".tsv"):
            raise AtlasFileError(
                f"{found}: is a table; pass an image or an array (locations, time)."
            )
        try:
            return open_image(found)
        except ValueError as error:
            if "CIFTI-2" in str(error):
                raise AtlasFileError(
                    f"{found}: is CIFTI-1; convert it with "
                    "`wb_command -file-convert -cifti-version-convert IN 2 OUT`."
                ) from error
            raise


def _image_parts(
    image: Any, atlas: Atlas, path: PathLike = "the image", *, side: str = ""
) -> dict[str, DataSource]:
    if isinstance(image, Cifti2Image):
        return _cifti(image, atlas, path)
    if isinstance(image, nb.GiftiImage):
        stated = gifti.structure_of(image)
        c = _surface(stated, hemisphere_of("", stated) or side, atlas, path)
        return {c: _array(gifti.values_of(image, path).T, atlas, c)}
    grids = [c for c, g in atlas.geometry.items() if isinstance(g, VolumeGrid)]
    if not grids and max(image.shape[:3]) == np.prod(image.shape[:3]):
        # A surface overlay in a volume format: the vertices lie along one axis, time along the 4th.
        values = np.asarray(image.dataobj).reshape(max(image.shape[:3]), -1)
        c = _surface("", side, atlas, path)
        return {c: _array(values, atlas, c)}
    if not grids:
        raise ValueError(
            f"`data` is a volume, but {atlas.name!r} has only surfaces: "
            f"{list(atlas.compartments)}; sample it on them first, as by "
            "`nilearn.surface.vol_to_surf`."
        )
    if len(grids) > 1:
        raise ValueError(
            f"`data` is a volume, but {atlas.name!r} has several: {grids}; say which it is of, as "
            f'{{"{grids[0]}": path}}.'
        )
    return {grids[0]: _volume(image, atlas, grids[0])}


def _volume(image: Any, atlas: Atlas, compartment: str) -> DataSource:
    grid = atlas.geometry[compartment]
    assert isinstance(grid, VolumeGrid)
    shape = tuple(image.shape)
    if len(shape) not in (3, 4):
        raise ValueError(f"`data` should be a 3-D or 4-D image, got shape {shape}.")
    other = VolumeGrid(shape[:3], image.affine, [])
    if not grid.same_grid(other):
        raise ValueError(
            f"{_grid_message(other, grid, atlas)} Move the atlas by `ai.resample(atlas, image)` "
            "or the data by `nilearn.image.resample_img`."
        )

    stored, slope, inter = _unscaled(image.dataobj)
    n_time = shape[3] if len(shape) == 4 else 1

    def read(span: slice) -> np.ndarray:
        if len(shape) == 3:
            values = _floating(grid.take(np.asanyarray(stored)).reshape(grid.n_locations, 1))
        else:
            spans = _spans(stored, span)
            parts = (_floating(grid.take(_volumes(stored, s))) for s in spans)
            values = next(parts) if len(spans) == 1 else _joined(parts, spans)
        if (slope, inter) != (1, 0):
            values *= slope
            values += inter
        return values

    return DataSource(grid.n_locations, n_time, read)


def _volumes(stored: Any, span: slice) -> np.ndarray:
    """Return the volumes of a span, mapped where they lie uncompressed in a file."""
    if type(stored) is ArrayProxy and _is_plain(stored.file_like):
        # Mapped anew each time, so that what was read of it can be let go.
        return np.asanyarray(stored)[..., span]
    return np.asanyarray(stored[..., span])


def _is_plain(file: Any) -> bool:
    """Return whether a file is a path, of no compressed file."""
    known = ImageOpener.compress_ext_map
    return isinstance(file, str | os.PathLike) and Path(file).suffix.lower() not in known


def _spans(stored: Any, span: slice) -> list[slice]:
    """Return `span` in parts: of a file, whole volumes are read for the voxels of an atlas."""
    if not nb.is_proxy(stored):
        return [span]
    start, stop, _ = span.indices(stored.shape[3])
    step = max(1, _READ_VOXELS // int(np.prod(stored.shape[:3])))
    edges = [*range(start, stop, step), stop]
    return [slice(*pair) for pair in itertools.pairwise(edges)] or [span]


def _joined(parts: Iterator[np.ndarray], spans: Sequence[slice]) -> np.ndarray:
    """Return the parts (locations, time) of `spans` side by side, of which one exists at a time."""
    first = next(parts)
    start = spans[0].start
    out = np.empty((len(first), spans[-1].stop - start), first.dtype)
    for part, span in zip(itertools.chain([first], parts), spans, strict=True):
        out[:, span.start - start : span.stop - start] = part
    return out


def _unscaled(proxy: Any) -> tuple[Any, float, float]:
    """Return an image's numbers as stored, and the slope and intercept that scale them.

    nibabel scales whole volumes in float64; the few voxels of an atlas need less memory.
    """
    if type(proxy) is not ArrayProxy:
        return proxy, 1.0, 0.0
    # Kept open, a compressed file is read once from beginning to end, not anew for each stretch.
    spec = (proxy.shape, proxy.dtype, proxy.offset)
    stored = ArrayProxy(proxy.file_like, spec, keep_file_open=True)
    return stored, float(proxy.slope), float(proxy.inter)


def _cifti(image: Cifti2Image, atlas: Atlas, path: PathLike) -> dict[str, DataSource]:
    if not isinstance(image.header.get_axis(1), BrainModelAxis):
        raise ValueError("`data` should have a dense axis (dtseries or dscalar); it has parcels.")
    geometries, where = read_brain(image, path)
    parts = {}
    for c, geometry in atlas.geometry.items():
        if c not in geometries:
            continue
        order = _order(geometries[c], geometry, atlas, c)
        if (order < 0).any():
            raise ValueError(
                f"`data` lacks {(order < 0).sum()} of the {order.size} locations of {c!r}; "
                "load the atlas with the data's mask."
            )
        parts[c] = _columns(image, np.arange(image.shape[1])[where[c]][order])
    return parts


def _order(have: Geometry, wanted: Geometry, atlas: Atlas, compartment: str) -> np.ndarray:
    """Return where each wanted location lies among those that the data have, -1 for nowhere."""
    if isinstance(have, SurfaceMesh) and isinstance(wanted, SurfaceMesh):
        if have.n_vertices != wanted.n_vertices:
            raise ValueError(_mesh_message(compartment, atlas, wanted.n_vertices, have.n_vertices))
        return wanted.take(have.locations)
    if isinstance(have, VolumeGrid) and isinstance(wanted, VolumeGrid):
        if not have.same_grid(wanted):
            raise ValueError(
                f"{_grid_message(have, wanted, atlas)} Move the atlas by `ai.resample` onto one "
                "loaded for the data's space, or the data by `wb_command -cifti-resample`."
            )
        return wanted.take(have.locations)
    raise ValueError(f"`data` has {have!r} for {compartment!r}, where the atlas has {wanted!r}.")


def _columns(image: Cifti2Image, columns: np.ndarray) -> DataSource:
    # A compartment's columns lie together in the file, where they are read without the others.
    first, last = columns.min(initial=image.shape[1]), columns.max(initial=-1) + 1

    def read(span: slice) -> np.ndarray:
        return _floating(np.asarray(image.dataobj[span, first:last])[:, columns - first].T)

    return DataSource(columns.size, image.shape[0], read)


def _array(values: np.ndarray, atlas: Atlas, compartment: str) -> DataSource:
    """Return values (locations, ...) or (vertices, ...) of one compartment."""
    geometry = atlas.geometry.get(compartment)
    if geometry is None:
        raise ValueError(
            f"`data` holds {compartment!r}, but the compartments are {list(atlas.compartments)}."
        )
    whole = geometry.n_vertices if isinstance(geometry, SurfaceMesh) else geometry.n_locations
    if not values.ndim or values.shape[0] not in (whole, geometry.n_locations):
        raise ValueError(_mesh_message(compartment, atlas, whole, values.shape))
    flat = values.reshape(values.shape[0], -1)
    if isinstance(geometry, SurfaceMesh) and len(flat) == whole:
        flat = geometry.take(flat)
    return DataSource(flat.shape[0], flat.shape[1], lambda span: _floating(flat[:, span]))


def _split(values: np.ndarray, atlas: Atlas) -> dict[str, DataSource]:
    if values.ndim not in (1, 2) or values.shape[0] != atlas.n_locations:
        turned = values.ndim == 2 and values.shape[1] == atlas.n_locations
        raise ValueError(
            f"`data` should be an array (locations, time) with {atlas.n_locations} locations, "
            f"got shape {values.shape}."
            + (" Time seems to come first: pass `data.T`." if turned else "")
        )
    values = values.reshape(atlas.n_locations, -1)
    return {
        c: DataSource(
            part.stop - part.start,
            values.shape[1],
            lambda span, part=part: _floating(values[part, span]),
        )
        for c, part in atlas.location_slices().items()
    }


def _surface(stated: str, side: str, atlas: Atlas, path: PathLike) -> str:
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
    raise ValueError(
        f"`data`: {path} {own}, where {atlas.name!r} has the surfaces {list(surfaces)}; say "
        'which it is of, as {"cortex_L": path}.'
    )


def _grid_message(got: VolumeGrid, expected: VolumeGrid, atlas: Atlas) -> str:
    return (
        f"`data` is on another grid than {atlas.name!r}: shape {got.shape} and affine "
        f"{np.round(got.affine, 4).tolist()}, where the atlas has {expected.shape} and "
        f"{np.round(expected.affine, 4).tolist()}."
    )


def _mesh_message(compartment: str, atlas: Atlas, expected: object, got: object) -> str:
    return (
        f"`data` of {compartment!r} is on another mesh than {atlas.name!r} in {atlas.space}: "
        f"expected {expected} rows (or the {atlas.geometry[compartment].n_locations} kept ones), "
        f"got {got}. Load the atlas in the data's space, or move it by `ai.resample(atlas, other)` "
        "to the meshes of an atlas there, or the data by `wb_command -metric-resample`."
    )


def _floating(values: np.ndarray) -> np.ndarray:
    """Return native floating values; whole numbers become float32."""
    if values.dtype.kind not in "fiub":
        raise ValueError(f"`data` should be real numbers, got dtype {values.dtype}.")
    kind = values.dtype.newbyteorder("=") if values.dtype.kind == "f" else np.float32
    return np.ascontiguousarray(values, dtype=kind)
