"""Which module reads a file, and the parts of one file or of several."""

import dataclasses
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from atlasinit.errors import AtlasFileError, listing
from atlasinit.io.bids import reading as bids
from atlasinit.io.bids.names import stem, suffix_of
from atlasinit.io.contents import (
    Kind,
    LabelRow,
    Part,
)
from atlasinit.io.files import existing, extension, open_image, reading
from atlasinit.io.formats import (
    cifti,
    freesurfer,
    gifti,
    nifti,
    vectors,
)
from atlasinit.io.options import ReadOptions
from atlasinit.io.own_header import Header
from atlasinit.support.typing import PathLike

_GRID = (".nii", ".nii.gz", ".mgz", ".mgh")
_TEXT = (".npz", ".npy", ".csv", ".tsv", ".txt")
_KINDS: dict[str, Kind] = {"dseg": "hard", "mask": "hard", "probseg": "maps"}


def read_header(path: Path) -> Header | None:
    """Return the atlasinit header of a file; None where it has none."""
    reader = _reader(path)
    return reader.read_header(path) if reader in (cifti, gifti, nifti) else None


def read_parts(
    paths: Sequence[PathLike],
    compartment: str | None,
    *,
    options: ReadOptions,
) -> list[Part]:
    """Return the parts that files hold, which may be several of one compartment.

    Parameters
    ----------
    paths
        One file, images of a volume with a map each, or files of a mesh.
    compartment
        Their only one; None where the files tell.
    options
        How to read them, none left open; `kind` goes before the suffix of a BIDS name.
    """
    kind, scale, map = options.kind, options.scale, options.map
    readers = [_reader(existing(path)) for path in paths]
    if len(paths) > 1 and all(reader is nifti for reader in readers):
        if kind == "hard" or map is not None:
            raise ValueError(
                "`files`: several images of one volume are a map each, so that `map` and "
                'kind="hard" do not apply.'
            )
        return [nifti.read_stack(paths, compartment=compartment, scale=scale)]
    found: dict[str, list[Part]] = {}
    for path, reader in zip(paths, readers, strict=True):
        if reader is nifti:
            own_kind = _KINDS.get(suffix_of(path), kind) if kind == "auto" else kind
            own = nifti.read_parts(
                path,
                compartment=compartment,
                kind=own_kind,
                map=map,
                scale=scale,
                zeros=options.keeps_background,
                beside=options.takes_own_tables,
            )
        elif scale != "auto":
            raise ValueError(f"`scale` applies to volumes, but {path} is none.")
        else:
            own = reader.read_parts(path, compartment=compartment, kind=kind, map=map)
            if options.takes_own_tables and reader is gifti and own[0].rows is None:
                own = [dataclasses.replace(own[0], rows=bids.rows_for(Path(path)))]
        for part in own:
            found.setdefault(part.compartment, []).append(part)
    return [_stacked(same, paths) for same in found.values()]


def _reader(path: Path) -> Any:
    """Return the module that reads a file, by its name, and by its header where needed."""
    kind = extension(path)
    if kind.endswith((".gii", ".gii.gz")):
        return gifti
    if kind.endswith(".nii") and cifti.is_cifti(path):
        return cifti
    if re.search(r"\.(dlabel|dscalar|dtseries)\.nii\.gz$", path.name):
        raise AtlasFileError(f"{path}: CIFTI-2 is never compressed; unpack it with gunzip.")
    if kind in _GRID:
        return freesurfer if _is_mesh(path) and nifti.read_header(path) is None else nifti
    if kind in _TEXT:
        return vectors
    if kind == ".annot" or path.name.startswith(("lh.", "rh.")):
        return freesurfer
    if kind.endswith(".nii"):
        raise AtlasFileError(f"{path}: is named {kind}, but is not a CIFTI-2 file.")
    raise AtlasFileError(
        f"{path}: its format is not known. Atlases are read from .nii[.gz], .mgz, .label.gii, "
        ".func.gii, .shape.gii, .dlabel.nii, .dscalar.nii, .annot, .csv, .txt, .npy and .npz."
    )


def _is_mesh(path: Path) -> bool:
    """Whether an image holds values a vertex: all but one of its first three sizes are 1."""
    with reading(path, "an image") as found:
        shape = open_image(found).shape
    return bool(sorted((*shape, 1, 1)[:3])[1] == 1)


def _stacked(parts: Sequence[Part], paths: Sequence[PathLike]) -> Part:
    """Return one part of the maps that several files hold for one compartment."""
    if len(parts) == 1:
        return parts[0]
    first = parts[0]
    if len(parts) != len(paths) or any(part.geometry != first.geometry for part in parts):
        raise ValueError(
            f"`files`: {len(paths)} files for {first.compartment!r} should hold a map each on "
            f"one mesh, got {listing(repr(part.geometry) for part in parts)}."
        )
    rows = [_one_map(part, path) for part, path in zip(parts, paths, strict=True)]
    return dataclasses.replace(
        first,
        keys=None,
        maps=np.stack(rows),
        map_keys=tuple(range(1, len(rows) + 1)),
        rows=tuple(LabelRow(i, stem(path)) for i, path in enumerate(paths, start=1)),
    )


def _one_map(part: Part, path: PathLike) -> np.ndarray:
    if part.keys is not None and not np.isin(part.keys, (0, 1)).all():
        raise ValueError(
            f"`files`: {path} holds labels beside other files for {part.compartment!r}; several "
            "files for one compartment should be maps, or 0 and 1."
        )
    row = part.keys if part.keys is not None else part.maps
    assert isinstance(row, np.ndarray)
    if row.ndim == 2 and len(row) > 1:
        raise ValueError(f"`files`: {path} should hold one map, got {len(row)}.")
    return row.reshape(-1).astype(np.float32)
