"""Which parcels the vertices and the voxels of a view belong to."""

import numpy as np
from jaxtyping import UInt16

from atlasinit.core.atlas import Atlas


def place_rows(atlas: Atlas, compartment: str) -> UInt16[np.ndarray, "..."]:
    """Return the row of each vertex's or voxel's parcel in the table from 1, 0 for none."""
    labels = np.asarray(atlas.maps[compartment].harden().labels)
    rows = np.where(labels < 0, 0, labels + atlas.parcel_slices()[compartment].start + 1)
    return atlas.geometry[compartment].put(rows.astype(np.uint16))
