"""Files whose system gives fewer bytes than were asked for, none, or an error: for every reader."""

import errno
import io

import pytest
from fuzz.inputs import seeds

from atlasinit.errors import Explained
from atlasinit.io import input as inputs

KINDS = [seed for seed in seeds() if seed.every == 1]
SIZE = 7


def error_of(seed, path):
    """Return what a seed's use, or the text of its result, raises; None for nothing."""
    try:
        repr(seed.use(path))
    except Exception as error:
        return error
    return None


@pytest.fixture
def files(tmp_path):
    for seed in KINDS:
        (tmp_path / seed.name).write_bytes(seed.content)
    return tmp_path


def test_short_reads_are_read_on(files, monkeypatch):
    # As of a pipe, of a network's file system, or after a signal.
    def short(file, buffer):
        return io.FileIO.readinto(file, memoryview(buffer)[:SIZE])

    monkeypatch.setattr(inputs._Bytes, "readinto", short, raising=False)
    for seed in KINDS:
        error = error_of(seed, files / seed.name)
        assert error is None, (seed.name, error)


def test_an_end_before_the_end_is_told(files, monkeypatch):
    ends = {"at": 0}

    def early(file, buffer):
        left = max(ends["at"] - file.tell(), 0)
        return io.FileIO.readinto(file, memoryview(buffer)[:left]) if left else 0

    monkeypatch.setattr(inputs._Bytes, "readinto", early, raising=False)
    for seed in KINDS:
        ends["at"] = len(seed.content) // 2
        error = error_of(seed, files / seed.name)
        assert error is None or isinstance(error, Explained), (seed.name, error)


@pytest.mark.parametrize("code", [errno.EIO, errno.EACCES, errno.ESTALE])
def test_a_disk_that_fails_is_told_with_the_file(files, monkeypatch, code):
    def fail(file, buffer):
        raise OSError(code, "no such luck")

    monkeypatch.setattr(inputs._Bytes, "readinto", fail, raising=False)
    told = 0
    for seed in KINDS:
        error = error_of(seed, files / seed.name)
        if error is not None:
            assert isinstance(error, Explained), (seed.name, error)
            assert str(files) in str(error)
            told += 1
    # The others are read by pandas, nibabel or NumPy themselves, or before they are asked for.
    assert told > len(KINDS) // 2
