"""Least squares beside the plain product and nilearn's maps masker on the same data in memory."""

import atlases
import jax
import nibabel as nib
import numpy as np
from harness import median_seconds, report, row

import atlasinit as ai

N_MAPS, TIME = 100, 200


def main() -> list[dict]:
    """Return the rows of the table."""
    from nilearn.maskers import NiftiMapsMasker

    atlas = atlases.smooth(atlases.volume(N_MAPS), sigma=3.0)
    grid = atlas.geometry["volume"]
    assert isinstance(grid, ai.VolumeGrid)
    x = np.random.default_rng(0).normal(size=(grid.n_locations, TIME)).astype(np.float32)
    device = jax.device_put(x)
    ours = median_seconds(lambda: ai.project(atlas, device, reduction="lstsq"))
    plain = median_seconds(lambda: ai.project(atlas, device, reduction="sum"))
    maps = nib.Nifti1Image(grid.put(atlas.to_dense()["volume"].T), grid.affine)
    bold = nib.Nifti1Image(grid.put(x), grid.affine)
    masker = NiftiMapsMasker(maps, standardize=None).fit()
    theirs = median_seconds(lambda: masker.transform(bold), repeats=1, warmup=0)
    name = f"lstsq, {N_MAPS} maps, {grid.n_locations} x {TIME}"
    return [
        row(f"{name}; plain product", ours, plain, most=1.3),
        row(f"{name}; NiftiMapsMasker.transform", ours, theirs, least=30),
    ]


if __name__ == "__main__":
    report(main())
