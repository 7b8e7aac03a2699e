"""Values of parcels painted to every format, and read by nibabel, Workbench and nilearn."""

import re
import shutil
import subprocess
from pathlib import Path

import jax
import jax.numpy as jnp
import nibabel as nb
import numpy as np
import pandas as pd
import pytest
from helpers import unchecked
from helpers_surfaces import brain_atlas, cortex_atlas
from nilearn.maskers import NiftiLabelsMasker

import atlasinit as ai
from atlasinit.io import open_data, read_values, write_table
from atlasinit.io.formats import registry

PAGE = Path(__file__).parents[2] / "docs" / "file-formats.md"
LABELS = np.array([0, 3, 3, 0, 7, 7, 7, 12], np.int16).reshape(2, 2, 2)
AFFINE = np.array([[0, 0, -2.0, 9], [1.5, 0, 0, -4], [0, 3.0, 0, 2], [0, 0, 0, 1]])


def volume(space="MNI152NLin6Asym"):
    labels = {3: "c three", 7: "a séven", 12: "b"}
    return ai.load_atlas(nb.Nifti1Image(LABELS, AFFINE), space=space, labels=labels)


def cortex():
    return cortex_atlas()


def whole():
    return brain_atlas(key=[1, 2, 300, 4, 5, 10, 49]).harden()


def soft():
    return brain_atlas()


SURFACES = (".func.gii", ".shape.gii", ".func.gii.gz", ".mgh", ".mgz")
DENSE = (".dscalar.nii", ".dtseries.nii")
CASES = [
    *((volume, ending) for ending in (".nii", ".nii.gz", ".mgz", ".mgh")),
    *((cortex, ending) for ending in (*SURFACES, *DENSE)),
    *((whole, ending) for ending in DENSE),
    *((soft, ending) for ending in DENSE),
]


def values_of(atlas, count, dtype):
    values = np.random.default_rng(0).normal(size=(atlas.n_parcels, count)).astype(dtype)
    values[1, 0] = np.nan
    return values if count > 1 else values[:, 0]


def expected_of(atlas, values, fill):
    """Return what lies at the locations, by a product with the dense maps in NumPy."""
    parts = []
    rows = atlas.parcel_slices()
    for c, matrix in atlas.to_dense().items():
        own = values.reshape(len(values), -1)[rows[c]].astype(np.float64)
        weights = matrix.T[..., None].astype(np.float64)
        sums = np.where(weights != 0, weights * own, 0).sum(axis=1)
        parts.append(np.where((matrix != 0).any(axis=0)[:, None], sums, fill))
    return np.concatenate(parts)


def test_every_format_that_paints_has_its_cases():
    painted = {ending for form in registry.FORMATS for ending in form.paints}
    assert painted == {e for _, e in CASES} | {".shape.gii.gz", ".pscalar.nii", ".ptseries.nii"}


@pytest.mark.parametrize("fill", [np.nan, 0.0])
@pytest.mark.parametrize(("count", "dtype"), [(1, np.float32), (3, np.float64), (2, np.float16)])
@pytest.mark.parametrize(("make", "ending"), CASES)
def test_painted_values_come_back(tmp_path, make, ending, count, dtype, fill):
    atlas = make()
    values = values_of(atlas, count, dtype)
    files = ai.save_values(values, atlas, tmp_path / f"x{ending}", fill=fill)
    found = open_data(files[0] if len(files) == 1 else files, atlas).all()
    single = dtype != np.float64 or ending in SURFACES
    expected = expected_of(atlas, values, fill)
    np.testing.assert_allclose(found, expected, rtol=1e-6 if single else 1e-15)
    assert found.dtype == (np.float32 if single else np.float64)
    # Labels are not computed with: each location has its parcel's number itself.
    if all(isinstance(m, ai.HardMaps) for m in atlas.maps.values()):
        np.testing.assert_array_equal(found, expected.astype(found.dtype))


def test_a_volume_as_nilearn_paints_it(tmp_path):
    atlas = volume()
    values = values_of(atlas, 3, np.float32)
    values[1, 0] = 5
    masker = NiftiLabelsMasker(nb.Nifti1Image(LABELS, AFFINE), standardize=None).fit()
    theirs = masker.inverse_transform(values.T)
    (path,) = ai.save_values(values, atlas, tmp_path / "x.nii.gz", fill=0)
    image = nb.load(path)
    np.testing.assert_array_equal(image.get_fdata(), theirs.get_fdata())
    np.testing.assert_array_equal(image.affine, AFFINE)


@pytest.mark.parametrize(("space", "code"), [("MNI152NLin6Asym", 4), ("mine", 2)])
def test_space_and_units_are_those_of_the_atlas(tmp_path, space, code):
    atlas = volume(space)
    ai.save_atlas(atlas, tmp_path / "a.nii.gz")
    (path,) = ai.save_values(np.ones(3), atlas, tmp_path / "x.nii.gz")
    series = ai.save_values(np.ones((3, 2)), atlas, tmp_path / "t.nii.gz", step=0.72)
    painted = ai.AtlasMasker(atlas).fit().inverse_transform(np.ones(3))
    for image in (nb.load(tmp_path / "a.nii.gz"), nb.load(path), nb.load(series[0]), painted):
        assert (int(image.header["sform_code"]), image.header.get_xyzt_units()[0]) == (code, "mm")
    header = nb.load(series[0]).header
    assert header.get_xyzt_units()[1] == "sec"
    assert header.get_zooms()[3] == np.float32(0.72)


@pytest.mark.parametrize(("make", "name"), [(volume, "x.nii.gz"), (whole, "x.dscalar.nii"), (whole, "x.pscalar.nii")])  # fmt: skip
def test_small_numbers_stay_where_there_is_double_precision(tmp_path, make, name):
    atlas = make()
    values = np.full(atlas.n_parcels, 1e-50)
    values[atlas.labels["empty"]] = np.nan
    (path,) = ai.save_values(values, atlas, tmp_path / name)
    assert np.nanmax(nb.load(path).get_fdata()) == 1e-50


@pytest.mark.parametrize("value", [1e-50, -1e300])
@pytest.mark.parametrize(("make", "name"), [(cortex, "x.func.gii"), (cortex, "x.mgh"), (volume, "x.mgz")])  # fmt: skip
def test_numbers_beyond_single_precision_are_refused(tmp_path, make, name, value):
    atlas = make()
    with pytest.raises(
        ValueError, match="would become 0 or infinite; save as .*logarithms"
    ) as told:
        ai.save_values(np.full(atlas.n_parcels, value), atlas, tmp_path / name)
    advised = str(told.value).split("save as ")[1].split()[0].rstrip(",.")
    values = np.where(atlas.labels["empty"], np.nan, value)
    assert ai.save_values(values, atlas, tmp_path / f"y{advised}")
    assert not list(tmp_path.glob("*x*"))


@pytest.mark.skipif(shutil.which("wb_command") is None, reason="wb_command is not installed")
@pytest.mark.parametrize(("make", "name"), [(volume, "x.nii.gz"), (cortex, "x.func.gii"), (cortex, "x.shape.gii"), (whole, "x.dscalar.nii"), (whole, "x.pscalar.nii")])  # fmt: skip
def test_workbench_reads_the_names_and_numbers_of_maps(tmp_path, make, name):
    atlas = make()
    values = np.where(atlas.labels["empty"].to_numpy()[:, None], np.nan, [[1.25, -3.5]])
    frame = pd.DataFrame(values, atlas.labels["name"], ["t & <t>", "é"])
    for path in ai.save_values(frame[::-1], atlas, tmp_path / name, fill=0):

        def ask(*options, path=path):
            command = ["wb_command", "-file-information", path, *options]
            return subprocess.run(command, capture_output=True, text=True, check=True).stdout

        assert ask("-only-map-names").split("\n")[:2] == ["t & <t>", "é"]
        lines = [line.split() for line in ask().splitlines()]
        rows = {row[0]: row for row in lines if len(row) > 5 and row[0] in "12"}
        assert (float(rows["1"][2]), float(rows["2"][1])) == (1.25, -3.5)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        (
            "x.dscalar.nii",
            {"names": "age"},
            r"should be a list of names, got 'age'; pass \['age'\]",
        ),
        ("x.dscalar.nii", {"names": ["a"]}, "should be 2, one a map, got 1"),
        ("x.dscalar.nii", {"names": ["a\n", "b"]}, "control characters"),
        ("x.pscalar.nii", {"names": ["a\x07", "b"]}, "control characters"),
        ("x.func.gii", {"names": ["a\t", "b"]}, r"control characters.*; rename them\.$"),
        ("x.dscalar.nii", {"step": 2.0}, "`step` is for series, but x.dscalar.nii holds maps"),
        ("x.pscalar.nii", {"step": 2.0}, "`step` is for series"),
        ("x.func.gii", {"step": 2.0}, "`step` is for series"),
        ("x.mgh", {"step": 2.0}, "`step` is for series"),
        ("x.ptseries.nii", {"step": 0.0}, "should be a positive number of seconds"),
        ("x.func.gii", {"fill": 1e-50}, "`fill` should be a number of float32, got 1e-50"),
        ("x.mgh", {"fill": 1e300}, "`fill` should be a number of float32"),
        ("x.ptseries.nii", {"names": ["a", "b"]}, "`names` is for maps, but x.ptseries.nii"),
        ("x.dtseries.nii", {"names": ["a", "b"]}, "`names` is for maps"),
        (
            "x.mgh",
            {"names": ["a", "b"]},
            r"no place for names of maps; save as \.func\.gii or \.dscalar\.nii\.$",
        ),
        ("x.nii.gz", {}, "holds one volume.*save as .func.gii or .dscalar.nii"),
        ("x.npz", {}, "should end in .dscalar.nii.*got 'x.npz'"),
        ("x.annot", {}, "should end in"),
        ("x.label.gii", {}, "should end in"),
    ],
)
def test_bad_input(tmp_path, name, options, message):
    atlas = cortex()
    values = np.where(atlas.labels["empty"].to_numpy()[:, None], np.nan, [[1.0, 2.0]])
    with pytest.raises(ValueError, match=message):
        ai.save_values(values, atlas, tmp_path / name, **options)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.ones((3, 0)), r"`values` should have a map, got shape \(3, 0\)"),
        ([[1.0], [1.0, 2.0], [1.0]], "`values` should be an array: .*inhomogeneous"),
    ],
)
def test_values_of_no_shape(tmp_path, values, message):
    with pytest.raises(ValueError, match=message):
        ai.save_values(values, volume(), tmp_path / "x.nii")


@pytest.mark.parametrize("name", ["x.nii", "x.pscalar.nii"])
def test_extended_precision_becomes_double(tmp_path, name):
    (path,) = ai.save_values(np.arange(3, dtype=np.longdouble), volume(), tmp_path / name)
    assert nb.load(path).get_data_dtype() == np.float64
    assert np.nanmax(nb.load(path).get_fdata()) == 2


def test_more_maps_than_an_axis_holds_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"at most 32767 .*, got \(.*, 32768\)"):
        ai.save_values(np.ones((3, 32768), np.float32), volume(), tmp_path / "x.nii")
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(np.finfo(np.longdouble).max == np.finfo(float).max, reason="the same here")
@pytest.mark.parametrize("exponent", [-4000, 4000])
def test_numbers_beyond_double_precision_are_refused(tmp_path, exponent):
    values = np.longdouble(10) ** exponent * np.ones(3, np.longdouble)
    with pytest.raises(ValueError, match="would become 0 or infinite in double precision"):
        ai.save_values(values, volume(), tmp_path / "x.nii")


def test_a_volume_does_not_go_on_surfaces(tmp_path):
    for name in ("x.func.gii", "x.dscalar.nii"):
        with pytest.raises(ValueError, match=r"save as \.nii\.gz"):
            ai.save_values(np.ones(3), volume(), tmp_path / name)


def test_the_advice_on_voxels_without_structures_works(tmp_path):
    atlas = volume()
    with pytest.raises(ValueError, match="no CIFTI structures") as told:
        ai.save_values(np.ones(3), atlas, tmp_path / "x.dscalar.nii")
    structures = eval(str(told.value).split("`structures`, as ")[1].removesuffix("."))
    grid = atlas.geometry["volume"]
    named = ai.VolumeGrid(grid.shape, grid.affine, grid.voxels, structures)
    (path,) = ai.save_values(
        np.arange(3.0), atlas.replace(geometry={"volume": named}), tmp_path / "x.dscalar.nii"
    )
    np.testing.assert_array_equal(np.unique(nb.load(path).get_fdata()), [0, 1, 2])


def test_existing_files_stay(tmp_path):
    (path,) = ai.save_values(np.ones(3), volume(), tmp_path / "x.nii.gz")
    with pytest.raises(OSError, match="exists already"):
        ai.save_values(np.zeros(3), volume(), path)
    ai.save_values(np.zeros(3), volume(), path, overwrite=True)
    assert np.nanmax(nb.load(path).get_fdata()) == 0


def test_masks_that_overlap_are_averaged(tmp_path):
    grid = ai.VolumeGrid((3, 1, 1), np.eye(4))
    maps = ai.DenseMaps(np.array([[1, 1, 0], [0, 1, 0]], np.float32))
    labels = ai.LabelTable({"compartment": ["volume"] * 2, "key": [1, 2], "name": ["a", "b"], "color": [""] * 2, "hemisphere": [""] * 2})  # fmt: skip
    atlas = ai.Atlas(name="o", space="x", maps={"volume": maps}, geometry={"volume": grid}, labels=labels)  # fmt: skip
    (path,) = ai.save_values({"b": 4.0, "a": 2.0}, atlas, tmp_path / "x.nii")
    np.testing.assert_array_equal(nb.load(path).get_fdata().ravel(), [2, 3, np.nan])


# What survives, as the second table in docs/file-formats.md says


def surviving():
    """Return extension to column to whether it survives."""
    text = PAGE.read_text("utf-8").partition("## What survives")[2].partition("\n## ")[0]
    lines = [line for line in text.split("The same of values")[1].splitlines() if line[:2] == "| "]
    header, *records = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {
        ending: dict(zip(header[1:6], (cell == "yes" for cell in cells[1:6]), strict=True))
        for cells in records
        for ending in re.findall(r"`(\.[\w.]+)`", cells[0])
    }


SURVIVING = surviving()


def stored(path):
    """Return the numbers (.., maps or time), names of maps, time step and names of parcels of a file."""
    # nibabel leaves .mgh files open.
    image = nb.MGHImage.from_bytes(path.read_bytes()) if path.suffix == ".mgh" else nb.load(path)
    if isinstance(image, nb.GiftiImage):
        return np.stack(image.agg_data()), [a.meta["Name"] for a in image.darrays], None, None
    values = image.get_fdata()
    if isinstance(image, nb.Cifti2Image):
        maps, places = (image.header.get_axis(i) for i in (0, 1))
        names = list(maps.name) if hasattr(maps, "name") else None
        return values, names, getattr(maps, "step", None), list(getattr(places, "name", [])) or None
    xml = [bytes(e.content).decode() for e in getattr(image.header, "extensions", ())]
    names = re.findall("<GuiLabel>(.*?)</GuiLabel>", "".join(xml)) or None
    step = image.header.get_zooms()[3] if path.name.endswith((".nii", ".nii.gz")) else None
    return values, names, step, None


def test_the_table_has_every_format():
    painted = {ending for form in registry.FORMATS for ending in form.paints}
    assert set(SURVIVING) == painted


@pytest.mark.parametrize("ending", SURVIVING)
def test_what_survives_of_values(tmp_path, ending):
    cells = SURVIVING[ending]
    atlas = (volume if ending in (".nii", ".nii.gz", ".mgz", ".mgh") else cortex)().drop_empty()
    values = np.linspace(1, 2, 2 * atlas.n_parcels).reshape(-1, 2)
    values[0, 0] = np.nan
    path = ai.save_values(values, atlas, tmp_path / f"x{ending}")[0]
    numbers = stored(path)[0]
    assert (values[1, 1] in numbers) == cells["double precision"]
    assert np.float32(values[1, 1]) in numbers.astype(np.float32)
    assert np.isnan(numbers).any() == cells["NaN"]
    asked = {
        "names of maps": ({"names": ["p q", "é"]}, 1, ["p q", "é"]),
        "time step": ({"step": 0.75}, 2, 0.75),
    }
    for title, (options, place, expected) in asked.items():
        given = tmp_path / f"{title[:4]}{ending}"
        if cells[title]:
            assert stored(ai.save_values(values, atlas, given, **options)[0])[place] == expected
        else:
            with pytest.raises(ValueError, match="`(names|step)`"):
                ai.save_values(values, atlas, given, **options)
    assert (stored(path)[3] == list(atlas.table["name"])) == cells["names of parcels"]


# Tables of values

TABLES = {
    "names": "name\tt\tp\nb\t1\t2\na\tn/a\t4\nNA\t5\t6\n",
    "the first column": "region\tt\tp\nb\t1\t2\na\t\t4\nNA\t5\t6\n",
    "an index of pandas": "\tt\tp\nb\t1\t2\na\tNaN\t4\nNA\t5\t6\n",
    "an index of keys of pandas": "\tt\tp\n2\t1\t2\n1\tNaN\t4\n9\t5\t6\n",
    "numbers of rows of pandas": "\tname\tt\tp\n0\tb\t1\t2\n1\ta\tNaN\t4\n2\tNA\t5\t6\n",
    "numbers of rows alone": "\tt\tp\n0\tNaN\t4\n1\t1\t2\n2\t5\t6\n",
    "time points of pandas": "\tb\tNA\ta\n0\t1\t5\tn/a\n1\t2\t6\t4\n",
    "names of rows of R": "t\tp\nb\t1\t2\na\tNA\t4\nNA\t5\t6\n",
    "numbers of rows of R": "name\tt\tp\n1\tb\t1\t2\n2\ta\tNA\t4\n3\tNA\t5\t6\n",
    "keys in capitals": "Index\tt\tp\n2\t1\t2\n1\tnan\t4\n9\t5\t6\n",
    "names and keys in capitals": "Index\tName\tt\tp\n7\tb\t1\t2\n8\ta\tnan\t4\n9\tNA\t5\t6\n",
    "names in capitals": "Name\tt\tp\nb\t1\t2\na\t\t4\nNA\t5\t6\n",
    "keys under another title": "ROI\tt\tp\n2\t1\t2\n1\tnan\t4\n9\t5\t6\n",
    "a mark at the end of lines": "name\tt\tp\t\nb\t1\t2\t\na\t\t4\t\nNA\t5\t6\t\n",
    "keys": "key\tt\tp\n2\t1\t2\n1\tnan\t4\n9\t5\t6\n",
    "names and keys of BIDS": "index\tname\tt\tp\tcolor\n1\tb\t1\t2\t#000000\n2\ta\tNA\t4\t\n3\tNA\t5\t6\t\n",
    "a column a parcel": "b\tNA\ta\n1\t5\tn/a\n2\t6\t4\n",
}


@pytest.mark.parametrize("form", list(TABLES))
@pytest.mark.parametrize("ending", [".tsv", ".csv"])
def test_tables_are_painted(tmp_path, form, ending):
    labels = {1: "a", 2: "b", 9: "NA"}
    keys = np.array([1, 2, 9, 0], np.int16).reshape(2, 2, 1)
    atlas = ai.load_atlas(nb.Nifti1Image(keys, np.eye(4)), space="x", labels=labels)
    text = TABLES[form].replace("\t", {".tsv": "\t", ".csv": ","}[ending])
    (tmp_path / f"v{ending}").write_text(text)
    (path,) = ai.save_values(read_values(tmp_path / f"v{ending}"), atlas, tmp_path / "x.nii")
    found = nb.load(path).get_fdata().reshape(4, 2)
    np.testing.assert_array_equal(found, [[np.nan, 4], [1, 2], [5, 6], [np.nan, np.nan]])


def test_columns_are_chosen(tmp_path):
    (tmp_path / "v.tsv").write_text("name\tt\tremark\na\t1\tgood\nb\t2\tbad\n")
    assert list(read_values(tmp_path / "v.tsv", column=["t"]).columns) == ["name", "t"]
    for once in ("t", ["t", "t"], ["name", "t"]):
        assert list(read_values(tmp_path / "v.tsv", column=once).columns) == ["name", "t"]
    with pytest.raises(ValueError, match="columns of text: 'remark'; choose.*column="):
        read_values(tmp_path / "v.tsv")
    with pytest.raises(ValueError, match="no column 'tt'. Did you mean 't'"):
        read_values(tmp_path / "v.tsv", column=["tt"])
    with pytest.raises(ValueError, match="should end in .tsv or .csv"):
        read_values(tmp_path / "v.txt")
    with pytest.raises(OSError, match="no such file"):
        read_values(tmp_path / "w.tsv")


def test_columns_on_two_levels_are_titled_by_both(tmp_path):
    columns = pd.MultiIndex.from_tuples([("rest", "mean"), ("task", 2)])
    frame = pd.DataFrame(np.ones((2, 2)), ["a", "b"], columns)
    grid = nb.Nifti1Image((np.arange(8, dtype=np.int16) % 3).reshape(2, 2, 2), np.eye(4))
    atlas = ai.load_atlas(grid, labels={1: "a", 2: "b"}, space="x")
    (path,) = ai.save_values(frame, atlas, tmp_path / "x.nii")
    # In the header extension that Workbench shows.
    assert b"rest mean" in path.read_bytes()
    assert b"task 2" in path.read_bytes()


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"names": 5}, TypeError, "`names` should be a list of names, got int"),
        ({"names": {"p", "q"}}, TypeError, "`names` should be a list of names, got set"),
        ({"names": [None, "q"]}, TypeError, "`names` should be text"),
        ({"names": "pq"}, ValueError, r"pass \['pq'\]"),
    ],
)
def test_names_of_maps_are_a_list_of_text(tmp_path, options, error, message):
    grid = nb.Nifti1Image((np.arange(8, dtype=np.int16) % 3).reshape(2, 2, 2), np.eye(4))
    atlas = ai.load_atlas(grid, labels={1: "a", 2: "b"}, space="x")
    with pytest.raises(error, match=message):
        unchecked(ai.save_values)(np.ones((2, 2)), atlas, tmp_path / "x.nii", **options)


def test_one_map_has_no_time_step(tmp_path):
    grid = nb.Nifti1Image((np.arange(8, dtype=np.int16) % 3).reshape(2, 2, 2), np.eye(4))
    atlas = ai.load_atlas(grid, labels={1: "a", 2: "b"}, space="x")
    with pytest.raises(ValueError, match="`step` is for series, but x.nii holds maps"):
        ai.save_values([1.0, 2.0], atlas, tmp_path / "x.nii", step=2.0)


@pytest.mark.filterwarnings("ignore:.*parcels without a location are NaN")
def test_missing_parcels_of_parcellated_files(tmp_path):
    atlas = brain_atlas()
    some = pd.Series(np.arange(6.0), atlas.labels["name"][:6])
    with pytest.raises(ValueError, match='pass absent="nan"'):
        ai.io.write_parcellated(some, atlas, tmp_path / "x.pscalar.nii")
    path = ai.io.write_parcellated(some, atlas, tmp_path / "x.pscalar.nii", absent="nan")
    found = nb.load(path).get_fdata()[0]
    # L_b and Left-Thalamus have no location, and the last has no value.
    np.testing.assert_array_equal(found, [0, np.nan, 2, 3, 4, np.nan, np.nan])


def test_traced_values_are_refused(tmp_path):
    grid = nb.Nifti1Image((np.arange(8, dtype=np.int16) % 3).reshape(2, 2, 2), np.eye(4))
    atlas = ai.load_atlas(grid, labels={1: "a", 2: "b"}, space="x")
    for call in (
        lambda x: ai.save_values(x, atlas, tmp_path / "x.nii"),
        lambda x: ai.save_values({"a": x[0], "b": x[1]}, atlas, tmp_path / "x.nii"),
        lambda x: ai.save_matrix(jnp.outer(x, x), atlas, tmp_path / "x.npz"),
        lambda x: ai.plot_atlas(atlas, x),
    ):
        with pytest.raises(TypeError, match="should be concrete, .* outside of `jit`, `grad`"):
            jax.jit(call)(np.ones(2, np.float32))
    assert not list(tmp_path.iterdir())


NAMES = ["b", "a", "NA"]
SERIES = pd.Series([1.5, np.nan, 3], NAMES)
MATRIX = pd.DataFrame(np.arange(9.0).reshape(3, 3), NAMES, NAMES)


@pytest.mark.parametrize(
    ("frame", "first"),
    [
        (SERIES, ["name\tvalue", "b\t1.5", "a\tn/a"]),
        (SERIES.rename("t").rename_axis("region"), ["region\tt", "b\t1.5"]),
        (MATRIX, ["name\tb\ta\tNA", "b\t0.0\t1.0\t2.0"]),
        (MATRIX.reset_index(drop=True), ["b\ta\tNA", "0.0\t1.0\t2.0"]),
        (SERIES.set_axis([4, 2, 9]).rename("t"), ["index\tt", "4\t1.5"]),
        (
            SERIES.rename("t").set_axis(pd.MultiIndex.from_product([["x"], [1, 2, 3]])),
            ["level-0\tlevel-1\tt", "x\t1\t1.5"],
        ),
        (
            SERIES.rename("t").set_axis(pd.MultiIndex.from_product([["volume"], [1, 2, 3]])),
            ["compartment\tkey\tt", "volume\t1\t1.5"],
        ),
    ],
)
def test_tables_keep_the_names_of_their_rows(tmp_path, frame, first):
    path = write_table(frame, tmp_path / "x.tsv")
    assert path.read_text().splitlines()[: len(first)] == first


def test_what_is_no_table_is_refused(tmp_path):
    with pytest.raises(TypeError, match="should be a pandas DataFrame or Series, got ndarray"):
        write_table(np.ones(3), tmp_path / "x.tsv")
    with pytest.raises(ValueError, match="its index and a column are both called 'name'; rename"):
        write_table(SERIES.to_frame("name"), tmp_path / "x.tsv")
    write_table(SERIES.to_frame("name").rename_axis("parcel"), tmp_path / "x.tsv")


def test_paint_on_the_command_line(run, tmp_path):
    folder = tmp_path
    nb.save(nb.Nifti1Image(LABELS, AFFINE), folder / "a.nii.gz")
    (folder / "a.tsv").write_text("index\tname\n3\tc\n7\ta\n12\tb\n")
    (folder / "v.tsv").write_text("name\tt\tremark\nc\t1\tx\na\t2\ty\n")
    atlas = (
        "paint",
        folder / "a.nii.gz",
        folder / "v.tsv",
        "--space",
        "MNI152",
        "-o",
        folder / "x.nii",
    )
    status, _, errors = run(*atlas)
    assert status == 2
    assert "columns of text: 'remark'; choose those of numbers by --column" in errors
    status, _, errors = run(*atlas, "--column", "t")
    assert status == 2
    assert (
        "VALUES: 1 of the 3 parcels have no value: 'b'; for NaN there pass --absent nan" in errors
    )
    status, out, _ = run(*atlas, "--column", "t", "--absent", "nan", "--fill", 0)
    assert (status, out) == (0, f"{folder / 'x.nii'}\n")
    found = nb.load(folder / "x.nii").get_fdata()[..., 0]
    np.testing.assert_array_equal(found, np.array([0, 1, 1, 0, 2, 2, 2, np.nan]).reshape(2, 2, 2))
    assert run(*atlas, "--column", "t", "--absent", "nan")[0] == 2  # exists already
