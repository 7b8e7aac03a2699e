"""Import time of atlasinit beside that of jax, each in a fresh process."""

import statistics
import subprocess
import sys
import time

from harness import report, row


def seconds(statement: str, repeats: int = 5) -> float:
    """Return the median wall time of a fresh interpreter that runs `statement`."""
    command = [sys.executable, "-c", statement]
    times = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        subprocess.run(command, check=True)
        times.append(time.perf_counter() - start)
    return statistics.median(times[1:])


def main() -> list[dict]:
    """Return the rows of the table."""
    empty = seconds("pass")
    ours, jax = seconds("import atlasinit") - empty, seconds("import jax") - empty
    return [row("import atlasinit, against import jax", ours, jax, most=2.5)]


if __name__ == "__main__":
    report(main())
