"""A volume moved to a CIFTI file that has surfaces besides its voxels."""

import nibabel as nb
import numpy as np
import pytest
from helpers_resampling import volume_atlas
from nibabel.cifti2 import BrainModelAxis, SeriesAxis

import atlasinit as ai

AFFINE = np.diag([2.0, 2, 2, 1])
VOXELS = np.array([[3, 0, 0], [1, 2, 1], [0, 1, 2]])


@pytest.fixture
def path(tmp_path):
    axis = BrainModelAxis.from_surface([0, 2, 5], 12, name="CortexLeft") + BrainModelAxis(
        "thalamus_left", voxel=VOXELS, affine=AFFINE, volume_shape=(4, 3, 3)
    )
    values = np.zeros((2, len(axis)), np.float32)
    nb.save(nb.Cifti2Image(values, (SeriesAxis(0, 1, 2), axis)), tmp_path / "x.dtseries.nii")
    return tmp_path / "x.dtseries.nii"


def test_an_atlas_takes_its_only_grid(path):
    labels = np.random.default_rng(0).integers(0, 4, (4, 3, 3))
    labels[tuple(VOXELS.T)] = [2, 3, 1]
    atlas = volume_atlas(labels, AFFINE, soft=False)
    moved = ai.resample(atlas, path)
    np.testing.assert_array_equal(moved.maps["volume"].labels, labels[tuple(VOXELS.T)] - 1)
    assert ai.to_grayordinates(moved, path).compartments == ("subcortex",)


def test_data_takes_it_as_the_message_says(path):
    grid = ai.VolumeGrid((4, 3, 3), AFFINE)
    with pytest.raises(ValueError, match=r"lacks, \['cortex_L'\].* of a file by \{\"data\""):
        ai.resampling_operator(grid, path)
    moved = ai.resample_data(np.arange(36, dtype=np.float32), grid, {"data": path})
    np.testing.assert_array_equal(moved, np.arange(36).reshape(4, 3, 3)[tuple(VOXELS.T)])


def test_no_volume_is_made_of_both(path):
    atlas = volume_atlas(np.ones((4, 3, 3), int), AFFINE, soft=False)
    with pytest.raises(TypeError, match=r"a volume alone, got .*x.dtseries.nii of \['cortex_L'"):
        ai.to_volume(atlas, path, space="mine")


def test_between_voxels_and_vertices_another_call_leads():
    volume = volume_atlas(np.ones((4, 3, 3), int), AFFINE, soft=False)
    mesh = {"cortex_L": ai.SurfaceMesh(12, hemisphere="L")}
    with pytest.raises(ValueError, match=r"lacks the compartments \['volume'\].*by `ai.to_surface"):
        ai.resample(volume, mesh)
    named = {"deep": volume.geometry["volume"]}
    with pytest.raises(ValueError, match=r"lacks the compartments.*; name them as those of the so"):
        ai.resample(volume, named)
