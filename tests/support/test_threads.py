"""Threads of the host."""

import json
import os
import select
import signal
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import run_program

import atlasinit as ai
from atlasinit.support import threads
from atlasinit.support.threads import is_host, run_in_threads


@pytest.mark.parametrize("workers", [1, 2, 5])
@pytest.mark.parametrize("n", [0, 1, 3, 200])
def test_results_keep_the_order_of_the_arguments(monkeypatch, workers, n):
    monkeypatch.setattr(threads, "WORKERS", workers)
    assert run_in_threads(lambda a, b: a * b, zip(range(n), range(n), strict=True)) == [
        i * i for i in range(n)
    ]


@pytest.mark.parametrize("failing", [0, 57, 99])
def test_an_error_is_raised_after_the_others_have_stopped(monkeypatch, failing):
    monkeypatch.setattr(threads, "WORKERS", 4)
    done = []

    def work(i):
        if i == failing:
            raise KeyError(i)
        time.sleep(1e-4)
        done.append(i)

    with pytest.raises(KeyError, match=str(failing)):
        run_in_threads(work, [(i,) for i in range(100)])
    count = len(done)
    time.sleep(0.02)
    assert len(done) == count


def test_threads_may_start_threads(monkeypatch):
    monkeypatch.setattr(threads, "WORKERS", 3)
    inner = run_in_threads(
        lambda i: sum(run_in_threads(lambda j: i * j, [(j,) for j in range(50)])),
        [(i,) for i in range(50)],
    )
    assert inner == [i * 1225 for i in range(50)]


@pytest.mark.parametrize(("limit", "expected"), [("1", 1), ("2,1", None), ("0", None), ("", None)])
def test_the_number_of_threads_can_be_limited(monkeypatch, limit, expected):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    cores = threads._n_cores()
    assert cores >= 1
    monkeypatch.setenv("OMP_NUM_THREADS", limit)
    assert threads._n_cores() == (expected or cores)


@pytest.mark.parametrize("shape", [(), (0, 3), (7,), (3, 5, 2)])
def test_memory_for_jax_is_aligned(shape):
    for dtype in (np.float32, np.float64):
        array = threads.empty_for_jax(shape, dtype)
        assert (array.shape, array.dtype) == (shape, dtype)
        assert array.ctypes.data % 64 == 0 or not array.size
        array[...] = 1
        assert array.sum() == array.size


def test_what_lies_on_the_host():
    on_cpu = jax.default_backend() == "cpu"
    assert is_host(np.ones(2)) == is_host(jnp.ones(2)) == on_cpu
    assert is_host(jax.device_put(np.ones(2), jax.devices("cpu")[0]))
    jax.jit(lambda x: x if not is_host(x) else pytest.fail("traced"))(1.0)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.filterwarnings("ignore:.*fork")
@pytest.mark.parametrize("kernel", ["auto", "host", "scatter"])
def test_a_fork_is_told_that_it_would_wait(kernel):
    maps = ai.HardMaps(np.array([0, 1, 1, -1], np.int32), 2)
    data = np.ones((4, 3), np.float32)
    ai.project(maps, data)
    out, into = os.pipe()
    child = os.fork()
    if not child:
        try:
            ai.project(maps, data, kernel=kernel)
        except ValueError as error:
            os.write(into, str(error).encode())
        finally:
            os._exit(0)
    os.close(into)
    ready, _, _ = select.select([out], [], [], 20)
    told = os.read(out, 4096).decode() if ready else "it waits"
    os.close(out)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    assert "a process that was forked after JAX had started" in told
    assert 'start workers by "spawn" or "forkserver"' in told
    ai.project(maps, data)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.sweep
def test_what_is_asked_of_a_fork_works_or_is_refused(tmp_path):
    assert json.loads(run_program("helpers_forks.py", tmp_path)) == {}


def test_what_others_ask_of_jax_in_a_fork_is_their_own(monkeypatch):
    monkeypatch.setattr(threads, "_forked", [True])
    event = "/jax/core/compile/backend_compile_duration"
    threads._refuse_compiling(event, 0.0)
    ours = {"__name__": "atlasinit.x", "refuse": threads._refuse_compiling}
    with pytest.raises(ai.ArgumentError, match="forked after JAX had started"):
        exec(f"refuse({event!r}, 0.0)", ours)
    exec("refuse('/jax/other', 0.0)", ours)
