"""Exports: every format opened by another program, what survives, and what is refused."""

import dataclasses
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import nibabel as nb
import numpy as np
import pandas as pd
import pytest
import safetensors.numpy
import scipy.sparse
from helpers_cli import run_cli
from helpers_surfaces import brain_atlas, cortex_atlas

import atlasinit as ai

PAGE = Path(__file__).parents[2] / "docs" / "file-formats.md"
BY_POSITION = [1, 2, 3, 1, 2, 10, 49]
DISTINCT = [1, 2, 3, 4, 5, 6, 7]

# Existing files and folders that cannot be written

KEYS = {".dlabel.nii": DISTINCT, ".annot": BY_POSITION}
SURFACE = (".npz", ".safetensors", ".label.gii", ".func.gii", ".dscalar.nii", *KEYS)


@pytest.mark.parametrize("ending", SURFACE)
def test_an_existing_file_is_replaced_only_when_asked(tmp_path, ending):
    atlas = cortex_atlas(**({"key": KEYS[ending]} if ending in KEYS else {}))
    written = ai.save_atlas(atlas, tmp_path / f"x{ending}")
    (tmp_path / written[0].name).write_text("old")
    others = {path: path.read_bytes() for path in written[1:]}
    with pytest.raises(ai.AtlasFileError, match=r"exists already; pass overwrite=True"):
        ai.save_atlas(atlas, tmp_path / f"x{ending}")
    assert written[0].read_text() == "old"
    assert {path: path.read_bytes() for path in others} == others
    assert sorted(tmp_path.iterdir()) == sorted(written)
    assert ai.save_atlas(atlas, tmp_path / f"x{ending}", overwrite=True) == written
    assert written[0].read_bytes() != b"old"


def test_a_table_beside_an_image_is_not_replaced_either(tmp_path):
    atlas = brain_atlas().select(compartments="subcortex")
    (tmp_path / "x.tsv").write_text("mine")
    with pytest.raises(ai.AtlasFileError, match=r"x\.tsv: exists already"):
        ai.save_atlas(atlas, tmp_path / "x.nii.gz")
    assert [path.name for path in tmp_path.iterdir()] == ["x.tsv"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("none/x.npz", r"x\.npz: its folder does not exist; make it first"),
        pytest.param(
            "/proc/x.npz",
            r"x\.npz: its folder cannot be written \(.+\); choose another",
            marks=pytest.mark.skipif(
                sys.platform != "linux", reason="root may write anywhere else"
            ),
        ),
        ("taken.npz", r"taken\.npz: is a folder, not a file"),
        ("old.npz", r"old\.npz: exists already; pass (overwrite=True|--overwrite) to"),
    ],
)
def test_where_nothing_can_be_written(tmp_path, capsys, name, message):
    (tmp_path / "taken.npz").mkdir()
    (tmp_path / "old.npz").write_text("old")
    with pytest.raises(ai.AtlasFileError, match=message):
        ai.save_atlas(cortex_atlas(), tmp_path / name)
    before = sorted(tmp_path.rglob("*"))
    arguments = ("build", "desikan-killiany", "--space", "fsaverage5", "-o", tmp_path / name)
    status, out, errors = run_cli(capsys, *arguments)
    assert (status, out, errors.count("\n")) == (2, "", 1)
    with pytest.raises(ValueError, match=message):
        raise ValueError(errors)
    assert sorted(tmp_path.rglob("*")) == before
    assert (tmp_path / "old.npz").read_text() == "old"


def test_the_command_line_replaces_what_it_is_told_to(tmp_path, capsys):
    (tmp_path / "old.npz").write_text("old")
    arguments = ("build", "desikan-killiany", "--space", "fsaverage5", "-o", tmp_path / "old.npz")
    status, _, _ = run_cli(capsys, *arguments, "--overwrite")
    assert status == 0
    assert ai.load_atlas(tmp_path / "old.npz").n_parcels == 68


def test_smoothed_maps_are_hardened_on_the_command_line(tmp_path, capsys):
    arguments = ("build", "desikan-killiany", "--space", "fsaverage5", "--fwhm", 6, "--harden")
    status, _, errors = run_cli(capsys, *arguments, "-o", tmp_path / "dk.label.gii")
    assert status == 0, errors
    atlas = ai.load_atlas("desikan-killiany", space="fsaverage5")
    expected = ai.smooth(atlas, fwhm=6.0).harden()
    found = ai.load_atlas([tmp_path / f"dk.{side}.label.gii" for side in "LR"])
    assert found.provenance == expected.provenance
    for c, maps in expected.maps.items():
        np.testing.assert_array_equal(found.maps[c].labels, maps.labels)


@pytest.mark.parametrize("ending", [".pscalar.nii", ".ptseries.nii"])
def test_values_of_parcels_are_replaced_only_when_asked(tmp_path, ending):
    from atlasinit.io import write_parcellated

    atlas = cortex_atlas().drop_empty()
    values = np.arange(atlas.n_parcels, dtype=np.float32)
    path = write_parcellated(values, atlas, tmp_path / f"x{ending}")
    with pytest.raises(ai.AtlasFileError, match="exists already"):
        write_parcellated(values, atlas, path)
    assert write_parcellated(values, atlas, path, overwrite=True) == path


# What survives, as the table in docs/file-formats.md says


def surviving():
    """Return extension to column to cell of the table of what survives."""
    text = PAGE.read_text(encoding="utf-8").partition("## What survives")[2].partition("\n## ")[0]
    # The table of values has its tests where these are.
    text = text.partition("The same of values")[0]
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    header, *records = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    rows = {}
    for cells in records:
        for ending in re.findall(r"`(\.[\w.]+|bids)`", cells[0]):
            rows[ending] = dict(zip(header[1:], cells[1:], strict=True))
    return rows


SURVIVING = surviving()
VOLUMES = (".nii", ".nii.gz")


def atlas_for(ending):
    """Return a hard atlas that a format takes: a volume, two hemispheres, or these and voxels."""
    if ending in VOLUMES:
        return brain_atlas(key=DISTINCT).select(compartments="subcortex").harden()
    if ending == ".annot":
        return cortex_atlas(key=BY_POSITION)
    if ending.endswith((".gii", ".gii.gz")):
        return cortex_atlas()
    return brain_atlas(key=DISTINCT).harden()


def write_and_read(atlas, path):
    if path.name == "xbids":
        ai.save_atlas(atlas, path, format="bids")
        return ai.load_atlas(path)
    files = ai.save_atlas(atlas, path)
    images = [file for file in files if file.suffix != ".tsv"]
    return ai.load_atlas(images, space=None if images[0].suffix != ".annot" else "stated")


def test_the_table_has_every_format():
    from atlasinit.io.formats.registry import FORMATS

    assert set(SURVIVING) == {"bids", *(ending for form in FORMATS for ending in form.writes)}


@pytest.mark.parametrize("ending", SURVIVING)
def test_labels_names_and_colours_survive(tmp_path, ending):
    atlas, cells = atlas_for(ending), SURVIVING[ending]
    again = write_and_read(atlas, tmp_path / f"x{ending}")
    for c, maps in atlas.maps.items():
        put = [
            a.geometry[c].put(m.to_dense().T) for a, m in ((atlas, maps), (again, again.maps[c]))
        ]
        np.testing.assert_array_equal(*put)
    for column, title in (("key", "labels"), ("name", "names"), ("color", "colours")):
        assert cells[title] == "yes" or (ending, cells[title]) == (".annot", "yes, keys 1, 2, ...")
        assert again.table[column] == atlas.table[column]


@pytest.mark.parametrize("ending", SURVIVING)
def test_space_and_provenance_survive(tmp_path, ending):
    atlas, cells = atlas_for(ending), SURVIVING[ending]
    again = write_and_read(atlas, tmp_path / f"x{ending}")
    same = {"space": again.space == atlas.space, "provenance": again.provenance == atlas.provenance}
    assert same == {title: cells[title] == "yes" for title in same}
    assert (again.name == atlas.name) == same["provenance"]
    assert (again.geometry == atlas.geometry) == (cells["kept locations"] == "yes")


@pytest.mark.parametrize("ending", SURVIVING)
def test_soft_values_survive_or_are_refused(tmp_path, ending):
    atlas = atlas_for(ending)
    rng = np.random.default_rng(0)
    maps = {
        c: ai.DenseMaps(rng.normal(size=(m.n_parcels, m.n_locations)).astype(np.float32))
        for c, m in atlas.maps.items()
    }
    soft = atlas.replace(maps=maps)
    if SURVIVING[ending]["soft values"] == "no":
        with pytest.raises(ValueError, match=r"soft maps; harden them by .*, or save as \."):
            ai.save_atlas(soft, tmp_path / f"x{ending}")
        assert not list(tmp_path.iterdir())
        return
    again = write_and_read(soft, tmp_path / f"x{ending}")
    for c, expected in maps.items():
        np.testing.assert_array_equal(again.maps[c].to_dense(), expected.values)


def test_the_tests_that_the_page_names_exist():
    text = PAGE.read_text(encoding="utf-8")
    named = re.findall(r"`(test_\w+)\.py::(test_\w+)`", text)
    assert len(named) >= 10
    for file, test in named:
        assert f"def {test}(" in next(PAGE.parents[1].glob(f"tests/**/{file}.py")).read_text(
            "utf-8"
        )


# Opened by other programs


def test_nibabel_and_pandas_open_a_label_image(tmp_path):
    atlas = atlas_for(".nii.gz")
    image, table = ai.save_atlas(atlas, tmp_path / "x.nii.gz")
    grid = atlas.geometry["subcortex"]
    values = np.asarray(nb.load(image).dataobj)
    labels = np.asarray(atlas.maps["subcortex"].labels)
    keys = np.append(atlas.table["key"], 0)
    np.testing.assert_array_equal(grid.take(values), keys[labels])
    assert np.count_nonzero(values) == np.count_nonzero(labels >= 0)
    rows = pd.read_csv(table, sep="\t")
    assert rows["index"].tolist() == list(atlas.table["key"])
    assert rows["name"].tolist() == list(atlas.table["name"])
    assert rows["color"].tolist() == list(atlas.table["color"])


def test_nibabel_and_pandas_open_an_image_of_maps(tmp_path):
    atlas = brain_atlas().select(compartments="subcortex")
    image, table = ai.save_atlas(atlas, tmp_path / "x.nii.gz")
    values = nb.load(image).get_fdata(dtype=np.float32)
    weights = atlas.geometry["subcortex"].take(values).T
    np.testing.assert_array_equal(weights, atlas.maps["subcortex"].to_dense())
    assert pd.read_csv(table, sep="\t")["name"].tolist() == list(atlas.table["name"])


@pytest.mark.parametrize("ending", [".label.gii", ".label.gii.gz"])
def test_nibabel_opens_gifti_labels(tmp_path, ending):
    atlas = cortex_atlas()
    left, _ = ai.save_atlas(atlas, tmp_path / f"x{ending}")
    image = nb.load(left)
    own = atlas.table.take(atlas.table.rows_of("cortex_L"))
    names = image.labeltable.get_labels_as_dict()
    assert names == {0: "???", **dict(zip(own["key"], own["name"], strict=True))}
    colors = [
        "#{:02x}{:02x}{:02x}".format(*(round(255 * c) for c in label.rgba[:3]))
        for label in image.labeltable.labels
    ]
    assert colors[1:] == list(own["color"])
    labels = np.asarray(atlas.maps["cortex_L"].labels)
    expected = atlas.geometry["cortex_L"].put(np.append(own["key"], 0)[labels])
    np.testing.assert_array_equal(image.agg_data(), expected)


@pytest.mark.parametrize("ending", [".func.gii", ".shape.gii"])
def test_nibabel_opens_gifti_maps(tmp_path, ending):
    atlas = cortex_atlas().select(compartments="cortex_R").normalize()
    (path,) = ai.save_atlas(atlas, tmp_path / f"x{ending}")
    image = nb.load(path)
    assert [array.meta["Name"] for array in image.darrays] == list(atlas.table["name"])
    np.testing.assert_array_equal(np.stack(image.agg_data()), atlas.to_dense()["cortex_R"])


def test_nibabel_opens_an_annotation(tmp_path):
    atlas = cortex_atlas(key=BY_POSITION)
    left, _ = ai.save_atlas(atlas, tmp_path / "x.annot")
    labels, colors, names = nb.freesurfer.read_annot(left)
    own = atlas.table.take(atlas.table.rows_of("cortex_L"))
    assert [name.decode() for name in names] == ["unknown", *own["name"]]
    assert ["#{:02x}{:02x}{:02x}".format(*rgb) for rgb in colors[1:, :3]] == list(own["color"])
    expected = atlas.geometry["cortex_L"].put(np.asarray(atlas.maps["cortex_L"].labels) + 1)
    np.testing.assert_array_equal(np.maximum(labels, 0), expected)


@pytest.mark.parametrize("compress", [True, False])
def test_scipy_opens_the_matrix(tmp_path, compress):
    atlas = brain_atlas() if compress else brain_atlas().harden()
    (path,) = ai.save_atlas(atlas, tmp_path / "x.scipy.npz")
    matrix = scipy.sparse.load_npz(path)
    assert matrix.format == "csr"
    expected = scipy.sparse.block_diag(list(atlas.to_dense().values())).toarray()
    np.testing.assert_array_equal(matrix.toarray(), expected)
    data = np.random.default_rng(0).normal(size=(atlas.n_locations, 3)).astype(np.float32)
    found = ai.project(atlas, data, reduction="sum")
    np.testing.assert_allclose(matrix @ data, found, rtol=1e-5, atol=1e-6)


def test_safetensors_and_numpy_open_weights(tmp_path):
    atlas = brain_atlas()
    (path,) = ai.save_atlas(atlas, tmp_path / "x.weight.safetensors")
    weight = safetensors.numpy.load_file(path)["weight"]
    assert weight.dtype == np.float32
    np.testing.assert_array_equal(
        weight, scipy.sparse.block_diag(list(atlas.to_dense().values())).toarray()
    )
    # As PyTorch's Linear computes: rows of data times the transposed weight.
    data = np.random.default_rng(0).normal(size=(3, atlas.n_locations)).astype(np.float32)
    found = ai.project(atlas, data.T, reduction="sum")
    np.testing.assert_allclose((data @ weight.T).T, found, atol=1e-5)
    with safetensors.safe_open(path, "numpy") as tensors:
        described = json.loads(tensors.metadata()["atlasinit"])
    assert described["labels"]["name"] == list(atlas.table["name"])
    assert described["provenance"]["licence"] == "CC0"


@pytest.mark.skipif(shutil.which("wb_command") is None, reason="wb_command is not installed")
@pytest.mark.parametrize(
    ("ending", "kind"),
    [
        (".dlabel.nii", "Label"),
        (".dscalar.nii", "Scalar"),
        (".label.gii", "Label"),
        (".func.gii", "Metric"),
    ],
)
def test_workbench_opens_what_is_written(tmp_path, ending, kind):
    atlas = brain_atlas(key=DISTINCT) if ending.endswith(".nii") else cortex_atlas()
    atlas = atlas.harden() if "label" in ending else atlas
    path = ai.save_atlas(atlas, tmp_path / f"x{ending}")[0]
    done = subprocess.run(
        ["wb_command", "-file-information", path], capture_output=True, text=True, check=True
    )
    assert re.search(rf"Type:.*{kind}", done.stdout)
    name = atlas.table["name"][0]
    assert name in done.stdout
    if ending == ".dlabel.nii":
        assert re.search(r"CortexLeft:\s+10 out of 12 vertices", done.stdout)


# Trained layers


def trained():
    """Return a layer on the simplex after a step of gradient descent."""
    layer = ai.AtlasLinear.from_atlas(
        brain_atlas().harden(), domain=ai.domains.Simplex(purity=0.9), trainable=True
    )
    data = jnp.asarray(np.random.default_rng(0).normal(size=(29, 4)), jnp.float32)
    free, fixed = eqx.partition(layer, eqx.is_inexact_array)
    grads = jax.grad(lambda free: (eqx.combine(free, fixed)(data) ** 2).sum())(free)
    moved = jax.tree.map(lambda x, g: x - 0.1 * g, free, grads)
    return eqx.combine(moved, fixed), data


@pytest.mark.parametrize(
    "ending",
    [
        ".dscalar.nii",
        *(
            pytest.param(ending, marks=pytest.mark.sweep)
            for ending in (".npz", ".safetensors", ".scipy.npz", ".weight.safetensors")
        ),
    ],
)
def test_a_trained_layer_is_saved_as_the_atlas_it_became(tmp_path, ending):
    layer, data = trained()
    became = layer.to_atlas()
    ai.save_atlas(became, tmp_path / f"x{ending}")
    again = ai.load_atlas(tmp_path / f"x{ending}")
    assert again.table == became.table
    assert again.provenance == became.provenance
    assert again.provenance.operations[-1] == "AtlasLinear"
    for c, maps in became.maps.items():
        np.testing.assert_array_equal(again.maps[c].to_dense(), maps.to_dense())
        assert not np.isin(maps.to_dense(), (0, 1)).all()
    np.testing.assert_allclose(ai.project(again, data), layer(data), rtol=1e-4, atol=1e-5)


def test_equinox_serialises_a_trained_layer_and_its_atlas(tmp_path):
    layer, data = trained()
    eqx.tree_serialise_leaves(tmp_path / "layer.eqx", layer)
    blank = jax.tree.map(jnp.zeros_like, layer)
    again = eqx.tree_deserialise_leaves(tmp_path / "layer.eqx", blank)
    np.testing.assert_array_equal(again(data), layer(data))
    became = layer.to_atlas()
    eqx.tree_serialise_leaves(tmp_path / "atlas.eqx", became)
    blank = jax.tree.map(np.zeros_like, became)
    assert eqx.tree_deserialise_leaves(tmp_path / "atlas.eqx", blank) == became


# What a format cannot hold


@dataclasses.dataclass(frozen=True)
class Refusal:
    """What a format cannot hold, as changes of the label table, and the message."""

    what: str
    ending: str
    changes: dict
    message: str


ANNOT = {"key": BY_POSITION}
REFUSALS = (
    Refusal(
        "too long", ".annot", {**ANNOT, "name": ["x" * 1024, *"bcdefg"]}, "at most 1023 letters"
    ),
    Refusal("not ASCII", ".annot", {**ANNOT, "name": ["é", *"bcdefg"]}, "should be ASCII, got é"),
    Refusal("one colour", ".annot", {**ANNOT, "color": ["#ff0000"] * 7}, "tells labels by colour"),
    Refusal(
        "black",
        ".annot",
        {**ANNOT, "color": ["#000000", *[f"#00000{i}" for i in range(1, 7)]]},
        "black means no label",
    ),
    Refusal(
        "unknown",
        ".annot",
        {**ANNOT, "name": ["unknown", *"bcdefg"]},
        "'unknown' would mean no label",
    ),
    Refusal("???", ".label.gii", {"name": ["???", *"bcdefg"]}, r"'\?\?\?' means no label"),
    Refusal(
        "??? in CIFTI",
        ".dlabel.nii",
        {"key": DISTINCT, "name": ["???", *"bcdefg"]},
        r"'\?\?\?' means no label",
    ),
    Refusal(
        "control",
        ".func.gii",
        {"name": ["a\x01", *"bcdefg"]},
        r"control characters, .*got 'a\\x01'",
    ),
    Refusal("line break", ".dscalar.nii", {"name": ["a\nb", *"cdefgh"]}, r"line breaks.*'a\\nb'"),
    Refusal("tab", ".nii.gz", {"name": [*"abcde", "f\tg", "h"]}, r"tabs .* got 'f\\tg'"),
    Refusal("missing", ".nii.gz", {"name": [*"abcde", "n/a", "h"]}, "mean a missing value .*'n/a'"),
    Refusal("blanks", ".nii.gz", {"name": [*"abcde", " f", "h"]}, "blanks around them, got ' f'"),
)


@pytest.mark.parametrize(
    "refusal", REFUSALS, ids=lambda refusal: f"{refusal.ending} {refusal.what}"
)
def test_names_and_colours_that_a_format_cannot_hold(tmp_path, refusal):
    atlas = brain_atlas(**refusal.changes)
    if refusal.ending in VOLUMES:
        atlas = atlas.select(compartments="subcortex")
    elif refusal.ending != ".dlabel.nii":
        atlas = atlas.select(compartments=["cortex_L", "cortex_R"])
    atlas = atlas if "scalar" in refusal.ending else atlas.harden()
    with pytest.raises(ValueError, match=refusal.message):
        ai.save_atlas(atlas, tmp_path / f"x{refusal.ending}")
    assert not list(tmp_path.iterdir())
    (exact,) = ai.save_atlas(atlas, tmp_path / "x.npz")
    assert ai.load_atlas(exact) == atlas


LONG = "x" * 1024
TABLES = {
    "too few entries": ("1 a\n2 b\n", r"1 of 3 keys of the data have no entry \(cortex_L: 3\)"),
    "too few colours": (
        "index\tname\tcolor\n1\ta\t#ff0000\n2\tb\t#ff0000\n3\tc\tn/a\n",
        "tells labels by colour, but a, b share theirs",
    ),
    "too long": (f"1 {LONG}\n2 b\n3 c\n", "should have at most 1023 letters"),
    "not ASCII": ("1 é\n2 b\n3 c\n", "should be ASCII, got é"),
    "twice": ("1 a\n1 b\n2 c\n3 d\n", "several entries for key 1"),
}


@pytest.mark.parametrize("case", TABLES)
def test_tables_of_a_user_that_do_not_fit(tmp_path, capsys, case):
    text, message = TABLES[case]
    (tmp_path / "table.tsv").write_text(text, encoding="utf-8")
    np.savetxt(tmp_path / "lh.mine.csv", np.arange(12) % 4, fmt="%d")
    with pytest.raises(ValueError, match=message):
        ai.save_atlas(
            ai.load_atlas(tmp_path / "lh.mine.csv", space="x", labels=tmp_path / "table.tsv"),
            tmp_path / "lh.out.annot",
        )
    arguments = ("build", tmp_path / "lh.mine.csv", "--labels", tmp_path / "table.tsv")
    status, out, errors = run_cli(
        capsys, *arguments, "--space", "x", "-o", tmp_path / "lh.out.annot"
    )
    assert (status, out, errors.count("\n")) == (2, "", 1)
    with pytest.raises(ValueError, match=message):
        raise ValueError(errors)
    assert not (tmp_path / "lh.out.annot").exists()


def test_a_table_with_too_few_colours():
    columns = {name: cortex_atlas().table[name] for name in ("compartment", "key", "name")}
    with pytest.raises(ValueError, match=r"should have one length, got .*'color': 2"):
        ai.LabelTable({**columns, "color": ["#ff0000", "#00ff00"], "hemisphere": ["L"] * 5})


CANNOT = {
    "soft maps as labels": (
        ".label.gii",
        ("--fwhm", 6),
        r"soft maps; harden them by `?(atlas\.harden\(\)|--harden)`?, or save as \.func\.gii",
    ),
    "surfaces as a volume": (".nii.gz", (), "a NIfTI image holds one volume"),
    "no such format": (".xlsx", (), r"(`path`|--output) should end in .*\.npz.*got 'x\.xlsx'"),
}


@pytest.mark.parametrize("case", CANNOT)
def test_an_extension_that_cannot_hold_the_content(tmp_path, capsys, case):
    ending, options, message = CANNOT[case]
    atlas = ai.load_atlas("desikan-killiany", space="fsaverage5")
    with pytest.raises(ValueError, match=message):
        ai.save_atlas(ai.smooth(atlas, fwhm=6.0) if options else atlas, tmp_path / f"x{ending}")
    status, out, errors = run_cli(
        capsys,
        "build",
        "desikan-killiany",
        "--space",
        "fsaverage5",
        *options,
        "-o",
        tmp_path / f"x{ending}",
    )
    assert (status, out) == (2, "")
    assert errors.count("\n") == 1
    with pytest.raises(ValueError, match=message):
        raise ValueError(errors)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("ending", [".nii.gz", ".func.gii", ".dscalar.nii"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_not_finite_are_refused_where_they_could_not_be_read(
    tmp_path, ending, value
):
    compartment = "subcortex" if ending == ".nii.gz" else "cortex_L"
    atlas = brain_atlas().select(compartments=compartment)
    weights = np.array(atlas.to_dense()[compartment])
    weights[0, 0] = value
    atlas = atlas.replace(maps={compartment: ai.DenseMaps(weights)}, operation="test")
    with pytest.raises(ValueError, match=r"should be finite.*save as \.npz"):
        ai.save_atlas(atlas, tmp_path / f"lh.x{ending}")
    assert not list(tmp_path.iterdir())
    (path,) = ai.save_atlas(atlas, tmp_path / "x.npz")
    np.testing.assert_array_equal(ai.load_atlas(path).to_dense()[compartment], weights)


@pytest.mark.parametrize("column", ["index", "Region"])
def test_columns_that_a_table_means_otherwise_are_refused(tmp_path, column):
    atlas = brain_atlas().select(compartments="subcortex")
    columns = {c: atlas.table[c] for c in atlas.table.columns}
    labels = ai.LabelTable(columns | {column: range(len(atlas.table))})
    if column == "Region":  # means a name, but there are names
        assert ai.save_atlas(atlas.replace(labels=labels), tmp_path / "x.nii.gz")
        return
    with pytest.raises(ValueError, match=f"cannot hold the columns '{column}'"):
        ai.save_atlas(atlas.replace(labels=labels), tmp_path / "x.nii.gz")
