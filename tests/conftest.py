"""Strict JAX settings for every test, sweeps, keys, and the command line."""

import gc
import os
from collections import defaultdict

import jax
import jax.random as jr
import pytest
from helpers_sweep import select_cover, values_of
from jaxtyping import install_import_hook

jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")


def pytest_addoption(parser):
    parser.addoption(
        "--sweep",
        action="store_true",
        help="run every case of the sweeps, of programs that are compiled as for users, and check the "
        "types of calls",
    )


def pytest_configure(config):
    if config.getoption("--sweep"):
        # The types of all calls; that takes as long again as the tests themselves.
        install_import_hook("atlasinit", "beartype.beartype")
        return
    # LLVM takes longer to optimise small programs than they run, and what XLA emits for each fused
    # loop takes longer to compile than its older code. Another XLA may not know these flags, and
    # would not start.
    jax.config.update("jax_disable_most_optimizations", True)  # noqa: FBT003
    if jax.__version_info__[:2] == (0, 10):
        flags = "--xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1"
        os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {flags}"


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config, items):
    """Leave out what runs with ``--sweep`` alone (CONTRIBUTING.md says what that is)."""
    if config.getoption("--sweep"):
        return
    left, swept = set(), defaultdict(list)
    for item in items:
        case = getattr(item, "callspec", None)
        if not item.get_closest_marker("sweep"):
            continue
        if case is None or any(mark.name == "sweep" for mark in case.marks):
            left.add(item)
        else:
            swept[item.nodeid.partition("[")[0]].append(item)
    for group in swept.values():
        taken = select_cover([values_of(item) for item in group])
        left.update(item for i, item in enumerate(group) if i not in taken)
    if left:
        config.hook.pytest_deselected(items=[item for item in items if item in left])
        items[:] = [item for item in items if item not in left]


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item, nextitem):
    # What the sweeps compile would add up to gigabytes.
    if item.config.getoption("--sweep") and (nextitem is None or nextitem.path != item.path):
        jax.clear_caches()


def pytest_collection_finish():
    # Modules stay to the end: tests that collect garbage need not look through them.
    gc.collect()
    gc.freeze()


@pytest.fixture
def key():
    return jr.key(2026)


@pytest.fixture
def run(capsys):
    """Run the command line in this process; return (status, output, errors)."""
    # Here, as the types of what is imported before pytest is configured would not be checked.
    from helpers_cli import run_cli

    return lambda *arguments: run_cli(capsys, *arguments)


@pytest.fixture
def labels(tmp_path):
    """The folder of a small label image, its table and data on its grid; and their values."""
    from helpers_cli import write_labels

    return (tmp_path, *write_labels(tmp_path))
