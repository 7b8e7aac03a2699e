"""Series of volumes, read by chunks of time at the voxels that are wanted."""

import itertools
import math
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nibabel as nb
import numpy as np
from jaxtyping import Float
from nibabel.arrayproxy import ArrayProxy
from nibabel.openers import ImageOpener

from atlasinit.core.geometry import VolumeGrid
from atlasinit.errors import ArgumentError
from atlasinit.io.contents import Stated, is_line
from atlasinit.io.formats.grid_statements import grid_of
from atlasinit.io.input import is_plain
from atlasinit.io.meshes import halves_of, is_sliced
from atlasinit.io.unpacking import Unpacked
from atlasinit.io.values import Block, DataSource, Sums, Values, floating_type, mesh_values
from atlasinit.support.threads import make_ahead, run_in_threads

if TYPE_CHECKING:
    from scipy.sparse import csr_array

# 64 MiB of float32: 18 volumes of the MNI152 at 2 mm, of 91 x 109 x 91 voxels.
_READ_VOXELS = 2**24  # of whole volumes at once
# Sums fill no rows. 8 MiB of int16 stay in the caches, and their memory is used again and again.
_SUM_VOXELS = 2**22
_AHEAD = 8  # of such chunks: what is read while the weights are laid out


def values_of(
    image: Any, stated: Stated, source: object = "`data`", *, read_voxels: int = _READ_VOXELS
) -> Values:
    """Return the data of an image, of which nothing is read yet; `source` is what messages call it.

    Its fourth axis is time, or its fifth where its fourth has one element, as NIfTI stores
    vectors. Vertices in slices, or of both hemispheres, are values of meshes; those in a line
    may be voxels as well. Of a file about `read_voxels` voxels, in whole volumes, are then read
    at once.

    Raises
    ------
    ValueError
        More than four axes with more than one element.
    """
    shape = tuple(int(size) for size in image.shape)
    further = [size for size in shape[3:] if size > 1]
    if len(shape) < 3 or len(further) > 1:
        problem = f"should be a 3-D or 4-D image, got shape {shape}"
        remedy = "choose one of its further axes, as by `image.slicer[:, :, :, :, 0]`"
        raise ArgumentError("data", problem, remedy if further else "")
    n = int(np.prod(shape[:3]))
    if is_sliced(shape) or (is_line(shape) and halves_of(n, stated.structure)):
        # Slices hold the first axis fastest; locations are in C order.
        at = np.arange(n).reshape(shape[:3]).reshape(-1, order="F")
        whole = VolumeGrid(shape[:3], np.eye(4))
        return mesh_values(
            n, lambda vertices: _select(image, whole.restrict(at[vertices]), read_voxels), stated
        )
    grid = grid_of(image, source)
    select = lambda voxels: _select(image, grid.restrict(voxels), read_voxels)  # noqa: E731
    return Values((Block(grid, select),), stated)


def _select(image: Any, grid: VolumeGrid, read_voxels: int) -> DataSource:
    shape = tuple(int(size) for size in image.shape)
    stored, slope, inter = _unscaled(image.dataobj)
    time = next((axis for axis, size in enumerate(shape) if axis > 2 and size > 1), 3)
    n_time = (*shape, 1)[time] if len(shape) > 3 else 1
    unpacked = isinstance(stored, ArrayProxy) and isinstance(stored.file_like, Unpacked)

    def volumes(span: slice) -> np.ndarray:
        if len(shape) == 3:
            return np.asanyarray(stored)[..., None]
        if unpacked:
            return _unpack(stored, span)
        index = [slice(None)] * 3 + [0] * (len(shape) - 3)
        index[time] = span
        return _volumes(stored, tuple(index))

    def read(span: slice) -> np.ndarray:
        spans = _spans(stored, span, n_time, read_voxels)
        parts = (volumes(s) for s in spans)
        values = _taken(grid, make_ahead(parts) if len(spans) > 1 else parts, spans)
        if unpacked and spans[-1].stop == n_time:
            stored.file_like.drain()
        if (slope, inter) != (1, 0):
            values *= slope
            values += inter
        return values

    def sums(weights: "csr_array") -> Iterator[np.ndarray]:
        spans = _spans(stored, slice(0, n_time), n_time, min(read_voxels, _SUM_VOXELS))
        # Reading goes on while the weights are laid out, and then while they are multiplied.
        parts = make_ahead((volumes(s) for s in spans), ahead=_AHEAD)
        matrix = _in_file_order(weights, grid)
        totals = weights.sum(axis=1)[:, None]
        for part in parts:
            # (time, voxels), each volume as it lies in the file.
            flat = part.reshape(-1, part.shape[3], order="F").T
            multiply = lambda x: matrix @ x.astype(np.float64)  # noqa: E731
            # What unpacks a file needs a core, without which all else would wait.
            found = run_in_threads(multiply, zip(flat), spare=int(unpacked))
            yield slope * np.stack(found, axis=1) + inter * totals
        if unpacked:
            stored.file_like.drain()

    # Volumes lie one after the other in a file, and in memory where the last axis is the slowest.
    laid_out = isinstance(stored, np.ndarray) and stored.flags.f_contiguous
    one_by_one = laid_out or isinstance(stored, ArrayProxy)
    short = Sums(sums, floating_type(stored.dtype)) if one_by_one else None
    return DataSource(grid.n_locations, n_time, read, sums=short)


def _in_file_order(weights: "csr_array", grid: VolumeGrid) -> "csr_array":
    """Return weights (parcels, voxels) of all voxels in the order in which an image stores them."""
    from scipy.sparse import csr_array

    # An image has the first axis fastest, a grid the last.
    axes = np.unravel_index(grid.voxels, grid.shape)
    stored = np.ravel_multi_index(axes, grid.shape, order="F").astype(np.int32)
    columns = stored[weights.indices]
    shape = (len(weights.indptr) - 1, int(np.prod(grid.shape)))
    matrix = csr_array((weights.data, columns, weights.indptr), shape=shape)
    # Sums of voxels in the order in which they lie stay in the caches.
    matrix.sort_indices()
    return matrix


def _volumes(stored: Any, index: tuple[Any, ...]) -> np.ndarray:
    """Return the volumes of a span, mapped where they lie uncompressed in a file."""
    if type(stored) is ArrayProxy and _is_plain(stored.file_like):
        # Mapped anew each time, so that what was read of it can be let go.
        return np.asanyarray(stored)[index]
    return np.asanyarray(stored[index])


def _unpack(stored: ArrayProxy, span: slice) -> np.ndarray:
    """Return the volumes (x, y, z, time) of a span of a compressed file, as `ArrayProxy` does.

    What that takes beside unpacking is noticed where nothing else is waited for.
    """
    shape = (*stored.shape[:3], span.stop - span.start)
    # Some headers give NumPy's whole numbers, of few bits.
    volume = math.prod(map(int, shape[:3])) * stored.dtype.itemsize
    file = stored.file_like
    file.seek(int(stored.offset) + span.start * volume)
    found = file.read(shape[3] * volume)
    if len(found) < shape[3] * volume:
        raise EOFError(f"it ends in volume {span.start + len(found) // volume}")
    return np.frombuffer(found, stored.dtype).reshape(shape, order="F")


def _is_plain(file: Any) -> bool:
    """Return whether a file is no compressed one."""
    known = ImageOpener.compress_ext_map
    if isinstance(file, str | os.PathLike):
        return Path(file).suffix.lower() not in known
    return is_plain(file)


def _spans(stored: Any, span: slice, n_time: int, read_voxels: int) -> list[slice]:
    """Return `span` in parts: of a file, whole volumes are read for the voxels of an atlas."""
    # An image without an axis of time is one map, whatever is asked for.
    start, stop, _ = (slice(0, 1) if len(stored.shape) == 3 else span).indices(n_time)
    if not nb.is_proxy(stored):
        return [slice(start, stop)]
    step = max(1, read_voxels // int(np.prod(stored.shape[:3])))
    edges = [*range(start, stop, step), stop]
    return [slice(*pair) for pair in itertools.pairwise(edges)] or [slice(start, stop)]


def _taken(
    grid: VolumeGrid, parts: Iterable[np.ndarray], spans: Sequence[slice]
) -> Float[np.ndarray, "locations time"]:
    """Return the voxels of a grid from volumes (x, y, z, time) of `spans`, side by side."""
    start, n_time = spans[0].start, spans[-1].stop - spans[0].start
    out = np.empty((0, 0), np.float32)
    for part, span in zip(parts, spans, strict=True):
        values = grid.take(part)
        if not out.size:
            out = np.empty((grid.n_locations, n_time), floating_type(values.dtype))
        # Turned and made floating in one step: of a part at a time there is no further copy.
        out[:, span.start - start : span.stop - start] = values
    return out


def _unscaled(proxy: Any) -> tuple[Any, float, float]:
    """Return an image's numbers as stored, and the slope and intercept that scale them.

    nibabel scales whole volumes in float64; the few voxels of an atlas need less memory.
    """
    if type(proxy) is not ArrayProxy:
        return proxy, 1.0, 0.0
    # Kept open, a compressed file is read once from beginning to end, not anew for each chunk.
    spec = (proxy.shape, proxy.dtype, proxy.offset)
    stored = ArrayProxy(proxy.file_like, spec, keep_file_open=True)
    return stored, float(proxy.slope), float(proxy.inter)
