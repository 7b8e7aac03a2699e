"""Units and orientations that headers of images state, over formats, for atlases and data alike."""

import nibabel as nb
import numpy as np
import pytest
from helpers import table

import atlasinit as ai
from atlasinit.io import open_data, read_mask
from atlasinit.io.timing import read_repetition_time

SHAPE = (4, 5, 6)
MM = np.array([[-0.025, 0, 0, 1.5], [0, 0.025, 0, -2], [0, 0, 0.025, 0.5], [0, 0, 0, 1]])
FACTORS = {"mm": 1, "meter": 1e-3, "micron": 1e3}
LABELS = (np.arange(np.prod(SHAPE)) % 3).astype(np.int16).reshape(SHAPE)


def stored(values, unit, kind=nb.Nifti1Image):
    """Return an image whose header says in `unit` where `MM` says in mm."""
    affine = MM.copy()
    affine[:3] *= FACTORS[unit]
    made = kind(values, affine)
    made.header.set_xyzt_units(unit)
    return made


def grid_atlas():
    return ai.Atlas(
        name="vol",
        space="x",
        maps={"volume": ai.HardMaps(LABELS.reshape(-1).astype(np.int32) - 1, 2)},
        geometry={"volume": ai.VolumeGrid(SHAPE, MM)},
        labels=table(["volume"] * 2),
    )


@pytest.mark.parametrize("unit", FACTORS)
@pytest.mark.parametrize("form", ["memory", "a.nii", "a.nii.gz", "nifti2"])
def test_an_atlas_is_in_mm_whatever_the_unit(tmp_path, unit, form):
    made = stored(LABELS, unit, nb.Nifti2Image if form == "nifti2" else nb.Nifti1Image)
    if form not in ("memory", "nifti2"):
        nb.save(made, tmp_path / form)
        made = tmp_path / form
    atlas = ai.load_atlas(made, space="x")
    np.testing.assert_allclose(atlas.geometry["volume"].affine, MM, rtol=1e-6)
    noted = f"unit({unit} to mm)" in atlas.provenance.operations
    assert noted is (unit != "mm")
    # And written in mm.
    ai.save_atlas(atlas, tmp_path / "out.nii.gz")
    written = nb.load(tmp_path / "out.nii.gz")
    assert written.header.get_xyzt_units()[0] == "mm"
    np.testing.assert_allclose(written.affine, MM, rtol=1e-6)
    assert ai.load_atlas(tmp_path / "out.nii.gz").geometry == atlas.geometry


@pytest.mark.parametrize("unit", FACTORS)
def test_data_masks_and_targets_are_in_mm_too(tmp_path, unit):
    values = np.random.default_rng(0).normal(size=(*SHAPE, 2)).astype(np.float32)
    nb.save(stored(values, unit), tmp_path / "x.nii.gz")
    got = open_data(tmp_path / "x.nii.gz", grid_atlas()).all()
    np.testing.assert_array_equal(got, values.reshape(-1, 2))
    mask = stored((LABELS == 1).astype(np.uint8), unit)
    assert read_mask(mask, grid=grid_atlas().geometry["volume"]).n_locations == 40
    moved = ai.resample(grid_atlas(), tmp_path / "x.nii.gz")
    np.testing.assert_array_equal(moved.maps["volume"].labels, grid_atlas().maps["volume"].labels)
    maps = [stored(v, unit) for v in np.moveaxis(np.abs(values), -1, 0)]
    stack = ai.load_atlas(maps, space="x", kind="maps")
    np.testing.assert_allclose(stack.geometry["volume"].affine, MM, rtol=1e-6)
    assert (f"unit({unit} to mm)" in stack.provenance.operations) is (unit != "mm")


def test_a_unit_other_than_the_atlas_s_is_another_grid():
    data = stored(LABELS, "mm")
    data.header.set_xyzt_units("micron")  # the numbers are those of mm
    with pytest.warns(ai.AtlasWarning, match="unit micron, which makes voxels of 2.5e-05 mm"):
        grid = pytest.raises(ValueError, open_data, data, grid_atlas())
    assert "another grid" in str(grid.value)


def test_voxels_that_no_scanner_has_are_told(tmp_path):
    made = nb.Nifti1Image(LABELS, np.diag([2.0, 2, 2, 1]))
    made.header.set_xyzt_units("meter")
    nb.save(made, tmp_path / "a.nii")
    with pytest.warns(ai.AtlasWarning, match=r"a\.nii: its header states the unit meter.*2000 mm"):
        ai.load_atlas(tmp_path / "a.nii", space="x")
    made.header.set_xyzt_units("mm")  # as the warning says
    assert ai.load_atlas(made, space="x").geometry["volume"].voxel_sizes.tolist() == [2, 2, 2]


def unoriented(values, kind):
    if kind == "analyze":
        made = nb.Spm2AnalyzeImage(values, None)
        made.header.set_zooms([2.0] * 3)
        return nb.Spm2AnalyzeImage(values, made.header.get_best_affine(), made.header)
    if kind == "mgh":
        made = nb.MGHImage(values.astype(np.int32), np.diag([2.0, 2, 2, 1]))
        made.header["goodRASFlag"] = 0
        return made
    made = nb.Nifti1Image(values, np.diag([2.0, 2, 2, 1]))
    made.header["sform_code"] = made.header["qform_code"] = 0
    made = nb.Nifti1Image(values, made.header.get_best_affine(), made.header)
    assert (made.header["sform_code"], made.header["qform_code"]) == (0, 0)
    return made


@pytest.mark.parametrize("kind", ["nifti", "mgh", "analyze"])
def test_an_image_without_orientation_is_taken_as_nibabel_takes_it_with_a_warning(tmp_path, kind):
    made = unoriented(LABELS, kind)
    with pytest.warns(ai.AtlasWarning, match="states no orientation.*left and right") as told:
        atlas = ai.load_atlas(made, space="x")
    assert len(told) == 1
    np.testing.assert_allclose(atlas.geometry["volume"].affine, made.affine)
    assert "orientation(not stated)" in atlas.provenance.operations
    with pytest.warns(ai.AtlasWarning, match="states no orientation"):
        source = open_data(made, atlas)
    assert source.n_locations == atlas.n_locations
    with pytest.warns(ai.AtlasWarning, match="states no orientation"):
        ai.resample(atlas, made)


def test_the_way_out_that_the_warning_names(tmp_path):
    made = unoriented(LABELS, "nifti")
    made.set_sform(made.affine, code="scanner")
    atlas = ai.load_atlas(made, space="x")
    assert "orientation(not stated)" not in atlas.provenance.operations


def test_a_surface_in_an_image_has_no_orientation(tmp_path):
    made = nb.MGHImage(np.ones((9, 1, 1, 2), np.float32), np.eye(4, dtype=np.float32))
    made.header["goodRASFlag"] = 0
    nb.save(made, tmp_path / "lh.x.mgz")
    atlas = ai.Atlas(
        name="surf",
        space="x",
        maps={"cortex_L": ai.HardMaps(np.zeros(9, np.int32), 1)},
        geometry={"cortex_L": ai.SurfaceMesh(9, hemisphere="L")},
        labels=table(["cortex_L"]),
    )
    assert open_data(tmp_path / "lh.x.mgz", atlas).n_time == 2


def test_an_image_without_an_affine():
    with pytest.raises(ai.AtlasFileError, match="has no affine"):
        open_data(nb.Nifti1Image(LABELS, None), grid_atlas())


# The unit of time of a header and the number in it, and the seconds that these are.
TIMES = {
    "seconds": ("sec", 2.0, 2.0),
    "milliseconds": ("msec", 2000.0, 2.0),
    "microseconds": ("usec", 2e6, 2.0),
    "hertz": ("hz", 0.5, None),
    "no unit": (0, 2.0, 2.0),
    "no unit and too long for seconds": (0, 2000.0, None),
    "no step": ("sec", 0.0, None),
}


@pytest.mark.parametrize(("unit", "step", "expected"), TIMES.values(), ids=TIMES)
def test_seconds_between_volumes(tmp_path, unit, step, expected):
    image = nb.Nifti1Image(np.zeros((*SHAPE, 2), np.uint8), np.eye(4))
    image.header.set_zooms((1, 1, 1, step))
    image.header.set_xyzt_units("mm", unit)
    nb.save(image, tmp_path / "x.nii")
    found = [read_repetition_time(given) for given in (image, tmp_path / "x.nii")]
    assert found == (2 * [expected] if expected is None else pytest.approx(2 * [expected]))


@pytest.mark.parametrize("shape", [(4, 5, 0), (0, 5, 6, 3)])
def test_an_image_without_a_voxel(tmp_path, shape):
    image = nb.Nifti1Image(np.zeros(shape, np.int16), np.eye(4))
    nb.save(image, tmp_path / "x.nii")
    for given in (image, tmp_path / "x.nii"):
        for call, further in ((open_data, [grid_atlas()]), (ai.load_atlas, []), (read_mask, [])):
            with pytest.raises(ai.AtlasFileError, match=r"holds no voxel: its sizes are \("):
                call(given, *further)


def test_painted_images_state_mm():
    masker = ai.AtlasMasker(grid_atlas()).fit()
    painted = masker.inverse_transform(np.array([[1.0, 2.0]]))
    assert painted.header.get_xyzt_units()[0] == "mm"
