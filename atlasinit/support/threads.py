"""Work on the host: which arrays lie there, their bytes, and its cores."""

import functools
import itertools
import math
import os
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any, TypeVar

import jax
import numpy as np
from jax import monitoring
from jax.core import Tracer

from atlasinit.errors import ArgumentError


def _n_cores() -> int:
    """Return the number of cores that this process may use; OMP_NUM_THREADS limits it."""
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    # What limits BLAS too, and what joblib sets in the processes that it starts.
    limit = os.environ.get("OMP_NUM_THREADS", "")
    return min(cores, int(limit)) if limit.isdecimal() and int(limit) else cores


WORKERS = _n_cores()
_ALIGNED = 64  # bytes; XLA on a CPU copies what begins elsewhere


_T = TypeVar("_T")
_END = object()

_forked: list[bool] = []


def _note_fork() -> None:
    # JAX does not say in public whether it has started.
    started = getattr(jax._src.xla_bridge, "backends_are_initialized", lambda: True)  # pyright: ignore[reportAttributeAccessIssue]
    if started():
        _forked.append(True)
        # What JAX says before it compiles; older versions of it do not.
        if register := getattr(monitoring, "register_scalar_listener", None):
            register(_refuse_compiling)


def _refuse_compiling(event: str, value: float, **_: Any) -> None:
    """Raise where JAX would compile for this package, which waits in a forked process.

    Whatever is asked of JAX, here alone it is known that it would: small programs that are
    compiled already do run.
    """
    del value
    if "/compile/" not in event:
        return
    frame = sys._getframe()
    while frame := frame.f_back:
        name = frame.f_globals.get("__name__", "")
        # What others ask of JAX is their own.
        if name.startswith("atlasinit.") and name != __name__:
            check_process()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_note_fork)


def check_process() -> None:
    """Refuse to compute in a process that was forked after JAX had started.

    A fork has none of its parent's threads, for which JAX, and the threads here, would wait
    without an end.

    Raises
    ------
    ValueError
        Such a process.
    """
    if _forked:
        raise ArgumentError(
            "data",
            ": nothing can be computed in a process that was forked after JAX had started, as "
            "its threads are not there",
            'start workers by "spawn" or "forkserver", as `multiprocessing.get_context("spawn")` '
            "and joblib do, or compute nothing before the fork",
        )


def is_host(array: Any) -> bool:
    """Return whether an array is concrete and lies, or would lie, on one CPU device."""
    if isinstance(array, Tracer):
        return False
    if isinstance(array, jax.Array):
        return [device.platform for device in array.devices()] == ["cpu"]
    return jax.default_backend() == "cpu"


def to_native_order(array: Any) -> Any:
    """Return NumPy's arrays in the machine's byte order: JAX refuses others, or misreads them."""
    if isinstance(array, np.ndarray) and not array.dtype.isnative:
        return array.astype(array.dtype.newbyteorder("="))
    return array


def empty_for_jax(shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """Return an array, yet to be filled, that `jax.device_put` takes on a CPU without a copy."""
    size = math.prod(shape) * np.dtype(dtype).itemsize
    raw = np.empty(size + _ALIGNED, np.uint8)
    # As many bytes as the address lacks to a multiple of the alignment.
    start = -raw.ctypes.data % _ALIGNED
    return raw[start : start + size].view(dtype).reshape(shape)


def run_in_threads(
    function: Callable[..., Any], arguments: Iterable[tuple], *, spare: int = 0
) -> list:
    """Return ``[function(*a) for a in arguments]``; NumPy's and SciPy's work runs in parallel.

    The calling thread works too, and whoever is free takes the next: a small piece of work
    does not wait until other threads have woken up. Of the cores `spare` are left to others.
    """
    some = list(arguments)
    results: list[Any] = [None] * len(some)
    # CPython counts in one step: no two threads get the same number.
    turns = itertools.count()

    def work() -> None:
        while (i := next(turns)) < len(some):
            results[i] = function(*some[i])

    helpers = [_pool().submit(work) for _ in range(min(len(some), WORKERS - spare) - 1)]
    try:
        work()
    finally:
        # Those that are cancelled had not begun; the others may be in the middle of their last.
        running = [helper for helper in helpers if not helper.cancel()]
        wait(running)
    for helper in running:
        helper.result()
    return results


def make_ahead(items: Iterable[_T], *, ahead: int = 1) -> Iterator[_T]:
    """Return the items, `ahead` of which are made in another thread while one is used.

    The first are made from now on, before one is asked for.
    """
    iterator = iter(items)
    # One thread of its own: those of the pool are for pieces of work that do not wait.
    maker = ThreadPoolExecutor(1)
    coming = deque(maker.submit(next, iterator, _END) for _ in range(ahead))

    def give() -> Iterator[_T]:
        try:
            while (item := coming.popleft().result()) is not _END:
                coming.append(maker.submit(next, iterator, _END))
                yield item  # pyright: ignore[reportReturnType]
        finally:
            maker.shutdown(cancel_futures=True)

    return give()


@functools.cache
def _pool() -> ThreadPoolExecutor:
    """Return the threads, started once: that takes as long as the product of a column."""
    return ThreadPoolExecutor(WORKERS)


if hasattr(os, "register_at_fork"):
    # A forked process has none of its parent's threads.
    os.register_at_fork(after_in_child=_pool.cache_clear)
