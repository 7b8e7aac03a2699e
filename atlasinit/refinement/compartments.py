"""Every compartment of an atlas fitted to runs."""

import dataclasses

import numpy as np
from jaxtyping import Bool, Int32

from atlasinit.core.atlas import Atlas
from atlasinit.core.maps import HardMaps, Maps
from atlasinit.errors import Argument, ArgumentError, format_count, format_list, warn
from atlasinit.refinement.connectivity import grow_into, join_strays, within_hops, within_mm
from atlasinit.refinement.estimate import Estimates, estimate
from atlasinit.refinement.fitting import Bounds, Fitter
from atlasinit.refinement.neighbours import find_neighbours
from atlasinit.refinement.regions import Region, find_regions
from atlasinit.refinement.runs import Runs, describe, scale_runs
from atlasinit.refinement.series import prepare
from atlasinit.refinement.settings import Settings


def refine_compartments(atlas: Atlas, runs: Runs, settings: Settings) -> Atlas:
    """Return the atlas with every compartment fitted, and what was done in its provenance."""
    maps: dict[str, Maps] = {}
    moved = 0
    for region in find_regions(atlas):
        start = region.join_labels(atlas)
        one = dataclasses.replace(settings, frozen=settings.frozen[region.rows])
        found, labels = _refine_one(region, start, [region.take_data(run) for run in runs], one)
        maps |= region.split_maps(found)
        moved += int((labels != np.asarray(start.labels)).sum())
    weights = f"neighbours={settings.effort.neighbours:g}, tether={settings.effort.tether:g}"
    done = f"refine({describe(runs)}, {weights}, {format_count(moved, 'location')} moved)"
    return atlas.replace(maps=maps, operation=done)


def _refine_one(
    region: Region, start: HardMaps, runs: Runs, settings: Settings
) -> tuple[Maps, Int32[np.ndarray, " locations"]]:
    """Return the maps of a region, and its labels."""
    # In what follows labels count from 0 within the region, and -1 is no parcel.
    labels = np.asarray(start.labels)
    if not start.n_parcels or not (labels >= 0).any():
        return start, labels
    pairs = region.find_pairs()
    _check_touching(region, pairs)
    values, observed = scale_runs(runs, standardize=settings.standardize)
    seen = observed > 0
    _check_seen(region, seen)
    settings = _freeze_uncovered(region, labels, seen, settings)
    start_labels = _mended(labels, region, pairs, seen, settings)
    series = prepare(values, observed, pairs, denoise=settings.denoise)
    # (locations, time) in float32: 0.4 GB for 200,000 voxels and 500 volumes.
    del values
    estimates = estimate(series.own, start_labels, start.n_parcels)
    bounds = _bounds(start_labels, pairs, region, seen, settings)
    fitter = Fitter(series, find_neighbours(pairs, labels.size), region.number_parts())
    if estimates.has_signal:
        watch = settings.progress
        fit = fitter.fit(
            start_labels,
            bounds,
            estimates,
            settings.effort,
            seed=settings.seed,
            progress=None if watch is None else lambda done, most: watch(region.name, done, most),
        )
        if not fit.settled:
            most = settings.effort.most
            told = f"{region.name!r} had not settled after {most} sweeps; pass more by "
            warn(told + Argument("sweeps") + ".")
        labels = fit.labels
    else:
        # Without signal `labels` are those of the atlas, whose gaps and strays stay, too.
        _tell_noise(region.name, estimates)
    if settings.memberships and estimates.has_signal:
        maps = fitter.memberships(labels, bounds, estimates, settings.effort, start=start_labels)
        return maps, labels
    return HardMaps(labels, start.n_parcels), labels


def _check_touching(region: Region, pairs: Int32[np.ndarray, "2 pairs"]) -> None:
    # Of each compartment with pairs the number.
    touching = set(region.number_parts()[pairs[0]].tolist())
    for number, (c, geometry) in enumerate(region.geometry.items()):
        if geometry.n_locations > 1 and number not in touching:
            raise ArgumentError(
                "atlas",
                f"should say which locations touch, but {c!r} has {geometry!r} without any that do",
                "for a mesh add its triangles by `mesh.replace(faces=...)`, or load the atlas with "
                + Argument("meshes"),
            )


def _check_seen(region: Region, seen: Bool[np.ndarray, " locations"]) -> None:
    for c, part in region.parts().items():
        if part.stop > part.start and not seen[part].any():
            raise ArgumentError(
                "data",
                "should change over time somewhere, but are constant, NaN or infinite everywhere "
                f"in {c!r}",
            )


def _freeze_uncovered(
    region: Region,
    labels: Int32[np.ndarray, " locations"],
    seen: Bool[np.ndarray, " locations"],
    settings: Settings,
) -> Settings:
    """Return settings in which parcels with too little data are frozen, too, and name these."""
    there = labels >= 0
    totals, covered = (
        np.bincount(labels[kept], minlength=len(region.names)) for kept in (there, there & seen)
    )
    few = (totals > 0) & (covered < settings.min_coverage * totals) & ~settings.frozen
    if few.any():
        names = format_list(np.array(region.names, dtype=object)[few])
        share = f"{100 * settings.min_coverage:g} %"
        warn(f"Parcels with data at less than {share} of their locations keep these: {names}.")
    # A parcel without data has no mean that a location could fit.
    return dataclasses.replace(settings, frozen=settings.frozen | few | (covered == 0))


def _mended(
    labels: Int32[np.ndarray, " locations"],
    region: Region,
    pairs: Int32[np.ndarray, "2 pairs"],
    seen: Bool[np.ndarray, " locations"],
    settings: Settings,
) -> Int32[np.ndarray, " locations"]:
    """Return labels whose strays have joined others and whose gaps are filled, as is asked for."""
    n_parcels = settings.frozen.size
    # A parcel's part in each compartment counts by itself, so that no small one is a stray.
    cells = np.where(labels < 0, -1, labels + n_parcels * region.number_parts())
    if settings.strays:
        # The entry that is appended is what -1 reads.
        kept = ~seen | np.append(settings.frozen, False)[labels]
        cells = join_strays(cells, pairs, share=settings.strays, kept=kept)
    if settings.fill:
        cells = grow_into(cells, pairs, seen & (cells < 0))
    return np.where(cells < 0, -1, cells % n_parcels).astype(np.int32)


def _tell_noise(compartment: str, estimates: Estimates) -> None:
    if estimates.noise > 0:
        warn(
            f"The series of the parcels of {compartment!r} have no more in common than noise "
            f"would ({estimates.surplus:.1f} standard deviations); their borders are kept."
        )


def _bounds(
    labels: Int32[np.ndarray, " locations"],
    pairs: np.ndarray,
    region: Region,
    seen: Bool[np.ndarray, " locations"],
    settings: Settings,
) -> Bounds:
    still = settings.frozen
    movable = seen & (labels >= 0) & ~np.append(still, True)[labels]
    # Rows are locations and columns parcels; distances are from `labels`.
    allowed = None
    if settings.max_hops is not None:
        allowed = within_hops(labels, pairs, still.size, settings.max_hops)
    if settings.max_mm is not None:
        near = np.concatenate(
            [
                within_mm(labels[part], region.geometry[c], still.size, settings.max_mm)
                for c, part in region.parts().items()
            ]
        )
        allowed = near if allowed is None else allowed & near
    return Bounds(movable, ~still, allowed)
