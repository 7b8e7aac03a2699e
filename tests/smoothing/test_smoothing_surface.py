"""Smoothing on anatomical surfaces against Workbench, and its geodesic distances."""

import nibabel as nib
import numpy as np
import pytest
from helpers_packages import package_file
from helpers_smoothing import (
    by_definition,
    icosphere,
    plane_mesh,
    real_mesh,
    voronoi,
    workbench,
)
from scipy.sparse.csgraph import dijkstra

import atlasinit as ai
from atlasinit.smoothing import smoothing_operator
from atlasinit.smoothing.surface import geodesic_graph

METHODS = {
    "GEO_GAUSS_AREA": {"conserve": "balanced"},
    "GEO_GAUSS_EQUAL": {"conserve": "balanced", "weights": "equal"},
    "GEO_GAUSS": {"weights": "equal"},
}


def columns(mesh, n=6):
    """Return a few one-hot parcels and a smooth field of the whole mesh."""
    maps = voronoi(mesh, 60).to_dense()[:n].T
    wave = np.sin(mesh.anatomical @ np.array([0.2, 0.1, 0.15]))
    return np.concatenate([maps, wave[:, None]], axis=1).astype(np.float32)


@pytest.mark.sweep
@pytest.mark.parametrize(
    "method",
    [
        *("GEO_GAUSS_AREA", "GEO_GAUSS_EQUAL"),
        pytest.param("GEO_GAUSS", marks=pytest.mark.sweep),
    ],
)
@pytest.mark.parametrize(
    ("geometry", "most", "least"), [("anatomical", 5e-4, 1 - 1e-7), ("sphere", 0.02, 0.9995)]
)
def test_workbench_on_a_real_hemisphere(tmp_path, method, geometry, most, least):
    mesh = real_mesh(cortex=False)
    data = columns(mesh)
    points = mesh.anatomical if geometry == "anatomical" else mesh.sphere
    theirs = workbench(tmp_path, points, mesh.faces, data, sigma=3, method=method)
    ours = smoothing_operator(mesh, sigma=3, truncate=3, geometry=geometry, **METHODS[method])(data)
    assert np.abs(ours - theirs).max() < most * np.ptp(theirs)
    assert np.corrcoef(np.ravel(ours), np.ravel(theirs))[0, 1] > least


@pytest.mark.parametrize("method", METHODS)
def test_workbench_on_fsaverage5(tmp_path, method):
    folder = "nilearn/datasets/data/fsaverage5/"
    pial, sphere = (
        nib.load(package_file("nilearn", f"{folder}{name}_left.gii.gz"))
        for name in ("pial", "sphere")
    )
    points, faces = pial.agg_data("pointset"), pial.agg_data("triangle")
    mesh = ai.SurfaceMesh(
        len(points), faces=faces, anatomical=points, sphere=sphere.agg_data("pointset")
    )
    data = columns(mesh)
    theirs = workbench(tmp_path, points, faces, data, sigma=5, method=method)
    ours = smoothing_operator(mesh, sigma=5, truncate=3, geometry="anatomical", **METHODS[method])(
        data
    )
    assert np.abs(ours - theirs).max() < 1e-4 * np.ptp(theirs)
    assert np.corrcoef(np.ravel(ours), np.ravel(theirs))[0, 1] > 1 - 1e-7


@pytest.mark.parametrize(
    "method", ["GEO_GAUSS_AREA", pytest.param("GEO_GAUSS", marks=pytest.mark.sweep)]
)
def test_workbench_inside_a_region(tmp_path, method):
    whole, cortex = real_mesh(cortex=False), real_mesh()
    data, region = columns(whole), cortex.mask.astype(np.float32)
    theirs = workbench(
        tmp_path, whole.anatomical, whole.faces, data, sigma=3, method=method, roi=region
    )[cortex.vertices]
    options = {"sigma": 3, "truncate": 3, "geometry": "anatomical"} | METHODS[method]
    if method == "GEO_GAUSS":
        ours = smoothing_operator(cortex, **options)(data[cortex.vertices])
        assert np.abs(ours - theirs).max() < 1e-5
    # In its first step Workbench counts what lies outside of the region, so that it is the
    # whole mesh's operator on the data in the region over that on the region itself.
    operator = smoothing_operator(whole, **options)
    inside = region[:, None]
    ratio = operator(data * inside)[cortex.vertices] / operator(inside)[cortex.vertices]
    assert np.abs(ratio - theirs).max() < 5e-4 * np.ptp(theirs)


def test_all_shortest_paths():
    """Against shortest paths between all pairs of a patch, with a hole and a second component."""
    mesh = plane_mesh(15)
    assert mesh.anatomical is not None
    assert mesh.faces is not None
    kept = np.delete(np.arange(225), np.r_[100:108, 3])
    points = np.concatenate([mesh.anatomical, mesh.anatomical + [0, 0, 1]])
    mesh = ai.SurfaceMesh(
        450,
        np.r_[kept, 225 + kept],
        faces=np.r_[mesh.faces, mesh.faces + 225],
        anatomical=points * [1, 1.3, 1],
    )
    distances = dijkstra(geodesic_graph(mesh.anatomical.astype(float), mesh.faces))
    distances = distances[np.ix_(mesh.vertices, mesh.vertices)]
    assert np.isinf(distances[: len(kept), len(kept) :]).all()
    data = np.random.default_rng(0).normal(size=(mesh.n_locations, 3)).astype(np.float32)
    for conserve in ("constant", "mass", "balanced"):
        operator = smoothing_operator(mesh, sigma=1.5, truncate=3, conserve=conserve)
        expected = by_definition(
            distances,
            mesh.vertex_areas[mesh.vertices],
            sigma=1.5,
            reach=4.5,
            conserve=conserve,
        )
        np.testing.assert_allclose(operator(data), expected @ data, atol=3e-6)
        np.testing.assert_allclose(operator(data, sigma=1.5), expected @ data, atol=3e-6)
        np.testing.assert_allclose(operator.transpose(data), expected.T @ data, atol=3e-6)


def test_distances_in_the_plane():
    """Edges and unfolded diagonals are at most 1/cos(15 deg) or so too long, never too short."""
    mesh = plane_mesh(21)
    points = mesh.anatomical.astype(float)
    distances = dijkstra(geodesic_graph(points, mesh.faces))
    exact = np.linalg.norm(points[:, None] - points, axis=2)
    ratio = distances[exact > 0] / exact[exact > 0]
    assert ratio.min() > 1 - 1e-9
    assert ratio.max() < 1.09
    assert ratio.mean() < 1.04


def test_distances_on_a_sphere():
    points, faces = icosphere(4)
    distances = dijkstra(geodesic_graph(points, faces), indices=[0, 500, 1234])
    exact = 100 * np.arccos(np.clip(points[[0, 500, 1234]] @ points.T / 1e4, -1, 1))
    near = (exact > 0) & (exact < 60)
    ratio = distances[near] / exact[near]
    # Straight edges are shorter than the arc by a fraction (edge / radius)^2 / 24.
    assert ratio.min() > 0.999
    assert ratio.max() < 1.05
    assert ratio.mean() < 1.02


@pytest.mark.parametrize("conserve", ["constant", "mass"])
def test_conservation_with_medial_wall(conserve):
    mesh = real_mesh()
    maps = voronoi(mesh, 100)
    operator = smoothing_operator(mesh, fwhm=6, geometry="anatomical", conserve=conserve)
    smooth = operator.smooth_maps(maps)
    assert isinstance(smooth, ai.SparseMaps)
    if conserve == "constant":
        partition = np.bincount(smooth.indices, weights=smooth.values, minlength=mesh.n_locations)
        assert np.abs(partition - 1).max() < 1e-6
    else:
        areas = mesh.vertex_areas[mesh.vertices]
        np.testing.assert_allclose(smooth.to_scipy() @ areas, maps.to_scipy() @ areas, rtol=1e-6)


def test_components_and_flipped_faces_do_not_matter():
    mesh = plane_mesh(11)
    faces = mesh.faces.copy()
    faces[::3] = faces[::3, ::-1]
    flipped = ai.SurfaceMesh(121, faces=faces, anatomical=mesh.anatomical)
    data = np.random.default_rng(0).normal(size=(121, 2)).astype(np.float32)
    plain = smoothing_operator(mesh, sigma=2.0)(data)
    np.testing.assert_allclose(smoothing_operator(flipped, sigma=2.0)(data), plain, atol=1e-6)


def test_given_areas_are_used():
    mesh = plane_mesh(9)
    areas = np.linspace(1, 3, 81)
    data = np.random.default_rng(0).normal(size=(81, 2)).astype(np.float32)
    operator = smoothing_operator(mesh.replace(areas=areas), sigma=2.0, conserve="mass")
    np.testing.assert_allclose(areas @ np.asarray(operator(data)), areas @ data, atol=1e-4)
    with pytest.raises(ValueError, match="areas should be positive"):
        smoothing_operator(mesh.replace(areas=areas - 1), sigma=2.0)


@pytest.mark.parametrize(
    ("mesh", "geometry", "message"),
    [
        (ai.SurfaceMesh(4), "auto", "has no surface to smooth on"),
        (ai.SurfaceMesh(4), "anatomical", "needs the mesh's `anatomical` surface"),
        (plane_mesh(4), "sphere", "needs the mesh's `sphere`"),
        (plane_mesh(4), "grid", "`geometry` 'grid' does not fit SurfaceMesh"),
        (ai.SurfaceMesh(4, anatomical=np.eye(4, 3)), "anatomical", "needs the mesh's `faces`"),
        (
            ai.SurfaceMesh(4, anatomical=np.eye(4, 3), faces=[[0, 1, 2]]),
            "auto",
            "1 kept vertices belong to no face",
        ),
        (
            ai.SurfaceMesh(3, anatomical=np.zeros((3, 3)), faces=[[0, 1, 2]]),
            "auto",
            "degenerate",
        ),
        (
            ai.SurfaceMesh(3, anatomical=[[0, 0, 0], [1, 0, 0], [2, 0, 0]], faces=[[0, 1, 2]]),
            "auto",
            "degenerate",
        ),
    ],
)
def test_bad_surfaces(mesh, geometry, message):
    with pytest.raises(ValueError, match=message):
        smoothing_operator(mesh, sigma=1.0, geometry=geometry)
