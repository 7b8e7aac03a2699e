"""Every reduction: what becomes of a parcel's locations. All else reads the fields here.

A new reduction is an entry of `REDUCTIONS`, here or by `register_reduction`.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

import numpy as np
from jaxtyping import Array, Bool, Float

from atlasinit.errors import ArgumentError, ArgumentTypeError
from atlasinit.projection import averages, labelled
from atlasinit.projection.host import statistics
from atlasinit.projection.kernels.base import Values

OverTime: TypeAlias = Callable[
    [Values, Bool[Array, "#batch parcels #time"]],
    tuple[Values, Bool[Array, "batch parcels time"]],
]


@dataclass(frozen=True)
class Reduction:
    """What a projection computes of the values and weights of each parcel.

    Either it is linear, W x and what is made of it, or `host` and perhaps `xla` compute it of
    each parcel's locations.

    Parameters
    ----------
    name
        What users call it.
    weights
        What W x is divided by, for linear ones: the sum of a parcel's weights ("signed"),
        of their absolute values ("absolute"), or nothing (None).
    solve
        Whether the linear system of overlapping parcels is solved: (W W')^-1 W x.
    over_time
        For linear ones, what becomes of the means (batch, parcels, time) and of where they are
        defined, in JAX: whole series are needed for it. None for nothing.
    standardize
        What ``nilearn.signal.clean`` calls it, of those over time.
    needs_labels
        Whether it is of hard maps alone.
    of_labels
        Whether the data may be labels, numbers that name something.
    host
        Function ``(values, weights, seen)`` in NumPy that returns (time,) of one parcel:
        values (members, time), weights (members,), and which values are not missing
        (members, time), None for all.
    xla
        The same in JAX, jitted, of hard maps alone: as those of
        ``projection/labelled.py``. Without it the reduction is of concrete data only.
    """

    name: str
    weights: Literal["signed", "absolute"] | None = None
    solve: bool = False
    over_time: OverTime | None = None
    standardize: str | None = None
    needs_labels: bool = False
    of_labels: bool = False
    host: statistics.Statistic | None = None
    xla: Callable[..., Values] | None = None

    @property
    def linear(self) -> bool:
        """Whether it is made of W x."""
        return self.host is None

    @property
    def of_sums(self) -> bool:
        """Whether it is W x, or that divided by sums of weights."""
        return self.linear and not self.solve and self.over_time is None

    @property
    def kernel(self) -> str | None:
        """The only kernel that `xla` takes, None for any."""
        return None if self.linear else "scatter"

    @property
    def on_host_only(self) -> bool:
        """Whether it cannot be part of a jitted function."""
        return self.host is not None and self.xla is None


@dataclass(frozen=True)
class PerParcel:
    """A user's function of the values (members, time) and weights (members,) of one parcel."""

    function: Callable[[np.ndarray, np.ndarray], Any]

    def __call__(
        self,
        values: Float[np.ndarray, "members time"],
        weights: Float[np.ndarray, " members"],
        seen: Bool[np.ndarray, "members time"] | None,
    ) -> Float[np.ndarray, " time"]:
        """Return its values; those that are missing, and their weights, are left out."""
        if seen is None or seen.all():
            return self._call(values, weights)
        out = np.zeros(values.shape[1], values.dtype)
        # Times that miss the same locations are one call.
        patterns, which = np.unique(seen, axis=1, return_inverse=True)
        for i, kept in enumerate(patterns.T):
            # (time,): NumPy 2.0.0 returns more axes (see the notes of `numpy.unique`).
            times = which.reshape(-1) == i
            if kept.any():
                out[times] = self._call(values[kept][:, times], weights[kept])
        return out

    def _call(self, values: np.ndarray, weights: np.ndarray) -> np.ndarray:
        out = np.asarray(self.function(values, weights))
        if out.shape != values.shape[1:]:
            raise ArgumentError(
                "reduction",
                "should be a function of the values (members, time) and the weights (members,) "
                f"of a parcel that returns (time,), {values.shape[1:]} of {values.shape}",
                f"it returned {out.shape}. Reduce the first axis, as by `np.ptp(values, axis=0)`",
            )
        return out


@dataclass(frozen=True)
class _StandardScores:
    """Standard scores over time; equal ones are one function to the compiler."""

    ddof: int

    def __call__(
        self, means: Values, defined: Bool[Array, "#batch parcels #time"]
    ) -> tuple[Values, Bool[Array, "batch parcels time"]]:
        """Return the scores, and where they are defined."""
        return averages.standardize_series(means, defined, ddof=self.ddof)


def _by_label(name: str, host: statistics.Statistic, xla: Callable[..., Values]) -> Reduction:
    return Reduction(name, needs_labels=True, host=host, xla=xla)


_BUILT_IN = (
    Reduction("sum"),
    Reduction("mean", weights="signed"),
    Reduction("absmean", weights="absolute"),
    Reduction(
        "zscore",
        weights="absolute",
        over_time=_StandardScores(ddof=1),
        standardize="zscore_sample",
    ),
    Reduction("psc", weights="absolute", over_time=averages.change_of_series, standardize="psc"),
    Reduction("lstsq", solve=True),
    _by_label("median", statistics.median, labelled.median),
    _by_label("min", statistics.smallest, labelled.smallest),
    _by_label("max", statistics.largest, labelled.largest),
    _by_label("std", statistics.deviation, labelled.deviation),
    _by_label("var", statistics.variance, labelled.variance),
    replace(_by_label("mode", statistics.mode, labelled.mode), of_labels=True),
)
REDUCTIONS: dict[str, Reduction] = {one.name: one for one in _BUILT_IN}
"""All reductions by name."""


def zscore(*, ddof: int = 1) -> Reduction:
    """Return the reduction ``"zscore"`` with other degrees of freedom.

    Parameters
    ----------
    ddof
        1, as of ``"zscore"``, divides the squares by time - 1, nilearn's ``"zscore_sample"``;
        0 by time, nilearn's ``"zscore"`` and hypercoil's.

    Raises
    ------
    ValueError
        Another number.

    Examples
    --------
    >>> import numpy as np, atlasinit as ai
    >>> maps = ai.HardMaps(np.array([0], np.int32), 1)
    >>> ai.project(maps, np.array([[1.0, 3.0]], np.float32), reduction=zscore(ddof=0)).tolist()
    [[-1.0, 1.0]]
    """
    if ddof not in (0, 1):
        raise ArgumentError("ddof", f"should be 0 or 1, got {ddof!r}")
    if ddof == 1:
        return REDUCTIONS["zscore"]
    return replace(REDUCTIONS["zscore"], over_time=_StandardScores(ddof=0), standardize="zscore")


def register_reduction(name: str, reduction: Any) -> Reduction:
    """Give a reduction of your own a name, for all that take the name of a reduction.

    Parameters
    ----------
    name
        The name; those that exist stay what they are.
    reduction
        A function ``(values, weights)`` in NumPy that returns (time,) of one parcel: the values
        (members, time) at the locations where it has a weight other than 0, and these weights
        (members,), which are 1 for hard maps. It is called once a parcel, with a chunk of time,
        and should treat each time point by itself. With ``missing="omit"`` it gets only what
        is there. Or a `Reduction`.

    Returns
    -------
    Reduction
        What was registered.

    Raises
    ------
    ValueError
        A name that is taken.
    TypeError
        A reduction that is neither.

    Notes
    -----
    Functions run on the host, on concrete data: not inside of ``jit`` or in an
    `AtlasLinear`, unless a `Reduction` has an `xla`.

    Examples
    --------
    >>> import numpy as np, atlasinit as ai
    >>> made = register_reduction("range", lambda values, weights: np.ptp(values, axis=0))
    >>> maps = ai.HardMaps(np.array([0, 0, 1], np.int32), 2)
    >>> ai.project(maps, np.array([[1.0], [5.0], [2.0]], np.float32), reduction="range").tolist()
    [[4.0], [0.0]]
    >>> del REDUCTIONS["range"]
    """
    if name in REDUCTIONS:
        raise ArgumentError(
            "name", f": there is a reduction {name!r} already", "choose another name"
        )
    found = find_reduction(reduction) if not isinstance(reduction, str) else None
    if found is None:
        raise ArgumentTypeError(
            "reduction", f"should be a function or a Reduction, got {reduction!r}"
        )
    REDUCTIONS[name] = found
    return found


def find_reduction(reduction: Any) -> Reduction:
    """Return the reduction of a name, or of a user's function; a `Reduction` as it is."""
    if isinstance(reduction, Reduction):
        return reduction
    if isinstance(reduction, str) and reduction in REDUCTIONS:
        return REDUCTIONS[reduction]
    if callable(reduction):
        name = getattr(reduction, "__name__", "function")
        return Reduction(name, of_labels=True, host=PerParcel(reduction))
    raise ArgumentError(
        "reduction",
        f"should be one of {', '.join(REDUCTIONS)}, or a function of the values and weights of "
        f"a parcel, got {reduction!r}",
    )
