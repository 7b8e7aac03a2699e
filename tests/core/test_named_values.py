"""Values of parcels by name: whatever carries names lands on the parcels of these names."""

import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from helpers import unchecked

from atlasinit import LabelTable
from atlasinit.core.named_values import align_columns, align_values, carries_names

NAMES = ("beta", "alpha", "gamma", "delta")
KEYS = (7, 3, 0, 1)
VALUES = np.array([1.0, 2.0, np.nan, 4.0])
TABLE = LabelTable(
    {
        "compartment": ["volume"] * 4,
        "key": KEYS,
        "name": NAMES,
        "color": [""] * 4,
        "hemisphere": [""] * 4,
    }
)
SIDED = LabelTable(
    {
        "compartment": ["cortex_L", "cortex_L", "cortex_R", "cortex_R"],
        "key": [1, 2, 1, 3],
        "name": NAMES,
        "color": [""] * 4,
        "hemisphere": ["L", "L", "R", "R"],
    }
)
SERIES = pd.Series(VALUES, NAMES)
FRAME = pd.DataFrame({"t": VALUES, "p": 10 * VALUES}, index=list(NAMES))
COLUMNS = np.stack([VALUES, 10 * VALUES], axis=1)
PAIRS = pd.MultiIndex.from_arrays([SIDED["compartment"], SIDED["key"]])


class Frameable:
    """A table of another library, which turns into one of pandas."""

    def to_pandas(self):
        return SERIES.sort_index()


@pytest.mark.parametrize(
    ("values", "table", "expected", "titles"),
    [
        (SERIES.sort_index(), TABLE, VALUES, None),
        (dict(sorted(SERIES.items())), TABLE, VALUES, None),
        (Frameable(), TABLE, VALUES, None),
        (SERIES.sort_index().astype("category").astype("Float64"), TABLE, VALUES, None),
        (SERIES.rename_axis("name").groupby("name").mean(), TABLE, VALUES, None),
        (pd.Series(VALUES, KEYS).sort_index(), TABLE, VALUES, None),
        (pd.Series(VALUES, pd.Index(KEYS, dtype=float)).sort_index(), TABLE, VALUES, None),
        (pd.Series(VALUES, PAIRS)[::-1], SIDED, VALUES, None),
        (dict(reversed(list(zip(PAIRS, VALUES, strict=True)))), SIDED, VALUES, None),
        (FRAME.sort_index(), TABLE, COLUMNS, ("t", "p")),
        (FRAME.sort_index().T, TABLE, COLUMNS, ("t", "p")),
        (FRAME.T.sort_index(axis=1).reset_index(drop=True), TABLE, COLUMNS, None),
        (FRAME.rename_axis("name").sort_index().reset_index(), TABLE, COLUMNS, ("t", "p")),
        (FRAME.set_axis(list(KEYS)).rename_axis("key").sort_index(), TABLE, COLUMNS, ("t", "p")),
        (TABLE.to_frame().assign(t=VALUES)[::-1].reset_index(drop=True), TABLE, VALUES[:, None], ("t",)),
        (
            SIDED.to_frame().drop(columns="name").assign(t=VALUES)[::-1].reset_index(drop=True),
            SIDED,
            VALUES[:, None],
            ("t",),
        ),
        ({name: [v, 10 * v] for name, v in SERIES.sort_index().items()}, TABLE, COLUMNS, None),
        # Without names, by row.
        (VALUES, TABLE, VALUES, None),
        (jnp.asarray(VALUES, jnp.float32), TABLE, VALUES, None),
        (list(VALUES), TABLE, VALUES, None),
        (COLUMNS, TABLE, COLUMNS, None),
        (pd.Series(VALUES), TABLE, VALUES, None),
        (FRAME.reset_index(drop=True), TABLE, COLUMNS, ("t", "p")),
        (pd.DataFrame(COLUMNS), TABLE, COLUMNS, None),
    ],
)  # fmt: skip
def test_values_lie_on_their_parcels(values, table, expected, titles):
    found = align_values(values, table)
    np.testing.assert_array_equal(found.array, expected)
    assert found.titles == titles


def test_a_square_table_goes_by_the_axis_that_has_names():
    rng = np.random.default_rng(0)
    series = pd.DataFrame(rng.normal(size=(4, 4)), columns=list(NAMES))
    order = list(sorted(NAMES))
    for last in (False, True):
        found = align_values(series[order], TABLE, parcels_last=last).array
        np.testing.assert_array_equal(found, series.to_numpy().T)
    # Names on both axes: that of a plain array's parcels.
    matrix = series.set_axis(list(NAMES))
    rows = align_values(matrix.loc[order], TABLE)
    np.testing.assert_array_equal(rows.array, matrix.to_numpy())
    assert rows.titles == NAMES
    columns = align_values(matrix[order], TABLE, parcels_last=True)
    np.testing.assert_array_equal(columns.array, matrix.to_numpy().T)


def test_plain_series_have_their_parcels_last():
    found = align_values(COLUMNS.T, TABLE, parcels_last=True)
    np.testing.assert_array_equal(found.array, COLUMNS)


@pytest.mark.parametrize(
    ("given", "kept"),
    [("float16", "float16"), ("bfloat16", "float32"), ("float32", "float32"), ("<f8", "float64"), (">f4", "float32"),
     ("int8", "float64"), ("int64", "float64"), ("bool", "float64")],
)  # fmt: skip
def test_the_type_that_holds_the_values_is_kept(given, kept):
    array = np.array([0, 1, 0, 1]).astype(jnp.bfloat16 if given == "bfloat16" else given)
    named = [] if given == "bfloat16" else [pd.Series(array, NAMES)]
    for values in (array, dict(zip(NAMES, array, strict=True)), *named):
        found = align_values(values, TABLE).array
        assert found.dtype == np.dtype(kept)
        np.testing.assert_array_equal(found, array)


def test_parcels_without_a_value_become_nan_where_that_is_wanted():
    some = SERIES[["delta", "beta"]]
    found = align_values(some, TABLE, absent="nan").array
    np.testing.assert_array_equal(found, [1, np.nan, np.nan, 4])


@pytest.mark.parametrize(
    ("values", "table"),
    [
        (SERIES[["delta"]], TABLE),
        (pd.Series([4.0], [1], name="x"), TABLE),
        (pd.Series(VALUES[:1], PAIRS[:1]), SIDED),
        (FRAME[:2], TABLE),
        (FRAME.T[["alpha", "beta", "delta"]], TABLE),
        ({"gamma": 2.0}, TABLE),
        ({7: 2.0}, TABLE),
    ],
)
def test_the_advice_on_parcels_without_a_value_works(values, table):
    with pytest.raises(ValueError, match=r"have no value: '\w+'.*for NaN there pass `") as error:
        align_values(values, table)
    advice = str(error.value).split("pass `")[1].removesuffix("`.")

    class atlas:  # noqa: N801 (as the advice calls it)
        labels = table.to_frame()

    followed = eval(advice, {"values": values, "atlas": atlas, "pandas": pd})
    found = align_values(followed, table).array
    expected = align_values(values, table, absent="nan").array
    np.testing.assert_array_equal(found, expected)
    with pytest.raises(ValueError, match='pass absent="nan"'):
        align_values(values, table, absent="error")


@pytest.mark.parametrize(
    ("values", "table", "error", "message"),
    [
        (SERIES.rename({"alpha": "alhpa"}), TABLE, ValueError, "named 'alhpa'; Did you mean 'alpha'|named 'alhpa'. Did you mean 'alpha'"),
        (FRAME.T.rename(columns={"alpha": "alhpa"}), TABLE, ValueError, "Did you mean 'alpha'"),
        (SERIES.set_axis(list("wxyz")), TABLE, ValueError, "named 'w', 'x', 'y', 'z'.*atlas.labels"),
        (pd.DataFrame(np.ones((2, 4)), columns=list("wxyz")), TABLE, ValueError, "named 'w'"),
        (pd.concat([SERIES, SERIES[:1]]), TABLE, ValueError, "more than once: 'beta'"),
        (pd.Series([1.0, 2.0], ["beta", 7]), TABLE, ValueError, "more than once: 'beta'"),
        (SERIES.set_axis(["beta", None, "gamma", "delta"]), TABLE, ValueError, r"missing \(NaN\), at 1"),
        (pd.Series(VALUES, [7, 3, 0, np.nan]), TABLE, ValueError, r"missing \(NaN\), at 3"),
        ({"beta": 1, float("nan"): 2}, TABLE, ValueError, r"missing \(NaN\), at 1"),
        (pd.Series(VALUES[:3], [1, 2, 3]), SIDED, ValueError, r"keys 1 are of several.*\(\"cortex_L\", 1\)"),
        (pd.Series([1.0, 2.0], [True, False]), TABLE, ValueError, "named True, False"),
        (np.ones(5), TABLE, ValueError, r"should be \(4 parcels,\) or \(4 parcels, n\), got shape \(5,\)"),
        (np.ones((2, 4)), TABLE, ValueError, r"got shape \(2, 4\); pass `values.T`"),
        (np.ones((4, 2, 1)), TABLE, ValueError, r"got shape \(4, 2, 1\)"),
        (3.0, TABLE, ValueError, r"got shape \(\)"),
        (pd.Series(np.ones(5)), TABLE, ValueError, r"got shape \(5,\)"),
        ({"beta": [1, 2], "alpha": 3}, TABLE, ValueError, "as many for each"),
        ({}, TABLE, ValueError, "4 of the 4 parcels have no value"),
        (np.ma.masked_array(VALUES), TABLE, TypeError, "masked"),
        (np.array(list("abcd")), TABLE, TypeError, "should be real numbers"),
        (VALUES + 1j, TABLE, TypeError, "should be real numbers"),
        ({"beta": "1.0"}, TABLE, TypeError, "should be real numbers"),
        (FRAME.assign(remark="x"), TABLE, TypeError,  r"columns 'remark' are not; leave them out by `values.drop\(columns=\['remark'\]\)`"),
        (SERIES.astype(str), TABLE, TypeError, "should be real numbers, got dtype"),
    ],
)  # fmt: skip
def test_bad_input(values, table, error, message):
    with pytest.raises(error, match=message):
        align_values(values, table)


def square(index, columns):
    return pd.DataFrame(np.arange(16.0).reshape(4, 4), index=index, columns=columns)


@pytest.mark.parametrize("parcels_last", [False, True])
@pytest.mark.parametrize(
    "index",
    [
        pd.RangeIndex(4),
        pd.Index(sorted(KEYS), name="volume"),
        pd.Index([1.0, 2.0, 3.0, 4.0], name="time"),
        pd.Index(["a", "b", "c", "d"]),
    ],
)
def test_time_points_are_not_taken_for_keys(index, parcels_last):
    shuffled = list(np.roll(KEYS, 1))
    found = align_values(square(index, shuffled), TABLE, parcels_last=parcels_last)
    expected = np.arange(16.0).reshape(4, 4)[:, [shuffled.index(key) for key in KEYS]].T
    np.testing.assert_array_equal(found.array, expected)


def test_keys_on_both_sides_are_asked_about():
    frame = square(sorted(KEYS), list(KEYS))
    with pytest.raises(ValueError, match="index and its columns both hold numbers that are keys"):
        align_values(frame, TABLE)
    # What it advises.
    found = align_values(frame.rename_axis("time"), TABLE)
    np.testing.assert_array_equal(found.array, np.arange(16.0).reshape(4, 4).T)


@pytest.mark.parametrize("title", ["label", "ROI", "parcel", "region", "Id", "Key"])
def test_a_first_column_of_keys_tells_parcels(title):
    frame = pd.DataFrame({title: KEYS[::-1], "t": VALUES[::-1]})
    found = align_values(frame, TABLE)
    np.testing.assert_array_equal(found.array, VALUES[:, None])
    assert found.titles == ("t",)


@pytest.mark.parametrize("title", ["region", "Name", "what"])
def test_a_first_column_of_names_tells_parcels(title):
    frame = pd.DataFrame({title: list(NAMES)[::-1], "t": VALUES[::-1]})
    np.testing.assert_array_equal(align_values(frame, TABLE).array, VALUES[:, None])


def test_a_column_added_to_the_labels_is_the_only_map():
    frame = pd.DataFrame({"name": list(NAMES), "n_locations": [5, 6, 7, 0], "empty": [False] * 4})
    found = align_values(frame[::-1].assign(t=VALUES[::-1]).reset_index(drop=True), TABLE)
    assert found.titles == ("t",)
    np.testing.assert_array_equal(found.array, VALUES[:, None])
    # Without others these are what is asked for.
    assert align_values(frame, TABLE).titles == ("n_locations", "empty")


def test_a_first_column_that_is_none_of_keys_is_a_map():
    frame = pd.DataFrame({"area": KEYS[::-1], "t": VALUES})
    assert align_values(frame, TABLE).titles == ("area", "t")


@pytest.mark.parametrize("odd", [np.nan, None, ("volume", 1), 1])
def test_names_of_several_kinds_are_an_error_of_these(odd):
    with pytest.raises(ValueError, match="`values`"):
        align_values({"beta": 1.0, odd: 2.0, "nothing": 3.0}, TABLE)


def test_what_an_absent_parcel_is_has_two_answers():
    with pytest.raises(ValueError, match='`absent` should be "error" or "nan", got \'zero\''):
        unchecked(align_values)(SERIES, TABLE, absent="zero")


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (VALUES, {"values": VALUES}),
        (SERIES.sort_index(), {"values": VALUES}),
        (SERIES.rename("t").sort_index(), {"t": VALUES}),
        (dict(SERIES.sort_index()), {"values": VALUES}),
        (FRAME.sort_index(), {"t": VALUES, "p": 10 * VALUES}),
        ({"t": SERIES.sort_index(), "x": VALUES, "m": dict(SERIES)}, dict.fromkeys("txm", VALUES)),
        ({}, {}),
    ],
)
def test_columns(values, expected):
    found = align_columns(values, TABLE)
    assert list(found) == list(expected)
    for title, column in expected.items():
        np.testing.assert_array_equal(found[title], column)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"t": np.ones(3)}, r"`values\['t'\]` should be \(4 parcels,\)"),
        ({"t": SERIES[:2]}, r"`values\['t'\]`: 2 of the 4 parcels"),
        (COLUMNS, r"should be \(4 parcels,\), got \(4, 2\)"),
    ],
)
def test_bad_columns(values, message):
    with pytest.raises(ValueError, match=message):
        align_columns(values, TABLE)


def test_what_carries_names():
    assert all(map(carries_names, (SERIES, FRAME, {}, Frameable())))
    assert not any(map(carries_names, (VALUES, [1.0], jnp.ones(2))))
