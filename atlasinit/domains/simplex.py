"""Distributions along an axis: each location's memberships of the parcels."""

import dataclasses
import math
from typing import Any, NamedTuple, TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Float, Int

from atlasinit.core.maps import SparseMaps
from atlasinit.domains.base import (
    Domain,
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
    r"""Non-negative values that sum to 1 along `axis`.

    The image is a softmax with temperature, the preimage its inverse,

    .. math:: y = \mathrm{softmax}(x / T), \qquad x = T \log y .

    The round trip is exact for every `y` without zeros. A softmax has no zeros, so
    those of `y` (all but one entry of a hard label) are filled: each with

    .. math:: \delta = \frac{1 - \pi}{\pi (L - 1)},

    or with the slice's smallest positive entry if that is less, before the slice is
    scaled to 1. A one-hot slice so keeps exactly the mass :math:`\pi` (`purity`) for its
    own label, whatever the number of labels :math:`L`; a slice with some zeros keeps
    at least that.

    A slice of zeros only (a location outside every parcel) has no distribution. Its
    image is again all zeros, with zero gradient. NaN in the free values makes the slice NaN;
    `preimage` refuses it. hypercoil's counterpart is ``ProbabilitySimplexParameter``.

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
        For slices that do not sum to 1. ``"renormalize"`` divides them by their sum;
        ``"clip"`` sets negative values to 0 first; ``"error"`` raises.

    Raises
    ------
    ValueError
        A temperature or purity that is impossible; and from `preimage`, a purity that
        is impossible for its number of labels, values that are negative or not finite
        (unless clipped), slices that do not sum to 1 to 1e-3 (with ``"error"``).
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

    def __post_init__(self) -> None:
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
        return _softmax(free / self._temperature(free, groups), groups)

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
        return self._log(self._inside(given, groups), groups)

    def image_of_sparse(self, maps: SparseMaps) -> Float[jax.Array, " nonzeros"]:
        """Return the softmax of the entries of each location (or parcel)."""
        free, groups = check_floating(maps.values, "x"), self._segments(maps)
        return _softmax(free / self._temperature(free, groups), groups)

    def preimage_of_sparse(self, maps: SparseMaps) -> Float[jax.Array, " nonzeros"]:
        """Return the free values of the entries of each location (or parcel)."""
        values, groups = check_floating(maps.values, "y"), self._segments(maps)
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
        return self._log(self._inside(values, groups), groups)

    def slope(self, x: AnyArray) -> jax.Array:
        """Return the derivative of each entry of the image by its own free value."""
        y = self.image(x)
        return y * (1 - y) / self._temperature(y, _Slices(self._axis_of(y)))

    def slope_of_sparse(self, maps: SparseMaps) -> Float[jax.Array, " nonzeros"]:
        """Return `slope` for the entries of sparse maps."""
        y, groups = self.image_of_sparse(maps), self._segments(maps)
        return y * (1 - y) / self._temperature(y, groups)

    @eqx.filter_jit  # not some thirty programs
    def _log(self, y: jax.Array, groups: "_Groups") -> jax.Array:
        dtype = y.dtype
        y = widen(y)
        total = groups.total(y)
        present = total > 0
        mass = y / jnp.where(present, total, 1)
        others = jnp.maximum(groups.size(y) - 1, 1)
        floor = (1 - self.purity) / self.purity / others
        smallest = groups.smallest(jnp.where(mass > 0, mass, 1))
        filled = jnp.where(mass > 0, mass, jnp.minimum(floor, smallest))
        # Halfway to the largest number: far beyond any logit, yet finite under weight decay.
        nothing = -0.5 * float(jnp.finfo(dtype).max)
        logs = (self._temperature(y, groups) * jnp.log(filled)).astype(dtype)
        return jnp.where(present, logs, nothing)

    def _inside(self, y: jax.Array, groups: "_Groups") -> jax.Array:
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
            total = groups.total(widen(y))
            y = refuse(
                y,
                (jnp.abs(total - 1) > tolerance(y)) & (total != 0),
                ArgumentError(
                    "y", "should sum to 1 along the axis", 'use outside="renormalize" to scale it'
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
        rows = jnp.searchsorted(jnp.asarray(maps.indptr), entries, side="right") - 1
        return _Segments(rows, maps.n_parcels)


class _Slices(NamedTuple):
    """The slices of a dense array along an axis; results broadcast against the array."""

    axis: int

    def total(self, x: jax.Array) -> jax.Array:
        return x.sum(self.axis, keepdims=True)

    def total_of_weights(self, x: jax.Array) -> jax.Array:
        """Return `total` in twice the precision, in one pass."""
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
    """Entries of a sparse matrix that share a group; results have one value an entry."""

    group: Int[jax.Array, " nonzeros"]
    n_groups: int

    def total(self, x: jax.Array) -> jax.Array:
        return jax.ops.segment_sum(x, self.group, self.n_groups)[self.group]

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
def _softmax(x: jax.Array, groups: _Groups) -> jax.Array:
    """Return the softmax of each group; zeros where all its values are far below any logit."""
    top = groups.largest(x)
    # Free values of single precision mean the same when they are made double.
    largest = min(float(jnp.finfo(dtype).max) for dtype in (x.dtype, jnp.float32))
    absent = top <= -math.sqrt(largest)
    weights = widen(jnp.exp(x - jnp.where(absent, 0, top)))
    # Thousands of entries of 1e-8 would each be rounded away in a plain sum with a leading 1.
    return (weights / jnp.where(absent, 1, groups.total_of_weights(weights))).astype(x.dtype)


@_softmax.def_jvp
def _softmax_jvp(primals: Any, tangents: Any) -> tuple[jax.Array, jax.Array]:
    y = _softmax(*primals)
    change = y * tangents[0]
    return y, change - y * primals[1].total(change)


def _add(a: tuple[jax.Array, jax.Array], b: tuple[jax.Array, jax.Array]) -> Any:
    """Return the sum of two pairs (value, what rounding lost of it); Knuth's two-sum."""
    total = a[0] + b[0]
    second = total - a[0]
    lost = (a[0] - (total - second)) + (b[0] - second)
    return total, a[1] + b[1] + lost
