"""Smoothing of grids against scipy, nilearn, and all pairs inside of masks."""

import nibabel as nib
import numpy as np
import pytest
from helpers_smoothing import by_definition
from scipy.ndimage import gaussian_filter
from scipy.spatial.transform import Rotation

import atlasinit as ai
from atlasinit.smoothing import smoothing_operator

OBLIQUE = np.eye(4)
OBLIQUE[:3, :3] = Rotation.from_euler("xyz", [20, -35, 50], degrees=True).as_matrix() * [2, -1.5, 3]
OBLIQUE[:3, 3] = [-40, 30, 5]


def ball(shape=(14, 15, 13)):
    """Return a mask with a hole, and an island of one voxel."""
    ijk = np.stack(np.indices(shape), axis=-1) - np.array(shape) // 2
    radius = np.linalg.norm(ijk, axis=-1)
    mask = (radius < 5.5) & (radius >= 2)
    mask[0, 0, 0] = True
    return mask


def masked(affine=OBLIQUE):
    return ai.VolumeGrid.from_mask(ball(), affine)


def definition(grid, sigma, taps, conserve):
    """Return the operator from all pairs of voxels whose offsets are at most `taps`."""
    near = (np.abs(grid.ijk[:, None] - grid.ijk) <= taps).all(axis=-1)
    distances = np.linalg.norm(grid.coordinates[:, None] - grid.coordinates, axis=-1)
    distances[~near] = np.inf
    ones = np.ones(grid.n_locations)
    return by_definition(distances, ones, sigma=sigma, reach=1e9, conserve=conserve)


@pytest.mark.parametrize("conserve", ["constant", "mass", "balanced"])
def test_all_pairs_in_a_mask(conserve):
    grid = masked()
    operator = smoothing_operator(grid, sigma=2.5, truncate=3, conserve=conserve)
    # 7.5 mm are 3.75, 5 and 2.5 voxels.
    expected = definition(grid, 2.5, [4, 5, 3], conserve)
    data = np.random.default_rng(0).normal(size=(grid.n_locations, 4)).astype(np.float32)
    np.testing.assert_allclose(operator(data), expected @ data, atol=2e-6)
    np.testing.assert_allclose(operator.transpose(data), expected.T @ data, atol=2e-6)
    np.testing.assert_allclose(operator(data, sigma=2.5), expected @ data, atol=2e-6)
    labels = (np.arange(grid.n_locations) % 5 - 1).astype(np.int32)
    maps = ai.HardMaps(labels, 4)
    smoothed = operator.smooth_maps(maps).to_dense()
    np.testing.assert_allclose(smoothed, maps.to_dense() @ expected.T, atol=1e-6)


@pytest.mark.parametrize(
    ("sizes", "sigma", "truncate"), [((2, 2, 2), 3, 4.0), ((1, 2, 3.3), 4, 3.0)]
)
def test_scipy_without_mask(sizes, sigma, truncate):
    shape = (20, 18, 16)
    grid = ai.VolumeGrid(shape, np.diag([*sizes, 1]))
    data = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    vox = sigma / np.array(sizes)

    def filtered(x):
        return gaussian_filter(x.astype(float), vox, truncate=truncate, mode="constant")

    operator = smoothing_operator(grid, sigma=sigma, truncate=truncate)
    expected = filtered(data) / filtered(np.ones(shape))
    ours = grid.put(np.asarray(operator(data.reshape(-1, 1))))[..., 0]
    assert np.abs(ours - expected).max() < 1e-6
    # Far from the boundary nothing is normalised.
    impulse = np.zeros(shape, np.int32) - 1
    impulse[10, 9, 8] = 0
    short = smoothing_operator(grid, sigma=sigma / 2, truncate=2.0)
    maps = short.smooth_maps(ai.HardMaps(impulse.reshape(-1), 1)).to_dense()
    one = (impulse == 0).astype(float)
    weighted = gaussian_filter(one, vox / 2, truncate=2.0, mode="constant")
    assert np.abs(maps.reshape(shape) - weighted).max() < 1e-6


def test_nilearn_smooth_img():
    from nilearn.image import smooth_img

    shape = (24, 22, 20)
    data = np.zeros(shape, np.float32)
    inside = (slice(9, 15), slice(8, 14), slice(8, 12))
    data[inside] = np.random.default_rng(0).normal(size=(6, 6, 4))
    affine = np.diag([3.0, 3.0, 4.0, 1.0])
    expected = smooth_img(nib.Nifti1Image(data, affine), fwhm=5.0).get_fdata()
    grid = ai.VolumeGrid(shape, affine)
    ours = grid.put(np.asarray(smoothing_operator(grid, fwhm=5.0)(data.reshape(-1, 1))))[..., 0]
    # 5 mm are cut at 3 and 2 voxels, so that no boundary was seen.
    assert np.abs(ours - expected).max() < 1e-6


@pytest.mark.parametrize("make", [masked, lambda: ai.VolumeGrid((6, 1, 1), np.eye(4))])
def test_conservation(make):
    grid = make()
    rng = np.random.default_rng(0)
    maps = ai.HardMaps(rng.integers(0, 5, grid.n_locations).astype(np.int32), 5)
    constant = smoothing_operator(grid, sigma=3.0)
    mass = smoothing_operator(grid, sigma=3.0, conserve="mass")
    partition = constant.smooth_maps(maps).to_dense().sum(axis=0, dtype=float)
    assert np.abs(partition - 1).max() < 1e-6
    ones = np.ones((grid.n_locations, 1), np.float32)
    assert np.abs(np.asarray(constant(ones)) - 1).max() < 1e-6
    totals = mass.smooth_maps(maps).totals()
    np.testing.assert_allclose(totals, maps.totals(), rtol=1e-6)


def test_order_of_voxels():
    grid = masked()
    order = np.random.default_rng(0).permutation(grid.n_locations)
    data = np.random.default_rng(1).normal(size=(grid.n_locations, 3)).astype(np.float32)
    plain = smoothing_operator(grid, sigma=2.0)(data)
    mixed = smoothing_operator(grid.restrict(order), sigma=2.0)(data[order])
    np.testing.assert_allclose(mixed, plain[order], atol=1e-6)


def test_semigroup_far_from_the_boundary():
    grid = ai.VolumeGrid((41, 1, 1), np.eye(4))
    impulse = np.zeros((41, 1), np.float32)
    impulse[20] = 1
    three, four, five = (smoothing_operator(grid, sigma=s, truncate=9) for s in (1.2, 1.6, 2.0))
    assert np.abs(four(three(impulse)) - five(impulse)).max() < 1e-5


def test_bad_grids():
    sheared = np.eye(4)
    sheared[0, 1] = 0.2
    with pytest.raises(ValueError, match="axes are not perpendicular"):
        smoothing_operator(ai.VolumeGrid((3, 3, 3), sheared), sigma=1.0)
    with pytest.raises(ValueError, match="`affine` should be invertible"):
        ai.VolumeGrid((3, 3, 3), np.diag([1.0, 1, 0, 1]))
    with pytest.raises(ValueError, match="at least one location"):
        smoothing_operator(ai.VolumeGrid((3, 3, 3), np.eye(4), np.zeros(0, int)), sigma=1.0)
    with pytest.raises(ValueError, match="`geometry` 'sphere' does not fit VolumeGrid"):
        smoothing_operator(ai.VolumeGrid((3, 3, 3), np.eye(4)), sigma=1.0, geometry="sphere")
    with pytest.raises(ValueError, match="is for the sphere"):
        smoothing_operator(ai.VolumeGrid((3, 3, 3), np.eye(4)), sigma=1.0, profile="heat")
    with pytest.warns(ai.AtlasWarning, match="most locations have no neighbour"):
        smoothing_operator(ai.VolumeGrid((3, 3, 3), np.eye(4)), sigma=0.1)
