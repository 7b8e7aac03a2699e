"""Volumes at the voxels of CIFTI's structures, and back: Workbench, and the 91,282."""

import shutil
import subprocess

import nibabel as nb
import numpy as np
import pytest
from helpers import mixed_atlas, table, unchecked

import atlasinit as ai

SHAPE, AFFINE = (5, 4, 3), np.array([[-2.0, 0, 0, 8], [0, 2, 0, -6], [0, 0, 2, 1], [0, 0, 0, 1]])
# As CIFTI orders them: by structure, within one the first index fastest.
CODES = {26: "ACCUMBENS_LEFT", 54: "AMYGDALA_RIGHT", 16: "BRAIN_STEM"}
RNG = np.random.default_rng(0)
STRUCTURES = np.where(RNG.random(SHAPE) < 0.6, RNG.choice(list(CODES), SHAPE), 0)


def template(affine=AFFINE):
    flat = STRUCTURES.ravel(order="F")
    voxels = [np.flatnonzero(flat == code) for code in CODES]
    ijk = np.unravel_index(np.concatenate(voxels), SHAPE, order="F")
    runs = [(f"CIFTI_STRUCTURE_{n}", v.size) for n, v in zip(CODES.values(), voxels, strict=True)]
    return ai.VolumeGrid(SHAPE, affine, np.ravel_multi_index(ijk, SHAPE), runs)


LABELS = RNG.integers(0, 4, SHAPE)
FLIP = AFFINE @ np.array([[-1.0, 0, 0, 4], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])


def volume(form="hard", affine=AFFINE, space="MNI152NLin6Asym", labels=LABELS):
    flat = (labels if affine is AFFINE else labels[::-1]).reshape(-1)
    hard = ai.HardMaps(flat.astype(np.int32) - 1, 3)
    maps = {
        "hard": lambda: hard,
        "dense": lambda: ai.DenseMaps(hard.to_dense() * 0.5),
        "sparse": lambda: ai.SparseMaps.from_scipy(hard.to_scipy() * np.float32(0.5)),
    }[form]()
    return ai.Atlas(
        name="v",
        space=space,
        maps={"volume": maps},
        geometry={"volume": ai.VolumeGrid(SHAPE, affine)},
        labels=table(["volume"] * 3),
    )


@pytest.mark.parametrize("form", ["hard", "dense", "sparse"])
@pytest.mark.parametrize("affine", [AFFINE, FLIP], ids=["as it is", "flipped"])
def test_voxels_take_what_the_volume_has_there(form, affine):
    grid = template()
    atlas = volume(form, affine)
    made = ai.to_grayordinates(atlas, grid)
    values = LABELS.reshape(-1)[grid.voxels]
    expected = (values == np.array([[1], [2], [3]])) * (1 if form == "hard" else 0.5)
    np.testing.assert_array_equal(made.to_dense()["subcortex"], expected)
    assert type(made.maps["subcortex"]) is type(atlas.maps["volume"])
    assert made.geometry == {"subcortex": grid}
    assert made.table["compartment"] == ("subcortex",) * 3
    assert made.table["name"] == atlas.table["name"]
    outside = np.count_nonzero(LABELS) - np.count_nonzero(values)
    assert f"; {outside} labelled voxels outside)" in made.provenance.operations[-1]
    # There and back: what lies in a structure is the same.
    back = ai.to_volume(made, ai.VolumeGrid(SHAPE, AFFINE), space="MNI152NLin6Asym")
    kept = np.where(STRUCTURES > 0, LABELS, 0).reshape(-1)
    wide = (kept == np.array([[1], [2], [3]])) * (1 if form == "hard" else 0.5)
    np.testing.assert_array_equal(back.to_dense()["volume"], wide)


def save_template(path):
    axes = (nb.cifti2.ScalarAxis(["x"]), brain_axis())
    data = np.zeros((1, axes[1].size), np.float32)
    nb.save(nb.Cifti2Image(data, nb.Cifti2Header.from_axes(axes)), path)


def brain_axis():
    grid = template()
    names = np.repeat([n for n, _ in grid.structures], [n for _, n in grid.structures])
    return nb.cifti2.BrainModelAxis(
        name=names, voxel=grid.ijk, affine=grid.affine, volume_shape=grid.shape
    )


@pytest.mark.skipif(shutil.which("wb_command") is None, reason="wb_command is not installed")
def test_there_and_back_as_workbench(tmp_path):
    """``-cifti-create-dense-from-template`` and ``-cifti-separate``, of weights."""
    save_template(tmp_path / "t.dscalar.nii")
    atlas = volume("dense")
    weights = atlas.to_dense()["volume"].T.reshape(*SHAPE, 3)
    nb.save(nb.Nifti1Image(weights.astype(np.float32), AFFINE), tmp_path / "v.nii.gz")

    def run(*words):
        subprocess.run(["wb_command", *words], cwd=tmp_path, check=True, capture_output=True)

    verb = "-cifti-create-dense-from-template"
    run(verb, "t.dscalar.nii", "o.dscalar.nii", "-volume-all", "v.nii.gz")
    made = ai.to_grayordinates(atlas, tmp_path / "t.dscalar.nii")
    oracle = np.asarray(nb.load(tmp_path / "o.dscalar.nii").dataobj)
    np.testing.assert_allclose(made.to_dense()["subcortex"], oracle, atol=1e-6)
    run("-cifti-separate", "o.dscalar.nii", "COLUMN", "-volume-all", "b.nii.gz")
    back = ai.to_volume(made, tmp_path / "b.nii.gz", space="MNI152NLin6Asym")
    wide = np.asarray(nb.load(tmp_path / "b.nii.gz").dataobj)
    np.testing.assert_allclose(back.to_dense()["volume"].T.reshape(wide.shape), wide, atol=1e-6)


def test_files_of_what_was_made(tmp_path):
    """CIFTI takes it, which takes no volume without structures."""
    made = ai.to_grayordinates(volume(), template())
    ai.save_atlas(made, tmp_path / "a.dlabel.nii")
    again = ai.load_atlas(tmp_path / "a.dlabel.nii")
    assert again == made.replace(provenance=again.provenance)
    # Beside a surface, which stays.
    mixed = mixed_atlas()
    both = ai.to_grayordinates(mixed, mixed.geometry["subcortex"].__class__(
        mixed.geometry["subcortex"].shape,
        mixed.geometry["subcortex"].affine,
        structures=[("CIFTI_STRUCTURE_OTHER", int(np.prod(mixed.geometry["subcortex"].shape)))],
    ))  # fmt: skip
    assert both.compartments == mixed.compartments
    assert both.maps["cortex_L"] == mixed.maps["cortex_L"]


def test_parcels_outside_of_structures_are_told():
    labels = np.where(STRUCTURES > 0, LABELS % 3, 3)
    with pytest.warns(ai.AtlasWarning, match="1 of 3 parcels of 'v' have no voxel in a structure"):
        made = ai.to_grayordinates(volume(labels=labels), template())
    assert made.labels["empty"].tolist() == [False, False, True]


BAD = {
    "no atlas": ("v", None, TypeError, "`atlas` should be an Atlas, got str"),
    "no template": (volume(), 3, TypeError, "`template` should be a file or image of CIFTI-2"),
    "no grid": (
        mixed_atlas().select(compartments="cortex_L"), template(), ValueError,
        r"should have one grid, but 'mixed' has \[\]",
    ),
    "no structures": (
        volume(), ai.VolumeGrid(SHAPE, AFFINE), ValueError, "those of it have no CIFTI structures"
    ),
    "surfaces alone": (
        volume(), mixed_atlas().select(compartments="cortex_L"), ValueError, "'mixed' has 0 grids"
    ),
    "other voxels": (
        volume(), template(AFFINE + np.diag([0.5, 0, 0, 0])), ValueError,
        "has other voxels than 'v': .*; move the atlas there first: `ai.resample",
    ),
    "another space": (
        volume(space="MNI152NLin2009cAsym"), ai.to_grayordinates(volume(), template()),
        ValueError, "`template` is in MNI152NLin6Asym, but 'v' is in .*`ai.resample.*transform",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_what_does_not_fit_is_refused(case):
    atlas, given, error, message = BAD[case]
    with pytest.raises(error, match=message):
        unchecked(ai.to_grayordinates)(atlas, given)


def test_the_advice_works():
    other = template(AFFINE + np.diag([0.5, 0, 0, 0]))
    with pytest.raises(ValueError, match="has other voxels"):
        ai.to_grayordinates(volume(), other)
    moved = ai.resample(volume(), ai.VolumeGrid(other.shape, other.affine))
    assert ai.to_grayordinates(moved, other).geometry == {"subcortex": other}


@pytest.mark.sweep
def test_the_structures_of_the_91282():
    """hcp_utils' slices of the structures, of which each parcel is one."""
    hcp = pytest.importorskip("hcp_utils")
    codes = ai.load_atlas("hcp-subcortex", space="fsLR")
    whole = ai.VolumeGrid(codes.geometry["subcortex"].shape, codes.geometry["subcortex"].affine)
    volume = ai.to_volume(codes, whole, space="MNI152NLin6Asym")
    made = ai.to_grayordinates(volume)
    assert made.space == "fsLR"
    assert made.geometry == {"subcortex": codes.geometry["subcortex"]}
    labels = np.asarray(made.maps["subcortex"].labels)
    for name, own in zip(made.table["name"], range(made.n_parcels), strict=True):
        place = np.arange(91282)[hcp.struct[name]] - 59412
        np.testing.assert_array_equal(np.flatnonzero(labels == own), place)
    cortex = ai.load_atlas("schaefer2018", space="fsLR", parcels=100)
    assert ai.join([cortex, made]).n_locations == 91282
