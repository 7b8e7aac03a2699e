"""Forms of label tables that programs write, each read as the same entries, or refused by name."""

import json
import shutil
import subprocess
import sys
import time
from xml.sax.saxutils import escape, quoteattr

import nibabel as nb
import numpy as np
import pandas as pd
import pytest
from helpers_io import label_image

import atlasinit as ai
from atlasinit.errors import ArgumentError, ContentError
from atlasinit.io.tables.reading import read_table, rows_from_table

KEYS = [1, 2, 7]
NAMES = ["Pre central L", "5L_R", "Area 44, opercular"]
COLORS = ["#ff0033", "#000000", "#cc8000"]
RGB = [tuple(int(color[i : i + 2], 16) for i in (1, 3, 5)) for color in COLORS]
FRAME = pd.DataFrame({"key": KEYS, "name": NAMES, "color": COLORS})


def lines(form):
    return "".join(
        form.format(k=k, n=n, r=r, g=g, b=b, fr=r / 255, fg=g / 255, fb=b / 255) + "\n"
        for k, n, (r, g, b) in zip(KEYS, NAMES, RGB, strict=True)
    )


def frame(titles, **options):
    """Return the entries as pandas writes them under other titles."""
    return FRAME.rename(columns=titles).to_csv(index=False, **options)


COLOURED = {
    "FSLeyes": lines("{k} {fr:.6f} {fg:.6f} {fb:.6f} {n}"),
    "FSLeyes 0 to 255": lines("{k}\t{r} {g} {b} {n}").replace("\t", " "),
    "with opacity": lines("{k} {r} {g} {b} 255 {n}"),
    "FreeSurfer": lines("{k}  {n}    {r} {g} {b} 0"),
    "without opacity": lines("{k} {n} {r} {g} {b}"),
    "quoted": lines('{k} "{n}" {r} {g} {b} 0'),
    "remarks": "% of a program\n// another\n" + lines("{k} {n} {r} {g} {b} 0 # seen"),
    "ITK-SNAP": lines('{k} {r} {g} {b} 1 1 1 "{n}"'),
    "Workbench": lines("{n}\n{k} {r} {g} {b} 255"),
    "comma": frame({"key": "index"}),
    "tab": frame({"key": "index"}, sep="\t"),
    "semicolon": frame({"key": "Label ID", "name": "Label Name", "color": "RGB"}, sep=";"),
    "Windows": frame({"key": "index"}, lineterminator="\r\n"),
    "no titles, no number sign": FRAME.assign(color=[c[1:] for c in COLORS]).to_csv(
        index=False, header=False
    ),
    "tabs, and blanks in the colour": lines("{k}\t{n}\t{r} {g} {b} 0"),
    "tabs and opacity": lines("{k}\t{n}\t{r}\t{g}\t{b}\t255"),
    "brackets": lines('{k};{n};"({r}, {g}, {b})"'),
    "no titles": FRAME.to_csv(index=False, header=False),
    "name first": FRAME[["name", "key", "color"]].to_csv(index=False, header=False, sep="\t"),
    "list of objects": FRAME.to_json(orient="records"),
    "object of objects": FRAME.set_index("key").to_json(orient="index"),
    "pairs": json.dumps({k: [n, rgb] for k, n, rgb in zip(KEYS, NAMES, RGB, strict=True)}),
    "by name": FRAME.set_index("name").to_json(orient="index"),
}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("form", COLOURED)
def test_keys_names_and_colours(tmp_path, form, encoding):
    (tmp_path / "t.txt").write_bytes(COLOURED[form].encode(encoding))
    rows = read_table(tmp_path / "t.txt")
    found = pd.DataFrame([(r.key, r.name, r.color) for r in rows], columns=list(FRAME.columns))
    pd.testing.assert_frame_equal(found, FRAME)


def xml_of(form):
    entries = "".join(
        form.format(k=k, n=escape(n), q=quoteattr(n)) for k, n in zip(KEYS, NAMES, strict=True)
    )
    return f"<atlas><header><name>x</name><version>1.0</version></header>{entries}</atlas>"


PLAIN = {
    "CAT12": FRAME.assign(abbr=list("xyz")).rename(
        columns={"key": "ROIid", "abbr": "ROIabbr", "name": "ROIname"}
    )[["ROIid", "ROIabbr", "ROIname"]].to_csv(index=False, sep=";"),
    **{
        f"{key}, {name}": FRAME[["key", "name"]].to_csv(index=False, header=[key, name])
        for key, name in (
            *(("Region_Index", "Region_Name"), ("label no", "ROI-name"), ("parcelID", "parcelName")),
            *(("KEYVALUE", "LABEL"), ("No.", "Structure"), ("Network_Index", "Network_Name")),
            *(("id", "acronym"), ("value", "Anatomical Region"), ("ROI", "Label")),
        )
    },
    "AAL": "".join(f"C{k}\t{n}\t{k}\n" for k, n in zip(KEYS, NAMES, strict=True)),
    "colons": lines("{k}: {n}"),
    "equal signs": lines("{k} = {n}"),
    "strokes": lines("{k}|{n}"),
    "dashes": lines("{k} - {n}"),
    "points": lines("{k}. {n}"),
    "a title above": "My atlas\nindex\tname\n" + lines("{k}\t{n}"),
    "the end of DOS": lines("{k} {n}").replace("\n", "\r\n") + "\x1a",
    "a code and a key behind": "Pre central L 20 1\n5L_R 21 2\nArea 44, opercular 22 7\n",
    "key behind": lines("{n} {k}"),
    "key repeated": lines("{k} {n} {k}"),
    "key repeated but once": "1 Pre central L 1\n2 5L_R 2\n7 Area 44, opercular\n",
    "a code behind": "1 Pre central L 2001\n2 5L_R 2101\n7 Area 44, opercular 2102\n",
    "coordinates behind": "1 Pre central L -38 -5 51\n2 5L_R 2 3 4\n7 Area 44, opercular 1 0 300\n",
    "titles and blanks": "index name\n" + lines("{k} {n}"),
    "titles and tabs, rows and blanks": "index\tname\n" + lines("{k} {n}"),
    "double quotes": lines('{k} "{n}"'),
    "single quotes": lines("{k} '{n}'"),
    "single quotes and tabs": lines("{k}\t'{n}'"),
    "a comma in a name": lines("{k},{n}"),
    "a comma in a name under titles": "index,name\n" + lines("{k},{n}"),
    "SPM": xml_of("<label><index>{k}</index><name>{n}</name></label>"),
    "CAT12 xml": xml_of(
        "<label><index>{k}</index><short_name>s{k}</short_name><name>{n}</name></label>"
    ),
    "Juelich": xml_of('<Structure grayvalue="{k}" type="x">{n}</Structure>'),
    "attributes": xml_of("<region id='{k}' name={q}/>"),
    "FSL": xml_of('<label index="{k}">{n}</label>').replace(
        "<name>x", "<type>Label</type><name>x"
    ),
    "AFNI": "<VALUE_LABEL_DTABLE\n  ni_type='2*String' ni_dimen='3' >\n"
    + lines(' "{k}" "{n}"')
    + "</VALUE_LABEL_DTABLE>\n",
    "AFNI points": "<ATLAS_POINT_LIST>"
    + lines('<ATLAS_POINT STRUCT="{n}" VAL="{k}" OKEY="{k}" COG="1 2 3"/>')
    + "</ATLAS_POINT_LIST>",
    "object": json.dumps(dict(zip(KEYS, NAMES, strict=True))),
    "object of keys": json.dumps(dict(zip(NAMES, KEYS, strict=True))),
    "columns": json.dumps({"index": KEYS, "name": NAMES}),
    "columns by row": FRAME[["key", "name"]].to_json(),
    "columns and rows": FRAME[["key", "name"]].to_json(orient="split"),
    "labels in an object": json.dumps({"Name": "x", "labels": dict(zip(KEYS, NAMES, strict=True))}),
    "tree": json.dumps(
        [{"id": 1, "name": NAMES[0], "children": [
            {"id": 2, "name": NAMES[1], "children": []}, {"id": 7, "name": NAMES[2]}]}]
    ),
}  # fmt: skip


@pytest.mark.parametrize("form", PLAIN)
def test_keys_and_names(tmp_path, form):
    (tmp_path / "t.dat").write_text(PLAIN[form])
    rows = read_table(tmp_path / "t.dat")
    assert [(row.key, row.name) for row in rows] == list(zip(KEYS, NAMES, strict=True))


@pytest.mark.parametrize("kind", ["name", "Probabilistic", "Statistic"])
def test_fsl_xml_of_other_than_labels_numbers_volumes(tmp_path, kind):
    text = xml_of('<label index="{k}">{n}</label>').replace(
        "<name>x", f"<type>{kind}</type><name>x"
    )
    (tmp_path / "t.xml").write_text(text)
    assert [row.key for row in read_table(tmp_path / "t.xml")] == [k + 1 for k in KEYS]


def test_workbooks(tmp_path, monkeypatch):
    pytest.importorskip("openpyxl")
    with pd.ExcelWriter(tmp_path / "t.xlsx") as book:
        pd.DataFrame({"remark": ["of a colleague"]}).to_excel(book, sheet_name="about", index=False)
        FRAME.rename(columns={"key": "index"}).to_excel(
            book, sheet_name="x", index=False, startrow=2
        )
    rows = read_table(tmp_path / "t.xlsx")
    assert [(r.key, r.name, r.color) for r in rows] == list(
        FRAME.itertuples(index=False, name=None)
    )
    with pd.ExcelWriter(tmp_path / "two.xlsx") as book:
        for sheet in "ab":
            FRAME.to_excel(book, sheet_name=sheet, index=False)
    with pytest.raises(ai.AtlasFileError, match="several sheets are label tables: 'a', 'b'; save"):
        read_table(tmp_path / "two.xlsx")
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    with pytest.raises(ai.AtlasFileError, match="needs the package openpyxl; install it, or save"):
        read_table(tmp_path / "t.xlsx")


IN_MEMORY = {
    "with hex": {k: (n, c) for k, n, c in zip(KEYS, NAMES, COLORS, strict=True)},
    "with rgb": {k: (n, rgb) for k, n, rgb in zip(KEYS, NAMES, RGB, strict=True)},
    "as nibabel's": {
        k: (n, (*(c / 255 for c in rgb), 1.0)) for k, n, rgb in zip(KEYS, NAMES, RGB, strict=True)
    },
    "flat": {k: (n, *rgb) for k, n, rgb in zip(KEYS, NAMES, RGB, strict=True)},
    "objects": {
        str(k): {"name": n, "color": c} for k, n, c in zip(KEYS, NAMES, COLORS, strict=True)
    },
    "records": FRAME.to_dict("records"),
    "triples": list(FRAME.itertuples(index=False, name=None)),
    "frame": FRAME,
}


@pytest.mark.parametrize("form", IN_MEMORY)
def test_colours_in_memory(form):
    rows = rows_from_table(IN_MEMORY[form])
    assert [(r.key, r.name, r.color) for r in rows] == list(
        FRAME.itertuples(index=False, name=None)
    )


def test_null_is_no_name():
    assert [r.name for r in rows_from_table({1: "A", 2: None, 3: np.nan})] == ["A", "", ""]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('[null, "A", "B"]', [(0, ""), (1, "A"), (2, "B")]),
        ('["Background", "A"]', [(0, "Background"), (1, "A")]),
        ('{"1": "A", "2": null}', [(1, "A"), (2, "")]),
        ('{"LabelMap": ["A", null]}', [(1, "A"), (2, "")]),
    ],
)
def test_json_with_null(tmp_path, text, expected):
    (tmp_path / "t.json").write_text(text)
    assert [(r.key, r.name) for r in read_table(tmp_path / "t.json")] == expected


def test_left_and_right_columns(tmp_path):
    text = (
        "Structure,right.label,left.label,tissue\namygdala,51,151,GM\nfornix,8,8,WM\npons,3,,GM\n"
    )
    (tmp_path / "t.csv").write_text(text)
    oracle = pd.read_csv(tmp_path / "t.csv")
    rows = read_table(tmp_path / "t.csv")
    assert [(r.key, r.name, r.hemisphere) for r in rows] == [
        (151, "amygdala", "L"), (51, "amygdala", "R"), (8, "fornix", ""), (3, "pons", "R"),
    ]  # fmt: skip
    tissues = oracle.set_index("Structure")["tissue"]
    assert [r.extra["tissue"] for r in rows] == [tissues[r.name] for r in rows]
    (tmp_path / "n.csv").write_text("lh_id,lh_name,rh_id,rh_name\n1,a left,2,a right\n")
    rows = read_table(tmp_path / "n.csv")
    assert [(r.key, r.name, r.hemisphere) for r in rows] == [
        (1, "a left", "L"),
        (2, "a right", "R"),
    ]


def test_further_columns_without_titles(tmp_path):
    (tmp_path / "t.txt").write_text("1\tV1\tLeft\tvisual\n2\tV2\tRight\tvisual\n")
    rows = read_table(tmp_path / "t.txt")
    assert [(r.key, r.name, r.hemisphere) for r in rows] == [(1, "V1", "L"), (2, "V2", "R")]
    assert [r.extra for r in rows] == [{"column_3": "visual"}] * 2


@pytest.mark.parametrize("red", [(255, 0, 0), (1.0, 0, 0), [255, 0, 0, 255], np.array([1, 0, 0])])
def test_colours_as_channels_beside_texts(red):
    given = {1: ("A", red), 2: ("B", "#00ff00"), 3: ("C", None), 4: "D", 5: ("E", "#03f")}
    rows = rows_from_table(given)
    assert [row.name for row in rows] == list("ABCDE")
    assert [row.color for row in rows] == ["#ff0000", "#00ff00", "", "", "#0033ff"]


def test_colours_in_words_and_unknown_sides_are_kept(tmp_path):
    (tmp_path / "t.csv").write_text("index,name,color,side\n1,A,red,links\n2,B,blue,L\n")
    rows = read_table(tmp_path / "t.csv")
    assert [(r.color, r.hemisphere) for r in rows] == [("", ""), ("", "L")]
    assert [r.extra for r in rows] == [
        {"color": "red", "side": "links"}, {"color": "blue", "side": "L"},
    ]  # fmt: skip


def test_mrtrix_has_a_short_and_a_long_name(tmp_path):
    (tmp_path / "t.txt").write_text(
        "# MRtrix\n0 ??? Unknown 0 0 0 0\n1 L.BSTS  ctx-lh-bankssts 25 5 25 255\n"
        "36 R.CER Right-Cerebellum-Cortex 230 148 34 255\n"
    )
    rows = read_table(tmp_path / "t.txt")
    assert [r.name for r in rows] == ["Unknown", "ctx-lh-bankssts", "Right-Cerebellum-Cortex"]
    assert [r.extra["short_name"] for r in rows] == ["???", "L.BSTS", "R.CER"]
    # Two words are one name where the side stands in one of them.
    (tmp_path / "t.txt").write_text("1 Left Pallidum 25 5 25 0\n2 Right Pallidum 5 5 5 0\n")
    assert [r.name for r in read_table(tmp_path / "t.txt")] == ["Left Pallidum", "Right Pallidum"]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("1 Area 1\n2 Area 2\n3 Area 3\n", ["Area 1", "Area 2", "Area 3"]),
        ("1 Area 44 255 0 0\n2 Area 45 0 255 0\n", ["Area 44", "Area 45"]),
        ("1 OP 4\n2 FG 2\n3 hOc 1\n", ["OP 4", "FG 2", "hOc 1"]),
        ("1 17 Networks A\n2 17 Networks B\n", ["17 Networks A", "17 Networks B"]),
        ("1 44\n2 a24\n3 45\n", ["44", "a24", "45"]),
        ("1\t44\n2\ta24\n3\t45\n", ["44", "a24", "45"]),
    ],
)
def test_numbers_that_belong_to_names(tmp_path, text, names):
    (tmp_path / "t.txt").write_text(text)
    assert [r.name for r in read_table(tmp_path / "t.txt")] == names


REFUSED = {
    "a total": ("index,name\n1,A\n2,B\n,total\n", "row 3 of 'index' holds ''"),
    "names only": ("A b\nC d\nE\n", "a list of names, which has no keys.*dict\\(enumerate"),
    "numbers only": ("1 5\n2 6\n", "numbers alone"),
    "a line without a key": ("1 A\n2 B\nC\n4 D\n", "row 3 has no key in front: 'C'"),
    "too many columns of keys": ("a_id,b_id,name\n1,2,A\n", "'a_id', 'b_id'; call the right one"),
    "a key in letters": ("index\tname\n1\tA\n1_0\tB\n", "row 2 of 'index' holds '1_0'"),
    "a key too large": (
        "index\tname\n1\tA\n1e300\tB\n",
        "row 2 of 'index' holds 1e300, and keys should fit int32",
    ),
    "a list of it": (
        "1 A\n99999999999 B\n",
        "row 2 of 'index' holds 99999999999, and keys should fit int32",
    ),
    "a channel too large": ("index,name,red,green,blue\n1,A,256,0,0\n", "row 1 of 'red'.* '256'"),
    "two entries in json": ('{"1": "A", "1": "B"}', "several entries for '1'"),
    "a number for a name": ('{"1": 5}', "key 1 should have a name.*got 5"),
    "an object for a name": ('[{"id": 1, "name": {"a": 1}}]', "row 1 of 'name' .*got a dict"),
    "objects and names": ('{"1": {"name": "A"}, "2": "B"}', "key 2 should have an object"),
    "names in json": ('["A", "B"]', "a list of names, which has no keys"),
    "columns of other lengths": ('{"index": [1, 2], "name": ["A"]}', "should be {key: name}"),
    "columns of other rows": ('{"id": {"0": 1}, "name": {"1": "A"}}', "should be {key: name}"),
    "columns without keys": ('{"name": ["A"], "side": ["L"]}', "should be {key: name}"),
    "a sidecar": ('{"Resolution": "1 mm"}', "should be {key: name}"),
    "an odd table of AFNI": ('<VALUE_LABEL_DTABLE>"1" "A" "2"</VALUE_LABEL_DTABLE>', "3 strings"),
    "an open table of AFNI": ('<VALUE_LABEL_DTABLE>"1" "A"', "not closed"),
    "binary": ("a\0b", "binary, not text"),
    "a zip archive": ("PK\x03\x04...", "is a zip archive; unpack it"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused_by_row_and_column(tmp_path, case):
    text, message = REFUSED[case]
    (tmp_path / "t.txt").write_text(text)
    with pytest.raises(ai.AtlasFileError, match=rf"t\.txt: .*{message}"):
        read_table(tmp_path / "t.txt")


# What is read, and the row, the column and the remedy that its error has.
PLACED = {
    "a cell": ("index,name\n1,A\n,total\n", 2, "index", ""),
    "a cell without titles": ("1,A\n2,B\nx,C\n", 3, 1, ""),
    "a line": ("1 A\n2 B\nC\n4 D\n", 3, None, ""),
    "a channel": ("index,name,red,green,blue\n1,A,256,0,0\n", 1, "red", ""),
    "two columns": ("a_id,b_id,name\n1,2,A\n", None, None, "call the right one 'index'"),
    "a label of AFNI": (
        '<ATLAS_POINT VAL="1" STRUCT="A" /><ATLAS_POINT STRUCT="B" />',
        2,
        None,
        "",
    ),
    "a label of FSL": ("<a><label index='1'>A</label><label index='x'>B</label></a>", 2, None, ""),
}


@pytest.mark.parametrize("case", PLACED)
def test_row_column_and_remedy_are_fields(tmp_path, case):
    text, *fields = PLACED[case]
    (tmp_path / "t.txt").write_text(text)
    with pytest.raises(ai.AtlasFileError) as told:
        read_table(tmp_path / "t.txt")
    cause = told.value.__cause__
    assert isinstance(cause, ContentError)
    assert [cause.row, cause.column, str(cause.remedy)] == fields
    assert (told.value.path, told.value.remedy) == (tmp_path / "t.txt", cause.remedy)


@pytest.mark.parametrize(
    ("labels", "argument", "message"),
    [
        (pd.DataFrame({"name": ["A"]}), "labels", "no column of whole-number keys"),
        (pd.DataFrame({"index": [1, 1e9 * 4], "name": "A"}), "labels", "row 2 of 'index' holds 4"),
        ({1: "A", 2: 5}, "labels", "key 2 should have a name"),
        ([(1, "A", "x")], "labels", "colours should be"),
        ({1: ("A", "#f00"), 2: ("B", "blue")}, "labels", "colours should be .*got 'blue'"),
        ({1: ("A", "#f00"), 2: ("B", (1, 2))}, "labels", r"colours should be .*got \(1, 2\)"),
        ({1: ("A", 5)}, "labels", "colours should be .*got 5"),
        ({"cortex_L": {1: "A"}, "cortex_R": {1: 5}}, "labels['cortex_R']", "key 1 should have"),
    ],
)
def test_tables_in_memory_are_refused_as_arguments(labels, argument, message):
    with pytest.raises(ArgumentError, match=message) as told:
        rows_from_table(labels)
    assert told.value.argument == argument
    assert str(told.value).startswith(f"`{argument}`: ")


def test_the_advice_for_names_only_works(tmp_path):
    path, values = label_image(tmp_path / "a.nii", keys=(1, 2, 3))
    names = ["A", "B", "C"]
    with pytest.raises(TypeError, match=r"labels=dict\(enumerate\(names, start=1\)\)"):
        ai.load_atlas(path, space="x", labels=names)
    atlas = ai.load_atlas(path, space="x", labels=dict(enumerate(names, start=1)))
    assert atlas.labels["name"].tolist() == names
    counts = [np.count_nonzero(values == key) for key in (1, 2, 3)]
    assert atlas.labels["n_locations"].tolist() == counts


@pytest.mark.parametrize(
    "table",
    [
        '<VALUE_LABEL_DTABLE ni_type="2*String">"1" "A &amp; b" "2" "C"</VALUE_LABEL_DTABLE>',
        '<ATLAS_POINT_LIST><ATLAS_POINT STRUCT="A &amp; b" VAL="1"/>'
        '<ATLAS_POINT STRUCT="C" VAL="2"/></ATLAS_POINT_LIST>',
    ],
)
def test_the_table_of_afni_in_an_image(tmp_path, table):
    content = (
        '<?xml version="1.0" ?><AFNI_attributes ni_form="ni_group">'
        '<AFNI_atr atr_name="VALUE_LABEL_DTABLE" ni_type="String" ni_dimen="1">'
        f'"{escape(table, {chr(34): "&quot;"})}"</AFNI_atr></AFNI_attributes>'
    )
    image = nb.load(label_image(tmp_path / "a.nii", keys=(1, 2))[0])
    image.header.extensions.append(nb.nifti1.Nifti1Extension("afni", content.encode()))
    nb.save(image, tmp_path / "b.nii")
    atlas = ai.load_atlas(tmp_path / "b.nii", space="x")
    assert atlas.labels["name"].tolist() == ["A & b", "C"]


def test_other_attributes_of_afni_are_no_table(tmp_path):
    image = nb.load(label_image(tmp_path / "a.nii", keys=(1, 2))[0])
    content = (
        b'<AFNI_attributes><AFNI_atr atr_name="HISTORY_NOTE">"3dcalc"</AFNI_atr></AFNI_attributes>'
    )
    image.header.extensions.append(nb.nifti1.Nifti1Extension("afni", content))
    nb.save(image, tmp_path / "b.nii")
    atlas = ai.load_atlas(tmp_path / "b.nii", space="x")
    assert atlas.labels["name"].tolist() == ["label-1", "label-2"]


MANY = 20_000
LARGE = {
    "columns": lambda n: "index,name," + ",".join(f"c{i}" for i in range(n)) + "\n1,a" + ",0" * n,
    "rows": lambda n: "index\tname\n" + "".join(f"{i}\tname {i}\n" for i in range(1, n)),
    "lines": lambda n: "".join(f"{i} name {i} {i % 256} 0 0 0\n" for i in range(1, n)),
    "digits and blanks": lambda n: "1 a\n2 x " + "1" * n + " " * n + "y\n",
    "quotes": lambda n: "1 a\n2 " + '"a ' * n + "\n",
    "commas": lambda n: "1,a\n2,b" + ", c" * n + "\n",
    "objects": lambda n: json.dumps([{"id": i, "name": f"a{i}"} for i in range(n)]),
}


@pytest.mark.parametrize(
    "form",
    ["commas", *(pytest.param(f, marks=pytest.mark.sweep) for f in LARGE if f != "commas")],
)
def test_the_time_grows_with_the_size(tmp_path, form):
    (tmp_path / "t.txt").write_text(LARGE[form](MANY))
    start = time.process_time()
    read_table(tmp_path / "t.txt")
    assert time.process_time() - start < 10  # quadratic time would be minutes


@pytest.mark.sweep
def test_large_tables_are_joined_in_time(tmp_path):
    keys = np.arange(1, 10_001, dtype=np.int32)
    for side in "LR":
        np.savetxt(
            tmp_path / f"{side}h.csv",
            keys[:, None] if side == "L" else keys[:, None] + 20_000,
            "%d",
        )
    labels = {key: f"a{key}" for key in range(1, 30_001)}
    start = time.process_time()
    files = {"cortex_L": tmp_path / "Lh.csv", "cortex_R": tmp_path / "Rh.csv"}
    atlas = ai.load_atlas(files, space="x", labels=labels)
    assert time.process_time() - start < 10
    assert atlas.n_parcels == 30_000
    with pytest.raises(ValueError, match="10000 of 20000 keys of the data have no entry"):
        ai.load_atlas(files, space="x", labels=dict(list(labels.items())[:20_000]))


def test_a_colour_that_is_no_number_is_none(tmp_path):
    path = tmp_path / "lh.x.label.gii"
    table = nb.gifti.GiftiLabelTable()
    for key, red in ((1, float("nan")), (2, 1.0)):
        label = nb.gifti.GiftiLabel(key, red, 0.0, 0.0, 1.0)
        label.label = f"a{key}"
        table.labels.append(label)
    data = nb.gifti.GiftiDataArray(np.int32([1, 2, 2]), intent="NIFTI_INTENT_LABEL")
    nb.save(nb.GiftiImage(labeltable=table, darrays=[data]), path)
    assert ai.load_atlas(path, space="x").labels["color"].tolist() == ["", "#ff0000"]


@pytest.mark.skipif(shutil.which("wb_command") is None, reason="wb_command is not installed")
def test_tables_that_workbench_writes(tmp_path):
    label_image(tmp_path / "a.nii", keys=KEYS)
    (tmp_path / "in.txt").write_text(COLOURED["Workbench"])
    for arguments in (
        ["-volume-label-import", "a.nii", "in.txt", "labels.nii"],
        ["-volume-label-export-table", "labels.nii", "1", "out.txt"],
    ):
        subprocess.run(["wb_command", *arguments], cwd=tmp_path, check=True, capture_output=True)
    for labels in (tmp_path / "out.txt", None):
        found = ai.load_atlas(tmp_path / "labels.nii", space="x", labels=labels).labels
        pd.testing.assert_frame_equal(
            found[["key", "name", "color"]], FRAME, check_dtype=False, check_names=False
        )
