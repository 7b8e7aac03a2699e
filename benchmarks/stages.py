"""What the runs of an extraction spend the time of the cores on, in this process."""

import contextlib
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from harness import unpack

from atlasinit.extraction import performing

STAGES = {"extract_run": "unpack and project", "clean_series": "clean", "write_run": "write"}
"""Functions of `atlasinit.extraction.performing`, and what they do."""


@contextlib.contextmanager
def timed_stages() -> Iterator[dict[str, float]]:
    """Yield seconds of CPU of each stage and of all, which grow while runs are done here."""
    found: dict[str, float] = defaultdict(float)
    own = {name: getattr(performing, name) for name in STAGES}

    def time_it(function: Callable[..., Any], stage: str) -> Callable[..., Any]:
        def call(*given: Any, **options: Any) -> Any:
            # Of all threads: one unpacks while another adds up.
            begun = time.process_time()
            try:
                return function(*given, **options)
            finally:
                found[stage] += time.process_time() - begun

        return call

    try:
        for name, stage in STAGES.items():
            setattr(performing, name, time_it(own[name], stage))
        yield found
    finally:
        for name, function in own.items():
            setattr(performing, name, function)


def read_alone(path: Path) -> float:
    """Return the seconds that the bytes of a file take, as they lie."""
    begun = time.perf_counter()
    with path.open("rb", buffering=0) as file:
        while file.read(2**20):
            pass
    return time.perf_counter() - begun


def unpack_alone(path: Path) -> float:
    """Return the seconds of CPU that isal takes to unpack a file, keeping nothing."""
    begun = time.process_time()
    unpack(path)
    return time.process_time() - begun
