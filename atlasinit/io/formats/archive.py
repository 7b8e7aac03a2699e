"""A whole atlas, exactly, in one ``.npz`` without pickle or one ``.safetensors``."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save

from atlasinit.core.atlas import Atlas
from atlasinit.core.geometry import (
    Geometry,
    SurfaceMesh,
    VolumeGrid,
)
from atlasinit.core.labels import LabelTable
from atlasinit.core.maps import (
    DenseMaps,
    HardMaps,
    Maps,
    SparseMaps,
)
from atlasinit.core.provenance import Provenance
from atlasinit.errors import AtlasFileError, Call
from atlasinit.io.contents import Contents
from atlasinit.io.files import extension, parsing
from atlasinit.io.formats import matrices
from atlasinit.io.formats.base import Format
from atlasinit.io.formats.npz import open_npz
from atlasinit.io.input import Input
from atlasinit.io.meshes import check_vertices
from atlasinit.io.options import ReadOptions
from atlasinit.io.own_header import as_tuples
from atlasinit.support.arrays import make_read_only
from atlasinit.support.files import expand
from atlasinit.support.typing import PathLike
from atlasinit.support.writing import atomic_write

# Arrays are named by the number of their compartment: 0.maps.labels, 0.affine, 1.vertices. A header
# of JSON says what they are: in .safetensors as metadata, in .npz as an array of bytes.
_ENDINGS = (".npz", ".safetensors")
_FORMAT = "atlasinit.Atlas"
_VERSION = 1
_HEADER = "atlasinit"
_HASH = "atlasinit_sha256"

_MAPS = {"hard": HardMaps, "sparse": SparseMaps, "dense": DenseMaps}
# Labels (locations,), compressed rows and dense values (parcels, locations).
_MAP_ARRAYS = {"hard": ("labels",), "sparse": ("values", "indices", "indptr"), "dense": ("values",)}
_MESH_ARRAYS = ("vertices", "faces", "sphere", "anatomical", "areas")


def claims(source: Input) -> bool:
    """Whether a file is an archive that `write` wrote, of any version."""
    if source.path is None or not extension(source.name).endswith(_ENDINGS):
        return False
    with parsing(source, "an archive"):
        return _HEADER in _texts(source)


def write(atlas: Atlas, path: PathLike, *, overwrite: bool = False) -> list[Path]:
    """Write an atlas with its maps, geometry, labels, space and provenance; return the file.

    Reading gives an equal atlas, with NumPy arrays of the same types. A ``.npz`` is
    compressed; a ``.safetensors`` is not, and PyTorch reads its arrays, as
    ``0.maps.values``. ``.scipy.npz`` and ``.weight.safetensors`` hold all maps as one
    float32 matrix instead: `atlasinit.io.formats.matrices.pack`. The file appears once it is whole.
    """
    ending = extension(path)
    joined = ending in matrices.EXTENSIONS
    arrays: dict[str, np.ndarray] = matrices.pack(atlas, ending) if joined else {}
    compartments = []
    for i, c in enumerate(atlas.compartments):
        described, own = _pack_maps(atlas.maps[c])
        geometry, further = _pack_geometry(atlas.geometry[c])
        own = further if joined else own | further
        arrays |= {f"{i}.{name}": array for name, array in own.items()}
        compartments.append({"name": c, "maps": described, "geometry": geometry})
    fields = {
        "format": _FORMAT,
        "version": _VERSION,
        "name": atlas.name,
        "space": atlas.space,
        "provenance": atlas.provenance.to_dict(),
        "labels": {title: atlas.table[title] for title in atlas.table.columns},
        "joined": joined,
        "compartments": compartments,
    }
    # In ASCII, which can hold any text.
    texts = {_HEADER: json.dumps(fields)}
    texts[_HASH] = digest(texts[_HEADER], arrays)
    with atomic_write(path, overwrite=overwrite) as temporary:
        if ending.endswith(".safetensors"):
            # Its own writer to files has other permissions and errors than all others.
            temporary.write_bytes(save(arrays, metadata=texts))
        else:
            # NumPy's arrays of text take 4 bytes a letter.
            packed = {name: np.frombuffer(t.encode(), np.uint8) for name, t in texts.items()}
            with temporary.open("wb") as stream:
                np.savez_compressed(stream, **arrays, **packed)  # pyright: ignore[reportArgumentType]
    return [expand(path)]


def digest(header: str, arrays: Mapping[str, np.ndarray]) -> str:
    """Return the sha256 of what an archive holds, whatever the order and compression."""
    found = hashlib.sha256(header.encode())
    for name, array in sorted(arrays.items()):
        found.update(f"{name} {array.dtype.str} {array.shape}".encode())
        found.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8))  # pyright: ignore[reportArgumentType]
    return found.hexdigest()


def read(source: Input, options: ReadOptions, compartment: str | None = None) -> Contents:
    """Return the atlas that `write` wrote, to which no option of reading applies.

    Raises
    ------
    AtlasFileError
        A file that is truncated or damaged, no such archive, or written by a newer version
        of the format.
    """
    del options, compartment
    with parsing(source, "an atlasinit archive"):
        return Contents(atlas=_atlas(source))


def _atlas(source: Input) -> Atlas:
    texts = _texts(source)
    if _HEADER not in texts:
        raise AtlasFileError(source, "is not an atlasinit archive")
    fields = json.loads(texts[_HEADER])
    if fields["format"] != _FORMAT or fields["version"] > _VERSION:
        raise AtlasFileError(
            source,
            f"is {fields['format']} version {fields['version']}",
            f"this atlasinit reads {_FORMAT} up to version {_VERSION}. Update atlasinit",
        )
    stored = _arrays(source)
    if texts.get(_HASH) != digest(texts[_HEADER], stored):
        raise AtlasFileError(
            source,
            "is damaged or was changed: its content has another hash than it was written with",
            "Fetch it again, or write it anew by " + Call("ai.save_atlas", "atlas", "path"),
        )
    labels = LabelTable({c: as_tuples(v) for c, v in fields["labels"].items()})
    described_maps = [described["maps"] for described in fields["compartments"]]
    rows = [labels.rows_of(described["name"]) for described in fields["compartments"]]
    joined = matrices.unpack(stored, described_maps, rows) if fields.get("joined") else None
    maps, geometry = {}, {}
    for i, described in enumerate(fields["compartments"]):
        arrays = {
            name.removeprefix(f"{i}."): array
            for name, array in stored.items()
            if name.startswith(f"{i}.")
        }
        maps[described["name"]] = joined[i] if joined else _unpack_maps(described["maps"], arrays)
        geometry[described["name"]] = _unpack_geometry(described["geometry"], arrays)
    return Atlas(
        name=fields["name"],
        space=fields["space"],
        maps=maps,
        geometry=geometry,
        labels=labels,
        provenance=Provenance.from_dict(fields["provenance"]),
    )


def _texts(source: Input) -> dict[str, str]:
    """Return the description that `write` stored as JSON and the hash, {} of other programs'."""
    if extension(source.name).endswith(".safetensors"):
        stream = source.stream()
        # 8 bytes with the length of a JSON header, the header, and the numbers:
        # https://github.com/huggingface/safetensors#format
        length = int.from_bytes(stream.read(8), "little")
        source.check_holds(8 + length)
        return json.loads(stream.read(length)).get("__metadata__", {})
    with open_npz(source) as archive:
        own = [name for name in (_HEADER, _HASH) if name in archive]
        return {name: archive[name].tobytes().decode() for name in own}


def _arrays(source: Input) -> dict[str, np.ndarray]:
    assert source.path is not None
    if extension(source.name).endswith(".safetensors"):
        # Mapped by its own reader, so that the file is not in memory twice.
        return load_file(source.path)
    with open_npz(source) as archive:
        return {name: archive[name] for name in archive.files if name not in (_HEADER, _HASH)}


def _pack_maps(maps: Maps) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    kind = next(kind for kind, cls in _MAPS.items() if isinstance(maps, cls))
    arrays = {name: np.asarray(getattr(maps, name)) for name in _MAP_ARRAYS[kind]}
    described = {"kind": kind, "parcels": maps.n_parcels, "locations": maps.n_locations}
    if kind != "hard":
        # NumPy's format knows no bfloat16; its bytes are stored as they are.
        described["dtype"] = str(arrays["values"].dtype)
        if arrays["values"].dtype.kind == "V" or described["dtype"] == "bfloat16":
            arrays["values"] = arrays["values"].view(np.uint16)
    return described, {f"maps.{name}": array for name, array in arrays.items()}


def _unpack_maps(described: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Maps:
    kind = described["kind"]
    own = {name: make_read_only(arrays[f"maps.{name}"]) for name in _MAP_ARRAYS[kind]}
    if kind == "hard":
        return HardMaps(own["labels"], described["parcels"])
    # jax.numpy, unlike NumPy, knows bfloat16 by name.
    values = own["values"].view(_dtype(described["dtype"]))
    if kind == "dense":
        return DenseMaps(values)
    return SparseMaps(values, own["indices"], own["indptr"], described["locations"])


def _dtype(name: str) -> np.dtype:
    import jax.numpy as jnp

    return jnp.dtype(name)


def _pack_geometry(geometry: Geometry) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    if isinstance(geometry, VolumeGrid):
        fields = {"kind": "grid", "shape": geometry.shape, "structures": geometry.structures}
        return fields, {"affine": geometry.affine, "voxels": geometry.voxels}
    arrays = {name: getattr(geometry, name) for name in _MESH_ARRAYS}
    fields = {"kind": "mesh", "n_vertices": geometry.n_vertices, "side": geometry.hemisphere}
    return fields, {name: array for name, array in arrays.items() if array is not None}


def _unpack_geometry(described: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Geometry:
    if described["kind"] == "grid":
        structures = [(name, count) for name, count in described["structures"]]
        return VolumeGrid(described["shape"], arrays["affine"], arrays["voxels"], structures)
    check_vertices(described["n_vertices"])
    return SurfaceMesh(
        described["n_vertices"],
        arrays["vertices"],
        hemisphere=described["side"],
        faces=arrays.get("faces"),
        sphere=arrays.get("sphere"),
        anatomical=arrays.get("anatomical"),
        areas=arrays.get("areas"),
    )


FORMAT = Format(
    title="an archive of atlasinit",
    endings=(*_ENDINGS, *matrices.EXTENSIONS),
    claims=claims,
    read=read,
    write=write,
    writes=(*_ENDINGS, *matrices.EXTENSIONS),
)
