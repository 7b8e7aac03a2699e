"""What masks state of themselves is compared with what they are for."""

import json
import shutil

import nibabel as nb
import numpy as np
import pytest
from helpers_cli import run_cli
from nibabel.cifti2 import BrainModelAxis, Cifti2Image, ScalarAxis

import atlasinit as ai

N = 12
SHAPE, AFFINE = (3, 4, 5), np.diag([2.0, 2, 2, 1])
VOXELS = (np.arange(60).reshape(SHAPE) % 3).astype(np.int16)
VERTICES = (np.arange(N) % 3).astype(np.int32)


def saved(image, path):
    nb.save(image, path)
    return path


def volume(path, values=VOXELS):
    return saved(nb.Nifti1Image(values, AFFINE), path)


def mgz(path):
    return saved(nb.MGHImage((VOXELS > 0).astype(np.uint8), AFFINE), path)


def afni(path):
    image = nb.Nifti1Image((VOXELS > 0).astype(np.uint8), AFFINE)
    image.header.extensions.append(
        nb.nifti1.Nifti1Extension(4, b'<AFNI_atr atr_name="TEMPLATE_SPACE">"MNI_2009c_asym"</A>')
    )
    return saved(image, path)


def own_volume(path):
    atlas = ai.load_atlas(
        volume(path.with_name("m.nii"), (VOXELS > 0) * 1.0), space="MNI152NLin2009cAsym"
    )
    ai.save_atlas(atlas, path)
    return path


def overlay(path, values=VERTICES > 0):
    array = nb.gifti.GiftiDataArray(values.astype("f4"))
    return saved(nb.gifti.GiftiImage(darrays=[array]), path)


def overlay_mgz(path):
    return saved(nb.MGHImage((VERTICES > 0).astype("f4")[:, None, None], np.eye(4)), path)


def vertex_list(path):
    lines = "".join(f"{v} 0 0 0 0\n" for v in np.flatnonzero(VERTICES))
    path.write_text(f"#!ascii label\n{np.count_nonzero(VERTICES)}\n{lines}")
    return path


def own_surface(path):
    atlas = ai.load_atlas({"cortex_L": VERTICES}, space="onavg")
    ai.save_atlas(atlas, path)
    return path


def numbers(path):
    np.savetxt(path, VERTICES > 0, fmt="%d")
    return path


def cifti(path):
    brain = BrainModelAxis.from_surface(np.arange(N), N, "CIFTI_STRUCTURE_CORTEX_LEFT")
    values = (VERTICES > 0).astype(np.float32)[None]
    return saved(Cifti2Image(values, header=(ScalarAxis(["m"]), brain)), path)


VOLUMES = {
    "name": ("x_space-MNI152NLin2009cAsym_mask.nii.gz", lambda p: volume(p, (VOXELS > 0) * 1.0)),
    "template": ("tpl-MNI152NLin2009cAsym_desc-brain_mask.mgz", mgz),
    "AFNI": ("mask.nii", afni),
    "own": ("own.nii.gz", own_volume),
}
SURFACES = {
    "func.gii": ("x_space-onavg_hemi-L_mask.func.gii", overlay),
    "mgz": ("lh_space-onavg_mask.mgz", overlay_mgz),
    "label": ("tpl-onavg_hemi-L_cortex.label", vertex_list),
    "csv": ("x_space-onavg_mask.csv", numbers),
    "CIFTI": ("x_space-onavg_mask.dscalar.nii", cifti),
    "own": ("hemi-L_mine.label.gii", own_surface),
}


def load(folder, mask, space, *, on_surface):
    """Return an atlas of labels in a space with a mask."""
    if on_surface:
        return ai.load_atlas({"cortex_L": VERTICES}, space=space, mask=mask)
    return ai.load_atlas(volume(folder / "labels.nii"), space=space, mask=mask)


# Of some files nibabel makes no image, or one that does not know its name.
PLACES = [
    (case, cases is SURFACES, memory)
    for cases in (VOLUMES, SURFACES)
    for case in cases
    for memory in (False, True)
    if not (memory and case in ("label", "csv", "func.gii"))
]


@pytest.mark.parametrize(("case", "on_surface", "memory"), PLACES)
def test_a_mask_of_another_space_is_refused(case, on_surface, memory, tmp_path):
    name, make = (SURFACES if on_surface else VOLUMES)[case]
    path = make(tmp_path / name)
    stated, other = ("onavg", "fsaverage5") if on_surface else ("MNI152NLin2009cAsym", "MNI305")
    mask = nb.load(path) if memory else path
    given = [mask, {"cortex_L" if on_surface else "volume": mask}]
    if not on_surface:
        given.append(({"brain": mask}, "brain > 0"))
    for one in given:
        message = f"`mask`: .*states the space '{stated}', but the atlas is in '{other}'"
        with pytest.raises(ValueError, match=message):
            load(tmp_path, one, other, on_surface=on_surface)
        for space in (stated, "unknown", *(() if on_surface else ("MNI152",))):
            kept = load(tmp_path, one, space, on_surface=on_surface)
            assert kept.n_locations == (8 if on_surface else 40)


@pytest.mark.parametrize("case", ["name", "AFNI", "own"])
def test_a_name_with_the_right_space_goes_before_what_is_stated(case, tmp_path):
    name, make = VOLUMES[case]
    path = make(tmp_path / name)
    with pytest.raises(ValueError, match="give it a name with space-MNI305") as caught:
        load(tmp_path, path, "MNI305", on_surface=False)
    assert "pass its values alone, as an array" in str(caught.value)
    ending = "".join(path.suffixes)
    copy = shutil.copy(path, tmp_path / f"right_space-MNI305_mask{ending}")
    values = np.asanyarray(nb.load(path).dataobj) > 0
    for mask in (copy, values):
        assert load(tmp_path, mask, "MNI305", on_surface=False).n_locations == 40


def test_archives_and_coordinates_take_no_mask_of_another_space(tmp_path):
    path = volume(tmp_path / "x_space-MNI305_mask.nii", (VOXELS > 0) * 1.0)
    atlas = load(tmp_path, None, "MNI152NLin6Asym", on_surface=False)
    ai.save_atlas(atlas, tmp_path / "a.npz")
    with pytest.raises(ValueError, match="states the space 'MNI305'"):
        ai.load_atlas(tmp_path / "a.npz", mask=path)
    wide = np.diag([8.0, 8, 8, 1])
    wide[:3, 3] = [-90, -126, -72]
    grid = saved(nb.Nifti1Image(np.ones((24, 28, 24)), wide), tmp_path / "x_space-MNI305_grid.nii")
    with pytest.raises(ValueError, match="states the space 'MNI305'"):
        ai.load_atlas("power2011", mask=grid)


def test_a_mask_of_the_other_hemisphere_or_mesh_is_refused(tmp_path):
    array = nb.gifti.GiftiDataArray((VERTICES > 0).astype("f4"))
    right = nb.gifti.GiftiImage(
        darrays=[array], meta=nb.gifti.GiftiMetaData(AnatomicalStructurePrimary="CortexRight")
    )
    for mask in (right, ai.SurfaceMesh(N, hemisphere="R")):
        with pytest.raises(ValueError, match="`mask` is of hemisphere R, the labels are of L"):
            load(tmp_path, {"cortex_L": mask}, "s", on_surface=True)
    points = np.random.default_rng(0).normal(size=(N, 3)).astype("f4")
    faces = np.array([[0, 1, 2], [3, 4, 5]], np.int32)
    arrays = [
        nb.gifti.GiftiDataArray(points, intent="NIFTI_INTENT_POINTSET"),
        nb.gifti.GiftiDataArray(faces, intent="NIFTI_INTENT_TRIANGLE", datatype="int32"),
        array,
    ]
    mask = nb.gifti.GiftiImage(darrays=arrays)
    for known, fits in ((faces, True), (faces + 1, False)):
        meshes = {"cortex_L": {"sphere": ai.io.overlay.surfaces.Surface(points, known)}}
        given = {"cortex_L": VERTICES}
        if fits:
            assert ai.load_atlas(given, space="s", mask=mask, meshes=meshes).n_locations == 8
        else:
            with pytest.raises(ValueError, match="`mask` of 'cortex_L' comes with a mesh that is"):
                ai.load_atlas(given, space="s", mask=mask, meshes=meshes)


def test_the_command_line_refuses_a_mask_of_another_space(tmp_path, capsys):
    labels = volume(tmp_path / "labels.nii")
    mask = volume(tmp_path / "x_space-MNI152NLin2009cAsym_mask.nii", (VOXELS > 0) * 1.0)
    build = ("build", labels, "--mask", mask, "-o", tmp_path / "a.npz", "--json", "--space")
    status, _, told = run_cli(capsys, *build, "MNI305")
    assert status == 2
    assert "states the space 'MNI152NLin2009cAsym', but the atlas is in 'MNI305'" in told
    status, out, _ = run_cli(capsys, *build, "MNI152NLin2009cAsym")
    assert (status, json.loads(out)["atlas"]["space"]) == (0, "MNI152NLin2009cAsym")


PERCENT = (VOXELS.astype(np.float32) * 50).astype(np.uint8)


@pytest.mark.parametrize(
    ("images", "condition", "told"),
    [
        ({"gm": VOXELS / 2.0}, "gm > 0.4", "gm > 0.4; gm = gm_probseg.nii"),
        ({"gm": PERCENT}, "gm > 0.4", "gm > 0.4; gm = gm_probseg.nii * 0.01"),
        (
            {"gm": VOXELS / 2.0, "wm": PERCENT[::-1]},
            "gm > wm",
            "gm > wm; gm = gm_probseg.nii, wm = wm_probseg.nii * 0.01",
        ),
    ],
    ids=["fractions", "percent", "two"],
)
def test_conditions_and_their_scales_are_in_provenance_and_equality(
    images, condition, told, tmp_path
):
    paths = {name: volume(tmp_path / f"{name}_probseg.nii", v) for name, v in images.items()}
    atlas = load(tmp_path, (paths, condition), "s", on_surface=False)
    (operation,) = atlas.provenance.operations
    assert operation.startswith(f"mask({told}: ")
    assert operation.endswith("labelled locations lost)")
    assert load(tmp_path, (paths, condition), "s", on_surface=False) == atlas
    # The same voxels by another condition are another history.
    other = load(tmp_path, (paths, f"({condition})"), "s", on_surface=False)
    assert other.geometry == atlas.geometry
    assert other != atlas
