"""FreeSurfer annotations (.annot), overlays (.mgh, .mgz) and morphometry (lh.thickness)."""

import os
from pathlib import Path

import numpy as np
from jaxtyping import Int32, Shaped
from nibabel.freesurfer import read_annot, read_morph_data, write_annot

from atlasinit.core.atlas import Atlas
from atlasinit.core.geometry import SurfaceMesh
from atlasinit.core.labels import LabelTable, hemisphere_of
from atlasinit.errors import AtlasFileError, listing, warn
from atlasinit.io.assembly.fitting import Present
from atlasinit.io.assembly.rows import background_keys
from atlasinit.io.background import means_background
from atlasinit.io.colors import colors_of, from_hex
from atlasinit.io.contents import (
    Kind,
    LabelRow,
    Part,
)
from atlasinit.io.files import extension, open_image, reading
from atlasinit.io.formats.hemispheres import (
    as_maps,
    check_hard,
    compartment_of,
    mesh_part,
    targets,
)
from atlasinit.io.own_header import check_names
from atlasinit.support.typing import PathLike
from atlasinit.support.writing import atomic_writes

_NONE = "unknown"
# FreeSurfer reads names into 1024 bytes, the last of which is 0.
_LONGEST = 1023
_CURV = b"\xff\xff\xff"
_TRIANGLES = b"\xff\xff\xfe"


def read_parts(
    path: PathLike, *, compartment: str | None, kind: Kind, map: str | int | None
) -> list[Part]:
    """Return the one part that a FreeSurfer file of a hemisphere holds.

    The keys of an annotation are the positions in its colour table; vertices
    without a label belong to none. An overlay has a map for each of its frames, in
    any of the shapes (N, 1, 1, T), (1, 1, N) and the like. Any other file is read
    as morphometry (``lh.thickness``, ``lh.sulc``, ``lh.curv``).

    Parameters
    ----------
    path
        ``.annot``, ``.mgh``, ``.mgz``, or morphometry of any name.
    compartment
        By default the cortex of the side that the name states (``lh.``, ``rh.``).
    kind
        ``"auto"`` takes annotations, and overlays with one frame of whole numbers,
        for labels.
    map
        0-based number of the frame to take.

    Raises
    ------
    AtlasFileError
        An unreadable or truncated file, a surface instead of values, an unknown
        hemisphere, an annotation whose colour table does not tell its labels.
    """
    compartment = compartment_of(path, compartment)
    if extension(path) == ".annot":
        if kind == "maps":
            raise AtlasFileError(f'{path}: holds labels, not weights; read it with kind="hard".')
        return [_annotation(path, compartment)]
    values = read_values(path)
    names = [f"map-{i}" for i in range(len(values))]
    return [mesh_part(values, names, path, compartment=compartment, kind=kind, map=map)]


def read_values(path: PathLike) -> Shaped[np.ndarray, "maps vertices"]:
    """Return the frames of an overlay, or of morphometry, as they are stored."""
    with reading(path, "a FreeSurfer overlay") as found:
        if extension(found) == ".label":
            raise AtlasFileError(
                f"{found}: is a list of vertices of some mesh, not labels or maps of all; give it "
                'as the mask of such a file: mask={"cortex_L": path}.'
            )
        if extension(found) in (".mgh", ".mgz", ".nii", ".nii.gz"):
            return as_maps(np.asanyarray(open_image(found).dataobj), found)
        with found.open("rb") as stream:
            magic = stream.read(3)
        if magic == _TRIANGLES:
            raise AtlasFileError(f"{found}: is a surface, not labels or maps.")
        if magic != _CURV:
            raise AtlasFileError(f"{found}: is not a FreeSurfer morphometry file.")
        return as_maps(read_morph_data(found), found)


def is_morphometry(path: Path) -> bool:
    """Whether a file is FreeSurfer's morphometry, as ``lh.thickness`` and ``lh.curv`` are."""
    with path.open("rb") as stream:
        return stream.read(3) == _CURV


def write(atlas: Atlas, path: PathLike, *, overwrite: bool = False) -> list[Path]:
    """Write a hard surface atlas as ``.annot``, a file a hemisphere, and return the files.

    An annotation tells labels by colour and numbers them by position: parcels are
    entries 1, 2, ... in the order of the table, entry 0 is ``unknown``. It has no
    place for the kept vertices, the space, the provenance or further columns.
    Names of the files: `atlasinit.io.formats.hemispheres.targets`.

    Raises
    ------
    ValueError
        Soft maps, an atlas with volumes, colours that are black or shared by
        parcels of one hemisphere, or names that are not ASCII, have more than 1023
        letters, or are that of no parcel, ``unknown``.
    """
    files = targets(atlas, path)
    check_hard(atlas, path, ".func.gii")
    check_names(atlas, path)
    _check_background(atlas, path)
    content = {c: _table(atlas.table.take(atlas.table.rows_of(c)), files[c]) for c in files}
    with atomic_writes(files, overwrite=overwrite) as temporary:
        for c, (colors, names) in content.items():
            labels = np.asarray(atlas.maps[c].harden().labels)
            entries = atlas.geometry[c].put(labels + 1)
            write_annot(temporary[c], entries, colors, names)
    return list(files.values())


def _check_background(atlas: Atlas, path: PathLike) -> None:
    """Refuse names by which the reader of annotations knows that there is no parcel."""
    lost = [name for name in atlas.table["name"] if means_background(name, is_surface=True)]
    if lost:
        raise ValueError(
            f"`path`: {listing(map(repr, lost))} would mean no label in {path}; rename them, or "
            "save as .label.gii."
        )


def _annotation(path: PathLike, compartment: str) -> Part:
    with reading(path, "a FreeSurfer annotation") as found:
        packed, table, names = read_annot(found, orig_ids=True)
        positions = _named_positions(found)
        packed = _in_order(found, packed)
    rows = tuple(
        LabelRow(i, name.decode(errors="replace"), "#" + "".join(f"{c:02x}" for c in table[i, :3]))
        for i, name in zip(positions, names, strict=True)
    )
    keys = _positions(packed, table[:, 4], rows, path)
    mesh = SurfaceMesh(keys.size, hemisphere=hemisphere_of("", compartment))
    # Entry 0 is the background only where it is named so.
    everything = Present(compartment, (), is_surface=True, is_maps=True)
    background = sorted(background_keys(everything, rows, None)) or [-1]
    keys[keys < 0] = background[0]
    return Part(compartment, mesh, keys=keys, rows=rows, background=tuple(background))


def _in_order(path: Path, packed: np.ndarray) -> np.ndarray:
    """Return values by the vertex number that the file states for each, which nibabel ignores."""
    numbers = np.fromfile(path, ">i4", 2 * packed.size, offset=4)[::2]
    if not np.array_equal(np.sort(numbers), np.arange(packed.size)):
        raise ValueError("its vertex numbers are not those of a whole mesh, each once")
    out = np.empty_like(packed)
    out[numbers] = packed
    return out


def _named_positions(path: Path) -> list[int]:
    """Return the position in the colour table of each name, in the order of the file.

    nibabel tells the names in this order but no positions, of which some may be left out.
    """
    with path.open("rb") as stream:

        def integer() -> int:
            return int.from_bytes(stream.read(4), "big", signed=True)

        stream.seek(8 * integer() + 4, os.SEEK_CUR)  # vertices, and that a table follows
        version = integer()
        if version > 0:
            return list(range(version))
        stream.seek(4, os.SEEK_CUR)  # the number of positions
        stream.seek(integer(), os.SEEK_CUR)  # the name of the original table
        positions = []
        for _ in range(integer()):
            positions.append(integer())
            stream.seek(integer() + 16, os.SEEK_CUR)  # name and colour
    return positions


def _positions(
    packed: np.ndarray, known: np.ndarray, rows: tuple[LabelRow, ...], path: PathLike
) -> Int32[np.ndarray, " vertices"]:
    """Return the position in the table of each vertex's packed colour, -1 for colour 0."""
    values, where = np.unique(packed, return_inverse=True)
    found = [np.flatnonzero(known == value).tolist() if value else [-1] for value in values]
    missing = [f"{value:#x}" for value, at in zip(values, found, strict=True) if not at]
    if missing:
        raise AtlasFileError(
            f"{path}: {len(missing)} labels are not in its colour table: {listing(missing)}."
        )
    names = {row.key: row.name for row in rows}
    shared = [names[i] for at in found if len(at) > 1 for i in at]
    if shared:
        raise AtlasFileError(
            f"{path}: cannot tell {listing(shared)} apart, as they share a colour, by which an "
            "annotation tells its labels."
        )
    return np.array([at[0] for at in found], np.int32)[where]


def _table(labels: LabelTable, path: Path) -> tuple[np.ndarray, list[str]]:
    """Return the colour table (RGB and transparency) and the names."""
    colors = colors_of(labels)
    names = dict(zip(labels["name"], colors, strict=True))
    repeated = [name for name, color in names.items() if colors.count(color) > 1]
    if repeated:
        raise ValueError(
            f"`path`: {path} tells labels by colour, but {listing(repeated)} share theirs; "
            "give them other colours, or save as .label.gii."
        )
    black = [name for name, color in names.items() if color == "#000000"]
    if black:
        raise ValueError(
            f"`path`: black means no label in {path}, but {listing(black)} have it; "
            "give them other colours, or save as .label.gii."
        )
    foreign = [name for name in names if not name.isascii()]
    if foreign:
        raise ValueError(
            f"`path`: names in {path} should be ASCII, got {listing(foreign)}; save as .label.gii."
        )
    long = [f"{name[:20]}... of {len(name)} letters" for name in names if len(name) > _LONGEST]
    if long:
        raise ValueError(
            f"`path`: names in {path} should have at most {_LONGEST} letters, got "
            f"{listing(long)}; save as .label.gii."
        )
    if list(labels["key"]) != list(range(1, len(labels) + 1)):
        warn(
            f"{path}: an annotation numbers its labels by position, so the keys become 1 to "
            f"{len(labels)}; names and colours stay."
        )
    rgb = [[round(255 * part) for part in from_hex(color)] for color in colors]
    return np.array([[0, 0, 0, 0], *([*color, 0] for color in rgb)]), [_NONE, *labels["name"]]
