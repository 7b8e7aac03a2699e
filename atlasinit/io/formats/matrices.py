"""The maps of all compartments as one matrix, as SciPy and PyTorch take it."""

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from atlasinit.core.atlas import Atlas
from atlasinit.core.maps import (
    DenseMaps,
    Maps,
    SparseMaps,
    to_dense_matrix,
    to_matrix,
)
from atlasinit.io.assembly.exact import hard_maps
from atlasinit.support.arrays import make_read_only

EXTENSIONS = (".scipy.npz", ".weight.safetensors")


def pack(atlas: Atlas, ending: str) -> dict[str, np.ndarray]:
    """Return the arrays of the matrix (parcels, locations), float32.

    Rows and columns are those of all compartments, one after the other, so that
    parcels have no weight outside their own. ``.scipy.npz`` has the arrays that
    `scipy.sparse.load_npz` reads, ``.weight.safetensors`` the dense ``weight`` of a
    ``torch.nn.Linear(locations, parcels)``.
    """
    if ending == ".weight.safetensors":
        rows = atlas.parcel_slices().values()
        return {"weight": to_dense_matrix(atlas.maps.values(), rows)}
    from scipy.sparse import save_npz

    stream = io.BytesIO()
    matrix = to_matrix(atlas.maps.values(), atlas.parcel_slices().values())
    save_npz(stream, matrix, compressed=False)
    stream.seek(0)
    with np.load(stream, allow_pickle=False) as arrays:
        return dict(arrays)


def unpack(
    arrays: Mapping[str, np.ndarray], described: Sequence[Mapping[str, Any]], rows: Sequence[range]
) -> list[Maps]:
    """Return the maps that `pack` stored; `described` states the kind and size of each."""
    from scipy.sparse import csr_array

    if "weight" in arrays:
        matrix = csr_array(arrays["weight"])
    else:
        shape = tuple(arrays["shape"].tolist())
        matrix = csr_array((arrays["data"], arrays["indices"], arrays["indptr"]), shape=shape)
    found: list[Maps] = []
    column = 0
    for maps, own in zip(described, rows, strict=True):
        block = matrix[own.start : own.stop, column : column + maps["locations"]]
        found.append(_MAPS[maps["kind"]](block))
        column += maps["locations"]
    return found


_MAPS: dict[str, Any] = {
    "hard": hard_maps,
    "sparse": SparseMaps.from_scipy,
    "dense": lambda block: DenseMaps(make_read_only(block.toarray())),
}
