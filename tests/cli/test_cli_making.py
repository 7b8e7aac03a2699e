"""The commands build, resample, project and demo."""

import json
import re

import nibabel as nb
import numpy as np
import pandas as pd
import pytest
from helpers_resampling import save_sphere, sphere, surface_atlas
from nilearn.image import resample_img

import atlasinit as ai
from atlasinit.catalogue import package_file
from atlasinit.cli import completion
from atlasinit.projection import REDUCTIONS


def test_build_and_show_again(run, labels):
    folder, values, _ = labels
    arguments = (folder / "dseg.nii.gz", "--labels", folder / "dseg.tsv", "--space", "unknown")
    status, out, errors = run("build", *arguments, "--fwhm", 4, "-o", folder / "soft.npz")
    assert (status, out) == (0, f"{folder / 'soft.npz'}\n")
    assert errors.splitlines() == [
        "atlasinit: dseg: 2 parcels, 19 locations, space unknown",
        "atlasinit: dseg: TERMS UNKNOWN, read them at the source. Licence: not stated.",
    ]
    soft = ai.load_atlas(folder / "soft.npz")
    assert soft.labels["name"].tolist() == ["box", "corner"]
    assert soft.maps["volume"].counts().tolist() > [18, 1]
    assert "smooth" in soft.provenance.operations[0]
    assert "DenseMaps" in run("show", folder / "soft.npz")[1]


def test_build_edits_parcels(run, labels):
    folder, values, _ = labels
    table = "index\tname\tlobe\n3\tbox\tall\n5\tgone\t\n7\tcorner\tall\n"
    (folder / "lobes.tsv").write_text(table)
    own = (folder / "dseg.nii.gz", "--labels", folder / "lobes.tsv", "--space", "unknown")
    edits = ("--merge", "lobe", "--rename", "all=whole é", "--rename", "5=empty", "--renumber")
    status, _, errors = run("build", *own, *edits, "-o", folder / "one.nii.gz")
    assert status == 0, errors
    found = ai.load_atlas(folder / "one.nii.gz")
    assert found.labels["name"].tolist() == ["whole é", "empty"]
    assert found.labels["key"].tolist() == [1, 2]
    np.testing.assert_array_equal(nb.load(folder / "one.nii.gz").dataobj, values != 0)
    assert [o.partition("(")[0] for o in found.provenance.operations] == [
        "merge_parcels",
        "rename_parcels",
        "renumber_parcels",
    ]
    status, _, errors = run("build", *own, "--drop-empty", "-o", folder / "two.nii.gz")
    assert ai.load_atlas(folder / "two.nii.gz").labels["name"].tolist() == ["box", "corner"]


def test_names_with_equals_signs_are_renamed(run, labels):
    folder, _, _ = labels
    (folder / "equals.tsv").write_text("index\tname\n3\ta=b\n5\ta\n7\tc\n")
    own = (folder / "dseg.nii.gz", "--labels", folder / "equals.tsv", "--space", "unknown")
    edits = ("--rename", "a=b=x=y", "--rename", "c=z")
    status, _, errors = run("build", *own, *edits, "-o", folder / "odd.nii.gz")
    assert status == 0, errors
    found = ai.load_atlas(folder / "odd.nii.gz")
    assert found.labels["name"].tolist() == ["x=y", "a", "z"]
    status, _, errors = run("build", *own, "--rename", "c", "-o", folder / "two.nii.gz")
    assert (status, errors.splitlines()[-1]) == (
        2,
        "atlasinit: --rename should be KEY=VALUE, got 'c'.",
    )


def test_build_splits_parcels_before_it_merges_them(run, labels):
    folder = labels[0]
    shifted = nb.load(folder / "dseg.nii.gz")
    # The box lies on both sides of x = 0, and becomes two pieces by what is cut out of it.
    affine = np.array(shifted.affine)
    values = np.zeros((5, 3, 3), np.int16)
    values[:4], values[2, 0, 0], values[4] = 3, 0, 7
    values[2, 1:] = values[2, :, 1:] = 0
    affine[:, 3] = -2 * np.sign(affine[0, 0]) * abs(affine[0, 0]), 0, 0, 1
    nb.save(nb.Nifti1Image(values, affine), folder / "two.nii.gz")
    (folder / "two.tsv").write_text("index\tname\tlobe\n3\tbox\tall\n7\tend\tall\n")
    own = (folder / "two.nii.gz", "--labels", folder / "two.tsv", "--space", "unknown")
    atlas = ai.load_atlas(folder / "two.nii.gz", labels=folder / "two.tsv", space="unknown")
    for how in ("midline", "pieces"):
        status, _, errors = run("build", *own, "--split", how, "-o", folder / f"{how}.nii.gz")
        assert status == 0, errors
        found = ai.load_atlas(folder / f"{how}.nii.gz")
        expected = ai.split_parcels(atlas, how)
        assert found.table == expected.table
        assert found.n_parcels == 3
        assert found.provenance.operations[0] == expected.provenance.operations[0]
    status, _, errors = run("build", *own, "--split", "pieces", "--merge", "lobe", "-o", folder / "m.nii.gz")  # fmt: skip
    assert ai.load_atlas(folder / "m.nii.gz").labels["name"].tolist() == ["all"]
    status, _, errors = run("build", *own, "--split", "half", "-o", folder / "h.nii.gz")
    assert status == 2
    assert "'--split': 'half' is not one of 'midline', 'pieces'" in errors


def test_build_takes_weights_below_a_threshold_out(run, labels):
    folder = labels[0]
    own = (
        folder / "dseg.nii.gz",
        "--labels",
        folder / "dseg.tsv",
        "--space",
        "unknown",
        "--fwhm",
        4,
    )
    expected = ai.smooth(ai.load_atlas(folder / "dseg.nii.gz", space="unknown"), fwhm=4.0)
    assert run("build", *own, "--min-weight", 0.5, "-o", folder / "soft.npz")[0] == 0
    found, kept = (
        ai.load_atlas(folder / "soft.npz").to_dense()["volume"],
        expected.to_dense()["volume"],
    )
    np.testing.assert_allclose(found, np.where(kept >= 0.5, kept, 0), rtol=1e-6)
    status, _, errors = run("build", *own, "--min-weight", 0.999, "-o", folder / "no.npz")
    told = "parcels with no weight of 0.999 or more stay as empty rows: 'corner'; drop them by --drop-empty"
    assert (status, told in errors) == (0, True), errors


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--merge", "lobe"), "--merge: the labels have no column 'lobe'; they have"),
        (("--rename", "bx=y"), "--rename: there is no parcel 'bx' in 'dseg'. Did you mean 'box'?"),
        (("--rename", "box=corner"), "--rename should differ, but several parcels would be 'corner'"),
        (("--rename", "box"), "--rename should be KEY=VALUE"),
        (("--rename", "box=a", "--rename", "box=b"), "--rename states a key more than once"),
        (("--min-weight", "25"), "--min-weight should be at most 1, the largest weight, got 25"),
    ],
)  # fmt: skip
def test_edits_that_are_none_are_mistakes(run, labels, options, message):
    folder = labels[0]
    own = (folder / "dseg.nii.gz", "--labels", folder / "dseg.tsv", "--space", "unknown")
    status, out, errors = run("build", *own, *options, "-o", folder / "x.npz")
    assert (status, out, errors.count("\n")) == (2, "", 1)
    assert message in errors
    assert not (folder / "x.npz").exists()


def test_project_is_the_mean_of_each_parcel(run, labels):
    folder, values, data = labels
    status, out, errors = run(
        "project", folder / "dseg.nii.gz", "--labels", folder / "dseg.tsv", "--space", "unknown",
        "--data", folder / "bold.nii.gz", "-o", folder / "series.tsv",
    )  # fmt: skip
    assert status == 0
    assert out == f"{folder / 'series.tsv'}\n"
    assert errors == "atlasinit: 9 time points x 2 parcels, mean\n"
    table = pd.read_csv(folder / "series.tsv", sep="\t")
    np.testing.assert_allclose(table["box"], data[values == 3].mean(0), rtol=1e-5)
    np.testing.assert_allclose(table["corner"], data[0, 0, 0], rtol=1e-5)
    again = ("project", folder / "dseg.nii.gz", "--space", "unknown", "-d", folder / "bold.nii.gz")
    status, out, errors = run(*again, "-o", folder / "series.tsv")
    assert (status, out) == (2, "")
    assert "exists already; pass" in errors
    assert run(*again, "-o", folder / "series.tsv", "--overwrite")[0] == 0


def test_project_surfaces(run, tmp_path):
    fsaverage5 = "nilearn/datasets/data/fsaverage5/thick_{}.gii.gz"
    files = []
    for side in ("left", "right"):
        files += ["-d", package_file(fsaverage5.format(side))]
    status, _, errors = run(
        "project", "desikan-killiany", "--space", "fsaverage5", *files, "-o", tmp_path / "t.csv"
    )
    assert (status, errors) == (0, "atlasinit: 1 time point x 68 parcels, mean\n")
    table = pd.read_csv(tmp_path / "t.csv")
    assert table.shape == (1, 68)
    assert table.iloc[0].between(1, 5).all()


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_project_streams_what_ai_project_computes(run, labels, reduction):
    folder, values, data = labels
    atlas = ai.load_atlas(folder / "dseg.nii.gz", labels=folder / "dseg.tsv", space="unknown")
    expected = ai.project(atlas, data[values > 0], reduction=reduction)
    arguments = (folder / "dseg.nii.gz", "--space", "unknown", "-d", folder / "bold.nii.gz")
    status, out, _ = run(
        "project", *arguments, "-o", folder / "s.csv", "--reduction", reduction, "--json"
    )
    assert status == 0
    assert json.loads(out) == {"files": [str(folder / "s.csv")], "time_points": 9, "parcels": 2}
    np.testing.assert_allclose(pd.read_csv(folder / "s.csv").T, expected, rtol=1e-4, atol=1e-6)


def test_a_registered_reduction_is_a_choice(run, labels):
    folder, values, data = labels
    arguments = (folder / "dseg.nii.gz", "--space", "unknown", "-d", folder / "bold.nii.gz")
    command = ("project", *arguments, "-o", folder / "s.csv", "--reduction", "range")
    status, _, errors = run(*command)
    assert status == 2
    assert "'range' is not one of 'sum', 'mean'" in " ".join(errors.split())
    ai.projection.register_reduction("range", lambda values, weights: np.ptp(values, axis=0))
    try:
        assert run(*command)[0] == 0
        assert "range" in completion.reductions("ra")
    finally:
        del REDUCTIONS["range"]
    expected = [np.ptp(data[values == k], axis=0) for k in (3, 7)]
    np.testing.assert_allclose(pd.read_csv(folder / "s.csv").T, expected, rtol=1e-5)


def test_resample_to_the_grid_of_an_image(run, labels):
    folder, values, _ = labels
    fine = nb.Nifti1Image(np.zeros((8, 10, 12), np.uint8), np.diag([-1.0, 1, 1, 1]))
    nb.save(fine, folder / "fine.nii.gz")
    arguments = (folder / "dseg.nii.gz", "--space", "unknown", "--to", folder / "fine.nii.gz")
    status, out, errors = run(
        "resample", *arguments, "-o", folder / "moved.nii.gz", "--to-space", "MNI152", "--json"
    )
    assert (status, errors) == (0, "")
    told = json.loads(out)
    assert told["files"] == [str(folder / "moved.nii.gz"), str(folder / "moved.tsv")]
    assert told["atlas"]["space"] == "MNI152"
    moved = np.asarray(nb.load(folder / "moved.nii.gz").dataobj)
    expected = resample_img(
        nb.load(folder / "dseg.nii.gz"),
        fine.affine,
        fine.shape,
        interpolation="nearest",
        copy_header=True,
        force_resample=True,
    )
    # Centres of the fine voxels lie on those of the coarse ones or half-way between them.
    np.testing.assert_array_equal(moved[::2, ::2, ::2], expected.get_fdata()[::2, ::2, ::2])


def test_resample_by_a_method(run, labels):
    folder, values, _ = labels
    coarse = nb.Nifti1Image(np.zeros((2, 3, 3), np.uint8), np.diag([-4.0, 4, 4, 1]))
    nb.save(coarse, folder / "coarse.nii.gz")
    resample = ("resample", folder / "dseg.nii.gz", "--space", "unknown", "--to")
    command = (*resample, folder / "coarse.nii.gz", "-o", folder / "m.nii.gz", "--overwrite")
    assert run(*command, "--method", "nearest")[0] == 0
    # Centres of the coarse voxels lie on those of every other fine one.
    moved = np.asarray(nb.load(folder / "m.nii.gz").dataobj)
    np.testing.assert_array_equal(moved, values[::2, ::2, ::2])
    status, _, errors = run(*command, "--areas", "sphere")
    assert status == 2
    assert "--areas is for --method area, got --method auto" in errors
    assert "'cubic' is not one of 'auto', 'nearest'" in run(*command, "--method", "cubic")[2]


def test_resample_to_the_locations_of_cifti_on_its_spheres(run, tmp_path):
    source, target = sphere(60, 1, 100), sphere(40, 2, 100)
    atlas = surface_atlas(source, ai.HardMaps(np.arange(60, dtype=np.int32) // 10, 6))
    kept = target.restrict(np.arange(3, 33))
    data = surface_atlas(kept, ai.HardMaps(np.arange(30, dtype=np.int32) // 10, 3))
    ai.save_atlas(atlas, tmp_path / "a.npz")
    ai.save_atlas(data, tmp_path / "x.dlabel.nii")
    save_sphere(tmp_path / "lh.surf.gii", target)
    save_sphere(tmp_path / "small.surf.gii", sphere(20, 2, 100))
    command = ("resample", tmp_path / "a.npz", "-o", tmp_path / "b.npz", "--to")
    cifti = tmp_path / "x.dlabel.nii"
    status, _, errors = run(*command, cifti)
    assert status == 2
    assert "pass the spheres of its meshes" in errors
    status, _, errors = run(*command, cifti, "--to", tmp_path / "small.surf.gii")
    assert status == 2
    assert "has 40 vertices for 'cortex_L', its sphere 20" in errors
    assert "both state locations" in run(*command, cifti, "--to", cifti)[2]
    assert run(*command, cifti, "--to", tmp_path / "lh.surf.gii")[0] == 0
    moved = ai.load_atlas(tmp_path / "b.npz")
    assert moved.maps == ai.resample(atlas, kept).maps


def test_resample_to_spheres(run, tmp_path):
    spheres = "nilearn/datasets/data/fsaverage5/sphere_{}.gii.gz"
    arguments = ["resample", "desikan", "--space", "fsaverage5", "-o", tmp_path / "moved.npz"]
    for side in ("left", "right"):
        arguments += ["--to", package_file(spheres.format(side))]
    status, *_ = run(*arguments)
    assert status == 0
    before, after = ai.load_atlas("desikan", space="fsaverage5"), ai.load_atlas(arguments[5])
    for c in before.compartments:
        np.testing.assert_array_equal(before.maps[c].labels, after.maps[c].labels)
    assert "exists" in run(*arguments)[2]
    status, _, _ = run(*arguments[:6], "--to", "fsaverage5", "--overwrite")
    assert status == 0
    assert ai.load_atlas(arguments[5]).geometry["cortex_R"].n_vertices == 10242


@pytest.mark.parametrize("name", ["x.npz", "x.func.gii", "none/x.npz", "x.jpg"])
def test_a_place_that_is_taken_is_told_before_the_work(run, tmp_path, monkeypatch, name):
    def work(*_, **__):
        raise AssertionError

    monkeypatch.setattr("atlasinit.smoothing.smooth", work)
    monkeypatch.setattr("atlasinit.resampling.resample", work)
    for file in ("x.npz", "x.R.func.gii"):
        (tmp_path / file).write_text("old")
    desikan = ("desikan", "--space", "fsaverage5", "-o", tmp_path / name)
    for command in (["build", "--fwhm", 6], ["resample", "--to", "fsaverage5"]):
        status, out, errors = run(*command, *desikan)
        assert (status, out) == (2, "")
        assert re.search("exists already|folder does not exist|should end in", errors)


def test_data_are_told_whose_they_are(run, tmp_path):
    tables = []
    for sides in (("left", "right"), ("right", "left")):
        files = []
        for compartment, side in zip(("cortex_L", "cortex_R"), sides, strict=True):
            thickness = package_file(f"nilearn/datasets/data/fsaverage5/thick_{side}.gii.gz")
            plain = nb.load(thickness)
            plain.meta = nb.gifti.GiftiMetaData()
            plain.darrays[0].meta = nb.gifti.GiftiMetaData()
            nb.save(plain, tmp_path / f"{compartment[-1].lower()}.gii")
            files += ["-d", f"{compartment}={tmp_path / compartment[-1].lower()}.gii"]
        table = tmp_path / f"{sides[0]}.csv"
        status, _, errors = run("project", "desikan", "--space", "fsaverage5", *files, "-o", table)
        assert status == 0, errors
        tables.append(pd.read_csv(table))
    assert not np.allclose(*tables)


def test_one_hemisphere_is_projected_alone(run, tmp_path):
    left = package_file("nilearn/datasets/data/fsaverage5/thick_left.gii.gz")
    arguments = (
        "project",
        "desikan",
        "--space",
        "fsaverage5",
        "-d",
        left,
        "-o",
        tmp_path / "t.tsv",
    )
    assert "holds nothing for ['cortex_R']" in run(*arguments)[2]
    assert run(*arguments, "--compartment", "cortex_L")[0] == 0
    assert pd.read_csv(tmp_path / "t.tsv", sep="\t").shape == (1, 34)


def test_demo_names_its_files(run, tmp_path, monkeypatch):
    monkeypatch.setattr(
        "atlasinit.cli.demonstration.run_demo", lambda out: [out / "a.npz", out / "b.png"]
    )
    files = [str(tmp_path / "a.npz"), str(tmp_path / "b.png")]
    assert run("demo", "--out", tmp_path) == (0, "\n".join(files) + "\n", "")
    assert json.loads(run("demo", "--out", tmp_path, "--json")[1]) == {"files": files}


def hemispheres(folder, right=("a", "b", "c")):
    """Write labels 1, 2, 3 of both hemispheres with their names, and data; return the files."""
    keys = np.repeat([0, 1, 2, 3], 5).astype(np.int32)
    rng = np.random.default_rng(0)
    files, data = [], []
    for side, names in (("L", ("a", "b", "c")), ("R", right)):
        table = nb.gifti.GiftiLabelTable()
        for key, name in enumerate(("???", *names)):
            table.labels.append(nb.gifti.GiftiLabel(key))
            table.labels[-1].label = name
        array = nb.gifti.GiftiDataArray(keys, intent="NIFTI_INTENT_LABEL", datatype="int32")
        files.append(folder / f"x_hemi-{side}.label.gii")
        nb.save(nb.gifti.GiftiImage(labeltable=table, darrays=[array]), files[-1])
        keys = keys[::-1].copy()
        array = nb.gifti.GiftiDataArray(rng.random(20, np.float32))
        data.append(folder / f"x_hemi-{side}.func.gii")
        nb.save(nb.gifti.GiftiImage(darrays=[array]), data[-1])
    return files, data


@pytest.mark.parametrize("by", ["key", "name"])
def test_parcels_of_both_hemispheres_are_one_on_request(run, tmp_path, by):
    files, data = hemispheres(tmp_path)
    own = ("project", *files, "--space", "s", "-d", data[0], "-d", data[1], "-o")
    assert run(*own, tmp_path / "apart.tsv", "--json")[0] == 0
    assert pd.read_csv(tmp_path / "apart.tsv", sep="\t").shape == (1, 6)
    status, out, _ = run(*own, tmp_path / "one.tsv", "--unite", by, "--json")
    assert (status, json.loads(out)["parcels"]) == (0, 3)
    found = pd.read_csv(tmp_path / "one.tsv", sep="\t")
    values = np.concatenate([nb.load(path).darrays[0].data for path in data])
    keys = np.repeat([0, 1, 2, 3, 3, 2, 1, 0], 5)
    assert found.columns.tolist() == ["a", "b", "c"]
    np.testing.assert_allclose(
        found.to_numpy()[0], [values[keys == k].mean() for k in (1, 2, 3)], rtol=1e-6
    )
    # The atlas that is built so says it by itself, with what is selected alone.
    build = ("build", *files, "--space", "s", "--unite", by, "--select", "a", "-o")
    assert run(*build, tmp_path / "a.npz")[0] == 0
    assert ai.load_atlas(tmp_path / "a.npz").labels["compartment"].tolist() == ["cortex_L+cortex_R"]
    status, out, _ = run(
        "project", tmp_path / "a.npz", "-d", data[0], "-d", data[1], "-o", tmp_path / "a.tsv"
    )
    np.testing.assert_allclose(
        pd.read_csv(tmp_path / "a.tsv", sep="\t")["a"], found["a"], rtol=1e-6
    )


def test_what_cannot_be_united_says_what_can(run, tmp_path, labels):
    files, data = hemispheres(tmp_path, right=("a", "c", "b"))
    own = ("project", *files, "--space", "s", "-d", data[0], "-d", data[1], "-o")
    status, _, told = run(*own, tmp_path / "x.tsv", "--unite", "key")
    assert status == 2
    assert "--unite: parcels of one key should be one parcel, but key 2 is" in told
    assert "compare names by --unite name" in told
    assert run(*own, tmp_path / "x.tsv", "--unite", "name")[0] == 0
    assert pd.read_csv(tmp_path / "x.tsv", sep="\t").columns.tolist() == ["a", "b", "c"]
    folder = labels[0]
    status, _, told = run(
        "build",
        folder / "dseg.nii.gz",
        "--labels",
        folder / "dseg.tsv",
        "--space",
        "s",
        "--unite",
        "key",
        "-o",
        tmp_path / "y.npz",
    )
    assert status == 2
    assert "--unite should be two or more that may share parcels, got ['volume']" in told
    assert run(*own, tmp_path / "z.tsv", "--unite", "colour")[0] == 2


def test_resample_through_a_transform(run, labels):
    folder, values, _ = labels
    target = nb.Nifti1Image(np.zeros(values.shape, np.uint8), np.diag([-2.0, 2, 2, 1]))
    nb.save(target, folder / "t1.nii.gz")
    text = "#Insight Transform File V1.0\n#Transform 0\nTransform: AffineTransform_double_3_3\n"
    # In LPS: a voxel of 2 mm along the image's second axis.
    numbers = "Parameters: 1 0 0 0 1 0 0 0 1 0 2 0\nFixedParameters: 0 0 0\n"
    (folder / "from-MNI152_to-T1w_xfm.txt").write_text(text + numbers)
    (folder / "plain.txt").write_text(text + numbers)
    command = ("resample", folder / "dseg.nii.gz", "--space", "MNI152", "--to")
    command = (*command, folder / "t1.nii.gz", "-o", folder / "moved.nii.gz", "--overwrite")
    status, out, errors = run(
        *command, "--transform", folder / "from-MNI152_to-T1w_xfm.txt", "--json"
    )
    assert (status, errors) == (0, "")
    assert json.loads(out)["atlas"]["space"] == "T1w"
    moved = np.asarray(nb.load(folder / "moved.nii.gz").dataobj)
    np.testing.assert_array_equal(moved[:, 1:], values[:, :-1])
    assert not moved[:, 0].any()
    wrong = {
        ("--transform", folder / "plain.txt"): "--to-space is needed: neither plain.txt .*"
        "pass --to-space T1w",
        ("--inverse",): "--inverse is of a transform; give it by --transform",
        ("--transform", folder / "plain.txt", "--transform", "b", "--inverse"): "is for one",
        ("--transform", folder / "none.txt"): "no such file",
    }
    for options, message in wrong.items():
        status, _, errors = run(*command, *options)
        assert status == 2
        assert re.search(message, errors), errors
