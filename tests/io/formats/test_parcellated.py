"""Values of parcels as pscalar and ptseries."""

import shutil
import subprocess
import warnings

import nibabel as nb
import numpy as np
import pytest
from helpers_surfaces import brain_atlas, cortex_atlas
from nibabel.cifti2 import ParcelsAxis, SeriesAxis

import atlasinit as ai
from atlasinit.io import write_parcellated
from atlasinit.io.formats import cifti

workbench = pytest.mark.skipif(
    shutil.which("wb_command") is None, reason="wb_command (connectome-workbench) is not installed"
)


def whole_atlas():
    """A hard atlas of cortices and voxels without empty parcels, keys as one table can hold."""
    return brain_atlas(key=[1, 2, 300, 4, 5, 10, 49]).harden().drop_empty()


def test_what_nibabel_reads(tmp_path):
    atlas = whole_atlas()
    values = np.arange(2 * atlas.n_parcels).reshape(atlas.n_parcels, 2)
    path = write_parcellated(values, atlas, tmp_path / "x.pscalar.nii", names=["a", "b"])
    image = nb.load(path)
    np.testing.assert_array_equal(image.get_fdata(), values.T)
    assert list(image.header.get_axis(0).name) == ["a", "b"]
    parcels = image.header.get_axis(1)
    assert isinstance(parcels, ParcelsAxis)
    assert list(parcels.name) == list(atlas.table["name"])
    assert parcels.nvertices == {
        "CIFTI_STRUCTURE_CORTEX_LEFT": 12,
        "CIFTI_STRUCTURE_CORTEX_RIGHT": 12,
    }
    for i, c in enumerate(atlas.table["compartment"]):
        row = i - atlas.table.rows_of(c).start
        where = np.flatnonzero(atlas.maps[c].to_dense()[row])
        geometry = atlas.geometry[c]
        if isinstance(geometry, ai.SurfaceMesh):
            (own,) = parcels.vertices[i].values()
            np.testing.assert_array_equal(own, geometry.vertices[where])
        else:
            np.testing.assert_array_equal(parcels.voxels[i], geometry.ijk[where])


def test_series(tmp_path):
    atlas = cortex_atlas().drop_empty()
    values = np.random.default_rng(0).normal(size=(atlas.n_parcels, 7))
    path = write_parcellated(values, atlas, tmp_path / "x.ptseries.nii", step=0.72)
    image = nb.load(path)
    axis = image.header.get_axis(0)
    assert isinstance(axis, SeriesAxis)
    assert (axis.start, axis.step, axis.size, axis.unit) == (0, 0.72, 7, "SECOND")
    np.testing.assert_allclose(image.get_fdata(), values.T, rtol=1e-6)


@pytest.mark.parametrize("compartments", [("cortex_L", "cortex_R"), None])
def test_parcels_of_several_compartments(tmp_path, compartments):
    whole = whole_atlas()
    # Rows of each compartment count from 1, and a number has one name in all of them.
    homes = whole.table["compartment"]
    keys = [i - whole.table.rows_of(c).start + 1 for i, c in enumerate(homes)]
    names = [f"{c}_p{key}" for c, key in zip(homes, keys, strict=True)]
    atlas = ai.Atlas(
        name="shared",
        space=whole.space,
        maps=whole.maps,
        geometry=whole.geometry,
        labels=whole.table.replace(key=keys, name=names),
    ).unite(compartments=compartments)
    values = np.arange(1.0, atlas.n_parcels + 1)
    path = write_parcellated(values, atlas, tmp_path / "x.pscalar.nii")
    image = nb.load(path)
    np.testing.assert_array_equal(image.get_fdata()[0], values)
    parcels = image.header.get_axis(1)
    for row, name in enumerate(atlas.table["name"]):
        assert parcels.name[row] == name
        for c, own in atlas.parcel_slices().items():
            there = own.start <= row < own.stop
            dense = atlas.maps[c].to_dense()
            where = np.flatnonzero(dense[row - own.start]) if there else np.array([], int)
            geometry = atlas.geometry[c]
            if isinstance(geometry, ai.SurfaceMesh):
                side = {"L": "LEFT", "R": "RIGHT"}[geometry.hemisphere]
                stored = parcels.vertices[row].get(f"CIFTI_STRUCTURE_CORTEX_{side}", [])
                np.testing.assert_array_equal(stored, geometry.vertices[where])
            else:
                np.testing.assert_array_equal(parcels.voxels[row], geometry.ijk[where])


@workbench
def test_workbench_writes_the_same(tmp_path):
    atlas = whole_atlas()
    data = np.random.default_rng(0).normal(size=(1, atlas.n_locations)).astype(np.float32)
    cifti.write(atlas, tmp_path / "x.dlabel.nii")
    brain = nb.load(tmp_path / "x.dlabel.nii").header.get_axis(1)
    nb.Cifti2Image(data, header=(nb.cifti2.ScalarAxis(["m"]), brain)).to_filename(
        tmp_path / "x.dscalar.nii"
    )
    theirs = tmp_path / "theirs.pscalar.nii"
    command = ["-cifti-parcellate", "x.dscalar.nii", "x.dlabel.nii", "COLUMN", theirs.name]
    subprocess.run(["wb_command", *command], cwd=tmp_path, check=True)
    means = np.concatenate(
        [
            atlas.maps[c].to_dense() @ data[0, where] / atlas.maps[c].totals()
            for c, where in atlas.location_slices().items()
        ]
    )
    ours = write_parcellated(means, atlas, tmp_path / "ours.pscalar.nii")
    left, right = nb.load(ours), nb.load(theirs)
    order = [list(right.header.get_axis(1).name).index(name) for name in atlas.table["name"]]
    np.testing.assert_allclose(left.get_fdata(), right.get_fdata()[:, order], rtol=1e-5, atol=1e-6)
    done = subprocess.run(
        ["wb_command", "-file-information", ours], capture_output=True, text=True, check=True
    )
    assert "CIFTI - Parcel Scalar" in done.stdout


@pytest.mark.parametrize(
    ("shape", "name", "names", "message"),
    [
        ((4,), "x.pscalar.nii", None, r"\(5 parcels, n\), got shape \(4,\)"),
        ((6, 2, 2), "x.pscalar.nii", None, r"got shape \(6, 2, 2\)"),
        ((5, 2), "x.pscalar.nii", ["a"], "`names` should be 2, one a map, got 1"),
        ((6,), "x.dscalar.nii", None, "should end in .pscalar.nii or .ptseries.nii"),
    ],
)
def test_bad_input(tmp_path, shape, name, names, message):
    with pytest.raises(ValueError, match=message):
        write_parcellated(np.zeros(shape), whole_atlas(), tmp_path / name, names=names)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("ending", [".pscalar.nii", ".ptseries.nii"])
def test_parcels_without_a_location_are_rows_of_nan(tmp_path, ending):
    atlas = cortex_atlas()
    empty = atlas.labels["empty"].to_numpy()
    assert empty.sum() == 1
    values = np.arange(float(atlas.n_parcels))
    path = tmp_path / f"x{ending}"
    with pytest.warns(ai.AtlasWarning, match="without a location are NaN.*: L_b"):
        write_parcellated(values, atlas, path)
    image = nb.load(path)
    assert list(image.header.get_axis(1).name) == list(atlas.table["name"])
    np.testing.assert_array_equal(image.get_fdata()[0], np.where(empty, np.nan, values))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        write_parcellated(np.where(empty, np.nan, values), atlas, path, overwrite=True)
    if shutil.which("wb_command"):
        stated = subprocess.run(
            ["wb_command", "-file-information", path], capture_output=True, text=True, check=True
        ).stdout
        assert "Inf/NaN" in stated


def test_several_volumes_are_refused(tmp_path):
    grid = ai.VolumeGrid((2, 1, 1), np.eye(4))
    atlas = ai.Atlas(
        name="a",
        space="b",
        maps={c: ai.HardMaps(np.zeros(2, np.int32), 1) for c in "ab"},
        geometry={"a": grid, "b": grid},
        labels=ai.LabelTable(
            {
                "compartment": ["a", "b"],
                "key": [1, 1],
                "name": ["p", "q"],
                "color": ["", ""],
                "hemisphere": ["", ""],
            }
        ),
    )
    with pytest.raises(ValueError, match="should have one volume, got 2"):
        write_parcellated(np.zeros(2), atlas, tmp_path / "x.pscalar.nii")
