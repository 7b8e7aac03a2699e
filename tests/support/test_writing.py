"""Files and folders that appear once they are whole, and are never lost."""

import errno
import os
import signal
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from helpers_interrupted import WRITERS
from helpers_surfaces import brain_atlas

import atlasinit as ai
from atlasinit.errors import AtlasFileError
from atlasinit.support.writing import atomic_write, staged_folder


def renames_that_fail(monkeypatch, *failing):
    """Have the n-th renaming of a path fail, for each n of `failing`, counted from 0."""
    count = iter(range(100))
    real = Path.rename

    def rename(path, target):
        if next(count) in failing:
            raise OSError(errno.EIO, "Input/output error")
        return real(path, target)

    monkeypatch.setattr(Path, "rename", rename)


@pytest.mark.parametrize("failing", [(0,), (1,), (1, 2)])
def test_a_folder_that_cannot_be_replaced_is_never_lost(tmp_path, monkeypatch, failing):
    target = tmp_path / "dataset"
    target.mkdir()
    (target / "only copy").touch()
    renames_that_fail(monkeypatch, *failing)
    with (
        pytest.raises(AtlasFileError, match=r"dataset: could not be replaced \(Input/out") as told,
        staged_folder(target, keep=True) as staging,
    ):
        (staging / "new").touch()
    left = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert [path.name for path in left] == ["only copy"]
    if failing == (1, 2):
        assert f"what it held lies in {left[0].parent}; move it back." in str(told.value)
    else:
        assert left[0].parent == target
        assert [path.name for path in tmp_path.iterdir()] == ["dataset"]
        assert str(told.value).endswith("; it is as it was.")


@pytest.mark.skipif(sys.platform == "win32", reason="has no such permissions")
@pytest.mark.parametrize("keep", [False, True])
def test_permissions_are_the_usual_ones_and_stay_so(tmp_path, monkeypatch, keep):
    file, folder = tmp_path / "x.txt", tmp_path / "folder"
    usual = os.umask(0o027)
    try:
        if keep:
            folder.mkdir()
        with monkeypatch.context() as patched:
            # What one thread sets would be that of all of them.
            patched.delattr(os, "umask")
            with atomic_write(file) as temporary:
                temporary.write_text("x")
            with staged_folder(folder, keep=keep):
                pass
    finally:
        os.umask(usual)
    assert file.stat().st_mode & 0o777 == 0o640
    assert folder.stat().st_mode & 0o777 == 0o750


@pytest.mark.skipif(not hasattr(signal, "SIGXFSZ"), reason="this system bounds no file sizes")
@pytest.mark.filterwarnings("ignore:.*parcels without a location")
@pytest.mark.parametrize(
    "case", [".npz", ".safetensors", ".nii.gz", ".dscalar.nii", ".func.gii", *WRITERS]
)
def test_a_full_disk_is_told_with_the_file(tmp_path, case):
    import resource

    atlas = brain_atlas(key=[1, 2, 300, 4, 5, 10, 49])
    if case in WRITERS:
        write = partial(WRITERS[case], np.arange(7.0), atlas, tmp_path / case)
    else:
        kind = {".nii.gz": "subcortex", ".func.gii": "cortex_L"}.get(case)
        atlas = atlas.select(compartments=kind) if kind else atlas
        write = partial(ai.save_atlas, atlas, tmp_path / f"x{case}")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20, before[1]))
    try:
        with pytest.raises(AtlasFileError, match="could not be written .*nothing of it was left"):
            write()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)
    assert list(tmp_path.iterdir()) == []
