"""Damaged files lead to errors of ours; a few of each kind here, the others by ``--sweep``."""

import pytest
from fuzz.harness import Seed, damage, find_fault, seeds

KINDS = seeds()
NAMES = [f"{i}-{seed.name}" for i, seed in enumerate(KINDS)]


@pytest.mark.parametrize("seed", KINDS, ids=NAMES)
def test_a_few_damaged_files(tmp_path, seed):
    (tmp_path / seed.name).write_bytes(seed.content)
    seed.use(tmp_path / seed.name)
    faults = {number: find_fault(seed, number, tmp_path) for number in range(2)}
    assert not any(faults.values()), faults


@pytest.mark.parametrize(
    ("name", "number"),
    [("lh.x.csv", 1000002168), ("x.mgz", 2000002797), ("x.dtseries.nii", 2000003810)],
)
def test_what_long_runs_found(tmp_path, name, number):
    for seed in KINDS:
        if seed.name == name:
            assert not find_fault(seed, number, tmp_path)


@pytest.mark.sweep
def test_many_damaged_files(tmp_path):
    for number in range(2, 200):
        for seed in KINDS:
            fault = find_fault(seed, number, tmp_path)
            assert not fault, (seed.name, number, fault)


def test_damage_is_the_same_each_time_and_damages():
    changed = [damage(seed, 7) != seed.content for seed in KINDS]
    assert [damage(seed, 7) for seed in KINDS] == [damage(seed, 7) for seed in KINDS]
    assert sum(changed) > 0.9 * len(KINDS)


@pytest.mark.parametrize(
    ("use", "told"),
    [
        (lambda path: 1 / 0, "ZeroDivisionError"),
        (lambda path: [None for _ in iter(int, 1)], "TooLong"),
        (lambda path: bytearray(b"x") * 2**29, "took "),
    ],
)
def test_the_harness_finds_what_it_should(tmp_path, monkeypatch, use, told):
    monkeypatch.setattr("fuzz.harness.SECONDS", 0.2)
    # What a process had before, and gave back, hides nothing.
    before = bytearray(b"x") * 2**30
    del before
    assert told in find_fault(Seed("x.txt", b"1 2 3", use), 0, tmp_path)
