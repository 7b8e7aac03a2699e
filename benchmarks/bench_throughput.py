"""Many runs on the cores of this machine, beside a script of nilearn's maskers and joblib."""

import os
import tempfile
import time
from pathlib import Path

import atlases
import nibabel as nib
import numpy as np
from harness import report, row

import atlasinit as ai

RUNS, TIME, PARCELS = 64, 200, (100, 400, 1000)
DISTINCT = 2  # files; the others are links to them
THEIRS = 2  # runs that nilearn does, as it needs half a minute for each; the others count alike
JOBS = 2


def write_runs(folder: Path, atlas: ai.Atlas) -> list[Path]:
    """Write runs, and return their files."""
    files = []
    for number in range(RUNS):
        name = f"sub-{number + 1:02d}_task-rest_space-{atlas.space}_desc-preproc_bold.nii.gz"
        files.append(folder / name)
        if number >= DISTINCT:
            os.link(files[number % DISTINCT], files[number])
        else:
            atlases.write_series(files[number], atlases.grid_of(atlas), TIME, seed=number)
    return files


def extract_theirs(path: Path, labels: list[nib.Nifti1Image]) -> list[np.ndarray]:
    """Return the series of each atlas, as a script of nilearn's does."""
    from nilearn.maskers import NiftiLabelsMasker

    return [
        NiftiLabelsMasker(one, standardize=None, keep_masked_labels=False).fit_transform(path)
        for one in labels
    ]


def main() -> list[dict]:
    """Return the rows of the table."""
    from joblib import Parallel, delayed

    own = {f"v{n}": atlases.volume(n) for n in PARCELS}
    first = next(iter(own.values()))
    labels = [atlases.label_image(atlas) for atlas in own.values()]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = write_runs(folder, first)
        begun = time.perf_counter()
        done = ai.extract(files, own, folder / "out", connectome=(), jobs=JOBS)
        ours = time.perf_counter() - begun
        assert done.count("done") == RUNS, done.failures
        busy = sum(outcome.seconds for outcome in done.outcomes or ()) / JOBS
        begun = time.perf_counter()
        Parallel(n_jobs=JOBS)(delayed(extract_theirs)(path, labels) for path in files[:THEIRS])
        theirs = (time.perf_counter() - begun) * RUNS / THEIRS
    shape = "x".join(map(str, (*atlases.grid_of(first).shape, TIME)))
    title = f"{RUNS} runs of {shape}, {len(own)} atlases, {JOBS} processes"
    return [
        row(f"{title}; nilearn and joblib", ours, theirs, least=15),
        row(f"{title}; the time that its processes are at runs", ours, busy, most=1 / 0.9),
    ]


if __name__ == "__main__":
    report(main())
