"""Timing, rows of results and their table, shared by the benchmarks."""

import importlib.metadata
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from isal import igzip

VERSIONS = ("atlasinit", "jax", "numpy", "scipy", "nibabel", "nilearn")


def median_seconds(function: Callable[[], Any], *, repeats: int = 5, warmup: int = 1) -> float:
    """Return the median wall time of `function`; what it returns is waited for."""
    import jax

    times = []
    for _ in range(warmup + repeats):
        start = time.perf_counter()
        jax.block_until_ready(function())
        times.append(time.perf_counter() - start)
    return statistics.median(times[warmup:])


def process_seconds(*arguments: object, repeats: int = 5) -> float:
    """Return the median wall time of a Python process, after one whose bytecode is then kept."""
    kept = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    command = [sys.executable, *map(str, arguments)]
    times = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True, env=kept)
        times.append(time.perf_counter() - start)
    return statistics.median(times[1:])


def unpack(path: Path) -> None:
    """Decompress a file, and keep nothing."""
    with igzip.open(path, "rb") as file:
        while file.read(2**20):
            pass


def row(
    name: str, ours: float, peer: float, *, least: float | None = None, most: float | None = None
) -> dict[str, Any]:
    """Return a result: seconds of ours and of the peer, and the target for their ratio.

    `least` asks that the peer takes at least so many times our time, `most` that
    ours is at most so many times the peer's.
    """
    if least is not None:
        ratio, target, met = peer / ours, f">= {least:g}x faster", peer / ours >= least
    else:
        ratio = ours / peer
        target, met = ("", True) if most is None else (f"<= {most:g}x its time", ratio <= most)
    return {"name": name, "ours": ours, "peer": peer, "ratio": ratio, "target": target, "met": met}


def versions() -> dict[str, str]:
    """Return versions of packages and what the machine has."""
    import jax

    found = {name: importlib.metadata.version(name) for name in VERSIONS}
    return {
        **found,
        "python": platform.python_version(),
        "wb_command": _workbench(),
        "device": jax.devices()[0].device_kind,
        "threads": str(os.cpu_count()),
    }


def _workbench() -> str:
    if shutil.which("wb_command") is None:
        return "none"
    shown = subprocess.run(["wb_command", "-version"], capture_output=True, text=True, check=True)
    found = re.search(r"^Version: (\S+)", shown.stdout, re.MULTILINE)
    return found[1] if found else "unknown"


def report(rows: list[dict[str, Any]]) -> None:
    """Print the table of results and the versions."""
    print(f"{'benchmark':72} {'ours s':>9} {'peer s':>9} {'ratio':>7}  target")
    for r in rows:
        verdict = "" if not r["target"] else ("met" if r["met"] else "MISSED")
        print(
            f"{r['name'][:72]:72} {r['ours']:9.4f} {r['peer']:9.4f} {r['ratio']:7.2f}  "
            f"{r['target']} {verdict}"
        )
    print(", ".join(f"{name} {version}" for name, version in versions().items()))
