"""Damaged files for every reader: none may crash, hang, or raise anything but an error of ours.

The long run, whose findings are printed with the name and number that make them again::

    PYTHONPATH=tests:. python tests/fuzz/harness.py --number 1000000 --seed 1
"""

import argparse
import contextlib
import gzip
import itertools
import os
import random
import re
import resource
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType

from fuzz.inputs import Seed, seeds

from atlasinit.errors import Explained

SECONDS = 2.0
"""What an input may take, beside what the machine does meanwhile."""

MEMORY = 2**16
"""KiB that an input may take: the seeds are small, and what reads one takes a few MiB."""

# Damage


def _flip(content: bytearray, rng: random.Random) -> None:
    for _ in range(rng.choice((1, 1, 1, 4, 16))):
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)


def _cut(content: bytearray, rng: random.Random) -> None:
    del content[rng.randrange(len(content)) :]


def _remove(content: bytearray, rng: random.Random) -> None:
    start = rng.randrange(len(content))
    del content[start : start + rng.choice((1, 2, 4, 30))]


def _repeat(content: bytearray, rng: random.Random) -> None:
    start, size = rng.randrange(len(content)), rng.choice((1, 4, 60))
    content[start:start] = content[start : start + size] * rng.choice((1, 2, 50))


def _number(content: bytearray, rng: random.Random) -> None:
    """Put a number that is odd in binary in the place of four or eight bytes."""
    size = rng.choice((2, 4, 8))
    value = rng.choice((0, 1, 2**15, 2**31 - 1, 2**31, 2**32 - 1, 2**62, 2**63, 2**64 - 1))
    stored = (value % 2 ** (8 * size)).to_bytes(size, rng.choice(("little", "big")))
    start = rng.randrange(min(len(content), rng.choice((64, 600, 10**9))))
    content[start : start + size] = stored


_ODD = "0 -1 1e300 nan inf 2147483648 99999999999999999999 1_0 0x1 '' é \ud7ff [ { 1e-320".split()


def _text(content: bytearray, rng: random.Random) -> None:
    """Put an odd number in the place of one in text, such as XML or JSON."""
    numbers = list(re.finditer(rb"-?[0-9]+(\.[0-9]+)?", content))
    if numbers:
        found = rng.choice(numbers)
        content[found.start() : found.end()] = rng.choice(_ODD).encode()


def _word(content: bytearray, rng: random.Random) -> None:
    """Take away, double or empty a word of text."""
    words = list(re.finditer(rb"[A-Za-z]{3,}|\"[^\"]*\"|<[^>]*>", content))
    if words:
        found = rng.choice(words)
        content[found.start() : found.end()] = rng.choice((b"", 2 * found[0], b'""', b"\xff"))


DAMAGES = (_flip, _flip, _cut, _remove, _repeat, _number, _number, _text, _text, _word)


def damage(seed: Seed, number: int) -> bytes:
    """Return the content of a seed with the damage of a number, the same each time."""
    rng = random.Random(f"{seed.name} {number}")
    unpacked = seed.name.endswith((".gz", ".mgz")) and rng.random() < 0.7
    content = bytearray(gzip.decompress(seed.content) if unpacked else seed.content)
    for _ in range(rng.choice((1, 1, 2))):
        if content:
            rng.choice(DAMAGES)(content, rng)
    return gzip.compress(content) if unpacked else bytes(content)


class TooLong(BaseException):
    """An input took longer than it may."""


def _peak() -> int:
    """Return the most memory that this process had since its peak was last begun, in KiB."""
    try:
        status = Path("/proc/self/status").read_text()
        return int(re.search(r"^VmHWM:\s+(\d+)", status, re.MULTILINE).group(1))  # pyright: ignore
    except OSError:  # no Linux
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _begin_peak() -> int:
    """Count the peak from now on: what was taken before, and given back, would hide what is taken.

    https://docs.kernel.org/filesystems/proc.html, of clear_refs.
    """
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    return _peak()


def _stop(number: int, frame: FrameType | None) -> None:
    raise TooLong(f"after {SECONDS} s")


def find_fault(seed: Seed, number: int, folder: Path) -> str:
    """Return what is wrong with how an input is taken, "" where nothing is."""
    path = folder / seed.name
    path.write_bytes(damage(seed, number))
    before = _begin_peak()
    signal.signal(signal.SIGVTALRM, _stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", RuntimeWarning)
            seed.use(path)
    except Explained:
        pass
    except (Exception, TooLong):
        return traceback.format_exc()
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    taken = _peak() - before
    return f"took {taken >> 10} MiB" if taken > MEMORY else ""


def place_of(fault: str) -> str:
    """Return what tells a fault from others: the reader that it is raised in, and its kind."""
    reader = re.findall(r'File ".*?(atlasinit/[^"]+)", line (\d+)', fault)[-1:]
    kind = fault.strip().splitlines()[-1].partition(":")[0]
    return " ".join(["took much" if kind.startswith("took") else kind, *map(":".join, reader)])


def list_inputs(kinds: Sequence[Seed], start: int) -> Iterator[tuple[Seed, int]]:
    """Yield seeds in turn, each time with the next of the numbers of a start, without an end."""
    for number in itertools.count(start * 10**9):
        yield from ((seed, number) for seed in kinds if number % seed.every == 0)


def main() -> int:
    """Run many inputs and print each fault once, by the place that it is raised at."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--number", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    found: dict[str, int] = {}
    kinds, started, done = seeds(), time.process_time(), 0
    resident = _begin_peak()
    # What a compiled reader may take, so that the machine stays usable.
    resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30))
    # A run may be ended before its end, also in the background.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with tempfile.TemporaryDirectory() as folder, contextlib.suppress(KeyboardInterrupt):
        for seed, number in itertools.islice(list_inputs(kinds, options.seed), options.number):
            done += 1
            if done == 2 * len(kinds):  # what is imported or cached once is there
                resident = _begin_peak()
            Path(folder, "now").write_text(f"{seed.name} {number}")  # what a crash was made by
            if fault := find_fault(seed, number, Path(folder)):
                where = place_of(fault)
                found[where] = found.get(where, 0) + 1
                if found[where] == 1:
                    print(f"--- {seed.name} {number}\n{fault[-1500:]}", flush=True)
    # What was done until an interrupt counts.
    rate, grown = done / (time.process_time() - started), (_begin_peak() - resident) >> 10
    print(f"{done} inputs, {rate:.0f} a second of CPU time, {grown} MiB more than at first")
    print(f"{len(found)} faults", found)
    return len(found)


if __name__ == "__main__":
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    sys.exit(main())
