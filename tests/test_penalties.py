"""Penalties of maps against NumPy, SciPy and closed forms; gradients against differences in float64."""

import functools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy
from helpers import mixed_atlas
from helpers_smoothing import plane_mesh, sphere_mesh
from jax import enable_x64
from scipy.sparse import csr_array

import atlasinit as ai
from atlasinit import penalties

GRID = ai.VolumeGrid(
    (4, 3, 5), np.array([[0.0, 2, 0, 1], [3, 0, 0, 2], [0, 0, 1.5, 0], [0, 0, 0, 1]])
)
MESHES = {"grid": GRID, "plane": plane_mesh(6, 1.5), "sphere": sphere_mesh(1)}


@functools.cache
def weights(n_locations, parcels=4):
    rng = np.random.default_rng(n_locations)
    out = rng.random((parcels, n_locations)) * (rng.random((parcels, n_locations)) < 0.6)
    out[:, 2] = 0  # a location of no parcel
    out[3] = 0  # a parcel of no location
    return out


def distances(geometry):
    """Squared distances of locations to the centres of parcels, one by one."""
    w = weights(geometry.n_locations)
    spherical = isinstance(geometry, ai.SurfaceMesh) and geometry.sphere is not None
    points = geometry.coordinates if isinstance(geometry, ai.VolumeGrid) else geometry.anatomical
    points = np.asarray(geometry.sphere if spherical else points, float)
    out = np.zeros_like(w)
    for k in range(3):
        centre = w[k] @ points / w[k].sum()
        if spherical:
            cosine = points @ centre / np.linalg.norm(centre) / geometry.radius
            out[k] = (geometry.radius * np.arccos(cosine)) ** 2
        else:
            out[k] = ((points - centre) ** 2).sum(1)
    return out


@pytest.mark.parametrize("geometry", MESHES.values(), ids=MESHES)
def test_compactness_is_the_mean_squared_distance_to_the_centres(geometry):
    w = weights(geometry.n_locations)
    found = penalties.compactness(ai.DenseMaps(w.astype(np.float32)), geometry=geometry)
    np.testing.assert_allclose(found, (w * distances(geometry)).sum() / w.sum(), rtol=1e-4)


def test_compactness_goes_by_the_distance_that_is_asked_for():
    points = sphere_mesh(1).sphere
    mesh = ai.SurfaceMesh(42, sphere=points, anatomical=2 * points)
    w = np.zeros((1, 42), np.float32)
    w[0, [0, 1]] = 1
    step = np.linalg.norm(points[0] - points[1])
    # Of two locations, each lies half of the way from the centre.
    for distance, expected in {
        "mm": step**2,
        "sphere": (100 * np.arcsin(step / 200)) ** 2,
    }.items():
        found = penalties.compactness(ai.DenseMaps(w), geometry=mesh, distance=distance)
        np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_entropy_is_scipys_mean():
    w = weights(60)
    some = w.sum(0) > 0
    expected = np.average(scipy.stats.entropy(w[:, some], base=2), weights=w.sum(0)[some])
    for maps in (ai.DenseMaps(w.astype(np.float32)), ai.SparseMaps.from_scipy(csr_array(w))):
        np.testing.assert_allclose(penalties.entropy(maps), expected, rtol=1e-5)
    assert penalties.entropy(ai.HardMaps(np.array([0, 1, -1], np.int32), 2)) == 0


def test_smoothness_of_a_linear_map_is_the_square_of_its_slope():
    mesh = plane_mesh(7, 1.5)
    slopes = np.array([[3.0, 0.0], [-1.0, 2.0]])
    maps = ai.DenseMaps((slopes @ mesh.anatomical[:, :2].T).astype(np.float32))
    found = penalties.smoothness(maps, geometry=mesh)
    np.testing.assert_allclose(found, (slopes**2).sum(), rtol=1e-5)
    # The differences of a grid leave out its last slice along each axis.
    along = ai.DenseMaps(np.asarray(GRID.coordinates[:, 2:].T, np.float32))
    np.testing.assert_allclose(penalties.smoothness(along, geometry=GRID), 4 / 5, rtol=1e-5)


def test_tether_and_balance():
    w = weights(60).astype(np.float32)
    other = np.roll(w, 1, axis=1)
    np.testing.assert_allclose(
        penalties.tether(ai.DenseMaps(w), ai.DenseMaps(other)), ((w - other) ** 2).sum() / 60, 1e-5
    )
    hard = ai.HardMaps(np.array([0, 0, 0, 1, -1], np.int32), 3)
    moved = ai.HardMaps(np.array([0, 0, 1, 1, -1], np.int32), 3)
    np.testing.assert_allclose(penalties.tether(moved, hard), 2 / 5)
    sizes = np.array([3, 1, 0])
    np.testing.assert_allclose(penalties.balance(hard), np.var(sizes / sizes.mean()), rtol=1e-6)
    mesh = plane_mesh(6, 1.5)
    sizes = weights(36) @ mesh.vertex_areas
    found = penalties.balance(ai.DenseMaps(weights(36).astype(np.float32)), geometry=mesh)
    np.testing.assert_allclose(found, np.var(sizes / sizes.mean()), rtol=1e-5)


def terms(geometry):
    start = ai.DenseMaps(np.roll(weights(geometry.n_locations), 3, axis=1))
    return {
        "entropy": penalties.entropy,
        "compactness": lambda m: penalties.compactness(m, geometry=geometry),
        "smoothness": lambda m: penalties.smoothness(m, geometry=geometry),
        "tether": lambda m: penalties.tether(m, start),
        "balance": lambda m: penalties.balance(m, geometry=geometry),
    }


@pytest.mark.sweep
@pytest.mark.parametrize("where", MESHES)
@pytest.mark.parametrize("name", terms(GRID))
def test_gradients_are_those_of_differences(where, name):
    geometry = MESHES[where]
    with enable_x64(True):  # noqa: FBT003
        # Away from 0, where the entropy has no slope, and from equal weights, whose centre on a
        # sphere has no direction.
        some = np.random.default_rng(1).uniform(0.1, 0.2, (4, geometry.n_locations))
        w = jnp.asarray(some + weights(geometry.n_locations))
        value = jax.jit(lambda w: terms(geometry)[name](ai.DenseMaps(w)))
        direction = jnp.sin(1 + jnp.arange(w.size, dtype=w.dtype)).reshape(w.shape)
        slope = (jax.grad(value)(w) * direction).sum()
        step = 1e-5
        difference = (value(w + step * direction) - value(w - step * direction)) / (2 * step)
        np.testing.assert_allclose(slope, difference, rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("name", terms(GRID))
def test_empty_parcels_and_locations_and_nan(name):
    geometry = MESHES["sphere"]
    value = jax.jit(lambda w: terms(geometry)[name](ai.DenseMaps(w)))
    w = jnp.asarray(weights(geometry.n_locations), jnp.float32)
    for given in (w, jnp.zeros_like(w), jnp.ones_like(w), 0.1 + w):
        assert np.isfinite(value(given))
        assert np.abs(jax.grad(value)(given)).max() < 1e6
    assert np.isnan(value(w.at[1, 5].set(jnp.nan)))


@pytest.mark.parametrize("dense", [False, True], ids=["sparse", "dense"])
def test_layers_train_against_a_penalty(dense):
    atlas = ai.smooth(mixed_atlas().select(compartments="subcortex").harden(), sigma=3.0)
    layer = ai.AtlasLinear.from_atlas(atlas, domain=ai.domains.Simplex(), dense=dense)
    assert penalties.tether(layer, layer) == 0
    np.testing.assert_allclose(penalties.entropy(layer), penalties.entropy(layer.to_atlas()), 1e-5)

    @eqx.filter_jit
    @eqx.filter_value_and_grad
    def value(layer):
        return penalties.entropy(layer) + 1e-3 * penalties.compactness(layer)

    first, slopes = value(layer)
    moved = eqx.apply_updates(layer, jax.tree.map(lambda g: -0.1 * g, slopes))
    assert value(moved)[0] < first


BAD = {
    "a name": (
        lambda: penalties.entropy("atlas"),
        TypeError,
        "`model` should be a layer, an Atlas",
    ),
    "no geometry": (
        lambda: penalties.compactness(ai.DenseMaps(np.ones((2, 3), np.float32))),
        ValueError,
        "`geometry` is needed for maps alone",
    ),
    "two geometries": (
        lambda: penalties.smoothness(mixed_atlas(), geometry=GRID),
        ValueError,
        "`geometry` is for maps alone",
    ),
    "no faces": (
        lambda: penalties.smoothness(mixed_atlas()),
        ValueError,
        "`geometry` needs faces",
    ),
    "no sphere": (
        lambda: penalties.compactness(mixed_atlas(), distance="sphere"),
        ValueError,
        "needs the `sphere` of a mesh",
    ),
    "distance": (
        lambda: penalties.compactness(mixed_atlas(), distance="geodesic"),
        ValueError,
        "`distance` should be",
    ),
    "another start": (
        lambda: penalties.tether(mixed_atlas(), mixed_atlas().select(compartments="subcortex")),
        ValueError,
        "`start` should have the compartments",
    ),
    "no start": (lambda: penalties.tether(mixed_atlas(), None), TypeError, "`start` should be"),
}


@pytest.mark.parametrize(("call", "kind", "match"), BAD.values(), ids=BAD)
def test_bad_input(call, kind, match):
    with pytest.raises(kind, match=match):
        call()
