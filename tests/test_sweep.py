"""What a quick run takes of a sweep."""

import itertools

import pytest
from helpers_sweep import select_cover
from jaxtyping import TypeCheckError

from atlasinit.errors import format_count


@pytest.mark.parametrize("sizes", [(4,), (3, 5), (5, 3), (2, 2, 7), (1, 1)])
def test_few_cases_hold_every_value(sizes):
    names = "abc"[: len(sizes)]
    cases = [
        dict(zip(names, values, strict=True)) for values in itertools.product(*map(range, sizes))
    ]
    taken = [cases[i] for i in select_cover(cases)]
    assert len(taken) == max(sizes)
    for name, size in zip(names, sizes, strict=True):
        assert {case[name] for case in taken} == set(range(size))


def test_a_case_that_is_asked_for_alone_is_taken():
    assert select_cover([{"a": 3, "b": 1}]) == [0]


def test_parameters_that_come_together_are_all_taken():
    assert select_cover([{"a": i, "b": i} for i in range(4)]) == [0, 1, 2, 3]


@pytest.mark.sweep
@pytest.mark.parametrize("size", [1, 2, 3])
@pytest.mark.parametrize(("kind", "way"), [("a", "x"), ("a", "y")])
def test_this_product_is_taken_in_part(request, kind, way, size):
    own = [item for item in request.session.items if item.originalname == request.node.originalname]
    whole = 6 if request.config.getoption("--sweep") else 3
    assert len(own) in (1, whole)  # 1: this case was asked for alone


def test_values_meet_in_pairs_that_differ():
    cases = [{"a": a, "b": b} for a in range(3) for b in range(3)]
    assert [tuple(cases[i].values()) for i in select_cover(cases)] == [(0, 0), (1, 1), (2, 2)]


@pytest.mark.sweep
def test_types_of_calls_are_checked_in_sweeps():
    with pytest.raises(TypeCheckError):
        format_count("one", "parcel")
