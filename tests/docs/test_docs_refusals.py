"""What the pages say is refused, kept or decided is so: a sentence and what shows it, row by row."""

import re
from pathlib import Path

import nibabel as nb
import numpy as np
import pytest

import atlasinit as ai
from atlasinit.io import open_data

DOCS = Path(__file__).parents[2] / "docs"
AFFINE = np.diag([2.0, 2, 2, 1])
LABELS = np.zeros((4, 5, 6), np.int16)
LABELS[:2], LABELS[2] = 1, 2
BOLD = np.random.default_rng(0).random((*LABELS.shape, 3)).astype("f4")


def image(values=LABELS, affine=AFFINE):
    return nb.Nifti1Image(np.asarray(values), affine)


def atlas(**options):
    return ai.load_atlas(image(), **{"space": "MNI152NLin6Asym", "name": "a", **options})


def save(values, name, folder, affine=AFFINE):
    nb.save(image(values, affine), folder / name)
    return folder / name


def refused(call, match, error=ValueError):
    with pytest.raises(error, match=match):
        call()


def empty_rows(folder):
    kept = atlas(mask=LABELS == 1)
    assert kept.labels["n_locations"].tolist() == [60, 0]
    assert np.isnan(ai.project(kept, np.ones((60, 1), "f4"))[1, 0])
    assert kept.drop_empty().n_parcels == 1


def no_location(folder):
    refused(lambda: atlas(mask=LABELS == 0), "`mask` leaves no parcel of 'a' a location")
    empty = image(LABELS * 0)
    refused(lambda: ai.load_atlas(empty, space="s", labels={1: "x"}), "no parcel of .* a location")


def other_places(folder):
    a = atlas()
    other = np.diag([3.0, 3, 3, 1])
    refused(lambda: open_data(image(BOLD, other), a), r"\[3\.0, 0\.0.*where the atlas .*\[2\.0")
    left = ai.load_atlas({"cortex_L": np.arange(9) % 3}, space="s")
    refused(lambda: open_data({"cortex_L": np.ones(8)}, left), "expected 9 rows .*got")
    path = save(BOLD, "x_space-MNI152NLin2009cAsym_bold.nii.gz", folder)
    refused(lambda: open_data(path, a), "'MNI152NLin2009cAsym', but 'a' is in 'MNI152NLin6Asym'")
    assert open_data(path, a, data_space="MNI152NLin6Asym").n_time == 3
    labelled = save(LABELS, "x_dseg.nii.gz", folder)
    refused(lambda: open_data(labelled, a), 'holds labels.*reduction="mode"')
    assert open_data(labelled, a, reduction="mode").n_time == 1


def names_of_voxels(folder):
    path = save(BOLD, "x_space-MNI152NLin6Asym_res-7_bold.nii.gz", folder)
    assert open_data(path, atlas()).n_time == 3


def silent_space(folder):
    refused(lambda: ai.load_atlas(image()), "states the space; pass `?space=")
    assert ai.load_atlas(image(), space="unknown").space == "unknown"
    assert ai.load_atlas(save(LABELS, "tpl-X_dseg.nii", folder)).space == "X"
    two = [save(LABELS, f"{x}_space-{x}_dseg.nii", folder) for x in ("A", "B")]
    refused(lambda: ai.load_atlas(two, conflicts="first"), "several spaces: A, B")


def shared_keys(folder):
    both = ai.load_atlas({c: np.arange(9) % 3 for c in ("cortex_L", "cortex_R")}, space="s")
    assert both.labels["key"].tolist() == [1, 2, 1, 2]
    assert both.labels["name"].tolist() == ["L_label-1", "L_label-2", "R_label-1", "R_label-2"]


def key_of_zero(folder):
    table = {0: "front", 1: "back"}
    match = "names key 0 'front', but 0 is no parcel in an image.*add 1 to its keys"
    refused(lambda: atlas(labels=table), match)
    moved = atlas(labels={key + 1: name for key, name in table.items()})
    assert moved.labels["name"].tolist() == ["front", "back"]
    assert atlas(labels={**table, 2: "x"}, background=[0]).labels["key"].tolist() == [1, 2]


def missing_data(folder):
    x = np.ones((LABELS.size // 4 * 3, 1), "f4")
    x[:3] = np.nan
    a = atlas()
    assert np.isnan(ai.project(a, x)).tolist() == [[True], [False]]
    assert not np.isnan(ai.project(a, x, missing="omit")).any()
    refused(lambda: ai.project(a, x, missing="error"), "NaN")
    x[:35] = np.nan
    y = ai.project(a, x, missing="omit", min_coverage=0.5)
    assert np.isnan(y).tolist() == [[True], [False]]


def percent(folder):
    x, y, z = np.indices(LABELS.shape)
    fine = np.stack([3 * x + 7 * y + 11 * z + 1, 100 - (3 * x + 7 * y + 11 * z)], -1)
    for dtype in ("u1", "f4"):
        found = ai.load_atlas(image(fine.astype(dtype)), space="s")
        assert found.provenance.operations == ("scale(0.01)",)
    mask = ai.load_atlas(
        image((LABELS == 1)[..., None] * np.int16([255, 3])), space="s", kind="maps"
    )
    assert max(m.to_dense().max() for m in mask.maps.values()) == 1
    steps = image((fine // 10 * 10).astype("u1"))
    refused(
        lambda: ai.load_atlas(steps, space="s"), 'several levels.*kind="maps"', ai.AtlasFileError
    )
    assert ai.load_atlas(steps, space="s", kind="maps").provenance.operations == ("scale(0.01)",)


def lists_of_labels(folder):
    one, two = np.where(LABELS == 1, 1, 0), np.where(LABELS == 2, 5, 0)
    files = [save(v.astype("i2"), f"{i}_dseg.nii", folder) for i, v in enumerate((one, two))]
    assert ai.load_atlas(files, space="s").n_parcels == 2
    levels = image(np.stack([LABELS, LABELS * 2], -1))
    refused(lambda: ai.load_atlas(levels, space="s"), "choose one by `map`", ai.AtlasFileError)


def other_shapes(folder):
    fine = ai.VolumeGrid((8, 10, 12), np.diag([1.0, 1, 1, 1]))
    refused(lambda: open_data(image(np.ones(fine.shape), fine.affine), atlas()), "another grid")
    moved = ai.resample(atlas(), fine)
    assert set(moved.labels["key"]) == {1, 2}
    assert open_data(image(np.ones(fine.shape), fine.affine), moved).n_time == 1


def unlisted(folder):
    refused(lambda: atlas(labels={1: "x"}), "2")
    assert atlas(labels={1: "x"}, unlisted="name").labels["name"].tolist() == ["x", "label-2"]
    kept = atlas(labels={1: "x", 2: "y", 9: "z"})
    assert kept.labels["empty"].tolist() == [False, False, True]


def replaced_zero(folder):
    with pytest.warns(ai.AtlasWarning, match="`background` replaces key 0"):
        found = atlas(background=2)
    assert found.labels["key"].tolist() == [0, 1]
    assert found.provenance.operations == ("background(2)",)


SENTENCES = [
    ("faq", "Rows are never dropped.", empty_rows),
    ("faq", "A file or a mask that leaves no parcel any location is refused.", no_location),
    ("faq", "It lies on another grid, mesh, hemisphere or in another space than", other_places),
    ("faq", "The voxel size in a file's name is not looked at", names_of_voxels),
    ("faq", "atlasinit asks for `space=` where a file, its name", silent_space),
    ("faq", "a parcel is (compartment, key), and names get a prefix", shared_keys),
    ("faq", '"The table names key 0 ..." says that the table counts from 0', key_of_zero),
    ("faq", '`missing="propagate"` gives NaN to the parcels that weigh it', missing_data),
    ("faq", "both are told from the values, whether they are stored as whole numbers", percent),
    ("faq", "So do percent of at most 16 values", percent),
    ("faq", "a list of label images is one atlas", lists_of_labels),
    ("concepts", "or whose name or header states another space, is refused", other_places),
    ("concepts", "an atlas of 1 mm does not fit data of 2 mm either", other_shapes),
    ("concepts", "that has no location stays a row", empty_rows),
    ("file-formats", "a map of 0 and one other value is a mask", percent),
    (
        "file-formats",
        "several maps of whole numbers, as levels of a hierarchy, are refused",
        percent,
    ),
    ("file-formats", "Files that state several spaces are refused.", silent_space),
    ("file-formats", "a value without an entry is an error that lists them all", unlisted),
    ("file-formats", "It replaces key 0, which is said in a warning", replaced_zero),
    ("file-formats", "A mask takes locations, never a parcel", empty_rows),
    ("file-formats", 'are data for `reduction="mode"` alone', other_places),
]


@pytest.mark.parametrize(("page", "sentence", "shows"), SENTENCES)
def test_what_a_page_says_is_so(page, sentence, shows, tmp_path):
    text = re.sub(r"\s+", " ", (DOCS / f"{page}.md").read_text(encoding="utf-8"))
    assert sentence in text
    shows(tmp_path)
