"""Sums of labels by the compiled loop of the host, against float64."""

import jax
import numpy as np
import pytest

import atlasinit as ai
from atlasinit.projection import project
from atlasinit.projection.host import streams
from atlasinit.streaming import stream

pytestmark = pytest.mark.skipif(jax.default_backend() != "cpu", reason="The host's own sums.")


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(streams, "SMALLEST", 2**8)


def data_at(n, time, *, level, offset, dtype=np.float32):
    """Return data that begins `offset` values behind an aligned place in memory."""
    raw = np.empty(n * time + 64, dtype)
    start = (-raw.ctypes.data % 64) // raw.itemsize + offset
    x = raw[start : start + n * time].reshape(n, time)
    x[:] = level + np.random.default_rng(n).normal(size=(n, time))
    return x


def steps(found, exact):
    """Return by how many float32 steps values differ at most."""
    return np.max(
        np.abs(np.asarray(found, np.float64) - exact) / np.spacing(np.float32(np.abs(exact)))
    )


@pytest.mark.parametrize("level", [0.0, 0.1, 1e4])
@pytest.mark.parametrize(("n", "n_parcels", "offset"), [(900, 1, 0), (901, 2, 4), (3000, 300, 1)])
def test_means_are_those_in_double_precision_rounded_once(n, n_parcels, offset, level):
    labels = np.random.default_rng(0).integers(-1, n_parcels, n)
    labels[0] = n_parcels - 1
    x = data_at(n, 64, level=level, offset=offset)
    x[:, 3] = np.float32(level + 0.1)  # all alike: partial sums would round all alike
    maps = ai.HardMaps(labels, n_parcels + 1)
    y = np.asarray(project(maps, x, kernel="host"))
    exact = np.stack([x[labels == i].mean(axis=0, dtype=np.float64) for i in range(n_parcels)])
    assert np.isnan(y[-1]).all()  # without a location
    assert steps(y[:-1], exact) <= 0.501
    sums = np.asarray(project(maps, x, kernel="host", reduction="sum"))
    counts = np.bincount(labels[labels >= 0], minlength=n_parcels)[:, None]
    assert steps(sums[:-1], exact * counts) <= 0.501
    np.testing.assert_array_equal(sums[-1], 0)


def test_a_million_locations_of_one_parcel_lose_nothing():
    x = data_at(1_000_000, 64, level=1e4, offset=4)
    y = project(ai.HardMaps(np.zeros(len(x), np.int32), 1), x, kernel="host")
    assert steps(y[0], x.mean(axis=0, dtype=np.float64)) <= 0.501


@pytest.mark.parametrize("missing", ["propagate", "omit"])
def test_what_is_not_finite_stays_in_its_parcel(missing):
    labels = np.arange(600) % 5
    x = data_at(600, 64, level=1.0, offset=0)
    x[0, 2], x[6, 3], x[7, 4] = np.nan, np.inf, np.nan
    y = np.asarray(project(ai.HardMaps(labels, 5), x, missing=missing, kernel="host"))
    own = [x[labels == i].astype(np.float64) for i in range(5)]
    exact = np.stack([(np.nanmean if missing == "omit" else np.mean)(o, axis=0) for o in own])
    np.testing.assert_allclose(y, exact, rtol=1e-6)


@pytest.mark.parametrize("reduction", ["mean", "zscore", "psc"])
def test_batches_compartments_and_traces_around_them(reduction):
    labels = np.random.default_rng(0).integers(-1, 6, 500)
    maps, x = (
        ai.HardMaps(labels, 6),
        np.stack([data_at(500, 70, level=5, offset=o) for o in (0, 1)]),
    )
    found = np.asarray(project(maps, x, reduction=reduction, kernel="host"))
    exact = np.stack([[one[labels == i].mean(0, dtype=np.float64) for i in range(6)] for one in x])
    if reduction != "mean":
        change = exact - exact.mean(axis=-1, keepdims=True)
        scale = exact.std(-1, ddof=1, keepdims=True) if reduction == "zscore" else None
        exact = change / (exact.mean(-1, keepdims=True) / 100 if scale is None else scale)
    np.testing.assert_allclose(found, exact, rtol=1e-4, atol=1e-4)
    # Concrete data within a function that is traced for something else.
    inside = jax.jit(lambda z: z + project(maps, x, reduction=reduction, kernel="host"))(0.0)
    np.testing.assert_allclose(inside, found, rtol=1e-4, atol=1e-4)


def test_data_in_chunks_of_time_are_as_exact():
    n, n_parcels = 36_000, 4  # large enough for the host
    labels = np.random.default_rng(0).integers(0, n_parcels, n)
    x = data_at(n, 130, level=1e4, offset=1)
    atlas = ai.load_atlas({"cortex_L": labels + 1}, space="mine")
    source = ai.io.open_data(x, atlas)
    exact = np.stack([x[labels == i].mean(axis=0, dtype=np.float64) for i in range(4)])
    chunks = stream(atlas, source, chunk_bytes=4 * n * 65)
    assert steps(chunks.T, exact) <= 0.501
