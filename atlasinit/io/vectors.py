"""Labels or weights of vertices as plain numbers: csv, txt, tsv, npy and npz."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Shaped

from atlasinit._typing import PathLike
from atlasinit.errors import AtlasFileError, listing
from atlasinit.geometry import Geometry
from atlasinit.io.files import extension, reading
from atlasinit.io.keys import as_keys
from atlasinit.io.metadata import to_hex
from atlasinit.io.parts import Kind, LabelRow, Part
from atlasinit.io.surfaces import as_maps, chosen, compartment_of, map_rows, mesh_part, weights

MESH_SIZES = frozenset({642, 2562, 10242, 40962, 163842, 4002, 7842, 32492, 59292})
"""Vertices a hemisphere of the fsaverage and onavg meshes, and of the fsLR meshes."""

_BOTH = {2 * size: size for size in MESH_SIZES}
_GRAYORDINATES = (91282, 59412)


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
    and then the right one; `compartment` chooses one. Any other length is one
    hemisphere. The whole meshes are kept.

    Parameters
    ----------
    path
        Text with a vertex a line (columns are maps; a first line of names is
        allowed), ``.npy`` with (N,) or (N, T) numbers, or ``.npz`` with arrays that
        are maps, or in the manner of hcp-utils (``map_all``, ``ids``, ``labels``,
        ``rgba``).
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
        `split` takes; an unknown hemisphere.
    """
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
        wanted = [c for c in halves if compartment in (None, c)]
        if not wanted:
            raise AtlasFileError(f"{path}: holds {list(halves)}, not {compartment!r}.")
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


def _npy(path: Path) -> Vectors:
    values = as_maps(np.load(path, allow_pickle=False), path)
    return Vectors(values, _numbered(len(values)))


def _npz(path: Path) -> Vectors:
    # NumPy leaves a damaged file open that it opened itself.
    with path.open("rb") as stream, np.load(stream, allow_pickle=False) as arrays:
        if "map_all" in arrays:
            return Vectors(as_maps(arrays["map_all"], path), ("map_all",), _hcp_utils_rows(arrays))
        maps = {name: as_maps(arrays[name], path) for name in arrays.files}
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
    values = np.loadtxt(
        path, delimiter=delimiter, skiprows=int(named), ndmin=2, encoding="utf-8-sig"
    )
    # A file of one line is one map; one column a map otherwise.
    maps = as_maps(values, path)
    names = tuple(cells) if named and len(cells) == len(maps) else _numbered(len(maps))
    return Vectors(maps, names)


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _numbered(count: int) -> tuple[str, ...]:
    return tuple(f"map-{i}" for i in range(count))
