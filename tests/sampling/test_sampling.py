"""Sampling of volumes at vertices against Workbench, nilearn and closed forms."""

import shutil
import subprocess
import warnings

import jax
import jax.numpy as jnp
import nibabel as nb
import numpy as np
import pytest
from helpers import mixed_atlas, table, unchecked
from helpers_packages import package_file
from helpers_smoothing import _gifti, icosphere, plane_mesh

import atlasinit as ai
from atlasinit.sampling import SamplingOperator

AFFINE = np.array([[-2.0, 0, 0.1, 31], [0, 2.1, 0, -33], [0, 0.2, 1.9, -30.5], [0, 0, 0, 1]])
SHAPE = (32, 33, 31)


@pytest.fixture(scope="module")
def surfaces():
    """White and pial surfaces of a wavy ball of 642 vertices, and its triangles."""
    points, faces = icosphere(3, 1.0)
    wave = 1 + 0.1 * np.sin(7 * points @ [1, 2, 0.5])
    thickness = 3 + np.cos(5 * points @ [0, 1, 2])
    white = 20 * wave[:, None] * points
    return white.astype(np.float32), (white + thickness[:, None] * points).astype(np.float32), faces


@pytest.fixture(scope="module")
def mesh(surfaces):
    white, pial, faces = surfaces
    middle = (white.astype(float) + pial) / 2
    return ai.SurfaceMesh(len(white), hemisphere="L", faces=faces, anatomical=middle)


@pytest.fixture(scope="module")
def grid():
    return ai.VolumeGrid(SHAPE, AFFINE)


@pytest.fixture(scope="module")
def volume():
    return np.random.default_rng(0).normal(size=SHAPE).astype(np.float32)


@pytest.fixture(scope="module")
def ribbon(grid, mesh, surfaces):
    return ai.sampling_operator(grid, mesh, white=surfaces[0], pial=surfaces[1])


@pytest.fixture(scope="module")
def workbench(tmp_path_factory):
    """Return a function that runs Workbench's mapping, of data or of labels."""
    if shutil.which("wb_command") is None:
        pytest.skip("wb_command is not installed")
    return lambda *given, **options: map_by_workbench(
        tmp_path_factory.mktemp("wb"), *given, **options
    )


def map_by_workbench(folder, image, surfaces, how, *, mask=None, labels=None):
    white, pial, faces = surfaces
    middle = (white.astype(float) + pial) / 2
    for name, points in (("white", white), ("pial", pial), ("middle", middle)):
        nb.save(_gifti([points, faces], ["POINTSET", "TRIANGLE"]), folder / f"{name}.surf.gii")
    nb.save(image, folder / "in.nii")
    options = [f"-{how}"]
    if how == "ribbon-constrained":
        options += ["white.surf.gii", "pial.surf.gii"]
    if mask is not None:
        nb.save(nb.Nifti1Image(mask.astype(np.uint8), image.affine), folder / "mask.nii")
        options += ["-volume-roi", "mask.nii"]
    command, out = "-volume-to-surface-mapping", "out.func.gii"
    if labels is not None:
        (folder / "names.txt").write_text("".join(f"p{k}\n{k} {k} 0 0 255\n" for k in labels))
        wb(folder, "-volume-label-import", "in.nii", "names.txt", "in.nii")
        command, out = "-volume-label-to-surface-mapping", "out.label.gii"
    wb(folder, command, "in.nii", "middle.surf.gii", out, *options)
    return nb.load(folder / out).darrays[0].data


def wb(folder, *arguments):
    subprocess.run(["wb_command", *arguments], cwd=folder, check=True, capture_output=True)


def at(operator, volume):
    """Return a whole volume at the vertices."""
    return np.asarray(operator(operator.grid.take(volume)[:, None]))[:, 0]


@pytest.mark.parametrize(("method", "how"), [("trilinear", "trilinear"), ("nearest", "enclosing")])
def test_one_point_is_workbenchs(method, how, workbench, grid, mesh, surfaces, volume):
    theirs = workbench(nb.Nifti1Image(volume, AFFINE), surfaces, how)
    ours = at(ai.sampling_operator(grid, mesh, method=method), volume)
    assert np.abs(ours - theirs).max() < 1e-4
    between = ai.sampling_operator(grid, mesh, white=surfaces[0], pial=surfaces[1], method=method)
    np.testing.assert_allclose(at(between, volume), ours, atol=1e-4)


def test_ribbon_is_workbenchs(workbench, ribbon, grid, mesh, surfaces, volume):
    image = nb.Nifti1Image(volume, AFFINE)
    theirs = workbench(image, surfaces, "ribbon-constrained")
    # Workbench counts in single precision: points near a side may fall on the other one.
    assert np.abs(at(ribbon, volume) - theirs).max() < 0.02
    assert np.corrcoef(at(ribbon, volume), theirs)[0, 1] > 1 - 1e-5
    mask = np.random.default_rng(1).random(SHAPE) < 0.1
    mask[:, :, 15:] = False
    theirs = workbench(image, surfaces, "ribbon-constrained", mask=mask)
    masked = ai.sampling_operator(
        ai.VolumeGrid.from_mask(mask, AFFINE), mesh, white=surfaces[0], pial=surfaces[1]
    )
    ours = at(masked, volume)
    np.testing.assert_array_equal(np.isnan(ours), theirs == 0)
    assert 0.2 < np.isnan(ours).mean() < 0.8
    np.testing.assert_array_equal(masked.is_empty, np.isnan(ours))
    assert np.corrcoef(np.nan_to_num(ours), theirs)[0, 1] > 0.9999
    # How much of the ribbon lies in the mask, and of what is left of it the weighted mean.
    share = at(ribbon, mask.astype(np.float32))
    np.testing.assert_allclose(masked.coverage, share, atol=1e-6)
    expected = at(ribbon, mask * volume) / np.where(share == 0, np.nan, share)
    np.testing.assert_allclose(ours, expected, atol=1e-4)


@pytest.mark.sweep
def test_labels_are_workbenchs(workbench, ribbon, surfaces):
    values = np.indices(SHAPE).sum(0) // 5 % 4 * (np.random.default_rng(0).random(SHAPE) < 0.7)
    image = nb.Nifti1Image(values.astype(np.int32), AFFINE)
    theirs = workbench(image, surfaces, "ribbon-constrained", labels=(1, 2, 3))
    atlas = label_atlas(values)
    ours = ai.to_surface(atlas, ribbon, space="mine").maps["cortex_L"].labels + 1
    # Where two labels have as many points each, whichever comes first.
    assert (ours != theirs).mean() < 0.01
    shares = ribbon(np.stack([values.reshape(-1) == k for k in range(4)], 1).astype(np.float32))
    tied = shares[np.arange(len(ours)), ours] - shares[np.arange(len(ours)), theirs]
    assert np.abs(tied).max() < 0.01


@pytest.mark.sweep
@pytest.mark.parametrize(
    "size", [pytest.param(v, marks=pytest.mark.sweep) for v in (1.5, 2.0, 3.0)]
)
def test_ribbon_of_a_real_hemisphere(workbench, size):
    folder = "nilearn/datasets/data/fsaverage5/"
    white, pial = (
        nb.load(package_file("nilearn", f"{folder}{name}_left.gii.gz"))
        for name in ("white", "pial")
    )
    faces = white.agg_data("triangle")
    surfaces = (white.agg_data("pointset"), pial.agg_data("pointset"), faces)
    affine = np.diag([-size, size, size, 1])
    affine[:3, 3] = [78.3, -112.2, -70.1]
    volume = (
        np.random.default_rng(0)
        .normal(size=[int(v / size) for v in (160, 200, 170)])
        .astype(np.float32)
    )
    theirs = workbench(nb.Nifti1Image(volume, affine), surfaces, "ribbon-constrained")
    operator = ai.sampling_operator(
        ai.VolumeGrid(volume.shape, affine),
        ai.SurfaceMesh(len(pial.agg_data("pointset"))),
        white=surfaces[0],
        pial=surface(surfaces[1], faces),
    )
    # Where no point lies in the ribbon, Workbench gives 0 and we the voxel halfway.
    found = theirs != 0
    assert found.mean() > 0.95
    ours = at(operator, volume)[found]
    # Rounding may lose a point of a ribbon that holds one or two, as the medial wall's of 0.1 mm.
    assert (np.abs(ours - theirs[found]) > 0.01).mean() < 1e-3
    thick = np.linalg.norm(surfaces[0] - surfaces[1], axis=1)[found] > 0.2
    assert thick.mean() > 0.95
    assert np.corrcoef(ours[thick], theirs[found][thick])[0, 1] > 0.9999


def surface(points, faces):
    return ai.SurfaceMesh(len(points), anatomical=points, faces=faces)


def test_ribbon_by_definition():
    """Against the membership of each point in prisms whose sides are planes."""
    points, faces = icosphere(1, 1.0)
    white, pial = 5 * points, 8 * points
    affine = np.diag([1.5, 1.5, 1.5, 1])
    affine[:3, 3] = -9.1
    shape, s = (13, 13, 13), 4
    grid = ai.VolumeGrid(shape, affine)
    mesh = ai.SurfaceMesh(len(points), faces=faces)
    ours = ai.sampling_operator(grid, mesh, white=white, pial=pial, subdivisions=s)
    part = (np.arange(13 * s) + 0.5) / s - 0.5
    fine = np.stack(np.meshgrid(part, part, part, indexing="ij"), -1) * 1.5 - 9.1
    counts = np.zeros((len(points), 13**3))
    for face in faces:
        # p = [a b c] w: within the three sides where w is positive, and between the surfaces.
        w = fine @ np.linalg.inv(white[face])
        inside = (w > 0).all(-1) & (w.sum(-1) > 1) & (w.sum(-1) < 8 / 5)
        counts[face] += inside.reshape(13, s, 13, s, 13, s).sum((1, 3, 5)).reshape(-1)
    expected = counts / counts.sum(1, keepdims=True)
    np.testing.assert_allclose(ours.to_scipy().toarray(), expected, atol=1e-6)
    np.testing.assert_array_equal(ours.coverage, 1)
    # Whichever way triangles face, what they enclose is the same.
    turned = np.where(np.arange(len(faces))[:, None] % 2, faces, faces[:, ::-1])
    mixed = ai.sampling_operator(
        grid,
        ai.SurfaceMesh(len(points), faces=turned),
        white=white,
        pial=pial,
        subdivisions=s,
    )
    np.testing.assert_allclose(mixed.to_scipy().toarray(), expected, atol=1e-6)


def test_points_on_a_lattice_count_once():
    """A flat ribbon whose corners, edges and sides lie on the points of voxels."""
    mesh = plane_mesh(5)
    white = np.asarray(mesh.anatomical) + np.array([1, 1, 0], np.float32)
    grid = ai.VolumeGrid((7, 7, 3), np.eye(4))
    operator = ai.sampling_operator(
        grid, mesh, white=white, pial=white + np.array([0, 0, 1], np.float32), subdivisions=1
    )
    matrix = operator.to_scipy().toarray().reshape(25, 7, 7, 3)
    inner = 6 + np.array([0, 1, 2, 5, 6, 7, 10, 11, 12])
    # Each of the six triangles around a vertex has half a point.
    assert (np.count_nonzero(matrix[inner], axis=(1, 2, 3)) == 3).all()
    np.testing.assert_allclose(matrix.sum((1, 2, 3)), 1, atol=1e-6)


@pytest.mark.parametrize("between", [True, False])
def test_lines_are_nilearns(between, grid, mesh, surfaces, volume):
    from nilearn.surface import vol_to_surf

    white, pial, faces = surfaces
    middle = np.asarray(mesh.anatomical)
    image = nb.Nifti1Image(volume, AFFINE)
    if between:
        given = {"white": white, "pial": pial, "n_points": 7}
        theirs = (pial, faces), {"inner_mesh": (white, faces), "n_samples": 7}
    else:
        given, theirs = {"radius": 2.5}, ((middle, faces), {"kind": "line", "radius": 2.5})
    ours = at(ai.sampling_operator(grid, mesh, method="line", **given), volume)
    np.testing.assert_allclose(ours, vol_to_surf(image, theirs[0], **theirs[1]), atol=1e-5)
    mask = np.indices(SHAPE)[2] > 12
    masked = ai.VolumeGrid.from_mask(mask, AFFINE)
    ours = at(ai.sampling_operator(masked, mesh, method="line", **given), volume)
    mask_image = nb.Nifti1Image(mask.astype(np.uint8), AFFINE)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Mean of empty slice")
        expected = vol_to_surf(image, theirs[0], mask_img=mask_image, **theirs[1])
    # Nearer to the border than a voxel nilearn reads what lies outside of its mask.
    beyond = np.indices(SHAPE)[2] > 13
    away = ai.sampling_operator(
        ai.VolumeGrid.from_mask(beyond, AFFINE), mesh, method="line", **given
    )
    clear = (away.coverage == 1) | np.isnan(ours)
    assert 0.3 < clear.mean() < 1
    np.testing.assert_allclose(ours[clear], expected[clear], atol=1e-5)


def test_nearest_samples_of_a_line_in_a_mask(mesh, surfaces, volume):
    white, pial, _ = surfaces
    mask = np.random.default_rng(2).random(SHAPE) < 0.2
    operator = ai.sampling_operator(
        ai.VolumeGrid.from_mask(mask, AFFINE),
        mesh,
        white=white,
        pial=pial,
        method="line",
        interpolation="nearest",
    )
    points = np.linspace(white.astype(float), pial, 10, axis=1)
    ijk = np.round(nb.affines.apply_affine(np.linalg.inv(AFFINE), points)).astype(int)
    samples = np.where(mask, volume, np.nan)[tuple(np.moveaxis(ijk, -1, 0))]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Mean of empty slice")
        expected = np.nanmean(samples, axis=1)
    assert np.isnan(expected).any()
    np.testing.assert_allclose(at(operator, volume), expected, atol=1e-5)
    np.testing.assert_allclose(operator.coverage, np.isfinite(samples).mean(axis=1), atol=1e-6)


def test_linear_samples_within_a_mask_read_nothing_outside(mesh, surfaces, volume):
    mask = np.random.default_rng(3).random(SHAPE) < 0.5
    part = ai.VolumeGrid.from_mask(mask, AFFINE)
    operator = ai.sampling_operator(part, mesh, method="trilinear")
    constant = np.full((part.n_locations, 1), 3, np.float32)
    values = np.asarray(operator(constant))[:, 0]
    held = at(ai.sampling_operator(part, mesh, method="nearest"), mask.astype(np.float32))
    # A vertex has a value where the voxel that holds it is kept.
    np.testing.assert_array_equal(np.isnan(values), np.isnan(held))
    np.testing.assert_allclose(values[~np.isnan(values)], 3, rtol=1e-6)
    np.testing.assert_array_equal(np.asarray(operator.coverage) == 1, ~np.isnan(values))


def test_kept_vertices_are_rows(grid, mesh, surfaces, ribbon):
    kept = mesh.restrict(np.array([5, 3, 600]))
    some = ai.sampling_operator(grid, kept, white=surfaces[0], pial=surfaces[1])
    assert some.shape == (3, grid.n_locations)
    np.testing.assert_array_equal(
        some.to_scipy().toarray(), ribbon.to_scipy()[[5, 3, 600]].toarray()
    )


@pytest.fixture(scope="module")
def small():
    """An operator of 3 vertices and 6 voxels whose second vertex has none."""
    grid = ai.VolumeGrid((6, 1, 1), np.eye(4), [5, 0, 1, 2, 3, 4])
    mesh = ai.SurfaceMesh(3, anatomical=[[0.25, 0, 0], [9, 0, 0], [2.5, 0, 0]])
    return ai.sampling_operator(grid, mesh, method="trilinear")


WEIGHTS = np.array([[0, 0.75, 0.25, 0, 0, 0], [0] * 6, [0, 0, 0, 0.5, 0.5, 0]])


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16", ">f4"])
@pytest.mark.parametrize("shape", [(6, 1), (2, 3, 6, 4), (6, 0)])
def test_data_of_any_shape_and_dtype(small, shape, dtype):
    data = np.arange(np.prod(shape)).reshape(shape) % 7
    data = jnp.asarray(data, dtype) if dtype == "bfloat16" else data.astype(dtype)
    out = small(data)
    expected = np.einsum("vx,...xt->...vt", WEIGHTS, np.asarray(data, float))
    expected[..., 1, :] = np.nan
    np.testing.assert_allclose(np.asarray(out, float), expected, rtol=1e-2)
    assert out.dtype == (jnp.float32 if dtype == ">f4" else jnp.dtype(dtype))
    if data.size == 6:
        np.testing.assert_array_equal(np.asarray(small(data[:, 0]), float), out[:, 0].astype(float))
        back = small.transpose(out)[:, 0]
        np.testing.assert_array_equal(small.transpose(out[:, 0]), back)


def test_jitted_differentiable_and_adjoint(small):
    x = jnp.arange(6.0).reshape(6, 1) ** 2
    y = jnp.array([[1.0], [jnp.nan], [3.0]])
    out = jax.jit(lambda operator, data: operator(data))(small, x)
    np.testing.assert_allclose(out, small(np.asarray(x)), equal_nan=True)
    np.testing.assert_allclose(small.transpose(y), WEIGHTS.T @ np.nan_to_num(y), atol=1e-6)
    np.testing.assert_allclose(jax.jit(SamplingOperator.transpose)(small, y), small.transpose(y))
    gradient = jax.grad(lambda data: jnp.nansum(small(data)[::2] * y[::2]))(x)
    np.testing.assert_allclose(gradient, small.transpose(y), atol=1e-6)


def test_missing_data(small):
    data = np.arange(6, dtype=np.float32)[:, None] * np.ones(2, np.float32)
    data[[1, 4], 1] = np.nan
    np.testing.assert_allclose(small(data), [[1.25, np.nan], [np.nan] * 2, [3.5, np.nan]])
    omitted = small(data, missing="omit")
    np.testing.assert_allclose(omitted, [[1.25, 2], [np.nan] * 2, [3.5, 3]], rtol=1e-6)
    data[3] = np.nan
    assert np.isnan(small(data, missing="omit")[2]).tolist() == [False, True]
    with pytest.raises(ValueError, match="`missing` should be one of .*, got 'zero'"):
        small(data, missing="zero")


@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        (np.zeros((5, 2), np.float32), ValueError, r"have shape \(..., 6 voxels, time\)"),
        (np.zeros(5, np.float32), ValueError, r"got \(5,\)"),
        (np.zeros((6, 1), np.complex64), TypeError, "should be real .*, got complex64"),
        (np.zeros((6, 1), np.int16), TypeError, r"floating-point .*int16; .*`data.astype"),
        (np.zeros((6, 1), bool), TypeError, "floating-point .*, got bool"),
        ([[1.0]] * 6, TypeError, "should be a NumPy or JAX array, got list"),
    ],
)
def test_data_that_do_not_fit(small, data, error, message):
    with pytest.raises(error, match=message):
        small(data)


def test_maps(small):
    maps = ai.HardMaps(np.array([0, 1, 1, -1, 0, 0], np.int32), 2)
    np.testing.assert_allclose(small.sample_maps(maps).to_dense(), [[0, 0, 0.5], [1, 0, 0]])
    with pytest.raises(ValueError, match="should have the operator's 6 voxels, got 5"):
        small.sample_maps(ai.HardMaps(np.zeros(5, np.int32), 1))


def test_a_thin_ribbon_lies_in_the_voxel_halfway(grid, mesh, surfaces, volume):
    middle = np.asarray(mesh.anatomical)
    thin = ai.sampling_operator(grid, mesh, white=middle, pial=middle)
    halfway = ai.sampling_operator(grid, mesh, method="nearest")
    np.testing.assert_array_equal(at(thin, volume), at(halfway, volume))


BALL = icosphere(1, 10.0)
CUBE = ai.VolumeGrid(
    (30, 30, 30), np.array([[1, 0, 0, -15], [0, 1, 0, -15], [0, 0, 1, -15], [0, 0, 0, 1.0]])
)
PLAIN = ai.SurfaceMesh(42, hemisphere="L", faces=BALL[1])
RAW = {"white": BALL[0], "pial": 1.3 * BALL[0]}


@pytest.mark.parametrize(
    ("mesh", "options", "error", "message"),
    [
        (PLAIN, {"method": "cubic"}, ValueError, "`method` should be one of .*, got 'cubic'"),
        (PLAIN, {"interpolation": "cubic"}, ValueError, "`interpolation` should be one of"),
        (PLAIN, {"subdivisions": 0}, ValueError, "`subdivisions` should be a whole number from 1"),
        (PLAIN, {"n_points": 2.5}, ValueError, "`n_points` should be a whole number.*got 2.5"),
        (PLAIN, {"n_points": "10"}, TypeError, "`n_points` should be a whole number.*got '10'"),
        (PLAIN, {"subdivisions": None}, TypeError, "`subdivisions` should be a whole.*got None"),
        (PLAIN, {"radius": -1.0}, ValueError, "`radius` should be positive.*got -1.0"),
        (PLAIN, {"radius": None}, TypeError, "`radius` should be positive.*got None"),
        (PLAIN, {"radius": "3"}, TypeError, "`radius` should be positive.*got '3'"),
        (PLAIN, {}, ValueError, '"ribbon" needs the surfaces `white` and `pial`.*or method="tri'),
        (ai.SurfaceMesh(42), RAW, ValueError, '"ribbon" needs .* with triangles'),
        (PLAIN, {"white": BALL[0]}, ValueError, "`pial` is needed beside the other"),
        (PLAIN, {"pial": BALL[0]}, ValueError, "`white` is needed beside the other"),
        (PLAIN, {"method": "trilinear"}, ValueError, "needs its `anatomical` surface, which Surf"),
        (
            ai.SurfaceMesh(42, anatomical=BALL[0]),
            {"method": "line"},
            ValueError,
            "a line along the normal needs its `faces`",
        ),
        (PLAIN, {**RAW, "pial": BALL[0][:9]}, ValueError, "has 9 vertices, `mesh` 42"),
        (PLAIN, {**RAW, "pial": BALL[0][:, :2]}, ValueError, r"finite coordinates .*\(42, 2\)"),
        (PLAIN, {**RAW, "pial": BALL[0] * np.nan}, ValueError, "`pial` should be finite"),
        (PLAIN, {**RAW, "pial": 3}, TypeError, "`pial` should be a surface file.*got int"),
        (PLAIN, {**RAW, "pial": PLAIN}, ValueError, "`pial`: SurfaceMesh.* has no anatomical"),
        (
            PLAIN,
            {**RAW, "pial": ai.SurfaceMesh(42, hemisphere="R", anatomical=BALL[0])},
            ValueError,
            "`pial` is of hemisphere R, `mesh` of L",
        ),
        (
            PLAIN,
            {**RAW, "pial": ai.SurfaceMesh(42, faces=BALL[1][1:], anatomical=BALL[0])},
            ValueError,
            "`pial` has other triangles than `mesh`: 79 and 80",
        ),
        (
            PLAIN,
            {"white": RAW["pial"], "pial": RAW["white"]},
            ValueError,
            r"`pial` is smaller than `white`: .* exchange them: white=\.\.\., pial=\.\.\.",
        ),
        (PLAIN, {**RAW, "pial": BALL[0] + [3, 0, 0]}, ValueError, "`pial` crosses `white`: it"),
        (
            PLAIN,
            {name: points + 200 for name, points in RAW.items()},
            ValueError,
            r"from \[187, 187, 187\] to .* meets no kept voxel of the grid, from \[-15, .*scanner",
        ),
    ],
)
def test_what_does_not_fit_is_refused(mesh, options, error, message):
    with pytest.raises(error, match=message):
        unchecked(ai.sampling_operator)(CUBE, mesh, **options)


def test_a_grid_without_voxels_is_refused():
    with pytest.raises(ValueError, match="`grid` keeps no voxel"):
        ai.sampling_operator(CUBE.restrict(np.zeros(0, int)), PLAIN, **RAW)


def test_a_grid_and_a_mesh_are_wanted():
    with pytest.raises(TypeError, match="should be a VolumeGrid and a SurfaceMesh, got SurfaceM"):
        unchecked(ai.sampling_operator)(PLAIN, CUBE)


def test_surfaces_of_files(tmp_path):
    nb.freesurfer.write_geometry(tmp_path / "lh.white", BALL[0], BALL[1])
    path = tmp_path / "lh.pial.surf.gii"
    nb.save(_gifti([RAW["pial"], BALL[1]], ["POINTSET", "TRIANGLE"]), path)
    read = ai.sampling_operator(
        CUBE, ai.SurfaceMesh(42), white=tmp_path / "lh.white", pial=str(path)
    )
    given = ai.sampling_operator(CUBE, PLAIN, **RAW)
    np.testing.assert_allclose(read.to_scipy().toarray(), given.to_scipy().toarray(), atol=1e-3)
    with pytest.raises(ai.AtlasFileError, match="rh.white"):
        ai.sampling_operator(CUBE, PLAIN, white=tmp_path / "rh.white", pial=path)


def label_atlas(values, hemispheres=None, affine=AFFINE, space="MNI152NLin6Asym"):
    n = int(values.max())
    return ai.Atlas(
        name="blocks",
        space=space,
        maps={"volume": ai.HardMaps(values.reshape(-1).astype(np.int32) - 1, n)},
        geometry={"volume": ai.VolumeGrid(values.shape, affine)},
        labels=ai.LabelTable(
            {
                "compartment": ["volume"] * n,
                "key": [10 * k for k in range(1, n + 1)],
                "name": [f"p{k}" for k in range(1, n + 1)],
                "color": [""] * n,
                "hemisphere": hemispheres or [""] * n,
            }
        ),
    )


def two_sides(method="nearest"):
    """Operators of the left and right half of one grid, of 2 vertices each."""
    grid = ai.VolumeGrid((4, 2, 1), np.diag([2.0, 2, 2, 1]))
    left = ai.SurfaceMesh(2, hemisphere="L", anatomical=[[0, 0, 0], [2, 0, 0]])
    right = ai.SurfaceMesh(2, hemisphere="R", anatomical=[[3.5, 0, 0], [6, 2, 0]])
    meshes = {"cortex_L": left, "cortex_R": right}
    return {c: ai.sampling_operator(grid, mesh, method=method) for c, mesh in meshes.items()}


LABELS = np.array([[1, 0], [2, 0], [1, 0], [0, 3]])[..., None]


def test_parcels_of_both_sides_are_one_row_each():
    atlas = label_atlas(LABELS, affine=np.diag([2.0, 2, 2, 1]))
    moved = ai.to_surface(atlas, two_sides(), space="fsaverage5")
    assert moved.space == "fsaverage5"
    assert set(moved.labels["compartment"]) == {"cortex_L+cortex_R"}
    assert moved.labels["name"].tolist() == ["p1", "p2", "p3"]
    assert moved.maps["cortex_L"].labels.tolist() == [0, 1]
    assert moved.maps["cortex_R"].labels.tolist() == [0, 2]
    assert "to_surface(SamplingOperator(nearest" in moved.provenance.operations[-1]


def test_parcels_that_state_their_side_stay_there():
    atlas = label_atlas(LABELS, ["R", "L", "R"], affine=np.diag([2.0, 2, 2, 1]))
    moved = ai.to_surface(atlas, two_sides(), space="fsaverage5")
    assert moved.labels["compartment"].tolist() == ["cortex_L", "cortex_R", "cortex_R"]
    assert moved.labels["key"].tolist() == [20, 10, 30]
    # The left vertex in a right parcel has none.
    assert moved.maps["cortex_L"].labels.tolist() == [-1, 0]
    assert moved.maps["cortex_R"].labels.tolist() == [0, 1]


def test_labels_of_a_turned_grid_and_of_some_voxels():
    turned = np.diag([-2.0, 2, 2, 1])
    turned[0, 3] = 6
    atlas = label_atlas(LABELS[::-1], affine=turned)
    kept = np.flatnonzero(LABELS[::-1].reshape(-1))
    atlas = ai.Atlas(
        name="some",
        space="x",
        maps={"volume": atlas.maps["volume"].take_locations(kept)},
        geometry={"volume": atlas.geometry["volume"].restrict(kept)},
        labels=atlas.table,
    )
    moved = ai.to_surface(atlas, two_sides(), space="fsaverage5")
    assert moved.maps["cortex_L"].labels.tolist() == [0, 1]
    assert moved.maps["cortex_R"].labels.tolist() == [0, 2]


def test_no_label_counts_as_one_where_its_voxels_are_kept():
    atlas = label_atlas(np.array([1, 0, 0])[:, None, None], affine=np.eye(4))
    whole = ai.VolumeGrid((3, 1, 1), np.eye(4))
    mesh = ai.SurfaceMesh(2, anatomical=[[0.6, 0, 0], [0.4, 0, 0]])
    for grid, expected in ((whole, [-1, 0]), (whole.restrict(np.array([0])), [-1, 0])):
        operator = ai.sampling_operator(grid, mesh, method="trilinear")
        moved = ai.to_surface(atlas, {"surface": operator}, space="x")
        assert moved.maps["surface"].labels.tolist() == expected
    line = ai.sampling_operator(
        whole.restrict(np.array([0])),
        mesh,
        white=np.zeros((2, 3)),
        pial=np.array([[2.0, 0, 0], [1, 0, 0]]),
        method="line",
    )
    moved = ai.to_surface(atlas, {"surface": line}, space="x")
    assert moved.maps["surface"].labels.tolist() == [0, 0]


def test_maps_are_averaged():
    operators = two_sides("trilinear")
    grid = operators["cortex_L"].grid
    values = np.random.default_rng(0).random((3, 8)).astype(np.float32)
    atlas = label_atlas(LABELS, affine=grid.affine)
    soft = ai.Atlas(
        name="soft",
        space="x",
        maps={"volume": ai.DenseMaps(values)},
        geometry={"volume": grid},
        labels=atlas.table,
    )
    moved = ai.to_surface(soft, operators, space="y").to_dense()
    for c, operator in operators.items():
        np.testing.assert_allclose(moved[c], np.asarray(operator(values.T)).T, atol=1e-6)


def test_parcels_without_a_vertex_stay_and_are_told():
    atlas = label_atlas(LABELS, affine=np.diag([2.0, 2, 2, 1]))
    with pytest.warns(ai.AtlasWarning, match="1 of 3 parcels of 'blocks' have no vertex: p3"):
        moved = ai.to_surface(atlas, two_sides()["cortex_L"], space="fsaverage5")
    assert moved.compartments == ("cortex_L",)
    assert moved.n_parcels == 3


@pytest.mark.parametrize(
    ("atlas", "operators", "space", "error", "message"),
    [
        ("a", None, "x", TypeError, "`atlas` should be an Atlas, got str"),
        (None, None, "", TypeError, "`space` should name the meshes' space, got ''"),
        (None, 3, "x", TypeError, "`operators` should be a SamplingOperator or a mapping"),
        (None, {"cortex_L": 3}, "x", TypeError, "`operators` should be a SamplingOperator"),
        (None, {}, "x", ValueError, "`operators` is empty"),
        (mixed_atlas(), None, "x", ValueError, "should have one grid and nothing else"),
        (
            label_atlas(LABELS, affine=np.eye(4)),
            None,
            "x",
            ValueError,
            r"on VolumeGrid\(8 of .* with other voxels .* by `ai.resample\(atlas, operator.grid\)`",
        ),
    ],
)
def test_atlases_that_cannot_be_sampled(atlas, operators, space, error, message):
    atlas = label_atlas(LABELS, affine=np.diag([2.0, 2, 2, 1])) if atlas is None else atlas
    operators = two_sides() if operators is None else operators
    with pytest.raises(error, match=message):
        unchecked(ai.to_surface)(atlas, operators, space=space)


def test_a_side_has_to_be_named(small):
    atlas = label_atlas(np.ones((6, 1, 1), int), affine=np.eye(4))
    with pytest.raises(ValueError, match="does not state its hemisphere; name the compartment"):
        ai.to_surface(atlas, small, space="x")
    named = ai.to_surface(atlas, {"cortex_L": small}, space="x")
    assert named.labels["n_locations"].tolist() == [2]


def sided_atlas(**changes):
    """An atlas of the two vertices of each side of `two_sides`, in a parcel each."""
    meshes = {c: operator.mesh for c, operator in two_sides().items()}
    return ai.Atlas(
        name="sides",
        space="fsaverage5",
        maps={c: ai.HardMaps(np.array([0, 0], np.int32), 1) for c in meshes},
        geometry=meshes | changes,
        labels=table(["cortex_L", "cortex_R"]),
    )


def run_of(values, affine=None):
    return nb.Nifti1Image(values, np.diag([2.0, 2, 2, 1]) if affine is None else affine)


def test_a_masker_samples_volumes(tmp_path):
    values = np.random.default_rng(0).normal(size=(4, 2, 1, 6)).astype(np.float32)
    nb.save(run_of(values), tmp_path / "sub-01_space-T1w_bold.nii.gz")
    atlas, operators = sided_atlas(), two_sides("trilinear")
    masker = ai.AtlasMasker(atlas, sampling=operators, memory=tmp_path / "cache")
    flat = values.reshape(8, 6)
    data = np.concatenate([np.asarray(operator(flat)) for operator in operators.values()])
    expected = np.asarray(ai.project(atlas, data)).T
    paths = [str(tmp_path / "sub-01_space-T1w_bold.nii.gz")] * 2
    for _ in range(2):
        for series in masker.fit_transform(paths):
            np.testing.assert_allclose(series, expected, rtol=1e-5)
    turned = np.diag([-2.0, 2, 2, 1])
    turned[0, 3] = 6
    np.testing.assert_allclose(masker.transform(run_of(values[::-1], turned)), expected, rtol=1e-5)
    np.testing.assert_allclose(
        ai.AtlasMasker(atlas.select(compartments="cortex_L"), sampling=operators["cortex_L"])
        .fit(run_of(values))
        .transform(run_of(values)),
        expected[:, :1],
        rtol=1e-5,
    )


def test_a_masker_of_cortex_and_voxels_reads_one_volume():
    values = np.random.default_rng(0).normal(size=(4, 2, 1, 6)).astype(np.float32)
    atlas, operators = sided_atlas(), two_sides()
    deep = label_atlas(LABELS, affine=np.diag([2.0, 2, 2, 1]), space="fsaverage5")
    both = ai.join([atlas, deep])
    series = ai.AtlasMasker(both, sampling=operators).fit_transform(run_of(values))
    np.testing.assert_allclose(
        series[:, 2:], np.asarray(ai.project(deep, values.reshape(8, 6))).T, rtol=1e-5
    )
    cortex = ai.AtlasMasker(atlas, sampling=operators).fit_transform(run_of(values))
    np.testing.assert_array_equal(series[:, :2], cortex)


def labels_image():
    image = run_of(np.ones((4, 2, 1), np.int16))
    image.header.set_intent("label")
    return image


@pytest.mark.parametrize(
    ("image", "sampling", "error", "message"),
    [
        (None, 3, TypeError, "`sampling` should be a SamplingOperator or a mapping"),
        (None, {}, ValueError, "`sampling` is empty"),
        (None, two_sides()["cortex_L"], ValueError, "for each of the surfaces .*got.*cortex_L"),
        (
            None,
            dict.fromkeys(("cortex_L", "cortex_R"), two_sides()["cortex_R"]),
            ValueError,
            r"of 'cortex_L' goes to SurfaceMesh\(R, .* has SurfaceMesh\(L",
        ),
        (
            run_of(np.zeros((4, 2, 2), np.float32)),
            two_sides(),
            ValueError,
            "is on another grid than `sampling`",
        ),
        (
            labels_image(),
            two_sides("trilinear"),
            ValueError,
            'averages voxels, but .* holds labels.*make operators by method="nearest"',
        ),
    ],
)
def test_sampling_that_does_not_fit(image, sampling, error, message):
    reduction = "mode" if image is not None and image.ndim == 3 else "mean"
    masker = ai.AtlasMasker(sided_atlas(), sampling=sampling, reduction=reduction)
    with pytest.raises(error, match=message):
        masker.fit(image)


def test_what_is_said_of_an_image_on_another_grid_works():
    atlas, operators = sided_atlas(), two_sides("trilinear")
    values = np.random.default_rng(2).normal(size=(6, 4, 3, 5)).astype(np.float32)
    image = run_of(values, np.diag([1.5, 1.5, 1.5, 1]))
    with pytest.raises(ValueError, match="on another grid than `sampling`.*ai.sampling_operator"):
        ai.AtlasMasker(atlas, sampling=operators).fit(image)
    grid = operators["cortex_L"].grid
    moved = ai.resample_data(values.reshape(-1, 5), image, grid)
    there = run_of(np.asarray(moved).reshape(*grid.shape, 5), grid.affine)
    assert np.isfinite(ai.AtlasMasker(atlas, sampling=operators).fit_transform(there)).all()
    own = {
        c: ai.sampling_operator(ai.VolumeGrid((6, 4, 3), image.affine), mesh, method="trilinear")
        for c, mesh in atlas.geometry.items()
    }
    assert np.isfinite(ai.AtlasMasker(atlas, sampling=own).fit_transform(image)).all()


def corners_atlas(vertices, n=4):
    """An atlas of some of the vertices of a tetrahedron in mm, a parcel each."""
    mesh = ai.SurfaceMesh(n, vertices, hemisphere="L")
    return ai.Atlas(
        name="corners" + "".join(map(str, vertices)),
        space="fsaverage5",
        maps={"cortex_L": ai.HardMaps(np.arange(len(vertices), dtype=np.int32), len(vertices))},
        geometry={"cortex_L": mesh},
        labels=table(["cortex_L"] * len(vertices)),
    )


def corners_operator(mesh):
    points = np.array([[1, 1, 0], [3, 1, 0], [5, 1, 0], [6, 2, 0]], np.float32)
    grid = ai.VolumeGrid((4, 2, 1), np.diag([2.0, 2, 2, 1]))
    mesh = mesh.replace(anatomical=points)
    return ai.sampling_operator(grid, mesh, method="trilinear")


def test_atlases_that_keep_other_vertices_share_an_operator_of_all():
    """As each with an operator of its own vertices."""
    atlases = {"a": corners_atlas([0, 2]), "b": corners_atlas([1, 2, 3]), "c": corners_atlas([3])}
    image = run_of(np.random.default_rng(3).normal(size=(4, 2, 1, 5)).astype(np.float32))
    own = {name: corners_operator(atlas.geometry["cortex_L"]) for name, atlas in atlases.items()}
    advice = r"lacks 2 of its vertices; .* every atlas, as `ai\.SurfaceMesh\(4, hemisphere=.L.\)`"
    with pytest.raises(ValueError, match=advice):
        ai.AtlasMasker(atlases, sampling={"cortex_L": own["a"]}).fit()
    whole = {"cortex_L": corners_operator(ai.SurfaceMesh(4, hemisphere="L"))}
    together = ai.AtlasMasker(atlases, sampling=whole).fit_transform(image)
    for name, atlas in atlases.items():
        alone = ai.AtlasMasker(atlas, sampling={"cortex_L": own[name]}).fit_transform(image)
        np.testing.assert_allclose(together[name], alone, rtol=1e-5)
        by_itself = ai.AtlasMasker(atlas, sampling=whole).fit_transform(image)
        np.testing.assert_allclose(by_itself, alone, rtol=1e-5)


def test_sampling_to_another_mesh_is_refused():
    with pytest.raises(
        ValueError, match=r"goes to SurfaceMesh\(L, 2 of 2 .* has SurfaceMesh\(L, 2 of 4"
    ):
        ai.AtlasMasker(corners_atlas([0, 2]), sampling=two_sides()["cortex_L"]).fit()


def test_several_atlases_are_sampled_together():
    """As each by itself: one of both sides, and one of the left with parcels of its own."""
    both = sided_atlas()
    left = ai.Atlas(
        name="left",
        space=both.space,
        maps={"cortex_L": ai.HardMaps(np.array([1, 0], np.int32), 2)},
        geometry={"cortex_L": both.geometry["cortex_L"]},
        labels=table(["cortex_L"] * 2),
    )
    operators = two_sides("trilinear")
    image = run_of(np.random.default_rng(1).normal(size=(4, 2, 1, 5)).astype(np.float32))
    masker = ai.AtlasMasker({"both": both, "left": left}, sampling=operators)
    together = masker.fit_transform(image)
    for name, atlas in (("both", both), ("left", left)):
        own = dict(operators) if name == "both" else {"cortex_L": operators["cortex_L"]}
        alone = ai.AtlasMasker(atlas, sampling=own).fit_transform(image)
        np.testing.assert_allclose(together[name], alone, rtol=1e-5)
    few = ai.AtlasMasker({"both": both, "left": left}, sampling={"cortex_L": operators["cortex_L"]})
    with pytest.raises(ValueError, match=r"an operator for each of the surfaces \['cortex_L', 'co"):
        few.fit()
