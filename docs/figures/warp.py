"""A template's atlas through a warp, in the same slice of the template and of a person."""

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import nibabel as nib
import numpy as np

import atlasinit as ai

atlas = ai.load_atlas("aal")
grid = atlas.geometry["volume"]
whole = ai.VolumeGrid(grid.shape, grid.affine)
x, y, z = whole.coordinates.T
# Where each position of the person lies in the template, less the position: smooth waves of 8 mm.
steps = np.stack([8 * np.sin(y / 25), 6 * np.cos(x / 20), 5 * np.sin(x / 30)], axis=1)
values = (steps * [-1, -1, 1]).reshape(*grid.shape, 1, 3).astype(np.float32)  # ITK's LPS
image = nib.Nifti1Image(values, grid.affine)
image.header.set_intent("vector")
with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / f"from-{atlas.space}_to-T1w_mode-image_xfm.nii.gz"
    nib.save(image, path)
    person = ai.resample(atlas, whole, transform=path, method="nearest")

figure, axes = plt.subplots(1, 2, figsize=(8, 4), layout="constrained")
rng = np.random.default_rng(3)
colors = np.vstack([[1, 1, 1], rng.uniform(0.25, 0.95, (atlas.n_parcels, 3))])
for axis, (title, one) in zip(axes, ((atlas.space, atlas), ("one person", person)), strict=True):
    own = one.geometry["volume"]
    labels = own.put(np.asarray(one.maps["volume"].labels) + 1)
    level = int((20 - grid.affine[2, 3]) / grid.affine[2, 2])
    axis.imshow(colors[labels[:, :, level]].transpose(1, 0, 2), origin="lower")
    axis.set(title=title, xticks=[], yticks=[])
