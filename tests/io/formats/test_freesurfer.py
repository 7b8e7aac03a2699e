"""FreeSurfer annotations, overlays and morphometry."""

import struct

import nibabel as nb
import numpy as np
import pytest
from helpers_packages import package_file
from helpers_surfaces import brain_atlas, cortex_atlas, read, rows
from nibabel.freesurfer import read_annot, write_annot, write_geometry, write_morph_data

import atlasinit as ai
from atlasinit.errors import AtlasFileError, AtlasWarning
from atlasinit.io.assembly.assemble import assemble
from atlasinit.io.formats import annotations
from atlasinit.io.formats.registry import read_vertices
from atlasinit.io.input import Input

APARC = ("nilearn", "nilearn/surface/tests/data/test.annot")
CTAB = np.array([[25, 5, 25, 0], [255, 0, 0, 0], [0, 255, 0, 0]])
NAMES = ["unknown", "red", "green"]


def annotation(path, labels, ctab=CTAB, names=NAMES):
    write_annot(path, np.array(labels), ctab, names)
    return path


def overlay(path, values):
    nb.MGHImage(np.asarray(values), np.eye(4)).to_filename(path)
    return path


def test_a_real_annotation_agrees_with_nibabel():
    path = package_file(*APARC)
    part = read(path, compartment="cortex_L")["cortex_L"]
    labels, ctab, names = read_annot(path)
    np.testing.assert_array_equal(part.keys, labels)
    assert [row.name.encode() for row in rows(part)] == names
    assert [row.color for row in rows(part)] == [
        "#" + bytes(rgb).hex() for rgb in ctab[:, :3].astype(np.uint8)
    ]
    atlas = assemble([part], name="aparc", space="fsaverage5")
    assert atlas.n_parcels == 34
    assert atlas.table["key"][:3] == (1, 2, 3)
    assert {"unknown", "corpuscallosum"}.isdisjoint(atlas.table["name"])


def test_vertices_without_a_label(tmp_path):
    path = annotation(tmp_path / "lh.x.annot", [-1, 0, 1, 2, -1])
    atlas = assemble(read(path).values(), name="x", space="y")
    np.testing.assert_array_equal(
        atlas.maps["cortex_L"].to_dense(), [[0, 0, 1, 0, 0], [0, 0, 0, 1, 0]]
    )


def test_entry_0_is_a_parcel_unless_it_is_named_as_background(tmp_path):
    path = annotation(tmp_path / "rh.x.annot", [-1, 0, 1, 2], names=["pink", "red", "green"])
    atlas = assemble(read(path).values(), name="x", space="y")
    assert atlas.table["name"] == ("pink", "red", "green")
    assert atlas.table["key"] == (0, 1, 2)
    np.testing.assert_array_equal(atlas.maps["cortex_R"].counts(), [1, 1, 1])


def test_colours_that_do_not_tell_labels(tmp_path):
    path = annotation(tmp_path / "lh.x.annot", [1, 2], CTAB[[0, 1, 1]])
    with pytest.raises(AtlasFileError, match="cannot tell red, green apart"):
        read(path)
    path = annotation(tmp_path / "lh.y.annot", [0, 0], CTAB[[0, 1, 1]])
    np.testing.assert_array_equal(read(path)["cortex_L"].keys, [0, 0])
    content = path.read_bytes().replace((25 + 5 * 256 + 25 * 65536).to_bytes(4, "big"), b"\0\0\0\7")
    path.write_bytes(content)
    with pytest.raises(AtlasFileError, match="1 labels are not in its colour table: 0x7"):
        read(path)


def annotation_with_gaps(path, colors, order):
    """Write entries at positions 0, 3 and 7 in an order of the file; vertices have their colours."""
    names = {0: "unknown", 3: "red", 7: "last"}
    entries = {position: (names[position], colors[position]) for position in order}
    packed = [r | g << 8 | b << 16 for r, g, b in (colors[3], colors[7], colors[3], (0, 0, 0))]
    content = struct.pack(">i", 4)
    content += b"".join(struct.pack(">ii", i, value) for i, value in enumerate(packed))
    content += struct.pack(">iii", 1, -2, 8) + struct.pack(">i", 1) + b"\0"
    content += struct.pack(">i", len(entries))
    for position, (name, rgb) in entries.items():
        text = name.encode() + b"\0"
        content += struct.pack(">ii", position, len(text)) + text + struct.pack(">4i", *rgb, 0)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("first", [(0, 0, 0), (9, 9, 9)])
@pytest.mark.parametrize("order", [(0, 3, 7), (7, 0, 3), (3, 7, 0)])
def test_positions_without_an_entry(tmp_path, first, order):
    colors = {0: first, 3: (255, 0, 0), 7: (0, 255, 0)}
    part = read(annotation_with_gaps(tmp_path / "lh.x.annot", colors, order))["cortex_L"]
    assert sorted((row.key, row.name, row.color) for row in rows(part)) == [
        (0, "unknown", "#" + 3 * f"{first[0]:02x}"),
        (3, "red", "#ff0000"),
        (7, "last", "#00ff00"),
    ]
    np.testing.assert_array_equal(part.keys, [3, 7, 3, 0])


@pytest.mark.parametrize(
    ("shape", "maps"),
    [((6,), 1), ((6, 1, 1), 1), ((1, 1, 6), 1), ((6, 1, 1, 3), 3), ((1, 1, 6, 3), 3)],
)
@pytest.mark.parametrize("extension", ["mgh", "mgz"])
def test_overlays_in_every_shape(tmp_path, shape, maps, extension):
    values = np.arange(6 * maps, dtype=np.float32).reshape(6, maps)
    path = overlay(tmp_path / f"rh.x.{extension}", values.reshape(shape))
    part = read(path, kind="maps")["cortex_R"]
    np.testing.assert_array_equal(part.maps, values.T)
    assert part.maps.dtype == np.float32
    part = read(path, map=0)["cortex_R"]
    np.testing.assert_array_equal(part.keys, values[:, 0])


def test_a_real_overlay():
    name = "sub-010188_ses-02_task-rest_acq-AP_run-01.fsa5.lh.mgz"
    path = package_file("brainspace", f"brainspace/datasets/preprocessing/{name}")
    part = read(path)["cortex_L"]
    assert part.maps.shape == (652, 10242)
    assert np.count_nonzero((part.maps == 0).all(axis=0)) == 888


def test_morphometry(tmp_path):
    values = np.array([1.5, 2.25, 0], np.float32)
    write_morph_data(tmp_path / "lh.thickness", values)
    part = read(tmp_path / "lh.thickness")["cortex_L"]
    np.testing.assert_array_equal(part.maps, values[None])


# Writing


def test_what_is_written_is_read(tmp_path):
    atlas = cortex_atlas(key=[1, 2, 3, 1, 2, 10, 49])
    paths = annotations.write(atlas, tmp_path / "x.annot")
    assert paths == [tmp_path / "lh.x.annot", tmp_path / "rh.x.annot"]
    parts = [part for path in paths for part in read(path).values()]
    back = assemble(parts, name=atlas.name, space=atlas.space)
    for column in ("compartment", "key", "name", "color", "hemisphere"):
        assert back.table[column] == atlas.table[column]
    for c, maps in atlas.maps.items():
        whole = atlas.geometry[c].put(maps.to_dense().T).T
        np.testing.assert_array_equal(back.maps[c].to_dense(), whole)
    labels, _, names = read_annot(paths[0])
    np.testing.assert_array_equal(labels, [-1, 1, 1, 3, 3, 3, -1, 1, 3, 1, -1, -1])
    assert names == [b"unknown", b"L_a", b"L_b", b"L_c"]


def test_a_real_atlas_is_written_whole(tmp_path):
    part = read(package_file(*APARC), compartment="cortex_L")["cortex_L"]
    atlas = assemble([part], name="aparc", space="fsaverage5")
    with pytest.warns(AtlasWarning, match="the keys become 1 to 34; names and colours stay"):
        (path,) = annotations.write(atlas, tmp_path / "lh.aparc.annot")
    back = assemble(read(path).values(), name="aparc", space="fsaverage5")
    assert back.table["name"] == atlas.table["name"]
    assert back.table["color"] == atlas.table["color"]
    np.testing.assert_array_equal(back.maps["cortex_L"].labels, atlas.maps["cortex_L"].labels)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"color": ["#ff0000"] * 7}, "tells labels by colour, but L_a, L_b, L_c share theirs"),
        ({"color": ["#000000", *["#00000" + d for d in "123456"]]}, "black means no label"),
        ({"name": ["é", "b", "c", "d", "e", "f", "g"]}, "should be ASCII, got é"),
    ],
)
def test_what_an_annotation_cannot_hold(tmp_path, changes, message):
    with pytest.raises(ValueError, match=message):
        annotations.write(cortex_atlas(**changes), tmp_path / "x.annot")
    assert list(tmp_path.iterdir()) == []


def test_soft_maps_and_volumes_are_refused(tmp_path):
    soft = cortex_atlas().normalize()
    with pytest.raises(ValueError, match="soft maps; harden them by `atlas.harden"):
        annotations.write(soft, tmp_path / "x.annot")
    with pytest.raises(ValueError, match="are volumes"):
        annotations.write(brain_atlas().harden(), tmp_path / "x.annot")


# Bad input


def test_other_files(tmp_path):
    write_geometry(tmp_path / "lh.white", np.eye(3), np.array([[0, 1, 2]]))
    with pytest.raises(AtlasFileError, match="is a surface"):
        read(tmp_path / "lh.white")
    (tmp_path / "lh.notes").write_text("hello")
    with pytest.raises(AtlasFileError, match="is not a FreeSurfer morphometry file"):
        read(tmp_path / "lh.notes")
    path = overlay(tmp_path / "lh.x.mgz", np.zeros((3, 4, 5), np.float32))
    with pytest.raises(AtlasFileError, match="is it a volume"):
        read_vertices(Input(path))
    path = annotation(tmp_path / "x.annot", [0, 1])
    with pytest.raises(AtlasFileError, match="states a hemisphere"):
        read(path)
    with pytest.raises(AtlasFileError, match="holds labels, not weights"):
        read(path, compartment="cortex_L", kind="maps")


def test_one_hemisphere_has_its_side_in_the_name(tmp_path):
    right = cortex_atlas().select(compartments="cortex_R").harden()
    with pytest.raises(ValueError, match=r"lh\.x\.annot states the left hemisphere.*cortex_R"):
        ai.save_atlas(right, tmp_path / "lh.x.annot")
    (path,) = ai.save_atlas(right, tmp_path / "x.annot")
    assert path.name == "rh.x.annot"
    assert ai.load_atlas(path, space="fsLR").compartments == ("cortex_R",)


@pytest.mark.parametrize("name", ["unknown", "L_Unknown", "???", "Medial_wall"])
def test_names_that_the_reader_drops_are_refused(tmp_path, name):
    left = cortex_atlas().select(compartments="cortex_L").harden()
    names = [name, *left.table["name"][1:]]
    columns = {c: left.table[c] for c in left.table.columns} | {"name": names}
    with pytest.raises(ValueError, match="would mean no label"):
        ai.save_atlas(left.replace(labels=ai.LabelTable(columns)), tmp_path / "lh.x.annot")


def test_vertices_in_another_order(tmp_path):
    labels = np.random.default_rng(0).choice(CTAB[1:, :3] @ [1, 256, 65536], 20)
    path = annotation(tmp_path / "lh.x.annot", np.where(labels == labels[0], 1, 2))
    expected = read(path)["cortex_L"].keys
    raw = np.fromfile(path, np.uint8)
    pairs = raw[4:164].reshape(20, 8)
    pairs[:] = pairs[np.random.default_rng(1).permutation(20)]
    raw.tofile(path)
    np.testing.assert_array_equal(read(path)["cortex_L"].keys, expected)
    pairs[0] = pairs[1]
    raw.tofile(path)
    with pytest.raises(AtlasFileError, match="vertex numbers"):
        read(path)
