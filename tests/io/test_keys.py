"""Labels of every number type become int32 keys, or an error."""

import numpy as np
import pytest

from atlasinit.errors import AtlasFileError
from atlasinit.io.keys import as_keys, is_whole


@pytest.mark.parametrize("dtype", ["u1", "i2", ">i4", "u4", "i8", "f4", ">f8", "?"])
def test_every_number_type(dtype):
    values = np.array([[0, 1], [1, 0]], dtype=dtype)
    keys = as_keys(values, "x.nii")
    assert keys.dtype == np.int32
    np.testing.assert_array_equal(keys, [[0, 1], [1, 0]])


def test_rounds_to_the_nearest_and_never_truncates():
    values = np.array([0.988, 1.976, 246.0000005, -0.01, 2.999])
    np.testing.assert_array_equal(as_keys(values, "x"), [1, 2, 246, 0, 3])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([1.0, 2.5, 2.5], r"x.nii: .*whole numbers .*2\.5 at 2 of 3"),
        ([1.0, np.nan], "NaN or infinity at 1 of 2"),
        ([np.inf, 1.0], "NaN or infinity at 1 of 2"),
        ([2.0**31], "fit int32"),
        (np.array([2**40]), "fit int32, got values from 1099511627776"),
        (np.array([2.0**31], np.float32), "fit int32"),
        (np.array(["a"]), "numbers"),
        (np.array([1j]), "numbers"),
    ],
)
def test_refuses(values, message):
    with pytest.raises(AtlasFileError, match=message):
        as_keys(np.asarray(values), "x.nii")


@pytest.mark.parametrize(
    ("values", "expected"),
    [([1.0, 2.04], True), ([1.5], False), ([np.nan], False), ([], True)],
)
def test_is_whole(values, expected):
    assert is_whole(np.array(values)) is expected
    assert is_whole(np.array([1, 2]))
    assert not is_whole(np.array(["a"]))
