"""The labels of one compartment fitted to series: from a start to where no move helps."""

import dataclasses
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int, Int32

from atlasinit.core.maps import SparseMaps
from atlasinit.refinement.estimate import Estimates
from atlasinit.refinement.neighbours import Neighbours
from atlasinit.refinement.series import Prepared
from atlasinit.refinement.sweeps import (
    Heat,
    Model,
    Problem,
    Schedule,
    gains,
    start_state,
    sweep,
)

_WATCHED = 10  # sweeps between two reports of progress
_ROUND = 32  # parcels and components; programs are compiled for multiples of so many


@dataclasses.dataclass(frozen=True)
class Effort:
    """The weights of the priors, and how long and how hot a fit is.

    Parameters
    ----------
    neighbours, tether
        Weights of the priors, in nats.
    temperature, hot
        Where annealing starts, and for how many sweeps it cools.
    most
        Sweeps at most, of the annealing and of the settling.
    least
        Locations that a parcel keeps at least.
    """

    neighbours: float = 1.0
    tether: float = 0.3
    temperature: float = 2.0
    hot: int = 50
    most: int = 200
    least: int = 1


@dataclasses.dataclass(frozen=True)
class Bounds:
    """What may move, and where to; the fields are those of `Problem`."""

    movable: Bool[np.ndarray, " locations"]
    growing: Bool[np.ndarray, " parcels"]
    allowed: Bool[np.ndarray, "locations parcels"] | None = None


@dataclasses.dataclass(frozen=True)
class Fit:
    """What a fit found.

    Parameters
    ----------
    labels
        (locations,) of the best parcellation.
    settled
        Whether the last sweep moved nothing.
    """

    labels: Int32[np.ndarray, " locations"]
    settled: bool


class Fitter:
    """A compartment's data and neighbours on the device, to fit several starts to.

    Parameters
    ----------
    series
        Of the compartment's locations.
    neighbours
        Which of them touch.
    parts
        (locations,) number of the compartment that each lies in, in all of which a parcel keeps
        locations; by default they are one.
    most
        The most parcels that fits will have, which then share one compiled program; by default
        each has that of its own number.
    """

    def __init__(
        self,
        series: Prepared,
        neighbours: Neighbours,
        parts: Int[np.ndarray, " locations"] | None = None,
        *,
        most: int = 0,
    ) -> None:
        self._own = _padded(series.own.values)
        self._shared = None if series.shared is series.own else _padded(series.shared.values)
        self._observed = jnp.asarray(series.own.observed)
        self._neighbours = jax.tree.map(jnp.asarray, neighbours)
        self._most = most
        parts = np.zeros(len(self._own), np.int32) if parts is None else parts
        self._parts, self._n_parts = jnp.asarray(parts, jnp.int32), int(parts.max(initial=0)) + 1

    def fit(
        self,
        labels: Int[np.ndarray, " locations"],
        bounds: Bounds,
        estimates: Estimates,
        effort: Effort,
        *,
        seed: Sequence[int],
        progress: Callable[[int, int], None] | None = None,
    ) -> Fit:
        """Return the labels after sweeps; `progress` gets the number of sweeps and the most.

        Annealing sees the series shared with neighbours, and what it found then settles on each
        location's own, so that borders are as sharp as the data. The `seed` is of its draws.
        """
        problem = self._problem(labels, bounds)
        model = estimates.model(neighbours=effort.neighbours, tether=effort.tether)
        stages = [(problem, effort)]
        if self._shared is not None:
            annealed = dataclasses.replace(problem, series=self._shared)
            stages = [(annealed, effort), (problem, dataclasses.replace(effort, hot=0))]
        # Drawn on the host: JAX's generators take longer to compile than all else in a sweep. At
        # hot = 0 the temperature is 0 from the first sweep on, and draws count for nothing.
        rows = max(Effort.hot, effort.hot)
        draws = np.random.default_rng(seed).random((rows, labels.size), np.float32)
        now, moves, heat = jnp.asarray(labels, jnp.int32), 0, jnp.asarray(draws)
        for number, (stage, own) in enumerate(stages):
            watch = None if progress is None else _count_on(progress, number, len(stages), own.most)
            now, moves = _sweep(stage, model, now, own, heat, progress=watch)
        return Fit(np.array(now), moves == 0)

    def memberships(
        self,
        labels: Int[np.ndarray, " locations"],
        bounds: Bounds,
        estimates: Estimates,
        effort: Effort,
        *,
        start: Int[np.ndarray, " locations"],
    ) -> SparseMaps:
        """Return the probability of each parcel at each location, given all other labels.

        The prior is for the labels of `start`, as it was for the fit.
        """
        problem = self._problem(start, bounds)
        model = estimates.model(neighbours=effort.neighbours, tether=effort.tether)
        n_parcels = problem.growing.size
        state = start_state(problem, model, jnp.asarray(labels, jnp.int32), n_parcels)
        # One turn after the other, which bounds the memory; what -1 reads, row 0, is dropped.
        turns = self._neighbours.turns
        found = jax.lax.map(lambda rows: gains(problem, model, state, jnp.maximum(rows, 0)), turns)
        gain, _, parcels = (np.asarray(part).reshape(turns.size, -1) for part in found)
        rows = np.asarray(turns).reshape(-1)
        kept = rows >= 0
        return _probabilities(
            rows[kept], gain[kept], parcels[kept], labels, bounds.movable, bounds.growing.size
        )

    def _problem(self, labels: Int[np.ndarray, " locations"], bounds: Bounds) -> Problem:
        # Rows of no location, so that few numbers of parcels need a program of their own.
        number = bounds.growing.size
        spare = max(number, self._most) - number
        spare += -(number + spare) % _ROUND
        allowed = bounds.allowed
        if allowed is not None:
            allowed = jnp.asarray(np.pad(allowed, [(0, 0), (0, spare)]))
        return Problem(
            self._own,
            self._observed,
            jnp.asarray(labels, jnp.int32),
            jnp.asarray(bounds.movable),
            allowed,
            jnp.asarray(np.pad(bounds.growing, (0, spare))),
            self._neighbours,
            self._parts,
            self._n_parts,
        )


def _padded(
    values: Float[np.ndarray, "locations components"],
) -> Float[jax.Array, "locations more"]:
    # With components of zeros, so that halves of data, each of its own number, share a program.
    return jnp.asarray(np.pad(values, [(0, 0), (0, -values.shape[1] % _ROUND)]))


def _count_on(
    progress: Callable[[int, int], None], stage: int, stages: int, most: int
) -> Callable[[int], None]:
    return lambda done: progress(stage * most + done, stages * most)


def _sweep(
    problem: Problem,
    model: Model,
    labels: Int[jax.Array, " locations"],
    effort: Effort,
    draws: Float[jax.Array, "hot locations"],
    *,
    progress: Callable[[int], None] | None,
) -> tuple[Int[jax.Array, " locations"], int]:
    """Return labels, and the moves of the last sweep."""
    heat = Heat(jnp.float32(effort.temperature), draws)
    step = effort.most if progress is None else _WATCHED
    # Not 0, which would say that the last sweep moved nothing.
    moves, done, last = jnp.int32(1), jnp.int32(0), 0
    while last < effort.most and (int(moves) > 0 or last < effort.hot):
        last = min(last + step, effort.most)
        numbers = (done, last, effort.hot, effort.least)
        schedule = Schedule(*(jnp.asarray(number, jnp.int32) for number in numbers))
        labels, moves, done = sweep(
            problem, model, labels, schedule, heat, n_parcels=problem.growing.size
        )
        if progress is not None:
            progress(int(done))
    return labels, int(moves)


def _probabilities(
    rows: Int[np.ndarray, " some"],
    gain: Float[np.ndarray, "some slots"],
    parcels: Int[np.ndarray, "some slots"],
    labels: Int[np.ndarray, " locations"],
    movable: Bool[np.ndarray, " locations"],
    n_parcels: int,
) -> SparseMaps:
    from scipy.sparse import csr_array

    own = labels[rows]
    open_ = np.isfinite(gain) & movable[rows, None]
    # A parcel that several neighbours belong to counts once.
    for slot in range(1, gain.shape[1]):
        open_[:, slot] &= ~(parcels[:, :slot] == parcels[:, slot, None]).any(axis=1)
    # Each location chooses by exp(gain), where staying has gain 0. The largest is taken out first,
    # so that no power overflows.
    scores = np.where(open_, gain, -np.inf)
    peak = np.maximum(scores.max(axis=1, initial=0), 0)
    powers = np.exp(scores.astype(np.float64) - peak[:, None])
    stay = np.exp(-peak)
    total = stay + powers.sum(axis=1)
    # Entries are (parcel, location). Locations of no parcel have none, as nothing may move there.
    at, slot = np.nonzero(open_)
    has = own >= 0
    entries = np.concatenate([(stay / total)[has], (powers / total[:, None])[at, slot]])
    where = (
        np.concatenate([own[has], parcels[at, slot]]),
        np.concatenate([rows[has], rows[at]]),
    )
    matrix = csr_array((entries.astype(np.float32), where), shape=(n_parcels, labels.size))
    return SparseMaps.from_scipy(matrix)
