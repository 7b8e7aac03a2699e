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
from jaxtyping import Array, Bool, Float, Int

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

    And of these the squared norms of the sums and the evidence, and the numbers of all locations
    of parcels in each compartment.
    """

    labels: Int[Array, " locations"]
    sums: Float[Array, "parcels components"]
    counts: Float[Array, " parcels"]
    squares: Float[Array, " parcels"]
    evidence: Float[Array, " parcels"]
    sizes: Int[Array, " cells"]


def _state(
    model: Model,
    labels: Int[Array, " locations"],
    sums: Float[Array, "parcels components"],
    counts: Float[Array, " parcels"],
    sizes: Int[Array, " cells"],
) -> State:
    squares = jnp.sum(sums**2, axis=1)
    return State(labels, sums, counts, squares, model.evidence(squares, counts), sizes)


def start_state(
    problem: Problem, model: Model, labels: Int[Array, " locations"], n_parcels: int
) -> State:
    """Return the state of labels."""
    rows = jnp.where(labels < 0, n_parcels, labels)
    add = functools.partial(jax.ops.segment_sum, segment_ids=rows, num_segments=n_parcels + 1)
    # The last row is of no parcel.
    sums, counts = add(problem.series)[:-1], add(problem.observed)[:-1]
    n_cells = problem.n_parts * n_parcels
    cells = jnp.where(labels < 0, n_cells, problem.cells(jnp.arange(labels.size), labels))
    sizes = jax.ops.segment_sum(jnp.ones_like(labels), cells, num_segments=n_cells + 1)[:-1]
    return _state(model, labels, sums, counts, sizes)


class Heat(NamedTuple):
    """The temperature of the choices, in units of the evidence, and what they are drawn with.

    The draws are uniform numbers from 0 to 1, a row for each hot sweep.
    """

    temperature: Float[Array, ""]
    draws: Float[Array, "*hot locations"]


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
    """For locations: whether they would move, to which parcel, the gain, and the priors' part."""

    moving: Bool[Array, " some"]
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
    # Joining makes ||S + x||^2 = ||S||^2 + 2 S.x + ||x||^2 of a parcel, leaving ||S||^2 - 2 S.x +
    # ||x||^2. Rounding can take the latter below 0 where a parcel has one location.
    sign = jnp.where(jnp.arange(targets.shape[1]) == 0, -1.0, 1.0)[None]
    norm = jnp.sum(x**2, axis=1, keepdims=True)
    squares = jnp.maximum(state.squares[at] + 2 * sign * dots + norm, 0)
    counts = jnp.maximum(state.counts[at] + sign * seen, 0)
    change = model.evidence(squares, counts) - state.evidence[at]
    # Of the pairs i ~ j only those of this location change: the weight counts once for each that
    # agrees.
    agreeing = jnp.sum(others[:, None, :] == targets[:, :, None], axis=2)
    begun = targets == problem.start[rows][:, None]
    prior = model.neighbours * agreeing.astype(dots.dtype) + model.start * begun.astype(dots.dtype)
    priors = prior[:, 1:] - prior[:, :1]
    gain = change[:, 1:] + change[:, :1] + priors
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
    # A path through all slots has slots - 1 steps. A loop compiles faster than as many copies.
    reached = jax.lax.fori_loop(
        0, slots - 1, lambda _, at: at | (linked & at[:, :, None]).any(axis=1), reached
    )
    return (reached == ours).all(axis=1)


def _choose(
    problem: Problem, model: Model, state: State, rows: Int[Array, " some"], heat: Heat
) -> _Choice:
    """Return what locations would do, with one draw for each of all locations."""
    gain, priors, others = gains(problem, model, state, rows)
    # Column 0 stays: it gains nothing, and a gain of no more than rounding does not beat it.
    stay = jnp.zeros_like(gain[:, :1])
    best = jnp.argmax(jnp.concatenate([stay + _LEAST, gain], axis=1), axis=1)
    every = jnp.concatenate([stay, gain], axis=1)
    # You would expect one share for each parcel, but a parcel of several neighbours has one for
    # each, which makes it likelier while it is hot. The largest is taken out, so that no power
    # overflows; sums up to each slot are a product with a triangle of ones.
    hot = heat.temperature > 0
    peak = jnp.max(every, axis=1, keepdims=True)
    shares = jnp.exp((every - peak) / jnp.where(hot, heat.temperature, 1))
    upto = jnp.matmul(shares, jnp.triu(jnp.ones((shares.shape[1],) * 2)), precision=_PRECISE)
    # The first slot up to which the shares reach the draw; one of no share never is.
    drawn = jnp.sum(upto < heat.draws[rows][:, None] * upto[:, -1:], axis=1, dtype=best.dtype)
    slot = jnp.where(hot, drawn, best)
    take = functools.partial(jnp.take_along_axis, indices=jnp.maximum(slot - 1, 0)[:, None], axis=1)
    may = problem.movable[rows] & _separable(problem, state, rows)
    return _Choice(may & (slot > 0), take(others)[:, 0], take(gain)[:, 0], take(priors)[:, 0])


def _moved(
    problem: Problem,
    model: Model,
    state: State,
    rows: Int[Array, " some"],
    target: Int[Array, " some"],
    moving: Bool[Array, " some"],
) -> State:
    """Return the state after the locations that are `moving` have joined their targets."""
    # Locations that stay add to a row more, which is dropped: shapes cannot depend on the data.
    n_parcels = state.counts.size
    before = state.labels[rows]
    where = jnp.where(
        jnp.concatenate([moving, moving]), jnp.concatenate([target, before]), n_parcels
    )

    # What touches lies in one compartment, so that a move stays in it.
    cells = [problem.cells(rows, at) for at in (target, before)]
    one = moving.astype(jnp.int32)
    sizes = state.sizes.at[jnp.concatenate(cells)].add(jnp.concatenate([one, -one]))
    labels = state.labels.at[jnp.where(moving, rows, state.labels.size)].set(target, mode="drop")
    # Numbers beside the series, as each scatter takes its time to compile.
    x = jnp.concatenate([problem.series[rows], problem.observed[rows][:, None]], axis=1)
    change = jax.ops.segment_sum(jnp.concatenate([x, -x]), where, num_segments=n_parcels + 1)[:-1]
    sums, counts = state.sums + change[:, :-1], state.counts + change[:, -1]
    return _state(model, labels, sums, counts, sizes)


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
    moving = (turn >= 0) & choice.moving
    # A parcel that would become too small keeps all of its locations, this time.
    # What joins a parcel in the same turn does not count, so that the limit holds in any order.
    cells = problem.cells(rows, own)
    leaving = jax.ops.segment_sum(moving.astype(jnp.int32), cells, num_segments=state.sizes.size)
    moving &= (state.sizes - leaving >= least)[cells]
    # Where each parcel takes part in one move, the gains are exact and add up.
    target = jnp.maximum(choice.target, 0)
    worth = jnp.where(moving, choice.gain, -jnp.inf)
    best = jax.ops.segment_max(
        jnp.concatenate([worth, worth]), jnp.concatenate([own, target]), num_segments=n_parcels
    )
    alone = moving & (worth == best[own]) & (worth == best[target])

    # No two of a turn touch, so that the parts of the priors add up. Those of the evidence do not
    # where a parcel takes part in several moves: ||S + x + y||^2 has a term 2 x.y. Where all moves
    # together lose, a second try makes those that are exact.
    def attempt(
        carry: tuple[Array, Array, State, Array],
    ) -> tuple[Array, Array, State, Array]:
        tries, _, _, moving = carry
        after = _moved(problem, model, state, rows, target, moving)
        gained = jnp.sum(after.evidence - state.evidence)
        gained += jnp.sum(jnp.where(moving, choice.priors, 0))
        good = (gained > 0) | (heat.temperature > 0) | (tries > 0)
        return tries + 1, good, after, jnp.where(good, moving, alone)

    # Nothing to move is settled before the first try.
    begin = (jnp.int32(0), ~moving.any(), state, moving)
    _, _, after, moving = jax.lax.while_loop(lambda carry: ~carry[1], attempt, begin)
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
        # Temperature and draws go by the number of the sweep, so that sweeps in several calls, with
        # reports between them, are those of one call.
        left = (schedule.hot - done).astype(jnp.float32)
        length = jnp.maximum(schedule.hot, 1).astype(jnp.float32)
        temperature = heat.temperature * jnp.maximum(left / length, 0)
        # A row more than there are is of no hot sweep.
        now = Heat(temperature, heat.draws[jnp.minimum(done, len(heat.draws) - 1)])

        def turn(state: State, rows: Array) -> tuple[State, Int[Array, ""]]:
            return _turn(problem, model, state, rows, schedule.least, now)

        # The sums anew, so that rounding does not add up over sweeps.
        state = start_state(problem, model, labels, n_parcels)
        state, moves = jax.lax.scan(turn, state, turns)
        return state.labels, jnp.sum(moves), done + 1

    def goes_on(carry: tuple[Array, Array, Array]) -> Bool[Array, ""]:
        return ((carry[1] > 0) | (carry[2] < schedule.hot)) & (carry[2] < schedule.last)

    first = (labels, jnp.int32(1), schedule.first)
    return jax.lax.while_loop(goes_on, once, first)
