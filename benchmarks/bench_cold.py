"""Whole processes from their start: the command line beside imports and a script of nilearn's."""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import atlases
import nibabel as nib
import numpy as np
from bench_masker import unpack
from harness import report, row
from isal import igzip

import atlasinit as ai

N_PARCELS, TIME = 400, 200
THEIRS = """
import sys
import pandas as pd
from nilearn.maskers import NiftiLabelsMasker
series = NiftiLabelsMasker(sys.argv[1], standardize=None).fit_transform(sys.argv[2])
pd.DataFrame(series).to_csv(sys.argv[3], sep="\\t", index=False)
"""


def seconds(*command: object, repeats: int = 3) -> float:
    """Return the median wall time of a process, after one whose bytecode is then kept."""
    kept = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    times = []
    for _ in range(repeats + 1):
        begun = time.perf_counter()
        subprocess.run(
            [sys.executable, *map(str, command)], check=True, capture_output=True, env=kept
        )
        times.append(time.perf_counter() - begun)
    return statistics.median(times[1:])


def main() -> list[dict]:
    """Return the rows of the table."""
    atlas = atlases.volume(N_PARCELS)
    grid = atlas.geometry["volume"]
    assert isinstance(grid, ai.VolumeGrid)
    labels = grid.put(np.asarray(atlas.maps["volume"].labels) + 1).astype(np.int32)
    x = np.random.default_rng(0).normal(500, 30, (grid.n_locations, TIME)).round()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        own, bold, dseg = folder / "own.npz", folder / "bold.nii.gz", folder / "dseg.nii.gz"
        ai.save_atlas(atlas, own)
        nib.save(nib.Nifti1Image(labels, grid.affine), dseg)
        with igzip.open(bold, "wb") as file:
            file.write(nib.Nifti1Image(grid.put(x.astype(np.int16)), grid.affine).to_bytes())
        begun = time.perf_counter()
        unpack(bold)
        reading = time.perf_counter() - begun
        jax = seconds("-c", "import jax, equinox")
        shown = seconds("-m", "atlasinit", "show", own)
        command = ("project", own, "-d", bold, "-o", folder / "ours.tsv", "--overwrite")
        ours = seconds("-m", "atlasinit", *command)
        theirs = seconds("-c", THEIRS, dseg, bold, folder / "theirs.tsv", repeats=1)
    return [
        row(f"atlasinit show, {N_PARCELS} parcels; a second", shown, 1.0, most=1),
        row(f"atlasinit project, {TIME} volumes; a script of nilearn", ours, theirs, least=3),
        row("atlasinit project; to unpack the image, and 1.2 s", ours, reading + 1.2, most=1),
        row("atlasinit project; to unpack it, import jax and equinox", ours, reading + jax),
    ]


if __name__ == "__main__":
    report(main())
