"""Atlases moved to other grids and meshes, against nilearn and SciPy."""

import warnings

import nibabel as nb
import numpy as np
import pytest
from helpers import mixed_atlas, table
from helpers_resampling import sphere, surface_atlas, volume_atlas
from scipy.ndimage import map_coordinates

import atlasinit as ai
from atlasinit.resampling import resample

SOURCE = np.array([[-2, 0, 0.1, 9], [0, 2, 0, -7], [0, 0.2, 2.5, 3], [0, 0, 0, 1.0]])
TARGET = np.diag([1.7, 1.3, 2.0, 1]) + np.array(
    [[0, 0, 0, -5], [0, 0, 0, -6], [0, 0, 0, 4], [0] * 4]
)


def test_hard_volume_is_nilearns_nearest():
    from nilearn.image import resample_img

    # scipy, under nilearn, gives up half a voxel at the border of the grid: nothing lies there.
    values = np.pad(np.random.default_rng(0).integers(0, 5, (7, 6, 5)), 1)
    image = nb.Nifti1Image(values.astype(np.int16), SOURCE)
    shape = (11, 12, 9)
    oracle = resample_img(
        image, TARGET, shape, interpolation="nearest", copy_header=True, force_resample=True
    )
    moved = resample(volume_atlas(values, SOURCE, soft=False), ai.VolumeGrid(shape, TARGET))
    got = moved.maps["volume"].labels.reshape(shape) + 1
    np.testing.assert_array_equal(got, np.asarray(oracle.dataobj))
    assert (got > 0).any()


def test_soft_volume_is_scipys_linear():
    values = np.random.default_rng(0).normal(size=(9, 8, 7, 3))
    target = ai.VolumeGrid((11, 12, 9), TARGET, np.arange(0, 1188, 3))
    moved = resample(volume_atlas(values, SOURCE, soft=True), target).to_dense()["volume"]
    inverse = np.linalg.inv(SOURCE)
    where = (target.coordinates @ inverse[:3, :3].T + inverse[:3, 3]).T
    for parcel in range(3):
        oracle = map_coordinates(values[..., parcel], where, order=1, mode="grid-constant")
        np.testing.assert_allclose(moved[parcel], oracle, atol=1e-6)


@pytest.mark.parametrize("kind", [np.float64, np.float32])
def test_ties_go_one_way_whatever_the_rounding(kind):
    fine, coarse = np.diag([0.7, 0.7, 0.7, 1]), np.diag([1.4, 1.4, 1.4, 1])
    fine[:3, 3], coarse[:3, 3] = -90.3, -90.3 + 0.35
    odd = np.indices((58, 58, 58)) % 2
    values = 1 + odd[0] + 2 * odd[1] + 4 * odd[2]
    target = ai.VolumeGrid((29, 29, 29), coarse.astype(kind))
    atlas = volume_atlas(values, fine.astype(kind), soft=False)
    with pytest.warns(ai.AtlasWarning, match="7 of 8 parcels"):
        moved = resample(atlas, target, method="nearest")
    assert (moved.maps["volume"].labels == 7).all()


def test_an_image_or_its_path_stands_for_its_grid(tmp_path):
    atlas = volume_atlas(np.ones((4, 4, 4), int), np.eye(4), soft=False)
    image = nb.Nifti1Image(np.zeros((3, 2, 4, 5), np.int16), np.eye(4))
    assert resample(atlas, image).geometry["volume"] == ai.VolumeGrid((3, 2, 4), np.eye(4))
    assert resample(atlas, {"volume": image}) == resample(atlas, image)
    nb.save(image, tmp_path / "bold.nii.gz")
    for path in (tmp_path / "bold.nii.gz", str(tmp_path / "bold.nii.gz")):
        assert resample(atlas, path) == resample(atlas, image)
    with pytest.raises(ai.AtlasFileError, match="MNI152: no such file"):
        resample(atlas, "MNI152")


@pytest.mark.parametrize("target", [None, 2.0, {"volume": (3, 3, 3)}])
def test_refuses_other_types(target):
    atlas = volume_atlas(np.ones((4, 4, 4), int), np.eye(4), soft=False)
    with pytest.raises(TypeError, match="should be an Atlas, a VolumeGrid, a SurfaceMesh"):
        resample(atlas, target)


@pytest.mark.parametrize("soft", [False, True])
def test_the_same_grid_changes_nothing(soft):
    rng = np.random.default_rng(1)
    values = rng.normal(size=(5, 6, 4, 2)) if soft else rng.integers(0, 4, (5, 6, 4))
    atlas = volume_atlas(values, SOURCE, soft)
    moved = resample(atlas, atlas)
    np.testing.assert_allclose(moved.to_dense()["volume"], atlas.to_dense()["volume"], rtol=1e-6)


def test_hard_surface_takes_the_nearest_vertex():
    source, target = sphere(400, 0, 100), sphere(90, 1, 1)
    labels = np.random.default_rng(2).integers(-1, 3, 400).astype(np.int32)
    atlas = surface_atlas(source, ai.HardMaps(labels, 3))
    moved = resample(atlas, target, method="nearest")
    nearest = (target.sphere @ source.sphere.T).argmax(axis=1)
    np.testing.assert_array_equal(moved.maps["cortex_L"].labels, labels[nearest])


def test_soft_surface_reproduces_linear_functions_on_a_face():
    source = sphere(300, 3, 100)
    weights = np.random.default_rng(4).uniform(size=(2, 300)).astype(np.float32)
    inside = np.random.default_rng(5).dirichlet([1, 1, 1], size=len(source.faces))
    points = np.einsum("fc,fcx->fx", inside, source.sphere[source.faces])
    # Along the normals of the triangles, up to the sphere: the hull is convex, so that no other
    # point of it is closer.
    a, b, c = np.moveaxis(source.sphere[source.faces].astype(float), 1, 0)
    normals = np.cross(b - a, c - a)
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    along = (normals * points).sum(axis=1)
    height = np.sqrt(along**2 + 100**2 - (points**2).sum(axis=1)) - along
    onto = points + height[:, None] * normals
    target = ai.SurfaceMesh(len(points), sphere=onto.astype("f4"))
    moved = resample(surface_atlas(source, ai.DenseMaps(weights)), target)
    expected = np.einsum("fc,pfc->pf", inside, weights[:, source.faces])
    np.testing.assert_allclose(moved.to_dense()["cortex_L"], expected, atol=1e-4)


def test_triangles_without_area_are_left_out():
    source, target = sphere(300, 3, 100), sphere(90, 1, 1)
    assert source.faces is not None
    flat = ai.SurfaceMesh(300, faces=[*source.faces, [0, 0, 1]], sphere=source.sphere)
    weights = np.random.default_rng(4).uniform(size=(2, 300)).astype(np.float32)
    moved = resample(surface_atlas(flat, ai.DenseMaps(weights)), target)
    expected = resample(surface_atlas(source, ai.DenseMaps(weights)), target)
    np.testing.assert_array_equal(moved.to_dense()["cortex_L"], expected.to_dense()["cortex_L"])
    none = ai.SurfaceMesh(300, faces=[[0, 0, 1]], sphere=source.sphere)
    with pytest.raises(ValueError, match="no triangle"):
        resample(surface_atlas(none, ai.DenseMaps(weights)), target)


def test_a_mesh_of_the_other_hemisphere_is_refused():
    source = sphere(90, 1, 1)
    atlas = surface_atlas(source, ai.HardMaps(np.zeros(90, np.int32), 1))
    right = ai.SurfaceMesh(90, sphere=source.sphere, hemisphere="R")
    with pytest.raises(ValueError, match="'cortex_L' should be of hemisphere 'L'"):
        resample(atlas, right)


def test_a_lost_parcel_is_named_and_kept():
    values = np.ones((6, 6, 6), int)
    values[2, 2, 2] = 2
    coarse = ai.VolumeGrid((2, 2, 2), np.diag([3.0, 3, 3, 1]))
    with pytest.warns(ai.AtlasWarning, match="1 of [0-9]+ parcels.*parcel volume 2"):
        moved = resample(volume_atlas(values, np.diag([1.0, 1, 1, 1]), soft=False), coarse)
    assert moved.labels["empty"].tolist() == [False, True]


def test_medial_wall_and_outside_give_none():
    source = sphere(200, 8, 100).restrict(np.arange(100))
    atlas = surface_atlas(source, ai.HardMaps(np.zeros(100, np.int32), 1))
    moved = resample(atlas, sphere(200, 8, 50))
    np.testing.assert_array_equal(
        np.flatnonzero(moved.maps["cortex_L"].labels == 0), np.arange(100)
    )


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (ai.VolumeGrid((2, 2, 2), np.eye(4)), "mapping from each of"),
        (
            {"cortex_L": ai.SurfaceMesh(3)},
            r"lacks the compartments \['cortex_R', 'subcortex'\] "
            r"of 'mixed'; it has \['cortex_L'\]; .* `atlas.select\(compartments=\[\"cortex_L\"\]\)`",
        ),
        (
            {
                "cortex_L": ai.VolumeGrid((2, 2, 2), np.eye(4)),
                "cortex_R": ai.SurfaceMesh(3),
                "subcortex": ai.VolumeGrid((2, 2, 2), np.eye(4)),
            },
            "but the atlas has SurfaceMesh.*by `ai.to_volume",
        ),
        (mixed_atlas(), "needs the `sphere`"),
    ],
)
def test_refuses(target, message):
    with pytest.raises(ValueError, match=message):
        resample(mixed_atlas(), target)


def test_refuses_another_space_unless_it_is_named():
    atlas = volume_atlas(np.ones((2, 2, 2), int), np.eye(4), soft=False)
    other = ai.Atlas(
        name="o", space="native", maps=atlas.maps, geometry=atlas.geometry, labels=atlas.table
    )
    with pytest.raises(ValueError, match='space="native"'):
        resample(atlas, other)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert resample(atlas, other, space="native").space == "native"


@pytest.mark.parametrize("changed", ["source", "target"])
@pytest.mark.parametrize("wrong", [
    lambda p: p * [0.7, 0.9, 0.6], lambda p: p + [0, 0, 20], lambda p: p + [0.3, 0.3, -0.3]
])  # fmt: skip
def test_what_is_no_sphere_about_the_origin_is_refused(changed, wrong):
    points = np.random.default_rng(0).normal(size=(60, 3))
    points *= 100 / np.linalg.norm(points, axis=1, keepdims=True)
    spheres = {"source": points, "target": points[:50]}
    spheres[changed] = wrong(spheres[changed])
    meshes = {
        k: ai.SurfaceMesh(len(p), hemisphere="L", sphere=p.astype("f4")) for k, p in spheres.items()
    }
    atlas = ai.Atlas(
        name="s",
        space="mine",
        maps={"cortex_L": ai.HardMaps(np.arange(60, dtype=np.int32) % 3, 3)},
        geometry={"cortex_L": meshes["source"]},
        labels=table(["cortex_L"] * 3),
    )
    with pytest.raises(ValueError, match=f"sphere of the {changed} mesh. should have one radius"):
        resample(atlas, meshes["target"])
    moved = resample(
        atlas.replace(geometry={"cortex_L": meshes["source"].replace(sphere=points.astype("f4"))}),
        meshes["target"].replace(sphere=points[:50].astype("f4")),
        method="nearest",
    )
    np.testing.assert_array_equal(moved.maps["cortex_L"].labels, np.arange(50) % 3)
