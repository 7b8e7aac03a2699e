"""What files state of where they lie is compared with the atlas, whatever the format."""

import gzip
import itertools
import subprocess
import warnings

import nibabel as nb
import numpy as np
import pytest
from helpers import table
from nibabel.cifti2 import BrainModelAxis, Cifti2Image, LabelAxis, ScalarAxis, SeriesAxis
from nibabel.orientations import ornt_transform
from scipy.spatial import ConvexHull

import atlasinit as ai
from atlasinit.io import open_data

SHAPE = (4, 5, 6)
AFFINE = np.array([[-2.0, 0, 0, 9], [0, 2, 0, -7], [0, 0, 2, 3], [0, 0, 0, 1]])
N = 12
LEFT, RIGHT = "CIFTI_STRUCTURE_CORTEX_LEFT", "CIFTI_STRUCTURE_CORTEX_RIGHT"


def grid_atlas(compartment="volume", *, space="unknown"):
    labels = (np.arange(np.prod(SHAPE)) % 4 - 1).astype(np.int32)
    return ai.Atlas(
        name="vol",
        space=space,
        maps={compartment: ai.HardMaps(labels, 3)},
        geometry={compartment: ai.VolumeGrid(SHAPE, AFFINE)},
        labels=table([compartment] * 3),
    )


def cortex_atlas(space="unknown", *, soft=False):
    """Whole meshes, of which the first two vertices (the medial wall) belong to no parcel."""
    labels = np.array([-1, -1, *(np.arange(N - 2) % 2)], np.int32)
    maps = ai.HardMaps(labels, 2)
    if soft:
        maps = ai.SparseMaps.from_scipy(maps.to_scipy() * np.float32(0.5))
    return ai.Atlas(
        name="cortex",
        space=space,
        maps={"cortex_L": maps, "cortex_R": maps},
        geometry={c: ai.SurfaceMesh(N, hemisphere=c[-1]) for c in ("cortex_L", "cortex_R")},
        labels=table(["cortex_L"] * 2 + ["cortex_R"] * 2),
    )


def bold(time=3):
    return np.random.default_rng(1).normal(100, 5, (*SHAPE, time)).astype(np.float32)


def mean_of(labels, values):
    """Return the means (time, parcels) of `values` (locations, time)."""
    return np.stack([values[labels == k].mean(axis=0) for k in range(labels.max() + 1)], 1)


def dense(left, right, values, *, extra=(), axis=None):
    """Return a CIFTI image of the vertices kept on both sides, and of structures besides."""
    models = [BrainModelAxis.from_surface(left, N, LEFT)]
    models += [BrainModelAxis.from_surface(right, N, RIGHT), *extra]
    axis = axis or SeriesAxis(0, 1, len(values))
    return Cifti2Image(np.asarray(values, np.float32), header=(axis, sum(models[1:], models[0])))


TURNS = [
    (order, signs)
    for order in itertools.permutations(range(3))
    for signs in itertools.product((1, -1), repeat=3)
]


@pytest.mark.parametrize("turn", TURNS[::5])
@pytest.mark.parametrize("kind", ["image", "file"])
def test_voxels_stored_in_another_direction_are_the_same_voxels(tmp_path, turn, kind):
    # nibabel turns the array and its affine; each voxel keeps its place in the world.
    turned = nb.Nifti1Image(bold(), AFFINE).as_reoriented(np.stack(turn, axis=1))
    if kind == "file":
        nb.save(turned, tmp_path / "x.nii.gz")
        turned = tmp_path / "x.nii.gz"
    np.testing.assert_array_equal(open_data(turned, grid_atlas()).all(), bold().reshape(-1, 3))


@pytest.mark.parametrize("axes", ["LAS", "RAS", "PIR"])
def test_voxels_of_cifti_stored_in_another_direction(axes):
    atlas = grid_atlas("subcortex")
    own = nb.io_orientation(AFFINE)
    turn = ornt_transform(own, nb.orientations.axcodes2ornt(axes))
    image = nb.Nifti1Image(bold(), AFFINE).as_reoriented(turn)
    names = np.repeat(["ThalamusLeft", "ThalamusRight"], np.prod(SHAPE) // 2)
    ijk = np.argwhere(np.ones(image.shape[:3]))[::-1]
    brain = BrainModelAxis(names, voxel=ijk, affine=image.affine, volume_shape=image.shape[:3])
    values = np.asarray(image.dataobj)[tuple(ijk.T)].T
    data = Cifti2Image(values, header=(SeriesAxis(0, 1, 3), brain))
    np.testing.assert_array_equal(open_data(data, atlas).all(), bold().reshape(-1, 3))


def test_a_shifted_grid_is_another_and_its_compartment_is_named():
    moved = AFFINE.copy()
    moved[0, 3] += 1
    with pytest.raises(ValueError, match=r"of 'volume' is on another grid than 'vol'.*resample"):
        open_data(nb.Nifti1Image(bold(), moved), grid_atlas())
    # The advice can be followed.
    image = nb.Nifti1Image(bold(), moved)
    assert ai.AtlasMasker(ai.resample(grid_atlas(), image)).fit_transform(image).shape == (3, 3)


@pytest.mark.parametrize("soft", [False, True])
def test_only_locations_with_weight_have_to_be_there(soft):
    kept = np.arange(2, N)
    values = np.random.default_rng(0).normal(size=(3, 2 * kept.size)).astype(np.float32)
    source = open_data(dense(kept, kept, values), cortex_atlas(soft=soft))
    assert source.n_locations == 2 * N
    np.testing.assert_array_equal(source.outside, np.isin(np.arange(2 * N) % N, (0, 1)))
    masker = ai.AtlasMasker(cortex_atlas(soft=soft), missing="error")
    got = masker.fit_transform(dense(kept, kept, values))
    sides = np.split(values.T, 2)
    by_hand = np.concatenate([mean_of(np.arange(N - 2) % 2, side) for side in sides], axis=1)
    np.testing.assert_allclose(got, by_hand, rtol=1e-5)


def test_weighted_locations_that_data_lack_are_missing_data():
    kept = np.arange(2, N - 1)  # the last vertex is of the second parcel
    values = np.random.default_rng(0).normal(size=(3, 2 * kept.size)).astype(np.float32)
    image, atlas = dense(kept, kept, values), cortex_atlas()
    got = ai.AtlasMasker(atlas).fit_transform(image)
    assert np.isnan(got).tolist() == [[False, True, False, True]] * 3
    seen = np.concatenate(
        [mean_of(np.arange(kept.size) % 2, side) for side in np.split(values.T, 2)], axis=1
    )
    omitting = ai.AtlasMasker(atlas, missing="omit")
    np.testing.assert_allclose(omitting.fit_transform(image), seen, rtol=1e-5)
    scarce = ai.AtlasMasker(atlas, missing="omit", min_coverage=0.9)
    assert np.isnan(scarce.fit_transform(image)).tolist() == [[False, True, False, True]] * 3
    with pytest.raises(ValueError, match="holds NaN"):
        ai.AtlasMasker(atlas, missing="error").fit_transform(image)


def test_data_as_workbench_parcellates_them(tmp_path):
    kept = np.arange(2, N)
    values = np.random.default_rng(0).normal(size=(3, 2 * kept.size)).astype(np.float32)
    nb.save(dense(kept, kept, values), tmp_path / "x.dtseries.nii")
    ai.save_atlas(cortex_atlas(), tmp_path / "a.dlabel.nii")
    subprocess.run(
        ["wb_command", "-cifti-parcellate", "x.dtseries.nii", "a.dlabel.nii", "COLUMN"]
        + ["out.ptseries.nii"],
        check=True,
        cwd=tmp_path,
        capture_output=True,
    )
    theirs = nb.load(tmp_path / "out.ptseries.nii").get_fdata()
    ours = ai.AtlasMasker(cortex_atlas()).fit_transform(tmp_path / "x.dtseries.nii")
    np.testing.assert_allclose(ours, theirs, rtol=1e-5)


@pytest.mark.parametrize("missing", ["propagate", "omit"])
def test_what_lies_outside_of_data_has_no_weight_in_smoothing(missing):
    rng = np.random.default_rng(3)
    points = rng.normal(size=(N, 3))
    points *= 100 / np.linalg.norm(points, axis=1, keepdims=True)
    whole = cortex_atlas()
    faces = ConvexHull(points).simplices
    inward = np.linalg.det(points[faces]) < 0
    faces[inward] = faces[inward][:, ::-1]
    mesh = whole.geometry["cortex_L"].replace(sphere=points, faces=faces)
    whole = whole.replace(geometry={"cortex_L": mesh}).select(compartments="cortex_L")
    kept = np.arange(2, N)
    restricted = ai.Atlas(
        name="kept",
        space="unknown",
        maps={"cortex_L": ai.HardMaps((np.arange(N - 2) % 2).astype(np.int32), 2)},
        geometry={"cortex_L": mesh.restrict(kept)},
        labels=table(["cortex_L"] * 2),
    )
    values = rng.normal(size=(3, 2 * kept.size)).astype(np.float32)
    image = dense(kept, kept, values)
    series = [
        ai.AtlasMasker(atlas, smoothing_fwhm=50.0, missing=missing).fit_transform(image)
        for atlas in (whole, restricted)
    ]
    np.testing.assert_allclose(*series, rtol=1e-5)


def test_data_may_hold_more_structures_than_the_atlas():
    extra = [
        BrainModelAxis.from_surface(np.arange(7), 7, "CIFTI_STRUCTURE_CEREBELLUM"),
        BrainModelAxis.from_mask(np.ones(SHAPE, bool), affine=AFFINE, name="brain_stem"),
    ]
    values = np.random.default_rng(0).normal(size=(2, 2 * N + 7 + 120)).astype(np.float32)
    image = dense(np.arange(N), np.arange(N), values, extra=extra)
    np.testing.assert_array_equal(open_data(image, cortex_atlas()).all(), values[:, : 2 * N].T)


def test_structures_that_nibabel_does_not_know_are_named(tmp_path):
    extra = [BrainModelAxis.from_surface(np.arange(7), 7, "CIFTI_STRUCTURE_HIPPOCAMPUS_LEFT")]
    values = np.random.default_rng(0).normal(size=(2, 2 * N + 7)).astype(np.float32)
    path = tmp_path / "x.dtseries.nii"
    nb.save(dense(np.arange(N), np.arange(N), values, extra=extra), path)
    # As hippocampal surfaces of newer programs are named; the two names are of one length.
    raw = path.read_bytes()
    path.write_bytes(raw.replace(b"_HIPPOCAMPUS_LEFT", b"_DENTATEGYRUS_LEF"))
    message = r"x\.dtseries\.nii: holds structures.*: CIFTI_STRUCTURE_DENTATEGYRUS_LEF; take"
    with pytest.raises(ai.AtlasFileError, match=message):
        open_data(path, cortex_atlas())
    with pytest.raises(ai.AtlasFileError, match=message):
        ai.load_atlas(path, space="x")


def odd_cifti(folder, kind):
    """Return a CIFTI file of data that is not as it should be."""
    values = np.arange(6.0 * N).reshape(3, 2 * N).astype(np.float32)
    image = dense(np.arange(N), np.arange(N), values)
    path = folder / "x.dtseries.nii"
    if kind == "transposed":
        image = Cifti2Image(values.T, header=(image.header.get_axis(1), SeriesAxis(0, 1, 3)))
    nb.save(image, path)
    if kind == "no intent":
        raw = bytearray(path.read_bytes())
        raw[504:508] = bytes(4)  # nibabel's issue 603
        path.write_bytes(raw)
    if kind == "compressed":
        path = folder / "x.dtseries.nii.gz"
        path.write_bytes(gzip.compress((folder / "x.dtseries.nii").read_bytes()))
    if kind == "parcels":
        parcels = nb.cifti2.ParcelsAxis.from_brain_models([("a", image.header.get_axis(1))])
        path = folder / "x.ptseries.nii"
        nb.save(Cifti2Image(values[:, :1], header=(SeriesAxis(0, 1, 3), parcels)), path)
    return path


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("transposed", r"x\.dtseries\.nii: is transposed.*brain_models x series.*-cifti-transpose"),
        ("compressed", r"x\.dtseries\.nii\.gz: CIFTI-2 is never compressed; unpack it"),
        ("parcels", r"has parcels.*x\.ptseries\.nii are series x parcels.*locations that it was"),
    ],
)
def test_cifti_that_is_no_data_is_told_what_it_is(tmp_path, kind, message):
    with pytest.raises((ai.AtlasFileError, ValueError), match=message):
        open_data(odd_cifti(tmp_path, kind), cortex_atlas())


def test_the_advice_for_transposed_cifti_works(tmp_path):
    path = odd_cifti(tmp_path, "transposed")
    turned = tmp_path / "turned.dtseries.nii"
    subprocess.run(["wb_command", "-cifti-transpose", path, turned], check=True)
    assert open_data(turned, cortex_atlas()).all().shape == (2 * N, 3)


def test_a_transposed_atlas_is_told_what_it_is(tmp_path):
    brain = dense(np.arange(N), np.arange(N), np.zeros((1, 2 * N))).header.get_axis(1)
    labels = LabelAxis(["p"], [{0: ("???", (0, 0, 0, 0)), 1: ("a", (1, 0, 0, 1))}])
    image = Cifti2Image(np.ones((2 * N, 1), np.float32), header=(brain, labels))
    nb.save(image, tmp_path / "a.dlabel.nii")
    with pytest.raises(
        ai.AtlasFileError, match="is transposed: its axes are brain_models x labels"
    ):
        ai.load_atlas(tmp_path / "a.dlabel.nii", space="x")


def test_cifti_without_its_intent_code_is_read(tmp_path):
    expected = np.arange(6.0 * N).reshape(3, 2 * N).T
    path = odd_cifti(tmp_path, "no intent")
    np.testing.assert_array_equal(open_data(path, cortex_atlas()).all(), expected)


def test_a_mask_for_a_compartment_may_be_cifti(tmp_path):
    kept = np.arange(2, N)
    nb.save(dense(kept, kept, np.zeros((2, 2 * kept.size))), tmp_path / "x.dtseries.nii")
    ai.save_atlas(cortex_atlas("x"), tmp_path / "a.label.gii")
    files = [tmp_path / f"a.{side}.label.gii" for side in "LR"]
    masks = dict.fromkeys(("cortex_L", "cortex_R"), tmp_path / "x.dtseries.nii")
    atlas = ai.load_atlas(files, mask=masks)
    assert [g.vertices.tolist() for g in atlas.geometry.values()] == [kept.tolist()] * 2
    thumb = Cifti2Image(
        np.ones((1, N), np.float32),
        header=(ScalarAxis(["m"]), BrainModelAxis.from_surface(np.arange(N), N, LEFT)),
    )
    with pytest.raises(ValueError, match="of 'cortex_R' is of cortex_L"):
        ai.load_atlas(files, mask={"cortex_R": thumb})


def overlay(side):
    meta = nb.gifti.GiftiMetaData({"AnatomicalStructurePrimary": f"Cortex{side}"})
    arrays = [nb.gifti.GiftiDataArray(np.arange(N, dtype=np.float32))]
    return nb.gifti.GiftiImage(darrays=arrays, meta=meta)


@pytest.mark.parametrize("kind", ["image", "file"])
def test_data_given_for_another_side_than_they_state(tmp_path, kind):
    data, atlas = overlay("Right"), cortex_atlas().select(compartments="cortex_L")
    if kind == "file":
        nb.save(data, tmp_path / "lh.x.func.gii")
        data = tmp_path / "lh.x.func.gii"
    with pytest.raises(ValueError, match="states that it is of 'cortex_R', but is given for"):
        open_data({"cortex_L": data}, atlas)
    # Each way out that the message names.
    values = np.arange(N)[:, None]
    right = cortex_atlas().select(compartments="cortex_R")
    np.testing.assert_array_equal(open_data({"cortex_R": data}, right).all(), values)
    np.testing.assert_array_equal(open_data({"cortex_L": values}, atlas).all(), values)
    if kind == "file":
        subprocess.run(["wb_command", "-set-structure", data, "CORTEX_LEFT"], check=True)
        np.testing.assert_array_equal(open_data({"cortex_L": data}, atlas).all(), values)


@pytest.mark.parametrize(
    ("name", "stated", "disagree"),
    [
        ("lh.x.func.gii", "Right", True),
        ("sub-1_hemi-R_x.func.gii", "Left", True),
        ("x.R.shape.gii", "Left", True),
        ("rh.x.func.gii", "Right", False),
        ("x.func.gii", "Right", False),
    ],
)
def test_a_name_of_another_side_than_the_file_states_is_told(tmp_path, name, stated, disagree):
    image = overlay(stated)
    nb.save(image, tmp_path / name)
    side = stated[0]
    own = cortex_atlas().select(compartments=f"cortex_{side}")
    for use in (
        lambda: ai.load_atlas(tmp_path / name, space="s", kind="maps").compartments,
        lambda: open_data(tmp_path / name, own) and own.compartments,
    ):
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            assert use() == (f"cortex_{side}",)
        messages = [str(one.message) for one in told if "while its name says" in str(one.message)]
        assert len(messages) == disagree
        for message in messages:
            assert f"it is taken for {stated.lower()}" in message
    if disagree:
        command = ["wb_command", "-set-structure", tmp_path / name]
        subprocess.run([*command, f"CORTEX_{'RIGHT' if side == 'L' else 'LEFT'}"], check=True)
        other = "R" if side == "L" else "L"
        found = ai.load_atlas(tmp_path / name, space="s", kind="maps")
        assert found.compartments == (f"cortex_{other}",)
