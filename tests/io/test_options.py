"""Options of readers: checked when they are stated, and filled in one order."""

import numpy as np
import pytest

from atlasinit.io.options import DEFAULTS, ReadOptions

WRONG = [
    ({"kind": "soft"}, ValueError, '`kind` should be "auto", "hard" or "maps", got \'soft\''),
    ({"unlisted": "drop"}, ValueError, '`unlisted` should be "error" or "name"'),
    ({"nan": "drop"}, ValueError, '`nan` should be "error" or "zero"'),
    ({"scale": 0}, ValueError, "`scale` should be"),
    ({"scale": float("nan")}, ValueError, "`scale` should be"),
    ({"scale": True}, ValueError, "`scale` should be"),
    ({"scale": "percent"}, ValueError, "`scale` should be"),
    ({"map": 1.5}, TypeError, "`map` should be the name or the 0-based number"),
    ({"map": True}, TypeError, "`map` should be the name or the 0-based number"),
    ({"space": 3}, TypeError, "`space` should be a str"),
    ({"name": b"x"}, TypeError, "`name` should be a str"),
    ({"background": [1.5]}, TypeError, "`background` should hold keys and names, got 1.5"),
    ({"meshes": {"cortex_L": "lh.sphere"}}, TypeError, "`meshes` should be {compartment: "),
    ({"meshes": "lh.sphere"}, TypeError, "`meshes` should be {compartment: "),
]


@pytest.mark.parametrize(("options", "error", "message"), WRONG)
def test_wrong_options_are_refused_when_stated(options, error, message):
    with pytest.raises(error, match=message):
        ReadOptions(**options)


@pytest.mark.parametrize(
    ("given", "kept"),
    [(None, None), (0, (0,)), ("a", ("a",)), ((), ()), (iter([np.int64(3), "b"]), (3, "b"))],
)
def test_the_background_is_kept_as_a_tuple(given, kept):
    assert ReadOptions(background=given).background == kept


def test_what_is_stated_goes_before_the_entry_and_that_before_the_defaults():
    user = ReadOptions(nan="error", background=())
    entry = {"nan": "zero", "background": 7, "unlisted": "name"}
    found = user.over(entry).with_defaults()
    assert (found.nan, found.background, found.unlisted) == ("error", (), "name")
    assert (found.kind, found.scale) == (DEFAULTS["kind"], DEFAULTS["scale"])
    assert user.stated == {"nan": "error", "background": ()}


TABLES = [
    (None, True),
    ({"cortex_L": "a.tsv"}, True),
    ({1: "a"}, False),
    ("a.tsv", False),
]


@pytest.mark.parametrize(("labels", "expected"), TABLES)
def test_tables_beside_the_files_count_where_none_is_given_for_all(labels, expected):
    assert ReadOptions(labels=labels).takes_own_tables is expected
