"""Smoothing on the sphere against all pairs, the ancestor's kernel and spherical harmonics."""

import numpy as np
import pytest
from helpers_smoothing import (
    by_definition,
    great_circle,
    icosphere,
    real_mesh,
    sphere_mesh,
    voronoi,
)
from scipy.special import eval_legendre, legendre_p_all

import atlasinit as ai
from atlasinit.core.geometry import triangle_vertex_areas
from atlasinit.smoothing import smoothing_operator

CONSERVE = ("constant", "mass", "balanced")
HOLES = np.delete(np.arange(642), np.r_[0, 40:90, 300])


@pytest.mark.sweep
@pytest.mark.parametrize("conserve", CONSERVE)
@pytest.mark.parametrize("radius", [1.0, 100.0])
@pytest.mark.parametrize("vertices", [None, HOLES], ids=["whole", "holes"])
def test_all_pairs(conserve, radius, vertices):
    mesh = sphere_mesh(3, radius, vertices)
    sigma = 0.1 * radius
    operator = smoothing_operator(mesh, sigma=sigma, truncate=3.0, conserve=conserve)
    kept = mesh.vertices
    points, faces = icosphere(3, radius)
    areas = triangle_vertex_areas(points, faces)[kept]
    distances = great_circle(points[kept])
    expected = by_definition(distances, areas, sigma=sigma, reach=3 * sigma, conserve=conserve)
    data = np.random.default_rng(0).normal(size=(len(kept), 5)).astype(np.float32)
    np.testing.assert_allclose(operator(data), expected @ data, atol=3e-6)
    np.testing.assert_allclose(operator.transpose(data), expected.T @ data, atol=3e-6)
    np.testing.assert_allclose(operator(data, sigma=sigma), expected @ data, atol=3e-6)
    maps = ai.HardMaps((np.arange(len(kept)) % 7 - 1).astype(np.int32), 6)
    np.testing.assert_allclose(
        operator.smooth_maps(maps).to_dense(), maps.to_dense() @ expected.T, atol=3e-6
    )


@pytest.mark.sweep
def test_the_ancestors_all_pairs_kernel():
    """Every pair, no areas, rows normalised; on 5,000 vertices of the real sphere."""
    whole = real_mesh()
    assert whole.sphere is not None
    # A cap, so that the kept 5,000 vertices are neighbours of each other.
    mesh = whole.restrict(np.argsort(-whole.sphere[whole.vertices] @ [0.0, 1, 0])[:5000])
    maps = voronoi(mesh, 30)
    operator = smoothing_operator(mesh, sigma=3.0, geometry="sphere", truncate=6, weights="equal")
    assert mesh.sphere is not None
    points = mesh.sphere[mesh.vertices].astype(np.float64)
    kernel = np.exp(-0.5 * (great_circle(points) / 3) ** 2)
    expected = maps.to_dense() @ (kernel / kernel.sum(axis=1, keepdims=True)).T
    assert np.abs(operator.smooth_maps(maps).to_dense() - expected).max() < 1e-5
    assert np.abs(operator(maps.to_dense().T).T - expected).max() < 1e-5


@pytest.mark.parametrize(("factor", "reach"), [(1.0, 40.0), (2.0, 45.0), (0.5, 15.0)])
def test_widths_of_hypercoil_convert(factor, reach):
    """Its formula, exp(-(d / (factor sigma))^2 / 2) up to d = reach in mm; the rows normalised."""
    points = np.random.default_rng(0).normal(size=(300, 3))
    points *= 100 / np.linalg.norm(points, axis=1, keepdims=True)
    sigma, distance = 10.0, great_circle(points)
    kernel = np.where(distance > reach, 0, np.exp(-((distance / (factor * sigma)) ** 2) / 2))
    operator = smoothing_operator(
        ai.SurfaceMesh(300, sphere=points),
        sigma=factor * sigma,
        truncate=reach / (factor * sigma),
        geometry="sphere",
        weights="equal",
    )
    data = np.random.default_rng(1).normal(size=(300, 4)).astype(np.float32)
    expected = kernel @ data / kernel.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(operator(data), expected, atol=2e-5)


@pytest.mark.parametrize("sigma", [3.0, 10.0, 25.0])
def test_heat_profile_is_the_heat_kernel(sigma):
    """Against the sum of Legendre polynomials, up to a factor, at every angle in reach."""
    degree = np.arange(400)
    time = (sigma / 100) ** 2 / 2
    angles = np.linspace(0, 3.99 * sigma / 100, 50)
    factors = (2 * degree + 1) * np.exp(-degree * (degree + 1) * time)
    exact = factors @ legendre_p_all(399, np.cos(angles))[0]
    points = 100 * np.stack([np.sin(angles), 0 * angles, np.cos(angles)], axis=1)
    mesh = ai.SurfaceMesh(50, sphere=points)
    operator = smoothing_operator(
        mesh, sigma=sigma, geometry="sphere", weights="equal", profile="heat", conserve="constant"
    )
    impulse = np.eye(50, 1, dtype=np.float32)
    # The first column of the kernel, with the rows' normalisation undone.
    ours = np.asarray(operator(impulse)[:, 0]) / np.asarray(operator.left)
    # Beyond three sigmas the sum itself loses digits by cancellation.
    clear = exact > 1e-9 * exact.max()
    np.testing.assert_allclose(ours[clear] / ours[0], (exact / exact[0])[clear], rtol=3e-4)


def harmonic_error(mesh, degree, sigma, truncate):
    """Return the relative error of a zonal harmonic's decay in the maximum norm."""
    assert mesh.sphere is not None
    height = mesh.sphere.astype(np.float64) @ np.array([0.36, 0.48, 0.8]) / mesh.radius
    data = eval_legendre(degree, height)[:, None].astype(np.float32)
    operator = smoothing_operator(
        mesh, sigma=sigma, geometry="sphere", profile="heat", truncate=truncate
    )
    decay = np.exp(-degree * (degree + 1) * (sigma / mesh.radius) ** 2 / 2)
    return np.abs(np.asarray(operator(data)) - decay * data).max() / decay


def test_heat_decay_of_harmonics_at_32k():
    mesh = real_mesh(cortex=False)
    for degree in (1, 4, 10, 20):
        assert harmonic_error(mesh, degree, 3.0, 4.0) < 0.01


def test_heat_decay_converges_as_the_mesh_is_refined():
    errors = [harmonic_error(sphere_mesh(level), 6, 8.0, 6.0) for level in (3, 4, 5)]
    assert errors[0] > 3 * errors[1] > 9 * errors[2]
    assert errors[2] < 1e-3


def test_a_kernel_that_reaches_most_of_the_sphere_is_built():
    mesh, sigma = sphere_mesh(4), 22.6
    operator = smoothing_operator(mesh, sigma=sigma, geometry="sphere", truncate=6, weights="equal")
    points = mesh.sphere / np.linalg.norm(mesh.sphere, axis=1, keepdims=True)
    apart = 100 * np.arccos(np.clip(points.astype(np.float64) @ points.T.astype(np.float64), -1, 1))
    kernel = np.where(apart <= 6 * sigma, np.exp(-0.5 * (apart / sigma) ** 2), 0)
    data = np.random.default_rng(0).normal(size=(mesh.n_vertices, 2)).astype(np.float32)
    expected = kernel @ data / kernel.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(operator(data), expected, atol=1e-4)


def test_heat_semigroup():
    mesh = sphere_mesh(4)
    data = np.random.default_rng(0).normal(size=(mesh.n_vertices, 2)).astype(np.float32)
    first, second, both = (
        smoothing_operator(mesh, sigma=s, profile="heat", truncate=6) for s in (9.0, 12.0, 15.0)
    )
    data = first(data)
    # Twice with 9 and 12 is once with 15, once the first has made the data smooth.
    once, twice = both(first(data)), second(first(first(data)))
    assert np.abs(once - twice).max() < 2e-3 * np.abs(once).max()


def test_adjoint_is_symmetric_in_the_areas():
    mesh = sphere_mesh(3, vertices=HOLES)
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(2, len(HOLES), 3)).astype(np.float32)
    operator = smoothing_operator(mesh, sigma=12.0, conserve="mass")
    # The smoothing of densities: diag(areas) S is not symmetric, but K is.
    assert np.isclose((y * operator(x)).sum(), (operator.transpose(y) * x).sum(), rtol=1e-4)
    kernel = np.asarray(operator(np.eye(len(HOLES), dtype=np.float32))) / np.asarray(operator.right)
    np.testing.assert_allclose(kernel, kernel.T, atol=1e-6)


def test_rotation_and_order_of_vertices():
    points, faces = icosphere(3)
    rng = np.random.default_rng(2)
    rotation = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    order = rng.permutation(len(points))
    number = np.argsort(order)
    data = rng.normal(size=(len(points), 3)).astype(np.float32)
    plain = smoothing_operator(sphere_mesh(3), sigma=15.0)(data)
    turned = ai.SurfaceMesh(len(points), faces=faces, sphere=points @ rotation)
    np.testing.assert_allclose(smoothing_operator(turned, sigma=15.0)(data), plain, atol=2e-6)
    mixed = ai.SurfaceMesh(len(points), faces=number[faces], sphere=points[order])
    np.testing.assert_allclose(
        smoothing_operator(mixed, sigma=15.0)(data[order]), plain[order], atol=2e-6
    )
    kept = rng.permutation(np.arange(600))
    ordered, shuffled = (
        smoothing_operator(sphere_mesh(3, vertices=v), sigma=15.0) for v in (np.sort(kept), kept)
    )
    np.testing.assert_allclose(shuffled(data[kept]), ordered(data[:600])[kept], atol=2e-6)


def test_scale_is_a_change_of_width():
    data = np.random.default_rng(3).normal(size=(642, 2)).astype(np.float32)
    scaled = smoothing_operator(sphere_mesh(3), sigma=10.0, spherical_scale=0.8)
    plain = smoothing_operator(sphere_mesh(3), sigma=12.5)
    np.testing.assert_allclose(scaled(data), plain(data), atol=2e-6)


def folded():
    """Return a sphere with one vertex pushed across its neighbours."""
    points, faces = icosphere(3)
    points = points.copy()
    points[100] = points[faces[(faces == 100).any(axis=1)][0]].sum(axis=0) - 2.2 * points[100]
    points[100] *= 100 / np.linalg.norm(points[100])
    return ai.SurfaceMesh(len(points), faces=faces, sphere=points)


def test_folded_sphere_warns():
    with pytest.warns(ai.AtlasWarning, match="triangles of the sphere are flipped"):
        smoothing_operator(folded(), sigma=10.0)


def degenerate():
    points, faces = icosphere(2)
    return ai.SurfaceMesh(len(points), faces=np.r_[faces, [[0, 1, 1]]], sphere=points)


def unreferenced():
    points, faces = icosphere(2)
    return ai.SurfaceMesh(len(points) + 1, faces=faces, sphere=np.r_[points, [[0, 0, 100]]])


def doubled():
    points, faces = icosphere(2)
    n = len(points)
    return ai.SurfaceMesh(2 * n, faces=np.r_[faces, faces + n], sphere=np.r_[points, points])


def squashed():
    points, faces = icosphere(2)
    return ai.SurfaceMesh(len(points), faces=faces, sphere=points * [1, 1, 0.9])


@pytest.mark.parametrize(
    ("mesh", "message"),
    [
        (degenerate(), "1 triangles of the spherical surface are degenerate"),
        (unreferenced(), "1 kept vertices belong to no face"),
        (doubled(), "2 components that share one sphere"),
        (squashed(), "one radius around the origin, got 90"),
        (sphere_mesh(2).restrict(np.array([], int)), "at least one location"),
        (ai.SurfaceMesh(3, sphere=np.eye(3) + 1), "needs the mesh's `faces`"),
        (ai.SurfaceMesh(3), "needs the mesh's `sphere`"),
    ],
)
def test_bad_spheres(mesh, message):
    with pytest.raises(ValueError, match=message):
        smoothing_operator(mesh, sigma=0.5 if mesh.n_vertices == 3 else 20.0, geometry="sphere")


def test_truncation():
    with pytest.warns(ai.AtlasWarning, match="most locations have no neighbour"):
        operator = smoothing_operator(sphere_mesh(2), sigma=1.0)
    data = np.random.default_rng(0).normal(size=(162, 1)).astype(np.float32)
    np.testing.assert_allclose(operator(data), data, rtol=1e-6)
    with pytest.raises(ValueError, match="more than a quarter of the great circle"):
        smoothing_operator(sphere_mesh(2), sigma=40.0)
