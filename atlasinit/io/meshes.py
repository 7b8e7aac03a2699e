"""What numbers of values and the shapes they are stored in tell of the meshes they lie on."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Shaped

from atlasinit.errors import AtlasFileError, ContentError
from atlasinit.io.contents import COMPARTMENTS

# fsaverage3 to fsaverage6 have 10 * 4 ** n + 2 vertices, and fsaverage has those of n = 7.
STANDARD: Mapping[int, str] = {
    642: "fsaverage3",
    2562: "fsaverage4",
    10242: "fsaverage5",
    40962: "fsaverage6",
    163842: "fsaverage",
    4002: "fsLR 4k",
    7842: "fsLR 8k",
    32492: "fsLR 32k",
    59292: "fsLR 59k",
}
"""Vertices of a hemisphere of standard meshes, and what has them; onavg has those of fsaverage."""

MESH_SIZES = frozenset(STANDARD)
"""Vertices a hemisphere of the fsaverage and onavg meshes, and of the fsLR meshes."""

BOTH_SIZES = frozenset(2 * size for size in MESH_SIZES)
"""Values of a file that holds the left and then the right hemisphere of such a mesh."""

_SIZES = MESH_SIZES | BOTH_SIZES
# FreeSurfer cuts vertices into a prime number of slices, near 6.
_MOST_SLICES = 10
# No mesh has so few vertices that it has as many times more maps.
_MORE_MAPS = 100
# Some 400 times as many as fsaverage has; coordinates of these take 0.8 GB in float32.
_MOST_VERTICES = 2**26


def check_vertices(count: int) -> None:
    """Refuse a number of vertices beyond those of any mesh, for which memory would be taken."""
    if not 0 < count <= _MOST_VERTICES:
        raise ContentError(f"it states a mesh of {count} vertices")


def halves_of(n: int, structure: str = "") -> dict[str, slice]:
    """Return where each cortex lies among `n` values of both, none where they are of one.

    Values whose file states their `structure` are of one, however many there are.
    """
    if structure or n not in BOTH_SIZES:
        return {}
    left, right = COMPARTMENTS.values()
    return {left: slice(0, n // 2), right: slice(n // 2, n)}


def is_sliced(shape: Sequence[int]) -> bool:
    """Whether an image holds a mesh in slices, as FreeSurfer's ``--reshape`` writes it.

    N vertices lie in (N / k, 1, k) voxels, the first axis fastest.
    """
    x, y, z = (*shape, 1, 1, 1)[:3]
    return y == 1 and 1 < z <= _MOST_SLICES and x * z in MESH_SIZES


def is_columns(shape: Sequence[int]) -> bool:
    """Whether an image holds the maps of a standard mesh side by side: (N, T) or (N, 1, T)."""
    sizes = [size for size in shape if size > 1]
    return len(sizes) == 2 and sizes[0] == shape[0] in _SIZES and tuple(shape[1:3]) != (1, 1)


def as_maps(values: np.ndarray, path: object) -> Shaped[np.ndarray, "maps vertices"]:
    """Return an array of any of the shapes in which vertices are stored as (maps, vertices).

    These are (N,), (N, T), (1, 1, N), (N, 1), (N, 1, 1, T), (N / k, 1, k, T) and the like,
    with N vertices before T maps.

    Raises
    ------
    AtlasFileError
        A volume, or maps before vertices.
    """
    if is_sliced(values.shape):
        values = values.reshape(values.shape[0] * values.shape[2], -1, order="F")
    sizes = [size for size in values.shape if size != 1] or [1]
    squeezed = values.reshape(sizes)
    if squeezed.ndim > 2:
        raise AtlasFileError(
            path,
            f"should hold values a vertex, got an array of shape {values.shape}",
            "is it a volume?",
        )
    if squeezed.ndim == 1:
        return squeezed[None]
    standard = sizes[1] in _SIZES and sizes[0] not in _SIZES
    if standard or (sizes[1] >= _MORE_MAPS * sizes[0] and sizes[0] not in _SIZES):
        raise AtlasFileError(
            path, f"vertices should come before maps, got shape {values.shape}", "transpose it"
        )
    return squeezed.T
