"""Classic designs of recursive filters, as second-order sections."""

from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float64

from atlasinit.domains.base import check_choice
from atlasinit.errors import ArgumentError

RECURSIVE = ("butterworth", "chebyshev1", "chebyshev2", "elliptic", "bessel")
_BANDS = ("lowpass", "highpass", "bandpass", "bandstop")


@runtime_checkable
class Design(Protocol):
    """What a filter is designed from; `RecursiveFilter` and `FrequencyFilter` explain it."""

    @property
    def kind(self) -> str:
        """Name of the design."""
        ...

    @property
    def cutoff(self) -> Any:
        """One or two frequencies."""
        ...

    @property
    def band(self) -> str:
        """What passes."""
        ...

    @property
    def order(self) -> int:
        """Order."""
        ...

    @property
    def ripple(self) -> Any:
        """Loss in the pass band, dB."""
        ...

    @property
    def attenuation(self) -> Any:
        """Loss in the stop band, dB."""
        ...

    @property
    def bessel_norm(self) -> str:
        """Norm of a Bessel filter."""
        ...

    @property
    def sampling_rate(self) -> Any:
        """Samples per unit of time, or None."""
        ...


def check_design(design: Design, kinds: tuple[str, ...]) -> None:
    """Raise if an option but the cut-off is unknown or out of range."""
    check_choice(design.kind, kinds, "kind")
    check_choice(design.band, _BANDS, "band")
    check_choice(design.bessel_norm, ("phase", "delay", "mag"), "bessel_norm")
    for name in ("order", "ripple", "attenuation"):
        if not getattr(design, name) > 0:
            raise ArgumentError(name, f"should be positive, got {getattr(design, name)}")
    if design.sampling_rate is not None and not design.sampling_rate > 0:
        raise ArgumentError("sampling_rate", f"should be positive, got {design.sampling_rate}")


def check_cutoff(design: Design) -> tuple[float, ...]:
    """Return the cut-offs, one or two of them as the band wants."""
    if design.cutoff is None:
        raise ArgumentError("cutoff", f"should be given for a {design.kind!r} filter")
    edges = np.atleast_1d(np.asarray(design.cutoff, dtype=np.float64))
    wanted = 2 if design.band in ("bandpass", "bandstop") else 1
    inside = (edges > 0) & (edges < find_nyquist(design))
    if edges.shape != (wanted,) or not inside.all() or (np.diff(edges) <= 0).any():
        raise ArgumentError(
            "cutoff",
            f"of a {design.band} filter should be {wanted} rising frequencies between 0 "
            f"and {find_nyquist(design)}, got {design.cutoff}",
        )
    return tuple(edges.tolist())


def find_nyquist(design: Design) -> float:
    """Return the Nyquist frequency in the unit of the cut-offs."""
    return 1.0 if design.sampling_rate is None else design.sampling_rate / 2


def normalize_cutoff(design: Design) -> Float64[np.ndarray, " edges"]:
    """Return the cut-offs as shares of the Nyquist frequency."""
    return np.atleast_1d(np.asarray(design.cutoff, dtype=np.float64)) / find_nyquist(design)


def design_sections(design: Design) -> Float64[np.ndarray, "sections 6"]:
    """Return the second-order sections of a recursive filter."""
    from scipy import signal

    edges = normalize_cutoff(design)
    limits = edges if edges.size == 2 else edges[0]
    # Second-order sections: coefficients of one polynomial lose digits at high orders.
    options: Any = {"btype": design.band, "output": "sos"}
    order, ripple, attenuation = design.order, design.ripple, design.attenuation
    sections: Any
    if design.kind == "butterworth":
        sections = signal.butter(order, limits, **options)
    elif design.kind == "chebyshev1":
        sections = signal.cheby1(order, ripple, limits, **options)
    elif design.kind == "chebyshev2":
        sections = signal.cheby2(order, attenuation, limits, **options)
    elif design.kind == "elliptic":
        sections = signal.ellip(order, ripple, attenuation, limits, **options)
    else:
        sections = signal.bessel(order, limits, norm=design.bessel_norm, **options)
    return sections
