"""Run benchmarks, print one table of ratios and write it as JSON.

``run.py --all``, or ``run.py import build``.
"""

import argparse
import importlib
import json
import sys
from pathlib import Path

from harness import report, versions

FOLDER = Path(__file__).parent


def main() -> None:
    """Run what the command line names."""
    known = sorted(path.stem.removeprefix("bench_") for path in FOLDER.glob("bench_*.py"))
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "names", nargs="*", metavar="NAME", choices=[*known, []], help=", ".join(known)
    )
    parser.add_argument("--all", action="store_true", help="run every benchmark")
    parser.add_argument(
        "--json", type=Path, default=Path("benchmarks.json"), help="where the results are written"
    )
    options = parser.parse_args()
    if not (options.all or options.names):
        parser.error(f"name benchmarks ({', '.join(known)}), or pass --all")
    rows: list[dict] = []
    for name in known if options.all else options.names:
        print(f"{name} ...", file=sys.stderr)
        rows += importlib.import_module(f"bench_{name}").main()
        # After each, so that an interruption loses one.
        options.json.write_text(json.dumps({"versions": versions(), "rows": rows}, indent=1))
    report(rows)
    print(f"written to {options.json}", file=sys.stderr)


if __name__ == "__main__":
    main()
