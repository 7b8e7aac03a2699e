"""Run benchmarks and print one table of ratios: ``run.py --all`` or ``run.py import build``."""

import argparse
import importlib
import json
from pathlib import Path

from harness import report, versions

FOLDER = Path(__file__).parent


def main() -> None:
    """Run what the command line names."""
    known = sorted(path.stem.removeprefix("bench_") for path in FOLDER.glob("bench_*.py"))
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*known, []], help="benchmarks to run")
    parser.add_argument("--all", action="store_true", help="run every benchmark")
    parser.add_argument("--json", type=Path, help="also write the results here")
    options = parser.parse_args()
    rows = []
    for name in known if options.all else options.names:
        rows += importlib.import_module(f"bench_{name}").main()
    report(rows)
    if options.json:
        options.json.write_text(json.dumps({"versions": versions(), "rows": rows}, indent=1))


if __name__ == "__main__":
    main()
