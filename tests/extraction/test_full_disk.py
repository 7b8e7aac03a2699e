"""A disk that is full at any step: the file is named, nothing lies there by half, and it goes on."""

import json
import sys

import pytest
from helpers import run_program

HELPER = "helpers_full_disk.py"
CASES = {
    "a few steps": ("24", ()),
    "all steps": (",".join(map(str, range(1, 150))), ("parquet",)),
}

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs fork and signals")


@pytest.mark.parametrize("case", [pytest.param(case, marks=pytest.mark.sweep) for case in CASES])
def test_full_at_any_step(tmp_path, case):
    steps, further = CASES[case]
    if further:
        pytest.importorskip("pyarrow")
    printed = run_program(HELPER, tmp_path, steps, *further)
    found = json.loads(printed.splitlines()[-1])
    assert len(found) >= 2
    for told, broken, failures, same in found:
        assert told in ("told", "done")
        assert (broken, failures, same) == ([], {}, True)
    assert found[0][0] == "told"
