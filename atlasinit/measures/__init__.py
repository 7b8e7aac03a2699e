r"""What maps are like: sizes, centres, entropy, width of boundaries, overlap.

`measure_parcels` has a table of an atlas's parcels, and `adjacency` which of them touch. The other
measures take the maps of one compartment, and its geometry where they need lengths.
Those of lengths and sizes do not depend on the maps' scale (labels, memberships, per
cent): they are of the *memberships* :math:`m = \max(w, 0) / \max_j w_j`, each map divided
by its largest weight. A parcel without a positive weight has none, NaN weights make its
measures NaN.

Of concrete maps they are computed in float64 on the host. Maps that are traced, as under
`jax.jit` or `jax.grad`, are measured by the same equations in JAX, in their own precision and
with every weight stored; the slopes of :math:`p \log p` and of a root at 0 count as 0.
"""

from atlasinit.measures.maps import (
    EDGE as EDGE,
)
from atlasinit.measures.maps import (
    boundary_width,
    centres,
    location_entropy,
    location_sizes,
    overlap,
    parcel_entropy,
    parcel_sizes,
)
from atlasinit.measures.parcels import adjacency, measure_parcels

__all__ = [
    "adjacency",
    "boundary_width",
    "centres",
    "location_entropy",
    "location_sizes",
    "measure_parcels",
    "overlap",
    "parcel_entropy",
    "parcel_sizes",
]


def __dir__() -> list[str]:
    return __all__
