"""Checks of the options and the data of a projection, all before anything is traced."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from atlasinit.core.maps import HardMaps, Maps
from atlasinit.errors import ArgumentError, ArgumentTypeError, Call, Passing
from atlasinit.projection.reductions import Reduction
from atlasinit.support.threads import to_native_order
from atlasinit.support.typing import AnyArray


def nan_error() -> ArgumentError:
    """Return the error of data that holds NaN."""
    return ArgumentError(
        "data",
        "holds NaN",
        "pass "
        + Passing(missing="omit")
        + " to leave out what is missing, or "
        + Passing(missing="propagate"),
    )


def check_options(
    maps: Sequence[Maps],
    *,
    reduction: Reduction,
    missing: str,
    min_coverage: float,
    ridge: float = 0.0,
) -> None:
    """Raise for options that are unknown or do not go together."""
    if missing not in ("propagate", "omit", "error"):
        raise ArgumentError("missing", f'should be "propagate", "omit" or "error", got {missing!r}')
    if reduction.needs_labels and not all(isinstance(m, HardMaps) for m in maps):
        raise ArgumentError(
            "reduction",
            f"{reduction.name!r} is for hard maps, got {', '.join(type(m).__name__ for m in maps)}",
            "use " + Call("atlas.harden") + " first",
        )
    if reduction.solve and missing == "omit":
        raise ArgumentError(
            "missing",
            '"omit" does not go with '
            + Passing(reduction=reduction.name)
            + ", whose factorisation is of all locations",
            "fill the data, or take the locations out of the atlas",
        )
    if not 0 <= min_coverage <= 1:
        raise ArgumentError("min_coverage", f"should lie in [0, 1], got {min_coverage}")
    if min_coverage and missing != "omit":
        raise ArgumentError("min_coverage", "needs " + Passing(missing="omit"))
    check_ridge(ridge, needs=None if reduction.solve else Passing(reduction="lstsq"))


def check_ridge(ridge: float, *, needs: Passing | None) -> None:
    """Raise for a ridge that is none, or for any that lacks what it needs."""
    if not (np.isfinite(ridge) and ridge >= 0):
        raise ArgumentError("ridge", f"should be 0 or more, got {ridge}")
    if ridge and needs is not None:
        raise ArgumentError("ridge", "needs " + needs)


def check_data(data: Any, compartments: Mapping[str, int]) -> AnyArray:
    """Return data of all compartments as one floating array whose locations fit."""
    if isinstance(data, Mapping):
        if set(data) != set(compartments):
            raise ArgumentError(
                "data", f"should have the compartments {list(compartments)}, got {list(data)}"
            )
        parts = [
            check_size(data[c], n, f"data[{c!r}]", "locations") for c, n in compartments.items()
        ]
        if len({(p.ndim, p.shape[:-2], p.shape[-1:] if p.ndim > 1 else ()) for p in parts}) > 1:
            raise ArgumentError(
                "data",
                f"should have one shape but for the locations, got {[p.shape for p in parts]}",
            )
        if len(parts) == 1:
            return parts[0]
        return jnp.concatenate(parts, axis=-1 if parts[0].ndim == 1 else -2)
    return check_size(data, sum(compartments.values()), "data", "locations")


def check_size(data: Any, size: int, name: str, axis: str) -> AnyArray:
    """Return `data` if its shape is (..., size, time) or (size,) and its dtype floating."""
    if not isinstance(data, jax.Array | np.ndarray):
        raise ArgumentTypeError(
            name,
            f"should be a NumPy or JAX array, got {type(data).__name__}",
            "make one of numbers by `np.asarray`, of images and files by `AtlasMasker` or "
            "`atlasinit.io.open_data`",
        )
    if isinstance(data, np.ma.MaskedArray):
        raise ArgumentTypeError(
            name,
            "should be a plain array, got a masked one",
            "mark what is missing by NaN, with `data.filled(np.nan)`",
        )
    data = to_native_order(data)
    # More than 64 bits are NumPy's `longdouble`, which JAX does not have.
    if not jnp.issubdtype(data.dtype, jnp.floating) or data.dtype.itemsize > 8:
        raise ArgumentTypeError(
            name,
            f"should be real floating-point of at most 64 bits, got {data.dtype}",
            f"convert it, for instance with `{name}.astype(np.float32)`",
        )
    found = data.shape[0] if data.ndim == 1 else data.shape[-2] if data.ndim else None
    if found == size:
        return data
    hint = ""
    if data.ndim > 1 and data.shape[-1] == size:
        hint = f"Time seems to come first: the {axis} should, as in `{name}.swapaxes(-1, -2)`."
    raise ArgumentError(
        name, f"should have shape (..., {size} {axis}, time) or ({size},), got {data.shape}", hint
    )


def refuse_nan(data: AnyArray) -> None:
    """Raise where concrete data holds NaN."""
    if (np if isinstance(data, np.ndarray) else jnp).isnan(data).any():
        raise nan_error()
