"""Parcel series of data that is larger than memory, a chunk of time after another."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float
from scipy.sparse import block_diag, csr_array, vstack

from atlasinit.core.atlas import Atlas
from atlasinit.core.maps import HardMaps
from atlasinit.io import DataSource
from atlasinit.projection import project
from atlasinit.projection.reductions import Reduction, find_reduction
from atlasinit.sharing import View

_CHUNK_BYTES = 2**28


def stream(
    atlas: Atlas,
    source: DataSource,
    *,
    reduction: Any = "mean",
    missing: str = "propagate",
    min_coverage: float = 0.0,
    smoothers: Sequence[Any] | None = None,
    chunk_bytes: int = _CHUNK_BYTES,
) -> Float[np.ndarray, "time parcels"]:
    """Return the parcel series of data that is read in chunks of time of one length."""
    (found,) = stream_views(
        [View(atlas)],
        source,
        reduction=reduction,
        missing=missing,
        min_coverage=min_coverage,
        smoothers=smoothers,
        chunk_bytes=chunk_bytes,
    )
    return found


def stream_views(
    views: Sequence[View],
    source: DataSource,
    *,
    reduction: Any = "mean",
    missing: str = "propagate",
    min_coverage: float = 0.0,
    smoothers: Sequence[Any] | None = None,
    chunk_bytes: int = _CHUNK_BYTES,
) -> list[Float[np.ndarray, "time parcels"]]:
    """Return the parcel series of each of several atlases, of data that is read once.

    Smoothers are of the compartments of a single one.
    """
    wanted = find_reduction(reduction)
    own = dataclasses.replace(wanted, over_time=None)
    found = None
    if smoothers is None and own.of_sums and source.sums is not None:
        found = _add_up(views, source, own)
    if found is None:
        options = {"reduction": own, "missing": missing, "min_coverage": min_coverage}
        found = _project_chunks(views, source, smoothers, chunk_bytes, options)
    if wanted.over_time is None:
        return found
    # These are of whole series, each of which is by now one location.
    return [
        np.asarray(project(_whole(means), means.T, reduction=wanted, missing=missing)).T
        if means.size
        else means
        for means in found
    ]


def _whole(series: Float[np.ndarray, "time parcels"]) -> HardMaps:
    n = series.shape[1]
    return HardMaps(np.arange(n, dtype=np.int32), n)


def _project_chunks(
    views: Sequence[View],
    source: DataSource,
    smoothers: Sequence[Any] | None,
    chunk_bytes: int,
    options: dict[str, Any],
) -> list[Float[np.ndarray, "time parcels"]]:
    # What is read, and a copy of the rows of one atlas at a time.
    copied = max(0 if view.rows is None else view.rows.size for view in views)
    chunks = max(1, -(-source.n_time * 4 * (source.n_locations + copied) // chunk_bytes))
    length = -(-source.n_time // chunks)
    parts: list[list[np.ndarray]] = [[] for _ in views]
    for start in range(0, source.n_time, max(length, 1)):
        data = source.read(slice(start, min(start + length, source.n_time)))
        kept = data.shape[1]
        # The last chunk is filled up, so that one compilation serves all.
        data = np.pad(data, [(0, 0), (0, length - kept)]) if kept < length else data
        for view, own in zip(views, parts, strict=True):
            x = view.take(data)
            if smoothers is not None:
                pairs = zip(smoothers, view.atlas.location_slices().values(), strict=True)
                omit, outside = options["missing"] == "omit", source.is_outside
                x = jnp.concatenate([_smooth(s, x[p], outside[p], omit=omit) for s, p in pairs])
            out = project(view.atlas, x, **options)
            own.append(np.asarray(jax.device_get(out)).T[:kept])
            del x
        del data  # before the next chunk is read
    return [
        np.concatenate(own) if own else np.zeros((0, view.atlas.n_parcels), np.float32)
        for view, own in zip(views, parts, strict=True)
    ]


def _add_up(
    views: Sequence[View], source: DataSource, reduction: Reduction
) -> list[Float[np.ndarray, "time parcels"]] | None:
    """Return series of sums of the data; None where some value is missing, which sums do not tell.

    Sums are of double precision, and their quotients by sums of weights are rounded once.
    """
    assert source.sums is not None
    matrices = [_whole_matrix(view, source.n_locations) for view in views]
    weights = csr_array(vstack(matrices, format="csr"))
    parts = []
    for part in source.sums.of(weights):
        if not np.isfinite(part).all():
            return None
        parts.append(part)
    out = np.concatenate(parts, axis=1)
    if reduction.weights is not None:
        sizes = abs(weights) if reduction.weights == "absolute" else weights
        totals = sizes.sum(axis=1)[:, None]
        out = np.where(totals != 0, out / np.where(totals != 0, totals, 1), np.nan)
    dtype = jax.dtypes.canonicalize_dtype(source.sums.dtype)
    ends = np.cumsum([view.atlas.n_parcels for view in views])[:-1]
    return [part.T.astype(dtype) for part in np.split(out, ends)]


def _whole_matrix(view: View, n_rows: int) -> csr_array:
    """Return the weights (parcels, rows) of all compartments, in double precision."""
    parts = [m.to_scipy().astype(np.float64) for m in view.atlas.maps.values()]
    matrix = csr_array(block_diag(parts, format="csr"))
    if view.rows is None:
        return matrix
    columns = view.rows[matrix.indices]
    return csr_array((matrix.data, columns, matrix.indptr), shape=(len(matrix.indptr) - 1, n_rows))


def _smooth(
    smoother: Any,
    data: Float[np.ndarray, "locations time"],
    outside: Bool[np.ndarray, " locations"],
    *,
    omit: bool,
) -> Float[jax.Array, "locations time"]:
    """Return smoothed data; NaN is left out of the averages, or reaches as far as the kernel.

    What lies outside of the data is left out in any case.
    """
    lost = np.isnan(data)
    if not lost.any() and not outside.any():
        return smoother(data)
    away = outside[:, None] | lost if omit else outside[:, None]
    out = smoother(np.where(away | lost, 0, data))
    seen = smoother((~away).astype(data.dtype))
    out = out / jnp.where(away, 1, seen)
    if omit:
        return jnp.where(lost, jnp.nan, out)
    return jnp.where(smoother(lost.astype(data.dtype)) > 0, jnp.nan, out) if lost.any() else out
