"""Resampling between grids: overlaps counted on a fine lattice, and equal voxels."""

import nibabel as nb
import numpy as np
import pytest
from helpers_resampling import volume_atlas
from scipy.optimize import linprog
from scipy.spatial import ConvexHull, HalfspaceIntersection
from scipy.spatial.transform import Rotation

import atlasinit as ai
from atlasinit.resampling.grids import find_grid_weights
from atlasinit.resampling.targets import Place
from atlasinit.resampling.weights import choose_method
from atlasinit.transforms.maps import ChainedMap, FieldMap, LinearMap

METHODS = ["auto", "nearest", "linear", "area"]


def affine_of(sizes, origin=(0, 0, 0)):
    affine = np.diag([*sizes, 1.0])
    affine[:3, 3] = origin
    return affine


def turned(grid):
    """Return the voxels of a whole grid stored in another direction, with axes exchanged."""
    turn = np.array(
        [
            [0, -1, 0, grid.shape[0] - 1],
            [0, 0, 1, 0],
            [-1, 0, 0, grid.shape[2] - 1],
            [0, 0, 0, 1.0],
        ]
    )
    shape = (grid.shape[2], grid.shape[0], grid.shape[1])
    return ai.VolumeGrid(shape, grid.affine @ turn)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("soft", [False, True])
def test_equal_voxels_stored_otherwise_are_exact(method, soft):
    rng = np.random.default_rng(0)
    values = rng.normal(size=(4, 5, 6, 2)) if soft else rng.integers(0, 6, (4, 5, 6))
    # Oblique axes, which no interpolation would meet exactly.
    affine = np.array([[-2, 0.1, 0.3, 9], [0.2, 2, 0, -7], [0, 0.2, 2.5, 3], [0, 0, 0, 1.0]])
    atlas = volume_atlas(values, affine, soft)
    target = turned(atlas.geometry["volume"])
    moved = ai.resample(atlas, target, method=method)
    back = np.linalg.inv(affine) @ target.affine
    ijk = np.rint(target.ijk @ back[:3, :3].T + back[:3, 3]).astype(int)
    own = values[tuple(ijk.T)]
    got = moved.maps["volume"]
    if soft:
        np.testing.assert_array_equal(got.to_dense().T, own.astype(np.float32))
    else:
        np.testing.assert_array_equal(got.labels + 1, own)


def overlap_shares(sizes, origins, shapes, unit):
    """Return (targets, sources) shares of the target's edge on one axis, counted in units."""
    (a, b), (start, begin), (n, m) = sizes, origins, shapes
    ends = [
        np.floor((np.arange(0, k * size / unit) + 0.5) * unit / size).astype(int)
        for k, size in ((n, a), (m, b))
    ]
    low = min(start - a / 2, begin - b / 2)
    shift = [round((o - s / 2 - low) / unit) for o, s in ((start, a), (begin, b))]
    length = max(len(e) + s for e, s in zip(ends, shift, strict=True))
    lines = [np.full(length, -1) for _ in range(2)]
    for line, e, s in zip(lines, ends, shift, strict=True):
        line[s : s + len(e)] = e
    out = np.zeros((m, n))
    for source, target in zip(*lines, strict=True):
        if source >= 0 and target >= 0:
            out[target, source] += unit / b
    return out


# Sizes, origins: fine to coarse by 2 with shared corners or centres, by 1.5, and past the edges.
CASES = {
    "corners": ((1, 2), (0, 0.5)),
    "centres": ((1, 2), (0, 0)),
    "1.5": ((1, 1.5), (0.25, 0)),
    "3": ((0.5, 1.5), (-1, -2)),
    "finer": ((2, 1.5), (0, 1)),
}


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_overlaps_are_those_counted_on_a_fine_lattice(case, flip):
    sizes, origins = CASES[case]
    shapes = (8, 5)
    share = overlap_shares(sizes, origins, shapes, unit=0.125)
    source = ai.VolumeGrid((8, 8, 8), affine_of([sizes[0]] * 3, [origins[0]] * 3))
    affine = affine_of([sizes[1]] * 3, [origins[1]] * 3)
    if flip:
        last = origins[1] + sizes[1] * (shapes[1] - 1)
        affine[0, 0], affine[0, 3] = -sizes[1], last
    target = ai.VolumeGrid((5, 5, 5), affine)
    (matrix,) = find_grid_weights(source, Place(target), "area")
    first = share[::-1] if flip else share
    np.testing.assert_allclose(matrix.toarray(), np.kron(np.kron(first, share), share), atol=1e-9)
    # Points in each voxel, as through warps, count the same where sizes divide.
    if case in ("corners", "centres", "3"):
        moved = Place(target, warp=lambda points: points + 0.0)
        (sampled,) = find_grid_weights(source, moved, "area")
        np.testing.assert_allclose(sampled.toarray(), matrix.toarray(), atol=1e-9)


def test_a_coarser_grid_takes_the_majority():
    rng = np.random.default_rng(3)
    values = rng.integers(0, 4, (6, 6, 6))
    atlas = volume_atlas(values, np.eye(4), soft=False)
    target = ai.VolumeGrid((3, 3, 3), affine_of([2, 2, 2], [0.5, 0.5, 0.5]))
    moved = ai.resample(atlas, target)
    blocks = values.reshape(3, 2, 3, 2, 3, 2).transpose(0, 2, 4, 1, 3, 5).reshape(-1, 8)
    counts = (blocks[:, :, None] == np.arange(4)).sum(axis=1)
    got = moved.maps["volume"].labels + 1
    assert (counts[np.arange(27), got] == counts.max(axis=1)).all()
    clear = (counts == counts.max(axis=1, keepdims=True)).sum(axis=1) == 1
    np.testing.assert_array_equal(got[clear], counts.argmax(axis=1)[clear])
    assert moved == ai.resample(atlas, target, method="area").replace(provenance=moved.provenance)


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ((2, 2, 2), "nearest"),
        ((1.9, 2, 2.2), "area"),
        ((1, 1, 7), "nearest"),
        ((2, 2, 2.1), "area"),
    ],
)
def test_auto_is_the_majority_where_voxels_are_larger(sizes, expected):
    rng = np.random.default_rng(4)
    atlas = volume_atlas(rng.integers(0, 4, (7, 7, 7)), affine_of([2, 2, 2]), soft=False)
    target = ai.VolumeGrid((6, 6, 4), affine_of(sizes, [0.3, 0.4, 0.6]))
    found = {m: ai.resample(atlas, target, method=m).maps["volume"] for m in ("auto", expected)}
    np.testing.assert_array_equal(found["auto"].labels, found[expected].labels)


@pytest.mark.parametrize(
    ("scale", "kind", "expected"),
    [
        (2.0, "matrix", "area"),
        (1.4, "matrix", "area"),
        (0.5, "matrix", "nearest"),
        (2.0, "warp", "area"),
        (1.4, "warp", "nearest"),  # of less than two voxels
        (0.5, "warp", "nearest"),
    ],
)
def test_auto_compares_voxels_where_a_transform_lays_them(scale, kind, expected):
    """A cube of 8 voxels of 1 mm, in voxels of 0.8 mm of a person of another size."""
    values = np.random.default_rng(6).integers(0, 4, (8, 8, 8))
    source = volume_atlas(values, np.eye(4), soft=False).geometry["volume"]
    target = ai.VolumeGrid((16, 16, 16), affine_of([0.8] * 3))
    matrix = LinearMap(np.diag([scale, scale, scale, 1.0]))
    # Half of the target lies nowhere, where a warp of FSL ends.
    warp = matrix if kind == "matrix" else lambda x: np.where(x[:, :1] < 6, matrix(x), 1e9)
    place = Place(target, warp=warp)
    assert choose_method(source, place, "auto", hard=True) == expected
    assert choose_method(source, place, "auto", hard=False) == "linear"
    assert choose_method(source, Place(target), "auto", hard=True) == "nearest"


def test_means_over_larger_voxels_keep_the_total():
    values = np.random.default_rng(5).uniform(size=(6, 6, 6, 2))
    atlas = volume_atlas(values, np.eye(4), soft=True)
    target = ai.VolumeGrid((4, 4, 4), affine_of([1.5] * 3, [0.25] * 3))
    moved = ai.resample(atlas, target, method="area").to_dense()["volume"]
    np.testing.assert_allclose(moved.sum(axis=1) * 1.5**3, values.sum(axis=(0, 1, 2)), rtol=1e-5)


def overlap_volume(matrix, voxel):
    """Return the volume that a unit cube about a voxel shares with one moved by a matrix."""
    planes = []
    for normal in np.linalg.inv(matrix[:3, :3]):
        at = normal @ matrix[:3, 3]
        planes += [[*normal, -at - 0.5], [*-normal, at - 0.5]]
    for axis, centre in zip(np.eye(3), voxel, strict=True):
        planes += [[*axis, -centre - 0.5], [*-axis, centre - 0.5]]
    planes = np.array(planes)
    # The middle of the largest ball between them.
    lengths = np.linalg.norm(planes[:, :3], axis=1)
    ends = [(None, None)] * 3 + [(0, None)]
    found = linprog(
        [0, 0, 0, -1], np.column_stack([planes[:, :3], lengths]), -planes[:, 3], bounds=ends
    )
    if found.status or found.x[3] < 1e-7:
        return 0.0
    return ConvexHull(HalfspaceIntersection(planes, found.x[:3]).intersections).volume


OBLIQUE = {
    "one axis": ([0, 0, 30], (3, 3, 2)),
    "all axes": ([11, -23, 40], (1.9, 2.1, 1.6)),
    "hardly": ([0.4, 0, 0.7], (2, 2, 2)),
    "finer": ([20, 10, -15], (0.7, 0.9, 0.6)),
    "tiny": ([20, 10, -15], (0.02, 0.03, 0.05)),
    "thin": ([0, 30, -15], (2.5, 0.04, 1.5)),
    # These cross a border of the source's voxels within few steps of the lattice.
    "half": ([30, 50, 70], (0.5, 0.5, 0.5)),
    "fifth": ([30, 50, 70], (0.2, 0.2, 0.2)),
}
CLOSE = {"thin": 1e-3, "half": 3e-3, "fifth": 4e-2}


@pytest.mark.parametrize("warped", [False, True])
@pytest.mark.parametrize("case", OBLIQUE)
def test_shares_of_oblique_voxels_are_the_volumes(case, warped):
    """Those of the polyhedra that both voxels are."""
    angles, sizes = OBLIQUE[case]
    affine = affine_of(sizes, [3.2, 3.7, 3.4])
    affine[:3, :3] = Rotation.from_euler("xyz", angles, degrees=True).as_matrix() @ affine[:3, :3]
    source = ai.VolumeGrid((10, 9, 8), np.eye(4))
    if warped:
        # The same by a matrix that is a transform.
        place = Place(ai.VolumeGrid((2, 1, 1), np.eye(4)), warp=LinearMap(affine))
    else:
        place = Place(ai.VolumeGrid((2, 1, 1), affine))
    (matrix,) = find_grid_weights(source, place, "area")
    weights = matrix.toarray()
    for row, shift in zip(weights, np.eye(4)[[3, 0], :3], strict=True):
        own = affine @ nb.affines.from_matvec(np.eye(3), shift)
        near = np.flatnonzero((np.abs(source.ijk - own[:3, 3]) < 4).all(axis=1) & (row > 0))
        volumes = [overlap_volume(own, source.ijk[i]) for i in near]
        np.testing.assert_allclose(row[near], volumes / np.prod(sizes), atol=CLOSE.get(case, 5e-4))
        # What has a share has a weight: all the volumes together are the voxel.
        assert sum(volumes) / np.prod(sizes) > 0.999


def test_an_oblique_voxel_that_is_a_point_lies_where_its_centre_does():
    source = ai.VolumeGrid((3, 3, 3), np.eye(4))
    affine = affine_of([1e-5] * 3, [1.2, 0.7, 2])
    affine[:3, :3] = Rotation.from_euler("xyz", [20, 10, 5], degrees=True).as_matrix() * 1e-5
    (matrix,) = find_grid_weights(source, Place(ai.VolumeGrid((1, 1, 1), affine)), "area")
    np.testing.assert_allclose(matrix.toarray()[0, 9 + 3 + 2], 1)


def test_labels_of_an_oblique_grid_are_the_majority():
    """Of the voxels of a fine lattice in each."""
    rng = np.random.default_rng(7)
    values = np.kron(rng.integers(0, 4, (5, 5, 5)), np.ones((2, 2, 2), int))
    atlas = volume_atlas(values, np.eye(4), soft=False)
    affine = affine_of([2.5, 2.2, 2.4], [2.0, 3.0, 2.5])
    affine[:3, :3] = (
        Rotation.from_euler("xyz", [9, 14, -20], degrees=True).as_matrix() @ (affine[:3, :3])
    )
    target = ai.VolumeGrid((3, 3, 3), affine)
    n = 30
    inner = (np.arange(n) + 0.5) / n - 0.5
    points = target.ijk[:, None] + np.stack(np.meshgrid(inner, inner, inner), -1).reshape(-1, 3)
    voxels = np.floor(nb.affines.apply_affine(affine, points) + 0.5).astype(int)
    inside = ((voxels >= 0) & (voxels < 10)).all(axis=2)
    found = np.where(
        inside, values[tuple(np.moveaxis(np.where(inside[..., None], voxels, 0), 2, 0))], 0
    )
    counts = (found[..., None] == np.arange(4)).mean(axis=1)
    best = np.sort(counts, axis=1)
    clear = best[:, -1] - best[:, -2] > 0.01
    labels = ai.resample(atlas, target).maps["volume"].labels + 1
    assert clear.sum() > 20
    np.testing.assert_array_equal(labels[clear], counts.argmax(axis=1)[clear])


@pytest.mark.parametrize("method", METHODS)
def test_grids_side_by_side_are_refused(method):
    atlas = volume_atlas(np.ones((3, 3, 3), int), np.eye(4), soft=False)
    far = ai.VolumeGrid((2, 2, 2), affine_of([2, 2, 2], [50, 0, 0]))
    message = r"beside that of the source: .* 49 to 53, -1 to 3, .* the source has -0.5 to 2.5"
    with pytest.raises(ValueError, match=message):
        ai.resample(atlas, far, method=method)
    # One that touches the box and meets none of what is kept loses the parcel, and says so.
    near = ai.VolumeGrid((2, 2, 2), affine_of([2, 2, 2], [0, 0, 0]))
    corner = ai.VolumeGrid((9, 9, 9), np.eye(4), [728])
    maps = ai.HardMaps(np.zeros(1, np.int32), 1)
    kept = atlas.replace(maps={"volume": maps}, geometry={"volume": corner})
    with pytest.warns(ai.AtlasWarning, match="1 of 1 parcels"):
        moved = ai.resample(kept, near, method=method)
    assert (moved.maps["volume"].labels == -1).all()


def test_voxels_that_are_not_kept_count_as_none():
    mask = np.zeros((4, 4, 4), bool)
    mask[:3] = True
    grid = ai.VolumeGrid.from_mask(mask, np.eye(4))
    atlas = volume_atlas(np.ones((4, 4, 4), int), np.eye(4), soft=False).replace(
        maps={"volume": ai.HardMaps(np.zeros(48, np.int32), 1)}, geometry={"volume": grid}
    )
    target = ai.VolumeGrid((2, 2, 2), affine_of([2, 2, 2], [0.5, 0.5, 0.5]))
    labels = ai.resample(atlas, target, method="area").maps["volume"].labels.reshape(2, 2, 2)
    # The second half of the first axis is covered by one kept voxel of two: a tie, for the label.
    np.testing.assert_array_equal(labels, 0)
    wider = ai.VolumeGrid((2, 1, 1), affine_of([3, 3, 3], [1, 1, 1]))
    labels = ai.resample(atlas, wider, method="area").maps["volume"].labels
    assert labels.tolist() == [0, -1]


def test_an_empty_target_and_many_chunks(monkeypatch):
    values = np.random.default_rng(6).integers(0, 5, (5, 5, 5))
    atlas = volume_atlas(values, np.eye(4), soft=False)
    target = ai.VolumeGrid((3, 3, 3), affine_of([1.7] * 3))
    whole = {m: ai.resample(atlas, target, method=m) for m in METHODS}
    monkeypatch.setattr("atlasinit.resampling.grids._AT_ONCE", 40)
    for method in METHODS:
        assert ai.resample(atlas, target, method=method) == whole[method]
    with pytest.warns(ai.AtlasWarning, match="have no location left"):
        none = ai.resample(atlas, target.restrict(np.array([], int)))
    assert none.n_locations == 0


@pytest.mark.parametrize("method", ["nearest", "linear", "area"])
@pytest.mark.parametrize("nan", [False, True])
def test_dense_maps_move_as_sparse_ones(method, nan):
    rng = np.random.default_rng(8)
    kept = np.sort(rng.choice(7 * 6 * 5, 150, replace=False))
    source = ai.VolumeGrid((7, 6, 5), affine_of([2, 1.5, 1], [1, 0, -2]), kept)
    # Axes exchanged, one of them reversed, and reaching beyond the source.
    affine = np.array([[0, 0, 1.7, 0], [-1.1, 0, 0, 7], [0, 1.3, 0, -2.4], [0, 0, 0, 1]])
    target = ai.VolumeGrid((8, 5, 9), affine, np.arange(3, 350))
    values = rng.normal(size=(3, 150)).astype(np.float32)
    if nan:
        values[1, 40] = np.nan
    dense = volume_atlas(np.zeros((5, 5, 6, 3)), np.eye(4), soft=True).replace(
        maps={"volume": ai.DenseMaps(values)}, geometry={"volume": source}
    )
    sparse = dense.replace(maps={"volume": ai.SparseMaps.from_scipy(dense.to_scipy()["volume"])})
    moved = ai.resample(dense, target, method=method).maps["volume"]
    assert isinstance(moved, ai.DenseMaps)
    expected = ai.resample(sparse, target, method=method).to_dense()["volume"]
    np.testing.assert_allclose(moved.values, expected, atol=1e-5)
    assert np.isnan(expected).any() == nan
    assert (expected != 0).any()


def test_points_are_as_dense_as_the_transforms_stretch_voxels():
    """A matrix beside a field of nothing: nearly as by the matrix alone, which is exact."""
    grid = ai.VolumeGrid((12, 12, 12), np.eye(4))
    target = ai.VolumeGrid((3, 3, 3), np.eye(4))
    stretch = LinearMap(nb.affines.from_matvec(np.eye(3) * 4, [1.5, 1.5, 1.5]))
    field = FieldMap(grid, np.zeros((*grid.shape, 3)))
    (exact,) = find_grid_weights(grid, Place(target, warp=stretch), "area")
    (found,) = find_grid_weights(grid, Place(target, warp=ChainedMap((field, stretch))), "area")
    np.testing.assert_allclose(found.toarray(), exact.toarray(), atol=1e-6)
