"""Label tables: validation, value semantics, unique names, hemispheres."""

import pickle
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from atlasinit.core.labels import (
    LabelTable,
    hemisphere_of,
    unique_names,
)


def columns(**changes):
    base = {
        "compartment": ["a", "a", "b"], "key": [1, 2, 1], "name": ["x", "y", "z"],
        "color": [""] * 3, "hemisphere": [""] * 3,
    }  # fmt: skip
    return {**base, **changes}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"key": [1, 2]}, "one length"),
        ({"key": [1, 1, 1]}, r"\('a', 1\)"),
        ({"key": [1, 2.5, 1]}, "whole number.*2.5"),
        ({"key": [1, 2**31, 1]}, "int32"),
        ({"key": [1, None, 1]}, "whole number.*None"),
        ({"key": [1, float("inf"), 1]}, "whole number.*inf"),
        ({"color": ["", "red", ""]}, "#rrggbb.*'red'"),
        ({"color": ["", None, ""]}, "#rrggbb.*None"),
        ({"hemisphere": ["L", "left", ""]}, "`hemisphere` should be.*'left'"),
        ({"empty": [True] * 3}, r"should not hold \['empty'\]"),
        ({"name": ["x", "x", "z"]}, r"unique; \['x'\]"),
        ({"name": ["x", None, "z"]}, "not be empty; row 1 is"),
        ({"name": ["x", "y", float("nan")]}, "not be empty; row 2 is"),
        ({"name": ["x", "", "z"]}, "row 1"),
        ({"compartment": ["a", "b", "a"], "key": [1, 2, 3]}, "contiguous"),
    ],
)
def test_refuses(changes, message):
    with pytest.raises(ValueError, match=message):
        LabelTable(columns(**changes))


def test_refuses_a_missing_column():
    with pytest.raises(ValueError, match=r"missing: \['color'\]"):
        LabelTable({k: v for k, v in columns().items() if k != "color"})


def test_equal_by_value_whatever_the_number_types():
    one = LabelTable(columns(area=[1.5, float("nan"), pd.NA]))
    other = LabelTable(
        columns(key=np.array([1, 2, 1], np.int16), area=np.array([1.5, np.nan, np.nan]))
    )
    assert one == other
    assert hash(one) == hash(other)
    assert one != LabelTable(columns())
    assert one.to_frame()["area"].isna().tolist() == [False, True, True]
    assert one.take([2]).to_frame()["name"].tolist() == ["z"]
    assert list(one.rows_of("b")) == [2]
    assert list(one.rows_of("none")) == []


def test_a_table_of_another_process_has_the_hash_of_its_equal():
    code = (
        "import pickle, sys; from atlasinit.core.labels import LabelTable;"
        f"sys.stdout.buffer.write(pickle.dumps(LabelTable({columns()})))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    theirs = pickle.loads(done.stdout)
    assert theirs == LabelTable(columns())
    assert hash(theirs) == hash(LabelTable(columns()))


def test_equal_tables_have_one_hash_whatever_the_order_of_columns():
    one, other = LabelTable(columns()), LabelTable(dict(reversed(columns().items())))
    assert one == other
    assert hash(one) == hash(other)


def test_unique_names_shorten_nothing():
    names = ["bankssts", "bankssts", "Thalamus", "Thalamus", "", "only"]
    homes = ["cortex_L", "cortex_R", "subcortex", "subcortex", "volume", "volume"]
    keys = [1, 1, 10, 49, 5, 6]
    assert unique_names(names, homes, keys) == [
        "L_bankssts", "R_bankssts", "Thalamus-10", "Thalamus-49", "label-5", "only",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("names", "homes", "keys", "expected"),
    [
        (["x", "x"], ["cortex_L", "hippocampus_L"], [1, 1], ["cortex_L_x", "hippocampus_L_x"]),
        (["x", "x"], ["cortex_L", "hippocampus_L"], [1, 2], ["L_x-1", "L_x-2"]),
        (["a", "a", "a-1"], ["v"] * 3, [1, 2, 3], ["a-1-2", "a-2", "a-1"]),
        (["label-2", ""], ["v"] * 2, [1, 2], ["label-2-1", "label-2-2"]),
        (["x"] * 3, ["c_L", "h_L", "c_R"], [1, 1, 1], ["c_L_x", "h_L_x", "R_x"]),
    ],
)
def test_unique_names_are_unique(names, homes, keys, expected):
    assert unique_names(names, homes, keys) == expected


SIDES = {
    "L": (
        *("L_V1_ROI", "7Networks_LH_Vis_1", "Left-Thalamus-Proper", "Visual2-28_L-Ctx", "left"),
        *("A7r_L", "A20r_L", "A45r_L", "L_6r_ROI", "L_10r_ROI", "L_a47r_ROI", "lh.R2", "L"),
        *(
            "SFG_L_7_1",
            "FP l (Frontal Pole Left)",
            "CAU-DA-lh",
            "LP (L) (-39,5)",
        ),
        *("sub-R01_hemi-L", "hemi-L_space-R", "ACCUMBENS_LEFT", "5-L", "Gyrus r2, l"),
    ),
    "R": (
        *("Precentral_R", "ctx-rh-bankssts", "R_5L_ROI", "R_47l_ROI", "A5l_R", "A12/47l_R"),
        *("GM_Superior_parietal_lobule_5L_R", "Area 5L (SPL) right", "Gyrus de l'insula R"),
        *("sub-L01_hemi-R", "rh.L_area", "G_Frontal_Sup-1-R", "right", "R. hippocampus"),
    ),
    "": (
        *(
            "Brain-Stem",
            "Left to Right tract",
            "Lingual",
            "LHA",
            "L1",
            "5L",
            "R2",
            "A5l",
            "Motor L/R",
        ),
        *(
            "hemi-L_hemi-R",
            "rhinal",
            "lhx",
            "",
            "???",
            "L-R",
            "area_l5",
            "lh_r",
            "ctx_lh_S_R",
            "l + r, l",
        ),
    ),
}


@pytest.mark.parametrize(
    ("name", "side"), [(name, side) for side, names in SIDES.items() for name in names]
)
def test_hemisphere_of(name, side):
    assert hemisphere_of(name) == side
    assert hemisphere_of(name, "cortex_R") == "R"
