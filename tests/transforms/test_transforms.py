"""Atlases through transforms of every format: a phantom whose place after them is known."""

import hashlib
import re

import jax
import jax.numpy as jnp
import nibabel as nb
import numpy as np
import pytest
from helpers import mixed_atlas, table, unchecked
from helpers_packages import package_file

import atlasinit as ai
from atlasinit.transforms import read_chain

h5py = pytest.importorskip("h5py")
pytest.importorskip("nitransforms")

# What nitransforms says where it is not told of an image.
pytestmark = pytest.mark.filterwarnings("ignore:Reference space not set")

LPS = np.diag([-1.0, -1, 1, 1])
TEMPLATE = np.array([[-2.0, 0, 0, 20], [0, 2, 0, -18], [0, 0, 2, -16], [0, 0, 0, 1]])
PERSON = np.array([[1.5, 0, 0, -15], [0, 1.6, 0, -17], [0, 0.2, 1.7, -12], [0, 0, 0, 1]])
TEMPLATE_GRID = ai.VolumeGrid((21, 20, 18), TEMPLATE)
PERSON_GRID = ai.VolumeGrid((22, 21, 20), PERSON)

# Where a position of the person, in mm (RAS+), lies in the template.
TURN = np.array([[0.96, -0.25, 0.05], [0.26, 0.95, -0.1], [-0.02, 0.12, 1.05]])
PULL = nb.affines.from_matvec(TURN, [3.0, -2.5, 4.0])


def phantom(space="MNI152NLin6Asym", grid=TEMPLATE_GRID):
    """Labels that tell the octant around (1, -1, 2) mm of a ball, which no mirror leaves alike."""
    x, y, z = (grid.coordinates - [1, -1, 2]).T
    labels = (x > 0) + 2 * (y > 0) + 4 * (z > 0)
    labels = np.where(x**2 + y**2 + z**2 < 12**2, labels, -1)
    return ai.Atlas(
        name="octants",
        space=space,
        maps={"volume": ai.HardMaps(labels.astype(np.int32), 8)},
        geometry={"volume": grid},
        labels=table(["volume"] * 8),
    )


def expected(pull=PULL, grid=PERSON_GRID):
    """Return the label of the template's voxel that each of the person's voxels lies in."""
    points = (
        pull(grid.coordinates)
        if callable(pull)
        else nb.affines.apply_affine(pull, grid.coordinates)
    )
    ijk = np.floor(nb.affines.apply_affine(np.linalg.inv(TEMPLATE), points) + 0.5).astype(int)
    inside = ((ijk >= 0) & (ijk < TEMPLATE_GRID.shape)).all(axis=1)
    labels = np.asarray(phantom().maps["volume"].labels).reshape(TEMPLATE_GRID.shape)
    return np.where(inside, labels[tuple(np.where(inside[:, None], ijk, 0).T)], -1)


def moved(transform, **options):
    options = {"space": "T1w", "method": "nearest", **options}
    return ai.resample(phantom(), PERSON_GRID, transform=transform, **options)


def agreement(atlas, labels):
    """Return at how many of the voxels with a label of either two agree."""
    own = np.asarray(atlas.maps["volume"].labels)
    there = (own >= 0) | (labels >= 0)
    assert there.sum() > 500
    return (own == labels)[there].mean()


# Written as each program documents its format, by no reader's own writer.


def itk_numbers(pull, centre=(0, 0, 0)):
    """Return the twelve parameters of an affine of ITK: y = A (x - c) + c + t, in LPS."""
    matrix = LPS @ pull @ LPS
    offset = matrix[:3, 3] - np.array(centre) + matrix[:3, :3] @ centre
    return np.concatenate([matrix[:3, :3].reshape(-1), offset])


def write_itk_text(path, pull=PULL, kind="AffineTransform_double_3_3"):
    centre = (5.0, -7.0, 2.0)
    numbers = " ".join(f"{v:.10g}" for v in itk_numbers(pull, centre))
    path.write_text(
        f"#Insight Transform File V1.0\n#Transform 0\nTransform: {kind}\nParameters: {numbers}\n"
        f"FixedParameters: {' '.join(map(str, centre))}\n"
    )
    return path


def write_itk_matlab(path, pull=PULL):
    from scipy.io import savemat

    columns = itk_numbers(pull, (1.0, 2.0, 3.0))[:, None]
    fixed = np.array([[1.0], [2.0], [3.0]])
    savemat(path, {"AffineTransform_double_3_3": columns, "fixed": fixed}, format="4")
    return path


def write_itk_composite(path, steps):
    """Write matrices, and displacement fields (affine, values), the last of which ITK applies first."""
    with h5py.File(path, "w") as file:
        group = file.create_group("TransformGroup")

        def add(number, kind, numbers=None, fixed=None):
            own = group.create_group(str(number))
            own["TransformType"] = np.array([kind.encode()], object)
            if numbers is not None:
                own["TransformParameters"], own["TransformFixedParameters"] = numbers, fixed

        add(0, "CompositeTransform_double_3_3")
        for number, step in enumerate(steps, start=1):
            if isinstance(step, np.ndarray):
                add(number, "AffineTransform_double_3_3", itk_numbers(step), np.zeros(3))
                continue
            affine, values = step
            at = LPS @ affine
            sizes = np.linalg.norm(at[:3, :3], axis=0)
            directions = (at[:3, :3] / sizes).reshape(-1)
            fixed = np.concatenate([values.shape[:3], at[:3, 3], sizes, directions])
            # The vector runs fastest, then the first axis.
            flat = (values * [-1, -1, 1]).transpose(2, 1, 0, 3).reshape(-1)
            add(number, "DisplacementFieldTransform_float_3_3", flat.astype(np.float32), fixed)
    return path


def write_lta(path, pull=PULL, grids=(TEMPLATE_GRID, PERSON_GRID), *, voxels=False):
    push = np.linalg.inv(pull)
    if voxels:
        push = np.linalg.inv(grids[1].affine) @ push @ grids[0].affine
    lines = [f"type      = {0 if voxels else 1}", "nxforms   = 1", "mean      = 0 0 0"]
    lines += ["sigma     = 1.0", "1 4 4", *(" ".join(f"{v:.12f}" for v in row) for row in push)]
    for name, grid in zip(("src", "dst"), grids, strict=True):
        directions = grid.affine[:3, :3] / grid.voxel_sizes
        centre = nb.affines.apply_affine(grid.affine, np.array(grid.shape) / 2)
        lines += [f"{name} volume info", "valid = 1  # volume info valid", "filename = x.mgz"]
        vectors = {"volume": grid.shape, "voxelsize": grid.voxel_sizes}
        vectors |= dict(zip(("xras  ", "yras  ", "zras  "), directions.T, strict=True))
        vectors |= {"cras  ": centre}
        lines += [f"{key} = {' '.join(map(str, v))}" for key, v in vectors.items()]
    path.write_text("\n".join([*lines, "subject fsaverage", "fscale 0.15", ""]))
    return path


def fsl_of(grid):
    """Return the matrix from mm to FSL's coordinates of an image."""
    scaled = np.diag([*grid.voxel_sizes, 1])
    if np.linalg.det(grid.affine) > 0:
        scaled = (
            np.array(
                [
                    [-1, 0, 0, (grid.shape[0] - 1) * grid.voxel_sizes[0]],
                    [0, 1, 0, 0],
                    [0, 0, 1, 0],
                    [0, 0, 0, 1],
                ]
            )
            @ scaled
        )
    return scaled @ np.linalg.inv(grid.affine)


def write_fsl_matrix(path, pull=PULL):
    """Write what `flirt -in template -ref person -omat` does: from the template to the person."""
    push = fsl_of(PERSON_GRID) @ np.linalg.inv(pull) @ np.linalg.inv(fsl_of(TEMPLATE_GRID))
    np.savetxt(path, push, fmt="%.10f")
    return path


def write_fsl_field(path, pull=PULL, *, absolute=False):
    inner = nb.affines.apply_affine(fsl_of(PERSON_GRID), PERSON_GRID.coordinates)
    points = (
        pull(PERSON_GRID.coordinates)
        if callable(pull)
        else nb.affines.apply_affine(pull, PERSON_GRID.coordinates)
    )
    values = nb.affines.apply_affine(fsl_of(TEMPLATE_GRID), points) - (0 if absolute else inner)
    image = nb.Nifti1Image(values.reshape(*PERSON_GRID.shape, 3).astype(np.float32), PERSON)
    image.header["intent_code"] = 2006
    nb.save(image, path)
    return path


def bend(points):
    """Return positions of the person in the template that no matrix gives."""
    x, y, z = points.T
    wave = np.stack([2 * np.sin(y / 8), 1.5 * np.cos(z / 9), np.sin(x / 7)], axis=1)
    return points + wave + [2, -3, 1]


FIELD = ai.VolumeGrid((44, 42, 40), PERSON @ np.diag([0.55, 0.55, 0.55, 1]))
WAVES = (bend(FIELD.coordinates) - FIELD.coordinates).reshape(*FIELD.shape, 3)


def write_itk_field(path):
    image = nb.Nifti1Image((WAVES * [-1, -1, 1])[:, :, :, None].astype(np.float32), FIELD.affine)
    image.header.set_intent("vector")
    nb.save(image, path)
    return path


def write_x5(path, *steps):
    from nitransforms.linear import Affine
    from nitransforms.manip import TransformChain
    from nitransforms.nonlinear import DenseFieldTransform

    made = [
        Affine(step)
        if isinstance(step, np.ndarray)
        else DenseFieldTransform(nb.Nifti1Image(step[1], step[0]))
        for step in steps
    ]
    if len(made) == 1:
        from nitransforms.io.x5 import to_filename

        to_filename(path, [made[0].to_x5()])
    else:
        TransformChain(made).to_filename(path)
    return path


FSL = {"reference": PERSON_GRID, "moving": TEMPLATE_GRID}
MATRICES = {
    "itk.txt": write_itk_text,
    "itk.mat": write_itk_matlab,
    "itk.h5": lambda path: write_itk_composite(path, [PULL]),
    "ras.lta": write_lta,
    "voxels.lta": lambda path: write_lta(path, voxels=True),
    "fsl.mat": write_fsl_matrix,
    "x.x5": lambda path: write_x5(path, PULL),
}


@pytest.mark.parametrize("name", MATRICES)
@pytest.mark.parametrize("inverse", [False, True])
def test_matrices_move_the_phantom_where_it_belongs(tmp_path, name, inverse):
    path = MATRICES[name](tmp_path / name)
    if not inverse:
        transform = ai.Transform(path, **FSL) if name.startswith("fsl") else path
        assert agreement(moved(transform), expected()) > 0.999
        return
    # Of the other direction: a template's image is moved by the inverse of what moves a person's.
    there = ai.resample(
        phantom("T1w", PERSON_GRID),
        TEMPLATE_GRID,
        transform=ai.Transform(path, inverse=True, **FSL),
        space="MNI152NLin6Asym",
        method="nearest",
    )
    back = nb.affines.apply_affine(np.linalg.inv(PULL), TEMPLATE_GRID.coordinates)
    ijk = nb.affines.apply_affine(np.linalg.inv(PERSON), back)
    ijk = np.floor(ijk + 0.5).astype(int)
    inside = ((ijk >= 0) & (ijk < PERSON_GRID.shape)).all(axis=1)
    labels = np.asarray(phantom("T1w", PERSON_GRID).maps["volume"].labels).reshape(
        PERSON_GRID.shape
    )
    wanted = np.where(inside, labels[tuple(np.where(inside[:, None], ijk, 0).T)], -1)
    assert agreement(there, wanted) > 0.999


WARPS = {
    "itk.nii.gz": write_itk_field,
    "itk.h5": lambda path: write_itk_composite(path, [(FIELD.affine, WAVES)]),
    "fsl.nii.gz": lambda path: write_fsl_field(path, bend),
    "fsl_absolute.nii": lambda path: write_fsl_field(path, bend, absolute=True),
    "x.x5": lambda path: write_x5(path, (FIELD.affine, WAVES)),
}


@pytest.mark.parametrize("name", WARPS)
def test_warps_move_the_phantom_where_it_belongs(tmp_path, name):
    path = WARPS[name](tmp_path / name)
    transform = ai.Transform(path, moving=TEMPLATE_GRID) if name.startswith("fsl") else path
    # Between the voxels of a field, waves are straight lines.
    assert agreement(moved(transform), expected(bend)) > 0.98


@pytest.mark.parametrize(("scale", "method"), [(2.0, "area"), (0.5, "nearest")])
def test_labels_take_the_majority_where_a_transform_enlarges_voxels(tmp_path, scale, method):
    """Noise of labels in 2 mm, whose voxels a person's of 2 mm hold eight of, or an eighth."""
    rng = np.random.default_rng(0)
    grid = ai.VolumeGrid((8, 8, 8), np.diag([2.0, 2, 2, 1]))
    whole = rng.integers(0, 8, (8, 8, 8)).astype(np.int32)
    # What is left of the grid where each voxel becomes eight has every label, too.
    whole[:2, :2, :2] = np.arange(8).reshape(2, 2, 2)
    maps = {"volume": ai.HardMaps(whole.reshape(-1), 8)}
    atlas = phantom(grid=grid).replace(maps=maps)
    # The centre of the person's first voxel lies in the middle of the template's first block.
    pull = np.diag([scale, scale, scale, 1.0])
    pull[:3, 3] = scale - 1
    target = ai.VolumeGrid((4, 4, 4), grid.affine)
    options = {"transform": write_itk_text(tmp_path / "a.txt", pull), "space": "T1w"}
    found = np.asarray(ai.resample(atlas, target, **options).maps["volume"].labels)
    forced = ai.resample(atlas, target, method=method, **options).maps["volume"].labels
    np.testing.assert_array_equal(found, forced)
    if scale == 2:
        blocks = whole.reshape(4, 2, 4, 2, 4, 2).transpose(0, 2, 4, 1, 3, 5).reshape(64, 8)
        counts = (blocks[:, :, None] == np.arange(8)).sum(axis=1)
        assert (counts[np.arange(64), found] == counts.max(axis=1)).all()
    else:
        inner = np.array([0, 0, 1, 1])
        np.testing.assert_array_equal(found.reshape(4, 4, 4), whole[np.ix_(inner, inner, inner)])


def test_the_wrong_direction_is_elsewhere(tmp_path):
    """What the other tests tell apart."""
    wrong = nb.affines.apply_affine(np.linalg.inv(PULL), PERSON_GRID.coordinates)
    assert agreement(moved(write_itk_text(tmp_path / "a.txt")), expected(lambda _: wrong)) < 0.8


@pytest.mark.parametrize("kind", ["composite", "x5", "list"])
def test_one_after_another(tmp_path, kind):
    """From the template by PULL to a space between, and by the waves to the person."""

    def both(points):
        return nb.affines.apply_affine(PULL, bend(points))

    if kind == "composite":
        # A position goes through the last first: the waves, and then the matrix.
        transform = write_itk_composite(tmp_path / "a.h5", [PULL, (FIELD.affine, WAVES)])
    elif kind == "x5":
        transform = write_x5(tmp_path / "a.x5", (FIELD.affine, WAVES), PULL)
    else:
        transform = [write_lta(tmp_path / "a.lta"), write_itk_field(tmp_path / "b.nii.gz")]
    assert agreement(moved(transform), expected(both)) > 0.97
    if kind == "list":
        assert agreement(moved(transform[::-1]), expected(both)) < 0.9


def test_maps_go_through_warps(tmp_path):
    atlas = phantom()
    soft = ai.Atlas(
        name="soft",
        space=atlas.space,
        maps={"volume": ai.DenseMaps(atlas.maps["volume"].to_dense())},
        geometry=dict(atlas.geometry),
        labels=atlas.table,
    )
    path = write_itk_field(tmp_path / "w.nii.gz")
    out = ai.resample(soft, PERSON_GRID, transform=path, space="T1w").to_dense()["volume"]
    from scipy.ndimage import map_coordinates

    ijk = nb.affines.apply_affine(np.linalg.inv(TEMPLATE), bend(PERSON_GRID.coordinates))
    for parcel, values in enumerate(soft.to_dense()["volume"]):
        oracle = map_coordinates(values.reshape(TEMPLATE_GRID.shape), ijk.T, order=1)
        assert np.abs(out[parcel] - oracle).mean() < 0.002


@pytest.fixture
def person_data():
    """Smooth data (template's voxels, 2), whose values nothing but their places tell."""
    x, y, z = TEMPLATE_GRID.coordinates.T
    values = np.stack([np.sin(x / 9) + np.cos(y / 7), z / 10 + np.cos(x / 5)], axis=1)
    return values.astype(np.float32)


@pytest.mark.parametrize("name", ["itk.txt", "itk.nii.gz", "list"])
@pytest.mark.parametrize("method", ["nearest", "linear"])
def test_data_go_through_transforms(tmp_path, person_data, name, method):
    """SciPy's interpolation at the places that nibabel's product, or the waves, give."""
    from scipy.ndimage import map_coordinates

    if name == "list":
        transform = [write_lta(tmp_path / "a.lta"), write_itk_field(tmp_path / "b.nii.gz")]
        points = nb.affines.apply_affine(PULL, bend(PERSON_GRID.coordinates))
    elif name == "itk.txt":
        transform = write_itk_text(tmp_path / name)
        points = nb.affines.apply_affine(PULL, PERSON_GRID.coordinates)
    else:
        transform = write_itk_field(tmp_path / name)
        points = bend(PERSON_GRID.coordinates)
    operator = ai.resampling_operator(
        TEMPLATE_GRID, PERSON_GRID, method=method, transform=transform
    )
    out = np.asarray(operator(person_data))
    ijk = nb.affines.apply_affine(np.linalg.inv(TEMPLATE), points).T
    inside = ((ijk.T >= 0) & (ijk.T <= np.array(TEMPLATE_GRID.shape) - 1)).all(axis=1)
    far = ((ijk.T < -0.5) | (ijk.T > np.array(TEMPLATE_GRID.shape) - 0.5)).any(axis=1)
    assert inside.sum() > 1000
    assert far.any()
    if method == "nearest":
        assert np.isnan(out[far]).all()
    for own, values in zip(out.T, person_data.T, strict=True):
        whole = values.reshape(TEMPLATE_GRID.shape)
        oracle = map_coordinates(whole, ijk, order=int(method == "linear"), mode="nearest")
        off = np.abs(own - oracle)[inside]
        # Between the voxels of a field, waves are straight lines.
        assert np.quantile(off, 0.97) < (2e-5 if name == "itk.txt" else 0.02)


def test_data_go_where_nitransforms_takes_them(tmp_path, person_data):
    from nitransforms.linear import Affine
    from nitransforms.resampling import apply

    path = write_itk_text(tmp_path / "a.txt")
    given = nb.Nifti1Image(person_data[:, 0].reshape(TEMPLATE_GRID.shape), TEMPLATE)
    target = nb.Nifti1Image(np.zeros(PERSON_GRID.shape, np.float32), PERSON)
    oracle = np.asarray(apply(Affine(PULL), given, target, order=1, prefilter=False).dataobj)
    out = ai.resample_data(person_data[:, 0], given, target, transform=path, empty=0.0)
    ijk = nb.affines.apply_affine(np.linalg.inv(TEMPLATE) @ PULL, PERSON_GRID.coordinates)
    inside = ((ijk >= 0) & (ijk <= np.array(TEMPLATE_GRID.shape) - 1)).all(axis=1)
    np.testing.assert_allclose(out[inside], oracle.reshape(-1)[inside], atol=1e-4)
    # Transforms are linear maps of data: the adjoint of moving there is the gradient.
    made = ai.resampling_operator(given, target, transform=path)
    weights = np.random.default_rng(0).normal(size=made.shape[0]).astype(np.float32)
    filled = ~np.asarray(made.is_empty)
    gradient = jax.grad(
        lambda x: jnp.where(filled, made(x) * weights, 0.0).sum()
    )(jnp.asarray(person_data[:, 0]))  # fmt: skip
    np.testing.assert_allclose(gradient, made.to_scipy().T @ weights, atol=1e-4)


DATA_NAMES = {
    "elsewhere": ("sub-1_from-MNI152NLin6Asym_to-T1w_xfm.txt", "space-MNI152NLin2009cAsym",
                  "but .*space-MNI152NLin2009cAsym.* is in 'MNI152NLin2009cAsym'"),
    "backwards": ("sub-1_from-T1w_to-MNI152NLin6Asym_xfm.txt", "space-MNI152NLin6Asym",
                  "It goes the other way"),
}  # fmt: skip


@pytest.mark.parametrize("case", DATA_NAMES)
def test_data_of_another_space_are_refused(tmp_path, case):
    name, space, message = DATA_NAMES[case]
    source = tmp_path / f"sub-1_{space}_bold.nii.gz"
    nb.save(nb.Nifti1Image(np.zeros(TEMPLATE_GRID.shape, np.float32), TEMPLATE), source)
    path = write_itk_text(tmp_path / name)
    with pytest.raises(ValueError, match=message):
        ai.resampling_operator(source, PERSON_GRID, transform=path)


def test_data_that_transforms_take_away_are_refused(tmp_path):
    away = write_itk_text(tmp_path / "a.txt", nb.affines.from_matvec(np.eye(3), [500, 0, 0]))
    with pytest.raises(ValueError, match="no location of the source lies in the target after a.t"):
        ai.resampling_operator(TEMPLATE_GRID, PERSON_GRID, transform=away)
    mesh = ai.SurfaceMesh(9, hemisphere="L")
    with pytest.raises(ValueError, match="`transform` moves grids, but 'data' of the source"):
        ai.resampling_operator(mesh, mesh, transform=away)


def test_what_provenance_and_space_say(tmp_path):
    path = write_itk_text(tmp_path / "sub-01_from-MNI152NLin6Asym_to-T1w_mode-image_xfm.txt")
    atlas = moved(path, space=None)
    assert atlas.space == "T1w"
    sha = hashlib.sha256(path.read_bytes()).hexdigest()
    assert f"['{path.name} sha256:{sha}']" in atlas.provenance.operations[-1]
    target = tmp_path / "sub-01_space-T1w_boldref.nii.gz"
    nb.save(nb.Nifti1Image(np.zeros(PERSON_GRID.shape, np.int8), PERSON), target)
    other = ai.resample(phantom(), target, transform=str(path), method="nearest")
    np.testing.assert_array_equal(other.maps["volume"].labels, atlas.maps["volume"].labels)
    plain = write_itk_text(tmp_path / "plain.txt")
    # The target states it, or an atlas on it does.
    assert ai.resample(phantom(), target, transform=plain).space == "T1w"
    onto = ai.resample(phantom(), phantom("T1w", PERSON_GRID), transform=plain)
    assert onto.space == "T1w"
    with pytest.raises(ValueError, match=r'`space` is needed: neither plain.txt .*space="T1w"'):
        moved(plain, space=None)


@pytest.mark.parametrize(
    ("name", "space", "goal"),
    [
        (
            "tpl-MNI152NLin6Asym_from-MNI152NLin2009cAsym_mode-image_xfm.txt",
            "MNI152NLin2009cAsym",
            "MNI152NLin6Asym",
        ),
        ("from-MNIPediatricAsym+2_to-T1w_mode-image_xfm.txt", "MNIPediatricAsym:cohort-2", "T1w"),
    ],
)
def test_names_of_templates_and_cohorts(tmp_path, name, space, goal):
    path = write_itk_text(tmp_path / name)
    assert ai.resample(phantom(space), PERSON_GRID, transform=path).space == goal
    with pytest.raises(ValueError, match="moves images from"):
        ai.resample(phantom("MNIInfant"), PERSON_GRID, transform=path)


NAMES = {
    "other way": (
        ["from-T1w_to-MNI152NLin6Asym_mode-image_xfm.txt"],
        r"moves images from 'T1w' to 'MNI152NLin6Asym', but 'octants' is in 'MNI152NLin6Asym'; It "
        r"goes the other way: pass from-MNI152NLin6Asym_to-T1w_mode-image_xfm.*inverse=True",
    ),
    "other template": (
        ["from-MNI152NLin2009cAsym_to-T1w_mode-image_xfm.txt"],
        "but 'octants' is in 'MNI152NLin6Asym'; pass one whose name begins from-MNI152NLin6Asym",
    ),
    "a gap": (
        ["from-MNI152NLin6Asym_to-T1w_xfm.txt", "from-T2w_to-bold_xfm.txt"],
        "ends in 'T1w', but the next, from-T2w_to-bold_xfm.txt, begins in 'T2w'",
    ),
    "out of order": (
        ["from-T1w_to-bold_xfm.txt", "from-MNI152NLin6Asym_to-T1w_xfm.txt"],
        "from-T1w_to-bold_xfm.txt moves images from 'T1w' to 'bold'",
    ),
    "other end": (
        ["from-MNI152NLin6Asym_to-T2w_xfm.txt"],
        "moves images to 'T2w', but the space asked for is 'T1w'",
    ),
    "points": (
        ["from-MNI152NLin6Asym_to-T1w_mode-points_xfm.txt"],
        "is of the mode 'points', which moves points; pass the one of mode-image",
    ),
}


@pytest.mark.parametrize("case", NAMES)
def test_names_that_contradict_are_refused(tmp_path, case):
    names, message = NAMES[case]
    paths = [write_itk_text(tmp_path / name) for name in names]
    with pytest.raises(ValueError, match=message.replace("; It", ". It")):
        moved(paths)


def test_the_target_contradicts(tmp_path):
    path = write_itk_text(tmp_path / "from-MNI152NLin6Asym_to-T1w_xfm.txt")
    with pytest.raises(ValueError, match="images to 'T1w', but the target states 'MNI152NLin2009"):
        ai.resample(phantom(), phantom("MNI152NLin2009cAsym", PERSON_GRID), transform=path)


def test_what_the_refusal_advises_works(tmp_path):
    path = write_itk_text(tmp_path / "from-T1w_to-MNI152NLin6Asym_xfm.txt", np.linalg.inv(PULL))
    with pytest.raises(ValueError, match="It goes the other way") as caught:
        moved(path)
    # Followed as it stands, from wherever one is.
    advised = re.search(r"ai\.Transform\(.*?True\)", str(caught.value))[0]
    atlas = moved(eval(advised, {"ai": ai}))
    assert agreement(atlas, expected()) > 0.999
    assert "['inverse of from-T1w" in atlas.provenance.operations[-1]


def flat(path):
    return write_itk_text(path, np.diag([1.0, 1, 0, 1]))


def text_of(text):
    return lambda path: path.write_text(text)


def volume_of(shape, code=0):
    def write(path):
        image = nb.Nifti1Image(np.zeros(shape, np.float32), np.eye(4))
        image.header["intent_code"] = code
        nb.save(image, path)

    return write


def holes(path):
    values = WAVES.copy()
    values[3, 3, 3] = np.nan
    write_itk_composite(path, [(FIELD.affine, values)])


def bad_composite(path):
    with h5py.File(path, "w") as file:
        group = file.create_group("TransformGroup/1")
        group["TransformType"] = np.array([b"BSplineTransform_double_3_3_3"], object)
        group["TransformParameters"] = np.zeros(3)
        file.create_group("TransformGroup/0")


def lta_of(field, number):
    def write(path):
        text = write_lta(path).read_text()
        path.write_text(re.sub(rf"{field}( *)= 1", rf"{field}\1= {number}", text))

    return write


FILES = {
    "singular": ("a.txt", flat, "its matrix is singular"),
    "singular fsl": ("a.mat", text_of("1 0 0 0\n0 1 0 0\n1 1 0 0\n0 0 0 1\n"), "singular"),
    "nan": ("a.mat", text_of("1 0 0 nan\n0 1 0 0\n1 1 0 0\n0 0 0 1\n"), "finite"),
    "no transform": ("a.txt", text_of("hello"), "is no transform of ITK, FSL, FreeSurfer"),
    "empty": ("a.mat", text_of(""), "is empty. Fetch it again"),
    "no line": ("a.mat", text_of("\n"), "is no transform of ITK"),
    "angles": (
        "a.txt",
        lambda p: write_itk_text(p, kind="Euler3DTransform_double_3_3"),
        "holds a Euler3DTransform, where an affine is read",
    ),
    "several": (
        "a.txt",
        lambda p: p.write_text(write_itk_text(p).read_text() * 2),
        "should hold one transform, got 2",
    ),
    "splines": ("a.nii.gz", volume_of((3, 3, 3, 3), 2007), "coefficients of splines"),
    "no field": ("a.nii.gz", volume_of((3, 3, 3)), r"should be a field .* got shape \(3, 3, 3\)"),
    "no vector": ("a.nii", volume_of((3, 3, 3, 1, 3)), "whose intent is a vector"),
    "nan in a field": ("a.h5", holes, "displacements should be finite"),
    "splines of itk": ("a.h5", bad_composite, "Unsupported transform type.*BSpline"),
    "no hdf5": (
        "a.h5",
        lambda p: p.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(64)),
        "could not be read",
    ),
    "lta of tkregister": (
        "a.lta",
        lta_of("type", 14),
        "an LTA of the type REGISTER_DAT, where .*LINEAR_RAS_TO_RAS is read. .*`lta_convert",
    ),
    "lta of lengths": ("a.lta", lta_of("type", 2), "of the type LINEAR_PHYSVOX_TO_PHYSVOX"),
    "lta of no type": ("a.lta", lta_of("type", 3), "an LTA of the type 3, where"),
    "lta of two": ("a.lta", lta_of("nxforms", 2), "should hold one transform, got nxforms = 2"),
    "cut": ("a.lta", lambda p: p.write_text(write_lta(p).read_text()[:200]), "could not be read"),
}


@pytest.mark.parametrize("case", FILES)
def test_files_that_are_no_transforms(tmp_path, case):
    name, write, message = FILES[case]
    write(tmp_path / name)
    with pytest.raises(ai.AtlasFileError, match=message) as caught:
        moved(ai.Transform(tmp_path / name, **FSL))
    assert str(tmp_path / name) in str(caught.value)


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ("there-is-none.h5", ai.AtlasFileError, "there-is-none.h5: no such file"),
        ([], ValueError, "`transform` is an empty list"),
        (3, TypeError, "`transform` should be a path, a Transform or a list of these, got int"),
        ([None], TypeError, "`transform` should be a path.* got NoneType"),
    ],
)
def test_what_is_no_transform(given, error, message):
    with pytest.raises(error, match=message):
        unchecked(moved)(given)


def test_a_transform_of_no_path():
    wrong = ai.Transform("a.txt")
    # As users make it, whose types nothing checks.
    object.__setattr__(wrong, "path", 3)
    with pytest.raises(TypeError, match="`transform` should be of a path, got int"):
        unchecked(moved)(wrong)


def test_text_is_no_direction(tmp_path):
    wrong = ai.Transform(write_itk_text(tmp_path / "a.txt"))
    object.__setattr__(wrong, "inverse", "no")
    with pytest.raises(TypeError, match="`inverse` should be True or False, got 'no'"):
        unchecked(moved)(wrong)


@pytest.mark.parametrize("name", ["reference", "moving"])
def test_fsl_needs_its_images(tmp_path, name):
    path = write_fsl_matrix(tmp_path / "a.mat")
    given = {key: value for key, value in FSL.items() if key != name}
    with pytest.raises(
        ValueError, match=rf"`{name}` is not given; pass `ai.Transform\(.*a.mat', ref"
    ):
        moved(ai.Transform(path, **given))
    with pytest.raises(TypeError, match=f"`{name}` should be an image of a volume, got int"):
        moved(ai.Transform(path, **{**FSL, name: 3}))


def test_images_of_fsl_are_files_and_atlases(tmp_path):
    image = tmp_path / "person.nii.gz"
    nb.save(nb.Nifti1Image(np.zeros(PERSON_GRID.shape, np.int8), PERSON), image)
    path = write_fsl_matrix(tmp_path / "a.mat")
    atlas = moved(ai.Transform(path, reference=image, moving=phantom()))
    assert agreement(atlas, expected()) > 0.999


def test_a_field_has_no_inverse(tmp_path):
    path = write_itk_field(tmp_path / "a.nii.gz")
    with pytest.raises(ValueError, match="is no matrix, of which alone an inverse is taken"):
        moved(ai.Transform(path, inverse=True))


def test_nothing_left_is_refused(tmp_path):
    away = write_itk_text(tmp_path / "a.txt", nb.affines.from_matvec(np.eye(3), [500, 0, 0]))
    with pytest.raises(ValueError, match="no parcel of 'octants' lies in the target after a.txt"):
        moved(away)


def test_surfaces_have_no_transform(tmp_path):
    atlas, path = mixed_atlas(), write_itk_text(tmp_path / "a.txt")
    with pytest.raises(ValueError, match="`transform` moves grids, but 'cortex_L' of 'mixed'"):
        ai.resample(atlas, atlas, transform=path, space="test")
    sphere = tmp_path / "lh.sphere"
    nb.freesurfer.write_geometry(sphere, np.eye(3), np.array([[0, 1, 2]]))
    with pytest.raises(ValueError, match="`transform` moves grids, but 'cortex_L' of 'mixed'"):
        ai.resample(atlas.select(compartments="cortex_L"), sphere, transform=path, space="test")


@pytest.mark.parametrize("kind", ["itk", "lta", "antsComposite"])
def test_real_affines(kind):
    """Against nitransforms' own reading of the files that it comes with."""
    from nitransforms.linear import Affine
    from nitransforms.manip import load

    name = {
        "itk": "affine-RAS.itk.tfm",
        "lta": "bold-to-t1w.v2v.lta",
        "antsComposite": "affine-antsComposite.h5",
    }[kind]
    path = package_file("nitransforms", f"nitransforms/tests/data/{name}")
    points = np.random.default_rng(0).normal(size=(50, 3)) * 40
    ours = read_chain(path, name="a", space="x", goal="", stated=None).points(points)
    theirs = (
        load(path, fmt=None) if kind == "antsComposite" else Affine.from_filename(path, fmt=kind)
    )
    np.testing.assert_allclose(ours, theirs.map(points), atol=1e-4)


@pytest.mark.sweep
def test_a_real_warp_of_fsl():
    """At the centres of its voxels, where nothing is interpolated, of images with one grid."""
    path = package_file(
        "nitransforms", "nitransforms/tests/data/ds-005_sub-01_from-OASIS_to-T1_warp_fsl.nii.gz"
    )
    image = nb.load(path)
    grid = ai.VolumeGrid(image.shape[:3], image.affine)
    chain = read_chain(
        ai.Transform(path, moving=grid), name="a", space="OASIS", goal="T1", stated=None
    )
    some = np.random.default_rng(0).choice(grid.n_locations, 100, replace=False)
    points = grid.coordinates[some]
    # Along x FSL counts from the other end in images that are not mirrored.
    shifts = np.asarray(image.dataobj).reshape(-1, 3)[some] * [-1, 1, 1]
    np.testing.assert_allclose(chain.points(points), points + shifts, atol=1e-4)


def test_without_the_package(tmp_path, monkeypatch):
    import importlib

    real = importlib.import_module

    def missing(name, *rest):
        if name.startswith("nitransforms"):
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(importlib, "import_module", missing)
    path = write_itk_text(tmp_path / "a.txt")
    with pytest.raises(ValueError, match=r"needs the package nitransforms; install it by `pip ins"):
        moved(path)
