"""What a domain is, and what it does with values that lie outside."""

import abc
import dataclasses
from typing import Any, TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Bool, Float, Inexact

from atlasinit.core.maps import DenseMaps, SparseMaps
from atlasinit.errors import ArgumentError, ArgumentTypeError
from atlasinit.support.typing import AnyArray

Fixed: TypeAlias = Any
"""A float, or nested tuples of floats: an array that is hashable and never trained."""


@dataclasses.dataclass(frozen=True)
class Domain(abc.ABC):
    """A set of arrays, as the image of all arrays under a differentiable map.

    Domains are hashable values without arrays, so they can be static parts of a
    pytree. Their maps are pure functions: they can be jitted, differentiated and
    mapped, and keep the dtype. NaN among free values makes NaN of what they share the
    image with: the entry, the slice or the matrix.

    A domain of your own is a frozen dataclass with `image` and `preimage`. To act on
    `SparseMaps` it is an `EntrywiseDomain`, or defines `image_of_sparse` and
    `preimage_of_sparse` too. `slope` and `slope_of_sparse` let `saturation` see it; `hold` and
    `restore` keep what is not trained, and one with an axis defines `for_axes`.

    Examples
    --------
    >>> import dataclasses
    >>> import jax.numpy as jnp
    >>> from atlasinit import domains
    >>> @dataclasses.dataclass(frozen=True)
    ... class Squares(domains.EntrywiseDomain):
    ...     def image(self, x):
    ...         return x**2
    ...     def preimage(self, y):
    ...         return jnp.sqrt(y)
    >>> domains.unwrap(domains.constrained(jnp.array([4.0, 9.0]), Squares())).tolist()
    [4.0, 9.0]
    """

    @abc.abstractmethod
    def image(self, x: AnyArray) -> jax.Array:
        """Return the point of the domain that the free values `x` stand for."""

    @abc.abstractmethod
    def preimage(self, y: AnyArray) -> jax.Array:
        """Return free values whose image is `y`, where `y` lies in the domain."""

    def image_of_sparse(self, maps: SparseMaps) -> Float[jax.Array, " nonzeros"]:
        """Return the values of the maps that sparse free values stand for."""
        raise self._needs_every_weight()

    def preimage_of_sparse(self, maps: SparseMaps) -> Float[jax.Array, " nonzeros"]:
        """Return free values at the positions of sparse maps that lie in the domain."""
        raise self._needs_every_weight()

    def hold(self, y: AnyArray | DenseMaps | SparseMaps) -> jax.Array | None:
        """Return what of `y` training should not change, beside the free values; None for nothing.

        No gradient reaches it. Its entries may be scaled together, as weight decay does, without
        a change of what they mean.
        """
        del y

    def restore(self, y: jax.Array, held: jax.Array, maps: SparseMaps | None) -> jax.Array:
        """Return the image `y` with what `hold` returned; `maps` hold it if they are sparse."""
        del held, maps
        return y

    def pin(
        self, y: jax.Array, start: jax.Array, mask: jax.Array, maps: SparseMaps | None
    ) -> jax.Array:
        """Return the image `y` with the entries of `start` where `mask` is true.

        `maps` hold them if they are sparse.
        """
        raise ArgumentTypeError(
            "domain",
            f": `{type(self).__name__}` cannot keep single entries as they are, since its others "
            "depend on them",
            "freeze whole compartments by `trainable=`, or choose a `Simplex` or a domain that "
            "acts on each entry alone",
        )

    def for_axes(self, count: int) -> "Domain":
        """Return the domain with its axis counted from the end of arrays of `count` axes.

        So a node that is made for one member stands for the same within an ensemble.
        """
        del count
        return self

    def slope(self, x: AnyArray) -> jax.Array | None:
        """Return the derivative of each entry of the image by its own free value.

        None, as here, where entries have no free value of their own.
        """
        del x

    def slope_of_sparse(self, maps: SparseMaps) -> Float[jax.Array, " nonzeros"] | None:
        """Return `slope` for the entries of sparse maps."""
        del maps

    def _needs_every_weight(self) -> TypeError:
        name = type(self).__name__
        return TypeError(
            f"`{name}` needs every weight, but the maps are sparse; make them dense by "
            "`DenseMaps(maps.to_dense())`, or in a layer by `dense=True`. A domain of your own can "
            "define `image_of_sparse` and `preimage_of_sparse`."
        )


class EntrywiseDomain(Domain):
    """A domain whose map acts on each entry alone, so that it fits every representation."""

    def image_of_sparse(self, maps: SparseMaps) -> Float[jax.Array, " nonzeros"]:
        """Return the image of the values, whatever their positions."""
        return self.image(maps.values)

    def preimage_of_sparse(self, maps: SparseMaps) -> Float[jax.Array, " nonzeros"]:
        """Return the preimage of the values, whatever their positions."""
        return self.preimage(maps.values)

    def pin(
        self, y: jax.Array, start: jax.Array, mask: jax.Array, maps: SparseMaps | None
    ) -> jax.Array:
        """Return `y`, or `start` where `mask` is true."""
        del maps
        return jnp.where(mask, start, y)

    def slope(self, x: AnyArray) -> jax.Array:
        """Return the derivative of each entry of the image by its own free value."""
        free = jnp.asarray(x)
        # Entries do not mix, so one directional derivative along ones holds all of them.
        return jax.jvp(self.image, (free,), (jnp.ones_like(free),))[1]

    def slope_of_sparse(self, maps: SparseMaps) -> Float[jax.Array, " nonzeros"]:
        """Return `slope` of the values, whatever their positions."""
        return self.slope(maps.values)


def axis_from_end(axis: int, count: int) -> int:
    """Return an axis of arrays of `count` axes as a negative number; one that is none as it is."""
    return axis - count if 0 <= axis < count else axis


def fixed(value: Any) -> Fixed:
    """Return a number or an array as a float or nested tuples of floats."""
    # Domains are hashed as static parts of pytrees, and arrays have no hash.
    nested = np.asarray(value, dtype=np.float64).tolist()
    return _tuples(nested)


def broadcast_like(value: Fixed, like: Inexact[jax.Array, "..."]) -> Inexact[jax.Array, "..."]:
    """Return a fixed value as an array of the shape and dtype of `like`."""
    return jnp.broadcast_to(jnp.asarray(np.asarray(value), like.dtype), like.shape)


def check_floating(x: AnyArray, name: str) -> Inexact[jax.Array, "..."]:
    """Return `x` as a JAX array, which has to be real floating point."""
    array = jnp.asarray(x)
    if not jnp.issubdtype(array.dtype, jnp.floating):
        raise ArgumentTypeError(
            name,
            f"should be a real floating-point array, got {array.dtype}",
            "convert it first (for complex values wrap the domain in `Amplitude`)",
        )
    return array


def tolerance(x: jax.Array) -> float:
    """Return how far from a domain values count as inside: their rounding, at least 1e-3."""
    # 1e-3 allows for values that a file has rounded. float16 and bfloat16 have an eps of 2^-10 and
    # 2^-7, which in the sum of a few values is more.
    return max(1e-3, 4 * float(jnp.finfo(x.dtype).eps))


def refuse(x: jax.Array, bad: Bool[jax.Array, "..."], error: ArgumentError) -> jax.Array:
    """Return `x`, or raise `error` where any of `bad` is true: now, or at run time under jit."""
    # A traced flag has no value yet: the check becomes a step of the program, which stays in it
    # only if its result is used in the place of `x`.
    flag = jnp.any(bad)
    if isinstance(flag, Tracer):
        return eqx.error_if(x, flag, str(error))
    if bool(flag):
        raise error
    return x


def check_choice(value: object, choices: tuple[str, ...], name: str) -> None:
    """Raise if an option is not one of its choices."""
    if value not in choices:
        listed = ", ".join(repr(choice) for choice in choices)
        raise ArgumentError(name, f"should be one of {listed}, got {value!r}")


def check_positive(value: object, name: str) -> None:
    """Raise if any entry of `value` is not a finite number above 0."""
    array = np.asarray(value)
    if array.dtype.kind not in "fiu" or not (np.isfinite(array) & (array > 0)).all():
        raise ArgumentError(name, f"should be positive and finite, got {value!r}")


def _tuples(nested: Any) -> Fixed:
    return tuple(_tuples(item) for item in nested) if isinstance(nested, list) else nested


def check_domain(given: Any, name: str = "domain") -> Domain:
    """Return `given`, checked to be a domain.

    Raises
    ------
    TypeError
        Anything else: the class of one, or its name.
    """
    if isinstance(given, Domain):
        return given
    if isinstance(given, type) and issubclass(given, Domain):
        problem = f"should be a domain, got the class {given.__name__}"
        remedy = f"make one of it, `atlasinit.domains.{given.__name__}()`"
    else:
        problem = f"should be a domain, got {given!r}"
        remedy = "pass one such as `atlasinit.domains.Simplex()`"
    raise ArgumentTypeError(name, problem, remedy)
