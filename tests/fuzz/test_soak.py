"""Many loads and projections, good and bad: no memory, file or compilation is left behind."""

import gc
import os
import resource

import numpy as np
import pytest
from fuzz.harness import find_fault
from fuzz.inputs import seeds

import atlasinit as ai
from atlasinit.projection.xla import reduce_data

FILES = "/proc/self/fd"


@pytest.mark.skipif(not os.path.isdir(FILES), reason="this system does not list open files")
@pytest.mark.sweep
def test_refused_files_are_closed(tmp_path):
    kinds = seeds()
    for seed in kinds:  # what is imported or cached once
        find_fault(seed, 0, tmp_path)
    gc.collect()
    before = len(os.listdir(FILES))
    for seed in kinds:
        find_fault(seed, 1, tmp_path)
    gc.collect()
    assert len(os.listdir(FILES)) == before


def soak(tmp_path, loads, projections, ending=".npz", kernel="auto"):
    """Return the growth of memory in KiB and the number of programs compiled meanwhile."""
    labels = np.arange(6000, dtype=np.int32).reshape(10, 20, 30) % 50
    atlas = ai.load_atlas({"cortex_L": labels.ravel()}, space="x")
    path = ai.save_atlas(atlas, tmp_path / f"lh.a{ending}")[0]
    data = np.ones((atlas.n_locations, 5), np.float32)

    def work(loads, projections):
        for _ in range(loads):
            assert ai.load_atlas(path, space="x").n_parcels == 49
        for _ in range(projections):
            ai.project(atlas, data, kernel=kernel)

    work(20, 200)
    gc.collect()
    before, compiled = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, reduce_data._cache_size()  # pyright: ignore[reportFunctionMemberAccess]
    work(loads, projections)
    gc.collect()
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    return grown, reduce_data._cache_size() - compiled  # pyright: ignore[reportFunctionMemberAccess]


def test_some_loads_and_projections(tmp_path):
    grown, compiled = soak(tmp_path, 30, 300)
    assert compiled == 0
    assert grown < 20 << 10


@pytest.mark.sweep
def test_many_loads_and_projections(tmp_path):
    grown, compiled = soak(tmp_path, 1000, 10_000)
    assert compiled == 0
    assert grown < 20 << 10


# Every format of hemispheres, and every kernel of labels.
PAIRS = (
    *((".npz", "host"), (".safetensors", "scatter"), (".dlabel.nii", "groups")),
    *((".label.gii", "dense"), (".annot", "tiles"), (".scipy.npz", "host")),
)


@pytest.mark.parametrize(
    ("ending", "kernel"), [pytest.param(*pair, marks=pytest.mark.sweep) for pair in PAIRS]
)
def test_loads_and_projections_of_each_kind(tmp_path, ending, kernel):
    grown, compiled = soak(tmp_path, 50, 500, ending, kernel)
    assert compiled == 0
    assert grown < 20 << 10
