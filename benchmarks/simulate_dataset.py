"""A thousand generated runs, extracted, beside the time that a model of one run gives.

``OMP_NUM_THREADS=1 simulate_dataset.py --runs 1000``, as each of several processes has one thread:
`docs/scale.md` shows what it prints. On a machine that does other work too, the seconds of CPU are
those to compare.
"""

import argparse
import contextlib
import os
import resource
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
from atlases import pack
from stages import read_alone, timed_stages, unpack_alone

import atlasinit as ai
from atlasinit.core.labels import numbered_labels

SPACE, SHAPE, TIME = "MNI152NLin6Asym", (23, 27, 23), 80
AFFINE = np.diag([8.0, 8.0, 8.0, 1.0])
DISTINCT = 10  # images; the other runs are links to them
LOOKED = 40  # runs of which the cost of one is measured
MOTION = [f"{kind}_{axis}" for kind in ("trans", "rot") for axis in "xyz"]
OPTIONS = {"confounds": MOTION}


def make_atlases() -> dict[str, ai.Atlas]:
    """Return atlases of 50 and 100 parcels, of the voxels nearest to drawn ones."""
    from scipy.spatial import cKDTree

    places = np.indices(SHAPE).reshape(3, -1).T
    inside = (((places - np.array(SHAPE) / 2) / (np.array(SHAPE) / 2)) ** 2).sum(1) < 1
    grid = ai.VolumeGrid(SHAPE, AFFINE, np.flatnonzero(inside))
    found = {}
    for n in (50, 100):
        rng = np.random.default_rng(n)
        seeds = rng.choice(places[inside], n, replace=False)
        labels = cKDTree(seeds).query(places[inside])[1].astype(np.int32)
        found[f"v{n}"] = ai.Atlas(
            name=f"v{n}",
            space=SPACE,
            maps={"volume": ai.HardMaps(labels, n)},
            geometry={"volume": grid},
            labels=numbered_labels({"volume": n}),
        )
    return found


def write_dataset(root: Path, count: int) -> list[Path]:
    """Write runs as fMRIPrep does, with their masks and confounds; return the images."""
    images = []
    for number in range(count):
        folder = root / f"sub-{number:04d}" / "func"
        folder.mkdir(parents=True)
        stem = f"sub-{number:04d}_task-rest"
        names = [
            f"{stem}_space-{SPACE}_desc-preproc_bold.nii.gz",
            f"{stem}_space-{SPACE}_desc-brain_mask.nii.gz",
            f"{stem}_desc-confounds_timeseries.tsv",
        ]
        if number < DISTINCT:
            _write_run(*(folder / name for name in names), seed=number)
        else:
            # Each with its own time, as files of a dataset have; the bytes lie there once.
            first = images[number % DISTINCT].parent
            for name in names:
                old = name.replace(f"sub-{number:04d}", f"sub-{number % DISTINCT:04d}")
                os.link(first / old, folder / name)
        images.append(folder / names[0])
    return images


def _write_run(bold: Path, mask: Path, confounds: Path, *, seed: int) -> None:
    rng = np.random.default_rng(seed)
    values = rng.normal(500, 30, (*SHAPE, TIME)).round().astype(np.int16)
    image = nib.Nifti1Image(values, AFFINE)
    image.header.set_zooms((8, 8, 8, 2.0))
    image.header.set_xyzt_units("mm", "sec")
    pack(image, bold)
    nib.save(nib.Nifti1Image(np.ones(SHAPE, np.uint8), AFFINE), mask)
    table = pd.DataFrame(rng.normal(size=(TIME, len(MOTION))), columns=MOTION)
    table["framewise_displacement"] = rng.uniform(0, 0.3, TIME)
    table.to_csv(confounds, sep="\t", index=False)


def resident(parent: int) -> float:
    """Return the MiB that the child processes of a process hold."""
    total = 0
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        # It may have ended meanwhile.
        with contextlib.suppress(OSError):
            state = (folder / "stat").read_text().rsplit(")", 1)[1].split()
            if int(state[1]) == parent:
                total += int((folder / "statm").read_text().split()[1])
    return total * os.sysconf("SC_PAGE_SIZE") / 2**20


@contextlib.contextmanager
def measured() -> Iterator[dict[str, float]]:
    """Yield the seconds, and those of CPU of this process and of its children that ended."""
    kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    used = lambda: sum(sum(resource.getrusage(kind)[:2]) for kind in kinds)  # noqa: E731
    found: dict[str, float] = {}
    begun, before = time.perf_counter(), used()
    yield found
    found.update(wall=time.perf_counter() - begun, cpu=used() - before)


def main() -> None:
    """Print the stages of a run, the model's time for all, the measured one, and the memory."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--folder", type=Path, help="where files are written; by default /tmp")
    given = parser.parse_args()
    atlases = make_atlases()
    with tempfile.TemporaryDirectory(dir=given.folder) as name:
        root, out = Path(name) / "fmriprep", Path(name) / "out"
        images = write_dataset(root, given.runs)
        size = images[0].stat().st_size
        print(f"{given.runs} runs of {SHAPE} x {TIME}, {size / 2**20:.1f} MiB each, 2 atlases")

        # The cost of one run, from some of them, in this process.
        people = [f"{i:04d}" for i in range(LOOKED)]

        def extract(count: int, jobs: int) -> dict[str, float]:
            with measured() as found:
                options = {"participants": people[:count], "jobs": jobs, **OPTIONS}
                done = ai.extract(root, atlases, out, **options)
            shutil.rmtree(out)
            # What one process does for all, while no run is at work.
            found["around"] = found["wall"] - sum(one.seconds for one in done.outcomes or ())
            return found

        extract(2, 1)
        few = extract(2, 1)
        with timed_stages() as stages:
            many = extract(LOOKED, 1)
        starting = extract(2, 2)
        stages = {stage: seconds / LOOKED for stage, seconds in stages.items()}
        unpacking = min(unpack_alone(images[0]) for _ in range(5))
        # What comes before and after the runs: atlases, the list of files, table and page.
        with measured() as around:
            ai.extract(root, atlases, out, jobs=1, dry_run=True, **OPTIONS)
        # The table and the page of all runs are made once.
        each = (many["cpu"] - few["cpu"]) / (LOOKED - 2)
        alone = (many["around"] - few["around"]) / (LOOKED - 2)
        rest = each - sum(stages.values())
        rows = {"read": read_alone(images[0]), "unpack": unpacking}
        rows["project"] = stages["unpack and project"] - unpacking
        rows |= {"clean": stages["clean"], "write": stages["write"], "other": rest}
        for stage, seconds in rows.items():
            print(f"  {stage:8} {1000 * seconds:7.1f} ms")
        print(
            f"  {'a run':8} {1000 * each:7.1f} ms of CPU, {1000 * alone:.1f} of one process for all"
        )
        start = {"wall": starting["wall"] - each, "cpu": starting["cpu"] - 2 * each}
        predicted = {
            "wall": start["wall"]
            + around["wall"]
            + given.runs * ((each - alone) / given.jobs + alone),
            "cpu": start["cpu"] + around["cpu"] + given.runs * each,
        }
        print(f"start {start['wall']:.1f} s, list of files {around['wall']:.1f} s")

        memory: list[tuple[int, float]] = []

        def watch(_: object, number: int, total: int) -> None:
            if number % max(1, total // 20) == 0:
                memory.append((number, resident(os.getpid())))

        with measured() as whole:
            done = ai.extract(root, atlases, out, jobs=given.jobs, progress=watch, **OPTIONS)
        assert done.count("done") == given.runs, done.failures
        busy = sum(outcome.seconds for outcome in done.outcomes or ()) / given.jobs
        for kind, called in (("wall", f"{given.jobs} processes"), ("cpu", "CPU")):
            off = 100 * (whole[kind] / predicted[kind] - 1)
            print(
                f"{called}: {predicted[kind]:.1f} s predicted, {whole[kind]:.1f} s ({off:+.0f} %)"
            )
        print(f"processes at runs: {100 * busy / whole['wall']:.0f} % of the time")
        print("runs done, MiB of all processes:")
        print("\n".join(f"  {number:5d} {size:7.0f}" for number, size in memory))


if __name__ == "__main__":
    main()
