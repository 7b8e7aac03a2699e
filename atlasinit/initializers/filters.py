"""Frequency responses of classic filters, to begin the weights of spectral filters from."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Complex128

from atlasinit.domains import Domain
from atlasinit.errors import ArgumentError
from atlasinit.initializers.designs import (
    RECURSIVE,
    check_cutoff,
    check_design,
    design_sections,
    find_nyquist,
    normalize_cutoff,
)
from atlasinit.initializers.protocol import check_inexact, place


@dataclasses.dataclass(frozen=True)
class FrequencyFilter:
    """The response of a filter at evenly spaced frequencies from 0 to the Nyquist frequency.

    As initialiser, `shape` is ``(..., bins)`` and leading axes repeat the response. A
    complex dtype gets the response, a real one its magnitude. Multiplying a spectrum with the
    response of a recursive filter is circular convolution with its impulse response;
    it equals the recursive filter only up to wrap-around. The ideal filter is exact.

    Parameters
    ----------
    kind
        ``"ideal"``, ``"butterworth"``, ``"chebyshev1"``, ``"chebyshev2"``, ``"elliptic"``,
        ``"bessel"`` (designed by scipy.signal), or ``"random"``: normal amplitude and phase.
    cutoff
        Cut-off frequency, or the pair of them for ``"bandpass"`` and ``"bandstop"``: as a
        fraction of the Nyquist frequency, or in the unit of `sampling_rate` if that is given.
        The ideal filter passes its cut-offs.
    band
        ``"lowpass"``, ``"highpass"``, ``"bandpass"`` or ``"bandstop"``.
    order
        Order of a recursive filter.
    ripple
        Largest loss in the pass band, dB (Chebyshev I, elliptic).
    attenuation
        Smallest loss in the stop band, dB (Chebyshev II, elliptic).
    bessel_norm
        ``"phase"``, ``"delay"`` or ``"mag"``, see `scipy.signal.bessel`.
    amplitude, phase
        Mean and standard deviation of the random amplitude, and of the phase in radians.
    sampling_rate
        Samples per unit of time.
    clamps
        Frequency to response: the bins nearest to these frequencies are set to the values,
        such as ``{0.0: 0.0}`` to remove the mean. They are taken as they are, sign and
        all, also for a real dtype. See `clamped`.
    domain
        Domain to which `initialize` constrains the weights, such as ``Amplitude(Tanh())``.

    Raises
    ------
    ValueError
        An unknown option, cut-offs that are missing, out of range or the wrong way round, an
        order, ripple or attenuation that is not positive; from the initialiser, fewer than
        two bins, two clamps in one bin, or complex clamps for a real dtype.

    Examples
    --------
    >>> import jax
    >>> band = FrequencyFilter("ideal", (0.01, 0.1), band="bandpass", sampling_rate=0.5)
    >>> print(band(jax.random.key(0), (6,), jax.numpy.float32))
    [0. 1. 1. 0. 0. 0.]
    """

    kind: str = "ideal"
    cutoff: Any = None
    band: str = "lowpass"
    order: int = 1
    ripple: Any = 0.1
    attenuation: Any = 20.0
    bessel_norm: str = "phase"
    amplitude: tuple[Any, Any] = (0.5, 0.1)
    phase: tuple[Any, Any] = (0.0, 0.02)
    sampling_rate: Any = None
    clamps: Any = ()
    domain: Domain | None = None

    def __post_init__(self) -> None:
        pairs = self.clamps.items() if isinstance(self.clamps, Mapping) else self.clamps
        object.__setattr__(self, "clamps", tuple((float(f), complex(v)) for f, v in pairs))
        check_design(self, ("ideal", *RECURSIVE, "random"))
        if not self.amplitude[1] >= 0 or not self.phase[1] >= 0:
            raise ArgumentError(
                "amplitude", "and `phase` should be (mean, standard deviation >= 0)"
            )
        if self.kind != "random":
            object.__setattr__(self, "cutoff", check_cutoff(self))
        nyquist = find_nyquist(self)
        if any(not 0 <= f <= nyquist for f, _ in self.clamps):
            raise ArgumentError("clamps", f"should lie in [0, {nyquist}], got {self.clamps}")

    def __call__(
        self, key: Any, shape: Any, dtype: Any = None, out_sharding: Any = None
    ) -> jax.Array:
        """Return the response, ``(..., bins)``."""
        wanted = check_inexact(dtype, complex)
        if not shape or shape[-1] < 2:
            raise ArgumentError("shape", f"should end with two or more bins, got {tuple(shape)}")
        # The response is complex in any case; of real weights its magnitude is taken at the end.
        narrow = jnp.complex128 if jnp.finfo(wanted).bits == 64 else jnp.complex64
        if self.kind == "random":
            response = self._random_response(key, tuple(shape), jnp.finfo(narrow).dtype)
        else:
            response = jnp.broadcast_to(jnp.asarray(self.response(shape[-1]), narrow), shape)
        mask, held = self.clamped(shape[-1])
        if jnp.issubdtype(wanted, jnp.floating):
            if np.imag(held).any():
                raise ArgumentError(
                    "clamps", f"of {wanted} weights should be real, got {self.clamps}"
                )
            response, held = jnp.abs(response), np.real(held)
        values = jnp.broadcast_to(jnp.asarray(held, wanted), shape)
        clamped = jnp.where(jnp.broadcast_to(mask, shape), values, response.astype(wanted))
        return place(clamped, out_sharding)

    def response(self, bins: int) -> Complex128[np.ndarray, " bins"]:
        """Return the complex response at `bins` frequencies, unclamped."""
        if self.kind == "random":
            raise ArgumentError(
                "response", 'of a "random" filter depends on a key', "call the filter"
            )
        if self.kind == "ideal":
            edges = normalize_cutoff(self)
            return self._ideal_response(np.linspace(0, 1, bins), edges).astype(np.complex128)
        from scipy import signal

        # In radians per sample the Nyquist frequency is pi; `linspace` holds both of its ends.
        found = signal.sosfreqz(design_sections(self), np.linspace(0, np.pi, bins))[1]
        return np.asarray(found, np.complex128)

    def clamped(
        self, bins: int
    ) -> tuple[Bool[np.ndarray, " bins"], Complex128[np.ndarray, " bins"]]:
        """Return which bins are clamped, and their values (0 elsewhere).

        To keep them during training, select between these and the trained weights.
        """
        mask, values = np.zeros(bins, bool), np.zeros(bins, np.complex128)
        for frequency, value in self.clamps:
            # Bin i of n lies at i / (n - 1) of the Nyquist frequency.
            index = round(frequency / find_nyquist(self) * (bins - 1))
            if mask[index]:
                raise ArgumentError(
                    "clamps",
                    f"should lie in different bins, but of {bins} bins number {index} is "
                    f"nearest to two, {frequency} among them",
                    "take more bins or fewer clamps",
                )
            mask[index], values[index] = True, value
        return mask, values

    def _ideal_response(self, at: np.ndarray, edges: np.ndarray) -> np.ndarray:
        # `at` are shares of the Nyquist frequency. Those that equal a cut-off but for rounding
        # count as equal, and both cut-offs belong to the pass band of either kind.
        below, above = at <= edges[-1] + 1e-12, at >= edges[0] - 1e-12
        if self.band == "lowpass":
            return below
        if self.band == "highpass":
            return above
        if self.band == "bandpass":
            return below & above
        return (at <= edges[0] + 1e-12) | (at >= edges[1] - 1e-12)

    def _random_response(self, key: Any, shape: tuple[int, ...], dtype: Any) -> jax.Array:
        # a exp(i p), with a and p normal.
        draws = jax.random.normal(key, (2, *shape), dtype)
        size = self.amplitude[0] + self.amplitude[1] * draws[0]
        angle = self.phase[0] + self.phase[1] * draws[1]
        return jax.lax.complex(size * jnp.cos(angle), size * jnp.sin(angle))
