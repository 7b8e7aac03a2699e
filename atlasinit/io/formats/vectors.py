"""Labels or weights of vertices as plain numbers: csv, txt, tsv, npy and npz."""

import contextlib
import dataclasses
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Shaped

from atlasinit.core.geometry import Geometry
from atlasinit.core.labels import hemisphere_of
from atlasinit.errors import AtlasFileError, listing
from atlasinit.io.colors import to_hex
from atlasinit.io.contents import (
    COMPARTMENTS,
    Kind,
    LabelRow,
    Part,
)
from atlasinit.io.files import extension, reading
from atlasinit.io.formats.hemispheres import (
    as_maps,
    chosen,
    compartment_of,
    map_rows,
    mesh_part,
    weights,
)
from atlasinit.io.keys import as_keys
from atlasinit.support.typing import PathLike

MESH_SIZES = frozenset({642, 2562, 10242, 40962, 163842, 4002, 7842, 32492, 59292})
"""Vertices a hemisphere of the fsaverage and onavg meshes, and of the fsLR meshes."""

_BOTH = {2 * size: size for size in MESH_SIZES}
_SIZES = MESH_SIZES.union(_BOTH)
_GRAYORDINATES = (91282, 59412)
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


def read_parts(
    path: PathLike, *, compartment: str | None, kind: Kind, map: str | int | None
) -> list[Part]:
    """Return the parts that the values of one hemisphere, or of both, make.

    A file with twice the vertices of a standard mesh holds the left hemisphere
    and then the right one, and one with two arrays that are named after the sides
    (``cortex_L``, ``left``, ``lh``) holds both; `compartment` chooses one. Anything else
    is one hemisphere. The whole meshes are kept.

    Parameters
    ----------
    path
        Text with a vertex a line (columns are maps; a first line of names is
        allowed, and a column of vertex numbers where it is named so), ``.npy`` with (N,)
        or (N, T) numbers, or ``.npz`` with arrays that are maps, or in the manner of
        hcp-utils (``map_all``, ``ids``, ``labels``, ``rgba``).
    compartment
        For one hemisphere by default the cortex of the side that the name states.
    kind
        ``"auto"`` takes one map of whole numbers for labels.
    map
        Name or 0-based number of the map to take.

    Raises
    ------
    AtlasFileError
        Something else than numbers; grayordinates, which need the geometry that
        `split` takes; an unknown hemisphere; maps before vertices.
    """
    sides = _named_sides(path)
    if sides:
        _check_chosen(compartment, sides, path)
        return [
            mesh_part(values, _numbered(1), path, compartment=c, kind=kind, map=map)
            for c, values in sides.items()
            if compartment in (None, c)
        ]
    found = read_vectors(path)
    n = found.values.shape[1]
    if n in _GRAYORDINATES and compartment is None:
        raise AtlasFileError(
            f"{path}: holds {n} grayordinates (cortex without medial wall"
            f"{', and subcortex' if n == max(_GRAYORDINATES) else ''}), but not where they lie; "
            "save them as CIFTI (.dlabel.nii, .dscalar.nii), or as values of the whole meshes."
        )
    if n in _BOTH:
        size = _BOTH[n]
        halves = {"cortex_L": slice(0, size), "cortex_R": slice(size, n)}
        _check_chosen(compartment, halves, path)
        wanted = [c for c in halves if compartment in (None, c)]
    else:
        halves = {compartment_of(path, compartment): slice(0, n)}
        wanted = list(halves)
    return [
        mesh_part(
            found.values[:, halves[c]],
            found.names,
            path,
            compartment=c,
            kind=kind,
            map=map,
            rows=found.rows,
        )
        for c in wanted
    ]


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
        path, found = values, read_vectors(values)
    n = found.values.shape[1]
    ends = np.cumsum([g.n_locations for g in geometry.values()]).tolist()
    if n not in ends:
        raise AtlasFileError(
            f"{path}: should have {listing(ends)} values for {listing(geometry)}, got {n}."
        )
    hard, index = chosen(found.values, found.names, path, kind=kind, map=map, labelled=False)
    keys, rows = map_rows(found.names, index)
    parts = []
    for (c, g), end in list(zip(geometry.items(), ends, strict=True))[: ends.index(n) + 1]:
        block = found.values[index, end - g.n_locations : end]
        if hard:
            parts.append(Part(c, g, keys=as_keys(block[0], path), rows=found.rows))
        else:
            parts.append(Part(c, g, maps=weights(block), map_keys=keys, rows=rows))
    return parts


def read_vectors(path: PathLike) -> Vectors:
    """Return the numbers of a csv, txt, tsv, npy or npz file as maps."""
    with reading(path, "numbers a vertex") as found:
        readers = {".npy": _npy, ".npz": _npz}
        vectors = readers.get(extension(found), _text)(found)
    if vectors.values.dtype.kind not in "biuf":
        raise AtlasFileError(f"{path}: should hold numbers, got {vectors.values.dtype}.")
    if not vectors.values.size:
        raise AtlasFileError(f"{path}: holds no values.")
    return vectors


def _named_sides(path: PathLike) -> dict[str, np.ndarray]:
    """Return the cortices of an npz file whose two arrays are named after the sides, as maps."""
    if extension(path) != ".npz":
        return {}
    with reading(path, "numbers a vertex") as found, _arrays(found) as arrays:
        sides = {COMPARTMENTS.get(hemisphere_of(name), ""): name for name in arrays.files}
        if len(arrays.files) != 2 or "" in sides or len(sides) != 2:
            return {}
        return {c: as_maps(arrays[sides[c]], path) for c in COMPARTMENTS.values()}


def _check_chosen(compartment: str | None, known: Mapping[str, Any], path: PathLike) -> None:
    if compartment is not None and compartment not in known:
        raise AtlasFileError(f"{path}: holds {list(known)}, not {compartment!r}.")


def _vertices_first(values: np.ndarray, path: Path) -> Shaped[np.ndarray, "maps n"]:
    sizes = [size for size in values.shape if size != 1]
    if len(sizes) == 2 and sizes[1] in _SIZES and sizes[0] not in _SIZES:
        raise AtlasFileError(
            f"{path}: vertices should come before maps, got shape {values.shape}; transpose it."
        )
    return as_maps(values, path)


@contextlib.contextmanager
def _arrays(path: Path) -> Iterator[Any]:
    # NumPy leaves a damaged file open that it opened itself.
    with path.open("rb") as stream, np.load(stream, allow_pickle=False) as arrays:
        yield arrays


def _npy(path: Path) -> Vectors:
    values = _vertices_first(np.load(path, allow_pickle=False), path)
    return Vectors(values, _numbered(len(values)))


def _npz(path: Path) -> Vectors:
    with _arrays(path) as arrays:
        if "map_all" in arrays:
            return Vectors(as_maps(arrays["map_all"], path), ("map_all",), _hcp_utils_rows(arrays))
        maps = {name: _vertices_first(arrays[name], path) for name in arrays.files}
    sizes = {name: block.shape[1] for name, block in maps.items()}
    if len(set(sizes.values())) != 1:
        raise AtlasFileError(
            f"{path}: should hold one array, or maps of one length, got the lengths {sizes}."
        )
    names = [
        name if len(block) == 1 else f"{name}-{i}"
        for name, block in maps.items()
        for i in range(len(block))
    ]
    return Vectors(np.concatenate(list(maps.values())), tuple(names))


def _hcp_utils_rows(arrays: Mapping[str, np.ndarray]) -> tuple[LabelRow, ...]:
    columns = (arrays["ids"].tolist(), arrays["labels"].tolist(), arrays["rgba"].tolist())
    return tuple(
        LabelRow(int(key), str(name), to_hex(rgba))
        for key, name, rgba in zip(*columns, strict=True)
    )


def _text(path: Path) -> Vectors:
    with path.open(encoding="utf-8-sig") as stream:
        first = stream.readline()
    delimiter = next((mark for mark in ",;\t" if mark in first), None)
    cells = [cell.strip().strip('"') for cell in first.split(delimiter)]
    named = not all(_is_number(cell) for cell in cells)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "loadtxt: input contained no data")  # an error below
        values = np.loadtxt(
            path, delimiter=delimiter, skiprows=int(named), ndmin=2, encoding="utf-8-sig"
        )
    # A file of one line is one map; one column a map otherwise.
    maps = _vertices_first(values, path)
    names = tuple(cells) if named and len(cells) == len(maps) else _numbered(len(maps))
    if len(names) > 1 and names[0].casefold() in _VERTEX_COLUMNS:
        order = np.argsort(maps[0])
        if not np.array_equal(maps[0][order], np.arange(len(order))):
            raise AtlasFileError(
                f"{path}: its column {names[0]!r} should hold each vertex from 0 to "
                f"{len(order) - 1} once; without that, leave it out."
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
