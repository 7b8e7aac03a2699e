"""Which locations touch each location, how these hold together, and who may move at once."""

import dataclasses

import equinox as eqx
import numpy as np
from jaxtyping import Int, Int32

from atlasinit.support.typing import AnyArray

# With 6 neighbours and 200 components the sums of parcels that a turn gathers take 23 MB.
_MOST = 4096  # locations in one turn


class Neighbours(eqx.Module):
    """The neighbours of each location, as tables that a jitted program can gather from.

    Parameters
    ----------
    near
        (locations, slots) the locations that touch each, -1 where there are fewer.
    bridge
        (locations, slots, slots) through which location two neighbours hold together when the
        location between them is taken away: one of the two where they touch each other, a
        location that touches both, or -1.
    turns
        (turns, most) every location once, -1 where there are fewer. Those of one turn neither
        touch nor bridge each other's neighbours, so that they may all move at once: what
        held a parcel together around one of them does not move with it.
    """

    near: Int32[AnyArray, "locations slots"]
    bridge: Int32[AnyArray, "locations slots slots"]
    turns: Int32[AnyArray, "turns most"]

    @property
    def n_locations(self) -> int:
        """Number of locations."""
        return self.near.shape[0]


@dataclasses.dataclass(frozen=True)
class _Rows:
    """Rows of different lengths, one after the other."""

    # Row i is values[starts[i]:starts[i + 1]], as in a CSR matrix.
    values: np.ndarray
    starts: np.ndarray

    @property
    def counts(self) -> np.ndarray:
        return np.diff(self.starts)

    def padded(self) -> Int32[np.ndarray, "rows longest"]:
        counts = self.counts
        out = np.full((counts.size, max(1, counts.max(initial=0))), -1, np.int32)
        rows = np.repeat(np.arange(counts.size), counts)
        out[rows, np.arange(self.values.size) - self.starts[rows]] = self.values
        return out


def find_neighbours(
    pairs: Int[np.ndarray, "2 pairs"], n_locations: int, *, most: int = _MOST
) -> Neighbours:
    """Return the neighbours of locations of which `pairs` touch, each pair once.

    A turn takes `most` locations at most.
    """
    near = _by_row(pairs, n_locations).padded()
    bridge = _bridges(near)
    return Neighbours(near, bridge, _turns(near, bridge, most))


def _by_row(pairs: Int[np.ndarray, "2 pairs"], n: int) -> _Rows:
    """Return both directions of each pair, sorted by the first and then the second of the two."""
    # One number for each pair sorts by both and drops doubles; it is beyond int32 from n = 46341.
    both = np.concatenate([pairs, pairs[::-1]], axis=1).astype(np.int64)
    key = np.unique(both[0] * n + both[1])
    rows, columns = np.divmod(key, max(n, 1))
    return _Rows(columns, np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=n))]))


def _bridges(
    near: Int32[np.ndarray, "locations slots"],
) -> Int32[np.ndarray, "locations slots slots"]:
    # Symmetric in the slots, with -1 on the diagonal. Of several locations that touch both one is
    # kept: a move may be refused that would cut nothing, but none that cuts is let through.
    n, slots = near.shape
    out = np.full((n, slots, slots), -1, np.int32)
    itself = np.arange(n)
    for i in range(slots):
        for j in range(i + 1, slots):
            a, b = near[:, i], near[:, j]
            there = (a >= 0) & (b >= 0)
            # What -1 reads as `a` or `b` is masked by `there`.
            ours = np.where(there[:, None], near[a], -1)
            # On a grid the corner between two perpendicular neighbours; -2 never matches.
            theirs = np.where(there[:, None], near[b], -2)
            shared = (ours[:, :, None] == theirs[:, None, :]).any(2) & (ours >= 0)
            shared &= ours != itself[:, None]
            corner = np.where(
                shared.any(1), np.take_along_axis(ours, shared.argmax(1)[:, None], 1)[:, 0], -1
            )
            touch = (ours == b[:, None]).any(1)
            out[:, i, j] = out[:, j, i] = np.where(there, np.where(touch, a, corner), -1)
    return out


def _turns(
    near: Int32[np.ndarray, "locations slots"],
    bridge: Int32[np.ndarray, "locations slots slots"],
    most: int,
) -> Int32[np.ndarray, "turns most"]:
    """Return the classes of a colouring in which no two that are in each other's way share one.

    Jones and Plassmann (1993): of those without a colour, each of highest priority among those
    in its way takes the lowest colour that is free.
    """
    n = len(near)
    wide = np.concatenate([near, bridge.reshape(n, -1)], axis=1)
    rows = np.broadcast_to(np.arange(n)[:, None], wide.shape)[wide >= 0]
    there = wide[wide >= 0]
    pairs = np.stack([rows, there])[:, rows != there]
    others = _by_row(pairs, n).padded()
    # One more entry answers for -1.
    # Priorities are random, as in order of locations long rows would take a colour one by one, and
    # seeded, so that a geometry always has the same turns.
    priority = np.append(np.random.default_rng(0).permutation(n), -1)
    color = np.full(n + 1, -1)
    open_ = np.arange(n)
    while open_.size:
        about = others[open_]
        rival = np.where((color[about] < 0) & (about >= 0), priority[about], -1).max(axis=1)
        first = priority[open_] > rival
        taking = open_[first]
        taken = np.where(about[first] >= 0, color[about[first]], -1)
        # With d others in its way a location finds one of d + 1 colours free.
        free = np.ones((taking.size, others.shape[1] + 1), bool)
        row, slot = np.nonzero(taken >= 0)
        free[row, taken[row, slot]] = False
        color[taking] = free.argmax(axis=1)
        open_ = open_[~first]
    color = color[:n]
    order = np.argsort(color, kind="stable")
    # Large classes in parts, which bounds what is gathered at once.
    counts = [
        min(most, count - done)
        for count in np.bincount(color, minlength=1).tolist()
        for done in range(0, count, most)
    ]
    return _Rows(order, np.concatenate([[0], np.cumsum(np.array(counts, np.int64))])).padded()
