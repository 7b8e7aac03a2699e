"""Pictures of atlases and of parcel values: cortex on surfaces, volumes in slices."""

from atlasinit.figures.carpets import plot_series
from atlasinit.figures.glass import plot_connectome
from atlasinit.figures.matrices import plot_matrix
from atlasinit.figures.palettes import mixed_colors, network_colors, parcel_colors, value_colors
from atlasinit.figures.plots import plot_atlas
from atlasinit.figures.views import View, atlas_views, find_unseen, paint

__all__ = [
    "View",
    "atlas_views",
    "find_unseen",
    "mixed_colors",
    "network_colors",
    "paint",
    "parcel_colors",
    "plot_atlas",
    "plot_connectome",
    "plot_matrix",
    "plot_series",
    "value_colors",
]


def __dir__() -> list[str]:
    return __all__
