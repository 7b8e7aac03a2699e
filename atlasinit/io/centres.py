"""Where parcels lie, for programs that show them as points."""

import numpy as np
from jaxtyping import Float64

from atlasinit.core.atlas import Atlas
from atlasinit.measures import centres


def parcel_centres(atlas: Atlas) -> Float64[np.ndarray, "parcels 3"]:
    """Return each parcel's centre of mass in mm, of one in several compartments over all of them.

    NaN of a parcel without a positive weight, and on a mesh without an anatomical surface.
    """
    found = (np.asarray(centres(m, atlas.geometry[c])) for c, m in atlas.maps.items())
    weights = (
        np.asarray(m.to_scipy().maximum(0).sum(axis=1), np.float64) for m in atlas.maps.values()
    )
    return atlas.header.average_rows(found, weights)
