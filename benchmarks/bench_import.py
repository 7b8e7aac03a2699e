"""Time to import atlasinit, and to list, beside that to import jax; each in a fresh process."""

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
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        times.append(time.perf_counter() - start)
    return statistics.median(times[1:])


def main() -> list[dict]:
    """Return the rows of the table."""
    empty = seconds("pass")
    jax = seconds("import jax") - empty
    used = seconds("import atlasinit; atlasinit.Atlas, atlasinit.AtlasLinear") - empty
    listed = seconds("from atlasinit.cli import app; app(['list'], standalone_mode=False)") - empty
    return [
        row("import atlasinit and use a layer, against import jax", used, jax, most=2.5),
        row("atlasinit list, against import jax", listed, jax, most=1.0),
    ]


if __name__ == "__main__":
    report(main())
