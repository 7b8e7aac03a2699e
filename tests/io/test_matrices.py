"""Matrices of parcels by parcels, written to every format and read by other programs and by ours."""

import importlib
import re
import shutil
import subprocess

import networkx
import nibabel as nb
import numpy as np
import pandas as pd
import pytest
from helpers_surfaces import brain_atlas, cortex_atlas

import atlasinit as ai
from atlasinit.io import read_matrix, to_graph
from atlasinit.io.parcel_matrices import FORMATS


def soft():
    return brain_atlas(name=["a & <b>", "é", "NA", "n/a x", "1", "Left-Thalamus", 'q"'])


def hard():
    return soft().harden()


def surface():
    return cortex_atlas()


def volume():
    values = np.arange(4, dtype=np.int16).repeat(6).reshape(2, 3, 4)
    names = {1: "one", 2: "two", 3: "three"}
    return ai.load_atlas(nb.Nifti1Image(values, np.eye(4)), labels=names, space="x")


def matrix_of(atlas, dtype=np.float64, *, symmetric=True):
    matrix = np.random.default_rng(0).normal(size=(atlas.n_parcels,) * 2).astype(dtype)
    matrix[0, 1] = matrix[1, 0] = 0
    return matrix + matrix.T if symmetric else matrix


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("ending", FORMATS)
@pytest.mark.parametrize("make", [soft, hard, surface, volume])
def test_a_matrix_comes_back_with_its_names(tmp_path, make, ending, dtype, symmetric):
    atlas = make()
    names = list(atlas.table["name"])
    matrix = matrix_of(atlas, dtype, symmetric=symmetric)
    if ending != ".graphml":
        matrix[-1] = np.nan
    frame = pd.DataFrame(matrix, names, names)
    order = np.random.default_rng(1).permutation(len(names))
    # The two sides in orders of their own.
    shuffled = frame.iloc[order, order[::-1]]
    path = ai.save_matrix(shuffled, atlas, tmp_path / f"x{ending}")
    found = read_matrix(path)
    assert found.index.tolist() == found.columns.tolist() == names
    np.testing.assert_array_equal(found.to_numpy().astype(dtype), matrix)
    if ending not in (".tsv", ".csv", ".graphml"):
        assert found.to_numpy().dtype == dtype
    plain = ai.save_matrix(matrix, atlas, tmp_path / f"y{ending}")
    pd.testing.assert_frame_equal(read_matrix(plain), found)
    # By the rows of an atlas that has them in another order.
    if make is volume:
        turned = ai.renumber_parcels(atlas)
        rows = turned.table.take([2, 0, 1])
        maps = ai.HardMaps(
            np.array([1, 2, 0, -1], np.int32)[np.asarray(turned.maps["volume"].labels)], 3
        )
        turned = turned.replace(labels=rows, maps={"volume": maps})
        moved = read_matrix(path, atlas=turned)
        pd.testing.assert_frame_equal(moved, found.loc[moved.index, moved.columns])
        assert moved.index.tolist() == ["three", "one", "two"]


@pytest.mark.skipif(shutil.which("wb_command") is None, reason="wb_command is not installed")
@pytest.mark.parametrize("make", [soft, hard, volume])
def test_workbench_reads_a_matrix(tmp_path, make):
    atlas = make()
    path = ai.save_matrix(matrix_of(atlas), atlas, tmp_path / "x.pconn.nii")
    command = ["wb_command", "-file-information", path]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert re.search(r"Type: +CIFTI - Parcel", done.stdout)
    for axis in ("ALONG_ROW", "ALONG_COLUMN"):
        listed = done.stdout.partition(axis)[2].partition("ALONG_")[0]
        assert re.search(r"^.*map type: +PARCELS", listed)
        assert re.findall(r"Parcel \d+: +(.+)", listed) == list(atlas.table["name"])
    text = tmp_path / "x.txt"
    subprocess.run(["wb_command", "-cifti-convert", "-to-text", path, text], check=True, capture_output=True)  # fmt: skip
    np.testing.assert_allclose(np.loadtxt(text), nb.load(path).get_fdata(), rtol=1e-5)
    assert nb.load(path).header.get_axis(0).name.tolist() == list(atlas.table["name"])


@pytest.mark.skipif(shutil.which("wb_command") is None, reason="wb_command is not installed")
def test_a_matrix_of_workbench_is_read(tmp_path):
    atlas = hard().drop_empty()
    series = np.random.default_rng(0).normal(size=(atlas.n_parcels, 20))
    (path,) = ai.save_values(series, atlas, tmp_path / "x.ptseries.nii", step=1.0)
    out = tmp_path / "x.pconn.nii"
    subprocess.run(["wb_command", "-cifti-correlation", path, out], check=True, capture_output=True)
    found = read_matrix(out, atlas=atlas)
    assert found.index.tolist() == list(atlas.table["name"])
    np.testing.assert_allclose(found, np.corrcoef(series), atol=1e-5)


def test_pandas_and_numpy_open_matrices(tmp_path):
    atlas = volume()
    matrix = matrix_of(atlas, symmetric=False)
    names = list(atlas.table["name"])
    for ending, separator in ((".tsv", "\t"), (".csv", ",")):
        path = ai.save_matrix(matrix, atlas, tmp_path / f"x{ending}")
        expected = pd.DataFrame(matrix, pd.Index(names, name="name"), names)
        pd.testing.assert_frame_equal(pd.read_csv(path, sep=separator, index_col=0), expected)
    with np.load(ai.save_matrix(matrix, atlas, tmp_path / "x.npz"), allow_pickle=False) as arrays:
        np.testing.assert_array_equal(arrays["matrix"], matrix)
        assert arrays["name"].tolist() == names
        assert arrays["key"].tolist() == list(atlas.table["key"])


@pytest.mark.parametrize("symmetric", [True, False])
def test_networkx_opens_a_graph(tmp_path, symmetric):
    atlas = brain_atlas()
    matrix = matrix_of(atlas, symmetric=symmetric)
    path = ai.save_matrix(matrix, atlas, tmp_path / "x.graphml")
    graph = networkx.read_graphml(path)
    assert graph.is_directed() is not symmetric
    assert list(graph.nodes) == list(atlas.table["name"])
    np.testing.assert_array_equal(networkx.to_numpy_array(graph), matrix)
    assert not graph.has_edge(*atlas.table["name"][:2])
    own = to_graph(pd.DataFrame(matrix), atlas)
    assert own.adj == graph.adj
    assert own.nodes == graph.nodes
    for row, (_, node) in enumerate(graph.nodes(data=True)):
        assert node["key"] == atlas.table["key"][row]
        assert node["compartment"] == atlas.table["compartment"][row]
    # The last parcel is of voxels: its centre by NumPy.
    weights = np.clip(atlas.to_dense()["subcortex"][-1], 0, None).astype(np.float64)
    places = atlas.geometry["subcortex"].coordinates
    expected = weights @ places / weights.sum()
    last = graph.nodes[atlas.table["name"][-1]]
    np.testing.assert_allclose([last[axis] for axis in "xyz"], expected)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_graph_of_correlations_has_no_directions(dtype):
    matrix = np.random.default_rng(0).normal(size=(3, 3)).astype(dtype)
    matrix = matrix + matrix.T
    matrix[0, 1] = np.nextafter(matrix[1, 0], dtype(9))
    matrix[1, 2] = matrix[2, 1] = np.inf
    assert matrix[0, 1] != matrix[1, 0]
    graph = to_graph(matrix, volume())
    assert not graph.is_directed()
    assert graph.edges["one", "two"]["weight"] == matrix[0, 1]
    matrix[1, 2] = matrix[2, 1] = 1
    matrix[0, 1] += dtype(1e-4)
    assert to_graph(matrix, volume()).is_directed()


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda f: f.to_numpy()[:, :2], ValueError, r"`matrix` should be a plain array \(3 parcels, 3 parcels\), or a DataFrame, got shape \(3, 2\)"),
        (lambda f: np.zeros((4, 4)), ValueError, r"got shape \(4, 4\)"),
        (lambda f: np.zeros(3), ValueError, r"got shape \(3,\)"),
        (lambda f: f.to_dict(), ValueError, "or a DataFrame, got dict"),
        (lambda f: None, ValueError, "or a DataFrame, got NoneType"),
        (lambda f: np.ma.masked_array(f.to_numpy()), ValueError, "got a masked one"),
        (lambda f: f["one"], ValueError, r"got shape \(3,\)"),
        (lambda f: f.rename(index={"one": "on"}), ValueError, "no parcels are named 'on'. Did you mean 'one'"),
        (lambda f: f.rename(columns={"one": "two"}), ValueError, "occur more than once: 'two'"),
        (lambda f: pd.concat([f, f]), ValueError, "occur more than once"),
        (lambda f: f.rename(index={"one": np.nan}), ValueError, r"names of parcels are missing \(NaN\)"),
        (lambda f: f.iloc[:2, :2], ValueError, "1 of the 3 parcels have no value: 'three'; for NaN there pass absent=\"nan\""),
        (lambda f: f.reset_index(drop=True), ValueError, r"on both sides, but only its columns does; pass `matrix\.set_axis\(matrix\.columns, axis='index'\)`"),
        (lambda f: f.set_axis(range(3), axis=1), ValueError, "but only its index does"),
        (lambda f: f.astype(str), TypeError, "should be numbers, but the columns 'one', 'two', 'three' are not"),
        (lambda f: f.to_numpy() * 1j, TypeError, "should be real numbers, got dtype complex128"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("ending", [".tsv", ".pconn.nii"])
def test_matrices_that_are_none_are_refused(tmp_path, change, error, message, ending):
    atlas = volume()
    names = list(atlas.table["name"])
    frame = pd.DataFrame(matrix_of(atlas), names, names)
    with pytest.raises(error, match=message):
        ai.save_matrix(change(frame), atlas, tmp_path / f"x{ending}")
    assert not list(tmp_path.iterdir())


def test_the_advice_on_matrices_works(tmp_path):
    atlas = volume()
    names = list(atlas.table["name"])
    frame = pd.DataFrame(matrix_of(atlas), names, names)
    path = ai.save_matrix(frame.iloc[:2, :2], atlas, tmp_path / "x.tsv", absent="nan")
    expected = frame.where(frame.index.isin(names[:2])[:, None] & frame.columns.isin(names[:2]))
    pd.testing.assert_frame_equal(read_matrix(path), expected)
    plain = frame.reset_index(drop=True)
    named = plain.set_axis(plain.columns, axis="index")
    pd.testing.assert_frame_equal(
        read_matrix(ai.save_matrix(named, atlas, tmp_path / "y.tsv")), frame
    )
    # A table as `pandas.read_csv` reads it without an index.
    assert (read_matrix(ai.save_matrix(frame.rename_axis("name").reset_index(), atlas, tmp_path / "z.npz")) == frame).all(axis=None)  # fmt: skip
    keyed = frame.set_axis(pd.Index([3, 1, 2], name="key")).set_axis([3, 1, 2], axis=1)
    found = read_matrix(ai.save_matrix(keyed, atlas, tmp_path / "k.npz"))
    np.testing.assert_array_equal(found, frame.to_numpy()[np.ix_([1, 2, 0], [1, 2, 0])])


@pytest.mark.parametrize(
    ("name", "message"),
    [("x.txt", r"should end in \.pconn\.nii, \.tsv, \.csv, \.npz, \.graphml, got 'x\.txt'"), ("x.nii", "should end in")],
)  # fmt: skip
def test_endings_of_no_matrix_are_refused(tmp_path, name, message):
    with pytest.raises(ValueError, match=message):
        ai.save_matrix(np.eye(3), volume(), tmp_path / name)
    with pytest.raises(ValueError, match=message):
        read_matrix(tmp_path / name)


def test_a_graph_has_no_nan_and_needs_its_package(tmp_path, monkeypatch):
    atlas, matrix = volume(), np.full((3, 3), np.nan)
    with pytest.raises(
        ValueError, match=r"a graph has no edges of NaN, got 9; .*nan_to_num.* save as \.tsv"
    ):
        ai.save_matrix(matrix, atlas, tmp_path / "x.graphml")
    assert ai.save_matrix(np.nan_to_num(matrix), atlas, tmp_path / "y.graphml")
    assert ai.save_matrix(matrix, atlas, tmp_path / "y.tsv")
    real = importlib.import_module

    def fail(name, *rest):
        if name == "networkx":
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(importlib, "import_module", fail)
    with pytest.raises(
        ValueError,
        match=r'graphs need the package networkx; install it by `pip install "atlasinit\[graphs\]"`',
    ):
        ai.save_matrix(np.eye(3), atlas, tmp_path / "x.graphml")
    assert not list(tmp_path.glob("x*"))


GRAPH = '<graphml xmlns="http://graphml.graphdrawing.org/xmlns"><key id="w" for="edge" attr.name="weight" attr.type="double"/><graph edgedefault="undirected"><node id="a"/><node id="b"/>{}</graph></graphml>'
FILES = {
    "twice.tsv": ("name\ta\ta\na\t1\t2\na\t3\t4\n", "names of its rows occur twice: 'a'"),
    "other.tsv": ("name\ta\tb\na\t1\t2\nc\t3\t4\n", "should have the same names, but one side lacks 'b', 'c'"),
    "wide.csv": ("name,a,b\na,1,2\n", "one side lacks 'b'"),
    "text.csv": ("name,a,b\na,1,x\nb,2,3\n", "its columns 'b' hold text"),
    "ragged.tsv": ("name\ta\tb\na\t1\nb\t1\t2\t3\n", "could not be read as a matrix of parcels"),
    "empty.tsv": ("", "is empty. Fetch it again"),
    "blank.tsv": ("\n", "could not be read as a matrix of parcels"),
    "bad.npz": ("no archive", "could not be read as a matrix of parcels"),
    "bad.pconn.nii": ("no image", "could not be read as a matrix of parcels"),
    "bad.graphml": ("<graphml", "could not be read as a matrix of parcels"),
    "weightless.graphml": (GRAPH.format('<edge source="a" target="b"/>'), r"edges have no weight, as that of \('a', 'b'\)"),
}  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_files_that_are_no_matrix_are_refused(tmp_path, name):
    text, message = FILES[name]
    (tmp_path / name).write_text(text)
    with pytest.raises(ai.AtlasFileError, match=message):
        read_matrix(tmp_path / name)


def test_files_of_others_are_told(tmp_path):
    atlas = hard().drop_empty()
    (values,) = ai.save_values(np.ones(atlas.n_parcels), atlas, tmp_path / "x.pscalar.nii")
    shutil.copy(values, tmp_path / "x.pconn.nii")
    with pytest.raises(
        ai.AtlasFileError, match="should both be of parcels, but are Scalar, Parcels"
    ):
        read_matrix(tmp_path / "x.pconn.nii")
    nb.save(nb.Nifti1Image(np.zeros((2, 2, 2)), np.eye(4)), tmp_path / "y.pconn.nii")
    with pytest.raises(ai.AtlasFileError, match="it is no CIFTI-2 file"):
        read_matrix(tmp_path / "y.pconn.nii")
    np.savez(tmp_path / "a.npz", matrix=np.eye(2))
    with pytest.raises(ai.AtlasFileError, match="it has no array 'name'"):
        read_matrix(tmp_path / "a.npz")
    np.savez(tmp_path / "b.npz", matrix=np.eye(2), name=["a"])
    with pytest.raises(ai.AtlasFileError, match=r"of shape \(2, 2\), with 1 names"):
        read_matrix(tmp_path / "b.npz")
    path = ai.save_matrix(np.eye(3), volume(), tmp_path / "m.tsv")
    with pytest.raises(ValueError, match="no parcels are named 'one'"):
        read_matrix(path, atlas=atlas)
    with pytest.raises(ai.AtlasFileError, match="exists already"):
        ai.save_matrix(np.eye(3), volume(), path)
    assert ai.save_matrix(np.zeros((3, 3)), volume(), path, overwrite=True) == path
    assert not read_matrix(path).to_numpy().any()
