"""Where parcels lie, for programs that show them as points."""

import numpy as np
from jaxtyping import Float64

from atlasinit.core.atlas import Atlas
from atlasinit.measures import centres


def parcel_centres(atlas: Atlas) -> Float64[np.ndarray, "parcels 3"]:
    """Return each parcel's centre of mass in mm, of one in several compartments over all of them.

    NaN of a parcel without a positive weight, and on a mesh without an anatomical surface.
    """
    found, weights = [], []
    for c, maps in atlas.maps.items():
        totals = np.asarray(maps.to_scipy().maximum(0).sum(axis=1), np.float64)
        own = centres(maps, atlas.geometry[c])
        # A side in which a parcel has no weight says nothing of its centre.
        found.append(np.where(totals[:, None] > 0, own * totals[:, None], 0.0))
        weights.append(totals)
    total = atlas.header.add_rows(weights)[:, None]
    # 0 / 0 of a parcel without weight is NaN, which NumPy would warn of.
    return np.divide(
        atlas.header.add_rows(found),
        total,
        out=np.full((atlas.n_parcels, 3), np.nan),
        where=total > 0,
    )
