"""Several filters at once."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Complex128

from atlasinit.domains import Domain
from atlasinit.errors import ArgumentError
from atlasinit.initializers.filters import FrequencyFilter
from atlasinit.initializers.protocol import check_inexact, place


@dataclasses.dataclass(frozen=True)
class FilterBank:
    """The responses of several filters, one a row, each with clamps of its own.

    As initialiser, `shape` is ``(..., filters, bins)``. hypercoil's counterparts are
    ``freqfilter_init`` and ``clamp_init``.

    Parameters
    ----------
    filters
        The filters, at least one.
    domain
        Domain to which `initialize` constrains the weights; those of the filters do not count.

    Raises
    ------
    ValueError
        No filters; from the initialiser, a shape with another number of filters, and what they
        raise.

    Examples
    --------
    >>> import jax
    >>> low = FrequencyFilter("ideal", 0.3, clamps={0.0: 0.0})
    >>> high = FrequencyFilter("ideal", 0.3, band="highpass")
    >>> FilterBank([low, high])(jax.random.key(0), (2, 5), "float32").tolist()
    [[0.0, 1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 1.0, 1.0, 1.0]]
    """

    filters: Sequence[FrequencyFilter]
    domain: Domain | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "filters", tuple(self.filters))
        if not self.filters:
            raise ArgumentError("filters", "should be at least one, got none")

    def __call__(
        self, key: Any, shape: Any, dtype: Any = None, out_sharding: Any = None
    ) -> jax.Array:
        """Return the responses, ``(..., filters, bins)``."""
        wanted = check_inexact(dtype, complex)
        if len(shape) < 2 or shape[-2] != len(self.filters):
            raise ArgumentError(
                "shape", f"should be (..., {len(self.filters)}, bins), got {tuple(shape)}"
            )
        one = (*shape[:-2], shape[-1])
        # A key for each, so that random responses differ.
        rows = [
            each(jax.random.fold_in(key, number), one, wanted)
            for number, each in enumerate(self.filters)
        ]
        return place(jnp.stack(rows, -2), out_sharding)

    def response(self, bins: int) -> Complex128[np.ndarray, "filters bins"]:
        """Return the complex responses at `bins` frequencies, unclamped."""
        return np.stack([each.response(bins) for each in self.filters])

    def clamped(
        self, bins: int
    ) -> tuple[Bool[np.ndarray, "filters bins"], Complex128[np.ndarray, "filters bins"]]:
        """Return which bins of each filter are clamped, and their values (0 elsewhere)."""
        masks, values = zip(*(each.clamped(bins) for each in self.filters), strict=True)
        return np.stack(masks), np.stack(values)
