"""Tables of numbers, which pandas writes alike."""

import numpy as np
import pandas as pd
import pytest

import atlasinit as ai
from atlasinit.io import write_table
from atlasinit.io.tables.numbers import write_numbers

NAMES = ["a", "b,c", 'q"x', "t\ty"]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("ending", ["tsv", "csv"])
@pytest.mark.parametrize("rows", [None, [*NAMES, " ", "e"], []])
def test_numbers_are_written_as_pandas_writes_them(tmp_path, dtype, ending, rows):
    values = np.random.default_rng(0).normal(size=(6, 4)) * [1e-9, 1, 1e9, 1e20]
    values[0, 0], values[1, 1], values[2, 2], values[3] = 500, np.nan, np.inf, 0
    values = values[: 6 if rows is None else len(rows)].astype(dtype)
    ours, theirs = tmp_path / f"ours.{ending}", tmp_path / f"theirs.{ending}"
    assert write_numbers(values, NAMES, ours, rows=rows) == ours
    index = None if rows is None else pd.Index(rows, name="name")
    write_table(pd.DataFrame(values, index=index, columns=NAMES), theirs)
    assert ours.read_bytes() == theirs.read_bytes()
    with pytest.raises(ai.AtlasFileError, match="exists already"):
        write_numbers(values, NAMES, ours)
    assert ours.read_bytes() == theirs.read_bytes()
