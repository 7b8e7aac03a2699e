"""Files checked before they are used: each oddity by a file that has it, and files without any."""

import gzip
import json
import re

import nibabel as nb
import numpy as np
import pytest
from helpers_cli import run_cli

import atlasinit as ai

AFFINE = np.array([[-2.0, 0, 0, 10], [0, 2, 0, -8], [0, 0, 2, -6], [0, 0, 0, 1]])
NAME = "space-MNI152NLin6Asym_dseg.nii.gz"


def labels():
    values = np.zeros((10, 8, 6), np.int16)
    values[1:4, 1:4, 1:4] = 1  # x = 4 to 8 mm
    values[6:9, 1:4, 1:4] = 2  # x = -6 to -2 mm
    return values


def save(path, values=None, *, affine=AFFINE, form=("mm", "sec"), label=True):
    values = labels() if values is None else values
    image = nb.Nifti1Image(values, affine)
    image.header.set_xyzt_units(*form)
    image.set_sform(affine, 1)
    image.set_qform(affine, 1)
    if label:
        image.header.set_intent("label")
    nb.save(image, path)
    return path


TABLE = "index\tname\tcolor\n1\tR_box\t#ff0000\n2\tL_box\t#00ff00\n"


@pytest.fixture
def folder(tmp_path):
    """A folder for an image with the table of two parcels beside it."""
    (tmp_path / "space-MNI152NLin6Asym_dseg.tsv").write_text(TABLE)
    return tmp_path


def told(report):
    return [(f.level, f.about) for f in report.findings]


def text_of(report, level):
    return " ".join(f.text for f in report.findings if f.level == level)


def test_nothing_odd(folder):
    report = ai.check_file(save(folder / NAME, affine=AFFINE * [[-1], [1], [1], [1]]))
    # The table's sides are then those of the other hemisphere.
    assert report.status == 1
    report = ai.check_file(save(folder / NAME))
    assert (report.status, report.kind, told(report)) == (0, "atlas", [("note", "orientation")])
    assert report.read["parcels"] == 2
    assert report.read["names"] == ["R_box", "L_box"]
    assert report.stated["space"] == "MNI152NLin6Asym"
    assert report.stored["axes"] == "LAS"
    assert report.stored["shape"] == [10, 8, 6]
    assert "nothing odd" not in str(report)


def change(**changed):
    values = labels()
    for at, value in changed.items():
        spot = tuple(map(int, at[1:].split("_")))
        values[spot] = value
    return values


ODD = {
    "isolated voxel": ({"values": change(p9_7_5=1)}, "parcels", r"1 locations lie apart .*R_box"),
    "key without a name": ({"values": change(p1_1_1=7)}, "names", "have no entry .volume: 7"),
    "tiny parcel": (
        {
            "values": np.where(
                change(p8_1_1=9) == 9, np.int16(2), np.where(labels() == 2, np.int16(0), labels())
            )
        },
        "parcels",
        "fewer",
    ),
    "empty parcel": ({"values": np.where(labels() == 2, 0, labels())}, "parcels", "without any"),
    "float with NaN": (
        {"values": np.where(labels() == 2, 2, np.where(labels(), 1, np.nan)).astype(np.float32)},
        "values",
        "NaN",
    ),
    "no unit": ({"form": (0, 0)}, "units", "taken for mm"),
    "two levels": ({"values": np.stack([labels(), labels() * 3], -1)}, "values", "map"),
    "the other side": ({"affine": AFFINE * [[-1], [1], [1], [1]]}, "parcels", "other hemisphere"),
}


@pytest.mark.parametrize("case", ODD)
def test_an_oddity_is_found(folder, case):
    how, about, pattern = ODD[case]
    report = ai.check_file(save(folder / NAME, **how))
    found = [f for f in report.findings if f.about == about]
    assert found, str(report)
    assert any(re.search(pattern, f.text) for f in found), str(report)
    assert report.status == (found[0].level == "warning")


def test_labels_through_a_scale(folder):
    path = save(folder / NAME.removesuffix(".gz"), labels() * 2)
    stored = bytearray(path.read_bytes())
    # scl_slope: https://nifti.nimh.nih.gov/nifti-1/documentation/nifti1fields
    stored[112:116] = np.float32(0.5).tobytes()
    path.write_bytes(stored)
    report = ai.check_file(path)
    assert "a scale (slope 0.5, intercept 0)" in text_of(report, "warning")
    assert report.read["parcels"] == 2


def test_forms_that_disagree_and_axes_that_are_turned(folder):
    image = nb.Nifti1Image(labels(), AFFINE)
    turned = AFFINE.copy()
    angle = np.radians(10)
    turn = [[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]]
    turned[:3, :3] = turn @ AFFINE[:3, :3]
    image.set_sform(turned, 1)
    image.set_qform(AFFINE, 1)
    nb.save(image, folder / NAME)
    report = ai.check_file(folder / NAME)
    corners = np.array([[i, j, k, 1] for i in (0, 10) for j in (0, 8) for k in (0, 6)]).T
    apart = np.linalg.norm((turned - AFFINE) @ corners, axis=0).max() / 2
    assert f"{apart:.3g} voxels apart" in text_of(report, "warning")
    assert "turned by 10.0 degrees" in text_of(report, "note")


@pytest.mark.parametrize("kind", ["atlas", "data"])
def test_no_code_is_an_unknown_orientation(folder, kind):
    image = nb.Nifti1Image(labels() if kind == "atlas" else data(), AFFINE)
    image.set_sform(AFFINE, 0)
    image.set_qform(AFFINE, 0)
    path = folder / (NAME if kind == "atlas" else "space-MNI152NLin6Asym_bold.nii.gz")
    nb.save(image, path)
    report = ai.check_file(path)
    assert report.kind == kind
    assert "left and right may be swapped" in text_of(report, "warning")


def test_tables(tmp_path):
    table = tmp_path / "table.tsv"
    table.write_text("index\tname\themisphere\n0\tV1\tL\n1\tV2\tR\n5\tV2\tR\n7\tL_V3\tR\n9\tV4\t\n")
    report = ai.check_file(table)
    assert report.kind == "label table"
    assert report.read["entries"] == 5
    warned = text_of(report, "warning")
    assert "key 0 is named 'V1'" in warned
    assert "one name: 'V2'" in warned
    assert "'L_V3'" in warned
    assert "gaps" in text_of(report, "note")


def data(**places):
    values = np.random.default_rng(0).normal(size=(10, 8, 6, 5)).astype(np.float32)
    for at, value in places.items():
        values[tuple(int(i) if i != "x" else slice(None) for i in at[1:].split("_"))] = value
    return values


@pytest.mark.parametrize(
    ("values", "level", "pattern"),
    [
        (data(p0_0_0_1=np.nan), "warning", "NaN or infinity at 1 of 480 voxels"),
        (data(p0_0_0_1=np.inf), "warning", "infinity at 1 values"),
        (data(p0_0_0_x=2), "warning", "1 of 480 voxels have one value"),
        (data(p0_0_0_x=0), "note", "1 of 480 voxels are 0"),
        (data(px_x_x_3=0), "warning", "nothing but 0: 3"),
        (data(px_x_x_3=1, px_x_x_4=1), "warning", "the same as the one before: 4"),
    ],
)
def test_oddities_of_data(tmp_path, values, level, pattern):
    path = save(tmp_path / "space-MNI152NLin6Asym_bold.nii.gz", values, label=False)
    report = ai.check_file(path)
    assert report.kind == "data"
    assert report.read["time points or maps"] == 5
    assert report.stated["time step"] == "1 s"
    assert pattern in text_of(report, level), str(report)
    assert report.status == (level == "warning")


def test_what_is_told_by_numbers_alone_is_said_to_be(tmp_path):
    path = save(tmp_path / "a.nii.gz", data()[..., 0], label=False)
    report = ai.check_file(path)
    assert report.kind == "data"
    assert 'if it is an atlas, pass use="atlas"' in text_of(report, "note")
    assert ai.check_file(path, use="atlas").kind == "atlas"


def test_probabilities_may_overlap(tmp_path):
    weights = np.random.default_rng(0).random((10, 8, 6, 2)).astype(np.float32)
    report = ai.check_file(
        save(tmp_path / "space-MNI152NLin6Asym_probseg.nii.gz", weights, label=False)
    )
    assert (report.read["as"], report.status) == ("weights", 0), str(report)
    assert "overlap" in text_of(report, "note")


def test_chunks_see_what_all_at_once_would(tmp_path, monkeypatch):
    path = save(tmp_path / "a_bold.nii.gz", data(px_x_x_2=0, px_x_x_4=0, p1_1_1_x=3), label=False)
    whole = ai.check_file(path)
    monkeypatch.setattr("atlasinit.inspection.data._CHUNK", 480)
    assert [f.text for f in ai.check_file(path).findings] == [f.text for f in whole.findings]


def test_a_damaged_file_and_what_is_none(tmp_path):
    whole = save(tmp_path / NAME, np.random.default_rng(0).integers(0, 9, (10, 8, 6), np.int16))
    (tmp_path / "cut.nii.gz").write_bytes(whole.read_bytes()[:-200])
    stored = bytearray(whole.read_bytes())
    stored[-6] ^= 0xFF  # within the checksum
    (tmp_path / "sum.nii.gz").write_bytes(stored)
    (tmp_path / "text.nii.gz").write_bytes(gzip.compress(b"no image" * 100))
    for name in ("cut.nii.gz", "sum.nii.gz", "text.nii.gz", "absent.nii.gz"):
        report = ai.check_file(tmp_path / name)
        assert report.status == 2, name
        assert report.findings[0].level == "error"
    with pytest.raises(ValueError, match="should be 'atlas' or 'data'"):
        ai.check_file(whole, use="atlass")
    with pytest.raises(ValueError, match="should be at least one file"):
        ai.check_files([])


def test_gifti_whose_name_says_another_side(tmp_path):
    array = nb.gifti.GiftiDataArray(
        np.repeat([0, 1, 2], [10, 16, 16]).astype(np.int32), intent="NIFTI_INTENT_LABEL"
    )
    table = nb.gifti.GiftiLabelTable()
    for key, name in enumerate(["???", "R_A", "R_B"]):
        entry = nb.gifti.GiftiLabel(key, 1, 0, 0, 1)
        entry.label = name
        table.labels.append(entry)
    meta = nb.gifti.GiftiMetaData({"AnatomicalStructurePrimary": "CortexRight"})
    image = nb.gifti.GiftiImage(meta=meta, labeltable=table, darrays=[array])
    path = tmp_path / "tpl-fsaverage_hemi-L_x.label.gii"
    nb.save(image, path)
    report = ai.check_file(path)
    assert report.read["compartments"] == {"cortex_R": "2 parcels on 42 vertices"}
    assert "its name says left" in text_of(report, "warning")
    assert report.status == 1


def test_surfaces(tmp_path):
    points = np.array([[1.0, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0], [0, 0, 1], [0, 0, -1]]) * 50
    faces = np.array(
        [[0, 2, 4], [2, 1, 4], [1, 3, 4], [3, 0, 4], [2, 0, 5], [1, 2, 5], [3, 1, 5], [0, 3, 5]]
    )
    path = tmp_path / "x.L.surf.gii"
    for changed, level, pattern in [
        (faces, "note", None),
        (faces[1:], "note", "3 edges are not of two triangles"),
        (np.where(faces == 5, 9, faces), "warning", "vertices 0 to 9, where there are 6"),
    ]:
        image = nb.gifti.GiftiImage(
            darrays=[
                nb.gifti.GiftiDataArray(points.astype(np.float32), "NIFTI_INTENT_POINTSET"),
                nb.gifti.GiftiDataArray(changed.astype(np.int32), "NIFTI_INTENT_TRIANGLE"),
            ]
        )
        nb.save(image, path)
        report = ai.check_file(path)
        assert report.kind == "surface"
        assert report.read["shape"] == "a sphere of radius 50 mm"
        assert pattern is None or pattern in text_of(report, level), str(report)
        assert pattern or report.findings == ()


def test_several_files(folder, capsys):
    atlas = save(folder / NAME)
    bold = save(folder / "space-MNI152NLin6Asym_bold.nii.gz", data(), label=False)
    other = save(folder / "space-MNI152NLin2009cAsym_bold.nii.gz", data(), label=False)
    moved = AFFINE.copy()
    moved[0, 3] += 1
    shifted = save(folder / "a_bold.nii.gz", data(), label=False, affine=moved)
    table = folder / "space-MNI152NLin6Asym_dseg.tsv"
    report = ai.check_files([atlas, bold, other, shifted, table])
    # Of the data with each other after those of the atlas.
    assert [f.level for f in report.together] == [
        *("note", "warning", "warning", "note"),
        *("warning", "warning", "warning"),
    ]
    texts = [f.text for f in report.together]
    assert "lie on the grid or mesh" in texts[0]
    assert "'MNI152NLin2009cAsym'" in texts[1]
    assert "another grid" in texts[2]
    assert "names every label" in texts[3]
    status, out, err = run_cli(capsys, "check", atlas, bold, "--json")
    assert not err, err
    shown = json.loads(out)
    assert (status, shown["status"]) == (0, 0)
    assert shown["files"][0]["read"]["parcels"] == 2
    status, out, _ = run_cli(capsys, "check", folder / "absent.nii")
    assert (status, "no such file" in out) == (2, True)
    # The words of the command line in place of Python's.
    (folder / "plain.nii.gz").write_bytes(atlas.read_bytes())
    status, out, _ = run_cli(capsys, "check", folder / "plain.nii.gz")
    assert status == 1
    assert "pass --space" in out
    assert "`" not in out
