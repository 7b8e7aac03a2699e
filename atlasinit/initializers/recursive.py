"""Coefficients of recursive filters, to begin the weights of such filters from."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float64

from atlasinit.domains import Domain
from atlasinit.errors import ArgumentError
from atlasinit.initializers.designs import RECURSIVE, check_cutoff, check_design, design_sections
from atlasinit.initializers.protocol import check_real, place


@dataclasses.dataclass(frozen=True)
class RecursiveFilter:
    """The coefficients of a recursive (IIR) filter of a classic design.

    As initialiser, `shape` is ``(..., sections, 6)``, second-order sections as SciPy has them:
    of each b0, b1, b2, a0 = 1, a1, a2. Leading axes repeat them. hypercoil's counterpart is
    ``IIRFilterSpec``, whose ``"kuznetsov"`` is marked there as not correct and is not here.

    Parameters
    ----------
    kind
        ``"butterworth"``, ``"chebyshev1"``, ``"chebyshev2"``, ``"elliptic"`` or ``"bessel"``.
    cutoff, band, order, ripple, attenuation, bessel_norm, sampling_rate
        As of `FrequencyFilter`.
    domain
        Domain to which `initialize` constrains the weights.

    Raises
    ------
    ValueError
        An unknown option, cut-offs that are missing, out of range or the wrong way round, an
        order, ripple or attenuation that is not positive; from the initialiser, a shape that
        does not end with that of the sections.

    Examples
    --------
    >>> import jax
    >>> slow = RecursiveFilter("butterworth", (0.01, 0.1), band="bandpass", sampling_rate=0.5)
    >>> slow(jax.random.key(0), slow.sections().shape).shape
    (1, 6)
    """

    kind: str
    cutoff: Any
    band: str = "lowpass"
    order: int = 1
    ripple: Any = 0.1
    attenuation: Any = 20.0
    bessel_norm: str = "phase"
    sampling_rate: Any = None
    domain: Domain | None = None

    def __post_init__(self) -> None:
        check_design(self, RECURSIVE)
        object.__setattr__(self, "cutoff", check_cutoff(self))

    def sections(self) -> Float64[np.ndarray, "sections 6"]:
        """Return second-order sections, which `scipy.signal.sosfilt` takes."""
        return design_sections(self)

    def coefficients(
        self,
    ) -> tuple[Float64[np.ndarray, " numerator"], Float64[np.ndarray, " denominator"]]:
        """Return the polynomials b and a of `scipy.signal.lfilter`; high orders lose digits."""
        from scipy import signal

        numerator, denominator = signal.sos2tf(self.sections())
        # A section of order 1, of odd orders, pads both with a 0.
        length = max(np.flatnonzero(numerator)[-1], np.flatnonzero(denominator)[-1]) + 1
        return numerator[:length], denominator[:length]

    def __call__(
        self, key: Any, shape: Any = None, dtype: Any = None, out_sharding: Any = None
    ) -> jax.Array:
        """Return the sections, ``(..., sections, 6)``."""
        del key
        wanted, sections = check_real(dtype), self.sections()
        shape = sections.shape if shape is None else tuple(shape)
        if shape[-2:] != sections.shape:
            raise ArgumentError(
                "shape", f"should end with the sections' {sections.shape}, got {shape}"
            )
        return place(jnp.broadcast_to(jnp.asarray(sections, wanted), shape), out_sharding)
