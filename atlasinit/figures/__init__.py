"""Pictures of atlases and of parcel values: cortex on surfaces, volumes in slices."""

from atlasinit.figures.palettes import mixed_colors as mixed_colors
from atlasinit.figures.palettes import parcel_colors as parcel_colors
from atlasinit.figures.palettes import value_colors as value_colors
from atlasinit.figures.plots import plot_atlas as plot_atlas
from atlasinit.figures.views import View as View
from atlasinit.figures.views import atlas_views as atlas_views
from atlasinit.figures.views import paint as paint
