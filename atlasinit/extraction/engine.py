"""Runs spread over processes: of this machine, or of a Dask cluster."""

import contextlib
import importlib
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any, TypeAlias

from atlasinit.errors import ArgumentError, ArgumentTypeError, AtlasFileError
from atlasinit.extraction.performing import Outcome, Setup, perform, record_failure
from atlasinit.extraction.planning import Job
from atlasinit.extraction.state import Ledger

Do: TypeAlias = Callable[[Setup, Job], Outcome]
"""What does a run: `perform`."""

_given: list[tuple[Setup, Do]] = []
"""Of a worker process, which gets it once and not with each run."""


def run_here(setup: Setup, jobs: Sequence[Job]) -> Iterator[Outcome]:
    """Yield outcomes of runs that are done in this process, one after the other."""
    for job in jobs:
        yield perform(setup, job)


def run_processes(
    setup: Setup, jobs: Sequence[Job], count: int, *, do: Do = perform
) -> Iterator[Outcome]:
    """Yield outcomes of runs in `count` processes of this machine, as they are ready.

    A process that dies takes the others of its pool with it. The runs that they were at are done
    again, each in a pool of its own, so that the one whose process dies once more is known: it
    has failed, and the rest go on.
    """
    waiting = deque(jobs)
    while waiting:
        suspects: list[Job] = []
        with _pool(setup, min(count, len(waiting)), do) as pool:
            running: dict[Any, Job] = {}
            while (waiting or running) and not suspects:
                while waiting and len(running) < count:
                    job = waiting.popleft()
                    try:
                        running[pool.submit(_perform, job)] = job
                    except BrokenProcessPool:
                        suspects.append(job)
                        break
                done, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    job = running.pop(future)
                    try:
                        yield future.result()
                    except BrokenProcessPool:
                        suspects.append(job)
            # The others were killed with it.
            suspects += running.values()
        for job in suspects:
            yield _try_alone(setup, job, do)


def _try_alone(setup: Setup, job: Job, do: Do) -> Outcome:
    with _pool(setup, 1, do) as pool:
        try:
            return pool.submit(_perform, job).result()
        except BrokenProcessPool:
            reason = "the process that it ran in was killed twice, as where memory does not suffice"
            told = f"{reason}; do it alone, with jobs=1"
            return record_failure(Ledger(setup.root), job.run.name, told)


@contextlib.contextmanager
def _pool(setup: Setup, count: int, do: Do) -> Iterator[Any]:
    # Its workers are new processes, as JAX needs, which do not run the user's script once more, as
    # those of `multiprocessing` do.
    from joblib.externals.loky import ProcessPoolExecutor

    threads = str(max(1, count_cores() // count))
    pool = ProcessPoolExecutor(
        count, initializer=_begin, initargs=(setup, do), env={"OMP_NUM_THREADS": threads}
    )
    try:
        yield pool
    except BaseException:
        # An interrupt: what a worker was at is not kept, and nothing of it lies under its name.
        pool.shutdown(wait=False, kill_workers=True)
        raise
    pool.shutdown(wait=True)


def _begin(setup: Setup, do: Do) -> None:
    import signal

    # Ctrl-C goes to all processes of a terminal; the one that started these ends them.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _given[:] = [(setup, do)]


def _perform(job: Job) -> Outcome:
    ((setup, do),) = _given
    return do(setup, job)


def run_dask(
    setup: Setup, jobs: Sequence[Job], dask: Any, *, do: Do = perform
) -> Iterator[Outcome]:
    """Yield outcomes of runs on a Dask cluster, as they are ready.

    Runs of workers that are lost are done again by others; retries, memory limits and the
    dashboard are Dask's.

    Raises
    ------
    ValueError
        A scheduler that is lost; what is finished stays.
    """
    with _client(dask) as client:
        # Atlases go to each worker once.
        shared = client.scatter(setup, broadcast=True)
        futures = {client.submit(do, shared, job, pure=False): job for job in jobs}
        try:
            for future in _distributed().as_completed(list(futures), loop=client.loop):
                job = futures.pop(future)
                if future.status == "finished":
                    yield future.result()
                elif future.status != "error":
                    # Cancelled, as all are whose scheduler does not answer any more: not failed.
                    raise ArgumentError(
                        "dask",
                        f": the scheduler was lost, with {len(futures) + 1} of {len(jobs)} runs to "
                        "do",
                        "what is done stays; call again, with another if that one is gone",
                    )
                else:
                    error = future.exception()
                    reason = " ".join(f"{type(error).__name__}: {error}".split())
                    yield record_failure(Ledger(setup.root), job.run.name, reason)
                future.release()
        finally:
            client.cancel(list(futures))


@contextlib.contextmanager
def _client(dask: Any) -> Iterator[Any]:
    given = find_scheduler(dask)
    if given is None:
        yield dask
        return
    try:
        client = _distributed().Client(**given, set_as_default=False)
    except OSError as error:
        raise ArgumentError(
            "dask", f": no scheduler answers at {dask}", "is it running, and reachable from here?"
        ) from error
    with client:
        yield client


def find_scheduler(dask: Any) -> dict[str, str] | None:
    """Return how a client finds a scheduler, None of what is a client.

    Raises
    ------
    ValueError, TypeError
        dask.distributed that is not installed; what is neither an address, a file nor a client.
    AtlasFileError
        A scheduler file that there is not.
    """
    if isinstance(dask, _distributed().Client):
        return None
    if not isinstance(dask, str | os.PathLike):
        raise ArgumentTypeError(
            "dask",
            "should be an address, a scheduler file or a distributed.Client, got "
            f"{type(dask).__name__}",
        )
    text = os.fspath(dask)
    if "://" in text:
        return {"address": text}
    if not Path(text).expanduser().is_file():
        raise AtlasFileError(
            text, "is no scheduler file, nor an address", "addresses begin with tcp://"
        )
    return {"scheduler_file": str(Path(text).expanduser())}


def _distributed() -> Any:
    try:
        return importlib.import_module("distributed")
    except ImportError as error:
        raise ArgumentError(
            "dask", "needs dask.distributed", 'install it: pip install "atlasinit[scale]"'
        ) from error


def count_cores() -> int:
    """Return the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
