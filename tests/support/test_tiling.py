"""Tiles hold every location once, are compact, and their balls hold them."""

import numpy as np
import pytest
from scipy.spatial import cKDTree

from atlasinit.support.tiling import spheres, tiles


@pytest.mark.parametrize("n", [1, 2, 63, 64, 65, 1000, 4097])
@pytest.mark.parametrize("size", [1, 7, 64])
def test_every_location_once(n, size):
    points = np.random.default_rng(n).normal(size=(n, 3))
    groups = tiles(points, size=size)
    assert groups.dtype == np.int32
    assert groups.shape == (-(-n // size), size)
    np.testing.assert_array_equal(np.sort(groups[groups >= 0]), np.arange(n))
    assert (groups.reshape(-1)[:n] >= 0).all()


def test_no_location():
    assert tiles(np.zeros((0, 3))).shape == (0, 64)


def test_coincident_locations():
    groups = tiles(np.zeros((100, 3)), size=8)
    np.testing.assert_array_equal(np.sort(groups[groups >= 0]), np.arange(100))


def test_balls_hold_their_tiles_and_are_compact():
    points = np.random.default_rng(0).uniform(size=(4097, 3)).astype(np.float32)
    groups = tiles(points)
    centres, radii = spheres(points, groups)
    for group, centre, radius in zip(groups, centres, radii, strict=True):
        distances = np.linalg.norm(points[group[group >= 0]] - centre, axis=1)
        assert distances.max() <= radius * (1 + 1e-6)
    # A cube of 64 of the 4097 points has edge 0.25 and half diagonal 0.217.
    assert np.median(radii) < 0.3
    # Most of a location's nearest neighbours share its tile.
    owner = np.empty(len(points), np.int64)
    owner[groups[groups >= 0]] = np.nonzero(groups >= 0)[0]
    _, near = cKDTree(points).query(points, k=5)
    assert (owner[near[:, 1:]] == owner[:, None]).mean() > 0.55


def test_bad_input():
    with pytest.raises(ValueError, match="`size` should be at least 1"):
        tiles(np.zeros((3, 3)), size=0)
    with pytest.raises(ValueError, match="`coordinates` should be finite"):
        tiles(np.full((3, 3), np.nan))
