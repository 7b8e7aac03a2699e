"""Entropy, boundary width, sizes and overlap against closed forms and SciPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy
from helpers import mixed_atlas
from helpers_smoothing import plane_mesh, sphere_mesh, voronoi
from jax import enable_x64
from scipy.sparse import csr_array

import atlasinit as ai
from atlasinit.core.adjacency import count_borders, find_touching
from atlasinit.measures import (
    EDGE,
    boundary_width,
    centres,
    location_entropy,
    overlap,
    parcel_entropy,
    parcel_sizes,
)
from atlasinit.smoothing import smoothing_operator

RISE = 2 * scipy.stats.norm.ppf(0.9)  # sigmas from 10 to 90 %


def sparse(weights):
    return ai.SparseMaps.from_scipy(csr_array(np.asarray(weights, np.float32)))


def random_weights(seed, shape=(5, 40)):
    rng = np.random.default_rng(seed)
    return (rng.random(shape) * (rng.random(shape) < 0.4)).astype(np.float32)


@pytest.mark.parametrize("dense", [False, True], ids=["sparse", "dense"])
def test_entropy_is_scipys(dense):
    weights = random_weights(0)
    maps = ai.DenseMaps(weights) if dense else sparse(weights)
    found = location_entropy(maps)
    some = weights.sum(axis=0) > 0
    assert not some.all()
    np.testing.assert_allclose(
        found[some], scipy.stats.entropy(weights[:, some].astype(float), base=2), atol=1e-12
    )
    assert np.isnan(found[~some]).all()
    expected = [np.average(found[some], weights=w[some]) for w in weights.astype(float)]
    np.testing.assert_allclose(parcel_entropy(maps), expected)


def test_entropy_of_labels_is_0_and_of_equal_shares_the_logarithm():
    assert location_entropy(ai.HardMaps(np.array([0, 1, -1], np.int32), 2))[:2].tolist() == [0, 0]
    np.testing.assert_allclose(location_entropy(sparse(np.full((8, 3), 0.2))), 3)
    # Negative weights are no memberships.
    np.testing.assert_allclose(location_entropy(sparse([[2, -1], [2, -1], [-5, 1]])), [1, 0])


def test_nan_weights_are_seen():
    maps = ai.DenseMaps(np.array([[1, np.nan, 0], [1, 1, 1]], np.float32))
    np.testing.assert_allclose(location_entropy(maps), [1, np.nan, 0])
    grid = ai.VolumeGrid((3, 1, 1), np.eye(4))
    for measured in (
        parcel_entropy(maps),
        boundary_width(maps, grid),
        parcel_sizes(maps, grid),
        centres(maps, grid)[:, 0],
    ):
        assert np.isnan(measured[0])


def test_the_constant_is_that_of_a_gaussian_edge():
    x = np.linspace(-12, 12, 24001)
    m = scipy.stats.norm.cdf(x)
    assert EDGE * scipy.integrate.trapezoid(m * (1 - m), x) == pytest.approx(RISE, rel=1e-6)
    assert pytest.approx(np.sqrt(np.pi) * RISE, rel=1e-6) == EDGE


def plane(direction):
    """A flat mesh, and the distance from a straight line at its middle."""
    mesh = plane_mesh(81, 1.0)
    assert mesh.anatomical is not None
    return mesh, (mesh.anatomical - 40.2) @ [*direction, 0.0]


def sphere():
    mesh = sphere_mesh(5)
    return mesh, 100 * np.arcsin(mesh.sphere[:, 2] / 100)


def grid(affine, direction):
    place = ai.VolumeGrid((30, 30, 30), affine)
    return place, (place.coordinates - place.coordinates.mean(axis=0) - 0.3) @ direction


def anisotropic():
    return grid(np.diag([2.0, -1.0, 1.5, 1.0]), [1.0, 0, 0])


def oblique_and_sheared():
    affine = np.eye(4)
    turn = scipy.spatial.transform.Rotation.from_euler("xyz", [20, 35, 50], degrees=True)
    affine[:3, :3] = np.diag([1.0, 1.2, 0.9]) @ turn.as_matrix()
    return grid(affine, [0.6, 0.64, 0.48])


STRAIGHT = {
    "plane": (lambda: plane([1.0, 0.0]), 3.0),
    "plane, oblique": (lambda: plane([0.6, 0.8]), 4.0),
    "sphere": (sphere, 8.0),
    "grid": (anisotropic, 4.0),
    "grid, oblique and sheared": (oblique_and_sheared, 2.5),
}


@pytest.mark.parametrize(("case", "sigma"), STRAIGHT.values(), ids=STRAIGHT)
def test_a_straight_gaussian_boundary_has_the_width_of_the_closed_form(case, sigma):
    place, distance = case()
    share = scipy.stats.norm.cdf(distance / sigma).astype(np.float32)
    maps = ai.DenseMaps(np.stack([share, 1 - share]))
    np.testing.assert_allclose(boundary_width(maps, place), RISE * sigma, rtol=0.012)
    per_cent = ai.DenseMaps(100 * maps.values)
    np.testing.assert_allclose(
        boundary_width(per_cent, place), boundary_width(maps, place), rtol=1e-5
    )
    assert boundary_width(maps.harden(), place).tolist() == [0, 0]


@pytest.mark.parametrize(("case", "sigma"), [(sphere, 8.0), (anisotropic, 4.0)])
def test_a_boundary_that_was_smoothed_is_as_wide_as_the_kernel(case, sigma):
    place, distance = case()
    hard = ai.HardMaps((distance > 0).astype(np.int32), 2)
    soft = smoothing_operator(place, sigma=sigma).smooth_maps(hard)
    np.testing.assert_allclose(boundary_width(soft, place), RISE * sigma, rtol=0.02)


def test_wider_kernels_blur_parcels_more():
    mesh = sphere_mesh(4)
    maps = voronoi(mesh, 12)
    before = np.zeros(12)
    for sigma in (7.0, 9.0, 11.0):
        soft = smoothing_operator(mesh, sigma=sigma).smooth_maps(maps)
        found = boundary_width(soft, mesh)
        assert np.median(found) == pytest.approx(RISE * sigma, rel=0.1)
        assert (found > before).all()
        before = found


def test_what_has_no_boundary_has_no_width():
    place = ai.VolumeGrid((2, 3, 4), np.eye(4))
    maps = ai.HardMaps(np.zeros(24, np.int32), 2)
    assert np.isnan(boundary_width(maps, place)).all()
    assert np.isnan(boundary_width(maps, ai.SurfaceMesh(24))).all()
    assert boundary_width(ai.HardMaps(np.full(24, -1, np.int32), 0), place).shape == (0,)


def test_widths_do_not_depend_on_the_batches():
    place = sphere_mesh(3)
    maps = sparse(random_weights(5, (20, place.n_locations)))
    whole = boundary_width(maps, place)
    np.testing.assert_array_equal(boundary_width(maps, place, batch_nonzeros=10), whole)


def test_sizes_and_centres():
    affine = np.diag([2.0, 3.0, -4.0, 1.0])
    place = ai.VolumeGrid((4, 1, 1), affine)
    maps = ai.HardMaps(np.array([0, 0, 1, -1], np.int32), 3)
    assert parcel_sizes(maps, place).tolist() == pytest.approx([48, 24, 0])
    np.testing.assert_allclose(centres(maps, place), [[1, 0, 0], [4, 0, 0], [np.nan] * 3])
    half = sparse([[50, 100, 0, 0], [0, 0, 10, 10]])
    assert parcel_sizes(half, place).tolist() == pytest.approx([36, 48])
    mesh = plane_mesh(11)
    whole = ai.HardMaps(np.zeros(121, np.int32), 1)
    assert parcel_sizes(whole, mesh).tolist() == pytest.approx([100])
    np.testing.assert_allclose(centres(whole, mesh), [[5, 5, 0]])
    assert np.isnan(centres(whole, ai.SurfaceMesh(121))).all()
    with pytest.raises(ValueError, match="needs `areas`, or `anatomical`"):
        parcel_sizes(whole, ai.SurfaceMesh(121))


def test_overlap_is_the_cosine():
    weights = random_weights(3)
    weights[2] = 0
    found = overlap(sparse(weights)).toarray()
    kept = [0, 1, 3, 4]
    cosine = 1 - scipy.spatial.distance.squareform(
        scipy.spatial.distance.pdist(weights[kept].astype(float), "cosine")
    )
    np.testing.assert_allclose(found[np.ix_(kept, kept)], cosine, atol=1e-12)
    assert not found[2].any()
    labels = ai.HardMaps(np.array([0, 1, 1, 2], np.int32), 3)
    np.testing.assert_allclose(overlap(labels).toarray(), np.eye(3))


def test_what_touches():
    grid = ai.VolumeGrid((2, 2, 1), np.eye(4), [0, 1, 3])
    assert sorted(map(tuple, find_touching(grid).T.tolist())) == [(0, 1), (1, 2)]
    mesh = ai.SurfaceMesh(4, [3, 0, 1], faces=[[0, 1, 2], [2, 1, 3], [0, 1, 3]])
    pairs = find_touching(mesh)
    assert sorted(map(tuple, pairs.T.tolist())) == [(0, 1), (0, 2), (1, 2)]
    maps = ai.HardMaps(np.array([1, 1, 0], np.int32), 3)
    assert count_borders(maps, pairs).toarray().tolist() == [[0, 2, 0], [2, 0, 0], [0, 0, 0]]
    assert find_touching(ai.SurfaceMesh(4)).shape == (2, 0)
    points = np.random.default_rng(0).random((8, 3)) < 0.7
    cube = ai.VolumeGrid((5, 6, 7), np.eye(4), np.flatnonzero(points.reshape(-1)))
    near = np.abs(cube.ijk[:, None] - cube.ijk).sum(axis=-1) == 1
    assert find_touching(cube).shape[1] == near.sum() / 2


MESH = plane_mesh(6, 1.5)
TRACED = {
    "location_entropy": location_entropy,
    "parcel_entropy": parcel_entropy,
    "parcel_sizes": lambda maps: parcel_sizes(maps, MESH),
    "centres": lambda maps: centres(maps, MESH),
    "boundary_width": lambda maps: boundary_width(maps, MESH),
    "overlap": overlap,
    "to_dense": lambda maps: maps.to_dense(),
}


@pytest.mark.parametrize("kind", ["hard", "sparse", "dense"])
@pytest.mark.parametrize("name", TRACED)
def test_traced_maps_are_measured_as_concrete_ones(name, kind):
    weights = random_weights(3, (4, 36))
    weights[2, :] = 0
    weights[:, 5] = [-0.5, 0, 0, 0]
    maps = {
        "hard": lambda: sparse(weights).harden(),
        "sparse": lambda: sparse(weights),
        "dense": lambda: ai.DenseMaps(weights),
    }[kind]()
    measure = TRACED[name]
    expected, found = measure(maps), jax.jit(measure)(maps)
    expected = expected.toarray() if hasattr(expected, "toarray") else expected
    np.testing.assert_allclose(found, expected, rtol=2e-5, atol=1e-6)


@pytest.mark.parametrize("name", TRACED)
def test_measures_have_gradients(name):
    with enable_x64(True):  # noqa: FBT003
        w = jnp.asarray(0.1 + random_weights(4, (3, 36)), float)

        @jax.jit
        def value(w):
            out = TRACED[name](ai.DenseMaps(w))
            return (out * jnp.sin(jnp.arange(out.size, dtype=float)).reshape(out.shape)).sum()

        direction = jnp.cos(jnp.arange(w.size, dtype=float)).reshape(w.shape)
        step = 1e-6
        difference = (value(w + step * direction) - value(w - step * direction)) / (2 * step)
        slope = (jax.grad(value)(w) * direction).sum()
        np.testing.assert_allclose(slope, difference, rtol=1e-5, atol=1e-7)


def test_an_atlas_is_dense_while_it_is_traced():
    atlas = mixed_atlas()
    found = jax.jit(lambda atlas: atlas.to_dense())(atlas)
    for c, expected in atlas.to_dense().items():
        np.testing.assert_array_equal(found[c], expected)
