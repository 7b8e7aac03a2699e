"""Series of volumes, read by chunks of time at the voxels that are wanted."""

import itertools
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import nibabel as nb
import numpy as np
from nibabel.arrayproxy import ArrayProxy
from nibabel.openers import ImageOpener

from atlasinit.core.geometry import SurfaceMesh, VolumeGrid
from atlasinit.errors import ArgumentError
from atlasinit.io.formats.grids import is_line
from atlasinit.io.input import is_plain
from atlasinit.io.values import Block, DataSource, floating, rows_source

_READ_VOXELS = 2**24  # of whole volumes at once


def block_of(image: Any) -> Block:
    """Return the data of an image, of which nothing is read yet.

    Raises
    ------
    ValueError
        An image of another number of axes than 3 or 4, unless it holds values of vertices.
    """
    shape = tuple(int(size) for size in image.shape)
    if len(shape) in (3, 4):
        return Block(VolumeGrid(shape[:3], image.affine), lambda at: _select(image, at))
    if is_line(shape):
        rows = np.asarray(image.dataobj).reshape(max(shape[:3]), -1)
        return Block(SurfaceMesh(len(rows)), lambda at: rows_source(rows[at]))
    raise ArgumentError("data", f"should be a 3-D or 4-D image, got shape {shape}")


def _select(image: Any, voxels: np.ndarray) -> DataSource:
    shape = tuple(int(size) for size in image.shape)
    grid = VolumeGrid(shape[:3], image.affine, voxels)
    stored, slope, inter = _unscaled(image.dataobj)
    n_time = shape[3] if len(shape) == 4 else 1

    def read(span: slice) -> np.ndarray:
        if len(shape) == 3:
            values = floating(grid.take(np.asanyarray(stored)).reshape(grid.n_locations, 1))
        else:
            spans = _spans(stored, span)
            parts = (floating(grid.take(_volumes(stored, s))) for s in spans)
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
    """Return whether a file is no compressed one."""
    known = ImageOpener.compress_ext_map
    if isinstance(file, str | os.PathLike):
        return Path(file).suffix.lower() not in known
    return is_plain(file)


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
    # Kept open, a compressed file is read once from beginning to end, not anew for each chunk.
    spec = (proxy.shape, proxy.dtype, proxy.offset)
    stored = ArrayProxy(proxy.file_like, spec, keep_file_open=True)
    return stored, float(proxy.slope), float(proxy.inter)
