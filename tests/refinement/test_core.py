"""The tables of neighbours and the jitted sweeps, against plain NumPy and SciPy."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers_refinement import GEOMETRIES, blocks, points_of, series
from scipy.ndimage import label as components

from atlasinit.core.adjacency import find_touching
from atlasinit.refinement.connectivity import (
    count_pieces,
    find_pieces,
    join_strays,
    within_hops,
    within_mm,
)
from atlasinit.refinement.estimate import estimate
from atlasinit.refinement.fitting import Bounds, Effort, Fitter
from atlasinit.refinement.neighbours import find_neighbours
from atlasinit.refinement.runs import scale_runs
from atlasinit.refinement.series import Prepared, Series, average_neighbours, compress
from atlasinit.refinement.starts import merge_parcels, ward_labels
from atlasinit.refinement.sweeps import (
    Heat,
    Model,
    Problem,
    Schedule,
    gains,
    start_state,
    sweep,
)


@pytest.fixture(scope="module", params=list(GEOMETRIES))
def geometry(request):
    return GEOMETRIES[request.param]


def evidence(x, labels, start, pairs, n_parcels, numbers):
    """Return the log evidence in float64, from its formula."""
    samples, noise, ridge, neighbours, tether = numbers
    total = 0.0
    for parcel in range(n_parcels):
        inside = x[labels == parcel].astype(np.float64)
        n = len(inside)
        total += samples / 2 * ((inside.sum(0) ** 2).sum() / (noise * (n + ridge)))
        total -= samples / 2 * np.log1p(n / ridge)
    cut = (labels[pairs[0]] != labels[pairs[1]]).sum()
    return total - neighbours * cut - tether * (labels != start).sum()


def neighbours_of(geometry, **options):
    return find_neighbours(find_touching(geometry), geometry.n_locations, **options)


NUMBERS = (30.0, 0.6, 2.0, 0.7, 0.4)


def problem_of(geometry, labels, data=None):
    found = compress(*scale_runs([series(labels) if data is None else data], standardize=True))
    n_parcels = int(labels.max()) + 1
    problem = Problem(
        jnp.asarray(found.values),
        jnp.asarray(found.observed),
        jnp.asarray(labels, jnp.int32),
        jnp.asarray(labels >= 0),
        None,
        jnp.ones(n_parcels, bool),
        jax.tree.map(jnp.asarray, neighbours_of(geometry)),
        jnp.zeros(labels.size, jnp.int32),
        1,
    )
    return problem, Model(*(jnp.float32(number) for number in NUMBERS)), n_parcels


def test_neighbours_are_the_pairs_that_touch_and_turns_are_in_nobody_s_way(geometry):
    found = neighbours_of(geometry)
    pairs = {frozenset(pair) for pair in find_touching(geometry).T.tolist()}
    own = {frozenset((i, int(j))) for i, row in enumerate(found.near) for j in row[row >= 0]}
    assert own == pairs
    counts = [(row >= 0).sum() for row in found.near]
    assert sum(counts) == 2 * len(pairs)
    turns = found.turns
    assert sorted(turns[turns >= 0].tolist()) == list(range(geometry.n_locations))
    for turn in turns:
        rows = turn[turn >= 0]
        around = np.concatenate([found.near[rows], found.bridge[rows].reshape(rows.size, -1)], 1)
        others = np.where(around == rows[:, None], -1, around)
        assert not np.isin(others[others >= 0], rows).any()


def test_bridges_join_neighbours_around_a_location(geometry):
    found = neighbours_of(geometry)
    near = {i: set(row[row >= 0].tolist()) for i, row in enumerate(found.near)}
    for i in range(0, geometry.n_locations, 7):
        for s, t in itertools.combinations(range(found.near.shape[1]), 2):
            a, b, via = int(found.near[i, s]), int(found.near[i, t]), int(found.bridge[i, s, t])
            if a < 0 or b < 0:
                assert via == -1
            elif b in near[a]:
                assert via in (a, b)
            elif via >= 0:
                assert via != i
                assert {a, b} <= near[via]
            else:
                assert near[a] & near[b] <= {i}


def test_large_turns_are_taken_in_parts(geometry):
    turns = neighbours_of(geometry, most=10).turns
    assert turns.shape[1] == 10
    assert sorted(turns[turns >= 0].tolist()) == list(range(geometry.n_locations))


def test_gains_are_the_changes_of_the_evidence(geometry):
    labels = blocks(geometry, shift=1.0)
    labels[::17] = -1
    problem, model, n_parcels = problem_of(geometry, labels)
    rows = np.flatnonzero(labels >= 0)[::5]

    @jax.jit  # one program compiles in less time than each of its operations
    def gains_of(labels):
        state = start_state(problem, model, labels, n_parcels)
        return gains(problem, model, state, jnp.asarray(rows))

    gain, _, targets = map(np.asarray, gains_of(jnp.asarray(labels, jnp.int32)))
    x, pairs = np.asarray(problem.series), find_touching(geometry)
    before = evidence(x, labels, labels, pairs, n_parcels, NUMBERS)
    tried = 0
    for row, ours, others in zip(rows, gain, targets, strict=True):
        for one, parcel in zip(ours, others, strict=True):
            if parcel < 0 or parcel == labels[row]:
                assert one == -np.inf
                continue
            moved = labels.copy()
            moved[row] = parcel
            after = evidence(x, moved, labels, pairs, n_parcels, NUMBERS)
            np.testing.assert_allclose(one, after - before, rtol=1e-3, atol=5e-3)
            tried += 1
    assert tried > 10


@pytest.mark.parametrize("seed", range(3))
def test_every_sweep_raises_the_evidence_and_breaks_no_parcel(geometry, seed):
    labels = blocks(geometry, shift=2.0)
    rng = np.random.default_rng(seed)
    # Data that have nothing to do with the start, so that borders go far.
    data = series(rng.permutation(labels), seed=seed)
    problem, model, n_parcels = problem_of(geometry, labels, data)
    pairs, x = find_touching(geometry), np.asarray(problem.series)
    still = Heat(jnp.float32(0), jnp.zeros((1, labels.size)))
    now, score = labels, evidence(x, labels, labels, pairs, n_parcels, NUMBERS)
    for _ in range(20):
        schedule = Schedule(*(jnp.int32(n) for n in (0, 1, 0, 1)))
        out, moves, _ = sweep(
            problem, model, jnp.asarray(now, jnp.int32), schedule, still, n_parcels=n_parcels
        )
        out = np.asarray(out)
        assert (count_pieces(out, pairs, n_parcels) == 1).all()
        after = evidence(x, out, labels, pairs, n_parcels, NUMBERS)
        assert after >= score - 1e-3
        if int(moves) == 0:
            break
        assert after > score
        now, score = out, after
    assert (now != labels).any()


@pytest.mark.parametrize("temperature", [0.0, 3.0])
def test_hot_sweeps_break_no_parcel_either(geometry, temperature):
    labels = blocks(geometry, shift=2.0)
    problem, model, n_parcels = problem_of(geometry, labels)
    draws = np.random.default_rng(1).random((30, labels.size), np.float32)
    heat = Heat(jnp.float32(temperature), jnp.asarray(draws))
    schedule = Schedule(*(jnp.int32(n) for n in (0, 30, 30, 5)))
    out = np.asarray(
        sweep(problem, model, jnp.asarray(labels, jnp.int32), schedule, heat, n_parcels=n_parcels)[
            0
        ]
    )
    assert (count_pieces(out, find_touching(geometry), n_parcels) == 1).all()
    assert np.bincount(out).min() >= 5


def test_the_core_compiles_for_gpus(geometry):
    problem, model, n_parcels = problem_of(geometry, blocks(geometry))
    heat = Heat(jnp.float32(1), jnp.zeros((30, geometry.n_locations)))
    schedule = Schedule(*(jnp.int32(n) for n in (0, 30, 30, 5)))
    fit = functools.partial(sweep, n_parcels=n_parcels)
    exported = jax.export.export(jax.jit(fit), platforms=["cuda"])(
        problem, model, jnp.zeros(geometry.n_locations, jnp.int32), schedule, heat
    )
    assert exported.platforms == ("cuda",)


def test_pieces_are_those_of_ndimage():
    geometry = GEOMETRIES["volume"]
    labels = np.random.default_rng(0).integers(-1, 3, geometry.n_locations)
    pieces = find_pieces(labels, find_touching(geometry))
    counts = count_pieces(labels, find_touching(geometry), 3)
    for parcel in range(3):
        found, n = components(labels.reshape(geometry.shape) == parcel)  # pyright: ignore[reportGeneralTypeIssues]
        assert n == counts[parcel]
        inside = labels == parcel
        pairs = set(zip(found.reshape(-1)[inside], pieces[inside], strict=True))
        assert len(pairs) == n
    assert (pieces[labels < 0] == -1).all()


def test_small_pieces_join_what_they_touch_and_large_ones_stay(geometry):
    labels = np.zeros(geometry.n_locations, np.int32)
    points = points_of(geometry)
    labels[points[:, 0] >= 6] = 1
    labels[points[:, 0] <= 1] = 1  # a large second piece
    stray = np.flatnonzero((points[:, 0] == 4) & (points[:, 1] == 4))[:1]
    labels[stray] = 1
    none = np.zeros(labels.size, bool)
    fixed = join_strays(labels, find_touching(geometry), share=0.05, kept=none)
    assert fixed[stray] == 0
    assert (np.delete(fixed, stray) == np.delete(labels, stray)).all()
    kept = none.copy()
    kept[stray] = True
    assert (join_strays(labels, find_touching(geometry), share=0.05, kept=kept) == labels).all()
    nowhere = np.full(labels.size, -1, np.int32)
    assert (join_strays(nowhere, find_touching(geometry), share=0.05, kept=none) == -1).all()


def test_reach_in_hops_and_mm_is_that_of_shortest_paths(geometry):
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import shortest_path

    labels = blocks(geometry)
    pairs = find_touching(geometry)
    graph = coo_array((np.ones(pairs.shape[1]), tuple(pairs)), shape=(labels.size,) * 2).tocsr()
    hops = shortest_path(graph, directed=False, unweighted=True)
    near = np.stack([hops[labels == k].min(0) for k in range(4)], 1)
    assert (within_hops(labels, pairs, 4, 2) == (near <= 2)).all()
    if geometry is GEOMETRIES["volume"]:
        assert (within_mm(labels, geometry, 4, 5.0) == (2 * near <= 5)).all()
    else:
        found = within_mm(labels, geometry, 4, 2.0)
        assert (found[near <= 1]).all()
        assert not found[near > 2].any()


def test_estimates_find_the_variances_and_the_samples(geometry):
    labels = blocks(geometry)
    rng = np.random.default_rng(0)
    means, noise = rng.normal(size=(4, 60)), rng.normal(size=(labels.size, 60))
    x = ((means[labels] * np.sqrt(0.4) + noise * np.sqrt(0.6)) / np.sqrt(60)).astype(np.float32)
    found = estimate(Series(x, np.ones(labels.size, np.float32)), labels, 4)
    assert found.noise == pytest.approx(0.6, rel=0.1)
    assert found.signal == pytest.approx(0.4, rel=0.25)
    assert found.samples == pytest.approx(60 * labels.size / (labels.size + 60), rel=0.1)
    assert found.has_signal
    empty = estimate(Series(noise.astype(np.float32), np.ones(labels.size, np.float32)), labels, 4)
    assert not empty.has_signal


def test_the_rotation_keeps_inner_products():
    x = series(blocks(GEOMETRIES["volume"]), n_time=50)
    values, observed = scale_runs([x], standardize=True)
    found = compress(values, observed).values
    assert found.shape[1] <= 50
    np.testing.assert_allclose(found @ found.T, values @ values.T, atol=2e-3)
    # Few components of many volumes.
    low = np.random.default_rng(0).normal(size=(90, 3)) @ x[:3]
    assert compress(*scale_runs([low], standardize=True)).values.shape[1] == 3


def test_components_weigh_by_the_variance_that_they_have_in_other_volumes():
    rng = np.random.default_rng(0)
    n, n_time, scale = 2000, 64, np.array([4.0, 2.0, 1.0])
    maps = rng.normal(size=(n, 3)) * scale
    x = maps @ rng.normal(size=(3, n_time))
    # Strong in a few volumes of one part alone: no component of other volumes.
    burst = np.zeros(n_time)
    burst[20:23] = 5 * rng.normal(size=3)
    x += 4 * rng.normal(size=(n, 1)) * burst
    values, observed = scale_runs([x.astype(np.float32)], standardize=False)
    values[:2], observed[:2] = 0, 0
    plain, own = (compress(values, observed, shrink=f).values for f in (False, True))
    np.testing.assert_allclose(
        np.linalg.norm(own, axis=1), np.linalg.norm(plain, axis=1), rtol=1e-4
    )

    def share(found):
        """Return how much of the variance lies along the maps of components."""
        every = np.concatenate([maps, x @ burst[:, None] / (burst @ burst)], axis=1)
        basis = np.linalg.qr(every)[0]
        return ((basis.T @ found) ** 2).sum(1) / (found**2).sum()

    before, after = share(plain), share(own)
    assert before[3] > 0.1
    assert after[3] < 0.75 * before[3]
    # What is the same in all parts keeps its place.
    assert (np.diff(after[:3]) < 0).all()


@pytest.mark.parametrize("n_time", [1, 2, 3, 5])
def test_few_or_equal_volumes_are_turned_too(n_time):
    x = series(blocks(GEOMETRIES["volume"]), n_time=n_time)
    for data in (x, np.repeat(x[:, :1], n_time, axis=1) + np.eye(len(x), n_time, dtype=np.float32)):
        values, observed = scale_runs([data], standardize=True)
        own = compress(values, observed, shrink=True).values
        assert np.isfinite(own).all()
        norms = [np.linalg.norm(part, axis=1) for part in (own, values)]
        np.testing.assert_allclose(*norms, atol=1e-3)


def test_averages_are_those_of_neighbours_with_data(geometry):
    pairs = find_touching(geometry)
    values, observed = scale_runs([series(blocks(geometry))], standardize=True)
    values[5], observed[5] = 0, 0
    found = average_neighbours(Series(values, observed), pairs).values
    for row in (4, 5, 6, 50):
        near = np.append(pairs[:, (pairs == row).any(0)].ravel(), row)
        near = [i for i in np.unique(near) if i != 5]
        wanted = values[near].mean(0) if row != 5 else values[5]
        wanted /= np.linalg.norm(wanted) or 1
        np.testing.assert_allclose(found[row], wanted, atol=1e-5)


def test_merges_lose_least_variance_first():
    geometry = GEOMETRIES["cortex_L"]
    labels, pairs = blocks(geometry), find_touching(geometry)
    x = series(labels, noise=0.1)
    x[labels == 3] += 5 * x[labels == 1].mean(0) - x[labels == 3].mean(0)
    x[labels == 1] *= 5
    merged = merge_parcels(labels, x, pairs, 3)
    assert (merged[labels == 3] == merged[labels == 1][0]).all()
    assert merged.max() == 2
    # From single locations on it is Ward's method.
    alone = np.arange(labels.size)
    ours = merge_parcels(alone, x, pairs, 6)
    theirs = ward_labels(x, pairs, 6)
    assert len(set(zip(ours, theirs, strict=True))) == 6


def test_memberships_are_probabilities_of_the_parcels_that_touch(geometry):
    labels = blocks(geometry, shift=1.0)
    found = compress(*scale_runs([series(labels, noise=4.0)], standardize=True))
    bounds = Bounds(np.ones(labels.size, bool), np.ones(4, bool))
    estimates = estimate(found, labels, 4)
    effort = Effort(neighbours=0.5, tether=0.2)
    fitter = Fitter(Prepared(found, found), neighbours_of(geometry))
    maps = fitter.memberships(labels, bounds, estimates, effort, start=labels)
    dense = maps.to_dense()
    np.testing.assert_allclose(dense.sum(0), 1, rtol=1e-5)
    # A location that has left its parcel is drawn back to where it started, not to where it is.
    moved = labels.copy()
    border = find_touching(geometry)[:, np.diff(labels[find_touching(geometry)], axis=0)[0] != 0]
    moved[border[0, 0]] = labels[border[1, 0]]
    pull = [
        fitter.memberships(moved, bounds, estimates, effort, start=start).to_dense()
        for start in (labels, moved)
    ]
    home = labels[border[0, 0]], border[0, 0]
    assert pull[0][home] > pull[1][home]
    pairs = find_touching(geometry)
    numbers = (
        estimates.samples,
        estimates.noise,
        estimates.noise / estimates.signal,
        0.5,
        0.2,
    )
    row = np.flatnonzero((dense > 0).sum(0) > 1)[3]
    scores = {}
    for parcel in np.flatnonzero(dense[:, row]):
        moved = labels.copy()
        moved[row] = parcel
        scores[parcel] = evidence(found.values, moved, labels, pairs, 4, numbers)
    values = np.array(list(scores.values()))
    wanted = np.exp(values - values.max())
    np.testing.assert_allclose(dense[list(scores), row], wanted / wanted.sum(), atol=2e-3)
