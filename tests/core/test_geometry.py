"""Geometry: validation, value semantics, coordinates, taking and putting."""

import itertools
import pickle
import tracemalloc

import nibabel as nib
import nibabel.affines
import numpy as np
import pytest
from nibabel.affines import apply_affine

import atlasinit as ai
from atlasinit.core.geometry import triangle_vertex_areas

AFFINE = np.array([[0, -1.5, 0, 10], [2, 0, 0.2, -20], [0, 0, 3, 5], [0, 0, 0, 1.0]])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (((2, 3), AFFINE), "three positive whole sizes"),
        (((2, 0, 3), AFFINE), "three positive whole sizes"),
        (((2, 3, 4), np.eye(3)), r"finite \(4, 4\)"),
        (((2, 3, 4), np.full((4, 4), np.nan)), "finite"),
        (((2, 3, 4), np.zeros((4, 4))), "invertible"),
        (((2, 3, 4), AFFINE, [24]), r"\[0, 24\).*24"),
        (((2, 3, 4), AFFINE, [-1]), r"\[0, 24\)"),
        (((2, 3, 4), AFFINE, [3, 3]), "each location once"),
        (((2**12, 2**12, 2**12), AFFINE, [2**32 + 5]), r"more than 2\*\*31; crop it"),
        (((2, 3, 4), AFFINE, [0.5, 1.7]), "`voxels` should be whole numbers, got float64"),
        (((2, 3, 4), AFFINE, [3, 4], (("A", 1),)), "add up to 2"),
    ],
)
def test_grid_refuses(arguments, message):
    with pytest.raises(ValueError, match=message):
        ai.VolumeGrid(*arguments)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_vertices": 0}, "positive"),
        ({"hemisphere": "left"}, '"L", "R"'),
        ({"vertices": [4]}, r"\[0, 4\)"),
        ({"vertices": [1, 1]}, "each location once"),
        ({"sphere": np.zeros((3, 3))}, r"\(4, 3\).*\(3, 3\)"),
        ({"anatomical": np.full((4, 3), np.inf)}, "finite"),
        ({"areas": np.ones(5)}, r"\(4,\).*\(5,\)"),
        ({"faces": np.array([[0, 1, 4]])}, r"\[0, 4\)"),
        ({"faces": np.array([[0, 1]])}, r"\(faces, 3\)"),
        ({"faces": np.array([[0, 1, 2**32 + 2]])}, r"\[0, 4\), got 0 to 4294967298"),
        ({"faces": [[0, 1, 2.5]]}, "`faces` should be whole numbers"),
        ({"areas": [1, 1, -1, 1]}, "`areas` should not be negative, got -1"),
    ],
)
def test_mesh_refuses(options, message):
    with pytest.raises(ValueError, match=message):
        ai.SurfaceMesh(**{"n_vertices": 4, **options})


def test_grid_coordinates_are_nibabels():
    grid = ai.VolumeGrid((4, 5, 6), AFFINE, [7, 100, 3])
    ijk = np.argwhere(np.ones((4, 5, 6)))[[7, 100, 3]]
    np.testing.assert_allclose(grid.coordinates, apply_affine(AFFINE, ijk))
    np.testing.assert_allclose(grid.voxel_sizes, nibabel.affines.voxel_sizes(AFFINE))


@pytest.mark.parametrize("order", ["C", "F"])
def test_few_voxels_of_some_time_points_are_taken_without_a_copy_of_the_rest(order):
    grid = ai.VolumeGrid((20, 30, 40), np.eye(4), [9, 4000, 23999])
    whole = np.asarray(np.random.default_rng(0).normal(size=(20, 30, 40, 12)), order=order)
    some = whole[..., 2:9]
    tracemalloc.start()
    taken = grid.take(some)
    used = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    np.testing.assert_array_equal(taken, whole.reshape(24000, 12)[grid.voxels, 2:9])
    assert used < some.nbytes / 20


def test_take_and_put_are_inverse():
    rng = np.random.default_rng(0)
    grid = ai.VolumeGrid((3, 4, 5), AFFINE, rng.permutation(60)[:20])
    values = rng.normal(size=(20, 3))
    volume = grid.put(values, fill=np.nan)
    assert volume.shape == (3, 4, 5, 3)
    np.testing.assert_array_equal(grid.take(volume), values)
    np.testing.assert_array_equal(~np.isnan(volume[..., 0]), grid.mask)
    mesh = ai.SurfaceMesh(9, vertices=[8, 2, 5])
    np.testing.assert_array_equal(mesh.take(mesh.put(values[:3])), values[:3])
    with pytest.raises(ValueError, match=r"\(3, 4, 5\).*\(3, 4, 4, 3\)"):
        grid.take(volume[:, :, :4])
    with pytest.raises(ValueError, match="20 locations"):
        grid.put(values[:19])
    with pytest.raises(ValueError, match="9 vertices"):
        mesh.take(values[:8])


@pytest.mark.parametrize(
    "geometry",
    [ai.VolumeGrid((3, 4, 2), AFFINE, [20, 3, 11]), ai.SurfaceMesh(9, vertices=[8, 2, 5])],
    ids=["grid", "mesh"],
)
def test_locations_are_numbered_in_their_order(geometry):
    assert geometry.take(geometry.locations).tolist() == [0, 1, 2]
    np.testing.assert_array_equal(geometry.locations >= 0, geometry.mask)
    assert geometry.locations.min() == -1


def test_value_semantics_and_immutability():
    mine = np.array([1, 2, 3], np.int32)
    mesh = ai.SurfaceMesh(5, vertices=mine)
    mine[0] = 4
    assert mesh.vertices.tolist() == [1, 2, 3]
    assert mesh == ai.SurfaceMesh(5, vertices=[1, 2, 3])
    assert hash(mesh) == hash(ai.SurfaceMesh(5, vertices=[1, 2, 3]))
    assert mesh != ai.SurfaceMesh(5, vertices=[1, 2, 4])
    assert mesh != ai.VolumeGrid((5, 1, 1), np.eye(4))
    with pytest.raises(ValueError, match="read-only"):
        mesh.vertices[0] = 0
    view = mine[:]
    view.flags.writeable = False
    other = ai.SurfaceMesh(5, vertices=view)
    mine[1] = 0
    assert other.vertices.tolist() == [4, 2, 3]


def test_pickles_hold_the_content_only():
    mesh = ai.SurfaceMesh(5, vertices=[1, 2, 3], areas=np.ones(5))
    before = pickle.dumps(mesh)
    again = pickle.loads(before)
    assert again == mesh
    assert hash(again) == hash(mesh)
    assert pickle.dumps(mesh) == before
    with pytest.raises(ValueError, match="read-only"):
        again.vertices[0] = 0


def test_restrict_keeps_structures_of_an_ordered_choice():
    grid = ai.VolumeGrid((2, 3, 4), AFFINE, np.arange(10), (("A", 4), ("B", 3), ("C", 3)))
    kept = grid.restrict(np.isin(np.arange(10), [1, 2, 8]))
    assert kept.structures == (("A", 2), ("C", 1))
    assert grid.restrict(np.array([8, 1])).structures == ()
    assert grid.restrict(np.array([8, 1])).voxels.tolist() == [8, 1]


def test_same_grid_ignores_the_kept_voxels_only():
    grid = ai.VolumeGrid((2, 3, 4), AFFINE)
    assert grid.same_grid(ai.VolumeGrid((2, 3, 4), AFFINE + 1e-5, [3]))
    assert not grid.same_grid(ai.VolumeGrid((2, 4, 3), AFFINE))


def moved_by(share, affine, shape, *, axis, far):
    """Return `affine` with a shift by, or with voxels larger that add up to, `share` of a voxel."""
    change = np.zeros((4, 4))
    column = affine[:, axis]
    change[:, axis if far else 3] = column * share / (shape[axis] - 0.5 if far else 1)
    return affine + change


@pytest.mark.parametrize("size", [1e-6, 1e-3, 0.025, 2.0, 1e3], ids=lambda size: f"{size:g}")
@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("far", [False, True], ids=["shifted", "larger"])
def test_grids_are_compared_by_shares_of_a_voxel(size, axis, far):
    shape = (200, 30, 4)
    affine = AFFINE @ np.diag([size, size, size, 1])
    grid = ai.VolumeGrid(shape, affine, [5])
    for share, same in [(0.005, True), (-0.005, True), (0.03, False), (-0.5, False), (7.0, False)]:
        other = ai.VolumeGrid(shape, moved_by(share, affine, shape, axis=axis, far=far))
        assert grid.same_grid(other) is same
        assert (grid.voxels_in(other) is not None) is same


@pytest.mark.parametrize("size", [1e-9, 25e-6, 0.025, 1e6])
def test_no_voxel_is_too_small_to_be_one(size):
    grid = ai.VolumeGrid((2, 3, 4), AFFINE @ np.diag([size, size, size, 1]))
    np.testing.assert_allclose(
        grid.voxel_sizes, size * ai.VolumeGrid((2, 3, 4), AFFINE).voxel_sizes
    )
    parallel = AFFINE @ np.diag([size, size, size, 1])
    parallel[:3, 1] = parallel[:3, 0] * (1 + 1e-9)
    with pytest.raises(ValueError, match="invertible"):
        ai.VolumeGrid((2, 3, 4), parallel)


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))), ids=str)
@pytest.mark.parametrize("signs", list(itertools.product([1, -1], repeat=3)), ids=str)
def test_voxels_stored_in_another_direction_are_found_exactly(order, signs):
    shape = (4, 3, 5)
    volume = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    kept = np.random.default_rng(1).permutation(60)[:20]
    grid = ai.VolumeGrid(shape, AFFINE, kept)
    # nibabel moves the array and the affine together.
    turn = np.column_stack([order, signs])
    moved = nib.Nifti1Image(volume, AFFINE).as_reoriented(turn)
    other = ai.VolumeGrid(moved.shape, moved.affine)
    found = grid.voxels_in(other)
    np.testing.assert_array_equal(np.asarray(moved.dataobj).reshape(-1)[found], grid.take(volume))
    np.testing.assert_allclose(other.coordinates[found], grid.coordinates, atol=1e-9)
    assert grid.same_grid(other) is (order == (0, 1, 2) and signs == (1, 1, 1))


@pytest.mark.parametrize(
    ("shape", "change"),
    [
        ((4, 3, 5), np.diag([-1, 1, 1, 1])),
        ((4, 3, 5), np.array([[-1, 0, 0, 4], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])),
        ((4, 3, 5), np.diag([2, 1, 1, 1])),
        ((5, 3, 5), np.eye(4)),
        ((3, 4, 5), np.eye(4)),
        ((4, 3, 5), np.array([[1, 1, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])),
    ],
    ids=["reversed elsewhere", "a voxel beside", "coarser", "larger", "exchanged", "sheared"],
)
def test_other_voxels_are_not_found(shape, change):
    grid = ai.VolumeGrid((4, 3, 5), AFFINE, [7])
    assert grid.voxels_in(ai.VolumeGrid(shape, AFFINE @ change)) is None


def test_areas_of_an_octahedron():
    points = np.array([[1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0], [0, 0, 1], [0, 0, -1]])
    faces = np.array([[i, j, k] for i in (0, 1) for j in (2, 3) for k in (4, 5)])
    areas = triangle_vertex_areas(points.astype(np.float32), faces)
    np.testing.assert_allclose(areas, 8 * (np.sqrt(3) / 2) / 6)
    mesh = ai.SurfaceMesh(6, faces=faces, sphere=7 * points, anatomical=points)
    np.testing.assert_allclose(mesh.vertex_areas, areas)
    assert mesh.radius == pytest.approx(7)
    with pytest.raises(ValueError, match="needs the mesh's `sphere`"):
        _ = ai.SurfaceMesh(6).radius
    with pytest.raises(ValueError, match="`vertex_areas` needs"):
        _ = ai.SurfaceMesh(6).vertex_areas
