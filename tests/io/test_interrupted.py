"""A process that is killed while it writes, or refused, leaves the old file, and never a part."""

import errno
import json
import sys

import pytest
from helpers import run_program
from helpers_interrupted import CACHED, LIMITS, WRITERS

HELPER = "helpers_interrupted.py"
CASES = (
    ".nii.gz",
    "matrix.tsv",
    *(
        pytest.param(case, marks=pytest.mark.sweep)
        for case in (
            "bids",
            ".annot",
            ".npz",
            ".safetensors",
            ".label.gii",
            ".dscalar.nii",
            *WRITERS,
            *CACHED,
        )
        if case != "matrix.tsv"
    ),
)

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs fork and signals")


@pytest.mark.parametrize("case", CASES)
def test_killed_at_every_step(tmp_path, case):
    states = json.loads(run_program(HELPER, case, tmp_path))
    for start, found in states.items():
        # Killed in the middle of a file, and then before each change of the file system.
        middle, steps = found[: len(LIMITS)], found[len(LIMITS) :]
        assert set(middle) == {start}
        assert steps[-1] == "new"
        assert steps[0] == start
        assert set(steps) <= {start, "none", "new"}
        # What is in place stays: old, perhaps none for a moment, then new.
        order = [state for i, state in enumerate(steps) if i == 0 or steps[i - 1] != state]
        assert order in ([start, "new"], [start, "none", "new"])
        assert steps.count(start) >= 2


FAILING = (
    ".nii.gz",
    *(
        pytest.param(case, marks=pytest.mark.sweep)
        for case in ("bids", ".annot", ".npz", ".safetensors", ".label.gii", ".dscalar.nii")
    ),
    *(pytest.param(case, marks=pytest.mark.sweep) for case in WRITERS),
)


CODES = (
    errno.EACCES,
    pytest.param(errno.EIO, marks=pytest.mark.sweep),
    pytest.param(errno.ENOSPC, marks=pytest.mark.sweep),
)


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("case", FAILING)
def test_a_file_system_that_fails_at_any_step(tmp_path, case, code):
    printed = run_program(HELPER, case, tmp_path, str(code))
    for start, found in json.loads(printed).items():
        assert found[0] == ["told", start, True]
        for ended, state, same in found:
            # What cannot be written is told as such, and all is as it was; else it is done.
            assert (ended, state) in (("told", start), ("done", "new"))
            assert same or ended == "done"


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("case", ["atlas.txt.gz", pytest.param("x.whl", marks=pytest.mark.sweep)])
def test_a_cache_whose_file_system_fails_at_any_step(tmp_path, case, code):
    printed = run_program(HELPER, case, tmp_path, str(code))
    for start, found in json.loads(printed).items():
        ends = {(ended, state) for ended, state, _ in found}
        # What fails once the new file is in place leaves it there, whole.
        assert {("told", start), ("done", "new")} <= ends
        assert ends <= {("told", start), ("told", "new"), ("done", "new")}
