"""The masker beside nilearn's labels masker, in memory and from a gzipped file."""

import tempfile
from pathlib import Path

import atlases
import nibabel as nib
import numpy as np
from harness import median_seconds, report, row, unpack

import atlasinit as ai

N_PARCELS, TIME = 400, 200


def main() -> list[dict]:
    """Return the rows of the table."""
    from nilearn.maskers import NiftiLabelsMasker

    atlas = atlases.volume(N_PARCELS)
    grid = atlases.grid_of(atlas)
    # Whole numbers, as scanners write them: they compress as real images do.
    x = np.random.default_rng(0).normal(500, 30, (grid.n_locations, TIME)).round()
    bold = nib.Nifti1Image(grid.put(x.astype(np.float32)), grid.affine)
    theirs = NiftiLabelsMasker(
        atlases.label_image(atlas), standardize=None, keep_masked_labels=False
    ).fit()
    ours = ai.AtlasMasker(atlas).fit()
    name = f"masker, {N_PARCELS} parcels, {grid.shape} x {TIME}"
    rows = [
        row(
            f"{name}; NiftiLabelsMasker",
            median_seconds(lambda: ours.transform(bold), repeats=3),
            median_seconds(lambda: theirs.transform(bold), repeats=1, warmup=0),
            least=8,
        )
    ]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "bold.nii.gz"
        nib.save(nib.Nifti1Image(bold.dataobj, grid.affine, dtype=np.int16), path)
        peer = median_seconds(lambda: theirs.transform(path), repeats=1, warmup=0)
        own = median_seconds(lambda: ours.transform(path), repeats=3)
        rows.append(row(f"{name}, .nii.gz; NiftiLabelsMasker", own, peer, least=8))
        # Theirs reads the image once for each.
        three = ai.AtlasMasker({n: atlases.volume(n) for n in (100, N_PARCELS, 1000)}).fit()
        several = median_seconds(lambda: three.transform(path), repeats=3)
        rows.append(
            row("masker, three atlases, .nii.gz; three of theirs", several, 3 * peer, least=22)
        )
        alone = median_seconds(lambda: unpack(path), repeats=3)
        rows.append(row(f"{name}, .nii.gz; isal that unpacks it alone", own, alone, most=1.2))
    return rows


if __name__ == "__main__":
    report(main())
