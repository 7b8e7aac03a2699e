"""How soft maps are, and what smoothing changed: entropy, boundaries, overlap."""

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float

from atlasinit.core.atlas import Atlas
from atlasinit.figures.palettes import Coloring
from atlasinit.figures.scales import ColorScale, page_colormap
from atlasinit.measures import location_entropy
from atlasinit.report.matrices import count_pairs
from atlasinit.report.parcels import Measures, is_soft, measure
from atlasinit.report.pictures import Scene, Strip, parcels_strip, show_scale, strip


@dataclasses.dataclass(frozen=True)
class Stage:
    """An atlas in numbers, before or after it was smoothed.

    Parameters
    ----------
    name
        ``"before"``, ``"after"``, or ``"now"`` where there is nothing to compare with.
    entropy
        Mean over the locations, in bits.
    width
        Median of the parcels' boundaries, in mm.
    overlaps
        Number of pairs of parcels that overlap.
    weights
        Number of weights that are not 0.
    mib
        Memory in MiB.
    """

    name: str
    entropy: float
    width: float
    overlaps: int
    weights: int
    mib: float


@dataclasses.dataclass(frozen=True)
class Softness:
    """What the page shows of it."""

    stages: tuple[Stage, ...]
    strips: tuple[Strip, ...]

    @property
    def is_compared(self) -> bool:
        """Whether there is an atlas from before."""
        return len(self.stages) > 1


def softness(
    atlas: Atlas,
    before: Atlas | None,
    measures: Measures,
    scenes: Sequence[Scene],
    colors: Float[np.ndarray, "parcels 3"],
) -> Softness | None:
    """Return how soft an atlas is, or None for labels that are not compared with others."""
    if before is None:
        if not is_soft(atlas):
            return None
        return Softness((_stage("now", atlas, measures),), (_entropy_strip(atlas, scenes),))
    return Softness(
        (_stage("before", before, measure(before)), _stage("after", atlas, measures)),
        (
            # After is what the page's first pictures show.
            parcels_strip(before, scenes, colors, title="Before"),
            _entropy_strip(atlas, scenes),
        ),
    )


def _entropy_strip(atlas: Atlas, scenes: Sequence[Scene]) -> Strip:
    entropy = {c: np.asarray(location_entropy(m)) for c, m in atlas.maps.items()}
    # At least to 1 bit, so that maps that are nearly labels look like it.
    high = max(np.nanmax(h, initial=1.0) for h in entropy.values())
    scale = ColorScale(0.0, float(high), page_colormap())
    painted = {c: Coloring.plain(scale(h)) for c, h in entropy.items()}
    return strip(
        scenes,
        painted,
        title="Entropy at each location",
        scale=show_scale(scale, unit="bits"),
        lines=False,
    )


def _stage(name: str, atlas: Atlas, measures: Measures) -> Stage:
    entropy = np.concatenate([location_entropy(m) for m in atlas.maps.values()])
    # Labels have sharp boundaries; `measure` does not measure them.
    width = np.zeros(atlas.n_parcels) if measures.width is None else measures.width
    return Stage(
        name,
        entropy=_summarise(np.mean, entropy),
        width=_summarise(np.median, width),
        overlaps=0 if measures.cosines is None else count_pairs(measures.cosines),
        weights=int(measures.locations.sum()),
        mib=sum(m.nbytes for m in atlas.maps.values()) / 2**20,
    )


def _summarise(summary: Callable[[np.ndarray], np.floating], values: np.ndarray) -> float:
    finite = values[np.isfinite(values)]
    return float(summary(finite)) if finite.size else float("nan")
