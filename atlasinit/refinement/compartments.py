"""Every compartment of an atlas fitted to runs."""

import dataclasses

import numpy as np
from jaxtyping import Bool, Int32

from atlasinit.core.adjacency import find_touching
from atlasinit.core.atlas import Atlas
from atlasinit.core.geometry import Geometry
from atlasinit.core.maps import HardMaps, Maps
from atlasinit.errors import Argument, ArgumentError, format_count, warn
from atlasinit.refinement.connectivity import grow_into, join_strays, within_hops, within_mm
from atlasinit.refinement.estimate import Estimates, estimate
from atlasinit.refinement.fitting import Bounds, Fitter
from atlasinit.refinement.neighbours import find_neighbours
from atlasinit.refinement.runs import Runs, describe, scale_runs
from atlasinit.refinement.series import prepare
from atlasinit.refinement.settings import Settings


def refine_compartments(atlas: Atlas, runs: Runs, settings: Settings) -> Atlas:
    """Return the atlas with every compartment fitted, and what was done in its provenance."""
    maps: dict[str, Maps] = {}
    rows = atlas.parcel_slices()
    moved = 0
    for c, part in atlas.location_slices().items():
        start = atlas.maps[c]
        assert isinstance(start, HardMaps)
        one = dataclasses.replace(settings, frozen=settings.frozen[rows[c]])
        maps[c], labels = _refine_one(c, start, atlas.geometry[c], [run[part] for run in runs], one)
        moved += int((labels != np.asarray(start.labels)).sum())
    weights = f"neighbours={settings.effort.neighbours:g}, tether={settings.effort.tether:g}"
    done = f"refine({describe(runs)}, {weights}, {format_count(moved, 'location')} moved)"
    return atlas.replace(maps=maps, operation=done)


def _refine_one(
    compartment: str,
    start: HardMaps,
    geometry: Geometry,
    runs: Runs,
    settings: Settings,
) -> tuple[Maps, Int32[np.ndarray, " locations"]]:
    """Return the maps of a compartment, and its labels."""
    # In what follows labels count from 0 within the compartment, and -1 is no parcel.
    labels = np.asarray(start.labels)
    if not start.n_parcels or not (labels >= 0).any():
        return start, labels
    pairs = find_touching(geometry)
    if not pairs.size and labels.size > 1:
        raise ArgumentError(
            "atlas",
            f"should say which locations touch, but {compartment!r} has {geometry!r} "
            "without any that do",
            "for a mesh add its triangles by `mesh.replace(faces=...)`, or load the atlas with "
            + Argument("meshes"),
        )
    values, observed = scale_runs(runs, standardize=settings.standardize)
    seen = observed > 0
    if not seen.any():
        raise ArgumentError(
            "data",
            "should change over time somewhere, but are constant, NaN or infinite everywhere in "
            f"{compartment!r}",
        )
    still = settings.frozen
    start_labels = labels
    if settings.strays:
        # The entry that is appended is what -1 reads.
        kept = ~seen | np.append(still, False)[labels]
        start_labels = join_strays(labels, pairs, share=settings.strays, kept=kept)
    if settings.fill:
        start_labels = grow_into(start_labels, pairs, seen & (start_labels < 0))
    series = prepare(values, observed, pairs, denoise=settings.denoise)
    # (locations, time) in float32: 0.4 GB for 200,000 voxels and 500 volumes.
    del values
    estimates = estimate(series.own, start_labels, start.n_parcels)
    bounds = _bounds(start_labels, pairs, geometry, seen, settings)
    fitter = Fitter(series, find_neighbours(geometry))
    if estimates.has_signal:
        watch = settings.progress
        fit = fitter.fit(
            start_labels,
            bounds,
            estimates,
            settings.effort,
            key=settings.key,
            progress=None if watch is None else lambda done, most: watch(compartment, done, most),
        )
        if not fit.settled:
            most = settings.effort.most
            told = f"{compartment!r} had not settled after {most} sweeps; pass more by "
            warn(told + Argument("sweeps") + ".")
        labels = fit.labels
    else:
        # Without signal `labels` are those of the atlas, whose gaps and strays stay, too.
        _tell_noise(compartment, estimates)
    if settings.memberships and estimates.has_signal:
        maps = fitter.memberships(labels, bounds, estimates, settings.effort, start=start_labels)
        return maps, labels
    return HardMaps(labels, start.n_parcels), labels


def _tell_noise(compartment: str, estimates: Estimates) -> None:
    if estimates.noise > 0:
        warn(
            f"The series of the parcels of {compartment!r} have no more in common than noise "
            f"would ({estimates.surplus:.1f} standard deviations); their borders are kept."
        )


def _bounds(
    labels: Int32[np.ndarray, " locations"],
    pairs: np.ndarray,
    geometry: Geometry,
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
        near = within_mm(labels, geometry, still.size, settings.max_mm)
        allowed = near if allowed is None else allowed & near
    return Bounds(movable, ~still, allowed)
