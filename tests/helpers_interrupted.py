"""Write an atlas again and again, killed at each step in turn; run as a program by the tests.

Every kill is of a forked process, by SIGKILL right before its n-th change of the file
system, or by the kernel in the middle of a file that grows beyond a limit.
"""

import json
import os
import resource
import shutil
import signal
import sys
from pathlib import Path

import numpy as np
from helpers_surfaces import brain_atlas, cortex_atlas

import atlasinit as ai

CHANGES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.chmod", "os.link"}
LIMITS = (0, 1, 64)


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


def kill_before(change):
    """Kill this process right before its n-th change of the file system."""
    count = 0

    def hook(event, arguments):
        nonlocal count
        writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & os.O_CREAT
        if event in CHANGES or writes:
            count += 1
            if count == change:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


def kill_beyond(size):
    """Have the kernel kill this process when it writes a file beyond `size` bytes."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def survived(prepare, atlas, folder, case):
    """Return whether a process that is prepared to be killed writes the atlas to its end."""
    child = os.fork()
    if child == 0:
        prepare()
        save(atlas, folder, case)
        os._exit(0)
    return os.waitpid(child, 0)[1] == 0


def main(case, root):
    old = atlas_for(case)
    new = changed(old)
    versions = {"old": old, "new": new}
    out = {}
    for start in ("old", "none"):
        states = []
        steps = [lambda n=n: kill_beyond(n) for n in LIMITS]
        steps += [lambda n=n: kill_before(n) for n in range(1, 200)]
        for step in steps:
            folder = root / "folder"
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            if start == "old":
                save(old, folder, case)
            done = survived(step, new, folder, case)
            states.append(state(folder, case, versions))
            if done:
                break
        out[start] = states
    print(json.dumps(out))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
