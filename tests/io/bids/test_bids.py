"""BIDS: what the validator says of a dataset, what reading gives back, older names, mistakes."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import nibabel as nb
import numpy as np
import pandas as pd
import pytest
from helpers_cli import run_cli
from helpers_surfaces import brain_atlas, cortex_atlas

import atlasinit as ai
from atlasinit.io.bids.names import entities_for, entities_of, file_name, space_of
from atlasinit.io.formats import gifti

DISTINCT = [1, 2, 3, 4, 5, 6, 7]
FRAME = ("dataset_description.json", "README.md", ".bidsignore")
AFFINE = np.array([[4.0, 0, 0, -78], [0, 4, 0, -112], [0, 0, 4, -70], [0, 0, 0, 1]])
TPL = {"tpl": "MNI152NLin6Asym"}


def bare(atlas):
    """Return an atlas without its surfaces, for which BIDS has no place."""
    meshes = {
        c: ai.SurfaceMesh(g.n_vertices, g.vertices, hemisphere=g.hemisphere)
        for c, g in atlas.geometry.items()
        if isinstance(g, ai.SurfaceMesh)
    }
    return atlas.replace(geometry=meshes)


def desikan():
    """Return a real surface atlas."""
    return bare(ai.load_atlas("desikan-killiany", space="fsaverage5"))


def spheres():
    """Return a real atlas of overlapping spheres on the grid of an MNI template."""
    return ai.load_atlas("seitzman2018")


def grayordinates():
    """Return the real structures of all 91,282 grayordinates."""
    return bare(ai.load_atlas("hcp-standard", space="fsLR"))


def soft(atlas):
    rng = np.random.default_rng(0)
    maps = {
        c: ai.SparseMaps.from_scipy(m.to_scipy() * np.float32(rng.uniform(0.2, 0.9)))
        for c, m in atlas.maps.items()
    }
    return atlas.replace(maps=maps)


CASES = {
    "a volume": (lambda: spheres().harden(), ".nii.gz", "dseg"),
    "a probabilistic volume": (lambda: soft(spheres()), ".nii.gz", "probseg"),
    "a surface": (desikan, ".label.gii", "dseg"),
    "a soft surface": (lambda: soft(desikan()), ".func.gii", "probseg"),
    "one hemisphere": (lambda: desikan().select(compartments="cortex_R"), ".label.gii", "dseg"),
    "CIFTI": (grayordinates, ".dlabel.nii", "dseg"),
    "soft CIFTI": (brain_atlas, ".dscalar.nii", "probseg"),
    "a cohort": (
        lambda: named(
            brain_atlas().select(compartments="subcortex").harden(), "UNCInfant:cohort-2"
        ),
        ".nii.gz",
        "dseg",
    ),
}


def named(atlas, space):
    return ai.Atlas(
        name=atlas.name,
        space=space,
        maps=atlas.maps,
        geometry=atlas.geometry,
        labels=atlas.table,
        provenance=atlas.provenance,
    )


def save(atlas, folder, **options):
    if atlas.space == "MNI152":
        options = {"entities": TPL, **options}
    return ai.save_atlas(atlas, folder, format="bids", **options)


@pytest.fixture(scope="module", params=CASES)
def written(request, tmp_path_factory):
    make, ending, suffix = CASES[request.param]
    atlas = make()
    folder = tmp_path_factory.mktemp("bids") / "dataset"
    return atlas, folder, save(atlas, folder), ending, suffix


VALIDATOR = "import sys; from bids_validator_deno import cli; sys.exit(cli())"


def issues(folder):
    """Return the errors and the summary of the BIDS validator, which brings its own schema."""
    done = subprocess.run(
        [sys.executable, "-c", VALIDATOR, folder, "--format", "json"],
        capture_output=True,
        text=True,
        check=False,
    )
    found = json.loads(done.stdout)
    errors = [i for i in found["issues"]["issues"] if i["severity"] == "error"]
    assert bool(errors) == bool(done.returncode)
    return errors, found["summary"]


def test_the_validator_finds_no_error(written):
    _, folder, files, ending, suffix = written
    errors, summary = issues(folder)
    assert errors == []
    assert all(file.is_file() for file in files)
    ignored = (folder / ".bidsignore").read_text(encoding="utf-8").splitlines()
    present = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
    assert set(ignored) <= set(present)
    # Of what BIDS has a name for, nothing is hidden from the validator.
    nameless = ending in (".func.gii", ".dscalar.nii")
    hidden = [path for path in present if nameless and path not in FRAME]
    hidden += [path for path in present if path.endswith("_probseg.tsv")]
    assert set(ignored) == set(hidden)
    assert summary["totalFiles"] == len(present) - len(set(hidden)) - 1


def test_the_validator_sees_what_is_wrong(written):
    _, folder, _, _, _ = written
    broken = folder.parent / "broken"
    shutil.copytree(folder, broken)
    (broken / ".bidsignore").unlink()
    for table in broken.rglob("*.tsv"):
        table.write_text(table.read_text(encoding="utf-8").partition("\n")[2], encoding="utf-8")
    codes = {error["code"] for error in issues(broken)[0]}
    assert codes & {"TSV_COLUMN_MISSING", "ALL_FILENAME_RULES_HAVE_ISSUES"}
    shutil.rmtree(broken)


def test_reading_gives_an_equal_atlas(written):
    atlas, folder, files, ending, suffix = written
    again = ai.load_atlas(folder)
    assert again.table == atlas.table
    assert (again.name, again.space) == (atlas.name, atlas.space)
    assert again.provenance == atlas.provenance
    assert again.geometry == atlas.geometry
    for c, maps in atlas.maps.items():
        np.testing.assert_array_equal(again.maps[c].to_dense(), maps.to_dense())
    images = [file for file in files if str(file).endswith(ending)]
    assert len(images) == (2 if ".gii" in ending and len(atlas.compartments) == 2 else 1)
    assert all(f"_{suffix}{ending}" in file.name for file in images)
    assert ai.load_atlas(images).table == atlas.table


def test_tables_and_sidecars(written):
    atlas, folder, files, ending, suffix = written
    tables = sorted(path for path in files if path.suffix == ".tsv")
    rows = pd.concat([pd.read_csv(t, sep="\t", keep_default_na=False) for t in tables])
    assert rows["name"].tolist() == list(atlas.table["name"])
    # Colours are optional, and none is no column.
    assert ("color" in rows) == any(atlas.table["color"])
    assert "color" not in rows or rows["color"].str.fullmatch("#[0-9a-f]{6}|n/a").all()
    assert rows["hemisphere"].tolist() == [side or "n/a" for side in atlas.table["hemisphere"]]
    for table in tables:
        sidecar = json.loads(table.with_suffix(".json").read_text(encoding="utf-8"))
        assert ("Density" in sidecar) == (".gii" in ending or ending.startswith(".d"))
        assert ("Resolution" in sidecar) == (ending == ".nii.gz")
        entities = entities_of(table)
        for entity, field in (("den", "Density"), ("res", "Resolution")):
            assert list(sidecar.get(field, ())) == [entities[e] for e in (entity,) if e in entities]
        if suffix == "probseg":
            own = pd.read_csv(table, sep="\t")
            assert sidecar["LabelMap"] == own["name"].tolist()
    about = json.loads(next(folder.glob("atlas-*_description.json")).read_text(encoding="utf-8"))
    assert (about["Name"], about["License"]) == (atlas.name, atlas.provenance.licence)
    dataset = json.loads((folder / "dataset_description.json").read_text(encoding="utf-8"))
    assert dataset["DatasetType"] == "derivative"
    assert dataset["GeneratedBy"] == [{"Name": "atlasinit", "Version": ai.__version__}]
    assert dataset["License"] == atlas.provenance.licence


def test_compartments_keep_their_order(tmp_path):
    atlas = desikan()
    parts = [atlas.select(compartments=c) for c in ("cortex_R", "cortex_L")]
    turned = ai.join(parts)
    save(turned, tmp_path / "d")
    again = ai.load_atlas(tmp_path / "d")
    assert again.compartments == ("cortex_R", "cortex_L")
    assert again.table == turned.table


def test_keys_in_the_image_are_those_of_the_table(tmp_path):
    save(spheres().harden(), tmp_path / "d")
    (image,) = (tmp_path / "d").rglob("*_dseg.nii.gz")
    table = pd.read_csv(image.with_name(image.name.replace(".nii.gz", ".tsv")), sep="\t")
    values = np.unique(np.asarray(nb.load(image).dataobj))
    assert set(values) - {0} <= set(table["index"])


# Names


@pytest.mark.parametrize(
    ("space", "given", "expected"),
    [
        ("fsaverage5", {}, {"tpl": "fsaverage", "den": "10k"}),
        ("fsaverage", {"den": "164k"}, {"tpl": "fsaverage", "den": "164k"}),
        ("fsLR:den-164k", {}, {"tpl": "fsLR", "den": "12"}),
        ("UNCInfant:cohort-2", {}, {"tpl": "UNCInfant", "cohort": "2"}),
        ("fsLR", {"atlas": "X", "seg": "7n", "scale": "400", "desc": "a+b"}, {"atlas": "X"}),
    ],
)
def test_entities_of_an_atlas(space, given, expected):
    atlas = desikan() if space == "fsaverage5" else cortex_atlas()
    found = entities_for(named(atlas, space), given)
    assert {**found, **expected, **given} == found


def test_names_in_the_order_of_bids():
    entities = {"desc": "d", "hemi": "L", "den": "10k", "scale": "1", "tpl": "T", "atlas": "A"}
    name = file_name(entities, "dseg", ".tsv")
    assert name == "tpl-T_hemi-L_atlas-A_scale-1_den-10k_desc-d_dseg.tsv"
    assert entities_of(name) == entities
    assert space_of({"tpl": "fsaverage", "den": "10k"}) == "fsaverage5"
    assert space_of({"tpl": "UNCInfant", "cohort": "2"}) == "UNCInfant:cohort-2"


# Several atlases in one dataset


def test_a_dataset_takes_further_atlases(tmp_path):
    folder = tmp_path / "d"
    atlas, cortex = brain_atlas(key=DISTINCT).harden(), cortex_atlas()
    save(atlas, folder)
    before = {path: path.read_bytes() for path in folder.rglob("*_dseg.*")}
    save(cortex, folder, entities={"atlas": "other"}, metadata={"License": "CC-BY-4.0"})
    assert {path: path.read_bytes() for path in before} == before
    assert issues(folder)[0] == []
    dataset = json.loads((folder / "dataset_description.json").read_text(encoding="utf-8"))
    assert dataset["License"] == "CC0; CC-BY-4.0"
    assert (folder / "README.md").read_text(encoding="utf-8").count("Licence: ") == 2
    with pytest.raises(ai.AtlasFileError, match="holds 2 atlases; give the files of one.*dlabel"):
        ai.load_atlas(folder)
    assert ai.load_atlas(next(folder.rglob("*.dlabel.nii"))).table == atlas.table
    assert [path.name for path in tmp_path.iterdir()] == ["d"]


def test_the_same_atlas_is_replaced_only_when_asked(tmp_path):
    folder = tmp_path / "d"
    hard = desikan()
    written = save(hard, folder)
    save(cortex_atlas(), folder)
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    with pytest.raises(
        ai.AtlasFileError, match=r"d/tpl-.*exists already; pass overwrite=True .*desc"
    ):
        save(soft(hard), folder)
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    again = save(soft(hard), folder, overwrite=True)
    assert not any(path.exists() for path in written if path.suffix == ".gii")
    assert all(path.exists() for path in again)
    assert issues(folder)[0] == []
    assert ai.load_atlas(folder, space="fsaverage5").table == hard.table
    assert ai.load_atlas(folder, kind="hard", space="fsLR").table == cortex_atlas().table


def test_two_resolutions_share_a_description_that_fits(tmp_path):
    save(desikan(), tmp_path / "d", entities={"scale": "1"})
    save(desikan(), tmp_path / "d", entities={"scale": "2"})
    assert issues(tmp_path / "d")[0] == []
    with pytest.raises(ai.AtlasFileError, match="describes the atlas in other words"):
        save(desikan(), tmp_path / "d", entities={"scale": "3"}, metadata={"License": "CC0"})
    assert not list((tmp_path / "d").rglob("*scale-3*"))


@pytest.mark.parametrize("there", [True, False])
def test_of_two_processes_the_later_is_refused(tmp_path, monkeypatch, there):
    folder = tmp_path / "d"
    if there:
        save(desikan(), folder)
    write = gifti.write

    def slow(atlas, path, **options):
        monkeypatch.setattr(gifti, "write", write)
        save(cortex_atlas(), folder)
        return write(atlas, path, **options)

    monkeypatch.setattr(gifti, "write", slow)
    with pytest.raises(ai.AtlasFileError, match="another process has changed it meanwhile"):
        save(desikan(), folder, entities={"desc": "mine"})
    assert ai.load_atlas(folder, space="fsLR").table == cortex_atlas().table
    assert not list(folder.rglob("*desc-mine*"))
    assert [path.name for path in tmp_path.iterdir()] == ["d"]


# The names of others


def templateflow(folder, **change):
    """Write labels of two parcels as TemplateFlow names them, with the table apart."""
    own = folder / "tpl-MNI152NLin6Asym"
    own.mkdir()
    values = np.zeros((4, 5, 6), np.int16)
    values[1, 1:3, 2], values[2, 2, 2:5] = 1, 2
    base = "tpl-MNI152NLin6Asym{}_atlas-Schaefer2018_desc-100Parcels7Networks_dseg"
    nb.save(nb.Nifti1Image(values, np.eye(4)), own / f"{base.format('_res-01')}.nii.gz")
    (own / f"{base.format('')}.tsv").write_text(
        "index\tname\tcolor\n1\tA\t#ff0000\n2\tB\t#00ff00\n"
    )
    (own / f"{base.format('_res-02')}.nii.gz").touch()
    return own / f"{base.format('_res-01')}.nii.gz"


def test_the_older_names_of_templateflow(tmp_path):
    path = templateflow(tmp_path)
    for source in (path, path.parent, tmp_path):
        atlas = ai.load_atlas(source)
        assert atlas.name == "Schaefer2018-100Parcels7Networks"
        assert atlas.space == "MNI152NLin6Asym"
        assert atlas.table["name"] == ("A", "B")
        assert atlas.table["color"] == ("#ff0000", "#00ff00")


def test_a_dataset_of_another_program(tmp_path):
    """Tables and sidecars by inheritance, the nearest and most particular first."""
    path = templateflow(tmp_path)
    folder = path.parent / "anat"
    folder.mkdir()
    image = path.rename(folder / path.name)
    (tmp_path / "dataset_description.json").write_text('{"DatasetType": "derivative"}')
    about = {"Name": "S", "License": "MIT", "ReferencesAndLinks": ["Schaefer 2018", "doi:1"]}
    (tmp_path / "atlas-Schaefer2018_description.json").write_text(json.dumps(about))
    (tmp_path / "atlas-Other_description.json").write_text('{"License": "other"}')
    (folder / "tpl-MNI152NLin6Asym_atlas-Other_dseg.tsv").write_text("index\tname\n1\tx\n2\ty\n")
    atlas = ai.load_atlas(tmp_path)
    assert atlas.table["name"] == ("A", "B")
    assert atlas.provenance.licence == "MIT"
    assert atlas.provenance.citation == "Schaefer 2018; doi:1"
    (folder / "tpl-MNI152NLin6Asym_atlas-Schaefer2018_dseg.tsv").write_text(
        "index\tname\n1\tnear\n2\tby\n"
    )
    assert ai.load_atlas(image).table["name"] == ("near", "by")


def test_a_label_map_names_the_maps(tmp_path):
    values = np.random.default_rng(0).random((3, 4, 5, 2), np.float32)
    stem = "tpl-MNI152NLin6Asym_atlas-X_res-2_probseg"
    nb.save(nb.Nifti1Image(values, np.eye(4)), tmp_path / f"{stem}.nii.gz")
    (tmp_path / "tpl-MNI152NLin6Asym_probseg.json").write_text('{"LabelMap": ["GM", "WM"]}')
    assert ai.load_atlas(tmp_path).table["name"] == ("GM", "WM")


def test_images_of_a_label_each_are_one_atlas(tmp_path):
    values = {"GM": np.float32(0.25), "WM": np.float32(0.5)}
    for label, value in values.items():
        image = nb.Nifti1Image(np.full((2, 3, 4), value), np.eye(4))
        nb.save(image, tmp_path / f"tpl-MNI152NLin6Asym_res-02_label-{label}_probseg.nii.gz")
    atlas = ai.load_atlas(tmp_path)
    assert atlas.table["name"] == ("GM", "WM")
    np.testing.assert_array_equal(atlas.to_dense()["volume"], [[0.25] * 24, [0.5] * 24])


def test_a_gifti_file_without_a_table_takes_that_beside_it(tmp_path):
    array = nb.gifti.GiftiDataArray(
        np.array([0, 1, 2, 2], np.int32), "NIFTI_INTENT_LABEL", "NIFTI_TYPE_INT32"
    )
    stem = "tpl-fsLR_hemi-L_den-32k_atlas-X_dseg"
    nb.save(nb.GiftiImage(darrays=[array]), tmp_path / f"{stem}.label.gii")
    (tmp_path / "tpl-fsLR_atlas-X_dseg.tsv").write_text("index\tname\n1\tA\n2\tB\n")
    assert ai.load_atlas(tmp_path).table["name"] == ("A", "B")


def test_folders_without_an_atlas(tmp_path):
    (tmp_path / "tpl-X_atlas-Y_dseg.nii.gz").touch()
    with pytest.raises(ai.AtlasFileError, match="holds no atlas; expected files with BIDS names"):
        ai.load_atlas(tmp_path)
    (tmp_path / "tpl-X_atlas-Y_dseg.nii.gz").unlink()
    (tmp_path / "x_dseg.nii.gz").write_text("x")
    with pytest.raises(ai.AtlasFileError, match="holds no atlas"):
        ai.load_atlas(tmp_path)


def test_what_survives_a_program_that_drops_our_header(tmp_path):
    """Names, colours, space and terms are in what BIDS states, and not in our header alone."""
    atlas = spheres().harden()
    (image,) = (path for path in save(atlas, tmp_path / "d") if path.name.endswith(".nii.gz"))
    found = nb.load(image)
    nb.save(nb.Nifti1Image(np.asarray(found.dataobj), found.affine), image)
    again = ai.load_atlas(tmp_path / "d")
    for column in ("key", "name", "color", "hemisphere"):
        assert again.table[column] == atlas.table[column]
    assert again.space == TPL["tpl"]
    assert again.provenance.licence == atlas.provenance.licence
    assert again.provenance.citation == atlas.provenance.citation


@pytest.mark.skipif(shutil.which("wb_command") is None, reason="wb_command is not installed")
def test_workbench_parcellates_with_the_cifti_file_of_a_dataset(tmp_path):
    atlas = grayordinates()
    (labels,) = (path for path in save(atlas, tmp_path / "d") if path.name.endswith(".dlabel.nii"))
    data = np.random.default_rng(0).normal(size=(1, atlas.n_locations)).astype(np.float32)
    axes = (nb.cifti2.ScalarAxis(["m"]), nb.load(labels).header.get_axis(1))
    nb.save(nb.Cifti2Image(data, header=axes), tmp_path / "x.dscalar.nii")
    out = tmp_path / "x.pscalar.nii"
    command = ["wb_command", "-cifti-parcellate", tmp_path / "x.dscalar.nii", labels, "COLUMN", out]
    subprocess.run(command, check=True, capture_output=True)
    theirs = nb.load(out)
    order = [list(theirs.header.get_axis(1).name).index(name) for name in atlas.table["name"]]
    ours = ai.project(atlas, data.T, reduction="mean")
    np.testing.assert_allclose(theirs.get_fdata()[0, order], np.asarray(ours)[:, 0], atol=1e-5)


# Mistakes, in Python and on the terminal


def unlicensed():
    atlas = cortex_atlas()
    return ai.Atlas(
        name=atlas.name,
        space=atlas.space,
        maps=atlas.maps,
        geometry=atlas.geometry,
        labels=atlas.table,
    )


def without_name():
    atlas = desikan()
    return ai.Atlas(
        name="é",
        space=atlas.space,
        maps=atlas.maps,
        geometry=atlas.geometry,
        labels=atlas.table,
        provenance=atlas.provenance,
    )


MISTAKES = {
    "no licence": (
        unlicensed,
        {},
        r"needs the licence of 'mixed.*metadata=\{\"License\": \.\.\.\}",
    ),
    "no name": (
        without_name,
        {},
        "needs a name of letters and digits, got 'é'.*entities=.\"atlas\"",
    ),
    "no template": (
        lambda: named(cortex_atlas(), "unknown"),
        {},
        "needs the template.*'unknown'.*entities=.\"tpl\"",
    ),
    "another template": (
        lambda: named(cortex_atlas(), "onavg"),
        {},
        "does not name the template 'onavg'.*metadata=.\"SpatialReference\"",
    ),
    "unknown entity": (desikan, {"entities": {"scal": "1"}}, "got 'scal'. Did you mean 'scale'"),
    "a bad label": (
        desikan,
        {"entities": {"desc": "a-b"}},
        "letters, digits and [+], got desc='a-b'",
    ),
    "a resolution of a mesh": (desikan, {"entities": {"res": "2"}}, "'res' does not apply"),
    "unknown metadata": (
        desikan,
        {"metadata": {"Licence": "x"}},
        "got 'Licence'. Did you mean 'License'",
    ),
    "too long": (desikan, {"entities": {"desc": "x" * 250}}, "at most 255 letters"),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_what_bids_cannot_hold(tmp_path, case):
    make, options, message = MISTAKES[case]
    with pytest.raises(ValueError, match=message):
        save(make(), tmp_path / "d", **options)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["n" * 300, "a\0b", "n" * 300 + "/d"])
def test_a_name_that_no_folder_can_have(tmp_path, name):
    with pytest.raises(ai.AtlasFileError, match="cannot be written .*; choose another name"):
        save(named(cortex_atlas(), "onavg"), tmp_path / name)


def test_another_template_with_its_reference(tmp_path):
    reference = {"SpatialReference": "https://example.org/onavg.surf.gii"}
    atlas = named(cortex_atlas(), "onavg")
    save(atlas, tmp_path / "d", metadata=reference)
    assert issues(tmp_path / "d")[0] == []
    assert ai.load_atlas(tmp_path / "d").space == "onavg"


def test_a_licence_that_is_given_is_read_back(tmp_path):
    save(unlicensed(), tmp_path / "d", metadata={"License": "CC0", "Authors": "A. B."})
    assert ai.load_atlas(tmp_path / "d").provenance.licence == "CC0"
    about = json.loads((tmp_path / "d" / "atlas-mixed_description.json").read_text())
    assert about["Authors"] == ["A. B."]


@pytest.mark.skipif(sys.platform != "linux", reason="root may write anywhere else")
def test_a_folder_that_cannot_be_written():
    with pytest.raises(ai.AtlasFileError, match=r"/proc/d: its folder cannot be written \(.+\)"):
        save(cortex_atlas(), "/proc/d")


DK = ("desikan-killiany", "--space", "fsaverage5")
TERMINAL = {
    "no licence": (("{x}/lh.mine.csv", "--space", "fsLR"), "needs the licence of 'mine'"),
    "no such folder": ((*DK, "-o", "{x}/none/d"), "its folder does not exist; make it first"),
    "a file": ((*DK, "-o", "{x}/lh.mine.csv"), "is a file; a BIDS dataset is a folder"),
    "of others": ((*DK, "-o", "{x}"), "holds files, but is no dataset that atlasinit wrote"),
    "not a pair": ((*DK, "--entity", "desc"), "--entity should be KEY=VALUE, got 'desc'"),
    "unknown entity": ((*DK, "--entity", "scal=1"), "Did you mean 'scale'"),
    "unknown metadata": ((*DK, "--metadata", "Licence=x"), "Did you mean 'License'"),
}


@pytest.mark.parametrize("case", TERMINAL)
def test_mistakes_on_the_terminal(tmp_path, capsys, case):
    np.savetxt(tmp_path / "lh.mine.csv", np.arange(12) % 4, fmt="%d")
    arguments, message = TERMINAL[case]
    arguments = [argument.format(x=tmp_path) for argument in arguments]
    if "-o" not in arguments:
        arguments += ["-o", str(tmp_path / "d")]
    status, out, errors = run_cli(capsys, "build", *arguments, "--format", "bids")
    assert (status, out) == (2, "")
    assert errors.splitlines()[-1].startswith("atlasinit: ")
    assert message in errors.splitlines()[-1]
    assert [path.name for path in tmp_path.iterdir()] == ["lh.mine.csv"]


def test_a_dataset_on_the_terminal(tmp_path, capsys):
    arguments = (*DK, "--format", "bids", "-o", tmp_path / "d", "--entity", "desc=mine")
    status, out, _ = run_cli(capsys, "build", *arguments, "--metadata", 'Authors=["A", "B"]')
    assert status == 0
    assert "_desc-mine_dseg.label.gii" in out
    about = json.loads((tmp_path / "d/atlas-desikankilliany_description.json").read_text())
    assert about["Authors"] == ["A", "B"]
    status, out, errors = run_cli(capsys, "build", *arguments)
    assert (status, out) == (2, "")
    assert "exists already; pass --overwrite" in errors
    assert run_cli(capsys, "build", *arguments, "--overwrite")[0] == 0
    status, out, _ = run_cli(capsys, "show", tmp_path / "d", "--json")
    assert json.loads(out)["space"] == "fsaverage5"


def test_a_resampled_atlas_becomes_a_dataset_on_the_terminal(tmp_path, capsys):
    nb.save(nb.Nifti1Image(np.zeros((40, 48, 40), np.int16), AFFINE), tmp_path / "grid.nii.gz")
    arguments = ("resample", "seitzman2018", "--to", tmp_path / "grid.nii.gz", "-o", tmp_path / "d")
    status, _, errors = run_cli(
        capsys, *arguments, "--format", "bids", "--entity", f"tpl={TPL['tpl']}"
    )
    assert status == 0, errors
    (image,) = (tmp_path / "d").rglob("*_res-4mm_*.nii.gz")
    assert ai.load_atlas(image).geometry["volume"].shape == (40, 48, 40)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"format": "nifti"}, '`format` should be "bids" or None'),
        ({"entities": {"desc": "x"}}, '`entities` is for format="bids"'),
        ({"metadata": {"License": "x"}}, '`metadata` is for format="bids"'),
    ],
)
def test_options_that_need_the_format(tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        ai.save_atlas(cortex_atlas(), tmp_path / "x.npz", **options)
    with pytest.raises(ValueError, match=r"a folder takes format=.bids."):
        ai.save_atlas(cortex_atlas(), tmp_path / "folder")


def test_the_folder_of_this_process_is_left_alone(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ai.AtlasFileError, match="is the folder of this process"):
        save(cortex_atlas(), Path())
    assert tmp_path.is_dir()


def test_an_image_may_be_a_link_out_of_the_dataset(tmp_path):
    atlas = bare(cortex_atlas(key=DISTINCT)).select(compartments="cortex_L").harden()
    folder = tmp_path / "set"
    files = ai.save_atlas(atlas, folder, format="bids", entities=TPL)
    expected = ai.load_atlas(folder)
    (image,) = [path for path in files if path.name.endswith(".gii")]
    table = next(path for path in files if path.name.endswith(".tsv"))
    shared = table.with_name(table.name.replace("_hemi-L", ""))
    table.rename(shared)
    annex = tmp_path / "annex"
    annex.mkdir()
    shutil.move(image, annex / "object")
    image.symlink_to(annex / "object")
    assert ai.load_atlas(image).table["name"] == expected.table["name"]


def test_licences_are_stated_once(tmp_path):
    for seg, licence in (("a", "CC0; MIT"), ("b", "CC0; MIT"), ("c", "PDDL")):
        atlas = bare(cortex_atlas(key=DISTINCT)).select(compartments="cortex_L").harden()
        atlas = atlas.replace(name=f"atlas {seg}")
        entities = {**TPL, "seg": seg}
        metadata = {"License": licence}
        ai.save_atlas(atlas, tmp_path, format="bids", entities=entities, metadata=metadata)
    found = json.loads((tmp_path / "dataset_description.json").read_text())
    assert found["License"] == "CC0; MIT; PDDL"


@pytest.mark.parametrize("cohort", ["../../../../away", "/away", "a/b", "1_atlas-other", "é"])
def test_a_space_makes_no_folder_outside_of_the_dataset(tmp_path, cohort):
    (tmp_path / "a/b/c").mkdir(parents=True)
    before = sorted(tmp_path.rglob("*"))
    atlas = named(cortex_atlas(), f"etc:cohort-{cohort}")
    target = tmp_path / "a/b/c/d"
    refused = rf"letters, digits and \+, got cohort-{cohort} .*; pass entities=.\"cohort\": "
    options = {"format": "bids", "metadata": {"SpatialReference": "https://x.org", "License": "x"}}
    with pytest.raises(ai.ArgumentError, match=refused):
        ai.save_atlas(atlas, target, **options)
    assert sorted(tmp_path.rglob("*")) == before
    files = ai.save_atlas(atlas, target, entities={"cohort": "1"}, **options)
    assert all(file.is_relative_to(target) for file in files)


def test_a_link_to_nothing_is_no_place_for_a_dataset(tmp_path):
    link = tmp_path / "d"
    link.symlink_to(tmp_path / "away")
    with pytest.raises(ai.AtlasFileError, match="d: is a link to nothing; remove it") as caught:
        save(cortex_atlas(), link)
    assert caught.value.path == link
    assert list(tmp_path.iterdir()) == [link]


def test_errors_and_warnings_name_the_place_of_the_dataset(tmp_path):
    target, atlas = tmp_path / "d", brain_atlas().harden()
    options = {
        "format": "bids",
        "entities": {**TPL, "atlas": "mixed"},
        "metadata": {"License": "x"},
    }
    with pytest.warns(ai.AtlasWarning, match="one label table cannot hold") as told:
        ai.save_atlas(atlas, target, **options)
    (warning,) = told
    assert warning.message.path.parent.parent.parent == target
    with pytest.raises(ai.AtlasFileError, match="exists already") as caught:
        ai.save_atlas(atlas, target, **options)
    assert Path(caught.value.path).exists()
    assert Path(caught.value.path).is_relative_to(target)
