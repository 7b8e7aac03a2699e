"""Parcel series of data that is larger than memory, a chunk of time after another."""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float
from scipy.sparse import block_diag, csr_array

from atlasinit.core.atlas import Atlas
from atlasinit.core.maps import HardMaps
from atlasinit.io import DataSource
from atlasinit.projection import project
from atlasinit.projection.reductions import Reduction, find_reduction

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
    wanted = find_reduction(reduction)
    if wanted.over_time is not None:
        # These are of whole series, each of which is by now one location.
        means = stream(
            atlas,
            source,
            reduction=dataclasses.replace(wanted, over_time=None),
            missing=missing,
            min_coverage=min_coverage,
            smoothers=smoothers,
            chunk_bytes=chunk_bytes,
        )
        n = atlas.n_parcels
        if not means.size:
            return means
        whole = HardMaps(np.arange(n, dtype=np.int32), n)
        return np.asarray(project(whole, means.T, reduction=wanted, missing=missing)).T
    if smoothers is None and wanted.of_sums and source.sums is not None:
        found = _add_up(atlas, source.sums, wanted)
        if found is not None:
            return found
    per_time = 4 * max(source.n_locations, 1)
    chunks = max(1, -(-source.n_time * per_time // chunk_bytes))
    length = -(-source.n_time // chunks)
    parts = []
    for start in range(0, source.n_time, max(length, 1)):
        data = source.read(slice(start, min(start + length, source.n_time)))
        kept = data.shape[1]
        # The last chunk is filled up, so that one compilation serves all.
        data = np.pad(data, [(0, 0), (0, length - kept)]) if kept < length else data
        if smoothers is not None:
            pairs = zip(smoothers, atlas.location_slices().values(), strict=True)
            omit, outside = missing == "omit", source.is_outside
            data = jnp.concatenate(
                [_smooth(s, data[part], outside[part], omit=omit) for s, part in pairs]
            )
        out = project(atlas, data, reduction=wanted, missing=missing, min_coverage=min_coverage)
        parts.append(np.asarray(jax.device_get(out)).T[:kept])
        del data  # before the next chunk is read
    return np.concatenate(parts) if parts else np.zeros((0, atlas.n_parcels), np.float32)


def _add_up(
    atlas: Atlas, sums: Callable[[csr_array], Iterator[np.ndarray]], reduction: Reduction
) -> Float[np.ndarray, "time parcels"] | None:
    """Return series of sums of the data; None where some value is missing, which sums do not tell.

    Sums are of double precision, and their quotients by sums of weights are rounded once.
    """
    weights = _whole_matrix(atlas)
    parts = []
    for part in sums(weights):
        if not np.isfinite(part).all():
            return None
        parts.append(part)
    out = np.concatenate(parts, axis=1)
    if reduction.weights is not None:
        sizes = abs(weights) if reduction.weights == "absolute" else weights
        totals = sizes.sum(axis=1)[:, None]
        out = np.where(totals != 0, out / np.where(totals != 0, totals, 1), np.nan)
    return out.T.astype(np.float32)


def _whole_matrix(atlas: Atlas) -> csr_array:
    """Return the weights (parcels, locations) of all compartments, in double precision."""
    parts = [m.to_scipy().astype(np.float64) for m in atlas.maps.values()]
    return csr_array(block_diag(parts, format="csr"))


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
