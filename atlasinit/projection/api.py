"""Parcel values of data, and data of parcel values: what is public."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float

from atlasinit.core.maps import HardMaps
from atlasinit.projection import reductions
from atlasinit.projection.checks import check_data, check_options, check_ridge, refuse_nan, sized
from atlasinit.projection.choosing import kernel_of, on_host
from atlasinit.projection.host import products as host
from atlasinit.projection.host.statistics import by_label
from atlasinit.projection.remembered import (
    maps_of,
    members_for,
    parts_for,
    sizes_of,
    solver_for,
    stack_for,
    totals_for,
)
from atlasinit.projection.stack import Stack
from atlasinit.projection.xla import (
    Scalar,
    batched,
    covered,
    finished,
    painted,
    reduced,
    share,
    solved,
)
from atlasinit.support.precision import accumulated
from atlasinit.support.typing import AnyArray


def project(
    atlas: Any,
    data: Any,
    *,
    reduction: str = "mean",
    missing: str = "propagate",
    min_coverage: float = 0.0,
    empty: float = float("nan"),
    ridge: float = 0.0,
    kernel: str = "auto",
) -> Float[Array, "..."]:
    r"""Return one value a parcel of data at the locations of an atlas.

    With weights :math:`W` (parcels, locations) and data :math:`x`, ``sum`` is
    :math:`W x`; ``mean`` and ``absmean`` divide each row by :math:`\sum_j W_{ij}` and
    :math:`\sum_j |W_{ij}|`; ``zscore`` standardises the ``absmean`` over time (with
    time - 1 degrees of freedom, a constant series gives 0) and ``psc`` gives its
    change in per cent of the size of its mean over time; ``lstsq`` is the least
    squares solution :math:`(W W')^{-1} W x`. ``median``, ``min``, ``max``, ``std`` and
    ``var`` (divided by the number of locations) are for hard maps.

    The same as nilearn's ``NiftiLabelsMasker`` and ``SurfaceLabelsMasker`` with
    ``strategy`` for hard maps, its maps maskers for ``lstsq``, and
    ``wb_command -cifti-parcellate`` for ``mean``.

    Parameters
    ----------
    atlas
        An `Atlas`, or the maps of one compartment.
    data
        (..., locations, time), or (locations,) for one map; the locations of all
        compartments in the atlas's order. Or a mapping from compartment to such
        arrays. float16, bfloat16, float32 or float64 (which JAX makes float32 unless
        ``jax_enable_x64`` is on).
    reduction
        See above.
    missing
        What NaN does: ``"propagate"`` to the parcels with a non-zero weight there, and for
        ``lstsq`` to those that overlap with them (an infinite value counts as NaN for sparse
        and dense maps), ``"omit"`` the location at that
        time, its weight given to the others by every reduction but ``sum`` (not for
        ``lstsq``), or ``"error"``.
    min_coverage
        With ``missing="omit"``: parcels that have less than this share of their
        absolute weight observed are `empty` at that time.
    empty
        Value where a reduction other than ``sum`` is undefined: a parcel without
        locations, with weights that add up to exactly 0, or with nothing observed; for
        ``psc``, one whose mean over time is 0. Its gradient is 0. Sums are 0 there.
    ridge
        For ``lstsq``: share of each parcel's sum of squared weights that is added to it.
    kernel
        ``"auto"`` chooses by representation and backend; ``"scatter"`` (hard maps),
        ``"groups"`` and ``"tiles"`` (hard and sparse maps) and ``"dense"`` force one (but for
        ``median``, ``min``, ``max``, ``std`` and ``var``, which are of labels alone).
        ``"host"`` is NumPy's and SciPy's product in threads, which ``"auto"`` takes for
        large data on the CPU outside of ``jit``, ``grad`` and ``vmap`` (unless sparse maps
        have many weights a location); the last digits may differ from those of a jitted call.

    Returns
    -------
    jax.Array
        (..., parcels, time), or (parcels,) for (locations,), in table order and in the
        dtype of the data; the computation is in float32 at least.

    Raises
    ------
    ValueError
        A shape that does not fit (both are named), an unknown option, an option that
        does not apply, NaN with ``missing="error"`` (an error of Equinox for data that is
        traced), or parcels that are linearly dependent (``lstsq``).
    TypeError
        Data that is not floating.

    Notes
    -----
    Sparse maps have reverse-mode derivatives only (``kernel="dense"`` has both). For
    ``lstsq`` of maps that are traced, the conditioning is not checked.

    Examples
    --------
    >>> import numpy as np
    >>> from atlasinit import HardMaps
    >>> maps = HardMaps(np.array([0, 1, 1, -1], np.int32), 2)
    >>> project(maps, np.array([[1.0], [2.0], [4.0], [9.0]], np.float32)).tolist()
    [[1.0], [3.0]]
    """
    maps = maps_of(atlas)
    check_options(
        maps, reduction=reduction, missing=missing, min_coverage=min_coverage, ridge=ridge
    )
    values, missing = _checked(data, sizes_of(atlas), missing)
    inverse = solver_for(atlas, ridge=ridge) if reduction == "lstsq" else None
    limits = (_scalar(empty), _scalar(min_coverage))
    if on_host(maps, values, missing=missing, kernel=kernel):
        omit = missing == "omit"
        return _on_host(atlas, np.asarray(values), inverse, *limits, reduction=reduction, omit=omit)
    stack = stack_for(atlas, kernel=kernel_of(reduction, kernel))
    arrays = (stack, values, inverse, _scalar(ridge), *limits)
    return reduced(*arrays, reduction=reduction, missing=missing)


def reduce(
    stack: Stack,
    data: Any,
    *,
    reduction: str,
    missing: str,
    min_coverage: float,
    empty: float,
    ridge: float,
    inverse: AnyArray | None,
    compartments: Mapping[str, int],
) -> Float[Array, "..."]:
    """Return what `project` does, of kernels."""
    values, missing = _checked(data, compartments, missing)
    scalars = (_scalar(ridge), _scalar(empty), _scalar(min_coverage))
    return reduced(stack, values, inverse, *scalars, reduction=reduction, missing=missing)


def coverage(atlas: Any, data: Any) -> Float[Array, "..."]:
    """Return the share of each parcel's absolute weight at locations where `data` is not NaN.

    Parameters
    ----------
    atlas, data
        As for `project`.

    Returns
    -------
    jax.Array
        (..., parcels, time) in [0, 1], float32 at least; 0 for a parcel without locations.

    Examples
    --------
    >>> import numpy as np
    >>> from atlasinit import HardMaps
    >>> maps = HardMaps(np.array([0, 0, 1], np.int32), 2)
    >>> coverage(maps, np.array([1.0, np.nan, 3.0], np.float32)).tolist()
    [0.5, 1.0]
    """
    values = check_data(data, sizes_of(atlas))
    if on_host(maps_of(atlas), values, missing="omit"):
        stack, restore = batched(np.asarray(values))
        dtype = _summed(values)
        _, seen = host.multiply(parts_for(atlas), stack, dtype, omit=True)
        totals = totals_for(atlas, absolute=True).astype(dtype)[None, :, None]
        return restore(share(jnp.asarray(seen), totals))
    return covered(stack_for(atlas, kernel="auto"), values)


def back_project(
    atlas: Any, values: Any, *, method: str = "adjoint", ridge: float = 0.0, kernel: str = "auto"
) -> Float[Array, "..."]:
    r"""Return one value a location of parcel values, to paint them on the brain.

    Parameters
    ----------
    atlas
        An `Atlas`, or the maps of one compartment.
    values
        (..., parcels, time), or (parcels,).
    method
        ``"adjoint"``: :math:`W' y`, for hard maps each parcel's value at its locations
        (``inverse_transform`` of nilearn's maskers). ``"pseudoinverse"``:
        :math:`W' (W W')^{-1} y`, the smallest data whose ``sum`` is `values`.
    ridge, kernel
        As for `project`.

    Returns
    -------
    jax.Array
        (..., locations, time) or (locations,); 0 at locations of no parcel. A value that is
        not finite reaches the locations where its parcel has a weight, and no others.

    Raises
    ------
    ValueError, TypeError
        As `project`.

    Examples
    --------
    >>> import numpy as np
    >>> from atlasinit import HardMaps
    >>> maps = HardMaps(np.array([0, 1, 1, -1], np.int32), 2)
    >>> back_project(maps, np.array([5.0, 6.0], np.float32)).tolist()
    [5.0, 6.0, 6.0, 0.0]
    """
    if method not in ("adjoint", "pseudoinverse"):
        raise ValueError(f'`method` should be "adjoint" or "pseudoinverse", got {method!r}.')
    check_ridge(ridge, needs=None if method == "pseudoinverse" else '`method="pseudoinverse"`')
    maps = maps_of(atlas)
    n_parcels = sum(m.n_parcels for m in maps)
    values = sized(values, n_parcels, "values", "parcels")
    inverse = solver_for(atlas, ridge=ridge) if method == "pseudoinverse" else None
    if on_host(maps, values, kernel=kernel):
        wanted = values if inverse is None else solved(inverse, values)
        stack, restore = batched(np.asarray(wanted))
        out = restore(host.transposed(parts_for(atlas), stack, _summed(values)))
        return jax.device_put(out.astype(jax.dtypes.canonicalize_dtype(values.dtype), copy=False))
    return painted(stack_for(atlas, kernel=kernel), values, inverse, _scalar(ridge), method=method)


def _on_host(
    atlas: Any,
    data: np.ndarray,
    inverse: AnyArray | None,
    empty: Scalar,
    min_coverage: Scalar,
    *,
    reduction: str,
    omit: bool,
) -> Float[Array, "..."]:
    """Return what `project` does."""
    (stack, restore), dtype = batched(data), _summed(data)
    if reduction in reductions.HARD_ONLY:
        values, observed = by_label(members_for(atlas), stack, dtype, reduction, omit=omit)
    else:
        values, observed = host.multiply(parts_for(atlas), stack, dtype, omit=omit)
    hard = all(isinstance(m, HardMaps) for m in maps_of(atlas))
    totals = totals_for(atlas, absolute=reduction != "mean").astype(dtype)[None, :, None]
    weights = totals if observed is None else observed
    return finished(
        values,
        weights,
        totals,
        inverse,
        empty,
        min_coverage,
        reduction=reduction,
        omit=omit,
        hard=hard,
        shape=restore(values).shape,
        dtype=jax.dtypes.canonicalize_dtype(data.dtype),
    )


def _checked(data: Any, sizes: Mapping[str, int], missing: str) -> tuple[AnyArray, str]:
    """Return the data, and what its NaN do once those that are errors are ruled out."""
    values = check_data(data, sizes)
    if missing == "error" and not isinstance(values, Tracer):
        refuse_nan(values)
        missing = "propagate"
    return values, missing


def _summed(data: AnyArray) -> np.dtype:
    """Return the dtype of sums of data."""
    return np.dtype(accumulated(jax.dtypes.canonicalize_dtype(data.dtype)))


def _scalar(value: Any) -> Scalar:
    """Return a float; of a number, one that is on the device already, where it may be."""
    if isinstance(value, jax.Array):
        return value
    return _constant(float(value), jax.default_backend(), jax.config.jax_enable_x64)  # pyright: ignore


@lru_cache(maxsize=64)
def _constant(value: float, backend: str, x64: bool) -> Scalar:  # noqa: FBT001
    with jax.ensure_compile_time_eval():
        return jnp.asarray(value, float)
