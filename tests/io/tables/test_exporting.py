"""Label tables for other programs, read back by ours and by those that can be installed."""

import re
import shutil
import subprocess
import warnings

import nibabel as nb
import numpy as np
import pandas as pd
import pytest
from helpers import table
from nilearn import plotting

import atlasinit as ai
from atlasinit.io import read_table
from atlasinit.io.tables.exporting import FORMATS

KEYS = np.array([0, 3, 3, 0, 7, 7, 7, 12], np.int16).reshape(2, 2, 2)
NAMES = {3: "Left-Thalamus", 7: "R_V1 é", 12: "7 b & <c>"}
COLORS = {3: "#ff8000", 7: "#0a141e", 12: "#000001"}


def atlas(names=NAMES, *, colors=True):
    labels = {k: (n, COLORS[k]) for k, n in names.items()} if colors else names
    return ai.load_atlas(nb.Nifti1Image(KEYS, np.eye(4)), space="x", labels=labels)


def plain():
    return atlas({key: name.replace(" ", "-") for key, name in NAMES.items()})


@pytest.mark.filterwarnings("ignore:.*it takes ASCII alone")
@pytest.mark.parametrize("name", [*(n for n, form in FORMATS.items() if form.keyed), "bids"])
def test_ours_reads_every_table(tmp_path, name):
    path = ai.save_labels(plain(), tmp_path / ("x.tsv" if name == "bids" else "x.txt"), format=name)
    rows = [row for row in read_table(path) if row.key]
    assert [row.key for row in rows] == [3, 7, 12]
    assert [row.name for row in rows] == list(plain().table["name"])
    if name != "fsl":  # whose atlases have no colours
        assert [row.color for row in rows] == list(COLORS.values())
    image = nb.Nifti1Image(KEYS, np.eye(4))
    again = ai.load_atlas(image, space="x", labels=path)
    assert again.table["name"] == plain().table["name"]


ODD = ["#x", "a#b", "//c", "a // b", "%d", "'q'", "q'", "a,b", "a<&>", "1 2", "x 1 2 3 4", "0"]


REFUSED = {
    *((name, "#x") for name in ("freesurfer", "slicer", "fsleyes", "mrtrix", "workbench")),
    *((name, "'q'") for name in ("freesurfer", "slicer", "fsleyes")),
    *(("workbench", odd) for odd in ("//c", "%d")),
    *(("mrtrix", odd) for odd in ("'q'", "q'")),
}
"""What begins a comment, or is quoted, in the grammar of a program or by our reader."""


@pytest.mark.parametrize("name", [*(n for n, form in FORMATS.items() if form.keyed), "bids"])
@pytest.mark.parametrize("odd", ODD)
@pytest.mark.filterwarnings("ignore:.*for blanks in names")
def test_odd_names_come_back_or_are_refused(tmp_path, name, odd):
    own = atlas({3: "plain", 7: odd, 12: "last"})
    path = tmp_path / ("x.tsv" if name == "bids" else "x.txt")
    if (name, odd) in REFUSED:
        with pytest.raises(
            ValueError, match="cannot hold names that would be read as comments or quotes"
        ):
            ai.save_labels(own, path, format=name)
        assert not list(tmp_path.iterdir())
        return
    ai.save_labels(own, path, format=name)
    blank = FORMATS[name].blank if name in FORMATS else " "
    names = {row.key: row.name for row in read_table(path) if row.key}
    assert names == {3: "plain", 7: odd.replace(" ", blank), 12: "last"}


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("x.ctab", r"\d+ \S+ \d+ \d+ \d+ 0"),
        ("x.ctbl", r"\d+ \S+ \d+ \d+ \d+ (0|255)"),
        ("x.lut", r"\d+( [01]\.\d{5}){3} \S.*"),
    ],
)
def test_the_extension_tells_the_program(tmp_path, name, line):
    path = ai.save_labels(plain(), tmp_path / name)
    lines = [text for text in path.read_text().splitlines() if not text.startswith("#")]
    assert all(re.fullmatch(line, text) for text in lines)
    assert len(lines) >= 3


def test_letters_that_workbench_drops_are_told(tmp_path):
    with pytest.warns(ai.AtlasWarning, match="takes ASCII alone: R_V1-é"):
        ai.save_labels(plain(), tmp_path / "x.txt", format="workbench")


def test_keys_that_sides_share_are_told(tmp_path):
    meshes = {f"cortex_{side}": ai.SurfaceMesh(4, hemisphere=side) for side in "LR"}
    own = ai.Atlas(
        name="sides",
        space="x",
        geometry=meshes,
        maps={c: ai.HardMaps(np.array([0, 0, 1, 1], np.int32), 2) for c in meshes},
        labels=table(["cortex_L"] * 2 + ["cortex_R"] * 2, [1, 2, 1, 2], ["La", "Lb", "Ra", "Rb"]),
    )
    with pytest.warns(ai.AtlasWarning, match="numbered 1 to 4: as in a .dlabel.nii, and not as in"):
        ai.save_labels(own, tmp_path / "x.txt", format="freesurfer")
    # What it advises: one numbering of all files.
    again = ai.renumber_parcels(own)
    path = ai.save_labels(again, tmp_path / "y.txt", format="freesurfer")
    names = {row.key: row.name for row in read_table(path) if row.key}
    for file in ai.save_atlas(again, tmp_path / "y.label.gii"):
        labels = nb.load(file).labeltable.get_labels_as_dict()
        assert all(names[key] == name for key, name in labels.items() if key)


@pytest.mark.parametrize("name", ["old.txt", "old.ctab"])
def test_mrtrix_converts_labels(tmp_path, name):
    if shutil.which("labelconvert") is None:
        pytest.skip("MRtrix's labelconvert is not installed")
    own, again = plain(), ai.renumber_parcels(plain())
    ai.save_atlas(own, tmp_path / "own.nii.gz")
    ai.save_labels(own, tmp_path / name, format="mrtrix" if name.endswith("txt") else None)
    ai.save_labels(again, tmp_path / "new.txt", format="mrtrix")
    files = ["own.nii.gz", name, "new.txt", "converted.nii.gz"]
    subprocess.run(["labelconvert", *files], cwd=tmp_path, check=True, capture_output=True)
    found = np.asarray(nb.load(tmp_path / "converted.nii.gz").dataobj)
    np.testing.assert_array_equal(found, np.searchsorted([0, 3, 7, 12], KEYS))


def test_fsl_opens_the_table_with_its_image(tmp_path):
    from fsl.data.atlases import AtlasDescription

    ai.save_atlas(plain(), tmp_path / "own.nii.gz")
    found = AtlasDescription(str(ai.save_labels(plain(), tmp_path / "own.xml")), "own")
    assert found.atlasType == "label"
    assert [label.name for label in found.labels] == list(plain().table["name"])
    assert [label.value for label in found.labels] == [3, 7, 12]
    # In mm, a voxel of the parcel.
    at = np.array([[label.x, label.y, label.z] for label in found.labels], int)
    assert [KEYS[tuple(xyz)] for xyz in at] == [3, 7, 12]


def test_itk_snap(tmp_path):
    path = ai.save_labels(atlas(), tmp_path / "x.txt", format="itksnap")
    lines = [text for text in path.read_text().splitlines() if not text.startswith("#")]
    # IDX -R- -G- -B- -A-- VIS MSH LABEL
    assert all(re.fullmatch(r'\d+ \d+ \d+ \d+ [\d.]+ [01] [01] ".+"', text) for text in lines)
    assert [row.name for row in read_table(path)][1:] == list(NAMES.values())


def test_fsl_shows_each_parcel_at_a_voxel_of_it(tmp_path):
    from xml.etree import ElementTree

    root = ElementTree.parse(ai.save_labels(atlas(), tmp_path / "x.xml")).getroot()
    assert (root.tag, root.findtext("header/type")) == ("atlas", "Label")
    for label in root.findall("data/label"):
        assert KEYS[tuple(int(label.get(axis)) for axis in "xyz")] == int(label.get("index"))


@pytest.mark.parametrize(("name", "expected"), [("x.ctab", "R_V1-é"), ("x.ctbl", "R_V1_é")])
def test_blanks_are_told(tmp_path, name, expected):
    with pytest.warns(ai.AtlasWarning, match="for blanks in names.*R_V1 é, 7 b & <c>"):
        path = ai.save_labels(atlas(), tmp_path / name)
    assert expected in path.read_text()


workbench = pytest.mark.skipif(shutil.which("wb_command") is None, reason="wb_command is missing")


def told_by_workbench(path):
    command = ["wb_command", "-file-information", path]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    channel = r" +([\d.]+)"
    return re.findall(rf"^ +(\d+)   (.*?){3 * channel} +[\d.]+ *$", text, re.MULTILINE)


EXPECTED = [
    (str(key), name, *(f"{int(COLORS[key][i : i + 2], 16) / 255:.3f}" for i in (1, 3, 5)))
    for key, name in NAMES.items()
]


@workbench
def test_workbench_imports_its_list(tmp_path):
    nb.save(nb.Nifti1Image(KEYS, np.eye(4)), tmp_path / "x.nii")
    # What it reads of text beyond ASCII depends on its locale.
    named = {key: name.replace("é", "e") for key, name in NAMES.items()}
    path = ai.save_labels(atlas(named), tmp_path / "x.txt", format="workbench")
    command = ["wb_command", "-volume-label-import", tmp_path / "x.nii", path, tmp_path / "y.nii"]
    subprocess.run(command, check=True, capture_output=True)
    told = told_by_workbench(tmp_path / "y.nii")[1:]
    assert told == [(row[0], row[1].replace("é", "e"), *row[2:]) for row in EXPECTED]


@workbench
def test_workbench_shows_the_table_inside_an_image(tmp_path):
    ai.save_atlas(atlas(), tmp_path / "x.nii.gz")
    assert told_by_workbench(tmp_path / "x.nii.gz")[1:] == EXPECTED


def test_nilearn_draws_what_has_no_colours(tmp_path):
    path = ai.save_labels(atlas(colors=False), tmp_path / "x.tsv")
    table = pd.read_table(path)
    assert list(table.columns) == ["index", "name", "hemisphere"]
    image = nb.Nifti1Image(KEYS, np.eye(4))
    with pytest.warns(UserWarning, match="No 'color' column"):
        plotting.plot_roi(image, cmap=table, bg_img=None).close()
    assert ai.save_labels(atlas(), tmp_path / "y.tsv").read_text().startswith("index\tname\tcolor")


@pytest.mark.parametrize(
    ("names", "name", "options", "message"),
    [
        (NAMES, "x.txt", {}, r"should end in .ctab, .ctbl, .lut, .xml, .node, .tsv.*format=\.\.\."),
        (NAMES, "x.ctab", {"format": "spm"}, "should be one of freesurfer, itksnap"),
        ({3: "a b", 7: "a-b", 12: "c"}, "x.ctab", {}, "would be the same"),
        ({3: 'a "b"', 7: "b", 12: "c"}, "x.lut", {}, "would be read as comments or quotes"),
        ({3: "a\x07", 7: "b", 12: "c"}, "x.lut", {}, r"control characters.*; rename them\.$"),
    ],
)
def test_bad_input(tmp_path, names, name, options, message):
    with pytest.raises(ValueError, match=message):
        ai.save_labels(atlas(names), tmp_path / name, **options)
    assert not list(tmp_path.iterdir())


def test_the_name_of_no_label_is_refused_for_workbench(tmp_path):
    odd = ai.rename_parcels(
        atlas(), lambda name: "???" if name == atlas().table["name"][0] else name
    )
    with pytest.raises(ValueError, match=r"'\?\?\?' means no label in x\.txt.*; rename it\.$"):
        ai.save_labels(odd, tmp_path / "x.txt", format="workbench")
    assert ai.save_labels(odd, tmp_path / "x.txt", format="itksnap")


def test_existing_files_stay(tmp_path):
    path = ai.save_labels(atlas(), tmp_path / "x.lut")
    with pytest.raises(OSError, match="exists already"):
        ai.save_labels(atlas(), path)
    assert ai.save_labels(atlas(), path, overwrite=True) == path


def test_brainnet_viewer(tmp_path):
    networks = {3: "Vis", 7: None, 12: "Default"}
    named = atlas()
    named = named.replace(labels=named.table.replace(network=list(networks.values())))
    with pytest.warns(ai.AtlasWarning, match="has '_' for blanks in names"):
        path = ai.save_labels(named, tmp_path / "x.node")
    # https://www.nitrc.org/projects/bnv: x, y, z, colour, size, label, between tabs.
    lines = [line.split("\t") for line in path.read_text("utf-8").splitlines()]
    assert [line[5] for line in lines] == ["Left-Thalamus", "R_V1_é", "7_b_&_<c>"]
    assert not any(re.search(r"\s", line[5]) for line in lines)
    expected = [np.argwhere(KEYS == key).mean(axis=0) for key in NAMES]
    np.testing.assert_allclose(np.float64([line[:3] for line in lines]), expected, atol=6e-4)
    assert [line[3] for line in lines] == ["1", "1", "2"]
    assert [line[4] for line in lines] == [str(int((KEYS == key).sum())) for key in NAMES]


def test_brainnet_viewer_has_centres_on_anatomical_surfaces(tmp_path):
    dk = ai.load_atlas("desikan-killiany", space="fsaverage5")
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # keys that both sides use are not in the file
        path = ai.save_labels(dk, tmp_path / "dk.node")
    found = np.loadtxt(path, usecols=range(5))
    assert (found[:34, 0] < 0).all()
    assert (found[34:, 0] > 0).all()
    assert (found[:, 3] == 1).all()
    bare = dk.replace(geometry={"cortex_L": ai.SurfaceMesh(10242, hemisphere="L")})
    with pytest.raises(ValueError, match=r"centre of each parcel in mm, which 'L_.*meshes=\{"):
        ai.save_labels(bare, tmp_path / "bare.node")
    gone = {3: "a", 7: "b", 12: "c", 13: "x"}
    with pytest.raises(ValueError, match=r"which 'x' lack; leave out .*`atlas.drop_empty\(\)`"):
        ai.save_labels(ai.load_atlas(nb.Nifti1Image(KEYS, np.eye(4)), space="x", labels=gone), tmp_path / "e.node")  # fmt: skip
    assert [p.name for p in tmp_path.iterdir()] == ["dk.node"]


@pytest.mark.skipif(shutil.which("wb_command") is None, reason="wb_command is not installed")
def test_workbench_finds_the_table_in_an_image(tmp_path):
    ai.save_atlas(atlas(), tmp_path / "x.nii.gz")
    command = ["wb_command", "-volume-label-export-table", tmp_path / "x.nii.gz", "1"]
    subprocess.run([*command, tmp_path / "t.txt"], check=True, capture_output=True)
    rows = [row for row in read_table(tmp_path / "t.txt") if row.key]
    assert [(r.key, r.name, r.color) for r in rows] == [(k, NAMES[k], COLORS[k]) for k in NAMES]
