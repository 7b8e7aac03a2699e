"""Names that mean no parcel, in every spelling and every format."""

import nibabel as nb
import numpy as np
import pytest
from helpers_io import save_image
from nibabel.cifti2 import BrainModelAxis, Cifti2Image, LabelAxis

import atlasinit as ai
from atlasinit.io.background import means_background

NONE = (
    *("unknown", "Unknown", "unknown-lh", "lh.unknown", "ctx-lh-unknown", "ctx_rh_Unknown"),
    *("???", "L_???", "?", "*.*.*.*.*", "---", "NONE", "None", "Background", "BACKGROUND"),
    *("MEDIAL.WALL", "MedialWall", "medial wall", "Medial_Wall", "L_Medial_wall", "medialwall-rh"),
    *("Background+FreeSurfer_Defined_Medial_Wall", "FreeSurfer_Defined_Medial_Wall"),
    *("Clear Label", "clear_label"),
)
AT_ZERO = (
    "0",
    "n/a",
    "label-0",
    "label-1",
    "Unclassified",
    "unassigned",
    "outside",
    "",
    "no label",
)
REGIONS = (
    *("V1", "L", "R", "Left", "lh", "unknown region", "background activity", "medial wall border"),
    *("A", "nonesuch", "left V1", "region0"),
)


@pytest.mark.parametrize("name", NONE)
def test_names_of_the_background(name):
    assert means_background(name, is_surface=False)
    assert means_background(name, is_surface=True, key=7)


@pytest.mark.parametrize("name", AT_ZERO)
def test_names_of_the_background_at_key_0(name):
    assert means_background(name, is_surface=False, key=0)
    assert not means_background(name, is_surface=False, key=7)


@pytest.mark.parametrize("name", REGIONS)
def test_names_of_regions(name):
    assert not means_background(name, is_surface=True, key=0)
    assert not means_background(name, is_surface=False, key=7)


def test_the_callosum_is_a_region_of_volumes_alone():
    for name in ("corpuscallosum", "Corpus_callosum", "ctx-lh-corpuscallosum"):
        assert means_background(name, is_surface=True)
        assert not means_background(name, is_surface=False)


KEYS = np.array([0, 0, 1, 2, 2, 2], np.int32)


def gifti(path, names):
    table = nb.gifti.GiftiLabelTable()
    for key, name in names.items():
        label = nb.gifti.GiftiLabel(key, 0.1 * key, 0.5, 0.5, 1.0)
        label.label = name
        table.labels.append(label)
    data = nb.gifti.GiftiDataArray(KEYS, intent="NIFTI_INTENT_LABEL")
    nb.save(nb.GiftiImage(labeltable=table, darrays=[data]), path)
    return path


def cifti(path, names):
    labels = {key: (name, (0.1 * key, 0.5, 0.5, 1.0)) for key, name in names.items()}
    brain = BrainModelAxis.from_mask(np.ones(KEYS.size, bool), name="CortexLeft")
    image = Cifti2Image(KEYS[None].astype(np.float32), header=(LabelAxis(["x"], [labels]), brain))
    image.nifti_header.set_intent("NIFTI_INTENT_CONNECTIVITY_DENSE_LABELS")
    nb.save(image, path)
    return path


def annot(path, names):
    colors = np.array([[10 * key + 1, 9, 8, 0] for key in names])
    nb.freesurfer.write_annot(path, KEYS, colors, list(names.values()), fill_ctab=True)
    return path


FORMATS = {"lh.x.label.gii": gifti, "x.dlabel.nii": cifti, "lh.x.annot": annot}


@pytest.mark.parametrize("file", FORMATS)
@pytest.mark.parametrize(
    ("zero", "kept"),
    [
        ("V1", [0, 1, 2]),
        ("MEDIAL.WALL", [1, 2]),
        ("MedialWall", [1, 2]),
        ("unknown-lh", [1, 2]),
        ("NONE", [1, 2]),
        ("???", [1, 2]),
        ("n/a", [1, 2]),
    ],
)
def test_key_0_is_a_region_where_it_is_named_as_one(tmp_path, file, zero, kept):
    path = FORMATS[file](tmp_path / file, {0: zero, 1: "A", 2: "B"})
    atlas = ai.load_atlas(path, space="x")
    assert atlas.labels["key"].tolist() == kept
    counts = np.bincount(KEYS)
    assert atlas.labels["n_locations"].tolist() == [counts[key] for key in kept]


@pytest.mark.parametrize("file", FORMATS)
def test_the_wall_may_have_another_key(tmp_path, file):
    path = FORMATS[file](tmp_path / file, {0: "V1", 1: "MEDIAL.WALL", 2: "B"})
    assert ai.load_atlas(path, space="x").labels["name"].tolist() == ["V1", "B"]


NAMES = [f"region{i}" for i in range(6)]


def image(tmp_path, keys):
    values = np.zeros((7, 3, 3), np.int16)
    values[1 : len(keys) + 1] = np.array(keys)[:, None, None]
    return save_image(tmp_path / "a.nii", values)


@pytest.mark.parametrize(
    ("keys", "table"),
    [
        (range(1, 6), dict(enumerate(NAMES))),  # the image lacks its last label
        (range(1, 7), {i: n for i, n in enumerate(NAMES) if i != 2}),  # the table lacks a row
        (range(1, 7), dict(enumerate(NAMES))),
        (range(1, 3), dict(enumerate(NAMES))),
    ],
)
def test_a_table_from_0_beside_an_image_from_1_is_refused(tmp_path, keys, table):
    path = image(tmp_path, list(keys))
    for unlisted in ("error", "name"):
        with pytest.raises(ValueError, match="names key 0 'region0'.* add 1 to its keys"):
            ai.load_atlas(path, space="x", labels=table, unlisted=unlisted)
    moved = {key + 1: name for key, name in table.items()}
    atlas = ai.load_atlas(path, space="x", labels=moved, unlisted="name")
    named = dict(zip(atlas.labels["key"], atlas.labels["name"], strict=True))
    assert {k: n for k, n in named.items() if not n.startswith("label-")} == moved


def test_the_other_ways_out_of_a_region_called_0(tmp_path):
    path, table = image(tmp_path, [1, 2]), {0: "Hintergrund", 1: "A", 2: "B"}
    with pytest.raises(ValueError, match=r"pass background=\[0\], or background=\(\) if"):
        ai.load_atlas(path, space="x", labels=table)
    assert ai.load_atlas(path, space="x", labels=table, background=[0]).n_parcels == 2
    assert ai.load_atlas(path, space="x", labels=table, background=()).n_parcels == 3


def test_maps_and_a_table_of_one_more_are_refused(tmp_path):
    maps = np.random.default_rng(0).uniform(0.1, 0.9, (3, 3, 3, 4)).astype(np.float32)
    path = save_image(tmp_path / "a.nii", maps)
    with pytest.raises(
        ValueError, match="names key 0 'region0', but the image's maps are numbered"
    ):
        ai.load_atlas(path, space="x", labels=dict(enumerate(NAMES[:5])))
    assert ai.load_atlas(path, space="x", labels=dict(enumerate(NAMES[:4]))).n_parcels == 4


COLUMNS = {
    "index from 0": ("index,name,value\n0,A,1\n1,B,2\n2,C,3\n", "labels(key='value')"),
    "row numbers": ("index,name,intensity\n1,A,10\n2,B,20\n3,C,30\n", "labels(key='intensity')"),
    "AAL's code in front": ("10\tA\t1\n20\tB\t2\n30\tC\t3\n", "labels(key='column_2')"),
    "KEYVALUE beside INDEX": ("INDEX,KEYVALUE,LABEL\n3,1,A\n1,2,B\n2,3,C\n", None),
    "the usual one fits": ("index,name,value\n1,A,7\n2,B,8\n3,C,9\n", None),
}


@pytest.mark.parametrize("case", COLUMNS)
def test_of_two_columns_of_keys_the_one_that_fits_the_data_is_taken(tmp_path, case):
    text, operation = COLUMNS[case]
    keys = [10, 20, 30] if case == "row numbers" else [1, 2, 3]
    (tmp_path / "t.csv").write_text(text)
    atlas = ai.load_atlas(image(tmp_path, keys), space="x", labels=tmp_path / "t.csv")
    assert dict(zip(atlas.labels["key"], atlas.labels["name"], strict=True)) == dict(
        zip(keys, "ABC", strict=True)
    )
    assert (operation in atlas.provenance.operations) == (operation is not None)
