"""FreeSurfer annotations (.annot): the labels of a hemisphere, told by colour."""

from pathlib import Path

import numpy as np
from jaxtyping import Int32
from nibabel.freesurfer import write_annot

from atlasinit.core.atlas import Atlas
from atlasinit.core.geometry import SurfaceMesh
from atlasinit.core.labels import LabelTable, hemisphere_of
from atlasinit.errors import (
    ArgumentError,
    AtlasFileError,
    AtlasFileWarning,
    ContentError,
    Passing,
    format_list,
    warn,
)
from atlasinit.io.assembly.fitting import Present
from atlasinit.io.assembly.rows import background_keys
from atlasinit.io.background import means_background
from atlasinit.io.bids.names import side_of
from atlasinit.io.colors import colors_of, to_bytes
from atlasinit.io.contents import COMPARTMENTS, Contents, LabelRow, Part, Stated
from atlasinit.io.files import extension, parsing
from atlasinit.io.formats.base import Format
from atlasinit.io.formats.hemispheres import check_hard, compartment_of, targets
from atlasinit.io.input import Input
from atlasinit.io.options import ReadOptions
from atlasinit.io.own_header import check_names
from atlasinit.io.tables.cells import hex_color
from atlasinit.io.values import Values, vertex_values
from atlasinit.support.typing import PathLike
from atlasinit.support.writing import atomic_writes

# FreeSurfer's name for vertices of no region, in its own annotations.
_NONE = "unknown"
# FreeSurfer reads names into 1024 bytes, the last of which is 0.
_LONGEST = 1023


def claims(source: Input) -> bool:
    """Whether a source is an annotation, by its name."""
    return source.path is not None and extension(source.name) == ".annot"


def read(source: Input, options: ReadOptions, compartment: str | None = None) -> Contents:
    """Return the one part that an annotation of a hemisphere holds.

    Its keys are the positions in its colour table; vertices without a label belong to
    none. The compartment is by default the cortex of the side that the name states
    (``lh.``, ``rh.``).

    Raises
    ------
    AtlasFileError
        An unreadable or truncated file, an unknown hemisphere, a colour table that does
        not tell its labels; weights asked for.
    """
    compartment = compartment_of(source, compartment)
    if options.kind == "maps":
        raise AtlasFileError(
            source, "holds labels, not weights", "read it with " + Passing(kind="hard")
        )
    part = _annotation(source, compartment)
    if options.background is None:
        _warn_of_black(part, source)
    return Contents((part,), stated=Stated(labels=True))


def values(source: Input) -> Values:
    """Return the keys of an annotation's vertices, positions in its table, as data."""
    side = side_of(source.name)
    keys = _annotation(source, COMPARTMENTS.get(side, "")).keys
    assert keys is not None, "annotations hold labels"
    return vertex_values(keys[None], Stated(labels=True, side=side))


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
            # Vertices of no parcel have the label -1, and so get the entry 0, as do those not kept.
            entries = atlas.geometry[c].put(labels + 1)
            write_annot(temporary[c], entries, colors, names)
    return list(files.values())


def _check_background(atlas: Atlas, path: PathLike) -> None:
    """Refuse names by which the reader of annotations knows that there is no parcel."""
    lost = [name for name in atlas.table["name"] if means_background(name, is_surface=True)]
    if lost:
        raise ArgumentError(
            "path",
            f": {format_list(map(repr, lost))} would mean no label in {Path(path).name}",
            "rename them, or save as .label.gii",
        )


def _annotation(source: Input, compartment: str) -> Part:
    with parsing(source, "a FreeSurfer annotation"):
        packed, rows, known = _entries(source.stream().read())
        keys = _positions(packed, known, rows, source)
    mesh = SurfaceMesh(keys.size, hemisphere=hemisphere_of("", compartment))
    # Entry 0 is the background only where it is named so.
    everything = Present(compartment, (), is_surface=True, is_maps=True)
    background = sorted(background_keys(everything, rows, None)) or [-1]
    # Vertices without a label get the first key that means background, or -1, which is no entry's.
    keys[keys < 0] = background[0]
    return Part(compartment, mesh, keys=keys, rows=rows, background=tuple(background))


def _entries(stored: bytes) -> tuple[np.ndarray, tuple[LabelRow, ...], np.ndarray]:
    """Return the packed colour of each vertex, and the table's entries with theirs.

    A file holds, as big-endian 32-bit numbers: the number of vertices; the number and
    colour of each; 1 where a table follows; minus its version, which is 2, the number of
    positions, the name of the original table, the number of entries, and for each its
    position, name and RGBT. Tables of the first version have the number of entries in
    place of the version, and no positions.
    """
    at = 0

    def numbers(count: int) -> np.ndarray:
        nonlocal at
        at += 4 * count
        return np.frombuffer(stored, ">i4", count, at - 4 * count).astype(np.int32)

    def number() -> int:
        return int(numbers(1)[0])

    def text() -> str:
        nonlocal at
        length = number()
        at += length
        if at > len(stored):
            raise EOFError("its colour table ends early")
        # The length of a text counts the 0 that ends it.
        return stored[at - length : at].rstrip(b"\0").decode(errors="replace")

    # https://surfer.nmr.mgh.harvard.edu/fswiki/LabelsClutsAnnotationFiles
    n_vertices = number()
    pairs = numbers(2 * n_vertices).reshape(n_vertices, 2)
    if not np.array_equal(np.sort(pairs[:, 0]), np.arange(n_vertices)):
        raise ContentError("its vertex numbers are not those of a whole mesh, each once")
    packed = np.empty(n_vertices, np.int32)
    # Pairs of a vertex and its colour, which need not be in the order of the vertices.
    packed[pairs[:, 0]] = pairs[:, 1]
    if not number():
        raise ContentError("it holds no colour table")
    version = number()
    n_entries = version
    if version <= 0:
        if version != -2:
            raise ContentError(
                f"its colour table is of version {-version}; only 1 and 2 can be read"
            )
        number()
    text()
    if version <= 0:
        n_entries = number()
    rows, colors = [], []
    for i in range(n_entries):
        position = i if version > 0 else number()
        name, rgb = text(), numbers(4)[:3]
        rows.append(LabelRow(position, name, hex_color(*rgb.tolist())))
        # A vertex holds red + 256 green + 65,536 blue, without the transparency T.
        colors.append(int(rgb @ np.array([1, 1 << 8, 1 << 16], np.int32)))
    return packed, tuple(rows), np.array(colors, np.int32)


def _positions(
    packed: np.ndarray, known: np.ndarray, rows: tuple[LabelRow, ...], source: Input
) -> Int32[np.ndarray, " vertices"]:
    """Return the position in the table of each vertex's packed colour, -1 for no label."""
    values, where = np.unique(packed, return_inverse=True)
    found = [np.flatnonzero(known == value).tolist() for value in values]
    for at, value in zip(found, values.tolist(), strict=True):
        if value in _UNLABELLED and not at:
            at.append(-1)
        if value == 0 and at != [-1]:
            at[:] = [_black(at, rows, source)]
    missing = [f"{value:#x}" for value, at in zip(values, found, strict=True) if not at]
    if missing:
        raise AtlasFileError(
            source, f"{len(missing)} labels are not in its colour table: {format_list(missing)}"
        )
    shared = [rows[i].name for at in found if len(at) > 1 for i in at]
    if shared:
        raise AtlasFileError(
            source,
            f"cannot tell {format_list(shared)} apart, as they share a colour, by which an "
            "annotation tells its labels",
        )
    keys = [rows[at[0]].key if at[0] >= 0 else -1 for at in found]
    return np.array(keys, np.int32)[where]


_UNLABELLED = (0, -1)
"""What a vertex without a label holds; the first is black as well."""


def _black(entries: list[int], rows: tuple[LabelRow, ...], source: Input) -> int:
    """Return the entry that black vertices belong to, -1 where they have no label."""
    regions = [i for i in entries if not means_background(rows[i].name, is_surface=True)]
    if len(regions) > 1:
        raise AtlasFileError(
            source,
            f"cannot tell {format_list(rows[i].name for i in regions)} apart, as they are black, "
            "which is also what vertices without a label are",
        )
    return regions[0] if regions == entries else -1


def _warn_of_black(part: Part, source: Input) -> None:
    """Warn where black vertices, which may have no label, are taken for a region's, or are not."""
    black = [row for row in part.rows or () if row.color == "#000000"]
    none = [row for row in black if means_background(row.name, is_surface=True)]
    regions = [row for row in black if row not in none]
    taken = (none or regions)[:1]
    count = np.count_nonzero(part.keys == taken[0].key) if taken else 0
    if not regions or not count:
        return
    name = regions[0].name
    if none:
        told = AtlasFileWarning(
            source,
            f"its entries {none[0].name!r} and {name!r} are both black: these {count} vertices are "
            f"taken for the first, and {name!r} has none",
        )
    else:
        told = AtlasFileWarning(
            source,
            f"its entry {name!r} is black, which is also what vertices without a label are",
            f"These {count} are taken for {name!r}. If they have no label, pass "
            + Passing(background=[*(key for key in part.background or () if key >= 0), name]),
        )
    warn(told)


def _table(labels: LabelTable, path: Path) -> tuple[np.ndarray, list[str]]:
    """Return the colour table (RGB and transparency) and the names."""
    colors = colors_of(labels)
    names = dict(zip(labels["name"], colors, strict=True))
    repeated = [name for name, color in names.items() if colors.count(color) > 1]
    if repeated:
        raise ArgumentError(
            "path",
            f": {Path(path).name} tells labels by colour, but {format_list(repeated)} share theirs",
            "give them other colours, or save as .label.gii",
        )
    black = [name for name, color in names.items() if color == "#000000"]
    if black:
        raise ArgumentError(
            "path",
            f": black means no label in {Path(path).name}, but {format_list(black)} have it",
            "give them other colours, or save as .label.gii",
        )
    foreign = [name for name in names if not name.isascii()]
    if foreign:
        raise ArgumentError(
            "path",
            f": names in {Path(path).name} should be ASCII, got {format_list(foreign)}",
            "save as .label.gii",
        )
    long = [f"{name[:20]}... of {len(name)} letters" for name in names if len(name) > _LONGEST]
    if long:
        raise ArgumentError(
            "path",
            f": names in {Path(path).name} should have at most {_LONGEST} letters, got "
            f"{format_list(long)}",
            "save as .label.gii",
        )
    if list(labels["key"]) != list(range(1, len(labels) + 1)):
        told = AtlasFileWarning(
            path,
            "an annotation numbers its labels by position, so the keys become 1 to "
            f"{len(labels)}; names and colours stay",
        )
        warn(told)
    # T is 255 minus the opacity, so that 0 is opaque. Black is what vertices without a label hold.
    table = np.array([[0, 0, 0, 0], *([*to_bytes(color), 0] for color in colors)])
    return table, [_NONE, *labels["name"]]


FORMAT = Format(
    title="a FreeSurfer annotation",
    endings=(".annot",),
    claims=claims,
    read=read,
    values=values,
    write=write,
    writes=(".annot",),
    one_each=True,
)
