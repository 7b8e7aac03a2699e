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
from atlasinit.errors import ContentError
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
    # The archive compresses its arrays itself.
    save_npz(stream, matrix, compressed=False)
    stream.seek(0)
    with np.load(stream, allow_pickle=False) as arrays:
        return dict(arrays)


def unpack(
    arrays: Mapping[str, np.ndarray], described: Sequence[Mapping[str, Any]], rows: Sequence[range]
) -> list[Maps]:
    """Return the maps that `pack` stored; `described` states the kind and size of each.

    Raises
    ------
    ValueError
        A matrix of another size, that is none, or with weights outside of the compartments.
    """
    from scipy.sparse import csr_array

    n_locations = sum(maps["locations"] for maps in described)
    shape = (max((own.stop for own in rows), default=0), n_locations)
    if "weight" in arrays:
        matrix, stated = csr_array(arrays["weight"]), arrays["weight"].shape
    else:
        stated = tuple(arrays["shape"].tolist())
        parts = (arrays["data"], arrays["indices"], arrays["indptr"])
        SparseMaps(*parts, n_locations)  # looks at what SciPy takes for granted
        matrix = csr_array(parts, shape=shape)
    if stated != shape:
        raise ContentError(f"its matrix is of shape {stated}, and that of its parts {shape}")
    found: list[Maps] = []
    column = n_values = 0
    for maps, own in zip(described, rows, strict=True):
        # A compartment has the rows of its parcels and the columns of its locations.
        block = matrix[own.start : own.stop, column : column + maps["locations"]]
        found.append(_MAPS[maps["kind"]](block))
        column += maps["locations"]
        n_values += block.nnz
    if n_values != matrix.nnz:
        raise ContentError(f"{matrix.nnz - n_values} weights lie outside of their compartment")
    return found


_MAPS: dict[str, Any] = {
    "hard": hard_maps,
    "sparse": SparseMaps.from_scipy,
    "dense": lambda block: DenseMaps(make_read_only(block.toarray())),
}
