"""One run for several atlases, beside means of NumPy and the masker: what is without data is out."""

import nibabel as nb
import numpy as np
import pytest
from helpers_extraction import AFFINE, SHAPE, SPACE, volume_atlas
from scipy.sparse import csr_array

import atlasinit as ai
from atlasinit.extraction import one_run
from atlasinit.extraction.one_run import Averaging, extract_run

T = 12


def soft_atlas():
    """Return two overlapping maps, of a part of the voxels."""
    voxels = np.arange(20, 100)
    rng = np.random.default_rng(3)
    weights = rng.uniform(0.1, 1, (2, voxels.size)).astype(np.float32)
    weights[0, 50:] = weights[1, :30] = 0
    hard = volume_atlas("soft", n=2)
    return hard.replace(
        maps={"volume": ai.SparseMaps.from_scipy(csr_array(weights))},
        geometry={"volume": ai.VolumeGrid(SHAPE, AFFINE, voxels)},
    )


def damage(data, kind):
    """Return data of which some voxels are lost in some way, and which are left."""
    there = np.ones(SHAPE, bool)
    if kind == "0 in all volumes":
        data[0, 0] = data[1, 2, 3] = 0
        there[0, 0] = there[1, 2, 3] = False
    elif kind == "0 in the first volume":
        data[0, 0, :, 0] = 0
    elif kind == "NaN in a later volume":
        data[2, 3, 2, 7] = np.nan
        there[2, 3, 2] = False
    elif kind == "NaN in the first volume":
        data[2, 3, 2, 0] = np.nan
        there[2, 3, 2] = False
    elif kind == "infinite":
        data[2, 3, 1, 4] = np.inf
        there[2, 3, 1] = False
    elif kind == "a whole parcel":
        data[..., 2, :] = 0
        there[..., 2] = False
    return data, there


KINDS = (
    *("whole", "0 in all volumes", "0 in the first volume", "NaN in a later volume"),
    *("NaN in the first volume", "infinite", "a whole parcel"),
)


def expected(atlas, data, there):
    """Return means over what is left, and its share."""
    grid = atlas.geometry["volume"]
    weights = atlas.to_dense()["volume"].astype(float)
    left = weights * there.reshape(-1)[grid.voxels]
    rows = np.nan_to_num(data.reshape(-1, T)[grid.voxels].astype(float), posinf=0)
    totals = left.sum(axis=1)
    share = totals / weights.sum(axis=1)
    means = left @ rows / np.where(totals, totals, 1)[:, None]
    means[share < 0.5] = np.nan
    return means.T, share


@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_without_data_is_left_out(kind, ending, tmp_path):
    data = 50 + np.random.default_rng(0).normal(size=(*SHAPE, T)).astype(np.float32)
    data, there = damage(data, kind)
    path = tmp_path / f"bold{ending}"
    nb.save(nb.Nifti1Image(data, AFFINE), path)
    atlases = [volume_atlas(), soft_atlas()]
    found = extract_run([path], atlases, Averaging())
    for atlas, own in zip(atlases, found, strict=True):
        means, share = expected(atlas, data, there)
        np.testing.assert_allclose(own.coverage, share, atol=1e-6)
        np.testing.assert_allclose(own.series, means, rtol=2e-6)


def test_the_same_without_a_look_at_all_suspects(tmp_path, monkeypatch):
    data = np.random.default_rng(0).normal(size=(*SHAPE, T)).astype(np.float32)
    data, _ = damage(data, "0 in all volumes")
    path = tmp_path / "bold.nii.gz"
    nb.save(nb.Nifti1Image(data, AFFINE), path)
    quick = extract_run([path], [volume_atlas()], Averaging())
    monkeypatch.setattr(one_run, "_SUSPECTS", 1)
    monkeypatch.setattr(one_run, "_HELD", 1)
    slow = extract_run([path], [volume_atlas()], Averaging())
    np.testing.assert_allclose(quick[0].series, slow[0].series, atol=1e-6)
    np.testing.assert_array_equal(quick[0].coverage, slow[0].coverage)


def test_an_image_is_read_once_for_all(tmp_path, monkeypatch):
    from atlasinit.io.formats import series

    path = tmp_path / "bold.nii.gz"
    data = 9 + np.random.default_rng(0).normal(size=(*SHAPE, T)).astype(np.float32)
    nb.save(nb.Nifti1Image(data, AFFINE), path)
    read = []
    unpack = series._unpack

    def count(stored, span):
        found = unpack(stored, span)
        read.append(found.shape[3])
        return found

    monkeypatch.setattr(series, "_unpack", count)
    extract_run([path], [volume_atlas(), soft_atlas()], Averaging())
    # The first volume is looked at before.
    assert sum(read) == T + 1


@pytest.mark.parametrize("reduction", ["sum", "median"])
def test_other_reductions_are_those_of_the_masker(reduction, tmp_path):
    data = 9 + np.random.default_rng(0).normal(size=(*SHAPE, T)).astype(np.float32)
    data, there = damage(data, "0 in all volumes")
    path = tmp_path / "bold.nii.gz"
    nb.save(nb.Nifti1Image(data, AFFINE), path)
    (found,) = extract_run([path], [volume_atlas()], Averaging(reduction))
    masked = nb.Nifti1Image(np.where(there[..., None], data, np.float32(np.nan)), AFFINE)
    masker = ai.AtlasMasker(volume_atlas(), reduction=reduction, missing="omit")
    np.testing.assert_allclose(found.series, masker.fit_transform(masked), rtol=1e-5)


def test_least_squares_are_of_what_is_left(tmp_path):
    data = 9 + np.random.default_rng(0).normal(size=(*SHAPE, T)).astype(np.float32)
    data, there = damage(data, "0 in all volumes")
    path = tmp_path / "bold.nii.gz"
    nb.save(nb.Nifti1Image(data, AFFINE), path)
    atlas = soft_atlas()
    (found,) = extract_run([path], [atlas], Averaging("lstsq"))
    voxels = atlas.geometry["volume"].voxels
    left = there.reshape(-1)[voxels]
    maps = atlas.to_dense()["volume"].astype(float)[:, left]
    rows = data.reshape(-1, T)[voxels][left].astype(float)
    solved = np.linalg.lstsq(maps.T, rows, rcond=None)[0]
    np.testing.assert_allclose(found.series, solved.T, rtol=1e-4)


def test_smoothing_takes_nothing_from_what_is_without_data(tmp_path):
    data = 9 + np.random.default_rng(0).normal(size=(*SHAPE, T)).astype(np.float32)
    data, there = damage(data, "0 in all volumes")
    path = tmp_path / "bold.nii.gz"
    nb.save(nb.Nifti1Image(data, AFFINE), path)
    (found,) = extract_run([path], [volume_atlas()], Averaging(smoothing_fwhm=3.0))
    masked = nb.Nifti1Image(np.where(there[..., None], data, np.float32(np.nan)), AFFINE)
    masker = ai.AtlasMasker(volume_atlas(), smoothing_fwhm=3.0, missing="omit")
    np.testing.assert_allclose(found.series, masker.fit_transform(masked), rtol=1e-5)


def test_masks_are_of_the_grid(tmp_path):
    data = 9 + np.random.default_rng(0).normal(size=(*SHAPE, T)).astype(np.float32)
    nb.save(nb.Nifti1Image(data, AFFINE), tmp_path / "bold.nii.gz")
    there = np.ones(SHAPE, bool)
    there[:, 1:3] = False
    nb.save(nb.Nifti1Image(there.astype(np.uint8), AFFINE), tmp_path / "mask.nii.gz")
    (found,) = extract_run(
        [tmp_path / "bold.nii.gz"], [volume_atlas()], Averaging(), mask=tmp_path / "mask.nii.gz"
    )
    means, share = expected(volume_atlas(), data, there)
    np.testing.assert_allclose(found.coverage, share, atol=1e-6)
    np.testing.assert_allclose(found.series, means, rtol=2e-6)
    assert SPACE == volume_atlas().space
