"""Several files of labels are one atlas with all parcels; masks and weights are a map each."""

import nibabel as nb
import numpy as np
import pytest
from helpers_cli import run_cli

import atlasinit as ai

SHAPE = (8, 8, 8)
AFFINE = np.diag([2.0, 2, 2, 1])
LEFT, RIGHT = np.zeros((2, *SHAPE), np.int16)
LEFT[0:2, :4], LEFT[0:2, 4:] = 1, 2
RIGHT[5:7, :4], RIGHT[5:7, 4:] = 1, 2
STEM = np.zeros(SHAPE, np.int16)
STEM[3] = 7
BOLD = np.random.default_rng(0).normal(100, 5, (*SHAPE, 5)).astype(np.float32)


def nifti(values, affine=AFFINE):
    return nb.Nifti1Image(values, affine)


def save(folder, name, values, affine=AFFINE):
    image = nifti(values, affine)
    if name.endswith(".mgz"):
        image = nb.MGHImage(values, affine.astype(np.float32))
    nb.save(image, folder / name)
    return folder / name


def load(files, **options):
    return ai.load_atlas(files, space="x", **options)


def means(*regions):
    return [BOLD[region].mean(axis=0, dtype=np.float64) for region in regions]


FOUR = means(LEFT == 1, LEFT == 2, RIGHT == 1, RIGHT == 2)


def check_means(atlas, expected):
    assert isinstance(atlas.maps["volume"], ai.HardMaps)
    found = ai.AtlasMasker(atlas).fit_transform(nifti(BOLD))
    np.testing.assert_allclose(found.T, expected, rtol=1e-6)


NAMES = [
    ("sub-01_hemi-L_dseg.nii.gz", "sub-01_hemi-R_dseg.nii.gz"),
    ("left.nii.gz", "right.nii.gz"),
    ("front.nii", "back.nii"),
    ("lh.mgz", "rh.mgz"),
]


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int32, np.float32, np.float64])
@pytest.mark.parametrize("names", NAMES, ids=lambda names: names[0])
def test_equal_keys_of_two_files_are_distinct_parcels(tmp_path, names, dtype):
    if names[0].endswith(".mgz"):
        dtype = np.float32 if np.dtype(dtype).kind == "f" else np.int32
    files = [save(tmp_path, n, v.astype(dtype)) for n, v in zip(names, (LEFT, RIGHT), strict=True)]
    for given in (files, {"volume": files}, [nb.load(file) for file in files]):
        for options in ({}, {"kind": "hard"}):
            atlas = load(given, **options)
            check_means(atlas, FOUR)
            table = atlas.labels
            assert table["key"].tolist() == [1, 2, 11, 12]
            assert table["key_in_file"].tolist() == [1, 2, 1, 2]
            assert table["file"].tolist() == [names[0]] * 2 + [names[1]] * 2
            sided = names[0] != "front.nii"
            assert table["hemisphere"].tolist() == (["L", "L", "R", "R"] if sided else [""] * 4)
            fronts = ("L", "R") if sided else ("front", "back")
            assert table["name"].tolist() == [f"{f}_label-{k}" for f in fronts for k in (1, 2)]


def test_files_that_memory_alone_holds_are_counted():
    atlas = load([nifti(LEFT), nifti(RIGHT)])
    check_means(atlas, FOUR)
    assert atlas.labels["file"].tolist() == ["image-1", "image-1", "image-2", "image-2"]
    with pytest.raises(ValueError, match="number 1 of the list and in memory, number 2 of the"):
        load([nifti(LEFT), nifti(LEFT)])


def test_files_of_one_name_are_told_by_their_folders(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    files = [save(tmp_path / "one", "a.nii", LEFT), save(tmp_path / "two", "a.nii", RIGHT)]
    table = load(files).labels
    assert table["file"].tolist() == ["one/a.nii"] * 2 + ["two/a.nii"] * 2
    assert table["name"].tolist() == [f"{f}_a_label-{k}" for f in ("one", "two") for k in (1, 2)]


def test_ids_that_leave_no_room_above(tmp_path):
    left, right = (np.where(p > 0, p.astype(np.int32) + 614454276, 0) for p in (LEFT, RIGHT))
    stem = np.where(STEM > 0, np.int32(614454277), np.int32(0))
    named = zip("abc", (left, right, stem), strict=True)
    files = [save(tmp_path, f"{name}.nii", part) for name, part in named]
    check_means(load(files[:2]), FOUR)
    atlas = load(files)
    check_means(atlas, [*FOUR, *means(STEM == 7)])
    assert len(set(atlas.labels["key"])) == 5


def test_negative_labels_in_a_list_are_refused(tmp_path):
    other = np.where(LEFT > 0, LEFT, -1).astype(np.int16)
    files = [save(tmp_path, "a.nii", other), save(tmp_path, "b.nii", RIGHT)]
    with pytest.raises(ValueError, match="both have labels at"):
        load(files)
    other[RIGHT > 0] = 0
    files[0] = save(tmp_path, "a.nii", other)
    with pytest.raises(ValueError, match=r"negative, got the keys -1; .*`background`"):
        load(files)
    check_means(load(files, background=[0, -1]), FOUR)


def test_keys_that_differ_stay_and_need_no_second_column(tmp_path):
    right = np.where(RIGHT > 0, RIGHT + 300, 0).astype(np.int16)
    atlas = load([save(tmp_path, "a.nii", LEFT), save(tmp_path, "b.nii", right)])
    check_means(atlas, FOUR)
    assert atlas.labels["key"].tolist() == [1, 2, 301, 302]
    assert atlas.labels["name"].tolist() == ["label-1", "label-2", "label-301", "label-302"]
    assert "key_in_file" not in atlas.labels
    names = {1: "A", 2: "B", 301: "C", 302: "D"}
    named = load([tmp_path / "a.nii", tmp_path / "b.nii"], labels=names)
    assert named.labels["name"].tolist() == ["A", "B", "C", "D"]
    with pytest.raises(ValueError, match=r"1 of 4 keys .*volume: 302"):
        load([tmp_path / "a.nii", tmp_path / "b.nii"], labels={1: "A", 2: "B", 301: "C"})


def test_a_table_names_the_keys_of_each_file(tmp_path):
    files = [save(tmp_path, "left.nii", LEFT), save(tmp_path, "right.nii", RIGHT)]
    atlas = load(files, labels={1: "head", 2: "body", 3: "foot"})
    assert atlas.labels["name"].tolist() == ["L_head", "L_body", "R_head", "R_body", "foot"]
    assert atlas.labels["key"].tolist() == [1, 2, 11, 12, 3]
    assert atlas.labels["empty"].tolist() == [False] * 4 + [True]
    check_means(atlas.drop_empty(), FOUR)


def test_the_tables_beside_the_files(tmp_path):
    files = [save(tmp_path, "left.nii", LEFT), save(tmp_path, "right.nii", RIGHT)]
    (tmp_path / "left.tsv").write_text("index\tname\n1\thead\n2\tbody\n")
    (tmp_path / "right.tsv").write_text("index\tname\n1\tarm\n2\tbody\n3\tfoot\n")
    atlas = load(files)
    assert atlas.labels["name"].tolist() == ["head", "L_body", "arm", "R_body", "foot"]
    assert atlas.labels["n_locations"].tolist() == [64, 64, 64, 64, 0]
    # The same table beside two files that share its keys is one table.
    moved = np.where(RIGHT > 0, RIGHT + 2, 0).astype(np.int16)
    files = [save(tmp_path, "a.nii", LEFT), save(tmp_path, "b.nii", moved)]
    for name in ("a.tsv", "b.tsv"):
        (tmp_path / name).write_text("index\tname\n0\tnone\n1\tA\n2\tB\n3\tC\n4\tD\n")
    atlas = load(files)
    check_means(atlas, FOUR)
    assert atlas.labels["name"].tolist() == ["A", "B", "C", "D"]


def test_a_mask_beside_labels_is_a_parcel_of_its_name(tmp_path):
    files = [save(tmp_path, "cortex.nii", LEFT), save(tmp_path, "brainstem.nii", STEM)]
    atlas = load(files)
    check_means(atlas, means(LEFT == 1, LEFT == 2, STEM == 7))
    assert atlas.labels["name"].tolist() == ["label-1", "label-2", "brainstem"]


@pytest.mark.parametrize("conflicts", ["first", "last"])
def test_a_location_that_two_files_claim(tmp_path, conflicts):
    other = RIGHT.copy()
    other[1, :2] = 2
    files = [save(tmp_path, "a.nii", LEFT), save(tmp_path, "b.nii", other)]
    message = r"a\.nii and .*b\.nii both have labels at 16 voxels, 16 .*'label-1' .*'label-2'"
    with pytest.raises(ValueError, match=message + '.*conflicts="first"'):
        load(files)
    atlas = load(files, conflicts=conflicts)
    own, others = (LEFT, np.where(LEFT > 0, 0, other)), (np.where(other > 0, 0, LEFT), other)
    kept = own if conflicts == "first" else others
    check_means(atlas, means(kept[0] == 1, kept[0] == 2, kept[1] == 1, kept[1] == 2))
    assert atlas.provenance.operations == (f"conflicts({conflicts!r})",)
    assert atlas != load(files, conflicts={"first": "last", "last": "first"}[conflicts])


def test_voxels_stored_in_another_direction(tmp_path):
    flipped = AFFINE.copy()
    flipped[0, 0], flipped[0, 3] = -2, 14
    files = [save(tmp_path, "a.nii", LEFT), save(tmp_path, "b.nii", RIGHT[::-1].copy(), flipped)]
    check_means(load(files), FOUR)
    with pytest.raises(ai.AtlasFileError, match=r"c\.nii: its grid differs from that of .*a\.nii"):
        load([files[0], save(tmp_path, "c.nii", RIGHT, np.diag([3.0, 3, 3, 1]))])


def test_background_and_nan_are_no_claims(tmp_path):
    filled = np.where(LEFT > 0, LEFT, 9).astype(np.int16)
    files = [save(tmp_path, "a.nii", filled), save(tmp_path, "b.nii", RIGHT)]
    for background in (9, [0, 9]):
        check_means(load(files, background=background), FOUR)
    missing = np.where(LEFT > 0, LEFT, np.nan).astype(np.float32)
    files[0] = save(tmp_path, "c.nii", missing)
    check_means(load(files, nan="zero"), FOUR)
    named = {1: "A", 2: "B", 9: "elsewhere"}
    atlas = load([tmp_path / "a.nii", files[1]], labels=named, background=["elsewhere"])
    check_means(atlas.select(parcels=[1, 2, 11, 12]), FOUR)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize("values", [(1, 1, 1), (2, 3, 255), (255, 255, 255)])
def test_masks_are_maps_whatever_their_one(tmp_path, dtype, values):
    regions = [LEFT == 1, RIGHT > 0, LEFT > 0]  # of which two overlap
    files = [
        save(tmp_path, f"{name}.nii.gz", (region * value).astype(dtype))
        for name, region, value in zip("abc", regions, values, strict=True)
    ]
    atlas = load(files)
    assert atlas.labels["name"].tolist() == ["a", "b", "c"]
    (grid,), (weights,) = atlas.geometry.values(), atlas.to_dense().values()
    np.testing.assert_array_equal(np.moveaxis(grid.put(weights.T), -1, 0), regions)
    told = ", ".join(str(v) for v in sorted({v for v in values if v != 1}))
    assert atlas.provenance.operations == ((f"binarize({told})",) if told else ())
    assert isinstance(load(files[:2]).maps["volume"], ai.HardMaps)


def test_a_table_may_name_masks_by_their_values(tmp_path):
    files = [
        save(tmp_path, f"{k}.nii", (k * (part > 0)).astype(np.int16))
        for k, part in ((23, RIGHT), (17, LEFT))
    ]
    atlas = load(files, labels={17: "left", 23: "right", 40: "stem"})
    assert atlas.labels.set_index("name")["n_locations"].to_dict() == {
        "left": 128,
        "right": 128,
        "stem": 0,
    }
    check_means(atlas.select(parcels=["left", "right"]), means(LEFT > 0, RIGHT > 0))
    by_order = load(files, labels={1: "first", 2: "second"})
    check_means(by_order, means(RIGHT > 0, LEFT > 0))


def test_what_nilearn_computes(tmp_path):
    from nilearn.maskers import NiftiLabelsMasker

    files = [save(tmp_path, "left.nii", LEFT), save(tmp_path, "right.nii", RIGHT)]
    together = nifti(np.where(RIGHT > 0, RIGHT + 2, LEFT).astype(np.int16))
    expected = NiftiLabelsMasker(together, standardize=None).fit_transform(nifti(BOLD))
    found = ai.AtlasMasker(load(files)).fit_transform(nifti(BOLD))
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_labels_beside_weights_are_refused(tmp_path):
    soft = np.random.default_rng(1).random(SHAPE, dtype=np.float32)
    files = [save(tmp_path, "a.nii", LEFT), save(tmp_path, "b.nii", soft)]
    with pytest.raises(
        ValueError, match=r"a\.nii hold labels, .*b\.nii weights; .*`atlasinit.join`"
    ):
        load(files)
    with pytest.raises(ai.AtlasFileError, match=r"b\.nii: labels should be whole numbers"):
        load(files, kind="hard")
    assert load(files, kind="maps", scale=1).n_parcels == 2


def halves(n=642):
    front = np.arange(n) // 100
    front[front > 3] = 0
    back = np.where(np.arange(n) >= 500, 1 + (np.arange(n) >= 600), 0)
    return front.astype(np.int32), back.astype(np.int32)


def label_gii(values):
    return nb.GiftiImage(
        darrays=[nb.gifti.GiftiDataArray(values, intent="NIFTI_INTENT_LABEL")],
        meta=nb.gifti.GiftiMetaData(AnatomicalStructurePrimary="CortexLeft"),
    )


@pytest.mark.parametrize("form", ["gifti", "annot", "text", "array", "mgz"])
def test_labels_of_one_mesh_in_several_files(tmp_path, form):
    def held(name, values):
        if form == "array":
            return values
        path = tmp_path / f"lh.{name}.{ {'gifti': 'label.gii', 'text': 'txt'}.get(form, form) }"
        if form == "gifti":
            nb.save(label_gii(values), path)
        elif form == "annot":
            colors = np.array([[0, 0, 0, 0], *([50 * k, 9, 9, 0] for k in (1, 2, 3))])
            nb.freesurfer.write_annot(path, values, colors, ["unknown", "p1", "p2", "p3"])
        elif form == "mgz":
            nb.save(nb.MGHImage(values.reshape(-1, 1, 1), np.eye(4, dtype=np.float32)), path)
        else:
            np.savetxt(path, values, fmt="%d")
        return path

    front, back = halves()
    atlas = load({"cortex_L": [held("front", front), held("back", back)]})
    dense = atlas.to_dense()["cortex_L"]
    expected = [front == k for k in (1, 2, 3)] + [back == k for k in (1, 2)]
    found = {key: row for key, row in zip(atlas.labels["key"], dense, strict=True)}
    for key, row in zip((1, 2, 3, 11, 12), expected, strict=True):
        np.testing.assert_array_equal(found[key], row)
    with pytest.raises(ValueError, match="both have labels at 400 vertices|at 300 vertices"):
        load({"cortex_L": [held("front", front), held("same", front)]})


def test_the_command_line(tmp_path, capsys):
    other = RIGHT.copy()
    other[1, :2] = 2
    files = [save(tmp_path, "a.nii", LEFT), save(tmp_path, "b.nii", other)]
    status, _, told = run_cli(capsys, "show", *files, "--space", "x")
    assert status == 2
    assert "--conflicts first" in told
    assert "both have labels at 16 voxels" in told
    status, *_ = run_cli(
        capsys, "build", *files, "--space", "x", "--conflicts", "last", "-o", tmp_path / "c.npz"
    )
    assert status == 0
    assert ai.load_atlas(tmp_path / "c.npz") == load(files, conflicts="last")
