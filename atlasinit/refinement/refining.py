"""An atlas whose borders fit the data of a person."""

import dataclasses
import itertools
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import jax
import numpy as np
from jaxtyping import Bool, Int32

from atlasinit.core.adjacency import find_touching
from atlasinit.core.atlas import Atlas
from atlasinit.core.geometry import Geometry
from atlasinit.core.maps import HardMaps, Maps
from atlasinit.core.selection import Parcel
from atlasinit.errors import ArgumentError, AtlasWarning, format_count, format_list, warn
from atlasinit.refinement.connectivity import grow_into, join_strays, within_hops, within_mm
from atlasinit.refinement.estimate import Estimates, estimate
from atlasinit.refinement.fitting import Bounds, Effort, Fitter
from atlasinit.refinement.neighbours import find_neighbours
from atlasinit.refinement.quality import (
    Agreement,
    check_labels,
    labels_of,
    measure_agreement,
    share_kept,
)
from atlasinit.refinement.series import Runs, compress, describe, halve, read_runs, scale_runs

Progress = Callable[[str, int, int], None]

_CHOICES = tuple(itertools.product((0.5, 1.0, 2.0), (0.0, 0.3, 2.0)))
"""Weights of the priors that halves of the data choose among."""


@dataclasses.dataclass(frozen=True)
class _Settings:
    """What a fit of any compartment is made with, checked."""

    effort: Effort
    standardize: bool
    frozen: Bool[np.ndarray, " parcels"]
    max_hops: int | None
    max_mm: float | int | None
    fill: bool
    strays: float | int
    memberships: bool
    key: jax.Array
    progress: Progress | None


def refine(
    atlas: Atlas,
    data: Any,
    *,
    key: jax.Array | None = None,
    neighbours: float | int | None = None,
    tether: float | int | None = None,
    halves: bool = False,
    sample_mask: Any = None,
    standardize: bool = True,
    frozen: Parcel | Iterable[Parcel] | None = None,
    max_hops: int | None = None,
    max_mm: float | int | None = None,
    fill: bool = False,
    strays: float | int = 0.05,
    min_size: int = 1,
    min_volumes: int = 30,
    sweeps: int = 200,
    memberships: bool = False,
    progress: Progress | None = None,
) -> Atlas:
    r"""Return the atlas with its borders moved to fit data: the same parcels, names and keys.

    Each location may go to a parcel that touches it. It is judged by how well the parcel's mean
    explains its series (the location itself left out), with one prior for neighbours that agree
    and one for the parcel that it started in. The series of a parcel are its mean and noise, and
    the mean is integrated out; with sums :math:`S_k` of :math:`n_k` series of norm 1, the log
    evidence that is raised is

    .. math::
        \sum_k \frac{\nu}{2} \left[ \frac{\| S_k \|^2}{\sigma^2 (n_k + \kappa)}
        - \log(1 + n_k / \kappa) \right]
        - \beta \sum_{i \sim j} [\ell_i \ne \ell_j] - \tau \sum_i [\ell_i \ne s_i]

    The variance of the noise :math:`\sigma^2`, its ratio to that of the means :math:`\kappa`,
    and the independent samples :math:`\nu` are estimated from the data at the start, so that
    the weights :math:`\beta` (`neighbours`) and :math:`\tau` (`tether`) are in nats and mean the
    same for every scan. After simulated annealing every move raises the evidence.

    No parcel breaks into more pieces than it had, and none vanishes. Locations of no parcel stay
    without, unless `fill`; those without data keep their parcel. Where parcels of the start have
    no more in common than noise would, the compartment is left as it is, with a warning.

    The labels are found by choices, so that there are no gradients through them; to train
    borders by gradients use `AtlasLinear`. The sweeps are one jitted program for CPUs and GPUs;
    tables of neighbours and limits are made on the host first.

    Parameters
    ----------
    atlas
        Of labels, on grids or meshes with faces.
    data
        As for `atlasinit.io.open_data`: cleaned series of one run; or a list of runs, of one
        person, or of several for an atlas of the group that each person's can start from. A run
        in which a location has NaN or never changes says nothing about it.
    key
        Of the annealing; by default ``jax.random.key(0)``. The same key gives the same atlas.
    neighbours
        Weight in nats of each pair of neighbours in two parcels; by default 1.
    tether
        Weight in nats of a location that is not in the parcel that it started in; by default
        0.3.
    halves
        Choose the two weights among a few by fitting one half of each run and judging by the
        other, and the reverse; where no choice is better than the start, the atlas is returned as
        it is. Takes 18 fits more.
    sample_mask
        Volumes to use: numbers or booleans, as nilearn's; with a list of runs a list.
    standardize
        Whether each location's series is scaled to the same variance in each run.
    frozen
        Parcels that keep their locations, as for `Atlas.select`.
    max_hops, max_mm
        How far from the border that it had a parcel may grow: in steps between neighbours, or mm
        along edges.
    fill
        Whether locations of no parcel that have data are given to parcels they touch, first.
    strays
        Pieces of at most this share of their parcel, other than its largest, first join what
        they touch; 0 keeps them.
    min_size
        Locations that a parcel keeps at least; smaller ones lose none.
    min_volumes
        The fewest volumes that are accepted.
    sweeps
        The most sweeps.
    memberships
        Return soft maps: the probability of each parcel at a location given the labels of the
        others, for the parcels that it touches.
    progress
        Called with a compartment, a number of sweeps and the most.

    Returns
    -------
    Atlas
        Of int32 labels, or with `memberships` sparse float32 maps whose columns sum to 1. Its
        provenance says what was done.

    Raises
    ------
    ValueError
        A soft atlas, a mesh without faces, too few volumes, data that never change or of
        another space, weights or limits that are negative, parcels that the atlas does not have.

    Warns
    -----
    AtlasWarning
        Parcels without locations, which stay empty; a compartment whose data say nothing about
        parcels; sweeps that ended before they settled.

    Examples
    --------
    >>> import numpy as np
    >>> import atlasinit as ai
    >>> rng = np.random.default_rng(0)
    >>> grid = ai.VolumeGrid((8, 8, 2), np.eye(4))
    >>> truth = np.repeat([0, 1], 64)
    >>> start = np.where(grid.ijk[:, 0] < 5, 0, 1)
    >>> atlas = ai.Atlas(
    ...     name="two", space="test", geometry={"volume": grid},
    ...     maps={"volume": ai.HardMaps(start, 2)},
    ...     labels=ai.LabelTable({"compartment": ["volume"] * 2, "key": [1, 2],
    ...                           "name": ["a", "b"], "color": ["", ""], "hemisphere": ["", ""]}))
    >>> series = rng.normal(size=(2, 100))[truth] + rng.normal(size=(128, 100))
    >>> fitted = refine(atlas, series)
    >>> print(np.mean(np.asarray(fitted.maps["volume"].labels) == truth))
    1.0
    """
    check_labels(atlas)
    effort = _effort(neighbours, tether, min_size=min_size, sweeps=sweeps, halves=halves)
    if not 0 <= strays <= 1:
        raise ArgumentError("strays", f"should be a share from 0 to 1, got {strays}")
    for name, limit in (("max_hops", max_hops), ("max_mm", max_mm)):
        if limit is not None and not limit >= 0:
            raise ArgumentError(name, f"should be 0 or more, got {limit}")
    still = np.zeros(atlas.n_parcels, bool)
    if frozen is not None:
        chosen = set(atlas.select(frozen).table["name"])
        still = np.array([name in chosen for name in atlas.table["name"]])
    runs = read_runs(data, atlas, sample_mask=sample_mask, min_volumes=min_volumes)
    settings = _Settings(
        effort=effort,
        standardize=standardize,
        frozen=still,
        max_hops=max_hops,
        max_mm=max_mm,
        fill=fill,
        strays=strays,
        memberships=memberships,
        key=jax.random.key(0) if key is None else key,
        progress=progress,
    )
    empty = [n for n, none in zip(atlas.table["name"], atlas.labels["empty"], strict=True) if none]
    if empty:
        warn(
            f"{len(empty)} of {atlas.n_parcels} parcels of {atlas.name!r} have no location and "
            f"stay empty: {format_list(empty)}."
        )
    if halves:
        best = _choose(atlas, runs, settings)
        if best is None:
            return atlas.replace(operation=f"refine({describe(runs)}, halves: start kept)")
        settings = dataclasses.replace(settings, effort=best)
    return _refined(atlas, runs, settings)


def _effort(
    neighbours: float | int | None,
    tether: float | int | None,
    *,
    min_size: int,
    sweeps: int,
    halves: bool,
) -> Effort:
    for name, weight in (("neighbours", neighbours), ("tether", tether)):
        if weight is not None and halves:
            raise ArgumentError(name, "and `halves` are both given", "pass one of them")
        if weight is not None and not (np.isfinite(weight) and weight >= 0):
            raise ArgumentError(name, f"should be 0 or more, got {weight}")
    for name, number in (("min_size", min_size), ("sweeps", sweeps)):
        if number < 1:
            raise ArgumentError(name, f"should be 1 or more, got {number}")
    plain = Effort()
    return Effort(
        plain.neighbours if neighbours is None else float(neighbours),
        plain.tether if tether is None else float(tether),
        hot=min(plain.hot, sweeps // 2),
        most=sweeps,
        least=min_size,
    )


def _refined(atlas: Atlas, runs: Runs, settings: _Settings) -> Atlas:
    maps: dict[str, Maps] = {}
    rows = atlas.parcel_slices()
    moved = 0
    for c, part in atlas.location_slices().items():
        start = atlas.maps[c]
        assert isinstance(start, HardMaps)
        one = dataclasses.replace(settings, frozen=settings.frozen[rows[c]])
        maps[c], labels = _compartment(
            c, start, atlas.geometry[c], [run[part] for run in runs], one
        )
        moved += int((labels != np.asarray(start.labels)).sum())
    weights = f"neighbours={settings.effort.neighbours:g}, tether={settings.effort.tether:g}"
    done = f"refine({describe(runs)}, {weights}, {format_count(moved, 'location')} moved)"
    return atlas.replace(maps=maps, operation=done)


def _compartment(
    compartment: str,
    start: HardMaps,
    geometry: Geometry,
    runs: Runs,
    settings: _Settings,
) -> tuple[Maps, Int32[np.ndarray, " locations"]]:
    """Return the maps of a compartment, and its labels."""
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
            "`meshes`",
        )
    values, observed = scale_runs(runs, standardize=settings.standardize)
    if not observed.any():
        raise ArgumentError(
            "data", f"should change over time somewhere, but do nowhere in {compartment!r}"
        )
    still = settings.frozen
    seen = observed > 0
    start_labels = labels
    if settings.strays:
        kept = ~seen | np.append(still, False)[labels]
        start_labels = join_strays(labels, pairs, share=settings.strays, kept=kept)
    if settings.fill:
        start_labels = grow_into(start_labels, pairs, seen & (start_labels < 0))
    series = compress(values, observed)
    del values
    estimates = estimate(series, start_labels, start.n_parcels)
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
            warn(
                f"{compartment!r} had not settled after {fit.sweeps} sweeps; pass more by `sweeps`."
            )
        labels = fit.labels
    else:
        _tell_noise(compartment, estimates)
    if settings.memberships and estimates.has_signal:
        return fitter.memberships(labels, bounds, estimates, settings.effort), labels
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
    settings: _Settings,
) -> Bounds:
    still = settings.frozen
    movable = seen & (labels >= 0) & ~np.append(still, True)[labels]
    allowed = None
    if settings.max_hops is not None:
        allowed = within_hops(labels, pairs, still.size, settings.max_hops)
    if settings.max_mm is not None:
        near = within_mm(labels, geometry, still.size, settings.max_mm)
        allowed = near if allowed is None else allowed & near
    return Bounds(movable, ~still, allowed)


@dataclasses.dataclass(frozen=True)
class Halves:
    """What fits to one half of the data say of the other half, in both directions.

    Parameters
    ----------
    before, after
        Share of the variance of the half not fitted to that parcels' means keep, of the start
        and of the fit; means of the two directions.
    agreement
        Of the two fits.
    moved
        Share of the locations that the fits moved, on average.
    """

    before: float
    after: float
    agreement: Agreement
    moved: float


def assess_halves(atlas: Atlas, data: Any, **options: Any) -> Halves:
    """Return how well fits to halves of the data do in the other halves, and how alike they are.

    Parameters
    ----------
    atlas, data
        As of `atlasinit.refine`, of which each run is cut in two.
    **options
        As of `atlasinit.refine`, `memberships` and `halves` excepted.

    Raises
    ------
    ValueError
        As `atlasinit.refine`.
    """
    check_labels(atlas)
    standardize = options.get("standardize", True)
    least = options.pop("min_volumes", Ellipsis)
    runs = read_runs(
        data,
        atlas,
        sample_mask=options.pop("sample_mask", None),
        min_volumes=60 if least is Ellipsis else least,
    )
    parts = halve(runs)
    fits = [refine(atlas, part, min_volumes=1, **options) for part in parts]
    return _judge(atlas, fits, parts, standardize=standardize)


def _judge(
    atlas: Atlas,
    fits: Sequence[Atlas],
    parts: Sequence[Sequence[np.ndarray]],
    *,
    standardize: bool,
) -> Halves:
    others = parts[::-1]
    before = [share_kept(atlas, part, standardize=standardize) for part in others]
    after = [
        share_kept(fit, part, standardize=standardize)
        for fit, part in zip(fits, others, strict=True)
    ]
    start = labels_of(atlas)
    moved = [np.mean(labels_of(fit) != start) for fit in fits]
    return Halves(
        float(np.mean(before)),
        float(np.mean(after)),
        measure_agreement(*fits),
        float(np.mean(moved)),
    )


def _choose(atlas: Atlas, runs: Runs, settings: _Settings) -> Effort | None:
    """Return the effort that does best in halves not fitted to; None where the start does."""
    import warnings

    parts = halve(runs)
    best, found = None, -np.inf
    for neighbours, tether in _CHOICES:
        effort = dataclasses.replace(settings.effort, neighbours=neighbours, tether=tether)
        one = dataclasses.replace(settings, effort=effort, memberships=False)
        with warnings.catch_warnings():
            # The fit to all of the data says these things once more.
            warnings.simplefilter("ignore", AtlasWarning)
            fits = [_refined(atlas, part, one) for part in parts]
        judged = _judge(atlas, fits, parts, standardize=settings.standardize)
        if judged.after > max(found, judged.before):
            best, found = effort, judged.after
    return best
