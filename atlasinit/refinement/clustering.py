"""Connected parcels from data alone."""

import functools
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from jaxtyping import Int32

from atlasinit.core.adjacency import find_touching
from atlasinit.core.atlas import Atlas
from atlasinit.core.counts import check_geometries, count_parcels
from atlasinit.core.geometry import Geometry
from atlasinit.core.labels import numbered_labels
from atlasinit.core.maps import HardMaps
from atlasinit.core.provenance import Provenance
from atlasinit.errors import ArgumentError
from atlasinit.refinement.levels import Search, find_parcels
from atlasinit.refinement.runs import Runs, describe, read_runs, scale_runs
from atlasinit.refinement.series import prepare
from atlasinit.refinement.settings import Progress, check_progress, make_effort, make_seed
from atlasinit.support.arrays import number_by_first
from atlasinit.support.numbers import check_switch, check_whole_number


def cluster_atlas(
    geometry: Mapping[str, Geometry] | Atlas,
    data: Any,
    n_parcels: int | Mapping[str, int],
    *,
    key: jax.Array | None = None,
    neighbours: float | int = 1.0,
    restarts: int | None = None,
    sample_mask: Any = None,
    standardize: bool = True,
    denoise: bool = True,
    min_volumes: int = 30,
    data_space: str | None = None,
    name: str = "clusters",
    space: str = "",
    progress: Progress | None = None,
) -> Atlas:
    """Return an atlas of connected parcels found in data alone.

    Four times as many parcels as wanted by Ward's method on the graph of neighbours
    (scikit-learn's ``AgglomerativeClustering``, as nilearn's ``Parcellations(method="ward")``)
    are fitted as by `refine` without a tether, merged to half as many as Ward would, fitted,
    and so once more. All of this is done as many times as `restarts` says, with annealing that
    draws anew, and that is returned whose means keep most of the variance of the data given.

    Locations without data, as a medial wall, belong to no parcel. Parcels are numbered from 1
    in each compartment, in the order of their first locations. There are no gradients through
    these choices.

    Parameters
    ----------
    geometry
        Compartment to `VolumeGrid` or `SurfaceMesh` with faces; or an atlas, whose geometry and
        space are taken.
    data
        As for `refine`.
    n_parcels
        Number of parcels of every compartment, or of each.
    key, neighbours, sample_mask, standardize, denoise, min_volumes, data_space, progress
        As of `refine`.
    restarts
        How many times parcels are looked for; the time grows with it. Few, large parcels differ
        more from one time to the next, and take less: by default 3 times for up to 50 parcels,
        twice for up to 100, and once for more.
    name, space
        Of the new atlas.

    Returns
    -------
    Atlas
        Of labels; each parcel is in one piece.

    Raises
    ------
    ValueError
        Fewer locations with data than parcels, or more separate parts of the graph of
        neighbours than parcels, and as `refine`.
    TypeError
        A geometry without the name of its compartment, and as `refine`.

    Examples
    --------
    >>> import numpy as np
    >>> import atlasinit as ai
    >>> rng = np.random.default_rng(0)
    >>> grid = ai.VolumeGrid((8, 8, 2), np.eye(4))
    >>> series = np.repeat(rng.normal(size=(2, 100)), 64, axis=0) + rng.normal(size=(128, 100))
    >>> atlas = cluster_atlas({"volume": grid}, series, 2)
    >>> print(atlas.labels["n_locations"].tolist())
    [64, 64]
    """
    if isinstance(geometry, Atlas):
        space = space or geometry.space
        geometry = geometry.geometry
    geometry = check_geometries(geometry)
    counts = count_parcels(n_parcels, geometry, least=1)
    for switch, given in (("standardize", standardize), ("denoise", denoise)):
        check_switch(given, switch)
    # A tether would hold parcels to Ward's, which are no more than a start.
    effort = make_effort(neighbours, 0.0)
    if restarts is not None:
        restarts = check_whole_number(restarts, "restarts", least=1)
    seed = make_seed(key)
    check_progress(progress)
    # One parcel of every location, so that data can be read as those of an atlas.
    whole = _atlas(
        {c: np.zeros(g.n_locations, np.int32) for c, g in geometry.items()},
        dict.fromkeys(geometry, 1),
        geometry,
        name=name,
        space=space,
    )
    runs = read_runs(
        data, whole, sample_mask=sample_mask, min_volumes=min_volumes, data_space=data_space
    )
    labels = {
        c: _labels(
            c,
            geometry[c],
            [run[part] for run in runs],
            counts[c],
            Search(effort, restarts or _restarts(counts[c]), seed),
            standardize=standardize,
            denoise=denoise,
            progress=progress,
        )
        for c, part in whole.location_slices().items()
    }
    how = f"neighbours={effort.neighbours:g}" + (f", restarts={restarts}" if restarts else "")
    done = f"cluster_atlas({describe(runs)}, {how})"
    provenance = Provenance(source="data", operations=(done,))
    return _atlas(labels, counts, geometry, name=name, space=space).replace(provenance=provenance)


def _restarts(n_parcels: int) -> int:
    """Return how many times so many parcels are looked for by default."""
    return min(3, 1 + 100 // n_parcels)


def _labels(
    compartment: str,
    geometry: Geometry,
    runs: Runs,
    n_parcels: int,
    search: Search,
    *,
    standardize: bool,
    denoise: bool,
    progress: Progress | None,
) -> Int32[np.ndarray, " locations"]:
    values, observed = scale_runs(runs, standardize=standardize)
    seen = observed > 0
    if seen.sum() < n_parcels:
        raise ArgumentError(
            "n_parcels",
            f"should be at most the locations with data, {seen.sum()} in {compartment!r}, "
            f"got {n_parcels}",
        )
    part = geometry.restrict(seen)
    pairs = find_touching(part)
    # Parcels keep to the parts that they start in, so that each part needs one at least.
    _check_parts(compartment, geometry, pairs, int(seen.sum()), n_parcels)
    series = prepare(values[seen], observed[seen], pairs, denoise=denoise)
    del values
    tell = None if progress is None else functools.partial(progress, compartment)
    labels = find_parcels(series, pairs, n_parcels, search, tell=tell)
    out = np.full(geometry.n_locations, -1, np.int32)
    out[seen] = number_by_first(labels)
    return out


def _check_parts(
    compartment: str, geometry: Geometry, pairs: np.ndarray, n_seen: int, n_parcels: int
) -> None:
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    if not pairs.size and n_seen > 1:
        raise ArgumentError(
            "geometry",
            f"should say which locations touch, but {compartment!r} has {geometry!r} without any "
            "that do",
            "add a mesh's triangles by `mesh.replace(faces=...)`",
        )
    graph = coo_array((np.ones(pairs.shape[1]), tuple(pairs)), shape=(n_seen, n_seen))
    count, _ = connected_components(graph, directed=False)
    if count > n_parcels:
        raise ArgumentError(
            "n_parcels",
            f"should be at least the {count} separate parts of {compartment!r} with data, as "
            f"parcels are connected, got {n_parcels}",
            "leave small parts out by `geometry.restrict(...)`",
        )


def _atlas(
    labels: Mapping[str, np.ndarray],
    counts: Mapping[str, int],
    geometry: Mapping[str, Geometry],
    *,
    name: str,
    space: str,
) -> Atlas:
    return Atlas(
        name=name,
        space=space,
        maps={c: HardMaps(found, counts[c]) for c, found in labels.items()},
        geometry=geometry,
        labels=numbered_labels(counts),
    )
