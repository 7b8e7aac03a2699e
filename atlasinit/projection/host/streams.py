"""Sums of labels in double precision, by a compiled loop over data that stay where they are.

SciPy adds up in the precision of the data, and NumPy converts them first. XLA compiles a loop
that reads some rows of the data, of one parcel, and adds them to its sum in double precision;
that takes as long as to read the data, once it is compiled.
"""

import functools
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float64, Int32, Int64

from atlasinit.core.maps import HardMaps, Maps
from atlasinit.support.threads import WORKERS, run_in_threads

_ROWS = 8  # of the data that are added up at once
SMALLEST = 2**24  # values, below which to compile takes too long
_SHORTEST = 64  # time points, below which most of the time passes between rows
_ALIGNED = 64  # bytes: memory that begins at a multiple is read by XLA without a copy


class Share(NamedTuple):
    """What one core adds up.

    Parameters
    ----------
    parcels
        The first and the last of its parcels, which may be another core's too.
    members
        (groups, 8) locations of a parcel, -1 for none.
    owners
        (groups,) the parcel of each group, counted from its first.
    """

    parcels: tuple[int, int]
    members: Int32[np.ndarray, "groups rows"]
    owners: Int32[np.ndarray, " groups"]


def plan_shares(maps: Sequence[Maps]) -> tuple[Share, ...]:
    """Return what each core adds up of the labels of all compartments."""
    labels, start = [], 0
    for one in maps:
        assert isinstance(one, HardMaps)
        own = np.asarray(one.labels)
        labels.append(np.where(own < 0, -1, own + start))
        start += one.n_parcels
    whole = np.concatenate(labels)
    # Locations parcel by parcel, cut in shares of as many each: a parcel may be of several shares.
    order = np.argsort(whole, kind="stable")[np.count_nonzero(whole < 0) :]
    ends = [order.size * i // WORKERS for i in range(WORKERS + 1)]
    cuts = zip(ends[:-1], ends[1:], strict=True)
    return tuple(_plan_share(order[a:b], whole[order[a:b]]) for a, b in cuts if b > a)


def can_stream(maps: Sequence[Maps], data: Float[np.ndarray, "batch locations time"]) -> bool:
    """Return whether maps are labels, and data so large and so laid out that a loop is worth it."""
    _, n_locations, time = data.shape
    large = time >= _SHORTEST and n_locations * time >= SMALLEST
    return large and data.flags.c_contiguous and all(isinstance(m, HardMaps) for m in maps)


def average(
    shares: Sequence[Share],
    data: Float[np.ndarray, "batch locations time"],
    divisors: Float64[np.ndarray, " parcels"] | None,
    out: Float[np.ndarray, "batch parcels time"],
) -> None:
    """Fill `out` with the sums of parcels, divided in double precision where divisors are given."""
    by = np.ones(out.shape[1]) if divisors is None else np.where(divisors == 0, 1, divisors)
    for x, filled in zip(data, out, strict=True):
        # Of the rows of `filled`, those before `covered` are written. `carried` (time,) is the sum
        # so far of a parcel that goes on in the next share. Each of its shares writes its row, the
        # last of them the whole sum.
        covered = 0
        sums = run_in_threads(_add_share, [(share, x) for share in shares])
        carried = np.zeros(x.shape[1])
        for number, (share, own) in enumerate(zip(shares, sums, strict=True)):
            first, last = share.parcels
            # The last parcel may go on in the next share, as the first may have begun before.
            filled[covered:first] = 0
            filled[first] = (own[0] + carried) / by[first]
            inner, covered = slice(first + 1, last + 1), last + 1
            np.divide(own[1:], by[inner, None], out=filled[inner], casting="same_kind")
            goes_on = number + 1 < len(shares) and shares[number + 1].parcels[0] == last
            carried = own[-1] + (carried if first == last else 0) if goes_on else 0 * carried
        filled[covered:] = 0


def _plan_share(
    members: Int64[np.ndarray, " members"], parcels: Int32[np.ndarray, " members"]
) -> Share:
    """Return the share of locations in the order of their parcels."""
    first, last = int(parcels[0]), int(parcels[-1])
    # As the first level of `kernels/grouped.py`, but a parcel without members has no group.
    counts = np.bincount(parcels - first)
    n_groups = -(-counts // _ROWS)
    owners = np.repeat(np.arange(counts.size, dtype=np.int32), n_groups)
    rank = np.arange(members.size) - np.repeat(np.cumsum(counts) - counts, counts)
    group = np.repeat(np.cumsum(n_groups) - n_groups, counts) + rank // _ROWS
    rows = np.full((owners.size, _ROWS), -1, np.int32)
    rows[group, rank % _ROWS] = members
    return Share((first, last), rows, owners)


def _add_share(
    share: Share, data: Float[np.ndarray, "locations time"]
) -> Float64[np.ndarray, "parcels time"]:
    """Return the sums of the parcels of a share."""
    flat = data.reshape(-1)
    # Fewer than 64 bytes, and so fewer values than the first location has, which are 64 or more.
    skipped = (-flat.ctypes.data % _ALIGNED) // flat.itemsize
    first, last = share.parcels
    # One group at most holds location 0. Without any, its row is out of range and is dropped.
    begins = np.flatnonzero((share.members == 0).any(axis=1))
    # Of data of its first location some values are skipped; it is added by itself.
    with jax.ensure_compile_time_eval(), jax.enable_x64(True):  # noqa: FBT003
        rest = jax.device_put(flat[skipped:], jax.local_devices(backend="cpu")[0])
        return np.asarray(
            _add_rows(
                rest,
                data[0],
                np.int32(share.owners[begins[0]] if begins.size else last - first + 1),
                share.members,
                share.owners,
                np.int64(skipped),
                n_parcels=last - first + 1,
            )
        )


@functools.partial(jax.jit, static_argnames="n_parcels")
def _add_rows(
    flat: Float[Array, " values"],
    head: Float[Array, " time"],
    head_owner: Int32[Array, ""],
    members: Int32[Array, "groups rows"],
    owners: Int32[Array, " groups"],
    skipped: Int64[Array, ""],
    *,
    n_parcels: int,
) -> Float64[Array, "parcels time"]:
    """Return sums of rows of data, whose first `skipped` values are not in `flat`."""
    time = head.shape[0]

    def add(i: Array, sums: Float64[Array, "parcels time"]) -> Float64[Array, "parcels time"]:
        rows = jax.lax.dynamic_index_in_dim(members, i, keepdims=False)
        total = jnp.zeros(time, np.float64)
        for k in range(members.shape[1]):
            # In 64 bits, as there may be more than 2**31 values. For -1 and for location 0 some
            # values within range are read, and not added.
            start = rows[k].astype(np.int64) * time - skipped
            row = jax.lax.dynamic_slice_in_dim(flat, start, time).astype(np.float64)
            total = total + jnp.where(rows[k] > 0, row, 0.0)
        # The groups come one after the other: sums have the same digits in every run.
        own = jax.lax.dynamic_index_in_dim(sums, owners[i], keepdims=True)
        return jax.lax.dynamic_update_slice_in_dim(sums, own + total[None], owners[i], 0)

    sums = jnp.zeros((n_parcels, time), np.float64)
    sums = sums.at[head_owner].add(head.astype(np.float64), mode="drop")
    return jax.lax.fori_loop(0, members.shape[0], add, sums)
