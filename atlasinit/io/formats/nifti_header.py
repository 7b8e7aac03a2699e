"""What NIfTI has no field for, as JSON in a header extension of our own files."""

import dataclasses
import json
import math
from typing import Any

import numpy as np
from nibabel.nifti1 import Nifti1Extension

from atlasinit.core.atlas import Atlas
from atlasinit.core.geometry import VolumeGrid
from atlasinit.errors import AtlasFileWarning, warn
from atlasinit.io.assembly.exact import row_labels
from atlasinit.io.contents import Header, Part
from atlasinit.io.formats.grids import on_grid
from atlasinit.io.own_header import (
    KEY,
    format_runs,
    pack_metadata,
    parse_runs,
    parsing_header,
    unpack_metadata,
)

# NIFTI_ECODE_COMMENT, which is for plain text, as atlasinit has no code of its own. The codes:
# https://nifti.nimh.nih.gov/pub/dist/src/niftilib/nifti1_io.h
_COMMENT = 6


@dataclasses.dataclass(frozen=True)
class OwnHeader:
    """The header that all formats share, and the kept voxels.

    Parameters
    ----------
    header
        Name, space, provenance and labels.
    grid
        The geometry, exactly: NIfTI stores affines as float32 and no mask.
    """

    header: Header
    grid: VolumeGrid


def packed(atlas: Atlas, keys: list[int]) -> Nifti1Extension:
    """Return the header extension for an atlas of one volume whose rows the file calls `keys`."""
    (grid,) = atlas.geometry.values()
    assert isinstance(grid, VolumeGrid)
    fields = json.loads(pack_metadata(atlas, file_keys=keys))
    # Voxels are flat indices in C order, as runs: "0:2 5:2" are 0, 1, 5 and 6. Structures are
    # pairs of a name and how many of these voxels, one after the other, belong to it.
    fields["grid"] = {
        "shape": grid.shape,
        "affine": grid.affine.tolist(),
        "voxels": format_runs(grid.voxels),
        "structures": grid.structures,
    }
    return Nifti1Extension(_COMMENT, json.dumps(fields).encode())


def unpacked(image: Any, path: object) -> OwnHeader | None:
    """Return what `packed` wrote, None for images of other programs."""
    text = own_text(image)
    return _parsed(text, tuple(image.shape[:3]), path) if text else None


def own_text(image: Any) -> str:
    """Return what `packed` wrote as it stands, ``""`` for images of other programs."""
    for extension in getattr(image.header, "extensions", ()):
        if extension.get_code() != _COMMENT:
            continue
        content = extension.get_content()
        text = content if isinstance(content, str) else bytes(content).decode("utf-8", "replace")
        # Extensions are padded to a multiple of 16 bytes.
        text = text.rstrip("\0 ")
        # Other programs leave comments as well; ours begin with the version of the header.
        if text.startswith(f'{{"{KEY}"'):
            return text
    return ""


def restore(part: Part, own: OwnHeader, path: object) -> Part:
    """Return a part read from one of our files with its keys, table and kept voxels.

    Where another program has put the image on another grid, or labelled further
    voxels, the stored voxels are not used, with a warning.
    """
    known = own.header.rows_of(own.header.compartments[0])
    rows = tuple(known.values())
    if part.rows is not None:
        # The table beside the image may have been edited; it uses the file's keys.
        rows = tuple(
            dataclasses.replace(row, key=known[row.key].key if row.key in known else row.key)
            for row in part.rows
        )
    true = [row.key for row in known.values()]
    # The key 0 means no parcel, unless the atlas has a parcel with that key.
    none = -1 if 0 in true else 0
    if part.keys is not None and list(known) != true:
        index = row_labels(part.keys, list(known))
        keys = np.array([*true, none], np.int32)[index]
        keys = np.where((index < 0) & (part.keys != 0), part.keys, keys)
        part = dataclasses.replace(part, keys=keys)
    map_keys = tuple(known[key].key if key in known else key for key in part.map_keys)
    part = dataclasses.replace(part, rows=rows, map_keys=map_keys, background=(none,))
    grid = part.geometry
    if not isinstance(grid, VolumeGrid) or not grid.same_grid(own.grid):
        warn(AtlasFileWarning(path, f"{_STALE} it lies on another grid now"))
        return part
    kept = on_grid(part, own.grid)
    # Fewer are labelled among the kept voxels if some labels lie outside of them.
    if _count(kept, none) != _count(part, none):
        warn(AtlasFileWarning(path, f"{_STALE} others are labelled now"))
        return part
    return kept


_STALE = "the kept voxels that atlasinit noted in its header are not used, as"


def _count(part: Part, none: int) -> int:
    if part.keys is not None:
        return int(np.count_nonzero((part.keys != none) & (part.keys != 0)))
    return part.maps.nnz  # pyright: ignore[reportOptionalMemberAccess, reportAttributeAccessIssue]


def _parsed(text: str, shape: tuple[int, ...], path: object) -> OwnHeader:
    header = unpack_metadata(text, path)
    with parsing_header(path):
        grid = json.loads(text)["grid"]
        own = tuple(grid["shape"])
        # Of another grid than the image's they are not used, however many they are.
        kept = grid["voxels"] if own == shape else ""
        return OwnHeader(
            header,
            VolumeGrid(
                own,
                grid["affine"],
                parse_runs(kept, path, below=math.prod(own)),
                [(name, count) for name, count in grid["structures"]] if kept else (),
            ),
        )
