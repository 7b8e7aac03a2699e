"""Downloads from a server on this machine that fails in every way that servers fail."""

import gzip
import hashlib
import multiprocessing
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from helpers import WAIT, run_processes
from helpers_server import BODY, SHA, no_traces, serve

from atlasinit.catalogue import cache_folder, download, obtain_url
from atlasinit.catalogue.sources.references import find
from atlasinit.catalogue.transfer.integrity import find_damage
from atlasinit.errors import AtlasUnavailableError


@pytest.fixture
def server(monkeypatch, tmp_path):
    monkeypatch.setenv("ATLASINIT_CACHE", str(tmp_path / "cache"))
    with serve() as running:
        yield running


@pytest.fixture
def target(tmp_path):
    return tmp_path / "home" / "atlas.txt.gz"


@pytest.mark.parametrize("sha256", [SHA, None])
def test_good_file(server, target, sha256, monkeypatch):
    # What one thread sets would be that of all of them.
    monkeypatch.delattr("os.umask")
    assert download(server.address, target, sha256=sha256) == target
    assert target.read_bytes() == BODY
    assert target.stat().st_mode & 0o444 == 0o444
    assert no_traces(target)
    assert server.requests == [None]


def test_existing_file_is_not_fetched_again(server, target):
    target.parent.mkdir()
    target.write_bytes(b"mine")
    download(server.address, target)
    assert target.read_bytes() == b"mine"
    assert not server.requests


def test_empty_file_is_fetched(server, target):
    target.parent.mkdir()
    target.touch()
    assert download(server.address, target).read_bytes() == BODY


@pytest.mark.parametrize("fault", ["truncated", "stalled"])
def test_broken_transfer_is_continued(server, target, fault):
    server.plan = [fault]
    download(server.address, target, sha256=SHA, timeout=0.3, pause=0.01)
    assert target.read_bytes() == BODY
    first, second = server.requests
    assert first is None
    assert second.startswith("bytes=")
    assert int(second[6:-1]) > len(BODY) // 4
    assert no_traces(target)


def test_server_that_cannot_continue_starts_again(server, target):
    server.plan, server.ranges = ["truncated"], False
    download(server.address, target, pause=0.01)
    assert target.read_bytes() == BODY


@pytest.mark.parametrize("status", [500, 503, 429])
def test_server_that_recovers(server, target, status):
    server.plan = [status, status]
    download(server.address, target, pause=0.01)
    assert target.read_bytes() == BODY
    assert len(server.requests) == 3


def test_server_that_does_not_recover(server, target):
    server.plan = [500] * 9
    with pytest.raises(AtlasUnavailableError, match=r"^http.* answered 500 .*after 3 tries"):
        download(server.address, target, tries=3, pause=0.01)
    assert not target.exists()


def test_stalled_server(server, target):
    server.plan = ["stalled"] * 9
    start = time.monotonic()
    with pytest.raises(AtlasUnavailableError, match=r"after 2 tries"):
        download(server.address, target, tries=2, timeout=0.2, pause=0.01)
    assert time.monotonic() - start < 2.5
    assert not target.exists()


@pytest.mark.parametrize("status", [404, 403, 410])
def test_missing_file_is_not_tried_again(server, target, status):
    server.plan = [status] * 3
    with pytest.raises(AtlasUnavailableError, match=f"answered {status}"):
        download(server.address, target)
    assert len(server.requests) == 1
    assert no_traces(target)


def test_wrong_hash(server, target):
    with pytest.raises(AtlasUnavailableError, match=f"its sha256 is {SHA}, not 00.*after 2 tries"):
        download(server.address, target, sha256="00", tries=2, pause=0.01)
    assert not target.exists()
    assert no_traces(target)


def test_other_file_first(server, target):
    server.plan = ["other file"]
    download(server.address, target, sha256=SHA, pause=0.01)
    assert target.read_bytes() == BODY


def test_truncation_that_no_length_tells_is_found_by_reading(server, target):
    server.plan = ["short without length"]
    download(server.address, target, pause=0.01)
    assert target.read_bytes() == BODY
    assert len(server.requests) == 2


def test_no_server(monkeypatch, target, tmp_path):
    monkeypatch.setenv("ATLASINIT_CACHE", str(tmp_path / "cache"))
    with pytest.raises(
        AtlasUnavailableError, match=r"gz: ConnectionError: Failed to establish.*refused \(after 2"
    ):
        download("http://127.0.0.1:9/atlas.gz", target, tries=2, pause=0.01)
    assert not target.exists()


def test_folders_that_cannot_be_written(server, monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(AtlasUnavailableError, match=r"^.*file: cannot be written \(.*TEMPLATEFLOW"):
        download(server.address, tmp_path / "file" / "atlas.txt.gz")
    monkeypatch.setenv("ATLASINIT_CACHE", str(tmp_path / "file"))
    with pytest.raises(AtlasUnavailableError, match=r"file.downloads: cannot.*set ATLASINIT_CACHE"):
        obtain_url(server.address)


def test_part_of_an_earlier_run_is_continued_if_the_hash_is_known(server, target):
    server.plan = ["truncated"]
    with pytest.raises(AtlasUnavailableError):
        download(server.address, target, sha256=SHA, tries=1)
    download(server.address, target, sha256=SHA)
    assert target.read_bytes() == BODY
    assert server.requests[1].startswith("bytes=")


def test_part_of_an_earlier_run_is_dropped_if_the_hash_is_not_known(server, target):
    server.plan = ["truncated"]
    with pytest.raises(AtlasUnavailableError):
        download(server.address, target, tries=1)
    download(server.address, target)
    assert target.read_bytes() == BODY
    assert server.requests == [None, None]


def test_part_of_another_file_is_thrown_away(server, target):
    server.plan = ["other file"]
    work = cache_folder() / "downloads"
    work.mkdir(parents=True)
    stem = hashlib.sha256(str(target).encode()).hexdigest()[:24]
    (work / f"{stem}.part").write_bytes(b"x" * (len(BODY) + 5))
    download(server.address, target, sha256=SHA, pause=0.01)
    assert target.read_bytes() == BODY


def _fetch(address, target, cache, barrier):
    import os

    os.environ["ATLASINIT_CACHE"] = str(cache)
    barrier.wait(WAIT)
    assert download(address, target, sha256=SHA).read_bytes() == BODY


@pytest.mark.parametrize("number", [2, pytest.param(8, marks=pytest.mark.sweep)])
def test_processes_at_once_fetch_one_file(server, target, number):
    server.delay = 0.3
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(number)
    arguments = (server.address, target, cache_folder(), barrier)
    assert run_processes(context, _fetch, arguments, number) == [0] * number
    assert len(server.requests) == 1
    assert no_traces(target)


def test_threads_at_once_fetch_one_file(server, target):
    server.delay = 0.1
    barrier = threading.Barrier(8)

    def fetch(_):
        barrier.wait(WAIT)
        return download(server.address, target, sha256=SHA).read_bytes()

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(fetch, range(8))) == [BODY] * 8
    assert len(server.requests) == 1
    assert no_traces(target)


def test_address_with_a_hash(server):
    path = obtain_url(f"{server.address}#sha256={SHA}")
    assert path.name == "atlas.txt.gz"
    assert path.read_bytes() == BODY
    assert cache_folder() in path.parents
    obtain_url(server.address, allow_download=False)
    assert len(server.requests) == 1
    with pytest.raises(AtlasUnavailableError, match="not in the cache"):
        obtain_url(f"{server.address}.other", allow_download=False)


def test_a_cached_file_with_another_hash_is_fetched_again(server):
    old = obtain_url(server.address)
    old.write_bytes(b"old")
    assert obtain_url(server.address).read_bytes() == b"old"
    reference = f"{server.address}#sha256={SHA}"
    with pytest.raises(AtlasUnavailableError, match=f"not in the cache .* with the sha256 {SHA}"):
        obtain_url(reference, allow_download=False)
    assert find(reference) is None
    assert obtain_url(reference) == old
    assert old.read_bytes() == BODY
    assert find(f"{server.address}#sha256={SHA.upper()}") == old


def test_a_cached_file_stays_where_the_hash_is_nobodys(server, monkeypatch):
    old = obtain_url(server.address)
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    with pytest.raises(AtlasUnavailableError, match=f"its sha256 is {SHA}, not 0000"):
        obtain_url(f"{server.address}#sha256={'0' * 64}")
    assert old.read_bytes() == BODY


def test_cache_folder_by_default(monkeypatch):
    monkeypatch.delenv("ATLASINIT_CACHE", raising=False)
    assert cache_folder().name == "atlasinit"


def nifti(tmp_path, name, cls):
    import nibabel as nb

    path = tmp_path / name
    nb.save(cls(np.zeros((4, 5, 6), np.int16), np.eye(4)), path)
    return path


def test_whole_files_have_no_damage(tmp_path):
    import nibabel as nb

    paths = [
        nifti(tmp_path, "a.nii", nb.Nifti1Image),
        nifti(tmp_path, "a.nii.gz", nb.Nifti1Image),
        nifti(tmp_path, "b.nii", nb.Nifti2Image),
        nifti(tmp_path, "b.nii.gz", nb.Nifti2Image),
    ]
    gifti = nb.GiftiImage(darrays=[nb.gifti.GiftiDataArray(np.zeros(9, np.float32))])
    for name in ("c.gii", "c.gii.gz"):
        paths.append(tmp_path / name)
        content = gifti.to_bytes()
        paths[-1].write_bytes(gzip.compress(content) if name.endswith("gz") else content)
    np.savez_compressed(tmp_path / "d.npz", a=np.arange(100))
    (tmp_path / "e.tsv").write_text("index\tname\n")
    paths += [tmp_path / "d.npz", tmp_path / "e.tsv"]
    for path in paths:
        assert find_damage(path) == "", path
        content = path.read_bytes()
        path.write_bytes(b"")
        assert find_damage(path) == "it is empty"
        if path.suffix != ".tsv":
            for cut in (len(content) // 3, len(content) - 3):
                path.write_bytes(content[:cut])
                assert find_damage(path), (path, cut)


def test_damage_that_leaves_the_length(tmp_path):
    (tmp_path / "a.nii").write_bytes(b"<html>" + b"x" * 500)
    assert find_damage(tmp_path / "a.nii") == "it is no NIfTI file"
    (tmp_path / "a.nii.gz").write_bytes(gzip.compress(b"<html>" + b"x" * 500))
    assert find_damage(tmp_path / "a.nii.gz") == "it is no NIfTI file"
    (tmp_path / "a.label.gii").write_bytes(b"<html>Not found")
    assert find_damage(tmp_path / "a.label.gii")
    np.savez(tmp_path / "a.npz", a=np.zeros(1000))
    content = bytearray((tmp_path / "a.npz").read_bytes())
    content[2000] ^= 1
    (tmp_path / "a.npz").write_bytes(content)
    assert "damaged" in find_damage(tmp_path / "a.npz")


def test_a_download_has_an_upper_size(monkeypatch, server, tmp_path):
    monkeypatch.setenv("ATLASINIT_DOWNLOAD_GIB", "0.0001")
    with pytest.raises(AtlasUnavailableError, match=r"bytes or more, where 107374 are allowed"):
        download(server.address, tmp_path / "x.txt.gz")
    assert list(tmp_path.glob("*.txt.gz")) == []
    assert list((cache_folder() / "downloads").glob("*.part")) == []
    monkeypatch.setenv("ATLASINIT_DOWNLOAD_GIB", "little")
    with pytest.raises(ValueError, match="should be a number of GiB, got 'little'"):
        download(server.address, tmp_path / "x.txt.gz")
