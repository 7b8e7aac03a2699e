"""Products of hard and sparse maps on GPUs: sums of 16 members of a parcel, then of 16 such sums.

Without atomic additions, so that a GPU gives the same digits in every run.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int32

from atlasinit.core.maps import HardMaps, SparseMaps
from atlasinit.projection.derivatives import link
from atlasinit.projection.kernels.products import ScatterKernel, absolute_of
from atlasinit.support.typing import AnyArray

_GROUP = 16


class GroupedKernel(eqx.Module):
    """Hard labels.

    Parameters
    ----------
    labels
        (locations,) parcel of each location of the data, -1 for none.
    levels
        For each level of sums, (groups, 16) rows of the data or of the level before; the last
        level has one group a parcel.
    n_parcels
        Number of parcels.
    """

    labels: Int32[AnyArray, " locations"]
    levels: tuple[Int32[AnyArray, "_ _"], ...]
    n_parcels: int = eqx.field(static=True)

    def product(
        self, data: Float[Array, "batch locations time"]
    ) -> Float[Array, "batch parcels time"]:
        """Return W x."""
        return _summed(self.levels, data)

    def transposed(
        self, values: Float[Array, "batch parcels time"]
    ) -> Float[Array, "batch locations time"]:
        """Return W' y."""
        return self._scatter().transposed(values)

    def absolute(self) -> "GroupedKernel":
        """Return the kernel of |W|."""
        return self

    def totals(self, dtype: Any) -> Float[Array, " parcels"]:
        """Return W 1, added up in `dtype`."""
        return self._scatter().totals(dtype)

    def dense(self) -> Float[Array, "parcels locations"]:
        """Return W."""
        return self._scatter().dense()

    def _scatter(self) -> ScatterKernel:
        return ScatterKernel(self.labels, self.n_parcels)


class WeightedSums(eqx.Module):
    """Which weights are added up, and the rows that they weigh.

    Parameters
    ----------
    slots
        (groups, width) weights of the first sums, padded with numbers beyond the last.
    members
        (groups, width) their rows.
    levels
        As for `GroupedKernel`, from the second on.
    """

    slots: Int32[AnyArray, "_ _"]
    members: Int32[AnyArray, "_ _"]
    levels: tuple[Int32[AnyArray, "_ _"], ...]


class WeightPlan(eqx.Module):
    """Where the weights of sparse maps are.

    Parameters
    ----------
    parcels, locations
        (nonzeros,) parcel of each weight, and its location in the data.
    by_parcel, by_location
        The sums of each.
    shape
        Number of the maps' parcels, and of locations in the data.
    """

    parcels: Int32[AnyArray, " nonzeros"]
    locations: Int32[AnyArray, " nonzeros"]
    by_parcel: WeightedSums
    by_location: WeightedSums
    shape: tuple[int, int] = eqx.field(static=True)


class WeightedGroupedKernel(eqx.Module):
    """Sparse weights, few of them a location: each is multiplied by its own row of the data."""

    values: Float[AnyArray, " nonzeros"]
    plan: WeightPlan

    def product(
        self, data: Float[Array, "batch locations time"]
    ) -> Float[Array, "batch parcels time"]:
        """Return W x."""
        return _product(self.plan, jnp.asarray(self.values, data.dtype), data)

    def transposed(
        self, values: Float[Array, "batch parcels time"]
    ) -> Float[Array, "batch locations time"]:
        """Return W' y."""
        return _transposed(self.plan, jnp.asarray(self.values, values.dtype), values)

    def absolute(self) -> "WeightedGroupedKernel":
        """Return the kernel of |W|."""
        return WeightedGroupedKernel(absolute_of(self.values), self.plan)

    def totals(self, dtype: Any) -> Float[Array, " parcels"]:
        """Return W 1, added up in `dtype`."""
        return self.product(jnp.ones((1, self.plan.shape[1], 1), dtype))[0, :, 0]

    def dense(self) -> Float[Array, "parcels locations"]:
        """Return W."""
        values = jnp.asarray(self.values)
        out = jnp.zeros(self.plan.shape, values.dtype)
        return out.at[self.plan.parcels, self.plan.locations].add(values)


def group_labels(maps: HardMaps, *, start: int, total: int) -> GroupedKernel:
    """Return the kernel of maps of the locations from `start` on, of `total` in the data."""
    n = maps.n_locations
    # As if one parcel had all, so that atlases of one shape share a compilation.
    first, *levels = _levels(np.asarray(maps.labels), maps.n_parcels, largest=n)
    first = np.where(first < n, first + np.int32(start), first + np.int32(total - n))
    labels = np.full(total, -1, np.int32)
    labels[start : start + n] = maps.labels
    return GroupedKernel(labels, (first, *levels), maps.n_parcels)


def plan_weights(maps: SparseMaps, *, start: int, total: int) -> WeightPlan:
    """Return the plan of maps of the locations from `start` on, of `total` in the data."""
    parcels, locations = maps.rows(), np.asarray(maps.indices) + np.int32(start)
    shape = (maps.n_parcels, total)
    by_parcel = _sums(parcels, locations, maps.n_parcels)
    return WeightPlan(parcels, locations, by_parcel, _sums(locations, parcels, total), shape)


@jax.custom_vjp
def _product(
    plan: WeightPlan,
    weights: Float[Array, " nonzeros"],
    data: Float[Array, "batch locations time"],
) -> Float[Array, "batch parcels time"]:
    """Return W x."""
    return _weighted(plan.by_parcel, weights, data)


@jax.custom_vjp
def _transposed(
    plan: WeightPlan,
    weights: Float[Array, " nonzeros"],
    values: Float[Array, "batch parcels time"],
) -> Float[Array, "batch locations time"]:
    """Return W' y."""
    return _weighted(plan.by_location, weights, values)


@jax.custom_vjp
def _outer(
    plan: WeightPlan,
    values: Float[Array, "batch parcels time"],
    data: Float[Array, "batch locations time"],
) -> Float[Array, " nonzeros"]:
    """Return y x' at the weights."""
    return (values[:, plan.parcels] * data[:, plan.locations]).sum(axis=(0, 2))


link(_product, _transposed, _outer)


def _weighted(
    sums: WeightedSums, weights: Float[Array, " nonzeros"], data: Float[Array, "batch n time"]
) -> Float[Array, "batch m time"]:
    """Return weighted sums of rows; what is not finite makes NaN where its weight is not 0."""
    if not weights.shape[0]:  # of which a gather cannot take any
        n_owners = (sums.slots, *sums.levels)[-1].shape[0]
        return jnp.zeros((data.shape[0], n_owners, data.shape[2]), data.dtype)
    w = weights.at[sums.slots].get(mode="fill", fill_value=0, unique_indices=True)[None, ..., None]
    x = data.at[:, sums.members].get(mode="promise_in_bounds")
    x = jnp.where(jnp.isfinite(x), x, jnp.where(w == 0, 0, jnp.nan))
    return _summed(sums.levels, (w * x).sum(axis=2))


def _summed(
    levels: tuple[Int32[AnyArray, "_ _"], ...], data: Float[Array, "batch n time"]
) -> Float[Array, "batch m time"]:
    for members in levels:
        taken = data.at[:, members].get(mode="fill", fill_value=0, unique_indices=True)
        data = taken.sum(axis=2)
    return data


def _sums(
    owners: Int32[np.ndarray, " nonzeros"], rows: Int32[np.ndarray, " nonzeros"], n_owners: int
) -> WeightedSums:
    """Return the sums of the weights of each owner, which weigh `rows`."""
    largest = int(np.bincount(owners).max(initial=0))
    slots, *levels = _levels(owners, n_owners, largest=largest)
    members = np.append(rows, np.int32(0))[np.minimum(slots, rows.size)]
    return WeightedSums(slots, members, tuple(levels))


def _levels(
    owners: Int32[np.ndarray, " n"], n_owners: int, *, largest: int
) -> tuple[Int32[np.ndarray, "_ _"], ...]:
    """Return the members of each group, level by level; what has owner -1 is in none.

    Padding has numbers beyond the last member, each another one. Shapes follow from the
    numbers of members and owners, and from the most members that an owner may have.
    """
    width = min(max(largest, 1), _GROUP)
    members = np.argsort(owners, kind="stable")[np.count_nonzero(owners < 0) :]
    n_members, owners = owners.size, owners[members]
    levels: list[np.ndarray] = []
    while not levels or largest > 1:
        counts = np.bincount(owners, minlength=n_owners)
        n_groups = np.maximum(-(-counts // width), 1)
        rank = np.arange(len(members)) - np.repeat(np.cumsum(counts) - counts, counts)
        group = np.repeat(np.cumsum(n_groups) - n_groups, counts) + rank // width
        largest = -(-largest // width)
        most = n_owners if largest <= 1 else n_owners + n_members // width
        level = n_members + np.arange(most * width, dtype=np.int32).reshape(most, width)
        level[group, rank % width] = members
        levels.append(level)
        members, owners = np.arange(n_groups.sum()), np.repeat(np.arange(n_owners), n_groups)
        n_members = most
    return tuple(levels)
