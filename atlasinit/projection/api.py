"""Parcel values of data: checks, dtypes, missing data and the choice of kernel, then one jit."""

import functools
import weakref
from collections.abc import Mapping, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float

from atlasinit._typing import AnyArray
from atlasinit.atlas import Atlas
from atlasinit.geometry import VolumeGrid
from atlasinit.maps import HardMaps, Maps, SparseMaps
from atlasinit.projection import reductions
from atlasinit.projection.kernels import Stack, assemble, choose_kernel, prepare
from atlasinit.projection.lstsq import solver, traced_solver
from atlasinit.projection.tiled import TilePlan

REDUCTIONS = (*reductions.LINEAR, "lstsq", *reductions.HARD_ONLY)


class Prepared(eqx.Module):
    """Maps of all compartments with the plans of their kernels: what a projection runs on."""

    maps: tuple[Any, ...]
    plans: tuple[TilePlan | None, ...]
    kernel: str = eqx.field(static=True)
    backend: str = eqx.field(static=True)

    def stack(self) -> Stack:
        """Return the kernels."""
        return assemble(self.maps, self.plans, kernel=self.kernel, backend=self.backend)


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
        What NaN does: ``"propagate"`` to the parcels with a non-zero weight there (an
        infinite value counts as NaN for sparse and dense maps), ``"omit"`` the location at that
        time, its weight given to the others by every reduction but ``sum`` (not for
        ``lstsq``), or ``"error"``.
    min_coverage
        With ``missing="omit"``: parcels that have less than this share of their
        absolute weight observed are `empty` at that time.
    empty
        Value where a reduction other than ``sum`` is undefined: a parcel without
        locations, with weights that add up to 0, or with nothing observed. Its gradient
        is 0. Sums are 0 there.
    ridge
        For ``lstsq``: share of each parcel's sum of squared weights that is added to it.
    kernel
        ``"auto"`` chooses by representation and backend; ``"scatter"`` (hard maps),
        ``"tiles"`` (hard and sparse maps) and ``"dense"`` force one.

    Returns
    -------
    (..., parcels, time), or (parcels,) for (locations,), in table order and in the
    dtype of the data; the computation is in float32 at least.

    Raises
    ------
    ValueError
        A shape that does not fit (both are named), an unknown option, an option that
        does not apply, or parcels that are linearly dependent (``lstsq``).
    TypeError
        Data that is not floating.

    Notes
    -----
    Tiles have reverse-mode derivatives only. For ``lstsq`` of maps that are traced,
    the conditioning is not checked.

    Examples
    --------
    >>> import numpy as np
    >>> maps = HardMaps(np.array([0, 1, 1, -1], np.int32), 2)
    >>> project(maps, np.array([[1.0], [2.0], [4.0], [9.0]], np.float32)).tolist()
    [[1.0], [3.0]]
    """
    prepared = prepared_for(atlas, kernel=kernel)
    inverse = None
    if reduction == "lstsq" and not _traced(atlas):
        inverse = _solver(atlas, ridge)
    return reduce(
        prepared,
        data,
        reduction=reduction,
        missing=missing,
        min_coverage=min_coverage,
        empty=empty,
        ridge=ridge,
        inverse=inverse,
        compartments=_shapes(atlas),
    )


def reduce(
    prepared: Prepared,
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
    """Return what `project` does, of prepared maps."""
    check_options(prepared.maps, reduction=reduction, missing=missing, min_coverage=min_coverage)
    values = _checked(data, compartments)
    return _reduce(
        prepared,
        values,
        inverse,
        jnp.float32(empty),
        jnp.float32(ridge),
        jnp.float32(min_coverage),
        reduction=reduction,
        missing=missing,
    )


def coverage(atlas: Any, data: Any) -> Float[Array, "..."]:
    """Return the share of each parcel's absolute weight at locations where `data` is not NaN.

    Parameters
    ----------
    atlas, data
        As for `project`.

    Returns
    -------
    (..., parcels, time) in [0, 1], float32 at least; 0 for a parcel without locations.

    Examples
    --------
    >>> import numpy as np
    >>> maps = HardMaps(np.array([0, 0, 1], np.int32), 2)
    >>> coverage(maps, np.array([1.0, np.nan, 3.0], np.float32)).tolist()
    [0.5, 1.0]
    """
    prepared = prepared_for(atlas, kernel="auto")
    return _coverage(prepared, _checked(data, _shapes(atlas)))


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
    (..., locations, time) or (locations,); 0 at locations of no parcel.

    Raises
    ------
    ValueError, TypeError
        As `project`.

    Examples
    --------
    >>> import numpy as np
    >>> maps = HardMaps(np.array([0, 1, 1, -1], np.int32), 2)
    >>> back_project(maps, np.array([5.0, 6.0], np.float32)).tolist()
    [5.0, 6.0, 6.0, 0.0]
    """
    if method not in ("adjoint", "pseudoinverse"):
        raise ValueError(f'`method` should be "adjoint" or "pseudoinverse", got {method!r}.')
    prepared = prepared_for(atlas, kernel=kernel)
    n_parcels = sum(m.n_parcels for m in prepared.maps)
    values = _sized(values, n_parcels, "values", "parcels")
    inverse = None
    if method == "pseudoinverse" and not _traced(atlas):
        inverse = _solver(atlas, ridge)
    return _back_project(prepared, values, inverse, jnp.float32(ridge), method=method)


def prepared_for(atlas: Any, *, kernel: str) -> Prepared:
    """Return maps on the device with their plans, made once for an atlas of concrete maps."""
    maps, coordinates = _maps_of(atlas), _coordinates_of(atlas)
    if not maps or not all(isinstance(m, Maps) for m in maps):
        raise TypeError(f"`atlas` should be an Atlas or maps, got {type(atlas).__name__}.")
    if sum(m.n_locations for m in maps) == 0:
        raise ValueError("`atlas` has no locations.")
    if _traced(atlas):
        return make_prepared(maps, coordinates, kernel=kernel)
    return _remembered(
        atlas,
        ("prepared", kernel, jax.default_backend()),
        lambda: jax.tree.map(jnp.asarray, make_prepared(maps, coordinates, kernel=kernel)),
    )


def make_prepared(
    maps: Sequence[Maps], coordinates: Sequence[np.ndarray | None], *, kernel: str
) -> Prepared:
    """Return maps with the plans of their kernels; those of traced positions become dense."""
    backend = jax.default_backend()
    ends = np.cumsum([m.n_locations for m in maps]).tolist()
    plans = tuple(
        prepare(m, c, start=end - m.n_locations, total=ends[-1], backend=backend, kernel=kernel)
        if _concrete(m)
        else None
        for m, c, end in zip(maps, coordinates, ends, strict=True)
    )
    for one in maps:
        choose_kernel(one, backend=backend, kernel=kernel)
    return Prepared(tuple(maps), plans, kernel, backend)


def check_options(
    maps: Sequence[Maps], *, reduction: str, missing: str, min_coverage: float
) -> None:
    """Raise for options that are unknown or do not go together."""
    if reduction not in REDUCTIONS:
        raise ValueError(
            f"`reduction` should be one of {', '.join(REDUCTIONS)}, got {reduction!r}."
        )
    if missing not in ("propagate", "omit", "error"):
        raise ValueError(f'`missing` should be "propagate", "omit" or "error", got {missing!r}.')
    if reduction in reductions.HARD_ONLY and not all(isinstance(m, HardMaps) for m in maps):
        raise ValueError(
            f"`reduction={reduction!r}` is for hard maps, got "
            f"{', '.join(type(m).__name__ for m in maps)}; use atlas.harden() first."
        )
    if reduction == "lstsq" and missing == "omit":
        raise ValueError(
            '`missing="omit"` does not go with `reduction="lstsq"`, whose factorisation is of all '
            "locations; fill the data, or take the locations out of the atlas."
        )
    if not 0 <= min_coverage <= 1:
        raise ValueError(f"`min_coverage` should lie in [0, 1], got {min_coverage}.")
    if min_coverage and missing != "omit":
        raise ValueError('`min_coverage` needs `missing="omit"`.')


@functools.partial(jax.jit, static_argnames=("reduction", "missing"))
def _reduce(
    prepared: Prepared,
    data: Float[AnyArray, "..."],
    inverse: Float[AnyArray, "parcels parcels"] | None,
    empty: Float[Array, ""],
    ridge: Float[Array, ""],
    min_coverage: Float[Array, ""],
    *,
    reduction: str,
    missing: str,
) -> Float[Array, "..."]:
    given = data.dtype
    data, restore = _batched(jnp.asarray(data, _accumulated(given)))
    stack = prepared.stack()
    if reduction in reductions.HARD_ONLY:
        stack = assemble(prepared.maps, [None] * len(prepared.maps), kernel="scatter", backend="")
    seen = None
    if missing == "error":
        data = reductions.refuse_nan(data)
    elif missing == "omit":
        seen = ~jnp.isnan(data)
        data = jnp.where(seen, data, 0)
    if reduction == "lstsq":
        if inverse is None:
            inverse = traced_solver(stack, ridge=ridge)
        out = _times(inverse, stack.product(data))
        defined = (jnp.diagonal(inverse) != 0)[None, :, None]
    elif reduction in reductions.HARD_ONLY:
        out, defined = reductions.by_label(stack, data, seen, reduction)
    else:
        out, defined = reductions.linear(stack, data, seen, reduction)
    if seen is not None:
        share = _share(stack, seen.astype(data.dtype))
        defined = defined & (share >= min_coverage.astype(share.dtype))
    return restore(jnp.where(defined, out, empty.astype(out.dtype)).astype(given))


@jax.jit
def _coverage(prepared: Prepared, data: Float[AnyArray, "..."]) -> Float[Array, "..."]:
    seen, restore = _batched((~jnp.isnan(data)).astype(_accumulated(data.dtype)))
    return restore(_share(prepared.stack(), seen).astype(seen.dtype))


@functools.partial(jax.jit, static_argnames="method")
def _back_project(
    prepared: Prepared,
    values: Float[AnyArray, "..."],
    inverse: Float[AnyArray, "parcels parcels"] | None,
    ridge: Float[Array, ""],
    *,
    method: str,
) -> Float[Array, "..."]:
    stack = prepared.stack()
    out, restore = _batched(jnp.asarray(values, _accumulated(values.dtype)))
    if method == "pseudoinverse":
        if inverse is None:
            inverse = traced_solver(stack, ridge=ridge)
        out = _times(inverse, out)
    return restore(stack.transposed(out).astype(values.dtype))


def _share(
    stack: Stack, seen: Float[Array, "batch locations time"]
) -> Float[Array, "batch parcels time"]:
    absolute = stack.absolute()
    totals = absolute.totals().astype(seen.dtype)[None, :, None]
    return absolute.product(seen) / jnp.where(totals > 0, totals, 1)


def _times(matrix: AnyArray, values: Array) -> Array:
    return jnp.matmul(
        jnp.asarray(matrix, values.dtype), values, precision=jax.lax.Precision.HIGHEST
    )


def _accumulated(dtype: Any) -> Any:
    return dtype if jnp.finfo(dtype).bits >= 32 else jnp.float32


def _batched(values: Array) -> tuple[Array, Any]:
    """Return values with one batch axis in front, and the function that restores the axes.

    Under jit this costs nothing; outside, each would copy the data.
    """
    if values.ndim == 1:
        return values[None, :, None], lambda out: out[0, :, 0]
    leading = values.shape[:-2]
    stacked = values.reshape(-1, *values.shape[-2:]) if leading else values[None]
    return stacked, lambda out: out.reshape(*leading, *out.shape[1:])


def _checked(data: Any, compartments: Mapping[str, int]) -> AnyArray:
    """Return data of all compartments as one floating array whose locations fit."""
    if isinstance(data, Mapping):
        if set(data) != set(compartments):
            raise ValueError(
                f"`data` should have the compartments {list(compartments)}, got {list(data)}."
            )
        parts = [_sized(data[c], n, f"data[{c!r}]", "locations") for c, n in compartments.items()]
        if len({(p.ndim, p.shape[:-2], p.shape[-1:] if p.ndim > 1 else ()) for p in parts}) > 1:
            raise ValueError(
                "`data` should have one shape but for the locations, got "
                f"{[p.shape for p in parts]}."
            )
        if len(parts) == 1:
            return parts[0]
        return jnp.concatenate(parts, axis=-1 if parts[0].ndim == 1 else -2)
    return _sized(data, sum(compartments.values()), "data", "locations")


def _sized(data: Any, size: int, name: str, axis: str) -> AnyArray:
    if not isinstance(data, jax.Array | np.ndarray):
        raise TypeError(f"`{name}` should be a NumPy or JAX array, got {type(data).__name__}.")
    if not jnp.issubdtype(data.dtype, jnp.floating):
        raise TypeError(
            f"`{name}` should be real floating-point, got {data.dtype}; convert it, for instance "
            "with `data.astype(np.float32)`."
        )
    found = data.shape[0] if data.ndim == 1 else data.shape[-2] if data.ndim else None
    if found == size:
        return data
    hint = ""
    if data.ndim > 1 and data.shape[-1] == size:
        hint = f" Time seems to come first: the {axis} should, as in `data.swapaxes(-1, -2)`."
    raise ValueError(
        f"`{name}` should have shape (..., {size} {axis}, time) or ({size},), "
        f"got {data.shape}.{hint}"
    )


def _maps_of(atlas: Any) -> tuple[Any, ...]:
    return tuple(atlas.maps.values()) if isinstance(atlas, Atlas) else (atlas,)


def _shapes(atlas: Any) -> dict[str, int]:
    names = atlas.compartments if isinstance(atlas, Atlas) else ("maps",)
    return {c: m.n_locations for c, m in zip(names, _maps_of(atlas), strict=True)}


def _coordinates_of(atlas: Any) -> list[np.ndarray | None]:
    if not isinstance(atlas, Atlas):
        return [None]
    return [coordinates(g) for g in atlas.geometry.values()]


def coordinates(geometry: Any) -> np.ndarray | None:
    """Return the coordinates of the locations, on the sphere for a mesh that has one."""
    if isinstance(geometry, VolumeGrid):
        return geometry.coordinates
    points = geometry.anatomical if geometry.sphere is None else geometry.sphere
    return None if points is None else points[geometry.vertices].astype(np.float64)


def _concrete(maps: Maps) -> bool:
    positions = maps.labels if isinstance(maps, HardMaps) else None
    positions = maps.indices if isinstance(maps, SparseMaps) else positions
    return not isinstance(positions, Tracer)


def _traced(atlas: Any) -> bool:
    return any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves(atlas))


_memory: dict[int, dict[Any, Any]] = {}


def _remembered(owner: Any, key: Any, make: Any) -> Any:
    """Return what `make` does, made once while `owner`, which is immutable, lives."""
    identity, key = id(owner), (key, jax.config.jax_enable_x64)  # pyright: ignore
    if identity not in _memory:
        _memory[identity] = {}
        weakref.finalize(owner, _memory.pop, identity, None)
    found = _memory[identity]
    if key not in found:
        found[key] = make()
    return found[key]


def _solver(atlas: Any, ridge: float) -> Any:
    if not (np.isfinite(ridge) and ridge >= 0):
        raise ValueError(f"`ridge` should be 0 or more, got {ridge}.")
    names = (
        atlas.table["name"]
        if isinstance(atlas, Atlas)
        else [f"row {i}" for i in range(atlas.n_parcels)]
    )
    return _remembered(
        atlas,
        ("lstsq", ridge),
        lambda: jnp.asarray(solver(_maps_of(atlas), names, ridge=ridge)),
    )
