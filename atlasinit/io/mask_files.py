"""Parcels of an atlas as masks, a file each."""

import dataclasses
import math
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from jaxtyping import Bool

from atlasinit.core.atlas import Atlas
from atlasinit.core.checking import check_atlas
from atlasinit.core.geometry import SurfaceMesh, VolumeGrid
from atlasinit.core.labels import LabelTable, is_home
from atlasinit.core.maps import HardMaps
from atlasinit.core.selection import Parcel, select_rows
from atlasinit.core.uniting import plain_name
from atlasinit.errors import ArgumentError, AtlasFileWarning, format_list, warn
from atlasinit.io.files import extension
from atlasinit.io.formats.freesurfer import write_vertex_list
from atlasinit.io.formats.gifti import write_labels
from atlasinit.io.formats.hemispheres import words_for
from atlasinit.io.formats.nifti_writing import write_mask
from atlasinit.io.own_header import check_texts
from atlasinit.io.tables.workbench import NONE
from atlasinit.support.numbers import take_number
from atlasinit.support.typing import PathLike
from atlasinit.support.writing import atomic_writes, new_folder

WriteMask: TypeAlias = Callable[[Atlas, Path], None]
"""Takes an atlas of one compartment whose one parcel has the key 1, and a path."""

FORMATS: dict[str, tuple[type, WriteMask]] = {
    ".nii.gz": (VolumeGrid, write_mask),
    ".nii": (VolumeGrid, write_mask),
    ".label.gii": (SurfaceMesh, write_labels),
    ".label": (SurfaceMesh, write_vertex_list),
}
"""Ending to what it holds a mask of, and how that is written."""

_LONGEST = 120
"""Bytes of a file name before its number, side and ending: file systems hold 255 of UTF-8."""
# Names of devices, which Windows has in every folder.
_DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)


def save_masks(
    atlas: Atlas,
    folder: PathLike,
    *,
    parcels: Parcel | Iterable[Parcel] | None = None,
    format: str | None = None,
    threshold: float | int = 0,
    overwrite: bool = False,
) -> dict[str, list[Path]]:
    """Write parcels as separate masks of 0 and 1, and return the files of each.

    ==============  ========================================================================
    ``.nii.gz``     of volumes: 1 in the parcel, 0 elsewhere, in bytes
    ``.nii``        the same
    ``.label.gii``  of surfaces: the same at all vertices of a mesh, ``x.L.label.gii``
    ``.label``      of surfaces: FreeSurfer's list of vertices, ``lh.x.label``
    ==============  ========================================================================

    A mask is where the parcel has a positive weight, so that those of soft parcels may overlap.
    Image and GIFTI hold the parcel's name, and the atlas's name, space and provenance, as
    those of `save_atlas` do; `load_atlas` and ``mask=`` read them. A parcel of several
    compartments has a file for each.

    Parameters
    ----------
    atlas
        The atlas.
    folder
        Where the files go; it is made if need be.
    parcels
        Those to write, by default all: names, keys, (compartment, key) pairs, or compiled
        regular expressions that are searched in the names.
    format
        One of the endings; by default ``.nii.gz`` of volumes and ``.label.gii`` of surfaces.
    threshold
        The least weight that belongs to a mask, as 0.5.
    overwrite
        Whether existing files are replaced.

    Returns
    -------
    dict of str to list of pathlib.Path
        Name of a parcel to its files. These are called as the parcel is, with ``-`` for what is
        no letter, digit, dash, dot or underscore; where two would have one file, also where
        case does not count, their keys are added.

    Raises
    ------
    ValueError
        A parcel that the atlas does not have (with the nearest); a format that is none of these,
        or none of a compartment's; a name that the file cannot hold.
    AtlasFileError
        An existing file without `overwrite`; a folder whose parent does not exist, or that
        cannot be written. No file is written then.

    Warns
    -----
    AtlasFileWarning
        Names that files do not have; parcels without a location (of the weight `threshold` or
        more), whose masks are 0 everywhere.
    """
    check_atlas(atlas)
    if format is not None and format not in FORMATS:
        raise ArgumentError("format", f"should be one of {format_list(FORMATS)}, got {format!r}")
    weight = "a weight of 0 or more"
    if not 0 <= take_number(threshold, "threshold", weight) < math.inf:
        raise ArgumentError("threshold", f"should be {weight}, got {threshold}")
    masks = _list_masks(atlas, parcels, format)
    _check_names(atlas, masks)
    with new_folder(folder) as place:
        named = _name_files(masks)
        files = {name: place / name for name in named}
        with atomic_writes(files, overwrite=overwrite) as temporary:
            empty = []
            for name, mask in named.items():
                where = _members(atlas, mask, threshold)
                empty += [] if where.any() else [mask.name]
                write = FORMATS[mask.ending][1]
                write(_single(atlas, mask, where), temporary[name])
        _tell(place, named, empty, threshold)
    found: dict[str, list[Path]] = {}
    for name, mask in named.items():
        found.setdefault(mask.name, []).append(files[name])
    return found


@dataclasses.dataclass(frozen=True)
class Mask:
    """A parcel in one compartment, and what its file is like.

    Parameters
    ----------
    row
        Of the label table.
    compartment
        Where the mask lies.
    name
        Of the parcel.
    key
        Of the parcel.
    called
        What the file is called after: the name, of surfaces without the side in front.
    ending
        Of the file.
    """

    row: int
    compartment: str
    name: str
    key: int
    called: str
    ending: str

    def file_name(self, stem: str) -> str:
        """Return the name of the file, which states the side of a surface."""
        # A parcel `x.dlabel` would make the name of a CIFTI file.
        whole = extension(self.plain_name(stem)) == self.ending
        return self.plain_name(stem if whole else stem.replace(".", "-"))

    def plain_name(self, stem: str) -> str:
        """Return the name of a file, which may be that of another format."""
        if FORMATS[self.ending][0] is VolumeGrid:
            return f"{stem}{self.ending}"
        side, freesurfer = words_for(self.compartment)
        front = self.ending == ".label"
        return f"{freesurfer}.{stem}{self.ending}" if front else f"{stem}.{side}{self.ending}"


def _list_masks(
    atlas: Atlas, parcels: Parcel | Iterable[Parcel] | None, format: str | None
) -> list[Mask]:
    table = atlas.table
    rows = select_rows(
        table,
        atlas.compartments,
        atlas=atlas.name,
        parcels=parcels,
        hemisphere=None,
        network=None,
    )
    if not rows:
        raise ArgumentError("parcels", f"should name parcels of {atlas.name!r}, got none")
    masks = []
    for row in sorted(rows):
        for c in (c for c in atlas.compartments if is_home(table["compartment"][row], c)):
            kind = type(atlas.geometry[c])
            ending = format or next(e for e, (own, _) in FORMATS.items() if own is kind)
            if FORMATS[ending][0] is not kind:
                own = [e for e, (holds, _) in FORMATS.items() if holds is kind]
                raise ArgumentError(
                    "format",
                    f"should be {' or '.join(own)} of {c!r} ({kind.__name__}), got {format!r}",
                    "leave it out for one that fits each compartment",
                )
            name = table["name"][row]
            called = name if kind is VolumeGrid else plain_name(table, row)
            masks.append(Mask(row, c, name, table["key"][row], called, ending))
    return masks


def _check_names(atlas: Atlas, masks: Sequence[Mask]) -> None:
    """Refuse names that a mask's file cannot hold, before anything is written."""
    for mask in masks:
        path = mask.file_name(_make_safe(mask.called, mask.key))
        try:
            check_texts([atlas.name, mask.name], path)
        except ArgumentError as error:
            raise error.of("folder") from error
        if mask.ending == ".label.gii" and mask.name == NONE:
            raise ArgumentError(
                "folder", f": {NONE!r} means no label in {path}, but is a parcel", "rename it"
            )


def _name_files(masks: Sequence[Mask]) -> dict[str, Mask]:
    """Return file name to mask; no two are the same where case does not count."""
    stems = [_make_safe(mask.called, mask.key) for mask in masks]

    def fold(mask: Mask, stem: str) -> str:
        # Some file systems keep no case, others write é as e and an accent.
        return unicodedata.normalize("NFKC", mask.file_name(stem)).casefold()

    seen = Counter(map(fold, masks, stems))
    named: dict[str, Mask] = {}
    taken = {folded for folded, count in seen.items() if count == 1}
    for mask, stem in zip(masks, stems, strict=True):
        if seen[fold(mask, stem)] > 1:
            plain, number = f"{stem}-{mask.key}", 2
            stem = plain
            while fold(mask, stem) in taken:
                stem, number = f"{plain}-{number}", number + 1
            taken.add(fold(mask, stem))
        named[mask.file_name(stem)] = mask
    return named


def _make_safe(name: str, key: int) -> str:
    """Return a name as any file system has it."""
    kept = re.sub(r"[^\w.+-]+", "-", unicodedata.normalize("NFC", name))
    # A dot or dash in front hides a file, or makes an option of it.
    # A letter that the last byte falls into goes as a whole.
    short = kept.strip("-.").encode()[:_LONGEST].decode(errors="ignore")
    kept = short.rstrip("-.") or f"label-{key}"
    return f"{kept}_" if _DEVICES.fullmatch(kept) else kept


def _members(atlas: Atlas, mask: Mask, threshold: float | int) -> Bool[np.ndarray, " locations"]:
    maps = atlas.maps[mask.compartment]
    row = mask.row - atlas.parcel_slices()[mask.compartment].start
    if isinstance(maps, HardMaps):
        return (np.asarray(maps.labels) == row) & (threshold <= 1)
    weights = maps.take_parcels(np.array([row])).to_dense()[0]
    return (weights > 0) & (weights >= threshold)


def _single(atlas: Atlas, mask: Mask, where: Bool[np.ndarray, " locations"]) -> Atlas:
    """Return the atlas of one parcel of key 1, which `where` tells the locations of."""
    c, table = mask.compartment, atlas.table.take([mask.row])
    columns: dict[str, Sequence[Any]] = {title: table[title] for title in table.columns}
    return Atlas(
        name=atlas.name,
        space=atlas.space,
        maps={c: HardMaps(np.where(where, 0, -1).astype(np.int32), 1)},
        geometry={c: atlas.geometry[c]},
        labels=LabelTable({**columns, "compartment": [c], "key": [1]}),
        provenance=atlas.provenance.then(f"save_masks({mask.name!r})"),
    )


def _tell(
    folder: Path, named: dict[str, Mask], empty: Sequence[str], threshold: float | int
) -> None:
    changed = [
        f"{mask.name!r} in {name}"
        for name, mask in named.items()
        if name != mask.plain_name(mask.called)
    ]
    if changed:
        told = "files are not called as their parcels: "
        warn(AtlasFileWarning(folder, told + format_list(changed, 5)))
    if empty:
        lacking = f"with no weight of {threshold:g} or more" if threshold else "without a location"
        told = f"masks are 0 everywhere, of parcels {lacking}: "
        warn(AtlasFileWarning(folder, told + format_list(map(repr, empty), 5)))
