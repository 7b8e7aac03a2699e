"""Products of hard and sparse maps on GPUs: sums of 16 members of a parcel, then of 16 such sums.

Without atomic additions, so that a GPU gives the same digits in every run.
"""

from typing import Any, ClassVar

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int32

from atlasinit.core.maps import HardMaps, SparseMaps
from atlasinit.projection.derivatives import link
from atlasinit.projection.kernels.base import (
    AbstractKernel,
    Data,
    Site,
    Values,
    absolute_of,
)
from atlasinit.projection.kernels.scatter import ScatterKernel
from atlasinit.support.typing import AnyArray

# Four levels of 16 add up a parcel of 65536 locations. Rounding grows by at most 15 additions
# a level so, where one long sum of as many would round 65535 times.
_GROUP = 16


class GroupedKernel(AbstractKernel):
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

    name: ClassVar[str] = "groups"
    computes: ClassVar[tuple[type, ...]] = (HardMaps,)
    whole: ClassVar[bool] = True
    exact: ClassVar[bool] = True
    needs_positions: ClassVar[bool] = True

    labels: Int32[AnyArray, " locations"]
    levels: tuple[Int32[AnyArray, "_ _"], ...]
    n_parcels: int = eqx.field(static=True)

    @classmethod
    def plan(cls, maps: HardMaps, site: Site) -> "GroupedKernel":
        """Return the kernel itself, which is nothing but positions."""
        n = maps.n_locations
        # As if one parcel had all, so that atlases of one shape share a compilation.
        first, *levels = _group_members(np.asarray(maps.labels), maps.n_parcels, largest=n)
        # Numbers from n on are padding: behind the last location of the whole data then.
        first = np.where(first < n, first + np.int32(site.start), first + np.int32(site.total - n))
        labels = np.full(site.total, -1, np.int32)
        labels[site.start : site.start + n] = maps.labels
        return cls(labels, (first, *levels), maps.n_parcels)

    @classmethod
    def build(cls, maps: HardMaps, plan: "GroupedKernel") -> "GroupedKernel":
        """Return the plan."""
        del maps
        return plan

    def product(self, data: Data) -> Values:
        """Return W x."""
        return _add_groups(self.levels, data)

    def transposed(self, values: Values) -> Data:
        """Return W' y."""
        # Each location has one parcel at most, so W' y copies values and adds up nothing.
        return self.labelled().transposed(values)

    def absolute(self) -> "GroupedKernel":
        """Return the kernel of |W|."""
        return self

    def totals(self, dtype: Any) -> Float[Array, " parcels"]:
        """Return W 1, added up in `dtype`."""
        # Counts are whole numbers: float32 adds them up exactly below 2**24, in any order.
        return self.labelled().totals(dtype)

    def dense(self) -> Float[Array, "parcels locations"]:
        """Return W."""
        return self.labelled().dense()

    def labelled(self) -> ScatterKernel:
        """Return the kernel of its labels alone."""
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


class WeightedGroupedKernel(AbstractKernel):
    """Sparse weights, few of them a location: each is multiplied by its own row of the data."""

    name: ClassVar[str] = "groups"
    computes: ClassVar[tuple[type, ...]] = (SparseMaps,)
    whole: ClassVar[bool] = True
    needs_positions: ClassVar[bool] = True

    values: Float[AnyArray, " nonzeros"]
    places: WeightPlan

    @classmethod
    def plan(cls, maps: SparseMaps, site: Site) -> WeightPlan:
        """Return where the weights are, and which are added up."""
        parcels, locations = maps.rows(), np.asarray(maps.indices) + np.int32(site.start)
        shape = (maps.n_parcels, site.total)
        # W x groups the weights by their parcel, and they weigh rows that are locations. W' y
        # groups the same weights by their location, and they weigh rows that are parcels.
        by_parcel = _plan_sums(parcels, locations, maps.n_parcels)
        by_location = _plan_sums(locations, parcels, site.total)
        return WeightPlan(parcels, locations, by_parcel, by_location, shape)

    @classmethod
    def build(cls, maps: SparseMaps, plan: WeightPlan) -> "WeightedGroupedKernel":
        """Return the kernel of weights at the positions of a plan."""
        return cls(maps.values, plan)

    def product(self, data: Data) -> Values:
        """Return W x."""
        return _product(self.places, jnp.asarray(self.values, data.dtype), data)

    def transposed(self, values: Values) -> Data:
        """Return W' y."""
        return _transposed(self.places, jnp.asarray(self.values, values.dtype), values)

    def absolute(self) -> "WeightedGroupedKernel":
        """Return the kernel of |W|."""
        return WeightedGroupedKernel(absolute_of(self.values), self.places)

    def totals(self, dtype: Any) -> Float[Array, " parcels"]:
        """Return W 1, added up in `dtype`."""
        return self.product(jnp.ones((1, self.places.shape[1], 1), dtype))[0, :, 0]

    def dense(self) -> Float[Array, "parcels locations"]:
        """Return W."""
        values = jnp.asarray(self.values)
        out = jnp.zeros(self.places.shape, values.dtype)
        return out.at[self.places.parcels, self.places.locations].add(values)


def _add_by_parcel(
    plan: WeightPlan,
    weights: Float[Array, " nonzeros"],
    data: Float[Array, "batch locations time"],
) -> Float[Array, "batch parcels time"]:
    """Return W x."""
    return _add_weighted(plan.by_parcel, weights, data)


def _add_by_location(
    plan: WeightPlan,
    weights: Float[Array, " nonzeros"],
    values: Float[Array, "batch parcels time"],
) -> Float[Array, "batch locations time"]:
    """Return W' y."""
    return _add_weighted(plan.by_location, weights, values)


def _multiply_pairs(
    plan: WeightPlan,
    values: Float[Array, "batch parcels time"],
    data: Float[Array, "batch locations time"],
) -> Float[Array, " nonzeros"]:
    """Return y x' at the weights."""
    # (batch, nonzeros, time), summed over all but the weights: their gradient.
    return (values[:, plan.parcels] * data[:, plan.locations]).sum(axis=(0, 2))


_product, _transposed, _outer = link(_add_by_parcel, _add_by_location, _multiply_pairs)


def _add_weighted(
    sums: WeightedSums, weights: Float[Array, " nonzeros"], data: Float[Array, "batch n time"]
) -> Float[Array, "batch m time"]:
    """Return weighted sums of rows; what is not finite makes NaN where its weight is not 0."""
    if not weights.shape[0]:  # of which a gather cannot take any
        n_owners = (sums.slots, *sums.levels)[-1].shape[0]
        return jnp.zeros((data.shape[0], n_owners, data.shape[2]), data.dtype)
    # w is (1, groups, width, 1) and x (batch, groups, width, time). Padding has a slot beyond the
    # last weight, which is filled with 0, and reads row 0 of the data.
    w = weights.at[sums.slots].get(mode="fill", fill_value=0, unique_indices=True)[None, ..., None]
    x = data.at[:, sums.members].get(mode="promise_in_bounds")
    # 0 times NaN is NaN: what a weight of 0 meets has to be 0 itself.
    x = jnp.where(jnp.isfinite(x), x, jnp.where(w == 0, 0, jnp.nan))
    return _add_groups(sums.levels, (w * x).sum(axis=2))


def _add_groups(
    levels: tuple[Int32[AnyArray, "_ _"], ...], data: Float[Array, "batch n time"]
) -> Float[Array, "batch m time"]:
    # (batch, n, time) to (batch, groups, width, time) to (batch, groups, time), where the groups
    # are the rows that the next level takes. Padding is beyond the last row, and filled with 0.
    for members in levels:
        taken = data.at[:, members].get(mode="fill", fill_value=0, unique_indices=True)
        data = taken.sum(axis=2)
    return data


def _plan_sums(
    owners: Int32[np.ndarray, " nonzeros"], rows: Int32[np.ndarray, " nonzeros"], n_owners: int
) -> WeightedSums:
    """Return the sums of the weights of each owner, which weigh `rows`."""
    largest = int(np.bincount(owners).max(initial=0))
    slots, *levels = _group_members(owners, n_owners, largest=largest)
    # Slots number the weights, members the rows of the data that these weigh.
    members = np.append(rows, np.int32(0))[np.minimum(slots, rows.size)]
    return WeightedSums(slots, members, tuple(levels))


def _group_members(
    owners: Int32[np.ndarray, " n"], n_owners: int, *, largest: int
) -> tuple[Int32[np.ndarray, "_ _"], ...]:
    """Return the members of each group, level by level; what has owner -1 is in none.

    Padding has numbers beyond the last member, each another one. Shapes follow from the
    numbers of members and owners, and from the most members that an owner may have.

    Of owners ``[0, 1, 0, -1, 0, 0]``, in groups of 2 and with 4 members at most, the first
    level adds up members 0 and 2, then 4 and 5, of owner 0, and member 1 of owner 1::

        [[0, 2], [4, 5], [1, 9], ...]      9: padding, as any number from 6 on

    The second adds up the groups of an owner, which are numbered as the rows above::

        [[0, 1], [2, ...]]
    """
    # Where no owner may have 16 members, all groups are as narrow as the largest owner.
    width = min(max(largest, 1), _GROUP)
    # Owner by owner; those of -1, which are sorted first, are cut off.
    members = np.argsort(owners, kind="stable")[np.count_nonzero(owners < 0) :]
    n_members, owners = owners.size, owners[members]
    levels: list[np.ndarray] = []
    while not levels or largest > 1:
        # (owners,) members of each, which are those of the data at first, and groups after that.
        counts = np.bincount(owners, minlength=n_owners)
        # An owner without members has one group, of padding: its sum is 0.
        n_groups = np.maximum(-(-counts // width), 1)
        # Which of its owner's members a member is; every `width` of them open a new group,
        # counted on from the owner's first, the number of groups of the owners before.
        rank = np.arange(len(members)) - np.repeat(np.cumsum(counts) - counts, counts)
        group = np.repeat(np.cumsum(n_groups) - n_groups, counts) + rank // width
        # From here on the most groups that an owner may have; 1 ends the loop.
        largest = -(-largest // width)
        # At the last level each owner has one group. Before, full groups are at most
        # n_members / width, and each owner may have one that is not full.
        most = n_owners if largest <= 1 else n_owners + n_members // width
        # Each place begins as padding with a number of its own, as `unique_indices` promises JAX
        # that a gather takes no row twice. Rows beyond the last group are padding alone.
        level = n_members + np.arange(most * width, dtype=np.int32).reshape(most, width)
        level[group, rank % width] = members
        levels.append(level)
        # The groups, which lie owner by owner, are the members of the next level.
        members, owners = np.arange(n_groups.sum()), np.repeat(np.arange(n_owners), n_groups)
        n_members = most
    return tuple(levels)
