"""What two maps have in common, beside what one has in common with null maps of the other."""

import dataclasses
from collections.abc import Callable
from typing import Any, Literal, TypeAlias

import numpy as np
from jaxtyping import Float64

from atlasinit.errors import ArgumentError

Statistic: TypeAlias = Callable[[np.ndarray, np.ndarray], Any]
Alternative: TypeAlias = Literal["two-sided", "greater", "less"]

_ROUNDING = 1e-12
"""By which statistics that are equal may differ."""


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class NullTest:
    """A statistic of two maps, and of the null maps.

    Parameters
    ----------
    statistic
        Of the maps as they are.
    null
        (n,) of each null map.
    n_extreme
        How many of these are as extreme or more. One that is NaN, as the correlation of a
        constant null map, counts as extreme.
    alternative
        ``"two-sided"`` compares absolute values.
    """

    statistic: float
    null: Float64[np.ndarray, " n"]
    n_extreme: int
    alternative: Alternative

    @property
    def n(self) -> int:
        """Number of null maps."""
        return len(self.null)

    @property
    def p_value(self) -> float:
        r""":math:`(1 + n_{\mathrm{extreme}}) / (1 + n)` (Phipson and Smyth, 2010): never 0."""
        return (1 + self.n_extreme) / (1 + self.n)

    def __repr__(self) -> str:
        return (
            f"NullTest(statistic={self.statistic:.4g}, p_value={self.p_value:.4g}: "
            f"{self.n_extreme} of {self.n} null maps are as extreme, {self.alternative})"
        )


def run_test(
    first: Float64[np.ndarray, " parcels"],
    second: Float64[np.ndarray, " parcels"],
    null: Float64[np.ndarray, "n parcels"],
    *,
    statistic: str | Statistic,
    alternative: Any,
) -> NullTest:
    """Return the statistic of `first` and `second`, and of the null maps of `first` and `second`.

    Raises
    ------
    ValueError
        An unknown statistic or alternative; a statistic of the maps that is NaN.
    """
    if alternative not in ("two-sided", "greater", "less"):
        raise ArgumentError(
            "alternative", f'should be "two-sided", "greater" or "less", got {alternative!r}'
        )
    if not callable(statistic) and statistic not in ("pearson", "spearman"):
        raise ArgumentError(
            "statistic",
            f'should be "pearson", "spearman" or a function of two arrays, got {statistic!r}',
        )
    found = _statistics(np.stack([first]), second, statistic)[0]
    if np.isnan(found):
        raise ArgumentError(
            "statistic",
            "of the maps is NaN",
            "Both should vary over the parcels where both are numbers, of which there are "
            f"{(np.isfinite(first) & np.isfinite(second)).sum()}",
        )
    others = _statistics(null, second, statistic)
    sign = {"greater": 1, "less": -1, "two-sided": np.sign(found) or 1}[alternative]
    sizes = np.abs(others) if alternative == "two-sided" else sign * others
    # Not less, so that NaN counts.
    extreme = ~(sizes < sign * found - _ROUNDING * max(1, abs(found)))
    return NullTest(float(found), others, int(extreme.sum()), alternative)


def _statistics(
    maps: Float64[np.ndarray, "n parcels"],
    other: Float64[np.ndarray, " parcels"],
    statistic: str | Statistic,
) -> Float64[np.ndarray, " n"]:
    """Return a statistic of each map and `other`, over the parcels where both are numbers."""
    both = np.isfinite(maps) & np.isfinite(other)
    if callable(statistic):
        pairs = zip(maps, both, strict=True)
        return np.array([float(statistic(one[b], other[b])) for one, b in pairs])
    x, y = np.where(both, maps, np.nan), np.where(both, other, np.nan)
    if statistic == "spearman":
        from scipy.stats import rankdata

        x, y = (rankdata(a, axis=1, nan_policy="omit") for a in (x, y))
    counts = np.maximum(both.sum(axis=1, keepdims=True), 1)
    centred = [np.where(both, a - np.nansum(a, axis=1, keepdims=True) / counts, 0) for a in (x, y)]
    x, y = centred
    norms = np.sqrt((x**2).sum(axis=1) * (y**2).sum(axis=1))
    # Rounding leaves constant maps a variance of some 1e-32 of their squares.
    scale = np.sqrt(
        (np.where(both, maps, 0) ** 2).sum(axis=1) * (np.where(both, other, 0) ** 2).sum(axis=1)
    )
    flat = norms <= (0 if statistic == "spearman" else 1e-13) * scale
    return np.where(flat, np.nan, (x * y).sum(axis=1)) / np.where(flat, 1, norms)
