"""Parcel values of data, and data of parcel values: what is public."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float, Float64

from atlasinit.core.atlas import Atlas
from atlasinit.core.maps import HardMaps, Maps
from atlasinit.core.named_values import align_values, carries_names
from atlasinit.errors import ArgumentError, Passing
from atlasinit.projection.checks import (
    check_data,
    check_options,
    check_ridge,
    check_size,
    refuse_nan,
)
from atlasinit.projection.choosing import choose_kernel, choose_place
from atlasinit.projection.host import products as host
from atlasinit.projection.host import streams
from atlasinit.projection.host.statistics import reduce_parcels
from atlasinit.projection.lstsq import Solver
from atlasinit.projection.reductions import Reduction, find_reduction
from atlasinit.projection.remembered import (
    blocks_of,
    device_solver_for,
    inverse_of,
    maps_of,
    members_for,
    parts_for,
    shares_for,
    sizes_of,
    solver_for,
    stack_for,
    totals_for,
)
from atlasinit.projection.stack import Stack
from atlasinit.projection.xla import (
    Scalar,
    add_batch,
    finish,
    measure_coverage,
    paint,
    reduce_data,
    share,
    solve_sums,
)
from atlasinit.support.precision import accumulator_dtype
from atlasinit.support.sharding import count_shards
from atlasinit.support.threads import empty_for_jax
from atlasinit.support.tracing import is_traced
from atlasinit.support.typing import AnyArray


def project(
    atlas: Any,
    data: Any,
    *,
    reduction: Any = "mean",
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
    ``var`` (divided by the number of locations) and ``mode`` (the most frequent value, of
    several the smallest, for data that are labels; derivatives are 0) are for hard maps.

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
        See above; or a function ``(values, weights)`` in NumPy of each parcel, any maps, as
        `atlasinit.projection.register_reduction` takes.
    missing
        What NaN does: ``"propagate"`` to the parcels with a non-zero weight there, and for
        ``lstsq`` to those that overlap with them, ``"omit"`` the location at that
        time, its weight given to the others by every reduction but ``sum`` (not for
        ``lstsq``), or ``"error"``. Infinity is not missing: it is neither left out nor an
        error; hard maps pass it on, sparse and dense maps make NaN of it.
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
        those for hard maps, which are of labels alone).
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
    ``lstsq`` of maps that are traced, the conditioning is not checked. Data that are split
    over devices along leading axes or time stay so (``jax.sharding``, ``jax.shard_map``). Of
    data split along locations each device adds up its own, and the sums of parcels are added
    up over devices; sparse maps are dense for that. Where a function is traced for a mesh whose
    axes are of type ``Auto``, XLA alone knows the split: soft maps may gather data there.

    Examples
    --------
    >>> import numpy as np
    >>> from atlasinit import HardMaps
    >>> maps = HardMaps(np.array([0, 1, 1, -1], np.int32), 2)
    >>> project(maps, np.array([[1.0], [2.0], [4.0], [9.0]], np.float32)).tolist()
    [[1.0], [3.0]]
    """
    maps, wanted = maps_of(atlas), find_reduction(reduction)
    check_options(maps, reduction=wanted, missing=missing, min_coverage=min_coverage, ridge=ridge)
    values, missing = _check_missing(data, sizes_of(atlas), missing)
    limits = (_scalar(empty), _scalar(min_coverage))
    if _place(maps, values, wanted, missing=missing, kernel=kernel)[0] == "host":
        omit = missing == "omit"
        solver = solver_for(atlas, ridge=ridge) if wanted.solve else None
        return _on_host(atlas, np.asarray(values), solver, *limits, reduction=wanted, omit=omit)
    solver = device_solver_for(atlas, ridge=ridge) if wanted.solve else None
    stack = stack_for(atlas, kernel=wanted.kernel or kernel)
    arrays = (stack, values, solver, _scalar(ridge), *limits)
    return reduce_data(*arrays, reduction=wanted, missing=missing, **_split_of(stack, values))


def reduce(
    stack: Stack,
    data: Any,
    *,
    reduction: Reduction,
    missing: str,
    min_coverage: float,
    empty: float,
    ridge: float,
    solver: Solver | None,
    compartments: Mapping[str, int],
) -> Float[Array, "..."]:
    """Return what `project` does, of kernels."""
    values, missing = _check_missing(data, compartments, missing)
    scalars = (_scalar(ridge), _scalar(empty), _scalar(min_coverage))
    split = _split_of(stack, values)
    return reduce_data(
        stack, values, solver, *scalars, reduction=reduction, missing=missing, **split
    )


@dataclass(frozen=True)
class Choice:
    """Where a projection is computed, by what, and why.

    Parameters
    ----------
    place
        ``"host"`` (NumPy and SciPy in threads) or ``"xla"`` (a jitted function).
    kernels
        Compartment to the name of its kernel, as the argument `kernel` of `project`;
        ``"host"`` for all on the host.
    reasons
        Why there (``"place"``), and by compartment why this kernel.
    """

    place: str
    kernels: dict[str, str]
    reasons: dict[str, str]

    def __str__(self) -> str:
        """Return a line for the place and one a compartment."""
        lines = [f"{self.place}: {self.reasons['place']}"]
        if self.place == "xla":
            lines += [f"{c}: {name}, {self.reasons[c]}" for c, name in self.kernels.items()]
        return "\n".join(lines)


def chosen(
    atlas: Any,
    data: Any,
    *,
    reduction: Any = "mean",
    missing: str = "propagate",
    kernel: str = "auto",
) -> Choice:
    """Return where and by which kernels `project` computes such a call, without computing it.

    Parameters
    ----------
    atlas, data, reduction, missing, kernel
        As for `project`. Traced arrays are those of a jitted function.

    Returns
    -------
    Choice
        Its text says why.

    Raises
    ------
    ValueError, TypeError
        As `project`.

    Examples
    --------
    >>> import numpy as np
    >>> from atlasinit import HardMaps
    >>> maps = HardMaps(np.array([0, 1, 1, -1], np.int32), 2)
    >>> print(chosen(maps, np.ones((4, 3), np.float32), kernel="dense"))
    xla: `kernel="dense"` asks for it
    maps: dense, `kernel="dense"` asks for it
    """
    maps, wanted, sizes = maps_of(atlas), find_reduction(reduction), sizes_of(atlas)
    check_options(maps, reduction=wanted, missing=missing, min_coverage=0.0)
    values = check_data(data, sizes)
    place, reason = _place(maps, values, wanted, missing=missing, kernel=kernel)
    reasons = {"place": reason}
    if place == "host":
        return Choice(place, dict.fromkeys(sizes, "host"), reasons)
    kernels, backend = {}, jax.default_backend()
    names = list(sizes)
    for block, one in zip(blocks_of(atlas), maps, strict=True):
        found, reason = choose_kernel(one, backend=backend, kernel=wanted.kernel or kernel)
        for c in (names[i] for i in block.members):
            kernels[c], reasons[c] = found.name, reason
    return Choice(place, kernels, reasons)


def coverage(atlas: Any, data: Any, *, kernel: str = "auto") -> Float[Array, "..."]:
    """Return the share of each parcel's absolute weight at locations where `data` is not NaN.

    Parameters
    ----------
    atlas, data, kernel
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
    if choose_place(maps_of(atlas), values, missing="omit", kernel=kernel)[0] == "host":
        stack, restore = add_batch(np.asarray(values))
        dtype = _sum_dtype(values)
        _, seen = host.multiply(parts_for(atlas), stack, dtype, omit=True)
        totals = totals_for(atlas, absolute=True).astype(dtype)[None, :, None]
        return restore(share(jnp.asarray(seen), totals))
    stack = stack_for(atlas, kernel=kernel)
    return measure_coverage(stack, values, **_split_of(stack, values))


def back_project(
    atlas: Any, values: Any, *, method: str = "adjoint", ridge: float = 0.0, kernel: str = "auto"
) -> Float[Array, "..."]:
    r"""Return one value a location of parcel values, to paint them on the brain.

    Parameters
    ----------
    atlas
        An `Atlas`, or the maps of one compartment.
    values
        (..., parcels, time), or (parcels,). A table of pandas or a mapping goes by the names of
        an `Atlas`'s parcels, whichever axis has them; an array by row.
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
        raise ArgumentError("method", f'should be "adjoint" or "pseudoinverse", got {method!r}')
    check_ridge(ridge, needs=None if method == "pseudoinverse" else Passing(method="pseudoinverse"))
    maps = maps_of(atlas)
    n_parcels = sum(m.n_parcels for m in maps)
    if isinstance(atlas, Atlas) and carries_names(values):
        values = align_values(values, atlas.table).array
    values = check_size(values, n_parcels, "values", "parcels")
    solver = device_solver_for(atlas, ridge=ridge) if method == "pseudoinverse" else None
    if choose_place(maps, values, kernel=kernel)[0] == "host":
        wanted = values if solver is None else solve_sums(solver, values)
        stack, restore = add_batch(np.asarray(wanted))
        out = restore(host.transposed(parts_for(atlas), stack, _sum_dtype(values)))
        return jax.device_put(out.astype(jax.dtypes.canonicalize_dtype(values.dtype), copy=False))
    arrays = (stack_for(atlas, kernel=kernel), values, solver, _scalar(ridge))
    counts, _ = count_shards(values)
    return paint(*arrays, method=method, shards=counts[:-2])


def _on_host(
    atlas: Any,
    data: np.ndarray,
    solver: Solver | None,
    empty: Scalar,
    min_coverage: Scalar,
    *,
    reduction: Reduction,
    omit: bool,
) -> Float[Array, "..."]:
    """Return what `project` does."""
    (stack, restore), dtype = add_batch(data), _sum_dtype(data)
    totals = totals_for(atlas, absolute=reduction.weights != "signed")
    observed, divided = None, True
    if reduction.host is not None:
        values, observed = reduce_parcels(
            members_for(atlas), stack, dtype, reduction.host, omit=omit
        )
    elif solver is not None:
        # Where single precision would need a correction, rounding of W x would matter.
        inverse = inverse_of(solver)
        values = host.solve(parts_for(atlas), stack, dtype, inverse, double=solver.corrects)
    else:
        divided = reduction.weights is not None
        values, observed = _sum_on_host(
            atlas, stack, dtype, omit=omit, divisors=totals if divided else None
        )
    totals = totals.astype(dtype)[None, :, None]
    return finish(
        values,
        totals if observed is None else observed,
        totals,
        empty,
        min_coverage,
        reduction=reduction,
        omit=omit,
        divided=divided,
        exact=all(isinstance(m, HardMaps) for m in maps_of(atlas)),
        shape=restore(values).shape,
        dtype=jax.dtypes.canonicalize_dtype(data.dtype),
    )


def _sum_on_host(
    atlas: Any,
    stack: np.ndarray,
    dtype: np.dtype,
    *,
    omit: bool,
    divisors: Float64[np.ndarray, " parcels"] | None,
) -> tuple[np.ndarray, np.ndarray | None]:
    """Return what `host.multiply` does; None for what is observed if that is everything."""
    maps = maps_of(atlas)
    if streams.can_stream(maps, stack):
        out = empty_for_jax((len(stack), sum(m.n_parcels for m in maps), stack.shape[2]), dtype)
        streams.average(shares_for(atlas), stack, divisors, out)
        # A loop that adds NaN shows it in the sum: without any there, no parcel lacks a location.
        if not (omit and np.isnan(out).any()):
            return out, None
    return host.multiply(parts_for(atlas), stack, dtype, omit=omit, divisors=divisors)


def _place(
    maps: Sequence[Maps], data: AnyArray, reduction: Reduction, *, missing: str, kernel: str
) -> tuple[str, str]:
    """Return where a reduction is computed, "host" or "xla", and why."""
    if not reduction.on_host_only:
        return choose_place(maps, data, missing=missing, kernel=kernel, double=reduction.solve)
    if kernel not in ("auto", "host") or is_traced((maps, data)):
        raise ArgumentError(
            "reduction",
            f"{reduction.name!r} is a function of NumPy, which computes concrete data with "
            + Passing(kernel="auto")
            + ": not inside of `jit`, `grad` or `vmap`",
            "register a `Reduction` with an `xla` for that",
        )
    return "host", "the reduction is a function of NumPy"


def _check_missing(data: Any, sizes: Mapping[str, int], missing: str) -> tuple[AnyArray, str]:
    """Return the data, and what its NaN do once those that are errors are ruled out."""
    values = check_data(data, sizes)
    if missing == "error" and not isinstance(values, Tracer):
        refuse_nan(values)
        missing = "propagate"
    return values, missing


def _sum_dtype(data: AnyArray) -> np.dtype:
    """Return the dtype of sums of data."""
    return np.dtype(accumulator_dtype(jax.dtypes.canonicalize_dtype(data.dtype)))


def _split_of(stack: Stack, values: AnyArray) -> dict[str, Any]:
    """Return into how many pieces data are split over devices: `shards`, and `pieces` of rows."""
    counts, known = count_shards(values)
    # Rows are the last axis but one, or the only one. Sums of labels in pieces cost nothing where
    # data are not split after all.
    pieces = counts[-2:][0] if known or stack.hard else 1
    return {"shards": counts[:-2], "pieces": pieces}


def _scalar(value: Any) -> Scalar:
    """Return a float; of a number, one that is on the device already, where it may be."""
    if isinstance(value, jax.Array):
        return value
    # As an argument of a jitted function, a number would be copied to the device by every call.
    return _constant(float(value), jax.default_backend(), jax.config.jax_enable_x64)  # pyright: ignore


@lru_cache(maxsize=64)
def _constant(value: float, backend: str, x64: bool) -> Scalar:  # noqa: FBT001
    # Within a function that is being traced, what is kept would be of its trace alone.
    with jax.ensure_compile_time_eval():
        return jnp.asarray(value, float)
