"""What a fit is made with, checked."""

import dataclasses
from collections.abc import Callable, Iterable
from typing import TypeAlias

import jax
import numpy as np
from jaxtyping import Bool

from atlasinit.core.atlas import Atlas
from atlasinit.core.selection import Parcel
from atlasinit.errors import Argument, ArgumentError
from atlasinit.refinement.fitting import Effort

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
    """

    effort: Effort
    frozen: Bool[np.ndarray, " parcels"]
    key: jax.Array
    halves: bool
    standardize: bool
    denoise: bool
    max_hops: int | None
    max_mm: float | int | None
    fill: bool
    strays: float | int
    memberships: bool = False
    progress: Progress | None = None


def make_settings(
    atlas: Atlas,
    *,
    key: jax.Array | None,
    neighbours: float | int | None,
    tether: float | int | None,
    halves: bool,
    standardize: bool,
    denoise: bool,
    frozen: Parcel | Iterable[Parcel] | None,
    max_hops: int | None,
    max_mm: float | int | None,
    fill: bool,
    strays: float | int,
    min_size: int,
    sweeps: int,
) -> Settings:
    """Return checked settings of what a user gave.

    Raises
    ------
    ValueError
        Weights, limits or numbers out of their range, or parcels that the atlas does not have.
    """
    for name, weight in (("neighbours", neighbours), ("tether", tether)):
        if weight is not None and halves:
            both = "and " + Argument("halves") + " are both given"
            raise ArgumentError(name, both, "pass one of them")
    if not 0 <= strays <= 1:
        raise ArgumentError("strays", f"should be a share from 0 to 1, got {strays}")
    for name, limit in (("max_hops", max_hops), ("max_mm", max_mm)):
        # `not limit >= 0` refuses NaN, too.
        if limit is not None and not limit >= 0:
            raise ArgumentError(name, f"should be 0 or more, got {limit}")
    still = np.zeros(atlas.n_parcels, bool)
    if frozen is not None:
        chosen = set(atlas.select(frozen).table["name"])
        still = np.array([name in chosen for name in atlas.table["name"]])
    return Settings(
        effort=make_effort(neighbours, tether, min_size=min_size, sweeps=sweeps),
        frozen=still,
        key=jax.random.key(0) if key is None else key,
        halves=halves,
        standardize=standardize,
        denoise=denoise,
        max_hops=max_hops,
        max_mm=max_mm,
        fill=fill,
        strays=strays,
    )


def make_effort(
    neighbours: float | int | None,
    tether: float | int | None,
    *,
    min_size: int = Effort.least,
    sweeps: int = Effort.most,
) -> Effort:
    """Return a checked effort; the weights that are None are those by default.

    Raises
    ------
    ValueError
        Weights or numbers out of their range.
    """
    for name, weight in (("neighbours", neighbours), ("tether", tether)):
        if weight is not None and not (np.isfinite(weight) and weight >= 0):
            raise ArgumentError(name, f"should be 0 or more, got {weight}")
    for name, number in (("min_size", min_size), ("sweeps", sweeps)):
        if number < 1:
            raise ArgumentError(name, f"should be 1 or more, got {number}")
    plain = Effort()
    return Effort(
        plain.neighbours if neighbours is None else float(neighbours),
        plain.tether if tether is None else float(tether),
        # Few sweeps cool for half of them, so that as many are left to settle.
        hot=min(plain.hot, sweeps // 2),
        most=sweeps,
        least=min_size,
    )
