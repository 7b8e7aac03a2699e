"""QC-FC: how motion goes with connectomes across participants, and with the distance of parcels."""

import dataclasses
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Float64, Int

from atlasinit.core.atlas import Atlas
from atlasinit.errors import AtlasFileError
from atlasinit.extraction.groups import Group, Step, run_of
from atlasinit.extraction.outputs import end_of_connectome, write_json
from atlasinit.extraction.performing import Setup
from atlasinit.io import read_matrix, save_matrix
from atlasinit.measures.maps import centres
from atlasinit.measures.parcels import average, per_compartment

LEAST = 10
"""Participants with a framewise displacement, fewer than which tell nothing: of ten, correlations
without any relation have a standard deviation of 1/3."""

LEVEL = 0.05
_BINS = 20
_NEAR_ONE = 1 - 1e-12
_TABLE = end_of_connectome("correlation")


@dataclasses.dataclass(frozen=True, eq=False)
class Relation:
    """How motion goes with connectomes.

    Parameters
    ----------
    matrix
        (parcels, parcels) correlation of mean framewise displacement with each edge across
        participants; NaN on the diagonal, and for edges of fewer than `LEAST` participants.
    participants
        How many have both.
    median
        Of the absolute values over edges.
    significant
        Share of edges with p < 0.05 (t-test, uncorrected), as Ciric et al. (2017) count them.
    dependence
        Spearman's correlation of `matrix` with the distance of parcels' centres over edges
        (Satterthwaite et al. 2012; Ciric et al. 2017); NaN where no surface or grid states places.
    """

    matrix: Float64[np.ndarray, "parcels parcels"]
    participants: int
    median: float
    significant: float
    dependence: float

    def follow(self, distances: Float[np.ndarray, "parcels parcels"]) -> list[list[float]]:
        """Return the 10th, 50th and 90th percentile of edges against their distance in mm.

        Behind the median distance of each of `_BINS` bins with about as many edges; none of few
        edges. Those of one distance are in one bin.
        """
        ends = np.triu_indices(len(distances), 1)
        far, r = distances[ends], self.matrix[ends]
        known = np.isfinite(far) & np.isfinite(r)
        far, r = far[known], r[known]
        if far.size < 10 * _BINS:
            return []
        inner = np.unique(np.quantile(far, np.arange(1, _BINS) / _BINS))
        numbers = np.searchsorted(inner, far)
        bins = [numbers == i for i in np.unique(numbers)]
        found = [[float(np.median(far[b])), *np.percentile(r[b], [10, 50, 90])] for b in bins]
        return found if len(found) > 1 else []


def relate_motion(
    motion: Mapping[str, float],
    connectomes: Iterable[tuple[str, Float[np.ndarray, "parcels parcels"]]],
    distances: Float[np.ndarray, "parcels parcels"],
) -> Relation:
    """Return QC-FC of correlations that come one after the other, of which none is kept.

    Fisher's z is averaged over the runs of a participant, so that none counts twice.

    Parameters
    ----------
    motion
        Participant to mean framewise displacement, in mm.
    connectomes
        Pairs of participant and correlations, those of one participant in a row; NaN where an
        edge is not there.
    distances
        Of parcels, in mm; NaN where they are not stated.
    """
    labels = list(motion)
    # About their mean and in units of their spread, so that sums of squares lose no digits.
    values = np.array([motion[label] for label in labels])
    spread = values.std() or 1.0
    scaled = dict(zip(labels, (values - values.mean()) / spread, strict=True))
    ends = np.triu_indices(len(distances), 1)
    count = np.zeros(ends[0].size, np.int64)
    sums = np.zeros((5, count.size))
    for label, edges in _average_runs(connectomes, ends):
        there = np.isfinite(edges)
        z, x = np.where(there, edges, 0), np.where(there, scaled[label], 0)
        count += there
        sums += np.stack([x, z, x * x, z * z, x * z])
    r = _correlate(count, sums)
    matrix = np.full(distances.shape, np.nan)
    matrix[ends] = r
    matrix.T[ends] = r
    known = np.isfinite(r)
    if not known.any():
        return Relation(matrix, len(labels), np.nan, np.nan, np.nan)
    p = _test(r[known], count[known])
    far = distances[ends]
    return Relation(
        matrix,
        len(labels),
        float(np.median(np.abs(r[known]))),
        float((p < LEVEL).mean()),
        _rank(far, r),
    )


def _average_runs(
    connectomes: Iterable[tuple[str, np.ndarray]], ends: tuple[np.ndarray, np.ndarray]
) -> Iterable[tuple[str, Float64[np.ndarray, " edges"]]]:
    """Yield each participant with the mean z of its runs, over those that have an edge."""
    current, total, count = None, np.empty(0), np.empty(0)
    for label, matrix in connectomes:
        z = np.arctanh(np.clip(matrix[ends].astype(np.float64), -_NEAR_ONE, _NEAR_ONE))
        there = np.isfinite(z)
        if label != current:
            if current is not None:
                yield current, _divide(total, count)
            current, total, count = label, np.zeros(z.size), np.zeros(z.size, np.int64)
        total, count = total + np.where(there, z, 0), count + there
    if current is not None:
        yield current, _divide(total, count)


def _divide(total: np.ndarray, count: np.ndarray) -> np.ndarray:
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _correlate(
    count: Int[np.ndarray, " edges"], sums: Float64[np.ndarray, "5 edges"]
) -> Float64[np.ndarray, " edges"]:
    n = np.maximum(count, 1)
    mx, mz, xx, zz, xz = sums / n
    vx, vz = xx - mx * mx, zz - mz * mz
    eps = 1e-12
    good = (count >= LEAST) & (vx > eps * xx) & (vz > eps * zz)
    r = (xz - mx * mz) / np.sqrt(np.where(good, vx * vz, 1))
    return np.where(good, np.clip(r, -1, 1), np.nan)


def _test(
    r: Float64[np.ndarray, " edges"], count: Int[np.ndarray, " edges"]
) -> Float64[np.ndarray, " edges"]:
    """Return p of correlations of normal values that have none, on both sides."""
    from scipy.special import stdtr

    t = np.abs(r) * np.sqrt((count - 2) / np.maximum(1 - r * r, 1e-300))
    return 2 * stdtr(count - 2, -t)


def _rank(a: np.ndarray, b: np.ndarray) -> float:
    from scipy.stats import rankdata

    both = np.isfinite(a) & np.isfinite(b)
    if both.sum() < 3 or not np.ptp(a[both]) or not np.ptp(b[both]):
        return np.nan
    return float(np.corrcoef(rankdata(a[both]), rankdata(b[both]))[0, 1])


def measure_distances(atlas: Atlas) -> Float64[np.ndarray, "parcels parcels"]:
    """Return distances of the centres of parcels in mm, NaN where no surface or grid says."""
    places = average(atlas, per_compartment(atlas, centres))
    found = [np.linalg.norm(places - place, axis=1) for place in places]
    return np.asarray(found, np.float64)


def _list_content(setup: Setup, group: Group) -> Any:
    found = _list_runs(group)
    people = {run_of(run).entities["sub"] for run in found}
    return found if len(people) >= LEAST else None


def _list_runs(group: Group) -> dict[str, list[Any]]:
    """Return the runs with correlations and a displacement: the hash, and the displacement."""
    hashes = group.list_hashes(_TABLE)
    moved = {run: group.records[run].quality.get("mean_fd") for run in hashes}
    return {run: [hashes[run], fd] for run, fd in moved.items() if fd is not None}


def _make(setup: Setup, group: Group, staging: Path) -> Mapping[str, Any]:
    runs = _list_runs(group)
    people: dict[str, list[str]] = defaultdict(list)
    for run in sorted(runs):
        people[run_of(run).entities["sub"]].append(run)
    motion = {label: float(np.mean([runs[run][1] for run in own])) for label, own in people.items()}
    atlas = group.atlas.atlas
    names = list(atlas.table["name"])

    def read() -> Iterable[tuple[str, np.ndarray]]:
        for label, own in people.items():
            for run in own:
                table = setup.root / f"{group.stem_of(run)}_{_TABLE}"
                found = read_matrix(table)
                if list(found.columns) != names:
                    raise AtlasFileError(table, "has other parcels than the atlas")
                yield label, found.to_numpy()

    distances = measure_distances(atlas)
    found = relate_motion(motion, read(), distances)
    place = staging / f"{group.stem}_stat-qcfc_relmat.tsv"
    save_matrix(found.matrix, atlas, place, overwrite=True)
    numbers = {
        "atlas": group.atlas.key,
        "participants": found.participants,
        "median_absolute_qcfc": found.median,
        "share_significant": found.significant,
        "distance_dependence": found.dependence,
    }
    # JSON has no NaN.
    kept = {k: None if v != v else v for k, v in numbers.items()}
    about = {
        "Measure": "correlation of mean framewise displacement with Fisher's z of each "
        "correlation, across participants",
        "Atlas": group.atlas.label,
        "AtlasHash": group.atlas.digest,
        "Runs": sorted(runs),
        "Participants": found.participants,
        "MedianAbsolute": kept["median_absolute_qcfc"],
        "ShareSignificant": kept["share_significant"],
        "DistanceDependence": kept["distance_dependence"],
    }
    write_json(place.with_suffix(".json"), about)
    return {**kept, "matrix": place.name, "curve": found.follow(distances)}


QCFC = Step("qcfc", _list_content, _make)
