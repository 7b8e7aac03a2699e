"""Files of labels given as data: their mean is refused, their mode is that of their numbers."""

import nibabel as nb
import numpy as np
import pytest
from helpers_cli import run_cli
from nibabel.cifti2 import BrainModelAxis, Cifti2Image, LabelAxis

import atlasinit as ai
from atlasinit.io import open_data
from atlasinit.io.data import _labelled
from atlasinit.io.input import Input
from atlasinit.io.values import rows_source

SHAPE = (6, 5, 4)
AFFINE = np.diag([2.0, 2, 2, 1])
N = 120
PARCELS = np.repeat(np.arange(4), 30).astype(np.int32)
NETWORKS = np.random.default_rng(0).choice([0, 1, 5, 9], p=[0.1, 0.5, 0.1, 0.3], size=N)
NAMES = {0: "???", 1: "Visual", 5: "Limbic", 9: "Default"}
MODES = [int(np.bincount(NETWORKS[PARCELS == k]).argmax()) for k in (1, 2, 3)]
LABEL, NONE = "NIFTI_INTENT_LABEL", "NIFTI_INTENT_NONE"
WORKBENCH = (
    '<?xml version="1.0"?><CaretExtension><VolumeInformation Index="0"><LabelTable>'
    '<Label Key="1" Red="1" Green="0" Blue="0" Alpha="1">Visual</Label>'
    "</LabelTable></VolumeInformation></CaretExtension>"
)


def volume(intent="none", text=""):
    image = nb.Nifti1Image(NETWORKS.reshape(SHAPE).astype(np.int16), AFFINE)
    image.header.set_intent(intent)
    if text:
        image.header.extensions.append(nb.nifti1.Nifti1Extension(30, text.encode()))
    return image


def gifti(intent, *, table=False):
    image = nb.GiftiImage(
        darrays=[nb.gifti.GiftiDataArray(NETWORKS.astype(np.int32), intent=intent)],
        meta=nb.gifti.GiftiMetaData(AnatomicalStructurePrimary="CortexLeft"),
    )
    for key, name in NAMES.items() if table else ():
        label = nb.gifti.GiftiLabel(key, 0.1 * key, 0.2, 0.3, 1.0)
        label.label = name
        image.labeltable.labels.append(label)
    return image


def cifti():
    table = {k: (name, (0.1 * k, 0.5, 0.5, 1.0)) for k, name in NAMES.items()}
    brain = BrainModelAxis.from_surface(np.arange(N), N, "CortexLeft")
    image = Cifti2Image(
        NETWORKS[None].astype(np.float32), header=(LabelAxis(["n"], [table]), brain)
    )
    image.nifti_header.set_intent("NIFTI_INTENT_CONNECTIVITY_DENSE_LABELS")
    return image


def mgh():
    return nb.MGHImage(NETWORKS.reshape(SHAPE).astype(np.int32), AFFINE.astype(np.float32))


def save_annotation(path):
    colors = [[10 * k + 1, 20, 30, 0] for k in range(10)]
    names = [NAMES.get(k, f"none of these {k}") for k in range(10)]
    nb.freesurfer.write_annot(path, NETWORKS, np.array(colors), names)


def written(image):
    return lambda path: nb.save(image, path)


FILES = {
    "networks.nii": written(volume("label")),
    "networks.nii.gz": written(volume(text=WORKBENCH)),
    "sub-01_dseg.nii.gz": written(volume()),
    "aparc+aseg.mgz": written(mgh()),
    "networks.label.gii": written(gifti(LABEL, table=True)),
    "unstated.label.gii": written(gifti(NONE)),
    "table.func.gii": written(gifti(NONE, table=True)),
    "sub-01_hemi-L_dseg.shape.gii": written(gifti(NONE)),
    "networks.dlabel.nii": written(cifti()),
    "lh.networks.annot": save_annotation,
}
IN_MEMORY = {
    "NIfTI": volume("label"),
    "NIfTI with a table": volume(text=WORKBENCH),
    "GIFTI": gifti(LABEL),
    "GIFTI with a table": gifti(NONE, table=True),
    "CIFTI": cifti(),
}


def atlas_for(name):
    if name.endswith((".nii", ".nii.gz", ".mgz")) and "dlabel" not in name or "NIfTI" in name:
        return ai.load_atlas(
            nb.Nifti1Image(PARCELS.reshape(SHAPE).astype(np.int16), AFFINE), space="x"
        )
    return ai.load_atlas({"cortex_L": PARCELS}, space="x")


@pytest.fixture(params=[*FILES, *IN_MEMORY])
def given(request, tmp_path):
    """What holds labels, and an atlas for it."""
    name = request.param
    if name in IN_MEMORY:
        return IN_MEMORY[name], atlas_for(name)
    FILES[name](tmp_path / name)
    return tmp_path / name, atlas_for(name)


def test_only_their_mode_is_computed(given):
    data, atlas = given
    for reduction in ("mean", "sum", "lstsq", "median", "max", "std"):
        with pytest.raises(ValueError, match=f'holds labels.*their {reduction} .*"mode"'):
            open_data(data, atlas, reduction=reduction)
    with pytest.raises(ValueError, match="holds labels"):
        ai.AtlasMasker(atlas).fit_transform(data)
    with pytest.raises(ValueError, match="holds labels"):
        ai.AtlasMasker(atlas).fit(data)
    found = ai.AtlasMasker(atlas, reduction="mode").fit_transform(data)
    assert found[0].tolist() == MODES
    values = open_data(data, atlas, reduction="mode").all()
    assert ai.project(atlas, values, reduction="mode")[:, 0].tolist() == MODES


def test_one_of_two_hemispheres_suffices():
    atlas = ai.load_atlas({"cortex_L": PARCELS, "cortex_R": PARCELS}, space="x")
    data = {"cortex_L": gifti(LABEL), "cortex_R": NETWORKS}
    with pytest.raises(ValueError, match="in memory holds labels"):
        open_data(data, atlas)
    found = ai.AtlasMasker(atlas, reduction="mode").fit_transform(data)
    assert found[0].tolist() == 2 * MODES


def test_a_function_of_your_own_takes_labels():
    atlas = ai.load_atlas({"cortex_L": PARCELS}, space="x")

    def count(values, weights):
        return np.array([len(np.unique(column)) for column in values.T], np.float32)

    found = ai.AtlasMasker(atlas, reduction=count).fit_transform(gifti(LABEL))[0]
    assert found.tolist() == [len(np.unique(NETWORKS[PARCELS == k])) for k in (1, 2, 3)]


def test_labels_are_not_smoothed():
    atlas = atlas_for("NIfTI")
    masker = ai.AtlasMasker(atlas, reduction="mode", smoothing_fwhm=4.0)
    with pytest.raises(ValueError, match="`smoothing_fwhm`: in memory holds labels"):
        masker.fit_transform(volume("label"))


def test_reports_and_refinement_refuse_labels():
    atlas = atlas_for("NIfTI")
    with pytest.raises(ValueError, match="holds labels"):
        ai.generate_report(atlas, data=volume("label"))
    with pytest.raises(ValueError, match="holds labels"):
        ai.refine(atlas, volume("label"))


def test_the_command_line(tmp_path, capsys):
    nb.save(nb.Nifti1Image(PARCELS.reshape(SHAPE).astype(np.int16), AFFINE), tmp_path / "a.nii")
    nb.save(volume(), tmp_path / "sub-01_dseg.nii.gz")
    command = ("project", tmp_path / "a.nii", "--space", "x", "-d", tmp_path / "sub-01_dseg.nii.gz")
    status, _, told = run_cli(capsys, *command, "-o", tmp_path / "out.tsv")
    assert status == 2
    assert "holds labels" in told
    assert "--reduction mode" in told
    status, *_ = run_cli(capsys, *command, "-o", tmp_path / "out.tsv", "--reduction", "mode")
    assert status == 0
    assert np.loadtxt(tmp_path / "out.tsv", skiprows=1).tolist() == MODES


@pytest.mark.parametrize("name", ["a.nii.gz", "sub-01_mask.nii.gz", "sub-01_bold.nii.gz"])
def test_whole_numbers_that_are_no_labels_are_data(tmp_path, name):
    amounts = (NETWORKS > 1).astype(np.uint8) if "mask" in name else NETWORKS.astype(np.int16)
    nb.save(nb.Nifti1Image(amounts.reshape(SHAPE), AFFINE), tmp_path / name)
    found = ai.AtlasMasker(atlas_for("x.nii")).fit_transform(tmp_path / name)[0]
    np.testing.assert_allclose(found, [amounts[PARCELS == k].mean() for k in (1, 2, 3)], rtol=1e-6)


def test_labels_that_float32_merges_are_refused():
    large = rows_source(np.array([614454277, 614454278], np.int32))
    with pytest.raises(ai.AtlasFileError, match="labels up to 614454272, which float32"):
        _labelled(large, Input(volume())).all()
    assert _labelled(rows_source(np.array([2**24])), Input(volume())).all() == 2**24
