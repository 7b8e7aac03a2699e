"""Atlases of images in memory: what their files give."""

import nibabel as nb
import numpy as np
import pytest
from helpers_io import AFFINE, label_image, save_image
from helpers_surfaces import assert_equal, brain_atlas, cortex_atlas
from nibabel.filebasedimages import FileBasedImage

import atlasinit as ai

SHAPE = (5, 4, 3)


def maps_image(path):
    return save_image(path, np.random.default_rng(0).random((*SHAPE, 3)).astype(np.float32))


def same(one, other):
    assert_equal(one, other.replace(provenance=one.provenance))


def test_maps_of_volumes(tmp_path):
    path = maps_image(tmp_path / "maps.nii.gz")
    same(ai.load_atlas(nb.load(path), space="MNI152"), ai.load_atlas(path, space="MNI152"))


@pytest.mark.filterwarnings("ignore::atlasinit.AtlasWarning")
@pytest.mark.parametrize("extension", [".dlabel.nii", ".dscalar.nii", ".label.gii"])
def test_a_surface(tmp_path, extension):
    atlas = brain_atlas() if extension == ".dscalar.nii" else cortex_atlas().harden()
    paths = list(ai.save_atlas(atlas, tmp_path / f"own{extension}"))
    images = [nb.load(path) for path in paths]
    one = len(paths) == 1
    in_memory = ai.load_atlas(images[0] if one else images, space=atlas.space)
    same(in_memory, ai.load_atlas(paths[0] if one else paths, space=atlas.space))


def test_several_images_and_compartments(tmp_path):
    a, b = (
        save_image(tmp_path / f"{n}.nii", np.full(SHAPE, v, np.float32))
        for n, v in (("a", 0.25), ("b", 0.75))
    )
    stack = ai.load_atlas([nb.load(a), nb.load(b)], space="MNI152", kind="maps")
    same(stack, ai.load_atlas([a, b], space="MNI152", kind="maps"))
    mixed = ai.load_atlas(
        {"subcortex": nb.load(label_image(tmp_path / "l.nii")[0])}, space="MNI152"
    )
    assert mixed.compartments == ("subcortex",)


def test_values_are_those_in_memory_whatever_the_header_says(tmp_path):
    path, values = label_image(tmp_path / "labels.nii", dtype=np.uint8, keys=(1, 2))
    image = nb.load(path)
    # The header has 8 bits; written by it, keys would be scaled and rounded.
    changed = nb.Nifti1Image(values.astype(np.int32) * 1001, image.affine, image.header)
    assert set(ai.load_atlas(changed, space="MNI152").table["key"]) == {1001, 2002}
    swapped = nb.Nifti1Image(values.astype(">i2"), AFFINE, nb.Nifti1Header(endianness=">"))
    same(
        ai.load_atlas(swapped, space="MNI152", name="x"),
        ai.load_atlas(path, space="MNI152", name="x"),
    )
    long = nb.Nifti1Image(values.astype(np.int64), AFFINE, dtype=np.int64)
    same(
        ai.load_atlas(long, space="MNI152", name="x"), ai.load_atlas(path, space="MNI152", name="x")
    )
    mask = nb.Nifti1Image((values > 1).astype(np.uint8), AFFINE)
    assert ai.load_atlas(mask, space="MNI152", kind="hard").n_parcels == 1


def test_a_changed_affine_is_kept(tmp_path):
    path, _ = label_image(tmp_path / "labels.nii")
    image = nb.load(path)
    moved = nb.Nifti1Image(image.dataobj, image.affine @ np.diag([1, 1, 2, 1]), image.header)
    found = ai.load_atlas(moved, space="MNI152").geometry["volume"].affine
    np.testing.assert_allclose(found, moved.affine)


def test_other_images_are_refused():
    with pytest.raises(TypeError, match="should be CIFTI-2, GIFTI, NIfTI or MGH images, got Par"):
        ai.load_atlas(ParImage(), space="MNI152")


class ParImage(FileBasedImage):
    """Stands for any format that is no volume and no surface."""


@pytest.mark.parametrize("shape", [(30,), (30, 3)], ids=["labels", "maps"])
def test_a_nilearn_surface_image(tmp_path, shape):
    from nilearn.surface import InMemoryMesh, PolyMesh, SurfaceImage

    rng = np.random.default_rng(0)
    values = {
        side: rng.integers(0, 4, shape) if len(shape) == 1 else rng.random(shape, np.float32)
        for side in ("left", "right")
    }
    points, faces = rng.normal(size=(30, 3)).astype(np.float32), np.array([[0, 1, 2]])
    mesh = InMemoryMesh(points, faces)
    image = SurfaceImage(PolyMesh(left=mesh, right=mesh), values)
    np.save(tmp_path / "lh.npy", values["left"])
    np.save(tmp_path / "rh.npy", values["right"])
    files = {"cortex_L": tmp_path / "lh.npy", "cortex_R": tmp_path / "rh.npy"}
    expected = ai.load_atlas(files, space="unknown", name="x")
    lain = {c: g.replace(faces=faces, anatomical=points) for c, g in expected.geometry.items()}
    same(
        ai.load_atlas(image, space="unknown", name="x"),
        expected.replace(maps=expected.maps, geometry=lain),
    )
    arrays = {"cortex_L": values["left"], "cortex_R": tmp_path / "rh.npy"}
    same(ai.load_atlas(arrays, space="unknown", name="x"), expected)


def test_an_array_is_of_a_hemisphere():
    with pytest.raises(ai.AtlasFileError, match="neither the file nor its name states"):
        ai.load_atlas(np.array([0, 1, 1]), space="unknown")
    with pytest.raises(ai.AtlasFileError, match="should hold values a vertex"):
        ai.load_atlas({"cortex_L": np.zeros(SHAPE)}, space="unknown")


def test_errors_do_not_name_a_temporary_file():
    image = nb.Nifti1Image(np.full(SHAPE, 0.5, np.float32), AFFINE)
    with pytest.raises(ai.AtlasFileError, match=r"^in memory: labels should be whole"):
        ai.load_atlas(image, space="MNI152", kind="hard")
