"""Extract on a disk that is full from some step on, and then on one with room; run as a program.

Each extraction is of a forked process, in which from the n-th file or folder on none can be made,
or no file can grow beyond some bytes.
"""

import errno
import json
import os
import resource
import shutil
import signal
import sys
from pathlib import Path

from helpers_extraction import make_dataset, volume_atlas
from helpers_interrupted import fork_and_do, refuse, watch_changes

import atlasinit as ai

LIMITS = (0, 64, 1000)


def fill_from(change):
    """Let no file or folder be made from the n-th on."""
    watch_changes(lambda n, file: n >= change and refuse(errno.ENOSPC, file), {"os.mkdir"})


def fill_beyond(size):
    """Let no file grow beyond some bytes."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def extract(root):
    return ai.extract(root / "in", volume_atlas(), root / "out", jobs=1, parquet=PARQUET)


def outcome(root, prepare):
    """Return how an extraction ends: "done", "told" with a file, "untold", or what was raised."""
    reader, writer = os.pipe()

    def work():
        prepare()
        try:
            failures = extract(root).failures
            told = all(str(root / "out") in reason for reason in failures.values())
            text = ("told" if told else f"untold {failures}") if failures else "done"
        except ai.AtlasFileError as error:
            text = "told" if str(root / "out") in str(error) else f"untold {error}"
        except BaseException as error:
            text = f"raised {type(error).__name__}: {error}"
        # Less than a pipe holds, as it is read once the fork has ended.
        os.write(writer, text.encode()[:4000])

    fork_and_do(work)
    os.close(writer)
    with os.fdopen(reader) as stream:
        return stream.read()


def tables(root):
    return {
        str(path.relative_to(root / "out")): path.read_bytes()
        for path in sorted((root / "out").rglob("*.*"))
        if path.is_file() and path.suffix != ".html" and not path.is_relative_to(root / "out/logs")
        and ".atlasinit" not in path.parts
    }  # fmt: skip


def main(root, steps):
    make_dataset(root / "in", ("01", "02"), cifti=False, n_time=8)
    assert not extract(root).failures
    whole = tables(root)
    found = []
    faults = [lambda n=n: fill_from(n) for n in steps]
    faults += [lambda n=n: fill_beyond(n) for n in (LIMITS if PARQUET else LIMITS[1:2])]
    for fault in faults:
        shutil.rmtree(root / "out")
        text = outcome(root, fault)
        left = tables(root) if (root / "out").is_dir() else {}
        # Files of persons are whole under their names, or not there.
        broken = [k for k, v in left.items() if k.startswith("sub-") and v != whole[k]]
        again = extract(root)
        found.append((text, broken, again.failures, tables(root) == whole))
        if text == "done":
            break
    print(json.dumps(found))


PARQUET = "parquet" in sys.argv

if __name__ == "__main__":
    main(Path(sys.argv[1]), [int(n) for n in sys.argv[2].split(",")])
