"""Conditions see weights on the scale that the same file has as an atlas, and labels as they are."""

import nibabel as nb
import numpy as np
import pytest
from helpers_io import AFFINE, save_image
from scipy.ndimage import gaussian_filter

import atlasinit as ai
from atlasinit.io import read_mask

SHAPE = (12, 12, 12)
GRID = ai.VolumeGrid(SHAPE, AFFINE)
SMOOTH = gaussian_filter(np.random.default_rng(0).random(SHAPE), 1.5)
PERCENT = np.rint(100 * (SMOOTH - SMOOTH.min()) / np.ptp(SMOOTH))
LABELS = np.kron(np.arange(1, 28).reshape(3, 3, 3), np.ones((4, 4, 4))).astype(np.int16)
DTYPES = ("uint8", "int16", "float32", "float64")


def kept(images, condition):
    return read_mask((images, condition), grid=GRID).mask


def forms(values, folder, name):
    return (
        save_image(folder / f"{name}.nii.gz", values),
        nb.Nifti1Image(values, AFFINE),
        values,
    )


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ["gm", "sub-01_label-GM_probseg"])
@pytest.mark.parametrize("top", [100, 255])
def test_percent_and_parts_of_255_of_every_type(tmp_path, dtype, name, top):
    stored = np.rint(PERCENT * top / 100).astype(dtype)
    for image in forms(stored, tmp_path, name):
        for condition, expected in {
            "gm > 0.5": stored > 0.5 * top,
            "0.2 <= gm": stored >= 0.2 * top,
            "not gm < 0.29": stored.astype(np.float64) / top >= 0.29,
            "gm > 0": stored > 0,
        }.items():
            np.testing.assert_array_equal(kept({"gm": image}, condition), expected)
    # The same voxels have the same weights in an atlas.
    path = tmp_path / f"{name}.nii.gz"
    (weights,) = ai.load_atlas(path, space="x", kind="maps").to_dense().values()
    assert int((weights > 0.5).sum()) == int((stored > 0.5 * top).sum())


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_fractions(dtype):
    fractions = (PERCENT / 100).astype(dtype)
    np.testing.assert_array_equal(kept({"gm": fractions}, "gm > 0.505"), PERCENT > 50)
    half = (PERCENT * 0.999).astype(dtype)
    np.testing.assert_array_equal(kept({"gm": half}, "gm > 0.505"), half > 50.5)
    statistics = (PERCENT / 10 - 3).astype(dtype)
    np.testing.assert_array_equal(kept({"z": statistics}, "z > 3.1"), statistics > 3.1)


@pytest.mark.parametrize("dtype", DTYPES)
def test_labels_and_masks_are_as_they_are(tmp_path, dtype):
    for image in forms(LABELS.astype(dtype), tmp_path, "aseg"):
        expected = np.isin(LABELS, (3, 17))
        np.testing.assert_array_equal(kept({"s": image}, "s == 3 or s == 17"), expected)
    mask = (np.where(LABELS > 5, 200, 0)).astype(dtype)
    for condition in ("m > 0.5", "m == 200", "m > 0"):
        np.testing.assert_array_equal(kept({"m": mask}, condition), LABELS > 5)
    large = (LABELS * 100).astype("int16" if dtype == "uint8" else dtype)
    np.testing.assert_array_equal(kept({"t1": large}, "t1 > 1250"), LABELS > 12)
    percent = PERCENT.astype(dtype)
    both = kept({"s": LABELS, "gm": percent}, "s == 3 and gm > 0.5")
    np.testing.assert_array_equal(both, (LABELS == 3) & (PERCENT > 50))


def test_a_header_or_a_name_states_labels(tmp_path):
    image = nb.Nifti1Image(PERCENT.astype(np.uint8), AFFINE)
    image.header.set_intent("label")
    named = save_image(tmp_path / "x_dseg.nii.gz", PERCENT.astype(np.uint8))
    for given in (image, named):
        np.testing.assert_array_equal(kept({"s": given}, "s == 30"), PERCENT == 30)
    blocks = save_image(tmp_path / "x_probseg.nii.gz", LABELS)
    np.testing.assert_array_equal(kept({"p": blocks}, "p > 0.12"), LABELS > 12)


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_numbers_that_belong_to_another_scale(dtype):
    percent = PERCENT.astype(dtype)
    for condition in ("gm > 50", "50 < gm", "gm > 0.1 and gm < 90"):
        with pytest.raises(ValueError, match=r"beyond the scale of 0 to 1 .*Write 0\.[59]"):
            kept({"gm": percent}, condition)
    labels = LABELS.astype(dtype)
    with pytest.raises(ValueError, match=r"'0.5' .* up to 27 may be labels or percent.* s > 50"):
        kept({"s": labels}, "s > 0.5")
    assert kept({"s": labels}, "s > 20").sum() == (LABELS > 20).sum()
