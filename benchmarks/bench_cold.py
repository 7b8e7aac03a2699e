"""Whole processes from their start: the command line beside imports and a script of nilearn's."""

import tempfile
import time
from pathlib import Path

import atlases
import nibabel as nib
from harness import process_seconds, report, row, unpack

import atlasinit as ai

N_PARCELS, TIME = 400, 200
THEIRS = """
import sys
import pandas as pd
from nilearn.maskers import NiftiLabelsMasker
series = NiftiLabelsMasker(sys.argv[1], standardize=None).fit_transform(sys.argv[2])
pd.DataFrame(series).to_csv(sys.argv[3], sep="\\t", index=False)
"""


def main() -> list[dict]:
    """Return the rows of the table."""
    atlas = atlases.volume(N_PARCELS)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        own, bold, dseg = folder / "own.npz", folder / "bold.nii.gz", folder / "dseg.nii.gz"
        ai.save_atlas(atlas, own)
        nib.save(atlases.label_image(atlas), dseg)
        atlases.write_series(bold, atlases.grid_of(atlas), TIME)
        begun = time.perf_counter()
        unpack(bold)
        reading = time.perf_counter() - begun
        jax = process_seconds("-c", "import jax, equinox", repeats=3)
        shown = process_seconds("-m", "atlasinit", "show", own, repeats=3)
        command = ("project", own, "-d", bold, "-o", folder / "ours.tsv", "--overwrite")
        ours = process_seconds("-m", "atlasinit", *command, repeats=3)
        theirs = process_seconds("-c", THEIRS, dseg, bold, folder / "theirs.tsv", repeats=1)
    return [
        row(f"atlasinit show, {N_PARCELS} parcels; a second", shown, 1.0, most=1),
        row(f"atlasinit project, {TIME} volumes; a script of nilearn", ours, theirs, least=3),
        row("atlasinit project; to unpack the image, and 1.2 s", ours, reading + 1.2, most=1),
        row("atlasinit project; to unpack it, import jax and equinox", ours, reading + jax),
    ]


if __name__ == "__main__":
    report(main())
