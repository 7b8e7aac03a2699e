"""Damaged files lead to errors of ours; a few of each kind here, the others by ``--sweep``."""

import ast
import itertools
import sys
from pathlib import Path

import pytest
from fuzz.harness import damage, find_fault, list_inputs
from fuzz.inputs import Seed, seeds

import atlasinit as ai

KINDS = seeds()
NAMES = [f"{i}-{seed.name}" for i, seed in enumerate(KINDS)]


@pytest.mark.parametrize("seed", KINDS, ids=NAMES)
def test_a_few_damaged_files(tmp_path, seed):
    (tmp_path / seed.name).write_bytes(seed.content)
    seed.use(tmp_path / seed.name)
    numbers = range(2 if seed.every == 1 else 1)
    faults = {number: find_fault(seed, number, tmp_path) for number in numbers}
    assert not any(faults.values()), faults


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("lh.x.csv", 1000002168),
        ("x.mgz", 2000002797),
        ("x.dtseries.nii", 2000003810),
        ("x.dlabel.nii", 3000001716),
        ("x.dscalar.nii", 3000002271),
        ("x.nii", 5000000000),
        ("xB64BIN.label.gii", 5000000009),
        ("centres.csv", 7),
        ("centres.csv", 35),
        ("regions.txt", 12),
        ("sub-1.json", 4000000037),
        ("labels.csv", 5000001573),
        # At which the HDF5 library never ends.
        pytest.param("x.x5", 5000000010, marks=pytest.mark.sweep),
    ],
)
def test_what_long_runs_found(tmp_path, name, number):
    for seed in KINDS:
        if seed.name == name:
            assert not find_fault(seed, number, tmp_path)


@pytest.mark.sweep
def test_many_damaged_files(tmp_path):
    for seed, number in itertools.islice(list_inputs(KINDS, 0), 200 * len(KINDS)):
        fault = find_fault(seed, number, tmp_path)
        assert not fault, (seed.name, number, fault)


VERTEX_LISTS = ("1_0", "\u0663", "1e300", "99999999999999999999", "-7", "1\0")


@pytest.mark.parametrize("vertex", VERTEX_LISTS)
def test_vertices_are_whole_numbers(tmp_path, vertex):
    (tmp_path / "lh.m.label").write_text(f"#!ascii\n1\n{vertex} 0 0 0 0\n", encoding="utf-8")
    seed = next(seed for seed in KINDS if seed.name == "lh.m.label")
    with pytest.raises(ai.AtlasFileError, match="could not be read as a FreeSurfer label"):
        seed.use(tmp_path / "lh.m.label")


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


OPENING = {
    *("reading", "parsing", "read_bytes", "read_text", "read_csv", "loads", "load", "loadtxt"),
    *("ZipFile", "File", "Input", "read_geometry", "read_excel", "read_graphml"),
}
"""What functions call that open a file, or read one that is open."""
ROOMS = ("io", "transforms", "catalogue")
"""What reads users' files; other rooms read by them, or what the package brings along itself."""
NOT_FILES = (
    # What another package brings along, or the wheel, whose hash is checked.
    "atlasinit.catalogue.sources",
    # What is in memory, or runs in a process of its own.
    *("atlasinit.io.formats.matrices", "atlasinit.io.formats.nifti_header"),
    *("atlasinit.io.input", "atlasinit.transforms.probing"),
    # What reads the same files by the same functions as those that are reached.
    *("atlasinit.io.stacking", "atlasinit.io.merging"),
)


def list_opening():
    """Return the functions of the package that open files, as (file, name, line)."""
    root = Path(ai.__file__).parent
    for path in sorted(root.rglob("*.py")):
        module = ".".join(path.relative_to(root.parent).with_suffix("").parts)
        if module.split(".")[1] not in ROOMS or module.startswith(NOT_FILES):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef):
                calls = [n.func for n in ast.walk(node) if isinstance(n, ast.Call)]
                names = {getattr(f, "attr", getattr(f, "id", "")) for f in calls}
                if names & OPENING:
                    yield str(path), node.name


def test_every_function_that_opens_files_is_reached(tmp_path):
    entered = set()

    def note(frame, event, _):
        if event == "call":
            entered.add((frame.f_code.co_filename, frame.f_code.co_name))

    sys.setprofile(note)
    try:
        for seed in KINDS:
            (tmp_path / seed.name).write_bytes(seed.content)
            seed.use(tmp_path / seed.name)
    finally:
        sys.setprofile(None)
    missed = sorted({(Path(file).name, name) for file, name in {*list_opening()} - entered})
    assert not missed, f"no seed reaches {missed}"
