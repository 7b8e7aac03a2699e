"""Spaces that names and headers state are compared: of data, and of what an atlas is moved to."""

import json

import nibabel as nb
import numpy as np
import pytest
from helpers import table
from helpers_cli import run_cli
from nibabel.cifti2 import BrainModelAxis, Cifti2Image, ScalarAxis

import atlasinit as ai
from atlasinit.core.spaces import may_be_one
from atlasinit.io import open_data

N = 10
SHAPE, AFFINE = (3, 4, 5), np.diag([2.0, 2, 2, 1])


def surface_atlas(space):
    maps = ai.HardMaps((np.arange(N) % 2).astype(np.int32), 2)
    sides = ("cortex_L", "cortex_R")
    return ai.Atlas(
        name="surf",
        space=space,
        maps=dict.fromkeys(sides, maps),
        geometry={c: ai.SurfaceMesh(N, hemisphere=c[-1]) for c in sides},
        labels=table([c for c in sides for _ in range(2)]),
    )


def volume_atlas(space, compartment="volume"):
    return ai.Atlas(
        name="vol",
        space=space,
        maps={compartment: ai.HardMaps((np.arange(60) % 2).astype(np.int32), 2)},
        geometry={compartment: ai.VolumeGrid(SHAPE, AFFINE)},
        labels=table([compartment] * 2),
    )


def image(path=None):
    made = nb.Nifti1Image(np.arange(60, dtype=np.float32).reshape(SHAPE), AFFINE)
    if path is not None:
        nb.save(made, path)
    return made


def overlay(path):
    nb.save(nb.gifti.GiftiImage(darrays=[nb.gifti.GiftiDataArray(np.ones(N, "f4"))]), path)
    return path


def cifti(path):
    brain = BrainModelAxis.from_surface(np.arange(N), N, "CIFTI_STRUCTURE_CORTEX_LEFT")
    brain += BrainModelAxis.from_surface(np.arange(N), N, "CIFTI_STRUCTURE_CORTEX_RIGHT")
    values = np.ones((1, 2 * N), np.float32)
    nb.save(Cifti2Image(values, header=(ScalarAxis(["m"]), brain)), path)
    return path


@pytest.mark.parametrize(
    ("space", "other", "expected"),
    [
        ("fsaverage5", "fsaverage", True),  # the numbers of vertices tell densities apart
        ("fsaverage5", "fsaverage:den-10k", True),
        ("fsLR", "fsLR:den-59k", True),
        ("fsaverage5", "onavg", False),
        ("fsaverage5", "fsLR", False),
        ("fsLR32k", "conte69", True),
        ("FSL", "MNI152NLin6Asym:res-2", True),
        ("MNI152NLin6Asym", "mni152nlin6asym", True),
        ("MNI152NLin6Asym", "MNI152NLin2009cAsym", False),
        ("MNI152NLin2009aAsym", "MNI152NLin2009cAsym", False),
        ("MNI152", "MNI152NLin2009cAsym", True),  # the one says less than the other
        ("MNI", "MNI152NLin6Asym", True),
        ("MNI152", "MNI305", False),
        ("MNI152", "MNIColin27", False),
        ("fsLR", "MNI152NLin6Asym", True),  # the volume of the grayordinates
        ("fsLR", "MNI152NLin2009cAsym", False),
        ("fsaverage", "MNI305", True),
        ("fsnative", "T1w", True),
        ("T1w", "MNI152NLin6Asym", False),
        ("UNCInfant:cohort-1", "UNCInfant:cohort-2", False),
        ("UNCInfant", "UNCInfant:cohort-2", True),
        ("unknown", "MNI152NLin6Asym", True),
        ("", "fsLR", True),
        ("mine", "mine", True),
        ("mine:v2", "mine:v2", True),
        ("mine", "fsLR", False),
    ],
)
def test_which_names_may_be_one_space(space, other, expected):
    assert may_be_one(space, other) is may_be_one(other, space) is expected


@pytest.mark.parametrize("memory", [False, True])
@pytest.mark.parametrize(
    "name", ["a_space-MNI152NLin2009cAsym_bold.nii.gz", "tpl-OASIS30ANTs_T1w.nii"]
)
def test_a_volume_named_of_another_space(tmp_path, name, memory):
    image(tmp_path / name)
    data = nb.load(tmp_path / name) if memory else tmp_path / name
    atlas = volume_atlas("MNI152NLin6Asym")
    stated = "MNI152NLin2009cAsym" if name[0] == "a" else "OASIS30ANTs"
    message = f"{name}.* states the space '{stated}', but 'vol' is in 'MNI152NLin6Asym'"
    for given in (data, [data], {"volume": data}):
        with pytest.raises(ValueError, match=message):
            open_data(given, atlas)
    with pytest.raises(ValueError, match='data_space="MNI152NLin6Asym"'):
        ai.AtlasMasker(atlas).fit_transform(data)
    with pytest.raises(ValueError, match="states the space"):
        ai.generate_report(atlas, data=data)
    # Each way out that the message names.
    assert open_data(data, volume_atlas(stated)).all().shape == (60, 1)
    series = ai.AtlasMasker(atlas, data_space="MNI152NLin6Asym").fit_transform(data)
    np.testing.assert_allclose(series, [[29, 30]])
    opened = open_data(data, atlas, data_space="FSL")
    assert open_data(opened, atlas) is opened
    with pytest.raises(ValueError, match="opened for another atlas"):
        open_data(opened, surface_atlas("fsLR"))
    # What is stated in place of the name is compared too.
    with pytest.raises(ValueError, match="`data_space` states the space 'MNI305'"):
        open_data(data, atlas, data_space="MNI305")
    # None, the same, or a vaguer one.
    for space in ("unknown", stated, "MNI152" if "MNI" in stated else stated):
        open_data(data, volume_atlas(space))


@pytest.mark.parametrize(
    "names",
    [
        (
            "x_hemi-L_space-onavg_den-10k_bold.func.gii",
            "x_hemi-R_space-onavg_den-10k_bold.func.gii",
        ),
        ("lh.space-fsLR_x.func.gii", "rh.space-fsLR_x.func.gii"),
        ("x_space-fsLR_den-91k_bold.dtseries.nii",),
    ],
)
def test_surfaces_named_of_another_space(tmp_path, names):
    make = cifti if len(names) == 1 else overlay
    files = [make(tmp_path / name) for name in names]
    data = files if len(files) > 1 else files[0]
    if "lh" in names[0]:  # no entity by BIDS
        assert open_data(data, surface_atlas("fsaverage5")).n_time == 1
        return
    with pytest.raises(ValueError, match="states the space '(onavg|fsLR)', but 'surf' is in 'fsav"):
        open_data(data, surface_atlas("fsaverage5"))
    assert open_data(data, surface_atlas("fsaverage5"), data_space="fsaverage5").n_time == 1
    stated = "onavg:den-10k" if "onavg" in names[0] else "fsLR"
    assert open_data(data, surface_atlas(stated)).n_time == 1


def test_what_an_own_file_states_of_itself_counts(tmp_path):
    atlas = surface_atlas("fsLR")
    for name in ("a.dlabel.nii", "a.dscalar.nii", "a.func.gii"):
        files = ai.save_atlas(atlas, tmp_path / name)
        data = files if len(files) > 1 else files[0]
        open_data(data, atlas, reduction="mode")
        with pytest.raises(ValueError, match="states the space 'fsLR', but 'surf' is in 'onavg'"):
            open_data(data, surface_atlas("onavg"), reduction="mode")
    ai.save_atlas(volume_atlas("MNI152NLin6Asym"), tmp_path / "v.nii.gz")
    with pytest.raises(ValueError, match="states the space 'MNI152NLin6Asym'"):
        open_data(tmp_path / "v.nii.gz", volume_atlas("MNI305"), reduction="mode")


def afni(path, template):
    made = image()
    text = f'<AFNI_attributes><AFNI_atr ni_type="String" atr_name="TEMPLATE_SPACE" >\n "{template}"\n</AFNI_atr></AFNI_attributes>'
    made.header.extensions.append(nb.nifti1.Nifti1Extension(4, text.encode()))
    nb.save(made, path)
    return path


@pytest.mark.parametrize(
    ("template", "space"),
    [("TT_N27", "Talairach"), ("MNI_2009c_asym", "MNI152NLin2009cAsym"), ("MNI_N27", "MNIColin27")],
)
def test_the_template_that_afni_notes(tmp_path, template, space):
    path = afni(tmp_path / "x.nii.gz", template)
    open_data(path, volume_atlas(space))
    with pytest.raises(ValueError, match=f"states the space '{space}'"):
        open_data(path, volume_atlas("MNI152NLin6Asym"))
    assert ai.load_atlas(path, kind="hard", unlisted="name").space == space


def test_what_afni_says_of_no_template_counts_for_none(tmp_path):
    open_data(afni(tmp_path / "x.nii.gz", "ORIG"), volume_atlas("MNI152NLin6Asym"))
    open_data(afni(tmp_path / "y.nii.gz", "MNI"), volume_atlas("MNI152NLin6Asym"))


@pytest.mark.parametrize("memory", [False, True])
def test_an_image_of_another_template_is_no_target_without_a_word(tmp_path, memory):
    path = tmp_path / "x_space-MNI152NLin2009cAsym_bold.nii.gz"
    image(path)
    target = nb.load(path) if memory else path
    atlas = volume_atlas("MNI152NLin6Asym")
    for given in (target, {"volume": target}):
        with pytest.raises(ValueError, match="states the space 'MNI152NLin2009cAsym', but 'vol'"):
            ai.resample(atlas, given)
        moved = ai.resample(atlas, given, space="MNI152NLin2009cAsym")
        assert moved.space == "MNI152NLin2009cAsym"
        assert open_data(path, moved).n_time == 1
        assert ai.resample(atlas, given, space="MNI152NLin6Asym").space == "MNI152NLin6Asym"
    assert ai.resample(volume_atlas("MNI152"), target).space == "MNI152"


def test_cifti_is_a_target(tmp_path):
    path = cifti(tmp_path / "x_space-fsLR_den-91k_bold.dscalar.nii")
    atlas = surface_atlas("fsLR")
    for target in (path, nb.load(path), dict.fromkeys(atlas.compartments, path)):
        moved = ai.resample(atlas, target)
        assert moved.maps["cortex_L"].labels.tolist() == [0, 1] * 5
    with pytest.raises(ValueError, match="states the space 'fsLR', but 'surf' is in 'fsaverage5'"):
        ai.resample(surface_atlas("fsaverage5"), path)
    with pytest.raises(ValueError, match=r"lacks the compartments \['volume'\]"):
        ai.resample(volume_atlas("fsLR"), path)
    with pytest.raises(ai.AtlasFileError, match="should hold coordinates and triangles once"):
        ai.resample(atlas, nb.load(overlay(tmp_path / "lh.x.func.gii")))


def test_soft_maps_move_to_the_vertices_that_cifti_keeps(tmp_path):
    kept = np.array([1, 2, 7])
    brain = BrainModelAxis.from_surface(kept, N, "CIFTI_STRUCTURE_CORTEX_LEFT")
    path = tmp_path / "x.dscalar.nii"
    nb.save(Cifti2Image(np.ones((1, 3), "f4"), header=(ScalarAxis(["m"]), brain)), path)
    left = surface_atlas("fsLR").select(compartments="cortex_L")
    weights = np.random.default_rng(0).random((2, N)).astype(np.float32)
    soft = left.replace(maps={"cortex_L": ai.DenseMaps(weights)})
    moved = ai.resample(soft, path)
    np.testing.assert_array_equal(moved.maps["cortex_L"].to_dense(), weights[:, kept])
    short = ai.SurfaceMesh(N + 1, np.arange(N), hemisphere="L")
    with pytest.raises(ValueError, match="has 10 vertices for 'cortex_L', 'surf' has 11"):
        ai.resample(left.replace(geometry={"cortex_L": short}), path)


def test_the_command_line_compares_spaces_too(tmp_path, capsys):
    atlas, data = tmp_path / "a.nii.gz", tmp_path / "x_space-MNI152NLin2009cAsym_bold.nii.gz"
    ai.save_atlas(volume_atlas("MNI152NLin6Asym"), atlas)
    image(data)
    project = ("project", atlas, "-d", data, "-o", tmp_path / "x.tsv")
    status, _, told = run_cli(capsys, *project)
    assert status == 2
    assert "states the space 'MNI152NLin2009cAsym'" in told
    assert "--data-space MNI152NLin6Asym" in told
    assert run_cli(capsys, *project, "--data-space", "MNI152NLin6Asym")[0] == 0
    resample = ("resample", atlas, "--to", data, "-o", tmp_path / "b.nii.gz")
    status, _, told = run_cli(capsys, *resample)
    assert status == 2
    assert "--to-space MNI152NLin2009cAsym" in told
    _, out, _ = run_cli(capsys, *resample, "--to-space", "MNI152NLin2009cAsym", "--json")
    assert json.loads(out)["atlas"]["space"] == "MNI152NLin2009cAsym"


def test_spheres_and_cifti_on_the_command_line(tmp_path, capsys):
    rng = np.random.default_rng(0)
    points = rng.normal(size=(N, 3)).astype(np.float32)
    points *= 100 / np.linalg.norm(points, axis=1, keepdims=True)
    atlas = surface_atlas("fsLR").select(compartments="cortex_L")
    sphered = atlas.replace(geometry={"cortex_L": ai.SurfaceMesh(N, hemisphere="L", sphere=points)})
    ai.save_atlas(sphered, tmp_path / "a.npz")
    arrays = [
        nb.gifti.GiftiDataArray(points, "NIFTI_INTENT_POINTSET"),
        nb.gifti.GiftiDataArray(np.array([[0, 1, 2]], np.int32), "NIFTI_INTENT_TRIANGLE"),
    ]
    sphere = tmp_path / "tpl-fsaverage_hemi-L_den-3k_sphere.surf.gii"
    nb.save(nb.gifti.GiftiImage(darrays=arrays), sphere)
    run = ("resample", tmp_path / "a.npz", "-o", tmp_path / "b.npz", "--to")
    status, _, told = run_cli(capsys, *run, sphere)
    assert status == 2
    assert "states the space 'fsaverage', but 'surf' is in 'fsLR'" in told
    assert "--to-space fsaverage" in told
    assert run_cli(capsys, *run, sphere, "--to-space", "fsaverage")[0] == 0
    again = run_cli(capsys, *run, cifti(tmp_path / "x.dscalar.nii"), "--overwrite")
    assert again[0] == 0
    assert ai.load_atlas(tmp_path / "b.npz").space == "fsLR"
