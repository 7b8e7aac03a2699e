"""Which maps of an atlas overlap, and how much."""

import dataclasses

import numpy as np
from jaxtyping import Float

from atlasinit.atlas import Atlas
from atlasinit.measures import overlap


@dataclasses.dataclass(frozen=True)
class Pair:
    """Two parcels, and the cosine of the angle between their maps."""

    one: str
    other: str
    cosine: float


def overlap_matrix(atlas: Atlas) -> Float[np.ndarray, "parcels parcels"]:
    """Return the cosine of each pair of maps; of two compartments, which share nothing, 0."""
    out = np.zeros((atlas.n_parcels, atlas.n_parcels))
    for compartment, rows in atlas.parcel_slices().items():
        out[rows, rows] = overlap(atlas.maps[compartment]).toarray()
    return out


def pairs_of(atlas: Atlas, cosines: Float[np.ndarray, "parcels parcels"]) -> list[Pair]:
    """Return the pairs that overlap, those most alike first."""
    one, other = np.nonzero(np.triu(np.nan_to_num(cosines), 1) > 0)
    order = np.argsort(-cosines[one, other], kind="stable")
    names = atlas.table["name"]
    return [
        Pair(names[i], names[j], float(cosines[i, j]))
        for i, j in zip(one[order].tolist(), other[order].tolist(), strict=True)
    ]
