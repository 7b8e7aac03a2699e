"""Values of parcels at the locations of an atlas, in NumPy and in their own precision."""

import numpy as np
from jaxtyping import Float

from atlasinit.core.atlas import Atlas
from atlasinit.core.maps import HardMaps, Maps, has_weight, location_totals
from atlasinit.projection.host import products as host
from atlasinit.projection.remembered import parts_for


def paint_locations(
    atlas: Atlas,
    values: Float[np.ndarray, "parcels *n"],
    *,
    fill: float = 0.0,
    average: bool = True,
) -> dict[str, Float[np.ndarray, "locations *n"]]:
    """Return compartment to the values at its locations.

    Where maps are masks that overlap, as spheres do, a location has the mean of its parcels'
    values, as of nilearn's ``NiftiSpheresMasker``. Otherwise values are weighted by the maps and
    summed, as of its ``NiftiMapsMasker``; for labels this is each parcel's value.

    Parameters
    ----------
    values
        (parcels,) or (parcels, n) in the order of the rows; NaN reaches the locations of its
        parcel and no others.
    fill
        Value at locations of no parcel.
    average
        Whether overlapping masks are averaged; else they are summed, too.

    Returns
    -------
    dict
        Compartment to (locations,) or (locations, n), in the dtype of the values, float32 at
        least.
    """
    dtype = np.result_type(values.dtype, np.float32)
    columns = values.reshape(1, len(values), -1)
    whole = host.transposed(parts_for(atlas), columns, dtype)[0]
    painted = {}
    for c, span in atlas.location_slices().items():
        own, maps = whole[span], atlas.maps[c]
        if average and not isinstance(maps, HardMaps) and _are_masks(maps):
            # Totals of masks are the number of parcels at each location; of none, 1 divides 0.
            own = own / np.maximum(location_totals(maps), 1)[:, None].astype(dtype)
        covered = has_weight(maps)
        if not covered.all():
            own = np.where(covered[:, None], own, dtype.type(fill))
        painted[c] = own.reshape(len(own), *values.shape[1:])
    return painted


def _are_masks(maps: Maps) -> bool:
    return bool(np.isin(maps.to_scipy().data, (0, 1)).all())
