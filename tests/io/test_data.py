"""Data of every kind finds the atlas's locations, or says why not."""

import gzip
import tracemalloc

import nibabel as nb
import numpy as np
import pytest
from helpers import table
from nibabel.cifti2 import BrainModelAxis, Cifti2Image, ScalarAxis

import atlasinit as ai
from atlasinit.io.contents import Stated
from atlasinit.io.data import open_data
from atlasinit.io.formats.series import values_of

AFFINE = np.diag([-2.0, 2.0, 2.0, 1.0])
LEFT, RIGHT = np.array([1, 2, 5, 6]), np.array([0, 3, 4])
VOXELS = np.array([5, 3, 40, 7])


def surface_atlas(vertices=8):
    return ai.Atlas(
        name="surf",
        space="test",
        maps={
            "cortex_L": ai.HardMaps(np.array([0, 0, 1, 1], np.int32), 2),
            "cortex_R": ai.HardMaps(np.array([0, 0, 0], np.int32), 1),
        },
        geometry={
            "cortex_L": ai.SurfaceMesh(vertices, LEFT, hemisphere="L"),
            "cortex_R": ai.SurfaceMesh(vertices, RIGHT, hemisphere="R"),
        },
        labels=table(["cortex_L", "cortex_L", "cortex_R"]),
    )


def volume_atlas(compartment="volume", affine=AFFINE):
    return ai.Atlas(
        name="vol",
        space="test",
        maps={compartment: ai.HardMaps(np.array([0, 0, 1, 1], np.int32), 2)},
        geometry={compartment: ai.VolumeGrid((3, 4, 5), affine, VOXELS)},
        labels=table([compartment] * 2),
    )


def whole_atlas():
    surf, vol = surface_atlas(), volume_atlas("subcortex")
    names = [*surf.table["compartment"], "subcortex", "subcortex"]
    return ai.Atlas(
        name="whole",
        space="test",
        maps={**surf.maps, **vol.maps},
        geometry={**surf.geometry, **vol.geometry},
        labels=table(names),
    )


def volume(time=6):
    shape = (3, 4, 5, time) if time else (3, 4, 5)
    return np.random.default_rng(1).normal(size=shape).astype(np.float32)


def meshes(time=6, vertices=8):
    rng = np.random.default_rng(2)
    return rng.normal(size=(vertices, time)).astype(np.float32), rng.normal(
        size=(vertices, time)
    ).astype(np.float32)


def gifti(values, structure=None):
    structure = {"L": "CortexLeft", "R": "CortexRight"}.get(structure, structure)
    meta = {"AnatomicalStructurePrimary": structure} if structure else {}
    arrays = [nb.gifti.GiftiDataArray(v) for v in np.ascontiguousarray(values.T)]
    return nb.gifti.GiftiImage(darrays=arrays, meta=nb.gifti.GiftiMetaData(meta))


def cifti(left, right, voxels):
    mask = np.zeros((3, 4, 5), bool)
    mask.reshape(-1)[np.sort(VOXELS)] = True
    brain = (
        BrainModelAxis.from_surface(np.arange(8), 8, "CortexRight")
        + BrainModelAxis.from_surface(np.sort(LEFT), 8, "CortexLeft")
        + BrainModelAxis.from_mask(mask, affine=AFFINE, name="ThalamusLeft")
    )
    values = np.concatenate([right, left[np.sort(LEFT)], voxels.reshape(60, -1)[np.sort(VOXELS)]])
    scalars = ScalarAxis([f"map {i}" for i in range(values.shape[1])])
    return Cifti2Image(values.T.copy(), header=(scalars, brain))


@pytest.mark.parametrize("time", [0, 6])
@pytest.mark.parametrize("on_disk", ["", "x.nii", "x.nii.gz"])
def test_volume(tmp_path, time, on_disk):
    image = nb.Nifti1Image(volume(time), AFFINE)
    expected = volume(time).reshape(60, -1)[VOXELS]
    if on_disk:
        nb.save(image, tmp_path / on_disk)
        image = tmp_path / on_disk
    source = open_data(image, volume_atlas())
    assert (source.n_locations, source.n_time) == expected.shape
    np.testing.assert_array_equal(source.all(), expected)
    np.testing.assert_array_equal(source.read(slice(2, 4)), expected[:, 2:4] if time else expected)


def test_integers_become_float32():
    image = nb.Nifti1Image((100 * volume()).astype(np.int16), AFFINE)
    assert open_data(image, volume_atlas()).all().dtype == np.float32


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int32, np.float32])
@pytest.mark.parametrize("extension", [".nii", ".nii.gz"])
def test_scaled_images_become_what_nibabel_reads(tmp_path, dtype, extension):
    path = tmp_path / f"x{extension}"
    nb.save(nb.Nifti1Image(volume().astype(np.float64) + 3, AFFINE, dtype=dtype), path)
    expected = nb.load(path).get_fdata().reshape(60, -1)[VOXELS]
    source = open_data(path, volume_atlas())
    assert source.all().dtype == np.float32
    np.testing.assert_allclose(source.all(), expected, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(source.read(slice(2, 5)), expected[:, 2:5], rtol=1e-6, atol=1e-6)


def test_surface_forms_agree(tmp_path):
    left, right = meshes()
    expected = np.concatenate([left[LEFT], right[RIGHT]])
    nb.save(gifti(left), tmp_path / "sub_hemi-L_bold.func.gii")
    nb.save(gifti(right), tmp_path / "sub_hemi-R_bold.func.gii")
    for side, values in (("lh", left), ("rh", right)):
        image = nb.MGHImage(values.reshape(8, 1, 1, 6), np.eye(4, dtype=np.float32))
        nb.save(image, tmp_path / f"{side}.bold.mgz")
    forms = {
        "kept": expected,
        "mapping": {"cortex_R": right, "cortex_L": left[LEFT]},
        "images": [gifti(right, "R"), gifti(left, "L")],
        "image mapping": {"cortex_L": gifti(left), "cortex_R": gifti(right)},
        "files": [tmp_path / "sub_hemi-L_bold.func.gii", tmp_path / "sub_hemi-R_bold.func.gii"],
        "freesurfer": [tmp_path / "lh.bold.mgz", str(tmp_path / "rh.bold.mgz")],
        "names of tasks": {"cortex_L": tmp_path / "right_hand.mgz", "cortex_R": gifti(right)},
    }
    (tmp_path / "right_hand.mgz").write_bytes((tmp_path / "lh.bold.mgz").read_bytes())
    for name, data in forms.items():
        np.testing.assert_array_equal(open_data(data, surface_atlas()).all(), expected, name)
    left_only = surface_atlas().select(compartments="cortex_L")
    for data in (gifti(left), gifti(left, "L"), tmp_path / "lh.bold.mgz", {"cortex_L": left}):
        np.testing.assert_array_equal(open_data(data, left_only).all(), left[LEFT])


@pytest.mark.parametrize(
    "names",
    [
        "{h}h.R2.func.gii",
        "sub-L01_hemi-{H}_thickness.shape.gii",
        "sub-01_desc-R2_hemi-{H}_map.func.gii",
        "sub-01_acq-left_hemi-{H}_m.func.gii",
        "{h}h.Ωé.func.gii",
    ],
)
def test_sides_of_names_that_hold_other_letters(tmp_path, names):
    left, right = meshes()
    files = []
    for side, values in (("L", left), ("R", right)):
        files.append(tmp_path / names.format(h=side.lower(), H=side))
        nb.save(gifti(values), files[-1])
    expected = np.concatenate([left[LEFT], right[RIGHT]])
    for given in (files, files[::-1]):
        np.testing.assert_array_equal(open_data(given, surface_atlas()).all(), expected)


def test_freesurfer_morphometry(tmp_path):
    left, right = (values[:, 0] for values in meshes())
    for side, values in (("lh", left), ("rh", right)):
        nb.freesurfer.write_morph_data(tmp_path / f"{side}.thickness", values)
    expected = np.concatenate([left[LEFT], right[RIGHT]])[:, None]
    pair = [tmp_path / "lh.thickness", tmp_path / "rh.thickness"]
    for data in (pair, dict(zip(("cortex_L", "cortex_R"), pair, strict=True))):
        np.testing.assert_array_equal(open_data(data, surface_atlas()).all(), expected)


@pytest.mark.parametrize("right", ["image", "rh.x.mgz", "x_hemi-R.func.gii", "rh.thickness"])
def test_data_of_the_other_hemisphere_is_refused(tmp_path, right):
    values = meshes()[1]
    data = gifti(values, "R")
    if right != "image":
        data = tmp_path / right
        if right == "rh.thickness":
            nb.freesurfer.write_morph_data(data, values[:, 0])
        else:
            mgh = nb.MGHImage(values.reshape(8, 1, 1, 6), np.eye(4, dtype=np.float32))
            nb.save(mgh if right.endswith("mgz") else gifti(values), data)
    left_only = surface_atlas().select(compartments="cortex_L")
    with pytest.raises(ValueError, match=r"is of 'cortex_R'.*\['cortex_L'\]"):
        open_data(data, left_only)
    with pytest.raises(ValueError, match="'cortex_R' twice"):
        open_data([data, gifti(values, "R")], surface_atlas())


def test_a_mapping_does_not_override_what_a_file_states():
    left, right = (gifti(v, side) for v, side in zip(meshes(), "LR", strict=True))
    with pytest.raises(ValueError, match=r"is of 'cortex_R', but is given for 'cortex_L'"):
        open_data({"cortex_L": right, "cortex_R": left}, surface_atlas())


def test_a_surface_is_no_data(tmp_path):
    points = nb.gifti.GiftiDataArray(np.eye(3, dtype=np.float32), intent="NIFTI_INTENT_POINTSET")
    faces = nb.gifti.GiftiDataArray(np.array([[0, 1, 2]], np.int32), "NIFTI_INTENT_TRIANGLE")
    nb.save(nb.gifti.GiftiImage(darrays=[points, faces]), tmp_path / "lh.surf.gii")
    with pytest.raises(ai.AtlasFileError, match=r"lh\.surf\.gii: is a surface"):
        open_data(tmp_path / "lh.surf.gii", surface_atlas())


def test_nilearn_surface_image():
    from nilearn.surface import InMemoryMesh, PolyMesh, SurfaceImage

    left, right = meshes()
    mesh = InMemoryMesh(np.random.default_rng(0).normal(size=(8, 3)), np.array([[0, 1, 2]]))
    image = SurfaceImage(PolyMesh(left=mesh, right=mesh), {"left": left, "right": right})
    expected = np.concatenate([left[LEFT], right[RIGHT]])
    np.testing.assert_array_equal(open_data(image, surface_atlas()).all(), expected)


def test_cifti_finds_each_location_whatever_the_order(tmp_path):
    left, right = meshes()
    image = cifti(left, right, volume())
    nb.save(image, tmp_path / "x.dtseries.nii")
    expected = np.concatenate([left[LEFT], right[RIGHT], volume().reshape(60, -1)[VOXELS]])
    for data in (image, tmp_path / "x.dtseries.nii"):
        source = open_data(data, whole_atlas())
        np.testing.assert_array_equal(source.all(), expected)
        np.testing.assert_array_equal(source.read(slice(1, 3)), expected[:, 1:3])
    kept = whole_atlas().select(compartments=["cortex_R"])
    np.testing.assert_array_equal(open_data(image, kept).all(), right[RIGHT])


def refused():
    left, right = meshes()
    brain = cifti(left, right, volume())
    moved = AFFINE + np.diag([0.1, 0, 0, 0])
    return {
        "other affine": (nb.Nifti1Image(volume(), moved), volume_atlas(), r"another grid.*-1\.9.*-2\.0"),
        "other shape": (nb.Nifti1Image(volume()[:2], AFFINE), volume_atlas(), r"\(2, 4, 5\).*\(3, 4, 5\)"),
        "5-D": (nb.Nifti1Image(np.stack([volume()] * 2, -1), AFFINE), volume_atlas(), "3-D or 4-D"),
        "volume for surfaces": (nb.Nifti1Image(volume(), AFFINE), surface_atlas(), "has only surfaces.*ai.sampling_operator"),
        "one hemisphere": ([gifti(left, "L")], surface_atlas(), r"nothing for \['cortex_R'\].*select"),
        "unknown side": ([gifti(left)], surface_atlas(), "does not state its hemisphere"),
        "other structure": (gifti(left, "Cerebellum"), surface_atlas(), "is of 'cerebellum'"),
        "other mesh": ({"cortex_L": left[:7], "cortex_R": right}, surface_atlas(), r"another mesh.*8 rows.*7"),
        "time differs": ({"cortex_L": left, "cortex_R": right[:, :3]}, surface_atlas(), "one number of time"),
        "time first": (left[LEFT].T, volume_atlas(), r"with 4 locations.*\(6, 4\).*pass `data\.T`"),
        "compartment": ({"volume": left, "cortex_R": right}, surface_atlas(), r"got \['volume'\]"),
        "complex": ({"volume": left[LEFT] * 1j}, volume_atlas(), "real numbers.*complex"),
        "cifti grid": (brain, volume_atlas("subcortex", moved), r"another grid.*-2\.0.*-1\.9.*ai\.resample"),
        "cifti mesh": (brain, surface_atlas(vertices=9), r"another mesh.*9.*8.*ai\.resample"),
        "no compartment": (brain, volume_atlas(), r"nothing for \['volume'\]; pass data of every.*tuple\."),
        "two volumes": ([nb.Nifti1Image(volume(), AFFINE)] * 2, volume_atlas(), "'volume' twice.*as a list"),
    }  # fmt: skip


@pytest.mark.parametrize("case", list(refused()))
def test_refuses(case):
    data, atlas, message = refused()[case]
    with pytest.raises(ValueError, match=message):
        open_data(data, atlas).all()


@pytest.mark.parametrize("extension", [".nii", ".nii.gz"])
def test_few_voxels_of_a_long_image_need_little_memory(tmp_path, extension):
    path, shape = tmp_path / f"long{extension}", (3, 4, 5, 30_000)
    values = np.zeros(shape, np.float32)
    values[..., ::7] = 3
    nb.save(nb.Nifti1Image(values, AFFINE), path)
    (block,) = values_of(nb.load(path), Stated(), read_voxels=60 * 1000).blocks
    source = block.select(VOXELS)
    tracemalloc.start()
    series = source.read(slice(5, 29_001))
    used = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    np.testing.assert_array_equal(series, values.reshape(60, -1)[VOXELS, 5:29_001])
    assert used < 4 * series.nbytes < values.nbytes / 3


def test_files_that_cannot_be_read(tmp_path):
    nb.save(nb.Nifti1Image(volume(), AFFINE), tmp_path / "whole.nii.gz")
    whole = (tmp_path / "whole.nii.gz").read_bytes()
    (tmp_path / "half.nii.gz").write_bytes(whole[:-40])
    with pytest.raises(ai.AtlasFileError, match="half.nii.gz: truncated"):
        open_data(tmp_path / "half.nii.gz", volume_atlas()).all()
    (tmp_path / "short.nii.gz").write_bytes(gzip.compress(gzip.decompress(whole)[:-40]))
    source = open_data(tmp_path / "short.nii.gz", volume_atlas())
    with pytest.raises(
        ai.AtlasFileError, match=f"short.nii.gz: trunc.*in volume {source.n_time - 1}"
    ):
        source.all()
    (tmp_path / "cut.nii.gz").write_bytes(b"\x1f\x8b\x08\x00 not a gzip")
    with pytest.raises(ai.AtlasFileError, match="cut.nii.gz"):
        open_data(tmp_path / "cut.nii.gz", volume_atlas())
    with pytest.raises(ai.AtlasFileError, match="no such file"):
        open_data(tmp_path / "none.nii", volume_atlas())
