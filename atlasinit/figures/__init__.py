"""Pictures of atlases and of parcel values: cortex on surfaces, volumes in slices."""

from typing import TYPE_CHECKING

from atlasinit.support.lazy import export_lazily as _export_lazily

if TYPE_CHECKING:
    from atlasinit.figures.carpets import plot_series as plot_series
    from atlasinit.figures.glass import plot_connectome as plot_connectome
    from atlasinit.figures.matrices import plot_matrix as plot_matrix
    from atlasinit.figures.palettes import mixed_colors as mixed_colors
    from atlasinit.figures.palettes import network_colors as network_colors
    from atlasinit.figures.palettes import parcel_colors as parcel_colors
    from atlasinit.figures.palettes import value_colors as value_colors
    from atlasinit.figures.plots import plot_atlas as plot_atlas
    from atlasinit.figures.views import View as View
    from atlasinit.figures.views import atlas_views as atlas_views
    from atlasinit.figures.views import find_unseen as find_unseen
    from atlasinit.figures.views import paint as paint

_HOMES = {
    "View": "views",
    "atlas_views": "views",
    "find_unseen": "views",
    "mixed_colors": "palettes",
    "network_colors": "palettes",
    "paint": "views",
    "parcel_colors": "palettes",
    "plot_atlas": "plots",
    "plot_connectome": "glass",
    "plot_matrix": "matrices",
    "plot_series": "carpets",
    "value_colors": "palettes",
}

__getattr__, __dir__, __all__ = _export_lazily(__name__, _HOMES)
