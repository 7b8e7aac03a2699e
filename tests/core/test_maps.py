"""The three representations answer alike: everything is compared with the dense matrix."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.sparse import csr_array

import atlasinit as ai
from atlasinit.core.maps import (
    covered_totals,
    location_totals,
    scale,
)


def hard(rng):
    labels = rng.integers(-1, 6, 40).astype(np.int32)
    labels[labels == 3] = -1  # an empty parcel
    return ai.HardMaps(labels, 6)


def sparse(rng):
    weights = rng.normal(size=(5, 40)).astype(np.float32)
    weights[np.abs(weights) < 1] = 0
    weights[2] = 0
    return ai.SparseMaps.from_scipy(csr_array(weights))


def dense(rng):
    weights = rng.normal(size=(4, 40)).astype(np.float32)
    weights[1] = 0
    weights[:, 5] = -1
    return ai.DenseMaps(weights)


CASES = {"hard": hard, "sparse": sparse, "dense": dense}


@pytest.fixture(params=CASES.values(), ids=list(CASES))
def maps(request):
    return request.param(np.random.default_rng(3))


def test_dense_and_scipy_agree(maps):
    matrix = maps.to_dense()
    assert matrix.dtype == np.float32
    assert matrix.shape == (maps.n_parcels, maps.n_locations)
    assert maps.to_scipy().has_canonical_format
    np.testing.assert_array_equal(maps.to_scipy().toarray(), matrix)


def test_counts_and_totals(maps):
    matrix = maps.to_dense().astype(np.float64)
    np.testing.assert_array_equal(maps.counts(), (matrix != 0).sum(1))
    np.testing.assert_allclose(maps.totals(), matrix.sum(1), atol=1e-12)
    np.testing.assert_allclose(maps.totals(absolute=True), np.abs(matrix).sum(1), atol=1e-12)
    np.testing.assert_allclose(location_totals(maps), matrix.sum(0), atol=1e-12)
    mask = np.arange(maps.n_locations) % 3 > 0
    np.testing.assert_allclose(
        covered_totals(maps, mask), np.abs(matrix[:, mask]).sum(1), rtol=1e-6
    )


def test_take(maps):
    matrix = maps.to_dense()
    rows = np.array([3, 0, 1])
    columns = np.array([39, 2, 0, 17])
    np.testing.assert_array_equal(maps.take_parcels(rows).to_dense(), matrix[rows])
    np.testing.assert_array_equal(maps.take_locations(columns).to_dense(), matrix[:, columns])
    none = maps.take_parcels(np.array([], dtype=np.int64))
    assert none.to_dense().shape == (0, maps.n_locations)
    assert (none.harden().labels == -1).all()


def test_harden_takes_the_first_largest_positive_weight(maps):
    matrix = maps.to_dense()
    expected = np.where(matrix.max(0) > 0, matrix.argmax(0), -1)
    np.testing.assert_array_equal(maps.harden().labels, expected)
    assert maps.harden().n_parcels == maps.n_parcels


@pytest.mark.parametrize("make", [ai.DenseMaps, lambda m: ai.SparseMaps.from_scipy(csr_array(m))])
def test_harden_ties_and_nan(make):
    matrix = np.array([[1, 0, np.nan, 0, -1], [1, 2, np.nan, 0, -2], [0.5, 2, 3, 0, 0]], np.float32)
    assert make(matrix).harden().labels.tolist() == [0, 1, 2, -1, -1]


def test_scale(maps):
    matrix = maps.to_dense()
    rows, columns = np.arange(1.0, maps.n_parcels + 1), np.linspace(1, 2, maps.n_locations)
    scaled = scale(maps, parcels=rows, locations=columns)
    np.testing.assert_allclose(scaled.to_dense(), matrix * rows[:, None] * columns, rtol=1e-6)


def test_maps_are_pytrees_equal_by_value(maps):
    copy = jax.tree.map(np.copy, maps)
    assert maps == copy
    assert jax.tree.map(lambda x: x + 1, maps) != copy
    leaves, structure = jax.tree.flatten(maps)
    assert structure.unflatten(leaves) == maps


def test_nobody_writes_to_maps(maps):
    expected = maps.to_dense()
    dense, matrix = maps.to_dense(), maps.to_scipy()
    dense *= 0
    matrix.data *= 0
    matrix.indices[:] = 0
    np.testing.assert_array_equal(maps.to_dense(), expected)
    for leaf in jax.tree.leaves(maps):
        with pytest.raises(ValueError, match="read-only"):
            leaf[:1] = 0


@pytest.mark.parametrize("view", [lambda x: x, lambda x: x[:], np.asfortranarray])
def test_maps_keep_their_own_arrays(view):
    labels, weights = np.array([0, 1], np.int32), np.eye(2, dtype=np.float32)
    hard, dense = ai.HardMaps(view(labels), 2), ai.DenseMaps(view(weights))
    sparse = ai.SparseMaps(view(weights[0]), view(labels), np.array([0, 1, 2], np.int32), 2)
    hidden = weights[:]
    hidden.flags.writeable = False
    behind = ai.DenseMaps(hidden)
    labels[:], weights[:] = -1, 7
    assert hard.labels.tolist() == sparse.indices.tolist() == [0, 1]
    assert sparse.values.tolist() == [1, 0]
    np.testing.assert_array_equal(dense.values, np.eye(2))
    np.testing.assert_array_equal(behind.values, np.eye(2))


def test_maps_share_what_nobody_writes_to():
    weights = np.eye(2, dtype=np.float32)
    weights.flags.writeable = False
    assert np.shares_memory(ai.DenseMaps(weights).values, weights)


def test_hard_maps_stay_small():
    maps = ai.HardMaps(np.zeros(91_282, np.int32), 400)
    assert maps.nbytes == 4 * 91_282


def test_from_scipy_sums_duplicates_and_drops_zeros():
    from scipy.sparse import coo_array

    coo = coo_array(([1.0, 2.0, 0.0], ([0, 0, 1], [2, 2, 1])), shape=(2, 3))
    maps = ai.SparseMaps.from_scipy(coo)
    assert maps.values.tolist() == [3.0]
    assert maps.indptr.tolist() == [0, 1, 1]


@pytest.mark.parametrize(
    "labels",
    [
        [0, 2, -1],
        np.array([0, 2, -1]),
        np.array([0, 2, -1], np.int8),
        jnp.array([0, 2, -1], jnp.int8),
    ],
)
def test_labels_of_any_integer_type(labels):
    maps = ai.HardMaps(labels, 3)
    assert maps.labels.dtype == np.int32
    assert maps.labels.tolist() == [0, 2, -1]


@pytest.mark.parametrize("labels", [jnp.array([0.5, 1.0]), np.zeros((2, 3), np.int32)])
def test_labels_of_another_kind_or_shape_are_refused(labels):
    with pytest.raises(ValueError, match=r"should be (whole numbers|\(locations,\))"):
        ai.HardMaps(labels, 3)


@pytest.mark.parametrize("kind", [np.asarray, jnp.asarray])
@pytest.mark.parametrize("labels", [[0, 3], [-2, 0]])
def test_labels_of_no_row_are_refused(kind, labels):
    with pytest.raises(ValueError, match=f"rows from 0 to 2, got values from {min(labels)}"):
        ai.HardMaps(kind(labels, np.int32), 3)


@pytest.mark.parametrize("kind", [np.asarray, list])
@pytest.mark.parametrize("labels", [[0.0, 1.0], [2**32, 0], ["a"]])
def test_labels_that_are_no_int32_are_refused(kind, labels):
    with pytest.raises(ValueError, match="whole numbers that fit int32"):
        ai.HardMaps(kind(labels), 3)
