"""Atlases whose borders fit data: a named atlas for one person, or parcels from data alone."""

from typing import TYPE_CHECKING

from atlasinit.support.lazy import export_lazily as _export_lazily

if TYPE_CHECKING:
    from atlasinit.refinement.clustering import cluster_atlas as cluster_atlas
    from atlasinit.refinement.halves import Halves as Halves
    from atlasinit.refinement.halves import assess_halves as assess_halves
    from atlasinit.refinement.quality import Agreement as Agreement
    from atlasinit.refinement.quality import kept_variance as kept_variance
    from atlasinit.refinement.quality import measure_agreement as measure_agreement
    from atlasinit.refinement.quality import parcel_pieces as parcel_pieces
    from atlasinit.refinement.refining import refine as refine

_HOMES = {
    "Agreement": "quality",
    "assess_halves": "halves",
    "cluster_atlas": "clustering",
    "Halves": "halves",
    "kept_variance": "quality",
    "measure_agreement": "quality",
    "parcel_pieces": "quality",
    "refine": "refining",
}

__getattr__, __dir__, __all__ = _export_lazily(__name__, _HOMES)
