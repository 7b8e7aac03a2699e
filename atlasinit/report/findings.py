"""What of an atlas, and of data of it, somebody should look at before using it."""

import re
from collections.abc import Iterator, Sequence

import numpy as np

from atlasinit.catalogue.licences import terms
from atlasinit.core.atlas import Atlas
from atlasinit.core.geometry import SurfaceMesh
from atlasinit.core.labels import hemisphere_of
from atlasinit.errors import format_count, format_list
from atlasinit.figures.surfaces import find_surface
from atlasinit.report.extraction import ParcelData
from atlasinit.report.matrices import count_pairs, find_strongest
from atlasinit.report.parcels import Measures

_FEW = 5
"""Locations below which a mean is mostly noise."""

_ALIKE = 0.99
"""Cosine above which least squares cannot tell two maps apart."""

_ASIDE = 2.0
"""mm that the centre of a parcel may lie on the other side, for parcels at the midline."""

_HALF = 0.5

_ROUNDED = 1e-6
"""Range of a series as a share of its largest value, below which it is constant."""

_SHOWN = 8
# What `atlasinit.catalogue.finishing` has written into the provenance.
_MEDIAL_WALL = re.compile(r"^without_medial_wall\((\d+) labelled vertices lost\)$")


def atlas_findings(atlas: Atlas, measures: Measures) -> Iterator[str]:
    """Yield a sentence for each thing about an atlas that is worth a look."""
    yield from parcel_findings(atlas, measures)
    yield from overlap_findings(atlas, measures)
    bare = [
        c
        for c, g in atlas.geometry.items()
        if isinstance(g, SurfaceMesh) and find_surface(g) is None
    ]
    if bare:
        yield f"No surface to draw: {', '.join(bare)}; load the atlas with `meshes`."
    yield from terms_findings(atlas)


def parcel_findings(atlas: Atlas, measures: Measures) -> Iterator[str]:
    """Yield a sentence for each thing about the parcels of an atlas that is worth a look."""
    counts = measures.locations
    lost = [int(m[1]) for o in atlas.provenance.operations if (m := _MEDIAL_WALL.match(o))]
    # Which of the empty parcels lay on the wall is not told apart: all on surfaces may have.
    empty, walled = counts == 0, measures.is_surface & bool(lost)
    if sum(lost):
        yield (
            f"Labelled vertices on the medial wall: {sum(lost)} were left out, where data of "
            f"{atlas.space} have no values."
        )
    yield from _tell(
        atlas,
        empty & walled,
        "without any location: on the medial wall altogether, or never labelled",
    )
    yield from _tell(atlas, empty & ~walled, "without any location; projections are NaN there")
    few = (counts > 0) & (counts < _FEW)
    yield from _tell(atlas, few, f"of fewer than {_FEW} locations; their means are noisy")
    yield from _weights(atlas)
    crossed = _lie_across(atlas.table["hemisphere"], measures)
    yield from _tell(atlas, crossed, "whose centre lies in the other hemisphere than they state")
    # The side of the table often comes from the name, and one of the two sentences is enough.
    misnamed = _lie_across([hemisphere_of(name) for name in atlas.table["name"]], measures)
    yield from _tell(
        atlas, misnamed & ~crossed, "whose centre lies in the other hemisphere than their name says"
    )


def data_findings(atlas: Atlas, measures: Measures, data: ParcelData) -> Iterator[str]:
    """Yield a sentence for each thing about data that is worth a look."""
    # A parcel without any weight has NaN in any data: `atlas_findings` tells of it.
    gaps = ~np.isfinite(data.series).all(axis=0)
    has_weight = measures.locations > 0
    yield from _tell(atlas, gaps & has_weight, "with NaN in their series")
    if data.observed is not None:
        unseen = has_weight & (data.observed < _HALF)
        yield from _tell(atlas, unseen, "observed at less than half of their weight")
    still = np.zeros(atlas.n_parcels, bool) if data.flat is None else data.flat > _HALF
    yield from _tell(
        atlas, still, "where most of the data never change, as outside of the field of view"
    )
    # Also of series that come without their data, as a masker's; standardised, a constant is 0.
    if len(data.series) > 1:
        largest = np.abs(data.series).max(axis=0)
        with np.errstate(invalid="ignore"):
            same = np.ptp(data.series, axis=0) <= _ROUNDED * largest
        told = gaps | still
        yield from _tell(
            atlas, ~told & (largest == 0), "with 0 at all times, as outside of the field of view"
        )
        yield from _tell(atlas, ~told & same & (largest > 0), "whose series never changes")


def _lie_across(sides: Sequence[str], measures: Measures) -> np.ndarray:
    """Return which parcels have their centre on the side opposite to those given, L, R or ""."""
    # x grows to the right, in mm from the plane between the hemispheres.
    given, x = np.array(sides, dtype=object), measures.centres[:, 0]
    return ((given == "L") & (x > _ASIDE)) | ((given == "R") & (x < -_ASIDE))


def _tell(atlas: Atlas, which: np.ndarray, what: str) -> Iterator[str]:
    """Yield a sentence that names the parcels `which`, if there are any."""
    names = [atlas.table["name"][row] for row in np.flatnonzero(which)]
    if names:
        yield f"Parcels {what}: {format_list(names, _SHOWN)}."


def overlap_findings(atlas: Atlas, measures: Measures) -> Iterator[str]:
    """Yield a sentence for maps that overlap, and for those that cannot be told apart."""
    cosines = measures.cosines
    if cosines is None:
        return
    pairs = find_strongest(atlas, cosines)
    # Smoothing makes neighbours overlap; that is its purpose.
    if pairs and not any(o.startswith("smooth(") for o in atlas.provenance.operations):
        yield (
            f"Parcels that overlap: {format_count(count_pairs(cosines), 'pair')}, most of all "
            f"{pairs[0].one} and {pairs[0].other} (cosine {pairs[0].value:.2f})."
        )
    # The strongest pair overall is also the most alike of these.
    alike = count_pairs(np.where(np.abs(cosines) > _ALIKE, cosines, 0))
    if alike:
        yield (
            f"Maps that least squares cannot tell apart: {format_count(alike, 'pair')}, as "
            f"{pairs[0].one} and {pairs[0].other}."
        )


def _weights(atlas: Atlas) -> Iterator[str]:
    nan, negative = [], []
    for c, maps in atlas.maps.items():
        weights = maps.to_scipy().data
        if np.isnan(weights).any():
            nan.append(c)
        if (weights < 0).any():
            negative.append(c)
    if nan:
        yield f"NaN among the weights of {', '.join(nan)}."
    if negative:
        yield (
            f"Negative weights in {', '.join(negative)}: they count in projections, but as 0 in "
            "entropy, sizes and colours."
        )


def terms_findings(atlas: Atlas) -> Iterator[str]:
    """Yield a sentence for what is not stated, or limited, of an atlas's licence and citation."""
    kind = terms(atlas.provenance.licence)
    if kind == "unknown":
        stated = atlas.provenance.licence or "no source states one"
        yield f"Unknown licence ({stated}): ask before you share the atlas."
    elif kind:
        yield f"Licence for {kind} use: {atlas.provenance.licence}."
    if not atlas.provenance.citation:
        yield "Unknown citation: no source states one."
