"""Files and folders that are made to harm: each is refused, and nothing outside of them is touched."""

import json
import re
import sys
import time
import zipfile
from pathlib import Path

import nibabel as nb
import numpy as np
import pytest
from fuzz.inputs import IMAGE, seeds

import atlasinit as ai
from atlasinit.extraction.state import Ledger
from atlasinit.io.spheres import spheres
from atlasinit.io.timing import read_repetition_time
from atlasinit.transforms.files import read_transform

SEAL = [3, 0, "0"]
RECORD = {"status": "done", "tasks": {"a": "0"}, "files": {"x.tsv": SEAL}}
RECORDS = {
    "no mapping": [1, 2],
    "tasks": {**RECORD, "tasks": 5},
    "files": {**RECORD, "files": ["x.tsv"]},
    "a path above": {**RECORD, "files": {"../victim.tsv": SEAL}},
    "an absolute path": {**RECORD, "files": {"/victim.tsv": SEAL}},
    "a null": {**RECORD, "files": {"x\0.tsv": SEAL}},
    "the folder itself": {**RECORD, "files": {"": SEAL}},
    "a name too long": {**RECORD, "files": {"x" * 300: SEAL}},
    "no seal": {**RECORD, "files": {"x.tsv": 3}},
    "more": {**RECORD, "further": 1},
}


@pytest.mark.parametrize("case", RECORDS)
def test_records_of_an_extraction_name_its_own_files_alone(tmp_path, case):
    victim = tmp_path / "victim.tsv"
    victim.write_text("abc")
    ledger = Ledger(tmp_path / "out")
    ledger.open()
    (ledger.folder / "runs" / "sub-1.json").write_text(json.dumps(RECORDS[case]))
    assert ledger.records() == {}
    assert not ledger.find_done("sub-1", {"a": "0"})
    assert victim.read_text() == "abc"


def test_a_record_takes_no_folder_away(tmp_path):
    ledger = Ledger(tmp_path / "out")
    ledger.open()
    (ledger.root / "sub-1").mkdir()
    record = {**RECORD, "files": {"sub-1": SEAL, "sub-1/there.tsv/is.tsv": SEAL}}
    (ledger.root / "sub-1" / "there.tsv").write_text("abc")
    (ledger.folder / "runs" / "sub-1.json").write_text(json.dumps(record))
    (found,) = ledger.records().values()
    ledger.remove(found)
    assert not ledger.find_done("sub-1", {"a": "0"})
    assert (ledger.root / "sub-1" / "there.tsv").read_text() == "abc"


@pytest.mark.parametrize("text", ["[]", "[" * 100_000, '{"atlases": 3}', "\xff", "5"])
def test_options_of_an_extraction_that_are_none(tmp_path, text):
    ledger = Ledger(tmp_path / "out")
    ledger.open()
    (ledger.folder / "options.json").write_text(text, encoding="latin-1")
    with pytest.raises(ai.AtlasFileError, match=r"options\.json: is damaged; remove this file"):
        ledger.settle({"atlases": {}}, [], overwrite=True)


def test_a_repetition_time_is_read_from_no_file_outside(tmp_path):
    (tmp_path / "outside.bin").write_bytes(np.ones(60, np.float32).tobytes())
    array = nb.gifti.GiftiDataArray(np.ones(60, np.float32), "NIFTI_INTENT_TIME_SERIES")
    array.meta["TimeStep"] = "2000"
    text = nb.GiftiImage(darrays=[array]).to_bytes().decode()
    path = tmp_path / "sub" / "a.func.gii"
    path.parent.mkdir()
    path.write_text(text)
    assert read_repetition_time(path) == 2.0
    text = text.replace("GZipBase64Binary", "ExternalFileBinary")
    path.write_text(text.replace('ExternalFileName=""', 'ExternalFileName="../outside.bin"'))
    with pytest.raises(ai.AtlasFileError, match="outside of its folder"):
        read_repetition_time(path)


@pytest.mark.parametrize("step", ["nan", "inf", "-2000", "0"])
def test_a_repetition_time_is_positive(tmp_path, step):
    array = nb.gifti.GiftiDataArray(np.ones(6, np.float32), "NIFTI_INTENT_TIME_SERIES")
    array.meta["TimeStep"] = step
    nb.save(nb.GiftiImage(darrays=[array]), tmp_path / "a.func.gii")
    assert read_repetition_time(tmp_path / "a.func.gii") is None


def test_a_workbook_with_a_cell_at_its_far_end(tmp_path):
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    for row in (("index", "name"), (1, "A"), (2, "B"), (3, "C")):
        book.active.append(row)
    book.active["XFD900"] = 1
    book.save(tmp_path / "a.xlsx")
    before = time.process_time()
    # Rows are not filled up to the last column of a sheet that has few of them.
    with pytest.raises(ai.AtlasFileError, match="could not be read as a label table"):
        ai.load_atlas(IMAGE, space="x", labels=tmp_path / "a.xlsx")
    assert time.process_time() - before < 5


def test_a_workbook_that_unpacks_to_much(tmp_path, monkeypatch):
    monkeypatch.setattr("atlasinit.io.tables.excel._LARGEST", 1000)
    with zipfile.ZipFile(tmp_path / "a.xlsx", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/workbook.xml", " " * 10_000)
    with pytest.raises(ai.AtlasFileError, match="unpacks to 0 MiB, more than a label table"):
        ai.load_atlas(IMAGE, space="x", labels=tmp_path / "a.xlsx")


def test_spheres_reach_no_further_than_their_grid():
    grid = ai.VolumeGrid((5, 4, 3), np.diag([2.0, 2, 3, 1]))
    assert spheres([[0, 0, 0]], grid, radius=1e300).geometry.n_locations == 60
    outside = spheres([[1e6, 0, 0]], grid, radius=1.0)
    assert outside.geometry.n_locations == 0
    for far in (1e300, np.inf, np.nan):
        with pytest.raises(ValueError, match="should be finite coordinates"):
            spheres([[far, 0, 0]], grid, radius=1.0)


HDF5 = ("external link", "external numbers", "virtual")


@pytest.mark.sweep
@pytest.mark.parametrize("case", HDF5)
def test_a_transform_in_hdf5_lies_in_one_file(tmp_path, case):
    h5py = pytest.importorskip("h5py")
    path = tmp_path / "a.h5"
    path.write_bytes(next(seed.content for seed in seeds() if seed.name == "itk.h5"))
    with h5py.File(tmp_path / "other.h5", "w") as other:
        other["secret"] = np.ones(12)
    with h5py.File(path, "a") as file:
        group = file["TransformGroup/1"]
        del group["TransformParameters"]
        if case == "external link":
            group["TransformParameters"] = h5py.ExternalLink("other.h5", "secret")
        elif case == "external numbers":
            outside = [(str(tmp_path / "other.h5"), 0, 96)]
            group.create_dataset("TransformParameters", (12,), "f8", external=outside)
        else:
            layout = h5py.VirtualLayout((12,), "f8")
            layout[:] = h5py.VirtualSource(tmp_path / "other.h5", "secret", (12,))
            group.create_virtual_dataset("TransformParameters", layout)
    with pytest.raises(ai.AtlasFileError, match=r"a\.h5: could not be read.*in another file"):
        read_transform(path)


@pytest.mark.skipif(sys.platform == "win32", reason="needs fork")
@pytest.mark.sweep
def test_a_fork_ends(tmp_path):
    """A worker of multiprocessing does; the end of a plain ``os.fork`` is JAX's own."""
    import subprocess

    script = tmp_path / "a.py"
    script.write_text(
        "import multiprocessing, numpy as np, atlasinit as ai\n"
        "maps = ai.HardMaps(np.array([0, 1], np.int32), 2)\n"
        "def work():\n"
        "    ai.project(maps, np.ones((2, 3), np.float32))\n"
        "work()\n"
        "worker = multiprocessing.get_context('fork').Process(target=work)\n"
        "worker.start()\n"
        "worker.join(100)\n"
        "print(worker.exitcode)\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", script], capture_output=True, text=True, timeout=300
    )
    assert done.stdout.strip() == "1"
    assert "forked after JAX had started" in done.stderr


def test_tests_that_the_note_names_are_there():
    root = Path(__file__).parents[2]
    text = (root / "docs" / "reliability.md").read_text(encoding="utf-8")
    named = re.findall(r"`(tests/[\w/.]+)`", text)
    assert len(named) > 15
    assert not [name for name in named if not (root / name).exists()]
