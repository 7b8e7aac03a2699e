"""What a fit is made with, checked."""

import dataclasses
from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

import jax
import numpy as np
from jaxtyping import Bool

from atlasinit.core.atlas import Atlas
from atlasinit.core.selection import Parcel, select_rows
from atlasinit.errors import Argument, ArgumentError, ArgumentTypeError
from atlasinit.refinement.fitting import Effort
from atlasinit.support.keys import check_key
from atlasinit.support.numbers import check_number, check_switch, check_whole_number

Progress: TypeAlias = Callable[[str, int, int], None]
"""Called with a compartment, a number of steps and the most."""


@dataclasses.dataclass(frozen=True)
class Settings:
    """What a fit of any compartment is made with; `refine` describes the fields.

    Parameters
    ----------
    effort
        Weights, sweeps and the least size.
    frozen
        Which parcels keep their locations; of all compartments, or of one.
    seed
        The numbers of the key.
    """

    effort: Effort
    frozen: Bool[np.ndarray, " parcels"]
    seed: tuple[int, ...]
    halves: bool
    standardize: bool
    denoise: bool
    max_hops: int | None
    max_mm: float | None
    fill: bool
    strays: float
    min_coverage: float
    memberships: bool = False
    progress: Progress | None = None


def make_settings(
    atlas: Atlas,
    *,
    key: Any,
    neighbours: Any,
    tether: Any,
    halves: Any,
    standardize: Any,
    denoise: Any,
    frozen: Parcel | Iterable[Parcel] | None,
    max_hops: Any,
    max_mm: Any,
    fill: Any,
    strays: Any,
    min_coverage: Any,
    min_size: Any,
    sweeps: Any,
    memberships: Any = False,
    progress: Any = None,
) -> Settings:
    """Return checked settings of what a user gave.

    Raises
    ------
    ValueError
        Weights, limits or numbers out of their range, or parcels that the atlas does not have.
    TypeError
        What is no number, no switch or no key.
    """
    switches = {
        "halves": halves,
        "standardize": standardize,
        "denoise": denoise,
        "fill": fill,
        "memberships": memberships,
    }
    for name, switch in switches.items():
        check_switch(switch, name)
    check_progress(progress)
    for name, weight in (("neighbours", neighbours), ("tether", tether)):
        if weight is not None and halves:
            both = "and " + Argument("halves") + " are both given"
            raise ArgumentError(name, both, "pass one of them")
    if max_hops is not None:
        max_hops = check_whole_number(max_hops, "max_hops", least=0)
    if max_mm is not None:
        max_mm = check_number(max_mm, "max_mm", least=0)
    still = np.zeros(atlas.n_parcels, bool)
    still[_find_parcels(atlas, frozen)] = True
    return Settings(
        effort=make_effort(neighbours, tether, min_size=min_size, sweeps=sweeps),
        frozen=still,
        seed=make_seed(key),
        max_hops=max_hops,
        max_mm=max_mm,
        strays=check_number(strays, "strays", least=0, most=1),
        min_coverage=check_number(min_coverage, "min_coverage", least=0, most=1),
        progress=progress,
        **switches,
    )


def _find_parcels(atlas: Atlas, frozen: Parcel | Iterable[Parcel] | None) -> list[int]:
    try:
        chosen = select_rows(
            atlas.table,
            atlas.compartments,
            atlas=atlas.name,
            parcels=[] if frozen is None else frozen,
            hemisphere=None,
            network=None,
        )
    except (ArgumentError, ArgumentTypeError) as error:
        raise error.of("frozen") from None
    return sorted(chosen)


def make_seed(key: Any) -> tuple[int, ...]:
    """Return the numbers of a checked key; None is ``jax.random.key(0)``."""
    found = jax.random.key(0) if key is None else check_key(key)
    return tuple(np.asarray(jax.random.key_data(found)).tolist())


def check_progress(progress: Any) -> None:
    """Raise where `progress` is neither None nor a function."""
    if progress is not None and not callable(progress):
        raise ArgumentTypeError(
            "progress", f"should be a function or None, got {progress!r}", "pass `print` to see it"
        )


def make_effort(
    neighbours: Any,
    tether: Any,
    *,
    min_size: Any = Effort.least,
    sweeps: Any = Effort.most,
) -> Effort:
    """Return a checked effort; the weights that are None are those by default.

    Raises
    ------
    ValueError
        Weights or numbers out of their range.
    TypeError
        What is no number.
    """
    plain = Effort()
    most = check_whole_number(sweeps, "sweeps", least=1)
    return Effort(
        plain.neighbours if neighbours is None else check_number(neighbours, "neighbours", least=0),
        plain.tether if tether is None else check_number(tether, "tether", least=0),
        # Few sweeps cool for half of them, so that as many are left to settle.
        hot=min(plain.hot, most // 2),
        most=most,
        least=check_whole_number(min_size, "min_size", least=1),
    )
