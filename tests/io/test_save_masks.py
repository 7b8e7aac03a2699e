"""Parcels as masks in files of their own, read by nibabel, nilearn, Workbench and ours."""

import shutil
import subprocess
import warnings

import nibabel as nb
import numpy as np
import pytest
from helpers_surfaces import brain_atlas, cortex_atlas
from nilearn.masking import apply_mask

import atlasinit as ai

ODD = ["a/b", "a:b", "A b", "a b", "e..", "aux", "-rf é"]


def expected(atlas, threshold=0):
    """Return (name, compartment) to where a parcel lies, over the whole grid or mesh."""
    found = {}
    for c, matrix in atlas.to_dense().items():
        rows = range(*atlas.parcel_slices()[c].indices(atlas.n_parcels))
        for row, weights in zip(rows, matrix, strict=True):
            inside = (weights > 0) & (weights >= threshold)
            found[atlas.table["name"][row], c] = atlas.geometry[c].put(inside)
    return found


def read(path):
    """Return the mask of a file as nibabel reads it."""
    if path.suffix == ".label":
        return nb.freesurfer.read_label(path)
    image = nb.load(path)
    return image.agg_data() if path.name.endswith(".gii") else np.asarray(image.dataobj)


@pytest.mark.filterwarnings("ignore:.*masks are 0 everywhere:atlasinit.AtlasWarning")
@pytest.mark.parametrize("threshold", [0, 0.5])
@pytest.mark.parametrize("make", [brain_atlas, lambda: brain_atlas().harden(), cortex_atlas])
def test_masks_are_where_parcels_have_weight(tmp_path, make, threshold):
    atlas = make()
    found = ai.save_masks(atlas, tmp_path / "new", threshold=threshold)
    assert list(found) == list(atlas.table["name"])
    truth = expected(atlas, threshold)
    for name, files in found.items():
        (path,) = files
        row = atlas.table["name"].index(name)
        c = atlas.table["compartment"][row]
        np.testing.assert_array_equal(read(path), truth[name, c])
    assert sorted((tmp_path / "new").iterdir()) == sorted(p for own in found.values() for p in own)
    volume = nb.load(found[atlas.table["name"][-1]][0])
    if "subcortex" in atlas.compartments:
        assert volume.get_data_dtype() == np.uint8
        np.testing.assert_allclose(volume.affine, atlas.geometry["subcortex"].affine)


def test_masks_are_read_back_as_atlases_and_as_masks(tmp_path):
    atlas = brain_atlas().harden().drop_empty()
    found = ai.save_masks(atlas, tmp_path)
    for name, (path,) in found.items():
        again = ai.load_atlas(path)
        assert (again.table["name"], again.space, again.name) == ((name,), atlas.space, atlas.name)
        (c,) = again.compartments
        assert again.geometry[c] == atlas.geometry[c]
        row = atlas.select(name)
        np.testing.assert_array_equal(again.maps[c].labels, row.maps[c].labels)
        assert again.provenance.operations[-1] == f"save_masks({name!r})"
    volume = atlas.select(compartments="subcortex")
    path = found[volume.table["name"][0]][0]
    kept = ai.load_atlas(path, mask=path)
    assert kept.n_locations == volume.labels["n_locations"][0]
    data = np.random.default_rng(0).normal(size=(*volume.geometry["subcortex"].shape, 2))
    image = nb.Nifti1Image(data, volume.geometry["subcortex"].affine)
    means = ai.project(volume, volume.geometry["subcortex"].take(data).astype(np.float32))
    np.testing.assert_allclose(apply_mask(image, path).mean(axis=1), means[0], rtol=1e-5)


def test_freesurfer_labels_list_vertices_and_coordinates(tmp_path):
    atlas = ai.load_atlas("desikan-killiany", space="fsaverage5")
    found = ai.save_masks(atlas, tmp_path, parcels=["R_insula", "L_insula"], format=".label")
    assert [p.name for own in found.values() for p in own] == ["lh.insula.label", "rh.insula.label"]
    path = found["R_insula"][0]
    mesh = atlas.geometry["cortex_R"]
    row = atlas.table["name"].index("R_insula") - atlas.parcel_slices()["cortex_R"].start
    vertices = np.flatnonzero(mesh.put(np.asarray(atlas.maps["cortex_R"].labels) == row))
    np.testing.assert_array_equal(nb.freesurfer.read_label(path), vertices)
    lines = path.read_text().splitlines()
    assert (lines[0], int(lines[1])) == ("#!ascii label R_insula, from subject fsaverage5", len(vertices))  # fmt: skip
    points = np.loadtxt(path, skiprows=2)
    expected = 0 if mesh.anatomical is None else mesh.anatomical[vertices]
    np.testing.assert_allclose(points[:, 1:4], np.broadcast_to(expected, points[:, 1:4].shape), atol=6e-4)  # fmt: skip
    kept = ai.load_atlas("desikan-killiany", space="fsaverage5", mask={"cortex_R": path})
    assert kept.geometry["cortex_R"].n_locations == len(vertices)


@pytest.mark.skipif(shutil.which("wb_command") is None, reason="wb_command is not installed")
def test_workbench_reads_masks(tmp_path):
    atlas = brain_atlas().harden().drop_empty()
    found = ai.save_masks(atlas, tmp_path)
    for name in (atlas.table["name"][0], atlas.table["name"][-1]):
        (path,) = found[name]
        kind = "volume" if path.name.endswith(".nii.gz") else "gifti"
        out = tmp_path / "table.txt"
        command = {
            "volume": ["-volume-label-export-table", path, "1", out],
            "gifti": ["-label-export-table", path, out],
        }[kind]
        subprocess.run(["wb_command", *command], check=True, capture_output=True)
        assert name in out.read_text("utf-8").splitlines()


def test_a_parcel_of_both_sides_has_a_file_for_each(tmp_path):
    keys = {"cortex_L": np.array([0, 1, 2, 2]), "cortex_R": np.array([1, 2, 0, 0])}
    both = ai.load_atlas(keys, labels={1: "one", 2: "two"}, space="mine").unite()
    found = ai.save_masks(both, tmp_path, parcels=2)
    assert {n: [p.name for p in own] for n, own in found.items()} == {"two": ["two.L.label.gii", "two.R.label.gii"]}  # fmt: skip
    assert [read(p).tolist() for p in found["two"]] == [[0, 0, 1, 1], [0, 1, 0, 0]]


def test_odd_names_are_made_safe_and_never_share_a_file(tmp_path):
    atlas = brain_atlas(name=ODD).harden().drop_empty()
    with pytest.warns(ai.AtlasWarning, match=r"files are not called as their parcels: 'a/b' in "):
        found = ai.save_masks(atlas, tmp_path)
    assert list(found) == list(atlas.table["name"])
    names = [p.name for own in found.values() for p in own]
    assert len({name.casefold() for name in names}) == len(names) == atlas.n_parcels
    truth = expected(atlas)
    for name, (path,) in found.items():
        c = atlas.table["compartment"][atlas.table["name"].index(name)]
        np.testing.assert_array_equal(read(path), truth[name, c])
        assert ai.load_atlas(path).table["name"] == (name,)


def volume(names):
    values = np.arange(len(names) + 1, dtype=np.int16).reshape(1, 1, -1).repeat(2, 0).repeat(2, 1)
    return ai.load_atlas(nb.Nifti1Image(values, np.eye(4)), labels=dict(enumerate(names, 1)), space="x")  # fmt: skip


@pytest.mark.parametrize(
    ("names", "files"),
    [
        (["a/b", "a:b", "A b", "c"], ["a-b-1", "a-b-2", "A-b-3", "c"]),
        (["a/b", "a:b", "a-b-1"], ["a-b-1-2", "a-b-2", "a-b-1"]),
        (["aux", "-rf é", "NUL.x"], ["aux_", "rf-é", "NUL.x_"]),
        (["x" * 300, "x" * 301], ["x" * 120 + "-1", "x" * 120 + "-2"]),
        (["é", "e\u0301"], ["é-1", "é-2"]),
        (["Straße", "STRASSE"], ["Straße-1", "STRASSE-2"]),
    ],
)
def test_file_names(tmp_path, names, files):
    atlas = volume(names)
    with pytest.warns(ai.AtlasWarning, match="files are not called as their parcels"):
        found = ai.save_masks(atlas, tmp_path)
    assert {n: [p.name for p in own] for n, own in found.items()} == {n: [f"{f}.nii.gz"] for n, f in zip(names, files, strict=True)}  # fmt: skip
    assert [int(read(p)[0, 0, i]) for i, (p,) in enumerate(found.values(), 1)] == [1] * len(names)


@pytest.mark.parametrize("name", ["x.dlabel", "x.dtseries", "a.b.pscalar"])
def test_no_mask_is_called_as_a_file_of_another_format(tmp_path, name):
    with pytest.warns(ai.AtlasWarning, match="files are not called as their parcels"):
        ((path,),) = ai.save_masks(volume([name]), tmp_path, format=".nii").values()
    assert path.name == f"{name.replace('.', '-')}.nii"
    assert ai.load_atlas(path).table["name"] == (name,)


@pytest.mark.filterwarnings("ignore:.*files are not called as their parcels")
@pytest.mark.parametrize("letter", ["x", "é", "中", "𝓐"])
def test_long_names_of_any_letters_are_written(tmp_path, letter):
    names = [letter * 300, letter * 300 + "b"]
    found = ai.save_masks(volume(names), tmp_path)
    files = [path.name for own in found.values() for path in own]
    assert len(set(files)) == 2
    assert all(name.startswith(letter * 30) and len(name.encode()) < 160 for name in files)
    for name in names:
        assert ai.load_atlas(found[name][0]).labels["name"].tolist() == [name]


def test_a_parcel_without_a_location_is_a_mask_of_0(tmp_path):
    atlas = cortex_atlas()
    empty = atlas.labels["name"][atlas.labels["empty"]].tolist()
    assert empty
    with pytest.warns(ai.AtlasWarning, match="masks are 0 everywhere.*" + repr(empty[0])):
        found = ai.save_masks(atlas, tmp_path, parcels=empty)
    assert not read(found[empty[0]][0]).any()
    with pytest.warns(ai.AtlasWarning, match=r"of parcels with no weight of 0\.5 or more: "):
        found = ai.save_masks(atlas, tmp_path, parcels=empty, format=".label", threshold=0.5)
    assert found[empty[0]][0].read_text().splitlines()[1] == "0"


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"parcels": "d_"}, ValueError, "there is no parcel 'd_'"),
        ({"format": ".label"}, ValueError, r"should be \.nii\.gz or \.nii of 'subcortex' \(VolumeGrid\), got '\.label'; leave it out"),
        ({"parcels": []}, ValueError, "`parcels` should name parcels of 'mixed é <&>', got none"),
        ({"format": "nii"}, ValueError, r"`format` should be one of \.nii\.gz, .*got 'nii'"),
        ({"threshold": -1}, ValueError, "`threshold` should be a weight of 0 or more, got -1"),
    ],
)  # fmt: skip
def test_masks_that_cannot_be_are_refused_and_nothing_is_written(tmp_path, options, error, message):
    with pytest.raises(error, match=message):
        ai.save_masks(brain_atlas(), tmp_path / "new", **options)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "message"),
    [("a\nb", r"`folder`: .* cannot hold names with line breaks"), ("???", r"'\?\?\?' means no label in label-1\.L\.label\.gii")],
)  # fmt: skip
def test_names_that_no_file_holds_are_refused(tmp_path, name, message):
    atlas = brain_atlas(name=[name, *"bcdefg"])
    with pytest.raises(ValueError, match=message):
        ai.save_masks(atlas, tmp_path / "new")
    assert not list(tmp_path.iterdir())


def test_files_that_exist_stay_and_the_others_are_not_written(tmp_path):
    atlas = volume(["one", "two"])
    (tmp_path / "two.nii.gz").write_text("old")
    with pytest.raises(ai.AtlasFileError, match=r"two\.nii\.gz: exists already"):
        ai.save_masks(atlas, tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["two.nii.gz"]
    found = ai.save_masks(atlas, tmp_path, overwrite=True)
    assert read(found["two"][0])[1, 1].tolist() == [0, 0, 1]
    for place, told in (("two.nii.gz", "is a file, not a folder"), ("no/new", "does not exist")):
        with pytest.raises(ai.AtlasFileError, match=told):
            ai.save_masks(atlas, tmp_path / place)


def test_masks_add_up_to_the_labels(tmp_path):
    atlas = ai.load_atlas("aal")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ai.AtlasWarning)
        found = ai.save_masks(atlas, tmp_path, parcels=["Precentral_L", "Insula_R"], format=".nii")
    (path,) = ai.save_atlas(atlas, tmp_path / "all.nii.gz")[:1]
    labels = np.asarray(nb.load(path).dataobj)
    for name, (own,) in found.items():
        key = atlas.table["key"][atlas.table["name"].index(name)]
        np.testing.assert_array_equal(read(own), labels == key)


@pytest.mark.skipif(shutil.which("wb_command") is None, reason="wb_command is not installed")
@pytest.mark.parametrize("kind", ["volume", "gifti"])
def test_masks_are_those_of_workbench(tmp_path, kind):
    atlas = brain_atlas(key=[1, 2, 3, 1, 2, 10, 49]).harden().drop_empty()
    surface = kind == "gifti"
    own = atlas.select(compartments="cortex_L" if surface else "subcortex")
    name = own.table["name"][-1]
    (path,) = ai.save_masks(own, tmp_path, parcels=name)[name]
    whole = ai.save_atlas(own, tmp_path / ("a.label.gii" if surface else "a.nii.gz"))[0]
    out = tmp_path / ("roi.func.gii" if surface else "roi.nii.gz")
    command = ["wb_command", f"-{kind}-label-to-roi", whole, out, "-name", name]
    subprocess.run(command, check=True, capture_output=True)
    np.testing.assert_array_equal(np.squeeze(read(out)), read(path))
