"""Distributions along an axis: each location's memberships of the parcels."""

import dataclasses
from typing import Any, NamedTuple, TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.core import Tracer
from jaxtyping import Float, Int

from atlasinit.core.maps import DenseMaps, SparseMaps
from atlasinit.domains.base import (
    Domain,
    axis_from_end,
    check_choice,
    check_floating,
    check_positive,
    fixed,
    refuse,
    tolerance,
)
from atlasinit.errors import ArgumentError
from atlasinit.support.precision import widen
from atlasinit.support.typing import AnyArray


@dataclasses.dataclass(frozen=True)
class Simplex(Domain):
    r"""Non-negative values with fixed sums along `axis`: distributions, of each location's total.

    The image is a softmax with temperature, the preimage its inverse,

    .. math:: y = \mathrm{softmax}(x / T), \qquad x = T \log y .

    The round trip is exact for every `y` without zeros. A softmax has no zeros, so
    those of `y` (all but one entry of a hard label) are filled: each with

    .. math:: \delta = \frac{1 - \pi}{\pi (L - 1)},

    or with the slice's smallest positive entry if that is less, before the slice is
    scaled to 1. A one-hot slice so keeps exactly the mass :math:`\pi` (`purity`) for its
    own label, whatever the number of labels :math:`L`; a slice with some zeros keeps
    at least that.

    A node (`constrained`, a layer) starts as the array that it is made of: a slice's total
    :math:`t`, from 0 to 1, is kept beside the free values, :math:`y = t\, \mathrm{softmax}(x
    / T)`. A location outside every parcel stays all zeros, with zero gradient, and one that
    belongs to no parcel in part keeps that part. With `slack` that part is trained instead,
    as the membership of one more label whose free value is 0; with `full` every slice sums
    to 1, and one of zeros only is uniform. The image of an array alone has slices of sum 1.
    NaN in the free values makes the slice NaN; `preimage` refuses it. hypercoil's
    counterpart is ``ProbabilitySimplexParameter``, which is `full`.

    On `SparseMaps` the softmax is over the stored entries of one location (for
    ``axis=-2``) or of one parcel (``axis=-1``), and :math:`L` is their number.

    Parameters
    ----------
    axis
        The axis along which values sum to 1. By default -2, the parcels of maps
        (parcels, locations): each location has a distribution over the parcels.
    temperature
        Positive, or ``"auto"`` for the square root of the number of labels. A higher
        temperature gives smaller gradients with respect to the free values.
    purity
        Mass that a one-hot slice keeps for its label, above ``1 / L`` and below 1.
    outside
        For slices whose sum is above 1, or, if `full`, another than 1. ``"renormalize"``
        divides them by it; ``"clip"`` sets negative values to 0 first; ``"error"`` raises.
    slack
        Train what of each location belongs to no parcel. All memberships then sum to less
        than 1; `purity` is also what a location outside every parcel keeps outside.
    full
        Make every location a full member of the parcels, whatever its total.

    Raises
    ------
    ValueError
        A temperature or purity that is impossible; and from `preimage`, a purity that
        is impossible for its number of labels, values that are negative or not finite
        (unless clipped), slices that are outside by more than 1e-3 (with ``"error"``);
        both `slack` and `full`.
    TypeError
        Values that are not real floating point.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> domain = Simplex(purity=0.9)
    >>> free = domain.preimage(jnp.eye(3))
    >>> [f"{mass:.4f}" for mass in domain.image(free)[:, 0]]
    ['0.9000', '0.0500', '0.0500']
    """

    axis: int = -2
    temperature: Any = 1.0
    purity: Any = 0.99
    outside: str = "renormalize"
    slack: bool = False
    full: bool = False

    def __post_init__(self) -> None:
        if self.slack and self.full:
            raise ArgumentError("slack", "trains what `full` leaves no room for", "choose one")
        if self.temperature != "auto":
            check_positive(self.temperature, "temperature")
        if not 0 < self.purity < 1:
            raise ArgumentError("purity", f"should lie between 0 and 1, got {self.purity!r}")
        object.__setattr__(self, "purity", fixed(self.purity))
        check_choice(self.outside, ("renormalize", "clip", "error"), "outside")

    def image(self, x: AnyArray) -> jax.Array:
        """Return the softmax of `x` along the axis."""
        free = check_floating(x, "x")
        groups = _Slices(self._axis_of(free))
        return _softmax(free / self._temperature(free, groups), groups, self.slack)

    def preimage(self, y: AnyArray) -> jax.Array:
        """Return the logarithm of `y`, zeros filled so that one-hot slices keep the purity."""
        given = check_floating(y, "y")
        axis = self._axis_of(given)
        labels = given.shape[axis]
        if labels > 1 and self.purity * labels <= 1:
            raise ArgumentError(
                "purity", f"for {labels} labels should be above 1/{labels}, got {self.purity!r}"
            )
        groups = _Slices(axis)
        return self._to_logits(self._bring_inside(given, groups), groups)

    def image_of_sparse(self, maps: SparseMaps) -> Float[jax.Array, " nonzeros"]:
        """Return the softmax of the entries of each location (or parcel)."""
        free, groups = check_floating(maps.values, "x"), self._segments(maps)
        return _softmax(free / self._temperature(free, groups), groups, self.slack)

    def preimage_of_sparse(self, maps: SparseMaps) -> Float[jax.Array, " nonzeros"]:
        """Return the free values of the entries of each location (or parcel)."""
        values, groups = check_floating(maps.values, "y"), self._segments(maps)
        # Above 1/2 a purity is above 1 / L for every number of labels L that has a choice.
        if self.purity <= 0.5:
            sizes = groups.size(values)
            bad = (sizes > 1) & (self.purity * sizes <= 1)
            values = refuse(
                values,
                bad,
                ArgumentError(
                    "purity", f"should be above 1 / labels, got {self.purity!r}", "raise it"
                ),
            )
        return self._to_logits(self._bring_inside(values, groups), groups)

    def slope(self, x: AnyArray) -> jax.Array:
        """Return the derivative of each entry of the image by its own free value."""
        # y = softmax(x / T): dy_i / dx_i = y_i (1 - y_i) / T.
        y = self.image(x)
        return y * (1 - y) / self._temperature(y, _Slices(self._axis_of(y)))

    def slope_of_sparse(self, maps: SparseMaps) -> Float[jax.Array, " nonzeros"]:
        """Return `slope` for the entries of sparse maps."""
        y, groups = self.image_of_sparse(maps), self._segments(maps)
        return y * (1 - y) / self._temperature(y, groups)

    def hold(self, y: AnyArray | DenseMaps | SparseMaps) -> jax.Array | None:
        """Return (..., 2): each slice's total, at most 1, and what it lacks of 1.

        Their ratio counts, which outlives weight decay and casts. None for a concrete array
        of distributions; of maps always the totals, so that layers of one shape can be stacked.
        """
        if self.slack or self.full:
            return None
        array = check_floating(y.values if isinstance(y, DenseMaps | SparseMaps) else y, "y")
        groups = self._segments(y) if isinstance(y, SparseMaps) else _Slices(self._axis_of(array))
        total = groups.sums(widen(self._bring_inside(array, groups)))
        if not isinstance(y, DenseMaps | SparseMaps | Tracer) and (jnp.abs(total - 1) < 1e-5).all():
            return None
        total = jnp.minimum(total, 1)
        return jnp.stack([total, 1 - total], -1)

    def restore(self, y: jax.Array, held: jax.Array, maps: SparseMaps | None) -> jax.Array:
        """Return memberships scaled to the totals that their slices started with."""
        groups = _Slices(self._axis_of(y)) if maps is None else self._segments(maps)
        whole = held.sum(-1)
        total = jnp.where(whole > 0, held[..., 0] / jnp.where(whole > 0, whole, 1), 0)
        return y * groups.spread(total).astype(y.dtype)

    def pin(
        self, y: jax.Array, start: jax.Array, mask: jax.Array, maps: SparseMaps | None
    ) -> jax.Array:
        """Return memberships of which some stay; the others share what these leave of the total."""
        groups = _Slices(self._axis_of(y)) if maps is None else self._segments(maps)
        wide = widen(y)
        # With slack what belongs to no parcel is one of the others.
        total = jnp.ones_like(groups.total(wide)) if self.slack else groups.total(wide)
        others = groups.total(jnp.where(mask, 0, wide))
        others = others + (1 - groups.total(wide)) if self.slack else others
        room = total - groups.total(jnp.where(mask, widen(start), 0))
        factor = jnp.maximum(room, 0) / jnp.where(others > 0, others, 1)
        return jnp.where(mask, start, (wide * factor).astype(y.dtype))

    def for_axes(self, count: int) -> "Simplex":
        """Return the domain with its axis counted from the end."""
        return dataclasses.replace(self, axis=axis_from_end(self.axis, count))

    # Jitted as a whole, or each of some thirty steps would be compiled by itself.
    @eqx.filter_jit
    def _to_logits(self, y: jax.Array, groups: "_Groups") -> jax.Array:
        dtype = y.dtype
        y = widen(y)
        total, size = groups.total(y), groups.size(y)
        # With slack what belongs to no parcel is one more label.
        whole = jnp.maximum(total, 1) if self.slack else total
        others = size if self.slack else jnp.maximum(size - 1, 1)
        mass = y / jnp.where(whole > 0, whole, 1)
        # A one-hot slice becomes 1 and L - 1 times d before the softmax divides by their sum:
        # 1 / (1 + (L - 1) d) = purity gives the floor d.
        rest = 1 - total / jnp.where(whole > 0, whole, 1) if self.slack else jnp.zeros_like(total)
        floor = (1 - self.purity) / self.purity / others
        smallest = groups.smallest(jnp.where(mass > 0, mass, 1))
        floor = jnp.minimum(floor, jnp.minimum(smallest, jnp.where(rest > 0, rest, 1)))
        logs = jnp.log(jnp.where(mass > 0, mass, floor))
        if self.slack:
            logs -= jnp.log(jnp.where(rest > 0, rest, floor))
        else:
            # What has no mass has no distribution; its total of 0 is held beside it.
            logs = jnp.where(total > 0, logs, 0)
        return (self._temperature(y, groups) * logs).astype(dtype)

    def _bring_inside(self, y: jax.Array, groups: "_Groups") -> jax.Array:
        bad = ~jnp.isfinite(y) if self.outside == "clip" else ~(jnp.isfinite(y) & (y >= 0))
        y = refuse(
            y,
            bad,
            ArgumentError(
                "y",
                "should be finite and non-negative for a `Simplex`",
                "it is not. Split signed maps into parts, or set negative values to 0 "
                'with outside="clip"',
            ),
        )
        if self.outside == "error":
            beyond = groups.total(widen(y)) - 1
            if self.full:
                beyond = jnp.where(beyond > -1, jnp.abs(beyond), 0)
            y = refuse(
                y,
                beyond > tolerance(y),
                ArgumentError(
                    "y",
                    f"should sum to {'1' if self.full else 'at most 1'} along the axis",
                    'use outside="renormalize" to scale it',
                ),
            )
        return jnp.maximum(y, 0)

    def _temperature(self, x: jax.Array, groups: "_Groups") -> jax.Array:
        if self.temperature == "auto":
            return jnp.sqrt(groups.size(widen(x))).astype(x.dtype)
        return jnp.asarray(self.temperature, x.dtype)

    def _axis_of(self, x: jax.Array) -> int:
        if not -x.ndim <= self.axis < x.ndim:
            raise ArgumentError(
                "axis",
                f"{self.axis} of the `Simplex` does not exist in an array of shape {x.shape}",
                "give the axis along which values should sum to 1",
            )
        return self.axis % x.ndim

    def _segments(self, maps: SparseMaps) -> "_Segments":
        if self.axis in (-2, 0):
            return _Segments(jnp.asarray(maps.indices), maps.n_locations)
        if self.axis not in (-1, 1):
            raise ArgumentError("axis", f"on sparse maps should be -2 or -1, got {self.axis}")
        entries = jnp.arange(maps.values.shape[0], dtype=jnp.int32)
        # The parcel of entry i is the last one that begins at i or before; empty ones begin, and
        # end, where the next one does.
        rows = jnp.searchsorted(jnp.asarray(maps.indptr), entries, side="right") - 1
        return _Segments(rows, maps.n_parcels)


class _Slices(NamedTuple):
    """The slices of a dense array along an axis; results broadcast against the array."""

    axis: int

    def sums(self, x: jax.Array) -> jax.Array:
        """Return one value a slice."""
        return x.sum(self.axis, keepdims=True)

    def spread(self, sums: jax.Array) -> jax.Array:
        """Return what `sums` returns, for the entries."""
        return sums

    def total(self, x: jax.Array) -> jax.Array:
        return self.sums(x)

    def total_of_weights(self, x: jax.Array) -> jax.Array:
        """Return `total` in twice the precision, in one pass."""
        # Each partial sum is a pair, so that it holds in whichever order XLA adds. JAX has no
        # derivative of such a reduction; `_softmax` has one of its own.
        zero = jnp.zeros((), x.dtype)
        total, lost = jax.lax.reduce((x, jnp.zeros_like(x)), (zero, zero), _add, (self.axis,))
        return jnp.expand_dims(total + lost, self.axis)

    def largest(self, x: jax.Array) -> jax.Array:
        return x.max(self.axis, keepdims=True, initial=-jnp.inf)

    def smallest(self, x: jax.Array) -> jax.Array:
        return x.min(self.axis, keepdims=True, initial=jnp.inf)

    def size(self, x: jax.Array) -> jax.Array:
        return jnp.asarray(x.shape[self.axis], x.dtype)


class _Segments(NamedTuple):
    """Entries of a sparse matrix that share a group; results have one value per entry."""

    group: Int[jax.Array, " nonzeros"]
    n_groups: int

    def sums(self, x: jax.Array) -> jax.Array:
        """Return one value a group."""
        return jax.ops.segment_sum(x, self.group, self.n_groups)

    def spread(self, sums: jax.Array) -> jax.Array:
        """Return what `sums` returns, for the entries."""
        return sums[self.group]

    def total(self, x: jax.Array) -> jax.Array:
        return self.spread(self.sums(x))

    def total_of_weights(self, x: jax.Array) -> jax.Array:
        """Return `total` with the ones summed apart, beside which small weights are lost."""
        one = x == 1
        return self.total(jnp.where(one, x, 0)) + self.total(jnp.where(one, 0, x))

    def largest(self, x: jax.Array) -> jax.Array:
        return jax.ops.segment_max(x, self.group, self.n_groups)[self.group]

    def smallest(self, x: jax.Array) -> jax.Array:
        return jax.ops.segment_min(x, self.group, self.n_groups)[self.group]

    def size(self, x: jax.Array) -> jax.Array:
        return self.total(jnp.ones_like(x))


_Groups: TypeAlias = _Slices | _Segments


@eqx.filter_custom_jvp
def _softmax(x: jax.Array, groups: _Groups, slack: bool) -> jax.Array:  # noqa: FBT001
    """Return the softmax of each group, with `slack` beside one more entry of 0."""
    top = groups.largest(x)
    if slack:
        top = jnp.maximum(top, 0)
    # A group of minus infinities alone has no weight.
    absent = top == -jnp.inf
    top = jnp.where(absent, 0, top)
    weights = widen(jnp.exp(x - top))
    # Thousands of entries of 1e-8 would each be rounded away in a plain sum with a leading 1.
    total = groups.total_of_weights(weights)
    if slack:
        total += widen(jnp.exp(-top))
    return (weights / jnp.where(absent, 1, total)).astype(x.dtype)


@_softmax.def_jvp
def _softmax_jvp(primals: Any, tangents: Any) -> tuple[jax.Array, jax.Array]:
    # dy = y (dx - sum of y dx over the group); the entry of slack does not move.
    y = _softmax(*primals)
    change = y * tangents[0]
    return y, change - y * primals[1].total(change)


def _add(a: tuple[jax.Array, jax.Array], b: tuple[jax.Array, jax.Array]) -> Any:
    """Return the sum of two pairs (value, what rounding lost of it); Knuth's two-sum."""
    total = a[0] + b[0]
    second = total - a[0]
    lost = (a[0] - (total - second)) + (b[0] - second)
    return total, a[1] + b[1] + lost
