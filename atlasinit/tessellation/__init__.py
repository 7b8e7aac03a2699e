"""Atlases made of a geometry alone: cells around points, of an icosahedron, of equal areas."""

from typing import TYPE_CHECKING

from atlasinit.support.lazy import export_lazily as _export_lazily

if TYPE_CHECKING:
    from atlasinit.tessellation.regular import equal_area_atlas as equal_area_atlas
    from atlasinit.tessellation.regular import icosahedral_atlas as icosahedral_atlas
    from atlasinit.tessellation.voronoi import voronoi_atlas as voronoi_atlas

_HOMES = {
    "equal_area_atlas": "regular",
    "icosahedral_atlas": "regular",
    "voronoi_atlas": "voronoi",
}

__getattr__, __dir__, __all__ = _export_lazily(__name__, _HOMES)
