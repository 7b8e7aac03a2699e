"""Tables of series, which pandas writes alike."""

import numpy as np
import pandas as pd
import pytest

import atlasinit as ai
from atlasinit.io import write_table
from atlasinit.io.tables.series import write_series


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("ending", ["tsv", "csv"])
@pytest.mark.parametrize("time", [0, 6])
def test_series_are_written_as_pandas_writes_them(tmp_path, dtype, ending, time):
    values = np.random.default_rng(0).normal(size=(6, 4)) * [1e-9, 1, 1e9, 1e20]
    values[0, 0], values[1, 1], values[2, 2], values[3] = 500, np.nan, np.inf, 0
    series, names = values[:time].astype(dtype), ["a", "b,c", 'q"x', "t\ty"]
    ours, theirs = tmp_path / f"ours.{ending}", tmp_path / f"theirs.{ending}"
    assert write_series(series, names, ours) == ours
    write_table(pd.DataFrame(series, columns=names), theirs)
    assert ours.read_bytes() == theirs.read_bytes()
    with pytest.raises(ai.AtlasFileError, match="exists already"):
        write_series(series, names, ours)
    assert ours.read_bytes() == theirs.read_bytes()
