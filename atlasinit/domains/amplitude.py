"""Complex arrays of which only the amplitude is constrained."""

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp

from atlasinit.core.maps import DenseMaps, SparseMaps
from atlasinit.domains.base import Domain
from atlasinit.errors import ArgumentTypeError
from atlasinit.support.typing import AnyArray


@dataclasses.dataclass(frozen=True)
class Amplitude(Domain):
    """Complex arrays whose amplitudes lie in a domain of real arrays; the phase is free.

    The free value is complex: its real part is the free value of the amplitude, its
    imaginary part the phase in radians. So a phase outlives an amplitude near 0, and
    nothing divides by the amplitude.

    Parameters
    ----------
    domain
        The domain of the amplitudes, such as ``Tanh(scale=1.0)`` or ``Simplex()``.

    Raises
    ------
    TypeError
        Values that are not complex.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> from atlasinit.domains import Tanh
    >>> domain = Amplitude(Tanh(scale=2.0))
    >>> y = domain.image(domain.preimage(jnp.array([0.6 + 0.8j])))
    >>> f"{y[0]:.3f}"
    '0.600+0.800j'
    """

    domain: Domain

    def image(self, x: AnyArray) -> jax.Array:
        """Return the image of the real part, with the imaginary part as phase."""
        # y = g(Re x) exp(i Im x), where g is the image of the amplitude's domain.
        free = _check_complex(x, "x")
        amplitude, phase = self.domain.image(free.real), free.imag
        return jax.lax.complex(amplitude * jnp.cos(phase), amplitude * jnp.sin(phase))

    def preimage(self, y: AnyArray) -> jax.Array:
        """Return the preimage of the amplitude, and the phase as imaginary part."""
        given = _check_complex(y, "y")
        return jax.lax.complex(self.domain.preimage(jnp.abs(given)), jnp.angle(given))

    def hold(self, y: AnyArray | DenseMaps | SparseMaps) -> jax.Array | None:
        """Return what the domain of the amplitudes holds of them."""
        array = y.values if isinstance(y, DenseMaps) else y
        return (
            None
            if isinstance(array, SparseMaps)
            else self.domain.hold(jnp.abs(_check_complex(array, "y")))
        )

    def restore(self, y: jax.Array, held: jax.Array, maps: SparseMaps | None) -> jax.Array:
        """Return `y` with the amplitudes restored."""
        part = partial(self.domain.restore, held=held, maps=maps)
        # Restoring is linear in the values.
        return jax.lax.complex(part(y.real), part(y.imag))

    def for_axes(self, count: int) -> "Amplitude":
        """Return the domain with the axis of that of its amplitudes counted from the end."""
        return Amplitude(self.domain.for_axes(count))


def _check_complex(x: AnyArray, name: str) -> jax.Array:
    array = jnp.asarray(x)
    if not jnp.issubdtype(array.dtype, jnp.complexfloating):
        raise ArgumentTypeError(name, f"should be complex for `Amplitude`, got {array.dtype}")
    return array
