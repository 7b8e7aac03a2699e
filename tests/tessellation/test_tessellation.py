"""Atlases of a geometry alone: by definition, closed forms, and what is refused."""

import jax
import numpy as np
import pytest
from helpers import unchecked
from helpers_nulls import bent_sphere, two_hemispheres
from helpers_smoothing import great_circle, icosphere, plane_mesh, sphere_mesh
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial.distance import cdist

import atlasinit as ai
from atlasinit.core.adjacency import find_touching
from atlasinit.nullmodels import draw_rotations
from atlasinit.tessellation.regular import icosahedral_points

GRID = ai.VolumeGrid.from_mask(
    np.arange(210).reshape(5, 6, 7) % 11 > 0, np.diag([2.0, 3.0, 2.0, 1.0])
)
RNG = np.random.default_rng(0)


def pieces_of(atlas, c):
    """Return in how many pieces each parcel of a compartment is."""
    labels = np.asarray(atlas.maps[c].labels)
    a, b = find_touching(atlas.geometry[c])
    inside = labels[a] == labels[b]
    n = labels.size
    graph = coo_array((np.ones(inside.sum()), (a[inside], b[inside])), shape=(n, n))
    piece = connected_components(graph, directed=False)[1]
    return [len(np.unique(piece[labels == k])) for k in range(atlas.maps[c].n_parcels)]


def test_voronoi_on_a_grid_by_definition():
    points = GRID.coordinates[RNG.choice(GRID.n_locations, 9, replace=False)] + RNG.normal(
        size=(9, 3)
    )
    atlas = ai.voronoi_atlas({"volume": GRID}, points, names=list("abcdefghi"), space="mine")
    near = cdist(GRID.coordinates, points)
    np.testing.assert_array_equal(atlas.maps["volume"].labels, near.argmin(axis=1))
    assert atlas.labels["name"].tolist() == list("abcdefghi")
    assert (atlas.space, atlas.labels["key"].tolist()) == ("mine", list(range(1, 10)))
    cut = ai.voronoi_atlas({"volume": GRID}, points, max_distance=3)
    np.testing.assert_array_equal(
        cut.maps["volume"].labels, np.where(near.min(axis=1) <= 3, near.argmin(axis=1), -1)
    )
    assert cut.provenance.operations == ("voronoi_atlas(distance=None, max_distance=3)",)


def test_equal_distances_go_to_the_first_point():
    grid = ai.VolumeGrid((3, 3, 3), np.eye(4))
    corners = np.array([[x, y, z] for x in (2, 0) for y in (0, 2) for z in (2, 0)], float)
    labels = ai.voronoi_atlas({"v": grid}, corners).maps["v"].labels
    np.testing.assert_array_equal(labels, cdist(grid.coordinates, corners).argmin(axis=1))
    assert labels[13] == 0
    assert (ai.voronoi_atlas({"v": grid}, corners[:1]).maps["v"].labels == 0).all()


@pytest.mark.parametrize("distance", [None, "sphere", "straight", "geodesic"])
def test_voronoi_on_meshes_by_definition(distance):
    atlas = two_hemispheres()
    points = {c: m.sphere[m.vertices[::97]] * 1.5 + 2 for c, m in atlas.geometry.items()}
    found = ai.voronoi_atlas(atlas, points, distance=distance)
    assert found.space == "test"
    for c, mesh in atlas.geometry.items():
        own = mesh.anatomical[mesh.vertices].astype(float)
        if distance in ("sphere", None):
            near = np.arccos(
                np.clip(
                    (own / 70) @ (points[c] / np.linalg.norm(points[c], axis=1)[:, None]).T, -1, 1
                )
            )
        else:
            near = cdist(own, points[c])
        labels = np.asarray(found.maps[c].labels)
        if distance == "geodesic":
            # From vertex to vertex, along edges and diagonals: as on the sphere, within a few per cent.
            starts = own[near.argmin(axis=0)]
            near = np.arccos(np.clip(own / 70 @ (starts / 70).T, -1, 1))
            assert (near[np.arange(len(own)), labels] <= 1.06 * near.min(axis=1) + 1e-3).all()
            assert pieces_of(found, c) == [1] * len(starts)
        else:
            np.testing.assert_array_equal(labels, near.argmin(axis=1))


def test_lengths_on_the_sphere_are_its_own():
    mesh = sphere_mesh(2, radius=50.0)
    point = mesh.sphere[:1]
    found = ai.voronoi_atlas({"cortex_L": mesh}, point * 7, max_distance=40)
    np.testing.assert_array_equal(
        found.maps["cortex_L"].labels >= 0, great_circle(mesh.sphere.astype(float))[0] <= 40
    )


def test_paths_end_where_the_mesh_does():
    plane = plane_mesh(6)
    apart = ai.SurfaceMesh(
        72,
        faces=np.add.outer([0, 36], plane.faces).reshape(-1, 3),
        anatomical=np.concatenate([np.add(plane.anatomical, [x, 0, 0]) for x in (0, 20)]),
    )
    found = ai.voronoi_atlas({"cortex_L": apart}, [[0, 0, 0], [0.1, 0, 0]], distance="geodesic")
    np.testing.assert_array_equal(found.maps["cortex_L"].labels, np.repeat([0, -1], 36))
    assert found.labels["empty"].tolist() == [False, True]


@pytest.mark.parametrize("divisions", [1, 2, 3, 4, 7])
def test_points_of_an_icosahedron(divisions):
    points = icosahedral_points(divisions)
    assert len(points) == 10 * divisions**2 + 2
    np.testing.assert_allclose(np.linalg.norm(points, axis=1), 1)
    # Opposite and mirrored points are points too.
    for turn in (-np.eye(3), np.diag([-1.0, 1, 1])):
        assert cdist(points @ turn, points).min(axis=1).max() < 1e-9
    # Six neighbours at nearly one distance; five at the twelve corners.
    near = np.sort(cdist(points, points), axis=1)[:, 1:7]
    ends = near[:, 5] > 1.25 * near[:, 4]
    assert ends.sum() == 12


def test_icosahedral_parcels():
    points, faces = icosphere(4)
    meshes = {
        f"cortex_{s}": ai.SurfaceMesh(
            len(points), hemisphere=s, faces=faces, sphere=points * [m, 1, 1]
        )
        for s, m in (("L", 1), ("R", -1))
    }
    atlas = ai.icosahedral_atlas(meshes, divisions=2)
    assert atlas.n_parcels == 84
    # Mirrored hemispheres have one labelling.
    left, right = (np.asarray(m.labels) for m in atlas.maps.values())
    np.testing.assert_array_equal(left, right)
    expected = cdist(points / 100, icosahedral_points(2))
    assert (expected[np.arange(len(points)), left] <= expected.min(axis=1) + 1e-7).all()
    assert pieces_of(atlas, "cortex_L") == [1] * 42
    turn = draw_rotations(1, key=jax.random.key(0))
    turned = ai.icosahedral_atlas(meshes, divisions=2, rotation=turn)
    expected = cdist(points / 100 @ turn[0], icosahedral_points(2))
    left, right = (np.asarray(m.labels) for m in turned.maps.values())
    assert (expected[np.arange(len(points)), left] <= expected.min(axis=1) + 1e-7).all()
    np.testing.assert_array_equal(left, right)
    assert ai.icosahedral_atlas(two_hemispheres(), divisions=3).labels["empty"].to_numpy().any()


@pytest.mark.parametrize("n", [1, 2, 7, 30])
def test_equal_areas_on_a_sphere(n, key):
    points, faces = bent_sphere(4)
    # Areas differ threefold over the sphere, as on a cortex that is folded.
    scale = 1 + 0.4 * points[:, :1] / 100
    mesh = ai.SurfaceMesh(
        len(points),
        np.flatnonzero(points[:, 2] < 85),
        faces=faces,
        sphere=points,
        anatomical=points * scale,
    )
    atlas = ai.equal_area_atlas({"cortex_L": mesh}, n, key=key)
    areas = ai.measures.location_sizes(mesh)
    sizes = ai.measures.parcel_sizes(atlas.maps["cortex_L"], mesh)
    np.testing.assert_allclose(sizes, areas.sum() / n, atol=2 * areas.max())
    assert pieces_of(atlas, "cortex_L") == [1] * n
    again = ai.equal_area_atlas({"cortex_L": mesh}, n, key=key)
    np.testing.assert_array_equal(atlas.maps["cortex_L"].labels, again.maps["cortex_L"].labels)
    other = ai.equal_area_atlas({"cortex_L": mesh}, n, key=jax.random.key(9))
    assert (n == 1) == np.array_equal(atlas.maps["cortex_L"].labels, other.maps["cortex_L"].labels)


def test_equal_areas_are_as_compact_as_kmeans(key):
    from sklearn.cluster import KMeans

    mesh = sphere_mesh(4)
    points = mesh.sphere.astype(float)
    labels = np.asarray(
        ai.equal_area_atlas({"cortex_L": mesh}, 20, key=key).maps["cortex_L"].labels
    )
    centres = (
        np.stack([np.bincount(labels, axis) for axis in points.T], axis=1)
        / np.bincount(labels)[:, None]
    )
    inertia = ((points - centres[labels]) ** 2).sum()
    assert inertia < 1.06 * KMeans(20, n_init=3, random_state=0).fit(points).inertia_


def test_equal_volumes(key):
    sizes = ai.equal_area_atlas({"volume": GRID}, 12, key=key).labels["n_locations"].to_numpy()
    assert abs(sizes - GRID.n_locations / 12).max() < 2
    every = ai.equal_area_atlas({"volume": GRID}, GRID.n_locations, key=key)
    assert (every.labels["n_locations"].to_numpy() == 1).all()
    both = ai.equal_area_atlas(
        {"volume": GRID, "cortex_L": sphere_mesh(2)}, {"volume": 3, "cortex_L": 5}, key=key
    )
    assert [m.n_parcels for m in both.maps.values()] == [3, 5]


def bare(**surfaces):
    return {"cortex_L": ai.SurfaceMesh(642, **surfaces)}


@pytest.mark.parametrize(
    ("geometry", "points", "options", "message"),
    [
        ({"v": GRID}, np.zeros((2, 3)), {}, r"numbers \[0, 1\] are all \[0.0, 0.0, 0.0\]"),
        ({"v": GRID}, np.zeros((2, 2)), {}, r"\(parcels, 3\), got shape \(2, 2\)"),
        ({"v": GRID}, np.zeros((0, 3)), {}, r"\(parcels, 3\), got shape \(0, 3\)"),
        ({"v": GRID}, [[0, 0, np.nan]], {}, "finite, got NaN"),
        ({"v": GRID}, [["a", 0, 0]], {}, "of 'v' should be numbers"),
        ({"v": GRID}, {"w": [[0, 0, 0]]}, {}, r"compartments \['v'\], got \['w'\]"),
        ({"v": GRID, "w": GRID}, [[0, 0, 0]], {}, 'pass `{"v": points, ...}`'),
        ({"v": GRID}, [[0, 0, 0]], {"distance": "sphere"}, "of a grid, as of 'v', is straight"),
        ({"v": GRID}, [[0, 0, 0]], {"distance": "mm"}, "should be one of"),
        ({"v": GRID}, [[0, 0, 0]], {"max_distance": -1}, "0 or more"),
        ({"v": GRID}, [[0, 0, 0]], {"names": ["a", "b"]}, "one for each of 1 points, got 2 names"),
        ({"v": GRID}, [[0, 0, 0]], {"names": "a"}, "got 'a'"),
        (bare(), [[1, 0, 0]], {}, "'cortex_L' has no sphere"),
        (bare(sphere=bent_sphere()[0]), [[0, 0, 0]], {}, "the middle of the sphere"),
        (
            bare(sphere=bent_sphere()[0]),
            [[1, 0, 0]],
            {"distance": "straight"},
            'no anatomical surface.*distance="sphere"',
        ),
        (bare(anatomical=bent_sphere()[0]), [[1, 0, 0]], {"distance": "geodesic"}, "faces"),
    ],
)
def test_bad_points_are_refused(geometry, points, options, message):
    with pytest.raises((ai.ArgumentError, ai.ArgumentTypeError), match=message):
        unchecked(ai.voronoi_atlas)(geometry, points, **options)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: ai.icosahedral_atlas({"v": GRID}, divisions=2),
            "'v' is a grid.*ai.equal_area_atlas",
        ),
        (lambda: ai.icosahedral_atlas(bare(), divisions=2), "has no sphere"),
        (lambda: ai.icosahedral_atlas(bare(sphere=bent_sphere()[0]), divisions=0), "from 1, got 0"),
        (
            lambda: ai.icosahedral_atlas(
                bare(sphere=bent_sphere()[0]), divisions=1, rotation=np.stack([np.eye(3)] * 2)
            ),
            "should be one, got 2",
        ),
        (
            lambda: ai.equal_area_atlas({"v": GRID}, 999, key=jax.random.key(0)),
            "at most the 190 locations of 'v', got 999",
        ),
        (
            lambda: ai.equal_area_atlas(bare(sphere=bent_sphere()[0]), 3, key=jax.random.key(0)),
            "neither areas nor faces",
        ),
        (
            lambda: ai.equal_area_atlas(
                bare(sphere=bent_sphere()[0], areas=np.zeros(642)), 3, key=jax.random.key(0)
            ),
            "are all 0",
        ),
        (lambda: unchecked(ai.equal_area_atlas)({"v": GRID}, 3, key=0), "should be a key of JAX"),
    ],
)
def test_bad_layouts_are_refused(call, message):
    with pytest.raises((ai.ArgumentError, ai.ArgumentTypeError), match=message):
        call()
