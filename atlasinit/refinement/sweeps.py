r"""Sweeps over the locations that lower the energy of a parcellation: the jitted core.

The series :math:`x_i` of the locations of a parcel are taken to be its mean and noise, the mean
to come from a normal distribution, and is integrated out. With the sum of the series
:math:`S_k` and the number :math:`n_k` of a parcel, up to a constant, the log evidence is

.. math::
    \log p(x, \ell) = \sum_k \frac{\nu}{2} \left[
        \frac{\| S_k \|^2}{\sigma^2 (n_k + \kappa)} - \log(1 + n_k / \kappa) \right]
        - \beta \sum_{i \sim j} [\ell_i \ne \ell_j] - \tau \sum_i [\ell_i \ne s_i]

in nats: :math:`\nu` independent samples, noise of variance :math:`\sigma^2`, :math:`\kappa` the
ratio of the variances of noise and means, :math:`\beta` a weight for each pair of neighbours
(Potts) and :math:`\tau` one for the start :math:`s`. The move of one location changes two sums by
one row, so that what it gains is exact and costs one inner product for each of the two.
"""

import functools
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key

from atlasinit.refinement.neighbours import Neighbours

# By default accelerators may multiply float32 with about three digits, too few for differences of
# sums.
_PRECISE = jax.lax.Precision.HIGHEST
# A large parcel's evidence is about 10,000 nats, where float32 numbers lie 0.001 apart.
_LEAST = 1e-3
"""Nats below which a gain may be rounding."""


class Model(eqx.Module):
    """What the evidence is computed with.

    Parameters
    ----------
    samples
        Independent samples of a series.
    noise
        Variance of what the parcels' means leave, as a share of that of the series.
    ridge
        Ratio of the variances of noise and means, in locations.
    neighbours, start
        Weights of the priors in nats: of a pair of neighbours in two parcels, and of a location
        that leaves the parcel that it starts in.
    """

    samples: Float[Array, ""]
    noise: Float[Array, ""]
    ridge: Float[Array, ""]
    neighbours: Float[Array, ""]
    start: Float[Array, ""]

    def evidence(
        self, squares: Float[Array, "*shape"], counts: Float[Array, "*shape"]
    ) -> Float[Array, "*shape"]:
        """Return the log evidence of parcels with squared norms of sums and numbers, in nats."""
        fit = squares / (self.noise * (counts + self.ridge))
        return self.samples / 2 * (fit - jnp.log1p(counts / self.ridge))


class Problem(eqx.Module):
    """What stays the same from sweep to sweep.

    Parameters
    ----------
    series
        (locations, components) with squared norm 1; zeros where nothing was observed.
    observed
        (locations,) 1, or 0 where nothing was observed.
    start
        (locations,) the labels that the prior prefers, -1 for none.
    movable
        (locations,) whether a location may move at all.
    allowed
        (locations, parcels) which parcels a location may join; None for all.
    growing
        (parcels,) whether a parcel may take locations in.
    neighbours
        Which locations touch.
    parts, n_parts
        (locations,) number of the compartment that each lies in, and of how many. A parcel that
        lies in several has one mean, and keeps locations in each.
    """

    series: Float[Array, "locations components"]
    observed: Float[Array, " locations"]
    start: Int[Array, " locations"]
    movable: Bool[Array, " locations"]
    allowed: Bool[Array, "locations parcels"] | None
    growing: Bool[Array, " parcels"]
    neighbours: Neighbours
    parts: Int[Array, " locations"]
    n_parts: int = eqx.field(static=True)

    def cells(self, rows: Int[Array, " some"], labels: Int[Array, " some"]) -> Int[Array, " some"]:
        """Return where the sizes of parcels in the compartments of locations are counted."""
        return self.parts[rows] * self.growing.size + labels


class State(NamedTuple):
    """Labels, and the sums and numbers of the parcels' observed series.

    And the numbers of all their locations, in each compartment.
    """

    labels: Int[Array, " locations"]
    sums: Float[Array, "parcels components"]
    counts: Float[Array, " parcels"]
    sizes: Int[Array, " cells"]


def start_state(problem: Problem, labels: Int[Array, " locations"], n_parcels: int) -> State:
    """Return the state of labels."""
    rows = jnp.where(labels < 0, n_parcels, labels)
    add = functools.partial(jax.ops.segment_sum, segment_ids=rows, num_segments=n_parcels + 1)
    # The last row is of no parcel.
    sums, counts = add(problem.series)[:-1], add(problem.observed)[:-1]
    n_cells = problem.n_parts * n_parcels
    cells = jnp.where(labels < 0, n_cells, problem.cells(jnp.arange(labels.size), labels))
    sizes = jax.ops.segment_sum(jnp.ones_like(labels), cells, num_segments=n_cells + 1)[:-1]
    return State(labels, sums, counts, sizes)


class Heat(NamedTuple):
    """The temperature of the choices, in units of the evidence, and what they are drawn with."""

    temperature: Float[Array, ""]
    key: Key[Array, ""]


class Schedule(NamedTuple):
    """How long sweeps go on.

    Parameters
    ----------
    first, last
        Numbers of the first sweep, from 0, and of that after the last.
    hot
        Sweeps in which the temperature falls to 0.
    least
        Locations that a parcel keeps at least.
    """

    first: Int[Array, ""]
    last: Int[Array, ""]
    hot: Int[Array, ""]
    least: Int[Array, ""]


class _Choice(NamedTuple):
    """For locations: the parcel of most gain, the gain, and what of it the priors make."""

    target: Int[Array, " some"]
    gain: Float[Array, " some"]
    priors: Float[Array, " some"]


def gains(
    problem: Problem, model: Model, state: State, rows: Int[Array, " some"]
) -> tuple[Float[Array, "some slots"], Float[Array, "some slots"], Int[Array, "some slots"]]:
    """Return what each location would gain by joining each neighbour's parcel.

    All of it, the part of the priors, and the parcels; ``-inf`` where it may not join.
    """
    near = problem.neighbours.near[rows]
    x, seen = problem.series[rows], problem.observed[rows][:, None]
    own = state.labels[rows][:, None]
    others = jnp.where(near < 0, -1, state.labels[near])
    # (some, slots + 1): slot 0 is the location's own parcel. Neighbours of no parcel are masked at
    # the end, and locations of none do not move.
    targets = jnp.concatenate([own, others], axis=1)
    at = jnp.maximum(targets, 0)
    dots = jnp.einsum("nt,nkt->nk", x, state.sums[at], precision=_PRECISE)
    squares = jnp.sum(state.sums**2, axis=1)
    evidence = model.evidence(squares, state.counts)
    # Joining makes ||S + x||^2 = ||S||^2 + 2 S.x + ||x||^2 of a parcel, leaving ||S||^2 - 2 S.x +
    # ||x||^2. Rounding can take the latter below 0 where a parcel has one location.
    norm = jnp.sum(x**2, axis=1, keepdims=True)
    joined = model.evidence(squares[at] + 2 * dots + norm, state.counts[at] + seen) - evidence[at]
    left = evidence[at[:, :1]] - model.evidence(
        jnp.maximum(squares[at[:, :1]] - 2 * dots[:, :1] + norm, 0),
        jnp.maximum(state.counts[at[:, :1]] - seen, 0),
    )
    # Of the pairs i ~ j only those of this location change: the weight counts once for each that
    # agrees.
    agreeing = jnp.sum(others[:, None, :] == targets[:, :, None], axis=2)
    begun = targets == problem.start[rows][:, None]
    prior = model.neighbours * agreeing.astype(dots.dtype) + model.start * begun.astype(dots.dtype)
    priors = prior[:, 1:] - prior[:, :1]
    gain = joined[:, 1:] - left + priors
    may = (others >= 0) & (others != own) & problem.growing[at[:, 1:]]
    if problem.allowed is not None:
        may &= problem.allowed[rows[:, None], at[:, 1:]]
    return jnp.where(may, gain, -jnp.inf), priors, others


def _separable(problem: Problem, state: State, rows: Int[Array, " some"]) -> Bool[Array, " some"]:
    """Return which locations may leave their parcel without cutting what is around them."""
    near, bridge = problem.neighbours.near[rows], problem.neighbours.bridge[rows]
    own = state.labels[rows]
    ours = (near >= 0) & (state.labels[near] == own[:, None])
    linked = (bridge >= 0) & (state.labels[bridge] == own[:, None, None])
    linked &= ours[:, :, None] & ours[:, None, :]
    slots = near.shape[1]
    # The walk starts at the first neighbour of the same parcel. A location without any is a piece
    # of its own, which may leave.
    reached = ours & (jnp.cumsum(ours, axis=1) == 1)
    # A path through all slots has slots - 1 steps.
    for _ in range(slots - 1):
        reached |= (linked & reached[:, :, None]).any(axis=1)
    return (reached == ours).all(axis=1)


def _choose(
    problem: Problem, model: Model, state: State, rows: Int[Array, " some"], heat: Heat
) -> _Choice:
    gain, priors, others = gains(problem, model, state, rows)
    # The largest of gain / T + Gumbel noise is a draw in proportion to exp(gain / T); staying has
    # gain 0. You would expect one draw for each parcel, but a parcel of several neighbours has one
    # for each, which makes it likelier while it is hot.
    drawn = jax.random.gumbel(heat.key, (*gain.shape[:1], gain.shape[1] + 1), gain.dtype)
    gain += heat.temperature * (drawn[:, 1:] - drawn[:, :1])
    best = jnp.argmax(gain, axis=1, keepdims=True)
    take = functools.partial(jnp.take_along_axis, indices=best, axis=1)
    may = problem.movable[rows] & _separable(problem, state, rows)
    gained = jnp.where(may, take(gain)[:, 0], -jnp.inf)
    return _Choice(take(others)[:, 0], gained, take(priors)[:, 0])


def _moved(
    problem: Problem,
    state: State,
    rows: Int[Array, " some"],
    choice: _Choice,
    moving: Bool[Array, " some"],
) -> State:
    """Return the state after the locations that are `moving` have joined their targets."""
    # Locations that stay add to a row more, which is dropped: shapes cannot depend on the data.
    n_parcels = state.counts.size
    own = jnp.where(moving, state.labels[rows], n_parcels)
    target = jnp.where(moving, choice.target, n_parcels)

    def change(values: Array) -> Array:
        both = jnp.concatenate([values, -values])
        where = jnp.concatenate([target, own])
        return jax.ops.segment_sum(both, where, num_segments=n_parcels + 1)[:-1]

    cells = jnp.concatenate(
        [problem.cells(rows, choice.target), problem.cells(rows, state.labels[rows])]
    )
    one = moving.astype(jnp.int32)
    sizes = state.sizes.at[cells].add(jnp.concatenate([one, -one]))

    labels = state.labels.at[jnp.where(moving, rows, state.labels.size)].set(
        choice.target, mode="drop"
    )
    return State(
        labels,
        state.sums + change(problem.series[rows]),
        state.counts + change(problem.observed[rows]),
        sizes,
    )


def _turn(
    problem: Problem,
    model: Model,
    state: State,
    turn: Int[Array, " most"],
    least: Int[Array, ""],
    heat: Heat,
) -> tuple[State, Int[Array, ""]]:
    n_parcels = state.counts.size
    rows = jnp.maximum(turn, 0)
    choice = _choose(problem, model, state, rows, heat)
    own = jnp.maximum(state.labels[rows], 0)
    moving = (turn >= 0) & (choice.gain > _LEAST)
    # A parcel that would become too small keeps all of its locations, this time.
    # What joins a parcel in the same turn does not count, so that the limit holds in any order.
    cells = problem.cells(rows, own)
    leaving = jax.ops.segment_sum(moving.astype(jnp.int32), cells, num_segments=state.sizes.size)
    moving &= (state.sizes - leaving >= least)[cells]

    def total(one: State) -> Float[Array, ""]:
        return jnp.sum(model.evidence(jnp.sum(one.sums**2, axis=1), one.counts))

    together = _moved(problem, state, rows, choice, moving)
    # No two of a turn touch, so that the parts of the priors add up. Those of the evidence do not
    # where a parcel takes part in several moves: ||S + x + y||^2 has a term 2 x.y.
    gained = total(together) - total(state) + jnp.sum(jnp.where(moving, choice.priors, 0))

    def one_by_one() -> tuple[State, Bool[Array, " most"]]:
        # Where each parcel takes part in one move, the gains are exact and add up.
        worth = jnp.where(moving, choice.gain, -jnp.inf)
        best = jnp.maximum(
            jax.ops.segment_max(worth, own, num_segments=n_parcels),
            jax.ops.segment_max(worth, jnp.maximum(choice.target, 0), num_segments=n_parcels),
        )
        alone = moving & (worth == best[own]) & (worth == best[choice.target])
        return _moved(problem, state, rows, choice, alone), alone

    after, moving = jax.lax.cond(
        (gained > 0) | (heat.temperature > 0), lambda: (together, moving), one_by_one
    )
    return after, jnp.sum(moving.astype(jnp.int32))


@functools.partial(jax.jit, static_argnames=("n_parcels",))
def sweep(
    problem: Problem,
    model: Model,
    labels: Int[Array, " locations"],
    schedule: Schedule,
    heat: Heat,
    *,
    n_parcels: int,
) -> tuple[Int[Array, " locations"], Int[Array, ""], Int[Array, ""]]:
    """Return the labels after sweeps that each give every location its turn.

    In the hot sweeps a location joins a parcel that is drawn by its gain at a
    temperature that falls to 0 (simulated annealing). After these every turn raises the log
    evidence, and sweeps end with one that moves nothing, or the last of the schedule.

    Returns
    -------
    labels
        After the last sweep.
    moves
        Number of moves of the last sweep.
    sweeps
        Number of sweeps, those before the first included.
    """
    turns = jnp.asarray(problem.neighbours.turns)

    def once(carry: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        labels, _, done = carry
        # Temperature and keys go by the number of the sweep, so that sweeps in several calls, with
        # reports between them, are those of one call.
        left = (schedule.hot - done).astype(jnp.float32)
        length = jnp.maximum(schedule.hot, 1).astype(jnp.float32)
        temperature = heat.temperature * jnp.maximum(left / length, 0)
        keys = jax.random.split(jax.random.fold_in(heat.key, done), len(turns))

        def turn(state: State, given: tuple[Array, Array]) -> tuple[State, Int[Array, ""]]:
            rows, key = given
            return _turn(problem, model, state, rows, schedule.least, Heat(temperature, key))

        # The sums anew, so that rounding does not add up over sweeps.
        state = start_state(problem, labels, n_parcels)
        state, moves = jax.lax.scan(turn, state, (turns, keys))
        return state.labels, jnp.sum(moves), done + 1

    def goes_on(carry: tuple[Array, Array, Array]) -> Bool[Array, ""]:
        return ((carry[1] > 0) | (carry[2] < schedule.hot)) & (carry[2] < schedule.last)

    first = (labels, jnp.int32(1), schedule.first)
    return jax.lax.while_loop(goes_on, once, first)
