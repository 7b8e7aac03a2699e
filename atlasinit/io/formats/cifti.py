"""CIFTI-2 dense labels, scalars and series: cortices and subcortical voxels in one file."""

import dataclasses
import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
from nibabel.cifti2 import Cifti2Image, LabelAxis, ScalarAxis, SeriesAxis
from nibabel.cifti2.cifti2 import Cifti2MetaData

from atlasinit.core.atlas import Atlas
from atlasinit.core.geometry import Geometry
from atlasinit.core.maps import block_dense
from atlasinit.errors import AtlasFileError, listing
from atlasinit.io.colors import colors_of, from_hex, to_hex
from atlasinit.io.contents import (
    Kind,
    LabelRow,
    Part,
)
from atlasinit.io.files import existing, extension, reading, unlogged
from atlasinit.io.formats.brain_models import (
    Columns,
    brain_axis,
    read_brain,
)
from atlasinit.io.formats.hemispheres import (
    check_hard,
    chosen,
    map_rows,
    weights,
)
from atlasinit.io.keys import as_keys
from atlasinit.io.own_header import (
    KEY,
    Header,
    check_finite,
    check_names,
    file_keys,
    pack_metadata,
    restored,
    unpack_metadata,
)
from atlasinit.support.typing import PathLike
from atlasinit.support.writing import atomic_write

# The entry of key 0, as Workbench names it.
_NONE = "???"
_INTENTS = {
    ".dlabel.nii": "NIFTI_INTENT_CONNECTIVITY_DENSE_LABELS",
    ".dscalar.nii": "NIFTI_INTENT_CONNECTIVITY_DENSE_SCALARS",
}


def is_cifti(path: PathLike) -> bool:
    """Whether a file is CIFTI of any version, whatever its name: by the NIfTI-2 intent code."""
    head = _head(existing(path))
    return len(head) >= 540 and 3000 <= _integer(head, 504, "i4") < 3100


def read_parts(
    path: PathLike, *, compartment: str | None, kind: Kind, map: str | int | None
) -> list[Part]:
    """Return a part for each compartment of a dlabel, dscalar or dtseries file.

    The left and right cortex are ``cortex_L`` and ``cortex_R``, other surface
    structures have their own names, as ``cerebellum_L``; all voxels together are
    ``subcortex``, in the order of the file. They share one label table. Of maps
    each compartment has those that are not zero throughout it.

    Parameters
    ----------
    path
        Any CIFTI-2 file with brain models along its rows.
    compartment
        Take only this one.
    kind
        ``"auto"`` takes a dlabel, and a single map of whole numbers, for labels.
    map
        Name or 0-based number of the map to take; needed for labels where there
        are several.

    Raises
    ------
    AtlasFileError
        CIFTI-1; a file without brain models (pscalar, ptseries, pconn, ...); an
        unreadable or truncated file; an unknown map or compartment.
    """
    image = _load(path)
    header = _header(image, path)
    geometry, where = read_brain(image, path, names=_names_of(header))
    if compartment is not None and compartment not in geometry:
        raise AtlasFileError(f"{path}: has no {compartment!r}, only {listing(geometry)}.")
    axis = image.header.get_axis(0)
    values = _values(image, path)
    names = _map_names(axis)
    labelled = isinstance(axis, LabelAxis)
    hard, index = chosen(values, names, path, kind=kind, map=map, labelled=labelled)
    if hard:
        keys = as_keys(values[index[0]], path)
        parts = {c: Part(c, g, keys=keys[where[c]]) for c, g in geometry.items()}
        rows = _label_rows(axis, index[0])
    else:
        parts, rows = _map_parts(values, names, index, geometry, where)
    parts = {c: dataclasses.replace(part, rows=rows) for c, part in parts.items()}
    if header is not None:
        order = {c: i for i, c in enumerate(header.compartments)}
        ranked = sorted(parts, key=lambda c: order.get(c, len(order)))
        parts = {c: restored(parts[c], header) for c in ranked}
    return [part for c, part in parts.items() if compartment in (None, c)]


def read_header(path: PathLike) -> Header | None:
    """Return the atlasinit header of a file, None where another program wrote it."""
    with reading(path, "a CIFTI-2 file") as found:
        xml = _head(found).partition(b"<CIFTI")
        # The matrix's metadata come first; parsing ends before the long lists of locations.
        for _, element in ElementTree.iterparse(io.BytesIO(b"".join(xml[1:]))):
            if element.tag == "MD" and element.findtext("Name") == KEY:
                return unpack_metadata(element.findtext("Value", ""), found)
            if element.tag in ("MetaData", "MatrixIndicesMap"):
                break
    return None


def write(atlas: Atlas, path: PathLike, *, overwrite: bool = False) -> list[Path]:
    """Write an atlas as CIFTI-2, with brain models of its kept vertices and voxels.

    ``.dlabel.nii`` holds hard labels with their keys, key 0 where there is none,
    and the table of names and colours. ``.dscalar.nii`` holds one float32 map a
    parcel, named after it, zero outside the parcel's compartment. The atlas's name,
    space, provenance and further columns go into the matrix's metadata; surfaces
    fit into no CIFTI file.

    Raises
    ------
    ValueError
        Another extension, soft maps for ``.dlabel.nii``, a compartment that is no
        CIFTI structure, voxels whose structures are not known, names with control
        characters, or that of no parcel, ``???``.
    """
    ending = extension(path)
    if ending not in _INTENTS:
        raise ValueError(f"`path` should end in {' or '.join(_INTENTS)}, got {path}.")
    labelled = ending == ".dlabel.nii"
    if labelled:
        check_hard(atlas, path, ".dscalar.nii")
    check_names(atlas, path, background=_NONE if labelled else None)
    check_finite(atlas, path)
    brain = brain_axis(atlas.geometry, path)
    values, axis, keys = (_labels if labelled else _scalars)(atlas, path)
    image = Cifti2Image(values, header=(axis, brain))
    nifti: Any = image.nifti_header
    nifti.set_intent(_INTENTS[ending])
    header = pack_metadata(atlas, file_keys=keys)
    image.header.matrix.metadata = Cifti2MetaData({KEY: header})
    with atomic_write(path, overwrite=overwrite) as temporary:
        image.to_filename(temporary)
    return [Path(path).expanduser()]


def _load(path: PathLike) -> Cifti2Image:
    """Return an image whose columns are brain models and whose rows are maps."""
    with reading(path, "a CIFTI-2 file") as found:
        if _version(found) == "1":
            raise AtlasFileError(
                f"{found}: is CIFTI-1, which is not read; convert it with "
                "`wb_command -file-convert -cifti-version-convert IN 2 OUT`."
            )
        with unlogged():
            image = Cifti2Image.from_filename(found)
        axes = [image.header.get_index_map(d).indices_map_to_data_type for d in range(image.ndim)]
        kinds = [axis.removeprefix("CIFTI_INDEX_TYPE_").lower() for axis in axes]
    if kinds[1:] != ["brain_models"] or kinds[0] not in ("labels", "scalars", "series"):
        raise AtlasFileError(
            f"{path}: should be a dense label, scalar or series file, which says where each value "
            f"lies; its axes are {' x '.join(kinds)}, so it holds no parcel's locations. "
            "Give the dlabel file that it was made with."
        )
    return image


def _version(path: Path) -> str:
    """Return the version that the XML of a file states, or ""."""
    found = re.search(rb'<CIFTI\b[^>]*\bVersion="(\d+)', _head(path)[:4096])
    return found[1].decode() if found else ""


def _head(path: Path) -> bytes:
    """Return the NIfTI-2 header, of 540 bytes, and the XML after it; nothing of other files."""
    with path.open("rb") as stream:
        head = stream.read(540)
        if len(head) < 540 or _integer(head, 0, "i4") != 540:
            return b""
        return head + stream.read(min(_integer(head, 168, "i8") - 540, path.stat().st_size))


def _integer(head: bytes, at: int, kind: str) -> int:
    """Return a number of a NIfTI-2 header, in the order of bytes of its first number, 540."""
    order = "<" if head[:4] == (540).to_bytes(4, "little") else ">"
    return int(np.frombuffer(head, order + kind, 1, at)[0])


def _values(image: Cifti2Image, path: PathLike) -> np.ndarray:
    with reading(path, "a CIFTI-2 file"):
        return np.asanyarray(image.dataobj)


def _header(image: Cifti2Image, path: PathLike) -> Header | None:
    text = (image.header.matrix.metadata or {}).get(KEY)
    return None if text is None else unpack_metadata(text, path)


def _names_of(header: Header | None) -> tuple[str, ...]:
    return header.compartments if header else ()


def _map_names(axis: LabelAxis | ScalarAxis | SeriesAxis) -> list[str]:
    if isinstance(axis, SeriesAxis):
        return [f"{time:g} {str(axis.unit).lower()}" for time in axis.time]
    return [str(name) or f"map-{i}" for i, name in enumerate(axis.name)]


def _label_rows(axis: object, number: int) -> tuple[LabelRow, ...] | None:
    if not isinstance(axis, LabelAxis):
        return None
    entries = axis.label[number].items()
    return tuple(LabelRow(int(k), name, to_hex(rgba)) for k, (name, rgba) in entries)


def _map_parts(
    values: np.ndarray,
    names: Sequence[str],
    index: Sequence[int],
    geometry: Mapping[str, Geometry],
    where: Mapping[str, Columns],
) -> tuple[dict[str, Part], tuple[LabelRow, ...]]:
    """Return the parts of maps, each with the maps that are not zero throughout, and the rows."""
    parts = {}
    for c, g in geometry.items():
        block = values[:, where[c]]
        used = [i for i in index if (block[i] != 0).any()]
        keys, _ = map_rows(names, used)
        parts[c] = Part(c, g, maps=weights(block[used]), map_keys=keys)
    return parts, map_rows(names, index)[1]


def _labels(atlas: Atlas, path: PathLike) -> tuple[np.ndarray, LabelAxis, list[int]]:
    keys = file_keys(atlas.table, path)
    colors = [(*from_hex(color), 1.0) for color in colors_of(atlas.table)]
    entries = zip(keys, atlas.table["name"], colors, strict=True)
    label = {0: (_NONE, (1.0, 1.0, 1.0, 0.0)), **{k: (name, rgba) for k, name, rgba in entries}}
    # Rows of the whole table; the last entry is the background's, for index -1.
    numbers = np.array([*keys, 0], np.int32)
    columns = []
    for c, maps in atlas.maps.items():
        index = np.asarray(maps.harden().labels)
        start = atlas.table.rows_of(c).start
        columns.append(numbers[np.where(index < 0, -1, index + start)])
    return np.concatenate(columns)[None], LabelAxis([atlas.name], [label]), keys


def _scalars(atlas: Atlas, path: PathLike) -> tuple[np.ndarray, ScalarAxis, list[int]]:
    del path
    values = block_dense(atlas.maps.values())
    return values, ScalarAxis(list(atlas.table["name"])), list(range(1, atlas.n_parcels + 1))
